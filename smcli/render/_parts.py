"""What every picture and page of a report is made of: which rows, which results, the overview of several formats."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import Severity, Verdict
from smcli.render import _grid as grid
from smcli.report.report import RANK, Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.model import Finding, MethodResult, QuantityResult, RowReport
    from smcli.render import Style
    from smcli.render._grid import Cell, Grid, Group

BESIDE = ": value and relative error"  # what a method's columns show
HEALTHY_ROWS = 3  # of a long batch in which nothing was found
FIRST_ROWS = 8  # row numbers that the digest of a batch lists
SEVERITIES = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
BADNESS = [Verdict.CORRECT, Verdict.OK, Verdict.NOT_REPRESENTABLE, Verdict.INACCURATE, Verdict.LOST, Verdict.UNDEFINED]
MEANINGS = {
    "correct": "the truth, correctly rounded",
    "ok": "within the limit",
    "inaccurate": "beyond the limit",
    "lost": "nan, inf or 0, where the format holds the truth",
    "not-representable": "what rounding gives; the format does not hold the truth",
    "undefined": "the truth is nan, or a logit is +inf",
}


def reports(thing: Report | Comparison) -> tuple[Report, ...]:
    """The reports of a comparison, or the one."""
    return thing.reports if isinstance(thing, Comparison) else (thing,)


def is_report(thing: object) -> bool:
    """Whether it is a report or several; other nouns are `grid.listings`."""
    return isinstance(thing, Report | Comparison)


def badness(row: RowReport) -> int:
    """The rank of the worst finding of a row, -1 without any."""
    return max((RANK[f.severity] for f in row.findings), default=-1)


def rows(report: Report, style: Style) -> tuple[Sequence[RowReport], str]:
    """The rows to show, and what to say of those that are not: of a long batch the worst ones, in their order.

    Rows without findings are left out there; where no row has any, the first few are shown.
    """
    if style.every_class or len(report.rows) <= grid.MOST_ROWS:
        return report.rows, ""
    worst = sorted((r for r in report.rows if r.findings), key=lambda r: (-badness(r), r.row))
    shown = sorted(worst[: grid.MOST_ROWS], key=lambda r: r.row) or report.rows[:HEALTHY_ROWS]
    kind = (
        "those with findings" if 0 < len(worst) <= grid.MOST_ROWS else "the worst ones" if worst else "the first ones"
    )
    return shown, f"{len(shown)} of {len(report.rows)} rows are shown, {kind}; --all shows every row, --rows A:B some"


def digest(report: Report) -> Grid | None:
    """Of a batch: how many rows each finding concerns, and the first of them; None of one row, or without findings."""
    if len(report.rows) == 1 or not report.findings:
        return None
    of: dict[str, tuple[Finding, list[int]]] = {}
    for row in report.rows:
        for f in row.findings:
            _, numbers = of.setdefault(f.code, (f, []))
            if not numbers or numbers[-1] != row.row:
                numbers.append(row.row)
    ranked = sorted(of.values(), key=lambda one: (-RANK[one[0].severity], one[0].code))
    head = [grid.Cell(t, "head") for t in ("finding", "severity")]
    head += [grid.Cell("rows", "head", right=True), grid.Cell("which", "head")]
    cells = [
        [
            grid.Cell(f"{f.code} {f.name}"),
            grid.Cell(f.severity),
            grid.Cell(str(len(numbers)), right=True),
            grid.Cell(", ".join(map(str, numbers[:FIRST_ROWS])) + (", and more" if len(numbers) > FIRST_ROWS else "")),
        ]
        for f, numbers in ranked
    ]
    return grid.Grid(head, cells)


def results(report: Report, row: RowReport) -> Iterator[QuantityResult]:
    """The quantities of a row that there is something to show of, with the methods that could run."""
    for q in row.results:
        ran = tuple(m for m in q.methods if m.available)
        if ran or report.command == "eval":
            yield replace(q, methods=ran)


def missing(row: RowReport) -> list[str]:
    """The methods that could not run, each with the reason; and what is to be known of those that did."""
    every = [m for q in row.results for m in q.methods]
    said = [f"{m.method}: {m.reason}" for m in every if not m.available]
    said += [f"{m.method}: {note}" for m in every for note in m.notes]
    versions = dict.fromkeys(f"{m.method} {m.version}" for m in every if m.version)
    return [*dict.fromkeys(said), *([f"libraries: {', '.join(versions)}"] if versions else [])]


def heading(q: QuantityResult, row: RowReport) -> str:
    """The heading of a quantity's table, and what stands in its columns."""
    return f"{grid.title(q, row)}{BESIDE if q.methods else ''}"


def is_titled(report: Report, row: RowReport) -> bool:
    """Whether a row's number is worth saying: in a batch, or where it was chosen from one."""
    return len(report.rows) > 1 or row.row > 0


def row_title(row: RowReport) -> str:
    """The heading of a row of a batch."""
    return f"row {row.row} · {row.logits.size} logits{' · ignored' if row.ignored else ''}"


def shortened(q: QuantityResult, shown: int) -> str:
    """What to say where not all classes are shown, or nothing."""
    if shown == q.size:
        return ""
    return f"{shown} of {q.size} classes are shown, those that matter most; --all shows every class"


def bounds(q: QuantityResult) -> Iterator[str]:
    """The worst error of each method beside its a-priori bound, where one is known."""
    for m in q.methods:
        if m.bound_ulp is not None:
            worst = grid.error(float(m.ulp[m.worst]))
            yield f"{m.method}: worst {worst} ulp; its a-priori bound is {grid.error(m.bound_ulp)} ulp"


