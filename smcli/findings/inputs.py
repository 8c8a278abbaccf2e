"""Findings about the logits themselves: nan, infinite, masked, rounded, or not logits at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import Evidence, Hit, number, places, rule
from smcli.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import IntArray


@rule("SM101", "nan-logit", Severity.ERROR, about="row")
def nan_logit(ev: Evidence) -> Iterator[Hit]:
    """A logit is nan, so every output of its row is."""

    def say(_row: int, at: IntArray) -> str:
        return f"the logit at {places(at)} is nan: every result of the row is nan, whatever computes it"

    yield Hit(np.isnan(ev.x), say, "look upstream: the nan was there before softmax (a 0/0, inf − inf or log of a negative)")


@rule("SM102", "infinite-logit", Severity.ERROR, about="row")
def infinite_logit(ev: Evidence) -> Iterator[Hit]:
    """A logit is +inf, where only a convention gives softmax a value."""
    nan_free = ~np.isnan(ev.x).any(axis=1, keepdims=True)

    def say(_row: int, at: IntArray) -> str:
        limit = "a one-hot row (the limit)" if at.size == 1 else "nan at those places and 0 elsewhere"
        return f"the logit at {places(at)} is +inf: the convention gives {limit}; frameworks compute inf − inf and return nan"

    yield Hit((ev.x == np.inf) & nan_free, say, "find the overflow upstream; clamp logits to a finite range before softmax")


@rule("SM103", "all-masked", Severity.ERROR, about="row")
def all_masked(ev: Evidence) -> Iterator[Hit]:
    """Every logit of a row is −inf: no class is left to give a probability to."""
    masked = ev.x == -np.inf

    def say(_row: int, at: IntArray) -> str:
        return f"all {at.size} logits are −inf: softmax is 0/0, nan by convention, and its gradient too; logsumexp is −inf"

    remedy = "leave at least one class unmasked, or skip such rows before softmax (a where() after it keeps nan gradients)"
    yield Hit(masked & masked.all(axis=1, keepdims=True), say, remedy)


@rule("SM104", "masked-target", Severity.NOTE, about="row")
def masked_target(ev: Evidence) -> Iterator[Hit]:
    """The target's logit is −inf, so an infinite loss is right."""
    if ev.labelled is None:
        return
    masked = ev.x == -np.inf
    somewhere = masked & ev.labelled & ~masked.all(axis=1, keepdims=True) & ~np.isnan(ev.x).any(axis=1, keepdims=True)

    def say(_row: int, at: IntArray) -> str:
        return f"the target has weight on {places(at, 'class')}, whose logit is −inf: the loss is +inf, and that is right"

    yield Hit(somewhere, say, "check that targets never fall on masked classes; label smoothing gives them weight too")


@rule("SM901", "rounded-logit", Severity.NOTE, about="row")
def rounded_logit(ev: Evidence) -> Iterator[Hit]:
    """A logit is not a number of the format, and was rounded to one before anything was computed."""
    least = 1e-3 if ev.format.p == 53 else 0.0
    changed = (np.abs(ev.change) > least) & np.isfinite(ev.x) & np.isfinite(ev.change)

    def say(row: int, at: IntArray) -> str:
        change = np.abs(ev.change[row, at])
        most = int(at[change.argmax()])
        by = float(change.max())
        effect = f"changes p by a factor of about e^±{number(by)}" if by > 0.1 else f"changes p by about {number(by)} relative"
        return (
            f"{at.size} of {ev.x.shape[1]} logits are not {ev.format.name} numbers; the largest change is {number(by)}, at index "
            f"{most} ({number(float(ev.written[row, most]))} became {number(float(ev.x[row, most]))}), which {effect}"
        )

    yield Hit(changed, say, "keep logits in a wider format until after softmax, or round them before you compare")


@rule("SM902", "logit-overflow", Severity.ERROR, about="row")
def logit_overflow(ev: Evidence) -> Iterator[Hit]:
    """A finite logit is beyond the format's largest number and became infinite before softmax began."""
    lost = ~np.isfinite(ev.x) & np.isinf(ev.change)
    became = "±inf" if ev.format.has_inf else "nan"

    def say(row: int, at: IntArray) -> str:
        first = float(ev.written[row, at[0]])
        written = number(first) if np.isfinite(first) else "a number beyond float64"
        return f"the logit at {places(at)} ({written}) is beyond {ev.format.name}'s largest number {number(ev.format.max)} and became {became}"

    yield Hit(lost, say, "scale or clamp the logits, mask with −inf or a fill value that the format holds, or use a wider format")


@rule("SM903", "looks-like-probabilities", Severity.WARNING, about="row")
def looks_like_probabilities(ev: Evidence) -> Iterator[Hit]:
    """The row sums to 1 with every value in [0, 1]: it may be the output of a softmax, not logits."""
    x = ev.x
    count = x.shape[1]
    if count < 2:
        return
    inside = ((x >= 0) & (x <= 1)).all(axis=1)
    slack = 2 * ev.format.unit_roundoff * count + 1e-6
    one_hot = (x == 1).any(axis=1)
    row = inside & (np.abs(x.sum(axis=1) - 1) <= slack) & ~one_hot

    def say(_row: int, _at: IntArray) -> str:
        return f"all {count} values are in [0, 1] and sum to 1: these look like probabilities, and softmax of them is nearly uniform"

    yield Hit(np.broadcast_to(row[:, None], x.shape), say, "pass the logits, before any softmax; a softmax applied twice flattens")


CLIPS = {1e-7: "Keras", 1e-12: "1e-12", 1e-15: "scikit-learn before 1.5"}


@rule("SM904", "clip-constant", Severity.NOTE)
def clip_constant(ev: Evidence) -> Iterator[Hit]:
    """A loss equals −log ε of a well-known clip: it is the clip's constant, not the loss."""
    if ev.quantity not in {"cross-entropy", "bce"}:
        return
    for epsilon in CLIPS:
        clip = float(ev.format.round(np.array(epsilon)))
        if clip == 0:
            continue
        constant = float(ev.format.round(np.array(-np.log(clip))))
        stuck = (np.abs(ev.y - constant) <= 1e-3) & ~(np.abs(ev.t - constant) <= 2e-3)

        def say(row: int, at: IntArray, epsilon: float = epsilon, constant: float = constant) -> str:
            true = number(float(ev.t[row, at[0]]))
            return f"the loss at {places(at)} is {number(constant)} = −log {epsilon:g}, the constant of a clip; the true loss is {true}"

        remedy = "compute the loss from logits (from_logits=True, cross_entropy) instead of clipping probabilities"
        yield Hit(stuck, say, remedy)
