"""What is told of all rows at once: which codes were found how often, and how each method did."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smcli.judge.measure import worst
from smcli.methods.base import UNASKED
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from smcli.judge.block import Block, Judged
    from smcli.model import BoolArray, Finding, FloatArray, Found, IntArray

RANK = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
FIRST_ROWS = 8  # row numbers that are listed beside a code


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Score:
    """How one method did at one quantity, over all rows.

    Attributes:
        quantity, method: their names.
        counts: how many values have each verdict, by its label; verdicts without any are left out.
        worst_ulp, worst_rel: the largest errors; nan ranks worst.
        worst_at: row number and index of the worst ulp.
        total_rel: the largest relative error against the logits as given, their rounding included; None of one format.
        codes: the findings about it.
        available, reason: whether it could run, and if not why.
        inaccurate_ulp: the largest error of an inaccurate value; nan where it is not known, or there is none.
    """

    quantity: str
    method: str
    counts: dict[str, int]
    worst_ulp: float = math.nan
    worst_rel: float = math.nan
    worst_at: tuple[int, int] = (0, 0)
    total_rel: float | None = None
    codes: tuple[str, ...] = ()
    available: bool = True
    reason: str = ""
    inaccurate_ulp: float = math.nan


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CodeCount:
    """One code, and the rows that it was found in.

    Attributes:
        code, name, severity: as in the list of findings.
        rows: how many rows.
        first_rows: the numbers of the first of them.
        methods, quantities: what it was found about.
    """

    code: str
    name: str
    severity: Severity
    rows: int
    first_rows: tuple[int, ...]
    methods: tuple[str, ...]
    quantities: tuple[str, ...]

    @classmethod
    def of_all(cls, f: Finding) -> CodeCount:
        """A finding that is about no row: about a reduced loss."""
        return cls(f.code, f.name, f.severity, 0, (), (f.method or "",), (f.quantity or "",))

    def order(self) -> tuple[int, str]:
        """The most severe come first."""
        return -RANK[self.severity], self.code


Key = tuple[str, str | None, str | None]  # a code, the method and the quantity that it was found about


class Gap(NamedTuple):
    """Values that a method did not give.

    Attributes:
        of: of which quantities, as in " of softmax"; empty where it gave none of any.
        why: the first reason.
        unasked: whether it was not called for any of them, for want of a target, and gave others.
    """

    of: str
    why: str
    unasked: bool = False


def gaps(missing: Mapping[tuple[str, str], str], ran: Collection[tuple[str, str]]) -> dict[str, Gap]:
    """What the user's functions gave no values of, by their names: a gate is passed by none that are not there.

    Args:
        missing: by method and quantity why there are no values of it, or of some rows.
        ran: the methods and quantities of which there are some.
    """
    out: dict[str, Gap] = {}
    for name in dict.fromkeys(method for method, _ in missing if ":" in method):
        of = {q: why for (method, q), why in missing.items() if method == name}
        words = [f"{q} in some rows" if (name, q) in ran else q for q in of]
        any_ran = any(method == name for method, _ in ran)
        why = next((why for why in of.values() if not why.endswith(UNASKED)), next(iter(of.values())))
        out[name] = Gap(f" of {' and '.join(words)}" if any_ran else "", why, any_ran and why.endswith(UNASKED))
    return out


def codes(blocks: Sequence[Block], numbers: IntArray) -> list[CodeCount]:
    """Each code that was found in judged blocks, whose rows have these numbers: in how many rows, and in which first."""
    of: dict[str, dict[Key, BoolArray]] = {}
    firsts: dict[str, Found] = {}
    for b in blocks:
        for f in b.findings:
            firsts.setdefault(f.code, f)
            _mark(of.setdefault(f.code, {}), f, b, len(numbers))
    return [code_count(firsts[code], some, numbers) for code, some in of.items()]


def places(blocks: Sequence[Block], rows: int) -> dict[Key, BoolArray]:
    """The rows [rows] in which each code was found, of each method and quantity."""
    of: dict[Key, BoolArray] = {}
    for b in blocks:
        for f in b.findings:
            _mark(of, f, b, rows)
    return of


def _mark(of: dict[Key, BoolArray], f: Found, b: Block, rows: int) -> None:
    key = f.code, f.method, f.quantity
    if key not in of:
        of[key] = np.zeros(rows, dtype=bool)  # np.unique would import numpy.ma, 6 ms
    of[key][b.places[f.rows]] = True


def code_count(f: Found | Finding, some: Mapping[Key, BoolArray], numbers: IntArray) -> CodeCount:
    """Where a code was found, about some methods and quantities."""
    hits = numbers[np.logical_or.reduce(list(some.values()))]
    return CodeCount(
        f.code, f.name, f.severity, int(hits.size), tuple(hits[:FIRST_ROWS].tolist()),
        tuple(dict.fromkeys(method for _, method, _ in some if method)),
        tuple(dict.fromkeys(quantity for _, _, quantity in some if quantity)),
    )  # fmt: skip


def scores(blocks: Sequence[Block], numbers: IntArray) -> list[Score]:
    """How each method did at each quantity, in the order asked."""
    found: dict[tuple[str, str], list[tuple[Block, Judged]]] = {}
    for b in blocks:
        for q in b.results:
            for m in q.methods:
                found.setdefault((q.quantity, m.method), []).append((b, m))
    codes: dict[tuple[str, str], set[str]] = {}
    for b in blocks:
        for f in b.findings:
            codes.setdefault((f.quantity or "", f.method or ""), set()).add(f.code)
    return [_score(*key, of, numbers, tuple(sorted(codes.get(key, ())))) for key, of in found.items()]


def _score(
    quantity: str, method: str, of: list[tuple[Block, Judged]], numbers: IntArray, codes: tuple[str, ...]
) -> Score:
    ran = [(b, m) for b, m in of if m.available]
    if not ran:
        return Score(quantity, method, {}, codes=codes, available=False, reason=of[0][1].reason)
    number = np.sum([np.bincount(m.verdicts.ravel(), minlength=len(Verdict)) for _, m in ran], axis=0)
    counts = {v.label: int(number[v]) for v in Verdict if number[v]}
    best: tuple[float, int, int] | None = None
    for b, m in ran:
        each = m.ulp[np.arange(len(m.worst)), m.worst]
        r = worst(each)
        one = (float(each[r]), int(numbers[b.places[r]]), int(m.worst[r]))
        if best is None or _rank(one) > _rank(best):
            best = one
    assert best is not None  # noqa: S101 - there is a row
    rel = float(np.max([m.rel.max() for _, m in ran]))  # max passes nan on: nan ranks worst
    totals = [m.total_rel.max() for _, m in ran if m.total_rel is not None]
    total = float(np.max(totals)) if totals else None
    inaccurate = math.nan
    if Verdict.INACCURATE.label in counts:
        inaccurate = max(float(m.ulp.max(initial=-1.0, where=m.verdicts == Verdict.INACCURATE)) for _, m in ran)
    return Score(quantity, method, counts, best[0], rel, best[1:], total, codes, inaccurate_ulp=inaccurate)


def worst_error(b: Block) -> FloatArray:
    """The worst error of each row of a block, by any method, in ulp; infinite where a value is nan."""
    worst_of_row = np.zeros(len(b.places))
    for q in b.results:
        for m in q.methods:
            if m.available:
                each = m.ulp[np.arange(len(m.worst)), m.worst]
                np.maximum(worst_of_row, np.where(np.isnan(each), np.inf, each), out=worst_of_row)
    return worst_of_row


def _rank(one: tuple[float, int, int]) -> tuple[bool, float, int]:
    """The order of errors: nan is worst, and of equal ones the first."""
    return math.isnan(one[0]), 0.0 if math.isnan(one[0]) else one[0], -one[1]


def fails(found: Iterable[CodeCount], on: str) -> bool:
    """Whether a finding is among what --fail-on names: never, a severity and all above it, codes, or several of these."""
    named = {word.strip() for word in on.split(",")}
    least = min((RANK[s] for s in Severity if s in named), default=len(RANK))
    return any(RANK[f.severity] >= least or f.code in named for f in found)
