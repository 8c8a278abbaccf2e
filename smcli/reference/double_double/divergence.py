"""The Kullback-Leibler divergence in pairs; EXP as in the tier's own bounds.

With d_i = (z_i - a_i) - (z_b - a_b), b the maximum of the first row, an exact difference but for 17u² of it where a
temperature divides, or six errors of capped logits:

KL = log1p(s_z) + (m_z - z_b) - log1p(s_a) - Σ t_i d_i: an absolute 2 EXP·Σ t_i|d_i| and what the logarithms err by,
certified where that is within LOOSE. Rows that nearly agree, |d| <= 2, with m = Σ t_i (e^d_i - 1) and L = log(1 + m):
KL = Σ t_i·(e^(d_i - L) - 1 - (d_i - L)), a sum of terms >= 0. By L its derivative is 1 - (1 + m)e^-L = 0 and the second one
(1 + m)e^-L, so that an error of L, of m in float64 and so below 2^-42 of Σ t|e^d - 1|/(1 + m), adds less than its square.
d - L errs by 21u²(|d| + |L|), and each term by 2^-73.9 for t and for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.elementary import log1p
from smcli.reference.double_double.functions import excess, expm1, minus
from smcli.reference.double_double.reduce import (
    LOOSE,
    SMALL,
    Rows,
    Total,
    cut,
    exp_error,
    paired,
    plain,
    pool_for,
    reduce,
)
from smcli.reference.tiles import PIECE, Pool, Sheet, tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair

    Tile = tuple[slice, slice]

CLOSE = 2.0**-7  # differences up to which rows are taken to agree nearly at once, as that is quicker then
FARTHEST = 2.0  # and those up to which they are where else too much cancels
_LOST = 2.0**-700  # more than what sums of terms lose that are beyond the range of exponents


def both(problem: Problem) -> tuple[Problem, Problem]:
    """First and second row of a divergence as problems of their own."""
    loss = problem.loss
    assert loss is not None and loss.teacher is not None  # noqa: S101 - the tier asks first
    student, teacher = replace(problem, loss=None), replace(problem, logits=loss.teacher, loss=None)
    return (student, teacher) if loss.reverse else (teacher, student)


class Gaps:
    """The differences d of two rows; 0 where the first one is masked."""

    def __init__(self, first: Problem, second: Problem, own: Rows) -> None:
        self._first, self._second = first, second
        a, z = (np.take_along_axis(q.logits, own.at, axis=1) for q in (first, second))
        self._start = self._difference(z, a)
        self._masked = bool(first.logits.min() == -np.inf)

    def _difference(self, z: FloatArray, a: FloatArray) -> Pair:
        if self._first.softcap is None:
            return twofold.two_sum(z, -a)
        return twofold.add_any(softcap.raised(self._second, z), minus(softcap.raised(self._first, a)))

    def of(self, tile: Tile, pool: Pool, arrays: list[FloatArray]) -> Pair:
        """Those of a tile; two arrays."""
        z, a = pool.load(self._second.logits[tile], arrays[0]), pool.load(self._first.logits[tile], arrays[1])
        d = twofold.add_any(self._difference(z, a), minus(cut(self._start, tile[0])))
        if self._masked:
            gone = a == -np.inf
            d = np.where(gone, 0.0, d[0]), np.where(gone, 0.0, d[1])
        return by_temperature(self._first, d)

    def same(self, rows: IntArray) -> BoolArray:
        """Which of these rows differ by a constant alone, before a temperature takes anything below every float."""
        a, z = self._first.logits[rows], self._second.logits[rows]
        apart, start = self._difference(z, a), cut(self._start, rows)
        equal = (apart[0] == start[0]) & (apart[1] == start[1]) & np.isfinite(apart[0])
        return np.asarray((equal | (a == -np.inf) & (z == -np.inf)).all(axis=1))


def by_temperature(problem: Problem, pair: Pair) -> Pair:
    """Logits over the temperature; capped ones are."""
    if problem.temperature == 1 or problem.softcap is not None:
        return pair
    return twofold.div(pair, paired(np.array(problem.temperature)))


def spread_of(first: Problem, second: Problem) -> FloatArray:
    """The range of the differences [R], over the temperature; nan or inf where only one of two logits is masked."""
    x, pool = first.logits, pool_for(first.logits)
    least, most = np.full(len(x), np.inf), np.full(len(x), -np.inf)
    for r, c in tiles(x.shape, PIECE):
        a, b, *_ = pool.cut(x[r, c])
        apart = np.subtract(pool.load(second.logits[r, c], a), pool.load(x[r, c], b), a)
        np.fmin(least[r], np.fmin.reduce(apart, axis=1), least[r])
        np.fmax(most[r], np.fmax.reduce(apart, axis=1), most[r])
    most -= least
    return most if first.softcap is None else np.full(len(x), np.inf)


def of_rows(
    fill: Callable[[Problem, Problem, Sheet], None], first: Problem, second: Problem, sheet: Sheet, rows: BoolArray
) -> None:
    """Fill some rows [R] of the sheet."""
    if rows.all():
        fill(first, second, sheet)
    elif rows.any():
        one, other = (replace(q, logits=q.logits[rows], ignored=None) for q in (first, second))
        part = Sheet.of_pairs((int(rows.sum()), sheet.hi.shape[1]))
        fill(one, other, part)
        sheet.hi[rows], sheet.lo[rows], sheet.missing[rows] = part.hi, part.lo, part.missing
        if sheet.exp2.flags.writeable or part.exp2.flags.writeable:
            sheet.exponents()[rows] = part.exp2


def kl(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with Σ t_i (log t_i - log p_i)."""
    first, second = both(problem)
    sheet.bound = LOOSE
    spread = spread_of(first, second)
    close = spread <= CLOSE * problem.temperature
    of_rows(_far, first, second, sheet, ~close)
    again = sheet.missing[:, 0] & (spread <= FARTHEST * problem.temperature)
    of_rows(_near, first, second, sheet, close | again)


