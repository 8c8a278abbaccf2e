"""Logarithms, exponentials and powers of enclosed numbers of any size and sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smcli.reference.arbitrary.elementary import exponential, log, log1p, log_of
from smcli.reference.arbitrary.interval import (
    ONE,
    ZERO,
    Interval,
    add,
    ceil_shift,
    floor_shift,
    multiply,
    reciprocal,
    scale,
    subtract,
    times,
    top,
    trim,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction

UNKNOWN = Interval(-1, 1, 5000)  # beyond all logits: what takes more bits to tell
MOST_FACTORS = 64  # an exponent up to which a power is a product


def enclosed(number: Fraction, bits: int) -> Interval:
    """A fraction as an interval of a relative width below 2^-bits; exactly where it is a short binary number."""
    shift = max(0, bits + number.denominator.bit_length() - number.numerator.bit_length())
    low, rest = divmod(number.numerator << shift, number.denominator)
    return trim(Interval(low, low + bool(rest), -shift), max(bits, abs(number.numerator).bit_length()))


def hull(x: Interval, y: Interval, bits: int) -> Interval:
    """The smallest interval with all of both in it, cut outward to `bits` bits."""
    sizes = [top(v) for v in (x, y) if v.lo or v.hi]
    exp = max(min(x.exp, y.exp), max(sizes, default=0) - bits)
    low = min(floor_shift(v.lo, v.exp - exp) for v in (x, y))
    high = max(ceil_shift(v.hi, v.exp - exp) for v in (x, y))
    return Interval(low, high, exp)


def total(terms: Iterable[Interval], bits: int) -> Interval:
    """The sum of the terms, to `bits` bits of the largest partial one."""
    result = ZERO
    for term in terms:
        result = add(result, term, bits)
    return result


def exp_of(x: Interval, bits: int) -> Interval:
    """e^x: e^lo times 1 .. 1 + 2(hi − lo), which is more than e^(hi − lo) while that is below 1/2."""
    low = _exp(x.lo, x.exp, bits)
    width = x.hi - x.lo
    if not width:
        return low
    if width.bit_length() + x.exp < 0:
        return multiply(low, add(ONE, Interval(0, 2 * width, x.exp), bits), bits)
    return hull(low, _exp(x.hi, x.exp, bits), bits)


def _exp(n: int, exp: int, bits: int) -> Interval:
    decay = exponential(bits).of(abs(n), -exp)
    return reciprocal(decay, bits) if n > 0 else decay


def ln(x: Interval, bits: int) -> Interval:
    """log x for x > 0: to an absolute 2^-bits, beside what the width of x leaves open."""
    if x.lo <= 0:
        return UNKNOWN
    size = x.lo.bit_length() - 1
    turns = size + x.exp
    low = ZERO if x.lo == 1 << size else log(x.lo, -size, bits + 4)
    if turns:
        extra = bits + 8 + turns.bit_length()
        unit = log_of(2, extra)
        low = add(low, times(Interval(unit, unit + 3, -extra), turns), bits + 16 + turns.bit_length())
    if x.lo == x.hi:
        return low
    shift = max(0, bits + 8 + size - (x.hi - x.lo).bit_length())
    spread = Interval(0, ((x.hi - x.lo) << shift) // x.lo + 1, -shift)
    return add(low, spread, bits + 32 + max(0, top(low)))


def ln1p(x: Interval, bits: int) -> Interval:
    """log(1 + x) for x > −1, relative to itself: below 2^-bits/3 by its series, x − x²/2 within |x|³/2."""
    if x.lo >= 0:
        return log1p(x, bits)
    size = top(x)
    if size < -bits // 3 and size < -2:
        square, least = multiply(x, x, bits + 8), 3 * size
        start = subtract(x, Interval(square.lo, square.hi, square.exp - 1), bits + 8)
        return add(start, Interval(-1, 1, least - 1), bits + 8)
    bits += max(0, -size) + 8
    return ln(add(ONE, x, bits + max(0, size) + 8), bits)


def power(x: Interval, exponent: Fraction, bits: int) -> Interval:
    """x^exponent for 0 <= x <= 1 and an exponent >= 0; 0^0 = 1."""
    if not exponent:
        return ONE
    if x.lo == 0 == x.hi:
        return ZERO
    if exponent.denominator == 1 and exponent <= MOST_FACTORS:
        result = x
        for _ in range(int(exponent) - 1):
            result = multiply(result, x, bits + 8)
        return result
    if x.lo <= 0:
        return Interval(0, 1, 0)
    extra = bits + 16 + max(0, exponent.numerator.bit_length() - exponent.denominator.bit_length())
    logarithm = ln(x, extra)
    return exp_of(scale(logarithm, exponent, extra + max(0, top(logarithm))), bits + 8)


def _round_up(bits: int) -> int:
    return -(-bits // 64) * 64  # few sizes: tables of exp are kept per size


def expm1(x: Interval, bits: int) -> Interval:
    """e^x − 1, of the relative precision of x."""
    ends = [_expm1(n, x.exp, bits) for n in ((x.lo,) if x.lo == x.hi else (x.lo, x.hi))]
    return ends[0] if len(ends) == 1 else hull(ends[0], ends[1], bits)


def _expm1(n: int, exp: int, bits: int) -> Interval:
    if not n:
        return ZERO
    x, size = Interval(n, n, exp), n.bit_length() + exp
    if size < -bits // 2 and size < -2:  # x + x²/2, and x³/6·(1 + ..) within x³/4
        square = multiply(x, x, bits + 8)
        start = add(x, Interval(square.lo, square.hi, square.exp - 1), bits + 8)
        return add(start, Interval(-1, 1, 3 * size - 2), bits + 8)
    work = _round_up(bits + 8 + max(0, -size))
    return subtract(_exp(n, exp, work), ONE, work)


def excess(x: Interval, bits: int) -> Interval:
    """e^x − 1 − x >= 0, which falls below 0 and rises above."""
    ends = [_excess(n, x.exp, bits) for n in {x.lo, x.hi}]
    if x.lo < 0 < x.hi:
        highest = hull(ends[0], ends[1], bits)
        return Interval(0, highest.hi, highest.exp)
    return ends[0] if len(ends) == 1 else hull(ends[0], ends[1], bits)


def _excess(n: int, exp: int, bits: int) -> Interval:
    if not n:
        return ZERO
    x, size = Interval(n, n, exp), n.bit_length() + exp
    if size < -bits // 2 and size < -2:  # x²/2 + x³/6, and x^4/24·(1 + ..) < x^4/12
        square = multiply(x, x, bits + 8)
        cube = _sixth(multiply(square, x, bits + 8), bits)
        start = add(Interval(square.lo, square.hi, square.exp - 1), cube, bits + 8)
        return add(start, Interval(0, 1, 4 * size - 3), bits + 8)
    work = _round_up(bits + 16 + max(0, -2 * size))
    return subtract(_exp(n, exp, work), add(ONE, x, work + max(0, size)), work + 8)


def _sixth(x: Interval, bits: int) -> Interval:
    shift = bits + 16
    return Interval(floor_shift(x.lo, shift) // 6, -(floor_shift(-x.hi, shift) // 6), x.exp - shift)
