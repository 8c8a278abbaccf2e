"""Findings about code whose steps are not seen: a kernel's, a library's, a user's function, values from a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli import methods
from smcli.findings.evidence import NEEDED, first, infinities, pick
from smcli.findings.rules import Hit, choice, rule
from smcli.judge.measure import spacing
from smcli.model import Choice, Severity, Verdict
from smcli.numbers.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray

WITNESSES = ("naive", "shifted", "explse", "clipped")  # what people write, the likeliest first
FEW = 3  # values from which on a pattern among them is none by chance
ALIKE = 1e-3  # by how much, relatively, factors may differ that are called one; more in narrow formats
NEAR, FAR = 4.0, 64.0  # spacings within which a value is taken for another class's, and beyond which it is not its own


@rule("SM409", "stray-nan", Severity.ERROR, about="left")
def stray_nan(ev: RunEvidence) -> Iterator[Hit]:
    """Code whose steps are not seen returned nan or an infinity, and no method here that people write does so, too.

    ## What it means

    The truth is no nan, and rounding it to the format gives no such value. Nothing about the logits explains one: exp does
    not overflow in a way that would end so, no log of 0 is taken, no row is masked altogether. What went wrong is in that
    code alone.

    ## Why it happens

    Memory that was never written, or a thread's block beyond the end of a row; 0·inf or inf − inf of a mask that is added or
    multiplied where it should be selected; a maximum that starts from 0 instead of −inf; another row's or another step's
    values; an index that is one too far. In a wide format what would overflow in float16 is a sign of a narrower one
    inside: exp of a float16 logit overflows here:

    {table:exp_overflow}

    ## How to fix it

    Find the first array in that code that is not finite. NumPy, which can raise where it arises:

    ```python
    import numpy as np

    x = np.array([1.0, 2.0, 3.0])
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        e = np.exp(x - x.max())
        p = e / e.sum()
    ```

    PyTorch, which names the step whose backward pass is nan:

    ```python
    with torch.autograd.set_detect_anomaly(True):
        loss = own_loss(logits, target)
        loss.backward()
    ```

    JAX:

    ```python
    jax.config.update("jax_debug_nans", True)
    ```

    TensorFlow:

    ```python
    tf.debugging.enable_check_numerics()
    ```

    ## See it

    ```sh
    smcli compare -1 2 3 --quantity softmax --method numpy:log
    ```

    ## Source

    IEEE 754-2019, 7.2 and 7.3 (invalid operation, division by zero). PyTorch documentation, "Anomaly detection". JAX
    documentation, "Debugging NaNs and Infs".
    """
    lost = ~np.isfinite(ev.y) & ev.verdict(Verdict.LOST, Verdict.INACCURATE) & ev.clean
    if ev.told is not None:
        lost &= ~ev.told[:, None]
    if not lost.any():
        return
    names = [m.name for m in map(methods.get, WITNESSES) if m.defines(ev.quantity.name)]
    numbers = lost & np.isfinite(ev.rounded) & (ev.rounded != 0)
    told = first(np.where(numbers.any(axis=1)[:, None], numbers, lost))
    rounded, true = pick(ev.rounded, told), pick(ev.truth.hi, told)
    so = "{got} is returned at {at}{where:told} the truth{there:told} is {true:told}"
    yield Hit(
        lost,
        choice(
            so,
            so + ", which {format} holds",
            so + ", which rounds to 0 in {format}",
            so + ", which is beyond {format}",
            index=np.where(
                (true == 0) | np.isinf(true), 0, np.where(rounded == 0, 2, np.where(np.isfinite(rounded), 1, 3))
            ),
        ),
        "look for the cause in that code: "
        + (f"for these logits none of the methods {', '.join(names)} returns the same" if names else "")
        + "; uninitialised memory, an index beyond the row, 0·inf and inf − inf look like this",
        facts={"got": infinities(ev.y, lost), "told": told, "format": ev.format.name},
    )


def suspicion(ev: RunEvidence, wrong: BoolArray, remedy: str | Choice) -> tuple[Choice, dict[str, Any]]:
    """What the wrong, finite values of unseen code look like in each row [R], else the remedy; and the facts in it.

    Args:
        ev: a run whose steps are not seen.
        wrong: bool [R, N], its wrong values.
        remedy: what to say of values that look like nothing.
    """
    from smcli.findings import mistakes  # a table that is of use only here

    narrow, factor = _narrower(ev, wrong), _factor(ev, wrong)
    known = [
        (
            "{narrow} holds every one of these values: judge them as {narrow}, or look for where that code rounds to it",
            np.full(len(wrong), bool(narrow)),
        ),
        (
            "each of these values is {factor} times its truth: look for that factor",
            np.full(len(wrong), factor is not None),
        ),
        ("these are the true values of other classes: look for the order of the classes there", _permuted(ev, wrong)),
    ]
    looks = mistakes.of(ev, wrong, FORMATS[narrow] if narrow else ev.format, known)
    other = remedy if isinstance(remedy, Choice) else choice(remedy, index=np.zeros(len(wrong)))
    index = other.index + len(looks)
    for k, (_, where) in reversed(list(enumerate(looks))):
        index[where] = k
    texts = (*(text for text, _ in looks), *other.options)
    return choice(*texts, index=index), {"narrow": narrow, "factor": 0.0 if factor is None else factor}


def _narrower(ev: RunEvidence, wrong: BoolArray) -> str:
    """The narrowest format that holds all wrong values, or an empty string: where it has fewer digits than the run's."""
    y = ev.y[wrong]
    some = y[(y != 0) & (np.abs(np.frexp(y)[0]) != 0.5)]  # powers of 2 are numbers of any format
    if some.size < FEW:
        return ""
    narrower = sorted((f for f in FORMATS.values() if f.p < ev.format.p), key=lambda f: f.p)
    return next((f.name for f in narrower if (f.round(some) == some).all()), "")


