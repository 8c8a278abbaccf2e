"""Arrays as a whole: read and refused as everywhere, then judged without an object for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smcli import quantities
from smcli.api.objects import ONE_CLASS, Objects
from smcli.errors import InputError, OptionError, UsageError
from smcli.model import Loss, Problem, Truth
from smcli.numbers import formats
from smcli.numbers.wide import rounded
from smcli.numbers.words import plural
from smcli.read import array_of, from_object, integers

if TYPE_CHECKING:
    from smcli.batch import Batch
    from smcli.model import FloatArray, IntArray
    from smcli.numbers.formats import Format


def truth(array: object, quantity: str, dtype: object, target: object) -> Truth:
    """What `smcli.truth` returns."""
    from smcli.reference import Reference, check_reach

    asked = quantities.get(quantity)
    if asked.needs not in {"", "target or labels"} or asked.shape == "matrix":
        raise UsageError(f"truth knows no quantity {quantity!a}", "use exact, which knows all of them")
    named = Objects({"dtype": dtype}).word("dtype")
    batch = from_object(array)
    fmt = formats.get(named or batch.dtype or "float64")
    shape = _shape(array) or (1,)
    logits = _logits(batch, fmt)
    if asked.needs and target is None:
        raise OptionError("target", f"is needed by {asked.name}", ONE_CLASS)
    loss = None if target is None else Loss(target=_targets(target, logits))
    problem = Problem(fmt.name, logits, loss)
    found = Reference(problem).truth(asked.name)
    if found.exp2.flags.writeable:  # else every exponent is 0
        check_reach(problem, asked.name)
    whole = (*shape[:-1], found.hi.shape[1])
    return Truth(found.hi.reshape(whole), found.lo.reshape(whole), found.exp2.reshape(whole), found.bound)


def _logits(batch: Batch, fmt: Format) -> FloatArray:
    """The logits in the format, [R, C]."""
    block = batch.blocks[0]
    if not block.texts:
        return rounded(block.array.reshape(-1, block.classes), fmt)
    return np.stack([fmt.round_written(row.values, row.tokens) for row in batch])


def _shape(obj: Any) -> tuple[int, ...]:
    """The shape of nested lists, which may hold arrays.

    Raises:
        InputError: some are longer than others.
    """
    array = array_of(obj)
    if array is not None:
        return array.shape
    if isinstance(obj, (str, bytes)) or not hasattr(obj, "__len__"):
        return ()
    inner = {_shape(item) for item in obj}
    if len(inner) > 1:
        raise InputError("the lists have different lengths", "truth takes what has the shape of an array; exact a row")
    return (len(obj), *next(iter(inner)))


def _targets(target: object, logits: FloatArray) -> IntArray:
    """The right class of each row: one for all, or as many as there are rows.

    Raises:
        InputError: they are no integers, or not classes, or do not fit the rows.
    """
    count, classes = logits.shape
    array = array_of(target)
    if array is None or array.dtype.kind not in "iu":
        array = np.array(integers(from_object(target), "target"))
    found = array.reshape(-1)
    if found.size not in {1, count}:
        raise InputError(
            f"{plural(found.size, 'target')} for {plural(count, 'row')}",
            "give one target for all rows, or one for each",
        )
    wrong = (found < 0) | (found >= classes)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(f"target {found[row]} of row {row} is not a class: there are {classes}, counted from 0",
                         f"targets run from 0 to {classes - 1}")  # fmt: skip
    return np.broadcast_to(found.astype(np.int64), (count,))
