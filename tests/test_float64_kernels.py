"""Entropy, divergence, focal losses, their derivatives and products in the float64 tier, each beside Arb.

What the tier certifies has to be within its bound; what it is there for, it has to certify.
"""

from __future__ import annotations

import math
import os
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("flint")

from definition import Row
from flint import arb, ctx

from smcli.model import Loss, Problem
from smcli.reference import float64

INF = math.inf
MANY = int(os.environ.get("SMCLI_ARB_ROWS", "12"))
SHAPES = [1, 2, 3, 9, 70]
GAMMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 5.0, 0.3, 7.5, 40.0)
TEMPERATURES = (1.0, 0.125, 4.0, 1024.0)


@pytest.fixture(autouse=True)
def _precision():
    yield
    ctx.prec = 53


def saturated(rng, shape):
    x = rng.normal(0, 3, shape)
    x[:, rng.integers(0, shape[1])] += rng.choice([30, 200, 590, 650, 720, 1e6])
    return x


ROWS_OF = {
    "normal": lambda rng, shape: rng.normal(size=shape) * rng.choice([0.1, 1, 5, 20, 1000], size=(shape[0], 1)),
    "ordinary": lambda rng, shape: rng.normal(0, 5, shape),
    "offset": lambda rng, shape: rng.normal(size=shape) + rng.choice([1e3, -1e6, 2.0**40], size=(shape[0], 1)),
    "ties": lambda rng, shape: rng.integers(-1, 2, shape) * rng.choice([1, 100, 2.0**-149, 300], size=(shape[0], 1)),
    "masked": lambda rng, shape: np.where(rng.random(shape) < 0.3, -INF, rng.normal(0, 5, shape)),
    "beside nan": lambda rng, shape: np.where(
        np.arange(shape[0])[:, None] == 0, math.nan, np.where(rng.random(shape) < 0.3, -INF, rng.normal(0, 5, shape))
    ),
    "saturated": saturated,
    "deep": lambda rng, shape: -rng.uniform(0, 760, shape),
    "sizes": lambda rng, shape: rng.choice([-1, 1], shape) * np.exp(rng.uniform(-100, 7, shape)),
    "subnormal": lambda rng, shape: rng.integers(-50, 50, shape) * 2.0**-149,
    "huge": lambda rng, shape: rng.uniform(-3e38, 3e38, shape),
    "odd": lambda rng, shape: rng.choice([INF, -INF, math.nan, 0.0, 1.0], shape),
    "equal": lambda rng, shape: np.repeat(rng.normal(size=(shape[0], 1)), shape[1], axis=1),
}
APART = [0.0, 1e-6, 1e-4, 1e-2, 0.3, 5.0]


def single(x):
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def beside(rng, x, kind):
    """A second row for each: the same, nearly the same, moved, in another order, masked elsewhere, or of its kind."""
    near = x + rng.choice(APART, size=(len(x), 1)) * rng.normal(size=x.shape)
    moved = np.where(rng.random((len(x), 1)) < 0.2, x + 0.5, near)
    other = np.where(rng.random((len(x), 1)) < 0.3, ROWS_OF[kind](rng, x.shape), moved)
    swapped = np.where(rng.random((len(x), 1)) < 0.2, rng.permuted(x, axis=1), other)
    return np.where((rng.random(x.shape) < 0.05) & (rng.random((len(x), 1)) < 0.2), -INF, swapped)


def error_of(row, quantity, i, value):
    """The relative error of a value, in as many bits as it takes to tell it to a percent."""
    assert math.copysign(1.0, value) == 1 or value < 0
    for bits in (200, 600, 2500, 5000):
        true = row.values(quantity, bits + row.range)[i]
        if isinstance(true, float) or true == 0:
            return 0.0 if value == true else INF
        apart = abs(arb(value) / true - 1)
        if apart.rad() < 1e-17:
            return float(apart.upper())
    return 0.0 if value == 0 and true.contains(0) else INF


def row_of(problem, r):
    """A row as the definition takes it."""
    loss = problem.loss
    row = Row(problem.logits[r].tolist(), problem.temperature, scale=problem.scale, vjp_of=problem.vjp_of)
    row.cotangent = None if problem.cotangent is None else problem.cotangent.tolist()
    row.signed = None if problem.coefficients is None else problem.coefficients.tolist()
    if loss is not None:
        row.kind, row.gamma, row.reverse = loss.kind, loss.gamma, loss.reverse
        row.teacher = None if loss.teacher is None else loss.teacher[r].tolist()
        if loss.labels is not None:
            row.binary, row.coefficients = True, [Fraction(v) for v in loss.labels[r].tolist()]
        elif loss.target is not None:
            weight = 1.0 if loss.weights is None else float(loss.weights[loss.target[r]])
            row.coefficients = [Fraction(weight * (i == loss.target[r])) for i in range(len(row.x))]
    return row


