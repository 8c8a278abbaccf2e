"""Arithmetic in a format against MPFR, exact fractions and plain loops; what the trace says."""

from __future__ import annotations

import math
from dataclasses import astuple
from fractions import Fraction
from typing import TYPE_CHECKING

import gmpy2
import ml_dtypes
import numpy as np
import pytest

from smcli.numbers import arithmetic
from smcli.numbers.arithmetic import Arithmetic, Rows, Step, pairwise, sequential
from smcli.numbers.formats import FORMATS, Format

if TYPE_CHECKING:
    from collections.abc import Callable

NARROW = [name for name, f in FORMATS.items() if f.p <= 24]
SMALL = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}
WIDE = gmpy2.context(precision=250)
EXACT = gmpy2.context(precision=1200)


@pytest.fixture(autouse=True)
def _quiet() -> object:
    with np.errstate(all="ignore"):  # as in `methods.run`
        yield


def mpfr(f: Format) -> gmpy2.context:
    """MPFR's arithmetic in a format, subnormal numbers included."""
    top = math.frexp(f.max)[1]
    return gmpy2.context(precision=f.p, emin=f.emin - f.p + 2, emax=top, subnormalize=True)


def limited(y: object, f: Format) -> float:
    """What the format makes of MPFR's result: e4m3fn ends at 448, below where its exponents end, and has no inf."""
    value = float(y)  # type: ignore[arg-type]
    return math.copysign(f.overflow, value) if abs(value) > f.max else value


def numbers(f: Format, count: int, seed: int) -> np.ndarray:
    """Random numbers of a format over its whole range, with its extremes, and many that are near one another."""
    rng = np.random.default_rng(seed)
    top = math.log2(f.max)
    spread = rng.choice([-1, 1], count) * np.exp2(rng.uniform(f.emin - f.p + 1, top, count))
    close = rng.choice([-1, 1], count) * np.exp2(rng.uniform(-3, 3, count))
    s, n = f.smallest_subnormal, f.smallest_normal
    edges = [0.0, -0.0, 1.0, -1.0, 1 + 2 * f.unit_roundoff, 1 - f.unit_roundoff, s, -s, 3 * s, n, n - s, f.max, -f.max]
    return f.round(np.concatenate([edges, spread, close]))


def equal(got: float, want: float) -> bool:
    return got == want or (math.isnan(got) and math.isnan(want))


def row(values: np.ndarray) -> Rows:
    return Rows(np.atleast_2d(np.asarray(values, dtype=np.float64)), "x")


def plain(f: Format, accumulate: Format | None = None, order: str = "pairwise") -> Arithmetic:
    return Arithmetic(f, accumulate or f, order)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("name", FORMATS)
def test_the_four_operations_are_correctly_rounded(name: str, op: str) -> None:
    f = FORMATS[name]
    a, b = numbers(f, 1500, 1), numbers(f, 1500, 2)
    a, b = np.concatenate([a, a, a[:13].repeat(13)]), np.concatenate([b, b[::-1], np.tile(a[:13], 13)])
    got = getattr(plain(f), op)(row(a), row(b)).values[0]
    context = mpfr(f)
    for x, y, z in zip(a.tolist(), b.tolist(), got.tolist(), strict=True):
        want = limited(getattr(context, op)(gmpy2.mpfr(x), gmpy2.mpfr(y)), f)
        if not f.has_inf and y == 0 and op == "div":
            want = math.nan
        assert equal(z, want), (x, y, z, want)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
