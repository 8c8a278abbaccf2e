"""The divergence of nearly equal rows: the method that keeps its digits, and the finding about sums that do not."""

from __future__ import annotations

import os
import re

import flint
import numpy as np
import pytest
from samples import ball, precision

import smcli
from smcli import methods
from smcli.judge import limits
from smcli.judge.measure import measure, round_truth
from smcli.model import Loss, Problem, Verdict
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic
from smcli.problem.specs import Tolerance
from smcli.reference import Reference

ROWS = int(os.environ.get("SMCLI_ARB_ROWS", "40"))  # for each kind of row and format
INF = float("inf")
WORST = {"kl": 5.0, "gradient": 1e4}  # times the limit without a difference; an entry of a gradient may cross 0
LIMITS = re.compile(r"the limit, which allows for that, is ([^,\s]+), and (\S+) where nothing cancels")
SIZE = re.compile(r"absolute values sum to (\S+),")
KINDS = ("near", "far", "tail", "masked", "offset")


def some(kind, fmt, rows, columns, seed):
    """Two rows each, [rows, columns], of numbers of the format."""
    rng = np.random.default_rng([seed, *map(ord, kind + fmt.name)])
    a = rng.normal(size=(rows, columns)) * rng.choice([1.0, 10.0, 50.0], size=(rows, 1))
    noise = 10.0 ** rng.uniform(-16, 0, (rows, 1)) * rng.normal(size=a.shape)
    b = a + noise
    if kind == "far":
        b = rng.normal(size=a.shape) * rng.choice([1.0, 10.0, 50.0], size=(rows, 1))
    elif kind == "tail":
        b = a.copy()
        b[np.arange(rows), a.argmin(axis=1)] += rng.normal(0, 5, rows)
    elif kind == "offset":
        b = b + rng.choice([100.0, -30.0], size=(rows, 1))
    elif kind == "masked":
        out = rng.random(a.shape) < 0.3
        out[:, 0] = False
        a, b = np.where(out, -INF, a), np.where(out & (rng.random(a.shape) < 0.8), -INF, b)
    return fmt.round(a), fmt.round(b)


precise = precision(1500)  # a divergence may be e^-700


def divergence(a, b):
    """KL(softmax(a) ‖ softmax(b)) in ball arithmetic."""

    def logs(x):
        x = [None if v == -INF else ball(v) for v in x]
        lse = sum((v.exp() for v in x if v is not None), flint.arb(0)).log()
        return [None if v is None else v - lse for v in x]

    pairs = zip(logs(a), logs(b), strict=True)
    return sum((u.exp() * (u - v) for u, v in pairs if u is not None), flint.arb(0))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_bregman_against_arb(kind, dtype):
    fmt = formats.get(dtype)
    a, b = some(kind, fmt, ROWS, 6, 1)
    if kind == "masked":
        a = np.where(np.isfinite(b), a, -INF)
    problem = Problem(dtype, b, Loss("kl", teacher=a))
    y = methods.run(methods.get("bregman"), problem, "kl", Arithmetic(fmt, fmt)).values[:, 0]
    allowed = limits.limit(problem, "kl", Reference(problem), Tolerance()).base
    for row in range(ROWS):
        true = divergence(a[row], b[row])
        scale = max(abs(float(true.mid())), fmt.smallest_normal)
        wrong = float(abs(ball(y[row]) - true).mid()) / scale / (2 * fmt.unit_roundoff)  # half to one spacing
        assert wrong <= WORST["kl"] * allowed[row, 0] * 2, (a[row].tolist(), b[row].tolist(), wrong)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", formats.FORMATS)
@pytest.mark.parametrize("quantity", ["kl", "gradient"])
def test_bregman_is_accurate_without_the_excuse_of_a_difference(quantity, dtype, reverse):
    fmt = formats.get(dtype)
    for kind in ("near", "offset"):
        a, b = some(kind, fmt, 200, 12, 2)
        problem = Problem(dtype, b, Loss("kl", teacher=a, reverse=reverse))
        errors, limit = judged(problem, quantity, "bregman")
        ulp = np.where(np.abs(np.ldexp(*truth_of(problem, quantity))) < fmt.smallest_normal, 0.0, errors.ulp)
        assert (ulp <= WORST[quantity] * limit.base).all(), (kind, np.nanmax(ulp / limit.base))
        assert not (errors.verdicts == Verdict.LOST).any()


