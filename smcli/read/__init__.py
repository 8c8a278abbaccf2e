"""Words and files become rows of numbers; no number format is chosen here.

Each module without an underscore reads one kind of input: its name is the kind, SUFFIXES are the endings of its files,
MAGIC (where it has one) the bytes they begin with, KEYED that it takes --key, `read(source)` gives all of it as a Batch,
and `stream(source)` (where it has one) its blocks in bounded memory. To add a kind is to add a module.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from smcli import registry
from smcli.errors import InputError, UsageError
from smcli.numbers.words import HINT, escape, not_a_number, parse, show
from smcli.numbers.written import compare_exact
from smcli.read._kinds import kinds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from smcli.batch import Batch, RawBlock
    from smcli.model import RawRow
    from smcli.read._source import Source
    from smcli.read._stream import Stream

__all__ = [
    "How",
    "array_of",
    "block_from_file",
    "from_arguments",
    "from_file",
    "from_object",
    "indices",
    "integers",
    "kinds",
    "number",
    "numbers_or_file",
    "stream",
]

_EXACT_INTEGERS = 2**53  # below it every integer is a float64
_NO_LOGITS = "give some, as in: 1000 2000 3000"


class How(NamedTuple):
    """How an input is read.

    Attributes:
        kind: one of `kinds()`; None: told from the ending, else from the first bytes, else text.
        key: which array of it is asked for, or None.
        axis: of arrays and nested lists, the axis of the classes, or None: the last.
        columns: the names of the columns of a table that are logits, or None: all but the target's.
        target_column: the name of the column of a table that is the target, or None.
        plain: it holds the numbers of an option, not logits: nothing may be left out, no column is a target.
    """

    kind: str | None = None
    key: str | None = None
    axis: int | None = None
    columns: tuple[str, ...] | None = None
    target_column: str | None = None
    plain: bool = False


AS_IT_IS = How()


def from_arguments(tokens: Sequence[str], *, axis: int | None = None) -> Batch:
    """The rows that the words of a command line give: one row, or several by brackets.

    Raises:
        InputError: a word is not a number; the message counts the words from 1.
    """
    from bisect import bisect_right
    from itertools import accumulate

    from smcli.read._parse import parse

    if not any(word.strip() for word in tokens):
        raise InputError("no logits", _NO_LOGITS)
    empty = next((i for i, word in enumerate(tokens, 1) if not word.strip()), None)
    if empty:
        raise InputError(f"argument {empty} is empty", "is a shell variable unset?")
    starts = list(accumulate((len(word) + 1 for word in tokens), initial=0))
    parsed = parse(" ".join(tokens), lambda _, at: f"argument {min(bisect_right(starts, at), len(tokens))}")
    return _filled(parsed.batch("the arguments", axis), "the arguments")


def from_file(path: str, how: How = AS_IT_IS) -> Batch:
    """All rows of a file, of a pipe, or of standard input, which is "-".

    A text without brackets and with one number a line is one row.

    Raises:
        InputError: it cannot be read, something in it is not a number, or there is none.
        UsageError: there is no such kind, or it has no keys or no columns.
    """
    from smcli.read._source import opened

    with opened(path, how) as source:
        batch: Batch = _reader(source, path).read(source)
        return _filled(batch, source.name)


def stream(path: str, how: How = AS_IT_IS) -> Stream:
    """The rows of a file block by block, in bounded memory where the kind allows it. A line of text is a row, always.

    Errors are those of `from_file`; the first block is read at once.
    """
    from smcli.read._stream import Stream

    return Stream(path, how, _reader)


def block_from_file(path: str, how: How = AS_IT_IS) -> RawBlock | None:
    """All rows of an array in a file as one block, mapped: each process may open it and take the rows it is to work on.

    None of text, CSV and JSON, of a pipe, and of an array that would have to be unpacked: `stream` reads these.

    Raises:
        InputError, UsageError: as `from_file`.
    """
    from smcli.read._source import opened

    if path == "-" or not os.path.isfile(path):
        return None
    with opened(path, how) as source:
        read = getattr(_reader(source, path), "mapped", None)
        block: RawBlock | None = read(source) if read else None
        return block


def from_object(obj: object, *, axis: int | None = None) -> Batch:
    """The rows of a list, of nested lists (ragged ones too), of an array or a tensor; the last axis is the classes.

    Raises:
        InputError: something in it is not a number, or there is none.
    """
    from smcli.read._objects import read

    return read(obj, axis)


def array_of(obj: object) -> NDArray[Any] | None:
    """The array that an object is or gives, of any real dtype; None of a list, of one number, and of Python objects.

    Raises:
        InputError: it holds no real numbers, or none at all, or some are masked.
    """
    from smcli.read._arrays import check
    from smcli.read._objects import as_array, is_array

    if not is_array(obj):
        return None
    array = as_array(obj)
    if array.dtype.kind == "O":
        return None
    check(array.dtype, array.shape, "the array")
    return array


def number(text: str, what: str) -> tuple[float, str]:
    """One number of the option `what`: the nearest float64, and the token.

    Raises:
        InputError: it is not just one number.
    """
    token = text.strip()
    try:
        return parse(token), token
    except ValueError:
        problem, hint = not_a_number(token)
        raise InputError(f"{what}: {problem}", hint) from None


def numbers_or_file(text: str, what: str) -> Batch:
    """The numbers of the option `what`, or the rows of the file that it names; FILE:KEY is one of its arrays.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    try:
        return _option(text, what)
    except InputError as error:
        path, key = text, None
        if not os.path.exists(text) and os.path.isfile(text.rpartition(":")[0]):
            path, _, key = text.rpartition(":")
        if os.path.exists(path):
            return _array_of_option(path, key)
        error.hint += "; there is no file of this name either"
        raise


