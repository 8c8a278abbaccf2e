"""What every finding keeps to, whatever the row: nothing unexplained, nothing wrong said, no view of the neighbours."""

from __future__ import annotations

import re

import numpy as np
import pytest

import smcli
from smcli import findings
from smcli.model import Verdict
from smcli.numbers import formats

INF = float("inf")
VALUES = "softmax,log-softmax,logsumexp,cross-entropy"
SAID = re.compile(r"(?:the truth is|true derivative is|the true loss is) (-?[\d.]+(?:e[+-]?\d+)?|-?inf|nan)")
EXPLAINS = {"SM201", "SM202", "SM203", "SM302", "SM303", "SM304", "SM402", "SM501", "SM502"}


def row(rng, size):
    """Rows of every kind that goes wrong: far apart, far from 0, masked, tiny, huge, flat."""
    kind = rng.integers(9)
    if kind == 0:
        return rng.normal(0, 5, size)
    if kind == 1:
        return rng.normal(0, 300, size)
    if kind == 2:
        return rng.normal(0, 1, size) * 10.0 ** rng.integers(-5, 5) + rng.choice([0, -100, 100, -700, 700, 1e4])
    if kind == 3:
        return rng.integers(-20, 20, size).astype(float)
    if kind == 4:
        return np.full(size, rng.choice([0, 9, -104, -745, 89, 710, -9.0]))
    if kind == 5:
        return rng.choice([0, -INF, 1, 2, 40, -800], size).astype(float)
    if kind == 6:
        return np.concatenate([[0], -rng.exponential(50, size - 1)])
    if kind == 7:
        return rng.choice([0, INF, 1, -INF, np.nan], size).astype(float)
    return rng.normal(0, 1, size) * 10.0 ** rng.integers(-300, 300)


def calls(rng, size):
    """Each command on some rows: (logits, labels) -> report."""
    dtype = str(rng.choice(list(formats.FORMATS)))
    options = {"dtype": dtype, "methods": "all", "digits": 17}
    if rng.random() < 0.2:
        options["temperature"] = float(rng.choice([0.5, 2, 3]))
    if rng.random() < 0.3:
        options["sum"] = str(rng.choice(["sequential", "compensated"]))
    yield lambda x, _: smcli.compare(x, quantities=VALUES, **options)
    yield lambda x, y: smcli.compare(x, quantities="bce", labels=y, **options)
    yield lambda x, y: smcli.compare(x, quantities="cross-entropy", labels=y, **options)
    yield lambda x, y: smcli.gradient(x, labels=y, **options)
    yield lambda x, y: smcli.gradient(x, quantities="bce", labels=y, **options)
    if size <= 5:
        yield lambda x, _: smcli.gradient(x, **options)


def ordinary(logits):
    return not (np.isnan(logits).any() or (logits == INF).any() or (logits == -INF).all())


def flat(places, side):
    return [i * side + j for i, j in places] if side else places


@pytest.mark.parametrize("seed", range(24))
def test_nothing_is_lost_without_a_word_and_no_truth_is_wrong(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.choice([1, 2, 3, 5, 17]))
    labels = rng.choice([0, 0.5, 0.25, 1], (1, size))
    for call in calls(rng, size):
        x = row(rng, size)
        report = call([x], labels)
        (found,) = report.rows
        for q in found.results:
            exact = q.exact(range(q.size))
            for m in q.methods:
                some = [f for f in found.findings if (f.quantity, f.method) == (q.quantity, m.method)]
                codes = {f.code for f in some}
                lost = m.verdicts == Verdict.LOST
                wrong = (m.verdicts == Verdict.INACCURATE) & np.isfinite(m.values)
                told = f"{report.dtype} {m.method} {q.quantity} {x.tolist()} {codes}"
                for f in some:
                    assert f.count >= len(f.at) == min(f.count, 100) and list(f.at) == sorted(f.at), told
                    for text in SAID.findall(f.message) if f.code != "SM503" else ():  # that is of the sum
                        assert agrees(text, exact[f.at[0]]), (told, f.message)
                if ordinary(found.logits) and report.dtype in {"float64", "float32"}:
                    assert not lost.any() or codes & EXPLAINS, told
                if ordinary(found.logits):
                    assert wrong.any() == ("SM401" in codes), told
                    for f in some:
                        assert f.code != "SM401" or f.count == wrong.sum(), told
                        assert f.code != "SM302" or f.count == (lost & (m.values == 0)).sum(), told


