"""The pages of the findings: figures filled in from the number formats, and their Markdown as parts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.document.parts import Cell, Code, Document, Heading, Paragraph, Part, Table
from smcli.numbers.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smcli.document.style import Style
    from smcli.findings import Rule
    from smcli.numbers.formats import Format

TABLE = re.compile(r"\|.*\n\|[-:| ]+\n")
PLACEHOLDER = re.compile(r"\{(\w+):([\w, ]+)\}")


def _threshold(name: str) -> Callable[[Format], str]:
    return lambda f: f"{getattr(f, name):.9g}"


def _magnitude(name: str) -> Callable[[Format], str]:
    return lambda f: f"{getattr(f, name):.6g}"


def _clip_loss(f: Format) -> str:
    clip = float(f.round(np.array([1e-7]))[0])
    return "no clip" if clip == 0 else f"{-math.log(clip):.5g}"


FIGURES: dict[str, tuple[str, Callable[[Format], str]]] = {
    "exp_overflow": ("exp(x) overflows from x =", _threshold("exp_overflow")),
    "exp_subnormal": ("exp(x) subnormal below", _threshold("exp_subnormal")),
    "exp_zero": ("exp(x) is 0 up to x =", _threshold("exp_zero")),
    "max": ("largest number", _magnitude("max")),
    "smallest_normal": ("smallest normal", _magnitude("smallest_normal")),
    "smallest_subnormal": ("smallest number", _magnitude("smallest_subnormal")),
    "unit_roundoff": ("unit roundoff u", _magnitude("unit_roundoff")),
    "stall": ("S + 1 = S from S =", lambda f: str(f.stall)),
    "margin": ("1 + exp(-d) is 1 from d =", lambda f: f"{f.p * math.log(2):.6g}"),
    "near_100": ("a logit near 100 moves by up to", lambda f: f"{64 * f.unit_roundoff:.3g}"),
    "clip_loss": ("-log of 1e-7", _clip_loss),
}


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages one after the other, or the list of them."""

    rules: tuple[Rule, ...]
    listed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON document (schema smcli.explain/1): whole pages in Markdown, also of a list."""
        return {
            "schema": "smcli.explain/1",
            "findings": [
                {
                    "code": r.code,
                    "name": r.name,
                    "severity": str(r.severity),
                    "summary": r.summary,
                    "page": fill(r.page),
                }
                for r in self.rules
            ],
        }

    def document(self, _style: Style) -> Document:
        """The pages as parts."""
        parts = _list(self.rules) if self.listed else (part for r in self.rules for part in _page(r))
        hint = Paragraph.of("one page: smcli explain CODE", "dim") if self.listed else None
        source = "" if self.listed else "\n".join(f"# {_title(r)}\n\n{fill(r.page)}\n" for r in self.rules)
        return Document("smcli explain", "", parts, hint, prose=not self.listed, source=source)


def fill(text: str) -> str:
    """The text with its placeholders replaced.

    `{table:exp_zero,max}` becomes a Markdown table with a line for each number format, `{float16:max}` the figure of one,
    `{list:mistakes}` one of the problems whose true values wrong ones are compared with.

    Raises:
        KeyError: there is no such figure or number format.
    """

    def figures(found: re.Match[str]) -> str:
        where, names = found[1], [name.strip() for name in found[2].split(",")]
        if where == "list":
            return _mistakes()
        columns = [FIGURES[name] for name in names]
        if where != "table":
            return ", ".join(value(FORMATS[where]) for _, value in columns)
        lines = [["format", *(heading for heading, _ in columns)], ["---"] + ["---:"] * len(columns)]
        lines += [[f.name, *(value(f) for _, value in columns)] for f in FORMATS.values()]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    return PLACEHOLDER.sub(figures, text)


def _mistakes() -> str:
    from smcli.findings.mistakes import EPSILONS, LATE, MISTAKES

    of_sizes = {e.says: e for e in EPSILONS if "1e-07" in e.says}  # one of each kind
    lines = [f"| {c.says} | {c.remedy} |" for c in (*MISTAKES, *of_sizes.values(), *LATE)]
    return "\n".join(["| the true values | what to do |", "| --- | --- |", *lines])


def blocks(page: str) -> Iterator[Part]:
    """The Markdown that pages are written in, as parts: headings, paragraphs with code in them, tables and code."""
    for block in re.split(r"^(```\w+\n.*?^```$)", page, flags=re.MULTILINE | re.DOTALL):
        if block.startswith("```"):
            language, _, code = block[3:-3].partition("\n")
            yield Code(language, code.rstrip("\n"))
            continue
        for text in filter(None, map(str.strip, re.split(r"\n\s*\n", block))):
            if text.startswith("## "):
                yield Heading(text[3:])
            elif TABLE.match(text):
                yield _table(text)
            else:
                words = " ".join(text.split()).split("`")
                yield Paragraph(tuple(Cell(w, "code" if k % 2 else "") for k, w in enumerate(words) if w))


def _table(text: str) -> Table:
    head, rule, *rows = [[c.strip() for c in line[1:-1].split(" | ")] for line in text.splitlines()]
    right = [mark.endswith(":") for mark in rule]
    return Table(
        "",
        tuple(Cell(t, "head", right=r) for t, r in zip(head, right, strict=True)),
        tuple(tuple(Cell(t, right=r) for t, r in zip(cells, right, strict=True)) for cells in rows),
        marks=False,
    )


def _title(r: Rule) -> str:
    return f"{r.code} {r.name} ({r.severity})"


def _page(r: Rule) -> Iterator[Part]:
    yield Heading(_title(r), 1)
    yield from blocks(fill(r.page))


def _list(rules: tuple[Rule, ...]) -> Iterator[Part]:
    head = tuple(Cell(name, "head") for name in ("code", "name", "severity", "meaning"))
    rows = tuple((Cell(r.code, "strong"), Cell(r.name), Cell(r.severity, r.severity), Cell(r.summary)) for r in rules)
    yield Table("", head, rows, marks=False)
