"""Attack by relations: what has to be equal although it is asked for in another way, to the last digit and code.

Truths are told to DIGITS digits, correctly rounded, so that equal numbers are equal texts.

python tests/attack/relations.py --problems 2000 --seed 1
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import command
from definition import FORMATS, rounded
from problems import logits

import smcli
from smcli.errors import SmcliError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIGITS = 25
PLAIN = ("softmax", "log-softmax", "logsumexp", "cross-entropy", "entropy")
METHODS = ("naive", "shifted", "fused", "log1p", "logspace", "online")
Pair = tuple[str, Any, Any]


class Drawn:
    """A random row and what is asked of it."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.dtype = rng.choice(list(FORMATS))
        self.n = rng.choice((1, 2, 2, 3, 4, 5, 7, 8, 9, 16, 33))
        self.x = self.row()
        self.t = rng.choice([i for i, v in enumerate(self.x) if v > -math.inf] or [0])
        self.quantity = rng.choice(PLAIN)
        self.more: dict[str, Any] = {"dtype": self.dtype}
        if rng.random() < 0.2:
            self.more["temperature"] = rng.choice((0.5, 2.0, 3.0, 0.125))
        self.y = [rng.choice((0.0, 0.25, 0.5, 1.0, rng.random())) for _ in range(self.n)]
        self.hot = self.x and not all(map(math.isfinite, self.x))

    def row(self) -> list[float]:
        """Logits that are numbers of the format."""
        row = [rounded(v, self.dtype) for v in logits(self.rng, self.n, self.dtype, ends=False)]
        return [v if v == v else 0.0 for v in row]

    def exact(self, x: list[float] | None = None, quantity: str | None = None, **keywords: Any) -> list[str]:
        """The digits of a truth."""
        given = {**self.more, **keywords}
        return smcli.exact(x or self.x, quantity or self.quantity, digits=DIGITS, **given)

    def document(self, rows: list[list[float]], quantity: str | None = None, **keywords: Any) -> dict[str, Any]:
        """All that is told of some rows, without their numbers."""
        quantity = quantity or self.quantity
        call = smcli.compare
        given = {**self.more, **keywords}
        if quantity == "gradient":
            call, quantity = smcli.gradient, given.pop("of", "cross-entropy")  # type: ignore[assignment]
        report = call(rows, quantities=quantity, methods=METHODS, digits=DIGITS, **given).to_dict()
        for row in report["rows"]:
            row.pop("row")
        return told(json.loads(json.dumps(report)))  # type: ignore[no-any-return]


def told(tree: Any, key: str = "") -> Any:
    """A document but for what depends on how much is known of a truth, and on how a step is called."""
    if isinstance(tree, dict):
        return {k: told(v, k) for k, v in tree.items() if k not in {"certified", "step", "bound_ulp"}}
    if isinstance(tree, list):
        return [told(v, key) for v in tree]
    if key == "message":
        return tree.replace("(w·y)/p", "y/p")
    return float(f"{tree:.6g}") if key in {"ulp", "rel"} and isinstance(tree, float) else tree


def number(text: str) -> Fraction:
    """A text as a number; what is far beyond floats is left out of sums."""
    return Fraction(text) if "e" not in text or abs(int(text.partition("e")[2])) < 3000 else Fraction(0)


def near(a: Fraction, b: Fraction, size: Fraction, digits: int = DIGITS - 3) -> bool:
    """Whether two numbers agree in as many digits of a size."""
    return abs(a - b) <= size * Fraction(10) ** -digits


def finite(*texts: str) -> bool:
    """Whether all are numbers."""
    return not any(t.lstrip("-") in {"inf", "nan"} for t in texts)


