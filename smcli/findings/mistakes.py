"""What code is often found to do otherwise than asked: the table of alternatives that wrong values are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.findings import algorithms, changes
from smcli.findings.alternatives import Candidate, Question, Search, asked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.findings.alternatives import Found
    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray
    from smcli.numbers.formats import Format

GUESSED = 0.1  # the label smoothing of most recipes


def factors(q: Question) -> list[Candidate]:
    """The constants that values are often multiplied by, each with what it is; those of one size as one."""
    problem, loss = q.whole, changes.loss_asked(q)
    classes, rows, counted = problem.logits.shape[1], len(problem.logits), q.whole.counted
    t, scale = problem.temperature, float(problem.scale)
    known = [
        (-1.0, "its sign flipped", "look for a minus, since a loss is −log p and its gradient p − y"),
        (
            1 / classes,
            "one over the number of classes",
            "look for a mean over the classes, a factor that nobody asked for",
        ),
        (float(classes), "the number of classes", "look for that factor"),
    ]
    if t != 1:
        chain = (
            "multiply by 1/T, the factor of the chain rule, which is missing"
            if q.quantity == "gradient"
            else "look for that factor"
        )
        square = "the truth asked for has no factor T², so leave it out or put it into both"
        known += [
            (t, "T", chain),
            (1 / t, "1/T", "look for where that factor is there twice"),
            (t * t, "T²", square),
            (1 / t / t, "1/T²", "look for that factor"),
        ]
    if q.quantity in {"log-softmax", "logsumexp", "log-sigmoid"} or loss is not None:
        known += [
            (
                1 / LN2,
                "1/ln 2, of a logarithm of base 2",
                "take the natural logarithm, or multiply by that factor's inverse",
            ),
            (
                1 / LN10,
                "1/ln 10, of a logarithm of base 10",
                "take the natural logarithm, or multiply by that factor's inverse",
            ),
        ]
    if scale not in {0.0, 1.0}:
        known += [
            (1 / scale, "what the mean divides by", "divide by it, the factor of the reduction is missing"),
            (scale, "the factor of the reduction once more", "leave it out, since it is there already"),
            (
                1 / classes,
                "one over the number of classes",
                "look for a mean over all logits, a factor nobody asked for",
            ),
        ]
        if loss is not None and loss.weights is not None:
            known += [(1 / scale / counted, "the mean weight of the targets", SUM_OF_WEIGHTS),
                      (1 / scale / rows, "the sum of the weights over the number of all rows", SUM_OF_WEIGHTS)]  # fmt: skip
        elif loss is not None and not loss.is_binary:
            left_out = "leave ignored rows out of the divisor, where that factor comes from"
            known += [(1 / scale / rows, "the rows that count over all rows", left_out)]
    elif rows > 1:
        known += [
            (1 / rows, "one over the number of rows", "look for a mean over the rows, whose factor was not asked for"),
            (float(rows), "the number of rows", "look for that factor"),
            (
                1 / rows / classes,
                "one over the number of logits",
                "look for a mean over all of them, a factor that nobody asked for",
            ),
        ]
    named: dict[float, tuple[str, str]] = {}
    for factor, what, remedy in known:
        if factor == 1.0:
            continue
        if factor in named and named[factor][0] != what:
            named[factor] = f"{named[factor][0]}, or {what}", "look for that factor"
        else:
            named[factor] = what, remedy
    return [_times(k, what, remedy) for k, (what, remedy) in named.items()]


def _times(factor: float, what: str, remedy: str) -> Candidate:
    begins = f"each of these values is {factor:.6g} times its truth,"
    return Candidate(f"factor {what}", lambda q: q.times(factor), what, remedy, begins)


LN2, LN10 = float(np.log(2.0)), float(np.log(10.0))
SUM_OF_WEIGHTS = (
    "divide by the sum of the weights of the targets, not by the number of rows, where that factor comes from"
)
LABELS = "count the classes of targets from 0, in both places"
EPSILON = "divide by exactly the sum of the row's own terms"
MISTAKES = (
    Candidate("next class", changes.target_moved(1), "for the class after the target", LABELS),
    Candidate("class before", changes.target_moved(-1), "for the class before the target", LABELS),
    Candidate("no label", changes.no_label, "of softmax alone, from which no label was subtracted",
              "subtract 1 at the target, p − y"),
    Candidate("every column", changes.every_column, "of p with 1 subtracted in the columns of all rows' targets",
              "subtract it of each row at its own target: p[arange(n), target] −= 1, not p[:, target]"),
    Candidate("softmax twice", changes.softmax_twice, "with softmax applied twice, or of probabilities that were given as logits",
              "leave one of the two out"),
    Candidate("logarithm for softmax", changes.quantity_instead("softmax", "log-softmax"), "of log-softmax",
              "take exp of them, or judge them as -q log-softmax"),
    Candidate("softmax for logarithm", changes.quantity_instead("log-softmax", "softmax"), "of softmax",
              "take log_softmax, or judge them as -q softmax"),
    Candidate("sigmoid twice", changes.sigmoid_twice, "with the sigmoid applied twice, or of probabilities that were given as logits",
              "leave one of the two out"),
    Candidate("labels flipped", changes.labels_flipped, "with 1 − y for the labels y", "exchange the classes 0 and 1 in one place"),
    Candidate("logarithm for sigmoid", changes.quantity_instead("sigmoid", "log-sigmoid"), "of log-sigmoid",
              "take exp of them, or judge them as -q log-sigmoid"),
    Candidate("sigmoid for logarithm", changes.quantity_instead("log-sigmoid", "sigmoid"), "of the sigmoid",
              "take logsigmoid, or judge them as -q sigmoid"),
    Candidate("softmax for sigmoid", changes.quantity_instead("sigmoid", "softmax"), "of softmax",
              "take the sigmoid of each logit alone, or judge them as -q softmax"),
    Candidate("sigmoid", changes.quantity_instead("softmax", "sigmoid"), "of the sigmoid of each logit",
              "divide by the sum over the classes, as softmax does"),
    Candidate("log-sigmoid", changes.quantity_instead("log-softmax", "log-sigmoid"), "of the log-sigmoid of each logit",
              "subtract the logsumexp of the row, as log_softmax does"),
    Candidate("minus p", changes.minus_p, "of −p of the target, without a logarithm",
              "give log-probabilities to that loss, as nll_loss takes them"),
    Candidate("1 − p", changes.one_minus_p, "of 1 − p of the target, without a logarithm", "take −log p"),
    Candidate("squared error", changes.brier, "of Σ (p − y)², the squared error", "take −Σ y·log p"),
    Candidate("exp(x)", changes.bare_terms(shifted=False), "of exp(x), which nothing divides", "divide by the sum of the row"),
    Candidate("exp(x − max)", changes.bare_terms(shifted=True), "of exp(x − max(x)), which nothing divides",
              "divide by the sum of the row"),
    Candidate("logits", changes.logits_unchanged, "of the logits themselves", "the function was left out; or give the right array"),
    Candidate("temperature forgotten", changes.other_temperature(lambda _: 1.0), "without the temperature",
              "divide the logits by T first"),
    Candidate("temperature twice", changes.other_temperature(lambda t: t * t), "with the temperature applied twice",
              "divide the logits by T once"),
    Candidate("temperature multiplied", changes.other_temperature(lambda t: 1 / t), "with logits that were multiplied by T",
              "divide by T"),
    Candidate("student's temperature", changes.own_temperature(student=True), "with the temperature in the teacher's logits alone",
              "divide the logits of both by T"),
    Candidate("teacher's temperature", changes.own_temperature(student=False), "without the temperature in the teacher's logits",
              "divide the logits of both by T"),
    Candidate("soft cap forgotten", changes.no_cap, "without the soft cap", "take cap·tanh(x/cap) of the logits first"),
    Candidate("smoothing forgotten", changes.label_smoothing(lambda _, __: 0.0), "without label smoothing",
              "give y(1 − E) + E/K as labels"),
    Candidate("smoothing twice", changes.label_smoothing(lambda e, _: 1 - (1 - e) ** 2), "with label smoothing applied twice",
              "smooth in one place: the data or the loss"),
    Candidate("smoothing of others", changes.label_smoothing(lambda e, k: e * k / (k - 1)),
              "with E/(K − 1) for each class but the target",
              "give y(1 − E) + E/K as labels, as frameworks do"),
    Candidate("smoothing of others not asked", changes.label_smoothing(lambda _, k: GUESSED * k / (k - 1), asked=False),
              f"with label smoothing of {GUESSED:g} over the classes but the target, which was not asked", "leave it out"),
    Candidate("smoothing not asked", changes.label_smoothing(lambda _, __: GUESSED, asked=False),
              f"with label smoothing {GUESSED:g}, which was not asked",
              f"leave it out, or judge with --label-smoothing {GUESSED:g}"),
    Candidate("weights forgotten", changes.no_weights, "without the class weights",
              "multiply each loss by the weight of its target"),
    Candidate("weights forgotten in the mean", changes.no_weights_at_all,
              "without the class weights, in the divisor of the mean, too",
              "multiply each loss by the weight of its target, and divide by the sum of these"),
    Candidate("z-loss forgotten", changes.no_z_loss, "without the z-loss", "add its factor times logsumexp² to the loss"),
    Candidate("gamma forgotten", changes.focal_gamma(0.0), "without the focal factor (1 − p)^γ", "multiply −log p by it"),
    Candidate("gamma of 1", changes.focal_gamma(1.0), "with γ = 1", "raise 1 − p to γ"),
    Candidate("reversed", changes.other_way, "of the divergence the other way round",
              "exchange student and teacher, or judge with --reverse"),
    Candidate("cross-entropy of teacher", changes.cross_of_teacher,
              "of the cross-entropy −Σ t·log p, from which no entropy was subtracted",
              "subtract the entropy of the first row, Σ t·(log t − log p)"),
    Candidate("maximum not added", changes.no_max, "less the maximum, which was not added back",
              "add max(x) to log Σ exp(x − max(x))"),
    Candidate("maximum alone", changes.max_alone, "of max(x) alone", "add log Σ exp(x − max(x))"),
    Candidate("coefficients forgotten", changes.no_coefficients, "without the coefficients",
              "multiply exp(x) by them before the sum"),
    Candidate("other axis", changes.summed_over(lambda x: x.T, changes.transposed), "with the sum over the rows, not over the classes",
              "sum over the last axis, axis=-1"),
    Candidate("all values", changes.summed_over(lambda x: x.reshape(1, -1), changes.reshaped), "with one sum over all rows",
              "sum over the last axis, axis=-1, with keepdims"),
    Candidate("mean of rows", changes.batch_mean, "of the mean of all rows, in each of them",
              "return the loss of each row, and no mean"),
    Candidate("mask ignored", changes.mask_missed(ignored=True), "of rows in which masked classes had a part",
              "set masked logits to −inf before softmax"),
    Candidate("mask after softmax", changes.mask_missed(ignored=False), "with the mask applied after softmax, when the sum was taken",
              "set masked logits to −inf before softmax"),
    Candidate("other row", changes.other_row, "of other rows", "look for the order of the rows there"),
    Candidate("exp of it", changes.after_exp, "after exp", "leave exp out"),
    Candidate("log of it", changes.after_log, "after log", "leave log out"),
)  # fmt: skip
EPSILONS = tuple(
    candidate
    for e in (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)
    for candidate in (
        Candidate(f"log(p + {e:g})", changes.added_to_p(e), f"of log(p + ε) with ε = {e:g}", "take log_softmax, which needs no ε"),
        Candidate(f"sum + {e:g}", changes.added_to_sum(e), f"with ε = {e:g} added to the sum of exp(x − max(x))",
                  "leave it out, since that sum is never below 1"),
    )
)  # fmt: skip
LATE = (
    Candidate("row's factor", changes.share_of_row, "times one factor in each row, which does not change their ratios", EPSILON),
    Candidate("row's shift", changes.moved_row, "plus one number in each row, which does not change their differences",
              "subtract exactly the logarithm of the row's own sum"),
)  # fmt: skip


def of(ev: RunEvidence, wrong: BoolArray, fmt: Format, between: Iterable[Found]) -> list[Found]:
    """What the wrong values of unseen code are the true values of, in sentences.

    Args:
        ev: a run whose steps are not seen.
        wrong: bool [R, N], its wrong values.
        fmt: the narrowest format that holds them.
        between: what else is known, which says more than that a factor fits and that some rows alone do.
    """
    search = Search(ev, wrong, fmt)
    plain = factors(asked(ev, fmt))
    for table, more in ((MISTAKES, algorithms.of(ev, wrong)), ((*plain, *EPSILONS), between), (LATE, ())):
        found = [*search.every(table), *more]
        if any(rows.any() for _, rows in found):
            return found
    return search.each((*MISTAKES, *plain, *EPSILONS, *LATE))
