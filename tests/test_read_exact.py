"""Numbers of options, words that look like numbers, and exact values of tokens."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcli import read
from smcli.errors import InputError, PrecisionError
from smcli.numbers.words import looks_like_number
from smcli.numbers.written import compare_exact, exact


@pytest.mark.parametrize(
    "word",
    [
        "-1e5",
        "-.5",
        "-inf",
        "-1,2",
        "-NaN",
        "-0x1.8p3",
        "-1;2",
        "-infinity",
        "-inf,1",
        "-nan]",
        "-1abc",
        "-.",
        "+5",
        ".5",
    ],
)
def test_looks_like_a_number(word):
    assert looks_like_number(word)


@pytest.mark.parametrize("word", ["-i", "-d", "--x", "-", "--", "-infile", "-nano", "-in", "abc", "", "[1]", "-١"])
def test_does_not_look_like_a_number(word):
    assert not looks_like_number(word)


def test_number():
    assert read.number(" 0x1p3 ", "-T") == (8.0, "0x1p3")
    assert read.number("1e999", "-T") == (math.inf, "1e999")


@pytest.mark.parametrize("text", ["", "1 2", "abc", "1_0", "[1]"])
def test_bad_number_names_the_option(text):
    with pytest.raises(InputError, match=r"^--max-ulp: '.*' is not a number$"):
        read.number(text, "--max-ulp")


def test_numbers():
    (row,) = read.numbers_or_file("0,.5,0x1p-1", "--labels")
    assert row.values.tolist() == [0, 0.5, 0.5] and row.tokens is None


@pytest.mark.parametrize(
    ("text", "message"),
    {
        "0,a": "number 1 of --labels: 'a' is not a number",
        "": "--labels: no numbers",
        "y = [1]": "--labels: 'y =' is not a number",
        "1 # c": "--labels: '# c' is not a number",
        "1,5 2,5": "--labels",
        "1,,2": "an element is empty, --labels",
        "[]": "no numbers in the brackets, --labels",
    }.items(),
)
def test_bad_numbers_name_the_option(text, message):
    with pytest.raises(InputError) as caught:
        read.numbers_or_file(text, "--labels")
    assert message in caught.value.message


def test_numbers_or_file(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("0.5,0.5\n1,0\n")
    assert [row.values.tolist() for row in read.numbers_or_file(str(file), "--labels")] == [[0.5, 0.5], [1, 0]]
    assert [row.values.tolist() for row in read.numbers_or_file("[0,1],[1,0]", "--labels")] == [[0, 1], [1, 0]]
    with pytest.raises(InputError) as caught:
        read.numbers_or_file("no.csv", "--labels")
    assert "'no.csv' is not a number" in caught.value.message and "no file" in caught.value.hint


@pytest.mark.parametrize(("text", "want"), {"3": [3], "0,1,2": [0, 1, 2], "-100": [-100], "3.0 0x2": [3, 2]}.items())
def test_indices(text, want):
    assert read.indices(text, "--target") == want


def test_indices_of_a_file(tmp_path):
    np.save(tmp_path / "t.npy", np.array([[1], [2]]))
    assert read.indices(str(tmp_path / "t.npy"), "--target") == [1, 2]


@pytest.mark.parametrize("text", ["1.5", "nan", "inf", "1e999", "9" * 50, "3.00000000000000000001", "1e-999"])
def test_not_an_index(text):
    with pytest.raises(InputError, match=r"--target: '.* is not an integer"):
        read.indices(text, "--target")


@pytest.mark.parametrize(
    ("token", "value", "sign"),
    [
        ("0.1", 0.1, -1),
        ("0.5", 0.5, 0),
        ("-0", 0.0, 0),
        ("1e999", math.inf, -1),
        ("-1e999", -math.inf, 1),
        ("1e-999", 0.0, 1),
        ("-1e-999", -0.0, -1),
        ("1e" + "9" * 10_000, 1.0, 1),
        ("-1e-" + "9" * 10_000, 0.0, -1),
        ("0e" + "9" * 10_000, 0.0, 0),
        ("1" + "0" * 10_000 + "e-10000", 1.0, 0),
        ("1." + "0" * 10_000 + "1", 1.0, 1),
        ("0x1p" + "9" * 10_000, math.inf, -1),
        ("0x1p-" + "9" * 10_000, 5e-324, -1),
        ("-0x1p-2000", -5e-324, 1),
        ("0x0p99999999", 0.0, 0),
        ("0x1" + "0" * 10_000 + "p-40000", 1.0, 0),
        ("0x1e5", 485.0, 0),
        ("inf", math.inf, 0),
        ("-inf", math.inf, -1),
        ("1/3", 1 / 3, 1),
        ("-0x1/0x3", -1 / 3, -1),
    ],
)
def test_compare_exact(token, value, sign):
    assert compare_exact(token, value) == sign


@pytest.mark.parametrize(("token", "value"), [("nan", 1.0), ("1", math.nan), ("abc", 1.0)])
def test_compare_exact_has_no_order(token, value):
    with pytest.raises(ValueError, match=r"no order|not a number"):
        compare_exact(token, value)


@given(st.fractions(), st.floats(allow_nan=False, allow_infinity=False))
def test_compare_exact_agrees_with_fractions(number, value):
    want = (number > value) - (number < value)
    assert compare_exact(f"{number.numerator}/{number.denominator}", value) == want


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.floats(allow_nan=False, allow_infinity=False))
def test_compare_exact_agrees_with_decimals(number, value):
    assert compare_exact(str(number), value) == (Fraction(number) > value) - (Fraction(number) < value)
    assert exact(str(number)) == Fraction(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_its_own_exact_value(value):
    for token in (value.hex(), repr(Fraction(value).numerator) + "/" + repr(Fraction(value).denominator)):
        assert exact(token) == Fraction(value) and compare_exact(token, value) == 0


def test_exact_refuses_what_would_be_huge():
    for token in ("1e999999999", "0x1p-999999999", "1e" + "9" * 10_000):
        with pytest.raises(PrecisionError, match="too many digits"):
            exact(token)
    for token in ("inf", "nan", "abc"):
        with pytest.raises(ValueError, match=r"not finite|not a number"):
            exact(token)