def permuted(d: Drawn) -> Iterator[Pair]:
    """Classes in another order."""
    order = d.rng.sample(range(d.n), d.n)
    x = [d.x[i] for i in order]
    truth = d.exact()
    due = truth if len(truth) == 1 else [truth[i] for i in order]
    yield "permuted", d.exact(x), due
    if not d.hot:
        y = [d.y[i] for i in order]
        yield "permuted labels", d.exact(x, "cross-entropy", labels=y), d.exact(None, "cross-entropy", labels=d.y)
        whole = d.exact(None, "gradient", labels=d.y)
        yield "permuted gradient", d.exact(x, "gradient", labels=y), [whole[i] for i in order]
        other = d.row()
        if all(map(math.isfinite, other)) and max(map(abs, d.x + other)) < 1e6:
            q = [other[i] for i in order]
            yield "permuted kl", d.exact(x, "kl", against=q), d.exact(None, "kl", against=other)
            one, two = d.exact(None, "kl", against=other), d.exact(other, "kl", against=d.x, reverse=True)
            yield "kl from the other side", one, two


def moved(d: Drawn) -> Iterator[Pair]:
    """A constant added to all logits."""
    c = d.rng.choice((1.0, -2.0, 64.0, 1024.0, 0.5, 2.0**40))
    x = [v + c for v in d.x]
    if any(
        Fraction(v) + Fraction(c) != Fraction(w) or rounded(w, d.dtype) != w
        for v, w in zip(d.x, x, strict=True)
        if abs(w) < math.inf
    ):
        return
    if d.quantity != "logsumexp" and d.more.get("temperature", 1.0) != 3.0:
        yield "moved", d.exact(x), d.exact()
        if not d.hot:
            yield "moved gradient", d.exact(x, "gradient", target=d.t), d.exact(None, "gradient", target=d.t)
            yield "kl of a moved teacher", d.exact(None, "kl", against=x), ["0"]


def scaled(d: Drawn) -> Iterator[Pair]:
    """Logits and temperature times a power of two: everything is the same but the logits."""
    k = d.rng.choice((2.0, 8.0, 0.5))
    x = [v * k for v in d.x]
    t = d.more.get("temperature", 1.0)
    if any(
        rounded(v, d.dtype) != v or (abs(v) not in {0.0, math.inf} and math.frexp(v)[1] < FORMATS[d.dtype][1])
        for v in x
    ):
        return
    for quantity in (d.quantity, "sigmoid"):
        yield f"scaled {quantity}", d.exact(x, quantity, temperature=t * k), d.exact(None, quantity, temperature=t)


def alone(d: Drawn) -> Iterator[Pair]:
    """A batch is each of its rows, and a row twice is the same twice."""
    rows = [d.x, d.row(), d.x, d.row(), d.row()]
    quantity = d.rng.choice((d.quantity, "sigmoid", "gradient"))
    more = {"target": d.t} if quantity == "gradient" else {}
    whole = d.document(rows, quantity, **more)["rows"]
    for k, row in enumerate(rows):
        yield f"row {k} of a batch: {quantity}", whole[k], d.document([row], quantity, **more)["rows"][0]


def padded(d: Drawn) -> Iterator[Pair]:
    """Masked classes change nothing of the others."""
    if not FORMATS[d.dtype][3] or all(v == -math.inf for v in d.x):
        return
    at = d.rng.randrange(d.n + 1)
    x = [*d.x[:at], *[-math.inf] * d.rng.choice((1, 3, 64)), *d.x[at:]]
    truth, padding = d.exact(), {"softmax": "0", "log-softmax": "-inf", "cross-entropy": "inf"}.get(d.quantity, "")
    due = truth if not padding else [*truth[:at], *[padding] * (len(x) - d.n), *truth[at:]]
    yield "padded", d.exact(x), due
    t = d.t if d.t < at else d.t + len(x) - d.n
    yield (
        "padded gradient",
        [v for v in d.exact(x, "gradient", target=t) if v != "0"],
        [v for v in d.exact(None, "gradient", target=d.t) if v != "0"],
    )
    b = [1.0] * d.n
    b[d.rng.randrange(d.n)] = 0.0
    masked = [v if f else -math.inf for v, f in zip(d.x, b, strict=True)]
    if any(v > -math.inf for v in masked) and d.dtype:
        yield "coefficient 0", d.exact(None, "logsumexp", coefficients=b), d.exact(masked, "logsumexp")
    yield "coefficients 1", d.exact(None, "logsumexp", coefficients=[1.0] * d.n), d.exact(None, "logsumexp")


