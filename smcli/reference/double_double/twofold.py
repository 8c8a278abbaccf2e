"""Pairs of float64 that stand for their unevaluated sum: exact steps, arithmetic, e^z and log1p, each with its bound.

u = 2^-53. A pair (h, l) is *normal* if |l| <= u|h|; all pairs are, but where a docstring says otherwise. The bounds
hold while no product leaves 2^-960 .. 2^990. Exact product and splitting: T. J. Dekker, Numer. Math. 18, 1971; exact
sum: D. E. Knuth, TAOCP 2, 4.2.2; pairs: M. Joldes, J.-M. Muller, V. Popescu, ACM TOMS 44(2), 2017.
"""

from __future__ import annotations

from functools import cache
from math import frexp, isqrt, ldexp
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from smcli.model import FloatArray, IntArray

    Pair: TypeAlias = tuple[FloatArray, FloatArray]

_SPLITTER = 2.0**27 + 1
_STEPS = 2048  # N, the table of 2^(j/N)
_LN2 = sum((1 << 260) // (k << k) for k in range(1, 260)) >> 60  # ln 2 in units of 2^-200


def of_integer(number: int, scale: int) -> tuple[float, float]:
    """The pair nearest to number·2^-scale, up to 2u² relative."""
    high = float(number)
    return ldexp(high, -scale), ldexp(float(number - int(high)), -scale)


def _pieces(number: int, scale: int, width: int) -> tuple[float, float, float, float]:
    """Cut number·2^-scale into three pieces of `width` bits and a rounded rest."""
    pieces = []
    shift = number.bit_length()
    for _ in range(3):
        shift -= width
        pieces.append(ldexp(number >> shift, shift - scale))
        number &= (1 << shift) - 1
    return pieces[0], pieces[1], pieces[2], ldexp(float(number), -scale)


_C1, _C2, _C3, _C4 = _pieces(_LN2, 211, 21)  # ln 2/2048
_STEP = of_integer(_LN2, 211)
_STEPS_PER_NAT = _STEPS / ldexp(float(_LN2), -200)
_MAGIC = 1.5 * 2.0**52  # x + _MAGIC holds rint(x) in its low bits
_MAGIC_EXPONENT = 0x4338 << 37  # the same bits, shifted like k to give the exponent
_THIRD = 1 / 3, 1 / 3 * 2.0**-54
_GRID = 1.5 * 2.0**13  # (x + _GRID) - _GRID cuts x at 2^-39
_SPLIT = 1.5 * 2.0**27  # the same at 2^-25


@cache
def _powers() -> Pair:
    """2^(j/2048), j = 0 .. 2047: exact roots and powers in 160-bit integers, then one product of pairs (13u²)."""
    root = 2 << 160
    for _ in range(11):
        root = isqrt(root << 160)
    fine = [1 << 160]
    for _ in range(32):
        fine.append(fine[-1] * root >> 160)
    coarse = [1 << 160]
    for _ in range(63):
        coarse.append(coarse[-1] * fine[32] >> 160)
    a, b = (np.array([of_integer(v, 160) for v in numbers]) for numbers in (coarse, fine[:32]))
    hi, lo = mul((a[:, None, 0], a[:, None, 1]), (b[None, :, 0], b[None, :, 1]))
    return hi.ravel(), lo.ravel()


def two_sum(a: FloatArray, b: FloatArray) -> Pair:
    """The rounded a + b and its exact error, whatever the order of magnitudes."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def fast_two_sum(a: FloatArray, b: FloatArray) -> Pair:
    """The rounded a + b and its exact error, for |a| >= |b| or a = 0 = b."""
    s = a + b
    return s, b - (s - a)


def split(a: FloatArray) -> Pair:
    """High and low half of a, at most 26 bits each."""
    t = a * _SPLITTER
    high = t - (t - a)
    return high, a - high


def two_prod(a: FloatArray, b: FloatArray) -> Pair:
    """The rounded a·b and its exact error."""
    p = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    return p, (((ah * bh - p) + ah * bl) + al * bh) + al * bl


def add(a: Pair, b: Pair) -> Pair:
    """Sum of numbers of one sign: relative error < 4u² (u² for the sum of the low parts, 2u² for adding it)."""
    s, e = two_sum(a[0], b[0])
    return fast_two_sum(s, e + (a[1] + b[1]))


def add_any(a: Pair, b: Pair) -> Pair:
    """Sum: relative error < 4u² (AccurateDWPlusDW of Joldes, Muller and Popescu: 3u² + 13u³)."""
    s, e = two_sum(a[0], b[0])
    t, f = two_sum(a[1], b[1])
    s, e = fast_two_sum(s, e + t)
    return fast_two_sum(s, e + f)


def mul(a: Pair, b: Pair) -> Pair:
    """Product: relative error < 9u² (u² for each small product and for al·bl, left out, 2u² and 3u² for the sums)."""
    p, e = two_prod(a[0], b[0])
    return fast_two_sum(p, e + (a[0] * b[1] + a[1] * b[0]))


def div(a: Pair, b: Pair) -> Pair:
    """Quotient: relative error < 13u² (6u² for the rest; ah - q·bh is exact; 6u² for dividing by bh alone)."""
    q = a[0] / b[0]
    p, e = two_prod(q, b[0])
    rest = ((a[0] - p) - e) + (a[1] - q * b[1])
    return fast_two_sum(q, rest / b[0])


def of_fraction(number: Fraction) -> tuple[float, float, int]:
    """(h, l, e) with (h + l)·2^e = number, 1/2 <= |h| <= 1 and a relative error < 2u²; zeros for 0."""
    if not number:
        return 0.0, 0.0, 0
    exponent = number.numerator.bit_length() - number.denominator.bit_length()
    shift = 120 - exponent
    top, bottom = number.numerator, number.denominator
    scaled = (top << shift) // bottom if shift >= 0 else top // (bottom << -shift)
    high, more = frexp(scaled)
    return high, ldexp(scaled - int(ldexp(high, more)), -more), more - shift


def fold(hi: FloatArray, lo: FloatArray, spare: tuple[FloatArray, FloatArray], width: int = 1) -> Pair:
    """Sums [rows, n] of pairs >= 0 over the last axis, by halves, until at most `width` columns are left.

    The sums are not normal: at depth d a partial sum S has |lo| <= (d + 1)uS, and its two roundings err by at most
    2u·(d + 1)uS, so that the whole tree of depth D errs by at most (D² + 3D)u² relative: 2^-96 for D = 26 (n < 2^26).

    The pairs and two spare arrays, as wide and in the same memory order, are overwritten. Nothing is copied: memcpy
    was measured to be 10 times slower than a sum (glibc, Zen 3) where source and destination are 16 bytes apart modulo
    4096, as neighbours on the heap are.
    """
    n = hi.shape[1]
    sums, t = spare
    while n > width:
        half = n // 2
        a, b, low = hi[:, :half], hi[:, n - half : n], lo[:, :half]
        s, e = sums[:, :half], t[:, :half]
        np.add(a, b, s)
        np.subtract(s, a, e)
        np.subtract(b, e, b)
        np.subtract(s, e, e)
        np.subtract(a, e, e)
        np.add(e, b, e)
        np.add(low, lo[:, n - half : n], low)
        np.add(low, e, low)
        sums[:, half : n - half] = hi[:, half : n - half]
        hi, sums, n = sums, hi, n - half
    return hi[:, :n], lo[:, :n]


def exponential(z: Pair, hi: FloatArray, lo: FloatArray, k: IntArray, spare: Sequence[FloatArray]) -> None:
    """Set (hi + lo)·2^k to e^z for pairs -2^20 <= z <= 0, which are overwritten, as are six spare arrays.

    0.9998 < hi < 2.0003. The relative error is below 2^-87.8. With N = 2048, c = ln 2/N:

    k = rint(z/c) has at most 32 bits; c is cut into c1 + c2 + c3 of 21 bits each and c4 < 2^-74, so that k·c1, k·c2 and
    k·c3 are exact. z - k·c1 is exact (k = 0, or the two are within a factor 2); less k·c2 it is a multiple of 2^-65
    below 2^-12, exact again. e^r remains, |r| <= c/2·(1 + 2^-19) < 2^-12.5.

    - t ~ r after three roundings below 2^-12: |t - r| <= 3·2^-66.
    - r = rh + rl; rh = t cut at 2^-39 has 27 bits, rh² is exact, |rl| <= 2^-40. The first two steps of rl are exact,
      the last two round at 2^-40: 2·2^-92.9; the product k·c4 < 2^-42.4 and c4 itself: 2·2^-95.4. Together 2^-91.6.
    - e^r - 1 = E1 + E2; E1 = t + t²/2 cut at 2^-39. (rh - E1) + rh²/2 is exact, a multiple of 2^-79 below 2^-38.
      rl·(t + rh)/2 < 2^-52 is safe in float64. The tail r³/6 .. r^6/720 < 2^-40 errs by 3·2^-66·2^-26 = 2^-90.4 for t,
      by 6u·2^-40 = 2^-90.4 for its roundings and by 2^-99 for what is left out; summing up rounds 2^-93 + 2·2^-92.
      Together 2^-88.8; |E2| < 2^-39.
    - 2^(j/N) = T + T' to 2^-101. T = A + B, A = T cut at 2^-25: A·E1 and B·E1 <= 2^-38.4 are exact. Roundings: T·E2
      2^-92, its sum with B·E1 + T' 2^-91.4 + 2^-90.7, the sum of this and the exact error of T + A·E1 2^-90.7. Together
      2^-89.1.

    2^-91.6 + 2^-88.8 + 2^-89.1 + 2^-101 < 2^-87.8.
    """
    add, sub, mul = np.add, np.subtract, np.multiply
    zh, zl = z
    a, b, c, d, f, g = spare[:6]
    mul(zh, _STEPS_PER_NAT, a)
    add(a, _MAGIC, a)
    np.bitwise_and(a.view(np.int64), _STEPS - 1, k)
    for table, out in zip(_powers(), (hi, lo), strict=True):
        np.take(table, k.ravel("K"), out=out.ravel("K"), mode="clip")
    np.right_shift(a.view(np.int64), 11, k)
    sub(k, _MAGIC_EXPONENT, k)
    sub(a, _MAGIC, a)
    mul(a, _C1, f)
    sub(zh, f, b)
    mul(a, _C2, f)
    sub(b, f, b)  # exact so far
    mul(a, _C3, c)
    mul(a, _C4, d)
    t = sub(b, c, a)
    add(t, zl, t)
    sub(t, d, t)
    rh = add(t, _GRID, f)
    sub(rh, _GRID, rh)
    rl = sub(b, rh, b)
    sub(rl, c, rl)
    add(rl, zl, rl)
    sub(rl, d, rl)
    square = mul(t, t, c)
    w = mul(square, 0.5, d)
    add(w, t, w)
    e1 = add(w, _GRID, zh)
    sub(e1, _GRID, e1)
    e2 = sub(rh, e1, zl)
    mul(rh, 0.5, g)
    mul(g, rh, g)
    add(e2, g, e2)  # exact: rh + rh²/2 - e1
    cross = add(t, rh, f)
    mul(cross, rl, cross)
    mul(cross, 0.5, cross)
    tail = mul(t, 1 / 720, g)
    add(tail, 1 / 120, tail)
    mul(tail, t, tail)
    add(tail, 1 / 24, tail)
    mul(tail, t, tail)
    add(tail, 1 / 6, tail)
    mul(tail, t, tail)
    mul(tail, square, tail)
    add(cross, tail, cross)
    add(cross, rl, cross)
    add(e2, cross, e2)
    high = add(hi, _SPLIT, a)
    sub(high, _SPLIT, high)
    low = sub(hi, high, b)
    mul(w, lo, w)
    add(lo, w, lo)
    mul(low, e1, low)
    add(lo, low, lo)
    mul(e2, hi, e2)
    add(lo, e2, lo)
    mul(high, e1, high)
    top = add(hi, high, b)
    sub(top, hi, c)
    sub(high, c, high)  # exact error of top
    add(lo, high, lo)
    add(top, lo, hi)
    sub(hi, top, c)
    sub(lo, c, lo)


def scale(hi: FloatArray, lo: FloatArray, k: IntArray, out: Pair, spare: FloatArray) -> None:
    """Multiply by 2^k; by 0 below 2^-1022."""
    power = spare.view(np.int64)
    np.maximum(k, -1023, out=power)
    np.add(power, 1023, power)
    np.left_shift(power, 52, power)
    np.multiply(hi, spare, out[0])
    np.multiply(lo, spare, out[1])


def times(hi: FloatArray, lo: FloatArray, factor: Pair, spare: Sequence[FloatArray]) -> None:
    """Multiply pairs with 0.9998 < hi < 2.0003 by a factor for each row, in place; five spare arrays: error 5u²."""
    add, sub, mul = np.add, np.subtract, np.multiply
    a, b, p, e, t = spare[:5]
    gh, gl = factor
    ga, gb = split(gh)
    add(hi, _SPLIT, a)
    sub(a, _SPLIT, a)
    sub(hi, a, b)
    mul(hi, gh, p)
    mul(a, ga, e)
    sub(e, p, e)
    mul(a, gb, t)
    add(e, t, e)
    mul(b, ga, t)
    add(e, t, e)
    mul(b, gb, t)
    add(e, t, e)  # p + e = hi·gh
    mul(hi, gl, t)
    mul(lo, gh, lo)
    add(lo, t, lo)
    add(lo, e, lo)
    add(p, lo, hi)
    sub(hi, p, t)
    sub(lo, t, lo)


def log1p(s: Pair) -> Pair:
    """log(1 + s) for s = 0 or 2^-800 <= s < 2^60: relative error below 2^-92.

    1 + s = 2^(k/N)·(1 + d), k = 0 below 2^-9, and log(1 + d) = 2w(1 + w²/3 + .. + w^10/11), w = d/(2 + d). k = 0: d = s
    so that all is relative: pairs 2^-100, terms from w^4/5 < 2^-42.3 on in float64 2^-93.3, the rest of the series
    2^-123. Else d errs by 26u² and the result is at least 2^-9.1: 2^-92.2; k·ln 2/N adds 11u².
    """
    k = np.rint(np.log1p(s[0]) * _STEPS_PER_NAT)
    k[s[0] < 2.0**-9] = 0
    turn = -k.astype(np.int64)
    one, zero = np.ones_like(k), np.zeros_like(k)
    hi, lo = mul(add((one, zero), s), (_powers()[0][turn & (_STEPS - 1)], _powers()[1][turn & (_STEPS - 1)]))
    hi, lo = (np.ldexp(a, turn >> 11) for a in (hi, lo))
    d = tuple(np.where(k == 0, a, b) for a, b in zip(s, two_sum(hi - 1, lo), strict=True))
    wh, wl = div((d[0], d[1]), add_any((2 * one, zero), (d[0], d[1])))
    square = mul((wh, wl), (wh, wl))
    x = square[0]
    more = x * x * (1 / 5 + x * (1 / 7 + x * (1 / 9 + x / 11)))
    hi, lo = mul(square, (_THIRD[0] * one, _THIRD[1] * one))
    twice = (2 * wh, 2 * wl)
    small = add_any(twice, mul(twice, fast_two_sum(hi, lo + more)))
    return add_any(mul((k, zero), (_STEP[0] * one, _STEP[1] * one)), small)
