"""Outputs and logits that were read apart become rows that belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.batch import Batch, RawBlock
from smcli.errors import InputError
from smcli.numbers.arithmetic import Arithmetic
from smcli.numbers.words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from smcli.model import FloatArray, IntArray
    from smcli.numbers.formats import Format
    from smcli.quantities import Quantity

AGREE = "a row of them belongs to each row of logits; --axis N names the axis of the classes"
ONE_A_ROW = "one value for each row is a loss or a logsumexp: -q cross-entropy -t TARGETS, or -q logsumexp"
ONE_IN_ALL = "one value for all rows is a reduced loss: -q cross-entropy -t TARGETS --reduction mean"
REDUCED = "one value for all rows is a reduced loss: add --reduction mean, or sum"
ONE_A_CLASS = "one value for each class is a softmax, log-softmax or gradient: -q softmax"
SQUARES = "one value for each pair of classes is a Jacobian: -q jacobian"
TURNED = (
    "their axes stand in another order: save both alike; --axis N names that of the classes where it is not the last"
)


def fitted(outputs: Batch, logits: Batch, quantity: Quantity, *, per_class: bool) -> Outputs:
    """The outputs as rows, one for each row of logits.

    Args:
        outputs: as they were read.
        logits: likewise.
        quantity: what the outputs are values of.
        per_class: a row of them has one value for each class.

    Raises:
        InputError: their shapes do not agree; the message has both.
    """
    if per_class:
        one_each = number_of(outputs) == len(logits) > 1 or number_of(outputs) == 1
        for row, (own, due) in enumerate(zip(_lengths(outputs), _lengths(logits), strict=False)):
            if own != due:
                each = f"{quantity.name} has a value for each logit"
                why = each if one_each else f"row {row} has {plural(own, 'value')} for {plural(due, 'logit')}"
                _refuse(outputs, logits, quantity, why)
        if len(outputs) != len(logits):
            _refuse(
                outputs, logits, quantity,
                f"{plural(len(outputs), 'row of values')} for {plural(len(logits), 'row of logits')}",
            )  # fmt: skip
        return Outputs(outputs)
    return Outputs(_regrouped(outputs, logits, quantity))


def number_of(outputs: Batch) -> int:
    """How many values there are."""
    return sum(len(b) * b.classes for b in outputs.blocks)


def _lengths(batch: Batch) -> IntArray:
    """The length of each row."""
    lengths = np.empty(len(batch), dtype=np.int64)
    for block in batch.blocks:
        lengths[np.asarray(block.rows)] = block.classes
    return lengths


def _regrouped(outputs: Batch, logits: Batch, quantity: Quantity) -> Batch:
    """Outputs of one value a row, or of a matrix, cut anew."""
    matrix = quantity.shape == "matrix"
    due = np.concatenate([[0], np.cumsum(_lengths(logits) ** 2 if matrix else np.ones(len(logits), dtype=np.int64))])
    total = number_of(outputs)
    if total != due[-1]:
        what = "the square of each row's length" if matrix else "one a row"
        _refuse(outputs, logits, quantity, f"{plural(total, 'value')} where {due[-1]} are due, {what}")
    if len(outputs.blocks) == 1 and len(logits.blocks) == 1 and outputs.blocks[0].array.flags.c_contiguous:
        block, size = outputs.blocks[0], int(due[1])
        return replace(outputs, blocks=(replace(block, array=block.array.reshape(-1, size), rows=range(len(logits))),))
    taken = [block.take() for block in outputs.in_order()]
    values = np.concatenate([v.ravel() for v, _ in taken])
    texts: list[str] | None = None
    if any(tokens is not None for _, tokens in taken):
        texts = [t for v, tokens in taken for r in range(len(v)) for t in _texts(v[r], tokens[r] if tokens else None)]
    blocks = []
    for block in logits.blocks:
        rows = np.asarray(block.rows)
        at = due[rows][:, None] + np.arange(due[rows[0] + 1] - due[rows[0]])
        told = () if texts is None else tuple((k, texts[i]) for k, i in enumerate(at.ravel().tolist()) if texts[i])
        blocks.append(RawBlock(values[at], block.rows, told, name=outputs.blocks[0].name))
    return replace(outputs, blocks=tuple(blocks))


def _texts(values: FloatArray, tokens: tuple[str, ...] | None) -> tuple[str, ...]:
    return tokens if tokens is not None else ("",) * values.size


def shape(batch: Batch) -> str:
    """The shape of what was read, as messages say it: its own where it has one, else that of its rows."""
    if batch.shape is not None:
        return str(tuple(map(int, batch.shape)))
    if len(batch.blocks) == 1:
        return f"({len(batch)}, {batch.blocks[0].classes})"
    lengths = sorted({b.classes for b in batch.blocks})
    return f"({len(batch)}, {lengths[0]} to {lengths[-1]})"


def _refuse(outputs: Batch, logits: Batch, quantity: Quantity, why: str) -> None:
    raise InputError(
        f"the outputs have the shape {shape(outputs)} and the logits {shape(logits)}, as {quantity.name} they do not "
        f"agree: {why}",
        _hint(outputs, logits, quantity),
    )


def _hint(outputs: Batch, logits: Batch, quantity: Quantity) -> str:
    """What outputs of that shape most likely are."""
    count, rows, lengths = number_of(outputs), len(logits), _lengths(logits)
    if count == 1 < rows and quantity.is_loss:
        return REDUCED
    if count == lengths.sum() != rows and (quantity.shape in {"row", "loss", "target", "matrix"}):
        return ONE_A_CLASS
    if None not in (outputs.shape, logits.shape) and sorted(outputs.shape or ()) == sorted(logits.shape or ()):
        return TURNED
    found = {rows: ONE_A_ROW, 1: ONE_A_ROW if rows == 1 else ONE_IN_ALL, int((lengths**2).sum()): SQUARES}
    return found.get(count, AGREE)


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """The outputs, a row for each row of logits: as `methods.outputs.Source`."""

    batch: Batch

    def at(self, places: IntArray, o: Arithmetic) -> FloatArray:
        """The values of some rows of one length.

        Raises:
            InputError: one is no number of the format, and was none that is written in decimal digits.
        """
        blocks = self.batch.blocks
        if len(blocks) == 1 and isinstance(blocks[0].rows, range) and places[-1] - places[0] == places.size - 1:
            return self._numbers(blocks[0], int(places[0]), int(places[-1]) + 1, places, o)
        parts = self.batch.select(places.tolist()).blocks
        values = np.empty((places.size, parts[0].classes))
        for part in parts:
            rows = np.asarray(part.rows)
            values[rows] = self._numbers(part, 0, len(part), places[rows], o)
        return values

    def stored(self, places: IntArray, fmt: Format) -> NDArray[Any] | None:
        """The values of neighbouring rows as they are stored, [R, N]; None where that is another format, or in bits."""
        blocks = self.batch.blocks
        block = blocks[0]
        plain = len(blocks) == 1 and isinstance(block.rows, range) and block.widen is None and block.array.ndim == 2
        if not plain or block.array.dtype.name != fmt.name or places[-1] - places[0] != places.size - 1:
            return None
        block.check_length()
        return np.asarray(block.array[int(places[0]) : int(places[-1]) + 1])

    def select(self, numbers: Sequence[int]) -> Outputs:
        """Some rows alone."""
        return Outputs(self.batch.select(numbers))

    def number(self, fmt: Format) -> float:
        """The only value."""
        return float(self.at(np.zeros(1, dtype=np.int64), Arithmetic(fmt, fmt))[0, 0])

    def _numbers(self, block: RawBlock, start: int, stop: int, places: IntArray, o: Arithmetic) -> FloatArray:
        values, tokens = block.take(start, stop)
        fmt = o.format
        if block.widen is None and block.array.dtype.name == fmt.name:
            return values
        rounded = fmt.round(values)
        for r, written in enumerate(tokens or ()):
            if written is not None:
                rounded[r] = fmt.round_written(values[r], written)
        changed = (rounded != values) & ~np.isnan(values)
        if changed.any():
            if self.batch.dtype is not None:
                r, i = (int(k) for k in np.argwhere(changed)[0])
                raise InputError(
                    f"the outputs are {self.batch.dtype}, and not all are numbers of {fmt.name}: {values[r, i]!r} at index {i} "
                    f"of row {places[r]} is none",
                    f"judge them as what they are with -d {self.batch.dtype}, or save them as {fmt.name}",
                )
            o.notes.append(f"its values are decimals, rounded to {fmt.name}")
        return rounded
