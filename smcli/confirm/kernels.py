"""The definitions of entropy, Kullback–Leibler divergence and the focal loss of a softmax, with their gradients."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from smcli.confirm import binary
from smcli.confirm.row import Exponentials
from smcli.confirm.softmaxes import cross_entropy, cross_entropy_gradient, of_row
from smcli.model import required

if TYPE_CHECKING:
    from smcli.confirm.arithmetic import Arithmetic, Number
    from smcli.confirm.row import Row


def entropy(a: Arithmetic, row: Row) -> list[Number]:
    """−Σ p log p; 0·(−inf) of a masked class is 0."""
    s = of_row(a, row)
    return [sum((-p * v for p, v in zip(s.p, s.log_p, strict=True) if not isinstance(v, float)), s.zero)]


def entropy_gradient(a: Arithmetic, row: Row) -> list[Number]:
    """−p_i (z_i − Σ p z), times dy/dx."""
    s = of_row(a, row)
    return s.along([s.zero if z is None else -z for z in s.z], a.number(row.problem.scale))


class Pair:
    """Two rows of logits: p of the row, t of the teacher, and log p − log t, relative to itself.

    With both taken relative to the maximum of one of them, log p_i − log t_i = D + z_i − a_i, D = log Σ e^a − log Σ e^z:
    of that difference of sums only the terms that differ are added up.
    """

    def __init__(self, a: Arithmetic, row: Row) -> None:
        self.a = a
        self.own, self.teacher = of_row(a, row), Exponentials(a, required(row.teacher), row.problem)
        self.zero = a.number(0.0)
        n = range(len(row.x))
        base = next((k for k in (self.own.top, self.teacher.top) if self._both(k)), None)
        base = next((k for k in n if self._both(k)), None) if base is None else base
        self.log_ratios: list[Number] | None = None
        if base is None:
            return
        z, t = ([s.apart(i, base) for i in n] for s in (self.own, self.teacher))
        e, f = ([self.zero if v is None else a.exp(v) for v in row] for row in (z, t))
        apart = [x - y if v is None or w is None else y * a.expm1(v - w) for x, y, v, w in zip(e, f, z, t, strict=True)]
        more = sum(apart, self.zero)  # Σ e^z − Σ e^a
        all_e, all_f = sum(e, self.zero), sum(f, self.zero)
        small = abs(more) < all_f / 2
        d = -a.log1p(more / all_f) if small else a.log(all_f) - a.log(all_e)
        self.log_ratios = [None if v is None or w is None else d + (v - w) for v, w in zip(z, t, strict=True)]

    def _both(self, k: int) -> bool:
        return self.own.z[k] is not None and self.teacher.z[k] is not None

    def divergence(self, p: list[Number], t: list[Number], sign: int) -> Number:
        """Σ p (log p − log t), `sign` times the ratios that are known being log p − log t; inf where only t is masked."""
        if any(x != 0 and y == 0 for x, y in zip(p, t, strict=True)) or self.log_ratios is None:
            return math.inf
        terms = (sign * x * r for x, r in zip(p, self.log_ratios, strict=True) if r is not None)
        return sum(terms, self.zero)


def kl(a: Arithmetic, row: Row) -> list[Number]:
    """Σ t log(t/p), the other way round Σ p log(p/t)."""
    pair = Pair(a, row)
    p, t = pair.own.p, pair.teacher.p
    return [pair.divergence(p, t, 1) if required(row.loss).reverse else pair.divergence(t, p, -1)]


def kl_gradient(a: Arithmetic, row: Row) -> list[Number]:
    """p − t; the other way round p_i (log p_i/t_i − Σ p log p/t), of an infinite divergence nan; times dy/dx."""
    pair = Pair(a, row)
    s, t, ratios = pair.own, pair.teacher.p, pair.log_ratios
    scale = a.number(row.problem.scale)
    n = range(len(row.x))
    if not required(row.loss).reverse:
        by_y = (
            s.p[i] - t[i] if ratios is None or ratios[i] is None else t[i] * a.expm1(ratios[i])
            for i in n
        )  # fmt: skip
        return [v * slope * scale for v, slope in zip(by_y, s.slopes, strict=True)]
    if ratios is None or isinstance(pair.divergence(s.p, t, 1), float):
        return [math.nan for _ in n]
    apart = []
    for i in n:
        own, other = s.apart(i, s.top), pair.teacher.apart(i, s.top)
        apart.append(s.zero if own is None or other is None else own - other)
    return s.along(apart, scale)


def focal(a: Arithmetic, row: Row) -> list[Number]:
    """−Σ c (1 − p)^γ log p; with labels that of the sigmoid of each logit."""
    loss = required(row.loss)
    if loss.is_binary:
        return binary.focal(a, row)
    if not loss.gamma:
        return cross_entropy(a, row)
    s = of_row(a, row)
    infinite, total = 0.0, s.zero
    for i, c in enumerate(row.coefficients):
        if c and s.z[i] is None:
            infinite += math.copysign(math.inf, c)
        elif c and s.rest[i] != 0:
            total = total - a.number(c) * _power(a, s, i, Fraction(loss.gamma)) * s.log_p[i]
    return [infinite or total]


def focal_gradient(a: Arithmetic, row: Row) -> list[Number]:
    """Σ_j c_j A_j (p_i − δ_ij), A_j = (1 − p_j)^γ − γ·p_j·log p_j·(1 − p_j)^(γ−1), times dy/dx."""
    loss = required(row.loss)
    if loss.is_binary:
        return binary.focal_gradient(a, row)
    if not loss.gamma:
        return cross_entropy_gradient(a, row)
    s, gamma = of_row(a, row), Fraction(loss.gamma)
    weights = []  # c_j·A_j
    for j, c in enumerate(row.coefficients):
        if not c or (s.z[j] is not None and s.rest[j] == 0):
            weights.append(s.zero)
        elif s.z[j] is None:
            weights.append(a.number(c))  # the limit of A_j where p_j goes to 0
        else:
            pull = s.rest[j] - a.number(gamma) * s.p[j] * s.log_p[j]
            weights.append(a.number(c) * _power(a, s, j, gamma) * pull / s.rest[j])
    total = sum(weights, s.zero)
    scale = a.number(row.problem.scale)
    parts = zip(s.p, s.rest, weights, s.slopes, strict=True)
    return [((total - own) * p - own * rest) * slope * scale for p, rest, own, slope in parts]


def _power(a: Arithmetic, s: Exponentials, i: int, gamma: Fraction) -> Number:
    """(1 − p_i)^γ."""
    return binary.power_from_log(a, a.log(s.rest[i]), gamma, s.one)
