"""Run × Truth → errors and verdicts: in ulp of the format at the truth, relative, and in one word a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import Truth, Verdict

if TYPE_CHECKING:
    from smcli.model import BoolArray, ByteArray, FloatArray, IntArray
    from smcli.numbers.formats import Format

_EXPONENT = np.int64(0x7FF0000000000000)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Errors:
    """The errors of a block of values [R, N].

    Attributes:
        ulp: |y − t| in spacings of the format at t; nan where a number was due and none came, inf for an infinity.
        rel: |y − t| / |t|; inf where t is 0 and y is not.
        verdicts: the number of a `Verdict`.
    """

    ulp: FloatArray
    rel: FloatArray
    verdicts: ByteArray

    def part(self, rows: IntArray) -> Errors:
        """Those of some rows."""
        return Errors(self.ulp[rows], self.rel[rows], self.verdicts[rows])


def floor_log2(truth: Truth) -> IntArray:
    """floor(log2 |t|) of each true value; 0 where it is zero, infinite or nan."""
    mantissa, exponent = np.frexp(truth.hi)
    below = (np.abs(mantissa) == 0.5) & (np.signbit(truth.lo) != np.signbit(truth.hi)) & (truth.lo != 0)
    exponents: IntArray = np.where(_number(truth), truth.exp2 + exponent - 1 - below, 0)
    return exponents


def _number(truth: Truth) -> BoolArray:
    number: BoolArray = np.isfinite(truth.hi) & (truth.hi != 0)
    return number


def round_truth(truth: Truth, fmt: Format) -> tuple[FloatArray, BoolArray]:
    """The true values rounded to the format, and where the truth's bound leaves that rounding undecided.

    Returns:
        float64 numbers of the format (infinite or nan beyond its largest), and a mask of undecided ones.
    """
    if _is_plain(truth) and np.abs(truth.hi).max(initial=0.0) < fmt.max / 2:
        return _round_plain(truth, fmt)
    with np.errstate(all="ignore"):
        quantum = fmt.ulp_exponent(floor_log2(truth))
        shift = np.clip(truth.exp2 - quantum, -3000, 3000).astype(np.int32)
        high, low = np.ldexp(truth.hi, shift), np.ldexp(truth.lo, shift)
        whole = np.rint(high)
        rest = (high - whole) + low
        whole = whole + (rest > 0.5) - (rest < -0.5)
        # twice the bound covers the rounding of `rest` itself
        undecided = np.abs(np.abs(rest) - 0.5) <= 2 * truth.bound * np.abs(high) + 2.0**-52
        y = np.ldexp(whole, np.clip(quantum, -1100, 1100).astype(np.int32))
        y = np.where(np.abs(y) > fmt.max, np.copysign(fmt.overflow, truth.hi), y)
    number = _number(truth)
    special = np.where(np.isinf(truth.hi), truth.hi if fmt.has_inf else np.nan, truth.hi)
    return np.where(number, y, special), undecided & number & (np.abs(high) > 0.25)


def _is_plain(truth: Truth) -> bool:
    """Whether the truth is one float64 an element: low parts and exponents are one 0, shown everywhere."""
    return not any(truth.lo.strides) and not any(truth.exp2.strides) and truth.hi.size > 1


def _steps(size: FloatArray, fmt: Format) -> FloatArray:
    """The spacing of the format at numbers >= 0: their power of two from the bits."""
    step = (size.view(np.int64) & _EXPONENT).view(np.float64)
    np.maximum(step, fmt.smallest_normal, out=step)
    step *= 2.0 ** (1 - fmt.p)
    return step


def _round_plain(truth: Truth, fmt: Format) -> tuple[FloatArray, BoolArray]:
    """`round_truth` of one float64 an element, in fewer passes."""
    with np.errstate(all="ignore"):
        y = fmt.round(truth.hi)
        size = np.abs(truth.hi)
        half = _steps(size, fmt)
        half *= 0.5
        rest = np.abs(truth.hi - y)
        rest -= half
        np.abs(rest, out=rest)
        slack = size * (2 * truth.bound)
        slack += half * 2.0**-51
        undecided = rest <= slack
        undecided &= size > 0.25 * fmt.smallest_subnormal
    return y, undecided


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Limit:
    """What counts as accurate: all that is given, at once.

    Attributes:
        ulp: float64, broadcastable to [R, N], in spacings at the truth.
        rel: relative.
        parts: float64 [R, N], where the truth is a difference a − b of positive parts: a + b, else 0. An error within `base`
            spacings at a + b is accurate too, since no algorithm that rounds the parts can do better.
        base: float64, broadcastable to [R, N].
    """

    ulp: FloatArray
    rel: float = math.inf
    parts: FloatArray | None = None
    base: FloatArray | None = None

    def part(self, rows: IntArray) -> Limit:
        """That of some rows."""

        def own(a: FloatArray) -> FloatArray:
            return a[rows] if a.ndim == 2 and len(a) > 1 else a

        return Limit(own(self.ulp), self.rel, *(None if a is None else own(a) for a in (self.parts, self.base)))


def measure(
    values: FloatArray, truth: Truth, rounded: FloatArray, fmt: Format, limit: Limit, infinite: BoolArray
) -> Errors:
    """Judge computed values against the truth.

    Args:
        values: float64 [R, N], what a method returned.
        truth: the true values, [R, N].
        rounded: the truth rounded to the format.
        fmt: the format that was computed in.
        limit: what counts as accurate, broadcastable to [R, N].
        infinite: bool [R, 1], the rows with a logit of +inf.
    """
    if _is_plain(truth) and limit.parts is None and values.flags.c_contiguous:
        return _measure_plain(values, truth, rounded, fmt, limit, infinite)
    return _measure(values, truth, rounded, fmt, limit, infinite)


def _measure_plain(
    y: FloatArray, truth: Truth, rounded: FloatArray, fmt: Format, limit: Limit, infinite: BoolArray
) -> Errors:
    """`measure` of one float64 an element, in fewer passes; what has no number for a truth is measured by itself."""
    t = truth.hi
    with np.errstate(all="ignore"):
        apart = y - t
        np.abs(apart, out=apart)
        size = np.abs(t)
        ulp = apart / _steps(size, fmt)
        rel = np.divide(apart, size, out=apart)
        accurate = ulp <= limit.ulp
        if limit.rel < math.inf:
            accurate &= rel <= limit.rel
        verdicts = np.uint8(Verdict.INACCURATE) - accurate.view(np.uint8)  # OK comes just before
        np.copyto(verdicts, np.uint8(Verdict.CORRECT), where=y == rounded)
        zero = y == 0
        if zero.any():
            held = rounded != 0
            np.copyto(verdicts, np.uint8(Verdict.LOST), where=zero & held)
            np.copyto(verdicts, np.uint8(Verdict.NOT_REPRESENTABLE), where=zero & ~held)
        odd = ~np.isfinite(rounded) | infinite  # nan and infinity are what is right there, or nothing is
        odd |= size == 0
        wild = ~(rel < np.inf)
        if wild.any():
            finite = np.isfinite(y)
            np.copyto(verdicts, np.uint8(Verdict.LOST), where=wild & ~finite)
            odd |= wild & finite  # the error is beyond float64
        if odd.any():
            at = np.flatnonzero(odd)
            part = Truth(t.ravel()[at][None], np.zeros((1, at.size)), np.zeros((1, at.size), np.int64), truth.bound)
            limits = np.broadcast_to(limit.ulp, t.shape).ravel()[at][None]
            rows = np.broadcast_to(infinite, t.shape).ravel()[at][None]
            some = _measure(y.ravel()[at][None], part, rounded.ravel()[at][None], fmt, Limit(limits, limit.rel), rows)
            ulp.ravel()[at], rel.ravel()[at], verdicts.ravel()[at] = some.ulp[0], some.rel[0], some.verdicts[0]
    return Errors(ulp, rel, verdicts)


def _measure(
    values: FloatArray, truth: Truth, rounded: FloatArray, fmt: Format, limit: Limit, infinite: BoolArray
) -> Errors:
    with np.errstate(all="ignore"):
        shift = np.clip(-truth.exp2, -3000, 3000).astype(np.int32)
        apart = np.abs((np.ldexp(values, shift) - truth.hi) - truth.lo)
        number, finite, size = _number(truth), np.isfinite(values), np.abs(truth.hi + truth.lo)
        quantum = fmt.ulp_exponent(floor_log2(truth))
        ulp = np.ldexp(apart, np.clip(truth.exp2 - quantum, -3000, 3000).astype(np.int32))
        rel = apart / size
        far = ~np.isfinite(apart)
        if far.any():  # y ≫ t: t does not count
            ulp = np.where(far, np.ldexp(np.abs(values), np.clip(-quantum, -3000, 3000).astype(np.int32)), ulp)
            rel = np.where(far, np.ldexp(np.abs(values) / size, shift), rel)
        zero = truth.hi == 0
        ulp = np.where(zero, np.abs(values) / fmt.smallest_subnormal, ulp)
        rel = np.where(zero, np.where(values == 0, 0.0, np.inf), rel)
        for error in (ulp, rel):
            error[~finite | ~(number | zero)] = np.inf
            error[np.isnan(values)] = np.nan
            error[(values == truth.hi) & np.isinf(truth.hi)] = 0.0
            error[np.isnan(truth.hi) & np.isnan(values)] = 0.0
        accurate = (ulp <= limit.ulp) & (rel <= limit.rel)
        excused = np.zeros(1, dtype=bool)
        if limit.parts is not None and limit.base is not None:
            absolute = np.where(far, np.abs(values), np.ldexp(apart, np.clip(truth.exp2, -3000, 3000).astype(np.int32)))
            excused = (limit.parts > 0) & (absolute <= limit.base * spacing(limit.parts, fmt))
    verdicts = _verdicts(values, truth, rounded, accurate | excused, excused, infinite)
    return Errors(ulp, rel, verdicts)


def _verdicts(
    y: FloatArray, truth: Truth, rounded: FloatArray, accurate: BoolArray, excused: BoolArray, infinite: BoolArray
) -> ByteArray:
    """The word for each value; a 0 within the rounding of a difference's parts is not lost."""
    t = truth.hi
    held = (np.isfinite(rounded) & (rounded != 0)) | (t == 0) | np.isinf(t)
    same = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    conditions = [
        np.isnan(t) | infinite,
        held & same,
        ~held & same,
        (~np.isfinite(y) & np.isfinite(rounded)) | ((y == 0) & held & (t != 0) & ~excused),
        accurate,
    ]
    words = [Verdict.UNDEFINED, Verdict.CORRECT, Verdict.NOT_REPRESENTABLE, Verdict.LOST, Verdict.OK]
    return np.select(conditions, words, Verdict.INACCURATE).astype(np.uint8)


