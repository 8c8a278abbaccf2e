"""Softmax, its logarithm, logsumexp and the cross-entropy of a target in pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.double_double.elementary import NEAR, exponential, log1p
from smcli.reference.double_double.reduce import (
    BOUND,
    SMALL,
    Rows,
    block_of,
    exponentials,
    log_sum,
    pool_for,
    reach,
    reduce,
    shift,
    times,
)
from smcli.reference.double_double.total import Total
from smcli.reference.double_double.twofold import cut, minus, paired
from smcli.reference.losses import hard_target, is_hard
from smcli.reference.tiles import BLOCK, tiles

if TYPE_CHECKING:
    from smcli.model import FloatArray, Loss, Problem
    from smcli.reference.tiles import Pool, Sheet


def softmax(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with e^z / (1 + s)."""
    pool = pool_for(problem.logits)
    if _is_plain(problem) and _direct(problem.logits, sheet, pool):
        return
    rows = reduce(problem, pool, sheet)
    times(sheet, rows.reciprocal(), pool)
    sheet.missing |= rows.undefined


def _is_plain(problem: Problem) -> bool:
    x = problem.logits
    plain = x.shape[1] >= 64 and problem.temperature == 1 and problem.softcap is None
    return plain and float(x.min()) >= -NEAR and float(x.max()) <= NEAR


def _direct(x: FloatArray, sheet: Sheet, pool: Pool) -> bool:
    """Softmax of long rows of moderate logits as e^x / Σ e^x: 2 EXP + 22u², without the differences from the maximum.

    Not done if the sum is a power of 2 times the largest term, or nearly: on which side of a power of 2 a probability
    lies is then better told by the sum of the others.
    """
    total = Total(len(x))
    for r, c in tiles(x.shape, BLOCK):
        spare = pool.cut(x[r, c])
        hi, lo = sheet.hi[r, c], sheet.lo[r, c]
        exponential((x[r, c], None), hi, lo, spare[10].view(np.int64), spare)
        total.take((r, c), x.shape[1], (hi, lo), spare)
    share, _ = np.frexp(total.hi * np.exp(-x.max(axis=1, keepdims=True)))
    if (np.minimum(share - 0.5, 1 - share) < 2.0**-40).any():
        return False
    times(sheet, twofold.div(paired(np.ones_like(total.hi)), (total.hi, total.lo)), pool)
    return True


def log_softmax(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with z - log1p(s)."""
    x = problem.logits
    pool = pool_for(x)
    rows = reduce(problem, pool)
    log = log1p(rows.s)
    for r, c in tiles(x.shape, block_of(problem)):
        spare = pool.cut(x[r, c])
        zh, zl = shift(problem, pool.load(x[r, c], spare[3]), cut(rows.top, r), spare)
        hi, lo, t = pool.room(sheet.hi[r, c], spare[4]), pool.room(sheet.lo[r, c], spare[5]), spare[3]
        np.subtract(zh, log[0][r], hi)
        np.subtract(hi, zh, t)
        np.subtract(hi, t, lo)
        np.subtract(zh, lo, lo)
        np.add(t, log[0][r], t)
        np.subtract(lo, t, lo)  # hi + lo = zh - log
        np.subtract(zl, log[1][r], zl)
        np.add(lo, zl, zl)
        np.add(hi, zl, t)
        np.subtract(t, hi, hi)
        np.subtract(zl, hi, lo)
        np.add(t, 0.0, hi)
        pool.store(sheet.hi[r, c], hi)
        pool.store(sheet.lo[r, c], lo)
        if rows.tiny[r].any():
            sheet.missing[r, c] |= rows.tiny[r] & (zh == 0)
    if not np.isfinite(sheet.lo).all():
        masked = x == -np.inf
        sheet.missing |= ~np.isfinite(sheet.lo) & ~masked
        sheet.hi[masked], sheet.lo[masked] = -np.inf, 0
    _minute_logs(problem, rows, sheet)
    sheet.missing |= rows.undefined


def _minute_logs(problem: Problem, rows: Rows, sheet: Sheet) -> None:
    """log p of the maximum in tiny rows: -log1p(s) = -s to a relative 2^-801, with s summed below the second largest.

    s = e^(m2 - m)·(1 + s2), m2 and s2 being the maximum and the rest of the row without m: EXP + EXP·s2/(1 + s2) + 13u².
    """
    some = np.flatnonzero(rows.tiny & np.isfinite(rows.m))
    if not some.size:
        return
    x, here = problem.logits[some], (np.arange(some.size)[:, None], rows.at[some])
    x[here] = -np.inf
    rest = reduce(replace(problem, logits=x), pool_for(x))
    arrays = [np.empty_like(rest.m) for _ in range(10)]
    z = shift(problem, rest.m, cut(rows.top, some), arrays)
    hi, lo, index = arrays[7], arrays[8], arrays[9].view(np.int64)
    k, wild = exponentials(z, reach(problem), (hi, lo), index, arrays[2:])
    known = ~(rest.undefined if wild is None else rest.undefined | wild)
    hi, lo = twofold.mul((hi, lo), twofold.add(paired(np.ones_like(hi)), rest.s))
    k = np.zeros_like(index) if k is None else k
    at = (some[:, None][known], rows.at[some][known])
    sheet.hi[at], sheet.lo[at], sheet.exponents()[at] = -hi[known], -lo[known], k[known]
    sheet.missing[at] = False


def logsumexp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with m + log1p(s), certified where that does not cancel; or that of the signed sum."""
    if problem.coefficients is not None:
        from smcli.reference.double_double.signed import signed_logsumexp

        signed_logsumexp(problem, sheet)
        return
    rows = reduce(problem, pool_for(problem.logits))
    value, error = log_sum(problem, rows)
    sheet.hi[...], sheet.lo[...] = value
    cut_off = (np.abs(value[0]) < SMALL) & (rows.m != 0) & (problem.temperature != 1)
    sheet.missing[...] = rows.undefined | cut_off | ~(error <= BOUND * np.abs(value[0]))


def cross_entropy(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet with the loss [R, 1], without one with that of each class [R, C]."""
    loss = problem.loss
    if loss is None:
        log_softmax(problem, sheet)
        np.subtract(0, sheet.hi, sheet.hi)
        np.subtract(0, sheet.lo, sheet.lo)
    elif loss.z_loss or not is_hard(loss):
        from smcli.reference.double_double.soft_labels import soft_cross_entropy

        soft_cross_entropy(problem, loss, sheet)
    else:
        _hard_cross_entropy(problem, loss, sheet)


def _hard_cross_entropy(problem: Problem, loss: Loss, sheet: Sheet) -> None:
    rows = reduce(problem, pool_for(problem.logits))
    at, weight, wrong = hard_target(problem, loss)
    x = np.take_along_axis(problem.logits, at, axis=1)
    z = shift(problem, x, rows.top, [np.empty_like(x) for _ in range(3)])
    value = twofold.add(log1p(rows.s), minus(z))
    sheet.hi[...], sheet.lo[...] = twofold.mul(value, paired(weight))
    exact = (value[0] == 0) | (weight == 0)
    sheet.missing[...] = rows.undefined | wrong | rows.tiny & (at == rows.at) | ~np.isfinite(sheet.lo)
    sheet.missing |= (np.abs(sheet.hi) < SMALL) & ~exact
