"""The truth of entropy, divergence, focal loss, sigmoids, signed logsumexp and their derivatives, against Arb."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np
import pytest
from samples import ball, precision

from smcli import quantities
from smcli.model import Loss, Problem
from smcli.reference import Reference

ROWS = int(os.environ.get("SMCLI_ARB_ROWS", "12"))  # for each kind of row and each case
INF = math.inf


precise = precision(1200)


class Arb:
    """One row in ball arithmetic, by the textbook's formulas."""

    def __init__(self, problem, row):
        self.q, self.loss, self.row = problem, problem.loss, row
        self.x = self.effective(problem.logits[row])
        self.log_p = self.logs(self.x)
        self.p = [v.exp() if v is not None else flint.arb(0) for v in self.log_p]

    def effective(self, values):
        t, cap = ball(self.q.temperature), self.q.softcap
        x = [None if v == -INF else ball(v) / t for v in values]
        return x if cap is None else [None if v is None else ball(cap) * (v / ball(cap)).tanh() for v in x]

    @staticmethod
    def logs(x):
        top = max((v for v in x if v is not None), key=lambda v: float(v.mid()))
        lse = top + sum(((v - top).exp() for v in x if v is not None), flint.arb(0)).log()
        return [None if v is None else v - lse for v in x]

    def slope(self, j):
        cap = self.q.softcap
        inner = (
            flint.arb(1) if cap is None else 1 - (self.x[j] / ball(cap)) ** 2 if self.x[j] is not None else flint.arb(1)
        )
        return inner / ball(self.q.temperature)

    def of(self, quantity, j):
        return getattr(self, quantity.replace("-", "_"))(j)

    def sigmoid(self, j):
        return 1 / (1 + (-self.x[j]).exp()) if self.x[j] is not None else flint.arb(0)

    def log_sigmoid(self, j):
        return -(1 + (-self.x[j]).exp()).log()

    def entropy(self, _):
        return -sum((p * log for p, log in zip(self.p, self.log_p, strict=True) if log is not None), flint.arb(0))

    def teacher(self):
        return self.logs(self.effective(self.loss.teacher[self.row]))

    def kl(self, _):
        first, second = (self.log_p, self.teacher()) if self.loss.reverse else (self.teacher(), self.log_p)
        return sum((a.exp() * (a - b) for a, b in zip(first, second, strict=True) if a is not None), flint.arb(0))

    def pulled(self, p, q, log):
        g = ball(self.loss.gamma)
        return q ** (g + 1) + g * p * log * q**g

    def focal(self, j):
        g = ball(self.loss.gamma)
        if self.loss.labels is not None:
            y, s, r = ball(self.loss.labels[self.row, j]), self.sigmoid(j), 1 / (1 + self.x[j].exp())
            return -y * r**g * s.log() - (1 - y) * s**g * r.log()
        t = self.loss.target[self.row]
        rest = sum((p for i, p in enumerate(self.p) if i != t), flint.arb(0))
        w = 1 if self.loss.weights is None else ball(self.loss.weights[t])
        return -w * rest**g * self.log_p[t]

    def logsumexp(self, _):
        return abs(self.total()).log()

    def total(self):
        return sum(
            (ball(b) * v.exp() for b, v in zip(self.q.coefficients, self.x, strict=True) if v is not None), flint.arb(0)
        )

    def gradient(self, j):
        scale = ball(self.q.scale) * self.slope(j)
        kind, p = self.loss.kind, self.p[j]
        if kind == "entropy":
            return flint.arb(0) if self.log_p[j] is None else -scale * p * (self.log_p[j] + self.entropy(0))
        if kind == "kl" and not self.loss.reverse:
            t = self.teacher()[j]
            return scale * (p - (flint.arb(0) if t is None else t.exp()))
        if kind == "kl":
            return (
                flint.arb(0) if self.log_p[j] is None else scale * p * (self.log_p[j] - self.teacher()[j] - self.kl(0))
            )
        if self.loss.labels is not None:
            y, s, r = ball(self.loss.labels[self.row, j]), self.sigmoid(j), 1 / (1 + self.x[j].exp())
            return scale * ((1 - y) * self.pulled(r, s, -r.log()) - y * self.pulled(s, r, -s.log()))
        t = self.loss.target[self.row]
        rest = sum((v for i, v in enumerate(self.p) if i != t), flint.arb(0))
        w = 1 if self.loss.weights is None else ball(self.loss.weights[t])
        pull = w * scale * self.pulled(self.p[t], rest, -self.log_p[t])
        return -pull if j == t else pull / rest * p

    def vjp(self, j):
        v = [ball(c) for c in self.q.cotangent]
        if self.q.vjp_of == "log-softmax":
            return (v[j] - self.p[j] * sum(v, flint.arb(0))) * self.slope(j)
        if self.q.coefficients is None:
            return v[0] * self.p[j] * self.slope(j)
        return v[0] * ball(self.q.coefficients[j]) * self.x[j].exp() / self.total() * self.slope(j)


