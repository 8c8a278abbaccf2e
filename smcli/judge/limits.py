"""What counts as accurate where no limit is given: what a careful algorithm in the format achieves on this problem.

In ulp at the truth, n logits, m the largest:

- log-softmax, cross-entropy: max(8, 2(log2 n + 4));
- softmax, gradient, Jacobian: |x_j − m| is added in the bracket, since rounding x_j − m alone costs |x_j − m| u;
- logsumexp: the componentwise condition Σ p_i |x_i| / |logsumexp| is added;
- logsumexp with coefficients: that of its own, Σ |b_i|e^x_i |x_i| / |Σ b_i e^x_i| / |logsumexp|;
- entropy: Σ w_i |x_i − m| is added, w_i = p_i|log p_i|/H being the weight of a term;
- focal loss: 1 + γ times the flat bracket, and γ times |x_i − m|, averaged over what 1 − p_t is made of;
- sigmoid, log-sigmoid: as log-softmax; where the logits are divided or capped first, which rounds, their condition is added;
- whatever is a difference a − b of positive parts (KL: the cross-entropy of t and p less H(t); gradients of soft
  labels, of entropy and of KL, vector-Jacobian products, logarithms under a soft cap): times (a + b)/|a − b|. At an
  optimum, where the difference is 0 or nearly, the error is judged against a + b.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.judge import own
from smcli.judge.logits import finite, finite_sizes, probabilities, scaled
from smcli.judge.measure import Limit, as_float
from smcli.model import required

if TYPE_CHECKING:
    from smcli.model import FloatArray, Loss, Problem, Truth
    from smcli.problem.specs import Tolerance
    from smcli.reference import Reference

LEAST = 8.0


def limit(problem: Problem, quantity: str, reference: Reference, tolerance: Tolerance) -> Limit:
    """What counts as accurate of a quantity of this block: the user's own limits, else those of the problem."""
    return _of_user(tolerance) if tolerance.given else _of_problem(problem, quantity, reference)


def of_softmax(problem: Problem) -> FloatArray:
    """What counts as accurate of each probability, in ulp [R, C], whatever is asked for."""
    base = math.log2(max(problem.logits.shape[1], 1)) + 4
    with np.errstate(all="ignore"):
        return np.maximum(LEAST, 2 * (base + _distance(replace(problem, loss=None), "softmax")))


def reduced(count: int, tolerance: Tolerance) -> Limit:
    """What counts as accurate of a sum or mean over that many rows."""
    return _of_user(tolerance) if tolerance.given else Limit(np.array(max(LEAST, 2 * (math.log2(max(count, 1)) + 4))))


def _of_user(tolerance: Tolerance) -> Limit:
    ulp, rel = (math.inf if most is None else most for most in (tolerance.max_ulp, tolerance.max_rel))
    return Limit(np.array(ulp), rel)


def _of_problem(problem: Problem, quantity: str, reference: Reference) -> Limit:
    base = math.log2(max(problem.logits.shape[1], 1)) + 4
    flat = np.array(max(LEAST, 2 * base))
    rule = quantities.get(quantity).limit
    with np.errstate(all="ignore"):
        if rule == "condition":
            return Limit(
                np.maximum(LEAST, 2 * (base + np.nan_to_num(logsumexp_condition(problem, reference), nan=0.0)))
            )
        if rule in own.RULES:
            allowed, parts = own.RULES[rule](problem, base)
            allowed = np.maximum(LEAST, np.nan_to_num(allowed, nan=0.0, posinf=0.0))
            return Limit(allowed) if parts is None else _against(finite(parts), allowed, reference.truth(quantity))
        if quantity in own.SIGMOIDS:
            return Limit(np.maximum(LEAST, 2 * (base + own.SIGMOIDS[quantity](problem))))
        if rule == "flat":
            if problem.softcap is None or quantity == "bce":
                return Limit(flat)
            at = scaled(problem)
            parts = np.abs(at) + np.abs(at.max(axis=1, keepdims=True))
            return _against(
                np.nan_to_num(_fitting(parts, reference.truth(quantity)), posinf=0.0), flat, reference.truth(quantity)
            )
        allowed = np.maximum(LEAST, 2 * (base + _distance(problem, quantity)) + own.more(problem, quantity, base))
        parts = _parts(problem, quantity, reference)
        return Limit(allowed) if parts is None else _against(parts, allowed, reference.truth(quantity))


