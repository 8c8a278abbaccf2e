"""What true values become when one thing of a problem is changed; the table of these is in `mistakes`."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.alternatives import Question, Values
from smcli.judge import limits
from smcli.judge.logits import scaled
from smcli.model import required
from smcli.reference.losses import both

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from smcli.model import FloatArray, Loss

    Make = Callable[[Question], Values | None]

UNLIKELY = 4.0  # bits more that are asked of what hardly anybody does
SOFTMAX = frozenset({"softmax", "log-softmax", "logsumexp", "cross-entropy", "gradient", "entropy", "kl", "focal"})


def loss_asked(q: Question) -> Loss | None:
    """The loss, where it or its gradient is what was asked."""
    loss = q.problem.loss
    return loss if loss is not None and q.quantity in {loss.kind, "gradient"} else None


def hard_loss(q: Question) -> Loss | None:
    """The same, where it has one target a row."""
    loss = loss_asked(q)
    return loss if loss is not None and loss.target is not None else None


def with_loss(q: Question, **changes: Any) -> Values:
    """The true values with another loss."""
    loss = q.problem.loss
    return q.true(replace(q.problem, loss=None if loss is None else replace(loss, **changes)))


def target_moved(by: int) -> Make:
    """A target that many classes further, of the last class the first."""

    def make(q: Question) -> Values | None:
        loss, classes = hard_loss(q), q.problem.logits.shape[1]
        if loss is None or classes < 2 + (by < 0):  # of two classes the next is the one before
            return None
        return with_loss(q, target=(np.asarray(loss.target) + by) % classes)

    return make


def no_label(q: Question) -> Values | None:
    """Σy·p without the − y of the gradient."""
    loss = loss_asked(q)
    if loss is None or q.quantity != "gradient" or loss.kind != "cross-entropy" or loss.z_loss:
        return None
    p = q.true(q.problem, "softmax")
    weight = limits.weights(q.problem, loss).sum(axis=1, keepdims=True)
    return p.via(p.values * (weight * (float(q.problem.scale) / q.problem.temperature)))


def every_column(q: Question) -> Values | None:
    """p[:, target] −= 1 of all rows, where p[arange(n), target] is due."""
    loss = hard_loss(q)
    if loss is None or q.quantity != "gradient" or loss.kind != "cross-entropy" or is_soft(loss):
        return None
    y = np.zeros(q.y.shape)
    of_all = np.asarray(required(q.whole.loss).target)
    y[:, of_all if q.whole.ignored is None else of_all[~q.whole.ignored]] = 1.0
    return less_labels(q, q.true(q.problem, "softmax"), y)


def is_soft(loss: Loss) -> bool:
    """Whether more than the target's class has a part in a loss."""
    return bool(loss.smoothing) or loss.weights is not None or bool(loss.z_loss)


def less_labels(q: Question, p: Values, y: FloatArray) -> Values:
    """The gradient p − y with the factors of the problem."""
    factor = float(q.problem.scale) / q.problem.temperature
    return p.via((p.values - y) * factor, y * factor)


def softmax_twice(q: Question) -> Values | None:
    """Probabilities as logits."""
    loss = loss_asked(q)
    if q.quantity not in SOFTMAX or (loss is not None and loss.is_binary):
        return None
    p = q.true(replace(q.problem, coefficients=None), "softmax").values
    return q.true(replace(q.problem, logits=p, temperature=1.0, softcap=None, logits_dtype="float64"))


def sigmoid_twice(q: Question) -> Values | None:
    """The sigmoid of each logit as logit."""
    loss = loss_asked(q)
    if q.quantity not in {"sigmoid", "log-sigmoid"} and (loss is None or not loss.is_binary):
        return None
    p = q.true(q.problem, "sigmoid").values
    return q.true(replace(q.problem, logits=p, temperature=1.0, softcap=None, logits_dtype="float64"))


def labels_flipped(q: Question) -> Values | None:
    """1 − y as labels of a loss of single logits."""
    loss = loss_asked(q)
    if loss is None or not loss.is_binary or loss.labels is None:
        return None
    return with_loss(q, labels=1 - loss.labels)


