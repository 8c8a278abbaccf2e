"""Losses and derivatives of every variant: the truth against Arb, methods and differences against the truth."""

from __future__ import annotations

import flint
import numpy as np
import pytest
from flint import arb

import smcli
from smcli import formats, read
from smcli.analyse import problems
from smcli.model import RawRow
from smcli.reference import Reference, double_double, float64
from smcli.settings import settings

VARIANTS = {
    "hard": {"target": [1]},
    "smoothed": {"target": [1], "smoothing": 0.1},
    "soft": {"labels": [[0.5, 0.125, 0.75, 0.0]]},
    "weighted": {"target": [2], "weights": [0.5, 2, 0.25, 1]},
    "warm": {"target": [0], "temperature": [3]},
    "capped": {"target": [3], "softcap": [5]},
    "z-loss": {"labels": [[0.25, 0.25, 0.25, 0.25]], "z_loss": [0.001]},
    "bce": {"labels": [[0.0, 1.0, 0.25, 0.5]], "quantity": "bce"},
}


def raw(values):
    return RawRow(np.array(values, dtype=np.float64))


def asked(command, dtype, variant):
    options = dict(variant)
    for name in ("weights", "temperature", "softcap", "z_loss"):
        if name in options:
            options[name] = raw(options[name])
    if "labels" in options:
        options["labels"] = [raw(row) for row in options["labels"]]
    options.setdefault("quantity", "cross-entropy")
    return settings(command, dtype=dtype, **options)


def by_arb(x, variant, fmt):
    """The loss and its gradient by plain formulas, in 500 bits."""
    flint.ctx.prec = 500

    def given(name, default):
        return [arb(float(v)) for v in fmt.round(np.array(variant.get(name, default), dtype=np.float64)).reshape(-1)]

    n = len(x)
    (t,), (cap,), (z,) = given("temperature", [1]), given("softcap", [0]), given("z_loss", [0])
    y = [arb(v) / t for v in x]
    inner = [arb(1)] * n
    if "softcap" in variant:
        inner = [1 - (v / cap).tanh() ** 2 for v in y]
        y = [cap * (v / cap).tanh() for v in y]
    labels = given("labels", [0] * n)
    if "target" in variant:
        labels = [arb(int(i == variant["target"][0])) for i in range(n)]
    if variant.get("quantity") == "bce":
        sigmoid = [1 / (1 + (-v).exp()) for v in y]
        loss = [(1 + v.exp()).log() - v * k for v, k in zip(y, labels, strict=True)]
        return loss, [(s - k) / t * d for s, k, d in zip(sigmoid, labels, inner, strict=True)]
    e = arb(variant.get("smoothing", 0.0))
    c = [w * (k * (1 - e) + e / n) for k, w in zip(labels, given("weights", [1] * n), strict=True)]
    total = sum((v.exp() for v in y), arb(0))
    p = [v.exp() / total for v in y]
    lse = total.log()
    loss = sum((k * (lse - v) for k, v in zip(c, y, strict=True)), arb(0)) + z * lse**2
    weight = sum(c, arb(0)) + 2 * z * lse
    return [loss], [(q * weight - k) / t * d for q, k, d in zip(p, c, inner, strict=True)]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("name", VARIANTS)
