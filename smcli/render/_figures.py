"""What is drawn of a report: named series, scales and lines, ready for any drawer. Nothing is drawn here.

On an axis of decades every number is the log10 of what its tick says, so that a probability of 1e-1738 has its place.
A 0 is then −inf; it, inf and nan get bands of their own at the edge of the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smcli.numbers import formats
from smcli.render import _grid as grid
from smcli.render import _parts as parts
from smcli.render._scale import extent, spell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.model import FloatArray, MethodResult, QuantityResult, RowReport
    from smcli.report.report import Report

NEGLIGIBLE = -4.0  # log10 ulp: an error below counts as 0 in a picture
MOST_CURVES = 8  # rows of a sweep that are drawn
NEAR = 12.0  # decades within which a line is worth stretching the picture for
SCALARS = {"logsumexp", "cross-entropy", "bce"}


@dataclass(frozen=True)
class Axis:
    """What a direction shows; with `decades` its numbers are exponents of ten."""

    label: str
    decades: bool = False


@dataclass(frozen=True)
class Series:
    """Points [N] with a name; y may be −inf, inf or nan. A truth is drawn as the mark to hit, `joined` as a line."""

    name: str
    x: FloatArray
    y: FloatArray
    truth: bool = False
    joined: bool = False


@dataclass(frozen=True)
class Line:
    """A horizontal line that values are read against."""

    name: str
    at: float


@dataclass(frozen=True)
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


def per_class(q: QuantityResult) -> bool:
    """Whether a quantity has a value for each class, even if there is only one class."""
    return q.size > 1 or q.quantity not in SCALARS


def of_quantity(report: Report, row: RowReport, q: QuantityResult) -> Iterator[Figure]:
    """The size and the error of every value, where there is one a class."""
    if per_class(q):
        x = np.arange(q.size, dtype=np.float64)
        what = "entry, row by row" if q.square else "class"
        yield from _pair(report.dtype, grid.title(q, row), Axis(what), [(x, q)], report.limits.max_ulp)


def of_rows(report: Report) -> Iterator[Figure]:
    """The figures of quantities that have one value a row: drawn over the rows."""
    of: dict[str, list[tuple[FloatArray, QuantityResult]]] = {}
    for row in report.rows:
        for q in parts.results(report, row):
            if not per_class(q) and not row.ignored:
                of.setdefault(q.quantity, []).append((np.array([float(row.row)]), q))
    for quantity, some in of.items():
        yield from _pair(report.dtype, quantity, Axis("row"), some, report.limits.max_ulp)


def of_report(report: Report, row: RowReport) -> list[Figure]:
    """All figures that stand for a report with one row in full; a lone scalar only where there is nothing else."""
    some = [f for q in parts.results(report, row) for f in of_quantity(report, row, q)]
    return some + (list(of_rows(report)) if len(report.rows) > 1 or not some else [])


def of_sweep(thing: object) -> list[Figure]:
    """The error of finite differences over their step, of another noun nothing."""
    from smcli.report.sweep import Sweep

    if not isinstance(thing, Sweep):
        return []
    curves = thing.curves[:MOST_CURVES]
    series = tuple(
        Series(
            f"row {c.row}" if len(thing.curves) > 1 else "finite differences",
            _log10(np.array([p.step for p in c.points])),
            _log10(np.array([p.error for p in c.points])),
            joined=True,
        )
        for c in curves
    )
    best = "; ".join(f"row {c.row}: best step {c.best.step:.3g}, error {c.best.error:.2g}" for c in curves)
    left_out = len(thing.curves) - len(curves)
    u = formats.get(thing.dtype).unit_roundoff
    notes = (best, *([f"{left_out} more rows are not drawn"] if left_out else []))
    return [
        Figure(f"{thing.quantity} by finite differences: error per step", f"In {thing.dtype}. {best}.",
               Axis("step", decades=True), Axis("relative error", decades=True), series,
               (Line(f"unit roundoff {u:.3g}", math.log10(u)),), notes)
    ]  # fmt: skip


def _pair(
    dtype: str, title: str, x: Axis, some: Sequence[tuple[FloatArray, QuantityResult]], limit: float | None
) -> Iterator[Figure]:
    where = np.concatenate([at for at, _ in some])
    quantity = some[0][1].quantity
    truth = Series("exact", where, np.concatenate([_exponent(q) for _, q in some]), truth=True)
    ran: dict[str, list[tuple[FloatArray, MethodResult]]] = {}
    for at, q in some:
        for m in q.methods:
            ran.setdefault(m.method, []).append((at, m))
    values = [Series(name, _x(of), _log10(np.concatenate([m.values for _, m in of]))) for name, of in ran.items()]
    lines, notes = _floors(dtype, [truth, *values])
    label = {"softmax": "probability", "gradient": "|gradient|"}.get(quantity, f"|{quantity}|")
    told = "; ".join(f"{s.name} {_told(s)}" for s in [truth, *values])
    yield Figure(f"{title}: size per {x.label}", f"{label} in {dtype} on a logarithmic scale. {told}.", x,
                 Axis(label, decades=True), (truth, *values), lines, notes)  # fmt: skip
    if not ran:
        return
    errors = [Series(name, _x(of), _small(np.concatenate([m.ulp for _, m in of]))) for name, of in ran.items()]
    told = "; ".join(f"{s.name} {_told(s)}" for s in errors)
    tiny = any(((m.ulp > 0) & (m.ulp < 10**NEGLIGIBLE)).any() for of in ran.values() for _, m in of)
    yield Figure(f"{title}: error per {x.label}", f"Errors in ulp of {dtype} on a logarithmic scale. {told}.", x,
                 Axis("error in ulp", decades=True), tuple(errors), tuple(_bounds(ran, limit)),
                 ("errors below 0.0001 ulp stand at 0",) if tiny else ())  # fmt: skip


def _x(of: Sequence[tuple[FloatArray, MethodResult]]) -> FloatArray:
    return np.concatenate([at for at, _ in of])


def _log10(values: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        return np.log10(np.abs(values))


def _exponent(q: QuantityResult) -> FloatArray:
    """log10 |t|, also where t is beyond float64."""
    return np.where(np.isfinite(q.truth), q.log10, _log10(q.truth))


def _small(ulp: FloatArray) -> FloatArray:
    return np.where(ulp < 10**NEGLIGIBLE, -np.inf, _log10(ulp))


def _told(s: Series) -> str:
    """The range of a series and how many of it are 0, inf and nan, in words."""
    finite = s.y[np.isfinite(s.y)]
    words = [f"from {spell(finite.min())} to {spell(finite.max())}"] if finite.size else []
    for mask, word in ((s.y == -np.inf, "0"), (s.y == np.inf, "inf"), (np.isnan(s.y), "nan")):
        if mask.any():
            words.append(f"{np.count_nonzero(mask)} of {s.y.size} {word}")
    return ", ".join(words)


def _floors(dtype: str, series: Sequence[Series]) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """The format's smallest numbers: lines where the values come near them, else a note."""
    fmt = formats.get(dtype)
    # the logarithm of a subnormal float64 is right, too
    lines = (Line(f"smallest normal {fmt.smallest_normal:.3g}", math.log10(fmt.smallest_normal)),
             Line(f"smallest subnormal {fmt.smallest_subnormal:.3g}", math.log10(fmt.smallest_subnormal)))  # fmt: skip
    low, high = extent(series)
    if low - lines[0].at <= max(NEAR, high - low):
        return lines, ()
    return (), (f"{dtype}'s {lines[0].name} and {lines[1].name} are far below this picture",)


def _bounds(ran: dict[str, list[tuple[FloatArray, MethodResult]]], limit: float | None) -> Iterator[Line]:
    yield Line("0.5 ulp: correctly rounded", math.log10(0.5))
    if limit:
        yield Line(f"limit {grid.error(limit)} ulp", math.log10(limit))
    same: dict[str, tuple[float, list[str]]] = {}
    for name, of in ran.items():
        known = [m.bound_ulp for _, m in of if m.bound_ulp]
        if len(known) == len(of):
            same.setdefault(grid.error(max(known)), (max(known), []))[1].append(name)
    for bound, (ulp, names) in same.items():
        yield Line(f"bound of {', '.join(names)}: {bound} ulp", math.log10(ulp))
