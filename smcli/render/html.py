"""A page that says it all: findings first, then tables and figures. One file, no script, no link to anywhere."""

from __future__ import annotations

from html import escape
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.numbers import words
from smcli.render import _chart as chart
from smcli.render import _figures as figures
from smcli.render import _grid as grid
from smcli.render import _parts as parts
from smcli.render._page import CSS, MARKS
from smcli.report.report import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smcli.model import RowReport
    from smcli.render import Style
    from smcli.render._figures import Figure
    from smcli.render._grid import Cell, Grid
    from smcli.report.report import Report

SUFFIXES = (".html", ".htm")
WIDE, NARROW = 940, 340  # px: every figure is drawn for both, and the page shows the one that fits
MOST_FIGURES = 4  # rows of a batch that get figures


def render(thing: Any, style: Style) -> str:
    """A whole HTML document."""
    if parts.is_report(thing):
        several = parts.reports(thing)
        title, under = f"smcli {several[0].command}", parts.subject(thing)
        body = [
            _badges(thing),
            *(_comparison(thing, style) if isinstance(thing, Comparison) else _report(thing, style)),
        ]
    else:
        title, under = "smcli", ""
        body = [_section(heading, [_table(g, heading)]) for heading, g in grid.listings(thing)]
        body += _figures(figures.of_sweep(thing), count(1))
    return "".join([
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f"<title>{_text(title)}{' · ' if under else ''}{_text(under)}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n",
        f"<header>\n<h1>{_text(title)}</h1>\n<p>{_text(under)}</p>\n</header>\n<main>\n",
        *body,
        f"</main>\n<footer>{_closing(thing)}</footer>\n</body>\n</html>\n",
    ])  # fmt: skip


def _text(text: str) -> str:
    return escape(words.escape(text))


def _closing(thing: object) -> str:
    from smcli.version import __version__

    more = " · every digit of <i>exact</i> is certified · <code>smcli explain CODE</code> says more"
    return f"smcli {__version__}{more if parts.is_report(thing) else ''}"


def _badges(thing: Report | Comparison) -> str:
    """How many findings of each severity."""
    badges = [
        f'<span class="badge {s}">{n} {s}{"s" if n > 1 else ""}</span>' for s, n in parts.counts(thing).items() if n
    ]
    return f'<p class="badges">{" ".join(badges) or "<span class=badge>nothing to report</span>"}</p>\n'


def _report(report: Report, style: Style) -> Iterator[str]:
    found = _findings(report)
    if found:
        yield _section("Findings", found)
    yield _legend(report)
    yield from _body(report, style, count(1))


def _body(report: Report, style: Style, names: Iterator[int]) -> Iterator[str]:
    """Tables and figures of one format."""
    shown, note = parts.rows(report, style)
    drawn = {r.row for r in sorted(shown, key=lambda r: (-parts.badness(r), r.row))[:MOST_FIGURES]}
    for row in shown:
        if len(report.rows) > 1:
            yield f"<h2 class=row>{_text(parts.row_title(row))}</h2>\n"
        yield from _row(report, row, style, names if row.row in drawn else None)
    for heading, g in parts.reduced(report):
        yield _section(heading, [_table(g, heading)])
    if len(report.rows) > 1 or not any(figures.per_class(q) for row in shown for q in row.results):
        yield from _figures(figures.of_rows(report), names)
    undrawn = f"figures are drawn of {len(drawn)} rows, the worst ones" if len(drawn) < len(shown) else ""
    yield from _notes([note, undrawn])


def _row(report: Report, row: RowReport, style: Style, names: Iterator[int] | None) -> Iterator[str]:
    for q in parts.results(report, row):
        indices = grid.chosen(q, row, style)
        heading = parts.heading(q, row)
        inside = [_table(grid.wide(q, row, indices, style), heading)]
        inside += _notes([parts.shortened(q, len(indices)), *(parts.bounds(q) if style.verbose else ())])
        for m in q.methods:
            if m.steps is not None:
                steps = _table(grid.trace(m), f"steps of {m.method}", marks=False)
                inside.append(f"<details open><summary>steps of {_text(m.method)}</summary>\n{steps}</details>\n")
        if names is not None:
            inside += _figures(figures.of_quantity(report, row, q), names)
        yield _section(heading, inside)
    yield from _notes(parts.missing(row))


