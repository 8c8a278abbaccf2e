"""Findings about logits that the number format does not hold as they were written."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.evidence import first, pick
from smcli.findings.rules import Hit, choice, rule
from smcli.model import Choice, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from smcli.findings.evidence import RowEvidence
    from smcli.model import BoolArray, IntArray

MOST_DIGITS = 40  # beyond as many, two figures that differ are not readable any more


@rule("SM901", "rounded-logit", Severity.NOTE, about="row")
def rounded_logit(ev: RowEvidence) -> Iterator[Hit]:
    """A logit is not a number of the format, and was rounded to one before anything was computed.

    ## What it means

    What smcli judges starts from the rounded logits, so this change is in no method's error. It is in your result all the
    same: a logit that moved by d has its p changed by a factor of up to e^±d (e^±(d/T) with a temperature T), that is by up
    to about d relative when d is small.

    ## Why it happens

    Rounding changes a number by at most u times its size, so the damage grows with the logits. Every change is reported in
    the formats narrower than float64; in float64 only those above 0.001, of logits beyond about 10^13.

    {table:unit_roundoff,near_100}

    ## How to fix it

    Round at the end, not at the beginning: keep logits in float32 or wider until softmax or the loss is done. NumPy:

    ```python
    import numpy as np

    x = np.array([100.3, 100.1])
    e = np.exp(x - x.max())
    p = (e / e.sum()).astype(np.float16)
    ```

    PyTorch, the last layer outside autocast (a later `.float()` cannot bring digits back):

    ```python
    with torch.autocast(device_type="cuda", enabled=False):
        logits = head(hidden.float())
        loss = F.cross_entropy(logits, target)
    ```

    JAX:

    ```python
    logits = jnp.matmul(hidden, weight.T, preferred_element_type=jnp.float32)
    ```

    TensorFlow, in a mixed-precision model:

    ```python
    outputs = tf.keras.layers.Dense(classes, dtype="float32")(hidden)
    ```

    ## See it

    ```sh
    smcli compare 100.3 100.1 --dtype float16
    smcli compare 12345678901234567 0
    ```

    ## Source

    IEEE 754-2019, 4.3.1 (round to nearest, ties to even). Higham 2002, Accuracy and Stability of Numerical Algorithms,
    section 2.1. TensorFlow guide, Mixed precision. PyTorch documentation, torch.amp.
    """
    if ev.unchanged:
        return
    least = 1e-3 if ev.logits_format.p == 53 else 0.0
    where = (np.abs(ev.change) > least) & np.isfinite(ev.x) & np.isfinite(ev.change)
    if not where.any():
        return
    size = np.where(where, np.abs(ev.change), -1.0)
    most = size.argmax(axis=1)
    by = pick(size, most)
    effect = by / ev.problem.temperature
    figures, facts = _figures(ev, np.asarray(where.any(axis=1)), most)
    moved = "{n} of {all} logits {is no number|are no numbers} of {format}; the largest change is {by}, at {most:place}{figures}"
    yield Hit(
        where,
        choice(
            moved + ": it alone changes p by up to about {effect} relative",
            moved + ": it alone changes p by a factor of up to about e^±{effect}",
            index=effect > 0.1,
        ),
        ("keep logits in a wider format" if ev.logits_format.p < 53 else "take a common offset out of the logits before they are rounded")
        + ", or round them before you compare",
        facts={"all": ev.x.shape[1], "format": ev.logits_format.name, "by": by, "most": most, "effect": effect,
               "figures": figures, **facts},
    )  # fmt: skip


def _figures(ev: RowEvidence, rows: BoolArray, at: IntArray) -> tuple[Choice, dict[str, Any]]:
    """What one logit of each row was and became, in figures that differ; nothing where no readable figures do."""
    before, after = pick(ev.written, at), pick(ev.x, at)
    facts: dict[str, Any] = {"before": before, "after": after}
    same = before == after
    index = np.where(same, 0, 1)
    told = {
        r: _exact_figures(ev.raw.tokens_of(r), int(at[r]), float(after[r]))
        for r in np.flatnonzero(rows & same).tolist()
    }
    told = {r: text for r, text in told.items() if text}
    if told:
        exact = np.full(rows.size, "", dtype=f"<U{max(map(len, told.values()))}")
        for r, text in told.items():
            exact[r], index[r] = text, 2
        facts["exact"] = exact
    return choice("", " ({before:repr} became {after:repr})", " ({exact})", index=index), facts


def _exact_figures(tokens: tuple[str, ...] | None, index: int, after: float) -> str:
    """A number as written and as held, to as many digits as it takes to tell them apart."""
    if tokens is None:
        return ""
    try:
        written, held = Decimal(tokens[index]), Decimal(after)
    except InvalidOperation:  # hexadecimal: its float64 is itself, or it is far beyond
        return ""
    for digits in range(17, MOST_DIGITS):
        one, two = (f"{Context(prec=digits).plus(d).normalize():g}" for d in (written, held))
        if one != two:
            return f"{one} became {two}"
    return ""


@rule("SM902", "logit-overflow", Severity.ERROR, about="row")
def logit_overflow(ev: RowEvidence) -> Iterator[Hit]:
    """A finite logit is beyond the format's largest number and became infinite before softmax began.

    ## What it means

    A logit that became +inf makes the row nan in every framework. One that became −inf is masked: its class has probability
    0 from then on, and the loss is +inf if it is the target. float8_e4m3fn has no infinity: nan. This finding says what
    came of it, in place of SM101 to SM104, which are about logits that were nan or infinite when they arrived.

    ## Why it happens

    A number rounds to infinity from half a spacing above the largest number of the format; −65520 is the first in float16.
    The usual culprits are fill values made for float32, such as −1e9, and logits of a diverging run.

    {table:max}

    ## How to fix it

    Take the fill value from the format in use. NumPy:

    ```python
    import numpy as np

    x = np.array([1.0, 2.0, 0.5], dtype=np.float16)
    mask = np.array([False, False, True])
    x = np.where(mask, np.finfo(x.dtype).min, x)
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch (−inf is fine too, as long as one class of the row stays open):

    ```python
    logits = logits.masked_fill(mask, torch.finfo(logits.dtype).min)
    ```

    JAX:

    ```python
    logits = jnp.where(mask, jnp.finfo(logits.dtype).min, logits)
    ```

    TensorFlow:

    ```python
    logits = tf.where(mask, logits.dtype.min, logits)
    ```

    ## See it

    ```sh
    smcli compare 0 -65520 --dtype float16
    smcli compare 70000 1 --dtype float16
    ```

    ## Source

    IEEE 754-2019, 7.4 (overflow). Micikevicius et al. 2022, FP8 Formats for Deep Learning (E4M3 has no infinity). NumPy,
    PyTorch and JAX documentation, finfo.
    """
    if ev.unchanged:
        return
    lost = ev.overflowed
    if not lost.any():
        return
    f = ev.logits_format
    written, lacking, facts = _written(ev, lost)
    became, after = _consequence(ev, lost)
    beyond = "the {logit|logits} at {at} ({written}{| first}) {is|are} beyond {format}'s largest number {max} and became {became}{after}"
    no_infinity = "the {logit|logits} at {at} ({written}{| first}) became nan, because {format} has no infinity{after}"
    fill = "−inf or a fill value" if f.has_inf else "a fill value"
    yield Hit(
        lost,
        choice(beyond, no_infinity, index=lacking),
        f"scale or clamp the logits, or mask with {fill} that {f.name} holds"
        + ("; or use a wider format" if f.p < 53 else ""),
        facts={"written": written, "format": f.name, "max": f.max, "became": became, "after": after, **facts},
    )


def _written(ev: RowEvidence, lost: BoolArray) -> tuple[Choice, BoolArray, dict[str, Any]]:
    """The first lost logit of each row as it was written, and whether it was an infinity that the format lacks."""
    at = first(lost)
    value = pick(ev.written, at)
    infinite = lost.any(axis=1) & np.isinf(value)
    index = np.where(infinite, np.where(value > 0, 1, 2), 0)
    tokens = {}
    for r in np.flatnonzero(infinite).tolist():
        given = ev.raw.tokens_of(r)
        if given is not None and "n" not in given[at[r]].lower():  # 1e400 is a number
            tokens[r] = given[at[r]].strip() if len(given[at[r]]) <= MOST_DIGITS else "a number beyond float64"
    facts: dict[str, Any] = {"value": value}
    if tokens:
        text = np.full(value.size, "", dtype=f"<U{MOST_DIGITS}")
        for r, token in tokens.items():
            text[r], index[r] = token, 3
        facts["token"] = text
    return choice("{value}", "inf", "−inf", "{token}", index=index), (index == 1) | (index == 2), facts


def _consequence(ev: RowEvidence, lost: BoolArray) -> tuple[Choice | str, Choice | str]:
    """What the logits became, and what that does to the row: the findings that would blame the user for it keep still."""
    x = ev.x
    if not ev.logits_format.has_inf:
        return "nan", ": its value is nan too" if ev.elementwise else ": the whole row is nan"
    up, down = (lost & (x == np.inf)).any(axis=1), (lost & (x == -np.inf)).any(axis=1)
    became = choice("inf", "−inf", "±inf", index=np.where(up & down, 2, down))
    masked = lost & (x == -np.inf) & (False if ev.labelled is None else ev.labelled)
    hit = masked.any(axis=1)
    if ev.elementwise:
        after = choice("", ": its loss is infinite now", index=up | hit)
        return became, after
    dead = (x == -np.inf).all(axis=1)
    after = choice(
        ": its class is masked now, with p = 0",
        ": its class is masked now, and the loss is +inf because the target is there",
        ": no class is left, and softmax is 0/0",
        ": frameworks return nan for the whole row",
        ": its class is masked now, and the loss is −inf because the target is there",
        ": classes with weights of both signs are masked now, and the loss is inf − inf = nan",
        index=np.where(up, 3, np.where(dead, 2, np.where(hit, np.array([1, 4, 5])[ev.infinite_loss(masked).index], 0))),
    )
    return became, after
