"""Comma-separated values (RFC 4180) for spreadsheets and data frames: a header, then a class a line, always whole."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from smcli.render import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.document.style import Style

SUFFIXES = (".csv",)
notes = plain.notes


def pieces(thing: Any, _style: Style) -> Iterator[str]:
    """The columns of `plain`; several tables of another noun are parted by an empty line."""
    for lines in plain.table(thing):
        buffer = io.StringIO()
        csv.writer(buffer).writerows(lines)
        yield buffer.getvalue()
