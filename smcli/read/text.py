"""Text: numbers in lines, or in the brackets that Python, NumPy, torch, JAX, TensorFlow, R, Julia, MATLAB and C write."""

from __future__ import annotations

import re
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from smcli.read import _lines, csv
from smcli.read._blocks import Blocks
from smcli.read._dtypes import SUFFIX
from smcli.read._parse import left_out, parse
from smcli.read._paste import unnamed
from smcli.read._run import Faults
from smcli.read._tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.batch import Batch, RawBlock
    from smcli.read._source import Source

SUFFIXES = (".txt", ".text", ".dat", ".log")
NAMED = True
COLUMN = True  # of one number a line `read` makes one row

_BRACKET = re.compile(r"[\[\](){}]")
_LISTS = re.compile(
    r"(?:[ \t]*\[[ \t]*[^\s\[\](){};][^\[\](){};\n]*\][ \t]*,?[ \t]*(?:\n\s*|$))++"
)  # a flat list on each line
_AROUND = re.compile(r"\[|\][ \t]*,?")


def read(source: Source) -> Batch:
    """The innermost brackets of a text; without brackets its lines, or one row when every line holds one number."""
    text = source.text()
    if csv.has_header(text) or source.how.columns or source.how.target_column:
        return csv.table(source, csv.numbered(text))
    return parse(text, partial(line_and_column, source.name)).batch(source.name, source.how.axis)


def stream(source: Source) -> Iterator[RawBlock]:
    """The rows of a text, each line a row, in blocks."""
    parts = source.parts()
    first = next(parts, None)
    while first is None:
        if (first := next(parts, (0, ""))) == (0, ""):
            return
    if csv.has_header(first[1]) or source.how.columns or source.how.target_column:
        yield from csv.streamed(source, csv.lines_of(chain([first], parts)))
        return
    blocks = Blocks(source)
    yield from _part(source, blocks, *first)
    for part in parts:
        yield from _part(source, blocks, *part) if part else blocks.rest()
    yield from blocks.rest()


def _part(source: Source, blocks: Blocks, number: int, text: str) -> Iterator[RawBlock]:
    """The rows of some lines."""
    tidied = tidy(text)
    if _LISTS.fullmatch(tidied.text):
        tidied.text = _AROUND.sub(lambda found: " " * len(found[0]), tidied.text)
    if not _BRACKET.search(tidied.text):
        bare, names = unnamed(tidied.text)
        faults = Faults(bare, partial(_place, source.name, number))
        suffixed = _lines.read(bare, faults, blocks.gather, by_line=True)
        blocks.about(tidied.votes + [SUFFIX] * suffixed, left_out(source.name, tidied.dropped + names))
    else:
        for at, line in csv.numbered(text, number):
            parsed = parse(line, partial(column, f"{source.name}:{at}"), into=blocks.gather, by_line=True)
            blocks.about(parsed.votes, left_out(source.name, parsed.dropped))
            if parsed.target is not None:
                blocks.targets(parsed.target)
    yield from blocks.full()


def line_and_column(name: str, text: str, at: int) -> str:
    """The place name:line:column of the character `at` of a text; both count from 1."""
    return _place(name, 1, text, at)


def _place(name: str, first: int, text: str, at: int) -> str:
    return f"{name}:{text.count(chr(10), 0, at) + first}:{at - text.rfind(chr(10), 0, at)}"


def column(line: str, text: str, at: int) -> str:  # noqa: ARG001 - one signature for every place
    """The place name:line:column of the character `at` of one line."""
    return f"{line}:{at + 1}"
