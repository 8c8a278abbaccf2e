"""The float64 tier against Arb balls: what it certifies is within its bound, and its assumptions about NumPy hold.

SMCLI_EXHAUSTIVE=1 compares a million elements and prints the worst error found, as a part of the bound.
"""

from __future__ import annotations

import math
import os
from fractions import Fraction
from typing import TYPE_CHECKING

import flint
import numpy as np
import pytest
from flint import arb
from samples import precision

from smcli.model import Loss, Problem
from smcli.reference import float64
from smcli.reference.float64 import values

if TYPE_CHECKING:
    from collections.abc import Callable

    Family = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

EXHAUSTIVE = bool(os.environ.get("SMCLI_EXHAUSTIVE"))
INF = math.inf
PLAIN = ("softmax", "log-softmax", "logsumexp", "cross-entropy")
SHAPES = [(20, 1), (150, 2), (60, 3), (60, 10), (3, 100), (1, 1000)]


precise = precision(300)


def true_values(problem: Problem, row: int, quantity: str) -> list[arb | None]:
    """The definitions in balls of 300 bits; None stands for an infinity."""
    x = problem.logits[row].tolist()
    top, temperature = x.index(max(x)), arb(problem.temperature)
    z = [None if v == -INF else (arb(v) - arb(x[top])) / temperature for v in x]
    e = [arb(0) if v is None else v.exp() for v in z]
    s = sum((v for i, v in enumerate(e) if i != top), arb(0))
    log = arb(0) if s == 0 else s.log1p()
    if quantity == "softmax":
        return [v / (1 + s) for v in e]
    if quantity == "logsumexp":
        return [arb(x[top]) / temperature + log]
    if quantity == "log-softmax":
        return [None if v is None else v - log for v in z]
    if problem.loss is None:
        return [None if v is None else log - v for v in z]
    target = int(problem.loss.target[row])
    weight = arb(1) if problem.loss.weights is None else arb(float(problem.loss.weights[target]))
    if quantity == "cross-entropy":
        return [weight * (log - z[target])]
    weight *= arb(flint.fmpq(problem.scale.numerator, problem.scale.denominator)) / temperature
    result = [weight * v / (1 + s) for v in e]
    result[target] = -weight * (s if target == top else 1 + s - e[target]) / (1 + s)
    return result


def compare(problem: Problem, quantity: str, most: int = 2000) -> tuple[float, int]:
    """Worst error as a part of the bound, and how many elements were compared: at most so many of a row."""
    worst, count = 0.0, 0
    truth, missing = float64.attempt(problem, quantity)
    assert not truth.lo.any() and not truth.exp2.any()
    rng = np.random.default_rng(7)
    for row, open_ in enumerate(missing):
        if open_.all():
            continue
        true = true_values(problem, row, quantity)
        for i in rng.permutation(np.flatnonzero(~open_))[:most].tolist():
            value, count = float(truth.hi[row, i]), count + 1
            if true[i] is None or true[i] == 0:
                infinity = INF if quantity == "cross-entropy" else -INF
                assert value == (infinity if true[i] is None else 0), (quantity, row, i)
                continue
            error = float(abs(arb(value) / true[i] - 1).upper()) / truth.bound
            assert error <= 1, (quantity, row, i, problem.logits[row], true[i], error)
            worst = max(worst, error)
    return worst, count


