"""Roundings that a truth's bound leaves open, decided by a better pair of doubles where that is enough."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smcli.model import Truth
    from smcli.numbers.formats import Format

FARTHEST = 1 << 14  # exponents beyond it make fractions too long to be worth it


def rounded(truth: Truth, row: int, index: int, fmt: Format) -> float | None:
    """One true value rounded to a format: the same for both ends of its enclosure, or None."""
    hi, lo, exp2 = float(truth.hi[row, index]), float(truth.lo[row, index]), int(truth.exp2[row, index])
    if not 0 < abs(hi) < float("inf") or abs(exp2) > FARTHEST:
        return None
    value = (Fraction(hi) + Fraction(lo)) * Fraction(2) ** exp2
    slack = abs(value) * Fraction(truth.bound)
    low, high = _nearest(value - slack, fmt), _nearest(value + slack, fmt)
    if low != high or abs(low) > fmt.max:
        return None
    return float(low)


def _nearest(value: Fraction, fmt: Format) -> Fraction:
    """To nearest, ties to even, with no largest number."""
    if not value:
        return value
    log2 = abs(value.numerator).bit_length() - value.denominator.bit_length()
    log2 -= abs(value) < Fraction(2) ** log2
    step = Fraction(2) ** (max(log2, fmt.emin) - fmt.p + 1)
    return round(value / step) * step
