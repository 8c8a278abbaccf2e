"""Gradients of entropy, divergence and focal loss, and products with other Jacobians, in pairs.

- entropy: p_i·(|z_i| - Σ p|z|); KL the other way round: p_i·(δ_i - Σ p·δ), δ less that of the maximum, so that nothing
  cancels where p is nearly 1 there: the second factor errs by 2 EXP·Σ p|δ| and what z and two sums of 4u² do, certified
  where that is within LOOSE of it.
- KL: p - t by 2 EXP·(p + t); for the maximum of both as (1 - t) - (1 - p); rows that nearly agree as t·(e^x - 1), with x
  as in `kernels`.
- focal: A·p_i and -A·(1 - p_t), A = q^γ·(1 + γ·p_t·(-log p_t)/q): no sum cancels.
- log-softmax: v_i - p_i·Σv by 2 EXP·p|Σv|, for the maximum as (v_i - Σv) + (1 - p)·Σv; logsumexp: v·p_i, or with
  coefficients v·b_i·e^z/Σ, which errs by EXP and what the sum does.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import kernels, softcap, twofold
from smcli.reference.double_double.kernels import LOOSE, expm1, focal_error, minus, moment, of_target, power, put
from smcli.reference.double_double.reduce import (
    BOUND,
    SMALL,
    Rows,
    Total,
    by_logit,
    cut,
    exp_error,
    paired,
    plain,
    pool_for,
    reduce,
    shift,
    tidy,
    times,
)
from smcli.reference.tiles import BLOCK, PIECE, Sheet, tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import BoolArray, FloatArray, Problem
    from smcli.reference.double_double.twofold import Pair

    Factor = tuple[float, float, int]


FLOOR = 2.0**-880  # what a sum of terms loses that are cut below 2^-1022, or their low parts below 2^-969
HUGE = 2.0**990  # beyond it no pair can be multiplied
_MANY = 1 / 64  # missing elements of a row that nearly agrees; single ones are crossings, which this does not help


def of(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    """Fill the sheet [R, C] with the gradient of the problem's loss by the effective logits, times the factor."""
    loss = problem.loss
    assert loss is not None  # noqa: S101 - the tier asks first
    if loss.kind == "entropy":
        _entropy(problem, sheet, factor)
    elif loss.kind == "kl":
        (_reverse if loss.reverse else _forward)(problem, sheet, factor)
    else:
        _focal(problem, sheet, factor)


def _scale(factor: Factor) -> Pair:
    return np.array(factor[0]), np.array(factor[1])


def _along(
    problem: Problem,
    sheet: Sheet,
    rows: Rows,
    mean: Pair,
    unsure: FloatArray,
    direction: Callable[[tuple[slice, slice], list[FloatArray]], tuple[Pair, FloatArray]],
    factor: Factor,
) -> None:
    """Turn the e^z of the sheet into p·(direction - mean); `unsure` is the mean's error, the direction tells its own."""
    x, g = problem.logits, twofold.mul(rows.reciprocal(), _scale(factor))
    pool = pool_for(x)
    for tile in tiles(x.shape, PIECE):
        way, loose = direction(tile, pool.cut(x[tile]))
        inner = twofold.add_any(way, minus(cut(mean, tile[0])))
        off = ~(unsure[tile[0]] + loose + 2.0**-104 * np.abs(mean[0][tile[0]]) <= 0.9 * LOOSE * np.abs(inner[0]))
        gone = x[tile] == -np.inf
        value = twofold.mul(twofold.mul((sheet.hi[tile], sheet.lo[tile]), inner), cut(g, tile[0]))
        level = (way[0] == 0) & (mean[0][tile[0]] == 0) & (unsure[tile[0]] == 0)
        nothing = gone | level
        sheet.hi[tile], sheet.lo[tile] = np.where(nothing, 0, value[0]), np.where(nothing, 0, value[1])
        off |= (np.abs(inner[0]) < SMALL) | ~(np.abs(inner[0]) < HUGE)
        sheet.missing[tile] = (sheet.missing[tile] | off) & ~nothing
    sheet.shift(factor[2])
    sheet.missing |= rows.undefined


