"""The Python API: the pipeline of the command line on lists and arrays."""

from __future__ import annotations

import inspect
import json
import math
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from typing import get_type_hints

import numpy as np
import pytest

import smcli
from smcli.cli import compare, evaluate, grad
from smcli.cli.app import run
from smcli.cli.options import Input, Output, Rendering
from smcli.model import Truth
from smcli.reference.double_double.decimal import texts
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
        lambda: smcli.compare([1, 2], temperature=-1),
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


ENTRIES = (smcli.compare, smcli.evaluate, smcli.gradient, smcli.exact, smcli.truth)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda f: f.__name__)
def test_keywords_are_spelled_out(entry):
    parameters = inspect.signature(entry).parameters.values()
    assert all(p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY} for p in parameters)
    said = rf"^{entry.__name__}\(\) got an unexpected keyword argument 'temprature'(\. Did you mean 'temperature'\?)?$"
    with pytest.raises(TypeError, match=said):
        entry([1, 2], temprature=1)


@pytest.mark.parametrize(
    ("entry", "command"), [(smcli.compare, compare), (smcli.evaluate, evaluate), (smcli.gradient, grad)]
)
def test_python_has_the_options_of_the_command_line(entry, command):
    python = {{"methods": "method", "quantities": "quantity"}.get(n, n) for n in inspect.signature(entry).parameters}
    of_the_shell = {*get_type_hints(Input), *get_type_hints(Output), *get_type_hints(Rendering), "sweep"}
    assert python - {"logits"} == {*get_type_hints(command.Options)} - of_the_shell | {"max_ulp", "max_rel"}


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float8_e5m2"])
@pytest.mark.parametrize("quantity", ["softmax", "log_softmax", "lse", "ce", "gradient"])
@pytest.mark.parametrize(
    "array",
    [np.array([[2**60 + 2**36 + 1, 2**60 + 2**36]]), np.array([[2**64 - 1, 2**64 - 2**39]], np.uint64), np.array([[3, -4]], "i1"),
     np.array([[np.longdouble(1) + np.longdouble(2) ** -24 + np.longdouble(2) ** -60, 0]]), [[Decimal("1.1"), Fraction(1, 3)]],
     np.array([1.5, 2.5], "f2"), np.array([[[1, 2], [3, 4]], [[5, 6], [7, 9]]]), [np.array([1.0, 2.0]), [3, 4]], 7],
    ids=["int64", "uint64", "int8", "longdouble", "exact", "float16", "cube", "list", "number"],
)  # fmt: skip
def test_truth_reads_what_exact_reads(array, quantity, dtype):
    t = smcli.truth(array, quantity, dtype=dtype, target=0)
    rows = np.array(array, dtype=object)
    rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim else rows.reshape(1, 1)
    name = {"log_softmax": "log-softmax", "lse": "logsumexp", "ce": "cross-entropy"}.get(quantity, quantity)
    assert t.hi.shape[:-1] == (np.shape(array)[:-1] or ())
    for r, row in enumerate(rows.tolist()):
        target = 0 if name in {"cross-entropy", "gradient"} else None
        hi, lo, exp2 = (a.reshape(len(rows), -1)[r] for a in (t.hi, t.lo, t.exp2))
        found = texts(Truth(hi, lo, exp2, t.bound), 12)
        want = smcli.exact(row, name, dtype=dtype, target=target, digits=12)
        assert [w for w, f in zip(want, found, strict=True) if f is not None] == [f for f in found if f is not None]


