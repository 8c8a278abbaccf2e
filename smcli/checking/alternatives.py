"""A reduced loss that is wrong beside the losses of alternative problems, reduced alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.errors import SmcliError
from smcli.judge import limits
from smcli.judge.measure import Limit
from smcli.numbers import formats
from smcli.problem.specs import Tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.findings.alternatives import Candidate
    from smcli.judge.block import Block
    from smcli.judge.reduce import Reduced
    from smcli.model import FloatArray
    from smcli.problem.specs import Settings

MOST = 1 << 16  # logits up to which all alternatives are tried: some fifty truths of each row


def of_other_losses(y: float, reduced: Reduced, blocks: Sequence[Block], settings: Settings) -> str:
    """Which alternative's losses add up to a value, in a sentence; empty where none does, or there are too many rows.

    Args:
        y: the value.
        reduced: what it should be.
        blocks: the rows.
        settings: with a mean or a sum.
    """
    from smcli.findings.alternatives import Values, told
    from smcli.findings.evidence import NEEDED
    from smcli.findings.mistakes import MISTAKES

    rows = sum(len(b.places) for b in blocks)
    if settings.loss.reduction == "perplexity" or sum(b.problem.logits.size for b in blocks) > MOST:
        return ""
    problem = blocks[0].problem
    fmt, true = formats.get(problem.dtype), np.array([[float(reduced.exact)]])
    counted = sum(b.problem.counted for b in blocks)
    scales = {float(problem.scale)}
    if settings.loss.reduction == "mean" and settings.loss.weights is not None:
        scales |= {1 / counted, 1 / rows}
    limit = limits.reduced(rows, Tolerance())
    for candidate in MISTAKES if problem.temperature else ():
        losses = _losses(candidate, blocks, reduced.quantity)
        if losses is None:
            continue
        for scale in sorted(scales):
            total, size = (np.array([[float(part.sum()) * scale]]) for part in (losses, np.abs(losses)))
            near = Values(total, Limit(limit.ulp, parts=size, base=limit.ulp))
            with np.errstate(all="ignore"):  # a truth may be as small as it likes
                bits = float(told(np.array([[y]]), true, near, fmt)[0])
            if bits >= NEEDED:
                return candidate.sentence_of_total(settings.loss.reduction)
    return ""


def _losses(candidate: Candidate, blocks: Sequence[Block], quantity: str) -> FloatArray | None:
    """The losses of an alternative of all rows that count; None where it does not apply."""
    from smcli.findings.alternatives import asked_of_truth

    found = []
    for block in blocks:
        (truth,) = (r.truth for r in block.results if r.quantity == quantity)
        question = asked_of_truth(block.problem, quantity, truth)
        try:
            values = candidate.values(question)
        except SmcliError:
            return None
        if values is None or values.values.shape != question.y.shape:
            return None
        found.append(values.values)
    return np.concatenate(found)
