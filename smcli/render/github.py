"""Workflow commands of GitHub Actions: a finding becomes an annotation of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smcli import document
from smcli.document.limits import judged
from smcli.document.parts import FindingBlock, Table
from smcli.document.report import counted, findings
from smcli.model import Severity
from smcli.numbers import words
from smcli.report.report import Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.document.style import Style

SUFFIXES: tuple[str, ...] = ()
COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def pieces(thing: Any, style: Style) -> Iterator[str]:
    """A command for each finding, then a summary line; nouns without findings are plain lines."""
    if hasattr(thing, "annotations"):
        for severity, name, said in thing.annotations():
            yield f"{_annotation(severity, name, said)}\n"
        yield from _judged(thing)
        doc = document.of(thing, style)
        yield f"{_plain(f'{doc.title}: {doc.subject}')}\n"
        return
    if not isinstance(thing, Report | Comparison):
        doc = document.of(thing, style)
        parts = list(doc.parts)
        yield from (f"{_command(f, '')}\n" for f in parts if isinstance(f, FindingBlock))
        for cells in (line for t in parts if isinstance(t, Table) for line in (t.head, *t.rows)):
            yield f"{_plain(' '.join(c.text for c in cells if c.text))}\n"
        yield from _judged(thing)
        if doc.closing is not None:
            yield f"{_plain(f'{doc.title}: {doc.closing.text}')}\n"
        return
    reports = thing.reports if isinstance(thing, Comparison) else (thing,)
    every: list[FindingBlock] = []
    for report in reports:
        some = list(findings(report, replace(style, verbose=True, summary=False)))
        yield from (f"{_command(f, report.model if len(reports) > 1 else '')}\n" for f in some)
        every += some
        yield from _judged(report, f"{report.model}: " if len(reports) > 1 else "")
    found = ", ".join(c.text for c in counted(every)) or "nothing to report"
    yield f"{_plain(f'smcli {thing.command}: {found} · {document.of(thing, style).subject}')}\n"


def _judged(thing: Any, dtype: str = "") -> Iterator[str]:
    """What is said of limits and tolerances, as plain lines."""
    if hasattr(thing, "beyond"):
        yield from (f"{_plain(f'{dtype}{said}')}\n" for said in judged(thing))


def _command(f: FindingBlock, dtype: str) -> str:
    where = "".join(f"{said}: " for said in (dtype, f.where, f.about) if said)
    return _annotation(f.severity, f"{f.code} {f.name}", f"{where}{f.message} — {'; '.join(map(str, f.remedies))}")


def _annotation(severity: Severity, name: str, said: str) -> str:
    title = _escape(name).replace(":", "%3A").replace(",", "%2C")
    return f"::{COMMANDS[severity]} title={title}::{_escape(said)}"


def _escape(text: str) -> str:
    """As the toolkit of GitHub Actions escapes the data of a command."""
    return words.escape(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _plain(text: str) -> str:
    """A line that no runner takes for a command."""
    line = words.escape(text)
    return f" {line}" if line.startswith(("::", "##[")) else line
