"""Findings about derivatives: nan in the backward pass, vanished gradients, gradients that do not sum to 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.evidence import infinities
from smcli.findings.remedies import mend
from smcli.findings.rules import Hit, choice, first_of, rule
from smcli.judge.measure import spacing
from smcli.model import Choice, Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray

ENTRIES = (
    "the method naive is accurate here: look for entries there that a label, a mask or a factor has no part in, or for a "
    "narrower format"
)


@rule("SM501", "backward-nan", Severity.ERROR)
def backward_nan(ev: RunEvidence) -> Iterator[Hit]:
    """A derivative is nan or infinite although the true one is finite.

    ## What it means

    "nan only in backward": the forward pass may have looked fine. The true gradient by the logits is p − y, never larger
    than 1 for a one-hot label, so nan and inf are the program's own. One optimiser step spreads them to all weights.

    ## Why it happens

    Going back through log(softmax(x)) means v = −y/p and then p·(v − Σ v·p). Where p has underflowed to 0 that holds −1/0 or
    0/0, and 0·inf is nan. A masked class has p = 0 by design, so a mask is enough; otherwise p is 0 this far below the max:

    {table:exp_zero}

    A where() applied after the log does not help: its backward pass multiplies 0 by the inf that it hid. The derivative of
    an entropy holds log p, that of a divergence t/p or log(p/t), with the same end. A focal loss has (1 − p)^(γ−1) in its
    derivative, which is 1/0 for γ < 1 where p has rounded to 1. A vector-Jacobian product is nan where p is.

    ## How to fix it

    Differentiate the fused loss, whose backward pass is p − y, and mask the logits, not the loss. NumPy:

    ```python
    import numpy as np

    x, t = np.array([0.0, -800.0]), 1
    e = np.exp(x - x.max())
    grad = e / e.sum()
    grad[t] -= 1
    ```

    PyTorch:

    ```python
    logits = logits.masked_fill(mask, float("-inf"))
    loss = F.cross_entropy(logits, target)
    ```

    JAX:

    ```python
    def loss(x):
        each = optax.softmax_cross_entropy_with_integer_labels(x, target)
        return each.mean()


    grad = jax.grad(loss)(logits)
    ```

    TensorFlow:

    ```python
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
    grad = tape.gradient(loss, logits)
    ```

    ## See it

    ```sh
    smcli grad 0 -800 --target 1
    smcli grad 1 -inf 2 --target 0
    ```

    ## Source

    JAX documentation, FAQ, "Gradients contain NaN where using where". PyTorch issue 23395 (torch.where and its other
    branch). IEEE 754-2019, 7.2 and 7.3 (0·inf, division by zero).
    """
    if not ev.quantity.is_derivative:
        return
    wrong = ~np.isfinite(ev.y) & ev.finite_truth & ev.clean
    if not wrong.any():
        return
    broken = []
    for s in ev.steps("exp", "exp2", "sum", "log", "div", "pow", "mul", "sub"):
        bad = s.overflowed | s.invalid
        if ev.elementwise and bad.shape == wrong.shape:
            bad = bad & wrong
        broken.append((s.expr, ev.in_row(bad)))
    step = first_of(broken, len(wrong))
    told = np.array([bool(s) for s in step.options])[step.index]
    leaks = (ev.x == -np.inf).any(axis=1) & (np.isnan(ev.y) & wrong).all(axis=1) & told & (not ev.elementwise)
    yield Hit(
        wrong,
        choice(
            "{got} is returned at {at}{where} the true derivative{there} is {true}",
            "{got} is returned at {at}{where} the true derivative{there} is {true}; it went wrong first in {step}",
            "{got} is returned at {at}{where} the true derivative{there} is {true}; it went wrong first in {step}, where a masked class "
            "leaks into the whole row",
            index=told.astype(np.uint8) + leaks,
        ),
        mend(ev, wrong),
        step,
        {"got": infinities(ev.y, wrong), "step": step},
    )


@rule("SM502", "vanished-gradient", Severity.WARNING)
def vanished_gradient(ev: RunEvidence) -> Iterator[Hit]:
    """A derivative of exactly 0, where the true one is not 0 and the format holds it.

    ## What it means

    The example no longer teaches anything although it should, a little. In float16 and bfloat16 this begins at moderate
    confidence. Loss scaling does not bring it back: the 0 arises before the scale could matter.

    ## Why it happens

    At the target the gradient is p_t − 1. p_t rounds to 1 when the target leads by d or more, and the difference is 0; the
    truth is −s/(1 + s) with s about exp(−d), and the format holds that easily:

    {table:margin}

    A clip has the same effect from the other side: outside [ε, 1 − ε] its derivative is 0 (SM904).

    ## How to fix it

    Take the target's entry as minus the sum of the other probabilities. NumPy:

    ```python
    import numpy as np

    x, t = np.array([40.0, 0.0]), 0
    e = np.exp(x - x.max())
    grad = e / e.sum()
    grad[t] = -np.delete(grad, t).sum()
    ```

    PyTorch:

    ```python
    p = F.softmax(logits, dim=-1)
    hot = F.one_hot(target, p.shape[-1]).bool()
    rest = p.masked_fill(hot, 0.0).sum(dim=-1, keepdim=True)
    grad = torch.where(hot, -rest, p)
    ```

    JAX:

    ```python
    p = jax.nn.softmax(logits, axis=-1)
    hot = jax.nn.one_hot(target, p.shape[-1], dtype=bool)
    rest = jnp.where(hot, 0.0, p).sum(axis=-1, keepdims=True)
    grad = jnp.where(hot, -rest, p)
    ```

    TensorFlow:

    ```python
    p = tf.nn.softmax(logits)
    hot = tf.one_hot(target, p.shape[-1], on_value=True, off_value=False)
    rest = tf.reduce_sum(tf.where(hot, 0.0, p), axis=-1, keepdims=True)
    grad = tf.where(hot, -rest, p)
    ```

    ## See it

    ```sh
    smcli grad 40 0 --target 0
    smcli grad 16.942385 0 --target 0 --dtype float32
    ```

    ## Source

    Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), section 4 (the same 1 + s in the logsumexp). Higham 2002,
    Accuracy and Stability of Numerical Algorithms, section 1.7 (cancellation).
    """
    if not ev.quantity.is_derivative:
        return
    gone = (ev.y == 0) & (ev.truth.hi != 0) & ev.held & ev.clean & ev.verdict(Verdict.LOST, Verdict.INACCURATE)
    if not gone.any():
        return
    steps = []
    for s in (*reversed(ev.steps("sub")), *ev.steps("div", "exp", "exp2", "mul")):
        zero = s.output == 0
        if zero.shape == gone.shape:
            zero = zero & gone
        steps.append((s.expr, ev.in_row(zero)))
    yield Hit(
        gone,
        "0 is returned at {at}{where} the true derivative{there} is {true}, which {format} holds",
        mend(ev, gone),
        first_of(steps, len(gone)),
        {"format": ev.format.name},
    )


@rule("SM503", "gradient-sum", Severity.WARNING, always=True)
def gradient_sum(ev: RunEvidence) -> Iterator[Hit]:
    """The gradient of a softmax loss sums to 0; this one does not, beyond what rounding explains.

    ## What it means

    Adding a constant to all logits changes nothing in softmax, so the entries of its gradient cancel. A rest means that one
    entry is wrong, and training will drift along the direction that softmax cannot see.

    ## Why it happens

    The gradient is p·Σy − y. Written as p − y it sums to 1 − Σy, which is wrong for labels that do not sum to 1, such as
    weighted or masked ones. Other causes: the target's entry rounded to 0 (SM502), a mask or an ignored row applied to some
    entries only, p that does not sum to 1 (SM403). Allowed is the limit of each entry (see SM401) times its spacing.

    {table:unit_roundoff}

    ## How to fix it

    Use the full formula; NumPy:

    ```python
    import numpy as np

    x, y = np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.2, 0.2])
    e = np.exp(x - x.max())
    grad = e / e.sum() * y.sum() - y
    ```

    PyTorch does so by itself, for any soft labels:

    ```python
    loss = F.cross_entropy(logits, labels)
    ```

    JAX too:

    ```python
    loss = optax.softmax_cross_entropy(logits, labels)
    ```

    TensorFlow's softmax_cross_entropy_with_logits returns p − y, right only for labels that sum to 1. For others:

    ```python
    loss = -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)
    ```

    ## See it

    ```sh
    smcli grad 40 0 --target 0
    ```

    ## Source

    TensorFlow API, tf.nn.softmax_cross_entropy_with_logits (labels must be a probability distribution, else the gradient is
    wrong). PyTorch documentation, torch.nn.CrossEntropyLoss (class probabilities).
    """
    loss, y = ev.problem.loss, ev.y
    sums_to_0 = loss is not None and loss.kind == "cross-entropy" and not loss.z_loss and not ev.problem.softcap
    if ev.quantity.name != "gradient" or not sums_to_0 or y.shape[1] < 2:
        return
    f, limit = ev.format, ev.explained
    total = y.sum(axis=1, keepdims=True)
    allowed = spacing(np.abs(ev.t), f) * np.maximum(limit.ulp, 8)
    if limit.parts is not None and limit.base is not None:  # each entry is a difference, and as exact as its parts
        allowed = np.maximum(allowed, spacing(limit.parts, f) * limit.base)
    largest = np.abs(y).max(axis=1, keepdims=True)
    allowed = np.broadcast_to(allowed, y.shape).sum(axis=1, keepdims=True) + f.unit_roundoff * largest
    off = (np.abs(total) > allowed) & np.isfinite(total) & ev.clean
    if not off.any():
        return
    where = np.broadcast_to(off, y.shape)
    yield Hit(
        where,
        "the gradient sums to {total} ({ulps} ulp of its largest entry), where rounding explains ±{allowed} and the truth is 0",
        _mend_sum(ev, where),
        facts={"total": total[:, 0], "ulps": (np.abs(total) / spacing(largest, f))[:, 0], "allowed": allowed[:, 0]},
    )


def _mend_sum(ev: RunEvidence, where: BoolArray) -> str | Choice:
    loss = ev.problem.loss
    if not ev.run.unseen or loss is None or loss.labels is None:
        return mend(ev, where, whole_rows=True, sums_first=True, elsewhere=ENTRIES)
    whole = loss.labels.sum(axis=1) == 1
    other = "check the sum in the denominator, the masks and the reduction"
    return choice("labels that do not sum to 1 need p·Σy − y, not p − y", other, index=whole)
