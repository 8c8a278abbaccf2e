"""The result of an analysis: judged blocks, whose rows become objects when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from smcli.errors import UsageError
from smcli.findings import say
from smcli.judge.beyond import Beyond
from smcli.judge.block import Texts
from smcli.judge.measure import worst
from smcli.model import RowReport, Severity, Verdict
from smcli.problem.build import targets
from smcli.report.document import SCHEMA, beyond_document, finding_document, listed, reduced_document, row_document
from smcli.report.shown import Shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smcli.confirm import Confirmation
    from smcli.judge.block import Block, Judged
    from smcli.judge.reduce import Reduced
    from smcli.model import Finding, FloatArray, Found, IntArray, Truth
    from smcli.problem.specs import Settings, Tolerance

RANK = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
TOGETHER = 1 << 13  # values whose digits are made at once
KEPT = 16  # rows that are kept
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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Report(Shown):
    """What one command found in one number format.

    Attributes:
        command: "compare", "eval" or "grad".
        dtype: the number format.
        digits: significant digits of the truth.
        methods: their names, in the order asked.
        blocks: the judged blocks.
        numbers: int64 [R], the number of each row in the input.
        targets: the right class of each row, or None.
        reduced: the reductions over the batch.
        limits: limits that were given explicitly.
        tolerance: of `check`, what a test of these values should allow.
        about_all: findings about the reduced loss.
        confirmed: who computed the digits of the truth once more, or None where that was not asked for.
        origin: whence the number format is known where the input carries it, or an empty string.
        compute: the format that arithmetic was done in, where it is wider; else an empty string.
        logits_dtype: of `check`, the format of the logits where it was given; else an empty string.
    """

    command: str
    dtype: str
    digits: int
    methods: tuple[str, ...]
    blocks: tuple[Block, ...]
    numbers: IntArray
    targets: tuple[int, ...] | None
    reduced: tuple[Reduced, ...]
    limits: Tolerance
    tolerance: dict[str, Any] | None = None
    about_all: tuple[Finding, ...] = ()
    confirmed: Confirmation | None = None
    origin: str = ""
    compute: str = ""
    logits_dtype: str = ""
    _kept: dict[int, RowReport] = field(default_factory=dict, init=False)  # a few rows that were made, by their place

    @classmethod
    def of(cls, settings: Settings, blocks: Sequence[Block], reduced: Sequence[Reduced]) -> Report:
        """The report of the blocks of one input."""
        count = sum(len(b.places) for b in blocks)
        return cls(
            command=settings.command,
            dtype=settings.format.name,
            digits=settings.digits,
            methods=settings.methods,
            blocks=tuple(blocks),
            numbers=np.arange(count) if settings.numbers is None else np.array(settings.numbers, dtype=np.int64),
            targets=targets(settings, count),
            reduced=tuple(reduced),
            limits=settings.tolerance,
            origin=settings.origin,
            compute=settings.numerics.compute or "",
            logits_dtype=settings.numerics.logits_dtype or "",
        )

    @property
    def model(self) -> str:
        """The number format, and in which wider one was computed."""
        return f"{self.dtype}, computed in {self.compute}" if self.compute else self.dtype

    @property
    def brief(self) -> str:
        """The same as `model`, without a comma: for lists."""
        return f"{self.dtype} in {self.compute}" if self.compute else self.dtype

    @property
    def rows(self) -> RowReports:
        """One report a row, in the order of the input, each made when it is asked for."""
        return RowReports(self)

    @property
    def findings(self) -> list[Finding]:
        """All findings of all rows."""
        return [*(f for row in self.rows for f in row.findings), *self.about_all]

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding, or None."""
        return max((c.severity for c in self.digest()), key=RANK.__getitem__, default=None)

    def row(self, block: Block, r: int, texts: Sequence[Texts] = ()) -> RowReport:
        """The report of one row of a block; `texts` hold the digits of each quantity where neighbours are wanted, too.

        The parts of an output ask for the same few rows again and again: they are kept.
        """
        place = int(block.places[r])
        if texts:
            return self._made(block, r, place, texts)
        if place not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[place] = self._made(block, r, place)
        return self._kept[place]

    def _made(self, block: Block, r: int, place: int, texts: Sequence[Texts] = ()) -> RowReport:
        loss, ignored = block.problem.loss, block.problem.ignored
        order = {m: i for i, m in enumerate(self.methods)}
        found = [say(f, k, truth=self._truth(block, f.quantity)) for f in block.findings for k in f.at(r)]
        found.sort(key=lambda f: (-RANK[f.severity], f.code, order.get(f.method or "", -1)))
        return RowReport(
            row=int(self.numbers[place]),
            logits=block.problem.logits[r],
            target=None if self.targets is None else self.targets[place],
            ignored=bool(ignored is not None and ignored[r]),
            results=tuple(
                q.row(r, block.problem, self.digits, texts[k] if texts else None) for k, q in enumerate(block.results)
            ),
            findings=tuple(found),
            labels=loss.labels[r] if loss is not None and loss.labels is not None else None,
        )

    @property
    def details(self) -> list[str]:
        """The tracebacks of code that failed, each once."""
        judged = [m for b in self.blocks for q in b.results for m in q.methods]
        return list(dict.fromkeys(m.detail for m in judged if m.detail))

    def _truth(self, block: Block, quantity: str | None) -> Truth | None:
        return next((q.truth for q in block.results if q.quantity == quantity), None)

    def digest(self) -> list[CodeCount]:
        """Each code that was found, the most severe first: in how many rows, and in which first."""
        of: dict[str, list[tuple[Block, Found]]] = {}
        for b in self.blocks:
            for f in b.findings:
                of.setdefault(f.code, []).append((b, f))
        counts = []
        for code, some in of.items():
            hit = np.zeros(len(self.numbers), dtype=bool)  # np.unique would import numpy.ma, 6 ms
            for b, f in some:
                hit[b.places[f.rows]] = True
            numbers = self.numbers[hit]
            one = some[0][1]
            counts.append(
                CodeCount(
                    code, one.name, one.severity, int(numbers.size), tuple(numbers[:FIRST_ROWS].tolist()),
                    tuple(dict.fromkeys(f.method for _, f in some if f.method)),
                    tuple(dict.fromkeys(f.quantity for _, f in some if f.quantity)),
                )
            )  # fmt: skip
        counts += [
            CodeCount(f.code, f.name, f.severity, 0, (), (f.method or "",), (f.quantity or "",)) for f in self.about_all
        ]
        return sorted(counts, key=lambda c: (-RANK[c.severity], c.code))

    def counts(self) -> dict[str, int]:
        """How many findings there are of each code."""
        counts: dict[str, int] = {}
        for b in self.blocks:
            for f in b.findings:
                counts[f.code] = counts.get(f.code, 0) + int(f.rows.size)
        for one in self.about_all:
            counts[one.code] = counts.get(one.code, 0) + 1
        return dict(sorted(counts.items()))

    def flagged(self, most: int, least: Severity = Severity.NOTE) -> list[RowReport]:
        """The rows with findings at least so severe, the most severe and then the worst error first, `most` at the most."""
        ranked: list[tuple[int, float, int, Block, int]] = []
        for b in self.blocks:
            rank = np.full(len(b.places), -1)
            for f in b.findings:
                rank[f.rows] = np.maximum(rank[f.rows], RANK[f.severity])
            some = np.flatnonzero(rank >= RANK[least])
            error = _worst_error(b)
            order = some[np.lexsort((b.places[some], -error[some], -rank[some]))][:most]
            ranked += [(-int(rank[r]), -float(error[r]), int(b.places[r]), b, int(r)) for r in order]
        ranked.sort(key=lambda one: one[:3])
        return [self.row(b, r) for *_, b, r in ranked[:most]]

    def scores(self) -> list[Score]:
        """How each method did at each quantity, in the order asked."""
        found: dict[tuple[str, str], list[tuple[Block, Judged]]] = {}
        for b in self.blocks:
            for q in b.results:
                for m in q.methods:
                    found.setdefault((q.quantity, m.method), []).append((b, m))
        codes: dict[tuple[str, str], set[str]] = {}
        for b in self.blocks:
            for f in b.findings:
                codes.setdefault((f.quantity or "", f.method or ""), set()).add(f.code)
        return [self._score(*key, of, tuple(sorted(codes.get(key, ())))) for key, of in found.items()]

    def _score(self, quantity: str, method: str, of: list[tuple[Block, Judged]], codes: tuple[str, ...]) -> Score:
        ran = [(b, m) for b, m in of if m.available]
        if not ran:
            return Score(quantity, method, {}, codes=codes, available=False, reason=of[0][1].reason)
        number = np.sum([np.bincount(m.verdicts.ravel(), minlength=len(Verdict)) for _, m in ran], axis=0)
        counts = {v.label: int(number[v]) for v in Verdict if number[v]}
        best: tuple[float, int, int] | None = None
        for b, m in ran:
            each = m.ulp[np.arange(len(m.worst)), m.worst]
            r = worst(each)
            one = (float(each[r]), int(self.numbers[b.places[r]]), int(m.worst[r]))
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

    def worst_ulp(self, method: str, quantity: str) -> float:
        """The worst error of a method over all rows, in ulp; nan ranks worst.

        Raises:
            UsageError: that method did not compute that quantity here.
        """
        for score in self.scores():
            if (score.method, score.quantity) == (method, quantity) and score.available:
                return score.worst_ulp
        raise UsageError(f"this report has no {quantity} by {method}")

    @property
    def broken(self) -> dict[str, str]:
        """The user's functions that gave no value of some rows, each with the reason."""
        out: dict[str, str] = {}
        for b in self.blocks:
            by_name: dict[str, list[Judged]] = {}
            for m in (m for q in b.results for m in q.methods if ":" in m.method):
                by_name.setdefault(m.method, []).append(m)
            out.update({n: some[0].reason for n, some in by_name.items() if not any(m.available for m in some)})
        return out

    def beyond(self) -> Beyond:
        """How many values are beyond a limit that was given explicitly, those of all methods and reductions."""
        errors = [(m.ulp, m.rel, m.verdicts) for b in self.blocks for q in b.results for m in q.methods if m.available]
        errors += [(m.ulp, m.rel, m.verdicts) for r in self.reduced for m in r.methods]
        return sum((Beyond.of(self.limits, *some) for some in errors), Beyond())

    def beyond_limits(self) -> bool:
        """Whether a value is beyond a limit that was given explicitly."""
        return bool(self.beyond().count)

    def head(self) -> dict[str, Any]:
        """The JSON document up to its rows."""
        from smcli.version import __version__

        return {
            "schema": SCHEMA,
            "smcli": __version__,
            "command": self.command,
            "dtype": self.dtype,
            **({"compute": self.compute} if self.compute else {}),
            **({"logits_dtype": self.logits_dtype} if self.logits_dtype else {}),
            "digits": self.digits,
        }

    def documents(self) -> Iterator[dict[str, Any]]:
        """The rows of the JSON document, one by one."""
        return map(row_document, self.rows)

    def tail(self) -> dict[str, Any]:
        """The JSON document from its rows on."""
        summary: dict[str, Any] = {"rows": len(self.rows), "findings": self.counts(), "worst": self.worst}
        if self.reduced:
            summary["reduced"] = {r.quantity: reduced_document(r) for r in self.reduced}
        if self.about_all:
            summary["reduced"][self.about_all[0].quantity]["findings"] = [finding_document(f) for f in self.about_all]
        if self.limits.given:
            summary["beyond_limits"] = beyond_document(self.beyond())
        if self.confirmed is not None:
            summary["confirmed"] = self.confirmed.to_dict()
        return {"summary": summary} | ({"tolerance": self.tolerance} if self.tolerance else {})

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {**self.head(), "rows": [listed(row) for row in self.documents()], **listed(self.tail())}


