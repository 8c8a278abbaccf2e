"""The logits of a row as exact integers, and the exponentials and sums that its values are made of."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from smcli.reference.arbitrary.elementary import exponential, log1p
from smcli.reference.arbitrary.interval import (
    ONE,
    ZERO,
    Interval,
    add,
    divide,
    floor_shift,
    multiply,
    negate,
    reciprocal,
    scale,
    subtract,
    times,
    trim,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Logits:
    """Finite logits, divided by the temperature: x_i / T = numerators[i]·2^-frac/den, exactly; None where masked.

    Attributes:
        peak: the largest numerator.
        distances: peak − numerators[i], so that without a soft cap z_i = −distances[i]·2^-frac/den.
        ties: how many logits are the largest.
        softcap: the logits are capped to softcap·tanh(x_i / T / softcap), or None.
    """

    def __init__(self, values: Sequence[float | None], temperature: float, softcap: float | None) -> None:
        ratios = [None if x is None else x.as_integer_ratio() for x in values]
        places = max((r[1].bit_length() for r in ratios if r is not None), default=1)
        numerators = [None if r is None else r[0] << (places - r[1].bit_length()) for r in ratios]
        num, den = temperature.as_integer_ratio()
        twos = (num & -num).bit_length() - 1
        self.den = num >> twos
        frac = places + twos - den.bit_length()  # numerators·2^-(places − 1) / (den·2^twos) · 2^(bits of T's − 1)
        if frac < 0:
            numerators = [None if n is None else n << -frac for n in numerators]
        self.frac = max(0, frac)
        self.numerators = numerators
        self.softcap = None if softcap is None else Fraction(softcap)
        self.peak = max((n for n in numerators if n is not None), default=0)
        self.distances = [None if n is None else self.peak - n for n in numerators]
        self.ties = self.distances.count(0)

    @cached_property
    def counts(self) -> Counter[int]:
        """How many logits lie at each distance below the maximum."""
        counts = Counter(d for d in self.distances if d is not None)
        del counts[0]
        return counts

    def exact(self, numerator: int) -> Fraction:
        """The effective logit, or difference of two, as a fraction; 0 under a soft cap, which leaves nothing exact."""
        return Fraction(numerator, self.den << self.frac) if self.softcap is None else Fraction(0)


def limiting(values: Sequence[float], temperature: float, softcap: float | None) -> Logits:
    """The logits of a row; infinite ones stand for ties, beside which all others are masked."""
    if math.inf in values:
        return Logits([0.0 if x == math.inf else None for x in values], 1.0, None)
    return Logits([x if math.isfinite(x) else None for x in values], temperature, softcap)


class Sums:
    """Exponentials and sums of one row, enclosed to a relative width of about 2^-bits (absolute for capped logits)."""

    def __init__(self, logits: Logits, bits: int) -> None:
        self.bits = bits
        self.logits = logits
        self._size = bits + len(logits.distances).bit_length() + 8
        self._exponential = exponential(self._size)
        self._kept: dict[int, Interval] = {}

    def decay(self, numerator: int) -> Interval:
        """exp(−|y|) for the effective logit y."""
        row = self.logits
        if row.softcap is None:
            return self._exponential.of(abs(numerator), row.frac, row.den)
        return self._decay_of(self.capped(abs(numerator)))

    def term(self, distance: int) -> Interval:
        """e^z of a logit so far below the maximum."""
        row = self.logits
        if row.softcap is None:
            found = self._kept.get(distance)
            if found is None:
                found = self._kept[distance] = self._exponential.of(distance, row.frac, row.den)
            return found
        return self._decay_of(negate(self.gap(distance)))

    def gap(self, distance: int) -> Interval:
        """The z of a logit so far below the maximum as far as it is not exact: 0 without a soft cap."""
        row = self.logits
        if row.softcap is None or distance == 0:
            return ZERO
        lower = self.capped(row.peak - distance)
        gap = subtract(lower, self.capped(row.peak), self._capped_size)
        return Interval(gap.lo, min(gap.hi, 0), gap.exp)

    def weighted(self, factors: Iterable[tuple[int, int]]) -> Interval:
        """Σ factor·e^z over pairs of a distance and an integer factor, to `bits` bits of the largest term."""
        terms = [(self.term(distance), factor) for distance, factor in factors if factor]
        if not terms:
            return ZERO
        exp = max(e.exp + factor.bit_length() for e, factor in terms) - 4
        lo = hi = 0
        for e, factor in terms:
            low, high = (e.lo, e.hi) if factor > 0 else (e.hi, e.lo)
            lo += floor_shift(low * factor, e.exp - exp)
            hi += floor_shift(high * factor, e.exp - exp) + 1
        return Interval(lo, hi, exp)

    @cached_property
    def sigma(self) -> Interval:
        """Σ e^z over all but the maxima, divided by the number of maxima."""
        return divide(self.weighted(self.logits.counts.items()), self.logits.ties, self._size)

    @cached_property
    def share(self) -> Interval:
        """1/(1 + σ): k·p of a maximum."""
        return reciprocal(add(ONE, self.sigma, self._size), self._size)

    @cached_property
    def rest(self) -> Interval:
        """σ/(1 + σ) = 1 − share, to full relative precision."""
        return multiply(self.sigma, self.share, self._size)

    @cached_property
    def log(self) -> Interval:
        """Log of the sum of all e^z, at least 0."""
        ties = self.logits.ties
        return log1p(add(Interval(ties - 1, ties - 1, 0), times(self.sigma, ties), self._size), self._size)

    def weight(self, distance: int) -> Interval:
        """k·p of a logit so far below the maximum."""
        return multiply(self.term(distance), self.share, self._size) if distance else self.share

    @cached_property
    def peak(self) -> Interval:
        """The maximum as far as it is not exact: 0 without a soft cap."""
        return ZERO if self.logits.softcap is None else self.capped(self.logits.peak)

    def capped(self, numerator: int) -> Interval:
        """cap·tanh(x/cap) of a logit, to an absolute precision."""
        cap = self._cap
        e = self._tail(numerator, self._capped_size)
        quotient = multiply(
            subtract(ONE, e, self._capped_size),
            reciprocal(add(ONE, e, self._capped_size), self._capped_size),
            self._capped_size,
        )
        value = scale(quotient, cap, self._capped_size)
        return value if numerator >= 0 else negate(value)

    def slope(self, numerator: int) -> Interval:
        """The derivative of the soft cap: sech²(x/cap) = 4E/(1 + E)² with E = exp(−2|x|/cap)."""
        e = self._tail(numerator, self._size)
        root = reciprocal(add(ONE, e, self._size), self._size)
        return times(multiply(e, multiply(root, root, self._size), self._size), 4)

    def _tail(self, numerator: int, bits: int) -> Interval:
        row, cap = self.logits, self._cap
        return exponential(bits).of(2 * abs(numerator) * cap.denominator, row.frac, row.den * cap.numerator)

    def _decay_of(self, x: Interval) -> Interval:
        """exp(−x) for an enclosure of x >= 0: exp(−hi) >= (1 − (hi − lo))·exp(−lo)."""
        if x.lo == 0 == x.hi:
            return ONE
        low = max(0, x.lo)
        e = self._exponential.of(int(low), -x.exp)
        width = Interval(0, x.hi - low, x.exp)
        lost = multiply(e, width, self._size)
        return trim(subtract(e, lost, self._size + 8), self._size)

    @property
    def _cap(self) -> Fraction:
        cap = self.logits.softcap
        if cap is None:
            raise AssertionError
        return cap

    @property
    def _capped_size(self) -> int:
        cap = self._cap
        return self._size + max(0, cap.numerator.bit_length() - cap.denominator.bit_length()) + 8
