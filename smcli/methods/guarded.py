"""Losses from probabilities with a guard before or after the log: finite, but they stick at a constant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.methods import backward, losses, parts
from smcli.methods.base import method
from smcli.methods.products import through_softmax
from smcli.methods.softmax import Shifted
from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from smcli.model import Loss

LEAST_LOG = -100.0
LEAST_SLOPE = 1e-12


@method("bceloss", source="torch.nn.BCELoss of a sigmoid: the log clamped at −100")
class BceLoss:
    """Clamp the log of the probability at −100, as BCELoss does: finite, but no loss is above 100."""

    losses = ("cross-entropy", "bce")

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return Shifted().softmax(x, o)

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return o.maximum(o.log(self.softmax(x, o)), o.const(LEAST_LOG), "max(log p, −100)")

    def bce(self, x: Rows, y: Rows, o: Arithmetic) -> Rows:
        one, least = o.const(1), o.const(LEAST_LOG)
        p = parts.stable_sigmoid(x, o)
        log_p = Rows(o.maximum(o.log(p), least, "max(log p, −100)").values, "log p")
        log_q = Rows(o.maximum(o.log(o.sub(one, p)), least, "max(log(1 − p), −100)").values, "log q")
        return o.neg(o.add(o.mul(y, log_p), o.mul(o.sub(one, y), log_q)))

    def backward(self, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
        """(p − y)/max(p·(1 − p), 1e-12) and back through the sigmoid; of a softmax composed, where the clamp lets it."""
        if loss.kind != "bce":
            return backward.composed(self, loss, x, o, lambda p: np.log(p) >= LEAST_LOG)
        y, one = o.given(loss.labels, "y"), o.const(1)  # type: ignore[arg-type] # bce has them
        p = Rows(parts.stable_sigmoid(x, o).values, "p")
        slope = o.mul(p, o.sub(one, p))
        held = o.maximum(slope, o.const(LEAST_SLOPE), "max(p·(1 − p), ε)")
        return o.mul(o.div(o.sub(p, y), held), slope)


@method("epsilon", source="losses written by hand: log(p + ε), ε of the format")
class Epsilon:
    """Add ε before the log, log(p + ε): finite, but wrong wherever p is near ε, and the loss sticks at −log ε."""

    losses = ("cross-entropy", "bce")

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return Shifted().softmax(x, o)

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return o.log(o.add(self.softmax(x, o), _epsilon(o)))

    def bce(self, x: Rows, y: Rows, o: Arithmetic) -> Rows:
        one, e = o.const(1), _epsilon(o)
        p = parts.sigmoid(x, o)
        q = o.sub(one, p)
        return o.neg(o.add(o.mul(y, o.log(o.add(p, e))), o.mul(o.sub(one, y), o.log(o.add(q, e)))))

    def backward(self, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
        """Composed: the derivative by p is −y/(p + ε)."""
        e = _epsilon(o)
        if loss.kind == "bce":
            y, one = o.given(loss.labels, "y"), o.const(1)  # type: ignore[arg-type] # bce has them
            p = Rows(parts.sigmoid(x, o).values, "p")
            q = Rows(o.sub(one, p).values, "q")
            by_p = o.sub(o.div(o.sub(one, y), o.add(q, e)), o.div(y, o.add(p, e)))
            return o.mul(by_p, o.mul(p, q))
        p = Rows(self.softmax(x, o).values, "p")
        y = losses.labels(loss, p.values.shape, o)
        g = through_softmax(p, Rows(o.neg(o.div(y, o.add(p, e))).values, "v"), o)
        return backward.with_z_loss(self, loss, g, p, x, o)


def _epsilon(o: Arithmetic) -> Rows:
    return o.const(float(np.ldexp(1.0, 1 - o.format.p)), "ε")
