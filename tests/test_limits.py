"""The limits: the document of the contract, and every figure found again by computing in the format."""

from __future__ import annotations

import json
import math

import mpmath
import numpy as np
import pytest

from smcli.cli.app import run
from smcli.numbers import formats
from smcli.numbers.arithmetic import sequential
from smcli.report.limits import FILLS, Limits, largest_logit, mask_fill, sum_overflow

FORMATS = tuple(formats.FORMATS.values())
KEYS = ["dtype", "p", "emin", "max", "smallest_normal", "smallest_subnormal", "exp_overflow", "exp_subnormal",
        "exp_zero", "stall"]  # fmt: skip
TABLE = {  # NUMERICS, section 5
    "float64": (709.782712893, -708.396418532, -745.133219102),
    "float32": (88.7228390819, -87.3365447506, -103.972077084),
    "bfloat16": (88.7208840768, -87.3365447506, -92.881722195),
    "float16": (11.0901107185, -9.70406052784, -17.328679514),
    "float8_e5m2": (11.0258163678, -9.70406052784, -11.7835020695),
    "float8_e4m3fn": (6.13988455223, -4.15888308336, -6.93147180560),
}


def test_the_document():
    document = json.loads(json.dumps(Limits(FORMATS).to_dict(), allow_nan=False))
    assert document["schema"] == "smcli.limits/1"
    assert [f["dtype"] for f in document["formats"]] == list(formats.FORMATS)
    for f in document["formats"]:
        assert list(f)[: len(KEYS)] == KEYS and f["stall"] == 2 ** f["p"]
        figures = f["exp_overflow"], f["exp_subnormal"], f["exp_zero"]
        assert figures == pytest.approx(TABLE[f["dtype"]], rel=3e-12)


def test_of_some_formats(capsys):
    assert run(["limits", "fp16,bf16", "-f", "json"]) == 0
    some = json.loads(capsys.readouterr().out)["formats"]
    assert [f["dtype"] for f in some] == ["float16", "bfloat16"]
    assert run(["limits", "all", "-f", "plain"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in formats.FORMATS)
    assert run(["limits", "float12"]) == 2
    assert "float12" in capsys.readouterr().err


@pytest.mark.parametrize("f", FORMATS, ids=lambda f: f.name)
def test_the_thresholds_of_exp_are_sharp(f):
    with mpmath.workprec(200):
        top = mpmath.mpf(f.max) + mpmath.mpf(2) ** (math.frexp(f.max)[1] - 1 - f.p)  # from here on it rounds up
        tiny = mpmath.mpf(f.smallest_subnormal) / 2  # up to here it rounds to 0
        for threshold, exact in (
            (f.exp_overflow, mpmath.log(top)),
            (f.exp_zero, mpmath.log(tiny)),
            (f.exp_subnormal, mpmath.log(f.smallest_normal)),
        ):
            assert abs(threshold - exact) <= 2 * math.ulp(threshold)


@pytest.mark.parametrize("name", ["float16", "float8_e5m2", "float8_e4m3fn", "bfloat16"])
def test_sums_of_ones_stall_where_it_says(name):
    f = formats.get(name)
    sums = sequential(np.ones((1, f.stall + 5)), f)[0]
    assert sums.max() == sums[-1] == f.stall and sums[f.stall - 2] == f.stall - 1
    assert f.round(np.array([float(f.stall - 1) + 1])) == f.stall


@pytest.mark.parametrize("f", FORMATS, ids=lambda f: f.name)
def test_the_most_ones_that_fit(f):
    most = sum_overflow(f)
    beyond = np.array([math.nextafter(most, math.inf) if most > 2**53 else most + 1])
    assert np.isfinite(f.round(np.array([most])))[0] and (f.p == 53 or not np.isfinite(f.round(beyond))[0])


@pytest.mark.parametrize("f", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("n", [1, 7, 1000])
def test_the_largest_logit_of_the_naive_sum(f, n):
    for accumulator in (f, formats.get("float64")):
        x = largest_logit(f, accumulator, n)
        assert n * math.exp(min(x, 709)) <= min(f.max, accumulator.max) * (1 + 2**-f.p * 2)
        assert x <= f.exp_overflow


@pytest.mark.parametrize("f", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("fill", FILLS)
def test_what_a_fill_becomes(f, fill):
    value, p = mask_fill(f, fill)
    written = -f.max if fill == "finfo.min" else float(fill)
    if abs(written) <= f.max:
        assert value == f.round(np.array([written]))[0] and value < 0 and p == f.round(np.exp(np.array([value])))[0]
    else:
        assert math.isnan(value) if not f.has_inf else (value, p) == (-math.inf, 0)


def test_the_tables_hold_no_bare_nan_and_no_empty_cell():
    for listing in Limits(FORMATS).listings():
        assert all(len(row) == len(listing.head) and all(row) for row in listing.rows)
