"""Every message against the trace that it speaks of, every remedy by following it, every code where it is due."""

from __future__ import annotations

import math
import pickle
import re
import time
import tracemalloc
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from samples import hostile

from smcli import findings, methods
from smcli.batch import Written
from smcli.findings import RowEvidence
from smcli.judge import limits
from smcli.judge.conditioning import condition
from smcli.judge.measure import measure, round_truth
from smcli.model import Loss, Problem, Truth, Verdict
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic
from smcli.problem.specs import Numerics, Tolerance
from smcli.reference import Reference

INF = float("inf")
QUANTITIES = ("softmax", "log-softmax", "logsumexp", "cross-entropy", "bce", "gradient", "jacobian", "vjp")
BY_VALUE = {"SM302", "SM303", "SM401", "SM402", "SM405", "SM501", "SM502", "SM904"}  # places are values, not logits
CASES = [(dtype, q, seed) for dtype in formats.FORMATS for q in QUANTITIES for seed in range(2)]


@dataclass
class Case:
    """A block with all its evidence."""

    problem: Problem
    quantity: str
    numerics: Numerics
    reference: Reference
    rows: RowEvidence
    about: findings.TruthEvidence
    runs: dict[str, findings.RunEvidence]

    @property
    def truth(self):
        return self.about.truth

    def everything(self):
        """(evidence, found) of all that was found."""
        for ev in (self.rows, self.about, *self.runs.values()):
            for found in findings.examine(ev):
                yield ev, found


def loss_of(rng, quantity, f, rows, size):
    soft = f.round(rng.choice([0, 0.5, 0.25, 1], (rows, size)))
    target = rng.integers(0, size, rows)
    kinds = [
        Loss(target=target),
        Loss(labels=soft),
        Loss(target=target, smoothing=0.1),
        Loss(target=target, z_loss=0.25),
    ]
    if quantity == "bce":
        return Loss("bce", labels=soft)
    if quantity == "cross-entropy":
        kinds += [None, Loss(target=target, weights=f.round(rng.choice([0, 0.5, 1, 2], size)))]
        return kinds[rng.integers(6)]
    if quantity == "gradient":
        return [*kinds, Loss("bce", labels=soft)][rng.integers(5)]
    return None


def judged(problem, raw, quantity, numerics, names, tolerance=None):
    f = formats.get(problem.dtype)
    reference = Reference(problem)
    truth = reference.truth(quantity)
    rounded = reference.settle(quantity, *round_truth(truth, f), f)
    tolerance = tolerance or Tolerance()
    limit = limits.limit(problem, quantity, reference, tolerance)
    rows = RowEvidence.of(problem, raw, (quantity,))
    about = rows.with_truth(
        quantity, truth, rounded, limit, condition=condition(problem, quantity, reference), tolerance=tolerance
    )
    infinite = (problem.logits == INF).any(axis=1, keepdims=True)
    runs = {}
    for name in names:
        o = Arithmetic(f, formats.get(numerics.accumulate or f.name), numerics.order)
        done = methods.run(methods.get(name), problem, quantity, o)
        errors = measure(done.values, reference.sided(quantity, done.values != rounded), rounded, f, limit, infinite)
        runs[name] = about.with_run(done, errors, numerics)
    about = replace(about, judged={name: ev.errors for name, ev in runs.items()})
    return Case(problem, quantity, numerics, reference, rows, about, runs)


def formulas(quantity):
    return [
        m.name for m in methods.everything().values()
        if isinstance(m, methods.Formula) and m.defines(quantity) and m.name not in {"fd", "bigfloat"}
        and (quantity != "gradient" or m.differentiates("cross-entropy"))
    ]  # fmt: skip


