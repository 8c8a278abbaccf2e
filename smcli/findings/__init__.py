"""What can be found: Evidence, Rule and @rule; a rule is one function, and its docstring is the page of its code."""

from __future__ import annotations

import difflib
import math
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from smcli.errors import UsageError
from smcli.model import Finding, Severity, Truth, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smcli.judge.measure import Errors
    from smcli.methods import Run
    from smcli.model import BoolArray, FloatArray, IntArray, Problem
    from smcli.numbers.arithmetic import Step
    from smcli.numbers.formats import Format

About = Literal["row", "truth", "run"]
MODULES = ("inputs", "overflow", "underflow", "accuracy", "derivatives")
MOST_PLACES = 100  # a finding lists this many indices; its count is whole
DERIVATIVES = {"gradient", "jacobian", "vjp"}
LOGS = {"log-softmax", "cross-entropy", "logsumexp", "bce"}


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """All that is known about a block: of the rows alone, of a truth, or of what one method returned.

    Attributes:
        problem: the block.
        format: its number format.
        written: float64 [R, C], the logits as they were written.
        change: float64 [R, C], what rounding them to the format changed.
        quantity, truth, rounded: what was asked, its truth, and that rounded to the format; None about a row.
        condition: float64 [R, N], the condition number of the quantity.
        run, errors: what a method returned, and its errors; None about a row or a truth.
        accurate_ulp: float64, broadcastable to [R, N], the limit of accuracy.
        limit_given: whether that limit is the user's own.
        truth_float: the truth to the nearest float64.
    """

    problem: Problem
    format: Format
    written: FloatArray
    change: FloatArray
    quantity: str = ""
    truth: Truth | None = None
    rounded: FloatArray | None = None
    condition: FloatArray | None = None
    run: Run | None = None
    errors: Errors | None = None
    accurate_ulp: FloatArray | None = None
    limit_given: bool = False
    truth_float: FloatArray | None = None
    labelled: BoolArray | None = None

    @property
    def x(self) -> FloatArray:
        """The logits [R, C]."""
        return self.problem.logits

    @property
    def y(self) -> FloatArray:
        """The returned values [R, N]."""
        assert self.run is not None  # noqa: S101 - rules about a run are given one
        return self.run.values

    @property
    def t(self) -> FloatArray:
        """The true values to the nearest float64 [R, N]: 0 where they are smaller than that."""
        assert self.truth_float is not None  # noqa: S101
        return self.truth_float

    def true(self, row: int, index: int) -> str:
        """A true value in words, also where it is far below or above float64."""
        from smcli.reference.double_double.decimal import texts

        assert self.truth is not None  # noqa: S101 - asked of a truth or a run
        hi, exp2 = float(self.truth.hi[row, index]), int(self.truth.exp2[row, index])
        nearest = float(self.t[row, index])
        if hi == 0 or (np.isfinite(nearest) and abs(nearest) >= sys.float_info.min):
            return number(nearest)
        at = (slice(row, row + 1), index)
        one = Truth(self.truth.hi[at], self.truth.lo[at], self.truth.exp2[at], self.truth.bound)
        return texts(one, 6)[0] or f"about {'-' * (hi < 0)}1e{math.floor(exp2 * math.log10(2))}"

    def places(self, at: IntArray) -> str:
        """Indices of values in words; in a Jacobian as pairs."""
        side = self.x.shape[1] if self.quantity == "jacobian" else 0
        return places(at, side=side)

    @cached_property
    def held(self) -> BoolArray:
        """Where the format holds the truth: it rounds to a finite non-zero number, or is exactly 0 or infinite."""
        assert self.truth is not None and self.rounded is not None  # noqa: S101
        exact = (self.truth.hi == 0) | np.isinf(self.truth.hi)
        held: BoolArray = (np.isfinite(self.rounded) & (self.rounded != 0)) | exact
        return held

    @cached_property
    def finite_truth(self) -> BoolArray:
        """Where the truth rounds to a finite number of the format."""
        assert self.rounded is not None  # noqa: S101
        return np.isfinite(self.rounded)

    def verdict(self, word: Verdict) -> BoolArray:
        """Where the verdict is that word."""
        assert self.errors is not None  # noqa: S101
        same: BoolArray = self.errors.verdicts == word
        return same

    @cached_property
    def clean(self) -> BoolArray:
        """The rows [R, 1] without nan and +inf that are not masked altogether: what goes wrong there is the method's."""
        x = self.x
        usable = ~np.isnan(x).any(axis=1) & ~(x == np.inf).any(axis=1) & ~(x == -np.inf).all(axis=1)
        if self.problem.ignored is not None and self.quantity in {"cross-entropy", "bce", "gradient"}:
            usable &= ~self.problem.ignored
        column: BoolArray = usable[:, None]
        return column

    @property
    def elementwise(self) -> bool:
        """Whether every value depends on its own logit alone, as in binary cross-entropy."""
        loss = self.problem.loss
        return self.quantity == "bce" or (self.quantity == "gradient" and loss is not None and loss.kind == "bce")

    def steps(self, *ops: str) -> list[Step]:
        """The steps of the run that are one of these operations."""
        assert self.run is not None  # noqa: S101
        return [s for s in self.run.steps if s.op in ops]


