"""What a loss asks of the reference: the exact coefficient of each class, and its target."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import Loss, required

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.reference.arbitrary import Asked


def coefficients(loss: Loss, row: int, classes: int) -> list[Fraction]:
    """The exact c of the loss −Σ c_i log p_i of one row: c_i = w_i (y_i (1 − E) + E/K); K counts masked classes."""
    if loss.labels is not None:
        y = [Fraction(float(v)) for v in loss.labels[row]]
    else:
        y = [Fraction(0)] * classes
        y[max(int(required(loss.target)[row]), 0)] = Fraction(1)
    if loss.smoothing:
        kept, spread = 1 - Fraction(loss.smoothing), Fraction(loss.smoothing) / classes
        y = [v * kept + spread for v in y]
    if loss.weights is not None:
        y = [v * Fraction(float(w)) for v, w in zip(y, loss.weights, strict=True)]
    return y


def has_labels(loss: Loss) -> bool:
    """Whether the loss is told a right class or labels."""
    return loss.labels is not None or loss.target is not None


def asked_of(problem: Problem, row: int) -> Asked:
    """What is asked of one row, in exact numbers."""
    from smcli.reference.arbitrary import Asked

    loss, v, b = problem.loss or Loss(), problem.cotangent, problem.coefficients
    return Asked(
        temperature=problem.temperature,
        softcap=problem.softcap,
        kind=loss.kind,
        binary=loss.is_binary,
        coefficients=coefficients(loss, row, problem.logits.shape[1]) if has_labels(loss) else None,
        z_loss=loss.z_loss,
        factor=problem.scale,
        gamma=loss.gamma,
        teacher=None if loss.teacher is None else loss.teacher[row].tolist(),
        reverse=loss.reverse,
        cotangent=None if v is None else v.tolist(),
        vjp_of=problem.vjp_of,
        signed=None if b is None else b.tolist(),
    )


def is_hard(loss: Loss) -> bool:
    """One class a row, without smoothing."""
    return loss.target is not None and not loss.smoothing


def hard_target(problem: Problem, loss: Loss) -> tuple[IntArray, FloatArray, BoolArray]:
    """Column and weight of the target, and whether it is no class or a masked one, [R, 1] each."""
    x, target = problem.logits, required(loss.target)
    at = np.clip(target, 0, x.shape[1] - 1)[:, None]
    weight = np.ones(at.shape) if loss.weights is None else loss.weights[at]
    wrong = (at[:, 0] != target)[:, None] | (np.take_along_axis(x, at, axis=1) == -np.inf)
    return at, weight, wrong | ~np.isfinite(weight)


def both(problem: Problem) -> tuple[Problem, Problem]:
    """First and second row of a divergence as problems of logits alone."""
    loss = required(problem.loss)
    rows = problem.logits, required(loss.teacher)
    student, teacher = (replace(problem, logits=x, loss=None, ignored=None) for x in rows)
    return (student, teacher) if loss.reverse else (teacher, student)
