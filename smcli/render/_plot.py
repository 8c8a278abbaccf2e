"""Figures in a file of their own, drawn by matplotlib (the extra `plot`): PNG, SVG or PDF, without any window."""

from __future__ import annotations

import logging
import os
import warnings
from io import BytesIO
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from smcli.errors import UnavailableError, UsageError
from smcli.numbers import words
from smcli.render import _figures as figures
from smcli.render import _parts as parts
from smcli.render import _scale as scale
from smcli.render._scale import ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.render._figures import Figure, Series
    from smcli.report.report import Report

SUFFIXES = (".png", ".svg", ".pdf")
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#b0529a", "#8a6d00", "#0093b8", "#6f4bb8", "#7a4a2b")
MARKERS = "osD^vP"
DASHES = ((0, (6, 3)), (0, (1.5, 2)), (0, (7, 2, 1.5, 2)), (0, (1, 4)), (0, (10, 3)))
TRUTH, LINE, EDGE = "#9aa4ae", "#b3121d", "#d1d9e0"
COLUMNS = 300  # into which a long row is gathered
STYLE: Any = {
    "svg.hashsalt": "smcli",  # the same picture gives the same file
    "text.parse_math": False,  # a name with dollar signs is a name
    "font.size": 9.0,
    "axes.titlesize": 10.0,
}


def check(path: str) -> str:
    """The kind of picture that a file's suffix names.

    Raises:
        UsageError: the suffix names none.
        UnavailableError: matplotlib is not installed.
    """
    from importlib.util import find_spec

    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"the suffix {suffix!a} of --plot {path!a} names no picture", "use .png, .svg or .pdf")
    if find_spec("matplotlib") is None:
        raise UnavailableError("--plot needs matplotlib, which is not installed", "pip install 'smcli[plot]'")
    return suffix[1:]


def save(thing: Any, path: str) -> None:
    """Draw size and error of every quantity; of a batch the row with the worst finding, and each loss over the rows.

    Raises:
        UsageError: the suffix names no picture, nothing can be drawn, or the file cannot be written.
        UnavailableError: matplotlib is not installed.
    """
    from smcli.render import _replace

    kind = check(path)
    _replace(path, draw(thing, kind))


