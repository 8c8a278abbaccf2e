"""The truth in plain float64, 47 certified bits, for formats of at most 24 bits; and the blocks both array tiers work in.

**The bound**, relative, in units of u = 2^-53, to first order, for n <= 2^24 logits.

*z = x - m* of two such numbers mostly is exact; e^z is right to 8u wherever it is, or |z| <= 8. It is exact if |z| <= 700
and neither x nor m is within 2^-19 of 0 (both are multiples of 2^-42 then); where that does not decide, Knuth's sum gives
the error itself, and a row with a larger z that errs is given up. NumPy's exp and log1p are taken to be within 4 ulp = 8u:
its kernels claim that, most libraries have 1, and the tests compare. e = e^z: 16.

*s*, the sum of all e but that of one maximum, by halves, 24 levels: 16 + 24 = 40. e^z below e^-600 is not certified by
itself; below e^-700 it is nothing beside s >= 2^-900; rows with a smaller s are "tiny": their s only adds to 1.

- p = e/(1 + s): 16 + 40 and 2 roundings.
- log p = z - log1p(s), both <= 0: 40 + 8 and 2 roundings. Cross-entropy of a hard target: a factor more, 3 roundings.
- logsumexp = m + log1p(s) cancels: certified where 48·log1p(s) + abs(sum) is within BOUND.
- 1 - p_t = rest/(1 + s), rest = s for the maximum, else 1 + (s - e_t): s stands in both, its 40 count once; e_t <= 1,
  which is <= rest, adds 16; 4 roundings.
- Gradient of a hard target, p or 1 - p_t times c·scale/T: 60 and 3 roundings.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import frexp
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from smcli.model import Truth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from smcli.model import BoolArray, FloatArray, IntArray, Loss, Problem

Array = TypeVar("Array", bound="NDArray[Any]")
BOUND = 2.0**-47

_BLOCK = 16384
_DEEPEST = -600.0
_COARSE = 2.0**-19
_TINY = 2.0**-900
_QUANTITIES = {"softmax", "log-softmax", "logsumexp", "cross-entropy", "gradient"}


def attempt(problem: Problem, quantity: str) -> tuple[Truth, BoolArray]:
    """The truth of a block [R, C], and which elements this tier can't certify to BOUND (their values mean nothing).

    Shapes: [R, C] for softmax, log-softmax, gradient and cross-entropy without a loss; [R, 1] for logsumexp and
    cross-entropy with one. Left to a higher tier: all else; soft labels and smoothing; temperatures that are no power
    of 2; softmax more than 600 below the maximum; rows whose maximum is no finite number; masked targets.
    Low parts and exponents are 0, and can be written only where something is missing.
    """
    sheet = Sheet.of_numbers(shape_of(problem, quantity))
    with np.errstate(all="ignore"):
        if _supported(problem, quantity):
            _solve(problem, quantity, _reduce(problem, _keep(problem, quantity), sheet), sheet)
        else:
            sheet.missing[...] = True
        ignore(problem, quantity, sheet.hi, sheet.missing)
    if sheet.missing.any():
        sheet.lo, sheet.exp2 = np.zeros(sheet.hi.shape), np.zeros(sheet.hi.shape, np.int64)
    return Truth(sheet.hi, sheet.lo, sheet.exp2, BOUND), sheet.missing


def _keep(problem: Problem, quantity: str) -> str:
    if quantity in {"softmax", "gradient"}:
        return "e"
    return "z" if shape_of(problem, quantity) == problem.logits.shape else ""


def _supported(problem: Problem, quantity: str) -> bool:
    loss, (mantissa, exponent) = problem.loss, frexp(problem.temperature)
    if quantity not in _QUANTITIES or problem.softcap is not None or not 0 < problem.logits.shape[1] <= 2**24:
        return False
    if problem.dtype == "float64" or mantissa != 0.5 or abs(exponent) > 100:
        return False
    if quantity not in {"gradient", "cross-entropy"} or (loss is None and quantity == "cross-entropy"):
        return True
    return loss is not None and loss.kind == "cross-entropy" and is_hard(loss) and not loss.z_loss


@dataclass(eq=False, repr=False)
class Sheet:
    """The results: pairs, exponents and what could not be certified."""

    hi: FloatArray
    lo: FloatArray
    exp2: IntArray
    missing: BoolArray

    @classmethod
    def of_pairs(cls, shape: tuple[int, ...]) -> Sheet:
        """A sheet to be filled; the exponents are 0."""
        return cls(np.empty(shape), np.empty(shape), np.zeros(shape, np.int64), np.zeros(shape, np.bool_))

    @classmethod
    def of_numbers(cls, shape: tuple[int, ...]) -> Sheet:
        """A sheet to be filled; low parts and exponents are one 0 each, shown everywhere, which costs no time."""
        zeros = np.broadcast_to(np.float64(0), shape), np.broadcast_to(np.int64(0), shape)
        return cls(np.empty(shape), *zeros, np.zeros(shape, np.bool_))


class Pool:
    """Scratch for one block, from which arrays of any shape are cut; short rows lie column by column there."""

    def __init__(self, columns: int, count: int, block: int) -> None:
        self._buffers = np.empty((count, block + 40))  # not a multiple of 4096 bytes: see twofold.fold
        self._by_column = columns < 64

    def cut(self, tile: FloatArray) -> list[FloatArray]:
        """Arrays of the shape of the tile."""
        rows, columns = tile.shape
        if self._by_column:
            return [b[: rows * columns].reshape(columns, rows).T for b in self._buffers]
        return [b[: rows * columns].reshape(rows, columns) for b in self._buffers]

    def load(self, tile: Array, spare: FloatArray) -> Array:
        """The tile in the memory order of the pool: itself, or copied to the spare array."""
        if not self._by_column:
            return tile
        copy = self.room(tile, spare)
        np.copyto(copy, tile)
        return copy

    def room(self, tile: Array, spare: FloatArray) -> Array:
        """Where to compute what `store` then puts into the tile."""
        own: Any = spare.view(tile.dtype)
        return own if self._by_column else tile

    def store(self, tile: Array, result: Array) -> None:
        """Put what was computed in its `room` into the tile."""
        if self._by_column:
            np.copyto(tile, result)


def tiles(shape: tuple[int, ...], block: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of whole short rows, or pieces of one long row."""
    rows, columns = shape
    step = max(1, block // columns)
    for row in range(0, rows, step):
        for column in range(0, columns, block):
            yield slice(row, min(row + step, rows)), slice(column, min(column + block, columns))


def shape_of(problem: Problem, quantity: str) -> tuple[int, ...]:
    """The shape of the truth of a quantity."""
    rows, columns = problem.logits.shape
    if quantity == "logsumexp" or (quantity in {"cross-entropy", "bce"} and problem.loss is not None):
        return rows, 1
    return (rows, columns, columns) if quantity == "jacobian" else (rows, columns)


def ignore(problem: Problem, quantity: str, *arrays: NDArray[Any]) -> None:
    """Rows that are left out of the loss: 0, certainly."""
    if problem.ignored is not None and quantity in {"cross-entropy", "gradient"}:
        for array in arrays:
            array[problem.ignored] = 0


def is_hard(loss: Loss) -> bool:
    """One class a row, without smoothing."""
    return loss.target is not None and not loss.smoothing


def hard_target(problem: Problem, loss: Loss) -> tuple[IntArray, FloatArray, BoolArray]:
    """Column and weight of the target, and whether it is no class or a masked one, [R, 1] each."""
    assert loss.target is not None  # noqa: S101 - is_hard
    x = problem.logits
    at = np.clip(loss.target, 0, x.shape[1] - 1)[:, None]
    weight = np.ones(at.shape) if loss.weights is None else loss.weights[at]
    wrong = (at[:, 0] != loss.target)[:, None] | (np.take_along_axis(x, at, axis=1) == -np.inf)
    return at, weight, wrong | ~np.isfinite(weight)


def count_others(x: FloatArray, suspects: BoolArray) -> BoolArray:
    """Of the suspect rows [R, 1], those with more than one logit above -inf."""
    some = np.flatnonzero(suspects)
    suspects[some, 0] = (x[some] != -np.inf).sum(axis=1) > 1
    return suspects


def own_cells(at: IntArray, columns: slice) -> tuple[IntArray, IntArray]:
    """The cells of a tile that hold the maximum of their row."""
    rows = np.flatnonzero((at >= columns.start) & (at < columns.stop))
    return rows, at[rows] - columns.start


@dataclass(eq=False, repr=False)
class _Rows:
    """What is known of every row, [R, 1] each.

    Attributes:
        m, at: the maximum and its column.
        s: the sum of the exponentials of all other columns.
        lost: m is no finite number, or a difference from it is not exact enough.
        tiny: s is not 0, but too small for relative accuracy.
    """

    m: FloatArray
    at: IntArray
    s: FloatArray
    lost: BoolArray
    tiny: BoolArray


def _reduce(problem: Problem, keep: str, sheet: Sheet) -> _Rows:
    """Maximum and sum of every row; z or e themselves are kept in the sheet, if asked."""
    x, temperature = problem.logits, problem.temperature
    rows, columns = x.shape
    pool = Pool(columns, 4, _BLOCK)
    at, m, s, lost = np.empty((rows, 1), np.int64), np.empty((rows, 1)), np.empty((rows, 1)), np.zeros((rows, 1), bool)
    parts: list[FloatArray] = []
    for r, c in tiles(x.shape, _BLOCK):
        spare, *room, other = pool.cut(x[r, c])
        tile = pool.load(x[r, c], spare)
        if c.start == 0:
            at[r, 0] = x[r].argmax(axis=1)
            m[r] = np.take_along_axis(x[r], at[r], axis=1)
        z, e = (pool.room(sheet.hi[r, c], a) if keep == name else a for name, a in zip("ze", room, strict=True))
        np.subtract(tile, m[r], z)
        lost[r] |= _inexact(tile, m[r], z, e, temperature)
        if temperature != 1:
            np.divide(z, temperature, z)
        np.exp(z, e)
        if keep:
            pool.store(sheet.hi[r, c], z if keep == "z" else e)
        if keep == "e" and not z.min() >= _DEEPEST:
            sheet.missing[r, c] = (z < _DEEPEST) & (tile != -np.inf)
        own = own_cells(at[r, 0], c)
        e[own] = 0
        parts.append(_halve(e, other, 32).copy("F"))
        e[own] = 1
        if c.stop == columns:
            part = np.asfortranarray(np.concatenate(parts, axis=1))
            s[r] = _halve(part, np.empty_like(part), 1)
            parts.clear()
    tiny = count_others(x, s < _TINY)
    return _Rows(m, at, s, lost | ~np.isfinite(m), tiny)


def _inexact(x: FloatArray, m: FloatArray, z: FloatArray, spare: FloatArray, temperature: float) -> BoolArray:
    """Rows [R, 1] where some z = x - m with 8 < |z| <= 700 (after the temperature) is rounded."""
    no = np.zeros(m.shape, bool)
    if temperature <= 2 and np.abs(x, spare).min() >= _COARSE and np.abs(m).min() >= _COARSE:
        return no
    low, high = -700 * temperature, -8 * temperature
    if z.min() >= high:
        return no
    part = z - x
    error = (x - (z - part)) - (m + part)
    rows: BoolArray = ((error != 0) & (z >= low) & (z < high)).any(axis=1, keepdims=True)
    return rows


def _halve(a: FloatArray, spare: FloatArray, width: int) -> FloatArray:
    """Sum [rows, n] over the columns by halves until at most `width` are left; a stays as it is."""
    n = a.shape[1]
    while n > width:
        half = n // 2
        np.add(a[:, :half], a[:, n - half : n], spare[:, :half])
        spare[:, half : n - half] = a[:, half : n - half]
        a, n = spare, n - half
    return a[:, :n]


def _solve(problem: Problem, quantity: str, rows: _Rows, sheet: Sheet) -> None:
    """Fill the sheet, which holds e for softmax and gradient, z for log-softmax."""
    if quantity == "softmax":
        sheet.hi /= 1 + rows.s
    elif quantity == "gradient":
        _gradient(problem, rows, sheet)
    else:
        log = np.log1p(rows.s)
        if quantity == "logsumexp":
            np.add(rows.m / problem.temperature, log, sheet.hi)
            size = np.abs(sheet.hi)
            error = np.where(rows.tiny, 2 * _TINY, 48 * 2.0**-53 * log) + 2.0**-53 * size
            sheet.missing |= ~(error <= BOUND * size)
        elif quantity == "cross-entropy" and problem.loss is not None:
            _cross_entropy(problem, problem.loss, rows, sheet)
        else:
            if rows.tiny.any():
                sheet.missing |= rows.tiny & (sheet.hi == 0)
            if quantity == "log-softmax":
                sheet.hi -= log
            else:
                np.subtract(log, sheet.hi, sheet.hi)
    sheet.missing |= rows.lost


def _out_of_range(factor: FloatArray) -> BoolArray:
    size = np.abs(factor)
    good: BoolArray = (factor == 0) | (size > 2.0**-60) & (size < 2.0**60)
    return ~good


def _cross_entropy(problem: Problem, loss: Loss, rows: _Rows, sheet: Sheet) -> None:
    at, weight, wrong = hard_target(problem, loss)
    z = (np.take_along_axis(problem.logits, at, axis=1) - rows.m) / problem.temperature
    np.multiply(np.log1p(rows.s) - z, weight, sheet.hi)
    sheet.missing |= wrong | _out_of_range(weight) | rows.tiny & (at == rows.at)


def _gradient(problem: Problem, rows: _Rows, sheet: Sheet) -> None:
    assert problem.loss is not None  # noqa: S101 - _supported
    at, weight, wrong = hard_target(problem, problem.loss)
    share = weight * float(problem.scale / Fraction(problem.temperature))
    here, own, total = (np.arange(len(at))[:, None], at), at == rows.at, 1 + rows.s
    rest = np.where(own, rows.s, 1 + (rows.s - sheet.hi[here]))
    sheet.hi *= share / total
    if (share < 0).any():
        sheet.hi += 0.0  # no -0
    sheet.hi[here] = 0.0 - rest / total * share
    sheet.missing[here] = own & rows.tiny
    sheet.missing |= wrong | _out_of_range(share)
