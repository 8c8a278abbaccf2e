"""The JSON document that scripts rely on (schema smcli.report/1), in pieces, so that it can be written as it goes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.model import Verdict
from smcli.numbers.words import upwards

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.judge.beyond import Beyond
    from smcli.judge.reduce import Reduced
    from smcli.model import Finding, FloatArray, MethodResult, QuantityResult, RowReport, StepSummary

SCHEMA = "smcli.report/1"
LABELS = np.array([v.label for v in Verdict])


def head(command: str, dtype: str, digits: int, *, compute: str = "", logits_dtype: str = "") -> dict[str, Any]:
    """The document up to its rows."""
    from smcli.version import __version__

    return {
        "schema": SCHEMA,
        "smcli": __version__,
        "command": command,
        "dtype": dtype,
        **({"compute": compute} if compute else {}),
        **({"logits_dtype": logits_dtype} if logits_dtype else {}),
        "digits": digits,
    }


def json_number(value: float) -> float | str:
    """A finite float as it is, a non-finite one as the string that JSON documents use."""
    if math.isfinite(value):
        return int(value) if value == int(value) and abs(value) < 2**53 and math.copysign(1, value) > 0 else value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def json_numbers(values: FloatArray) -> list[Any]:
    """A list of numbers for JSON; arrays without nan and infinity pass at full speed."""
    out: list[Any] = values.tolist()
    finite = np.isfinite(values)
    if not finite.all():
        for i in np.flatnonzero(~finite).tolist():
            out[i] = json_number(out[i])
    return out


def square(flat: list[Any], side: int) -> list[Any]:
    """A flat list as rows of a matrix, or as it is where `side` is 0."""
    return [flat[i : i + side] for i in range(0, side * side, side)] if side else flat


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Column:
    """A list of the document, which may be long: a piece of it is made when it is asked for.

    Attributes:
        size: how many there are, a matrix counted flat.
        side: the side of a matrix, or 0.
        piece: the numbers or texts from one index to another; numbers may be an array.
    """

    size: int
    side: int
    piece: Callable[[int, int], FloatArray | list[str]]

    def items(self, start: int, stop: int) -> list[Any]:
        """A piece as JSON has it."""
        some = self.piece(start, stop)
        return some if isinstance(some, list) else json_numbers(some)

    def whole(self) -> list[Any]:
        """All of it."""
        return square(self.items(0, self.size), self.side)


def listed(tree: Any) -> Any:
    """A document with all its columns as lists."""
    if isinstance(tree, dict):
        return {key: listed(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [listed(value) for value in tree]
    return tree.whole() if isinstance(tree, Column) else tree


def _numbers(values: FloatArray, side: int = 0) -> Column:
    return Column(values.size, side, lambda start, stop: values[start:stop])


def row_document(row: RowReport) -> dict[str, Any]:
    """One row of the document, with columns for what may be long."""
    out: dict[str, Any] = {"row": row.row, "logits": _numbers(row.logits), "target": row.target}
    if row.labels is not None:
        out["labels"] = _numbers(row.labels)
    if row.ignored:
        out["ignored"] = True
    out["results"] = [_quantity(q) for q in row.results]
    sides = {q.quantity: q.square for q in row.results}
    out["findings"] = [finding_document(f, sides.get(f.quantity or "", 0)) for f in row.findings]
    return out


def _quantity(q: QuantityResult) -> dict[str, Any]:
    return {
        "quantity": q.quantity,
        "exact": Column(q.size, q.square, lambda start, stop: q.exact(range(start, stop))),
        "certified": certified(q.certified),
        **({"sign": json_number(q.sign)} if q.sign is not None else {}),
        "methods": [_method(m, q.square) for m in q.methods],
    }


def certified(bound: float) -> str:
    """The bound of a truth's relative error, in one digit; 0 where the truth is exact."""
    return upwards(bound).replace("e-0", "e-") if bound else "0"


def _place(index: int, side: int) -> int | list[int]:
    return list(divmod(index, side)) if side else index


def _method(m: MethodResult, side: int, *, short: bool = False) -> dict[str, Any]:
    if not m.available:
        return {"method": m.method, "available": False, "reason": m.reason}
    out: dict[str, Any] = {
        "method": m.method,
        "available": True,
        **({"version": m.version} if m.version else {}),
        **({"notes": list(m.notes)} if m.notes else {}),
        "values": _numbers(m.values, side),
        "ulp": _numbers(m.ulp, side),
        "rel": _numbers(m.rel, side),
        "verdicts": Column(m.verdicts.size, side, lambda start, stop: LABELS[m.verdicts[start:stop]].tolist()),
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


def finding_document(f: Finding, side: int = 0) -> dict[str, Any]:
    """A finding; its places are pairs where the quantity is a matrix of that side."""
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


def beyond_document(b: Beyond) -> dict[str, int]:
    """How many values are beyond the limits that were given, and how many of them are correctly rounded."""
    return {"values": b.count, "correctly_rounded": b.rounded}


def reduced_document(r: Reduced) -> dict[str, Any]:
    """A reduction over the batch."""
    return {"exact": [r.exact], "methods": [_method(m, 0, short=True) for m in r.methods]}