@cache
def case(dtype, quantity, seed):
    rng = np.random.default_rng([seed, QUANTITIES.index(quantity), list(formats.FORMATS).index(dtype)])
    f = formats.get(dtype)
    rows, size = 40, int(rng.choice([1, 2, 3, 5, 17]))
    size = min(size, 3) if quantity == "jacobian" else size
    x = np.stack([hostile(rng, size) for _ in range(rows)])
    problem = Problem(
        dtype, f.round(x), loss_of(rng, quantity, f, rows, size),
        temperature=float(rng.choice([1, 1, 1, 0.5, 3])),
        softcap=30.0 if rng.random() < 0.1 else None,
        ignored=rng.random(rows) < 0.2 if rng.random() < 0.2 else None,
        cotangent=f.round(rng.normal(0, 1, size)) if quantity == "vjp" else None,
    )  # fmt: skip
    accumulate = str(rng.choice(["", "float32"])) if f.p < 24 else ""
    order = str(rng.choice(["pairwise", "sequential", "compensated"]))
    numerics = Numerics(order=order, accumulate=accumulate or None)
    return judged(problem, Written(x), quantity, numerics, formulas(quantity))


def said(ev, found):
    """(finding, row) of each row."""
    truth = getattr(ev, "truth", None)
    return [(findings.say(found, k, truth=truth), r) for k, r in enumerate(found.rows.tolist())]


def figure(message, pattern):
    return float(re.search(pattern, message)[1].replace("−", "-"))


def kinds(message):
    """The infinities and nan that are said to be returned."""
    (some,) = re.findall(r"(?:^|: |, )((?:(?:, | or )?(?:-?inf|nan))+) is returned", message)
    return set(re.findall(r"-?inf|nan", some))


def step_rows(ev, f, r):
    """The steps of a name, as (inputs of row r, output of row r)."""
    out = []
    for s in ev.run.steps:
        if s.expr == f.step:
            pick = [np.broadcast_to(a, (len(ev.x), a.shape[1]))[r] for a in (*s.inputs, s.output)]
            out.append((s, pick[:-1], pick[-1]))
    assert out, f.step
    return out


def close(said_value, value):
    return said_value == pytest.approx(value, rel=1e-5) or (np.isnan(said_value) and np.isnan(value))


def check_SM201(ev, f, r):  # noqa: N802 - the code's name
    for s, (given,), out in step_rows(ev, f, r):
        if not np.isfinite(out[list(f.at)]).any():
            assert np.isfinite(given[list(f.at)]).all()
            assert s.op in {"exp", "exp2"} and f.message.startswith(f.step)
            assert close(figure(f.message, rf"{s.op}\(([^()]*)\) is beyond"), given[f.at[0]])
            top = ev.format.exp_overflow / (1 if s.op == "exp" else np.log(2))
            assert (given[list(f.at)] >= top * (1 - 1e-12)).all() and close(figure(f.message, r"below (\S+)$"), top)
            return
    pytest.fail("no such step")


def check_SM202(ev, f, r):  # noqa: N802
    (_, (terms,), (total,)), *_ = step_rows(ev, f, r)
    assert not np.isfinite(total) and np.isfinite(terms).all()
    if "the sum is about" in f.message:
        about = figure(f.message, r"the sum is about ([^,]*)")
        assert about == pytest.approx(terms.sum(), rel=1e-3) or np.isinf(terms.sum())
        assert f"each of its {terms.size} terms" in f.message
        assert ("overflows its accumulator" in f.message) == (terms.sum() <= ev.format.max)


def check_SM203(ev, f, r):  # noqa: N802
    for s, given, out in step_rows(ev, f, r):
        at = list(f.at) if s.op != "sum" else [0]
        if not np.isfinite(np.broadcast_to(out, (max(out.size, len(ev.x[r])),))[at]).any():
            assert all(np.isfinite(a if a.size == 1 else a[at]).all() for a in given if s.op != "sum")
            return
    pytest.fail("no such step")


def check_SM301(ev, f, r):  # noqa: N802
    at = list(f.at)
    assert (ev.y[r, at] == 0).all() and (ev.rounded[r, at] == 0).all() and (ev.truth.hi[r, at] != 0).all()


