"""Objects of Python: lists, arrays, tensors."""

import contextlib
import math
import re
import sys
from decimal import Decimal
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smcli
from smcli import read
from smcli.errors import InputError
from smcli.numbers.written import exact


def rows(obj):
    return [row.values.tolist() for row in read.from_object(obj)]


def cyclic():
    items = []
    items.append(items)
    return items


def said(value):
    """The same in every process: without the address of an object."""
    return re.sub(r" object at 0x[0-9a-f]+", "", repr(value))


class Tensor:
    """Stands in for torch: no array of a tensor that needs a gradient, and none of bfloat16."""

    ndim = 1

    def __init__(self, *, grad=True, bfloat16=True):
        self.grad, self.bfloat16 = grad, bfloat16

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        if self.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.array([1, 2], dtype=np.float32)

    def detach(self):
        return Tensor(grad=False, bfloat16=self.bfloat16)

    def cpu(self):
        return self

    def float(self):
        return Tensor(grad=self.grad, bfloat16=False)

    def __repr__(self):
        return f"Tensor(grad={self.grad}, bfloat16={self.bfloat16})"


class Dlpack:
    """An array of another library, which only speaks DLPack."""

    ndim = 1

    def __dlpack__(self, **options):
        return np.array([1.0, 2.0]).__dlpack__(**options)

    def __dlpack_device__(self):
        return (1, 0)

    def __repr__(self):
        return "Dlpack()"


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        ([1, 2.5], [[1, 2.5]]),
        ((1, 2), [[1, 2]]),
        (range(3), [[0, 1, 2]]),
        (3, [[3]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        ([[[1], [2]], [[3]]], [[1], [2], [3]]),
        ([-math.inf, math.inf], [[-math.inf, math.inf]]),
        (np.arange(6).reshape(1, 2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.asfortranarray([[1.0, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(3.0), [[3]]),
        (np.array([1.5], dtype=">f4"), [[1.5]]),
        (np.array([6e-8], dtype=np.float16), [[5.960464477539063e-08]]),
        (np.array([1.5, 2], dtype=ml_dtypes.bfloat16), [[1.5, 2]]),
        ([ml_dtypes.bfloat16(1.5), np.float32(2), np.int8(3), np.array(4)], [[1.5, 2, 3, 4]]),
        ([np.array([1.0, 2.0]), [3]], [[1, 2], [3]]),
        ([np.ones((2, 1)), [3]], [[1], [1], [3]]),
        (np.array([1, Decimal(2)], dtype=object), [[1, 2]]),
        (np.array([[1, 2], [3]], dtype=object), [[1, 2], [3]]),
        (np.ma.array([1.0, 2.0]), [[1, 2]]),
        (Tensor(), [[1, 2]]),
        ([Tensor(), Tensor(grad=False)], [[1, 2], [1, 2]]),
        (Dlpack(), [[1, 2]]),
    ],
    ids=said,
)
def test_objects(obj, want):
    assert rows(obj) == want


@pytest.mark.parametrize(
    ("item", "value", "token"),
    [
        (0.1, 0.1, None),
        (2**53, 2.0**53, None),
        (2**53 + 1, 2.0**53, str(2**53 + 1)),
        (np.int64(2**53 + 1), 2.0**53, str(2**53 + 1)),
        (np.uint64(2**64 - 1), 2.0**64, str(2**64 - 1)),
        (Fraction(1, 2), 0.5, None),
        (Fraction(-1, 3), -1 / 3, "-1/3"),
        (Decimal("0.1"), 0.1, "0.1"),
        (Decimal("1e999999999"), math.inf, "1E+999999999"),
        (Decimal("-Infinity"), -math.inf, "-Infinity"),
        (Decimal("sNaN"), math.nan, None),
        (-(10**400), -math.inf, "-1" + "0" * 400),
        (16**2000, math.inf, "0x1" + "0" * 2000),
        (np.longdouble("inf"), math.inf, None),
    ],
)
def test_what_a_float64_would_lose_is_kept(item, value, token):
    (row,) = read.from_object([item])
    np.testing.assert_array_equal(row.values, [value])
    assert (row.tokens[0] if row.tokens else None) == token


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="long double is float64 here")
def test_long_double_is_kept():
    third = np.longdouble(1) / 3
    for obj in ([third], np.array([third])):
        (row,) = read.from_object(obj)
        assert row.values.tolist() == [1 / 3]
        assert exact(row.tokens[0]) == Fraction(*map(int, third.as_integer_ratio()))


def test_negative_zero_is_kept():
    for zero in (-0.0, np.float32(-0.0), np.array(-0.0), np.longdouble(-0.0)):
        assert np.signbit(read.from_object([zero])[0].values[0])


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ([], "no logits: an empty list"),
        ([[]], "no logits: an empty list at [0]"),
        ([[1], []], "no logits: an empty list at [1]"),
        (np.zeros((0, 3)), "no logits in the array: its shape is (0, 3)"),
        ([[1], np.zeros((2, 0))], "no logits in the array at [1]"),
        ([1, [2]], "numbers and lists stand side by side in one list"),
        ([[[1], 2]], "one list at [0]"),
        (cyclic(), "lists are nested deeper than 64"),
        ("1 2", "'1 2' is text, not a number"),
        ([1, "2"], "logit 1 of row 0: '2' is text, not a number"),
        ([[1], [2, None]], "logit 1 of row 1: NoneType is not a number"),
        ([True], "logit 0 of row 0: True is not a number"),
        ([np.bool_(1)], "logit 0 of row 0: booleans are not numbers"),
        ([1j], "logit 0 of row 0: complex is not a number"),
        ({1: 2}, "dict is not a number"),
        (b"12", "bytes is not a number"),
        (iter([1]), "list_iterator is not a number"),
        (np.array([True]), "the array holds booleans, not real numbers"),
        (np.array([1j]), "the array holds complex numbers"),
        (np.array(["1"]), "the array holds text"),
        (np.array([(1, 2.0)], dtype="i4,f4"), "bytes without a number format"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "the array holds dates"),
        (np.array([1, None], dtype=object), "logit 1 of row 0: NoneType is not a number"),
        (np.ma.array([1, 2], mask=[0, 1]), "some logits are masked"),
    ],
    ids=said,
)
def test_bad_objects(obj, message):
    with pytest.raises(InputError) as caught:
        read.from_object(obj)
    assert message in caught.value.message and caught.value.hint


def test_a_tensor_that_is_no_array():
    class Stubborn:
        ndim = 1

        def __array__(self, dtype=None, copy=None):
            raise TypeError("no \x1b[31m")

    with pytest.raises(InputError, match=r"Stubborn cannot be taken as an array: 'no \\x1b\[31m'"):
        read.from_object(Stubborn())


@given(st.lists(st.lists(st.floats(), min_size=1), min_size=1))
def test_lists_of_floats_are_unchanged(values):
    for got, want in zip(read.from_object(values), values, strict=True):
        np.testing.assert_array_equal(got.values, want)
        assert got.tokens is None


ANY = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.decimals(),
        st.fractions(),
        st.complex_numbers(),
    ),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
)


@given(ANY)
def test_any_object_is_rows_or_a_clear_error(obj):
    with contextlib.suppress(InputError):
        assert read.from_object(obj)


def test_an_integer_needs_no_more_of_python_than_its_least_limit():
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        for digits in (309, 616, 617, 639, 640, 700, 2000):
            report = smcli.evaluate([10**digits, -(10**digits), 1], quantities="softmax")
            assert report.to_dict()["rows"][0]["results"][0]["exact"] == ["1", "0", "0"]
    finally:
        sys.set_int_max_str_digits(before)
