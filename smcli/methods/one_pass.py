"""The running sums of the one-pass and two-pass algorithms, without a step an element where the order allows it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from smcli.numbers.arithmetic import COLUMNS, Arithmetic, Rows, sequential

if TYPE_CHECKING:
    from smcli.model import FloatArray


def walk(x: Rows, o: Arithmetic, threshold: float) -> tuple[Rows, Rows]:
    """The reference maximum [R, 1] and the rescaled running sum [R, 1] after one pass over each row.

    A new maximum beyond the reference by more than `threshold` becomes the reference, and the sum so far is
    multiplied by exp(old − new). The sum runs in the accumulator's format, one after the other.
    """
    by_column = x.values.shape[1] <= COLUMNS or x.values.shape[0] >= x.values.shape[1]
    reference, total, left_out = (_columns if by_column else _segments)(x.values, o, threshold)
    where = np.full(left_out.shape, -1.0)  # it is not told which term was the first
    stall = (_share(left_out, total), where, left_out)
    return Rows(reference, "m"), o.running("d (running sum of exp(x − m))", o.format.round(total), x.values, stall)


def _share(left_out: FloatArray, total: FloatArray) -> FloatArray:
    """The share [R] that terms without effect are of what the sum and they make; 0 where the running sum is no number."""
    whole = np.abs(total[:, 0]) + left_out
    return np.divide(left_out, whole, out=np.zeros_like(whole), where=(whole > 0) & np.isfinite(whole))


def _columns(x: FloatArray, o: Arithmetic, threshold: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    f, acc = o.format, o.accumulate
    m = np.full((x.shape[0], 1), -np.inf)
    d, left_out = np.zeros((x.shape[0], 1)), np.zeros((x.shape[0], 1))
    for i in range(x.shape[1]):
        xi = x[:, i : i + 1]
        new = np.where((xi > m + threshold) | np.isnan(xi) | ((m == -np.inf) & (xi > m)), np.maximum(m, xi), m)
        scale = np.where(new == m, 1.0, f.round(np.exp(f.round(m - new))))
        d = np.where(new == m, d, np.where(m == -np.inf, 0.0, acc.round(d * scale)))  # nothing to rescale at first
        term = np.where((xi == -np.inf) & (new == -np.inf), 0.0, f.round(np.exp(f.round(xi - new))))
        term = acc.round(term)
        before, d = d, acc.round(d + term)
        left_out = left_out * np.where(m == -np.inf, 0.0, scale) + np.where(
            (d == before) & np.isfinite(term), term, 0.0
        )
        m = new
    return m, np.where(m == -np.inf, np.nan, d), left_out[:, 0]


def _segments(x: FloatArray, o: Arithmetic, threshold: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    f, acc = o.format, o.accumulate
    reference, total, missed = np.empty((x.shape[0], 1)), np.empty((x.shape[0], 1)), np.zeros(x.shape[0])
    for r, row in enumerate(x):
        m, d, left_out, start, window = -math.inf, 0.0, 0.0, 0, COLUMNS
        while start < row.size:
            part = row[start : start + window]
            beyond = ~(part <= m + threshold)
            ahead = int(np.argmax(beyond)) if beyond.any() else part.size
            if ahead and m > -math.inf:
                terms = acc.round(f.round(np.exp(f.round(part[:ahead] - m))))
                running = np.concatenate([[d], sequential(terms[None], acc, np.array([d]))[0]])
                d = float(running[-1])
                left_out += float(terms[(running[1:] == running[:-1]) & np.isfinite(terms)].sum())
            start, window = start + ahead, 2 * window
            if ahead < part.size:
                new, window = float(part[ahead]), COLUMNS
                if m > -math.inf:
                    scale = float(f.round(np.exp(f.round(np.array(m - new)))))
                    d, left_out = float(acc.round(np.array(d * scale))), left_out * scale
                m = new
                if math.isnan(new):
                    d = math.nan
                    break
        reference[r], total[r] = m, d if m > -math.inf or math.isnan(m) else math.nan
        missed[r] = left_out
    return reference, total, missed


def two_pass_sum(x: Rows, o: Arithmetic) -> tuple[Rows, Rows, Rows, Rows]:
    """exp(x) = mantissa · 2^power for each element, and the sum of them as (sum, its power).

    The argument is reduced by Cody and Waite's two constants: log 2 split so that power × high part is exact.
    """
    f = o.format
    ln2 = math.log(2.0)
    keep = math.ldexp(1.0, max(f.p // 2, 1))
    high = math.floor(ln2 * keep) / keep
    power = o.rint(o.mul(x, o.const(1 / ln2, "log2(e)")), "n = round(x·log2(e))")
    t = o.sub(x, o.mul(power, o.const(high, "ln2_high")), "x − n·ln2_high")
    t = o.sub(t, o.mul(power, o.const(ln2 - high, "ln2_low")), "x − n·ln 2")
    mantissa = o.exp(t)
    finite = np.where(x.values == -np.inf, -np.inf, power.values)
    top = Rows(finite.max(axis=1, keepdims=True), "max(n)")
    mantissa = Rows(np.where(x.values == -np.inf, 0.0, mantissa.values), mantissa.expr)
    aligned = o.ldexp(mantissa, o.sub(power, top, "n − max(n)"))
    s = o.sum(aligned)
    power = Rows(np.where(x.values == -np.inf, 0.0, power.values), power.expr)
    return mantissa, power, s, top
