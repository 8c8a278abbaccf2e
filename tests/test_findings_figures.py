"""Figures, steps and remedies in findings, each found once more by hand: gaps that mutants of the rules have shown."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import smcli
from smcli import read
from smcli.numbers import formats

INF = float("inf")


def the(code, report):
    (found,) = (f for f in report.findings if f.code == code)
    return found


def codes(report):
    return {f.code for f in report.findings}


def figures(pattern, message):
    return tuple(float(v.replace("−", "-")) for v in re.search(pattern, message).groups())


def test_the_limit_that_was_given_is_told_as_such():
    x = [-12.3392, 0]
    options = {"quantities": "logsumexp", "dtype": "float32", "methods": "fused"}
    assert "; your limit is 3 ulp" in the("SM401", smcli.compare(x, max_ulp=3, **options)).message
    assert "; that is beyond your --max-rel" in the("SM401", smcli.compare(x, max_rel=1e-5, **options)).message
    assert "; a careful float32 algorithm stays within" in the("SM401", smcli.compare(x, **options)).message


def test_the_sum_of_a_gradient_in_ulp_of_its_largest_entry():
    report = smcli.gradient([1.0, 2.0, 3.0], target=0, methods="fused", accumulate="float8_e5m2", dtype="float32")
    f, y = the("SM503", report), np.array(report.rows[0].results[0].methods[0].values)
    total, ulps = figures(r"sums to (\S+) \((\S+) ulp", f.message)
    assert total == pytest.approx(y.sum(), rel=1e-5)
    assert ulps == pytest.approx(abs(y.sum()) / np.spacing(np.float32(np.abs(y).max())), rel=1e-4)


@pytest.mark.parametrize("options", [{}, {"softcap": 20.0}, {"temperature": 2.0}, {"reverse": True}])
def test_a_cancelled_divergence_says_how_large_its_terms_are(options):
    x, other = np.array([1.0000001, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])
    report = smcli.compare(x, against=other, quantities="kl", methods="naive", **options)
    with np.errstate(all="ignore"):
        z, w = (v.astype(np.longdouble) / options.get("temperature", 1) for v in (x, other))
        if "softcap" in options:
            z, w = (options["softcap"] * np.tanh(v / options["softcap"]) for v in (z, w))
        first, second = (z, w) if options.get("reverse") else (w, z)
        log_p, log_q = (v - v.max() - np.log(np.exp(v - v.max()).sum()) for v in (first, second))
        size = float(np.abs(np.exp(log_p) * (log_p - log_q)).sum())
    assert figures(r"absolute values sum to ([^,]+),", the("SM408", report).message) == pytest.approx((size,), rel=1e-4)


def test_the_first_step_that_went_wrong_is_that_of_the_values_concerned():
    # a class whose exp underflows by right is not why the others were lost: their sum overflowed
    report = smcli.compare([9.0] * 10 + [-20.0], dtype="float16", quantities="softmax", methods="naive")
    assert the("SM302", report).step == "Σ exp(x)"
    report = smcli.compare([40, 0], target=0, quantities="cross-entropy", methods="fused")
    assert the("SM402", report).step == "log(Σ exp(x − max(x)))"
    report = smcli.compare([0, -800], against=[0, 1], quantities="kl", methods="shifted")  # p/0 is no overflow
    assert codes(report) == {"SM303"}


def test_what_only_a_convention_gives_is_no_log_of_zero():
    assert codes(smcli.compare([INF, 1], labels=[0, 1], quantities="bce", methods="fused")) == {"SM102"}
    assert codes(smcli.compare([1, INF], labels=[1, 1], quantities="bce", methods="naive,fused")) == {"SM102"}


def test_a_remedy_for_a_jacobian_names_its_whole_diagonal():
    report = smcli.gradient([0, 40, 0], methods="fused")
    f = the("SM502", report)
    assert f.at == (4,) and "take 1 − p_i as the sum of the other probabilities" in f.remedy


def test_a_wider_format_is_only_proposed_where_there_is_one():
    assert "or use a wider format" in the("SM902", smcli.compare([1e5, 0], dtype="float16")).remedy
    (row,) = read.from_arguments(["1e400", "0"])
    assert row.tokens is not None
    from decimal import Decimal

    f = the("SM902", smcli.compare([Decimal("1e400"), Decimal(0)], quantities="softmax"))
    assert "wider format" not in f.remedy and "(1E+400)" in f.message


@pytest.mark.parametrize(("x", "dtype"), [([-0.775, -0.6175], "float64"), ([900.1, 300.7, 0], "float64")])
def test_a_condition_number_in_a_finding_is_that_of_the_problem(x, dtype):
    quantity = "logsumexp" if len(x) == 2 else "softmax"
    report = smcli.compare(x, quantities=quantity, dtype=dtype)
    if "SM406" not in codes(report):
        pytest.skip("every method is accurate here")
    f = the("SM406", report)
    z = np.array(x, dtype=np.longdouble)
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    (kappa,) = figures(r"number is ([^\s:]+)", f.message)
    lse = z.max() + np.log(np.exp(z - z.max()).sum())
    due = (p * np.abs(z)).sum() / abs(lse)
    if quantity == "softmax":
        j = int(re.search(r" at index (\d+):", f.message)[1])
        due = np.delete(p, j).sum() * abs(z[j]) + np.delete(p * np.abs(z), j).sum()
    assert kappa == pytest.approx(float(due), rel=1e-4)
    change = re.search(r"by up to (\S+) relative, which", f.message)
    assert change is None or float(change[1]) == pytest.approx(kappa * 2.0**-53, rel=1e-4)


def test_the_share_that_a_stalled_sum_left_out():
    n = 3000
    report = smcli.compare([0.0] * n, dtype="float16", sum="sequential", quantities="softmax", methods="naive")
    said = (
        r"ended at (\S+), (\S+) % below the sum of its terms, (\S+):.* first term (\d+); those left out sum to (\S+)$"
    )
    end, short, due, term, left = figures(said, the("SM404", report).message)
    assert (end, due, term, left) == (2048, n, 2048, n - 2048) and short == pytest.approx(
        100 * (n - 2048) / n, rel=1e-5
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e5m2", "float32", "float64"])
def test_what_a_stalled_sum_is_short_of_is_told_beside_what_was_left_out(dtype):
    """Terms that are rounded up make good for some of those left out: neither is the other, on rows of every kind."""
    f, rng, seen = formats.get(dtype), np.random.default_rng(8), set()
    for k in range(60):
        n, spread = int(rng.choice([40, 300, 2000])), float(rng.choice([0.1, 1, 3, -math.log(f.unit_roundoff) - 1]))
        x = f.round(
            -np.abs(rng.normal(0, spread, n)) if k % 2 else np.array([0.0] + [-spread - 0.3 * rng.random()] * (n - 1))
        )
        signs = rng.choice([-1.0, 1.0], n) if k % 5 == 0 else None
        asked = (
            {"quantities": "softmax"} if signs is None else {"quantities": "logsumexp", "coefficients": signs.tolist()}
        )
        report = smcli.compare(x, dtype=dtype, sum="sequential", methods="naive", **asked)
        for found in (found for found in report.findings if found.code == "SM404"):
            terms = f.round(f.round(np.exp(x)) * (1 if signs is None else signs)).tolist()
            end, left = 0.0, []
            for t in terms:
                before, end = end, float(f.round(np.array(end + t)))
                left += [abs(t)] if before == end and t else []
            total = sum(map(Fraction, terms))
            told = re.search(
                r"ended at (\S+), (?:(\S+) % (below|above) the sum of its terms|where its terms sum to)", found.message
            )
            due = figures(r"(?:of its terms, |terms sum to )(\S+):", found.message)[0]
            assert float(told[1]) == pytest.approx(end, rel=1e-5) and due == pytest.approx(float(total), rel=1e-5)
            assert figures(r"left out sum to (\S+)$", found.message)[0] == pytest.approx(math.fsum(left), rel=1e-5)
            if told[2]:
                off = float(100 * (Fraction(end) - total) / total)
                assert float(told[2]) == pytest.approx(abs(off), rel=1e-5) and told[3] == (
                    "above" if off > 0 else "below"
                )
            seen.add(told[3] if signs is None else "signs")
    assert {"below", "signs"} <= seen or dtype in {"float32", "float64"}


def test_a_sum_beyond_float64_is_told_in_figures():
    told = the("SM202", smcli.compare([709.5] * 30, quantities="softmax", methods="naive")).message
    mantissa, power = re.search(r"the sum is about (\S+)e\+(\d+), the largest", told).groups()
    assert math.log10(float(mantissa)) + int(power) == pytest.approx((709.5 + math.log(30)) / math.log(10), rel=1e-6)


def test_places_are_cut_in_a_batch_where_only_one_row_has_many():
    rows = [[-104.0] * 150 + [-103.0] * 50, [0.0] * 199 + [-104.0]]
    report = smcli.compare(rows, dtype="float32", quantities="softmax", methods="naive")
    lost = {f.count: len(f.at) for row in report.rows for f in row.findings if f.code == "SM302"}
    assert lost == {150: 100}
    report = smcli.compare(
        [[-104.0] * 150 + [-103.0], [-104.0] + [-103.0] * 150], dtype="float32", quantities="softmax", methods="naive"
    )
    lost = {f.count: f.at for row in report.rows for f in row.findings if f.code == "SM302"}
    assert lost == {150: tuple(range(100)), 1: (0,)}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "float8_e5m2", "float8_e4m3fn"])
def test_thresholds_in_messages_are_those_of_the_format(dtype):
    from smcli.numbers import formats

    f = formats.get(dtype)
    x = math.ceil(f.exp_overflow) + 1.0
    told = the("SM201", smcli.compare([x, 0], dtype=dtype, quantities="softmax", methods="naive")).message
    assert figures(r"exp\((\S+)\) is beyond", told) == (float(f.round(np.array(x))),)
    assert figures(r"only below (\S+)$", told)[0] == pytest.approx(f.exp_overflow, rel=1e-5)
    low = math.floor(f.exp_zero) - 1.0
    told = the("SM304", smcli.compare([low, low], dtype=dtype, quantities="softmax", methods="naive")).message
    largest, zero = figures(r"largest is ([^;]+); exp is 0 up to (\S+) in", told)
    assert largest == float(f.round(np.array(low))) and zero == pytest.approx(f.exp_zero, rel=1e-5)
    told = the("SM301", smcli.compare([0, -f.max / 2], dtype=dtype, quantities="softmax", methods="shifted")).message
    assert figures(r"smallest number (\S+)$", told)[0] == pytest.approx(f.smallest_subnormal, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_sum_is_called_stalled_from_the_share_on_that_rounding_does_not_explain(dtype):
    """1 and k terms below half of its spacing, all of which are left out; 2(log2 n + 4)u of the sum is explained."""
    f = formats.get(dtype)
    x = float(f.round(np.array(math.log(f.unit_roundoff) - 0.03)))
    term = float(f.round(np.array(math.exp(x))))
    assert term < f.unit_roundoff
    seen = set()
    for k in range(2, 60):
        share = k * term / (1 + k * term)
        due = share > min(2 * (math.log2(k + 1) + 4) * f.unit_roundoff, 0.25)
        report = smcli.compare([0.0, *[x] * k], dtype=dtype, methods="naive", quantities="softmax", sum="sequential")
        assert ("SM404" in codes(report)) == due, k
        seen.add(due)
        if due:
            (told,) = figures(r"those left out sum to (\S+)$", the("SM404", report).message)
            assert told == pytest.approx(k * term, rel=1e-5)
    assert seen == {False, True}


def test_nothing_is_called_a_factor_of_values_that_it_does_not_fit():
    """A thousandth of the truth, give or take one in a hundred: no one factor makes them."""
    x = np.array([[1.0, 2.0, 0.5, -1.0], [3.0, 0.25, 1.5, 2.5]])
    e = np.exp(x)
    p = e / e.sum(axis=1, keepdims=True)
    off = np.array([[1, 1.01, 0.99, 1], [1.005, 1, 1.01, 0.99]])
    near, far = (
        [f.remedy for f in smcli.check(x, y).findings if f.code == "SM401"] for y in (p / 1000, p / 1000 * off)
    )
    assert near and all(said.startswith("each of these values is 0.001 times") for said in near)
    assert far and not any("each of these values is" in said for said in far)


def test_a_lost_softmax_is_laid_to_the_step_that_lost_it_and_not_to_the_division_before_it():
    options = {"dtype": "float16", "methods": "naive", "quantities": "softmax"}
    report = smcli.compare([18.0] * 10, temperature=2.0, **options)
    assert the("SM302", report).step == "Σ exp(x/T)"
    assert the("SM302", smcli.compare([-35.0, -32.0], temperature=2.0, **options)).step == "exp(x/T)"


def test_what_overflows_is_beyond_the_format_that_the_step_is_in():
    options = {"dtype": "float32", "methods": "fused", "quantities": "cross-entropy", "accumulate": "float16"}
    added = smcli.compare([0.0, 0.0, 10.0], labels=[6000.0, 6000.0, 0.0], **options)
    assert "it is beyond float16, which ends at 65504" in the("SM203", added).message
    multiplied = smcli.compare([0.0, -100.0, -100.0], labels=[0.0, 1e37, -1e37], **options)
    assert "it is beyond float32, which ends at 3.40282e+38" in the("SM203", multiplied).message


def test_what_cancels_in_a_divergence_of_far_rows_is_told_from_their_exact_differences():
    """A teacher a thousand million further up: a difference of two logits does not fit a float64."""
    x = np.array([0.1, 0.2, 0.3])
    t = x + 1e9 + np.array([0, 1e-7, 3e-7])
    found = the("SM408", smcli.compare(x, quantities="kl", against=t, methods="fused"))
    with mpmath.workdps(50):
        p, q = ([mpmath.exp(mpmath.mpf(v) - mpmath.mpf(row[0])) for v in row.tolist()] for row in (t, x))
        p, q = ([v / sum(row) for v in row] for row in (p, q))
        terms = [a * mpmath.log(a / b) for a, b in zip(p, q, strict=True)]
        size, total = float(sum(map(abs, terms))), float(sum(terms))
    told = figures(r"absolute values sum to (\S+), they themselves to (\S+);", found.message)
    assert told == pytest.approx((size, total), rel=1e-5)


@pytest.mark.parametrize(
    "options", [{"dtype": "bfloat16"}, {"dtype": "float16"}, {"dtype": "float32", "accumulate": "bfloat16"}]
)
def test_the_first_remedy_of_a_stalled_sum_is_a_wider_accumulator(options):
    report = smcli.compare([0.0] * 3000, methods="naive", quantities="softmax", sum="sequential", **options)
    assert the("SM404", report).remedy == "accumulate in float32 (--accumulate float32)"
