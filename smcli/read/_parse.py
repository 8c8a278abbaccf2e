"""A text becomes rows: bare numbers at once, all else by way of what people paste."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smcli.batch import Batch
from smcli.errors import InputError
from smcli.numbers.words import show
from smcli.read import _lines
from smcli.read._gather import Gather
from smcli.read._run import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.read._dtypes import Vote

# What only pasted text needs is imported when there is some: its patterns take milliseconds to compile.

_BARE = re.compile(r"(?!\s*,)[\d\s.,;+\-a-fA-FiInNpPtTyYxX]*+")  # numbers and separators, and no word but theirs
_SHOWN = 3  # pieces left out that a note shows


@dataclass
class Parsed:
    """What a text gave.

    Attributes:
        gather: its rows.
        shape: of all of it, classes last, when it was one list.
        target: the right classes that it carries.
        votes: the number formats that it names.
        dropped: what was left out.
    """

    gather: Gather
    shape: tuple[int, ...] | None = None
    target: list[int] | None = None
    votes: list[Vote] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def batch(self, name: str, axis: int | None = None) -> Batch:
        """The batch of it.

        Raises:
            InputError: there is no such axis, or there is not one target for each row.
        """
        self.gather.name = name
        shape = None if self.shape is None or -1 in self.shape else self.shape
        batch = Batch(self.gather.blocks(shape, axis), notes=left_out(name, self.dropped), shape=shape)
        return batch if not self.votes and self.target is None else self._told(batch, name)

    def _told(self, batch: Batch, name: str) -> Batch:
        """The batch with what the text says beside its numbers."""
        from smcli.read._carried import targets
        from smcli.read._dtypes import agreed

        dtype, origin, notes = agreed(self.votes)
        target = None if self.target is None else targets(self.target, len(batch), name)
        return Batch(batch.blocks, dtype, origin, target, notes=(*batch.notes, *notes), shape=batch.shape)


def left_out(name: str, dropped: list[str]) -> tuple[str, ...]:
    """The note about what was left out."""
    said = [" ".join(text.split()) for text in dropped if text]
    if not said:
        return ()
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return (f"left out of {name}: {', '.join(map(show, said[:_SHOWN]))}{more}",)


def parse(
    text: str, place: Callable[[str, int], str], *, subject: str = "", into: Gather | None = None, by_line: bool = False,
) -> Parsed:  # fmt: skip
    """The rows of a text.

    Args:
        text: numbers, separators and brackets, and what people paste around them.
        place: tells, for messages, where the character with that index stands in the text.
        subject: what the numbers are, when they are not logits: "--labels".
        into: where the rows go.
        by_line: a line is a row, always.

    Raises:
        InputError: anything that is not a number, or leaves a doubt.
    """
    out = Parsed(Gather() if into is None else into)
    if _BARE.fullmatch(text):
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        suffixed = _lines.read(text, Faults(text, place, subject), out.gather, by_line=by_line)
        if suffixed:
            from smcli.read._dtypes import SUFFIX

            out.votes.append(SUFFIX)
        return out
    from smcli.read import _paste
    from smcli.read._tidy import tidy

    tidied = tidy(text)
    _paste.read(tidied, Faults(tidied.text, place, subject), out, by_line=by_line)
    if subject and any(out.dropped):
        raise InputError(f"{subject}: {show(next(filter(None, out.dropped)))} is not a number", "give only the numbers")
    return out
