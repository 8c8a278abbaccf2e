"""What was asked becomes settings: defaults, names with commas, and what excludes each other."""

from __future__ import annotations

import pytest

from smcli import methods
from smcli.errors import UsageError
from smcli.numbers import formats
from smcli.problem.settings import DEFAULT_METHODS, DEFAULT_QUANTITIES, QUANTITIES, check_fail_on, names, settings


@pytest.mark.parametrize("command", DEFAULT_QUANTITIES)
def test_defaults(command):
    s = settings(command)
    assert s.numerics.dtypes == ("float64",) and s.quantities == DEFAULT_QUANTITIES[command]
    assert s.methods == (() if command == "eval" else DEFAULT_METHODS)
    assert (
        s.numerics.order,
        s.loss.reduction,
        s.numerics.digits,
        s.numerics.accumulate,
        s.loss.target,
        s.loss.labels,
    ) == ("pairwise", "none", *[None] * 4)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ("", []),
        (" a , b,,", ["a", "b"]),
        (["a,b", "a", "c"], ["a", "b", "c"]),
        (["a"], ["a"]),
    ],
)
def test_names(given, expected):
    assert names(given) == expected


def test_names_with_commas_and_aliases():
    s = settings(
        "compare", dtype=["half,torch.bfloat16", "fp16"], method="fused, naive", quantity=["softmax,logsumexp"]
    )
    assert s.numerics.dtypes == ("float16", "bfloat16")
    assert s.methods == ("fused", "naive") and s.quantities == ("softmax", "logsumexp")


def test_all():
    s = settings("compare", dtype="all", method="all", quantity="all")
    assert s.numerics.dtypes == tuple(formats.FORMATS) and s.quantities == QUANTITIES[:4]
    assert set(s.methods) == {n for n, m in methods.formulas().items() if any(map(m.defines, s.quantities))}
    assert "fd" not in s.methods and "fd" in settings("grad", method="all").methods


def test_what_grad_differentiates():
    assert settings("grad").quantities == ("jacobian",)
    assert settings("grad", target=[0]).quantities == ("gradient",)


@pytest.mark.parametrize("digits", [1, 10000])
def test_digits_at_the_edge(digits):
    assert settings("compare", digits=digits).numerics.digits == digits


@pytest.mark.parametrize(
    ("command", "asked", "says"),
    [
        ("compare", {"digits": 0}, "--digits 0 is out of range"),
        ("compare", {"digits": 10001}, "out of range"),
        ("compare", {"smoothing": -0.1, "target": [0]}, "out of range"),
        ("compare", {"smoothing": float("nan"), "target": [0]}, "out of range"),
        ("compare", {"target": [0], "labels": [object()]}, "exclude each other"),
        ("compare", {"ignore_index": -1}, "needs --target"),
        ("compare", {"reduction": "mean"}, "needs --target or --labels"),
        ("compare", {"reduction": "average", "target": [0]}, "is unknown"),
        ("compare", {"order": "random"}, "is unknown"),
        ("compare", {"quantity": "loss"}, "is unknown"),
        ("compare", {"dtype": "float65"}, "unknown number format"),
        ("compare", {"accumulate": "float65"}, "unknown number format"),
        ("compare", {"method": "magic"}, "unknown method"),
        ("compare", {"method": "fused", "quantity": "softmax"}, "no softmax in fused"),
        ("eval", {"method": "naive,fused"}, "eval takes one method"),
        ("grad", {"quantity": "softmax"}, "differentiates a loss"),
        ("grad", {"step": 0.0}, "is not a step"),
        ("grad", {"step": float("nan")}, "is not a step"),
    ],
)
def test_what_cannot_be(command, asked, says):
    with pytest.raises(UsageError, match=says) as caught:
        settings(command, **asked)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("value", "kept"),
    [("never", "never"), ("ERROR", "error"), ("sm201,SM303", "SM201,SM303"), ("exp-overflow", "SM201")],
)
def test_fail_on(value, kept):
    assert check_fail_on(value) == kept


@pytest.mark.parametrize("value", ["", "SM999", "sometimes", "SM201,"])
def test_an_unknown_fail_on(value):
    with pytest.raises(UsageError):
        check_fail_on(value)