def check_SM204(ev, f, r):  # noqa: N802
    at = list(f.at)
    assert not np.isfinite(ev.y[r, at]).any() and not np.isfinite(ev.rounded[r, at]).any()
    assert np.isfinite(ev.truth.hi[r, at]).all() and close(figure(f.message, r"largest number (\S+)"), ev.format.max)


def check_zero(ev, f, r):
    at = list(f.at)
    assert (ev.y[r, at] == 0).all() and ev.held[r, at].all() and (ev.truth.hi[r, at] != 0).all()
    if f.step:
        assert step_rows(ev, f, r)


def check_SM303(ev, f, r):  # noqa: N802
    y = ev.y[r, f.at[0]]
    assert not np.isfinite(y)
    for s, given, out in step_rows(ev, f, r):
        if "takes the log of 0" in f.message:
            if s.op == "log" and (given[0] == 0).any():
                zeros = np.flatnonzero(given[0] == 0)
                if given[0].size == ev.y.shape[1]:
                    assert set(f.at) <= set(zeros.tolist())
                elif (
                    ev.problem.loss is not None and ev.problem.loss.target is not None and not ev.problem.loss.smoothing
                ):
                    assert given[0].size == 1 or ev.problem.loss.target[r] in zeros
                assert kinds(f.message) == {str(v) for v in ev.y[r, list(f.at)].tolist()} or f.count > 100
                return
        elif s.op == "mul":
            at = int(figure(f.message, r"(?:index|masked class) (\d+)"))
            assert np.isnan(out[at]) and 0 in (given[0][at], given[1][at])
            assert ("masked" in f.message) == (ev.x[r, at] == -INF)
            return
    pytest.fail("no such step")


def check_SM304(ev, f, r):  # noqa: N802
    (_, (terms,), (total,)), *_ = step_rows(ev, f, r)
    assert total == 0 and (terms == 0).all()
    if "the largest is" in f.message:
        base = np.log(2) if "exp2 is 0" in f.message else 1
        assert figure(f.message, r"the largest is ([^;]*);") * base <= ev.format.exp_zero * (1 - 1e-5)
    else:
        assert "two-pass" in f.method and f"below {ev.format.smallest_subnormal:.6g}" in f.message


def check_SM401(ev, f, r):  # noqa: N802
    wrong = (ev.errors.verdicts[r] == Verdict.INACCURATE) & np.isfinite(ev.y[r])
    at = np.flatnonzero(wrong & np.broadcast_to(ev.clean, ev.y.shape)[r])
    assert f.count == at.size and list(f.at) == at[:100].tolist()
    if "wrong by up to" in f.message:
        assert close(figure(f.message, r"up to (\S+) ulp"), ev.errors.ulp[r, at].max())
        most = at[ev.errors.ulp[r, at].argmax()]
        assert close(figure(f.message, r"\((\S+) relative"), ev.errors.rel[r, most])
        limit = np.broadcast_to(ev.limit.ulp, ev.y.shape)[r, most]
        assert close(figure(f.message, r"within (\S+) ulp"), limit)
        assert ev.errors.ulp[r, most] > limit
    else:
        assert f.message.endswith(("is 0", "is inf", "is -inf"))


def check_SM403(ev, f, r):  # noqa: N802
    said = re.search(r"sum to (?:1 ([+−]) )?([^;]*);", f.message)
    more = math.fsum((*ev.y[r].tolist(), -float(said[1] is not None)))
    assert close(float(said[2]), -more if said[1] == "−" else more) and np.isfinite(ev.y[r]).all()
    assert bool(said[1]) == (abs(ev.y[r].sum() - 1) <= 1e-3)
    assert abs(ev.y[r].sum() - 1) > figure(f.message, r"1 ± (\S+)")


