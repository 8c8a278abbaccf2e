"""Scanning: files are cut into tasks, tasks go to workers, tallies come back in order and are added up."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from smcli import methods, read
from smcli.batch import Batch
from smcli.errors import InputError, UnavailableError, UsageError
from smcli.scan.pool import open_pool
from smcli.scan.report import FileRows, ScanReport
from smcli.scan.tally import Tally
from smcli.scan.work import Place, Task, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from smcli.batch import RawBlock
    from smcli.problem.specs import Settings
    from smcli.read import How
    from smcli.read._stream import Stream
    from smcli.request import Request
    from smcli.scan.pool import Pool

T = TypeVar("T")
ONE_EACH = "give one for all rows, or one for each row of all files"


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


class _TooFewError(InputError):
    """There are fewer targets or labels than rows: no file is to blame."""


class _Scan:
    """What is known while the scan runs; files are told apart by their places in the list, as one may stand there twice."""

    def __init__(
        self, paths: Sequence[str], request: Request, how: How, way: Way, options: Sequence[str],
        progress: Callable[[int, int | None], None] | None,
    ) -> None:  # fmt: skip
        self._paths, self._request, self._how, self._way = paths, request, how, way
        self._options, self._progress = options, progress
        asked = request.numerics.dtypes
        self._dtype = asked[0] if asked else None
        self._origin = ""
        self._tally = Tally()
        self._files: dict[int, FileRows] = {}
        self._errors: dict[int, InputError] = {}
        self._notes: list[str] = []
        self._sizes = [os.path.getsize(p) if os.path.isfile(p) else None for p in paths]
        self._expected: dict[int, int] = {}  # rows
        self._columns: dict[int, bool] = {}  # whether every line so far held one number
        self._counted = True  # whether the rows of every file are known, also of those that could not be read
        self._rows = 0  # of all files

    def run(self) -> ScanReport:
        """Do it all."""
        partial = False
        try:
            with open_pool(self._way.jobs, self._way.scheduler, copies=self._only_formulas()) as pool:
                self._work(pool)
        except KeyboardInterrupt:
            partial = True
        if not partial:
            self._check_end()
        loss = self._request.loss
        return ScanReport(
            dtype=self._dtype or "float64",
            files=tuple(replace(f, column=self._columns.get(file, False)) for file, f in self._files.items()),
            tally=self._tally,
            partial=partial,
            quick=self._way.quick,
            origin=self._origin,
            errors=tuple((self._paths[file], error) for file, error in self._errors.items()),
            notes=(*self._notes, *self._about_columns(), *self._tally.notes.values()),
            options=tuple(self._options),
            targets=self._request.loss.target,
            limits=self._request.tolerance,
            given=tuple(
                (f"--{name}", rows) for name in ("labels", "against") if (rows := getattr(loss, name)) is not None
            ),
        )

    def _about_columns(self) -> list[str]:
        names = dict.fromkeys(self._paths[file] for file, column in self._columns.items() if column)
        return [
            f"every line of {n} holds one number, a row of one logit; compare takes them all as one row" for n in names
        ]

    def _only_formulas(self) -> bool:
        """Whether every method is one of this program's own, which runs no library with threads."""
        return all(name == "all" or name in methods.formulas() for name in self._request.methods)

    def _check_end(self) -> None:
        """Raise where there were more targets than rows, or no method could run."""
        for what, count in self._given():
            if count != self._rows and self._counted:
                raise InputError(f"{count} {what} for {self._rows} rows", ONE_EACH)
        if self._tally.missing and not self._tally.counts:
            missing = {method: why for (method, _), why in self._tally.missing.items()}
            reasons = (f"{method}: {why}" for method, why in missing.items())
            raise UnavailableError("; ".join(reasons), methods.advice(missing, "smcli compare -v"))

    def _given(self) -> list[tuple[str, int]]:
        """What was given for each row, and how often."""
        loss = self._request.loss
        some = (("targets", loss.target), ("rows of labels", loss.labels), ("rows of the teacher", loss.against))
        return [(what, len(given)) for what, given in some if given is not None and len(given) > 1]

    def _work(self, pool: Pool) -> None:
        """Hand out the tasks and take their tallies in order; no more are under way than keep the workers busy."""
        waiting: deque[tuple[Task, Future[Tally]]] = deque()
        try:
            for task in self._tasks(apart=pool.apart):
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
        """Add the tally of a task."""
        if task.file in self._errors:
            return
        try:
            tally = pool.result(future, work, task)
        except InputError as error:
            self._refuse(task.file, error)
            return
        known = self._files.get(task.file) or FileRows(self._paths[task.file], task.first, 0)
        files = self._files | {task.file: replace(known, rows=known.rows + tally.rows)}
        self._files, self._tally = files, self._tally + tally
        if self._progress is not None:
            self._progress(self._tally.rows, self._total())

    def _refuse(self, file: int, error: InputError) -> None:
        """Go on past a file where that was asked for."""
        if not self._way.keep_going:
            raise error
        self._errors.setdefault(file, error)

    def _total(self) -> int | None:
        """About how many rows there are: of files not opened yet as many a byte as of the others."""
        known = [self._sizes[file] or 0 for file in self._expected]
        if None in self._sizes or not any(known):
            return None
        return round(sum(self._expected.values()) * sum(filter(None, self._sizes)) / sum(known))

    def _tasks(self, *, apart: bool) -> Iterator[Task]:
        """The rows of all files, cut into tasks as the readers cut them."""
        for file in range(len(self._paths)):
            first = self._rows
            try:
                for rows, place, block in self._blocks(file, apart=apart):
                    if file not in self._errors:
                        yield Task(self._settings(block, self._rows), file, self._rows, rows, place, self._way.quick)
                    elif not self._given():
                        break
                    self._rows += len(block)  # of a file that failed, too: the targets of the next come after its own
            except _TooFewError:
                raise
            except InputError as error:
                self._refuse(file, error)
                if self._given() and file not in self._expected:
                    self._leave_out(file)
                    return
                self._rows = first + self._expected.get(file, self._rows - first)

    def _leave_out(self, bad: int) -> None:
        """Leave out the files after one of which nobody knows how many rows it has: their targets cannot be told."""
        self._counted = False
        (what, _), *_ = self._given()
        for file in range(bad + 1, len(self._paths)):
            self._refuse(file, InputError(
                f"{self._paths[file]} was not scanned: which {what} are its own depends on how many rows {self._paths[bad]} has",
                "put files that may fail last, or scan each with its own",
            ))  # fmt: skip

    def _blocks(self, file: int, *, apart: bool) -> Iterator[tuple[RawBlock | range, Place | None, RawBlock]]:
        """The blocks of a file, and what of them is sent to a worker: rows, or just where they are."""
        path, place = self._paths[file], None
        with read.stream(path, self._how) as stream:
            self._agree(stream)
            if stream.rows is not None:
                self._expected[file] = stream.rows
            mapped = read.block_from_file(path, self._how) if apart else None
            if mapped is not None:
                place = Place(os.path.abspath(path), self._how, len(mapped), mapped.classes)
            for block in stream:
                self._columns[file] = stream.column and block.classes == 1 and self._columns.get(file, True)
                yield (block if place is None else _places(block)), place, block
            self._notes += [note for note in stream.notes if note not in self._notes]

    def _agree(self, stream: Stream) -> None:
        """Take the number format of the first file that has one; another file's must be the same."""
        if self._request.numerics.dtypes or stream.dtype is None:
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
        self._dtype = self._dtype or "float64"
        carried = None if block.target is None else tuple(block.target.tolist())
        numbers = range(first, first + len(block))
        settings = self._request.settle(Batch((block,), self._dtype, target=carried), numbers)
        self._notes += settings.notes if first == 0 else []
        given = self._request.loss
        loss = replace(
            settings.loss,
            target=settings.loss.target if given.target is None else _own(given.target, numbers),
            labels=_own(given.labels, numbers),
            against=_own(given.against, numbers),
        )
        return replace(settings, loss=loss)


def _places(block: RawBlock) -> range:
    """Which rows of their file these are."""
    assert isinstance(block.rows, range)  # noqa: S101 - blocks of a stream follow one another
    return block.rows


def _own(given: tuple[T, ...] | None, numbers: range) -> tuple[T, ...] | None:
    """Those of some rows, where there is one for each row.

    Raises:
        _TooFewError: there are too few.
    """
    if given is None or len(given) == 1:
        return given
    if len(given) < numbers.stop:
        raise _TooFewError(
            f"{len(given)} targets, rows of labels or of the teacher for {numbers.stop} rows or more", ONE_EACH
        )
    return given[numbers.start : numbers.stop]
