"""What is said on standard error: errors with their hints, and what a user who asked for more wants to read."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from smcli.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.errors import SmcliError


def report_error(error: SmcliError, *, more: bool = False) -> int:
    """Say what is wrong, with all there is to know of it where more was asked for; returns the exit code."""
    if isinstance(error, OptionError):
        from smcli.cli.texts import flag

        return report(*error.spelled(flag), error.exit_code)
    if error.detail and more:
        report_detail(error.detail)
    return report(error.message, error.hint, error.exit_code)


def command_line_message(error: Exception) -> tuple[str, str]:
    """Typer's error in the words of this program: what is wrong, and the remedy."""
    text: str = error.format_message().strip().rstrip(".")  # type: ignore[attr-defined]
    ctx = getattr(error, "ctx", None)
    hint = f"`{ctx.command_path} --help` lists the options" if ctx is not None else ""
    near = getattr(error, "possibilities", None)
    if near:
        text = text.split(" Did you mean", maxsplit=1)[0].split(" (Possible", maxsplit=1)[0].rstrip(".")
        hint = f"did you mean {' or '.join(near)}?"
    elif " Did you mean" in text:
        text, _, meant = text.partition(" Did you mean")
        hint = f"did you mean{meant.rstrip('?').rstrip('.')}?"
        text = text.rstrip(".")
    return text[:1].lower() + text[1:], hint


def report(message: str, hint: str, code: int) -> int:
    """Print an error as `error:` and `hint:` lines on stderr; control characters are shown, not obeyed."""
    lines = [f"error: {message}"] + ([f"hint: {hint}"] if hint else [])
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(*map(visible, lines), sep="\n", file=sys.stderr, flush=True)
    return code


def report_note(text: str) -> None:
    """Print what a user should know of what was done, on stderr."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(visible(f"note: {text}"), file=sys.stderr, flush=True)


def asked_for_more(words: Sequence[str]) -> bool:
    """Whether -v is among the words, alone or beside other short options."""
    return any(w == "--verbose" or (w[:1] == "-" and w[1:].isalpha() and "v" in w) for w in words)


def report_detail(text: str) -> None:
    """Print what a user who asked for more wants to read, on stderr."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(*map(visible, text.splitlines()), sep="\n", file=sys.stderr, flush=True)


def visible(text: str) -> str:
    """The text with control characters written out, and in the encoding of the error stream."""
    from smcli.numbers.words import escape

    safe = escape(text)
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    return safe.encode(encoding, "backslashreplace").decode(encoding)
