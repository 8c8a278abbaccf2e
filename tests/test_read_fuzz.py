"""Hostile and garbled input: a clear error or rows, soon; and what each library prints is read as it was."""

import io
import json
import math
import re
import time
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import from_text, npy, npz, tensors

from smcli import read
from smcli.errors import InputError, UsageError

SOON = 2.0  # seconds, on a busy machine
LENIENT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)


TWO = np.array([[1.5, -2.0, 3.0], [4.0, 5.0, 6.25]])
PASTED = [
    "array([[1.5, -2.], [3., inf]], dtype=float32)",
    "tensor([[1.5, -2.0000e+00],\n        [3., nan]], device='cuda:0', grad_fn=<AddmmBackward0>)",
    "<tf.Tensor: shape=(1, 2), dtype=float32, numpy=array([[1., 2.]], dtype=float32)>",
    "(tensor([[1.5, 2.5]]), tensor([1]))",
    "{'loss': tensor(0.5), 'logits': tensor([[1., 2.]]), 'labels': [1], 'meta': {'a': None}}",
    "SequenceClassifierOutput(loss=None, logits=tensor([[0.1, 0.2]], grad_fn=<A>), hidden_states=None)",
    "step 12 [INFO] (3/4) logits: [1, 2, 3] # x",
    ">>> x = np.array([1.,\n...   2.]).astype('f4')\n",
    "static const float z[2][2] = {{1.0f, 2.0f},\n {3.0f, -4.0f}}; // c\n",
    "[-1000]*10 + [0]*2 + [float('-inf'), np.nan]",
    "Float32[1.0, 2.0; 3.0 4.0]",
    "x <- c(1, 2, -Inf)\n[1 2 3; 4 5 6]",
    "In [3]: logits\nOut[3]: [tensor(1.), tensor(2.)]",
    "a,b,label\n1,2,0\n3,4,1\n",
    "1,000 2,000\n1,5;2,5",
    json.dumps({"logits": TWO.tolist(), "target": [0, 1]}),
]
FILES = {
    "npy": npy(TWO),
    "npz": npz(logits=TWO, target=np.array([0, 1])),
    "npz ": npz(np.savez_compressed, logits=TWO),
    "safetensors": tensors(logits=("F64", [2, 3], TWO.tobytes()), target=("I64", [2], bytes(16))),
    "csv": b"a,b,label\n1,2,0\n3,4,1\n",
    "json": PASTED[-1].encode(),
    "jsonl": b'[1, 2]\n{"logits": [3], "target": 0}\n',
}


def outcome(reader):
    """What a reader makes of anything: whole rows or a clear error, in little time."""
    begin = time.monotonic()
    try:
        batch = reader()
        assert len(batch) and all(row.values.size for row in batch)
        message = "rows"
    except (InputError, UsageError) as error:
        said, message = (error.message, error.hint), error.message + error.hint
    else:
        said = ("rows",)
    assert all(said)
    assert time.monotonic() - begin < SOON
    return message


@st.composite
def mutated(draw, whole):
    """Something with some of it cut, doubled, changed or put elsewhere."""
    for _ in range(draw(st.integers(1, 4))):
        a, b = sorted((draw(st.integers(0, len(whole))), draw(st.integers(0, len(whole)))))
        how = draw(st.sampled_from(["cut", "double", "change", "swap"]))
        if how == "cut":
            whole = whole[:a] + whole[b:]
        elif how == "double":
            whole = whole[:b] + whole[a:]
        elif how == "swap":
            whole = whole[a:] + whole[:a]
        else:
            piece = (
                st.binary(max_size=8)
                if isinstance(whole, bytes)
                else st.text("[](){}0.,;:='\"<># \nenfxN*+-\\", max_size=4)
            )
            whole = whole[:a] + draw(piece) + whole[a + draw(st.integers(0, 8)) :]
    return whole


