"""A check of many values: block by block, in the memory of a block and a line a row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli import analyse
from smcli.checking.fit import number_of
from smcli.checking.glance import Glance
from smcli.checking.pair import both, can_fork
from smcli.checking.screen import Screen
from smcli.checking.summary import Summary
from smcli.checking.sums import Sums
from smcli.checking.tolerance import Trials
from smcli.errors import InputError
from smcli.judge.tolerances import Span
from smcli.methods import run
from smcli.methods.base import OUTPUT
from smcli.methods.outputs import output
from smcli.model import Truth
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic
from smcli.problem.build import problems, targets
from smcli.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smcli.batch import Batch, Written
    from smcli.checking.fit import Outputs
    from smcli.checking.sums import Values
    from smcli.judge.tolerances import Allclose
    from smcli.methods.outputs import Output
    from smcli.model import FloatArray, IntArray, Problem
    from smcli.problem.specs import Settings


WORTHWHILE = 1 << 24  # logits that are worth a process of their own


@dataclass(slots=True)
class Part:
    """What is known of some rows: what is kept, what a tolerance depends on, and the factor of a reduction."""

    sums: Sums
    span: Span
    scale: Fraction


def sum_up(
    logits: Batch, outputs: Outputs, settings: Settings, yours: Allclose | None, *, forks: bool = False
) -> Summary:
    """Judge every value, and keep of them what a reader can take in.

    Args:
        logits: what the values were computed of.
        outputs: the values, a row for each row of logits.
        settings: with one quantity and one number format.
        yours: a tolerance to be judged, too.
        forks: whether this process may copy itself, which one that is a user's may not.

    Raises:
        InputError: there are no logits, or an output is no number of the format.
    """
    if not len(logits):
        raise InputError("no logits", "give a row of numbers, or several")
    fmt, (quantity,) = settings.format, settings.quantities

    def some(rows: range) -> Part:
        return _part(logits.select(rows), outputs.select(rows), settings)

    whole, half = range(len(logits)), len(logits) // 2
    if forks and not settings.loss.given and number_of(logits) >= WORTHWHILE and half and can_fork():
        part, later = both(partial(some, whole[:half]), partial(some, whole[half:]))
        part.sums.join(later.sums, half)
        part.span |= later.span
    else:
        part = _part(logits, outputs, settings)
    sums, span = part.sums, part.span
    trials = Trials.of(quantity, fmt, span, yours)
    if not trials.settle(sums):
        trials = Trials.of(quantity, fmt, span, yours)
        for problem, _ in problems(logits, settings):
            truth = Reference(problem).truth(quantity)
            values = _values(output(outputs), problem, quantity)
            places = range(len(values)) if problem.rows is None else problem.rows.tolist()
            rows = [k if settings.numbers is None else settings.numbers[k] for k in places]
            trials.add(values, truth, np.full(values.shape, np.inf), rows)
    worst, failed = (
        [] if some is None else _texts(logits, settings, some, sums.bound, part.scale)
        for some in (sums.worst, sums.failed)
    )
    of, failed_rows = targets(settings, len(logits)), trials.known[0].failed
    return Summary(settings, fmt.name, settings.digits, sums, trials.document(), worst, of, failed, failed_rows)


def _part(logits: Batch, outputs: Outputs, settings: Settings) -> Part:
    part = Part(Sums(settings.tolerance), Span(scale=0.0), Fraction(1))
    screen = None if settings.tolerance.given else Screen(settings.quantities[0], settings.format, part.sums)
    glance = Glance.of(logits, outputs, settings, part.sums)
    for batch in (logits,) if glance is None else _of_rows(logits, glance.left()):
        for problem, raw in problems(batch, settings):
            ends = _ends(logits, problem)
            part.span |= Span.of(problem, ends)
            part.scale = problem.scale
            _judge(problem, raw, outputs, settings, part.sums, screen, ends)
    if glance is not None:
        part.span |= glance.span
    return part


def _of_rows(logits: Batch, some: Iterable[IntArray]) -> Iterator[Batch]:
    """Some rows of the only block, time after time; they keep their places."""
    (block,) = logits.blocks
    return (replace(logits, blocks=(block.select(at, at),)) for at in some)


def _judge(
    problem: Problem, raw: Written, source: Outputs, settings: Settings, sums: Sums, screen: Screen | None,
    ends: tuple[FloatArray, FloatArray],
) -> None:  # fmt: skip
    """Judge a block: the rows that are beyond doubt at a glance, the others by all the rules."""
    reference, outputs = Reference(problem), output(source)
    if screen is not None and screen.suits(problem, raw):
        values = None if problem.rows is None else source.stored(problem.rows, screen.format)
        if values is None:
            values = _values(outputs, problem, screen.quantity)
        fine = screen.sift(problem, reference, values, ends)
        if fine.all():
            return
        if fine.any():
            left = np.flatnonzero(~fine)
            problem, raw = _rows(problem, left), raw.select(left)
            reference = Reference(problem)
    sums.add_block(analyse.judge(problem, raw, reference, settings, None, {OUTPUT: outputs}))


def _ends(logits: Batch, problem: Problem) -> tuple[FloatArray, FloatArray]:
    """The largest and the least logit of each row, nan where there is one; of an array as it was read, if it is float32."""
    x: Any = problem.logits
    (block, *more), places = logits.blocks, problem.rows
    plain = block.array.dtype == np.float32 and block.array.ndim == 2 and block.widen is None
    plain &= problem.dtype == "float32" and isinstance(block.rows, range)
    if not more and plain and places is not None:
        x = np.asarray(block.array[int(places[0]) : int(places[-1]) + 1])  # half as many bytes
    return x.max(axis=1).astype(np.float64), x.min(axis=1).astype(np.float64)


def _rows(problem: Problem, rows: IntArray) -> Problem:
    places = np.arange(len(problem.logits)) if problem.rows is None else problem.rows
    return replace(problem, rows=places).select(rows)


def _values(outputs: Output, problem: Problem, quantity: str) -> FloatArray:
    fmt = formats.get(problem.dtype)
    return run(outputs, problem, quantity, Arithmetic(fmt, fmt)).values


def _texts(logits: Batch, settings: Settings, some: Values, certified: float, scale: Fraction) -> list[str]:
    """The digits of some values' truths; what the bound leaves open from a row alone."""
    from smcli.reference.double_double.decimal import MOST_DIGITS, texts

    (quantity,), digits = settings.quantities, settings.digits
    nothing: list[str | None] = [None] * some.at.size
    known = texts(Truth(some.hi, some.lo, some.exp2, certified), digits) if digits <= MOST_DIGITS else nothing
    out = []
    for text, place, at in zip(known, some.place.tolist(), some.at.tolist(), strict=True):
        if text is not None:
            out.append(text)
            continue
        ((problem, _),) = problems(logits.select([place]), _of_row(settings, place))
        out += Reference(replace(problem, scale=scale)).strings(quantity, 0, [at], digits)
    return out


def _of_row(settings: Settings, place: int) -> Settings:
    """The settings of one row alone."""
    loss, number = settings.loss, place if settings.numbers is None else settings.numbers[place]

    def own(given: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return given if given is None or len(given) == 1 else (given[number if len(given) > number else place],)

    return replace(settings, numbers=None, loss=replace(loss, target=own(loss.target), labels=own(loss.labels)))