def _far(first: Problem, second: Problem, sheet: Sheet) -> None:
    x, columns = first.logits, first.logits.shape[1]
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    own, other = reduce(first, pool, soft), reduce(second, pool)
    gaps, total, spread = Gaps(first, second, own), Total(len(x)), np.zeros((len(x), 1))
    bad = own.undefined | other.undefined
    if second.logits.min() == -np.inf:
        bad |= ((second.logits == -np.inf) & (x != -np.inf)).any(axis=1, keepdims=True)
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        d = gaps.of(tile, pool, arrays)
        hi, lo = twofold.mul(laid(soft, tile, pool, arrays), d)
        spread[tile[0]] += total.put(tile, columns, (hi, lo), arrays)
    g = own.reciprocal()
    mean = twofold.mul(twofold.two_sum(total.hi, total.lo), g)
    spread *= g[0]
    start = np.take_along_axis(second.logits, own.at, axis=1)
    capped = twofold.add_any(other.top, minus(softcap.raised(second, start))) if second.softcap is not None else None
    rise = capped or by_temperature(second, twofold.two_sum(other.m, -start))
    log_a, log_z = log1p(own.s), log1p(other.s)
    value = twofold.add_any(twofold.add_any(rise, minus(mean)), twofold.add_any(log_z, minus(log_a)))
    unsure = (2 * exp_error(first) + 2.0**-95) * spread + 6 * softcap.error(first) + 2.0**-101 * np.abs(rise[0])
    unsure += (exp_error(first) + 2.0**-92.9) * (log_a[0] + log_z[0]) + (own.tiny | other.tiny) * _LOST
    sheet.hi[...], sheet.lo[...] = value
    sheet.missing[...] = bad | ~(unsure <= LOOSE * np.abs(value[0]))


def laid(sheet: Sheet, tile: Tile, pool: Pool, arrays: list[FloatArray]) -> Pair:
    """Pairs without exponent of the sheet in the memory order of the pool; two arrays."""
    hi, lo = plain(sheet, tile)
    return pool.load(hi, arrays[0]), pool.load(lo, arrays[1])


class Reach:
    """How far the differences of rows go."""

    def __init__(self, first: Problem, second: Problem) -> None:
        self._rows = first.logits, second.logits
        self.farthest = np.zeros((len(first.logits), 1))

    def within(self, tile: Tile, d: Pair, arrays: list[FloatArray]) -> Pair:
        """The differences of a tile, 0 in rows where some are beyond FARTHEST; one array."""
        here = np.abs(d[0], arrays[0]).max(axis=1, keepdims=True)
        inside = here <= FARTHEST
        self.farthest[tile[0]] = np.fmax(self.farthest[tile[0]], np.where(inside, here, np.inf))
        return d if inside.all() else (np.where(inside, d[0], 0.0), np.where(inside, d[1], 0.0))

    def known(self, own: Rows) -> BoolArray:
        """Rows [R, 1] that are defined, mask the same, and nowhere differ by more than FARTHEST."""
        known = ~own.undefined & (self.farthest <= FARTHEST)
        a, z = self._rows
        if a.min() == -np.inf or z.min() == -np.inf:
            known &= ((a == -np.inf) == (z == -np.inf)).all(axis=1, keepdims=True)
        return known


