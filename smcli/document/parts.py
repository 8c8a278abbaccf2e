"""The nouns that a document is made of. A renderer maps each of them to its own notation and decides nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from smcli.document.spelling import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from smcli.document.figure import Figure
    from smcli.model import Severity

GAP, NEAR = 2, 1  # blanks between two columns; before one that belongs to its neighbour
LEAST = 6  # significant digits that a number is never shortened below


@dataclass(frozen=True, slots=True, repr=False)
class Cell:
    """A piece of text and what it means.

    Attributes:
        text: as it is shown.
        kind: a verdict's label, a severity, "head", "exact", "dim", "code", "strong" or nothing.
        right: it stands to the right of its column.
        least: significant digits that it may be rounded to where there is no room for more; 0: it is no such number.
        near: it belongs to the cell before it, and stands close to it.
    """

    text: str
    kind: str = ""
    right: bool = False
    least: int = 0
    near: bool = False

    def rounded(self, digits: int) -> Cell:
        """The cell with a number of at most so many digits, or of `least` if that is more."""
        return replace(self, text=shorten(self.text, max(digits, self.least))) if self.least else self


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Heading:
    """A line that names what follows; level 1 is the document's own."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Paragraph:
    """A sentence or several, in pieces with a meaning each."""

    runs: tuple[Cell, ...]

    @classmethod
    def of(cls, text: str, kind: str = "") -> Paragraph:
        """A paragraph of one kind."""
        return cls((Cell(text, kind),))

    @property
    def text(self) -> str:
        """Its words."""
        return "".join(run.text for run in self.runs)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Code:
    """Lines to be shown as they are, in a language."""

    language: str
    text: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verdicts:
    """The answer: for each method its name and what became of its values."""

    lines: tuple[tuple[Cell, Cell], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """A header and rows of cells.

    Attributes:
        title: what it shows.
        head, rows: the cells.
        digits: the most and the least digits that its numbers are shown with.
        marks: the kinds of its cells are verdicts on values.
        cut: some of its numbers have fewer digits than there are.
    """

    title: str
    head: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    digits: tuple[int, int] = (0, 0)
    marks: bool = True
    cut: bool = False

    def at(self, digits: int) -> Table:
        """The table with no number of more digits than that."""
        rows = tuple(tuple(c.rounded(digits) for c in cells) for cells in self.rows)
        return replace(self, rows=rows, digits=(0, 0), cut=rows != self.rows)

    @property
    def widths(self) -> list[int]:
        """How wide each column has to be for its widest cell."""
        return [max(len(cells[k].text) for cells in (self.head, *self.rows)) for k in range(len(self.head))]

    @property
    def width(self) -> int:
        """The characters that a line takes."""
        return sum(self.widths) + sum(self.gaps)

    @property
    def gaps(self) -> list[int]:
        """The blanks before each column."""
        return [0, *(NEAR if cell.near else GAP for cell in self.head[1:])]

    def fitted(self, width: int) -> Table | None:
        """The table with as many digits as the width allows; None where it has no room even for the least."""
        most, least = self.digits
        for digits in range(most, least - 1, -1) if most else (0,):
            one = self.at(digits) if most else self
            if one.width <= width:
                return one
        return None


@dataclass(frozen=True, slots=True, repr=False)
class Values:
    """A quantity's values: the same table in several layouts, the widest first, and what they leave out.

    Attributes:
        title: what is shown, in full; the head of the truth's column has its short name.
        layouts: the widest first; of several the second is the one that leaves nothing out and adds nothing.
        note: what is not shown, or nothing.
    """

    title: str
    layouts: tuple[Table, ...]
    note: str = ""

    def fitted(self, width: int) -> Table | None:
        """The widest layout that has room, with as many digits as possible; None where none has."""
        return next((t for layout in self.layouts if (t := layout.fitted(width)) is not None), None)

    def in_full(self, width: int) -> Table:
        """A line a class whatever room there is, in as many digits as fit into the width or else the least."""
        wide = self.layouts[1] if len(self.layouts) > 2 else self.layouts[0]
        fitting = self.layouts[0].fitted(width) or wide.fitted(width)
        return fitting or (wide.at(wide.digits[1]) if wide.digits[0] else wide)


class Remedy(NamedTuple):
    """What to do about a finding; where that differs, for which of the methods and quantities."""

    text: str
    about: str = ""

    def __str__(self) -> str:
        return f"{self.about}: {self.text}" if self.about else self.text


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FindingBlock:
    """Something that was found: where, in what, what it means and what to do."""

    severity: Severity
    code: str
    name: str
    where: str
    about: str
    message: str
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Drawing:
    """Figures, which are made only where they are drawn."""

    figures: Callable[[], Iterable[Figure]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Folded:
    """A part of its own that is shown on demand, where the notation has such a thing; elsewhere it is left out."""

    title: str
    parts: Callable[[], Iterable[Part]]


Part = Heading | Paragraph | Code | Verdicts | Table | Values | FindingBlock | Drawing | Folded


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Document:
    """A title, what it is about, and parts.

    Attributes:
        title: "smcli compare".
        subject: the number format and the size of what was looked at.
        parts: in the order of reading; made as they are asked for.
        closing: what was found and what to do next, in a line.
        verdicts: the answer, once more for those who see the end of a long text.
        prose: it is to be read like a page, in lines of no more than a page's width.
        source: the whole in Markdown, where it was written so.
    """

    title: str
    subject: str
    parts: Iterable[Part]
    closing: Paragraph | None = None
    verdicts: Verdicts | None = None
    prose: bool = False
    source: str = ""
