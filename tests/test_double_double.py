"""The double-double tier against Arb balls: what it certifies is within its bound, what it can't certify it says.

SMCLI_EXHAUSTIVE=1 compares more than a million elements and prints the worst error found, as a part of the bound.
"""

from __future__ import annotations

import math
import os
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import flint
import numpy as np
import pytest
from flint import arb
from samples import ball, precision

from smcli.model import Loss, Problem
from smcli.reference import double_double
from smcli.reference.double_double import elementary, functions, sigmoid, total, twofold
from smcli.reference.tiles import PIECE, tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Family = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

EXHAUSTIVE = bool(os.environ.get("SMCLI_EXHAUSTIVE"))
INF = math.inf
PLAIN = ("softmax", "log-softmax", "logsumexp", "cross-entropy")
SHAPES = [(20, 1), (150, 2), (60, 3), (50, 10), (3, 100), (1, 1000)]


precise = precision(300)


# The oracle: the definitions, in balls of 300 bits.


class Row:
    """The true values of one row; None stands for an infinity."""

    def __init__(self, problem: Problem, row: int) -> None:
        x = problem.logits[row].tolist()
        self.n, self.top = len(x), x.index(max(x))
        self.t, self.cap = ball(problem.temperature), problem.softcap
        self.raw = x
        y = [None if v == -INF else self.effective(v) for v in x]
        self.y, self.m = y, y[self.top]
        self.z = [None if v is None else arb(0) if u == x[self.top] else v - self.m for u, v in zip(x, y, strict=True)]
        self.e = [arb(0) if v is None else v.exp() for v in self.z]
        self.s = sum((v for i, v in enumerate(self.e) if i != self.top), arb(0))
        self.log = arb(0) if self.s == 0 else self.s.log1p()
        self.lse = self.m + self.log
        self.scale = ball(problem.scale / Fraction(problem.temperature))
        self.v = None if problem.cotangent is None else [ball(v) for v in problem.cotangent]
        loss = problem.loss
        if loss is not None:
            self.c = self.coefficients(loss, row)
            self.all = sum(self.c)
            self.kind, self.z_loss = loss.kind, ball(loss.z_loss)

    def effective(self, x: float) -> arb:
        y = ball(x) / self.t
        return y if self.cap is None else ball(self.cap) * (y / ball(self.cap)).tanh()

    def slope(self, i: int) -> arb:
        if self.cap is None or self.raw[i] == -INF:
            return arb(1)
        f = (-2 * abs(ball(self.raw[i])) / self.t / ball(self.cap)).exp()
        return 4 * f / (1 + f) ** 2

    def coefficients(self, loss: Loss, row: int) -> list[Fraction]:
        smoothing = Fraction(loss.smoothing)
        y = [
            Fraction(int(i == loss.target[row])) if loss.labels is None else Fraction(float(loss.labels[row, i]))
            for i in range(self.n)
        ]
        y = [v * (1 - smoothing) + smoothing / self.n for v in y]
        return y if loss.weights is None else [v * Fraction(float(w)) for v, w in zip(y, loss.weights, strict=True)]

    def rest(self, i: int) -> arb:
        return self.s if i == self.top else 1 + self.s - self.e[i]

    def of(self, quantity: str, i: int) -> arb | None:
        return getattr(self, quantity.replace("-", "_"))(i)

    def softmax(self, i: int) -> arb:
        return self.e[i] / (1 + self.s)

    def logsumexp(self, _: int) -> arb:
        return self.lse

    def log_softmax(self, i: int) -> arb | None:
        return None if self.z[i] is None else self.z[i] - self.log

    def cross_entropy(self, i: int) -> arb | None:
        if not hasattr(self, "c"):
            return None if self.z[i] is None else self.log - self.z[i]
        loss = sum((ball(c) * (self.log - z) for c, z in zip(self.c, self.z, strict=True) if c), arb(0))
        return loss + self.z_loss * self.lse**2

    def bce(self, i: int) -> arb:
        y = self.y[i]
        return abs(y) * ball(self.straight(i)) + (-abs(y)).exp().log1p()

    def straight(self, i: int) -> Fraction:
        return 1 - self.c[i] if self.raw[i] > 0 else self.c[i]

    def gradient(self, i: int) -> arb:
        if self.kind == "bce":
            e = (-abs(self.y[i])).exp()
            value = ball(self.straight(i)) - e / (1 + e)
            return (value if self.raw[i] > 0 else -value) * self.slope(i) * self.scale
        push = self.e[i] * ball(self.all - self.c[i]) - ball(self.c[i]) * self.rest(i)
        push += self.e[i] * 2 * self.z_loss * self.lse
        return push / (1 + self.s) * self.scale * self.slope(i)

    def jacobian(self, i: int) -> arb:
        a, b = divmod(i, self.n)
        value = self.e[a] * self.rest(a) if a == b else -self.e[a] * self.e[b]
        return value / (1 + self.s) ** 2 * self.slope(b) / self.t

    def vjp(self, i: int) -> arb:
        push = sum((e * (self.v[i] - v) for e, v in zip(self.e, self.v, strict=True)), arb(0))
        return self.e[i] * push / (1 + self.s) ** 2 * self.slope(i) / self.t


