"""The losses of many rows, added up and multiplied by a factor: in pairs, and by integers where that does not certify."""

from __future__ import annotations

from math import copysign, fsum
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import Truth
from smcli.reference.block import ARBITRARY_BOUND, Reference
from smcli.reference.double_double import twofold
from smcli.reference.double_double.decimal import MOST_DIGITS, texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from smcli.numbers.formats import Format
    from smcli.reference.arbitrary import ExactRow

_PIECE = 1 << 14
_LOOSE = 2.0**-40  # a sum that cancels to a wider bound is left to integers


def reduce_losses(references: Sequence[Reference], quantity: str, factor: Fraction, digits: int) -> tuple[Truth, str]:
    """The sum of all rows' losses times a factor: as a true value [1, 1], and in digits.

    Ignored rows contribute nothing; a factor of 0 stands for a mean over no rows, which is nan. Time and memory are
    those of the rows' own truths, unless neither float64 nor pairs settle the digits or the side of a power of 2.
    """
    if not factor:
        return single((np.nan, 0.0, 0)), "nan"
    for sharp in (False, True) if digits <= MOST_DIGITS else ():
        truth = _sum([r.truth(quantity, sharp=sharp) for r in references], factor)
        if truth is not None:
            (text,) = texts(truth.part(0), digits)
            if text is not None:
                return truth, text
    from smcli.reference.arbitrary import reduced, reduced_triple

    rows = counted_rows(references, quantity)
    return single(reduced_triple(rows, factor)), reduced(rows, factor, digits)


def _sum(truths: Sequence[Truth], factor: Fraction) -> Truth | None:
    """The sum times the factor with its bound; None where that is too wide, or leaves open a side of a power of 2.

    With 2^top just above the largest term, all terms are scaled by 2^-top and added up in pieces, u² each, and these:
    2u²·Σ|t|. What vanishes below 2^-1074 is less than 2^-1000, with fewer than 2^70 terms. The terms' own errors add up
    to bound·Σ|t|; the factor has 2u², the product 9u².
    """
    hi, lo, exp2 = (
        np.concatenate([np.ravel(getattr(truth, part)) for truth in truths]) for part in ("hi", "lo", "exp2")
    )
    special = hi[~np.isfinite(hi)]
    if special.size:
        return single((float(sum(special.tolist())) * copysign(1.0, factor), 0.0, 0))
    if not hi.any():
        return single((0.0, 0.0, 0))
    bound = max(truth.bound for truth in truths)
    size = np.frexp(hi)[1] + exp2
    top = int(size[hi != 0].max())
    shift = np.clip(exp2 - top, -3000, 3000).astype(np.int32)
    hi, lo = np.ldexp(hi, shift), np.ldexp(lo, shift)
    pieces = [slice(start, start + _PIECE) for start in range(0, hi.size, _PIECE)]
    high, low = _exact_sum([part for at in pieces for part in _exact_sum([*hi[at].tolist(), *lo[at].tolist()])])
    error = (bound + ARBITRARY_BOUND) * float(np.abs(hi).sum()) * (1 + 2.0**-20) + 2.0**-1000
    if not error <= _LOOSE * abs(high):
        return None
    bound = error / abs(high) * (1 + 2.0**-30) + ARBITRARY_BOUND
    numerator = twofold.of_fraction(factor)
    product = twofold.mul((np.array(high), np.array(low)), twofold.significand(numerator))
    mantissa, power = np.frexp(product[0])
    below = float(np.ldexp(product[1], -power))
    distance = min(abs(abs(mantissa + below) - edge) for edge in (0.5, 1.0))
    if distance <= 2 * bound and abs(below) <= 2 * bound:
        return None
    return single((float(mantissa), below, int(power) + numerator[2] + top), bound)


def _exact_sum(terms: list[float]) -> tuple[float, float]:
    """The sum as a pair, right to u²: rounded once by `math.fsum`, and what that left rounded once."""
    high = fsum(terms)
    return high, fsum([*terms, -high])


def single(value: tuple[float, float, int], bound: float = ARBITRARY_BOUND) -> Truth:
    """One true value [1, 1], of a pair and an exponent."""
    return Truth(np.array([[value[0]]]), np.array([[value[1]]]), np.array([[value[2]]], dtype=np.int64), bound)


def settle_reduced(
    references: Sequence[Reference], quantity: str, factor: Fraction, fmt: Format, *, exponential: bool = False
) -> float:
    """The reduced loss, or its exponential, rounded to a format with as many bits as that takes."""
    from smcli.reference.arbitrary import reduced_rounded

    rows = counted_rows(references, quantity)
    return fmt.bounded(reduced_rounded(rows, factor, fmt.p, fmt.emin, exponential=exponential))


def counted_rows(references: Sequence[Reference], quantity: str) -> list[ExactRow]:
    """The rows that are not ignored."""
    finite = [r if r.problem.temperature else r.at_zero(quantity) for r in references]
    return [r.exact_row(k) for r in finite for k in range(len(r.problem.logits)) if not r.is_ignored(quantity, k)]
