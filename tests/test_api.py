"""The Python API: the pipeline of the command line on lists and arrays."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import numpy as np
import pytest

import smcli
from smcli.cli.app import run
from smcli.report.report import Comparison, Report


def test_compare():
    report = smcli.compare([1000, 2000, 3000], dtype="float32", methods=["naive", "fused"], target=0)
    assert isinstance(report, Report) and report.dtype == "float32"
    assert math.isnan(report.worst_ulp("naive", "softmax")) and report.worst_ulp("fused", "cross-entropy") < 1
    assert {"SM201"} <= {f.code for f in report.findings} and report.worst == "error"
    with pytest.raises(smcli.UsageError, match="no softmax by fused"):
        report.worst_ulp("fused", "softmax")


def test_several_formats():
    both = smcli.compare([1, 2], dtype=["float16", "float32"])
    assert isinstance(both, Comparison) and [r.dtype for r in both.reports] == ["float16", "float32"]
    assert both.findings == [f for r in both.reports for f in r.findings]


@pytest.mark.parametrize(
    "logits",
    [[1, 2, 4], (1.0, 2.0, 4.0), np.array([1, 2, 4]), np.array([[1, 2, 4]], "f4"), [Decimal(1), 2, np.float16(4)]],
)
def test_kinds_of_logits(logits):
    assert smcli.compare(logits).rows[0].logits.tolist() == [1.0, 2.0, 4.0]


def test_a_batch_takes_the_worst_row():
    report = smcli.compare([[1, 2], [1000, 2000]], methods="naive", quantities="softmax", target=[0, 1])
    assert [row.row for row in report.rows] == [0, 1] and [row.target for row in report.rows] == [0, 1]
    assert math.isnan(report.worst_ulp("naive", "softmax"))
    assert len({f.code for f in report.findings}) == len(report.to_dict()["summary"]["findings"])


def test_evaluate():
    report = smcli.evaluate([1000, 2000], quantities="softmax", digits=5)
    assert report.rows[0].results[0].exact([0, 1]) == ["5.076e-435", "1"]
    one = smcli.evaluate([1, 2], method="shifted", quantities="softmax")
    assert [m.method for m in one.rows[0].results[0].methods] == ["shifted"]


def test_gradient():
    (g,) = smcli.gradient([0, 0], target=0).rows[0].results
    assert g.quantity == "gradient" and g.exact([0, 1]) == ["-0.5", "0.5"]
    (j,) = smcli.gradient([0, 0]).rows[0].results
    assert j.quantity == "jacobian" and j.square == 2 and j.exact(range(4)) == ["0.25", "-0.25", "-0.25", "0.25"]


def test_exact():
    assert smcli.exact([1000, 2000]) == ["5.0759588975494568e-435", "1"]
    (lse,) = smcli.exact([0, 0], "logsumexp", digits=50)
    assert lse == "0.69314718055994530941723212145817656807550013436026"
    assert smcli.exact([0, 0], "gradient", target=1) == ["0.5", "-0.5"]
    assert len(smcli.exact([1, 2], "jacobian")) == 4
    with pytest.raises(smcli.InputError, match="2 rows"):
        smcli.exact([[1, 2], [3, 4]])


def test_truth():
    x = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]])
    t = smcli.truth(x, "softmax")
    assert t.hi.shape == x.shape
    for row, logits in enumerate(x):
        for i, digits in enumerate(smcli.exact(logits, digits=30)):
            got = (Decimal(float(t.hi[row, i])) + Decimal(float(t.lo[row, i]))) * Decimal(2) ** int(t.exp2[row, i])
            assert abs(got / Decimal(digits) - 1) < Decimal("1e-24")


@pytest.mark.parametrize(
    "call",
    [
        lambda: smcli.compare([]),
        lambda: smcli.compare([[1, 2], []]),
        lambda: smcli.compare(["1", "2"]),
        lambda: smcli.compare([True, 1]),
        lambda: smcli.compare([1j]),
        lambda: smcli.compare(None),
        lambda: smcli.compare(object()),
        lambda: smcli.compare([1, 2], target=2),
        lambda: smcli.compare([1, 2], target=-1),
        lambda: smcli.compare([1, 2], dtype="float65"),
        lambda: smcli.compare([1, 2], methods="magic"),
        lambda: smcli.compare([1, 2], quantities="loss"),
        lambda: smcli.compare([1, 2], digits=0),
        lambda: smcli.compare([1, 2], temperature=0),
        lambda: smcli.compare([1, 2], labels=[1]),
        lambda: smcli.compare([1, 2], labels=[0.5, 0.5], target=0),
        lambda: smcli.evaluate([1, 2], method="magic"),
        lambda: smcli.gradient([1, 2], cotangent=[1, 2, 3]),
        lambda: smcli.exact([1, 2], "loss"),
        lambda: smcli.exact([1, 2], digits=10001),
        lambda: smcli.exact([1, 2], "gradient"),
        lambda: smcli.exact([1, 2], "vjp"),
        lambda: smcli.exact([1, 2], "jacobian", target=0),
    ],
)
def test_errors_are_smcli_errors(call):
    with pytest.raises(smcli.SmcliError) as caught:
        call()
    assert caught.value.message and caught.value.exit_code in {2, 3}


@pytest.mark.parametrize(
    "options",
    [{"temperature": -1}, {"softcap": -1}, {"softcap": 0}, {"temperature": [1, 2]}, {"digits": 2.5}, {"max_ulp": -1},
     {"max_rel": float("nan")}, {"target": 1.7}, {"target": "a"}, {"target": [None]}, {"target": float("nan")}],
)  # fmt: skip
def test_options_are_checked_as_on_the_command_line(options):
    with pytest.raises(smcli.SmcliError):
        smcli.compare([1, 2], **options).to_dict()


def test_the_document_is_that_of_the_command_line(capsys):
    assert run(["compare", "1", "-2.5", "800", "-t", "0", "-d", "float32", "-f", "json"]) == 0
    report = smcli.compare([1, -2.5, 800], target=0, dtype="float32")
    assert json.loads(capsys.readouterr().out) == report.to_dict()


def test_public_names():
    assert set(smcli.__all__) == set(dir(smcli)) and all(hasattr(smcli, name) for name in smcli.__all__)
    with pytest.raises(AttributeError):
        smcli.nothing  # noqa: B018
