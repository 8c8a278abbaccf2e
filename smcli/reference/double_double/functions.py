"""Exponentials, logarithms and powers of pairs, beyond those that every quantity needs."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import factorial, ldexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.double_double.elementary import LN2, exponential, log1p, looked_up, without_powers
from smcli.reference.double_double.twofold import minus, paired, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import IntArray
    from smcli.reference.double_double.twofold import Pair

_LN2_PAIR = twofold.of_integer(LN2, 200)
WHOLE = 16  # exponents up to which a power is a product
SERIES = 2.0**-6
_STEP = 1.5 * 2.0**33  # x + _STEP cuts x at 2^-19
_UPPER = -(1 << 27)
_FEWER = ((0, 2.0**-34), (1, 2.0**-16), (2, 2.0**-10))  # pairs of a series, and for which arguments


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
    rest = without(low, rest)
    power = twofold.mul(paired((k - 1).astype(np.float64)), tuple(np.full_like(a[0], c) for c in _LN2_PAIR))  # type: ignore[arg-type]
    found = twofold.add_any(power, log1p(rest))
    return found[0], found[1] + np.where(low, v[1], 0.0)


def power(q: Pair, gamma: float) -> tuple[Pair, IntArray]:
    """(pair, k) with q^gamma = pair·2^k for q <= 1; nothing where q is 0 is certain."""
    if gamma == int(gamma) and gamma <= WHOLE:
        _, k = np.frexp(q[0])
        return product((np.ldexp(q[0], -k), np.ldexp(q[1], -k)), int(gamma)), k.astype(np.int64) * int(gamma)
    log = log_of(q)
    log = without(log[0] > 0, log)
    z = twofold.mul(log, (np.full_like(q[0], gamma), np.zeros_like(q[0])))
    return scaled_exp(z)


def product(x: Pair, gamma: int) -> Pair:
    """x^gamma by squares: gamma - 1 times 9u²."""
    result: Pair | None = None
    for digit in f"{gamma:b}":
        result = result if result is None else twofold.mul(result, result)
        if digit == "1":
            result = x if result is None else twofold.mul(result, x)
    return paired(np.ones_like(x[0])) if result is None else result


def expm1(x: Pair) -> Pair:
    """e^x - 1 for |x| <= 5: relative error 2^-85; 2^-89 up to |x| = 2^-7."""
    return _pieced(x, 2.0**-7, _expm1_near, _expm1_far)


def excess(x: Pair) -> Pair:
    """e^x - 1 - x for |x| <= 5: relative error 2^-74; by x²·series up to |x| = 2^-6, by a shorter one up to 2^-11."""

    def middle(x: Pair) -> Pair:
        return twofold.mul(twofold.mul(x, x), _series(x))

    def far(x: Pair) -> Pair:
        return twofold.add_any(_expm1_far(x), minus(x))

    return _pieced(x, 2.0**-11, _excess_near, lambda x: _pieced(x, SERIES, middle, far))


@cache
def _steps() -> Pair:
    """e^g - 1 for g = j/2^19, j = -4096 .. 4096, at j modulo 16384: g·(1 + g/2·(1 + g/3·(..))) to 50u²."""
    j = np.arange(16384)
    g = np.where(j < 8192, j, j - 16384).clip(-4096, 4096) * 2.0**-19
    one = paired(np.ones_like(g))
    result = one
    for n in range(12, 1, -1):  # g^12/13! < 2^-116
        part = twofold.div(twofold.mul(paired(g), result), paired(np.full_like(g, n)))
        result = twofold.add_any(one, part)
    return twofold.mul(paired(g), result)


def _expm1_near(x: Pair) -> Pair:
    """e^x - 1 for |x| <= 2^-7: relative error 2^-89.

    x = g + r + xl, g a multiple of 2^-19: r is exact, at most 2^-20, and f = e^(r + xl) - 1 = r + a²/2 + t, a the upper 26
    bits of r, so that a² is exact. t < 2^-41·r is (r - a)(r + a)/2 + r³/6 + r^4/24 + r^5/120 + xl + xl·r: 11u for
    r³/6 < 2^-42.5·r make 2^-92, and xl·r²/2, left out, 2^-94. e^x - 1 = E + f + E·f, E = e^g - 1: the upper 26 bits of E
    times a are exact, the rest of E times f is below 2^-41 of the result and errs by 2^-92. Three sums are exact, ten are
    of low parts below 2^-40: 2^-89.7.
    """
    high, low = _steps()
    t = x[0] + _STEP
    at = t.view(np.int64) & 16383
    t -= _STEP
    start, rest = looked_up(high, at), looked_up(low, at)
    r = x[0] - t
    a = (r.view(np.int64) & _UPPER).view(np.float64)
    upper = (start.view(np.int64) & _UPPER).view(np.float64)
    series = r * (1 / 120)
    for coefficient in (1 / 24, 1 / 6):
        series += coefficient
        series *= r
    np.multiply(r, r, t)
    series *= t
    series += x[1]
    np.multiply(x[1], r, t)
    series += t
    less = r - a
    np.add(r, a, t)
    t *= less
    t *= 0.5
    series += t
    square = a * a
    square *= 0.5
    np.add(square, series, t)
    t *= start
    series += t
    less *= upper
    series += less
    np.subtract(start, upper, t)
    t += rest
    t *= r
    series += t
    series += rest
    a *= upper
    total, error = twofold.fast_two_sum(start, r)
    series += error
    for exact in (a, square):
        total, error = twofold.fast_two_sum(total, exact)
        series += error
    return twofold.fast_two_sum(total, series)


def _excess_near(x: Pair) -> Pair:
    """e^x - 1 - x for |x| <= 2^-11, as x²/2·(1 + x/3 + x²/12 + .. + x^5/2520): relative error 2^-74.

    x/3 is a quotient and the exact rest of it, over 3. The terms after it are below 2^-25.5 and err by 6u, 2^-75.9, as do
    two sums with them, 2^-77.5. The series ends 2^-80 before its end. x² is the exact square of 26 bits and what is beside
    it, 2^-24 of it, to 4u.
    """
    w = x[0]
    third = w / 3
    rest = w - 2 * third
    rest -= third
    rest += x[1]
    rest *= 1 / 3
    series = w * (1 / 2520)
    for coefficient in (1 / 360, 1 / 60):
        series += coefficient
        series *= w
    series += 1 / 12
    series *= w
    series *= w
    series += rest
    total, error = twofold.fast_two_sum(np.array(1.0), third)
    series += error
    a = (w.view(np.int64) & _UPPER).view(np.float64)
    low = w - a
    low *= w + a
    low += 2 * w * x[1]
    a *= a
    return twofold.mul(twofold.fast_two_sum(0.5 * a, 0.5 * low), twofold.fast_two_sum(total, series))


def _expm1_far(x: Pair) -> Pair:
    hi, lo = np.empty_like(x[0]), np.empty_like(x[0])
    spare = [np.empty_like(hi) for _ in range(5)]
    exponential((x[0].copy(), x[1].copy()), hi, lo, np.empty(hi.shape, np.int64), spare)
    return twofold.add_any((hi, lo), paired(np.full_like(hi, -1.0)))


def _pieced(x: Pair, limit: float, near: Callable[[Pair], Pair], far: Callable[[Pair], Pair]) -> Pair:
    """`near` up to the limit, `far` of what is beyond."""
    beyond = np.abs(x[0]) > limit
    if not beyond.any():
        return near(x)
    hi, lo = near(without(beyond, x))
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
