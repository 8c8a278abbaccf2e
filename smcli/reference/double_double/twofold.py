"""Pairs of float64 that stand for their unevaluated sum: exact steps and arithmetic, each with its bound.

u = 2^-53. A pair (h, l) is *normal* if |l| <= u|h|; all pairs are, but where a docstring says otherwise. The bounds
hold while no product leaves 2^-960 .. 2^990. Exact product and splitting: T. J. Dekker, Numer. Math. 18, 1971; exact
sum: D. E. Knuth, TAOCP 2, 4.2.2; pairs: M. Joldes, J.-M. Muller, V. Popescu, ACM TOMS 44(2), 2017.
"""

from __future__ import annotations

from math import frexp, ldexp
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from smcli.model import BoolArray, FloatArray, IntArray

    Pair: TypeAlias = tuple[FloatArray, FloatArray]
    Factor: TypeAlias = tuple[float, float, int]  # (h, l, e) that stand for (h + l)·2^e

_SPLITTER = 2.0**27 + 1
_UPPER = -(1 << 27)


def of_integer(number: int, scale: int) -> tuple[float, float]:
    """The pair nearest to number·2^-scale, up to 2u² relative."""
    high = float(number)
    return ldexp(high, -scale), ldexp(float(number - int(high)), -scale)


def paired(a: FloatArray) -> Pair:
    """A number as a pair."""
    return a, np.zeros_like(a)


def minus(a: Pair) -> Pair:
    """Minus the pair."""
    return -a[0], -a[1]


def cut(a: Pair, rows: slice | IntArray) -> Pair:
    """Some rows of a pair."""
    return a[0][rows], a[1][rows]


def choose(condition: BoolArray, a: Pair, b: Pair) -> Pair:
    """Pairs of the first where the condition holds, and of the second elsewhere."""
    return np.where(condition, a[0], b[0]), np.where(condition, a[1], b[1])


def without(some: BoolArray, a: Pair) -> Pair:
    """Pairs, some of which are 0 instead."""
    return np.where(some, 0.0, a[0]), np.where(some, 0.0, a[1]) if a[1].any() else a[1]


def two_sum(a: FloatArray, b: FloatArray) -> Pair:
    """The rounded a + b and its exact error, whatever the order of magnitudes."""
    s = a + b
    t = s - a
    e = t - s
    e += a
    e += b - t
    return s, e


def fast_two_sum(a: FloatArray, b: FloatArray) -> Pair:
    """The rounded a + b and its exact error, for |a| >= |b| or a = 0 = b."""
    s = a + b
    e = a - s
    e += b
    return s, e


def split(a: FloatArray) -> Pair:
    """High and low half of a, at most 26 bits each."""
    t = a * _SPLITTER
    high = t - (t - a)
    return high, a - high


def two_prod(a: FloatArray, b: FloatArray) -> Pair:
    """The rounded a·b and its exact error; a, cut below its 26th bit, and b give halves whose products are exact."""
    p = a * b
    bh, bl = split(b)
    ah = np.bitwise_and(a.view(np.int64), _UPPER).view(np.float64)
    al = a - ah
    e = ah * bh
    e -= p
    e += ah * bl
    e += al * bh
    e += al * bl
    return p, e


def add(a: Pair, b: Pair) -> Pair:
    """Sum of numbers of one sign: relative error < 4u² (u² for the sum of the low parts, 2u² for adding it)."""
    s, e = two_sum(a[0], b[0])
    e += a[1] + b[1]
    return fast_two_sum(s, e)


def add_any(a: Pair, b: Pair) -> Pair:
    """Sum: relative error < 4u² (AccurateDWPlusDW of Joldes, Muller and Popescu: 3u² + 13u³)."""
    s, e = two_sum(a[0], b[0])
    t, f = two_sum(a[1], b[1])
    e += t
    s, e = fast_two_sum(s, e)
    e += f
    return fast_two_sum(s, e)


def mul(a: Pair, b: Pair) -> Pair:
    """Product: relative error < 9u² (u² for each small product and for al·bl, left out, 2u² and 3u² for the sums)."""
    return fast_two_sum(*mul_loosely(a, b))


def mul_loosely(a: Pair, b: Pair) -> Pair:
    """Product that is no normal pair: |l| <= (m + n + 1)u|h| for factors with mu and nu; error (3(m + n) + mn + 1)u²."""
    p, e = two_prod(a[0], b[0])
    low = a[0] * b[1]
    low += a[1] * b[0]
    e += low
    return p, e


