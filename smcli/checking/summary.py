"""The result of a large check: a line a row, the worst values, what was found; in the schema of a report."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.document.limits import judged
from smcli.document.parts import LEAST, Cell, Document, Drawing, Paragraph, Table
from smcli.document.report import ending, in_rows, of_rows
from smcli.document.spelling import error, number
from smcli.document.values import HEAD
from smcli.document.verdicts import verdicts
from smcli.errors import UsageError
from smcli.methods.base import OUTPUT
from smcli.model import Verdict
from smcli.numbers.words import plural
from smcli.report.counts import CodeCount, Score
from smcli.report.document import beyond_document, certified, finding_document, head, json_number
from smcli.report.shown import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.checking.sums import Sums, Values
    from smcli.checking.tolerance import Failed
    from smcli.document.figure import Figure
    from smcli.document.parts import Part
    from smcli.document.style import Style
    from smcli.judge.beyond import Beyond
    from smcli.model import Finding
    from smcli.problem.specs import Settings, Tolerance

WORST_SHOWN = 10  # of the worst values


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Shown):
    """A check that is summed up.

    Attributes:
        settings: what was asked.
        dtype: the number format.
        digits: significant digits of the truth.
        sums: what is kept.
        tolerance: what a test of these values should allow.
        exact: the truths of the worst values.
        targets: the right class of each row, or None.
        beyond_exact: the truths of the values that are furthest beyond the limits that were given.
        failed: the values that are furthest beyond the tightest tolerance of a kernel.
    """

    settings: Settings
    dtype: str
    digits: int
    sums: Sums
    tolerance: dict[str, Any]
    exact: list[str]
    targets: Sequence[int] | None
    beyond_exact: list[str] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)

    command = "check"
    reduced: tuple[()] = ()

    @property
    def quantity(self) -> str:
        """What the values are of."""
        return self.settings.quantities[0]

    @property
    def limits(self) -> Tolerance:
        """Limits that were given explicitly."""
        return self.settings.tolerance

    @property
    def findings(self) -> list[Finding]:
        """What was found: of each code the first row's, and of the first thousand rows each."""
        told = [f for some in self.sums.told.values() for f in some]
        return told or [c.first for c in self.sums.sorted_codes()]

    def number(self, place: int) -> int:
        """The number of a row in the input."""
        return place if self.settings.numbers is None else int(self.settings.numbers[place])

    def digest(self) -> list[CodeCount]:
        """Each code that was found, the most severe first."""
        return [
            CodeCount(c.code, c.name, c.severity, c.rows, tuple(map(self.number, c.first_rows)), tuple(c.methods),
                      tuple(c.quantities))
            for c in self.sums.sorted_codes()
        ]  # fmt: skip

    def scores(self) -> list[Score]:
        """How the values are."""
        counts = {v.label: int(self.sums.counts[v]) for v in Verdict if self.sums.counts[v]}
        worst = self.sums.worst
        at = self.number(int(worst.place[0])), int(worst.at[0])
        codes = tuple(sorted(c.code for c in self.sums.codes.values() if OUTPUT in c.methods))
        inaccurate = worst.ulp[worst.verdict == Verdict.INACCURATE]  # the worst come first
        return [
            Score(self.quantity, OUTPUT, counts, float(worst.ulp[0]), float(worst.rel[0]), at, codes=codes,
                  inaccurate_ulp=float(inaccurate[0]) if inaccurate.size else math.nan)
        ]  # fmt: skip

    def worst_ulp(self, method: str = OUTPUT, quantity: str | None = None) -> float:
        """The worst error, in ulp; nan ranks worst.

        Raises:
            UsageError: it is of another quantity or method.
        """
        if method != OUTPUT or quantity not in {None, self.quantity}:
            raise UsageError(f"this report has no {quantity} by {method}")
        return float(self.sums.worst.ulp[0])

    def beyond(self) -> Beyond:
        """How many values are beyond a limit that was given explicitly."""
        return self.sums.beyond

    def beyond_limits(self) -> bool:
        """Whether a value is beyond a limit that was given explicitly."""
        return bool(self.beyond().count)

    @cached_property
    def _worst_values(self) -> list[dict[str, Any]]:
        worst = self.sums.worst
        columns = (worst.place.tolist(), worst.at.tolist(), worst.value.tolist(), self.exact, worst.ulp.tolist(),
                   worst.rel.tolist(), worst.verdict.tolist())  # fmt: skip
        return [
            {"row": self.number(place), "at": at, "value": json_number(value), "exact": exact, "ulp": json_number(ulp),
             "rel": json_number(rel), "verdict": Verdict(verdict).label}
            for place, at, value, exact, ulp, rel, verdict in zip(*columns, strict=True)
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The JSON document: as a report's, with counts of verdicts and the worst values in place of the arrays."""
        codes, lines = self.sums.sorted_codes(), self.sums.lines()
        return {
            **head(self.command, self.dtype, self.digits, logits_dtype=self.settings.numerics.logits_dtype or ""),
            "rows": list(self._rows()),
            "summary": {
                "rows": self.sums.rows,
                "rows_left_out": self.sums.rows - lines.place.size,
                "values": self.sums.values,
                "verdicts": _labels(self.sums.counts),
                "findings": {c.code: c.rows for c in sorted(codes, key=lambda c: c.code)},
                "worst": codes[0].severity if codes else None,
                **({"beyond_limits": beyond_document(self.sums.beyond)} if self.limits.given else {}),
                "worst_values": self._worst_values,
            },
            "tolerance": self.tolerance,
        }

    def _rows(self) -> Iterator[dict[str, Any]]:
        of: dict[int, list[dict[str, Any]]] = {}
        for value in self._worst_values:
            of.setdefault(value["row"], []).append(value)
        lines = self.sums.lines()
        bound = certified(self.sums.bound)
        plain = (lines.place, lines.at, lines.ulp, lines.rel)
        for counts, place, at, ulp, rel in zip(lines.counts, *(c.tolist() for c in plain), strict=True):
            row = self.number(place)
            yield {
                "row": row,
                "target": None if self.targets is None else self.targets[place],
                "results": [
                    {
                        "quantity": self.quantity,
                        "certified": bound,
                        "methods": [
                            {"method": OUTPUT, "available": True, "verdicts": _labels(counts),
                             "worst": {"at": at, "ulp": json_number(ulp), "rel": json_number(rel)}}
                        ],
                        "worst_values": of.get(row, []),
                    }
                ],
                "findings": [finding_document(f) for f in self.sums.told.get(place, ())],
            }  # fmt: skip

    def document(self, style: Style) -> Document:
        """What is to be said of it, in the order of reading."""
        answer = verdicts(self)
        rows, values = plural(self.sums.rows, "row"), plural(self.sums.values, "value")
        return Document(
            "smcli check", f"{self.dtype} · {rows} · {values}", self._parts(style),
            ending(self, f"; {self.dtype}, {rows}; exact certified", style), answer,
        )  # fmt: skip

    def _parts(self, style: Style) -> Iterator[Part]:
        yield verdicts(self)
        codes = self.digest()
        if codes:
            yield in_rows(codes, self.sums.rows)
        if not style.summary:
            most = self.sums.worst.at.size if style.every_class else WORST_SHOWN
            failed = self.sums.failed
            if failed is None:
                yield self._table("the worst values", self.sums.worst, self.exact, most)
            else:
                yield self._table("the values furthest beyond the limit", failed, self.beyond_exact, most)
            yield Drawing(self._figures)
        for c, told in zip(codes, self.sums.sorted_codes(), strict=True):
            yield of_rows(c, [told.first])
        yield from map(Paragraph.of, judged(self))
        yield from (Paragraph.of(note, "dim") for note in self.sums.notes)
        yield Paragraph.of("a large check is summed up; --all shows every value", "dim")

    def _table(self, title: str, worst: Values, exact: list[str], most: int) -> Table:
        titles = [Cell(text, HEAD, right=k < 2) for k, text in enumerate(("row", "at", "exact", self.quantity))]
        titles += [Cell("rel", HEAD, near=True), Cell("ulp", HEAD, near=True)]
        lines = []
        for k in range(min(most, worst.at.size)):
            word = Verdict(int(worst.verdict[k])).label
            lines.append((
                Cell(str(self.number(int(worst.place[k]))), right=True), Cell(str(worst.at[k]), right=True),
                Cell(exact[k], "exact", least=LEAST), Cell(number(float(worst.value[k])), word, least=LEAST),
                Cell(error(float(worst.rel[k])), word, near=True), Cell(error(float(worst.ulp[k])), word, near=True),
            ))  # fmt: skip
        return Table(title, tuple(titles), tuple(lines), (max(LEAST, self.digits), LEAST))

    def _figures(self) -> Iterator[Figure]:
        from smcli.document.figure import Axis, Figure, Series

        lines = self.sums.lines()
        with np.errstate(all="ignore"):
            size = np.log10(lines.ulp)
        x = np.array([self.number(place) for place in lines.place.tolist()], dtype=np.float64)
        told = f"The worst error of each of {lines.place.size} rows, in ulp of {self.dtype}; the worst of all is "
        yield Figure("the worst error of each row", f"{told}{error(self.worst_ulp())}.", Axis("row"),
                     Axis("error in ulp", decades=True), (Series(OUTPUT, x, size),))  # fmt: skip


def _labels(counts: Any) -> dict[str, int]:
    return {v.label: int(counts[v]) for v in Verdict if counts[v]}
