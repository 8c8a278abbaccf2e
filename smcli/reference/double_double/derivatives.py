"""The gradient of the cross-entropy, the Jacobian of softmax and its product with a vector in pairs."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import binary_focal, divergence_gradients, entropy, focal, products, twofold
from smcli.reference.double_double.binary import binary_gradient
from smcli.reference.double_double.reduce import (
    LOOSE,
    TINY,
    by_logit,
    complement,
    exp_error,
    plain,
    pool_for,
    reduce,
    tidy,
    times,
)
from smcli.reference.double_double.soft_labels import soft_gradient
from smcli.reference.double_double.total import Total
from smcli.reference.double_double.twofold import cut, minus, paired, significand
from smcli.reference.losses import hard_target, is_hard
from smcli.reference.tiles import BLOCK, PIECE, Sheet, tiles

if TYPE_CHECKING:
    from smcli.model import Loss, Problem
    from smcli.reference.double_double.twofold import Factor

_GRADIENTS = {"entropy": entropy.gradient, "kl": divergence_gradients.gradient, "focal": focal.gradient}
_SPAN = 2.0**100  # of the differences in a cotangent: sums of what underflows stay far below TINY


def gradient(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the gradient of the loss."""
    loss = required(problem.loss)
    factor = twofold.of_fraction(problem.scale / Fraction(problem.temperature))
    if loss.kind == "bce":
        binary_gradient(problem, loss, sheet, factor)
    elif loss.kind == "focal" and loss.labels is not None:
        binary_focal.fill(problem, sheet, factor)
    elif loss.kind != "cross-entropy":
        _GRADIENTS[loss.kind](problem, sheet, factor)
    elif loss.z_loss or not is_hard(loss):
        soft_gradient(problem, loss, sheet, factor)
    else:
        _hard_gradient(problem, loss, sheet, factor)
    by_logit(problem, sheet)
    tidy(sheet)


def _hard_gradient(problem: Problem, loss: Loss, sheet: Sheet, factor: Factor) -> None:
    pool = pool_for(problem.logits)
    rows = reduce(problem, pool, sheet)
    at, weight, wrong = hard_target(problem, loss)
    mantissa, exponent = np.frexp(weight)
    share = twofold.mul(rows.reciprocal(), twofold.mul(paired(mantissa), significand(factor)))
    exponent += np.clip(factor[2], -(2**20), 2**20)
    far = np.where(np.abs(exponent) > 64, exponent, 0)
    share = np.ldexp(share[0], exponent - far), np.ldexp(share[1], exponent - far)
    here = np.arange(len(at))[:, None], at
    own = at == rows.at
    rest = twofold.mul(complement(own, rows.s, plain(sheet, here)), share)
    times(sheet, share, pool)
    sheet.hi[here], sheet.lo[here] = -rest[0], -rest[1]
    sheet.drop_exponents(here)
    sheet.shift(far)
    sheet.missing[here] = own & rows.tiny
    sheet.missing |= rows.undefined | wrong


def jacobian(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C·C] with p_i (δ_ij - p_j), the derivative of p_i by logit j."""
    x = problem.logits
    columns = x.shape[1]
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    rows = reduce(problem, pool, soft)
    own = rows.at == np.arange(columns)
    g = rows.reciprocal()
    rest = twofold.mul(complement(own, rows.s, plain(soft, (slice(None), slice(None)))), g)
    times(soft, g, pool)
    by = Sheet(soft.hi.copy(), soft.lo.copy(), soft.exp2.copy(), soft.missing.copy())  # p_j, times what is inside
    by_logit(problem, by)
    factor = twofold.of_fraction(1 / Fraction(problem.temperature))
    by.hi, by.lo = twofold.mul((by.hi, by.lo), significand(factor))
    by.shift(factor[2])
    cube = sheet.shaped((len(x), columns, columns))
    step = max(1, BLOCK // columns**2)
    for r in (slice(row, row + step) for row in range(0, x.shape[0], step)):
        hi, lo = twofold.mul((soft.hi[r, :, None], soft.lo[r, :, None]), (by.hi[r, None, :], by.lo[r, None, :]))
        cube.hi[r], cube.lo[r] = -hi, -lo
        cube.exp2[r] = soft.exp2[r, :, None] + by.exp2[r, None, :]
        cube.missing[r] = soft.missing[r, :, None] | by.missing[r, None, :] | rows.undefined[r, None]
    i = np.arange(columns)
    cube.hi[:, i, i], cube.lo[:, i, i] = twofold.mul((by.hi, by.lo), rest)
    cube.exp2[:, i, i] = by.exp2
    cube.missing[:, i, i] |= own & rows.tiny
    tidy(cube)
    if problem.softcap is not None:
        sheet.bound = 2.0**-84


def vjp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with p_i (d_i - Σ p_j d_j), d_j = v_j - v at the maximum: certified unless that cancels."""
    if problem.vjp_of != "softmax":
        (products.log_vjp if problem.vjp_of == "log-softmax" else products.sum_vjp)(problem, sheet)
        return
    x = problem.logits
    v = required(problem.cotangent)
    sheet.bound = LOOSE
    pool = pool_for(x)
    rows = reduce(problem, pool, sheet)
    d = twofold.two_sum(v[None, :], -v[rows.at])
    above, below = Total(x.shape[0]), Total(x.shape[0])
    for r, c in tiles(x.shape, PIECE):
        arrays = pool.cut(x[r, c])
        weighted = twofold.mul(plain(sheet, (r, c)), (d[0][r, c], d[1][r, c]))
        for total, sign in ((above, 1.0), (below, -1.0)):
            kept = np.signbit(weighted[0]) == (sign < 0)
            for part, out in zip(weighted, arrays[:2], strict=True):
                np.multiply(part, sign * kept, out)
            total.take((r, c), x.shape[1], (arrays[0], arrays[1]), arrays[2:])
    g = rows.reciprocal()
    up, down = (twofold.mul((total.hi, total.lo), g) for total in (above, below))
    mean = twofold.add_any(up, minus(down))
    unsure = (2 * exp_error(problem) + 2.0**-96) * (up[0] + down[0])
    lost = rows.undefined | ~np.isfinite(mean[0]) | ~(np.abs(d[0]).max(axis=1, keepdims=True) < _SPAN)
    lost |= np.where(d[0] != 0, np.abs(d[0]), 1).min(axis=1, keepdims=True) < 1 / _SPAN
    times(sheet, g, pool)
    factor = twofold.of_fraction(1 / Fraction(problem.temperature))
    for tile in tiles(x.shape, PIECE):
        r = tile[0]
        value = twofold.add_any((d[0][tile], d[1][tile]), minus(cut(mean, r)))
        loose = ~(unsure[r] + 2.0**-104 * np.abs(mean[0][r]) <= 0.9 * LOOSE * np.abs(value[0]))
        sheet.missing[tile] |= loose | rows.tiny[r] | (np.abs(value[0]) < TINY)
        value = twofold.mul(value, significand(factor))
        sheet.hi[tile], sheet.lo[tile] = twofold.mul((sheet.hi[tile], sheet.lo[tile]), value)
    sheet.shift(factor[2])
    sheet.missing |= lost
    sheet.missing[(x == -np.inf) & ~lost] = False
    by_logit(problem, sheet)
    tidy(sheet)
