"""The document of a report: the answer first, then values, then what was found and what to do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from smcli.document.layouts import values
from smcli.document.parts import LEAST, Cell, Document, Drawing, FindingBlock, Heading, Paragraph, Part, Remedy, Table
from smcli.document.spelling import error, listed, number, shorten
from smcli.document.values import (
    HEAD,
    background,
    in_ulp,
    logit,
    most_digits,
    per_class,
    place,
    relative,
    results,
    sign,
    steps,
    wrong,
)
from smcli.document.verdicts import verdicts
from smcli.judge.block import told
from smcli.methods.base import BY_ROW
from smcli.model import Severity, Verdict
from smcli.numbers import formats
from smcli.numbers.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from smcli.document.figure import Figure
    from smcli.document.style import Style
    from smcli.document.verdicts import Told
    from smcli.model import Finding, QuantityResult, RowReport
    from smcli.report.counts import CodeCount
    from smcli.report.report import Report

WORST_ROWS = 3  # of a batch, shown in full
PLAIN_ROWS = 20  # of a batch without methods to judge
SHORT = 16  # values of a healthy row up to which all are shown
QUIET = {"SM104", "SM301", "SM406", "SM901"}  # notes that say what is as it should be, and ask for nothing
NOTHING, NO_FINDING = "nothing to report", "no finding says why"
SEVERITIES = (Severity.ERROR, Severity.WARNING, Severity.NOTE)


def document(report: Report, style: Style) -> Document:
    """A report as a document."""
    answer = verdicts(report)
    found = list(findings(report, style))
    return Document(
        f"smcli {report.command}",
        subject(report),
        _parts(report, style, found),
        closing(report, style, found),
        answer if answer.lines else None,
    )


def subject(report: Report) -> str:
    """What was looked at: the format and how many logits or rows."""
    return f"{report.model} · {size(report)}"


def size(report: Report) -> str:
    """How many rows there are, or of one how many logits."""
    rows = len(report.rows)
    return plural(rows, "row") if rows != 1 else plural(report.blocks[0].problem.logits.shape[1], "logit")


def counted(found: Sequence[CodeCount | FindingBlock]) -> list[Cell]:
    """How many findings there are of each severity, in words."""
    number = {s: sum(c.severity == s for c in found) for s in SEVERITIES}
    return [Cell(plural(n, s), s) for s, n in number.items() if n]


def closing(report: Report, style: Style, found: Sequence[FindingBlock] | None = None) -> Paragraph:
    """What was found, in which format, and where to read on; `found` is what is shown of it."""
    rows = f", {plural(len(report.rows), 'row')}" if len(report.rows) > 1 else ""
    whence = f" ({report.origin})" if report.origin else ""
    by = "" if report.confirmed is None else f", {report.confirmed.sentence}"
    truth = f"exact certified{by}{limit(report)}"
    shown = found if found is not None else list(findings(report, style))
    return ending(report, f"; {report.model}{whence}{rows}; {truth}{kernels(report)}", style, shown or None)


def limit(report: Report) -> str:
    """Of a temperature of 0, what the truth is: nothing defines x/0."""
    zero = any(block.problem.temperature == 0 for block in report.blocks)
    return ", by convention the limit as T falls to 0" if zero else ""


def ending(report: Told, of: str, style: Style, shown: Sequence[FindingBlock] | None = None) -> Paragraph:
    """How much was found, in what, and where to read on; notes that ask for nothing by their codes.

    What is counted is what is shown, or the codes where that is nothing. Where values are wrong and no finding is about
    them, as of code that returned nan and is not seen, that is said.
    """
    found = report.digest()
    quiet = [] if style.verbose else [c.code for c in found if c.code in QUIET]
    runs: list[Cell] = []
    for cell in counted(shown or [c for c in found if c.code not in quiet]):
        runs += [Cell(", "), cell] if runs else [cell]
    if quiet:
        said = f"note{'s' if len(quiet) > 1 else ''} {', '.join(quiet)} (-v)"
        runs += [Cell(", " if runs else ""), Cell(said, Severity.NOTE)]
    if not runs:
        bad = any({"lost", "inaccurate"} & s.counts.keys() for s in report.scores())
        runs.append(Cell(NO_FINDING if bad else NOTHING, "dim"))
    more = f"; smcli explain {found[0].code}" if found else ""
    return Paragraph((*runs, Cell(f"{of}{more}", "dim")))


def kernels(report: Report) -> str:
    """Of a narrow format, that kernels do not compute in it, and how to see what they do."""
    narrow = formats.get(report.dtype).bits <= formats.NARROW and not report.compute and report.command != "check"
    return f"; kernels compute in {formats.KERNELS}: --compute {formats.KERNELS}" if narrow else ""


def _parts(report: Report, style: Style, told: Sequence[FindingBlock]) -> Iterator[Part]:
    answer = verdicts(report)
    if answer.lines:
        yield answer
    rows = list(report.rows) if len(report.rows) == 1 else report.rows  # a row is made anew whenever it is asked for
    batch, found = len(rows) > 1, report.digest()
    if batch and found:
        yield in_rows(found, len(rows))
    yield from _reduced(report, style)
    if style.summary:
        yield from _judged(report)
        yield from (Paragraph.of(note, "dim") for note in notes(report))
        return
    shown, left_out = _shown(report, rows, style, found)
    if not shown and report.scores():
        yield _worst_values(report, rows, style)
        yield from (Drawing(partial(_figures, report, rows[0], q)) for q in results(report, rows[0]) if not batch)
    for row in shown:
        yield from _row(report, row, style, titled=batch or row.row > 0)
    if batch or not any(per_class(q) for row in shown for q in row.results):
        yield Drawing(partial(_figures, report))
    yield from told
    yield from _judged(report)
    yield from (Paragraph.of(said, "dim") for said in (*_told(report), left_out) if said)


def _judged(report: Report) -> Iterator[Paragraph]:
    """What there is to say of limits and tolerances, where some were given or asked for."""
    if report.limits.given or report.tolerance is not None:
        from smcli.document.limits import judged

        yield from map(Paragraph.of, judged(report))


def _told(report: Report) -> Iterator[str]:
    """What is to be known of how values came about, and the versions of libraries."""
    ran = [m for b in report.blocks for q in b.results for m in q.methods]
    yield from (note for note in notes(report) if BY_ROW not in note)  # a finding stands for that
    versions = dict.fromkeys(f"{m.method} {m.version}" for m in ran if m.version)
    yield f"libraries: {', '.join(versions)}" if versions else ""


def notes(report: Report) -> list[str]:
    """What is to be known of how values came about, each once."""
    return list(told(m for b in report.blocks for q in b.results for m in q.methods).values())


def _shown(
    report: Report, rows: Sequence[RowReport], style: Style, found: Sequence[CodeCount]
) -> tuple[Sequence[RowReport], str]:
    """The rows to show in full, and what to say of the others: all of a small thing, of a large one the worst."""
    if style.every_class:
        return rows, ""
    ran = any(s.available for s in report.scores())
    if report.command == "check" and not ran:  # a reduced loss alone
        return (), ""
    healthy = all(c.severity == Severity.NOTE for c in found)
    first = rows[0] if rows else None
    traced = first is not None and any(m.steps is not None for q in first.results for m in q.methods)
    if not ran or traced or (len(rows) == 1 and not healthy):
        some = rows if len(rows) <= PLAIN_ROWS and not traced else rows[:WORST_ROWS]
    elif healthy:
        if first is not None and len(rows) == 1 and sum(q.size for q in results(report, first)) <= SHORT:
            return rows, ""
        return (), "only the worst values are shown; --all shows every one"
    else:
        some = sorted(report.flagged(WORST_ROWS, Severity.WARNING), key=lambda r: r.row)
    if len(some) == len(rows):
        return some, ""
    kind = "first" if not ran or traced else "worst"
    shown = f"rows is shown, the {kind} one" if len(some) == 1 else f"rows are shown, the {kind} ones"
    return some, f"{len(some)} of {len(rows)} {shown}; --all shows every row, --rows A:B some"


def _row(report: Report, row: RowReport, style: Style, *, titled: bool) -> Iterator[Part]:
    if titled:
        yield Heading(f"row {row.row} · {plural(row.logits.size, 'logit')}{' · ignored' if row.ignored else ''}")
    of = list(results(report, row))
    if len(report.rows) > 1 and not style.every_class:  # of a bad row what is bad
        of = [q for q in of if wrong(q).any()] or of
    for q in of:
        yield values(report, row, q, style)
        if q.sign is not None:
            yield Paragraph.of(sign(q.sign), "dim")
        if style.verbose or any(m.steps is not None for m in q.methods):
            for line in background(q):
                yield Paragraph.of(line, "dim")
        yield from (steps(m) for m in q.methods if m.steps)
        unseen = ", ".join(m.method for m in q.methods if m.steps is not None and not m.steps)
        if unseen:
            yield Paragraph.of(f"the steps of {unseen} are not seen, only what is returned", "dim")
        yield Drawing(partial(_figures, report, row, q))


def _figures(report: Report, row: RowReport | None = None, q: QuantityResult | None = None) -> Iterable[Figure]:
    """The figures of a quantity of a row, or of what has one value a row."""
    from smcli.document import figures

    return figures.of_rows(report) if row is None or q is None else figures.of_quantity(report, row, q)


def by_number(rows: Sequence[RowReport], number: int) -> RowReport:
    """The row of that number: usually its place, unless only some rows were chosen."""
    if number < len(rows) and (row := rows[number]).row == number:
        return row
    return next(row for row in rows if row.row == number)


def _worst_values(report: Report, every: Sequence[RowReport], style: Style) -> Table:
    """For each quantity and method the value that is furthest from its truth."""
    batch = len(every) > 1
    head = [Cell(t, HEAD) for t in ("quantity", "method")] + ([Cell("row", HEAD, right=True)] if batch else [])
    head += [
        Cell("at", HEAD, right=True),
        Cell("logit", HEAD, right=True),
        Cell("exact", HEAD),
        Cell("worst value", HEAD),
    ]
    head += [Cell("rel", HEAD, near=True), Cell("ulp", HEAD, near=True)]
    rows = []
    for score in report.scores():
        if not score.available:
            continue
        at, i = score.worst_at
        row = by_number(every, at)
        q = next(q for q in row.results if q.quantity == score.quantity)
        m = next(m for m in q.methods if m.method == score.method)
        word = Verdict(int(m.verdicts[i])).label
        rows.append((
            Cell(f"{q.quantity} of {q.of}" if q.of else q.quantity), Cell(score.method),
            *([Cell(str(at), right=True)] if batch else []),
            Cell("" if q.size == 1 else place(q, i), right=True), Cell(logit(q, row, i) if q.size > 1 else "", right=True, least=LEAST),
            Cell(q.exact([i])[0], "exact", least=LEAST), Cell(number(float(m.values[i])), word, least=LEAST),
            Cell(relative(q, m, i), word, near=True), Cell(in_ulp(q, m, i, report.dtype), word, near=True),
        ))  # fmt: skip
    return Table("the worst value of each method", tuple(head), tuple(rows), (most_digits(report, style), LEAST))


def in_rows(found: Sequence[CodeCount], rows: int) -> Table:
    """Of a batch: how many rows each finding concerns, and the first of them."""
    head = (Cell("finding", HEAD), Cell("severity", HEAD), Cell("rows", HEAD, right=True), Cell("which", HEAD))
    lines = tuple(
        (Cell(f"{c.code} {c.name}", "strong"), Cell(c.severity, c.severity), Cell(str(c.rows), right=True),
         Cell(listed(c.first_rows, c.rows) if c.rows else "the reduced loss"))
        for c in found
    )  # fmt: skip
    return Table(f"findings in {rows} rows", head, lines, marks=False)


def _reduced(report: Report, style: Style) -> Iterator[Table]:
    """The losses that were summed or averaged over the batch."""
    for r in report.reduced:
        head = [Cell(f"exact {r.quantity}", HEAD)]
        cells = [Cell(r.exact, "exact", least=LEAST)]
        for m in r.methods:
            head += [Cell(m.method, HEAD), Cell("rel", HEAD, near=True)]
            word = Verdict(int(m.verdicts[0])).label
            told = error(float(m.rel[0])) if m.rel[0] < float("inf") else word
            cells += [Cell(number(float(m.values[0])), word, least=LEAST), Cell(told, word, near=True)]
        told = r.note.replace(r.mean, shorten(r.mean, report.digits)) if r.mean else r.note
        note = f" ({told})" if told else ""
        yield Table(
            f"{r.quantity} reduced over the batch{note}",
            tuple(head),
            (tuple(cells),),
            (most_digits(report, style), LEAST),
        )


def findings(report: Report, style: Style) -> Iterator[FindingBlock]:
    """What is shown of what was found, the most severe first; in a batch what says the same once, as its first row does."""
    if style.summary:
        return
    if len(report.rows) == 1:
        groups = grouped(report.rows[0].findings)
        yield from (_block(some) for some in groups if style.verbose or some[0].code not in QUIET)
        return
    yield from (_block([f], "the reduced loss") for f in report.about_all)
    yield from (of_rows(c, some) for c, some in report.told() if style.verbose or c.code not in QUIET)


def of_rows(c: CodeCount, told: Sequence[Finding]) -> FindingBlock:
    """What was found in several rows, as the first of them tells it; there is one for each method and quantity."""
    rows = f"row{'s' if c.rows > 1 else ''} {listed(c.first_rows, c.rows)}"
    same = [f for f in told if f.message == told[0].message and f.at == told[0].at]
    of = f", {_about(same)}" if len(same) < len(told) else ""
    return _block(told, rows + (f"; here row {c.first_rows[0]}{of}" if c.rows > 1 or of else ""))


def grouped(found: Sequence[Finding]) -> list[list[Finding]]:
    """Findings of a row that say the same together."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for f in found:
        groups.setdefault((f.code, f.message), []).append(f)
    return list(groups.values())


