"""The exponential of a mean loss, certified: from the mean as it is known, else with as many bits as that takes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.errors import PrecisionError
from smcli.model import Truth
from smcli.reference.block import ARBITRARY_BOUND, Reference
from smcli.reference.double_double.decimal import MOST_DIGITS, texts
from smcli.reference.reduction import counted_rows, reduce_losses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.numbers.formats import Format

LARGEST = 2.0**52  # a mean up to which the exponent of the perplexity is an integer of 64 bits with room

TINY = 256  # bits: more than any format or bound of a truth looks at beside 1


def perplexity(references: Sequence[Reference], quantity: str, factor: Fraction, digits: int) -> tuple[Truth, str, str]:
    """The exponential of the mean: as a true value [1, 1], in digits, and the mean in digits.

    Raises:
        PrecisionError: the mean is so large that the exponent of its exponential does not fit.
    """
    mean, text = reduce_losses(references, quantity, factor, digits)
    value = float(mean.nearest()[0, 0])
    if not math.isfinite(float(mean.hi[0, 0])):
        return _of((math.exp(value) if value == -math.inf else value, 0.0, 0)), str(value), text
    if _below(mean, digits):
        return _of((1.0, 0.0, 0)), "1", text
    if abs(value) > LARGEST:
        raise PrecisionError(
            f"the perplexity is e to the power of {text}", "ask for --reduction mean, which is its logarithm"
        )
    truth = _exponential(mean)
    (found,) = (
        texts(Truth(truth.hi[0], truth.lo[0], truth.exp2[0], truth.bound), digits) if digits <= MOST_DIGITS else (None,)
    )
    if found is not None:
        return truth, found, text
    from smcli.reference.arbitrary.reduced import reduced, reduced_triple

    rows = counted_rows(references, quantity)
    return _of(reduced_triple(rows, factor, exponential=True)), reduced(rows, factor, digits, exponential=True), text


def _below(mean: Truth, digits: int) -> bool:
    """Whether e^mean is 1 in all the digits and bits that are asked for: a mean m leaves it within 2|m| of 1.

    The exponent of such a mean may have hundreds of digits itself, as that of e^-1e300.
    """
    fraction, exponent = math.frexp(float(mean.hi[0, 0]))
    return fraction == 0 or int(mean.exp2[0, 0]) + exponent < -(4 * digits + TINY)


def settle_perplexity(references: Sequence[Reference], quantity: str, factor: Fraction, fmt: Format) -> float:
    """The perplexity rounded to a format, with as many bits as that takes."""
    from smcli.reference.arbitrary.reduced import reduced_rounded

    value = reduced_rounded(counted_rows(references, quantity), factor, fmt.p, fmt.emin, exponential=True)
    return float(value) if value <= fmt.max else fmt.overflow


def _exponential(mean: Truth) -> Truth:
    """e^mean: an error of b of the mean is one of |mean|·b, relative to its exponential, and a little more."""
    from smcli.reference.arbitrary.binary import PAIR_BITS, pair_of
    from smcli.reference.arbitrary.functions import exp_of
    from smcli.reference.arbitrary.interval import Enclosure, Interval

    centre = (Fraction(float(mean.hi[0, 0])) + Fraction(float(mean.lo[0, 0]))) * Fraction(2) ** int(mean.exp2[0, 0])
    shift = PAIR_BITS + 64
    whole = int(centre * 2**shift)
    value = exp_of(Interval(whole, whole, -shift), PAIR_BITS + 8)
    spread = abs(float(centre)) * mean.bound
    return _of(pair_of(Enclosure(*value)), spread * (1 + spread) + 2 * ARBITRARY_BOUND)


def _of(value: tuple[float, float, int], bound: float = ARBITRARY_BOUND) -> Truth:
    return Truth(np.array([[value[0]]]), np.array([[value[1]]]), np.array([[value[2]]], dtype=np.int64), bound)
