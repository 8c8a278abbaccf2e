"""Rows in which nothing is wrong: counted piece by piece in the cache; a block with any other row goes the long way.

A row is sound if its logits are numbers of the format, its probabilities normal numbers of it, every value of every method
within its limit, and no rule can find anything. What is counted then is what the long way counts, to the last bit.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smcli import methods
from smcli.findings.accuracy import CONDITION, WELL
from smcli.findings.sums import may_miss
from smcli.judge.limits import LEAST
from smcli.judge.measure import round_truth
from smcli.methods.base import Formula
from smcli.model import Truth, Verdict
from smcli.numbers.arithmetic import Rows
from smcli.numbers.native import Native, UntracedError
from smcli.reference.float64.values import DIRECT, direct_bound, exponentials, is_moderate
from smcli.reference.tiles import tiles
from smcli.scan.tally import EDGES, BadRow, Count, Tally, worst_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smcli.batch import Written
    from smcli.model import FloatArray, IntArray, Problem
    from smcli.numbers.formats import Format
    from smcli.problem.specs import Settings
    from smcli.reference import Reference

TILE = 1 << 15  # numbers that are worked on at once: fewer calls, and still in the cache
LOW_BITS = 28  # of a float64: a tie between two numbers of float32, and a power of 2, lie where these are 0
NEAR_ONE = 0.02  # as close to 1, the sum of numbers in [0, 1] makes them look like probabilities, or nearly (SM903)
MARGIN = 1 - 2.0**-16  # errors just below their limits are not looked at here, so that their sum has room for rounding


def tally(problem: Problem, raw: Written, reference: Reference, settings: Settings, first: int) -> Tally | None:
    """The tally of a block of sound rows, else None; the block's rows are counted from `first` on."""
    x = problem.logits
    if raw.values is not x or raw.tokens is not None or problem.rows is None or x.shape[1] < DIRECT:
        return None
    some = _formulas(settings.methods)
    if some is None or not _simple(problem, settings):
        return None
    top, low = x.max(axis=1), x.min(axis=1)
    if not is_moderate(float(low.min()), float(top.max())):
        return None
    near = (low >= 0) & (top <= 1)
    if near.any() and (np.abs(x[near].sum(axis=1) - 1) < NEAR_ONE).any():
        return None
    with np.errstate(all="ignore"):
        return _Block(x, reference, settings.tolerance.max_ulp, settings.format, top, low).tally(
            some, first + problem.rows
        )


def _simple(problem: Problem, settings: Settings) -> bool:
    """Whether softmax alone is asked for, in float32, by formulas, without options that change the problem."""
    numerics, fmt = settings.numerics, settings.format
    return (
        fmt.name == "float32"
        and numerics.compute in {None, "float32"}
        and not may_miss(problem.logits.shape[1], fmt)
        and settings.quantities == ("softmax",)
        and numerics.order == "pairwise"
        and numerics.accumulate in {None, "float32"}
        and problem.temperature == 1
        and problem.softcap is None
        and settings.tolerance.max_rel is None
    )


@lru_cache(maxsize=8)
def _formulas(names: tuple[str, ...]) -> tuple[Formula, ...] | None:
    """The methods of these names that compute a softmax; None where one is no formula, or needs a trace."""
    some = [m for m in map(methods.get, names) if m.defines("softmax")]
    formulas = tuple(m for m in some if isinstance(m, Formula))
    try:
        for m in formulas:
            m.algorithm.softmax(Rows(np.zeros((1, 2), np.float32), "x"), Native())
    except UntracedError:
        return None
    return formulas if formulas and len(formulas) == len(some) else None