def test_every_pair_of_8_bit_numbers(name: str, op: str) -> None:
    f, bits = FORMATS[name], np.arange(256, dtype=np.uint8)
    values = bits.view(SMALL[name]).astype(np.float64)
    values = np.unique(values[np.isfinite(values)])
    a, b = np.repeat(values, values.size), np.tile(values, values.size)
    got = getattr(plain(f), op)(row(a), row(b)).values[0]
    context = mpfr(f)
    for x, y, z in zip(a.tolist(), b.tolist(), got.tolist(), strict=True):
        want = limited(getattr(context, op)(gmpy2.mpfr(x), gmpy2.mpfr(y)), f)
        assert equal(z, want) or (y == 0 and not f.has_inf and math.isnan(z)), (x, y, z, want)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_operands_just_beside_a_tie_in_float32(op: str) -> None:
    """Where rounding to float64 first would do harm if 53 were less than 2·24 + 2."""
    f, rng = FORMATS["float32"], np.random.default_rng(4)
    a = 1 + rng.integers(0, 2**23, 6000) * 2.0**-23
    if op in {"add", "sub"}:
        b = np.ldexp(rng.choice([-1, 1], 6000) * (1 + rng.integers(0, 4, 6000) * 2.0**-23), -rng.integers(20, 60, 6000))
    else:
        b = 1 + rng.integers(0, 2**6, 6000) * 2.0**-23
    got = getattr(plain(f), op)(row(a), row(b)).values[0]
    context = mpfr(f)
    want = [
        float(getattr(context, op)(gmpy2.mpfr(x), gmpy2.mpfr(y))) for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert got.tolist() == want


FUNCTIONS: dict[str, Callable[[object], object]] = {
    "exp": WIDE.exp, "exp2": WIDE.exp2, "log": WIDE.log, "log1p": WIDE.log1p, "tanh": WIDE.tanh,
}  # fmt: skip


def arguments(name: str, op: str) -> np.ndarray:
    """Every finite number of a small format, or many of a wide one, for which the function is defined."""
    f = FORMATS[name]
    if name in SMALL:
        bits = np.arange(2**f.bits, dtype=f"u{f.bits // 8}")
        x = bits.view(SMALL[name]).astype(np.float64)
        x = np.unique(x[np.isfinite(x)])
        x = x[:: 1 if f.bits == 8 else 3]
    else:
        rng = np.random.default_rng(6)
        edges = np.array([f.exp_overflow, f.exp_subnormal, f.exp_zero])
        x = np.concatenate([numbers(f, 3000, 7), rng.uniform(-110, 90, 3000), rng.uniform(-746, 710, 2000), edges])
        x = f.round(x)
    x = x[np.isfinite(x)]
    lowest = {"log": 0.0, "log1p": -1.0}.get(op, -math.inf)
    return x[x > lowest]


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_elementary_functions_keep_the_stated_bound(name: str, op: str) -> None:
    f, x = FORMATS[name], arguments(name, op)
    got = getattr(plain(f), op)(row(x)).values[0]
    allowed = 4.0 if f.p == 53 else 0.5 + math.ldexp(1.0, f.p - 52)
    ties = 0
    for v, y in zip(x.tolist(), got.tolist(), strict=True):
        t = FUNCTIONS[op](gmpy2.mpfr(v))
        _, e = (0, f.emin) if not t else (t, gmpy2.get_exp(t) - 1)
        ulp = gmpy2.exp2(max(e, f.emin) - f.p + 1)
        if not math.isfinite(y):
            assert abs(t) > f.max + (0.5 - 2.0**-20) * ulp, (v, y)
            continue
        error = abs(WIDE.sub(gmpy2.mpfr(y), t)) / ulp
        assert error <= allowed, (v, y, float(error))
        ties += error > 0.5
    if f.p < 53:
        assert ties == 0  # none was met: what the bound allows is rare


@pytest.mark.parametrize("name", FORMATS)
def test_elementary_functions_at_their_edges(name: str) -> None:
    f, o = FORMATS[name], plain(FORMATS[name])
    x = row(np.array([0.0, f.round(np.array(np.inf)), f.round(np.array(-np.inf)), np.nan]))
    exp, log = o.exp(x).values[0], o.log(x).values[0]
    assert exp[0] == 1 and np.isnan(exp[3]) and np.isnan(log[2:]).all()
    if f.has_inf:
        assert exp[1:3].tolist() == [math.inf, 0] and log[:2].tolist() == [-math.inf, math.inf]
    else:
        assert np.isnan(exp[1:3]).all() and np.isnan(log[:2]).all()
    assert o.log1p(row(np.array([0.0]))).values[0, 0] == 0 == o.tanh(row(np.array([0.0]))).values[0, 0]


@pytest.mark.parametrize("name", NARROW)
def test_fma_is_rounded_once(name: str) -> None:
    f, rng = FORMATS[name], np.random.default_rng(8)
    a, b = (np.concatenate([numbers(f, 1200, s), f.round(rng.uniform(1, 2, 2000))]) for s in (11, 12))
    c = np.concatenate([numbers(f, 1200, 13), np.zeros(2000)])
    near = -f.round(a[-2000:] * b[-2000:])  # cancellation, and tiny terms beside a tie
    tiny = np.exp2(rng.integers(max(f.emin, -70), -30 if f.emin < -70 else f.emin + 3, 2000).astype(float))
    c[-2000:] = f.round(np.where(rng.integers(0, 2, 2000) == 1, near, tiny))
    got = plain(f).fma(row(a), row(b), row(c)).values[0]
    context = mpfr(f)
    for x, y, z, v in zip(a.tolist(), b.tolist(), c.tolist(), got.tolist(), strict=True):
        want = limited(context.fma(gmpy2.mpfr(x), gmpy2.mpfr(y), gmpy2.mpfr(z)), f)
        assert equal(v, want), (x, y, z, v, want)


def test_fma_beside_a_tie_needs_more_than_a_rounded_float64() -> None:
    f = FORMATS["float32"]
    a, c = 1 + 2.0**-12, 2.0**-100  # a² = 1 + 2^-11 + 2^-24: the middle of two neighbours, and c tips it
    got = plain(f).fma(row([a, a]), row([a, a]), row([c, -c])).values[0]
    assert got.tolist() == [1 + 2.0**-11 + 2.0**-23, 1 + 2.0**-11]


def test_fma_in_float64() -> None:
    f, rng = FORMATS["float64"], np.random.default_rng(9)
    a, b = rng.normal(0, 100, 4000), rng.normal(0, 100, 4000)
    c = np.where(np.arange(4000) % 2, -a * b, rng.normal(0, 1e4, 4000))
    got = plain(f).fma(row(a), row(b), row(c)).values[0]
    want = [
        float(gmpy2.fma(x, y, z)) for x, y, z in zip(*(map(gmpy2.mpfr, v.tolist()) for v in (a, b, c)), strict=True)
    ]
    assert (got != want).mean() <= 0.001 and np.allclose(got, want, rtol=2.0**-51, atol=0)
    a, b = 1e308, 1 / math.log(2)
    huge = plain(f).fma(row([a, a, np.inf, a]), row([b, b, 1.0, 2.0]), row([-a * b, 1.0, 1.0, 0.0])).values[0].tolist()
    rest = float(gmpy2.fma(gmpy2.mpfr(a), gmpy2.mpfr(b), gmpy2.mpfr(-a * b)))
    assert huge == [rest, a * b, math.inf, math.inf] and rest != 0


@pytest.mark.parametrize("name", FORMATS)
def test_ldexp_rint_maximum_minimum_neg(name: str) -> None:
    f, o = FORMATS[name], plain(FORMATS[name])
    x = row(f.round(np.array([1.5, -2.5, 0.5, f.smallest_normal, np.nan])))
    assert o.rint(x).values[0, :3].tolist() == [2, -2, 0]
    assert equal(o.ldexp(x, row([-3.0])).values[0, 1], -2.5 / 8) and np.isnan(o.ldexp(x, row([np.nan])).values).all()
    assert o.ldexp(x, row([-9999.0])).values[0, 0] == 0 == o.ldexp(x, row([-np.inf])).values[0, 0]
    assert not np.isfinite(o.ldexp(x, row([9999.0])).values[0, 0])
    half = o.ldexp(row([3 * f.smallest_subnormal]), row([-1.0])).values[0, 0]
    assert half == 2 * f.smallest_subnormal  # rounded to even
    assert np.isnan(o.maximum(x, row([0.0])).values[0, 4]) and np.isnan(o.minimum(x, row([0.0])).values[0, 4])
    assert o.maximum(x, row([0.0])).values[0, 1] == 0 == o.minimum(x, row([0.0])).values[0, 0]
    assert o.neg(x).values[0, 0] == -1.5 and o.max(row([[1.0, 2.0], [5.0, 3.0]])).values.tolist() == [[2.0], [5.0]]
    count = len(o.steps)
    o.neg(x), o.max(x), o.const(0.1), o.given(x.values, "y")
    assert len(o.steps) == count  # exact, or given


@pytest.mark.parametrize("name", NARROW)
def test_constants_are_rounded(name: str) -> None:
    f = FORMATS[name]
    assert plain(f).const(0.1).values[0, 0] == f.round(np.array(0.1)) != 0.1
    assert plain(f).const(0.1).expr == "0.1" and plain(f).given(np.array([[0.3]]), "y").values[0, 0] != 0.3


def add(context: gmpy2.context, f: Format, a: float, b: float) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        total = a + b
        return total if f.has_inf else math.nan
    return limited(context.add(gmpy2.mpfr(a), gmpy2.mpfr(b)), f)


def tree(terms: list[float], f: Format, context: gmpy2.context) -> float:
    """Neighbours in pairs, level by level, an odd last one carried up."""
    while len(terms) > 1:
        paired = [add(context, f, terms[i], terms[i + 1]) for i in range(0, len(terms) - 1, 2)]
        terms = paired + terms[len(terms) // 2 * 2 :]
    return terms[0]


def loop(terms: list[float], f: Format, context: gmpy2.context) -> list[float]:
    """One after the other."""
    out = [terms[0]]
    for t in terms[1:]:
        out.append(add(context, f, out[-1], t))
    return out


def neumaier(terms: list[float], f: Format, context: gmpy2.context) -> float:
    """Neumaier 1974, as it is written in textbooks, every operation rounded."""
    total, correction = terms[0], 0.0
    for t in terms[1:]:
        new = add(context, f, total, t)
        big, small = (total, t) if abs(total) >= abs(t) else (t, total)
        correction = add(context, f, correction, add(context, f, add(context, f, big, -new), small))
        total = new
    return add(context, f, total, correction) if math.isfinite(total) else total


def terms_of(f: Format, kind: str, size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, top = f.emin * math.log(2), math.log(f.max)
    large = min(f.max / 2, 1e4)
    beyond = f.max * min(1.0, 8 / size)
    share = np.exp(rng.uniform(-3, 0, size))
    swing = np.where(np.arange(size) % 2, -1, 1) * np.exp(rng.uniform(max(low, -20), min(top - 1, 20), size))
    middle = np.arange(size) == size // 2
    makers: dict[str, Callable[[], np.ndarray]] = {
        "ones": lambda: np.ones(size),
        "zeros": lambda: np.where(rng.random(size) < 0.9, 0.0, rng.choice([-1.0, 1.0], size)),
        "probabilities": lambda: np.exp(rng.uniform(max(low, -12), 0, size)),
        "growing": lambda: np.exp(np.linspace(max(low, -20), min(top - 1, 8), size)),
        "mixed": lambda: rng.normal(0, 1, size),
        "falling": lambda: np.concatenate([[large], -rng.uniform(0, 2 * large / size, size - 1)]),
        "subnormal": lambda: rng.integers(-40, 41, size) * f.smallest_subnormal,
        "overflowing": lambda: beyond * rng.random(size),
        "negative overflow": lambda: -beyond * rng.random(size),
        "swinging": lambda: swing,
        "infinite": lambda: np.where(middle, np.inf, share * np.where(np.arange(size) % 5, 1, -1)),
        "nan": lambda: np.where(middle, np.nan, share),
    }
    return f.round(makers[kind]())


KINDS = ["ones", "zeros", "probabilities", "growing", "mixed", "falling", "subnormal", "overflowing",
         "negative overflow", "swinging", "infinite", "nan"]  # fmt: skip


def agree(got: np.ndarray, want: list[float]) -> bool:
    due = np.array(want)
    return bool(((got == due) | (np.isnan(got) & np.isnan(due))).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*SMALL, "float32"])
def test_a_long_sequential_sum_equals_a_plain_loop(name: str, kind: str) -> None:
    f = FORMATS[name]
    context = mpfr(f)
    for size, seed in ((3000, 1), (333, 2), (65, 3)):
        terms = terms_of(f, kind, size, seed)
        got = sequential(terms[None], f)[0]
        assert agree(got, loop(terms.tolist(), f, context)), (size, kind)


@pytest.mark.parametrize("name", SMALL)
def test_thousands_of_rows_by_column_and_by_stretches(name: str) -> None:
    f = FORMATS[name]
    rows = np.stack([terms_of(f, KINDS[i % 10], 100, i) for i in range(120)])
    by_column = sequential(rows, f)
    by_row = np.stack([arithmetic._run(r, f) for r in rows])
    assert ((by_column == by_row) | (np.isnan(by_column) & np.isnan(by_row))).all()


def test_a_sequential_float64_sum_is_a_plain_loop() -> None:
    f = FORMATS["float64"]
    terms = terms_of(f, "mixed", 500, 1)
    total, want = 0.0, []
    for t in terms.tolist():
        total += t
        want.append(total)
    assert sequential(terms[None], f)[0].tolist() == want


@pytest.mark.parametrize("name", [*SMALL, "float32", "float64"])
def test_a_sequential_sum_can_start_from_a_number(name: str) -> None:
    f = FORMATS[name]
    terms = terms_of(f, "mixed", 200, 3)
    start = f.round(np.array(1.37))
    got = sequential(terms[None], f, np.array([start]))[0]
    assert got.shape == terms.shape
    assert agree(got, loop([float(start), *terms.tolist()], f, mpfr(f))[1:])


@pytest.mark.parametrize("name", SMALL)
def test_a_sum_of_ones_stalls_where_the_format_says(name: str) -> None:
    f = FORMATS[name]
    running = sequential(np.ones((1, 2 * f.stall + 100)), f)[0]
    reach = min(f.stall, f.max)
    assert running[-1] == reach and running[int(reach) - 1] == reach and running[int(reach) - 2] == reach - 1


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17, 31, 63])
@pytest.mark.parametrize("name", FORMATS)
def test_pairwise_is_a_balanced_tree(name: str, size: int) -> None:
    f = FORMATS[name]
    for kind in ("probabilities", "mixed", "swinging", "overflowing"):
        terms = terms_of(f, kind, size, size) if size > 1 else f.round(np.array([0.3]))
        got = float(pairwise(terms[None], f.round)[0, 0])
        assert equal(got, tree(terms.tolist(), f, mpfr(f))), kind


