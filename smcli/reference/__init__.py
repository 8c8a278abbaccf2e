"""The truth that every other number is judged by: the cheapest tier that certifies what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.errors import PrecisionError, UsageError
from smcli.model import Loss, Problem, Truth
from smcli.numbers import formats
from smcli.reference.block import Reference
from smcli.reference.reduction import reduce_losses, settle_reduced

if TYPE_CHECKING:
    from smcli.model import FloatArray

__all__ = ["Reference", "reduce_losses", "settle_reduced", "truth"]

FARTHEST = 2.0**62  # beyond it a true value's exponent no longer fits 64 bits


def truth(array: Any, quantity: str = "softmax", *, dtype: str = "float64", target: Any = None) -> Truth:
    """The true values of an array [..., C] over its last axis, at array speed.

    Args:
        array: logits, rounded to `dtype` first; the rounded values are exact.
        quantity: softmax, log-softmax, logsumexp, cross-entropy; gradient with a target.
        dtype: the number format of the logits, which decides how exact the truth has to be.
        target: the right class of each row: an integer, or an array [...].

    Returns:
        A `Truth` with arrays of the array's shape ([..., 1] for logsumexp and for cross-entropy with a target):
        value = (hi + lo)·2**exp2 to a relative `bound`, 2^-85 for float64 and 2^-47 for narrower formats.

    Raises:
        PrecisionError: a logit is more than 2^62 below the maximum, so that an exponent does not fit: use `exact`.
        UsageError: no such quantity or format.
    """
    fmt = formats.get(dtype)
    if quantity not in {"softmax", "log-softmax", "logsumexp", "cross-entropy", "gradient"}:
        raise UsageError(f"truth knows no quantity {quantity!a}", "use exact, which knows all of them")
    given = np.asarray(array)
    x = given.astype(np.float64, copy=False)
    if x.size == 0 or x.ndim == 0:
        raise UsageError(f"an array of shape {x.shape} has no rows of logits", "the last axis is the classes")
    logits = x.reshape(-1, x.shape[-1])
    if given.dtype.name != fmt.name:  # numbers of the format need no rounding to it
        logits = fmt.round(logits)
    loss = None
    if target is not None:
        chosen = np.broadcast_to(np.asarray(target, dtype=np.int64), x.shape[:-1]).reshape(-1)
        if chosen.min() < 0 or chosen.max() >= x.shape[-1]:
            raise UsageError("a target is not a class", f"targets run from 0 to {x.shape[-1] - 1}")
        loss = Loss(target=chosen)
    elif quantity == "gradient":
        raise UsageError("a gradient needs a target", "pass target=K, the right class")
    if quantity in {"softmax", "gradient"}:
        _reach(logits)
    found = Reference(Problem(fmt.name, logits, loss)).truth(quantity)
    shape = (*x.shape[:-1], found.hi.shape[1])
    return Truth(found.hi.reshape(shape), found.lo.reshape(shape), found.exp2.reshape(shape), found.bound)


def _reach(logits: FloatArray) -> None:
    if max(-float(logits.min()), float(logits.max())) <= FARTHEST / 2:
        return
    with np.errstate(all="ignore"):
        top = logits.max(axis=1, keepdims=True)
        if (np.isfinite(logits) & np.isfinite(top) & (top - logits > FARTHEST)).any():
            raise PrecisionError("a logit is more than 2^62 below the maximum", "use exact(), which has no such limit")