def _worst_error(b: Block) -> FloatArray:
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


class RowReports(Sequence[RowReport]):
    """The rows of a report in the order of the input: made when they are asked for, not kept."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._starts = np.cumsum([0, *(len(b.places) for b in report.blocks)])
        places = [b.places for b in report.blocks]
        self._order = np.argsort(np.concatenate(places)) if places else np.empty(0, np.int64)

    def __len__(self) -> int:
        return int(self._order.size)

    def __iter__(self) -> Iterator[RowReport]:
        """All rows in turn; the digits of short ones are made for many rows at once."""
        near: dict[int, list[Texts]] = {}
        for at in self._order.tolist():
            k = int(np.searchsorted(self._starts, at, side="right")) - 1
            block, r = self._report.blocks[k], at - int(self._starts[k])
            if k not in near or not all(t.start <= r < t.stop for t in near[k]):
                rows = len(block.places)
                near[k] = [
                    Texts(
                        q, block.problem, self._report.digits, r, min(rows, r + max(1, TOGETHER // q.truth.hi.shape[1]))
                    )
                    for q in block.results
                ]
            long = block.problem.logits.shape[1] > TOGETHER
            yield self._report.row(block, r, () if long else near[k])

    @overload
    def __getitem__(self, index: int) -> RowReport: ...
    @overload
    def __getitem__(self, index: slice) -> list[RowReport]: ...
    def __getitem__(self, index: int | slice) -> RowReport | list[RowReport]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = int(self._order[index])
        k = int(np.searchsorted(self._starts, at, side="right")) - 1
        return self._report.row(self._report.blocks[k], at - int(self._starts[k]))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison(Shown):
    """The same analysis in several number formats."""

    command: str
    reports: tuple[Report, ...]

    @property
    def findings(self) -> list[Finding]:
        """All findings of all formats."""
        return [f for r in self.reports for f in r.findings]

    @property
    def details(self) -> list[str]:
        """The tracebacks of code that failed, each once."""
        return list(dict.fromkeys(d for r in self.reports for d in r.details))

    @property
    def broken(self) -> dict[str, str]:
        """The user's functions that gave no value in some format, each with the reason."""
        return {name: why for r in self.reports for name, why in r.broken.items()}

    @property
    def limits(self) -> Tolerance:
        """Limits that were given explicitly."""
        return self.reports[0].limits

    def worst_ulp(self, method: str, quantity: str) -> float:
        """The worst error of a method in any of the formats, in ulp of that format; nan ranks worst.

        Raises:
            UsageError: that method did not compute that quantity here.
        """
        worst = [r.worst_ulp(method, quantity) for r in self.reports]
        return max(worst, key=lambda ulp: (math.isnan(ulp), ulp))

    def beyond_limits(self) -> bool:
        """Whether a value is beyond a limit that was given explicitly, or its error against the logits as given is."""
        limit = self.limits.max_rel
        totals = [s.total_rel for r in self.reports for s in r.scores() if s.total_rel is not None]
        return any(r.beyond_limits() for r in self.reports) or (limit is not None and any(t > limit for t in totals))

    def digest(self) -> list[CodeCount]:
        """Each code that was found in any format."""
        return [c for r in self.reports for c in r.digest()]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document: one report a format."""
        return {"schema": SCHEMA, "command": self.command, "formats": [r.to_dict() for r in self.reports]}


def fails(found: Iterable[CodeCount], on: str) -> bool:
    """Whether a finding is among what --fail-on names: never, a severity and all above it, codes, or several of these."""
    named = {word.strip() for word in on.split(",")}
    least = min((RANK[s] for s in Severity if s in named), default=len(RANK))
    return any(RANK[f.severity] >= least or f.code in named for f in found)