def compare(problem, quantity, most=40):
    """Worst error as a part of the bound, and how many elements were certified: at most so many of a row are compared."""
    truth, missing = float64.attempt(problem, quantity)
    assert not truth.lo.any() and not truth.exp2.any()
    worst, rng = 0.0, np.random.default_rng(9)
    for r in np.flatnonzero(~missing.all(axis=1)).tolist():
        row = row_of(problem, r)
        for i in rng.permutation(np.flatnonzero(~missing[r]))[:most].tolist():
            worst = max(worst, error_of(row, quantity, i, float(truth.hi[r, i])) / truth.bound)
            assert worst <= 1, (quantity, r, i, float(truth.hi[r, i]), row)
    return worst, int((~missing).sum())


MISSING: dict[str, float] = {}  # parts of ordinary rows that cancel more than the tier can tell
CASES = {
    "gradient of entropy": ("gradient", {"kind": "entropy"}, {}),
    "vjp of softmax": ("vjp", {}, {"vjp_of": "softmax"}),
    "vjp of log-softmax": ("vjp", {}, {"vjp_of": "log-softmax"}),
    "vjp of logsumexp": ("vjp", {}, {"vjp_of": "logsumexp"}),
    "vjp of signed logsumexp": ("vjp", {}, {"vjp_of": "logsumexp", "coefficients": True}),
    "focal": ("focal", {"kind": "focal"}, {}),
    "gradient of focal": ("gradient", {"kind": "focal"}, {}),
    "focal of sigmoids": ("focal", {"kind": "focal", "labels": True}, {}),
    "gradient of focal of sigmoids": ("gradient", {"kind": "focal", "labels": True}, {}),
    "kl": ("kl", {"kind": "kl"}, {}),
    "kl, reverse": ("kl", {"kind": "kl", "reverse": True}, {}),
    "gradient of kl": ("gradient", {"kind": "kl"}, {}),
    "gradient of kl, reverse": ("gradient", {"kind": "kl", "reverse": True}, {}),
}


def build(case, kind, rng, shape, temperature=1.0):
    """A problem of a case, with rows of a kind."""
    quantity, loss, options = CASES[case]
    x = single(ROWS_OF[kind](rng, shape))
    loss = dict(loss)
    if loss.get("kind") == "kl":
        loss["teacher"] = single(rng.normal(0, 5, shape) if kind == "ordinary" else beside(rng, x, kind))
    if loss.get("kind") == "focal":
        loss["gamma"] = float(rng.choice(GAMMAS))
    if loss.get("labels"):
        hard = rng.random() < 0.4
        soft = [0.0, 1.0, 0.5, 0.1, 0.99999, *([] if kind == "ordinary" else [1e-30, 1.5])]
        loss["labels"] = single(rng.choice([0.0, 1.0] if hard else soft, shape))
    elif loss.get("kind") == "focal":
        loss["target"] = rng.integers(0, shape[1], shape[0])
        if rng.random() < 0.5:
            loss["weights"] = single(rng.choice([1.0, 0.0, 0.3, 2.0**-30, 7.0], shape[1]))
    made, options = Loss(**loss) if loss else None, dict(options)
    if quantity == "vjp":
        size = 1 if options["vjp_of"] == "logsumexp" else shape[1]
        some = rng.choice([0.0, 1.0, -1.0, 0.5, -1e-30, 3e30], size) * rng.choice([1.0, 0.0], size)
        options["cotangent"] = single(rng.normal(size=size) if kind == "ordinary" or rng.random() < 0.4 else some)
    if options.get("coefficients"):
        options["coefficients"] = rng.choice([1.0, -1.0, 0.5, 0.0, 3.0], size=shape[1])
    scale = Fraction(1, int(rng.integers(1, 9))) if quantity == "gradient" else Fraction(1)
    return quantity, Problem("float32", x, made, temperature=temperature, scale=scale, **options)