def quantity_instead(asked: str, given: str) -> Make:
    """Another quantity of the same row."""
    return lambda q: q.true(q.problem, given) if q.quantity == asked else None


def minus_p(q: Question) -> Values | None:
    """−Σ y·p, without a logarithm."""
    loss = loss_asked(q)
    if loss is None or q.quantity != "cross-entropy" or loss.z_loss:
        return None
    p, c = q.true(q.problem, "softmax"), limits.weights(q.problem, loss)
    return p.via(-(c * p.values).sum(axis=1, keepdims=True))


def one_minus_p(q: Question) -> Values | None:
    """1 − p of the target, without a logarithm."""
    loss = hard_loss(q)
    if loss is None or q.quantity != "cross-entropy" or is_soft(loss):
        return None
    p = q.true(q.problem, "softmax")
    return p.via(1 - np.take_along_axis(p.values, np.asarray(loss.target)[:, None], 1), 1.0)


def brier(q: Question) -> Values | None:
    """Σ (p − y)²."""
    loss = loss_asked(q)
    if loss is None or q.quantity != "cross-entropy" or loss.weights is not None or loss.z_loss:
        return None
    p, c = q.true(q.problem, "softmax"), limits.weights(q.problem, loss)
    return p.via(((p.values - c) ** 2).sum(axis=1, keepdims=True), 1.0)


def after_exp(q: Question) -> Values | None:
    """exp of the values."""
    v = np.exp(q.t)
    made = q.times(1.0).via(v, v * (1 + np.abs(q.t)))
    return None if q.quantity == "log-softmax" else replace(made, spent=UNLIKELY)


def after_log(q: Question) -> Values | None:
    """log of the values."""
    if q.quantity == "softmax" or (q.t <= 0).any():
        return None
    v = np.log(q.t)
    return replace(q.times(1.0).via(v, 1 + np.abs(v)), spent=UNLIKELY)


def logits_unchanged(q: Question) -> Values | None:
    """The logits as they were given."""
    x = q.problem.logits
    return None if q.quantity == "vjp" or x.shape[1] == 1 else q.times(1.0).via(x) if x.shape == q.y.shape else None


def bare_terms(*, shifted: bool) -> Make:
    """exp(x), or exp(x − max(x)), which nothing divides."""

    def make(q: Question) -> Values | None:
        if q.quantity != "softmax":
            return None
        x = scaled(q.problem)
        z = x - x.max(axis=1, keepdims=True) if shifted else x
        v = np.exp(z)
        return q.times(1.0).via(v, v * (1 + np.nan_to_num(np.abs(z), posinf=0.0)))

    return make


def other_temperature(change: Callable[[float], float]) -> Make:
    """Another temperature, made of the one asked for."""

    def make(q: Question) -> Values | None:
        t = q.problem.temperature
        return None if t == 1 else q.true(replace(q.problem, temperature=change(t)))

    return make


def own_temperature(*, student: bool) -> Make:
    """The divergence where only one of its rows was divided."""

    def make(q: Question) -> Values | None:
        loss, t = loss_asked(q), q.problem.temperature
        if loss is None or loss.teacher is None or t == 1:
            return None
        if student:
            return q.true(replace(q.problem, logits=q.problem.logits * t, logits_dtype="float64"))
        return q.true(replace(q.problem, logits_dtype="float64", loss=replace(loss, teacher=loss.teacher * t)))

    return make


def no_cap(q: Question) -> Values | None:
    """No soft cap."""
    return None if q.problem.softcap is None else q.true(replace(q.problem, softcap=None))


def label_smoothing(change: Callable[[float, int], float], *, asked: bool = True) -> Make:
    """Another label smoothing, made of the one asked for and the number of classes."""

    def make(q: Question) -> Values | None:
        loss, classes = loss_asked(q), q.problem.logits.shape[1]
        if loss is None or bool(loss.smoothing) != asked or loss.kind != "cross-entropy" or classes < 2:
            return None
        e = change(loss.smoothing, classes)
        labelled = loss.target is not None or loss.labels is not None
        return with_loss(q, smoothing=e) if e <= 1 and labelled else None

    return make


