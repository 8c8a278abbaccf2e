"""The pipeline from raw rows to a report: the only place that knows the order of the stages."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli import findings, methods
from smcli.errors import InputError
from smcli.judge.conditioning import bound_ulp, condition
from smcli.judge.measure import Errors, Limit, accuracy_limit, as_float, measure, round_truth, worst
from smcli.methods.gradients import run
from smcli.model import Loss, MethodResult, Problem, QuantityResult, RowReport
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic, Rows
from smcli.reference import Reference, reduce_losses, settle_reduced
from smcli.report.report import RANK, Comparison, Reduced, Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from smcli.model import BoolArray, Finding, FloatArray, RawRow, Settings

BLOCK = 1 << 20  # logits that are worked on at once


def analyse(rows: Sequence[RawRow], settings: Settings) -> Report | Comparison:
    """Run every method asked for on every row, beside the truth.

    Raises:
        InputError: the rows and the targets or labels do not fit each other.
        UsageError: unknown names.
        UnavailableError: no method that was asked for can run.
    """
    if not rows:
        raise InputError("no logits", "give them as arguments, with -i FILE, or on standard input")
    reports = tuple(_in_format(rows, settings, formats.get(name)) for name in settings.numerics.dtypes)
    return reports[0] if len(reports) == 1 else Comparison(settings.command, reports)


def _in_format(rows: Sequence[RawRow], settings: Settings, fmt: formats.Format) -> Report:
    out: list[RowReport] = []
    pieces: list[tuple[Reference, dict[str, list[_Measured]]]] = []
    for problem, block in problems(rows, settings, fmt):
        reference = Reference(problem)
        reports, measured = _block(problem, reference, block, settings, fmt)
        out += reports
        pieces.append((reference, measured))
    digits = settings.numerics.digits or fmt.digits
    reduced = _reduce(pieces, settings, fmt, digits) if settings.loss.reduction != "none" else ()
    return Report(
        settings.command,
        fmt.name,
        digits,
        tuple(out),
        reduced,
        (settings.tolerance.max_ulp, settings.tolerance.max_rel),
    )


def problems(
    rows: Sequence[RawRow], settings: Settings, fmt: formats.Format
) -> Iterator[tuple[Problem, Sequence[RawRow]]]:
    """The rows as problems in one format, block by block, with the raw rows of each block.

    Raises:
        InputError: targets, labels, weights or a cotangent do not fit the rows.
    """
    scale = _reduction_scale(rows, settings, fmt)
    for start, stop in _blocks(rows):
        block = rows[start:stop]
        logits = np.stack([fmt.round_written(r.values, r.tokens) for r in block])
        classes = logits.shape[1]
        yield (
            Problem(
                dtype=fmt.name,
                logits=logits,
                loss=_loss(settings, fmt, start, stop, classes, len(rows)),
                temperature=_one(settings.numerics.temperature, fmt, 1.0, "--temperature"),
                softcap=_one(settings.numerics.softcap, fmt, 0.0, "--softcap") or None,
                ignored=_ignored(settings, start, stop, len(rows)),
                scale=scale,
                cotangent=_vector(settings.loss.cotangent, fmt, classes, "--cotangent"),
                first_row=start,
            ),
            block,
        )


def _blocks(rows: Sequence[RawRow]) -> Iterable[tuple[int, int]]:
    """Stretches of rows of one length, of bounded size."""
    start = 0
    while start < len(rows):
        size = rows[start].values.size
        most = max(1, BLOCK // max(size, 1))
        stop = start + 1
        while stop < len(rows) and stop - start < most and rows[stop].values.size == size:
            stop += 1
        yield start, stop
        start = stop


def _one(raw: RawRow | None, fmt: formats.Format, default: float, what: str) -> float:
    if raw is None:
        return default
    value = float(_held(raw, fmt, what)[0])
    if value == 0 and raw.values[0] != 0:
        raise InputError(f"{what} {raw.values[0]:g} is 0 in {fmt.name}", "choose a value that the number format holds")
    return value


def _vector(raw: RawRow | None, fmt: formats.Format, size: int, what: str) -> FloatArray | None:
    if raw is None:
        return None
    if raw.values.size != size:
        raise InputError(f"{raw.values.size} numbers in {what} for a row of {size} logits", "give one for each class")
    return _held(raw, fmt, what)


def _held(raw: RawRow, fmt: formats.Format, what: str) -> FloatArray:
    """The numbers of an option in the format, which has to hold them."""
    values = fmt.round_written(raw.values, raw.tokens)
    beyond = np.flatnonzero(~np.isfinite(values))
    if beyond.size:
        at = f", number {beyond[0]}," if values.size > 1 else ""
        reason = f"is beyond {fmt.name}, whose largest number is {fmt.max:g}"
        raise InputError(
            f"{what}{at} {raw.values[beyond[0]]:g} {reason}", "choose a value that the number format holds"
        )
    return values


def _targets(settings: Settings, count: int) -> tuple[int, ...] | None:
    """The target of each row; a list for the whole input where only some of its rows were chosen fits too."""
    targets, numbers = settings.loss.target, settings.numbers
    if targets is None or len(targets) == count:
        return targets
    if len(targets) == 1:
        return targets * count
    if numbers is not None and len(targets) > max(numbers):
        return tuple(targets[n] for n in numbers)
    raise InputError(f"{len(targets)} targets for {count} rows", "give one target for all rows, or one for each")


def _loss(settings: Settings, fmt: formats.Format, start: int, stop: int, classes: int, count: int) -> Loss | None:
    weights = _vector(settings.loss.weights, fmt, classes, "--class-weights")
    z_loss = _one(settings.loss.z_loss, fmt, 0.0, "--z-loss")
    kind = settings.loss.kind
    targets = _targets(settings, count)
    if targets is not None:
        for row, t in enumerate(targets[start:stop], start):
            if not 0 <= t < classes and t != settings.loss.ignore_index:
                raise InputError(f"target {t} of row {row} is not a class: there are {classes}, counted from 0",
                                 f"targets run from 0 to {classes - 1}")  # fmt: skip
        counted = [
            0 if t == settings.loss.ignore_index else t for t in targets[start:stop]
        ]  # an ignored row's is never used
        return Loss(kind, np.array(counted), None, settings.loss.smoothing, weights, z_loss)
    if settings.loss.labels is None:
        return None
    given, numbers = settings.loss.labels, settings.numbers
    if len(given) not in {1, count} and numbers is not None and len(given) > max(numbers):
        given = tuple(given[n] for n in numbers)  # of a whole batch, of which some rows were chosen
    if len(given) not in {1, count}:
        raise InputError(f"{len(given)} rows of labels for {count} rows of logits", "give one row, or one for each")
    chosen = given * (stop - start) if len(given) == 1 else given[start:stop]
    for row, raw in enumerate(chosen, start):
        if raw.values.size != classes:
            raise InputError(
                f"{raw.values.size} labels for row {row} of {classes} logits", "give one label for each class"
            )
    labels = np.stack([_held(raw, fmt, "--labels") for raw in chosen])
    return Loss(kind, None, labels, settings.loss.smoothing, weights, z_loss)


def _ignored(settings: Settings, start: int, stop: int, count: int) -> BoolArray | None:
    targets = _targets(settings, count)
    if targets is None or settings.loss.ignore_index is None:
        return None
    return np.array([t == settings.loss.ignore_index for t in targets[start:stop]])


def _reduction_scale(rows: Sequence[RawRow], settings: Settings, fmt: formats.Format) -> Fraction:
    """What a reduction multiplies each row's loss by: 1, or 1 over the weight of the rows that count."""
    if settings.loss.reduction != "mean":
        return Fraction(1)
    targets = _targets(settings, len(rows))
    counted = [t for t in targets or () if t != settings.loss.ignore_index]
    if targets is None:
        total = Fraction(len(rows))
    elif settings.loss.weights is not None:
        w = _held(settings.loss.weights, fmt, "--class-weights")
        total = sum((Fraction(float(w[t])) for t in counted if 0 <= t < w.size), Fraction(0))
    else:
        total = Fraction(len(counted))
    if settings.loss.kind == "bce":
        total = Fraction(sum(r.values.size for r in rows))
    return 1 / total if total else Fraction(0)


