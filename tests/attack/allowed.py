"""What counts as accurate where no limit is given, by the numerics page's own words (6a), and condition numbers (6).

Nothing here is imported from smcli. Figures are floats: whoever compares leaves a margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from definition import Row
    from flint import arb

LEAST = 8.0
BITS = 200


def approx(v: arb | float) -> float:
    """The nearest float or so; 0 or inf beyond them."""
    return v if isinstance(v, float) else float(v.mid())


@dataclass
class Limits:
    """The limits of one row, without a soft cap; of rows that are no convention's."""

    row: Row

    def __post_init__(self) -> None:
        row, bits = self.row, BITS + self.row.range
        self.p = [approx(v) for v in row.values("softmax", bits)]
        self.q = [approx(v) for v in row._known[bits].q]
        self.log = [abs(approx(v)) for v in row.values("log-softmax", bits)]
        self.z = [v / row.temperature for v in row.x]
        self.m = max(self.z)
        self.far = [0.0 if v == -math.inf else abs(v - self.m) for v in self.z]
        self.size = [abs(v) if math.isfinite(v) else 0.0 for v in self.z]
        self.base = math.log2(len(row.x)) + 4

    def flat(self) -> float:
        """Of log-softmax and cross-entropy."""
        return max(LEAST, 2 * self.base)

    def distant(self, *far: float) -> float:
        """Of what is made of probabilities whose logits are so far from the maximum."""
        return max(LEAST, 2 * (self.base + sum(far)))

    def condition_of_logsumexp(self) -> float:
        """Σ p_i|x_i|/|logsumexp|."""
        bits = BITS + self.row.range
        lse = abs(approx(self.row.values("logsumexp", bits)[0]))
        total = sum(p * s for p, s in zip(self.p, self.size, strict=True))
        return total / lse if lse else math.inf if total else math.nan

    def condition_of_p(self, j: int) -> float:
        """(1 − p_j)|x_j| + Σ p_i|x_i| over the others."""
        others = sum(p * s for i, (p, s) in enumerate(zip(self.p, self.size, strict=True)) if i != j)
        return self.q[j] * self.size[j] + others

    def condition(self, quantity: str, i: int) -> float | None:
        """The componentwise condition number of a value; None where none is defined."""
        if quantity == "logsumexp":
            return self.condition_of_logsumexp()
        if quantity == "softmax":
            return self.condition_of_p(i)
        if self.log[i] == 0:
            return math.inf if self.condition_of_p(i) else 0.0
        return self.condition_of_p(i) / self.log[i]

    def entropy(self) -> float:
        """The weights of the distances are those of the terms p·|log p|."""
        terms = [p * log if p else 0.0 for p, log in zip(self.p, self.log, strict=True)]
        total = sum(terms)
        return self.distant(sum(t * f for t, f in zip(terms, self.far, strict=True)) / total) if total else math.nan

    def soft(self, i: int) -> tuple[float, float, float]:
        """Of the gradient for labels: its limit, the parts a + b of which it is a difference, the limit of those."""
        c = [float(v) for v in self.row.coefficients or ()]
        own = self.distant(self.far[i])
        parts = self.p[i] * sum(map(abs, c)) + abs(c[i]) if c[i] else 0.0
        parts *= abs(float(self.row.scale)) / self.row.temperature
        t = abs(approx(self.row.values("gradient", BITS + self.row.range)[i]))
        return own * max(1.0, parts / t if t else 1.0), parts, own


def divergence(first: Limits, second: Limits) -> tuple[float, float, float, bool]:
    """Of a KL: its limit where nothing cancels, Σ p(|log p| + |log q|), Σ|p·log(p/q)|, whether terms have both signs."""
    both = list(zip(first.p, first.log, second.log, first.far, strict=True))
    both = [(p, a, b, f) for p, a, b, f in both if math.isfinite(a)]
    weights = [p * (a + b) for p, a, b, _ in both]
    parts = sum(weights)
    mean = sum(w * f for w, (*_, f) in zip(weights, both, strict=True)) / parts if parts else math.nan
    rows, bits = (first.row, second.row), 20 * BITS + max(first.row.range, second.row.range)  # terms may nearly vanish
    log_p, log_q = (r.values("log-softmax", bits) for r in rows)
    terms = [p * approx(a - b) for p, a, b in zip(first.p, log_p, log_q, strict=True) if p and a != b]
    mixed = any(t > 0 for t in terms) and any(t < 0 for t in terms)
    return first.distant(mean), parts, sum(map(abs, terms)), mixed