def _factor(ev: RunEvidence, wrong: BoolArray) -> float | None:
    """What all wrong values are the truth times, or None.

    Normal numbers tell the factor; subnormal ones have too few digits for that, but have to agree to their spacing.
    """
    t, y = ev.t[wrong], ev.y[wrong]
    least = ev.format.smallest_normal
    usual = (np.abs(t) >= least) & (np.abs(y) >= least)
    size = np.abs(t[usual])
    if not np.isfinite(t).all() or size.size < FEW or np.ptp(size) <= ALIKE * size.max():
        return None
    middle = float(np.median(y[usual] / t[usual]))
    alike = max(ALIKE, 4 * ev.format.unit_roundoff)
    due = middle * t
    room = np.where(usual, 0.0, NEAR * max(1.0, abs(middle)) * ev.format.smallest_subnormal)
    room = alike * np.abs(due) + room
    same = bool((np.abs(y - due) <= room).all()) and abs(middle - 1) > 2 * alike
    with np.errstate(all="ignore"):
        bits = np.log2(np.abs(y - t) / (2 * room))[usual]
    told = float(np.clip(bits, 0.0, ev.format.p).sum()) * (1 - 1 / size.size)  # one of the values gave the factor
    return middle if same and told >= NEEDED else None


def _permuted(ev: RunEvidence, wrong: BoolArray) -> BoolArray:
    """The rows [R] whose wrong values are the true values of the same classes in another order, which is no chance.

    All of them, if they tell enough together, else those that do so by themselves. Of k values the order is worth log2 k!,
    and the last is what makes the sum.
    """
    same, bits = np.zeros(len(wrong), bool), np.zeros(len(wrong))
    if ev.quantity.shape != "class":
        return same
    rows = np.flatnonzero(wrong.any(axis=1))
    for r in rows.tolist():
        y, t = ev.y[r, wrong[r]], ev.t[r, wrong[r]]
        off = np.abs(y - t) / spacing(t, ev.format)
        y, t = np.sort(y), np.sort(t)
        near = bool((np.abs(y - t) <= NEAR * spacing(t, ev.format)).all())
        same[r] = near and y.size > 1 and bool((off > FAR).any())
        with np.errstate(all="ignore"):
            tells = np.clip(np.nan_to_num(np.log2(off / (2 * NEAR + 1)), nan=0.0), 0.0, ev.format.p).sum()
        bits[r] = tells * (1 - 1 / y.size) - math.lgamma(y.size + 1) / math.log(2.0)
    if same[rows].all() and bits[rows].sum() >= NEEDED:
        return same
    return same & (bits >= NEEDED)
