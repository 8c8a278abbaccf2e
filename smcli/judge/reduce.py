"""Losses summed or averaged over a batch: the truth exactly, each method in its own arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from smcli.judge import limits
from smcli.judge.measure import measure, round_truth
from smcli.model import MethodResult
from smcli.numbers.arithmetic import Rows
from smcli.reference import perplexity, reduce_losses, settle_reduced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    from smcli.judge.block import Block, Judged
    from smcli.judge.measure import Limit
    from smcli.model import FloatArray, Truth
    from smcli.problem.specs import Settings
    from smcli.reference import Reference

CLOSE = 1e-3  # of a ratio that tells a slip


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reduced:
    """A loss summed or averaged over the rows of a batch.

    Attributes:
        quantity: the loss.
        exact: its true value in decimal digits.
        methods: what the methods made of it, one value each.
        note: what there is to say of it.
        mean: of a perplexity the mean whose exponential it is, in decimal digits.
        slipped: whether the note says how other code reduced it otherwise.
    """

    quantity: str
    exact: str
    methods: tuple[MethodResult, ...]
    note: str = ""
    mean: str = ""
    slipped: bool = False


def reduce(
    blocks: Sequence[Block], references: Sequence[Reference], settings: Settings, totals: Mapping[str, float]
) -> tuple[Reduced, ...]:  # fmt: skip
    """The loss that the options belong to, reduced as asked; `totals` are what other code made of it."""
    out = []
    fmt, scale = settings.format, references[0].problem.scale
    for k, quantity in enumerate(settings.quantities):
        if quantity != settings.loss.kind:
            continue
        known = [r.at_zero(quantity) if r.problem.temperature == 0 else r for r in references]
        truth, exact, rounded, note, mean = _truth(known, quantity, settings)
        done, slipped = [], False
        for i, first in enumerate(blocks[0].results[k].methods):
            if not all(b.results[k].methods[i].available for b in blocks):
                continue
            done_in = [b.results[k].methods[i] for b in blocks]
            losses = _in_order([_losses(m, b) for m, b in zip(done_in, blocks, strict=True)], blocks)
            total = _total(losses, settings, float(1 / scale) if scale else 0.0)
            limit = _limit(losses.size, truth, settings)
            errors = measure(total, truth, rounded, fmt, limit, np.zeros((1, 1), dtype=bool))
            done.append(MethodResult(first.method, total[0], errors.ulp[0], errors.rel[0], errors.verdicts[0], 0))
        count = sum(len(b.places) for b in blocks)
        if not scale:
            note = "every row is ignored: the mean is 0/0 = nan by design, in frameworks too"
        for method, given in totals.items():
            limit = _limit(count, truth, settings)
            values = np.array([[given]])
            errors = measure(values, truth, rounded, fmt, limit, np.zeros((1, 1), dtype=bool))
            done.append(MethodResult(method, values[0], errors.ulp[0], errors.rel[0], errors.verdicts[0], 0))
            true = float(truth.nearest()[0, 0])
            close = min(CLOSE, 2 * float(limit.ulp.max()) * fmt.unit_roundoff)
            slip = _slip(given / true, close, float(1 / scale) if scale else 0.0, blocks, settings) if true else ""
            note, slipped = slip or note, bool(slip)
        out.append(Reduced(quantity, exact, tuple(done), note, mean, slipped))
    return tuple(out)


def _truth(known: Sequence[Reference], quantity: str, settings: Settings) -> tuple[Truth, str, FloatArray, str, str]:
    """The truth of a reduction, its digits, what it rounds to, what there is to say of it, and a perplexity's mean."""
    fmt, digits, scale = settings.format, settings.digits, known[0].problem.scale
    mean, of_mean = "", settings.loss.reduction == "perplexity" and bool(scale)
    if of_mean:
        truth, exact, mean = perplexity(known, quantity, scale, digits)
    else:
        truth, exact = reduce_losses(known, quantity, scale, digits)
    rounded, undecided = round_truth(truth, fmt)
    if undecided.any():
        rounded = np.array([[settle_reduced(known, quantity, scale, fmt, exponential=of_mean)]])
    if not of_mean:
        return truth, exact, rounded, _divisor(scale, settings), ""
    beyond = f"; it is beyond {fmt.name}, whose largest number is {fmt.max:g}" if truth.hi[0, 0] < np.inf else ""
    note = f"perplexity, the exponential of the mean {mean}{beyond if not np.isfinite(rounded).all() else ''}"
    return truth, exact, rounded, note, mean


