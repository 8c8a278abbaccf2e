"""The nouns that the stages hand to one another, without arithmetic or I/O.

They are immutable. Arrays have no single truth value, so nouns that hold some are never compared with ==.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]
    ByteArray = NDArray[np.uint8]
    T = TypeVar("T")


IGNORED = -100  # the target that every framework takes for "ignore this row" by default


def required(part: T | None) -> T:
    """A part of a problem where it is asked for only if it is there; what belongs together is checked with the options."""
    assert part is not None  # noqa: S101
    return part


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

    def written(self, index: int) -> str:
        """A number for a message: as it was written when that is short."""
        token = self.tokens[index] if self.tokens is not None else ""
        return token if 0 < len(token) <= 40 else f"{self.values[index]:g}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Loss:
    """What the loss of a block of rows is.

    Attributes:
        kind: the name of a quantity that is a loss: "cross-entropy", "bce", "focal", "kl" or "entropy".
        target: int64 [R], the right class of each row, or None.
        labels: float64 [R, C], soft labels, or None. At most one of `target` and `labels` is given; kl and entropy have
            neither.
        smoothing: E of y(1 - E) + E/K.
        weights: float64 [C], a factor for each class, or None.
        z_loss: factor of logsumexp squared, added to the loss.
        gamma: focal: (1 − p_t)^gamma · (−log p_t); with labels its form for the sigmoid of each logit.
        teacher: kl: float64 [R, C], the logits of the teacher, KL(softmax(teacher) ‖ softmax(x)).
        reverse: kl the other way round, KL(softmax(x) ‖ softmax(teacher)).
    """

    kind: str = "cross-entropy"
    target: IntArray | None = None
    labels: FloatArray | None = None
    smoothing: float = 0.0
    weights: FloatArray | None = None
    z_loss: float = 0.0
    gamma: float = 2.0
    teacher: FloatArray | None = None
    reverse: bool = False

    @property
    def is_binary(self) -> bool:
        """Whether it looks at each logit alone."""
        return self.kind == "bce" or (self.kind == "focal" and self.labels is not None)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Problem:
    """What is asked of a block of rows of one length. Every number in it is exact from here on.

    Attributes:
        dtype: the name of the number format.
        logits: float64 [R, C], numbers of that format, or of `logits_dtype`.
        loss: what cross-entropy and gradients are taken of, or None.
        temperature: the logits are divided by it.
        softcap: cap * tanh(x / cap) is applied to the logits (after the temperature), or None.
        ignored: bool [R], rows that contribute nothing, or None.
        scale: the factor that a reduction puts before each row's gradient.
        cotangent: float64 [C], or [1] for logsumexp: the vector of a vector-Jacobian product, or None.
        vjp_of: the quantity whose vector-Jacobian product that is: softmax, log-softmax or logsumexp.
        coefficients: float64 [C], logsumexp: log |Σ b_i e^{x_i}|, or None.
        rows: int64 [R], the place of each row in the input, counted from 0.
        logits_dtype: the number format of the logits where it is another than that of the values; else None.
    """

    dtype: str
    logits: FloatArray
    loss: Loss | None = None
    temperature: float = 1.0
    softcap: float | None = None
    ignored: BoolArray | None = None
    scale: Fraction = Fraction(1)
    cotangent: FloatArray | None = None
    vjp_of: str = "softmax"
    coefficients: FloatArray | None = None
    rows: IntArray | None = None
    logits_dtype: str | None = None

    @property
    def formats(self) -> tuple[str, str]:
        """The names of the number formats of the values and of the logits."""
        return self.dtype, self.logits_dtype or self.dtype

    @property
    def counted(self) -> int:
        """How many rows are not ignored."""
        return len(self.logits) - (0 if self.ignored is None else int(self.ignored.sum()))

    def select(self, rows: Sequence[int] | IntArray) -> Problem:
        """Some of its rows."""
        loss = self.loss
        if loss is not None:
            loss = replace(
                loss,
                target=None if loss.target is None else loss.target[rows],
                labels=None if loss.labels is None else loss.labels[rows],
                teacher=None if loss.teacher is None else loss.teacher[rows],
            )
        return replace(
            self,
            logits=self.logits[rows],
            loss=loss,
            ignored=None if self.ignored is None else self.ignored[rows],
            rows=None if self.rows is None else self.rows[rows],
        )


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

    def part(self, at: Any) -> Truth:
        """Some of them, by any index of an array."""
        return Truth(self.hi[at], self.lo[at], self.exp2[at], self.bound)

    def nearest(self) -> FloatArray:
        """The true values to the nearest float64: 0 or infinite beyond its range."""
        import numpy as np

        with np.errstate(all="ignore"):
            return np.ldexp(self.hi + self.lo, np.clip(self.exp2, -3000, 3000).astype(np.int32))

    def remainder(self) -> FloatArray:
        """What `nearest` leaves of the true values, to about the bound; 0 where they are no numbers."""
        import numpy as np

        with np.errstate(all="ignore"):
            near = self.hi + self.lo
            rest = np.ldexp((self.hi - near) + self.lo, np.clip(self.exp2, -3000, 3000).astype(np.int32))
        return np.where(np.isfinite(rest), rest, 0.0)

    def log10(self) -> FloatArray:
        """log10 |t|, finite also where t is below float64."""
        import numpy as np

        with np.errstate(all="ignore"):
            size: FloatArray = np.log10(np.abs(self.hi)) + self.exp2 * np.log10(2)
        return size


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Apart:
    """That code was asked row by row, because of what it made of the batch.

    Attributes:
        said: what it made of the batch, in words that follow its name.
        batch, alone: float64 [R, N], the other values that it gave for the batch, and those of the rows alone; None where
            it gave none.
    """

    said: str
    batch: FloatArray | None = None
    alone: FloatArray | None = None

    def __str__(self) -> str:
        return self.said


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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Choice:
    """One of a few texts for each row.

    Attributes:
        options: the texts.
        index: uint8 [K], which of them it is in each row.
    """

    options: tuple[str, ...]
    index: ByteArray


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Found:
    """What one rule found in a block, in all its rows at once; `findings.say` makes a `Finding` of one of them.

    It holds arrays and texts only, so that a row costs what its numbers cost, and it pickles.

    Attributes:
        code, name, severity, quantity, method: as in `Finding`.
        rows: int64 [K], the rows of the block concerned, ascending.
        count: int64 [K], how many places there are in each of them.
        starts, places: integers [K + 1] and [M]; places[starts[k]:starts[k + 1]] are the first hundred of row rows[k].
        message: a text with names in braces (see `findings.wording`).
        facts: what the names stand for: a number, a text, an array [K] of them, or a choice.
        remedy, step: as in `Finding`; a text, or a choice.
        side: the side of a matrix, or 0; places count it flat.
        of_logits: whether places are of logits where the quantity is a matrix.
        sole: whether a row has but one place, whose index says nothing.
    """

    code: str
    name: str
    severity: Severity
    quantity: str | None
    method: str | None
    rows: IntArray
    count: IntArray
    starts: IntArray
    places: IntArray
    message: str | Choice
    facts: Mapping[str, Any]
    remedy: str | Choice
    step: str | Choice
    side: int = 0
    of_logits: bool = False
    sole: bool = False

    def at(self, row: int) -> tuple[int, ...]:
        """Which of `rows` is this row of the block: one place, or none."""
        import numpy as np

        k = int(np.searchsorted(self.rows, row))
        return (k,) if k < self.rows.size and self.rows[k] == row else ()


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
        version: of the library behind the method, or an empty string.
        notes: what a user should know of how the values came about.
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
    version: str = ""
    notes: tuple[str, ...] = ()


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
        sign: of a signed logsumexp, the sign of the sum: 1, −1, 0 or nan; else None.
        of: of a vector-Jacobian product, the quantity whose Jacobian it is.
    """

    quantity: str
    exact: Callable[[Iterable[int]], list[str]]
    size: int
    certified: float
    known: Truth
    square: int
    methods: tuple[MethodResult, ...]
    sign: float | None = None
    of: str = ""

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
