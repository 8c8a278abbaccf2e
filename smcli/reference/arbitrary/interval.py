"""Intervals with integer endpoints: sums, products and quotients that are rounded outward.

An `Interval` (lo, hi, exp) stands for a real number that is either exactly lo·2^exp, where lo == hi, or lies strictly
between lo·2^exp and hi·2^exp. Every function here keeps that promise:

- lower ends are rounded down and upper ends up, so an exact number that does not fit turns into a proper interval;
- the sum, product or quotient of numbers strictly inside their intervals lies strictly inside the exact sum, product
  or quotient of these intervals, because a map that is linear in each argument takes its extremes at the corners only
  (a factor that is exactly 0 gives exactly 0).

`bits` is the size to which the ends of a result are cut. Exponents are Python integers without bounds; ends may be
`int` or gmpy2's `mpz`, which behave alike.
"""

from __future__ import annotations

from math import lcm
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction


class Interval(NamedTuple):
    """A number that is lo·2^exp where lo == hi, and else lies strictly between lo·2^exp and hi·2^exp."""

    lo: int
    hi: int
    exp: int


class Enclosure(NamedTuple):
    """What is known of a value: an `Interval` over a denominator.

    The denominator is there for values that are rational (1/3), or very close to a rational number (1/40 + e^-1e300):
    an end can then *be* that number, so that a decimal tie is decided at once.
    """

    lo: int
    hi: int
    exp: int
    den: int = 1

    @property
    def exact(self) -> bool:
        """Whether the value is known exactly."""
        return self.lo == self.hi


ZERO = Interval(0, 0, 0)
ONE = Interval(1, 1, 0)
NOTHING = Enclosure(0, 0, 0)


def floor_shift(n: int, shift: int) -> int:
    """n·2^shift, rounded down; a shift to the right may be of any size."""
    return n << shift if shift >= 0 else n >> min(-shift, n.bit_length() + 1)


def ceil_shift(n: int, shift: int) -> int:
    """n·2^shift, rounded up; a shift to the right may be of any size."""
    return -floor_shift(-n, shift)


def top(x: Interval) -> int:
    """An exponent t with |x| <= 2^t."""
    return x.exp + max(x.lo.bit_length(), x.hi.bit_length())


def trim(x: Interval, bits: int) -> Interval:
    """The same number with ends of at most `bits` bits (or one more, after rounding up)."""
    excess = max(x.lo.bit_length(), x.hi.bit_length()) - bits
    if excess <= 0:
        return x
    return Interval(x.lo >> excess, -(-x.hi >> excess), x.exp + excess)


def negate(x: Interval) -> Interval:
    """Minus x."""
    return Interval(-x.hi, -x.lo, x.exp)


def add(x: Interval, y: Interval, bits: int) -> Interval:
    """The sum x + y. A short x and a tiny y > 0 give an interval whose lower end is x itself."""
    if x.lo == 0 == x.hi:
        return trim(y, bits)
    if y.lo == 0 == y.hi:
        return trim(x, bits)
    exp = max(min(x.exp, y.exp), max(top(x), top(y)) - bits)
    lo = floor_shift(x.lo, x.exp - exp) + floor_shift(y.lo, y.exp - exp)
    hi = ceil_shift(x.hi, x.exp - exp) + ceil_shift(y.hi, y.exp - exp)
    return Interval(lo, hi, exp)


def subtract(x: Interval, y: Interval, bits: int) -> Interval:
    """The difference x − y."""
    return add(x, negate(y), bits)


def multiply(x: Interval, y: Interval, bits: int) -> Interval:
    """The product x·y."""
    exp = x.exp + y.exp
    if x.lo >= 0 and y.lo >= 0:
        lo = x.lo * y.lo
        hi = lo + (x.hi - x.lo) * y.hi + (y.hi - y.lo) * x.lo  # the widths are short numbers: cheaper than x.hi * y.hi
    else:
        corners = (x.lo * y.lo, x.lo * y.hi, x.hi * y.lo, x.hi * y.hi)
        lo, hi = min(corners), max(corners)
    if lo == 0 == hi:
        return ZERO
    return trim(Interval(lo, hi, exp), bits)


def times(x: Interval, n: int) -> Interval:
    """The product n·x, exactly, for an integer n."""
    return Interval(x.lo * n, x.hi * n, x.exp) if n >= 0 else Interval(x.hi * n, x.lo * n, x.exp)


def divide(x: Interval, n: int, bits: int) -> Interval:
    """The quotient x/n for an integer n > 0."""
    if n == 1:
        return x
    shift = max(0, bits + n.bit_length() - max(x.lo.bit_length(), x.hi.bit_length()))
    return Interval((x.lo << shift) // n, -((-x.hi << shift) // n), x.exp - shift)


def scale(x: Interval, factor: Fraction, bits: int) -> Interval:
    """The product x·factor."""
    return trim(divide(times(x, factor.numerator), factor.denominator, bits), bits)


def reciprocal(x: Interval, bits: int) -> Interval:
    """The quotient 1/x for x > 0."""
    size = bits + x.hi.bit_length()
    one = 1 << size
    return trim(Interval(one // x.hi, -(-one // x.lo), -size - x.exp), bits)


def is_narrow(x: Interval | Enclosure, bits: int) -> bool:
    """Whether the width of x is at most 2^-bits of everything in it; true of every exact number."""
    width = x.hi - x.lo
    if width == 0:
        return True
    if x.lo < 0 < x.hi:
        return False
    return width << bits <= min(abs(x.lo), abs(x.hi))


def offset(exact: Fraction, x: Interval, bits: int) -> Enclosure:
    """The sum exact + x, where `exact` is kept as it is if it has at most `bits` bits."""
    twos = (exact.denominator & -exact.denominator).bit_length() - 1
    den = exact.denominator >> twos
    if exact.numerator == 0:
        return Enclosure(*trim(x, bits))
    return Enclosure(*add(Interval(exact.numerator, exact.numerator, -twos), times(x, den), bits), den)


def rescale(x: Enclosure, factor: Fraction) -> Enclosure:
    """The product x·factor, exactly."""
    n = factor.numerator
    lo, hi = (x.lo * n, x.hi * n) if n >= 0 else (x.hi * n, x.lo * n)
    return Enclosure(lo, hi, x.exp, x.den * factor.denominator)


def total(terms: Sequence[Enclosure], bits: int) -> Enclosure:
    """The sum of the terms."""
    den = lcm(*(x.den for x in terms))
    result = ZERO
    for x in terms:
        result = add(result, times(Interval(x.lo, x.hi, x.exp), den // x.den), bits + len(terms).bit_length())
    return Enclosure(*result, den)


def nearest(n: int, divisor: int, exp: int, tie: int) -> int:
    """n·2^exp/divisor rounded to nearest; a tie goes up for tie = 1, down for −1, to even for 0."""
    if divisor == 1 and exp < 0:
        half = 1 << (-exp - 1)
        if tie > 0:
            return (n + half) >> -exp
        if tie < 0:
            return -((half - n) >> -exp)
    twice = 2 * n << max(0, exp)
    unit = divisor << max(0, -exp)
    if tie > 0:
        return (twice + unit) // (2 * unit)
    if tie < 0:
        return -((unit - twice) // (2 * unit))
    floor, rest = divmod(twice, 2 * unit)
    return floor + (rest > unit or (rest == unit and floor & 1))
