"""Every finding: a case that fires it, and a near one that does not; and no false alarms on healthy rows."""

from __future__ import annotations

import numpy as np
import pytest

import smcli
from smcli import findings
from smcli.model import Severity

INF = float("inf")
ZEROS = [0.0] * 8192


def compare(logits, **options):
    return smcli.compare(logits, **options)


def grad(logits, **options):
    return smcli.gradient(logits, **options)


# code: (the call that fires it, the call that does not)
PAIRS = {
    "SM101": (lambda: compare([float("nan"), 1]), lambda: compare([0, 1])),
    "SM102": (lambda: compare([INF, 1]), lambda: compare([-INF, 1])),
    "SM103": (lambda: compare([-INF, -INF]), lambda: compare([-INF, 0])),
    "SM104": (lambda: compare([-INF, 0], target=0), lambda: compare([-INF, 0], target=1)),
    "SM201": (lambda: compare([710.0, 0], methods="naive"), lambda: compare([709.0, 0], methods="naive")),
    "SM202": (lambda: compare([9.0] * 10, dtype="float16", methods="naive"),
              lambda: compare([9.0] * 8, dtype="float16", methods="naive")),
    "SM203": (lambda: compare([60000, 0], dtype="float16", temperature=0.5, methods="shifted"),
              lambda: compare([30000, 0], dtype="float16", temperature=0.5, methods="shifted")),
    "SM204": (lambda: compare([1000, 0], target=1, z_loss=1, dtype="float16", compute="float32"),
              lambda: compare([100, 0], target=1, z_loss=1, dtype="float16", compute="float32")),
    "SM301": (lambda: compare([0, -800], methods="shifted"), lambda: compare([0, -700], methods="shifted")),
    "SM302": (lambda: compare([12, 3], dtype="float16", methods="naive", quantities="softmax"),
              lambda: compare([11, 3], dtype="float16", methods="naive", quantities="softmax")),
    "SM303": (lambda: compare([0, -800], target=1, methods="shifted"), lambda: compare([0, -800], target=1, methods="fused")),
    "SM304": (lambda: compare([-104, -104], dtype="float32", methods="naive"),
              lambda: compare([-80, -80], dtype="float32", methods="naive")),
    "SM401": (lambda: compare([1e9, 1e9 + 1], methods="explse", quantities="softmax"),
              lambda: compare([1e9, 1e9 + 1], methods="shifted", quantities="softmax")),
    "SM402": (lambda: compare([40, 0], methods="fused", quantities="log-softmax"),
              lambda: compare([40, 0], methods="log1p", quantities="log-softmax")),
    "SM403": (lambda: compare(ZEROS, dtype="bfloat16", sum="sequential", methods="shifted", quantities="softmax"),
              lambda: compare(ZEROS, dtype="bfloat16", methods="shifted", quantities="softmax")),
    "SM404": (lambda: compare(ZEROS, dtype="bfloat16", sum="sequential", methods="shifted", quantities="softmax"),
              lambda: compare([0.0] * 200, dtype="bfloat16", sum="sequential", methods="shifted", quantities="softmax")),
    "SM405": (lambda: compare([-744, -745], methods="naive", quantities="softmax"),
              lambda: compare([-744, 0], methods="naive", quantities="softmax")),
    "SM406": (lambda: compare([-0.775, -0.6175], quantities="logsumexp"), lambda: compare([1, 2], quantities="logsumexp")),
    "SM407": (lambda: compare(ZEROS, dtype="bfloat16", methods="shifted", quantities="softmax"),
              lambda: compare(ZEROS, dtype="bfloat16", methods="shifted", quantities="softmax", accumulate="float32")),
    "SM408": (lambda: compare([1, 2, 3], against=[1.0000001, 2, 3], methods="naive", quantities="kl"),
              lambda: compare([1, 2, 3], against=[1.0000001, 2, 3], methods="bregman", quantities="kl")),
    "SM409": (lambda: smcli.check([1.0, 2.0], [0.25, float("nan")]), lambda: smcli.check([1.0, 2.0], [0.25, 0.75])),
    "SM410": (lambda: compare([[1, 2], [3, 5]], methods="numpy:flip", quantities="softmax"),
              lambda: compare([[1, 2]], methods="numpy:flip", quantities="softmax")),
    "SM411": (lambda: compare([[1, 2], [3, 5]], methods="numpy:sum", quantities="logsumexp"),
              lambda: compare([[1, 2]], methods="numpy:sum", quantities="logsumexp")),
    "SM501": (lambda: grad([0, -800], target=1, methods="shifted"), lambda: grad([0, -800], target=1, methods="fused")),
    "SM502": (lambda: grad([40, 0], target=0, methods="fused"), lambda: grad([4, 0], target=0, methods="fused")),
    "SM503": (lambda: grad(ZEROS, target=0, dtype="bfloat16", sum="sequential", methods="fused"),
              lambda: grad([1, 2, 3], target=0, dtype="bfloat16", methods="fused")),
    "SM901": (lambda: compare([1.2345], dtype="bfloat16"), lambda: compare([1.25], dtype="bfloat16")),
    "SM902": (lambda: compare([0, -65520], dtype="float16"), lambda: compare([0, -65504], dtype="float16")),
    "SM903": (lambda: compare([0.25, 0.75]), lambda: compare([0.25, 0.8])),
    "SM904": (lambda: compare([0, -100], target=1, methods="clipped"), lambda: compare([0, -10], target=1, methods="clipped")),
}  # fmt: skip
SEVERITIES = {
    Severity.NOTE: {"SM104", "SM301", "SM406", "SM407", "SM411", "SM901", "SM904"},
    Severity.WARNING: {
        "SM204",
        "SM302",
        "SM401",
        "SM402",
        "SM403",
        "SM410",
        "SM404",
        "SM405",
        "SM408",
        "SM502",
        "SM503",
        "SM903",
    },
}