CASES = {
    "sigmoid": ("sigmoid", {}, {}),
    "log-sigmoid": ("log-sigmoid", {}, {}),
    "entropy": ("entropy", {}, {}),
    "entropy, warm": ("entropy", {}, {"temperature": 0.7}),
    "entropy, capped": ("entropy", {}, {"softcap": 30.0}),
    "kl": ("kl", {"kind": "kl"}, {}),
    "kl, warm": ("kl", {"kind": "kl"}, {"temperature": 3.0}),
    "kl, capped": ("kl", {"kind": "kl"}, {"softcap": 30.0}),
    "kl, reverse": ("kl", {"kind": "kl", "reverse": True}, {}),
    **{f"focal {g}": ("focal", {"kind": "focal", "gamma": g}, {}) for g in (0.0, 0.5, 2.0, 5.0, 0.3)},
    "focal, capped": ("focal", {"kind": "focal", "gamma": 2.0}, {"softcap": 20.0}),
    **{f"focal of sigmoids {g}": ("focal", {"kind": "focal", "gamma": g, "labels": True}, {}) for g in (0.0, 0.5, 2.0)},
    **{
        f"focal of hard labels {g}": ("focal", {"kind": "focal", "gamma": g, "labels": "hard"}, {})
        for g in (0.5, 1.0, 2.0, 3.0, 16.0, 20.0)
    },
    "focal of hard labels, capped": ("focal", {"kind": "focal", "gamma": 2.5, "labels": "hard"}, {"softcap": 20.0}),
    "signed logsumexp": ("logsumexp", {}, {"coefficients": True}),
    "signed logsumexp, warm": ("logsumexp", {}, {"coefficients": True, "temperature": 3.0}),
    "gradient of entropy": ("gradient", {"kind": "entropy"}, {}),
    "gradient of entropy, capped": ("gradient", {"kind": "entropy"}, {"softcap": 30.0, "temperature": 2.0}),
    "gradient of kl": ("gradient", {"kind": "kl"}, {"scale": Fraction(1, 4)}),
    "gradient of kl, capped": ("gradient", {"kind": "kl"}, {"softcap": 30.0}),
    "gradient of kl, reverse": ("gradient", {"kind": "kl", "reverse": True}, {"temperature": 3.0}),
    "gradient of kl, reverse, capped": ("gradient", {"kind": "kl", "reverse": True}, {"softcap": 30.0}),
    **{f"gradient of focal {g}": ("gradient", {"kind": "focal", "gamma": g}, {}) for g in (0.0, 0.5, 2.0, 5.0)},
    "gradient of focal, warm": ("gradient", {"kind": "focal", "gamma": 0.3}, {"temperature": 3.0, "softcap": 25.0}),
    "gradient of focal of sigmoids": ("gradient", {"kind": "focal", "gamma": 1.5, "labels": True}, {}),
    **{
        f"gradient of focal of hard labels {g}": ("gradient", {"kind": "focal", "gamma": g, "labels": "hard"}, options)
        for g, options in ((1.0, {}), (2.0, {"scale": Fraction(3, 4)}), (1.5, {"temperature": 0.7}), (7.0, {}))
    },
    "vjp of log-softmax": ("vjp", {}, {"vjp_of": "log-softmax", "cotangent": True}),
    "vjp of logsumexp": ("vjp", {}, {"vjp_of": "logsumexp", "cotangent": True}),
    "vjp of signed logsumexp": ("vjp", {}, {"vjp_of": "logsumexp", "cotangent": True, "coefficients": True}),
}
ROWS_OF = ["plain", "ties", "offset", "masked", "saturated", "integers"]


