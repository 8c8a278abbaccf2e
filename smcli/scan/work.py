"""The work on one stretch of rows, as a worker does it: rows in, a tally out. Everything here pickles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from smcli import analyse, read
from smcli.batch import Batch
from smcli.errors import InputError
from smcli.problem.build import problems
from smcli.reference import Reference
from smcli.scan import sound
from smcli.scan.look import look
from smcli.scan.tally import Tally, of_block

if TYPE_CHECKING:
    from smcli.batch import RawBlock
    from smcli.problem.specs import Settings
    from smcli.read import How


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array lies: what `read.block_from_file` needs to find it, and how many rows of how many classes it has."""

    path: str
    how: How
    rows: int
    classes: int


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One stretch of rows of the input.

    Attributes:
        settings: what to do with them; targets and labels are those of these rows.
        file: which of the files they are in, counted from 0.
        first: the number of the first row, over all files.
        rows: the rows themselves, or which of the array at `place`.
        place: a file that every worker opens by itself, or None.
        quick: only look at the logits.
    """

    settings: Settings
    file: int
    first: int
    rows: RawBlock | range
    place: Place | None = None
    quick: bool = False


@lru_cache(maxsize=4)
def opened(place: Place) -> RawBlock:
    """The array at a place, which stays open.

    Raises:
        InputError: it is not there any more.
    """
    block = read.block_from_file(place.path, place.how)
    if block is None or (len(block), block.classes) != (place.rows, place.classes):
        raise InputError(f"{place.path} is another array than before", "leave the file as it is while it is scanned")
    return block


def work(task: Task) -> Tally:
    """Judge the rows of a task, block by block, and sum up.

    Raises:
        InputError: the file that holds them changed, or labels do not fit them.
    """
    if isinstance(task.rows, range):
        assert task.place is not None  # noqa: S101 - it says which rows of it
        block = opened(task.place).select(task.rows, range(len(task.rows)))
    else:
        block = task.rows
    if task.quick:
        return look(block, task.settings.format, task.first)
    block = replace(block, rows=range(len(block)))
    tally = Tally()
    for problem, raw in problems(Batch((block,)), task.settings):
        reference = Reference(problem)
        known = sound.tally(problem, raw, reference, task.settings, task.first)
        if known is None:
            judged = analyse.judge(problem, raw, reference, task.settings, counted=True)
            known = of_block(judged, task.first, task.settings.tolerance)
        tally += known
    return tally
