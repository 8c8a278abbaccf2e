"""The truth that every other number is judged by: the cheapest tier that certifies what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.errors import PrecisionError
from smcli.reference.block import Reference
from smcli.reference.perplexity import perplexity
from smcli.reference.reduction import reduce_losses, settle_reduced

if TYPE_CHECKING:
    from smcli.model import Problem

__all__ = ["Reference", "check_reach", "perplexity", "reduce_losses", "settle_reduced"]

FARTHEST = 2.0**62  # beyond it a true value's exponent no longer fits 64 bits


def check_reach(problem: Problem, quantity: str) -> None:
    """Refuse logits so far apart that the exponents of their probabilities do not fit 64 bits.

    Raises:
        PrecisionError: one is more than 2^62 below the maximum of its row.
    """
    logits = problem.logits
    if quantity not in {"softmax", "gradient"} or max(-float(logits.min()), float(logits.max())) <= FARTHEST / 2:
        return
    with np.errstate(all="ignore"):
        top = logits.max(axis=1, keepdims=True)
        if (np.isfinite(logits) & np.isfinite(top) & (top - logits > FARTHEST)).any():
            raise PrecisionError("a logit is more than 2^62 below the maximum", "use exact(), which has no such limit")
