"""Files block by block: every kind gives the same rows, in bounded memory; targets come along."""

import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from samples import npy, npz

from smcli import read
from smcli.errors import InputError
from smcli.read import _arrays, _gather

X = np.random.default_rng(5).normal(0, 30, (50, 7))


KINDS = {
    "a.npy": npy(X),
    "f.npy": npy(np.asfortranarray(X)),
    "s.npz": npz(x=X),
    "d.npz": npz(np.savez_compressed, x=X),
    "f.npz": npz(np.savez_compressed, x=np.asfortranarray(X)),
    "t.txt": "".join(" ".join(map(repr, row)) + "\n" for row in X.tolist()).encode(),
    "b.txt": "".join(repr(row) + "\n" for row in X.tolist()).encode(),
    "c.csv": "".join(",".join(map(repr, row)) + "\n" for row in X.tolist()).encode(),
    "l.jsonl": "".join(json.dumps(row) + "\n" for row in X.tolist()).encode(),
    "j.json": json.dumps(X.tolist()).encode(),
}


@pytest.fixture
def small(monkeypatch):
    """Blocks of 35 numbers, as the rows are few."""
    monkeypatch.setattr(_arrays, "BLOCK", 35)
    monkeypatch.setattr("smcli.read._stored.BLOCK", 35)
    monkeypatch.setattr("smcli.read._blocks.BLOCK", 35)
    monkeypatch.setattr(_gather, "BLOCK", 35)


@pytest.mark.parametrize("name", KINDS)
def test_kinds_agree(write, small, name):
    blocks = list(read.stream(write(name, KINDS[name])))
    assert [len(block) for block in blocks] == [5] * 10
    assert [row for block in blocks for row in block.rows] == list(range(50))
    np.testing.assert_array_equal(np.concatenate([block.take()[0] for block in blocks]), X)


@pytest.mark.parametrize("name", KINDS)
def test_a_stream_knows_of_its_format_and_rows(write, name):
    with read.stream(write(name, KINDS[name])) as stream:
        array = name.endswith(("npy", "npz"))
        assert (stream.dtype, stream.origin) == (("float64", "the file's dtype") if array else (None, ""))
        assert stream.rows == (50 if array or name == "j.json" else None)


@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.jsonl"])
def test_rows_of_several_lengths_end_a_block(write, small, name):
    lines = ["[1, 2]", "[3, 4]", "[5]", "[6]", "[7, 8]"]
    text = "\n".join(lines) if name == "x.jsonl" else "\n".join(line.strip("[]") for line in lines)
    blocks = list(read.stream(write(name, text)))
    assert [(list(b.rows), b.take()[0].tolist()) for b in blocks] == [
        ([0, 1], [[1, 2], [3, 4]]), ([2, 3], [[5], [6]]), ([4], [[7, 8]])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "a,b,label\n" + "1,2,0\n" * 20 + "3,4,1\n" * 20),
        ("x.npz", npz(logits=np.array([[1.0, 2]] * 20 + [[3, 4]] * 20), target=np.array([0] * 20 + [1] * 20))),
        ("y.npz", npz(np.savez_compressed, labels=np.array([0] * 20 + [1] * 20), logits=np.array([[1.0, 2]] * 20 + [[3, 4]] * 20))),
        ("x.jsonl", '{"logits": [1, 2], "target": 0}\n' * 20 + '{"logits": [3, 4], "target": 1}\n' * 20),
        ("x.json", json.dumps({"logits": [[1, 2]] * 20 + [[3, 4]] * 20, "target": [0] * 20 + [1] * 20})),
        ("x.txt", "(tensor([[1., 2.]]), tensor([0]))\n" * 20 + "(tensor([[3., 4.]]), tensor([1]))\n" * 20),
    ],
    ids=lambda x: x if isinstance(x, str) and len(x) < 9 else "",
)  # fmt: skip
def test_targets_come_along(write, small, name, content):
    path = write(name, content)
    choice = {"target_column": "label"} if name == "x.csv" else {}
    blocks = list(read.stream(path, read.How(**choice)))
    assert len(blocks) > 1 and [t for block in blocks for t in block.target.tolist()] == [0] * 20 + [1] * 20
    if name != "x.txt":
        assert read.from_file(path, read.How(**choice)).target == (0,) * 20 + (1,) * 20


