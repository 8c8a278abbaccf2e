"""Findings about logits that are no ordinary numbers: nan, infinite, masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.rules import Hit, choice, rule
from smcli.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RowEvidence


@rule("SM101", "nan-logit", Severity.ERROR, about="row")
def nan_logit(ev: RowEvidence) -> Iterator[Hit]:
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
    if ev.all_finite:
        return
    yield Hit(
        np.isnan(ev.x) & ~ev.overflowed,
        "the {logit|logits} at {at} {is|are} nan: {what}, whatever computes it",
        "look upstream: the nan was there before {first} (a 0/0, inf − inf or log of a negative number)",
        facts={
            "what": "what is made of it is nan too" if ev.elementwise else "every result of the row is nan",
            "first": "the loss" if ev.elementwise else "softmax",
        },
    )


@rule("SM102", "infinite-logit", Severity.ERROR, about="row")
def infinite_logit(ev: RowEvidence) -> Iterator[Hit]:
    """A logit is +inf, where only a convention gives softmax a value.

    ## What it means

    The formula has no value at +inf, so frameworks return nan for the whole row. smcli gives the limit and marks every value
    undefined: one +inf gives a one-hot row, two or more give nan at those places and 0 elsewhere.

    ## Why it happens

    exp(inf)/Σ is inf/inf, and with the maximum subtracted inf − inf is nan already. The infinity itself is mostly an
    overflow upstream: a matrix product in a narrow format, a division by a norm of 0, a mask added with the wrong sign. A
    finite logit that became infinite when it was rounded to the format is SM902.

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
    smcli compare inf inf 3
    ```

    ## Source

    IEEE 754-2019, 7.2 (inf − inf and inf/inf are invalid). Gemma Team 2024, Gemma 2 (soft-capping of logits). JAX API,
    jax.numpy.matmul.
    """
    if ev.all_finite:
        return
    infinite = ev.x == np.inf
    where = infinite & ~ev.overflowed & ~np.isnan(ev.x).any(axis=1, keepdims=True)
    several = infinite.sum(axis=1) > 1
    limit = choice("a one-hot softmax (the limit)", "nan at those places and 0 elsewhere", index=several)
    if ev.elementwise:
        yield Hit(
            where,
            "the {logit|logits} at {at} {is|are} +inf: smcli gives the limit of the loss, which is 0 or inf; frameworks mostly "
            "compute inf − inf and return nan",
            "find the overflow upstream, or clamp the logits to a finite range before the loss",
        )
        return
    yield Hit(
        where,
        "the {logit|logits} at {at} {is|are} +inf: by convention that gives {limit}; frameworks compute inf − inf and return nan",
        "find the overflow upstream, or clamp the logits to a finite range before softmax",
        facts={"limit": limit},
    )


@rule("SM103", "all-masked", Severity.ERROR, about="row")
def all_masked(ev: RowEvidence) -> Iterator[Hit]:
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
    if ev.all_finite:
        return
    if ev.elementwise:  # the limit of each value is a number or a right infinity
        return
    masked = ev.x == -np.inf
    dead = masked.all(axis=1, keepdims=True) & ~ev.overflowed.any(axis=1, keepdims=True)
    yield Hit(
        masked & dead,
        "all {n} logits are −inf: softmax is 0/0, nan by convention, and its gradient too; logsumexp is −inf",
        "leave at least one class unmasked, or skip such rows before softmax (a where() after it keeps nan gradients)",
    )


@rule("SM104", "masked-target", Severity.NOTE, about="row")
def masked_target(ev: RowEvidence) -> Iterator[Hit]:
    """The target's logit is −inf, so an infinite loss is right.

    ## What it means

    The class that should win has probability 0, and −log 0 is +inf. Nothing is wrong with the loss: the label and the mask
    contradict each other. With label smoothing one masked class is enough, whatever the target.

    ## Why it happens

    The loss is −Σ y_i·log p_i, and log p_i is −inf at a masked class. Where y_i > 0 the term is +inf, and −inf
    under a negative weight. Label smoothing gives every class E/K, masked ones included, so PyTorch's cross_entropy with
    label_smoothing is +inf on such a row, by right.
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
    if ev.all_finite:
        return
    if ev.labelled is None:
        return
    x = ev.x
    masked = (x == -np.inf) & ev.labelled & ~ev.overflowed
    if not ev.elementwise:
        masked &= ~((x == -np.inf).all(axis=1) | np.isnan(x).any(axis=1) | (x == np.inf).any(axis=1))[:, None]
    soft = ev.problem.loss is not None and ev.problem.loss.labels is not None
    smoothed = ev.problem.loss is not None and ev.problem.loss.smoothing > 0
    yield Hit(
        masked,
        "{what} weight on {at:class}, whose {logit is|logits are} −inf: the loss is {infinite}, and that is right",
        "smooth over the open classes only" if smoothed else "check that targets never fall on masked classes",
        facts={
            "what": "label smoothing puts" if smoothed else "the labels put" if soft else "the target has",
            "infinite": ev.infinite_loss(masked),
        },
    )
