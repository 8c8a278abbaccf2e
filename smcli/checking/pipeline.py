"""Outputs of other code beside their truth: fitted to the logits, judged, and a tolerance found for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli import findings, quantities
from smcli.analyse import analyse
from smcli.checking.alternatives import of_other_losses
from smcli.checking.fit import Outputs, fitted, number_of, shape
from smcli.checking.tolerance import Trials
from smcli.errors import InputError
from smcli.judge.tolerances import Allclose, Span
from smcli.methods.base import OUTPUT
from smcli.methods.outputs import output
from smcli.model import Finding, Truth, Verdict
from smcli.numbers import formats
from smcli.report.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.batch import Batch
    from smcli.checking.summary import Summary
    from smcli.judge.block import Block
    from smcli.judge.reduce import Reduced
    from smcli.model import MethodResult
    from smcli.problem.specs import Settings
    from smcli.quantities import Quantity

LARGE = 10**5  # values beyond which a check is summed up


def check(
    logits: Batch, outputs: Batch, settings: Settings, yours: Allclose | None = None, *, whole: bool | None = None,
    forks: bool = False,
) -> Report | Summary:  # fmt: skip
    """Judge every value.

    Args:
        logits: what the values were computed of.
        outputs: the values.
        settings: with one quantity and one number format.
        yours: a tolerance to be judged, too.
        forks: whether this process may copy itself.
        whole: whether every value is kept; None: where they are not too many. Reduced losses always are.

    Raises:
        InputError: the shapes do not agree, or an output is no number of the format.
    """
    quantity = quantities.get(settings.quantities[0])
    if quantity.is_loss and settings.loss.reduction != "none":
        return _reduced(logits, outputs, settings, yours)
    source = source_of(logits, outputs, settings, quantity)
    if settings.numbers is not None:
        logits, source = logits.select(settings.numbers), source.select(settings.numbers)
    if whole is None:
        whole = number_of(source.batch) <= LARGE
    if not whole:
        from smcli.checking.large import sum_up

        return sum_up(logits, source, settings, yours, forks=forks)
    report = analyse(logits, settings, {OUTPUT: output(source)})
    assert isinstance(report, Report)  # noqa: S101 - of one format
    trials = Trials.of(quantity.name, formats.get(report.dtype), span_of(report.blocks), yours)
    for block in report.blocks:
        (judged,) = block.results
        (own,) = judged.methods
        trials.add(own.values, judged.truth, own.rel, report.numbers[block.places].tolist())
    return replace(report, tolerance=trials.document())


def source_of(logits: Batch, outputs: Batch, settings: Settings, quantity: Quantity) -> Outputs:
    """The outputs as rows that belong to the rows of logits."""
    loss = settings.loss
    per_class = quantity.shape == "class" or (quantity.shape == "loss" and not loss.given)
    per_class |= quantity.shape == "target" and loss.target is None
    return fitted(outputs, logits, quantity, per_class=per_class)


def span_of(blocks: Iterable[Block]) -> Span:
    """What the tolerance depends on, over all rows."""
    span = Span(scale=0.0)
    for block in blocks:
        span |= Span.of(block.problem)
    return span


def _reduced(logits: Batch, outputs: Batch, settings: Settings, yours: Allclose | None) -> Report:
    count = number_of(outputs)
    how = settings.loss.reduction
    if count != 1:
        raise InputError(
            f"the outputs have the shape {shape(outputs)}, where the {how} of the losses is one number",
            "leave out --reduction to check the losses of the rows",
        )
    fmt = settings.format
    total = Outputs(outputs).number(fmt)
    logits = logits if settings.numbers is None else logits.select(settings.numbers)
    report = analyse(logits, replace(settings, methods=()), totals={OUTPUT: total})
    assert isinstance(report, Report)  # noqa: S101 - of one format
    (reduced,) = report.reduced
    (own,) = reduced.methods
    span = replace(span_of(report.blocks), reduced=len(report.numbers))
    trials = Trials.of(reduced.quantity, fmt, span, yours)
    told = Truth(np.array([[float(reduced.exact)]]), np.zeros((1, 1)), np.zeros((1, 1), np.int64), 2.0**-53)
    trials.add(own.values[None], told, own.rel, [None])
    found = _about_reduced(reduced, own, report, settings)
    return replace(report, methods=(OUTPUT,), tolerance=trials.document(), about_all=found)


def _about_reduced(reduced: Reduced, own: MethodResult, report: Report, settings: Settings) -> tuple[Finding, ...]:
    """What is wrong with a loss that was reduced by other code."""
    verdict, y, how = Verdict(int(own.verdicts[0])), float(own.values[0]), settings.loss.reduction
    if verdict not in {Verdict.LOST, Verdict.INACCURATE}:
        return ()
    rule = findings.get("SM401" if verdict == Verdict.INACCURATE else "SM402" if y == 0 else "SM303")
    other = "" if reduced.slipped or verdict == Verdict.LOST else of_other_losses(y, reduced, report.blocks, settings)
    told = f"; {reduced.note}" if reduced.note else ""
    off = f", wrong by {own.rel[0]:.3g} relative" if np.isfinite(own.rel[0]) else ""
    narrow = formats.get(report.dtype).p < formats.get("float32").p
    wide = "compute the losses in float32 or wider and reduce them there; " if narrow and not reduced.slipped else ""
    divisor = "the sum of the weights of their targets" if settings.loss.weights is not None else "their number"
    plain = "ignored rows count neither in the sum nor in the divisor of the mean"
    mean = f"; a mean divides the losses by {divisor}" if how == "mean" and not settings.loss.binary else ""
    return (
        Finding(
            rule.code, rule.name, rule.severity, reduced.quantity, OUTPUT, (), 1, None,
            f"the {how} of the losses is given as {y!r}, where it is {reduced.exact}{off}{told}",
            other or f"{wide}{plain}{mean}",
        ),
    )  # fmt: skip
