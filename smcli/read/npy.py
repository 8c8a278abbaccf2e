"""NumPy's .npy: one array, mapped and not read where it is a file; a pickle is never loaded."""

from __future__ import annotations

import math
import warnings
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from smcli.errors import InputError
from smcli.numbers.words import show
from smcli.read._objects import array_rows, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from smcli.model import RawRow
    from smcli.read._source import Source

SUFFIXES = (".npy",)
MAGIC = b"\x93NUMPY"

_CHUNK = 1 << 20  # bytes that are asked for at once, as a header may promise more than there is
_HEADERS = {
    MAGIC + b"\1\0": np.lib.format.read_array_header_1_0,
    MAGIC + b"\2\0": np.lib.format.read_array_header_2_0,
}
_HINT = "save it again with np.save"


class Header(NamedTuple):
    """What the array is, before its bytes."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


def rows(source: Source) -> Iterator[RawRow]:
    """The rows of the array along its last axis."""
    return array_rows(array(source), source.name)


def array(source: Source) -> NDArray[Any]:
    """The array as it is stored, mapped where the source is a file.

    Raises:
        InputError: it is not .npy, does not hold real numbers, or its header promises what is not there.
    """
    size = source.size()
    if size is None:
        return read_array(source.stream, source.name)
    header = _header(source.stream, source.name, size)
    order: Literal["F", "C"] = "F" if header.fortran else "C"
    return np.memmap(source.stream, header.dtype, "r", source.stream.tell(), header.shape, order)


def read_array(stream: IO[bytes], name: str, size: int | None = None) -> NDArray[Any]:
    """Read an array of a stream that cannot be mapped; `size` is the length of the stream where it is known.

    Raises:
        InputError: as `array`.
    """
    header = _header(stream, name, size)
    wanted = math.prod(header.shape) * header.dtype.itemsize
    data = bytearray()
    while chunk := stream.read(min(_CHUNK, wanted + 1 - len(data))):
        data += chunk
    _check_length(name, wanted, len(data))
    flat = np.frombuffer(data, header.dtype)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _header(stream: IO[bytes], name: str, size: int | None) -> Header:
    """Read and check the header, and that the data it promises is there."""
    if not (magic := stream.read(len(MAGIC) + 2)):
        raise InputError(f"{name} is empty", _HINT)
    read = _HEADERS.get(magic)
    if read is None:
        raise InputError(f"{name} is not a .npy file that smcli knows: it begins with {magic!r}", _HINT)
    try:
        with warnings.catch_warnings(action="ignore"):  # headers of Python 2
            header = Header(*read(stream))
    except (ValueError, TypeError, SyntaxError, TokenError, EOFError, RecursionError, MemoryError) as error:
        raise InputError(f"{name} has a broken .npy header: {show(str(error), 100)}", _HINT) from None
    if min(header.shape, default=0) < 0:
        raise InputError(f"{name} has a broken .npy header: the shape is {header.shape}", _HINT)
    check(header.dtype, header.shape, name)
    if size is not None:
        _check_length(name, math.prod(header.shape) * header.dtype.itemsize, size - stream.tell())
    return header


def _check_length(name: str, wanted: int, found: int) -> None:
    if found < wanted:
        raise InputError(f"{name} is cut short: its header promises {wanted} bytes, {found} are there", _HINT)
    if found > wanted:
        raise InputError(f"{name} has more bytes than its header says", "save several arrays with np.savez")
