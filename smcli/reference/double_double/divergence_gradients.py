"""Gradients of the Kullback-Leibler divergence in pairs; EXP as in the tier's own bounds.

- p - t by 2 EXP·(p + t); for the maximum of both as (1 - t) - (1 - p); rows that nearly agree as
  t_i·(e^d_i - 1 - m)/(1 + m), with d and m as in `divergence`: certified where the errors of both are within LOOSE of their
  difference.
- the other way round p_i·(Σ p·d - d_i), see `along`: d errs by 17u² of itself, or by six errors of capped logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.along import FLOOR, along, unknown
from smcli.reference.double_double.divergence import CLOSE, FARTHEST, Gaps, laid, nearly, of_rows, spread_of
from smcli.reference.double_double.reduce import LOOSE, SMALL, exp_error, is_loose, pool_for, reduce
from smcli.reference.double_double.total import Total
from smcli.reference.double_double.twofold import cut, minus, paired, significand, without
from smcli.reference.losses import both
from smcli.reference.tiles import PIECE, Sheet, tiles

if TYPE_CHECKING:
    from smcli.model import FloatArray, Problem
    from smcli.reference.double_double.twofold import Factor, Pair

_MANY = 1 / 64  # missing elements of a row that may nearly agree; single ones are crossings, which this does not help


def gradient(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    """Fill the sheet [R, C] with the gradient of the divergence by the effective logits, times the factor."""
    sheet.bound = LOOSE
    first, second = both(problem)
    if required(problem.loss).reverse:
        _reverse(first, second, sheet, factor)
    else:
        _forward(first, second, sheet, factor)


def _reverse(student: Problem, teacher: Problem, sheet: Sheet, factor: Factor) -> None:
    x, t = student.logits, teacher.logits
    pool = pool_for(x)
    own = reduce(student, pool, sheet)
    top = t.max(axis=1, keepdims=True)
    lost = ~np.isfinite(top)
    if not t.min() > -np.inf:
        lost |= ((t == -np.inf) & (x > -np.inf)).any(axis=1, keepdims=True)
    gaps, cap = Gaps(student, teacher, own), softcap.error(student)
    total, spread, noise = Total(len(x)), np.zeros((len(x), 1)), np.zeros((len(x), 1))
    way: list[Pair] = []
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        d = gaps.of(tile, pool, arrays)
        way.append(d)
        weight = laid(sheet, tile, pool, arrays)
        hi, lo = twofold.mul(weight, d)
        if sheet.has_exponents:
            cut_off = np.where((weight[0] < SMALL) & (d[0] != 0), 2.0**-950 * np.abs(d[0]) + FLOOR, 0.0)  # d to 2^1025
            noise[tile[0]] += cut_off.sum(axis=1, keepdims=True)
        spread[tile[0]] += total.put(tile, x.shape[1], (hi, lo), arrays)
    g = own.reciprocal()
    mean = twofold.mul(twofold.two_sum(total.hi, total.lo), g)
    unsure = (2 * exp_error(student) + 2.0**-95) * spread * g[0] + 1.01 * noise + own.tiny * unknown(mean) + 6 * cap
    level = np.flatnonzero(unsure < FLOOR)
    level = level[gaps.same(level)]
    unsure += FLOOR
    unsure[level] = 0

    ways = ((d, 2.0**-101 * np.abs(d[0]) + 6 * cap) for d in way)
    along(student, sheet, own, mean, unsure, ways, (-factor[0], -factor[1], factor[2]))
    sheet.missing |= lost


def _forward(teacher: Problem, student: Problem, sheet: Sheet, factor: Factor) -> None:
    spread = spread_of(teacher, student)
    close = spread <= CLOSE * teacher.temperature

    def far(teacher: Problem, student: Problem, sheet: Sheet, _: FloatArray) -> None:
        _apart(teacher, student, sheet, factor)

    def near(teacher: Problem, student: Problem, sheet: Sheet, spread: FloatArray) -> None:
        _nearly((teacher, student), sheet, factor, spread)

    of_rows(far, (teacher, student), sheet, spread, ~close)
    again = (spread <= FARTHEST * teacher.temperature) & ~close
    again[again] = sheet.missing[again].mean(axis=1) > _MANY
    of_rows(near, (teacher, student), sheet, spread, close | again)
    sheet.shift(factor[2])


def _apart(teacher: Problem, student: Problem, sheet: Sheet, factor: Factor) -> None:
    x, t = student.logits, teacher.logits
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    own, other = reduce(student, pool, sheet), reduce(teacher, pool, soft)
    mine, theirs = (twofold.mul(rows.reciprocal(), significand(factor)) for rows in (own, other))
    noise = 2 * exp_error(student) + 2.0**-98
    masked = not x.min() > -np.inf
    for tile in tiles(x.shape, PIECE):
        r, arrays = tile[0], pool.cut(x[tile])
        p = twofold.mul(laid(sheet, tile, pool, arrays), cut(mine, r))
        q = twofold.mul(laid(soft, tile, pool, arrays), cut(theirs, r))
        value = twofold.add(p, minus(q))
        off = is_loose(noise * np.abs(p[0] + q[0]), value[0])
        if masked:
            nothing = (x[tile] == -np.inf) & (t[tile] == -np.inf)
            value, off = without(nothing, value), off & ~nothing
        sheet.hi[tile], sheet.lo[tile] = value
        sheet.missing[tile] = off
    sheet.drop_exponents(...)
    same = np.flatnonzero((own.at == other.at)[:, 0])
    here = same, own.at[same, 0]
    first, second = (twofold.mul(cut(rows.s, here[0]), cut(g, here[0])) for rows, g in ((own, mine), (other, theirs)))
    gap = twofold.add_any(second, minus(first))
    sheet.hi[here], sheet.lo[here] = gap[0][:, 0], gap[1][:, 0]
    off = is_loose(noise * np.abs(first[0] + second[0]), gap[0]) | own.tiny[same] | other.tiny[same]
    sheet.missing[here] = off[:, 0]
    sheet.missing |= own.undefined | other.undefined


def _nearly(problems: tuple[Problem, Problem], sheet: Sheet, factor: Factor, spread: FloatArray) -> None:
    x = problems[0].logits
    pool = pool_for(x)
    own = reduce(problems[0], pool, sheet)
    near = nearly(problems, own, sheet, spread)
    one = paired(np.ones_like(near.m[0]))
    whole = twofold.mul(twofold.div(own.reciprocal(), twofold.add_any(one, near.m)), significand(factor))
    error, masked = near.error + 2.0**-100 * np.abs(near.m[0]), not x.min() > -np.inf
    sure = np.fmax((near.loose * 1.1 * near.farthest + error) / (0.9 * LOOSE), SMALL)
    for change, tile in zip(near.moved, tiles(x.shape, PIECE), strict=True):
        r, arrays = tile[0], pool.cut(x[tile])
        apart = twofold.add(change, minus(cut(near.m, r)))
        off = ~(np.abs(apart[0], arrays[2]) > sure[r])
        if off.any():
            off = is_loose(near.loose[r] * np.abs(change[0]) + error[r], apart[0])
        weight = pool.load(sheet.hi[tile], arrays[0]), pool.load(sheet.lo[tile], arrays[1])
        value = twofold.mul(twofold.mul(weight, apart), cut(whole, r))
        if masked or near.same[r].any():
            nothing = near.same[r] | (x[tile] == -np.inf)
            value, off = without(nothing, value), off & ~nothing
            sheet.missing[tile] &= ~nothing
        sheet.hi[tile], sheet.lo[tile] = value
        sheet.missing[tile] |= off
    sheet.missing |= own.undefined
