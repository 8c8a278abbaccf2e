"""Findings about results below the smallest number of the format, and about what a lost 0 does next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import Evidence, Hit, number, places, rule
from smcli.findings.overflow import classes_of, sums_exponentials
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import BoolArray, IntArray
    from smcli.numbers.arithmetic import Step


@rule("SM301", "underflow-not-representable", Severity.NOTE)
def underflow_not_representable(ev: Evidence) -> Iterator[Hit]:
    """The true value is below the smallest number of the format: 0 is the best it can return.

    ## What it means

    Mathematically softmax is never 0. This value is, say, 6.6e-1738: the format has nothing between 0 and its smallest
    number, so a correctly rounded result *is* 0. Nothing was lost; the error is far below 1 ulp, though 1 relative.

    ## Why it happens

    p_i = exp(x_i − logsumexp) rounds to 0 once that exponent is low enough:

    {table:exp_zero,smallest_subnormal}

    It does harm only where something takes its log (SM303) or divides by it (SM501).

    ## How to fix it

    Nothing in softmax. If you need these values, keep them as logs, which hold them as ordinary numbers. NumPy:

    ```python
    import numpy as np

    x = np.array([1000.0, 2000.0, 3000.0, 4000.0, 5000.0])
    z = x - x.max()
    log_p = z - np.log(np.exp(z).sum())
    ```

    PyTorch:

    ```python
    log_p = F.log_softmax(logits, dim=-1)
    ```

    JAX:

    ```python
    log_p = jax.nn.log_softmax(logits, axis=-1)
    ```

    TensorFlow:

    ```python
    log_p = tf.nn.log_softmax(logits)
    ```

    ## See it

    ```sh
    smcli compare 1000 2000 3000 4000 5000
    smcli compare 0 -4000 --quantity softmax
    ```

    ## Source

    IEEE 754-2019, 7.5 (underflow). Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), section 1.
    """
    small = ev.verdict(Verdict.NOT_REPRESENTABLE) & (ev.y == 0) & ev.clean

    def say(_row: int, at: IntArray) -> str:
        smallest = number(ev.format.smallest_subnormal)
        below = f"below {ev.format.name}'s smallest number {smallest}"
        return f"0 is returned at {ev.places(at)}; the truth is not 0 but {below}: nothing was lost"

    yield Hit(small, say, "nothing to mend: where such small probabilities matter, keep their logarithms (log-softmax)")


@rule("SM302", "underflow-lost", Severity.WARNING)
def underflow_lost(ev: Evidence) -> Iterator[Hit]:
    """A softmax of 0 was returned although the format holds the true value.

    ## What it means

    A class lost its probability for no good reason: its log is −inf, sampling never draws it, no gradient reaches it. The
    algorithm or the library did this, not the number format.

    ## Why it happens

    The quotient exp(x_i)/Σ fits the format but a part of it does not. Without a shift, exp of very negative logits is 0
    although all of them are small together; or the sum overflowed (SM201, SM202) and something finite was divided by inf.

    {table:exp_zero,exp_overflow}

    ## How to fix it

    Subtract the maximum: then the sum is at least 1, and a term underflows only where the true probability does, or nearly.
    NumPy:

    ```python
    import numpy as np

    x = np.array([-100.0, -110.0], dtype=np.float32)
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch, in float32 whatever the logits' dtype:

    ```python
    p = F.softmax(logits, dim=-1, dtype=torch.float32)
    ```

    JAX:

    ```python
    p = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
    ```

    TensorFlow:

    ```python
    p = tf.nn.softmax(tf.cast(logits, tf.float32))
    ```

    ## See it

    ```sh
    smcli compare -100 -110 --dtype float32
    smcli compare 12 3 --dtype float16
    ```

    ## Source

    Blanchard, Higham & Higham 2021, section 1 and eq. (1.3). IEEE 754-2019, 7.5 (underflow).
    """
    if ev.quantity != "softmax":
        return
    lost = ev.verdict(Verdict.LOST) & (ev.y == 0) & ev.clean
    rows = np.zeros((len(lost), 1), dtype=bool)
    steps = [
        (s.expr, (s.underflowed & (s.output == 0) | rows).any(axis=1)) for s in ev.steps("exp", "exp2", "div", "mul")
    ]

    def step(row: int) -> str:
        return next((expr for expr, under in steps if under[row]), "")

    def say(row: int, at: IntArray) -> str:
        return f"0 is returned at {places(at)} where the truth is {ev.true(row, at[0])}, which {ev.format.name} holds"

    remedy = "use log-softmax and exponentiate at the end, or compute in a wider format and round the result"
    yield Hit(lost, say, remedy, step)


@rule("SM303", "log-of-zero", Severity.ERROR)
def log_of_zero(ev: Evidence) -> Iterator[Hit]:
    """The log of a probability that had underflowed to 0: the loss is infinite or nan, the truth is finite.

    ## What it means

    The loss was taken as −log(softmax(x)), and softmax had rounded to 0. The result is inf, or nan where a label of 0
    multiplies it. The true loss is an ordinary number: 800 for the logits 0 and −800.

    ## Why it happens

    exp(x − max) is 0 for a class that far below the maximum, while log p = (x − max) − log Σ needs no exp of it at all:

    {table:exp_zero}

    Adding 1e-7 inside the log makes the loss finite and wrong, and stops its gradient (SM904).

    ## How to fix it

    Never take the log of a softmax: subtract the logsumexp instead. NumPy:

    ```python
    import numpy as np

    x, t = np.array([0.0, -800.0]), 1
    z = x - x.max()
    log_p = z - np.log(np.exp(z).sum())
    loss = -log_p[t]
    ```

    PyTorch (binary: F.binary_cross_entropy_with_logits):

    ```python
    loss = F.cross_entropy(logits, target)
    ```

    JAX:

    ```python
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    ```

    TensorFlow:

    ```python
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
    ```

    ## See it

    ```sh
    smcli compare 0 -800 --target 1
    smcli compare 1000 2000 3000 4000 5000
    ```

    ## Source

    Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), section 1. TensorFlow API,
    tf.nn.sparse_softmax_cross_entropy_with_logits (takes logits, not the output of softmax).
    """
    if ev.quantity not in {"log-softmax", "cross-entropy", "logsumexp", "bce"}:
        return
    wrong = ~np.isfinite(ev.y) & ev.finite_truth & ev.clean
    for step in ev.steps("log"):
        zero = (step.inputs[0] == 0) & ev.clean
        if zero.shape == ev.x.shape:
            zero &= ev.x != -np.inf  # the log of a masked class is rightly −inf
        if zero.shape != ev.y.shape:  # a loss of one value for a row, or a log of one sum for all classes
            zero = np.broadcast_to(zero.any(axis=1, keepdims=True), ev.y.shape)

        def say(row: int, at: IntArray, step: Step = step) -> str:
            true, got = ev.true(row, at[0]), number(float(ev.y[row, at[0]]))
            return f"{step.expr} takes the log of 0, where a probability was lost: {got} is returned at {places(at)}, the truth is {true}"

        remedy = (
            "compute the loss from logits in log space: log_softmax, cross_entropy, softmax_cross_entropy_with_logits"
        )
        if ev.quantity == "bce":
            remedy = "compute the loss from logits: BCEWithLogitsLoss, sigmoid_cross_entropy_with_logits"
        yield Hit(wrong & zero, say, remedy, step.expr)
        wrong = wrong & ~zero
    yield from _zero_times_infinity(ev, wrong)


def _zero_times_infinity(ev: Evidence, wrong: BoolArray) -> Iterator[Hit]:
    """A zero label times the rightly infinite log of a masked class."""
    for step in ev.steps("mul"):
        nan = np.isnan(step.output) & ~np.isnan(step.inputs[0]) & ~np.isnan(step.inputs[1])
        hurt = wrong & (nan if nan.shape == wrong.shape else nan.any(axis=1, keepdims=True))
        if not hurt.any():
            continue

        def say(row: int, at: IntArray, step: Step = step, nan: BoolArray = nan) -> str:
            where = places(np.flatnonzero(nan[row]), "class")
            true = ev.true(row, at[0])
            product = f"{step.expr} is 0·(−inf) = nan at the masked {where}, as in frameworks"
            return f"{product}; its label is 0 and counts nothing: the truth is {true}"

        remedy = "leave classes with a zero label out of the sum: where(y > 0, y·log p, 0)"
        yield Hit(hurt, say, remedy, step.expr)
        wrong = wrong & ~hurt


@rule("SM304", "zero-sum", Severity.ERROR, once=True)
def zero_sum(ev: Evidence) -> Iterator[Hit]:
    """Every exp underflowed to 0, so the sum is 0 and softmax becomes 0/0.

    ## What it means

    The whole row is nan although the logits are ordinary negative numbers; two equal ones should simply give 0.5 and 0.5.
    The mirror image of SM201, and as fatal.

    ## Why it happens

    Without a shift every exp(x) is 0 once the largest logit is at or below these thresholds. Hardware that flushes subnormal
    numbers to 0, as some GPU kernels do, gets there earlier, at the column on the right.

    {table:exp_zero,exp_subnormal}

    ## How to fix it

    Subtract the maximum: its own term is then exp(0) = 1, and the sum is never below 1. NumPy:

    ```python
    import numpy as np

    x = np.array([-104.0, -104.0], dtype=np.float32)
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch:

    ```python
    p = F.softmax(logits, dim=-1)
    ```

    JAX:

    ```python
    p = jax.nn.softmax(logits, axis=-1)
    ```

    TensorFlow:

    ```python
    p = tf.nn.softmax(logits)
    ```

    ## See it

    ```sh
    smcli compare -104 -104 --dtype float32
    smcli compare -800 -801
    ```

    ## Source

    Blanchard, Higham & Higham 2021, section 1. IEEE 754-2019, 7.2 (0/0 is invalid) and 7.5 (underflow).
    """
    for step in ev.steps("sum"):
        if not sums_exponentials(ev, step):
            continue
        empty = (step.output == 0) & ev.clean & np.isfinite(step.inputs[0]).all(axis=1, keepdims=True)

        def say(row: int, _at: IntArray, step: Step = step) -> str:
            most = number(max(float(s.inputs[0][row].max()) for s in ev.steps("exp", "exp2")[:1]))
            return (
                f"{step.expr} is 0: exp underflows for every logit (the largest is {most}; exp is 0 up to "
                f"{number(ev.format.exp_zero)} in {ev.format.name})"
            )

        yield Hit(
            np.broadcast_to(empty, ev.y.shape), say, "subtract the maximum first: its own term is then 1", step.expr
        )


@rule("SM405", "subnormal-intermediate", Severity.WARNING, once=True)
def subnormal_intermediate(ev: Evidence) -> Iterator[Hit]:
    """Digits were lost in a subnormal intermediate although the result is a normal number.

    ## What it means

    The result looks healthy and is wrong by some percent, or by tens: softmax(−744, −745) comes out as 2/3 and 1/3 instead
    of 0.731 and 0.269. Nothing is nan, nothing is 0, no flag is looked at.

    ## Why it happens

    Below the smallest normal number the spacing no longer shrinks, so a number there has few digits or one. exp(x) lands in
    that zone between these thresholds, and the division then carries its error up into the normal range:

    {table:exp_subnormal,exp_zero}

    ## How to fix it

    Subtract the maximum: the terms that matter are then near 1. NumPy:

    ```python
    import numpy as np

    x = np.array([-744.0, -745.0])
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch:

    ```python
    p = F.softmax(logits, dim=-1)
    ```

    JAX:

    ```python
    p = jax.nn.softmax(logits, axis=-1)
    ```

    TensorFlow:

    ```python
    p = tf.nn.softmax(logits)
    ```

    A log of such a p (−log p of a subnormal p) suffers alike: take log-softmax, as on the page of SM303.

    ## See it

    ```sh
    smcli compare -744 -745
    smcli compare -100 -101 -102 --dtype float32
    ```

    ## Source

    IEEE 754-2019, 3.3 (subnormal numbers) and 7.5 (underflow). Higham 2002, Accuracy and Stability of Numerical Algorithms,
    section 2.1.
    """
    if ev.errors is None:
        return
    f = ev.format
    normal = (
        (np.abs(ev.t) >= f.smallest_normal) & np.isfinite(ev.y) & (ev.errors.ulp > 1) & ev.verdict(Verdict.INACCURATE)
    )
    for step in ev.steps("exp", "exp2", "div", "mul"):
        size = np.abs(step.output)
        subnormal = classes_of((size > 0) & (size < f.smallest_normal), ev)
        hurt = normal & subnormal if subnormal.shape == ev.y.shape else normal & subnormal.any(axis=1, keepdims=True)

        def say(row: int, at: IntArray, step: Step = step) -> str:
            return (
                f"{step.expr} is subnormal in {f.name} (below {number(f.smallest_normal)}) and has few digits: the results at "
                f"{ev.places(at)} look normal and are wrong by {number(float(np.max(ev.errors.rel[row, at])))} relative"  # type: ignore[union-attr]
            )

        yield Hit(
            hurt & ev.clean, say, "subtract the maximum first; never exponentiate logits that far below 0", step.expr
        )
