"""The Kullback–Leibler divergence of two rows of logits, as a sum of positive terms, and the p − t of its gradient.

With d_i = (z_i − a_i) − (z_b − a_b) for one class b, the likeliest of the first row that both have, all follows from
the d_i, which are exact differences of logits (under a soft cap of a relative precision), and from the first row's e^a,
a <= 0:

    A = Σ e^a_j, M = Σ e^a_j·(e^d_j − 1) and Σ e^(z_j − z_b + a_b) of classes that the first row masks
    x_i = log p_i − log t_i = d_i − log(1 + M/A)
    KL = Σ t_i (e^x_i − 1 − x_i) and Σ p_i of classes that the first row masks
    p_i − t_i = t_i·p_b·e^-a_b·(A·(e^d_i − 1) − M)

No term of KL is negative, and b keeps the x_i apart: d_b = 0 and t_b >= 1/n, so that an error of M, relative to
Σ e^a|e^d − 1|, is at most 2n times as large relative to KL, and 1 + M/A >= 1/n. In p_i − t_i terms of both signs may cancel.
Then equal exponents in Σ_j e^(z_i + a_j) − Σ_j e^(a_i + z_j) are taken out, exactly: a sum of different exponentials is
closer to 0 than its largest term only by what is told by as many bits as the exponents differ by.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from smcli.reference.arbitrary.elementary import exponential, log1p
from smcli.reference.arbitrary.functions import excess, exp_of, expm1, ln, ln1p, total
from smcli.reference.arbitrary.interval import (
    ONE,
    ZERO,
    Enclosure,
    Interval,
    add,
    divide,
    is_narrow,
    multiply,
    negate,
    offset,
    reciprocal,
    scale,
    subtract,
    times,
    top,
)
from smcli.reference.arbitrary.logits import Logits, Sums

LONG = 4096  # classes; of longer rows not all that was computed is kept
SURE = 64  # sums below 2^-SURE are kept apart from the exact number that they are beside


class Parts(NamedTuple):
    """Of one precision: d_i, e^a_i and e^(z_i − z_b + a_b) of a class that the first row masks, 0 for others; A and M."""

    apart: list[Interval]
    mine: list[Interval]
    outside: list[Interval]
    whole: Interval
    moved: Interval


class Divergence:
    """KL(first ‖ second) = Σ t_i (log t_i − log p_i) of two rows with one temperature and soft cap."""

    def __init__(self, first: Logits, second: Logits) -> None:
        self._rows = first, second
        self._frac = frac = max(first.frac, second.frac)
        self._den = max(first.den, second.den)  # that of a row of ties beside +inf, whose logits are all 0, is 1
        self._softcap = first.softcap or second.softcap
        self._first, self._second = (
            [None if n is None else n << (frac - row.frac) for n in row.numerators] for row in self._rows
        )
        common = [(a, -i) for i, (a, z) in enumerate(zip(self._first, self._second, strict=True)) if None not in (a, z)]
        self._base = -max(common)[1] if common else None
        self._parts: dict[int, Parts] = {}
        self._means: dict[int, tuple[list[Interval], Interval]] = {}
        self._crossings: dict[tuple[int, int], tuple[int, Interval]] = {}

    @cached_property
    def infinite(self) -> bool:
        """Whether the second row masks a class that the first one has."""
        return any(a is not None and z is None for a, z in zip(self._first, self._second, strict=True))

    @cached_property
    def zero(self) -> bool:
        """Whether both rows are the same but for a constant; under a soft cap, the same, or both level."""
        if [a is None for a in self._first] != [z is None for z in self._second]:
            return False
        pairs = {(a, z) for a, z in zip(self._first, self._second, strict=True) if a is not None and z is not None}
        apart = {a - z for a, z in pairs}
        return len(apart) == 1 and (self._softcap is None or 0 in apart or len(pairs) == 1)

    @cached_property
    def _alike(self) -> int | None:
        """The constant by which the logits of both rows differ, but for their order."""
        first, second = (sorted(n for n in row if n is not None) for row in (self._first, self._second))
        if len(first) != len(second) or not first:
            return None
        apart = {a - z for a, z in zip(first, second, strict=True)}
        return apart.pop() if len(apart) == 1 and (self._softcap is None or 0 in apart) else None

    def equal(self, i: int) -> bool:
        """Whether both rows give a class the same probability. Σ_j e^(z_i + a_j) = Σ_j e^(a_i + z_j) only if all agree."""
        a, z = self._first[i], self._second[i]
        if a is None or z is None or self.zero:
            return a is z or self.zero
        return a - z == self._alike

    def directions(self) -> tuple[list[int], int]:
        """a_i − z_i of each class as integers over a denominator; 0 where one is masked. Not for a soft cap."""
        pairs = zip(self._first, self._second, strict=True)
        return [0 if a is None or z is None else a - z for a, z in pairs], self._den << self._frac

    def apart(self, i: int, size: int) -> Interval:
        """d_i of a class that both rows have, to so many bits, absolute ones where it is large."""
        a, z, b = self._first[i], self._second[i], self._base
        if a is None or z is None or b is None:
            return ZERO
        start, other = self._first[b] or 0, self._second[b] or 0
        if self._softcap is None:
            return self._exactly((z - a) - (other - start), size)
        if (a, z) == (start, other):
            return ZERO
        return subtract(self._between(z, a, size), self._between(other, start, size), size + 8)

    def _exactly(self, n: int, size: int) -> Interval:
        large = max(0, n.bit_length() - self._frac - self._den.bit_length() + 1)
        return divide(Interval(n, n, -self._frac), self._den, size + large + 8)

    def _between(self, upper: int, lower: int, size: int) -> Interval:
        """The difference of two effective logits.

        tanh u − tanh v = 2(1 − e^-2(u − v))·e^-(|u| + |v| − (u − v))/((1 + e^-2|u|)(1 + e^-2|v|)) for u > v.
        """
        if self._softcap is None or upper == lower:
            return self._exactly(upper - lower, size)
        if upper < lower:
            return negate(self._between(lower, upper, size))
        num, den = self._softcap.denominator, self._den * self._softcap.numerator
        exp, gap = exponential(size + 8), upper - lower
        double = divide(Interval(-2 * gap * num, -2 * gap * num, -self._frac), den, size + 8)
        value = multiply(
            negate(expm1(double, size + 8)), exp.of((abs(upper) + abs(lower) - gap) * num, self._frac, den), size
        )
        for n in (upper, lower):
            other = add(ONE, exp.of(2 * abs(n) * num, self._frac, den), size + 8)
            value = multiply(value, reciprocal(other, size + 8), size + 8)
        return scale(value, 2 * self._softcap, size + 8)

    def _of(self, bits: int) -> Parts:
        if bits not in self._parts:  # the next class begins with few bits again
            self._forget()
            self._parts[bits] = self._gathered(bits + len(self._first).bit_length() + 8)
        return self._parts[bits]

    def _forget(self) -> None:
        """Of long rows only what has the last number of bits is kept."""
        if len(self._first) > LONG:
            self._parts, self._means = {}, {}

    def _gathered(self, size: int) -> Parts:
        base = self._base or 0
        sums, distances = Sums(self._rows[0], size), self._rows[0].distances
        mine = [ZERO if n is None else sums.term(n) for n in distances]
        apart, outside, moved = [], [], ZERO
        for j, (a, z) in enumerate(zip(self._first, self._second, strict=True)):
            apart.append(self.apart(j, size))
            outside.append(ZERO)
            if a is not None:
                change = negate(ONE) if z is None else expm1(apart[j], size)
                moved = add(moved, multiply(mine[j], change, size), size)
            elif z is not None:
                alone = exp_of(self._between(z, self._second[base] or 0, size), size)
                outside[j] = multiply(alone, sums.term(distances[base] or 0), size)
                moved = add(moved, outside[j], size)
        return Parts(apart, mine, outside, total(mine, size), moved)

    def value(self, bits: int) -> Enclosure:
        """The divergence, which is a finite number."""
        if self.zero:
            return Enclosure(0, 0, 0)
        second, base = self._rows[1], self._base or 0
        if sum(n is not None for n in self._first) == 1:
            return minus_log(second, base, bits)
        close = self._close(bits)
        if close is not None:
            return close
        parts, size = self._of(bits), bits + len(self._first).bit_length() + 8
        both = add(parts.whole, parts.moved, size)
        ratio = multiply(parts.moved, reciprocal(parts.whole, size), size)
        if top(ratio) < 0:
            log = ln1p(ratio, size)
        else:
            wide = size + max(0, top(ratio).bit_length())
            log = subtract(ln(both, wide), ln(parts.whole, wide), wide + 64)
        inside = ZERO
        for d, e in zip(parts.apart, parts.mine, strict=True):
            if e.lo:
                x = subtract(d, log, size + 16 + max(0, top(d), top(log)))
                inside = add(inside, multiply(e, excess(x, size), size), size)
        outside = total(parts.outside, size)
        shares = (multiply(v, reciprocal(s, size), size) for v, s in ((inside, parts.whole), (outside, both)))
        return Enclosure(*total(shares, size))

    def _close(self, bits: int) -> Enclosure | None:
        """The divergence of rows that nearly are one-hot, or ties: an exact number and what is tiny beside it.

        With as many maxima in both rows, and δ_i how far a class is below the maximum of the second row, this number is
        E, the mean of δ over the maxima of the first row:
        KL = E + log1p(σ_z) − log1p(σ_a) + Σ t_i (a_i + δ_i − E) over the others.
        """
        (first, second), bits = self._rows, bits + 8
        if self._softcap is not None or first.ties != second.ties:
            return None
        mine, other = Sums(first, bits), Sums(second, bits)
        if any(s.sigma.hi and top(s.sigma) > -SURE for s in (mine, other)):
            return None
        shifts = [self._frac - row.frac for row in self._rows]
        pairs = [
            (a, a << shifts[0], z << shifts[1])
            for a, z in zip(first.distances, second.distances, strict=True)
            if a is not None and z is not None
        ]
        ties, mean = first.ties, sum(z for a, _, z in pairs if not a)
        if not mean:
            return None
        tail = mine.weighted((a, ties * (z - shifted) - mean) for a, shifted, z in pairs if a)
        tail = divide(multiply(tail, mine.share, bits), self._den * ties**2, bits)
        logs = subtract(log1p(other.sigma, bits), log1p(mine.sigma, bits), bits)
        rest = add(logs, Interval(tail.lo, tail.hi, tail.exp - self._frac), bits)
        return offset(Fraction(mean, ties * self._den << self._frac), rest, bits)

    def mean(self, bits: int) -> tuple[list[Interval], Interval]:
        """The d_i, and Σ t_i·d_i."""
        if bits not in self._means:
            parts, size = self._of(bits), bits + 8
            moment = total((multiply(e, d, size) for e, d in zip(parts.mine, parts.apart, strict=True)), size)
            self._means[bits] = parts.apart, multiply(moment, reciprocal(parts.whole, size), size)
        return self._means[bits]

    def difference(self, i: int, teacher: Sums, student: Sums) -> Interval:
        """p_i − t_i of a class that both rows have, times the numbers of maxima of both; their sums have the same bits."""
        bits, (first, second), base = teacher.bits, self._rows, self._base or 0
        parts, size = self._of(bits), bits + 8
        inner = subtract(multiply(parts.whole, expm1(parts.apart[i], size), size), parts.moved, size)
        if self._softcap is None and not is_narrow(inner, bits // 2):
            return self._crossing(i, teacher, student)
        value = multiply(teacher.weight(first.distances[i] or 0), student.weight(second.distances[base] or 0), size)
        back = first.distances[base]
        return multiply(multiply(value, reciprocal(teacher.term(back), size), size) if back else value, inner, size)

    def _crossing(self, i: int, teacher: Sums, student: Sums) -> Interval:
        """The same by Σ_j e^(z_i + a_j) − Σ_j e^(a_i + z_j) without what is in both sums."""
        bits, a = teacher.bits, self._first[i] or 0
        apart, exp = (self._second[i] or 0) - a, exponential(bits + len(self._first).bit_length() + 8)
        if (bits, apart) not in self._crossings:
            counts = Counter(n + apart for n in self._first if n is not None)
            counts.subtract(n for n in self._second if n is not None)
            left = {n: count for n, count in counts.items() if count}
            peak = max(left)
            terms = (times(exp.of(peak - n, self._frac, self._den), count) for n, count in left.items())
            self._crossings[bits, apart] = peak, total(terms, exp.bits)
        peak, inner = self._crossings[bits, apart]
        tops = (max(n for n in row if n is not None) for row in (self._first, self._second))
        value = multiply(multiply(teacher.share, student.share, bits + 8), inner, bits + 8)
        return multiply(value, exp.of(sum(tops) - a - peak, self._frac, self._den), bits + 8)


def minus_log(row: Logits, i: int, bits: int) -> Enclosure:
    """−log p of a class that is not masked."""
    sums, distance = Sums(row, bits), row.distances[i] or 0
    return offset(row.exact(distance), subtract(sums.log, sums.gap(distance), bits), bits)
