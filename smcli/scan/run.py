"""Scanning: files are cut into tasks, tasks go to workers, tallies come back in order and are added up."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smcli import read
from smcli.errors import InputError, UsageError
from smcli.scan.report import FileRows, ScanReport
from smcli.scan.tally import Tally
from smcli.scan.work import Place, Task, of_targets, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from smcli.batch import RawBlock
    from smcli.problem.specs import Settings

PORTION = 1 << 21  # logits of one task
AHEAD = 3  # tasks a worker that wait to be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the files are read: as in `read.stream`."""

    kind: str | None = None
    key: str | None = None
    axis: int | None = None
    columns: tuple[str, ...] | None = None
    target_column: str | None = None


@dataclass(slots=True)
class _State:
    """What is known while the scan runs."""

    tally: Tally
    files: list[FileRows]
    errors: list[tuple[str, str]]
    dtype: str | None
    origin: str
    partial: bool = False


def scan(
    paths: Sequence[str],
    settings: Settings,
    reading: Reading,
    *,
    dtype: str | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    keep_going: bool = False,
    quick: bool = False,
    options: Sequence[str] = (),
    progress: Callable[[int, int | None], None] | None = None,
) -> ScanReport:
    """Judge the rows of all files.

    Args:
        paths: files, "-" for standard input.
        settings: as for `analyse`; its number format counts only where `dtype` is given.
        reading: how to read them.
        dtype: the number format; None: that of the first file, float64 where it says none.
        jobs: worker processes.
        scheduler: the address of a Dask scheduler, instead of processes.
        keep_going: go on past a file that cannot be read.
        quick: only look at the logits: nan, infinities, masks, extremes.
        options: what the command that shows a row has to repeat.
        progress: is told how many rows are done, and of how many where that is known.

    Raises:
        InputError: a file cannot be read, or targets do not fit.
    """
    state = _State(Tally(), [], [], dtype, "--dtype" if dtype else "")
    tasks = _tasks(paths, settings, reading, state, keep_going=keep_going, quick=quick)
    try:
        with _executor(jobs, scheduler) as pool:
            for tally in _in_order(pool, tasks, max(jobs, 1) * AHEAD if scheduler is None else 64):
                state.tally.add(tally)
                if progress is not None:
                    progress(state.tally.rows, None)
    except KeyboardInterrupt:
        state.partial = True
    target = settings.loss.target
    if target is not None and len(target) > 1 and not state.partial and len(target) != state.tally.rows:
        raise InputError(
            f"{len(target)} targets for {state.tally.rows} rows", "give one target for all rows, or one for each"
        )
    return ScanReport(
        dtype=state.dtype or "float64",
        files=tuple(state.files),
        tally=state.tally,
        partial=state.partial,
        origin=state.origin,
        options=tuple(options),
        errors=tuple(state.errors),
    )


def _tasks(
    paths: Sequence[str], settings: Settings, reading: Reading, state: _State, *, keep_going: bool, quick: bool
) -> Iterator[Task]:
    """The rows of all files, cut into tasks; files and errors are noted as they come."""
    first = 0
    for path in paths:
        rows = 0
        try:
            for place, block in _blocks(path, reading, state):
                chosen = replace(settings, numerics=replace(settings.numerics, dtypes=(state.dtype or "float64",)))
                step = max(1, PORTION // block.classes)
                for start in range(0, len(block), step):
                    stop = min(start + step, len(block))
                    number = first + rows
                    own = of_targets(chosen, number, number + stop - start)
                    if block.target is not None and settings.loss.target is None:
                        own = replace(own, loss=replace(own.loss, target=tuple(block.target[start:stop].tolist())))
                    own = replace(own, numbers=None)
                    if place is None:
                        part = block.select(range(start, stop), range(stop - start))
                        yield Task(own, number, 0, stop - start, rows=part, quick=quick)
                    else:
                        yield Task(own, number, start, stop, place=place, quick=quick)
                    rows += stop - start
        except InputError as error:
            if not keep_going:
                raise
            state.errors.append((path, error.message))
        if rows:
            state.files.append(FileRows(path, first, rows))
        first += rows


def _blocks(path: str, reading: Reading, state: _State) -> Iterator[tuple[Place | None, RawBlock]]:
    """The blocks of a file; an array that workers can open by themselves comes with its place."""
    if path != "-" and os.path.isfile(path):
        block = read.block_from_file(path, reading.kind, reading.key, axis=reading.axis)
        if block is not None:
            _agree(state, block.dtype, path)
            yield Place(path, reading.kind, reading.key, reading.axis), block
            return
    for block in read.stream(
        path, reading.kind, reading.key, columns=reading.columns, target_column=reading.target_column
    ):
        _agree(state, block.dtype, path)
        yield None, block


def _agree(state: _State, dtype: str | None, path: str) -> None:
    """Take the number format of the first file that has one; another file's must be the same."""
    if state.origin == "--dtype" or dtype is None:
        return
    if state.dtype is None:
        state.dtype, state.origin = dtype, f"the dtype of {path}"
    elif state.dtype != dtype:
        raise UsageError(
            f"{path} is {dtype}, where {state.origin} is {state.dtype}", "say with --dtype in which format to compute"
        )


class _Inline(Executor):
    """The main process as the only worker."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def,override]
        """Do it at once."""
        future: Future[Tally] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - handed on where the result is asked for
            future.set_exception(error)
        return future


def _ignore_interrupts() -> None:
    """A worker leaves Ctrl-C to the main process, which then asks it to stop."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _executor(jobs: int, scheduler: str | None) -> Iterator[Executor]:
    if scheduler is not None:
        try:
            from distributed import Client
        except ImportError:
            raise UsageError(
                "--scheduler needs the package distributed", "install it: pip install 'smcli[dask]'"
            ) from None
        with Client(scheduler) as client:
            yield client.get_executor()
    elif jobs <= 1:
        yield _Inline()
    else:
        import multiprocessing

        pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_ignore_interrupts)
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_order(pool: Executor, tasks: Iterator[Task], ahead: int) -> Iterator[Tally]:
    """The tallies of the tasks, in their order; at most `ahead` tasks are under way, so that a stream is not hoarded."""
    waiting: deque[tuple[Task, Future[Tally]]] = deque()
    inline = isinstance(pool, _Inline)
    for task in tasks:
        waiting.append((task, _submit(pool, task)))
        if inline or len(waiting) >= ahead:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _submit(pool: Executor, task: Task) -> Future[Tally]:
    try:
        return pool.submit(work, task)
    except BrokenExecutor:  # a worker died: the main process goes on by itself
        return _Inline().submit(work, task)  # type: ignore[no-any-return,no-untyped-call]


def _result(task: Task, future: Future[Tally]) -> Tally:
    try:
        return future.result()
    except BrokenExecutor:
        return work(task)
