"""exp and log of exact numbers to any number of bits, in integer arithmetic, with proved error bounds.

Nothing here relies on the accuracy of another library: integers do all the work, and a float only ever supplies the
first guess of a logarithm, which the code then proves and improves. Source of the method for exp: tables of
exp(−j·256^−k), one for each byte of the argument, as in R. P. Brent and P. Zimmermann, *Modern Computer Arithmetic*,
§4.3 and §4.4; logarithms are quintic Newton steps on exp (§4.2.5).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from smcli.errors import PrecisionError
from smcli.reference.arbitrary.interval import ONE, Interval, add, ceil_shift, floor_shift, multiply, subtract, top

if TYPE_CHECKING:
    from collections.abc import Callable

GUARD = 48  # bits beyond those asked for; covers the 2^40 units of error counted below
MOST_BITS = 1 << 21
WIDE = 8192  # bits from which gmpy2's integers, where installed, make up for the 15 ms that importing them takes
LARGEST_WHOLE = 1 << 16  # arguments beyond this are reduced by multiples of ln 2
LONG, KEPT = 1024, 1 << 26  # bits from which results are kept, and of how many bits all together
ROOM = 1 << 27  # bytes of exponentials that are kept for the next caller


def _integer_type(bits: int) -> Callable[[int], int]:
    """The faster integer for numbers of this size; results are the same with both."""
    if bits >= WIDE:
        try:
            from gmpy2 import mpz
        except ImportError:
            return int
        return mpz  # type: ignore[no-any-return]
    return int


class Exponential:
    """exp(−t) for exact t >= 0, to a relative width of 2^-bits.

    Fixed point with q = bits + 48 fraction bits; one unit is 2^-q. t is split into a whole part below 2^16 (a larger
    t is first reduced by a multiple of ln 2) and bytes of its fraction, exp(−t) into the product of one table entry
    for each. A fraction that is long is cut after a few bytes; a Taylor series takes the rest.

    Relative error in units, products of errors left out (they are 2^-16 of it at most):

    - exp(−256^−k) is an alternating Taylor series of at most q/2 terms, each less than 2 off: a = 3q + 9.
    - The entry for j comes from that for j // 2 by squaring, which doubles the error and cuts at most 4 units, and at
      most one product with the first entry, which adds a + 8: by induction at most j·(a + 12) − 12.
    - At most one whole entry (j < 2^16) and leading + 8 fraction entries (j < 2^8) are multiplied, at 6 units a cut.
    - The Taylor series for the rest adds 2^21 + 6, the cut of t to q fraction bits 1, the reduction 3.

    While q < 2^21 that is less than 2^40 units, which is where the result is cut.

    Args:
        bits: a multiple of 8.

    Raises:
        PrecisionError: q is 2^21 or more.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.unit = q = bits + GUARD
        if q >= MOST_BITS:
            raise PrecisionError(f"exp to {bits} bits is beyond the {MOST_BITS} that its error bound covers")
        self._one = _integer_type(q)(1) << q
        self._leading = 2 + math.isqrt(q) // 10  # bytes that go to tables before the series takes over
        self._tables: list[list[int]] = [[]] * (q // 8 + 1)  # [k][j]: exp(−j·256^−k); 0, or no table: not computed yet
        self._wholes: dict[int, tuple[int, int]] = {}  # j: exp(−j) as mantissa, exponent
        self._known: dict[tuple[int, int, int], Interval] = {}
        self._filled = 0  # entries of tables

    @property
    def size(self) -> int:
        """About how many bytes its tables and what it keeps take."""
        return (self._filled + len(self._wholes) + 2 * len(self._known)) * self.unit // 8 + self.unit

    def of(self, num: int, frac: int, den: int = 1) -> Interval:
        """exp(−num·2^-frac/den); num >= 0, den > 0."""
        if num == 0:
            return ONE
        if self.bits < LONG:
            return self._computed(num, frac, den)
        asked = num, frac, den
        known = self._known.get(asked)
        if known is None:
            if len(self._known) >= KEPT // self.bits:
                self._known.clear()
            self._known[asked] = known = self._computed(*asked)
        return known

    def _computed(self, num: int, frac: int, den: int) -> Interval:
        q = self.unit
        fixed = floor_shift(num, q - frac) if den == 1 else (num << max(0, q - frac)) // (den << max(0, frac - q))
        whole = fixed >> q
        if whole >= LARGEST_WHOLE:
            exponent, fraction = self._reduce(fixed)
            man = self._one
        else:
            fraction = fixed & ((1 << q) - 1)
            man, exponent = self._whole(whole) if whole else (self._one, 0)
        places = int(fraction).to_bytes(q // 8, "big").rstrip(b"\0")
        if len(places) - places.count(0) > self._leading + 8:
            man = man * self._series(fraction & ((1 << q - 8 * self._leading) - 1)) >> q
            places = places[: self._leading]
        for place, byte in enumerate(places, 1):
            if byte:
                table = self._tables[place] or self._table(place)
                man = man * (table[byte] or self._entry(place, byte)) >> q
        man >>= GUARD - 8  # less than 1 unit of error from the bound above, less than 1 from this cut
        return Interval(man - 1, man + 2, exponent - self.bits - 8)

    def _reduce(self, fixed: int) -> tuple[int, int]:
        """(−k, r) with fixed = k·ln 2 + r in units; r within 2 units, as k times the error of ln 2 is below 1."""
        extra = fixed.bit_length() - self.unit + 8
        k, rest = divmod(int(fixed) << extra, log_of(2, self.unit + extra))
        return -k, rest >> extra

    def _whole(self, j: int) -> tuple[int, int]:
        """exp(−j) as mantissa and exponent, the mantissa in [2^(q−1), 2^q)."""
        if j in self._wholes:
            return self._wholes[j]
        if j == 1:
            man, exponent = self._first(0), 0
        else:
            half, exponent = self._whole(j >> 1)
            man, exponent = half * half >> self.unit, 2 * exponent
            if j & 1:
                one, shift = self._whole(1)
                man, exponent = man * one >> self.unit, exponent + shift
        lost = self.unit - man.bit_length()
        self._wholes[j] = man << lost, exponent - lost
        return self._wholes[j]

    def _table(self, place: int) -> list[int]:
        """The table of a place, which is empty at first; most places are never asked for."""
        self._tables[place] = [0] * 256
        return self._tables[place]

    def _entry(self, place: int, j: int) -> int:
        """exp(−j·256^−place), computed and kept."""
        table = self._tables[place] or self._table(place)
        if not table[j]:
            self._filled += 1
            if j == 1:
                table[1] = self._first(8 * place)
            else:
                half = self._entry(place, j >> 1)
                entry = half * half >> self.unit
                table[j] = entry * self._entry(place, 1) >> self.unit if j & 1 else entry
        return table[j]

    def _first(self, shift: int) -> int:
        """exp(−2^-shift): the Taylor series, whose terms need no long product."""
        result = term = self._one
        k = 0
        while term:
            k += 1
            term = (term >> shift) // k
            result += -term if k & 1 else term
        return result

    def _series(self, rest: int) -> int:
        """exp(−x) for x < 256^-leading, x = rest in units: Taylor's series, less than 2^21 units off.

        The sums of every `step`th term are taken apart, as in D. M. Smith, Efficient multiple-precision evaluation of
        elementary functions (Math. Comp. 52, 1989), §2: a_k = x^(step·(k // step))/k! takes a division by a small number,
        every `step`th time also a long product. Error in units: powers x^i, which are cut, are less than 2 off as
        x <= 2^-16. Of a_k it is less than 5: a division makes E/k + 1 of it, at most 3.5, and a product with a power
        at most 2^-16·E + 2 + 1. A sum of at most terms/step + 1 of them, times x^i, adds 5 (terms/step + 1)·2^-16i, and
        for i > 0 another 2·2 + 1; what is left out less than 1. In all 10·terms + 20 at most, with terms < 2^17.
        """
        q = self.unit
        needed, terms = q, 0
        while needed > 0:
            terms += 1
            needed -= 8 * self._leading + terms.bit_length() - 1
        step = max(1, math.isqrt(terms // 2))
        powers = [self._one, _integer_type(q)(rest)]
        while len(powers) <= step:
            powers.append(powers[-1] * powers[1] >> q)
        sums, term = [0] * step, self._one
        for k in range(terms):
            sums[k % step] += -term if k & 1 else term
            term //= k + 1
            if (k + 1) % step == 0:
                term = term * powers[step] >> q
        return sum((s * power >> q for s, power in zip(sums[1:], powers[1:], strict=False)), sums[0])


_exponentials: dict[int, Exponential] = {}  # by their bits, the last used at the end


def exponential(bits: int) -> Exponential:
    """The `Exponential` of at least that many bits, kept with its tables for the next caller.

    Of many bits up to a 32nd more are taken, so that callers who ask for nearly as many share one. Those used last are
    kept, as many as fit.
    """
    step = max(8, 1 << max(0, bits.bit_length() - 6))
    size = -(-bits // step) * step
    if size + GUARD >= MOST_BITS:
        size = -(-bits // 8) * 8
    found = _exponentials.pop(size, None)
    if found is None:
        found, room = Exponential(size), ROOM
        for old, kept in reversed(list(_exponentials.items())):
            room -= kept.size
            if room < 0:
                _exponentials.pop(old, None)
    _exponentials[size] = found
    return found


def log(num: int, exp: int, bits: int) -> Interval:
    """The logarithm of num·2^exp, which is at least 1, of absolute width below 2^-bits.

    With any guess g, d = num·2^exp·exp(−g) and u = (d − 1)/(d + 1),
    log(num·2^exp) = g + 2·atanh u = g + 2u + 2u³/3 + ε with |ε| < |u|^5 of the sign of u while |u| < 1/2.
    The guess has a fifth of the bits, so u^5 is below what is asked.
    """
    bits = -(-bits // 64) * 64  # few sizes: tables of exp are kept per size
    if bits <= 192:
        cut = max(0, num.bit_length() - 64)
        guess, place = int(math.log(math.ldexp(int(num >> cut), exp + cut)) * 2**50), 50
    else:
        rough = log(num, exp, bits // 5 + 8)
        guess, place = (rough.lo + rough.hi) >> 1, -rough.exp
    guess = max(guess, 0)
    p = bits + 16
    quotient = multiply(Interval(num, num, exp), exponential(p + 8).of(int(guess), place), p + 32)
    d_lo, d_hi = floor_shift(quotient.lo, quotient.exp + p), ceil_shift(quotient.hi, quotient.exp + p)
    one = 1 << p
    u_lo = ((d_lo - one) << p) // (d_lo + one)
    u_hi = -((-(d_hi - one) << p) // (d_hi + one))
    rest = (max(abs(u_lo), abs(u_hi)) ** 5 >> 4 * p) + 1
    lo = 2 * u_lo + (2 * u_lo**3 >> 2 * p) // 3 - rest
    hi = 2 * u_hi - (-2 * u_hi**3 >> 2 * p) // 3 + rest + 1
    base = int(guess) << (p - place)
    return Interval(base + lo, base + hi, -p)


@lru_cache(maxsize=16)
def _log_of(n: int, bits: int) -> int:
    x = log(n, 0, bits)
    return int(x.lo) >> (-x.exp - bits)


def log_of(n: int, bits: int) -> int:
    """The integer log(n)·2^bits to within less than 3, from below; kept for the next caller."""
    size = -(-bits // 64) * 64
    return _log_of(n, size) >> (size - bits)


def log1p(x: Interval, bits: int) -> Interval:
    """log(1 + x) for x >= 0, of relative width 2^-bits or little more, if x is as narrow as that."""
    if x.lo == 0 == x.hi:
        return x
    size = top(x)
    if size < -bits // 2:
        # x − x²/2 < log(1 + x) < x − x²/2 + x³/3
        square = multiply(x, x, bits + 8)
        cube = multiply(square, x, bits + 8)
        start = subtract(x, Interval(square.lo, square.hi, square.exp - 1), bits + 8)
        return add(start, Interval(0, cube.hi, cube.exp - 1), bits + 8)
    bits += max(0, -size) + 8
    one_more = add(ONE, x, bits + max(0, size) + 8)
    low = log(one_more.lo, one_more.exp, bits)
    spread = Interval(0, one_more.hi - one_more.lo, one_more.exp)  # log is flatter than 1 here
    return low if spread.hi == 0 else add(low, spread, bits + 16)
