"""Arrays of integers and long doubles, which a float64 does not hold, rounded to a number format once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smcli.model import FloatArray
    from smcli.numbers.formats import Format

_LOW = 12  # bits: what is above them of a 64-bit integer is a float64


def rounded(array: NDArray[Any], fmt: Format) -> FloatArray:
    """The numbers of an array in the format, each rounded just once; any real dtype and any shape.

    Where a float64 cannot hold a number, the one with an odd last bit of the two around it stands for it: that one is
    never half way between two numbers of a narrower format, and lies on the right side of those that are (Boldo and
    Melquiond 2008).
    """
    if array.dtype.name == fmt.name:
        return np.asarray(array, dtype=np.float64)
    with np.errstate(all="ignore"):  # beyond float64 an infinity stands
        x = np.asarray(array, dtype=np.float64)
        if fmt.p < 53 and (side := _left(array, x)) is not None:
            even = (x.view(np.int64) & 1) == 0
            x = np.where((side != 0) & even & np.isfinite(x), np.nextafter(x, side * np.inf), x)
    return fmt.round(x)


def _left(array: NDArray[Any], x: FloatArray) -> FloatArray | None:
    """The sign of what the nearest float64 leaves of each number; None where every one is a float64."""
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        low = (array & ((1 << _LOW) - 1)).astype(np.float64)
        high = array - (array & ((1 << _LOW) - 1))
        return np.asarray(np.sign(low - (x - high.astype(np.float64))))  # all three are exact
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return np.asarray(np.sign(array - x.astype(array.dtype)), dtype=np.float64)
    return None
