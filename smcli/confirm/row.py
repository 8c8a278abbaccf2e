"""One row of a problem as the definitions see it, and its logits as the function meets them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from smcli import quantities
from smcli.model import required

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.confirm.arithmetic import Arithmetic, Number
    from smcli.model import Loss, Problem


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a problem.

    Attributes:
        x: its logits.
        problem: the problem.
        at: which row of it.
    """

    x: list[float]
    problem: Problem
    at: int

    @classmethod
    def of(cls, problem: Problem, r: int) -> Row:
        """Row r of a problem."""
        return cls([float(v) for v in problem.logits[r]], problem, r)

    @property
    def loss(self) -> Loss | None:
        """What gradients are of."""
        return self.problem.loss

    @property
    def ignored(self) -> bool:
        """Whether it is left out."""
        return self.problem.ignored is not None and bool(self.problem.ignored[self.at])

    @property
    def binary(self) -> bool:
        """Whether its loss looks at each logit alone."""
        loss = self.loss
        return loss is not None and loss.is_binary

    @property
    def teacher(self) -> list[float] | None:
        """The logits of the teacher."""
        loss = self.loss
        return None if loss is None or loss.teacher is None else [float(v) for v in loss.teacher[self.at]]

    def is_limit(self, quantity: str) -> bool:
        """Whether the values are conventions: no number defines them."""
        if self.problem.temperature == 0:
            return True
        if quantities.get(quantity).is_elementwise(self.problem):
            return False  # each for itself
        of_teacher = self.loss is not None and quantity in {self.loss.kind, "gradient"}
        rows = [self.x, *([self.teacher] if of_teacher and self.teacher is not None else [])]
        return any(math.isnan(v) or v == math.inf for row in rows for v in row) or any(
            all(v == -math.inf for v in row) for row in rows
        )

    @property
    def range(self) -> int:
        """The bits of the largest logit over the temperature."""
        sizes = [abs(v) for v in (*self.x, *(self.teacher or ())) if math.isfinite(v) and v]
        top = max((math.frexp(v)[1] for v in sizes), default=0)
        return max(0, top - math.frexp(self.problem.temperature)[1] + 1)

    @cached_property
    def coefficients(self) -> list[Fraction]:
        """The labels of the loss, smoothed and weighted."""
        loss = required(self.loss)
        n = len(self.x)
        if loss.labels is not None:
            y = [Fraction(float(v)) for v in loss.labels[self.at]]
        else:
            target = -1 if loss.target is None else int(loss.target[self.at])
            y = [Fraction(int(i == target)) for i in range(n)]
        share = Fraction(loss.smoothing)
        weights = [Fraction(1)] * n if loss.weights is None else [Fraction(float(w)) for w in loss.weights]
        return [w * (v * (1 - share) + share / n) for v, w in zip(y, weights, strict=True)]


class Inputs:
    """Logits over the temperature and under the soft cap, c·tanh(x/(T·c)).

    Attributes:
        y: the logits as the function meets them; None stands for one that is no number.
        slopes: dy/dx.
    """

    def __init__(self, a: Arithmetic, x: Sequence[float], problem: Problem) -> None:
        self.a, self.x = a, x
        self.one, self.zero = a.number(1.0), a.number(0.0)
        self._t = a.number(problem.temperature)
        self._cap = None if problem.softcap is None else a.number(problem.softcap)
        self._raw = [a.number(v) if math.isfinite(v) else None for v in x]
        self.y = [None if v is None else self._enter(v) for v in self._raw]
        self.slopes = [self.one / self._t if v is None or self._cap is None else self._slope(v) for v in self._raw]

    def _enter(self, x: Number) -> Number:
        return x / self._t if self._cap is None else self._cap * self.a.tanh(x / self._t / self._cap)

    def _slope(self, x: Number) -> Number:
        small = self.a.exp(-2 * abs(x) / self._t / self._cap)
        return 4 * small / ((self.one + small) * (self.one + small)) / self._t

    def apart(self, i: int, j: int) -> Number:
        """y_i − y_j, relative to itself: where both are at the cap, too. None where one is masked."""
        own, other = self._raw[i], self._raw[j]
        if own is None or other is None:
            return None
        if self.x[i] == self.x[j]:
            return self.zero
        if self._cap is None:
            return (own - other) / self._t
        # tanh u − tanh v = sinh(u − v) / (cosh u cosh v), made of powers of e that are at most 1
        u, v, between = (w / self._t / self._cap for w in (own, other, own - other))
        sinh = -self.a.expm1(-2 * abs(between)) * (1 if self.x[i] > self.x[j] else -1)
        cosh = (self.one + self.a.exp(-2 * abs(u))) * (self.one + self.a.exp(-2 * abs(v)))
        return 2 * self._cap * sinh * self.a.exp(abs(between) - abs(u) - abs(v)) / cosh


class Exponentials(Inputs):
    """A row relative to its maximum: z, e^z and the sum of the others, which keeps 1 − p and log p exact near 1."""

    def __init__(self, a: Arithmetic, x: Sequence[float], problem: Problem) -> None:
        super().__init__(a, x, problem)
        self.top = max(range(len(x)), key=x.__getitem__)
        self.m = self.y[self.top]
        self.z = [self.apart(i, self.top) for i in range(len(x))]
        self.e = [self.zero if z is None else self.one if i == self.top else a.exp(z) for i, z in enumerate(self.z)]
        self.others = sum((e for i, e in enumerate(self.e) if i != self.top), self.zero)
        self.total = self.one + self.others
        self.log = a.log1p(self.others)

    @cached_property
    def p(self) -> list[Number]:
        """Softmax."""
        return [e / self.total for e in self.e]

    @cached_property
    def rest(self) -> list[Number]:
        """1 − p: the other terms over all."""
        rests = [self.others if i == self.top else self.one + (self.others - e) for i, e in enumerate(self.e)]
        return [r / self.total for r in rests]

    @cached_property
    def log_p(self) -> list[Number]:
        """Its logarithm; an infinity of a masked class is a float."""
        return [-math.inf if z is None else -self.log if i == self.top else z - self.log for i, z in enumerate(self.z)]

    @property
    def logsumexp(self) -> Number:
        """Σ e^y, its logarithm."""
        return self.m + self.log

    def along(self, v: Sequence[Number], factor: Number) -> list[Number]:
        """p_i (v_i − Σ p_j v_j) · dy/dx · factor: the Jacobian of softmax times v, which is 0 of the maximum."""
        mean = sum((p * w for p, w in zip(self.p, v, strict=True)), self.zero)
        return [p * (w - mean) * s * factor for p, w, s in zip(self.p, v, self.slopes, strict=True)]
