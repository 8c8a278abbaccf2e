"""Backward passes: composed of every forward step, or fused to p·Σy − y; the Jacobian and products with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.methods import losses, products, scaling
from smcli.methods.parts import sigmoid
from smcli.methods.products import probabilities, through_softmax
from smcli.model import required
from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import BoolArray, FloatArray, Loss, Problem
    from smcli.quantities import Quantity


def derivative(algorithm: Any, backward: str, problem: Problem, quantity: Quantity, x: Rows, o: Arithmetic) -> Rows:
    """A derivative by the logits: of the loss, of softmax, or of a product with softmax."""
    if quantity.shape == "matrix":
        return scaling.leave(problem, _jacobian(probabilities(algorithm, x, o), o), x, o, reduced=False)
    if quantity.needs == "cotangent":
        return scaling.leave(problem, products.product(algorithm, problem, x, o), x, o, reduced=False)
    loss = required(problem.loss)
    if hasattr(algorithm, "backward"):
        g = algorithm.backward(loss, x, o)
    elif loss.kind not in {"cross-entropy", "bce"}:
        g = products.gradient(algorithm, problem, x, o, fused=backward != "composed")
    elif backward == "composed":
        g = composed(algorithm, loss, x, o)
    else:
        g = fused(algorithm, loss, x, o)
    return scaling.leave(problem, g, x, o, reduced=True)


def _jacobian(p: Rows, o: Arithmetic) -> Rows:
    classes = p.values.shape[1]
    column = Rows(np.repeat(p.values, classes, axis=1), "p_i")
    row = Rows(np.tile(p.values, (1, classes)), "p_j")
    off = o.neg(o.mul(column, row))
    on = o.mul(p, o.sub(o.const(1), p))
    values = off.values.copy()
    values[:, :: classes + 1] = on.values
    return Rows(values, "J")


def composed(
    algorithm: Any, loss: Loss, x: Rows, o: Arithmetic, passes: Callable[[FloatArray], BoolArray] | None = None
) -> Rows:
    """The gradient of a loss, back through every step of the forward pass.

    Args:
        algorithm: its softmax is used.
        loss: cross-entropy or binary cross-entropy.
        x: the logits.
        o: the arithmetic.
        passes: where a step between the probabilities and the loss lets a derivative through; None: everywhere.
    """
    if loss.kind == "bce":
        y, p, one = o.given(loss.labels, "y"), sigmoid(x, o), o.const(1)  # type: ignore[arg-type]
        by_p = o.sub(o.div(o.sub(one, y), o.sub(one, p)), o.div(y, p))
        return o.mul(_gated(by_p, p, passes), o.mul(p, o.sub(one, p)))
    p = probabilities(algorithm, x, o)
    y = losses.labels(loss, p.values.shape, o)
    g = through_softmax(p, _gated(o.neg(o.div(y, p)), p, passes), o)
    return with_z_loss(algorithm, loss, g, p, x, o)


def fused(algorithm: Any, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
    """The gradient of a loss at once: p·Σy − y, or sigmoid − y."""
    if loss.kind == "bce":
        return o.sub(sigmoid(x, o), o.given(loss.labels, "y"))  # type: ignore[arg-type]
    p = probabilities(algorithm, x, o)
    y = losses.labels(loss, p.values.shape, o)
    hard = losses.hard_targets(loss) is not None and loss.weights is None
    g = o.sub(p if hard else o.mul(p, o.sum(y)), y)
    return with_z_loss(algorithm, loss, g, p, x, o)


def _gated(v: Rows, p: Rows, passes: Callable[[FloatArray], BoolArray] | None) -> Rows:
    return Rows(v.values if passes is None else np.where(passes(p.values), v.values, 0.0), "v")


def with_z_loss(algorithm: Any, loss: Loss, g: Rows, p: Rows, x: Rows, o: Arithmetic) -> Rows:
    """The gradient with what a z-loss adds to it."""
    if not loss.z_loss:
        return g
    lse = losses.logsumexp(algorithm, x, o)
    return o.add(g, o.mul(o.mul(o.const(2 * loss.z_loss, "2z"), lse), p))
