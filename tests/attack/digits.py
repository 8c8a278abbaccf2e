"""Differential attack on the digits: random problems, every printed digit and every bound against Arb.

    python tests/attack/digits.py --problems 100000 --seed 1 --jobs 2

Ends with the counts; what differs is printed as the call that shows it, and the exit code is 1.
"""

from __future__ import annotations

import io
import math
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any

import command
from definition import exactly, rounded
from flint import arb, ctx
from problems import Problem, draw

if TYPE_CHECKING:
    from collections.abc import Callable

import smcli
from smcli.api.objects import Objects
from smcli.errors import PrecisionError, SmcliError
from smcli.problem.build import problems as built
from smcli.read import from_object
from smcli.reference import Reference
from smcli.request import Request

MOST_BITS = 1 << 14
FAR = 4000  # exponents of ten up to which a power is taken exactly
ZERO_WHEN_IGNORED = {"cross-entropy", "bce", "kl", "focal", "gradient"}


class WrongError(AssertionError):
    """What smcli says is not so."""


class Values:
    """The true values of a problem, in as many bits as are asked for."""

    def __init__(self, problem: Problem, count: Counter[str]) -> None:
        self.problem, self.count = problem, count
        self.range = max(row.range for row in problem.rows)

    def row(self, r: int, bits: int) -> list[arb | float]:
        """All values of a row."""
        p = self.problem
        if p.ignored[r] and p.quantity in ZERO_WHEN_IGNORED:
            return [0.0] * self.size
        return p.rows[r].values(p.quantity, bits + self.range)

    @property
    def size(self) -> int:
        """How many values a row has."""
        p, n = self.problem, len(self.problem.logits[0])
        if p.quantity == "jacobian":
            return n * n
        if p.quantity in {"logsumexp", "entropy", "kl"}:
            return 1
        if p.quantity == "cross-entropy" and p.rows[0].coefficients is not None:
            return 1
        return 1 if p.quantity == "focal" and not p.rows[0].binary else n

    def reduced(self, bits: int) -> list[arb | float]:
        """The reduced loss."""
        p = self.problem
        if not p.factor:
            return [math.nan]
        kept = [v for r in range(len(p.rows)) if not p.ignored[r] for v in self.row(r, bits)]
        ends = {v for v in kept if isinstance(v, float) and v}
        if ends:
            end = math.nan if len(ends) > 1 or any(map(math.isnan, ends)) else ends.pop()
            return [math.exp(end) if p.reduction == "perplexity" and end < 0 else end]
        total = sum(kept, arb(0)) * exactly(p.factor)
        return [total.exp() if p.reduction == "perplexity" else total]


def power_of_ten(exponent: int) -> arb:
    """10 to an exponent of any size."""
    if abs(exponent) <= FAR:
        return arb(10) ** exponent if exponent >= 0 else 1 / arb(10) ** -exponent
    return (arb(exponent) * arb(10).log()).exp()


def read(text: str) -> tuple[bool, str, int]:
    """Sign, digits and the exponent of the first digit of a decimal text; no digits of a 0."""
    negative, body = text.startswith("-"), text.removeprefix("-")
    mantissa, _, power = body.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    return negative, digits, len(whole) - 1 - (len(whole + fraction) - len(digits)) + int(power or 0)


def spelled(negative: bool, digits: str, lead: int, most: int) -> str:
    """How the contract spells a number."""
    digits = digits.rstrip("0") or "0"
    sign = "-" * negative
    if -5 <= lead < max(most, 17):
        if lead < 0:
            return f"{sign}0.{'0' * (-lead - 1)}{digits}"
        head = digits[: lead + 1].ljust(lead + 1, "0")
        return f"{sign}{head}{'.' if digits[lead + 1 :] else ''}{digits[lead + 1 :]}"
    return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{lead}"


