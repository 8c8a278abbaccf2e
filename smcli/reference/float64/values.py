"""The quantities that plain float64 knows, from the maximum and the sum of each row."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.model import required
from smcli.reference.float64.kernels import signed_logsumexp, within
from smcli.reference.float64.reduce import TINY, additions, halve, reduce
from smcli.reference.losses import hard_target
from smcli.reference.tiles import BLOCK, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from smcli.model import FloatArray, Problem
    from smcli.reference.tiles import Sheet

BOUND = 2.0**-47
MODERATE = 300.0
DIRECT = 64  # logits of a row from which on moderate ones are exponentiated as they are


def softmax(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with e^z / (1 + s)."""
    if problem.logits.shape[1] >= DIRECT and problem.temperature == 1 and _direct(problem.logits, sheet):
        return
    rows = reduce(problem, "e", sheet)
    sheet.hi /= 1 + rows.s
    sheet.missing |= rows.lost


def _direct(x: FloatArray, sheet: Sheet) -> bool:
    """e^x·(1/Σ e^x) for long rows of moderate logits, which are exact as they are."""
    if not is_moderate(float(x.min()), float(x.max())):
        return False
    for r, total in exponentials(x, sheet.hi):
        sheet.hi[r] *= 1 / total
    return True


def is_moderate(least: float, most: float) -> bool:
    """Whether logits in this range can be exponentiated as they are."""
    return least >= -MODERATE and most <= MODERATE


def exponentials(x: NDArray[Any], out: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Fill `out` with e^x of moderate logits [R, C]; gives some rows and their sums [r, 1] as they are done.

    A row's sum does not depend on which rows are beside it: pieces of BLOCK by NumPy's pairwise rule, then by halves.
    """
    parts: list[FloatArray] = []
    for r, c in tiles(x.shape, BLOCK):
        e = out[r, c]
        if x.dtype == np.float64:
            np.exp(x[r, c], e)
        else:  # NumPy takes the precision of the logits for that of the result
            np.copyto(e, x[r, c])
            np.exp(e, e)
        parts.append(np.add.reduce(e, axis=1, keepdims=True))
        if c.stop >= x.shape[1]:
            part = np.concatenate(parts, axis=1)
            yield r, halve(part, np.empty_like(part), 1)
            parts.clear()


def direct_bound(columns: int) -> float:
    """The bound of e^x·(1/Σ e^x) as `exponentials` gives them for so many columns, relative; at most BOUND.

    In units of u = 2^-53, as in the package's docstring: e^x 8, the sum 8 and a rounding for each addition that a term goes
    through, the reciprocal and the product 1 each, and 2 for all of higher order.
    """
    return (8 + 8 + additions(columns) + 2 + 2) * 2.0**-53


def log_softmax(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with z - log1p(s)."""
    rows = reduce(problem, "z", sheet)
    if rows.tiny.any():
        sheet.missing |= rows.tiny & (sheet.hi == 0)
    sheet.hi -= np.log1p(rows.s)
    sheet.missing |= rows.lost


def logsumexp(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, 1] with m + log1p(s), certified where that does not cancel."""
    if problem.coefficients is not None:
        signed_logsumexp(problem, sheet)
        return
    rows = reduce(problem, "", sheet)
    log = np.log1p(rows.s)
    np.add(rows.m / problem.temperature, log, sheet.hi)
    size = np.abs(sheet.hi)
    error = np.where(rows.tiny, 2 * TINY, 48 * 2.0**-53 * log) + 2.0**-53 * size
    sheet.missing |= rows.lost | ~(error <= BOUND * size)


def cross_entropy(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet with log1p(s) - z of the target [R, 1], without a loss of each class [R, C]."""
    loss = problem.loss
    if loss is None:
        log_softmax(problem, sheet)
        np.subtract(0.0, sheet.hi, sheet.hi)
        return
    rows = reduce(problem, "", sheet)
    at, weight, wrong = hard_target(problem, loss)
    z = (np.take_along_axis(problem.logits, at, axis=1) - rows.m) / problem.temperature
    np.multiply(np.log1p(rows.s) - z, weight, sheet.hi)
    sheet.missing |= rows.lost | wrong | ~within(weight) | rows.tiny & (at == rows.at)


def gradient(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the gradient of the cross-entropy of a target."""
    rows = reduce(problem, "e", sheet)
    at, weight, wrong = hard_target(problem, required(problem.loss))
    share = weight * float(problem.scale / Fraction(problem.temperature))
    here, own, total = (np.arange(len(at))[:, None], at), at == rows.at, 1 + rows.s
    rest = np.where(own, rows.s, 1 + (rows.s - sheet.hi[here]))
    sheet.hi *= share / total
    if (share < 0).any():
        sheet.hi += 0.0  # no -0
    sheet.hi[here] = 0.0 - rest / total * share
    sheet.missing[here] = own & rows.tiny
    sheet.missing |= rows.lost | wrong | ~within(share)
