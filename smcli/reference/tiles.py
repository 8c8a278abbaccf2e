"""What the array tiers share: results, and the blocks and scratch in which rows are worked through."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from smcli.model import BoolArray, FloatArray, IntArray

Tile: TypeAlias = tuple[slice, slice]
Array = TypeVar("Array", bound="NDArray[Any]")
BLOCK = 16384
LONG = 64  # logits of a row from which on it is worked on as it lies; shorter ones lie column by column in scratch
PIECE = 8192  # where temporaries are made: they stay in cache, and malloc keeps them, see `_keep_scratch`


def _keep_scratch() -> None:
    """Make malloc keep what temporaries leave, instead of giving it back to the system after each tile.

    glibc returns the free top of its heap beyond twice the largest block that was mapped and given back, 128 KiB at first,
    and gets it again page by page, which took up to a third of the time. No page of this block is ever touched.
    """
    np.empty(1 << 20)


_keep_scratch()


@dataclass(eq=False, repr=False)
class Sheet:
    """The results: pairs, exponents and what could not be certified; and the bound, where it is not the tier's."""

    hi: FloatArray
    lo: FloatArray
    exp2: IntArray
    missing: BoolArray
    bound: float | None = None

    @classmethod
    def of_pairs(cls, shape: tuple[int, ...]) -> Sheet:
        """A sheet to be filled; the exponents are one 0, shown everywhere, until they are asked for."""
        size = prod(shape)
        start = size + (256 - size) % 512  # high and low parts 2048 bytes apart modulo 4096: see twofold.fold
        parts = np.empty(start + size)
        zero = np.broadcast_to(np.int64(0), shape)
        return cls(parts[:size].reshape(shape), parts[start:].reshape(shape), zero, np.zeros(shape, np.bool_))

    @property
    def has_exponents(self) -> bool:
        """Whether any was asked for."""
        return self.exp2.flags.writeable

    def drop_exponents(self, at: Any) -> None:
        """Set those of some elements to 0."""
        if self.has_exponents:
            self.exp2[at] = 0

    def exponents(self) -> IntArray:
        """The exponents, to be written."""
        if not self.has_exponents:
            self.exp2 = np.zeros(self.hi.shape, np.int64)
        return self.exp2

    def shift(self, exponent: IntArray | int) -> None:
        """Multiply by a power of 2 [R, 1] or everywhere."""
        if np.any(exponent):
            self.exponents()[...] += exponent

    def shaped(self, shape: tuple[int, ...]) -> Sheet:
        """The same sheet, seen in another shape."""
        hi, lo, exp2, missing = self.hi, self.lo, self.exponents(), self.missing
        return Sheet(hi.reshape(shape), lo.reshape(shape), exp2.reshape(shape), missing.reshape(shape))

    @classmethod
    def of_numbers(cls, shape: tuple[int, ...]) -> Sheet:
        """A sheet to be filled; low parts and exponents are one 0 each, shown everywhere, which costs no time."""
        zeros = np.broadcast_to(np.float64(0), shape), np.broadcast_to(np.int64(0), shape)
        return cls(np.empty(shape), *zeros, np.zeros(shape, np.bool_))


class Pool:
    """Scratch for one block, from which arrays of any shape are cut; short rows lie column by column there."""

    def __init__(self, columns: int, count: int, block: int) -> None:
        self._buffers = np.empty((count, block + 40))  # not a multiple of 4096 bytes: see twofold.fold
        self.by_column = columns < LONG

    def cut(self, tile: FloatArray) -> list[FloatArray]:
        """Arrays of the shape of the tile."""
        rows, columns = tile.shape
        if self.by_column:
            return [b[: rows * columns].reshape(columns, rows).T for b in self._buffers]
        return [b[: rows * columns].reshape(rows, columns) for b in self._buffers]

    def load(self, tile: Array, spare: FloatArray) -> Array:
        """The tile in the memory order of the pool: itself, or copied to the spare array."""
        if not self.by_column:
            return tile
        copy = self.room(tile, spare)
        np.copyto(copy, tile)
        return copy

    def room(self, tile: Array, spare: FloatArray) -> Array:
        """Where to compute what `store` then puts into the tile."""
        own: Any = spare.view(tile.dtype)
        return own if self.by_column else tile

    def store(self, tile: Array, result: Array) -> None:
        """Put what was computed in its `room` into the tile."""
        if self.by_column:
            np.copyto(tile, result)


def tiles(shape: tuple[int, ...], block: int) -> Iterator[Tile]:
    """Blocks of whole short rows, or pieces of one long row."""
    rows, columns = shape
    step = max(1, block // columns)
    for row in range(0, rows, step):
        for column in range(0, columns, block):
            yield slice(row, min(row + step, rows)), slice(column, min(column + block, columns))


def slabs(shape: tuple[int, ...], block: int) -> Iterator[tuple[slice, list[slice]]]:
    """The same blocks, those of the same rows together."""
    for (start, stop), group in groupby(tiles(shape, block), lambda tile: (tile[0].start, tile[0].stop)):
        yield slice(start, stop), [c for _, c in group]


def count_others(x: FloatArray, suspects: BoolArray) -> BoolArray:
    """Of the suspect rows [R, 1], those with more than one logit above -inf."""
    some = np.flatnonzero(suspects)
    suspects[some, 0] = (x[some] != -np.inf).sum(axis=1) > 1
    return suspects


def own_cells(at: IntArray, columns: slice) -> tuple[IntArray, IntArray]:
    """The cells of a tile that hold the maximum of their row."""
    rows = np.flatnonzero((at >= columns.start) & (at < columns.stop))
    return rows, at[rows] - columns.start
