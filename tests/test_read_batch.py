"""What was read, as a noun: blocks and rows, chosen rows, exact numbers of every dtype, nothing copied whole."""

import pickle
import subprocess
import sys
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import from_text

from smcli import read
from smcli.errors import InputError
from smcli.read._arrays import CODINGS, block


def rows(batch):
    return [row.values.tolist() for row in batch]


RAGGED = [[1.0, 2.0], [3.0], [4.0, 5.0], [6.0]]


@pytest.mark.parametrize(
    "batch",
    [
        read.from_object(np.arange(12.0).reshape(4, 3)),
        read.from_object(np.arange(12.0).reshape(2, 3, 2).swapaxes(1, 2)),
        read.from_object(RAGGED),
        from_text("1 2\n3\n4 5\n9007199254740993", "x"),
        read.from_object([np.ones((2, 3)), [[1, 2, 3], [4, 5, 2**53 + 1]]]),
    ],
    ids=["array", "view", "ragged", "text", "mixed"],
)
def test_a_batch_is_the_sequence_of_its_rows(batch):
    listed = rows(batch)
    assert len(batch) == len(listed) == 4
    assert [batch[i].values.tolist() for i in range(4)] == listed == rows(batch.rows())
    assert (
        batch[-1].values.tolist() == listed[-1]
        and rows(batch[1:3]) == listed[1:3]
        and rows(batch[::-2]) == listed[::-2]
    )
    assert rows(batch.select([3, 0, 0])) == [listed[3], listed[0], listed[0]]
    assert rows(batch.select([2, 0]).select([1])) == [listed[0]]
    tokens = [row.tokens for row in batch]
    assert [batch[i].tokens for i in range(4)] == tokens and batch.select([3, 1])[0].tokens == tokens[3]
    again = pickle.loads(pickle.dumps(batch))
    assert rows(again) == listed and [row.tokens for row in again] == tokens
    assert [v for b in batch.in_order() for v in b.take()[0].tolist()] == listed
    with pytest.raises(IndexError):
        batch[4]


def test_rows_of_one_length_are_one_block():
    batch = read.from_object(RAGGED)
    assert [(block.array.tolist(), list(block.rows)) for block in batch.blocks] == [
        ([[1, 2], [4, 5]], [0, 2]), ([[3], [6]], [1, 3])
    ]  # fmt: skip


def test_chosen_rows_keep_their_targets_and_labels():
    from dataclasses import replace

    batch = replace(read.from_object([[1, 2], [3, 4]]), target=(0, 1), labels=read.from_object([[0, 1], [1, 0]]))
    chosen = batch.select([1])
    assert chosen.target == (1,) and rows(chosen.labels) == [[1, 0]] and rows(chosen) == [[3, 4]]


def test_a_choice_of_an_array_copies_nothing():
    array = np.arange(20.0).reshape(5, 4)
    batch = read.from_object(array)
    for numbers in ([0, 1, 2], [1, 3], [4, 3, 2, 1, 0], [2]):
        (chosen,) = batch.select(numbers).blocks
        assert np.shares_memory(chosen.array, array) and chosen.take()[0].tolist() == array[numbers].tolist()


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3, None])
@pytest.mark.parametrize("order", ["C", "F"])
def test_axis_of_an_array(axis, order):
    array = np.array(np.arange(24).reshape(2, 3, 4), order=order)
    (found,) = read.from_object(array, axis=axis).blocks
    assert np.shares_memory(found.array, array)
    last = np.moveaxis(array, -1 if axis is None else axis, -1)
    want = last.reshape(-1, last.shape[-1])
    assert found.take()[0].tolist() == want.tolist() and len(found) == len(want)
    assert found.take(1, 4)[0].tolist() == want[1:4].tolist() and found.take(3, 99)[0].tolist() == want[3:].tolist()


@pytest.mark.parametrize("axis", [3, -4])
def test_axis_that_is_none(axis):
    with pytest.raises(InputError, match=f"axis {axis} is out of range: the array has 3 axes"):
        read.from_object(np.zeros((2, 3, 4)), axis=axis)
    with pytest.raises(InputError, match=f"axis {axis} is out of range: the list has one axis"):
        read.from_object([1, 2], axis=axis)