def test_pairwise_groups_as_documented() -> None:
    """((a + b) + (c + d)) + e, seen in fractions: the last of five is carried up twice."""
    f = FORMATS["float8_e4m3fn"]
    got = float(pairwise(np.array([[16.0, 1.0, 1.0, 1.0, 1.0]]), f.round)[0, 0])
    exact = [Fraction(16), Fraction(1), Fraction(1), Fraction(1), Fraction(1)]

    def rounded(t: Fraction) -> Fraction:
        quantum = Fraction(2) ** (len(bin(int(t))) - 2 - f.p)
        return round(t / quantum) * quantum

    a, b = rounded(exact[0] + exact[1]), rounded(exact[2] + exact[3])
    assert got == rounded(rounded(a + b) + exact[4]) == 20
    assert pairwise(np.zeros((2, 0)), f.round).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in {"infinite", "nan"}])
@pytest.mark.parametrize("name", FORMATS)
def test_compensated_is_neumaiers(name: str, kind: str) -> None:
    f = FORMATS[name]
    for size in (2, 50, 400):
        terms = terms_of(f, kind, size, size)
        got = plain(f, order="compensated").sum(row(terms)).values[0, 0]
        assert equal(float(got), neumaier(terms.tolist(), f, mpfr(f))), size


@pytest.mark.parametrize("kind", ["infinite", "nan"])
@pytest.mark.parametrize("name", FORMATS)
def test_compensated_keeps_what_is_infinite(name: str, kind: str) -> None:
    f = FORMATS[name]
    terms = terms_of(f, kind, 100, 1)
    got = float(plain(f, order="compensated").sum(row(terms)).values[0, 0])
    assert math.isinf(got) if kind == "infinite" and f.has_inf else math.isnan(got)


