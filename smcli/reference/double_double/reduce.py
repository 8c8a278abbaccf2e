"""The maximum and the sum of every row in pairs of float64, and what is built from them for all quantities."""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.elementary import NEAR, exponential, log1p, without_powers
from smcli.reference.double_double.total import Total
from smcli.reference.double_double.twofold import choose, cut, minus, paired
from smcli.reference.tiles import BLOCK, PIECE, Pool, Sheet, count_others, own_cells, tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair
    from smcli.reference.tiles import Tile

BOUND = 2.0**-85
DIFFERENCE = 2.0**-75  # of what is a difference or a short logarithm: the fewest elements are left to integers then
LOOSE = 2.0**-70  # of what is more than that
TINY = 2.0**-800
SMALL = 2.0**-900  # below, the low part of a pair may be cut


def exp_error(problem: Problem) -> float:
    """EXP, which bounds the relative error of e^z and of their sum."""
    return float(2.0**-89.1 + 2 * softcap.error(problem))


@dataclass(eq=False, repr=False)
class Rows:
    """What is known of every row, [R, 1] each.

    Attributes:
        m, at: the maximum and its column.
        top: what `shift` subtracts: the maximum, or what it is under a soft cap.
        s: the sum of the exponentials of all other columns.
        undefined: m is no finite number.
        tiny: s is not 0, but too small for relative accuracy.
    """

    m: FloatArray
    at: IntArray
    top: Pair
    s: Pair
    undefined: BoolArray
    tiny: BoolArray

    def reciprocal(self) -> Pair:
        """1/(1 + s)."""
        one = paired(np.ones_like(self.m))
        return twofold.div(one, twofold.add(one, self.s))

    def peak(self, problem: Problem) -> Pair:
        """The maximum, divided by the temperature and capped, to 13u² or the cap's error."""
        if problem.softcap is not None:
            return twofold.add_any(self.top, paired(np.full_like(self.m, -problem.softcap)))
        m = paired(self.m)
        return m if problem.temperature == 1 else twofold.div(m, paired(np.array(problem.temperature)))


def pool_for(x: FloatArray) -> Pool:
    """Scratch for rows of that length."""
    return Pool(x.shape[1], 11, BLOCK)


def block_of(problem: Problem) -> int:
    """How many logits are worked on at once."""
    return BLOCK if problem.temperature == 1 and problem.softcap is None else PIECE


def shift(problem: Problem, x: FloatArray, top: Pair, arrays: Sequence[FloatArray]) -> Pair:
    """The pairs z of some logits, in the first two of three arrays; inf or nan where it overflows."""
    zh, zl, b = arrays[:3]
    if problem.softcap is not None:
        raised = softcap.raised(problem, x)
        high, low = twofold.two_sum(raised[0], -top[0])
        low += raised[1] - top[1]  # to u² of the cap: nothing beside the error of the logits themselves
        zh[...], zl[...] = twofold.fast_two_sum(high, low)
        if x.size and not x.min() > -np.inf:
            zh[x == -np.inf] = -np.inf
        return zh, zl
    np.subtract(x, top[0], zh)
    np.subtract(zh, x, b)
    np.subtract(zh, b, zl)
    np.subtract(x, zl, zl)
    np.add(b, top[0], b)
    np.subtract(zl, b, zl)
    if problem.temperature != 1:
        zh[...], zl[...] = twofold.div((zh, zl), paired(np.array(problem.temperature)))
    return zh, zl


def reduce(problem: Problem, pool: Pool, sheet: Sheet | None = None) -> Rows:
    """Maximum and sum of every row; the exponentials themselves go to the sheet, if there is one."""
    x = problem.logits
    rows, columns = x.shape
    limit = reach(problem)
    at, m, total = np.empty((rows, 1), np.int64), np.empty((rows, 1)), Total(rows)
    top = paired(m)
    for r, c in tiles(x.shape, block_of(problem)):
        if c.start == 0:
            at[r, 0] = x[r].argmax(axis=1)
            m[r] = np.take_along_axis(x[r], at[r], axis=1)
            if problem.softcap is not None:
                top = (np.empty_like(m), top[1]) if top[0] is m else top
                top[0][r], top[1][r] = softcap.raised(problem, m[r])
        spare = pool.cut(x[r, c])
        hi, lo, index = spare.pop(), spare.pop(), spare.pop().view(np.int64)
        if sheet is not None:
            hi, lo = pool.room(sheet.hi[r, c], hi), pool.room(sheet.lo[r, c], lo)
        z = shift(problem, pool.load(x[r, c], spare[3]), cut(top, r), spare)
        k, wild = exponentials(z, limit, (hi, lo), index, spare[2:])
        if sheet is not None:
            pool.store(sheet.hi[r, c], hi)
            pool.store(sheet.lo[r, c], lo)
            if k is not None:
                sheet.exponents()[r, c] = k
            if wild is not None:
                sheet.missing[r, c] = wild & (x[r, c] != -np.inf)
        own = own_cells(at[r, 0], c)
        if k is None:
            hi[own] = 0
            total.take((r, c), columns, (hi, lo), spare)
            hi[own] = 1
        else:
            a, b, *others = spare
            twofold.scale(hi, lo, k, (a, b), others[0])
            a[own] = 0
            total.take((r, c), columns, (a, b), others)
    tiny = count_others(x, total.hi < TINY)
    return Rows(m, at, top, (total.hi, total.lo), ~np.isfinite(m), tiny)


