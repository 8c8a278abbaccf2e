"""The sum of many rows' losses times a factor, to any number of digits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from smcli.reference.arbitrary.binary import PAIR_BITS, pair_of, rounded
from smcli.reference.arbitrary.functions import exp_of
from smcli.reference.arbitrary.interval import Enclosure, Interval, is_narrow, rescale, scale, total
from smcli.reference.arbitrary.ziv import WORK, digits_of, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.reference.arbitrary.row import ExactRow


def reduced(rows: Sequence[ExactRow], factor: Fraction, digits: int, *, exponential: bool = False) -> str:
    """The rows' losses, added and multiplied by `factor`, or the exponential of that, to `digits` significant digits."""
    return digits_of(lambda bits: _value(rows, factor, bits, exponential), digits)


def reduced_triple(
    rows: Sequence[ExactRow], factor: Fraction, *, exponential: bool = False
) -> tuple[float, float, int]:
    """The same as `ExactRow.triple` gives a value."""
    return pair_of(_value(rows, factor, PAIR_BITS, exponential))


def reduced_rounded(
    rows: Sequence[ExactRow], factor: Fraction, p: int, emin: int, *, exponential: bool = False
) -> Fraction:
    """The same as `ExactRow.round_to` gives a value."""

    def attempt(bits: int) -> Fraction | None:
        value = _value(rows, factor, bits, exponential)
        return (
            rounded(value, p, emin) if not isinstance(value, float) else Fraction(value)
        )  # only finite sums are asked

    return until(attempt, p + 12)


def _value(rows: Sequence[ExactRow], factor: Fraction, bits: int, exponential: bool) -> Enclosure | float:  # noqa: FBT001
    """What was reduced, or its exponential, relative to itself to 2^-bits."""
    if not exponential:
        return _reduced(rows, factor, bits)

    def attempt(work: int) -> Enclosure | None:
        mean = _reduced(rows, factor, work)
        if isinstance(mean, float):  # which is told before
            raise TypeError("the mean is no number")
        numerator, size = scale(Interval(mean.lo, mean.hi, mean.exp), Fraction(1, mean.den), work), work + 8
        value = Enclosure(*exp_of(numerator, size))
        return value if is_narrow(value, bits) else None

    value: Enclosure | float = until(attempt, bits + WORK)
    return value


def _reduced(rows: Sequence[ExactRow], factor: Fraction, bits: int) -> Enclosure | float:
    places = [(row, quantity, i) for row in rows for quantity, i in row.losses]
    special = [value for row, quantity, i in places if (value := row.special(quantity, i)) is not None]
    if special:
        return sum(special) * math.copysign(1.0, factor)

    def attempt(work: int) -> Enclosure | None:
        values = (row.enclose(quantity, i, work) for row, quantity, i in places)
        value = rescale(total([value for value in values if not isinstance(value, float)], work), factor)
        return value if is_narrow(value, bits) else None

    return until(attempt, bits + WORK)
