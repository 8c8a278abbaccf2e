"""The work on one stretch of rows, as a worker does it: rows in, a tally out. Everything here pickles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smcli import analyse
from smcli.batch import Batch
from smcli.numbers import formats
from smcli.problem.build import problems
from smcli.reference import Reference
from smcli.scan.look import look
from smcli.scan.mapped import Mapped
from smcli.scan.tally import Tally, of_block

if TYPE_CHECKING:
    from smcli.batch import RawBlock
    from smcli.problem.specs import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One stretch of rows of the input.

    Attributes:
        settings: what to do with them; targets and labels are those of these rows.
        first: the number of the first row, over all files.
        rows: the rows, or where they are.
        quick: only look at the logits.
        path: the file that they come from.
    """

    settings: Settings
    first: int
    rows: RawBlock | Mapped
    quick: bool = False
    path: str = ""


def work(task: Task) -> Tally:
    """Judge the rows of a task, block by block, and sum up.

    Raises:
        InputError: the file that holds them changed, or labels do not fit them.
    """
    block = task.rows.open() if isinstance(task.rows, Mapped) else task.rows
    fmt = formats.get(task.settings.numerics.dtypes[0])
    if task.quick:
        return look(block, fmt, task.first)
    block = replace(block, rows=range(len(block)))
    tally = Tally()
    for problem, raw in problems(Batch((block,)), task.settings, fmt):
        judged = analyse.judge(problem, raw, Reference(problem), task.settings, fmt)
        tally += of_block(judged, task.first, task.settings.tolerance)
    return tally