@pytest.mark.parametrize("order", arithmetic.ORDERS)
@pytest.mark.parametrize("name", NARROW)
def test_an_accumulator_of_another_format(name: str, order: str) -> None:
    f = FORMATS[name]
    terms = terms_of(f, "probabilities", 3000 if f.p > 4 else 300, 5)
    for wide in ("float32", "float64"):
        acc = FORMATS[wide]
        context = mpfr(acc)
        values = terms.tolist()
        want = {"pairwise": lambda: tree(values, acc, context), "sequential": lambda: loop(values, acc, context)[-1],  # noqa: B023
                "compensated": lambda: neumaier(values, acc, context)}[order]()  # fmt: skip # noqa: B023
        got = plain(f, acc, order).sum(row(terms)).values[0, 0]
        assert equal(float(got), float(f.round(np.array(want)))), wide
    narrow = FORMATS["float8_e5m2"]
    total = plain(f, narrow, "sequential").sum(row(np.ones(100))).values[0, 0]
    assert total == 8  # where that accumulator stalls


def test_each_operation_leaves_its_step() -> None:
    f = FORMATS["float32"]
    o = plain(f)
    x = row([1.0, 2.0])
    e = o.exp(o.sub(x, o.max(x)))
    o.div(e, o.sum(e))
    assert [s.op for s in o.steps] == ["sub", "exp", "sum", "div"]
    assert [s.expr for s in o.steps] == ["x − max(x)", "exp(x − max(x))", "Σ exp(x − max(x))",
                                         "exp(x − max(x))/(Σ exp(x − max(x)))"]  # fmt: skip
    assert all(s.format is f for s in o.steps)


