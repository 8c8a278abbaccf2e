"""The gradient of the cross-entropy and the Jacobian of softmax in pairs."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.double_double.reduce import complement, paired, plain, pool_for, reduce, tidy, times
from smcli.reference.double_double.soft_labels import soft_gradient
from smcli.reference.losses import hard_target, is_hard
from smcli.reference.tiles import BLOCK, Sheet

if TYPE_CHECKING:
    from smcli.model import Loss, Problem


def gradient(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the gradient of the cross-entropy."""
    loss = problem.loss
    assert loss is not None  # noqa: S101 - see _supported
    factor = twofold.of_fraction(problem.scale / Fraction(problem.temperature))
    if not is_hard(loss):
        soft_gradient(problem, loss, sheet, factor)
    else:
        _hard_gradient(problem, loss, sheet, factor)
    tidy(sheet)


def _hard_gradient(problem: Problem, loss: Loss, sheet: Sheet, factor: tuple[float, float, int]) -> None:
    pool = pool_for(problem.logits)
    rows = reduce(problem, pool, sheet)
    at, weight, wrong = hard_target(problem, loss)
    mantissa, exponent = np.frexp(weight)
    share = twofold.mul(rows.reciprocal(), twofold.mul(paired(mantissa), (np.array(factor[0]), np.array(factor[1]))))
    here = np.arange(len(at))[:, None], at
    own = at == rows.at
    rest = twofold.mul(complement(own, rows.s, plain(sheet, here)), share)
    times(sheet, share, pool)
    sheet.hi[here], sheet.lo[here], sheet.exp2[here] = -rest[0], -rest[1], 0
    sheet.exp2 += exponent + factor[2]
    sheet.missing[here] = own & rows.tiny
    sheet.missing |= rows.undefined | wrong


def jacobian(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C·C] with p_i (δ_ij - p_j)."""
    x = problem.logits
    columns = x.shape[1]
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    rows = reduce(problem, pool, soft)
    own = rows.at == np.arange(columns)
    g = rows.reciprocal()
    rest = twofold.mul(complement(own, rows.s, plain(soft, (slice(None), slice(None)))), g)
    times(soft, g, pool)
    cube = sheet.shaped((len(x), columns, columns))
    step = max(1, BLOCK // columns**2)
    for r in (slice(row, row + step) for row in range(0, x.shape[0], step)):
        hi, lo = twofold.mul(
            (soft.hi[r, :, None], soft.lo[r, :, None]),
            (soft.hi[r, None, :], soft.lo[r, None, :]),
        )
        cube.hi[r], cube.lo[r] = -hi, -lo
        cube.exp2[r] = soft.exp2[r, :, None] + soft.exp2[r, None, :]
        cube.missing[r] = soft.missing[r, :, None] | soft.missing[r, None, :] | rows.undefined[r, None]
    i = np.arange(columns)
    cube.hi[:, i, i], cube.lo[:, i, i] = twofold.mul((soft.hi, soft.lo), rest)
    cube.exp2[:, i, i] = soft.exp2
    cube.missing[:, i, i] |= own & rows.tiny
    tidy(cube)
