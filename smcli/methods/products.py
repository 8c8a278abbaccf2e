"""Backward passes of entropy, divergence and focal loss, and products with the Jacobians of log-softmax and logsumexp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.methods import losses, parts, scaling
from smcli.model import required
from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from smcli.model import FloatArray, Loss, Problem


def probabilities(algorithm: Any, x: Rows, o: Arithmetic) -> Rows:
    """The softmax that a backward pass uses: the method's own, or exp of its log-softmax."""
    p = algorithm.softmax(x, o) if hasattr(algorithm, "softmax") else o.exp(algorithm.log_softmax(x, o))
    return Rows(p.values, "p")


def through_softmax(p: Rows, v: Rows, o: Arithmetic) -> Rows:
    """The product of v with the Jacobian of softmax, p∘(v − v·p)."""
    return o.mul(p, o.sub(v, o.sum(o.mul(v, p))))


def product(algorithm: Any, problem: Problem, x: Rows, o: Arithmetic) -> Rows:
    """The cotangent times the Jacobian of softmax, p∘(v − v·p), of log-softmax, v − p·Σv, or of logsumexp, v·p."""
    v = o.given(np.broadcast_to(problem.cotangent, (len(x.values), np.size(problem.cotangent))), "v")  # type: ignore[arg-type]
    if problem.vjp_of == "logsumexp" and problem.coefficients is not None:
        b = o.given(np.broadcast_to(problem.coefficients, x.values.shape), "b")
        terms, _ = parts.signed_terms(x, b, o)
        return o.mul(v, o.div(terms, o.sum(terms)))
    p = probabilities(algorithm, x, o)
    if problem.vjp_of == "logsumexp":
        return o.mul(v, p)
    return through_softmax(p, v, o) if problem.vjp_of == "softmax" else o.sub(v, o.mul(p, o.sum(v)))


def gradient(algorithm: Any, problem: Problem, x: Rows, o: Arithmetic, *, fused: bool) -> Rows:
    """The gradient of an entropy, a divergence or a focal loss: through every forward step, or at once."""
    loss = required(problem.loss)
    if loss.kind == "focal":
        if loss.labels is not None:
            return (_fused_binary if fused else _composed_binary)(loss, x, o)
        return (_fused_focal if fused else _composed_focal)(algorithm, loss, x, o)
    if loss.kind == "entropy":
        return (_fused_entropy if fused else _composed_entropy)(algorithm, x, o)
    y = scaling.enter(problem, o, loss.teacher, "t")
    if hasattr(algorithm, "kl_gradient"):
        own: Rows = algorithm.kl_gradient(x, y, o, reverse=loss.reverse)
        return own
    return (_fused_divergence if fused else _composed_divergence)(algorithm, loss, x, y, o)


def _logs(algorithm: Any, x: Rows, o: Arithmetic) -> Rows:
    log_p = algorithm.log_softmax(x, o) if hasattr(algorithm, "log_softmax") else o.log(algorithm.softmax(x, o))
    held = o.maximum(log_p, o.const(-o.format.max, "−finfo.max"), "max(log p, −finfo.max)")
    return Rows(held.values, "log p")


def _composed_entropy(algorithm: Any, x: Rows, o: Arithmetic) -> Rows:
    p = probabilities(algorithm, x, o)
    return through_softmax(p, o.neg(o.add(o.log(p), o.const(1))), o)


def _fused_entropy(algorithm: Any, x: Rows, o: Arithmetic) -> Rows:
    log_p = _logs(algorithm, x, o)
    p = Rows(o.exp(log_p).values, "p")
    h = parts.entropy(p, log_p, o)
    return o.neg(o.mul(p, o.add(log_p, Rows(h.values, "H"))))


def _composed_divergence(algorithm: Any, loss: Loss, x: Rows, y: Rows, o: Arithmetic) -> Rows:
    p, t = probabilities(algorithm, x, o), Rows(probabilities(algorithm, y, o).values, "t")
    if loss.reverse:
        return through_softmax(p, o.add(o.log(o.div(p, t)), o.const(1)), o)
    return through_softmax(p, o.neg(o.div(t, p)), o)


def _fused_divergence(algorithm: Any, loss: Loss, x: Rows, y: Rows, o: Arithmetic) -> Rows:
    if not loss.reverse:
        return o.sub(probabilities(algorithm, x, o), Rows(probabilities(algorithm, y, o).values, "t"))
    log_p, log_t = _logs(algorithm, x, o), Rows(_logs(algorithm, y, o).values, "log t")
    p, apart = Rows(o.exp(log_p).values, "p"), Rows(o.sub(log_p, log_t).values, "(log p − log t)")
    mean = o.sum(o.mul(p, apart))
    return o.mul(p, o.sub(apart, Rows(mean.values, "KL")))


