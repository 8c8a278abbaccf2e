"""The table as a picture for a README: one self-contained SVG, as wide as what it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from smcli.model import Severity
from smcli.numbers import words
from smcli.render import _grid as grid
from smcli.render import _parts as parts
from smcli.report.report import Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.render import Style

SUFFIXES = (".svg",)
CHAR, LINE, SIZE = 8.43, 20, 14  # of a monospaced letter at 14 px: most such fonts advance 0.602 em
MARGIN, BAR, GAP = 20, 38, 3  # around everything, of the title bar, and between columns (in letters)
LONGEST = 100  # letters of a cell before it is folded, as thousands of digits must be
NARROWEST, PROSE = 46, 88  # letters of the picture, and of a line of prose where the tables are narrower
FONTS = "ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono','Liberation Mono',Consolas,monospace"
INK = {
    "": "#e6edf3", "head": "#ffffff", "heading": "#ffffff", "title": "#c9d1d9", "dim": "#8b949e", "exact": "#79c0ff",
    "correct": "#7ee787", "ok": "#e6edf3", "inaccurate": "#e3b341", "lost": "#ff7b72", "not-representable": "#d2a8ff",
    "undefined": "#ff7b72", Severity.ERROR: "#ff7b72", Severity.WARNING: "#e3b341", Severity.NOTE: "#79c0ff",
}  # fmt: skip
BUTTONS = ("#ff5f57", "#febc2e", "#28c840")
BOLD = {"head", "heading", "lost", "undefined", *Severity}


@dataclass(frozen=True)
class Span:
    """A piece of a line: where it starts or, if `right`, ends, in letters; what it says, and what that means."""

    at: int
    text: str
    kind: str = ""
    right: bool = False

    @property
    def end(self) -> int:
        """The column after its last letter."""
        return self.at if self.right else self.at + len(self.text)


@dataclass
class Page:
    """Lines of spans, and the lines under which a rule is drawn, with its length in letters."""

    lines: list[list[Span]] = field(default_factory=list)
    rules: list[tuple[int, int]] = field(default_factory=list)

    @property
    def width(self) -> int:
        """The longest line, in letters."""
        return max((span.end for line in self.lines for span in line), default=0)

    def table(self, g: grid.Grid) -> None:
        """Add a table: columns as wide as their longest cell, a rule under the header."""
        folded = [[(_fold(c.text), c) for c in cells] for cells in [g.head, *g.rows]]
        widths = [max((len(t) for row in folded for t in row[k][0]), default=0) for k in range(len(g.head))]
        starts = [sum(widths[:k]) + GAP * k for k in range(len(widths))]
        for number, row in enumerate(folded):
            for part in range(max((len(texts) for texts, _ in row), default=1)):
                self.lines.append([
                    Span(start + width if cell.right else start, texts[part], cell.kind, cell.right)
                    for start, width, (texts, cell) in zip(starts, widths, row, strict=True)
                    if part < len(texts) and texts[part]
                ])  # fmt: skip
            if number == 0:
                self.rules.append((len(self.lines), sum(widths) + GAP * (len(widths) - 1)))
        self.lines.append([])

    def say(self, text: str, kind: str = "", *, indent: int = 0, width: int = 10**9) -> None:
        """Add prose, wrapped."""
        for line in wrap(words.escape(text), max(width - indent, 20), break_long_words=False, break_on_hyphens=False):
            self.lines.append([Span(indent, line, kind)])


def render(thing: Any, style: Style) -> str:
    """One <svg> element. Text is placed letter by letter count, so columns stay straight in any monospaced font."""
    page = Page()
    if isinstance(thing, Comparison):
        for heading, g in parts.overview(thing):
            page.say(heading, "heading")
            page.table(g)
    elif isinstance(thing, Report):
        _report(page, thing, style)
    else:
        for heading, g in grid.listings(thing):
            page.say(heading, "heading")
            page.table(g)
    title = "smcli"
    if parts.is_report(thing):
        title = f"smcli {parts.reports(thing)[0].command}"
        closing = f"{parts.verdict(thing)} · {parts.subject(thing)} · every digit of exact is certified"
        page.say(closing, "dim", width=_prose(page))
    while page.lines and not page.lines[-1]:
        page.lines.pop()
    return _draw(page, words.escape(title))


def _report(page: Page, report: Report, style: Style) -> None:
    shown, note = parts.rows(report, style)
    for row in shown:
        if len(report.rows) > 1:
            page.say(parts.row_title(row), "dim")
        for q in parts.results(report, row):
            indices = grid.chosen(q, row, style)
            page.say(parts.heading(q, row), "heading")
            page.table(grid.wide(q, row, indices, style))
            notes = [parts.shortened(q, len(indices)), *(parts.bounds(q) if style.verbose else ())]
            for text in filter(None, notes):
                page.say(text, "dim", width=_prose(page))
            page.lines += [[]] if any(notes) else []
            for m in q.methods:
                if m.steps is not None:
                    page.say(f"steps of {m.method}", "heading")
                    page.table(grid.trace(m))
    for heading, g in parts.reduced(report):
        page.say(heading, "heading")
        page.table(g)
    width = _prose(page)
    for where, group in parts.merged(report):
        _finding(page, group, where, width)
    page.say(note, "dim", width=width)


def _prose(page: Page) -> int:
    return max(page.width, PROSE)


def _finding(page: Page, group: grid.Group, where: str, width: int) -> None:
    f = group.finding
    name = f"{f.code} {f.name}"
    about = words.escape(" · ".join(w for w in (where, "; ".join(group.subjects)) if w))
    start = len(f.severity) + 1
    line = [Span(0, f.severity, f.severity), Span(start, name, "heading")]
    if about and start + len(name) + 2 + len(about) <= width:
        line.append(Span(start + len(name) + 2, about, "dim"))
        about = ""
    page.lines.append(line)
    page.say(about, "dim", indent=4, width=width)
    page.say(f.message, indent=4, width=width)
    page.say(f"→ {f.remedy}", "dim", indent=4, width=width)
    page.lines.append([])


def _fold(text: str) -> list[str]:
    """A cell as lines, each short enough; nothing is left out."""
    shown = words.escape(text)
    return [shown[k : k + LONGEST] for k in range(0, len(shown), LONGEST)] or [""]


def _draw(page: Page, title: str) -> str:
    width = round(max(page.width, len(title) + 14, NARROWEST) * CHAR + 2 * MARGIN)
    height = BAR + 2 * MARGIN - 6 + LINE * len(page.lines)
    return "".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        f' role="img" aria-labelledby="t"><title id="t">{escape(title)}</title>\n',
        *_styles({span.kind for line in page.lines for span in line}),
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="9" fill="#0d1117" stroke="#3d444d"/>\n',
        f'<path d="M.5 {BAR}V9.5a9 9 0 0 1 9-9H{width - 9.5:g}a9 9 0 0 1 9 9V{BAR}z" fill="#161b22" ',
        'stroke="#3d444d"/>\n',
        *(f'<circle cx="{22 + 20 * k}" cy="19" r="5.5" fill="{fill}"/>\n' for k, fill in enumerate(BUTTONS)),
        f'<text x="{width / 2:g}" y="24" text-anchor="middle" class="title">{escape(title)}</text>\n',
        *_texts(page.lines),
        *_rules(page.rules),
        "</svg>\n",
    ])  # fmt: skip


def _styles(used: set[str]) -> Iterator[str]:
    yield f"<style>\ntext{{font:{SIZE}px {FONTS};fill:{INK['']};white-space:pre}}\n"
    for kind in sorted({*used, "title"} - {""}):
        yield f".{kind}{{fill:{INK[kind]}{';font-weight:bold' if kind in BOLD else ''}}}\n"
    yield "</style>\n"


def _texts(lines: Sequence[Sequence[Span]]) -> Iterator[str]:
    for number, line in enumerate(lines):
        y = BAR + MARGIN + 10 + LINE * number
        for span in line:
            kind = f' class="{span.kind}"' if span.kind else ""
            anchor = ' text-anchor="end"' if span.right else ""
            place = f'x="{MARGIN + span.at * CHAR:.5g}" y="{y}"{anchor}'
            size = f'textLength="{len(span.text) * CHAR:.5g}" lengthAdjust="spacingAndGlyphs"'
            yield f"<text {place} {size}{kind}>{escape(span.text)}</text>\n"


def _rules(rules: Sequence[tuple[int, int]]) -> Iterator[str]:
    for line, letters in rules:
        y = BAR + MARGIN - 4.5 + LINE * line
        yield f'<path d="M{MARGIN} {y:g}h{letters * CHAR:.5g}" stroke="#3d444d"/>\n'
