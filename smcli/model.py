"""The nouns that the stages hand to one another: frozen dataclasses without arithmetic or I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]
    ByteArray = NDArray[np.uint8]


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


@dataclass(frozen=True)
class RawRow:
    """One row of logits as it was read, before any number format is chosen.

    Attributes:
        values: float64 [C], for each number the nearest float64.
        tokens: what was written, one text a number, where it may say more than a float64 holds;
            None where `values` are exact.
    """

    values: FloatArray
    tokens: tuple[str, ...] | None = None


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
        first_row: the number of the first row of this block in the input.
    """

    dtype: str
    logits: FloatArray
    loss: Loss | None = None
    temperature: float = 1.0
    softcap: float | None = None
    ignored: BoolArray | None = None
    scale: Fraction = Fraction(1)
    cotangent: FloatArray | None = None
    first_row: int = 0


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class StepSummary:
    """What one step of a method did to one row (`--trace`)."""

    step: str
    min: float
    max: float
    overflowed: int
    underflowed: int
    nan: int
    first: int | None
