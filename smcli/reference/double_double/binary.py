"""Binary cross-entropy, softplus(y) - y·c of each logit alone, and its gradient in pairs.

With e = e^-|y| and slope = c for y <= 0, 1 - c for y > 0, the loss is |y|·slope + log1p(e) and its derivative by y is
±(slope - e/(1 + e)). |y| has 13u² or the cap's error, c has 40u² where it is not exact, 1 - c 4u² more, so that slope errs
absolutely by 2^-99·c + 4u²·slope. log1p(e) and e/(1 + e) are right to EXP and 2^-93 or 30u². Terms of one sign, as they
are for 0 <= c <= 1, leave the loss within BOUND; else, and for the derivative, what cancels too much is left open.
Where the slope is 0 and e below 2^-120, e itself is the value, with its exponent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.elementary import log1p
from smcli.reference.double_double.reduce import BOUND, DIFFERENCE, SMALL, exp_error, exponentials, pool_for, reach
from smcli.reference.double_double.soft_labels import coefficients
from smcli.reference.double_double.twofold import choose, minus, paired, significand, without
from smcli.reference.tiles import PIECE, tiles

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, IntArray, Loss, Problem
    from smcli.reference.double_double.twofold import Factor, Pair
    from smcli.reference.tiles import Sheet, Tile

ABSORBED = -120  # e^-|y| is below 2^-120: log(1 + e^-|y|) and e^-|y|/(1 + e^-|y|) are e^-|y| itself
_SPAN = 2.0**400


class Side:
    """What the losses of a tile are made of.

    Attributes:
        size: |y| as pairs.
        e, k: e^-|y| = e·2^k.
        decay: the same without exponent, 0 below 2^-1022.
        slope: the derivative of the loss far from 0: c for y <= 0, 1 - c for y > 0; `unsure`, its absolute error.
        wrong: logits and labels that are left to a higher tier.
    """

    def __init__(self, problem: Problem, loss: Loss, tile: Tile, arrays: list[FloatArray]) -> None:
        x = problem.logits[tile]
        self.positive = x > 0
        self.size = magnitude(problem, x)
        arrays[0][...], arrays[1][...] = -self.size[0], -self.size[1]
        e, index = (arrays[2], arrays[3]), arrays[4].view(np.int64)
        k, wild = exponentials((arrays[0], arrays[1]), reach(problem), e, index, arrays[5:])
        self.e: Pair = e[0].copy(), e[1].copy()
        self.k: IntArray = np.zeros(x.shape, np.int64) if k is None else k
        self.wild: BoolArray = np.zeros(x.shape, bool) if wild is None else wild
        self.decay: Pair = np.empty_like(x), np.empty_like(x)
        twofold.scale(*self.e, self.k, self.decay, np.empty_like(x))
        self.absorbed = self.decay[0] < 2.0**ABSORBED
        c = coefficients(loss, problem.logits.shape[1], *tile)
        opposite = twofold.add_any(paired(np.ones_like(x)), minus(c))
        self.label = c
        self.slope: Pair = choose(self.positive, opposite, c)
        exact = loss.smoothing == 0 and loss.weights is None
        self.unsure = (0.0 if exact else 2.0**-99) * c[0] + 2.0**-104 * np.abs(self.slope[0])
        fit = (c[0] == 0) | (c[0] > 1 / _SPAN) & (c[0] < _SPAN)
        self.wrong: BoolArray = ~np.isfinite(x) | ~fit | ~np.isfinite(self.size[0])


def magnitude(problem: Problem, x: FloatArray) -> Pair:
    """|y| of some logits."""
    if problem.softcap is None:
        y = paired(np.abs(x))
        return y if problem.temperature == 1 else twofold.div(y, paired(np.array(problem.temperature)))
    y = twofold.add_any(softcap.raised(problem, x), paired(np.full_like(x, -problem.softcap)))
    sign = np.where(x > 0, 1.0, -1.0)
    return y[0] * sign, y[1] * sign


def bce(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with |y|·slope + log1p(e^-|y|), certified where that does not cancel."""
    loss = required(problem.loss)
    pool, exp, cap = pool_for(problem.logits), exp_error(problem), softcap.error(problem)
    for tile in tiles(problem.logits.shape, PIECE):
        side = Side(problem, loss, tile, pool.cut(problem.logits[tile]))
        straight = twofold.mul(side.size, side.slope)
        log = log1p(without(side.absorbed, side.decay))
        log = choose(side.absorbed, side.decay, log)
        value = twofold.add_any(straight, log)
        alone = side.absorbed & (side.slope[0] == 0)
        size = np.abs(value[0])
        unsure = (exp + 2.0**-92.9) * log[0] + side.size[0] * side.unsure
        unsure += (cap + 2.0**-101 * side.size[0]) * np.abs(side.slope[0])
        missing = ~(unsure + (side.wild | (log[0] < SMALL)) * SMALL <= BOUND * size) | (size < SMALL)
        sheet.hi[tile], sheet.lo[tile] = choose(alone, side.e, value)
        if side.k.any():
            sheet.exponents()[tile] = np.where(alone, side.k, 0)
        sheet.missing[tile] = np.where(alone, side.wild, missing) | side.wrong


def binary_gradient(problem: Problem, loss: Loss, sheet: Sheet, factor: Factor) -> None:
    """Fill the sheet [R, C] with the derivative by y: slope less e^-|y|/(1 + e^-|y|), with the sign of y."""
    pool, exp = pool_for(problem.logits), exp_error(problem)
    sheet.bound = DIFFERENCE
    for tile in tiles(problem.logits.shape, PIECE):
        side = Side(problem, loss, tile, pool.cut(problem.logits[tile]))
        one = paired(np.ones_like(side.decay[0]))
        share = twofold.div(one, twofold.add(one, side.decay))
        minor = twofold.mul(side.decay, share)
        value = twofold.add_any(side.slope, minus(minor))
        alone = side.slope[0] == 0
        unsure = (exp + 2.0**-98) * minor[0] + side.unsure + (side.wild | (minor[0] < SMALL)) * SMALL
        missing = ~(unsure <= 0.9 * DIFFERENCE * np.abs(value[0]))
        lone = twofold.mul(side.e, share)
        sign = np.where(side.positive, 1.0, -1.0)
        value = choose(alone, minus(lone), value)
        sheet.hi[tile], sheet.lo[tile] = twofold.mul((sign * value[0], sign * value[1]), significand(factor))
        if side.k.any():
            sheet.exponents()[tile] = np.where(alone, side.k, 0)
        sheet.missing[tile] = np.where(alone, side.wild, missing) | side.wrong
    sheet.shift(factor[2])
