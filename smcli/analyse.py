"""The pipeline from raw rows to a report: the only place that knows the order of the stages."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli import methods
from smcli.errors import InputError, UnavailableError
from smcli.findings import RowEvidence, examine
from smcli.findings.accuracy import WELL
from smcli.findings.witness import testify
from smcli.judge import limits
from smcli.judge.block import Block, Judged, JudgedQuantity
from smcli.judge.conditioning import condition
from smcli.judge.measure import measure, round_truth, total_error
from smcli.problem.build import problems
from smcli.reference import Reference
from smcli.report.report import Comparison, Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smcli.batch import Batch, Written
    from smcli.judge.reduce import Reduced
    from smcli.methods import Method
    from smcli.model import FloatArray, Found, Problem
    from smcli.problem.specs import Settings

NONE: Mapping[str, Any] = MappingProxyType({})


def analyse(
    rows: Batch, settings: Settings, handed: Mapping[str, Method] = NONE,
    totals: Mapping[str, float] = NONE,
) -> Report | Comparison:  # fmt: skip
    """Run every method asked for on every row, beside the truth.

    Args:
        rows: the logits.
        settings: what to do with them.
        handed: methods that are not looked up by their name, such as values that other code computed.
        totals: losses that other code reduced, by the name to show them under.

    Raises:
        InputError: the rows and the targets or labels do not fit each other.
        UsageError: unknown names.
        UnavailableError: no method that was asked for can run.
    """
    if not len(rows):
        raise InputError("no logits", "give a row of numbers, or several")
    models = settings.numerics.models
    given: list[Reference] | None = [] if len(models) > 1 else None
    reports = tuple(_in_format(rows, settings.computing(name, inner), given, handed, totals) for name, inner in models)
    _some_method_ran(reports)
    return reports[0] if len(reports) == 1 else Comparison(settings.command, reports)


def _some_method_ran(reports: Sequence[Report]) -> None:
    judged = [m for report in reports for block in report.blocks for q in block.results for m in q.methods]
    if judged and not any(m.available for m in judged):
        said = list(dict.fromkeys(f"{m.method}: {m.reason}" for m in judged))
        advice = methods.advice({m.method: m.reason for m in judged}, "-v")
        raise UnavailableError("; ".join(said), advice, judged[0].detail)


def _in_format(
    rows: Batch, settings: Settings, given: list[Reference] | None, handed: Mapping[str, Method],
    totals: Mapping[str, float],
) -> Report:  # fmt: skip
    """The report in one format; `given` keeps the truths of the logits as they were given, for all formats."""
    blocks, references = [], []
    for k, (problem, raw) in enumerate(problems(rows, settings)):
        reference = Reference(problem)
        if given is not None and k == len(given):
            given.append(Reference(replace(problem, dtype="float64", logits=raw.values)))
        truth = given[k] if given is not None else None
        blocks.append(judge(problem, raw, reference, settings, truth, handed))
        if settings.loss.reduction != "none":
            references.append(reference)
    reduced: tuple[Reduced, ...] = ()
    if references:
        from smcli.judge.reduce import reduce

        reduced = reduce(blocks, references, settings, totals)
    report = Report.of(settings, blocks, reduced)
    if not settings.confirm:
        return report
    from smcli.confirm import confirm

    return replace(report, confirmed=confirm(blocks, reduced, settings.loss.reduction, report.digits))


def judge(
    problem: Problem,
    raw: Written,
    reference: Reference,
    settings: Settings,
    given: Reference | None = None,
    handed: Mapping[str, Method] = NONE,
    *,
    counted: bool = False,
) -> Block:
    """One block: truth, methods, errors, findings; and errors against the logits as given where those are asked for.

    Where all of it is only counted there are no bounds, no condition numbers and no remedies.
    """
    fmt = settings.format
    about_rows = RowEvidence.of(problem, raw, settings.quantities, counted=counted)
    found: list[Found] = [*examine(about_rows)]
    infinite = (problem.logits == np.inf).any(axis=1, keepdims=True)
    results = []
    for quantity in settings.quantities:
        truth = reference.truth(quantity)
        rounded = reference.settle(quantity, *round_truth(truth, fmt), fmt)
        conditions = None if counted else condition(problem, quantity, reference)
        limit = limits.limit(problem, quantity, reference, settings.tolerance)
        about_truth = about_rows.with_truth(
            quantity, truth, rounded, limit, condition=conditions, tolerance=settings.tolerance
        )
        judged, errors_of = [], {}
        for name in settings.methods:
            m = handed[name] if name in handed else methods.get(name)
            if not m.defines(quantity):
                continue
            try:
                done = methods.run(m, problem, quantity, settings.arithmetic, settings.numerics.step)
            except UnavailableError as error:
                judged.append(Judged.missing(m.name, error))
                continue
            measured = (done.values != rounded) & np.isfinite(done.values)  # whose error depends on the truth's spacing
            sided = reference.sided(quantity, measured)
            errors = errors_of[m.name] = measure(done.values, sided, rounded, fmt, limit, infinite)
            evidence = about_truth.with_run(done, errors, settings.numerics)
            own = examine(evidence)
            found += own
            if done.unseen and not evidence.all_fine:
                found += testify(evidence, about_rows, own)
            bound = None if counted else m.bound(problem, quantity, settings)
            total = None if given is None else total_error(done.values, given.truth(quantity))
            judged.append(Judged.of(done, errors, bound, total, trace=settings.trace))
        if counted and not any((e.ulp <= WELL).all() for e in errors_of.values()):
            about_truth = replace(about_truth, condition=condition(problem, quantity, reference))
        found += examine(replace(about_truth, judged=errors_of))
        worst = None if conditions is None else np.fmax.reduce(conditions, axis=1)
        results.append(JudgedQuantity(quantity, truth, worst, tuple(judged), _signs(reference, quantity)))
    return Block(problem, tuple(results), tuple(found), settings.digits)


def _signs(reference: Reference, quantity: str) -> FloatArray | None:
    """The sign of the sum in each row of a signed logsumexp."""
    signed = quantity == "logsumexp" and reference.problem.coefficients is not None
    return reference.signs() if signed else None
