"""Rows of written numbers are gathered into blocks; a text is kept only where its float64 is not the whole truth."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from smcli.batch import RawBlock
from smcli.errors import InputError
from smcli.numbers.words import parse_all
from smcli.numbers.written import compare_exact
from smcli.read._arrays import BLOCK, check_axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smcli.model import BoolArray, FloatArray, IntArray

_TOGETHER = 1 << 13  # words that are looked at together
_SPARE_BITS = 28  # a float64 with these last bits 0 may be half way between two numbers of float32, or of less
_WIDE = 2.0**43  # half the spacing of float64 there is above 0.0004, which is worth a message
_TEXT_DIGITS = 15  # so many digits always survive a float64


class Gather:
    """Rows of numbers, written ones and others, in the order in which they come."""

    def __init__(self, name: str = "", first_row: int = 0) -> None:
        self.name = name
        self._first = first_row
        self._values = array("d")
        self._sizes = array("q")
        self._words: list[str] = []  # of the last values, not looked at yet
        self._texts: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def row(self) -> int:
        """The place of the next row in the input."""
        return self._first + len(self._sizes)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return len(self._values)

    def add(self, words: Sequence[str]) -> None:
        """A row as it is written.

        Raises:
            NotANumberError: with the index of the first word that is not a number.
        """
        self.add_all(words, (len(words),))

    def add_all(self, words: Sequence[str], sizes: Iterable[int]) -> None:
        """Several rows as they are written, one after the other.

        Raises:
            NotANumberError: with the index, among all words, of the first one that is not a number.
        """
        self._values.extend(parse_all(words))
        self._sizes.extend(sizes)
        self._words += words
        if len(self._words) >= _TOGETHER:
            self._look()

    def add_values(self, values: Iterable[float], texts: dict[int, str] | None = None) -> None:
        """A row of numbers, and what was written of those of them whose float64 is not all."""
        self._look()
        start = len(self._values)
        self._values.extend(values)
        self._sizes.append(len(self._values) - start)
        for i, text in (texts or {}).items():
            self._texts[start + i] = text

    def join(self) -> None:
        """Make one row of all."""
        self._sizes = array("q", [len(self._values)])

    def rows(self) -> list[tuple[list[float], dict[int, str]]]:
        """The rows for `add_values`: for a few of them only."""
        self._look()
        found, start = [], 0
        for size in self._sizes:
            texts = {i - start: self._texts[i] for i in range(start, start + size) if i in self._texts}
            found.append((self._values[start : start + size].tolist(), texts))
            start += size
        return found

    def _look(self) -> None:
        """Keep those of the last words that say more than their float64."""
        words, self._words = self._words, []
        if words:
            start = len(self._values) - len(words)
            for at in telling(words, np.array(self._values[start:])):
                self._texts[start + at] = words[at]

    def blocks(self, shape: tuple[int, ...] | None = None, axis: int | None = None) -> tuple[RawBlock, ...]:
        """A block for each length of rows; all of them in one where they have the shape of an array.

        Args:
            shape: that of the whole, classes last, where it is regular.
            axis: the axis of the classes.

        Raises:
            InputError: there is no such axis, or rows of different lengths have only the last.
        """
        if not self._sizes:
            return ()
        self._look()
        values = np.frombuffer(self._values, dtype=np.float64)
        sizes = np.frombuffer(self._sizes, dtype=np.int64)
        texts = sorted(self._texts.items())
        regular = bool((sizes == sizes[:1]).all())
        if axis not in {None, -1}:
            if shape is None and regular:
                shape = (sizes.size, int(sizes[0])) if sizes.size > 1 else (int(sizes[0]),)
            axis = check_axis(axis, 2 if shape is None else len(shape), self.name)
            if shape is None and axis != 1:
                raise InputError(f"axis {axis}: the rows of {self.name} differ in length", "rows are the last axis")
            if shape is not None:
                places = np.moveaxis(np.arange(values.size).reshape(shape), axis, -1)
                places = places.reshape(-1, places.shape[-1])
                return (self._block(values, places, texts, range(len(places))),)
        if regular:
            rows = range(self._first, self._first + sizes.size)
            return (RawBlock(values.reshape(sizes.size, -1), rows, tuple(texts), name=self.name),)
        starts = np.cumsum(sizes) - sizes
        found = []
        for size in dict.fromkeys(sizes.tolist()):
            at = np.flatnonzero(sizes == size)
            places = starts[at, None] + np.arange(size)
            found.append(self._block(values, places, texts, at + self._first))
        return tuple(found)

    def first_block(self, least: int) -> RawBlock | None:
        """The first rows of one length, taken away: as many as make `least` numbers or a block; None of fewer.

        Rows of another length behind them end the block before.
        """
        if not self._sizes:
            return None
        size, count = self._sizes[0], max(1, BLOCK // max(1, self._sizes[0]))
        sizes = np.frombuffer(self._sizes, dtype=np.int64)
        other = np.flatnonzero(sizes[:count] != size)
        rows = int(other[0]) if other.size else min(count, sizes.size)
        if not other.size and rows < count and rows * size < least:
            return None
        self._look()
        end = rows * size
        values = np.array(self._values[:end])
        texts = sorted((i, text) for i, text in self._texts.items() if i < end)
        block = RawBlock(
            values.reshape(rows, size), range(self._first, self._first + rows), tuple(texts), name=self.name
        )
        del sizes
        self._values, self._sizes = self._values[end:], self._sizes[rows:]
        self._texts = {i - end: text for i, text in self._texts.items() if i >= end}
        self._first += rows
        return block

    def _block(
        self, values: FloatArray, places: IntArray, texts: list[tuple[int, str]], rows: IntArray | range
    ) -> RawBlock:
        """The block of the values at some places, with the texts that belong to it."""
        kept: tuple[tuple[int, str], ...] = ()
        if texts:
            order = np.argsort(places, axis=None)
            here = places.ravel()[order]
            found = []
            for at, text in texts:
                i = bisect_left(here, at)
                if i < here.size and here[i] == at:
                    found.append((int(order[i]), text))
            kept = tuple(sorted(found))
        return RawBlock(values[places], rows, kept, name=self.name)


def telling(words: Sequence[str], values: FloatArray) -> list[int]:
    """Which words say more than their float64, where that can matter: for a narrower format, or for a message.

    It can matter where the float64 may be half way between two numbers of a narrower format, where it is 0 or an
    infinity, and where it is so large that its own rounding is worth a word.
    """
    size = np.abs(values)
    bits: BoolArray = (values.view(np.int64) & ((1 << _SPARE_BITS) - 1)) == 0
    suspects = np.flatnonzero(bits | ~(size < _WIDE))
    if not suspects.size:
        return []
    chosen, some = size[suspects], [words[i] for i in suspects.tolist()]
    # a short word of a number whose own digits are few is that number: no two of 15 digits share a float64
    short = np.fromiter(map(len, some), dtype=np.int64, count=len(some)) <= _TEXT_DIGITS
    with np.errstate(all="ignore"):
        whole = (chosen == np.rint(chosen)) & (chosen < 10.0**_TEXT_DIGITS)
        simple = (chosen < 2.0**16) & (chosen * 1024 == np.rint(chosen * 1024))
    plain = short & (whole | simple) & (chosen != 0)
    return [int(suspects[k]) for k in np.flatnonzero(~plain).tolist() if _tells(some[k], float(values[suspects[k]]))]


def _tells(word: str, value: float) -> bool:
    if value == 0 and not word.strip("+-0."):
        return False
    if value != value or "n" in word.lower():
        return False
    return compare_exact(word, value) != 0
