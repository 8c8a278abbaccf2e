"""The maximum and the sum of every row in pairs of float64, and what is built from them for all quantities."""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.tiles import BLOCK, Pool, Sheet, count_others, own_cells, tiles

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair

BOUND = 2.0**-85
TINY = 2.0**-800
SMALL = 2.0**-900  # below, the low part of a pair may be cut


@dataclass(eq=False, repr=False)
class Rows:
    """What is known of every row, [R, 1] each.

    Attributes:
        m, at: the maximum and its column.
        s: the sum of the exponentials of all other columns.
        undefined: m is no finite number.
        tiny: s is not 0, but too small for relative accuracy.
    """

    m: FloatArray
    at: IntArray
    s: Pair
    undefined: BoolArray
    tiny: BoolArray

    def reciprocal(self) -> Pair:
        """1/(1 + s)."""
        one = paired(np.ones_like(self.m))
        return twofold.div(one, twofold.add(one, self.s))


def pool_for(x: FloatArray) -> Pool:
    """Scratch for rows of that length."""
    return Pool(x.shape[1], 11, BLOCK)


def paired(a: FloatArray) -> Pair:
    """A number as a pair."""
    return a, np.zeros_like(a)


def shift(x: FloatArray, m: FloatArray, temperature: float, arrays: list[FloatArray]) -> Pair:
    """(x - m)/temperature as pairs, in the first two of three arrays; inf or nan where it overflows."""
    zh, zl, b = arrays[:3]
    np.subtract(x, m, zh)
    np.subtract(zh, x, b)
    np.subtract(zh, b, zl)
    np.subtract(x, zl, zl)
    np.add(b, m, b)
    np.subtract(zl, b, zl)
    if temperature != 1:
        zh[...], zl[...] = twofold.div((zh, zl), paired(np.array(temperature)))
    return zh, zl


class Total:
    """The sum of pairs >= 0 over the columns, tile by tile."""

    def __init__(self, rows: int) -> None:
        self.hi, self.lo = np.empty((rows, 1)), np.empty((rows, 1))
        self._parts: list[Pair] = []

    def take(self, tile: tuple[slice, slice], columns: int, pair: Pair, spare: tuple[FloatArray, FloatArray]) -> None:
        """Add a tile [r, c], which is overwritten; the last one of a row finishes the row."""
        hi, lo = twofold.fold(*pair, spare, 32)
        self._parts.append((hi.copy("F"), lo.copy("F")))
        if tile[1].stop == columns:
            hi, lo = (np.asfortranarray(np.concatenate(p, axis=1)) for p in zip(*self._parts, strict=True))
            hi, lo = twofold.fold(hi, lo, (np.empty_like(hi), np.empty_like(hi)))
            self.hi[tile[0]], self.lo[tile[0]] = twofold.fast_two_sum(hi, lo)
            self._parts.clear()


def reduce(problem: Problem, pool: Pool, sheet: Sheet | None = None) -> Rows:
    """Maximum and sum of every row; the exponentials themselves go to the sheet, if there is one."""
    x, temperature = problem.logits, problem.temperature
    rows, columns = x.shape
    limit = reach(temperature)
    at, m, total = np.empty((rows, 1), np.int64), np.empty((rows, 1)), Total(rows)
    for r, c in tiles(x.shape, BLOCK):
        if c.start == 0:
            at[r, 0] = x[r].argmax(axis=1)
            m[r] = np.take_along_axis(x[r], at[r], axis=1)
        spare = pool.cut(x[r, c])
        hi, lo, k = spare.pop(), spare.pop(), spare.pop().view(np.int64)
        if sheet is not None:
            hi, lo = pool.room(sheet.hi[r, c], hi), pool.room(sheet.lo[r, c], lo)
            k = pool.room(sheet.exp2[r, c], k.view(np.float64))
        zh, zl = shift(pool.load(x[r, c], spare[3]), m[r], temperature, spare)
        wild = None if zh.min() >= -limit else ~(zh >= -limit)
        if wild is not None:
            zh[wild] = zl[wild] = 0
        twofold.exponential((zh, zl), hi, lo, k, spare[2:])
        if wild is not None:
            hi[wild] = lo[wild] = k[wild] = 0
        if sheet is not None:
            pool.store(sheet.hi[r, c], hi)
            pool.store(sheet.lo[r, c], lo)
            pool.store(sheet.exp2[r, c], k)
            if wild is not None:
                sheet.missing[r, c] = wild & (x[r, c] != -np.inf)
        a, b = spare[:2]
        twofold.scale(hi, lo, k, (a, b), spare[2])
        a[own_cells(at[r, 0], c)] = 0
        total.take((r, c), columns, (a, b), (spare[2], spare[3]))
    tiny = count_others(x, total.hi < TINY)
    return Rows(m, at, (total.hi, total.lo), ~np.isfinite(m), tiny)


def reach(temperature: float) -> float:
    """How far below the maximum a logit may be: further, and its exponential is not certified."""
    return 2.0**20 if frexp(temperature)[0] == 0.5 else 2.0**12


def times(sheet: Sheet, factor: Pair, pool: Pool) -> None:
    """Multiply the exponentials of the sheet by a factor [R, 1]."""
    for r, c in tiles(sheet.hi.shape, BLOCK):
        a, b, *spare = pool.cut(sheet.hi[r, c])
        hi, lo = pool.load(sheet.hi[r, c], a), pool.load(sheet.lo[r, c], b)
        twofold.times(hi, lo, (factor[0][r], factor[1][r]), spare)
        pool.store(sheet.hi[r, c], hi)
        pool.store(sheet.lo[r, c], lo)


def complement(own: BoolArray, s: Pair, e: Pair) -> Pair:
    """The sum of all exponentials but e: s where e is the maximum's own, else 1 + (s - e)."""
    rest = twofold.add_any(paired(np.ones_like(e[0])), twofold.add_any(s, (-e[0], -e[1])))
    return np.where(own, s[0], rest[0]), np.where(own, s[1], rest[1])


def plain(sheet: Sheet, tile: tuple[slice, slice] | tuple[IntArray, IntArray]) -> Pair:
    """Some elements of the sheet as pairs without exponent: 0 below 2^-1022."""
    hi, lo = sheet.hi[tile], sheet.lo[tile]
    plain = np.empty_like(hi), np.empty_like(lo)
    twofold.scale(hi, lo, sheet.exp2[tile], plain, np.empty_like(hi))
    return plain


def tidy(sheet: Sheet) -> None:
    """Zeros without sign and exponent."""
    np.add(sheet.hi, 0.0, sheet.hi)
    np.copyto(sheet.exp2, 0, where=sheet.hi == 0)
