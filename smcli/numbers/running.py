"""Where running sums end: the sums of rows, one term after the other in a format, without a step a term."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from smcli.model import FloatArray
    from smcli.numbers.formats import Format

TOGETHER = 8192  # terms that are added at once, of all rows
LEAST = 512  # of one row
EARLY = 256  # terms at the beginning of a row, which are taken by so many


def ends(terms: FloatArray, fmt: Format) -> FloatArray:
    """The last running sum of each row, every addition rounded to the format: [R, C] -> [R].

    While a sum stays in one binade, its grid is fixed, and a float64 sum that carries a large multiple of the grid rounds
    every addition to that grid at once, ties to even. A sum of terms >= 0 leaves a binade only upwards; there one addition
    is done by itself, and the next stretch begins. So all rows go on side by side, each from where it is.

    Args:
        terms: float64 [R, C], finite numbers >= 0 of the format, with sums that it holds.
        fmt: the format of the running sum.
    """
    rows, size = terms.shape
    if fmt.p == 53 or fmt.name == "float32":
        kind = np.float64 if fmt.p == 53 else np.float32
        return np.asarray(np.add.accumulate(terms.astype(kind, copy=False), axis=1)[:, -1].astype(np.float64))
    width = min(max(TOGETHER // max(rows, 1), LEAST), size)
    padded = np.zeros((rows, size + width))
    padded[:, :size] = terms
    flat = padded.reshape(-1)
    from_each = np.lib.stride_tricks.sliding_window_view(flat, width)
    sums, at = terms[:, 0].copy(), np.ones(rows, dtype=np.int64)
    left = np.arange(rows) if size > 1 else np.empty(0, dtype=np.int64)
    largest = math.nextafter(fmt.max, math.inf)
    while left.size:
        start = left * (size + width) + at[left]
        s = fmt.round(sums[left] + flat[start])
        exponent = np.where(s > 0, np.maximum(np.frexp(s)[1] - 1, fmt.emin), fmt.emin)
        anchor = np.ldexp(1.5, 52 + exponent - fmt.p + 1)
        end = anchor + np.minimum(np.ldexp(1.0, exponent + 1), largest)
        near = min(width, EARLY) if at[left[0]] < EARLY else width  # binades are as long as what was added before
        window = np.empty((left.size, near + 1))
        window[:, 0] = anchor + s
        window[:, 1:] = from_each[start + 1, :near]
        np.add.accumulate(window, axis=1, out=window)
        inside = np.full(left.size, near + 1)
        crossing = np.flatnonzero(window[:, -1] >= end)  # the sums rise: the last tells of all
        if crossing.size:
            inside[crossing] = np.maximum((window[crossing] >= end[crossing, None]).argmax(axis=1), 1)
        sums[left] = window[np.arange(left.size), inside - 1] - anchor
        at[left] += inside
        left = left[at[left] < size]
    return sums