def no_weights(q: Question) -> Values | None:
    """No class weights, but what a mean divides by."""
    loss = loss_asked(q)
    return None if loss is None or loss.weights is None else with_loss(q, weights=None)


def no_weights_at_all(q: Question) -> Values | None:
    """No class weights, in what a mean divides by neither."""
    loss = loss_asked(q)
    if loss is None or loss.weights is None or q.problem.scale == 1 or q.quantity != "gradient":
        return None
    return q.true(replace(q.problem, scale=Fraction(1, q.whole.counted), loss=replace(loss, weights=None)))


def no_z_loss(q: Question) -> Values | None:
    """No z-loss."""
    loss = loss_asked(q)
    return None if loss is None or not loss.z_loss else with_loss(q, z_loss=0.0)


def focal_gamma(gamma: float) -> Make:
    """Another exponent of a focal loss."""

    def make(q: Question) -> Values | None:
        loss = loss_asked(q)
        return None if loss is None or loss.kind != "focal" or loss.gamma == gamma else with_loss(q, gamma=gamma)

    return make


def other_way(q: Question) -> Values | None:
    """A divergence the other way round."""
    loss = loss_asked(q)
    return None if loss is None or loss.teacher is None else with_loss(q, reverse=not loss.reverse)


def cross_of_teacher(q: Question) -> Values | None:
    """The divergence and the entropy of its first row: a cross-entropy."""
    if q.quantity != "kl":
        return None
    h = q.true(both(q.problem)[0], "entropy").values
    return q.times(1.0).via(q.t + h, q.t + 2 * h)


def no_max(q: Question) -> Values | None:
    """logsumexp less the maximum."""
    if q.quantity != "logsumexp":
        return None
    top = scaled(q.problem).max(axis=1, keepdims=True)
    return q.times(1.0).via(q.t - top, np.abs(top) + 1)


def max_alone(q: Question) -> Values | None:
    """The maximum in place of the logsumexp."""
    return q.times(1.0).via(scaled(q.problem).max(axis=1, keepdims=True)) if q.quantity == "logsumexp" else None


def no_coefficients(q: Question) -> Values | None:
    """No coefficients."""
    plain = q.problem.coefficients is None or q.quantity != "logsumexp"
    return None if plain else q.true(replace(q.problem, coefficients=None))


def summed_over(
    shape: Callable[[FloatArray], FloatArray], back: Callable[[FloatArray, tuple[int, ...]], FloatArray]
) -> Make:
    """Softmax over other values than those of the row, which all rows of the block have part in."""

    def make(q: Question) -> Values | None:
        x, loss = q.whole.logits, hard_loss(q)
        needs_target = q.quantity in {"cross-entropy", "gradient"}
        if len(x) < 2 or x.shape[1] < 2 or q.quantity not in {"softmax", "log-softmax", "cross-entropy", "gradient"}:
            return None
        if needs_target and (loss is None or loss.kind != "cross-entropy" or is_soft(loss)):
            return None
        other = replace(q.whole, logits=np.ascontiguousarray(shape(x)), loss=None, ignored=None, rows=None)
        p = q.true(other, "log-softmax" if q.quantity in {"log-softmax", "cross-entropy"} else "softmax")
        room = np.broadcast_to(p.limit.ulp, p.values.shape)
        values, ulp = (back(a, x.shape)[q.rows] for a in (p.values, room))
        own = replace(p, values=values, limit=replace(p.limit, ulp=ulp, parts=None, base=None))
        if loss is None or not needs_target:
            return own.via(values, 1.0 if q.quantity == "log-softmax" else 0.0)
        at = np.asarray(loss.target)[:, None]
        if q.quantity == "cross-entropy":
            return own.via(-np.take_along_axis(values, at, 1), 1.0)
        y = np.zeros(values.shape)
        np.put_along_axis(y, at, 1.0, 1)
        return less_labels(q, own, y)

    return make


