"""The outputs of this process while code of someone else runs: what that prints must not mix with the result."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def pointed(number: int, at: int) -> Iterator[None]:
    """Point the file behind stdout (1) or stderr (2) at another one: C++ and processes write there, past Python."""
    try:
        flush()
        kept = os.dup(number)
        os.dup2(at, number)
    except OSError:  # one of them is closed
        yield
        return
    try:
        yield
    finally:
        flush()  # what waits in Python's buffers belongs there, too
        os.dup2(kept, number)
        os.close(kept)


def flush() -> None:
    """Write what Python still holds back."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # it is closed, or its reader is
                stream.flush()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Drop what is written to stderr, past Python: libraries in C++ do so on import."""
    with open(os.devnull, "wb") as nothing, pointed(2, nothing.fileno()):
        yield


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Have all that is written to stdout go to stderr."""
    with contextlib.redirect_stdout(sys.stderr), pointed(1, 2):
        yield