def check_SM404(ev, f, r):  # noqa: N802
    (s, _, (end,)), *_ = step_rows(ev, f, r)
    assert close(figure(f.message, r"ended at ([^:,]*)[,:]"), end)
    if "what it and they sum to" in f.message:
        assert close(figure(f.message, r"left out are (\S+) % of"), 100 * s.ignored[r])
    else:
        assert close(figure(f.message, r"left out sum to (\S+)$"), s.left_out[r])
        assert close(figure(f.message, r"(?:of its terms, |terms sum to )(\S+):"), math.fsum(s.inputs[0][r]))
    if "first term" in f.message:
        term = int(figure(f.message, r"first term (\d+)"))
        running = np.zeros(1)
        for k, v in enumerate(s.inputs[0][r]):  # the plain loop
            before, running = running, formats.get(ev.numerics.accumulate or ev.format.name).round(running + v)
            if k == term:
                assert before == running != 0 and v != 0


def check_SM405(ev, f, r):  # noqa: N802
    for s, _, out in step_rows(ev, f, r):
        size = np.abs(out)
        if s.op in {"exp", "exp2", "div", "mul"} and ((size > 0) & (size < ev.format.smallest_normal)).any():
            at = list(f.at)
            assert (np.abs(ev.t[r, at]) >= ev.format.smallest_normal).all()
            assert (
                close(figure(f.message, r"wrong by (?:up to )?(\S+) relative"), ev.errors.rel[r, at].max())
                or f.count > 100
            )
            return
    pytest.fail("no subnormal there")


def check_SM406(ev, f, r):  # noqa: N802
    at = list(f.at)
    assert f.method is None and (np.broadcast_to(ev.condition, ev.truth.hi.shape)[r, at] > 1000).all()
    ulp = np.stack([e.ulp[r, at] for e in ev.judged.values()])
    assert not (ulp <= 8).any()
    name = re.search(r"ulp of (\S+)$", f.message)[1]
    most = int(figure(f.message, r"at index (\d+)")) if ev.truth.hi.shape[1] > 1 else 0
    errors = ev.judged[name]
    assert (
        close(figure(f.message, r"explains the (\S+) ulp"), errors.ulp[r, most])
        and errors.verdicts[r, most] == Verdict.OK
    )


def check_SM501(ev, f, r):  # noqa: N802
    y = ev.y[r, list(f.at)]
    assert not np.isfinite(y).any() and np.isfinite(ev.rounded[r, list(f.at)]).all()
    assert kinds(f.message) == {str(v) for v in y.tolist()} or f.count > 100
    if f.step:
        assert any(not np.isfinite(out).all() for _, _, out in step_rows(ev, f, r))
    if "masked" in f.message:
        assert (ev.x[r] == -INF).any() and np.isnan(ev.y[r]).all()


def check_SM503(ev, f, r):  # noqa: N802
    total = ev.y[r].sum()
    assert close(figure(f.message, r"sums to (\S+)"), total)
    assert abs(total) > figure(f.message, r"explains ±(\S+)")


def check_SM901(ev, f, r):  # noqa: N802
    written, x = ev.raw.values[r], ev.x[r]
    changed = np.flatnonzero((written != x) & np.isfinite(x) & np.isfinite(written))
    assert f.at == tuple(changed[:100].tolist()) and f.count == changed.size
    change = np.abs(x[changed] - written[changed])
    assert close(figure(f.message, r"largest change is ([^,\s]+)"), change.max())
    most = int(figure(f.message, r"at index (\d+)")) if x.size > 1 else 0
    before, after = re.search(r"\((\S+) became (\S+)\)", f.message).groups()
    assert float(before) == written[most] and float(after) == x[most] and before != after


def check_SM407(ev, f, r):  # noqa: N802
    running = formats.get(ev.numerics.accumulate) if ev.numerics.accumulate else ev.inner
    total = 0.0
    for p in ev.y[r].tolist():
        total = float(running.round(np.array(total + float(running.round(np.array(p))))))
    assert close(figure(f.message, r"ends at (\S+)"), total) and abs(total - 1) > 0.01


def check_SM408(ev, f, r):  # noqa: N802
    """Speaks of divergences alone, which are none of the quantities here: see test_findings_kernels and test_divergence."""
    assert ev.quantity == "kl"


def check_SM409(ev, f, r):  # noqa: N802
    """Speaks of code whose steps are not seen, which none of the methods here is: see test_findings_foreign."""
    assert not ev.run.steps


