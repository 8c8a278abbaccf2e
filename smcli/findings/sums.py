"""Findings about sums: one that stopped growing, probabilities that do not add up to 1, a cumulative sum short of 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.overflow import is_running
from smcli.findings.remedies import mend
from smcli.findings.rules import Hit, choice, rule
from smcli.judge.measure import spacing
from smcli.model import Severity
from smcli.numbers import formats
from smcli.numbers.running import ends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray, FloatArray, IntArray
    from smcli.numbers.arithmetic import Step
    from smcli.numbers.formats import Format

SHOWS = 1e-3  # what a sum differs from 1 by so that it shows in the sum itself
DENOMINATOR = (
    "the method naive is accurate here: look for the denominator there, a term that is left out or counted twice, an ε beside "
    "the sum, the sum over another axis"
)
LEAST_MISS = 0.01  # by how much a cumulative sum misses 1 before it is told


@rule("SM403", "not-normalised", Severity.WARNING, always=True)
def not_normalised(ev: RunEvidence) -> Iterator[Hit]:
    """The probabilities do not sum to 1 within what their rounding explains.

    ## What it means

    Each p may look plausible while together they make 0.9 or 32. Sampling, expected values and attention outputs are off by
    that factor. A sum that is off by a few roundings is normal and not reported.

    ## Why it happens

    In p_i = e_i/Σ the e_i and the Σ do not belong together: the sum stalled or overflowed in a narrow format (SM404, SM202),
    or exp(x − logsumexp) was used with a large, coarsely rounded logsumexp. What rounding explains is the limit of each
    value (see SM401) times its spacing, added up; it is proportional to u:

    {table:unit_roundoff}

    ## How to fix it

    Divide by the sum of the same terms, added in float32 or wider. NumPy:

    ```python
    import numpy as np

    x = np.zeros(4096, dtype=np.float16)
    e = np.exp(x - x.max())
    p = (e / e.sum(dtype=np.float32)).astype(np.float16)
    ```

    {fix:wide_softmax}

    ## See it

    ```sh
    smcli compare 1000000000 1000000001 --method explse,shifted
    smcli compare 9 9 9 9 9 9 9 9 9 9 --dtype float16
    ```

    ## Source

    Blanchard, Higham & Higham 2021, section 4 (division against subtraction of the logsumexp). Milakov & Gimelshein 2018,
    Online normalizer calculation for softmax.
    """
    y = ev.y
    if ev.quantity.name != "softmax" or y.shape[1] < 2:
        return
    total = y.sum(axis=1, keepdims=True)
    allowed = (spacing(np.abs(ev.t), ev.format) * ev.explained.ulp).sum(axis=1, keepdims=True) + y.shape[1] * 2.0**-52
    off = (np.abs(total - 1) > allowed) & np.isfinite(total) & ev.clean
    if not off.any():
        return
    where, more = np.broadcast_to(off, y.shape), total[:, 0] - 1
    for r in () if ev.counted else np.flatnonzero(off).tolist():
        more[r] = math.fsum((*y[r].tolist(), -1.0))  # whose digits the sum itself has lost
    yield Hit(
        where,
        choice(
            "the probabilities sum to {total}; rounding explains only 1 ± {allowed}",
            "the probabilities sum to 1 + {more}; rounding explains only 1 ± {allowed}",
            "the probabilities sum to 1 − {more}; rounding explains only 1 ± {allowed}",
            index=np.where(np.abs(more) > SHOWS, 0, np.where(more > 0, 1, 2)),
        ),
        mend(ev, where, whole_rows=True, elsewhere=DENOMINATOR),
        facts={"total": total[:, 0], "more": np.abs(more), "allowed": allowed[:, 0]},
    )


@rule("SM404", "stalled-sum", Severity.WARNING, once=True, always=True)
def stalled_sum(ev: RunEvidence) -> Iterator[Hit]:
    """The running sum grew so large that further terms no longer changed it.

    ## What it means

    Terms were added without effect. Where they are most of a row, the denominator is far too small and all probabilities
    far too large: 8192 equal logits in bfloat16, added one after the other, each get 1/256 instead of 1/8192. Where other
    terms were rounded up, the sum ends less far below the true one than what was left out.

    ## Why it happens

    A term of at most half the spacing of the running sum S changes nothing. For terms of 1 that begins at S = 2^p:

    {table:stall}

    A row only has to be that long and nearly flat, as a vocabulary is at the start of training.

    ## How to fix it

    Keep the running sum in float32 (every good GPU kernel does), or add in pairs or with compensation. NumPy:

    ```python
    import numpy as np

    x = np.zeros(8192, dtype=np.float16)
    e = np.exp(x - x.max())
    p = (e / e.sum(dtype=np.float32)).astype(np.float16)
    ```

    PyTorch:

    ```python
    total = torch.sum(e, dim=-1, keepdim=True, dtype=torch.float32)
    ```

    JAX:

    ```python
    total = jnp.sum(e, axis=-1, keepdims=True, dtype=jnp.float32)
    ```

    TensorFlow:

    ```python
    total = tf.reduce_sum(tf.cast(e, tf.float32), axis=-1, keepdims=True)
    ```

    ## See it

    ```sh
    python -c "print(*[0]*4096)" | smcli compare -d float16 --sum sequential
    python -c "print(*[0]*1000)" | smcli compare -d bfloat16 --sum sequential
    ```

    The same with `--accumulate float32` or `--sum pairwise` is accurate.

    ## Source

    Higham 2002, Accuracy and Stability of Numerical Algorithms, chapter 4 (summation). Blanchard, Higham & Higham 2020, A
    class of fast and accurate summation algorithms, SIAM J. Sci. Comput. 42(3).
    """
    running = formats.get(ev.numerics.accumulate) if ev.numerics.accumulate else ev.inner
    u = max(ev.inner.unit_roundoff, running.unit_roundoff)
    explained = min(2 * (math.log2(max(ev.x.shape[1], 2)) + 4) * u, 0.25)
    for step in ev.steps("sum"):
        if step.ignored is None or step.stalled_at is None or step.left_out is None:
            continue
        stalled = (step.ignored > explained)[:, None] & ev.clean
        if not stalled.any():
            continue
        where = np.broadcast_to(stalled, ev.y.shape)
        end = np.broadcast_to(step.output, (len(where), 1))[:, 0]
        kind, true, off = _short(ev, step, end, stalled[:, 0])
        yield Hit(
            where,
            choice(
                "{step} ended at {end}, {off} % {below} the sum of its terms, {due}: " + STALLED + "; those left out sum to {left}",
                "{step} ended at {end}, where its terms sum to {due}: " + STALLED + "; the absolute values of those left out sum to "
                "{left}",
                "{step} ended at {end}: " + STALLED + "; those left out are {share} % of what it and they sum to",
                index=kind,
            ),
            mend(ev, where, sums_first=True, whole_rows=True),
            step.expr,
            {"step": step.expr, "end": end, "off": np.abs(off), "below": choice("below", "above", index=off > 0), "due": true,
             "left": step.left_out, "share": step.ignored * 100, "term": step.stalled_at.astype(np.int64),
             "first": choice("", ", first term {term}", index=step.stalled_at >= 0)},
        )  # fmt: skip


STALLED = "terms below half the spacing of a running sum do not change it{first}"


def _short(ev: RunEvidence, step: Step, end: FloatArray, rows: BoolArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Of stalled sums how to tell them, the sum of their terms, and by how many percent of it they ended above it.

    Both are `math.fsum`'s, the nearest float64 to the exact sum of the terms and of the terms less the end, so that each
    quotient errs by some 2^-52. A one-pass sum (kind 2) keeps no terms; those of both signs (1) may cancel, and no share of
    their sum tells anything.
    """
    kind, true, off = np.full(end.size, 2), np.full(end.size, np.nan), np.full(end.size, np.nan)
    terms = step.inputs[0]
    if ev.counted or is_running(step):
        return kind, true, off
    for r in np.flatnonzero(rows & np.isfinite(np.ldexp(np.abs(terms), 64).sum(axis=1))).tolist():
        some = terms[r].tolist()
        true[r] = math.fsum(some)
        kind[r] = int(min(some) < 0)
        if not kind[r]:
            off[r] = 100 * (math.fsum((end[r], *(-t for t in some))) / true[r])
    return kind, true, off


