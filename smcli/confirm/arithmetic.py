"""The arithmetics that agree or do not: mpmath's numbers, and Arb's balls where python-flint is installed.

mpmath proves nothing, so that each value is computed in two precisions, whose difference stands for its error; a ball
brings its own.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

Number = Any  # of an arithmetic; where there is none: a float that is infinite or nan, or None, a convention
FAR = 5000  # exponents of ten up to which a power of ten is taken exactly
WIDEST = 1 << 16  # binary exponents up to which a number is written out
SURE = 2  # a value this many times its error is not 0


class Arithmetic(Protocol):
    """Arithmetic with a precision of its own; its numbers know + − × ÷ and comparison."""

    name: str

    def working(self) -> AbstractContextManager[None]:
        """While it computes."""

    def quotient(self, x: Number, y: Number) -> Number:
        """x / y; of a y that rounding made 0 what `parts` does not know."""

    def number(self, x: float | Fraction) -> Number:
        """A number of it."""

    def exp(self, x: Number) -> Number:
        """e^x."""

    def expm1(self, x: Number) -> Number:
        """e^x − 1."""

    def log(self, x: Number) -> Number:
        """The natural logarithm."""

    def log1p(self, x: Number) -> Number:
        """log(1 + x)."""

    def tanh(self, x: Number) -> Number:
        """The hyperbolic tangent."""

    def parts(self, x: Number) -> tuple[Fraction, Fraction] | None:
        """A number of moderate size and its error, exactly; None where it is not known at all."""


class _Mpmath:
    def __init__(self, bits: int) -> None:
        import mpmath

        self.name = f"mpmath {mpmath.__version__}"
        self._ctx = mpmath.MPContext()  # its own: the global one is the user's
        self._ctx.prec = bits
        self.exp, self.expm1, self.log1p, self.tanh = self._ctx.exp, self._ctx.expm1, self._ctx.log1p, self._ctx.tanh

    def working(self) -> AbstractContextManager[None]:
        return nullcontext()

    def quotient(self, x: Number, y: Number) -> Number:
        return x / y if y else self._ctx.nan

    def number(self, x: float | Fraction) -> Number:
        if isinstance(x, float):
            return self._ctx.mpf(x)
        return self._ctx.mpf(x.numerator) / self._ctx.mpf(x.denominator)

    def log(self, x: Number) -> Number:
        return self._ctx.log(x) if x > 0 else self._ctx.nan  # what rounding left of a difference

    def parts(self, x: Number) -> tuple[Fraction, Fraction] | None:
        if not self._ctx.isfinite(x):
            return None
        sign, mantissa, exponent, _ = x._mpf_
        return _binary((-1) ** sign * int(mantissa), int(exponent)), Fraction(0)


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

    def quotient(self, x: Number, y: Number) -> Number:
        return x / y

    def number(self, x: float | Fraction) -> Number:
        if isinstance(x, float):
            return self._arb(x)
        return self._arb(x.numerator) / self._arb(x.denominator)

    def exp(self, x: Number) -> Number:
        return x.exp()

    def expm1(self, x: Number) -> Number:
        return self._like_itself(x) if self._is_tiny(x) else x.expm1()

    def log(self, x: Number) -> Number:
        return x.log()

    def log1p(self, x: Number) -> Number:
        return x.log1p()

    def tanh(self, x: Number) -> Number:
        return self._like_itself(x) if self._is_tiny(x) else x.tanh()

    def _is_tiny(self, x: Number) -> bool:
        return bool(abs(x) < self._arb(2) ** -self._bits)

    def _like_itself(self, x: Number) -> Number:
        """x·(1 ± x), which holds e^x − 1 and tanh x for |x| < 1: Arb's own balls are wide below 2^-2^64."""
        return x * self._arb(1, self._arb(2) ** -self._bits)

    def parts(self, x: Number) -> tuple[Fraction, Fraction] | None:
        if not x.is_finite():
            return None
        ends = []
        for end in (x.mid(), x.rad()):
            mantissa, exponent = end.man_exp()
            ends.append(_binary(int(mantissa), int(exponent)))
        return ends[0], ends[1]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A value in one arithmetic, or in two precisions of it.

    Attributes:
        number: the value.
        rough: the same with half the bits, where the arithmetic does not tell its error.
        of: the arithmetic.
        bits: its precision.
    """

    number: Number
    rough: Number
    of: Arithmetic
    bits: int

    @property
    def is_zero(self) -> bool | None:
        """Whether it is 0; None where it is nothing but what rounding leaves of a difference."""
        if self.number == 0:
            return True
        with self.of.working():
            if self.rough is None:
                return False if self.number > 0 or self.number < 0 else None
            return False if abs(self.number) > SURE * abs(self.number - self.rough) else None

    @property
    def sign(self) -> int | None:
        """1, −1 or 0; None where it is not certain."""
        zero = self.is_zero
        return None if zero is None else 0 if zero else 1 if self.number > 0 else -1

    def scaled(self, exponent: int) -> tuple[Fraction, Fraction] | None:
        """The value over a power of ten, about 1 to 10, and its error; None where it is not known at all."""
        with self.of.working():
            power = _power_of_ten(self.of, exponent)
            found = self.of.parts(self.number / power)
            if found is None or self.rough is None:
                return found
            other = self.of.parts(self.rough / power)
        return None if other is None else (found[0], found[1] + abs(found[0] - other[0]))


def arithmetics() -> Iterator[Callable[[int, Callable[[Arithmetic], list[Number]]], tuple[str, list[Value]]]]:
    """What computes values with so many bits: mpmath, and Arb where it is installed."""
    yield _by_mpmath
    try:
        import flint  # noqa: F401
    except ImportError:
        return
    yield _by_flint


def is_number(x: Number) -> bool:
    """Whether it is neither infinite nor nan nor a convention, which are told as they are."""
    return x is not None and not isinstance(x, float)


def _by_mpmath(bits: int, values: Callable[[Arithmetic], list[Number]]) -> tuple[str, list[Value]]:
    rough, fine = _Mpmath(bits), _Mpmath(2 * bits)
    pairs = zip(values(fine), values(rough), strict=True)
    return fine.name, [Value(a, fine.number(0.0) + b if is_number(b) else b, fine, bits) for a, b in pairs]


def _by_flint(bits: int, values: Callable[[Arithmetic], list[Number]]) -> tuple[str, list[Value]]:
    own = _Flint(bits)
    with own.working():
        return own.name, [Value(v, None, own, bits) for v in values(own)]


def _binary(mantissa: int, exponent: int) -> Fraction:
    """A binary number; what is so far from 1 that it would fill the memory is as wrong 2^65536 from it."""
    size = exponent + mantissa.bit_length()
    if mantissa and abs(size) > WIDEST:
        return (1 if mantissa > 0 else -1) * Fraction(2) ** (WIDEST if size > 0 else -WIDEST)
    return mantissa * Fraction(2) ** exponent if mantissa else Fraction(0)


def _power_of_ten(a: Arithmetic, exponent: int) -> Number:
    if abs(exponent) <= FAR:
        return a.number(Fraction(10) ** exponent)
    log10 = a.log1p(a.number(Fraction(9)))
    return a.exp(a.number(Fraction(exponent)) * log10)
