"""The pipeline: rows of any lengths, targets and labels that fit, reductions, and properties that the truth has to have."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import smcli
from smcli.model import Verdict
from smcli.numbers import formats

INF = float("inf")
ROWS = [[1, 2], [3, 4], [5, 6, 7], [8], [9, 10]]
GRID = st.integers(-4000, 4000).map(lambda k: k / 64)  # sums of these are exact


TINY = Fraction(1, 10**39)


def rounded(t, fmt):
    """A Fraction rounded once to the format."""
    return fmt.round_written(np.array([float(t)]), [f"{t.numerator}/{t.denominator}"])[0]


def exact(logits, quantity="softmax", **options):
    return [Decimal(v) for v in smcli.exact(logits, quantity, digits=40, **options)]


def test_rows_keep_their_order_and_number_whatever_their_lengths():
    report = smcli.compare(ROWS, quantities="softmax", methods="shifted")
    assert [r.row for r in report.rows] == [0, 1, 2, 3, 4]
    assert [r.logits.tolist() for r in report.rows] == ROWS
    for r in report.rows:
        assert r.results[0].methods[0].values == pytest.approx(r.results[0].truth)


@pytest.mark.parametrize("block", [1, 2, 5, 100])
def test_blocks_change_nothing(monkeypatch, block):
    rows = np.random.default_rng(1).normal(0, 30, (9, 4))
    options = {"target": [0, 1, 2, 3, 0, 1, 2, 3, 1], "reduction": "mean", "ignore_index": 2, "dtype": "float32"}
    whole = smcli.compare(rows, **options).to_dict()
    monkeypatch.setattr("smcli.problem.build.BLOCK", block)
    assert json.dumps(smcli.compare(rows, **options).to_dict()) == json.dumps(whole)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target": [0, 1]}, "2 targets for 5 rows"),
        ({"target": [0, 0, 3, 0, 0]}, "target 3 of row 2 is not a class: there are 3"),
        ({"target": [1, 1, 1, 1, 1]}, "target 1 of row 3"),
        ({"labels": [1, 0]}, "2 labels for row 2 of 3 logits"),
        ({"labels": [[1, 0]] * 3}, "3 rows of labels for 5 rows of logits"),
        ({"target": 0, "class_weights": [1, 2]}, "class_weights has 2 numbers for a row of 3 logits"),
        ({"temperature": 1e6, "dtype": "float16"}, "is beyond float16, whose largest number is 65504"),
        (
            {"target": 0, "class_weights": [1e9, 1], "dtype": "float8_e5m2"},
            "class_weights holds 1e+09 at index 0, which is beyond",
        ),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_where(options, says):
    with pytest.raises(smcli.SmcliError) as caught:
        smcli.compare(ROWS if "dtype" not in options else ROWS[:2], **options)
    assert says in caught.value.message and caught.value.hint


def test_one_target_or_row_of_labels_stands_for_all_rows():
    assert [r.target for r in smcli.compare([[1, 2], [3, 4]], target=1).rows] == [1, 1]
    report = smcli.compare([[1, 2], [3, 4]], labels=[0.5, 0.25], quantities="cross-entropy")
    assert all(r.labels.tolist() == [0.5, 0.25] for r in report.rows)


@pytest.mark.parametrize(("targets", "kept"), [([0, 1, 2], [0, 1, 2]), ([0, -100, 2], [0, 2]), ([-100, 1, -100], [1])])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_reductions_are_those_of_the_rows_that_count(targets, kept, weighted, reduction):
    x = np.random.default_rng(3).normal(0, 4, (3, 3))
    w = np.array([0.5, 2, 0.25])
    options = {"class_weights": w} if weighted else {}
    report = smcli.compare(
        x, target=targets, ignore_index=-100, reduction=reduction, quantities="cross-entropy", digits=30, **options
    )
    (reduced,) = report.reduced
    factor = sum((Fraction(w[t]) if weighted else Fraction(1)) for t in kept) if reduction == "mean" else Fraction(1)
    rows = [r.results[0].exact([0])[0] for r in report.rows if not r.ignored]
    assert len(rows) == len(kept)
    want = sum(map(Fraction, rows)) / factor
    assert abs(Fraction(reduced.exact) / want - 1) < Fraction(1, 10**28)
    for m in reduced.methods:
        assert m.values[0] == pytest.approx(float(want), rel=1e-13)
    gradient = smcli.gradient(x, target=targets, ignore_index=-100, reduction=reduction, digits=30, **options)
    plain = smcli.gradient(x, target=targets, ignore_index=-100, digits=30, **options)
    for a, b in zip(gradient.rows, plain.rows, strict=True):
        for p, q in zip(a.results[0].exact(range(3)), b.results[0].exact(range(3)), strict=True):
            assert Fraction(q) == Fraction(p) == 0 or abs(Fraction(p) * factor / Fraction(q) - 1) < Fraction(1, 10**28)


def test_when_all_rows_are_ignored():
    options = {"target": [7, 7], "ignore_index": 7, "quantities": "cross-entropy"}
    mean = smcli.compare([[1, 2], [3, 4]], reduction="mean", **options)
    assert mean.reduced[0].exact == "nan" and "by design" in mean.reduced[0].note
    assert all(np.isnan(m.values[0]) for m in mean.reduced[0].methods)
    total = smcli.compare([[1, 2], [3, 4]], reduction="sum", **options)
    assert total.reduced[0].exact == "0" and all(m.values[0] == 0 for m in total.reduced[0].methods)
    for r in mean.rows:
        assert r.ignored and r.results[0].exact([0]) == ["0"] and not r.findings


def test_explicit_limits_decide_what_is_accurate():
    x = [0.1, 0.7, -3.2]
    (m,) = smcli.compare(x, methods="shifted", quantities="softmax").rows[0].results[0].methods
    worst = float(m.ulp.max())
    assert set(m.verdicts.tolist()) <= {Verdict.CORRECT, Verdict.OK} and 0 < worst < 4
    strict = smcli.compare(x, methods="shifted", quantities="softmax", max_ulp=worst / 2)
    assert Verdict.INACCURATE in strict.rows[0].results[0].methods[0].verdicts and strict.beyond_limits()
    assert not smcli.compare(x, methods="shifted", quantities="softmax", max_ulp=worst).beyond_limits()
    assert smcli.compare(x, methods="shifted", quantities="softmax", max_rel=1e-20).beyond_limits()
    assert smcli.compare([1000, 2000], methods="naive", quantities="softmax", max_ulp=INF).beyond_limits()  # nan


@pytest.mark.parametrize(
    ("row", "quantity", "want"),
    [  # NUMERICS, section 1
        ([-INF, 0], "softmax", "0 1"), ([-INF, 0], "log-softmax", "-inf 0"), ([-INF, 0], "logsumexp", "0"),
        ([-INF, -INF], "softmax", "nan nan"), ([-INF, -INF], "log-softmax", "nan nan"), ([-INF, -INF], "logsumexp", "-inf"),
        ([INF, 0], "softmax", "1 0"), ([INF, 0], "log-softmax", "0 -inf"), ([INF, 0], "logsumexp", "inf"),
        ([INF, 0, INF], "softmax", "nan 0 nan"), ([INF, 0, INF], "log-softmax", "nan -inf nan"),
        ([INF, 0, INF], "logsumexp", "inf"), ([float("nan"), 0], "softmax", "nan nan"),
        ([float("nan"), 0], "logsumexp", "nan"), ([float("nan"), INF], "log-softmax", "nan nan"),
        ([-INF, 0], "cross-entropy", "inf 0"), ([5], "softmax", "1"), ([5], "log-softmax", "0"), ([5], "logsumexp", "5"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("digits", [1, 17, 50])
def test_conventions_at_the_edges(row, quantity, want, digits):
    assert smcli.exact(row, quantity, digits=digits) == want.split()


def test_masked_targets_and_zero_labels():
    assert smcli.exact([-INF, 0], "cross-entropy", target=0) == ["inf"]
    assert smcli.exact([-INF, 0], "cross-entropy", labels=[0, 1]) == ["0"]
    assert smcli.exact([-INF, 0, 0], "cross-entropy", labels=[0, 1, 1], digits=20) == ["1.3862943611198906188"]
    assert smcli.exact([-INF, 0], "cross-entropy", target=1, label_smoothing=0.1) == ["inf"]


@given(st.lists(GRID, min_size=1, max_size=6), GRID)
def test_a_shift_changes_nothing_but_the_logsumexp(logits, c):
    moved = [x + c for x in logits]
    for quantity in ("softmax", "log-softmax"):
        assert exact(logits, quantity) == exact(moved, quantity)
    (before,), (after,) = exact(logits, "logsumexp"), exact(moved, "logsumexp")
    with localcontext(prec=60):
        assert abs(before + Decimal(c) - after) <= Decimal("1e-36")


@given(st.lists(GRID, min_size=1, max_size=6), st.randoms())
def test_a_permutation_permutes(logits, random):
    order = list(range(len(logits)))
    random.shuffle(order)
    moved = [logits[i] for i in order]
    for quantity in ("softmax", "log-softmax"):
        values = exact(logits, quantity)
        assert exact(moved, quantity) == [values[i] for i in order]
    assert exact(moved, "logsumexp") == exact(logits, "logsumexp")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_probabilities_sum_to_1_and_are_the_exponentials_of_their_logs(logits):
    p, log_p = exact(logits), exact(logits, "log-softmax")
    with localcontext(prec=60):
        assert abs(sum(p) - 1) <= Decimal("1e-39") * len(p)
        for a, b in zip(p, log_p, strict=True):
            assert abs(b.exp() / a - 1) <= max(abs(b), 1) * Decimal("1e-38")
        gradient = exact(logits, "gradient", target=0)
        assert abs(sum(gradient)) <= Decimal("1e-38") * len(p)
        assert all(g == v for g, v in zip(gradient[1:], p[1:], strict=True)) and -1 <= gradient[0] <= 0


@examples(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-600, 600), min_size=1, max_size=8),
    st.sampled_from(["float64", "float32", "float16", "bfloat16"]),
)
def test_the_careful_methods_lose_nothing_on_ordinary_rows(logits, dtype):
    last = formats.get(dtype).smallest_subnormal
    report = smcli.compare(logits, dtype=dtype, methods="log1p,fused", quantities="softmax,log-softmax,cross-entropy")
    for q in report.rows[0].results:
        for m in q.methods:
            lost = (m.verdicts == Verdict.LOST) & ~((m.values == 0) & (m.method == "fused"))  # fused saturates: SM402
            lost &= abs(q.truth) > last  # e^-92.7 may be taken as e^-93, below it
            assert not lost.any() or (q.quantity != "softmax" and dtype != "float64"), (m.method, m.values)


@examples(max_examples=50, deadline=None)
@given(st.lists(st.floats(-600, 600), min_size=1, max_size=8), st.sampled_from(list(formats.FORMATS)))
def test_verdicts_are_those_of_the_contract(logits, dtype):
    """Verdict of one value, the first that applies, from the certified digits alone."""
    f = formats.get(dtype)
    report = smcli.compare(
        logits, dtype=dtype, methods="naive,shifted,log1p", quantities="softmax,log-softmax", digits=40
    )
    (row,) = report.rows
    for q in row.results:
        truths = [None if v == "nan" else Fraction(v) if "inf" not in v else float(v) for v in q.exact(range(q.size))]
        for m in q.methods:
            for t, y, verdict in zip(truths, m.values.tolist(), m.verdicts.tolist(), strict=True):
                if t is None or (row.logits == INF).any():
                    assert verdict == Verdict.UNDEFINED
                    continue
                ends = [float(rounded(t * (1 + e), f)) if t else 0.0 for e in (Fraction(0), TINY, -TINY)]
                if len(set(map(str, ends))) > 1:  # next to a tie that 40 digits do not decide
                    continue
                finite = ends[0]
                held = t == 0 or (np.isfinite(finite) and finite != 0)
                same = y == finite or (np.isnan(y) and np.isnan(finite))
                if held and same:
                    assert verdict == Verdict.CORRECT
                elif same:
                    assert verdict == Verdict.NOT_REPRESENTABLE
                elif (not np.isfinite(y) and np.isfinite(finite)) or (y == 0 and held):
                    assert verdict == Verdict.LOST
                else:
                    assert verdict in {Verdict.OK, Verdict.INACCURATE}
