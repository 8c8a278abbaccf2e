"""Numbers in lines, without brackets: a line is a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smcli.numbers.words import NotANumberError
from smcli.read._run import RunError, fault, grouped, split, unsuffixed

if TYPE_CHECKING:
    from smcli.errors import InputError
    from smcli.read._gather import Gather
    from smcli.read._run import Faults

_TOGETHER = 1 << 14  # words that are converted at once


def read(text: str, faults: Faults, into: Gather, *, by_line: bool = False) -> bool:
    """Take the numbers of the lines, a row each, or one row where every line holds one.

    Returns:
        Whether the numbers had the f of a C float behind them.

    Raises:
        InputError: something is not a number, or separators leave a doubt.
    """
    some = _Some(text, faults, into)
    column = not by_line
    at = 0
    plain = "," not in text and ";" not in text
    for line in text.split("\n"):
        try:
            found = line.split() if plain else split(line)
        except RunError as error:
            row = into.row if column else into.row + len(some.sizes)
            raise faults.failed(error, at, row) from None
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

    def __init__(self, text: str, faults: Faults, into: Gather) -> None:
        self._text, self._faults, self._into = text, faults, into
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
        return self._faults.failed(error, start, row)