def some(kind, rng, rows, columns):
    """Logits of one kind, and a teacher that is near, far, or the same but for a few bits."""
    x = rng.normal(size=(rows, columns)) * rng.choice([0.1, 1.0, 5.0, 20.0], size=(rows, 1))
    if kind == "ties":
        x = rng.integers(-1, 2, size=x.shape).astype(float)
    elif kind == "integers":
        x = rng.integers(-30, 30, size=x.shape).astype(float)
    elif kind == "offset":
        x = x + rng.choice([1e3, -1e6, 2.0**40, -(2.0**50)], size=(rows, 1))
    elif kind == "saturated":
        x[:, 0] += rng.choice([50.0, 200.0, 300.0], size=rows)
    near = rng.choice([0.0, 1e-12, 1e-8, 1e-4, 0.1, 1.0, 5.0], size=(rows, 1))
    teacher = x + near * rng.normal(size=x.shape)
    if kind == "ties":
        teacher = np.where(rng.random((rows, 1)) < 0.5, rng.permuted(x, axis=1), teacher)
    if kind == "masked":
        out = rng.random(x.shape) < 0.3
        out[:, :2] = False
        x, teacher = np.where(out, -INF, x), np.where(out, -INF, teacher)
    return x, teacher


def build(case, kind, seed, rows=ROWS, columns=7, dtype="float64"):
    quantity, loss, options = CASES[case]
    rng = np.random.default_rng([seed, *map(ord, case + kind)])
    x, teacher = some(kind, rng, rows, columns)
    loss, options = dict(loss), dict(options)
    if "softcap" in options:  # far beyond it, capped logits differ by less than any computation can tell
        x, teacher = (np.where(np.isfinite(v), np.clip(v, -1e3, 1e3 + v / 2.0**52), v) for v in (x, teacher))
    if options.get("coefficients"):
        options["coefficients"] = rng.choice([1.0, -1.0, 0.5, -2.25, 0.0], size=columns)
        if not options["coefficients"].any():
            options["coefficients"][0] = 1.0
    if options.get("cotangent"):
        size = 1 if options["vjp_of"] == "logsumexp" else columns
        options["cotangent"] = rng.normal(size=size)
    if dtype == "float32":
        x, teacher = (v.astype(np.float32).astype(np.float64) for v in (x, teacher))
    made = None
    if loss:
        if loss["kind"] == "kl":
            loss["teacher"] = teacher
        if loss["kind"] == "focal" and loss.get("labels"):
            some_labels = [0.0, 1.0] if loss["labels"] == "hard" else [0.0, 1.0, 0.5, 0.25]
            loss["labels"] = rng.choice(some_labels, size=x.shape)
        elif loss["kind"] == "focal":
            loss["target"] = rng.integers(0, 2, size=rows)
        made = Loss(**loss)
    return quantity, Problem(dtype, x, made, **options)


def check(truth, row, j, arb):
    hi, lo, exp2 = float(truth.hi[row, j]), float(truth.lo[row, j]), int(truth.exp2[row, j])
    if hi == 0:
        assert arb.contains(0) or abs(arb) < flint.arb(2) ** -1000, (row, j, arb)
        return
    value = (ball(hi) + ball(lo)) * flint.arb(2) ** exp2
    assert abs(value - arb) <= abs(arb) * ball(truth.bound) * (1 + flint.arb(2) ** -40) + flint.arb(2) ** -1100, (
        row,
        j,
        hi,
        exp2,
        arb,
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ROWS_OF)
@pytest.mark.parametrize("case", CASES)
def test_the_truth_of_a_block_against_arb(case, kind, dtype):
    quantity, problem = build(case, kind, 1, dtype=dtype)
    if quantity in {"log-sigmoid", "sigmoid"} or (problem.loss is not None and problem.loss.labels is not None):
        problem = replace(problem, logits=np.where(np.isfinite(problem.logits), problem.logits, -3.0))
    if problem.coefficients is not None:
        problem = replace(problem, logits=np.where(np.isfinite(problem.logits), problem.logits, -3.0))
    reference = Reference(problem)
    truth = reference.truth(quantity)
    for row in range(len(problem.logits)):
        arb = Arb(problem, row)
        for j in range(truth.hi.shape[1]):
            if np.isfinite(truth.hi[row, j]):
                check(truth, row, j, arb.of(quantity, j))
            elif quantity == "logsumexp":
                assert truth.hi[row, j] == -INF and arb.total().contains(0)
            else:
                assert quantity == "vjp" and problem.coefficients is not None and arb.total().contains(0)


