"""Markdown as GitHub reads it, for pasting into an issue: the answer, pipe tables, then the findings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from smcli import document
from smcli.document.parts import Code, FindingBlock, Heading, Paragraph, Table, Values, Verdicts
from smcli.numbers import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smcli.document.parts import Cell, Part
    from smcli.document.style import Style

SUFFIXES = (".md", ".markdown")
MARKUP = re.compile(r"[\\`*<>\[\]|~&$@]|(?<![^\W_])_|_(?![^\W_])|#(?=\w)")
ROOM = 120  # characters of a table's line, where numbers need not be whole


def pieces(thing: Any, style: Style) -> Iterator[str]:
    """Blocks parted by empty lines."""
    from smcli.version import __version__

    doc = document.of(thing, style)
    if doc.source:
        yield doc.source
        return
    first = True
    for lines in map(list, blocks(doc.parts)):
        for line in lines:
            yield line if first else f"\n\n{line}"
            first = False
    if doc.closing is not None and not doc.prose:
        closing = f"*{escape(doc.closing.text)} · smcli {__version__}*"
        yield closing if first else f"\n\n{closing}"
    yield "\n"


def escape(text: str) -> str:
    """A text that Markdown shows as it is; an underscore inside a word means nothing to it and stays readable."""
    return MARKUP.sub(lambda m: f"\\{m[0]}" if m[0] not in "@#" else f"&#{ord(m[0])};", words.escape(text))


def table(t: Table) -> str:
    """A pipe table with its row of alignments."""
    lines = [[escape(cell.text) for cell in cells] for cells in (t.head, *t.rows)]
    wide = [max(3, *(len(line[k]) for line in lines)) for k in range(len(t.head))]
    rule = [f"{'-' * (n - 1)}:" if cell.right else "-" * n for cell, n in zip(t.head, wide, strict=True)]
    right = [cell.right for cell in t.head]
    return "\n".join(
        "| " + " | ".join(x.rjust(n) if r else x.ljust(n) for x, n, r in zip(line, wide, right, strict=True)) + " |"
        for line in [lines[0], rule, *lines[1:]]
    )


def blocks(parts: Iterable[Part]) -> Iterator[list[str]]:
    """Each part as blocks of text; findings that follow one another as one list. Figures and folds are left out."""
    items: list[str] = []
    for part in parts:
        if isinstance(part, FindingBlock):
            items.append(_finding(part))
            continue
        if items:
            yield ["\n".join(items)]
            items = []
        yield _block(part)
    if items:
        yield ["\n".join(items)]


def _block(part: Part) -> list[str]:
    """A part as blocks of text; none of what Markdown does not show."""
    if isinstance(part, Heading):
        return [f"{'#' * part.level} {escape(part.text)}"]
    if isinstance(part, Paragraph):
        return ["".join(map(_run, part.runs))]
    if isinstance(part, Code):
        return [f"```{part.language}\n{part.text}\n```"]
    if isinstance(part, Verdicts):
        return ["\n".join(f"- **{escape(name.text)}**: {escape(said.text)}" for name, said in part.lines)]
    if isinstance(part, Values):
        note = [f"*{escape(part.note)}*"] if part.note else []
        return [f"### {escape(part.title)}", table(part.in_full(ROOM)), *note]
    if isinstance(part, Table):
        title = [f"### {escape(part.title)}"] if part.title else []
        return [*title, table(part.fitted(ROOM) or part.at(part.digits[1]))]
    return []


def _run(run: Cell) -> str:
    text = escape(run.text)
    return f"`{words.escape(run.text)}`" if run.kind == "code" else f"*{text}*" if run.kind == "dim" else text


def _finding(f: FindingBlock) -> str:
    about = " · ".join(filter(None, (f.where, f.about)))
    name = f"**{f.severity} {f.code} {escape(f.name)}**{f' ({escape(about)})' if about else ''}"
    return f"- {name} — {escape(f.message)} — {' — '.join(escape(str(remedy)) for remedy in f.remedies)}"
