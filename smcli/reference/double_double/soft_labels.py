"""Cross-entropy and its gradient for soft labels, smoothing, class weights and z-loss in pairs."""

from __future__ import annotations

from fractions import Fraction
from math import ldexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.elementary import log1p
from smcli.reference.double_double.reduce import (
    BOUND,
    DIFFERENCE,
    SMALL,
    complement,
    exp_error,
    log_sum,
    plain,
    pool_for,
    reduce,
    shift,
)
from smcli.reference.double_double.total import Total
from smcli.reference.double_double.twofold import choose, cut, minus, paired, significand
from smcli.reference.tiles import PIECE, tiles

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, Loss, Problem
    from smcli.reference.double_double.twofold import Factor, Pair
    from smcli.reference.tiles import Sheet, Tile

SPAN = 2.0**-400, 2.0**900  # products stay in range


def coefficients(loss: Loss, columns: int, r: slice, c: slice) -> Pair:
    """w(y(1 - E) + E/K) of a tile, to 40u², for y and w >= 0."""
    if loss.labels is not None:
        pair = paired(loss.labels[r, c])
    else:
        pair = paired((np.arange(c.start, c.stop) == required(loss.target)[r, None]).astype(np.float64))
    if loss.smoothing:
        spread = twofold.of_fraction(Fraction(loss.smoothing) / columns)
        kept = twofold.two_sum(np.ones(()), np.array(-loss.smoothing))
        high, low = (np.full_like(pair[0], ldexp(v, spread[2])) for v in spread[:2])
        pair = twofold.add(twofold.mul(pair, kept), (high, low))
    return pair if loss.weights is None else twofold.mul(pair, paired(loss.weights[None, c]))


def _unfit(problem: Problem, c: FloatArray, tile: Tile) -> BoolArray:
    """Rows [R, 1] with coefficients that are negative, out of range or on a masked class."""
    bad = ~((c == 0) | (c > 2.0**-400) & (c < 2.0**400)) | (c != 0) & (problem.logits[tile] == -np.inf)
    unfit: BoolArray = bad.any(axis=1, keepdims=True)
    return unfit


def soft_cross_entropy(problem: Problem, loss: Loss, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with Σ c (log1p(s) - z), a sum of terms >= 0, and z_loss·logsumexp²."""
    x = problem.logits
    pool, total = pool_for(x), Total(x.shape[0])
    rows = reduce(problem, pool)
    log = log1p(rows.s)
    sheet.missing[...] = rows.undefined | rows.tiny
    some = np.zeros_like(sheet.missing)
    for r, c in tiles(x.shape, PIECE):
        arrays = pool.cut(x[r, c])
        zh, zl = shift(problem, pool.load(x[r, c], arrays[3]), cut(rows.top, r), arrays)
        weight = coefficients(loss, x.shape[1], r, c)
        value = twofold.add(cut(log, r), (-zh, -zl))
        product = twofold.mul(weight, value)
        some[r] |= ((weight[0] != 0) & (value[0] != 0)).any(axis=1, keepdims=True)
        sheet.missing[r] |= _unfit(problem, weight[0], (r, c))
        for source, copy in zip(product, arrays[:2], strict=True):
            np.copyto(copy, source)
            copy[weight[0] == 0] = 0
        total.take((r, c), x.shape[1], (arrays[0], arrays[1]), arrays[2:])
    value = total.hi, total.lo
    if loss.z_loss:
        rise, off = log_sum(problem, rows)
        extra = twofold.mul(twofold.mul(rise, rise), paired(np.full_like(rise[0], loss.z_loss)))
        plus = twofold.add_any(value, extra)
        unsure = 2 * np.abs(loss.z_loss * rise[0]) * off + 2.0**-100 * np.abs(extra[0])
        unsure += (exp_error(problem) + 3 * softcap.error(problem) + 2.0**-92) * value[0]
        sheet.missing |= ~(unsure <= BOUND * np.abs(plus[0])) | ~(
            (np.abs(extra[0]) > SMALL) & (np.abs(extra[0]) < SPAN[1])
        )
        value = plus
    sheet.hi[...], sheet.lo[...] = value
    sheet.missing |= ~np.isfinite(total.lo) | some & (total.hi < SMALL)


def soft_gradient(problem: Problem, loss: Loss, sheet: Sheet, factor: Factor) -> None:
    """Fill the sheet [R, C] with p·(B - c) - c·(1 - p), B = Σ c + 2·z_loss·logsumexp, certified where that is sure."""
    x = problem.logits
    sheet.bound = DIFFERENCE
    pool, total = pool_for(x), Total(x.shape[0])
    rows = reduce(problem, pool, sheet)
    unfit = rows.undefined.copy()
    for r, c in tiles(x.shape, PIECE):
        arrays = pool.cut(x[r, c])
        arrays[0][...], arrays[1][...] = coefficients(loss, x.shape[1], r, c)
        unfit[r] |= _unfit(problem, arrays[0], (r, c))
        total.take((r, c), x.shape[1], (arrays[0], arrays[1]), arrays[2:])
    growth: Pair = total.hi, total.lo
    error = 2.0**-94 * total.hi
    if loss.z_loss:
        rise, unsure = log_sum(problem, rows)
        growth = twofold.add_any(growth, twofold.mul(rise, paired(np.full_like(rise[0], 2 * loss.z_loss))))
        error += 2 * abs(loss.z_loss) * (unsure + 2.0**-100 * np.abs(rise[0])) + 2.0**-100 * np.abs(growth[0])
        unfit |= ~((np.abs(rise[0]) > SPAN[0]) & (np.abs(growth[0]) < SPAN[1]))
    loose = error > 0.5 * DIFFERENCE * np.abs(growth[0])
    soft = 2 * exp_error(problem) + 2.0**-89
    reciprocal = rows.reciprocal()
    for r, c in tiles(x.shape, PIECE):
        weight = coefficients(loss, x.shape[1], r, c)
        all_weights, s, g = (cut(pair, r) for pair in (growth, rows.s, reciprocal))
        own = rows.at[r] == np.arange(c.start, c.stop)
        e = plain(sheet, (r, c))
        p, rest = twofold.mul(e, g), twofold.mul(complement(own, s, e), g)
        a = twofold.mul(p, twofold.add_any(all_weights, minus(weight)))
        b = twofold.mul(weight, rest)
        value = twofold.add_any(a, minus(b))
        size = np.abs(value[0])
        loud = ~(soft * (np.abs(a[0]) + b[0]) + p[0] * (error[r] + 2.0**-98 * weight[0]) <= 0.9 * DIFFERENCE * size)
        loud |= (size < SMALL) & (rest[0] != 0) | own & rows.tiny[r]
        alone = twofold.mul(twofold.mul((sheet.hi[r, c], sheet.lo[r, c]), g), all_weights)
        label = weight[0] != 0
        value = choose(label, value, alone)
        sheet.hi[r, c], sheet.lo[r, c] = twofold.mul(value, significand(factor))
        if sheet.has_exponents:
            np.copyto(sheet.exp2[r, c], 0, where=label)
        sheet.missing[r, c] = np.where(label, loud, sheet.missing[r, c] | loose[r] & (alone[0] != 0))
    sheet.shift(factor[2])
    sheet.missing |= unfit
