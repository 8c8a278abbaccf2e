"""Text and words of the command line."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import from_text

from smcli import read
from smcli.errors import InputError, SmcliError


def rows(text):
    return [row.values.tolist() for row in from_text(text, "x.txt")]


def words(*arguments):
    return [row.values.tolist() for row in read.from_arguments(arguments)]


def problem(text):
    with pytest.raises(InputError) as caught:
        from_text(text, "x.txt")
    return caught.value


ONE_ROW = [
    "1 2 3",
    "1\n2\n3\n",
    "\n1\n\n2\r\n3",
    "1\r2\r3",
    "1,2,3",
    "1, 2, 3,",
    "1;2;3",
    "\t1\t2 \t 3",
    "1\u00a02\u20033",
    "+1 2.e0 0x1.8p1",
    "[1, 2, 3]",
    "[1. 2. 3.]",
    "[1.\n 2.\n 3.]",
    "[1,2,3,]",
    "(1, 2, 3)",
    "[[[1 2 3]]]",
    "array([1., 2., 3.])",
    "np.array([1., 2., 3.], dtype=float32)",
    "array([[1., 2., 3.]], dtype=float32)",
    "tensor([1., 2., 3.], device='cuda:0', dtype=torch.bfloat16, requires_grad=True)",
    "tensor([1., 2., 3.], grad_fn=<AddBackward0>)",
    "tensor([1., 2., 3.], size=(3,), device=device(type='cuda', index=0))",
    "Parameter containing:\ntensor([1., 2., 3.], requires_grad=True)",
    "Array([1., 2., 3.], dtype=float32)",
    "tf.Tensor([1. 2. 3.], shape=(3,), dtype=float32)",
    "<tf.Tensor: shape=(3,), dtype=float32, numpy=array([1., 2., 3.], dtype=float32)>",
    "<tf.Variable 'v:0' shape=(3,) dtype=float32, numpy=array([1., 2., 3.], dtype=float32)>",
    "[np.float64(1.0), np.float64(2.0), np.float64(3.0)]",
    "[tensor(1.), tensor(2., dtype=torch.float64), tensor(3.)]",
    "tensor(1.)\ntensor(2.)\ntensor(3.)",
]

SEVERAL_ROWS = {
    "1 2\n3 4": [[1, 2], [3, 4]],
    "1 2\n\n3\n": [[1, 2], [3]],
    "1, 2,\n\n3,\n": [[1, 2], [3]],
    "[1. 2.\n 3. 4.]": [[1, 2, 3, 4]],
    "[[1. 2.]\n [3. 4.]]": [[1, 2], [3, 4]],
    "[[1, 2], [3]]": [[1, 2], [3]],
    "[[[1], [2]], [[3], [4]]]": [[1], [2], [3], [4]],
    "[1, 2]\n[3, 4],\n": [[1, 2], [3, 4]],
    "[(1, 2), (3, 4)]": [[1, 2], [3, 4]],
    "array([[1., 2.],\n       [3., 4.]], dtype=float32)": [[1, 2], [3, 4]],
    "[tensor([1., 2.]), tensor([3.])]": [[1, 2], [3]],
    "[[1,2] [3,4]]": [[1, 2], [3, 4]],
    "[1, 2], [3, 4]": [[1, 2], [3, 4]],
    "array([1.])\narray([2., 3.])": [[1], [2, 3]],
    "tensor([[1., 2.],\n        [3., 4.]], device='cuda:0', grad_fn=<MulBackward0>)": [[1, 2], [3, 4]],
}

BAD = {
    "abc": "logit 0 of row 0: 'abc' is not a number, x.txt:1:1",
    "1 2\n3 abc": "logit 1 of row 1: 'abc' is not a number, x.txt:2:3",
    "1\n2\nabc\n": "logit 2 of row 0: 'abc' is not a number, x.txt:3:1",
    "1 2\r\n3 abc": "logit 1 of row 1: 'abc' is not a number, x.txt:2:3",
    "[[1, 2],\n [abc, 4]]": "logit 0 of row 1: 'abc' is not a number, x.txt:2:3",
    "[1,2]\n3 4x": "'3' stands beside brackets, x.txt:2:1",
    "[red]x[/red]": "logit 0 of row 0: '[red]x[/red]' is not a number, x.txt:1:1",
    "1 [red]x[/red]": "logit 1 of row 0: '[red]x[/red]' is not a number, x.txt:1:3",
    "1_000": "'1_000' is not a number",
    "١": "'١' is not a number",
    "0x": "'0x' is not a number",
    "0x.p1": "'0x.p1' is not a number",
    "1e": "'1e' is not a number",
    "1+2j": "'1+2j' is not a number",
    "True": "'True' is not a number",
    "nan(1)": "logit 0 of row 0: 'nan(1)' is not a number, x.txt:1:1",
    "--": "'--' is not a number",
    "1\x1b[31m": r"'[' of '1\x1b[31m' is never closed, x.txt:1:3",
    "1\x1b": r"'1\x1b' is not a number",
    "\u202e1": r"'\u202e1' is not a number",
    "1\0": r"'1\x00' is not a number",
    "1 2 ... 3": "data is missing, the text says '...'",
    "[1. 2. … 3.]": "data is missing",
    "tensor([[0., 1.,  ..., 7.]])": "logit 2 of row 0: data is missing",
    "1,,2": "an element is empty, x.txt:1:3",
    "1, ,2": "an element is empty, x.txt:1:4",
    ",1": "an element is empty, x.txt:1:1",
    "1 2\n;3": "an element is empty, x.txt:2:1",
    "[,1]": "an element is empty, x.txt:1:2",
    "[[1],,[2]]": "an element is empty, x.txt:1:6",
    "[1, [2]]": "'1' stands beside brackets, x.txt:1:2",
    "1 [2]": "'1' stands beside brackets, x.txt:1:1",
    "[1] 2": "'2' stands beside brackets",
    "[[1] 2]": "'2' stands beside brackets",
    "[1": "'[' is never closed, x.txt:1:1",
    "array([1]": "'(' of 'array([1]' is never closed, x.txt:1:6",
    "tensor([1], dtype=x": "'(' of 'tensor([1],' is never closed",
    "1]": "']' of '1]' closes nothing, x.txt:1:2",
    "[1)": "')' of '[1)' closes nothing, x.txt:1:3",
    "[]": "no logits in the brackets, x.txt:1:1",
    "[[1], []]": "no logits in the brackets, x.txt:1:7",
    "array([], dtype=float64)": "no logits in the brackets",
    "": "no logits in x.txt",
    " \n ": "no logits in x.txt",
    "sum([1, 2])": "'sum([1, 2])' would have to be computed, x.txt:1:1",
    "-array([1])": "'-' stands beside brackets, x.txt:1:1",
    "array([1, 2])*2": "'array([1, 2])*2' would have to be computed, x.txt:1:1",
    "[1, 2]*0.5": "'*0.5' stands beside brackets, x.txt:1:7",
    "[1, 2][0]": "'[' stands directly behind a bracket, x.txt:1:7",
    "[1, 2].T": "'.T' stands beside brackets, x.txt:1:7",
    "[float64(1.0)+2]": "'float64(1.0)+2' would have to be computed, x.txt:1:2",
    "tensor(indices=tensor([[0]]), values=tensor([1.]))": "shows no numbers",
    "np.zeros(3)": "'np.zeros(3)' is not a number",
    "tensor([1., 2.]).exp()": "'.exp()' stands behind the numbers",
    "np.array([1, 2], (2, 1))": "'(2, 1)' stands beside the numbers of np.array",
    "[[1, 2], [[3]]]": "2 arrays: the second is neither rows of logits nor one target for each row, x.txt:1:10",
    "[[[1, 2], [[3]]]]": "lists of different depth stand side by side",
    "[0]*999999999": "so many numbers are not made of a few",
    "[" * 100: "brackets are nested deeper than 64, x.txt:1:65",
}


@pytest.mark.parametrize("text", ONE_ROW)
def test_one_row(text):
    assert rows(text) == [[1, 2, 3]]


@pytest.mark.parametrize(("text", "want"), SEVERAL_ROWS.items())
def test_several_rows(text, want):
    assert rows(text) == want


@pytest.mark.parametrize(("text", "message"), BAD.items())
def test_bad_text_names_token_and_place(text, message):
    error = problem(text)
    assert message in error.message and error.hint and error.message.isprintable()


@pytest.mark.parametrize(
    ("token", "value"),
    {
        "-2.5E3": -2500,
        ".5": 0.5,
        "0x1.8p3": 12,
        "-0X.8": -0.5,
        "0x1e5": 485,
        "inf": math.inf,
        "-Infinity": -math.inf,
        "NaN": math.nan,
        "-nan": math.nan,
        "-0.000": -0.0,
        "0.1": 0.1,
        "123456789012345": 123456789012345,
    }.items(),
)
def test_a_token_that_a_float64_holds_is_not_kept(token, value):
    (row,) = from_text(token, "x")
    np.testing.assert_array_equal(row.values, [value])
    assert row.tokens is None and np.signbit(row.values[0]) == token.startswith("-")


@pytest.mark.parametrize(
    ("token", "value"),
    {
        "0x1p9999999999": math.inf,
        "-0x1p1024": -math.inf,
        "0x1p-9999999999": 0,
        "1e999999999": math.inf,
        "-1e-999999999": -0.0,
        "1e" + "9" * 10_000: math.inf,
        "1" * 10_000: math.inf,
        "1.00000000000000000001": 1,
        "9007199254740993": 2.0**53,
        "1.000000059604644775390625000000000001": 1 + 2.0**-24,
    }.items(),
)
def test_a_token_that_says_more_is_kept(token, value):
    (row,) = from_text(token, "x")
    np.testing.assert_array_equal(row.values, [value])
    assert row.tokens == (token,) and np.signbit(row.values[0]) == token.startswith("-")


def test_a_long_token_is_shortened():
    for token in ("a" * 100_000, "1" * 100_000 + "a"):
        assert len(problem(token).message) < 150 and f"({len(token)} characters)" in problem(token).message


def test_unicode_minus_gets_its_own_hint():
    assert "U+2212" in problem("−1").hint


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (["1,", "2,", "3"], [[1, 2, 3]]),
        (["[1,", "2]"], [[1, 2]]),
        (["[1,", "2]", "[3]"], [[1, 2], [3]]),
        (["1 2\n3 4"], [[1, 2], [3, 4]]),
    ],
)
def test_arguments(arguments, want):
    assert words(*arguments) == want


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1", "abc"], "logit 1 of row 0: 'abc' is not a number, argument 2"),
        (["1,", "2,", "abc,", "3"], "logit 2 of row 0: 'abc' is not a number, argument 3"),
        (["1", "2,3"], "commas and spaces separate the numbers of '1 2,3', argument 1"),
        (["1", "", "2"], "argument 2 is empty"),
        (["1,", ",2"], "an element is empty, argument 2"),
        (["[1", "2"], "'[' is never closed, argument 1"),
        (["1", "x\udcff"], r"'x\udcff' is not a number, argument 2"),
        ([""], "no logits"),
        ([], "no logits"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError) as caught:
        words(*arguments)
    assert message in caught.value.message


FLOATS = st.floats(allow_subnormal=True)
ROWS = st.lists(st.lists(FLOATS, min_size=1, max_size=5), min_size=1, max_size=4)


def same(got, want):
    assert len(got) == len(want)
    for row, expected in zip(got, want, strict=True):
        np.testing.assert_array_equal(row.values, expected)


@given(ROWS)
def test_repr_of_lists_round_trips(values):
    same(from_text(repr(values), "x"), values)


@given(st.lists(FLOATS, min_size=1))
def test_hexadecimal_round_trips(values):
    same(from_text(" ".join(map(float.hex, values)), "x"), [values])


@given(ROWS.filter(lambda rows: any(len(row) > 1 for row in rows)))
def test_lines_round_trip(values):
    same(from_text("\n".join(", ".join(map(repr, row)) for row in values), "x"), values)


@given(st.lists(FLOATS, min_size=1, max_size=40), st.sampled_from([np.float64, np.float32, np.float16]))
def test_numpy_repr_round_trips(values, dtype):
    with np.errstate(all="ignore"):
        array = np.array(values).astype(dtype).reshape(1, -1)
    with np.printoptions(floatmode="unique"):
        shown = repr(array)
    for text in (shown, repr(list(array[0])), f"tensor({array.tolist()}, dtype=torch.{array.dtype})"):
        got = from_text(text, "x")
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(got[0].values.astype(dtype), array[0])


NEARLY = st.text(st.sampled_from("019.,;-+eExp_ \n\r\t[]()infaN='<>:…\ufeff\0١"))


def rows_or_message(reader, text):
    """What a reader makes of anything: rows that are whole, or the message of a clear error."""
    try:
        found = reader(text)
    except SmcliError as error:
        return error.message
    return "" if found and all(row.values.size == len(row.tokens or row.values) > 0 for row in found) else "\0"


@given(st.one_of(NEARLY, st.text()))
@example("array(, dtype=x)")
@example("array(1 [2])")
def test_any_text_is_rows_or_a_clear_error(text):
    assert rows_or_message(lambda text: from_text(text, "x"), text).isprintable()


@given(st.lists(NEARLY))
def test_any_arguments_are_rows_or_a_clear_error(arguments):
    assert rows_or_message(read.from_arguments, arguments).isprintable()