def may_miss(classes: int, fmt: Format) -> bool:
    """Whether a cumulative sum of so many probabilities can miss 1 by enough to be told (SM407)."""
    return classes * fmt.unit_roundoff >= LEAST_MISS


@rule("SM407", "cumulative-sum", Severity.NOTE, once=True, always=True)
def cumulative_sum(ev: RunEvidence) -> Iterator[Hit]:
    """The running sum of the probabilities, one after the other in the format, does not end at 1.

    ## What it means

    The probabilities are right, and sum to 1 within their rounding; their cumulative sum is not. Sampling by inverse CDF and
    top-p filters compare it with a number up to 1: beyond its last value no class is found, and the index runs past the end,
    or the last class is taken far too often.

    ## Why it happens

    A running sum just below 1 is spaced by u, and a term of less than half of that does not change it. In bfloat16 each of a
    few hundred unlikely classes is below that, however much they have together.

    {table:unit_roundoff,stall}

    It is reported where the sum misses 1 by more than 1 % and more than 4u.

    ## How to fix it

    Add up in float32 or wider, divide by the last value, and clamp the index. NumPy:

    ```python
    import numpy as np

    x = np.zeros(3000, dtype=np.float32)
    p = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    c = np.cumsum(p, dtype=np.float64)
    i = min(int(np.searchsorted(c / c[-1], 0.999)), p.size - 1)
    ```

    PyTorch:

    ```python
    c = p.float().cumsum(-1)
    i = torch.searchsorted(c / c[-1], u).clamp(max=p.numel() - 1)
    ```

    JAX:

    ```python
    c = jnp.cumsum(p.astype(jnp.float32))
    i = jnp.searchsorted(c / c[-1], u).clip(max=p.size - 1)
    ```

    TensorFlow:

    ```python
    c = tf.cumsum(tf.cast(p, tf.float32))
    i = tf.minimum(tf.searchsorted(c / c[-1], u), tf.size(p) - 1)
    ```

    ## See it

    ```sh
    python -c "print([0] * 3000)" | smcli compare -q softmax -d bfloat16
    ```

    ## Source

    Higham 2002, Accuracy and Stability of Numerical Algorithms, chapter 4 (recursive summation). Holtzman et al. 2020, The
    Curious Case of Neural Text Degeneration (top-p sampling).
    """
    y, running = ev.y, formats.get(ev.numerics.accumulate) if ev.numerics.accumulate else ev.inner
    least = max(LEAST_MISS, 4 * running.unit_roundoff)
    if ev.quantity.name != "softmax" or not may_miss(y.shape[1], running):
        return
    total = y.sum(axis=1, keepdims=True)
    whole = (np.abs(total - 1) <= least) & ev.in_row(ev.clean)[:, None]  # else it is SM403's
    rows = np.flatnonzero(whole[:, 0])
    if not rows.size:
        return
    some = y if rows.size == len(y) else y[rows]
    end = np.full(len(y), 1.0)
    end[rows] = ends(some if running == ev.format else running.round(some), running)
    off = whole & (np.abs(end - 1) > least)[:, None]
    yield Hit(
        np.broadcast_to(off, y.shape),
        choice(
            "the cumulative sum of the probabilities ends at {end} in {format}, not at 1: a search beyond {end} finds no class",
            "the cumulative sum of the probabilities ends at {end} in {format}, not at 1: the last classes are never found",
            index=end > 1,
        ),
        "add up in float32 or wider, divide by the last value, and clamp the index",
        facts={"end": end, "format": running.name},
    )
