"""The tolerance that a test of some values should use, and what is to be said of the one that it uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.judge.tolerances import Allclose, looks_like, tolerances
from smcli.model import Truth

if TYPE_CHECKING:
    from smcli.checking.sums import Sums
    from smcli.judge.tolerances import Span
    from smcli.model import FloatArray
    from smcli.numbers.formats import Format


@dataclass(slots=True)
class Trial:
    """A tolerance, and how values do in its test.

    Attributes:
        tolerance: what it allows.
        failures: how many values did not pass so far.
        zeros: whether all zeros would pass.
        below_ulp: whether it asked for less than a spacing of the format somewhere.
    """

    tolerance: Allclose
    failures: int = 0
    zeros: bool = True
    below_ulp: bool = False

    @property
    def passes(self) -> bool:
        """Whether all values passed."""
        return not self.failures

    def add(self, values: FloatArray, of: Truth, rel: FloatArray, fmt: Format, *, user: bool) -> None:
        """Put more values to the test."""
        t, truth = self.tolerance, of.nearest()
        if not (t.rtol > 0 and (rel <= t.rtol).all()):
            self.failures += int(values.size - np.count_nonzero(t.passes(values, truth, of.remainder())))
        self.zeros = self.zeros and t.zeros_pass(truth)
        if user:
            self.below_ulp = self.below_ulp or t.below_ulp(truth, fmt)

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

    @classmethod
    def of(cls, quantity: str, fmt: Format, span: Span, yours: Allclose | None) -> Trials:
        """What values of that quantity and span are put to."""
        known = tuple(map(Trial, tolerances(quantity, fmt, span)))
        return cls(fmt, known, None if yours is None else Trial(yours))

    def add(self, values: FloatArray, truth: Truth, rel: FloatArray) -> None:
        """Put values [R, N] to all of them; an error may be less than what the nearest float64 leaves of the truth."""
        for trial in self.known:
            trial.add(values, truth, rel, self.format, user=False)
        if self.yours is not None:
            self.yours.add(values, truth, rel, self.format, user=True)

    def settle(self, sums: Sums) -> bool:
        """Tell from what is kept of a large check how all values do; False where that takes another look at them."""
        told = True
        for trial in (*self.known, *filter(None, [self.yours])):
            told &= trial.settle(sums, self.format, user=trial is self.yours)
        return told

    def document(self) -> dict[str, Any]:
        """The document `tolerance` of a check: the tightest one that all values pass, or else the tightest."""
        best = next((t for t in self.known if t.passes), self.known[0])
        known = [
            {"rtol": t.tolerance.rtol, "atol": t.tolerance.atol, "formula": t.tolerance.formula,
             "arithmetic": t.tolerance.arithmetic, "passes": t.passes, "failures": t.failures}
            for t in self.known
        ]  # fmt: skip
        yours = self.yours
        return {
            "rtol": best.tolerance.rtol,
            "atol": best.tolerance.atol,
            "formula": best.tolerance.formula,
            "passes": best.passes,
            "looks_like": looks_like((t.tolerance, t.passes) for t in self.known) or None,
            "models": known,
            "yours": None if yours is None else {
                "rtol": yours.tolerance.rtol, "atol": yours.tolerance.atol, "passes": yours.passes,
                "zeros_pass": yours.zeros, "below_ulp": yours.below_ulp,
            },
        }  # fmt: skip
