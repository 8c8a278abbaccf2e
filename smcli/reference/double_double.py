"""The truth at array speed: pairs of float64 with an integer exponent, 85 certified bits.

**The bound**, relative to the value; u = 2^-53; the arithmetic and its own bounds are in `twofold`.

*z = x - m* is an exact pair (Knuth's sum). A temperature that is no power of 2 divides the pair: 13u²|z| < 2^-90.2, as
|z| <= 2^12 is asked in that case. *e^z* adds 2^-87.8: EXP = 2^-87.5, for |z| <= 2^20.

*s*, the sum of all e but that of one maximum: terms below 2^-1022 count as 0 and low parts below 2^-1074 vanish, less than
n·2^-1021, nothing beside s >= 2^-800. Rows with a smaller s are "tiny": their s is used only where it adds to 1. The tree
adds 2^-96 for n < 2^26, a hundredth of what the rounding of EXP leaves free: SUM = 2^-87.5.

- p = e/(1 + s) by a sum, a quotient and a product of pairs, 22u²: EXP + SUM·s/(1 + s) + 2^-101 < 2^-86.5.
- log1p(s): its condition is <= 1, its own error 2^-92: LOG = 2^-87.4.
- log p = z - log1p(s), both <= 0; 13u² and 4u²: LOG + 2^-102.
- logsumexp = m + log1p(s) cancels: certified where LOG·log1p(s) + 2^-100·abs(m) is within BOUND.
- 1 - p_t = rest/(1 + s), rest = s for the maximum, else 1 + (s - e_t). This e_t is the very number that was added, which
  leaves EXP·(s - e_t) and the tree's 2^-96·s, as e_t <= 1 <= rest: 2^-86.5.
- cross-entropy, Σ c(log1p(s) - z): all terms >= 0; c to 2^-99, tree 2^-96: LOG + 2^-95.
- Gradient of a hard target: p or 1 - p_t and a factor to 50u²: 2^-86.5 + 2^-100.
- Gradient of soft labels: a - b with a = p·Σ other c, b = c(1 - p): certified where SOFT·(a + b) + 2^-94·p·Σc is within
  BOUND.
- Jacobian, p·p or p(1 - p): 2·2^-86.5 + 2^-102.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import frexp, ldexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import Truth
from smcli.reference import twofold
from smcli.reference.float64 import Pool, Sheet, count_others, hard_target, ignore, is_hard, own_cells, shape_of, tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import BoolArray, FloatArray, IntArray, Loss, Problem
    from smcli.reference.twofold import Pair

BOUND = 2.0**-85

_LOG, _SOFT = 2.0**-87.4, 2.0**-86.4
_BLOCK = 16384
_TINY = 2.0**-800
_SMALL, _WIDE = 2.0**-900, 2.0**900  # below, the low part of a pair may be cut; above, products may overflow


def attempt(problem: Problem, quantity: str) -> tuple[Truth, BoolArray]:
    """The truth of a block [R, C], and which elements this tier can't certify to BOUND (their values mean nothing).

    Shapes: [R, C] for softmax, log-softmax, gradient and cross-entropy without a loss; [R, 1] for logsumexp and
    cross-entropy with one; [R, C, C] for the Jacobian. Left to a higher tier: vjp, bce, softcap and z-loss; rows whose
    maximum is no finite number; logits more than 2^20 below the maximum (2^12 with a temperature), but for logarithms;
    what depends on s relatively where all others are that far or 554 below the maximum; what cancels; masked targets.
    """
    sheet = Sheet.of_pairs(shape_of(problem, quantity))
    solve = _QUANTITIES.get(quantity)
    with np.errstate(all="ignore"):
        if solve is None or not _supported(problem, quantity):
            sheet.missing[...] = True
        else:
            solve(problem, sheet)
        ignore(problem, quantity, sheet.hi, sheet.lo, sheet.exp2, sheet.missing)
    return Truth(sheet.hi, sheet.lo, sheet.exp2, BOUND), sheet.missing


def _supported(problem: Problem, quantity: str) -> bool:
    loss, temperature = problem.loss, problem.temperature
    if problem.softcap is not None or not 1 / _WIDE < temperature < _WIDE or not 0 < problem.logits.shape[1] < 2**26:
        return False
    if quantity == "jacobian":
        return temperature == 1
    if quantity == "gradient" and loss is None:
        return False
    if quantity not in {"gradient", "cross-entropy"} or loss is None:
        return True
    return loss.kind == "cross-entropy" and not loss.z_loss and 0 <= loss.smoothing <= 1


@dataclass(eq=False, repr=False)
class _Rows:
    """What is known of every row, [R, 1] each.

    Attributes:
        m, at: the maximum and its column.
        s: the sum of the exponentials of all other columns.
        undefined: m is no finite number.
        tiny: s is not 0, but too small for relative accuracy.
    """

    m: FloatArray
    at: IntArray
    s: Pair
    undefined: BoolArray
    tiny: BoolArray

    def reciprocal(self) -> Pair:
        """1/(1 + s)."""
        one = _pair(np.ones_like(self.m))
        return twofold.div(one, twofold.add(one, self.s))


def _pool(x: FloatArray) -> Pool:
    return Pool(x.shape[1], 11, _BLOCK)


def _pair(a: FloatArray) -> Pair:
    return a, np.zeros_like(a)


def _shift(x: FloatArray, m: FloatArray, temperature: float, arrays: list[FloatArray]) -> Pair:
    """(x - m)/temperature as pairs, in the first two of three arrays; inf or nan where it overflows."""
    zh, zl, b = arrays[:3]
    np.subtract(x, m, zh)
    np.subtract(zh, x, b)
    np.subtract(zh, b, zl)
    np.subtract(x, zl, zl)
    np.add(b, m, b)
    np.subtract(zl, b, zl)
    if temperature != 1:
        zh[...], zl[...] = twofold.div((zh, zl), _pair(np.array(temperature)))
    return zh, zl


class _Total:
    """The sum of pairs >= 0 over the columns, tile by tile."""

    def __init__(self, rows: int) -> None:
        self.hi, self.lo = np.empty((rows, 1)), np.empty((rows, 1))
        self._parts: list[Pair] = []

    def take(self, tile: tuple[slice, slice], columns: int, pair: Pair, spare: tuple[FloatArray, FloatArray]) -> None:
        """Add a tile [r, c], which is overwritten; the last one of a row finishes the row."""
        hi, lo = twofold.fold(*pair, spare, 32)
        self._parts.append((hi.copy("F"), lo.copy("F")))
        if tile[1].stop == columns:
            hi, lo = (np.asfortranarray(np.concatenate(p, axis=1)) for p in zip(*self._parts, strict=True))
            hi, lo = twofold.fold(hi, lo, (np.empty_like(hi), np.empty_like(hi)))
            self.hi[tile[0]], self.lo[tile[0]] = twofold.fast_two_sum(hi, lo)
            self._parts.clear()


def _reduce(problem: Problem, pool: Pool, sheet: Sheet | None = None) -> _Rows:
    """Maximum and sum of every row; the exponentials themselves go to the sheet, if there is one."""
    x, temperature = problem.logits, problem.temperature
    rows, columns = x.shape
    limit = _limit(temperature)
    at, m, total = np.empty((rows, 1), np.int64), np.empty((rows, 1)), _Total(rows)
    for r, c in tiles(x.shape, _BLOCK):
        if c.start == 0:
            at[r, 0] = x[r].argmax(axis=1)
            m[r] = np.take_along_axis(x[r], at[r], axis=1)
        spare = pool.cut(x[r, c])
        hi, lo, k = spare.pop(), spare.pop(), spare.pop().view(np.int64)
        if sheet is not None:
            hi, lo = pool.room(sheet.hi[r, c], hi), pool.room(sheet.lo[r, c], lo)
            k = pool.room(sheet.exp2[r, c], k.view(np.float64))
        zh, zl = _shift(pool.load(x[r, c], spare[3]), m[r], temperature, spare)
        wild = None if zh.min() >= -limit else ~(zh >= -limit)
        if wild is not None:
            zh[wild] = zl[wild] = 0
        twofold.exponential((zh, zl), hi, lo, k, spare[2:])
        if wild is not None:
            hi[wild] = lo[wild] = k[wild] = 0
        if sheet is not None:
            pool.store(sheet.hi[r, c], hi)
            pool.store(sheet.lo[r, c], lo)
            pool.store(sheet.exp2[r, c], k)
            if wild is not None:
                sheet.missing[r, c] = wild & (x[r, c] != -np.inf)
        a, b = spare[:2]
        twofold.scale(hi, lo, k, (a, b), spare[2])
        a[own_cells(at[r, 0], c)] = 0
        total.take((r, c), columns, (a, b), (spare[2], spare[3]))
    tiny = count_others(x, total.hi < _TINY)
    return _Rows(m, at, (total.hi, total.lo), ~np.isfinite(m), tiny)


def _limit(temperature: float) -> float:
    """How far below the maximum a logit may be: further, and its exponential is not certified."""
    return 2.0**20 if frexp(temperature)[0] == 0.5 else 2.0**12


def _times(sheet: Sheet, factor: Pair, pool: Pool) -> None:
    """Multiply the exponentials of the sheet by a factor [R, 1]."""
    for r, c in tiles(sheet.hi.shape, _BLOCK):
        a, b, *spare = pool.cut(sheet.hi[r, c])
        hi, lo = pool.load(sheet.hi[r, c], a), pool.load(sheet.lo[r, c], b)
        twofold.times(hi, lo, (factor[0][r], factor[1][r]), spare)
        pool.store(sheet.hi[r, c], hi)
        pool.store(sheet.lo[r, c], lo)


def _softmax(problem: Problem, sheet: Sheet) -> None:
    pool = _pool(problem.logits)
    rows = _reduce(problem, pool, sheet)
    _times(sheet, rows.reciprocal(), pool)
    sheet.missing |= rows.undefined


def _log_softmax(problem: Problem, sheet: Sheet) -> None:
    x = problem.logits
    pool = _pool(x)
    rows = _reduce(problem, pool)
    log = twofold.log1p(rows.s)
    for r, c in tiles(x.shape, _BLOCK):
        spare = pool.cut(x[r, c])
        zh, zl = _shift(pool.load(x[r, c], spare[3]), rows.m[r], problem.temperature, spare)
        hi, lo, t = pool.room(sheet.hi[r, c], spare[4]), pool.room(sheet.lo[r, c], spare[5]), spare[3]
        np.subtract(zh, log[0][r], hi)
        np.subtract(hi, zh, t)
        np.subtract(hi, t, lo)
        np.subtract(zh, lo, lo)
        np.add(t, log[0][r], t)
        np.subtract(lo, t, lo)  # hi + lo = zh - log
        np.subtract(zl, log[1][r], zl)
        np.add(lo, zl, zl)
        np.add(hi, zl, t)
        np.subtract(t, hi, hi)
        np.subtract(zl, hi, lo)
        np.add(t, 0.0, hi)
        pool.store(sheet.hi[r, c], hi)
        pool.store(sheet.lo[r, c], lo)
        if rows.tiny[r].any():
            sheet.missing[r, c] |= rows.tiny[r] & (zh == 0)
    if not np.isfinite(sheet.lo).all():
        masked = x == -np.inf
        sheet.missing |= ~np.isfinite(sheet.lo) & ~masked
        sheet.hi[masked], sheet.lo[masked] = -np.inf, 0
    _minute_logs(problem, rows, sheet)
    sheet.missing |= rows.undefined


def _minute_logs(problem: Problem, rows: _Rows, sheet: Sheet) -> None:
    """log p of the maximum in tiny rows: -log1p(s) = -s to a relative 2^-801, with s summed below the second largest.

    s = e^(m2 - m)·(1 + s2), m2 and s2 being the maximum and the rest of the row without m: EXP + EXP·s2/(1 + s2) + 13u².
    """
    some = np.flatnonzero(rows.tiny & np.isfinite(rows.m))
    if not some.size:
        return
    x, here = problem.logits[some], (np.arange(some.size)[:, None], rows.at[some])
    x[here] = -np.inf
    rest = _reduce(replace(problem, logits=x), _pool(x))
    arrays = [np.empty_like(rest.m) for _ in range(11)]
    zh, zl = _shift(rest.m, rows.m[some], problem.temperature, arrays)
    known = (zh >= -_limit(problem.temperature)) & ~rest.undefined
    zh[~known] = zl[~known] = 0
    hi, lo, k = arrays[8], arrays[9], arrays[10].view(np.int64)
    twofold.exponential((zh, zl), hi, lo, k, arrays[2:8])
    hi, lo = twofold.mul((hi, lo), twofold.add(_pair(np.ones_like(hi)), rest.s))
    at = (some[:, None][known], rows.at[some][known])
    sheet.hi[at], sheet.lo[at], sheet.exp2[at] = -hi[known], -lo[known], k[known]
    sheet.missing[at] = False


def _logsumexp(problem: Problem, sheet: Sheet) -> None:
    rows = _reduce(problem, _pool(problem.logits))
    log = twofold.log1p(rows.s)
    m = _pair(rows.m)
    if problem.temperature != 1:
        m = twofold.div(m, _pair(np.array(problem.temperature)))
    sheet.hi[...], sheet.lo[...] = twofold.add_any(m, log)
    error = np.where(rows.tiny, 2 * _TINY, _LOG * log[0]) + 2.0**-100 * np.abs(m[0])
    cut = (np.abs(sheet.hi) < _SMALL) & (rows.m != 0) & (problem.temperature != 1)
    sheet.missing[...] = rows.undefined | cut | ~(error <= BOUND * np.abs(sheet.hi))


def _cross_entropy(problem: Problem, sheet: Sheet) -> None:
    loss = problem.loss
    if loss is None:
        _log_softmax(problem, sheet)
        np.subtract(0, sheet.hi, sheet.hi)
        np.subtract(0, sheet.lo, sheet.lo)
    elif not is_hard(loss):
        _soft_cross_entropy(problem, loss, sheet)
    else:
        _hard_cross_entropy(problem, loss, sheet)


def _hard_cross_entropy(problem: Problem, loss: Loss, sheet: Sheet) -> None:
    rows = _reduce(problem, _pool(problem.logits))
    at, weight, wrong = hard_target(problem, loss)
    x = np.take_along_axis(problem.logits, at, axis=1)
    z = _shift(x, rows.m, problem.temperature, [np.empty_like(x) for _ in range(3)])
    value = twofold.add(twofold.log1p(rows.s), (-z[0], -z[1]))
    sheet.hi[...], sheet.lo[...] = twofold.mul(value, _pair(weight))
    exact = (value[0] == 0) | (weight == 0)
    sheet.missing[...] = rows.undefined | wrong | rows.tiny & (at == rows.at) | ~np.isfinite(sheet.lo)
    sheet.missing |= (np.abs(sheet.hi) < _SMALL) & ~exact


def _coefficients(loss: Loss, columns: int, r: slice, c: slice) -> Pair:
    """w(y(1 - E) + E/K) of a tile, to 40u², for y and w >= 0."""
    if loss.labels is not None:
        pair = _pair(loss.labels[r, c])
    else:
        assert loss.target is not None  # noqa: S101 - a Loss has one of the two
        pair = _pair((np.arange(c.start, c.stop) == loss.target[r, None]).astype(np.float64))
    if loss.smoothing:
        spread = twofold.of_fraction(Fraction(loss.smoothing) / columns)
        kept = twofold.two_sum(np.ones(()), np.array(-loss.smoothing))
        high, low = (np.full_like(pair[0], ldexp(v, spread[2])) for v in spread[:2])
        pair = twofold.add(twofold.mul(pair, kept), (high, low))
    return pair if loss.weights is None else twofold.mul(pair, _pair(loss.weights[None, c]))


def _unfit(problem: Problem, c: FloatArray, tile: tuple[slice, slice]) -> BoolArray:
    """Rows [R, 1] with coefficients that are negative, out of range or on a masked class."""
    bad = ~((c == 0) | (c > 2.0**-400) & (c < 2.0**400)) | (c != 0) & (problem.logits[tile] == -np.inf)
    unfit: BoolArray = bad.any(axis=1, keepdims=True)
    return unfit


def _soft_cross_entropy(problem: Problem, loss: Loss, sheet: Sheet) -> None:
    x = problem.logits
    pool, total = _pool(x), _Total(x.shape[0])
    rows = _reduce(problem, pool)
    log = twofold.log1p(rows.s)
    sheet.missing[...] = rows.undefined | rows.tiny
    some = np.zeros_like(sheet.missing)
    for r, c in tiles(x.shape, _BLOCK):
        arrays = pool.cut(x[r, c])
        zh, zl = _shift(pool.load(x[r, c], arrays[3]), rows.m[r], problem.temperature, arrays)
        weight = _coefficients(loss, x.shape[1], r, c)
        value = twofold.add((log[0][r], log[1][r]), (-zh, -zl))
        product = twofold.mul(weight, value)
        some[r] |= ((weight[0] != 0) & (value[0] != 0)).any(axis=1, keepdims=True)
        sheet.missing[r] |= _unfit(problem, weight[0], (r, c))
        for source, copy in zip(product, arrays[:2], strict=True):
            np.copyto(copy, source)
            copy[weight[0] == 0] = 0
        total.take((r, c), x.shape[1], (arrays[0], arrays[1]), (arrays[2], arrays[3]))
    sheet.hi[...], sheet.lo[...] = total.hi, total.lo
    sheet.missing |= ~np.isfinite(total.lo) | some & (total.hi < _SMALL)


def _complement(own: BoolArray, s: Pair, e: Pair) -> Pair:
    """The sum of all exponentials but e: s where e is the maximum's own, else 1 + (s - e)."""
    rest = twofold.add_any(_pair(np.ones_like(e[0])), twofold.add_any(s, (-e[0], -e[1])))
    return np.where(own, s[0], rest[0]), np.where(own, s[1], rest[1])


