"""The definitions made of one softmax: itself, its logarithm, cross-entropy, and their derivatives."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from smcli.confirm.row import Exponentials, Inputs
from smcli.model import required

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.confirm.arithmetic import Arithmetic, Number
    from smcli.confirm.row import Row


def of_row(a: Arithmetic, row: Row) -> Exponentials:
    """The exponentials of a row."""
    return Exponentials(a, row.x, row.problem)


def softmax(a: Arithmetic, row: Row) -> list[Number]:
    """e^y / Σ e^y."""
    return of_row(a, row).p


def log_softmax(a: Arithmetic, row: Row) -> list[Number]:
    """Its logarithm."""
    return of_row(a, row).log_p


def logsumexp(a: Arithmetic, row: Row) -> list[Number]:
    """log Σ e^y, or log |Σ b e^y|."""
    if row.problem.coefficients is None:
        return [of_row(a, row).logsumexp]
    return [Signed(a, row).log()]


def cross_entropy(a: Arithmetic, row: Row) -> list[Number]:
    """−Σ c log p + Z·logsumexp²; without a loss −log p of each class."""
    s = of_row(a, row)
    if row.loss is None or (row.loss.target is None and row.loss.labels is None):
        return [-v for v in s.log_p]
    total = s.zero
    infinite = 0.0
    for c, v in zip(row.coefficients, s.log_p, strict=True):
        if c and isinstance(v, float):
            infinite += math.copysign(math.inf, c)
        elif c:
            total = total - a.number(c) * v
    if infinite:
        return [infinite]
    return [total + a.number(row.loss.z_loss) * s.logsumexp * s.logsumexp]


def cross_entropy_gradient(a: Arithmetic, row: Row) -> list[Number]:
    """p·Σc − c + 2Z·logsumexp·p, times dy/dx."""
    s, c, z_loss = of_row(a, row), row.coefficients, required(row.loss).z_loss
    total = sum(c, Fraction(0))
    z = 2 * a.number(z_loss) * s.logsumexp if z_loss else s.zero
    scale = a.number(row.problem.scale)
    out = []
    for p, rest, own, slope in zip(s.p, s.rest, c, s.slopes, strict=True):
        out.append((a.number(total - own) * p - a.number(own) * rest + z * p) * slope * scale)
    return out


def jacobian(a: Arithmetic, row: Row) -> list[Number]:
    """p_i (δ_ij − p_j), times dy_j/dx_j."""
    s = of_row(a, row)
    n = range(len(s.p))
    return [(s.p[i] * s.rest[i] if i == j else -s.p[i] * s.p[j]) * s.slopes[j] for i in n for j in n]


def softmax_vjp(a: Arithmetic, row: Row) -> list[Number]:
    """p_j (v_j − Σ p_i v_i), times dy_j/dx_j."""
    s, v = of_row(a, row), cotangent(row)
    return s.along([a.number(w - v[s.top]) for w in v], s.one)


def log_softmax_vjp(a: Arithmetic, row: Row) -> list[Number]:
    """v_j − p_j Σ v, times dy_j/dx_j."""
    s, v = of_row(a, row), cotangent(row)
    total = sum(v, Fraction(0))
    parts = zip(v, s.p, s.rest, s.slopes, strict=True)
    return [(a.number(own) * rest - a.number(total - own) * p) * slope for own, p, rest, slope in parts]


def logsumexp_vjp(a: Arithmetic, row: Row) -> list[Number]:
    """v·p_j, or v·b_j e^y_j / Σ b e^y, times dy_j/dx_j."""
    (v,) = cotangent(row)
    if row.problem.coefficients is not None:
        return Signed(a, row).shares(v)
    s = of_row(a, row)
    return [a.number(v) * p * slope for p, slope in zip(s.p, s.slopes, strict=True)]


def cotangent(row: Row) -> list[Fraction]:
    """The vector of the product, exactly."""
    return [Fraction(float(v)) for v in required(row.problem.cotangent)]


class Signed(Inputs):
    """Σ b_i e^y_i, the b of equal logits added up first: what is left of them is 0 only if all are.

    The sum is taken relative to the largest logit whose b do not add up to 0.
    """

    def __init__(self, a: Arithmetic, row: Row) -> None:
        super().__init__(a, row.x, row.problem)
        self.b = [Fraction(float(v)) for v in row.problem.coefficients]  # type: ignore[union-attr]
        groups: dict[float, tuple[int, Fraction]] = {}
        for i, (x, b) in enumerate(zip(row.x, self.b, strict=True)):
            first, sum_of = groups.get(x, (i, Fraction(0)))
            groups[x] = first, sum_of + b
        kept = sorted(((x, i, b) for x, (i, b) in groups.items() if b and x != -math.inf), reverse=True)
        self.lead, self.factor = (kept[0][1], kept[0][2]) if kept else (0, Fraction(0))
        terms: Sequence[Number] = [a.number(b / self.factor) * a.exp(self.apart(i, self.lead)) for _, i, b in kept[1:]]
        self.others = sum(terms, self.zero)  # over the leading term

    def log(self) -> Number:
        """The logarithm of its size; −inf of a sum of 0."""
        if not self.factor:
            return -math.inf
        small = abs(self.others) < self.one / 2
        log = self.a.log1p(self.others) if small else self.a.log(abs(self.one + self.others))
        return self.y[self.lead] + (log if abs(self.factor) == 1 else log + self.a.log(self.a.number(abs(self.factor))))

    def relative(self) -> Number:
        """The sum over e^y of the leading term."""
        return (self.one + self.others) * self.a.number(self.factor)

    def shares(self, v: Fraction) -> list[Number]:
        """Each term over the sum, times v and dy/dx; of a sum of 0 nan."""
        if not self.factor:
            return [math.nan] * len(self.x)
        total = self.relative()
        out = []
        for i, (b, slope) in enumerate(zip(self.b, self.slopes, strict=True)):
            away = self.apart(i, self.lead)
            own = (
                self.zero if away is None or not b else self.a.quotient(self.a.number(b * v) * self.a.exp(away), total)
            )
            out.append(own * slope)
        return out


def signed_sum(a: Arithmetic, row: Row) -> Number:
    """A number with the sign of Σ b e^y."""
    return Signed(a, row).relative()
