"""A figure: named series, scales and lines, ready for any drawer.

On an axis of decades every number is the log10 of what its tick says, so that a probability of 1e-1738 has its place.
A 0 is then −inf; it, inf and nan get bands of their own at the edge of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Axis:
    """What a direction shows; with `decades` its numbers are exponents of ten."""

    label: str
    decades: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Series:
    """Points [N] with a name; y may be −inf, inf or nan. A truth is drawn as the mark to hit, `joined` as a line."""

    name: str
    x: FloatArray
    y: FloatArray
    truth: bool = False
    joined: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Line:
    """A horizontal line that values are read against."""

    name: str
    at: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Figure:
    """One picture.

    Attributes:
        title: what it shows, in a few words.
        summary: the same with figures, for those who cannot see it.
        x, y: the axes.
        series, lines: what is drawn.
        notes: what the picture cannot show.
    """

    title: str
    summary: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()


def extent(series: Sequence[Series]) -> tuple[float, float]:
    """The range of all finite y; 0 to 0 without any."""
    finite = np.concatenate([s.y[np.isfinite(s.y)] for s in series])
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
