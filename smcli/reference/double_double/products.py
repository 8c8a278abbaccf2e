"""Products with the Jacobians of log-softmax and logsumexp in pairs; EXP as in the tier's own bounds.

- log-softmax: v_i - p_i·Σv by 2 EXP·p|Σv|, for the maximum as (v_i - Σv) + (1 - p)·Σv.
- logsumexp: v·p_i, or with coefficients v·b_i·e^z/Σ, which errs by EXP and what the sum does.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.double_double.along import scale
from smcli.reference.double_double.functions import minus
from smcli.reference.double_double.reduce import (
    LOOSE,
    SMALL,
    by_logit,
    cut,
    exp_error,
    paired,
    plain,
    pool_for,
    reduce,
    tidy,
    times,
)
from smcli.reference.double_double.signed import signed_sum
from smcli.reference.tiles import BLOCK, PIECE, Sheet, tiles

if TYPE_CHECKING:
    from smcli.model import Problem


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
        sheet.hi[tile], sheet.lo[tile] = twofold.mul(value, scale(factor))
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
        times(sheet, twofold.mul(rows.reciprocal(), scale(factor)), pool)
        sheet.missing |= rows.undefined
    else:
        rows, value, unsure, lost = signed_sum(problem, sheet)
        one = paired(np.ones_like(value[0]))
        share = twofold.mul(twofold.div(one, value), scale(factor))
        for r, c in tiles(problem.logits.shape, BLOCK):
            weight = twofold.mul(cut(share, r), paired(b[None, c]))
            sheet.hi[r, c], sheet.lo[r, c] = twofold.mul((sheet.hi[r, c], sheet.lo[r, c]), weight)
        sheet.missing &= b[None, :] != 0
        sheet.missing |= lost | ~(unsure + 2.0**-85 * np.abs(value[0]) <= 0.5 * LOOSE * np.abs(value[0]))
        sheet.bound = LOOSE
    sheet.shift(factor[2])
    by_logit(problem, sheet)
    tidy(sheet)
