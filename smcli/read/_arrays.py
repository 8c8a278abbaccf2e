"""Arrays as they are stored become blocks: which dtypes are read, which number format they are, how float64 holds them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.batch import RawBlock
from smcli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from smcli.model import FloatArray

    Texts = tuple[tuple[int, str], ...]

FORMATS = {"float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"}
BLOCK = 1 << 20  # numbers of a streamed block
HINT = "logits are numbers: a list, a list of rows, or an array"

_EXACT_INTEGERS = 2**53  # below it every integer is a float64
_LONG = 2048  # bits of an integer that Python writes in decimal digits whatever limit it is given: 640 is the least
_HINTS = {
    "O": "a pickle is never loaded; save an array of numbers",
    "V": "a .npy file does not name bfloat16 and float8: save the array as float32, or as .safetensors",
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


def check(dtype: np.dtype[Any], shape: tuple[int, ...], what: str) -> None:
    """Raise InputError for an array that is empty, or does not hold real numbers."""
    if problem := refusal(dtype):
        raise InputError(f"{what} holds {problem}, not real numbers", _HINTS.get(dtype.kind, HINT))
    if 0 in shape:
        raise InputError(f"no logits in {what}: its shape is {shape}", HINT)


def refusal(dtype: np.dtype[Any]) -> str | None:
    """What a dtype holds, when that is not real numbers."""
    if dtype.names or dtype.type is np.void:
        return f"bytes without a number format ({dtype.str})"
    return _REFUSED.get(dtype.kind)


def number_format(dtype: np.dtype[Any], coding: str | None = None) -> str | None:
    """The number format that a dtype is; None of integers and long doubles."""
    name = coding or dtype.name
    return name if name in FORMATS else None


def block(array: NDArray[Any], name: str, axis: int | None = None, coding: str | None = None) -> RawBlock:
    """All rows of an array along an axis, by default the last; nothing is copied.

    Args:
        array: any real dtype that `check` lets pass, or the bits of `coding`.
        name: what messages call it.
        axis: the axis of the classes.
        coding: bfloat16, float8_e4m3fn or float8_e5m2 where the array holds their bits as integers.

    Raises:
        InputError: it has no such axis.
    """
    array = classes_last(np.atleast_1d(array), axis, name)
    rows = range(math.prod(array.shape[:-1]))
    dtype = number_format(array.dtype, coding)
    return RawBlock(array, rows, widen=_widen(array.dtype, coding), name=name, dtype=dtype)


def classes_last(array: NDArray[Any], axis: int | None, name: str) -> NDArray[Any]:
    """A view of an array with the axis of the classes last, and of two axes where a view can have them."""
    array = np.moveaxis(array, check_axis(axis, array.ndim, name), -1)
    if array.flags.c_contiguous or array.ndim == 1:
        return array.reshape(-1, array.shape[-1])
    return array


def check_axis(axis: int | None, ndim: int, name: str) -> int:
    """The axis, which has to be one of so many.

    Raises:
        InputError: it is not.
    """
    if axis is not None and not -ndim <= axis < ndim:
        axes = "one axis" if ndim == 1 else f"{ndim} axes"
        raise InputError(f"axis {axis} is out of range: {name} has {axes}", f"axes run from {-ndim} to {ndim - 1}")
    return -1 if axis is None else axis


def slices(whole: RawBlock) -> Iterator[RawBlock]:
    """The rows of a block in blocks of bounded size, which are views of it."""
    step = max(1, BLOCK // whole.classes)
    for start in range(0, len(whole), step):
        rows = range(start, min(start + step, len(whole)))
        yield whole.select(rows, range(whole.rows[rows.start], whole.rows[rows.stop - 1] + 1))


def _widen(dtype: np.dtype[Any], coding: str | None) -> Callable[[NDArray[Any]], tuple[FloatArray, Texts]] | None:
    if coding is not None:
        return CODINGS[coding]
    if dtype.kind == "f" and dtype.itemsize > np.dtype(np.float64).itemsize:
        return _long_doubles
    return _integers if dtype.kind in "iu" and dtype.itemsize == np.dtype(np.int64).itemsize else None


def _integers(part: NDArray[Any]) -> tuple[FloatArray, Texts]:
    values = part.astype(np.float64)
    large = np.flatnonzero(np.abs(values) >= _EXACT_INTEGERS)
    items = zip(large.tolist(), part.ravel()[large].tolist(), values.ravel()[large].tolist(), strict=True)
    return values, tuple((at, str(item)) for at, item, value in items if item != int(value))


def _long_doubles(part: NDArray[Any]) -> tuple[FloatArray, Texts]:
    with np.errstate(all="ignore"):
        values = part.astype(np.float64)
        changed = np.flatnonzero((values.astype(part.dtype) != part) & ~np.isnan(part))
    return values, tuple((int(at), ratio(*part.ravel()[at].as_integer_ratio())) for at in changed)


def _bfloat16(part: NDArray[Any]) -> tuple[FloatArray, Texts]:
    with np.errstate(all="ignore"):
        return (part.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64), ()


def _float8_e5m2(part: NDArray[Any]) -> tuple[FloatArray, Texts]:
    with np.errstate(all="ignore"):
        return (part.astype(np.uint16) << np.uint16(8)).view(np.float16).astype(np.float64), ()


def _float8_e4m3fn(part: NDArray[Any]) -> tuple[FloatArray, Texts]:
    exponent, mantissa = (part >> 3) & 15, (part & 7).astype(np.float64)
    normal = np.ldexp(mantissa + 8.0, exponent.astype(np.int32) - 10)
    size = np.where(exponent > 0, normal, np.ldexp(mantissa, -9))
    size = np.where((part & 127) == 127, np.nan, size)
    return np.where(part & 128, -size, size), ()


CODINGS = {"bfloat16": _bfloat16, "float8_e4m3fn": _float8_e4m3fn, "float8_e5m2": _float8_e5m2}


def ratio(top: int, bottom: int) -> str:
    """The token of a ratio, exactly."""
    return digits(int(top)) if int(bottom) == 1 else f"{digits(int(top))}/{digits(int(bottom))}"


def digits(integer: int) -> str:
    """An integer in digits that Python itself reads back, however long."""
    return str(integer) if integer.bit_length() < _LONG else hex(integer)


def is_exact(value: float, top: int, bottom: int) -> bool:
    """Whether a float64 is that ratio."""
    return math.isfinite(value) and Fraction(value) == Fraction(top, bottom)
