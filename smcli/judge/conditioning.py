"""A-priori knowledge: the condition number of a problem, and error bounds of the methods that have a proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.judge.limits import finite_sizes, logsumexp_condition, probabilities, scaled
from smcli.judge.measure import as_float, spacing

if TYPE_CHECKING:
    from smcli.model import FloatArray, Problem, Settings
    from smcli.numbers.formats import Format
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
    p, size = probabilities(problem), finite_sizes(problem)
    rows = np.arange(len(p))
    top = scaled(problem).argmax(axis=1)
    rest = p.copy()
    rest[rows, top] = 0.0
    others = (rest * size).sum(axis=1)
    own: FloatArray = (1 - p) * size + (others + p[rows, top] * size[rows, top])[:, None] - p * size
    own[rows, top] = rest.sum(axis=1) * size[rows, top] + others
    return own


def bound_ulp(problem: Problem, quantity: str, method: str, fmt: Format, settings: Settings) -> FloatArray | None:
    """A bound of the error that holds before anything is computed: of every value of a row, in ulp at the truth.

    For sums in any order and elementary functions good to c·u (c = 1, and 2 in float64, whose exp and log are
    NumPy's). Where a first-order theorem says k·u, k·u/(1 − k·u) stands here, so that nothing is left out; nan where
    k·u > 1/2 or something over- or underflows, which the theorems exclude. With
    L = |lse| + c·log1p(s) + n + c + s/(1 + s)·(max x − min x), s the sum of exp(x − max x) without the maximum's own 1:

    - naive softmax: (n + 1 + 2c)u relative
    - shifted softmax: (n + 2c + 2(max x − min x))u relative (BHH 2021, §4; so for each component)
    - explse softmax: (c + max|x_j − lse| + L)u relative. (BHH 2021, §4 has |lse + n − min x| for L, from Theorem 4.2.)
    - naive logsumexp: (c·|lse| + n + c)u absolute
    - shifted, fused and explse logsumexp: L·u absolute
    - log1p logsumexp: (|lse| + c·log1p(s) + s/(1 + s)·(n + c + max x − min x))u absolute. (BHH's Theorem 4.2 drops a
      term and is violated by a factor of 1.9e5 on [856715.1192530339, 856715.1186830291].)

    Returns:
        float64 [R], or None where no bound is known.
    """
    known = {"softmax": {"naive", "shifted", "explse"}, "logsumexp": {"naive", "shifted", "fused", "explse", "log1p"}}
    plain = problem.temperature == 1 and problem.softcap is None
    narrow = settings.numerics.accumulate is not None and settings.numerics.accumulate != fmt.name
    if method not in known.get(quantity, set()) or not plain or narrow:
        return None
    x = problem.logits
    n, c, u = float(x.shape[1]), 2.0 if fmt.p == 53 else 1.0, fmt.unit_roundoff
    with np.errstate(all="ignore"):
        top, bottom = x.max(axis=1), x.min(axis=1)
        rest = np.exp(x - top[:, None])
        rest[np.arange(len(rest)), x.argmax(axis=1)] = 0
        s, spread = rest.sum(axis=1), top - bottom
        log = np.log1p(s)
        lse = top + log
        size = np.abs(lse)
        in_sum = n + c if method == "naive" else n + c + spread
        shifted = size + c * log + n + c + s / (1 + s) * spread
        lowest = bottom if method == "naive" else -spread * (1 + u)
        holds = np.isfinite(x).all(axis=1) & (lowest > fmt.exp_subnormal) & (size < fmt.max / 2)
        if method == "naive":
            holds &= lse < fmt.exp_overflow - 1
        if quantity == "softmax":
            relative = {
                "naive": n + 1 + 2 * c + 0 * size,
                "shifted": n + 2 * c + 2 * spread,
                "explse": c + np.maximum(np.abs(top - lse), np.abs(bottom - lse)) + shifted,
            }[method]
            holds &= (bottom - lse > fmt.exp_subnormal) & (relative * u <= 0.5)
            return np.where(holds, relative / (1 - relative * u), np.nan)  # |t| < ulp(t)/u
        absolute = {
            "naive": c * size + n + c,
            "log1p": size + c * log + s / (1 + s) * in_sum,
        }.get(method, shifted)
        smallest = size - 2.0**-48 * (np.abs(top) + log)  # the true |lse| may be that much smaller than this float64
        holds &= (smallest > 0) & (in_sum * u <= 0.5)
        return np.where(holds, absolute * u / (1 - in_sum * u) / spacing(smallest, fmt), np.nan)
