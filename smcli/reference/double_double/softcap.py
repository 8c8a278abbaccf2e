"""The soft cap, cap·tanh(x/T/cap), and its slope in pairs."""

from __future__ import annotations

from fractions import Fraction
from math import ldexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.double_double import twofold
from smcli.reference.double_double.elementary import exponential, without_powers

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.double_double.twofold import Pair

LARGEST = 50.0  # caps beyond it would leave too little of the bound
_FLAT = 88.0  # 2|x|/T/cap from which tanh is 1 to within 2^-125


def error(problem: Problem) -> float:
    """Bound of the absolute error of a capped logit: see `raised`."""
    return 0.0 if problem.softcap is None else problem.softcap * 2.0**-93.3


def raised(problem: Problem, x: FloatArray) -> Pair:
    """The capped logit plus the cap, 2·cap/(1 + F) with F = e^(-2x/T/cap): absolute error below cap·2^-93.3.

    The derivative by log F is 2·cap·F/(1 + F)² <= cap/2: cap·2^-93.4 for |log F| <= 6, where F is right to 2^-92.4;
    beyond, it is below 2·cap·e^-6 = cap·2^-7.6 against an error of F of 2^-89.3. The argument errs by 6u²·6, the sum and
    the quotient by 17u² of 2·cap. Beyond F = e^±88 the result is 0 or 2·cap to within cap·2^-125.
    """
    high, low = _argument(problem, -x)
    far = ~(np.abs(high) < _FLAT)
    if far.any():
        high, low = np.clip(high, -_FLAT, _FLAT), np.where(far, 0, low)
    f = _exp((high, low))
    one = np.array(1.0)
    total, low = twofold.two_sum(one, f[0])
    low += f[1]
    return twofold.div((np.array(2 * required(problem.softcap)), np.array(0.0)), twofold.fast_two_sum(total, low))


def slope(problem: Problem, x: FloatArray) -> tuple[Pair, IntArray, BoolArray]:
    """(pair, k, where it is not certified): the slope is pair·2^k = 4F/(1 + F)², F = e^(-2|x|/T/cap): error 2^-89.2.

    Its condition by log F is at most 1; 2^-89.3 for F, or 2^-92.4 + 2^-96 + 4u²·2^14 for large arguments, and 60u².
    """
    high, low = _argument(problem, -np.abs(x))
    far = ~(high > -(2.0**14))
    if far.any():
        high, low = np.where(far, 0, high), np.where(far, 0, low)
    z, k = without_powers((high, low))
    f = _exp(z)
    plain = np.empty_like(x), np.empty_like(x)
    twofold.scale(f[0], f[1], k, plain, np.empty_like(x))
    total = twofold.add((np.ones_like(x), np.zeros_like(x)), plain)
    value = twofold.div((4 * f[0], 4 * f[1]), twofold.mul(total, total))
    return value, k, far


def _argument(problem: Problem, x: FloatArray) -> Pair:
    """2x/T/cap to 6u²; the low part is nan or short where the result is huge or tiny."""
    high, low, exponent = twofold.of_fraction(2 / (Fraction(problem.temperature) * Fraction(required(problem.softcap))))
    product, rest = twofold.two_prod(x, np.array(ldexp(high, exponent)))
    rest += x * ldexp(low, exponent)
    return product, rest


def _exp(z: Pair) -> Pair:
    hi, lo = np.empty_like(z[0]), np.empty_like(z[0])
    spare = [np.empty_like(hi) for _ in range(5)]
    exponential(z, hi, lo, np.empty_like(hi, dtype=np.int64), spare)
    return hi, lo