def neutral(d: Drawn) -> Iterator[Pair]:
    """Options that change nothing."""
    for option in (
        {"class_weights": [1.0] * d.n},
        {"label_smoothing": 0.0},
        {"z_loss": 0.0},
        {"temperature": d.more.get("temperature", 1.0)},
    ):
        for quantity in ("cross-entropy", "gradient"):
            a, b = (d.document([d.x], quantity, target=d.t, **o)["rows"] for o in (option, {}))
            yield f"{quantity} with {option}", a, b
    a, b = d.exact(None, "focal", target=d.t, gamma=0.0), d.exact(None, "cross-entropy", target=d.t)
    yield "focal of gamma 0", a, b
    a, b = (
        d.exact(None, "gradient", **w) for w in ({"target": d.t}, {"labels": [float(i == d.t) for i in range(d.n)]})
    )
    if not d.hot:
        yield "gradient of one-hot labels", a, b
    a, b = d.exact(None, "focal", labels=d.y, gamma=0.0), d.exact(None, "bce", labels=d.y)
    yield "binary focal of gamma 0", a, b
    if FORMATS[d.dtype][3]:
        teacher = [0.0 if i == d.t else -math.inf for i in range(d.n)]
        yield (
            "kl of a one-hot teacher",
            d.exact(None, "kl", against=teacher),
            d.exact(None, "cross-entropy", target=d.t),
        )


def two(d: Drawn) -> Iterator[Pair]:
    """Of two classes, one of which is 0, softmax is a sigmoid."""
    for v in d.x[:3]:
        x = [v, 0.0]
        yield "sigmoid", d.exact(x, "softmax")[:1], d.exact([v], "sigmoid")
        yield "log-sigmoid", d.exact(x, "log-softmax")[:1], d.exact([v], "log-sigmoid")
        yield "softplus", d.exact(x, "logsumexp"), d.exact([v], "bce", labels=[0.0])
        yield "bce", d.exact(x, "cross-entropy", target=0), d.exact([v], "bce", labels=[1.0])
        g = d.rng.choice((2.0, 0.5, 1.0, 3.0))
        yield "focal", d.exact(x, "focal", target=0, gamma=g), d.exact([v], "focal", labels=[1.0], gamma=g)


def derived(d: Drawn) -> Iterator[Pair]:
    """Columns of the Jacobian, and sums of gradients."""
    if d.n > 9:
        return
    whole = d.exact(None, "jacobian")
    square = [whole[i * d.n : (i + 1) * d.n] for i in range(d.n)]
    yield "Jacobian is symmetric", square, [list(c) for c in zip(*square, strict=True)]
    unit = [float(i == d.t) for i in range(d.n)]
    yield "column of the Jacobian", d.exact(None, "vjp", cotangent=unit), square[d.t]
    if not d.hot:
        yield "Jacobian of ones", d.exact(None, "vjp", cotangent=[1.0] * d.n), ["0"] * d.n
    for row in (square[d.t], d.exact(None, "gradient", target=d.t)):
        if finite(*row):
            parts = [number(v) for v in row]
            yield "sums to 0", near(sum(parts, Fraction(0)), Fraction(0), sum(map(abs, parts), Fraction(0))), True