def step(o: Arithmetic) -> Step:
    return o.steps[-1]


@pytest.mark.parametrize("name", FORMATS)
def test_exp_overflow_and_underflow_are_seen(name: str) -> None:
    f, o = FORMATS[name], plain(FORMATS[name])
    over, zero = f.round(np.array([f.exp_overflow * 1.1 + 0.1, f.exp_zero * 1.2]))
    below = float(f.round(np.array((f.exp_subnormal + f.exp_zero) / 2)))
    o.exp(row([0.0, over, zero, below, np.nan]))
    s = step(o)
    assert s.overflowed[0].tolist() == [False, True, False, False, False]
    assert s.underflowed[0].tolist() == [False, False, True, True, False]
    assert s.nan[0].tolist() == [False, not f.has_inf, False, False, True]
    assert not s.invalid.any()
    summary = s.summary(0)
    assert (summary.overflowed, summary.underflowed, summary.nan, summary.first) == (1, 2, 1 if f.has_inf else 2, 1)
    assert summary.step == "exp(x)" and summary.min == 0 and summary.max == (math.inf if f.has_inf else 1)


@pytest.mark.parametrize("name", FORMATS)
def test_no_result_is_not_an_overflow(name: str) -> None:
    o = plain(FORMATS[name])
    o.div(row([0.0, 1.0, 1.0]), row([0.0, 0.0, 2.0]))
    assert step(o).invalid[0].tolist() == [True, False, False]
    assert step(o).overflowed[0].tolist() == [False, True, False]
    o.log(row([-1.0, 0.0, 1.0]))
    assert step(o).invalid[0].tolist() == [True, False, False]
    assert step(o).overflowed[0].tolist() == [False, True, False]
    o.log(row([np.nan]))
    assert not step(o).invalid.any() and not step(o).overflowed.any() and step(o).nan.all()


