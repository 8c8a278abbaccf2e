"""One row of logits: every quantity of it, as an enclosure, in digits, as a pair or rounded to a format."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from smcli.reference.arbitrary.binary import BESIDE, PAIR_BITS, pair_of, relative_distance, rounded
from smcli.reference.arbitrary.formulas import PLAIN, Extra, Formulas
from smcli.reference.arbitrary.interval import Enclosure, is_narrow
from smcli.reference.arbitrary.logits import Sums
from smcli.reference.arbitrary.ziv import WORK, digits_of, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

DISTANCE_BITS = 2048  # a relative error that takes more bits to tell from 0 is below every float64


class ExactRow:
    """One row of logits in exact arithmetic; exponentials and sums are kept per precision.

    Quantities, and what `index` counts: "softmax", "log-softmax", "gradient", "vjp", "bce", "sigmoid", "log-sigmoid" (the
    classes), "jacobian" (i·n + j for dp_i/dx_j), "logsumexp", "entropy", "kl" (0 only), "cross-entropy" (0 with
    coefficients, else the classes: −log p_i), "focal" (0; the classes where it is that of sigmoids).

    Infinite logits are limits taken before a soft cap: −inf is a masked class (p = 0, and 0·(−inf) = 0 in a loss), one
    +inf is a one-hot row with logsumexp = inf, several give nan there and 0 elsewhere, and nan for every derivative.
    A nan makes all of the row nan; a row of −inf only is nan with logsumexp −inf. "bce" and sigmoids look at each logit
    alone. A divergence is inf where the second row masks a class of the first one, and its gradient then nan if that
    row is the teacher's. Temperature and soft cap are the teacher's as well. A coefficient of 0 hides an infinite logit.

    Args:
        logits: the exact numbers.
        temperature: logits are divided by it, exactly; > 0.
        softcap: then capped to softcap·tanh(x/softcap), or None; > 0.
        coefficients: c_i of the loss −Σ c_i log p_i, one for each class; with `bce` the labels.
        z_loss: this times logsumexp² is added to the loss.
        scale: factor of the gradient alone.
        cotangent: v of "vjp".
        bce: "gradient" is that of the binary cross-entropies Σ softplus(y_i) − y_i·c_i.
        extra: what other losses, their gradients, products with other Jacobians and a signed logsumexp are told.
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
        extra: Extra | None = None,
    ) -> None:
        extra = extra or (Extra("bce", binary=True) if bce else PLAIN)
        bce = extra.binary
        self._extra = extra
        self._values = [float(x) for x in logits]
        self._z_loss = z_loss
        self._cotangent = cotangent
        self._coefficients = coefficients
        self._bce = bce
        self._hot = self._values.count(math.inf)
        self._nan = any(x != x for x in self._values)
        self._formulas = Formulas(
            self._values, temperature, softcap, coefficients, z_loss, Fraction(scale), cotangent, extra=extra
        )
        self._row = self._formulas.row
        self._sums: dict[int, Sums] = {}
        self._visible: ExactRow | None = None  # the row of a signed logsumexp without what a factor of 0 hides
        hidden = [bool(x == math.inf and b == 0) for x, b in zip(self._values, extra.signed or (), strict=False)]
        if any(hidden):
            kept = [-math.inf if hide else x for x, hide in zip(self._values, hidden, strict=True)]
            self._visible = ExactRow(kept, temperature=temperature, softcap=softcap, cotangent=cotangent, extra=extra)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def losses(self) -> list[tuple[str, int]]:
        """Quantity and index of the terms of this row's loss."""
        kind = self._extra.kind
        return [(kind, i) for i in range(len(self))] if self._bce else [(kind, 0)]

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

        An exact 0, nan and the infinities stand in `hi` with lo = 0 and exp2 = 0; exp2 is clamped to ±2^62. On which
        side of a power of 2 a value lies is told by `lo` however close it is, since formats are finer just below.
        """
        hi, lo, exp2 = pair_of(self._enclose(quantity, index, PAIR_BITS))
        on_power = abs(hi) == 1 and lo == 0 and abs(exp2) < 1000 and self.special(quantity, index) is None
        if on_power and self.distance(quantity, index, math.ldexp(hi, exp2)) > 0:
            lo = hi * BESIDE
        return hi, lo, exp2

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
        own = self._own_special(quantity)
        if own is not None:
            return own(quantity, index)
        if self._nan:
            return math.nan
        if quantity == "logsumexp":
            return math.inf if self._hot else None if self._row.ties else -math.inf
        if not self._row.ties:
            return math.nan
        if quantity == "focal" or (quantity == "cross-entropy" and self._coefficients is not None):
            return self._infinite_loss
        if quantity == "entropy":
            return math.nan if self._hot > 1 else None
        if quantity in {"softmax", "log-softmax", "cross-entropy"}:
            if self._row.distances[index] is None:
                return {"softmax": None, "log-softmax": -math.inf, "cross-entropy": math.inf}[quantity]
            return math.nan if self._hot > 1 else None
        undefined = self._hot > 1 or (quantity == "gradient" and self._hot and self._z_loss)
        if quantity == "vjp":
            undefined = undefined or not all(map(math.isfinite, self._cotangent or ()))
        return math.nan if undefined else None

    def _own_special(self, quantity: str) -> Callable[[str, int], float | None] | None:
        """The rule of a quantity that does not follow those of softmax."""
        if quantity in {"sigmoid", "log-sigmoid"}:
            return self._special_sigmoid
        if quantity == "bce" or (self._bce and quantity in {"gradient", "focal"}):
            return self._special_bce
        if quantity == "kl" or (quantity == "gradient" and self._extra.kind == "kl"):
            return self._special_kl
        if self._is_signed(quantity):
            return self._special_signed if self._visible is None else self._visible.special
        return None

    def _special_sigmoid(self, quantity: str, index: int) -> float | None:
        x = self._values[index]
        return math.nan if math.isnan(x) else x if x == -math.inf and quantity == "log-sigmoid" else None

    def _is_signed(self, quantity: str) -> bool:
        of_sum = quantity == "logsumexp" or (quantity == "vjp" and self._extra.vjp_of == "logsumexp")
        return of_sum and self._extra.signed is not None

    def _special_kl(self, quantity: str, _: int) -> float | None:
        teacher = self._extra.teacher or ()
        kernels = self._formulas.kernels
        if (
            self._nan
            or not self._row.ties
            or kernels.teacher is None
            or any(math.isnan(x) for x in teacher)
            or not kernels.teacher.ties
        ):
            return math.nan
        if self._hot > 1 or teacher.count(math.inf) > 1:
            return math.nan
        if quantity == "gradient":
            return math.nan if self._extra.reverse and kernels.divergence.infinite else None
        return math.inf if kernels.divergence.infinite else None

    def _special_signed(self, quantity: str, _: int) -> float | None:
        signed = self._extra.signed or ()
        if self._nan or not all(map(math.isfinite, signed)):
            return math.nan
        of_hot = [b for x, b in zip(self._values, signed, strict=True) if x == math.inf and b]
        if of_hot:
            one_sign = min(of_hot) > 0 or max(of_hot) < 0
            return math.inf if one_sign and quantity == "logsumexp" else math.nan
        if self._formulas.kernels.groups:
            return None if quantity == "logsumexp" or math.isfinite((self._cotangent or (1.0,))[0]) else math.nan
        return -math.inf if quantity == "logsumexp" else math.nan

    def sign(self) -> float:
        """The sign of Σ b_i e^x_i of a signed logsumexp: 1, −1, 0 or nan."""
        if self._visible is not None:
            return self._visible.sign()
        value = self.special("logsumexp", 0)
        if value is not None and math.isnan(value):
            return math.nan
        signed = self._extra.signed
        if signed is None:
            return 0.0 if value == -math.inf else 1.0
        if value == math.inf:
            return math.copysign(1.0, next(b for x, b in zip(self._values, signed, strict=True) if x == math.inf and b))
        return float(self._formulas.kernels.sign())

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
        if self._visible is not None and self._is_signed(quantity):
            value = self._visible.enclose(quantity, index, bits)
            assert not isinstance(value, float)  # noqa: S101 - the caller asked `special`
            return value
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
