"""Findings about the logits themselves: nan, infinite, masked, rounded, or not logits at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import Evidence, Hit, number, places, rule
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import IntArray


@rule("SM101", "nan-logit", Severity.ERROR, about="row")
def nan_logit(ev: Evidence) -> Iterator[Hit]:
    """A logit is nan, so every output of its row is.

    ## What it means

    The nan was there before softmax began. Softmax, log-softmax, logsumexp, loss and gradient of the row are all nan, and
    one such row makes the mean loss of its batch nan. No way of computing softmax repairs it.

    ## Why it happens

    max(x), exp(x − max(x)) and the sum all return nan as soon as one term is nan. It was born upstream in an invalid
    operation: 0/0, inf − inf, 0·inf, the log or square root of a negative number, or weights that an earlier nan gradient
    had already ruined. In float8_e4m3fn, which has no infinity, it may be a plain overflow beyond {float8_e4m3fn:max}.

    ## How to fix it

    Find the first operation that returns nan; `nan_to_num` only hides it. NumPy can raise there:

    ```python
    import numpy as np

    x = np.array([1.0, 2.0, 3.0])
    with np.errstate(invalid="raise", divide="raise", over="raise"):
        e = np.exp(x - x.max())
        p = e / e.sum()
    ```

    PyTorch names the forward operation whose backward returned nan; check the logits themselves too:

    ```python
    torch.autograd.set_detect_anomaly(True)
    assert torch.isfinite(logits).all()
    ```

    JAX stops at the first nan:

    ```python
    jax.config.update("jax_debug_nans", True)
    ```

    TensorFlow stops at the first nan or inf:

    ```python
    tf.debugging.enable_check_numerics()
    ```

    ## See it

    ```sh
    smcli compare 1 nan 3
    ```

    ## Source

    IEEE 754-2019, 6.2 (nan goes through operations) and 7.2 (invalid operation). PyTorch documentation, torch.autograd,
    anomaly detection. JAX documentation, debugging flags. TensorFlow API, tf.debugging.enable_check_numerics.
    """

    def say(_row: int, at: IntArray) -> str:
        return f"the logit at {places(at)} is nan: every result of the row is nan, whatever computes it"

    yield Hit(
        np.isnan(ev.x) & ~np.isinf(ev.change),
        say,
        "look upstream: the nan was there before softmax (a 0/0, inf − inf or log of a negative)",
    )


@rule("SM102", "infinite-logit", Severity.ERROR, about="row")
def infinite_logit(ev: Evidence) -> Iterator[Hit]:
    """A logit is +inf, where only a convention gives softmax a value.

    ## What it means

    The formula has no value at +inf, so frameworks return nan for the whole row. smcli gives the limit and marks every value
    undefined: one +inf gives a one-hot row, two or more give nan at those places and 0 elsewhere.

    ## Why it happens

    exp(inf)/Σ is inf/inf, and with the maximum subtracted inf − inf is nan already. The infinity itself is mostly an
    overflow upstream: a matrix product in a narrow format, a division by a norm of 0, a mask added with the wrong sign.

    {table:max}

    ## How to fix it

    Stop the overflow where it is born: compute the last layer in a wider format, or bound the logits. A clip keeps the row
    finite, but its gradient is 0 outside the bounds; NumPy:

    ```python
    import numpy as np

    x = np.array([1.0, np.inf, 3.0])
    x = np.clip(x, -1e4, 1e4)
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch, with a soft cap (30 here), which keeps some gradient:

    ```python
    logits = hidden.float() @ weight.float().T
    logits = 30.0 * torch.tanh(logits / 30.0)
    ```

    JAX, a product of bfloat16 arrays that is summed and returned in float32:

    ```python
    logits = jnp.matmul(hidden, weight.T, preferred_element_type=jnp.float32)
    ```

    TensorFlow:

    ```python
    hidden, weight = tf.cast(hidden, tf.float32), tf.cast(weight, tf.float32)
    logits = tf.matmul(hidden, weight, transpose_b=True)
    ```

    ## See it

    ```sh
    smcli compare 1 inf 3
    smcli compare 70000 1 --dtype float16
    ```

    ## Source

    IEEE 754-2019, 7.2 (inf − inf and inf/inf are invalid). Gemma Team 2024, Gemma 2 (soft-capping of logits). JAX API,
    jax.numpy.matmul.
    """
    nan_free = ~np.isnan(ev.x).any(axis=1, keepdims=True)

    def say(_row: int, at: IntArray) -> str:
        limit = "a one-hot row (the limit)" if at.size == 1 else "nan at those places and 0 elsewhere"
        return f"the logit at {places(at)} is +inf: the convention gives {limit}; frameworks compute inf − inf and return nan"

    yield Hit(
        (ev.x == np.inf) & nan_free, say, "find the overflow upstream; clamp logits to a finite range before softmax"
    )


@rule("SM103", "all-masked", Severity.ERROR, about="row")
def all_masked(ev: Evidence) -> Iterator[Hit]:
    """Every logit of a row is −inf: no class is left to give a probability to.

    ## What it means

    Softmax of such a row is 0/0. Softmax, log-softmax and cross-entropy are nan; logsumexp is −inf, which is right for a sum
    of nothing. Mostly it is an attention row that may look at no key, or a row that is padding from end to end.

    ## Why it happens

    The maximum is −inf, and −inf − (−inf) is nan. PyTorch's softmax and cross_entropy, jax.nn.softmax and tf.nn.softmax all
    return nan for the row, and one nan loss makes the mean of the batch nan. Recent PyTorch's
    scaled_dot_product_attention is the exception: it gives such a row the output 0. A where() *after* softmax repairs only
    the forward pass: the backward pass multiplies 0 by nan, which is nan again (SM501).

    ## How to fix it

    Give dead rows harmless logits before softmax, then zero what comes out; both steps are needed. NumPy:

    ```python
    import numpy as np

    x = np.array([[1.0, 2.0, -np.inf], [-np.inf, -np.inf, -np.inf]])
    alive = (x > -np.inf).any(axis=-1, keepdims=True)
    safe = np.where(alive, x, 0.0)
    e = np.exp(safe - safe.max(axis=-1, keepdims=True))
    p = np.where(alive, e / e.sum(axis=-1, keepdims=True), 0.0)
    ```

    PyTorch:

    ```python
    dead = torch.isneginf(logits).all(dim=-1, keepdim=True)
    p = F.softmax(logits.masked_fill(dead, 0.0), dim=-1)
    p = p.masked_fill(dead, 0.0)
    ```

    JAX:

    ```python
    alive = jnp.any(logits > -jnp.inf, axis=-1, keepdims=True)
    p = jax.nn.softmax(jnp.where(alive, logits, 0.0), axis=-1)
    p = jnp.where(alive, p, 0.0)
    ```

    TensorFlow:

    ```python
    alive = tf.reduce_any(logits > -np.inf, axis=-1, keepdims=True)
    p = tf.nn.softmax(tf.where(alive, logits, 0.0))
    p = tf.where(alive, p, 0.0)
    ```

    ## See it

    ```sh
    smcli compare -inf -inf -inf
    smcli grad -inf -inf --target 0
    ```

    ## Source

    IEEE 754-2019, 7.2. PyTorch pull requests 131060 and 133882 (fully masked rows in attention). JAX documentation, FAQ,
    "Gradients contain NaN where using where".
    """
    masked = ev.x == -np.inf

    def say(_row: int, at: IntArray) -> str:
        return (
            f"all {at.size} logits are −inf: softmax is 0/0, nan by convention, and its gradient too; logsumexp is −inf"
        )

    remedy = (
        "leave at least one class unmasked, or skip such rows before softmax (a where() after it keeps nan gradients)"
    )
    yield Hit(masked & masked.all(axis=1, keepdims=True), say, remedy)


@rule("SM104", "masked-target", Severity.NOTE, about="row")
def masked_target(ev: Evidence) -> Iterator[Hit]:
    """The target's logit is −inf, so an infinite loss is right.

    ## What it means

    The class that should win has probability 0, and −log 0 is +inf. Nothing is wrong with the loss: the label and the mask
    contradict each other. With label smoothing one masked class is enough, whatever the target.

    ## Why it happens

    The loss is −Σ y_i·log p_i, and log p_i is −inf at a masked class. Where y_i > 0 the term is +inf. Label smoothing gives
    every class E/K, masked ones included, so PyTorch's cross_entropy with label_smoothing is +inf on such a row, by right.
    Where y_i = 0 the true term is 0, but IEEE arithmetic makes 0·(−inf) nan: a loss that multiplies dense labels by log p
    returns nan there although it should be finite.

    ## How to fix it

    Smooth over the open classes only, and leave masked ones out of the sum; NumPy:

    ```python
    import numpy as np

    x, t, smoothing = np.array([1.0, -np.inf, 3.0]), 0, 0.1
    open_classes = np.isfinite(x)
    y = np.where(open_classes, smoothing / open_classes.sum(), 0.0)
    y[t] += 1 - smoothing
    z = x - x.max()
    log_p = z - np.log(np.exp(z).sum())
    loss = -(y[open_classes] * log_p[open_classes]).sum()
    ```

    PyTorch, dropping the rows whose target is masked:

    ```python
    ok = torch.isfinite(logits.gather(-1, target[:, None])).squeeze(-1)
    loss = F.cross_entropy(logits[ok], target[ok])
    ```

    JAX:

    ```python
    chosen = jnp.take_along_axis(logits, target[:, None], axis=-1)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    loss = losses.mean(where=jnp.isfinite(chosen)[:, 0])
    ```

    TensorFlow:

    ```python
    ok = tf.math.is_finite(tf.gather(logits, target, batch_dims=1))
    logits, target = tf.boolean_mask(logits, ok), tf.boolean_mask(target, ok)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
    ```

    ## See it

    ```sh
    smcli compare 1 -inf 3 --target 1
    smcli compare 1 -inf 3 --target 0 --label-smoothing 0.1
    ```

    ## Source

    PyTorch documentation, torch.nn.CrossEntropyLoss (label_smoothing). Szegedy et al. 2016, Rethinking the Inception
    Architecture, section 7. IEEE 754-2019, 7.2 (0·inf is invalid).
    """
    if ev.labelled is None:
        return
    masked = ev.x == -np.inf
    somewhere = masked & ev.labelled & ~masked.all(axis=1, keepdims=True) & ~np.isnan(ev.x).any(axis=1, keepdims=True)

    def say(_row: int, at: IntArray) -> str:
        return (
            f"the target has weight on {places(at, 'class')}, whose logit is −inf: the loss is +inf, and that is right"
        )

    yield Hit(somewhere, say, "check that targets never fall on masked classes; label smoothing gives them weight too")


@rule("SM901", "rounded-logit", Severity.NOTE, about="row")
def rounded_logit(ev: Evidence) -> Iterator[Hit]:
    """A logit is not a number of the format, and was rounded to one before anything was computed.

    ## What it means

    What smcli judges starts from the rounded logits, so this change is in no method's error. It is in your result all the
    same: a logit that moved by d has its p changed by a factor e^±d, that is by about d relative when d is small.

    ## Why it happens

    Rounding changes a number by at most u times its size, so the damage grows with the logits. Every change is reported in
    the formats narrower than float64; in float64 only those above 0.001, of logits beyond about 10^13.

    {table:unit_roundoff,near_100}

    ## How to fix it

    Round at the end, not at the beginning: keep logits in float32 or wider until softmax or the loss is done. NumPy:

    ```python
    import numpy as np

    x = np.array([100.3, 100.1])
    e = np.exp(x - x.max())
    p = (e / e.sum()).astype(np.float16)
    ```

    PyTorch, the last layer outside autocast (a later `.float()` cannot bring digits back):

    ```python
    with torch.autocast(device_type="cuda", enabled=False):
        logits = head(hidden.float())
        loss = F.cross_entropy(logits, target)
    ```

    JAX:

    ```python
    logits = jnp.matmul(hidden, weight.T, preferred_element_type=jnp.float32)
    ```

    TensorFlow, in a mixed-precision model:

    ```python
    outputs = tf.keras.layers.Dense(classes, dtype="float32")(hidden)
    ```

    ## See it

    ```sh
    smcli compare 100.3 100.1 --dtype float16
    smcli compare 12345678901234567 0
    ```

    ## Source

    IEEE 754-2019, 4.3.1 (round to nearest, ties to even). Higham 2002, Accuracy and Stability of Numerical Algorithms,
    section 2.1. TensorFlow guide, Mixed precision. PyTorch documentation, torch.amp.
    """
    least = 1e-3 if ev.format.p == 53 else 0.0
    changed = (np.abs(ev.change) > least) & np.isfinite(ev.x) & np.isfinite(ev.change)

    def say(row: int, at: IntArray) -> str:
        change = np.abs(ev.change[row, at])
        most = int(at[change.argmax()])
        by = float(change.max())
        effect = (
            f"changes p by a factor of about e^±{number(by)}"
            if by > 0.1
            else f"changes p by about {number(by)} relative"
        )
        return (
            f"{at.size} of {ev.x.shape[1]} logits are not {ev.format.name} numbers; the largest change is {number(by)}, at index "
            f"{most} ({float(ev.written[row, most])!r} became {float(ev.x[row, most])!r}), which {effect}"
        )

    yield Hit(changed, say, "keep logits in a wider format until after softmax, or round them before you compare")


@rule("SM902", "logit-overflow", Severity.ERROR, about="row")
def logit_overflow(ev: Evidence) -> Iterator[Hit]:
    """A finite logit is beyond the format's largest number and became infinite before softmax began.

    ## What it means

    A logit that became +inf makes the row nan in every framework (SM102). One that became −inf is masked: its class has
    probability 0 from then on, and the loss is +inf if it is the target (SM104). float8_e4m3fn has no infinity: nan.

    ## Why it happens

    A number rounds to infinity from half a spacing above the largest number of the format; −65520 is the first in float16.
    The usual culprits are fill values made for float32, such as −1e9, and logits of a diverging run.

    {table:max}

    ## How to fix it

    Take the fill value from the format in use. NumPy:

    ```python
    import numpy as np

    x = np.array([1.0, 2.0, 0.5], dtype=np.float16)
    mask = np.array([False, False, True])
    x = np.where(mask, np.finfo(x.dtype).min, x)
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch (−inf is fine too, as long as one class of the row stays open):

    ```python
    logits = logits.masked_fill(mask, torch.finfo(logits.dtype).min)
    ```

    JAX:

    ```python
    logits = jnp.where(mask, jnp.finfo(logits.dtype).min, logits)
    ```

    TensorFlow:

    ```python
    logits = tf.where(mask, logits.dtype.min, logits)
    ```

    ## See it

    ```sh
    smcli compare 0 -65520 --dtype float16
    smcli compare 70000 1 --dtype float16
    ```

    ## Source

    IEEE 754-2019, 7.4 (overflow). Micikevicius et al. 2022, FP8 Formats for Deep Learning (E4M3 has no infinity). NumPy,
    PyTorch and JAX documentation, finfo.
    """
    lost = ~np.isfinite(ev.x) & np.isinf(ev.change)
    became = "±inf" if ev.format.has_inf else "nan"

    def say(row: int, at: IntArray) -> str:
        first = float(ev.written[row, at[0]])
        infinite = "a number beyond float64" if ev.format.has_inf else "infinite, or beyond float64"
        written = number(first) if np.isfinite(first) else infinite
        largest = f"{ev.format.name}'s largest number {number(ev.format.max)}"
        return f"the logit at {places(at)} ({written}) is beyond {largest} and became {became}"

    fill = "−inf or a fill value" if ev.format.has_inf else "a fill value"
    yield Hit(lost, say, f"scale or clamp the logits, mask with {fill} that the format holds, or use a wider format")


@rule("SM903", "looks-like-probabilities", Severity.WARNING, about="row")
def looks_like_probabilities(ev: Evidence) -> Iterator[Hit]:
    """The row sums to 1 with every value in [0, 1]: it may be the output of a softmax, not logits.

    ## What it means

    A second softmax flattens what the first one said: [0.98, 0.01, 0.01] becomes about [0.57, 0.22, 0.22]. Training still
    runs, slowly, and the loss stops at a floor that has nothing to do with the data. No error is ever raised.

    ## Why it happens

    The values lie in [0, 1], so two of them differ by 1 at most. With n classes no probability can exceed e/(e + n − 1), and
    no loss can fall below log(1 + (n − 1)/e): 0.551 for 3 classes, 1.461 for 10, 5.91 for 1000. Such a floor is the sign.

    ## How to fix it

    Hand over the logits, from before any softmax. Where only probabilities exist, their log is a right set of logits; NumPy:

    ```python
    import numpy as np

    given = np.array([0.2, 0.3, 0.5])
    x = np.log(given)
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch: no softmax at the end of the model; cross_entropy has its own (nll_loss is the one that takes log p):

    ```python
    loss = F.cross_entropy(model(inputs), target)
    ```

    JAX:

    ```python
    logits = model(params, inputs)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    ```

    TensorFlow: from_logits must say what the last layer returns. No activation there:

    ```python
    model.add(tf.keras.layers.Dense(classes))
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss)
    ```

    ## See it

    ```sh
    smcli compare 0.2 0.3 0.5
    ```

    ## Source

    PyTorch documentation, torch.nn.CrossEntropyLoss (input: unnormalised logits) and torch.nn.NLLLoss. Keras documentation,
    SparseCategoricalCrossentropy (from_logits).
    """
    x = ev.x
    count = x.shape[1]
    if count < 2:
        return
    inside = ((x >= 0) & (x <= 1)).all(axis=1)
    slack = min(2 * ev.format.unit_roundoff * count + 1e-6, 1e-2)
    one_hot = (x == 1).any(axis=1)
    row = inside & (np.abs(x.sum(axis=1) - 1) <= slack) & ~one_hot

    def say(_row: int, _at: IntArray) -> str:
        return f"all {count} values are in [0, 1] and sum to 1: these look like probabilities, and softmax of them is nearly uniform"

    yield Hit(
        np.broadcast_to(row[:, None], x.shape),
        say,
        "pass the logits, before any softmax; a softmax applied twice flattens",
    )


CLIPS = (1e-7, 1e-12, 1e-15)  # Keras; common in hand-written losses; scikit-learn before 1.2


@rule("SM904", "clip-constant", Severity.NOTE)
def clip_constant(ev: Evidence) -> Iterator[Hit]:
    """A loss equals −log ε of a well-known clip: it is the clip's constant, not the loss.

    ## What it means

    Probabilities were clipped to [ε, 1 − ε] before the log, so every very wrong prediction costs the same. The loss cannot
    rise above the constant, and the derivative through the clip is 0: the worst examples teach nothing.

    ## Why it happens

    −log ε is 16.118 for ε = 1e-7 (Keras), 27.631 for 1e-12 and 34.539 for 1e-15 (scikit-learn's log_loss before 1.2; since
    then ε is that of the dtype). PyTorch's BCELoss bounds the log at −100 instead. ε is rounded to the format first:

    {table:clip_loss}

    The finding is about losses within 1e-3 of such a constant whose true value is something else.

    ## How to fix it

    Compute the loss from the logits: in log space no clip is needed. NumPy:

    ```python
    import numpy as np

    x, t = np.array([0.0, 20.0]), 0
    z = x - x.max()
    loss = np.log(np.exp(z).sum()) - z[t]
    ```

    PyTorch (binary: binary_cross_entropy_with_logits, not BCELoss of a sigmoid):

    ```python
    loss = F.cross_entropy(logits, target)
    ```

    JAX:

    ```python
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    ```

    TensorFlow and Keras, with a last layer that has no softmax:

    ```python
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = loss_of(target, logits)
    ```

    ## See it

    ```sh
    smcli compare 0 20 --target 0 --method clipped,fused
    smcli compare 0 100 --target 0 --method clipped,fused --dtype float32
    ```

    ## Source

    Keras documentation, keras.config.epsilon and CategoricalCrossentropy. scikit-learn documentation, log_loss (eps).
    PyTorch documentation, torch.nn.BCELoss.
    """
    if ev.quantity not in {"cross-entropy", "bce"}:
        return
    for epsilon in CLIPS:
        clip = float(ev.format.round(np.array(epsilon)))
        if clip == 0:
            continue
        constant = float(ev.format.round(np.array(-np.log(clip))))
        wrong = ev.verdict(Verdict.INACCURATE) | ev.verdict(Verdict.LOST)
        stuck = (np.abs(ev.y - constant) <= 1e-3) & ~(np.abs(ev.t - constant) <= 2e-3) & wrong

        def say(row: int, at: IntArray, epsilon: float = epsilon, constant: float = constant) -> str:
            true = ev.true(row, at[0])
            return f"the loss at {places(at)} is {number(constant)} = −log {epsilon:g}, the constant of a clip; the true loss is {true}"

        remedy = "compute the loss from logits (from_logits=True, cross_entropy) instead of clipping probabilities"
        yield Hit(stuck, say, remedy)