@pytest.mark.parametrize("kind", ROWS_OF)
@pytest.mark.parametrize("case", CASES)
def test_integers_agree_with_arb(case, kind):
    quantity, problem = build(case, kind, 2, rows=2)
    problem = replace(problem, logits=np.where(np.isfinite(problem.logits), problem.logits, -3.0))
    if problem.loss is not None and problem.loss.teacher is not None:
        teacher = np.where(np.isfinite(problem.loss.teacher), problem.loss.teacher, -2.0)
        problem = replace(problem, loss=replace(problem.loss, teacher=teacher))
    reference = Reference(problem)
    for row in range(2):
        exact, arb = reference.exact_row(row), Arb(problem, row)
        for j in range(quantities.get(quantity).size(problem)):
            if exact.special(quantity, j) is not None:
                assert arb.total().contains(0)
                continue
            hi, lo, exp2 = exact.triple(quantity, j)
            value, want = (ball(hi) + ball(lo)) * flint.arb(2) ** exp2, arb.of(quantity, j)
            assert abs(value - want) <= abs(want) * flint.arb(2) ** -99.9 + flint.arb(2) ** -1000, (row, j)


def row_of(quantity, x, loss=None, **options):
    problem = Problem("float64", np.array([x], dtype=float), loss, **options)
    return Reference(problem).strings(quantity, 0, range(quantities.get(quantity).size(problem)), 17)


def kl(x, teacher, **options):
    return row_of("kl", x, Loss("kl", teacher=np.array([teacher], dtype=float), **options))[0]


def test_conventions():
    assert [row_of("entropy", x)[0] for x in ([INF, 0], [0, -INF], [INF, INF], [-INF, -INF], [math.nan, 1])] == [
        *("0", "0"),
        *("nan", "nan", "nan"),
    ]
    assert kl([5, 5, 5], [7, 7, 7]) == kl([1, 2, -INF], [3, 4, -INF]) == "0"
    assert kl([-INF, -INF], [-INF, -INF]) == kl([INF, INF], [INF, INF]) == kl([math.nan, 0], [math.nan, 0]) == "nan"
    assert kl([0, -INF], [0, 0]) == kl([0, 0], [0, -INF], reverse=True) == "inf"
    assert kl([0, 0], [0, -INF]) == "0.69314718055994531"
    assert {kl([0, math.nan], [0, 0]), kl([0, 0], [-INF, -INF]), kl([-INF, -INF], [0, 0]), kl([0, 0], [INF, INF])} == {
        "nan"
    }
    assert row_of("sigmoid", [INF, -INF, 0]) == ["1", "0", "0.5"]
    assert row_of("log-sigmoid", [INF, -INF, 40]) == ["0", "-inf", "-4.248354255291589e-18"]
    target = Loss("focal", target=np.array([1]))
    assert row_of("focal", [0, -INF], target) == ["inf"] and row_of("focal", [-INF, 0], target) == ["0"]
    assert row_of("gradient", [-INF, 0], target) == ["0", "0"]
    assert row_of("focal", [INF, -INF, 0], Loss("focal", labels=np.array([[1.0, 1.0, 0.5]])))[:2] == ["0", "inf"]
    reverse = Loss("kl", teacher=np.array([[0.0, -INF]]), reverse=True)
    assert row_of("gradient", [0, 0], reverse) == ["nan", "nan"]


def test_signs_and_exact_zeros_of_signed_sums():
    b = np.array([1.0, -1.0, 1.0])
    x = np.array(
        [[3.0, 3.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, -INF], [INF, 1.0, 1.0], [1.0, INF, 1.0], [INF, INF, 0.0]]
    )
    reference = Reference(Problem("float64", x, coefficients=b))
    assert np.array_equal(reference.signs().ravel(), [1, -1, 0, 1, -1, math.nan], equal_nan=True)
    texts = [reference.strings("logsumexp", row, [0], 17)[0] for row in range(6)]
    assert texts[0] == "1"
    assert texts[2:] == ["-inf", "inf", "inf", "nan"]
    assert row_of("logsumexp", [INF, 2, -INF], coefficients=np.array([0.0, 1.0, 1.0])) == ["2"]
    assert row_of("vjp", [1, 1], vjp_of="logsumexp", cotangent=np.ones(1), coefficients=np.array([1.0, -1.0])) == [
        "nan",
        "nan",
    ]


