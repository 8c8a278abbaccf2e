"""What a table shows of a row, whatever it is drawn with: which classes, which columns, each cell with its meaning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.model import Finding, MethodResult, QuantityResult, RowReport
    from smcli.render import Style

MOST_ROWS = 20  # of a batch, in formats for reading


class Cell(NamedTuple):
    """A piece of text, and what it means: a verdict's label, "dim", "head" or nothing."""

    text: str
    kind: str = ""
    right: bool = False


class Grid(NamedTuple):
    """A table: its header and its rows of cells."""

    head: list[Cell]
    rows: list[list[Cell]]


def widths(g: Grid) -> list[int]:
    """How wide each column has to be for its widest cell."""
    return [max(len(row[k].text) for row in [g.head, *g.rows]) for k in range(len(g.head))]


def width(g: Grid) -> int:
    """The characters that a line of the table takes, with two blanks between columns."""
    return sum(widths(g)) + 2 * (len(g.head) - 1)


def value(x: float) -> str:
    """A computed value in the fewest digits that give it back, as in Python; integers without a point."""
    if not math.isfinite(x):
        return "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"
    return str(int(x)) if x == int(x) and abs(x) < 1e16 else repr(x)


def error(x: float) -> str:
    """An error in two digits."""
    if not math.isfinite(x):
        return value(x)
    return "0" if x == 0 else f"{x:.0f}" if 9.95 <= x < 99999.5 else f"{x:.2g}"


def relative(m: MethodResult, i: int) -> str:
    """The relative error, or the verdict where there is no number to tell."""
    rel = float(m.rel[i])
    return Verdict(int(m.verdicts[i])).label if math.isnan(rel) or math.isinf(rel) else error(rel)


def chosen(q: QuantityResult, row: RowReport, style: Style) -> list[int]:
    """The indices to show: all of a short row; of a long one those that matter most, in their order.

    The target first, then the first index of each finding, the worst error of each method, the largest truths.
    """
    if style.every_class or q.size <= style.top:
        return list(range(q.size))
    first: dict[int, None] = {}
    if row.target is not None and not q.square and row.target < q.size:
        first[row.target] = None
    for f in row.findings:
        if f.at and f.quantity in {None, q.quantity} and f.at[0] < q.size:
            first[f.at[0]] = None
    for m in q.methods:
        first[m.worst] = None
    largest = (
        np.argpartition(-q.truth, min(style.top, q.size - 1))[: style.top] if q.size > style.top else range(q.size)
    )
    order = sorted(
        (int(i) for i in largest), key=lambda i: -float(q.truth[i]) if q.truth[i] == q.truth[i] else math.inf
    )
    for i in order:
        first[i] = None
    return sorted(list(first)[: style.top])


def place(q: QuantityResult, i: int) -> str:
    """An index as it is counted: i, or i,j of a matrix."""
    return f"{i // q.square},{i % q.square}" if q.square else str(i)


def logit(q: QuantityResult, row: RowReport, i: int) -> str:
    """The logit that a value belongs to."""
    if q.square:
        return ""
    return value(float(row.logits[i])) if q.size == row.logits.size else ""


def title(q: QuantityResult, row: RowReport) -> str:
    """The heading of a quantity's table."""
    if q.quantity == "cross-entropy" and row.target is None and row.labels is None:
        return "cross-entropy, for each class as the target"
    if q.quantity == "cross-entropy":
        return f"cross-entropy of target {row.target}" if row.target is not None else "cross-entropy of the labels"
    if q.quantity == "gradient":
        return f"gradient of the loss of target {row.target}" if row.target is not None else "gradient of the loss"
    return {
        "jacobian": "Jacobian of softmax, ∂p_i/∂x_j",
        "vjp": "vector-Jacobian product",
        "bce": "binary cross-entropy",
    }.get(q.quantity, q.quantity)


def wide(q: QuantityResult, row: RowReport, indices: Sequence[int], style: Style) -> Grid:
    """A line a class: logit, truth, and for each method its value and its errors."""
    exact = q.exact(indices)
    single = q.size == 1
    head = [] if single else [Cell("i", "head", right=True)]
    logits = [logit(q, row, i) for i in indices]
    if any(logits) and not single:
        head.append(Cell("logit", "head", right=True))
    head.append(Cell("exact", "head"))
    for m in q.methods:
        head += [Cell(m.method, "head"), Cell("rel", "head", right=True)]
        if style.verbose:
            head += [Cell("ulp", "head", right=True), Cell("verdict", "head")]
    rows = []
    for k, i in enumerate(indices):
        cells = [] if single else [Cell(place(q, i), "dim", right=True)]
        if any(logits) and not single:
            cells.append(Cell(logits[k], right=True))
        cells.append(Cell(exact[k], "exact"))
        for m in q.methods:
            word = Verdict(int(m.verdicts[i])).label
            cells += [Cell(value(float(m.values[i])), word), Cell(relative(m, i), word, right=True)]
            if style.verbose:
                cells += [Cell(error(float(m.ulp[i])), word, right=True), Cell(word, word)]
        rows.append(cells)
    return Grid(head, rows)


