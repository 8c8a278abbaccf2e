"""The formulas of the truth for one row: exact part + rest, so that neither cancellation nor closeness costs digits.

With z_j = y_j − m below the maximum m, k maxima and σ = Σ e^z_j / k over the others:

    T = σ/(1 + σ), P_i = k·p_i = e^z_i/(1 + σ), which for a maximum is 1 − T
    k²·p_i(1 − p_i) = (k − 1) − T(k − 2 + T) for a maximum, P_i(k − P_i) for others
    log p_i = z_i − L, logsumexp = m + L with L = log1p(k − 1 + kσ)
    loss = −Σ c_j z_j + z_loss·m² + [B·L + z_loss·L²] with B = Σ c_j + 2·z_loss·m
    k·gradient_i = (B − k·c_i) + [2·z_loss·L·P_i − B·T] for a maximum
                 = −k·c_i + [P_i(B + 2·z_loss·L)] for others
    k²·vjp_i = w_m + [w·r² − w_m·T(2 − T)] for a maximum, P_i·(w_m + w)·r for others
               with r = 1/(1 + σ), w_m = Σ (v_i − v_j) over maxima, w = Σ e^z_j (v_i − v_j) over others

The rest is computed to full *relative* precision. A value such as 2.5 + e^-1e300 then has an enclosure that begins at
2.5 itself, which settles even a decimal tie. Under a soft cap y_j is irrational: it is enclosed to an absolute
precision, m counts as 0 here and goes into the rest, and derivatives are multiplied by the cap's own at the end.

Each formula gives a point exactly where its value is "exact": σ = 0, when all finite logits are equal. Where it is not,
nothing about the value is rational. By the Lindemann-Weierstrass theorem exponentials of different rational numbers are
linearly independent over the rationals, so with two different finite logits each p_i, p_i·p_j and p_i(1 − p_i) is
irrational, a vjp is 0 only if the v_i − v_j add up to 0 over every set of equal logits (which are added up exactly
first) and irrational otherwise, and logsumexp and any polynomial in it are transcendental. Such a number is neither a
float nor a decimal tie, and a loop that takes more and more bits ends. (For capped logits nobody has proved that.)
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from smcli.reference.arbitrary.elementary import log1p
from smcli.reference.arbitrary.interval import (
    NOTHING,
    ONE,
    ZERO,
    Enclosure,
    Interval,
    add,
    is_narrow,
    multiply,
    negate,
    offset,
    reciprocal,
    rescale,
    scale,
    subtract,
    times,
)
from smcli.reference.arbitrary.logits import Logits, Sums, limiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smcli.reference.arbitrary.asked import Asked


class Formulas:
    """The quantities of softmax of one row, each a function of the `Sums` of one precision and an index.

    One +inf among the logits stands for a one-hot row, several for ties, and each −inf for a masked class; what they make
    infinite or undefined is left to the caller.
    """

    def __init__(self, values: Sequence[float], asked: Asked) -> None:
        self.values, self.asked = values, asked
        self.row = limiting(values, asked.temperature, asked.softcap) if math.inf in values else self._each
        self._z_loss = Fraction(asked.z_loss)
        self._per_logit = 1 / Fraction(asked.temperature)
        self._moments: dict[int, Interval] = {}
        self._ways: tuple[list[int], Fraction] | None = None
        self.by_name: dict[str, Callable[[Sums, int], Enclosure]] = {
            "softmax": self._softmax,
            "log-softmax": self._log_softmax,
            "logsumexp": self._logsumexp,
            "cross-entropy": self._minus_log_softmax if asked.coefficients is None else self.loss,
            "gradient": self.binary_gradient if asked.kind == "bce" else self.gradient,
            "jacobian": self._jacobian,
            "vjp": {"log-softmax": self._log_vjp, "logsumexp": self._sum_vjp}.get(asked.vjp_of, self._vjp),
            "bce": self._bce,
        }

    @property
    def labels(self) -> Sequence[Fraction]:
        """The coefficients, where they are needed."""
        if self.asked.coefficients is None:
            raise ValueError("a loss and its gradient need coefficients")
        return self.asked.coefficients

    @cached_property
    def _peak(self) -> Fraction:
        """The maximum m; 0 under a soft cap."""
        return self.row.exact(self.row.peak)

    @cached_property
    def _integers(self) -> tuple[list[int], int]:
        """The coefficients as integers, and their common denominator."""
        den = math.lcm(*{c.denominator for c in self.labels})
        return [c.numerator * (den // c.denominator) for c in self.labels], den

    @cached_property
    def _growth(self) -> Fraction:
        """B = Σ c_j + 2·z_loss·m."""
        numbers, den = self._integers
        return Fraction(sum(numbers), den) + 2 * self._z_loss * self._peak

    @cached_property
    def _linear(self) -> Fraction:
        """Σ c_j z_j; 0 under a soft cap."""
        numbers, den = self._integers
        pairs = zip(numbers, self.row.distances, strict=True)
        return -self.row.exact(sum(c * d for c, d in pairs if c and d)) / den

    def _softmax(self, s: Sums, i: int) -> Enclosure:
        distance = self.row.distances[i]
        return NOTHING if distance is None else Enclosure(*s.weight(distance), self.row.ties)

    def _log_softmax(self, s: Sums, i: int) -> Enclosure:
        distance = self.row.distances[i] or 0
        return offset(-self.row.exact(distance), subtract(s.gap(distance), s.log, s.bits), s.bits)

    def _minus_log_softmax(self, s: Sums, i: int) -> Enclosure:
        return rescale(self._log_softmax(s, i), Fraction(-1))

    def _logsumexp(self, s: Sums, _: int) -> Enclosure:
        return offset(self._peak, add(s.peak, s.log, s.bits), s.bits)

    def loss(self, s: Sums, _: int) -> Enclosure:
        rest = scale(s.log, self._growth, s.bits)
        if self._z_loss:
            rise = add(s.peak, s.log, s.bits)
            rest = add(rest, scale(multiply(rise, rise, s.bits), self._z_loss, s.bits), s.bits)
        if self.row.softcap is not None:
            for c, distance in zip(self.labels, self.row.distances, strict=True):
                if c and distance:
                    rest = subtract(rest, scale(s.gap(distance), c, s.bits), s.bits)
        return offset(self._z_loss * self._peak**2 - self._linear, rest, s.bits)

    def gradient(self, s: Sums, i: int) -> Enclosure:
        distance, ties = self.row.distances[i], self.row.ties
        exact, rest = -ties * self.labels[i], ZERO
        if distance is not None:
            p = s.weight(distance)
            if distance:
                rest = scale(p, self._growth, s.bits)
            else:
                exact += self._growth
                rest = negate(scale(s.rest, self._growth, s.bits))
            if self._z_loss:
                rise = multiply(add(s.peak, s.log, s.bits), p, s.bits)
                rest = add(rest, scale(rise, 2 * self._z_loss, s.bits), s.bits)
        return self.by_logit(s, i, offset(exact, rest, s.bits), self.asked.factor / ties)

    def _jacobian(self, s: Sums, index: int) -> Enclosure:
        i, j = divmod(index, len(self.values))
        ties, distance, other = self.row.ties, self.row.distances[i], self.row.distances[j]
        if distance is None or other is None:
            return NOTHING
        p = s.weight(distance)
        if i != j:
            product = multiply(p, s.weight(other), s.bits)
            value = Enclosure(*negate(product))
        elif distance == 0 and ties > 1:
            lost = multiply(s.rest, add(Interval(ties - 2, ties - 2, 0), s.rest, s.bits), s.bits)
            value = offset(Fraction(ties - 1), negate(lost), s.bits)
        else:
            others = subtract(Interval(ties, ties, 0), p, s.bits) if distance else s.rest
            value = Enclosure(*multiply(p, others, s.bits))
        return self.by_logit(s, j, value, Fraction(1, ties**2))

    def _vjp(self, s: Sums, i: int) -> Enclosure:
        distance, ties = self.row.distances[i], self.row.ties
        if distance is None:
            return NOTHING
        v = self._directions[i]
        among = ties * v - self._direction_sums.get(0, 0)
        below = self._below(s, v)
        if distance:
            inner = multiply(add(Interval(among, among, 0), below, s.bits), s.share, s.bits)
            value = Enclosure(*multiply(s.weight(distance), inner, s.bits))
        else:
            square = multiply(s.share, s.share, s.bits)
            lost = multiply(s.rest, subtract(Interval(2, 2, 0), s.rest, s.bits), s.bits)
            rest = subtract(multiply(below, square, s.bits), times(lost, among), s.bits)
            value = offset(Fraction(among), rest, s.bits)
        return self.by_logit(s, i, value, self._direction_unit / ties**2)

    def _below(self, s: Sums, v: int) -> Interval:
        """Σ e^z_j (v − v_j) over all but the maxima: from two sums if that leaves half the bits, else by terms."""
        sums = self._direction_sums
        moment = self._moments.get(s.bits)
        if moment is None:
            moment = self._moments[s.bits] = s.weighted((d, sums[d]) for d in self.row.counts)
        quick = subtract(times(s.sigma, self.row.ties * v), moment, s.bits)
        if is_narrow(quick, s.bits // 2):
            return quick
        return s.weighted((d, count * v - sums[d]) for d, count in self.row.counts.items())

    @cached_property
    def _directions(self) -> list[int]:
        """The cotangent as integers, in units of `_direction_unit`."""
        if self._ways is not None:
            return self._ways[0]
        if self.asked.cotangent is None:
            raise ValueError("a vector-Jacobian product needs a cotangent")
        unit = self._direction_unit.denominator
        return [n * (unit // d) for n, d in (float(v).as_integer_ratio() for v in self.asked.cotangent)]

    @cached_property
    def _direction_unit(self) -> Fraction:
        if self._ways is not None:
            return self._ways[1]
        return Fraction(1, max(float(v).as_integer_ratio()[1] for v in self.asked.cotangent or (0,)))

    @cached_property
    def _direction_sums(self) -> dict[int, int]:
        """For each distance the sum of the directions of the logits there."""
        sums: dict[int, int] = {}
        for distance, v in zip(self.row.distances, self._directions, strict=True):
            if distance is not None:
                sums[distance] = sums.get(distance, 0) + v
        return sums

    def _log_vjp(self, s: Sums, i: int) -> Enclosure:
        """v_i − p_i·Σ v: minus the gradient of the loss with these coefficients."""
        v = [Fraction(x) for x in self.asked.cotangent or ()]
        distance, ties = self.row.distances[i], self.row.ties
        exact, rest, growth = ties * v[i], ZERO, sum(v, Fraction(0))
        if distance:
            rest = scale(s.weight(distance), -growth, s.bits)
        elif distance == 0:
            exact -= growth
            rest = scale(s.rest, growth, s.bits)
        return self.by_logit(s, i, offset(Fraction(exact), rest, s.bits), Fraction(1, ties))

    def _sum_vjp(self, s: Sums, i: int) -> Enclosure:
        """v·p_i."""
        (v,) = self.asked.cotangent or (1.0,)
        return self.by_logit(s, i, self._softmax(s, i), Fraction(v))

    def along(self, s: Sums, i: int, directions: list[int], unit: Fraction) -> Enclosure:
        """The product of softmax's Jacobian with these directions in units, times the factor."""
        self._ways = directions, unit * self.asked.factor
        return self._vjp(s, i)

    def _bce(self, s: Sums, i: int) -> Enclosure:
        return self.binary_loss(s, i, self.labels[i])

    def binary_loss(self, s: Sums, i: int, label: Fraction) -> Enclosure:
        """softplus(y) − y·label of one logit."""
        if math.isinf(self.values[i]):
            return NOTHING  # certain and right; the caller knows the infinite ones
        s, n = self.one_by_one(s, i)
        slope = (1 if n > 0 else 0) - label
        rest = log1p(s.decay(n), s.bits)
        if s.logits.softcap is not None:
            rest = add(rest, scale(s.capped(n), slope, s.bits), s.bits)
        return offset(s.logits.exact(n) * slope, rest, s.bits)

    def binary_gradient(self, s: Sums, i: int) -> Enclosure:
        """The derivative of `binary_loss` by the logit, times the factor."""
        value = self.binary_slope(s, i, self.labels[i])
        if math.isinf(self.values[i]):
            return rescale(value, self.asked.factor * self._per_logit)
        return self.by_logit(Sums(self._each, s.bits), i, value, self.asked.factor)

    def binary_slope(self, s: Sums, i: int, label: Fraction) -> Enclosure:
        """sigmoid(y) − label."""
        if math.isinf(self.values[i]):
            return rescale(Enclosure(*ONE), (1 if self.values[i] > 0 else 0) - label)
        s, n = self.one_by_one(s, i)
        e = s.decay(n)
        minor = multiply(e, reciprocal(add(ONE, e, s.bits), s.bits), s.bits)
        return offset(1 - label, negate(minor), s.bits) if n > 0 else offset(-label, minor, s.bits)

    def one_by_one(self, s: Sums, i: int) -> tuple[Sums, int]:
        """For losses that look at one finite logit alone, whatever the others are."""
        return Sums(self._each, s.bits), self._each.numerators[i] or 0

    @cached_property
    def _each(self) -> Logits:
        return Logits(
            [x if math.isfinite(x) else None for x in self.values], self.asked.temperature, self.asked.softcap
        )

    def by_logit(self, s: Sums, i: int, value: Enclosure, factor: Fraction) -> Enclosure:
        """A derivative by the effective logit i as one by the logit itself, times the factor."""
        numerator = s.logits.numerators[i]
        if s.logits.softcap is not None and numerator is not None:
            capped = multiply(Interval(value.lo, value.hi, value.exp), s.slope(numerator), s.bits)
            value = Enclosure(*capped, value.den)
        return rescale(value, factor * self._per_logit)