def agrees(said, exact):
    """Six digits in a message against the certified text."""
    if exact in {"inf", "-inf", "nan", "0"}:
        return said in {exact, "-0"} if exact == "0" else said == exact
    digits, _, power = exact.partition("e")
    if len(power) > 6:
        return said.startswith(("1e", "-1e")) or said.partition("e")[2] == power
    mantissa, _, exponent = said.partition("e")
    shift = int(exponent or 0) - int(power or 0)
    return float(f"{mantissa}e{shift}") == pytest.approx(float(digits), rel=2e-5)


@pytest.mark.parametrize("seed", range(16))
def test_a_row_is_judged_the_same_alone_and_in_a_batch(seed):
    rng = np.random.default_rng(1000 + seed)
    size = int(rng.choice([1, 2, 3, 5]))
    for call in calls(rng, size):
        x = np.stack([row(rng, size) for _ in range(4)])
        labels = rng.choice([0, 0.5, 0.25, 1], (4, size))
        batch = call(x, labels)
        for r in range(4):
            (alone,) = call(x[r : r + 1], labels[r : r + 1]).rows
            assert set(alone.findings) == set(batch.rows[r].findings), (x.tolist(), r)
            for a, b in zip(alone.results, batch.rows[r].results, strict=True):
                for m, n in zip(a.methods, b.methods, strict=True):
                    np.testing.assert_array_equal(m.values, n.values)
                    np.testing.assert_array_equal(m.verdicts, n.verdicts)


def test_findings_come_worst_first_then_by_code_then_in_the_order_of_methods():
    rank = {"error": 0, "warning": 1, "note": 2}
    rows = [[1000, 2000, 3000], [0, -800, -745], [-744, -745, 1]]
    for r in smcli.compare(rows, methods="all", quantities=VALUES).rows:
        assert len(r.findings) > 3
        keys = [(rank[f.severity], f.code) for f in r.findings]
        assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("logits", "dtype", "code", "text"),
    [
        ([0, -800], "float64", "SM303", "the truth is 800"),
        ([1, 1000, 3], "float64", "SM501", "the true derivative is"),
        ([12, 3], "float16", "SM302", "the truth is 0.000123395, which float16 holds"),
        ([40, 0], "float64", "SM402", "the truth is -4.24835e-18, which float64 holds"),
        ([-104, -104], "float32", "SM304", "the largest is -104; exp is 0 up to -103.972 in float32"),
        ([89, 89], "float32", "SM201", "exp(89) is beyond float32, which holds exp only below 88.7228"),
        ([9] * 10, "float16", "SM202", "the sum is about 81040, the largest number 65504"),
        ([7, 0], "float8_e4m3fn", "SM201", "exp(x) is nan at index 0"),
    ],
)
def test_messages_carry_the_figures(logits, dtype, code, text):
    report = (smcli.gradient if code == "SM501" else smcli.compare)(
        logits, dtype=dtype, methods="naive,shifted,fused", **({} if code == "SM501" else {"quantities": VALUES})
    )
    assert text in " ".join(f.message for f in report.findings if f.code == code)


def test_a_truth_far_below_float64_is_written_out():
    report = smcli.gradient([1, 1000, 3], methods="naive")
    (f,) = (f for f in report.findings if f.code == "SM501")
    assert "the true derivative is -1.37" in f.message and "e-434" in f.message
    # (1, 1) is 1.4e-433, further on there are smaller ones
    report = smcli.compare([0, 1e9], methods="naive", quantities="log-softmax")
    (f,) = (f for f in report.findings if f.code == "SM303" and f.method == "naive")
    assert "the truth is -1e+09" in f.message


def test_places_in_a_jacobian_are_pairs_in_words_and_in_the_document():
    document = smcli.gradient([1, 1000, 3], methods="naive").to_dict()
    found = {f["code"]: f for f in document["rows"][0]["findings"]}
    assert found["SM201"]["at"] == [[1, 1]] and "exp(x) is inf at index 1" in found["SM201"]["message"]
    assert found["SM501"]["at"][0] == [0, 1] and "(0, 1)" in found["SM501"]["message"]
    assert all(len(place) == 2 for f in found.values() for place in f["at"])


