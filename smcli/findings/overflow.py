"""Findings about results beyond the largest number of the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.evidence import first, infinities, pick
from smcli.findings.remedies import mend
from smcli.findings.rules import Hit, choice, rule
from smcli.model import Severity, Verdict
from smcli.numbers import formats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence
    from smcli.numbers.arithmetic import Step


def sums_exponentials(ev: RunEvidence, step: Step) -> bool:
    """Whether a sum is of exponentials themselves, or of mantissas times powers of two that stand for them."""
    return step.op == "sum" and any(
        s.output is step.inputs[0] for s in ev.steps("exp", "exp2", "mul") if s.expr.startswith(("exp(", "exp2("))
    )


def is_signed(step: Step) -> bool:
    """Whether a sum is of exponentials with coefficients, which may cancel."""
    return step.op == "sum" and step.expr.startswith("Σ b·exp(")


def is_running(step: Step) -> bool:
    """Whether a sum is that of a one-pass algorithm, over the logits themselves."""
    return step.op == "sum" and step.expr.startswith("d (running sum")


@rule("SM201", "exp-overflow", Severity.ERROR, once=True)
def exp_overflow(ev: RunEvidence) -> Iterator[Hit]:
    """exp of a logit exceeds the largest number of the format.

    ## What it means

    exp(x) became inf. Softmax then divides: inf/inf is nan for that class, and anything finite over inf is 0 for the others.
    The loss is nan, its gradient too, and after the next update so is every weight.

    ## Why it happens

    exp(x) overflows where it rounds beyond the largest number. In float64 that is from x = {float64:exp_overflow} on;
    logits of 1000 are far outside, and in float16 a logit of 12 is enough.

    {table:exp_overflow,max}

    In Python `math.exp(1000)` raises `OverflowError: math range error`; NumPy returns inf with a RuntimeWarning; PyTorch,
    JAX and TensorFlow return inf without a word. float8_e4m3fn has no inf and gives nan. A sigmoid 1/(1 + exp(−x)) overflows
    so for large −x and returns 0, where the format may hold the truth; its log is −inf (SM303).

    ## How to fix it

    softmax(x) = softmax(x − c) for every c. With c = max(x) the largest term is exp(0) = 1. NumPy:

    ```python
    import numpy as np

    x = np.array([1000.0, 2000.0, 3000.0])
    z = x - x.max()
    e = np.exp(z)
    p = e / e.sum()
    log_p = z - np.log(e.sum())
    ```

    PyTorch (both subtract the maximum themselves):

    ```python
    p = F.softmax(logits, dim=-1)
    loss = F.cross_entropy(logits, target)
    ```

    JAX:

    ```python
    p = jax.nn.softmax(logits, axis=-1)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    ```

    TensorFlow:

    ```python
    p = tf.nn.softmax(logits)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
    ```

    ## See it

    ```sh
    smcli compare 1000 2000 3000 4000 5000
    smcli compare 12 3 --dtype float16
    ```

    ## Source

    Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), eq. (1.3). IEEE 754-2019, 7.4 (overflow). Python
    documentation, math.exp.
    """
    f = ev.inner
    for step in ev.steps("exp", "exp2"):
        over = step.overflowed & ev.clean
        if ev.elementwise and over.shape == ev.y.shape:  # 1/(1 + inf) is a right 0 as long as the format has no better
            over &= ev.verdict(Verdict.LOST, Verdict.INACCURATE)
        if not over.any():
            continue
        base = step.op
        shift = "use a form in which exp is only taken of negative numbers"
        argument = pick(step.inputs[0], first(over))
        top = np.full(len(over), f.exp_overflow if base == "exp" else f.exp_overflow / float(np.log(2)))
        told = "{step} is {becomes} at {at}: {base}({argument}) is beyond {format}, which holds {base} only below {top}"
        exactly = told.replace("{argument}", "{argument:repr}").replace("{top}", "{top:repr}")
        yield Hit(
            over,
            choice(told, exactly, index=np.abs(argument - top) <= 1e-4 * top),  # six digits might be the same
            mend(ev, over, whole_rows=True, otherwise=shift if ev.elementwise else "subtract the maximum before exp"),
            step.expr,
            {"step": step.expr, "becomes": "inf" if f.has_inf else "nan", "base": base, "format": f.name,
             "argument": argument, "top": top},
        )  # fmt: skip


@rule("SM202", "sum-overflow", Severity.ERROR, once=True)
def sum_overflow(ev: RunEvidence) -> Iterator[Hit]:
    """Every exp fits the format, their sum does not.

    ## What it means

    The denominator is inf, so every probability is a finite number over inf: exactly 0. No nan appears in softmax, the row
    just sums to 0, and the loss is inf for every target.

    ## Why it happens

    n equal logits overflow the sum from ln(max/n) on, that is ln n earlier than one exp does: ten logits of 9 in float16,
    where exp(9) = 8103 is harmless. Subtracting the maximum does not always help: about as many equal logits as the
    largest number (a long vocabulary in float16, some 470 classes in float8_e4m3fn) add up to more than the format has, if
    the sum does not stall before (SM404).

    {table:max,exp_overflow}

    ## How to fix it

    Subtract the maximum, and let the sum run in a wider format. NumPy:

    ```python
    import numpy as np

    x = np.full(10, 9.0, dtype=np.float16)
    e = np.exp(x - x.max())
    p = (e / e.sum(dtype=np.float32)).astype(np.float16)
    ```

    {fix:wide_softmax}

    ## See it

    ```sh
    smcli compare 9 9 9 9 9 9 9 9 9 9 --dtype float16
    smcli compare 709 709 709
    ```

    ## Source

    Blanchard, Higham & Higham 2021, section 1. IEEE 754-2019, 7.4 (overflow). PyTorch documentation,
    torch.nn.functional.softmax (dtype).
    """
    f = ev.inner
    accumulator = formats.get(ev.numerics.accumulate or f.name)
    for step in ev.steps("sum"):
        over = step.overflowed & ev.clean
        own = is_running(step)
        if own:  # terms that are beyond the format themselves are SM203's
            over &= (np.ptp(step.inputs[0], axis=1) <= f.max)[:, None]
        if not over.any() or not (own or is_signed(step) or sums_exponentials(ev, step)):
            continue
        where = np.broadcast_to(over, ev.y.shape)
        terms = step.inputs[0]
        total = np.full(len(terms), np.nan) if own else terms.sum(axis=1)
        log10 = np.log10(np.ldexp(terms, -64).sum(axis=1)) + 64 * np.log10(2)  # also where float64 cannot hold it
        largest = np.full(len(terms), np.nan) if own else np.abs(terms).max(axis=1)
        kind = np.where(np.isinf(total), 2, total <= f.max)
        kind = np.where(largest > accumulator.max, 5, 4 if is_signed(step) else kind)
        yield Hit(
            where,
            choice(
                "{step} overflows {format} though each of its {terms} terms fits: the sum is about {total}, the largest number {max}",
                "{step} overflows its accumulator {accumulator} though each of its {terms} terms fits: the sum is about {total}",
                "{step} overflows {format} though each of its {terms} terms fits: the sum is about {digits}e+{power}, the largest "
                "number {max}",
                "{step} overflows {accumulator}, whose largest number is {max}",
                "{step} overflows {accumulator} on the way, though each of its {terms} terms fits",
                "{step} overflows its accumulator {accumulator}: its largest term, {largest}, is beyond {most}",
                index=np.where(own, 3, kind),
            ),
            mend(ev, where, sums_first=True, whole_rows=True),
            step.expr,
            {"step": step.expr, "terms": terms.shape[1], "format": f.name, "total": total, "accumulator": accumulator.name,
             "max": accumulator.max if own else f.max, "largest": largest, "most": accumulator.max,
             "digits": np.round(10 ** (log10 % 1), 3), "power": np.floor(log10).astype(np.int64)},
        )  # fmt: skip


@rule("SM203", "scale-overflow", Severity.ERROR, once=True)
def scale_overflow(ev: RunEvidence) -> Iterator[Hit]:
    """Dividing the logits by the temperature exceeds the format.

    ## What it means

    x/T is infinite before softmax sees it, so subtracting the maximum comes too late: inf − inf is nan. A logit that went to
    −inf is masked instead. A T of 0, or one that the format rounds to 0, does so to every logit.

    ## Why it happens

    |x|/T goes beyond the largest number when T is small: in float16 a logit of 700 is enough at T = 0.01. Annealed sampling
    and attention scores scaled by a large factor do this. In a format without infinity, x − max(x) alone is enough. Any
    other step but exp and the sum of exps that leaves the format, and takes the result with it, is reported here, too.

    {table:max}

    ## How to fix it

    Subtract the maximum *before* the division: (x − max)/T is at most 0, and what overflows there goes to −inf, whose exp
    is 0, which is the right answer. NumPy:

    ```python
    import numpy as np

    x, T = np.array([2000.0, 1999.0], dtype=np.float16), np.float16(0.01)
    z = (x - x.max()) / T
    p = np.exp(z) / np.exp(z).sum()
    ```

    PyTorch:

    ```python
    z = (logits - logits.amax(dim=-1, keepdim=True)) / temperature
    p = F.softmax(z, dim=-1)
    ```

    JAX:

    ```python
    z = (logits - logits.max(axis=-1, keepdims=True)) / temperature
    p = jax.nn.softmax(z, axis=-1)
    ```

    TensorFlow:

    ```python
    z = (logits - tf.reduce_max(logits, axis=-1, keepdims=True)) / temperature
    p = tf.nn.softmax(z)
    ```

    ## See it

    ```sh
    smcli compare 2000 1999 --temperature 0.01 --dtype float16
    ```

    ## Source

    IEEE 754-2019, 7.4 (overflow). Hinton, Vinyals & Dean 2015, Distilling the Knowledge in a Neural Network, section 2
    (softmax with a temperature).
    """
    yield from _scaled(ev)
    yield from _beyond(ev)


def _scaled(ev: RunEvidence) -> Iterator[Hit]:
    """Logits over a temperature that are beyond the format."""
    f = ev.inner
    for step in ev.steps("div"):
        if step.expr not in {"x/T", "t/T"}:  # those of a teacher, too
            continue
        zero = step.inputs[1] == 0
        over = (step.overflowed | step.invalid) & ev.clean
        yield Hit(
            over,
            "{step} is not finite at {at}: T is 0 in {format}, and the truth, by convention, the limit as T falls to 0" if zero.any()
            else "{step} overflows {format} at {at}: {x}/{temperature} is beyond {max}",
            "choose a larger T, or take the argmax" if zero.any()
            else "subtract the maximum before dividing by T" + (", or divide in a wider format" if f.p < 53 else ""),
            step.expr,
            {"step": step.expr, "format": f.name, "x": pick(step.inputs[0], first(over)), "temperature": float(step.inputs[1].flat[0]),
             "max": f.max},
        )  # fmt: skip


def _beyond(ev: RunEvidence) -> Iterator[Hit]:
    """Other steps that are, where a value was lost by that and no finding of its own is about them."""
    f = ev.inner
    lost = ev.in_row(ev.clean) & ev.in_row(ev.verdict(Verdict.LOST, Verdict.INACCURATE) & ~np.isfinite(ev.y))
    accumulator = formats.get(ev.numerics.accumulate or f.name)
    scaled = [ev.x, *(s.output for s in ev.steps("div") if s.expr == "x/T")]
    for step in ev.run.steps:
        if not lost.any():
            return
        over = step.overflowed
        forward = any(step.inputs[0] is x for x in scaled)
        if forward:
            scaled.append(step.output)
        if is_running(step):  # x − m is computed inside it
            over &= (np.ptp(step.inputs[0], axis=1) > f.max)[:, None]
        elif step.op in {"exp", "exp2"} or is_signed(step) or sums_exponentials(ev, step):  # findings of their own
            lost = lost & ~ev.in_row(over)
            continue
        elif step.op == "log" or (ev.quantity.is_derivative and not forward):  # a pole is no overflow
            continue
        elif step.op == "div":
            over &= step.inputs[1] != 0
        where = np.broadcast_to(over, (len(lost), over.shape[1])) & lost[:, None]
        held = accumulator if step.op == "sum" and accumulator.max < f.max else step.format
        yield Hit(
            where,
            choice(
                "{step} is {becomes} at {at}: it is beyond {format}, which ends at {max}",
                "{step} is {becomes}: a logit less the largest one is beyond {format}, which ends at {max}",
                "{step} is {becomes}: it is beyond {format}, which ends at {max}",
                index=np.full(len(lost), 1 if is_running(step) else 2 * (step.op == "sum")),
            ),
            _less(ev, step),
            step.expr,
            {
                "step": step.expr,
                "becomes": infinities(np.broadcast_to(step.output, where.shape), where),
                "format": held.name,
                "max": held.max,
            },
        )
        lost = lost & ~ev.in_row(over)


def _less(ev: RunEvidence, step: Step) -> str:
    """What to do about a step other than exp that overflowed."""
    if step.op == "cast":
        return "return the result in a wider format"
    if step.op == "sum" and ev.numerics.accumulate and formats.get(ev.numerics.accumulate).max < ev.inner.max:
        return f"accumulate in {ev.inner.name} (--accumulate {ev.inner.name})"
    return "bring the logits closer together" + (", or use a wider format" if ev.inner.p < 53 else "")


@rule("SM204", "result-overflow", Severity.WARNING)
def result_overflow(ev: RunEvidence) -> Iterator[Hit]:
    """The true value is beyond the largest number of the format: no method can return it.

    ## What it means

    The result is inf, or nan in a format without infinity, and that is right for the format: the value itself does not fit,
    however it was computed. Whatever is added to it or multiplied by it is lost.

    ## Why it happens

    Computing in float32 and rounding the result to a 16-bit format, as kernels do, saves every step but the last: a loss of
    70000 is no number of float16. A z-loss, a squared logsumexp, and sums of losses get there first. A perplexity, the
    exponential of the mean loss, does so from a mean of {float32:exp_overflow} on in float32: report the mean itself.

    {table:max}

    ## How to fix it

    Return such values in a wider format than the logits have. NumPy:

    ```python
    import numpy as np

    x, t = np.array([1000.0, 0.0], dtype=np.float16), 1
    z = x.astype(np.float32)
    lse = z.max() + np.log(np.exp(z - z.max()).sum())
    total = lse - z[t] + lse**2
    ```

    PyTorch:

    ```python
    loss = F.cross_entropy(logits.float(), target)
    total = loss + logits.float().logsumexp(-1).square().mean()
    ```

    JAX:

    ```python
    z = logits.astype(jnp.float32)
    total = jax.nn.logsumexp(z, axis=-1) ** 2
    ```

    TensorFlow:

    ```python
    z = tf.cast(logits, tf.float32)
    total = tf.reduce_logsumexp(z, axis=-1) ** 2
    ```

    ## See it

    ```sh
    smcli compare 1000 0 -t 1 --z-loss 1 -d float16 --compute float32
    smcli compare 300 -300 --target 1 --dtype float8_e4m3fn
    ```

    ## Source

    IEEE 754-2019, 7.4 (overflow). PyTorch documentation, Automatic Mixed Precision (ops that autocast to float32).
    """
    beyond = ev.verdict(Verdict.NOT_REPRESENTABLE) & (ev.y != 0) & ev.clean
    yield Hit(
        beyond,
        "{got} is returned at {at}, and {format} has no better: the truth, {true}{there}, is beyond its largest number {max}",
        "return such values in a wider format than the logits have",
        facts={"got": infinities(ev.y, beyond), "format": ev.format.name, "max": ev.format.max},
    )
