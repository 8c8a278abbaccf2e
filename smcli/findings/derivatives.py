"""Findings about derivatives: nan in the backward pass, vanished gradients, gradients that do not sum to 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import DERIVATIVES, Evidence, Hit, number, rule
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import IntArray


@rule("SM501", "backward-nan", Severity.ERROR)
def backward_nan(ev: Evidence) -> Iterator[Hit]:
    """A derivative is nan or infinite although the true one is finite.

    ## What it means

    "nan only in backward": the forward pass may have looked fine. The true gradient by the logits is p − y, never larger
    than 1 for a one-hot label, so nan and inf are the program's own. One optimiser step spreads them to all weights.

    ## Why it happens

    Going back through log(softmax(x)) means v = −y/p and then p·(v − Σ v·p). Where p has underflowed to 0 that holds −1/0 or
    0/0, and 0·inf is nan. A masked class has p = 0 by design, so a mask is enough; otherwise p is 0 this far below the max:

    {table:exp_zero}

    A where() applied after the log does not help: its backward pass multiplies 0 by the inf that it hid.

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
    if ev.quantity not in DERIVATIVES:
        return
    wrong = ~np.isfinite(ev.y) & ev.finite_truth & ev.clean
    rows = np.zeros((len(wrong), 1), dtype=bool)  # a step on constants is the same for every row
    steps = [
        (s.expr, np.asarray((s.overflowed | s.invalid | rows).any(axis=1)))
        for s in ev.steps("exp", "exp2", "sum", "log", "div", "mul", "sub")
    ]

    def step(row: int) -> str:
        return next((expr for expr, broken in steps if broken[row]), "")

    def say(row: int, at: IntArray) -> str:
        got, true = number(float(ev.y[row, at[0]])), ev.true(row, at[0])
        first = f"; it went wrong first in {step(row)}" if step(row) else ""
        if (ev.x[row] == -np.inf).any() and np.isnan(ev.y[row, at]).all() and at.size == ev.y.shape[1]:
            first += ", where a masked class leaks into the whole row"
        return f"{got} is returned at {ev.places(at)} where the true derivative is {true}{first}"

    remedy = (
        "take the gradient of the fused loss (p − y), not back through log(softmax); mask before the loss, not after it"
    )
    yield Hit(wrong, say, remedy, step)


@rule("SM502", "vanished-gradient", Severity.WARNING)
def vanished_gradient(ev: Evidence) -> Iterator[Hit]:
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
    if ev.quantity not in DERIVATIVES:
        return
    assert ev.truth is not None  # noqa: S101 - a rule about a run
    gone = (ev.y == 0) & ev.verdict(Verdict.LOST) & ev.clean

    def say(row: int, at: IntArray) -> str:
        return f"0 is returned at {ev.places(at)} where the true derivative is {ev.true(row, at[0])}, which {ev.format.name} holds"

    rows = np.zeros((len(gone), 1), dtype=bool)
    steps = [(s.expr, ((s.output == 0) | rows).any(axis=1)) for s in reversed(ev.steps("sub"))]

    def step(row: int) -> str:
        return next((expr for expr, zero in steps if zero[row]), "")

    yield Hit(
        gone, say, "for the target's class take −(1 − p) as the sum of the other probabilities, never p − 1", step
    )


@rule("SM503", "gradient-sum", Severity.WARNING)
def gradient_sum(ev: Evidence) -> Iterator[Hit]:
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
    loss = ev.problem.loss
    if ev.quantity != "gradient" or loss is None or loss.kind != "cross-entropy" or loss.z_loss or ev.problem.softcap:
        return
    assert ev.accurate_ulp is not None  # noqa: S101 - a rule about a run
    f, y = ev.format, ev.y
    total = y.sum(axis=1, keepdims=True)
    spacing = np.maximum(np.abs(y), f.smallest_normal) * 2 * f.unit_roundoff
    allowed = (spacing * np.maximum(ev.accurate_ulp, 8)).sum(axis=1, keepdims=True) + f.unit_roundoff * np.abs(y).max(
        axis=1, keepdims=True
    )
    assert ev.truth is not None  # noqa: S101 - a rule about a run
    vanished = ((y == 0) & (ev.truth.hi != 0) & ev.held).any(axis=1, keepdims=True)
    off = (np.abs(total) > allowed) & np.isfinite(total) & ev.clean & (y.shape[1] > 1)

    def say(row: int, _at: IntArray) -> str:
        largest = float(np.abs(y[row]).max())
        ulps = abs(float(total[row, 0])) / (max(largest, f.smallest_normal) * 2 * f.unit_roundoff)
        return (
            f"the gradient sums to {number(float(total[row, 0]))} ({number(ulps)} ulp of its largest entry), "
            f"where rounding explains ±{number(float(allowed[row, 0]))} and the truth is 0"
        )

    remedy = "check the sum in the denominator, the masks and the reduction"
    if loss.labels is not None:
        remedy = "labels that do not sum to 1 need p·Σy − y, not p − y"
    yield Hit(np.broadcast_to(off & ~vanished, y.shape), say, remedy)
    remedy = "mend the vanished derivative first (SM502): it is what the sum lacks"
    yield Hit(np.broadcast_to(off & vanished, y.shape), say, remedy)
