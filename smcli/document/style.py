"""How much of a thing its reader wants to see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Style:
    """How a report is to be shown.

    Attributes:
        every_class: show every value: all classes of a long row, all rows of a batch.
        top: otherwise how many classes of a long row.
        summary: of a batch the summary alone.
        verbose: also ulp, verdicts, bounds, condition numbers, and what asks for nothing.
        whole: every digit of every number, as where the user asked for a number of digits.
        color: None: as the terminal can; False: never.
        to_file: the text goes to a file that the user named.
    """

    every_class: bool = False
    top: int = 20
    summary: bool = False
    verbose: bool = False
    whole: bool = False
    color: bool | None = None
    to_file: bool = False
