"""Long rows in which nothing is wrong: counted piece by piece in the cache; any other row goes the long way.

A row is sound if its logits are numbers of the format, its probabilities normal numbers of it, every value of every method
within its limit, and no rule can find anything. What is counted then is what the long way counts, to the last bit.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli import methods
from smcli.findings.accuracy import CONDITION, WELL
from smcli.judge.limits import LEAST
from smcli.methods.base import Formula
from smcli.judge.measure import round_truth
from smcli.model import Truth, Verdict
from smcli.numbers.arithmetic import Rows
from smcli.numbers.native import Native, UntracedError
from smcli.reference.float64.values import BOUND
from smcli.scan.tally import EDGES, BadRow, Count, Tally, worst_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smcli.batch import Written
    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.numbers.formats import Format
    from smcli.problem.specs import Settings
    from smcli.reference import Reference

LONG = 4096  # logits of a row from which on this pays
FEW = 3  # edges of the histogram that are looked for one by one
TILE = 1 << 15  # numbers that are worked on at once: fewer calls, and still in the cache
LOW_BITS = 28  # of a float64: a tie between two numbers of float32, and a power of 2, lie where these are 0
NEAR = 2.0 * BOUND * 2.0**53 + 8  # spacings of float64: as close to one of these the truth's bound may leave them open
MARGIN = 1 - 2.0**-16  # errors just below their limits are not looked at here, so that their sum has room for rounding


def tally(
    problem: Problem, raw: Written, reference: Reference, settings: Settings, fmt: Format, first: int
) -> Tally | None:
    """The tally of a block that is one sound row, the row's number in the block counted from `first`; else None."""
    x = problem.logits
    if raw.values is not x or raw.tokens is not None or len(x) != 1 or problem.rows is None or x.shape[1] < LONG or not _simple(problem, settings, fmt):
        return None
    top, low = float(x.max()), float(x.min())
    if not (math.isfinite(top) and math.isfinite(low)) or (low >= 0 and top <= 1):  # these may be probabilities
        return None
    with np.errstate(all="ignore"):
        truth = reference.truth("softmax")
        if truth.hi.min() < fmt.smallest_normal or not _is_plain(truth):
            return None
        return _Row(problem, truth, settings, fmt, top, low).tally(reference, first + int(problem.rows[0]))


def _simple(problem: Problem, settings: Settings, fmt: Format) -> bool:
    """Whether softmax alone is asked for, in float32, by formulas, without options that change the problem."""
    numerics = settings.numerics
    return (
        fmt.name == "float32"
        and settings.quantities == ("softmax",)
        and numerics.order == "pairwise"
        and numerics.accumulate in {None, "float32"}
        and problem.temperature == 1
        and problem.softcap is None
        and settings.tolerance.max_rel is None
        and _formulas(settings.methods) is not None
    )


def _is_plain(truth: Truth) -> bool:
    """Whether the truth is one float64 an element, of the float64 tier's bound."""
    return truth.bound == BOUND and not any(truth.lo.strides) and not any(truth.exp2.strides)


@lru_cache(maxsize=8)
def _formulas(names: tuple[str, ...]) -> tuple[Formula, ...] | None:
    """The methods of these names that compute a softmax; None where one is no formula, or needs a trace."""
    some = [m for m in map(methods.get, names) if m.defines("softmax")]
    formulas = tuple(m for m in some if isinstance(m, Formula))
    try:
        for m in formulas:
            m.algorithm.softmax(Rows(np.zeros((1, 2), np.float32), "x"), Native())  # type: ignore[arg-type]
    except UntracedError:
        return None
    return formulas if formulas and len(formulas) == len(some) else None


class _Room:
    """Scratch for rows of one length; `spacing` is 1 over the spacing of the format at each truth."""

    def __init__(self, size: int) -> None:
        self.native = Native()
        self.spacing, self.rounded = np.empty(size), np.empty(size, np.float32)
        self.wide, self.bits, self.mask = np.empty(TILE), np.empty(TILE, np.uint32), np.empty(TILE, np.bool_)


_room = lru_cache(maxsize=2)(_Room)


