"""What counts as accurate is what the problem allows: checked against the formulas in exact and in ball arithmetic."""

from __future__ import annotations

from dataclasses import replace

import flint
import numpy as np
import pytest

import smcli
from smcli.judge import limits
from smcli.judge.conditioning import condition
from smcli.model import Loss, Problem
from smcli.problem.specs import Tolerance
from smcli.reference import Reference

NONE = Tolerance()


def limit(p, quantity):
    return limits.limit(p, quantity, Reference(p), NONE)


def balls(x):
    flint.ctx.prec = 300
    e = [flint.arb(float(v)).exp() for v in x]
    total = sum(e, flint.arb(0))
    return [v / total for v in e], total.log()


def test_softmax_and_hard_gradients_add_the_distance_from_the_maximum():
    p = Problem("float32", np.array([[0.0, -30.0, 2.0, -np.inf], [1.0, 1.0, 1.0, 1.0]]))
    base = 2 * (2 + 4)  # log2 4 + 4
    want = [[base + 4, base + 64, base, base], [base] * 4]
    assert limit(p, "softmax").ulp.tolist() == want
    hard = replace(p, loss=Loss(target=np.array([0, 1])))
    assert limit(hard, "gradient").ulp.tolist() == want and limit(hard, "gradient").parts is None
    for quantity in ("log-softmax", "cross-entropy"):
        assert limit(p, quantity).ulp == base
    one = Problem("float32", np.zeros((1, 1)))
    assert limit(one, "softmax").ulp.tolist() == [[8.0]] and limit(one, "cross-entropy").ulp == 8


def test_a_temperature_scales_the_distance_and_pairs_add_theirs():
    p = Problem("float64", np.array([[0.0, -8.0]]), temperature=0.5)
    base = 2 * (1 + 4)
    assert limit(p, "softmax").ulp.tolist() == [[base, base + 32]]
    assert limit(replace(p, temperature=1.0), "jacobian").ulp.tolist() == [[base, base + 16, base + 16, base + 32]]
    extreme = Problem("float64", np.array([[1.7e308, -1.7e308]]), temperature=0.1)  # and no warning
    assert np.isfinite(limit(extreme, "softmax").ulp).all()


def test_the_limit_does_not_depend_on_an_offset():
    near, far = (Problem("float64", np.array([[0.0, 1.0, 2.5]]) + offset) for offset in (0.0, 1e9))
    assert np.array_equal(limit(near, "softmax").ulp, limit(far, "softmax").ulp)


@pytest.mark.parametrize("seed", range(20))
def test_conditions_are_componentwise(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 10 ** rng.uniform(-2, 2), (3, 5)) + rng.choice([0.0, -3.0, 1e6])
    problem = Problem("float64", x)
    reference = Reference(problem)
    of_p, of_log, of_lse = (condition(problem, q, reference) for q in ("softmax", "log-softmax", "logsumexp"))
    for r, row in enumerate(x):
        p, lse = balls(row)
        sizes = [abs(flint.arb(float(v))) for v in row]
        kappa = sum((a * b for a, b in zip(p, sizes, strict=True)), flint.arb(0)) / abs(lse)
        assert float(kappa) == pytest.approx(of_lse[r, 0], rel=1e-9)
        assert limit(problem, "logsumexp").ulp[r, 0] == pytest.approx(
            max(8, 2 * (np.log2(5) + 4 + float(kappa))), rel=1e-9
        )
        for j in range(5):
            exact = sum((abs((i == j) - p[i]) * sizes[i] for i in range(5)), flint.arb(0))
            assert float(exact) == pytest.approx(of_p[r, j], rel=1e-9, abs=1e-300)
            assert float(exact / abs(p[j].log())) == pytest.approx(of_log[r, j], rel=1e-6)


def test_a_difference_is_judged_against_its_parts():
    x, y = np.array([[1.0, 2.0, 3.0]]), np.array([[0.2, 0.3, 0.5]])
    problem = Problem("float64", x, Loss(labels=y))
    got = limit(problem, "gradient")
    p, _ = balls(x[0])
    for j in range(3):
        parts = float(p[j]) + y[0, j]
        assert got.parts[0, j] == pytest.approx(parts, rel=1e-12)
        base = max(8, 2 * (np.log2(3) + 4 + 3 - x[0, j]))
        assert got.ulp[0, j] == pytest.approx(base * parts / abs(float(p[j]) - y[0, j]), rel=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_at_an_optimum_a_rounding_is_no_error_and_a_wrong_gradient_is(dtype):
    x = np.zeros((1, 2))
    labels = np.array([[0.5, 0.5]])
    report = smcli.gradient(x, labels=labels, dtype=dtype, methods="fused")
    assert report.scores()[0].counts == {"correct": 2}  # the truth is 0, and 0 is returned
    found = smcli.gradient([2.9444389791664403, 0], target=0, label_smoothing=0.1, methods="fused")
    assert set(found.scores()[0].counts) <= {"ok", "correct"} and not found.findings
    problem = Problem("float64", x, Loss(labels=labels))
    allowed = limit(problem, "gradient")
    from smcli.judge.measure import measure, round_truth
    from smcli.numbers.formats import get

    fmt, reference = get("float64"), Reference(problem)
    truth = reference.truth("gradient")
    rounded, _ = round_truth(truth, fmt)
    for error, word in ((1e-16, "ok"), (1e-12, "inaccurate"), (1.0, "inaccurate")):
        verdict = measure(np.full((1, 2), error), truth, rounded, fmt, allowed, np.zeros((1, 1), bool)).verdicts
        assert {smcli.model.Verdict(int(v)).label for v in verdict[0]} == {word}


def test_your_own_limits_replace_those_of_the_problem():
    p = Problem("float64", np.array([[1.0, 2.0]]))
    own = limits.limit(p, "softmax", Reference(p), Tolerance(max_rel=1e-3))
    assert own.ulp == np.inf and own.rel == 1e-3 and own.parts is None
    assert limits.reduced(100, Tolerance(max_ulp=2.0)).ulp == 2 and limits.reduced(2**20, NONE).ulp == 48


def test_the_classic_loss_is_not_excused_by_its_largest_logit():
    report = smcli.compare([-12.3392, 0], quantities="logsumexp", dtype="float32", methods="fused,log1p")
    fused, log1p = report.scores()
    assert set(fused.counts) == {"inaccurate"} and set(log1p.counts) <= {"ok", "correct"}


@pytest.mark.parametrize("hard", [0.0, 1.0])
def test_a_binary_gradient_is_a_difference_for_soft_labels_alone(hard):
    problem = Problem("float64", np.array([[1.0, -2.0]]), Loss("bce", labels=np.array([[hard, 0.25]])))
    parts = limit(problem, "gradient").parts
    assert parts[0, 0] == 0
    assert parts[0, 1] == pytest.approx(0.25 + 1 / (1 + np.exp(2.0)))