def div(a: Pair, b: Pair) -> Pair:
    """Quotient: relative error < 13u² (6u² for the rest; ah - q·bh is exact; 6u² for dividing by bh alone)."""
    q = a[0] / b[0]
    p, e = two_prod(q, b[0])
    rest = a[0] - p
    rest -= e
    rest += a[1] - q * b[1]
    rest /= b[0]
    return fast_two_sum(q, rest)


def of_fraction(number: Fraction) -> Factor:
    """(h, l, e) with (h + l)·2^e = number, 1/2 <= |h| <= 1 and a relative error < 2u²; zeros for 0, h = ±1 for ±2^e."""
    if not number:
        return 0.0, 0.0, 0
    exponent = number.numerator.bit_length() - number.denominator.bit_length()
    shift = 120 - exponent
    top, bottom = number.numerator, number.denominator
    scaled = (top << shift) // bottom if shift >= 0 else top // (bottom << -shift)
    high, more = frexp(scaled)
    if abs(high) == 0.5 and scaled == int(ldexp(high, more)):
        high, more = 2 * high, more - 1
    return high, ldexp(scaled - int(ldexp(high, more)), -more), more - shift


def significand(factor: Factor) -> Pair:
    """A factor without its power of 2."""
    return np.array(factor[0]), np.array(factor[1])


def scaled(a: Pair, factor: Factor) -> Pair:
    """Pairs times a factor without its power of 2: 9u², nothing for ±2^e."""
    if factor[1] == 0 and abs(factor[0]) == 1:
        return a if factor[0] > 0 else minus(a)
    return mul(a, significand(factor))


def fold(hi: FloatArray, lo: FloatArray, spare: Sequence[FloatArray], width: int = 1) -> Pair:
    """Sums [rows, n] of pairs >= 0 over the last axis, by halves, until at most `width` columns are left.

    The sums are not normal: at depth d a partial sum S has |lo| <= (d + 1)uS, and its two roundings err by at most
    2u·(d + 1)uS, so that the whole tree of depth D errs by at most (D² + 3D)u² relative: 2^-96 for D = 26 (n < 2^26).

    The pairs stay as they are; five spare arrays, as wide and in the same memory order, are overwritten. Nothing is
    copied but odd columns: memcpy was measured to be 10 times slower than a sum (glibc, Zen 3) where source and
    destination are 16 bytes apart modulo 4096, as neighbours on the heap are.
    """
    n = hi.shape[1]
    sums, other, t, b, low = spare[:5]
    while n > width:
        half = n // 2
        a, c, both = hi[:, :half], hi[:, n - half : n], low[:, :half]
        s, e, f = sums[:, :half], t[:, :half], b[:, :half]
        np.add(a, c, s)
        np.subtract(s, a, e)
        np.subtract(c, e, f)
        np.subtract(s, e, e)
        np.subtract(a, e, e)
        np.add(e, f, e)
        np.add(lo[:, :half], lo[:, n - half : n], both)
        np.add(both, e, both)
        odd = slice(half, n - half)
        sums[:, odd] = hi[:, odd]
        if lo is not low:
            low[:, odd] = lo[:, odd]
        hi, lo, sums, other, n = sums, low, other, sums, n - half
    return hi[:, :n], lo[:, :n]


def scale(hi: FloatArray, lo: FloatArray, k: IntArray, out: Pair, spare: FloatArray) -> None:
    """Multiply by 2^k; by 0 below 2^-1022."""
    power = spare.view(np.int64)
    np.maximum(k, -1023, out=power)
    np.add(power, 1023, power)
    np.left_shift(power, 52, power)
    np.multiply(hi, spare, out[0])
    np.multiply(lo, spare, out[1])


def times(hi: FloatArray, lo: FloatArray, factor: Pair, spare: Sequence[FloatArray]) -> None:
    """Multiply pairs by a factor for each row, in place; five spare arrays: error 5u².

    The high part is cut below its 26th bit: with halves of 26 and 27 bits all products and sums of Dekker's are exact.
    """
    add, sub, mul = np.add, np.subtract, np.multiply
    a, b, p, e, t = spare[:5]
    gh, gl = factor
    ga, gb = split(gh)
    np.bitwise_and(hi.view(np.int64), _UPPER, a.view(np.int64))
    sub(hi, a, b)
    mul(hi, gh, p)
    mul(a, ga, e)
    sub(e, p, e)
    mul(a, gb, a)
    add(e, a, e)
    mul(b, ga, t)
    add(e, t, e)
    mul(b, gb, b)
    add(e, b, e)  # p + e = hi·gh
    mul(hi, gl, t)
    mul(lo, gh, lo)
    add(lo, t, lo)
    add(lo, e, lo)
    add(p, lo, hi)
    sub(hi, p, p)
    sub(lo, p, lo)
