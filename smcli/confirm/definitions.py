"""What each quantity is by its definition: the table that a new quantity has to be entered in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smcli.confirm import binary, kernels, softmaxes
from smcli.errors import UsageError
from smcli.model import required

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.confirm.arithmetic import Arithmetic, Number
    from smcli.confirm.row import Row
    from smcli.model import Problem

    Definition = Callable[[Arithmetic, Row], list[Number]]

VALUES: dict[str, Definition] = {
    "softmax": softmaxes.softmax,
    "log-softmax": softmaxes.log_softmax,
    "logsumexp": softmaxes.logsumexp,
    "cross-entropy": softmaxes.cross_entropy,
    "bce": binary.bce,
    "sigmoid": binary.sigmoid,
    "log-sigmoid": binary.log_sigmoid,
    "entropy": kernels.entropy,
    "kl": kernels.kl,
    "focal": kernels.focal,
    "jacobian": softmaxes.jacobian,
}
GRADIENTS: dict[str, Definition] = {
    "cross-entropy": softmaxes.cross_entropy_gradient,
    "bce": binary.bce_gradient,
    "entropy": kernels.entropy_gradient,
    "kl": kernels.kl_gradient,
    "focal": kernels.focal_gradient,
}
PRODUCTS: dict[str, Definition] = {
    "softmax": softmaxes.softmax_vjp,
    "log-softmax": softmaxes.log_softmax_vjp,
    "logsumexp": softmaxes.logsumexp_vjp,
}


def definition(quantity: str, problem: Problem) -> Definition:
    """What computes all values of a quantity of one row of a problem.

    Raises:
        UsageError: it is not entered here: to confirm less than all that is told would say too much.
    """
    table, name, said = VALUES, quantity, quantity
    if quantity == "gradient":
        name = required(problem.loss).kind
        table, said = GRADIENTS, f"the gradient of {name}"
    elif quantity == "vjp":
        table, name, said = PRODUCTS, problem.vjp_of, f"the product with the Jacobian of {problem.vjp_of}"
    if name not in table:
        raise UsageError(f"--confirm does not recompute {said}", "leave it out, or ask for one at a time")
    return table[name]
