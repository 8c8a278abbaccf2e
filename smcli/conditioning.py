"""A-priori knowledge: the condition number of a problem, and error bounds of the methods that have a proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.measure import as_float

if TYPE_CHECKING:
    from smcli.formats import Format
    from smcli.model import FloatArray, Problem, Settings
    from smcli.reference import Reference


def _scaled(problem: Problem) -> FloatArray:
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(problem.logits), problem.logits / problem.temperature, np.nan)


def condition(problem: Problem, quantity: str, reference: Reference) -> FloatArray | None:
    """The condition number in the ∞-norm: relative change of the result over relative change of the logits.

    logsumexp: ‖x‖∞/|lse|; log p_j: 2(1 − p_j)‖x‖∞/|log p_j|; p_j: 2(1 − p_j)‖x‖∞
    (Blanchard, Higham & Higham 2021, §2).

    Returns:
        float64 [R, N], nan where it is not defined; None for quantities without a formula.
    """
    loss = problem.loss
    if problem.softcap is not None:
        return None
    with np.errstate(all="ignore"):
        size = np.fmax.reduce(np.abs(_scaled(problem)), axis=1, keepdims=True)
        if quantity == "logsumexp":
            return size / np.abs(as_float(reference.truth(quantity)))
        if quantity == "softmax":
            return 2 * (1 - as_float(reference.truth(quantity))) * size
        if quantity == "log-softmax" or (quantity == "cross-entropy" and loss is None):
            log_p = -np.abs(as_float(reference.truth(quantity)))
        elif quantity == "cross-entropy" and loss is not None and loss.target is not None and not loss.smoothing:
            if loss.weights is not None or loss.z_loss:
                return None
            log_p = -np.abs(as_float(reference.truth(quantity)))
        else:
            return None
        return 2 * np.where(log_p == 0, 1.0, -np.expm1(log_p) / np.abs(log_p)) * size


def bound_ulp(problem: Problem, quantity: str, method: str, fmt: Format, settings: Settings) -> FloatArray | None:
    """A bound of the error that holds before anything is computed, in ulp at the truth, for each row.

    First order in u, for sums in any order, with elementary functions good to c·u (c = 1, and 2 in float64, whose
    exp and log are NumPy's); nan where a result over- or underflows, since the theorems leave that out.

    - naive softmax, each component: (n + 1 + 2c)u relative
    - shifted softmax, ∞-norm: (n + 2c + 2(max x − min x))u (BHH 2021, §4)
    - explse softmax, ∞-norm: (c + max|x_j − lse| + |lse + n − min x|)u (BHH 2021, §4)
    - naive logsumexp: (c + (n + c)/|lse|)u relative
    - shifted, fused and explse logsumexp: u(|lse| + c·log(1 + s) + n + c + s/(1 + s)·(max x − min x)) absolute
    - log1p logsumexp: u(|lse| + c·log1p(s) + s/(1 + s)·(n + c + max x − min x)) absolute. (BHH's Theorem 4.2 drops a
      term and is violated by a factor of 1.9e5 on [856715.1192530339, 856715.1186830291].)

    Returns:
        float64 [R], or None where no bound is known.
    """
    known = {"softmax": {"naive", "shifted", "explse"}, "logsumexp": {"naive", "shifted", "fused", "explse", "log1p"}}
    plain = problem.temperature == 1 and problem.softcap is None
    narrow = settings.accumulate is not None and settings.accumulate != fmt.name
    if method not in known.get(quantity, set()) or not plain or narrow:
        return None
    x = _scaled(problem)
    c = 2.0 if fmt.p == 53 else 1.0
    with np.errstate(all="ignore"):
        n = np.isfinite(x).sum(axis=1).astype(np.float64)
        top, bottom = np.fmax.reduce(x, axis=1), np.fmin.reduce(x, axis=1)
        whole = np.nansum(np.exp(x - top[:, None]), axis=1)
        s = whole - 1
        lse = top + np.log(whole)
        spread = top - bottom
        fits = (bottom > fmt.exp_subnormal) & (lse < fmt.exp_overflow - 1)
        normal = fits if method == "naive" else -spread > fmt.exp_subnormal
        normal &= (n * fmt.unit_roundoff < 0.1) & np.isfinite(problem.logits).all(axis=1)
        if quantity == "softmax":
            relative = {
                "naive": n + 1 + 2 * c,
                "shifted": n + 2 * c + 2 * spread,
                "explse": c + np.maximum(np.abs(top - lse), np.abs(bottom - lse)) + np.abs(lse + n - bottom),
            }[method]
            largest = 1 / whole
            if method == "naive":
                return np.where(normal & (bottom - lse > fmt.exp_subnormal), relative, np.nan)  # |t| < ulp(t)/u
            return np.where(normal, relative * fmt.unit_roundoff * largest / _spacing(largest, fmt), np.nan)
        absolute = {
            "naive": c * np.abs(lse) + n + c,
            "log1p": np.abs(lse) + c * np.log1p(s) + s / (1 + s) * (n + c + spread),
        }.get(method, np.abs(lse) + c * np.log1p(s) + n + c + s / (1 + s) * spread)
        return np.where(normal, absolute * fmt.unit_roundoff / _spacing(np.abs(lse), fmt), np.nan)


def _spacing(t: FloatArray, fmt: Format) -> FloatArray:
    exponent = fmt.ulp_exponent(np.frexp(t)[1].astype(np.int64) - 1)
    return np.ldexp(1.0, exponent.astype(np.int32))
