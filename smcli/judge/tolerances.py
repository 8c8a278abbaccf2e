"""Which rtol and atol a test of someone's values should use: bounds from before anything was computed.

An allclose test passes |y − t| ≤ atol + rtol·|t|. The bounds are those of a careful algorithm (the maximum subtracted,
the logarithm taken of the sum alone) that computes in a format with unit roundoff v and rounds its result once to the
format of the values, with unit roundoff u. To first order in v:

- exp, log and log1p are good to c·v: 4 ulp, c = 8, which the vector functions of today's libraries are in float32 and
  float64; c = 1 in narrower formats, where they are rounded from a wider one;
- a sum of n terms costs h. In float32 and float64 that is min(n − 1, 4√n): sums one after the other stay below 4√n
  with a probability beyond 1 − 10^-3 (Higham & Mary 2019), and blocked ones far below. In narrower formats it is
  ⌈log2 n⌉, for sums in pairs: one after the other they stall;
- an exponent E is a rounded difference, times a rounded log2(e) or less a rounded logarithm: wrong by d·|E|, d = 3
  (2 in narrower formats, for kernels without log2(e)), and the sum of all by d·log n, since Σ p_i |log p_i| ≤ log n.
  |E| is at most D, the largest max x − min x of a row, as far as its exp is above 0;
- so the logarithm of the sum is wrong by at most a = h + c + (1 + c)·log n + 2r, and a softmax relatively by
  k = h + 2c + 1 + d·D + (c + d)·log n + r; absolutely by g = h + 2c + 1 + d + (c + d)·log n + r, since p·|E| ≤ 1/e;
- r stands for what the logits themselves are rounded by, when they are divided by T or capped: 2·max|x| times 1 or 11.

The first-order k·v stands as k·v/(1 − k·v); there is no bound where k·v > 1/2. Underflow adds half the least subnormal
of the values' format and, since kernels flush subnormals and clamp the arguments of exp, four times the least normal of
the format computed in. Overflow in the last rounding is not spoken of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.numbers import formats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.model import BoolArray, FloatArray, Problem
    from smcli.numbers.formats import Format

WIDE = 24  # significant bits of the narrowest format that sums in any order are good in
Linear = dict[str, float]  # a sum of terms with their factors; the term "" is 1

# of each quantity: the relative error, what the absolute one is multiplied by, the absolute error
RULES: dict[str, tuple[Linear, str, Linear]] = {
    "softmax": ({"k": 1}, "", {}),
    "log-softmax": ({"": 2}, "", {"a": 1}),
    "logsumexp": ({"": 1}, "", {"a": 1}),
    "cross-entropy": ({"": 3, "s": 1}, "Y", {"a": 2}),
    "bce": ({"": 3}, "", {"X": 1, "c": 2, "r": 1}),
    "gradient": ({"k": 1, "": 3, "s": 1}, "Y", {"g": 1, "s": 1}),
    "jacobian": ({"k": 2, "": 3}, "", {"g": 1}),
    "vjp": ({"k": 1, "": 3}, "Y", {"g": 2, "h": 1, "": 3}),
}


@dataclass(frozen=True, slots=True)
class Span:
    """What the tolerance of values depends on, over all rows that are tested.

    Attributes:
        length: the largest n.
        drop: the largest max x − x_j.
        size: the largest |x|.
        labels: the largest Σ|y| of a loss, class weights included; and the largest |v| of a vector-Jacobian product.
        soft: whether a loss sums over the classes, or weighs them.
        scale: the factor of a reduction.
        rounds: what the logits go through first, in v of their size: 0, or more with a temperature or a soft cap.
        bounded: whether a bound is known of such a problem: none is of a z-loss.
        reduced: how many losses were added up, or 0.
    """

    length: int = 1
    drop: float = 0.0
    size: float = 0.0
    labels: float = 1.0
    soft: bool = False
    scale: float = 1.0
    rounds: float = 0.0
    bounded: bool = True
    reduced: int = 0

    @classmethod
    def of(cls, problem: Problem, ends: tuple[FloatArray, FloatArray] | None = None) -> Span:
        """The span of a block; `ends` are the largest and the least logit of each row, where they are known."""
        x, loss = problem.logits, problem.loss
        with np.errstate(all="ignore"):
            top, bottom = (x.max(axis=1), x.min(axis=1)) if ends is None else ends
            if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
                finite = np.where(np.isfinite(x), x, np.nan)
                top, bottom = np.fmax.reduce(finite, axis=1), np.fmin.reduce(finite, axis=1)
            top, bottom = (_entering(problem, end[np.isfinite(end)]) for end in (top, bottom))
            drop, size = np.max(top - bottom, initial=0.0), max(np.abs(end).max(initial=0.0) for end in (top, bottom))
        span = cls(length=x.shape[1], drop=float(drop) if math.isfinite(drop) else 0.0, size=float(size))
        span = replace(
            span,
            scale=float(problem.scale),
            rounds=float(problem.temperature != 1) + 10.0 * (problem.softcap is not None),
        )
        if problem.cotangent is not None:
            return replace(span, labels=float(np.abs(problem.cotangent).max()))
        if loss is None:
            return span
        heavy = 1.0 if loss.weights is None else float(np.abs(loss.weights).max())
        total = 1.0 if loss.labels is None else float(np.abs(loss.labels).sum(axis=1).max())
        soft = loss.labels is not None or bool(loss.smoothing) or loss.weights is not None
        return replace(span, labels=max(total, loss.smoothing) * heavy, soft=soft, bounded=not loss.z_loss)

    def __or__(self, other: Span) -> Span:
        """The span of the rows of both."""
        return Span(
            max(self.length, other.length), max(self.drop, other.drop), max(self.size, other.size),
            max(self.labels, other.labels), self.soft or other.soft, max(self.scale, other.scale),
            max(self.rounds, other.rounds), self.bounded and other.bounded, self.reduced + other.reduced,
        )  # fmt: skip


def _entering(problem: Problem, x: FloatArray) -> FloatArray:
    """Logits as the function meets them: divided by the temperature and capped, which keeps their order."""
    if problem.temperature != 1:
        x = x / problem.temperature
    if problem.softcap is not None:
        x = problem.softcap * np.tanh(x / problem.softcap)
    return x


@dataclass(frozen=True, slots=True)
class Allclose:
    """What a test allows: |y − t| ≤ atol + rtol·|t|.

    Attributes:
        rtol, atol: both, as numbers.
        formula: where they come from, with the figures.
        arithmetic: which kernels they hold for, in words; empty where they are the user's.
    """

    rtol: float
    atol: float
    formula: str = ""
    arithmetic: str = ""

    def passes(self, values: FloatArray, truth: FloatArray, rest: FloatArray | float = 0.0) -> BoolArray:
        """Where values pass: nan where the truth is nan, an infinity where it is that. The truth is truth + rest."""
        with np.errstate(all="ignore"):
            near = np.abs((values - truth) - rest) <= self.atol + self.rtol * np.abs(truth)
            near &= np.isfinite(truth)  # beside an infinity everything is allowed, else
            passed: BoolArray = near | (np.isinf(truth) & (values == truth)) | (np.isnan(values) & np.isnan(truth))
        return passed

    def beyond(self, values: FloatArray, truth: FloatArray) -> FloatArray:
        """How many times what is allowed values are off, which do not pass: inf where one of both is not finite."""
        with np.errstate(all="ignore"):
            times = np.abs(values - truth) / (self.atol + self.rtol * np.abs(truth))
        return np.where(np.isnan(times), np.inf, times)

    def zeros_pass(self, truth: FloatArray) -> bool:
        """Whether values that are all 0 would pass."""
        return bool(self.passes(np.zeros_like(truth), truth).all())

    def below_ulp(self, truth: FloatArray, fmt: Format) -> bool:
        """Whether it asks for more than the format has: less than a spacing somewhere, subnormals left out."""
        size = np.abs(truth)
        usual = np.isfinite(truth) & (size >= fmt.smallest_normal) & (size <= fmt.max)
        size = size[usual]
        spacing = np.ldexp(1.0, (np.frexp(size)[1] - fmt.p).astype(np.int32))
        return bool((self.atol + self.rtol * size < spacing).any())


def tolerances(quantity: str, fmt: Format, span: Span) -> tuple[Allclose, ...]:
    """The tolerances for values of a format, the tightest first.

    One for kernels that compute in float32 and round once to a 16- or 8-bit format, and one for those that round every
    step to it; of float32 and float64 there is one. Where neither says anything, the limit of accuracy stands alone.
    """
    inner = (formats.FORMATS["float32"], fmt) if fmt.p < WIDE else (fmt,)
    known = [_Bound(quantity, fmt, f, span).tolerance() for f in inner if quantity in RULES and span.bounded]
    return tuple(t for t in known if t is not None) or (_limit(fmt, span),)


def looks_like(passed: Iterable[tuple[Allclose, bool]]) -> str:
    """In words: of which arithmetic values look, given which of the tolerances they all pass; empty: of none."""
    return next((tolerance.arithmetic for tolerance, all_pass in passed if all_pass), "")


@dataclass(frozen=True, slots=True)
class _Bound:
    """The bound of a quantity for kernels that compute in `inner` and round to `fmt`."""

    quantity: str
    fmt: Format
    inner: Format
    span: Span

    def tolerance(self) -> Allclose | None:
        """The bound as a tolerance, or None where it says nothing."""
        relative, factor, absolute = RULES[self.quantity]
        fmt, v = self.fmt, self.inner.unit_roundoff
        elementwise = quantities.get(self.quantity).elementwise
        if self.span.reduced:
            relative = {**relative, "H": 1, "": relative.get("", 0) + 1}
        rel, size = self._value(relative), self._value(absolute)
        if (rel + (size if factor else 0)) * v > 0.5 or (self.span.length > self.inner.max and not elementwise):
            return None
        once = 0.0 if self.inner is fmt else fmt.unit_roundoff
        rtol = (1 + once) * (1 + rel * v / (1 - rel * v)) - 1
        size *= (self.span.labels if factor else 1.0) * self.span.scale * max(self.span.reduced, 1)
        under = fmt.smallest_subnormal / 2
        under += 4 * self.inner.smallest_normal if self.inner.p >= WIDE else fmt.smallest_subnormal
        atol = size * v / (1 - min(size * v, 0.5)) * (1 + once) + under * max(1.0, self.span.labels)
        if self.inner is fmt and fmt.p < WIDE and not elementwise:
            rtol += self.span.length * under  # what the sum misses of terms that underflow
        return Allclose(rtol, atol, self._text(relative, factor, absolute), self._arithmetic())

    @property
    def _c(self) -> float:
        return 8.0 if self.inner.p >= WIDE else 1.0

    @property
    def _defined(self) -> dict[str, Linear]:
        c, d = self._c, 3.0 if self.inner.p >= WIDE else 2.0
        return {
            "a": {"h": 1, "": c, "log n": 1 + c, "r": 2},
            "k": {"h": 1, "": 2 * c + 1, "D": d, "log n": c + d, "r": 1},
            "g": {"h": 1, "": 2 * c + 1 + d, "log n": c + d, "r": 1},
            "s": {"h": 1, "": 5},
        }

    def _value(self, terms: Linear) -> float:
        return sum(times * (self._term(name) if name else 1.0) for name, times in terms.items())

    def _term(self, name: str) -> float:
        span = self.span
        if name == "s" and not span.soft:
            return 0.0
        if name in self._defined:
            return self._value(self._defined[name])
        figures = {
            "h": self._sum(span.length), "H": self._sum(span.reduced), "D": min(span.drop, -self.fmt.exp_zero),
            "X": span.size, "Y": span.labels, "r": 2 * span.rounds * span.size, "log n": math.log(span.length),
            "c": self._c,
        }  # fmt: skip
        return figures[name]

    def _sum(self, n: int) -> float:
        if n < 2:
            return 0.0
        return min(n - 1.0, 4 * math.sqrt(n)) if self.inner.p >= WIDE else float(math.ceil(math.log2(n)))

    def _arithmetic(self) -> str:
        if self.inner is self.fmt:
            return f"every step in {self.fmt.name}"
        return f"computed in {self.inner.name} and rounded once to {self.fmt.name}"

    def _text(self, relative: Linear, factor: str, absolute: Linear) -> str:
        """The formula with its figures; terms that are 0 are left out."""
        once = "" if self.inner is self.fmt else "u + "
        said = [f"rtol = {once}{self._times_v([], relative)}"]
        outer = [factor] * bool(factor) + ["N"] * bool(self.span.reduced) + ["f"] * (self.span.scale != 1)
        if absolute:
            said.append(f"atol = {self._times_v(outer, absolute)}")
        used = [*relative, *absolute]
        for name, terms in self._defined.items():
            if name in used and self._term(name):
                said.append(f"{name} = {self._sum_text(terms)} = {self._term(name):.5g}")
                used += terms
        span, narrow = self.span, self.inner.p < WIDE
        figures = {
            "h": ("⌈log2 n⌉" if narrow else "min(n − 1, 4√n)", self._term("h")),
            "D": ("max x − min x", self._term("D")),
            "X": ("max|x|", span.size),
            "Y": ("max Σ|y|", span.labels),
            "c": ("exp and log in v", self._c),
            "r": ("rounding of the logits", self._term("r")),
            "H": ("h of N", self._term("H")),
            "N": ("losses", span.reduced),
            "f": ("the reduction's factor", span.scale),
        }
        said += [f"{n} = {what} = {x:.5g}" for n, (what, x) in figures.items() if n in {*used, *outer} and x]
        said += [f"n = {span.length}", f"v = 2^-{self.inner.p}"]
        if once:
            said.append(f"u = 2^-{self.fmt.p}")
        return f"{', '.join(said)}: {self._arithmetic()}"

    def _times_v(self, factors: list[str], terms: Linear) -> str:
        text = self._sum_text(terms)
        if text.isdigit() and not factors:
            return "v" if text == "1" else f"{text}v"
        return "·".join([*factors, f"({text})" if " " in text or text[0].isdigit() else text, "v"])

    def _sum_text(self, terms: Linear) -> str:
        shown = [(name, times) for name, times in terms.items() if not name or self._term(name)]
        return " + ".join(
            f"{times:g}" if not name else name if times == 1 else f"{times:g}{'·' if ' ' in name else ''}{name}"
            for name, times in shown
        )  # fmt: skip


def _limit(fmt: Format, span: Span) -> Allclose:
    drop = min(span.drop, -fmt.exp_zero)
    ulp = max(8.0, 2 * (math.log2(max(span.length, 1)) + 4 + drop))
    return Allclose(
        min(2 * ulp * fmt.unit_roundoff, 0.5), fmt.smallest_subnormal / 2,
        f"rtol = 2u·max(8, 2(log2 n + 4 + D)), at most 1/2, D = max x − min x = {drop:.5g}, n = {span.length}, "
        f"u = 2^-{fmt.p}: the limit of what counts as accurate, since no bound says anything",
    )  # fmt: skip
