"""CSV: a line is a row, a header names the columns; cells stand between commas, semicolons or tabs."""

from __future__ import annotations

import csv
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from smcli.batch import Batch
from smcli.errors import InputError, UsageError
from smcli.numbers.words import (
    COMMA_HINT,
    NotANumberError,
    escape,
    has_comma,
    has_group,
    is_missing,
    not_a_number,
    parse,
    show,
    show_all,
)
from smcli.read._blocks import Blocks
from smcli.read._carried import is_target, targets
from smcli.read._gather import Gather
from smcli.read._parse import left_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from smcli.batch import RawBlock
    from smcli.read._source import Source

    Lines = Iterator[tuple[int, str] | None]

SUFFIXES = (".csv", ".tsv")
NAMED = True
COLUMN = True  # of one number a line `read` makes one row

_HINT = "cells stand between commas, semicolons or tabs, and may be in double quotes"
_NO_LOGITS = ("class", "classes", "y", "id", "index")  # with the names of targets: columns that are hardly logits
_CHOOSE = "choose the columns of the logits by --columns a,b,c and that of the target by --target-column NAME"
_EXACT = 2**53
_TOGETHER = 1 << 14  # cells after which full blocks are looked for
_LEAVE = "nan in place of a logit leaves its row alone undefined, and an ignored target leaves it out"
_AHEAD = 1 << 20  # cells that are looked at, once one cannot be read, to tell how many others cannot


class _Record(NamedTuple):
    line: int  # the number of the line where it ends
    cells: list[str]


class _Columns(NamedTuple):
    """Which cells of a record are logits, and which is the target; None: all, and none."""

    logits: list[int] | None = None
    target: int | None = None


def read(source: Source) -> Batch:
    """The rows of a table; one row when every line holds one number, as a column does."""
    return table(source, numbered(source.text()))


def stream(source: Source) -> Iterator[RawBlock]:
    """The rows of a table, each line a row, in blocks."""
    return streamed(source, lines_of(source.parts()))


def lines_of(parts: Iterable[tuple[int, str] | None]) -> Lines:
    """The lines of parts of a text, and None where there are no more for now."""
    for part in parts:
        if part is None:
            yield None
        else:
            yield from numbered(part[1], part[0])


