"""The second opinion: every digit of the truth that is told, recomputed from the definition by other arithmetic.

Nothing here is shared with `reference`: numbers are mpmath's or, where python-flint is installed, Arb's balls. mpmath
proves nothing, so that each value is computed in two precisions, whose difference stands for its error; z = x − max x is
as good as exact in both, since they have bits for the whole range of the logits. A text of d digits is confirmed where
the value lies within half a unit of its last digit, and its error is far below that.
"""

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from smcli import quantities
from smcli.errors import PrecisionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from smcli.judge.block import Block
    from smcli.judge.reduce import Reduced
    from smcli.model import Loss, Problem

Number = Any  # of an arithmetic
GUARD = 64  # bits beyond those that digits and range take
MOST_BITS = 1 << 22
SMALL = Fraction(1, 10**6)  # of half a unit: how large an error may be
KNOWN = frozenset(
    {"softmax", "log-softmax", "logsumexp", "cross-entropy", "bce", "gradient", "jacobian", "vjp"}
)  # what has a definition here
FAR = 5000  # exponents of ten up to which a power of ten is taken exactly


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Who computed the same digits.

    Attributes:
        by: name and version of each arithmetic.
        digits: significant digits of each value.
        values: how many values.
        conventions: how many more have no digits: limits, infinities and nan.
    """

    by: tuple[str, ...]
    digits: int
    values: int
    conventions: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        left = f"; {self.conventions} more are limits or no numbers" if self.conventions else ""
        if not self.values:
            return f"nothing to confirm{left}"
        who = " and ".join(self.by) or "the definition"
        return f"confirmed by {who}: {self.values} values to {self.digits} digits{left}"

    def to_dict(self) -> dict[str, Any]:
        """The same for the JSON document."""
        return {"by": list(self.by), "digits": self.digits, "values": self.values, "conventions": self.conventions}


class Arithmetic(Protocol):
    """Arithmetic with a precision of its own; its numbers know + − × ÷."""

    name: str

    def working(self) -> AbstractContextManager[None]:
        """While it computes."""

    def number(self, x: float | Fraction) -> Number:
        """A number of it."""

    def exp(self, x: Number) -> Number:
        """e^x."""

    def log1p(self, x: Number) -> Number:
        """log(1 + x)."""

    def tanh(self, x: Number) -> Number:
        """The hyperbolic tangent."""

    def parts(self, x: Number) -> tuple[Fraction, Fraction]:
        """A number of moderate size and its error, exactly."""


class _Mpmath:
    def __init__(self, bits: int) -> None:
        import mpmath

        self.name = f"mpmath {mpmath.__version__}"
        self._ctx = mpmath.MPContext()  # its own: the global one is the user's
        self._ctx.prec = bits

    def working(self) -> AbstractContextManager[None]:
        return nullcontext()

    def number(self, x: float | Fraction) -> Number:
        if isinstance(x, float):
            return self._ctx.mpf(x)
        return self._ctx.mpf(x.numerator) / self._ctx.mpf(x.denominator)

    def exp(self, x: Number) -> Number:
        return self._ctx.exp(x)

    def log1p(self, x: Number) -> Number:
        return self._ctx.log1p(x)

    def tanh(self, x: Number) -> Number:
        return self._ctx.tanh(x)

    def parts(self, x: Number) -> tuple[Fraction, Fraction]:
        sign, mantissa, exponent, _ = x._mpf_
        return (-1) ** sign * int(mantissa) * Fraction(2) ** int(exponent), Fraction(0)


class _Flint:
    def __init__(self, bits: int) -> None:
        import flint

        self.name = f"python-flint {flint.__version__}"
        self._flint, self._arb = flint, flint.arb
        self._bits = bits

    @contextmanager
    def working(self) -> Iterator[None]:
        before, self._flint.ctx.prec = self._flint.ctx.prec, self._bits  # the precision is the library's, not ours
        try:
            yield
        finally:
            self._flint.ctx.prec = before

    def number(self, x: float | Fraction) -> Number:
        if isinstance(x, float):
            return self._arb(x)
        return self._arb(x.numerator) / self._arb(x.denominator)

    def exp(self, x: Number) -> Number:
        return x.exp()

    def log1p(self, x: Number) -> Number:
        return x.log1p()

    def tanh(self, x: Number) -> Number:
        return x.tanh()

    def parts(self, x: Number) -> tuple[Fraction, Fraction]:
        ends = []
        for end in (x.mid(), x.rad()):
            mantissa, exponent = end.man_exp()
            ends.append(int(mantissa) * Fraction(2) ** int(exponent))
        return ends[0], ends[1]


def confirm(blocks: Sequence[Block], reduced: Sequence[Reduced], reduction: str, digits: int) -> Confirmation:
    """Compute once more all that is told of the truth.

    Args:
        blocks: the judged blocks, which know the truth.
        reduced: their losses, reduced.
        reduction: how: "none", "mean" or "sum".
        digits: significant digits of the texts.

    Raises:
        PrecisionError: a digit differs; the message has both values.
        UsageError: it is of a kind that nothing here recomputes.
    """
    _check_known(blocks, reduction)
    factor = _factor(blocks, reduction)
    told = _Told(digits)
    for block in blocks:
        for r, place in enumerate(block.places.tolist()):
            row = _Row.of(replace(block.problem, scale=factor), r)
            for q in block.results:
                texts = q.row(r, block.problem, digits)
                told.check(f"{q.quantity} of row {place}", row, q.quantity, texts.exact(range(texts.size)))
    for one in reduced:
        told.check_sum(blocks, one, factor)
    return Confirmation(tuple(told.names), digits, told.values, told.conventions)


def _check_known(blocks: Sequence[Block], reduction: str) -> None:
    """Refuse what has no definition here: to confirm less than all that is told would say too much."""
    unknown = {q.quantity for b in blocks for q in b.results} - KNOWN
    for p in (block.problem for block in blocks):
        if p.loss is not None and p.loss.kind not in KNOWN:
            unknown.add(f"the derivative of {p.loss.kind}")
        if p.coefficients is not None:
            unknown.add("logsumexp with coefficients")
        if p.cotangent is not None and p.vjp_of != "softmax":
            unknown.add(f"the product with the Jacobian of {p.vjp_of}")
    if reduction not in {"none", "mean", "sum"}:
        unknown.add(reduction)
    if unknown:
        raise UsageError(
            f"--confirm does not recompute {', '.join(sorted(unknown))}", "leave it out, or ask for one at a time"
        )


def _factor(blocks: Sequence[Block], reduction: str) -> Fraction:
    """What a reduction multiplies the sum of the losses by; 0 for a mean over nothing."""
    if reduction != "mean":
        return Fraction(1)
    total = Fraction(0)
    for p in (block.problem for block in blocks):
        loss = p.loss
        for r in range(len(p.logits)):
            if loss is not None and loss.kind == "bce":
                total += p.logits.shape[1]
            elif p.ignored is None or not p.ignored[r]:
                weighted = loss is not None and loss.weights is not None and loss.target is not None
                total += Fraction(float(loss.weights[loss.target[r]])) if weighted else 1  # type: ignore[union-attr,index]
    return 1 / total if total else Fraction(0)


class _Told:
    """The texts that were confirmed so far, and by whom."""

    def __init__(self, digits: int) -> None:
        self.digits = digits
        self.values = self.conventions = 0
        self.names: dict[str, None] = {}

    def check(self, what: str, row: _Row, quantity: str, texts: Sequence[str]) -> None:
        """Confirm the texts of a quantity of one row."""
        if row.is_limit(quantity):
            self.conventions += len(texts)
            return
        if row.ignored and quantities.get(quantity).zero_when_ignored:
            self._same(what, ["0"] * len(texts), texts)
            self.values += len(texts)
            return
        self._compute(what, texts, row.range, lambda a: row.values(a, quantity))

    def check_sum(self, blocks: Sequence[Block], reduced: Reduced, factor: Fraction) -> None:
        """Confirm the text of a reduced loss."""
        rows = [_Row.of(b.problem, r) for b in blocks for r in range(len(b.places))]
        if not factor or any(row.is_limit(reduced.quantity) for row in rows):
            self.conventions += 1
            return

        def total(a: Arithmetic) -> list[Number]:
            losses = [v for row in rows if not row.ignored for v in row.values(a, reduced.quantity)]
            if any(isinstance(v, float) for v in losses):
                return [math.inf]
            return [sum(losses, a.number(0.0)) * a.number(factor)]

        self._compute(f"the reduced {reduced.quantity}", [reduced.exact], max(row.range for row in rows), total)

    def _compute(
        self, what: str, texts: Sequence[str], range_bits: int, values: Callable[[Arithmetic], list[Number]]
    ) -> None:
        for compute in _arithmetics():
            bits = math.ceil(self.digits * math.log2(10)) + GUARD + range_bits
            left = dict(enumerate(texts))
            while left:
                name, found = compute(bits, values)
                self.names[name] = None
                for k in list(left):
                    if self._settled(f"{what}, index {k}" if len(texts) > 1 else what, left[k], found[k], name):
                        del left[k]
                bits *= 2
                if left and bits > MOST_BITS:
                    raise PrecisionError(f"{what} cannot be confirmed: it takes more than {MOST_BITS} bits")
        self.values += len(texts)

    def _settled(self, what: str, text: str, value: _Value, name: str) -> bool:
        """Whether a value is known well enough to agree with its text; False where it takes more bits."""
        if isinstance(value.number, float) or text.lstrip("-") in {"inf", "nan"}:
            self._same(what, [str(value.number) if isinstance(value.number, float) else "a number"], [text], name)
            return True
        negative, digits, exponent = _read(text)
        if not digits:
            return value.is_zero(self.digits)
        middle, error = value.scaled(exponent)
        half = Fraction(1, 2 * 10 ** (self.digits - 1))
        if error > SMALL * half:
            return False
        apart = abs(middle - (-1) ** negative * Fraction(digits, 10 ** (len(str(digits)) - 1)))
        if apart > half * (1 + SMALL) + error:
            self._differ(what, text, _spelled(middle, exponent, self.digits + 3), name)
        return True

    def _same(self, what: str, due: Sequence[str], texts: Sequence[str], name: str = "the definition") -> None:
        for one, text in zip(due, texts, strict=True):
            if one != text:
                self._differ(what, text, one, name)

    def _differ(self, what: str, text: str, other: str, name: str) -> None:
        raise PrecisionError(
            f"{what}: {text} is told as the truth, and {name} computes {other}",
            "one of the two is wrong: please report it with the command that shows it",
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Value:
    """A value in one arithmetic, or in two precisions of it.

    Attributes:
        number: the value; an infinity is a float.
        rough: the same with half the bits, where the arithmetic does not tell its error.
        of: the arithmetic.
        bits: its precision.
    """

    number: Number
    rough: Number
    of: Arithmetic
    bits: int

    def is_zero(self, digits: int) -> bool:
        """Whether it is 0, or nothing but what rounding leaves of a difference."""
        if self.number == 0:
            return True
        size = self.of.number(Fraction(1, 2 ** (self.bits // 2)))
        return bool(abs(self.number) < size) and self.bits > 8 * digits + 512

    def scaled(self, exponent: int) -> tuple[Fraction, Fraction]:
        """The value over a power of ten, about 1 to 10, and its error."""
        with self.of.working():
            power = _power_of_ten(self.of, exponent)
            middle, error = self.of.parts(self.number / power)
            if self.rough is not None:
                error += abs(middle - self.of.parts(self.rough / power)[0])
        return middle, error


def _arithmetics() -> Iterator[Callable[[int, Callable[[Arithmetic], list[Number]]], tuple[str, list[_Value]]]]:
    """What computes values with so many bits: mpmath, and Arb where it is installed."""
    yield _by_mpmath
    try:
        import flint  # noqa: F401
    except ImportError:
        return
    yield _by_flint


def _by_mpmath(bits: int, values: Callable[[Arithmetic], list[Number]]) -> tuple[str, list[_Value]]:
    rough, fine = _Mpmath(bits), _Mpmath(2 * bits)
    pairs = zip(values(fine), values(rough), strict=True)
    return fine.name, [_Value(a, fine.number(0.0) + b if not isinstance(b, float) else b, fine, bits) for a, b in pairs]


def _by_flint(bits: int, values: Callable[[Arithmetic], list[Number]]) -> tuple[str, list[_Value]]:
    own = _Flint(bits)
    with own.working():
        return own.name, [_Value(v, None, own, bits) for v in values(own)]


@dataclass(frozen=True, eq=False)
class _Row:
    """One row of a problem, as the definition sees it."""

    x: list[float]
    problem: Problem
    loss: Loss | None
    at: int
    ignored: bool

    @classmethod
    def of(cls, problem: Problem, r: int) -> _Row:
        ignored = problem.ignored is not None and bool(problem.ignored[r])
        return cls([float(v) for v in problem.logits[r]], problem, problem.loss, r, ignored)

    def is_limit(self, quantity: str) -> bool:
        """Whether the values are conventions: no number defines them."""
        single = quantities.get(quantity).elementwise or (self.loss is not None and self.loss.kind == "bce")
        odd = any(math.isnan(v) or v == math.inf for v in self.x)
        return odd or self.problem.temperature == 0 or (not single and all(v == -math.inf for v in self.x))

    @property
    def range(self) -> int:
        """The bits of the largest logit over the temperature."""
        sizes = [abs(v) for v in self.x if math.isfinite(v) and v]
        top = max((math.frexp(v)[1] for v in sizes), default=0)
        return max(0, top - math.frexp(self.problem.temperature)[1] + 1)

    @cached_property
    def coefficients(self) -> list[Fraction]:
        """The labels of the loss, smoothed and weighted."""
        loss = self.loss
        assert loss is not None  # noqa: S101 - asked for a loss only
        n = len(self.x)
        if loss.labels is not None:
            y = [Fraction(float(v)) for v in loss.labels[self.at]]
        else:
            target = -1 if loss.target is None else int(loss.target[self.at])
            y = [Fraction(int(i == target)) for i in range(n)]
        share = Fraction(loss.smoothing)
        weights = [Fraction(1)] * n if loss.weights is None else [Fraction(float(w)) for w in loss.weights]
        return [w * (v * (1 - share) + share / n) for v, w in zip(y, weights, strict=True)]

    def values(self, a: Arithmetic, quantity: str) -> list[Number]:
        """All values of a quantity; an infinity is a float."""
        bce = quantity == "bce" or (quantity == "gradient" and self.loss is not None and self.loss.kind == "bce")
        of = (_Binary if bce else _Softmax)(a, self)
        found: list[Number] = getattr(of, quantity.replace("-", "_"))()
        return found


class _Inputs:
    """The logits as the function meets them: over the temperature and under the soft cap. None stands for −inf."""

    def __init__(self, a: Arithmetic, row: _Row) -> None:
        self.a, self.row = a, row
        t = a.number(row.problem.temperature)
        self.y = [None if v == -math.inf else a.number(v) / t for v in row.x]
        self.one = a.number(1.0)
        self.slopes = [self.one / t] * len(self.y)  # dy/dx
        cap = row.problem.softcap
        if cap is not None:
            c = a.number(cap)
            u = [None if v is None else v / c for v in self.y]
            self.y = [None if v is None else c * a.tanh(v) for v in u]
            self.slopes = [s if v is None else s * self._sech2(v) for s, v in zip(self.slopes, u, strict=True)]

    def _sech2(self, u: Number) -> Number:
        small = self.a.exp(-2 * abs(u))
        return 4 * small / ((self.one + small) * (self.one + small))


class _Softmax(_Inputs):
    """Everything made of softmax."""

    def __init__(self, a: Arithmetic, row: _Row) -> None:
        super().__init__(a, row)
        self.top = max(range(len(row.x)), key=row.x.__getitem__)
        self.m = self.y[self.top]
        zero = a.number(0.0)
        self.z = [None if v is None else v - self.m for v in self.y]
        self.e = [zero if z is None else self.one if i == self.top else a.exp(z) for i, z in enumerate(self.z)]
        self.others = sum((e for i, e in enumerate(self.e) if i != self.top), zero)
        self.zero = zero

    def softmax(self) -> list[Number]:
        total = self.one + self.others
        return [e / total for e in self.e]

    def rest(self) -> list[Number]:
        """1 − p: the other terms over all."""
        total = self.one + self.others
        return [(self.others if i == self.top else self.one + (self.others - e)) / total for i, e in enumerate(self.e)]

    def log_softmax(self) -> list[Number]:
        log = self.a.log1p(self.others)
        return [-math.inf if z is None else -log if i == self.top else z - log for i, z in enumerate(self.z)]

    def logsumexp(self) -> list[Number]:
        return [self.m + self.a.log1p(self.others)]

    def cross_entropy(self) -> list[Number]:
        log_p = self.log_softmax()
        if self.row.loss is None:
            return [-v for v in log_p]
        total = self.zero
        for c, v in zip(self.row.coefficients, log_p, strict=True):
            if c and isinstance(v, float):
                return [math.inf if c > 0 else -math.inf]
            total = total - self.a.number(c) * v if c else total
        lse = self.logsumexp()[0]
        return [total + self.a.number(self.row.loss.z_loss) * lse * lse]

    def gradient(self) -> list[Number]:
        assert self.row.loss is not None  # noqa: S101 - of a loss
        c, p, rest = self.row.coefficients, self.softmax(), self.rest()
        total = sum(c, Fraction(0))
        z = 2 * self.a.number(self.row.loss.z_loss) * self.logsumexp()[0] if self.row.loss.z_loss else self.zero
        scale = self.a.number(self.row.problem.scale)
        out = []
        for i, own in enumerate(c):
            by_loss = self.a.number(total - own) * p[i] - self.a.number(own) * rest[i]  # p·Σc − c
            out.append((by_loss + z * p[i]) * self.slopes[i] * scale)
        return out

    def jacobian(self) -> list[Number]:
        p, rest = self.softmax(), self.rest()
        n = range(len(p))
        return [(p[i] * rest[i] if i == j else -p[i] * p[j]) * self.slopes[j] for i in n for j in n]

    def vjp(self) -> list[Number]:
        assert self.row.problem.cotangent is not None  # noqa: S101 - of a cotangent
        v = [self.a.number(float(w)) for w in self.row.problem.cotangent]
        p, rest = self.softmax(), self.rest()
        out = []
        for j, slope in enumerate(self.slopes):
            apart = sum((p[i] * v[i] for i in range(len(p)) if i != j), self.zero)
            out.append(p[j] * (v[j] * rest[j] - apart) * slope)
        return out


class _Binary(_Inputs):
    """Binary cross-entropy of each logit."""

    def bce(self) -> list[Number]:
        out: list[Number] = []
        for y, c in zip(self.y, self.row.coefficients, strict=True):
            if y is None:
                out.append(self.a.number(0.0) if not c else math.inf if c > 0 else -math.inf)
                continue
            soft = self.a.log1p(self.a.exp(-abs(y)))
            positive = y if y > 0 else self.a.number(0.0)
            out.append(positive * self.a.number(1 - c) + (positive - y) * self.a.number(c) + soft)
        return out

    def gradient(self) -> list[Number]:
        scale = self.a.number(self.row.problem.scale)
        out = []
        for y, c, slope in zip(self.y, self.row.coefficients, self.slopes, strict=True):
            up, down = (self.a.number(0.0), self.one) if y is None else (self._sigmoid(y), self._sigmoid(-y))
            out.append((self.a.number(1 - c) * up - self.a.number(c) * down) * slope * scale)
        return out

    def _sigmoid(self, y: Number) -> Number:
        small = self.a.exp(-abs(y))
        return (self.one if y >= 0 else small) / (self.one + small)


def _power_of_ten(a: Arithmetic, exponent: int) -> Number:
    if abs(exponent) <= FAR:
        return a.number(Fraction(10) ** exponent)
    log10 = a.log1p(a.number(Fraction(9)))
    return a.exp(a.number(Fraction(exponent)) * log10)


def _read(text: str) -> tuple[bool, int, int]:
    """Sign, digits and the exponent of the first digit of a decimal text; no digits of a 0."""
    negative, body = text.startswith("-"), text.lstrip("-")
    mantissa, _, power = body.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return negative, 0, 0
    lead = len(whole) - 1 - (len(whole + fraction) - len(digits))
    return negative, int(digits), lead + int(power or 0)


def _spelled(middle: Fraction, exponent: int, digits: int) -> str:
    """A scaled value in digits."""
    whole = str(abs(round(middle * 10 ** (digits - 1)))).rjust(digits, "0")
    head = len(whole) - digits + 1
    return f"{'-' * (middle < 0)}{whole[:head]}.{whole[head:]}e{exponent}"
