"""An input that is read block by block, and what is known of it before."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from smcli.errors import InputError
from smcli.read._arrays import slices
from smcli.read._source import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType, TracebackType

    from smcli.batch import RawBlock
    from smcli.read import How
    from smcli.read._source import Source


class Stream:
    """The blocks of an input, to be taken once; what is known before the first block stands beside them.

    Attributes:
        name: what messages call it.
        dtype, origin: the number format that it carries, and whence that is known, as of a Batch.
        rows: how many rows there will be, or None where only the end tells.
        notes: what was left out of it so far.
        column: whether `from_file` would make one row of it if every line held one number.
    """

    def __init__(self, path: str, how: How, reader: Callable[[Source, str], ModuleType]) -> None:
        self._stack = ExitStack()
        try:
            self._source = self._stack.enter_context(opened(path, how))
            self.name = self._source.name
            module = reader(self._source, path)
            self.column: bool = getattr(module, "COLUMN", False)
            self._blocks = self._begin(module)
            self._first = next(self._blocks, None)
        except BaseException as error:
            if not self._stack.__exit__(type(error), error, error.__traceback__):
                raise
        if self._first is None:
            self.close()
            raise InputError(f"no logits in {self.name}", "give some, as in: 1000 2000 3000")

    @property
    def dtype(self) -> str | None:
        return self._source.about.dtype

    @property
    def origin(self) -> str:
        return self._source.about.origin

    @property
    def rows(self) -> int | None:
        return self._source.about.rows

    @property
    def notes(self) -> tuple[str, ...]:
        return self._source.about.notes

    def _begin(self, module: ModuleType) -> Iterator[RawBlock]:
        if hasattr(module, "stream"):
            blocks: Iterator[RawBlock] = module.stream(self._source)
            return blocks
        return self._whole(module)

    def _whole(self, module: ModuleType) -> Iterator[RawBlock]:
        """The blocks of a kind that is read as a whole, in the order of its rows."""
        import numpy as np

        batch = module.read(self._source)
        about = self._source.about
        about.dtype, about.origin, about.notes, about.rows = batch.dtype, batch.origin, batch.notes, len(batch)
        target = None if batch.target is None else np.array(batch.target, dtype=np.int64)
        for block in batch.in_order():
            for part in slices(block):
                yield part if target is None else part.with_target(target[part.rows])

    def __iter__(self) -> Iterator[RawBlock]:
        """The blocks.

        Raises:
            InputError: something in the input is not a number, or it cannot be read to its end.
        """
        with self._stack:
            if self._first is not None:
                yield self._first
            self._first = None
            yield from self._blocks

    def close(self) -> None:
        """Close the input before its end."""
        if close := getattr(self._blocks, "close", None):
            close()
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
