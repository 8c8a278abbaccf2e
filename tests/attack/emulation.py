"""What naive, shifted and fused compute, one rounding after the other: scalars in exact fractions and MPFR.

Written from the formulas that methods document; nothing here is imported from smcli. In float64 functions are NumPy's,
as is documented, and all else is exact fractions there, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import gmpy2
import numpy as np
from definition import FORMATS, rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

METHODS = ("naive", "shifted", "fused")
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
    """Arithmetic of one format, with sums in another and in an order.

    `steps` holds every operation: its name, its operands and its result; of a sum the terms and all running sums.
    """

    dtype: str
    accumulate: str
    order: str = "pairwise"
    steps: list[tuple[str, tuple[float, ...], tuple[float, ...]]] = field(default_factory=list)

    def round(self, value: Fraction | float, sign: float = 1.0) -> float:
        """To the format; a zero keeps a sign."""
        found = rounded(value, self.dtype)
        return math.copysign(found, sign) if found == 0 else found

    def _op(self, op: str, a: float, b: float) -> float:
        found = self._rounded(op, a, b)
        self.steps.append((op, (a, b), (found,)))
        return found

    def _rounded(self, op: str, a: float, b: float) -> float:
        odd = _ieee(op, a, b)
        if odd is not None:
            return self.round(odd)
        x, y = Fraction(a), Fraction(b)
        if op in "+-":
            value = x + y if op == "+" else x - y
            return self.round(value, (1.0 if value > 0 else -1.0) if value else (a + b if op == "+" else a - b))
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

    def _function(self, name: str, x: float, power: float | None = None) -> float:
        found = self._of(name, (x,) if power is None else (x, power))
        self.steps.append((name, (x,), (found,)))
        return found

    def _of(self, name: str, given: tuple[float, ...]) -> float:
        if FORMATS[self.dtype][0] == 53:
            if name == "pow" and given[0] == -math.inf:
                given = (math.inf if given[1] % 2 != 1 else -math.inf, given[1])  # where NumPy may say nan
            with np.errstate(all="ignore"):
                return float(getattr(np, {"pow": "power"}.get(name, name))(*map(np.float64, given)))
        if any(map(math.isnan, given)):
            return math.nan
        with gmpy2.context(precision=200, emin=-(1 << 30), emax=1 << 30):
            x = gmpy2.mpfr(given[0])
            y = x ** gmpy2.mpfr(given[1]) if name == "pow" else getattr(gmpy2, name)(x)
            if gmpy2.is_nan(y) or gmpy2.is_infinite(y) or y == 0:
                return self.round(float(y), math.copysign(1, y))
            numerator, denominator = y.as_integer_ratio()
        if abs(gmpy2.get_exp(y)) > 5000:  # e^±huge: no fraction is needed to round it
            return self.round(Fraction(2) ** (5000 if gmpy2.get_exp(y) > 0 else -5000))
        return self.round(Fraction(int(numerator), int(denominator)))

    def exp(self, x: float) -> float:
        return self._function("exp", x)

    def log(self, x: float) -> float:
        return self._function("log", x)

    def log1p(self, x: float) -> float:
        return self._function("log1p", x)

    def tanh(self, x: float) -> float:
        return self._function("tanh", x)

    def pow(self, x: float, power: float) -> float:
        power = self.round(power)
        return 1.0 if power == 0 else self._function("pow", x, power)  # that of nan, too

    def sum(self, terms: Sequence[float]) -> float:
        wide = Machine(self.accumulate, self.accumulate)
        level = [wide.round(t, math.copysign(1, t)) for t in terms]
        running = tuple(level)
        if self.order == "pairwise":
            while len(level) > 1:
                paired = [wide.add(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
                level = paired + level[len(level) // 2 * 2 :]
            total = level[0]
        else:
            running = tuple(_running(level, wide))
            total = running[-1]
            if self.order == "compensated" and math.isfinite(total):
                total = wide.add(total, _running(_errors(running, level, wide), wide)[-1])
        found = self.round(total, math.copysign(1, total))
        self.steps.append(("sum", tuple(terms), (*running, found)))
        return found


def _running(terms: Sequence[float], m: Machine) -> Numbers:
    out = [terms[0]]
    for t in terms[1:]:
        out.append(m.add(out[-1], t))
    return out


def _errors(running: Sequence[float], terms: Sequence[float], m: Machine) -> Numbers:
    """What each addition rounded away, as Neumaier's correction finds it: the smaller operand less what was taken of it."""
    out = [0.0]
    for before, after, term in zip(running[:-1], running[1:], terms[1:], strict=True):
        large, small = (before, term) if abs(before) >= abs(term) else (term, before)
        out.append(m.add(m.sub(large, after), small))
    return out


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
    vjp_of: str = "softmax"
    softcap: float | None = None
    gamma: float = 2.0
    signed: Numbers | None = None


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


