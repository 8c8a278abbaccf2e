"""The quantities that plain float64 knows, from the maximum and the sum of each row."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.reference.float64.kernels import signed_logsumexp
from smcli.reference.float64.reduce import TINY, halve, reduce
from smcli.reference.losses import hard_target
from smcli.reference.tiles import BLOCK, Pool, tiles

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, Problem
    from smcli.reference.tiles import Sheet

BOUND = 2.0**-47
_MODERATE = 300.0


def softmax(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with e^z / (1 + s)."""
    if problem.logits.shape[1] >= 64 and problem.temperature == 1 and _direct(problem.logits, sheet):
        return
    rows = reduce(problem, "e", sheet)
    sheet.hi /= 1 + rows.s
    sheet.missing |= rows.lost


def _direct(x: FloatArray, sheet: Sheet) -> bool:
    """e^x / Σ e^x for long rows of moderate logits, which are exact as they are."""
    if not (float(x.min()) >= -_MODERATE and float(x.max()) <= _MODERATE):
        return False
    parts: list[FloatArray] = []
    spare = Pool(x.shape[1], 1, BLOCK)
    for r, c in tiles(x.shape, BLOCK):
        e = np.exp(x[r, c], sheet.hi[r, c])
        parts.append(
            halve(e, spare.cut(e)[0], max(32, 1024 // len(e))).copy()
        )  # a level costs two calls, however short
        if c.stop == x.shape[1]:
            part = np.concatenate(parts, axis=1)
            sheet.hi[r] /= halve(part, np.empty_like(part), 1)
            parts.clear()
    return True


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
    sheet.missing |= rows.lost | wrong | _out_of_range(weight) | rows.tiny & (at == rows.at)


def gradient(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the gradient of the cross-entropy of a target."""
    assert problem.loss is not None  # noqa: S101 - the tier asks first
    rows = reduce(problem, "e", sheet)
    at, weight, wrong = hard_target(problem, problem.loss)
    share = weight * float(problem.scale / Fraction(problem.temperature))
    here, own, total = (np.arange(len(at))[:, None], at), at == rows.at, 1 + rows.s
    rest = np.where(own, rows.s, 1 + (rows.s - sheet.hi[here]))
    sheet.hi *= share / total
    if (share < 0).any():
        sheet.hi += 0.0  # no -0
    sheet.hi[here] = 0.0 - rest / total * share
    sheet.missing[here] = own & rows.tiny
    sheet.missing |= rows.lost | wrong | _out_of_range(share)


def _out_of_range(factor: FloatArray) -> BoolArray:
    size = np.abs(factor)
    good: BoolArray = (factor == 0) | (size > 2.0**-60) & (size < 2.0**60)
    return ~good
