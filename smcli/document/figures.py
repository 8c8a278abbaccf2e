"""What is drawn of a report: the size and the error of every value, per class or over the rows. Nothing is drawn here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.document.figure import Axis, Figure, Line, Series, extent
from smcli.document.spelling import bound, error, spell
from smcli.document.values import per_class, results, title
from smcli.numbers import formats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.model import FloatArray, QuantityResult, RowReport
    from smcli.report.report import Report
    from smcli.report.sweep import Sweep

NEGLIGIBLE = -4.0  # log10 ulp: an error below counts as 0 in a picture
MOST_CURVES = 8  # rows of a sweep that are drawn
NEAR = 12.0  # decades within which a line is worth stretching the picture for


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Ran:
    """What a method returned over an axis."""

    x: FloatArray
    values: FloatArray
    ulp: FloatArray
    bound: float | None

    @classmethod
    def joined(cls, some: Sequence[_Ran]) -> _Ran:
        """Several stretches as one; a bound holds where each has one."""
        bounds = [one.bound for one in some if one.bound]
        bound = max(bounds) if len(bounds) == len(some) else None
        x, values, ulp = (np.concatenate(parts) for parts in zip(*((r.x, r.values, r.ulp) for r in some), strict=True))
        return cls(x, values, ulp, bound)


@dataclass(slots=True)
class _Points:
    """Values of one quantity over an axis: log10 of the truth, and what each method returned, in stretches."""

    x: list[FloatArray] = field(default_factory=list)
    truth: list[FloatArray] = field(default_factory=list)
    methods: dict[str, list[_Ran]] = field(default_factory=dict)


def of_quantity(report: Report, row: RowReport, q: QuantityResult) -> Iterator[Figure]:
    """The size and the error of every value, where there is one a class."""
    if per_class(q):
        x = np.arange(q.size, dtype=np.float64)
        points = _Points([x], [np.where(np.isfinite(q.truth), q.log10, _log10(q.truth))])
        points.methods = {m.method: [_Ran(x, m.values, m.ulp, m.bound_ulp)] for m in q.methods}
        label = Axis("entry, row by row" if q.square else "class")
        yield from _pair(report.dtype, q.quantity, title(q, row), label, points, report.limits.max_ulp)


def of_rows(report: Report) -> Iterator[Figure]:
    """The figures of quantities that have one value a row: drawn over the rows, from the judged blocks."""
    of: dict[str, _Points] = {}
    for b in report.blocks:
        counted = slice(None) if b.problem.ignored is None else ~b.problem.ignored
        x = report.numbers[b.places][counted].astype(np.float64)
        for q in b.results:
            if q.truth.hi.shape[1] != 1 or quantities.get(q.quantity).shape == "class" or not x.size:
                continue
            points = of.setdefault(q.quantity, _Points())
            points.x.append(x)
            exponent = _log10(q.truth.hi[counted, 0]) + q.truth.exp2[counted, 0] * math.log10(2)
            points.truth.append(exponent)
            for m in q.methods:
                if m.available:
                    bound = None if m.bound_ulp is None else float(np.max(m.bound_ulp[counted]))
                    ran = _Ran(x, m.values[counted, 0], m.ulp[counted, 0], bound)
                    points.methods.setdefault(m.method, []).append(ran)
    for quantity, points in of.items():
        yield from _pair(report.dtype, quantity, quantity, Axis("row"), points, report.limits.max_ulp)


def of_report(report: Report, row: RowReport) -> list[Figure]:
    """All figures that stand for a report with one row in full; a lone scalar only where there is nothing else."""
    some = [f for q in results(report, row) for f in of_quantity(report, row, q)]
    return some + (list(of_rows(report)) if len(report.rows) > 1 or not some else [])


def of_sweep(sweep: Sweep) -> Figure:
    """The error of finite differences over their step."""
    curves = sweep.curves[:MOST_CURVES]
    series = tuple(
        Series(
            f"row {c.row}" if len(sweep.curves) > 1 else "finite differences",
            _log10(np.array([p.step for p in c.points])),
            _log10(np.array([p.error for p in c.points])),
            joined=True,
        )
        for c in curves
    )
    best = "; ".join(f"row {c.row}: best step {c.best.step:.3g}, error {c.best.error:.2g}" for c in curves)
    left_out = len(sweep.curves) - len(curves)
    u = formats.get(sweep.dtype).unit_roundoff
    notes = (best, *([f"{left_out} more rows are not drawn"] if left_out else []))
    return Figure(f"{sweep.quantity} by finite differences: error per step", f"In {sweep.dtype}. {best}.",
                  Axis("step", decades=True), Axis("relative error", decades=True), series,
                  (Line(f"unit roundoff {u:.3g}", math.log10(u)),), notes)  # fmt: skip


def _pair(
    dtype: str, quantity: str, heading: str, x: Axis, points: _Points, limit: float | None
) -> Iterator[Figure]:  # fmt: skip
    truth = Series("exact", np.concatenate(points.x), np.concatenate(points.truth), truth=True)
    ran = {name: _Ran.joined(some) for name, some in points.methods.items()}
    sizes = [Series(name, r.x, _log10(r.values)) for name, r in ran.items()]
    lines, notes = _floors(dtype, [truth, *sizes])
    label = {"softmax": "probability", "gradient": "|gradient|"}.get(quantity, f"|{quantity}|")
    told = "; ".join(f"{s.name} {_told(s)}" for s in [truth, *sizes])
    yield Figure(f"{heading}: size per {x.label}", f"{label} in {dtype} on a logarithmic scale. {told}.", x,
                 Axis(label, decades=True), (truth, *sizes), lines, notes)  # fmt: skip
    if not ran:
        return
    tiny = 10**NEGLIGIBLE
    errors = [Series(name, r.x, np.where(r.ulp < tiny, -np.inf, _log10(r.ulp))) for name, r in ran.items()]
    told = "; ".join(f"{s.name} {_told(s)}" for s in errors)
    there = any(((r.ulp > 0) & (r.ulp < tiny)).any() for r in ran.values())
    bounds = {name: r.bound for name, r in ran.items() if r.bound}
    yield Figure(f"{heading}: error per {x.label}", f"Errors in ulp of {dtype} on a logarithmic scale. {told}.", x,
                 Axis("error in ulp", decades=True), tuple(errors), tuple(_bounds(bounds, limit)),
                 ("errors below 0.0001 ulp stand at 0",) if there else ())  # fmt: skip


def _log10(values: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        return np.log10(np.abs(values))


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


def _bounds(bounds: dict[str, float], limit: float | None) -> Iterator[Line]:
    yield Line("0.5 ulp: correctly rounded", math.log10(0.5))
    if limit:
        yield Line(f"limit {error(limit)} ulp", math.log10(limit))
    same: dict[str, tuple[float, list[str]]] = {}
    for name, most in bounds.items():
        same.setdefault(bound(most), (most, []))[1].append(name)
    for text, (ulp, names) in same.items():
        yield Line(f"bound of {', '.join(names)}: {text} ulp", math.log10(ulp))