def draw(thing: Any, kind: str) -> bytes:
    """The picture as the bytes of a file of that kind.

    Raises:
        UsageError: there is nothing to draw.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its font cache
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    drawn = [(thing.dtype, f) for f in figures.of_sweep(thing)]
    if parts.is_report(thing):
        drawn = [one for report in parts.reports(thing) for one in _chosen(report)]
    if not drawn:
        raise UsageError("--plot: there is nothing to draw", "ask for a quantity with a value for each class")
    across = min(2, len(drawn))
    down = -(-len(drawn) // across)
    out = BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that no font has is drawn as a box
        canvas = Canvas(figsize=(6.8 * across, 3.7 * down), layout="constrained")
        for k, (title, f) in enumerate(drawn, 1):
            _axes(canvas.add_subplot(down, across, k), f, title)
        stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        canvas.savefig(out, format=kind, dpi=150, metadata=stamp)
    return out.getvalue()


def _chosen(report: Report) -> list[tuple[str, Figure]]:
    """The figures of a report, each with what its title adds."""
    if not report.rows:
        return []
    row = max(report.rows, key=parts.badness)
    of = f", row {row.row} of {len(report.rows)}" if len(report.rows) > 1 else ""
    return [(f"{report.dtype}{'' if f.x.label == 'row' else of}", f) for f in figures.of_report(report, row)]


def _axes(ax: Any, f: Figure, title: str) -> None:
    low, high = scale.span(f)
    above, below = scale.bands(f)
    band = (high - low) * 0.09
    places = {word: high + band * (len(above) - k - 0.5) for k, word in enumerate(above)}
    places |= dict.fromkeys(below, low - band / 2)
    left, right = scale.reach(f)
    y_ticks = scale.y_ticks(f, 7) + [(y, word) for word, y in places.items()]
    x_ticks = ticks(left, right, 7, decades=f.x.decades, whole=not f.x.decades)
    ax.set_xlim(left, right)
    ax.set_ylim(low - band * len(below), high + band * len(above))
    ax.set_yticks([y for y, _ in y_ticks], [label for _, label in y_ticks])
    ax.set_xticks([x for x, _ in x_ticks], [label for _, label in x_ticks])
    ax.set_title(words.escape(f"{f.title} · {title}"), loc="left")
    ax.set_xlabel(words.escape(f.x.label))
    ax.set_ylabel(f.y.label)
    ax.grid(axis="y", color=EDGE, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    for y in places.values():
        ax.axhspan(y - band / 2, y + band / 2, color="#f2f4f7", zorder=0)
    methods = [s for s in f.series if not s.truth]
    for s in f.series:
        if s.truth:
            _truth(ax, s, (left, right), places, len(methods))
    apart = min(0.8 / max(len(methods), 1), (right - left) * 0.018)
    for k, s in enumerate(methods):
        own = scale.beside(places, s, k, len(methods), band)
        _method(ax, s, (left, right), own, k, 0.0 if s.joined else (k - (len(methods) - 1) / 2) * apart)
    for k, line in enumerate(f.lines):
        ax.axhline(line.at, color=LINE, linewidth=1, linestyle=DASHES[k % len(DASHES)], label=words.escape(line.name))
    _legend(ax, [line for note in f.notes for line in wrap(words.escape(note), 90)])


def _legend(ax: Any, notes: Sequence[str]) -> None:
    """Below the axis, whose ticks and label are of a known height in points, whatever the height of the picture."""
    from matplotlib.transforms import ScaledTranslation

    under = ax.transAxes + ScaledTranslation(0, -36 / 72, ax.figure.dpi_scale_trans)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=under, ncols=3, frameon=False, fontsize=8,
              title="\n".join(notes) or None, title_fontsize=8)  # fmt: skip


def _truth(ax: Any, s: Series, reach: tuple[float, float], places: dict[str, float], methods: int) -> None:
    b = scale.bins(s, *reach, COLUMNS)
    if scale.crowded(s, COLUMNS):
        ax.vlines(b.x, b.low, b.high, color=TRUTH, linewidth=1.4, label=s.name)
        return
    half = min(0.46, (reach[1] - reach[0]) * 0.009 * (methods + 1.6))
    points = _spots(b, places)
    ax.hlines([y for _, y in points], [x - half for x, _ in points], [x + half for x, _ in points],
              color=TRUTH, linewidth=3, label=s.name)  # fmt: skip


def _method(ax: Any, s: Series, reach: tuple[float, float], places: dict[str, float], k: int, aside: float) -> None:
    colour, name = COLOURS[k % len(COLOURS)], words.escape(s.name)
    b = scale.bins(s, *reach, COLUMNS)
    size = min(5.0, max(1.5, 130 / max(b.x.size, 1)))
    look = {"color": colour, "marker": MARKERS[k % len(MARKERS)], "markeredgewidth": 0}
    if scale.crowded(s, COLUMNS):
        shift = (reach[1] - reach[0]) / COLUMNS * (0.25 if k % 2 else -0.25)
        ax.vlines(b.x + shift, b.low, b.high, color=colour, linewidth=0.8)
    points = _spots(b, places)
    if s.joined:
        ax.plot(b.x, b.high, color=colour, linewidth=1)
    ax.plot([x + aside for x, _ in points], [y for _, y in points], linestyle="none", markersize=size, **look)
    ax.plot([], [], linestyle="none", markersize=5, label=name, **look)


def _spots(b: scale.Bins, places: dict[str, float]) -> Sequence[tuple[float, float]]:
    """Where to put a mark: each finite value, and the bands of 0, inf and nan."""
    import numpy as np

    known = np.isfinite(b.high)
    spots = list(zip(b.x[known].tolist(), b.high[known].tolist(), strict=True))
    bottom = next((w for w in places if w not in {"nan", "inf"}), "")
    for mask, word in ((b.least, bottom), (b.most, "inf"), (b.missing, "nan")):
        spots += [(x, places[word]) for x in b.x[mask].tolist()]
    return spots
