"""Number formats: rounding against ml_dtypes, NumPy and exact fractions; derived figures; decimals rounded once."""

from __future__ import annotations

import math
import random
import time
from decimal import Context, Decimal
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcli.errors import UsageError
from smcli.numbers import formats
from smcli.numbers.formats import FORMATS, Format

TYPES = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}
SMALL = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
NARROW = ["float32", *SMALL]
TWICE = ["bfloat16", "float8_e4m3fn", "float8_e5m2"]  # ml_dtypes takes float64 to these by way of float32


def every(name: str) -> np.ndarray:
    """All bit patterns of an 8- or 16-bit format, as float64."""
    bits = FORMATS[name].bits
    with np.errstate(invalid="ignore"):  # signalling nans
        return np.arange(2**bits, dtype=f"u{bits // 8}").view(TYPES[name]).astype(np.float64)


def finite(name: str) -> np.ndarray:
    values = every(name)
    return np.unique(values[np.isfinite(values)])


def cast(x: np.ndarray, name: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(x).astype(TYPES[name]).astype(np.float64)


def nearest(t: Fraction, f: Format) -> float:
    """The number of the format nearest to a fraction, ties to even: by integer division and nothing else."""
    if not t:
        return 0.0
    size = abs(t)
    e = size.numerator.bit_length() - size.denominator.bit_length()
    e -= Fraction(2) ** e > size
    quantum = Fraction(2) ** (max(e, f.emin) - f.p + 1)
    y = round(size / quantum) * quantum  # Python rounds a Fraction half to even
    return math.copysign(float(y) if y <= Fraction(f.max) else f.overflow, t)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bit for bit, but that one nan is as good as another."""
    nan = np.isnan(a)
    return bool((nan == np.isnan(b)).all() and (a == b)[~nan].all() and (np.signbit(a) == np.signbit(b))[~nan].all())


def midpoints(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every midpoint of neighbours, the two neighbours, and the one with an even last bit."""
    bits = FORMATS[name].bits
    values = every(name)
    order = np.argsort(values, kind="stable")
    order = order[np.isfinite(values[order]) & ~((values[order] == 0) & np.signbit(values[order]))]
    low, high, even_low = values[order[:-1]], values[order[1:]], order[:-1] % 2 == 0
    assert bits <= 16 and (order[:-1] % 2 != order[1:] % 2).all()
    return (low + high) / 2, low, high, np.where(even_low, low, high)


@pytest.mark.parametrize("name", SMALL)
def test_every_value_is_kept(name: str) -> None:
    values = every(name)
    assert same(FORMATS[name].round(values), values)


@pytest.mark.parametrize("name", SMALL)
def test_every_midpoint_and_its_neighbours(name: str) -> None:
    f = FORMATS[name]
    middle, low, high, even = midpoints(name)
    assert (f.round(middle) == even).all()
    assert (f.round(np.nextafter(middle, -np.inf)) == low).all()
    assert (f.round(np.nextafter(middle, np.inf)) == high).all()
    for value in (low, high):
        assert (f.round(np.nextafter(value, np.inf)) == value).all()
        assert (f.round(np.nextafter(value, -np.inf)) == value).all()


@pytest.mark.parametrize("name", SMALL)
def test_the_generic_rounding_equals_the_native_one(name: str) -> None:
    f = FORMATS[name]
    middle, low, high, _ = midpoints(name)
    x = np.concatenate([middle, low, high, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf)])
    assert same(f._round_bits(x), f.round(x))


@pytest.mark.parametrize("name", SMALL)
def test_every_float32_that_ml_dtypes_and_numpy_can_be_asked_about(name: str) -> None:
    rng = np.random.default_rng(1)
    middle, low, _, _ = midpoints(name)
    x = np.concatenate([
        rng.integers(0, 2**32, 400_000, dtype=np.uint64).astype(np.uint32).view(np.float32),
        middle.astype(np.float32), np.nextafter(middle.astype(np.float32), np.float32(np.inf)),
        np.nextafter(low.astype(np.float32), np.float32(-np.inf)),
    ])  # fmt: skip
    with np.errstate(all="ignore"):  # from a float32, a single rounding is left
        assert same(FORMATS[name].round(x.astype(np.float64)), cast(x, name))


