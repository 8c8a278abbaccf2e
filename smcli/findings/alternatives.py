"""Whose true values wrong values are: of a problem that differs from the one asked in one thing.

An alternative is named only where every value of a row fits it, and where that is no chance. A value that could as well
be anywhere between its truth t and twice as far is within `room` of an alternative with a probability of about
(2·room + spacing)/|y − t|. The logarithms of these, to base 2, are added up: a row, or all wrong rows together, has to tell
`NEEDED` bits. With some fifty alternatives that leaves one chance in 5000 for values that are anything. One float16 loss
tells 9 bits at most, one of float32 about 20.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from smcli.errors import SmcliError
from smcli.findings.evidence import NEEDED
from smcli.judge import limits
from smcli.judge.measure import Limit, spacing
from smcli.numbers import formats
from smcli.problem.specs import Tolerance
from smcli.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray, FloatArray, IntArray, Problem, Truth
    from smcli.numbers.formats import Format

    Found = tuple[str, BoolArray]  # a sentence, and the rows [R] that it is said of

ROOMS = (1.0, 4.0, np.inf)  # spacings: rounded once, computed in a wider format, within what is accurate there
SAMPLE, LOGITS = 4, 1 << 14  # rows, and logits in them, that every alternative is tried on


@dataclass(frozen=True, eq=False, repr=False)
class Question:
    """Some wrong rows of a block, for which alternatives are made.

    Attributes:
        whole: the block.
        rows: int64 [R], which of its rows.
        quantity: what was asked.
        returned: the returned values of the whole block.
        truth: the true ones, to the nearest float64.
        limit: what counts as accurate.
        format: of the values.
    """

    whole: Problem
    rows: IntArray
    quantity: str
    returned: FloatArray
    truth: FloatArray
    limit: Limit
    format: Format

    @cached_property
    def problem(self) -> Problem:
        """These rows alone."""
        return self.whole.select(self.rows)

    @property
    def y(self) -> FloatArray:
        """Their returned values [R, N]."""
        return self.returned[self.rows]

    @property
    def t(self) -> FloatArray:
        """Their true values [R, N]."""
        return self.truth[self.rows]

    def true(self, problem: Problem, quantity: str = "") -> Values:
        """The true values of another problem."""
        return true_values(problem, quantity or self.quantity)

    def times(self, factor: float) -> Values:
        """The true values of the problem asked, times a factor."""
        limit = for_plain_formulas(self.problem, self.quantity, self.t, self.limit.part(self.rows))
        parts = None if limit.parts is None else limit.parts * abs(factor)
        return Values(self.t * factor, Limit(limit.ulp, limit.rel, parts, limit.base))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Values:
    """True values of a problem [R, N], to the nearest float64.

    Attributes:
        values: they.
        limit: what counts as accurate of them.
        spent: bits that were used up by choosing them after the returned values.
    """

    values: FloatArray
    limit: Limit
    spent: float = 0.0

    def via(self, values: FloatArray, size: FloatArray | float = 0.0) -> Values:
        """Others that are made of them, rounded as numbers of this size are."""
        allowed = np.broadcast_to(np.asarray(self.limit.ulp), self.values.shape)
        if allowed.shape != values.shape:
            allowed = np.broadcast_to(allowed.max(axis=1, keepdims=True), values.shape)
        parts = np.maximum(np.broadcast_to(size, values.shape), 0.0)
        return Values(values, Limit(allowed, parts=parts, base=allowed), self.spent)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Candidate:
    """One thing that code may do otherwise than it was asked.

    Attributes:
        name: of it, for tests.
        values: what true values are then, or None where it does not apply.
        says: what these are, after how the sentence begins.
        remedy: what to do.
        begins: of the sentence.
    """

    name: str
    values: Callable[[Question], Values | None]
    says: str
    remedy: str
    begins: str = "these are the true values"

    @property
    def sentence(self) -> str:
        """What a finding says."""
        return f"{self.begins} {self.says}: {self.remedy}"

    def sentence_of_total(self, how: str) -> str:
        """What a finding says of a reduced loss, a mean or a sum."""
        return f"this is the {how} of true losses {self.says}: {self.remedy}"


def true_values(problem: Problem, quantity: str) -> Values:
    """The true values of a problem, and what counts as accurate of them."""
    reference = Reference(problem)
    values = reference.truth(quantity).nearest()
    limit = limits.limit(problem, quantity, reference, Tolerance())
    return Values(values, for_plain_formulas(problem, quantity, values, limit))


def for_plain_formulas(problem: Problem, quantity: str, values: FloatArray, limit: Limit) -> Limit:
    """The limit with room for what plain formulas lose: log p near 1 is right to the spacing at 1, as p − 1 is."""
    size = np.zeros_like(values)
    if quantity in {"log-softmax", "cross-entropy"}:
        size = np.ones_like(values)
    elif quantity == "gradient" and problem.loss is not None and problem.loss.kind == "cross-entropy":
        y = np.abs(limits.weights(problem, problem.loss))
        size = y * (abs(float(problem.scale)) / problem.temperature)
    base = limit.ulp if limit.base is None else limit.base
    parts = size if limit.parts is None else np.maximum(limit.parts, size)
    return Limit(limit.ulp, parts=parts, base=base)


def told(y: FloatArray, t: FloatArray, other: Values, fmt: Format) -> FloatArray:
    """How many bits each row [R] tells for an alternative; negative where a value does not fit it.

    Args:
        y: the returned values [R, N].
        t: what is true of the problem asked.
        other: what is true of the alternative.
        fmt: the format that the values were rounded to.
    """
    v, limit = other.values, other.limit
    step = spacing(np.nan_to_num(v, posinf=0.0, neginf=0.0), fmt)
    out = np.full(len(y), -1.0)
    usual = np.isfinite(y) & np.isfinite(v) & (np.abs(y) >= fmt.smallest_normal)
    for most in ROOMS:
        room = np.minimum(most, limit.ulp) * step
        if limit.parts is not None and limit.base is not None:
            room = np.maximum(room, np.minimum(most, limit.base) * spacing(limit.parts, fmt) * (limit.parts > 0))
        fits = ((np.abs(y - v) <= room) | (y == v) | (np.isnan(y) & np.isnan(v))).all(axis=1)
        bits = np.log2(np.abs(y - t) / (2 * room + step))
        bits = np.where(usual, np.clip(np.nan_to_num(bits, nan=0.0, posinf=fmt.p), 0.0, fmt.p), 0.0)
        out = np.where(fits, np.maximum(out, np.maximum(bits.sum(axis=1) - other.spent, 0.0)), out)
    return out


def asked(ev: RunEvidence, fmt: Format) -> Question:
    """All rows of a run as a question."""
    return Question(ev.problem, np.arange(len(ev.x)), ev.quantity.name, ev.y, ev.t, ev.explained, fmt)


def asked_of_truth(problem: Problem, quantity: str, truth: Truth) -> Question:
    """The rows of a problem that are not left out as a question, without values."""
    rows = np.arange(len(problem.logits)) if problem.ignored is None else np.flatnonzero(~problem.ignored)
    t = truth.nearest()
    limit = limits.limit(problem, quantity, Reference(problem, {quantity: truth}), Tolerance())
    return Question(problem, rows, quantity, np.full(t.shape, np.nan), t, limit, formats.get(problem.dtype))


class Search:
    """The wrong values of a run beside alternatives; what was computed of one is kept.

    Args:
        ev: a run whose steps are not seen.
        wrong: bool [R, N], its wrong values.
        fmt: the narrowest format that holds them.
    """

    def __init__(self, ev: RunEvidence, wrong: BoolArray, fmt: Format) -> None:
        self._whole = asked(ev, fmt)
        self._rows = np.flatnonzero((wrong & ev.clean).any(axis=1))
        if ev.problem.temperature == 0:  # a limit, which nothing else is near
            self._rows = self._rows[:0]
        self._some = self._rows[: max(1, min(SAMPLE, LOGITS // max(ev.x.shape[1], ev.y.shape[1])))]
        self._bits: dict[str, FloatArray] = {}

    def every(self, table: Iterable[Candidate]) -> list[Found]:
        """The first alternative that all wrong rows are values of, if there is one."""
        for candidate in table:
            bits = self._first(candidate)
            few = self._some.size == self._rows.size
            if not bits.size or (bits < 0).any() or (few and bits.sum() < NEEDED):
                continue
            bits = bits if few else _told(candidate, self._whole, self._rows)
            if (bits >= 0).all() and bits.sum() >= NEEDED:
                return [(candidate.sentence, self._mask(self._rows))]
        return []

    def each(self, table: Iterable[Candidate]) -> list[Found]:
        """The first alternative that each wrong row by itself is values of; only those of the first rows are looked for."""
        out, left = [], self._rows
        for candidate in table:
            if not left.size:
                break
            if (self._first(candidate) >= NEEDED).any():
                named = left[_told(candidate, self._whole, left) >= NEEDED]
                out.append((candidate.sentence, self._mask(named)))
                left = np.setdiff1d(left, named)
        return out

    def _first(self, candidate: Candidate) -> FloatArray:
        """What the first wrong rows tell for an alternative."""
        if candidate.name not in self._bits:
            self._bits[candidate.name] = _told(candidate, self._whole, self._some)
        return self._bits[candidate.name]

    def _mask(self, rows: IntArray) -> BoolArray:
        mask = np.zeros(len(self._whole.returned), bool)
        mask[rows] = True
        return mask


def _told(candidate: Candidate, whole: Question, rows: IntArray) -> FloatArray:
    question = replace(whole, rows=rows)
    nothing = np.full(rows.size, -1.0)
    if not rows.size:
        return nothing
    try:
        other = candidate.values(question)
    except SmcliError:  # its truth is beyond what is computed
        return nothing
    if other is None or other.values.shape != question.y.shape:
        return nothing
    return told(question.y, question.t, other, question.format)
