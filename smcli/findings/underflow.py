"""Findings about results below the smallest number of the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.overflow import sums_exponentials
from smcli.findings.remedies import mend
from smcli.findings.rules import Hit, first_of, rule
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray
    from smcli.numbers.arithmetic import Step


@rule("SM301", "underflow-not-representable", Severity.NOTE)
def underflow_not_representable(ev: RunEvidence) -> Iterator[Hit]:
    """The true value is below the smallest number of the format: 0 is the best it can return.

    ## What it means

    Mathematically softmax is never 0. This value is, say, 6.6e-1738: the format has nothing between 0 and its smallest
    number, so a correctly rounded result *is* 0. Nothing was lost; the error is far below 1 ulp, though 1 relative.

    ## Why it happens

    p_i = exp(x_i − logsumexp) rounds to 0 once that exponent is low enough:

    {table:exp_zero,smallest_subnormal}

    It does harm only where something takes its log (SM303) or divides by it (SM501).

    ## How to fix it

    Softmax needs no fix. If you need these values, keep them as logs, which hold them as ordinary numbers. NumPy:

    ```python
    import numpy as np

    x = np.array([1000.0, 2000.0, 3000.0, 4000.0, 5000.0])
    z = x - x.max()
    log_p = z - np.log(np.exp(z).sum())
    ```

    {fix:log_softmax}

    ## See it

    ```sh
    smcli compare 1000 2000 3000 4000 5000
    smcli compare 0 -4000 --quantity softmax
    ```

    ## Source

    IEEE 754-2019, 7.5 (underflow). Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), section 1.
    """
    small = ev.verdict(Verdict.NOT_REPRESENTABLE) & (ev.y == 0) & ev.clean
    if ev.quantity.name == "softmax":
        remedy = "nothing has to be done; where such small probabilities matter, keep their logarithms (log-softmax)"
    elif ev.format.p == 53:
        remedy = (
            "nothing has to be done; where such small values matter, take them from the certified truth (smcli eval)"
        )
    else:
        remedy = "nothing has to be done; where such small values matter, use a format with a smaller smallest number"
    yield Hit(
        small,
        "0 is returned at {at}, and that is right for {format}: the truth, {true}{there}, is closer to 0 than to its smallest "
        "number {least}",
        remedy,
        facts={"format": ev.format.name, "least": ev.format.smallest_subnormal},
    )


@rule("SM302", "underflow-lost", Severity.WARNING)
def underflow_lost(ev: RunEvidence) -> Iterator[Hit]:
    """A softmax of 0 was returned although the format holds the true value.

    ## What it means

    A class lost its probability, and need not have: its log is −inf, sampling never draws it, no gradient reaches it. The
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

    {fix:wide_softmax}

    ## See it

    ```sh
    smcli compare -100 -110 --dtype float32
    smcli compare 12 3 --dtype float16
    ```

    ## Source

    Blanchard, Higham & Higham 2021, section 1 and eq. (1.3). IEEE 754-2019, 7.5 (underflow).
    """
    if ev.quantity.name != "softmax":
        return
    lost = ev.verdict(Verdict.LOST) & (ev.y == 0) & ev.clean
    if not lost.any():
        return

    def to_blame(s: Step) -> BoolArray:
        gone = s.underflowed & (s.output == 0)
        if gone.shape == lost.shape:
            gone = gone & lost
        return ev.in_row(gone | (s.overflowed if s.op != "div" else False))

    yield Hit(
        lost,
        "0 is returned at {at}{where} the truth{there} is {true}, which {format} holds",
        mend(ev, lost),
        first_of([(s.expr, to_blame(s)) for s in ev.steps("exp", "exp2", "sum", "div", "mul")], len(lost)),
        {"format": ev.format.name},
    )


@rule("SM304", "zero-sum", Severity.ERROR, once=True)
def zero_sum(ev: RunEvidence) -> Iterator[Hit]:
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

    {fix:softmax}

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
        if not empty.any():
            continue
        where = np.broadcast_to(empty, ev.y.shape)
        source = next(s for s in ev.run.steps if s.output is step.inputs[0])
        by_exp = source.op in {"exp", "exp2"}
        zero = ev.inner.exp_zero / (1.0 if source.op == "exp" else float(np.log(2)))
        yield Hit(
            where,
            "{step} is 0: {base} underflows for every logit (the largest is {most}; {base} is 0 up to {zero} in {format})"
            if by_exp
            else "{step} is 0: every one of its terms is below {least}, the smallest number of {format}",
            mend(ev, where, whole_rows=True, otherwise="subtract the maximum before exp: its own term is then 1"),
            step.expr,
            {"step": step.expr, "base": source.op, "most": source.inputs[0].max(axis=1), "zero": zero,
             "format": ev.inner.name, "least": ev.inner.smallest_subnormal},
        )  # fmt: skip