@pytest.mark.parametrize("name", TWICE)
def test_ml_dtypes_differs_only_where_it_rounds_twice(name: str) -> None:
    f = FORMATS[name]
    middle, low, high, _ = midpoints(name)
    x = np.concatenate([middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf), low, high])
    ours, theirs = f.round(x), cast(x, name)
    different = np.flatnonzero(ours != theirs)
    assert different.size  # the day ml_dtypes rounds once, it can be the oracle for float64 as well
    for i in different[:: max(1, different.size // 500)].tolist():
        t, a, b = Fraction(float(x[i])), Fraction(float(ours[i])), Fraction(float(theirs[i]))
        assert abs(a - t) < abs(b - t)  # ours is nearer: no matter of ties
        halfway = Fraction(float(np.float32(x[i])))  # where the first of their two roundings went
        assert halfway != t and abs(a - halfway) == abs(b - halfway)


def test_one_double_that_ml_dtypes_rounds_twice() -> None:
    x = 1 + 2.0**-8 + 2.0**-40  # above the middle of 1 and 1 + 2^-7 by less than a float32 can say
    assert Fraction(x) - 1 > 1 + Fraction(1, 128) - Fraction(x)
    assert FORMATS["bfloat16"].round(np.array([x]))[0] == 1 + 2.0**-7
    assert cast(np.array([x]), "bfloat16")[0] == 1.0


@pytest.mark.parametrize("name", NARROW)
def test_random_doubles_against_fractions(name: str) -> None:
    f, rng = FORMATS[name], np.random.default_rng(2)
    exponents = rng.uniform(f.emin - f.p - 3, math.log2(f.max) + 1.5, 1500)
    x = rng.choice([-1, 1], 1500) * np.exp2(exponents)
    grid = f.round(x[:500])
    with np.errstate(all="ignore"):
        other = f.round(np.nextafter(grid * (1 + 2 * f.unit_roundoff), np.inf))
        middle = (grid + other) / 2
    x = np.concatenate([x, middle, np.nextafter(middle, 0.0), np.nextafter(middle, np.inf)])
    x = x[np.isfinite(x)]
    want = np.array([nearest(Fraction(v), f) for v in x.tolist()])
    assert same(f.round(x), want)
    assert same(f._round_bits(x), want)


def test_float32_boundaries_against_numpy() -> None:
    f, rng = FORMATS["float32"], np.random.default_rng(3)
    low = rng.integers(0, 0x7F7FFFFF, 20_000, dtype=np.uint32)
    a, b = low.view(np.float32).astype(np.float64), (low + 1).view(np.float32).astype(np.float64)
    middle = (a + b) / 2
    x = np.concatenate([a, b, middle, np.nextafter(middle, np.inf), np.nextafter(middle, 0.0), -middle])
    assert same(f._round_bits(x), cast(x, "float32"))


def test_float64_is_left_alone() -> None:
    x = np.array([0.0, -0.0, 5e-324, 1.7976931348623157e308, np.inf, -np.inf, np.nan, 1 / 3])
    assert same(FORMATS["float64"].round(x), x)


@pytest.mark.parametrize("name", FORMATS)
def test_specials_and_shapes(name: str) -> None:
    f = FORMATS[name]
    x = np.array([[0.0, -0.0, np.inf], [-np.inf, np.nan, 1.0]])
    y = f.round(x)
    assert y.shape == x.shape and y.dtype == np.float64
    assert not np.signbit(y[0, 0]) and np.signbit(y[0, 1]) and y[1, 2] == 1 and np.isnan(y[1, 1])
    assert (np.isinf(y[0, 2]) and np.isinf(y[1, 0])) == f.has_inf and np.isnan(y[0, 2]) != f.has_inf
    assert f.round(np.array(1.3)).shape == () and f.round(x[:, ::2]).shape == (2, 2) and f.round(x[:0]).shape == (0, 3)
    tiny = np.array([f.smallest_subnormal / 2, -f.smallest_subnormal / 2])
    assert (f.round(tiny) == 0).all() and np.signbit(f.round(tiny)).tolist() == [False, True]
    if f.p < 53:
        assert f.round(np.nextafter(tiny, np.inf * np.sign(tiny))).tolist() == [
            f.smallest_subnormal,
            -f.smallest_subnormal,
        ]


@pytest.mark.parametrize("name", NARROW)
def test_overflow_begins_half_a_spacing_beyond_the_largest(name: str) -> None:
    f = FORMATS[name]
    edge = f.max + math.ldexp(1.0, math.frexp(f.max)[1] - 1 - f.p)
    last = round(f.max / math.ldexp(1.0, math.frexp(f.max)[1] - f.p))
    at_edge = f.max if last % 2 == 0 else f.overflow
    got = f.round(
        np.array([np.nextafter(edge, 0.0), edge, np.nextafter(edge, np.inf), -np.nextafter(edge, np.inf), 1e308])
    )
    assert got[0] == f.max and (got[1] == at_edge or (math.isnan(at_edge) and math.isnan(got[1])))
    assert all(math.isnan(v) if math.isnan(f.overflow) else math.isinf(v) for v in got[2:])
    assert np.signbit(got[3])


def test_e4m3fn_takes_464_to_448_and_more_to_nan() -> None:
    f = FORMATS["float8_e4m3fn"]
    assert f.round(np.array([464.0, -464.0])).tolist() == [448.0, -448.0]
    assert np.isnan(f.round(np.array([np.nextafter(464, 500), 480.0, 1e300, np.inf, -np.inf]))).all()


TABLE = {  # NUMERICS §5
    "float64": (53, 709.782712893, -708.396418532, -745.133219102, 2**53),
    "float32": (24, 88.7228390819, -87.3365447506, -103.972077084, 2**24),
    "bfloat16": (8, 88.7208840768, -87.3365447506, -92.881722195, 256),
    "float16": (11, 11.0901107185, -9.70406052784, -17.328679514, 2048),
    "float8_e5m2": (3, 11.0258163678, -9.70406052784, -11.7835020695, 8),
    "float8_e4m3fn": (4, 6.13988455223, -4.15888308336, -6.93147180560, 16),
}


@pytest.mark.parametrize("name", FORMATS)
def test_figures_equal_the_table(name: str) -> None:
    f = FORMATS[name]
    p, over, sub, zero, stall = TABLE[name]
    assert f.p == p and f.stall == stall
    assert [f"{v:.9g}" for v in (f.exp_overflow, f.exp_subnormal, f.exp_zero)] == [
        f"{v:.9g}" for v in (over, sub, zero)
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_figures_equal_finfo(name: str) -> None:
    f = FORMATS[name]
    info = np.finfo(name) if name in {"float64", "float32", "float16"} else ml_dtypes.finfo(TYPES[name])
    assert f.bits == info.bits and f.p == info.nmant + 1 and f.emin == info.minexp
    assert f.max == float(info.max) and f.smallest_normal == float(info.smallest_normal)
    assert f.smallest_subnormal == float(info.smallest_subnormal) and 2 * f.unit_roundoff == float(info.eps)
    assert f.has_inf == np.isinf(f.round(np.array(np.inf)))
    assert math.isinf(f.overflow) == f.has_inf


@pytest.mark.parametrize("name", NARROW)
def test_exp_thresholds_are_where_exp_changes(name: str) -> None:
    f = FORMATS[name]

    def exp(x: float) -> float:
        return nearest(Fraction(Decimal(x).exp(Context(prec=60))), f)

    def beyond(x: float) -> bool:
        return not math.isfinite(exp(x))

    step = 1e-9
    assert not beyond(f.exp_overflow - step) and beyond(f.exp_overflow + step)
    assert exp(f.exp_zero - step) == 0 and exp(f.exp_zero + step) == f.smallest_subnormal
    assert Fraction(Decimal(f.exp_subnormal - step).exp(Context(prec=60))) < Fraction(f.smallest_normal)
    assert Fraction(Decimal(f.exp_subnormal + step).exp(Context(prec=60))) > Fraction(f.smallest_normal)


@pytest.mark.parametrize("name", NARROW)
def test_stall_is_the_first_sum_that_one_more_does_not_change(name: str) -> None:
    f = FORMATS[name]
    sums = np.array([f.stall - 1.0, float(f.stall)])
    assert (f.round(sums) == sums).all()
    assert (f.round(sums + 1) == [f.stall, f.stall]).all()


@pytest.mark.parametrize("name", SMALL)
def test_digits_tell_every_two_numbers_apart_and_one_less_does_not(name: str) -> None:
    f = FORMATS[name]
    values = finite(name)
    normal = values[np.abs(values) >= f.smallest_normal]
    written = {f"{v:.{f.digits - 1}e}" for v in values.tolist()}
    assert len(written) == values.size
    assert len({f"{v:.{f.digits - 2}e}" for v in normal.tolist()}) < normal.size or f.digits == 3


def test_ulp_exponent_is_clamped_to_the_subnormal_spacing() -> None:
    for f in FORMATS.values():
        low = np.array([0, f.emin, f.emin - 1, f.emin - 5000, 7])
        want = [1 - f.p, f.emin - f.p + 1, f.emin - f.p + 1, f.emin - f.p + 1, 8 - f.p]
        assert f.ulp_exponent(low).tolist() == want


def written(f: Format, tokens: list[str]) -> list[float]:
    values = np.array([float.fromhex(t) if "x" in t.lower() else float(t) for t in tokens])
    return f.round_written(values, tokens).tolist()


def decimal(x: Fraction) -> str:
    """An exact decimal of a dyadic fraction."""
    return str(Context(prec=2000).divide(Decimal(x.numerator), Decimal(x.denominator)))


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("shift", ["1e-30", "-1e-30", "0", "1e-400", "-1e-400"])
def test_a_decimal_beside_a_midpoint_goes_to_its_own_side(name: str, shift: str) -> None:
    f = FORMATS[name]
    for first in (1.0, 1.0 + 2 * f.unit_roundoff, f.smallest_subnormal, 0.0, f.max):
        a = Fraction(first)
        e = max(math.frexp(first)[1] - 1, f.emin) if first else f.emin
        spacing = Fraction(2) ** (e - f.p + 1)
        t = a + spacing / 2 + Fraction(Decimal(shift))
        if t <= 0:
            continue
        for sign in (1, -1):
            (got,) = written(f, [decimal(sign * t)])
            want = nearest(sign * t, f)
            assert got == want or (math.isnan(got) and math.isnan(want)), (first, sign)


@pytest.mark.parametrize("name", NARROW)
def test_a_decimal_beside_the_double_next_to_a_midpoint(name: str) -> None:
    """Its double is not the midpoint, so the side of the double that it is on says nothing."""
    f = FORMATS[name]
    a = 1.0
    for middle in (a + f.unit_roundoff, a + 3 * f.unit_roundoff):
        for double in (math.nextafter(middle, 0), math.nextafter(middle, 9)):
            for shift in (Decimal("1e-30"), Decimal("-1e-30")):
                token = str(Context(prec=200).add(Decimal(double), shift))
                assert float(token) == double
                assert written(f, [token]) == [nearest(Fraction(Decimal(token)), f)]


@pytest.mark.parametrize("name", NARROW)
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_decimal_is_rounded_once(name: str, seed: int) -> None:
    f, rng = FORMATS[name], random.Random(seed)
    tokens = []
    for _ in range(8):
        e = rng.randint(f.emin - f.p - 1, math.frexp(f.max)[1])
        t = Fraction(rng.randrange(2 ** (f.p + 1))) * Fraction(2) ** (e - f.p - 1)  # values and midpoints
        t += Fraction(rng.choice([-1, 0, 1])) * Fraction(10) ** rng.randint(-420, -10)
        t += Fraction(rng.choice([-1, 0, 1])) * Fraction(2) ** (e - 53)
        tokens.append(str(Context(prec=1500).divide(Decimal(t.numerator), Decimal(t.denominator))))
    want = [nearest(Fraction(Decimal(t)), f) for t in tokens]
    for token, got, due in zip(tokens, written(f, tokens), want, strict=True):
        assert got == due or (math.isnan(got) and math.isnan(due)), token


def test_hexadecimal_tokens_are_exact() -> None:
    tokens = ["0x1.01p0", "0x1.010000000000000000001p0", "-0x1.00ffffffffffffffffffffp0", "0X1.8P3"]
    assert written(FORMATS["bfloat16"], tokens) == [1.0, 1.0078125, -1.0, 12.0]


def test_without_tokens_the_values_are_exact() -> None:
    f = FORMATS["bfloat16"]
    x = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8])
    assert f.round_written(x, None).tolist() == [1.0, 1 + 2.0**-6]


@pytest.mark.parametrize(
    "token", ["1e999999999", "-1e999999999", "1e-999999999", "1." + "0" * 10**6 + "1", "9" * 10**6]
)
@pytest.mark.parametrize("name", FORMATS)
def test_extreme_tokens_are_quick(name: str, token: str) -> None:
    f, start = FORMATS[name], time.perf_counter()
    (got,) = written(f, [token])
    assert time.perf_counter() - start < 2
    if token.startswith("1."):
        assert got == 1
    elif token == "1e-999999999":
        assert got == 0
    else:
        assert math.isinf(got) if f.has_inf else math.isnan(got)


def test_a_million_digits_beside_a_midpoint_are_quick() -> None:
    f, start = FORMATS["bfloat16"], time.perf_counter()
    token = "1.00390625" + "0" * 10**6 + "1"
    assert written(f, [token]) == [1.0078125]
    assert formats.written_error("8796093022208." + "0" * 10**6 + "1", 8796093022208.0) == 0
    assert formats.written_error("8796093022208.25" + "0" * 10**6 + "1", 8796093022208.0) == 0.25
    assert time.perf_counter() - start < 2


def test_written_error() -> None:
    assert formats.written_error("9007199254740993", 9007199254740992.0) == 1
    assert formats.written_error("0x20000000000001", 9007199254740992.0) == 1
    error = formats.written_error("0.1", 0.1)
    assert error == pytest.approx(float(Fraction(1, 10) - Fraction(0.1)), rel=1e-15)
    assert formats.written_error("1e999999999", 1.0) == math.inf == formats.written_error("1e" + "9" * 30, 1.0)
    assert formats.written_error("0x1p999999", 1.0) == math.inf and formats.written_error("7/2", 3.0) == 0.5


@pytest.mark.parametrize("name", FORMATS)
def test_names_as_frameworks_write_them(name: str) -> None:
    f = FORMATS[name]
    for spelling in (name, name.upper(), f" {name} ", f"torch.{name}", f"np.{name}", f"numpy.{name}"):
        assert formats.get(spelling) is f


@pytest.mark.parametrize(("alias", "name"), sorted(formats.ALIASES.items()))
def test_aliases(alias: str, name: str) -> None:
    assert formats.get(alias) is FORMATS[name]


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="unknown number format 'flaot32'") as caught:
        formats.get("flaot32")
    assert "did you mean float32?" in str(caught.value.hint) and "float8_e5m2" in str(caught.value.hint)
    with pytest.raises(UsageError, match=r"\\u202e") as caught:
        formats.get("\u202e")
    assert "did you mean" not in str(caught.value.hint)


@pytest.mark.parametrize("wide", FORMATS)
@pytest.mark.parametrize("narrow", FORMATS)
def test_a_format_holds_another_that_has_fewer_digits_and_no_further_numbers(wide: str, narrow: str) -> None:
    w, n = FORMATS[wide], FORMATS[narrow]
    ends = np.array([n.max, n.smallest_normal, n.smallest_normal * (2 - 2 ** (1 - n.p)), 1 + 2.0 ** (1 - n.p)])
    with np.errstate(all="ignore"):
        kept = bool((w.round(ends) == ends).all())
    assert w.holds(n) == (kept and w.p > n.p)
