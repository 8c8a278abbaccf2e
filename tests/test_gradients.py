"""Losses and derivatives of every variant: the truth against Arb, methods and differences against the truth."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import flint
import numpy as np
import pytest
from flint import arb
from samples import from_text, precision

import smcli
from smcli import read
from smcli.api.objects import Objects
from smcli.numbers import formats
from smcli.problem.build import problems
from smcli.reference import Reference
from smcli.request import Request

DTYPES = ("float64", "float32", "bfloat16")
LOSSES = ("hard", "smoothed", "soft", "soft-smoothed", "weighted", "warm", "capped", "z-loss", "ignored", "all", "bce")
ROWS = 20  # problems a loss, a format and a reduction: 11 × 3 × 3 × 20 = 1980, and as many gradients


precise = precision(700)


def settings(**asked):
    return Request.of("grad", Objects(asked)).settle()


def ball(x) -> arb:
    x = Fraction(x)
    return arb(flint.fmpq(x.numerator, x.denominator))


class Truth:
    """The loss of a row and its gradient by textbook formulas, in 700 bits; options as in `smcli.compare`."""

    def __init__(self, x, fmt, r, options):
        def given(name, default):
            value = options.get(name, default)
            return [ball(float(v)) for v in fmt.round(np.array(value, dtype=np.float64)).reshape(-1)]

        n = len(x)
        t, cap, z = given("temperature", 1)[0], given("softcap", 0)[0], given("z_loss", 0)[0]
        y, slope = [ball(v) / t for v in x], [1 / t] * n
        if "softcap" in options:
            slope = [s / (v / cap).cosh() ** 2 for s, v in zip(slope, y, strict=True)]
            y = [cap * (v / cap).tanh() for v in y]
        self.ignored = "target" in options and options["target"][r] == options.get("ignore_index")
        if "target" in options:
            labels = [arb(int(i == options["target"][r])) for i in range(n)]
        else:
            labels = [ball(float(v)) for v in fmt.round(np.array(options["labels"][r], dtype=np.float64))]
        self.bce = [(1 + v.exp()).log() - v * k for v, k in zip(y, labels, strict=True)]
        self.bce_gradient = [(1 / (1 + (-v).exp()) - k) * s for v, k, s in zip(y, labels, slope, strict=True)]
        e = ball(options.get("label_smoothing", 0.0))
        weights = given("class_weights", [1] * n)
        c = [w * (k * (1 - e) + e / n) for k, w in zip(labels, weights, strict=True)]
        total = sum((v.exp() for v in y), arb(0))
        lse = total.log()
        self.loss = sum((k * (lse - v) for k, v in zip(c, y, strict=True)), arb(0)) + z * lse**2
        factor = sum(c, arb(0)) + 2 * z * lse
        self.gradient = [(v.exp() / total * factor - k) * s for v, k, s in zip(y, c, slope, strict=True)]
        self.weight = weights[options["target"][r]] if "target" in options and not self.ignored else arb(0)


def draw(kind, rng, rows):
    """Random rows of one length, and the options of a loss of that kind."""
    n = int(rng.integers(1, 8))
    x = rng.normal(0, rng.choice([0.1, 1, 5, 25]), (rows, n)) + rng.choice([0, 0, -30, 30])
    options = {}
    if kind in {"soft", "soft-smoothed", "bce"} or (kind in {"z-loss", "all"} and rng.random() < 0.5):
        options["labels"] = (rng.random((rows, n)) * rng.integers(0, 2, (rows, n))).tolist()
    else:
        options["target"] = rng.integers(0, n, rows).tolist()
    if kind in {"smoothed", "soft-smoothed", "all"}:
        options["label_smoothing"] = float(rng.choice([0.1, 0.3, 1.0]))
    if kind in {"weighted", "all"}:
        options["class_weights"] = (rng.random(n) * 3 + 0.01).tolist()
    if kind in {"warm", "all"} or (kind == "bce" and rng.random() < 0.5):
        options["temperature"] = float(rng.choice([0.25, 0.7, 3]))
    if kind in {"capped", "all"} or (kind == "bce" and rng.random() < 0.5):
        options["softcap"] = float(rng.choice([2, 5, 30]))
    if kind in {"z-loss", "all"}:
        options["z_loss"] = float(rng.choice([0.001, 0.5]))
    if kind == "ignored" or (kind == "all" and "target" in options):
        options["ignore_index"] = -100
        options["target"] = [t if rng.random() < 0.7 else -100 for t in options["target"]]
    return x, options


def close(text, want, relative):
    """Whether the decimals are within that of the value, or both vanish."""
    got = arb(text)
    return bool(abs(got - want) <= abs(want) * relative + arb(2) ** -500)


def mean_factor(truths, options, kind, x):
    if kind == "bce":
        return 1 / arb(x.size)
    if "target" not in options:
        return 1 / arb(len(x))
    total = sum((t.weight for t in truths), arb(0))
    return 1 / total if total != 0 else None


def results(report):
    return [row["results"][0]["exact"] for row in report["rows"]]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", LOSSES)
def test_losses_and_gradients_agree_with_arb(kind, dtype, reduction):
    rng = np.random.default_rng([LOSSES.index(kind), DTYPES.index(dtype), len(reduction)])
    fmt, quantity = formats.get(dtype), "bce" if kind == "bce" else "cross-entropy"
    for rows in (1, 4, ROWS - 5):
        x, options = draw(kind, rng, rows)
        digits = int(rng.choice([9, 12, 16, 17, 18, 25]))
        half = arb(f"5.0001e-{digits}")  # half a unit of the last digit, and no more
        asked = {"dtype": dtype, "digits": digits, "reduction": reduction, "quantities": quantity, **options}
        values = smcli.compare(x, methods="naive,fused", **asked).to_dict()
        slopes = smcli.gradient(x, methods="fused", **asked).to_dict()
        exact = [Truth(row["logits"], fmt, r, options) for r, row in enumerate(values["rows"])]
        scale = mean_factor(exact, options, kind, x) if reduction == "mean" else arb(1)
        losses = []
        for t, loss, gradient in zip(exact, results(values), results(slopes), strict=True):
            want = t.bce if kind == "bce" else [t.loss]
            wanted = t.bce_gradient if kind == "bce" else t.gradient
            if t.ignored:
                assert loss == ["0"] and set(gradient) == {"0"}
                continue
            losses += want
            assert all(close(a, w, half) for a, w in zip(loss, want, strict=True)), (x, options)
            if scale is not None:
                assert all(close(a, w * scale, half) for a, w in zip(gradient, wanted, strict=True)), (x, options)
        if reduction != "none":
            (total,) = values["summary"]["reduced"][quantity]["exact"]
            if scale is None:
                assert total == "nan"
            else:
                assert close(total, sum(losses, arb(0)) * scale, half), (x, options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", LOSSES)
def test_pairs_of_the_truth_are_within_their_bound(kind, dtype):
    rng = np.random.default_rng([LOSSES.index(kind), DTYPES.index(dtype), 7])
    fmt = formats.get(dtype)
    for _ in range(2):
        x, options = draw(kind, rng, 12)
        name = "bce" if kind == "bce" else "cross-entropy"
        found = settings(dtype=dtype, quantities=name, **options)
        for problem, _ in problems(read.from_object(x), found):
            for quantity in (name, "gradient"):
                truth = Reference(problem).truth(quantity)
                for r, row in enumerate(problem.logits.tolist()):
                    t = Truth(row, fmt, r, options)
                    wanted = t.bce_gradient if kind == "bce" else t.gradient
                    if quantity != "gradient":
                        wanted = t.bce if kind == "bce" else [t.loss]
                    for i, w in enumerate([arb(0)] * len(wanted) if t.ignored else wanted):
                        got = (arb(truth.hi[r, i]) + arb(truth.lo[r, i])) * arb(2) ** int(truth.exp2[r, i])
                        assert abs(got - w) <= abs(w) * arb(truth.bound) + arb(2) ** -500, (row, i, options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("extra", [{}, {"temperature": 0.7}, {"softcap": 3}, {"temperature": 2, "softcap": 30}])
def test_jacobian_and_products_with_it(dtype, extra):
    rng = np.random.default_rng([len(extra), DTYPES.index(dtype)])
    fmt = formats.get(dtype)
    for _ in range(6):
        n = int(rng.integers(1, 7))
        x, v = rng.normal(0, 4, n), rng.normal(0, 2, n)
        report = smcli.gradient(x, dtype=dtype, digits=30, **extra).to_dict()["rows"][0]
        matrix = report["results"][0]["exact"]
        t, cap = (ball(float(fmt.round(np.array([extra.get(k, 1.0)]))[0])) for k in ("temperature", "softcap"))
        y, slope = [ball(u) / t for u in report["logits"]], [1 / t] * n
        if "softcap" in extra:
            slope = [s / (u / cap).cosh() ** 2 for s, u in zip(slope, y, strict=True)]
            y = [cap * (u / cap).tanh() for u in y]
        total = sum((u.exp() for u in y), arb(0))
        p = [u.exp() / total for u in y]
        held = [ball(u) for u in fmt.round(v).tolist()]
        product = smcli.gradient(x, cotangent=v, dtype=dtype, digits=30, **extra).to_dict()
        product = product["rows"][0]["results"][0]["exact"]
        for i in range(n):
            for j in range(n):
                assert close(matrix[i][j], ((p[i] if i == j else arb(0)) - p[i] * p[j]) * slope[j], arb("5.1e-30"))
            assert close(product[i], (held[i] - sum((a * b for a, b in zip(held, p, strict=True)), arb(0))) * p[i] * slope[i],
                         arb("5.1e-30"))  # fmt: skip
            by_matrix = sum((held[k] * arb(matrix[k][i]) for k in range(n)), arb(0))
            assert abs(arb(product[i]) - by_matrix) < arb("1e-27")
        if not extra:
            assert all(abs(sum((arb(u) for u in row), arb(0))) < arb("1e-28") for row in matrix)
        assert all(abs(sum((arb(row[j]) for row in matrix), arb(0))) < arb("1e-28") / t for j in range(n))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_of_the_methods_are_within_their_expected_error(kind, dtype):
    rng = np.random.default_rng([LOSSES.index(kind), DTYPES.index(dtype), 11])
    u = formats.get(dtype).unit_roundoff
    name = "bce" if kind == "bce" else "cross-entropy"
    for _ in range(3):
        x, options = draw(kind, rng, 10)
        x = x / (1 + np.abs(x).max() / 8)  # p of no method vanishes
        report = smcli.gradient(x, dtype=dtype, quantities=name, methods="naive,shifted,fused,log1p,online", **options)
        for row in report.rows:
            truth = row.results[0].truth
            c = np.abs(np.array(row.labels if row.labels is not None else 1.0)).sum() + 1
            factor = c * max(options.get("class_weights", [1])) / min(options.get("temperature", 1), 1)
            factor *= 1 + options.get("z_loss", 0) * 40
            for m in row.results[0].methods:
                assert (np.abs(m.values - truth) <= 500 * u * factor).all(), (m.method, row.logits, options)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", LOSSES)
def test_finite_differences_are_within_their_expected_error(kind, dtype):
    rng = np.random.default_rng([LOSSES.index(kind), DTYPES.index(dtype), 13])
    h = formats.get(dtype).unit_roundoff ** (1 / 3)  # truncation h²/6·|f'''|, rounding u·|f|/h
    name = "bce" if kind == "bce" else "cross-entropy"
    for _ in range(3):
        x, options = draw(kind, rng, 6)
        x = x / (1 + np.abs(x).max() / 8)
        for reduction in ("none", "mean"):
            asked = {"dtype": dtype, "quantities": name, "reduction": reduction, **options}
            for row in smcli.gradient(x, methods="fd", **asked).rows:
                (m,) = row.results[0].methods
                size = 1 + 20 * max(options.get("class_weights", [1])) * (
                    1 + sum(row.labels if row.labels is not None else [0])
                )
                far = np.abs(m.values - row.results[0].truth)
                steep = 1 / min(options.get("temperature", 1), 1) ** 3
                assert (far <= 64 * h * h * size * steep * (1 + options.get("z_loss", 0) * 40)).all(), (
                    row.logits,
                    options,
                )


def test_finite_differences_of_softmax():
    rng = np.random.default_rng(5)
    x, v = rng.normal(0, 2, (5, 4)), rng.normal(0, 1, 4)
    for dtype, most in (("float64", 1e-9), ("float32", 3e-4)):
        for extra in ({}, {"cotangent": v}):
            for row in smcli.gradient(x, dtype=dtype, methods="fd,fused", **extra).rows:
                for m in row.results[0].methods:
                    assert np.abs(m.values - row.results[0].truth).max() < most


def test_derivatives_by_the_methods():
    for dtype, most in (("float64", 1e-13), ("float32", 1e-4)):
        x = np.random.default_rng(3).normal(0, 3, (30, 5))
        report = smcli.gradient(x, target=[2] * 30, dtype=dtype, methods="naive,shifted,fused,log1p").to_dict()
        for row in report["rows"]:
            for m in row["results"][0]["methods"]:
                assert max(m["rel"]) < most
        fd = smcli.gradient(x, target=[2] * 30, dtype=dtype, methods="fd")
        off = [abs(row.results[0].methods[0].values - row.results[0].truth).max() for row in fd.rows]
        assert max(off) < (1e-8 if dtype == "float64" else 1e-3)


def test_reduced_losses_and_gradients():
    text = from_text("1 2 3\n4 5 6\n7 8 9\n", "text")
    options = {"target": [0, 1, 2], "ignore_index": 1}
    x = [row.values for row in text]
    mean = smcli.compare(x, quantities="cross-entropy", reduction="mean", digits=20, **options).to_dict()
    total = smcli.compare(x, quantities="cross-entropy", reduction="sum", digits=20, **options).to_dict()
    (m,), (s,) = (d["summary"]["reduced"]["cross-entropy"]["exact"] for d in (mean, total))
    assert abs(arb(m) * 2 - arb(s)) < arb("1e-18") and s.startswith("2.81521192888876060")
    half = smcli.gradient(x, reduction="mean", digits=20, **options).to_dict()["rows"]
    full = smcli.gradient(x, digits=20, **options).to_dict()["rows"]
    for a, b in zip(half, full, strict=True):
        for p, q in zip(a["results"][0]["exact"], b["results"][0]["exact"], strict=True):
            assert abs(arb(p) * 2 - arb(q)) < arb("1e-18")
    assert half[1]["results"][0]["exact"] == ["0", "0", "0"]


def test_reduced_losses_of_the_methods():
    rng = np.random.default_rng(17)
    x, w = rng.normal(0, 2, (40, 5)), [0.5, 2, 0.25, 1, 3]
    for reduction in ("mean", "sum"):
        report = smcli.compare(x, target=rng.integers(0, 5, 40).tolist(), class_weights=w, reduction=reduction, dtype="float32",
                               quantities="cross-entropy", methods="naive,shifted,fused,log1p")  # fmt: skip
        (reduced,) = report.reduced
        exact = float(reduced.exact)
        assert all(abs(m.values[0] - exact) <= 64 * 2.0**-24 * exact for m in reduced.methods)
    none = smcli.compare(
        [[1, 2], [3, 4]], target=-1, ignore_index=-1, reduction="mean", quantities="cross-entropy"
    ).to_dict()
    assert none["summary"]["reduced"]["cross-entropy"]["exact"] == ["nan"]
    empty = smcli.compare(
        [[1, 2], [3, 4]], target=-1, ignore_index=-1, reduction="sum", quantities="cross-entropy"
    ).to_dict()
    assert empty["summary"]["reduced"]["cross-entropy"]["exact"] == ["0"]


def test_a_composed_backward_pass_is_nan_where_p_is_0():
    report = smcli.gradient([0, -800], target=1, methods="naive,shifted,fused,online").to_dict()
    values = {m["method"]: m["values"] for m in report["rows"][0]["results"][0]["methods"]}
    assert "nan" in values["naive"] and "nan" in values["shifted"] and values["fused"] == values["online"] == [1, -1]
    for dtype, low in (("float64", -746), ("float32", -104.5), ("bfloat16", -94), ("float16", -18)):
        report = smcli.gradient([0, low], target=0, dtype=dtype, methods="shifted,fused,log1p").to_dict()
        found = {m["method"]: m["values"] for m in report["rows"][0]["results"][0]["methods"]}
        assert found["shifted"] == ["nan", "nan"] and "nan" not in found["fused"] + found["log1p"]


def test_the_sweep_is_u_shaped():
    from smcli.report.sweep import sweep

    (curve,) = sweep(read.from_object([1.0, 2, 3]), settings(dtype="float64", target=[0])).curves
    errors = [p.error for p in curve.points]
    best = errors.index(curve.best.error)
    assert 10 < best < 25 and errors[0] > 1e3 * errors[best] and errors[45] > 1e3 * errors[best]


def test_documents_of_gradients_are_json():
    report = smcli.gradient(
        [[1, -math.inf, 3], [math.inf, 2, 3], [math.nan, 1, 2]], target=0, methods="all", dtype="all"
    )
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["formats"]
