"""Comma-separated values (RFC 4180) for spreadsheets and data frames: a header, then a class a line, always whole."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from smcli.render import plain

if TYPE_CHECKING:
    from smcli.render import Style

SUFFIXES = (".csv",)


def render(thing: Any, _style: Style) -> str:
    """The columns of `plain`; several tables of another noun are parted by an empty line."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(plain.table(thing))
    return buffer.getvalue()


def notes(thing: Any, style: Style) -> str:
    """The findings, a line each."""
    return plain.notes(thing, style)
