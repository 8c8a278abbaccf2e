"""Findings about results beyond the largest number of the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import Evidence, Hit, number, places, rule
from smcli.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.arithmetic import Step
    from smcli.model import IntArray


def classes_of(mask: np.ndarray, ev: Evidence) -> np.ndarray:
    """A step's mask over the values of the quantity: as it is, or over whole rows where the shapes differ."""
    if mask.shape == ev.y.shape or ev.y.shape[1] == 1 or mask.shape == ev.x.shape:
        return mask
    return np.broadcast_to(mask.any(axis=1, keepdims=True), ev.y.shape)


@rule("SM201", "exp-overflow", Severity.ERROR)
def exp_overflow(ev: Evidence) -> Iterator[Hit]:
    """exp of a logit exceeds the largest number of the format."""
    f = ev.format
    for step in ev.steps("exp", "exp2"):
        over = step.overflowed & ev.clean

        def say(row: int, at: IntArray, step: Step = step) -> str:
            first = float(step.inputs[0][row, at[0]])
            becomes = "inf" if f.has_inf else "nan"
            base = "exp" if step.op == "exp" else "exp2"
            top = f.exp_overflow if step.op == "exp" else f.exp_overflow / np.log(2)
            return (
                f"{step.expr} is {becomes} at {places(at)}: {base}({number(first)}) is beyond {f.name}, "
                f"which holds {base} only below {number(top)}"
            )

        yield Hit(over, say, "subtract the maximum first (softmax of x − max(x) is the same), or use the fused loss", step.expr)
        if over.any():
            return


@rule("SM202", "sum-overflow", Severity.ERROR)
def sum_overflow(ev: Evidence) -> Iterator[Hit]:
    """Every exp fits the format, their sum does not."""
    for step in ev.steps("sum"):
        over = step.overflowed & ev.clean
        if not over.any() or "exp" not in step.expr:
            continue

        def say(row: int, _at: IntArray, step: Step = step) -> str:
            terms = step.inputs[0][row]
            return (
                f"{step.expr} overflows {ev.format.name} though each of its {terms.size} terms fits: "
                f"the sum is about {number(float(terms.sum()))}, the largest number {number(ev.format.max)}"
            )

        where = np.broadcast_to(over, ev.y.shape)
        yield Hit(where, say, "subtract the maximum first, or accumulate in float32 (--accumulate float32)", step.expr)
        return


@rule("SM203", "scale-overflow", Severity.ERROR)
def scale_overflow(ev: Evidence) -> Iterator[Hit]:
    """Dividing the logits by the temperature exceeds the format."""
    for step in ev.steps("div"):
        if step.expr != "x/T":
            continue

        def say(row: int, at: IntArray, step: Step = step) -> str:
            x, t = float(step.inputs[0][row, at[0]]), float(step.inputs[1].flat[0])
            return f"x/T overflows {ev.format.name} at {places(at)}: {number(x)}/{number(t)} is beyond {number(ev.format.max)}"

        yield Hit(step.overflowed & ev.clean, say, "subtract the maximum before dividing by T, or divide in a wider format", step.expr)
