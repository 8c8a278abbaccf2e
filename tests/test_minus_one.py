"""p − 1 of an accurate p is beyond the limit where p is near 1: the finding says that it cancels, and how far p is off."""

from __future__ import annotations

import re

import mpmath
import numpy as np
import pytest

import smcli
from smcli.checking import fails
from smcli.numbers.formats import FORMATS

mpmath.mp.prec = 300
SAID = re.compile(r"p − 1 cancels there, p is right within (\S+) ulp of its own, one of which is (\S+) of p − 1")


def exact(x: np.ndarray, t: int) -> mpmath.mpf:
    """p of the target, exactly enough."""
    e = [mpmath.exp(mpmath.mpf(float(v))) for v in x]
    return e[t] / mpmath.fsum(e)


def gradient(x: np.ndarray, t: int, dtype: str, *, off: int = 0) -> np.ndarray:
    """The gradient as p − y, p rounded to the format and then off by some of its spacings."""
    f = FORMATS[dtype]
    p = f.round(np.array([float(exact(x, k)) for k in range(x.size)]))
    p[t] = f.round(np.array(p[t] + off * np.ldexp(f.unit_roundoff, 0)))
    p[t] = f.round(p[t : t + 1] - 1)[0]
    return p


def only(report: object) -> list[str]:
    return [f.message for f in report.findings if f.code == "SM401"]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_the_cause_and_its_figures(dtype: str) -> None:
    rng, f, seen = np.random.default_rng(5), FORMATS[dtype], 0
    for _ in range(60):
        x = f.round(rng.normal(0, 3, size=rng.integers(2, 6)))
        t = int(x.argmax())
        y = gradient(x, t, dtype)
        if y[t] == 0:
            continue
        report = smcli.check([x], [y], quantity="gradient", target=[t], dtype=dtype)
        for said in only(report):
            seen += 1
            p = exact(x, t)
            own = mpmath.mpf(2) ** (mpmath.floor(mpmath.log(p, 2)) - f.p + 1)
            step = mpmath.mpf(2) ** (mpmath.floor(mpmath.log(1 - p, 2)) - f.p + 1)
            of_p, each = map(float, SAID.search(said).groups())
            assert of_p == pytest.approx(float(abs(mpmath.mpf(float(y[t])) + 1 - p) / own), rel=1e-4)
            assert each == pytest.approx(float(own / step), rel=1e-4)
            assert "a careful" in said
            remedies = [f.remedy for f in report.findings if f.code == "SM401"]
            assert remedies == ["take the target's entry as minus the sum of the other probabilities, never as p − 1"]
            assert fails(report, "warning") and not fails(report, "error")
    assert seen > 3


X = np.array([[6.0, 0.75, -2.0], [5.0, 1.5, 0.25]])


@pytest.mark.parametrize(
    ("options", "factor"),
    [({}, 1.0), ({"reduction": "mean"}, 0.5), ({"class_weights": [3.0, 1.0, 1.0]}, 3.0), ({"temperature": 2.0}, 0.5)],
)
def test_factors_do_not_hide_it(options: dict[str, object], factor: float) -> None:
    x = X * (2.0 if "temperature" in options else 1.0)
    y = np.stack([gradient(row, 0, "float32") for row in X]) * factor
    said = only(smcli.check(x, y.astype(np.float32), quantity="gradient", target=[0, 0], dtype="float32", **options))
    assert said and all(SAID.search(one) for one in said), options


def test_what_is_no_such_thing_is_not_called_so() -> None:
    for row in X:
        y = gradient(row, 0, "float32", off=40)  # an inaccurate p
        (said,) = only(smcli.check([row], [y.astype(np.float32)], quantity="gradient", target=[0], dtype="float32"))
        assert "cancels" not in said
        y = gradient(row, 0, "float32")
        y[1] *= 1.01  # another entry is wrong, too
        (said,) = only(smcli.check([row], [y.astype(np.float32)], quantity="gradient", target=[0], dtype="float32"))
        assert "cancels" not in said
    smooth = np.array([X[0]]), np.array([[-0.06, 0.03, 0.03]])
    for said in only(smcli.check(*smooth, quantity="gradient", target=[0], label_smoothing=0.1)):
        assert "cancels" not in said


def test_a_gate_that_passes_says_why_the_other_does_not() -> None:
    y = np.stack([gradient(row, 0, "float32") for row in X]).astype(np.float32)
    report = smcli.check(X, y, quantity="gradient", target=[0, 0], dtype="float32")
    text = str(report)
    assert "all are within its bound" in text and "such a bound has an atol" in text
    good = smcli.check(X, np.exp(X) / np.exp(X).sum(-1, keepdims=True))
    assert "such a bound has an atol" not in str(good)