def _notes(some: Iterable[str]) -> Iterator[str]:
    yield from (f'<p class="note">{_text(said)}</p>\n' for said in some if said)


def _comparison(comparison: Comparison, style: Style) -> Iterator[str]:
    for heading, g in parts.overview(comparison):
        yield _section(heading, [_table(g, heading)])
    names = count(1)
    for report in comparison.reports:
        yield f"<details><summary>{_text(report.dtype)} in full: {parts.verdict(report)}</summary>\n"
        yield from _findings(report)
        yield _legend(report)
        yield from _body(report, style, names)
        yield "</details>\n"


def _section(heading: str, inside: Iterable[str]) -> str:
    return f"<section>\n<h2>{_text(heading)}</h2>\n{''.join(inside)}</section>\n"


def _findings(report: Report) -> list[str]:
    items = []
    for where, group in parts.merged(report):
        f = group.finding
        about = " · ".join(w for w in (where, "; ".join(group.subjects)) if w)
        items.append(
            f'<li class="is-{f.severity}"><p><span class="badge {f.severity}">{f.severity}</span> '
            f"<b>{_text(f.code)} {_text(f.name)}</b> <span class=about>{_text(about)}</span></p>\n"
            f"<p>{_text(f.message)}</p>\n<p class=remedy>{_text(f.remedy)}</p></li>\n"
        )
    return [f"<ul class=findings>\n{''.join(items)}</ul>\n"] if items else []


def _legend(report: Report) -> str:
    """What the marks mean that stand beside values."""
    judged = {
        int(v)
        for row in report.rows
        for q in parts.results(report, row)
        for m in q.methods
        for v in np.unique(m.verdicts)
    }
    words = [v.label for v in parts.BADNESS if v in judged]
    items = "".join(f"<li><b class={w}>{MARKS[w]} {w}</b> {_text(parts.MEANINGS[w])}</li>" for w in words)
    return f"<ul class=legend>{items}</ul>\n" if items else ""


def _table(g: Grid, caption: str, *, marks: bool = True) -> str:
    """A table that scrolls by itself where it is wider than the screen."""
    head = "".join(f"<th scope=col{' class=r' if c.right else ''}>{_text(c.text)}</th>" for c in g.head)
    rows = "".join(f"<tr>{''.join(_cell(c, marks=marks) for c in cells)}</tr>\n" for cells in g.rows)
    return (
        f'<div class=scroll tabindex=0 role=region aria-label="{_text(caption)}"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )


def _cell(cell: Cell, *, marks: bool) -> str:
    kinds = [k for k in (cell.kind, "r" if cell.right else "") if k]
    names = f' class="{" ".join(kinds)}"' if kinds else ""
    mark = ""
    if marks and cell.kind in MARKS and not cell.right and cell.text != cell.kind:
        mark = f'<abbr title="{cell.kind}: {_text(parts.MEANINGS[cell.kind])}">{MARKS[cell.kind]}</abbr>&nbsp;'
    return f"<td{names}>{mark}{_text(cell.text)}</td>"


def _figures(some: Iterable[Figure], names: Iterator[int]) -> Iterator[str]:
    for f in some:
        k = next(names)
        notes = "".join(f" {_text(note)}." for note in f.notes)
        yield (
            f"<figure><figcaption><b>{_text(f.title)}</b>{notes}</figcaption>\n"
            f"<div class=wide>{chart.draw(f, WIDE, f'f{k}w')}</div>\n"
            f"<div class=narrow>{chart.draw(f, NARROW, f'f{k}n')}</div></figure>\n"
        )
