"""Formulas that several algorithms share: entropy, divergence, focal loss, sigmoids and signed logsumexp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from smcli.model import Loss


def entropy(p: Rows, log_p: Rows, o: Arithmetic) -> Rows:
    """−Σ p·log p: nan where p is 0 and its log −inf."""
    return o.neg(o.sum(o.mul(p, log_p)))


def entropy_of_logs(log_p: Rows, o: Arithmetic) -> Rows:
    """−Σ exp(log p)·log p, with the log held at the smallest number, so that a masked class counts nothing."""
    held = o.maximum(log_p, o.const(-o.format.max, "−finfo.max"), "max(log p, −finfo.max)")
    log_p = Rows(held.values, "log p")
    return entropy(Rows(o.exp(log_p).values, "p"), log_p, o)


def divergence(p: Rows, q: Rows, o: Arithmetic) -> Rows:
    """Σ p·log(p/q): nan where p is 0, infinite where only q is."""
    return o.sum(o.mul(p, o.log(o.div(p, q))))


def divergence_of_logs(log_p: Rows, log_q: Rows, o: Arithmetic, *, held: bool = False) -> Rows:
    """Σ exp(log p)·(log p − log q), nan where p is masked; with `held` such a class counts nothing, unless q masks it."""
    if held:
        log_p = o.maximum(log_p, o.const(-o.format.max, "−finfo.max"), "max(log p, −finfo.max)")
    log_p, log_q = Rows(log_p.values, "log p"), Rows(log_q.values, "log q")
    return o.sum(o.mul(Rows(o.exp(log_p).values, "p"), o.sub(log_p, log_q)))


def focal(p: Rows, log_p: Rows, gamma: float, o: Arithmetic) -> Rows:
    """(1 − p)^γ·(−log p) of each class."""
    return o.mul(o.pow(o.sub(o.const(1), p), gamma, "γ"), o.neg(log_p))


def binary_focal(sides: tuple[Rows, Rows, Rows, Rows], loss: Loss, o: Arithmetic) -> Rows:
    """y·q^γ·(−log p) + (1 − y)·p^γ·(−log q), of p = sigmoid(x), q = 1 − p and their logarithms."""
    p, q, log_p, log_q = sides
    y = o.given(loss.labels, "y")  # type: ignore[arg-type] # the sigmoid form is that of labels
    up = o.mul(y, o.mul(o.pow(q, loss.gamma, "γ"), o.neg(log_p)))
    down = o.mul(o.sub(o.const(1), y), o.mul(o.pow(p, loss.gamma, "γ"), o.neg(log_q)))
    return o.add(up, down)


def sigmoid(x: Rows, o: Arithmetic) -> Rows:
    """1/(1 + exp(−x)): exp may overflow, to a right 0."""
    one = o.const(1)
    return o.div(one, o.add(one, o.exp(o.neg(x))), "sigmoid(x)")


def stable_sigmoid(x: Rows, o: Arithmetic) -> Rows:
    """1/(1 + e) for x >= 0 and e/(1 + e) below, with e = exp(−|x|), which never overflows."""
    e = o.exp(o.neg(o.maximum(x, o.neg(x), "|x|")))
    top = Rows(np.where(x.values >= 0, 1.0, e.values), "(x ≥ 0 ? 1 : e)")
    return o.div(top, o.add(o.const(1), e), "sigmoid(x)")


def stable_log_sigmoid(x: Rows, o: Arithmetic) -> Rows:
    """min(x, 0) − log1p(exp(−|x|))."""
    soft = o.log1p(o.exp(o.neg(o.maximum(x, o.neg(x), "|x|"))))
    return o.sub(o.minimum(x, o.const(0)), soft)


def naive_sides(x: Rows, o: Arithmetic) -> tuple[Rows, Rows, Rows, Rows]:
    """p = sigmoid(x), 1 − p, log p and log(1 − p), as they are written."""
    p = sigmoid(x, o)
    q = o.sub(o.const(1), p)
    return p, q, o.log(p), o.log(q)


def stable_sides(x: Rows, o: Arithmetic) -> tuple[Rows, Rows, Rows, Rows]:
    """The same, where nothing cancels: 1 − p is sigmoid(−x)."""
    opposite = o.neg(x)
    return (
        Rows(stable_sigmoid(x, o).values, "p"),
        Rows(stable_sigmoid(opposite, o).values, "q"),
        Rows(stable_log_sigmoid(x, o).values, "log p"),
        Rows(stable_log_sigmoid(opposite, o).values, "log q"),
    )


def signed(x: Rows, b: Rows, o: Arithmetic) -> Rows:
    """m + log |Σ b·exp(x − m)|, m the largest logit whose b is not 0, as SciPy's logsumexp with b."""
    terms, m = signed_terms(x, b, o)
    s = o.sum(terms)
    return o.add(m, o.log(Rows(np.abs(s.values), f"|{s.expr}|")))


def signed_terms(x: Rows, b: Rows, o: Arithmetic) -> tuple[Rows, Rows]:
    """b·exp(x − m) and m; a logit whose b is 0 stands at m, where its exp cannot overflow."""
    m = o.max(Rows(np.where(b.values == 0, -np.inf, x.values), "x"))
    counted = Rows(np.where(b.values == 0, m.values, x.values), "x")
    return o.mul(b, o.exp(o.sub(counted, m))), m


def naive_signed(x: Rows, b: Rows, o: Arithmetic) -> Rows:
    """Log |Σ b·exp(x)|."""
    s = o.sum(o.mul(b, o.exp(x)))
    return o.log(Rows(np.abs(s.values), f"|{s.expr}|"))
