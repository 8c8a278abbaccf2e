"""safetensors: a JSON header and the bytes of the tensors behind it, mapped; nothing else is needed to read it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.errors import InputError
from smcli.numbers.words import show
from smcli.read import _carried
from smcli.read._arrays import CODINGS, check
from smcli.read._stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.batch import Batch, RawBlock
    from smcli.read._source import Source

SUFFIXES = (".safetensors",)
MAGIC = rb"(?s).{4}\0{4}\{"  # the length of the header, which is one JSON object
KEYED = True

_MAX_HEADER = 100_000_000  # bytes, as in the reference implementation
_MAX_AXES = 64
_SIZE = 8  # bytes of the length of the header
_HINT = "save it again with safetensors"
_DTYPES: dict[str, tuple[str, str | None]] = {
    "F64": ("<f8", None),
    "F32": ("<f4", None),
    "F16": ("<f2", None),
    "BF16": ("<u2", "bfloat16"),
    "F8_E4M3": ("<u1", "float8_e4m3fn"),
    "F8_E5M2": ("<u1", "float8_e5m2"),
    **{f"{kind.upper()}{8 * size}": (f"<{kind}{size}", None) for kind in "iu" for size in (1, 2, 4, 8)},
}


def read(source: Source) -> Batch:
    """The rows of the tensor that the key names, or the only one, or `logits` beside its targets."""
    tensors = _Tensors(source)
    key = _carried.logits_key(tensors.entries, source)
    return _carried.with_targets(tensors.open(key).batch(source), tensors.beside(key), source)


def stream(source: Source) -> Iterator[RawBlock]:
    """The rows of that tensor, in blocks."""
    tensors = _Tensors(source)
    key = _carried.logits_key(tensors.entries, source)
    yield from _carried.blocks_with_targets(tensors.open(key), tensors.beside(key), source)


def mapped(source: Source) -> RawBlock | None:
    """The rows of that tensor as one block, where they can be mapped."""
    tensors = _Tensors(source)
    key = _carried.logits_key(tensors.entries, source)
    return _carried.mapped(tensors.open(key), tensors.beside(key), source)


class _Tensors:
    """The tensors that a file names.

    Raises:
        InputError: its header is broken, or promises what is not there.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        size = source.size()
        length = int.from_bytes(source.stream.read(_SIZE), "little")
        if size is not None and length > max(0, size - _SIZE):
            raise self._broken(f"it promises a header of {length} bytes, {max(0, size - _SIZE)} are there")
        if not 0 < length <= _MAX_HEADER:
            raise self._broken(f"its header would have {length} bytes")
        text = source.stream.read(length)
        try:
            found = json.loads(text.decode())
        except (ValueError, RecursionError) as error:
            raise self._broken(show(str(error), 100)) from None
        if len(text) < length or not isinstance(found, dict):
            raise self._broken("no tensors are named")
        self.entries: dict[str, Any] = {key: entry for key, entry in found.items() if key != "__metadata__"}
        self._begin = _SIZE + length
        self._data = None if size is not None else source.stream.read()
        self._size = size - self._begin if size is not None else len(self._data or b"")

    def open(self, key: str) -> Stored:
        """One of the tensors."""
        import io

        name = f"{self._source.name}, tensor {show(key)}"
        entry = self.entries[key]
        try:
            dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            numbers = [*shape, begin, end]
        except (TypeError, KeyError, ValueError):
            raise self._broken(f"tensor {show(key)} is not described") from None
        if any(type(n) is not int or n < 0 for n in numbers) or begin > end or len(shape) > _MAX_AXES:
            raise self._broken(f"tensor {show(key)} has the shape {show(str(shape), 100)}")
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise InputError(f"{name} holds {show(str(dtype))}, not real numbers", f"read are: {', '.join(_DTYPES)}")
        stored, coding = _DTYPES[dtype]
        check(np.dtype(stored), shape, name)
        if math.prod(shape) * np.dtype(stored).itemsize != end - begin:
            raise self._broken(f"tensor {show(key)} of shape {show(str(shape), 100)} has {end - begin} bytes")
        if end > self._size:
            raise InputError(f"{name} is cut short: it ends at byte {end} of {self._size}", _HINT)
        if self._data is None:
            return Stored(name, np.dtype(stored), shape, self._source.stream, self._begin + begin, coding=coding)
        return Stored(name, np.dtype(stored), shape, io.BytesIO(self._data[begin:end]), None, coding=coding)

    def beside(self, key: str) -> Iterator[_carried.Beside]:
        """The tensors that hold targets or labels of the logits."""
        for name in _carried.beside(self.entries, self._source, key):
            stored = self.open(name)
            array = stored.array()
            if stored.coding:
                array = CODINGS[stored.coding](array)[0]
            yield _carried.Beside(name, array, stored.name)

    def _broken(self, problem: str) -> InputError:
        return InputError(f"{self._source.name} is not a .safetensors file that can be read: {problem}", _HINT)