def codes(report):
    return {f.code for f in report.findings}


def test_every_rule_has_a_pair():
    assert set(PAIRS) == set(findings.everything())


@pytest.mark.parametrize("code", PAIRS)
def test_fires_and_says_what_where_and_what_to_do(code):
    report = PAIRS[code][0]()
    found = [f for f in report.findings if f.code == code]
    assert found
    for f in found:
        severity = next((s for s, some in SEVERITIES.items() if code in some), Severity.ERROR)
        assert f.severity == severity and f.name == findings.get(code).name
        assert len(f.message) > 30 and f.remedy and f.count >= len(f.at) >= 1


@pytest.mark.parametrize("code", PAIRS)
def test_keeps_quiet_nearby(code):
    assert code not in codes(PAIRS[code][1]())


def test_rows_and_methods_are_named():
    row = next(f for f in compare([INF, 1000], methods="naive").findings if f.code == "SM102")
    assert row.method is None and row.quantity is None
    over = next(f for f in compare([1, 1000], methods="naive").findings if f.code == "SM201")
    assert (over.method, over.quantity, over.at, over.count, over.step) == ("naive", "softmax", (1,), 1, "exp(x)")
    assert "709.78" in over.message and "exp(1000)" in over.message


def test_long_lists_of_places_are_cut_and_counts_whole():
    f = next(f for f in compare([1000.0] * 5000, methods="naive", quantities="softmax").findings if f.code == "SM201")
    assert len(f.at) == 100 and f.count == 5000


def test_ignored_rows_are_no_one_s_fault():
    report = compare([[0, -800], [0, 1]], target=[1, 1], ignore_index=1, quantities="cross-entropy", methods="shifted")
    assert not codes(report)


@pytest.mark.parametrize("index", [7, -100])
def test_an_ignored_target_need_not_be_a_class(index):
    report = compare(
        [[1, 2], [3, 4]], target=[index, 0], ignore_index=index, quantities="cross-entropy", reduction="mean"
    )
    assert report.to_dict()["rows"][0]["target"] == index and report.rows[0].ignored
    assert report.to_dict()["summary"]["reduced"]["cross-entropy"]["exact"] == ["1.3132616875182228"]


def test_a_zero_label_on_a_masked_class_gives_nan_everywhere_and_that_is_said():
    report = compare([-INF, 0, 1], labels=[0, 0.5, 0.5], quantities="cross-entropy")
    told = {f.method: f.message for f in report.findings if f.code == "SM303"}
    assert set(told) == {"naive", "shifted", "fused"} and all(
        "0·(−inf)" in m and "0.813262" in m for m in told.values()
    )


@pytest.mark.parametrize("seed", range(6))
def test_healthy_rows_raise_no_alarm(seed):
    x = np.random.default_rng(seed).normal(0, 5, (40, 7))
    x[::5, 3] = -INF
    assert codes(compare(x, methods="naive,shifted,log1p,online,two-pass", quantities="softmax")) <= {"SM406"}
    logs = compare(x, methods="log1p", quantities="log-softmax,logsumexp,cross-entropy")
    assert codes(logs) <= {"SM406"}


def test_a_format_without_infinity():
    report = compare([7.0, 0.0], dtype="float8_e4m3fn", methods="naive", quantities="softmax")
    f = next(f for f in report.findings if f.code == "SM201")
    assert "nan" in f.message and "6.13988" in f.message
    lost = codes(compare([1000.0, 0.0], dtype="float8_e4m3fn", methods="shifted"))
    assert "SM902" in lost and "SM101" not in lost


def test_unknown_codes_are_usage_errors():
    with pytest.raises(smcli.UsageError, match="SM999"):
        findings.get("SM999")
    assert findings.get("exp-overflow").code == findings.get("sm201").code == "SM201"
