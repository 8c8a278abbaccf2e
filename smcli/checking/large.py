"""A check of many values: block by block, in the memory of a block and a line a row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli import analyse
from smcli.checking.screen import Screen
from smcli.checking.summary import Summary
from smcli.checking.sums import Sums
from smcli.checking.tolerance import Trials
from smcli.errors import InputError
from smcli.findings.remedies import rows_of
from smcli.judge.tolerances import Span
from smcli.methods import run
from smcli.methods.outputs import NAME
from smcli.model import Truth
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic
from smcli.problem.build import problems, targets
from smcli.reference import Reference

if TYPE_CHECKING:
    from fractions import Fraction

    from smcli.batch import Batch, Written
    from smcli.judge.tolerances import Allclose
    from smcli.methods.outputs import Output
    from smcli.model import FloatArray, IntArray, Problem
    from smcli.problem.specs import Settings


def sum_up(logits: Batch, outputs: Output, settings: Settings, yours: Allclose | None) -> Summary:
    """Judge every value, and keep of them what a reader can take in.

    Args:
        logits: what the values were computed of.
        outputs: the values, a row for each row of logits.
        settings: with one quantity and one number format.
        yours: a tolerance to be judged, too.

    Raises:
        InputError: there are no logits, or an output is no number of the format.
    """
    if not len(logits):
        raise InputError("no logits", "give a row of numbers, or several")
    fmt, (quantity,) = formats.get(settings.numerics.dtypes[0]), settings.quantities
    sums, span = Sums(), Span(scale=0.0)
    screen = None if settings.tolerance.given else Screen(quantity, fmt, sums)
    for problem, raw in problems(logits, settings, fmt):
        with np.errstate(invalid="ignore"):
            ends = problem.logits.max(axis=1), problem.logits.min(axis=1)
        span |= Span.of(problem, ends)
        _judge(problem, raw, outputs, settings, fmt, sums, screen, ends)
    trials = Trials.of(quantity, fmt, span, yours)
    if not trials.settle(sums):
        trials = Trials.of(quantity, fmt, span, yours)
        for problem, _ in problems(logits, settings, fmt):
            truth = Reference(problem).truth(quantity).nearest()
            values = _values(outputs, problem, quantity, fmt)
            trials.add(values, truth, np.full(values.shape, np.inf))
    digits = settings.numerics.digits or fmt.digits
    texts = _texts(logits, settings, fmt, sums, problem.scale, digits)
    return Summary(settings, fmt.name, digits, sums, trials.document(), texts, targets(settings, len(logits)))


def _judge(
    problem: Problem, raw: Written, outputs: Output, settings: Settings, fmt: formats.Format, sums: Sums,
    screen: Screen | None, ends: tuple[FloatArray, FloatArray],
) -> None:  # fmt: skip
    """Judge a block: the rows that are beyond doubt at a glance, the others by all the rules."""
    reference = Reference(problem)
    if screen is not None and screen.suits(problem, raw):
        fine = screen.sift(problem, reference, _values(outputs, problem, screen.quantity, fmt), ends)
        if fine.all():
            return
        if fine.any():
            left = np.flatnonzero(~fine)
            problem, raw = _rows(problem, left), replace(raw, values=raw.values[left])
            reference = Reference(problem)
    sums.add_block(analyse.judge(problem, raw, reference, settings, fmt, None, {NAME: outputs}))


def _rows(problem: Problem, rows: IntArray) -> Problem:
    places = np.arange(len(problem.logits)) if problem.rows is None else problem.rows
    return replace(rows_of(problem, rows), rows=places[rows])


def _values(outputs: Output, problem: Problem, quantity: str, fmt: formats.Format) -> FloatArray:
    return run(outputs, problem, quantity, Arithmetic(fmt, fmt)).values


def _texts(
    logits: Batch, settings: Settings, fmt: formats.Format, sums: Sums, scale: Fraction, digits: int
) -> list[str]:
    """The digits of the worst values' truths; what the bound leaves open from a row alone."""
    from smcli.reference.double_double.decimal import MOST_DIGITS, texts

    worst, (quantity,) = sums.worst, settings.quantities
    nothing: list[str | None] = [None] * worst.at.size
    known = texts(Truth(worst.hi, worst.lo, worst.exp2, sums.bound), digits) if digits <= MOST_DIGITS else nothing
    out = []
    for text, place, at in zip(known, worst.place.tolist(), worst.at.tolist(), strict=True):
        if text is not None:
            out.append(text)
            continue
        ((problem, _),) = problems(logits.select([place]), _of_row(settings, place), fmt)
        out += Reference(replace(problem, scale=scale)).strings(quantity, 0, [at], digits)
    return out


def _of_row(settings: Settings, place: int) -> Settings:
    """The settings of one row alone."""
    loss, number = settings.loss, place if settings.numbers is None else settings.numbers[place]

    def own(given: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return given if given is None or len(given) == 1 else (given[number if len(given) > number else place],)

    return replace(settings, numbers=None, loss=replace(loss, target=own(loss.target), labels=own(loss.labels)))
