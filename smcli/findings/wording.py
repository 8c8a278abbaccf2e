"""From what was found to sentences: templates, places, numbers and truths in words."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.model import Choice, Finding, Truth

if TYPE_CHECKING:
    from smcli.model import Found

NAME = re.compile(r"\{([^{}]+)\}")
PLACE = re.compile(r",? at (?:\{at\}|\{most:place\})")
SHOWN = 4  # indices named in a sentence
FARTHEST = 2**50  # binary exponents beyond it are of no use to a reader


def say(found: Found, k: int, *, truth: Truth | None = None, row: int | None = None) -> Finding:
    """The finding of one row, with its message.

    A template names in braces what differs from row to row: a fact; `{at}`, the places ("index 3"), or `{at:class}`;
    `{n}`, how many they are; `{true}`, the truth at the first of them, or `{true:most}` at the index that the fact
    `most` holds; `{most:place}`, that index in words; `{x:repr}`, all digits of a fact; `{is|are}`, the one for a single
    place and the other for several. Where the truths at the places differ, `{there}` or `{there:most}` is " at index 3",
    the place of the truth that is told, and `{where}` before it is ";"; else they are "" and " where". Where a row has but
    one value, as of a loss, " at {at}" and " at {most:place}" are left out.

    Args:
        found: what a rule found.
        k: which of its rows, counted within it.
        truth: the truth of the block, where a message tells it.
        row: the row of that truth; found.rows[k] if not given.
    """
    at = found.places[found.starts[k] : found.starts[k + 1]].tolist()
    flat = [i * (found.side + 1) for i in at] if found.of_logits else at
    told = _Told(found, k, at, flat, truth, int(found.rows[k]) if row is None else row)
    return Finding(
        code=found.code,
        name=found.name,
        severity=found.severity,
        quantity=found.quantity,
        method=found.method,
        at=tuple(flat),
        count=int(found.count[k]),
        step=_text(found.step, k) or None,
        message=told.fill(_text(found.message, k)),
        remedy=told.fill(_text(found.remedy, k)),
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Told:
    """One row of what was found, as the templates see it."""

    found: Found
    k: int
    at: list[int]
    flat: list[int]
    truth: Truth | None
    row: int

    def fill(self, template: str) -> str:
        """The template with its names replaced."""
        parts = _placeless(template) if self.found.sole else _parts(template)
        return "".join([self._put(*part) if named else part[0] for named, part in parts])

    def _put(self, word: str, more: str) -> str:
        found, k = self.found, self.k
        count = int(found.count[k])
        if "|" in word:
            return word.split("|")[count > 1]
        if word == "at":
            return places(self.at, count, more or "index", 0 if found.of_logits else found.side)
        if word == "n":
            return str(count)
        if word in {"true", "there", "where"}:
            index = int(found.facts[more][k]) if more else self.flat[0]
            if word == "true":
                return self._true(index)
            if word == "where":
                return ";" if self._differ(count, index) else " where"
            return f" at {places([index], 1, 'index', found.side)}" if self._differ(count, index) else ""
        fact = found.facts[word]
        if more == "place":
            return places([int(fact[k])], 1, "index", found.side)
        if more == "repr":
            return repr(fact[k].item())
        text = _text(fact, k)
        return self.fill(text) if isinstance(fact, str | Choice) else text

    def _true(self, index: int) -> str:
        assert self.truth is not None  # noqa: S101 - only rules about a truth ask for it
        return true_text(self.truth, self.row, index)

    def _differ(self, count: int, index: int) -> bool:
        """Whether the truth at that index, as it is told, is not that of all places; of places not kept nobody knows."""
        if count == 1 or count > len(self.flat):
            return count > 1
        mine, told = self._parts_of(index), ""
        for i in self.flat:
            other = self._parts_of(i)
            if other == mine:
                continue
            if _far(mine, other):
                return True
            told = told or self._true(index)
            if self._true(i) != told:
                return True
        return False

    def _parts_of(self, index: int) -> tuple[float, float, int]:
        t = self.truth
        assert t is not None  # noqa: S101 - as above
        return float(t.hi[self.row, index]), float(t.lo[self.row, index]), int(t.exp2[self.row, index])


def _far(a: tuple[float, float, int], b: tuple[float, float, int]) -> bool:
    """Whether two truths are so far apart that six digits tell: by more than 2^0.0001, or of other signs."""
    (x, _, m), (y, _, n) = a, b
    if x == 0 or y == 0 or not math.isfinite(x) or not math.isfinite(y):
        return False  # the texts tell
    return (x < 0) != (y < 0) or abs(math.log2(abs(x)) - math.log2(abs(y)) + (m - n)) > 1e-4


@lru_cache(maxsize=512)
def _parts(template: str) -> tuple[tuple[bool, tuple[str, str]], ...]:
    """A template as its texts and names in turn: (whether it is a name, (text or name, what follows its colon))."""
    out = []
    for i, piece in enumerate(NAME.split(template)):
        name, _, more = piece.partition(":") if i % 2 else (piece, "", "")
        if piece:
            out.append((i % 2 == 1, (name, more)))
    return tuple(out)


@lru_cache(maxsize=512)
def _placeless(template: str) -> tuple[tuple[bool, tuple[str, str]], ...]:
    """The same without the places."""
    return _parts(PLACE.sub("", template))


def _text(fact: Any, k: int) -> str:
    if isinstance(fact, Choice):
        return fact.options[int(fact.index[k])]
    if isinstance(fact, np.ndarray):
        fact = fact[k].item()
    return number(fact) if isinstance(fact, float) else str(fact)


def places(at: list[int], count: int, what: str = "index", side: int = 0) -> str:
    """Indices in words: "index 3", "indices 0, 1, 2", "indices 0, 1, 2, 3 and 97 more"; pairs in a matrix of that side."""
    plural = {"index": "indices", "class": "classes"}.get(what, what + "s")
    shown = [f"({i // side}, {i % side})" if side else str(i) for i in at[:SHOWN]]
    if count == 1:
        return f"{what} {shown[0]}"
    return f"{plural} {', '.join(shown)}" + (f" and {count - SHOWN} more" if count > SHOWN else "")


def number(value: float) -> str:
    """A number for a message: short, and never misleading about being exact."""
    return f"{value:.6g}"


def true_text(truth: Truth, row: int, index: int) -> str:
    """A true value in words, also where it is far below or above float64."""
    from smcli.reference.double_double.decimal import texts

    hi, lo, exp2 = float(truth.hi[row, index]), float(truth.lo[row, index]), int(truth.exp2[row, index])
    if hi == 0 or not math.isfinite(hi):
        return number(hi + 0.0)
    if abs(exp2) < 900 and abs(nearest := math.ldexp(hi + lo, exp2)) >= sys.float_info.min:
        return number(nearest)
    (text,) = texts(truth.part((slice(row, row + 1), index)), 6)
    if text is not None:
        return text
    if abs(exp2) > FARTHEST:  # its exponent may have been cut off
        return f"{'below' if exp2 < 0 else 'above'} {'-' * (hi < 0)}1e{'-' * (exp2 < 0)}{10**14}"
    return f"about {'-' * (hi < 0)}1e{math.floor(exp2 * math.log10(2))}"
