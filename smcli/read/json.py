"""JSON: a list of numbers, a list of rows, or an object with the logits under a key."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.errors import InputError
from smcli.model import RawRow
from smcli.numbers.words import parse, parse_all, show, show_all
from smcli.read._objects import build, innermost
from smcli.read.text import line_and_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smcli.read._objects import Element
    from smcli.read._source import Source

SUFFIXES = (".json",)
MAGIC = b"{"
KEYED = True

_KEY = "logits"
_NON_FINITE = re.compile(r"[+-]?(?:inf(?:inity)?|nan)", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n]*")
_HINT = 'a list of numbers, a list of rows, or an object such as {"logits": [1, 2, 3]} was expected'


class _Number(str):
    """A number as it is written, so that it is rounded just once, and never to a shorter integer."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_Number)


def rows(source: Source) -> Iterator[RawRow]:
    """The rows of one JSON value, or of several that follow one another."""
    return text_rows(source.text(), source.name, source.key, partial(line_and_column, source.name))


def text_rows(
    text: str, name: str, key: str | None, place: Callable[[str, int], str], first_row: int = 0
) -> Iterator[RawRow]:
    """The rows of the JSON values in a text.

    Args:
        text: the values, with white space between them.
        name: what messages call the text.
        key: where an object holds its logits; "logits" if None.
        place: tells where the character with that index stands in the text.
        first_row: the number of the first row, for messages.

    Raises:
        InputError: it is not JSON, or something in it is not a number.
    """
    at = _skip(text, 0)
    while at < len(text):
        try:
            value, stop = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            problem = f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}, {place(text, error.pos)}"
            raise InputError(problem, _HINT) from None
        except RecursionError:
            raise InputError(f"brackets are nested too deeply, {name}", _HINT) from None
        for items in innermost(_logits(value, name, key), f", {name}"):
            yield _row(items, first_row, f", {name}")
            first_row += 1
        at = _skip(text, stop)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _logits(value: Any, name: str, key: str | None) -> list[Any]:
    """The list of logits that a JSON value is or holds."""
    if isinstance(value, dict):
        wanted = _KEY if key is None else key
        if wanted not in value:
            problem = f"{name} has no key {show(wanted)}; its keys: {show_all(value)}"
            raise InputError(problem, "choose one with --key NAME")
        value = value[wanted]
    elif key is not None:
        raise InputError(f"{name} has no keys, it is {_name(value)}", "leave out --key")
    if not isinstance(value, list):
        raise InputError(f"{name} holds {_name(value)}, not a list", _HINT)
    return value


def _row(items: list[Any], row: int, place: str) -> RawRow:
    if all(type(item) is _Number for item in items):
        return RawRow(np.array(parse_all(items), dtype=np.float64), tuple(map(str, items)))
    return build(items, _element, row, place)


def _element(item: Any) -> Element:
    """A number, or a string that says nan or inf, as JSON itself has none.

    Raises:
        ValueError: it is anything else.
    """
    if isinstance(item, str) and (type(item) is _Number or _NON_FINITE.fullmatch(item)):
        return parse(item), str(item)
    raise ValueError(f"{_name(item)} is not a number")


def _name(value: object) -> str:
    """A JSON value in a message."""
    if isinstance(value, str):
        return show(value) if isinstance(value, _Number) else f"the text {show(value)}"
    return {dict: "an object", list: "a list", bool: str(value).lower()}.get(type(value), "null")
