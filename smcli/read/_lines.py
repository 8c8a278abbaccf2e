"""Numbers in lines, without brackets: a line is a row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smcli.numbers.words import NotANumberError
from smcli.read._run import RunError, fault, grouped, split, unsuffixed

if TYPE_CHECKING:
    from smcli.errors import InputError
    from smcli.read._gather import Gather
    from smcli.read._tree import Node
    from smcli.read._values import Values

_TOGETHER = 1 << 14  # words that are converted at once
_NAME = re.compile(r"^[ \t]*[A-Za-z_]\w*[ \t]*(?:=|:|<-)(?=[ \t]*[\d+.-]|[ \t]*(?:inf|nan)\b|[ \t]*$)", re.MULTILINE)


def unnamed(text: str) -> tuple[str, list[str]]:
    """A text without the names before its numbers, and these: logits = 1 2 3."""
    names: list[str] = []

    def drop(found: re.Match[str]) -> str:
        names.append(found[0].strip())
        return " " * len(found[0])

    return (_NAME.sub(drop, text), names) if ":" in text or "=" in text or "<-" in text else (text, names)


def words_around(text: str, root: Node) -> bool:
    """Whether there is anything but separators around the brackets of a text."""
    ends = zip([0, *(kid.end for kid in root.kids)], [*(kid.begin for kid in root.kids), len(text)], strict=True)
    return any(text[a:b].strip(" \t\n,;") for a, b in ends) or any(kid.name for kid in root.kids)


def read(text: str, values: Values, into: Gather, *, by_line: bool = False) -> bool:
    """Take the numbers of the lines, a row each, or one row where every line holds one.

    Returns:
        Whether the numbers had the f of a C float behind them.

    Raises:
        InputError: something is not a number, or separators leave a doubt.
    """
    some = _Some(text, values, into)
    column = not by_line
    at = 0
    plain = "," not in text and ";" not in text
    for line in text.split("\n"):
        try:
            found = line.split() if plain else split(line)
        except RunError as error:
            row = into.row if column else into.row + len(some.sizes)
            raise values.failed(error, at, row) from None
        column = column and len(found) <= 1
        if found:
            if len(some.words) >= _TOGETHER and not column:
                some.take(at)
            some.words += found
            some.sizes.append(len(found))
        at += len(line) + 1
    if column and some.words:
        some.sizes = [len(some.words)]
    some.take(at)
    return some.suffixed


class _Some:
    """The words of some lines."""

    def __init__(self, text: str, values: Values, into: Gather) -> None:
        self._text, self._values, self._into = text, values, into
        self._start = 0
        self.words: list[str] = []
        self.sizes: list[int] = []
        self.suffixed = False

    def take(self, stop: int) -> None:
        """Gather them; the lines end at `stop`."""
        words, sizes, start = self.words, self.sizes, self._start
        self.words, self.sizes, self._start = [], [], stop
        if error := words and grouped(self._text[start:stop], words):
            raise self._failed(error, start, sizes)
        try:
            self._into.add_all(words, sizes)
        except NotANumberError as problem:
            if (bare := unsuffixed(words)) is None:
                raise self._failed(fault(self._text[start:stop], problem.index), start, sizes) from None
            self._into.add_all(bare, sizes)
            self.suffixed = True

    def _failed(self, error: RunError, start: int, sizes: list[int]) -> InputError:
        """The error of a word of several lines, with its row and place there."""
        row, index = self._into.row, error.index or 0
        for size in sizes:
            if index < size:
                break
            index, row = index - size, row + 1
        error.index = index
        return self._values.failed(error, start, row)
