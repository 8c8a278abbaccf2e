"""The values of one quantity of one row as a table, in several layouts: the widest one that fits is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smcli import quantities
from smcli.document.parts import LEAST, Cell, Table, Values
from smcli.document.spelling import number
from smcli.document.values import (
    HEAD,
    LOGIT,
    chosen,
    in_ulp,
    logit,
    most_digits,
    place,
    relative,
    short_title,
    telling,
    title,
)
from smcli.model import Verdict
from smcli.numbers import formats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.document.style import Style
    from smcli.model import MethodResult, QuantityResult, RowReport
    from smcli.report.report import Report

Grid = tuple[tuple[Cell, ...], tuple[tuple[Cell, ...], ...]]  # the head, and the lines below it


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Shown:
    """What all layouts show: the values of these indices, and their truths in digits."""

    dtype: str
    row: RowReport
    q: QuantityResult
    indices: Sequence[int]
    exact: Sequence[str]
    style: Style

    @property
    def index(self) -> str:
        """What the values of a quantity are counted by: classes, or the targets that they might have."""
        if self.q.size == 1:
            return ""
        return "i,j" if self.q.square else "t" if quantities.get(self.q.quantity).shape == "loss" else "i"


def values(report: Report, row: RowReport, q: QuantityResult, style: Style) -> Values:
    """A quantity of a row as a table, the widest layout first: with bars, a line a class, a line a number."""
    indices = chosen(q, row, style)
    shown = _Shown(report.dtype, row, q, indices, q.exact(indices), style)
    digits = (most_digits(report, style), LEAST)
    wide = _wide(shown)
    named = tuple(replace(c, text=q.quantity) if c.text == short_title(q) else c for c in wide[0])
    layouts = [
        Table("", *_with_bars(shown, wide), (digits[0], digits[0])),
        Table("", *wide, digits),
        Table("", named, wide[1], digits),
        Table("", *_without(named, wide[1], "logit"), digits),
        Table("", *_long(shown), digits),
    ]
    said = "; --all shows every one"
    return Values(
        f"{title(q, row)}{': value and relative error' if q.methods else ''}",
        tuple(layouts),
        f"{len(indices)} of {q.size} are shown, those with errors and the largest{said}" if len(indices) < q.size else "",
    )  # fmt: skip


def _wide(shown: _Shown) -> Grid:
    """A line a class: logit, truth, and for each method its value and its errors."""
    q, index = shown.q, shown.index
    logits = [logit(q, shown.row, i) for i in shown.indices] if index else []
    head = [Cell(index, HEAD, right=True)] if index else []
    head += [Cell("logit", HEAD, right=True)] if any(logits) else []
    head.append(Cell(short_title(q), HEAD))
    for m in q.methods:
        head += [Cell(m.method, HEAD), *_errors(shown.style)]
    rows = []
    for k, i in enumerate(shown.indices):
        least = telling(q, i)
        cells = [Cell(place(q, i), "dim", right=True)] if index else []
        cells += [Cell(logits[k], right=True, least=LOGIT)] if any(logits) else []
        cells.append(Cell(shown.exact[k], "exact", least=least))
        for m in q.methods:
            cells += _judged(shown, m, i, least)
        rows.append(tuple(cells))
    return tuple(head), tuple(rows)


def _without(head: tuple[Cell, ...], rows: tuple[tuple[Cell, ...], ...], name: str) -> Grid:
    """A table without one of its columns, if it has it."""
    kept = [k for k, cell in enumerate(head) if cell.text != name]
    return tuple(head[k] for k in kept), tuple(tuple(cells[k] for k in kept) for cells in rows)


def _errors(style: Style) -> list[Cell]:
    """The heads of the columns that stand beside a method's value."""
    return [Cell(name, HEAD, near=True) for name in ("rel", *(("ulp", "verdict") if style.verbose else ()))]


def _judged(shown: _Shown, m: MethodResult, i: int, least: int) -> list[Cell]:
    """A method's value and its errors."""
    word = Verdict(int(m.verdicts[i])).label
    cells = [Cell(number(float(m.values[i])), word, least=least), Cell(relative(shown.q, m, i), word, near=True)]
    if shown.style.verbose:
        cells += [Cell(in_ulp(shown.q, m, i, shown.dtype), word, near=True), Cell(word, word, near=True)]
    return cells


def _with_bars(shown: _Shown, wide: Grid) -> Grid:
    """The same with a bar for each probability, and one with its number for the bits that each method lost."""
    q, indices = shown.q, shown.indices
    if q.size == 1 or q.square:
        return wide
    head, rows = list(wide[0]), [list(cells) for cells in wide[1]]
    per_method = 4 if shown.style.verbose else 2
    first = len(head) - per_method * len(q.methods)
    p = formats.get(shown.dtype).p
    for k in range(len(q.methods) - 1, -1, -1):
        m, at = q.methods[k], first + per_method * (k + 1)
        shares = [_lost_share(m, i) for i in indices]
        if not any(shares):
            continue
        head.insert(at, Cell("bits lost", HEAD, near=True))
        for cells, i, share in zip(rows, indices, shares, strict=True):
            drawn = f"{_bar(share, 5):5} {round(share * p)}" if share else ""
            cells.insert(at, Cell(drawn, Verdict(int(m.verdicts[i])).label, near=True))
    if q.quantity == "softmax":
        head.insert(first, Cell("", HEAD))
        largest = max((float(q.truth[i]) for i in indices if q.truth[i] > 0), default=1.0)
        for cells, i in zip(rows, indices, strict=True):
            cells.insert(first, Cell(_bar(float(q.truth[i]) / largest, 8), "exact"))
    return tuple(head), tuple(map(tuple, rows))


def _lost_share(m: MethodResult, i: int) -> float:
    """How many of its bits an inaccurate or lost value has lost, as a share: 1 where none is right or there is no number."""
    ulp, rel = float(m.ulp[i]), float(m.rel[i])
    if m.verdicts[i] not in {Verdict.INACCURATE, Verdict.LOST} or ulp <= 1:
        return 0.0
    if not rel < 1:
        return 1.0
    return math.log(ulp) / (math.log(ulp) - math.log(rel)) if rel else 0.0


def _bar(share: float, size: int) -> str:
    """A bar of blocks, in eighths; nothing below half an eighth."""
    eighths = round(min(max(share, 0.0), 1.0) * size * 8) if share > 0 else 0
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _long(shown: _Shown) -> Grid:
    """A line a number, for terminals that are too narrow for a line a class."""
    q, index = shown.q, shown.index
    head = [Cell(index, HEAD, right=True)] if index else []
    head += [Cell("", HEAD), Cell(q.quantity, HEAD), *_errors(shown.style)]
    blanks = [Cell("")] * (2 if shown.style.verbose else 0)
    rows: list[tuple[Cell, ...]] = []
    for k, i in enumerate(shown.indices):
        least = telling(q, i)
        lines = [[Cell("exact"), Cell(shown.exact[k], "exact", least=least), Cell(""), *blanks]]
        if index and (of := logit(q, shown.row, i)):
            lines.insert(0, [Cell("logit"), Cell(of, least=LOGIT), Cell(""), *blanks])
        lines += [[Cell(m.method), *_judged(shown, m, i, least)] for m in q.methods]
        for n, line in enumerate(lines):
            lead = [Cell(place(q, i) if n == 0 else "", "dim", right=True)] if index else []
            rows.append((*lead, *line))
    return tuple(head), tuple(rows)
