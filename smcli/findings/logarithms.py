"""Findings about logarithms: of a 0 that should have been a small number, and of a 1 that was a little more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.evidence import first, infinities, pick
from smcli.findings.remedies import mend
from smcli.findings.rules import Hit, choice, first_of, rule
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray, FloatArray
    from smcli.numbers.arithmetic import Step


@rule("SM303", "log-of-zero", Severity.ERROR)
def log_of_zero(ev: RunEvidence) -> Iterator[Hit]:
    """The log of a probability that had underflowed to 0: the loss is infinite or nan, the truth is finite.

    ## What it means

    The loss was taken as −log(softmax(x)), and softmax had rounded to 0. The result is inf, or nan where a label of 0
    multiplies it. The true loss is an ordinary number: 800 for the logits 0 and −800.

    ## Why it happens

    exp(x − max) is 0 for a class that far below the maximum, while log p = (x − max) − log Σ needs no exp of it at all:

    {table:exp_zero}

    Adding 1e-7 inside the log makes the loss finite and wrong, and stops its gradient (SM904). An entropy −Σ p·log p is nan
    by 0·(−inf) wherever p is 0, that of a masked class too; a divergence Σ p·log(p/q) is inf where q was lost, and nan where
    p is 0, as 0·log 0 or log(0/0). log(sigmoid(x)) is −inf where exp(−x) overflows, and so is a focal loss made of it.

    ## How to fix it

    Never take the log of a softmax: subtract the logsumexp instead. NumPy:

    ```python
    import numpy as np

    x, t = np.array([0.0, -800.0]), 1
    z = x - x.max()
    log_p = z - np.log(np.exp(z).sum())
    loss = -log_p[t]
    ```

    PyTorch (binary: F.binary_cross_entropy_with_logits):

    ```python
    loss = F.cross_entropy(logits, target)
    ```

    JAX:

    ```python
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    ```

    TensorFlow:

    ```python
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
    ```

    ## See it

    ```sh
    smcli compare 0 -800 --target 1
    smcli compare 1000 2000 3000 4000 5000
    ```

    ## Source

    Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), section 1. TensorFlow API,
    tf.nn.sparse_softmax_cross_entropy_with_logits (takes logits, not the output of softmax).
    """
    if not (ev.quantity.is_log or ev.quantity.is_loss):
        return
    wrong = ~np.isfinite(ev.y) & ev.finite_truth & ev.clean
    odd = np.isnan(ev.y) & ~np.isnan(ev.truth.hi) & ~ev.finite_truth & ev.clean  # nan where infinity is due
    if ev.quantity.name == "kl":
        for step in ev.steps("div"):
            where = wrong & ev.over_values((step.inputs[1] == 0) & (step.inputs[0] > 0))
            if step.expr == "p/q" and where.any():
                wrong = wrong & ~where
                yield Hit(
                    where,
                    "{step} divides by a probability that was lost: q is 0 at {class:place}, {got} is returned, the truth is {true}",
                    mend(ev, where),
                    step.expr,
                    {"step": step.expr, "got": infinities(ev.y, where),
                     "class": first((step.inputs[1] == 0) & (step.inputs[0] > 0))},
                )  # fmt: skip
        for hit in _nothing_by_nothing(ev, wrong | odd):
            wrong, odd = wrong & ~hit.where, odd & ~hit.where
            if hit.where.any():
                yield hit
    for step in ev.steps("log"):
        where = wrong & _taken(ev, step)
        if not where.any():
            continue
        wrong = wrong & ~where
        yield Hit(
            where,
            "{step} takes the log of 0, where {what} was lost: {got} is returned at {at}, the truth{there} is {true}",
            mend(ev, where),
            step.expr,
            {"step": step.expr, "got": infinities(ev.y, where),
             "what": "a probability" if step.inputs[0].shape == ev.x.shape else "the sum of the exponentials"},
        )  # fmt: skip
    yield from _zero_times_infinity(ev, (np.isnan(ev.y) & wrong) | odd)


def _nothing_by_nothing(ev: RunEvidence, wrong: BoolArray) -> Iterator[Hit]:
    """Of a divergence a class that neither row has: 0/0, or the difference of two logarithms of 0."""
    for step in ev.steps("div", "sub"):
        a, b = step.inputs
        both = (a == 0) & (b == 0) if step.op == "div" else (a == -np.inf) & (b == -np.inf)
        where = wrong & ev.over_values(both)
        if "log" in step.expr or step.expr == "p/q":
            yield Hit(
                where,
                choice(
                    "{step} is {pair} = nan at {class:place}, which is masked; a class with p = 0 should count nothing: the "
                    "truth is {true}",
                    "{step} is {pair} = nan at {class:place}, where both probabilities were lost; a class with p = 0 should "
                    "count nothing: the truth is {true}",
                    index=pick(ev.x, first(both)) > -np.inf,
                ),
                mend(ev, where, otherwise="leave the classes with p = 0 out of the sum: where(p > 0, p·log(p/q), 0)"),
                step.expr,
                {"step": step.expr, "class": first(both), "pair": "0/0" if step.op == "div" else "−inf − (−inf)"},
            )


def _taken(ev: RunEvidence, step: Step) -> BoolArray:
    """Where a logarithm of 0 counts in the result, and is not drowned by one of nan."""
    zero, nan = step.inputs[0] == 0, np.isnan(step.inputs[0])
    factor = _factor(ev, step)
    if factor is not None and factor.shape == zero.shape:
        zero = zero & (factor != 0)
    if zero.shape == ev.y.shape:
        return np.asarray(zero)
    if (
        factor is None
        and zero.shape == ev.x.shape
        and ev.problem.loss is not None
        and ev.problem.loss.target is not None
        and not ev.problem.loss.smoothing
    ):
        hot = np.zeros(zero.shape, dtype=bool)  # only the target's logarithm is used
        hot[np.arange(len(hot)), np.maximum(ev.problem.loss.target, 0)] = True
        zero, nan = zero & hot, nan & hot
    return np.broadcast_to((ev.in_row(zero) & ~ev.in_row(nan))[:, None], ev.y.shape)


def _factor(ev: RunEvidence, step: Step) -> FloatArray | None:
    """What the output of a step is multiplied by, if it is."""
    for s in ev.steps("mul"):
        for k in (0, 1):
            if s.inputs[k] is step.output:
                return s.inputs[1 - k]
    return None


def _zero_times_infinity(ev: RunEvidence, wrong: BoolArray) -> Iterator[Hit]:
    """A zero label times the infinite log of a class: a masked one, or one whose probability was lost."""
    for step in ev.steps("mul"):
        nan = _zero_times_log_of_zero(ev, step)
        where = wrong & ev.over_values(nan)
        if not where.any():
            continue
        wrong = wrong & ~where
        at = first(where if nan.shape == where.shape and nan.shape == ev.x.shape else nan)
        masked = pick(ev.x, at) == -np.inf
        yield Hit(
            where,
            "{step} is {product} = nan at {which}; a factor of 0 should count nothing: the truth{there} is {true}",
            mend(ev, where, otherwise="leave classes with a zero label out of the sum: where(y > 0, y·log p, 0)"),
            step.expr,
            {
                "step": step.expr,
                "class": at,
                "product": "0·(−inf)" if ev.inner.has_inf else "0·log 0",
                "which": choice(
                    "index {class}, where a log of 0 was taken",
                    "the masked class {class}, as in frameworks",
                    index=masked,
                ),
            },
        )


def _zero_times_log_of_zero(ev: RunEvidence, step: Step) -> BoolArray:
    """Where a product is nan because one factor is 0 and the other the logarithm of 0."""
    a, b = step.inputs
    beyond = [s.output for s in ev.steps("exp", "exp2")]  # 0·inf of an exp that overflowed is SM201's
    infinite = [np.isinf(x) & (not any(x is e for e in beyond)) for x in (a, b)]
    where = ((a == 0) & infinite[1]) | (infinite[0] & (b == 0))
    if not ev.inner.has_inf:  # the logarithm of 0 is nan there
        for log in ev.steps("log"):
            for one, other in ((a, b), (b, a)):
                if log.output is other:
                    where = where | ((one == 0) & (log.inputs[0] == 0))
    return np.asarray(where)


@rule("SM402", "saturated", Severity.WARNING)
def saturated(ev: RunEvidence) -> Iterator[Hit]:
    """A loss, entropy, log-probability or logsumexp of exactly 0, where the truth is not and the format holds it.

    ## What it means

    The loss of a confident prediction reads 0 instead of, say, 4.2e-18. Ranking by loss, perplexity of easy tokens and tests
    of the form "loss > 0" go wrong; the gradient mostly vanishes with it (SM502).

    ## Why it happens

    log Σ exp(x − max) is log(1 + s), where s sums all terms but the largest. When the winner leads by d, s is about exp(−d),
    and 1 + s rounds to 1:

    {table:margin}

    A focal loss is 0 already where 1 − p is: the factor (1 − p)^γ cancels. Of an entropy −Σ p·log p both kinds of terms go,
    the log of the likely class and the p of all others; of a divergence too, where one class has all of p (where its terms
    cancel instead, SM408 says so). log(sigmoid(x)) is 0 where 1 + exp(−x) is 1.

    log_softmax of PyTorch, JAX, TensorFlow and SciPy all return 0 for the float32 logits 16.942385 and 0; the truth is
    −4.3855e-08.

    ## How to fix it

    Leave the maximum's own 1 out of the sum and take log1p of the rest. NumPy:

    ```python
    import numpy as np

    x, t = np.array([40.0, 0.0]), 0
    top = x.argmax()
    z = x - x[top]
    log_p = z - np.log1p(np.exp(np.delete(z, top)).sum())
    loss = -log_p[t]
    ```

    PyTorch:

    ```python
    top, k = logits.max(dim=-1, keepdim=True)
    z = logits - top
    rest = z.exp().scatter(-1, k, 0.0)
    log_p = z - torch.log1p(rest.sum(dim=-1, keepdim=True))
    ```

    JAX:

    ```python
    z = logits - logits.max(axis=-1, keepdims=True)
    top = jax.nn.one_hot(logits.argmax(axis=-1), z.shape[-1], dtype=bool)
    rest = jnp.where(top, 0.0, jnp.exp(z))
    log_p = z - jnp.log1p(rest.sum(axis=-1, keepdims=True))
    ```

    TensorFlow:

    ```python
    z = logits - tf.reduce_max(logits, axis=-1, keepdims=True)
    top = tf.one_hot(tf.argmax(logits, axis=-1), z.shape[-1])
    rest = tf.exp(z) * (1.0 - top)
    log_p = z - tf.math.log1p(tf.reduce_sum(rest, axis=-1, keepdims=True))
    ```

    ## See it

    ```sh
    smcli compare 40 0 --target 0 --method fused,log1p
    smcli compare 0 -40 --quantity logsumexp --method fused,log1p
    smcli compare 40 0 --target 0 --quantity focal --method fused,log1p
    ```

    ## Source

    Blanchard, Higham & Higham 2021, Algorithm 4.1. Python and NumPy documentation, log1p.
    """
    if not ev.quantity.is_log and not ev.quantity.is_loss:
        return
    stuck = (ev.y == 0) & (ev.truth.hi != 0) & ev.held & ev.finite_truth & ev.clean
    stuck &= ev.verdict(Verdict.LOST, Verdict.INACCURATE)  # under a soft cap 0 may be as good as it gets
    if not stuck.any():
        return
    absorbed = []
    for s in ev.steps("log", "log1p", "add", "sub"):
        if s.op in {"log", "log1p"}:
            mask = (s.output == 0) & (s.inputs[0] != 0)
        elif s.op == "sub" and s.inputs[0].size == 1:  # 1 − p
            mask = (s.output == 0) & (s.inputs[1] != 0)
        else:
            mask = (s.output == s.inputs[0]) & (s.inputs[1] != 0) | (s.output == s.inputs[1]) & (s.inputs[0] != 0)
        if mask.shape == stuck.shape:
            mask = mask & stuck
        absorbed.append((s.expr, ev.in_row(mask)))
    yield Hit(
        stuck,
        "exactly 0 is returned at {at}; the truth{there} is {true}, which {format} holds",
        mend(ev, stuck),
        first_of(absorbed, len(stuck)),
        {"format": ev.format.name},
    )