class Hit(NamedTuple):
    """One thing that a rule found in a block.

    Attributes:
        where: bool [R, N], the elements concerned, or [R, C], the logits.
        say: (row, indices in it) -> the message.
        remedy: what to do.
        step: the expression that went wrong, or an empty string; a function of the row where it depends on that.
    """

    where: BoolArray
    say: Callable[[int, IntArray], str]
    remedy: str
    step: str | Callable[[int], str] = ""


class Rule(NamedTuple):
    """A code, its name and severity, the question it puts to the evidence, and its page.

    With `once`, only the first of several hits in a row tells: the step that went wrong first, whatever the other rows
    of the block are.
    """

    code: str
    name: str
    severity: Severity
    about: About
    find: Callable[[Evidence], Iterator[Hit]]
    once: bool = False

    @property
    def page(self) -> str:
        """What `explain` prints: the docstring, without its indentation."""
        import inspect

        return inspect.cleandoc(self.find.__doc__ or "")

    @property
    def summary(self) -> str:
        """The first line of the page."""
        return self.page.splitlines()[0]


RULES: dict[str, Rule] = {}


def rule(
    code: str, name: str, severity: Severity, about: About = "run", *, once: bool = False
) -> Callable[..., Callable[..., Iterator[Hit]]]:
    """Register the decorated function as the rule of that code."""

    def register(find: Callable[[Evidence], Iterator[Hit]]) -> Callable[[Evidence], Iterator[Hit]]:
        RULES[code] = Rule(code, name, severity, about, find, once)
        return find

    return register


@cache
def _load() -> None:
    for module in MODULES:
        import_module(f"smcli.findings.{module}")


def everything() -> dict[str, Rule]:
    """All rules by code, in the order of codes."""
    _load()
    return dict(sorted(RULES.items()))


def get(code: str) -> Rule:
    """Look a rule up by its code, in any case, or by its name.

    Raises:
        UsageError: there is none; the hint names the nearest.
    """
    rules = everything()
    key = code.strip().upper()
    by_name = {r.name: r for r in rules.values()}
    if key in rules:
        return rules[key]
    if code.strip().lower() in by_name:
        return by_name[code.strip().lower()]
    near = difflib.get_close_matches(key, rules, 1, 0.85) or difflib.get_close_matches(code.lower(), by_name, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"there is no finding {code!a}", f"{meant}`smcli explain` lists them all")


def find(evidence: Evidence, about: About) -> dict[int, list[Finding]]:
    """Put all rules about one kind of evidence to it: findings by row of the block."""
    found: dict[int, list[Finding]] = {}
    method = evidence.run.method if evidence.run is not None else None
    with np.errstate(all="ignore"):
        for r in everything().values():
            if r.about != about:
                continue
            told: set[int] = set()
            for hit in r.find(evidence):
                for row in np.flatnonzero(hit.where.any(axis=1)).tolist():
                    if r.once and row in told:
                        continue
                    told.add(row)
                    at = np.flatnonzero(hit.where[row])
                    step = hit.step if isinstance(hit.step, str) else hit.step(row)
                    found.setdefault(row, []).append(
                        Finding(
                            code=r.code,
                            name=r.name,
                            severity=r.severity,
                            quantity=evidence.quantity or None,
                            method=method,
                            at=tuple(_flat(at, hit.where, evidence)[:MOST_PLACES].tolist()),
                            count=int(at.size),
                            step=step or None,
                            message=hit.say(row, at),
                            remedy=hit.remedy,
                        )
                    )
    return found


def _flat(at: IntArray, where: BoolArray, evidence: Evidence) -> IntArray:
    """Places among the values of the quantity: the one of a logit in a Jacobian is on the diagonal."""
    classes = evidence.x.shape[1]
    return at * (classes + 1) if evidence.quantity == "jacobian" and where.shape[1] == classes else at


def places(at: IntArray, what: str = "index", side: int = 0) -> str:
    """Indices in words: "index 3", "indices 0, 1, 2", "indices 0, 1, 2, 3 and 97 more"; pairs in a matrix of that side."""
    plural = {"index": "indices", "class": "classes"}.get(what, what + "s")
    first = [f"({i // side}, {i % side})" if side else str(i) for i in at[:4].tolist()]
    if at.size == 1:
        return f"{what} {first[0]}"
    shown = ", ".join(first)
    return f"{plural} {shown}" + (f" and {at.size - 4} more" if at.size > 4 else "")


def number(value: float) -> str:
    """A number for a message: short, and never misleading about being exact."""
    return f"{value:.6g}"
