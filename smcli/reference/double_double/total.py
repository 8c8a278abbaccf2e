"""Sums of pairs over the columns of rows, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import FloatArray
    from smcli.reference.double_double.twofold import Pair
    from smcli.reference.tiles import Tile

_ENOUGH = 64  # rows of a tile from which on it is not worth it to wait for other ones


class Total:
    """The sum of pairs over the columns, tile by tile: of pairs >= 0, or of any sign."""

    def __init__(self, rows: int) -> None:
        self._sum = np.empty((rows, 1)), np.empty((rows, 1))
        self._parts: list[Pair] = []
        self._left: list[tuple[slice, Pair]] = []

    def take(self, tile: Tile, columns: int, pair: Pair, spare: Sequence[FloatArray]) -> None:
        """Add a tile [r, c] of pairs >= 0, with five spare arrays."""
        rows = pair[0].shape[0]
        hi, lo = twofold.fold(*pair, spare, max(32, 1024 // rows))  # each level costs ten calls, however short
        self._add(tile, columns, (hi.copy("F"), lo.copy("F")))

    def _add(self, tile: Tile, columns: int, part: Pair) -> None:
        self._parts.append(part)
        if tile[1].stop == columns:
            self._left.append((tile[0], _joined(self._parts, 1)))
            self._parts = []
            if len(part[0]) >= _ENOUGH:
                self._finish()

    def _finish(self) -> None:
        """Fold what the tiles left; of few rows each at once, as a level costs as much for one row as for many."""
        for width in {part[0].shape[1] for _, part in self._left}:
            some = [(rows, part) for rows, part in self._left if part[0].shape[1] == width]
            hi, lo = _joined([part for _, part in some], 0)
            hi, lo = twofold.fold(hi, lo, [np.empty_like(hi) for _ in range(5)])
            hi, lo = twofold.fast_two_sum(hi, lo)
            start = 0
            for rows, part in some:
                own = slice(start, start + len(part[0]))
                self._sum[0][rows], self._sum[1][rows] = hi[own], lo[own]
                start = own.stop
        self._left = []

    @property
    def hi(self) -> FloatArray:
        """High parts of the sums [R, 1], once all tiles were taken."""
        self._finish()
        return self._sum[0]

    @property
    def lo(self) -> FloatArray:
        """Their low parts."""
        self._finish()
        return self._sum[1]

    def put(self, tile: Tile, columns: int, pair: Pair, arrays: list[FloatArray]) -> FloatArray:
        """Add a tile of pairs of any sign, with two spare arrays: Σ |hi| of it [r, 1], to which the error is relative.

        All terms are below 2^e. The multiples of 2^(e - 38) that are nearest to the high parts, and those of 2^(e - 77)
        to what is left, have exact sums, as a tile has at most 2^14 columns. What is left then, below 2^(e - 78), and the
        low parts are added as they are: 64u of 2^-53 of the sum and of 2^(e - 64), 2^-99.
        """
        hi, lo = pair
        q, rest = arrays[:2]
        np.abs(hi, q)
        size = np.asarray(q.sum(axis=1, keepdims=True))
        top = np.ldexp(1.5, np.frexp(q.max(axis=1, keepdims=True))[1] + 14)
        np.add(hi, top, q)
        np.subtract(q, top, q)
        first = q.sum(axis=1, keepdims=True)
        np.subtract(hi, q, rest)
        top *= 2.0**-39
        np.add(rest, top, q)
        np.subtract(q, top, q)
        second = q.sum(axis=1, keepdims=True)
        np.subtract(rest, q, rest)
        np.add(rest, lo, rest)
        high, low = twofold.two_sum(first, second)
        self._add(tile, columns, (high, low + rest.sum(axis=1, keepdims=True)))
        return size


def _joined(pairs: Sequence[Pair], axis: int) -> Pair:
    if len(pairs) == 1:
        return pairs[0]
    hi, lo = (np.asfortranarray(np.concatenate(part, axis=axis)) for part in zip(*pairs, strict=True))
    return hi, lo
