"""The errors a user can meet: each says what is wrong, where, what to do, and which exit code it means."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class SmcliError(Exception):
    """Base of every error that smcli raises on purpose.

    Args:
        message: what is wrong and where, without a leading capital or a final stop.
        hint: what to do about it, or an empty string.
        detail: what only someone who asked for more wants to read, such as the traceback of the user's own function.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class InputError(SmcliError):
    """The logits, labels or targets cannot be read: the token, its place and what was expected."""


class UsageError(SmcliError):
    """An option or argument is wrong, or two of them exclude each other."""


class OptionError(UsageError):
    """An option is wrong, needs another, or excludes it; its name stands apart from the text, as entries spell it apart.

    The message is in the spelling of Python, `digits=0 is out of range`; the command line says `--digits 0`.

    Args:
        option: the keyword of the option. Other options stand in `problem` and `hint` as <keyword>.
        problem: what is wrong with it, such as "is out of range".
        hint: what to do about it, or an empty string.
        value: what was given, where the message is to show it.
    """

    def __init__(self, option: str, problem: str, hint: str = "", value: str = "") -> None:
        self.option, self.problem, self.value, self.advice = option, problem, value, hint
        super().__init__(*self.spelled(keyword))
        self.args = option, problem, hint, value  # what it is pickled with

    def __str__(self) -> str:
        return self.message

    def spelled(self, spell: Callable[[str, str], str]) -> tuple[str, str]:
        """Message and hint, with every option and its value spelled by that function."""
        import re

        def others(text: str) -> str:
            return re.sub(r"<([a-z_]+)>", lambda found: spell(found[1], ""), text)

        return f"{spell(self.option, self.value)} {others(self.problem)}", others(self.advice)


def keyword(option: str, value: str = "") -> str:
    """An option as Python spells it."""
    return f"{option}={value}" if value else option


class PrecisionError(SmcliError):
    """A value exists, but not within the limits of this program."""

    exit_code = 3


class ClosedPipeError(SmcliError):
    """The reader of standard output went away, as `head` does: nothing is to be said."""

    exit_code = 141


class UnavailableError(SmcliError):
    """A method cannot run here: its library is not installed, or does not do this, or its code failed."""

    exit_code = 3


def nearest(given: str, known: Iterable[str], cutoff: float = 0.6, *, names: Mapping[str, str] | None = None) -> str:
    """The beginning of a hint, "did you mean X? ", where one of the known names is near; else nothing.

    Args:
        given: what was typed.
        known: the names there are.
        cutoff: how near it has to be, from 0 to 1.
        names: of a name that is known beside the listed ones, the one that is listed.
    """
    import difflib

    near = difflib.get_close_matches(given, list(known), 1, cutoff)
    return f"did you mean {(names or {}).get(near[0], near[0])}? " if near else ""
