"""Cases from other libraries' test suites, and the known cases of the field: truth to 24 digits, methods as they fail."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import smcli

FILE = Path(__file__).parent / "data" / "peer_suites.jsonl"
SHA256 = "859015c918692a3a3274bf31c505bcdd7e04294489b6758fdfafd571acc02436"
CASES = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
NOT_OFFERED = {c["id"]: "weights of the terms of a logsumexp" for c in CASES if "b" in c["options"]} | {
    c["id"]: "an empty row is an input error here" for c in CASES if c["n"] == 0
}
QUANTITY = {
    "softmax": "softmax",
    "log_softmax": "log-softmax",
    "logsumexp": "logsumexp",
    "cross_entropy": "cross-entropy",
    "grad_cross_entropy": "gradient",
    "softmax_jacobian": "vjp",
}


def rounded(words, dtype):
    """The logits as numbers of the format, each rounded once."""
    from smcli import read
    from smcli.numbers import formats

    raw = read.from_arguments(words)[0]
    return formats.get(dtype).round_written(raw.values, raw.tokens)


def agree(got, want):
    if want in {"inf", "-inf", "nan"}:
        return got == want
    if len(want.partition("e")[2]) > 10:  # beyond what Decimal takes
        return got.partition("e")[2] == want.partition("e")[2] and got[:24] == want[:24]
    got, want = Decimal(got), Decimal(want)
    return got == want if want == 0 else abs(got / want - 1) < Decimal("1e-23")


def test_the_file_is_the_one_that_was_checked():
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == SHA256


@pytest.mark.parametrize("case", [c for c in CASES if c["id"] not in NOT_OFFERED], ids=lambda c: c["id"])
def test_truth_of_a_peer_case(case):
    options, target = case["options"], case["target"]
    if case.get("logits_rle"):  # two million equal logits: m + log n, to what pairs certify
        ((word, count),) = case["logits_rle"]
        truth = smcli.truth(np.full(count, float(word)), "logsumexp")
        value = Decimal(truth.hi.item()) + Decimal(truth.lo.item())
        assert abs(value * Decimal(2) ** int(truth.exp2.item()) / Decimal(case["exact"][0]) - 1) < Decimal("1e-24")
        return
    x = rounded(case["logits"], case["dtype"])
    for i, kept in enumerate(options.get("where", [])):
        x[i] = x[i] if kept else -np.inf
    if "shape" in options:
        reduction = options.get("reduction", "none")
        report = smcli.compare(
            x.reshape(options["shape"]), dtype=case["dtype"], quantities="cross-entropy", target=target, digits=25,
            reduction=reduction, ignore_index=options.get("ignore_index"),
        ).to_dict()  # fmt: skip
        if reduction == "none":
            got = [row["results"][0]["exact"][0] for row in report["rows"]]
        else:
            got = report["summary"]["reduced"]["cross-entropy"]["exact"]
    else:
        loss = {}
        if case["op"] in {"cross_entropy", "grad_cross_entropy"}:
            loss = {"labels": [float(v) for v in target]} if isinstance(target, list) else {"target": target}
        if "cotangent" in options:
            loss = {"cotangent": [float(v) for v in options["cotangent"]]}
        got = smcli.exact(x, QUANTITY[case["op"]], digits=25, dtype=case["dtype"], **loss)
    want = case["exact"][: len(got)]  # logsumexp with return_sign also gives a sign, which is always 1 here
    assert all(map(agree, got, want)), (got, want)


def one(logits, quantity, method, **options):
    command = smcli.gradient if quantity in {"gradient", "jacobian"} else smcli.compare
    if command is smcli.compare:
        options["quantities"] = quantity
    report = command(logits, methods=method, **options).to_dict()
    (result,) = report["rows"][0]["results"]
    return result["exact"], result["methods"][0]


@pytest.mark.parametrize(
    ("logits", "quantity", "method", "options", "exact", "values"),
    [
        ([1, 2, 3, 4, 5], "softmax", "shifted", {"digits": 18},
         ["0.0116562309560396074", "0.0316849207961242689", "0.0861285444362687049", "0.234121657252736623",
          "0.636408646558830796"], [0.011656230956, 0.0316849207961, 0.0861285444363, 0.234121657253, 0.636408646559]),
        ([1000, 2000, 3000, 4000, 5000], "softmax", "naive", {},
         ["6.6385371046556735e-1738", "1.3078390189212504e-1303", "2.5765358729611497e-869", "5.0759588975494568e-435", "1"],
         ["nan"] * 5),
        ([1000, 2000, 3000, 4000, 5000], "softmax", "shifted", {"digits": 1}, None, [0, 0, 0, 0, 1]),
        ([-float(np.log(2))] * 2, "logsumexp", "shifted", {}, ["2.3190468138462996e-17"], [0]),
        ([0, -40], "logsumexp", "shifted", {"digits": 16}, ["4.248354255291589e-18"], [0]),
        ([0, -40], "logsumexp", "log1p", {"digits": 16}, ["4.248354255291589e-18"], [4.248354255291589e-18]),
        ([-3.720075976020836e-44, -100], "logsumexp", "log1p", {"digits": 14}, ["-1.5705024907732e-60"], [0]),
        ([40, 0], "gradient", "fused", {"target": 0, "digits": 16},
         ["-4.248354255291589e-18", "4.248354255291589e-18"], [0, 4.248354255291589e-18]),
        ([0, -800], "cross-entropy", "shifted", {"target": 1}, ["800"], ["inf"]),
        ([-744, -745], "softmax", "naive", {"digits": 5}, ["0.73106", "0.26894"], [2 / 3, 1 / 3]),
        ([-100, -101, -102], "softmax", "naive", {"dtype": "float32", "digits": 5},
         ["0.66524", "0.24473", "0.090031"], [0.65854, 0.24390, 0.09756]),
        ([89, 89], "softmax", "naive", {"dtype": "float32"}, ["0.5", "0.5"], ["nan", "nan"]),
        ([-104, -104], "softmax", "naive", {"dtype": "float32"}, ["0.5", "0.5"], ["nan", "nan"]),
        ([9] * 10, "softmax", "naive", {"dtype": "float16"}, ["0.1"] * 10, [0] * 10),
        ([16.942385, 0], "log-softmax", "fused", {"dtype": "float32", "digits": 10}, None, [0, -16.942384719848633]),
        ([10, 0, -100], "cross-entropy", "fused", {"dtype": "float32", "target": 2, "digits": 25},
         ["110.0000453988992168646468"], [110.00004577636719]),
    ],
)  # fmt: skip
def test_known_cases(logits, quantity, method, options, exact, values):
    truth, got = one(logits, quantity, method, **options)
    assert exact is None or truth == exact
    for a, b in zip(got["values"], values, strict=True):
        assert a == b if isinstance(b, str) else a == pytest.approx(b, abs=1e-4, rel=1e-4 if b > 1e-3 else 1e-10)


def test_a_stalled_sum_in_bfloat16():
    exact, got = one([0.0] * 8192, "softmax", "shifted", dtype="bfloat16", sum="sequential", digits=10)
    assert set(exact) == {"0.0001220703125"} and set(got["values"]) == {1 / 256}


def test_an_exponent_of_308_digits_answers_at_once():
    text = smcli.exact([1.7976931348623157e308, 1, 2, 3], "softmax")[1]
    mantissa, exponent = text.split("e-")
    assert len(exponent) == 308 and len(mantissa) == 18