@LENIENT
@given(st.one_of(st.sampled_from(PASTED).flatmap(mutated), st.lists(st.sampled_from(PASTED)).map("\n".join)))
def test_garbled_pastes(text):
    assert outcome(lambda: from_text(text, "x")).isprintable()
    for axis in (0, 1, -2):
        assert outcome(lambda axis=axis: from_text(text, "x", axis=axis)).isprintable()


BITS = [
    "1",
    "2.5",
    "-3e2",
    ".5",
    "1,",
    "2,",
    ",",
    ";",
    " ",
    " ",
    "\n",
    "[",
    "]",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "x",
    "a =",
    "logits:",
]
BITS += ["tensor(", "c(", ", ", "]*", "+", "-", "'", "#", "<", ">", "f", "...", "None", "np.", ":", "array("]


@LENIENT
@given(st.lists(st.sampled_from(BITS), max_size=12).map("".join))
def test_no_number_is_lost_without_a_word(text):
    try:
        batch = from_text(text, "x")
    except InputError:
        return
    typed = [float(word) for word in re.findall(r"-?(?:\d+\.?\d*|\.\d+)(?:e\d+)?", text)]
    found = [*(v for row in batch for v in row.values.tolist()), *(batch.target or ())]
    assert sorted(found) == sorted(typed) or batch.notes or "*" in text, (text, typed, found)


@LENIENT
@given(st.sampled_from(sorted(FILES)).flatmap(lambda kind: st.tuples(st.just(kind.strip()), mutated(FILES[kind]))))
def test_garbled_files(tmp_path, file):
    kind, content = file
    path = tmp_path / "x"
    path.write_bytes(content)
    for named in (kind, None):
        assert outcome(lambda named=named: read.from_file(str(path), read.How(named))).isprintable()
        assert outcome(
            lambda named=named: (
                [b.take() and b for b in read.stream(str(path), read.How(named))] and read.from_object([1])
            )
        ).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000, "[" * 60 + "1" + "]" * 60, "[1," * 20_000, "'" * 20_001, "<" * 20_000, "a=" * 20_000,
        "tensor(" * 5_000, "1,\t" * 30_000, "- " * 30_000, "[1]*" * 5_000, "[1]+" * 20_000, "x: " * 20_000, "# " * 50_000,
        "float('" * 10_000, "np.inf" * 10_000, "1 " * 100_000 + "x", "." * 100_000, "1e" * 50_000, "[0]*9" * 5_000,
        "{'a':" * 50, "a,b\n" * 20_000, "[1, 2] x\n" * 5_000, "(tensor([1]), " * 60, "0" * 100_000, "1, 2 " * 20_000,
    ],
    ids=lambda text: text[:8] + str(len(text)),
)  # fmt: skip
def test_long_nonsense_takes_no_long_time(text):
    assert outcome(lambda: from_text(text, "x")).isprintable()


FLOATS = st.floats(width=32)
ARRAYS = st.tuples(st.integers(1, 4), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(st.lists(FLOATS, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0])
)


def torch_like(rows, dtype):
    word = {float: lambda v: "nan" if math.isnan(v) else f"{v:.9e}" if math.isfinite(v) else str(v)}[float]
    body = ",\n        ".join("[" + ", ".join(map(word, row)) + "]" for row in rows)
    return f"tensor([{body}], device='cuda:0', dtype={dtype}, grad_fn=<AddmmBackward0>)"


def c_row(row):
    return ",\n ".join(f"{v!r}f" if math.isfinite(v) else str(v) for v in row)


def numpy_repr(rows, dtype):
    with np.printoptions(floatmode="unique", threshold=10**6), np.errstate(all="ignore"):
        return repr(np.array(rows).astype(dtype))