def _fitting(parts: FloatArray, truth: Truth) -> FloatArray:
    return parts if parts.shape == truth.hi.shape else parts.max(axis=1, keepdims=True)


def _against(parts: FloatArray, allowed: FloatArray, truth: Truth) -> Limit:
    """The limit of a difference of parts, in ulp of the difference, with the parts beside it for where that is 0."""
    size = np.abs(as_float(truth))
    worse = np.where(size > 0, np.maximum(parts / size, 1.0), 1.0)
    return Limit(allowed * np.nan_to_num(worse, nan=1.0, posinf=1.0), parts=parts, base=allowed)


def _distance(problem: Problem, quantity: str) -> FloatArray:
    """How far rounding the exponents can move a probability, in u."""
    x = scaled(problem)
    if problem.loss is not None and problem.loss.is_binary:
        return np.asarray(np.nan_to_num(np.abs(x), posinf=0.0))
    top = x.max(axis=1, keepdims=True)
    below = np.abs(x) + np.abs(top) if problem.softcap is not None else np.abs(x - top)
    below = np.nan_to_num(below, nan=0.0, posinf=0.0)
    if quantities.get(quantity).shape == "matrix":
        rows, classes = x.shape
        below = (below[:, :, None] + below[:, None, :]).reshape(rows, classes**2)
    return np.asarray(below)


def _parts(problem: Problem, quantity: str, reference: Reference) -> FloatArray | None:
    """The positive parts of which a derivative is the difference, added up; 0 or None where it is no difference."""
    loss = problem.loss
    if quantity == "vjp" and problem.vjp_of != "softmax":
        parts = own.product_parts(problem, reference)
    elif quantity == "vjp" and problem.cotangent is not None:
        p = probabilities(problem)
        size = np.abs(problem.cotangent)
        parts = p * (size + (p * size).sum(axis=1, keepdims=True))
    elif quantity == "gradient" and loss is not None:
        hard = loss.target is not None and not loss.smoothing and not loss.z_loss
        if hard:
            return None
        parts = _loss_parts(problem, reference) * abs(float(problem.scale))
    else:
        return None
    return finite(parts / problem.temperature)


def _loss_parts(problem: Problem, reference: Reference) -> FloatArray:
    loss = required(problem.loss)
    if loss.kind in own.PARTS:
        return own.PARTS[loss.kind](problem)
    if loss.kind == "bce":
        x = scaled(problem)
        y = np.asarray(loss.labels)
        return np.where((y == 0) | (y == 1), 0.0, 1 / (1 + np.exp(-x)) + np.abs(y))
    p = probabilities(problem)
    size = np.abs(weights(problem, loss))
    parts = np.where(size == 0, 0.0, p * size.sum(axis=1, keepdims=True) + size)
    if loss.z_loss:
        parts = parts + 2 * abs(loss.z_loss) * np.abs(as_float(reference.truth("logsumexp"))) * p
    return np.asarray(parts)


def weights(problem: Problem, loss: Loss) -> FloatArray:
    """What a loss with a target or labels multiplies −log p of each class by [R, C], to a few digits."""
    rows, classes = problem.logits.shape
    if loss.labels is not None:
        y = np.asarray(loss.labels)
    else:
        y = np.zeros((rows, classes))
        y[np.arange(rows), np.maximum(required(loss.target), 0)] = 1.0
    y = y * (1 - loss.smoothing) + loss.smoothing / classes
    weighted: FloatArray = y if loss.weights is None else y * loss.weights
    return weighted


def logsumexp_condition(problem: Problem, reference: Reference) -> FloatArray:
    """The componentwise condition of logsumexp, Σ p_i |x_i| / |logsumexp|, [R, 1]; with coefficients |b_i|e^x_i / |Σ|."""
    with np.errstate(all="ignore"):
        value = as_float(reference.truth("logsumexp"))
        weights = probabilities(problem) if problem.coefficients is None else own.signed_weights(problem, value)
        return np.asarray((weights * finite_sizes(problem)).sum(axis=1, keepdims=True) / np.abs(value))
