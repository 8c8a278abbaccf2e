"""The maximum and the sum of every row in plain float64."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.tiles import BLOCK, LONG, Pool, Sheet, count_others, own_cells, tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import BoolArray, FloatArray, IntArray, Problem

U = 2.0**-53  # the unit roundoff
LOOSE = 2.0**-42  # the bound of what cancels
LOOSEST = 2.0**-37  # and of what is a difference of sums
DEEPEST = 600.0  # below e^-DEEPEST nothing is certified by itself
TINY = 2.0**-900
COARSE = 2.0**-19


@dataclass(eq=False, repr=False)
class Rows:
    """What is known of every row, [R, 1] each.

    Attributes:
        m, at: the maximum and its column.
        s: the sum of the exponentials of all other columns.
        lost: m is no finite number, or a difference from it is not exact enough.
        tiny: s is not 0, but too small for relative accuracy.
        coarse: all logits are multiples of 2^-42, and so are their differences.
        lowest: the least z of all rows, where e was kept; else -inf.
    """

    m: FloatArray
    at: IntArray
    s: FloatArray
    lost: BoolArray
    tiny: BoolArray
    coarse: bool
    lowest: float


def reduce(problem: Problem, keep: str, sheet: Sheet) -> Rows:
    """Maximum and sum of every row; z or e themselves are kept in the sheet, if asked."""
    x, temperature = problem.logits, problem.temperature
    rows, columns = x.shape
    pool = Pool(columns, 4, BLOCK)
    at, m, s, lost = np.empty((rows, 1), np.int64), np.empty((rows, 1)), np.empty((rows, 1)), np.zeros((rows, 1), bool)
    parts: list[FloatArray] = []
    coarse, lowest = True, np.inf if keep == "e" else -np.inf
    for r, c in tiles(x.shape, BLOCK):
        spare, *room, other = pool.cut(x[r, c])
        tile = pool.load(x[r, c], spare)
        if c.start == 0:
            at[r, 0] = x[r].argmax(axis=1)
            m[r] = np.take_along_axis(x[r], at[r], axis=1)
        z, e = (pool.room(sheet.hi[r, c], a) if keep == name else a for name, a in zip("ze", room, strict=True))
        np.subtract(tile, m[r], z)
        here = bool(np.abs(tile, e).min() >= COARSE and np.abs(m[r]).min() >= COARSE)
        coarse &= here
        if not here or temperature > 2:
            lost[r] |= _inexact(tile, m[r], z, temperature)
        if temperature != 1:
            np.divide(z, temperature, z)
        np.exp(z, e)
        if keep:
            pool.store(sheet.hi[r, c], z if keep == "z" else e)
        if keep == "e":
            low = float(z.min())
            lowest = min(lowest, low) if low == low else -np.inf  # of nan
            if not low >= -DEEPEST:
                sheet.missing[r, c] = (z < -DEEPEST) & (tile != -np.inf)
        own = own_cells(at[r, 0], c)
        e[own] = 0
        parts.append(halve(e, other, 32).copy("F"))
        e[own] = 1
        if c.stop == columns:
            part = np.asfortranarray(np.concatenate(parts, axis=1))
            s[r] = halve(part, np.empty_like(part), 1)
            parts.clear()
    tiny = count_others(x, s < TINY)
    return Rows(m, at, s, lost | ~np.isfinite(m), tiny, coarse, lowest)


def _inexact(x: FloatArray, m: FloatArray, z: FloatArray, temperature: float) -> BoolArray:
    """Rows [R, 1] where some z = x - m with 8 < |z| <= 700 (after the temperature) is rounded."""
    no = np.zeros(m.shape, bool)
    low, high = -700 * temperature, -8 * temperature
    if z.min() >= high:
        return no
    part = z - x
    error = (x - (z - part)) - (m + part)
    rows: BoolArray = ((error != 0) & (z >= low) & (z < high)).any(axis=1, keepdims=True)
    return rows


def halve(a: FloatArray, spare: FloatArray, width: int) -> FloatArray:
    """Sum [rows, n] over the columns by halves until at most `width` are left; a stays as it is."""
    n = a.shape[1]
    while n > width:
        half = n // 2
        np.add(a[:, :half], a[:, n - half : n], spare[:, :half])
        spare[:, half : n - half] = a[:, half : n - half]
        a, n = spare, n - half
    return a[:, :n]


def halvings(columns: int) -> int:
    """How many additions a term of a sum by halves goes through at most; parts are halved anew, which costs one more."""
    return ceil(log2(max(columns, 2))) + 1


def additions(columns: int, block: int = BLOCK) -> int:
    """How many additions a term of a sum by `sum_rows`, in pieces of a block or fewer, and `sum_parts` goes through at most.

    NumPy's pairwise rule halves a piece down to 128 terms or fewer, adds those in eight sums of up to 16,
    these three times, and up to 7 that are left over one by one; halves are not quite equal, which costs one more.
    """
    levels = max(0, ceil(log2(min(columns, block) / 128)) + 1) + 15 + 3 + 7
    pieces = -(-columns // block)
    return levels + ceil(log2(pieces)) + (pieces > 1)


def sum_rows(a: FloatArray, spare: FloatArray) -> FloatArray:
    """The sum of every row [R, 1] of a piece: short rows, which lie column by column, by halves."""
    if a.shape[1] < LONG:
        return halve(a, spare, 1).copy()
    total: FloatArray = np.add.reduce(a, axis=1, keepdims=True)
    return total


def sum_parts(parts: Sequence[FloatArray]) -> FloatArray:
    """The sum of the sums of all pieces of a row."""
    if len(parts) == 1:
        return parts[0]
    part = np.concatenate(parts, axis=1)
    return halve(part, np.empty_like(part), 1)
