"""The condition number of a problem: what the problem itself does to the rounding of its logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.judge.limits import logsumexp_condition
from smcli.judge.logits import finite_sizes, probabilities, scaled
from smcli.judge.measure import as_float

if TYPE_CHECKING:
    from smcli.model import FloatArray, Problem
    from smcli.reference import Reference


def condition(problem: Problem, quantity: str, reference: Reference) -> FloatArray | None:
    """The componentwise condition number: relative change of a value over the largest relative change of a logit.

    logsumexp: Σ p_i |x_i| / |logsumexp|; p_j: Σ_i |δ_ij − p_i| |x_i|; log p_j: that over |log p_j|. (Blanchard, Higham
    & Higham 2021, §2, has the ∞-norm, which overrates problems whose largest logit does not matter.)

    Returns:
        float64 [R, N], nan where it is not defined; None for quantities without a formula.
    """
    loss, kind = problem.loss, quantities.get(quantity).condition
    if kind == "none" or problem.softcap is not None or problem.temperature == 0:
        return None
    if kind == "logsumexp":
        return logsumexp_condition(problem, reference)
    of_p = probability_condition(problem)
    if kind == "probability":
        return of_p
    if quantity == "cross-entropy" and loss is not None:
        if loss.target is None or loss.smoothing or loss.weights is not None or loss.z_loss:
            return None
        of_p = np.take_along_axis(of_p, np.maximum(loss.target, 0)[:, None], axis=1)
    with np.errstate(all="ignore"):
        size = np.abs(as_float(reference.truth(quantity)))
        return np.where(size == 0, np.where(of_p == 0, 0.0, np.inf), of_p / size)


def probability_condition(problem: Problem) -> FloatArray:
    """(1 − p_j)|x_j| + Σ p_i |x_i| over the others, [R, C]; without cancellation for the largest p, too."""
    with np.errstate(all="ignore"):
        return _probability_condition(problem)


def _probability_condition(problem: Problem) -> FloatArray:
    p, size = probabilities(problem), finite_sizes(problem)
    rows = np.arange(len(p))
    top = scaled(problem).argmax(axis=1)
    rest = p.copy()
    rest[rows, top] = 0.0
    others = (rest * size).sum(axis=1)
    with np.errstate(over="ignore"):  # a logit near the largest number has an infinite condition number
        own: FloatArray = (1 - p) * size + (others + p[rows, top] * size[rows, top])[:, None] - p * size
        own[rows, top] = rest.sum(axis=1) * size[rows, top] + others
    return own