def _plain(sheet: Sheet, tile: tuple[slice, slice] | tuple[IntArray, IntArray]) -> Pair:
    """Some elements of the sheet as pairs without exponent: 0 below 2^-1022."""
    hi, lo = sheet.hi[tile], sheet.lo[tile]
    plain = np.empty_like(hi), np.empty_like(lo)
    twofold.scale(hi, lo, sheet.exp2[tile], plain, np.empty_like(hi))
    return plain


def _gradient(problem: Problem, sheet: Sheet) -> None:
    loss = problem.loss
    assert loss is not None  # noqa: S101 - see _supported
    factor = twofold.of_fraction(problem.scale / Fraction(problem.temperature))
    if not is_hard(loss):
        _soft_gradient(problem, loss, sheet, factor)
    else:
        _hard_gradient(problem, loss, sheet, factor)
    _tidy(sheet)


def _tidy(sheet: Sheet) -> None:
    """Zeros without sign and exponent."""
    np.add(sheet.hi, 0.0, sheet.hi)
    np.copyto(sheet.exp2, 0, where=sheet.hi == 0)


def _hard_gradient(problem: Problem, loss: Loss, sheet: Sheet, factor: tuple[float, float, int]) -> None:
    pool = _pool(problem.logits)
    rows = _reduce(problem, pool, sheet)
    at, weight, wrong = hard_target(problem, loss)
    mantissa, exponent = np.frexp(weight)
    share = twofold.mul(rows.reciprocal(), twofold.mul(_pair(mantissa), (np.array(factor[0]), np.array(factor[1]))))
    here = np.arange(len(at))[:, None], at
    own = at == rows.at
    rest = twofold.mul(_complement(own, rows.s, _plain(sheet, here)), share)
    _times(sheet, share, pool)
    sheet.hi[here], sheet.lo[here], sheet.exp2[here] = -rest[0], -rest[1], 0
    sheet.exp2 += exponent + factor[2]
    sheet.missing[here] = own & rows.tiny
    sheet.missing |= rows.undefined | wrong


