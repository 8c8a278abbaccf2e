"""Numbers as text for people: how a value, an error and a truth are spelled, and how one is shortened honestly."""

from __future__ import annotations

import math
import re

from smcli.numbers.words import upwards

NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d*))?(?:e([+-]?\d+))?")
FAR = 9  # digits of an exponent from which on the exponent itself is rounded


def value(x: float) -> str:
    """A computed value in the fewest digits that give it back, as in Python; integers without a point."""
    if not math.isfinite(x):
        return "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"
    return str(int(x)) if x == int(x) and abs(x) < 1e16 else repr(x)


def number(x: float) -> str:
    """`value` for people: an exponent has no zeros and signs that say nothing."""
    return tidy(value(x))


def error(x: float) -> str:
    """An error in two digits."""
    if not math.isfinite(x):
        return value(x)
    return "0" if x == 0 else f"{x:.0f}" if 9.95 <= x < 99999.5 else tidy(f"{x:.2g}")


def error_above(x: float, floor: float) -> str:
    """An error in two digits, or that it is below what the truth's own bound tells apart."""
    return f"< {bound(floor, 1 if floor < 0.01 else 2)}" if 0 < x < floor else error(x)


def bound(x: float, digits: int = 2) -> str:
    """What an error is at the most: spelled as one, and never less than it is."""
    if not math.isfinite(x) or x == 0:
        return value(x)
    if 9.95 <= x < 99999:
        return str(math.ceil(x))
    return tidy(f"{float(upwards(x, digits)):.{digits}g}")


def tidy(text: str) -> str:
    """An exponent without zeros and signs that say nothing."""
    return re.sub(r"e\+?(-?)0*(\d)", r"e\1\2", text)


def shorten(text: str, digits: int) -> str:
    """A decimal number rounded to at most so many significant digits; nan and the infinities as they are.

    Zeros at the end stay where digits were left out. A number that lies just between two such roundings keeps the digit
    that says so, since its text may be rounded itself. Of an exponent so long that no mantissa would matter only its
    own first digits are told: 10^-7.80718e307.
    """
    found = NUMBER.fullmatch(text)
    if found is None:
        return text
    sign, whole, fraction, exponent = found[1], found[2], found[3] or "", found[4] or "0"
    if len(exponent) > FAR:
        return f"{sign}10^{shorten(exponent.lstrip('+'), min(digits, 6))}"
    significant = (whole + fraction).lstrip("0")
    if len(significant.rstrip("0")) <= digits:
        return text
    place = int(exponent) - 1 + (len(whole) if whole.strip("0") else len(significant) - len(fraction))
    kept, rest = significant[:digits], significant[digits:]
    if rest.rstrip("0") == "5":
        return sign + lay_out(kept + "5", place)
    number = int(kept) + (rest[0] >= "5")
    if number == 10**digits:
        number, place = number // 10, place + 1
    return sign + lay_out(str(number), place)


def lay_out(digits: str, place: int) -> str:
    """Digits with the decimal point after the one that counts 10^place; far from 1 with an exponent."""
    if place >= len(digits) or place < -5:
        point = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
        return f"{point}e{place}"
    if place < 0:
        return f"0.{'0' * (-place - 1)}{digits}"
    return f"{digits[: place + 1]}.{digits[place + 1 :]}".rstrip(".")


def spell(exponent: float) -> str:
    """10**exponent in a few digits, whatever its size; 0, inf and nan by their names."""
    if not math.isfinite(exponent):
        return "nan" if math.isnan(exponent) else "inf" if exponent > 0 else "0"
    if abs(exponent) >= 1e9:
        return f"10^{exponent:.3g}"
    if -4 <= exponent < 5:
        return f"{10.0**exponent:.3g}" if exponent < 3 else f"{10.0**exponent:.0f}"
    whole = math.floor(exponent + 1e-9)
    digits = f"{10.0 ** (exponent - whole):.2g}"
    return f"{'1e' + str(whole + 1) if digits == '10' else f'{digits}e{whole}'}"


def listed(numbers: list[int] | tuple[int, ...], count: int) -> str:
    """The first of some numbers, and how many more there are."""
    more = f" and {count - len(numbers)} more" if count > len(numbers) else ""
    return ", ".join(map(str, numbers)) + more
