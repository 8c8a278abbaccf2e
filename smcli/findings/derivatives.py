"""Findings about derivatives: nan in the backward pass, vanished gradients, gradients that do not sum to 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import DERIVATIVES, Evidence, Hit, number, places, rule
from smcli.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import IntArray


@rule("SM501", "backward-nan", Severity.ERROR)
def backward_nan(ev: Evidence) -> Iterator[Hit]:
    """A derivative is nan or infinite although the true one is finite."""
    if ev.quantity not in DERIVATIVES:
        return
    wrong = ~np.isfinite(ev.y) & ev.finite_truth & ev.clean
    rows = wrong.any(axis=1)
    step = next((s for s in ev.steps("exp", "exp2", "sum", "log", "div", "mul", "sub") if _breaks(s, rows)), None)

    def say(row: int, at: IntArray) -> str:
        got, true = number(float(ev.y[row, at[0]])), number(float(ev.t[row, at[0]]))
        first = f"; it went wrong first in {step.expr}" if step is not None else ""
        return f"{got} is returned at {places(at)} where the true derivative is {true}{first}"

    remedy = "take the gradient of the fused loss (p − y), not back through log(softmax); mask before the loss, not after it"
    yield Hit(wrong, say, remedy, step.expr if step is not None else "")


def _breaks(step: object, rows: np.ndarray) -> bool:
    bad = step.overflowed | step.invalid  # type: ignore[attr-defined]
    return bool(bad[rows].any())


@rule("SM502", "vanished-gradient", Severity.WARNING)
def vanished_gradient(ev: Evidence) -> Iterator[Hit]:
    """A derivative of exactly 0, where the true one is not 0 and the format holds it."""
    if ev.quantity not in DERIVATIVES:
        return
    assert ev.truth is not None  # noqa: S101 - a rule about a run
    gone = (ev.y == 0) & (ev.truth.hi != 0) & ev.held & ev.clean

    def say(row: int, at: IntArray) -> str:
        return f"0 is returned at {places(at)} where the true derivative is {number(float(ev.t[row, at[0]]))}, which {ev.format.name} holds"

    step = next((s.expr for s in reversed(ev.steps("sub")) if (s.output == 0).any()), "")
    yield Hit(gone, say, "for the target's class take −(1 − p) as the sum of the other probabilities, never p − 1", step)


@rule("SM503", "gradient-sum", Severity.WARNING)
def gradient_sum(ev: Evidence) -> Iterator[Hit]:
    """The gradient of a softmax loss sums to 0; this one does not, beyond what rounding explains."""
    loss = ev.problem.loss
    if ev.quantity != "gradient" or loss is None or loss.kind != "cross-entropy" or loss.z_loss or ev.problem.softcap:
        return
    assert ev.accurate_ulp is not None  # noqa: S101 - a rule about a run
    f, y = ev.format, ev.y
    total = y.sum(axis=1, keepdims=True)
    spacing = np.maximum(np.abs(y), f.smallest_normal) * 2 * f.unit_roundoff
    allowed = (spacing * np.maximum(ev.accurate_ulp, 8)).sum(axis=1, keepdims=True) + f.unit_roundoff * np.abs(y).max(axis=1, keepdims=True)
    off = (np.abs(total) > allowed) & np.isfinite(total) & ev.clean & (y.shape[1] > 1)

    def say(row: int, _at: IntArray) -> str:
        largest = float(np.abs(y[row]).max())
        ulps = abs(float(total[row, 0])) / (max(largest, f.smallest_normal) * 2 * f.unit_roundoff)
        return (
            f"the gradient sums to {number(float(total[row, 0]))} ({number(ulps)} ulp of its largest entry), "
            f"where rounding explains ±{number(float(allowed[row, 0]))} and the truth is 0"
        )

    remedy = "labels that do not sum to 1 need p·Σy − y, not p − y; check masks, ignored rows and the reduction"
    yield Hit(np.broadcast_to(off, y.shape), say, remedy)