def batch_mean(q: Question) -> Values | None:
    """The mean over all rows in each of them."""
    loss = loss_asked(q)
    if loss is None or q.quantity == "gradient" or len(q.truth) < 2 or q.truth.shape[1] != 1:
        return None
    own = q.truth if q.whole.ignored is None else q.truth[~q.whole.ignored]
    return q.times(1.0).via(np.full(q.y.shape, own.mean()), np.abs(own).max())


def other_row(q: Question) -> Values | None:
    """For each row that of the others which is nearest; choosing it is log2 of their number in bits."""
    rows, n = q.y.shape
    count = len(q.truth)
    if count < 2 or rows * count * n > 1 << 22:
        return None
    apart = np.abs(q.y[:, None, :] - q.truth[None]).sum(axis=2)
    apart[np.arange(rows), q.rows] = np.inf
    at = np.nan_to_num(apart, nan=np.inf).argmin(axis=1)
    limit = q.limit.part(at)
    return Values(q.truth[at], limit, float(np.log2(count)))


def mask_missed(*, ignored: bool) -> Make:
    """Softmax with a mask that had no part in the sum: the other probabilities are a share of what they should be."""

    def make(q: Question) -> Values | None:
        masked, y = q.problem.logits == -np.inf, q.y
        if q.quantity != "softmax" or not masked.any(axis=1).all() or ((~masked).sum(axis=1) < 3).any():
            return None
        top = q.t.argmax(axis=1)[:, None]
        share = np.take_along_axis(y, top, 1) / np.take_along_axis(q.t, top, 1)
        if not ((share > 0) & (share <= 1 + 4 * q.format.unit_roundoff)).all():
            return None
        values = q.t * share
        if ignored:
            rest = np.where(masked, y, 0.0).sum(axis=1, keepdims=True)
            near = np.abs(share + rest - 1) <= 64 * q.format.unit_roundoff
            if not (near & ((y > 0) | ~masked).all(axis=1, keepdims=True)).all():
                return None
            values = np.where(masked, y, values)
        return replace(q.times(1.0).via(values), spent=float(q.format.p))

    return make


def added_to_p(e: float) -> Make:
    """The logarithm of p + ε."""

    def make(q: Question) -> Values | None:
        loss = hard_loss(q)
        minus = q.quantity == "cross-entropy"
        if q.quantity != "log-softmax" and not (minus and loss is not None and not is_soft(loss)):
            return None
        sign = -1.0 if minus else 1.0
        return q.times(1.0).via(sign * np.log(np.exp(sign * q.t) + e), 1.0)

    return make


def added_to_sum(e: float) -> Make:
    """An ε beside the sum of exp(x − max(x))."""

    def make(q: Question) -> Values | None:
        if q.quantity != "softmax":
            return None
        x = scaled(q.problem)
        total = np.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
        return q.times(1.0).via(q.t * (total / (total + e)))

    return make


def share_of_row(q: Question) -> Values | None:
    """The truth of each row times what its largest value is off by, which is worth a value's bits."""
    if q.quantity != "softmax" or q.y.shape[1] < 3:
        return None
    top = q.t.argmax(axis=1)[:, None]
    share = np.take_along_axis(q.y, top, 1) / np.take_along_axis(q.t, top, 1)
    return replace(q.times(1.0).via(q.t * share), spent=float(q.format.p))


def moved_row(q: Question) -> Values | None:
    """The truth of each row plus what its largest value is off by, which is worth a value's bits."""
    if q.quantity != "log-softmax" or q.y.shape[1] < 3:
        return None
    top = q.t.argmax(axis=1)[:, None]
    by = np.take_along_axis(q.y, top, 1) - np.take_along_axis(q.t, top, 1)
    return replace(q.times(1.0).via(q.t + by, 1 + np.abs(q.t) + np.abs(by)), spent=float(q.format.p))


def transposed(x: FloatArray, _: tuple[int, ...]) -> FloatArray:
    """Values over the other axis, back in the shape of the block."""
    return x.T


def reshaped(x: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Values over all at once, back in the shape of the block."""
    return x.reshape(shape)