def compare(problem: Problem, *quantities: str, most: int = 2000) -> tuple[float, int]:
    """Worst error as a part of the bound, and how many elements were compared: at most so many of each quantity."""
    worst, count = 0.0, 0
    results = [(q, *double_double.attempt(problem, q)) for q in quantities]
    rng = np.random.default_rng(7)
    for row in range(len(problem.logits)):
        if all(missing[row].all() for _, _, missing in results):
            continue
        truth = Row(problem, row)
        for quantity, got, missing in results:
            hi, lo, exp2, open_ = (a.reshape(len(a), -1)[row] for a in (got.hi, got.lo, got.exp2, missing))
            for i in rng.permutation(np.flatnonzero(~open_))[:most].tolist():
                true = truth.of(quantity, i)
                count += 1
                if true is None or true == 0:
                    infinity = INF if quantity == "cross-entropy" else -INF
                    assert (hi[i], lo[i], exp2[i]) == (infinity if true is None else 0, 0, 0), (quantity, row, i)
                    continue
                value = (ball(hi[i]) + ball(lo[i])) * arb(2) ** int(exp2[i])
                error = float(abs(value / true - 1).upper()) / got.bound
                assert error <= 1, (quantity, row, i, problem.logits[row], true, error)
                worst = max(worst, error)
    return worst, count


def masked(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.3, -INF, rng.normal(0, 5, shape))


def steps(rng: np.random.Generator, shape: tuple[int, int], least: int, off: float) -> np.ndarray:
    """Next to where k of k·ln 2/2048 changes (off = 1/2), or to its multiples (off = 0); the maximum is 0."""
    x = (rng.integers(least, 1, shape) - off) * math.log(2) / 2048 * (1 + rng.integers(-2, 3, shape) * 2.0**-52)
    x[:, 0] = 0
    return x


FAMILIES: dict[str, Family] = {
    "normal 1": lambda rng, shape: rng.normal(0, 1, shape),
    "normal 10": lambda rng, shape: rng.normal(0, 10, shape),
    "normal 1000": lambda rng, shape: rng.normal(0, 1000, shape),
    "uniform 2^20": lambda rng, shape: rng.uniform(-(2.0**20), 0, shape),
    "uniform 2^21": lambda rng, shape: rng.uniform(-(2.0**21), 0, shape),
    "equal": lambda rng, shape: np.full(shape, rng.normal()),
    "ties": lambda rng, shape: np.round(rng.normal(0, 1, shape)),
    "to 1e308": lambda rng, shape: rng.uniform(-1.7, 1.7, shape) * 1e308,
    "equal to 1.7e308": lambda _, shape: np.full(shape, 1.7e308),
    "subnormal": lambda rng, shape: rng.integers(-50, 50, shape) * 2.0**-1074,
    "masked": masked,
    "offset 1e9": lambda rng, shape: 1e9 + rng.normal(0, 1, shape),
    "offset 1e15": lambda rng, shape: 1e15 + rng.normal(0, 10, shape),
    "gaps of all sizes": lambda rng, shape: -np.exp(rng.uniform(-740, 13, shape)),
    "k changes": lambda rng, shape: steps(rng, shape, -20000, 0.5),
    "k changes, far": lambda rng, shape: steps(rng, shape, -(2**31), 0.5),
    "r is tiny": lambda rng, shape: steps(rng, shape, -20000, 0),
    "all exponents": lambda rng, shape: np.ldexp(rng.normal(0, 1, shape), rng.integers(-60, 20, shape)),
    "logsumexp near 0": lambda rng, shape: -math.log(shape[1]) + rng.normal(0, 1e-3, shape),
}


