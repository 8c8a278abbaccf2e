"""The pipeline from raw rows to a report: the only place that knows the order of the stages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli import findings, methods
from smcli.errors import InputError
from smcli.findings import RowEvidence
from smcli.judge import limits
from smcli.judge.block import Block, Judged, JudgedQuantity
from smcli.judge.conditioning import bound_ulp, condition
from smcli.judge.measure import measure, round_truth
from smcli.judge.reduce import reduce
from smcli.methods.gradients import run
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic
from smcli.problem.build import problems
from smcli.reference import Reference
from smcli.report.report import Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import Finding, Problem, RawRow, Settings


def analyse(rows: Sequence[RawRow], settings: Settings) -> Report | Comparison:
    """Run every method asked for on every row, beside the truth.

    Raises:
        InputError: the rows and the targets or labels do not fit each other.
        UsageError: unknown names.
        UnavailableError: no method that was asked for can run.
    """
    if not len(rows):
        raise InputError("no logits", "give them as arguments, with -i FILE, or on standard input")
    reports = tuple(_in_format(rows, settings, formats.get(name)) for name in settings.numerics.dtypes)
    return reports[0] if len(reports) == 1 else Comparison(settings.command, reports)


def _in_format(rows: Sequence[RawRow], settings: Settings, fmt: formats.Format) -> Report:
    blocks, references = [], []
    for problem, raw in problems(rows, settings, fmt):
        reference = Reference(problem)
        blocks.append(judge(problem, raw, reference, settings, fmt))
        if settings.loss.reduction != "none":
            references.append(reference)
    reduced = reduce(blocks, references, settings, fmt) if references else ()
    return Report.of(settings, fmt, blocks, reduced)


def judge(
    problem: Problem, raw: Sequence[RawRow], reference: Reference, settings: Settings, fmt: formats.Format
) -> Block:
    """One block: truth, methods, errors, findings."""
    about_rows = RowEvidence.of(problem, raw, settings.quantities)
    found: dict[int, list[Finding]] = {}
    _merge(found, findings.find(about_rows))
    infinite = (problem.logits == np.inf).any(axis=1, keepdims=True)
    results = []
    for quantity in settings.quantities:
        truth = reference.truth(quantity)
        rounded = reference.settle(quantity, *round_truth(truth, fmt), fmt)
        conditions = condition(problem, quantity, reference)
        limit = limits.limit(problem, quantity, reference, settings.tolerance)
        evidence = about_rows.with_truth(
            quantity, truth, rounded, limit, condition=conditions, tolerance=settings.tolerance
        )
        judged, all_errors = [], {}
        for m in map(methods.get, settings.methods):
            if not m.defines(quantity):
                continue
            done = run(m, problem, quantity, _arithmetic(settings, fmt), settings.numerics.step)
            sided = reference.sided(quantity, done.values != rounded)
            errors = measure(done.values, sided, rounded, fmt, limit, infinite)
            all_errors[m.name] = errors
            _merge(found, findings.find(evidence.with_run(done, errors, settings.numerics)))
            bound = bound_ulp(problem, quantity, m.name, fmt, settings)
            judged.append(Judged.of(done, errors, bound, trace=settings.trace))
        _merge(found, findings.find(replace(evidence, judged=all_errors)))
        worst = None if conditions is None else np.fmax.reduce(conditions, axis=1)
        results.append(JudgedQuantity(quantity, truth, worst, tuple(judged)))
    return Block(problem, tuple(results), found, settings.numerics.digits or fmt.digits)


def _arithmetic(settings: Settings, fmt: formats.Format) -> Arithmetic:
    accumulate = formats.get(settings.numerics.accumulate) if settings.numerics.accumulate else fmt
    return Arithmetic(fmt, accumulate, settings.numerics.order)


def _merge(into: dict[int, list[Finding]], new: dict[int, list[Finding]]) -> None:
    for row, some in new.items():
        into.setdefault(row, []).extend(some)
