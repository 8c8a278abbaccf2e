"""What counts as a number, how a bound is written, and how text from outside is shown in a message."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HINT = "numbers are separated by spaces or commas, and written like 1.5, -2e3, 0x1.8p3, inf or nan"

COMMA_HINT = "a comma separates numbers: write 1,5 with a decimal point (1.5) and 1,000 without a comma (1000)"

_MISSING = {"null", "none", "na", "n/a", "nil", "<na>"}
_CUT = {"...", "…"}
_COMMA = re.compile(r"[+-]?[0-9]++(?:,[0-9]++)+(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?")
_HEX = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]++(?:\.[0-9a-fA-F]*+)?|\.[0-9a-fA-F]++)(?:[pP][+-]?[0-9]++)?")
_START = re.compile(r"[+-]?(?:[0-9.]|(?:inf(?:inity)?|nan)(?![^\s,;\])]))", re.IGNORECASE | re.ASCII)
_PADDED = {"0", "+", "-"}
_LISTED = 20  # names that a message lists
_SHOWN = 40  # characters of a token that a message shows


class NotANumberError(ValueError):
    """One of several tokens is not a number; `index` says which."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def command_line(words: Sequence[str]) -> str:
    """A command as it is typed into a shell: quoted with double quotes on Windows, where single ones mean nothing."""
    if os.name == "nt":
        from subprocess import list2cmdline

        return list2cmdline(words)
    import shlex

    return shlex.join(words)


def plural(count: int, thing: str) -> str:
    """1 error, 2 errors, 2 rows of logits."""
    word, blank, rest = thing.partition(" ")
    return f"{count} {word}{'' if count == 1 else 's'}{blank}{rest}"


def upwards(x: float, digits: int = 1) -> str:
    """A bound in so many digits with an exponent, never less than it is."""
    text = f"{x:.{digits - 1}e}"
    if float(text) < x:
        text = f"{float(text) + 10.0 ** (int(text.partition('e')[2]) - digits + 1):.{digits - 1}e}"
    return text


def parse(token: str) -> float:
    """The float64 nearest to a token without white space; beyond the range it is 0 or an infinity.

    Raises:
        ValueError: it is not a number. Python's own extras, "1_000" and other scripts' digits, are none here.
    """
    if token.isascii() and "_" not in token:
        try:
            return float(token)
        except ValueError:
            if _HEX.fullmatch(token):
                return _from_hex(token)
    raise ValueError(f"{show(token)} is not a number")


def _from_hex(token: str) -> float:
    try:
        return float.fromhex(token)
    except OverflowError:
        return -math.inf if token.startswith("-") else math.inf


def parse_all(tokens: Sequence[str]) -> list[float]:
    """`parse` of every token, as fast as Python converts.

    Raises:
        NotANumberError: with the index of the first token that is not a number.
    """
    joined = "".join(tokens)
    if joined.isascii() and "_" not in joined:
        try:
            return list(map(float, tokens))
        except ValueError:
            pass  # a hexadecimal number, or none: one by one
    values = []
    for index, token in enumerate(tokens):
        try:
            values.append(parse(token))
        except ValueError:
            raise NotANumberError(index) from None
    return values


def has_group(token: str) -> bool:
    """Whether it is an integer with zeros before it, as only a group of thousands is written: 000."""
    if token[:1] not in _PADDED:
        return False
    digits = token.lstrip("+-")
    return digits[:1] == "0" and len(digits) > 1 and digits.isdigit()


def looks_like_number(word: str) -> bool:
    """Whether a word of the command line begins a number, so that "-1,2" and "-inf" are not taken for options."""
    return _START.match(word) is not None


def show(text: str, limit: int = _SHOWN) -> str:
    """Text from outside in quotes, safe to print; of a long one the beginning, the end and the length."""
    size = len(text)
    if size <= limit:
        return f"'{escape(text)}'"
    return f"'{escape(text[: limit - 10])}...{escape(text[-7:])}' ({size} characters)"


def escape(text: str) -> str:
    """Text from outside as it is, but with escapes for control characters and others that would take effect."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def show_all(names: Iterable[str]) -> str:
    """The names of what there is to choose from, the first ones when there are many."""
    shown = list(map(show, names))
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    return ", ".join(shown[:_LISTED]) + more or "none"


def has_comma(token: str) -> bool:
    """Whether it is a number with a decimal comma, or with commas between thousands."""
    return _COMMA.fullmatch(token) is not None


def is_missing(token: str) -> bool:
    """Whether a token says that a number is not there."""
    return token in _CUT or token.lower() in _MISSING


def not_a_number(token: str) -> tuple[str, str]:
    """What to say of such a token: the problem, and the hint that helps most."""
    if token in _CUT:
        return "data is missing, the text says '...'", (
            "print all of it: np.set_printoptions(threshold=sys.maxsize) or torch.set_printoptions(profile='full')"
        )
    if is_missing(token):
        return f"data is missing, the text says {show(token)}", "write the number, or nan where there is none"
    if has_comma(token):
        return f"{show(token)} is not a number", COMMA_HINT
    if token.startswith("−"):
        return f"{show(token)} is not a number", "it begins with the sign U+2212; write the minus as '-'"
    return f"{show(token)} is not a number", HINT