def _block(found: Sequence[Finding], where: str = "") -> FindingBlock:
    """Findings that say the same, with what to do for each of what they are about."""
    of: dict[str, list[Finding]] = {}
    for f in found:
        of.setdefault(f.remedy, []).append(f)
    remedies = tuple(Remedy(text, _parted(some, found) if len(of) > 1 else "") for text, some in of.items())
    f = found[0]
    return FindingBlock(f.severity, f.code, f.name, where, _about(found), f.message, remedies)


def _parted(some: Sequence[Finding], found: Sequence[Finding]) -> str:
    """What some of the findings are about, by what sets them apart: quantities of one method, methods, or both."""
    one_method, one_quantity = len({f.method for f in found}) == 1, len({f.quantity for f in found}) == 1
    if one_method or one_quantity:
        return ", ".join(dict.fromkeys((f.quantity if one_method else f.method) or "" for f in some))
    return _about(some)


def _about(found: Sequence[Finding]) -> str:
    """The methods that findings are about, each with its quantities."""
    of: dict[str, dict[str, None]] = {}
    for f in found:
        of.setdefault(f.method or "", {})[f.quantity or ""] = None
    said = (": ".join(filter(None, (method, ", ".join(filter(None, some))))) for method, some in of.items())
    return "; ".join(filter(None, said))
