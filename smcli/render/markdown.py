"""Markdown as GitHub reads it, for pasting into an issue: pipe tables, then the findings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from smcli.numbers import words
from smcli.render import _grid as grid
from smcli.render import _parts as parts
from smcli.report.report import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smcli.model import RowReport
    from smcli.render import Style
    from smcli.report.report import Report

SUFFIXES = (".md", ".markdown")
MARKUP = re.compile(r"[\\`*<>\[\]|~&$@]|(?<![^\W_])_|_(?![^\W_])|#(?=\w)")


def render(thing: Any, style: Style) -> str:
    """Blocks parted by empty lines."""
    if not parts.is_report(thing):
        blocks: Iterable[str] = (b for heading, g in grid.listings(thing) for b in _titled(heading, g))
    elif isinstance(thing, Comparison):
        blocks = _comparison(thing)
    else:
        blocks = _report(thing, style)
    return "\n\n".join(block for block in blocks if block) + "\n"


def escape(text: str) -> str:
    """A text that Markdown shows as it is; an underscore inside a word means nothing to it and stays readable."""
    return MARKUP.sub(lambda m: f"\\{m[0]}" if m[0] not in "@#" else f"&#{ord(m[0])};", words.escape(text))


def table(g: grid.Grid) -> str:
    """A pipe table with its row of alignments."""
    lines = [[escape(cell.text) for cell in cells] for cells in [g.head, *g.rows]]
    wide = [max(3, *(len(line[k]) for line in lines)) for k in range(len(g.head))]
    rule = [f"{'-' * (n - 1)}:" if cell.right else "-" * n for cell, n in zip(g.head, wide, strict=True)]
    right = [cell.right for cell in g.head]
    return "\n".join(
        "| " + " | ".join(t.rjust(n) if r else t.ljust(n) for t, n, r in zip(line, wide, right, strict=True)) + " |"
        for line in [lines[0], rule, *lines[1:]]
    )


def _titled(heading: str, g: grid.Grid, level: int = 3) -> Iterator[str]:
    if heading:
        yield f"{'#' * level} {escape(heading)}"
    yield table(g)


def _note(text: str) -> str:
    return f"*{escape(text)}*" if text else ""


def _report(report: Report, style: Style) -> Iterator[str]:
    shown, note = parts.rows(report, style)
    batch = len(report.rows) > 1
    for row in shown:
        if batch:
            yield f"### {escape(parts.row_title(row))}"
        yield from _row(report, row, style, level=4 if batch else 3)
    yield _note(note)
    for heading, g in parts.reduced(report):
        yield from _titled(heading, g)
    yield _closing(report)


def _row(report: Report, row: RowReport, style: Style, level: int) -> Iterator[str]:
    for q in parts.results(report, row):
        indices = grid.chosen(q, row, style)
        yield from _titled(parts.heading(q, row), grid.wide(q, row, indices, style), level)
        yield _note(parts.shortened(q, len(indices)))
        if style.verbose:
            yield "\n".join(f"- {escape(line)}" for line in parts.bounds(q))
        for m in q.methods:
            if m.steps is not None:
                yield from _titled(f"steps of {m.method}", grid.trace(m), level + 1)
    yield "\n".join(f"- {escape(line)}" for line in parts.missing(row))
    yield "\n".join(_finding(g) for g in grid.grouped(row.findings))


def _finding(group: grid.Group, where: str = "") -> str:
    f = group.finding
    about = " · ".join(w for w in (where, "; ".join(group.subjects)) if w)
    name = f"**{f.severity} {f.code} {escape(f.name)}**{f' ({escape(about)})' if about else ''}"
    return f"- {name} — {escape(f.message)} — {escape(f.remedy)}"


def _comparison(comparison: Comparison) -> Iterator[str]:
    for heading, g in parts.overview(comparison):
        yield from _titled(heading, g)
    by_code: dict[str, dict[str, grid.Group]] = {}
    for report in comparison.reports:
        for _, group in parts.groups(report):
            by_code.setdefault(group.finding.code, {}).setdefault(report.dtype, group)
    found = [
        _finding(next(iter(same.values())), f"in {', '.join(same)}; here {next(iter(same))}")
        for same in by_code.values()
    ]
    yield "\n".join(found)
    yield _closing(comparison)


def _closing(thing: Report | Comparison) -> str:
    from smcli.version import __version__

    several = parts.reports(thing)
    said = f"{parts.verdict(thing)} · smcli {__version__} {several[0].command} · {parts.subject(thing)}"
    return _note(f"{said} · every digit of exact is certified")
