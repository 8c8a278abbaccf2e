"""Losses summed or averaged over a batch: the truth exactly, each method in its own arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.judge import limits
from smcli.judge.measure import measure, round_truth
from smcli.model import MethodResult
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic, Rows
from smcli.reference import reduce_losses, settle_reduced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.judge.block import Block
    from smcli.model import FloatArray
    from smcli.problem.specs import Settings
    from smcli.reference import Reference


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reduced:
    """A loss summed or averaged over the rows of a batch.

    Attributes:
        quantity: the loss.
        exact: its true value in decimal digits.
        methods: what the methods made of it, one value each.
        note: what there is to say of it.
    """

    quantity: str
    exact: str
    methods: tuple[MethodResult, ...]
    note: str = ""


def reduce(
    blocks: Sequence[Block], references: Sequence[Reference], settings: Settings, fmt: formats.Format
) -> tuple[Reduced, ...]:
    """Every loss that was asked for, reduced as asked."""
    out = []
    digits = settings.numerics.digits or fmt.digits
    scale = references[0].problem.scale
    for k, quantity in enumerate(settings.quantities):
        if not quantities.get(quantity).is_loss:
            continue
        known = [r.at_zero(quantity) if r.problem.temperature == 0 else r for r in references]
        truth, exact = reduce_losses(known, quantity, scale, digits)
        rounded, undecided = round_truth(truth, fmt)
        if undecided.any():
            rounded = settle_reduced(known, quantity, scale, fmt)
        done = []
        for i, first in enumerate(blocks[0].results[k].methods):
            if not all(b.results[k].methods[i].available for b in blocks):
                continue
            losses = _in_order([b.results[k].methods[i].values for b in blocks], blocks)
            total = _total(losses, settings, fmt, float(1 / scale) if scale else 0.0)
            limit = limits.reduced(losses.size, settings.tolerance)
            errors = measure(total, truth, rounded, fmt, limit, np.zeros((1, 1), dtype=bool))
            done.append(MethodResult(first.method, total[0], errors.ulp[0], errors.rel[0], errors.verdicts[0], 0))
        note = "" if scale else "every row is ignored: the mean is 0/0 = nan by design, in frameworks too"
        out.append(Reduced(quantity, exact, tuple(done), note))
    return tuple(out)


def _in_order(values: Sequence[FloatArray], blocks: Sequence[Block]) -> FloatArray:
    """All losses in the order of the input, flat."""
    places = np.concatenate([b.places for b in blocks])
    if np.array_equal(places, np.arange(places.size)):
        return np.concatenate([v.reshape(-1) for v in values])
    rows = [row for v in values for row in v]
    return np.concatenate([rows[i] for i in np.argsort(places).tolist()])


def _total(losses: FloatArray, settings: Settings, fmt: formats.Format, count: float) -> FloatArray:
    accumulate = formats.get(settings.numerics.accumulate) if settings.numerics.accumulate else fmt
    o = Arithmetic(fmt, accumulate, settings.numerics.order)
    with np.errstate(all="ignore"):
        total = o.sum(Rows(losses[None], "losses"))
        if settings.loss.reduction == "mean":
            total = o.div(total, o.const(count, "N"))
    return total.values
