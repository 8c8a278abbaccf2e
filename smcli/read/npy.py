"""NumPy's .npy: one array, mapped and not read where it is a file; a pickle is never loaded."""

from __future__ import annotations

import math
import warnings
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smcli.errors import InputError
from smcli.numbers.words import show
from smcli.read import _carried
from smcli.read._arrays import check
from smcli.read._stored import Stored, check_length

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.batch import Batch, RawBlock
    from smcli.read._source import Source

SUFFIXES = (".npy",)
MAGIC = b"\x93NUMPY"

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

    @property
    def bytes(self) -> int:
        """How many bytes the array has."""
        return math.prod(self.shape) * self.dtype.itemsize


def read(source: Source) -> Batch:
    """The rows of the array along its last axis."""
    return _stored(source).batch(source)


def stream(source: Source) -> Iterator[RawBlock]:
    """The rows of the array, in blocks."""
    return _stored(source).blocks(source)


def mapped(source: Source) -> RawBlock | None:
    """The rows of the array as one block, where they can be mapped."""
    return _carried.mapped(_stored(source), (), source)


def _stored(source: Source) -> Stored:
    size = source.size()
    head = header(source.stream, source.name, size)
    return Stored(source.name, head.dtype, head.shape, source.stream, None if size is None else source.stream.tell(),
                  fortran=head.fortran, last=True)  # fmt: skip


def header(stream: IO[bytes], name: str, size: int | None) -> Header:
    """Read and check the header, and that the data it promises is there; `size` is that of the whole, if known.

    Raises:
        InputError: it is not .npy, does not hold real numbers, or its header promises what is not there.
    """
    if not (magic := stream.read(len(MAGIC) + 2)):
        raise InputError(f"{name} is empty", _HINT)
    read = _HEADERS.get(magic)
    if read is None:
        raise InputError(f"{name} is not a .npy file that smcli knows: it begins with {magic!r}", _HINT)
    try:
        with warnings.catch_warnings(action="ignore"):  # headers of Python 2
            head = Header(*read(stream))
    except (ValueError, TypeError, SyntaxError, TokenError, EOFError, RecursionError, MemoryError) as error:
        raise InputError(f"{name} has a broken .npy header: {show(str(error), 100)}", _HINT) from None
    if min(head.shape, default=0) < 0:
        raise InputError(f"{name} has a broken .npy header: the shape is {head.shape}", _HINT)
    check(head.dtype, head.shape, name)
    if size is not None:
        check_length(name, head.bytes, size - stream.tell())
    return head
