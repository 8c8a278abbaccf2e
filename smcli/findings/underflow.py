"""Findings about results below the smallest number of the format, and about what a lost 0 does next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import Evidence, Hit, number, places, rule
from smcli.findings.overflow import classes_of
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.arithmetic import Step
    from smcli.model import IntArray


@rule("SM301", "underflow-not-representable", Severity.NOTE)
def underflow_not_representable(ev: Evidence) -> Iterator[Hit]:
    """The true value is below the smallest number of the format: 0 is the best it can return."""
    small = ev.verdict(Verdict.NOT_REPRESENTABLE) & (ev.y == 0) & ev.clean

    def say(_row: int, at: IntArray) -> str:
        smallest = number(ev.format.smallest_subnormal)
        return f"0 is returned at {places(at)}; the truth is not 0 but below {ev.format.name}'s smallest number {smallest}: nothing was lost"

    yield Hit(small, say, "nothing to mend in softmax; if you need these values, keep them as log-softmax, which holds them")


@rule("SM302", "underflow-lost", Severity.WARNING)
def underflow_lost(ev: Evidence) -> Iterator[Hit]:
    """A softmax of 0 was returned although the format holds the true value."""
    if ev.quantity != "softmax":
        return
    lost = ev.verdict(Verdict.LOST) & (ev.y == 0) & ev.clean
    steps = [s for s in ev.steps("exp", "exp2", "div", "mul") if (s.underflowed & (s.output == 0)).any()]

    def say(row: int, at: IntArray) -> str:
        return f"0 is returned at {places(at)} where the truth is {number(float(ev.t[row, at[0]]))}, which {ev.format.name} holds"

    remedy = "use log-softmax and exponentiate at the end, or compute in a wider format and round the result"
    yield Hit(lost, say, remedy, steps[0].expr if steps else "")


@rule("SM303", "log-of-zero", Severity.ERROR)
def log_of_zero(ev: Evidence) -> Iterator[Hit]:
    """The log of a probability that had underflowed to 0: the loss is infinite or nan, the truth is finite."""
    if ev.quantity not in {"log-softmax", "cross-entropy", "logsumexp", "bce"}:
        return
    wrong = ~np.isfinite(ev.y) & ev.finite_truth & ev.clean
    for step in ev.steps("log"):
        zero = (step.inputs[0] == 0) & ev.clean
        if zero.shape != ev.y.shape:  # a loss of one value for a row, or a log of one sum for all classes
            zero = np.broadcast_to(zero.any(axis=1, keepdims=True), ev.y.shape)

        def say(row: int, at: IntArray, step: Step = step) -> str:
            true, got = number(float(ev.t[row, at[0]])), number(float(ev.y[row, at[0]]))
            return f"{step.expr} takes the log of an underflowed 0: {got} is returned at {places(at)}, the truth is {true}"

        remedy = "compute the loss from logits in log space: log_softmax, cross_entropy, softmax_cross_entropy_with_logits"
        yield Hit(wrong & zero, say, remedy, step.expr)
        if (wrong & zero).any():
            return


@rule("SM304", "zero-sum", Severity.ERROR)
def zero_sum(ev: Evidence) -> Iterator[Hit]:
    """Every exp underflowed to 0, so the sum is 0 and softmax becomes 0/0."""
    for step in ev.steps("sum"):
        if "exp" not in step.expr or "largest" in step.expr:
            continue
        empty = (step.output == 0) & ev.clean & np.isfinite(step.inputs[0]).all(axis=1, keepdims=True)

        def say(row: int, _at: IntArray, step: Step = step) -> str:
            most = number(float(ev.x[row].max()))
            return (
                f"{step.expr} is 0: exp underflows for every logit (the largest is {most}; exp is 0 up to "
                f"{number(ev.format.exp_zero)} in {ev.format.name})"
            )

        yield Hit(np.broadcast_to(empty, ev.y.shape), say, "subtract the maximum first: its own term is then 1", step.expr)
        if empty.any():
            return


@rule("SM405", "subnormal-intermediate", Severity.WARNING)
def subnormal_intermediate(ev: Evidence) -> Iterator[Hit]:
    """Digits were lost in a subnormal intermediate although the result is a normal number."""
    if ev.errors is None:
        return
    f = ev.format
    normal = (np.abs(ev.t) >= f.smallest_normal) & np.isfinite(ev.y) & (ev.errors.ulp > 1) & ev.verdict(Verdict.INACCURATE)
    for step in ev.steps("exp", "exp2", "div", "mul"):
        size = np.abs(step.output)
        subnormal = classes_of((size > 0) & (size < f.smallest_normal), ev)
        hurt = normal & subnormal if subnormal.shape == ev.y.shape else normal & subnormal.any(axis=1, keepdims=True)

        def say(row: int, at: IntArray, step: Step = step) -> str:
            return (
                f"{step.expr} is subnormal in {f.name} (below {number(f.smallest_normal)}) and has few digits: the results at "
                f"{places(at)} look normal and are wrong by {number(float(np.max(ev.errors.rel[row, at])))} relative"  # type: ignore[union-attr]
            )

        yield Hit(hurt & ev.clean, say, "subtract the maximum first; never exponentiate logits that far below 0", step.expr)
        if (hurt & ev.clean).any():
            return
