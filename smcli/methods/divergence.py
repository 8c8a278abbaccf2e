"""The divergence of rows that nearly agree: a sum in which no term is negative, so that nothing cancels."""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smcli.methods.base import method
from smcli.methods.softmax import Fused, Shifted
from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, IntArray

FAR = 4.0  # beyond it e^d·p is taken as q, which has its own rounding; e^4 is a number of every format
NEAR = 0.5  # up to here the series of e^d − 1 − d, beyond expm1(d) − d, which cancels no more than two bits


class Apart(NamedTuple):
    """Two rows and how far they are apart.

    Attributes:
        p, q: the softmax of both.
        d: log q − log p; 0 where one of them is masked.
        both: the classes that neither masks.
        lone: the classes that only the second row masks.
    """

    p: Rows
    q: Rows
    d: Rows
    both: BoolArray
    lone: BoolArray


@method("bregman", source="the k3 form of Schulman 2020, Approximating KL Divergence; SciPy kl_div", backward="fused")
class Bregman:
    """Σ p·(e^d − 1 − d), d = log q − log p, which no log-softmax is needed for: nothing cancels where rows nearly agree.

    d comes from the differences of the logits, less that of one class, δ: each is taken exactly, as an offset between the
    rows would cost its digits. log Σ p·e^δ is log1p of Σ p·expm1(δ). The sum over all classes is KL, as Σ p·e^d = Σ q = 1.
    """

    losses = ("kl",)

    def kl(self, a: Rows, b: Rows, o: Arithmetic) -> Rows:
        return o.sum(_terms(apart(a, b, o), o))

    def kl_gradient(self, x: Rows, teacher: Rows, o: Arithmetic, *, reverse: bool) -> Rows:
        """p − t as t·expm1(d), for d of at most 4; the other way round −p·(d + KL)."""
        if reverse:
            found = apart(x, teacher, o)
            mean = o.sum(_terms(found, o))
            return o.neg(o.mul(found.p, o.add(found.d, Rows(mean.values, "KL"))))
        p, q, d, both, _ = apart(teacher, x, o)
        near, far = o.mul(p, o.expm1(d)), o.sub(q, p)
        return Rows(np.where(both & (d.values <= FAR), near.values, far.values), "p·expm1(d)")


def common(a: FloatArray, b: FloatArray) -> tuple[BoolArray, IntArray]:
    """The classes [R, C] that neither row masks, and the likeliest of them in the first row, [R]."""
    both = (a != -np.inf) & (b != -np.inf)
    return both, np.where(both, a, -np.inf).argmax(axis=1)


def apart(a: Rows, b: Rows, o: Arithmetic, gap: Rows | None = None) -> Apart:
    """How far two rows are apart; `gap` is b − a less that of the common class, where it is known better than from them."""
    both, k = common(a.values, b.values)
    rows = np.arange(len(k))

    def at_k(v: Rows, name: str) -> Rows:
        return Rows(v.values[rows, k][:, None], name)

    p, q = (Rows(Shifted().softmax(v, o).values, name) for v, name in ((a, "p"), (b, "q")))
    if gap is None:
        left, right = (Rows(np.where(both, v.values, 0.0), v.expr) for v in (b, a))
        gap, rest = _exact_difference(left, right, o)
        gap = o.sub(gap, at_k(gap, f"({gap.expr})[k]"))
        gap = o.add(gap, o.sub(rest, at_k(rest, f"{rest.expr}[k]")))
    gap = Rows(np.where(both, gap.values, 0.0), "δ")
    moved = o.mul(p, o.expm1(gap))
    raised = o.exp(o.sub(b, at_k(b, f"{b.expr}[k]")))
    wide = o.sub(o.mul(at_k(p, "p[k]"), raised), p)  # p·e^δ − p, whose e^δ may be beyond the format
    moved = Rows(np.where(both & (gap.values <= FAR), moved.values, wide.values), "p·expm1(δ)")
    total = o.sum(moved)
    first_log, second_log = (at_k(Fused().log_softmax(v, o), f"log {name}[k]") for v, name in ((a, "p"), (b, "q")))
    near = np.abs(total.values) <= NEAR
    log = Rows(np.where(near, o.log1p(total).values, o.sub(first_log, second_log).values), "log Σ p·e^δ")
    d = o.sub(gap, log)
    return Apart(p, q, Rows(np.where(both, d.values, 0.0), "d"), both, (b.values == -np.inf) & (a.values != -np.inf))


def _exact_difference(a: Rows, b: Rows, o: Arithmetic) -> tuple[Rows, Rows]:
    """a − b rounded, and what that rounding left out (Møller 1965, Knuth); 0 where a step of it overflowed."""
    gap = o.sub(a, b)
    back = o.sub(gap, a)
    lost = o.sub(o.sub(a, o.sub(gap, back)), o.add(b, back))
    return gap, Rows(np.where(np.isfinite(lost.values), lost.values, 0.0), "ε")


def _terms(found: Apart, o: Arithmetic) -> Rows:
    """p·(e^d − 1 − d) of each class; q − p·(1 + d) for d > 4, q where only p is masked, inf where only q is."""
    p, q, d, both, lone = found
    near = o.mul(p, _excess(d, o))
    far = o.sub(q, o.mul(p, o.add(o.const(1), d)))
    held = np.where(both, np.where(d.values > FAR, far.values, near.values), q.values)
    lost = o.format.round(np.array(np.inf)) if o.format.has_inf else np.nan
    return Rows(np.where(lone, lost, held), "p·φ(d)")


def _excess(d: Rows, o: Arithmetic) -> Rows:
    """e^d − 1 − d, by d²·(1/2! + d/3! + ..) where the difference would cancel."""
    least = 2.0 ** -(o.format.p + 1)
    last = next(k for k in range(64) if 2 * NEAR**k / factorial(k + 2) < least)
    inside = Rows(np.where(np.abs(d.values) <= NEAR, d.values, 0.0), "d")
    series = o.const(1 / factorial(last + 2), f"1/{last + 2}!")
    for k in range(last - 1, -1, -1):
        more = o.mul(inside, Rows(series.values, "s"), "d·s")
        series = o.add(o.const(1 / factorial(k + 2), f"1/{k + 2}!"), more)
    small = o.mul(o.mul(inside, inside), Rows(series.values, "s"), "d²·(1/2! + d/3! + ..)")
    large = o.sub(o.expm1(d), d)
    values: FloatArray = np.where(np.abs(d.values) <= NEAR, small.values, large.values)
    return Rows(values, "φ(d)")