class _Room:
    """Scratch for blocks of one shape."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.native, self.e = Native(), np.empty(shape)
        self.truth, self.per_ulp, self.ulp = np.empty((3, TILE))
        self.rounded, self.bits, self.mask = (
            np.empty(TILE, np.float32),
            np.empty(TILE, np.uint32),
            np.empty(TILE, np.bool_),
        )


_room = lru_cache(maxsize=2)(_Room)


class _Piece(NamedTuple):
    """Some truths, of whole rows or of a part of one: rounded to the format, and 1 over its spacing at each, in a line.

    Attributes:
        rows, columns: which of the block.
        at: which of the block's numbers in a line.
        tie: whether one may be a tie.
    """

    rows: slice
    columns: slice
    at: slice
    truth: FloatArray
    rounded: NDArray[Any]
    per_ulp: FloatArray
    tie: bool


class _Sum:
    """What was counted of one method so far: of all rows, and of each the worst error and where it is."""

    def __init__(self, rows: int) -> None:
        self.correct, self.below = 0, np.zeros(len(EDGES), np.int64)
        self.worst, self.at = np.full(rows, -1.0), np.zeros(rows, np.int64)

    def note(self, rows: slice, errors: FloatArray, start: int) -> None:
        """Take in the errors [r, c] of these rows, whose columns are counted from `start` on."""
        place = errors.argmax(axis=1)
        most = errors[np.arange(len(place)), place]
        more = most > self.worst[rows]
        self.at[rows] = np.where(more, place + start, self.at[rows])
        self.worst[rows] = np.where(more, most, self.worst[rows])


class _Block:
    """A block of rows [R, C], and what of its errors can be told at once: [low, top] holds the logits of each row."""

    def __init__(
        self, x: FloatArray, reference: Reference, asked: float | None, fmt: Format, top: FloatArray, low: FloatArray
    ) -> None:
        self.x, self.line, self.reference, self.fmt, self.top, self.low = x, x.reshape(-1), reference, fmt, top, low
        columns = x.shape[1]
        self.base = math.log2(columns) + 4
        self.flat = max(LEAST, 2 * self.base)  # the least limit of a value
        self.asked = math.inf if asked is None else asked
        self.bound = direct_bound(columns)
        near = np.uint32(self.bound * 2.0**52 * 1.1 + 8)  # spacings of float64 that it may be off by, and some to spare
        self.near, self.least = near, 2 * near << np.uint32(32 - LOW_BITS)
        self.room = _room(x.shape)

    def tally(self, some: tuple[Formula, ...], places: IntArray) -> Tally | None:
        """What is counted, or None where something is unusual; `places` [R] are the numbers of the rows."""
        room = self.room
        total = np.concatenate([part for _, part in exponentials(self.x, room.e)])
        if not (np.exp(self.low) * MARGIN / total[:, 0] >= self.fmt.smallest_normal).all():
            return None
        given: Any = self.x.astype(np.float32)
        rows = Rows(given, "x")
        room.native.know(rows, room.e)
        values = [m.algorithm.softmax(rows, room.native).values.reshape(-1) for m in some]
        sums = [_Sum(len(self.x)) for _ in some]
        for r, c in tiles(self.x.shape, TILE):
            piece = self._piece(r, c, total, values)
            if piece is None or not all(self._count(y, piece, s) for y, s in zip(values, sums, strict=True)):
                return None
        worst = np.array([s.worst for s in sums])
        condition = 2 * np.maximum(np.abs(self.top), np.abs(self.low))  # which bounds it
        if ((worst.min(axis=0) > WELL) & (condition > CONDITION * MARGIN)).any():
            return None
        most = worst.argmax(axis=0)
        named = zip(places.tolist(), most.tolist(), worst.max(axis=0).tolist(), strict=True)
        bad = worst_of(BadRow(error, row, some[k].name, "softmax", error) for row, k, error in named)
        counts = {(m.name, "softmax"): _counted(s, self.x.size, places) for m, s in zip(some, sums, strict=True)}
        return Tally(len(self.x), self.x.size, counts, {}, bad, {})

    def _piece(self, r: slice, c: slice, total: FloatArray, values: list[NDArray[Any]]) -> _Piece | None:
        """Some truths, rounded; None where their bound leaves open what the spacing is at one of them."""
        room, columns = self.room, self.x.shape[1]
        e = room.e[r, c]
        n, start = e.size, r.start * columns + c.start
        at = slice(start, start + n)
        t, rounded, per_ulp, bits = room.truth[:n], room.rounded[:n], room.per_ulp[:n], room.bits[:n]
        np.multiply(e, 1 / total[r], out=t.reshape(e.shape))
        np.copyto(rounded, t, casting="unsafe")
        np.copyto(
            bits, t.view(np.uint64), casting="unsafe"
        )  # the lower half: every other word of t is read more slowly
        bits += self.near
        bits <<= np.uint32(32 - LOW_BITS)
        tie = bool(bits.min() <= self.least)
        if tie and not self._look(at, t, rounded, values):
            return None
        power = per_ulp.view(np.uint64)
        np.bitwise_and(t.view(np.uint64), _EXPONENT, out=power)
        np.subtract(np.uint64((2 * 1023 + self.fmt.p - 1) << 52), power, out=power)
        return _Piece(r, c, at, t, rounded, per_ulp, tie)

    def _look(self, at: slice, t: FloatArray, rounded: NDArray[Any], values: list[NDArray[Any]]) -> bool:
        """Put the same question to every truth of a piece, which is seldom necessary; ties are rounded with more digits.

        But for those that no method comes near: which of two neighbours a truth rounds to matters to these values alone.
        """
        mantissa, _ = np.frexp(t)  # in [1/2, 1)
        if (np.minimum(mantissa - 0.5, 1 - mantissa) <= 2 * self.bound).any():
            return False
        zeros = np.broadcast_to(np.float64(0), (1, t.size)), np.broadcast_to(np.int64(0), (1, t.size))
        _, undecided = round_truth(Truth(t[None], *zeros, self.bound), self.fmt)
        places = np.flatnonzero(undecided)
        spacing = np.spacing(rounded[places]).astype(np.float64)
        some = [np.abs(y[at][places] - t[places]) <= spacing for y in values]
        places = places[np.any(some, axis=0)]
        if places.size:
            whole = np.zeros((2, *self.x.shape))
            nearest, open_ = whole.reshape(2, -1)
            nearest[at] = rounded
            open_[at.start + places] = 1
            settled = self.reference.settle("softmax", whole[0], whole[1] != 0, self.fmt)
            rounded[...] = settled.reshape(-1)[at]
        return True

    def _count(self, y: NDArray[Any], piece: _Piece, known: _Sum) -> bool:
        """Add some values of a method to what is known of it; False where one is beyond its limit."""
        got, mask = y[piece.at], self.room.mask[: piece.truth.size]
        ulp = np.subtract(got, piece.truth, out=self.room.ulp[: got.size])
        np.abs(ulp, out=ulp)
        ulp *= piece.per_ulp
        most = float(ulp.max())
        if not self._is_within(ulp, most, piece.at):
            return False
        known.note(piece.rows, ulp.reshape(piece.rows.stop - piece.rows.start, -1), piece.columns.start)
        correct = int(np.count_nonzero(np.equal(got, piece.rounded, out=mask)))
        known.correct += correct
        for k, edge in enumerate(EDGES):
            if most <= edge:
                known.below[k:] += got.size
                break
            if k or piece.tie:
                correct = int(np.count_nonzero(np.less_equal(ulp, edge, out=mask)))
            known.below[k] += correct  # within half a spacing of a truth that is no tie are those it is rounded to
        return True

    def _is_within(self, ulp: FloatArray, most: float, at: slice) -> bool:
        """Whether every error is within its limit, and not just so; the limits proper only where they are needed."""
        if not most <= self.asked * MARGIN:
            return False
        if most <= self.flat * MARGIN:
            return True
        far = np.flatnonzero(ulp > self.flat * MARGIN)
        below = np.abs(self.line[at][far] - self.top[(at.start + far) // self.x.shape[1]])
        allowed = np.maximum(LEAST, 2 * (self.base + below))
        return bool((ulp[far] <= allowed * MARGIN).all())


def _counted(s: _Sum, size: int, places: IntArray) -> Count:
    verdicts = np.zeros(len(Verdict), np.int64)
    verdicts[Verdict.CORRECT], verdicts[Verdict.OK] = s.correct, size - s.correct
    r = int(s.worst.argmax())
    worst = float(s.worst[r]), int(places[r]), int(s.at[r])
    return Count(verdicts, np.diff(np.concatenate([[0], s.below, [size]])), worst)


_EXPONENT = np.uint64(0x7FF0000000000000)
