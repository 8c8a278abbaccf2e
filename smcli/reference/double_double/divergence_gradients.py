"""Gradients of the Kullback-Leibler divergence in pairs; EXP as in the tier's own bounds.

- p - t by 2 EXP·(p + t); for the maximum of both as (1 - t) - (1 - p); rows that nearly agree as t·(e^x - 1), with x as in
  `divergence`.
- the other way round p_i·(δ_i - Σ p·δ), see `along`, δ less that of the maximum, so that nothing cancels where p is nearly
  1 there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.along import FLOOR, along, scale, unknown
from smcli.reference.double_double.divergence import Near, both
from smcli.reference.double_double.functions import expm1, minus
from smcli.reference.double_double.reduce import (
    LOOSE,
    SMALL,
    Total,
    cut,
    exp_error,
    paired,
    plain,
    pool_for,
    reduce,
    shift,
)
from smcli.reference.tiles import PIECE, Sheet, tiles

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, Problem
    from smcli.reference.double_double.along import Factor
    from smcli.reference.double_double.twofold import Pair

_MANY = 1 / 64  # missing elements of a row that nearly agrees; single ones are crossings, which this does not help


def gradient(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    """Fill the sheet [R, C] with the gradient of the divergence by the effective logits, times the factor."""
    assert problem.loss is not None  # noqa: S101 - the tier asks first
    (_reverse if problem.loss.reverse else _forward)(problem, sheet, factor)


def _agree(x: FloatArray, m: FloatArray, t: FloatArray, top: FloatArray) -> BoolArray:
    """Where two rows differ by a constant alone [R, 1], before a temperature takes anything below every float."""
    mine, theirs = twofold.two_sum(x, -m), twofold.two_sum(t, -top)
    same = ((mine[0] == theirs[0]) & (mine[1] == theirs[1])) | (x == -np.inf)
    return np.asarray(same.all(axis=1, keepdims=True))


def _reverse(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    student, teacher = both(problem)
    x, t = student.logits, teacher.logits
    sheet.bound = LOOSE
    pool = pool_for(x)
    own = reduce(student, pool, sheet)
    other_top = t.max(axis=1, keepdims=True)
    top = softcap.raised(teacher, other_top) if problem.softcap is not None else paired(other_top)
    lost = ((t == -np.inf) & (x > -np.inf)).any(axis=1, keepdims=True) | ~np.isfinite(other_top)
    cap = softcap.error(problem)
    likely = np.take_along_axis(t, own.at, axis=1)
    base = shift(teacher, likely, top, [np.empty_like(likely) for _ in range(3)])
    base = base[0], base[1]

    def apart(tile: tuple[slice, slice], arrays: list[FloatArray]) -> tuple[Pair, FloatArray]:
        z = shift(student, pool.load(x[tile], arrays[3]), cut(own.top, tile[0]), arrays)
        z = z[0].copy(), z[1].copy()
        a = shift(teacher, pool.load(t[tile], arrays[3]), cut(top, tile[0]), arrays)
        d, own_base = twofold.add_any(z, minus((a[0], a[1]))), cut(base, tile[0])
        loose = 6 * cap + 2.0**-103 * np.abs(d[0])
        loose += (problem.temperature != 1) * 2.0**-102 * (np.abs(z[0]) + np.abs(a[0]) + np.abs(own_base[0]))
        return twofold.add_any(d, own_base), loose

    total, spread = Total(len(x)), np.zeros((len(x), 1))
    noise = np.zeros((len(x), 1))
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        d, loose = apart(tile, arrays)
        e = plain(sheet, tile)
        hi, lo = twofold.mul(e, d)
        gone = e[0] == 0
        if gone.any():
            hi[gone] = lo[gone] = 0
        spread[tile[0]] += np.abs(hi).sum(axis=1, keepdims=True)
        noise[tile[0]] += (e[0] * np.where(gone, 0, loose)).sum(axis=1, keepdims=True)
        cut_off = np.where((e[0] < SMALL) & (x[tile] > -np.inf), np.abs(d[0]), 0.0)  # d may be as large as 2^1025
        noise[tile[0]] += (2.0**-950 * cut_off + FLOOR * (d[0] != 0)).sum(axis=1, keepdims=True)
        total.put(tile, x.shape[1], (hi, lo), arrays)
    g = own.reciprocal()
    mean = twofold.mul(twofold.two_sum(total.hi, total.lo), g)
    unsure = (2 * exp_error(problem) + 2.0**-95) * spread * g[0] + noise * 1.01 + own.tiny * unknown(mean)
    unsure += np.where(_agree(x, own.m, t, other_top), 0.0, FLOOR)
    along(student, sheet, own, mean, unsure, apart, factor)
    sheet.missing |= lost


def _forward(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    teacher, student = both(problem)
    x, t = student.logits, teacher.logits
    sheet.bound = LOOSE
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    own, other = reduce(student, pool, sheet), reduce(teacher, pool, soft)
    mine, theirs = own.reciprocal(), other.reciprocal()
    noise = 2 * exp_error(problem) + 2.0**-98
    for tile in tiles(x.shape, PIECE):
        r = tile[0]
        p = twofold.mul(plain(sheet, tile), cut(mine, r))
        q = twofold.mul(plain(soft, tile), cut(theirs, r))
        value = twofold.add_any(p, minus(q))
        off = ~(noise * (p[0] + q[0]) <= 0.9 * LOOSE * np.abs(value[0])) | ~(np.abs(value[0]) > SMALL)
        nothing = (x[tile] == -np.inf) & (t[tile] == -np.inf)
        sheet.hi[tile], sheet.lo[tile] = np.where(nothing, 0, value[0]), np.where(nothing, 0, value[1])
        sheet.missing[tile] = off & ~nothing
    if sheet.exp2.flags.writeable:
        sheet.exp2[...] = 0
    same = np.flatnonzero((own.at == other.at)[:, 0])
    here = same, own.at[same, 0]
    rest = (twofold.mul(cut(rows.s, here[0]), cut(g, here[0])) for rows, g in ((own, mine), (other, theirs)))
    first, second = rest
    gap = twofold.add_any(second, minus(first))
    sheet.hi[here], sheet.lo[here] = gap[0][:, 0], gap[1][:, 0]
    loose = noise * (first[0] + second[0]) <= 0.9 * LOOSE * np.abs(gap[0])
    sheet.missing[here] = ~(loose & (np.abs(gap[0]) > SMALL) & ~own.tiny[same] & ~other.tiny[same])[:, 0]
    if problem.softcap is None and sheet.missing.any():
        _nearly(teacher, student, sheet)
    sheet.hi[...], sheet.lo[...] = twofold.mul((sheet.hi, sheet.lo), scale(factor))
    sheet.shift(factor[2])
    sheet.missing |= own.undefined | other.undefined


def _nearly(teacher: Problem, student: Problem, sheet: Sheet) -> None:
    """Rows that nearly agree, as t·(e^x - 1)."""
    rows = np.flatnonzero(sheet.missing.mean(axis=1) > _MANY)
    step = max(1, PIECE // teacher.logits.shape[1])
    for start in range(0, rows.size, step):
        some = rows[start : start + step]
        near = Near(teacher, student, some)
        value = twofold.mul(near.t, expm1(near.x))
        size = np.abs(near.x[0])
        fine = near.known & (1.1 * near.error <= 0.5 * LOOSE * size) & (np.abs(value[0]) > SMALL)
        here = sheet.missing[some] & (fine | near.same)
        for out, part in ((sheet.hi, value[0]), (sheet.lo, value[1])):
            block = out[some]
            block[here] = np.where(near.same, 0.0, part)[here]
            out[some] = block
        sheet.missing[some] &= ~here
