"""Random problems, most of them hostile: rows, a quantity and its options, for smcli and for the definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from definition import FORMATS, Row, rounded

if TYPE_CHECKING:
    from random import Random

PLAIN = ("softmax", "log-softmax", "logsumexp", "cross-entropy", "sigmoid", "log-sigmoid", "entropy")
WITH_MORE = ("cross-entropy", "bce", "kl", "focal")
DERIVATIVES = ("gradient", "gradient", "gradient", "jacobian", "vjp")
LOSSES = ("cross-entropy", "bce", "kl", "focal", "entropy")
WIDER = {
    "float16": ("float32", "float64"), "bfloat16": ("float32", "float64"), "float32": ("float64",),
    "float8_e4m3fn": ("float16", "bfloat16", "float32"), "float8_e5m2": ("float16", "float32"),
}  # fmt: skip


@dataclass
class Problem:
    """One problem in both languages."""

    dtype: str
    quantity: str
    logits: list[list[float]]
    keywords: dict[str, Any]  # of the Python API
    rows: list[Row]
    ignored: list[bool] = field(default_factory=list)
    factor: Fraction = Fraction(1)  # of a reduction; 0 for a mean over nothing
    reduction: str = "none"

    @property
    def quantities(self) -> str | None:
        """What the API is asked for."""
        if self.quantity == "vjp":
            return self.rows[0].vjp_of
        return {"gradient": self.rows[0].kind, "jacobian": None}.get(self.quantity, self.quantity)

    @property
    def is_derivative(self) -> bool:
        """Whether `smcli.gradient` computes it."""
        return self.quantity in DERIVATIVES

    def __str__(self) -> str:
        return f"{self.quantity} of {self.logits}, {self.keywords}"


def flat(values: list[Any]) -> list[Any]:
    """A Jacobian as one list."""
    return [v for line in values for v in (line if isinstance(line, list) else [line])]


def ulp(x: float, dtype: str) -> float:
    """The spacing of the format at a number."""
    p, emin, _, _ = FORMATS[dtype]
    return math.ldexp(1.0, max(math.frexp(x)[1] - 1 if x else emin, emin) - p + 1)


def numbers(rng: Random, n: int, dtype: str) -> list[float]:  # noqa: C901 - one kind after the other
    """A row that is hard in one way or another; not rounded yet."""
    p, emin, most, _ = FORMATS[dtype]
    largest, tiny = float(most), math.ldexp(1.0, emin - p + 1)
    reach = min(largest / 4, 1e4)
    kind = rng.randrange(16)
    if kind < 4:
        s = min(rng.choice((0.1, 1, 5, 30, 200, 800)), reach / 4)
        return [rng.gauss(0, s) for _ in range(n)]
    if kind == 4:  # near ties
        a = rounded(rng.uniform(-reach, reach), dtype)
        return [a + rng.randint(-2, 2) * ulp(a, dtype) for _ in range(n)]
    if kind == 5:  # a far offset
        a = rng.choice((-1, 1)) * min(rng.choice((1e3, 1e6, 1e9, 1e15)), largest / 4)
        return [a + rng.gauss(0, 5) for _ in range(n)]
    if kind == 6:  # subnormal
        return [rng.randint(-9, 9) * tiny for _ in range(n)]
    if kind == 7:  # powers of two
        return [rng.choice((-1, 1)) * 2.0 ** rng.randint(-12, min(10, math.frexp(largest)[1] - 2)) for _ in range(n)]
    if kind == 8:  # huge
        return [rng.choice((-1, 1, 0)) * largest * rng.random() ** rng.choice((1, 8)) for _ in range(n)]
    if kind == 9:  # equal, or but for one
        a = rng.choice((0.0, rng.gauss(0, reach / 8)))
        row = [a] * n
        if rng.random() < 0.6:
            a = rounded(a, dtype)
            row[rng.randrange(n)] = a + rng.choice((-1, 1)) * ulp(a, dtype)
        return row
    if kind == 10:  # every exponent
        lo, hi = max(emin - p, -300), min(math.frexp(largest)[1] - 1, 300)
        return [rng.choice((-1, 1)) * math.ldexp(rng.uniform(1, 2), rng.randint(lo, hi - 1)) for _ in range(n)]
    if kind == 11:  # one far above the others
        return [0.0 if i == 0 else -rng.uniform(0, min(2000, largest)) for i in range(n)]
    if kind == 12:  # logsumexp near 0
        a = -math.log(n) + rng.choice((0, 1e-9, -1e-5))
        return [a + rng.randint(-1, 1) * ulp(a, dtype) for _ in range(n)]
    if kind == 13:  # around the thresholds of exp
        edge = math.log(largest)
        return [rng.choice((edge, -edge, math.log(tiny), 0.0)) * rng.uniform(0.98, 1.02) for _ in range(n)]
    if kind == 14:  # integers
        return [float(rng.randint(-8, 8)) for _ in range(n)]
    return [rng.choice((0.0, -0.0, 1.0, -1.0, 0.5, 0.1, 37.0, -40.0)) for _ in range(n)]


def logits(rng: Random, n: int, dtype: str, *, ends: bool) -> list[float]:
    """A row, of which some classes may be masked, or infinite where that has a meaning."""
    most = float(FORMATS[dtype][2])
    row = [max(-most, min(most, v)) for v in numbers(rng, n, dtype)]
    if rng.random() < 0.12 and FORMATS[dtype][3]:
        for i in range(n):
            if rng.random() < rng.choice((0.2, 0.5, 0.9)):
                row[i] = -math.inf
    if ends and rng.random() < 0.02:
        row[rng.randrange(n)] = rng.choice((math.inf, math.nan) if FORMATS[dtype][3] else (math.nan,))
    return row


def draw(rng: Random) -> Problem:
    """A random problem."""
    dtype = rng.choice(list(FORMATS))
    form = rng.random()
    quantity = rng.choice(PLAIN if form < 0.45 else WITH_MORE if form < 0.7 else DERIVATIVES)
    kind = rng.choice(LOSSES) if quantity == "gradient" else quantity if quantity in LOSSES else "cross-entropy"
    n = rng.choice((1, 2, 2, 3, 3, 4, 5, 6, 8, 11))
    if rng.random() < 0.015 and quantity != "jacobian":
        n = rng.choice((33, 64, 100))
    count = rng.choice((1, 1, 1, 2, 3))
    ends = quantity in {"softmax", "log-softmax", "logsumexp", "sigmoid", "log-sigmoid", "bce"}
    given = [logits(rng, n, dtype, ends=ends) for _ in range(count)]
    while kind == "kl" and rng.random() < 0.98 and any(1e6 < abs(v) < math.inf for row in given for v in row):
        given = [logits(rng, n, dtype, ends=ends) for _ in range(count)]  # seconds each, in as many bits as it takes
    keywords: dict[str, Any] = {"dtype": dtype}
    inner = dtype
    if dtype in WIDER and rng.random() < 0.2:
        keywords["compute"] = inner = rng.choice(WIDER[dtype])
    shared: dict[str, Any] = {"kind": kind}
    _inputs(rng, keywords, shared, inner)
    rows = [Row([rounded(v, dtype) for v in row], **shared) for row in given]
    problem = Problem(dtype, quantity, given, keywords, rows, [False] * count)
    if quantity == "vjp":
        _product(rng, problem)
    elif quantity == "logsumexp" and rng.random() < 0.4:
        signed = _factors(rng, n, dtype)
        keywords["coefficients"] = signed
        for row in rows:
            row.signed = [rounded(b, dtype) for b in signed]
    elif quantity in {"gradient", *LOSSES}:
        _loss(rng, problem, kind, inner)
    return problem


def _inputs(rng: Random, keywords: dict[str, Any], shared: dict[str, Any], inner: str) -> None:
    """Temperature and soft cap."""
    for option, chance, choices in (
        ("temperature", 0.25, (0.1, 0.5, 0.7, 2, 3, 8, 0.03125)),
        ("softcap", 0.06, (0.5, 5, 20, 30, 50, 1.7)),
    ):
        if rng.random() < chance:
            keywords[option] = float(rng.choice(choices))
            shared[option] = rounded(keywords[option], inner)


def _factors(rng: Random, n: int, dtype: str) -> list[float]:
    """Numbers of both signs, some 0, some that cancel."""
    row = [rng.choice((1.0, -1.0, 0.0, 0.5, 2.0, rng.gauss(0, 1), 0.1)) for _ in range(n)]
    return [rounded(v, dtype) for v in row] if rng.random() < 0.5 else row


def _product(rng: Random, problem: Problem) -> None:
    n, dtype = len(problem.logits[0]), problem.dtype
    of = rng.choice(("softmax", "softmax", "log-softmax", "logsumexp"))
    cotangent = _factors(rng, 1 if of == "logsumexp" else n, dtype)
    problem.keywords["cotangent"] = cotangent
    signed = _factors(rng, n, dtype) if of == "logsumexp" and rng.random() < 0.4 else None
    if signed is not None:
        problem.keywords["coefficients"] = signed
    for row in problem.rows:
        row.vjp_of, row.cotangent = of, [rounded(v, dtype) for v in cotangent]
        row.signed = None if signed is None else [rounded(b, dtype) for b in signed]


def _loss(rng: Random, problem: Problem, kind: str, inner: str) -> None:  # noqa: C901 - one option after the other
    """Target or labels, what a loss has beside them, and a reduction."""
    keywords, rows, dtype, n = problem.keywords, problem.rows, problem.dtype, len(problem.logits[0])
    targets: list[int] | None = None
    if kind == "kl":
        _teacher(rng, problem)
    elif kind != "entropy":
        if problem.quantity == "cross-entropy" and rng.random() < 0.3:
            return  # of every class
        soft = kind == "bce" or rng.random() < 0.35
        y = [[0.0] * n for _ in rows]
        if soft:
            labels = [
                [rng.choice((0.0, 1.0, rng.random(), 0.5, 0.25, rng.random() * 1e-3)) for _ in range(n)] for _ in rows
            ]
            if rng.random() < 0.5:
                labels = labels[:1] * len(rows)
            keywords["labels"] = labels if len(rows) > 1 else labels[0]
            y = [[rounded(v, dtype) for v in row] for row in labels]
        else:
            targets = [rng.randrange(n) for _ in rows]
            if rng.random() < 0.2:
                keywords["ignore_index"] = -100
                targets = [-100 if rng.random() < 0.4 else t for t in targets]
            keywords["target"] = targets
            for row, t in zip(y, targets, strict=True):
                row[max(t, 0)] = 1.0
            problem.ignored = [t == -100 for t in targets]
        c = [[Fraction(v) for v in row] for row in y]
        if kind == "cross-entropy" or (kind == "focal" and not soft):
            c = _shaped(rng, keywords, c, dtype)
        if kind == "cross-entropy" and rng.random() < 0.2:
            keywords["z_loss"] = rng.choice((1e-4, 0.5, 0.01, 1.0))
            if not rounded(keywords["z_loss"], inner):
                keywords["z_loss"] = 0.5
        if kind == "focal":
            keywords["gamma"] = rng.choice((2.0, 0.0, 1.0, 0.5, 5.0, 1.5, 0.1))
        for row, own in zip(rows, c, strict=True):
            row.coefficients, row.binary = own, soft and kind in {"bce", "focal"}
            row.z_loss, row.gamma = rounded(keywords.get("z_loss", 0.0), inner), keywords.get("gamma", 2.0)
    if rng.random() < 0.3:
        _reduction(rng, problem, targets)


def _teacher(rng: Random, problem: Problem) -> None:
    dtype, n = problem.dtype, len(problem.logits[0])
    form = rng.randrange(6)
    others = []
    for row in problem.rows:
        own = list(row.x)
        if form == 0:
            other = [v if math.isinf(v) else v + rng.randint(-1, 1) * ulp(v, dtype) for v in own]
        elif form == 1:
            other = rng.sample(own, n)
        elif form == 2:
            other = [v + 0.5 for v in own]
        elif form == 3:
            other = [v if math.isinf(v) or rng.random() < 0.7 else v + rng.gauss(0, 1e-3) for v in own]
        else:
            other = logits(rng, n, dtype, ends=False)
        most = float(FORMATS[dtype][2])
        others.append([v if math.isinf(v) else max(-most, min(most, v)) for v in other])
    problem.keywords["against"] = others if len(others) > 1 else others[0]
    if rng.random() < 0.4:
        problem.keywords["reverse"] = True
    for row, other in zip(problem.rows, others, strict=True):
        row.teacher = [v if math.isinf(v) else rounded(v, dtype) for v in other]
        row.reverse = problem.keywords.get("reverse", False)


def _shaped(rng: Random, keywords: dict[str, Any], c: list[list[Fraction]], dtype: str) -> list[list[Fraction]]:
    """Smoothed and weighted labels."""
    n = len(c[0])
    if rng.random() < 0.25:
        e = rng.choice((0.1, 0.01, 1.0, 0.3))
        keywords["label_smoothing"] = e
        c = [[v * (1 - Fraction(e)) + Fraction(e) / n for v in row] for row in c]
    if rng.random() < 0.25:
        weights = [rng.choice((1.0, 0.5, 0.0, 2.0, 0.1, rng.random() * 3)) for _ in range(n)]
        keywords["class_weights"] = weights
        c = [[v * Fraction(rounded(w, dtype)) for v, w in zip(row, weights, strict=True)] for row in c]
    return c


def _reduction(rng: Random, problem: Problem, targets: list[int] | None) -> None:
    n, rows = len(problem.logits[0]), problem.rows
    ways = ["mean", "sum", "mean"]
    if rows[0].kind == "cross-entropy" and problem.quantity == "cross-entropy":
        ways.append("perplexity")
    problem.reduction = problem.keywords["reduction"] = rng.choice(ways)
    if problem.reduction != "sum":
        total = Fraction(len(rows))
        if rows[0].binary:
            total *= n
        elif targets is not None:
            counted = [t for t in targets if t >= 0]
            weights = problem.keywords.get("class_weights")
            total = Fraction(len(counted))
            if weights is not None:
                total = sum((Fraction(rounded(weights[t], problem.dtype)) for t in counted), Fraction(0))
        problem.factor = 1 / total if total else Fraction(0)
    for row in rows:
        row.scale = problem.factor if problem.quantity == "gradient" else Fraction(1)
