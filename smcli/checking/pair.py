"""Two pieces of work at once, where the system can fork; numbers that are mapped from files need not be sent."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import warnings
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def can_fork() -> bool:
    """Whether a copy of this process would be sound and worth it: on Linux, with no other threads, with two cores."""
    return sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


def both(first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """What both return; the second is done in a copy of this process, and here once more should that die.

    An error of the first is raised before one of the second.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings(action="ignore"):  # of threads: those of NumPy's BLAS survive a fork
        child = os.fork()
    if not child:
        _answer(second, writing)
    os.close(writing)
    try:
        one = first()
        with os.fdopen(reading, "rb", closefd=False) as stream:
            answer = stream.read()
    finally:
        os.close(reading)  # a child that still works is stopped by that
        os.waitpid(child, 0)
    try:
        other = pickle.loads(answer)  # noqa: S301 - from a copy of this process
    except (EOFError, pickle.UnpicklingError):
        return one, second()
    if isinstance(other, BaseException):
        raise other
    return one, other


def _answer(work: Callable[[], T], writing: int) -> None:
    """Do the work, write what it returns or raises, and end the process, whatever happens."""
    try:
        try:
            result: object = work()
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            result = error
        with os.fdopen(writing, "wb") as stream:
            pickle.dump(result, stream)
    finally:
        os._exit(0)  # nothing of the other process's is flushed or closed here