@dataclass(eq=False, repr=False)
class Near:
    """Rows that nearly agree, [R, 1] each.

    Attributes:
        m, error: Σ t_i (e^d_i - 1), and its absolute error.
        loose: the relative error of e^d - 1.
        known: that |d| <= FARTHEST, and that both rows mask the same.
        same: that d is 0 everywhere.
        moved: e^d - 1, tile by tile.
    """

    m: Pair
    error: FloatArray
    loose: FloatArray
    known: BoolArray
    same: BoolArray
    moved: list[Pair]


def nearly(first: Problem, second: Problem, own: Rows, soft: Sheet) -> Near:
    """What the gradient of rows that nearly agree needs.

    m errs by 2 EXP, as t does, by 2^-89, or 2^-85 for d beyond 2^-7, and 2^-95 for product and sum, all of it relative to
    Σ t|e^d - 1|.
    """
    x, columns = first.logits, first.logits.shape[1]
    pool, gaps, total = pool_for(x), Gaps(first, second, own), Total(len(x))
    size, reach = np.zeros((len(x), 1)), Reach(first, second)
    moved: list[Pair] = []
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        change = expm1(reach.within(tile, gaps.of(tile, pool, arrays), arrays))
        moved.append(change)
        hi, lo = twofold.mul(laid(soft, tile, pool, arrays), change)
        size[tile[0]] += total.put(tile, columns, (hi, lo), arrays)
    g = own.reciprocal()
    loose = np.where(reach.farthest <= CLOSE, 2.0**-89, 2.0**-85)
    error = (2 * exp_error(first) + 2.0**-95 + loose) * size * g[0]
    error += _LOST * (own.tiny | soft.missing.any(axis=1, keepdims=True))
    known = reach.known(own)
    same, suspects = np.zeros_like(known), np.flatnonzero(known & (size == 0))
    same[suspects, 0] = gaps.same(suspects)
    return Near(twofold.mul(twofold.two_sum(total.hi, total.lo), g), error, loose, known, same, moved)


def _near(first: Problem, second: Problem, sheet: Sheet) -> None:
    x, columns = first.logits, first.logits.shape[1]
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    own = reduce(first, pool, soft)
    gaps, reach, masked = Gaps(first, second, own), Reach(first, second), soft.missing.any(axis=1, keepdims=True)
    way: list[Pair] = []
    moved, size, pieces = np.zeros((len(x), 1)), np.zeros((len(x), 1)), 0
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        d = reach.within(tile, gaps.of(tile, pool, arrays), arrays)
        way.append(d)
        change = np.expm1(d[0], arrays[2])
        change *= laid(soft, tile, pool, arrays)[0]
        moved[tile[0]] += change.sum(axis=1, keepdims=True)
        size[tile[0]] += np.abs(change, change).sum(axis=1, keepdims=True)
        pieces = max(pieces, tile[1].stop // PIECE)
    g = own.reciprocal()
    m = moved * g[0]
    log, error = np.log1p(m), (2.0**-42 + 2.0**-52 * pieces) * size * g[0] / (1 + m)
    total = Total(len(x))
    for d, tile in zip(way, tiles(x.shape, PIECE), strict=True):
        arrays = pool.cut(x[tile])
        high, low = twofold.two_sum(d[0], -log[tile[0]])
        low += d[1]
        terms = twofold.mul(laid(soft, tile, pool, arrays), excess(twofold.fast_two_sum(high, low)))
        total.put(tile, columns, terms, arrays)
    value = twofold.mul((total.hi, total.lo), g)
    unsure = error**2 + 2.0**-73.9 * value[0] + _LOST * (own.tiny | masked)
    known = reach.known(own)
    same, suspects = np.zeros_like(known), np.flatnonzero(known & (size == 0))
    same[suspects, 0] = gaps.same(suspects)
    fine = same | known & (unsure <= LOOSE * value[0]) & (value[0] > SMALL)
    sheet.hi[...], sheet.lo[...] = (np.where(same, 0.0, part) for part in value)
    sheet.missing[...] = ~fine