def truth_of(problem, quantity):
    truth = Reference(problem).truth(quantity)
    return truth.hi, np.clip(truth.exp2, -3000, 3000).astype(np.int32)


def judged(problem, quantity, method, compute=None):
    fmt = formats.get(problem.dtype)
    inner = formats.get(compute) if compute else fmt
    y = methods.run(methods.get(method), problem, quantity, Arithmetic(inner, inner)).values
    reference = Reference(problem)
    truth = reference.truth(quantity)
    rounded = reference.settle(quantity, *round_truth(truth, fmt), fmt)
    limit = limits.limit(problem, quantity, reference, Tolerance())
    return measure(y, truth, rounded, fmt, limit, np.zeros((len(y), 1), dtype=bool)), limit


def test_what_only_one_row_masks():
    def value(x, against, reverse=False):
        report = smcli.compare(x, against=against, reverse=reverse, quantities="kl", methods="bregman")
        return report.to_dict()["rows"][0]["results"][0]["methods"][0]["values"][0]

    assert value([0, 0], [0, -INF]) == pytest.approx(np.log(2), rel=1e-15)
    assert value([0, -INF], [0, 0]) == "inf"
    assert value([0, 1, -INF], [1, 2, -INF]) == 0
    assert value([-800, 0], [0, -800]) == pytest.approx(800, rel=1e-15)
    assert value([0, -INF], [0, -800], reverse=True) == 0  # 1 · log(1/1), e^-800 rounds to nothing


def test_reverse_and_compute_are_as_anywhere():
    x, t = [0.5, 1.5, -1.0], [0.5078125, 1.5, -1.0]
    for options in ({}, {"reverse": True}):
        report = smcli.compare(
            x, against=t, quantities="kl", methods="bregman", dtype="bfloat16", compute="float32", **options
        )
        assert report.worst_ulp("bregman", "kl") <= 0.5
        report = smcli.gradient(
            x, against=t, quantities="kl", methods="bregman", dtype="bfloat16", compute="float32", **options
        )
        assert report.worst_ulp("bregman", "gradient") <= 0.5


def test_it_differentiates_a_divergence_alone():
    report = smcli.gradient([1, 2], target=0, methods="bregman,fused")
    told = report.to_dict()["rows"][0]["results"][0]["methods"]
    assert [(m["method"], m["available"]) for m in told] == [("bregman", False), ("fused", True)]
    assert told[0]["reason"] == "it has no cross-entropy to differentiate"
    everything = smcli.gradient([1, 2], target=0, methods="all").to_dict()["rows"][0]["results"][0]["methods"]
    assert all(m["available"] for m in everything) and "bregman" not in {m["method"] for m in everything}
    of_kl = smcli.gradient([1, 2], against=[1, 2.5], quantities="kl", methods="all").to_dict()["rows"][0]["results"][0]
    assert "bregman" in {m["method"] for m in of_kl["methods"]} and not {"clipped", "epsilon", "bceloss"} & {
        m["method"] for m in of_kl["methods"]
    }


