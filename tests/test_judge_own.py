"""The limits of entropy, divergence, focal loss and their gradients, against the formulas in 500 digits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp, mpf

from smcli.judge import limits
from smcli.model import Loss, Problem
from smcli.problem.specs import Tolerance
from smcli.reference import Reference

X = [[1.0, -2.0, 3.5, 0.25], [1000.0, 0.0, -5.0, 0.0], [0.0, 0.0, 0.0, 0.0], [3.0, -np.inf, 1.0, 2.0]]
T = [[0.5, -2.0, 3.0, 0.0], [0.0, 1.0, 2.0, 990.0], [0.0, 1e-3, 0.0, 0.0], [2.0, -np.inf, 1.0, 2.0]]
BASE = 2 + 4


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(500):
        yield


def limit(problem, quantity):
    return limits.limit(problem, quantity, Reference(problem), Tolerance())


def probabilities(x):
    e = [mp.exp(mpf(v)) if np.isfinite(v) else mpf(0) for v in x]
    return [v / mp.fsum(e) for v in e]


def problem(row, loss=None, **options):
    return Problem("float64", np.array([X[row]]), loss, **options)


def entries(terms, distances):
    """2(log2 n + 4 + the mean of the distances by the terms)."""
    whole = mp.fsum(terms)
    return 2 * (BASE + (mp.fsum(t * d for t, d in zip(terms, distances, strict=True)) / whole if whole else 0))


def below(x):
    return [max(x) - v if np.isfinite(v) else 0.0 for v in x]


def nll(p):
    return [-mp.log(v) if v else mpf(0) for v in p]


@pytest.mark.parametrize("row", range(4))
def test_entropy(row):
    p = probabilities(X[row])
    want = entries([a * b for a, b in zip(p, nll(p), strict=True)], below(X[row]))
    assert limit(problem(row), "entropy").ulp.ravel() == pytest.approx(float(max(8, want)), rel=1e-9)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("row", range(4))
def test_divergence(row, reverse):
    first, second = (X[row], T[row]) if reverse else (T[row], X[row])
    t, p = probabilities(first), probabilities(second)
    terms = [a * (b + c) for a, b, c in zip(t, nll(t), nll(p), strict=True)]
    value = mp.fsum(a * (c - b) for a, b, c in zip(t, nll(t), nll(p), strict=True))
    got = limit(problem(row, Loss("kl", teacher=np.array([T[row]]), reverse=reverse)), "kl")
    assert got.parts.ravel() == pytest.approx(float(mp.fsum(terms)), rel=1e-9)
    want = entries(terms, below(first)) * mp.fsum(terms) / value
    assert got.ulp.ravel() == pytest.approx(float(want), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("row", "target"), [(0, 2), (0, 1), (1, 0), (2, 3), (3, 0)])
def test_focal(row, target, gamma):
    p = probabilities(X[row])
    others = [0 if i == target else v for i, v in enumerate(p)]
    depends = entries(others, below(X[row])) / 2 - BASE
    loss = Loss("focal", target=np.array([target]), gamma=gamma)
    want = 2 * BASE * (1 + gamma) + 2 * gamma * depends
    assert limit(problem(row, loss), "focal").ulp.ravel() == pytest.approx(float(want), rel=1e-9)
    gradient = [want + 2 * d for d in below(X[row])]
    assert limit(problem(row, loss), "gradient").ulp[0] == pytest.approx([float(v) for v in gradient], rel=1e-9)


def test_focal_of_sigmoids():
    loss = Loss("focal", labels=np.array([[1.0, 0.0, 0.5, 0.25]]), gamma=2.0)
    got = limit(problem(0, loss), "focal").ulp[0]
    assert got == pytest.approx([2 * BASE * 3 + 4 * abs(v) for v in X[0]])
    parts = limit(problem(0, loss), "gradient").parts[0]

    def pull(x):
        p = 1 / (1 + mp.exp(-x))
        return (1 - p) ** 3 - 2 * p * (1 - p) ** 2 * mp.log(p)

    soft = [(y * pull(mpf(x)) + (1 - y) * pull(-mpf(x))) for x, y in zip(X[0], loss.labels[0], strict=True)]
    assert parts == pytest.approx([0.0, 0.0, *(float(v) for v in soft[2:])], rel=1e-9)


@pytest.mark.parametrize("kind", ["entropy", "kl", "kl reverse"])
@pytest.mark.parametrize("row", range(4))
def test_gradients_are_differences_of_positive_parts(row, kind):
    p, t = probabilities(X[row]), probabilities(T[row])
    sizes = nll(p) if kind == "entropy" else [a + b for a, b in zip(nll(p), nll(t), strict=True)]
    mean = mp.fsum(a * b for a, b in zip(p, sizes, strict=True))
    want = (
        [a + b for a, b in zip(p, t, strict=True)]
        if kind == "kl"
        else [a * (b + mean) for a, b in zip(p, sizes, strict=True)]
    )
    loss = Loss(kind.split()[0], teacher=None if kind == "entropy" else np.array([T[row]]), reverse="reverse" in kind)
    got = limit(problem(row, loss, scale=Fraction(1, 4), temperature=0.5), "gradient")
    p2, t2 = probabilities([2 * v for v in X[row]]), probabilities([2 * v for v in T[row]])
    sizes = nll(p2) if kind == "entropy" else [a + b for a, b in zip(nll(p2), nll(t2), strict=True)]
    mean = mp.fsum(a * b for a, b in zip(p2, sizes, strict=True))
    scaled = (
        [a + b for a, b in zip(p2, t2, strict=True)]
        if kind == "kl"
        else [a * (b + mean) for a, b in zip(p2, sizes, strict=True)]
    )
    assert got.parts[0] == pytest.approx([float(v) / 2 for v in scaled], rel=1e-6, abs=1e-300)
    got = limit(problem(row, loss), "gradient")
    assert got.parts[0] == pytest.approx([float(v) for v in want], rel=1e-6, abs=1e-300)
    distance = [a + b for a, b in zip(below(X[row]), below(T[row]), strict=True)] if "kl" in kind else below(X[row])
    assert got.base[0] == pytest.approx([2 * (BASE + d) for d in distance])


def test_a_signed_logsumexp_has_its_own_condition():
    b = np.array([2.0, -1.0, 0.5, -3.0])
    terms = [mpf(w) * mp.exp(mpf(v)) for w, v in zip(b, X[0], strict=True)]
    whole = mp.fsum(terms)
    want = mp.fsum(abs(t) * abs(v) for t, v in zip(terms, X[0], strict=True)) / abs(whole) / abs(mp.log(abs(whole)))
    got = limit(problem(0, coefficients=b), "logsumexp").ulp.ravel()
    assert got == pytest.approx(float(2 * (BASE + want)), rel=1e-9)


def test_products_with_other_jacobians():
    v, p = np.array([1.0, -2.0, 0.5, 0.0]), probabilities(X[0])
    got = limit(problem(0, vjp_of="log-softmax", cotangent=v), "vjp").parts[0]
    assert got == pytest.approx([abs(a) + float(b) * 3.5 for a, b in zip(v, p, strict=True)])
    plain = limit(problem(0, vjp_of="logsumexp", cotangent=np.array([2.0])), "vjp")
    assert plain.ulp[0] == pytest.approx([2 * (BASE + d) for d in below(X[0])])
    b = np.array([2.0, -1.0, 0.5, -3.0])
    terms = [mpf(w) * mp.exp(mpf(x)) for w, x in zip(b, X[0], strict=True)]
    spread = mp.fsum(map(abs, terms)) / abs(mp.fsum(terms))
    signed = limit(problem(0, vjp_of="logsumexp", cotangent=np.array([2.0]), coefficients=b), "vjp").ulp[0]
    assert signed == pytest.approx([float(spread) * 2 * (BASE + d) for d in below(X[0])], rel=1e-9)


def test_sigmoids_are_flat_unless_their_logits_were_rounded():
    for quantity in ("sigmoid", "log-sigmoid"):
        assert (limit(problem(0), quantity).ulp == 2 * BASE).all()
        assert (limit(problem(0, temperature=0.5), quantity).ulp == 2 * BASE).all()
    x = [mpf(v) / 3 for v in X[0]]
    q = [1 / (1 + mp.exp(v)) for v in x]
    sigmoid = [2 * (BASE + abs(v) * w) for v, w in zip(x, q, strict=True)]
    assert limit(problem(0, temperature=3.0), "sigmoid").ulp[0] == pytest.approx([float(v) for v in sigmoid])
    logs = [2 * (BASE + abs(v) * w / -mp.log(1 - w)) for v, w in zip(x, q, strict=True)]
    assert limit(problem(0, temperature=3.0), "log-sigmoid").ulp[0] == pytest.approx([float(v) for v in logs])