def check_text(text: str, digits: int, value: arb | float, what: str) -> bool:
    """Whether the ball settles that a text is the value, rounded; False where it takes more bits.

    Raises:
        WrongError: it is not.
    """
    if text in {"nan", "inf", "-inf"} or isinstance(value, float):
        due = f"{value + 0.0:g}" if isinstance(value, float) else "a number"
        if due != text:
            raise WrongError(f"{what}: {text}, and it is {due}")
        return True
    negative, mantissa, lead = read(text)
    if not mantissa:
        if text != "0":
            raise WrongError(f"{what}: a zero as {text!r}")
        if value == 0:
            return True
        if not value.contains(arb(0)):
            raise WrongError(f"{what}: 0, and it is {value.str(20)}")
        return bool(abs(value) < power_of_ten(-300))
    if spelled(negative, mantissa, lead, digits) != text or len(mantissa.rstrip("0")) > digits:
        raise WrongError(
            f"{what}: {text!r} to {digits} digits is spelled {spelled(negative, mantissa, lead, digits)!r}"
        )
    scaled = value / power_of_ten(lead)
    said = exactly(Fraction(int(mantissa), 10 ** (len(mantissa) - 1)) * (-1 if negative else 1))
    half = exactly(Fraction(1, 2 * 10 ** (digits - 1)))
    apart = (scaled - said) * (-1 if negative else 1)
    below = half / 10 if mantissa.strip("0") == "1" else half
    if apart > half or apart < -below:
        raise WrongError(f"{what}: {text} to {digits} digits, and it is {value.str(digits + 8)}")
    return bool(apart < half and apart > -below)


def settled(check: Callable[[int], bool], count: Counter[str], bits: int) -> None:
    """Check with more and more bits."""
    while bits <= MOST_BITS:
        if check(bits):
            return
        bits *= 4
    count["left open"] += 1  # exact ties, and zeros that nothing here proves


def check_texts(
    texts: list[str], digits: int, values: Callable[[int], list[arb | float]], count: Counter[str], what: str
) -> None:
    """Check all texts of a row."""
    if len(texts) != len(values(64)):
        raise WrongError(f"{what}: {len(texts)} values, and there are {len(values(64))}")
    for i, text in enumerate(texts):
        settled(
            lambda bits, i=i, text=text: check_text(text, digits, values(bits)[i], f"{what} {i}"),
            count,
            64 + 4 * digits,
        )
        count["values"] += 1
        count["digits"] += len(read(text)[1]) if text[-1].isdigit() else 0


def check_bound(hi: float, lo: float, exp2: int, bound: float, value: arb | float, what: str) -> bool:
    """Whether the ball settles that a pair is as near as its bound says."""
    if isinstance(value, float) or not math.isfinite(hi):
        same = (math.isnan(hi) and math.isnan(value)) or hi == value if isinstance(value, float) else False
        if not same:
            raise WrongError(f"{what}: {hi}, and it is {value}")
        return True
    if abs(exp2) >= 1 << 62:
        return True
    told = (
        (arb(hi) + arb(lo)) * (arb(exp2) * arb(2).log()).exp()
        if abs(exp2) > 5000
        else (arb(hi) + arb(lo)) * arb(2) ** exp2
    )
    apart, most = abs(told - value), arb(bound) * abs(value)
    if apart > most:
        raise WrongError(f"{what}: ({hi!r} + {lo!r})·2^{exp2} to {bound:g}, and it is {value.str(40)}")
    if hi == 0 and value.contains(arb(0)):
        return bool(value == 0 or abs(value) < power_of_ten(-300))
    return bool(apart <= most)


def asked(problem: Problem) -> dict[str, Any]:
    """The keywords of a call."""
    keywords = dict(problem.keywords)
    if problem.quantities is not None and not (
        problem.quantity == "gradient" and problem.quantities == "cross-entropy"
    ):
        keywords["quantities"] = problem.quantities
    return keywords