def test_a_binary_loss_whose_exp_overflows_to_no_harm_is_not_accused():
    quiet = smcli.gradient([-800, 1.5], quantities="bce", labels=[0, 1], methods="fused")
    assert {f.code for f in quiet.findings} <= {"SM301"}
    hurt = smcli.gradient([-740, 1.5], quantities="bce", labels=[0, 1], methods="fused")
    assert {"SM201", "SM502"} == {f.code for f in hurt.findings}


def test_both_logs_of_a_binary_loss_and_a_masked_logit_are_told():
    report = smcli.compare([800, -800, -INF], quantities="bce", labels=[0, 1, 0], methods="naive")
    told = {f.at: f.step for f in report.findings if f.code == "SM303"}
    assert len(told) == 3 and told[(0,)] != told[(1,)] and (2,) in told


def test_a_lost_row_of_a_format_without_infinity_is_explained():
    report = smcli.compare([384, -384], dtype="float8_e4m3fn", methods="shifted", quantities="softmax")
    (f,) = (f for f in report.findings if f.severity == "error")
    assert (f.code, f.step, f.at) == ("SM203", "x − max(x)", (1,)) and "ends at 448" in f.message
    fine = smcli.compare([384, 380], dtype="float8_e4m3fn", methods="shifted", quantities="softmax")
    assert fine.worst != "error"


def test_a_mask_of_a_format_without_infinity_became_nan():
    codes = {f.code: f for f in smcli.compare([-INF, 0], dtype="float8_e4m3fn", methods="fused").findings}
    assert "SM101" not in codes and codes["SM902"].at == (0,)
    assert (
        "(−inf) became nan, because float8_e4m3fn has no infinity" in codes["SM902"].message
        and "−inf" not in codes["SM902"].remedy
    )
    codes = {f.code for f in smcli.compare([np.nan, 0], dtype="float8_e4m3fn").findings}
    assert "SM101" in codes and "SM902" not in codes


def test_a_narrow_accumulator_is_named():
    report = smcli.compare([11] * 9, accumulate="float16", methods="naive", quantities="softmax")
    (f,) = (f for f in report.findings if f.code == "SM202")
    assert "overflows its accumulator" in f.message and "1.79769e+308" not in f.message


def test_the_zero_class_of_a_z_loss_may_be_masked():
    report = smcli.compare([-INF, 1, 2], target=1, z_loss=0.5, methods="all", quantities="cross-entropy")
    (q,) = report.rows[0].results
    for m in q.methods:
        assert m.values[0] == pytest.approx(q.truth[0], rel=1e-6), m.method


@pytest.mark.parametrize("dtype", [f.name for f in formats.FORMATS.values() if f.has_inf])
@pytest.mark.parametrize("seed", range(3))
def test_masks_raise_no_alarm(dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (30, 8))
    x[rng.random(x.shape) < 0.4] = -INF
    x[:, 2] = 0
    report = smcli.compare(x, dtype=dtype, methods="log1p,fused", quantities="softmax,log-softmax", target=[2] * 30)
    assert not [f for f in report.findings if f.severity == "error"]
    report = smcli.gradient(x, dtype=dtype, methods="fused", target=[2] * 30)
    assert not [f for f in report.findings if f.severity == "error"]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_ordinary_rows_raise_no_error(dtype):
    x = np.random.default_rng(8).normal(0, 5, (300, 9))
    report = smcli.compare(x, dtype=dtype, methods="log1p,fused", quantities=VALUES)
    assert not [f for f in report.findings if f.severity == "error"]
    report = smcli.gradient(x, dtype=dtype, methods="log1p,fused", target=[4] * 300)
    assert not [f for f in report.findings if f.severity == "error"]


def test_severities_and_kinds_of_evidence():
    rules = findings.everything()
    assert {c for c, r in rules.items() if r.about == "row"} == {
        "SM101", "SM102", "SM103", "SM104", "SM901", "SM902", "SM903",
    }  # fmt: skip
    assert {c for c, r in rules.items() if r.about == "truth"} == {"SM406"}
    for f in smcli.compare([[INF, 1, 2], [-0.775, -0.6175, -9]], quantities=VALUES).findings:
        about = rules[f.code].about
        assert (f.method is None) == (about != "run") and (f.quantity is None) == (about == "row")
