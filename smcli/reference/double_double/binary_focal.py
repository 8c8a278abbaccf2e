"""The focal loss of sigmoids and its gradient in pairs.

With S = σ(-|y|), G = σ(|y|), n = log1p(e^-|y|) = -log G and f = |y| + n = -log S, and c the label of the likely side, 1 - c
of the other: loss = c·S^γ·n + (1 - c)·G^γ·f; gradient = ±((1 - c)·G^γ(G + γ·S·f) - c·S^γ(S + γ·G·n)). Powers of whole γ
are products, and err by γ·(2 EXP + 44u²) as S and G do by 2 EXP + 35u² and γ - 1 products by 9u². Others are S^γ = e^(-γf),
G^γ = e^(-γn): γf is asked to be at most 2^12, so that it errs by 2^-90 and γ·EXP. For 0 <= c <= 1 only the gradient's
difference cancels. For c of 0 and 1 all is one term; then n errs by 2^-76 more, as does f, which is not smaller, and e^(-γn)
and e^(-γf) by γ·log 2 times that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import twofold
from smcli.reference.double_double.binary import ABSORBED, Side
from smcli.reference.double_double.elementary import NEAR, exponential, log1p, log1p_unit
from smcli.reference.double_double.focal import focal as of_targets
from smcli.reference.double_double.functions import WHOLE, product, scaled_exp
from smcli.reference.double_double.functions import power as raise_to
from smcli.reference.double_double.reduce import DIFFERENCE, LOOSE, SMALL, exp_error, pool_for
from smcli.reference.double_double.sigmoid import large_side, plain_of, sides
from smcli.reference.double_double.twofold import choose, minus, paired, scaled, without
from smcli.reference.tiles import PIECE, tiles

if TYPE_CHECKING:
    from smcli.model import IntArray, Loss, Problem
    from smcli.reference.double_double.twofold import Factor, Pair
    from smcli.reference.tiles import Sheet, Tile

_FAR = 2.0**12
_PLAIN = 2  # a power of what is at least e^-176 that needs no exponent


def _times(a: Pair, factor: float) -> Pair:
    if factor in {1, 2}:
        return a[0] * factor, a[1] * factor
    return twofold.mul(a, paired(np.full_like(a[0], factor)))


def _scaled(a: Pair, k: IntArray) -> Pair:
    shift = np.clip(k, -3000, 3000).astype(np.int32)
    return np.ldexp(a[0], shift), np.ldexp(a[1], shift)


def _is_whole(gamma: float) -> bool:
    return gamma == int(gamma) <= WHOLE


def _decayed(z: Pair) -> tuple[Pair, IntArray | None]:
    """(pair, k) with e^z = pair·2^k for -2^20 <= z <= 0; None for a k of 0."""
    if float(z[0].min()) < -NEAR:
        return scaled_exp(z)
    hi, lo = np.empty_like(z[0]), np.empty_like(z[0])
    exponential(z, hi, lo, np.empty(hi.shape, np.int64), [np.empty_like(hi) for _ in range(5)])
    return (hi, lo), None


def focal(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the focal loss of each logit, or [R, 1] with that of the targets."""
    if problem.loss is not None and problem.loss.labels is not None:
        fill(problem, sheet)
    else:
        of_targets(problem, sheet)


def fill(problem: Problem, sheet: Sheet, factor: Factor | None = None) -> None:
    """Fill the sheet [R, C] with the loss of each logit, or with its derivative by the capped logit times a factor."""
    loss = required(problem.loss)
    labels = required(loss.labels)
    noise = (loss.gamma + 2) * (2 * exp_error(problem) + 2.0**-89)
    if loss.weights is None and bool(((labels == 0) | (labels == 1)).all()):
        noise += (1 if _is_whole(loss.gamma) else 1 + loss.gamma) * 2.0**-76
        sheet.bound = DIFFERENCE if noise <= 0.9 * DIFFERENCE else LOOSE
        _hard(problem, loss, sheet, factor)
    else:
        sheet.bound = DIFFERENCE
        _soft(problem, loss, sheet, factor, noise)
    if factor is not None:
        sheet.shift(factor[2])
    if problem.softcap is not None:  # which a masked logit passes: it is no −cap
        sheet.missing |= problem.logits == -np.inf


