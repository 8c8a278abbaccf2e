"""Certified values as binary floating-point numbers: scaled pairs of doubles, and correct rounding to a format."""

from __future__ import annotations

from fractions import Fraction

from smcli.reference.arbitrary.interval import Enclosure, floor_shift, nearest

PAIR_BITS = 102  # relative width from which a pair of doubles is good to 2^-100
FARTHEST = 9 * 10**18  # exponents are held in 64 bits; e^-(2^62) needs 6.7e18
BESIDE = -(2.0**-1000)  # a low part that only says: just below


def pair_of(value: Enclosure | float) -> tuple[float, float, int]:
    """(hi, lo, exp2) with value = (hi + lo)·2^exp2 to within 2^-100 of it, if the enclosure is narrow to 2^-102.

    1 <= |hi| <= 2; an exact 0, an infinity or nan stands in `hi` with lo = 0 and exp2 = 0. exp2 is clamped to ±9e18.
    A value so close below a power of 2 that the pair would be that power has a low part of -2^-1000 instead of 0.
    """
    if isinstance(value, float):
        return value, 0.0, 0
    lo, hi, exp, den = value
    if lo == 0 == hi:
        return 0.0, 0.0, 0
    end, start = int(max(abs(lo), abs(hi))), exp
    n = end
    size = abs(n).bit_length() - den.bit_length()
    shift = 110 - size
    n = floor_shift(n, shift) // den if shift >= 0 else n // (den << -shift)
    exp += n.bit_length() - 1 - shift
    cut = n.bit_length() - 1
    high = float(n)
    low = float(n - int(high))
    sign = -1.0 if hi <= 0 else 1.0
    if lo != hi and n == 1 << cut and _is_at_most(end, den, exp - start):
        return sign, sign * BESIDE, max(-FARTHEST, min(FARTHEST, exp))
    return sign * high / 2.0**cut, sign * low / 2.0**cut, max(-FARTHEST, min(FARTHEST, exp))


def straddles(value: Enclosure) -> bool:
    """Whether a power of 2 lies inside the enclosure, so that it is open on which side of it the value is."""
    lo, hi, _, den = value
    near, far = sorted((abs(lo), abs(hi)))
    power = _floor_log2(far, 0, den) if lo != hi else 0
    return lo != hi and _floor_log2(near, 0, den) < power and not _is_at_most(far, den, power)


def _is_at_most(end: int, den: int, power: int) -> bool:
    """Whether end/den <= 2^power."""
    return end <= den << power if power >= 0 else end << -power <= den


def relative_distance(truth: Enclosure, value: float) -> float | None:
    """(value − truth) / truth to 2^-20, or None where the enclosure is too wide to tell. The truth is not 0."""
    lo, hi, exp, den = truth
    top, bottom = value.as_integer_ratio()
    power = 1 - bottom.bit_length()  # value = top * 2**power
    base = min(exp, power)
    near, far = int(lo) << (exp - base), int(hi) << (exp - base)
    own = (top * den) << (power - base)
    low, high = own - far, own - near
    if low == high:
        return low / near
    if low <= 0 <= high or (high - low) << 20 > min(abs(low), abs(high)):
        return None
    return low / near


def rounded(value: Enclosure, p: int, emin: int) -> Fraction | None:
    """The value rounded to nearest, ties to even; None where the enclosure is too wide to tell.

    The format has p bits of precision and the smallest normal number 2^emin; it is unbounded above. The sign of a
    value that rounds to 0 is lost.
    """
    lo, hi, exp, den = value
    if lo == 0 == hi:
        return Fraction(0)
    if lo < 0 < hi:
        return None
    sign = 1
    if hi <= 0:
        sign, lo, hi = -1, -hi, -lo
    unit = (emin if lo == 0 else max(_floor_log2(lo, exp, den), emin)) - p + 1
    low, high = (_units(n, exp - unit, den, tie) for n, tie in ((lo, 1 if lo < hi else 0), (hi, -1 if lo < hi else 0)))
    return sign * low * Fraction(2) ** unit if low == high else None


def _units(n: int, shift: int, den: int, tie: int) -> int:
    """n·2^shift/den rounded to an integer, also for a shift of any size to the right."""
    least = -(n.bit_length() + 2)  # from here on it is below 1/4
    return int(nearest(n, den, max(shift, least), tie))


def _floor_log2(n: int, exp: int, den: int) -> int:
    """⌊log2(n·2^exp/den)⌋ for n, den > 0."""
    size = n.bit_length() - den.bit_length()
    return exp + (size if floor_shift(n, max(0, -size)) >= den << max(0, size) else size - 1)
