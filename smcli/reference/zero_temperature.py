"""A temperature of 0: no formula has a value there, so the truth is the limit T → 0+, which is a convention.

The maxima share all the probability. logsumexp grows like max/T, and a derivative by a logit like 1/T where it does not
vanish; under a soft cap x/T becomes ±cap.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.model import Truth

if TYPE_CHECKING:
    from smcli.model import FloatArray, Problem


def limit_problem(problem: Problem, quantity: str) -> Problem:
    """The problem at T = 1 whose truth is the limit, as far as that is finite."""
    x = problem.logits
    loss = problem.loss
    if loss is not None and loss.teacher is not None:
        teacher = limit_problem(replace(problem, logits=loss.teacher, loss=None), "softmax").logits
        problem = replace(problem, loss=replace(loss, teacher=teacher))
    if problem.softcap is not None:
        logits = np.where(np.isnan(x), np.nan, np.where(x == -np.inf, x, np.sign(x) * problem.softcap))
    elif quantities.get(quantity).is_elementwise(problem):
        logits = np.where(x == 0, 0.0, np.copysign(np.inf, x))
        logits[np.isnan(x)] = np.nan
    else:
        top = _leading(problem) if quantity == "logsumexp" else x.max(axis=1, keepdims=True)  # nan where one is
        at_top = np.where(np.isfinite(top), 0.0, top)  # the row of an infinite maximum is one-hot at any temperature
        logits = np.where(x == top, at_top, np.where(np.isnan(top), np.nan, -np.inf))
    return replace(problem, logits=logits, temperature=1.0, softcap=None)


def _leading(problem: Problem) -> FloatArray:
    """The logit [R, 1] that a logsumexp is left with: the largest whose coefficients do not add up to 0."""
    x, b = problem.logits, problem.coefficients
    top = x.max(axis=1, keepdims=True)
    if b is None:
        return np.asarray(top)
    for row in range(len(x)):
        sums: dict[float, Fraction] = {}
        for value, factor in zip(x[row].tolist(), b.tolist(), strict=True):
            if factor and np.isfinite(factor):
                sums[value] = sums.get(value, Fraction(0)) + Fraction(factor)
        if not np.isnan(top[row, 0]):
            top[row, 0] = max((value for value, total in sums.items() if total), default=-np.inf)
    return np.asarray(top)


def limit_truth(problem: Problem, quantity: str, finite: Truth) -> Truth:
    """The limit: the truth at T = 1, but infinite where it grows without end."""
    with np.errstate(all="ignore"):
        growth = _growth(problem, quantity, finite.hi)
    hi = np.where(growth != 0, np.copysign(np.inf, growth), finite.hi)
    ends = growth != 0
    return Truth(hi, np.where(ends, 0.0, finite.lo), np.where(ends, 0, finite.exp2), finite.bound)


def _growth(problem: Problem, quantity: str, value: FloatArray) -> FloatArray:
    """The sign of what grows without end, 0 where the limit is finite or not defined."""
    if quantities.get(quantity).is_derivative:
        return np.asarray(np.where(np.isfinite(value), np.sign(value), 0.0))
    top = _leading(problem)
    sign = np.where(np.isfinite(top), np.sign(top), 0.0)
    loss = problem.loss
    if problem.softcap is not None:
        return np.zeros(value.shape)
    if quantity == "logsumexp":
        return sign
    if quantity == "cross-entropy" and loss is not None and loss.z_loss:
        return np.asarray(np.abs(sign) * np.sign(loss.z_loss) * np.ones(value.shape))
    return np.zeros(value.shape)
