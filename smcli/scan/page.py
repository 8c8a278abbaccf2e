"""What a scan found as a document: how each method did, what was found, how the errors lie, the rows to look at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from smcli.document.figure import Axis, Figure, Series
from smcli.document.limits import judged
from smcli.document.parts import Cell, Code, Document, Drawing, Paragraph, Table
from smcli.document.report import NO_FINDING, NOTHING, counted
from smcli.document.spelling import error
from smcli.model import Verdict
from smcli.numbers.words import plural
from smcli.scan.tally import EDGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.document.parts import Part
    from smcli.document.style import Style
    from smcli.scan.report import ScanReport
    from smcli.scan.tally import Count

BARS = {1: 24, 2: 16, 3: 8}  # characters of the longest bar, by methods: 80 columns have room for all of them
SHOWN, COMMANDS = 5, 3  # of the worst rows


def document(report: ScanReport, style: Style) -> Document:
    """A scan as a document; with `style.summary` without distributions and rows."""
    t = report.tally
    part = " · interrupted: the rows so far" if report.partial else ""
    found = report.digest()
    runs: list[Cell] = []
    for cell in counted(found):
        runs += [Cell(", "), cell] if runs else [cell]
    if not runs:
        bad = any(c.verdicts[[Verdict.LOST, Verdict.INACCURATE]].any() for c in t.counts.values())
        runs.append(Cell(NO_FINDING if bad else NOTHING, "dim"))
    more = f"; smcli explain {found[0].code}" if found else ""
    origin = f" ({report.origin})" if report.origin and report.origin != "--dtype" else ""
    runs.append(Cell(f"; {report.dtype}{origin}, {plural(t.rows, 'row')}{part.replace(' · ', ', ')}{more}", "dim"))
    subject = f"{report.dtype} · {plural(t.rows, 'row')} · {plural(t.values, 'logit')}{part}"
    return Document("smcli scan", subject, _parts(report, style), Paragraph(tuple(runs)))


def _parts(report: ScanReport, style: Style) -> Iterator[Part]:  # noqa: C901 - one branch a part
    t = report.tally
    title = f"{plural(t.rows, 'row')}, {plural(t.values, 'logit')}, {report.dtype}"
    title += " (interrupted: the rows so far)" if report.partial else ""
    title += "; a quick look at the logits as they are, nothing is computed" if report.quick else ""
    if report.quick:
        yield _table(
            title, ("least logit", "largest logit"), [(f"{t.extremes.least:g}", f"{t.extremes.most:g}")], {0, 1}
        )
    if t.counts or t.missing:
        yield _methods(report, title)
    if t.findings:
        yield _findings(report)
    for name, why in report.errors:
        yield Paragraph((Cell(f"{name} is left out: ", "error"), Cell(why.message)))
    yield from map(Paragraph.of, judged(report))
    for note in report.notes:
        yield Paragraph.of(note, "dim")
    if style.summary:
        return
    for quantity in dict.fromkeys(q for _, q in t.counts):
        yield _distribution(report, quantity)
    if t.counts:
        yield Drawing(lambda: _figures(report))
    if t.worst_rows:
        yield _rows(report)
        commands = dict.fromkeys(filter(None, (report.command(bad.row) for bad in t.worst_rows[:COMMANDS])))
        if commands:
            yield Code("sh", "\n".join(commands))


def _methods(report: ScanReport, title: str) -> Table:
    counts = report.tally.counts
    verdicts = [v for v in Verdict if any(c.verdicts[v] for c in counts.values())]
    several = len(report.files) > 1
    head = (
        "method",
        "quantity",
        "worst ulp",
        *(["file"] if several else []),
        "row",
        "index",
        *(v.label for v in verdicts),
    )
    lines = []
    for (method, quantity), c in counts.items():
        ulp, row, index = c.worst
        name, number = report.place(row)
        place = (*([name] if several else []), str(number), str(index))
        lines.append((method, quantity, error(ulp), *place, *(str(int(c.verdicts[v])) for v in verdicts)))
    for method, why in report.unavailable.items():
        lines.append((method, why, *[""] * (len(head) - 2)))
    return _table(title, head, lines, set(range(2, len(head))) - ({3} if several else set()))


def _findings(report: ScanReport) -> Table:
    several = len(report.files) > 1
    head = ("code", "finding", "severity", "rows", *(["file"] if several else []), "first row")
    body = []
    for c in report.digest():
        name, number = report.place(c.first_rows[0])
        cells = [Cell(c.code, "strong"), Cell(c.name), Cell(c.severity, c.severity), Cell(str(c.rows), right=True)]
        body.append((*cells, *([Cell(name)] if several else []), Cell(str(number), right=True)))
    return Table("findings", _head(head, {3, len(head) - 1}), tuple(body), marks=False)


def _distribution(report: ScanReport, quantity: str) -> Table:
    """How many errors lie up to each edge, method beside method, each with a bar."""
    counts = {method: c for (method, q), c in report.tally.counts.items() if q == quantity}
    labels = [f"{edge:g}" for edge in EDGES] + [f"beyond {EDGES[-1]:g}, or nan"]
    used = [k for k in range(len(labels)) if any(c.histogram[k] for c in counts.values())]
    head = [Cell("up to ulp", "head")]
    for method in counts:
        head += [Cell(method, "head", right=True), Cell("", "bar", near=True)]
    bar = BARS.get(len(counts), min(BARS.values()))
    body = []
    for k in used:
        cells = [Cell(labels[k])]
        for c in counts.values():
            n, most = int(c.histogram[k]), max(int(c.histogram.max()), 1)
            cells += [Cell(str(n) if n else "", right=True), Cell("█" * math.ceil(bar * n / most), "bar", near=True)]
        body.append(tuple(cells))
    return Table(
        f"errors of {quantity}: how many values are within how many ulp", tuple(head), tuple(body), marks=False
    )


def _figures(report: ScanReport) -> Iterator[Figure]:
    """The same as pictures."""
    edges = np.log10(np.array([*EDGES, EDGES[-1] * 16]))
    for quantity in dict.fromkeys(q for _, q in report.tally.counts):
        series, told = [], []
        for (method, q), c in report.tally.counts.items():
            if q == quantity:
                with np.errstate(divide="ignore"):
                    series.append(Series(method, edges, np.log10(c.histogram.astype(np.float64)), joined=True))
                told.append(f"{method}: {_told(c)}")
        yield Figure(
            f"{quantity}: how many values have how large an error",
            f"{'; '.join(told)}.",
            Axis("error in ulp, up to", decades=True),
            Axis("values", decades=True),
            tuple(series),
            notes=(f"Errors beyond {EDGES[-1]:g} ulp, and nan, stand at the right end",),
        )


def _told(c: Count) -> str:
    total = int(c.histogram.sum())
    within = int(c.histogram[0])
    return f"{within} of {total} values within {EDGES[0]:g} ulp, the worst error {error(c.worst[0])} ulp"


def _rows(report: ScanReport) -> Table:
    several = len(report.files) > 1
    shown = report.tally.worst_rows[:SHOWN]
    judged = any(bad.method for bad in shown)
    head = (*(["file"] if several else []), "row", *(["method", "quantity", "ulp"] if judged else []))
    lines = []
    for bad in shown:
        name, number = report.place(bad.row)
        undefined = bad.rank == math.inf and bad.ulp == 0
        said = Verdict.UNDEFINED.label if undefined else error(bad.ulp)
        by = (bad.method, bad.quantity, said) if bad.method else ("", "", "")
        lines.append((*([name] if several else []), str(number), *(by if judged else ())))
    title = "the rows most worth a look"
    if len(shown) < report.tally.bad and all(row.bad for row in shown):
        title += f", {len(shown)} of {report.tally.bad} {'with findings' if report.quick else 'bad ones'}"
    return _table(title, head, lines, {several + 0, len(head) - 1})


def _table(title: str, head: tuple[str, ...], lines: list[tuple[str, ...]], right: set[int]) -> Table:
    rows = tuple(tuple(Cell(t, right=k in right) for k, t in enumerate(line)) for line in lines)
    return Table(title, _head(head, right), rows, marks=False)


def _head(names: tuple[str, ...], right: set[int]) -> tuple[Cell, ...]:
    return tuple(Cell(text, "head", right=k in right) for k, text in enumerate(names))
