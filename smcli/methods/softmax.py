"""The algorithms of the forward pass, one class each: the formula, nothing else.

x is a block [R, C] of logits, o the arithmetic of the format. Σ is o.sum, in the order that the user chose.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from smcli.methods import backward, parts
from smcli.methods.base import method
from smcli.methods.bounds import Bound
from smcli.methods.one_pass import two_pass_sum, walk
from smcli.numbers.arithmetic import Rows

if TYPE_CHECKING:
    from smcli.methods.bounds import Sizes
    from smcli.model import BoolArray, FloatArray, Loss
    from smcli.numbers.arithmetic import Arithmetic

LN2 = math.log(2.0)
CLIP = 1e-7


def _shift(x: Rows, o: Arithmetic) -> tuple[Rows, Rows]:
    m = o.max(x)
    return o.sub(x, m), m


def _bce(p: Rows, y: Rows, o: Arithmetic) -> Rows:
    """−(y·log p + (1 − y)·log(1 − p))."""
    one = o.const(1)
    q = o.sub(one, p)
    return o.neg(o.add(o.mul(y, o.log(p)), o.mul(o.sub(one, y), o.log(q))))


class _FromProbabilities:
    """What is written once there are probabilities: their logarithm, and the losses of both."""

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        raise NotImplementedError

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return o.log(self.softmax(x, o))

    def entropy(self, x: Rows, o: Arithmetic) -> Rows:
        p = Rows(self.softmax(x, o).values, "p")
        return parts.entropy(p, o.log(p), o)

    def kl(self, a: Rows, b: Rows, o: Arithmetic) -> Rows:
        p, q = (Rows(self.softmax(x, o).values, name) for x, name in ((a, "p"), (b, "q")))
        return parts.divergence(p, q, o)

    def focal(self, x: Rows, loss: Loss, o: Arithmetic) -> Rows:
        if loss.labels is not None:
            return parts.binary_focal(parts.naive_sides(x, o), loss, o)
        p = Rows(self.softmax(x, o).values, "p")
        return parts.focal(p, o.log(p), loss.gamma, o)


@method("naive", source="the definition; TensorFlow before softmax_cross_entropy_with_logits")
class Naive(_FromProbabilities):
    """Exponentiate as it is: exp overflows for large logits, underflows for small ones."""

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        e = o.exp(x)
        return o.div(e, o.sum(e))

    def logsumexp(self, x: Rows, o: Arithmetic) -> Rows:
        return o.log(o.sum(o.exp(x)))

    def bce(self, x: Rows, y: Rows, o: Arithmetic) -> Rows:
        return _bce(parts.sigmoid(x, o), y, o)

    def sigmoid(self, x: Rows, o: Arithmetic) -> Rows:
        return parts.sigmoid(x, o)

    def log_sigmoid(self, x: Rows, o: Arithmetic) -> Rows:
        return o.log(self.sigmoid(x, o))

    def signed_logsumexp(self, x: Rows, b: Rows, o: Arithmetic) -> Rows:
        return parts.naive_signed(x, b, o)

    def bound(self, quantity: str, r: Sizes) -> Bound | None:
        if quantity == "softmax":
            k = r.n + 1 + 2 * r.c + 0 * r.s
            return Bound(k, k, naive=True)
        k = r.n + r.c + 0 * r.s
        return Bound(r.c * np.abs(r.lse) + k, k, naive=True) if quantity == "logsumexp" else None


@method("shifted", source="Blanchard, Higham & Higham 2021, eq. (1.3)")
class Shifted(_FromProbabilities):
    """Subtract the maximum first: exp cannot overflow, small terms may underflow to 0."""

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        z, _ = _shift(x, o)
        e = o.exp(z)
        return o.div(e, o.sum(e))

    def logsumexp(self, x: Rows, o: Arithmetic) -> Rows:
        z, m = _shift(x, o)
        return o.add(m, o.log(o.sum(o.exp(z))))

    def signed_logsumexp(self, x: Rows, b: Rows, o: Arithmetic) -> Rows:
        return parts.signed(x, b, o)

    def bound(self, quantity: str, r: Sizes) -> Bound | None:
        if quantity == "softmax":
            k = r.n + 2 * r.c + 2 * r.spread  # BHH 2021, §4; so for each component
            return Bound(k, k)
        # BHH's Theorem 4.2 drops a term of this and is violated by 1.9e5 on [856715.1192530339, 856715.1186830291]
        k = np.abs(r.lse) + r.c * r.log + r.n + r.c + r.s / (1 + r.s) * r.spread
        return Bound(k, r.n + r.c + r.spread) if quantity == "logsumexp" else None


@method("fused", source="torch cross_entropy; tf.nn.softmax_cross_entropy_with_logits", backward="fused")
class Fused:
    """Stay in log space: (x − max) − log Σ exp(x − max); no log of a small probability is ever taken."""

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        z, _ = _shift(x, o)
        return o.sub(z, o.log(o.sum(o.exp(z))))

    def logsumexp(self, x: Rows, o: Arithmetic) -> Rows:
        return Shifted().logsumexp(x, o)

    def bce(self, x: Rows, y: Rows, o: Arithmetic) -> Rows:
        size = o.maximum(x, o.neg(x), "|x|")
        soft = o.log1p(o.exp(o.neg(size)))
        return o.add(o.sub(o.maximum(x, o.const(0)), o.mul(x, y)), soft)

    def sigmoid(self, x: Rows, o: Arithmetic) -> Rows:
        return parts.stable_sigmoid(x, o)

    def log_sigmoid(self, x: Rows, o: Arithmetic) -> Rows:
        return parts.stable_log_sigmoid(x, o)

    def entropy(self, x: Rows, o: Arithmetic) -> Rows:
        return parts.entropy_of_logs(self.log_softmax(x, o), o)

    def kl(self, a: Rows, b: Rows, o: Arithmetic) -> Rows:
        return parts.divergence_of_logs(self.log_softmax(a, o), self.log_softmax(b, o), o)

    def focal(self, x: Rows, loss: Loss, o: Arithmetic) -> Rows:
        if loss.labels is not None:
            return parts.binary_focal(parts.stable_sides(x, o), loss, o)
        log_p = Rows(self.log_softmax(x, o).values, "log p")
        return parts.focal(o.exp(log_p), log_p, loss.gamma, o)

    def signed_logsumexp(self, x: Rows, b: Rows, o: Arithmetic) -> Rows:
        return parts.signed(x, b, o)

    def bound(self, quantity: str, r: Sizes) -> Bound | None:
        return Shifted().bound(quantity, r) if quantity == "logsumexp" else None


@method("logspace", source="exp of torch.log_softmax", backward="fused")
class LogSpace:
    """The exponential of the fused log-softmax."""

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return o.exp(self.log_softmax(x, o))

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return Fused().log_softmax(x, o)


@method("explse", source="Blanchard, Higham & Higham 2021, eq. (1.4)", backward="fused")
class ExpLse:
    """exp(x − logsumexp): the rounding of the logsumexp costs |lse| ulps of relative accuracy."""

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return o.exp(self.log_softmax(x, o))

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return o.sub(x, self.logsumexp(x, o))

    def logsumexp(self, x: Rows, o: Arithmetic) -> Rows:
        return Shifted().logsumexp(x, o)

    def bound(self, quantity: str, r: Sizes) -> Bound | None:
        lse = Shifted().bound("logsumexp", r)
        if quantity != "softmax" or lse is None:
            return lse if quantity == "logsumexp" else None
        far = np.maximum(np.abs(r.top - r.lse), np.abs(r.bottom - r.lse))
        k = r.c + far + lse.factor  # BHH 2021, §4, with |lse + n − min x| for the last, from Theorem 4.2
        return Bound(k, k)


@method("log1p", source="Blanchard, Higham & Higham 2021, Algorithm 4.1; SciPy logsumexp", backward="fused")
class Log1p:
    """Leave the maximum's own 1 out of the sum and take log1p: a logsumexp near the maximum keeps its digits."""

    def _rest(self, x: Rows, o: Arithmetic) -> tuple[Rows, Rows, Rows, Rows]:
        z, m = _shift(x, o)
        e = o.exp(z)
        rest = e.values.copy()
        top = x.values.argmax(axis=1)
        rest[np.arange(top.size), top] = 0.0
        return z, m, e, o.sum(o.given(rest, f"{e.expr} but the largest"))

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        _, _, e, s = self._rest(x, o)
        return o.div(e, o.add(o.const(1), s))

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        z, _, _, s = self._rest(x, o)
        return o.sub(z, o.log1p(s))

    def logsumexp(self, x: Rows, o: Arithmetic) -> Rows:
        _, m, _, s = self._rest(x, o)
        return o.add(m, o.log1p(s))

    def entropy(self, x: Rows, o: Arithmetic) -> Rows:
        return parts.entropy_of_logs(self.log_softmax(x, o), o)

    def kl(self, a: Rows, b: Rows, o: Arithmetic) -> Rows:
        return parts.divergence_of_logs(self.log_softmax(a, o), self.log_softmax(b, o), o, held=True)

    def focal(self, x: Rows, loss: Loss, o: Arithmetic) -> Rows:
        if loss.labels is not None:
            return parts.binary_focal(parts.stable_sides(x, o), loss, o)
        z, _, e, s = self._rest(x, o)
        whole = o.add(o.const(1), s)
        p, own = o.div(e, whole), o.div(s, whole)
        q = o.sub(o.const(1), Rows(p.values, "p")).values.copy()
        top = x.values.argmax(axis=1)
        q[np.arange(top.size), top] = own.values[:, 0]  # 1 − p would cancel
        log_p = o.sub(z, o.log1p(s))
        return o.mul(o.pow(Rows(q, "q"), loss.gamma, "γ"), o.neg(log_p))

    def bound(self, quantity: str, r: Sizes) -> Bound | None:
        in_sum = r.n + r.c + r.spread
        k = np.abs(r.lse) + r.c * r.log + r.s / (1 + r.s) * in_sum
        return Bound(k, in_sum) if quantity == "logsumexp" else None


