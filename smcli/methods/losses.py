"""From formulas to losses: labels, smoothing, class weights and the z-loss, in the format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.errors import UnavailableError
from smcli.methods import scaling
from smcli.model import required
from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from smcli.model import FloatArray, IntArray, Loss, Problem
    from smcli.quantities import Quantity


def value(algorithm: Any, problem: Problem, quantity: Quantity, x: Rows, o: Arithmetic) -> Rows:
    """A quantity that is no derivative, by the formula of an algorithm."""
    loss = problem.loss
    if quantity.name == "logsumexp" and problem.coefficients is not None:
        if not hasattr(algorithm, "signed_logsumexp"):
            raise UnavailableError("it knows no coefficients in a logsumexp")
        total: Rows = algorithm.signed_logsumexp(x, o.given(_row(problem.coefficients, x), "b"), o)
        return total
    formula = getattr(algorithm, quantity.formula)
    if quantity.name == "kl":
        loss = required(loss)
        teacher = scaling.enter(problem, o, loss.teacher, "t")
        apart: Rows = formula(x, teacher, o) if loss.reverse else formula(teacher, x, o)
        return apart
    if quantity.name == "focal":
        return _focal(formula, required(loss), x, o)
    if quantity.needs == "labels":
        values: Rows = formula(x, o.given(required(loss).labels, "y"), o)  # type: ignore[arg-type]
        return values
    values = formula(x, o)
    if quantity.shape != "loss":
        return values
    return o.neg(values) if loss is None else _cross_entropy(algorithm, loss, values, x, o)


def _focal(formula: Any, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
    """The focal loss of each logit for labels, else of the target, or of the classes with weight."""
    each: Rows = formula(x, loss, o)
    if loss.labels is not None:
        return each
    t = hard_targets(loss)
    if t is None:
        c = labels(loss, each.values.shape, o)
        return o.sum(Rows(np.where(c.values == 0, 0.0, o.mul(c, each).values), f"c·{each.expr}"))
    own = Rows(each.values[np.arange(t.size), t][:, None], f"({each.expr})[t]")
    return own if loss.weights is None else o.mul(o.given(np.asarray(loss.weights)[t][:, None], "w[t]"), own)


def _row(values: FloatArray, x: Rows) -> FloatArray:
    return np.broadcast_to(values, x.values.shape)


def hard_targets(loss: Loss) -> IntArray | None:
    """The right class of each row where it alone has weight, int64 [R]; 0 in ignored rows. None with soft labels."""
    return None if loss.target is None or loss.smoothing else np.maximum(loss.target, 0)


def labels(loss: Loss, shape: tuple[int, ...], o: Arithmetic) -> Rows:
    """The label vector of each row [R, C]: one-hot or soft, smoothed, times the class weights, in the format."""
    if loss.labels is not None:
        y = o.given(loss.labels, "y")
    else:
        hot = np.zeros(shape)
        hot[np.arange(shape[0]), np.maximum(required(loss.target), 0)] = 1.0
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
