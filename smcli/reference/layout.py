"""How a certified number is written: fixed notation in the middle, an exponent outside, no trailing zeros."""

from __future__ import annotations

FIXED_FROM = -5  # 1e-5 and above in fixed notation
FIXED_DIGITS = 17  # up to 10^17 in fixed notation, or 10^digits if that is more


def layout(text: str, place: int, digits: int) -> str:
    """The digits `text` with the first one standing for 10^place."""
    text = text.rstrip("0")
    if place < FIXED_FROM or place >= max(digits, FIXED_DIGITS):
        point = "." if len(text) > 1 else ""
        return f"{text[0]}{point}{text[1:]}e{place}"
    if place < 0:
        return "0." + "0" * (-place - 1) + text
    if len(text) <= place + 1:
        return text.ljust(place + 1, "0")
    return f"{text[: place + 1]}.{text[place + 1 :]}"
