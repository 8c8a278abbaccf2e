"""Derivatives of the form p_i·(d_i - M), M = Σ p·d: of entropy, of the reverse divergence and of softmax.

**The bound**, in units of u = 2^-53, with what the tier's own docstring says: e = e^z errs by 16, s by 16 + h, where h is
`halvings`; sums as they are made here add k, `additions`. What cancels is the second factor:

- Each d_i errs by 1 of itself, and by what its maker says.
- M = Σ e·d/(1 + s): e 16, d 1, the product 1, the sum k, 1 + s 17 + h, the quotient 1: 36 + h + k of S = Σ e|d|/(1 + s).
  S itself is computed to the same error, 2^-44, for which the constants are taken larger by 1 %.
- d_i - M: 1 of d_i is 1 of the difference and 1 of M; 1 for its own rounding.
- Terms with z < -700 are not certified: together less than FLOOR, as |d| < 2^230 in all formats of this tier. They count
  unless every d is 0 exactly. Rows that are "tiny" have no mean at all.

An element is certified where these are within the bound asked less 80 of |d_i - M|; the other factors and what is 1 of
the difference are 16 + 17 + h + 6 <= 64. Products below LEAST are left open. Where that leaves rows with open elements, M
of these is told by `sharp`, and d as a pair, to 2^-100: M = N/Σ e errs by what N and M times Σ e err by, over Σ e.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import twofold
from smcli.reference.float64 import sharp
from smcli.reference.float64.reduce import (
    COARSE,
    DEEPEST,
    LOOSE,
    LOOSEST,
    U,
    additions,
    halvings,
    reduce,
    sum_parts,
    sum_rows,
)
from smcli.reference.tiles import BLOCK, Pool, slabs

if TYPE_CHECKING:
    from smcli.model import FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair
    from smcli.reference.float64.reduce import Rows
    from smcli.reference.tiles import Sheet, Tile


FLOOR = 2.0**-700
LEAST = 2.0**-960
_EXACT = 2.0**11  # differences of multiples of 2^-42 are exact below it
_SHALLOW = -100.0  # with z above it nothing that is certified is below LEAST


class Along:
    """What is weighed: sets an array to the d of a tile, finite and 0 where a logit is -inf."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def tile(self, tile: Tile, rows: Rows, pool: Pool, out: FloatArray, spare: list[FloatArray]) -> FloatArray | None:
        """Set `out`, and return by what each d errs beyond u·|d|, in one of two spare arrays; None for nothing."""
        raise NotImplementedError

    def fill(self, sheet: Sheet, bound: float) -> None:
        """Fill the sheet [R, C] with p·(d - M), times the problem's scale and divided by its temperature."""
        x = self.problem.logits
        columns = x.shape[1]
        rows = reduce(self.problem, "e", sheet)
        share = float(self.problem.scale / Fraction(self.problem.temperature)) / (1 + rows.s)
        pool = Pool(columns, 6, BLOCK)
        sheet.bound = bound
        for r, pieces in slabs(x.shape, BLOCK):
            mean, unsure = self._mean(sheet, rows, pool, r, pieces)
            for c in pieces:
                e, d, loose, spare = self._load(sheet, rows, pool, (r, c), again=len(pieces) > 1)
                value = pool.room(sheet.hi[r, c], spare)
                size = np.abs(np.subtract(d, mean, d), spare)
                size *= bound - 80 * U
                off = ~(size >= (unsure if loose is None else unsure + 1.01 * loose))
                np.multiply(e, d, value)
                value *= share[r]
                if rows.lowest < _SHALLOW:
                    off |= (np.abs(value) < LEAST) & (unsure > 0)
                if off.any():
                    sheet.missing[r, c] |= off
                pool.store(sheet.hi[r, c], value)
        if not x.min() > -np.inf:  # or nan
            gone = x == -np.inf
            sheet.hi[gone], sheet.missing[gone] = 0, False
        if rows.lost.any():
            sheet.missing |= rows.lost
        self._sharpen(sheet, rows, share, bound)

    def _sharpen(self, sheet: Sheet, rows: Rows, share: FloatArray, bound: float) -> None:
        """Fill what is missing because it cancels, with a mean that is told better."""
        x, t = self.problem.logits, self.problem.temperature
        r, c = sharp.places(sheet.missing)
        told = ((x[r, c] - rows.m[r, 0]) / t >= -DEEPEST) & ~(rows.lost | rows.tiny)[r, 0]
        columns = np.arange(x.shape[1])
        for some, row, column in sharp.in_parts(r[told], c[told], len(columns)):
            z = (x[some] - rows.m[some]) / t
            d = np.where(z == -np.inf, 0, self.pairs(some[:, None], columns[None], rows)[0])

            def ways(row: IntArray, column: IntArray, some: IntArray = some) -> Pair:
                return self.pairs(some[row], column, rows)

            found = sharp.sums(z, sharp.picker(x[some], rows.m[some], t), 2.0**-16, d=(d, ways))
            mean = twofold.div(found.moment, found.total)
            error = found.moment_error + np.abs(mean[0]) * found.total_error
            error = 1.01 * error / found.total[0] + FLOOR
            high, low = ways(row, column)
            middle = mean[0][row, 0], mean[1][row, 0]
            inner = twofold.add_any((high, low), twofold.minus(middle))[0]
            unsure = error[row, 0] + 2.0**-98 * (np.abs(high) + np.abs(middle[0]))
            value = np.exp(z[row, column]) * inner * share[some[row], 0]
            sure = (unsure <= (bound - 80 * U) * np.abs(inner)) & (np.abs(value) >= LEAST)
            at = some[row[sure]], column[sure]
            sheet.hi[at], sheet.missing[at] = value[sure], False

    def pairs(self, r: IntArray, c: IntArray, rows: Rows) -> Pair:
        """The d of some elements as pairs; nothing is asked of those of masked ones."""
        raise NotImplementedError

    def _load(
        self, sheet: Sheet, rows: Rows, pool: Pool, tile: Tile, *, again: bool = True
    ) -> tuple[FloatArray, FloatArray, FloatArray | None, FloatArray]:
        """Of a tile e, d, its error, and a spare array; as they were left by the last call, or computed again."""
        e, d, spare, *more = pool.cut(self.problem.logits[tile])
        if again:
            e = pool.load(sheet.hi[tile], e)
            self._loose = self.tile(tile, rows, pool, d, more[:2])
        elif not pool.by_column:
            e = sheet.hi[tile]
        return e, d, self._loose, spare

    def _mean(
        self, sheet: Sheet, rows: Rows, pool: Pool, r: slice, pieces: list[slice]
    ) -> tuple[FloatArray, FloatArray]:
        """M and its absolute error of some rows [r, 1]."""
        columns = pieces[-1].stop
        means, spreads, errors, some = [], [], [], np.zeros((r.stop - r.start, 1), bool)
        for c in pieces:
            e, d, loose, spare = self._load(sheet, rows, pool, (r, c))
            other = pool.cut(d)[5]
            means.append(sum_rows(np.multiply(e, d, spare), other))
            spreads.append(sum_rows(np.abs(spare, spare), other))
            some |= True if spreads[-1].all() else (d != 0).any(axis=1, keepdims=True)
            if loose is not None:
                errors.append(sum_rows(np.multiply(e, loose, spare), other))
                some |= loose.any(axis=1, keepdims=True)
        whole = 1 + rows.s[r]
        noise = U * (37 + halvings(columns) + additions(columns)) * sum_parts(spreads)
        if errors:
            noise += sum_parts(errors)
        unsure = 1.01 * noise / whole + np.where(rows.tiny[r], np.inf, FLOOR)
        return sum_parts(means) / whole, np.where(some, unsure, 0)