@pytest.mark.parametrize(
    ("coding", "bits"), [("bfloat16", np.uint16), ("float8_e4m3fn", np.uint8), ("float8_e5m2", np.uint8)]
)
def test_every_pattern_of_bits(coding, bits):
    every = np.arange(1 << 8 * np.dtype(bits).itemsize).astype(bits)
    with np.errstate(all="ignore"):
        want = every.view(getattr(ml_dtypes, coding)).astype(np.float64)
    got, texts = CODINGS[coding](every)
    np.testing.assert_array_equal(got, want)
    assert not texts and (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_integers_are_exact(items):
    values, tokens = block(np.array(items), "x").take()
    for i, item in enumerate(items):
        token = tokens[0][i] if tokens and tokens[0] else None
        assert int(values[0, i]) == item or int(token) == item


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.zeros(2), "float64"), (np.zeros(2, ">f4"), "float32"), (np.zeros(2, np.float16), "float16"),
        (np.zeros(2, ml_dtypes.bfloat16), "bfloat16"), (np.zeros(2, ml_dtypes.float8_e4m3fn), "float8_e4m3fn"),
        (np.zeros(2, np.int32), None), (np.zeros(2, np.longdouble), None if np.finfo(np.longdouble).nmant > 52 else "float64"),
    ],
    ids=lambda x: str(getattr(x, "dtype", x)),
)  # fmt: skip
def test_the_dtype_of_an_array_comes_along(array, dtype):
    batch = read.from_object(array)
    assert batch.dtype == dtype and batch.origin == ("the array's dtype" if dtype else "")


def test_the_dtype_of_elements_comes_along():
    assert read.from_object([np.float32(1), np.float32(2)]).dtype == "float32"
    assert read.from_object([np.zeros(2, np.float16), np.zeros(2, np.float16)]).dtype == "float16"
    assert read.from_object([np.float32(1), 2.0]).dtype is None
    assert read.from_object([1, 2.0]).dtype is None and read.from_object([[1.0], [2.0]]).dtype is None


def test_a_hundred_thousand_rows_of_an_array_cost_no_object_each():
    array = np.zeros((100_000, 10))
    tracemalloc.start()
    batch = read.from_object(array)
    chosen = batch.select(range(10, 90_000))
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(chosen) == 89_990 and size < 10_000 and peak < 3_000_000


@pytest.mark.parametrize("form", ["lines", "list", "csv", "jsonl"])
def test_rows_of_text_cost_a_few_hundred_bytes(form, tmp_path):
    """Beside the text itself; and ten times the rows cost ten times as much."""
    sizes = []
    for count in (1_000, 10_000):
        x = np.random.default_rng(1).normal(0, 5, (count, 10)).tolist()
        lines = {"lines": " ".join, "csv": ",".join, "jsonl": lambda row: f"[{','.join(row)}]"}
        text = repr(x) if form == "list" else "".join(lines[form](map(repr, row)) + "\n" for row in x)
        (tmp_path / "x").write_text(text)
        kind = form if form in read.kinds() else "text"
        read.from_file(str(tmp_path / "x"), read.How(kind))  # modules are loaded
        tracemalloc.start()
        batch = read.from_file(str(tmp_path / "x"), read.How(kind))
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert rows(batch) == x
        assert size < 200 * count + 50_000 and peak < 2 * len(text) + 700 * count + 3_000_000
        sizes.append(size)
    assert sizes[1] < 13 * sizes[0]  # an array that grows has room to spare


@pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be cut short there")
def test_a_file_that_becomes_shorter_is_an_error_not_a_crash(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1000, 1000)))
    code = (
        "import sys, os; from smcli import read; b = read.from_file(sys.argv[1]); b.row(999); os.truncate(sys.argv[1], 9000)\n"
        "try: b.row(999)\n"
        "except read.InputError as e: print(e.message)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.npy")], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("became shorter while it was read: 9000 of 8000128 bytes remain\n")
