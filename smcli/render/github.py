"""Workflow commands of GitHub Actions: a finding becomes an annotation of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smcli.model import Severity
from smcli.numbers import words
from smcli.render import _grid as grid
from smcli.render import _parts as parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import RowReport
    from smcli.render import Style
    from smcli.render._grid import Group
    from smcli.report.report import Report

SUFFIXES: tuple[str, ...] = ()
COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(thing: Any, _style: Style) -> str:
    """A command for each finding, then a summary line; other nouns are plain lines."""
    if not parts.is_report(thing):
        cells = [cells for _, g in grid.listings(thing) for cells in [g.head, *g.rows]]
        return "".join(f"{_plain(' '.join(c.text for c in line if c.text))}\n" for line in cells)
    several = parts.reports(thing)
    lines = [line for report in several for line in _annotations(report, named=len(several) > 1)]
    summary = f"smcli {several[0].command}: {parts.verdict(thing)} · {parts.subject(thing)}"
    return "".join(f"{line}\n" for line in [*lines, summary])


def _annotations(report: Report, *, named: bool) -> Iterator[str]:
    """One line a finding of a row; in a batch one a code, because GitHub shows only ten of a kind."""
    if len(report.rows) == 1:
        for _, group in parts.groups(report):
            yield _command(group, f"{report.dtype}: " if named else "")
        return
    by_code: dict[str, list[tuple[RowReport, Group]]] = {}
    for row, group in parts.groups(report):
        by_code.setdefault(group.finding.code, []).append((row, group))
    for same in by_code.values():
        row, group = same[0]
        others = len({r.row for r, _ in same}) - 1
        more = f" (and {others} other row{'s' if others > 1 else ''})" if others else ""
        yield _command(group, f"{f'{report.dtype}: ' if named else ''}row {row.row}{more}: ")


def _command(group: Group, where: str) -> str:
    f = group.finding
    about = f"{'; '.join(group.subjects)}: " if group.subjects else ""
    title = _escape(f"{f.code} {f.name}").replace(":", "%3A").replace(",", "%2C")
    return f"::{COMMANDS[f.severity]} title={title}::{_escape(f'{where}{about}{f.message} — {f.remedy}')}"


def _escape(text: str) -> str:
    """As the toolkit of GitHub Actions escapes the data of a command."""
    return words.escape(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _plain(text: str) -> str:
    """A line that no runner takes for a command."""
    line = words.escape(text)
    return f" {line}" if line.startswith(("::", "##[")) else line
