"""What is kept of rows that were judged: counts, histograms, the worst, and which rows to look at. Tallies add up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smcli.judge.beyond import Beyond
from smcli.judge.block import told
from smcli.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.judge.block import Block, Judged
    from smcli.model import BoolArray, FloatArray, IntArray
    from smcli.problem.specs import Tolerance

EDGES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0, 65536.0)  # ulp; one more for what is beyond, or nan
WORST = 20  # rows that are remembered to be looked at

BAD = (Verdict.UNDEFINED, Verdict.LOST, Verdict.INACCURATE)

Key = tuple[str, str]  # method, quantity


@dataclass(frozen=True, slots=True, eq=False)
class Count:
    """How one method did at one quantity.

    Attributes:
        verdicts: how many values have each `Verdict`, by its number.
        histogram: how many errors are at most each edge, beyond the edge before; one more for what is beyond the last.
            What is undefined has none.
        worst: (error in ulp, row, index) of the worst value; nan is worst, of equal ones the first.
        beyond: the values that are beyond a limit that the user gave.
    """

    verdicts: IntArray
    histogram: IntArray
    worst: tuple[float, int, int]
    beyond: Beyond = Beyond()  # noqa: RUF009 - it is frozen

    def __add__(self, later: Count) -> Count:
        return Count(
            self.verdicts + later.verdicts,
            self.histogram + later.histogram,
            max(self.worst, later.worst, key=_rank),  # of equal ones the first, which is an earlier row
            self.beyond + later.beyond,
        )


class Extremes(NamedTuple):
    """The least and the largest finite logit; of none of them inf and -inf."""

    least: float = math.inf
    most: float = -math.inf

    def __or__(self, other: Extremes) -> Extremes:
        return Extremes(min(self.least, other.least), max(self.most, other.most))


class BadRow(NamedTuple):
    """A row worth a look, and the method that says so: how bad, which row, by what; whether it is among `Tally.bad`."""

    rank: float
    row: int
    method: str = ""
    quantity: str = ""
    ulp: float = math.nan
    bad: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """All that is known of some rows of the input, which are counted over all files.

    Attributes:
        rows, values: how many rows, and how many logits they have.
        counts: by method and quantity.
        findings: by code: in how many rows, and the first of them.
        worst_rows: the rows most worth a look, the worst first.
        missing: methods that could not run, by method and quantity, and why.
        extremes: of the logits; only of a quick look.
        notes: what is to be known of how values came about (`judge.block.told`).
        bad: how many rows have a value that is lost, inaccurate or undefined; of a quick look, how many have a finding.
    """

    rows: int = 0
    values: int = 0
    counts: dict[Key, Count] = field(default_factory=dict)
    findings: dict[str, tuple[int, int]] = field(default_factory=dict)
    worst_rows: tuple[BadRow, ...] = ()
    missing: dict[Key, str] = field(default_factory=dict)
    extremes: Extremes = Extremes()  # noqa: RUF009 - it is frozen
    notes: dict[str, str] = field(default_factory=dict)
    bad: int = 0

    def __add__(self, later: Tally) -> Tally:
        """The tally of these rows and of some that come later in the input."""
        counts, found = dict(self.counts), dict(self.findings)
        for key, count in later.counts.items():
            counts[key] = counts[key] + count if key in counts else count
        for code, (rows, first) in later.findings.items():
            known = found.get(code)
            found[code] = (rows, first) if known is None else (known[0] + rows, min(known[1], first))
        return Tally(
            self.rows + later.rows,
            self.values + later.values,
            counts,
            found,
            worst_of((*self.worst_rows, *later.worst_rows)),
            later.missing | self.missing,
            self.extremes | later.extremes,
            later.notes | self.notes,  # of alike ones the first tells
            self.bad + later.bad,
        )


def worst_of(rows: Iterable[BadRow]) -> tuple[BadRow, ...]:
    """The worst of some rows, the worst first and of equal ones the first."""
    return tuple(sorted(rows, key=lambda w: (-w.rank, w.row))[:WORST])


def _rank(worst: tuple[float, int, int]) -> tuple[bool, float]:
    return math.isnan(worst[0]), 0.0 if math.isnan(worst[0]) else worst[0]


def of_block(block: Block, first: int, tolerance: Tolerance) -> Tally:
    """The tally of one judged block, whose rows are counted from `first` on."""
    counts: dict[Key, Count] = {}
    missing: dict[Key, str] = {}
    worst: dict[int, BadRow] = {}
    wrong = np.zeros(len(block.places), dtype=bool)
    for q in block.results:
        for m in q.methods:
            if not m.available:
                missing[m.method, q.quantity] = m.reason
                continue
            each = m.ulp[np.arange(len(m.worst)), m.worst]
            r = int(each.argmax())  # the first nan, if there is one
            verdicts = np.bincount(m.verdicts.ravel(), minlength=len(Verdict))
            counts[m.method, q.quantity] = Count(
                verdicts,
                histogram(m.ulp[m.verdicts != Verdict.UNDEFINED] if verdicts[Verdict.UNDEFINED] else m.ulp),
                (float(each[r]), first + int(block.places[r]), int(m.worst[r])),
                Beyond.of(tolerance, m.ulp, m.rel, m.verdicts),
            )
            if verdicts[list(BAD)].any():
                wrong |= np.isin(m.verdicts, BAD).any(axis=1)
            _note_worst(worst, m, q.quantity, each)
    findings = {}
    for code, at in _codes(block).items():
        places = block.places[at]
        findings[code] = (int(places.size), first + int(places.min()))
    return Tally(
        len(block.places),
        int(block.problem.logits.size),
        counts,
        findings,
        worst_of(
            row._replace(row=first + int(block.places[row.row]), bad=bool(wrong[row.row])) for row in worst.values()
        ),
        missing,
        notes=told(m for q in block.results for m in q.methods),
        bad=int(wrong.sum()),
    )


def histogram(ulp: FloatArray) -> IntArray:
    """How many errors lie up to each edge: compared with the few edges, which is faster than sorting them in."""
    flat = ulp.ravel()
    below = np.full(len(EDGES), flat.size)
    for k, edge in enumerate(EDGES):
        below[k] = np.count_nonzero(flat <= edge)
        if below[k] == flat.size:
            break
    counts: IntArray = np.diff(np.concatenate([[0], below, [flat.size]]))
    return counts


def _note_worst(worst: dict[int, BadRow], m: Judged, quantity: str, each: FloatArray) -> None:
    """Remember for the worst rows of the block by which method they are bad: lost values first, then the largest error."""
    lost = ((m.verdicts == Verdict.LOST) | (m.verdicts == Verdict.UNDEFINED)).any(axis=1)
    rank = np.where(lost | np.isnan(each), math.inf, each)
    for r in np.argsort(-rank, kind="stable")[:WORST].tolist():
        value = float(rank[r])
        if r not in worst or value > worst[r].rank:
            worst[r] = BadRow(value, r, m.method, quantity, float(each[r]))


def _codes(block: Block) -> dict[str, IntArray]:
    """The rows of the block that each code was found in."""
    found: dict[str, BoolArray] = {}
    for f in block.findings:
        found.setdefault(f.code, np.zeros(len(block.places), dtype=bool))[f.rows] = True
    return {code: np.flatnonzero(rows) for code, rows in sorted(found.items())}


def as_counts(count: Count) -> dict[str, Any]:
    """Verdicts and histogram as a document has them."""
    return {
        "verdicts": {v.label: int(count.verdicts[v]) for v in Verdict if count.verdicts[v]},
        "histogram": {"edges_ulp": list(EDGES), "counts": count.histogram.tolist()},
    }
