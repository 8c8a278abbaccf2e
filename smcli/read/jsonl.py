"""JSON lines: one JSON value a line, read line by line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from smcli.read.json import text_rows
from smcli.read.text import column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import RawRow
    from smcli.read._source import Source

SUFFIXES = (".jsonl", ".ndjson")
KEYED = True


def rows(source: Source) -> Iterator[RawRow]:
    """The rows of each line: a list of numbers, a list of rows, or an object with the logits under a key."""
    count = 0
    for number, line in source.lines():
        where = f"{source.name}:{number}"
        for row in text_rows(line, where, source.key, partial(column, where), count):
            yield row
            count += 1