def test_truth_agrees_with_arb(name, dtype):
    variant, fmt = VARIANTS[name], formats.get(dtype)
    rows = [RawRow(x) for x in np.random.default_rng(len(name)).normal(0, 4, (50, 4))]
    for command in ("compare", "grad"):
        options = asked(command, dtype, {k: v for k, v in variant.items() if not (command == "grad" and k == "quantity")} | (
            {"quantity": "bce"} if variant.get("quantity") == "bce" else {}))  # fmt: skip
        if command == "grad":
            assert options.quantities == ("gradient",)
        for problem, _ in problems(rows, options, fmt):
            quantity = options.quantities[0]
            truth = Reference(problem).truth(quantity)
            for r, x in enumerate(problem.logits.tolist()):
                want = by_arb(x, variant, fmt)[command == "grad"]
                for i, w in enumerate(want):
                    got = (arb(truth.hi[r, i]) + arb(truth.lo[r, i])) * arb(2) ** int(truth.exp2[r, i])
                    assert abs(got - w) <= abs(w) * truth.bound + arb(2) ** -450, (x, i)


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp", "cross-entropy"])
@pytest.mark.parametrize("loss", [False, True])
def test_tiers_agree_whether_there_is_a_target_or_not(quantity, loss):
    x = np.random.default_rng(2).normal(0, 5, (100, 6)).astype(np.float32).astype(np.float64)
    options = settings("compare", dtype="float32", quantity=quantity, target=[3] if loss else None)
    for problem, _ in problems([RawRow(row) for row in x], options, formats.get("float32")):
        reference = Reference(problem)
        for tier in (float64, double_double):
            truth, missing = tier.attempt(problem, quantity)
            for r in range(0, 100, 7):
                for i in np.flatnonzero(~missing[r]).tolist():
                    hi, lo, e = reference.exact_row(r).triple(quantity, i)
                    exact = (arb(hi) + arb(lo)) * arb(2) ** e
                    got = (arb(truth.hi[r, i]) + arb(truth.lo[r, i])) * arb(2) ** int(truth.exp2[r, i])
                    assert abs(got - exact) <= abs(exact) * (truth.bound + 2.0**-100)


@pytest.mark.parametrize("digits", [1, 2, 5, 9, 16, 17])
def test_fast_strings_equal_exact_ones(digits):
    x = np.random.default_rng(digits).normal(0, 30, (20, 9))
    options = settings("compare", quantity="softmax,log-softmax,logsumexp")
    for problem, _ in problems([RawRow(row) for row in x], options, formats.get("float64")):
        reference = Reference(problem)
        for quantity, size in (("softmax", 9), ("log-softmax", 9), ("logsumexp", 1)):
            for r in range(20):
                fast = reference.strings(quantity, r, range(size), digits)
                assert fast == reference.exact_row(r).decimals(quantity, range(size), digits)


def test_what_pairs_leave_open_is_decided_by_integers():
    assert smcli.exact([2.5], "logsumexp", digits=1) == ["2"]  # an exact tie, to even
    assert smcli.exact([0, -2.5, -800], "cross-entropy", target=1, digits=1) == ["3"]
    assert len(smcli.exact([0, -1e300], "cross-entropy", target=0, digits=3)[0]) > 300  # a 300-digit exponent, at once


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


def test_jacobian_and_vjp():
    jacobian = smcli.gradient([1, 2, 3, 4], digits=25).to_dict()["rows"][0]["results"][0]["exact"]
    matrix = [[arb(v) for v in row] for row in jacobian]
    assert all(abs(sum(row, arb(0))) < arb("1e-20") for row in matrix)
    v = [0.5, -1, 2, 0.25]
    product = smcli.gradient([1, 2, 3, 4], cotangent=v, digits=25).to_dict()["rows"][0]["results"][0]["exact"]
    for j in range(4):
        want = sum((arb(v[i]) * matrix[i][j] for i in range(4)), arb(0))
        assert abs(arb(product[j]) - want) < arb("1e-20")
    worst = max(
        max(row)
        for row in smcli.gradient([1, 2, 3, 4], methods="fused").to_dict()["rows"][0]["results"][0]["methods"][0]["rel"]
    )
    assert worst < 1e-15


def test_reduced_losses_and_gradients():
    text = read.from_text("1 2 3\n4 5 6\n7 8 9\n", "text")
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


def test_a_composed_backward_pass_is_nan_where_p_is_0():
    report = smcli.gradient([0, -800], target=1, methods="naive,shifted,fused,online").to_dict()
    values = {m["method"]: m["values"] for m in report["rows"][0]["results"][0]["methods"]}
    assert "nan" in values["naive"] and "nan" in values["shifted"] and values["fused"] == values["online"] == [1, -1]


def test_the_sweep_is_u_shaped():
    from smcli.sweep import sweep

    (curve,) = sweep([raw([1, 2, 3])], settings("grad", dtype="float64", target=[0])).curves
    errors = [p.error for p in curve.points]
    best = errors.index(curve.best.error)
    assert 10 < best < 25 and errors[0] > 1e3 * errors[best] and errors[45] > 1e3 * errors[best]
