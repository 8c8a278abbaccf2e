"""The table that people read: Rich, as wide as the terminal allows, and no number is ever cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from smcli.model import Severity, Verdict
from smcli.render import _grid as grid
from smcli.render._console import WIDEST, drawn
from smcli.report import Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from smcli.model import QuantityResult, RowReport
    from smcli.render import Style

SUFFIXES: tuple[str, ...] = ()
STYLES = {
    "head": "bold",
    "dim": "dim",
    "exact": "cyan",
    "correct": "green",
    "ok": "",
    "inaccurate": "yellow",
    "lost": "bold red",
    "not-representable": "magenta",
    "undefined": "bold red",
}
SEVERITIES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}


def render(thing: Any, style: Style) -> str:
    """The report as text, with ANSI codes where standard output shows them."""

    def draw(console: Console) -> None:
        console.print(Group(*parts(thing, style, console)), crop=False, overflow="fold")

    return drawn(draw, to_file=style.to_file, color=style.color)


def parts(thing: Any, style: Style, console: Console) -> Iterator[RenderableType]:
    """What is printed, one piece after the other."""
    if isinstance(thing, Comparison):
        yield from _comparison(thing, style)
    elif isinstance(thing, Report):
        yield from _report(thing, style, console)
    else:
        for heading, g in grid.listings(thing):
            yield _draw(g, heading, fold=True)
            yield Text("")


def _report(report: Report, style: Style, console: Console) -> Iterator[RenderableType]:
    rows = _rows(report, style)
    for row in rows:
        yield from _row(report, row, style, console)
    if len(rows) < len(report.rows):
        yield Text(
            f"{len(rows)} of {len(report.rows)} rows are shown, the worst ones; --all shows every row, --rows A:B some",
            "dim",
        )
    for r in report.reduced:
        yield Text(f"{r.quantity} reduced over the batch", "bold")
        cells = [[grid.Cell(r.exact, "exact")]]
        head = [grid.Cell("exact", "head")]
        for m in r.methods:
            head += [grid.Cell(m.method, "head"), grid.Cell("rel", "head", right=True)]
            word = Verdict(int(m.verdicts[0])).label
            cells[0] += [
                grid.Cell(grid.value(float(m.values[0])), word),
                grid.Cell(grid.relative(m, 0), word, right=True),
            ]
        yield _draw(grid.Grid(head, cells))
    yield _summary(report)


def _rows(report: Report, style: Style) -> Sequence[RowReport]:
    if style.every_class or len(report.rows) <= grid.MOST_ROWS:
        return report.rows
    rank = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
    worst = sorted(report.rows, key=lambda r: (min((rank[f.severity] for f in r.findings), default=3), r.row))
    return sorted(worst[: grid.MOST_ROWS], key=lambda r: r.row)


def _row(report: Report, row: RowReport, style: Style, console: Console) -> Iterator[RenderableType]:
    if len(report.rows) > 1:
        ignored = " · ignored" if row.ignored else ""
        yield Text(f"row {row.row} · {row.logits.size} logits{ignored}", "bold underline")
    for q in row.results:
        if not q.methods and report.command != "eval":
            continue
        indices = grid.chosen(q, row, style)
        yield Text.assemble((grid.title(q, row), "bold"), ("  value and relative error" if q.methods else "", "dim"))
        yield _fit(q, row, indices, style, console)
        if len(indices) < q.size:
            yield Text(
                f"{len(indices)} of {q.size} classes are shown, those that matter most; --all shows every class", "dim"
            )
        if style.verbose:
            yield from (Text(line, "dim") for line in _background(q))
        yield Text("")
        for m in q.methods:
            if m.steps is not None:
                yield Text(f"steps of {m.method}", "bold")
                yield _draw(grid.trace(m), fold=True)
                yield Text("")
    yield from _findings(row, console)


def _background(q: QuantityResult) -> Iterator[str]:
    for m in q.methods:
        if m.bound_ulp is not None:
            worst = grid.error(float(m.ulp[m.worst]))
            yield f"{m.method}: worst {worst} ulp; its a-priori bound is {grid.error(m.bound_ulp)} ulp"


def _fit(q: QuantityResult, row: RowReport, indices: list[int], style: Style, console: Console) -> RenderableType:
    """The widest layout that the terminal holds."""
    for layout in (grid.wide, grid.long):
        g = layout(q, row, indices, style)
        if grid.width(g) <= console.width:
            return _draw(g)
    return _stacked(q, row, indices, style, console.width)


def _draw(g: grid.Grid, heading: str = "", *, fold: bool = False) -> Table:
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, padding=(0, 1),
        title=heading or None, title_justify="left", title_style="bold",
    )  # fmt: skip
    for k, cell in enumerate(g.head):
        table.add_column(
            Text(cell.text, "bold"), justify="right" if cell.right else "left", no_wrap=not (fold and k == 0),
            overflow="fold",
        )  # fmt: skip
    for cells in g.rows:
        table.add_row(
            *(Text(c.text, STYLES.get(c.kind, ""), no_wrap=not (fold and k == 0)) for k, c in enumerate(cells))
        )
    return table


def _stacked(q: QuantityResult, row: RowReport, indices: list[int], style: Style, width: int) -> Text:
    """A line for each number, for the narrowest terminals."""
    out = Text(no_wrap=False, overflow="fold")
    exact = q.exact(indices)
    for k, i in enumerate(indices):
        of = grid.logit(q, row, i)
        out.append(f"{grid.place(q, i)}" + (f"  logit {of}" if of else "") + "\n", "bold")
        lines = [("exact", exact[k], "exact", "")]
        for m in q.methods:
            word = Verdict(int(m.verdicts[i])).label
            extra = f"{grid.error(float(m.ulp[i]))} ulp, {word}" if style.verbose else grid.relative(m, i)
            lines.append((m.method, grid.value(float(m.values[i])), word, extra))
        for name, text, kind, extra in lines:
            gap = "\n    " if len(name) + len(text) + 4 > width else "  "
            out.append(f"  {name}{gap}")
            out.append(text, STYLES.get(kind, ""))
            if extra:
                note = f"rel {extra}" if extra[0].isdigit() and not style.verbose else extra
                used = len(text) + (4 if gap != "  " else len(name) + 4)
                out.append(("  " if used + len(note) + 2 <= width else "\n    ") + note, "dim")
            out.append("\n")
    out.rstrip()
    return out


def _findings(row: RowReport, console: Console) -> Iterator[RenderableType]:
    for group in grid.grouped(row.findings):
        f = group.finding
        line = Text()
        line.append(f"{f.severity} ", SEVERITIES[f.severity])
        line.append(f"{f.code} {f.name}", "bold")
        if group.subjects:
            line.append(f"  {'; '.join(group.subjects)}", "dim")
        yield line
        indent = 2 if console.width < 60 else 4
        yield Text(_indented(f.message, indent, console.width))
        yield Text(_indented(f"→ {f.remedy}", indent, console.width), "italic")
    if row.findings:
        yield Text("")


def _indented(text: str, indent: int, width: int) -> str:
    """A paragraph that stands to the right; in a pipe it stays one line, for grep."""
    margin = " " * indent
    if width >= WIDEST:
        return margin + text
    import textwrap

    return textwrap.fill(
        text, width, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )


def _summary(report: Report) -> Text:
    counts = {s: sum(f.severity == s for row in report.rows for f in _distinct(row)) for s in Severity}
    out = Text()
    for severity in (Severity.ERROR, Severity.WARNING, Severity.NOTE):
        if counts[severity]:
            out.append(
                f"{', ' if out else ''}{counts[severity]} {severity}{'s' if counts[severity] > 1 else ''}",
                SEVERITIES[severity],
            )
    size = report.rows[0].logits.size
    what = f"{size} logit{'s' if size > 1 else ''}" if len(report.rows) == 1 else f"{len(report.rows)} rows"
    tail = f"{report.dtype}, {what}; every digit of exact is certified"
    worst = next((f.code for f in report.rows[0].findings), None) or next((f.code for f in report.findings), None)
    if not out:
        return Text(f"nothing to report; {tail}", "dim")
    out.append(f"; {tail}; `smcli explain {worst}` says more", "dim")
    return out


def _distinct(row: RowReport) -> list[Any]:
    return [g.finding for g in grid.grouped(row.findings)]


def _comparison(comparison: Comparison, _style: Style) -> Iterator[RenderableType]:
    """A line a format and method: to choose one."""
    names = dict.fromkeys(q.quantity for r in comparison.reports for row in r.rows for q in row.results)
    for quantity in names:
        head = [grid.Cell("format", "head"), grid.Cell("method", "head"), grid.Cell("worst ulp", "head", right=True)]
        head += [
            grid.Cell("worst rel.", "head", right=True),
            grid.Cell("verdicts", "head"),
            grid.Cell("findings", "head"),
        ]
        lines = []
        for report in comparison.reports:
            for method, cells in _overview(report, quantity):
                lines.append([grid.Cell(report.dtype), grid.Cell(method), *cells])
        yield _draw(grid.Grid(head, lines), quantity)
    yield Text("one format in full: smcli compare -d NAME", "dim")


def _overview(report: Report, quantity: str) -> Iterator[tuple[str, list[grid.Cell]]]:
    import numpy as np

    results = [q for row in report.rows for q in row.results if q.quantity == quantity]
    for k, first in enumerate(results[0].methods if results else ()):
        of = [q.methods[k] for q in results]
        ulp = np.concatenate([m.ulp for m in of])
        rel = np.concatenate([m.rel for m in of])
        counts = np.bincount(np.concatenate([m.verdicts for m in of]), minlength=len(Verdict))
        worst = max((Verdict(int(v)) for v in np.flatnonzero(counts)), key=[1, 4, 2, 5, 3, 0].index).label
        codes = sorted({f.code for f in report.findings if f.method == first.method and f.quantity == quantity})
        nan, nan_rel = np.isnan(ulp).any(), np.isnan(rel).any()
        yield (
            first.method,
            [
                grid.Cell("nan" if nan else grid.error(float(ulp.max())), worst, right=True),
                grid.Cell("nan" if nan_rel else grid.error(float(rel.max())), worst, right=True),
                grid.Cell(", ".join(f"{counts[v]} {v.label}" for v in Verdict if counts[v]), worst),
                grid.Cell(" ".join(codes)),
            ],
        )
