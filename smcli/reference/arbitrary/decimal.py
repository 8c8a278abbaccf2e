"""Certified values as decimal text: rounded to nearest, ties to even, and only where every digit is certain."""

from __future__ import annotations

import math
from functools import lru_cache

from smcli.reference.arbitrary.elementary import exponential, log_of
from smcli.reference.arbitrary.interval import Enclosure, Interval, multiply, nearest
from smcli.reference.layout import layout

FAR = 1 << 16  # binary exponents beyond this go through logarithms instead of a power of ten
PIECE = 600  # decimal digits that Python converts at once, whatever limit it is given: 640 is the least
LOG10_2 = math.log10(2)


def decimal_of(value: Enclosure | float, digits: int) -> str | None:
    """The value as text of `digits` significant digits; None where the enclosure is too wide to tell.

    Trailing zeros are dropped. Fixed notation for 1e-5 <= |value| < 10^max(digits, 17), else `d.ddde-6`. An exact zero
    is "0"; a float stands for nan and the infinities: "nan", "inf", "-inf".
    """
    if isinstance(value, float):
        return str(value)
    lo, hi, exp, den = value
    if lo == 0 == hi:
        return "0"
    if lo < 0 < hi or lo == 0 or hi == 0:
        return None
    sign = ""
    if hi < 0:
        sign, lo, hi = "-", -hi, -lo
    tens = 0
    if abs(exp) > FAR and lo < hi:
        lo, hi, exp, tens = _without_far_exponent(Interval(lo, hi, exp))
    found = _significand(Enclosure(lo, hi, exp, den), digits)
    if found is None:
        return None
    number, place = found
    return sign + layout(_integer_text(number), place + tens, digits)


def _significand(value: Enclosure, digits: int) -> tuple[int, int] | None:
    """(N, k), N of just `digits` digits: the value rounds to N·10^(k + 1 − digits)."""
    lo, hi, exp, den = value
    place = math.floor(_log10(lo, exp, den) - 1e-6)  # at most one too low
    while True:
        shift = digits - 1 - place
        if shift >= 0:
            power, divisor = power_of_ten(shift), den
        else:
            power, divisor = 1, den * power_of_ten(-shift)
        n = lo * power
        rounded = nearest(n, divisor, exp, tie=0 if lo == hi else 1)
        if lo != hi and rounded != nearest(n + (hi - lo) * power, divisor, exp, tie=-1):
            return None
        if rounded < power_of_ten(digits):
            return rounded, place
        if rounded == power_of_ten(digits):  # 9.99… rounded up
            return power_of_ten(digits - 1), place + 1
        place += 1


def _log10(n: int, exp: int, den: int) -> float:
    """log10(n·2^exp/den) to within 1e-6 while |exp| is below 2^30."""
    return _log2(n) * LOG10_2 + exp * LOG10_2 - _log2(den) * LOG10_2


def _log2(n: int) -> float:
    cut = max(0, n.bit_length() - 53)
    return math.log2(n >> cut) + cut


def _without_far_exponent(x: Interval) -> tuple[int, int, int, int]:
    """An interval of ordinary size times a power of ten that is x: (lo, hi, exp, tens).

    2^e = 10^k·exp(t) with k = ⌊e·ln 2/ln 10⌋ and t = e·ln 2 − k·ln 10 in [0, ln 10), so that
    exp(t) = 10·exp(−(ln 10 − t)). With b bits after the point in the logarithms (each within 3·2^-b), t is known to
    within (3|e| + 3|k|)·2^-b.
    """
    bits = x.hi.bit_length() + 16
    places = bits + x.exp.bit_length() + 8
    ln2, ln10 = log_of(2, places), log_of(10, places)
    k, t = divmod(x.exp * ln2, ln10)
    error = 3 * (abs(x.exp) + abs(k) + 1)
    factor = exponential(bits).of(max(0, ln10 - t), places)
    width = (factor.hi >> (places - error.bit_length() - 2)) + 1  # exp(−a ± error) is within (1 ± 2·error) exp(−a)
    wide = Interval(factor.lo - width, factor.hi + width, factor.exp)
    product = multiply(Interval(x.lo, x.hi, 0), wide, bits + 8)
    return product.lo, product.hi, product.exp, k + 1


@lru_cache(maxsize=256)
def power_of_ten(n: int) -> int:
    """10^n, kept for the next caller."""
    return int(10**n)


def _integer_text(n: int) -> str:
    """The digits of n > 0, in pieces, because Python refuses to convert many at once."""
    if type(n) is not int:
        return str(n)  # gmpy2's integers have no such limit
    if n < power_of_ten(PIECE):
        return str(n)
    half = math.ceil(n.bit_length() * LOG10_2 / 2)
    high, low = divmod(n, power_of_ten(half))
    return _integer_text(high) + _padded(low, half)


def _padded(n: int, digits: int) -> str:
    return (_integer_text(n) if n else "").zfill(digits)
