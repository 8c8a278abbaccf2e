"""A run of numbers, on a line or between two brackets: its words, when its separators leave no doubt about them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smcli.errors import InputError
from smcli.numbers.words import COMMA_HINT, HINT, NotANumberError, has_group, not_a_number, parse_all, show

if TYPE_CHECKING:
    from collections.abc import Callable

_EMPTY = re.compile(r"[,;]\s*+(?=[,;])")
_LEADING = re.compile(r"\s*+(?=[,;])")
_SPACED = re.compile(r",[ \t]|[ \t],")
_BARE = re.compile(r",[^ \t\n]")
_GROUP = re.compile(r"(?<![\w.])[+-]?[0-9]++,[0-9]")  # may be one number: 1,5 or 1,000
_WORD = re.compile(r"[^\s,;]+")
_SUFFIXED = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?[fF]")


class RunError(ValueError):
    """A run cannot be read: what is wrong, the hint, where in the run, and which number of it, if it is one."""

    def __init__(self, problem: str, hint: str, at: int, index: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.hint, self.at, self.index = problem, hint, at, index


class Faults:
    """Makes the errors of a text: what is wrong, and where it stands.

    Attributes:
        subject: what the numbers are, when they are not logits: "--labels".
    """

    def __init__(self, text: str, place: Callable[[str, int], str], subject: str = "") -> None:
        self._text, self._place, self.subject = text, place, subject

    def error(self, at: int, problem: str, hint: str) -> InputError:
        """The error of what stands at a place of the text."""
        return InputError(f"{problem}, {self._place(self._text, at)}", hint)

    def failed(self, error: RunError, start: int, row: int) -> InputError:
        """The error of a run that begins at `start`."""
        if error.index is None:
            return self.error(start + error.at, error.problem, error.hint)
        if self.subject:
            return InputError(f"number {error.index} of {self.subject}: {error.problem}", error.hint)
        return self.error(start + error.at, f"logit {error.index} of row {row}: {error.problem}", error.hint)


def split(run: str) -> list[str]:
    """The words of a run that has one kind of separators.

    Raises:
        RunError: separators are used in two ways, or a number is missing between two of them.
    """
    commas, semicolons = run.count(","), run.count(";")
    if not commas and not semicolons:
        return run.split()
    words = run.replace(",", " ").replace(";", " ").split()
    if empty := _EMPTY.search(run) or _LEADING.match(run):
        raise RunError("an element is empty", "write a number before each separator", empty.end())
    between = commas + semicolons - (run.rstrip()[-1:] in {",", ";"})
    if between != len(words) - 1 or (commas and semicolons):
        kinds = "commas and semicolons" if commas and semicolons else "commas and spaces"
        kinds = kinds if commas else "semicolons and spaces"
        raise RunError(f"{kinds} separate the numbers of {_shown(run)}", COMMA_HINT + "; use one kind of separator", 0)
    if commas and _SPACED.search(run) and _BARE.search(run) and (group := _GROUP.search(run)):
        raise RunError(
            f"commas with and without a space separate the numbers of {_shown(run)}",
            COMMA_HINT + "; else put a space behind every comma",
            group.start(),
        )
    return words


def grouped(run: str, words: list[str]) -> RunError | None:
    """The error of a word with zeros before it, which is a group of thousands: 000."""
    if not any(map(has_group, words)):
        return None
    index = next(i for i, word in enumerate(words) if has_group(word))
    problem = f"{show(words[index])} begins with a 0, as a group of thousands does"
    return RunError(problem, COMMA_HINT, place(run, index), index)


def unsuffixed(words: list[str]) -> list[str] | None:
    """The words without the f that C writes behind a float; None where there is none, or another fault."""
    bare = [word[:-1] if _SUFFIXED.fullmatch(word) else word for word in words]
    try:
        parse_all(bare)
    except NotANumberError:
        return None
    return bare


def is_suffixed(word: str) -> bool:
    """Whether a word is a number as C writes a float: 1.0f."""
    return _SUFFIXED.fullmatch(word) is not None


def fault(run: str, index: int) -> RunError:
    """The error of the word with that index, which is not a number."""
    at = place(run, index)
    word = _WORD.search(run, at)
    token = word[0] if word else ""
    problem, hint = not_a_number(token) if token else ("an element is empty", HINT)
    return RunError(problem, hint, at, index)


def place(run: str, index: int) -> int:
    """Where the word with that index begins."""
    for i, word in enumerate(_WORD.finditer(run)):
        if i == index:
            return word.start()
    return 0


def _shown(run: str) -> str:
    return show(" ".join(run.split()))
