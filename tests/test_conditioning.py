"""Condition numbers by their definition, and bounds that no method may break."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from smcli import methods
from smcli.judge.conditioning import condition
from smcli.judge.measure import Limit, as_float, measure
from smcli.methods import run
from smcli.model import Loss, Problem
from smcli.numbers.arithmetic import ORDERS, Arithmetic
from smcli.numbers.formats import FORMATS
from smcli.problem.specs import Numerics, Settings
from smcli.reference import Reference

BOUNDED = [("softmax", m) for m in ("naive", "shifted", "explse")]
BOUNDED += [("logsumexp", m) for m in ("naive", "shifted", "fused", "explse", "log1p")]
COUNTS = (1, 2, 3, 5, 10, 40, 200)


def problem(logits: object, dtype: str = "float64") -> Problem:
    f = FORMATS[dtype]
    x = np.clip(np.atleast_2d(np.array(logits, dtype=np.float64)), -f.max, f.max)
    return Problem(dtype, f.round(x))


def rows(dtype: str, classes: int, count: int) -> Problem:
    """Narrow and wide rows, at offsets, and a third of them with a logsumexp near 0."""
    rng = np.random.default_rng(classes)
    x = rng.normal(0, 1, (count, classes)) * rng.choice([0.01, 1, 3, 8, 20], (count, 1))
    x += rng.choice([0, 0, -5, 5, 100, -100, 1e4, -3e5], (count, 1))
    near = -np.log(classes) + rng.normal(0, 1e-3, (count, classes))
    x[::3] = np.where(rng.random((count, 1)) < 0.5, near, x)[::3]
    return problem(x, dtype)


def ratio(p: Problem, quantity: str, method: str) -> np.ndarray:
    """The worst error of each row over its bound, over all orders of summation; nan where there is no bound."""
    f, truth = FORMATS[p.dtype], Reference(p).truth(quantity)
    bound = methods.get(method).bound(p, quantity, Settings())
    assert bound is not None and bound.shape == (len(p.logits),)
    worst = np.zeros(len(bound))
    for order in ORDERS:
        y = run(methods.get(method), p, quantity, Arithmetic(f, f, order)).values
        limit, infinite = Limit(np.array(8.0)), np.zeros((len(y), 1), dtype=bool)
        ulp = measure(y, truth, y, f, limit, infinite).ulp.max(axis=1)
        worst = np.maximum(worst, np.where(np.isnan(ulp), np.inf, ulp))
    return np.where(np.isnan(bound), np.nan, worst / bound)


@pytest.mark.parametrize(("quantity", "method"), BOUNDED)
@pytest.mark.parametrize("dtype", FORMATS)
def test_no_bound_is_broken(dtype: str, quantity: str, method: str) -> None:
    held = 0
    for classes in COUNTS:
        r = ratio(rows(dtype, classes, 300), quantity, method)
        known = r[np.isfinite(r) | np.isposinf(r)]
        assert (known <= 1).all(), (classes, known.max())
        held += known.size
    assert held > (60 if FORMATS[dtype].bits == 8 else 600)  # it is not only by silence


def test_the_bounds_are_not_much_too_wide() -> None:
    worst = {pair: max(np.nanmax(ratio(rows("float32", n, 300), *pair)) for n in (2, 10)) for pair in BOUNDED}
    assert worst["logsumexp", "log1p"] > 0.8 and all(v > 0.2 for v in worst.values()), worst


def test_the_row_that_breaks_the_published_theorem() -> None:
    p = problem([856715.1192530339, 856715.1186830291])
    for method in ("shifted", "log1p"):
        assert ratio(p, "logsumexp", method)[0] <= 1
    assert ratio(p, "softmax", "explse")[0] <= 1
    explse = methods.get("explse").bound(p, "softmax", Settings())
    shifted = methods.get("shifted").bound(p, "softmax", Settings())
    assert explse is not None and shifted is not None
    assert explse[0] > 856715 > 10 > shifted[0]  # an offset costs explse |lse|, and shifted nothing


def test_the_formulas() -> None:
    x = np.array([1.0, 3.0, -2.0])
    u, n = 2.0**-24, 3.0
    e = np.exp(x - 3)
    s, spread = e[0] + e[2], 5.0
    log = np.log1p(s)
    lse = 3 + log
    late = lse + log + n + 1 + s / (1 + s) * spread
    softmax = {"naive": n + 3, "shifted": n + 2 + 2 * spread, "explse": 1 + (lse + 2) + late}
    for method, k in softmax.items():
        got = methods.get(method).bound(problem(x, "float32"), "softmax", Settings())
        assert got is not None and got[0] == pytest.approx(k, rel=4 * k * u), method
    spacing = 2 * u * 2  # lse is in [2, 4)
    absolute = {"naive": lse + n + 1, "shifted": late, "fused": late, "explse": late,
                "log1p": lse + log + s / (1 + s) * (n + 1 + spread)}  # fmt: skip
    for method, k in absolute.items():
        got = methods.get(method).bound(problem(x, "float32"), "logsumexp", Settings())
        assert got is not None and got[0] == pytest.approx(k * u / spacing, rel=1e-5), method


def test_no_bound_where_none_is_known() -> None:
    p = problem([1.0, 2.0], "float32")
    assert methods.get("online").bound(p, "softmax", Settings()) is None
    assert methods.get("shifted").bound(p, "log-softmax", Settings()) is None
    assert methods.get("shifted").bound(replace(p, temperature=2.0), "softmax", Settings()) is None
    assert methods.get("shifted").bound(replace(p, softcap=2.0), "softmax", Settings()) is None
    assert methods.get("shifted").bound(p, "softmax", Settings(numerics=Numerics(accumulate="float16"))) is None
    assert methods.get("shifted").bound(p, "softmax", Settings(numerics=Numerics(accumulate="float32"))) is not None
    excluded = [[89.0, 0.0], [-90.0, 0.0], [np.inf, 0.0], [-np.inf, 0.0], [np.nan, 0.0]]  # over- and underflow
    bounds = methods.get("naive").bound(Problem("float32", np.array(excluded)), "softmax", Settings())
    assert bounds is not None and np.isnan(bounds).all()
    shifted = methods.get("shifted").bound(problem([[89.0, 88.0], [0.0, -90.0]], "float32"), "softmax", Settings())
    assert shifted is not None and np.isnan(shifted).tolist() == [False, True]


def test_no_bound_where_the_truth_is_lost_in_its_own_estimate() -> None:
    p = problem([[-0.6931471805599453] * 2, [-3.720075976020836e-44, -100.0]])
    bounds = methods.get("naive").bound(p, "logsumexp", Settings())
    assert bounds is not None and np.isnan(bounds).all()


def relative_change(p: Problem, quantity: str, direction: np.ndarray) -> np.ndarray:
    """How much more a result changes relatively than the logits do, for a small change of them."""
    h = 1e-6
    up, down = (as_float(Reference(replace(p, logits=p.logits * (1 + sign * h * direction))).truth(quantity))
                for sign in (1, -1))  # fmt: skip
    t = as_float(Reference(p).truth(quantity))
    return np.abs(up - down)[0] / (2 * h) / np.abs(t)[0]


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp", "cross-entropy"])
def test_condition_numbers_are_reached_and_not_exceeded(quantity: str) -> None:
    """Componentwise: some pattern of signs of the relative changes reaches the number, and none exceeds it."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        p = problem(rng.normal(0, 2, 4))
        kappa = condition(p, quantity, Reference(p))
        assert kappa is not None
        directions = [np.array(signs) for signs in product((-1.0, 1.0), repeat=4)]
        seen = np.max([relative_change(p, quantity, d) for d in directions], axis=0)
        assert kappa[0].tolist() == pytest.approx(seen.tolist(), rel=1e-5)


