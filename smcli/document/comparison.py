"""The document of several number formats: a line a format and method, to choose one, and which of them are enough."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from smcli.document import report as one_format
from smcli.document.limits import judged
from smcli.document.parts import Cell, Document, Folded, Heading, Paragraph, Part, Table, Values
from smcli.document.spelling import error
from smcli.document.values import HEAD
from smcli.document.verdicts import BADNESS, worst_verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smcli.document.style import Style
    from smcli.report.counts import CodeCount, Score
    from smcli.report.report import Comparison, Report


def document(comparison: Comparison, style: Style) -> Document:
    """Several formats as one document."""
    subject = (
        f"{', '.join(dict.fromkeys(r.dtype for r in comparison.reports))} · {one_format.size(comparison.reports[0])}"
    )
    return Document(f"smcli {comparison.command}", subject, _parts(comparison, style), _closing(comparison))


def _parts(comparison: Comparison, style: Style) -> Iterator[Part]:
    if not _judged(comparison):
        for report in comparison.reports:
            yield Heading(report.model)
            yield from _in_full(report, style)
    else:
        yield from _tables(comparison, style)
    for report in comparison.reports:
        if report.confirmed is not None:
            yield Paragraph.of(f"{report.model}: {report.confirmed.sentence}", "dim")


def _judged(comparison: Comparison) -> bool:
    """Whether there are methods to choose a format by: of `eval` there are only the truths, one a format."""
    return any(r.scores() for r in comparison.reports)


def _tables(comparison: Comparison, style: Style) -> Iterator[Part]:
    scores = [(r.model, r.scores()) for r in comparison.reports]
    for quantity in dict.fromkeys(s.quantity for _, some in scores for s in some):
        of = [(dtype, s) for dtype, some in scores for s in some if s.quantity == quantity]
        full = _overview(quantity, of)
        short = tuple(replace(c, text=c.text.removeprefix("worst ")) for c in full.head)
        narrow = replace(full, head=short[:-1], rows=tuple(cells[:-1] for cells in full.rows))
        yield Values(f"{quantity}: the worst error of each format and method", (full, narrow))
    yield from _missing(scores)
    if any(s.total_rel is not None for _, some in scores for s in some):
        yield Paragraph.of("total rel: against the logits as given, their rounding to the format included", "dim")
    found = _found(comparison)
    if found:
        head = (Cell("finding", HEAD), Cell("severity", HEAD), Cell("formats", HEAD))
        rows = tuple(
            (Cell(f"{c.code} {c.name}", "strong"), Cell(c.severity, c.severity), Cell(", ".join(dtypes)))
            for c, dtypes in found.values()
        )
        yield Table("findings", head, rows, marks=False)
    for note in dict.fromkeys(note for report in comparison.reports for note in one_format.notes(report)):
        yield Paragraph.of(note, "dim")
    for report in comparison.reports:
        yield from (Paragraph.of(f"{report.model}: {said}") for said in judged(report))
    for report in comparison.reports:
        yield Folded(f"{report.model} in full", partial(_in_full, report, style))


def _missing(scores: list[tuple[str, list[Score]]]) -> Iterator[Paragraph]:
    """Which methods have no values, in which formats, and why."""
    of: dict[tuple[str, str], dict[str, None]] = {}
    for model, some in scores:
        for s in some:
            if not s.available:
                of.setdefault((s.method, s.reason), {})[model] = None
    for (method, why), models in of.items():
        where = "" if len(models) == len(scores) else f" in {', '.join(models)}"
        yield Paragraph.of(f"{method}{where}: {why}", "inaccurate")


def total(score: Score) -> float:
    """The worst relative error against the logits as they were given, their rounding included; nan where unknown."""
    return math.nan if score.total_rel is None else score.total_rel


def _overview(quantity: str, of: list[tuple[str, Score]]) -> Table:
    totals = any(s.total_rel is not None for _, s in of)
    columns = [(quantity, False), ("method", False), ("worst ulp", True), ("worst rel", True)]
    columns += [("total rel", True)] * totals + [("verdicts", False), ("findings", False)]
    rows = []
    for dtype, s in of:
        if not s.available:
            continue
        worst = worst_verdict(s.counts)
        there = [f"{s.counts[v.label]} {v.label}" for v in BADNESS if v.label in s.counts]
        cells = [Cell(dtype), Cell(s.method), Cell(error(s.worst_ulp), worst, right=True)]
        cells += [Cell(_relative(s), worst, right=True)]
        cells += [Cell(error(total(s)), right=True)] * totals
        rows.append((*cells, Cell(", ".join(there), worst), Cell(" ".join(s.codes))))
    return Table("", tuple(Cell(text, HEAD, right=right) for text, right in columns), tuple(rows))


def _relative(score: Score) -> str:
    """The worst relative error, or in a word why no number tells."""
    if "undefined" in score.counts:
        return "undefined"
    if (
        score.worst_rel == 1
        and "not-representable" in score.counts
        and not {"lost", "inaccurate"} & score.counts.keys()
    ):
        return "underflow"
    return "lost" if math.isnan(score.worst_rel) and "lost" in score.counts else error(score.worst_rel)


def _in_full(report: Report, style: Style) -> Iterable[Part]:
    return one_format.document(report, style).parts


def _found(comparison: Comparison) -> dict[str, tuple[CodeCount, list[str]]]:
    found: dict[str, tuple[CodeCount, list[str]]] = {}
    for report in comparison.reports:
        for c in report.digest():
            found.setdefault(c.code, (c, []))[1].append(report.brief)
    return found


def enough(comparison: Comparison, limit: float) -> list[str]:
    """The formats whose every value has at most that relative error; of others the methods that reach it.

    A method that lacks some of the quantities that were compared is told with those that it has.
    """
    out = []
    for report in comparison.reports:
        worst: dict[str, dict[str, float]] = {}  # of each method, by quantity
        for s in report.scores():
            if s.available:
                rel = total(s)
                worst.setdefault(s.method, {})[s.quantity] = s.worst_rel if math.isnan(rel) else max(rel, s.worst_rel)
        for r in report.reduced:
            for m in r.methods:
                worst.setdefault(m.method, {})[f"the reduced {r.quantity}"] = float(m.rel[0])
        good = {method: of for method, of in worst.items() if all(rel <= limit for rel in of.values())}
        every = dict.fromkeys(q for of in worst.values() for q in of)
        names = [
            method if len(of) == len(every) else f"{method} for {' and '.join(of)} alone" for method, of in good.items()
        ]
        if good:
            out.append(report.brief if len(good) == len(worst) else f"{report.brief} ({', '.join(names)})")
    return out


def _closing(comparison: Comparison) -> Paragraph:
    """Which formats are enough for the error that was allowed."""
    limit = comparison.limits.max_rel
    if not _judged(comparison):
        return Paragraph.of("exact certified", "dim")
    if limit is None:
        return Paragraph.of("--max-rel X tells which formats are enough; a single --dtype shows one in full", "dim")
    good = enough(comparison, limit)
    said = f"enough for a relative error of {error(limit)}: {', '.join(good) or 'none of these formats'}"
    return Paragraph.of(said, "correct" if good else "lost")
