"""The Kullback-Leibler divergence in pairs; EXP as in the tier's own bounds.

KL = Σ t_i d_i - D, d_i = a_i - z_i and D = log1p(s_a) - log1p(s_z): an absolute 2 EXP·(Σ t_i|d_i| + both logarithms),
certified where that is within LOOSE. Rows that nearly agree: with d' = d - d_r, r the maximum of t, of |d'| <= 1,
D' = -log1p(Σ t_i·expm1(-d'_i)) and KL = Σ t_i·g(D' - d'_i), g(x) = e^x - 1 - x, a sum of terms >= 0 that errs by 2|x| times
the error of x, 2^-85·Σ t|d'|.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.elementary import log1p
from smcli.reference.double_double.functions import excess, expm1, minus
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
    from smcli.model import IntArray, Problem
    from smcli.reference.double_double.twofold import Pair


def both(problem: Problem) -> tuple[Problem, Problem]:
    """First and second row of a divergence as problems of their own."""
    loss = problem.loss
    assert loss is not None and loss.teacher is not None  # noqa: S101 - the tier asks first
    student, teacher = replace(problem, loss=None), replace(problem, logits=loss.teacher, loss=None)
    return (student, teacher) if loss.reverse else (teacher, student)


def kl(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with Σ t_i (log t_i - log p_i)."""
    first, second = both(problem)
    x, columns = first.logits, first.logits.shape[1]
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    own, other = reduce(first, pool, soft), reduce(second, pool)
    total, spread, bad = Total(len(x)), np.zeros((len(x), 1)), own.undefined | other.undefined
    for r, c in tiles(x.shape, PIECE):
        arrays, tile = pool.cut(x[r, c]), (r, c)
        a = shift(first, pool.load(x[tile], arrays[3]), cut(own.top, r), arrays)
        a = a[0].copy(), a[1].copy()
        z = shift(second, pool.load(second.logits[tile], arrays[3]), cut(other.top, r), arrays)
        e = plain(soft, tile)
        masked = a[0] == -np.inf
        d = twofold.add_any(a, minus((z[0], z[1])))
        hi, lo = twofold.mul(e, d)
        gone = masked | (e[0] == 0)
        bad[r] |= (~masked & ~(np.abs(z[0]) < np.inf)).any(axis=1, keepdims=True)
        if gone.any():
            hi[gone] = lo[gone] = 0
        spread[r] += np.abs(hi).sum(axis=1, keepdims=True)
        total.put(tile, columns, (hi, lo), arrays)
    g = own.reciprocal()
    mean = twofold.mul(twofold.two_sum(total.hi, total.lo), g)
    spread *= g[0]
    log_a, log_z = log1p(own.s), log1p(other.s)
    value = twofold.add_any(mean, twofold.add_any(log_z, minus(log_a)))
    cap = softcap.error(problem)
    unsure = (2 * exp_error(problem) + 2.0**-95) * spread + 2 * cap
    unsure += (exp_error(problem) + 2.0**-92.9) * (log_a[0] + log_z[0]) + (own.tiny | other.tiny) * 2.0**-700
    unsure += (problem.temperature != 1) * 2.0**-94 * spread
    sheet.bound = LOOSE
    sheet.hi[...], sheet.lo[...] = value
    sheet.missing[...] = bad | ~(unsure <= LOOSE * np.abs(value[0]))
    if sheet.missing.any() and problem.softcap is None:
        some = np.flatnonzero(sheet.missing & ~bad)
        if some.size:
            _near(first, second, some, sheet)


class Near:
    """Rows that nearly agree, [K, C]: t as pairs, x = log p - log t as pairs, its absolute error, and which are known."""

    def __init__(self, first: Problem, second: Problem, rows: IntArray) -> None:
        first, second = (replace(q, logits=q.logits[rows], ignored=None) for q in (first, second))
        a, z = first.logits, second.logits
        pool, soft = pool_for(a), Sheet.of_pairs(a.shape)
        own = reduce(first, pool, soft)
        top = own.at
        fits = (a == -np.inf) == (z == -np.inf)
        with np.errstate(all="ignore"):
            base = np.take_along_axis(a, top, 1), np.take_along_axis(z, top, 1)
            left, right = twofold.two_sum(a, -base[0]), twofold.two_sum(z, -base[1])
            d = twofold.add_any(left, minus(right))
        apart = np.where(a == -np.inf, 0, d[0])  # before a temperature takes it below every float
        if first.temperature != 1:
            d = twofold.div(d, paired(np.array(first.temperature)))
        gone = a == -np.inf
        d = np.where(gone, 0, d[0]), np.where(gone, 0, d[1])
        ok = fits.all(axis=1, keepdims=True) & ~own.undefined & (np.abs(d[0]).max(axis=1, keepdims=True) <= 1)
        ok &= ~own.tiny & ~soft.missing.any(axis=1, keepdims=True)
        keep = np.where(ok, 1.0, 0.0)
        d = d[0] * keep, d[1] * keep
        self.t = twofold.mul(plain(soft, (slice(None), slice(None))), own.reciprocal())
        moved = twofold.mul(self.t, expm1(minus(d)))
        size = np.abs(moved[0]).sum(axis=1, keepdims=True)
        q = _row_sum(moved)
        log = log1p((np.abs(q[0]), np.where(q[0] < 0, -q[1], q[1])))
        # log(1 - w) = -log1p(w/(1 - w))
        w = np.abs(q[0]), np.where(q[0] < 0, -q[1], q[1])
        other = log1p(twofold.div(w, twofold.add_any(paired(np.ones_like(w[0])), minus(w))))
        shift_by = np.where(q[0] < 0, other[0], -log[0]), np.where(q[0] < 0, other[1], -log[1])
        self.error = 2.0**-84.5 * size  # the sum of terms of both signs errs by that of their sizes, see `put`
        self.x = twofold.add_any(shift_by, minus(d))
        self.same = ok & ~apart.any(axis=1, keepdims=True)
        self.known = ok & ((w[0] == 0) | (w[0] > SMALL))
        self.gone = gone


def _row_sum(pair: Pair) -> Pair:
    hi, lo = pair if pair[0].shape[1] >= 64 else (np.asfortranarray(pair[0]), np.asfortranarray(pair[1]))
    hi, lo = twofold.fold(hi, lo, [np.empty_like(hi) for _ in range(5)])
    return twofold.fast_two_sum(hi, lo)


def _near(first: Problem, second: Problem, rows: IntArray, sheet: Sheet) -> None:
    step = max(1, PIECE // first.logits.shape[1])
    for start in range(0, rows.size, step):
        some = rows[start : start + step]
        near = Near(first, second, some)
        terms = twofold.mul(near.t, excess(near.x))
        terms = np.where(near.gone, 0, terms[0]), np.where(near.gone, 0, terms[1])
        value = _row_sum(terms)
        size = (near.t[0] * np.abs(near.x[0])).sum(axis=1, keepdims=True)
        unsure = 2.5 * size * near.error + 2.0**-77 * value[0]
        fine = near.same | near.known & (unsure <= LOOSE * value[0]) & (value[0] > SMALL)
        at = some[fine[:, 0]]
        sheet.hi[at], sheet.lo[at], sheet.missing[at] = value[0][fine[:, 0]], value[1][fine[:, 0]], False