def check_SM410(ev, f, r):  # noqa: N802
    """Speaks of functions, which none of the methods here is: see test_batches."""
    assert ev.run.apart is not None


def check_SM411(ev, f, r):  # noqa: N802
    """As SM410."""
    assert ev.run.apart is not None


def check_SM902(ev, f, r):  # noqa: N802
    written, x = ev.raw.values[r], ev.x[r]
    assert not np.isfinite(x[list(f.at)]).any()
    first = figure(f.message, r"\((\S+?)( first)?\)")
    assert close(first, written[f.at[0]])
    if np.isfinite(first):
        assert abs(first) > ev.format.max and close(figure(f.message, r"largest number (\S+)"), ev.format.max)


def check_SM904(ev, f, r):  # noqa: N802
    loss = figure(f.message, r"^the loss(?: at [^:]*?)? is (?:about )?(\S+), the constant")
    assert close(loss, ev.y[r, f.at[0]])
    epsilon = re.search(r"−log (\S+)", f.message)
    constant = -np.log(ev.format.round(np.array(float(epsilon[1])))) if epsilon else 100.0
    assert (np.abs(ev.y[r, list(f.at)] - ev.format.round(np.array(constant))) <= 1.1e-3).all()
    assert any("ε" in s.expr or "−100" in s.expr for s in ev.run.steps)


def check_logit(ev, f, r):
    wanted = {"SM101": np.isnan, "SM102": lambda a: a == INF}.get(f.code, lambda a: a == -INF)
    assert wanted(ev.x[r, list(f.at)]).all()


def check_SM903(ev, f, r):  # noqa: N802
    assert ev.x[r].sum() == pytest.approx(1, abs=0.02)


