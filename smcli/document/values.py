"""The values of one quantity of one row beside their truth: which are shown, and in which layouts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.document.parts import LEAST, Cell, Table, Values
from smcli.document.spelling import bound, error, error_above, number
from smcli.model import Verdict
from smcli.numbers import formats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.document.style import Style
    from smcli.model import BoolArray, MethodResult, QuantityResult, RowReport
    from smcli.report.report import Report

BAD = (Verdict.LOST, Verdict.INACCURATE, Verdict.UNDEFINED)
HEAD = "head"
LOGIT = 4  # digits of a logit that recall it


def results(report: Report, row: RowReport) -> Iterator[QuantityResult]:
    """The quantities of a row that there is something to show of, with the methods that could run."""
    for q in row.results:
        ran = tuple(m for m in q.methods if m.available)
        if ran or report.command == "eval":
            yield replace(q, methods=ran)


def per_class(q: QuantityResult) -> bool:
    """Whether a quantity has a value for each class, even if there is only one class."""
    return q.size > 1 or quantities.get(q.quantity).shape in {"class", "matrix"}


def title(q: QuantityResult, row: RowReport) -> str:
    """The name of a quantity, and of what it is taken."""
    quantity = quantities.get(q.quantity)
    if q.of:
        return f"{quantity.title} of {q.of}"
    of = f"target {row.target}" if row.target is not None else "the labels" if row.labels is not None else ""
    if quantity.shape == "loss" and not of:
        return f"{quantity.title}, for each class as the target"
    if of and (quantity.is_loss or quantity.needs == "target or labels"):
        return f"{quantity.title} of {of}"
    return quantity.title


def most_digits(report: Report, style: Style) -> int:
    """The significant digits that a number is shown with at the most; 0: all of them."""
    return 0 if style.whole or style.verbose else max(LEAST, formats.get(report.dtype).digits)


def chosen(q: QuantityResult, row: RowReport, style: Style) -> list[int]:
    """The indices to show: all of a short row; of a long one the target, those with errors, then the largest truths."""
    if style.every_class or q.size <= style.top:
        return list(range(q.size))
    first: dict[int, None] = {}
    if row.target is not None and not q.square and row.target < q.size:
        first[row.target] = None
    bad = wrong(q)
    first.update(dict.fromkeys(m.worst for m in q.methods if bad[m.worst]))
    for f in row.findings:
        if f.at and f.quantity in {None, q.quantity} and f.at[0] < q.size:
            first[f.at[0]] = None
    for some in (np.flatnonzero(bad), np.flatnonzero(~bad)):
        room = style.top - len(first)
        if room <= 0:
            break
        size = np.nan_to_num(q.truth[some], nan=np.inf)
        near = (
            np.argpartition(-size, min(room, some.size - 1))[: style.top]
            if some.size > style.top
            else np.arange(some.size)
        )
        order = near[np.argsort(-size[near], kind="stable")]
        first.update(dict.fromkeys(some[order].tolist()))
    return sorted(list(first)[: style.top])


def wrong(q: QuantityResult) -> BoolArray:
    """Where a method's value is lost, inaccurate or undefined."""
    bad = np.zeros(q.size, dtype=bool)
    for m in q.methods:
        bad |= np.isin(m.verdicts, BAD)
    return bad


def place(q: QuantityResult, i: int) -> str:
    """An index as it is counted: i, or i,j of a matrix."""
    return f"{i // q.square},{i % q.square}" if q.square else str(i)


def logit(q: QuantityResult, row: RowReport, i: int) -> str:
    """The logit that a value belongs to."""
    if q.square:
        return ""
    return number(float(row.logits[i])) if q.size == row.logits.size else ""


def relative(q: QuantityResult, m: MethodResult, i: int) -> str:
    """The relative error; an absolute one where the truth is 0; a word where no number tells."""
    verdict, rel = Verdict(int(m.verdicts[i])), float(m.rel[i])
    if verdict == Verdict.NOT_REPRESENTABLE:
        return "underflow" if q.log10[i] < 0 else "overflow"
    if verdict in {Verdict.LOST, Verdict.UNDEFINED}:
        return verdict.label
    if math.isinf(rel) and q.truth[i] == 0 and math.isfinite(m.values[i]):
        return f"abs {error(abs(float(m.values[i])))}"
    return error(rel) if math.isfinite(rel) else verdict.label


