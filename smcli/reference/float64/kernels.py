"""Entropy, divergence, focal loss, sigmoids and signed logsumexp in plain float64; the bounds in units of u = 2^-53.

What a term e^z, the sum s and log1p err by is said where the tier is; sums of n <= 2^24 terms of any sign by NumPy's
pairwise rule add 44 of the sum of absolute values.

- sigmoid: e^-|y|/(1 + e^-|y|) or 1/(1 + e^-|y|): 16 + 16 and 2. log-sigmoid: min(y, 0) - log1p(e^-|y|): 16 + 8 and 1.
- entropy = log1p(s) + Σ e^z|z|/(1 + s): 48, or 16 + 1 + 1 + 44 and 40 + 2: 2^-46.
- focal = (1 - p_t)^γ·(-log p_t): 60γ, 8 for the power, 52 and 3.
- KL = Σ t(a - z)/(1 + s) + log1p(s_z) - log1p(s_a): 16 + 2 + 44 + 42 + 1 of Σ t|a - z|, 48 of the logarithms; a and z,
  where they are rounded, add 1 of Σ t(|a| + |z|), as |a| <= 8 then less than 1 of the first and 16 of log1p(s_a).
- signed logsumexp = m + log |Σ b·e^z|: 16 + 1 + 44 of Σ|b|e^z. Both are certified up to 2^-37 and 2^-42.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.float64 import near
from smcli.reference.float64.reduce import DEEPEST, LOOSE, LOOSEST, TINY, Rows, U, reduce, sum_parts, sum_rows
from smcli.reference.losses import both, hard_target
from smcli.reference.tiles import BLOCK, Pool, Sheet, tiles

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, IntArray, Problem

SPAN = 2.0**60


def sigmoid(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C]; e^y below e^-600 is left open."""
    y = problem.logits / problem.temperature
    e = np.exp(-np.abs(y))
    np.divide(np.where(y > 0, 1.0, e), 1 + e, sheet.hi)
    sheet.missing |= (y < -DEEPEST) & (y > -np.inf)


def log_sigmoid(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C]; above 600, where the result is e^-y, it is left open."""
    y = problem.logits / problem.temperature
    np.subtract(np.minimum(y, 0), np.log1p(np.exp(-np.abs(y))), sheet.hi)
    sheet.hi += 0.0
    sheet.hi[y == np.inf] = 0
    sheet.missing |= (y > DEEPEST) & (y < np.inf)


def _terms(problem: Problem) -> tuple[Rows, FloatArray]:
    """The rows and all z."""
    sheet = Sheet.of_numbers(problem.logits.shape)
    rows = reduce(problem, "z", sheet)
    return rows, sheet.hi


def entropy(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with log1p(s) + Σ e^z|z|/(1 + s)."""
    rows, z = _terms(problem)
    terms = np.exp(z)
    terms *= z
    terms[z == -np.inf] = 0
    np.subtract(np.log1p(rows.s), terms.sum(axis=1, keepdims=True) / (1 + rows.s), sheet.hi)
    sheet.missing |= rows.lost | rows.tiny
    sheet.bound = 2.0**-46


@dataclass(eq=False, repr=False)
class Target:
    """The targets of all rows, [R, 1] each.

    Attributes:
        at, weight, wrong: as in `losses.hard_target`.
        own: whether it is the maximum.
    """

    at: IntArray
    weight: FloatArray
    wrong: BoolArray
    own: BoolArray


def of_target(problem: Problem, keep: str, sheet: Sheet) -> tuple[Rows, Target, FloatArray, FloatArray, FloatArray]:
    """The rows, their targets, and of each of these 1 - p, -log p and (1 - p)^gamma, [R, 1] each."""
    loss = required(problem.loss)
    rows = reduce(problem, keep, sheet)
    at, weight, wrong = hard_target(problem, loss)
    z = (np.take_along_axis(problem.logits, at, axis=1) - rows.m) / problem.temperature
    own = at == rows.at
    rest = np.where(own, rows.s, 1 + (rows.s - np.exp(z))) / (1 + rows.s)
    return rows, Target(at, weight, wrong, own), rest, np.log1p(rows.s) - z, rest**loss.gamma


