"""Signed logsumexp in pairs.

m + log |V|, V = Σ b·e^z as a sum of positive terms less one of negative ones: certified where 2 EXP·Σ|b|e^z/|V| is within
LOOSE of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.functions import log_of
from smcli.reference.double_double.reduce import LOOSE, Rows, exp_error, plain, pool_for, reduce
from smcli.reference.double_double.total import Total
from smcli.reference.double_double.twofold import choose, minus, paired
from smcli.reference.tiles import PIECE, Sheet, tiles

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, Problem
    from smcli.reference.double_double.twofold import Pair

_SPAN = 2.0**100


def signed_sum(problem: Problem, sheet: Sheet | None = None) -> tuple[Rows, Pair, FloatArray, BoolArray]:
    """Σ b·e^z [R, 1] beside the rows: with its absolute error, and where it is not known at all."""
    b, x = required(problem.coefficients), problem.logits
    pool, soft = pool_for(x), sheet or Sheet.of_pairs(x.shape)
    rows = reduce(problem, pool, soft)
    total, whole, size = Total(len(x)), np.zeros((len(x), 1)), np.abs(b)
    for r, c in tiles(x.shape, PIECE):
        arrays = pool.cut(x[r, c])
        hi, lo = twofold.mul(plain(soft, (r, c)), paired(np.broadcast_to(b[None, c], x[r, c].shape)))
        whole[r] += total.put((r, c), x.shape[1], (hi, lo), arrays)
    value = twofold.two_sum(total.hi, total.lo)
    unsure = (exp_error(problem) + 2.0**-95) * whole
    inside = bool(np.isfinite(b).all()) and bool(((b == 0) | (size > 1 / _SPAN) & (size < _SPAN)).all())
    return rows, value, unsure, rows.undefined | (whole < 2.0**-600) | ~np.isfinite(whole) | (not inside)


def signed_logsumexp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with m + log |Σ b·e^z|, certified where nothing cancels too much."""
    rows, value, unsure, lost = signed_sum(problem)
    size = np.abs(value[0])
    absolute = choose(value[0] < 0, minus(value), value)
    peak = rows.peak(problem)
    result = twofold.add_any(peak, log_of(absolute))
    error = 1.01 * unsure / size + 2.0**-90 + 2.0**-100 * np.abs(peak[0]) + softcap.error(problem)
    sheet.bound = LOOSE
    sheet.hi[...], sheet.lo[...] = result
    sheet.missing[...] = lost | ~(unsure < 2.0**-20 * size) | ~(error <= LOOSE * np.abs(result[0]))


def signs(problem: Problem) -> tuple[FloatArray, BoolArray]:
    """The sign of Σ b·e^z [R, 1], and where it is not certain."""
    with np.errstate(all="ignore"):
        _, value, unsure, lost = signed_sum(problem)
        return np.sign(value[0]), lost | ~(unsure < 0.5 * np.abs(value[0]))