def in_ulp(q: QuantityResult, m: MethodResult, i: int, dtype: str) -> str:
    """The error in ulp, where the truth's own bound tells it from 0."""
    return error_above(float(m.ulp[i]), q.certified * 2.0 ** formats.get(dtype).p)


def telling(q: QuantityResult, i: int) -> int:
    """The digits in which an inaccurate value and its truth differ for every reader."""
    needed = [LEAST]
    for m in q.methods:
        rel = float(m.rel[i])
        if m.verdicts[i] == Verdict.INACCURATE and 0 < rel < 1:
            needed.append(math.ceil(-math.log10(rel)) + 2)
    return max(needed)


def short_title(q: QuantityResult) -> str:
    """What stands above the truths."""
    return f"exact {q.quantity}{f' of {q.of}' if q.of else ''}"


def values(report: Report, row: RowReport, q: QuantityResult, style: Style) -> Values:
    """A quantity of a row as a table, the widest layout first: with bars, a line a class, a line a number."""
    indices = chosen(q, row, style)
    exact = q.exact(indices)
    digits = (most_digits(report, style), LEAST)
    wide = _wide(report, row, q, indices, exact, style)
    named = tuple(replace(c, text=q.quantity) if c.text == short_title(q) else c for c in wide[0])
    layouts = [
        Table("", *_with_bars(report, q, indices, wide, style), (digits[0], digits[0])),
        Table("", *wide, digits),
        Table("", named, wide[1], digits),
        Table("", *_without(named, wide[1], "logit"), digits),
        Table("", *_long(report, row, q, indices, exact, style), digits),
    ]
    said = "; --all shows every one"
    return Values(
        f"{title(q, row)}{': value and relative error' if q.methods else ''}",
        tuple(layouts),
        f"{len(indices)} of {q.size} are shown, those with errors and the largest{said}" if len(indices) < q.size else "",
    )  # fmt: skip


Grid = tuple[tuple[Cell, ...], tuple[tuple[Cell, ...], ...]]


def _index(q: QuantityResult) -> str:
    """What the values of a quantity are counted by: classes, or the targets that they might have."""
    if q.size == 1:
        return ""
    return "i,j" if q.square else "t" if quantities.get(q.quantity).shape == "loss" else "i"


def _wide(
    report: Report, row: RowReport, q: QuantityResult, indices: Sequence[int], exact: Sequence[str], style: Style
) -> Grid:
    """A line a class: logit, truth, and for each method its value and its errors."""
    index = _index(q)
    logits = [logit(q, row, i) for i in indices] if index else []
    head = [Cell(index, HEAD, right=True)] if index else []
    head += [Cell("logit", HEAD, right=True)] if any(logits) else []
    head.append(Cell(short_title(q), HEAD))
    for m in q.methods:
        head += [Cell(m.method, HEAD), *_errors(style)]
    rows = []
    for k, i in enumerate(indices):
        least = telling(q, i)
        cells = [Cell(place(q, i), "dim", right=True)] if index else []
        cells += [Cell(logits[k], right=True, least=LOGIT)] if any(logits) else []
        cells.append(Cell(exact[k], "exact", least=least))
        for m in q.methods:
            cells += _judged(report, q, m, i, least, style)
        rows.append(tuple(cells))
    return tuple(head), tuple(rows)


def _without(head: tuple[Cell, ...], rows: tuple[tuple[Cell, ...], ...], name: str) -> Grid:
    """A table without one of its columns, if it has it."""
    kept = [k for k, cell in enumerate(head) if cell.text != name]
    return tuple(head[k] for k in kept), tuple(tuple(cells[k] for k in kept) for cells in rows)


def _errors(style: Style) -> list[Cell]:
    """The heads of the columns that stand beside a method's value."""
    return [Cell(name, HEAD, near=True) for name in ("rel", *(("ulp", "verdict") if style.verbose else ()))]


def _judged(report: Report, q: QuantityResult, m: MethodResult, i: int, least: int, style: Style) -> list[Cell]:
    """A method's value and its errors."""
    word = Verdict(int(m.verdicts[i])).label
    cells = [Cell(number(float(m.values[i])), word, least=least), Cell(relative(q, m, i), word, near=True)]
    if style.verbose:
        cells += [Cell(in_ulp(q, m, i, report.dtype), word, near=True), Cell(word, word, near=True)]
    return cells


