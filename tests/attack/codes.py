"""Attack on the findings: each code fires exactly when the contract, the numerics page and its own page say that it is due.

    python tests/attack/codes.py --problems 5000 --seed 1

`judging.py` has the codes that follow from values, truths and verdicts alone; here are those that need more: the steps of a
method, emulated one rounding after the other (SM203, SM303, SM404, SM405), the limits of the numerics page (SM401, SM403,
SM406, SM408, SM503, the verdict ok), exact sums (SM407, SM903), the loss's own definition (SM104, SM204, SM904).
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any

import command
import figures
from allowed import Limits, divergence
from definition import FORMATS, Row, rounded
from emulation import METHODS, Machine, values
from judging import spacing, truth, verdict, wrong_of
from problems import DERIVATIVES, Problem, draw, flat
from rounding import case_of

import smcli
from smcli.methods import formulas as everything

if TYPE_CHECKING:
    from collections.abc import Iterator

LOSSES = {"cross-entropy", "bce", "kl", "focal", "entropy"}
LOGS = {"log-softmax", "logsumexp", "cross-entropy", "bce", "log-sigmoid"}
NEAR = 1e-6  # relative distance from a threshold within which nothing is said
CLIPS = (1e-7, 1e-12, 1e-15)
Due = dict[str, bool | None]


def beyond(a: float, b: float) -> bool | None:
    """Whether a > b; None where they are too near to tell, or one is no number."""
    if math.isnan(a) or math.isnan(b) or abs(a - b) <= NEAR * max(abs(a), abs(b)):
        return None if a != b or math.isnan(a) else False
    return a > b


def every(*conditions: bool | None) -> bool | None:
    """Whether all of them hold, as far as that is known."""
    return False if False in conditions else None if None in conditions else True


class Seen:
    """What one method returned for one row, beside what is due."""

    def __init__(self, problem: Problem, r: int, row: dict[str, Any], quantity: str, told: dict[str, Any], exact: list[Any],
                 m: Machine) -> None:  # fmt: skip
        self.problem, self.r, self.row, self.quantity, self.exact, self.m = (
            problem,
            r,
            problem.rows[r],
            quantity,
            exact,
            m,
        )
        self.dtype, self.method = problem.dtype, told["method"]
        self.x = [float(v) for v in row["logits"]]
        self.y = [float(v) for v in flat(told["values"])]
        self.words = flat(told["verdicts"])
        self.ulp = [float(v) for v in flat(told["ulp"])]
        self.n = len(self.x)
        self.plain = self.row.softcap is None and self.row.signed is None
        self.limits = Limits(self.row) if self.plain and any(v > -math.inf for v in self.x) else None
        self.steps: list[Any] | None = None
        self.stall: tuple[Fraction, Fraction, Fraction] | None = (
            None  # where a sum ended, should have, and what it left out
        )
        if self.method in METHODS:
            m.steps.clear()
            self.inner = values(case_of(problem, r, self.method, m, problem.keywords), self.row.x, m)
            self.steps = list(m.steps)

    def due(self) -> Due:
        """Of each code whether it is due; None where that is not said here."""
        lost = [
            not math.isfinite(y) and math.isfinite(rounded(t, self.dtype))
            for y, t in zip(self.y, self.exact, strict=True)
        ]
        out: Due = {
            "SM204": any(
                w == "not-representable" and y and t and isinstance(t, Fraction)
                for y, w, t in zip(self.y, self.words, self.exact, strict=True)
            ),
            "SM501": any(lost) and self.quantity in DERIVATIVES,
            "SM203": self._scale(),
            "SM303": self._log_of_zero(lost),
            "SM404": self._stalled(),
            "SM407": self._cumulative(),
            "SM904": self._clip(),
        }
        if self.limits is not None:
            out |= {"SM401": self._inaccurate(), "SM403": self._normalised(), "SM503": self._gradient_sum(), "SM405": self._subnormal(),
                    "SM408": self._cancelled()}  # fmt: skip
        return out

    # limits

    def limit(self, i: int) -> float | None:
        """The limit of a value of the row, where the numerics page gives it in so many words."""
        known, row, q = self.limits, self.row, self.quantity
        assert known is not None
        loss = q == "cross-entropy" and not (row.z_loss and row.coefficients)
        if q == "log-softmax" or loss:
            return known.flat()
        if q == "softmax":
            return known.distant(known.far[i])
        if q == "jacobian":
            return known.distant(known.far[i // self.n], known.far[i % self.n])
        if q == "logsumexp":
            return max(8.0, 2 * (known.base + known.condition_of_logsumexp()))
        if q == "entropy":
            return known.entropy()
        if q == "gradient" and row.kind == "cross-entropy" and not row.z_loss:
            return known.distant(known.far[i]) if self.hard else known.soft(i)[0]
        return None

    @property
    def hard(self) -> bool:
        """Whether there is one right class, without smoothing."""
        return "target" in self.problem.keywords and not self.problem.keywords.get("label_smoothing")

    def _inaccurate(self) -> bool | None:
        """Of finite values, whether one is beyond its limit; a verdict ok or inaccurate is that of its limit."""
        found: list[bool | None] = []
        for i, (y, t, error) in enumerate(zip(self.y, self.exact, self.ulp, strict=True)):
            limit = self.limit(i)
            if limit is None:
                return None
            usual = verdict(y, t, self.dtype, hot=False)
            if not math.isfinite(y) or usual not in {"ok", "inaccurate"}:
                found.append(False)
            elif self.quantity == "gradient" and not self.hard:  # judged against its parts, too
                found.append(None)
            else:
                found.append(beyond(error, limit))
        return True if True in found else None if None in found else False

    def _normalised(self) -> bool | None:
        if self.quantity != "softmax" or self.n < 2 or not all(map(math.isfinite, self.y)):
            return False
        off = abs(sum(map(Fraction, self.y), Fraction(0)) - 1)
        allowed = sum(
            float(spacing(_number(t), self.dtype)) * (self.limit(i) or 0) for i, t in enumerate(self.exact)
        )  # fmt: skip
        return (
            beyond(float(off), allowed + self.n * 2.0**-52) if float(off) > 1e-13 or self.dtype != "float64" else None
        )

    def _gradient_sum(self) -> bool | None:
        row = self.row
        if self.quantity != "gradient" or row.kind != "cross-entropy" or row.z_loss or self.n < 2:
            return False
        if not all(map(math.isfinite, self.y)):
            return False
        allowed = 0.0
        for i, t in enumerate(self.exact):
            limit = self.limit(i)
            assert limit is not None and self.limits is not None
            own = float(spacing(_number(t), self.dtype)) * max(limit, 8.0)
            if not self.hard:
                _, parts, base = self.limits.soft(i)
                own = max(own, float(spacing(Fraction(parts), self.dtype)) * base)
            allowed += own
        p = FORMATS[self.dtype][0]
        total = float(abs(sum(map(Fraction, self.y), Fraction(0))))
        return beyond(total, allowed + 2.0**-p * max(map(abs, self.y)))

    def _cancelled(self) -> bool | None:
        if self.quantity != "kl" or all(v == -math.inf for v in self.row.teacher or ()):
            return False
        other = Limits(replace(self.row, x=list(self.row.teacher or ()), teacher=None, _known={}))
        assert self.limits is not None
        first, second = (self.limits, other) if self.row.reverse else (other, self.limits)
        if not math.isfinite(self.y[0]) or self.words[0] not in {"ok", "inaccurate", "lost"}:
            return False
        base, parts, size, mixed = divergence(first, second)
        t = abs(float(_number(self.exact[0])))
        limit = base * max(1.0, parts / t if t else 1.0)
        return every(beyond(self.ulp[0], base), mixed, beyond(size, 4 * t), beyond(4 * limit, self.ulp[0]))

    # steps

    def _scale(self) -> bool | None:
        """x/T exceeds the format; without that, only where a value was lost and something but an exp overflowed."""
        t = self.row.temperature
        over = False
        if t != 1:
            both = (*self.x, *(self.row.teacher or ()))
            over = any(math.isfinite(v) and not math.isfinite(self.m._rounded("/", v, t)) for v in both)
        fine = all(w in {"correct", "ok"} for w in self.words)
        broken = any(
            w in {"lost", "inaccurate"} and not math.isfinite(y) for w, y in zip(self.words, self.y, strict=True)
        )
        return not fine if over else None if broken else False

    def _log_of_zero(self, lost: list[bool]) -> bool | None:
        """Or a division by a probability that was lost, in a divergence."""
        if self.quantity not in LOGS | LOSSES:
            return False
        if any(
            math.isnan(y) and not math.isfinite(rounded(t, self.dtype)) for y, t in zip(self.y, self.exact, strict=True)
        ):
            return None  # explained, too
        if not any(lost):
            return False
        if self.steps is None:
            return None
        zero = [s for s in self.steps if self._of_zero(s)]
        empty = any(op == "sum" and running[-1] == 0 for op, _, running in self.steps)
        others = [s for s in self.steps if not self._of_zero(s) and _breaks(s)]
        return None if zero and (others or empty) else bool(zero)

    def _of_zero(self, step: Any) -> bool:
        """A logarithm of 0, p/0 of a divergence, 0·(−inf), and the −inf − (−inf) of a class that neither row has."""
        op, given, _ = step
        kl = self.quantity == "kl"
        both = kl and op == "-" and given[0] == given[1] == -math.inf
        masked = op == "*" and 0 in given and math.inf in map(abs, given)
        return (op == "log" and given[0] == 0) or (kl and op == "/" and given[1] == 0) or both or masked

    def _stalled(self) -> bool | None:
        if self.method.startswith("online"):
            return self._stalled_in_one_pass()
        if self.m.order != "sequential":
            return False
        if self.steps is None:
            return None
        due: list[bool | None] = [False]
        for op, terms, running in self.steps:
            if op == "sum" and math.isfinite(running[-2]):
                left = _left_out(terms, running[:-1], self.m.accumulate)
                due.append(beyond(left / (abs(running[-2]) + left) if left else 0.0, self._explained()))
                if due[-1] and True not in due[:-1]:  # the first one is told
                    self.stall = Fraction(running[-1]), sum(map(Fraction, terms), Fraction(0)), Fraction(left)
        return True if True in due else None if None in due else False

    def _explained(self) -> float:
        """The share of a sum that rounding explains."""
        u = max(2.0 ** -FORMATS[f][0] for f in (self.m.dtype, self.m.accumulate))
        return min(2 * (math.log2(max(self.n, 2)) + 4) * u, 0.25)

    def _stalled_in_one_pass(self) -> bool | None:
        """Of the softmax alone: the running sum, multiplied by exp(old − new) whenever a larger maximum appears."""
        known = self.quantity in {"softmax", "log-softmax", "logsumexp"}
        if not known or self.method != "online" or not self.plain or self.row.temperature != 1:
            return None
        m, acc = self.m, Machine(self.m.accumulate, self.m.accumulate)
        top, d, out = -math.inf, 0.0, 0.0
        for x in self.x:
            if x > top:
                scale = 0.0 if top == -math.inf else m.exp(m.sub(top, x))
                top, d, out = x, acc.round(d * scale) if top > -math.inf else 0.0, out * scale
            term = acc.round(m.exp(m.sub(x, top))) if top > -math.inf else 0.0
            before, d = d, acc.add(d, term)
            out += term if d == before and math.isfinite(term) else 0.0
        return beyond(out / (d + out), self._explained()) if out and math.isfinite(d) else False

    def _cumulative(self) -> bool | None:
        """The probabilities one after the other, rounded to the format of the running sum."""
        if self.quantity != "softmax":
            return False
        acc = Machine(self.m.accumulate, self.m.accumulate)
        least = max(0.01, 4 * 2.0 ** -FORMATS[acc.dtype][0])
        if self.n * 2.0 ** -FORMATS[acc.dtype][0] < 0.01 or not all(map(math.isfinite, self.y)):
            return False
        end = 0.0
        for p in self.y:
            end = acc.add(end, acc.round(p))
        whole = abs(float(sum(map(Fraction, self.y), Fraction(0))) - 1)
        return every(beyond(least, whole), beyond(abs(end - 1), least) if math.isfinite(end) else None)

    def _subnormal(self) -> bool | None:
        """Due where the terms of the naive softmax are subnormal and as many digits with more exponents would do."""
        p, emin, *_ = FORMATS[self.m.dtype]
        if self.steps is None or p == 53:
            return None
        normal = Fraction(2) ** emin
        small = [s for s in self.steps if s[0] in {"exp", "*", "/"} and 0 < abs(s[2][0]) < normal]
        result = Fraction(2) ** FORMATS[self.dtype][1]
        hurt = [
            i for i, (y, t, w) in enumerate(zip(self.y, self.exact, self.words, strict=True))
            if w == "inaccurate" and math.isfinite(y) and abs(_number(t)) >= result and self.ulp[i] > 1
        ]  # fmt: skip
        if not small or not hurt:
            return False
        if self.quantity != "softmax" or self.method != "naive" or self.m.accumulate != self.m.dtype:
            return None
        x = self.x if self.row.temperature == 1 else [self.m.div(v, self.row.temperature) for v in self.x]
        if not any(0 < self.m.exp(x[i]) < normal for i in hurt):
            return None
        mended = self._with_more_exponents()
        for i in hurt:
            error = abs(Fraction(rounded(mended[i], self.dtype)) - _number(self.exact[i])) / spacing(
                _number(self.exact[i]), self.dtype
            )
            fine = beyond(self.limit(i) or 0.0, float(error))
            if 0 < self.m.exp(x[i]) < normal and fine is not False:
                return fine
        return None

    def _with_more_exponents(self) -> list[float]:
        """The same method in a format of as many digits, in which nothing is subnormal."""
        name = "more exponents"
        FORMATS[name] = (FORMATS[self.m.dtype][0], -900, Fraction(2) ** 900, True)
        try:
            m = Machine(name, name, self.m.order)
            return values(case_of(self.problem, self.r, self.method, m, self.problem.keywords), self.row.x, m)
        finally:
            del FORMATS[name]  # no problem is drawn in it

    def _clip(self) -> bool | None:
        """Within 1e-3 of −log ε, wrong, and something else in truth."""
        if self.quantity not in LOSSES:
            return False
        wrong = [(y, t) for y, t, w in zip(self.y, self.exact, self.words, strict=True) if w in {"inaccurate", "lost"}]
        if self.method not in {"clipped", "bceloss", "epsilon"} or not wrong:
            return False
        for epsilon in CLIPS if self.method == "clipped" else ():
            clip = rounded(epsilon, self.dtype)
            loss = rounded(-math.log(clip), self.dtype) if clip else math.nan
            for y, t in wrong:
                apart = abs(y - loss)
                if apart < 0.9e-3 and abs(float(_number(t)) - loss) > 2.1e-3:
                    return True
        return None


def _number(t: Fraction | float) -> Fraction:
    return t if isinstance(t, Fraction) else Fraction(0) if not math.isfinite(t) else Fraction(t)


def _breaks(step: Any) -> bool:
    _, given, out = step
    return all(map(math.isfinite, given)) and not all(map(math.isfinite, out))


def _left_out(terms: tuple[float, ...], running: tuple[float, ...], accumulate: str) -> float:
    """The sum of the absolute values of terms without effect."""
    taken = [rounded(t, accumulate) for t in terms]
    still = [t for before, after, t in zip(running[:-1], running[1:], taken[1:], strict=True) if before == after and t]
    return math.fsum(abs(t) for t in still if math.isfinite(t))


def about_row(problem: Problem, r: int, row: dict[str, Any], count: Counter[str]) -> Iterator[str]:
    """SM104 and SM903, and the sentences that go with them."""
    given, x, here = problem.logits[r], problem.rows[r].x, problem.rows[r]
    found = {f["code"]: f for f in row["findings"]}
    c = None if problem.ignored[r] else here.coefficients
    masked = [i for i, v in enumerate(given) if v == -math.inf and c is not None and c[i]]
    usual = FORMATS[problem.dtype][3] and (
        here.binary or not (any(map(math.isnan, x)) or math.inf in x or all(v == -math.inf for v in x))
    )
    due: Due = {"SM104": bool(masked and usual)}
    if "SM104" in found and due["SM104"]:
        if found["SM104"]["at"] != masked:
            yield f"SM104 is at {found['SM104']['at']}, and {masked} are masked: {given}"
        said = re.search(r"the loss is (\S+),", found["SM104"]["message"])
        loss = here.values("bce" if here.binary and here.kind == "bce" else here.kind, 200 + here.range)
        if said is None or any(
            v != float(said[1].replace("−", "-")) for v in (loss[i if here.binary else 0] for i in masked)
        ):
            yield f"SM104 says {found['SM104']['message']}, and the loss is {loss}"
    if not any(map(math.isnan, x)):
        slack = min(2 * 2.0 ** -FORMATS[problem.dtype][0] * len(x) + 1e-6, 1e-2)
        inside = len(x) > 1 and all(0 <= v <= 1 for v in x)
        near = inside and beyond(slack, float(abs(sum(map(Fraction, x)) - 1)))
        asked = c is not None and any(c)
        due["SM903"] = every(inside, near, 1.0 not in x or asked) if inside else False
    for code, wanted in due.items():
        if wanted is not None:
            count[f"{code} {'due' if wanted else 'not due'}"] += 1
        if wanted is not None and (code in found) != wanted:
            yield f"{code} {'fires' if code in found else 'does not fire'}: {given}"


def ill_conditioned(seen: list[Seen], row: dict[str, Any], count: Counter[str]) -> Iterator[str]:
    """SM406, of all methods of a quantity together."""
    one = seen[0]
    kinds = {"softmax", "log-softmax", "logsumexp", "cross-entropy"}
    of_all = one.quantity == "cross-entropy" and one.row.coefficients is None
    hard = (
        one.quantity == "cross-entropy"
        and one.hard
        and "class_weights" not in one.problem.keywords
        and not one.row.z_loss
    )
    if one.limits is None or one.quantity not in kinds or (one.quantity == "cross-entropy" and not (of_all or hard)):
        return
    due: list[bool | None] = []
    for i in range(len(one.y)):
        at = i if len(one.y) > 1 or not hard else int(one.problem.keywords["target"][one.r])
        kappa = one.limits.condition(one.quantity, at)
        for f in row["findings"]:
            told = re.search(rf"number is ([^\s:]+)(?: at index {i})?:", f["message"]) if f["code"] == "SM406" else None
            if told and f["quantity"] == one.quantity and kappa is not None and not figures.near(told[1], kappa):
                yield f"{f['message']}: the condition number is {kappa}"
        within = [beyond(s.ulp[i], 8.0) if s.words[i] == "ok" else False for s in seen]
        fine = [not s.ulp[i] > 8.0 and not math.isnan(s.ulp[i]) for s in seen]
        explained = True if True in within else None if None in within else False
        due.append(
            every(explained, not any(fine), None if kappa is None else math.isfinite(kappa) and beyond(kappa, 1000.0))
        )
    wanted = True if True in due else None if None in due else False
    fired = any(f["code"] == "SM406" and f["quantity"] == one.quantity for f in row["findings"])
    if wanted is not None:
        count[f"SM406 {'due' if wanted else 'not due'}"] += 1
    if wanted is not None and fired != wanted:
        yield f"SM406 of {one.quantity} {'fires' if fired else 'does not fire'}: {one.x}"


def silent(seen: Seen, found: set[str]) -> Iterator[str]:
    """A value that was lost, or is inaccurate, has a finding."""
    if seen.row.signed is not None and all(
        b == 0 or v == -math.inf for b, v in zip(seen.row.signed, seen.x, strict=True)
    ):
        return  # a sum of nothing
    if not FORMATS[seen.m.accumulate][3] and any(t in {math.inf, -math.inf} for t in seen.exact):
        return  # of an infinite loss such a sum makes nan
    bad = {"lost", "inaccurate"} & set(seen.words)
    if bad and not found - {"SM301", "SM406"}:
        yield f"{sorted(bad)}, and no finding says so: {seen.y[:6]}"


def check(problem: Problem, count: Counter[str], rng: Random) -> list[str]:
    """The document of one problem; what is wrong with its findings."""
    keywords: dict[str, Any] = dict(problem.keywords)
    inner = keywords.get("compute", problem.dtype)
    order = keywords["sum"] = rng.choice(("pairwise", "sequential"))
    accumulate = inner
    if rng.random() < 0.3:
        accumulate = keywords["accumulate"] = rng.choice(list(FORMATS))
    methods = [*METHODS, "clipped", *rng.sample(sorted(set(everything()) - {*METHODS, "clipped"}), 2)]
    asked = {k: v for k, v in keywords.items() if k != "reduction" or problem.quantity == "gradient"}
    if problem.quantities is not None:
        asked["quantities"] = problem.quantities
    call = smcli.gradient if problem.is_derivative else smcli.compare
    document = call(problem.logits, methods=methods, digits=40, **asked).to_dict()  # type: ignore[union-attr]
    wrong: list[str] = []
    for r, row in enumerate(document["rows"]):
        count.update(f["code"] for f in row["findings"])
        wrong += [f"row {r}: {w}" for w in about_row(problem, r, row, count)]
        x = problem.rows[r].x
        if not (math.inf in x or any(map(math.isnan, x)) or problem.ignored[r] or all(v == -math.inf for v in x)):
            wrong += [
                f"row {r}{w}, {keywords}" for w in about_methods(problem, r, row, (inner, accumulate, order), count)
            ]
    count["problems"] += 1
    return wrong


def about_methods(
    problem: Problem, r: int, row: dict[str, Any], numerics: tuple[str, ...], count: Counter[str]
) -> Iterator[str]:
    """The codes about truths and methods of one row."""
    for result in row["results"]:
        exact, seen = [truth(text) for text in flat(result["exact"])], []
        for told in result["methods"]:
            if not told["available"]:
                continue
            one = Seen(problem, r, row, result["quantity"], told, exact, Machine(*numerics))
            seen.append(one)
            found = {f["code"] for f in row["findings"] if (f["method"], f["quantity"]) == (one.method, one.quantity)}
            for code, due in one.due().items():
                if due is not None:
                    count[f"{code} {'due' if due else 'not due'}"] += 1
                    if (code in found) != due:
                        fires = "fires" if code in found else "does not fire"
                        yield f", {one.method}: {code} {fires}: {one.y[:6]}, {one.words[:6]}"
            yield from (f", {one.method}: {w}" for w in silent(one, found))
            for f in row["findings"]:
                if (f["method"], f["quantity"]) == (one.method, one.quantity):
                    yield from (f", {one.method}: {f['code']} says {w}" for w in figures.wrong(one, f))
                    count["messages"] += 1
        if seen:
            yield from (f": {w}" for w in ill_conditioned(seen, row, count))


def special(rng: Random) -> Problem:
    """A random problem, or one of a kind that is rare among those."""
    problem = draw(rng)
    if rng.random() < 0.1:
        while problem.quantity not in {"softmax", "gradient"}:
            problem = draw(rng)
    if rng.random() < 0.08:
        return _touchy(rng)
    kind = rng.random()
    if kind > 0.3 or problem.quantity == "jacobian" or any(k in problem.keywords for k in ("softcap", "temperature")):
        return problem
    dtype, n = problem.dtype, len(problem.logits[0])
    for r, row in enumerate(problem.rows):
        new = _rare(rng, n, dtype, kind)
        problem.logits[r] = new
        problem.rows[r] = replace(row, x=[rounded(v, dtype) for v in new], _known={})
    if n < 9 and kind < 0.15 and problem.quantity in {"softmax", "log-softmax"}:  # long and flat: sums stall
        long = [rng.choice((0.0, 1.0)) for _ in range(rng.choice((40, 300, 700)))]
        return Problem(
            dtype, problem.quantity, [long], {"dtype": dtype}, [replace(problem.rows[0], x=long, _known={})], [False]
        )
    return problem


def _touchy(rng: Random) -> Problem:
    """A logsumexp near 0, which is ill-conditioned, or a softmax whose exponentials are subnormal."""
    dtype, n = rng.choice(list(FORMATS)), rng.choice((2, 2, 3, 5))
    quantity = rng.choice(("logsumexp", "softmax"))
    if quantity == "softmax":
        given = [FORMATS[dtype][1] * math.log(2) - rng.uniform(0, 8) for _ in range(n)]
    else:
        given = [-rng.uniform(0.2, 3) for _ in range(n - 1)]
        rest = 1 - sum(map(math.exp, given))
        given.append(math.log(rest) if rest > 0 else -math.log(n))
    return Problem(dtype, quantity, [given], {"dtype": dtype}, [Row([rounded(v, dtype) for v in given])], [False])


def _rare(rng: Random, n: int, dtype: str, kind: float) -> list[float]:
    _, emin, most, _ = FORMATS[dtype]
    if kind < 0.1:  # probabilities
        e = [math.exp(rng.gauss(0, 2)) for _ in range(n)]
        row = [v / sum(e) for v in e]
        if rng.random() < 0.3:
            row = [0.0] * n
            row[rng.randrange(n)] = 1.0
        return [v + rng.choice((0, 0, 0, 1e-3, -1e-3)) * v for v in row]
    if kind < 0.2:  # exponentials that are subnormal
        return [emin * math.log(2) - rng.uniform(0, 8) for _ in range(n)]
    far = min(float(most) / 4, 1000.0)  # one class far below
    return [rng.choice((0.0, -far * rng.random())) for _ in range(n)]


def decimals(rng: Random, count: Counter[str]) -> list[str]:
    """SM901 in float64, where a logit counts as changed from 0.001 on: of decimals with more digits than it holds."""
    given = [
        Decimal(rng.randrange(10**17, 10**20)).scaleb(rng.choice((-19, -6, -4, -3, -2, -1, 0, 3)))
        for _ in range(rng.randint(1, 4))
    ]
    change = [abs(Fraction(v) - Fraction(rounded(Fraction(v), "float64"))) for v in given]
    due = [i for i, c in enumerate(change) if c > Fraction(1, 1000)]
    found = {f.code: f for f in smcli.compare(given, methods="fused", quantities="log-softmax").findings}
    count["SM901 due" if due else "SM901 not due"] += 1
    if ("SM901" in found) != bool(due):
        return [f"SM901 {'fires' if 'SM901' in found else 'does not fire'}: {given}"]
    if not due:
        return []
    f, most = found["SM901"], max(due, key=change.__getitem__)
    said = re.search(
        r"(\d+) of (\d+) .*largest change is ([^\s,]+)(?:, at index (\d+))? \((\S+) became (\S+)\)", f.message
    )
    if said is None:
        return [f"SM901 says {f.message}: {given}"]
    was, became = Fraction(Decimal(said[5])), Fraction(Decimal(said[6]))
    facts = (
        f.at == tuple(due),
        (int(said[1]), int(said[2])) == (len(due), len(given)),
        abs(Fraction(Decimal(said[3])) - change[most]) <= change[most] / 10**5,
        change[int(said[4] or 0)] == change[most],
        was != became,
        abs(was - Fraction(given[most])) <= was / 10**16,
        abs(became - Fraction(float(given[most]))) <= became / 10**16,
    )
    return [] if all(facts) else [f"SM901 says {f.message}, {facts}: {given}"]


def attack(seed: int, many: int) -> tuple[Counter[str], list[str]]:
    """Some random problems; the counts, and what was wrong."""
    rng, count, wrong = Random(seed), Counter[str](), []
    for k in range(many):
        if k % 8 == 0:
            wrong += decimals(rng, count)
        wrong += wrong_of(special, check, rng.getrandbits(48), count)
    return count, wrong


if __name__ == "__main__":
    sys.exit(command.run(attack, __doc__))