def test_condition_of_published_cases() -> None:
    p = problem([-0.775, -0.6175])
    kappa = condition(p, "logsumexp", Reference(p))
    assert kappa is not None and f"{kappa[0, 0]:.0f}" == "131745"
    p = problem([40.0, 0.0])
    kappa = condition(p, "softmax", Reference(p))
    assert kappa is not None and kappa[0].tolist() == pytest.approx([40 * 4.248354255291589e-18, 40], rel=1e-12)
    p = problem([800.0, 0.0])
    kappa = condition(p, "log-softmax", Reference(p))
    assert kappa is not None and kappa[0, 1] == pytest.approx(1)


def test_condition_with_a_target_a_temperature_or_another_loss() -> None:
    p = problem([1.0, 3.0, -2.0])
    every = condition(p, "cross-entropy", Reference(p))
    hard = replace(p, loss=Loss(target=np.array([2])))
    one = condition(hard, "cross-entropy", Reference(hard))
    assert every is not None and one is not None and one[0, 0] == pytest.approx(every[0, 2], rel=1e-14)
    halved = replace(p, temperature=2.0)
    same = condition(halved, "softmax", Reference(halved))
    due = condition(problem([0.5, 1.5, -1.0]), "softmax", Reference(problem([0.5, 1.5, -1.0])))
    assert same is not None and due is not None and np.allclose(same, due, rtol=1e-14)
    for loss in (Loss(target=np.array([2]), smoothing=0.1), Loss(target=np.array([2]), z_loss=0.1),
                 Loss(target=np.array([2]), weights=np.ones(3)), Loss(labels=np.full((1, 3), 0.25))):  # fmt: skip
        other = replace(p, loss=loss)
        assert condition(other, "cross-entropy", Reference(other)) is None
    assert condition(hard, "gradient", Reference(hard)) is None
    assert condition(replace(p, softcap=5.0), "softmax", Reference(p)) is None


def test_the_condition_of_a_likely_class_does_not_cancel():
    problem = Problem("float64", np.array([[40.0, 0.0]]))
    kappa = condition(problem, "log-softmax", Reference(problem))
    assert kappa[0] == pytest.approx([40, 1], rel=1e-6)  # q(|40| + |0|)/q, and (|0| + 40)/40


def test_what_does_not_depend_on_its_logit_has_condition_0():
    """log p of a row's only class is 0 whatever its logit is."""
    alone = problem([[3.0]])
    for quantity in ("log-softmax", "cross-entropy"):
        of = replace(alone, loss=Loss(target=np.array([0]))) if quantity == "cross-entropy" else alone
        assert condition(of, quantity, Reference(of)).tolist() == [[0.0]]