def signed_terms(case: Case, x: Numbers, m: Machine) -> tuple[Numbers, float]:
    """b·exp(x − top), top the maximum of the logits whose b is not 0, at which the others stand."""
    b = case.signed or []
    top = largest([-math.inf if w == 0 else v for v, w in zip(x, b, strict=True)])
    return [m.mul(w, m.exp(m.sub(v if w else top, top))) for v, w in zip(x, b, strict=True)], top


def logsumexp(case: Case, x: Numbers, m: Machine) -> float:
    if case.signed is not None and case.method == "naive":
        return m.log(abs(m.sum([m.mul(b, m.exp(v)) for v, b in zip(x, case.signed, strict=True)])))
    if case.signed is not None:
        terms, top = signed_terms(case, x, m)
        return m.add(top, m.log(abs(m.sum(terms))))
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


def held_logs(case: Case, x: Numbers, m: Machine) -> Numbers:
    """The log-softmax, none of it below the smallest number of the format."""
    least = -float(FORMATS[m.dtype][2])
    return [v if math.isnan(v) else max(v, least) for v in log_softmax(case, x, m)]


def sigmoid(x: float, m: Machine) -> float:
    return m.div(1.0, m.add(1.0, m.exp(-x)))


def stable_sigmoid(x: float, m: Machine) -> float:
    e = m.exp(-abs(x))
    return m.div(1.0 if x >= 0 else e, m.add(1.0, e))


def stable_log_sigmoid(x: float, m: Machine) -> float:
    soft = m.log1p(m.exp(-abs(x)))
    return m.sub(x if math.isnan(x) else min(x, 0.0), soft)


def sides(case: Case, x: float, m: Machine) -> tuple[float, float, float, float]:
    """p = sigmoid(x), 1 − p and the logarithm of each."""
    if case.method == "fused":
        return stable_sigmoid(x, m), stable_sigmoid(-x, m), stable_log_sigmoid(x, m), stable_log_sigmoid(-x, m)
    p = sigmoid(x, m)
    q = m.sub(1.0, p)
    return p, q, m.log(p), m.log(q)


def entropy(case: Case, x: Numbers, m: Machine) -> Numbers:
    if case.method == "fused":
        logs = held_logs(case, x, m)
        return [-m.sum([m.mul(m.exp(v), v) for v in logs])]
    p = softmax(case, x, m)
    return [-m.sum([m.mul(a, m.log(a)) for a in p])]