def with_bars(q: QuantityResult, row: RowReport, indices: Sequence[int], style: Style) -> Grid:
    """`wide` with a bar for each probability, and one for the digits that each method lost."""
    plain = wide(q, row, indices, style)
    if q.size == 1 or q.square:
        return plain
    head, rows = list(plain.head), [list(cells) for cells in plain.rows]
    per_method = 4 if style.verbose else 2
    first = len(head) - per_method * len(q.methods)
    for k in range(len(q.methods) - 1, -1, -1):
        m, at = q.methods[k], first + per_method * (k + 1)
        bars = [bar(lost_share(m, i), 5) for i in indices]
        if not any(bars):
            continue
        head.insert(at, Cell("bits lost", "head"))
        for cells, i, drawn in zip(rows, indices, bars, strict=True):
            cells.insert(at, Cell(drawn, Verdict(int(m.verdicts[i])).label))
    if q.quantity == "softmax":
        head.insert(first, Cell("", "head"))
        largest = max((float(q.truth[i]) for i in indices if q.truth[i] > 0), default=1.0)
        for cells, i in zip(rows, indices, strict=True):
            cells.insert(first, Cell(bar(float(q.truth[i]) / largest, 8), "exact"))
    return Grid(head, rows)


def lost_share(m: MethodResult, i: int) -> float:
    """How many of its bits an inaccurate or lost value has lost, as a share: 1 where none is right or there is no number."""
    ulp, rel = float(m.ulp[i]), float(m.rel[i])
    if m.verdicts[i] not in {Verdict.INACCURATE, Verdict.LOST} or ulp <= 1:
        return 0.0
    if not rel < 1:
        return 1.0
    return math.log(ulp) / (math.log(ulp) - math.log(rel)) if rel else 0.0


def bar(share: float, size: int) -> str:
    """A bar of blocks, in eighths; nothing below half an eighth."""
    eighths = round(min(max(share, 0.0), 1.0) * size * 8) if share > 0 else 0
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def long(q: QuantityResult, row: RowReport, indices: Sequence[int], style: Style) -> Grid:
    """A line a class and method, for terminals that are too narrow for `wide`."""
    exact = q.exact(indices)
    logits = [logit(q, row, i) for i in indices]
    with_logits = any(logits) and q.size > 1
    head = [Cell("i", "head", right=True)] + ([Cell("logit", "head", right=True)] if with_logits else [])
    head += [Cell("method", "head"), Cell("value", "head"), Cell("rel", "head", right=True)]
    if style.verbose:
        head += [Cell("ulp", "head", right=True), Cell("verdict", "head")]
    blank = [Cell("")] * (2 if with_logits else 1)
    rows = []
    for k, i in enumerate(indices):
        lead = [Cell(place(q, i), "dim", right=True)] + ([Cell(logits[k], right=True)] if with_logits else [])
        rows.append(
            [*lead, Cell("exact", "exact"), Cell(exact[k], "exact"), Cell("")] + [Cell("")] * (2 * style.verbose)
        )
        for m in q.methods:
            word = Verdict(int(m.verdicts[i])).label
            cells = [
                *blank,
                Cell(m.method),
                Cell(value(float(m.values[i])), word),
                Cell(relative(m, i), word, right=True),
            ]
            if style.verbose:
                cells += [Cell(error(float(m.ulp[i])), word, right=True), Cell(word, word)]
            rows.append(cells)
    return Grid(head, rows)


def trace(m: MethodResult) -> Grid:
    """The steps of a method: the range of each, and what overflowed, underflowed or became nan."""
    head = [Cell("step", "head")] + [
        Cell(n, "head", right=True) for n in ("min", "max", "overflow", "underflow", "nan", "first")
    ]
    rows = []
    went_wrong = False
    for s in m.steps or ():
        bad = bool(s.overflowed or s.nan)
        kind = (
            "lost" if bad and not went_wrong else "inaccurate" if bad else "not-representable" if s.underflowed else ""
        )
        went_wrong |= bad
        first = "" if s.first is None else str(s.first)
        counts = [str(n) if n else "" for n in (s.overflowed, s.underflowed, s.nan)]
        rows.append(
            [Cell(s.step, kind)] + [Cell(t, kind, right=True) for t in (f"{s.min:.6g}", f"{s.max:.6g}", *counts, first)]
        )
    return Grid(head, rows)


class Group(NamedTuple):
    """Findings that say the same of several methods or quantities of a row."""

    finding: Finding
    subjects: list[str]


def grouped(found: Sequence[Finding]) -> list[Group]:
    """Findings that say the same as one, with all methods and quantities that they are about.

    Notes of one code count as the same, whatever their figures: the first one's message stands for them.
    """
    groups: dict[tuple[str, str], tuple[Finding, dict[str, list[str]]]] = {}
    for f in found:
        key = (f.code, "" if f.severity == Severity.NOTE else f.message)
        _, about = groups.setdefault(key, (f, {}))
        quantities = about.setdefault(f.method or "", [])
        if f.quantity and f.quantity not in quantities:
            quantities.append(f.quantity)
    return [
        Group(
            f,
            [
                f"{method}: {', '.join(quantities)}".removeprefix(": ")
                for method, quantities in about.items()
                if method or quantities
            ],
        )
        for f, about in groups.values()
    ]


def listings(thing: Any) -> Iterator[tuple[str, Grid]]:
    """The tables of a noun that is no report, such as the limits of the formats."""
    for listing in thing.listings():
        head = [Cell(text, "head", right=k in listing.numbers) for k, text in enumerate(listing.head)]
        rows = [[Cell(text, right=k in listing.numbers) for k, text in enumerate(cells)] for cells in listing.rows]
        yield listing.heading, Grid(head, rows)
