"""Rows that are beyond doubt: nothing about their logits is odd, and every value is correct or accurate.

They are told apart with a few passes over whole numbers. A float64 and the integer that its bits make rise together, so
that the difference of two such integers counts the float64 between value and truth: 2^(53 − p) of them are a spacing of
the format. That is the error in ulp, but where a power of 2 lies between the two, with spacings twice as large above it:
such values are few, and looked at one by one. Whether a value is the truth rounded the integers tell right even there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smcli.checking.sums import WORST, Lines, Values
from smcli.judge.limits import LEAST
from smcli.judge.measure import spacing
from smcli.model import Verdict

if TYPE_CHECKING:
    from smcli.batch import Written
    from smcli.checking.sums import Sums
    from smcli.model import BoolArray, FloatArray, IntArray, Problem, Truth
    from smcli.numbers.formats import Format
    from smcli.reference import Reference

TILE = 1 << 14  # values that are worked on together, so that they stay in cache
LONG = 1 << 11  # values of a row from which on a look at each row by itself is worth it
FAR = 400.0  # logits beyond it may have a condition number above 1000
EXPONENT = np.int64(1 << 52)
SLACK = 66  # float64 within which the truth's bound of 2^-47 leaves its rounding open
QUANTITIES = {"softmax", "log-softmax"}


@dataclass(frozen=True, slots=True)
class Screen:
    """What rows are held against.

    Attributes:
        quantity: softmax or log-softmax.
        format: of the values, at most 24 bits.
        sums: where rows that are beyond doubt are taken up.
    """

    quantity: str
    format: Format
    sums: Sums

    def suits(self, problem: Problem, raw: Written) -> bool:
        """Whether rows of such a problem can be beyond doubt: nothing was rounded, divided or capped."""
        plain = self.quantity in QUANTITIES and self.format.p <= 24 and self.format.has_inf
        plain &= problem.temperature == 1 and problem.softcap is None and problem.logits.shape[1] >= LONG
        return plain and raw.tokens is None and (
            raw.values is problem.logits or np.array_equal(raw.values, problem.logits)
        )  # fmt: skip

    def sift(
        self, problem: Problem, reference: Reference, values: FloatArray, ends: tuple[FloatArray, FloatArray]
    ) -> BoolArray:
        """Take up the rows that are beyond doubt, and tell which they are, [R].

        Args:
            problem: the block.
            reference: its truth.
            values: what was returned.
            ends: the largest and the least logit of each row; nan where there is one.
        """
        top, low = ends
        good = (top <= FAR) & (low >= -FAR) & ~((low >= 0) & (top <= 1))  # all in [0, 1] may be probabilities
        if not good.any():
            return good
        truth = reference.truth(self.quantity)
        if any(truth.lo.strides) or any(truth.exp2.strides):
            return np.zeros(len(good), dtype=bool)
        for r in np.flatnonzero(good).tolist():
            good[r] = _Row(self, problem, reference, truth, r, values[r], float(top[r])).is_fine()
        return good


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What a look at a row tells.

    Attributes:
        correct: how many values are the truth rounded, but for those that are undecided.
        undecided: where that is open.
        across: where a power of 2 lies between value and truth.
        largest: the largest truth.
    """

    correct: int
    undecided: IntArray
    across: IntArray
    largest: float


def _joined(parts: list[IntArray]) -> IntArray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