def found(x, against, **options):
    report = smcli.compare(x, against=against, quantities="kl", **options)
    return {f.method: f for f in report.findings if f.code == "SM408"}


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_a_sum_that_cancelled_is_told_and_the_remedy_holds(dtype):
    fmt, told = formats.get(dtype), 0
    for kind in ("near", "offset", "tail", "far"):
        a, b = some(kind, fmt, 60, 5, 3)
        for method in ("naive", "fused", "log1p"):
            problem = Problem(dtype, b, Loss("kl", teacher=a))
            errors, limit = judged(problem, "kl", method)
            better, _ = judged(problem, "kl", "bregman")
            report = smcli.compare(b, against=a, quantities="kl", methods=method, dtype=dtype)
            hit = {row: f for row, rows in enumerate(report.rows) for f in rows.findings if f.code == "SM408"}
            base = np.broadcast_to(limit.base, errors.ulp.shape)
            for row in range(len(a)):
                terms = terms_of(a[row], b[row])
                size, mixed = sum(map(abs, terms)), any(t > 0 for t in terms) and any(t < 0 for t in terms)
                cancelled = mixed and bool(size >= 4.001 * sum(terms))
                if row in hit:
                    told += 1
                    f = hit[row]
                    assert errors.ulp[row, 0] > base[row, 0] and mixed and size >= 3.999 * sum(terms)
                    assert float(SIZE.search(f.message)[1]) == pytest.approx(float(size), rel=1e-5)
                    assert "cancel" in f.message and ("no divergence is negative" in f.message) == (
                        value_of(report, row) < 0
                    )
                    excused, least = map(float, LIMITS.search(f.message).groups())
                    due = np.broadcast_to(limit.ulp, errors.ulp.shape)[row, 0]
                    assert (excused, least) == (pytest.approx(due, rel=1e-5), pytest.approx(base[row, 0], rel=1e-5))
                    assert errors.verdicts[row, 0] != Verdict.OK or errors.ulp[row, 0] <= excused * 1.00001
                    if f.remedy.endswith("(method bregman)"):
                        assert better.ulp[row, 0] <= base[row, 0]
                    else:
                        assert better.ulp[row, 0] > base[row, 0]
                elif cancelled and np.isfinite(errors.ulp[row, 0]) and errors.ulp[row, 0] > base[row, 0]:
                    assert errors.ulp[row, 0] > 4 * np.broadcast_to(limit.ulp, errors.ulp.shape)[row, 0]
    assert told > 100


def terms_of(a, b):
    """p·log(p/q) of the classes of a row, by ball arithmetic."""
    logs = [
        [v - sum((v.exp() for v in x), flint.arb(0)).log() for v in x] for x in (list(map(ball, a)), list(map(ball, b)))
    ]
    return [u.exp() * (u - v) for u, v in zip(*logs, strict=True)]


def value_of(report, row):
    return float(report.to_dict()["rows"][row]["results"][0]["methods"][0]["values"][0])


def test_the_figures_of_the_finding():
    f = found([1, 2, 3], [1.0000001, 2, 3], methods="naive")["naive"]
    assert "1.6385e-08" in f.message and "4.09625e-16" in f.message and f.severity == "warning"
    p = np.exp([1.0000001, 2, 3])
    p /= p.sum()
    d = np.array([1, 2, 3]) - np.array([1.0000001, 2, 3])
    d -= np.log1p((p * np.expm1(d)).sum())
    assert np.abs(p * d).sum() == pytest.approx(1.6385e-08, rel=1e-4)
    assert (p * (d * d / 2 + d**3 / 6)).sum() == pytest.approx(4.09625e-16, rel=1e-5)


def test_where_the_temperature_rounds_the_logits_the_remedy_is_a_wider_format():
    f = found([1, 2, 3], [1.0000001, 2, 3], methods="fused", temperature=3, dtype="float32")["fused"]
    assert f.remedy.endswith("(method bregman), in float64")
    wide = smcli.compare([1, 2, 3], against=[1.0000001, 2, 3], quantities="kl", methods="bregman", temperature=3,
                         dtype="float32", compute="float64")  # fmt: skip
    assert wide.worst_ulp("bregman", "kl") <= 8
    f = found([1, 2, 3], [1.0000001, 2, 3], methods="fused", temperature=3)["fused"]
    assert "in a wider format" in f.remedy and "eval" in f.remedy


def test_code_whose_steps_are_not_seen_is_told_too():
    x, t = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0000001, 2.0, 3.0]])
    p, q = (np.exp(v - v.max()) / np.exp(v - v.max()).sum() for v in (t, x))
    report = smcli.check(x, [(p * np.log(p / q)).sum()], quantity="kl", against=t)
    assert [f.code for f in report.findings] == ["SM408"]
