"""The focal loss of a target and its gradient in pairs; EXP and A as in the tier's own bounds.

- focal = (1 - p_t)^γ·(-log p_t): γ times the 2 EXP of 1 - p_t, and LOG + A/log 2. Powers of whole γ are products, others
  e^(γ·log q) with log q to an absolute 2^-91.
- its gradient: A·p_i and -A·(1 - p_t), A = q^γ·(1 + γ·p_t·(-log p_t)/q): no sum cancels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.elementary import log1p
from smcli.reference.double_double.functions import power, scaled_exp
from smcli.reference.double_double.reduce import BOUND, Rows, complement, exp_error, pool_for, reduce, shift, times
from smcli.reference.double_double.twofold import minus, paired, significand, without
from smcli.reference.losses import hard_target

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Factor, Pair
    from smcli.reference.tiles import Sheet

MOST = 64.0  # exponents gamma beyond are left to integers
_SPAN = 2.0**100


def focal(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with (1 - p_t)^gamma·(-log p_t)·weight."""
    rows, (at, weight, wrong), q, log, _ = of_target(problem)
    gamma = required(problem.loss).gamma
    raised, k = power(q, gamma)
    value = twofold.mul(twofold.mul(raised, log), paired(weight))
    none = (weight == 0) | (log[0] == 0)
    sheet.hi[...], sheet.lo[...] = without(none, value)
    sheet.exponents()[...] = np.where(none, 0, k)
    sheet.missing[...] = rows.undefined | wrong | rows.tiny & (at == rows.at) | ~np.isfinite(value[1]) & ~none
    sheet.missing |= ~((weight == 0) | (np.abs(weight) > 1 / _SPAN) & (np.abs(weight) < _SPAN))
    sheet.bound = focal_error(problem, gamma)


def focal_error(problem: Problem, gamma: float) -> float:
    """gamma·(2 EXP + 2^-91) and (EXP + 2^-93 + A/log 2), the exponential and some products."""
    cap = softcap.error(problem)
    return float(max(BOUND, gamma * (2.1 * exp_error(problem) + 2.0**-91) + exp_error(problem) + 4 * cap + 2.0**-88))


def of_target(
    problem: Problem, sheet: Sheet | None = None
) -> tuple[Rows, tuple[IntArray, FloatArray, BoolArray], Pair, Pair, Pair]:
    """What is known of every row, of its target, and of that 1 - p, -log p and p, [R, 1] each."""
    rows = reduce(problem, pool_for(problem.logits), sheet)
    at, weight, wrong = hard_target(problem, required(problem.loss))
    x = np.take_along_axis(problem.logits, at, axis=1)
    z = shift(problem, x, rows.top, [np.empty_like(x) for _ in range(3)])
    log = twofold.add(log1p(rows.s), minus((z[0], z[1])))
    near = np.where(z[0] < -700, -700, z[0]), np.where(z[0] < -700, 0, z[1])
    hi, k = scaled_exp(near)
    far = z[0] < -700  # p and γ·p·log p are nothing beside 1 there, however large the logarithm
    e = np.where(far, 0, np.ldexp(hi[0], k)), np.where(far, 0, np.ldexp(hi[1], k))
    g = rows.reciprocal()
    return rows, (at, weight, wrong), twofold.mul(complement(at == rows.at, rows.s, e), g), log, twofold.mul(e, g)


def gradient(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    """Fill the sheet [R, C] with A·p_i, and -A·(1 - p_t) at the target, times the factor."""
    gamma = required(problem.loss).gamma
    rows, (at, weight, wrong), q, log, p = of_target(problem, sheet)
    raised, k = power(q, gamma)
    mantissa, exponent = np.frexp(weight)
    raised = twofold.mul(raised, twofold.mul(paired(mantissa), significand(factor)))
    ratio = twofold.div(twofold.mul(twofold.mul(p, log), paired(np.full_like(log[0], gamma))), q)
    slope = twofold.mul(raised, twofold.add(paired(np.ones_like(q[0])), ratio))
    none = (q[0] == 0) | (weight == 0)
    slope = without(none, slope)
    pull = twofold.mul(slope, q)
    times(sheet, twofold.mul(rows.reciprocal(), slope), pool_for(problem.logits))
    here = np.arange(len(at))[:, None], at
    sheet.hi[here], sheet.lo[here] = -pull[0], -pull[1]
    sheet.drop_exponents(here)
    sheet.missing[here] = False
    sheet.shift(k + exponent + factor[2])
    sheet.missing |= rows.undefined | wrong | rows.tiny & (at == rows.at) | ~np.isfinite(slope[1])
    sheet.bound = focal_error(problem, gamma) + 2 * BOUND
