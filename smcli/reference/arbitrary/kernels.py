"""The formulas of entropy, divergence, focal loss, sigmoids and signed logsumexp, and of their gradients.

In the names of `formulas`, with dist_i = −z_i, ℓ_i = −log p_i and q_i = 1 − p_i; all are sums of terms of one sign, or
more bits are taken:

    entropy = L + Σ p_i·dist_i, its gradient p_i·(dist_i − Σ p_j·dist_j): a product with the Jacobian of softmax
    KL(t ‖ p): see `divergence`; its gradient p_i − t_i; the other way round p_i·(δ_i − Σ p_j·δ_j), δ = x − teacher
    focal = Σ c_j·q_j^γ·ℓ_j, its gradient Σ c_j·A_j·(p_i − δ_ij) with A_j = q_j^γ + γ·p_j·ℓ_j·q_j^(γ−1)
    logsumexp of b: (m − d) + log |B + Σ B_k e^−(d_k − d)|, B_k the exact sum of b over equal logits, the first not 0

An exponential sum with rational factors is 0 only if these B_k all are (Lindemann and Weierstrass).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from smcli.reference.arbitrary.divergence import Divergence
from smcli.reference.arbitrary.elementary import log1p
from smcli.reference.arbitrary.formulas import Formulas
from smcli.reference.arbitrary.functions import UNKNOWN, enclosed, exp_of, ln, ln1p, power, total
from smcli.reference.arbitrary.interval import (
    NOTHING,
    ONE,
    ZERO,
    Enclosure,
    Interval,
    add,
    divide,
    is_narrow,
    multiply,
    negate,
    offset,
    reciprocal,
    rescale,
    scale,
    subtract,
    times,
    top,
)
from smcli.reference.arbitrary.logits import Logits, Sums, limiting
from smcli.reference.arbitrary.ziv import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.reference.arbitrary.asked import Asked

NARROW = 32  # bits that a difference may lose before it is computed in another way


class Focal:
    """What the focal loss makes of one probability p, with q = 1 − p and ℓ = −log p."""

    def __init__(self, gamma: float) -> None:
        self.gamma = Fraction(gamma)

    def loss(self, q: Interval, log: Interval, bits: int) -> Interval:
        """q^γ·ℓ."""
        return multiply(power(q, self.gamma, bits), log, bits)

    def pull(self, p: Interval, q: Interval, log: Interval, bits: int) -> Interval:
        """q^(γ+1) + γ·p·ℓ·q^γ: minus the derivative of the loss by the logit of p itself."""
        more = scale(multiply(p, log, bits), self.gamma, bits)
        return multiply(power(q, self.gamma, bits), add(q, more, bits), bits)


class Kernels(Formulas):
    """All quantities: these beside those of `Formulas`, in the same way."""

    def __init__(self, values: Sequence[float], asked: Asked) -> None:
        super().__init__(values, asked)
        self._focal = Focal(asked.gamma)
        self.teacher = None if asked.teacher is None else limiting(asked.teacher, asked.temperature, asked.softcap)
        self._taught: dict[int, Sums] = {}
        self.by_name |= {
            "sigmoid": self._sigmoid,
            "log-sigmoid": self._log_sigmoid,
            "entropy": self._entropy,
            "kl": self._kl,
            "focal": self._focal_loss,
        }
        if asked.kind in {"entropy", "kl", "focal"}:
            reverse = self._reverse_gradient if asked.reverse else self._kl_gradient
            gradients = {"entropy": self._entropy_gradient, "kl": reverse, "focal": self._focal_gradient}
            self.by_name["gradient"] = gradients[asked.kind]
        if asked.signed is not None:
            self.by_name["logsumexp"] = self._signed_logsumexp
            if asked.vjp_of == "logsumexp":
                self.by_name["vjp"] = self._signed_slope

    def _sigmoid(self, s: Sums, i: int) -> Enclosure:
        """1/(1 + e^−x)."""
        return self.binary_slope(s, i, Fraction(0))

    def _log_sigmoid(self, s: Sums, i: int) -> Enclosure:
        """Minus the softplus of −x."""
        return rescale(self.binary_loss(s, i, Fraction(1)), Fraction(-1))

    def _moment(self, s: Sums) -> Interval:
        """Σ p_i·dist_i."""
        row, bits = self.row, s.bits + 8
        if row.softcap is None:
            counted = s.weighted((d, count * d) for d, count in row.counts.items())
            moment = scale(counted, Fraction(1, row.den << row.frac), bits)
        else:
            moment = total((times(multiply(s.term(d), negate(s.gap(d)), bits), n) for d, n in row.counts.items()), bits)
        return divide(multiply(moment, s.share, bits), row.ties, bits)

    def _entropy(self, s: Sums, _: int) -> Enclosure:
        """−Σ p log p."""
        return Enclosure(*add(s.log, self._moment(s), s.bits))

    def _entropy_gradient(self, s: Sums, i: int) -> Enclosure:
        row = self.row
        if row.softcap is None:
            directions = [d or 0 for d in row.distances]
            return self.along(s, i, directions, Fraction(1, row.den << row.frac))
        distance = row.distances[i]
        if distance is None:
            return NOTHING
        inner = subtract(negate(s.gap(distance)), self._moment(s), s.bits)
        value = Enclosure(*multiply(s.weight(distance), inner, s.bits))
        return self.by_logit(s, i, value, self.asked.factor / row.ties)

    @cached_property
    def divergence(self) -> Divergence:
        """Of the teacher's row and this one."""
        if self.teacher is None:
            raise ValueError("a divergence needs a teacher")
        return Divergence(self.row, self.teacher) if self.asked.reverse else Divergence(self.teacher, self.row)

    def _kl(self, s: Sums, _: int) -> Enclosure:
        """The divergence, where it is finite."""
        return self.divergence.value(s.bits)

    def _teacher_sums(self, teacher: Logits, bits: int) -> Sums:
        if bits not in self._taught:
            self._taught[bits] = Sums(teacher, bits)
        return self._taught[bits]

    def _kl_gradient(self, s: Sums, i: int) -> Enclosure:
        if self.divergence.equal(i) or self.teacher is None:
            return NOTHING
        other = self._teacher_sums(self.teacher, s.bits)
        mine, theirs = self.row.distances[i], self.teacher.distances[i]
        many, few = self.row.ties, self.teacher.ties
        if mine == 0 == theirs:
            rest = subtract(times(other.rest, many), times(s.rest, few), s.bits)
            value = offset(Fraction(few - many), rest, s.bits)
        else:
            p = ZERO if mine is None else times(s.weight(mine), few)
            t = ZERO if theirs is None else times(other.weight(theirs), many)
            value = Enclosure(*subtract(p, t, s.bits))
        if not is_narrow(value, s.bits - NARROW) and mine is not None and theirs is not None:
            value = Enclosure(*self.divergence.difference(i, other, s))
        return self.by_logit(s, i, value, self.asked.factor / (many * few))

    def _reverse_gradient(self, s: Sums, i: int) -> Enclosure:
        distance = self.row.distances[i]
        if distance is None or self.divergence.zero:
            return NOTHING
        if self.row.softcap is None:
            directions, unit = self.divergence.directions()
            return self.along(s, i, directions, Fraction(1, unit))
        apart, mean = self.divergence.mean(s.bits)
        value = Enclosure(*multiply(s.weight(distance), subtract(mean, apart[i], s.bits), s.bits))
        return self.by_logit(s, i, value, self.asked.factor / self.row.ties)

    def _shares(self, s: Sums, j: int) -> tuple[Interval, Interval, Interval]:
        """p, 1 − p and −log p of a class that is not masked."""
        row, bits = self.row, s.bits + 8
        distance = row.distances[j] or 0
        whole, k = s.weight(distance), row.ties
        rest = subtract(Interval(k, k, 0), whole, bits) if distance else add(Interval(k - 1, k - 1, 0), s.rest, bits)
        log = add(enclosed(row.exact(distance), bits), subtract(s.log, s.gap(distance), bits), bits)
        return divide(whole, k, bits), divide(rest, k, bits), log

    def _focal_loss(self, s: Sums, i: int) -> Enclosure:
        """Σ c·q^γ·ℓ of the classes, or of a logit and minus the logit."""
        if not self._focal.gamma:
            return self.binary_loss(s, i, self.labels[i]) if self.asked.binary else self.loss(s, i)
        if self.asked.binary:
            return self._binary_focal(s, i)
        terms = []
        for j, c in enumerate(self.labels):
            if c:
                _, q, log = self._shares(s, j)
                terms.append(scale(self._focal.loss(q, log, s.bits + 8), c, s.bits + 8))
        return Enclosure(*total(terms, s.bits))

    def _sides(self, s: Sums, i: int) -> tuple[Sums, tuple[Interval, Interval, Interval], bool]:
        """σ(|x|), σ(−|x|), −log σ(|x|) and −log σ(−|x|) of a finite logit, and whether it is positive."""
        s, n = self.one_by_one(s, i)
        bits = s.bits + 8
        e = s.decay(n)
        large = reciprocal(add(ONE, e, bits), bits)
        return s, (large, multiply(e, large, bits), log1p(e, bits)), n > 0

    def _far(self, s: Sums, i: int, near: Interval) -> Interval:
        """−log σ(−|x|) = |x| − log σ(|x|)."""
        n = abs(s.logits.numerators[i] or 0)
        size = enclosed(s.logits.exact(n), s.bits + 8) if s.logits.softcap is None else s.capped(n)
        return add(size, near, s.bits + 8)

    def _binary_focal(self, s: Sums, i: int) -> Enclosure:
        c = self.labels[i]
        if math.isinf(self.values[i]):
            return NOTHING
        s, (large, small, near), positive = self._sides(s, i)
        likely, other = (c, 1 - c) if positive else (1 - c, c)
        terms = (
            scale(self._focal.loss(small, near, s.bits + 8), likely, s.bits + 8),
            scale(self._focal.loss(large, self._far(s, i, near), s.bits + 8), other, s.bits + 8),
        )
        return Enclosure(*total(terms, s.bits))

    def _focal_gradient(self, s: Sums, i: int) -> Enclosure:
        if not self._focal.gamma:
            return self.binary_gradient(s, i) if self.asked.binary else self.gradient(s, i)
        if self.asked.binary:
            return self._binary_focal_gradient(s, i)
        terms, bits, distance = [], s.bits + 8, self.row.distances[i]
        for j, c in enumerate(self.labels):
            if not c:
                continue
            if self.row.distances[j] is None:  # p_j = 0: A = 1
                term = subtract(ZERO if distance is None else self._shares(s, i)[0], ONE if i == j else ZERO, bits)
            else:
                p, q, log = self._shares(s, j)
                if q.lo == 0 == q.hi:
                    continue
                term = self._focal.pull(p, q, log, bits)
                if i == j:
                    term = negate(term)
                elif distance is None:
                    continue
                else:
                    slope = multiply(term, reciprocal(q, bits), bits) if q.lo > 0 else UNKNOWN
                    term = multiply(slope, self._shares(s, i)[0], bits)
            terms.append(scale(term, c, bits))
        return self.by_logit(s, i, Enclosure(*total(terms, s.bits)), self.asked.factor)

    def _binary_focal_gradient(self, s: Sums, i: int) -> Enclosure:
        c = self.labels[i]
        if math.isinf(self.values[i]):
            sure = (1 - c) if self.values[i] > 0 else -c
            return rescale(Enclosure(*ONE), sure * self.asked.factor * self._per_logit)
        s, (large, small, near), positive = self._sides(s, i)
        bits = s.bits + 8
        own = self._focal.pull(large, small, near, bits)
        if not s.logits.numerators[i]:
            return self.by_logit(s, i, Enclosure(*scale(own, 1 - 2 * c, bits)), self.asked.factor)
        other = self._focal.pull(small, large, self._far(s, i, near), bits)
        up, down = (other, own) if positive else (own, other)
        value = total((scale(up, 1 - c, bits), scale(down, -c, bits)), bits)
        return self.by_logit(s, i, Enclosure(*value), self.asked.factor)

    @property
    def _signed(self) -> Sequence[float]:
        return self.asked.signed or ()

    @cached_property
    def groups(self) -> dict[int, int]:
        """The exact sum of the coefficients at each distance, in units of `unit`, those that are 0 left out."""
        sums: dict[int, int] = {}
        for distance, b in zip(self.row.distances, self._signed, strict=True):
            if distance is not None and math.isfinite(b):
                sums[distance] = sums.get(distance, 0) + int(Fraction(b) / self._unit)
        return {d: b for d, b in sorted(sums.items()) if b}

    @cached_property
    def _unit(self) -> Fraction:
        return Fraction(1, max(float(b).as_integer_ratio()[1] for b in (*self._signed, 0.0) if math.isfinite(b)))

    def _signed_sum(self, s: Sums) -> tuple[int, int, Interval, Interval]:
        """The first distance d, its B, the rest of the sum, and all of it: Σ B_k e^−(d_k − d)."""
        (first, lead), *others = self.groups.items()
        bits = s.bits + 16
        if self.row.softcap is None:
            rest = s.weighted((d - first, b) for d, b in others)
        else:
            start = s.gap(first)
            rest = total((times(exp_of(subtract(s.gap(d), start, bits), bits), b) for d, b in others), bits)
        return first, lead, rest, add(Interval(lead, lead, 0), rest, bits)

    def _signed_logsumexp(self, s: Sums, _: int) -> Enclosure:
        """Log |Σ b_i e^x_i| where that sum is not 0."""
        first, lead, rest, whole = self._signed_sum(s)
        bits = s.bits + 8
        if whole.lo <= 0 <= whole.hi:
            log = UNKNOWN
        else:
            sign = 1 if whole.lo > 0 else -1
            if sign * lead * self._unit == 1:  # a leading −1 that the others outweigh is no 1 + …
                log = ln1p(scale(rest, sign * self._unit, bits), bits)
            else:
                shift = self._unit.denominator.bit_length() - 1
                size = whole if sign > 0 else negate(whole)
                log = ln(Interval(size.lo, size.hi, size.exp - shift), bits)
        peak = ZERO if self.row.softcap is None else s.capped(self.row.peak - first)
        return offset(self.row.exact(self.row.peak - first), add(peak, log, bits + max(0, top(peak))), bits)

    def _signed_slope(self, s: Sums, i: int) -> Enclosure:
        """V·b_i e^x_i / Σ b e^x."""
        (cotangent,), distance, b = self.asked.cotangent or (1.0,), self.row.distances[i], self._signed[i]
        v = Fraction(cotangent)
        if distance is None or not b or not v:
            return NOTHING
        first, _, _, whole = self._signed_sum(s)
        bits = s.bits + 16
        if whole.lo <= 0 <= whole.hi:
            return Enclosure(*UNKNOWN)
        inverse = reciprocal(whole, bits) if whole.lo > 0 else negate(reciprocal(negate(whole), bits))
        if self.row.softcap is None:
            e = s.term(distance - first) if distance >= first else reciprocal(s.term(first - distance), bits)
        else:
            e = exp_of(subtract(s.gap(distance), s.gap(first), bits), bits)
        value = Enclosure(*multiply(e, inverse, bits))
        return self.by_logit(s, i, value, v * Fraction(b) / self._unit)

    def sign(self) -> int:
        """The sign of Σ b_i e^x_i."""
        if not self.groups:
            return 0

        def attempt(bits: int) -> int | None:
            whole = self._signed_sum(Sums(self.row, bits))[3]
            return 1 if whole.lo > 0 or whole.lo == whole.hi > 0 else -1 if whole.hi < 0 else None

        return until(attempt, 64)
