"""From formulas to losses: labels, smoothing, class weights and the z-loss, in the format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from smcli.model import IntArray, Loss, Problem
    from smcli.quantities import Quantity


def value(algorithm: Any, problem: Problem, quantity: Quantity, x: Rows, o: Arithmetic) -> Rows:
    """A quantity that is no derivative, by the formula of an algorithm."""
    formula, loss = getattr(algorithm, quantity.formula), problem.loss
    if quantity.needs == "labels":
        values: Rows = formula(x, o.given(required(loss).labels, "y"), o)  # type: ignore[arg-type]
        return values
    values = formula(x, o)
    if quantity.shape != "loss":
        return values
    return o.neg(values) if loss is None else _cross_entropy(algorithm, loss, values, x, o)


def required(loss: Loss | None) -> Loss:
    """The loss of a problem that has one, which is checked where the options are."""
    assert loss is not None  # noqa: S101
    return loss


def hard_targets(loss: Loss) -> IntArray | None:
    """The right class of each row where it alone has weight, int64 [R]; 0 in ignored rows. None with soft labels."""
    return None if loss.target is None or loss.smoothing else np.maximum(loss.target, 0)


def labels(loss: Loss, shape: tuple[int, ...], o: Arithmetic) -> Rows:
    """The label vector of each row [R, C]: one-hot or soft, smoothed, times the class weights, in the format."""
    if loss.labels is not None:
        y = o.given(loss.labels, "y")
    else:
        hot = np.zeros(shape)
        assert loss.target is not None  # noqa: S101 - a Loss has one of the two
        hot[np.arange(shape[0]), np.maximum(loss.target, 0)] = 1.0
        y = Rows(hot, "y")
    if loss.smoothing:
        kept, spread = o.const(1 - loss.smoothing, "(1 − E)"), o.const(loss.smoothing / shape[1], "E/K")
        y = Rows(o.add(o.mul(y, kept), spread).values, "y'")
    if loss.weights is not None:
        y = o.mul(o.given(np.broadcast_to(loss.weights, shape), "w"), y)
    return y


def logsumexp(algorithm: Any, x: Rows, o: Arithmetic) -> Rows:
    """The logsumexp that a z-loss takes: the algorithm's own, or the textbook's."""
    if hasattr(algorithm, "logsumexp"):
        own: Rows = algorithm.logsumexp(x, o)
        return own
    top = o.max(x)
    return o.add(top, o.log(o.sum(o.exp(o.sub(x, top)))))


def _cross_entropy(algorithm: Any, loss: Loss, log_p: Rows, x: Rows, o: Arithmetic) -> Rows:
    t = hard_targets(loss)
    if t is None:
        loss_value = o.neg(o.sum(o.mul(labels(loss, log_p.values.shape, o), log_p)))
    else:
        loss_value = o.neg(Rows(log_p.values[np.arange(t.size), t][:, None], f"{log_p.expr}[t]"))
        if loss.weights is not None:
            loss_value = o.mul(o.given(np.asarray(loss.weights)[t][:, None], "w[t]"), loss_value)
    if loss.z_loss:
        z = logsumexp(algorithm, x, o)
        loss_value = o.add(loss_value, o.mul(o.const(loss.z_loss, "z"), o.mul(z, z)))
    return loss_value
