"""The JSON document, key by key, and the table: no number is cut, no line is wider than the terminal."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smcli
from smcli.cli.app import run

GOLDEN = Path(__file__).parent / "data" / "golden"
METHOD = {"method", "available", "values", "ulp", "rel", "verdicts", "worst", "bound_ulp"}


def document(report):
    return json.loads(json.dumps(report.to_dict(), allow_nan=False))


@pytest.mark.parametrize("quantity", ["softmax", "entropy", "kl", "vjp"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_the_certified_bound_is_never_told_smaller_than_it_is(dtype, quantity):
    more = {"kl": {"against": [0, 1, 2], "quantities": "kl"}, "vjp": {"cotangent": [1, 0, 2]}}
    call = smcli.gradient if quantity == "vjp" else smcli.compare
    report = call([[1, 2, 4], [3, 1, 2]], dtype=dtype, **more.get(quantity, {"quantities": quantity}))
    for row in report.rows:
        for q in row.results:
            (told,) = (
                r["certified"] for r in report.to_dict()["rows"][row.row]["results"] if r["quantity"] == q.quantity
            )
            assert q.certified <= float(told) < 2 * q.certified


def test_the_document_of_the_contract():
    doc = document(smcli.compare([1000, 2000], target=0))
    assert set(doc) == {"schema", "smcli", "command", "dtype", "digits", "rows", "summary"}
    assert (doc["schema"], doc["smcli"], doc["command"]) == ("smcli.report/1", smcli.__version__, "compare")
    (row,) = doc["rows"]
    assert set(row) == {"row", "logits", "target", "results", "findings"} and row["target"] == 0
    softmax, loss = row["results"]
    assert set(softmax) == {"quantity", "exact", "certified", "methods"} and float(softmax["certified"]) < 1e-25
    assert softmax["exact"] == ["5.0759588975494568e-435", "1"] and loss["exact"] == ["1000"]
    assert [m["method"] for m in softmax["methods"]] == ["naive", "shifted"]  # fused has no softmax
    naive = softmax["methods"][0]
    assert set(naive) == METHOD and naive["values"] == ["nan", "nan"] and naive["verdicts"] == ["lost", "lost"]
    assert naive["worst"] == {"at": 0, "ulp": "nan", "rel": "nan"}
    finding = row["findings"][0]
    assert list(finding) == [
        "code", "name", "severity", "quantity", "method", "at", "count", "step", "message", "remedy"
    ]  # fmt: skip
    assert doc["summary"]["worst"] == "error" and doc["summary"]["findings"]["SM201"] == 2


def test_traces_matrices_and_several_formats():
    doc = document(smcli.compare([1, 1000], methods="naive", quantities="softmax", trace=True))
    step = doc["rows"][0]["results"][0]["methods"][0]["steps"][0]
    assert step == {
        "step": "exp(x)",
        "min": math.e,
        "max": "inf",
        "overflowed": 1,
        "underflowed": 0,
        "nan": 0,
        "first": 1,
    }
    jacobian = document(smcli.gradient([1, 2, 3]))["rows"][0]["results"][0]
    assert [len(row) for row in jacobian["exact"]] == [3, 3, 3] == [len(r) for r in jacobian["methods"][0]["verdicts"]]
    assert len(jacobian["methods"][0]["worst"]["at"]) == 2
    several = document(smcli.compare([1, 2], dtype="float16,float32"))
    assert [d["dtype"] for d in several["formats"]] == ["float16", "float32"] and several["command"] == "compare"


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=6))
def test_values_round_trip(logits):
    report = smcli.compare(logits, quantities="softmax", methods="shifted")
    (m,) = report.rows[0].results[0].methods
    assert document(report)["rows"][0]["results"][0]["methods"][0]["values"] == m.values.tolist()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("table_big", ["compare", "1000", "2000", "3000", "4000", "5000"]),
        ("table_nan", ["compare", "nan", "1"]),
        ("table_float16", ["compare", *["9"] * 10, "-d", "float16", "-m", "naive", "-q", "softmax", "--trace"]),
        ("table_grad", ["grad", "0", "-800", "-t", "1", "-m", "shifted,fused"]),
        ("table_limits", ["limits", "float16", "float8_e4m3fn"]),
        ("plain_big", ["compare", "1000", "2000", "-f", "plain"]),
        ("json_masked", ["compare", "-inf", "0", "-q", "softmax", "-f", "json"]),
    ],
)
def test_golden_files(capsys, name, words):
    assert run(words) == 0
    said = capsys.readouterr().out.replace(f'"smcli": "{smcli.__version__}"', '"smcli": "X"')
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("SMCLI_GOLDEN") == "update":
        file.parent.mkdir(exist_ok=True)
        file.write_text(said, encoding="utf-8")
    assert said == file.read_text(encoding="utf-8")
