"""The nouns that the stages hand to one another, without arithmetic or I/O.

They are immutable. Arrays have no single truth value, so nouns that hold some are never compared with ==.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, overload

from smcli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]
    ByteArray = NDArray[np.uint8]


_TOGETHER = 1 << 10  # rows that an iteration converts at once


class Severity(StrEnum):
    """How bad a finding is."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Verdict(IntEnum):
    """The judgement of one value; arrays hold the number, documents the label."""

    UNDEFINED = 0
    CORRECT = 1
    NOT_REPRESENTABLE = 2
    LOST = 3
    OK = 4
    INACCURATE = 5

    @property
    def label(self) -> str:
        """The word used in every output."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RawRow:
    """One row of logits as it was read, before any number format is chosen.

    Attributes:
        values: float64 [C], for each number the nearest float64.
        tokens: what was written, one text a number, where it may say more than a float64 holds;
            None where `values` are exact.
    """

    values: FloatArray
    tokens: tuple[str, ...] | None = None


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
    """

    array: NDArray[Any]
    rows: IntArray | range
    texts: tuple[tuple[int, str], ...] = ()
    widen: Callable[[NDArray[Any]], tuple[FloatArray, tuple[tuple[int, str], ...]]] | None = None
    target: IntArray | None = None
    name: str = ""

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
            tokens[row] = tuple(some.get(i) or repr(v) for i, v in enumerate(values[row].tolist()))
        return values, tokens

    def with_target(self, target: IntArray) -> RawBlock:
        """The same rows, with the right class of each."""
        return replace(self, target=target)

    def select(self, at: Sequence[int] | IntArray, rows: IntArray | range) -> RawBlock:
        """The rows at some places of this block, which are `rows` from then on; a regular choice copies nothing."""
        import numpy as np

        places = np.asarray(at)
        step = int(places[1] - places[0]) if places.size > 1 else 1
        target = None if self.target is None else self.target[places]
        if self.array.ndim == 2 and step and (np.diff(places) == step).all():
            stop: int | None = int(places[-1]) + step
            array = self.array[int(places[0]) : None if stop is not None and stop < 0 else stop : step]
        else:
            self._check_length()
            array = self.array[np.unravel_index(places, self.array.shape[:-1])]
        texts: list[tuple[int, str]] = []
        if self.texts:
            by_row: dict[int, list[tuple[int, str]]] = {}
            for i, token in self.texts:
                by_row.setdefault(i // self.classes, []).append((i % self.classes, token))
            for new, old in enumerate(places.tolist()):
                texts += [(new * self.classes + i, token) for i, token in by_row.get(old, ())]
        return RawBlock(array, rows, tuple(texts), self.widen, target, self.name)

    def _taken(self, start: int, stop: int) -> tuple[FloatArray, Sequence[tuple[int, str]]]:
        from bisect import bisect_left

        import numpy as np

        self._check_length()
        if self.array.ndim == 2:
            part = self.array[start:stop]
        else:
            part = self.array[np.unravel_index(np.arange(start, stop), self.array.shape[:-1])]
        if self.widen is not None:
            return self.widen(part)
        with np.errstate(all="ignore"):  # a signaling nan
            values = part.astype(np.float64)
        first = start * self.classes
        low, high = (bisect_left(self.texts, row * self.classes, key=lambda pair: pair[0]) for row in (start, stop))
        return values, [(i - first, token) for i, token in self.texts[low:high]]

    def _check_length(self) -> None:
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
    """

    blocks: tuple[RawBlock, ...]
    dtype: str | None = None
    origin: str = ""
    target: tuple[int, ...] | None = None
    labels: Batch | None = None
    notes: tuple[str, ...] = ()
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

        owner, at = self._places(numbers)
        blocks = []
        for k, block in enumerate(self.blocks):
            mine = np.flatnonzero(owner == k)
            if mine.size:
                blocks.append(block.select(at[mine], range(mine.size) if mine.size == len(numbers) else mine))
        return replace(
            self,
            blocks=tuple(blocks),
            target=None if self.target is None else tuple(self.target[n] for n in numbers),
            labels=None if self.labels is None else self.labels.select(numbers),
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
        return all(isinstance(block.rows, range) for block in self.blocks)

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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Loss:
    """What the loss of a block of rows is.

    Attributes:
        kind: "cross-entropy" or "bce".
        target: int64 [R], the right class of each row, or None.
        labels: float64 [R, C], soft labels, or None. Just one of `target` and `labels` is given.
        smoothing: E of y(1 - E) + E/K.
        weights: float64 [C], a factor for each class, or None.
        z_loss: factor of logsumexp squared, added to the loss.
    """

    kind: str = "cross-entropy"
    target: IntArray | None = None
    labels: FloatArray | None = None
    smoothing: float = 0.0
    weights: FloatArray | None = None
    z_loss: float = 0.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Problem:
    """What is asked of a block of rows of one length. Every number in it is exact from here on.

    Attributes:
        dtype: the name of the number format.
        logits: float64 [R, C], numbers of that format.
        loss: what cross-entropy and gradients are taken of, or None.
        temperature: the logits are divided by it.
        softcap: cap * tanh(x / cap) is applied to the logits (after the temperature), or None.
        ignored: bool [R], rows that contribute nothing, or None.
        scale: the factor that a reduction puts before each row's gradient.
        cotangent: float64 [C], the vector of a vector-Jacobian product, or None.
        rows: int64 [R], the place of each row in the input, counted from 0.
    """

    dtype: str
    logits: FloatArray
    loss: Loss | None = None
    temperature: float = 1.0
    softcap: float | None = None
    ignored: BoolArray | None = None
    scale: Fraction = Fraction(1)
    cotangent: FloatArray | None = None
    rows: IntArray | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Truth:
    """True values: (hi + lo) * 2**exp2, with |error| <= bound * |value|.

    Attributes:
        hi, lo: float64, any one shape. An exact 0, an infinity or nan stands in `hi`, with lo = 0 and exp2 = 0.
        exp2: int64, the same shape.
        bound: bound of the relative error, over all elements.
    """

    hi: FloatArray
    lo: FloatArray
    exp2: IntArray
    bound: float

    def nearest(self) -> FloatArray:
        """The true values to the nearest float64: 0 or infinite beyond its range."""
        import numpy as np

        with np.errstate(all="ignore"):
            return np.ldexp(self.hi + self.lo, np.clip(self.exp2, -3000, 3000).astype(np.int32))

    def log10(self) -> FloatArray:
        """log10 |t|, finite also where t is below float64."""
        import numpy as np

        with np.errstate(all="ignore"):
            size: FloatArray = np.log10(np.abs(self.hi)) + self.exp2 * np.log10(2)
        return size


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StepSummary:
    """What one step of a method did to one row (`--trace`)."""

    step: str
    min: float
    max: float
    overflowed: int
    underflowed: int
    nan: int
    first: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a user should know about a row.

    Attributes:
        code, name, severity: as in the list of findings.
        quantity, method: what it is about, or None where it is about the row itself.
        at: the indices concerned, the first hundred.
        count: how many there are.
        step: the expression that went wrong first, or None.
        message: what happened, in a sentence with figures.
        remedy: what to do.
    """

    code: str
    name: str
    severity: Severity
    quantity: str | None
    method: str | None
    at: tuple[int, ...]
    count: int
    step: str | None
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Numerics:
    """In which arithmetic methods compute, and how exactly the truth is told.

    Attributes:
        dtypes: number formats.
        accumulate: format of the running sum, or None: as dtype.
        order: the order of sums.
        temperature, softcap: of the logits; each number as written, so that it is rounded straight to the format.
        digits: significant digits of the truth, or None: enough for the format.
        step: of finite differences.
    """

    dtypes: tuple[str, ...] = ("float64",)
    accumulate: str | None = None
    order: str = "pairwise"
    temperature: RawRow | None = None
    softcap: RawRow | None = None
    digits: int | None = None
    step: float | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LossSpec:
    """Of which loss, with which labels.

    Attributes:
        kind: what gradients are taken of: "cross-entropy" or "bce".
        target: the right class of each row, or one for all, or None.
        labels: soft labels, one row or one for each row, or None.
        smoothing, weights, z_loss: of the loss; numbers as written.
        ignore_index: the target of rows that are left out.
        reduction: "none", "mean" or "sum".
        cotangent: of a vector-Jacobian product.
    """

    kind: str = "cross-entropy"
    target: tuple[int, ...] | None = None
    labels: tuple[RawRow, ...] | None = None
    smoothing: float = 0.0
    weights: RawRow | None = None
    z_loss: RawRow | None = None
    ignore_index: int | None = None
    reduction: str = "none"
    cotangent: RawRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Limits of accuracy that the user gave; None where none was."""

    max_ulp: float | None = None
    max_rel: float | None = None

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return self.max_ulp is not None or self.max_rel is not None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Settings:
    """What the user asked for, before any number format is chosen.

    Attributes:
        command: "compare", "eval" or "grad".
        methods, quantities: their names, in the order asked.
        numerics, loss, tolerance: the groups of options.
        trace: whether every step is reported.
        numbers: where only some rows of the input were chosen, their numbers in it.
    """

    command: str = "compare"
    methods: tuple[str, ...] = ("naive", "shifted", "fused")
    quantities: tuple[str, ...] = ("softmax", "cross-entropy")
    numerics: Numerics = Numerics()
    loss: LossSpec = LossSpec()
    tolerance: Tolerance = Tolerance()
    trace: bool = False
    numbers: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MethodResult:
    """What one method returned for one quantity of one row; arrays are flat, [N].

    Attributes:
        values, ulp, rel: float64.
        verdicts: numbers of `Verdict`.
        worst: index of the worst error.
        bound_ulp: an a-priori bound of the error in ulp where one holds, or None.
        steps: the trace, or None where it was not asked for.
        available: whether it could run; if not, `reason` says why and the arrays are empty.
    """

    method: str
    values: FloatArray
    ulp: FloatArray
    rel: FloatArray
    verdicts: ByteArray
    worst: int
    bound_ulp: float | None = None
    steps: tuple[StepSummary, ...] | None = None
    condition: float | None = None
    available: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class QuantityResult:
    """One quantity of one row: the truth and what the methods made of it.

    Attributes:
        quantity: its name.
        exact: the truth of all values as decimal strings, or of the index asked for.
        size: how many values.
        certified: bound of the truth's relative error before its decimal rounding.
        known: the truth, [N].
        square: the side of a matrix, or 0.
        methods: in the order asked.
    """

    quantity: str
    exact: Callable[[Iterable[int]], list[str]]
    size: int
    certified: float
    known: Truth
    square: int
    methods: tuple[MethodResult, ...]

    @property
    def truth(self) -> FloatArray:
        """The truth to the nearest float64, for choosing what to show."""
        return self.known.nearest()

    @property
    def log10(self) -> FloatArray:
        """log10 |t|, finite also where t is below float64."""
        return self.known.log10()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowReport:
    """All about one row."""

    row: int
    logits: FloatArray
    target: int | None
    ignored: bool
    results: tuple[QuantityResult, ...]
    findings: tuple[Finding, ...]
    labels: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A plain table of words and figures.

    Attributes:
        heading: what it is about.
        head: the names of its columns.
        rows: its cells.
        numbers: the columns that hold numbers, which stand to the right.
    """

    heading: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()
