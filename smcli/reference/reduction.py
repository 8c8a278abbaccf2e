"""The losses of many rows, added up and multiplied by a factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.model import Truth
from smcli.reference.block import ARBITRARY_BOUND, Reference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from smcli.model import FloatArray
    from smcli.numbers.formats import Format
    from smcli.reference.arbitrary import ExactRow


def reduce_losses(references: Sequence[Reference], quantity: str, factor: Fraction, digits: int) -> tuple[Truth, str]:
    """The sum of all rows' losses times a factor: as a true value [1, 1], and in digits.

    Ignored rows contribute nothing; a factor of 0 stands for a mean over no rows, which is nan.
    """
    from smcli.reference.arbitrary import reduced, reduced_triple

    rows = _counted(references, quantity)
    value: tuple[float, float, int]
    if not factor:
        value, text = (np.nan, 0.0, 0), "nan"
    elif not rows:
        value, text = (0.0, 0.0, 0), "0"
    else:
        value, text = reduced_triple(rows, factor), reduced(rows, factor, digits)
    hi, lo, exp2 = (np.array([[v]]) for v in value)
    return Truth(hi, lo, exp2.astype(np.int64), ARBITRARY_BOUND), text


def settle_reduced(references: Sequence[Reference], quantity: str, factor: Fraction, fmt: Format) -> FloatArray:
    """The reduced loss rounded to a format, [1, 1], with as many bits as that takes."""
    from smcli.reference.arbitrary import reduced_rounded

    value = reduced_rounded(_counted(references, quantity), factor, fmt.p, fmt.emin)
    fits = -fmt.max <= value <= fmt.max
    return np.array([[float(value) if fits else np.copysign(fmt.overflow, 1.0 if value > 0 else -1.0)]])


def _counted(references: Sequence[Reference], quantity: str) -> list[ExactRow]:
    """The rows that are not ignored."""
    return [r.exact_row(k) for r in references for k in range(len(r.problem.logits)) if not r.is_ignored(quantity, k)]
