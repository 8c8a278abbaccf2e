"""The answer in a line a method: how many of its values are right, and what became of the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from smcli.document.parts import Cell, Verdicts
from smcli.document.spelling import error
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smcli.report.counts import CodeCount, Score

BADNESS = [Verdict.CORRECT, Verdict.OK, Verdict.NOT_REPRESENTABLE, Verdict.INACCURATE, Verdict.LOST, Verdict.UNDEFINED]
MEANINGS = {
    "correct": "the truth, correctly rounded",
    "ok": "within the limit",
    "inaccurate": "beyond the limit",
    "lost": "nan or inf where the truth rounds to a finite number, or 0 where the format holds it",
    "not-representable": "what rounding gives; the format does not hold the truth",
    "undefined": "the truth is nan, or a logit is +inf",
}
NAMED = 3  # quantities that a line names one by one
ASIDE = {"SM410"}  # it tells of values that are not those judged
IMPRECISE = {"SM401", "SM403", "SM404", "SM405", "SM503"}  # they tell of inaccurate values, all others of lost ones


class Told(Protocol):
    """What a verdict is read from."""

    @property
    def dtype(self) -> str:
        """The number format."""

    def digest(self) -> list[CodeCount]:
        """Each code that was found."""

    def scores(self) -> list[Score]:
        """How each method did at each quantity."""


def verdicts(report: Told) -> Verdicts:
    """A line for each method that was asked for."""
    found = {c.code: c for c in report.digest()}
    of: dict[str, list[Score]] = {}
    for score in report.scores():
        of.setdefault(score.method, []).append(score)
    return Verdicts(tuple((Cell(name, "strong"), _line(some, found, report.dtype)) for name, some in of.items()))


def worst_verdict(counts: Iterable[str]) -> str:
    """The worst of some verdicts, by their labels."""
    there = set(counts)
    return next((v.label for v in reversed(BADNESS) if v.label in there), "")


def _line(scores: Sequence[Score], found: dict[str, CodeCount], dtype: str) -> Cell:
    ran = [s for s in scores if s.available]
    if not ran:
        return Cell(scores[0].reason, "inaccurate")
    counts: dict[str, int] = {}
    for score in ran:
        for label, n in score.counts.items():
            counts[label] = counts.get(label, 0) + n
    said = [
        _bad(ran, v.label, found) for v in (Verdict.UNDEFINED, Verdict.LOST, Verdict.INACCURATE) if v.label in counts
    ]
    good = [f"{counts[label]} {label}" for label in ("correct", "ok") if label in counts]
    beyond = counts.get("not-representable", 0)
    if beyond:
        where = [word for code, word in (("SM301", "below"), ("SM204", "beyond")) if any(code in s.codes for s in ran)]
        good.append(f"{beyond} {' or '.join(where or ['beyond'])} {dtype}")
    if good:
        said.append(", ".join(good) + ("" if said else _beside(ran, found)))
    gone = {s.reason: s.quantity for s in reversed(scores) if not s.available}
    said += [f"no {quantity}: {why}" for why, quantity in reversed(gone.items())]
    worst = worst_verdict(counts)
    return Cell("; ".join(said), "correct" if worst in {"correct", "ok", "not-representable"} else worst)


def _bad(scores: Sequence[Score], label: str, found: dict[str, CodeCount]) -> str:
    """How many values have a bad verdict, of which quantities, and the first cause."""
    there = [s for s in scores if label in s.counts]
    total = sum(sum(s.counts.values()) for s in there)
    of = f"{sum(s.counts[label] for s in there)} of {total}"
    if len(there) < len(scores) and len(there) <= NAMED:
        of += f" {', '.join(s.quantity for s in there)}"
    codes = dict.fromkeys(code for s in there for code in s.codes)
    if label == "undefined":
        codes = dict.fromkeys(c.code for c in found.values() if not c.methods)
    causes = [found[code] for code in codes if code in found and found[code].severity != Severity.NOTE]
    causes = [c for c in causes if c.code not in ASIDE]
    causes = [c for c in causes if label == "undefined" or (c.code in IMPRECISE) == (label == "inaccurate")]
    causes.sort(key=lambda c: (c.severity != Severity.ERROR, c.code))
    why = [cause(c.name) for c in causes[:1] if c.name != label]
    worst = max((s.inaccurate_ulp for s in there if math.isfinite(s.inaccurate_ulp)), default=math.nan)
    if label == "inaccurate" and math.isfinite(worst):
        why.insert(0, f"worst {error(worst)} ulp")
    named = (
        f" ({', '.join(c.code for c in causes[:2])}{f' +{len(causes) - 2}' if len(causes) > 2 else ''})"
        if causes
        else ""
    )
    return f"{label} {of}{': ' if why else ''}{', '.join(why)}{named}"


def _beside(scores: Sequence[Score], found: dict[str, CodeCount]) -> str:
    """Of good values what was found nevertheless, as of a sum whose limit allows for terms that cancel."""
    codes = dict.fromkeys(code for s in scores for code in s.codes)
    causes = [found[code] for code in codes if code in found and found[code].severity != Severity.NOTE]
    return f", but {cause(causes[0].name)} ({', '.join(c.code for c in causes)})" if causes else ""


def cause(name: str) -> str:
    """The name of a finding as words: exp-overflow is that exp overflows."""
    said = name.replace("-", " ").replace("of zero", "of 0")
    return f"{said}s" if said.endswith("overflow") else said