class _Measured:
    """One method's values of one quantity of a block, judged."""

    def __init__(self, run_: methods.Run, errors: Errors, found: dict[int, list[Finding]]) -> None:
        self.run, self.errors, self.found = run_, errors, found


def _block(
    problem: Problem, reference: Reference, raw: Sequence[RawRow], settings: Settings, fmt: formats.Format
) -> tuple[list[RowReport], dict[str, list[_Measured]]]:
    about_rows = _row_evidence(problem, raw, fmt)
    found: dict[int, list[Finding]] = {}
    _merge(found, findings.find(about_rows, "row"))
    results: list[list[QuantityResult]] = [[] for _ in raw]
    everything: dict[str, list[_Measured]] = {}
    for quantity in settings.quantities:
        truth = reference.truth(quantity)
        rounded = reference.settle(quantity, *round_truth(truth, fmt), fmt)
        conditions = condition(problem, quantity, reference)
        limit = _limit(problem, quantity, reference, settings)
        evidence = replace(
            about_rows, quantity=quantity, truth=truth, rounded=rounded, condition=conditions,
            accurate_ulp=limit.ulp, limit_given=settings.tolerance.max_ulp is not None or settings.tolerance.max_rel is not None, truth_float=as_float(truth),
        )  # fmt: skip
        _merge(found, findings.find(evidence, "truth"))
        measured = []
        for name in settings.methods:
            m = methods.get(name)
            if not m.defines(quantity):
                continue
            o = Arithmetic(
                fmt,
                formats.get(settings.numerics.accumulate) if settings.numerics.accumulate else fmt,
                settings.numerics.order,
            )
            done = run(m, problem, quantity, o, settings.numerics.step)
            sided = reference.sided(quantity, done.values != rounded)
            errors = measure(
                done.values, sided, rounded, fmt, limit, (problem.logits == np.inf).any(axis=1, keepdims=True)
            )
            about_run = replace(evidence, run=done, errors=errors)
            one = _Measured(done, errors, findings.find(about_run, "run"))
            _merge(found, one.found)
            measured.append(one)
        everything[quantity] = measured
        bounds = {one.run.method: bound_ulp(problem, quantity, one.run.method, fmt, settings) for one in measured}
        for r, part in enumerate(results):
            part.append(_quantity_result(problem, reference, quantity, r, measured, bounds, conditions, settings, fmt))
    return [_row_report(problem, r, results[r], found.get(r, []), settings) for r in range(len(raw))], everything


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