def total_error(values: FloatArray, truth: Truth) -> FloatArray:
    """The largest relative error of each row [R, N] against a truth of other logits: [R]; nan ranks worst."""
    with np.errstate(all="ignore"):
        shift = np.clip(-truth.exp2, -3000, 3000).astype(np.int32)
        rel = np.abs((np.ldexp(values, shift) - truth.hi) - truth.lo) / np.abs(truth.hi + truth.lo)
        rel[(values == truth.hi) & ((truth.hi == 0) | np.isinf(truth.hi))] = 0.0
        rel[np.isnan(truth.hi) & np.isnan(values)] = 0.0
    worst_of_row: FloatArray = rel.max(axis=1)
    return worst_of_row


def spacing(t: FloatArray, fmt: Format) -> FloatArray:
    """The spacing of the format's numbers at these float64 numbers."""
    return _steps(np.abs(np.ascontiguousarray(t, dtype=np.float64)), fmt)


def worst(errors: FloatArray) -> int:
    """The index of the worst error of one row: nan ranks worst, ties go to the first."""
    return int(worst_of_rows(errors[None])[0])


def worst_of_rows(errors: FloatArray) -> IntArray:
    """The index of the worst error of each row [R, N]: nan ranks worst, ties go to the first."""
    at: IntArray = errors.argmax(axis=1)  # which takes the first nan for the largest
    return at


def as_float(truth: Truth) -> FloatArray:
    """The true values to the nearest float64 (0 or inf beyond its range)."""
    return truth.nearest()
