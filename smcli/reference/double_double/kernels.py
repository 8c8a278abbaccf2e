"""Entropy, divergence, focal loss, sigmoids and signed logsumexp in pairs.

EXP and A as in the tier's own bounds.

- sigmoid and log-sigmoid: a quotient by 1 + e^-|y|, and |y| or 0 beside log1p(e^-|y|), as in `binary`: no sum cancels.
  Under a soft cap the logarithm of y <= 0 errs by A/log 2 more, 2^-84.
- entropy = log1p(s) + Σ e^z|z|/(1 + s), all terms >= 0; z errs by A or 13u², and Σ e^z·A/(1 + s) <= A·log1p(s):
  2 EXP + A + 2^-95. Rows that are tiny are left open.
- focal = (1 - p_t)^γ·(-log p_t): γ times the 2 EXP of 1 - p_t, and LOG + A/log 2. Powers of whole γ are products, others
  e^(γ·log q) with log q to an absolute 2^-91.
- KL = Σ t_i d_i - D, d_i = a_i - z_i and D = log1p(s_a) - log1p(s_z): an absolute 2 EXP·(Σ t_i|d_i| + both logarithms),
  certified where that is within LOOSE. Rows that nearly agree: with d' = d - d_r, r the maximum of t, of
  |d'| <= 1, D' = -log1p(Σ t_i·expm1(-d'_i)) and KL = Σ t_i·g(D' - d'_i), g(x) = e^x - 1 - x, a sum of terms >= 0 that
  errs by 2|x| times the error of x, 2^-85·Σ t|d'|.
- signed logsumexp = m + log |V|, V = Σ b·e^z as a sum of positive terms less one of negative ones: certified where
  2 EXP·Σ|b|e^z/|V| is within LOOSE of the result.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import factorial, ldexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import softcap, twofold
from smcli.reference.double_double.binary import magnitude
from smcli.reference.double_double.elementary import _LN2, exponential, log1p, without_powers
from smcli.reference.double_double.reduce import (
    BOUND,
    SMALL,
    Rows,
    Total,
    complement,
    cut,
    exp_error,
    exponentials,
    paired,
    plain,
    pool_for,
    reach,
    reduce,
    shift,
)
from smcli.reference.losses import hard_target
from smcli.reference.tiles import PIECE, Pool, Sheet, tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair

_LN2_PAIR = twofold.of_integer(_LN2, 200)
WHOLE = 16  # exponents up to which a power is a product
LOOSE = (
    2.0**-70
)  # the bound of what is a difference here: the fewest elements are left to integers or to be rounded by them
MOST = 64.0  # exponents gamma beyond are left to integers
_SPAN = 2.0**100
SERIES = 2.0**-6
_FEWER = ((0, 2.0**-34), (1, 2.0**-16), (2, 2.0**-10))  # pairs of a series, and for which arguments


def minus(a: Pair) -> Pair:
    """Minus the pair."""
    return -a[0], -a[1]


def scaled_exp(z: Pair) -> tuple[Pair, IntArray]:
    """(pair, k) with e^z = pair·2^k for -2^20 <= z <= 0."""
    rest, k = without_powers(z)
    hi, lo = np.empty_like(rest[0]), np.empty_like(rest[0])
    spare = [np.empty_like(hi) for _ in range(5)]
    exponential((rest[0].copy(), rest[1].copy()), hi, lo, np.empty(hi.shape, np.int64), spare)
    return (hi, lo), k


def log_of(a: Pair) -> Pair:
    """log a for normal pairs a > 0, to an absolute 2^-91: log1p(v - 1) + k·log 2 with a = v·2^k, 1 <= v < 2."""
    _, k = np.frexp(a[0])
    v = np.ldexp(a[0], 1 - k), np.ldexp(a[1], 1 - k)
    rest = twofold.two_sum(v[0] - 1, v[1])
    low = rest[0] < 0  # the low part took v below 1
    rest = np.where(low, 0.0, rest[0]), np.where(low, 0.0, rest[1])
    power = twofold.mul(paired((k - 1).astype(np.float64)), tuple(np.full_like(a[0], c) for c in _LN2_PAIR))  # type: ignore[arg-type]
    found = twofold.add_any(power, log1p(rest))
    return found[0], found[1] + np.where(low, v[1], 0.0)


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


def weighted(
    problem: Problem, pool: Pool, rows: Rows, soft: Sheet
) -> Iterator[tuple[tuple[slice, slice], Pair, Pair, list[FloatArray]]]:
    """Tile by tile: the tile, its z, its e^z without exponent, and nine spare arrays."""
    x = problem.logits
    for r, c in tiles(x.shape, PIECE):
        arrays = pool.cut(x[r, c])
        z = shift(problem, pool.load(x[r, c], arrays[3]), cut(rows.top, r), arrays)
        yield (r, c), (z[0], z[1]), plain(soft, (r, c)), arrays[2:]


def put(total: Total, tile: tuple[slice, slice], columns: int, pair: Pair, arrays: list[FloatArray]) -> None:
    """Add a tile of pairs of any sign to a total; seven spare arrays.

    The bound of `twofold.fold` then is relative to the sum of the absolute values: each of its sums is exact but for the
    low parts, which are below (d + 1)u of that sum. Only the last pair needs an exact sum of its own.
    """
    np.copyto(arrays[0], pair[0])
    np.copyto(arrays[1], pair[1])
    total.take(tile, columns, (arrays[0], arrays[1]), arrays[2:])


def moment(problem: Problem, pool: Pool, rows: Rows, soft: Sheet) -> Pair:
    """Σ e^z·|z| of every row [R, 1]."""
    total = Total(len(problem.logits))
    for tile, z, e, arrays in weighted(problem, pool, rows, soft):
        hi, lo = twofold.mul(e, minus(z))
        gone = e[0] == 0
        if gone.any():
            hi[gone] = lo[gone] = 0
        put(total, tile, problem.logits.shape[1], (hi, lo), arrays)
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


def power(q: Pair, gamma: float) -> tuple[Pair, IntArray]:
    """(pair, k) with q^gamma = pair·2^k for q <= 1; nothing where q is 0 is certain."""
    if gamma == int(gamma) and gamma <= WHOLE:
        _, k = np.frexp(q[0])
        factor = np.ldexp(q[0], -k), np.ldexp(q[1], -k)
        result = paired(np.ones_like(q[0]))
        for _ in range(int(gamma)):
            result = twofold.mul(result, factor)
        return result, k.astype(np.int64) * int(gamma)
    log = log_of(q)
    log = np.where(log[0] > 0, 0.0, log[0]), np.where(log[0] > 0, 0.0, log[1])
    z = twofold.mul(log, (np.full_like(q[0], gamma), np.zeros_like(q[0])))
    return scaled_exp(z)


def focal(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with (1 - p_t)^gamma·(-log p_t)·weight."""
    rows, (at, weight, wrong), q, log, _ = of_target(problem)
    assert problem.loss is not None  # noqa: S101 - the tier asks first
    gamma = problem.loss.gamma
    raised, k = power(q, gamma)
    value = twofold.mul(twofold.mul(raised, log), paired(weight))
    none = (weight == 0) | (log[0] == 0)
    sheet.hi[...], sheet.lo[...] = np.where(none, 0.0, value[0]), np.where(none, 0.0, value[1])
    sheet.exponents()[...] = np.where(none, 0, k)
    sheet.missing[...] = rows.undefined | wrong | rows.tiny & (at == rows.at) | ~np.isfinite(value[1]) & ~none
    sheet.missing |= ~((weight == 0) | (np.abs(weight) > 1 / _SPAN) & (np.abs(weight) < _SPAN))
    sheet.bound = focal_error(problem, gamma)


