"""What was read: rows of numbers in blocks of one length, before any number format is chosen; nothing is copied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, overload

from smcli.errors import InputError
from smcli.model import RawRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from numpy.typing import NDArray

    from smcli.model import FloatArray, IntArray

_TOGETHER = 1 << 10  # rows that an iteration converts at once


def _exactly(v: float) -> str:
    """A float64 in all its digits: its repr is shorter, and on one side of it where it is half way in a format."""
    return str(Decimal(v)) if math.isfinite(v) else repr(v)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Written:
    """Some rows of one length as they were written.

    Attributes:
        values: float64 [R, C], for each number the nearest float64.
        tokens: for each row what was written, where that says more than a float64 holds; None where all is exact.
        dtype: the number format that they are numbers of, where that is known.
    """

    values: FloatArray
    tokens: Sequence[tuple[str, ...] | None] | None = None
    dtype: str = ""

    @classmethod
    def of(cls, rows: Sequence[RawRow]) -> Written:
        """Rows of one length as one."""
        import numpy as np

        return cls(np.stack([r.values for r in rows]), [r.tokens for r in rows])

    def tokens_of(self, row: int) -> tuple[str, ...] | None:
        """What was written in one row, or None."""
        return None if self.tokens is None else self.tokens[row]

    def select(self, rows: IntArray) -> Written:
        """Some of them."""
        tokens = None if self.tokens is None else [self.tokens[r] for r in rows.tolist()]
        return Written(self.values[rows], tokens, self.dtype)

    def some(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The rows of which there are tokens."""
        return ((r, tokens) for r, tokens in enumerate(self.tokens or ()) if tokens is not None)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RawBlock:
    """Rows of one length as they were read, before any number format is chosen; nothing of an array is copied.

    Attributes:
        array: [..., C], any real dtype or bits that `widen` knows, possibly mapped from a file; the axes before the
            last count the rows.
        rows: the place of each row in the input, counted from 0.
        texts: of parsed input, what was written where float64 does not hold all of it: flat index and token, in order.
        widen: some rows of the array → float64 and such texts of theirs; None where `astype` loses nothing.
        target: int64 [R], the right class of each row where a stream carries it along, or None.
        name: what messages call the input.
        dtype: the number format that the rows carry, or None.
    """

    array: NDArray[Any]
    rows: IntArray | range
    texts: tuple[tuple[int, str], ...] = ()
    widen: Callable[[NDArray[Any]], tuple[FloatArray, tuple[tuple[int, str], ...]]] | None = None
    target: IntArray | None = None
    name: str = ""
    dtype: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def classes(self) -> int:
        """How many numbers a row has."""
        return int(self.array.shape[-1])

    def take(self, start: int = 0, stop: int | None = None) -> tuple[FloatArray, list[tuple[str, ...] | None] | None]:
        """Some rows as float64 [r, C], and the tokens of each row, None where its float64 are exact.

        Raises:
            InputError: the file that holds them became shorter.
        """
        stop = len(self) if stop is None else min(stop, len(self))
        values, texts = self._taken(start, max(start, stop))
        if not texts:
            return values, None
        written: dict[int, dict[int, str]] = {}
        for at, token in texts:
            written.setdefault(at // self.classes, {})[at % self.classes] = token
        tokens: list[tuple[str, ...] | None] = [None] * len(values)
        for row, some in written.items():
            tokens[row] = tuple(some.get(i) or _exactly(v) for i, v in enumerate(values[row].tolist()))
        return values, tokens

    def with_target(self, target: IntArray) -> RawBlock:
        """The same rows, with the right class of each."""
        return replace(self, target=target)

    def select(self, at: Sequence[int] | IntArray, rows: IntArray | range) -> RawBlock:
        """The rows at some places of this block, which are `rows` from then on; a regular choice copies nothing."""
        import numpy as np

        regular = at if isinstance(at, range) else _regular(at)
        if regular is not None and self.array.ndim == 2:
            stop = regular.stop if regular.step > 0 or regular.stop >= 0 else None
            array = self.array[regular.start : stop : regular.step]
        else:
            self.check_length()
            array = self.array[np.unravel_index(np.asarray(at), self.array.shape[:-1])]
        target = None if self.target is None else self.target[np.asarray(at)]
        return replace(self, array=array, rows=rows, texts=self._texts_of(at), target=target)

    def _texts_of(self, at: Sequence[int] | IntArray) -> tuple[tuple[int, str], ...]:
        """The texts of the rows at some places, as they are numbered there."""
        if not self.texts:
            return ()
        by_row: dict[int, list[tuple[int, str]]] = {}
        for i, token in self.texts:
            by_row.setdefault(i // self.classes, []).append((i % self.classes, token))
        return tuple(
            (new * self.classes + i, token) for new, old in enumerate(at) for i, token in by_row.get(int(old), ())
        )

    def _taken(self, start: int, stop: int) -> tuple[FloatArray, Sequence[tuple[int, str]]]:
        from bisect import bisect_left

        import numpy as np

        self.check_length()
        if self.array.ndim == 2:
            part = self.array[start:stop]
        else:
            part = self.array[np.unravel_index(np.arange(start, stop), self.array.shape[:-1])]
        if self.widen is not None:
            return self.widen(part)
        with np.errstate(all="ignore"):  # a signaling nan
            values = np.asarray(part).astype(np.float64)  # a part of a memmap would stay one, and be slow to cut
        first = start * self.classes
        low, high = (bisect_left(self.texts, row * self.classes, key=lambda pair: pair[0]) for row in (start, stop))
        return values, [(i - first, token) for i, token in self.texts[low:high]]

    def check_length(self) -> None:
        """Raise InputError where a mapped file became shorter: to touch what is gone would kill the process."""
        from mmap import mmap

        base: object = self.array
        while base is not None and not isinstance(base, mmap):
            base = getattr(base, "base", None) if not isinstance(base, memoryview) else base.obj
        if isinstance(base, mmap) and base.size() < len(base):
            raise InputError(
                f"{self.name} became shorter while it was read: {base.size()} of {len(base)} bytes remain",
                "read it again once it is written",
            )


def _regular(at: Sequence[int] | IntArray) -> range | None:
    """The places as a range, if they are one."""
    import numpy as np

    places = np.asarray(at)
    if places.size < 2:
        return range(int(places[0]), int(places[0]) + 1) if places.size else None
    step = int(places[1] - places[0])
    return range(int(places[0]), int(places[-1]) + step, step) if step and (np.diff(places) == step).all() else None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Batch(Sequence[RawRow]):
    """Everything that was read; as a sequence, its rows one by one.

    Attributes:
        blocks: the rows, a block for each length.
        dtype: the number format that the input itself carries, or None.
        origin: whence that is known, for a sentence such as "float32, the file's dtype".
        target: the right class of each row, where the input carries it, or None.
        labels: soft labels that the input carries, rows as long as those of the logits, or None.
        notes: what was left out of the input, each a phrase for a user.
        shape: of what was read as one array or regular list, before it became rows; None where that is not known.
    """

    blocks: tuple[RawBlock, ...]
    dtype: str | None = None
    origin: str = ""
    target: tuple[int, ...] | None = None
    labels: Batch | None = None
    notes: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    _found: dict[str, tuple[IntArray, IntArray]] = field(default_factory=dict, init=False)  # where rows are, once asked

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def __iter__(self) -> Iterator[RawRow]:
        if self._consecutive():
            for block in self.blocks:
                for start in range(0, len(block), _TOGETHER):
                    values, tokens = block.take(start, start + _TOGETHER)
                    for k in range(len(values)):
                        yield RawRow(values[k], tokens[k] if tokens else None)
        else:
            yield from map(self.row, range(len(self)))

    @overload
    def __getitem__(self, at: int) -> RawRow: ...
    @overload
    def __getitem__(self, at: slice) -> Batch: ...
    def __getitem__(self, at: int | slice) -> RawRow | Batch:
        if isinstance(at, slice):
            return self.select(range(len(self))[at])
        return self.row(range(len(self))[at])

    def row(self, number: int) -> RawRow:
        """The row at one place of the input."""
        at = number
        if self._consecutive():
            for block in self.blocks:
                if at < len(block):
                    break
                at -= len(block)
        else:
            owners, places = self._index()
            block, at = self.blocks[owners[number]], int(places[number])
        values, tokens = block.take(at, at + 1)
        return RawRow(values[0], tokens[0] if tokens else None)

    def rows(self) -> Iterator[RawRow]:
        """The rows in the order of the input."""
        return iter(self)

    def select(self, numbers: Sequence[int]) -> Batch:
        """The rows at some places, in that order, with their targets and labels."""
        import numpy as np

        if len(self.blocks) == 1:
            blocks = [self.blocks[0].select(numbers, range(len(numbers)))]
        else:
            owner, at = self._places(numbers)
            blocks = []
            for k in dict.fromkeys(owner.tolist()):
                mine = np.flatnonzero(owner == k)
                blocks.append(self.blocks[k].select(at[mine], _regular(mine) or mine))
        return replace(
            self,
            blocks=tuple(blocks),
            target=None if self.target is None else tuple(self.target[n] for n in numbers),
            labels=None if self.labels is None else self.labels.select(numbers),
            shape=None,
        )

    def in_order(self) -> Iterator[RawBlock]:
        """Blocks of rows that follow one another, in the order of the input."""
        from itertools import pairwise

        import numpy as np

        if self._consecutive():
            yield from self.blocks
            return
        owners, places = self._index()
        ends = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), owners.size]
        for start, stop in pairwise(ends):
            yield self.blocks[owners[start]].select(places[start:stop], range(start, stop))

    def _consecutive(self) -> bool:
        start = 0
        for block in self.blocks:
            if not isinstance(block.rows, range) or block.rows[0] != start or block.rows[-1] != start + len(block) - 1:
                return False
            start += len(block)
        return True

    def _places(self, numbers: Sequence[int]) -> tuple[IntArray, IntArray]:
        """The block of each row, and its place there."""
        import numpy as np

        wanted = np.asarray(numbers, dtype=np.int64)
        if self._consecutive():
            starts = np.cumsum([0, *map(len, self.blocks)])
            owner = np.searchsorted(starts, wanted, "right") - 1
            return owner, wanted - starts[owner]
        owners, places = self._index()
        return owners[wanted], places[wanted]

    def _index(self) -> tuple[IntArray, IntArray]:
        """The block of every row, and its place there."""
        import numpy as np

        if not self._found:
            owners, places = (np.empty(len(self), dtype=np.int64) for _ in range(2))
            for k, block in enumerate(self.blocks):
                owners[block.rows], places[block.rows] = k, np.arange(len(block))
            self._found["all"] = owners, places
        return self._found["all"]
