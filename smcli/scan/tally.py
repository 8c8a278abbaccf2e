"""What is kept of rows that were judged: counts, histograms, the worst, and which rows to look at. Tallies add up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.batch import RawBlock
    from smcli.judge.block import Block, Judged
    from smcli.model import FloatArray, IntArray
    from smcli.numbers.formats import Format

EDGES = (
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    65536.0,
)  # ulp; beyond the last, and nan, count as one more
LOOK = 1 << 18  # logits that are looked at together
WORST = 20  # rows that are remembered to be looked at

Key = tuple[str, str]  # method, quantity


@dataclass(slots=True)
class Count:
    """How one method did at one quantity.

    Attributes:
        verdicts: how many values have each `Verdict`, by its number.
        histogram: how many errors are at most each edge, beyond the edge before; one more for what is beyond the last.
        worst: (error in ulp, row, index) of the worst value; nan is worst, of equal ones the first.
    """

    verdicts: IntArray = field(default_factory=lambda: np.zeros(len(Verdict), np.int64))
    histogram: IntArray = field(default_factory=lambda: np.zeros(len(EDGES) + 1, np.int64))
    worst: tuple[float, int, int] | None = None


@dataclass(slots=True)
class Tally:
    """All that is known of some rows of the input, which are counted over all files.

    Attributes:
        rows, values: how many rows, and how many logits they have.
        counts: by method and quantity.
        findings: by code: in how many rows, and the first of them.
        worst_rows: (rank, row, method, quantity, ulp) of the rows most worth a look, the worst first.
        missing: methods that could not run, and why.
        least, most: the extremes of the finite logits; only of a quick look.
    """

    rows: int = 0
    values: int = 0
    counts: dict[Key, Count] = field(default_factory=dict)
    findings: dict[str, tuple[int, int]] = field(default_factory=dict)
    worst_rows: list[tuple[float, int, str, str, float]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    least: float = math.inf
    most: float = -math.inf

    def add(self, other: Tally) -> None:
        """Take up the tally of rows that come later in the input."""
        self.rows += other.rows
        self.values += other.values
        for key, theirs in other.counts.items():
            mine = self.counts.setdefault(key, Count())
            mine.verdicts = mine.verdicts + theirs.verdicts
            mine.histogram = mine.histogram + theirs.histogram
            if theirs.worst is not None and (mine.worst is None or _rank(theirs.worst) > _rank(mine.worst)):
                mine.worst = theirs.worst
        for code, (rows, first) in other.findings.items():
            known = self.findings.get(code)
            self.findings[code] = (rows, first) if known is None else (known[0] + rows, min(known[1], first))
        merged = sorted([*self.worst_rows, *other.worst_rows], key=lambda w: (-w[0], w[1]))
        self.worst_rows = merged[:WORST]
        self.missing.update(other.missing)
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)


def _rank(worst: tuple[float, int, int]) -> tuple[bool, float, int]:
    ulp, row, _ = worst
    return math.isnan(ulp), 0.0 if math.isnan(ulp) else ulp, -row


def of_block(block: Block, first: int) -> Tally:
    """The tally of one judged block, whose rows are counted from `first` on."""
    tally = Tally(rows=len(block.places), values=int(block.problem.logits.size))
    worst: dict[int, tuple[float, str, str, float]] = {}
    for q in block.results:
        for m in q.methods:
            if not m.available:
                tally.missing[m.method] = m.reason
                continue
            each = m.ulp[np.arange(len(m.worst)), m.worst]
            r = int(each.argmax())  # the first nan, if there is one
            tally.counts[m.method, q.quantity] = Count(
                np.bincount(m.verdicts.ravel(), minlength=len(Verdict)),
                histogram(m.ulp),
                (float(each[r]), first + int(block.places[r]), int(m.worst[r])),
            )
            _rank_rows(worst, m, q.quantity, each)
    rows = [(rank, first + int(block.places[r]), method, quantity, ulp)
            for r, (rank, method, quantity, ulp) in worst.items()]  # fmt: skip
    tally.worst_rows = sorted(rows, key=lambda w: (-w[0], w[1]))[:WORST]
    for code, at in _codes(block).items():
        places = block.places[at]
        tally.findings[code] = (int(places.size), first + int(places.min()))
    return tally


def quick_look(block: RawBlock, fmt: Format, first: int) -> Tally:
    """What the logits alone tell, at the speed of reading: nan, infinities, masks, and what exp of them does unshifted."""
    count, classes = len(block), block.classes
    tally = Tally(rows=count, values=count * classes)
    step = max(1, LOOK // classes)
    for start in range(0, count, step):
        x, _ = block.take(start, min(start + step, count))
        with np.errstate(all="ignore"):
            rounded = fmt.round(x)
            top, low = rounded.max(axis=1), rounded.min(axis=1)
            missing = np.isnan(top)
            inside = (low >= 0) & (top <= 1) & (top < 1)
            total = np.where(inside, rounded.sum(axis=1), 0.0) if inside.any() else np.zeros(len(x))
        own = np.isnan(x).any(axis=1) if missing.any() else missing
        slack = min(2 * fmt.unit_roundoff * classes + 1e-6, 1e-2)
        masked = top == -np.inf
        finite = np.isfinite(top)
        beyond = ~np.isfinite(rounded).all(axis=1) & np.isfinite(x).all(axis=1) if (missing | ~finite).any() or (
            low == -np.inf
        ).any() else np.zeros(len(x), bool)  # fmt: skip
        rows = {
            "SM101": own,
            "SM102": (top == np.inf) & ~beyond,
            "SM103": masked & ~beyond,
            "SM201": finite & (top >= fmt.exp_overflow),
            "SM304": finite & (top <= fmt.exp_zero),
            "SM902": beyond,
            "SM903": inside & (np.abs(total - 1) <= slack) & (classes > 1),
        }
        for code, where in rows.items():
            at = np.flatnonzero(where)
            if at.size:
                known = tally.findings.get(code, (0, first + start + int(at[0])))
                tally.findings[code] = (known[0] + int(at.size), known[1])
        some = low[np.isfinite(low)], top[finite]
        tally.least = min(tally.least, float(some[0].min(initial=np.inf)))
        tally.most = max(tally.most, float(some[1].max(initial=-np.inf)))
    return tally


def histogram(ulp: FloatArray) -> IntArray:
    """How many errors lie up to each edge: all are compared with the few edges, which is faster than sorting them in."""
    flat = ulp.ravel()
    below = np.array([np.count_nonzero(flat <= edge) for edge in EDGES])
    counts: IntArray = np.diff(np.concatenate([[0], below, [flat.size]]))
    return counts


def _rank_rows(worst: dict[int, tuple[float, str, str, float]], m: Judged, quantity: str, each: FloatArray) -> None:
    """Remember for the worst rows of the block by which method they are bad: lost values first, then the largest error."""
    lost = ((m.verdicts == Verdict.LOST) | (m.verdicts == Verdict.UNDEFINED)).any(axis=1)
    rank = np.where(lost | np.isnan(each), math.inf, each)
    some = np.argpartition(-rank, min(WORST, rank.size - 1))[:WORST] if rank.size > WORST else np.arange(rank.size)
    for r in sorted(some.tolist()):
        value = float(rank[r])
        if r not in worst or value > worst[r][0]:
            worst[r] = (value, m.method, quantity, float(each[r]))


def _codes(block: Block) -> dict[str, IntArray]:
    """The rows of the block that each code was found in."""
    found: dict[str, list[IntArray]] = {}
    for f in block.findings:
        found.setdefault(f.code, []).append(f.rows)
    return {code: np.unique(np.concatenate(rows)) for code, rows in sorted(found.items())}


def total(tallies: Iterable[Tally]) -> Tally:
    """The tallies of consecutive rows as one."""
    result = Tally()
    for one in tallies:
        result.add(one)
    return result


def as_counts(count: Count) -> dict[str, Any]:
    """Verdicts and histogram as a document has them."""
    return {
        "verdicts": {v.label: int(count.verdicts[v]) for v in Verdict if count.verdicts[v]},
        "histogram": {"edges_ulp": list(EDGES), "counts": count.histogram.tolist()},
    }
