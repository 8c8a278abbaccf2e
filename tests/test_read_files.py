"""Files, pipes and standard input, also hostile ones."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import threading
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from samples import npy, npz, tensors

from smcli import read
from smcli.errors import InputError, SmcliError, UsageError


def values(found):
    return [row.values.tolist() for row in found]


def streamed(path, *words, **choices):
    return [row for block in read.stream(path, read.How(*words, **choices)) for row in block.take()[0].tolist()]


def checkpoint():
    """What torch.save writes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("logits/data.pkl", pickle.dumps(Bomb(), 2))
        archive.writestr("logits/byteorder", "little")
        archive.writestr("logits/data/0", bytes(64))
        archive.writestr("logits/version", "3\n")
    return stream.getvalue()


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def short_entry():
    """A zip entry with less data than its header promises."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": (1 << 20, 1 << 10)})
        out.write(bytes(1 << 16))
    return stream.getvalue()


def bomb():
    """A zip entry that claims to unpack to far more than there is."""
    data = bytearray(npz(np.savez_compressed, x=np.zeros(10)))
    at = data.rindex(b"PK\1\2")
    data[at + 24 : at + 28] = struct.pack("<I", (1 << 32) - 2)
    return bytes(data)


def corrupt():
    data = bytearray(npz(np.savez_compressed, x=np.arange(1000.0)))
    data[100:140] = b"x" * 40
    return bytes(data)


def described(**entry):
    """A .safetensors file with 8 bytes of data and one tensor, described badly."""
    text = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **entry}}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(8)


FOUR = npy(np.zeros(4))
PAIR = np.array([1.5, -2.0])
GOOD = {
    ("x.txt", "1 2\n3 4\n"): [[1, 2], [3, 4]],
    ("x.txt", "1\n2\n"): [[1, 2]],
    ("x.txt", b"\xef\xbb\xbf1 2"): [[1, 2]],
    ("x.txt", "1 2\n3".encode("utf-16")): [[1, 2], [3]],
    ("x.unknown", "1 2"): [[1, 2]],
    ("x", "1 2"): [[1, 2]],
    ("x", '{"logits": [1, 2]}'): [[1, 2]],
    ("x", npy(np.array([1.0, 2.0]))): [[1, 2]],
    ("x", npz(x=np.array([1.0, 2.0]))): [[1, 2]],
    ("x.json", "[1, 2]"): [[1, 2]],
    ("x.json", "[[1, 2], [3]]"): [[1, 2], [3]],
    ("x.json", "[[[1], [2]], [[3]]]"): [[1], [2], [3]],
    ("x.json", '{"logits": [1], "logits": [2, 3]}'): [[2, 3]],
    ("x.json", '{"logits": [1]}\n{"logits": [2, 3]}'): [[1], [2, 3]],
    ("x.json", '[1, Infinity, -Infinity, "inf", "-inf", "Infinity"]'): [[1, np.inf, -np.inf, np.inf, -np.inf, np.inf]],
    ("x.jsonl", '[1, 2]\n\n{"logits": [3]}\n[[4], [5, 6]]\n'): [[1, 2], [3], [4], [5, 6]],
    ("x.csv", "1,2\n3,4\n"): [[1, 2], [3, 4]],
    ("x.csv", 'a,"b\nc"\n"1", 2\n\n3,"4"'): [[1, 2], [3, 4]],
    ("x.csv", "logit\n1\n2\n"): [[1, 2]],
    ("x.csv", "1;2\n3;4\n"): [[1, 2], [3, 4]],
    ("x.tsv", "a\tb\n1\t2\n"): [[1, 2]],
    ("x.npy", npy(np.arange(6, dtype=np.float32).reshape(1, 2, 3))): [[0, 1, 2], [3, 4, 5]],
    ("x.npy", npy(np.asfortranarray([[1.0, 2], [3, 4]]))): [[1, 2], [3, 4]],
    ("x.npy", npy(np.array([1.5], dtype=">f2"))): [[1.5]],
    ("x.npy", npy(np.array([1, 2], dtype=np.uint8))): [[1, 2]],
    ("x.npy", npy(np.array(3.0))): [[3]],
    ("x.npz", npz(np.savez_compressed, x=np.asfortranarray([[1.0, 2], [3, 4]]))): [[1, 2], [3, 4]],
    ("x.npz", npz(logits=np.array([[1.0, 2]]), target=np.array([1]))): [[1, 2]],
    ("x", tensors(x=("F64", [2], PAIR.tobytes()))): [[1.5, -2]],
    ("x.safetensors", tensors(x=("F32", [1, 2], PAIR.astype("<f4").tobytes()))): [[1.5, -2]],
    ("x.safetensors", tensors(x=("F16", [2, 1], PAIR.astype("<f2").tobytes()))): [[1.5], [-2]],
    ("x.safetensors", tensors(x=("BF16", [2], PAIR.astype(ml_dtypes.bfloat16).tobytes()))): [[1.5, -2]],
    ("x.safetensors", tensors(x=("F8_E4M3", [2], PAIR.astype(ml_dtypes.float8_e4m3fn).tobytes()))): [[1.5, -2]],
    ("x.safetensors", tensors(x=("F8_E5M2", [2], PAIR.astype(ml_dtypes.float8_e5m2).tobytes()))): [[1.5, -2]],
    ("x.safetensors", tensors(x=("I8", [2], b"\1\xff"))): [[1, -1]],
    ("x.safetensors", tensors(x=("U16", [], b"\1\1"))): [[257]],
    ("x.csv", "# made by hand\n1,2\n# more\n3,4\n"): [[1, 2], [3, 4]],
    ("x", "a,b\n1,2\n3,4\n"): [[1, 2], [3, 4]],
    ("x.txt", "# logits\na;b\n1;2\n"): [[1, 2]],
    ("x", "logit\n1\n2\n"): [[1, 2]],
    ("x", "{1.0f, 2.0f}"): [[1, 2]],
    ("x", "{'logits': [1, 2]}"): [[1, 2]],
}
BAD = {
    ("x.txt", "1 abc"): "logit 1 of row 0: 'abc' is not a number, x.txt:1:3",
    ("x.txt", b"1 2\n3 \xff"): "x.txt is not UTF-8 text: byte 0xff at offset 6",
    ("x.txt", b"1 2\n3 \0"): "x.txt is not UTF-8 text: byte 0x00 at offset 6",
    ("x.txt", b"\xff\xfe1"): "x.txt is not UTF-16 text",
    ("x.txt", ""): "no logits in x.txt",
    ("x\x1b.txt", ""): r"no logits in x\x1b.txt",
    ("x.json", ""): "no logits in x.json",
    ("x.json", "[]"): "no logits: an empty list, x.json",
    ("x.json", "[1,"): "not JSON: expecting value, x.json:1:4",
    ("x.json", "[01]"): "not JSON: expecting ',' delimiter, x.json:1:3",
    ("x.json", "[1]\nx"): "x.json:2:1",
    ("x.json", "[" * 100_000): "nested too deeply, x.json",
    ("x.json", "[" * 80 + "]" * 80): "nested deeper than 64, x.json",
    ("x.json", "3"): "x.json holds '3', not a list",
    ("x.json", '"a"'): "x.json holds the text 'a', not a list",
    ("x.json", '{"a": 1, "b\\u001b": 2}'): r"x.json has no key 'logits'; its keys: 'a', 'b\x1b'",
    ("x.json", "{}"): "its keys: none",
    ("x.json", "[[1], [2, null]]"): "logit 1 of row 1: data is missing, the text says 'null', x.json",
    ("x.json", "[true]"): "true is not a number",
    ("x.json", '["1"]'): "the text '1' is not a number",
    ("x.json", "[{}]"): "an object is not a number",
    ("x.json", "[1, [2]]"): "side by side in one list, x.json",
    ("x.jsonl", "[1]\n\n[2,]\n"): "x.jsonl:3:",
    ("x.jsonl", "[1]\n\n[null]\n"): "logit 0 of row 1: data is missing, the text says 'null', x.jsonl:3",
    ("x.jsonl", '[1]\n{"a": 1}\n'): "x.jsonl:2 has no key 'logits'",
    ("x.csv", "1,,2\n"): "logit 1 of row 0: the cell is empty, x.csv:1, column 2",
    ("x.csv", "a,b\n\n1,x\n"): "logit 1 of row 0: 'x' is not a number, x.csv:3, column 2",
    ("x.csv", '1,"2\n'): "not CSV: unexpected end of data, x.csv:1",
    ("x.csv", "a,b\n"): "no logits in x.csv",
    ("x.csv", "1" * 200_000): "not CSV: field larger",
    ("x.npy", b""): "x.npy is empty",
    ("x.npy", b"hello"): "x.npy is not a .npy file that smcli knows: it begins with b'hello'",
    ("x.npy", b"\x93NUMPY\3\0"): "x.npy is not a .npy file that smcli knows",
    ("x.npy", b"\x93NUMPY\1\0\xff"): "x.npy has a broken .npy header",
    ("x.npy", b"\x93NUMPY\2\0\xff\xff\xff\x0f"): "x.npy has a broken .npy header",
    ("x.npy", b"\x93NUMPY\1\0\x10\0" + b"{'a':1}".ljust(15) + b"\n"): "x.npy has a broken .npy header",
    ("x.npy", FOUR.replace(b"(4,)", b"(9999999999,)")): "promises 79999999992 bytes",
    ("x.npy", FOUR.replace(b"(4,)", b"(-4,)")): "the shape is (-4,)",
    ("x.npy", FOUR.replace(b"(4,)", b"(3,)")): "x.npy has more bytes than its header says",
    ("x.npy", FOUR[:-1]): "x.npy is cut short: its header promises 32 bytes, 31 are there",
    ("x.npy", npy(np.zeros((0, 3)))): "no logits in x.npy: its shape is (0, 3)",
    ("x.npy", npy(np.array([{}], dtype=object), allow_pickle=True)): "x.npy holds pickled Python objects",
    ("x.npy", npy(np.ones(2, dtype=ml_dtypes.bfloat16))): "bytes without a number format (|V2)",
    ("x.npy", npy(np.array([True]))): "x.npy holds booleans",
    ("x.npz", npz(x=np.ones(2), y=np.ones(2))): "x.npz holds 2 arrays: 'x', 'y'",
    ("x.npz", npz()): "x.npz holds 0 arrays: none",
    ("x.npz", npz(x=np.array([1j]))): "x.npz, array 'x' holds complex numbers",
    ("x.npz", b"PK\3\4"): "x.npz is not a .npz file that can be read",
    ("x.npz", short_entry()): "promises 8589934592 bytes",
    ("x.npz", bomb()): "x.npz would unpack",
    ("x.npz", corrupt()): "x.npz is not a .npz file that can be read",
    ("x.npz", npz(logits=np.ones(2), other=np.ones(2))): "x.npz holds 2 arrays: 'logits', 'other'",
    (
        "x.npz",
        npz(logits=np.ones((2, 3)), target=np.ones(3, int)),
    ): "array 'target' holds 3 numbers for 2 rows of logits",
    ("x.npz", npz(logits=np.ones((1, 3)), target=np.array([0.5]))): "array 'target' holds numbers that are no classes",
    ("x.npz", npz(logits=np.ones((1, 3)), target=np.array([0]), labels=np.array([0]))): "several arrays of targets",
    ("x.safetensors", b""): "x.safetensors is not a .safetensors file that can be read: its header would have 0 bytes",
    ("x.safetensors", b"\xff" * 8): "it promises a header of 18446744073709551615 bytes, 0 are there",
    ("x.safetensors", b"\2" + bytes(7) + b"[]"): "no tensors are named",
    ("x.safetensors", b"\2" + bytes(7) + b"{]"): "is not a .safetensors file",
    ("x.safetensors", b"\2" + bytes(7) + b"{}"): "x.safetensors holds 0 arrays: none",
    ("x.safetensors", struct.pack("<Q", 200_000) + b"[" * 200_000): "is not a .safetensors file",
    (
        "x.safetensors",
        tensors(x=("F64", [2], PAIR.tobytes()))[:-1],
    ): "tensor 'x' is cut short: it ends at byte 16 of 15",
    ("x.safetensors", described(shape=[3])): "tensor 'x' of shape '(3,)' has 8 bytes",
    ("x.safetensors", described(shape=[1 << 60, 1 << 60])): "has 8 bytes",
    ("x.safetensors", described(shape=[-1, -2])): "tensor 'x' has the shape '(-1, -2)'",
    ("x.safetensors", described(shape=[True, 2])): "tensor 'x' has the shape",
    ("x.safetensors", described(shape=[1] * 100)): "tensor 'x' has the shape",
    ("x.safetensors", described(shape=[0])): "no logits in x.safetensors, tensor 'x': its shape is (0,)",
    ("x.safetensors", described(shape="2")): "tensor 'x' has the shape",
    ("x.safetensors", described(data_offsets=[8, 0])): "is not a .safetensors file",
    ("x.safetensors", described(data_offsets=[0])): "tensor 'x' is not described",
    ("x.safetensors", described(dtype="BOOL")): "x.safetensors, tensor 'x' holds 'BOOL', not real numbers",
    ("x.safetensors", described(dtype=["F32"])): "not real numbers",
    ("x.csv", "1,000,2\n"): "logit 1 of row 0: '000' begins with a 0, as a group of thousands does, x.csv:1, column 2",
    ("x.csv", "1,5;2,5\n"): "logit 0 of row 0: '1,5' is not a number",
    ("x.csv", 'a,b\n"1,000",2\n'): "logit 0 of row 0: '1,000' is not a number",
    ("x.csv", "1,null\n"): "data is missing, the text says 'null', x.csv:1, column 2",
    ("x.csv", "a,b,label\n1,2,0\n"): "x.csv has a column 'label', which is hardly a logit",
    ("x", "a,b,Y\n1,2,0\n"): "x has a column 'Y', which is hardly a logit",
    ("x.csv", "ID,a\n1,2\n"): "x.csv has a column 'ID', which is hardly a logit",
    ("x.csv", "a,b,name\n1,2,foo\n"): "logit 2 of row 0: 'foo' is not a number, x.csv:2, column 3",
    ("x.json", '{"logits": [[1], [2]], "target": [0]}'): "1 target for 2 rows of logits",
    ("x.json", '{"logits": [1], "labels": 0.5}'): "x.json: '0.5' under 'labels' is not an integer",
}


@pytest.mark.parametrize(("file", "want"), GOOD.items(), ids=lambda x: x[0] if isinstance(x, tuple) else "")
def test_files(write, file, want):
    assert values(read.from_file(write(*file))) == want


@pytest.mark.parametrize(("file", "message"), BAD.items(), ids=lambda x: x if isinstance(x, str) else x[0])
def test_bad_files_are_named(write, file, message):
    path = write(*file)
    with pytest.raises(InputError) as caught:
        read.from_file(path)
    folder = os.path.dirname(path) + os.sep
    assert message in caught.value.message.replace(folder, "") and caught.value.hint
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(("file", "message"), BAD.items(), ids=lambda x: x if isinstance(x, str) else x[0])
def test_bad_files_are_named_when_they_are_streamed(write, file, message):
    path = write(*file)
    with pytest.raises(InputError) as caught:
        streamed(path)
    assert (
        caught.value.hint
        and caught.value.message.isprintable()
        and file[0].encode("unicode_escape").decode() in caught.value.message
    )


def test_numbers_keep_their_tokens(write):
    tokens = ("1.1", "123456789012345678901234567890", "-1e999")
    for name, text in {"x.json": "[%s, %s, %s]", "x.csv": "%s,%s,%s", "x.txt": "%s %s %s"}.items():
        (row,) = read.from_file(write(name, text % tokens))
        assert (
            row.tokens is not None
            and [float(t) for t in row.tokens] == [1.1, float(tokens[1]), -np.inf]
            and row.values.tolist() == [1.1, 123456789012345678901234567890.0, -np.inf]
        )


def test_large_integers_of_an_array_keep_their_digits(write):
    (row,) = read.from_file(write("x.npy", npy(np.array([1, 2**53 + 1]))))
    assert row.tokens == ("1", "9007199254740993")


def test_key(write):
    path = write("x.json", '{"logits": [1], "other": [2, 3]}')
    assert values(read.from_file(path, read.How(key="other"))) == [[2, 3]]
    path = write("x.npz", npz(x=np.ones(1), y=np.zeros(2)))
    assert values(read.from_file(path, read.How(key="y"))) == [[0, 0]]
    with pytest.raises(InputError, match=r"x\.npz has no array 'z'; its arrays: 'x', 'y'"):
        read.from_file(path, read.How(key="z"))
    with pytest.raises(InputError, match="has no keys, it is a list"):
        read.from_file(write("y.json", "[1]"), read.How(key="z"))
    with pytest.raises(UsageError, match="has no keys"):
        read.from_file(write("x.txt", "1"), read.How(key="z"))


@pytest.mark.parametrize(
    ("file", "target"),
    [
        (("x.npz", npz(logits=np.ones((2, 3)), target=np.array([[2], [0]], np.uint8))), (2, 0)),
        (("x.npz", npz(targets=np.array([1.0, -100.0]), logits=np.ones((2, 3)))), (1, -100)),
        (("x.npz", npz(target=np.array(1), logits=np.ones(3))), (1,)),
        (
            (
                "x.safetensors",
                tensors(labels=("I64", [1], struct.pack("<q", 1)), logits=("F64", [1, 2], PAIR.tobytes())),
            ),
            (1,),
        ),
        (("x.json", '{"logits": [[1, 2], [3, 4]], "target": [0, 1], "other": 5}'), (0, 1)),
        (("x.json", '{"logits": [1, 2], "label": 1}{"logits": [3, 4], "label": 0}'), (1, 0)),
        (("x.jsonl", '{"logits": [1, 2], "targets": [1]}\n{"logits": [3, 4], "targets": 0}\n'), (1, 0)),
    ],
    ids=lambda x: x[0] if isinstance(x[0], str) else "",
)
def test_targets_beside_the_logits(write, file, target):
    path = write(*file)
    assert read.from_file(path).target == target
    assert read.from_file(path, read.How(key="logits")).target is None


def test_soft_labels_beside_the_logits(write):
    path = write("x.npz", npz(logits=np.ones((2, 2)), labels=np.array([[0.25, 0.75], [1, 0]])))
    assert values(read.from_file(path).labels) == [[0.25, 0.75], [1, 0]] and read.from_file(path).target is None
    path = write("x.json", '{"logits": [[1, 2], [3, 4]], "labels": [[0.25, 0.75], [1, 0]]}')
    assert values(read.from_file(path).labels) == [[0.25, 0.75], [1, 0]] and read.from_file(path).target is None
    path = write(
        "x.jsonl",
        '{"logits": [1, 2], "labels": [0.25, 0.75]}\n{"logits": [3]}\n',
    )
    with pytest.raises(InputError, match="1 row of labels for 2 rows of logits"):
        read.from_file(path)
    with pytest.raises(InputError, match="has a label for each logit"):
        streamed(path)
    half = np.array([[0.5, 0.5]]).astype(ml_dtypes.bfloat16).tobytes()
    path = write("x.safetensors", tensors(logits=("BF16", [1, 2], half), labels=("BF16", [1, 2], half)))
    assert values(read.from_file(path).labels) == [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("file", "dtype"),
    [
        (("x.npy", npy(np.ones(2, np.float16))), "float16"),
        (("x.npz", npz(x=np.ones(2, np.float32))), "float32"),
        (("x.npy", npy(np.ones(2, np.int8))), None),
        (("x.safetensors", tensors(x=("BF16", [1], bytes(2)))), "bfloat16"),
        (("x.safetensors", tensors(x=("F8_E4M3", [1], bytes(1)))), "float8_e4m3fn"),
        (("x.json", "[1]"), None),
        (("x.csv", "1"), None),
    ],
    ids=lambda x: x[0] if isinstance(x, tuple) else str(x),
)
def test_the_dtype_of_a_file_comes_along(write, file, dtype):
    batch = read.from_file(write(*file))
    assert (batch.dtype, batch.origin) == (dtype, "the file's dtype" if dtype else "")


TABLE = "id,a,B,label\n7,1,2,0\n8,3,4,1\n"


@pytest.mark.parametrize("name", ["x.csv", "x.txt", "x"])
def test_columns_by_name(write, name):
    path = write(name, TABLE)
    batch = read.from_file(path, read.How(columns=("b", "a")))
    assert values(batch) == [[2, 1], [4, 3]] and batch.target is None
    assert batch.notes == (f"left out of {path}: 'id', 'label'",)
    batch = read.from_file(path, read.How(columns=("a", "B"), target_column="label"))
    assert values(batch) == [[1, 2], [3, 4]] and batch.target == (0, 1)
    assert values(read.from_file(path, read.How(columns=("label",)))) == [[0, 1]]
    assert streamed(path, columns=["a", "B"]) == [[1, 2], [3, 4]]
    for choice, message in {
        ("a", "c"): "has no column 'c'; its columns: 'id', 'a', 'B', 'label'",
        ("a", "A"): None,
    }.items():
        if message:
            with pytest.raises(InputError, match=message):
                read.from_file(path, read.How(columns=choice))
    with pytest.raises(InputError, match="has a column 'id', which is hardly a logit") as caught:
        read.from_file(path, read.How(target_column="label"))
    assert "--columns" in caught.value.hint and "--target-column" in caught.value.hint
    with pytest.raises(UsageError, match="'label' is asked for as a logit and as the target"):
        read.from_file(path, read.How(columns=("label",), target_column="label"))


def test_columns_without_names(write):
    with pytest.raises(UsageError, match=r"x\.csv has no header, so no column 'a'"):
        read.from_file(write("x.csv", "1,2\n"), read.How(columns=("a",)))
    with pytest.raises(UsageError, match="has no columns with names"):
        read.from_file(write("x.json", "[1]"), read.How(columns=("a",)))
    with pytest.raises(InputError, match=r"the target '0\.5' is not an integer"):
        read.from_file(write("x.csv", "a,b\n1,0.5\n"), read.How(target_column="b"))
    with pytest.raises(InputError, match="1 cells, fewer than in the header"):
        read.from_file(write("x.csv", "a,b\n1\n"), read.How(columns=("b",)))


def test_a_table_of_targets_may_have_a_column_of_that_name(tmp_path):
    (tmp_path / "t.csv").write_text("label,id\n0,1\n2,1\n")
    assert read.indices(str(tmp_path / "t.csv"), "--target") == [0, 1, 2, 1]


def test_many_keys_are_not_all_listed(write):
    with pytest.raises(InputError, match=r"'k19' and 80 more$"):
        read.from_file(write("x.json", "{" + ", ".join(f'"k{i}": 1' for i in range(100)) + "}"))


def test_kind(write):
    assert list(read.kinds()) == ["csv", "json", "jsonl", "npy", "npz", "safetensors", "text"]
    assert values(read.from_file(write("x.txt", "a,b\n1,2\n"), read.How(kind="csv"))) == [[1, 2]]
    with pytest.raises(UsageError, match="unknown input format 'foo'"):
        read.from_file(write("x.txt", "1"), read.How(kind="foo"))


@pytest.mark.parametrize("path", ["no\x1b.txt", ".", "a\0b", "x" * 5000])
def test_what_cannot_be_opened(path):
    with pytest.raises(InputError, match="cannot be read: ") as caught:
        read.from_file(path)
    assert caught.value.message.isprintable()


def test_stream_takes_each_line_as_a_row(write):
    assert streamed(write("x.txt", "1\n2 3\n\n[4, 5]\n")) == [[1], [2, 3], [4, 5]]
    assert streamed(write("x.txt", "1\n2 3".encode("utf-16"))) == [[1], [2, 3]]
    assert streamed(write("x.csv", "a\n1\n2\n")) == [[1], [2]]
    with pytest.raises(InputError, match=r"logit 1 of row 2: 'b' is not a number, .*x.txt:4:4$"):
        list(read.stream(write("x.txt", "1\n2 3\n\n4, b\n")))


def test_stream_reads_only_what_is_taken(write):
    blocks = iter(read.stream(write("x.txt", b"1 2\n" * 600_000 + b"\xff")))
    assert next(blocks).take(0, 1)[0].tolist() == [[1, 2]]
    with pytest.raises(InputError, match="byte 0xff at offset 2400000"):
        list(blocks)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize(
    "content",
    [b"1 2", b'{"logits": [1, 2]}', npy(np.array([1.0, 2.0])), npz(x=np.array([1.0, 2.0]))],
    ids=["text", "json", "npy", "npz"],
)
def test_pipe(tmp_path, content):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    assert values(read.from_file(str(path))) == [[1, 2]]
    writer.join()


@pytest.mark.parametrize(
    "content", [b"1 2", b'{"logits": [1, 2]}', npy(np.array([1.0, 2.0]))], ids=["text", "json", "npy"]
)
def test_standard_input(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert values(read.from_file("-")) == [[1, 2]]


def test_standard_input_of_a_file_is_mapped(write):
    code = "from smcli import read; print([row.values.tolist() for row in read.from_file('-')])"
    with open(write("x", npy(np.array([1.0, 2.0]))), "rb") as stream:
        done = subprocess.run([sys.executable, "-c", code], stdin=stream, capture_output=True, text=True, check=True)
    assert done.stdout == "[[1.0, 2.0]]\n"


@pytest.mark.parametrize("closed", [None, io.TextIOWrapper(io.BytesIO())])
def test_closed_standard_input(monkeypatch, closed):
    if closed:
        closed.close()
    monkeypatch.setattr(sys, "stdin", closed)
    with pytest.raises(InputError, match="standard input is closed"):
        read.from_file("-")


def test_bad_standard_input_is_named(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1 abc")))
    with pytest.raises(InputError, match="'abc' is not a number, standard input:1:3"):
        read.from_file("-")


def test_words_need_only_the_text_reader():
    code = "import sys; from smcli import read; read.from_arguments(['1']); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("smcli.read.")}
    helpers = {"arrays", "gather", "kinds", "lines", "parse", "run"}
    assert loaded == {f"smcli.read._{name}" for name in helpers}


def test_kinds_need_no_numpy():
    code = "import sys; from smcli import read; read.kinds(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


JSON_PIECES = st.sampled_from(["[", "]", ",", "1", "1e5", "{", "}", '"logits"', ":", "null", "NaN", '"inf"', " ", "\n"])
HEADERS = st.sampled_from([b"", FOUR[:128], FOUR[:60], npz(x=np.ones(2))[:50], b"PK\1\2", b"\xff\xfe"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(read.kinds()),
    st.one_of(
        st.builds(bytes.__add__, HEADERS, st.binary()),
        st.lists(JSON_PIECES).map(lambda pieces: "".join(pieces).encode()),
        st.text("01.,;-\"'\n\tab").map(str.encode),
    ),
)
@example("npy", b"\x93NUMPY\1\0\x0a\0" + b"(" * 9 + b"\n")
def test_any_bytes_are_rows_or_a_clear_error(write, kind, content):
    path = write("x", content)
    for reader in (lambda: values(read.from_file(path, read.How(kind))), lambda: streamed(path, kind)):
        try:
            found = reader()
        except SmcliError as error:
            message = error.message
        else:
            message = "rows" if found and all(found) else "\0"
        assert message.isprintable()


@pytest.mark.parametrize("name", ["logits.pt", "logits.npz", "logits.bin"])
def test_a_checkpoint_of_pytorch_is_named_and_never_loaded(write, name):
    path = write(name, checkpoint())
    for reading in (read.from_file, read.stream, read.block_from_file):
        with pytest.raises(InputError, match=f"{name} is a checkpoint of PyTorch, .* never loaded") as error:
            reading(path)
        assert "np.save" in error.value.hint and ".safetensors" in error.value.hint
    with pytest.raises(InputError, match="checkpoint of PyTorch"):
        read.from_file(path, read.How(key="logits/data/0"))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["logits.pkl", "logits.pth", "logits.csv", "logits.json", "logits.jsonl"])
def test_a_pickle_is_named_and_never_loaded(write, name, protocol):
    path = write(name, pickle.dumps([Bomb(), "\n"], protocol))
    for reading in (read.from_file, read.stream):
        with pytest.raises(InputError, match=f"{name} is a pickle, which is never loaded") as error:
            reading(path)
        assert "np.save" in error.value.hint


def test_an_option_names_an_array_of_a_file_with_several(write):
    arrays = {"student": np.array([[1.0, 2.0]]), "teacher": np.array([[3.0, 0.5]])}
    for path in (write("two.npz", npz(**arrays)), write("t.json", '{"student": [[1, 2]], "teacher": [[3, 0.5]]}')):
        assert values(read.numbers_or_file(f"{path}:teacher", "--against")) == [[3.0, 0.5]]
        for text in (path, f"{path}:other"):
            with pytest.raises(InputError, match="'student', 'teacher'") as error:
                read.numbers_or_file(text, "--against")
            assert error.value.hint == f"choose one as {path}:NAME"
    with pytest.raises(UsageError, match="no keys") as error:
        read.numbers_or_file(write("one.npy", npy(np.ones((1, 2)))) + ":teacher", "--against")
    assert error.value.hint == "leave out :teacher"
    odd = write("a:b", "3 0.5\n")
    assert values(read.numbers_or_file(odd, "--against")) == [[3.0, 0.5]]  # a file of that very name comes first
    with pytest.raises(InputError, match="is not a number") as error:
        read.numbers_or_file("nowhere.npz:teacher", "--against")
    assert "there is no file of this name" in error.value.hint
