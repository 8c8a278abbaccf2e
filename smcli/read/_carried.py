"""Targets and labels that stand beside the logits in one input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from smcli.errors import InputError
from smcli.numbers.words import plural, show, show_all

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from smcli.batch import Batch, RawBlock
    from smcli.read._source import Source
    from smcli.read._stored import Stored

LOGITS = "logits"
TARGETS = ("target", "targets", "label", "labels")

_EXACT = 2**53
_LEAVE = "one class for each row, or as many labels as logits; --key logits leaves them alone"


class Beside(NamedTuple):
    """An array beside the logits."""

    key: str
    array: NDArray[Any]
    name: str


def is_target(name: str | None) -> bool:
    """Whether an array of that name holds the targets of the logits beside it."""
    return name in TARGETS


def targets(found: Sequence[int], rows: int, name: str) -> tuple[int, ...]:
    """The right class of each row.

    Raises:
        InputError: there is not one for each row.
    """
    if len(found) != rows:
        raise InputError(
            f"{plural(len(found), 'target')} for {plural(rows, 'row of logits')}, {name}", "give one for each row"
        )
    return tuple(found)


def logits_key(keys: Collection[str], source: Source) -> str:
    """The key of the logits among the arrays of a file: the one asked for, the only one, or logits beside targets.

    Raises:
        InputError: there is none, or no one can tell.
    """
    key = source.how.key
    if key is None and LOGITS in keys and all(k == LOGITS or is_target(k) for k in keys):
        return LOGITS
    if key is not None and key not in keys:
        raise InputError(
            f"{source.name} has no array {show(key)}; its arrays: {show_all(keys)}", "choose one with --key NAME"
        )
    if key is None and len(keys) != 1:
        raise InputError(f"{source.name} holds {len(keys)} arrays: {show_all(keys)}", "choose one with --key NAME")
    return next(iter(keys)) if key is None else key


def beside(keys: Collection[str], source: Source, key: str) -> list[str]:
    """The keys of the targets that a file carries, unless one array was asked for."""
    return [k for k in keys if k != key] if source.how.key is None else []


def with_targets(batch: Batch, carried: Iterable[Beside], source: Source) -> Batch:
    """The batch with the targets or the soft labels beside it.

    Raises:
        InputError: they do not fit the rows, or are both.
    """
    from dataclasses import replace

    from smcli.batch import Batch as Rows
    from smcli.read._arrays import block, classes_last

    shape = batch.blocks[0].array.shape
    for found in carried:
        several = found.array.ndim > 1  # a single number is the target of a single row
        last = classes_last(found.array, source.how.axis, found.name) if several else found.array
        if batch.target is not None or batch.labels is not None:
            raise InputError(
                f"{source.name} has several arrays of targets", "choose the logits alone with --key logits"
            )
        if several and last.shape == shape:
            batch = replace(batch, labels=Rows((block(last, found.name),)))
        else:
            batch = replace(batch, target=tuple(_classes(found, len(batch)).tolist()))
    return batch


def blocks_with_targets(stored: Stored, carried: Iterable[Beside], source: Source) -> Iterator[RawBlock]:
    """The blocks of an array, each with its targets; soft labels are not streamed."""
    target = _target(stored, carried, source)
    for block in stored.blocks(source):
        yield block if target is None else block.with_target(target[block.rows])


def mapped(stored: Stored, carried: Iterable[Beside], source: Source) -> RawBlock | None:
    """All rows of an array as one block with its targets; None where it cannot be mapped."""
    if stored.offset is None:
        return None
    target = _target(stored, carried, source)
    (block,) = stored.batch(source).blocks
    return block if target is None else block.with_target(target)


def _target(stored: Stored, carried: Iterable[Beside], source: Source) -> Any:
    """The right class of each row, int64 [rows], or None."""
    found = list(carried)
    if len(found) > 1:
        raise InputError(f"{source.name} has several arrays of targets", "choose the logits alone with --key logits")
    return _classes(found[0], stored.rows(source.how.axis)) if found else None


def _classes(found: Beside, rows: int) -> Any:
    """The targets of an array, int64 [rows]."""
    import numpy as np

    flat = found.array.reshape(-1)
    if flat.size != rows:
        raise InputError(
            f"{found.name} holds {plural(flat.size, 'number')} for {plural(rows, 'row of logits')}", _LEAVE
        )
    if flat.dtype.kind not in "iu":
        with np.errstate(all="ignore"):
            flat = flat.astype(np.float64)
        if not ((flat == np.rint(flat)) & (np.abs(flat) < _EXACT)).all():
            raise InputError(f"{found.name} holds numbers that are no classes", _LEAVE)
    return flat.astype(np.int64)
