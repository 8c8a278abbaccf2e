"""Arithmetic in a number format: every operation rounds to it, and every step leaves a trace.

Numbers are held as float64. For a format with p <= 24 an operation is computed in float64 and rounded once more:
for + − × ÷ that equals one rounding, because 53 >= 2p + 2 (Figueroa 1995); exp, exp2, expm1, log, log1p and tanh come
within half an ulp plus 2**(p − 52) ulp, so that only a near-tie can round the other way. In float64 itself they are NumPy's
(at most a few ulp).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smcli.model import StepSummary

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import Apart, BoolArray, FloatArray
    from smcli.numbers.formats import Format

ORDERS = ("pairwise", "sequential", "compensated")
SHORT = 24  # rows up to this long are held column by column
COLUMNS = 64  # rows shorter than this, or more numerous than long, are summed column by column


class Rows(NamedTuple):
    """Numbers of a format, float64 [R, C] or [R, 1], with the expression that they are the value of."""

    values: FloatArray
    expr: str


class Step(NamedTuple):
    """One operation on a block of rows.

    Attributes:
        expr: what was computed, such as "exp(x − max(x))".
        op: the operation: exp, exp2, expm1, log, log1p, add, sub, mul, div, fma, sum, max, min, tanh, pow, round, or a cast
            to another format.
        inputs: the operands, float64.
        output: the rounded result, float64 [R, N].
        format: the number format it was rounded to.
        ignored: for a running sum, per row the share that terms without effect are of what it and they make together.
        stalled_at: for a sum, per row the index of the first term that did not change the running sum, or −1.
        left_out: for a running sum, per row the sum of the absolute values of terms without effect.
    """

    expr: str
    op: str
    inputs: tuple[FloatArray, ...]
    output: FloatArray
    format: Format
    ignored: FloatArray | None = None
    stalled_at: FloatArray | None = None
    left_out: FloatArray | None = None

    def _from_finite(self) -> BoolArray:
        finite = np.ones(self.output.shape, dtype=bool)
        for x in self.inputs:
            finite &= np.isfinite(x).all(axis=1, keepdims=True) if self.op == "sum" else np.isfinite(x)
        return finite

    @property
    def invalid(self) -> BoolArray:
        """Where finite operands have no result: 0/0, log of a negative number."""
        return np.isnan(self.output) & self._from_finite() & self._undefined()

    def _undefined(self) -> BoolArray:
        where = np.zeros(self.output.shape, dtype=bool)
        if self.op == "div":
            where |= (self.inputs[0] == 0) & (self.inputs[1] == 0)
        elif self.op == "log":
            where |= self.inputs[0] < 0
        return where

    @property
    def overflowed(self) -> BoolArray:
        """Where finite operands gave no finite number, though a result exists (a pole such as log 0 counts)."""
        return ~np.isfinite(self.output) & self._from_finite() & ~self._undefined()

    @property
    def underflowed(self) -> BoolArray:
        """Where a non-zero result became 0, or lost digits as a subnormal number."""
        if self.op not in {"exp", "exp2", "mul", "div", "cast"}:
            return np.zeros(self.output.shape, dtype=bool)
        small = (np.abs(self.output) < self.format.smallest_normal) & self._from_finite()
        if self.op in {"mul", "div", "cast"}:
            small &= self.inputs[0] != 0
        if self.op == "mul":
            small &= self.inputs[1] != 0
        return small

    @property
    def nan(self) -> BoolArray:
        """Where the result is nan."""
        return np.isnan(self.output)

    def summary(self, row: int) -> StepSummary:
        """The step in figures, for one row of the block; a step on constants is the same for every row."""
        row = min(row, self.output.shape[0] - 1)
        out, over, under, nan = self.output[row], self.overflowed[row], self.underflowed[row], self.nan[row]
        known = out[~nan]
        bad = np.flatnonzero(over | nan) if (over | nan).any() else np.flatnonzero(under)
        return StepSummary(
            step=self.expr,
            min=float(known.min()) if known.size else math.nan,
            max=float(known.max()) if known.size else math.nan,
            overflowed=int(over.sum()),
            underflowed=int(under.sum()),
            nan=int(nan.sum()),
            first=int(bad[0]) if bad.size else None,
        )


@dataclass(eq=False, repr=False)
class Arithmetic:
    """The operations of one number format, over the last axis of blocks [R, C].

    Attributes:
        format: what every operation rounds to.
        accumulate: the format of the running sum; its result is rounded to `format`.
        order: how sums are added up: "pairwise" (neighbours in pairs, level by level, an odd last one carried up),
            "sequential" (one after the other), "compensated" (sequential with Neumaier's correction, 1974).
        steps: the trace, in the order of computation.
        notes: what a user should know of how the values came about.
        apart: of code that was asked row by row, why; else nothing.
    """

    format: Format
    accumulate: Format
    order: str = "pairwise"
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    apart: list[Apart] = field(default_factory=list)

    def _done(self, op: str, expr: str, value: FloatArray, *inputs: FloatArray) -> Rows:
        out = self.format.round(value)
        self.steps.append(Step(expr, op, inputs, out, self.format))
        return Rows(out, expr)

    def _each(self, op: str, function: np.ufunc, a: Rows, expr: str) -> Rows:
        return self._done(op, expr or f"{op}({a.expr})", function(a.values), a.values)

    def const(self, value: float, expr: str = "") -> Rows:
        """A constant, rounded to the format."""
        return Rows(self.format.round(np.array([[value]], dtype=np.float64)), expr or f"{value:g}")

    def given(self, values: FloatArray, expr: str) -> Rows:
        """Numbers that are handed in (labels, weights), rounded to the format."""
        return Rows(self.format.round(values), expr)

    def cast(self, a: Rows, to: Format) -> Rows:
        """A result rounded once to a narrower format: what kernels do at their end. In the format itself it is as it was."""
        if to.p >= self.format.p:
            return a
        out = to.round(a.values)
        self.steps.append(Step(f"round to {to.name}", "cast", (a.values,), out, to))
        return Rows(out, a.expr)

    def add(self, a: Rows, b: Rows, expr: str = "") -> Rows:
        """a + b."""
        return self._done("add", expr or f"{a.expr} + {_inner(b)}", a.values + b.values, a.values, b.values)

    def sub(self, a: Rows, b: Rows, expr: str = "") -> Rows:
        """a − b."""
        return self._done("sub", expr or f"{a.expr} − {_inner(b)}", a.values - b.values, a.values, b.values)

    def mul(self, a: Rows, b: Rows, expr: str = "") -> Rows:
        """a × b."""
        return self._done("mul", expr or f"{_inner(a)}·{_inner(b)}", a.values * b.values, a.values, b.values)

    def div(self, a: Rows, b: Rows, expr: str = "") -> Rows:
        """a ÷ b."""
        return self._done("div", expr or f"{_inner(a)}/{_inner(b)}", a.values / b.values, a.values, b.values)

    def fma(self, a: Rows, b: Rows, c: Rows, expr: str = "") -> Rows:
        """a × b + c with one rounding: in float64 but for a near-tie, products and sums being error-free before it."""
        high, low = two_product(a.values, b.values)
        total, rest = two_sum(high, c.values)
        corrected, rest = two_sum(total, rest + low)
        if self.format.p < 53:
            corrected = to_odd(corrected, rest)
        exact = np.where(np.isfinite(total), corrected, total)
        return self._done("fma", expr or f"fma({a.expr}, {b.expr}, {c.expr})", exact, a.values, b.values, c.values)

    def neg(self, a: Rows) -> Rows:
        """−a, which is exact and leaves no step."""
        return Rows(-a.values, f"−{_inner(a)}")

    def exp(self, a: Rows, expr: str = "") -> Rows:
        """e to the power a."""
        return self._each("exp", np.exp, a, expr)

    def exp2(self, a: Rows, expr: str = "") -> Rows:
        """2 to the power a."""
        return self._each("exp2", np.exp2, a, expr)

    def log(self, a: Rows, expr: str = "") -> Rows:
        """Natural logarithm; −inf at 0."""
        return self._each("log", np.log, a, expr)

    def log1p(self, a: Rows, expr: str = "") -> Rows:
        """log(1 + a), accurate for small a."""
        return self._each("log1p", np.log1p, a, expr)

    def expm1(self, a: Rows, expr: str = "") -> Rows:
        """exp(a) − 1, accurate for small a."""
        return self._each("expm1", np.expm1, a, expr)

    def pow(self, a: Rows, power: float, name: str = "") -> Rows:
        """a to a constant power, rounded to the format; infinite at 0 for a negative one."""
        n = self.const(power, name)
        expr = f"{_inner(a)}^{n.expr}"
        positive = (a.values == -np.inf) & (n.values % 2 != 1)  # as IEEE 754 has it; NumPy may say nan
        return self._done("pow", expr, np.power(np.where(positive, np.inf, a.values), n.values), a.values, n.values)

    def tanh(self, a: Rows, expr: str = "") -> Rows:
        """Hyperbolic tangent."""
        return self._each("tanh", np.tanh, a, expr)

    def rint(self, a: Rows, expr: str = "") -> Rows:
        """The nearest integer."""
        return self._done("round", expr or f"round({a.expr})", np.rint(a.values), a.values)

    def ldexp(self, a: Rows, n: Rows, expr: str = "") -> Rows:
        """a × 2**n for whole n: exact but for overflow and underflow."""
        power = np.clip(np.nan_to_num(n.values), -4000, 4000).astype(np.int32)
        scaled = np.where(np.isnan(n.values), np.nan, np.ldexp(a.values, power))
        return self._done("mul", expr or f"{_inner(a)}·2^{_inner(n)}", scaled, a.values, np.ones_like(scaled))

    def maximum(self, a: Rows, b: Rows, expr: str = "") -> Rows:
        """The larger of two, nan if either is."""
        return self._done("max", expr or f"max({a.expr}, {b.expr})", np.maximum(a.values, b.values), a.values, b.values)

    def minimum(self, a: Rows, b: Rows, expr: str = "") -> Rows:
        """The smaller of two, nan if either is."""
        return self._done("min", expr or f"min({a.expr}, {b.expr})", np.minimum(a.values, b.values), a.values, b.values)

    def max(self, a: Rows) -> Rows:
        """The largest number of each row, [R, 1]; nan if one is nan."""
        return Rows(a.values.max(axis=1, keepdims=True), f"max({a.expr})")

    def sum(self, a: Rows, expr: str = "") -> Rows:
        """The sum of each row, [R, 1], in the accumulator's format and order, then rounded to the format."""
        terms = self.accumulate.round(a.values)
        stall: tuple[FloatArray, ...] = ()
        if self.order == "pairwise" or terms.shape[1] == 0:
            total = pairwise(terms, self.accumulate.round)
        else:
            running = sequential(terms, self.accumulate)
            total = running[:, -1:]
            if self.order == "compensated":
                errors = sequential(_addition_errors(running, terms, self.accumulate), self.accumulate)[:, -1:]
                corrected = self.accumulate.round(total + errors)
                total = np.where(np.isfinite(total), corrected, total)  # inf − inf in the correction is no news
            else:
                stall = _stall(running, terms)
        out = self.format.round(total)
        expr = expr or f"Σ {a.expr}"
        self.steps.append(Step(expr, "sum", (a.values,), out, self.format, *stall))
        return Rows(out, expr)

    def running(self, expr: str, output: FloatArray, terms: FloatArray, stall: tuple[FloatArray, ...]) -> Rows:
        """Record a running sum that a method keeps by itself (one-pass algorithms)."""
        self.steps.append(Step(expr, "sum", (terms,), output, self.format, *stall))
        return Rows(output, expr)


def _inner(a: Rows) -> str:
    """The expression, in parentheses where a neighbour would tear it apart."""
    depth = 0
    for i, c in enumerate(a.expr):
        depth += (c in "([") - (c in ")]")
        if depth == 0 and (c == " " or (c in "/·−" and i > 0)):
            return f"({a.expr})"
    return a.expr


def by_columns(x: FloatArray) -> FloatArray:
    """The same block, held column by column where its rows are short: NumPy reduces a short last axis slowly."""
    return np.asfortranarray(x) if 1 < x.shape[1] <= SHORT < x.shape[0] else x


def two_sum(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """a + b as rounded sum and exact error (Møller 1965, Knuth)."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def to_odd(total: FloatArray, rest: FloatArray) -> FloatArray:
    """A rounded sum and its error as one number that a further rounding takes where it would take the exact sum.

    An inexact number with an even last bit goes to its neighbour on the side of the exact sum (Boldo & Melquiond 2008).
    """
    even = total.view(np.int64) & 1 == 0
    return np.where(even & (rest != 0), np.nextafter(total, np.copysign(np.inf, rest)), total)


def two_product(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """a × b as rounded product and exact error (Dekker 1971), where nothing over- or underflows."""
    product = a * b
    ah, al = _split(a)
    bh, bl = _split(b)
    return product, ((ah * bh - product) + ah * bl + al * bh) + al * bl


def _split(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    scale = np.where(np.abs(a) > 2.0**990, 2.0**-30, 1.0)  # c stays finite
    c = 134217729.0 * (a * scale)  # 2**27 + 1 (Veltkamp)
    high = (c - (c - a * scale)) / scale
    return high, a - high


def pairwise(terms: FloatArray, rounded: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Sum each row by adding neighbours in pairs, level by level; an odd last one is carried up. [R, C] -> [R, 1]."""
    while terms.shape[1] > 1:
        even = terms.shape[1] // 2 * 2
        pairs = rounded(terms[:, 0:even:2] + terms[:, 1:even:2])
        terms = np.concatenate([pairs, terms[:, even:]], axis=1) if even < terms.shape[1] else pairs
    return terms if terms.shape[1] else np.zeros((terms.shape[0], 1))


def sequential(terms: FloatArray, fmt: Format, start: FloatArray | None = None) -> FloatArray:
    """The running sums of each row, every addition rounded to the format. [R, C] -> [R, C].

    Args:
        terms: float64 [R, C], numbers of the format.
        fmt: the format of the running sum.
        start: float64 [R], what the sums start from; 0 where not given.
    """
    if start is not None:
        return sequential(np.concatenate([start[:, None], terms], axis=1), fmt)[:, 1:]
    if fmt.p == 53:
        return np.add.accumulate(terms, axis=1)
    if fmt.name == "float32":
        return np.add.accumulate(terms.astype(np.float32), axis=1).astype(np.float64)
    if terms.shape[1] <= COLUMNS or terms.shape[0] >= terms.shape[1]:
        out = terms.copy()
        for i in range(1, terms.shape[1]):
            out[:, i] = fmt.round(out[:, i - 1] + terms[:, i])
        return out
    return np.stack([_run(row, fmt) for row in terms])


def _run(row: FloatArray, fmt: Format) -> FloatArray:
    """Running sums of one long row without a step an element.

    While the sum stays in one binade, its grid is fixed, and a float64 sum that carries a large multiple of the grid
    rounds every addition to that grid at once, ties to even. Where the sum leaves the binade, one addition is done
    by itself and the next stretch begins.
    """
    out = np.empty_like(row)
    out[0], i, stretch = row[0], 1, 64
    with np.errstate(all="ignore"):
        while i < row.size:
            s = float(out[i - 1])
            out[i] = fmt.round(np.array([s + row[i]]))[0]
            i += 1
            s = float(out[i - 1])
            if not math.isfinite(s):
                out[i:] = np.add.accumulate(np.concatenate([[s], row[i:]]))[1:]
                return out
            e = max(math.frexp(s)[1] - 1 if s else fmt.emin, fmt.emin)
            anchor = math.ldexp(1.5, 52 + e - fmt.p + 1)
            part = row[i : i + stretch]
            sums = np.add.accumulate(np.concatenate([[anchor + s], part]))[1:] - anchor
            inside = np.abs(sums) < min(math.ldexp(1.0, e + 1), math.nextafter(fmt.max, math.inf))
            if e > fmt.emin and not (part * math.copysign(1.0, s) >= 0).all():  # below the binade the grid is finer
                inside &= (np.abs(sums) > math.ldexp(1.0, e)) & (np.signbit(sums) == (s < 0))
            count = part.size if inside.all() else int(np.argmin(inside))
            out[i : i + count] = sums[:count]
            i += count
            stretch = min(2 * stretch, 1 << 16) if count == part.size else 64
    return out


def _addition_errors(running: FloatArray, terms: FloatArray, fmt: Format) -> FloatArray:
    """What each addition of a running sum rounded away: numbers of the format (Dekker's FastTwoSum)."""
    before, after, term = running[:, :-1], running[:, 1:], terms[:, 1:]
    from_sum = fmt.round(fmt.round(before - after) + term)
    from_term = fmt.round(fmt.round(term - after) + before)
    errors = np.where(np.abs(before) >= np.abs(term), from_sum, from_term)
    return np.concatenate([np.zeros_like(terms[:, :1]), errors], axis=1)


def _stall(running: FloatArray, terms: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Per row of terms without effect: their share of what the sum and they make, the index of the first, their sum."""
    before = np.concatenate([np.zeros_like(running[:, :1]), running[:, :-1]], axis=1)
    still = (before == running) & (terms != 0) & np.isfinite(terms)
    left_out = np.where(still, np.abs(terms), 0.0).sum(axis=1)
    total = np.abs(running[:, -1]) + left_out
    share = np.divide(left_out, total, out=np.zeros_like(total), where=(total > 0) & np.isfinite(total))
    first = np.where(still.any(axis=1), still.argmax(axis=1), -1).astype(np.float64)
    return share, first, left_out