CHECKS = {name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_SM")}
CHECKS |= dict.fromkeys(("SM302", "SM402", "SM502"), check_zero)
CHECKS |= dict.fromkeys(("SM101", "SM102", "SM103", "SM104"), check_logit)


def test_every_code_has_a_check():
    assert set(CHECKS) == set(findings.everything())


@pytest.mark.parametrize(("dtype", "quantity", "seed"), CASES)
def test_messages_agree_with_the_trace(dtype, quantity, seed):
    for ev, found in case(dtype, quantity, seed).everything():
        for f, r in said(ev, found):
            assert f.count >= len(f.at) == min(f.count, 100) and list(f.at) == sorted(f.at)
            assert "{" not in f.message + f.remedy and "|" not in f.message.replace("exp(−|x|)", "").replace("|x|", "")
            single = re.search(r"\b(index|class) \(?\d", f.message)
            plural = re.search(r"\b(indices|classes) \(?\d", f.message)
            assert not (plural and f.count == 1) or f.code in {"SM901", "SM406"}, f.message
            assert not found.sole or " returned at ind" not in f.message, f.message
            assert single or not re.search(r"\b(logit|result|value) (at|is)\b.*indices", f.message), f.message
            logit = not found.side or not found.of_logits
            place = f if logit else replace(f, at=tuple(i // (found.side + 1) for i in f.at))
            try:
                CHECKS[f.code](ev, place, r)
            except AssertionError as e:
                raise AssertionError(f"{dtype} {ev.method} {quantity} {ev.x[r].tolist()} {f}") from e


def follow(c, ev, f, rows):
    """The verdicts of some rows when the remedy is followed; None where it names nothing that smcli can run."""
    remedy = f.remedy
    method = re.search(r"\(method ([\w-]+)\)", remedy)
    accumulate, order = re.search(r"--accumulate (\w+)", remedy), re.search(r"--sum (\w+)", remedy)
    compute = re.search(r"(?:compute in|, in) (float\d+)", remedy)
    logits_loss = "BCEWithLogitsLoss" in remedy
    if not (method or accumulate or order or compute or logits_loss):
        return None
    name = method[1] if method else "fused" if logits_loss else ev.run.method
    f_wide = formats.get(compute[1]) if compute else ev.format
    acc = formats.get(accumulate[1] if accumulate else c.numerics.accumulate or f_wide.name)
    part = c.problem.select(rows)
    o = Arithmetic(f_wide, acc if acc.p > f_wide.p or not compute else f_wide, order[1] if order else c.numerics.order)
    y = ev.format.round(methods.run(methods.get(name), replace(part, dtype=f_wide.name), c.quantity, o).values)
    truth = Truth(c.truth.hi[rows], c.truth.lo[rows], c.truth.exp2[rows], c.truth.bound)
    limit = limits.limit(part, c.quantity, Reference(part), Tolerance())
    return measure(y, truth, ev.rounded[rows], ev.format, limit, np.zeros((1, 1), dtype=bool)).verdicts


def by_formula(c, remedy, r):
    """The values that a formula in the remedy speaks of, which `test_formulas_of_remedies_mend` follows."""
    loss, where = c.problem.loss, np.zeros(c.truth.hi.shape[1], dtype=bool)
    if "−1/(1 + exp(x))" in remedy:
        where |= loss.labels[r] == 1
    elif "minus the sum of the other" in remedy:
        where[loss.target[r]] = True
    elif "take 1 − p_i" in remedy:
        where[:: c.problem.logits.shape[1] + 1] = True
    return where


BAD = (Verdict.LOST, Verdict.INACCURATE)


@pytest.mark.parametrize(("dtype", "quantity", "seed"), CASES)
def test_remedies_mend_when_followed(dtype, quantity, seed):
    c = case(dtype, quantity, seed)
    for name, ev in c.runs.items():
        for found in findings.examine(ev):
            if found.code in {"SM203", "SM301"}:
                continue
            by_remedy = {}
            for f, r in said(ev, found):
                by_remedy.setdefault(f.remedy, []).append((f, r))
            for remedy, some in by_remedy.items():
                assert f"(method {name})" not in remedy
                for word, done in (("accumulate", c.numerics.accumulate), ("sum", c.numerics.order)):
                    assert f"--{word} {done})" not in remedy
                named = re.search(r"\(method ([\w-]+)\)", remedy)
                assert named is None or methods.get(named[1]).defines(quantity)
                rows = np.array([r for _, r in some])
                verdicts = follow(c, ev, some[0][0], rows)
                if verdicts is None:
                    continue
                for k, (f, r) in enumerate(some):
                    bad = np.isin(verdicts[k], BAD) & ~by_formula(c, remedy, r)
                    if f.code in BY_VALUE and bad.size > 1:
                        assert not bad[list(f.at)].any(), (dtype, name, ev.x[r].tolist(), f)
                    else:
                        before = np.isin(ev.errors.verdicts[r], BAD)
                        assert not bad.any() or (before & ~bad).any(), (dtype, name, ev.x[r].tolist(), f)


@pytest.mark.parametrize("dtype", formats.FORMATS)
def test_formulas_of_remedies_mend(dtype):
    f = formats.get(dtype)
    o = Arithmetic(f, f)
    told = set()
    margin = f.p * np.log(2)
    x = f.round(np.array([[0.7 * margin, 0, -1], [1.2 * margin, 1, -2], [margin + 1, 0, 0]]))
    raw = Written(x)
    e = f.round(np.exp(f.round(x - x.max(axis=1, keepdims=True))))
    p = f.round(e / o.sum(o.given(e, "e")).values)
    rest = f.round(p[:, 1] + p[:, 2])
    cases = {
        "minus the sum of the other": (Problem(dtype, x, Loss(target=np.zeros(3, np.int64))), "gradient", -rest),
        "−1/(1 + exp(x))": (
            Problem(dtype, x, Loss("bce", labels=np.ones((3, 3)))), "gradient", f.round(-1 / f.round(1 + f.round(np.exp(x[:, 0])))),
        ),
        "take 1 − p_i as the sum": (Problem(dtype, x), "jacobian", f.round(p[:, 0] * rest)),
    }  # fmt: skip
    for words, (problem, quantity, better) in cases.items():
        c = judged(problem, raw, quantity, Numerics(), formulas(quantity))
        truth = Truth(*(a[:, :1] for a in (c.truth.hi, c.truth.lo, c.truth.exp2)), c.truth.bound)
        limit = limits.limit(problem, quantity, c.reference, Tolerance())
        limit = replace(limit, ulp=np.broadcast_to(limit.ulp, c.truth.hi.shape)[:, :1], parts=None)
        right = measure(better[:, None], truth, c.about.rounded[:, :1], f, limit, np.zeros((1, 1), dtype=bool)).verdicts
        for ev in c.runs.values():
            for found in findings.examine(ev):
                for finding, r in said(ev, found):
                    if words in finding.remedy and 0 in finding.at:
                        told.add(words)
                        assert right[r, 0] not in BAD, (dtype, ev.method, quantity, finding)
    assert len(told) == 3 or f.p <= 4


def due(ev, code):
    """Where CONTRACT says that a code is due, as rows; from values, truths and verdicts alone."""
    y, t, v = ev.y, ev.truth.hi, ev.errors.verdicts
    q = ev.quantity
    usable = (
        np.broadcast_to(ev.clean, y.shape) if ev.clean.shape[1] in {1, y.shape[1]} else ev.clean.all(axis=1)[:, None]
    )
    finite = np.isfinite(ev.rounded)
    where = {
        "SM301": (v == Verdict.NOT_REPRESENTABLE) & (y == 0),
        "SM302": (v == Verdict.LOST) & (y == 0) & (q.name == "softmax"),
        "SM401": (v == Verdict.INACCURATE) & np.isfinite(y),
        "SM402": (y == 0) & (t != 0) & ev.held & finite & q.is_log & np.isin(v, BAD),
        "SM501": ~np.isfinite(y) & finite & q.is_derivative,
        "SM502": (v == Verdict.LOST) & (y == 0) & q.is_derivative,
    }[code]
    return (where & usable).any(axis=1)


@pytest.mark.parametrize(("dtype", "quantity", "seed"), CASES)
def test_codes_fire_where_they_are_due_and_nowhere_else(dtype, quantity, seed):
    c = case(dtype, quantity, seed)
    for name, ev in c.runs.items():
        fired = {}
        for found in findings.examine(ev):
            fired.setdefault(found.code, np.zeros(len(ev.x), dtype=bool))[found.rows] = True
        never = np.zeros(len(ev.x), dtype=bool)
        for code in ("SM301", "SM302", "SM401", "SM402", "SM501", "SM502"):
            wrong = np.flatnonzero(fired.get(code, never) != due(ev, code))
            assert not wrong.size, (code, dtype, name, ev.x[wrong[0]].tolist())
        lost = np.isin(ev.errors.verdicts, (Verdict.LOST,)) | (
            np.isnan(ev.y) & ~np.isnan(ev.truth.hi) & ev.finite_truth
        )
        lost &= np.broadcast_to(ev.clean, ev.y.shape) if ev.clean.shape[1] in {1, ev.y.shape[1]} else ev.clean.all()
        explained = [fired[code] for code in fired if code[:3] in {"SM2", "SM3", "SM5"} or code == "SM402"]
        silent = lost.any(axis=1) & ~np.any([never, *explained], axis=0)
        assert not silent.any(), (dtype, name, ev.x[silent][0].tolist(), ev.y[silent][0])


@pytest.mark.parametrize(("dtype", "quantity", "seed"), CASES[::2])
def test_codes_about_rows(dtype, quantity, seed):
    c = case(dtype, quantity, seed)
    x, written = c.problem.logits, c.rows.raw.values
    fired = {}
    for found in findings.examine(c.rows):
        fired.setdefault(found.code, np.zeros(len(x), dtype=bool))[found.rows] = True
    never = np.zeros(len(x), dtype=bool)
    has_inf = c.rows.format.has_inf
    assert np.array_equal(fired.get("SM101", never), np.isnan(written).any(axis=1))
    lost = (np.isfinite(written) & ~np.isfinite(x)) | (np.isinf(written) & (not has_inf))
    assert np.array_equal(fired.get("SM902", never), lost.any(axis=1))
    sent = ((written == INF) & has_inf).any(axis=1) & ~np.isnan(x).any(axis=1)
    assert np.array_equal(fired.get("SM102", never), sent)
    if not c.rows.elementwise:
        dead = (written == -INF).all(axis=1) & has_inf
        assert np.array_equal(fired.get("SM103", never), dead)
    if dtype != "float64":
        rounded = (np.isfinite(written) & np.isfinite(x) & (written != x)).any(axis=1)
        assert np.array_equal(fired.get("SM901", never), rounded)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "cross-entropy", "bce", "jacobian"])
def test_a_subnormal_is_blamed_only_where_more_exponents_help(quantity, seed):
    """The same digits without a smallest number near: every value that was blamed on it is accurate then."""
    for dtype in ("float32", "float16", "bfloat16", "float8_e5m2"):
        c, f = case(dtype, quantity, seed), formats.get(dtype)
        wide = formats.Format("wide", f.bits, f.p, -800, 2.0**800)
        for name, ev in c.runs.items():
            for found in findings.examine(ev):
                if found.code != "SM405":
                    continue
                part = c.problem.select(found.rows)
                o = Arithmetic(
                    wide,
                    formats.get(c.numerics.accumulate or dtype) if c.numerics.accumulate else wide,
                    c.numerics.order,
                )
                y = f.round(methods.run(methods.get(name), part, quantity, o).values)
                truth = Truth(*(a[found.rows] for a in (c.truth.hi, c.truth.lo, c.truth.exp2)), c.truth.bound)
                limit = limits.limit(part, quantity, Reference(part), Tolerance())
                verdicts = measure(y, truth, ev.rounded[found.rows], f, limit, np.zeros((1, 1), dtype=bool)).verdicts
                for k, (finding, _) in enumerate(said(ev, found)):
                    assert not np.isin(verdicts[k, list(finding.at)], BAD).any(), (dtype, name, finding)


def test_a_clip_is_not_blamed_on_a_subnormal():
    x = np.array([[0.0, -740.0]])
    c = judged(Problem("float64", x), Written(x), "log-softmax", Numerics(), ["clipped", "shifted"])
    codes = {name: {f.code for f in findings.examine(ev)} for name, ev in c.runs.items()}
    assert "SM405" not in codes["clipped"] and "SM405" in codes["shifted"]


def test_what_was_found_pickles_and_says_the_same():
    for dtype, quantity, seed in CASES[::9]:
        for ev, found in case(dtype, quantity, seed).everything():
            again = pickle.loads(pickle.dumps(found))
            assert [f for f, _ in said(ev, again)] == [f for f, _ in said(ev, found)]


def firing(rows):
    """Evidence of a run in which every row has findings."""
    x = np.random.default_rng(0).normal(0, 1, (rows, 10))
    raw = Written(x - 740)
    c = judged(Problem("float64", x - 740), raw, "softmax", Numerics(), ["naive"])
    small = Problem("float32", formats.get("float32").round(x))
    return c.runs["naive"], RowEvidence.of(small, Written(x), ())


def test_rows_cost_what_their_numbers_cost():
    """A row of ten numbers with two findings: some hundred bytes, and microseconds; ten times as many, ten times that."""
    taken, kept = [], []
    for rows in (2_000, 20_000):
        some = firing(rows)
        began = time.perf_counter()
        tracemalloc.start()
        found = [f for ev in some for f in findings.examine(ev)]
        kept.append(tracemalloc.get_traced_memory()[0])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        taken.append(time.perf_counter() - began)
        assert sum(f.rows.size for f in found) >= 2 * rows
        assert peak < rows * 10 * 400
    assert kept[1] < 12 * kept[0] + 1e5 and kept[1] < 20_000 * 600
    assert taken[1] < 40 * taken[0] + 0.5