class _Entropy(Along):
    """|z|."""

    def pairs(self, r: IntArray, c: IntArray, rows: Rows) -> Pair:
        hi, lo = sharp.difference(self.problem.logits[r, c], rows.m[r, 0], self.problem.temperature)
        return -hi, -lo

    def tile(self, tile: Tile, rows: Rows, pool: Pool, out: FloatArray, spare: list[FloatArray]) -> None:
        x = pool.load(self.problem.logits[tile], spare[0])
        np.subtract(rows.m[tile[0]], x, out)
        if self.problem.temperature != 1:
            np.divide(out, self.problem.temperature, out)
        if rows.lowest == -np.inf:
            out[x == -np.inf] = 0


class _Reverse(Along):
    """log(p/t), less what it is at the maximum of p: the difference of two differences.

    They err by 1 of themselves each, unless they are exact: multiples of 2^-42 below 2^11.
    """

    def __init__(self, problem: Problem, teacher: FloatArray) -> None:
        super().__init__(problem)
        self.teacher = teacher

    def pairs(self, r: IntArray, c: IntArray, rows: Rows) -> Pair:
        t = self.problem.temperature
        z = sharp.difference(self.problem.logits[r, c], rows.m[r, 0], t)
        a = sharp.difference(self.teacher[r, c], self.teacher[r, rows.at[r, 0]], t)
        return twofold.add_any(z, twofold.minus(a))

    def tile(self, tile: Tile, rows: Rows, pool: Pool, out: FloatArray, spare: list[FloatArray]) -> FloatArray | None:
        r = tile[0]
        base, other, error = np.take_along_axis(self.teacher[r], rows.at[r], axis=1), *spare
        own = pool.load(self.teacher[tile], error)
        np.subtract(own, base, other)
        exact = rows.coarse and np.abs(own, error).min() >= COARSE and np.abs(base).min() >= COARSE
        exact = exact and np.abs(other, error).max() < _EXACT
        np.subtract(pool.load(self.problem.logits[tile], error), rows.m[r], out)
        if not (exact and out.min() > -_EXACT):
            np.add(np.abs(out), np.abs(other), error)
            error *= U
            exact = False
        out -= other
        if self.problem.temperature != 1:
            out /= self.problem.temperature
            error /= self.problem.temperature
        if not exact:
            gone = self.problem.logits[tile] == -np.inf
            out[gone] = error[gone] = 0
        return None if exact else error


def entropy(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the gradient of the entropy: d = |z|."""
    _Entropy(problem).fill(sheet, LOOSE)


def divergence(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the gradient of KL(p || t): d = log(p/t) but for a constant."""
    x, t = problem.logits, required(required(problem.loss).teacher)
    _Reverse(problem, t).fill(sheet, LOOSEST)
    top = t.max(axis=1, keepdims=True)
    sheet.missing |= ~np.isfinite(top) | ((t == -np.inf) & (x > -np.inf)).any(axis=1, keepdims=True)
