"""The second opinion: every digit of the truth that is told, recomputed from the definition by other arithmetic.

Nothing here is shared with `reference`. A text of d digits is confirmed where the value lies within half a unit of its
last digit, and its error is far below that.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from smcli.confirm.row import Row
from smcli.confirm.softmaxes import signed_sum
from smcli.confirm.told import Confirmation, Reduction, Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.judge.block import Block
    from smcli.judge.reduce import Reduced

__all__ = ["Confirmation", "confirm"]


def confirm(blocks: Sequence[Block], reduced: Sequence[Reduced], reduction: str, digits: int) -> Confirmation:
    """Compute once more all that is told of the truth.

    Args:
        blocks: the judged blocks, which know the truth.
        reduced: their losses, reduced.
        reduction: how: "none", "mean", "sum" or "perplexity".
        digits: significant digits of the texts.

    Raises:
        PrecisionError: a digit differs; the message has both values.
        UsageError: nothing here says what a quantity is.
    """
    factor = _factor(blocks, reduction)
    told = Told(digits)
    for block in blocks:
        for r, place in enumerate(block.places.tolist()):
            row = Row.of(replace(block.problem, scale=factor), r)
            for q in block.results:
                texts = q.row(r, block.problem, digits)
                told.check(f"{q.quantity} of row {place}", row, q.quantity, texts.exact(range(texts.size)))
                if texts.sign is not None:
                    told.check_sign(f"the sign of row {place}", row, texts.sign, partial(signed_sum, row=row))
    rows = [Row.of(b.problem, r) for b in blocks for r in range(len(b.places))]
    for one in reduced:
        what = f"the reduced {one.quantity}"
        if reduction == "perplexity":
            told.check_sum(what, rows, one.quantity, one.exact, Reduction(factor, exponential=True))
            what = f"the mean {one.quantity}"
        text = one.mean if reduction == "perplexity" else one.exact
        told.check_sum(what, rows, one.quantity, text, Reduction(factor))
    return Confirmation(tuple(told.names), digits, told.values, told.conventions)


def _factor(blocks: Sequence[Block], reduction: str) -> Fraction:
    """What a reduction multiplies the sum of the losses by; 0 for a mean over nothing."""
    if reduction not in {"mean", "perplexity"}:
        return Fraction(1)
    total = Fraction(0)
    for row in (Row.of(b.problem, r) for b in blocks for r in range(len(b.places))):
        loss = row.loss
        if row.binary:
            total += len(row.x)  # each logit has a loss of its own
        elif not row.ignored:
            weighted = loss is not None and loss.weights is not None and loss.target is not None
            total += Fraction(float(loss.weights[loss.target[row.at]])) if weighted else 1  # type: ignore[union-attr,index]
    return 1 / total if total else Fraction(0)
