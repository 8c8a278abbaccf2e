"""The exponential of a mean loss, certified: from the mean as it is known, else with as many bits as that takes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from smcli.errors import PrecisionError
from smcli.reference.block import ARBITRARY_BOUND, Reference
from smcli.reference.double_double.decimal import MOST_DIGITS, texts
from smcli.reference.reduction import counted_rows, reduce_losses, single

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import Truth

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
        return single((math.exp(value) if value == -math.inf else value, 0.0, 0)), str(value), text
    if _below(mean, digits):
        return single((1.0, 0.0, 0)), "1", text
    if abs(value) > LARGEST:
        raise PrecisionError(
            f"the perplexity is e to the power of {text}", "ask for --reduction mean, which is its logarithm"
        )
    truth = _exponential(mean)
    (found,) = texts(truth.part(0), digits) if digits <= MOST_DIGITS else (None,)
    if found is not None:
        return truth, found, text
    from smcli.reference.arbitrary.reduced import reduced, reduced_triple

    rows = counted_rows(references, quantity)
    return single(reduced_triple(rows, factor, exponential=True)), reduced(rows, factor, digits, exponential=True), text


def _below(mean: Truth, digits: int) -> bool:
    """Whether e^mean is 1 in all the digits and bits that are asked for: a mean m leaves it within 2|m| of 1.

    The exponent of such a mean may have hundreds of digits itself, as that of e^-1e300.
    """
    fraction, exponent = math.frexp(float(mean.hi[0, 0]))
    return fraction == 0 or int(mean.exp2[0, 0]) + exponent < -(4 * digits + TINY)


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
    return single(pair_of(Enclosure(*value)), spread * (1 + spread) + 2 * ARBITRARY_BOUND)
