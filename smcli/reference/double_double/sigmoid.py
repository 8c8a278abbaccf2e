"""Sigmoid and its logarithm in pairs.

A quotient by 1 + e^-|y|, and |y| or 0 beside log1p(e^-|y|), as in `binary`: no sum cancels. The logarithm errs by EXP and by
2^-76, and by A/log 2 for y <= 0 under a soft cap; EXP and A as in the tier's own bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.double_double.binary import ABSORBED, magnitude
from smcli.reference.double_double.elementary import log1p_unit
from smcli.reference.double_double.reduce import DIFFERENCE, exponentials, reach
from smcli.reference.double_double.twofold import choose, without
from smcli.reference.tiles import LONG, PIECE, Pool, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair
    from smcli.reference.tiles import Sheet, Tile


def sides(problem: Problem) -> Iterator[tuple[Tile, BoolArray, Pair, Pair, IntArray | None, BoolArray]]:
    """Tile by tile: y > 0, |y|, e^-|y| as pairs and the exponents of these, and which are not certified."""
    x = problem.logits
    pool, limit = Pool(LONG, 11, PIECE), reach(problem)  # no number belongs to a row: its order is that of the logits
    for tile in tiles(x.shape, PIECE):
        arrays = pool.cut(x[tile])
        size = magnitude(problem, x[tile])
        np.negative(size[0], arrays[0])
        np.negative(size[1], arrays[1])
        out = arrays[2], arrays[3]
        k, wild = exponentials((arrays[0], arrays[1]), limit, out, arrays[4].view(np.int64), arrays[5:])
        yield tile, x[tile] > 0, size, out, k, np.zeros(x[tile].shape, bool) if wild is None else wild


def plain_of(e: Pair, k: IntArray | None) -> Pair:
    """The same without exponent; 0 below 2^-1022."""
    if k is None:
        return e
    out = np.empty_like(e[0]), np.empty_like(e[0])
    twofold.scale(*e, k, out, np.empty_like(e[0]))
    return out


def large_side(e: Pair) -> Pair:
    """1/(1 + e) for 0 <= e <= 1: relative error < 20u².

    The rest of the quotient is below 3u: 9u² for its square, and six roundings of what is at most 2u.
    """
    whole, rest = twofold.fast_two_sum(np.array(1.0), e[0])
    rest += e[1]
    q = 1 / whole
    p, error = twofold.two_prod(q, whole)
    np.subtract(1.0, p, p)
    p -= error
    rest *= q
    p -= rest
    p *= q
    return twofold.fast_two_sum(q, p)


def sigmoid(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with 1/(1 + e^-|y|), or e^-|y|/(1 + e^-|y|)."""
    for tile, positive, _, e, k, wild in sides(problem):
        top = np.where(positive, 1.0, e[0]), np.where(positive, 0.0, e[1])
        sheet.hi[tile], sheet.lo[tile] = twofold.mul(top, large_side(plain_of(e, k)))
        sheet.missing[tile] = wild & ~positive
        if k is not None:
            sheet.exponents()[tile] = np.where(positive, 0, k)
    _ends(problem.logits, sheet, (0.0, 1.0))


def log_sigmoid(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with -log1p(e^-|y|), or -(|y| + log1p(e^-|y|)); e^-|y| itself below 2^-120."""
    for tile, positive, size, e, k, wild in sides(problem):
        log = log1p_unit(plain_of(e, k))
        value = twofold.add(without(positive, size), log)
        if k is not None:
            alone = positive & (k < ABSORBED)
            value = choose(alone, e, value)
            sheet.exponents()[tile] = np.where(alone, k, 0)
        np.negative(value[0], sheet.hi[tile])
        np.negative(value[1], sheet.lo[tile])
        sheet.missing[tile] = wild & positive
    sheet.bound = DIFFERENCE
    _ends(problem.logits, sheet, (-np.inf, 0.0))


def _ends(x: FloatArray, sheet: Sheet, ends: tuple[float, float]) -> None:
    """What infinite logits and nan give."""
    odd = ~np.isfinite(x)
    if odd.any():
        sheet.hi[odd] = np.where(np.isnan(x[odd]), np.nan, np.where(x[odd] > 0, ends[1], ends[0]))
        sheet.lo[odd], sheet.missing[odd] = 0, False
        sheet.drop_exponents(odd)