def mixed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Differences that float64 does not hold: tiny and ordinary logits side by side."""
    return rng.choice([1e-30, 1e-10, 1e-7, 1e-3, 20, -20, 50], shape) * rng.uniform(0.5, 1, shape)


FAMILIES: dict[str, Family] = {
    "normal 1": lambda rng, shape: rng.normal(0, 1, shape),
    "normal 10": lambda rng, shape: rng.normal(0, 10, shape),
    "normal 1000": lambda rng, shape: rng.normal(0, 1000, shape),
    "uniform 760": lambda rng, shape: rng.uniform(-760, 0, shape),
    "equal": lambda rng, shape: np.full(shape, rng.normal()),
    "ties": lambda rng, shape: np.round(rng.normal(0, 1, shape)),
    "to 3e38": lambda rng, shape: rng.uniform(-3e38, 3e38, shape),
    "subnormal": lambda rng, shape: rng.integers(-50, 50, shape) * 2.0**-149,
    "masked": lambda rng, shape: np.where(rng.random(shape) < 0.3, -INF, rng.normal(0, 5, shape)),
    "offset 1e6": lambda rng, shape: 1e6 + rng.normal(0, 1, shape),
    "gaps of all sizes": lambda rng, shape: -np.exp(rng.uniform(-80, 7, shape)),
    "mixed": mixed,
    "tiny maximum": lambda rng, shape: np.where(rng.random(shape) < 0.5, 1e-12, -50) * rng.uniform(0.1, 1, shape),
    "logsumexp near 0": lambda rng, shape: -math.log(shape[1]) + rng.normal(0, 1e-3, shape),
}


def single(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_certified_is_within_the_bound(family: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x = single(FAMILIES[family](rng, shape))
    target, weights = rng.integers(0, shape[1], shape[0]), rng.uniform(0, 2, shape[1])
    for quantity in PLAIN:
        compare(Problem("float32", x), quantity)
        for temperature in (0.125, 2, 1024):
            compare(Problem("float32", x, temperature=temperature), quantity, most=30)
    for loss in (Loss(target=target), Loss(target=target, weights=weights)):
        for temperature in (1, 0.5):
            problem = Problem("float32", x, loss=loss, temperature=temperature, scale=Fraction(1, 3))
            compare(problem, "cross-entropy")
            compare(problem, "gradient", most=100)


@pytest.mark.parametrize("shape", [(1, 131072), (1, 16385), (3000, 10)], ids=str)
def test_long_rows_and_many_rows_are_within_the_bound(shape: tuple[int, int]) -> None:
    x = single(np.random.default_rng(1).normal(0, 10, shape))
    for quantity in PLAIN[:3]:
        compare(Problem("float32", x), quantity, most=5000)


@pytest.mark.skipif(not EXHAUSTIVE, reason="SMCLI_EXHAUSTIVE is not set")
@pytest.mark.parametrize("quantity", [*PLAIN, "gradient"])
def test_a_million_elements(quantity: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng()
    worst, count = 0.0, 0
    while count < (100_000 if quantity == "logsumexp" else 1_000_000):
        for family in FAMILIES.values():
            columns = int(2 ** rng.uniform(0, 12))
            x = single(family(rng, (1 + 4000 // columns, columns)))
            loss = Loss(target=rng.integers(0, columns, len(x))) if quantity == "gradient" else None
            error, more = compare(Problem("float32", x, loss=loss), quantity)
            worst, count = max(worst, error), count + more
    with capsys.disabled():
        print(f"\n{quantity}: {count} elements, worst error {worst:.4f} of the bound")


def test_numpy_functions_are_within_the_4_ulp_that_the_bounds_take() -> None:
    rng, n = np.random.default_rng(2), 1_000_000 if EXHAUSTIVE else 20000
    for x, function in (
        (-rng.uniform(0, 600, n), "exp"),
        (-(2.0 ** rng.uniform(-60, 9, n)), "exp"),
        (2.0 ** rng.uniform(-900, 24, n), "log1p"),
        (2.0 ** rng.uniform(-20, 3, n), "log1p"),
        (-rng.uniform(0, 0.7, n), "log1p"),
        (rng.choice([-1, 1], n) * 2.0 ** rng.uniform(-300, 1, n), "expm1"),
        (rng.uniform(-2, 2, n), "expm1"),
    ):
        y = getattr(np, function)(x)
        for value, got, ulp in zip(x.tolist(), y.tolist(), np.spacing(np.abs(y)).tolist(), strict=True):
            assert abs(getattr(arb(value), function)() - arb(got)) <= 4 * arb(ulp)


def test_numpy_powers_are_within_the_4_ulp_that_the_bounds_take() -> None:
    rng, n = np.random.default_rng(3), 200_000 if EXHAUSTIVE else 5000
    for gamma in (0.5, 1.5, 2.0, 5.0, 0.1, 7.3, 40.0, 64.0):
        x = 2.0 ** rng.uniform(-900 / max(gamma, 1), 0, n)
        y = x**gamma
        for value, got, ulp in zip(x.tolist(), y.tolist(), np.spacing(y).tolist(), strict=True):
            assert abs(arb(value) ** arb(gamma) - arb(got)) <= 4 * arb(ulp)


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "cross-entropy", "gradient"])
def test_ordinary_rows_are_certified_in_full(quantity: str) -> None:
    loss = Loss(target=np.arange(500) % 50) if quantity == "gradient" else None
    for x in np.random.default_rng(3).normal(0, 10, (3, 500, 50)):
        for temperature in (0.5, 1, 4):
            assert not float64.attempt(Problem("float32", single(x), loss, temperature), quantity)[1].any()


@pytest.mark.parametrize(
    ("row", "quantity", "expected"),
    [
        ([0, -1, -650], "softmax", [False, False, True]),
        ([0, -1, -650], "log-softmax", [False, False, False]),
        ([0, -650], "log-softmax", [True, False]),
        ([1e-20, -50], "softmax", [True, True]),  # 50 + 1e-20 is rounded
        ([1e-20, -610], "log-softmax", [True, True]),
        ([0, -50], "softmax", [False, False]),
        ([1e-20, -5], "softmax", [False, False]),  # rounded too, but harmless
        ([math.nan, 0], "softmax", [True, True]),
        ([INF, 0], "softmax", [True, True]),
        ([-INF, -INF], "softmax", [True, True]),
        ([0, -INF], "softmax", [False, False]),
        ([-0.693359375, -0.693359375], "logsumexp", [True]),
    ],
)
def test_what_is_left_open(row: list[float], quantity: str, expected: list[bool]) -> None:
    assert float64.attempt(Problem("float32", np.array([row], float)), quantity)[1].tolist() == [expected]


def test_what_is_not_supported_is_left_open() -> None:
    x, target = np.array([[1.0, 2.0]]), np.array([0])
    smoothed, soft, bce = Loss(target=target, smoothing=0.1), Loss(labels=np.ones((1, 2))), Loss("bce", target)
    for problem, quantity in (
        (Problem("float32", x), "vjp"),
        (Problem("float32", x), "jacobian"),
        (Problem("float32", x), "gradient"),
        (Problem("float32", x, softcap=30.0), "softmax"),
        (Problem("float64", x), "softmax"),
        (Problem("float32", x, temperature=0.7), "softmax"),
        *((Problem("float32", x, loss), q) for loss in (smoothed, soft, bce) for q in ("gradient", "cross-entropy")),
        (Problem("float32", np.array([[0, -INF]]), Loss(target=np.array([1]))), "gradient"),
    ):
        assert float64.attempt(problem, quantity)[1].all()


def test_ignored_rows_are_zero() -> None:
    x, ignored = np.array([[1.0, 2.0], [math.nan, 0.0]]), np.array([False, True])
    problem = Problem("float32", x, loss=Loss(target=np.array([0, -100])), ignored=ignored)
    for quantity in ("cross-entropy", "gradient"):
        truth, missing = float64.attempt(problem, quantity)
        assert not missing.any() and not truth.hi[1].any() and truth.hi[0].any()


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp"])
def test_a_target_changes_nothing_but_the_loss(quantity: str) -> None:
    x = np.array([[1.0, 2.0, 3.0], [0.0, -5.0, 4.0]])
    alone, _ = float64.attempt(Problem("float32", x), quantity)
    beside, _ = float64.attempt(Problem("float32", x, Loss(target=np.array([0, 2]))), quantity)
    assert np.array_equal(alone.hi, beside.hi)


@pytest.mark.parametrize("size", [64, 1000, 16385, 131072])
def test_softmax_of_moderate_logits_has_a_bound_of_its_own(size):
    """e^x·(1/Σ e^x), as it is counted with, is within `direct_bound` of Arb's."""
    x = np.random.default_rng(size).normal(0, 12, (1, size)).astype(np.float32).astype(np.float64)
    x[0, :3] = 250, -250, 249
    e = np.empty_like(x)
    ((_, total),) = values.exponentials(x, e)
    t = (e * (1 / total))[0]
    exact = [arb(v).exp() for v in x[0].tolist()]
    s = sum(exact, arb(0))
    bound = values.direct_bound(size)
    assert bound < values.BOUND
    for i in [*range(0, size, max(1, size // 500)), 0, 1, 2]:
        assert abs(arb(float(t[i])) * s / exact[i] - 1) < bound


def test_the_bound_of_a_direct_softmax_is_within_the_tiers():
    columns = {*range(1, 3000), *(2**k + d for k in range(8, 25) for d in (-1, 0, 1) if 2**k + d <= 2**24)}
    assert max(map(values.direct_bound, columns)) <= values.BOUND


@pytest.mark.parametrize("size", [1, 7, 100, 135, 1023, 16384, 16385, 40007, 131072])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_sums_of_exponentials_are_as_right_as_their_bound_says(size, kind):
    """Each addition that a term goes through, and no more: against the exact sum of the same exponentials."""
    rng = np.random.default_rng(size)
    x = rng.normal(0, 8, (2, size)).astype(kind)
    e = np.empty(x.shape)
    totals = np.concatenate([total for _, total in values.exponentials(x, e)])
    assert np.array_equal(e, np.exp(x.astype(float)))  # in double precision, whatever the logits are
    additions = values.direct_bound(size) - 20 * 2.0**-53
    for row, total in zip(e, totals[:, 0], strict=True):
        exact = math.fsum(row)
        assert abs(total - exact) <= additions * exact


def test_a_row_has_the_same_sum_among_others():
    x = np.random.default_rng(3).normal(0, 8, (40, 300))
    together = np.concatenate([total for _, total in values.exponentials(x, np.empty(x.shape))])
    alone = [next(values.exponentials(row[None], np.empty((1, 300))))[1][0] for row in x]
    assert np.array_equal(together, alone)
