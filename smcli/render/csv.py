"""Comma-separated values (RFC 4180) for spreadsheets and data frames: a header, then a class a line, always whole."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from smcli.render import _parts as parts
from smcli.render import plain

if TYPE_CHECKING:
    from smcli.render import Style

SUFFIXES = (".csv",)


def render(thing: Any, _style: Style) -> str:
    """The columns of `plain`; several tables of another noun are parted by an empty line."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    if parts.is_report(thing):
        writer.writerows(plain.table(thing))
    else:
        for k, (_, table) in enumerate(parts.grids(thing)):
            writer.writerows([[]] if k else [])
            writer.writerow([cell.text for cell in table.head])
            writer.writerows([cell.text for cell in cells] for cells in table.rows)
    return buffer.getvalue()


def notes(thing: Any, style: Style) -> str:
    """The findings, a line each."""
    return plain.notes(thing, style) if parts.is_report(thing) else ""
