"""The texts that were told, each against what the definitions give: where one differs, both are named."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from smcli import quantities
from smcli.confirm.arithmetic import arithmetics, is_number
from smcli.confirm.definitions import definition
from smcli.errors import PrecisionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smcli.confirm.arithmetic import Arithmetic, Number, Value
    from smcli.confirm.row import Row

GUARD = 64  # bits beyond those that digits and range take
MOST_BITS = 1 << 22
ENOUGH = (
    1 << 12
)  # bits below which nothing is called wrong, nor 0: two precisions may both lose what is 2^-bits beside 1
SMALL = Fraction(1, 10**6)  # of half a unit: how large an error may be


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


class Told:
    """The texts that were confirmed so far, and by whom."""

    def __init__(self, digits: int) -> None:
        self.digits = digits
        self.values = self.conventions = 0
        self.names: dict[str, None] = {}

    def check(self, what: str, row: Row, quantity: str, texts: Sequence[str]) -> None:
        """Confirm the texts of a quantity of one row."""
        if row.ignored and quantities.get(quantity).zero_when_ignored:
            self._same(what, ["0"] * len(texts), texts)
            self.values += len(texts)
        elif row.is_limit(quantity):
            self.conventions += len(texts)
        else:
            formula = definition(quantity, row.problem)
            self._compute(what, texts, row.range, lambda a: formula(a, row))

    def check_sum(self, what: str, rows: Sequence[Row], quantity: str, text: str, of: Reduction) -> None:
        """Confirm the text of the losses of all rows, reduced."""
        counted = [row for row in rows if not row.ignored]
        if not of.factor or any(row.is_limit(quantity) for row in counted):
            self.conventions += 1
            return

        def reduced(a: Arithmetic) -> list[Number]:
            losses = [v for row in counted for v in definition(quantity, row.problem)(a, row)]
            if None in losses:
                return [None]
            infinite = [v for v in losses if isinstance(v, float)]
            total = sum(infinite) if infinite else sum(losses, a.number(0.0)) * a.number(of.factor)
            return [total if not of.exponential else a.exp(total) if is_number(total) else math.exp(total)]

        self._compute(what, [text], max((row.range for row in counted), default=0), reduced)

    def check_sign(self, what: str, row: Row, sign: float, of: Callable[[Arithmetic], Number]) -> None:
        """Confirm the sign of a sum, which has no digits."""
        if row.is_limit("logsumexp"):
            return
        for compute in arithmetics():
            bits = max(ENOUGH + 1, GUARD + row.range)
            while True:
                name, (value,) = compute(bits, lambda a: [of(a)])
                found = value.sign
                if found is not None or not sign:
                    break
                bits = self._more(what, bits)
            if (found or 0) != sign:
                self._differ(what, f"{sign:g}", f"{found}", name)

    def _compute(
        self, what: str, texts: Sequence[str], range_bits: int, values: Callable[[Arithmetic], list[Number]]
    ) -> None:
        conventions: set[int] = set()
        for compute in arithmetics():
            bits = math.ceil(self.digits * math.log2(10)) + GUARD + range_bits
            left = dict(enumerate(texts))
            while left:
                name, found = compute(bits, values)
                self.names[name] = None
                for k in list(left):
                    number = found[k].number
                    conventions |= (
                        {k} if number is None or (isinstance(number, float) and math.isnan(number)) else set()
                    )
                    if self._settled(f"{what}, index {k}" if len(texts) > 1 else what, left[k], found[k], name):
                        del left[k]
                if left:
                    bits = self._more(what, bits)
        self.conventions += len(conventions)
        self.values += len(texts) - len(conventions)

    def _more(self, what: str, bits: int) -> int:
        if 2 * bits > MOST_BITS:
            raise PrecisionError(f"{what} cannot be confirmed: it takes more than {MOST_BITS} bits")
        return 2 * bits

    def _settled(self, what: str, text: str, value: Value, name: str) -> bool:
        """Whether a value is known well enough to agree with its text; False where it takes more bits."""
        number = value.number
        if number is None:
            return True
        if not is_number(number) or text.lstrip("-") in {"inf", "nan"}:
            self._same(what, [str(number) if not is_number(number) else "a number"], [text], name)
            return True
        negative, digits, places, exponent = _read(text)
        enough = value.bits > max(ENOUGH, 8 * self.digits)
        known = value.scaled(exponent)
        if known is None:
            return False
        if not digits:
            zero = value.is_zero
            if zero is False and enough:
                self._differ(what, text, "a number that is not 0", name)
            return zero is not False and enough
        middle, error = known
        half = Fraction(1, 2 * 10 ** (self.digits - 1))
        if error > SMALL * half:
            return False
        apart = abs(middle - (-1) ** negative * Fraction(digits, 10 ** (places - 1)))
        wrong = apart > half * (1 + SMALL) + error
        if wrong and enough:
            self._differ(what, text, _spelled(middle, exponent, self.digits + 3), name)
        return not wrong

    def _same(self, what: str, due: Sequence[str], texts: Sequence[str], name: str = "the definition") -> None:
        for one, text in zip(due, texts, strict=True):
            if one != text:
                self._differ(what, text, one, name)

    def _differ(self, what: str, text: str, other: str, name: str) -> None:
        raise PrecisionError(
            f"{what}: {text} is told as the truth, and {name} computes {other}",
            "one of the two is wrong: please report it with the command that shows it",
        )


@dataclass(frozen=True, slots=True)
class Reduction:
    """What becomes of the sum of the losses of all rows.

    Attributes:
        factor: what it is multiplied by; 0 of a mean over nothing.
        exponential: whether its exponential is taken then.
    """

    factor: Fraction
    exponential: bool = False


def _read(text: str) -> tuple[bool, int, int, int]:
    """Sign, digits, how many these are, and the exponent of the first of them in a decimal text; no digits of a 0.

    Decimal reads and writes integers of any length, where Python stops at 4300 digits.
    """
    negative, body = text.startswith("-"), text.lstrip("-")
    mantissa, _, power = body.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return negative, 0, 0, 0
    lead = len(whole) - 1 - (len(whole + fraction) - len(digits))
    return negative, int(Decimal(digits)), len(digits), lead + int(power or 0)  # int() itself refuses 4300 digits


def _spelled(middle: Fraction, exponent: int, digits: int) -> str:
    """A scaled value in digits."""
    whole = f"{Decimal(abs(round(middle * 10 ** (digits - 1)))):f}".rjust(digits, "0")
    head = len(whole) - digits + 1
    return f"{'-' * (middle < 0)}{whole[:head]}.{whole[head:]}e{exponent}"
