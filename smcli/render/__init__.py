"""Documents become text: one module an output format, found by its name; this one chooses and delivers."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from smcli import registry
from smcli.document.style import Style
from smcli.errors import ClosedPipeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

__all__ = ["Style", "check_place", "choose", "deliver", "emit", "encodable", "module", "names", "text"]

NOT_THERE = "is there such a folder, and may you write there?"
ASCII = str.maketrans({
    "−": "-", "·": "*", "×": "x", "Σ": "sum ", "ε": "eps", "γ": "gamma", "±": "+/-", "∞": "inf", "≤": "<=", "≥": ">=", "≠": "!=",
    "→": "->", "—": "-", "–": "-", "²": "^2", "‖": "|", "≈": "~", "’": "'", "…": "...", "÷": "/", "│": "|", "─": "-", "┼": "+",
    "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#", "▍": "#", "▎": "#", "▏": "#", "κ": "cond", "∂": "d", "∘": "*",
    "¹": "^1", "⁻": "^-", "ᵀ": "^T", "√": "sqrt", "∈": "in", "δ": "delta", "λ": "lambda", "σ": "sigma", "≪": "<<", "≫": ">>",
})  # fmt: skip


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
    if output in {None, "-"}:
        return "table"
    suffix = os.path.splitext(output or "")[1].lower()
    for known in names():
        if suffix in module(known).SUFFIXES:
            return known
    raise UsageError(f"the suffix {suffix!a} of {output!a} names no output format", "say which with -f")


def text(thing: object, name: str = "table", style: Style | None = None) -> str:
    """A thing in an output format, whole."""
    return "".join(module(name).pieces(thing, style or Style()))


def deliver(thing: object, name: str, style: Style, output: str | None) -> None:
    """Render and write, piece by piece: to standard output, or to a file that is replaced only once all is written.

    Raises:
        UsageError: the file cannot be written.
    """
    renderer = module(name)
    pieces = renderer.pieces(thing, style)
    if output is not None and output != "-":
        replace_file(output, pieces)
    else:
        for piece in pieces:
            emit(piece)
    notes = getattr(renderer, "notes", None)
    if notes is not None and (said := notes(thing)):
        emit(said, error=True)


def encodable(text: str, encoding: str) -> str:
    """The text, in ASCII where an encoding does not have all of its characters, as those of Windows consoles do not."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text


def emit(text: str, *, error: bool = False) -> None:
    """Write text to standard output (or error), in ASCII where the stream cannot do better."""
    stream = sys.stderr if error else sys.stdout
    if stream is None:
        if error:
            return
        raise UsageError("standard output is closed", "write to a file with -o FILE")
    text = encodable(text, getattr(stream, "encoding", None) or "utf-8")
    if os.linesep == "\r\n":
        text = text.replace("\r\n", "\n")  # those of CSV: the stream makes them anew
    # Unbuffered (python -u), a long write that the reader cuts short is not reported; one of up to PIPE_BUF bytes is.
    step = 1024 if getattr(stream, "write_through", False) else max(len(text), 1)
    try:
        for start in range(0, len(text), step):
            stream.write(text[start : start + step])
        stream.flush()
    except BrokenPipeError:
        raise ClosedPipeError("the reader closed the pipe") from None  # Typer would make 1 of it


def check_place(path: str) -> None:
    """Refuse a file that cannot be written, before anything is computed for it.

    Raises:
        UsageError: it is a folder, or there is no such folder, or none that may be written to.
    """
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        reason = errno.EISDIR
    elif os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe
        return
    elif not os.path.isdir(folder):
        reason = errno.ENOTDIR if os.path.exists(folder) else errno.ENOENT
    elif not os.access(folder, os.W_OK):
        reason = errno.EACCES
    else:
        return
    raise UsageError(f"cannot write {path!a}: {os.strerror(reason)}", NOT_THERE)


def replace_file(path: str, pieces: Iterable[str]) -> None:
    """Write a file whole or not at all: to a neighbour first, which then takes its place; of a link, what it leads to.

    Raises:
        UsageError: it cannot be written.
    """
    end = os.path.realpath(path)  # to replace the link itself would do so to /dev/stdout
    folder, name = os.path.split(end)
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe cannot be replaced
        with _explained(path, "name another file"):
            _write(path, pieces)
        return
    neighbour = os.path.join(folder, f".{name}.{os.getpid()}.part")
    with _explained(path, NOT_THERE), _ended_tidily(neighbour):
        try:
            _write(neighbour, pieces)
            os.replace(neighbour, end)
        except BaseException:
            if os.path.exists(neighbour):
                os.unlink(neighbour)
            raise


@contextmanager
def _ended_tidily(neighbour: str) -> Iterator[None]:
    """Have a request to end the program take the unfinished file away first, where the program has not decided on it."""
    import signal
    import threading

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, _: object) -> None:
        if os.path.exists(neighbour):
            os.unlink(neighbour)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _write(path: str, pieces: Iterable[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as out:
        out.writelines(pieces)


@contextmanager
def _explained(path: str, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {path!a}: {error.strerror}", hint) from None