def _array_of_option(path: str, key: str | None) -> Batch:
    """The rows of a file that an option names; its errors speak of FILE:KEY, as --key is that of the logits."""
    try:
        return from_file(path, How(key=key, plain=True))
    except (InputError, UsageError) as error:
        error.hint = error.hint.replace("with --key NAME", f"as {escape(path)}:NAME")
        error.hint = error.hint.replace("leave out --key", f"leave out :{key}")
        raise


def indices(text: str, what: str) -> list[int]:
    """The integers of the option `what`, or of the file that it names.

    Raises:
        InputError: a number is not an integer, or beyond 2**53.
    """
    return integers(numbers_or_file(text, what), what)


def integers(rows: Sequence[RawRow], what: str) -> list[int]:
    """The numbers of the option `what`, all of which have to be integers.

    Raises:
        InputError: one is not, or is beyond 2**53.
    """
    found: list[int] = []
    for row in rows:
        values = row.values.tolist()
        if row.tokens is not None or not all(abs(v) < _EXACT_INTEGERS and v.is_integer() for v in values):
            tokens = row.tokens or tuple(map(repr, values))
            wrong = next((t for t, v in zip(tokens, values, strict=True) if not _is_index(t, v)), None)
            if wrong is not None:
                raise InputError(f"{what}: {show(wrong)} is not an integer", "classes are counted from 0")
        found += map(int, values)
    return found


def _is_index(token: str, value: float) -> bool:
    return abs(value) < _EXACT_INTEGERS and value.is_integer() and compare_exact(token, value) == 0


def _option(text: str, what: str) -> Batch:
    from smcli.read._parse import parse

    parsed = parse(text, lambda _text, _at: what, subject=what)
    if not len(parsed.gather):
        raise InputError(f"{what}: no numbers", HINT)
    return parsed.batch(what)


def _filled(batch: Batch, where: str) -> Batch:
    if not batch.blocks or not len(batch):
        raise InputError(f"no logits in {where}", _NO_LOGITS)
    return batch


def _reader(source: Source, path: str) -> ModuleType:
    """The module that reads a source: by its kind, its ending, its first bytes, else as text."""
    how = source.how
    names = (how.kind,) if how.kind else kinds()
    modules = {name: registry.module(__name__, kinds(), name, "input format") for name in names}
    suffix = os.path.splitext(path)[1].lower()
    module = (
        (modules[how.kind] if how.kind else None)
        or next((m for m in modules.values() if suffix in m.SUFFIXES), None)
        or next((m for m in modules.values() if _begins(source, m)), None)
        or modules["text"]
    )
    if how.key is not None and not getattr(module, "KEYED", False):
        raise UsageError(f"{source.name} has no keys, it holds one array", "leave out --key")
    if (how.columns or how.target_column) and not getattr(module, "NAMED", False):
        raise UsageError(
            f"{source.name} has no columns with names, it is no table", "a CSV file with a header has some"
        )
    return module


def _begins(source: Source, module: ModuleType) -> bool:
    """Whether an input begins as those of that kind do."""
    magic = getattr(module, "MAGIC", None)
    return magic is not None and re.match(magic, source.head()) is not None