def background(q: QuantityResult) -> Iterator[str]:
    """What is known before anything is computed: condition number and bounds."""
    condition = next((m.condition for m in q.methods if m.condition is not None and m.condition == m.condition), None)
    if condition is not None:
        yield f"condition number {condition:.3g}: what one rounding of the logits is multiplied by"
    yield from bounds(q)


def groups(report: Report) -> Iterator[tuple[RowReport, Group]]:
    """The findings of a report, those that say the same as one."""
    for row in report.rows:
        for group in grid.grouped(row.findings):
            yield row, group


def merged(report: Report) -> list[tuple[str, Group]]:
    """The findings of a report, worst first, those of several rows of a batch as one with the rows that they are about."""
    if len(report.rows) == 1:
        return [("", group) for _, group in groups(report)]
    same: dict[tuple[str, ...], tuple[Group, list[int]]] = {}
    for row, group in groups(report):
        same.setdefault((group.finding.code, *group.subjects), (group, []))[1].append(row.row)
    ranked = sorted(same.values(), key=lambda one: -RANK[one[0].finding.severity])
    return [(_rows_in_words(of), group) for group, of in ranked]


def _rows_in_words(of: list[int]) -> str:
    if len(of) == 1:
        return f"row {of[0]}"
    more = f" and {len(of) - 10} more" if len(of) > 10 else ""
    return f"rows {', '.join(map(str, of[:10]))}{more}; here row {of[0]}"


def counts(thing: Report | Comparison) -> dict[Severity, int]:
    """How many findings there are of each severity."""
    found = [g.finding.severity for report in reports(thing) for _, g in groups(report)]
    return {s: found.count(s) for s in SEVERITIES}


def verdict(thing: Report | Comparison) -> str:
    """How many findings there are, in words."""
    words = [f"{n} {s}{'s' if n > 1 else ''}" for s, n in counts(thing).items() if n]
    return ", ".join(words) or "nothing to report"


def subject(thing: Report | Comparison) -> str:
    """What was looked at: the formats and how many logits or rows."""
    several = reports(thing)
    some = several[0].rows
    size = some[0].logits.size if some else 0
    what = f"{size} logit{'s' if size != 1 else ''}" if len(some) == 1 else f"{len(some)} rows"
    return f"{', '.join(r.dtype for r in several)} · {what}"


def reduced(report: Report) -> Iterator[tuple[str, Grid]]:
    """The losses that were summed or averaged over the batch."""
    for r in report.reduced:
        head, cells = [grid.Cell("exact", "head")], [grid.Cell(r.exact, "exact")]
        for m in r.methods:
            head += [grid.Cell(m.method, "head"), grid.Cell("rel", "head", right=True)]
            word = Verdict(int(m.verdicts[0])).label
            cells += [grid.Cell(grid.value(float(m.values[0])), word), grid.Cell(grid.relative(m, 0), word, right=True)]
        title = f"{r.quantity} reduced over the batch{BESIDE if r.methods else ''}"
        yield f"{title} ({r.note})" if r.note else title, grid.Grid(head, [cells])


def overview(comparison: Comparison) -> Iterator[tuple[str, Grid]]:
    """For each quantity a table with a line a format and method: to choose one."""
    names = dict.fromkeys(q.quantity for r in comparison.reports for row in r.rows for q in row.results)
    columns = [("format", False), ("method", False), ("worst ulp", True), ("worst rel.", True), ("verdicts", False)]
    head = [grid.Cell(text, "head", right=right) for text, right in [*columns, ("findings", False)]]
    for quantity in names:
        lines = [
            [grid.Cell(report.dtype), *cells] for report in comparison.reports for cells in _methods(report, quantity)
        ]
        yield quantity, grid.Grid(head, lines)


def caveats(comparison: Comparison) -> Iterator[str]:
    """What the overview of several formats does not judge: the logits' own rounding, and whether a format is enough."""
    for report in comparison.reports:
        codes = sorted({f.code for f in report.findings if f.method is None and f.code.startswith(("SM1", "SM9"))})
        if codes:
            yield f"{report.dtype}: {' '.join(codes)} about the logits themselves, which the errors above do not include"
    yield "verdicts judge the algorithm in its format; whether the format is enough, the worst relative error tells"
    yield "one format in full, with all its findings: the same command with a single --dtype"


def _methods(report: Report, quantity: str) -> Iterator[list[Cell]]:
    of: dict[str, list[MethodResult]] = {}
    for row in report.rows:
        for q in row.results:
            for m in q.methods if q.quantity == quantity else ():
                if m.available:
                    of.setdefault(m.method, []).append(m)
    for method, ran in of.items():
        ulp, rel = np.concatenate([m.ulp for m in ran]), np.concatenate([m.rel for m in ran])
        number = np.bincount(np.concatenate([m.verdicts for m in ran]), minlength=len(Verdict))
        worst = max((Verdict(int(v)) for v in np.flatnonzero(number)), key=BADNESS.index).label
        codes = sorted({f.code for f in report.findings if f.method == method and f.quantity == quantity})
        yield [
            grid.Cell(method),
            grid.Cell(grid.error(float(ulp.max())), worst, right=True),  # max passes nan on: nan ranks worst
            grid.Cell(grid.error(float(rel.max())), worst, right=True),
            grid.Cell(", ".join(f"{number[v]} {v.label}" for v in BADNESS if number[v]), worst),
            grid.Cell(" ".join(codes)),
        ]
