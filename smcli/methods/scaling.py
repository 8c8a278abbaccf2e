"""The way in and the way back: temperature, soft cap and the factor of a reduction, in the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.numbers.arithmetic import Arithmetic, Rows, by_columns

if TYPE_CHECKING:
    from smcli.model import FloatArray, Problem


def enter(problem: Problem, o: Arithmetic, logits: FloatArray | None = None, name: str = "x") -> Rows:
    """The logits as the method meets them: divided by the temperature and capped, in the format.

    With `logits`, others that are treated alike, such as those of a teacher, under a name of their own.
    """
    x = Rows(by_columns(problem.logits if logits is None else logits), name)
    if problem.temperature != 1:
        x = Rows(o.div(x, o.const(problem.temperature, "T")).values, f"{name}/T")
    if problem.softcap is not None:
        cap = o.const(problem.softcap, "cap")
        x = Rows(o.mul(cap, o.tanh(o.div(x, cap))).values, "y" if name == "x" else f"{name}'")
    return x


def leave(problem: Problem, g: Rows, x: Rows, o: Arithmetic, *, reduced: bool) -> Rows:
    """A derivative by x as one by the logits: back through the soft cap and the temperature.

    With `reduced` it is multiplied by the factor of the reduction, too.
    """
    if problem.softcap is not None:
        t = o.div(x, o.const(problem.softcap, "cap"))
        factor = o.sub(o.const(1), o.mul(t, t), "1 − tanh²")
        repeat = g.values.shape[1] // factor.values.shape[1]
        g = o.mul(g, Rows(np.tile(factor.values, (1, repeat)), factor.expr))
    if problem.temperature != 1:
        g = o.div(g, o.const(problem.temperature, "T"))
    if reduced and problem.scale != 1:
        g = o.mul(g, o.const(float(problem.scale), "1/N"))
    return g