def _hard(problem: Problem, loss: Loss, sheet: Sheet, factor: Factor | None) -> None:
    """For labels that are 0 or 1: S^γ·n where the likely side is right, else G^γ·f, and their derivatives.

    With q and p for the sides of the power and the other one, and ℓ the logarithm, q^γ·ℓ and q^γ(q + γ·p·ℓ).
    """
    gamma, whole, labels = loss.gamma, _is_whole(loss.gamma), required(loss.labels)
    for tile, positive, size, e, k, wild in sides(problem):
        right = (labels[tile] != 0) == positive
        decay = plain = plain_of(e, k)
        near = log1p_unit(plain)
        log, wide = twofold.add(without(right, size), near), np.zeros_like(right)
        shift: IntArray | None = None
        if k is not None:  # what is below all floats keeps its exponent: S and n, where they are factors
            absorbed = k < ABSORBED
            decay, shift = choose(absorbed, e, plain), np.where(absorbed & right, k, 0)
            log = choose(right, choose(absorbed, e, near), log)
        large = small = q = log
        if whole or factor is not None:
            large = large_side(plain)
            small = twofold.mul_loosely(decay, large)
            q = choose(right, small, large)
        if whole:
            raised, power = _product(q, int(gamma), plain=k is None)
        else:
            other = twofold.add(without(~right, size), near)
            wide = ~(gamma * other[0] < _FAR)
            if wide.any():
                other = without(wide, other)
            raised, power = _decayed(minus(_times(other, gamma)))
        if factor is not None:
            p = choose(right, large, small if k is None else twofold.mul(plain, large))
            log = twofold.add(q, _times(twofold.mul_loosely(p, log), gamma))
        value = twofold.mul(raised, log)
        if factor is not None:
            sign = 1 - 2 * labels[tile]
            value = scaled((sign * value[0], sign * value[1]), factor)
        sheet.hi[tile], sheet.lo[tile] = value
        _keep_exponents(sheet, tile, power, None if shift is None else shift * (int(gamma) + 1 if whole else 1))
        sheet.missing[tile] = wild & right | ~np.isfinite(size[0]) | wide


def _product(q: Pair, gamma: int, *, plain: bool) -> tuple[Pair, IntArray | None]:
    return (product(q, gamma), None) if plain and gamma <= _PLAIN else raise_to(q, gamma)


def _keep_exponents(sheet: Sheet, tile: Tile, *exponents: IntArray | None) -> None:
    for exponent in exponents:
        if exponent is not None:
            sheet.exponents()[tile] += exponent


def _soft(problem: Problem, loss: Loss, sheet: Sheet, factor: Factor | None, noise: float) -> None:
    """For other labels: the difference of both terms."""
    pool, gamma = pool_for(problem.logits), loss.gamma
    for tile in tiles(problem.logits.shape, PIECE):
        side = Side(problem, loss, tile, pool.cut(problem.logits[tile]))
        zero = np.zeros_like(side.decay[0])
        k = np.where(side.absorbed, side.k, 0)
        decay = choose(side.absorbed, side.e, side.decay)
        near = choose(side.absorbed, side.e, log1p(choose(side.absorbed, (zero, zero), side.decay)))
        plain_near = _scaled(near, k)
        far = twofold.add(side.size, plain_near)
        large = twofold.div(paired(zero + 1), twofold.add(paired(zero + 1), side.decay))
        small = twofold.mul(decay, large)
        one_less = side.slope  # 1 - c of the likely side
        likely = choose(side.positive, side.label, twofold.add_any(paired(zero + 1), minus(side.label)))
        wide = ~(gamma * far[0] < _FAR)
        if gamma == int(gamma) <= WHOLE:
            (raised, power), (upper, up) = raise_to(small, gamma), raise_to(large, gamma)
            power += k * int(gamma)
        else:
            raised, power = scaled_exp(minus(choose(wide, (zero, zero), _times(far, gamma))))
            upper, up = scaled_exp(minus(choose(wide, (zero, zero), _times(plain_near, gamma))))
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
        value = choose(alone, own, value)
        if factor is not None:
            value = scaled(value, factor)
        sheet.hi[tile], sheet.lo[tile] = value
        shift = np.where(alone, k + power, 0)
        if shift.any():
            sheet.exponents()[tile] = shift
        sheet.missing[tile] = np.where(alone, side.wild | ~(likely[0] == 1), loose) | side.wrong | wide