def test_some_targets_are_missing(write):
    with pytest.raises(InputError, match="1 target for 2 rows"):
        list(read.stream(write("x.jsonl", '{"logits": [1, 2], "target": 0}\n{"logits": [1, 2]}\n')))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", ["a.npy", "f.npy", "a.npz", "d.npz"])
def test_axis(write, small, name, axis):
    array = np.arange(90.0).reshape(3, 6, 5)
    given = np.asfortranarray(array) if name[0] == "f" else array
    save = np.savez_compressed if name[0] == "d" else np.savez
    path = write(name, npy(given) if name.endswith("npy") else npz(save, x=given))
    last = np.moveaxis(array, axis, -1)
    found = np.concatenate([block.take()[0] for block in read.stream(path, read.How(axis=axis))])
    np.testing.assert_array_equal(found, last.reshape(-1, last.shape[-1]))


CONTENTS = {
    "x.npy": npy,
    "f.npy": lambda x: npy(np.asfortranarray(x)),
    "d.npz": lambda x: npz(np.savez_compressed, x=x),
    "x.txt": lambda x: "".join(" ".join(map(str, row)) + "\n" for row in x.tolist()),
    "x.csv": lambda x: "".join(",".join(map(str, row)) + "\n" for row in x.tolist()),
    "x.jsonl": lambda x: "".join(json.dumps(row) + "\n" for row in x.tolist()),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_memory_is_bounded(write, monkeypatch, name):
    """Four times the rows take no more memory."""
    for module in (_arrays, _gather, import_module("smcli.read._stored"), import_module("smcli.read._blocks")):
        monkeypatch.setattr(module, "BLOCK", 1 << 13)
    monkeypatch.setattr("smcli.read._source._PART", 1 << 15)
    peaks = []
    for count in (4_000, 16_000):
        x = np.random.default_rng(1).normal(0, 5, (count, 16)).round(3)
        path = write(name, CONTENTS[name](x))
        del x
        tracemalloc.start()
        assert sum(len(block.take()[0]) for block in read.stream(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 500_000 and peaks[1] < 4_000_000  # the rows that are more take 2 MB


def test_a_pipe_that_falls_silent_gives_what_it_has():
    code = "from smcli import read\nfor block in read.stream('-'): print(block.take()[0].tolist(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as done:
        done.stdin.write("1 2\n3 4\n5 ")
        done.stdin.flush()
        assert done.stdout.readline() == "[[1.0, 2.0], [3.0, 4.0]]\n"
        done.stdin.write("6\n")
        done.stdin.close()
        assert done.stdout.readline() == "[[5.0, 6.0]]\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", KINDS)
def test_pipe(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(KINDS[name],))
    writer.start()
    found = np.concatenate([block.take()[0] for block in read.stream(str(path))])
    np.testing.assert_array_equal(found, X)
    writer.join()


def test_notes_and_formats_of_a_text(write):
    with read.stream(write("x.txt", "step 1 logits: tensor([1., 2.])\nstep 2 logits: tensor([3., 4.])\n")) as stream:
        assert stream.dtype == "float32" and "torch's default" in stream.origin
        assert stream.notes == (f"left out of {stream.name}: 'step 1 logits:'",)


def test_a_stream_is_closed_early(write):
    path = write("x.npy", npy(X))
    with read.stream(path) as stream:
        next(iter(stream))
    os.rename(path, path + "2")


@pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be cut short there")
@pytest.mark.parametrize("name", ["x.npy", "f.npy", "s.npz"])
def test_a_file_that_becomes_shorter_is_an_error_not_a_crash(tmp_path, name):
    x = np.zeros((1000, 5000))
    content = {"x.npy": lambda: npy(x), "f.npy": lambda: npy(np.asfortranarray(x)), "s.npz": lambda: npz(x=x)}[name]()
    (tmp_path / name).write_bytes(content)
    code = (
        "import sys, os; from smcli import read; b = iter(read.stream(sys.argv[1])); next(b).take()\n"
        "os.truncate(sys.argv[1], 9000)\n"
        "try: [block.take() for block in b]\n"
        "except read.InputError as e: print(e.message)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name)], capture_output=True, text=True, check=True
    )
    assert "became shorter while it was read: 9000 of" in done.stdout


def test_an_array_is_not_read_before_it_is_needed(write):
    path = write("x.npy", b"")
    big = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(1 << 16, 1 << 14))  # 4 GiB, with holes
    del big
    begin = time.monotonic()
    with read.stream(path) as stream:
        assert stream.rows == 1 << 16 and len(next(iter(stream))) == 64
    assert len(read.from_file(path)) == 1 << 16
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("name", KINDS)
def test_an_array_in_a_file_is_one_block_for_every_process(write, name):
    path = write(name, KINDS[name])
    block = read.block_from_file(path)
    if name.endswith("npy") or name == "s.npz":
        assert (len(block), block.classes, block.dtype) == (50, 7, "float64")
        np.testing.assert_array_equal(block.select(range(3, 9), range(6)).take()[0], X[3:9])
        assert not block.array.flags.owndata
    else:
        assert block is None
    assert read.block_from_file("-") is None


def test_a_mapped_block_has_its_targets_and_axis(write):
    path = write("x.npz", npz(logits=np.arange(6.0).reshape(2, 3), target=np.array([1, 0, 1])))
    block = read.block_from_file(path, read.How(axis=0))
    assert block.take()[0].tolist() == [[0, 3], [1, 4], [2, 5]] and block.target.tolist() == [1, 0, 1]
    assert read.block_from_file(path, read.How(key="target")).take()[0].tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("[1, 2]\n[3, 4],\n\n  [5, 6]", [[1, 2], [3, 4], [5, 6]]),
        ("[[1, 2], [3, 4]]\n[5, 6]", [[1, 2], [3, 4], [5, 6]]),
        ("[1 2; 3 4]\n[5, 6]", [[1, 2], [3, 4], [5, 6]]),
        ("[1, 2] [3, 4]\n[5, 6]", [[1, 2], [3, 4], [5, 6]]),
        ("[1]*2\n[5, 6]", [[1, 1], [5, 6]]),
    ],
)
def test_lists_in_lines(write, text, want):
    assert [row for block in read.stream(write("x.txt", text)) for row in block.take()[0].tolist()] == want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]\n[]", "no logits in the brackets, x.txt:2:1"),
        ("[1, 2]\n[3, x]", "logit 1 of row 1: 'x' is not a number, x.txt:2:5"),
        ("[1, 2]\n[3, ,4]", "an element is empty, x.txt:2:5"),
        ("[1, 2]\n[3,000 4]", "commas and spaces separate the numbers of '3,000 4', x.txt:2:"),
        ("[1, 2]\n[3, 4", "'[' is never closed, x.txt:2:1"),
    ],
)
def test_faulty_lists_in_lines(write, text, message):
    path = write("x.txt", text)
    with pytest.raises(InputError) as caught:
        list(read.stream(path))
    assert message in caught.value.message.replace(os.path.dirname(path) + os.sep, "")


def test_a_file_that_becomes_shorter_just_when_it_is_opened(tmp_path, monkeypatch):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((100, 100)))
    mapped = np.memmap

    def late(*args, **kwargs):
        path.write_bytes(path.read_bytes()[:5000])
        return mapped(*args, **kwargs)

    monkeypatch.setattr(np, "memmap", late)
    with pytest.raises(InputError, match=r"x\.npy became shorter while it was opened"):
        read.block_from_file(str(path))
