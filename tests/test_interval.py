"""Integer intervals, exp and log: every enclosure holds the true value, is narrow, and is a point only where exact."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import flint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcli.errors import PrecisionError
from smcli.reference.arbitrary import elementary
from smcli.reference.arbitrary import interval as iv
from smcli.reference.arbitrary.interval import Enclosure, Interval

ENDS = st.integers(-(2**80), 2**80)
EXPONENTS = st.integers(-200, 200)
BITS = st.integers(8, 120)


def value(n: int, exp: int) -> Fraction:
    return n * Fraction(2) ** exp


@st.composite
def held(draw: st.DrawFn, *, positive: bool = False) -> tuple[Interval, Fraction]:
    """An interval and a number that it promises to hold."""
    lo = draw(st.integers(1, 2**80) if positive else ENDS)
    exp = draw(EXPONENTS)
    width = draw(st.just(0) | st.integers(1, 2**20))
    share = draw(st.fractions(Fraction(1, 1000), Fraction(999, 1000), max_denominator=1000))
    return Interval(lo, lo + width, exp), value(lo, exp) + share * value(width, exp)


def holds(x: Interval | Enclosure, number: Fraction) -> bool:
    den = x.den if isinstance(x, Enclosure) else 1
    lo, hi = value(x.lo, x.exp) / den, value(x.hi, x.exp) / den
    return lo == number == hi if x.lo == x.hi else lo < number < hi


@settings(deadline=None)
@given(held(), held(), BITS)
def test_sums_and_products_hold_what_their_operands_hold(a, b, bits):
    (x, p), (y, q) = a, b
    assert holds(iv.add(x, y, bits), p + q)
    assert holds(iv.subtract(x, y, bits), p - q)
    assert holds(iv.multiply(x, y, bits), p * q)
    assert holds(iv.trim(x, bits), p)
    assert holds(iv.negate(x), -p)


@settings(deadline=None)
@given(held(), st.integers(-(2**60), 2**60), st.integers(1, 2**60), BITS)
def test_rational_factors(a, n, d, bits):
    x, p = a
    assert holds(iv.times(x, n), p * n)
    assert holds(iv.divide(x, d, bits), p / d)
    assert holds(iv.scale(x, Fraction(n, d), bits), p * Fraction(n, d))
    assert holds(iv.offset(Fraction(n, d), x, bits), p + Fraction(n, d))
    assert holds(iv.rescale(Enclosure(*x, 3), Fraction(n, d)), p * Fraction(n, 3 * d))


@settings(deadline=None)
@given(held(positive=True), BITS)
def test_reciprocals(a, bits):
    x, p = a
    assert holds(iv.reciprocal(x, bits), 1 / p)


@settings(deadline=None)
@given(st.lists(st.tuples(held(), st.integers(1, 50)), min_size=1, max_size=5), BITS)
def test_totals(terms, bits):
    parts = [Enclosure(*x, den) for (x, _), den in terms]
    assert holds(iv.total(parts, bits), sum((p / den for (_, p), den in terms), Fraction(0)))


@settings(deadline=None)
@given(held(), held(), st.integers(60, 120))
def test_rounding_costs_no_more_than_the_bits_say(a, b, bits):
    (x, _), (y, _) = a, b
    exact = (min(p * q for p in (x.lo, x.hi) for q in (y.lo, y.hi)), x.exp + y.exp)
    product = iv.multiply(x, y, bits)
    assert abs(value(product.lo, product.exp) - value(*exact)) <= 2 * value(1, iv.top(product) - bits)


def test_a_tiny_term_moves_one_end_by_one_unit_and_leaves_the_other():
    tiny = Interval(5, 7, -(10**300))
    assert iv.add(Interval(5, 5, -1), tiny, 20) == Interval(5 << 17, (5 << 17) + 1, -18)
    assert iv.subtract(Interval(5, 5, -1), tiny, 20) == Interval((5 << 17) - 1, 5 << 17, -18)
    assert iv.offset(Fraction(1, 3), tiny, 20).lo * 3 == Enclosure(*iv.trim(iv.ONE, 20), 3).lo * 3 << 19
    assert not iv.offset(Fraction(1, 3), tiny, 20).exact


@pytest.mark.parametrize(
    ("n", "divisor", "exp", "expected"),
    [  # (tie up, to even, tie down)
        (5, 2, 0, (3, 2, 2)),
        (7, 2, 0, (4, 4, 3)),
        (5, 1, -1, (3, 2, 2)),
        (1, 1, -1, (1, 0, 0)),
        (3, 8, 2, (2, 2, 1)),
        (10, 3, 0, (3, 3, 3)),
        (11, 1, -2, (3, 3, 3)),
        (6, 1, 3, (48, 48, 48)),
    ],
)
def test_nearest(n, divisor, exp, expected):
    assert tuple(iv.nearest(n, divisor, exp, tie) for tie in (1, 0, -1)) == expected


@settings(deadline=None)
@given(st.integers(1, 2**70), st.integers(1, 2**30), st.integers(-90, 20))
def test_nearest_is_what_fractions_say(n, divisor, exp):
    exact = value(n, exp) / divisor
    assert iv.nearest(n, divisor, exp, 0) == round(exact)
    assert iv.nearest(n, divisor, exp, 1) == math.floor(exact + Fraction(1, 2))
    assert iv.nearest(n, divisor, exp, -1) == math.ceil(exact - Fraction(1, 2))


def arb(n: int, exp: int = 0) -> flint.arb:
    return flint.arb((flint.fmpz(int(n)), flint.fmpz(exp)))


@pytest.fixture
def precise():
    old = flint.ctx.prec
    flint.ctx.prec = 3000
    yield
    flint.ctx.prec = old


def assert_strictly_inside(x: Interval, true: flint.arb) -> None:
    assert arb(x.lo, x.exp) < true < arb(x.hi, x.exp)


ARGUMENTS = [
    (1, 0), (1, 1), (3, 1), (255, 8), (1, 60), (1, 500), (12345678901234567890, 64), (12345678901234567890, 40),
    (65535, 0), (65536, 0), (1 << 400, 0), ((1 << 1024) - (1 << 971), 0), ((1 << 53) - 1, 1074), (1 << 20, 3),
    ((1 << 90) - 1, 70), (10**300, 980), (7, -3), (123, -70),
]  # fmt: skip


@pytest.mark.parametrize("bits", [8, 64, 104, 152, 400, 1000, 1024, 1536])
@pytest.mark.parametrize("den", [1, 3, 7205759403792794])
def test_exp_is_enclosed(precise, bits, den):
    e = elementary.exponential(bits)
    rng = random.Random(bits + den)
    arguments = [*ARGUMENTS, *((rng.getrandbits(rng.randint(1, 120)) + 1, rng.randint(-10, 120)) for _ in range(300))]
    for num, frac in arguments:
        x = e.of(num, frac, den)
        assert_strictly_inside(x, (-arb(num, -frac) / den).exp())
        assert iv.is_narrow(x, bits)
    assert e.of(0, 5) == iv.ONE


def test_the_errors_counted_for_table_entries_are_never_reached(precise):
    """The docstring of `Exponential` allows j·(3q + 21) units to the entry for j."""
    e = elementary.Exponential(96)
    q = e.unit
    worst = 0.0
    for place in (1, 2, 5, 12):
        for j in (1, 2, 3, 85, 127, 128, 170, 254, 255):
            true = (-arb(j, -8 * place)).exp()
            worst = max(worst, float(abs(arb(e._entry(place, j), -q) / true - 1) * 2**q) / j)
    for j in (1, 2, 3, 63, 255, 4095, 40000, 65535):
        man, exp = e._whole(j)
        worst = max(worst, float(abs(arb(man, exp - q) / (-arb(j)).exp() - 1) * 2**q) / j)
    assert 0 < worst < 3 * q + 21


@pytest.mark.parametrize("bits", [1000, 4096, 20000])
def test_the_errors_counted_for_the_series_are_never_reached(bits, monkeypatch):
    """The docstring of `_series` allows 10·terms + 20 units, and a term gives 17 bits at the least."""
    e = elementary.Exponential(bits)
    q = e.unit
    monkeypatch.setattr(flint.ctx, "prec", q + 100)
    rng, most = random.Random(bits), (1 << q - 8 * e._leading) - 1
    for rest in (1, most, *(rng.randint(0, most) >> rng.choice((0, 1, 9, q // 2)) for _ in range(40))):
        apart = abs(arb(e._series(rest), -q) - (-arb(rest, -q)).exp()) * arb(2) ** q
        assert apart < 10 * (q // 17) + 20


def test_what_was_computed_of_many_bits_is_computed_once(monkeypatch):
    """A gradient of KL under a soft cap asks for the same exponentials, to nearly as many bits, class by class."""
    one = elementary.exponential(8080)
    assert one is elementary.exponential(8128) and one.bits >= 8128
    first, asked = elementary.Exponential._first, []
    monkeypatch.setattr(elementary.Exponential, "_first", lambda e, shift: asked.append(shift) or first(e, shift))
    fresh = elementary.Exponential(8192)
    for k in range(60):
        fresh.of(3**200 + k**40, 330)
    assert len(asked) == len(set(asked))
    assert fresh.of(3**200, 330) is fresh.of(3**200, 330)


def test_exponentials_are_kept_as_long_as_there_is_room(monkeypatch):
    monkeypatch.setattr(elementary, "ROOM", 1 << 16)
    for bits in range(2048, 4096, 64):
        elementary.exponential(bits).of(1, 1)
        *old, _ = elementary._exponentials.values()
        assert sum(e.size for e in old) <= elementary.ROOM
    assert elementary._exponentials


@pytest.mark.parametrize("bits", [64, 100, 200, 201, 500, 1500])
def test_log_is_enclosed(precise, bits):
    rng = random.Random(bits)
    numbers = [(2, 0), (10, 0), (3, -1), ((1 << 60) + 1, -60), ((1 << 300) + 1, -300), (131072, 0), (10**40, 0)]
    numbers += [(rng.getrandbits(size) | 1 << size, -size + rng.randint(0, 30)) for size in range(1, 200)]
    for num, exp in numbers:
        x = elementary.log(num, exp, bits)
        assert_strictly_inside(x, arb(num, exp).log())
        assert x.hi - x.lo <= 1 << (-x.exp - bits)


@pytest.mark.parametrize("bits", [64, 128, 700, 1400])
@pytest.mark.parametrize("n", [2, 10])
def test_constants_are_cut_from_below(precise, n, bits):
    true = arb(n).log()
    got = elementary.log_of(n, bits)
    assert arb(got, -bits) < true < arb(got + 3, -bits)


@pytest.mark.parametrize("bits", [64, 150, 600])
def test_log1p_keeps_relative_precision(precise, bits):
    rng = random.Random(bits)
    for _ in range(300):
        size = bits + 20
        x = Interval(*((n := rng.getrandbits(size) | 1 << size), n + 1), -size - rng.choice([0, 3, 40, bits, 900, -12]))
        low, high = arb(x.lo, x.exp).log1p(), arb(x.hi, x.exp).log1p()
        got = elementary.log1p(x, bits)
        assert arb(got.lo, got.exp) < low < high < arb(got.hi, got.exp)
        assert iv.is_narrow(got, bits - 2)
    assert elementary.log1p(iv.ZERO, bits) == iv.ZERO


def test_no_precision_beyond_the_proof():
    with pytest.raises(PrecisionError, match="error bound"):
        elementary.exponential(1 << 21)


def test_python_integers_and_gmpy2_give_the_same(monkeypatch):
    pytest.importorskip("gmpy2")
    fast = elementary.Exponential(elementary.WIDE)
    monkeypatch.setattr(elementary, "WIDE", 1 << 40)
    plain = elementary.Exponential(fast.bits)
    assert type(fast._one) is not type(plain._one) is int
    for num, frac in ARGUMENTS:
        assert fast.of(num, frac) == plain.of(num, frac)
