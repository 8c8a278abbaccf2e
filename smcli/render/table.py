"""The table that people read: Rich, as wide as the terminal allows, and no number is ever cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from smcli.model import Severity, Verdict
from smcli.render import _grid as grid
from smcli.render import _parts as parts
from smcli.render._console import WIDEST, drawn
from smcli.report.report import RANK, Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        console.print(Group(*pieces(thing, style, console)), crop=False, overflow="fold")

    return drawn(draw, to_file=style.to_file, color=style.color)


def pieces(thing: Any, style: Style, console: Console) -> Iterator[RenderableType]:
    """What is printed, one piece after the other."""
    if isinstance(thing, Comparison):
        yield from _comparison(thing, console.width)
    elif isinstance(thing, Report):
        yield from _report(thing, style, console)
    else:
        for heading, g in grid.listings(thing):
            yield Text(heading, "bold")
            yield _fitted(g, console.width)
            yield Text("")


def _report(report: Report, style: Style, console: Console) -> Iterator[RenderableType]:
    shown, left_out = parts.rows(report, style)
    digest = parts.digest(report)
    if digest is not None:
        yield Text(f"findings in {len(report.rows)} rows", "bold")
        yield _fitted(digest, console.width)
        yield Text("")
    for row in shown:
        yield from _row(report, row, style, console)
    if left_out:
        yield Text(left_out, "dim")
    for heading, g in parts.reduced(report):
        yield Text(heading, "bold")
        yield _fitted(g, console.width)
        yield Text("")
    yield _summary(report)


def _row(report: Report, row: RowReport, style: Style, console: Console) -> Iterator[RenderableType]:
    if parts.is_titled(report, row):
        yield Text(parts.row_title(row), "bold underline")
    for q in parts.results(report, row):
        indices = grid.chosen(q, row, style)
        yield Text.assemble((grid.title(q, row), "bold"), (parts.BESIDE if q.methods else "", "dim"))
        yield _fit(q, row, indices, style, console)
        if left_out := parts.shortened(q, len(indices)):
            yield Text(left_out, "dim")
        if style.verbose or any(m.steps is not None for m in q.methods):
            yield from (Text(line, "dim") for line in parts.background(q))
        yield Text("")
        for m in q.methods:
            if m.steps is not None:
                yield Text(f"steps of {m.method}", "bold")
                yield _fitted(grid.trace(m), console.width)
                yield Text("")
    yield from (Text(line, "yellow") for line in parts.missing(row))
    yield from _findings(row, console)


def _fit(q: QuantityResult, row: RowReport, indices: list[int], style: Style, console: Console) -> RenderableType:
    """The widest layout that the terminal holds."""
    for layout in (grid.with_bars, grid.wide, grid.long):
        g = layout(q, row, indices, style)
        if grid.width(g) <= console.width:
            return _draw(g)
    return _stacked(q, row, indices, style, console.width)


def _fitted(g: grid.Grid, width: int) -> RenderableType:
    """A table where the terminal holds it, else a line for each cell: no column is dropped, no number cut."""
    return _draw(g) if grid.width(g) <= width else _listed(g, width)


def _draw(g: grid.Grid) -> Table:
    """A table whose columns are as wide as their widest cell."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, padding=(0, 1))
    for cell, size in zip(g.head, grid.widths(g), strict=True):
        justify: Any = "right" if cell.right else "left"
        table.add_column(cell.text, header_style="bold", justify=justify, overflow="fold", no_wrap=True, width=size)
    for cells in g.rows:
        table.add_row(*(Text(c.text, STYLES.get(c.kind, "")) for c in cells))
    return table


def _listed(g: grid.Grid, width: int) -> Text:
    """Each row as its first cell, and under it the others with their names; empty ones are left out."""
    out = Text(overflow="fold")
    for cells in g.rows:
        out.append(_indented(cells[0].text, 0, width) + "\n", f"bold {STYLES.get(cells[0].kind, '')}".strip())
        for name, cell in zip(g.head[1:], cells[1:], strict=True):
            if cell.text:
                line = _indented(f"{name.text}: {cell.text}", 2, width)
                out.append(line + "\n", STYLES.get(cell.kind, ""))
    out.rstrip()
    return out


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
    tail = f"{parts.subject(report)}; every digit of exact is certified"
    out = Text()
    for severity, count in parts.counts(report).items():
        if count:
            many = "s" if count > 1 else ""
            out.append(f"{', ' if out else ''}{count} {severity}{many}", SEVERITIES[severity])
    if not out:
        return Text(f"nothing to report; {tail}", "dim")
    worst = max(report.findings, key=lambda f: RANK[f.severity]).code
    out.append(f"; {tail}; `smcli explain {worst}` says more", "dim")
    return out


def _comparison(comparison: Comparison, width: int) -> Iterator[RenderableType]:
    """A line a format and method: to choose one."""
    for quantity, g in parts.overview(comparison):
        yield Text(quantity, "bold")
        yield _fitted(g, width)
        yield Text("")
    yield from (Text(line, "dim") for line in parts.caveats(comparison))
