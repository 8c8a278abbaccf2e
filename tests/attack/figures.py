"""The figures in the messages of findings, against values, truths and limits that were found without smcli."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codes import Seen

TRUE = re.compile(
    r"(?:the truth|derivative|the true loss)(?:(?: at index (\d+|\(\d+, \d+\)))? is|,) (-?[\d.]+(?:e[+-]?\d+)?|-?inf|nan)(?=[\s,;.]|$)"
)
HERE = re.compile(r"the truth, \S+ at index (\d+|\(\d+, \d+\)),")


def near(said: str, value: float, rel: float = 2e-5) -> bool:
    """Whether six digits say this number."""
    told = float(said.replace("−", "-"))
    return told == value or (math.isnan(told) and math.isnan(value)) or abs(told - value) <= rel * abs(value)


def same_truth(said: str, t: Fraction | float) -> bool:
    """Whether six digits, with an exponent of any size, say this truth."""
    if isinstance(t, float):
        return said == str(t)
    if abs(t) in {Fraction(2) ** 9999, Fraction(2) ** -9999}:
        return True  # an exponent that this attack does not take exactly
    return said not in {"inf", "-inf", "nan"} and abs(Fraction(said) - t) <= abs(t) * Fraction(2, 10**5)


def _flat(place: str, n: int) -> int:
    """A place in words as a flat index."""
    i, *j = map(int, place.strip("()").split(", "))
    return i * n + j[0] if j else i


def relative(y: float, t: Fraction) -> float:
    """The relative error, infinite beyond floats."""
    error = abs(Fraction(y) - t) / abs(t)
    return float(error) if error < Fraction(2) ** 1023 else math.inf


def wrong(seen: Seen, f: dict[str, Any]) -> Iterator[str]:
    """What a message says and is not so."""
    message, code = f["message"], f["code"]
    at = [i if isinstance(i, int) else i[0] * seen.n + i[1] for i in f["at"]]
    found, most = TRUE.search(message), re.search(r"is returned at index (\d+) where", message)
    here = HERE.search(message)
    named = (found and found[1]) or (here and here[1])
    told = [_flat(named, seen.n)] if named else [int(most[1])] if most and code == "SM401" else at
    about_values = code not in {"SM201", "SM202", "SM203", "SM304", "SM403", "SM404", "SM407", "SM408", "SM503"}
    if found and about_values and "the truth is 0" not in message:
        for i in told:
            t = seen.exact[i]
            if not same_truth(found[2], t):
                yield f"{message}: the truth at {i} is {t if abs(t) > 1e300 else float(t)}"
    for pattern, value in _due(seen, code, at):
        told = re.search(pattern, message)
        if told and not near(told[1], value):
            yield f"{message}: it is {value}"


def _due(seen: Seen, code: str, at: list[int]) -> Iterator[tuple[str, float]]:
    """Patterns, and the figures that they have to find."""
    y = seen.y
    if code == "SM401":
        worst = max(at, key=lambda i: seen.ulp[i]) if len(at) < 100 else None
        if worst is not None:
            yield r"up to (\S+) ulp", seen.ulp[worst]
            limit = seen.limit(worst) if seen.limits is not None else None
            if limit is not None:
                yield r"within (\S+) ulp", limit
            t = seen.exact[worst]
            if isinstance(t, Fraction) and t and abs(t) < Fraction(2) ** 1000:
                yield r"\((\S+) relative", relative(y[worst], t)
    if code == "SM403":
        total = sum(map(Fraction, y))
        yield r"sum to ([^+−;]+);", float(total)
        yield r"sum to 1 \+ ([^;]+);", float(total - 1)
        yield r"sum to 1 − ([^;]+);", float(1 - total)
    if code == "SM503":
        yield r"sums to (\S+) ", float(sum(map(Fraction, y)))
    if code == "SM404" and seen.stall is not None:
        yield from _stalled(*seen.stall)
    if code in {"SM303", "SM501", "SM904"} and at:
        yield r"(?:^|: |is )(-?[\d.e+-]+|-?inf|nan) is returned", y[at[0]]
    if code == "SM405" and len(at) < 100:
        yield r"wrong by (?:up to )?(\S+) relative", max(relative(y[i], Fraction(seen.exact[i])) for i in at)


def _stalled(end: Fraction, due: Fraction, left: Fraction) -> Iterator[tuple[str, float]]:
    """The figures of a sum that ended there, should have ended there, and left out terms of that sum."""
    yield r"ended at ([^\s,:]+)", float(end)
    yield r"(?:of its terms, |terms sum to )([^\s:]+):", float(due)
    yield r"left out sum to (\S+)$", float(left)
    if due > 0:
        yield r", (\S+) % (?:below|above) the sum", float(100 * abs(end - due) / due)