def exponentials(
    z: Pair, limit: float, out: Pair, index: IntArray, spare: Sequence[FloatArray]
) -> tuple[IntArray | None, BoolArray | None]:
    """Set the pairs `out`·2^k to e^z: (k, which are beyond the limit and set to 0); None for a k of 0 and for none."""
    zh, zl = z
    if zh.min() >= -NEAR:
        exponential(z, out[0], out[1], index, spare)
        return None, None
    wild, k = ~(zh >= -NEAR), None
    if not (zh[wild] == -np.inf).all():
        wild = ~(zh >= -limit)
        zh[wild] = zl[wild] = 0
        (zh[...], zl[...]), k = without_powers(z)
        k[wild] = 0
    zh[wild] = zl[wild] = 0
    exponential(z, out[0], out[1], index, spare)
    out[0][wild] = out[1][wild] = 0
    return k, wild


def reach(problem: Problem) -> float:
    """How far below the maximum a logit may be: further, and its exponential is not certified."""
    return 2.0**20 if frexp(problem.temperature)[0] == 0.5 or problem.softcap is not None else 2.0**12


def log_sum(problem: Problem, rows: Rows) -> tuple[Pair, FloatArray]:
    """m + log1p(s) [R, 1] and a bound of its absolute error."""
    log, m = log1p(rows.s), rows.peak(problem)
    error = np.where(rows.tiny, 2 * TINY, exp_error(problem) * log[0]) + 2.0**-92.9 * log[0]
    return twofold.add_any(m, log), error + 2.0**-100 * np.abs(m[0]) + softcap.error(problem)


def is_loose(unsure: FloatArray, value: FloatArray) -> BoolArray:
    """Where an absolute error is not within LOOSE of a value, or the value too small."""
    size = np.abs(value)
    return np.asarray(~((unsure <= 0.9 * LOOSE * size) & (size > SMALL)))


def times(sheet: Sheet, factor: Pair, pool: Pool) -> None:
    """Multiply the exponentials of the sheet by a factor [R, 1]."""
    for r, c in tiles(sheet.hi.shape, BLOCK):
        a, b, *spare = pool.cut(sheet.hi[r, c])
        hi, lo = pool.load(sheet.hi[r, c], a), pool.load(sheet.lo[r, c], b)
        twofold.times(hi, lo, cut(factor, r), spare)
        pool.store(sheet.hi[r, c], hi)
        pool.store(sheet.lo[r, c], lo)


def complement(own: BoolArray, s: Pair, e: Pair) -> Pair:
    """The sum of all exponentials but e: s where e is the maximum's own, else 1 + (s - e)."""
    rest = twofold.add_any(paired(np.ones_like(e[0])), twofold.add_any(s, minus(e)))
    return choose(own, s, rest)


def plain(sheet: Sheet, tile: Tile | tuple[IntArray, IntArray]) -> Pair:
    """Some elements of the sheet as pairs without exponent: 0 below 2^-1022."""
    hi, lo, exp2 = sheet.hi[tile], sheet.lo[tile], sheet.exp2[tile]
    if not (sheet.has_exponents and exp2.any()):
        return hi, lo
    plain = np.empty_like(hi), np.empty_like(lo)
    twofold.scale(hi, lo, exp2, plain, np.empty_like(hi))
    return plain


def by_logit(problem: Problem, sheet: Sheet) -> None:
    """Derivatives by the capped logits [R, C] become those by the logits: times the slope of the soft cap."""
    if problem.softcap is None:
        return
    for tile in tiles(sheet.hi.shape, PIECE):
        slope, k, far = softcap.slope(problem, problem.logits[tile])
        sheet.hi[tile], sheet.lo[tile] = twofold.mul((sheet.hi[tile], sheet.lo[tile]), slope)
        sheet.exponents()[tile] += k
        sheet.missing[tile] |= far & (sheet.hi[tile] != 0)


def tidy(sheet: Sheet) -> None:
    """Zeros without sign and exponent."""
    np.add(sheet.hi, 0.0, sheet.hi)
    if sheet.has_exponents:
        np.copyto(sheet.exp2, 0, where=sheet.hi == 0)