def focal_error(problem: Problem, gamma: float) -> float:
    """gamma·(2 EXP + 2^-91) and (EXP + 2^-93 + A/log 2), the exponential and some products."""
    cap = softcap.error(problem)
    return float(max(BOUND, gamma * (2.1 * exp_error(problem) + 2.0**-91) + exp_error(problem) + 4 * cap + 2.0**-88))


def of_target(
    problem: Problem, sheet: Sheet | None = None
) -> tuple[Rows, tuple[IntArray, FloatArray, BoolArray], Pair, Pair, Pair]:
    """What is known of every row, of its target, and of that 1 - p, -log p and p, [R, 1] each."""
    assert problem.loss is not None  # noqa: S101 - the tier asks first
    rows = reduce(problem, pool_for(problem.logits), sheet)
    at, weight, wrong = hard_target(problem, problem.loss)
    x = np.take_along_axis(problem.logits, at, axis=1)
    z = shift(problem, x, rows.top, [np.empty_like(x) for _ in range(3)])
    log = twofold.add(log1p(rows.s), minus((z[0], z[1])))
    near = np.where(z[0] < -700, -700, z[0]), np.where(z[0] < -700, 0, z[1])
    hi, k = scaled_exp(near)
    far = z[0] < -700  # p and γ·p·log p are nothing beside 1 there, however large the logarithm
    e = np.where(far, 0, np.ldexp(hi[0], k)), np.where(far, 0, np.ldexp(hi[1], k))
    g = rows.reciprocal()
    return rows, (at, weight, wrong), twofold.mul(complement(at == rows.at, rows.s, e), g), log, twofold.mul(e, g)