def _limit(count: int, truth: Truth, settings: Settings) -> Limit:
    """What counts as accurate of a reduction: of a perplexity also what its logarithm's own rounding makes of it."""
    limit = limits.reduced(count, settings.tolerance)
    if settings.loss.reduction != "perplexity" or settings.tolerance.given:
        return limit
    with np.errstate(all="ignore"):
        log = np.abs(np.log(np.abs(truth.hi)) + truth.exp2 * np.log(2.0))
    return replace(limit, ulp=limit.ulp * (1 + np.nan_to_num(log, posinf=0.0)))


def _divisor(scale: Fraction, settings: Settings) -> str:
    """By what a mean was divided, where that is not always the same."""
    spec = settings.loss
    if spec.reduction == "mean" and scale and spec.binary:
        return f"the mean divides by {float(1 / scale):g}, the number of logits, each of which has a loss of its own"
    if spec.reduction == "mean" and scale and spec.kind == "kl":
        return f"the mean divides by {float(1 / scale):g}, the number of rows, as batchmean of PyTorch does"
    if spec.reduction != "mean" or spec.weights is None or not scale:
        return ""
    by = "the sum of the weights of the targets" if spec.target is not None else "the number of rows"
    return f"the mean divides by {float(1 / scale):g}, {by}"


def _slip(ratio: float, close: float, divisor: float, blocks: Sequence[Block], settings: Settings) -> str:
    """A usual slip that explains a wrong total: what it is, in words; empty where none does.

    Args:
        ratio: of the total to the true one.
        close: by how much, relatively, it may differ from that of a slip.
        divisor: what a mean divides by.
        blocks: the rows.
        settings: what was asked.
    """
    rows, counted = sum(len(b.places) for b in blocks), sum(b.problem.counted for b in blocks)
    if not counted:
        return ""
    loss = settings.loss
    logits = sum(b.problem.logits.size for b in blocks)
    binary, mean, weighed = loss.binary, loss.reduction == "mean", loss.weights is not None
    left_out = f"it is divided by all {rows} rows, those left out too"
    slips = {
        "it is the sum, not the mean": (divisor if mean else 1.0),
        "it is the mean, not the sum": (1 / (logits if binary else counted) if loss.reduction == "sum" else 1.0),
        "its sign is wrong": -1.0,
    }
    if mean and weighed and not binary:
        slips[f"it is divided by the {counted} rows, not by the sum of their weights"] = divisor / counted
        slips[left_out] = divisor / rows
    elif mean and binary:
        slips[f"it is divided by the {rows} rows, not by the {logits} logits"] = logits / rows
    elif mean:
        slips[left_out] = counted / rows
        slips[f"it is divided by all {logits} logits, not by the {rows} rows"] = rows / logits
    return next((said for said, of in slips.items() if of != 1 and abs(ratio / of - 1) < close), "")


def _losses(judged: Judged, block: Block) -> FloatArray:
    """The losses of a block before their last rounding; 0 in rows that are left out, as their rounded ones are."""
    if judged.unrounded is None:
        return judged.values
    left_out = block.problem.ignored
    return judged.unrounded if left_out is None else np.where(left_out[:, None], 0.0, judged.unrounded)


def _in_order(values: Sequence[FloatArray], blocks: Sequence[Block]) -> FloatArray:
    """All losses in the order of the input, flat."""
    places = np.concatenate([b.places for b in blocks])
    if np.array_equal(places, np.arange(places.size)):
        return np.concatenate([v.reshape(-1) for v in values])
    rows = [row for v in values for row in v]
    return np.concatenate([rows[i] for i in np.argsort(places).tolist()])


def _total(losses: FloatArray, settings: Settings, count: float) -> FloatArray:
    o = settings.arithmetic
    with np.errstate(all="ignore"):
        total = o.sum(Rows(losses[None], "losses"))
        if settings.loss.reduction in {"mean", "perplexity"}:
            total = o.div(total, o.const(count, "N"))
        if settings.loss.reduction == "perplexity":
            total = o.exp(total)
        return o.cast(total, settings.format).values
