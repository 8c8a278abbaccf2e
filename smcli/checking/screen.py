"""Rows that are beyond doubt: nothing about their logits is odd, and every value is correct or accurate.

They are told apart with a few passes over whole numbers. A float64 and the integer that its bits make rise together, so
that the difference of two such integers counts the float64 between value and truth: 2^(53 − p) of them are a spacing of
the format. That is the error in ulp, but where a power of 2 lies between the two, with spacings twice as large above it:
such values are few, and looked at one by one. Whether a value is the truth rounded the integers tell right even there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smcli.checking.sums import WORST, Lines, Values
from smcli.findings.sums import may_miss
from smcli.judge.limits import LEAST
from smcli.judge.measure import spacing
from smcli.model import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smcli.batch import Written
    from smcli.checking.sums import Sums
    from smcli.model import BoolArray, FloatArray, IntArray, Problem, Truth
    from smcli.numbers.formats import Format
    from smcli.reference import Reference

TILE = 1 << 14  # values that are worked on together, so that they stay in cache
LONG = 1 << 11  # values of a row from which on a look at each row by itself is worth it
FAR = 400.0  # logits beyond it may have a condition number above 1000
EXPONENT = np.uint64(1 << 52)  # numbers whose bits differ there are of other exponents, or signs
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
        plain &= self.quantity != "softmax" or not may_miss(problem.logits.shape[1], self.format)
        return plain and raw.tokens is None and (
            raw.values is problem.logits or np.array_equal(raw.values, problem.logits)
        )  # fmt: skip

    def sift(
        self, problem: Problem, reference: Reference, values: NDArray[Any], ends: tuple[FloatArray, FloatArray]
    ) -> BoolArray:
        """Take up the rows that are beyond doubt, and tell which they are, [R].

        Args:
            problem: the block.
            reference: its truth.
            values: what was returned, [R, C]: float64, or as it is stored.
            ends: the largest and the least logit of each row; nan where there is one.
        """
        top, low = ends
        good = (top <= FAR) & (low >= -FAR) & ~((low >= 0) & (top <= 1))  # all in [0, 1] may be probabilities
        if not good.any():
            return good
        truth = reference.truth(self.quantity)
        if any(truth.lo.strides) or any(truth.exp2.strides):
            return np.zeros(len(good), dtype=bool)
        block = _Block(problem, reference, truth)
        for r in np.flatnonzero(good).tolist():
            good[r] = _Row(self, block, r, values[r], (float(top[r]), float(low[r]))).is_fine()
        return good


class _Block(NamedTuple):
    """What the rows of a block have in common."""

    problem: Problem
    reference: Reference
    truth: Truth


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What a look at a row tells.

    Attributes:
        correct: how many values are the truth rounded, but for those that are undecided.
        undecided: where that is open.
        some: where a value may be among the worst, or beyond what is accurate everywhere; ascending.
    """

    correct: int
    undecided: IntArray
    some: IntArray


EMPTY = np.empty(0, dtype=np.int64)


