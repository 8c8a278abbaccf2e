"""The finding about digits that are lost in subnormal intermediate results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.remedies import mend, with_more_exponents
from smcli.findings.rules import Hit, rule
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray
    from smcli.numbers.arithmetic import Step


@rule("SM405", "subnormal-intermediate", Severity.WARNING, once=True)
def subnormal_intermediate(ev: RunEvidence) -> Iterator[Hit]:
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

    {fix:softmax}

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
    f = ev.inner
    hurt = (np.abs(ev.t) >= ev.format.smallest_normal) & np.isfinite(ev.y) & (ev.errors.ulp > 1)
    hurt &= ev.verdict(Verdict.INACCURATE) & ev.clean
    if not hurt.any():
        return
    hits = []
    for step in ev.steps("exp", "exp2", "div", "mul"):
        size = np.abs(step.output)
        where = hurt & ev.over_values(_matters(ev, step, (size > 0) & (size < f.smallest_normal)))
        if where.any():
            hits.append((step, where))
    if not hits:
        return
    rows = np.flatnonzero(np.any([where.any(axis=1) for _, where in hits], axis=0))
    if f.p < 53:  # with more exponents and as many digits all is well, or something else is to blame
        hurt[rows] &= with_more_exponents(ev, rows)
    for step, candidates in hits:
        where = candidates & hurt
        if not where.any():
            continue
        yield Hit(
            where,
            "{step} is subnormal in {format} (below {normal}) and has few digits: the {result|results} at {at} "
            "{looks|look} normal and {is|are} wrong by {|up to }{worst} relative",
            mend(ev, where),
            step.expr,
            {"step": step.expr, "format": f.name, "normal": f.smallest_normal,
             "worst": np.where(where, ev.errors.rel, 0.0).max(axis=1)},
        )  # fmt: skip


def _matters(ev: RunEvidence, step: Step, subnormal: BoolArray) -> BoolArray:
    """Where the few digits of a subnormal go on into the result: no clip replaced it, no larger number swallowed it."""
    f = ev.inner
    for later in ev.run.steps:
        if not any(x is step.output for x in later.inputs):
            continue
        if later.op in {"add", "sub"} and later.output.shape == subnormal.shape:
            subnormal = subnormal & (np.abs(later.output) < f.smallest_normal)
        elif later.op == "sum" and ev.y.shape[1] == 1:  # for a value of the whole row only the sum counts
            subnormal = subnormal & (later.output <= subnormal.shape[1] * f.smallest_normal)
    return subnormal & ~_clipped(ev, step, subnormal.shape)


def _clipped(ev: RunEvidence, step: Step, shape: tuple[int, ...]) -> BoolArray:
    """Where a clip later replaced what became of a step's output, class by class."""
    gone = np.zeros(shape, dtype=bool)
    for later in ev.run.steps:
        if later.output.shape != shape or not any(x is step.output for x in later.inputs):
            continue
        if later.op in {"max", "min"}:
            gone |= later.output != step.output
        if later.op in {"max", "min", "div", "mul"}:
            gone |= _clipped(ev, later, shape)
    return gone
