"""Code whose steps are not seen: what it lost is told, and a remedy accuses nothing that is right."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import smcli
from smcli import methods
from smcli.findings.foreign import WITNESSES
from smcli.numbers import formats

NAN, INF = math.nan, math.inf
X = np.array([[1.0, 2.0, 0.5, -1.0], [3.0, 0.25, 1.5, 2.5], [0.0, -2.0, 4.0, 1.0]])


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def of(report, code):
    return [f for f in report.findings if f.code == code]


@pytest.mark.parametrize("stray", [NAN, INF, -INF])
@pytest.mark.parametrize("quantity", ["softmax", "log-softmax"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_lost_value_is_never_nothing_to_report(stray, quantity, dtype):
    p = softmax(X) if quantity == "softmax" else np.log(softmax(X))
    p = formats.get(dtype).round(p)
    p[1, 2] = stray
    report = smcli.check(X, p, quantity=quantity, dtype=dtype)
    (f,) = of(report, "SM409")
    assert f.at == (2,) and f.count == 1 and f.severity == "error" and f.method == "output"
    got = re.match(r"(\S+) is returned at index 2 where the truth is (\S+), which (\S+) holds", f.message)
    assert str(float(got[1])) == str(stray) and got[3] == dtype
    assert float(got[2]) == pytest.approx(float(smcli.exact(X[1], quantity)[2]), rel=1e-5)
    assert "nothing to report" not in str(report)


def test_the_remedy_names_methods_that_do_not_do_so():
    p = softmax(X)
    p[1, 2] = NAN
    (f,) = of(smcli.check(X, p), "SM409")
    names = re.search(r"none of the methods (.*?) returns the same", f.remedy)[1].split(", ")
    assert names == [m for m in WITNESSES if methods.get(m).defines("softmax")]
    other = smcli.compare(X[1], methods=names, quantities="softmax").to_dict()
    assert all(math.isfinite(v) for m in other["rows"][0]["results"][0]["methods"] for v in m["values"])


def test_what_a_method_explains_is_told_by_its_own_code_alone():
    x = np.array([[1000.0, 0.0]])
    report = smcli.check(x, [[NAN, 0.0]])
    assert of(report, "SM201") and not of(report, "SM409")
    masked = smcli.check([[0.0, -INF]], [[NAN, NAN]])
    assert {f.code for f in masked.findings} == {"SM409"}
    assert not of(smcli.check([[-INF, -INF]], [[NAN, NAN]]), "SM409"), "there is no value"
    assert not of(smcli.check([[NAN, 1.0]], [[NAN, NAN]]), "SM409")


def test_a_nan_loss_where_infinity_is_right():
    (f,) = of(smcli.check([[0.0, -INF]], [NAN], quantity="cross-entropy", target=[1]), "SM409")
    assert f.message == "nan is returned where the truth is inf"


def test_one_stray_value_of_a_large_check_and_of_a_scan(tmp_path):
    x = np.random.default_rng(0).normal(0, 3, (3000, 100)).astype(np.float32)
    p = softmax(x.astype(np.float64)).astype(np.float32)
    p[1234, 56] = NAN
    report = smcli.check(x, p)
    (f,) = of(report, "SM409")
    assert f.at == (56,) and report.to_dict()["summary"]["findings"]["SM409"] == 1


def test_values_that_are_a_little_off_are_not_taken_for_those_of_other_classes():
    x = (2 * np.sin(np.arange(300.0)))[None].astype(np.float16)
    p = softmax(x.astype(np.float64)).astype(np.float16)
    off = smcli.check(x, (p * np.float16(1.01)).astype(np.float16), max_rel=1e-3)
    assert of(off, "SM401") and not any("other classes" in f.remedy for f in off.findings)


def remedy(outputs, x=X, **options):
    (f, *_) = of(smcli.check(x, outputs, **options), "SM401")
    return f.remedy


def test_swapped_classes_are_recognised():
    p = softmax(X)
    p[1, [0, 3]] = p[1, [3, 0]]
    assert remedy(p).startswith("these are the true values of other classes")
    p[1, 0] *= 1.01
    assert "other classes" not in remedy(p)


@pytest.mark.parametrize("factor", [1 / 3, 2.0, -1.0, math.log2(math.e)])
def test_a_factor_is_recognised(factor):
    target = [0, 2, 1]
    grad = softmax(X)
    grad[np.arange(3), target] = [-sum(np.delete(row, t)) for row, t in zip(softmax(X), target, strict=True)]
    said = remedy(grad * factor, quantity="gradient", target=target)
    assert said.startswith("each of these values is ") and (
        "factor" in said or (factor == -1 and "sign flipped" in said)
    )
    assert float(re.match(r"each of these values is (\S+) times", said)[1]) == pytest.approx(factor, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("factor", [0.5, 3.0, 1 / 3, -1.0])
def test_subnormal_values_do_not_hide_a_factor(factor, dtype):
    """They have few digits, and the normal ones tell it; one that disagrees says that it is none."""
    f = formats.get(dtype)
    down = math.log(f.smallest_normal)
    x = f.round(np.array([[0.0, -1.0, -2.5, -0.5, down - 0.3, down - 1.2]]))
    exact = np.array([[float(t) for t in smcli.exact(x[0].tolist(), dtype=dtype)]])
    y = f.round(factor * exact)
    assert (exact[0, 4:] > 0).all() and (exact[0, 4:] < f.smallest_normal).all()
    said = remedy(y, x, dtype=dtype)
    assert float(re.match(r"each of these values is (\S+) times", said)[1]) == pytest.approx(factor, rel=1e-3)
    y[0, 4] = f.round(factor * 1.5 * exact[0, 4])
    assert "times its truth" not in remedy(y, x, dtype=dtype)


def test_no_factor_where_there_is_none():
    p = softmax(X) * np.array([1.1, 1.2, 1.3])[:, None]
    assert "times its truth" not in remedy(p)
    assert "times its truth" not in remedy([[0.5, 0.5]], [[0.0, 0.001]]), "of two values anything may be said"


@pytest.mark.parametrize("narrow", ["float16", "bfloat16", "float32"])
def test_values_of_a_narrower_format_are_recognised(narrow):
    said = remedy(formats.get(narrow).round(softmax(X)), dtype="float64")
    assert said.startswith(f"{narrow} holds every one of these values")
    assert "holds every one" not in remedy(softmax(X) * 1.01)


def test_losses_with_smoothing_that_was_not_said():
    target = [0, 2, 1]
    lp = np.log(softmax(X))
    loss = -0.9 * lp[np.arange(3), target] - 0.1 * lp.mean(axis=1)
    said = remedy(loss, quantity="cross-entropy", target=target)
    assert said.startswith("these are the true values with label smoothing 0.1, which was not asked")
    loss = -0.83 * lp[np.arange(3), target] - 0.17 * lp.mean(axis=1)
    said = remedy(loss, quantity="cross-entropy", target=target)
    assert said.startswith("the method naive is accurate here") and "label smoothing" in said
    naive = smcli.compare(X, methods="naive", quantities="cross-entropy", target=target)
    assert naive.worst_ulp("naive", "cross-entropy") < 8


def test_rounding_is_still_accused_where_it_is_to_blame():
    x = np.array([[1000.0, 1001.0, 1000.5]])
    report = smcli.check(x, [[0.0, 0.0, 0.0]])
    assert all("naive is accurate" not in f.remedy for f in report.findings)


@pytest.mark.parametrize(
    ("made", "code", "start"),
    [
        (lambda: smcli.compare([0, -40], quantities="logsumexp", methods="naive"), "SM402", "exactly 0 is returned; the truth is"),
        (lambda: smcli.compare([0, 20], target=0, methods="clipped", quantities="cross-entropy"), "SM904", "the loss is 16.1181, "),
        (lambda: smcli.check([[1, 2], [3, 4]], [2.3, 4.4], quantity="logsumexp"), "SM401", r"wrong by up to \S+ ulp \(\S+ relative\); a"),
        (lambda: smcli.check([[1, 2]], [-INF], quantity="logsumexp"), "SM409", "-inf is returned where the truth is 2.31326, which"),
        (lambda: smcli.compare([-0.775, -0.6175], quantities="logsumexp"), "SM406", r"the condition number is \S+: one rounding"),
        (lambda: smcli.compare([NAN], quantities="softmax"), "SM101", "the logit is nan: "),
    ],
)  # fmt: skip
def test_where_a_row_has_one_value_its_index_is_not_told(made, code, start):
    f = of(made(), code)[0]
    assert re.match(start, f.message) and "index" not in f.message and f.at == (0,)


def test_the_index_of_a_logit_is_told_where_the_row_has_one_value():
    (f,) = of(smcli.compare([0, 800, -800], target=1, methods="naive", quantities="cross-entropy"), "SM201")
    assert f.message.startswith("exp(x) is inf at index 1: ")
    f = of(smcli.compare([0, -40, 1], quantities="softmax", methods="scipy,naive", dtype="float16"), "SM301")[0]
    assert "at index 1," in f.message