def _soft_gradient(problem: Problem, loss: Loss, sheet: Sheet, factor: tuple[float, float, int]) -> None:
    x = problem.logits
    pool, total = _pool(x), _Total(x.shape[0])
    rows = _reduce(problem, pool, sheet)
    unfit = rows.undefined.copy()
    for r, c in tiles(x.shape, _BLOCK):
        arrays = pool.cut(x[r, c])
        arrays[0][...], arrays[1][...] = _coefficients(loss, x.shape[1], r, c)
        unfit[r] |= _unfit(problem, arrays[0], (r, c))
        total.take((r, c), x.shape[1], (arrays[0], arrays[1]), (arrays[2], arrays[3]))
    reciprocal = rows.reciprocal()
    for r, c in tiles(x.shape, _BLOCK):
        weight = _coefficients(loss, x.shape[1], r, c)
        all_weights, s, g = ((pair[0][r], pair[1][r]) for pair in ((total.hi, total.lo), rows.s, reciprocal))
        own = rows.at[r] == np.arange(c.start, c.stop)
        e = _plain(sheet, (r, c))
        p, rest = twofold.mul(e, g), twofold.mul(_complement(own, s, e), g)
        a = twofold.mul(p, twofold.add_any(all_weights, (-weight[0], -weight[1])))
        b = twofold.mul(weight, rest)
        value = twofold.add_any(a, (-b[0], -b[1]))
        size = np.abs(value[0])
        unsure = ~(_SOFT * (a[0] + b[0]) + 2.0**-94 * p[0] * all_weights[0] <= BOUND * size)
        unsure |= (size < _SMALL) & (rest[0] != 0) | own & rows.tiny[r]
        alone = twofold.mul(twofold.mul((sheet.hi[r, c], sheet.lo[r, c]), g), all_weights)
        label = weight[0] != 0
        value = np.where(label, value[0], alone[0]), np.where(label, value[1], alone[1])
        sheet.hi[r, c], sheet.lo[r, c] = twofold.mul(value, (np.array(factor[0]), np.array(factor[1])))
        np.copyto(sheet.exp2[r, c], 0, where=label)
        sheet.missing[r, c] = np.where(label, unsure, sheet.missing[r, c])
    sheet.exp2 += factor[2]
    sheet.missing |= unfit


