"""Code whose steps are not seen returned nan or inf: a method that does the same there tells how that comes about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli import methods
from smcli.findings.foreign import WITNESSES
from smcli.findings.rules import examine
from smcli.methods import run
from smcli.model import Choice, Severity, Verdict
from smcli.numbers.arithmetic import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from smcli.findings.evidence import RowEvidence, RunEvidence
    from smcli.model import Found, IntArray


def testify(ev: RunEvidence, about: RowEvidence, found: Sequence[Found]) -> tuple[Found, ...]:
    """What a method with the same nan, inf and lost 0 finds of its own steps, as findings about the code that was run.

    Last, what no method explains (SM409).

    Args:
        ev: a run whose steps are not seen.
        about: the block's logits.
        found: what was found of that run already; its codes are not told twice.
    """
    name = ev.quantity.name
    lost = ev.verdict(Verdict.LOST) & ~np.isfinite(ev.y)
    left = np.flatnonzero(lost.any(axis=1))
    known, out = {f.code for f in found}, []
    for method in map(methods.get, WITNESSES):
        if not left.size or not method.suits(ev.problem, name):
            continue
        part = ev.problem.select(left)
        done = run(method, part, name, Arithmetic(ev.format, ev.format))
        same = _same(done.values, ev.y[left], lost[left])
        if not same.any():
            continue
        own = left[same]
        done = run(method, ev.problem.select(own), name, Arithmetic(ev.format, ev.format))
        seen = _of_rows(ev, about, own, replace(done, values=ev.y[own]))
        out += [
            _told(f, own, method.name, ev.run.method)
            for f in examine(seen)
            if f.code not in known and f.severity != "note"
        ]
        left = left[~same]
    told = np.zeros(len(ev.x), bool)
    for f in (*found, *out):
        told[f.rows] |= f.severity == Severity.ERROR
    return (*out, *examine(replace(ev, told=told), "left"))


def _same(values: Any, y: Any, lost: Any) -> Any:
    """The rows in which every value that was lost is lost in the same way."""
    alike = (np.isnan(values) & np.isnan(y)) | (values == y)
    return (alike | ~lost).all(axis=1)


def _of_rows(ev: RunEvidence, about: RowEvidence, rows: IntArray, done: Any) -> RunEvidence:
    """The evidence of some rows, with the steps of a run of these rows alone."""
    problem = ev.problem.select(rows)
    part = replace(about, problem=problem, change=about.change[rows], raw=about.raw.select(rows))
    told = part.with_truth(
        ev.quantity.name, ev.truth.part(rows), ev.rounded[rows], ev.limit.part(rows), tolerance=ev.tolerance
    )
    return told.with_run(done, ev.errors.part(rows), ev.numerics)


def _told(found: Found, rows: IntArray, method: str, own: str) -> Found:
    """A finding of some rows as one of the block, which says whose steps it looked at."""
    tail = f"; so does the method {method}, which returns the same here"
    message = found.message
    if isinstance(message, Choice):
        message = Choice(tuple(text + tail for text in message.options), message.index)
    else:
        message += tail
    return replace(found, method=own, rows=rows[found.rows], message=message)