def _composed_focal(algorithm: Any, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
    """By p: γ·(1 − p)^(γ−1)·log p − (1 − p)^γ/p, as automatic differentiation has it: 0^(γ−1) is infinite for γ < 1."""
    p = probabilities(algorithm, x, o)
    c = losses.labels(loss, p.values.shape, o)
    return through_softmax(p, Rows(np.where(c.values == 0, 0.0, o.mul(c, _by_p(p, loss.gamma, o)).values), "v"), o)


def _by_p(p: Rows, gamma: float, o: Arithmetic) -> Rows:
    q = Rows(o.sub(o.const(1), p).values, "q")
    slope = o.div(o.pow(q, gamma, "γ"), p)
    if gamma == 0:
        return o.neg(slope)
    return o.sub(o.mul(o.mul(o.const(gamma, "γ"), o.pow(q, gamma - 1, "(γ − 1)")), o.log(p)), slope)


def _fused_focal(algorithm: Any, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
    """A·p_i, and −A·q of the target itself, with A = q^γ + γ·p·q^(γ−1)·(−log p), which counts nothing where q is 0."""
    log_p = _logs(algorithm, x, o)
    p = Rows(o.exp(log_p).values, "p")
    c = losses.labels(loss, p.values.shape, o)
    q, log_p = _without_cancellation(p, log_p, o)
    a = o.pow(q, loss.gamma, "γ")
    if loss.gamma:
        inner = o.mul(o.mul(o.const(loss.gamma, "γ"), p), o.pow(q, loss.gamma - 1, "(γ − 1)"))
        a = o.add(a, o.mul(inner, o.neg(log_p)))
        a = Rows(np.where(q.values == 0, 0.0, a.values), "A")
    t = losses.hard_targets(loss)
    if t is not None and loss.weights is None:
        own: FloatArray = np.take_along_axis(a.values, t[:, None], axis=1)
        hot = np.arange(p.values.shape[1]) == t[:, None]
        return o.mul(Rows(own, "A[t]"), Rows(np.where(hot, -q.values, p.values), "(p − y)"))
    pull = o.mul(c, a)
    return o.sub(o.mul(p, o.sum(pull)), pull)


def _without_cancellation(p: Rows, log_p: Rows, o: Arithmetic) -> tuple[Rows, Rows]:
    """1 − p and log p, of the largest class from the sum of the others."""
    rows, top = np.arange(len(p.values)), p.values.argmax(axis=1)
    others = p.values.copy()
    others[rows, top] = 0.0
    rest = o.sum(Rows(others, "p but the largest"))
    q = o.sub(o.const(1), p).values.copy()
    log = log_p.values.copy()
    q[rows, top] = rest.values[:, 0]
    log[rows, top] = o.log1p(o.neg(rest)).values[:, 0]
    return Rows(q, "q"), Rows(log, "log p")


def _composed_binary(loss: Loss, x: Rows, o: Arithmetic) -> Rows:
    p, y, one = Rows(parts.sigmoid(x, o).values, "p"), o.given(loss.labels, "y"), o.const(1)  # type: ignore[arg-type]
    q = Rows(o.sub(one, p).values, "q")
    by_p = o.sub(o.mul(y, _by_p(p, loss.gamma, o)), o.mul(o.sub(one, y), _by_p(q, loss.gamma, o)))
    return o.mul(by_p, o.mul(p, q))


def _fused_binary(loss: Loss, x: Rows, o: Arithmetic) -> Rows:
    """(1 − y)·p^γ·(p + γ·q·(−log q)) − y·q^γ·(q + γ·p·(−log p)): no power of γ − 1."""
    p, q, log_p, log_q = parts.stable_sides(x, o)
    y, one, gamma = o.given(loss.labels, "y"), o.const(1), o.const(loss.gamma, "γ")  # type: ignore[arg-type]

    def pull(a: Rows, b: Rows, log_a: Rows) -> Rows:
        more = o.mul(o.mul(gamma, a), o.neg(log_a))
        return o.mul(o.pow(b, loss.gamma, "γ"), o.add(b, more))

    return o.sub(o.mul(o.sub(one, y), pull(q, p, log_q)), o.mul(y, pull(p, q, log_p)))
