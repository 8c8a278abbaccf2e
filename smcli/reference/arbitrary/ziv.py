"""Ziv's loop: more bits until the enclosure is as narrow, or the digits are as certain, as asked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from smcli.errors import PrecisionError
from smcli.reference.arbitrary.decimal import decimal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.reference.arbitrary.interval import Enclosure

WORK = 24  # bits beyond those asked for in the first attempt
BITS_PER_DIGIT = 3.3219280948873626
LIMIT_FACTOR, LIMIT_BITS = 4, 100_000  # the loop gives up beyond 4 times the bits asked for and 100000 more
T = TypeVar("T")


def digits_of(enclose: Callable[[int], Enclosure | float], digits: int) -> str:
    """The enclosed value to `digits` significant digits, every one certain."""
    return until(lambda bits: decimal_of(enclose(bits), digits), math.ceil(digits * BITS_PER_DIGIT) + 12)


def until(attempt: Callable[[int], T | None], bits: int) -> T:
    """The first result of the attempts with that many bits, twice as many and so on."""
    limit = LIMIT_FACTOR * bits + LIMIT_BITS
    while bits <= limit:
        result = attempt(bits)
        if result is not None:
            return result
        bits *= 2
    raise PrecisionError(
        f"a true value is not settled by {limit} bits of precision",
        "it is closer to another number than any computation here can tell; ask for fewer digits",
    )
