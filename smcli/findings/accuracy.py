"""Findings about values that are finite and yet not what they should be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import DERIVATIVES, LOGS, Evidence, Hit, number, places, rule
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import IntArray
    from smcli.numbers.arithmetic import Step

CONDITION = 1000.0  # a problem that multiplies rounding by more is called ill-conditioned


@rule("SM401", "inaccurate", Severity.WARNING)
def inaccurate(ev: Evidence) -> Iterator[Hit]:
    """A finite value is further from the truth than a careful algorithm in this format would be.

    ## What it means

    No nan, no inf, just wrong digits. The finding gives the error in ulp (spacings of the format at the true value) and what
    a careful algorithm would have kept to on this very row.

    ## Why it happens

    The limit for n logits is max(8, 2(log2 n + 4)) ulp for log-softmax and cross-entropy; softmax and gradients add
    |x_j − max x| inside the bracket, since rounding that difference costs as much; logsumexp adds max|x|/|lse|. Beyond it
    something was thrown away. Usual ways: exp(x − logsumexp), where a large logsumexp has few digits left for the
    difference; subnormal intermediates (SM405); a long sum in a narrow format (SM404).

    {table:unit_roundoff}

    ## How to fix it

    Subtract the maximum, which is exact or nearly so, and not the logsumexp. NumPy:

    ```python
    import numpy as np

    x = np.array([1e9, 1e9 + 1])
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch (not torch.exp(logits − torch.logsumexp(...))):

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
    smcli compare 1000000000 1000000001 --method explse,shifted
    smcli compare -744 -745
    ```

    ## Source

    Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), sections 3 and 4 (error bounds of both forms). Higham 2002,
    Accuracy and Stability of Numerical Algorithms, chapter 3.
    """
    assert ev.errors is not None and ev.accurate_ulp is not None  # noqa: S101 - a rule about a run
    ulp, rel = ev.errors.ulp, ev.errors.rel
    limit = np.broadcast_to(ev.accurate_ulp, ulp.shape)
    wrong = ev.verdict(Verdict.INACCURATE) & np.isfinite(ev.y) & ev.clean

    def say(row: int, at: IntArray) -> str:
        most = int(at[np.argmax(ulp[row, at])])
        by = f"{number(float(ulp[row, most]))} ulp ({number(float(rel[row, most]))} relative)"
        allowed = float(limit[row, most])
        if not ev.limit_given:
            against = f"a careful {ev.format.name} algorithm stays within {number(allowed)} ulp here"
        else:
            against = (
                f"your limit is {number(allowed)} ulp" if np.isfinite(allowed) else "that is beyond your --max-rel"
            )
        return f"wrong by up to {by} at {ev.places(at)}; {against}"

    yield Hit(
        wrong,
        say,
        "compare with the methods shifted, fused and log1p, a wider accumulator or another order of summation",
    )


@rule("SM402", "saturated", Severity.WARNING)
def saturated(ev: Evidence) -> Iterator[Hit]:
    """A loss, log-probability or logsumexp of exactly 0, where the truth is not 0 and the format holds it.

    ## What it means

    The loss of a confident prediction reads 0 instead of, say, 4.2e-18. Ranking by loss, perplexity of easy tokens and tests
    of the form "loss > 0" go wrong; the gradient mostly vanishes with it (SM502).

    ## Why it happens

    log Σ exp(x − max) is log(1 + s), where s sums all terms but the largest. When the winner leads by d, s is about exp(−d),
    and 1 + s rounds to 1:

    {table:margin}

    log_softmax of PyTorch, JAX, TensorFlow and SciPy all return 0 for the float32 logits 16.942385 and 0; the truth is
    −4.3855e-08.

    ## How to fix it

    Leave the maximum's own 1 out of the sum and take log1p of the rest. NumPy:

    ```python
    import numpy as np

    x, t = np.array([40.0, 0.0]), 0
    top = x.argmax()
    z = x - x[top]
    log_p = z - np.log1p(np.exp(np.delete(z, top)).sum())
    loss = -log_p[t]
    ```

    PyTorch:

    ```python
    top, k = logits.max(dim=-1, keepdim=True)
    z = logits - top
    rest = z.exp().scatter(-1, k, 0.0)
    log_p = z - torch.log1p(rest.sum(dim=-1, keepdim=True))
    ```

    JAX:

    ```python
    z = logits - logits.max(axis=-1, keepdims=True)
    top = jax.nn.one_hot(logits.argmax(axis=-1), z.shape[-1], dtype=bool)
    rest = jnp.where(top, 0.0, jnp.exp(z))
    log_p = z - jnp.log1p(rest.sum(axis=-1, keepdims=True))
    ```

    TensorFlow:

    ```python
    z = logits - tf.reduce_max(logits, axis=-1, keepdims=True)
    top = tf.one_hot(tf.argmax(logits, axis=-1), z.shape[-1])
    rest = tf.exp(z) * (1.0 - top)
    log_p = z - tf.math.log1p(tf.reduce_sum(rest, axis=-1, keepdims=True))
    ```

    ## See it

    ```sh
    smcli compare 40 0 --target 0 --method fused,log1p
    smcli compare 0 -40 --quantity logsumexp --method fused,log1p
    ```

    ## Source

    Blanchard, Higham & Higham 2021, Algorithm 4.1. Python and NumPy documentation, log1p.
    """
    if ev.quantity not in LOGS:
        return
    assert ev.truth is not None  # noqa: S101 - a rule about a run
    stuck = (ev.y == 0) & (ev.truth.hi != 0) & ev.held & ev.finite_truth & ev.clean

    def say(row: int, at: IntArray) -> str:
        return (
            f"exactly 0 is returned at {places(at)}; the truth is {ev.true(row, at[0])}, which {ev.format.name} holds"
        )

    steps = [(s.expr, (s.output == 0).any(axis=1)) for s in ev.steps("log")]

    def step(row: int) -> str:
        return next((expr for expr, zero in steps if zero[row]), "")

    yield Hit(stuck, say, "leave the maximum's own 1 out of the sum and take log1p of the rest (method log1p)", step)


@rule("SM403", "not-normalised", Severity.WARNING)
def not_normalised(ev: Evidence) -> Iterator[Hit]:
    """The probabilities do not sum to 1 within what their rounding explains.

    ## What it means

    Each p may look plausible while together they make 0.9 or 32. Sampling, expected values and attention outputs are off by
    that factor. A sum that is off by a few roundings is normal and not reported.

    ## Why it happens

    In p_i = e_i/Σ the e_i and the Σ do not belong together: the sum stalled or overflowed in a narrow format (SM404, SM202),
    or exp(x − logsumexp) was used with a large, coarsely rounded logsumexp. What rounding explains is the limit of each
    value (see SM401) times its spacing, added up; it is proportional to u:

    {table:unit_roundoff}

    ## How to fix it

    Divide by the sum of the same terms, added in float32 or wider. NumPy:

    ```python
    import numpy as np

    x = np.zeros(4096, dtype=np.float16)
    e = np.exp(x - x.max())
    p = (e / e.sum(dtype=np.float32)).astype(np.float16)
    ```

    PyTorch:

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
    smcli compare 1000000000 1000000001 --method explse,shifted
    smcli compare 9 9 9 9 9 9 9 9 9 9 --dtype float16
    ```

    ## Source

    Blanchard, Higham & Higham 2021, section 4 (division against subtraction of the logsumexp). Milakov & Gimelshein 2018,
    Online normalizer calculation for softmax.
    """
    if ev.quantity != "softmax":
        return
    assert ev.accurate_ulp is not None  # noqa: S101 - a rule about a run
    f, y = ev.format, ev.y
    total = y.sum(axis=1, keepdims=True)
    spacing = np.maximum(np.abs(ev.t), f.smallest_normal) * 2 * f.unit_roundoff
    allowed = (spacing * ev.accurate_ulp).sum(axis=1, keepdims=True) + y.shape[1] * 2.0**-52
    off = (np.abs(total - 1) > allowed) & np.isfinite(total) & ev.clean & (y.shape[1] > 1)

    def say(row: int, _at: IntArray) -> str:
        return f"the probabilities sum to {number(float(total[row, 0]))}; rounding explains only 1 ± {number(float(allowed[row, 0]))}"

    yield Hit(
        np.broadcast_to(off, y.shape), say, "the sum in the denominator is wrong: look at its order and its accumulator"
    )


@rule("SM404", "stalled-sum", Severity.WARNING, once=True)
def stalled_sum(ev: Evidence) -> Iterator[Hit]:
    """The running sum grew so large that further terms no longer changed it.

    ## What it means

    Most of the row was never added. The denominator is too small, all probabilities too large: 8192 equal logits in
    bfloat16, added one after the other, each get 1/256 instead of 1/8192.

    ## Why it happens

    A term of at most half the spacing of the running sum S changes nothing. For terms of 1 that begins at S = 2^p:

    {table:stall}

    A row only has to be that long and nearly flat, as a vocabulary is at the start of training.

    ## How to fix it

    Keep the running sum in float32 (every good GPU kernel does), or add in pairs or with compensation. NumPy:

    ```python
    import numpy as np

    x = np.zeros(8192, dtype=np.float16)
    e = np.exp(x - x.max())
    p = (e / e.sum(dtype=np.float32)).astype(np.float16)
    ```

    PyTorch:

    ```python
    total = torch.sum(e, dim=-1, keepdim=True, dtype=torch.float32)
    ```

    JAX:

    ```python
    total = jnp.sum(e, axis=-1, keepdims=True, dtype=jnp.float32)
    ```

    TensorFlow:

    ```python
    total = tf.reduce_sum(tf.cast(e, tf.float32), axis=-1, keepdims=True)
    ```

    ## See it

    ```sh
    python -c "print(*[0]*4096)" | smcli compare -d float16 --sum sequential
    python -c "print(*[0]*1000)" | smcli compare -d bfloat16 --sum sequential
    ```

    The same with `--accumulate float32` or `--sum pairwise` is accurate.

    ## Source

    Higham 2002, Accuracy and Stability of Numerical Algorithms, chapter 4 (summation). Blanchard, Higham & Higham 2020, A
    class of fast and accurate summation algorithms, SIAM J. Sci. Comput. 42(3).
    """
    count = ev.x.shape[1]
    for step in ev.steps("sum"):
        if step.ignored is None:
            continue
        explained = min(2 * (math.log2(max(count, 2)) + 4) * ev.format.unit_roundoff, 0.25)
        stalled = (step.ignored > explained)[:, None] & ev.clean

        def say(row: int, _at: IntArray, step: Step = step) -> str:
            assert step.ignored is not None and step.stalled_at is not None  # noqa: S101 - checked above
            at = int(step.stalled_at[row])
            where = f" first at term {at}" if at >= 0 else ""
            return (
                f"{step.expr} stopped growing at {number(float(step.output[row, 0]))}{where}: terms below half its spacing change "
                f"nothing, and {step.ignored[row]:.1%} of the sum was left out"
            )

        remedy = "accumulate in float32 (--accumulate float32), or add pairwise or compensated (--sum)"
        yield Hit(np.broadcast_to(stalled, ev.y.shape), say, remedy, step.expr)


@rule("SM406", "ill-conditioned", Severity.NOTE, about="truth")
def ill_conditioned(ev: Evidence) -> Iterator[Hit]:
    """The problem itself multiplies rounding: a tiny change of the logits changes the result by much more.

    ## What it means

    A note, not a fault of any method: the digits of the result are not in the logits. Two careful programs may disagree by
    the condition number times u and both be right for logits one rounding apart.

    ## Why it happens

    The condition number κ is the relative change of the result over that of the logits, which is at most κ·u after they were
    rounded. With max|x| the largest logit in size it is max|x|/|lse| for logsumexp, 2(1 − p_j)·max|x| for softmax, and
    2(1 − p_j)·max|x|/|log p_j| for log-softmax. It is large for a logsumexp near 0, and for large logits with a small p.
    Above 1000 it is reported.

    {table:unit_roundoff}

    ## How to fix it

    Do not round the logits so early: take a common offset out while they are still wide. NumPy:

    ```python
    import numpy as np

    x = np.array([1e9, 1e9 + 1])
    z = (x - x.max()).astype(np.float32)
    p = np.exp(z) / np.exp(z).sum()
    ```

    PyTorch, the last layer and the loss in float32:

    ```python
    with torch.autocast(device_type="cuda", enabled=False):
        loss = F.cross_entropy(head(hidden.float()), target)
    ```

    JAX, float64 where it matters:

    ```python
    jax.config.update("jax_enable_x64", True)
    ```

    TensorFlow:

    ```python
    hidden, weight = tf.cast(hidden, tf.float64), tf.cast(weight, tf.float64)
    log_p = tf.nn.log_softmax(hidden @ weight)
    ```

    ## See it

    ```sh
    smcli compare -0.775 -0.6175 --quantity logsumexp
    smcli compare 1000000000 1000000001
    ```

    ## Source

    Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), section 2 (condition numbers). Higham 2002, Accuracy and
    Stability of Numerical Algorithms, section 1.6.
    """
    if ev.condition is None or ev.quantity in DERIVATIVES:
        return
    condition = ev.condition
    bad = (condition > CONDITION) & np.isfinite(condition) & ev.clean

    def say(row: int, at: IntArray) -> str:
        most = int(at[np.argmax(condition[row, at])])
        kappa = float(condition[row, most])
        change = kappa * ev.format.unit_roundoff
        by = f"by {number(change)} relative" if change < 0.5 else "by its own size or more"
        return (
            f"the condition number is {number(kappa)} at index {most}: one rounding of the logits ({number(ev.format.unit_roundoff)} "
            f"relative) already changes it {by}, and no algorithm in {ev.format.name} can make up for that"
        )

    yield Hit(bad, say, "the digits are not in the logits: carry them in a wider format, or do not rely on these")
