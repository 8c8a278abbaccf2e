"""The focal loss of sigmoids and its gradient in pairs.

With S = σ(-|y|), G = σ(|y|), n = log1p(e^-|y|) = -log G and f = |y| + n = -log S, and c the label of the likely side, 1 - c
of the other: loss = c·S^γ·n + (1 - c)·G^γ·f; gradient = ±((1 - c)·G^γ(G + γ·S·f) - c·S^γ(S + γ·G·n)). Powers of whole γ
are products, and err by γ·(2 EXP + 44u²) as S and G do by 2 EXP + 35u² and γ - 1 products by 9u². Others are S^γ = e^(-γf),
G^γ = e^(-γn): γf is asked to be at most 2^12, so that it errs by 2^-90 and γ·EXP. For 0 <= c <= 1 only the gradient's
difference cancels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.double_double.binary import Side
from smcli.reference.double_double.elementary import log1p
from smcli.reference.double_double.focal import focal as of_targets
from smcli.reference.double_double.functions import WHOLE, minus, scaled_exp
from smcli.reference.double_double.functions import power as raise_to
from smcli.reference.double_double.reduce import DIFFERENCE, SMALL, exp_error, paired, pool_for
from smcli.reference.tiles import PIECE, tiles

if TYPE_CHECKING:
    from smcli.model import BoolArray, IntArray, Loss, Problem
    from smcli.reference.double_double.twofold import Pair
    from smcli.reference.tiles import Sheet

_FAR = 2.0**12


def _where(condition: BoolArray, a: Pair, b: Pair) -> Pair:
    return np.where(condition, a[0], b[0]), np.where(condition, a[1], b[1])


def _times(a: Pair, factor: float) -> Pair:
    return twofold.mul(a, paired(np.full_like(a[0], factor)))


def _scaled(a: Pair, k: IntArray) -> Pair:
    shift = np.clip(k, -3000, 3000).astype(np.int32)
    return np.ldexp(a[0], shift), np.ldexp(a[1], shift)


def focal(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the focal loss of each logit, or [R, 1] with that of the targets."""
    if problem.loss is not None and problem.loss.labels is not None:
        fill(problem, sheet)
    else:
        of_targets(problem, sheet)


def fill(problem: Problem, sheet: Sheet, factor: tuple[float, float, int] | None = None) -> None:
    """Fill the sheet [R, C] with the loss of each logit, or with its derivative by the capped logit times a factor."""
    loss: Loss | None = problem.loss
    assert loss is not None  # noqa: S101 - the tier asks first
    pool, gamma = pool_for(problem.logits), loss.gamma
    sheet.bound = DIFFERENCE
    noise = (gamma + 2) * (2 * exp_error(problem) + 2.0**-89)
    for tile in tiles(problem.logits.shape, PIECE):
        side = Side(problem, loss, tile, pool.cut(problem.logits[tile]))
        zero = np.zeros_like(side.decay[0])
        k = np.where(side.absorbed, side.k, 0)
        decay = _where(side.absorbed, side.e, side.decay)
        near = _where(side.absorbed, side.e, log1p(_where(side.absorbed, (zero, zero), side.decay)))
        plain_near = _scaled(near, k)
        far = twofold.add(side.size, plain_near)
        large = twofold.div(paired(zero + 1), twofold.add(paired(zero + 1), side.decay))
        small = twofold.mul(decay, large)
        one_less = side.slope  # 1 - c of the likely side
        likely = _where(side.positive, side.label, twofold.add_any(paired(zero + 1), minus(side.label)))
        wide = ~(gamma * far[0] < _FAR)
        if gamma == int(gamma) <= WHOLE:
            (raised, power), (upper, up) = raise_to(small, gamma), raise_to(large, gamma)
            power += k * int(gamma)
        else:
            raised, power = scaled_exp(minus(_where(wide, (zero, zero), _times(far, gamma))))
            upper, up = scaled_exp(minus(_where(wide, (zero, zero), _times(plain_near, gamma))))
        upper = _scaled(upper, up)
        if factor is None:
            own, other = near, far
        else:
            own = twofold.add(small, _times(twofold.mul(large, near), gamma))
            other = twofold.add(large, _times(twofold.mul(_scaled(small, k), far), gamma))
        own = twofold.mul(twofold.mul(raised, own), likely)
        other = twofold.mul(twofold.mul(upper, other), one_less)
        alone = one_less[0] == 0
        plain = _scaled(own, k + power)
        value = twofold.add_any(other, plain if factor is None else minus(plain))
        sizes = np.abs(other[0]) + np.abs(plain[0])
        unsure = noise * sizes + side.unsure * (1 + gamma) * (1 + far[0])
        loose = ~(unsure <= 0.9 * DIFFERENCE * np.abs(value[0])) | (np.abs(value[0]) < SMALL)
        if factor is not None:
            sign = np.where(side.positive, 1.0, -1.0)
            own = -sign * own[0], -sign * own[1]
            value = sign * value[0], sign * value[1]
        value = _where(alone, own, value)
        if factor is not None:
            value = twofold.mul(value, (np.array(factor[0]), np.array(factor[1])))
        sheet.hi[tile], sheet.lo[tile] = value
        shift = np.where(alone, k + power, 0)
        if shift.any():
            sheet.exponents()[tile] = shift
        sheet.missing[tile] = np.where(alone, side.wild | ~(likely[0] == 1), loose) | side.wrong | wide
    if factor is not None:
        sheet.shift(factor[2])