def focal(case: Case, x: Numbers, m: Machine) -> Numbers:
    """(1 − p)^γ·(−log p) of the target, of the classes with weight, or of each logit by itself."""
    g = case.gamma
    if case.y is not None:
        out = []
        for v, y in zip(x, case.y, strict=True):
            p, q, log_p, log_q = sides(case, v, m)
            up, down = m.mul(m.pow(q, g), -log_p), m.mul(m.pow(p, g), -log_q)
            out.append(m.add(m.mul(y, up), m.mul(m.sub(1.0, y), down)))
        return out
    logs = log_softmax(case, x, m)
    p_all = [m.exp(v) for v in logs] if case.method == "fused" else softmax(case, x, m)
    each = [m.mul(m.pow(m.sub(1.0, p), g), -v) for p, v in zip(p_all, logs, strict=True)]
    if case.smoothing:
        return [m.sum([c and m.mul(c, e) for c, e in zip(label_vector(case, len(x), m), each, strict=True)])]
    own = each[case.target or 0]
    return [own if case.weights is None else m.mul(case.weights[case.target or 0], own)]


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
    if case.kind == "focal":
        return _focal_gradient(case, x, m)
    if case.kind in {"kl", "entropy"}:
        return _divergence_gradient(case, x, m)
    p = softmax(case, x, m)
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


def _divergence_gradient(case: Case, x: Numbers, m: Machine) -> Numbers:
    """Of an entropy, or of a divergence in either direction."""
    teacher = None if case.kind == "entropy" else _enter(case, case.teacher or [], m)
    if case.method == "fused" and (teacher is None or case.reverse):
        logs = held_logs(case, x, m)
        apart = (
            logs if teacher is None else [m.sub(a, b) for a, b in zip(logs, held_logs(case, teacher, m), strict=True)]
        )
        p = [m.exp(v) for v in logs]
        mean = m.sum([m.mul(a, b) for a, b in zip(p, apart, strict=True)])
        inner = [m.add(a, -mean) if teacher is None else m.sub(a, mean) for a in apart]
        return [(-1 if teacher is None else 1) * m.mul(a, b) for a, b in zip(p, inner, strict=True)]
    p = softmax(case, x, m)
    if teacher is None:
        return through(p, [-m.add(m.log(a), 1.0) for a in p], m)
    t = softmax(case, teacher, m)
    if case.reverse:
        return through(p, [m.add(m.log(m.div(a, b)), 1.0) for a, b in zip(p, t, strict=True)], m)
    if case.method == "fused":
        return [m.sub(a, b) for a, b in zip(p, t, strict=True)]
    return through(p, [-m.div(b, a) for a, b in zip(p, t, strict=True)], m)


def _slope(p: float, g: float, m: Machine) -> float:
    """The derivative of (1 − p)^γ·(−log p) by p, as automatic differentiation writes it."""
    q = m.sub(1.0, p)
    slope = m.div(m.pow(q, g), p)
    return -slope if g == 0 else m.sub(m.mul(m.mul(m.round(g), m.pow(q, g - 1)), m.log(p)), slope)


def _focal_gradient(case: Case, x: Numbers, m: Machine) -> Numbers:
    g = case.gamma
    if case.y is not None:
        return [_binary_focal_gradient(case, v, y, m) for v, y in zip(x, case.y, strict=True)]
    c = label_vector(case, len(x), m)
    if case.method != "fused":
        p = softmax(case, x, m)
        return through(p, [w and m.mul(w, _slope(a, g, m)) for a, w in zip(p, c, strict=True)], m)
    logs = held_logs(case, x, m)
    p = [m.exp(v) for v in logs]
    q, top = [m.sub(1.0, a) for a in p], max(range(len(p)), key=lambda i: (math.isnan(p[i]), p[i]))
    q[top] = m.sum([0.0 if i == top else a for i, a in enumerate(p)])  # where 1 − p would cancel
    logs[top] = m.log1p(-q[top])
    pulls = []
    for a, b, log in zip(p, q, logs, strict=True):
        pull = m.pow(b, g)
        if g:
            more = m.mul(m.mul(m.mul(m.round(g), a), m.pow(b, g - 1)), -log)
            pull = 0.0 if b == 0 else m.add(pull, more)
        pulls.append(pull)
    if not case.smoothing and case.weights is None:
        t = case.target or 0
        return [m.mul(pulls[t], -q[i] if i == t else a) for i, a in enumerate(p)]
    weighted = [m.mul(w, pull) for w, pull in zip(c, pulls, strict=True)]
    total = m.sum(weighted)
    return [m.sub(m.mul(a, total), w) for a, w in zip(p, weighted, strict=True)]


