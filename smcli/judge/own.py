"""The limits of entropy, divergence, focal loss, sigmoids and other products with Jacobians; formulas in `limits`."""

from __future__ import annotations

from dataclasses import replace
from math import frexp
from typing import TYPE_CHECKING

import numpy as np

from smcli.judge.logits import finite, probabilities, scaled
from smcli.judge.measure import as_float
from smcli.model import required

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import FloatArray, Loss, Problem
    from smcli.reference import Reference

    Rule = Callable[[Problem, float], tuple[FloatArray, FloatArray | None]]


def below(problem: Problem) -> FloatArray:
    """How far each logit is below the maximum; with the size of both under a soft cap, which rounds them; masked: 0."""
    x = scaled(problem)
    top = x.max(axis=1, keepdims=True)
    return finite(np.abs(x) + np.abs(top) if problem.softcap is not None else np.abs(x - top))


def logs(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """−log p [R, C] and its logarithm, which is also right where −log p of the maximum is below float64."""
    x = scaled(problem)
    rows, at = np.arange(len(x)), x.argmax(axis=1)
    z = x - x.max(axis=1, keepdims=True)
    others = z.copy()
    others[rows, at] = -np.inf
    second = others.max(axis=1, keepdims=True)
    log_s = second + np.log(np.exp(others - np.where(np.isfinite(second), second, 0.0)).sum(axis=1, keepdims=True))
    log_one = np.logaddexp(0.0, log_s)
    minus_log = log_one - z
    log_of = np.log(minus_log)
    log_of[rows, at] = np.where(log_s < -30, log_s, log_of[rows, at, None])[:, 0]
    return minus_log, log_of


def _averaged(log_weight: FloatArray, sizes: FloatArray) -> FloatArray:
    """The mean of the sizes [R, 1] with weights that are given as logarithms."""
    top = log_weight.max(axis=1, keepdims=True)
    weight = np.nan_to_num(np.exp(log_weight - top), nan=0.0)
    return np.asarray((weight * sizes).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True))


def entropy(problem: Problem, base: float) -> tuple[FloatArray, FloatArray | None]:
    """2(log2 n + 4 + Σ w_i |x_i − m|)."""
    minus_log, log_of = logs(problem)
    weight = np.where(np.isfinite(minus_log), log_of - minus_log, -np.inf)
    return 2 * (base + _averaged(weight, below(problem))), None


def of_teacher(problem: Problem) -> Problem:
    """The teacher's row under the same temperature and soft cap."""
    return replace(problem, logits=required(required(problem.loss).teacher), loss=None)


def divergence(problem: Problem, base: float) -> tuple[FloatArray, FloatArray | None]:
    """2(log2 n + 4 + Σ w_i |x_i − m|) for the parts H(t) and the cross-entropy of t and p, w_i their terms' weights."""
    teacher = of_teacher(problem)
    first, second = (problem, teacher) if problem.loss is not None and problem.loss.reverse else (teacher, problem)
    own, other = logs(first)[0], logs(second)[0]
    sizes = np.where(np.isfinite(own), own + other, 0.0)
    parts = finite((probabilities(first) * sizes).sum(axis=1, keepdims=True))
    return 2 * (base + _averaged(np.log(sizes) - own, below(first))), parts


def _depends(problem: Problem, loss: Loss) -> FloatArray:
    """How far below the maximum that is, on average, which 1 − p_t is made of; |x| of a sigmoid."""
    if loss.is_binary:
        return finite(np.abs(scaled(problem)))
    x = scaled(problem)
    others = x - x.max(axis=1, keepdims=True)
    if loss.target is not None:
        others[np.arange(len(x)), np.maximum(loss.target, 0)] = -np.inf
    return finite(_averaged(others, below(problem)))


def focal(problem: Problem, base: float) -> tuple[FloatArray, FloatArray | None]:
    """2(log2 n + 4)(1 + γ) + 2γ·(the distance that 1 − p_t depends on)."""
    loss = required(problem.loss)
    return 2 * base * (1 + loss.gamma) + 2 * loss.gamma * _depends(problem, loss), None