def _entropy(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    x = problem.logits
    sheet.bound = LOOSE
    pool = pool_for(x)
    rows = reduce(problem, pool, sheet)
    mean = twofold.mul(moment(problem, pool, rows, sheet), rows.reciprocal())
    cap = softcap.error(problem)

    def direction(tile: tuple[slice, slice], arrays: list[FloatArray]) -> tuple[Pair, FloatArray]:
        z = shift(problem, pool.load(x[tile], arrays[3]), cut(rows.top, tile[0]), arrays)
        return minus((z[0], z[1])), 2 * cap + 2.0**-102 * np.abs(z[0])

    unsure = (2 * exp_error(problem) + 2.0**-96) * mean[0] + 4 * cap + rows.tiny * _unknown(mean)
    unsure += ((x < rows.m) & (x > -np.inf)).any(axis=1, keepdims=True) * FLOOR
    _along(problem, sheet, rows, mean, unsure, direction, factor)


def _agree(x: FloatArray, m: FloatArray, t: FloatArray, top: FloatArray) -> BoolArray:
    """Where two rows differ by a constant alone [R, 1], before a temperature takes anything below every float."""
    mine, theirs = twofold.two_sum(x, -m), twofold.two_sum(t, -top)
    same = ((mine[0] == theirs[0]) & (mine[1] == theirs[1])) | (x == -np.inf)
    return np.asarray(same.all(axis=1, keepdims=True))


def _unknown(mean: Pair) -> FloatArray:
    """What is not known of the sums of tiny rows: all of them."""
    return np.abs(mean[0]) + 2.0**-700


def _reverse(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    student, teacher = kernels.both(problem)
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
        put(total, tile, x.shape[1], (hi, lo), arrays)
    g = own.reciprocal()
    mean = twofold.mul(twofold.two_sum(total.hi, total.lo), g)
    unsure = (2 * exp_error(problem) + 2.0**-95) * spread * g[0] + noise * 1.01 + own.tiny * _unknown(mean)
    unsure += np.where(_agree(x, own.m, t, other_top), 0.0, FLOOR)
    _along(student, sheet, own, mean, unsure, apart, factor)
    sheet.missing |= lost


def _forward(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    teacher, student = kernels.both(problem)
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
    sheet.hi[...], sheet.lo[...] = twofold.mul((sheet.hi, sheet.lo), _scale(factor))
    sheet.shift(factor[2])
    sheet.missing |= own.undefined | other.undefined


def _nearly(teacher: Problem, student: Problem, sheet: Sheet) -> None:
    """Rows that nearly agree, as t·(e^x - 1)."""
    rows = np.flatnonzero(sheet.missing.mean(axis=1) > _MANY)
    step = max(1, PIECE // teacher.logits.shape[1])
    for start in range(0, rows.size, step):
        some = rows[start : start + step]
        near = kernels.Near(teacher, student, some)
        value = twofold.mul(near.t, expm1(near.x))
        size = np.abs(near.x[0])
        fine = near.known & (1.1 * near.error <= 0.5 * LOOSE * size) & (np.abs(value[0]) > SMALL)
        here = sheet.missing[some] & (fine | near.same)
        for out, part in ((sheet.hi, value[0]), (sheet.lo, value[1])):
            block = out[some]
            block[here] = np.where(near.same, 0.0, part)[here]
            out[some] = block
        sheet.missing[some] &= ~here


def _focal(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    assert problem.loss is not None  # noqa: S101 - the tier asks first
    gamma = problem.loss.gamma
    rows, (at, weight, wrong), q, log, p = of_target(problem, sheet)
    raised, k = power(q, gamma)
    mantissa, exponent = np.frexp(weight)
    raised = twofold.mul(raised, twofold.mul(paired(mantissa), _scale(factor)))
    ratio = twofold.div(twofold.mul(twofold.mul(p, log), paired(np.full_like(log[0], gamma))), q)
    slope = twofold.mul(raised, twofold.add(paired(np.ones_like(q[0])), ratio))
    none = (q[0] == 0) | (weight == 0)
    slope = np.where(none, 0, slope[0]), np.where(none, 0, slope[1])
    pull = twofold.mul(slope, q)
    times(sheet, twofold.mul(rows.reciprocal(), slope), pool_for(problem.logits))
    here = np.arange(len(at))[:, None], at
    sheet.hi[here], sheet.lo[here] = -pull[0], -pull[1]
    if sheet.exp2.flags.writeable:
        sheet.exp2[here] = 0
    sheet.missing[here] = False
    sheet.shift(k + exponent + factor[2])
    sheet.missing |= rows.undefined | wrong | rows.tiny & (at == rows.at) | ~np.isfinite(slope[1])
    sheet.bound = focal_error(problem, gamma) + 2 * BOUND


def log_vjp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with v_i - p_i·Σv, divided by the temperature."""
    x, v = problem.logits, problem.cotangent
    assert v is not None  # noqa: S101 - the tier asks first
    sheet.bound = LOOSE
    pool = pool_for(x)
    rows = reduce(problem, pool, sheet)
    exact = sum(map(Fraction, v.tolist()), Fraction(0))
    whole = [float(exact), float(exact - Fraction(float(exact)))]
    growth = np.array(whole[0]), np.array(whole[1])
    g, noise = rows.reciprocal(), 2 * exp_error(problem) + 2.0**-98
    factor = twofold.of_fraction(1 / Fraction(problem.temperature))
    for r, c in tiles(x.shape, PIECE):
        tile = r, c
        label = np.broadcast_to(v[None, c], x[tile].shape)
        e = plain(sheet, tile)
        own = rows.at[r] == np.arange(c.start, c.stop)
        take = twofold.mul(twofold.mul(e, cut(g, r)), minus(growth))
        value = twofold.add_any(paired(label), take)
        rest = twofold.mul(twofold.mul(cut(rows.s, r), cut(g, r)), growth)
        top = twofold.add_any(twofold.two_sum(label, -growth[0]), (rest[0], rest[1] - growth[1]))
        value = np.where(own, top[0], value[0]), np.where(own, top[1], value[1])
        unsure = noise * np.where(own, np.abs(rest[0]), np.abs(take[0])) + 2.0**-104 * np.abs(growth[0])
        loose = ~(unsure <= 0.9 * LOOSE * np.abs(value[0])) | ~(np.abs(value[0]) > SMALL)
        alone = (label == 0) & ~own
        lone = twofold.mul(twofold.mul((sheet.hi[tile], sheet.lo[tile]), cut(g, r)), minus(growth))
        zero = alone & ((x[tile] == -np.inf) | (growth[0] == 0))
        value = np.where(alone, lone[0], value[0]), np.where(alone, lone[1], value[1])
        value = np.where(zero, 0, value[0]), np.where(zero, 0, value[1])
        sheet.hi[tile], sheet.lo[tile] = twofold.mul(value, _scale(factor))
        if sheet.exp2.flags.writeable:
            np.copyto(sheet.exp2[tile], 0, where=~alone)
        sheet.missing[tile] = np.where(alone, sheet.missing[tile] & ~zero, loose | own & rows.tiny[r])
    sheet.shift(factor[2])
    sheet.missing |= rows.undefined
    by_logit(problem, sheet)
    tidy(sheet)


def sum_vjp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with v·p_i, or with v·b_i e^x_i/Σ b e^x, divided by the temperature."""
    v, b = problem.cotangent, problem.coefficients
    assert v is not None  # noqa: S101 - the tier asks first
    pool = pool_for(problem.logits)
    factor = twofold.of_fraction(Fraction(float(v[0])) / Fraction(problem.temperature))
    if b is None:
        rows = reduce(problem, pool, sheet)
        times(sheet, twofold.mul(rows.reciprocal(), _scale(factor)), pool)
        sheet.missing |= rows.undefined
    else:
        rows, value, unsure, lost = kernels.signed_sum(problem, sheet)
        one = paired(np.ones_like(value[0]))
        share = twofold.mul(twofold.div(one, value), _scale(factor))
        for r, c in tiles(problem.logits.shape, BLOCK):
            weight = twofold.mul(cut(share, r), paired(b[None, c]))
            sheet.hi[r, c], sheet.lo[r, c] = twofold.mul((sheet.hi[r, c], sheet.lo[r, c]), weight)
        sheet.missing &= b[None, :] != 0
        sheet.missing |= lost | ~(unsure + 2.0**-85 * np.abs(value[0]) <= 0.5 * LOOSE * np.abs(value[0]))
        sheet.bound = LOOSE
    sheet.shift(factor[2])
    by_logit(problem, sheet)
    tidy(sheet)
