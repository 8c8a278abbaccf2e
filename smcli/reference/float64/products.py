"""Vector-Jacobian products in plain float64; the bounds in units of u = 2^-53.

Errors of e and s are as in the tier's own docstring, h is `halvings`.

- softmax: p_i·(d_i - Σ p·d), d_i = v_i - v at the maximum: see `along`.
- log-softmax: v_i - p_i·G, G = Σ v, rounded once: e 16, 1 + s 17 + h, G and three factors 4: 37 + h of the second term, 2
  for what follows. For p_i > 1/2, (v_i - G) + (1 - p_i)·G: 37 + 2h of the second term, 1 of the first, which is told from
  G as a pair, to 4u²·|G|. Certified where that is within LOOSE of the sum; p below e^-600 counts as FLOOR, unless v_i is 0.
  What still is missing has its p from `sharp`: e, its sum and three operations of pairs 2^-87, and what the sum errs by.
- logsumexp: v·p_i, 16 + 17 + h and 4: 2^-47. With coefficients v·b_i·e/V, V = Σ b·e as in `kernels`: 24 and 64·Σ|b|e/|V|,
  certified where that is within LOOSE.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import fsum
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import twofold
from smcli.reference.double_double.twofold import minus, paired
from smcli.reference.float64 import kernels, sharp
from smcli.reference.float64.along import Along
from smcli.reference.float64.kernels import SPAN
from smcli.reference.float64.reduce import DEEPEST, LOOSE, LOOSEST, U, halvings, reduce
from smcli.reference.tiles import BLOCK, Pool, tiles

if TYPE_CHECKING:
    from smcli.model import FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair
    from smcli.reference.float64.reduce import Rows
    from smcli.reference.tiles import Sheet, Tile

FLOOR, LEAST = 2.0**-800, 2.0**-860


def vjp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the product of the cotangent and a Jacobian."""
    of = {"softmax": _of_softmax, "log-softmax": _of_log_softmax, "logsumexp": _of_logsumexp}
    of[problem.vjp_of](problem, sheet)


class _Apart(Along):
    """What is weighed is v_j, less that of the maximum."""

    def pairs(self, r: IntArray, c: IntArray, rows: Rows) -> Pair:
        v = required(self.problem.cotangent)
        return sharp.difference(v[c], v[rows.at[r, 0]], 1.0)

    def tile(self, tile: Tile, rows: Rows, _: Pool, out: FloatArray, *__: list[FloatArray]) -> None:
        v, r, c = required(self.problem.cotangent), *tile
        np.subtract(v[None, c], v[rows.at[r]], out)
        out += 0.0  # no -0


def _of_softmax(problem: Problem, sheet: Sheet) -> None:
    # a product has no scale
    _Apart(replace(problem, scale=Fraction(1))).fill(sheet, LOOSEST)


def _of_log_softmax(problem: Problem, sheet: Sheet) -> None:
    x, v = problem.logits, required(problem.cotangent)
    rows = reduce(problem, "e", sheet)
    growth = fsum(v.tolist())
    low = fsum([*v.tolist(), -growth])
    columns, share, part = x.shape[1], growth / (1 + rows.s), 1 / problem.temperature
    pool, limit, noise = Pool(columns, 4, BLOCK), LOOSE - 8 * U, 1.01 * U * (37 + halvings(columns))
    masked, alone = not x.min() > -np.inf, v == 0
    for r, c in tiles(x.shape, BLOCK):
        take, value, size, _ = pool.cut(x[r, c])
        np.multiply(pool.load(sheet.hi[r, c], take), share[r], take)
        np.subtract(v[None, c], take, value)
        np.abs(value, size)
        size *= limit
        np.abs(take, take)
        take *= noise
        take += FLOOR * abs(growth)
        off = ~(size >= take)
        lone = alone[c]
        if lone.any():
            np.abs(value, size)
            off[:, lone] = sheet.missing[r, c][:, lone] | (size[:, lone] < LEAST)
            if masked:
                off[:, lone] &= x[r, c][:, lone] != -np.inf
            if growth == 0:
                off[:, lone] = False
        sheet.missing[r, c] = off
        np.multiply(value, part, value)
        value += 0.0  # no -0
        np.copyto(sheet.hi[r, c], value)
    most = np.flatnonzero(rows.s < 1)  # p > 1/2 there
    here = most[:, None], rows.at[most]
    own, rest = v[here[1]], rows.s[most] * share[most]
    first = own - growth
    back = first - own
    first += (own - (first - back)) - (growth + back) - low
    top = first + rest
    unsure = U * (1.01 * (37 + 2 * halvings(columns)) * np.abs(rest) + np.abs(first)) + 2.0**-103 * abs(growth)
    sheet.hi[here] = top * part + 0.0
    sheet.missing[here] = ~(unsure <= limit * np.abs(top)) | rows.tiny[most]
    if rows.lost.any():
        sheet.missing |= rows.lost
    sheet.bound = LOOSE
    _sharpen(problem, sheet, rows, (growth, low))


def _sharpen(problem: Problem, sheet: Sheet, rows: Rows, growth: tuple[float, float]) -> None:
    """Fill what is missing because it cancels, with a p that is told better."""
    x, v, t = problem.logits, required(problem.cotangent), problem.temperature
    r, c = sharp.places(sheet.missing)
    told = ((x[r, c] - rows.m[r, 0]) / t >= -DEEPEST) & ~(rows.lost | rows.tiny)[r, 0] & (v[c] != 0)
    for some, row, column in sharp.in_parts(r[told], c[told], x.shape[1]):
        pairs = sharp.picker(x[some], rows.m[some], t)
        total, _, error, _ = sharp.sums((x[some] - rows.m[some]) / t, pairs, 2.0**-16)
        whole = np.full(row.shape, growth[0]), np.full(row.shape, growth[1])
        take = twofold.mul(sharp.powers(pairs(row, column)), whole)
        take = twofold.div(take, (total[0][row, 0], total[1][row, 0]))
        value = twofold.add_any(paired(v[column]), minus(take))[0]
        unsure = 1.01 * (error[row, 0] / total[0][row, 0] + 2.0**-87) * np.abs(take[0]) + 2.0**-103 * abs(growth[0])
        sure = unsure + FLOOR * abs(growth[0]) <= (LOOSE - 8 * U) * np.abs(value)
        at = some[row[sure]], column[sure]
        sheet.hi[at], sheet.missing[at] = value[sure] / t, False


def _of_logsumexp(problem: Problem, sheet: Sheet) -> None:
    rows, b = reduce(problem, "e", sheet), problem.coefficients
    factor = float(required(problem.cotangent)[0]) / problem.temperature
    if factor == 0 and b is None:
        sheet.hi[...], sheet.missing[...] = 0, rows.lost
        return
    if b is None:
        total = 1 + rows.s
    else:
        total, unsure, lost = kernels.signed_sum(problem, rows, np.copy(sheet.hi))
        sheet.hi *= b
        sheet.missing &= b != 0
        sheet.missing |= lost | ~(unsure <= (LOOSE - 40 * U) * np.abs(total))
        sheet.bound = LOOSE
    sheet.hi *= factor / total
    sheet.hi += 0.0  # no -0
    sheet.missing |= rows.lost | (not 1 / SPAN < abs(factor) < SPAN)
