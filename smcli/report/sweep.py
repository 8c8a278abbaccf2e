"""Finite differences over the step: truncation on one side, rounding on the other, and the best step between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli import methods
from smcli.judge.measure import as_float
from smcli.methods import run
from smcli.model import Listing
from smcli.numbers import formats
from smcli.problem.build import problems
from smcli.reference import Reference
from smcli.report.document import json_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.batch import Batch
    from smcli.problem.specs import Settings

BAR = 24  # characters of the longest bar


@dataclass(frozen=True)
class Point:
    """The worst error of a row's finite differences with one step, relative to its largest derivative."""

    step: float
    error: float


@dataclass(frozen=True)
class Curve:
    """The U-shaped curve of one row, from the largest step to the smallest."""

    row: int
    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """The point with the least error; the largest step of several."""
        return min(self.points, key=lambda p: (math.isnan(p.error), p.error))


@dataclass(frozen=True)
class Sweep:
    """The curves of all rows in one number format."""

    dtype: str
    quantity: str
    curves: tuple[Curve, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document (schema smcli.sweep/1), from which the curve can be plotted."""
        from smcli.version import __version__

        def point(p: Point) -> dict[str, Any]:
            return {"step": p.step, "error": json_number(p.error)}

        return {
            "schema": "smcli.sweep/1",
            "smcli": __version__,
            "dtype": self.dtype,
            "quantity": self.quantity,
            "rows": [
                {"row": c.row, "points": [point(p) for p in c.points], "best": point(c.best)} for c in self.curves
            ],
        }

    def listings(self) -> Iterable[Listing]:
        """A table a row; the bar grows with the digits that are right."""
        u = formats.get(self.dtype).unit_roundoff
        for curve in self.curves:
            best = curve.best
            heading = f"row {curve.row}: " if len(self.curves) > 1 else ""
            yield Listing(
                f"{heading}finite differences of the {self.quantity} in {self.dtype}; the best step is {best.step:.3g} "
                f"({best.error:.2g}), theory says about {(3 * u) ** (1 / 3):.2g}",
                ("step", "error", "digits that are right", ""),
                tuple(
                    (f"{p.step:.3g}", f"{p.error:.2g}", "█" * _bar(p.error, u), "best" if p is best else "")
                    for p in curve.points
                ),
                (0, 1),
            )


def _bar(error: float, u: float) -> int:
    if not error < 1:
        return 0
    return round(BAR * min(1.0, math.log(max(error, u)) / math.log(u)))


def sweep(rows: Batch, settings: Settings) -> Sweep:
    """Take finite differences with every power of 2 as the step, down to the unit roundoff, and measure each.

    The error of a step is the largest |difference − truth| over the classes, divided by the largest |truth|: in the
    ∞-norm, since single derivatives may be arbitrarily small.
    """
    fmt = settings.format
    (quantity,) = settings.quantities
    fd = methods.get("fd")
    curves = []
    for problem, block in problems(rows, settings):
        places = np.arange(len(block.values)) if problem.rows is None else problem.rows
        exact = as_float(Reference(problem).truth(quantity))
        points: list[list[Point]] = [[] for _ in block.values]
        for k in range(fmt.p + 1):
            step = math.ldexp(1.0, -k)
            done = run(fd, problem, quantity, settings.arithmetic, step)
            with np.errstate(all="ignore"):
                relative = np.abs(done.values - exact).max(axis=1) / np.abs(exact).max(axis=1)
            for row, error in zip(points, relative.tolist(), strict=True):
                row.append(Point(step, error))
        curves += [Curve(place, tuple(row)) for place, row in zip(places.tolist(), points, strict=True)]
    return Sweep(fmt.name, quantity, tuple(sorted(curves, key=lambda c: c.row)))
