"""Where an axis has its ticks, and what they say: round numbers, also in decades far outside of float64."""

from __future__ import annotations

import math


def ticks(low: float, high: float, most: int, *, decades: bool, whole: bool = False) -> list[tuple[float, str]]:
    """At most about `most` round places between low and high, each with its label.

    Args:
        low: start of the axis; with `decades` the log10 of what is shown there.
        high: its end.
        most: how many there is room for.
        decades: label a place y as 10**y.
        whole: only integers, as for indices.
    """
    if decades and high - low < 2.5:
        places = [e + math.log10(d) for e in range(math.floor(low), math.ceil(high) + 1) for d in (1, 2, 5)]
        inside = [p for p in places if low <= p <= high]
        if len(inside) > most:
            inside = [p for p in inside if abs(p - round(p)) < 1e-9] or inside[:: len(inside) // most + 1]
        return [(p, spell(p)) for p in inside]
    step = _step((high - low) / max(most, 1), whole=whole or decades)
    first = math.ceil(low / step)
    places = [k * step for k in range(first, first + most + 2) if k * step <= high]
    return [(p, spell(p) if decades else f"{p:.15g}") for p in places]


def _step(least: float, *, whole: bool) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below."""
    if whole and least <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))


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
