"""What is known about a block: of its logits, of a truth, of what one method returned."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from smcli import quantities
from smcli.judge import limits
from smcli.judge.measure import as_float
from smcli.model import Choice, Verdict
from smcli.numbers import formats
from smcli.problem.specs import Tolerance
from smcli.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smcli.batch import Written
    from smcli.judge.measure import Errors, Limit
    from smcli.methods import Run
    from smcli.model import BoolArray, FloatArray, IntArray, Problem, Truth
    from smcli.numbers.arithmetic import Step
    from smcli.problem.specs import Numerics
    from smcli.quantities import Quantity

NEEDED = 18.0  # bits that values have to tell before they are said to be those of something else: see `alternatives`
About = Literal["row", "truth", "run", "left"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RowEvidence:
    """The logits of a block, as they were written and as the number format holds them.

    Attributes:
        problem: the block.
        format: its number format.
        raw: the logits as they were written.
        change: float64 [R, C], what rounding them to the format changed; inf where they no longer are finite numbers.
        asked: what is computed of them.
        counted: whether findings are only counted, so that nobody reads what to do.
    """

    about: ClassVar[About] = "row"
    problem: Problem
    format: formats.Format
    raw: Written
    change: FloatArray
    asked: tuple[Quantity, ...] = ()
    counted: bool = False

    @classmethod
    def of(cls, problem: Problem, raw: Written, asked: Sequence[str] = (), *, counted: bool = False) -> RowEvidence:
        """Compare the logits of a block with what was written."""
        return cls(
            problem=problem,
            format=formats.get(problem.dtype),
            raw=raw,
            change=_change(problem, raw),
            asked=tuple(map(quantities.get, asked)),
            counted=counted,
        )

    def with_truth(
        self, quantity: str, truth: Truth, rounded: FloatArray, limit: Limit, *,
        condition: FloatArray | None = None, tolerance: Tolerance | None = None,
    ) -> TruthEvidence:  # fmt: skip
        """What is known once a quantity is asked for: see `TruthEvidence`."""
        return TruthEvidence(
            **_fields(self), quantity=quantities.get(quantity), truth=truth, nearest=as_float(truth), rounded=rounded,
            limit=limit, condition=condition, tolerance=tolerance or Tolerance(),
        )  # fmt: skip

    @property
    def logits_format(self) -> formats.Format:
        """The format of the logits: that of the values, unless it was said to be another."""
        return formats.get(self.problem.formats[1])

    @cached_property
    def written(self) -> FloatArray:
        """The logits [R, C] as they were written, to the nearest float64."""
        values: FloatArray = self.raw.values
        return values

    @property
    def x(self) -> FloatArray:
        """The logits [R, C]."""
        return self.problem.logits

    @property
    def name(self) -> str | None:
        """The quantity in a finding: none where it is about the row itself."""
        return None

    @property
    def method(self) -> str | None:
        """The method in a finding: none where it is about no method."""
        return None

    @property
    def side(self) -> int:
        """The side of the matrix that the quantity is, or 0."""
        return 0

    @cached_property
    def all_finite(self) -> bool:
        """Whether every logit is a number."""
        return bool(np.isfinite(self.x).all())

    @cached_property
    def unchanged(self) -> bool:
        """Whether rounding to the format changed nothing."""
        return not any(self.change.strides) or not self.change.any()

    @cached_property
    def overflowed(self) -> BoolArray:
        """The logits [R, C] that were finite as written and are not in the format, or an infinity that it lacks."""
        lost: BoolArray = np.isinf(self.change) & ~np.isfinite(self.x)
        return lost

    @cached_property
    def weights(self) -> FloatArray | None:
        """What the loss multiplies −log p of each class by [R, C], 0 in ignored rows; None without a target or labels."""
        loss = self.problem.loss
        if loss is None or (loss.target is None and loss.labels is None):
            return None
        found = limits.weights(self.problem, loss)
        return found if self.problem.ignored is None else np.where(self.problem.ignored[:, None], 0.0, found)

    @property
    def labelled(self) -> BoolArray | None:
        """Where the loss puts weight [R, C], smoothing included; None without a target or labels."""
        return None if self.weights is None else np.asarray(self.weights != 0)

    def infinite_loss(self, masked: BoolArray) -> Choice:
        """Of rows with weight on masked classes [R, C] what the loss is, in words: infinities of both signs make nan."""
        c = np.where(masked, 0.0 if self.weights is None else self.weights, 0.0)
        up, down = (c > 0).any(axis=1), (c < 0).any(axis=1)
        both = "infinite" if self.elementwise else "inf − inf = nan"  # of each logit its own
        return Choice(("+inf", "−inf", both), np.where(up & down, 2, down).astype(np.uint8))

    @property
    def elementwise(self) -> bool:
        """Whether no softmax is asked for, only quantities whose values depend on their own logits alone."""
        return bool(self.asked) and all(q.is_elementwise(self.problem) for q in self.asked)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TruthEvidence(RowEvidence):
    """One quantity of a block, and its truth.

    Attributes:
        quantity: what was asked.
        truth: its truth [R, N]; a matrix is flat.
        nearest: the truth to the nearest float64: 0 where it is smaller than that.
        rounded: the truth rounded to the format.
        limit: what counts as accurate.
        condition: float64 [R, N], the condition number, or None where no formula is known.
        tolerance: the limits that the user gave.
        judged: the errors of every method shown, by its name, once they are known.
    """

    about: ClassVar[About] = "truth"
    quantity: Quantity
    truth: Truth
    nearest: FloatArray
    rounded: FloatArray
    limit: Limit
    condition: FloatArray | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    judged: Mapping[str, Errors] = field(default_factory=dict)

    def with_run(self, run: Run, errors: Errors, numerics: Numerics) -> RunEvidence:
        """What is known once a method returned its values."""
        return RunEvidence(**_fields(self), run=run, errors=errors, numerics=numerics)

    @property
    def t(self) -> FloatArray:
        """The true values to the nearest float64 [R, N]: 0 where they are smaller than that."""
        return self.nearest

    @property
    def name(self) -> str | None:
        """The quantity in a finding."""
        return self.quantity.name

    @property
    def side(self) -> int:
        """The side of the matrix that the quantity is, or 0."""
        return self.quantity.side(self.problem)

    @property
    def elementwise(self) -> bool:
        """Whether every value depends on its own logit alone, as in binary cross-entropy."""
        return self.quantity.is_elementwise(self.problem)

    @cached_property
    def held(self) -> BoolArray:
        """Where the format holds the truth: it rounds to a finite non-zero number, or is exactly 0 or infinite."""
        exact = (self.truth.hi == 0) | np.isinf(self.truth.hi)
        held: BoolArray = (np.isfinite(self.rounded) & (self.rounded != 0)) | exact
        return held

    @cached_property
    def explained(self) -> Limit:
        """What rounding explains on this problem, whatever limit the user gave."""
        if not self.tolerance.given:
            return self.limit
        name = self.quantity.name
        return limits.limit(self.problem, name, Reference(self.problem, {name: self.truth}), Tolerance())

    @cached_property
    def finite_truth(self) -> BoolArray:
        """Where the truth rounds to a finite number of the format."""
        return np.isfinite(self.rounded)

    @cached_property
    def clean(self) -> BoolArray:
        """Where what goes wrong is the method's, [R, 1]: rows without nan and +inf that are not masked altogether.

        Of quantities whose values depend on their own logits alone [R, C]: logits that are no nan and no +inf.
        """
        x = self.x
        usable = ~(np.isnan(x) | (x == np.inf))
        if not self.elementwise:
            usable = (usable.all(axis=1) & ~(x == -np.inf).all(axis=1))[:, None]
        if self.problem.ignored is not None and self.quantity.zero_when_ignored:
            usable = usable & ~self.problem.ignored[:, None]
        return np.asarray(usable)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RunEvidence(TruthEvidence):
    """What one method returned for a quantity of a block.

    Attributes:
        run: the values and the trace.
        errors: its errors.
        numerics: the arithmetic that was asked for.
        told: bool [R], once all rules about runs were asked: the rows of which an error was found.
    """

    about: ClassVar[About] = "run"
    run: Run
    errors: Errors
    numerics: Numerics
    told: BoolArray | None = None

    @property
    def method(self) -> str | None:
        """The method in a finding."""
        return self.run.method

    @property
    def inner(self) -> formats.Format:
        """The format that steps compute in; the result is rounded to `format`."""
        return self.numerics.inner(self.format)

    @property
    def y(self) -> FloatArray:
        """The returned values [R, N]."""
        return self.run.values

    def verdict(self, *words: Verdict) -> BoolArray:
        """Where the verdict is one of those words."""
        table = np.zeros(len(Verdict), dtype=bool)
        table[list(words)] = True
        same: BoolArray = np.take(table, self.errors.verdicts)
        return same

    @cached_property
    def fine(self) -> BoolArray:
        """The rows [R, 1] whose every value is correct or accurate."""
        return np.asarray(self.verdict(Verdict.CORRECT, Verdict.OK).all(axis=1, keepdims=True))

    @property
    def all_fine(self) -> bool:
        """Whether every value is correct or accurate."""
        return bool(self.fine.all())

    def steps(self, *ops: str) -> list[Step]:
        """The steps of the run that are one of these operations."""
        return [s for s in self.run.steps if s.op in ops]

    def in_row(self, mask: BoolArray) -> BoolArray:
        """The rows [R] where a mask of a step holds anywhere; a step on constants is the same for every row."""
        rows: BoolArray = np.broadcast_to(mask.any(axis=1), (len(self.x),))
        return rows

    def over_values(self, mask: BoolArray) -> BoolArray:
        """A step's mask as one of the values [R, N]: class by class where it is such, else over whole rows."""
        shape = self.y.shape
        if mask.shape == shape:
            return mask
        if self.side and mask.shape == self.x.shape:  # of J_ij those of i and of j
            both: BoolArray = (mask[:, :, None] | mask[:, None, :]).reshape(shape)
            return both
        return np.broadcast_to(self.in_row(mask)[:, None], shape)