def test_truth_takes_a_target_for_each_row():
    x = np.arange(12.0).reshape(2, 2, 3)
    t = smcli.truth(x, "cross-entropy", target=np.array([[0, 1], [2, 0]]))
    want = [
        smcli.exact(row, "cross-entropy", target=k)[0] for row, k in zip(x.reshape(4, 3), [0, 1, 2, 0], strict=True)
    ]
    assert t.hi.shape == (2, 2, 1) and t.hi.reshape(-1).tolist() == pytest.approx([float(w) for w in want], rel=1e-15)
    assert smcli.truth(x, "cross-entropy", target=1).hi.shape == (2, 2, 1)
    assert smcli.truth(x, "cross-entropy").hi.shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("array", "asked"),
    [
        ([["a", "b"]], {}), ([[1, 2], [3]], {}), (np.array([[1 + 2j, 1]]), {}), (np.array([["1", "2"]]), {}),
        (np.ma.array([[1.0, 5.0]], mask=[[0, 1]]), {}), (np.array([True, False]), {}), ([True, 1], {}), ([], {}), (None, {}),
        (np.zeros((0, 3)), {}), (np.zeros((3, 0)), {}), (np.array([None, 1]), {}), ([[[1, 2]], [[3, 4], [5, 6]]], {}),
        ([[[1, 2]], [[3, 4]], [[5, 6]], [[7, 8], [9, 0]]], {}), ([np.zeros((2, 2)), np.zeros((1, 2)), np.zeros((3, 2))], {}),
        ([1, 2], {"target": 1.5}), ([1, 2], {"target": "0"}), ([1, 2], {"target": [0, 1, 2]}), ([1, 2], {"target": 7}),
        ([1, 2], {"target": -1}), ([1, 2], {"target": True}), ([1, 2], {"target": np.array([True])}), ([1, 2], {"target": 2**70}),
        ([1, 2], {"target": np.array([2**63], np.uint64)}), ([1, 2], {"target": []}), ([1, 2], {"target": [[0], [1]]}),
        ([1, 2], {"dtype": "float65"}), ([1, 2], {"quantity": "loss"}), ([1, 2], {"quantity": "jacobian"}),
        ([1, 2], {"quantity": "vjp"}), ([1, 2], {"quantity": "bce"}), ([1, 2], {"quantity": "gradient"}),
        ([0, -(2.0**63)], {}), ([0, 2**63], {}),
    ],
)  # fmt: skip
def test_truth_refuses_what_compare_refuses(array, asked):
    with pytest.raises(smcli.SmcliError) as caught:
        smcli.truth(array, **asked)
    assert "--" not in str(caught.value) + caught.value.hint


def test_the_document_is_that_of_the_command_line(capsys):
    assert run(["compare", "1", "-2.5", "800", "-t", "0", "-d", "float32", "-f", "json"]) == 0
    report = smcli.compare([1, -2.5, 800], target=0, dtype="float32")
    assert json.loads(capsys.readouterr().out) == report.to_dict()


def test_public_names():
    assert set(smcli.__all__) == set(dir(smcli)) and all(hasattr(smcli, name) for name in smcli.__all__)
    with pytest.raises(AttributeError):
        smcli.nothing  # noqa: B018


def test_several_formats_have_the_worst_error_of_them():
    options = {"methods": "naive", "quantities": "softmax"}
    both = smcli.compare([3.0, 7.0], dtype="float32,float16", **options)
    each = [smcli.compare([3.0, 7.0], dtype=d, **options).worst_ulp("naive", "softmax") for d in ("float32", "float16")]
    assert isinstance(both, smcli.Comparison) and both.worst_ulp("naive", "softmax") == max(each) > min(each)
    lost = smcli.compare([100.0, 7.0], dtype="float64,float16", **options)
    assert math.isnan(lost.worst_ulp("naive", "softmax"))
    with pytest.raises(smcli.UsageError, match="no logsumexp by naive"):
        both.worst_ulp("naive", "logsumexp")


CONSUMER = """
import numpy as np

import smcli
from smcli.testing import assert_accurate

report = smcli.compare([1000, 2000, 3000], dtype="float32", methods=["naive", "fused"], target=0)
codes: list[str] = [f.code for f in report.findings]
worst: float = report.worst_ulp("naive", "softmax")
first: str = smcli.exact([1, 2, 3], "softmax", digits=30)[0]
truth: smcli.Truth = smcli.truth([[1.0, 2.0, 3.0]], "log-softmax")
total: float = float((truth.hi + truth.lo).sum())
assert_accurate(np.full(2, 0.5), np.zeros(2))


def told(r: smcli.Report) -> list[smcli.Finding]:
    return r.findings


def loss(x: list[float], t: int) -> float:
    return x[t]


value: float = smcli.watch(loss)([1.0, 2.0], 1)
"""


def test_strict_types_of_those_who_use_it(tmp_path):
    """What the contract shows passes mypy --strict in a project of its own; a name that is not there does not."""
    pytest.importorskip("mypy")
    (tmp_path / "use.py").write_text(CONSUMER)
    (tmp_path / "wrong.py").write_text("import smcli\n\nsmcli.comapre\nsmcli.exact([1], 5)\n")
    words = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "use.py", "wrong.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    wrong = [line.partition(" error: ")[0] for line in done.stdout.splitlines() if " error: " in line]
    assert wrong == ["wrong.py:3:", "wrong.py:4:"], done.stdout + done.stderr
