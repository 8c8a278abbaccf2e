"""Python objects: nested lists and arrays become rows, each element a number and what a float64 would lose of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.errors import InputError
from smcli.model import RawRow
from smcli.numbers.words import parse, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_MAX_DEPTH = 64  # as many axes as a NumPy array may have
_EXACT_INTEGERS = 2**53  # below it every integer is a float64
_LONG = 4096  # bits of an integer that Python writes in decimal digits without complaint
_HINT = "logits are numbers: a list, a list of rows, or an array"
_HINTS = {
    "O": "a pickle is never loaded; save an array of numbers",
    "V": "a .npy file does not name bfloat16 and float8: save the array as float32",
}
_REFUSED = {
    "b": "booleans",
    "c": "complex numbers",
    "O": "pickled Python objects",
    "U": "text",
    "S": "bytes",
    "M": "dates",
    "m": "time spans",
}

Element = tuple[float, str | None]  # the nearest float64, and a token where that is not exact


def rows(obj: object) -> Iterator[RawRow]:
    """The rows of a number, a list, nested lists, or anything with `__array__` or DLPack.

    Raises:
        InputError: naming row and index of what is not a number.
    """
    for row, items in enumerate(innermost(obj if is_list(obj) else [obj])):
        if isinstance(items, np.ndarray):
            yield array_row(items)
        else:
            yield build(items, element, row)


def innermost(items: Any, place: str = "", path: str = "", depth: int = 1) -> Iterator[Any]:
    """The lists of numbers in nested lists, in order; of an array within them, its rows. `place` ends a message.

    Raises:
        InputError: numbers and lists are mixed in one list, or a list is empty.
    """
    where = f" at {path}{place}" if path else place
    if depth > _MAX_DEPTH:
        raise InputError(f"lists are nested deeper than {_MAX_DEPTH}{place}", _HINT)
    if is_array(items):
        array = as_array(items)
        if array.dtype.kind != "O":
            check(array.dtype, array.shape, f"the array{where}")
            yield from (array[index] for index in np.ndindex(array.shape[:-1]))
            return
        items = array.tolist()
    lists = sum(is_list(item) for item in items)
    if not len(items):
        raise InputError(f"no logits: an empty list{where}", _HINT)
    if not lists:
        yield items
    elif lists < len(items):
        raise InputError(f"numbers and lists stand side by side in one list{where}", _HINT)
    else:
        for i, item in enumerate(items):
            yield from innermost(item, place, f"{path}[{i}]", depth + 1)


def build(items: Sequence[Any], element: Callable[[Any], Element], row: int, place: str = "") -> RawRow:
    """A row of elements; `place` ends a message about one that is not a number."""
    if set(map(type, items)) == {float}:
        return RawRow(np.array(items, dtype=np.float64))
    values, tokens = [], []
    for index, item in enumerate(items):
        try:
            value, token = element(item)
        except ValueError as error:
            raise InputError(f"logit {index} of row {row}: {error}{place}", _HINT) from None
        values.append(value)
        tokens.append(token)
    kept = None
    if any(token is not None for token in tokens):
        kept = tuple(token or repr(value) for token, value in zip(tokens, values, strict=True))
    return RawRow(np.array(values, dtype=np.float64), kept)


def element(item: Any) -> Element:
    """One Python number: int, float, Decimal, Fraction, a NumPy scalar, or anything that gives an exact ratio.

    Raises:
        ValueError: it is none; the text says what it is.
    """
    if isinstance(item, float):
        return float(item), None
    if isinstance(item, bool):
        raise ValueError(f"{item} is not a number")  # noqa: TRY004 - the caller adds the place
    if isinstance(item, str):
        raise ValueError(f"{show(item)} is text, not a number")  # noqa: TRY004
    if isinstance(item, Decimal):
        return (math.nan, None) if item.is_nan() else (parse(str(item)), str(item))
    if isinstance(item, np.generic) or is_array(item):
        array = as_array(item)
        if array.dtype.kind == "O":
            return element(array.item())
        if problem := refusal(array.dtype):
            raise ValueError(f"{problem} are not numbers")
        row = array_row(array.reshape(1))
        return float(row.values[0]), row.tokens[0] if row.tokens else None
    return _ratio(item)


def _ratio(item: Any) -> Element:
    """A number that gives its exact ratio; infinities and nan have none."""
    try:
        top, bottom = map(int, item.as_integer_ratio())
    except (OverflowError, ValueError):
        return float(item), None
    except (AttributeError, TypeError):
        raise ValueError(f"{type(item).__name__} is not a number") from None
    if not top:
        return float(item), None
    try:
        value = top / bottom
    except OverflowError:
        value = math.inf if top > 0 else -math.inf
    if math.isfinite(value) and Fraction(value) == Fraction(top, bottom):
        return value, None
    return value, _digits(top) if bottom == 1 else f"{_digits(top)}/{_digits(bottom)}"


def _digits(integer: int) -> str:
    return str(integer) if integer.bit_length() < _LONG else hex(integer)


def array_rows(array: NDArray[Any], what: str) -> Iterator[RawRow]:
    """The rows of an array along its last axis, one by one; a mapped file is read as they are taken.

    Raises:
        InputError: the array is empty, or does not hold real numbers.
    """
    check(array.dtype, array.shape, what)
    array = np.atleast_1d(array)
    for index in np.ndindex(array.shape[:-1]):
        yield array_row(array[index])


def check(dtype: np.dtype[Any], shape: tuple[int, ...], what: str) -> None:
    """Raise InputError for an array that is empty, or does not hold real numbers."""
    if problem := refusal(dtype):
        raise InputError(f"{what} holds {problem}, not real numbers", _HINTS.get(dtype.kind, _HINT))
    if 0 in shape:
        raise InputError(f"no logits in {what}: its shape is {shape}", _HINT)


def refusal(dtype: np.dtype[Any]) -> str | None:
    """What a dtype holds, when that is not real numbers."""
    if dtype.names or dtype.type is np.void:
        return f"bytes without a number format ({dtype.str})"
    return _REFUSED.get(dtype.kind)


def array_row(array: NDArray[Any]) -> RawRow:
    """A row of one axis, in any real dtype: tokens only where float64 would lose something."""
    if array.dtype.kind == "f" and array.dtype.itemsize > np.dtype(np.float64).itemsize:
        return build(list(array), _ratio, 0)
    with np.errstate(all="ignore"):  # a signaling nan
        values = np.array(array, dtype=np.float64)
    if array.dtype.kind in "iu" and not (np.abs(values) < _EXACT_INTEGERS).all():
        return RawRow(values, tuple(map(str, array.tolist())))
    return RawRow(values)


def is_list(item: object) -> bool:
    """Whether it holds further elements: a sequence that is not text, or an array with an axis."""
    if isinstance(item, (list, tuple)):
        return True
    if isinstance(item, (float, int, str, bytes, bytearray, np.generic)):
        return False
    return getattr(item, "ndim", 1) > 0 and (is_array(item) or isinstance(item, Sequence))


def is_array(item: object) -> bool:
    """Whether NumPy can take it as an array: it has `__array__` or DLPack."""
    return hasattr(type(item), "__array__") or hasattr(type(item), "__dlpack__")


def as_array(obj: Any) -> NDArray[Any]:
    """A NumPy array of it, its values unchanged; a torch tensor may need a gradient, be bfloat16, or be on a device.

    Raises:
        InputError: there is none, or some of it is masked.
    """
    if isinstance(obj, np.ma.MaskedArray) and np.ma.is_masked(obj):
        raise InputError("some logits are masked: what they are is not known", "fill them: array.filled(-np.inf)")
    ways: list[Callable[[], Any]] = [
        lambda: np.asarray(obj) if hasattr(type(obj), "__array__") else np.from_dlpack(obj),
        lambda: np.asarray(obj.detach().cpu()),
        lambda: np.asarray(obj.detach().cpu().float()),
    ]
    problem = ""
    for way in ways:
        try:
            array: NDArray[Any] = way()
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
            problem = problem or str(error)
        else:
            return array
    raise InputError(f"the {type(obj).__name__} cannot be taken as an array: {show(problem, 200)}", _HINT)
