"""A quick look finds what the rules about logits find, and what exp of them does as they are."""

from __future__ import annotations

import numpy as np
import pytest

import smcli
from smcli.batch import RawBlock
from smcli.numbers import formats
from smcli.read._arrays import CODINGS, block
from smcli.scan import look as look_module
from smcli.scan.look import look

CODES = ("SM101", "SM102", "SM103", "SM902", "SM903")


def odd(dtype=np.float32, rows=60, classes=9, seed=5):
    """Rows with everything that can be found in them."""
    x = np.random.default_rng(seed).normal(0, 6, (rows, classes))
    x[1, 2], x[2, :2], x[3], x[4, 5] = np.nan, np.inf, -np.inf, -np.inf
    x[5, 0], x[6, 0], x[7, 3], x[8] = np.inf, -np.nan, 1e30, -np.abs(x[8]) - 200
    x[9] = np.abs(x[9]) / np.abs(x[9]).sum()
    x[10], x[11] = np.eye(classes)[2], 0.0
    x[12, 1], x[12, 4], x[13] = np.nan, np.inf, -0.0
    x[14], x[15, 1:3] = 800.0, (1e39, -np.inf)
    x[16], x[17] = np.abs(x[16]), -np.abs(x[17])
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def compared(x, dtype):
    """Codes of the rules about logits in the rows of a report: how many rows, and the first."""
    rows = [
        {f["code"] for f in r["findings"]}
        for r in smcli.compare(x, dtype=dtype, quantities=["softmax"]).to_dict()["rows"]
    ]
    found = {code: [k for k, row in enumerate(rows) if code in row] for code in CODES}
    return {code: (len(at), at[0]) for code, at in found.items() if at}


@pytest.mark.parametrize("dtype", list(formats.FORMATS))
@pytest.mark.parametrize("stored", [np.float64, np.float32, np.float16, np.int64])
def test_findings_are_those_of_the_rules(dtype, stored):
    x = odd(stored)
    tally = look(RawBlock(x, range(len(x))), formats.get(dtype), 0)
    assert {code: at for code, at in tally.findings.items() if code in CODES} == compared(x, dtype)
    assert tally.rows == 60 and tally.values == x.size


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_exp_as_it_is(dtype):
    """SM201 and SM304 stand where naive has them: a logit that exp cannot take, a row of which exp leaves nothing."""
    fmt = formats.get(dtype)
    x = np.array([
        [0.0, fmt.exp_overflow * 0.999], [0.0, fmt.exp_overflow * 1.001], [fmt.exp_zero * 1.001, fmt.exp_zero * 1.5],
        [fmt.exp_zero * 0.999, fmt.exp_zero * 1.5], [np.inf, 0.0], [np.nan, 1e4], [-np.inf, -np.inf],
    ]).astype(dtype)  # fmt: skip
    found = look(RawBlock(x, range(len(x))), fmt, 10).findings
    assert found["SM201"] == (1, 11) and found["SM304"] == (1, 12)
    report = smcli.compare(x, methods=["naive"], quantities=["softmax"]).to_dict()
    for code in ("SM201", "SM304"):
        assert [r["row"] for r in report["rows"] if code in {f["code"] for f in r["findings"]}] == [found[code][1] - 10]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("classes", [1, 9, 40])
def test_extremes(dtype, classes):
    x = np.random.default_rng(3).normal(0, 5, (50, classes)).astype(dtype)
    tally = look(RawBlock(x, range(50)), formats.get(dtype), 0)
    assert tally.extremes == (float(x.min()), float(x.max()))
    x[3, 0], x[4, 0], x[5, 0] = np.nan, np.inf, -np.inf
    x[3, -1], x[4, -1] = (-99, 99) if classes > 1 else x[3:5, -1]
    rest = x[np.isfinite(x)]
    assert look(RawBlock(x, range(50)), formats.get(dtype), 0).extremes == (float(rest.min()), float(rest.max()))


def test_half_precision_is_compared_by_its_bits():
    """All numbers of float16, against all, in pairs."""
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    for shift in (1, 1 << 8, 1 << 15, 40000):
        pairs = np.stack([every, np.roll(every, shift)], axis=1)
        with np.errstate(all="ignore"):
            want = [end.astype(np.float64) for end in (pairs.max(axis=1), pairs.min(axis=1))]
        for one, other in zip(look_module._half_ends(pairs), want, strict=True):
            assert np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_the_other_byte_order_holds_the_same_numbers(dtype):
    x = odd(np.dtype(dtype))
    own, other = (
        look(RawBlock(a, range(len(x))), formats.get(x.dtype.name), 0) for a in (x, x.astype(x.dtype.newbyteorder()))
    )
    assert (own.findings, own.extremes, own.worst_rows) == (other.findings, other.extremes, other.worst_rows)


@pytest.mark.parametrize("coding", CODINGS)
def test_formats_that_are_stored_as_bits(coding):
    bits = np.arange(1 << (16 if coding == "bfloat16" else 8)).astype(np.uint16 if coding == "bfloat16" else np.uint8)
    part = block(bits.reshape(-1, 2), "x", None, coding)
    values, _ = part.take()
    tally = look(part, formats.get(coding), 0)
    assert tally.findings["SM101"][0] == int(np.isnan(values).any(axis=1).sum())
    assert tally.extremes.most == formats.get(coding).max


@pytest.mark.parametrize("together", [7, 20, 10000])
def test_the_pieces_do_not_matter(together, monkeypatch):
    x = odd()
    whole = look(RawBlock(x, range(60)), formats.get("float32"), 0)
    monkeypatch.setattr(look_module, "TOGETHER", together)
    again = look(RawBlock(x, range(60)), formats.get("float32"), 0)
    assert (again.findings, again.extremes, again.worst_rows) == (whole.findings, whole.extremes, whole.worst_rows)


def test_the_worst_rows_are_the_oddest():
    x = odd()
    ranks = [bad.rank for bad in look(RawBlock(x, range(60)), formats.get("float32"), 0).worst_rows]
    assert ranks == sorted(ranks, reverse=True) and ranks[0] > ranks[-1]
    first = look(RawBlock(x, range(60)), formats.get("float32"), 0).worst_rows[0]
    assert first.row == 1 and not first.method
