"""The result of an analysis: judged blocks, whose rows become objects when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from smcli.errors import UsageError
from smcli.findings import say
from smcli.judge.block import Texts
from smcli.model import RowReport, Severity
from smcli.problem.build import targets
from smcli.report.counts import RANK, CodeCount, Gap, Key, Score, code_count, codes, gaps, places, scores, worst_error
from smcli.report.document import (
    SCHEMA,
    beyond_document,
    finding_document,
    head,
    listed,
    reduced_document,
    row_document,
)
from smcli.report.shown import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.confirm import Confirmation
    from smcli.judge.beyond import Beyond
    from smcli.judge.block import Block
    from smcli.judge.reduce import Reduced
    from smcli.model import BoolArray, Finding, IntArray, Truth
    from smcli.problem.specs import Settings, Tolerance

TOGETHER = 1 << 13  # values whose digits are made at once
KEPT = 16  # rows that are kept


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
        return sorted(
            [*codes(self.blocks, self.numbers), *(CodeCount.of_all(f) for f in self.about_all)], key=CodeCount.order
        )

    def told(self) -> list[tuple[CodeCount, list[Finding]]]:
        """What there is to say of all rows, the most severe first: as the first row does, with a finding of each method.

        Told as one are methods and quantities of which the same is to be done, or whose first row tells the same; the
        count is that of their rows together. Only what the first finding says is shown.
        """
        of: dict[tuple[int, str, str], tuple[dict[Key, BoolArray], list[Finding]]] = {}
        rows = self.rows
        for key, where in places(self.blocks, len(self.numbers)).items():
            first = int(where.argmax())
            f = next(f for f in rows[first].findings if (f.code, f.method, f.quantity) == key)
            some, found = of.setdefault((first, f.code, f.message), ({}, []))
            some[key] = where
            found.append(f)
        one: dict[tuple[str, ...], tuple[dict[Key, BoolArray], list[Finding]]] = {}
        for (_, code, _), (some, found) in sorted(of.items(), key=lambda item: item[0][0]):
            into = one.setdefault((code, *dict.fromkeys(f.remedy for f in found)), ({}, []))
            into[0].update(some)
            into[1].extend(found)
        order = {m: i for i, m in enumerate(self.methods)}
        told = [(code_count(found[0], some, self.numbers), found) for some, found in one.values()]
        return sorted(told, key=lambda one: (*one[0].order(), order.get(one[1][0].method or "", -1)))

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
            error = worst_error(b)
            order = some[np.lexsort((b.places[some], -error[some], -rank[some]))][:most]
            ranked += [(-int(rank[r]), -float(error[r]), int(b.places[r]), b, int(r)) for r in order]
        ranked.sort(key=lambda one: one[:3])
        return [self.row(b, r) for *_, b, r in ranked[:most]]

    def scores(self) -> list[Score]:
        """How each method did at each quantity, in the order asked."""
        return scores(self.blocks, self.numbers)

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
    def broken(self) -> dict[str, Gap]:
        """The user's functions that gave no values of some quantity or some rows, each with what, and the reason."""
        missing: dict[tuple[str, str], str] = {}
        ran = set()
        for q in (q for b in self.blocks for q in b.results):
            ran |= {(m.method, q.quantity) for m in q.methods if m.available}
            missing |= {(m.method, q.quantity): m.reason for m in q.methods if not m.available}
        return gaps(missing, ran)

    def beyond(self) -> Beyond:
        """How many values are beyond a limit that was given explicitly, those of all methods and reductions."""
        from smcli.judge.beyond import Beyond

        errors = [(m.ulp, m.rel, m.verdicts) for b in self.blocks for q in b.results for m in q.methods if m.available]
        errors += [(m.ulp, m.rel, m.verdicts) for r in self.reduced for m in r.methods]
        return sum((Beyond.of(self.limits, *some) for some in errors), Beyond())

    def beyond_limits(self) -> bool:
        """Whether a value is beyond a limit that was given explicitly."""
        return self.limits.given and bool(self.beyond().count)

    def head(self) -> dict[str, Any]:
        """The JSON document up to its rows."""
        return head(self.command, self.dtype, self.digits, compute=self.compute, logits_dtype=self.logits_dtype)

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
    def broken(self) -> dict[str, Gap]:
        """The user's functions that gave no values of something in some format, each with what, and the reason."""
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
