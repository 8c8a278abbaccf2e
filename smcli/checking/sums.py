"""What is kept of a large check: arrays with a line a row, the worst values, and findings, each told by its first row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from smcli.findings import say
from smcli.judge.beyond import Beyond, beyond, excess, furthest
from smcli.model import Truth, Verdict
from smcli.problem.specs import Tolerance
from smcli.report.counts import FIRST_ROWS, RANK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.judge.block import Block, Judged
    from smcli.model import BoolArray, ByteArray, Finding, FloatArray, IntArray, Severity

WORST = 100  # values that are listed
KEPT = 10**5  # rows that have a line; of more only those with a value that is not good enough
TOLD = 1000  # findings of rows that are kept
BAD = np.isin(np.arange(len(Verdict)), [Verdict.LOST, Verdict.INACCURATE, Verdict.UNDEFINED])


class Lines(NamedTuple):
    """Some rows, a line each: [R], and the counts of verdicts [R, V]."""

    place: IntArray
    counts: IntArray
    at: IntArray
    ulp: FloatArray
    rel: FloatArray


class Values(NamedTuple):
    """Some values, [N] each: of which row and index, what was returned, the truth, errors, verdicts."""

    place: IntArray
    at: IntArray
    value: FloatArray
    hi: FloatArray
    lo: FloatArray
    exp2: IntArray
    ulp: FloatArray
    rel: FloatArray
    verdict: ByteArray

    def take(self, some: IntArray) -> Values:
        """Some of them."""
        columns: list[Any] = [column[some] for column in self]
        return Values(*columns)

    def worst(self) -> Values:
        """The worst of them, the worst first: nan is worst, of equal ones the first of the input."""
        rank = np.where(np.isnan(self.ulp), np.inf, self.ulp)
        order = np.lexsort((self.at, self.place, -rank, ~np.isnan(self.ulp)))
        return self.take(order[:WORST])


Columns = TypeVar("Columns", Lines, Values)


@dataclass(slots=True)
class CodeSum:
    """One code: in how many rows it was found, in which first, about what, and what its first row says."""

    code: str
    name: str
    severity: Severity
    first: Finding
    rows: int = 0
    first_rows: list[int] = field(default_factory=list)
    methods: dict[str, None] = field(default_factory=dict)
    quantities: dict[str, None] = field(default_factory=dict)


class Sums:
    """Everything that is known of the rows so far, which come in the order of the input, block by block."""

    def __init__(self, limits: Tolerance | None = None) -> None:
        self.limits = limits or Tolerance()
        self.beyond = Beyond()  # the limits
        self._failed: Values | None = None
        self.rows = self.values = 0
        self.counts = np.zeros(len(Verdict), dtype=np.int64)
        self.codes: dict[str, CodeSum] = {}
        self.told: dict[int, list[Finding]] = {}
        self.bound = 0.0
        self.rel = 0.0  # no error is larger, relatively; nan where there is one
        self.largest = 0.0  # of the finite truths
        self.undefined = False  # whether a truth is nan or infinite, so that no zeros pass
        self.notes: dict[str, None] = {}  # what is to be known of how values came about
        self._lines: list[Lines] = []
        self._kept = 0
        self.cutoff = 0.0  # an error, in ulp, below which a value is not among the worst
        self._worst: Values | None = None
        self._said = 0

    @property
    def worst(self) -> Values:
        """The worst values, the worst first."""
        assert self._worst is not None  # noqa: S101 - there is a row
        return self._worst

    @property
    def failed(self) -> Values | None:
        """The values that are furthest beyond the limits that were given, the furthest first; None where none is."""
        return self._failed

    def lines(self) -> Lines:
        """The lines of all rows that have one, in the order of the input."""
        whole = _joined(Lines, self._lines)
        columns: list[Any] = [column[np.argsort(whole.place, kind="stable")] for column in whole]
        return Lines(*columns)

    def see(self, largest: float, rel: float, *, undefined: bool = False) -> None:
        """Note the largest of some finite truths, that no relative error is larger, whether a truth is not finite."""
        self.largest = max(self.largest, largest)
        self.undefined |= undefined
        self.rel = rel if math.isnan(rel) else max(self.rel, rel) if self.rel == self.rel else self.rel

    def add(self, lines: Lines, worst: Values, bound: float) -> None:
        """Take up some rows, and the candidates for the worst values among theirs."""
        self.rows += lines.place.size
        self.values += int(lines.counts.sum())
        self.counts += lines.counts.sum(axis=0)
        self.bound = max(self.bound, bound)
        if worst.ulp.size:
            self._worst = (worst if self._worst is None else _joined(Values, [self._worst, worst])).worst()
            if self._worst.ulp.size == WORST:
                last = float(self._worst.ulp[-1])
                self.cutoff = math.inf if math.isnan(last) else last
        self._lines.append(lines)
        self._kept += lines.place.size
        if self._kept > KEPT and len(self._lines) > 1:
            self._drop()

    def _fail(self, values: Values) -> None:
        """Take up some values that are beyond the limits."""
        some = values if self._failed is None else _joined(Values, [self._failed, values])
        self._failed = some.take(furthest(excess(self.limits, some.ulp, some.rel), WORST))

    def join(self, later: Sums, first: int) -> None:
        """Take up what is kept of later rows, which are counted there from that row on."""
        lines, worst = later.lines(), later.worst
        values = self.values + later.values
        self.add(lines._replace(place=lines.place + first), worst._replace(place=worst.place + first), later.bound)
        self.rows += later.rows - lines.place.size
        self.counts += later.counts - lines.counts.sum(axis=0)
        self.values = values
        self.see(later.largest, later.rel, undefined=later.undefined)
        self.notes.update(later.notes)
        self.beyond += later.beyond
        if later.failed is not None:
            self._fail(later.failed._replace(place=later.failed.place + first))
        for code, theirs in later.codes.items():
            own = self.codes.setdefault(code, CodeSum(code, theirs.name, theirs.severity, theirs.first))
            own.rows += theirs.rows
            own.first_rows += [row + first for row in theirs.first_rows[: FIRST_ROWS - len(own.first_rows)]]
            own.methods.update(theirs.methods)
            own.quantities.update(theirs.quantities)
        for row, found in later.told.items():
            self.told.setdefault(row + first, []).extend(found)

    def _drop(self) -> None:
        """Let go of the lines of rows that are fine, and of the last of the others where they are too many."""
        whole = self.lines()
        bad = np.flatnonzero((whole.counts[:, BAD] > 0).any(axis=1))[:KEPT]
        columns: list[Any] = [column[bad] for column in whole]
        self._lines = [Lines(*columns)]
        self._kept = bad.size

    def add_block(self, block: Block) -> None:
        """Take up a judged block."""
        (judged,) = block.results
        (own,) = judged.methods
        places = block.places
        rows = len(places)
        counts = np.zeros((rows, len(Verdict)), dtype=np.int64)
        for v in Verdict:
            counts[:, v] = np.count_nonzero(own.verdicts == v, axis=1)
        each = np.arange(rows)
        lines = Lines(places, counts, own.worst, own.ulp[each, own.worst], own.rel[each, own.worst])
        flat = own.ulp.ravel()
        some = np.flatnonzero(~(flat < (self.cutoff or _cutoff(flat))))
        t = judged.truth
        self.add(lines, _values(places, own, t, some), t.bound)
        if self.limits.given:
            self.beyond += Beyond.of(self.limits, own.ulp, own.rel, own.verdicts)
            bad = np.flatnonzero(beyond(self.limits, own.ulp, own.rel))
            if bad.size:
                self._fail(_values(places, own, t, bad))
        size = np.abs(t.nearest())
        self.see(
            float(size.max(initial=0.0, where=np.isfinite(size))),
            float(own.rel.max()),
            undefined=not np.isfinite(size).all(),
        )
        self.notes.update(dict.fromkeys(f"{own.method}: {note}" for note in own.notes))
        self._add_findings(block)

    def _add_findings(self, block: Block) -> None:
        of: dict[str, BoolArray] = {}
        truths = {q.quantity: q.truth for q in block.results}
        for f in block.findings:
            truth: Truth | None = truths.get(f.quantity or "")
            known = self.codes.get(f.code)
            if known is None:
                known = self.codes[f.code] = CodeSum(f.code, f.name, f.severity, say(f, 0, truth=truth))
            known.methods.update(dict.fromkeys([f.method] if f.method else []))
            known.quantities.update(dict.fromkeys([f.quantity] if f.quantity else []))
            of.setdefault(f.code, np.zeros(len(block.places), dtype=bool))[f.rows] = True
            for k in range(min(f.rows.size, TOLD - self._said)):
                self.told.setdefault(int(block.places[f.rows[k]]), []).append(say(f, k, truth=truth))
                self._said += 1
        for code, rows in of.items():
            known = self.codes[code]
            known.rows += int(np.count_nonzero(rows))
            known.first_rows += block.places[rows][: FIRST_ROWS - len(known.first_rows)].tolist()

    def sorted_codes(self) -> list[CodeSum]:
        """The codes, the most severe first."""
        return sorted(self.codes.values(), key=lambda c: (-RANK[c.severity], c.code))


def _values(places: IntArray, own: Judged, t: Truth, some: IntArray) -> Values:
    """Some values of a block, by their places in it counted flat."""
    columns = own.values.shape[1]
    of_truth: list[Any] = [part.ravel()[some] for part in (t.hi, t.lo, t.exp2)]
    errors: list[Any] = [part.ravel()[some] for part in (own.ulp, own.rel, own.verdicts)]
    return Values(places[some // columns], some % columns, own.values.ravel()[some], *of_truth, *errors)


def _cutoff(ulp: FloatArray) -> float:
    """The error of the last of the worst, nan aside: 0 where there are few values."""
    if ulp.size <= WORST:
        return 0.0
    known = np.nan_to_num(ulp, nan=np.inf)
    return float(np.partition(known, known.size - WORST)[known.size - WORST])


def _joined(kind: type[Columns], some: Sequence[Columns]) -> Columns:
    """Several of a kind, one after the other."""
    columns: list[Any] = [np.concatenate(parts) for parts in zip(*some, strict=True)]
    return kind(*columns)
