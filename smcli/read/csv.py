"""CSV: a line is a row, a header is skipped; cells stand between commas, semicolons or tabs."""

from __future__ import annotations

import csv
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from smcli.errors import InputError
from smcli.model import RawRow
from smcli.numbers.words import NotANumberError, not_a_number, parse, parse_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.read._source import Source

SUFFIXES = (".csv", ".tsv")

_HINT = "cells stand between commas, semicolons or tabs, and may be in double quotes"


def rows(source: Source) -> Iterator[RawRow]:
    """The rows of a table; one row when every line holds one number, as a column does."""
    if source.by_line:
        yield from _lines(source)
        return
    found = list(_lines(source))
    if all(row.values.size == 1 for row in found) and found:
        tokens = chain.from_iterable(row.tokens or () for row in found)
        yield RawRow(np.concatenate([row.values for row in found]), tuple(tokens))
    else:
        yield from found


def _lines(source: Source) -> Iterator[RawRow]:
    """A row for each record but a header."""
    row = 0
    for record, (line, cells) in enumerate(_records(source)):
        try:
            values = parse_all(cells)
        except NotANumberError as error:
            if not record and not any(map(_is_number, cells)):
                continue
            at = error.index
            problem, hint = not_a_number(cells[at]) if cells[at] else ("the cell is empty", "write a number, or nan")
            place = f"{source.name}:{line}, column {at + 1}"
            raise InputError(f"logit {at} of row {row}: {problem}, {place}", hint) from None
        yield RawRow(np.array(values, dtype=np.float64), tuple(cells))
        row += 1


def _records(source: Source) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record, and the number of the line where it ends."""
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for number, line in source.lines():  # noqa: B007 - read below, while the loop waits
            yield line + "\n"

    text = lines()
    first = next(text, "")
    delimiter = next((mark for mark in "\t;" if mark in first), ",")
    try:
        for record in csv.reader(chain([first], text), delimiter=delimiter, skipinitialspace=True, strict=True):
            if record:
                yield number, [cell.strip() for cell in record]
    except csv.Error as error:
        raise InputError(f"not CSV: {error}, {source.name}:{number}", _HINT) from None


def _is_number(cell: str) -> bool:
    try:
        parse(cell)
    except ValueError:
        return False
    return True
