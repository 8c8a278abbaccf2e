"""A temperature of 0: the truth is the limit, which small temperatures approach; the methods' x/0 is diagnosed."""

from __future__ import annotations

import numpy as np
import pytest

import smcli

INF = float("inf")
ROWS = [[1.0, 2.0], [2.0, 2.0, 1.0], [-3.0, -1.0, -1.0], [0.0, 0.0, -1.0], [-INF, 3.0], [5.0]]


def near(text, value, unbounded):
    t = float(text)
    return t == value or (abs(value) > unbounded and t == np.copysign(INF, value)) or abs(t - value) < 1e-9


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp", "cross-entropy"])
def test_values_approach_the_limit(row, quantity):
    at_zero = smcli.exact(row, quantity, temperature=0)
    small = [float(v) for v in smcli.exact(row, quantity, temperature=2.0**-60)]
    assert len(at_zero) == len(small) and all(near(a, b, 1e15) for a, b in zip(at_zero, small, strict=True))


@pytest.mark.parametrize("row", ROWS)
def test_derivatives_and_losses_approach_the_limit(row):
    for options in ({"target": 0}, {"target": 0, "label_smoothing": 0.25}, {}):
        quantity = "gradient" if options else "jacobian"
        if np.isinf(row[0]) and options:
            continue
        at_zero = smcli.exact(row, quantity, temperature=0, **options)
        small = [float(v) for v in smcli.exact(row, quantity, temperature=2.0**-60, **options)]
        assert all(near(a, b, 1e12) for a, b in zip(at_zero, small, strict=True))
    options = {"target": 0, "z_loss": 0.5}
    assert smcli.exact([1.0, 2.0], "cross-entropy", temperature=0, **options) == ["inf"]
    capped = smcli.exact([1.0, 2.0, -1.0], "softmax", temperature=0, softcap=3)
    assert capped == smcli.exact([3.0, 3.0, -3.0], "softmax")


def test_a_temperature_that_the_format_rounds_to_0_is_a_diagnosis():
    report = smcli.compare([1, 2], temperature=1e-30, dtype="float16", quantities="softmax")
    assert report.rows[0].results[0].exact(range(2)) == ["0", "1"]
    assert all(np.isnan(m.values).all() for m in report.rows[0].results[0].methods)
    assert {f.code for f in report.findings} == {"SM203"}
    with pytest.raises(smcli.UsageError):
        smcli.compare([1, 2], temperature=-1)


@pytest.mark.parametrize("temperature", [0, 1e-9])
def test_that_the_truth_is_a_convention_is_said(temperature):
    report = smcli.compare([0.0, 40.0], temperature=temperature, quantities="softmax", dtype="float16")
    said = "by convention the limit as T falls to 0"
    assert said in str(report)
    (message,) = {f.message for f in report.findings if f.code == "SM203"}
    assert "the truth, by convention, the limit as T falls to 0" in message
    assert said not in str(smcli.compare([0.0, 40.0], quantities="softmax"))
    assert said in str(smcli.evaluate([0.0, 40.0], temperature=temperature, dtype="float16"))
