"""The truth that every other number is judged by: the cheapest tier that certifies what is asked."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli import formats
from smcli.model import Truth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.model import BoolArray, FloatArray, Loss, Problem
    from smcli.reference.arbitrary import ExactRow

SCALARS = {"logsumexp"}


def coefficients(loss: Loss, row: int, classes: int) -> list[Fraction]:
    """The exact c of the loss −Σ c_i log p_i of one row: c_i = w_i (y_i (1 − E) + E/K); K counts masked classes."""
    if loss.labels is not None:
        y = [Fraction(float(v)) for v in loss.labels[row]]
    else:
        assert loss.target is not None  # noqa: S101 - a Loss has one of the two
        y = [Fraction(0)] * classes
        y[max(int(loss.target[row]), 0)] = Fraction(1)
    if loss.smoothing:
        kept, spread = 1 - Fraction(loss.smoothing), Fraction(loss.smoothing) / classes
        y = [v * kept + spread for v in y]
    if loss.weights is not None:
        y = [v * Fraction(float(w)) for v, w in zip(y, loss.weights, strict=True)]
    return y


class Reference:
    """The truth of one block, for every quantity, in as many digits as are asked.

    Elements that a fast tier does not certify are taken from the next one, one by one.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._rows: dict[int, ExactRow] = {}
        self._truths: dict[str, Truth] = {}

    def exact_row(self, row: int) -> ExactRow:
        """One row in arbitrary precision; it remembers its exponentials."""
        if row not in self._rows:
            from smcli.reference.arbitrary import ExactRow

            q = self.problem
            loss = q.loss
            self._rows[row] = ExactRow(
                q.logits[row].tolist(),
                temperature=q.temperature,
                softcap=q.softcap,
                coefficients=coefficients(loss, row, q.logits.shape[1]) if loss is not None else None,
                z_loss=loss.z_loss if loss is not None else 0.0,
                scale=q.scale,
                cotangent=q.cotangent.tolist() if q.cotangent is not None else None,
                bce=loss is not None and loss.kind == "bce",
            )
        return self._rows[row]

    def shape(self, quantity: str) -> tuple[int, int]:
        """Rows and values a row."""
        rows, classes = self.problem.logits.shape
        if quantity in SCALARS or (quantity == "cross-entropy" and self.problem.loss is not None):
            return rows, 1
        return rows, classes**2 if quantity == "jacobian" else classes

    def truth(self, quantity: str) -> Truth:
        """The true values [R, N] with their bound."""
        if quantity not in self._truths:
            self._truths[quantity] = self._certify(quantity)
        return self._truths[quantity]

    def _certify(self, quantity: str) -> Truth:
        shape = self.shape(quantity)
        hi, lo, exp2 = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
        missing = np.ones(shape, dtype=bool)
        bound = 0.0
        if missing.any():
            self._fill(quantity, hi, lo, exp2, missing)
            bound = max(bound, 2.0**-100)
        return Truth(hi, lo, exp2, bound)

    def _fill(self, quantity: str, hi: FloatArray, lo: FloatArray, exp2: FloatArray, missing: BoolArray) -> None:
        for row, index in np.argwhere(missing).tolist():
            if self._ignored(quantity, row):
                continue
            hi[row, index], lo[row, index], exp2[row, index] = self.exact_row(row).triple(quantity, index)

    def _ignored(self, quantity: str, row: int) -> bool:
        ignored = self.problem.ignored
        return ignored is not None and quantity in {"cross-entropy", "bce", "gradient"} and bool(ignored[row])

    def rounded(self, quantity: str, fmt: formats.Format) -> FloatArray:
        """The truth rounded to a format; what the bound leaves open is decided with more digits (Ziv 1991)."""
        from smcli.measure import round_truth

        y, undecided = round_truth(self.truth(quantity), fmt)
        for row, index in np.argwhere(undecided).tolist():
            exact = self.exact_row(row).round_to(quantity, index, fmt.p, fmt.emin)
            y[row, index] = float(exact) if abs(exact) <= Fraction(fmt.max) else np.copysign(fmt.overflow, exact)
        return y

    def strings(self, quantity: str, row: int, indices: Iterable[int], digits: int) -> list[str]:
        """Decimal strings of some true values of a row, every digit certified."""
        if self._ignored(quantity, row):
            return ["0" for _ in indices]
        return self.exact_row(row).decimals(quantity, indices, digits)