@method("online", source="Milakov & Gimelshein 2018, Algorithm 3; FlashAttention", backward="fused")
class Online:
    """One pass: the running sum is rescaled whenever a larger maximum appears. Sums one after the other."""

    threshold = 0.0

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        m, d = walk(x, o, self.threshold)
        return o.div(o.exp(o.sub(x, m)), d)

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return o.log(self.softmax(x, o))

    def logsumexp(self, x: Rows, o: Arithmetic) -> Rows:
        m, d = walk(x, o, self.threshold)
        return o.add(m, o.log(d))


@method(
    "online-lazy",
    source="FlashAttention-4: the running sum is rescaled only past a threshold of 8 in log2",
    backward="fused",
)
class OnlineLazy(Online):
    """One pass that rescales only when the maximum has grown by more than 8·ln 2, so exp may reach 256."""

    threshold = 8 * LN2


@method("two-pass", source="Dukhan & Ablavatski 2020, Two-Pass Softmax Algorithm", backward="fused")
class TwoPass:
    """Every exponential as a mantissa and a separate exponent: no maximum is needed and nothing overflows."""

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        mantissa, power, s, top = two_pass_sum(x, o)
        return o.ldexp(o.div(mantissa, s), o.sub(power, top))

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return o.log(self.softmax(x, o))

    def logsumexp(self, x: Rows, o: Arithmetic) -> Rows:
        _, _, s, top = two_pass_sum(x, o)
        return o.add(o.mul(top, o.const(LN2, "ln 2")), o.log(s))


