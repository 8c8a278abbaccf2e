"""JSON: a list of numbers, a list of rows, or an object with the logits under a key."""

from __future__ import annotations

import json
import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from smcli.batch import Batch
from smcli.errors import InputError
from smcli.numbers.words import not_a_number, parse, plural, show, show_all
from smcli.read._carried import LOGITS, is_target, targets
from smcli.read._gather import Gather
from smcli.read._objects import Nested
from smcli.read.text import line_and_column

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.read._objects import Element
    from smcli.read._source import Source

SUFFIXES = (".json",)
MAGIC = rb"\s*\{\s*[\"}]"  # another brace opens a Python dict, or C
KEYED = True

_LARGE, _FEW = 2.0**43, 2.0**25  # as in _gather: a text tells more where a float64 is large, or has few bits
_SHORT = 15  # digits of an integer that is a float64
_NON_FINITE = re.compile(r"[+-]?(?:inf(?:inity)?|nan)", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n]*")
_HINT = 'a list of numbers, a list of rows, or an object such as {"logits": [1, 2, 3]} was expected'


class _Number(str):
    """A number as it is written, so that it is rounded just once, and never to a shorter integer."""

    __slots__ = ()


def _float(text: str) -> float | _Number:
    """A number with a point or an exponent: as it is written, where a float64 may not tell all that matters of it."""
    value = float(text)
    if -_LARGE < value < _LARGE and not (math.frexp(value)[0] * _FEW).is_integer():
        return value
    return _Number(text)


def _integer(text: str) -> int | _Number:
    return int(text) if len(text) <= _SHORT and text[0] != "-" else _Number(text)


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_integer, parse_constant=_Number)


def read(source: Source) -> Batch:
    """The rows of one JSON value, or of several that follow one another."""
    return values(source.text(), source, partial(line_and_column, source.name))


def values(text: str, source: Source, place: Callable[[str, int], str]) -> Batch:
    """The rows of the JSON values in a text."""
    nested = JsonRows(Gather(source.name), source.how.key)
    nested.add(text, source.name, place)
    return nested.batch(source)


class JsonRows(Nested):
    """Gathers the rows of JSON values, and the targets beside them."""

    def __init__(self, gather: Gather, key: str | None) -> None:
        super().__init__(gather, _element, (float, int))
        self.key = key
        self.target: list[int] | None = None
        self.labels: Nested | None = None

    def add(self, text: str, name: str, place: Callable[[str, int], str]) -> None:
        """Gather the rows of the values in a text, which have white space between them.

        Args:
            text: the values.
            name: what messages call the text.
            place: tells where the character with that index stands in the text.

        Raises:
            InputError: it is not JSON, or something in it is not a number.
        """
        at = _skip(text, 0)
        while at < len(text):
            try:
                value, stop = _DECODER.raw_decode(text, at)
                self._add(value, name)
            except json.JSONDecodeError as error:
                problem = f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}, {place(text, error.pos)}"
                raise InputError(problem, _HINT) from None
            except RecursionError:
                raise InputError(f"brackets are nested too deeply, {name}", _HINT) from None
            at = _skip(text, stop)

    def _add(self, value: Any, name: str) -> None:
        """Gather the rows of a value, and the targets beside them."""
        self.take(_logits(value, name, self.key), f", {name}")
        if isinstance(value, dict) and self.key is None:
            for other, found in value.items():
                if is_target(other) and found is not None:
                    self._carry(found, value[LOGITS], other, name)

    def _carry(self, found: Any, logits: Any, key: str, name: str) -> None:
        """Take the targets of the logits beside them, or a label for each of the logits."""
        if _sizes(found) == _sizes(logits) and isinstance(found, list) and _sizes(found) != [1]:
            self.labels = self.labels or Nested(Gather(name), _element, (float, int))
            self.labels.take(found, f", {name}, {show(key)}")
        else:
            self.target = (self.target or []) + _classes(found, key, name)

    def batch(self, source: Source) -> Batch:
        """All of it.

        Raises:
            InputError: there are not as many targets as rows, or both targets and labels.
        """
        blocks = self.gather.blocks(self.shape(), source.how.axis) if len(self.gather) else ()
        rows, labels = sum(map(len, blocks)), None
        if self.labels is not None:
            labels = Batch(self.labels.gather.blocks(self.labels.shape(), source.how.axis))
            if len(labels) != rows or self.target is not None:
                problem = f"{plural(len(labels), 'row of labels')} for {plural(rows, 'row of logits')}, {source.name}"
                raise InputError(problem, "give targets, or labels for each row")
        target = None if self.target is None else targets(self.target, rows, source.name)
        return Batch(blocks, target=target, labels=labels, shape=self.shape())


def _sizes(value: Any) -> list[Any]:
    """The lengths of nested lists, as nested as they are: [[1, 2], [3]] has [2, 1]; what is no list has none."""
    if not isinstance(value, list):
        return []
    return list(map(_sizes, value)) if any(isinstance(item, list) for item in value) else [len(value)]


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _logits(value: Any, name: str, key: str | None) -> list[Any]:
    """The list of logits that a JSON value is or holds."""
    if isinstance(value, dict):
        wanted = LOGITS if key is None else key
        if wanted not in value:
            problem = f"{name} has no key {show(wanted)}; its keys: {show_all(value)}"
            raise InputError(problem, "choose one with --key NAME")
        value = value[wanted]
    elif key is not None:
        raise InputError(f"{name} has no keys, it is {_name(value)}", "leave out --key")
    if not isinstance(value, list):
        raise InputError(f"{name} holds {_name(value)}, not a list", _HINT)
    return value


def _classes(value: Any, key: str, name: str) -> list[int]:
    """The integers under the key of the targets, a number or nested lists."""
    if isinstance(value, list):
        return [number for item in value for number in _classes(item, key, name)]
    try:
        if _is_number(value) and float(value).is_integer():
            return [int(float(value))]
    except (ValueError, OverflowError):
        pass
    problem = f"{name}: {_name(value)} under {show(key)} is not an integer"
    raise InputError(problem, "classes are counted from 0; --key logits leaves the targets alone")


def _element(item: Any) -> Element:
    """A number, or a string that says nan or inf, as JSON itself has none.

    Raises:
        ValueError: it is anything else.
    """
    if _is_plain(item):
        return float(item), None
    if isinstance(item, str) and (type(item) is _Number or _NON_FINITE.fullmatch(item)):
        return parse(item), str(item)
    if item is None:
        raise ValueError(not_a_number("null")[0])
    raise ValueError(f"{_name(item)} is not a number")


def _is_plain(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, _Number) or _is_plain(value)


def _name(value: object) -> str:
    """A JSON value in a message."""
    if _is_plain(value):
        return show(str(value))
    if isinstance(value, str):
        return show(value) if isinstance(value, _Number) else f"the text {show(value)}"
    return {dict: "an object", list: "a list", bool: str(value).lower()}.get(type(value), "null")