def losses(rng: np.random.Generator, shape: tuple[int, int]) -> Iterator[Loss]:
    target, weights = rng.integers(0, shape[1], shape[0]), rng.uniform(0, 2, shape[1])
    labels = rng.dirichlet(np.ones(shape[1]), shape[0])
    yield Loss(target=target)
    yield Loss(target=target, weights=weights)
    yield Loss(target=target, weights=weights, smoothing=0.1)
    yield Loss(labels=np.where(rng.random(shape) < 0.3, 0, labels))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_certified_is_within_the_bound(family: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x = FAMILIES[family](rng, shape)
    compare(Problem("float64", x), *PLAIN, most=500)
    if shape[1] <= 10:
        compare(Problem("float64", x[:30]), "jacobian")
    for temperature in (0.5, 3.3, 1e-5, 1e5):
        compare(Problem("float64", x, temperature=temperature), *PLAIN[:3], most=30)
    for loss in losses(rng, shape):
        for temperature in (1, 0.7):
            problem = Problem("float64", x, loss=loss, temperature=temperature, scale=Fraction(1, 3))
            compare(problem, "cross-entropy", "gradient", most=50)


CAPS = (30.0, 50.0, 2.5, 1e-3, 1e-200)


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_soft_caps_are_within_the_bound(family: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    x = FAMILIES[family](rng, shape)[:40]
    target = rng.integers(0, shape[1], len(x))
    for cap in CAPS:
        for temperature in (1, 0.7, 1e4):
            problem = Problem("float64", x, softcap=cap, temperature=temperature, scale=Fraction(1, 3))
            compare(problem, *PLAIN, most=20)
            for loss in (Loss(target=target), Loss(target=target, smoothing=0.1, z_loss=1e-3)):
                compare(replace(problem, loss=loss), "cross-entropy", "gradient", most=20)
    if shape[1] <= 10:
        compare(Problem("float64", x[:20], softcap=30.0, temperature=0.7), "jacobian")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_z_losses_are_within_the_bound(family: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    x = FAMILIES[family](rng, shape)[:60]
    for loss in losses(rng, x.shape):
        for z_loss in (1e-4, -1e-4, 3.0, 1e50):
            problem = Problem("float64", x, loss=replace(loss, z_loss=z_loss), scale=Fraction(1, 7))
            compare(problem, "cross-entropy", "gradient", most=20)
    at = -math.log(shape[1]) - 1 / 2  # where the gradient of a z-loss of 1 cancels that of the labels
    x = at + rng.normal(0, 1e-3, (20, shape[1]))
    compare(Problem("float64", x, loss=Loss(target=np.zeros(20, int), z_loss=1.0)), "gradient", most=20)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_binary_losses_are_within_the_bound(family: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    x = FAMILIES[family](rng, shape)[:40] * rng.choice([-1, 1], (min(40, shape[0]), shape[1]))
    weights = rng.uniform(0, 2, shape[1])
    hard = rng.integers(0, 2, x.shape).astype(float)
    for labels in (hard, rng.random(x.shape), hard * 1.5, 1 / (1 + np.exp(-np.clip(x, -700, 700)))):
        for loss in (Loss("bce", labels=labels), Loss("bce", labels=labels, smoothing=0.1, weights=weights)):
            for more in ({}, {"temperature": 0.7}, {"softcap": 30.0}, {"softcap": 2.0, "temperature": 3.0}):
                compare(Problem("float64", x, loss=loss, **more), "bce", "gradient", most=20)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_products_with_a_vector_are_within_the_bound(family: str, shape: tuple[int, int]) -> None:
    rng, n = np.random.default_rng(4), shape[1]
    x = FAMILIES[family](rng, shape)[:60]
    spread = rng.normal(0, 1, n) * 2.0 ** rng.integers(-60, 60, n)
    for v in (rng.normal(0, 1, n), np.arange(n) == 0, np.full(n, 3.0), 1e9 + rng.normal(0, 1, n), spread):
        for more in ({}, {"temperature": 0.7}, {"softcap": 30.0}):
            compare(Problem("float64", x, cotangent=np.asarray(v, float), **more), "vjp", most=20)


def test_what_is_not_plain_is_certified_almost_in_full() -> None:
    rng = np.random.default_rng(5)
    x, target = rng.normal(0, 10, (200, 50)), rng.integers(0, 50, 200)
    hard = Problem("float64", x, loss=Loss(target=target), softcap=30.0)
    for quantity in (*PLAIN, "gradient"):
        assert not double_double.attempt(hard, quantity)[1].any()
    warm = Problem("float64", x, loss=Loss(target=target, z_loss=1e-4, smoothing=0.1), temperature=0.7)
    assert not double_double.attempt(warm, "cross-entropy")[1].any()
    assert double_double.attempt(warm, "gradient")[1].mean() < 1e-3
    binary = Problem("float64", x, loss=Loss("bce", labels=rng.integers(0, 2, x.shape).astype(float)))
    assert not double_double.attempt(binary, "bce")[1].any() and not double_double.attempt(binary, "gradient")[1].any()
    product = Problem("float64", x, cotangent=rng.normal(0, 1, 50))
    assert double_double.attempt(product, "vjp")[1].mean() < 5e-3


@pytest.mark.parametrize(
    "gap", [2.0**-1074, 1e-300, 1e-100, 2.0**-53, 1e-9, 1e-3, 1, 36.7, 40, 500, 554, 555, 700, 745, 2.0**20]
)
def test_two_logits_with_a_gap(gap: float) -> None:
    x = np.array([[0, -gap], [gap, 0], [-gap / 3, gap / 3]])
    compare(Problem("float64", x), *PLAIN, "jacobian")
    for target in (0, 1):
        compare(Problem("float64", x, loss=Loss(target=np.full(3, target))), "cross-entropy", "gradient")


@pytest.mark.parametrize("shape", [(1, 10**6), (1, 131072), (1, 16385), (30, 1000), (3000, 10), (2000, 7)], ids=str)
def test_long_rows_and_many_rows_are_within_the_bound(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(1).normal(0, 10, shape)
    if shape[1] < 10**6 or EXHAUSTIVE:
        worst, count = compare(Problem("float64", x), *PLAIN[:3], most=20000)
        assert count > 2000 and worst > 0
    else:  # the oracle takes seconds for the sum
        compare(Problem("float64", x), "softmax", most=2000)


@pytest.mark.skipif(not EXHAUSTIVE, reason="SMCLI_EXHAUSTIVE is not set")
@pytest.mark.parametrize("quantity", [*PLAIN, "gradient", "jacobian"])
def test_a_million_elements(quantity: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng()
    worst, count = 0.0, 0
    while count < (200_000 if quantity in {"logsumexp", "jacobian"} else 1_000_000):
        for family in FAMILIES.values():
            columns = int(2 ** rng.uniform(0, 5 if quantity == "jacobian" else 12))
            x = family(rng, (1 + 4000 // columns, columns))
            loss = Loss(target=rng.integers(0, columns, len(x))) if quantity == "gradient" else None
            error, more = compare(Problem("float64", x, loss=loss), quantity)
            worst, count = max(worst, error), count + more
    with capsys.disabled():
        print(f"\n{quantity}: {count} elements, worst error {worst:.4f} of the bound")


# What is certified, and what is not.


def missing(quantity: str, x: list[list[float]], **more: object) -> list[list[bool]]:
    _, open_ = double_double.attempt(Problem("float64", np.array(x, dtype=float), **more), quantity)
    return open_.tolist()


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "cross-entropy"])
def test_ordinary_rows_are_certified_in_full(quantity: str) -> None:
    x = np.random.default_rng(2).normal(0, 10, (500, 50))
    assert not double_double.attempt(Problem("float64", x), quantity)[1].any()
    assert not double_double.attempt(Problem("float64", x, temperature=0.7), quantity)[1].any()
    for loss in (Loss(target=np.arange(500) % 50), Loss(target=np.arange(500) % 50, smoothing=0.1)):
        assert not double_double.attempt(Problem("float64", x, loss=loss), "cross-entropy")[1].any()
    assert not double_double.attempt(Problem("float64", x, loss=Loss(target=np.arange(500) % 50)), "gradient")[1].any()


def test_most_of_a_soft_gradient_is_certified() -> None:
    rng = np.random.default_rng(3)
    problem = Problem("float64", rng.normal(0, 5, (200, 50)), loss=Loss(target=np.arange(200) % 50, smoothing=0.1))
    assert double_double.attempt(problem, "gradient")[1].mean() < 0.2


@pytest.mark.parametrize("near", [1e-12, 1e-5, 1e-3, 0.3])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_rows_that_nearly_agree_are_certified_almost_in_full(temperature: float, near: float) -> None:
    rng = np.random.default_rng(17)
    for shape in ((20, 500), (500, 10)):
        x = rng.normal(0, 10, shape)
        x[:, 1] = -2000  # e^-2000 has an exponent of its own
        x[: shape[0] // 2, 2] = -INF
        for offset in (0.0, 100.0):
            loss = Loss("kl", teacher=x + near * rng.normal(size=shape) + offset)
            problem = Problem("float64", x, loss=loss, temperature=temperature)
            assert not double_double.attempt(problem, "kl")[1].any()
            open_ = double_double.attempt(problem, "gradient")[1]
            assert open_.sum() <= 1 if near < 1e-3 else open_.mean() < 0.01


def test_known_results_are_exact() -> None:
    for quantity, value in (("softmax", 1), ("log-softmax", 0), ("logsumexp", 5), ("jacobian", 0)):
        truth, open_ = double_double.attempt(Problem("float64", np.array([[5.0]])), quantity)
        assert (truth.hi.item(), truth.lo.item(), truth.exp2.item(), open_.item()) == (value, 0, 0, False)
    truth, _ = double_double.attempt(Problem("float64", np.array([[1.0, -INF, 1.0]])), "softmax")
    assert (truth.hi * 2.0**truth.exp2).tolist() == [[0.5, 0, 0.5]] and not truth.lo.any()
    truth, _ = double_double.attempt(Problem("float64", np.array([[3.0, -INF]])), "log-softmax")
    assert truth.hi.tolist() == [[0, -INF]] and not truth.lo.any()


def test_rows_without_a_finite_maximum_are_left_open() -> None:
    rows = [[math.nan, 0], [0, math.nan], [INF, 0], [INF, INF], [-INF, -INF]]
    for quantity in ("softmax", "log-softmax", "jacobian"):
        assert np.all(missing(quantity, rows))
    assert np.all(missing("gradient", rows, loss=Loss(target=np.zeros(5, int))))
    assert np.all(missing("cross-entropy", rows, loss=Loss(target=np.zeros(5, int), smoothing=0.1)))


def test_far_logits_are_left_open_one_by_one() -> None:
    assert missing("softmax", [[0, -1, -(2.0**21)]]) == [[False, False, True]]
    assert missing("softmax", [[1.7e308, -1.7e308, 1.7e308]]) == [[False, True, False]]
    assert missing("log-softmax", [[0, -1, -(2.0**21)]]) == [[False, False, False]]
    assert missing("log-softmax", [[0, -1000, -2000]]) == [[False, False, False]]  # -s, below the second largest
    assert missing("log-softmax", [[0, -(2.0**21), -(2.0**22)]]) == [[True, False, False]]
    assert missing("log-softmax", [[1.7e308, -1.7e308, 1.7e308]]) == [[False, True, False]]


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_logs_of_sure_classes_keep_their_tiny_rest(temperature: float) -> None:
    rng = np.random.default_rng(5)
    flint.ctx.prec = 400
    for spread in (600.0, 3000.0, 30000.0):
        x = rng.normal(0, spread, (40, 4))
        truth, open_ = double_double.attempt(Problem("float64", x, temperature=temperature), "log-softmax")
        for r, k in enumerate(x.argmax(axis=1).tolist()):
            if open_[r, k]:
                continue
            z = [(flint.arb(v) - flint.arb(x[r, k])) / flint.arb(temperature) for v in x[r].tolist()]
            true = -sum((v.exp() for j, v in enumerate(z) if j != k), flint.arb(0)).log1p()
            got = (flint.arb(truth.hi[r, k]) + flint.arb(truth.lo[r, k])) * flint.arb(2) ** int(truth.exp2[r, k])
            assert abs(got / true - 1) < truth.bound


def test_cancellation_is_left_open() -> None:
    assert missing("logsumexp", [[-math.log(2)] * 2, [-0.775, -0.6175], [1, 1]]) == [[True], [True], [False]]


def test_ignored_rows_are_zero() -> None:
    x, ignored = np.array([[1.0, 2.0], [math.nan, 0.0]]), np.array([False, True])
    problem = Problem("float64", x, loss=Loss(target=np.array([0, -100])), ignored=ignored)
    for quantity in ("cross-entropy", "gradient"):
        truth, open_ = double_double.attempt(problem, quantity)
        assert not open_.any() and not truth.hi[1].any() and not truth.lo[1].any() and truth.hi[0].any()


def test_what_is_not_supported_is_left_open() -> None:
    x, target = [[1.0, 2.0]], np.array([0])
    assert np.all(missing("vjp", x)) and np.all(missing("gradient", x)) and np.all(missing("softmax", x, softcap=51.0))
    assert np.all(missing("vjp", x, cotangent=np.array([1, INF])))
    assert np.all(missing("cross-entropy", x, loss=Loss(target=target, z_loss=1e-200)))
    assert np.all(missing("cross-entropy", [[0, -INF]], loss=Loss(target=np.array([1]))))
    assert np.all(missing("gradient", [[0, -INF]], loss=Loss(target=np.array([1]))))


def test_memory_stays_below_twelve_arrays() -> None:
    x = np.random.default_rng(4).normal(0, 10, (1, 300_000))
    for quantity in ("softmax", "log-softmax", "logsumexp"):
        tracemalloc.start()
        double_double.attempt(Problem("float64", x), quantity)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12 * x.nbytes


# The arithmetic of pairs.

U = Fraction(1, 2**53)
LN2 = sum(Fraction(1, k * 2**k) for k in range(1, 200))  # to 2^-200


def exact(pair: tuple, i: int = 0) -> Fraction:
    return Fraction(float(np.ravel(pair[0])[i])) + Fraction(float(np.ravel(pair[1])[i]))


@pytest.mark.parametrize(("name", "bound"), [("add", 4), ("add_any", 4), ("mul", 9), ("div", 13)])
def test_pairs_keep_the_bounds_of_their_docstrings(name: str, bound: int) -> None:
    rng = np.random.default_rng(5)
    n, sign = 20000, 1 if name == "add" else rng.choice([-1, 1], 20000)
    a, b = (twofold.fast_two_sum(h, h * 2.0**-53 * rng.uniform(-1, 1, n)) for h in rng.uniform(1, 2, (2, n)))
    scale = 2.0 ** rng.integers(-60, 60, n)
    b = b[0] * sign * scale, b[1] * sign * scale
    result = getattr(twofold, name)(a, b)
    for i in range(n):
        x, y = exact(a, i), exact(b, i)
        true = {"add": x + y, "add_any": x + y, "mul": x * y, "div": x / y}[name]
        assert abs(exact(result, i) - true) <= bound * U**2 * abs(true)
        assert abs(result[1][i]) <= 2.0**-53 * abs(result[0][i])


def exponential(z: np.ndarray, zl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hi, lo, *spare = np.empty((7, *z.shape))
    elementary.exponential((z.copy(), zl.copy()), hi, lo, np.empty(z.shape, np.int64), spare)
    return hi, lo


ARGUMENTS = {  # and the bound of the relative error
    "near": (lambda rng, n: rng.uniform(-6, 6, n), -92.4),
    "all": (lambda rng, n: rng.uniform(-176, 176, n), -89.3),
    "the end": (lambda rng, n: -176 + rng.random(n), -89.3),
    "small": (lambda rng, n: -(2.0 ** rng.uniform(-60, -5, n)), -92.4),
    "where V changes": (lambda rng, n: np.log((1 + (rng.integers(0, 2048, n) + 0.5) / 2048) / 4.0), -92.4),
    "where d changes": (lambda rng, n: (rng.integers(-1024, 1024, n) + 0.5) * 2.0**-22, -92.4),
    "the first step": (lambda rng, n: -(2.0**-13) - 2.0**-27 * rng.normal(0, 1, n), -92.4),
    "the second step": (lambda rng, n: rng.choice([-1, 1], n) * 2.0**-23 * (1 + 2.0**-20 * rng.normal(0, 1, n)), -92.4),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_exponential_keeps_its_bound(name: str) -> None:
    family, bound = ARGUMENTS[name]
    rng, n = np.random.default_rng(6), 4000
    z = family(rng, n) * (1 + rng.integers(-2, 3, n) * 2.0**-52)
    zl = z * 2.0**-53 * rng.uniform(-0.5, 0.5, n)
    hi, lo = exponential(z, zl)
    for i in range(n):
        true = (ball(z[i]) + ball(zl[i])).exp()
        assert abs((ball(hi[i]) + ball(lo[i])) / true - 1) < arb(2) ** bound
        assert abs(lo[i]) <= 2.0**-53 * hi[i]


def test_powers_of_2_are_taken_out_of_large_arguments() -> None:
    rng, n = np.random.default_rng(7), 8000
    z = np.concatenate([-rng.uniform(0, 2.0**20, n // 2), -(2.0 ** rng.uniform(-30, 20, n // 2))])
    zl = z * 2.0**-53 * rng.uniform(-1, 1, n)
    pair, k = elementary.without_powers((z, zl))
    assert np.abs(pair[0]).max() <= 0.35 and np.abs(pair[1]).max() <= 2.0**-43.3
    hi, lo = exponential(*pair)
    for i in range(n):
        assert abs(exact(pair, i) - exact((z, zl), i) + Fraction(int(k[i])) * LN2) < Fraction(1, 2**96)
        true = (ball(z[i]) + ball(zl[i])).exp()
        assert abs((ball(hi[i]) + ball(lo[i])) * arb(2) ** int(k[i]) / true - 1) < arb(2) ** -92.3


def test_log1p_keeps_its_bound() -> None:
    rng, n = np.random.default_rng(8), 9000
    parts = rng.uniform(-800, 60, n // 3), rng.uniform(-12, 3, n // 3), rng.uniform(-9.1, -8.9, n // 3)
    s = 2.0 ** np.concatenate(parts)
    sl = s * 2.0**-53 * rng.uniform(-0.5, 0.5, n)
    hi, lo = elementary.log1p((s, sl))
    for i in range(n):
        assert abs((ball(hi[i]) + ball(lo[i])) / (ball(s[i]) + ball(sl[i])).log1p() - 1) < arb(2) ** -93
    zero = elementary.log1p((np.zeros(1), np.zeros(1)))
    assert (zero[0][0], zero[1][0]) == (0, 0)


UNITS = {
    "all": lambda rng, n: 2.0 ** rng.uniform(-900, 0, n),
    "large": lambda rng, n: rng.random(n),
    "before the first step": lambda rng, n: 2.0**-13 * (1 - 2.0**-20 * rng.random(n)),
    "beyond the first step": lambda rng, n: 2.0**-13 * (1 + 2.0**-20 * rng.random(n)),
    "halves of steps": lambda rng, n: (rng.integers(0, 4096, n) + 0.5) / 4096 * (1 + rng.integers(-3, 4, n) * 2.0**-52),
    "steps": lambda rng, n: rng.integers(1, 4096, n) / 4096 * (1 + rng.integers(-3, 3, n) * 2.0**-52),
}


@pytest.mark.parametrize("name", UNITS)
def test_the_short_log1p_keeps_its_bound(name: str) -> None:
    rng, n = np.random.default_rng(12), 4000
    s = UNITS[name](rng, n)
    sl = s * 2.0**-53 * rng.uniform(-0.5, 0.5, n)
    hi, lo = elementary.log1p_unit((s, sl))
    for i in range(n):
        assert abs((ball(hi[i]) + ball(lo[i])) / (ball(s[i]) + ball(sl[i])).log1p() - 1) < arb(2) ** -76
    ends = elementary.log1p_unit((np.array([0.0, 1.0]), np.zeros(2)))
    assert (ends[0][0], ends[1][0]) == (0, 0) and abs(ball(ends[0][1]) + ball(ends[1][1]) - arb(2).log()) < arb(
        2
    ) ** -103


def test_the_larger_side_of_a_sigmoid_keeps_its_bound() -> None:
    rng, n = np.random.default_rng(13), 4000
    e = np.concatenate([rng.random(n // 2), 2.0 ** rng.uniform(-900, 0, n // 2)])
    el = e * 2.0**-53 * rng.uniform(-0.5, 0.5, n)
    large = sigmoid.large_side((e, el))
    for i in range(n):
        true = 1 / (1 + exact((e, el), i))
        assert abs(exact(large, i) - true) <= 20 * U**2 * true


@pytest.mark.parametrize("gamma", range(17))
def test_powers_keep_their_bound(gamma: int) -> None:
    rng, n = np.random.default_rng(14), 500
    x = twofold.fast_two_sum(rng.uniform(0.5, 1, n), 2.0**-54 * rng.uniform(-0.5, 0.5, n))
    power = functions.product(x, gamma)
    for i in range(n):
        assert abs(exact(power, i) - exact(x, i) ** gamma) <= max(0, gamma - 1) * 9 * U**2 * exact(x, i) ** gamma


SMALL_ONES = {  # exponents of two, and the bounds of e^x - 1 and of e^x - 1 - x
    "tiny": (-300, -40, -89, -74),
    "before the first step": (-21, -20, -89, -74),
    "beyond the first step": (-20, -18, -89, -74),
    "small": (-18, -11.01, -89, -74),
    "middle": (-11, -7.01, -89, -78),
    "large": (-7, 2.3, -85, -78),
}


@pytest.mark.parametrize("name", SMALL_ONES)
def test_exponentials_less_their_first_terms_keep_their_bounds(name: str) -> None:
    flint.ctx.prec = 700
    least, most, *bounds = SMALL_ONES[name]
    rng, n = np.random.default_rng(15), 3000
    x = 2.0 ** rng.uniform(least, most, n) * rng.choice([-1, 1], n)
    x[: n // 3] = np.rint(x[: n // 3] * 2.0**20) / 2.0**20 * (1 + rng.integers(-2, 3, n // 3) * 2.0**-52)
    xl = x * 2.0**-53 * rng.uniform(-0.5, 0.5, n)
    for function, bound in zip((functions.expm1, functions.excess), bounds, strict=True):
        hi, lo = function((x, xl))
        for i in np.flatnonzero(x):
            v = ball(x[i]) + ball(xl[i])
            true = v.expm1() if function is functions.expm1 else v.expm1() - v
            assert abs((ball(hi[i]) + ball(lo[i])) / true - 1) < arb(2) ** bound


def test_a_factor_for_each_row_keeps_its_bound() -> None:
    rng, n = np.random.default_rng(9), 5000
    hi = rng.uniform(1, 2, n) * 2.0 ** rng.integers(-250, 250, n)
    lo = hi * 2.0**-53 * rng.uniform(-1, 1, n) * 0.5
    factor = 1.7 + 2.0**-30, 2.0**-55
    true = [exact((hi, lo), i) * (Fraction(factor[0]) + Fraction(factor[1])) for i in range(n)]
    twofold.times(hi, lo, tuple(map(np.array, factor)), [np.empty(n) for _ in range(5)])
    for i in range(n):
        assert abs(exact((hi, lo), i) - true[i]) <= 5 * U**2 * true[i]


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 64, 1000, 4097])
def test_the_sum_of_pairs(columns: int) -> None:
    rng = np.random.default_rng(8)
    hi = 2.0 ** rng.uniform(-80, 0, (3, columns))
    lo = hi * 2.0**-54
    before = hi.copy(), lo.copy()
    total = twofold.fold(hi, lo, [np.empty_like(hi) for _ in range(5)])
    assert np.array_equal(hi, before[0]) and np.array_equal(lo, before[1])
    for row in range(3):
        true = sum(Fraction(float(v)) for v in (*hi[row], *lo[row]))
        assert abs(exact((total[0][row], total[1][row])) - true) <= true / 2**96


@pytest.mark.parametrize("columns", [1, 10, 64, 2048, 8192, 30000])
def test_sums_of_both_signs(columns: int) -> None:
    rng = np.random.default_rng(16)
    hi = rng.choice([-1, 1], (3, columns)) * 2.0 ** rng.uniform(-80, 3, (3, columns))
    hi[1] = hi[1, ::-1] - hi[1]  # cancels but for roundings
    hi[2] *= 2.0**-600
    lo = hi * 2.0**-53 * rng.uniform(-0.5, 0.5, hi.shape)
    both, size = total.Total(3), np.zeros((3, 1))
    for tile in tiles(hi.shape, PIECE):
        spare = [np.empty_like(hi[tile]) for _ in range(2)]
        size[tile[0]] += both.put(tile, columns, (hi[tile], lo[tile]), spare)
    for row in range(3):
        true = sum(Fraction(float(v)) for v in (*hi[row], *lo[row]))
        whole = sum(abs(Fraction(float(v))) for v in hi[row])
        assert abs(exact((both.hi[row], both.lo[row])) - true) <= whole / 2**98
        assert abs(Fraction(float(size[row, 0])) - whole) <= whole / 2**40


@pytest.mark.parametrize(
    "number", [Fraction(1, 3), Fraction(-7, 10**40), Fraction(2**200 + 1), Fraction(1), Fraction(0)]
)
def test_fractions_as_pairs(number: Fraction) -> None:
    high, low, exponent = twofold.of_fraction(number)
    assert abs((Fraction(high) + Fraction(low)) * Fraction(2) ** exponent - number) <= 2 * U**2 * abs(number)
