"""Arithmetic in a format wider than that of the logits: one rounding at the end, all before it in the wider one."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest

import smcli
from smcli.cli.app import run
from smcli.errors import OptionError
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic, Rows
from smcli.report.limits import Limits

NARROW = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
KINDS = {"float16": np.float16, **{n: getattr(ml_dtypes, n) for n in NARROW[1:]}}


def method(report, name, quantity):
    (q,) = (q for q in report.rows[0].results if q.quantity == quantity)
    return next(m for m in q.methods if m.method == name)


@pytest.mark.parametrize("dtype", NARROW)
def test_the_values_are_those_of_float32_rounded_once(dtype):
    x = np.random.default_rng(3).uniform(-6, 6, (40, 9)).astype(KINDS[dtype]).astype(np.float64)
    narrow = smcli.compare(x, dtype=dtype, compute="float32", quantities="softmax,logsumexp", methods="shifted")
    wide = smcli.compare(x, dtype="float32", quantities="softmax,logsumexp", methods="shifted")
    for a, b in zip(narrow.rows, wide.rows, strict=True):
        for p, q in zip(a.results, b.results, strict=True):
            expected = q.methods[0].values.astype(np.float32).astype(KINDS[dtype]).astype(np.float64)
            assert p.methods[0].values.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", NARROW)
def test_the_bound_holds_and_is_little_more_than_half_an_ulp(dtype):
    x = np.random.default_rng(4).uniform(-5, 5, (60, 5))
    report = smcli.compare(x, dtype=dtype, compute="float32", quantities="softmax,logsumexp", methods="shifted,naive")
    seen = 0
    for row in report.rows:
        for q in row.results:
            for m in q.methods:
                if m.bound_ulp is not None and np.isfinite(m.bound_ulp):
                    seen += 1
                    assert np.max(m.ulp) <= m.bound_ulp < 0.6
    assert seen


def test_a_logarithm_that_pure_bfloat16_gets_wrong():
    asked = {"dtype": "bfloat16", "quantities": "log-softmax", "methods": "fused"}
    pure, kernel = (
        smcli.compare([2.5156, -0.4648], **asked),
        smcli.compare([2.5156, -0.4648], compute="float32", **asked),
    )
    assert max(method(pure, "fused", "log-softmax").ulp) > 14
    assert max(method(kernel, "fused", "log-softmax").ulp) <= 0.5
    assert "SM401" in pure.counts() and "SM401" not in kernel.counts()


def test_the_last_rounding_is_a_step():
    report = smcli.compare(
        [1, 2], dtype="float16", compute="float32", methods="naive", quantities="softmax", trace=True
    )
    assert method(report, "naive", "softmax").steps[-1].step == "round to float16"


def test_the_last_rounding_can_overflow():
    o = Arithmetic(formats.get("float32"), formats.get("float32"))
    out = o.cast(Rows(np.array([[65519.0, 65520.0, 1e-9]]), "x"), formats.get("float16"))
    (step,) = o.steps
    assert out.values.tolist() == [[65504.0, np.inf, 0.0]]
    assert step.overflowed.tolist() == [[False, True, False]] and step.underflowed.tolist() == [[False, False, True]]
    assert o.cast(out, formats.get("float64")) is out


def test_thresholds_are_those_of_the_arithmetic():
    fine = smcli.compare([12, 12], dtype="float16", compute="float32", methods="naive", quantities="softmax")
    assert method(fine, "naive", "softmax").values.tolist() == [0.5, 0.5] and "SM201" not in fine.counts()
    beyond = smcli.compare([100, 90], dtype="float16", compute="float32", methods="naive", quantities="softmax")
    (message,) = [f.message for f in beyond.findings if f.code == "SM201"]
    assert "float32" in message and "88.7" in message and "float16" not in message


def test_running_sums_are_of_the_arithmetic():
    asked = {"dtype": "bfloat16", "methods": "shifted", "quantities": "softmax", "sum": "sequential"}
    assert "SM404" in smcli.compare([0.0] * 3000, **asked).counts()
    assert "SM404" not in smcli.compare([0.0] * 3000, compute="float32", **asked).counts()


@pytest.mark.parametrize("name", ["naive", "shifted", "fused", "clipped", "fd"])
def test_gradients(name):
    kernel = smcli.gradient([3, 0.5, -1], target=0, dtype="float16", methods=name, compute="float64")
    assert max(method(kernel, name, "gradient").ulp) <= 0.51


def test_a_mean_is_rounded_once():
    x = np.random.default_rng(5).normal(size=(300, 4))
    asked = {"dtype": "bfloat16", "quantities": "cross-entropy", "methods": "fused", "target": 0, "reduction": "mean"}
    (reduced,) = smcli.compare(x, compute="float32", **asked).reduced
    assert reduced.methods[0].ulp[0] <= 0.51


@pytest.mark.parametrize(
    ("dtype", "compute"), [("float32", "float16"), ("float16", "bfloat16"), ("float32", "float32")]
)
def test_it_has_to_be_wider(dtype, compute):
    with pytest.raises(OptionError, match="no wider"):
        smcli.compare([1, 2], dtype=dtype, compute=compute)
    with pytest.raises(OptionError, match="no wider"):
        smcli.compare(np.array([1, 2], dtype=dtype if dtype != "bfloat16" else "float32"), compute="float16")


def test_all_formats_are_shown_in_both_ways():
    reports = smcli.compare([1, 2], dtype="all").reports
    models = [r.model for r in reports]
    assert models[:2] == ["float64", "float32"]
    assert models[2:] == [f"{n}{how}" for n in NARROW for how in ("", ", computed in float32")]
    assert [r.model for r in smcli.compare([1, 2], dtype="all", compute="float64").reports] == [
        "float64", *(f"{n}, computed in float64" for n in ("float32", *NARROW))
    ]  # fmt: skip


def test_the_document_and_the_footer_name_it(capsys):
    assert run(["compare", "1", "2", "-d", "float16", "--compute", "float32", "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["dtype"], document["compute"]) == ("float16", "float32")
    for words, there in (
        (["-d", "float16"], True),
        (["-d", "float16", "--compute", "float32"], False),
        (["-d", "float32"], False),
    ):
        assert run(["compare", "1", "2", *words]) == 0
        assert ("kernels compute in float32: --compute float32" in capsys.readouterr().out) == there


def test_limits_of_steps_are_those_of_the_arithmetic():
    f, g = formats.get("float16"), formats.get("float32")
    (figures,) = Limits((f,), g).to_dict()["formats"]
    assert figures["compute"] == "float32" and figures["max"] == f.max
    assert figures["exp_overflow"] == g.exp_overflow and figures["stall"] == g.stall
    (alone,) = Limits((f,)).to_dict()["formats"]
    assert "compute" not in alone and alone["exp_overflow"] == f.exp_overflow
