"""Attack on the judgement: verdicts and errors recomputed from the document by the contract, and which codes are due.

python tests/attack/judging.py --problems 5000 --seed 1
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any

import command
from definition import FORMATS, rounded
from emulation import METHODS, NARROW, Machine
from problems import DERIVATIVES, Problem, draw, flat

import smcli
from smcli.errors import SmcliError
from smcli.methods import formulas as everything

if TYPE_CHECKING:
    from collections.abc import Callable

LOGARITHMS = {"log-softmax", "logsumexp", "cross-entropy", "bce", "log-sigmoid", "entropy", "kl", "focal"}  # and losses
LIMIT = 3.0  # ulp


def truth(text: str) -> Fraction | float:
    """A decimal text; what is beyond every format comes as ±2^±9999."""
    if text in {"nan", "inf", "-inf"}:
        return float(text)
    mantissa, _, power = text.partition("e")
    exponent = int(power or 0)
    if abs(exponent) > 2000:
        return Fraction(2) ** (9999 if exponent > 0 else -9999) * (-1 if mantissa.startswith("-") else 1)
    return Fraction(mantissa) * Fraction(10) ** exponent


def spacing(t: Fraction, dtype: str) -> Fraction:
    """The spacing of the format at a number."""
    p, emin, _, _ = FORMATS[dtype]
    size = abs(t)
    e = size.numerator.bit_length() - size.denominator.bit_length() if size else emin
    if size and Fraction(2) ** e > size:
        e -= 1
    return Fraction(2) ** (max(e, emin) - p + 1)


def tied(t: Fraction, dtype: str) -> bool:
    """Whether the digits that are told are half way between two numbers, so that those beyond decide."""
    return abs(abs(t) / spacing(t, dtype) % 1 - Fraction(1, 2)) < Fraction(1, 10**100)


def verdict(y: float, t: Fraction | float, dtype: str, *, hot: bool) -> str:
    """Section 2 of the contract, word for word; ok and inaccurate by LIMIT."""
    if hot or (isinstance(t, float) and math.isnan(t)):
        return "undefined"
    due = rounded(t, dtype)
    held = (isinstance(t, float) and math.isinf(t)) or t == 0 or (math.isfinite(due) and due != 0)
    same = y == (t if isinstance(t, float) else due)
    if same and held:
        return "correct"
    if not held and (y == due or (math.isnan(y) and math.isnan(due))):
        return "not-representable"
    if (not math.isfinite(y) and math.isfinite(due)) or (y == 0 and held):
        return "lost"
    return "ok" if ulp(y, t, dtype) <= LIMIT else "inaccurate"


def ulp(y: float, t: Fraction | float, dtype: str) -> float:
    """Section 3 of the numerics page."""
    if isinstance(t, float):
        return (
            0.0
            if y == t or (math.isnan(y) and math.isnan(t))
            else math.nan
            if math.isnan(t) or math.isnan(y)
            else math.inf
        )
    if not math.isfinite(y):
        return math.nan if math.isnan(y) else math.inf
    apart = abs(Fraction(y) - t) / spacing(t, dtype)
    return float(apart) if apart < Fraction(2) ** 1023 else math.inf


def check(problem: Problem, count: Counter[str], rng: Random) -> list[str]:
    """Judge the document of one problem; what is wrong with it."""
    methods = [*METHODS, *rng.sample(sorted(set(everything()) - set(METHODS)), 3)]
    keywords: dict[str, Any] = dict(problem.keywords)
    keywords.pop("reduction", None)
    if problem.quantities is not None:
        keywords["quantities"] = problem.quantities
    call = smcli.gradient if problem.is_derivative else smcli.compare
    document = call(problem.logits, methods=methods, digits=150, max_ulp=LIMIT, **keywords).to_dict()  # type: ignore[union-attr]
    wrong: list[str] = []
    for r, row in enumerate(document["rows"]):
        for result in row["results"]:
            exact = [truth(text) for text in flat(result["exact"])]
            for told in result["methods"]:
                if told["available"]:
                    seen = _Seen(problem, r, row, result["quantity"], told, exact)
                    wrong += [f"row {r}, {told['method']}: {w}" for w in (*seen.verdicts(), *seen.codes())]
                    count["values"] += len(exact)
        wrong += [f"row {r}: {w}" for w in about_logits(problem, r, row)]
    count["problems"] += 1
    return wrong


class _Seen:
    """What one method returned for one row."""

    def __init__(
        self,
        problem: Problem,
        r: int,
        row: dict[str, Any],
        quantity: str,
        told: dict[str, Any],
        exact: list[Fraction | float],
    ) -> None:
        self.problem, self.r, self.quantity, self.told, self.exact = problem, r, quantity, told, exact
        self.dtype = problem.dtype
        self.x = [float(v) for v in row["logits"]]
        self.y = [float(v) for v in flat(told["values"])]
        self.words = flat(told["verdicts"])
        self.found = {f["code"] for f in row["findings"] if f["method"] == told["method"] and f["quantity"] == quantity}
        self.of_truth = {f["code"] for f in row["findings"] if f["method"] is None and f["quantity"] == quantity}

    def verdicts(self) -> list[str]:
        """Verdicts and errors that are not as they should be."""
        wrong = []
        hot = math.inf in self.x
        for i, (y, t, word, error) in enumerate(
            zip(self.y, self.exact, self.words, flat(self.told["ulp"]), strict=True)
        ):
            due = verdict(y, t, self.dtype, hot=hot)
            if word != due and not (isinstance(t, Fraction) and tied(t, self.dtype)):
                wrong.append(
                    f"value {i}, {y!r}, is called {word}, and is {due}: {t if isinstance(t, float) else float(t)}"
                )
            mine, theirs = ulp(y, t, self.dtype), float(error)
            same = (
                mine == theirs or (math.isnan(mine) and math.isnan(theirs)) or abs(mine - theirs) <= 1e-5 * mine + 1e-9
            )
            if isinstance(t, Fraction) and 0 < abs(t) < Fraction(2) ** 1023 and math.frexp(abs(float(t)))[0] == 0.5:
                same = same or theirs == 2 * mine  # the text is rounded: the truth may lie just below the power of 2
            if not same and mine < 1e300:
                wrong.append(f"value {i}: {theirs} ulp, and it is {mine}")
        return wrong

    def codes(self) -> list[str]:
        """Codes that fire without being due, or are due and do not fire."""
        if math.inf in self.x or any(map(math.isnan, self.x)) or self.problem.ignored[self.r]:
            return []
        wrong = []
        for code, due in self._due().items():
            fired = code in self.found or code in self.of_truth
            if due is not None and fired != due:
                wrong.append(f"{code} {'fires' if fired else 'does not fire'}: {self.y[:6]}, {self.words[:6]}")
        return wrong

    def _due(self) -> dict[str, bool | None]:
        """Of each code whether it is due; None where that is not said here."""
        q, pairs = self.quantity, list(zip(self.y, self.exact, self.words, strict=True))
        zero_held = any(y == 0 and w == "lost" for y, _, w in pairs)
        finite_due = [math.isfinite(rounded(t, self.dtype)) for _, t, _ in pairs]
        bad = any(not math.isfinite(y) and f for (y, _, _), f in zip(pairs, finite_due, strict=True))
        due: dict[str, bool | None] = {
            "SM301": any(y == 0 and w == "not-representable" for y, _, w in pairs),
            "SM401": any(w == "inaccurate" and math.isfinite(y) for y, _, w in pairs),
            "SM302": zero_held if q == "softmax" else False,
            "SM402": zero_held if q in LOGARITHMS else False,
            "SM501": bad if q in DERIVATIVES else False,
            "SM502": zero_held if q in DERIVATIVES else False,
        }
        due |= self._of_naive()
        return due

    def _of_naive(self) -> dict[str, bool | None]:
        """Overflows of exp and of the sum in the naive softmax, emulated."""
        p = self.problem
        inner = p.keywords.get("compute", self.dtype)
        if (
            self.told["method"] != "naive"
            or self.quantity != "softmax"
            or inner not in NARROW
            or "softcap" in p.keywords
        ):
            return {}
        m = Machine(inner, inner)
        t = rounded(p.keywords.get("temperature", 1.0), inner)
        y = self.x if t == 1 else [m.div(v, t) for v in self.x]
        over_t = any(math.isfinite(v) and not math.isfinite(w) for v, w in zip(self.x, y, strict=True))
        e = [m.exp(v) for v in y]
        total = m.sum(e)
        over = any(not math.isfinite(v) for v, w in zip(e, y, strict=True) if math.isfinite(w))
        masked = all(v == -math.inf for v in self.x)
        return {
            "SM203": over_t,
            "SM201": over if not over_t else None,
            "SM202": (not math.isfinite(total) and not over) if not over_t else None,
            "SM304": (total == 0 and not masked) if not over_t else None,
        }


def about_logits(problem: Problem, r: int, row: dict[str, Any]) -> list[str]:
    """Codes about the row itself."""
    given, x, dtype = problem.logits[r], problem.rows[r].x, problem.dtype
    if not FORMATS[dtype][3]:
        return []
    found = {f["code"] for f in row["findings"]}
    binary = problem.rows[r].binary  # of each logit alone, a masked row is nothing special
    changed = any(v != w for v, w in zip(given, x, strict=True) if math.isfinite(v) and math.isfinite(w))
    due = {
        "SM101": any(map(math.isnan, given)),
        "SM102": math.inf in given,
        "SM103": all(v == -math.inf for v in given)
        and problem.quantity not in {"sigmoid", "log-sigmoid"}
        and not binary,
        "SM901": changed and dtype != "float64",
        "SM902": any(math.isfinite(v) and not math.isfinite(w) for v, w in zip(given, x, strict=True)),
    }
    if problem.ignored[r]:
        return []
    return [f"{c} {'fires' if c in found else 'does not fire'}: {given}" for c, d in due.items() if (c in found) != d]


def wrong_of(
    make: Callable[[Random], Problem],
    check: Callable[[Problem, Counter[str], Random], list[str]],
    state: int,
    count: Counter[str],
) -> list[str]:
    """What a check says of the problem that is made of a random state; a refusal is counted."""
    problem = make(Random(state))
    try:
        return [f"{w}\n    {state}: {problem}" for w in check(problem, count, Random(state))]
    except SmcliError:
        count["refused"] += 1
        return []


def attack(seed: int, many: int) -> tuple[Counter[str], list[str]]:
    """Some random problems; the counts, and what was wrong."""
    rng, count = Random(seed), Counter[str]()
    return count, [w for _ in range(many) for w in wrong_of(draw, check, rng.getrandbits(48), count)]


if __name__ == "__main__":
    sys.exit(command.run(attack, __doc__))
