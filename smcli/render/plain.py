"""Tab-separated lines for awk, sort and cut: a header, then a class a line; findings on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smcli.model import Verdict
from smcli.render._grid import logit, place, value
from smcli.report.report import Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.render import Style

SUFFIXES = (".txt", ".tsv")


def render(thing: Any, _style: Style) -> str:
    """Columns row, quantity, i, logit, exact, and for each method its value, ulp, rel and verdict."""
    return "".join("\t".join(cells) + "\n" for cells in table(thing))


def table(thing: Any) -> Iterator[list[str]]:
    """The lines as lists of cells, the header first; several formats get a column of their own."""
    if not isinstance(thing, (Report, Comparison)):
        for k, listing in enumerate(thing.listings()):
            yield from ([] if k == 0 else [[]])
            yield list(listing.head)
            yield from (list(cells) for cells in listing.rows)
        return
    reports = thing.reports if isinstance(thing, Comparison) else (thing,)
    several = len(reports) > 1
    methods = list(dict.fromkeys(m.method for r in reports for row in r.rows for q in row.results for m in q.methods))
    head = ["row", "quantity", "i", "logit", "exact"]
    for name in methods:
        head += [name, f"{name}:ulp", f"{name}:rel", f"{name}:verdict"]
    yield ["dtype", *head] if several else head
    for report in reports:
        for cells in _lines(report, methods):
            yield [report.dtype, *cells] if several else cells


def _lines(report: Report, methods: list[str]) -> Iterator[list[str]]:
    for row in report.rows:
        for q in row.results:
            by_name = {m.method: m for m in q.methods if m.available}
            exact = q.exact(range(q.size))
            for i in range(q.size):
                cells = [str(row.row), q.quantity, place(q, i), logit(q, row, i), exact[i]]
                for name in methods:
                    m = by_name.get(name)
                    if m is None:
                        cells += [""] * 4
                        continue
                    numbers = (value(float(m.values[i])), repr(float(m.ulp[i])), repr(float(m.rel[i])))
                    cells += [*numbers, Verdict(int(m.verdicts[i])).label]
                yield cells


def notes(thing: Any, _style: Style) -> str:
    """The findings, a line each."""
    if not isinstance(thing, (Report, Comparison)):
        return ""
    reports = thing.reports if isinstance(thing, Comparison) else (thing,)
    lines = []
    for report in reports:
        for row in report.rows:
            for f in row.findings:
                about = " ".join(w for w in (f.method, f.quantity) if w)
                lines.append(
                    f"{f.severity} {f.code} {f.name} row {row.row}{f' {about}' if about else ''}: {f.message}\n"
                )
    return "".join(lines)