def reduced(d: Drawn) -> Iterator[Pair]:
    """Means and sums of rows; a narrow format's numbers in a wider format; what is computed in another."""
    rows = [d.x, d.row(), d.row(), d.row()]
    target = [d.rng.randrange(d.n) for _ in rows]
    both = {}
    for how in ("mean", "sum"):
        (both[how],) = d.document(rows, "cross-entropy", target=target, reduction=how)["summary"]["reduced"][
            "cross-entropy"
        ]["exact"]
    if finite(*both.values()):
        a, b = number(both["mean"]) * 4, number(both["sum"])
        yield "mean times rows", near(a, b, abs(b)), True
        single = [d.exact(row, "cross-entropy", target=t)[0] for row, t in zip(rows, target, strict=True)]
        yield "sum of rows", near(sum(map(number, single), Fraction(0)), b, abs(b)), True
    for name in FORMATS:
        t = d.more.get("temperature", 1.0)
        if all(rounded(v, name) == v for v in [*d.x, *([t])]):
            for quantity in (d.quantity, "sigmoid", "log-sigmoid"):
                yield f"{quantity} in {name}", d.exact(None, quantity, dtype=name), d.exact(None, quantity)
            yield (
                f"gradient in {name}",
                d.exact(None, "gradient", target=d.t, dtype=name),
                d.exact(None, "gradient", target=d.t),
            )
            y = [round(4 * v) / 4 for v in d.y]
            a, b = (d.exact(None, "gradient", labels=y, dtype=f) for f in (name, d.dtype))
            yield f"gradient of labels in {name}", a, b


def capped(d: Drawn) -> Iterator[Pair]:
    """A soft cap far beyond all logits is none; and an entropy is what the others make of it."""
    if d.dtype == "float64" and not d.hot and max(map(abs, d.x)) < 1e3:
        free, held = d.exact(), d.exact(softcap=1e60)
        yield "a cap of 1e60", free, held
    if not d.hot and max(map(abs, d.x)) < 1e4:
        p, logs = d.exact(None, "softmax"), d.exact(None, "log-softmax")
        h = -sum((number(a) * number(b) for a, b in zip(p, logs, strict=True)), Fraction(0))
        (known,) = d.exact(None, "entropy")
        yield "entropy", near(h, number(known), abs(number(known))), True
        (divergence,) = d.exact(None, "kl", against=[0.0] * d.n, reverse=True)
        if d.n in {2, 4, 8}:
            log = number(smcli.exact([0.0] * d.n, "logsumexp", digits=DIGITS + 30)[0])
            yield "kl to equal classes", near(number(divergence), log - h, log), True
        z = d.rng.choice((0.5, 0.25))
        (plain,), (more,), (lse,) = (d.exact(None, q, **k) for q, k in (
            ("cross-entropy", {"target": d.t}), ("cross-entropy", {"target": d.t, "z_loss": z}), ("logsumexp", {})
        ))  # fmt: skip
        yield "z-loss", near(number(plain) + Fraction(z) * number(lse) ** 2, number(more), abs(number(more)) + 1), True


RELATIONS: tuple[Callable[[Drawn], Iterator[Pair]], ...] = (
    permuted, moved, scaled, alone, padded, neutral, two, derived, reduced, capped,
)  # fmt: skip


def attack(seed: int, many: int) -> tuple[Counter[str], list[str]]:
    """Some random rows; the counts, and what was wrong."""
    rng, count, wrong = Random(seed), Counter[str](), []
    for _ in range(many):
        state = rng.getrandbits(48)
        relation = rng.choice(RELATIONS)
        d = Drawn(Random(state))
        try:
            for name, a, b in relation(d):
                count[relation.__name__] += 1
                count["digits"] += sum(map(len, a)) if isinstance(a, list) and a and isinstance(a[0], str) else 0
                if a != b:
                    wrong.append(f"{name}: {first(a, b)}\n    {state}: {d.quantity} of {d.x}, {d.t}, {d.y}, {d.more}")
        except SmcliError as error:
            count["refused"] += 1
            count[f"refused: {error.message[:50]}"] += 1
        count["problems"] += 1
    return count, wrong


def first(a: Any, b: Any) -> str:
    """What differs."""
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return next(first(x, y) for x, y in zip(a, b, strict=True) if x != y)
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return next(f"{k} {first(a[k], b[k])}" for k in a if a[k] != b[k])
    return f"{a} and {b}"


if __name__ == "__main__":
    sys.exit(command.run(attack, __doc__))
