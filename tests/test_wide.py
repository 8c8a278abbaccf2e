"""Integers and long doubles are rounded to a format once: against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcli.numbers.formats import FORMATS
from smcli.numbers.wide import rounded
from smcli.numbers.written import exact

NEAR = st.builds(
    lambda power, half, low, sign: sign * (2**power + 2 ** max(power - half, 0) + low),
    st.integers(0, 62), st.integers(0, 62), st.integers(-3, 3), st.sampled_from([1, -1]),
)  # fmt: skip


def once(fmt, token):
    value = float(Fraction(token)) if "/" in token else float(token)
    return fmt.round_written(np.array([value]), (token,))[0]


@pytest.mark.parametrize("name", FORMATS)
@given(st.lists(st.one_of(NEAR, st.integers(-(2**63), 2**63 - 1)).filter(lambda i: -(2**63) <= i < 2**63), min_size=1))
def test_integers(name, numbers):
    got = rounded(np.array(numbers, dtype=np.int64), FORMATS[name])
    assert np.array_equal(got, [once(FORMATS[name], str(i)) for i in numbers], equal_nan=True)
    positive = np.array([abs(i) for i in numbers], dtype=np.uint64) + np.uint64(2**63 - 1)
    want = [once(FORMATS[name], str(int(i))) for i in positive]
    assert np.array_equal(rounded(positive, FORMATS[name]), want, equal_nan=True)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="a long double is a float64 here")
@pytest.mark.parametrize("name", FORMATS)
@given(st.integers(-(2**63), 2**63), st.integers(-1200, 1100), st.booleans())
def test_long_doubles(name, mantissa, exponent, near):
    fmt = FORMATS[name]
    x = np.ldexp(np.longdouble(mantissa), exponent)
    if near:  # beside the middle of two numbers of the format
        x = np.longdouble(1 + 2.0**-fmt.p) + np.copysign(np.longdouble(2) ** -63, x)
    top, bottom = x.as_integer_ratio()
    want = (
        once(fmt, f"{top}/{bottom}")
        if abs(top) < abs(bottom) * 2**1024
        else fmt.overflow * np.sign(float(top > 0) - 0.5)
    )
    assert np.array_equal(rounded(np.array([x]), fmt), [want], equal_nan=True)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i4", "u4"])
def test_what_a_float64_holds(name, dtype):
    x = np.array([[0, 1, 3], [100, 77, 1]], dtype)
    assert np.array_equal(rounded(x, FORMATS[name]), FORMATS[name].round(x.astype(np.float64)), equal_nan=True)
    assert exact(str(int(x[1, 0]))) == 100


def test_infinities_and_nan():
    x = np.array([np.inf, -np.inf, np.nan], np.longdouble)
    assert np.array_equal(rounded(x, FORMATS["float16"]), [np.inf, -np.inf, np.nan], equal_nan=True)