def _jacobian(problem: Problem, sheet: Sheet) -> None:
    x = problem.logits
    columns = x.shape[1]
    pool, soft = _pool(x), Sheet.of_pairs(x.shape)
    rows = _reduce(problem, pool, soft)
    own = rows.at == np.arange(columns)
    g = rows.reciprocal()
    rest = twofold.mul(_complement(own, rows.s, _plain(soft, (slice(None), slice(None)))), g)
    _times(soft, g, pool)
    step = max(1, _BLOCK // columns**2)
    for r in (slice(row, row + step) for row in range(0, x.shape[0], step)):
        hi, lo = twofold.mul(
            (soft.hi[r, :, None], soft.lo[r, :, None]),
            (soft.hi[r, None, :], soft.lo[r, None, :]),
        )
        sheet.hi[r], sheet.lo[r] = -hi, -lo
        sheet.exp2[r] = soft.exp2[r, :, None] + soft.exp2[r, None, :]
        sheet.missing[r] = soft.missing[r, :, None] | soft.missing[r, None, :] | rows.undefined[r, None]
    i = np.arange(columns)
    sheet.hi[:, i, i], sheet.lo[:, i, i] = twofold.mul((soft.hi, soft.lo), rest)
    sheet.exp2[:, i, i] = soft.exp2
    sheet.missing[:, i, i] |= own & rows.tiny
    _tidy(sheet)


_QUANTITIES: dict[str, Callable[[Problem, Sheet], None]] = {
    "softmax": _softmax,
    "log-softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "cross-entropy": _cross_entropy,
    "gradient": _gradient,
    "jacobian": _jacobian,
}