def signed_sum(problem: Problem, sheet: Sheet | None = None) -> tuple[Rows, Pair, FloatArray, BoolArray]:
    """Σ b·e^z [R, 1] beside the rows: with its absolute error, and where it is not known at all."""
    b, x = problem.coefficients, problem.logits
    assert b is not None  # noqa: S101 - asked only then
    pool, soft = pool_for(x), sheet or Sheet.of_pairs(x.shape)
    rows = reduce(problem, pool, soft)
    total, whole, size = Total(len(x)), np.zeros((len(x), 1)), np.abs(b)
    for r, c in tiles(x.shape, PIECE):
        arrays = pool.cut(x[r, c])
        hi, lo = twofold.mul(plain(soft, (r, c)), paired(np.broadcast_to(b[None, c], x[r, c].shape)))
        whole[r] += np.abs(hi).sum(axis=1, keepdims=True)
        put(total, (r, c), x.shape[1], (hi, lo), arrays)
    value = twofold.two_sum(total.hi, total.lo)
    unsure = (exp_error(problem) + 2.0**-95) * whole
    inside = bool(np.isfinite(b).all()) and bool(((b == 0) | (size > 1 / _SPAN) & (size < _SPAN)).all())
    return rows, value, unsure, rows.undefined | (whole < 2.0**-600) | ~np.isfinite(whole) | (not inside)


