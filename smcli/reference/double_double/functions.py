"""Exponentials, logarithms and powers of pairs, beyond those that every quantity needs."""

from __future__ import annotations

from fractions import Fraction
from math import factorial, ldexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.double_double.elementary import LN2, exponential, log1p, without_powers
from smcli.reference.double_double.reduce import paired

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import IntArray
    from smcli.reference.double_double.twofold import Pair

_LN2_PAIR = twofold.of_integer(LN2, 200)
WHOLE = 16  # exponents up to which a power is a product
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


def power(q: Pair, gamma: float) -> tuple[Pair, IntArray]:
    """(pair, k) with q^gamma = pair·2^k for q <= 1; nothing where q is 0 is certain."""
    if gamma == int(gamma) and gamma <= WHOLE:
        _, k = np.frexp(q[0])
        return product((np.ldexp(q[0], -k), np.ldexp(q[1], -k)), int(gamma)), k.astype(np.int64) * int(gamma)
    log = log_of(q)
    log = np.where(log[0] > 0, 0.0, log[0]), np.where(log[0] > 0, 0.0, log[1])
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
