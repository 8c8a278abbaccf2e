"""A gradient's entry at the target, p − 1: how much of its error is that p was rounded before 1 was taken off."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smcli.judge import limits
from smcli.judge.logits import probabilities
from smcli.judge.measure import spacing

if TYPE_CHECKING:
    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray, FloatArray

OFTEN = 2.0  # spacings of p − 1 that one of p has to be, for p − 1 to be said to cancel
TEXT = (
    "wrong by up to {ulp} ulp ({rel} relative) at {at}: p − 1 cancels there, p is right within {of_p} ulp of its own, one of "
    "which is {each} of p − 1; {against}"
)
INSTEAD = "take the target's entry as minus the sum of the other probabilities, never as p − 1"


class Cancelled(NamedTuple):
    """What is known of p − 1 in each row [R].

    Attributes:
        where: the rows whose wrong value is the target's entry alone, as p − 1 of an accurate p is.
        of_p: the error of p, in ulp of p.
        each: how many ulp of p − 1 an ulp of p is.
    """

    where: BoolArray
    of_p: FloatArray
    each: FloatArray


def cancelled(ev: RunEvidence, wrong: BoolArray) -> Cancelled | None:
    """Whether the wrong values of a gradient are p − 1 of an accurate p; None where it is no p − 1.

    The true entry is f·(p − 1) = −f·s, s being the sum of the other probabilities, whatever f is made of: temperature,
    soft cap, the target's weight, the factor of a reduction. s adds positive numbers, so that f = |t|/s is known to a few
    digits, and the value y is f·(p' − 1) of a p' that is off by |y − t|/f. In ulp that is the error of y over how many ulp
    of t one of p is. That p' is accurate if it is within the limit of a softmax (NUMERICS 6a), and one ulp more for the
    rounded subtraction and the factors.
    """
    loss = ev.problem.loss
    if ev.quantity.name != "gradient" or loss is None or loss.kind != "cross-entropy" or loss.target is None:
        return None
    if loss.smoothing or loss.z_loss:
        return None
    rows, at = np.arange(len(wrong)), np.maximum(loss.target, 0)
    p = probabilities(ev.problem)
    own = p[rows, at].copy()
    p[rows, at] = 0
    t = ev.t[rows, at]
    factor = np.abs(t) / p.sum(axis=1)
    each = factor * spacing(own, ev.format) / spacing(t, ev.format)
    of_p = ev.errors.ulp[rows, at] / each
    alone = wrong[rows, at] & (wrong.sum(axis=1) == 1)
    near = of_p <= limits.of_softmax(ev.problem)[rows, at] + 1
    return Cancelled(alone & near & (each >= OFTEN) & np.isfinite(factor), of_p, each)