def _limit(problem: Problem, quantity: str, reference: Reference, settings: Settings) -> Limit:
    if settings.tolerance.max_ulp is None and settings.tolerance.max_rel is None:
        lse = as_float(reference.truth("logsumexp")) if quantity == "logsumexp" else None
        return Limit(accuracy_limit(problem, quantity, lse))
    ulp = math.inf if settings.tolerance.max_ulp is None else settings.tolerance.max_ulp
    return Limit(np.array(ulp), math.inf if settings.tolerance.max_rel is None else settings.tolerance.max_rel)


def _quantity_result(
    problem: Problem, reference: Reference, quantity: str, r: int, measured: Sequence[_Measured],
    bounds: dict[str, FloatArray | None], conditions: FloatArray | None, settings: Settings, fmt: formats.Format,
) -> QuantityResult:  # fmt: skip
    truth = reference.truth(quantity)
    size = truth.hi.shape[1]
    with np.errstate(all="ignore"):
        log10 = np.log10(np.abs(truth.hi[r])) + truth.exp2[r] * math.log10(2)
    digits = settings.numerics.digits or fmt.digits

    def exact(indices: Iterable[int]) -> list[str]:
        return reference.strings(quantity, r, list(indices), digits)

    def result(one: _Measured) -> MethodResult:
        bound = bounds[one.run.method]
        return MethodResult(
            method=one.run.method,
            values=one.run.values[r],
            ulp=one.errors.ulp[r],
            rel=one.errors.rel[r],
            verdicts=one.errors.verdicts[r],
            worst=worst(one.errors.ulp[r]),
            bound_ulp=None if bound is None or not np.isfinite(bound[r]) else float(bound[r]),
            steps=tuple(s.summary(r) for s in one.run.steps) if settings.trace else None,
            condition=None if conditions is None else float(np.fmax.reduce(conditions[r])),
        )

    return QuantityResult(
        quantity=quantity,
        exact=exact,
        size=size,
        certified=truth.bound,
        truth=as_float(truth)[r],
        log10=log10,
        square=problem.logits.shape[1] if quantity == "jacobian" else 0,
        methods=tuple(map(result, measured)),
    )


