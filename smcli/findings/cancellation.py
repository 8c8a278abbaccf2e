"""The finding about a divergence whose terms cancel: the digits that its limit excuses and another sum keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.evidence import pick
from smcli.findings.remedies import mend
from smcli.findings.rules import Hit, choice, rule
from smcli.judge.logits import scaled
from smcli.judge.own import of_teacher
from smcli.methods.divergence import apart, common
from smcli.model import Severity, Verdict
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic, Rows, two_sum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray, FloatArray, Problem

CANCELLED = 4.0  # absolute values of the terms over their sum, from which on they are said to cancel
SLACK = 4.0  # times what rounding both logarithms explains; what is worse has another cause, and another finding
BY_HAND = "add only terms ≥ 0, p·(e^d − 1 − d), d = log q − log p, in a wider format, or take the certified value (smcli eval)"


@rule("SM408", "cancelled-sum", Severity.WARNING, always=True)
def cancelled_sum(ev: RunEvidence) -> Iterator[Hit]:
    """A divergence Σ p·log(p/q) of nearly equal rows: terms of both signs cancel, and take the digits with them.

    ## What it means

    Each logarithm is right to an ulp or two, their sum is not: in float64 it has one digit for two rows that differ by 1e-7,
    and none for closer ones; it may be negative, which a divergence never is. A KL penalty between a policy and its
    reference, a student near its teacher and a quantised model beside the original are such rows.

    ## Why it happens

    With d = log q − log p the terms −p·d are of the size of p·|d|, above 0 for some classes, below for others; they sum to
    about half of Σ p·d². It errs by some u·Σ p·|log p|, as both logarithms were rounded before they were subtracted, or by
    some u, as p/q was before its logarithm. The limit of SM401 excuses that, as every sum of these terms has it. Another
    sum has not: Σ p·(e^d − 1 − d) is the same number, since Σ p·e^d = Σ q = 1, and no term of it is negative.

    It is reported where the absolute values of the terms sum to 4 times their sum or more, and the error is beyond the limit
    without that excuse, max(8, 2(log2 n + 4 + Σ w_i|x_i − max x|)), w_i being the weight of a term. Beyond 4 times what
    SM401 allows something else went wrong, too, and SM401 says so.

    {table:unit_roundoff}

    ## How to fix it

    Take d from the differences of the logits, and e^d − 1 − d by its series where d is small (method bregman). NumPy:

    ```python
    import numpy as np

    x, other = np.array([1.0000001, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])
    p = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    d = (other - x) - (other - x)[x.argmax()]
    d = d - np.log1p((p * np.expm1(d)).sum())
    s = 1 + d / 5 * (1 + d / 6 * (1 + d / 7 * (1 + d / 8)))
    near, far = d * d / 2 * (1 + d / 3 * (1 + d / 4 * s)), np.expm1(d) - d
    kl = (p * np.where(np.abs(d) < 0.03, near, far)).sum()
    ```

    PyTorch (F.kl_div cancels, also with log_target=True):

    ```python
    p, d = F.softmax(x, dim=-1), other - x
    d = d - d.gather(-1, x.argmax(-1, keepdim=True))
    d = d - torch.log1p((p * torch.expm1(d)).sum(-1, keepdim=True))
    near = d * d / 2 * (1 + d / 3 * (1 + d / 4 * (1 + d / 5)))
    far = torch.expm1(d) - d
    kl = (p * torch.where(d.abs() < 0.03, near, far)).sum(-1)
    ```

    JAX:

    ```python
    p, d = jax.nn.softmax(x), other - x
    d = d - d[x.argmax()]
    d = d - jnp.log1p((p * jnp.expm1(d)).sum())
    near = d * d / 2 * (1 + d / 3 * (1 + d / 4 * (1 + d / 5)))
    kl = (p * jnp.where(jnp.abs(d) < 0.03, near, jnp.expm1(d) - d)).sum()
    ```

    TensorFlow:

    ```python
    p, d = tf.nn.softmax(x), other - x
    d = d - d[tf.argmax(x)]
    d = d - tf.math.log1p(tf.reduce_sum(p * tf.math.expm1(d)))
    near = d * d / 2 * (1 + d / 3 * (1 + d / 4 * (1 + d / 5)))
    far = tf.math.expm1(d) - d
    kl = tf.reduce_sum(p * tf.where(tf.abs(d) < 0.03, near, far))
    ```

    ## See it

    ```sh
    smcli compare 1 2 3 --against 1.0000001,2,3 -q kl
    smcli compare 1 2 3 --against 1.0000001,2,3 -q kl -m fused,bregman
    ```

    ## Source

    J. Schulman 2020, Approximating KL Divergence (the estimator k3). SciPy documentation, scipy.special.kl_div
    (x·log(x/y) − x + y, which is ≥ 0). Higham 2002, Accuracy and Stability of Numerical Algorithms, section 1.7
    (cancellation).
    """
    base = ev.explained.base
    if ev.quantity.name != "kl" or base is None:
        return
    allowed = np.broadcast_to(base, ev.y.shape)
    beyond = np.isfinite(ev.y) & (ev.errors.ulp > allowed) & ev.clean & ev.verdict(*FINITE)
    if not beyond.any():
        return
    size, mixed = _terms(ev)
    where = beyond & mixed & (size >= CANCELLED * np.abs(ev.t)) & (ev.errors.ulp <= SLACK * ev.explained.ulp)
    if not where.any():
        return
    strict = replace(ev, limit=replace(ev.limit, ulp=base, rel=np.inf, parts=None, base=None))
    told = "the terms of Σ p·log(p/q) cancel: their absolute values sum to {size}, they themselves to {true}; {got} is returned, "
    limits = " ({ulp} ulp; the limit, which allows for that, is {excused}, and {allowed} where nothing cancels)"
    at = np.zeros(len(allowed), dtype=np.int64)
    yield Hit(
        where,
        choice(
            told + "wrong by {rel} relative" + limits,
            told + "and no divergence is negative" + limits,
            told + "and only rows with the same softmax have a divergence of 0" + limits,
            index=np.where(ev.y[:, 0] < 0, 1, np.where(ev.y[:, 0] == 0, 2, 0)),
        ),
        mend(strict, where, first="bregman", otherwise=BY_HAND),
        facts={"size": size[:, 0], "got": ev.y[:, 0], "rel": ev.errors.rel[:, 0], "ulp": ev.errors.ulp[:, 0],
               "allowed": pick(allowed, at), "excused": pick(np.broadcast_to(ev.explained.ulp, ev.y.shape), at)},
    )  # fmt: skip


FINITE = (Verdict.OK, Verdict.INACCURATE, Verdict.LOST)


def _terms(ev: RunEvidence) -> tuple[FloatArray, BoolArray]:
    """Σ |p·log(p/q)| [R, 1], and whether terms are of both signs: to some digits, however close the rows are."""
    problem, loss = ev.problem, ev.problem.loss
    teacher = of_teacher(problem)
    first, second = (problem, teacher) if loss is not None and loss.reverse else (teacher, problem)
    wide = formats.get("float64")
    a, b = (Rows(scaled(q), "x") for q in (first, second))
    found = apart(a, b, Arithmetic(wide, wide), Rows(_gap(first, second), "δ"))
    terms = np.where(found.both, -found.p.values * found.d.values, 0.0)
    mixed = np.logical_and((terms > 0).any(axis=1, keepdims=True), (terms < 0).any(axis=1, keepdims=True))
    return np.abs(terms).sum(axis=1, keepdims=True), mixed


def _gap(first: Problem, second: Problem) -> FloatArray:
    """How much further apart the logits of a class are than those of the common class, divided and capped [R, C]."""
    both, k = common(first.logits, second.logits)
    a, b = (np.where(both, q.logits, 0.0) for q in (first, second))
    gap, rest = two_sum(b, -a)
    rest = np.where(np.isfinite(rest), rest, 0.0)
    cap, rows = first.softcap, np.arange(len(k))
    if cap is not None:  # tanh v − tanh w = tanh(v − w)·(1 − tanh v·tanh w)
        u, v, w = (x / first.temperature / cap for x in (gap + rest, a, b))
        gap, rest = cap * np.tanh(u) * (1 - np.tanh(v) * np.tanh(w)), np.zeros_like(gap)
    apart_by = (gap - gap[rows, k][:, None]) + (rest - rest[rows, k][:, None])
    return np.asarray(apart_by if cap is not None else apart_by / first.temperature)