@pytest.mark.parametrize("name", FORMATS)
def test_an_exact_zero_is_no_underflow(name: str) -> None:
    f, o = FORMATS[name], plain(FORMATS[name])
    s = f.smallest_normal
    o.mul(row([0.0, 1.0, s, s]), row([1.0, 0.0, 0.5, s]))
    assert step(o).underflowed[0].tolist() == [False, False, True, True]
    o.div(row([0.0, s, 1.0]), row([2.0, 2.0, 2.0]))
    assert step(o).underflowed[0].tolist() == [False, True, False]
    o.sub(row([s]), row([s]))
    assert not step(o).underflowed.any()
    o.exp(row([f.round(np.array(-np.inf))]))
    assert not step(o).underflowed.any()  # a masked class is 0, not lost


def test_an_overflowing_sum_of_finite_terms() -> None:
    f = FORMATS["float16"]
    for order in arithmetic.ORDERS:
        o = plain(f, order=order)
        o.sum(row([[8104.0] * 10, [1.0] * 10, [np.inf] + [1.0] * 9]))
        assert step(o).overflowed[:, 0].tolist() == [True, False, False], order
        assert step(o).summary(0).overflowed == 1 and step(o).summary(0).first == 0
        assert step(o).summary(1).first is None


def test_a_step_on_constants_has_a_summary_for_every_row() -> None:
    o = plain(FORMATS["float32"])
    o.sub(o.const(1), o.const(1e-7, "ε"))
    assert step(o).output.shape == (1, 1) and astuple(step(o).summary(5)) == astuple(step(o).summary(0))


