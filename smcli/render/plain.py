"""Tab-separated lines for awk, sort and cut: a header, then a class a line; findings on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smcli import document
from smcli.document.parts import Table
from smcli.document.spelling import value
from smcli.document.style import Style
from smcli.document.values import place
from smcli.model import Verdict
from smcli.report.report import Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smcli.model import MethodResult, QuantityResult, RowReport

SUFFIXES = (".txt", ".tsv")
PIECE = 1 << 14  # values whose lines are made at once


def pieces(thing: Any, _style: Style) -> Iterator[str]:
    """Columns row, quantity, i, logit, exact, and for each method its value, ulp, rel and verdict.

    A loss that is reduced over the batch is the last line, whose row is "reduced".
    """
    if not isinstance(thing, Report | Comparison) and document.of(thing, Style()).prose:
        from smcli.render import table as page

        yield from page.pieces(thing, Style(to_file=True))  # a page has no lines of cells
        return
    for lines in table(thing):
        yield "".join("\t".join(cells) + "\n" for cells in lines)


def table(thing: Any) -> Iterator[list[list[str]]]:
    """The lines as lists of cells, some at a time, the header first; several formats get a column of their own."""
    if not isinstance(thing, Report | Comparison):
        tables = [part for part in document.of(thing, Style()).parts if isinstance(part, Table)]
        for k, t in enumerate(tables):
            shown = [i for i, cell in enumerate(t.head) if cell.kind != "bar"]
            yield [[]] * bool(k) + [[cells[i].text for i in shown] for cells in (t.head, *t.rows)]
        return
    reports = thing.reports if isinstance(thing, Comparison) else (thing,)
    several = len(reports) > 1
    ran = [s.method for r in reports for s in r.scores()] + [
        m.method for r in reports for q in r.reduced for m in q.methods
    ]
    methods = list(dict.fromkeys(ran))
    head = ["row", "quantity", "i", "logit", "exact"]
    for name in methods:
        head += [name, f"{name}:ulp", f"{name}:rel", f"{name}:verdict"]
    yield [["dtype", *head] if several else head]
    for report in reports:
        for row in report.rows:
            for q in row.results:
                for start in range(0, q.size, PIECE):
                    lines = _lines(row, q, methods, range(start, min(start + PIECE, q.size)))
                    yield [[report.model, *cells] for cells in lines] if several else lines
        for reduced in report.reduced:
            cells = ["reduced", reduced.quantity, "", "", reduced.exact]
            cells = _with_methods([cells], reduced.methods, methods, slice(0, 1))[0]
            yield [[report.model, *cells] if several else cells]


def _lines(row: RowReport, q: QuantityResult, methods: list[str], indices: range) -> list[list[str]]:
    part = slice(indices.start, indices.stop)
    per_class = q.size == row.logits.size and not q.square
    logits = map(value, row.logits[part].tolist()) if per_class else [""] * len(indices)
    lines = [[str(row.row), q.quantity, place(q, i), logit, exact]
             for i, logit, exact in zip(indices, logits, q.exact(indices), strict=True)]  # fmt: skip
    return _with_methods(lines, q.methods, methods, part)


def _with_methods(
    lines: list[list[str]], ran: Iterable[MethodResult], methods: Iterable[str], part: slice
) -> list[list[str]]:
    """The lines with the columns of each method, empty where it has no values there."""
    by_name = {m.method: m for m in ran if m.available}
    labels = [v.label for v in Verdict]
    for name in methods:
        m = by_name.get(name)
        if m is None:
            lines = [[*cells, "", "", "", ""] for cells in lines]
            continue
        columns = (a[part].tolist() for a in (m.values, m.ulp, m.rel, m.verdicts))
        for cells, y, ulp, rel, verdict in zip(lines, *columns, strict=True):
            cells += [value(y), repr(ulp), repr(rel), labels[verdict]]
    return lines


def notes(thing: Any) -> str:
    """The findings, a line each, and what is said of limits and tolerances."""
    from smcli.document.limits import judged

    if not isinstance(thing, Report | Comparison):
        return "".join(f"{said}\n" for said in judged(thing)) if hasattr(thing, "beyond") else ""
    from smcli.document.report import findings

    reports = thing.reports if isinstance(thing, Comparison) else (thing,)
    lines = []
    for report in reports:
        for f in findings(report, Style(verbose=True)):
            about = " ".join(filter(None, (report.model if len(reports) > 1 else "", f.where, f.about)))
            lines.append(f"{f.severity} {f.code} {f.name}{f' ({about})' if about else ''}: {f.message}\n")
        lines += [f"{said}\n" for said in judged(report)]
    return "".join(lines)
