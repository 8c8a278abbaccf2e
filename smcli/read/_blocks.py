"""A stream of written rows becomes blocks of bounded size, cut at the same rows however fast the rows come."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli.errors import InputError
from smcli.numbers.words import plural
from smcli.read._arrays import BLOCK
from smcli.read._dtypes import Vote, agreed
from smcli.read._gather import Gather

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.batch import RawBlock
    from smcli.read._source import Source


class Blocks:
    """Gathers rows, and gives them back as blocks of so many rows of one length, which follow one another."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._first = 0
        self._targets: list[int] = []
        self.gather = Gather(source.name)

    def targets(self, found: Sequence[int]) -> None:
        """The right classes of the rows that came last."""
        self._targets += found

    def about(self, votes: list[Vote], notes: tuple[str, ...]) -> None:
        """What the text says about its number format, and what was left out of it: told before the first block."""
        about = self._source.about
        if votes and not about.dtype:
            about.dtype, about.origin, _ = agreed(votes)
        if notes and not about.notes:
            about.notes = notes

    def full(self) -> Iterator[RawBlock]:
        """The blocks that are full."""
        while block := self.gather.first_block(BLOCK):
            yield self._with_targets(block)

    def rest(self) -> Iterator[RawBlock]:
        """All rows that are left."""
        while block := self.gather.first_block(1):
            yield self._with_targets(block)

    def _with_targets(self, block: RawBlock) -> RawBlock:
        block = replace(block, dtype=self._source.about.dtype)
        if not self._targets:
            return block
        found, self._targets = self._targets[: len(block)], self._targets[len(block) :]
        if len(found) != len(block):
            raise InputError(
                f"{plural(len(found), 'target')} for {plural(len(block), 'row of logits')}, {block.name}",
                "give one for each",
            )
        return block.with_target(np.array(found, dtype=np.int64))
