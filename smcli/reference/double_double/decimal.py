"""Decimal strings of many true values at once: a product of pairs with a power of ten, and an integer from it."""

from __future__ import annotations

from functools import lru_cache
from math import log10
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.double_double import twofold
from smcli.reference.layout import layout

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, IntArray, Truth

MOST_DIGITS = 17  # an integer of as many digits is below 2^57, and the pair beyond it decides the rounding
FAR = 1 << 20  # binary exponents beyond this are left to integers
_BITS = 192  # of the powers of ten, each rounding of which is below 2^-190
_LOG10_2 = log10(2)


def texts(truth: Truth, digits: int) -> list[str | None]:
    """Each true value [N] as text of `digits` digits, as `decimal_text` lays it out; None where the bound decides not.

    t·10^k lies in [10^(digits−1), 10^digits): the pair of t (`bound`) times the pair of 10^k (2u²) errs by 9u² more,
    so N = round(t·10^k) is certain where its fraction is further from 1/2 than that, below 2^-27 of a unit for
    17 digits of a truth good to 2^-85.
    """
    hi, scale = np.frexp(truth.hi)  # the fast tiers leave tiny and huge numbers in hi, beside an exponent of 0
    with np.errstate(all="ignore"):
        lo, exp2 = np.ldexp(truth.lo, -scale), truth.exp2 + scale
    out: list[str | None] = [None] * hi.size
    plain = np.isfinite(hi) & (hi != 0)
    for i in np.flatnonzero(~plain).tolist():
        value = float(truth.hi[i])
        out[i] = "0" if value == 0 else str(value)
    near = np.flatnonzero(plain & (np.abs(exp2) < FAR))
    if near.size:
        place = np.floor(np.log10(np.abs(hi[near])) + exp2[near] * _LOG10_2).astype(np.int64)
        for _ in range(2):  # the first place may be off by one near a power of ten
            number, rest, certain = _scaled(hi[near], lo[near], exp2[near], truth.bound, digits - 1 - place)
            least = 10 ** (digits - 1)
            low, high = (number < least) | ((number == least) & (rest < 0)), number > 10**digits
            place += high.astype(np.int64) - low.astype(np.int64)
            if not (low | high).any():
                break
        certain &= ~(low | high)
        negative = np.signbit(hi[near])
        for i, n, at, minus in zip(
            near[certain].tolist(),
            number[certain].tolist(),
            place[certain].tolist(),
            negative[certain].tolist(),
            strict=True,
        ):
            text = layout(str(n), at + (n == 10**digits), digits)
            out[i] = f"-{text}" if minus else text
    return out


def _scaled(
    hi: FloatArray, lo: FloatArray, exp2: IntArray, bound: float, power: IntArray
) -> tuple[IntArray, FloatArray, BoolArray]:
    """round(|hi + lo|·2^exp2·10^power) as int64, what that rounding left, and where it is certain."""
    distinct, which = np.unique(power, return_inverse=True)
    table = [power_of_ten(int(k)) for k in distinct]
    th, tl = (np.array([t[j] for t in table])[which] for j in (0, 1))
    te = np.array([t[2] for t in table], dtype=np.int64)[which]
    with np.errstate(all="ignore"):
        ph, pl = twofold.mul((np.abs(hi), np.where(hi < 0, -lo, lo)), (th, tl))
        shift = np.clip(exp2 + te, -2000, 2000).astype(np.int32)
        ph, pl = np.ldexp(ph, shift), np.ldexp(pl, shift)
        whole = np.rint(ph)
        rest = (ph - whole) + pl
        carry = np.rint(rest)
        rest -= carry
        certain = ((0.5 - np.abs(rest)) > ph * (bound + 2.0**-100) + 2.0**-50) & (ph < 2.0**62)
        number = whole.astype(np.int64) + carry.astype(np.int64)
    return number, rest, certain


@lru_cache(maxsize=4096)
def power_of_ten(k: int) -> tuple[float, float, int]:
    """(h, l, e) with (h + l)·2^e = 10^k to 2u²: by squaring, cut to 192 bits after each of at most 40 products."""
    mantissa, exponent = 1 << (_BITS - 1), 1 - _BITS
    for bit in f"{abs(k):b}":
        mantissa, exponent = mantissa * mantissa, 2 * exponent
        if bit == "1":
            mantissa *= 10
        cut = mantissa.bit_length() - _BITS
        mantissa, exponent = mantissa >> cut, exponent + cut
    if k < 0:
        mantissa, exponent = (1 << (2 * _BITS)) // mantissa, -2 * _BITS - exponent
    size = mantissa.bit_length()
    high, low = twofold.of_integer(mantissa, size - 1)
    return high, low, exponent + size - 1
