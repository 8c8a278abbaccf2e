"""A page that says it all: the answer and the findings first, then tables and figures. One file, no script, no link."""

from __future__ import annotations

from html import escape
from itertools import count
from typing import TYPE_CHECKING, Any

from smcli import document
from smcli.document.parts import Code, Drawing, FindingBlock, Folded, Heading, Paragraph, Table, Values, Verdicts
from smcli.document.verdicts import MEANINGS
from smcli.numbers import words
from smcli.render import _charts as charts
from smcli.render._page import CSS, MARKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smcli.document.parts import Cell, Part
    from smcli.document.style import Style

SUFFIXES = (".html", ".htm")
WIDE, NARROW = 940, 340  # px: every figure is drawn for both, and the page shows the one that fits
ROOM = 100  # characters of a table's line, where numbers need not be whole


def pieces(thing: Any, style: Style) -> Iterator[str]:
    """A whole HTML document."""
    from smcli.version import __version__

    doc = document.of(thing, style)
    under = f" · {_text(doc.subject)}" if doc.subject else ""
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{_text(doc.title)}{under}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n"
    yield f"<header>\n<h1>{_text(doc.title)}</h1>\n<p>{_text(doc.subject)}</p>\n</header>\n<main>\n"
    yield from body(doc.parts, count(1))
    closing = f"{_text(doc.closing.text)} · " if doc.closing is not None else ""
    yield f"</main>\n<footer>{closing}smcli {__version__}</footer>\n</body>\n</html>\n"


def body(parts: Iterable[Part], names: Iterator[int]) -> Iterator[str]:
    """The parts, findings before all but the answer; `names` makes the ids of figures unique in the page."""
    some = list(parts)
    yield from (_verdicts(p) for p in some if isinstance(p, Verdicts))
    found = [_finding(p) for p in some if isinstance(p, FindingBlock)]
    yield f"<section>\n<h2>Findings</h2>\n<ul class=findings>\n{''.join(found)}</ul>\n</section>\n" if found else ""
    yield _legend(some)
    for part in some:
        yield from _part(part, names)


def _text(text: str) -> str:
    return escape(words.escape(text))


def _part(part: Part, names: Iterator[int]) -> Iterator[str]:
    if isinstance(part, Heading):
        level = part.level + (part.level == 1)  # the page has its own h1
        yield f"<h{level} class=row>{_text(part.text)}</h{level}>\n"
    elif isinstance(part, Paragraph):
        yield f"<p{' class=note' if part.runs[0].kind == 'dim' else ''}>{''.join(map(_run, part.runs))}</p>\n"
    elif isinstance(part, Code):
        yield f"<pre><code>{_text_of_code(part.text)}</code></pre>\n"
    elif isinstance(part, Values):
        yield f"<h2>{_text(part.title)}</h2>\n{_table(part.in_full(ROOM), part.title)}"
        yield f'<p class="note">{_text(part.note)}</p>\n' if part.note else ""
    elif isinstance(part, Table):
        yield f"<h2>{_text(part.title)}</h2>\n" if part.title else ""
        yield _table(part.fitted(ROOM) or part.at(part.digits[1]), part.title)
    elif isinstance(part, Drawing):
        for f in part.figures():
            k = next(names)
            notes = "".join(f" {_text(note)}." for note in f.notes)
            yield f"<figure><figcaption><b>{_text(f.title)}</b>{notes}</figcaption>\n"
            yield f"<div class=wide>{charts.draw(f, WIDE, f'f{k}w')}</div>\n"
            yield f"<div class=narrow>{charts.draw(f, NARROW, f'f{k}n')}</div></figure>\n"
    elif isinstance(part, Folded):
        yield f"<details><summary>{_text(part.title)}</summary>\n"
        yield from body(part.parts(), names)
        yield "</details>\n"


def _text_of_code(text: str) -> str:
    return "\n".join(map(_text, text.split("\n")))


def _run(run: Cell) -> str:
    return f"<code>{_text(run.text)}</code>" if run.kind == "code" else _text(run.text)


def _verdicts(part: Verdicts) -> str:
    lines = "".join(
        f"<dt>{_text(name.text)}</dt><dd class={said.kind}>{_text(said.text)}</dd>\n" for name, said in part.lines
    )
    return f"<dl class=answer>\n{lines}</dl>\n"


def _finding(f: FindingBlock) -> str:
    about = " · ".join(filter(None, (f.where, f.about)))
    remedies = "\n".join(f"<p class=remedy>{_text(str(remedy))}</p>" for remedy in f.remedies)
    return (
        f'<li class="is-{f.severity}"><p><span class="badge {f.severity}">{f.severity}</span> '
        f"<b>{_text(f.code)} {_text(f.name)}</b> <span class=about>{_text(about)}</span></p>\n"
        f"<p>{_text(f.message)}</p>\n{remedies}</li>\n"
    )


def _legend(parts: Iterable[Part]) -> str:
    """What the marks mean that stand beside values."""
    tables = [p.layouts[-1] if isinstance(p, Values) else p for p in parts if isinstance(p, Table | Values)]
    there = {cell.kind for t in tables if t.marks for cells in t.rows for cell in cells}
    shown = [word for word in MEANINGS if word in there]
    items = "".join(f"<li><b class={w}>{MARKS[w]} {w}</b> {_text(MEANINGS[w])}</li>" for w in shown)
    return f"<ul class=legend>{items}</ul>\n" if items else ""


def _table(t: Table, caption: str) -> str:
    """A table that scrolls by itself where it is wider than the screen."""
    head = "".join(f"<th scope=col{' class=r' if c.right else ''}>{_text(c.text)}</th>" for c in t.head)
    rows = "".join(f"<tr>{''.join(_cell(c, marks=t.marks) for c in cells)}</tr>\n" for cells in t.rows)
    return (
        f'<div class=scroll tabindex=0 role=region aria-label="{_text(caption or "table")}"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )


def _cell(cell: Cell, *, marks: bool) -> str:
    kinds = [k for k in (cell.kind, "r" if cell.right else "") if k]
    names = f' class="{" ".join(kinds)}"' if kinds else ""
    mark = ""
    if marks and cell.kind in MARKS and not cell.near and not cell.right and cell.text != cell.kind:
        mark = f'<abbr title="{cell.kind}: {_text(MEANINGS[cell.kind])}">{MARKS[cell.kind]}</abbr>&nbsp;'
    return f"<td{names}>{mark}{_text(cell.text)}</td>"
