"""Products of the Jacobian of softmax with a direction, p_i·(d_i - Σ p_j·d_j), in pairs.

The second factor errs by 2 EXP·Σ p|d| and what d and two sums of 4u² of their parts do: certified where that is within
LOOSE of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.double_double.reduce import LOOSE, SMALL, Rows, pool_for
from smcli.reference.double_double.twofold import cut, minus, significand, without
from smcli.reference.tiles import PIECE, tiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.model import FloatArray, Problem
    from smcli.reference.double_double.twofold import Factor, Pair
    from smcli.reference.tiles import Sheet

FLOOR = 2.0**-880  # what a sum of terms loses that are cut below 2^-1022, or their low parts below 2^-969
HUGE = 2.0**990  # beyond it no pair can be multiplied


def unknown(mean: Pair) -> FloatArray:
    """What is not known of the sums of tiny rows: all of them."""
    return np.abs(mean[0]) + 2.0**-700


def along(
    problem: Problem,
    sheet: Sheet,
    rows: Rows,
    mean: Pair,
    unsure: FloatArray,
    directions: Iterable[tuple[Pair, FloatArray]],
    factor: Factor,
) -> None:
    """Turn the e^z of the sheet into p·(direction - mean), of a direction and its error for each tile.

    `unsure` is the mean's error.
    """
    x, g = problem.logits, twofold.mul(rows.reciprocal(), significand(factor))
    pool, error = pool_for(x), unsure + 2.0**-104 * np.abs(mean[0])
    masked, level = not x.min() > -np.inf, (mean[0] == 0) & (unsure == 0)
    for (way, loose), tile in zip(directions, tiles(x.shape, PIECE), strict=True):
        r, arrays = tile[0], pool.cut(x[tile])
        inner = twofold.add(way, minus(cut(mean, r)))
        size = np.abs(inner[0])
        off = ~((loose + error[r] <= 0.9 * LOOSE * size) & (size >= SMALL) & (size < HUGE))
        flat = level[r] & (way[0] == 0) if level[r].any() else None
        weight = pool.load(sheet.hi[tile], arrays[0]), pool.load(sheet.lo[tile], arrays[1])
        value = twofold.mul(twofold.mul(weight, inner), cut(g, r))
        missing = sheet.missing[tile] | off
        if masked or flat is not None:
            gone = x[tile] == -np.inf
            nothing = gone if flat is None else gone | flat
            value = without(nothing, value)
            missing &= ~nothing
        sheet.hi[tile], sheet.lo[tile] = value
        sheet.missing[tile] = missing
    sheet.shift(factor[2])
    sheet.missing |= rows.undefined
