"""What code made of a batch beside what it makes of the rows alone: the mistakes that people make there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray
    from smcli.quantities import Quantity

NEAR, LEAST = 0.1, 0.01  # values of a batch and of a row alone are one up to this: relatively, and of the row's largest
CLOSE = 1e-3  # up to which a sum is 1; more in narrow formats


def differ(batch: FloatArray, alone: FloatArray) -> BoolArray:
    """Which values [R, N] of a batch are others than those of its rows alone, by far more than any rounding."""
    with np.errstate(all="ignore"):
        size = np.where(np.isfinite(alone), np.abs(alone), 0.0).max(axis=1, keepdims=True, initial=0.0)
        near = (np.abs(batch - alone) <= NEAR * np.abs(alone) + LEAST * size) & np.isfinite(alone)
    same: BoolArray = near | (batch == alone) | (np.isnan(batch) & np.isnan(alone))
    return ~same


def looks_like(quantity: Quantity, batch: FloatArray, alone: FloatArray, unit: float) -> str:
    """What the other values of a batch are, in words, or an empty string: which axis they are normalised over.

    Args:
        quantity: what they are values of.
        batch: what the batch gave [R, N].
        alone: what the rows alone gave.
        unit: the unit roundoff of the format.
    """
    if quantity.name not in {"softmax", "log-softmax"} or len(batch) < 2:
        return ""
    with np.errstate(all="ignore"):
        p, own = (np.exp(v) if quantity.name == "log-softmax" else v for v in (batch, alone))
        sums, total = p.sum(axis=0), float(p.sum())
        ratio = p / own
    rows, classes = p.shape
    room = max(CLOSE, 4 * unit * max(rows, classes))
    if (np.abs(sums - 1) <= room).all():
        return "its columns sum to 1, so that it normalises over the rows of the batch (axis 0), not over the classes"
    if abs(total - 1) <= room:
        return "all of them sum to 1, so that it normalises over the whole batch, as a sum without an axis does"
    back = ratio * ratio.T if rows == classes else np.zeros(1)
    if (np.abs(back - 1) <= room).all():
        return "each column is divided by the sum of another row, as by e.sum(axis=-1) without keepdims=True"
    return ""
