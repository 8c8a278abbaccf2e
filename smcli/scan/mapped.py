"""Rows of a mapped file as another process finds them: the file and a place in it, not the numbers."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.errors import InputError

if TYPE_CHECKING:
    from smcli.batch import RawBlock

GONE = "leave the file as it is while it is scanned; the workers of a cluster need it under the same name"


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """A block whose array lies in a file.

    Attributes:
        block: the block, with an empty array.
        path: the file.
        offset: the byte of the array's first number.
        end: the byte behind its last.
        dtype, shape, strides: of the array.
    """

    block: RawBlock
    path: str
    offset: int
    end: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, block: RawBlock) -> Mapped | None:
        """Where the array of a block is; None where it is not mapped, or copied from what is."""
        array: Any = block.array
        held = getattr(array, "_mmap", None)
        if not isinstance(array, np.memmap) or held is None or array.filename is None or min(array.strides) < 0:
            return None
        whole = np.frombuffer(held, np.uint8)
        if not np.may_share_memory(array, whole):
            return None
        begin = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY  # of the map, as np.memmap chooses it
        offset = begin + array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
        reach = sum((n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)) + array.itemsize
        return cls(
            replace(block, array=np.empty((0, block.classes), array.dtype)),
            os.fspath(array.filename), offset, offset + reach, array.dtype.str, array.shape, array.strides,
        )  # fmt: skip

    def open(self) -> RawBlock:
        """The block.

        Raises:
            InputError: the file is not there any more, or became shorter.
        """
        try:
            flat = np.memmap(self.path, np.uint8, "r", 0, (self.end,))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it became shorter"
            raise InputError(f"{self.block.name} cannot be read any more: {reason}", GONE) from None
        array = np.ndarray(self.shape, self.dtype, flat, self.offset, self.strides)
        return replace(self.block, array=array)