class _Row:
    """One row of values y beside the truth t."""

    def __init__(self, screen: Screen, block: _Block, r: int, y: NDArray[Any], ends: tuple[float, float]) -> None:
        self.screen, self.block, self.r, self.y = screen, block, r, y
        self.t, self.x, (self.top, self.low) = block.truth.hi[r], block.problem.logits[r], ends
        self.largest = 0.0
        rows = block.problem.rows
        self.place = int(r if rows is None else rows[r])
        self.unit = 2 ** (53 - screen.format.p)  # float64 in a spacing of the format
        self.apart = np.empty(y.size, dtype=np.int64)

    def is_fine(self) -> bool:
        """Whether the row is beyond doubt; then it was taken up."""
        look = self._look() if self._is_usual() else None
        if look is None:
            return False
        ulp = self._ulp(look.some)
        if not (ulp <= self._allowed(look.some)).all():
            return False
        right = self.apart[look.some] < self.unit // 2
        correct = look.correct
        if look.undecided.size:
            settled = self._settled(look.undecided)
            correct += int(np.count_nonzero(settled))
            right[np.isin(look.some, look.undecided)] = settled[np.isin(look.undecided, look.some)]
        self._take_up(look.some, ulp, right, correct)
        return True

    @property
    def _flat(self) -> float:
        """The error, in ulp, that is accurate wherever it is, and that no finding asks about."""
        if self.screen.quantity != "softmax":  # of a logarithm the condition number may be large
            return LEAST
        return max(LEAST, 2 * (math.log2(self.y.size) + 4))

    def _allowed(self, at: IntArray) -> FloatArray | float:
        """The errors, in ulp, that are accurate at some places."""
        if self.screen.quantity != "softmax":
            return LEAST
        far: FloatArray = np.abs(self.x[at] - self.top)
        return np.asarray(np.maximum(LEAST, 2 * (math.log2(self.y.size) + 4 + far)))

    def _is_usual(self) -> bool:
        """Whether every truth is a normal number of the format, and not near its largest."""
        fmt = self.screen.format
        if self.screen.quantity == "softmax":
            log = float(self.x[0]) - math.log(self.t[0]) if self.t[0] > 0 else math.inf  # of Σ e^x, to some digits
            self.largest = math.exp(min(self.top - log, 0.0))
            return self.low - log - 1e-6 > math.log(fmt.smallest_normal)
        self.largest = -float(self.t.min())
        return -float(self.t.max()) >= fmt.smallest_normal and self.largest <= fmt.max / 2

    def _look(self) -> _Look | None:
        """What a few passes tell; None where there is doubt at once."""
        size, half, probabilities = self.y.size, self.unit // 2, self.screen.quantity == "softmax"
        cutoff = self.screen.sums.cutoff
        least = self.unit * min(self._flat, cutoff or math.inf)
        total, correct, most = 0.0, 0, -1
        undecided, across, some = [], [], []
        spare, wide = np.empty(min(TILE, size), dtype=np.uint64), np.empty(min(TILE, size))
        for start in range(0, size, TILE):
            part = slice(start, start + TILE)
            t, apart = self.t[part], self.apart[part]
            y = wide[: t.size]
            y[:] = self.y[part]
            other = np.bitwise_xor(y.view(np.uint64), t.view(np.uint64), out=spare[: t.size]) >= EXPONENT
            if np.count_nonzero(other):
                across.append(start + np.flatnonzero(other))
            np.subtract(y.view(np.int64), t.view(np.int64), apart)
            np.abs(apart, apart)
            sure = int(np.count_nonzero(apart < half - SLACK))
            if sure != int(np.count_nonzero(apart <= half + SLACK)):
                undecided.append(start + np.flatnonzero(np.abs(apart - half) <= SLACK))
            correct += sure
            top = int(np.maximum.reduce(apart))
            if top >= least:
                some.append(start + np.flatnonzero(apart >= least))
            elif top > most:
                some.append(np.array([start + int(apart.argmax())]))
            most = max(most, top)
            total += float(np.add.reduce(y)) if probabilities else 0.0
        if probabilities and not abs(total - 1) <= (LEAST - 1) * self.screen.format.unit_roundoff:
            return None  # rounding may explain it still: LEAST spacings of every value, added up
        if sum(map(len, across)) > size / 16:  # of other sizes, not just near a power of 2
            return None
        if not cutoff:  # there are not yet as many of the worst as are wanted
            kept = max(size - WORST, 0)
            some = [np.flatnonzero(self.apart >= min(least, np.partition(self.apart, kept)[kept]))]
        if across:
            some = [np.union1d(np.concatenate(some), np.concatenate(across))]
        return _Look(correct, np.concatenate([EMPTY, *undecided]), np.concatenate(some))

    def _ulp(self, at: IntArray) -> FloatArray:
        t = self.t[at]
        errors: FloatArray = np.abs(self.y[at].astype(np.float64) - t) / spacing(t, self.screen.format)
        return errors

    def _settled(self, at: IntArray) -> BoolArray:
        """Which of some values, whose rounding the bound leaves open, are the truth correctly rounded."""
        fmt, rows = self.screen.format, self.block.truth.hi.shape
        rounded, mask = np.zeros(rows), np.zeros(rows, dtype=bool)
        rounded[self.r, at], mask[self.r, at] = fmt.round(self.t[at]), True
        settled = self.block.reference.settle(self.screen.quantity, rounded, mask, fmt)
        same: BoolArray = settled[self.r, at] == self.y[at]
        return same

    def _take_up(self, some: IntArray, ulp: FloatArray, right: BoolArray, correct: int) -> None:
        sums = self.screen.sums
        counts = np.zeros((1, len(Verdict)), dtype=np.int64)
        counts[0, Verdict.CORRECT], counts[0, Verdict.OK] = correct, self.y.size - correct
        t, y, most = self.t[some], self.y[some].astype(np.float64), int(ulp.argmax())
        rel = np.abs(y - t) / np.abs(t)
        lines = Lines(np.array([self.place]), counts, some[most, None], ulp[most, None], rel[most, None])
        keep = ulp >= sums.cutoff
        n = int(np.count_nonzero(keep))
        verdicts = np.where(right[keep], np.uint8(Verdict.CORRECT), np.uint8(Verdict.OK))
        values = Values(np.full(n, self.place), some[keep], y[keep], t[keep], np.zeros(n), np.zeros(n, np.int64),
                        ulp[keep], rel[keep], verdicts)  # fmt: skip
        sums.add(lines, values, self.block.truth.bound)
        sums.see(self.largest, float(ulp[most]) * 2 * self.screen.format.unit_roundoff)
