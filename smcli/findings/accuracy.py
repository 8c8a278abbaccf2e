"""Findings about how far a finite value is from the truth, and how far the problem itself lets it be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.findings.evidence import pick
from smcli.findings.foreign import suspicion
from smcli.findings.remedies import mend
from smcli.findings.rules import Hit, choice, instead, rule
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence, TruthEvidence

CONDITION = 1000.0  # a problem that multiplies rounding by more is called ill-conditioned
WELL = 8.0  # ulp; a method within them needs no excuse


@rule("SM401", "inaccurate", Severity.WARNING)
def inaccurate(ev: RunEvidence) -> Iterator[Hit]:
    """A finite value is further from the truth than a careful algorithm in this format would be.

    ## What it means

    No nan, no inf, just wrong digits. The finding gives the error in ulp (spacings of the format at the true value) and what
    a careful algorithm would have kept to on this very row.

    ## Why it happens

    The limit for n logits is max(8, 2(log2 n + 4)) ulp for log-softmax and cross-entropy; softmax and gradients add
    |x_j − max x| inside the bracket, since rounding that difference costs as much; logsumexp adds Σ p_i|x_i|/|lse|. A
    difference a − b of positive parts, as the gradient of soft labels is, may err by as many ulp of a + b. An entropy adds
    Σ w_i|x_i − max x|, w_i the weight of its terms; a focal loss takes 1 + γ times the bracket. Beyond the limit
    something was thrown away. Usual ways: exp(x − logsumexp), where a large logsumexp has few digits left for the
    difference; log(1 + e^x) without log1p; a gradient's p − 1, which has the error of p and is smaller; subnormal
    intermediates (SM405); a long sum in a narrow format (SM404).

    {table:unit_roundoff}

    Values of code whose steps are not seen, a function of yours or a file that `check` reads, may be right, but of another
    problem. They are compared with the true values of problems that differ in one thing from the one asked, with those of a
    constant factor, a narrower format and the methods here. One is named only where all values of the rows fit it and that
    is no chance; where several would, the first of this list:

    {list:mistakes}

    ## How to fix it

    Subtract the maximum, which is exact or nearly so, and not the logsumexp. NumPy:

    ```python
    import numpy as np

    x = np.array([1e9, 1e9 + 1])
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch (not torch.exp(logits − torch.logsumexp(...))):

    ```python
    p = F.softmax(logits, dim=-1, dtype=torch.float32)
    ```

    JAX:

    ```python
    p = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
    ```

    TensorFlow:

    ```python
    p = tf.nn.softmax(tf.cast(logits, tf.float32))
    ```

    ## See it

    ```sh
    smcli compare 1000000000 1000000001 --method explse,shifted
    smcli compare -12.3392 0 -q logsumexp -d float32 -m fused
    ```

    ## Source

    Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), sections 3 and 4 (error bounds of both forms). Higham 2002,
    Accuracy and Stability of Numerical Algorithms, chapter 3.
    """
    wrong = ev.verdict(Verdict.INACCURATE) & np.isfinite(ev.y) & ev.clean
    if not wrong.any():
        return
    from smcli.findings import minus_one

    ulp = np.where(wrong, ev.errors.ulp, -1.0)
    most = ulp.argmax(axis=1)
    true = pick(ev.truth.hi, most)
    allowed = pick(np.broadcast_to(ev.limit.ulp, ulp.shape), most)
    remedy = mend(ev, wrong)
    looks: dict[str, Any] = {}
    if ev.run.unseen and not ev.counted:
        remedy, looks = suspicion(ev, wrong, remedy)
    index = np.where((true == 0) | np.isinf(true), 1, 0)
    if (minus := minus_one.cancelled(ev, wrong)) is not None and minus.where.any():
        index[minus.where] = 2
        looks = {**looks, "of_p": minus.of_p, "each": minus.each}
        if ev.run.unseen and not ev.counted:
            remedy = instead(remedy, minus.where, minus_one.INSTEAD)
    against = choice(
        "a careful {format} algorithm stays within {allowed} ulp here",
        "your limit is {allowed} ulp",
        "that is beyond your --max-rel",
        index=np.where(pick(ulp, most) <= allowed, 2, 1) if ev.tolerance.given else np.zeros(len(ulp)),
    )
    yield Hit(
        wrong,
        choice(
            "wrong by up to {ulp} ulp ({rel} relative) at {at}; {against}",
            "{got} is returned at {most:place} where the truth is {true:most}",
            minus_one.TEXT,
            index=index,
        ),
        remedy,
        facts={"ulp": pick(ulp, most), "rel": pick(ev.errors.rel, most), "got": pick(ev.y, most), "most": most,
               "format": ev.format.name, "allowed": allowed, "against": against, **looks},
    )  # fmt: skip


@rule("SM406", "ill-conditioned", Severity.NOTE, about="truth")
def ill_conditioned(ev: TruthEvidence) -> Iterator[Hit]:
    """The problem itself multiplies rounding: a tiny change of the logits changes the result by much more.

    ## What it means

    A note, not a fault of any method: it explains why every method shown is further off than usual, and still within its
    limit. The logits do not hold the digits of the result: two programs may disagree by the condition number times u and
    both be right for logits one rounding apart.

    ## Why it happens

    The condition number κ is the relative change of a result over the largest relative change of a logit: after each
    logit was rounded once, the result has changed by up to κ·u. For logsumexp it is Σ p_i|x_i|/|lse|; for a softmax p_j
    it is (1 − p_j)|x_j| + Σ p_i|x_i| over the other classes; for log p_j that over |log p_j|. It is large for a
    logsumexp near 0, for one with coefficients whose terms b·e^x cancel, and for large logits with a small p. It is
    reported above 1000, where a method is beyond 8 ulp and within its limit (see SM401) and none does better.

    {table:unit_roundoff}

    ## How to fix it

    Do not round the logits so early: take a common offset out while they are still wide. NumPy:

    ```python
    import numpy as np

    x = np.array([1e9, 1e9 + 1])
    z = (x - x.max()).astype(np.float32)
    p = np.exp(z) / np.exp(z).sum()
    ```

    PyTorch, the last layer and the loss in float32:

    ```python
    with torch.autocast(device_type="cuda", enabled=False):
        loss = F.cross_entropy(head(hidden.float()), target)
    ```

    JAX, float64 where it matters:

    ```python
    jax.config.update("jax_enable_x64", True)
    ```

    TensorFlow:

    ```python
    hidden, weight = tf.cast(hidden, tf.float64), tf.cast(weight, tf.float64)
    log_p = tf.nn.log_softmax(hidden @ weight)
    ```

    ## See it

    ```sh
    smcli compare -0.775 -0.6175 --quantity logsumexp
    smcli compare 900.1 300.7 --quantity softmax
    ```

    ## Source

    Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4), section 2 (condition numbers). Higham 2002, Accuracy and
    Stability of Numerical Algorithms, section 1.6.
    """
    if ev.condition is None or not ev.judged:
        return
    condition = np.broadcast_to(ev.condition, ev.truth.hi.shape)
    ulp = np.stack([e.ulp for e in ev.judged.values()])
    within = np.stack([e.verdicts == Verdict.OK for e in ev.judged.values()])
    explained = within & (ulp > WELL)
    where = (
        explained.any(axis=0) & ~(ulp <= WELL).any(axis=0) & (condition > CONDITION) & np.isfinite(condition) & ev.clean
    )
    if not where.any():
        return
    most = np.where(where, condition, -1.0).argmax(axis=1)
    kappa = pick(condition, most)
    change = kappa * ev.format.unit_roundoff
    by = np.stack([pick(np.where(e, u, -1.0), most) for e, u in zip(explained, ulp, strict=True)])
    worst = by.argmax(axis=0)
    yield Hit(
        where,
        choice(
            "the condition number is {kappa} at {most:place}: one rounding of the logits ({u} relative) changes the result by up to "
            "{change} relative, which explains the {ulp} ulp of {method}",
            "the condition number is {kappa} at {most:place}: one rounding of the logits ({u} relative) changes the result by up to "
            "its own size or more, which explains the {ulp} ulp of {method}",
            index=change > 0.5,
        ),
        "take a common offset out of the logits before they are rounded"
        + (", or carry them in a wider format" if ev.format.p < 53 else "")
        + "; else do not rely on these digits",
        facts={"kappa": kappa, "most": most, "u": ev.format.unit_roundoff, "change": change, "ulp": by.max(axis=0),
               "method": choice(*ev.judged, index=worst)},
    )  # fmt: skip