def test_zeros_of_gradients_are_exact():
    swapped = Loss("kl", teacher=np.array([[0.0, 2.0, 1.0]]))
    assert row_of("gradient", [0, 1, 2], swapped)[0] == "0"
    assert row_of("gradient", [3, 3, 3], Loss("entropy")) == ["0"] * 3
    assert row_of("gradient", [1, 2, 3], Loss("kl", teacher=np.array([[2.0, 3.0, 4.0]]), reverse=True)) == ["0"] * 3


def test_a_cotangent_whose_sum_is_no_float():
    product = row_of("vjp", [1, 2, 3], vjp_of="log-softmax", cotangent=np.full(3, 1e308))
    assert product == ["7.2990828048885863e307", "2.6581458683560705e307", "-9.9572286732446568e307"]


def test_losses_far_out():
    near_one = Loss("focal", target=np.array([0]), gamma=0.5)
    far = row_of("focal", [1e300, 0], near_one)[0]
    assert "e-" in far and len(far.split("e-")[1]) > 290  # (1 − p)^1.5 with 1 − p = e^-1e300
    assert kl([0, 2.0**53 + 2], [0, -INF]) == "9007199254740994"
    assert row_of("sigmoid", [-1e300])[0].count("e-") == 1


def test_at_temperature_zero():
    teacher = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 3.0]])
    x = np.array([[1.0, 5.0], [5.0, 1.0], [2.0, 2.0]])
    cold = Problem("float64", x, Loss("kl", teacher=teacher), temperature=0.0)
    assert Reference(cold).truth("kl").hi.ravel().tolist() == [0.0, INF, 0.0]
    assert Reference(cold).strings("entropy", 2, [0], 17) == ["0.69314718055994531"]
    assert Reference(cold).truth("sigmoid").hi.tolist() == [[1.0, 1.0]] * 3
    signed = Problem(
        "float64",
        np.array([[3.0, 3.0, 0.0], [3.0, 2.0, 1.0]]),
        coefficients=np.array([1.0, -1.0, 2.0]),
        temperature=0.0,
    )
    assert Reference(signed).truth("logsumexp").hi.ravel().tolist() == [math.log(2), INF]


@pytest.mark.parametrize("case", ["kl", "entropy", "focal 2.0", "signed logsumexp", "gradient of kl"])
def test_roundings_and_distances_follow_the_truth(case):
    from smcli.numbers import formats

    quantity, problem = build(case, "plain", 5, rows=4)
    reference = Reference(problem)
    truth = reference.truth(quantity)
    fmt = formats.get("float64")
    rounded = reference.settle(quantity, np.zeros(truth.hi.shape), np.ones(truth.hi.shape, bool), fmt)
    assert np.array_equal(rounded, np.ldexp(truth.hi + truth.lo, truth.exp2.astype(int)))
    up = np.nextafter(rounded, np.inf)
    for row in range(4):
        apart = reference.distances(quantity, row, [0], [float(up[row, 0])])[0]
        arb = Arb(problem, row).of(quantity, 0)
        assert abs(apart - float(((ball(up[row, 0]) - arb) / arb).mid())) <= abs(apart) * 1e-5
    assert reference.sided(quantity, np.ones(truth.hi.shape, bool)).hi.shape == truth.hi.shape


@pytest.mark.parametrize("case", ["kl", "entropy", "focal 2.0", "focal of sigmoids 0.5"])
@pytest.mark.parametrize("digits", [17, 40])
def test_reduced_losses(case, digits):
    from smcli.reference import reduce_losses

    quantity, problem = build(case, "plain", 6, rows=3)
    problem = problem if problem.loss is not None else replace(problem, loss=Loss("entropy"))
    truth, text = reduce_losses([Reference(problem)], quantity, Fraction(1, 3), digits)
    size = quantities.get(quantity).size(problem)
    want = sum((Arb(problem, row).of(quantity, j) for row in range(3) for j in range(size)), flint.arb(0)) / 3
    assert abs(flint.arb(text) - want) <= abs(want) * flint.arb(10) ** (1 - digits)
    assert abs(ball(truth.hi[0, 0]) * flint.arb(2) ** int(truth.exp2[0, 0]) - want) <= abs(want) * flint.arb(2) ** -52