RULES: dict[str, Rule] = {"entropy": entropy, "divergence": divergence, "focal": focal}


def more(problem: Problem, quantity: str, base: float) -> FloatArray | float:
    """What the gradients of these losses are allowed beside the distance of their own logit, in ulp."""
    loss = problem.loss
    if quantity != "gradient" or loss is None:
        return 0.0
    if loss.kind == "focal":
        return 2 * loss.gamma * (base + _depends(problem, loss))
    return 2 * below(of_teacher(problem)) if loss.kind == "kl" else 0.0


def entropy_parts(problem: Problem) -> FloatArray:
    """p_i(|log p_i| + H)."""
    return _around(problem, logs(problem)[0])


def kl_parts(problem: Problem) -> FloatArray:
    """p_i + t_i; the other way round p_i(|log p_i| + |log t_i| + the mean of that)."""
    teacher = of_teacher(problem)
    if problem.loss is not None and problem.loss.reverse:
        return _around(problem, logs(problem)[0] + logs(teacher)[0])
    return probabilities(problem) + probabilities(teacher)


def _around(problem: Problem, sizes: FloatArray) -> FloatArray:
    p = probabilities(problem)
    sizes = np.where(p > 0, sizes, 0.0)
    return np.asarray(p * (sizes + (p * sizes).sum(axis=1, keepdims=True)))


def focal_parts(problem: Problem) -> FloatArray:
    """The pulls of label and opposite label of a sigmoid; 0 where there is but one."""
    loss = required(problem.loss)
    if loss.labels is None:
        return np.zeros(problem.logits.shape)
    x, y = scaled(problem), loss.labels
    up, down = (_pull(s * x, loss.gamma) for s in (1.0, -1.0))
    return np.where((y == 0) | (y == 1), 0.0, np.abs(y) * up + np.abs(1 - y) * down)


def _pull(x: FloatArray, gamma: float) -> FloatArray:
    p, q = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
    return np.asarray(q**gamma * (q + gamma * p * np.logaddexp(0.0, -x)))


PARTS: dict[str, Callable[[Problem], FloatArray]] = {"entropy": entropy_parts, "kl": kl_parts, "focal": focal_parts}


def signed_weights(problem: Problem, value: FloatArray) -> FloatArray:
    """|b_i|e^x_i / |Σ b_i e^x_i|, [R, C], from the logarithm of that sum [R, 1]."""
    size = np.abs(required(problem.coefficients))
    return np.where(size == 0, 0.0, size * np.exp(scaled(problem) - value))


def product_parts(problem: Problem, reference: Reference) -> FloatArray:
    """|v_i| + p_i·Σ|v| of log-softmax; of a logsumexp nothing, or with coefficients its value times Σ|b|e^x / |Σ b e^x|."""
    v = required(problem.cotangent)
    if problem.vjp_of == "log-softmax":
        return np.asarray(np.abs(v) + probabilities(problem) * np.abs(v).sum())
    if problem.coefficients is None:
        return np.zeros(problem.logits.shape)
    weights = signed_weights(problem, as_float(reference.truth("logsumexp")))
    return np.asarray(np.abs(v) * weights * weights.sum(axis=1, keepdims=True))


def _rounds(problem: Problem) -> bool:
    return problem.softcap is not None or frexp(problem.temperature)[0] != 0.5


def sigmoid(problem: Problem) -> FloatArray:
    """|x|·σ(−x), where dividing or capping rounded x, else 0."""
    x = scaled(problem)
    return finite(np.abs(x) / (1 + np.exp(x))) if _rounds(problem) else np.zeros(x.shape)


def log_sigmoid(problem: Problem) -> FloatArray:
    """|x|·σ(−x)/|log σ(x)|, where dividing or capping rounded x, else 0."""
    x = scaled(problem)
    return finite(np.abs(x) / (1 + np.exp(x)) / np.logaddexp(0.0, -x)) if _rounds(problem) else np.zeros(x.shape)


SIGMOIDS: dict[str, Callable[[Problem], FloatArray]] = {"sigmoid": sigmoid, "log-sigmoid": log_sigmoid}
