"""One row of logits: every quantity of it, as an enclosure, in digits, as a pair or rounded to a format."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from smcli.reference.arbitrary.binary import PAIR_BITS, pair_of, relative_distance, rounded
from smcli.reference.arbitrary.formulas import Formulas
from smcli.reference.arbitrary.interval import Enclosure, is_narrow
from smcli.reference.arbitrary.logits import Sums
from smcli.reference.arbitrary.ziv import WORK, digits_of, until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DISTANCE_BITS = 2048  # a relative error that takes more bits to tell from 0 is below every float64


class ExactRow:
    """One row of logits in exact arithmetic; exponentials and sums are kept per precision.

    Quantities, and what `index` counts: "softmax", "log-softmax", "gradient", "vjp", "bce" (the classes), "jacobian"
    (i·n + j for dp_i/dx_j), "logsumexp" (0 only), "cross-entropy" (0 with coefficients, else the classes: −log p_i).

    Infinite logits are limits taken before a soft cap: −inf is a masked class (p = 0, and 0·(−inf) = 0 in a loss), one
    +inf is a one-hot row with logsumexp = inf, several give nan there and 0 elsewhere, and nan for every derivative.
    A nan makes all of the row nan; a row of −inf only is nan with logsumexp −inf. "bce" looks at each logit alone.

    Args:
        logits: the exact numbers.
        temperature: logits are divided by it, exactly; > 0.
        softcap: then capped to softcap·tanh(x/softcap), or None; > 0.
        coefficients: c_i of the loss −Σ c_i log p_i, one for each class; with `bce` the labels.
        z_loss: this times logsumexp² is added to the loss.
        scale: factor of the gradient alone.
        cotangent: v of "vjp".
        bce: "gradient" is that of the binary cross-entropies Σ softplus(y_i) − y_i·c_i.
    """

    def __init__(
        self,
        logits: Sequence[float],
        *,
        temperature: float = 1.0,
        softcap: float | None = None,
        coefficients: Sequence[Fraction] | None = None,
        z_loss: float = 0.0,
        scale: Fraction = Fraction(1),
        cotangent: Sequence[float] | None = None,
        bce: bool = False,
    ) -> None:
        self._values = [float(x) for x in logits]
        self._z_loss = z_loss
        self._cotangent = cotangent
        self._coefficients = coefficients
        self._bce = bce
        self._hot = self._values.count(math.inf)
        self._nan = any(x != x for x in self._values)
        self._formulas = Formulas(
            self._values, temperature, softcap, coefficients, z_loss, Fraction(scale), cotangent, bce=bce
        )
        self._row = self._formulas.row
        self._sums: dict[int, Sums] = {}

    def __len__(self) -> int:
        return len(self._values)

    @property
    def losses(self) -> list[tuple[str, int]]:
        """Quantity and index of the terms of this row's loss."""
        return [("bce", i) for i in range(len(self))] if self._bce else [("cross-entropy", 0)]

    def enclose(self, quantity: str, index: int, bits: int) -> Enclosure | float:
        """An enclosure of relative width 2^-bits at most, or an exact value; nan, inf or −inf as a float.

        Raises:
            PrecisionError: not reached with 4·bits + 100000 bits.
        """
        value = self._enclose(quantity, index, bits)
        return value if isinstance(value, float) else Enclosure(int(value.lo), int(value.hi), value.exp, value.den)

    def decimal(self, quantity: str, index: int, digits: int) -> str:
        """The value to `digits` significant digits, every one certain: rounded to nearest, exact ties to even."""
        return digits_of(lambda bits: self._enclose(quantity, index, bits), digits)

    def decimals(self, quantity: str, indices: Iterable[int], digits: int) -> list[str]:
        """`decimal` of many indices."""
        return [self.decimal(quantity, index, digits) for index in indices]

    def triple(self, quantity: str, index: int) -> tuple[float, float, int]:
        """(hi, lo, exp2): the value is (hi + lo)·2^exp2 to a relative 2^-100, with 1 <= |hi| <= 2.

        An exact 0, nan and the infinities stand in `hi` with lo = 0 and exp2 = 0; exp2 is clamped to ±2^62.
        """
        return pair_of(self._enclose(quantity, index, PAIR_BITS))

    def round_to(self, quantity: str, index: int, p: int, emin: int) -> Fraction | float:
        """The value rounded to nearest, ties to even, to p bits, smallest normal number 2^emin, no largest one.

        Returns:
            The rounded number, exactly; 0 for what rounds to 0, whatever its sign; nan, inf or −inf as a float.
        """
        special = self.special(quantity, index)
        if special is not None:
            return special
        return until(lambda bits: rounded(self._finite(quantity, index, bits), p, emin), p + 12)

    def distance(self, quantity: str, index: int, value: float) -> float:
        """(value − truth) / truth to about six digits, for a finite value and a true number that is not 0.

        What is below float64's smallest number is 0, which it rounds to.
        """
        bits = 64
        while bits <= DISTANCE_BITS:
            apart = relative_distance(self._finite(quantity, index, bits), value)
            if apart is not None:
                return apart
            bits *= 2
        return 0.0

    def special(self, quantity: str, index: int) -> float | None:
        """Nan or the infinity that the conventions give, or None where the value is a number."""
        if quantity == "bce" or (self._bce and quantity == "gradient"):
            return self._special_bce(quantity, index)
        if self._nan:
            return math.nan
        if quantity == "logsumexp":
            return math.inf if self._hot else None if self._row.ties else -math.inf
        if not self._row.ties:
            return math.nan
        if quantity == "cross-entropy" and self._coefficients is not None:
            return self._infinite_loss
        if quantity in {"softmax", "log-softmax", "cross-entropy"}:
            if self._row.distances[index] is None:
                return {"softmax": None, "log-softmax": -math.inf, "cross-entropy": math.inf}[quantity]
            return math.nan if self._hot > 1 else None
        undefined = self._hot > 1 or (quantity == "gradient" and self._hot and self._z_loss)
        if quantity == "vjp":
            undefined = undefined or not all(map(math.isfinite, self._cotangent or ()))
        return math.nan if undefined else None

    def _special_bce(self, quantity: str, index: int) -> float | None:
        x = self._values[index]
        if math.isnan(x):
            return math.nan
        slope = (1 if x > 0 else 0) - self._formulas.labels[index]
        if math.isfinite(x) or quantity == "gradient" or not slope:
            return None
        return x if slope > 0 else -x

    @cached_property
    def _infinite_loss(self) -> float | None:
        """The sum of the loss's infinite terms (nan: both signs, or a term that is nan), or None if it has none."""
        terms = [math.copysign(math.inf, self._z_loss)] if self._hot and self._z_loss else []
        for c, distance in zip(self._formulas.labels, self._row.distances, strict=True):
            if c and distance is None:
                terms.append(math.inf if c > 0 else -math.inf)
            elif c and self._hot > 1:
                terms.append(math.nan)
        return sum(terms) if terms else None

    def _enclose(self, quantity: str, index: int, bits: int) -> Enclosure | float:
        special = self.special(quantity, index)
        return self._finite(quantity, index, bits) if special is None else special

    def _finite(self, quantity: str, index: int, bits: int) -> Enclosure:
        formula = self._formulas.by_name[quantity]

        def attempt(work: int) -> Enclosure | None:
            value = formula(self._at(work), index)
            return value if is_narrow(value, bits) else None

        return until(attempt, bits + WORK)

    def _at(self, bits: int) -> Sums:
        """Sums of at least that many bits, but not of many times more: old ones where there are."""
        fitting = [size for size in self._sums if bits <= size <= 2 * bits + 64]
        size = min(fitting) if fitting else -(-bits // 64) * 64
        if size not in self._sums:
            self._sums[size] = Sums(self._row, size)
        return self._sums[size]