class _Row:
    """One row, its truth, and how far each value may be from it."""

    def __init__(self, problem: Problem, truth: Truth, settings: Settings, fmt: Format, top: float, low: float) -> None:
        self.x, self.t, self.fmt = problem.logits[0], truth.hi[0], fmt
        self.top, self.settings = top, settings
        self.size = self.x.size
        self.base = math.log2(self.size) + 4
        self.conditioned = 2 * max(abs(top), abs(low)) < CONDITION * MARGIN  # which no condition number exceeds
        asked = settings.tolerance.max_ulp
        self.asked = math.inf if asked is None else asked
        self.ties: list[int] = []
        room = _room(self.size)
        self.native, self.spacing, self.rounded = room.native, room.spacing, room.rounded
        self.wide, self.bits, self.mask = room.wide, room.bits, room.mask

    def tally(self, reference: Reference, first: int) -> Tally | None:
        """What is counted, or None where something is unusual."""
        if not all(map(self._prepare, self._tiles())):
            return None
        self._settle(reference)
        given = Rows(self.x.astype(np.float32)[None], "x")  # type: ignore[arg-type]
        counts, worst, bad = {}, [], None
        for m in _formulas(self.settings.methods) or ():
            count = self._judge(m.algorithm.softmax(given, self.native).values[0], first)
            if count is None:
                return None
            counts[m.name, "softmax"] = count
            ulp = count.worst[0]
            worst.append(ulp)
            if bad is None or ulp > bad.rank:
                bad = BadRow(ulp, first, m.name, "softmax", ulp)
        if min(worst) > WELL and not self.conditioned:
            return None
        return Tally(1, self.size, counts, {}, worst_of([bad] if bad else []), {})

    def _tiles(self) -> list[slice]:
        return [slice(start, min(start + TILE, self.size)) for start in range(0, self.size, TILE)]

    def _prepare(self, tile: slice) -> bool:
        """Round the truth and find the spacing at it; whether its bound leaves nothing of both open."""
        t = self.t[tile]
        low = t.view(np.uint32)[_LOW::2]
        bits = np.add(low, np.uint32(NEAR), out=self.bits[: low.size])
        bits <<= 32 - LOW_BITS
        if bits.min() <= np.uint32(2 * NEAR) << np.uint32(32 - LOW_BITS) and not self._look(tile):
            return False
        np.copyto(self.rounded[tile], t, casting="unsafe")
        inverse = self.spacing[tile]
        exponent: Any = inverse.view(np.uint64)
        np.bitwise_and(t.view(np.uint64), _EXPONENT, out=exponent)
        np.subtract(np.uint64((2 * 1023 + self.fmt.p - 1) << 52), exponent, out=exponent)
        return True

    def _look(self, tile: slice) -> bool:
        """The same question put to every truth of a piece, which is seldom asked; ties are remembered to be settled."""
        t = self.t[tile]
        mantissa, _ = np.frexp(t)  # in [1/2, 1)
        if (np.minimum(mantissa - 0.5, 1 - mantissa) <= 2 * BOUND).any():
            return False
        zero = np.zeros((1, t.size))
        _, undecided = round_truth(Truth(t[None], zero, zero.astype(np.int64), BOUND), self.fmt)
        self.ties += (np.flatnonzero(undecided[0]) + tile.start).tolist()
        return True

    def _settle(self, reference: Reference) -> None:
        """Round those truths that are near a tie with more digits."""
        if self.ties:
            at = np.zeros((1, self.size), np.bool_)
            at[0, self.ties] = True
            settled = reference.settle("softmax", self.rounded.astype(np.float64)[None], at, self.fmt)
            self.rounded[self.ties] = settled[0, self.ties]

    def _judge(self, y: NDArray[Any], first: int) -> Count | None:
        """How a method did, or None where a value is beyond its limit."""
        correct, below = 0, np.zeros(len(EDGES), np.int64)
        worst, at = -1.0, 0
        for tile in self._tiles():
            got = y[tile]
            ulp = np.subtract(got, self.t[tile], out=self.wide[: got.size])
            np.abs(ulp, out=ulp)
            ulp *= self.spacing[tile]
            place = int(ulp.argmax())
            most = float(ulp[place])
            if not self._within(ulp, most, tile):
                return None
            if most > worst:
                worst, at = most, tile.start + place
            mask = self.mask[: got.size]
            correct += np.count_nonzero(np.equal(got, self.rounded[tile], out=mask))
            below += self._within_edges(ulp, most, mask)
        verdicts = np.zeros(len(Verdict), np.int64)
        verdicts[Verdict.CORRECT], verdicts[Verdict.OK] = correct, self.size - correct
        histogram = np.diff(np.concatenate([[0], below, [self.size]]))
        return Count(verdicts, histogram, (worst, first, at))

    def _within_edges(self, ulp: FloatArray, most: float, mask: BoolArray) -> IntArray:
        """How many errors are at most each edge, `most` being the largest of them."""
        below = np.full(len(EDGES), ulp.size)
        some = [k for k, edge in enumerate(EDGES) if most > edge]
        if len(some) <= FEW:
            for k in some:
                below[k] = np.count_nonzero(np.less_equal(ulp, EDGES[k], out=mask))
            return below
        exponents: Any = ulp.view(np.int64)  # overwrites the errors, which are not needed any more
        exponents -= 1  # so that an edge, which is a power of 2, lies with what is below it
        exponents >>= 52
        short = exponents.astype(np.int16)
        for k in some:
            below[k] = np.count_nonzero(np.less(short, math.frexp(EDGES[k])[1] + 1022, out=mask))
        return below

    def _within(self, ulp: FloatArray, most: float, tile: slice) -> bool:
        """Whether every error is within its limit, and not just so; the limits proper only where they are needed."""
        if not most <= self.asked * MARGIN:
            return False
        if most <= max(LEAST, 2 * self.base) * MARGIN:
            return True
        far = np.flatnonzero(ulp > max(LEAST, 2 * self.base) * MARGIN)
        allowed = np.maximum(LEAST, 2 * (self.base + np.abs(self.x[tile][far] - self.top)))
        return bool((ulp[far] <= allowed * MARGIN).all())


_EXPONENT = np.uint64(0x7FF0000000000000)
_LOW = 0 if np.little_endian else 1
