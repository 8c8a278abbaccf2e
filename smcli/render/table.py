"""The table that people read: Rich, as wide as the terminal allows, and no number is ever cut."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from smcli import document
from smcli.document.parts import GAP, Code, FindingBlock, Heading, Paragraph, Table, Values, Verdicts
from smcli.model import Severity
from smcli.numbers import words
from smcli.render._console import WIDEST, drawn, screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, RenderableType

    from smcli.document.parts import Cell, Document, Part
    from smcli.document.style import Style

SUFFIXES: tuple[str, ...] = ()
PIPED, PROSE, MOST_PROSE = 120, 80, 100  # columns of tables in a pipe; of pages there, and on the widest terminal
NARROW = 60  # columns below which indents are halved
FOLDED = 24  # columns of prose in a table at the least
STYLES: dict[str, str] = {
    "head": "bold", "strong": "bold", "dim": "dim", "exact": "cyan", "code": "cyan", "correct": "green", "ok": "",
    "inaccurate": "yellow", "lost": "bold red", "not-representable": "magenta", "undefined": "bold red",
    Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "blue",
}  # fmt: skip


def pieces(thing: Any, style: Style) -> Iterator[str]:
    """The document as text, with ANSI codes where standard output shows them.

    Where a terminal cannot show all of it at once, findings are told in brief; where that is too long as well, the
    answer is repeated at the end, which is what remains in view.
    """
    doc = document.of(thing, style)
    parts = list(doc.parts)
    width, lines = screen(to_file=style.to_file)
    if doc.prose:
        width = PROSE if width == WIDEST else min(width, MOST_PROSE)

    def told(*, brief: bool) -> str:
        return _text(Page(width, rules=width == WIDEST or doc.prose, brief=brief).all(doc, parts), style, width)

    text = told(brief=False)
    long = text.count("\n") >= lines
    if long and width < WIDEST and not style.verbose:
        shorter = told(brief=True)
        text, long = (shorter, False) if shorter.count("\n") < lines else (text, True)
    yield text
    if doc.verdicts is not None and long:
        yield _text([Text(""), *Page(width).verdicts(doc.verdicts)], style, width)


def _text(pieces: Iterable[RenderableType], style: Style, width: int) -> str:
    def draw(console: Console) -> None:
        console.print(Group(*pieces), crop=False, overflow="fold")

    return drawn(draw, to_file=style.to_file, color=style.color, width=width)


def styled(cell: Cell) -> Text:
    """A cell with the colour of what it means."""
    return Text(words.escape(cell.text), STYLES.get(cell.kind, ""))


class Page:
    """Turns parts into what Rich prints on so many columns."""

    def __init__(self, width: int, *, rules: bool = True, brief: bool = False) -> None:
        self.width, self.rules, self.brief = width, rules, brief
        self.room = PIPED if width == WIDEST else width
        self.cut = False  # whether a number has fewer digits than there are

    def all(self, doc: Document, parts: Sequence[Part]) -> Iterator[RenderableType]:
        """The parts, with an empty line between those of different kinds, and the closing line."""
        before: Part | None = None
        found = [part for part in parts if isinstance(part, FindingBlock)]
        for part in parts:
            if self.brief and isinstance(part, FindingBlock):
                piece: list[RenderableType] = list(self.remedies(found))
                found = []
            else:
                piece = list(self.part(part, indent=self._indent() if doc.prose else 0))
            if not piece:
                continue
            tight = isinstance(before, Heading) or (isinstance(part, FindingBlock) and isinstance(before, FindingBlock))
            if before is not None and not tight and (doc.prose or not isinstance(part, Paragraph)):
                yield Text("")
            yield from piece
            before = part
        if doc.closing is not None:
            yield from [] if isinstance(before, FindingBlock) else [Text("")]
            more = "; -v: every digit" if self.cut and "(-v)" not in doc.closing.text else ""
            yield Text.assemble(*map(styled, doc.closing.runs), (more, "dim"))

    def _indent(self) -> int:
        return 2 if self.width < NARROW else 4

    def part(self, part: Part, indent: int = 0) -> Iterator[RenderableType]:
        """What is printed for one part; figures and what is folded are not."""
        if isinstance(part, Verdicts):
            yield from self.verdicts(part)
        elif isinstance(part, Values):
            table = part.in_full(self.room) if self.width == WIDEST else part.fitted(self.room)
            yield self.drawn(table) if table is not None else self.listed(part.layouts[1])
            self.cut |= table is not None and table.cut
            yield from [Text(part.note, "dim")] if part.note else []
        elif isinstance(part, Table):
            yield from [Text(part.title, "bold")] if part.title else []
            table = part.fitted(self.room - indent) or (part if self.width == WIDEST else None)
            self.cut |= table is not None and table.cut
            drawn = self.drawn(table) if table is not None else self.folded(part, self.width - indent)
            yield Padding(drawn or self.listed(part), (0, 0, 0, indent))
        elif isinstance(part, Heading):
            yield Text(part.text, "bold" if indent else "bold underline")
        elif isinstance(part, Paragraph):
            yield Padding(Text.assemble(*map(styled, part.runs)), (0, 0, 0, indent))
        elif isinstance(part, Code):
            yield Padding(self.code(part), (0, 0, 0, indent + 2))
        elif isinstance(part, FindingBlock):
            yield from self.finding(part)

    def code(self, part: Code) -> RenderableType:
        """Source with its colours; commands are plain, since a shell's colours of numbers say nothing here."""
        if part.language == "sh":
            return Text("\n".join(map(words.escape, part.text.splitlines())), overflow="fold")
        from rich.syntax import Syntax

        return Syntax(part.text, part.language, theme="ansi_dark", word_wrap=True)

    def verdicts(self, part: Verdicts) -> Iterator[Text]:
        """A line a method; a long one continues under itself."""
        margin = max(len(name.text) for name, _ in part.lines) + GAP
        for name, said in part.lines:
            text = styled(said)
            text.plain = self._wrapped(said.text, margin).lstrip() if self.width < WIDEST else said.text
            yield Text.assemble(styled(name), " " * (margin - len(name.text)), text)

    def finding(self, part: FindingBlock) -> Iterator[Text]:
        """What was found, what it means, and what to do."""
        severity = STYLES[part.severity]
        indent = self._indent()
        about = " · ".join(filter(None, (part.where, part.about)))
        yield Text.assemble(
            (f"{part.severity} ", severity), (f"{part.code} {part.name}", "bold"), (f"  {about}", "dim")
        )
        yield Text(self._wrapped(part.message, indent))
        yield from (Text(self._wrapped(f"→ {remedy}", indent), "italic") for remedy in part.remedies)

    def remedies(self, found: Sequence[FindingBlock]) -> Iterator[Text]:
        """What to do about all that was found, each remedy once, with the codes that ask for it; a name once as well."""
        of: dict[str, dict[str, FindingBlock]] = {}
        for f in found:
            for text, _ in f.remedies:
                of.setdefault(text, {}).setdefault(f.code, f)
        named: set[str] = set()
        for remedy, some in of.items():
            codes = ", ".join(code if code in named else f"{code} {f.name}" for code, f in some.items())
            named |= some.keys()
            line, (code, first) = self._wrapped(f"{codes} → {remedy}", 6)[6:], next(iter(some.items()))
            yield Text.assemble((line[: len(code)], STYLES[first.severity]), line[len(code) :])

    def drawn(self, t: Table, widths: Sequence[int] = ()) -> Text:
        """A table whose columns are as wide as their widest cell, or as told; where nothing is bold, with a rule."""
        out = Text(no_wrap=True, overflow="ignore")
        widths, gaps = widths or t.widths, t.gaps
        for number, cells in enumerate((t.head, *t.rows)):
            folded = [textwrap.wrap(c.text, w, break_on_hyphens=False) if len(c.text) > w else [c.text]
                      for c, w in zip(cells, widths, strict=True)]  # fmt: skip
            for line in range(max(map(len, folded))):
                out.append("\n" if number or line else "")
                for cell, texts, width, gap in zip(cells, folded, widths, gaps, strict=True):
                    text = texts[line] if line < len(texts) else ""
                    pad = " " * (width - len(text))
                    out.append(" " * gap + pad * cell.right)
                    out.append(words.escape(text), STYLES.get(cell.kind, ""))
                    out.append(pad * (not cell.right))
            if number == 0 and self.rules:
                out.append("\n" + "─" * (sum(widths) + sum(gaps)), "dim")
        return out

    def folded(self, t: Table, width: int) -> Text | None:
        """A table whose columns of prose share what the others leave; None where that is too little."""
        prose = [
            k
            for k in range(len(t.head))
            if any(" " in cells[k].text and len(cells[k].text) > FOLDED for cells in t.rows)
        ]
        widths = t.widths
        left = width - t.width + sum(widths[k] for k in prose)
        if not prose or left < FOLDED * len(prose):
            return None
        for k in prose:
            widths[k] = left // len(prose)
        return self.drawn(t, widths)

    def listed(self, t: Table) -> Text:
        """Each row as its first cell, and under it the others with their names; empty ones are left out."""
        out = Text(overflow="fold")
        for cells in t.rows:
            used = 0
            for k, (name, cell) in enumerate(zip(t.head, cells, strict=True)):
                if not cell.text:
                    continue
                beside = f"  {cell.text}"
                if name.near and used + len(beside) <= self.width:
                    line = words.escape(beside)
                else:
                    label = f"{name.text}: " if k and name.text else ""
                    line = ("\n" if out else "") + self._wrapped(label + cell.text, 2 if k else 0)
                out.append(line, STYLES.get(cell.kind, "") if k else "bold")
                used = len(line.rsplit("\n", 1)[-1]) + (used if name.near else 0)
        return out

    def _wrapped(self, text: str, indent: int) -> str:
        """A paragraph that stands to the right; in a pipe it stays one line, for grep."""
        margin = " " * indent
        if self.width == WIDEST:
            return margin + words.escape(text)
        return textwrap.fill(words.escape(text), self.width, initial_indent=margin, subsequent_indent=margin,
                             break_long_words=False, break_on_hyphens=False)  # fmt: skip