def through_reference(problem: Problem, rng: Random, count: Counter[str]) -> None:
    """The truth as the pipeline knows it: bounds of both tiers, and texts."""
    request = Request.of("grad" if problem.is_derivative else "eval", Objects(asked(problem)))
    batch = from_object(problem.logits)
    settings = request.settle(batch)
    values = Values(problem, count)
    ((inner, _),) = built(batch, settings)
    reference, q = Reference(inner), problem.quantity
    if inner.logits.tolist() != [row.x for row in problem.rows] and not any(
        v != v for row in problem.rows for v in row.x
    ):
        raise WrongError(f"logits rounded to {inner.logits.tolist()}, and they are {[row.x for row in problem.rows]}")
    for sharp in (False, True):
        truth = reference.truth(q, sharp=sharp)
        for r in range(len(problem.rows)):
            for i in range(values.size):
                at = float(truth.hi[r, i]), float(truth.lo[r, i]), int(truth.exp2[r, i]), truth.bound
                what = f"{'sharp ' * sharp}truth of row {r}, {i}"
                settled(
                    lambda bits, at=at, r=r, i=i, what=what: check_bound(*at, values.row(r, bits)[i], what), count, 192
                )
                count["bounds"] += 1
    digits = rng.randint(1, 60)
    for r in range(len(problem.rows)):
        texts = reference.strings(q, r, range(values.size), digits)
        check_texts(texts, digits, lambda bits, r=r: values.row(r, bits), count, f"strings of row {r}")
    digits = rng.randint(1, 60)
    for r, texts in enumerate(reference.strings_of_rows(q, 0, len(problem.rows), digits)):
        check_texts(texts, digits, lambda bits, r=r: values.row(r, bits), count, f"strings_of_rows, row {r}")


def through_exact(problem: Problem, rng: Random, count: Counter[str]) -> None:
    """smcli.exact of each row."""
    left_out = {"compute", "reduction", "ignore_index"}
    if left_out & set(problem.keywords) or (problem.quantity == "vjp" and problem.rows[0].vjp_of != "softmax"):
        return through_reference(problem, rng, count)
    if problem.quantity == "gradient" and problem.rows[0].kind != "cross-entropy":
        return through_reference(problem, rng, count)
    values = Values(problem, count)
    for r, row in enumerate(problem.logits):
        keywords = dict(problem.keywords)
        for option in ("labels", "against", "target"):
            if option in keywords and isinstance(keywords[option], list):
                own = keywords[option]
                keywords[option] = own[r] if isinstance(own[0], list) or option == "target" else own
        digits = rng.randint(1, 60)
        texts = smcli.exact(row, problem.quantity, digits=digits, **keywords)
        check_texts(texts, digits, lambda bits, r=r: values.row(r, bits), count, f"exact of row {r}")
    return None


def through_document(problem: Problem, rng: Random, count: Counter[str]) -> None:
    """The JSON document of evaluate and gradient, reductions included."""
    digits = rng.choice((None, None, 1, 5, 17, 30, 50))
    call = smcli.gradient if problem.is_derivative else smcli.evaluate
    document = call(problem.logits, digits=digits, **asked(problem)).to_dict()  # type: ignore[union-attr]
    values = Values(problem, count)
    digits = document["digits"]
    for r, row in enumerate(document["rows"]):
        (result,) = row["results"]
        if result["quantity"] != problem.quantity:
            raise WrongError(f"asked for {problem.quantity}, and it is {result['quantity']}")
        texts = result["exact"]
        if problem.quantity == "jacobian":
            texts = [text for line in texts for text in line]
        check_texts(texts, digits, lambda bits, r=r: values.row(r, bits), count, f"document, row {r}")
    if problem.reduction != "none" and not problem.is_derivative:
        (reduced,) = document["summary"]["reduced"].values()
        check_texts(reduced["exact"], digits, values.reduced, count, "reduced")
        count["reductions"] += 1