class _Row:
    """One row of values y beside the truth t."""

    def __init__(
        self, screen: Screen, problem: Problem, reference: Reference, truth: Truth, r: int, y: FloatArray, top: float
    ) -> None:
        self.screen, self.reference, self.truth, self.r, self.y = screen, reference, truth, r, y
        self.t, self.x, self.top = truth.hi[r], problem.logits[r], top
        self.place = int(r if problem.rows is None else problem.rows[r])
        self.unit = 2 ** (53 - screen.format.p)  # float64 in a spacing of the format
        self.apart = np.empty(y.size, dtype=np.int64)

    def is_fine(self) -> bool:
        """Whether the row is beyond doubt; then it was taken up."""
        look = self._look()
        if look is None or not self._within(look):
            return False
        first = float(self.apart.max()) / self.unit
        some = np.flatnonzero(self.apart >= self.unit * min(first, self._cutoff()))
        some = np.union1d(some, look.across) if look.across.size else some
        ulp = self._ulp(some)
        right = self.apart[some] < self.unit // 2
        correct = look.correct
        if look.undecided.size:
            settled = self._settled(look.undecided)
            correct += int(np.count_nonzero(settled))
            right[np.isin(some, look.undecided)] = settled[np.isin(look.undecided, some)]
        most = int(ulp.argmax())
        self._take_up(some, ulp, right, most, correct)
        self.screen.sums.see(look.largest, float(ulp[most]) * 2 * self.screen.format.unit_roundoff)
        return True

    def _within(self, look: _Look) -> bool:
        """Whether every value is accurate, and no finding asks why it is not more so."""
        flat, far = max(LEAST, 2 * (math.log2(self.y.size) + 4)), self.screen.quantity == "softmax"
        if not far:  # of a logarithm the condition number may be large
            flat = LEAST
        some = np.flatnonzero(self.apart > self.unit * flat)
        some = np.union1d(some, look.across) if look.across.size else some
        if not some.size:
            return True
        allowed = flat + 2 * np.abs(self.x[some] - self.top) if far else flat
        return bool((self._ulp(some) <= np.maximum(LEAST, allowed)).all())

    def _look(self) -> _Look | None:
        """What a few passes tell; None where there is doubt at once."""
        fmt, half = self.screen.format, self.unit // 2
        probabilities = self.screen.quantity == "softmax"
        total, correct, least, most = 0.0, 0, math.inf, 0.0
        undecided, across = [], []
        spare = np.empty(min(TILE, self.y.size), dtype=np.int64)
        for start in range(0, self.y.size, TILE):
            part = slice(start, start + TILE)
            t, y, apart = self.t[part], self.y[part], self.apart[part]
            of_y, of_t = y.view(np.int64), t.view(np.int64)
            other = np.bitwise_xor(of_y, of_t, out=spare[: t.size]) >= EXPONENT  # the last bit of it, or one above
            if other.any():
                across.append(start + np.flatnonzero(other))
            np.subtract(of_y, of_t, apart)
            np.abs(apart, apart)
            sure = int(np.count_nonzero(apart < half - SLACK))
            if sure != int(np.count_nonzero(apart <= half + SLACK)):
                undecided.append(start + np.flatnonzero(np.abs(apart - half) <= SLACK))
            correct += sure
            low, high = (t.min(), t.max()) if probabilities else (-t.max(), -t.min())
            least, most = min(least, float(low)), max(most, float(high))
            total += float(y.sum()) if probabilities else 0.0
        if not (least >= fmt.smallest_normal and most <= fmt.max / 2):
            return None
        if probabilities and not abs(total - 1) <= (LEAST - 1) * fmt.unit_roundoff:
            return None  # rounding may explain it still: LEAST spacings of every value, added up
        if sum(map(len, across)) > self.y.size / 16:  # of other signs or sizes, not just near a power of 2
            return None
        return _Look(correct, _joined(undecided), _joined(across), most)

    def _cutoff(self) -> float:
        """The error, in ulp, from which on a value may be among the worst of all."""
        known = self.screen.sums.cutoff
        if known or self.y.size <= WORST:
            return known
        kept = self.y.size - WORST
        return float(np.partition(self.apart, kept)[kept]) / self.unit

    def _ulp(self, at: IntArray) -> FloatArray:
        t = self.t[at]
        errors: FloatArray = np.abs(self.y[at] - t) / spacing(t, self.screen.format)
        return errors

    def _settled(self, at: IntArray) -> BoolArray:
        """Which of some values, whose rounding the bound leaves open, are the truth correctly rounded."""
        fmt, rows = self.screen.format, self.truth.hi.shape
        rounded, mask = np.zeros(rows), np.zeros(rows, dtype=bool)
        rounded[self.r, at], mask[self.r, at] = fmt.round(self.t[at]), True
        settled = self.reference.settle(self.screen.quantity, rounded, mask, fmt)
        same: BoolArray = settled[self.r, at] == self.y[at]
        return same

    def _take_up(self, some: IntArray, ulp: FloatArray, right: BoolArray, most: int, correct: int) -> None:
        counts = np.zeros((1, len(Verdict)), dtype=np.int64)
        counts[0, Verdict.CORRECT], counts[0, Verdict.OK] = correct, self.y.size - correct
        t, y = self.t[some], self.y[some]
        rel = np.abs(y - t) / np.abs(t)
        one = slice(most, most + 1)
        lines = Lines(np.array([self.place]), counts, some[one], ulp[one], rel[one])
        keep = ulp >= self.screen.sums.cutoff
        n = int(np.count_nonzero(keep))
        verdicts = np.where(right[keep], np.uint8(Verdict.CORRECT), np.uint8(Verdict.OK))
        values = Values(np.full(n, self.place), some[keep], y[keep], t[keep], np.zeros(n), np.zeros(n, np.int64),
                        ulp[keep], rel[keep], verdicts)  # fmt: skip
        self.screen.sums.add(lines, values, self.truth.bound)