def signed_logsumexp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with m + log |Σ b·e^z|, certified where nothing cancels too much."""
    rows, value, unsure, lost = signed_sum(problem)
    size = np.abs(value[0])
    absolute = np.where(value[0] < 0, -value[0], value[0]), np.where(value[0] < 0, -value[1], value[1])
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


def both(problem: Problem) -> tuple[Problem, Problem]:
    """First and second row of a divergence as problems of their own."""
    loss = problem.loss
    assert loss is not None and loss.teacher is not None  # noqa: S101 - the tier asks first
    student, teacher = replace(problem, loss=None), replace(problem, logits=loss.teacher, loss=None)
    return (student, teacher) if loss.reverse else (teacher, student)


def expm1(x: Pair) -> Pair:
    """e^x - 1 for |x| <= 5: relative error 2^-85; x·(1 + x·series) up to |x| = 2^-6."""

    def near(x: Pair) -> Pair:
        return twofold.mul(x, twofold.add_any(paired(np.ones_like(x[0])), twofold.mul(x, _series(x))))

    return _pieced(x, near, _expm1_far)


def excess(x: Pair) -> Pair:
    """e^x - 1 - x for |x| <= 5: relative error 2^-78; x²·series up to |x| = 2^-6."""

    def near(x: Pair) -> Pair:
        return twofold.mul(twofold.mul(x, x), _series(x))

    return _pieced(x, near, lambda x: twofold.add_any(_expm1_far(x), minus(x)))


def _expm1_far(x: Pair) -> Pair:
    hi, lo = np.empty_like(x[0]), np.empty_like(x[0])
    spare = [np.empty_like(hi) for _ in range(5)]
    exponential((x[0].copy(), x[1].copy()), hi, lo, np.empty(hi.shape, np.int64), spare)
    return twofold.add_any((hi, lo), paired(np.full_like(hi, -1.0)))


def _pieced(x: Pair, near: Callable[[Pair], Pair], far: Callable[[Pair], Pair]) -> Pair:
    """`near` up to |x| = 2^-6, `far` of what is beyond."""
    beyond = np.abs(x[0]) >= SERIES
    if not beyond.any():
        return near(x)
    hi, lo = near((np.where(beyond, 0.0, x[0]), np.where(beyond, 0.0, x[1])))
    hi[beyond], lo[beyond] = far((x[0][beyond], x[1][beyond]))
    return hi, lo


def _series(x: Pair) -> Pair:
    """1/2! + x/3! + x²/4! + .. for |x| <= 2^-6: relative error 2^-86; nothing from x^13 on.

    1/(k + 2)! is a pair, and what follows it is computed in float64, as 3u·|x|^(k+1)·2/(k + 3)! is below 2^-86.9: k = 4, or
    2, 1 and 0 for |x| up to 2^-10, 2^-16 and 2^-34. The k terms before it are pairs, 13u² each: 2^-100.
    """
    w = x[0]
    most = np.abs(w).max(initial=0.0)
    pairs = next((k for k, limit in _FEWER if most <= limit), 4)
    tail = np.zeros_like(w)
    for n in range(14, pairs + 2, -1):
        tail = 1 / factorial(n) + w * tail
    hi, lo = _INVERSES[pairs]
    result: Pair = twofold.two_sum(np.full_like(w, hi), w * tail + lo)
    for hi, lo in reversed(_INVERSES[:pairs]):
        result = twofold.add_any((np.full_like(w, hi), np.full_like(w, lo)), twofold.mul(x, result))
    return result


def _inverse(n: int) -> tuple[float, float]:
    hi, lo, k = twofold.of_fraction(Fraction(1, n))
    return ldexp(hi, k), ldexp(lo, k)


_INVERSES = [_inverse(n) for n in (2, 6, 24, 120, 720)]


def kl(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with Σ t_i (log t_i - log p_i)."""
    first, second = both(problem)
    x, columns = first.logits, first.logits.shape[1]
    pool, soft = pool_for(x), Sheet.of_pairs(x.shape)
    own, other = reduce(first, pool, soft), reduce(second, pool)
    total, spread, bad = Total(len(x)), np.zeros((len(x), 1)), own.undefined | other.undefined
    for r, c in tiles(x.shape, PIECE):
        arrays, tile = pool.cut(x[r, c]), (r, c)
        a = shift(first, pool.load(x[tile], arrays[3]), cut(own.top, r), arrays)
        a = a[0].copy(), a[1].copy()
        z = shift(second, pool.load(second.logits[tile], arrays[3]), cut(other.top, r), arrays)
        e = plain(soft, tile)
        masked = a[0] == -np.inf
        d = twofold.add_any(a, minus((z[0], z[1])))
        hi, lo = twofold.mul(e, d)
        gone = masked | (e[0] == 0)
        bad[r] |= (~masked & ~(np.abs(z[0]) < np.inf)).any(axis=1, keepdims=True)
        if gone.any():
            hi[gone] = lo[gone] = 0
        spread[r] += np.abs(hi).sum(axis=1, keepdims=True)
        put(total, tile, columns, (hi, lo), arrays)
    g = own.reciprocal()
    mean = twofold.mul(twofold.two_sum(total.hi, total.lo), g)
    spread *= g[0]
    log_a, log_z = log1p(own.s), log1p(other.s)
    value = twofold.add_any(mean, twofold.add_any(log_z, minus(log_a)))
    cap = softcap.error(problem)
    unsure = (2 * exp_error(problem) + 2.0**-95) * spread + 2 * cap
    unsure += (exp_error(problem) + 2.0**-92.9) * (log_a[0] + log_z[0]) + (own.tiny | other.tiny) * 2.0**-700
    unsure += (problem.temperature != 1) * 2.0**-94 * spread
    sheet.bound = LOOSE
    sheet.hi[...], sheet.lo[...] = value
    sheet.missing[...] = bad | ~(unsure <= LOOSE * np.abs(value[0]))
    if sheet.missing.any() and problem.softcap is None:
        some = np.flatnonzero(sheet.missing & ~bad)
        if some.size:
            _near(first, second, some, sheet)