def test_a_summary_of_nothing_but_nan() -> None:
    o = plain(FORMATS["float32"])
    o.add(row([np.nan, np.nan]), row([1.0, 1.0]))
    summary = step(o).summary(0)
    assert math.isnan(summary.min) and math.isnan(summary.max) and (summary.nan, summary.first) == (2, 0)


@pytest.mark.parametrize("name", SMALL)
def test_a_stalled_sum_is_measured(name: str) -> None:
    f = FORMATS[name]
    size = 4 * f.stall
    o = plain(f, order="sequential")
    o.sum(row(np.stack([np.ones(size), np.zeros(size)])))
    s = step(o)
    assert s.ignored is not None and s.stalled_at is not None
    assert s.output[0, 0] == f.stall and s.ignored[0] == pytest.approx(0.75) and s.stalled_at[0] == f.stall
    assert s.ignored[1] == 0 and s.stalled_at[1] == -1  # adding 0 changes nothing and loses nothing


def test_a_healthy_sum_is_not_called_stalled() -> None:
    f = FORMATS["float32"]
    o = plain(f, order="sequential")
    o.sum(row(np.full(1000, 0.1)))
    s = step(o)
    assert s.ignored is not None and s.stalled_at is not None and s.ignored[0] == 0 and s.stalled_at[0] == -1
    o.sum(row([1.0] + [1e-9] * 99))
    s = step(o)
    assert s.ignored is not None and s.stalled_at is not None
    assert s.ignored[0] == pytest.approx(99e-9, rel=1e-3) and s.stalled_at[0] == 1
    o.sum(row([np.inf, 1.0]))
    assert step(o).ignored == 0  # an overflow, not a stall
    for order in ("pairwise", "compensated"):
        o = plain(f, order=order)
        o.sum(row([1.0, 1e-9]))
        assert step(o).ignored is None and step(o).stalled_at is None


def test_parentheses_stand_where_they_must() -> None:
    o = plain(FORMATS["float64"])
    x = row([1.0, 2.0])
    a, b = Rows(x.values, "a"), Rows(x.values, "b")
    assert o.mul(o.add(a, b), o.neg(a)).expr == "(a + b)·−a"
    assert o.div(o.exp(a), o.sum(b)).expr == "exp(a)/(Σ b)"
    assert o.sub(a, o.sub(a, b)).expr == "a − (a − b)"
    assert o.exp(o.sub(a, b)).expr == "exp(a − b)"


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (4, 1), (5, 9)])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0, 2.5, 3.0, -0.5, -1.0, -2.0])
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_powers_of_infinities_are_those_of_mpfr(dtype: str, power: float, shape: tuple[int, int]) -> None:
    """Whatever the shape: NumPy's power of -inf and 0.5 depends on the machine."""
    ar = Arithmetic(FORMATS[dtype], FORMATS[dtype])
    for x in (-math.inf, math.inf):
        got = ar.pow(Rows(np.full(shape, x), "x"), power).values
        want = float(gmpy2.mpfr(x) ** gmpy2.mpfr(power))
        assert (got == want).all() and (np.signbit(got) == np.signbit(want)).all()
