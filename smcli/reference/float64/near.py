"""Two rows of logits that nearly agree: their divergence and its gradient as sums and products that do not cancel.

With t the softmax of the first row, a, p that of the second, z, r the maximum of a, and d_i = (a_i - a_r) - (z_i - z_r):
w = Σ t_i·(e^-d_i - 1), y_i = log p_i - log t_i = -log1p(w) - d_i. Then p_i - t_i = t_i·(e^y_i - 1), and, as Σ p = Σ t,
KL = Σ t_i·(e^y_i - 1 - y_i), a sum of terms >= 0.

**The bound**, in units of u = 2^-53, where all |d| <= 1, so that |y| <= 2; expm1 is taken to be within 4 ulp = 8, as exp
and log1p are; h and k are `halvings` and `additions`, e is 16 and s is 16 + h as everywhere in the tier.

- d: both differences are exact, or their errors, which are no more than twice the d that they leave, are taken along: 3 of
  |d| for the sums. e^-d - 1: 1.6·3 + 8 = 13.
- t: 16 + 17 + h + 2 = 35 + h. w: 35 + h + 13 + 1 + k of W = Σ t|e^-d - 1|.
- log1p(w): what w errs by is divided by 1 + w >= e^-1; 8 of itself. So y errs by E = (49 + h + k)·W/(1 + w) and 11 of
  log1p(w), and by 4 of |y|, as |d| <= |y| + |log1p(w)|.
- p - t: E·e^y/|e^y - 1| <= E·(1 + |y|)/|y|, and 2.4·4 + 8 + 35 + h + 3 <= 80.
- KL: E·Σ t|e^y - 1| + 4 E² of y's error, 2.9·4 = 12 for the rest of it; t 35 + h, the series below 70, product and sum
  1 + k: less than 190.

Terms of t below e^-600 count as FLOOR. Rows that differ by a constant are told exactly.
"""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.float64.reduce import COARSE, LOOSEST, U, additions, halvings, reduce, sum_parts, sum_rows
from smcli.reference.tiles import PIECE, Pool, Sheet, slabs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smcli.model import BoolArray, FloatArray, Problem
    from smcli.reference.tiles import Tile

FLOOR = 2.0**-830
_SAMPLES, _LIKELY = 16, 2.0**-4
_SERIES = 0.25
_SHALLOW = -100.0  # with z above it what is certified is far above FLOOR: |y| is, by what FLOOR counts in its error


