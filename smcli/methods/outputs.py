"""Values that other code computed, as the method "output": nothing is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from smcli.errors import InputError
from smcli.methods.base import OUTPUT, Method
from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import FloatArray, IntArray, Problem
    from smcli.quantities import Quantity


class Source(Protocol):
    """Where the values are."""

    def at(self, places: IntArray, o: Arithmetic) -> FloatArray:
        """The values of some rows of the input, all as long, float64 [R, N]: numbers of the arithmetic's format."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Output(Method):
    """Values that are handed in."""

    rows: Source

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        return "Values that other code computed."

    @property
    def module(self) -> str:
        """This module."""
        return __name__

    @property
    def final(self) -> bool:
        """They are what they are."""
        return True

    def defines(self, quantity: str) -> bool:  # noqa: ARG002
        """They are of whatever quantity is asked for."""
        return True

    def compute(self, problem: Problem, quantity: Quantity, o: Arithmetic, step: float | None) -> Rows:  # noqa: ARG002
        """The values of the rows of a block.

        Raises:
            InputError: a row of them has not as many values as the quantity.
        """
        places = np.arange(len(problem.logits)) if problem.rows is None else problem.rows
        values = self.rows.at(places, o)
        due = quantity.size(problem)
        if values.shape[1] != due:
            raise InputError(f"{values.shape[1]} values for row {places[0]}, where {quantity.name} of it has {due}")
        return Rows(values, OUTPUT)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Listed:
    rows: Sequence[FloatArray]

    def at(self, places: IntArray, o: Arithmetic) -> FloatArray:  # noqa: ARG002
        return np.stack([np.ravel(self.rows[i]) for i in places.tolist()])


def output(rows: Source | Sequence[FloatArray]) -> Output:
    """Values that other code computed, as a method.

    Args:
        rows: where they are: a source, or float64 numbers of the format, an array for each row of the input.
    """
    return Output(OUTPUT, "the file or array that is checked", "none", rows if hasattr(rows, "at") else _Listed(rows))
