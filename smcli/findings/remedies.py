"""What would have been right: a method, accumulator or order is tried on the rows concerned before a remedy names it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from smcli import methods, quantities
from smcli.findings.rules import choice
from smcli.judge.measure import measure
from smcli.methods.base import OUTPUT
from smcli.model import Choice, Verdict
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic

if TYPE_CHECKING:
    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray, FloatArray, IntArray

FEW = 16  # times as many values in a row as are wrong
RIGHT = (Verdict.CORRECT, Verdict.OK, Verdict.NOT_REPRESENTABLE, Verdict.UNDEFINED)
CAREFUL = ("shifted", "fused", "log1p", "bregman")
BY_QUANTITY = {
    ("softmax", "shifted"): "subtract the maximum first, softmax of x − max(x) is the same (method shifted)",
    ("softmax", "log1p"): "divide by 1 plus the sum of all terms but the largest (method log1p)",
    ("logsumexp", "shifted"): "take max(x) + log Σ exp(x − max(x)) (method shifted)",
    ("logsumexp", "log1p"): "add to max(x) the log1p of the sum without the maximum's own 1 (method log1p)",
    ("bce", "fused"): "compute the loss from logits as BCEWithLogitsLoss does: max(x, 0) − x·y + log1p(exp(−|x|))",
    ("sigmoid", "fused"): "take exp of −|x| alone, 1/(1 + e) or e/(1 + e) (method fused)",
    ("log-sigmoid", "fused"): "take min(x, 0) − log1p(exp(−|x|)), as logsigmoid does (method fused)",
    ("entropy", "fused"): "take −Σ p·log p from the log-softmax, p as its exponential (method fused)",
    ("kl", "fused"): "take Σ p·(log p − log q) from the log-softmax of both rows (method fused)",
    (
        "kl",
        "log1p",
    ): "take Σ p·(log p − log q) with log p held at the smallest number, where 0·log 0 counts 0 (method log1p)",
    (
        "kl",
        "bregman",
    ): "take Σ p·(e^d − 1 − d) with d = log q − log p from the differences of the logits (method bregman)",
    ("focal", "fused"): "take log p from the log-softmax or log-sigmoid, p as its exponential (method fused)",
    ("focal", "log1p"): "take 1 − p of the largest class as the sum of the other probabilities (method log1p)",
    ("gradient", "fused"): "take the gradient of the fused loss at once, p − y (method fused)",
}
BY_METHOD = {
    "shifted": "subtract the maximum before exp (method shifted)",
    "fused": "stay in log space as log_softmax and cross_entropy do: (x − max(x)) − log Σ exp(x − max(x)) (method fused)",
    "log1p": "subtract the maximum, leave its own 1 out of the sum and take log1p of the rest (method log1p)",
}


BY_PROBABILITY = {  # derivatives that are made of p alone
    "shifted": "take p from exp(x − max(x)) (method shifted)",
    "fused": "take p as exp of the log-softmax (method fused)",
    "log1p": "divide by 1 plus the sum of all terms but the largest (method log1p)",
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trial:
    """Something to do otherwise: another method, accumulator, order of the sum or format; the same where None.

    With `formula`, the values in which p − 1 cancels are computed without.
    """

    text: str
    method: str | None = None
    accumulate: str | None = None
    order: str | None = None
    compute: str | None = None
    formula: bool = False


def mend(
    ev: RunEvidence,
    where: BoolArray,
    *,
    whole_rows: bool = False,
    sums_first: bool = False,
    first: str = "",
    otherwise: str = "",
    elsewhere: str = "",
) -> str | Choice:
    """For each row with a hit, the first thing with which all its values are accurate; else those that were hit.

    Of code whose steps are not seen that is no remedy where naive is accurate, too, and this is told.

    Where findings are only counted nothing is tried.

    Where a hit concerns a whole row, some of its values are better than none.

    Args:
        ev: the run that went wrong.
        where: bool [R, ...], the hits.
        whole_rows: whether a hit concerns all values of its row, whatever its place.
        sums_first: whether the sum is the suspect.
        first: the method that is tried before the others.
        otherwise: what to say where none of them helps.
        elsewhere: what to say of code whose steps are not seen where naive is accurate.
    """
    if ev.counted:
        return otherwise
    others, sums, wider = _other_methods(ev, first), _other_sums(ev), _wider(ev)
    both = [replace(m, text=f"{m.text}, and {s.text}", accumulate=s.accumulate, order=s.order)
            for m in others[:1] for s in sums[:1]]  # fmt: skip
    wide = [replace(m, text=f"{m.text}, in {w.compute}", compute=w.compute) for m in others[:1] for w in wider]
    trials = [*(sums if sums_first else others), *(others if sums_first else sums), *both]
    formula, cancels = _without_cancellation(ev)
    if formula:
        trials += [Trial(formula, formula=True)]
        trials += [Trial(f"{m.text}, and {formula}", m.method, formula=True) for m in others[:1]]
    trials += [*([] if ev.run.method == OUTPUT else wider), *wide]
    by_value = where.shape == ev.y.shape and not whole_rows
    hits = where if by_value else ev.verdict(Verdict.LOST, Verdict.INACCURATE)
    left = np.flatnonzero(where.any(axis=1))
    best, index = np.zeros(len(ev.x)), np.full(len(ev.x), len(trials))
    for k, trial in enumerate(trials):
        if not left.size:
            break
        right = _right(ev, left, trial, cancels)
        mended = (right & hits[left]).sum(axis=1) / np.maximum(hits[left].sum(axis=1), 1)
        if by_value:
            mended = np.floor(mended)  # some of them are not enough
        whole = right.all(axis=1)
        score = mended + whole
        better = score > best[left]
        index[left[better]], best[left[better]] = k, score[better]
        left = left[~whole]
    last = otherwise or "no method here is accurate in this format: take the certified value (smcli eval)"
    if not ev.run.unseen:
        return choice(*(t.text for t in trials), last, index=index)
    plain = accurate_by("naive", ev, hits) & where.any(axis=1)
    there = [elsewhere] if elsewhere else _elsewhere(ev)
    index[plain] = len(trials) + 1
    if not elsewhere:
        index[plain & _nearly(ev, hits)] = len(trials) + 2
        index[plain & _few(ev, hits)] = len(trials) + 3
    return choice(*(t.text for t in trials), last, *there, index=index)


def _elsewhere(ev: RunEvidence) -> tuple[str, str, str]:
    """Where to look in code whose steps are not seen, when the plain formula is accurate.

    Where values are far from the truth, where they are near it, and where few of a row are wrong.
    """
    loss = ev.quantity.is_loss or ev.quantity.is_derivative
    what = "label smoothing, class weights, a mask" if loss else "a mask, the order of the classes"
    plain = "the method naive is accurate here"
    return (
        f"{plain}: look for what else that code does, such as {what} or a narrower format",
        f"{plain}, and half of the digits are right: look for a cancellation, a narrower format or a small ε in that code",
        f"{plain}, and the other values of the row are right: look for what that code does at {{at}} alone",
    )


def _few(ev: RunEvidence, hits: BoolArray) -> BoolArray:
    """The rows [R] of which a few values are wrong, and the others right."""
    wrong = ev.verdict(Verdict.LOST, Verdict.INACCURATE)
    some = hits.sum(axis=1) * FEW <= hits.shape[1]
    return np.asarray(some & (wrong == (hits & wrong)).all(axis=1) & (hits.shape[1] > 1))


def _nearly(ev: RunEvidence, hits: BoolArray) -> BoolArray:
    """The rows [R] whose wrong values have half of their digits right, which those of another problem would not."""
    return np.asarray((~hits | (ev.errors.rel <= 2.0 ** -(ev.format.p / 2))).all(axis=1))


def _without_cancellation(ev: RunEvidence) -> tuple[str, BoolArray]:
    """How to compute those values [R, N] in which p − 1 cancels, and which they are."""
    loss = ev.problem.loss
    cancels = np.zeros(ev.y.shape, dtype=bool)
    if ev.quantity.name == "gradient" and loss is not None and ev.elementwise and loss.labels is not None:
        return (
            "where the label is 1 take −1/(1 + exp(x)), which is sigmoid(x) − 1 without cancellation",
            np.asarray((loss.labels == 1) & (ev.x > 0)),
        )
    if ev.quantity.name == "gradient" and loss is not None and loss.target is not None and not loss.smoothing:
        cancels[np.arange(len(cancels)), np.maximum(loss.target, 0)] = not loss.z_loss
        return "take the target's entry as minus the sum of the other probabilities, never as p − 1", cancels
    if ev.side:
        cancels[:, :: ev.side + 1] = True
        return "take 1 − p_i as the sum of the other probabilities", cancels
    return "", cancels


def _wider(ev: RunEvidence) -> list[Trial]:
    wider = [f for f in ("float32", "float64") if formats.get(f).p > ev.inner.p]
    return [Trial(f"compute in {f} and round the result", compute=f) for f in wider]


def _other_methods(ev: RunEvidence, first: str = "") -> list[Trial]:
    name = ev.quantity.name
    careful = sorted(CAREFUL, key=lambda m: m != first)
    some = [m for m in map(methods.get, careful) if m.name != ev.method and m.suits(ev.problem, name)]
    if name == "gradient":  # the composed backward passes fail in the same ways
        some = [m for m in some if m.backward == "fused"]
    if name in {"log-softmax", "cross-entropy"}:
        some = [m for m in some if m.name != "shifted"]
    return [Trial(_words(ev, m.name), m.name) for m in some]


def _words(ev: RunEvidence, method: str) -> str:
    name, loss = ev.quantity.name, ev.problem.loss
    if method == "bregman" and name == "gradient":
        return "take it from the differences of the logits, without a difference of probabilities (method bregman)"
    if name == "gradient" and loss is not None and loss.kind not in {"cross-entropy", "bce"}:
        return f"take the gradient of the {quantities.get(loss.kind).title} at once, from log-probabilities (method {method})"
    if ev.elementwise and name == "gradient":
        return "take the gradient of the loss from logits at once, sigmoid(x) − y, as BCEWithLogitsLoss does"
    if ev.quantity.is_derivative and name != "gradient":
        return BY_PROBABILITY[method]
    return BY_QUANTITY.get((name, method)) or BY_METHOD[method]


def _other_sums(ev: RunEvidence) -> list[Trial]:
    """A wider accumulator and better orders than what was used, for methods that sum at all."""
    if ev.elementwise or ev.run.unseen:  # nothing is summed, or nobody knows how
        return []
    wide = formats.get(ev.numerics.accumulate) if ev.numerics.accumulate else ev.inner
    out = []
    if wide.p < 53:
        better = "float32" if wide.p < 24 else "float64"
        out.append(Trial(f"accumulate in {better} (--accumulate {better})", accumulate=better))
    if ev.numerics.order == "sequential":
        out.append(Trial("add in pairs (--sum pairwise)", order="pairwise"))
    if ev.numerics.order != "compensated":
        out.append(Trial("add with compensation (--sum compensated)", order="compensated"))
    return out


def _right(ev: RunEvidence, rows: IntArray, trial: Trial, cancels: BoolArray) -> BoolArray:
    """Which values of these rows are accurate when computed so; with a formula, also those that cancelled."""
    f = formats.get(trial.compute) if trial.compute else ev.inner
    values, right = _computed(ev, rows, f, trial)
    return right | (cancels[rows] & np.isfinite(values)) if trial.formula else right


def with_more_exponents(ev: RunEvidence, rows: IntArray) -> BoolArray:
    """Which values of these rows are accurate in a format with as many digits, in which nothing is subnormal."""
    f = ev.inner
    return _computed(ev, rows, formats.Format(f"{f.name} with more exponents", f.bits, f.p, -900, 2.0**900), Trial(""))[
        1
    ]


def accurate_by(method: str, ev: RunEvidence, where: BoolArray) -> BoolArray:
    """The rows [R] in which another method, computing in the same formats, gets all of these values right."""
    right = np.zeros(len(where), bool)
    rows = np.flatnonzero(where.any(axis=1))
    if rows.size and methods.get(method).defines(ev.quantity.name):
        _, good = _computed(ev, rows, ev.inner, Trial("", method))
        right[rows] = (good | ~where[rows]).all(axis=1)
    return right


def _computed(ev: RunEvidence, rows: IntArray, f: formats.Format, trial: Trial) -> tuple[FloatArray, BoolArray]:
    """The values of these rows as computed in a format, rounded to that of the run, and which of them are accurate."""
    accumulate = trial.accumulate or ev.numerics.accumulate
    sum_format = formats.get(accumulate) if accumulate else f
    o = Arithmetic(f, sum_format if sum_format.p > f.p or f == ev.inner else f, trial.order or ev.numerics.order)
    part = replace(ev.problem.select(rows), dtype=f.name if trial.compute else ev.format.name)
    if trial.method is None and ev.run.method == OUTPUT:  # there is nothing to run again
        values = ev.y[rows]
    else:
        method = methods.get(trial.method or ev.run.method)
        values = ev.format.round(methods.run(method, part, ev.quantity.name, o, ev.numerics.step).values)
    infinite = np.zeros((rows.size, 1), dtype=bool)  # rows with +inf are no method's fault
    verdicts = measure(values, ev.truth.part(rows), ev.rounded[rows], ev.format, ev.limit.part(rows), infinite).verdicts
    return values, np.asarray(np.isin(verdicts, RIGHT))
