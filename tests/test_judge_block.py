"""A judged block: the same rows whatever the blocks, small and picklable, and errors that are certified however small."""

from __future__ import annotations

import pickle
import tracemalloc

import flint
import numpy as np
import pytest

import smcli
from smcli.numbers.formats import FORMATS


def ball_error(logits, value, kind, index):
    """(relative error, error in spacings of the format at the truth) by Arb."""
    flint.ctx.prec = 4000
    e = [flint.arb(float(v)).exp() for v in logits]
    total = sum(e, flint.arb(0))
    t = e[index] / total if kind == "softmax" else (e[index] / total).log()
    return abs(flint.arb(float(value)) - t) / abs(t), abs(t)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize(
    "row", [[40, 0], [100, 0, -3], [0, -50, -60.5], [700, 0], [5, 5, -200], [1, 2, 3, 4], [-0.125, -300, -301]]
)
@pytest.mark.parametrize("quantity", ["softmax", "log-softmax"])
def test_errors_below_the_bound_of_the_truth_are_certified(dtype, row, quantity):
    report = smcli.compare(row, dtype=dtype, quantities=quantity, methods="shifted,logspace,log1p")
    f = FORMATS[dtype]
    for m in report.rows[0].results[0].methods:
        for i, y in enumerate(m.values.tolist()):
            if y == 0 or not np.isfinite(y):
                continue
            rel, size = ball_error(report.rows[0].logits, y, quantity, i)
            assert m.rel[i] == pytest.approx(float(rel), rel=0.02, abs=5e-324), (m.method, i)
            exponent = max(int(np.floor(np.log2(float(size)))), f.emin)
            below = float(size) == 2.0**exponent and bool(size < 2**exponent)
            ulp = float(rel * size / flint.arb(2) ** (exponent - below - f.p + 1))
            assert m.ulp[i] == pytest.approx(ulp, rel=0.02, abs=5e-324), (m.method, i)


def test_a_report_can_be_sent_to_another_process():
    for report in (
        smcli.compare([[1, 2, 3], [1000, 2000, 3000], [1, 2]], trace=True),
        smcli.gradient([[1, 2], [0, -800]], target=[0, 1], reduction="mean"),
        smcli.compare([[1, 2], [3, 4]], target=0, quantities="cross-entropy", reduction="sum", dtype="all"),
    ):
        assert pickle.loads(pickle.dumps(report)).to_dict() == report.to_dict()


def test_rows_of_alternating_lengths_are_few_blocks():
    rows = [[1.0, 2.0], [3.0, 4.0, 5.0]] * 500
    report = smcli.compare(rows, quantities="softmax", methods="shifted")
    assert len(report.blocks) == 2 and len(report.rows) == 1000
    assert [r.logits.size for r in report.rows] == [2, 3] * 500 and [r.row for r in report.rows] == list(range(1000))


def test_scores_and_digest_agree_with_the_rows():
    x = np.random.default_rng(0).normal(0, 40, (300, 5))
    x[7, 2], x[200, 1] = 2000, np.nan
    report = smcli.compare(x, dtype="float32", quantities="softmax,log-softmax")
    for score in report.scores():
        of = [m for r in report.rows for q in r.results if q.quantity == score.quantity for m in q.methods]
        of = [m for m in of if m.method == score.method]
        labels = [smcli.model.Verdict(int(v)).label for m in of for v in m.verdicts]
        assert score.counts == {w: labels.count(w) for w in set(labels)}
        errors = np.array([m.ulp[m.worst] for m in of])
        assert np.isnan(score.worst_ulp) == np.isnan(errors).any()
        number, index = score.worst_at
        at = of[number].ulp[index]
        assert at == score.worst_ulp or (np.isnan(at) and np.isnan(score.worst_ulp))
        assert set(score.codes) == {
            f.code for f in report.findings if (f.method, f.quantity) == (score.method, score.quantity)
        }
    for count in report.digest():
        rows = [r.row for r in report.rows if any(f.code == count.code for f in r.findings)]
        assert (count.rows, list(count.first_rows)) == (len(rows), rows[:8])
    flagged = [r.row for r in report.flagged(10**6)]
    assert sorted(flagged) == [r.row for r in report.rows if r.findings]


def test_memory_grows_with_the_numbers_not_with_their_square():
    def peak(rows):
        x = np.random.default_rng(0).normal(0, 10, (rows, 10))
        tracemalloc.start()
        report = smcli.compare(x, quantities="softmax", methods="naive,shifted")
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(report.rows) == rows
        return size

    peak(100)
    small, large = peak(7_000), peak(70_000)
    assert large < 12 * small and large < 70_000 * 10 * 200