@pytest.mark.parametrize("kind", ROWS_OF)
@pytest.mark.parametrize("case", CASES)
def test_what_is_certified_is_within_its_bound(case, kind):
    rng = np.random.default_rng([*map(ord, case + kind)])
    for n in SHAPES:
        for temperature in TEMPERATURES * (2 if "focal" in case else 1):  # each gamma more than once
            quantity, problem = build(case, kind, rng, (1 + MANY // n, n), temperature)
            compare(problem, quantity)


@pytest.mark.parametrize("case", CASES)
def test_rows_in_pieces_are_within_their_bound(case, monkeypatch):
    from smcli.reference import tiles
    from smcli.reference.float64 import along, kernel_gradients, kernels, near, products, reduce

    for module in (tiles, along, kernel_gradients, kernels, near, products, reduce):
        monkeypatch.setattr(module, "PIECE" if module is near else "BLOCK", 64)
    rng = np.random.default_rng([3, *map(ord, case)])
    for kind, n in (("ordinary", 150), ("normal", 128), ("masked", 65), ("sizes", 100)):
        quantity, problem = build(case, kind, rng, (3, n))
        compare(problem, quantity, most=10)


@pytest.mark.parametrize("case", CASES)
def test_ordinary_rows_are_certified(case):
    rng = np.random.default_rng([*map(ord, case)])
    for n in (5, 50, 300):
        quantity, problem = build(case, "ordinary", rng, (6000 // n, n))
        truth, missing = float64.attempt(problem, quantity)
        assert float(missing.mean()) < MISSING.get(case, 0.005)
        assert truth.bound <= 2.0**-37


def crossing(case, rng, n):
    """A problem in which one element of each row is 0 but for the rounding of its logit to float32."""
    x, other, at = rng.normal(0, 4, (8, n)), rng.normal(0, 4, (8, n)), rng.integers(0, n, 8)
    here, v = (np.arange(8), at), rng.normal(size=n)
    x[here] = x.max(axis=1) - rng.uniform(3, 9, 8)
    for _ in range(60):
        x, other, v = single(x), single(other), single(v)
        log_p, log_t = (y - np.log(np.exp(y).sum(axis=1, keepdims=True)) for y in (x, other))
        p = np.exp(log_p)
        if case == "gradient of entropy":
            x[here] -= log_p[here] - (p * log_p).sum(axis=1)
        elif case == "gradient of kl":
            other[here] -= log_t[here] - log_p[here]
        elif case == "gradient of kl, reverse":
            other[here] -= log_t[here] - log_p[here] + (p * (log_p - log_t)).sum(axis=1)
        else:
            v[at[0]] = (p * v).sum(axis=1)[0]
    quantity, loss, options = CASES[case]
    if loss:
        return quantity, Problem("float32", single(x), Loss(**loss, teacher=single(other))), here
    return quantity, Problem("float32", single(x[:1]), cotangent=single(v), **options), (0, at[:1])


@pytest.mark.parametrize("n", [8, 40])
@pytest.mark.parametrize("case", ["gradient of entropy", "gradient of kl", "gradient of kl, reverse", "vjp of softmax"])
def test_elements_that_cancel_are_told_from_pairs_of_what_matters(case, n, monkeypatch):
    from smcli.reference.float64 import kernel_gradients
    from smcli.reference.float64.along import Along

    rng = np.random.default_rng([n, *map(ord, case)])
    quantity, problem, here = crossing(case, rng, n)
    truth, missing = float64.attempt(problem, quantity)
    assert missing[here].mean() < 0.5
    for r, i in zip(*(np.atleast_1d(v).tolist() for v in here), strict=True):
        if not missing[r, i]:
            row = row_of(problem, r)
            assert error_of(row, quantity, i, float(truth.hi[r, i])) <= truth.bound
    monkeypatch.setattr(Along, "_sharpen", lambda *_: None)
    monkeypatch.setattr(kernel_gradients, "_sharpen", lambda *_: None)
    assert float64.attempt(problem, quantity)[1][here].all()


def test_open_roundings_of_many_rows_are_settled_at_once(monkeypatch):
    from smcli.numbers import formats
    from smcli.reference import Reference, double_double

    rng, fmt = np.random.default_rng(4), formats.get("float32")
    quantity, problem = build("gradient of kl", "ordinary", rng, (60, 7))
    reference = Reference(problem)
    rounded = np.zeros((60, 7))
    undecided = np.zeros((60, 7), bool)
    undecided[::2, 3] = undecided[5] = True
    calls, attempt = [], double_double.attempt
    monkeypatch.setattr(double_double, "attempt", lambda *a: calls.append(a) or attempt(*a))
    settled = reference.settle(quantity, rounded, undecided, fmt)
    assert len(calls) == 1
    truth = reference.truth(quantity)
    assert np.array_equal(settled[undecided], fmt.round(truth.hi)[undecided])
    assert not settled[~undecided].any()
