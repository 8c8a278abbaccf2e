"""The values of one quantity of one row beside their truth: which are shown, and how each is written."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.document.parts import LEAST, Cell, Table
from smcli.document.spelling import bound, error, error_above, number
from smcli.model import Verdict
from smcli.numbers import formats

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def sign(number: float) -> str:
    """The sign of the sum that a signed logsumexp is the log of, without which its absolute value is half the answer."""
    words = {1.0: "positive", -1.0: "negative", 0.0: "exactly 0"}
    return f"the sum of the signed exponentials is {words.get(number, 'undefined')}"


def background(q: QuantityResult) -> Iterator[str]:
    """What is known before anything is computed: the condition number, and each worst error beside its bound."""
    condition = next((m.condition for m in q.methods if m.condition is not None and m.condition == m.condition), None)
    if condition is not None:
        yield f"condition number {condition:.3g}: what one rounding of the logits is multiplied by"
    for m in q.methods:
        if m.bound_ulp is not None:
            yield f"{m.method}: worst {error(float(m.ulp[m.worst]))} ulp; its a-priori bound is {bound(m.bound_ulp)} ulp"
