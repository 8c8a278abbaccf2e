"""Softmax of rows in which nothing is odd, told straight from the arrays: nothing is copied but pieces that stay in cache.

A row is fine at a glance if its logits are moderate numbers of the format, its probabilities normal numbers of it, every
value within its limit, and their sum, too. The truth is e^x·(1/Σ e^x) in float64, right to `direct_bound`. Where an error is
so near half a spacing that the bound leaves open whether the value is the truth rounded, the row is left to `screen`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.checking.sums import WORST, Lines, Values
from smcli.findings.sums import may_miss
from smcli.judge.limits import LEAST
from smcli.judge.tolerances import Span
from smcli.model import Verdict
from smcli.reference.float64.values import BOUND, MODERATE, direct_bound, exponentials
from smcli.reference.tiles import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from smcli.batch import Batch, RawBlock
    from smcli.checking.fit import Outputs
    from smcli.checking.sums import Sums
    from smcli.model import BoolArray, FloatArray, IntArray
    from smcli.numbers.formats import Format
    from smcli.problem.specs import Settings

TILE = 2 * BLOCK  # values that are worked on together: fewer calls, and still in the cache
ROOM = 1 << 21  # logits of a row up to which their exponentials are kept
_EXPONENT = np.uint64(0x7FF0000000000000)


class Glance:
    """What a look at the rows of two arrays [R, C] of one format needs.

    Attributes:
        format: the format.
        sums: where rows that are fine are taken up.
        span: of the rows that were taken up.
    """

    def __init__(self, logits: RawBlock, values: RawBlock, fmt: Format, sums: Sums) -> None:
        self.format, self.sums, self.span = fmt, sums, Span(scale=0.0)
        self._logits, self._values, columns = logits, values, logits.classes
        self._rows = max(1, BLOCK // columns)  # at a time
        self.t, self.ulp, self.per_ulp = (np.empty(self._rows * min(columns, most)) for most in (columns, TILE, TILE))
        self.mask = np.empty(self.ulp.size, dtype=bool)
        self.base = math.log2(columns) + 4
        self.flat = max(LEAST, 2 * self.base)  # the least limit of a value
        self.unit = 2 * fmt.unit_roundoff
        self.unsure = 2 / self.unit * direct_bound(columns) * 1.01  # in spacings; 1 % for the rounding of the error
        self.power = np.uint64((2 * 1023 + fmt.p - 1) << 52)

    @classmethod
    def of(cls, logits: Batch, outputs: Outputs, settings: Settings, sums: Sums) -> Glance | None:
        """A look at these rows; None where what was asked, or how they are stored, calls for the rules."""
        numerics, fmt = settings.numerics, settings.format
        plain = settings.quantities == ("softmax",) and fmt.p <= 24 and fmt.has_inf
        plain = plain and numerics.temperature is None and numerics.softcap is None
        if not plain or settings.loss.given or settings.tolerance.given:
            return None
        (x, *more), (y, *others) = logits.blocks, outputs.batch.blocks
        if more or others or not (_is_plain(x, fmt) and _is_plain(y, fmt)):
            return None
        return cls(x, y, fmt, sums) if 1 < x.classes <= ROOM and not may_miss(x.classes, fmt) else None

    def left(self) -> Iterator[IntArray]:
        """Take up the rows that are fine; gives the others, those of some neighbours at a time."""
        for start in range(0, len(self._logits), self._rows):
            part = slice(start, start + self._rows)
            self._logits.check_length()
            self._values.check_length()
            x, y = np.asarray(self._logits.array[part]), np.asarray(self._values.array[part])
            with np.errstate(all="ignore"):
                fine = _Look(self, x, y).take_up(start)
            if not fine.all():
                yield start + np.flatnonzero(~fine)


def _is_plain(block: RawBlock, fmt: Format) -> bool:
    """Whether rows are stored one after the other as numbers of the format."""
    own = block.widen is None and block.array.dtype.name == fmt.name and not block.texts
    return own and block.array.ndim == 2 and isinstance(block.rows, range) and block.rows == range(len(block))


class _Look:
    """A look at some whole rows [k, C]."""

    def __init__(self, glance: Glance, x: NDArray[Any], y: NDArray[Any]) -> None:
        self.glance, self.x, self.y, self.t = glance, x, y, glance.t[: x.size].reshape(x.shape)
        self.top, self.low = (end.astype(np.float64) for end in (x.max(axis=1), x.min(axis=1)))
        self.fine: BoolArray = (self.top <= MODERATE) & (self.low >= -MODERATE)
        self.fine &= ~((self.low >= 0) & (self.top <= 1))  # those may be probabilities
        count = len(x)
        self.correct, self.at = np.zeros((2, count), dtype=np.int64)
        self.most, self.off = np.full(count, -1.0), np.zeros(count)  # the largest error in ulp; the sum of all
        self.some: list[tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]] = []

    def take_up(self, first: int) -> BoolArray:
        """Take up those that are fine, and tell which they are, [k]; the rows are counted from there."""
        fmt, sums = self.glance.format, self.glance.sums
        if not self.fine.any():
            return self.fine
        ((_, total),) = exponentials(self.x, self.t)
        log = np.log(total[:, 0])
        self.fine &= self.low - log - 1e-6 > math.log(fmt.smallest_normal)
        if not self.fine.any():
            return self.fine
        for start in range(0, self.x.shape[1], TILE):
            self._count(slice(start, start + TILE), 1 / total)
        self.fine &= np.abs(self.off) <= (LEAST - 1) * fmt.unit_roundoff  # rounding may explain it still
        at = np.flatnonzero(self.fine)
        if at.size:
            top, low, most = self.top[at], self.low[at], self.most[at]
            size = float(max(np.abs(top).max(), np.abs(low).max()))
            self.glance.span |= Span(self.x.shape[1], float((top - low).max()), size)
            sums.add(self._lines(at, first), self._values(first), BOUND)
            largest = float(np.exp(np.minimum(top - log[at], 0)).max())
            sums.see(largest, float(most.max()) * self.glance.unit)
        return self.fine

    def _count(self, part: slice, factor: FloatArray) -> None:
        """Look at some columns of all rows, whose exponentials become truths."""
        g, t = self.glance, self.t[:, part]
        ulp, per_ulp, mask = (a[: t.size].reshape(t.shape) for a in (g.ulp, g.per_ulp, g.mask))
        np.multiply(t, factor, out=t)
        np.subtract(self.y[:, part], t, out=ulp)
        self.off += np.add.reduce(ulp, axis=1)
        np.abs(ulp, out=ulp)
        power = per_ulp.view(np.uint64)
        np.bitwise_and(t.view(np.uint64), _EXPONENT, out=power)
        np.subtract(g.power, power, out=power)
        ulp *= per_ulp
        at = ulp.argmax(axis=1)
        most = ulp[np.arange(at.size), at]
        further = most > self.most
        self.at[further], self.most[further] = at[further] + part.start, most[further]
        sure = _counts(np.less(ulp, 0.5 - g.unsure, out=mask))
        self.correct += sure
        self.fine &= sure == _counts(np.less_equal(ulp, 0.5 + g.unsure, out=mask))
        cutoff = g.sums.cutoff
        if not cutoff and ulp.size > WORST:  # there are not yet as many of the worst as are wanted
            cutoff = float(np.partition(ulp.ravel(), ulp.size - WORST)[ulp.size - WORST])
        if not (most < min(cutoff, g.flat)).all():
            self._look_at_large(part, ulp.ravel(), cutoff)

    def _look_at_large(self, part: slice, ulp: FloatArray, cutoff: float) -> None:
        """Leave rows in which an error is beyond its limit; of the others remember what may be among the worst."""
        g, x = self.glance, self.x[:, part]
        some = np.flatnonzero(np.logical_not(np.less(ulp, min(cutoff, g.flat), out=g.mask[: ulp.size])))
        errors = ulp[some]
        rows = some // x.shape[1] if len(x) > 1 else np.zeros(1, dtype=np.int64)
        far = np.abs(x.reshape(-1)[some] - self.top[rows])
        bad = ~((errors <= g.flat) | (errors <= 2 * (g.base + far)))
        if bad.any():
            self.fine[np.broadcast_to(rows, bad.shape)[bad]] = False
        kept = np.flatnonzero(errors >= cutoff)
        if kept.size:
            rows, at = np.divmod(some[kept], x.shape[1])
            keep = self.fine[rows]
            rows, at, errors = rows[keep], at[keep] + part.start, errors[kept][keep]
            self.some.append((rows, at, self.y[rows, at].astype(np.float64), self.t[rows, at], errors))

    def _lines(self, at: IntArray, first: int) -> Lines:
        """What is kept of each row that is fine."""
        counts, worst = np.zeros((at.size, len(Verdict)), dtype=np.int64), self.at[at]
        counts[:, Verdict.CORRECT], counts[:, Verdict.OK] = self.correct[at], self.x.shape[1] - self.correct[at]
        t = self.t[at, worst]
        rel = np.abs(self.y[at, worst].astype(np.float64) - t) / t
        return Lines(first + at, counts, worst, self.most[at], rel)

    def _values(self, first: int) -> Values:
        """The candidates for the worst values among those of rows that are fine."""
        rows, at, y, t, ulp = map(np.concatenate, zip(_NONE, *self.some, strict=True))
        keep = self.fine[rows]
        rows, at, y, t, ulp = (column[keep] for column in (rows, at, y, t, ulp))
        verdicts = np.where(ulp < 0.5, np.uint8(Verdict.CORRECT), np.uint8(Verdict.OK))
        zeros = np.zeros(rows.size)
        return Values(first + rows, at, y, t, zeros, zeros.astype(np.int64), ulp, np.abs(y - t) / t, verdicts)


_NONE = (*(np.empty(0, dtype=np.int64),) * 2, *(np.empty(0),) * 3)


def _counts(mask: BoolArray) -> IntArray:
    """How many are set in each row."""
    if len(mask) == 1:
        return np.array([np.count_nonzero(mask)])
    counts: IntArray = np.count_nonzero(mask, axis=1)
    return counts
