"""What naive, shifted and fused compute, one rounding after the other: scalars in exact fractions and MPFR.

Written from the formulas that methods document, for formats of at most 24 bits; nothing here is imported from smcli.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import gmpy2
from definition import FORMATS, rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

Numbers = list[float]


def _ieee(op: str, a: float, b: float) -> float | None:
    """What has no finite value: IEEE 754's rules for infinities, nan and division by zero; None for all else."""
    if math.isnan(a) or math.isnan(b):
        return math.nan
    negative = (math.copysign(1, a) < 0) != (math.copysign(1, b) < 0)
    infinite = math.isinf(a) or math.isinf(b)
    if op in "+-":
        return None if not infinite else a + b if op == "+" else a - b
    if op == "*":
        if infinite:
            return math.nan if 0 in {a, b} else -math.inf if negative else math.inf
        return None
    if math.isinf(a):
        return math.nan if math.isinf(b) else -math.inf if negative else math.inf
    if math.isinf(b):
        return -0.0 if negative else 0.0
    if b == 0:
        return math.nan if a == 0 else -math.inf if negative else math.inf
    return None


@dataclass
class Machine:
    """Arithmetic of one format, with sums in another and in an order."""

    dtype: str
    accumulate: str
    order: str = "pairwise"

    def round(self, value: Fraction | float, sign: float = 1.0) -> float:
        """To the format; a zero keeps a sign."""
        found = rounded(value, self.dtype)
        return math.copysign(found, sign) if found == 0 else found

    def _op(self, op: str, a: float, b: float) -> float:
        odd = _ieee(op, a, b)
        if odd is not None:
            return self.round(odd)
        x, y = Fraction(a), Fraction(b)
        if op in "+-":
            value = x + y if op == "+" else x - y
            return self.round(value, math.copysign(1, float(value)) if value else (a + b if op == "+" else a - b))
        value = x * y if op == "*" else x / y
        return self.round(value, math.copysign(1, a) * math.copysign(1, b))

    def add(self, a: float, b: float) -> float:
        return self._op("+", a, b)

    def sub(self, a: float, b: float) -> float:
        return self._op("-", a, b)

    def mul(self, a: float, b: float) -> float:
        return self._op("*", a, b)

    def div(self, a: float, b: float) -> float:
        return self._op("/", a, b)

    def _function(self, name: str, x: float) -> float:
        if math.isnan(x):
            return math.nan
        with gmpy2.context(precision=200, emin=-(1 << 30), emax=1 << 30):
            y = getattr(gmpy2, name)(gmpy2.mpfr(x))
            if gmpy2.is_nan(y) or gmpy2.is_infinite(y):
                return self.round(float(y))
            numerator, denominator = y.as_integer_ratio()
        if abs(gmpy2.get_exp(y)) > 5000:  # e^±huge: no fraction is needed to round it
            return self.round(Fraction(2) ** (5000 if gmpy2.get_exp(y) > 0 else -5000))
        return self.round(Fraction(int(numerator), int(denominator)))

    def exp(self, x: float) -> float:
        return (
            0.0
            if x == -math.inf
            else self.round(math.inf)
            if x > 1e6
            else 0.0
            if x < -1e6
            else self._function("exp", x)
        )

    def log(self, x: float) -> float:
        return self.round(-math.inf) if x == 0 else math.nan if x < 0 else self._function("log", x)

    def log1p(self, x: float) -> float:
        return self.round(-math.inf) if x == -1 else math.nan if x < -1 else self._function("log1p", x)

    def sum(self, terms: Sequence[float]) -> float:
        wide = Machine(self.accumulate, self.accumulate)
        level = [wide.round(t, math.copysign(1, t)) for t in terms]
        if self.order == "sequential":
            total = level[0]
            for t in level[1:]:
                total = wide.add(total, t)
            return self.round(total, math.copysign(1, total))
        while len(level) > 1:
            paired = [wide.add(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            level = paired + level[len(level) // 2 * 2 :]
        return self.round(level[0], math.copysign(1, level[0]))


def largest(x: Numbers) -> float:
    return math.nan if any(map(math.isnan, x)) else max(x)


@dataclass
class Case:
    """Of which loss, with what."""

    method: str
    quantity: str
    y: Numbers | None = None  # label vector, rounded; of a hard target one-hot
    target: int | None = None
    smoothing: float = 0.0
    weights: Numbers | None = None
    z_loss: float = 0.0
    kind: str = "cross-entropy"
    temperature: float = 1.0
    factor: float = 1.0  # of a reduction, as a float64
    teacher: Numbers | None = None
    reverse: bool = False
    cotangent: Numbers | None = None


def softmax(case: Case, x: Numbers, m: Machine) -> Numbers:
    if case.method == "fused":  # has none of its own: the exponential of its log
        return [m.exp(v) for v in log_softmax(case, x, m)]
    top = largest(x) if case.method == "shifted" else None
    e = [m.exp(v if top is None else m.sub(v, top)) for v in x]
    total = m.sum(e)
    return [m.div(v, total) for v in e]


def log_softmax(case: Case, x: Numbers, m: Machine) -> Numbers:
    if case.method != "fused":
        return [m.log(p) for p in softmax(case, x, m)]
    top = largest(x)
    z = [m.sub(v, top) for v in x]
    log = m.log(m.sum([m.exp(v) for v in z]))
    return [m.sub(v, log) for v in z]


def logsumexp(case: Case, x: Numbers, m: Machine) -> float:
    if case.method == "naive":
        return m.log(m.sum([m.exp(v) for v in x]))
    top = largest(x)
    return m.add(top, m.log(m.sum([m.exp(m.sub(v, top)) for v in x])))


def label_vector(case: Case, n: int, m: Machine) -> Numbers:
    y = [float(i == case.target) for i in range(n)] if case.y is None else list(case.y)
    if case.smoothing:
        kept, spread = m.round(1 - case.smoothing), m.round(case.smoothing / n)
        y = [m.add(m.mul(v, kept), spread) for v in y]
    if case.weights is not None:
        y = [m.mul(w, v) for w, v in zip(case.weights, y, strict=True)]
    return y


def cross_entropy(case: Case, x: Numbers, m: Machine) -> Numbers:
    log_p = log_softmax(case, x, m)
    if case.y is None and case.target is None:
        return [-v for v in log_p]
    if case.y is None and not case.smoothing:
        loss = -log_p[case.target or 0]
        if case.weights is not None:
            loss = m.mul(case.weights[case.target or 0], loss)
    else:
        loss = -m.sum([m.mul(c, v) for c, v in zip(label_vector(case, len(x), m), log_p, strict=True)])
    if case.z_loss:
        rise = logsumexp(case, x, m)
        loss = m.add(loss, m.mul(case.z_loss, m.mul(rise, rise)))
    return [loss]


def sigmoid(x: float, m: Machine) -> float:
    return m.div(1.0, m.add(1.0, m.exp(-x)))


def binary(case: Case, x: Numbers, m: Machine) -> Numbers:
    out = []
    for v, y in zip(x, case.y or (), strict=True):
        if case.method == "fused":
            soft = m.log1p(m.exp(-abs(v)))
            out.append(m.add(m.sub(max(v, 0.0), m.mul(v, y)), soft))
        else:
            p = sigmoid(v, m)
            q = m.sub(1.0, p)
            out.append(-m.add(m.mul(y, m.log(p)), m.mul(m.sub(1.0, y), m.log(q))))
    return out


def through(p: Numbers, v: Numbers, m: Machine) -> Numbers:
    """v times the Jacobian of softmax, p∘(v − v·p)."""
    inner = m.sum([m.mul(a, b) for a, b in zip(v, p, strict=True)])
    return [m.mul(a, m.sub(b, inner)) for a, b in zip(p, v, strict=True)]


def gradient(case: Case, x: Numbers, m: Machine) -> Numbers:
    if case.kind == "bce":
        return _binary_gradient(case, x, m)
    p = softmax(case, x, m)
    if case.kind == "kl":
        t = softmax(case, _enter(case, case.teacher or [], m), m)
        if case.method == "fused":
            return [m.sub(a, b) for a, b in zip(p, t, strict=True)]
        return through(p, [-m.div(b, a) for a, b in zip(p, t, strict=True)], m)
    if case.kind == "entropy":
        return through(p, [-m.add(m.log(a), 1.0) for a in p], m)
    y = label_vector(case, len(x), m)
    if case.method != "fused":
        g = through(p, [-m.div(b, a) for a, b in zip(p, y, strict=True)], m)
    else:
        hard = case.y is None and not case.smoothing and case.weights is None
        total = 1.0 if hard else m.sum(y)
        g = [m.sub(a if hard else m.mul(a, total), b) for a, b in zip(p, y, strict=True)]
    if case.z_loss:
        slope = m.mul(m.round(2 * case.z_loss), logsumexp(case, x, m))
        g = [m.add(a, m.mul(slope, b)) for a, b in zip(g, p, strict=True)]
    return g


def _binary_gradient(case: Case, x: Numbers, m: Machine) -> Numbers:
    out = []
    for v, y in zip(x, case.y or (), strict=True):
        p = sigmoid(v, m)
        if case.method == "fused":
            out.append(m.sub(p, y))
            continue
        q = m.sub(1.0, p)
        by_p = m.sub(m.div(m.sub(1.0, y), q), m.div(y, p))
        out.append(m.mul(by_p, m.mul(p, q)))
    return out


def jacobian(case: Case, x: Numbers, m: Machine) -> Numbers:
    p = softmax(case, x, m)
    n = range(len(p))
    return [m.mul(p[i], m.sub(1.0, p[i])) if i == j else -m.mul(p[i], p[j]) for i in n for j in n]


def kl(case: Case, x: Numbers, m: Machine) -> Numbers:
    teacher = _enter(case, case.teacher or [], m)
    a, b = (x, teacher) if case.reverse else (teacher, x)
    if case.method == "fused":
        pairs = list(zip(log_softmax(case, a, m), log_softmax(case, b, m), strict=True))
        return [m.sum([m.mul(m.exp(p), m.sub(p, q)) for p, q in pairs])]
    pairs = list(zip(softmax(case, a, m), softmax(case, b, m), strict=True))
    return [m.sum([m.mul(p, m.log(m.div(p, q))) for p, q in pairs])]


def _enter(case: Case, x: Numbers, m: Machine) -> Numbers:
    return x if case.temperature == 1 else [m.div(v, case.temperature) for v in x]


def values(case: Case, logits: Numbers, m: Machine) -> Numbers:
    """All values of the case's quantity, in the machine's format."""
    x = _enter(case, logits, m)
    if case.quantity == "softmax":
        return softmax(case, x, m)
    if case.quantity == "log-softmax":
        return log_softmax(case, x, m)
    if case.quantity == "logsumexp":
        return [logsumexp(case, x, m)]
    if case.quantity in {"cross-entropy", "bce", "kl"}:
        return {"cross-entropy": cross_entropy, "bce": binary, "kl": kl}[case.quantity](case, x, m)
    if case.quantity == "jacobian":
        g = jacobian(case, x, m)
    elif case.quantity == "vjp":
        g = through(softmax(case, x, m), case.cotangent or [], m)
    else:
        g = gradient(case, x, m)
    if case.temperature != 1:
        g = [m.div(v, case.temperature) for v in g]
    if case.quantity == "gradient" and case.factor != 1:
        g = [m.mul(v, m.round(case.factor)) for v in g]
    return g


def reduced(losses: Numbers, how: str, count: float, m: Machine) -> float:
    """A loss over a batch: summed in the format's order, divided by the rounded count, and perhaps exponentiated."""
    total = m.sum(losses)
    if how != "sum":
        total = m.div(total, m.round(count))
    return m.exp(total) if how == "perplexity" else total


NARROW = tuple(name for name, (p, *_) in FORMATS.items() if p <= 24)