def through_words(problem: Problem, rng: Random, count: Counter[str]) -> None:
    """The command line: eval or grad with decimal words, as plain text."""
    if {"labels", "against", "target"} & set(problem.keywords) or len(problem.logits) > 1:
        return through_document(problem, rng, count)
    from smcli.cli.app import run

    words = ["grad" if problem.is_derivative else "eval", "-f", "plain"]
    row = [decimal(v, problem.dtype, rng) for v in problem.logits[0]]
    x = [rounded(Fraction(w) if w[-1].isdigit() else float(w), problem.dtype) for w in row]
    if list(map(math.isfinite, x)) != list(map(math.isfinite, problem.rows[0].x)):
        return through_document(problem, rng, count)  # a tie beyond the largest number became infinite
    own = Problem(**{**vars(problem), "rows": list(problem.rows)})
    own.rows[0].x = x
    own.rows[0]._known.clear()
    digits = rng.randint(1, 60)
    words += ["--digits", str(digits), *row]
    for option, value in asked(problem).items():
        spelling = {"quantities": "quantity"}.get(option, option.replace("_", "-"))
        words += [f"--{spelling}", ",".join(map(repr, value)) if isinstance(value, list) else str(value)]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(words)
    if code == PrecisionError.exit_code:
        raise PrecisionError(err.getvalue().removeprefix("error: ").splitlines()[0])
    if code:
        raise WrongError(f"exit {code} of {words}: {err.getvalue()}")
    head, *lines = [line.split("\t") for line in out.getvalue().splitlines()]
    values = Values(own, count)
    exact = head.index("exact")
    texts = [line[exact] for line in lines if line[0] != "reduced"]
    check_texts(texts, digits, lambda bits: values.row(0, bits), count, f"plain of {words}")
    for line in lines[len(texts) :]:
        check_texts([line[exact]], digits, values.reduced, count, f"the reduced line of {words}")
    count["command lines"] += 1
    return None


def decimal(v: float, dtype: str, rng: Random) -> str:
    """A word for a number near v: as many digits as the day is long, or a tie of the format, told exactly or nearly."""
    if not math.isfinite(v):
        return str(v)
    form = rng.randrange(4)
    if form == 0:
        return repr(v)
    if form == 1:
        return f"{v:.{rng.randint(1, 30)}e}"
    from problems import ulp

    x = rounded(v, dtype)
    tie = Fraction(x) + Fraction(ulp(x, dtype)) / 2 * rng.choice((-1, 1))
    power = max(tie.denominator.bit_length() - 1, 1)
    if power > 300 or abs(tie) > 10**30:
        return repr(v)
    text = str(tie.numerator * 5**power * (2**power // tie.denominator))
    nudge = {2: "", 3: rng.choice(("", "0" * 40 + "1"))}[form]
    return f"{text}{nudge}e-{power + len(nudge)}"


WAYS = (through_reference, through_reference, through_exact, through_document, through_document, through_words)


def attack(seed: int, many: int) -> tuple[Counter[str], list[str]]:
    """Some random problems; the counts, and what was wrong."""
    rng, count, wrong = Random(seed), Counter[str](), []
    for _ in range(many):
        state = rng.getrandbits(48)
        own = Random(state)
        problem = draw(own)
        way = own.choice(WAYS)
        try:
            way(problem, own, count)
            count["problems"] += 1
            count[problem.quantity] += 1
        except SmcliError as error:
            count["refused"] += 1
            count[f"refused: {error.message[:60]}"] += 1
        except Exception as error:  # noqa: BLE001 - a crash is what is looked for
            wrong.append(f"{way.__name__} {state}: {type(error).__name__}: {error}\n    {problem}")
            if len(wrong) > 20:
                break
        finally:
            ctx.prec = 53
    return count, wrong


if __name__ == "__main__":
    sys.exit(command.run(attack, __doc__))
