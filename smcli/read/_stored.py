"""An array in an open file: mapped where it can be, else read, whole or in blocks of rows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smcli.batch import Batch
from smcli.errors import InputError
from smcli.read._arrays import BLOCK, block, check_axis, number_format, slices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from smcli.batch import RawBlock
    from smcli.read._source import Source

_CHUNK = 1 << 20  # bytes that are asked for at once, as a header may promise more than there is
_HINT = "write it again"


class Stored(NamedTuple):
    """Where an array is.

    Attributes:
        name: what messages call it.
        dtype, shape, fortran: of the array.
        stream: the open file.
        offset: where it begins in a file that can be mapped; None of a stream, which stands there.
        coding: the number format whose bits it holds as integers, or None.
        last: nothing may stand behind it in the stream.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    stream: IO[bytes]
    offset: int | None
    fortran: bool = False
    coding: str | None = None
    last: bool = False

    def batch(self, source: Source) -> Batch:
        """All its rows, mapped where it can be."""
        whole = block(self.array(), self.name, source.how.axis, self.coding)
        return Batch((whole,), whole.dtype, "the file's dtype" if whole.dtype else "", shape=self.shape)

    def blocks(self, source: Source) -> Iterator[RawBlock]:
        """Its rows in blocks, in bounded memory unless a stream would have to be read across."""
        source.about.dtype = number_format(self.dtype, self.coding)
        source.about.origin = "the file's dtype" if source.about.dtype else ""
        source.about.rows = self.rows(source.how.axis)
        axes = len(self.shape)
        straight = not self.fortran or axes < 2
        if self.offset is None and straight and check_axis(source.how.axis, axes or 1, self.name) in {-1, axes - 1}:
            return self._rows()
        return slices(block(self.array(), self.name, source.how.axis, self.coding))

    def rows(self, axis: int | None) -> int:
        """How many rows it has along an axis."""
        shape = self.shape or (1,)
        return math.prod(shape) // shape[check_axis(axis, len(shape), self.name)]

    def _rows(self) -> Iterator[RawBlock]:
        """The rows of a stream, read as they are taken."""
        classes = self.shape[-1] if self.shape else 1
        count, step = math.prod(self.shape[:-1]), max(1, BLOCK // classes)
        for start in range(0, count, step):
            rows = range(start, min(start + step, count))
            data = self._bytes(len(rows) * classes * self.dtype.itemsize, start * classes * self.dtype.itemsize)
            array = np.frombuffer(data, self.dtype).reshape(len(rows), classes)
            yield replace(block(array, self.name, None, self.coding), rows=rows)
        self._check_end()

    def array(self) -> NDArray[Any]:
        """The array, mapped where it can be."""
        if self.offset is not None:
            try:
                flat: NDArray[Any] = np.memmap(self.stream, self.dtype, "r", self.offset, math.prod(self.shape))
            except ValueError:  # its length was checked, but that was a moment ago
                raise InputError(f"{self.name} became shorter while it was opened", _HINT) from None
        else:
            flat = np.frombuffer(self._bytes(math.prod(self.shape) * self.dtype.itemsize), self.dtype)
            self._check_end()
        return flat.reshape(self.shape, order="F" if self.fortran else "C")

    def _bytes(self, wanted: int, before: int = 0) -> bytearray:
        """So many bytes of the stream, taken little by little: there may be fewer."""
        data = bytearray()
        while chunk := self.stream.read(min(_CHUNK, wanted - len(data))):
            data += chunk
        if len(data) < wanted:
            check_length(self.name, math.prod(self.shape) * self.dtype.itemsize, before + len(data))
        return data

    def _check_end(self) -> None:
        if self.last and self.stream.read(1):
            check_length(self.name, 0, 1)


def check_length(name: str, wanted: int, found: int) -> None:
    """Raise InputError unless an array has the bytes that its header promises."""
    if found < wanted:
        raise InputError(f"{name} is cut short: its header promises {wanted} bytes, {found} are there", _HINT)
    if found > wanted:
        raise InputError(f"{name} has more bytes than its header says", "save several arrays with np.savez")