def _row_report(
    problem: Problem, r: int, results: Sequence[QuantityResult], found: Sequence[Finding], settings: Settings
) -> RowReport:
    loss, numbers = problem.loss, settings.numbers
    position = problem.first_row + r
    number = position if numbers is None else numbers[position]
    targets = settings.loss.target if numbers is None else _targets(settings, len(numbers))
    order = {m: i for i, m in enumerate(settings.methods)}
    ranked = sorted(found, key=lambda f: (-RANK[f.severity], f.code, order.get(f.method or "", -1)))
    return RowReport(
        row=number,
        logits=problem.logits[r],
        target=None if targets is None else targets[position if len(targets) > 1 else 0],
        ignored=bool(problem.ignored is not None and problem.ignored[r]),
        results=tuple(results),
        findings=tuple(ranked),
        labels=loss.labels[r] if loss is not None and loss.labels is not None else None,
    )


def _reduce(
    pieces: Sequence[tuple[Reference, dict[str, list[_Measured]]]], settings: Settings, fmt: formats.Format, digits: int
) -> tuple[Reduced, ...]:  # fmt: skip
    """Sum or average each loss over the batch: the truth exactly, a method in its own arithmetic."""
    out = []
    scale = pieces[0][0].problem.scale
    for quantity in settings.quantities:
        if quantity not in {"cross-entropy", "bce"}:
            continue
        truth, exact = reduce_losses([r for r, _ in pieces], quantity, scale, digits)
        rounded, undecided = round_truth(truth, fmt)
        if undecided.any():
            rounded = settle_reduced([r for r, _ in pieces], quantity, scale, fmt)
        done = []
        for k, one in enumerate(pieces[0][1][quantity]):
            o = Arithmetic(
                fmt,
                formats.get(settings.numerics.accumulate) if settings.numerics.accumulate else fmt,
                settings.numerics.order,
            )
            losses = np.concatenate([everything[quantity][k].run.values.reshape(-1) for _, everything in pieces])
            with np.errstate(all="ignore"):
                total = o.sum(Rows(losses[None], "losses"))
                if settings.loss.reduction == "mean":
                    total = o.div(total, o.const(float(1 / scale) if scale else 0.0, "N"))
            limit = _reduced_limit(settings, losses.size)
            errors = measure(total.values, truth, rounded, fmt, limit, np.zeros((1, 1), dtype=bool))
            done.append(
                MethodResult(one.run.method, total.values[0], errors.ulp[0], errors.rel[0], errors.verdicts[0], 0)
            )
        note = "" if scale else "every row is ignored: the mean is 0/0 = nan by design, in frameworks too"
        out.append(Reduced(quantity, exact, tuple(done), note))
    return tuple(out)


def _reduced_limit(settings: Settings, count: int) -> Limit:
    if settings.tolerance.max_ulp is None and settings.tolerance.max_rel is None:
        return Limit(np.array(max(8.0, 2 * (math.log2(max(count, 1)) + 4))))
    ulp = math.inf if settings.tolerance.max_ulp is None else settings.tolerance.max_ulp
    return Limit(np.array(ulp), math.inf if settings.tolerance.max_rel is None else settings.tolerance.max_rel)
