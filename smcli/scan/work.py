"""The work on one stretch of rows, as a worker does it: rows in, a tally out. Everything here pickles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from smcli import analyse, read
from smcli.batch import Batch
from smcli.errors import InputError
from smcli.numbers import formats
from smcli.problem.build import problems
from smcli.reference import Reference
from smcli.scan.tally import Tally, of_block, quick_look

if TYPE_CHECKING:
    from smcli.batch import RawBlock
    from smcli.problem.specs import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array lies: what `read.array_from_file` needs to find it again."""

    path: str
    kind: str | None = None
    key: str | None = None
    axis: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One stretch of rows of the input.

    Attributes:
        settings: what to do with them; its targets are those of these rows.
        first: the number of the first row, over all files.
        start, stop: which rows of the array at `place`.
        place: a file that every worker opens by itself, or None.
        rows: the rows themselves, where they come from a stream.
        quick: only look at the logits.
    """

    settings: Settings
    first: int
    start: int
    stop: int
    place: Place | None = None
    rows: RawBlock | None = None
    quick: bool = False


@lru_cache(maxsize=4)
def _opened(place: Place) -> RawBlock:
    block = read.block_from_file(place.path, place.kind, place.key, axis=place.axis)
    if block is None:
        raise InputError(f"{place.path} is no array any more", "it was one when the scan began; do not replace it")
    return block


def work(task: Task) -> Tally:
    """Judge the rows of a task, block by block, and sum up."""
    block = task.rows if task.place is None else _opened(task.place)
    assert block is not None  # noqa: S101 - a task has one of the two
    count = task.stop - task.start
    part = block.select(range(task.start, task.stop), range(count)) if count < len(block) else replace(
        block, rows=range(count)
    )  # fmt: skip
    result = Tally()
    fmt = formats.get(task.settings.numerics.dtypes[0])
    if task.quick:
        return quick_look(part, fmt, task.first)
    for problem, raw in problems(Batch((part,)), task.settings, fmt):
        judged = analyse.judge(problem, raw, Reference(problem), task.settings, fmt)
        result.add(of_block(judged, task.first))
    return result


def of_targets(settings: Settings, start: int, stop: int) -> Settings:
    """The settings with the targets of some rows only.

    Raises:
        InputError: there are fewer targets than rows.
    """
    target = settings.loss.target
    if target is None or len(target) == 1:
        return settings
    if stop > len(target):
        raise InputError(
            f"{len(target)} targets for {stop} rows or more", "give one target for all rows, or one for each"
        )
    return replace(settings, loss=replace(settings.loss, target=tuple(target[start:stop])))