PRINTED = {
    "list": repr,
    "tuple": lambda rows: repr(tuple(map(tuple, rows))),
    "json": json.dumps,
    "numpy": lambda rows: numpy_repr(rows, np.float32),
    "torch": lambda rows: torch_like(rows, "torch.float32"),
    "named": lambda rows: f"logits = np.array({rows!r}, dtype=np.float32)".replace("inf", "np.inf").replace("nan", "np.nan"),
    "call": lambda rows: f"Output(loss=None, logits={torch_like(rows, 'torch.float32')}, attentions=None)",
    "dict": lambda rows: repr({"loss": 0.5, "logits": rows}),
    "log": lambda rows: f"12:30:01,123 [INFO] step 3 logits: {rows!r}",
    "C": lambda rows: f"float z[] = {{{','.join(f'{{{c_row(row)}}}' for row in rows)}}};",
    "julia": lambda rows: "Float32[" + "; ".join(" ".join(map(repr, row)) for row in rows) + "]",
}  # fmt: skip


@LENIENT
@pytest.mark.parametrize("form", PRINTED)
@given(ARRAYS)
def test_what_is_printed_is_read(form, rows):
    if form == "julia" and len(rows) > 1 and len(rows[0]) == 1:
        rows = [[row[0] for row in rows]]  # a column is one row
    text = PRINTED[form](rows)
    batch = from_text(text, "x")
    assert len(batch) == len(rows), text
    for got, want in zip(batch, rows, strict=True):
        np.testing.assert_array_equal(got.values.astype(np.float32), np.array(want, dtype=np.float32))


@LENIENT
@given(ARRAYS)
def test_what_is_written_is_read(tmp_path, rows):
    x = np.array(rows, dtype=np.float32)
    want = x.astype(np.float64)
    contents = {
        "npy": npy(x), "npz": npz(logits=x), "safetensors": tensors(x=("F32", list(x.shape), x.tobytes())),
        "csv": "".join(",".join(map(repr, row)) + "\n" for row in want.tolist()).encode(),
        "jsonl": "".join(json.dumps(row) + "\n" for row in want.tolist()).encode(),
        "json": json.dumps(want.tolist()).encode(),
        "text": "".join(" ".join(map(repr, row)) + "\n" for row in want.tolist()).encode(),
    }  # fmt: skip
    for kind, content in contents.items():
        (tmp_path / "x").write_bytes(content)
        found = np.concatenate([block.take()[0] for block in read.stream(str(tmp_path / "x"), read.How(kind))])
        np.testing.assert_array_equal(found, want, kind)


@pytest.mark.parametrize("depth", [50, 300, 900, 990, 5000])
def test_deep_json(tmp_path, depth):
    deep = "[" * depth + "0" + "]" * depth
    for text in (deep, f'{{"logits": {deep}}}', f'{{"logits": [1], "target": {deep}}}'):
        (tmp_path / "x.json").write_text(text)
        assert outcome(lambda: read.from_file(str(tmp_path / "x.json"))).isprintable()


def packed(way):
    """An .npz whose array is packed in a way that NumPy does not use."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", way) as archive:
        archive.writestr("logits.npy", npy(TWO))
    return stream.getvalue()


def nameless():
    """An .npz with an entry of no name, over which zipfile itself stumbles."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x", npy(TWO))
    return stream.getvalue().replace(b"x" + npy(TWO), b"\0" + npy(TWO)).replace(b"xPK", b"\0PK")


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        ("npz", packed(zipfile.ZIP_LZMA), "packed in a way that is not read: 14"),
        ("npz", packed(zipfile.ZIP_LZMA)[:80] + b"?" * 40 + packed(zipfile.ZIP_LZMA)[120:], "packed in a way"),
        ("npz", packed(zipfile.ZIP_BZIP2), "packed in a way that is not read: 12"),
        ("npz", nameless(), "rows"),
        ("csv", b'a\tb\n1\t2\n\n"3","4', "not CSV: '\\t' expected after"),
    ],
    ids=["lzma", "broken lzma", "bzip2", "nameless", "tab"],
)
def test_what_the_fuzzer_found(tmp_path, kind, content, says):
    (tmp_path / "x").write_bytes(content)
    for reader in (read.from_file, lambda *a: [b.take() for b in read.stream(*a)] and read.from_object([1])):
        message = outcome(lambda reader=reader: reader(str(tmp_path / "x"), read.How(kind)))
        assert says in message and message.isprintable()
