"""JSON lines: one JSON value a line, read line by line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from smcli.errors import InputError
from smcli.read._blocks import Blocks
from smcli.read._gather import Gather
from smcli.read.csv import numbered
from smcli.read.json import JsonRows
from smcli.read.text import column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.batch import Batch, RawBlock
    from smcli.read._source import Source

SUFFIXES = (".jsonl", ".ndjson")
KEYED = True


def read(source: Source) -> Batch:
    """The rows of each line: a list of numbers, a list of rows, or an object with the logits under a key."""
    rows = JsonRows(Gather(source.name), source.how.key)
    for number, line in source.lines():
        _line(rows, number, line, source.name)
    return rows.batch(source)


def stream(source: Source) -> Iterator[RawBlock]:
    """The rows of the lines, in blocks."""
    blocks = Blocks(source)
    rows = JsonRows(blocks.gather, source.how.key)
    for part in source.parts():
        if part is None:
            yield from blocks.rest()
            continue
        for number, line in numbered(part[1], part[0]):
            _line(rows, number, line, source.name)
            if rows.labels is not None:
                raise InputError(f"{source.name}:{number} has a label for each logit, which is not read line by line",
                                 "give one class for each row; --key logits leaves them alone")  # fmt: skip
            if rows.target:
                blocks.targets(rows.target)
                rows.target = None
        yield from blocks.full()
    yield from blocks.rest()


def _line(rows: JsonRows, number: int, line: str, name: str) -> None:
    where = f"{name}:{number}"
    rows.add(line, where, partial(column, where))
