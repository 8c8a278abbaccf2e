"""The JSON document that scripts rely on, written as it goes: a row, and of a long row a piece, at a time."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

from smcli.report.document import SCHEMA, Column, listed
from smcli.report.report import Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SUFFIXES = (".json",)
PIECE = 1 << 14  # numbers that are written at once
BUFFER = 1 << 16  # characters that are handed on at once


def pieces(thing: Any, _style: object) -> Iterator[str]:
    """One document on one line, valid JSON without nan and infinity."""
    waiting: list[str] = []
    size = 0
    for text in document(thing):
        waiting.append(text)
        size += len(text)
        if size >= BUFFER:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join([*waiting, "\n"])


def document(thing: Any) -> Iterator[str]:
    """The document in pieces."""
    if isinstance(thing, Comparison):
        yield f'{{"schema": "{SCHEMA}", "command": "{thing.command}", "formats": ['
        yield from _joined(map(document, thing.reports))
        yield "]}"
    elif isinstance(thing, Report):
        yield f'{plain(thing.head())[:-1]}, "rows": ['
        encode = encoder(sum(b.problem.logits.size for b in thing.blocks))
        yield from _joined(_row(row, encode) for row in thing.documents())
        yield f"], {plain(listed(thing.tail()))[1:]}"
    else:
        yield plain(thing.to_dict())


def plain(value: Any) -> str:
    """A value as JSON, by Python itself."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def encoder(size: int) -> Callable[[Any], str]:
    """What writes a value; of so many numbers that it matters orjson where it is installed, in a tenth of the time.

    The document is the same then, though not to the blank and to the zeros of an exponent.
    """
    if size > PIECE:
        try:
            from orjson import dumps
        except ImportError:
            return plain
        return lambda value: dumps(value).decode()
    return plain


def _row(row: dict[str, Any], encode: Callable[[Any], str]) -> Iterator[str]:
    """A row whole, or a long one in pieces."""
    if max(row["logits"].size, *(result["exact"].size for result in row["results"])) <= PIECE:
        yield encode(listed(row))
    else:
        yield from _encoded(row, encode)


def _encoded(tree: Any, encode: Callable[[Any], str]) -> Iterator[str]:
    """A value as JSON, its columns piece by piece."""
    if isinstance(tree, Column):
        yield "["
        if tree.side:
            yield from _joined([encode(tree.items(at, at + tree.side))] for at in range(0, tree.size, tree.side))
        else:
            starts = range(0, tree.size, PIECE)
            yield from _joined([encode(tree.items(at, min(at + PIECE, tree.size)))[1:-1]] for at in starts)
        yield "]"
    elif isinstance(tree, dict):
        yield "{"
        yield from _joined(chain([f"{plain(key)}: "], _encoded(value, encode)) for key, value in tree.items())
        yield "}"
    elif isinstance(tree, list):
        yield "["
        yield from _joined(_encoded(value, encode) for value in tree)
        yield "]"
    else:
        yield plain(tree)


def _joined(some: Iterable[Iterable[str]]) -> Iterator[str]:
    for k, one in enumerate(some):
        yield from [", "] * bool(k)
        yield from one
