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
from smcli.reference.double_double.functions import excess, expm1
from smcli.reference.double_double.reduce import LOOSE, SMALL, Rows, exp_error, plain, pool_for, reduce
from smcli.reference.double_double.total import Total
from smcli.reference.double_double.twofold import cut, minus, paired, without
from smcli.reference.losses import both
from smcli.reference.tiles import PIECE, Pool, Sheet, tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair
    from smcli.reference.tiles import Tile


CLOSE = 2.0**-7  # differences up to which rows are taken to agree nearly at once, as that is quicker then
FARTHEST = 2.0  # and those up to which they are where else too much cancels
_LOST = 2.0**-700  # more than what sums of terms lose that are beyond the range of exponents


class Gaps:
    """The differences d of two rows; 0 where the first one is masked."""

    def __init__(self, first: Problem, second: Problem, own: Rows) -> None:
        self._first, self._second = first, second
        a, z = (np.take_along_axis(q.logits, own.at, axis=1) for q in (first, second))
        self._start = self._difference(z, a)
        self._masked = not first.logits.min() > -np.inf

    def _difference(self, z: FloatArray, a: FloatArray) -> Pair:
        if self._first.softcap is None:
            return twofold.two_sum(z, -a)
        return twofold.add_any(softcap.raised(self._second, z), minus(softcap.raised(self._first, a)))

    def of(self, tile: Tile, pool: Pool, arrays: list[FloatArray]) -> Pair:
        """Those of a tile; two arrays."""
        high, low = self._difference(self._second.logits[tile], self._first.logits[tile])
        start, short = cut(self._start, tile[0]), not low.any()  # as it is for numbers within a factor of 2
        high = pool.load(high, arrays[0])
        if short and not start[1].any():
            d = twofold.two_sum(high, -start[0])
        else:
            d = twofold.add_any((high, pool.load(low, arrays[1])), minus(start))
        if self._masked:
            d = without(self._first.logits[tile] == -np.inf, d)
        return by_temperature(self._first, d)

    def all_same(self, size: FloatArray) -> BoolArray:
        """Which rows [R, 1] differ by a constant alone, of those where a sum of what d changes is 0."""
        same, rows = np.zeros(size.shape, np.bool_), np.flatnonzero(size == 0)
        same[rows, 0] = self.same(rows)
        return same

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
    """The range of the differences [R], times the temperature: at least |d|; inf where one logit is masked alone."""
    x, pool = first.logits, pool_for(first.logits)
    least, most = np.full(len(x), np.inf), np.full(len(x), -np.inf)
    for r, c in tiles(x.shape, PIECE):
        apart = pool.load(second.logits[r, c] - x[r, c], pool.cut(x[r, c])[0])
        low, high = apart.min(axis=1), apart.max(axis=1)
        if np.isnan(high).any():  # both are masked
            low, high = np.fmin.reduce(apart, axis=1), np.fmax.reduce(apart, axis=1)
        np.fmin(least[r], low, least[r])
        np.fmax(most[r], high, most[r])
    most -= least
    return most if first.softcap is None else np.full(len(x), np.inf)


def of_rows(
    fill: Callable[[Problem, Problem, Sheet, FloatArray], None],
    problems: tuple[Problem, Problem],
    sheet: Sheet,
    spread: FloatArray,
    rows: BoolArray,
) -> None:
    """Fill some rows [R] of the sheet, which are told their spread as well."""
    if rows.all():
        fill(*problems, sheet, spread)
    elif rows.any():
        one, other = (replace(q, logits=q.logits[rows], ignored=None) for q in problems)
        part = Sheet.of_pairs((int(rows.sum()), sheet.hi.shape[1]))
        fill(one, other, part, spread[rows])
        sheet.hi[rows], sheet.lo[rows], sheet.missing[rows] = part.hi, part.lo, part.missing
        if sheet.has_exponents or part.has_exponents:
            sheet.exponents()[rows] = part.exp2


def kl(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with Σ t_i (log t_i - log p_i)."""
    first, second = both(problem)
    sheet.bound = LOOSE
    spread = spread_of(first, second)
    close = spread <= CLOSE * problem.temperature
    of_rows(_far, (first, second), sheet, spread, ~close)
    again = sheet.missing[:, 0] & (spread <= FARTHEST * problem.temperature)
    of_rows(_near, (first, second), sheet, spread, close | again)


def _far(first: Problem, second: Problem, sheet: Sheet, _: FloatArray) -> None:
    x, columns = first.logits, first.logits.shape[1]
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    own, other = reduce(first, pool, soft), reduce(second, pool)
    gaps, total, spread = Gaps(first, second, own), Total(len(x)), np.zeros((len(x), 1))
    bad = own.undefined | other.undefined
    if not second.logits.min() > -np.inf:
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


@dataclass(eq=False, repr=False)
class Near:
    """Rows that nearly agree, [R, 1] each.

    Attributes:
        m, error: Σ t_i (e^d_i - 1), and its absolute error.
        loose: the relative error of e^d - 1.
        farthest: at least |d|.
        same: that d is 0 everywhere.
        moved: e^d - 1, tile by tile.
    """

    m: Pair
    error: FloatArray
    loose: FloatArray
    farthest: FloatArray
    same: BoolArray
    moved: list[Pair]


def nearly(problems: tuple[Problem, Problem], own: Rows, soft: Sheet, spread: FloatArray) -> Near:
    """What the gradient of rows that nearly agree needs.

    m errs by 2 EXP, as t does, by 2^-89, or 2^-85 for d beyond 2^-7, and 2^-95 for product and sum, all of it relative to
    Σ t|e^d - 1|.
    """
    (first, second), x = problems, problems[0].logits
    pool, gaps, total, size = pool_for(x), Gaps(first, second, own), Total(len(x)), np.zeros((len(x), 1))
    moved: list[Pair] = []
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        change = expm1(gaps.of(tile, pool, arrays))
        moved.append(change)
        hi, lo = twofold.mul(laid(soft, tile, pool, arrays), change)
        size[tile[0]] += total.put(tile, x.shape[1], (hi, lo), arrays)
    g, farthest = own.reciprocal(), 1.01 / first.temperature * spread[:, None]
    loose = np.where(farthest <= 1.01 * CLOSE, 2.0**-89, 2.0**-85)
    error = (2 * exp_error(first) + 2.0**-95 + loose) * size * g[0]
    error += _LOST * (own.tiny | soft.missing.any(axis=1, keepdims=True))
    same = gaps.all_same(size)
    return Near(twofold.mul(twofold.two_sum(total.hi, total.lo), g), error, loose, farthest, same, moved)


def _near(first: Problem, second: Problem, sheet: Sheet, _: FloatArray) -> None:
    x, columns = first.logits, first.logits.shape[1]
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    own = reduce(first, pool, soft)
    gaps, lost = Gaps(first, second, own), own.tiny | soft.missing.any(axis=1, keepdims=True)
    way: list[Pair] = []
    moved, size, pieces = np.zeros((len(x), 1)), np.zeros((len(x), 1)), 0
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        d = gaps.of(tile, pool, arrays)
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
    unsure = error**2 + 2.0**-73.9 * value[0] + _LOST * lost
    same = gaps.all_same(size)
    fine = ~own.undefined & (same | (unsure <= LOOSE * value[0]) & (value[0] > SMALL))
    sheet.hi[...], sheet.lo[...] = (np.where(same, 0.0, part) for part in value)
    sheet.missing[...] = ~fine
