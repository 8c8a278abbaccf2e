"""A quick look: what the logits alone tell, at the speed of reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.numbers.arithmetic import by_columns
from smcli.scan.tally import WORST, BadRow, Extremes, Tally, worst_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smcli.batch import RawBlock
    from smcli.model import BoolArray, FloatArray
    from smcli.numbers.formats import Format

TOGETHER = 1 << 18  # logits that are looked at together
RANKS = {"SM101": 5.0, "SM102": 4.0, "SM103": 3.0, "SM902": 3.0, "SM201": 2.0, "SM304": 2.0, "SM903": 1.0}


def look(block: RawBlock, fmt: Format, first: int) -> Tally:
    """Look at rows without computing anything: nan, infinities, masks, extremes, what exp does unshifted.

    Args:
        block: the rows.
        fmt: the number format that they would be computed in.
        first: the number of the first of them, over all files.
    """
    tally = Tally()
    step = max(1, TOGETHER // block.classes)
    with np.errstate(all="ignore"):
        for start in range(0, len(block), step):
            rows = range(start, min(start + step, len(block)))
            tally += _look(block.select(rows, range(len(rows))), fmt, first + start)
    return tally


def _look(part: RawBlock, fmt: Format, first: int) -> Tally:
    count, classes = len(part), part.classes
    top, low, nan, beyond = _ends(part, fmt)
    usable = ~(np.isnan(top) | beyond)
    finite = usable & np.isfinite(top)
    where = {
        "SM101": nan,
        "SM102": usable & (top == np.inf),
        "SM103": usable & (top == -np.inf),
        "SM201": finite & (top >= fmt.exp_overflow),
        "SM304": finite & (top <= fmt.exp_zero),
        "SM902": beyond,
        "SM903": _probabilities(part, fmt, top, low),
    }
    found, bad = {}, []
    for code, mask in where.items():
        at = np.flatnonzero(mask)
        if at.size:
            found[code] = (int(at.size), first + int(at[0]))
            bad += [BadRow(RANKS[code], first + r, bad=True) for r in at[:WORST].tolist()]
    each = {b.row: b for b in sorted(bad)}  # a row once, by what is worst of it
    odd = int(np.logical_or.reduce(list(where.values())).sum())
    worst, extremes = worst_of(each.values()), _extremes(part, fmt, top, low)
    return Tally(count, count * classes, {}, found, worst, {}, extremes, bad=odd)


def _extremes(part: RawBlock, fmt: Format, top: FloatArray, low: FloatArray) -> Extremes:
    """The least and the largest finite logit, for which rows that hold others have to be gone through once more."""
    odd = ~(np.isfinite(top) & np.isfinite(low))
    least, most = float(low[~odd].min(initial=np.inf)), float(top[~odd].max(initial=-np.inf))
    if odd.any():
        written, _ = part.take()
        rest = fmt.round(written[odd])
        rest = rest[np.isfinite(rest)]
        least, most = min(least, float(rest.min(initial=np.inf))), max(most, float(rest.max(initial=-np.inf)))
    return Extremes(least, most)


def _ends(part: RawBlock, fmt: Format) -> tuple[FloatArray, FloatArray, BoolArray, BoolArray]:
    """Maximum and minimum of each row in the format, nan if one is; which hold a nan; which a number beyond the format."""
    if part.widen is None and part.array.dtype.name == fmt.name:
        part.check_length()
        ends = _half_ends if fmt.name == "float16" else _own_ends
        top, low = ends(part.array.reshape(-1, part.classes))
        return top, low, np.isnan(top), np.zeros(len(top), dtype=bool)
    written, _ = part.take()
    rounded = fmt.round(written)
    top, low = _own_ends(rounded)
    nan, beyond = np.zeros((2, len(top)), dtype=bool)
    at = np.flatnonzero(~(np.isfinite(top) & np.isfinite(low)))
    if at.size:
        nan[at] = np.isnan(written[at]).any(axis=1)
        lost = np.isfinite(written[at]) & ~np.isfinite(rounded[at])
        lost |= np.isinf(written[at]) & np.isnan(rounded[at])  # a format without infinity
        beyond[at] = lost.any(axis=1)
    return top, low, nan, beyond


def _own_ends(x: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    x = by_columns(x)
    return x.max(axis=1).astype(np.float64), x.min(axis=1).astype(np.float64)


def _half_ends(x: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """The same of float16, whose bits are compared as integers: NumPy takes ten times as long for the numbers.

    Positive numbers order as their bits do, negative ones the other way round behind them; a nan is beyond infinity.
    """
    bits = by_columns(np.asarray(x, np.float16).view(np.uint16))  # in the byte order of this machine
    signed = bits.view(np.int16)
    high, deep = signed.max(axis=1), bits.max(axis=1)  # of the positive, else of the negative; of the negative, if any
    top, low = np.where(high >= 0, high, signed.min(axis=1)), np.where(deep >= 0x8000, deep, bits.min(axis=1))
    nan = (high > 0x7C00) | (deep > 0xFC00)
    ends = (end.astype(np.uint16).view(np.float16).astype(np.float64) for end in (top, low))
    highest, lowest = (np.where(nan, np.nan, end) for end in ends)
    return highest, lowest


def _probabilities(part: RawBlock, fmt: Format, top: FloatArray, low: FloatArray) -> BoolArray:
    """The rows that sum to 1 with every number in [0, 1), as the rule SM903 has it."""
    where = (low >= 0) & (top < 1) & (part.classes > 1)
    at = np.flatnonzero(where)
    if at.size:
        slack = min(2 * fmt.unit_roundoff * part.classes + 1e-6, 1e-2)
        written, _ = part.take()
        where[at] = np.abs(fmt.round(written[at]).sum(axis=1) - 1) <= slack
    return where
