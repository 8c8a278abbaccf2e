"""Logits and probabilities as limits and condition numbers need them: in plain float64, to a few digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from smcli.model import FloatArray, Problem


def finite(a: FloatArray) -> FloatArray:
    """The array with 0 for what is no number or infinite."""
    return np.asarray(np.nan_to_num(a, nan=0.0, posinf=0.0, neginf=0.0))


def scaled(problem: Problem) -> FloatArray:
    """The logits as softmax meets them, to a few digits: divided by the temperature and capped."""
    with np.errstate(all="ignore"):
        x = problem.logits / problem.temperature
        if problem.softcap is None:
            return x
        capped: FloatArray = np.where(np.isfinite(x), problem.softcap * np.tanh(x / problem.softcap), x)
        return capped


def probabilities(problem: Problem) -> FloatArray:
    """Softmax to a few digits, as plain float64 gives it; 0 at masked classes, nan in rows without a value."""
    with np.errstate(all="ignore"):
        x = scaled(problem)
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))


def finite_sizes(problem: Problem) -> FloatArray:
    """|x_i|, and 0 for a masked class, which has no part in any sum."""
    x = scaled(problem)
    return np.where(np.isfinite(x), np.abs(x), 0.0)