def numbered(text: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank."""
    for number, line in enumerate(text.split("\n"), first):
        if line and not line.isspace():
            yield number, line.rstrip("\r")


def has_header(text: str) -> bool:
    """Whether a text looks like CSV whose first line names the columns of the lines below."""
    lines = (line for _, line in numbered(text) if not line.lstrip().startswith("#"))
    first, second = next(lines, ""), next(lines, "")
    return bool(second) and _is_header(first, second)


def _is_header(first: str, second: str) -> bool:
    mark = _delimiter(first)
    cells, below = ([cell.strip() for cell in line.split(mark)] for line in (first, second))
    return (
        len(cells) == len(below)
        and not any(c in "[](){}<>=:" for c in first)
        and not any(_is_number(cell) or not cell for cell in cells)
        and any(_is_number(cell) for cell in below)
        and (len(cells) > 1 or len(first.split()) == 1)
    )


def table(source: Source, lines: Lines) -> Batch:
    """The rows of a table."""
    gather = Gather(source.name)
    found: list[int] = []
    dropped: list[str] = []
    for _ in _taken(source, lines, gather, found, dropped):
        pass
    if len(gather) == gather.size > 1 and not found:
        gather.join()
    blocks = gather.blocks(None, source.how.axis)
    carried = targets(found, sum(map(len, blocks)), source.name) if found else None
    return Batch(blocks, target=carried, notes=left_out(source.name, dropped))


def streamed(source: Source, lines: Lines) -> Iterator[RawBlock]:
    """The rows of a table in blocks."""
    blocks = Blocks(source)
    found: list[int] = []
    dropped: list[str] = []
    for waits in _taken(source, lines, blocks.gather, found, dropped):
        if found:
            blocks.targets(found)
            found.clear()
        blocks.about([], left_out(source.name, dropped))
        yield from blocks.rest() if waits else blocks.full()
    yield from blocks.rest()


def _taken(source: Source, lines: Lines, gather: Gather, found: list[int], dropped: list[str]) -> Iterator[bool]:
    """Gather the rows and targets of a table; gives a sign after some of them, and whether it waits for more."""
    columns, first, since = _Columns(), True, 0
    records = _records(lines, source.name, dropped)
    for record in records:
        if record is None:
            yield True
            continue
        if first:
            first = False
            header = None if any(map(_is_number, record.cells)) else record.cells
            columns = _chosen(source, header, dropped)
            if header:
                continue
        try:
            since += _row(gather, record, columns, source, found)
        except InputError as error:
            raise _with_others(error, records, columns, source) from None
        if since >= _TOGETHER:
            since = 0
            yield False
    yield False


def _row(gather: Gather, record: _Record, columns: _Columns, source: Source, found: list[int]) -> int:
    """Gather the logits and the target of a record; returns how many logits.

    Raises:
        InputError: cells are missing, or are not numbers.
    """
    cells = record.cells
    if columns.logits is not None and len(cells) <= max(*columns.logits, columns.target or 0):
        raise InputError(f"{len(cells)} cells, fewer than in the header, {source.name}:{record.line}", _HINT)
    words = cells if columns.logits is None else [cells[i] for i in columns.logits]
    _add(gather, words, record, columns, source)
    if columns.target is not None:
        found.append(_class(cells[columns.target], record, source.name))
    return len(words)


def _with_others(error: InputError, records: Iterator[_Record | None], columns: _Columns, source: Source) -> InputError:
    """The error, with how many of the records that follow cannot be read either; as far as they are there, and not for long.

    Where these are few, the table has bad cells; else it is read in a wrong way.
    """
    rows = bad = cells = 0
    try:
        while cells < _AHEAD and (record := next(records, None)) is not None:
            rows, cells = rows + 1, cells + len(record.cells)
            try:
                _row(Gather(source.name), record, columns, source, [])
            except InputError:
                bad += 1
    except InputError:  # what follows is no CSV
        pass
    more = f"; nor can {bad} of the {rows} rows after it be read" if bad else ""
    few = "" if error.hint == _HINT or rows <= 2 * bad else f"; {_LEAVE}"
    return InputError(f"{error.message}{more}", f"{error.hint}{few}")


def _add(gather: Gather, words: list[str], record: _Record, columns: _Columns, source: Source) -> None:
    group = next((i for i, word in enumerate(words) if has_group(word)), None)
    try:
        if group is None:
            gather.add(words)
            return
        at, problem, hint = group, f"{show(words[group])} begins with a 0, as a group of thousands does", COMMA_HINT
    except NotANumberError as error:
        at = error.index
        problem, hint = not_a_number(words[at]) if words[at] else ("the cell is empty", "write a number, or nan")
        if any(c.isalpha() for c in words[at]):
            hint = f"{hint}; {_CHOOSE}"
    column = columns.logits[at] if columns.logits else at
    place = f"{source.name}:{record.line}, column {column + 1}"
    raise InputError(f"logit {at} of row {gather.row}: {problem}, {place}", hint)


def _class(cell: str, record: _Record, name: str) -> int:
    try:
        value = parse(cell)
    except ValueError:
        value = 0.5
    if not value.is_integer() or abs(value) > _EXACT:
        problem = f"the target {show(cell)} is not an integer, {name}:{record.line}"
        raise InputError(problem, "classes are counted from 0")
    return int(value)


def _chosen(source: Source, header: list[str] | None, dropped: list[str]) -> _Columns:
    """The columns that are asked for by name; without names, all of them."""
    asked, target = source.how.columns, source.how.target_column
    if header is None:
        if asked or target:
            name = (asked or (target or "",))[0]
            raise UsageError(f"{source.name} has no header, so no column {show(name)}", "its first line holds numbers")
        return _Columns()
    right = None if target is None else _column(header, target, source.name)
    if asked:
        logits = [_column(header, name, source.name) for name in asked]
        if right in logits:
            raise UsageError(f"column {show(target or '')} is asked for as a logit and as the target", _CHOOSE)
    else:
        logits = [i for i in range(len(header)) if i != right]
        doubtful = [header[i] for i in logits if is_target(header[i].lower()) or header[i].lower() in _NO_LOGITS]
        if doubtful and len(header) > 1 and not source.how.plain:
            raise InputError(f"{source.name} has a column {show(doubtful[0])}, which is hardly a logit", _CHOOSE)
        if not logits:
            raise InputError(f"no logits in {source.name}: its only column is the target", _CHOOSE)
    dropped += [header[i] for i in range(len(header)) if i not in logits and i != right]
    return _Columns(logits, right)


def _column(header: Sequence[str], name: str, where: str) -> int:
    places = [i for i, cell in enumerate(header) if cell == name]
    places = places or [i for i, cell in enumerate(header) if cell.lower() == name.strip().lower()]
    if len(places) != 1:
        many = "no column" if not places else f"{len(places)} columns"
        raise InputError(f"{where} has {many} {show(name)}; its columns: {show_all(header)}", _CHOOSE)
    return places[0]


def _records(lines: Lines, name: str, dropped: list[str]) -> Iterator[_Record | None]:
    """The cells of each record; None where there are no more for now."""
    number = 0

    def texts() -> Iterator[str]:
        nonlocal number
        for item in lines:
            if item is None:
                yield ""
            elif item[1].lstrip().startswith("#"):
                dropped.append(item[1].strip())
            else:
                number = item[0]
                yield item[1] + "\n"

    text = texts()
    first = next(filter(None, text), "")
    try:
        rest = chain([first], text)
        for cells in csv.reader(rest, delimiter=_delimiter(first), skipinitialspace=True, strict=True):
            yield _Record(number, [cell.strip() for cell in cells]) if cells else None
    except csv.Error as error:
        # as old Macs wrote
        what = "lines that end in a carriage return alone" if "new-line" in str(error) else escape(str(error))
        raise InputError(f"not CSV: {what}, {name}:{number}", _HINT) from None


def _delimiter(line: str) -> str:
    return next((mark for mark in "\t;" if mark in line), ",")


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, or what is meant as one: with a decimal comma, or missing."""
    try:
        parse(cell)
    except ValueError:
        return is_missing(cell) or has_comma(cell)
    return True
