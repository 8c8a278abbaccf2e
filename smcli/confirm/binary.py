"""The definitions that look at each logit alone: sigmoid, its logarithm, binary cross-entropy and focal loss.

A logit of nan or +inf has no value of these but by convention: None stands for it.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from smcli.confirm.row import Inputs
from smcli.model import required

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.confirm.arithmetic import Arithmetic, Number
    from smcli.confirm.row import Row


class Sides(Inputs):
    """Each logit beside its negative: what is close to 1 is never subtracted from 1."""

    def __init__(self, a: Arithmetic, row: Row) -> None:
        super().__init__(a, row.x, row.problem)

    def sigmoid(self, y: Number) -> Number:
        """1/(1 + e^−y)."""
        small = self.a.exp(-abs(y))
        return (self.one if y > 0 else small) / (self.one + small)

    def softplus(self, y: Number) -> Number:
        """log(1 + e^y), minus the logarithm of the sigmoid of −y."""
        soft = self.a.log1p(self.a.exp(-abs(y)))
        return y + soft if y > 0 else soft

    def each(self, masked: Callable[[int], Number], of: Callable[[int, Number], Number]) -> list[Number]:
        """A value of each logit: what −inf has by the definition's limit, and what a number has."""
        return [
            of(i, y) if y is not None else masked(i) if x == -math.inf else None
            for i, (x, y) in enumerate(zip(self.x, self.y, strict=True))
        ]


def sigmoid(a: Arithmetic, row: Row) -> list[Number]:
    """1/(1 + e^−y)."""
    s = Sides(a, row)
    return s.each(lambda _: s.zero, lambda _, y: s.sigmoid(y))


def log_sigmoid(a: Arithmetic, row: Row) -> list[Number]:
    """Its logarithm."""
    s = Sides(a, row)
    return s.each(lambda _: -math.inf, lambda _, y: -s.softplus(-y))


def bce(a: Arithmetic, row: Row) -> list[Number]:
    """−c log σ(y) − (1 − c) log σ(−y)."""
    return focal_of(a, row, Fraction(0))


def bce_gradient(a: Arithmetic, row: Row) -> list[Number]:
    """(1 − c) σ(y) − c σ(−y), times dy/dx."""
    return focal_gradient_of(a, row, Fraction(0))


def focal(a: Arithmetic, row: Row) -> list[Number]:
    """The same with (1 − p)^γ before each logarithm of a p."""
    return focal_of(a, row, Fraction(required(row.loss).gamma))


def focal_gradient(a: Arithmetic, row: Row) -> list[Number]:
    """Its derivative by each logit."""
    return focal_gradient_of(a, row, Fraction(required(row.loss).gamma))


def focal_of(a: Arithmetic, row: Row, gamma: Fraction) -> list[Number]:
    """c·σ(−y)^γ·softplus(−y) + (1 − c)·σ(y)^γ·softplus(y)."""
    s, c = Sides(a, row), row.coefficients

    def masked(i: int) -> Number:
        return math.copysign(math.inf, c[i]) if c[i] else s.zero

    def of(i: int, y: Number) -> Number:
        return a.number(c[i]) * _loss(s, y, gamma) + a.number(1 - c[i]) * _loss(s, -y, gamma)

    return s.each(masked, of)


def focal_gradient_of(a: Arithmetic, row: Row, gamma: Fraction) -> list[Number]:
    """−c·pull(y) + (1 − c)·pull(−y), times dy/dx; pull(y) = σ(−y)^γ (σ(−y) + γ·σ(y)·softplus(−y))."""
    s, c = Sides(a, row), row.coefficients
    scale = a.number(row.problem.scale)

    def masked(i: int) -> Number:
        return -a.number(c[i]) * s.slopes[i] * scale

    def of(i: int, y: Number) -> Number:
        by_y = a.number(1 - c[i]) * _pull(s, -y, gamma) - a.number(c[i]) * _pull(s, y, gamma)
        return by_y * s.slopes[i] * scale

    return s.each(masked, of)


def _loss(s: Sides, y: Number, gamma: Fraction) -> Number:
    """(1 − p)^γ·(−log p) of p = σ(y)."""
    return power_from_log(s.a, -s.softplus(y), gamma, s.one) * s.softplus(-y)


def _pull(s: Sides, y: Number, gamma: Fraction) -> Number:
    """Minus its derivative by y."""
    more = s.a.number(gamma) * s.sigmoid(y) * s.softplus(-y) if gamma else s.zero
    return power_from_log(s.a, -s.softplus(y), gamma, s.one) * (s.sigmoid(-y) + more)


def power_from_log(a: Arithmetic, log: Number, gamma: Fraction, one: Number) -> Number:
    """The power of what has this logarithm."""
    return a.exp(a.number(gamma) * log) if gamma else one
