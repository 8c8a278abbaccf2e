"""Figures in a file of their own: one SVG that follows the light or dark scheme of whoever shows it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from smcli.document import figures
from smcli.errors import UsageError
from smcli.render import _charts as charts
from smcli.render import check_place, replace_file
from smcli.render._page import CHARTS
from smcli.report.report import Comparison, Report
from smcli.report.sweep import Sweep

if TYPE_CHECKING:
    from smcli.document.figure import Figure

WIDE, GAP, TITLE = 640, 28, 24  # px


def check(path: str) -> None:
    """Refuse a file whose suffix names another kind of picture, or that cannot be written.

    Raises:
        UsageError: it does, or cannot.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix != ".svg":
        hint = "use .svg; browsers, Inkscape and rsvg-convert make PNG and PDF of it"
        raise UsageError(f"the suffix {suffix!a} of --plot {path!a} names no picture that is drawn here", hint)
    check_place(path)


def save(thing: Any, path: str) -> None:
    """Draw size and error of every quantity; of a batch the row with the worst finding, and each loss over the rows.

    Raises:
        UsageError: the suffix names another picture, nothing can be drawn, or the file cannot be written.
    """
    check(path)
    replace_file(path, [draw(thing)])


def draw(thing: Any) -> str:
    """All figures of a thing, one under the other.

    Raises:
        UsageError: there is nothing to draw.
    """
    some = _figures(thing)
    if not some:
        raise UsageError("--plot: there is nothing to draw", "ask for a quantity with a value for each class")
    out, y = [], 0.0
    for k, (where, f) in enumerate(some):
        drawn = charts.draw(f, WIDE, f"f{k}")
        height = float(re.search(r'height="([\d.]+)"', drawn)[1])  # type: ignore[index]
        title = charts.text(" · ".join([f.title, where, *f.notes]))
        out.append(f'<text y="{y + 14:g}" style="font-weight: 700">{title}</text>\n')
        out.append(drawn.replace("<svg ", f'<svg y="{y + TITLE:g}" ', 1))
        y += height + TITLE + GAP
    size = f'width="{WIDE + 2 * GAP}" height="{y + GAP:g}" viewBox="{-GAP} {-GAP} {WIDE + 2 * GAP} {y + GAP:g}"'
    paper = f'<rect x="{-GAP}" y="{-GAP}" width="100%" height="100%" fill="var(--paper)"/>\n'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>\n{CHARTS}</style>\n{paper}{"".join(out)}</svg>\n'


def _figures(thing: Any) -> list[tuple[str, Figure]]:
    """What there is to draw, each figure with what its title adds."""
    if isinstance(thing, Sweep):
        return [(thing.dtype, figures.of_sweep(thing))]
    drawn = []
    for report in thing.reports if isinstance(thing, Comparison) else [thing] if isinstance(thing, Report) else []:
        (row, *_) = report.flagged(1) or report.rows[:1]
        of = f", row {row.row} of {len(report.rows)}" if len(report.rows) > 1 else ""
        some = figures.of_report(report, row)
        drawn += [(report.model if f.x.label == "row" else f"{report.model}{of}", f) for f in some]
    return drawn
