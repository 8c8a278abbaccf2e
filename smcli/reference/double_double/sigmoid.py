"""Sigmoid and its logarithm in pairs.

A quotient by 1 + e^-|y|, and |y| or 0 beside log1p(e^-|y|), as in `binary`: no sum cancels. Under a soft cap the logarithm
of y <= 0 errs by A/log 2 more, 2^-84; EXP and A as in the tier's own bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.double_double.binary import magnitude
from smcli.reference.double_double.elementary import log1p
from smcli.reference.double_double.reduce import exponentials, paired, pool_for, reach
from smcli.reference.tiles import PIECE, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair
    from smcli.reference.tiles import Sheet


def _sides(problem: Problem) -> Iterator[tuple[tuple[slice, slice], BoolArray, Pair, Pair, IntArray | None, BoolArray]]:
    """Tile by tile: y > 0, |y|, e^-|y| as pairs and the exponents of these, and which are not certified."""
    x = problem.logits
    pool, limit = pool_for(x), reach(problem)
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        size = magnitude(problem, x[tile])
        arrays[0][...], arrays[1][...] = -size[0], -size[1]
        out = arrays[2], arrays[3]
        k, wild = exponentials((arrays[0], arrays[1]), limit, out, arrays[4].view(np.int64), arrays[5:])
        yield tile, x[tile] > 0, size, out, k, np.zeros(x[tile].shape, bool) if wild is None else wild


def _plain(e: Pair, k: IntArray | None) -> Pair:
    if k is None:
        return e
    out = np.empty_like(e[0]), np.empty_like(e[0])
    twofold.scale(*e, k, out, np.empty_like(e[0]))
    return out


def sigmoid(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with 1/(1 + e^-|y|), or e^-|y|/(1 + e^-|y|)."""
    for tile, positive, _, e, k, wild in _sides(problem):
        one = np.ones_like(e[0])
        top = np.where(positive, one, e[0]), np.where(positive, 0.0, e[1])
        sheet.hi[tile], sheet.lo[tile] = twofold.div(top, twofold.add(paired(one), _plain(e, k)))
        sheet.missing[tile] = wild & ~positive
        if k is not None:
            sheet.exponents()[tile] = np.where(positive, 0, k)
    _ends(problem.logits, sheet, (0.0, 1.0))


def log_sigmoid(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with -log1p(e^-|y|), or -(|y| + log1p(e^-|y|)); e^-|y| itself below 2^-120."""
    for tile, positive, size, e, k, wild in _sides(problem):
        decay = _plain(e, k)
        small = decay[0] < 2.0**-120
        log = log1p((np.where(small, 0, decay[0]), np.where(small, 0, decay[1])))
        if small.any():
            log = np.where(small, decay[0], log[0]), np.where(small, decay[1], log[1])
        far = twofold.add(size, log)
        alone = positive & small
        value = np.where(positive, log[0], far[0]), np.where(positive, log[1], far[1])
        sheet.hi[tile], sheet.lo[tile] = (-np.where(alone, a, b) for a, b in zip(e, value, strict=True))
        sheet.missing[tile] = wild & positive
        if k is not None:
            sheet.exponents()[tile] = np.where(alone, k, 0)
    if problem.softcap is not None:
        sheet.bound = 2.0**-84
    _ends(problem.logits, sheet, (-np.inf, 0.0))


def _ends(x: FloatArray, sheet: Sheet, ends: tuple[float, float]) -> None:
    """What infinite logits and nan give."""
    odd = ~np.isfinite(x)
    if odd.any():
        sheet.hi[odd] = np.where(np.isnan(x[odd]), np.nan, np.where(x[odd] > 0, ends[1], ends[0]))
        sheet.lo[odd], sheet.missing[odd] = 0, False
        if sheet.exp2.flags.writeable:
            sheet.exp2[odd] = 0
