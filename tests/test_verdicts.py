"""What an adversary found: truths beside a power of 2, reduced losses at ties and limits, constants that are no clip."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from samples import hostile

import smcli
from smcli.document.verdicts import MEANINGS
from smcli.numbers import formats


def only(report):
    return report.to_dict()["rows"][0]["results"][0]["methods"][0]


def test_the_spacing_just_below_a_power_of_two_is_half_that_above():
    report = smcli.compare([5.54, -37], dtype="float16", accumulate="float8_e4m3fn", methods="naive",
                           quantities="softmax")  # fmt: skip
    got = only(report)
    assert got["values"][0] == 0.994140625 and got["ulp"][0] == pytest.approx(12, abs=1e-9)
    assert got["verdicts"][0] == "inaccurate"
    assert smcli.compare([5.54, -37], dtype="float16", accumulate="float8_e4m3fn", methods="naive", quantities="softmax",
                         max_ulp=11).beyond_limits()  # fmt: skip


@pytest.mark.parametrize(("logit", "ulp"), [(30.0, 256), (60.0, 256), (500.0, 256)])
def test_a_lost_gradient_of_nearly_one(logit, ulp):
    got = only(smcli.gradient([0, logit], target=0, dtype="bfloat16", methods="clipped"))
    assert got["values"][0] == 0 and got["ulp"][0] == pytest.approx(ulp, rel=1e-9)


def test_an_exact_power_of_two_keeps_its_own_spacing():
    report = smcli.compare([0.0] * 8192, dtype="bfloat16", sum="sequential", methods="shifted", quantities="softmax")
    ulp = 2.0**-13 * 2.0**-7
    assert only(report)["ulp"][0] == (1 / 256 - 2.0**-13) / ulp


def test_a_reduced_loss_next_to_a_tie_is_rounded_rightly():
    doc = smcli.compare(
        [48, -4], target=1, dtype="float8_e5m2", reduction="sum", quantities="cross-entropy", methods="fused"
    )
    assert doc.to_dict()["summary"]["reduced"]["cross-entropy"]["methods"][0]["verdicts"] == ["ok"]
    assert only(doc)["verdicts"] == ["ok"]


def test_limits_hold_for_the_reduced_loss_too():
    rows = [
        [-4.2855, 4.628, 1.367], [1.6707, -1.3506, 3.3229], [3.0373, -2.1751, 3.0812], [-2.1352, -5.5325, 2.5138],
        [-2.9756, -1.6563, -2.804], [-0.2198, -1.0752, 0.4806], [1.4136, 4.8904, 1.3694], [1.5257, 1.4717, 2.439],
    ]  # fmt: skip
    report = smcli.compare(rows, target=[0] * 8, dtype="float16", quantities="cross-entropy", methods="fused",
                           reduction="sum", sum="sequential", max_ulp=1)  # fmt: skip
    assert all(m.ulp.max() < 1 for row in report.rows for q in row.results for m in q.methods)
    assert report.reduced[0].methods[0].ulp[0] > 1 and report.beyond_limits()


@pytest.mark.parametrize(
    ("logits", "target", "dtype"), [([14] * 8 + [0], 8, "bfloat16"), ([7.25, -8.75], 1, "float16")]
)
def test_a_right_loss_near_a_clip_constant_is_no_clip(logits, target, dtype):
    report = smcli.compare(logits, target=target, dtype=dtype, quantities="cross-entropy", methods="fused,log1p")
    assert "SM904" not in {f.code for f in report.findings}


def test_exponents_reach_to_where_the_contract_says():
    truth = smcli.truth([0.0, -4e18])
    assert truth.exp2[1] == pytest.approx(-4e18 / math.log(2), rel=1e-15)
    with pytest.raises(smcli.PrecisionError):
        smcli.truth([0.0, -5e18])


def test_a_sure_class_is_not_rounded_up_to_one():
    assert smcli.exact([39, 0])[0] == "0.99999999999999999" and smcli.exact([0, -33], "logsumexp") == [
        "4.6588861451033865e-15"
    ]


PAGES = {
    "README.md": "`nan` or `inf` was returned where the truth rounds to a finite number, if only to 0, or 0 where the format holds",
    "docs/libraries.md": "nan or an infinity was returned where the truth rounds to a finite number, or 0 where the format holds it",
}


def test_lost_is_what_the_pages_say():
    """On values of every kind that other code may return, beside truths far within and far beyond each format."""
    root, said = (
        Path(__file__).parent.parent,
        "nan or inf where the truth rounds to a finite number, or 0 where the format holds it",
    )
    assert MEANINGS["lost"] == said and all(text in (root / page).read_text("utf-8") for page, text in PAGES.items())
    rng, seen = np.random.default_rng(3), set()
    for _ in range(300):
        f = formats.get(str(rng.choice(list(formats.FORMATS))))
        x = f.round(hostile(rng, int(rng.choice([2, 3, 5]))))
        if np.isnan(x).any() or (x == np.inf).any() or (x == -np.inf).all():
            continue
        quantity = str(rng.choice(["softmax", "log-softmax"]))
        y = rng.choice([np.nan, np.inf, -np.inf, 0.0] if f.has_inf else [np.nan, 0.0], x.size)
        report = smcli.check([x], [y], quantity=quantity, dtype=f.name)
        verdicts = report.to_dict()["rows"][0]["results"][0]["methods"][0]["verdicts"]
        for value, text, verdict in zip(y.tolist(), smcli.exact(x, quantity, digits=30), verdicts, strict=True):
            mantissa, _, power = text.partition("e")
            t = Decimal(mantissa).scaleb(max(min(int(power or 0), 99999), -99999))
            size, half = abs(t) / Decimal(f.max), Decimal(f.smallest_subnormal) / 2
            if Decimal("0.9") < size < Decimal("1.3") or abs(t) == half:
                continue  # where rounding takes more than this to tell
            finite, holds = size < 1, t == 0 or t.is_infinite() or (size < 1 and abs(t) > half)
            lost = holds and t != 0 if math.isfinite(value) else finite
            assert (verdict == "lost") == lost, (f.name, value, text, verdict)
            seen.add((lost, math.isfinite(value), abs(t) < half))
    assert len(seen) >= 5
