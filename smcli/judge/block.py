"""A judged block: what methods made of a block of rows, beside the truth, as arrays; rows become objects when asked."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.judge.measure import spacing, worst_of_rows
from smcli.model import MethodResult, QuantityResult, StepSummary, Truth
from smcli.numbers import formats
from smcli.reference import Reference

CERTAIN = 2.0**7  # an error this many times the truth's bound is known to a percent
if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.errors import UnavailableError
    from smcli.judge.measure import Errors
    from smcli.methods import Run
    from smcli.model import ByteArray, FloatArray, Found, IntArray, Problem
    from smcli.numbers.arithmetic import Step


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StepTable:
    """One step of a method in figures, for every row of a block: the columns of `StepSummary`, [R] each."""

    step: str
    min: FloatArray
    max: FloatArray
    overflowed: IntArray
    underflowed: IntArray
    nan: IntArray
    first: IntArray

    @classmethod
    def of(cls, step: Step, rows: int) -> StepTable:
        """The figures of a step; one on constants is the same for every row."""
        with np.errstate(all="ignore"):
            out = step.output
            missing = step.nan
            over, under = step.overflowed, step.underflowed
            bad = over | missing
            bad = np.where(bad.any(axis=1, keepdims=True), bad, under)
            first = np.where(bad.any(axis=1), bad.argmax(axis=1), -1)
            low = np.fmin.reduce(out, axis=1)
            high = np.fmax.reduce(out, axis=1)
        counts = (over.sum(axis=1), under.sum(axis=1), missing.sum(axis=1))
        columns = [np.broadcast_to(c, rows).copy() for c in (low, high, *counts, first)]
        return cls(step.expr, *columns)

    def row(self, r: int) -> StepSummary:
        """The figures of one row."""
        first = int(self.first[r])
        return StepSummary(
            self.step, float(self.min[r]), float(self.max[r]), int(self.overflowed[r]), int(self.underflowed[r]),
            int(self.nan[r]), None if first < 0 else first,
        )  # fmt: skip


def told(judged: Iterable[Judged]) -> dict[str, str]:
    """What is to be known of how values came about, each once.

    Notes of a method that begin alike, up to a colon, are one, which the first tells: figures differ from block to block.
    """
    notes: dict[str, str] = {}
    for m in judged:
        for note in m.notes:
            text = f"{m.method}: {note}"
            notes.setdefault(f"{m.method}: {note.partition(':')[0]}", text)
    return notes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Judged:
    """What one method returned for one quantity of a block, and how far that is from the truth.

    Attributes:
        method: its name.
        values, ulp, rel: float64 [R, N].
        verdicts: numbers of `Verdict`, uint8 [R, N].
        worst: the index of the worst error of each row, [R].
        bound_ulp: an a-priori bound of the error, [R], nan where none holds; None where none is known.
        total_rel: the largest relative error of each row against the logits as they were given, rounding them to the
            format included, [R]; None where it was not asked for.
        steps: the trace, or None where it was not asked for.
        available: whether it could run; if not, `reason` says why and the arrays are empty.
        detail: the traceback of code that failed, or an empty string.
        version: of the library behind the method, or an empty string.
        notes: what a user should know of how the values came about.
        unrounded: the values before their last rounding, where the arithmetic was wider than the format; else None.
    """

    method: str
    values: FloatArray
    ulp: FloatArray
    rel: FloatArray
    verdicts: ByteArray
    worst: IntArray
    bound_ulp: FloatArray | None = None
    total_rel: FloatArray | None = None
    steps: tuple[StepTable, ...] | None = None
    available: bool = True
    reason: str = ""
    detail: str = ""
    version: str = ""
    notes: tuple[str, ...] = ()
    unrounded: FloatArray | None = None

    @classmethod
    def of(
        cls, run: Run, errors: Errors, bound: FloatArray | None, total: FloatArray | None = None, *, trace: bool
    ) -> Judged:
        """A run and its errors as one."""
        rows = run.values.shape[0]
        steps = tuple(StepTable.of(s, rows) for s in run.steps) if trace else None
        return cls(
            run.method,
            run.values,
            errors.ulp,
            errors.rel,
            errors.verdicts,
            worst_of_rows(errors.ulp),
            bound,
            total,
            steps,
            version=run.version,
            notes=run.notes,
            unrounded=None if run.unrounded is run.values else run.unrounded,
        )

    @classmethod
    def missing(cls, method: str, why: UnavailableError) -> Judged:
        """A method that could not run."""
        none = np.empty((0, 0))
        return cls(
            method, none, none, none, none.astype(np.uint8), np.empty(0, np.int64), available=False,
            reason=why.message, detail=why.detail,
        )  # fmt: skip

    def row(self, r: int, condition: float | None) -> MethodResult:
        """What it returned for one row."""
        if not self.available:
            none = np.empty(0)
            return MethodResult(
                self.method, none, none, none, none.astype(np.uint8), 0, available=False, reason=self.reason
            )
        bound = math.nan if self.bound_ulp is None else float(self.bound_ulp[r])
        return MethodResult(
            method=self.method,
            values=self.values[r],
            ulp=self.ulp[r],
            rel=self.rel[r],
            verdicts=self.verdicts[r],
            worst=int(self.worst[r]),
            bound_ulp=bound if math.isfinite(bound) else None,
            steps=None if self.steps is None else tuple(s.row(r) for s in self.steps),
            condition=condition,
            version=self.version,
            notes=self.notes,
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class JudgedQuantity:
    """One quantity of a block: the truth and what the methods made of it.

    Attributes:
        quantity: its name.
        truth: the true values, [R, N].
        condition: the largest condition number of each row, [R], or None.
        methods: in the order asked.
        signs: of a signed logsumexp, the sign of the sum in each row, [R, 1]; else None.
    """

    quantity: str
    truth: Truth
    condition: FloatArray | None
    methods: tuple[Judged, ...]
    signs: FloatArray | None = None

    def row(self, r: int, problem: Problem, digits: int, texts: Texts | None = None) -> QuantityResult:
        """What was found of one row; `texts` holds its digits where those of its neighbours are wanted, too."""
        truth = self.truth
        condition = None if self.condition is None else float(self.condition[r])
        return QuantityResult(
            quantity=self.quantity,
            exact=partial(self._exact, problem, r, digits) if texts is None else partial(texts.row, r),
            size=truth.hi.shape[1],
            certified=truth.bound,
            known=truth.part(r),
            square=quantities.get(self.quantity).side(problem),
            methods=tuple(self._certified(m, m.row(r, condition), r, problem) for m in self.methods),
            sign=None if self.signs is None else float(self.signs[r, 0]),
            of=problem.vjp_of if self.quantity == "vjp" else "",
        )

    def _certified(self, judged: Judged, row: MethodResult, r: int, problem: Problem) -> MethodResult:
        """The row with those errors computed anew that are no larger than the truth's own bound allows to tell."""
        if not judged.available:
            return row
        truth = self.truth
        hi = truth.hi[r]
        known = np.isfinite(hi) & (hi != 0) & np.isfinite(row.values) & (row.values != 0)
        close = known & (row.rel <= CERTAIN * truth.bound)
        if not close.any():
            return row
        at = np.flatnonzero(close)
        values = row.values[at]
        apart = np.array(Reference(problem).distances(self.quantity, r, at.tolist(), values.tolist()))
        above = (np.abs(np.frexp(values)[0]) == 0.5) & (apart > 0)  # the truth lies just below a power of 2
        step = spacing(np.where(above, values * 0.75, values), formats.get(problem.dtype))
        rel, ulp = row.rel.copy(), row.ulp.copy()
        rel[at] = np.abs(apart)
        ulp[at] = rel[at] * (np.abs(values) / step)
        return replace(row, rel=rel, ulp=ulp)

    def _exact(self, problem: Problem, r: int, digits: int, indices: Iterable[int]) -> list[str]:
        known = Reference(problem, {self.quantity: self.truth})
        return known.strings(self.quantity, r, list(indices), digits)


class Texts:
    """The digits of a quantity of some neighbouring rows, made all at once when the first is asked for."""

    def __init__(self, judged: JudgedQuantity, problem: Problem, digits: int, start: int, stop: int) -> None:
        self._asked = judged, problem, digits
        self.start, self.stop = start, stop
        self._known: list[list[str]] | None = None

    def row(self, r: int, indices: Iterable[int]) -> list[str]:
        """The digits of some values of a row of the block."""
        if self._known is None:
            judged, problem, digits = self._asked
            known = Reference(problem, {judged.quantity: judged.truth})
            self._known = known.strings_of_rows(judged.quantity, self.start, self.stop, digits)
        own = self._known[r - self.start]
        return [own[i] for i in indices]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Block:
    """A judged block of rows of one length.

    Attributes:
        problem: the block.
        results: a judged quantity for each that was asked.
        findings: what each rule found, in all rows at once.
        digits: significant digits of the truth.
    """

    problem: Problem
    results: tuple[JudgedQuantity, ...]
    findings: tuple[Found, ...]
    digits: int

    @property
    def places(self) -> IntArray:
        """The place of each row in the input."""
        rows = self.problem.rows
        return np.arange(len(self.problem.logits)) if rows is None else rows