def _binary_focal_gradient(case: Case, x: float, y: float, m: Machine) -> float:
    g, other = case.gamma, m.sub(1.0, y)
    if case.method != "fused":
        p = sigmoid(x, m)
        q = m.sub(1.0, p)
        by_p = m.sub(m.mul(y, _slope(p, g, m)), m.mul(other, _slope(q, g, m)))
        return m.mul(by_p, m.mul(p, q))
    p, q, log_p, log_q = sides(case, x, m)

    def pull(a: float, b: float, log_a: float) -> float:
        return m.mul(m.pow(b, g), m.add(b, m.mul(m.mul(m.round(g), a), -log_a)))

    return m.sub(m.mul(other, pull(q, p, log_q)), m.mul(y, pull(p, q, log_p)))


def product(case: Case, x: Numbers, m: Machine) -> Numbers:
    """A cotangent times the Jacobian of softmax, log-softmax or logsumexp."""
    v = list(case.cotangent or ())
    if case.signed is not None:
        terms, _ = signed_terms(case, x, m)
        total = m.sum(terms)
        return [m.mul(v[0], m.div(t, total)) for t in terms]
    p = softmax(case, x, m)
    if case.vjp_of == "logsumexp":
        return [m.mul(v[0], a) for a in p]
    if case.vjp_of == "softmax":
        return through(p, v, m)
    total = m.sum(v)
    return [m.sub(a, m.mul(b, total)) for a, b in zip(v, p, strict=True)]


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
    if case.temperature != 1:
        x = [m.div(v, case.temperature) for v in x]
    cap = case.softcap
    return x if cap is None else [m.mul(cap, m.tanh(m.div(v, cap))) for v in x]


def _leave(case: Case, g: Numbers, x: Numbers, m: Machine) -> Numbers:
    """A derivative by what entered as one by the logits."""
    if case.softcap is not None:
        t = [m.div(v, case.softcap) for v in x]
        g = [m.mul(v, m.sub(1.0, m.mul(t[i % len(t)], t[i % len(t)]))) for i, v in enumerate(g)]
    if case.temperature != 1:
        g = [m.div(v, case.temperature) for v in g]
    if case.quantity == "gradient" and case.factor != 1:
        g = [m.mul(v, m.round(case.factor)) for v in g]
    return g


def _of_sigmoids(case: Case, x: Numbers, m: Machine) -> Numbers:
    if case.method == "fused":
        return [(stable_sigmoid if case.quantity == "sigmoid" else stable_log_sigmoid)(v, m) for v in x]
    p = [sigmoid(v, m) for v in x]
    return p if case.quantity == "sigmoid" else [m.log(v) for v in p]


FORMULAS = {
    "softmax": softmax, "log-softmax": log_softmax, "cross-entropy": cross_entropy, "bce": binary, "kl": kl,
    "entropy": entropy, "focal": focal, "sigmoid": _of_sigmoids, "log-sigmoid": _of_sigmoids,
    "logsumexp": lambda case, x, m: [logsumexp(case, x, m)],
}  # fmt: skip
DERIVATIVES = {"jacobian": jacobian, "vjp": product, "gradient": gradient}


def values(case: Case, logits: Numbers, m: Machine) -> Numbers:
    """All values of the case's quantity, in the machine's format."""
    x = _enter(case, logits, m)
    if case.quantity in FORMULAS:
        return FORMULAS[case.quantity](case, x, m)
    return _leave(case, DERIVATIVES[case.quantity](case, x, m), x, m)


def reduced(losses: Numbers, how: str, count: float, m: Machine) -> float:
    """A loss over a batch: summed in the format's order, divided by the rounded count, and perhaps exponentiated."""
    total = m.sum(losses)
    if how != "sum":
        total = m.div(total, m.round(count))
    return m.exp(total) if how == "perplexity" else total


NARROW = tuple(name for name, (p, *_) in FORMATS.items() if p <= 24)
