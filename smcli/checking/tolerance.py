"""The tolerance that a test of some values should use, and what is to be said of the one that it uses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smcli import quantities
from smcli.judge.beyond import furthest
from smcli.judge.tolerances import Allclose, looks_like, tolerances
from smcli.model import Truth
from smcli.report.document import json_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.checking.sums import Sums
    from smcli.judge.tolerances import Span
    from smcli.model import BoolArray, FloatArray
    from smcli.numbers.formats import Format

    Rows = Sequence[int] | Sequence[None]  # their numbers; a reduced loss has none

FEW = 100  # times as many values as are beyond a tolerance that the others look like
LISTED = 100  # values that do not pass, in the document


class Failed(NamedTuple):
    """A value that did not pass.

    Attributes:
        beyond: how many times what is allowed it is off; nan and the infinities are infinitely far.
        row: the number of its row; None of a reduced loss.
        at: its index, a pair in a matrix; None where the row has one value.
        value: what it is.
        truth: what it should be.
    """

    beyond: float
    row: int | None
    at: int | tuple[int, int] | None
    value: float
    truth: float

    def document(self) -> dict[str, Any]:
        """As in the document of a check."""
        at = list(self.at) if isinstance(self.at, tuple) else self.at
        return {"row": self.row, "at": at, "value": json_number(self.value), "truth": json_number(self.truth)}


@dataclass(slots=True)
class Trial:
    """A tolerance, and how values do in its test.

    Attributes:
        tolerance: what it allows.
        failures: how many values did not pass so far.
        zeros: whether all zeros would pass.
        below_ulp: whether it asked for less than a spacing of the format somewhere.
        failed: values that did not pass, those that are furthest beyond it first.
        matrix: whether the values of a row are a matrix.
    """

    tolerance: Allclose
    failures: int = 0
    zeros: bool = True
    below_ulp: bool = False
    failed: list[Failed] = field(default_factory=list)
    matrix: bool = False

    @property
    def passes(self) -> bool:
        """Whether all values passed."""
        return not self.failures

    def add(self, values: FloatArray, of: Truth, rel: FloatArray, fmt: Format, rows: Rows, *, user: bool) -> None:
        """Put more values to the test, with the numbers of their rows."""
        t, truth = self.tolerance, of.nearest()
        if not (t.rtol > 0 and (rel <= t.rtol).all()):
            bad = ~t.passes(values, truth, of.remainder())
            self.failures += int(np.count_nonzero(bad))
            if bad.any():
                self._note(values, truth, bad, rows)
        self.zeros = self.zeros and t.zeros_pass(truth)
        if user:
            self.below_ulp = self.below_ulp or t.below_ulp(truth, fmt)

    def _note(self, values: FloatArray, truth: FloatArray, bad: BoolArray, rows: Rows) -> None:
        """Keep which values did not pass: as many as are listed, those that are furthest beyond the tolerance."""
        at, i = np.nonzero(bad)
        y, t = values[at, i], truth[at, i]
        beyond = self.tolerance.beyond(y, t)
        most = furthest(beyond, LISTED)
        columns = (beyond[most].tolist(), at[most].tolist(), i[most].tolist(), y[most].tolist(), t[most].tolist())
        side = math.isqrt(values.shape[1]) if self.matrix else 0
        for b, r, k, own, true in zip(*columns, strict=True):
            self.failed.append(
                Failed(b, rows[r], divmod(k, side) if side else k if values.shape[1] > 1 else None, own, true)
            )
        self.failed.sort(key=lambda f: -f.beyond)
        del self.failed[LISTED:]

    def settle(self, sums: Sums, fmt: Format, *, user: bool) -> bool:
        """The same from what is kept of a large check; False where it does not tell."""
        t, worst = self.tolerance, sums.worst
        largest = np.array([sums.largest])
        self.zeros = not sums.undefined and t.zeros_pass(largest)
        known = bool(t.rtol > 0 and sums.rel <= t.rtol)  # so that all pass
        if user:
            truth = Truth(worst.hi, worst.lo, worst.exp2, sums.bound).nearest()
            self.below_ulp = t.below_ulp(largest, fmt) or t.below_ulp(truth, fmt)
            known &= self.below_ulp or t.rtol >= 2 * fmt.unit_roundoff
        return known


@dataclass(slots=True)
class Trials:
    """The tolerances that there are for values, the tightest first, and the user's own."""

    format: Format
    known: tuple[Trial, ...]
    yours: Trial | None = None
    values: int = 0

    @classmethod
    def of(cls, quantity: str, fmt: Format, span: Span, yours: Allclose | None) -> Trials:
        """What values of that quantity and span are put to."""
        matrix = quantities.get(quantity).shape == "matrix"
        known = tuple(Trial(t, matrix=matrix) for t in tolerances(quantity, fmt, span))
        return cls(fmt, known, None if yours is None else Trial(yours, matrix=matrix))

    def add(self, values: FloatArray, truth: Truth, rel: FloatArray, rows: Rows) -> None:
        """Put values [R, N] of rows with these numbers to all; an error may be less than the truth's float64 leaves."""
        self.values += values.size
        for trial in self.known:
            trial.add(values, truth, rel, self.format, rows, user=False)
        if self.yours is not None:
            self.yours.add(values, truth, rel, self.format, rows, user=True)

    def settle(self, sums: Sums) -> bool:
        """Tell from what is kept of a large check how all values do; False where that takes another look at them."""
        told, self.values = True, sums.values
        for trial in (*self.known, *filter(None, [self.yours])):
            told &= trial.settle(sums, self.format, user=trial is self.yours)
        return told

    def document(self) -> dict[str, Any]:
        """The document `tolerance` of a check: the tightest one that all values pass, or else the tightest.

        The tightest, too, where but a few values do not pass it: those are wrong, and a looser one would hide them.
        """
        tightest = self.known[0]
        few = 0 < tightest.failures * FEW <= self.values
        best = next((t for t in self.known if t.passes or (few and t is tightest)), tightest)
        known = [
            {"rtol": t.tolerance.rtol, "atol": t.tolerance.atol, "formula": t.tolerance.formula,
             "arithmetic": t.tolerance.arithmetic, "passes": t.passes, "failures": t.failures, "zeros_pass": t.zeros}
            for t in self.known
        ]  # fmt: skip
        yours = self.yours
        return {
            "rtol": best.tolerance.rtol,
            "atol": best.tolerance.atol,
            "formula": best.tolerance.formula,
            "passes": best.passes,
            "zeros_pass": best.zeros,
            "values": self.values,
            "looks_like": None if few else looks_like((t.tolerance, t.passes) for t in self.known) or None,
            "few": [f.document() for f in tightest.failed[:LISTED]] if few else None,
            "models": known,
            "yours": None if yours is None else {
                "rtol": yours.tolerance.rtol, "atol": yours.tolerance.atol, "passes": yours.passes,
                "zeros_pass": yours.zeros, "below_ulp": yours.below_ulp, "failures": yours.failures,
                "failed": [f.document() for f in yours.failed],
            },
        }  # fmt: skip