Evidence = RowEvidence | TruthEvidence | RunEvidence


def _fields(evidence: RowEvidence) -> dict[str, Any]:
    return {f.name: getattr(evidence, f.name) for f in fields(evidence)}


def _change(problem: Problem, raw: Written) -> FloatArray:
    """What rounding the logits to the format changed; inf where a finite number, or an infinity, was lost."""
    written, logits = raw.values, problem.logits
    if logits is written and raw.tokens is None:  # numbers of the format already
        return np.broadcast_to(np.float64(0), logits.shape)
    with np.errstate(all="ignore"):
        change: FloatArray = logits - written
        odd = ~np.isfinite(change)
        if odd.any():
            lost = np.isnan(logits) & np.isinf(written)  # a format without infinity
            change[~np.isfinite(written)] = 0.0
            change[~np.isfinite(logits) & np.isfinite(written) | lost] = np.inf
    for r, tokens in raw.some():
        beyond = ~np.isfinite(written[r]) | (np.abs(written[r]) >= 2.0**43)  # half a spacing there is above 0.0004
        for i in np.flatnonzero(beyond).tolist():
            if not np.isfinite(written[r, i]):
                if "n" not in tokens[i].lower():  # 1e400 is finite, inf and nan are not
                    change[r, i] = np.inf
            elif np.isfinite(logits[r, i]):
                change[r, i] = -formats.written_error(tokens[i], float(logits[r, i]))
    return change


def first(mask: BoolArray) -> IntArray:
    """The index of the first place of each row [R]; 0 where there is none."""
    return np.asarray(mask.argmax(axis=1))


def pick(values: FloatArray, at: IntArray) -> FloatArray:
    """One value of each row, [R, N] or one row of constants -> [R]."""
    rows, columns = at.size, values.shape[1]
    chosen: FloatArray = np.broadcast_to(values, (rows, columns))[np.arange(rows), np.minimum(at, columns - 1)]
    return chosen


def infinities(values: FloatArray, where: BoolArray) -> Choice:
    """What the values [R, N] that are no finite numbers are at the places of each row, in words: all kinds of them."""
    kinds = (np.isnan(values), values == np.inf, values == -np.inf)
    index = sum((kind & where).any(axis=1).astype(np.uint8) << k for k, kind in enumerate(kinds))
    options = ("", "nan", "inf", "nan or inf", "-inf", "nan or -inf", "inf or -inf", "nan, inf or -inf")
    return Choice(options, np.asarray(index, dtype=np.uint8))
