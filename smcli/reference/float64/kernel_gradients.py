"""Gradients of the divergence and of the focal loss in plain float64; bounds in units of u = 2^-53.

Errors of e and s are as in the tier's own docstring, h is `halvings`.

- KL: p - t. e 16, 1 + s 17 + h, the reciprocal and the product 2: 35 + h of p + t; 3 for the difference and the factor. For
  the maximum of both, (1 - t) - (1 - p): s 16 + h more. Certified where that is within LOOSEST of the difference; what is
  below e^-600 counts as FLOOR. Rows that nearly agree: see `near`. What still is missing: t_i·(e^y - 1) for |y| <= 1,
  y = log p_i - log t_i = (z_i - a_i) - (log1p(s_z) - log1p(s_a)) in pairs, to 2^-90 of the logarithms and 2^-98 of both
  differences, and by what the sums of `sharp` err by: certified where e^y/|e^y - 1| <= 2/|y| times that is within LOOSEST.
- focal: A·p_i, and -A·q for the target, with q = 1 - p_t, l = -log p_t and A = q^γ·(1 + γ·p_t·l/q), a sum of terms > 0: q
  60, the power 60γ and 8, l 52, p 60, two factors, a quotient and 2 more: 60γ + 190, and p or q and 6 more: 60γ + 260.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import twofold
from smcli.reference.double_double.elementary import log1p
from smcli.reference.float64 import near, sharp
from smcli.reference.float64.kernels import of_target, within
from smcli.reference.float64.reduce import DEEPEST, LOOSEST, U, halvings, reduce
from smcli.reference.losses import both
from smcli.reference.tiles import BLOCK, Pool, Sheet, tiles

if TYPE_CHECKING:
    from smcli.model import BoolArray, Problem

FLOOR, LEAST = 2.0**-800, 2.0**-900
_PART, _LEAST_PART = 2.0**-16, 2.0**-40


def divergence(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with p - t, times the scale and divided by the temperature."""
    pair = both(problem)
    near.by_parts(pair, sheet, near.difference, _difference)
    if sheet.missing.any():
        _sharpen(*pair, sheet)
    sheet.hi *= float(problem.scale / Fraction(problem.temperature))
    sheet.bound = LOOSEST


def _difference(first: Problem, second: Problem, sheet: Sheet) -> BoolArray:
    """Fill the sheet [R, C] with p - t; all rows are dealt with."""
    soft = Sheet.of_numbers(sheet.hi.shape)
    own, other = reduce(second, "e", sheet), reduce(first, "e", soft)
    x, columns = second.logits, second.logits.shape[1]
    share, portion, pool = 1 / (1 + own.s), 1 / (1 + other.s), Pool(columns, 3, BLOCK)
    noise = 1.01 * (36 + halvings(columns)) * U / (LOOSEST - 4 * U)
    for r, c in tiles(x.shape, BLOCK):
        p, t, size = pool.cut(x[r, c])
        np.multiply(pool.load(sheet.hi[r, c], p), share[r], p)
        np.multiply(pool.load(soft.hi[r, c], t), portion[r], t)
        np.add(p, t, size)
        size *= noise
        size += FLOOR
        p -= t
        np.copyto(sheet.hi[r, c], p)
        sheet.missing[r, c] = ~(size <= np.abs(p, t))
    if not (x.min() > -np.inf and first.logits.min() > -np.inf):  # or nan
        gone = (x == -np.inf) & (first.logits == -np.inf)
        sheet.hi[gone], sheet.missing[gone] = 0, False
    same = np.flatnonzero((own.at == other.at)[:, 0])
    here = same, own.at[same, 0]
    rests = [(rows.s * part)[same, 0] for rows, part in ((other, portion), (own, share))]
    gap = sheet.hi[here] = rests[0] - rests[1]
    unsure = noise * 2 * (rests[0] + rests[1]) + FLOOR
    sheet.missing[here] = (unsure > np.abs(gap)) | (own.tiny | other.tiny)[same, 0]
    sheet.missing |= own.lost | other.lost
    return np.ones(own.m.shape, np.bool_)


def _sharpen(first: Problem, second: Problem, sheet: Sheet) -> None:
    """Fill what is missing because it cancels, from sums that are told better."""
    r, c = sharp.places(sheet.missing)
    for q in (first, second):
        some = np.unique(r)
        told = np.isin(r, some[np.isfinite(q.logits[some].max(axis=1))])
        r, c = r[told], c[told]
    for rows, row, column in sharp.in_parts(r, c, sheet.hi.shape[1]):
        k, x = len(rows), np.concatenate([q.logits[rows] for q in (first, second)])
        at = x.argmax(axis=1)[:, None]
        top = np.take_along_axis(x, at, axis=1)
        both, pairs = (x - top) / first.temperature, sharp.picker(x, top, first.temperature)
        a, z = both[:k], both[k:]
        gaps = np.abs(a - z)
        part = _PART * np.where(gaps < 1, gaps, 1).mean(axis=1, keepdims=True)  # the nearer, the more of them matters
        s, _, error, _ = sharp.sums(both, pairs, np.maximum(np.tile(part, (2, 1)), _LEAST_PART), without=at)
        log = log1p(s)
        gap = twofold.add_any((log[0][:k], log[1][:k]), twofold.minus(twofold.cut(log, slice(k, None))))
        small = (s[0] > 0) & (s[0] < 2.0**-800)
        error = 1.01 * error / (1 + s[0]) + 2.0**-90 * log[0] + np.where(small, np.inf, FLOOR)
        left, right = pairs(row, column), pairs(row + k, column)
        y = twofold.add_any(right, twofold.minus(left))
        y = twofold.add_any(y, (gap[0][row, 0], gap[1][row, 0]))
        unsure = (error[:k] + error[k:])[row, 0] - 2.0**-98 * (left[0] + right[0])
        value = np.exp(left[0]) / (1 + s[0][row, 0]) * np.expm1(y[0])
        size = np.abs(y[0])
        sure = (size <= 1) & (2 * unsure <= (LOOSEST - 90 * U) * size) & (np.abs(value) >= LEAST)
        sure &= (left[0] >= -DEEPEST) & (right[0] >= -DEEPEST)
        here = rows[row[sure]], column[sure]
        sheet.hi[here], sheet.missing[here] = value[sure], False


def focal(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the gradient of (1 - p_t)^gamma·(-log p_t)·weight."""
    gamma = required(problem.loss).gamma
    rows, target, rest, log, power = of_target(problem, "e", sheet)
    here = np.arange(len(target.at))[:, None], target.at
    share = target.weight * float(problem.scale / Fraction(problem.temperature))
    ratio = gamma * sheet.hi[here] / (1 + rows.s) * log / rest
    slope = power * (1 + ratio) * share
    none = (rest == 0) | (share == 0)
    slope[none] = 0
    sheet.hi *= slope / (1 + rows.s)
    sheet.hi[here] = 0.0 - slope * rest
    sheet.hi += 0.0  # no -0
    sheet.missing[here] = False
    sheet.missing |= (np.abs(sheet.hi) < LEAST) & ~none
    sheet.missing |= rows.lost | target.wrong | target.own & rows.tiny | ~within(share)
    if not problem.logits.min() > -np.inf:  # or nan
        sheet.missing[(problem.logits == -np.inf) & ~(rows.lost | target.wrong)] = False
    sheet.bound = float(60 * gamma + 280) * U
