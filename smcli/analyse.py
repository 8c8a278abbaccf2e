"""The pipeline from raw rows to a report: the only place that knows the order of the stages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli import findings, methods
from smcli.errors import InputError
from smcli.judge import limits
from smcli.judge.block import Block, Judged, JudgedQuantity
from smcli.judge.conditioning import condition
from smcli.judge.measure import as_float, measure, round_truth, total_error
from smcli.judge.reduce import reduce
from smcli.methods import run
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic
from smcli.problem.build import problems
from smcli.reference import Reference
from smcli.report.report import Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import BoolArray, Finding, Problem, RawRow, Settings


def analyse(rows: Sequence[RawRow], settings: Settings) -> Report | Comparison:
    """Run every method asked for on every row, beside the truth.

    Raises:
        InputError: the rows and the targets or labels do not fit each other.
        UsageError: unknown names.
        UnavailableError: no method that was asked for can run.
    """
    if not len(rows):
        raise InputError("no logits", "give them as arguments, with -i FILE, or on standard input")
    dtypes = settings.numerics.dtypes
    given: list[Reference] | None = [] if len(dtypes) > 1 else None
    reports = tuple(_in_format(rows, settings, formats.get(name), given) for name in dtypes)
    return reports[0] if len(reports) == 1 else Comparison(settings.command, reports)


def _in_format(
    rows: Sequence[RawRow], settings: Settings, fmt: formats.Format, given: list[Reference] | None
) -> Report:
    """The report in one format; `given` keeps the truths of the logits as they were given, for all formats."""
    blocks, references = [], []
    for k, (problem, raw) in enumerate(problems(rows, settings, fmt)):
        reference = Reference(problem)
        if given is not None and k == len(given):
            given.append(Reference(replace(problem, dtype="float64", logits=np.stack([r.values for r in raw]))))
        blocks.append(judge(problem, raw, reference, settings, fmt, given[k] if given is not None else None))
        if settings.loss.reduction != "none":
            references.append(reference)
    reduced = reduce(blocks, references, settings, fmt) if references else ()
    return Report.of(settings, fmt, blocks, reduced)


def judge(
    problem: Problem,
    raw: Sequence[RawRow],
    reference: Reference,
    settings: Settings,
    fmt: formats.Format,
    given: Reference | None = None,
) -> Block:
    """One block: truth, methods, errors, findings; and errors against the logits as given where those are asked for."""
    about_rows = _row_evidence(problem, raw, fmt)
    found: dict[int, list[Finding]] = {}
    _merge(found, findings.find(about_rows, "row"))
    infinite = (problem.logits == np.inf).any(axis=1, keepdims=True)
    results = []
    for quantity in settings.quantities:
        truth = reference.truth(quantity)
        rounded = reference.settle(quantity, *round_truth(truth, fmt), fmt)
        conditions = condition(problem, quantity, reference)
        limit = limits.limit(problem, quantity, reference, settings.tolerance)
        evidence = replace(
            about_rows, quantity=quantity, truth=truth, rounded=rounded, condition=conditions, accurate_ulp=limit.ulp,
            limit_given=settings.tolerance.given, truth_float=as_float(truth),
        )  # fmt: skip
        _merge(found, findings.find(evidence, "truth"))
        judged = []
        for m in map(methods.get, settings.methods):
            if not m.defines(quantity):
                continue
            done = run(m, problem, quantity, _arithmetic(settings, fmt), settings.numerics.step)
            sided = reference.sided(quantity, done.values != rounded)
            errors = measure(done.values, sided, rounded, fmt, limit, infinite)
            _merge(found, findings.find(replace(evidence, run=done, errors=errors), "run"))
            bound = m.bound(problem, quantity, fmt, settings)
            total = None if given is None else total_error(done.values, given.truth(quantity))
            judged.append(Judged.of(done, errors, bound, total, trace=settings.trace))
        worst = None if conditions is None else np.fmax.reduce(conditions, axis=1)
        results.append(JudgedQuantity(quantity, truth, worst, tuple(judged)))
    return Block(problem, tuple(results), found, settings.numerics.digits or fmt.digits)


def _arithmetic(settings: Settings, fmt: formats.Format) -> Arithmetic:
    accumulate = formats.get(settings.numerics.accumulate) if settings.numerics.accumulate else fmt
    return Arithmetic(fmt, accumulate, settings.numerics.order)


def _merge(into: dict[int, list[Finding]], new: dict[int, list[Finding]]) -> None:
    for row, some in new.items():
        into.setdefault(row, []).extend(some)


def _row_evidence(problem: Problem, raw: Sequence[RawRow], fmt: formats.Format) -> findings.Evidence:
    written = np.stack([r.values for r in raw])
    with np.errstate(all="ignore"):
        change = np.where(np.isfinite(written), problem.logits - written, 0.0)
        lost = np.isnan(problem.logits) & np.isinf(written)  # a format without infinity
        change[~np.isfinite(problem.logits) & np.isfinite(written) | lost] = np.inf
    for r, row in enumerate(raw):
        if row.tokens is None:
            continue
        beyond = ~np.isfinite(row.values) | (np.abs(row.values) >= 2.0**43)  # half a spacing there is above 0.0004
        for i in np.flatnonzero(beyond).tolist():
            if not np.isfinite(row.values[i]):
                if "n" not in row.tokens[i].lower():
                    change[r, i] = np.inf
            elif np.isfinite(problem.logits[r, i]):
                change[r, i] = -formats.written_error(row.tokens[i], float(problem.logits[r, i]))
    labelled = _labelled(problem)
    return findings.Evidence(problem, fmt, written, change, labelled=labelled)


def _labelled(problem: Problem) -> BoolArray | None:
    """Where the loss puts weight, smoothing included; None without a cross-entropy target."""
    loss = problem.loss
    if loss is None or loss.kind != "cross-entropy":
        return None
    weight = loss.labels if loss.labels is not None else np.zeros(problem.logits.shape)
    if loss.target is not None:
        weight = weight.copy()
        rows = np.arange(loss.target.size)
        weight[rows, np.maximum(loss.target, 0)] = 1.0
    where: BoolArray = (weight != 0) | (loss.smoothing > 0)
    if problem.ignored is not None:
        where &= ~problem.ignored[:, None]
    return where
