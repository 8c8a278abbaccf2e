"""Central finite differences, the check that everyone makes of a gradient."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli.errors import PrecisionError
from smcli.methods import get
from smcli.methods.base import method, run
from smcli.model import required
from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from smcli.model import FloatArray, Problem
    from smcli.numbers.formats import Format
    from smcli.quantities import Quantity

MOST_CLASSES = 4096  # the loss is evaluated twice a class


@method("fd", source="central differences of the fused loss", backward="differences")
class FiniteDifferences:
    """Central finite differences, (f(x + h) − f(x − h)) / 2h: truncation falls with h, rounding grows."""

    def derivative(self, problem: Problem, quantity: Quantity, o: Arithmetic, step: float | None) -> Rows:
        rows, classes = problem.logits.shape
        if classes > MOST_CLASSES:
            raise PrecisionError(
                f"finite differences of {classes} classes need {2 * classes} evaluations of the loss a row",
                f"fd takes rows of at most {MOST_CLASSES} classes; leave it out",
            )
        f, x = o.format, problem.logits
        h = f.round(_relative_steps(x, f) if step is None else step + 0 * x)
        up, down = f.round(x + h), f.round(x - h)
        spread = f.round(up - down)
        out = np.empty((rows, quantity.size(problem)))
        for r in range(rows):
            ends = []
            for moved in (up, down):
                block = np.repeat(x[r : r + 1], classes, axis=0)
                np.fill_diagonal(block, moved[r])
                ends.append(_evaluate(problem, r, quantity, block, o))
            difference = f.round(ends[0] - ends[1])
            out[r] = f.round(difference / spread[r][:, None]).T.reshape(-1)
        o.sub(Rows(up, "x + h"), Rows(down, "(x − h)"))
        return Rows(out, "(f(x + h) − f(x − h))/2h")


def default_step(fmt: Format) -> float:
    """The step relative to 1 + |x|, a power of two near the cube root of the unit roundoff."""
    return math.ldexp(1.0, round(math.log2(fmt.unit_roundoff) / 3))


def _relative_steps(x: FloatArray, fmt: Format) -> FloatArray:
    size = np.abs(np.where(np.isfinite(x), x, 0.0))
    steps: FloatArray = default_step(fmt) * np.exp2(np.ceil(np.log2(1 + size)))
    return steps


def _evaluate(problem: Problem, row: int, quantity: Quantity, block: FloatArray, o: Arithmetic) -> FloatArray:
    """What is differentiated, of C copies of a row with one logit moved in each: a number [C, 1], or softmax [C, C]."""
    quiet = Arithmetic(o.format, o.accumulate, o.order)
    part = replace(problem, dtype=o.format.name, logits=block, ignored=None)
    if quantity.name != "gradient":
        of = "softmax" if quantity.shape == "matrix" else problem.vjp_of
        p = run(get("shifted"), replace(part, loss=None), of, quiet).values
        if quantity.shape == "matrix":
            return p
        weighted = quiet.mul(Rows(p, "p"), quiet.given(np.broadcast_to(problem.cotangent, p.shape), "v"))  # type: ignore[arg-type]
        return quiet.sum(weighted).values

    def pick(a: FloatArray | None) -> FloatArray | None:
        return None if a is None else np.repeat(a[row : row + 1], block.shape[0], axis=0)

    loss = required(problem.loss)
    part = replace(
        part,
        loss=replace(loss, target=pick(loss.target), labels=pick(loss.labels), teacher=pick(loss.teacher)),  # type: ignore[arg-type]
    )
    values = run(get("fused"), part, loss.kind, quiet).values
    if loss.is_binary:
        values = np.diagonal(values)[:, None]
    return o.format.round(values * float(problem.scale))
