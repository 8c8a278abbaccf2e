"""Words and files become rows of numbers; no number format is chosen here.

Each module without an underscore reads one kind of input: its name is the kind, SUFFIXES are the endings of its files,
MAGIC (where it has one) the bytes they begin with, KEYED that it takes --key, and `rows(source)` reads them. One that
stores an array also has `array(source)`. To add a kind is to add a module.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from smcli.errors import InputError, UsageError
from smcli.numbers.words import HINT, looks_like_number, not_a_number, parse, show
from smcli.numbers.written import compare_exact, exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from smcli.model import RawRow
    from smcli.read._source import Source

__all__ = [
    "array_from_file",
    "array_of",
    "compare_exact",
    "exact",
    "from_arguments",
    "from_file",
    "from_object",
    "from_stdin",
    "from_text",
    "indices",
    "integers",
    "kinds",
    "looks_like_number",
    "number",
    "numbers",
    "numbers_or_file",
    "stream",
]

_EXACT_INTEGERS = 2**53  # below it every integer is a float64
_NO_LOGITS = "give some, as in: 1000 2000 3000"


def kinds() -> list[str]:
    """The kinds of input that can be read: the values of --input-format."""
    from pkgutil import iter_modules

    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def from_arguments(tokens: Sequence[str]) -> list[RawRow]:
    """The rows that the words of a command line give: one row, or several by brackets.

    Raises:
        InputError: a word is not a number; the message counts the words from 1.
    """
    from bisect import bisect_right
    from itertools import accumulate

    from smcli.read.text import parse

    if not any(word.strip() for word in tokens):
        raise InputError("no logits", _NO_LOGITS)
    empty = next((i for i, word in enumerate(tokens, 1) if not word.strip()), None)
    if empty:
        raise InputError(f"argument {empty} is empty", "is a shell variable unset?")
    starts = list(accumulate((len(word) + 1 for word in tokens), initial=0))
    return parse(" ".join(tokens), lambda _, at: f"argument {min(bisect_right(starts, at), len(tokens))}")


def from_text(text: str, where: str) -> list[RawRow]:
    """The rows of a text; `where` is what messages call it.

    Raises:
        InputError: something in it is not a number, or there is none.
    """
    from functools import partial

    from smcli.read.text import line_and_column, parse

    rows = parse(text, partial(line_and_column, where))
    if not rows:
        raise InputError(f"no logits in {where}", _NO_LOGITS)
    return rows


def from_file(path: str, kind: str | None = None, key: str | None = None) -> list[RawRow]:
    """All rows of a file; see `stream`. A text without brackets and with one number a line is one row."""
    return list(_rows(path, kind, key, by_line=False))


def from_stdin(kind: str | None = None, key: str | None = None) -> list[RawRow]:
    """All rows of standard input."""
    return from_file("-", kind, key)


def stream(path: str, kind: str | None = None, key: str | None = None) -> Iterator[RawRow]:
    """The rows of a file one by one, in bounded memory where the kind allows it. A line of text is a row, always.

    Args:
        path: a file or a pipe; "-" is standard input.
        kind: one of `kinds()`; by default told from the ending, else from the first bytes, else text.
        key: which array of the file.

    Raises:
        InputError: it cannot be read, or something in it is not a number, or there is none.
        UsageError: there is no such kind, or it has no keys.
    """
    return _rows(path, kind, key, by_line=True)


def array_from_file(path: str, kind: str | None = None, key: str | None = None) -> NDArray[Any] | None:
    """The array of a file as it is stored, mapped where possible; None of text, CSV and JSON, and of a pipe.

    Any shape that is not empty, any dtype that `from_file` takes. For the dtype of a file, and for fast scans.
    """
    from smcli.read._source import opened

    if not os.path.isfile(path):
        return None  # a pipe can be read only once
    with opened(path, key) as source:
        read = getattr(_reader(source, path, kind), "array", None)
        return read(source) if read else None


def from_object(obj: object) -> list[RawRow]:
    """The rows of a list, of nested lists (ragged ones too), of an array or a tensor; the last axis is the classes.

    Raises:
        InputError: something in it is not a number, or there is none.
    """
    from smcli.read._objects import rows

    return list(rows(obj))


def array_of(obj: object) -> NDArray[Any] | None:
    """The array that an object is or gives, of any real dtype; None of a list, of one number, and of Python objects.

    Raises:
        InputError: it holds no real numbers, or none at all, or some are masked.
    """
    from smcli.read._objects import as_array, check, is_array

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


def numbers(text: str, what: str) -> RawRow:
    """A list of numbers of the option `what`.

    Raises:
        InputError: something in it is not a number, there is none, or there are several rows.
    """
    rows = _option(text, what)
    if len(rows) > 1:
        raise InputError(f"{what}: {len(rows)} rows, where one list was expected", HINT)
    return rows[0]


def numbers_or_file(text: str, what: str) -> list[RawRow]:
    """The numbers of the option `what`, or the rows of the file that it names.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    try:
        return _option(text, what)
    except InputError as error:
        if os.path.exists(text):
            return from_file(text)
        error.hint += "; there is no file of this name either"
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
        tokens = row.tokens or tuple(map(repr, row.values.tolist()))
        for token, value in zip(tokens, row.values.tolist(), strict=True):
            if not (abs(value) < _EXACT_INTEGERS and value.is_integer() and compare_exact(token, value) == 0):
                raise InputError(f"{what}: {show(token)} is not an integer", "classes are counted from 0")
            found.append(int(value))
    return found


def _option(text: str, what: str) -> list[RawRow]:
    from smcli.read.text import parse

    rows = parse(text, lambda _text, _at: what, what)
    if not rows:
        raise InputError(f"{what}: no numbers", HINT)
    return rows


def _rows(path: str, kind: str | None, key: str | None, *, by_line: bool) -> Iterator[RawRow]:
    from smcli.read._source import opened

    with opened(path, key, by_line=by_line) as source:
        row = None
        for row in _reader(source, path, kind).rows(source):
            yield row
        if row is None:
            raise InputError(f"no logits in {source.name}", _NO_LOGITS)


def _reader(source: Source, path: str, kind: str | None) -> ModuleType:
    """The module that reads a source: by its kind, its ending, its first bytes, else as text."""
    names = kinds()
    if kind is not None and kind not in names:
        raise UsageError(f"there is no input format {show(kind)}", f"choose one of: {', '.join(names)}")
    modules = {name: import_module(f"{__name__}.{name}") for name in ([kind] if kind else names)}
    suffix = os.path.splitext(path)[1].lower()
    module = (
        (modules[kind] if kind else None)
        or next((m for m in modules.values() if suffix in m.SUFFIXES), None)
        or next((m for m in modules.values() if source.head().lstrip().startswith(getattr(m, "MAGIC", ()))), None)
        or modules["text"]
    )
    if source.key is not None and not getattr(module, "KEYED", False):
        raise UsageError(f"{source.name} has no keys, it holds one array", "leave out --key")
    return module
