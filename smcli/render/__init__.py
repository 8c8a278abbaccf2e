"""Reports become text: one module an output format, found by its name; this one chooses and delivers."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from smcli import registry
from smcli.errors import ClosedPipeError, UsageError

if TYPE_CHECKING:
    from types import ModuleType

ASCII = str.maketrans({
    "−": "-", "·": "*", "×": "x", "Σ": "sum ", "ε": "eps", "±": "+/-", "∞": "inf", "≤": "<=", "≥": ">=", "≠": "!=",
    "→": "->", "—": "-", "–": "-", "²": "^2", "‖": "|", "≈": "~", "’": "'", "…": "...", "÷": "/", "│": "|", "─": "-", "┼": "+",
    "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#", "▍": "#", "▎": "#", "▏": "#", "κ": "cond", "∂": "d", "∘": "*",
    "¹": "^1", "⁻": "^-", "ᵀ": "^T", "√": "sqrt", "∈": "in", "δ": "delta", "λ": "lambda", "σ": "sigma", "≪": "<<", "≫": ">>",
})  # fmt: skip


class Style(NamedTuple):
    """How a report is to be shown.

    Attributes:
        every_class: show all classes of a long row, and all rows of a batch.
        top: otherwise how many.
        verbose: also ulp, verdicts, bounds, condition numbers.
        color: None: as the terminal can; False: never.
        to_file: the text goes to a file that the user named.
    """

    every_class: bool = False
    top: int = 20
    verbose: bool = False
    color: bool | None = None
    to_file: bool = False


@cache
def names() -> tuple[str, ...]:
    """The output formats: the modules of this folder, `table` first."""
    return tuple(sorted(registry.names(__path__), key=lambda name: name != "table"))


def module(name: str) -> ModuleType:
    """The module of an output format.

    Raises:
        UsageError: there is none.
    """
    return registry.module(__name__, names(), name, "output format")


def choose(name: str | None, output: str | None) -> str:
    """The output format: the one named, else by the suffix of the file, else table.

    Raises:
        UsageError: no such format, or a suffix that says nothing.
    """
    if name is not None:
        module(name)
        return name
    if output is None:
        return "table"
    suffix = os.path.splitext(output)[1].lower()
    for known in names():
        if suffix in module(known).SUFFIXES:
            return known
    raise UsageError(f"the suffix {suffix!a} of {output!a} names no output format", "say which with -f")


def deliver(thing: object, name: str, style: Style, output: str | None) -> None:
    """Render and write: to standard output, or to a file that is replaced only once all is written.

    Raises:
        UsageError: the file cannot be written.
    """
    renderer = module(name)
    text = renderer.render(thing, style)
    if output is not None and output != "-":
        _replace(output, text)
    else:
        emit(text)
    notes = getattr(renderer, "notes", None)
    if notes is not None and (said := notes(thing, style)):
        emit(said, error=True)


def emit(text: str, *, error: bool = False) -> None:
    """Write text to standard output (or error), in ASCII where the stream cannot do better."""
    stream = sys.stderr if error else sys.stdout
    if stream is None:
        if error:
            return
        raise UsageError("standard output is closed", "write to a file with -o FILE")
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(ASCII).encode(encoding, "backslashreplace").decode(encoding)
    # Unbuffered (python -u), a long write that the reader cuts short is not reported; one of up to PIPE_BUF bytes is.
    step = 1024 if getattr(stream, "write_through", False) else max(len(text), 1)
    try:
        for start in range(0, len(text), step):
            stream.write(text[start : start + step])
        stream.flush()
    except BrokenPipeError:
        raise ClosedPipeError("the reader closed the pipe") from None  # Typer would make 1 of it


def _replace(path: str, content: str | bytes) -> None:
    """Write a file whole or not at all: to a neighbour first, which then takes its place."""
    data = content if isinstance(content, bytes) else content.encode()
    folder, name = os.path.split(path)
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe cannot be replaced
        try:
            with open(path, "wb") as out:
                out.write(data)
        except OSError as error:
            raise UsageError(f"cannot write {path!a}: {error.strerror}", "name another file") from None
        return
    neighbour = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        with open(neighbour, "wb") as out:
            out.write(data)
        os.replace(neighbour, path)
    except OSError as error:
        if os.path.exists(neighbour):
            os.unlink(neighbour)
        raise UsageError(
            f"cannot write {path!a}: {error.strerror}", "is there such a folder, and may you write there?"
        ) from None
