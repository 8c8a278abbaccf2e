"""The result of an analysis, and the JSON document that scripts rely on (schema smcli.report/1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smcli.errors import UsageError
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.model import Finding, FloatArray, MethodResult, QuantityResult, RowReport, StepSummary

SCHEMA = "smcli.report/1"
LABELS = np.array([v.label for v in Verdict])
RANK = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}


class Reduced(NamedTuple):
    """A loss summed or averaged over the rows of a batch."""

    quantity: str
    exact: str
    methods: tuple[MethodResult, ...]
    note: str = ""


class Report(NamedTuple):
    """What one command found in one number format.

    Attributes:
        command: "compare", "eval" or "grad".
        dtype: the number format.
        digits: significant digits of the truth.
        rows: one report a row, in the order of the input.
        reduced: the reductions over the batch.
        limits: max_ulp and max_rel where they were given explicitly.
    """

    command: str
    dtype: str
    digits: int
    rows: tuple[RowReport, ...]
    reduced: tuple[Reduced, ...] = ()
    limits: tuple[float | None, float | None] = (None, None)
    tolerance: dict[str, Any] | None = None

    @property
    def findings(self) -> list[Finding]:
        """All findings of all rows."""
        return [f for row in self.rows for f in row.findings]

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding, or None."""
        return max((f.severity for f in self.findings), key=RANK.__getitem__, default=None)

    def worst_ulp(self, method: str, quantity: str) -> float:
        """The worst error of a method over all rows, in ulp; nan ranks worst.

        Raises:
            UsageError: that method did not compute that quantity here.
        """
        errors = [
            float(m.ulp[m.worst])
            for row in self.rows
            for q in row.results
            if q.quantity == quantity
            for m in q.methods
            if m.method == method and m.available
        ]
        if not errors:
            raise UsageError(f"this report has no {quantity} by {method}")
        return math.nan if any(map(math.isnan, errors)) else max(errors)

    def beyond_limits(self) -> bool:
        """Whether a value is beyond a limit that was given explicitly."""
        max_ulp, max_rel = self.limits
        of_rows = (m for row in self.rows for q in row.results for m in q.methods)
        of_batch = (m for r in self.reduced for m in r.methods)
        return any(_beyond(m, max_ulp, max_rel) for m in (*of_rows, *of_batch))

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        from smcli import __version__

        counts: dict[str, int] = {}
        for f in self.findings:
            counts[f.code] = counts.get(f.code, 0) + 1
        summary: dict[str, Any] = {
            "rows": len(self.rows),
            "findings": dict(sorted(counts.items())),
            "worst": self.worst,
        }
        if self.reduced:
            summary["reduced"] = {
                r.quantity: {"exact": [r.exact], "methods": [_method(m, 0, short=True) for m in r.methods]}
                for r in self.reduced
            }
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "smcli": __version__,
            "command": self.command,
            "dtype": self.dtype,
            "digits": self.digits,
            "rows": [_row(row) for row in self.rows],
            "summary": summary,
        }
        return document | ({"tolerance": self.tolerance} if self.tolerance else {})


class Comparison(NamedTuple):
    """The same analysis in several number formats."""

    command: str
    reports: tuple[Report, ...]

    @property
    def findings(self) -> list[Finding]:
        """All findings of all formats."""
        return [f for r in self.reports for f in r.findings]

    def beyond_limits(self) -> bool:
        """Whether a value is beyond a limit that was given explicitly."""
        return any(r.beyond_limits() for r in self.reports)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document: one report a format."""
        return {"schema": SCHEMA, "command": self.command, "formats": [r.to_dict() for r in self.reports]}


def _beyond(m: MethodResult, max_ulp: float | None, max_rel: float | None) -> bool:
    over_ulp = max_ulp is not None and not (m.ulp <= max_ulp).all()
    return bool(over_ulp or (max_rel is not None and not (m.rel <= max_rel).all()))


def json_number(value: float) -> float | str:
    """A finite float as it is, a non-finite one as the string that JSON documents use."""
    if math.isfinite(value):
        return int(value) if value == int(value) and abs(value) < 2**53 and math.copysign(1, value) > 0 else value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def json_numbers(values: FloatArray) -> list[Any]:
    """A list of numbers for JSON; arrays without nan and infinity pass at full speed."""
    out: list[Any] = values.tolist()
    for i in np.flatnonzero(~np.isfinite(values)).tolist():
        out[i] = json_number(out[i])
    return out


def square(flat: list[Any], side: int) -> list[Any]:
    """A flat list as rows of a matrix, or as it is where `side` is 0."""
    return [flat[i : i + side] for i in range(0, side * side, side)] if side else flat


def _row(row: RowReport) -> dict[str, Any]:
    out: dict[str, Any] = {"row": row.row, "logits": json_numbers(row.logits), "target": row.target}
    if row.labels is not None:
        out["labels"] = json_numbers(row.labels)
    if row.ignored:
        out["ignored"] = True
    out["results"] = [_quantity(q) for q in row.results]
    sides = {q.quantity: q.square for q in row.results}
    out["findings"] = [_finding(f, sides) for f in row.findings]
    return out


def _quantity(q: QuantityResult) -> dict[str, Any]:
    return {
        "quantity": q.quantity,
        "exact": square(q.exact(range(q.size)), q.square),
        "certified": f"{q.certified:.0e}".replace("e-0", "e-") if q.certified else "0",
        "methods": [_method(m, q.square) for m in q.methods],
    }


def _place(index: int, side: int) -> int | list[int]:
    return list(divmod(index, side)) if side else index


def _method(m: MethodResult, side: int, *, short: bool = False) -> dict[str, Any]:
    if not m.available:
        return {"method": m.method, "available": False, "reason": m.reason}
    out: dict[str, Any] = {
        "method": m.method,
        "available": True,
        "values": square(json_numbers(m.values), side),
        "ulp": square(json_numbers(m.ulp), side),
        "rel": square(json_numbers(m.rel), side),
        "verdicts": square(LABELS[m.verdicts].tolist(), side),
    }
    if short:
        return out
    out["worst"] = {
        "at": _place(m.worst, side),
        "ulp": json_number(float(m.ulp[m.worst])),
        "rel": json_number(float(m.rel[m.worst])),
    }
    out["bound_ulp"] = None if m.bound_ulp is None else json_number(m.bound_ulp)
    if m.steps is not None:
        out["steps"] = [_step(s) for s in m.steps]
        if m.condition is not None:
            out["condition"] = json_number(m.condition)
    return out


def _step(s: StepSummary) -> dict[str, Any]:
    return {
        "step": s.step,
        "min": json_number(s.min),
        "max": json_number(s.max),
        "overflowed": s.overflowed,
        "underflowed": s.underflowed,
        "nan": s.nan,
        "first": s.first,
    }


def _finding(f: Finding, sides: dict[str, int]) -> dict[str, Any]:
    side = sides.get(f.quantity or "", 0)
    return {
        "code": f.code,
        "name": f.name,
        "severity": f.severity,
        "quantity": f.quantity,
        "method": f.method,
        "at": [_place(i, side) for i in f.at],
        "count": f.count,
        "step": f.step,
        "message": f.message,
        "remedy": f.remedy,
    }


def fails(findings: Iterable[Finding], on: str) -> bool:
    """Whether a finding is among what --fail-on names: never, a severity and all above it, codes, or several of these."""
    named = {word.strip() for word in on.split(",")}
    least = min((RANK[s] for s in Severity if s in named), default=len(RANK))
    return any(RANK[f.severity] >= least or f.code in named for f in findings)
