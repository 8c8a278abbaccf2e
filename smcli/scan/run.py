"""Scanning: files are cut into tasks, tasks go to workers, tallies come back in order and are added up."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smcli import read
from smcli.errors import InputError, UnavailableError, UsageError
from smcli.scan.mapped import Mapped
from smcli.scan.pool import open_pool
from smcli.scan.report import FileRows, ScanReport
from smcli.scan.tally import Tally
from smcli.scan.work import Task, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from smcli.batch import RawBlock
    from smcli.problem.specs import Settings
    from smcli.read._stream import Stream
    from smcli.request import Request
    from smcli.scan.pool import Pool

@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How the files are read: as in `read.stream`."""

    kind: str | None = None
    key: str | None = None
    axis: int | None = None
    columns: tuple[str, ...] | None = None
    target_column: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the scan goes about it.

    Attributes:
        jobs: worker processes; one of them: this process itself.
        scheduler: the address of a Dask scheduler, instead of processes.
        keep_going: go on past a file that cannot be read.
        quick: only look at the logits.
    """

    jobs: int = 1
    scheduler: str | None = None
    keep_going: bool = False
    quick: bool = False


def scan(
    paths: Sequence[str],
    request: Request,
    how: How,
    way: Way,
    *,
    options: Sequence[str] = (),
    progress: Callable[[int, int | None], None] | None = None,
) -> ScanReport:
    """Judge the rows of all files.

    Args:
        paths: files, "-" for standard input.
        request: what is asked; without a number format that of the first file that has one, else float64.
        how: how to read them.
        way: with how many workers, and so on.
        options: what the command that shows a row has to repeat.
        progress: is told now and then how many rows are done, and of about how many where that is known.

    Raises:
        InputError: a file cannot be read, or targets or labels do not fit.
        UsageError: options that exclude each other, or files of several number formats.
        UnavailableError: no method that was asked for can run.
    """
    return _Scan(paths, request, how, way, options, progress).run()


class _Scan:
    """What is known while the scan runs."""

    def __init__(
        self, paths: Sequence[str], request: Request, how: How, way: Way, options: Sequence[str],
        progress: Callable[[int, int | None], None] | None,
    ) -> None:  # fmt: skip
        self._paths, self._request, self._how, self._way = paths, request, how, way
        self._options, self._progress = options, progress
        asked = request.numerics.dtypes
        self._dtype = asked[0] if asked else None
        self._origin = "--dtype" if asked else ""
        self._tally = Tally()
        self._files: dict[str, FileRows] = {}
        self._errors: dict[str, InputError] = {}
        self._notes: list[str] = []
        self._sizes = {p: os.path.getsize(p) for p in paths if os.path.isfile(p)}
        self._expected: dict[str, int] = {}

    def run(self) -> ScanReport:
        partial = False
        try:
            with open_pool(self._way.jobs, self._way.scheduler) as pool:
                self._work(pool)
        except KeyboardInterrupt:
            partial = True
        if not partial:
            self._check_end()
        return ScanReport(
            dtype=self._dtype or "float64",
            files=tuple(self._files.values()),
            tally=self._tally,
            partial=partial,
            quick=self._way.quick,
            origin=self._origin,
            errors=tuple(self._errors.items()),
            notes=tuple(self._notes),
            options=tuple(self._options),
            targets=self._request.loss.target,
        )

    def _check_end(self) -> None:
        for option, given in (("targets", self._request.loss.target), ("rows of labels", self._request.loss.labels)):
            rows = sum(f.rows for f in self._files.values())
            if given is not None and len(given) > 1 and not self._errors and len(given) != rows:
                raise InputError(
                    f"{len(given)} {option} for {rows} rows", "give one for all rows, or one for each of all files"
                )
        if self._tally.missing and not self._tally.counts:
            reasons = dict.fromkeys(f"{method}: {why}" for method, why in self._tally.missing.items())
            raise UnavailableError("; ".join(reasons), "`smcli methods` lists what is installed")

    def _work(self, pool: Pool) -> None:
        """Hand out the tasks and take their tallies in order; no more are under way than keep the workers busy."""
        waiting: deque[tuple[Task, Future[Tally]]] = deque()
        try:
            for task in self._tasks(portable=pool.apart):
                waiting.append((task, pool.submit(work, task)))
                while len(waiting) > pool.ahead:
                    self._take(pool, *waiting.popleft())
            while waiting:
                self._take(pool, *waiting.popleft())
        except KeyboardInterrupt:
            while waiting and waiting[0][1].done():  # what is done already counts
                self._take(pool, *waiting.popleft())
            raise

    def _take(self, pool: Pool, task: Task, future: Future[Tally]) -> None:
        """Add the tally of a task; what a worker that died had in hand is done again."""
        if task.path in self._errors:
            return
        try:
            tally = pool.result(future, work, task)
        except InputError as error:
            self._refuse(task.path, error)
            return
        known = self._files.get(task.path)
        file = FileRows(task.path, task.first, tally.rows)
        self._files[task.path] = file if known is None else replace(known, rows=known.rows + tally.rows)
        self._tally += tally
        if self._progress is not None:
            self._progress(self._tally.rows, self._total())

    def _refuse(self, path: str, error: InputError) -> None:
        if not self._way.keep_going:
            raise error
        self._errors.setdefault(path, error)

    def _total(self) -> int | None:
        """About how many rows there are: those of files not opened yet are taken to be as large as the others'."""
        if len(self._sizes) < len(self._paths):
            return None
        bytes_known = sum(self._sizes[p] for p in self._expected)
        return round(sum(self._expected.values()) * sum(self._sizes.values()) / bytes_known) if bytes_known else None

    def _tasks(self, *, portable: bool) -> Iterator[Task]:
        """The rows of all files, cut into tasks as the readers cut them."""
        first = 0
        for path in self._paths:
            try:
                for block in self._blocks(path):
                    settings = self._settings(block, first)
                    rows = (Mapped.of(block) if portable else None) or block
                    yield Task(settings, first, rows, self._way.quick, path)
                    first += len(block)
                    if path in self._errors:
                        break
            except InputError as error:
                self._refuse(path, error)

    def _blocks(self, path: str) -> Iterator[RawBlock]:
        r = self._how
        with read.stream(
            path, r.kind, r.key, axis=r.axis, columns=r.columns, target_column=r.target_column
        ) as stream:
            self._agree(stream)
            self._notes += [note for note in stream.notes if note not in self._notes]
            if stream.rows is not None:
                self._expected[path] = stream.rows
            yield from stream
            self._notes += [note for note in stream.notes if note not in self._notes]

    def _agree(self, stream: Stream) -> None:
        """Take the number format of the first file that has one; another file's must be the same."""
        if self._origin == "--dtype" or stream.dtype is None:
            return
        if self._dtype is None:
            self._dtype, self._origin = stream.dtype, stream.origin
        elif self._dtype != stream.dtype:
            raise UsageError(
                f"{stream.name} is {stream.dtype}, files before it are {self._dtype}",
                "say with --dtype in which format to compute",
            )

    def _settings(self, block: RawBlock, first: int) -> Settings:
        """The settings for some rows, with their own targets and labels."""
        stop = first + len(block)
        carried = None if block.target is None else tuple(block.target.tolist())
        self._dtype = self._dtype or "float64"
        settings = self._request.settle(self._dtype, carried)
        loss = settings.loss
        if self._request.loss.given:
            loss = replace(loss, target=_own(loss.target, first, stop), labels=_own(loss.labels, first, stop))
        return replace(settings, loss=loss, numbers=range(first, stop))


def _own(given: tuple[object, ...] | None, first: int, stop: int) -> tuple[object, ...] | None:
    """Those of some rows, where there is one for each row.

    Raises:
        InputError: there are too few.
    """
    if given is None or len(given) == 1:
        return given
    if len(given) < stop:
        raise InputError(
            f"{len(given)} targets or labels for {stop} rows or more", "give one for all rows, or one for each of all files"
        )
    return given[first:stop]
