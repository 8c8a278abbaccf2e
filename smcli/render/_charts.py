"""Figures as SVG inside a page: the colours are the page's, so that they follow its light or dark scheme."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from smcli.document.figure import Line
from smcli.document.spelling import spell
from smcli.numbers import words
from smcli.render import _scale as scale
from smcli.render._scale import ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.document.figure import Figure, Series
    from smcli.render._scale import Bins

COLOURS = 8  # how many the page defines, as classes s0, s1, …
DASHES = ("7 4", "2 3", "9 3 2 3", "1 4", "12 4", "5 2 1 2")
LETTER = 6.6  # the usual width of a letter of 12 px
BAND, LEGEND, PITCH = 20, 20, 4  # px: height of a band, of a line of the legend, least width of a column
SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),  # a circle
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    ((0, -1.2), (1.15, 0.8), (-1.15, 0.8)),
    ((0, 1.2), (1.15, -0.8), (-1.15, -0.8)),
    ((-1.2, 0), (-0.4, -0.4), (0, -1.2), (0.4, -0.4), (1.2, 0), (0.4, 0.4), (0, 1.2), (-0.4, 0.4)),
)
TIPS = 64  # points of a series that each get a tooltip


@dataclass(frozen=True)
class Frame:
    """Where the picture proper is, in px, and how numbers become places in it."""

    left: float
    right: float
    top: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    decades: bool  # of x

    def x(self, value: float) -> float:
        """From a number to px."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """From a number to px, upwards."""
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)


def draw(f: Figure, width: int, name: str) -> str:
    """One <svg> of that width; `name` makes its ids unique in the page."""
    above, below = scale.bands(f)
    low, high = scale.span(f)
    y_ticks = scale.y_ticks(f, 7)
    words = [label for _, label in y_ticks] + above + below
    left = max(len(word) for word in words) * LETTER + 12
    legend, rows = _legend(f, width)
    top = rows * LEGEND + 26 + BAND * len(above)
    tall = 230 if width > 500 else 190
    frame = Frame(left, width - 8.0, top, top + tall, scale.reach(f), (low, high), f.x.decades)
    under = frame.bottom + BAND * len(below)
    most = int((frame.right - frame.left) / 64) + 1
    x_ticks = ticks(*frame.x_range, most, decades=f.x.decades, whole=not f.x.decades)
    places = {word: top - BAND * (len(above) - k - 0.5) for k, word in enumerate(above)}
    places |= dict.fromkeys(below, frame.bottom + BAND / 2)
    height = under + 42
    return "".join([
        f'<svg viewBox="0 0 {width} {height:g}" width="{width}" height="{height:g}" role="img" ',
        f'aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{text(f.title)}</title>',
        f'<desc id="{name}-d">{text(f.summary)}</desc>\n',
        *legend,
        f'<text class="axis" x="0" y="{rows * LEGEND + 14}">{text(f.y.label)}</text>\n',
        *_axes(frame, places, y_ticks, x_ticks, under),
        f'<text class="axis" x="{(frame.left + frame.right) / 2:g}" y="{under + 34:g}" text-anchor="middle">',
        f"{text(f.x.label)}</text>\n",
        *_points(f, frame, places),
        *(
            f'<path class="line" stroke-dasharray="{DASHES[k % len(DASHES)]}" '
            f'd="M{frame.left:.4g} {frame.y(line.at):.5g}H{frame.right:.5g}"/>\n'
            for k, line in enumerate(f.lines)
        ),
        "</svg>\n",
    ])  # fmt: skip


def text(words_: str) -> str:
    """Words from outside, safe in SVG."""
    return escape(words.escape(words_))


def _legend(f: Figure, width: int) -> tuple[list[str], int]:
    """The entries, as many in a line as fit, and how many lines they take."""
    out, x, row, method = [], 0.0, 0, 0
    items: list[Series | Line] = [*f.series, *f.lines]
    for k, item in enumerate(items):
        needs = 24 + len(item.name) * LETTER + 14
        if x and x + needs > width:
            x, row = 0.0, row + 1
        y = row * LEGEND + 10
        if isinstance(item, Line):
            dash = DASHES[(k - len(f.series)) % len(DASHES)]
            out.append(f'<path class="line" stroke-dasharray="{dash}" d="M{x:g} {y}h20"/>')
        elif item.truth:
            out.append(f'<path class="truth" d="M{x:g} {y - 2}h18v4h-18z"/>')
        else:
            out.append(f'<path class="s{method % COLOURS}" d="{_mark(method, x + 10, y, 4.5)}"/>')
            method += 1
        out.append(f'<text x="{x + 26:g}" y="{y + 4}">{text(item.name)}</text>\n')
        x += needs
    return out, row + 1


def _axes(
    frame: Frame,
    places: dict[str, float],
    y_ticks: list[tuple[float, str]],
    x_ticks: list[tuple[float, str]],
    under: float,
) -> Iterator[str]:
    for word, y in places.items():
        yield f'<path class="band" d="M{frame.left:.4g} {y - BAND / 2 + 1:g}H{frame.right:g}v{BAND - 2}H{frame.left:.4g}z"/>'
        yield f'<text x="{frame.left - 6:.4g}" y="{y + 4:g}" text-anchor="end">{word}</text>\n'
    for value, label in y_ticks:
        y = frame.y(value)
        yield f'<path class="grid" d="M{frame.left:.4g} {y:.5g}H{frame.right:g}"/>'
        yield f'<text x="{frame.left - 6:.4g}" y="{y + 4:.5g}" text-anchor="end">{label}</text>\n'
    for value, label in x_ticks:
        x = frame.x(value)
        yield f'<path class="grid" d="M{x:.5g} {under:g}v5"/>'
        yield f'<text x="{x:.5g}" y="{under + 18:g}" text-anchor="middle">{label}</text>\n'


def _points(f: Figure, frame: Frame, places: dict[str, float]) -> Iterator[str]:
    """Every series: the truth as wide strokes behind, methods side by side on them."""
    columns = max(1, int((frame.right - frame.left) / PITCH))
    methods = [s for s in f.series if not s.truth]
    most = max(s.x.size for s in f.series)
    pitch = (frame.right - frame.left) / (columns if most > scale.CROWD * columns else most)
    apart = min(14.0, 0.8 * pitch / max(len(methods), 1))
    for s in f.series:
        if s.truth:
            b = scale.bins(s, *frame.x_range, columns)
            half = min(pitch * 0.46, max(len(methods) * apart / 2 + 6, 5))
            yield f'<path class="truth" d="{_strokes(b, frame, places, half, 0.0, 2.0)}"/>\n'
    for k, s in enumerate(methods):
        b = scale.bins(s, *frame.x_range, columns)
        own = scale.beside(places, s, k, len(methods), BAND)
        aside = 0.0 if s.joined else (k - (len(methods) - 1) / 2) * apart
        if scale.crowded(s, columns) and not s.joined:
            yield f'<path class="s{k % COLOURS}" d="{_strokes(b, frame, own, apart / 2, aside, 0.9)}"/>\n'
            continue
        if s.joined:
            for line in _runs(b, frame):
                yield f'<polyline class="join j{k % COLOURS}" points="{line}"/>\n'
        yield from _marks(s, b, frame, own, k, aside, min(4.5, max(1.3, 0.55 * apart)))


def _runs(b: Bins, frame: Frame) -> Iterator[str]:
    """The points that a line goes through: those that follow one another with nothing outside the scale between."""
    for finite, run in groupby(zip(b.x, b.high, strict=True), key=lambda point: math.isfinite(point[1])):
        if finite:
            yield "".join(f"{frame.x(x):.5g} {frame.y(y):.5g} " for x, y in run)


def _marks(
    s: Series, b: Bins, frame: Frame, places: dict[str, float], k: int, aside: float, radius: float
) -> Iterator[str]:
    marks = []
    for x, y, word in _spots(b, frame, places):
        where = spell(x) if frame.decades else f"{x:g}"
        marks.append((_mark(k, frame.x(x) + aside, y, radius), f"{s.name}, {where}: {word}"))
    if len(marks) > TIPS:
        yield f'<path class="s{k % COLOURS}" d="{"".join(d for d, _ in marks)}"/>\n'
    else:
        for d, tip in marks:
            yield f'<path class="s{k % COLOURS}" d="{d}"><title>{text(tip)}</title></path>\n'


def _spots(b: Bins, frame: Frame, places: dict[str, float]) -> Iterator[tuple[float, float, str]]:
    """Each point as its x, its height in px and its value in words."""
    bottom = next((w for w in places if w not in {"nan", "inf"}), "")
    for x, y, *off in zip(b.x.tolist(), b.high.tolist(), b.least, b.most, b.missing, strict=True):
        if math.isfinite(y):
            yield x, frame.y(y), spell(y)
        for there, word in zip(off, (bottom, "inf", "nan"), strict=True):
            if there:
                yield x, places[word], word


def _strokes(b: Bins, frame: Frame, places: dict[str, float], half: float, aside: float, thick: float) -> str:
    """A box for each column, from its lowest to its highest value, at least as tall as a line."""
    out = []
    bottom = next((w for w in places if w not in {"nan", "inf"}), "")
    rows = zip(b.x.tolist(), b.low.tolist(), b.high.tolist(), b.least, b.most, b.missing, strict=True)
    for at, low, high, *off in rows:
        x = frame.x(at) + aside
        spans = [(frame.y(high) - thick, frame.y(low) + thick)] if math.isfinite(high) else []
        spans += [
            (places[word] - 1.5, places[word] + 1.5)
            for there, word in zip(off, (bottom, "inf", "nan"), strict=True) if there
        ]  # fmt: skip
        out += [f"M{x - half:.5g} {top:.5g}h{2 * half:.3g}V{end:.5g}h{-2 * half:.3g}z" for top, end in spans]
    return "".join(out)


def _mark(k: int, x: float, y: float, r: float) -> str:
    """The shape that stands for the k-th method, as a path."""
    corners = SHAPES[k % len(SHAPES)]
    if not corners:
        return f"M{x - r:.5g} {y:.5g}a{r:.3g} {r:.3g} 0 1 0 {2 * r:.3g} 0a{r:.3g} {r:.3g} 0 1 0 {-2 * r:.3g} 0z"
    return f"M{'L'.join(f'{x + across * r:.5g} {y + down * r:.5g}' for across, down in corners)}z"