@method("base2", source="FlashAttention: exp2 with log2(e) folded in", backward="fused")
class Base2:
    """Powers of two: 2^((x − max)·log2 e)."""

    def _power(self, x: Rows, o: Arithmetic) -> Rows:
        z, _ = _shift(x, o)
        return o.exp2(o.mul(z, o.const(1 / LN2, "log2(e)")))

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        e = self._power(x, o)
        return o.div(e, o.sum(e))


@method("base2-fma", source="FlashAttention: scale and shift in one fused multiply-add", backward="fused")
class Base2Fma(Base2):
    """Powers of two with the product before the shift, fused: 2^fma(x, log2 e, −max·log2 e)."""

    def _power(self, x: Rows, o: Arithmetic) -> Rows:
        c = o.const(1 / LN2, "log2(e)")
        return o.exp2(o.fma(x, c, o.neg(o.mul(o.max(x), c))))


@method("base2-nofma", source="the same expression compiled without fused multiply-add", backward="fused")
class Base2NoFma(Base2):
    """Powers of two with both products rounded before they are subtracted: an offset costs its digits."""

    def _power(self, x: Rows, o: Arithmetic) -> Rows:
        c = o.const(1 / LN2, "log2(e)")
        return o.exp2(o.sub(o.mul(x, c), o.mul(o.max(x), c)))


@method("clipped", source="Keras categorical_crossentropy from probabilities, ε = 1e-7")
class Clipped:
    """Clip the probability to [ε, 1 − ε] before the log: finite, but the loss sticks at −log ε."""

    losses = ("cross-entropy", "bce")

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        return Shifted().softmax(x, o)

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        low, one = o.const(CLIP, "ε"), o.const(1)
        high = o.sub(one, low)
        return o.log(o.maximum(o.minimum(self.softmax(x, o), high), low, "clip(softmax(x), ε, 1 − ε)"))

    def bce(self, x: Rows, y: Rows, o: Arithmetic) -> Rows:
        low, one = o.const(CLIP, "ε"), o.const(1)
        p = parts.sigmoid(x, o)
        return _bce(o.maximum(o.minimum(p, o.sub(one, low)), low, "clip(sigmoid(x), ε, 1 − ε)"), y, o)

    def backward(self, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
        """Composed, but that the clip passes a derivative only between its bounds."""
        low = o.const(CLIP).values
        high = o.format.round(1 - low)

        def passes(p: FloatArray) -> BoolArray:
            inside: BoolArray = (p >= low) & (p <= high)
            return inside

        return backward.composed(self, loss, x, o, passes)
