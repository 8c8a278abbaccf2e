"""The exact value of a token, for the one rounding of a number into its format."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from smcli.errors import PrecisionError
from smcli.numbers.words import parse, show

_FAR = 10**15  # an exponent beyond any number of digits that a text can hold
_MAX_BITS = 1 << 18  # size of a fraction that `exact` is willing to build
_BEYOND = 1100  # no float64 but 0 and the infinities lies outside 2**±1100


def compare_exact(token: str, value: float) -> int:
    """The sign of (exact value of the token) - value: -1, 0 or 1.

    Exact and fast for any number of digits and any exponent: nothing is expanded. An infinity equals itself.

    Args:
        token: a token of a RawRow: decimal, hexadecimal, or the ratio "n/d" of a Python object.
        value: any float64 but nan.

    Raises:
        ValueError: the token is nan or not a number, or the value is nan.
    """
    infinity = _infinity(token)
    if math.isnan(value) or (infinity is not None and math.isnan(infinity)):
        raise ValueError("nan has no order")
    if infinity is not None:
        return (infinity > value) - (infinity < value)
    number = _decimal(token) if _is_decimal(token) else _clipped_ratio(token)
    return (number > value) - (number < value)


def exact(token: str) -> Fraction:
    """The exact value of a finite token.

    Raises:
        ValueError: the token is not a finite number.
        PrecisionError: the fraction would be huge, as that of 1e999999999; `compare_exact` takes any.
    """
    if _infinity(token) is not None:
        raise ValueError(f"{show(token)} is not finite")
    number = _decimal(token) if _is_decimal(token) else _scaled(token)
    if isinstance(number, Fraction):
        return number
    if isinstance(number, Decimal):
        _, digits, exponent = number.as_tuple()
        bits = 4 * (len(digits) + abs(int(exponent)))
    else:
        bits = number[0].bit_length() + abs(number[1])
    if bits > _MAX_BITS:
        raise PrecisionError(f"{show(token)} has too many digits to be taken exactly")
    return Fraction(number) if isinstance(number, Decimal) else number[0] * Fraction(2) ** number[1]


def _infinity(token: str) -> float | None:
    """The value of a token that says inf or nan; None of one that is written in digits."""
    if "/" in token:
        return None
    value = parse(token)
    return value if "n" in token.lower() else None


def _is_decimal(token: str) -> bool:
    return "/" not in token and "x" not in token.lower()


def _decimal(token: str) -> Decimal:
    mantissa, _, exponent = token.lower().partition("e")
    return Decimal(f"{mantissa}e{_exponent(exponent)}")


def _scaled(token: str) -> Fraction | tuple[int, int]:
    """The ratio of "n/d", or the integer n and the exponent e of a hexadecimal n * 2**e."""
    if "/" in token:
        numerator, denominator = token.split("/")
        return Fraction(int(numerator, 0), int(denominator, 0))
    mantissa, _, exponent = token.lower().replace("0x", "", 1).partition("p")
    whole, _, part = mantissa.partition(".")
    return int(whole + part, 16), _exponent(exponent) - 4 * len(part)


def _clipped_ratio(token: str) -> Fraction:
    """The value of "n/d" or of a hexadecimal token, moved to ±2**±_BEYOND when it lies further out."""
    number = _scaled(token)
    if isinstance(number, Fraction):
        return number
    mantissa, exponent = number
    size = mantissa.bit_length() + exponent  # 2**(size - 1) <= |token| < 2**size
    if mantissa and abs(size) > _BEYOND:
        mantissa, exponent = (1 if mantissa > 0 else -1), (_BEYOND if size > 0 else -_BEYOND)
    return mantissa * Fraction(2) ** exponent if mantissa else Fraction(0)


def _exponent(written: str) -> int:
    """The exponent that is written, kept within ±_FAR: Python refuses to convert thousands of digits."""
    digits = written.lstrip("+-").lstrip("0")
    size = 0 if not digits else int(digits) if len(digits) < len(str(_FAR)) else _FAR
    return -size if written.startswith("-") else size
