"""e^z and log(1 + s) of pairs of float64, each with its bound.

Tables hold logarithms of short numbers, so that a number e^z is a short one, exactly, times one so close to 1 that little
of the series is left: S. Gal, ACM TOMS 17(1), 1991, with a second table; P. T. P. Tang, ACM TOMS 15(2), 1989.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import ldexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import FloatArray, IntArray
    from smcli.reference.double_double.twofold import Pair

NEAR = 176.0  # |z| up to which `exponential` works
LN2 = sum((1 << 260) // (k << k) for k in range(1, 260)) >> 60  # ln 2 in units of 2^-200
_LOG4_1 = ldexp((LN2 >> 154) + 1, -45)  # 46 bits
_LOG4_2 = ldexp(float(LN2 - (((LN2 >> 154) + 1) << 154)), -199)
_PER_LN2 = 1 / ldexp(float(LN2), -200)
_LN2_1, _LN2_2 = (ldexp((LN2 >> shift) & ((1 << 32) - 1), shift - 200) for shift in (168, 136))
_LN2_3 = ldexp(float(LN2 & ((1 << 136) - 1)), -200)
_INTEGER, _BIASED = 0x433 << 52, 2.0**52 + 511  # an integer put into the low bits of 2^52, and the bias of powers of 4
_FACTOR = 1.5 * 2.0**30  # x + _FACTOR cuts x at 2^-22
_THIRD = 1 / 3, 1 / 3 * 2.0**-54
_LOG4 = twofold.of_integer(LN2, 199)
_UNIT = 1.5 * 2.0**40  # x + _UNIT cuts x at 2^-12
_UPPER_40, _UPPER_26 = -(1 << 13), -(1 << 27)
_SHORT = 1.5 * 2.0**11  # the same at 2^-41


@cache
def _logs() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Pairs of log v for v = 1/2 .. 2, by the last bit of the exponent and 11 of the mantissa; of log(1 + j/2^22) by j.

    The 64 steps from 1 to 2 in integers of 160 bits; 32 steps between two of these, and j/2^22, as log(1 + d) =
    2x(1 + x²/3 + x^4/5 + ..), x = d/(2 + d) < 2^-7, in pairs: 40u²; from x^6/7 on in float64: 2^-95.5; after x^12/13
    2^-102. v < 1 subtracts ln 2.
    """
    steps = [0]
    for k in range(129, 257, 2):  # log((k + 1)/(k - 1)) = 2 atanh(1/k)
        steps.append(steps[-1] + 2 * sum((1 << 160) // (n * k**n) for n in range(1, 25, 2)))
    coarse = np.array([twofold.of_integer(v, 160) for v in steps])
    n = np.arange(2048)
    num = np.concatenate([(n & 31).astype(float), np.arange(-2048.0, 2048.0)])
    den = np.concatenate([2048.0 + (n & ~31), np.full(4096, 2.0**22)])
    zero = np.zeros_like(num)
    x = twofold.div((num, zero), (2 * den + num, zero))
    square = twofold.mul(x, x)
    third, fifth = ((zero + 1 / k, zero + float(Fraction(1, k) - Fraction(1 / k))) for k in (3, 5))
    inner = twofold.mul(square, twofold.add(third, twofold.mul(square, fifth)))
    w = square[0]
    more = w * w * w * (1 / 7 + w * (1 / 9 + w * (1 / 11 + w / 13)))
    twice = 2 * x[0], 2 * x[1]
    log = twofold.add_any(twice, twofold.mul(twice, twofold.fast_two_sum(inner[0], inner[1] + more)))
    upper = twofold.add((coarse[n >> 5, 0], coarse[n >> 5, 1]), (log[0][:2048], log[1][:2048]))
    ln2 = twofold.of_integer(LN2, 200)
    lower = twofold.add_any(upper, (np.full(2048, -ln2[0]), np.full(2048, -ln2[1])))
    of_v = [np.concatenate(halves) for halves in zip(lower, upper, strict=True)]
    order = np.arange(4096) ^ 2048  # from -2048 .. 2047 to j modulo 4096
    return of_v[0], of_v[1], log[0][2048:][order], log[1][2048:][order]


def exponential(
    z: tuple[FloatArray, FloatArray | None],
    hi: FloatArray,
    lo: FloatArray,
    index: IntArray,
    spare: Sequence[FloatArray],
) -> None:
    """Set hi + lo to e^z for pairs with |z| <= NEAR, |zl| <= 2^-43.3 (None: 0).

    The low part is overwritten, as are five spare arrays, and six where there is none.

    The relative error is below 2^-89.3; below 2^-92.4 for |z| <= 6. V = 4^k·v, 1/2 <= v < 2, is np.exp(zh) rounded to
    12 bits, d a multiple of 2^-22, and e^z = V(1 + d)·e^r with r = z - k·log 4 - log v - log(1 + d), whatever the error
    of np.exp, as long as it is below 2^-40.

    - k·L1 is exact: |k| <= 128, and L1, log 4 to 46 bits, ends at 2^-45. zh - k·L1 is exact: k = 0, or
      |zh| > 1/2, and so a multiple of 2^-53, and the difference is below 1. Call it b. a, the high part of log v, is
      0 or at least 2^-12; |b - a| < 2^-11.9 < |b| + 2^-13, so that |b| >= 2^-13 if a is not 0: both are multiples of
      2^-65, and b - a is exact. d is b - a cut to nearest; if it is not 0, |b - a| >= 2^-23, this and the high part of
      log(1 + d) are multiples of 2^-75, their difference is below 2^-22: exact.
    - The low part zl - (k·L2 + ..) - .. is below 2^-38.9: k·(error of L2) < 2^-93, one product and three sums
      4·2^-93. (For |k| <= 4, 2^-98 and 4·2^-97.)
    - |r| < 2^-22.67 (2^-23 and d²/2). q = r²/2 + r³/6 < 2^-46.3 errs by 6u·2^-46.3; r^4/24 and all after it are below
      2^-95.2 and left out. The low part and q together: 2^-93. (2^-96.)
    - e^r - 1 = E1 + E2, E1 the high part of r cut at 2^-41, E2 < 2^-38.8 with its sum 2^-92. (2^-41.2, 2^-95.)
      W = V(1 + d) is exact: 12 and 23 bits, 2^34(1 + 2^-12) units at most; E1 has at most 2^18.4 units: W·E1 is exact.
      W·E2 2^-92, its sum with the exact error of W + W·E1 2^-92. (2^-95 both.)

    2^-93 + 4·2^-93 + 2^-96.7 + 2^-95.2 + 2^-93 + 3·2^-92 = 12.4·2^-93 < 2^-89.3. (2^-98 + 4·2^-97 + 2^-96.7 + 2^-95.2
    + 2^-96 + 3·2^-95 < 2^-92.4.)
    """
    add, sub, mul, take = np.add, np.subtract, np.multiply, np.take
    log_v, log_v_low, log_d, log_d_low = _logs()
    zh, (k, w, a, t, d) = z[0], spare[:5]
    bits, flat, at = k.view(np.int64), t.ravel("K"), index.ravel("K")
    np.exp(zh, k)
    add(bits, 1 << 40, bits)
    np.right_shift(bits, 41, bits)
    np.bitwise_and(bits, 4095, index)
    np.left_shift(bits, 41, w.view(np.int64))
    np.right_shift(bits, 12, bits)
    np.bitwise_or(bits, _INTEGER, bits)
    sub(k, _BIASED, k)
    mul(k, _LOG4_1, a)
    sub(zh, a, a)
    take(log_v, at, out=flat, mode="clip")
    sub(a, t, a)
    mul(k, _LOG4_2, k)
    take(log_v_low, at, out=flat, mode="clip")
    add(k, t, k)
    low = np.negative(k, spare[5]) if z[1] is None else sub(z[1], k, z[1])
    add(a, _FACTOR, d)
    np.bitwise_and(d.view(np.int64), 4095, index)
    sub(d, _FACTOR - 1, d)
    take(log_d, at, out=flat, mode="clip")
    sub(a, t, a)
    take(log_d_low, at, out=flat, mode="clip")
    sub(low, t, low)
    q = mul(add(a, low, t), 1 / 6, k)
    add(q, 0.5, q)
    mul(t, t, t)
    mul(q, t, q)
    add(q, low, q)
    e1 = add(a, _SHORT, t)
    sub(e1, _SHORT, e1)
    e2 = sub(a, e1, a)
    add(e2, q, e2)
    mul(w, d, w)
    mul(e1, w, e1)
    mul(e2, w, e2)
    total = add(w, e1, d)
    sub(total, w, w)
    sub(e1, w, e1)
    add(e2, e1, e2)
    add(total, e2, hi)
    sub(hi, total, total)
    sub(e2, total, lo)


def without_powers(z: Pair) -> tuple[Pair, IntArray]:
    """(z - k·ln 2, k), the pair at most 0.35, for pairs -2^20 <= z <= 0 and k = rint(z/ln 2): absolute error 2^-96.

    ln 2 is cut into two pieces of 32 bits, so that their products with k are exact, and a rest below 2^-64. zh - k·c1 is
    exact: k = 0, or both are multiples of 2^-54 and the difference is below 1/2. Two exact sums take zl and k·c2; the rest
    of them, below 2^-53, less k·c3 < 2^-43.4 is the low part: 2^-97 for the product and for the difference.
    """
    k = np.rint(z[0] * _PER_LN2)
    high, more = twofold.two_sum(z[0] - k * _LN2_1, z[1])
    high, rest = twofold.two_sum(high, k * -_LN2_2)
    return (high, (more + rest) - k * _LN2_3), k.astype(np.int64)


def log1p(s: Pair) -> Pair:
    """log(1 + s) for s = 0 or 2^-800 <= s < 2^60: relative error below 2^-93.

    1 + s = V(1 + d), V = 1 below 2^-9 and else 1 + s cut to 12 bits, whose logarithm is known to 2^-95.4. log(1 + d) =
    2w(1 + w²/3 + .. + w^10/11), w = d/(2 + d). V = 1: d = s so that all is relative: pairs 2^-100, terms from
    w^4/5 < 2^-42.3 on in float64 2^-93.3, the rest of the series 2^-123. Else d errs by 20u² and w < 2^-13, while the
    result is at least 2^-9.1: 2^-95; sums of pairs 13u².
    """
    log_v, log_v_low, _, _ = _logs()
    one, zero = np.ones_like(s[0]), np.zeros_like(s[0])
    whole, rest = twofold.two_sum(one, s[0])
    bits = (whole.view(np.int64) + (1 << 40)) >> 41
    small = s[0] < 2.0**-9
    bits[small] = 1023 << 11
    v = (bits << 41).view(np.float64)
    k = ((bits >> 12) - 511).astype(np.float64)
    d = twofold.two_sum(whole - v, rest + s[1])
    d = twofold.div((np.where(small, s[0], d[0]), np.where(small, s[1], d[1])), (v, zero))
    wh, wl = twofold.div(d, twofold.add_any((2 * one, zero), d))
    square = twofold.mul((wh, wl), (wh, wl))
    x = square[0]
    more = x * x * (1 / 5 + x * (1 / 7 + x * (1 / 9 + x / 11)))
    hi, lo = twofold.mul(square, (_THIRD[0] * one, _THIRD[1] * one))
    twice = (2 * wh, 2 * wl)
    result = twofold.add_any(twice, twofold.mul(twice, twofold.fast_two_sum(hi, lo + more)))
    at = bits & 4095
    result = twofold.add_any((log_v[at], log_v_low[at]), result)
    return twofold.add_any(twofold.mul((k, zero), (_LOG4[0] * one, _LOG4[1] * one)), result)


def looked_up(table: FloatArray, at: IntArray) -> FloatArray:
    """table[at], in the memory order of the indices, which are a whole array."""
    found = np.empty_like(at, dtype=np.float64)
    np.take(table, at.ravel("K"), out=found.ravel("K"), mode="clip")
    return found


@cache
def _unit_logs() -> tuple[FloatArray, FloatArray]:
    """log(1 + j/4096) for j = 0 .. 4096, to 2^-104: the sum of log((k + 1)/k) = 2 atanh(1/(2k + 1)) from k = 4096 on.

    Integers of 128 bits: each term to 8 units, 4096 of them below 2^-112.
    """
    total, logs = 0, [(0.0, 0.0)]
    for k in range(4096, 8192):
        n, power = 2 * k + 1, (1 << 128) // (2 * k + 1)
        total += 2 * (power + power // (3 * n**2) + power // (5 * n**4) + power // (7 * n**6))
        logs.append(twofold.of_integer(total, 128))
    high, low = np.array(logs).T.copy()
    return high, low


def log1p_unit(s: Pair) -> Pair:
    """log(1 + s) for 0 <= s <= 1: relative error below 2^-76, for a third of the time of `log1p`.

    1 + s = V(1 + d), V = 1 + s cut to 2^-12 to nearest: s - (V - 1) is exact, below 2^-13. d = q + r: q is the quotient cut
    to 40 bits, so that q·V, V of 13 bits, and the rest are exact; r is the rest over V, below 2^-39·d or u·s, to 2u: 2^-91.
    log(1 + d) = d - d²/2 + d³/3 - .. + d^7/7, all of it relative to d or to log V >= 2^-12.1:

    - d²/2 < 2^-14·d: the square of the upper 26 bits of q is exact; what is beside it, 2^-24 of it, errs by 4u: 2^-89.
    - d³/3 < 2^-27.5·d, and the rest of the series, in float64, by 11u: 2^-77. d^8/8 < 2^-94·d is left out.
    - Sums of low parts that are below 2^-27·d: 4u, 2^-78. The others are exact.
    """
    log_v, log_v_low = _unit_logs()
    x = s[0]
    t = x + _UNIT
    at = t.view(np.int64) & 8191
    t -= _UNIT
    high, low = looked_up(log_v, at), looked_up(log_v_low, at)
    rest = x - t
    t += 1.0
    quick = rest / t
    q = (quick.view(np.int64) & _UPPER_40).view(np.float64)
    rest -= q * t
    rest += s[1]
    rest /= t
    upper = (quick.view(np.int64) & _UPPER_26).view(np.float64)
    series = quick * (1 / 7)
    for n in range(6, 2, -1):
        series += (-1) ** (n + 1) / n
        series *= quick
    np.multiply(quick, quick, t)
    series *= t
    np.subtract(q, upper, t)
    quick += upper
    t *= quick  # q² less the square of its upper part; quick is q but for its last bits
    t *= 0.5
    series -= t
    np.multiply(q, rest, t)
    series -= t
    series += rest
    series += low
    upper *= upper
    upper *= -0.5
    total, error = twofold.fast_two_sum(high, q)
    total, more = twofold.fast_two_sum(total, upper)
    series += error
    series += more
    return twofold.fast_two_sum(total, series)
