"""What a rule is and what it yields; the registry; from the mask of a hit to rows and places."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli import registry
from smcli.findings.evidence import RunEvidence
from smcli.model import Choice, Found, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from smcli.findings.evidence import About, Evidence
    from smcli.model import BoolArray, IntArray

    Find = Callable[[Any], Iterator["Hit"]]

MODULES = (
    "logits", "rounding", "lookalikes", "overflow", "underflow", "logarithms", "sums", "cancellation", "subnormal", "accuracy",
    "derivatives", "foreign", "batches",
)  # fmt: skip
MOST_PLACES = 100  # a finding lists this many indices; its count is whole


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Hit:
    """One thing that a rule found in a block.

    Attributes:
        where: bool [R, N], the elements concerned, or [R, C], the logits.
        message: what happened, with names in braces (see `wording.say`).
        remedy: what to do.
        step: the expression that went wrong, or an empty string.
        facts: what the names stand for: a number, a text, an array [R] of them, or a `Choice` over [R].
    """

    where: BoolArray
    message: str | Choice
    remedy: str | Choice
    step: str | Choice = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rule:
    """A code, its name and severity, the question it puts to the evidence, and its page.

    With `once`, only the first of several hits in a row tells: the step that went wrong first, whatever the other rows
    of the block are. A rule about a run looks only at rows with a value that is neither correct nor accurate, unless
    it is `always` to be asked.
    """

    code: str
    name: str
    severity: Severity
    about: About
    find: Find
    once: bool = False
    always: bool = False

    @property
    def page(self) -> str:
        """What `explain` prints: the docstring, without its indentation, with the snippets that it names."""
        import inspect

        from smcli.findings.snippets import insert

        return insert(inspect.cleandoc(self.find.__doc__ or ""))

    @property
    def summary(self) -> str:
        """The first line of the page."""
        return self.page.splitlines()[0]


RULES: dict[str, Rule] = {}


def rule(
    code: str, name: str, severity: Severity, about: About = "run", *, once: bool = False, always: bool = False
) -> Callable[[Find], Find]:
    """Register the decorated function as the rule of that code."""

    def register(find: Find) -> Find:
        RULES[code] = Rule(code, name, severity, about, find, once, always)
        return find

    return register


@cache
def _load() -> None:
    registry.load("smcli.findings", MODULES)


def everything() -> dict[str, Rule]:
    """All rules by code, in the order of codes."""
    _load()
    return dict(sorted(RULES.items()))


def examine(evidence: Evidence, about: About | None = None) -> tuple[Found, ...]:
    """Put all rules about one kind of evidence to it, in the order of codes; `about` says which, if not what it is."""
    found, about = [], about or evidence.about
    fine = isinstance(evidence, RunEvidence) and evidence.all_fine
    with np.errstate(all="ignore"):
        for r in everything().values():
            if r.about != about or (fine and not r.always):
                continue
            open_rows = np.ones((len(evidence.x), 1), dtype=bool)
            if isinstance(evidence, RunEvidence) and not r.always:  # alone, such a row would not have been looked at
                open_rows = ~evidence.fine
            for hit in r.find(evidence):
                where = hit.where & open_rows
                rows = np.flatnonzero(where.any(axis=1))
                if rows.size:
                    found.append(_found(r, evidence, hit, where, rows))
                    if r.once:
                        open_rows[rows] = False
    return tuple(found)


def _found(r: Rule, evidence: Evidence, hit: Hit, where: BoolArray, rows: IntArray) -> Found:
    if evidence.counted:  # nobody asks where
        places, count = np.empty(0, np.int64), np.zeros(rows.size, np.int64)
    else:
        places, count = _places(where if rows.size == len(where) else where[rows])
    return Found(
        code=r.code,
        name=r.name,
        severity=r.severity,
        quantity=evidence.name,
        method=evidence.method,
        rows=rows,
        count=count,
        starts=np.concatenate([[0], np.cumsum(np.minimum(count, MOST_PLACES))]),
        places=places,
        message=_of_rows(hit.message, rows),
        facts={name: _of_rows(fact, rows) for name, fact in hit.facts.items()},
        remedy=_of_rows(hit.remedy, rows),
        step=_of_rows(hit.step, rows),
        side=evidence.side,
        of_logits=bool(evidence.side) and where.shape[1] == evidence.x.shape[1],
        sole=where.shape[1] == 1,
    )


def _places(where: BoolArray) -> tuple[IntArray, IntArray]:
    """The first places of each row, one row after the other, and how many there are."""
    count = np.count_nonzero(where, axis=1)
    at = np.nonzero(where)[1]
    if count.max() > MOST_PLACES:
        rank = np.arange(at.size) - np.repeat(np.cumsum(count) - count, count)
        at = at[rank < MOST_PLACES]
    return at.astype(np.int32), count


def _of_rows(fact: Any, rows: IntArray) -> Any:
    if isinstance(fact, Choice):
        return Choice(fact.options, fact.index[rows])
    return fact[rows] if isinstance(fact, np.ndarray) else fact


def choice(*options: str, index: NDArray[Any]) -> Choice:
    """One of several texts for each row [R]; a boolean index takes the second text where it is true."""
    return Choice(options, index.astype(np.uint8))


def instead(texts: str | Choice, where: BoolArray, text: str) -> Choice:
    """The texts of each row [R], and this one where the mask holds."""
    given = texts if isinstance(texts, Choice) else choice(texts, index=np.zeros(len(where)))
    return choice(*given.options, text, index=np.where(where, len(given.options), given.index))


def first_of(named: list[tuple[str, BoolArray]], rows: int) -> Choice:
    """The first text of each row whose mask [R] holds, or an empty one."""
    index = np.zeros(rows, dtype=np.uint8)
    for k, (_, mask) in enumerate(named, 1):
        index = np.where((index == 0) & mask, k, index)
    return Choice(("", *(text for text, _ in named)), index)
