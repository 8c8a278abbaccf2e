"""Who does the work: this process, processes of its own, or the workers of a Dask cluster."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from smcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from multiprocessing.process import BaseProcess

    from smcli.scan.tally import Tally
    from smcli.scan.work import Task

    Work = Callable[[Task], Tally]

AHEAD = 3  # tasks a worker that wait to be done
FIRST = 2  # tasks that are done before processes are started, which takes as long
RESTARTS = 3  # times that a pool is started anew after a worker died; then this process goes on by itself
CLUSTER_AHEAD = 64
PATIENCE = 15  # seconds that a scheduler is waited for


class Pool(Protocol):
    """Where tasks go.

    Attributes:
        apart: whether tasks are done in other processes.
        ahead: how many tasks may be under way.
    """

    apart: bool
    ahead: int

    def submit(self, work: Work, task: Task) -> Future[Tally]:
        """Begin with a task."""
        ...

    def result(self, future: Future[Tally], work: Work, task: Task) -> Tally:
        """What came of it."""
        ...


class Here:
    """This process, as the only worker."""

    apart, ahead = False, 0

    def submit(self, work: Work, task: Task) -> Future[Tally]:
        """Do it at once."""
        future: Future[Tally] = Future()
        try:
            future.set_result(work(task))
        except Exception as error:  # noqa: BLE001 - handed on where the result is asked for
            future.set_exception(error)
        return future

    def result(self, future: Future[Tally], work: Work, task: Task) -> Tally:  # noqa: ARG002 - one signature for all
        return future.result()


class Processes:
    """Worker processes; where one dies, what was under way is done again by new ones."""

    apart = True

    def __init__(self, jobs: int, *, copies: bool) -> None:
        self._jobs, self._restarts, self._free = jobs, RESTARTS, FIRST
        self._start_method = "fork" if copies and sys.platform == "linux" else "spawn"
        self._others = set(_children())
        self.ahead = jobs * AHEAD
        self._pool = self._start()

    def _start(self) -> Executor:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        return ProcessPoolExecutor(self._jobs, get_context(self._start_method), initializer=_end_with_parent)

    def submit(self, work: Work, task: Task) -> Future[Tally]:
        """Send it to a worker, or to one of a new pool where this one broke; the first are done here, should they be all."""
        if self._free:
            self._free -= 1
            return Here().submit(work, task)
        while True:
            try:
                with _apart():
                    return self._pool.submit(work, task)
            except BrokenExecutor:
                if not self._restarts:
                    return Here().submit(work, task)
            self._restarts -= 1
            self.close()
            self._start_method = "spawn"  # there are threads now
            self._pool = self._start()

    def result(self, future: Future[Tally], work: Work, task: Task) -> Tally:
        """What came of it, done again as often as a worker dies over it, in the end by this process."""
        while True:
            try:
                return future.result()
            except BrokenExecutor:
                future = self.submit(work, task)

    def close(self) -> None:
        """Let the workers go, and wait until they have: this process may end without a look back."""
        self._pool.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """Let them go at once, whatever they have in hand."""
        for process in set(_children()) - self._others:
            process.terminate()
        self.close()


class Cluster:
    """The workers of a Dask cluster, which does the tasks of a worker that dies again by itself."""

    apart, ahead = True, CLUSTER_AHEAD

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, work: Work, task: Task) -> Future[Tally]:
        """Send it to the scheduler."""
        return self._executor.submit(work, task)

    def result(self, future: Future[Tally], work: Work, task: Task) -> Tally:  # noqa: ARG002 - one signature for all
        return future.result()


@contextmanager
def open_pool(jobs: int, scheduler: str | None, *, copies: bool) -> Iterator[Pool]:
    """The workers that were asked for.

    Args:
        jobs: how many processes; with one, this one does it all.
        scheduler: the address of a Dask scheduler, instead.
        copies: workers may be copies of this process, which start at once; not where a library has threads in it.

    Raises:
        UsageError: the scheduler cannot be reached, or its client is not installed.
    """
    if scheduler is not None:
        with _client(scheduler) as executor:
            yield Cluster(executor)
    elif jobs <= 1:
        yield Here()
    else:
        pool = Processes(jobs, copies=copies)
        try:
            yield pool
        except BaseException:
            pool.stop()
            raise
        pool.close()


@contextmanager
def _client(scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("--scheduler needs the package distributed", "install it: pip install 'smcli[dask]'") from None
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"there is no Dask scheduler at {scheduler!a}: {error}", "give its address, such as tcp://host:8786"
        ) from None
    with client:
        yield client.get_executor()


def _children() -> list[BaseProcess]:
    from multiprocessing import active_children

    return active_children()


def _end_with_parent() -> None:
    """In a worker: see to it that it is not left behind where this process is killed."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _apart() -> Iterator[None]:
    """Processes that are started within never see Ctrl-C, which is this process's, and do not run its main module again."""
    main, blocked = sys.modules["__main__"], hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if blocked else set()
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if blocked:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
