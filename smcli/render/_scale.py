"""From the numbers of a figure to places in a picture: ranges, ticks, bands at the edge, columns of long rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smcli.document.figure import extent
from smcli.document.spelling import spell

if TYPE_CHECKING:
    from smcli.document.figure import Figure, Series
    from smcli.model import BoolArray, FloatArray

DENSE = 60  # points of a series from which marks side by side touch
CROWD = 4  # points for each column of a picture up to which all are drawn


@dataclass(frozen=True)
class Bins:
    """Points gathered into the columns of a picture.

    Attributes:
        x: where each column is.
        low, high: its lowest and highest finite y, nan without any.
        least, most, missing: whether it holds a −inf, an inf, a nan.
    """

    x: FloatArray
    low: FloatArray
    high: FloatArray
    least: BoolArray
    most: BoolArray
    missing: BoolArray


def span(f: Figure) -> tuple[float, float]:
    """The y range that shows all finite values and lines, with some air and at least a decade."""
    low, high = extent(f.series)
    low, high = min([low, *(line.at for line in f.lines)]), max([high, *(line.at for line in f.lines)])
    air = max((high - low) * 0.05, (1.0 - (high - low)) / 2 if f.y.decades else 0.0, 1e-12 * abs(high))
    return low - air, high + air


def reach(f: Figure) -> tuple[float, float]:
    """The x range, half a place wider than the points."""
    x = np.concatenate([s.x for s in f.series])
    low, high = float(x.min()), float(x.max())
    air = 0.02 * (high - low) if f.x.decades else 0.5
    return low - (air or 0.5), high + (air or 0.5)


def bands(f: Figure) -> tuple[list[str], list[str]]:
    """The bands that are needed above the picture (from the top) and below it."""
    y = np.concatenate([s.y for s in f.series])
    above = [word for word, there in (("nan", np.isnan(y).any()), ("inf", (y == np.inf).any())) if there]
    return above, ["0" if f.y.decades else "-inf"] if (y == -np.inf).any() else []


def beside(places: dict[str, float], s: Series, k: int, methods: int, band: float) -> dict[str, float]:
    """The heights of the bands for the k-th method: in long rows one above the other, lest one hides the other."""
    apart = band * 0.8 / max(methods, 1) if s.x.size > DENSE else 0.0
    return {word: y + (k - (methods - 1) / 2) * apart for word, y in places.items()}


def crowded(s: Series, columns: int) -> bool:
    """Whether there are too many points to draw each."""
    return s.x.size > CROWD * columns


def bins(s: Series, low: float, high: float, columns: int) -> Bins:
    """The points of a series one by one, or gathered where there are more than CROWD of them for each column."""
    finite = np.isfinite(s.y)
    if not crowded(s, columns):
        y = np.where(finite, s.y, np.nan)
        return Bins(s.x, y, y, s.y == -np.inf, s.y == np.inf, np.isnan(s.y))
    column = np.clip((s.x - low) / (high - low) * columns, 0, columns - 1).astype(np.int64)
    least, most = np.full(columns, np.inf), np.full(columns, -np.inf)
    np.minimum.at(least, column[finite], s.y[finite])
    np.maximum.at(most, column[finite], s.y[finite])
    empty = np.isinf(least)
    least[empty] = most[empty] = np.nan
    held = [np.bincount(column[mask], minlength=columns) > 0 for mask in (s.y == -np.inf, s.y == np.inf, np.isnan(s.y))]
    return Bins(low + (np.arange(columns) + 0.5) * (high - low) / columns, least, most, *held)


def y_ticks(f: Figure, most: int) -> list[tuple[float, str]]:
    """The ticks of the values, clear of the bands."""
    low, high = span(f)
    above, below = bands(f)
    near = (high - low) * 0.05
    inside = ticks(low, high, most, decades=f.y.decades)
    return [t for t in inside if not (above and t[0] > high - near) and not (below and t[0] < low + near)]


def ticks(low: float, high: float, most: int, *, decades: bool, whole: bool = False) -> list[tuple[float, str]]:
    """At most about `most` round places between low and high, each with its label.

    Args:
        low: start of the axis; with `decades` the log10 of what is shown there.
        high: its end.
        most: how many there is room for.
        decades: label a place y as 10**y.
        whole: only integers, as for indices.
    """
    if decades and high - low < 2.5:
        places = [e + math.log10(d) for e in range(math.floor(low), math.ceil(high) + 1) for d in (1, 2, 5)]
        inside = [p for p in places if low <= p <= high]
        if len(inside) > most:
            inside = [p for p in inside if abs(p - round(p)) < 1e-9] or inside[:: len(inside) // most + 1]
        return [(p, spell(p)) for p in inside]
    step = _step((high - low) / max(most, 1), whole=whole or decades)
    first = math.ceil(low / step)
    places = [k * step for k in range(first, first + most + 2) if k * step <= high]
    return [(p, spell(p) if decades else f"{p:.15g}") for p in places]


def _step(least: float, *, whole: bool) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below."""
    if whole and least <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))
