"""Which loss is whose, in plain float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smcli.model import required
from smcli.reference.float64 import along, binary_focal, kernel_gradients, kernels, values

if TYPE_CHECKING:
    from smcli.model import Problem
    from smcli.reference.tiles import Sheet


def gradient(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with the gradient of the loss."""
    loss = required(problem.loss)
    if loss.kind == "entropy":
        along.entropy(problem, sheet)
    elif loss.kind == "kl":
        (along.divergence if loss.reverse else kernel_gradients.divergence)(problem, sheet)
    elif loss.kind == "focal":
        (kernel_gradients.focal if loss.labels is None else binary_focal.gradient)(problem, sheet)
    else:
        values.gradient(problem, sheet)


def focal(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet with the focal loss of the targets [R, 1], or of the sigmoid of each logit [R, C]."""
    (kernels.focal if required(problem.loss).labels is None else binary_focal.loss)(problem, sheet)
