"""A report, a comparison, limits, methods or pages become a document: parts with a meaning, which renderers map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.document.parts import Document, Part
    from smcli.document.style import Style


def of(thing: Any, style: Style) -> Document:
    """What is to be said of a thing, in the order of reading."""
    from smcli.report.report import Comparison, Report

    if isinstance(thing, Report):
        from smcli.document import report

        return report.document(thing, style)
    if isinstance(thing, Comparison):
        from smcli.document import comparison

        return comparison.document(thing, style)
    if hasattr(thing, "document"):  # it says itself what is to be said of it
        document: Document = thing.document(style)
        return document
    from smcli.document.parts import Document

    return Document("smcli", "", _listings(thing))


def _listings(thing: Any) -> Iterator[Part]:
    """The tables of a noun that is no report, such as the limits of the formats, and its figure if it has one."""
    from smcli.document.parts import Cell, Drawing, Table
    from smcli.report.sweep import Sweep

    for listing in thing.listings():
        head = tuple(Cell(text, "head", right=k in listing.numbers) for k, text in enumerate(listing.head))
        rows = tuple(tuple(Cell(t, right=k in listing.numbers) for k, t in enumerate(c)) for c in listing.rows)
        yield Table(listing.heading, head, rows, marks=False)
    if isinstance(thing, Sweep):
        from smcli.document import figures

        yield Drawing(lambda: [figures.of_sweep(thing)])
