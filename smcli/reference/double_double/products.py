"""Products with the Jacobians of log-softmax and logsumexp in pairs; EXP as in the tier's own bounds.

- log-softmax: v_i - p_i·Σv by 2 EXP·p|Σv|, for the maximum as (v_i - Σv) + (1 - p)·Σv.
- logsumexp: v·p_i, or with coefficients v·b_i·e^z/Σ, which errs by EXP and what the sum does.
"""

from __future__ import annotations

from fractions import Fraction
from math import fsum
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import twofold
from smcli.reference.double_double.reduce import (
    LOOSE,
    by_logit,
    exp_error,
    is_loose,
    plain,
    pool_for,
    reduce,
    tidy,
    times,
)
from smcli.reference.double_double.signed import signed_sum
from smcli.reference.double_double.twofold import cut, minus, paired, scaled, significand
from smcli.reference.tiles import BLOCK, PIECE, Sheet, tiles

if TYPE_CHECKING:
    from smcli.model import Problem
    from smcli.reference.double_double.twofold import Pair

_LARGE = 2.0**900  # of a sum of cotangents: products of what is beyond may overflow


def log_vjp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with v_i - p_i·Σv, divided by the temperature."""
    x, v = problem.logits, required(problem.cotangent)
    sheet.bound = LOOSE
    pool = pool_for(x)
    rows = reduce(problem, pool, sheet)
    numbers = v.tolist()
    if float(np.abs(v).max()) > _LARGE / len(numbers):
        sheet.missing[...] = True
        return
    whole = fsum(numbers)
    growth: Pair = np.array(whole), np.array(fsum([*numbers, -whole]))
    g, noise = rows.reciprocal(), 2 * exp_error(problem) + 2.0**-98
    share, off = twofold.mul(g, minus(growth)), 2.0**-104 * abs(whole)
    zeros = v == 0
    lone = zeros.any() or sheet.has_exponents
    for r, c in tiles(x.shape, PIECE):
        tile = r, c
        take = twofold.mul(plain(sheet, tile), cut(share, r))
        high, low = twofold.two_sum(np.broadcast_to(v[None, c], x[tile].shape), take[0])
        low += take[1]
        high, low = twofold.fast_two_sum(high, low)
        missing = is_loose(noise * np.abs(take[0]) + off, high)
        if lone:
            alone = zeros[None, c]
            own = twofold.mul((sheet.hi[tile], sheet.lo[tile]), cut(share, r))
            none = alone & ((x[tile] == -np.inf) | (growth[0] == 0))
            high, low = np.where(alone, own[0], high), np.where(alone, own[1], low)
            high, low = np.where(none, 0.0, high), np.where(none, 0.0, low)
            missing = np.where(alone, sheet.missing[tile] & ~none, missing)
            if sheet.has_exponents:
                np.copyto(sheet.exp2[tile], 0, where=~alone)
        sheet.hi[tile], sheet.lo[tile] = high, low
        sheet.missing[tile] = missing
    at = np.arange(len(x))[:, None], rows.at
    rest = twofold.mul(twofold.mul(rows.s, g), growth)
    top = twofold.add_any(twofold.two_sum(v[rows.at], -growth[0]), (rest[0], rest[1] - growth[1]))
    sheet.hi[at], sheet.lo[at] = top
    sheet.missing[at] = is_loose(noise * np.abs(rest[0]) + off, top[0]) | rows.tiny
    sheet.drop_exponents(at)
    factor = twofold.of_fraction(1 / Fraction(problem.temperature))
    sheet.hi[...], sheet.lo[...] = scaled((sheet.hi, sheet.lo), factor)
    sheet.shift(factor[2])
    sheet.missing |= rows.undefined
    by_logit(problem, sheet)
    tidy(sheet)


def sum_vjp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with v·p_i, or with v·b_i e^x_i/Σ b e^x, divided by the temperature."""
    v, b = required(problem.cotangent), problem.coefficients
    pool = pool_for(problem.logits)
    factor = twofold.of_fraction(Fraction(float(v[0])) / Fraction(problem.temperature))
    if b is None:
        rows = reduce(problem, pool, sheet)
        times(sheet, twofold.mul(rows.reciprocal(), significand(factor)), pool)
        sheet.missing |= rows.undefined
    else:
        rows, value, unsure, lost = signed_sum(problem, sheet)
        one = paired(np.ones_like(value[0]))
        share = twofold.mul(twofold.div(one, value), significand(factor))
        for r, c in tiles(problem.logits.shape, BLOCK):
            weight = twofold.mul(cut(share, r), paired(b[None, c]))
            sheet.hi[r, c], sheet.lo[r, c] = twofold.mul((sheet.hi[r, c], sheet.lo[r, c]), weight)
        sheet.missing &= b[None, :] != 0
        sheet.missing |= lost | ~(unsure + 2.0**-85 * np.abs(value[0]) <= 0.5 * LOOSE * np.abs(value[0]))
        sheet.bound = LOOSE
    sheet.shift(factor[2])
    by_logit(problem, sheet)
    tidy(sheet)
