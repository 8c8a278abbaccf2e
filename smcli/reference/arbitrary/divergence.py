"""The Kullback–Leibler divergence of two rows of logits, as a sum of positive terms."""

from __future__ import annotations

from functools import cached_property

from smcli.reference.arbitrary.functions import excess, exp_of, ln, ln1p, total
from smcli.reference.arbitrary.interval import (
    ZERO,
    Enclosure,
    Interval,
    add,
    multiply,
    offset,
    reciprocal,
    subtract,
    top,
)
from smcli.reference.arbitrary.logits import Logits, Sums


class Divergence:
    """KL(first ‖ second) = Σ t_i (log t_i − log p_i) of two rows with one temperature and soft cap.

    With x_i = log p_i − log t_i it is Σ t_i (e^x_i − 1 − x_i) and the p_i of classes that the first row masks: no term is
    negative, so rows that nearly agree cost no digits but those of the x_i. x_i = D − (a_i − z_i) where both rows are
    taken relative to one class and D = log Σ e^a − log Σ e^z.
    """

    def __init__(self, first: Logits, second: Logits) -> None:
        self._rows = first, second
        frac = max(first.frac, second.frac)
        self._frac, self._den = frac, first.den
        self._first, self._second = (
            [None if n is None else n << (frac - row.frac) for n in row.numerators] for row in self._rows
        )

    @cached_property
    def infinite(self) -> bool:
        """Whether the second row masks a class that the first one has."""
        return any(a is not None and z is None for a, z in zip(self._first, self._second, strict=True))

    @cached_property
    def zero(self) -> bool:
        """Whether both rows are the same but for a constant (without it under a soft cap)."""
        apart = set()
        for a, z in zip(self._first, self._second, strict=True):
            if (a is None) != (z is None):
                return False
            if a is not None and z is not None:
                apart.add(a - z)
        return len(apart) == 1 and (self._rows[0].softcap is None or 0 in apart)

    @cached_property
    def _alike(self) -> bool:
        """Whether the logits of both rows are the same but for their order and a constant."""
        first, second = (sorted(n for n in row if n is not None) for row in (self._first, self._second))
        if len(first) != len(second) or not first:
            return False
        apart = {a - z for a, z in zip(first, second, strict=True)}
        return len(apart) == 1 and (self._rows[0].softcap is None or 0 in apart)

    def equal(self, i: int) -> bool:
        """Whether both rows give a class the same probability. Σ_j e^(z_i + a_j) = Σ_j e^(a_i + z_j) only if all agree."""
        a, z = self._first[i], self._second[i]
        if a is None or z is None:
            return a is z
        first, second = (max(n for n in row if n is not None) for row in (self._first, self._second))
        return self._alike and first - a == second - z

    def differences(self) -> tuple[list[int], int]:
        """a_i − z_i of each class as integers over a denominator; 0 where one is masked. Not for a soft cap."""
        pairs = zip(self._first, self._second, strict=True)
        return [0 if a is None or z is None else a - z for a, z in pairs], self._den << self._frac

    def gaps(self, which: int, base: int, bits: int) -> list[Interval | None]:
        """The effective logits of a row relative to those of one class, to an absolute 2^-bits."""
        row, numbers = self._rows[which], (self._first, self._second)[which]
        if row.softcap is not None:
            sums = Sums(row, bits)
            start = sums.capped(row.numerators[base] or 0)
            return [
                None if n is None else ZERO if n == row.numerators[base] else _minus(sums.capped(n), start, bits)
                for n in row.numerators
            ]
        start_at = numbers[base] or 0
        if self._den == 1:
            return [None if n is None else Interval(n - start_at, n - start_at, -self._frac) for n in numbers]
        return [None if n is None else _over(n - start_at, self._den << self._frac, bits + 8) for n in numbers]

    def value(self, bits: int) -> Enclosure:
        """The divergence, which is a finite number."""
        if self.zero:
            return Enclosure(0, 0, 0)
        first, second = self._rows
        base = first.distances.index(0)
        if sum(n is not None for n in self._first) == 1:
            return minus_log(second, base, bits)
        a, z = (self.gaps(which, base, bits + 8) for which in (0, 1))
        size = bits + len(a).bit_length() + 8
        ea, ez = ([ZERO if y is None else exp_of(y, size) for y in row] for row in (a, z))
        pairs = list(zip(ea, ez, strict=True))
        sum_a, sum_z = total(ea, size), total(ez, size)
        apart = total((subtract(x, y, size) for (x, y), p, q in zip(pairs, a, z, strict=True) if p != q), size)
        ratio = multiply(apart, reciprocal(sum_z, size), size)
        if top(ratio) < 0:
            log = ln1p(ratio, size)
        else:
            wide = size + max(0, top(ratio).bit_length())
            log = subtract(ln(sum_a, wide), ln(sum_z, wide), wide + 64)
        inside = outside = ZERO
        for y, w, e, other in zip(a, z, ea, ez, strict=True):
            if y is None:
                outside = add(outside, other, size)
            elif w is not None:
                x = add(log, _minus(w, y, size), size + 16)
                inside = add(inside, multiply(e, excess(x, size), size), size)
        parts = (multiply(v, reciprocal(s, size), size) for v, s in ((inside, sum_a), (outside, sum_z)))
        return Enclosure(*total(parts, size))


def minus_log(row: Logits, i: int, bits: int) -> Enclosure:
    """−log p of a class that is not masked."""
    sums, distance = Sums(row, bits), row.distances[i] or 0
    return offset(row.exact(distance), subtract(sums.log, sums.gap(distance), bits), bits)


def _minus(x: Interval, y: Interval, bits: int) -> Interval:
    return subtract(x, y, bits + max(0, top(x), top(y)))


def _over(n: int, divisor: int, bits: int) -> Interval:
    low, rest = divmod(n << bits, divisor)
    return Interval(low, low + bool(rest), -bits)
