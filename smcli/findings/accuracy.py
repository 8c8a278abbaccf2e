"""Findings about values that are finite and yet not what they should be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import DERIVATIVES, LOGS, Evidence, Hit, number, places, rule
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.arithmetic import Step
    from smcli.model import IntArray

CONDITION = 1000.0  # a problem that multiplies rounding by more is called ill-conditioned


@rule("SM401", "inaccurate", Severity.WARNING)
def inaccurate(ev: Evidence) -> Iterator[Hit]:
    """A finite value is further from the truth than a careful algorithm in this format would be."""
    assert ev.errors is not None and ev.accurate_ulp is not None  # noqa: S101 - a rule about a run
    ulp, rel = ev.errors.ulp, ev.errors.rel
    limit = np.broadcast_to(ev.accurate_ulp, ulp.shape)
    wrong = ev.verdict(Verdict.INACCURATE) & np.isfinite(ev.y) & ev.clean

    def say(row: int, at: IntArray) -> str:
        most = int(at[np.argmax(ulp[row, at])])
        return (
            f"wrong by up to {number(float(ulp[row, most]))} ulp ({number(float(rel[row, most]))} relative) at {places(at)}; "
            f"a careful {ev.format.name} algorithm stays within {number(float(limit[row, most]))} ulp here"
        )

    yield Hit(wrong, say, "compare with the methods shifted, fused and log1p, a wider accumulator or another order of summation")


@rule("SM402", "saturated", Severity.WARNING)
def saturated(ev: Evidence) -> Iterator[Hit]:
    """A loss, log-probability or logsumexp of exactly 0, where the truth is not 0 and the format holds it."""
    if ev.quantity not in LOGS:
        return
    assert ev.truth is not None  # noqa: S101 - a rule about a run
    stuck = (ev.y == 0) & (ev.truth.hi != 0) & ev.held & ev.finite_truth & ev.clean

    def say(row: int, at: IntArray) -> str:
        return f"exactly 0 is returned at {places(at)}; the truth is {number(float(ev.t[row, at[0]]))}, which {ev.format.name} holds"

    step = next((s.expr for s in ev.steps("log") if (s.output == 0).any()), "")
    yield Hit(stuck, say, "leave the maximum's own 1 out of the sum and take log1p of the rest (method log1p)", step)


@rule("SM403", "not-normalised", Severity.WARNING)
def not_normalised(ev: Evidence) -> Iterator[Hit]:
    """The probabilities do not sum to 1 within what their rounding explains."""
    if ev.quantity != "softmax":
        return
    assert ev.accurate_ulp is not None  # noqa: S101 - a rule about a run
    f, y = ev.format, ev.y
    total = y.sum(axis=1, keepdims=True)
    spacing = np.maximum(np.abs(y), f.smallest_normal) * 2 * f.unit_roundoff
    allowed = (spacing * ev.accurate_ulp).sum(axis=1, keepdims=True) + y.shape[1] * 2.0**-52
    off = (np.abs(total - 1) > allowed) & np.isfinite(total) & ev.clean & (y.shape[1] > 1)

    def say(row: int, _at: IntArray) -> str:
        return f"the probabilities sum to {number(float(total[row, 0]))}; rounding explains only 1 ± {number(float(allowed[row, 0]))}"

    yield Hit(np.broadcast_to(off, y.shape), say, "the sum in the denominator is wrong: look at its order and its accumulator")


@rule("SM404", "stalled-sum", Severity.WARNING)
def stalled_sum(ev: Evidence) -> Iterator[Hit]:
    """The running sum grew so large that further terms no longer changed it."""
    count = ev.x.shape[1]
    for step in ev.steps("sum"):
        if step.ignored is None:
            continue
        explained = 2 * (math.log2(max(count, 2)) + 4) * ev.format.unit_roundoff
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
        if stalled.any():
            return


@rule("SM406", "ill-conditioned", Severity.NOTE, about="truth")
def ill_conditioned(ev: Evidence) -> Iterator[Hit]:
    """The problem itself multiplies rounding: a tiny change of the logits changes the result by much more."""
    if ev.condition is None or ev.quantity in DERIVATIVES:
        return
    condition = ev.condition
    bad = (condition > CONDITION) & np.isfinite(condition) & ev.clean

    def say(row: int, at: IntArray) -> str:
        most = int(at[np.argmax(condition[row, at])])
        kappa = float(condition[row, most])
        return (
            f"the condition number is {number(kappa)} at index {most}: logits off by one rounding (relative {number(ev.format.unit_roundoff)}) "
            f"change it by {number(kappa * ev.format.unit_roundoff)} relative, so no algorithm in {ev.format.name} can promise better"
        )

    yield Hit(bad, say, "the digits are not in the logits: carry them in a wider format, or do not rely on these")
