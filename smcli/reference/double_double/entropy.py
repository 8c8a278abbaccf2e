"""Entropy and its gradient in pairs; EXP and A as in the tier's own bounds.

- entropy = log1p(s) + Σ e^z|z|/(1 + s), all terms >= 0; z errs by A or 13u², and Σ e^z·A/(1 + s) <= A·log1p(s):
  2 EXP + A + 2^-95. Rows that are tiny are left open.
- its gradient: p_i·(|z_i| - Σ p|z|), see `along`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.along import FLOOR, along, unknown
from smcli.reference.double_double.elementary import log1p
from smcli.reference.double_double.reduce import LOOSE, Rows, exp_error, plain, pool_for, reduce, shift
from smcli.reference.double_double.total import Total
from smcli.reference.double_double.twofold import cut, minus
from smcli.reference.tiles import PIECE, Pool, Sheet, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import FloatArray, Problem
    from smcli.reference.double_double.twofold import Factor, Pair
    from smcli.reference.tiles import Tile


def weighted(
    problem: Problem, pool: Pool, rows: Rows, soft: Sheet
) -> Iterator[tuple[Tile, Pair, Pair, list[FloatArray]]]:
    """Tile by tile: the tile, its z, its e^z without exponent, and nine spare arrays."""
    x = problem.logits
    for r, c in tiles(x.shape, PIECE):
        arrays = pool.cut(x[r, c])
        z = shift(problem, pool.load(x[r, c], arrays[3]), cut(rows.top, r), arrays)
        yield (r, c), (z[0], z[1]), plain(soft, (r, c)), arrays[2:]


def moment(problem: Problem, pool: Pool, rows: Rows, soft: Sheet) -> Pair:
    """Σ e^z·|z| of every row [R, 1]."""
    total = Total(len(problem.logits))
    for tile, z, e, arrays in weighted(problem, pool, rows, soft):
        hi, lo = twofold.mul(e, minus(z))
        gone = e[0] == 0
        if gone.any():
            hi[gone] = lo[gone] = 0
        total.put(tile, problem.logits.shape[1], (hi, lo), arrays)
    return total.hi, total.lo


def entropy(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with log1p(s) + Σ e^z|z|/(1 + s)."""
    pool, soft = pool_for(problem.logits), Sheet.of_pairs(problem.logits.shape)
    rows = reduce(problem, pool, soft)
    spread = twofold.mul(moment(problem, pool, rows, soft), rows.reciprocal())
    sheet.hi[...], sheet.lo[...] = twofold.add(log1p(rows.s), spread)
    sheet.missing[...] = rows.undefined | rows.tiny
    if problem.softcap is not None:
        sheet.bound = 2.0**-84


def gradient(problem: Problem, sheet: Sheet, factor: Factor) -> None:
    """Fill the sheet [R, C] with p_i·(|z_i| - Σ p|z|), times the factor."""
    x = problem.logits
    sheet.bound = LOOSE
    pool = pool_for(x)
    rows = reduce(problem, pool, sheet)
    mean = twofold.mul(moment(problem, pool, rows, sheet), rows.reciprocal())
    cap = softcap.error(problem)

    unsure = (2 * exp_error(problem) + 2.0**-96) * mean[0] + 4 * cap + rows.tiny * unknown(mean)
    unsure += ((x < rows.m) & (x > -np.inf)).any(axis=1, keepdims=True) * FLOOR
    along(problem, sheet, rows, mean, unsure, _directions(problem, pool, rows, cap), factor)


def _directions(problem: Problem, pool: Pool, rows: Rows, cap: float) -> Iterator[tuple[Pair, FloatArray]]:
    x = problem.logits
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        z = shift(problem, pool.load(x[tile], arrays[3]), cut(rows.top, tile[0]), arrays)
        yield minus((z[0], z[1])), 2 * cap + 2.0**-102 * np.abs(z[0])