def within(factor: FloatArray) -> BoolArray:
    """Whether a factor is 0, or too near to neither 0 nor infinity."""
    size = np.abs(factor)
    found: BoolArray = (factor == 0) | (size > 1 / SPAN) & (size < SPAN)
    return found


def focal(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with (1 - p_t)^gamma·(-log p_t)·weight."""
    rows, target, rest, log, power = of_target(problem, "", sheet)
    np.multiply(power * log, target.weight, sheet.hi)
    nothing = target.own & (rest == 0) & ~rows.tiny
    sheet.hi[nothing] = 0
    sheet.missing |= rows.lost | target.wrong | target.own & rows.tiny | ~within(target.weight)
    sheet.missing |= (np.abs(sheet.hi) < 2.0**-900) & ~nothing & (target.weight != 0)
    sheet.bound = float(required(problem.loss).gamma * 60 + 64) * U


def kl(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with Σ t_i (log t_i - log p_i)."""
    near.by_parts(both(problem), sheet, near.divergence, _divergence)
    sheet.bound = LOOSEST


def _divergence(first: Problem, second: Problem, sheet: Sheet) -> BoolArray:
    """Fill the sheet [R, 1] with Σ t(a - z) + log1p(s_z) - log1p(s_a); all rows are dealt with."""
    x, columns, soft = first.logits, first.logits.shape[1], Sheet.of_numbers(first.logits.shape)
    own, other = reduce(first, "e", soft), reduce(second, "", soft)
    masked = not (x.min() > -np.inf and second.logits.min() > -np.inf)
    parts: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    bad, pool = own.lost | other.lost, Pool(columns, 4, BLOCK)
    mean, spread = np.empty_like(own.s), np.empty_like(own.s)
    for r, c in tiles(x.shape, BLOCK):
        a, z, e, spare = pool.cut(x[r, c])
        np.subtract(pool.load(x[r, c], e), own.m[r], a)
        np.subtract(pool.load(second.logits[r, c], e), other.m[r], z)
        gone = a == -np.inf if masked else None
        if gone is not None:
            bad[r] |= (~gone & ~(np.abs(z) < np.inf)).any(axis=1, keepdims=True)
        a -= z
        if first.temperature != 1:
            a /= first.temperature
        a *= pool.load(soft.hi[r, c], e)
        if gone is not None:
            a[gone] = 0
        parts[0].append(sum_rows(a, spare))
        parts[1].append(sum_rows(np.abs(a, a), spare))
        if c.stop == columns:
            mean[r], spread[r] = (sum_parts(p) / (1 + own.s[r]) for p in parts)
            parts[0].clear()
            parts[1].clear()
    logs = np.log1p(own.s), np.log1p(other.s)
    np.add(mean, logs[1] - logs[0], sheet.hi)
    unsure = 110 * U * (spread + logs[0] + logs[1]) + (own.tiny | other.tiny) * TINY * 4
    sheet.missing[...] = bad | ~(unsure <= LOOSEST * np.abs(sheet.hi))
    return np.ones(bad.shape, np.bool_)


def signed_sum(problem: Problem, rows: Rows, e: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Σ b·e of every row [R, 1], its absolute error, and where that is not known at all; e is written over."""
    b = required(problem.coefficients)
    e *= b
    total, whole = (v.sum(axis=1, keepdims=True) for v in (e, np.abs(e)))
    inside = bool(within(b).all())
    unsure = 64 * U * whole
    return total, unsure, rows.lost | (whole < 2.0**-500) | (unsure > 2.0**-20 * np.abs(total)) | (not inside)


def signed_logsumexp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with m + log |Σ b·e^z|."""
    rows, z = _terms(problem)
    total, error, lost = signed_sum(problem, rows, np.exp(z))
    log = np.log(np.abs(total))
    np.add(rows.m / problem.temperature, log, sheet.hi)
    unsure = error / np.abs(total) + 8 * U * np.abs(log) + 2 * U * np.abs(sheet.hi)
    unsure += U * np.abs(rows.m / problem.temperature)
    sheet.missing |= lost | ~(unsure <= LOOSE * np.abs(sheet.hi))
    sheet.bound = LOOSE
