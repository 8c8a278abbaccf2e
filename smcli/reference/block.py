"""The truth of one block of rows: the cheapest tier that certifies what is asked, element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.model import Truth
from smcli.numbers import formats
from smcli.reference.losses import asked_of
from smcli.reference.tiles import PIECE
from smcli.reference.zero_temperature import limit_problem, limit_truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import BoolArray, FloatArray, Problem
    from smcli.reference.arbitrary import ExactRow

ARBITRARY_BOUND = 2.0**-100


class Reference:
    """The truth of one block, for every quantity, in as many digits as are asked.

    Elements that a fast tier does not certify are taken from the next one, one by one.
    """

    def __init__(self, problem: Problem, truths: dict[str, Truth] | None = None) -> None:
        self.problem = problem
        self._rows: dict[int, ExactRow] = {}
        self._truths = {(name, self._only_pairs): truth for name, truth in (truths or {}).items()}

    def exact_row(self, row: int) -> ExactRow:
        """One row in arbitrary precision; it remembers its exponentials."""
        if row not in self._rows:
            from smcli.reference.arbitrary import ExactRow

            self._rows[row] = ExactRow(self.problem.logits[row].tolist(), asked_of(self.problem, row))
        return self._rows[row]

    def signs(self) -> FloatArray:
        """The sign of Σ b_i e^x_i of each row [R, 1], where the problem has coefficients: 1, −1, 0 or nan."""
        from smcli.reference.double_double import signs

        if self.problem.temperature == 0:
            return self.at_zero("logsumexp").signs()
        found, missing = signs(self.problem)
        for row in np.flatnonzero(missing).tolist():
            found[row, 0] = self.exact_row(row).sign()
        return found

    @property
    def _only_pairs(self) -> bool:
        """Whether a format is beyond the float64 tier."""
        return any(formats.get(name).p > 24 for name in self.problem.formats)

    def truth(self, quantity: str, *, sharp: bool = False) -> Truth:
        """The true values [R, N] with their bound; a Jacobian is flat.

        Args:
            quantity: its name.
            sharp: without the float64 tier, whatever the format.
        """
        key = quantity, sharp or self._only_pairs
        if key not in self._truths:
            if self.problem.temperature == 0:
                finite = self.at_zero(quantity).truth(quantity, sharp=sharp)
                self._truths[key] = limit_truth(self.problem, quantity, finite)
            else:
                self._truths[key] = self._certify(*key)
        return self._truths[key]

    def at_zero(self, quantity: str) -> Reference:
        """The reference of the limit T → 0+, as far as it is finite."""
        return Reference(limit_problem(self.problem, quantity))

    def _certify(self, quantity: str, sharp: bool) -> Truth:  # noqa: FBT001 - a key's two parts
        from smcli.reference import double_double

        if sharp:
            truth, missing = double_double.attempt(self.problem, quantity)
            return self._fill(quantity, truth, missing)
        from smcli.reference import float64

        truth, missing = float64.attempt(self.problem, quantity)
        return self._next_tier(quantity, truth, missing) if missing.any() else truth

    def _next_tier(self, quantity: str, truth: Truth, missing: BoolArray) -> Truth:
        """Take the rows that float64 leaves open from pairs of doubles, and what they leave open from integers."""
        from smcli.reference import double_double

        some = np.unique(np.nonzero(missing)[0])
        part, left = double_double.attempt(self.problem.select(some), quantity)
        at = np.zeros_like(missing)
        at[some] = missing[some] & ~left
        for array, better in zip((truth.hi, truth.lo, truth.exp2), (part.hi, part.lo, part.exp2), strict=True):
            array[at] = better[at[some]]
        return self._fill(quantity, truth, missing & ~at)

    def _fill(self, quantity: str, truth: Truth, missing: BoolArray) -> Truth:
        """Take elements from arbitrary precision, one by one."""
        if not missing.any():
            return truth
        hi, lo, exp2 = truth.hi, truth.lo, truth.exp2
        exp2 = exp2 if exp2.flags.writeable else exp2.copy()
        for row, index in np.argwhere(missing).tolist():
            value = (0.0, 0.0, 0) if self.is_ignored(quantity, row) else self.exact_row(row).triple(quantity, index)
            hi[row, index], lo[row, index], exp2[row, index] = value
        return Truth(hi, lo, exp2, ARBITRARY_BOUND if missing.all() else max(truth.bound, ARBITRARY_BOUND))

    def is_ignored(self, quantity: str, row: int) -> bool:
        """Whether the row is left out, so that its quantity is 0."""
        ignored = self.problem.ignored
        return ignored is not None and bool(ignored[row]) and quantities.get(quantity).zero_when_ignored

    def settle(self, quantity: str, rounded: FloatArray, undecided: BoolArray, fmt: formats.Format) -> FloatArray:
        """Decide with more digits those roundings to a format that the truth's bound leaves open (Ziv 1991)."""
        if self.problem.temperature == 0:
            return self.at_zero(quantity).settle(quantity, rounded, undecided & np.isfinite(rounded), fmt)
        places = np.argwhere(undecided).tolist()
        if places and not self._only_pairs:
            places = self._settle_by_pairs(quantity, rounded, places, fmt)
        for row, index in places:
            rounded[row, index] = fmt.bounded(self.exact_row(row).round_to(quantity, index, fmt.p, fmt.emin))
        return rounded

    def _settle_by_pairs(
        self, quantity: str, rounded: FloatArray, places: list[list[int]], fmt: formats.Format
    ) -> list[list[int]]:
        """Round what pairs of doubles tell, and return the places that they leave open."""
        from smcli.reference import double_double, pairs

        left: list[list[int]] = []
        by_row: dict[int, list[int]] = {}
        for row, index in places:
            by_row.setdefault(row, []).append(index)
        rows = list(by_row)
        widest = max(self.problem.logits.shape[1], quantities.get(quantity).size(self.problem))
        step = max(1, PIECE // widest)
        for some in (rows[start : start + step] for start in range(0, len(rows), step)):
            truth, missing = double_double.attempt(self.problem.select(np.array(some)), quantity)
            for k, row in enumerate(some):
                for index in by_row[row]:
                    value = None if missing[k, index] else pairs.rounded(truth, k, index, fmt)
                    if value is None or self.is_ignored(quantity, row):
                        left.append([row, index])
                    else:
                        rounded[row, index] = value
        return left

    def distances(self, quantity: str, row: int, indices: Sequence[int], values: Sequence[float]) -> list[float]:
        """(value − truth) / truth of some values of a row, certified to some digits however close they are.

        The truths are numbers but 0, the values finite and of the truth's size.
        """
        if self.is_ignored(quantity, row):
            return [0.0] * len(indices)
        if self.problem.temperature == 0:
            return self.at_zero(quantity).distances(quantity, row, indices, values)
        known = self._by_pairs(quantity, row, indices, values)
        return [
            self.exact_row(row).distance(quantity, i, v) if one is None else one
            for i, v, one in zip(indices, values, known, strict=True)
        ]

    def _by_pairs(self, quantity: str, row: int, indices: Sequence[int], values: Sequence[float]) -> list[float | None]:
        """The same from pairs of doubles, None where those do not tell."""
        from smcli.reference import double_double

        nothing: list[float | None] = [None] * len(indices)
        if self._only_pairs:
            return nothing  # pairs were what left them open
        truth, missing = double_double.attempt(self.problem.select(np.array([row])), quantity)
        at = np.asarray(indices, dtype=np.int64)
        own = truth.part((0, at))
        with np.errstate(all="ignore"):
            apart = np.ldexp(np.asarray(values), np.clip(-own.exp2, -3000, 3000).astype(np.int32)) - own.hi - own.lo
            apart /= own.hi
        sure = ~missing[0][at] & (np.abs(apart) > 2**7 * truth.bound)
        return [float(a) if ok else None for a, ok in zip(apart, sure, strict=True)]

    def sided(self, quantity: str, wanted: BoolArray) -> Truth:
        """The truth, with those elements that are wanted put on the right side of a power of 2.

        The spacing of a format halves just below a power of 2. Where the bound leaves open on which side of one a truth
        lies, the low part is made to tell.
        """
        truth = self.truth(quantity)
        if not any(truth.lo.strides) and not _any_near_power(truth):
            return truth
        mantissa, scale = np.frexp(truth.hi)
        with np.errstate(all="ignore"):
            low = np.ldexp(truth.lo, -scale)
            size = np.abs(mantissa + low)
            near = np.minimum(np.abs(size - 0.5), np.abs(size - 1)) <= 2 * truth.bound
            open_ones = near & (np.abs(low) <= 2 * truth.bound) & wanted & np.isfinite(truth.hi) & (truth.hi != 0)
        if not open_ones.any() or self.problem.temperature == 0:
            return truth
        told = Truth(truth.hi.copy(), truth.lo.copy(), truth.exp2.copy(), truth.bound)
        return self._fill(quantity, told, open_ones)

    def strings(self, quantity: str, row: int, indices: Sequence[int], digits: int) -> list[str]:
        """Decimal strings of some true values of a row, every digit certified; what pairs leave open by integers."""
        from smcli.reference.double_double.decimal import MOST_DIGITS, texts

        if self.is_ignored(quantity, row):
            return ["0"] * len(indices)
        if self.problem.temperature == 0:
            ends = self.truth(quantity).hi[row]
            texts_of = self.at_zero(quantity).strings(quantity, row, indices, digits)
            return [str(ends[i]) if np.isinf(ends[i]) else t for i, t in zip(indices, texts_of, strict=True)]
        if digits > MOST_DIGITS:
            return self.exact_row(row).decimals(quantity, indices, digits)
        at = np.asarray(indices, dtype=np.int64)
        found = texts(self.truth(quantity).part((row, at)), digits)
        return self._settled(quantity, row, indices, digits, found)

    def strings_of_rows(self, quantity: str, start: int, stop: int, digits: int) -> list[list[str]]:
        """`strings` of all values of some rows, at once: a short row costs what its numbers cost."""
        from smcli.reference.double_double.decimal import MOST_DIGITS, texts

        truth = self.truth(quantity)
        size = truth.hi.shape[1]
        if self.problem.temperature == 0 or digits > MOST_DIGITS:
            return [self.strings(quantity, row, range(size), digits) for row in range(start, stop)]
        some = slice(start, stop)
        flat = Truth(truth.hi[some].ravel(), truth.lo[some].ravel(), truth.exp2[some].ravel(), truth.bound)
        found = texts(flat, digits)
        return [
            ["0"] * size
            if self.is_ignored(quantity, row)
            else self._settled(quantity, row, range(size), digits, found[k * size : (k + 1) * size])
            for k, row in enumerate(range(start, stop))
        ]

    def _settled(
        self, quantity: str, row: int, indices: Sequence[int], digits: int, found: list[str | None]
    ) -> list[str]:
        """The texts of a row; what pairs left open by integers."""
        open_ones = [k for k, text in enumerate(found) if text is None]
        if open_ones:
            known = self.exact_row(row).decimals(quantity, [indices[k] for k in open_ones], digits)
            for k, text in zip(open_ones, known, strict=True):
                found[k] = text
        return found  # type: ignore[return-value]


def _any_near_power(truth: Truth) -> bool:
    """Whether one of the true values, each a single float64, may be as close to a power of 2 as their bound is wide.

    Seen in the bits below the leading one, which are nearly all 0 or nearly all 1 there.
    """
    near = int(2 * truth.bound * 2**53) + 2
    bits = np.ascontiguousarray(truth.hi).view(np.int64) + near
    bits &= (1 << 52) - 1
    return bool(bits.size) and int(bits.min()) <= 2 * near