def _with_bars(report: Report, q: QuantityResult, indices: Sequence[int], wide: Grid, style: Style) -> Grid:
    """The same with a bar for each probability, and one with its number for the bits that each method lost."""
    if q.size == 1 or q.square:
        return wide
    head, rows = list(wide[0]), [list(cells) for cells in wide[1]]
    per_method = 4 if style.verbose else 2
    first = len(head) - per_method * len(q.methods)
    p = formats.get(report.dtype).p
    for k in range(len(q.methods) - 1, -1, -1):
        m, at = q.methods[k], first + per_method * (k + 1)
        shares = [lost_share(m, i) for i in indices]
        if not any(shares):
            continue
        head.insert(at, Cell("bits lost", HEAD, near=True))
        for cells, i, share in zip(rows, indices, shares, strict=True):
            drawn = f"{bar(share, 5):5} {round(share * p)}" if share else ""
            cells.insert(at, Cell(drawn, Verdict(int(m.verdicts[i])).label, near=True))
    if q.quantity == "softmax":
        head.insert(first, Cell("", HEAD))
        largest = max((float(q.truth[i]) for i in indices if q.truth[i] > 0), default=1.0)
        for cells, i in zip(rows, indices, strict=True):
            cells.insert(first, Cell(bar(float(q.truth[i]) / largest, 8), "exact"))
    return tuple(head), tuple(map(tuple, rows))


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


def _long(
    report: Report, row: RowReport, q: QuantityResult, indices: Sequence[int], exact: Sequence[str], style: Style
) -> Grid:
    """A line a number, for terminals that are too narrow for a line a class."""
    index = _index(q)
    head = [Cell(index, HEAD, right=True)] if index else []
    head += [Cell("", HEAD), Cell(q.quantity, HEAD), *_errors(style)]
    blanks = [Cell("")] * (2 if style.verbose else 0)
    rows: list[tuple[Cell, ...]] = []
    for k, i in enumerate(indices):
        least = telling(q, i)
        lines = [[Cell("exact"), Cell(exact[k], "exact", least=least), Cell(""), *blanks]]
        if index and (of := logit(q, row, i)):
            lines.insert(0, [Cell("logit"), Cell(of, least=LOGIT), Cell(""), *blanks])
        lines += [[Cell(m.method), *_judged(report, q, m, i, least, style)] for m in q.methods]
        for n, line in enumerate(lines):
            lead = [Cell(place(q, i) if n == 0 else "", "dim", right=True)] if index else []
            rows.append((*lead, *line))
    return tuple(head), tuple(rows)


def steps(m: MethodResult) -> Table:
    """The steps of a method: the range of each, and what overflowed, underflowed or became nan."""
    names = ("min", "max", "overflow", "underflow", "nan", "first")
    head = (Cell("step", HEAD), *(Cell(n, HEAD, right=True) for n in names))
    rows = []
    went_wrong = False
    for s in m.steps or ():
        bad = bool(s.overflowed or s.nan)
        kind = (
            "lost" if bad and not went_wrong else "inaccurate" if bad else "not-representable" if s.underflowed else ""
        )
        went_wrong |= bad
        counts = [str(n) if n else "" for n in (s.overflowed, s.underflowed, s.nan)]
        texts = (f"{s.min:.6g}", f"{s.max:.6g}", *counts, "" if s.first is None else str(s.first))
        rows.append((Cell(s.step, kind), *(Cell(t, kind, right=True) for t in texts)))
    return Table(f"steps of {m.method}", head, tuple(rows), marks=False)


def background(q: QuantityResult) -> Iterator[str]:
    """What is known before anything is computed: the condition number, and each worst error beside its bound."""
    if q.sign is not None:
        words = {1.0: "positive", -1.0: "negative", 0.0: "exactly 0"}
        yield f"the sum of the signed exponentials is {words.get(q.sign, 'undefined')}"
    condition = next((m.condition for m in q.methods if m.condition is not None and m.condition == m.condition), None)
    if condition is not None:
        yield f"condition number {condition:.3g}: what one rounding of the logits is multiplied by"
    for m in q.methods:
        if m.bound_ulp is not None:
            yield f"{m.method}: worst {error(float(m.ulp[m.worst]))} ulp; its a-priori bound is {bound(m.bound_ulp)} ulp"