class Near:
    """Rows that nearly agree, [K, C]: t as pairs, x = log p - log t as pairs, its absolute error, and which are known."""

    def __init__(self, first: Problem, second: Problem, rows: IntArray) -> None:
        first, second = (replace(q, logits=q.logits[rows], ignored=None) for q in (first, second))
        a, z = first.logits, second.logits
        pool, soft = pool_for(a), Sheet.of_pairs(a.shape)
        own = reduce(first, pool, soft)
        top = own.at
        fits = (a == -np.inf) == (z == -np.inf)
        with np.errstate(all="ignore"):
            base = np.take_along_axis(a, top, 1), np.take_along_axis(z, top, 1)
            left, right = twofold.two_sum(a, -base[0]), twofold.two_sum(z, -base[1])
            d = twofold.add_any(left, minus(right))
        apart = np.where(a == -np.inf, 0, d[0])  # before a temperature takes it below every float
        if first.temperature != 1:
            d = twofold.div(d, paired(np.array(first.temperature)))
        gone = a == -np.inf
        d = np.where(gone, 0, d[0]), np.where(gone, 0, d[1])
        ok = fits.all(axis=1, keepdims=True) & ~own.undefined & (np.abs(d[0]).max(axis=1, keepdims=True) <= 1)
        ok &= ~own.tiny & ~soft.missing.any(axis=1, keepdims=True)
        keep = np.where(ok, 1.0, 0.0)
        d = d[0] * keep, d[1] * keep
        self.t = twofold.mul(plain(soft, (slice(None), slice(None))), own.reciprocal())
        moved = twofold.mul(self.t, expm1(minus(d)))
        size = np.abs(moved[0]).sum(axis=1, keepdims=True)
        q = _row_sum(moved)
        log = log1p((np.abs(q[0]), np.where(q[0] < 0, -q[1], q[1])))
        # log(1 - w) = -log1p(w/(1 - w))
        w = np.abs(q[0]), np.where(q[0] < 0, -q[1], q[1])
        other = log1p(twofold.div(w, twofold.add_any(paired(np.ones_like(w[0])), minus(w))))
        shift_by = np.where(q[0] < 0, other[0], -log[0]), np.where(q[0] < 0, other[1], -log[1])
        self.error = 2.0**-84.5 * size  # the sum of terms of both signs errs by that of their sizes, see `put`
        self.x = twofold.add_any(shift_by, minus(d))
        self.same = ok & ~apart.any(axis=1, keepdims=True)
        self.known = ok & ((w[0] == 0) | (w[0] > SMALL))
        self.gone = gone


def _row_sum(pair: Pair) -> Pair:
    hi, lo = pair if pair[0].shape[1] >= 64 else (np.asfortranarray(pair[0]), np.asfortranarray(pair[1]))
    hi, lo = twofold.fold(hi, lo, [np.empty_like(hi) for _ in range(5)])
    return twofold.fast_two_sum(hi, lo)


def _near(first: Problem, second: Problem, rows: IntArray, sheet: Sheet) -> None:
    step = max(1, PIECE // first.logits.shape[1])
    for start in range(0, rows.size, step):
        some = rows[start : start + step]
        near = Near(first, second, some)
        terms = twofold.mul(near.t, excess(near.x))
        terms = np.where(near.gone, 0, terms[0]), np.where(near.gone, 0, terms[1])
        value = _row_sum(terms)
        size = (near.t[0] * np.abs(near.x[0])).sum(axis=1, keepdims=True)
        unsure = 2.5 * size * near.error + 2.0**-77 * value[0]
        fine = near.same | near.known & (unsure <= LOOSE * value[0]) & (value[0] > SMALL)
        at = some[fine[:, 0]]
        sheet.hi[at], sheet.lo[at], sheet.missing[at] = value[0][fine[:, 0]], value[1][fine[:, 0]], False
