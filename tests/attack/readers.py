"""Coverage-guided attack on the readers: of any bytes come rows or a clear error, soon and in bounded memory.

Run by hand, in an environment of its own (atheris has no place in the tests' one):

    pip install atheris safetensors . && python tests/attack/readers.py KIND CORPUS -max_total_time=600

KIND is a kind of input, or "option" for the texts of options. What it finds is written as a file `crash-…`, which
`python tests/attack/readers.py KIND crash-…` runs again; it becomes a case of tests/test_read_fuzz.py.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import atheris
import numpy as np

with atheris.instrument_imports(include=["smcli"]):
    from smcli import read
    from smcli.errors import SmcliError
    from smcli.read import csv, jsonl, npy, npz, safetensors, text  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = {
    "text": [
        b"1 2 3\n4 5 6\n", b"array([[1.5, -2.], [3., inf]], dtype=float32)", b"# x\n1,2;3,4", b"logits: [1, 2, 3] # x",
        b"tensor([[1.5, -2.0000e+00],\n [3., nan]], device='cuda:0', grad_fn=<A>)", b"[-1000]*10 + [0]*2 + [float('-inf')]",
        b"static const float z[2][2] = {{1.0f, 2.0f},\n {3.0f, -4.0f}}; // c\n", b"Float32[1.0, 2.0; 3.0 4.0]",
        b"0x1.8p3 -0x.8P-3 1e400 1_000 .5 +5.", b">>> x = np.array([1.,\n...   2.]).astype('f4')\n", b"x <- c(1, 2, -Inf)",
    ],
    "csv": [b"a,b,label\n1,2,0\n3,4,1\n", b"1;2;3\n4;5;6\n", b'"1","2"\n# c\n"3","4"\n', b"a\tb\n1\t2\n", b"1,5;2,5\n"],
    "json": [
        b'{"logits": [[1, 2.5], [3, null]], "target": [0, 1]}', b"[1, 2, NaN, -Infinity]", b"[[1],[2,3]]", b'{"a": [1], "b": [2]}',
        b'{"logits": [1e400, "inf"], "labels": [0, 1]}',
    ],
    "jsonl": [b'[1, 2]\n{"logits": [3], "target": 0}\n', b"[1]\n\n[2, 3]\n"],
    "option": [b"1,2,3", b"[1, 2]; [3, 4]", b"-inf 0x1p-3", b"1 2\n3 4"],
}  # fmt: skip


def _arrays() -> dict[str, list[bytes]]:
    two = np.array([[1.5, -2.0, 3.0], [4.0, 5.0, 6.25]])
    seeds: dict[str, list[bytes]] = {"npy": [], "npz": [], "safetensors": []}
    for dtype in ("f8", "f4", "f2", ">f8", "i4", "u1", "?"):
        for array in (two.astype(dtype), np.asfortranarray(two.astype(dtype)), two.astype(dtype)[0]):
            stream = io.BytesIO()
            np.save(stream, array)
            seeds["npy"].append(stream.getvalue())
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, logits=two, target=np.array([0, 1]))
        seeds["npz"].append(stream.getvalue())
    for dtype, size in (("F64", 8), ("BF16", 2), ("F8_E4M3", 1), ("F16", 2), ("F32", 4)):
        entry = {"dtype": dtype, "shape": [2, 3], "data_offsets": [0, 6 * size]}
        head = json.dumps({"logits": entry, "__metadata__": {"a": "b"}}).encode()
        seeds["safetensors"].append(struct.pack("<Q", len(head)) + head + bytes(range(6 * size)))
    return seeds


def attack(kind: str) -> None:
    """Run the fuzzer on one kind; its own options come from the command line."""
    suffix = {"text": ".txt"}.get(kind, f".{kind}")
    place = os.path.join(tempfile.mkdtemp(), f"x{suffix}")
    atheris.Setup(sys.argv, _option if kind == "option" else lambda data: _file(place, kind, data))
    atheris.Fuzz()


def _option(data: bytes) -> None:
    words = data.decode("utf-8", "surrogateescape")
    for reader in (read.numbers, read.indices):
        with _clearly():
            reader(words, "--x")


def _file(place: str, kind: str, data: bytes) -> None:
    """Read a file whole and in blocks; its first byte chooses the options."""
    with open(place, "wb") as file:
        file.write(data[1:])
    way = data[0] if data else 0
    choices: dict[str, object] = {"axis": (None, None, 0, 1, -2)[way % 5]}
    if kind == "csv" and way & 8:
        choices |= {"columns": ("a", "b"), "target_column": "label"} if way & 16 else {"columns": ("b",)}
    key = "logits" if kind in {"npz", "safetensors", "json"} and way & 32 else None
    with _clearly():
        batch = read.from_file(place, read.How(kind, key, **choices))
        if not len(batch):
            raise AssertionError("no rows and no error")
        for row in batch:
            if not row.values.size or (row.tokens is not None and len(row.tokens) != row.values.size):
                raise AssertionError("a row without numbers")
    with _clearly():
        for _ in read.stream(place, read.How(kind, key, **choices)):
            pass


@contextmanager
def _clearly() -> Iterator[None]:
    """Nothing but a clear error comes out."""
    try:
        yield
    except SmcliError as error:
        if not error.message or not f"{error.message}{error.hint}".isprintable():
            raise AssertionError(f"not a clear error: {error.message!r} {error.hint!r}") from error


def main() -> None:
    """KIND, then what libFuzzer takes: a corpus and -options."""
    kind = sys.argv.pop(1)
    folder = next((Path(word) for word in sys.argv[1:] if not word.startswith("-")), None)
    if folder is not None and not folder.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for k, seed in enumerate((SEEDS | _arrays())[kind]):
            (folder / f"seed-{k}").write_bytes((b"" if kind == "option" else bytes([k % 5])) + seed)
    attack(kind)


if __name__ == "__main__":
    main()