def likely(first: Problem, second: Problem) -> BoolArray:
    """Rows [R] which, as far as a few logits tell, nearly agree: a guess at what is worth trying."""
    a, z = first.logits, second.logits
    step = max(1, a.shape[1] // _SAMPLES)
    apart = np.empty((len(range(0, a.shape[1], step)), len(a)))  # one logit after the other: rows may be short
    np.subtract(a[:, ::step].T, z[:, ::step].T, apart)
    apart[np.isnan(apart)] = 0  # of masked ones
    found: BoolArray = apart.max(axis=0) - apart.min(axis=0) <= _LIKELY * first.temperature
    return found


def by_parts(
    pair: tuple[Problem, Problem], sheet: Sheet, near: Callable[..., BoolArray], far: Callable[..., BoolArray]
) -> None:
    """Fill the sheet by `near` where rows seem near, and what that does not know by `far`.

    Each takes both rows and a sheet of its own, and returns which rows [R, 1] it has dealt with.
    """
    todo = np.arange(len(pair[0].logits))
    for fill, some in ((near, likely(*pair)), (far, np.ones(len(todo), bool))):
        rows = todo[some[todo]]
        if not rows.size:
            continue
        whole = rows.size == len(sheet.hi)
        part = sheet if whole else Sheet.of_numbers((rows.size, sheet.hi.shape[1]))
        done = fill(*(q if whole else q.select(rows) for q in pair), part)[:, 0]
        if not whole:
            sheet.hi[rows], sheet.missing[rows] = part.hi, part.missing
        todo = np.setdiff1d(todo, rows[done], assume_unique=True)


class Near:
    """Rows that nearly agree, worked through tile by tile.

    Attributes:
        known, same: rows [R, 1] that are near enough, and that differ by a constant alone.
        error: E of every row [R, 1], absolutely.
    """

    def __init__(self, first: Problem, second: Problem) -> None:
        self.a, self.z, self.temperature = first.logits, second.logits, first.temperature
        shape = self.a.shape
        self.soft = Sheet.of_numbers(shape)
        self.rows = reduce(first, "e", self.soft)
        self.base = tuple(np.take_along_axis(x, self.rows.at, axis=1) for x in (self.a, self.z))
        self.known, self.same = ~(self.rows.lost | self.rows.tiny), np.zeros((shape[0], 1), bool)
        self.error = np.zeros((shape[0], 1))
        self.pool = Pool(shape[1], 5, PIECE)
        self.masked = not (self.a.min() > -np.inf and self.z.min() > -np.inf)

    def tiles(self) -> Iterator[tuple[Tile, FloatArray, FloatArray, list[FloatArray]]]:
        """Each tile, its t and y, and three spare arrays."""
        share = 1 / (1 + self.rows.s)
        columns = self.a.shape[1]
        for r, pieces in slabs(self.a.shape, PIECE):
            moved, sizes, some, most = [], [], np.zeros((r.stop - r.start, 1), bool), 0.0
            for c in pieces:
                t, d, a, b, spare = self._load((r, c), share)
                np.negative(d, a)
                np.expm1(a, a)
                a *= t
                moved.append(sum_rows(a, spare))
                sizes.append(sum_rows(np.abs(a, a), spare))
                np.abs(d, b)
                most = b.max(axis=1, keepdims=True)
                self.known[r] &= most <= 1
                some |= most > 0
            w, size = sum_parts(moved), sum_parts(sizes)
            shift, noise = -np.log1p(w), 49 + halvings(columns) + additions(columns, PIECE)
            error = 1.01 * U * (noise * size / (1 + w) + 11 * np.abs(shift))
            self.error[r] = error + np.where(some, FLOOR, 0)
            self.same[r] = ~some & self.known[r]
            for c in pieces:
                t, d, *spares = self._load((r, c), share, again=len(pieces) > 1)
                yield (r, c), t, np.subtract(shift, d, d), spares

    def _load(self, tile: Tile, share: FloatArray, *, again: bool = True) -> list[FloatArray]:
        """t, d and three spare arrays; what they hold was left by the last call, or is computed."""
        t, d, *spare = self.pool.cut(self.a[tile])
        if not again:
            return [t, d, *spare]
        r, pool = tile[0], self.pool
        np.multiply(pool.load(self.soft.hi[tile], spare[0]), share[r], t)
        errors: list[FloatArray | None] = []
        sides = (self.a, self.base[0][r], d, self.rows.coarse), (self.z, self.base[1][r], spare[1], False)
        for x, base, out, coarse in sides:
            own = pool.load(x[tile], spare[0])
            np.subtract(own, base, out)
            exact = coarse or (np.abs(own, spare[2]).min() >= COARSE and np.abs(base).min() >= COARSE)
            if not (exact and np.abs(out, spare[2]).max() < 2.0**11):
                part = out - own
                errors.append((own - (out - part)) - (base + part))
            else:
                errors.append(None)
        gone = (d == -np.inf) & (spare[1] == -np.inf) if self.masked else None
        d -= spare[1]
        if any(e is not None for e in errors):
            low = (0.0 if errors[0] is None else errors[0]) - (0.0 if errors[1] is None else errors[1])
            d += low
            self.known[r] &= ~(np.abs(low) > 2 * np.abs(d)).any(axis=1, keepdims=True)
        if gone is not None:
            d[gone] = 0
        if self.temperature != 1:
            d /= self.temperature
        return [t, d, *spare]


def excess(y: FloatArray, out: FloatArray, spare: FloatArray) -> None:
    """Set `out` to e^y - 1 - y for |y| <= 2, to 70u: y²·(1/2 + y/6 + ..) up to 1/4, else as it stands."""
    most = float(np.abs(y, spare).max(initial=0.0))
    beyond, reach = (None, most) if most <= _SERIES else (spare > _SERIES, _SERIES)
    last = next(k for k in range(1, 20) if reach**k * 2 / factorial(k + 2) <= 2.0**-56)
    out[...] = 1 / factorial(last + 1)
    for n in range(last, 1, -1):
        out *= y
        out += 1 / factorial(n)
    out *= y
    out *= y
    if beyond is not None:
        out[beyond] = np.expm1(y[beyond]) - y[beyond]


def divergence(first: Problem, second: Problem, sheet: Sheet) -> BoolArray:
    """Fill the sheet [R, 1] with KL(first || second), and return the rows [R, 1] that are certified."""
    near = Near(first, second)
    columns = near.a.shape[1]
    values: list[FloatArray] = []
    sizes: list[FloatArray] = []
    for (r, c), t, y, (a, b, spare) in near.tiles():
        excess(y, a, b)
        values.append(sum_rows(np.multiply(a, t, a), spare))
        np.abs(y, b)
        sizes.append(sum_rows(np.multiply(b, t, b), spare))
        if c.stop == columns:
            value, size, error = sum_parts(values), sum_parts(sizes), near.error[r]
            sheet.hi[r] = value
            unsure = error * (3.3 * size + 4 * error) + np.where(near.same[r], 0, FLOOR)
            sheet.missing[r] = ~near.known[r] | ~(unsure <= (LOOSEST - 200 * U) * value)
            values.clear()
            sizes.clear()
    return ~sheet.missing


def difference(first: Problem, second: Problem, sheet: Sheet) -> BoolArray:
    """Fill the sheet [R, C] with p - t, and return the rows [R, 1] that are near enough for it."""
    near = Near(first, second)
    for (r, c), t, y, (a, b, _) in near.tiles():
        size = np.abs(y, b)
        wide = 1 + np.fmin(2, size.max())
        size *= LOOSEST - 90 * U
        off = size < wide * near.error[r]
        value = near.pool.room(sheet.hi[r, c], a)
        np.expm1(y, value)
        value *= t
        if near.rows.lowest < _SHALLOW:
            off |= (np.abs(value) < FLOOR) & ~near.same[r]
        value += 0.0  # no -0
        near.pool.store(sheet.hi[r, c], value)
        sheet.missing[r, c] = off
    if near.masked:
        gone = (near.a == -np.inf) & (near.z == -np.inf)
        sheet.hi[gone], sheet.missing[gone] = 0, False
    return near.known
