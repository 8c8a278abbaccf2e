"""Errors and verdicts against slow definitions in fractions."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest

from smcli.judge.measure import Errors, Limit, as_float, floor_log2, measure, round_truth, worst
from smcli.model import Problem, Truth, Verdict
from smcli.numbers.formats import FORMATS, Format
from smcli.reference import Reference

Number = Fraction | float  # an exact number, or nan or an infinity


def log2_floor(t: Fraction) -> int:
    size = abs(t)
    e = size.numerator.bit_length() - size.denominator.bit_length()
    return e - (Fraction(2) ** e > size)


def spacing(t: Fraction, f: Format) -> Fraction:
    return Fraction(2) ** (max(log2_floor(t), f.emin) - f.p + 1) if t else Fraction(f.smallest_subnormal)


def nearest(t: Number, f: Format) -> float:
    if isinstance(t, float):
        return t if math.isnan(t) else math.copysign(f.overflow, t)
    quantum = spacing(t, f)
    y = round(t / quantum) * quantum
    return math.copysign(f.overflow, 1 if t > 0 else -1) if abs(y) > Fraction(f.max) else float(y)


def truth_of(numbers: list[Number], bound: float = 0.0) -> Truth:
    """Numbers of at most 106 bits as a Truth [1, N]."""
    hi, lo, exp2 = [], [], []
    for t in numbers:
        if isinstance(t, float) or not t:
            hi.append(float(t)), lo.append(0.0), exp2.append(0)
            continue
        e = log2_floor(t)
        scaled = t / Fraction(2) ** e
        hi.append(float(scaled)), lo.append(float(scaled - Fraction(float(scaled)))), exp2.append(e)
        assert Fraction(hi[-1]) + Fraction(lo[-1]) == scaled
    return Truth(np.array([hi]), np.array([lo]), np.array([exp2], dtype=np.int64), bound)


def judge(values: list[float], truths: list[Number], f: Format, limit: float = 8.0, rel: float = math.inf,
          infinite: bool = False) -> Errors:  # fmt: skip
    rounded = np.array([[nearest(t, f) for t in truths]])
    return measure(
        np.array([values]), truth_of(truths), rounded, f, Limit(np.array(limit), rel), np.array([[infinite]])
    )


def slow_errors(y: float, t: Number, f: Format) -> tuple[float, float]:
    """NUMERICS §3, word for word."""
    if isinstance(t, float):
        if math.isnan(y):
            return (0.0, 0.0) if math.isnan(t) else (math.nan, math.nan)
        return (0.0, 0.0) if y == t else (math.inf, math.inf)
    if math.isnan(y):
        return math.nan, math.nan
    if math.isinf(y):
        return math.inf, math.inf
    apart = abs(Fraction(y) - t)
    return ratio(apart, spacing(t, f)), ratio(apart, abs(t)) if t else (math.inf if y else 0.0)


def ratio(a: Fraction, b: Fraction) -> float:
    try:
        return float(a / b)
    except OverflowError:
        return math.inf


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def slow_verdict(y: float, t: Number, f: Format, limit: float, rel: float, infinite: bool) -> Verdict:
    """CONTRACT §2, in its order."""
    due, errors = nearest(t, f), slow_errors(y, t, f)
    holds = math.isinf(t) if isinstance(t, float) else (not t or (math.isfinite(due) and due != 0))
    if infinite or (isinstance(t, float) and math.isnan(t)):
        return Verdict.UNDEFINED
    if holds and same(y, due):
        return Verdict.CORRECT
    if not holds and same(y, due):
        return Verdict.NOT_REPRESENTABLE
    if (not math.isfinite(y) and math.isfinite(due)) or (y == 0 and holds):
        return Verdict.LOST
    return Verdict.OK if errors[0] <= limit and errors[1] <= rel else Verdict.INACCURATE


def interesting_truths(f: Format) -> list[Number]:
    s, top, u = Fraction(f.smallest_subnormal), Fraction(f.max), Fraction(f.unit_roundoff)
    last = spacing(top, f)
    sizes = [
        Fraction(1), 1 + u, 1 + u / 2, 1 + 2 * u, 1 - u / 4, Fraction(21845, 65536),
        s, s / 2, s * Fraction(15, 32), s * Fraction(17, 32), s * Fraction(5, 4),
        Fraction(f.smallest_normal), Fraction(f.smallest_normal) * (1 - u / 2), Fraction(3, 2) * Fraction(2) ** -5000,
        top, top + last * Fraction(3, 8), top + last / 2, top + last * Fraction(5, 8), Fraction(5, 4) * Fraction(2) ** 3000,
    ]  # fmt: skip
    numbers: list[Number] = [math.nan, math.inf, -math.inf, Fraction(0)]
    return numbers + [sign * t for t in sizes for sign in (1, -1)]


def interesting_values(f: Format) -> list[float]:
    s, u = f.smallest_subnormal, f.unit_roundoff
    sizes = [0.0, s, 2 * s, f.smallest_normal, 1.0, 1 + 2 * u, 1 + 16 * u, 1 / 3, 2.0, f.max, math.inf]
    return [math.nan, *(sign * float(f.round(np.array(y))) for y in sizes for sign in (1, -1))]


@pytest.mark.parametrize("infinite", [False, True])
@pytest.mark.parametrize(("limit", "rel"), [(8.0, math.inf), (0.6, math.inf), (1e9, 1e-3), (0.0, 0.0)])
@pytest.mark.parametrize("name", FORMATS)
def test_every_combination_of_truth_and_value(name: str, limit: float, rel: float, infinite: bool) -> None:
    f = FORMATS[name]
    pairs = list(itertools.product(interesting_values(f), interesting_truths(f)))
    got = judge([y for y, _ in pairs], [t for _, t in pairs], f, limit, rel, infinite)
    for k, (y, t) in enumerate(pairs):
        ulp, relative = slow_errors(y, t, f)
        assert same(got.ulp[0, k], ulp) or got.ulp[0, k] == pytest.approx(ulp, rel=1e-12, abs=1e-300), (y, t)
        assert same(got.rel[0, k], relative) or got.rel[0, k] == pytest.approx(relative, rel=1e-12), (y, t)
        assert got.verdicts[0, k] == slow_verdict(y, t, f, limit, rel, infinite), (y, t)


@pytest.mark.parametrize("name", FORMATS)
def test_each_verdict_by_example(name: str) -> None:
    f = FORMATS[name]
    u, s = f.unit_roundoff, f.smallest_subnormal
    tiny, huge = Fraction(3, 2) * Fraction(2) ** -3000, Fraction(2) ** 3000
    examples: list[tuple[float, Number, Verdict]] = [
        (1.0, math.nan, Verdict.UNDEFINED),
        (math.nan, math.nan, Verdict.UNDEFINED),
        (1.0, Fraction(1), Verdict.CORRECT),
        (1.0, 1 + Fraction(u) / 2, Verdict.CORRECT),
        (-0.0, Fraction(0), Verdict.CORRECT),
        (f.overflow, math.inf, Verdict.CORRECT),
        (0.0, tiny, Verdict.NOT_REPRESENTABLE),
        (f.overflow, huge, Verdict.NOT_REPRESENTABLE),
        (math.nan, Fraction(1), Verdict.LOST),
        (math.inf, Fraction(1), Verdict.LOST),
        (0.0, Fraction(s), Verdict.LOST),
        (math.nan, tiny, Verdict.LOST),
        (math.nan, Fraction(0), Verdict.LOST),
        (1 + 2 * u, Fraction(1), Verdict.OK),
        (s, tiny, Verdict.OK),
        (1 + 32 * u, Fraction(1), Verdict.INACCURATE),
        (32 * s, tiny, Verdict.INACCURATE),
        (-f.overflow, huge, Verdict.NOT_REPRESENTABLE if not f.has_inf else Verdict.INACCURATE),
        (f.max, huge, Verdict.INACCURATE if f.p > 4 else Verdict.OK),  # 2^(p − 1) ulp away
        (32 * s, Fraction(0), Verdict.INACCURATE),
    ]
    got = judge([y for y, _, _ in examples], [t for _, t, _ in examples], f)
    assert got.verdicts[0].tolist() == [v for _, _, v in examples]
    assert [v.label for v in Verdict] == ["undefined", "correct", "not-representable", "lost", "ok", "inaccurate"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_correctly_rounded_result_is_within_half_an_ulp(name: str) -> None:
    f, rng = FORMATS[name], random.Random(1)
    truths: list[Number] = []
    for _ in range(3000):
        e = rng.randint(f.emin - f.p + 1, math.frexp(f.max)[1] - 2)
        truths.append(rng.choice([-1, 1]) * (1 + Fraction(rng.getrandbits(100), 2**100)) * Fraction(2) ** e)
    y = [nearest(t, f) for t in truths]
    got = judge(y, truths, f)
    assert got.ulp.max() <= 0.5 and (got.verdicts == Verdict.CORRECT).all()
    assert got.ulp.max() > 0.499
    off = [v + 2 * float(spacing(t, f)) for v, t in zip(y, truths, strict=True)]  # type: ignore[arg-type]
    slow = [slow_errors(v, t, f) for v, t in zip(off, truths, strict=True)]
    far = judge(off, truths, f)
    assert far.ulp[0].tolist() == pytest.approx([a for a, _ in slow], rel=1e-12)
    assert far.rel[0].tolist() == pytest.approx([b for _, b in slow], rel=1e-12)


def test_the_spacing_is_that_at_the_truth() -> None:
    f = FORMATS["float32"]
    below = 1 - Fraction(1, 2**40)  # its neighbours are 2^-24 apart, though 1 is returned, where they are 2^-23
    assert judge([1.0], [below], f).ulp[0, 0] == 2.0**-40 / 2.0**-24
    assert judge([2.0**-148], [Fraction(1, 2**150)], f).ulp[0, 0] == 1.5  # 2^-148, in spacings of 2^-149


def test_what_underflows_is_not_far_from_0() -> None:
    errors = judge([0.0], [Fraction(3, 2) * Fraction(2) ** -5774], FORMATS["float64"])
    assert errors.ulp[0, 0] == 0 and errors.rel[0, 0] == 1 and errors.verdicts[0, 0] == Verdict.NOT_REPRESENTABLE
    farthest = Truth(np.array([[1.5]]), np.array([[0.0]]), np.array([[-(2**62)]]), 0.0)
    got = measure(
        np.array([[0.0]]), farthest, np.array([[0.0]]), FORMATS["float64"], Limit(np.array(8.0)), np.array([[False]])
    )
    assert got.ulp[0, 0] == 0 and got.rel[0, 0] == 1


def test_floor_log2() -> None:
    powers = [Fraction(2) ** e for e in (-3000, -1074, -1, 0, 1, 52, 1023, 4000)]
    shifts = [Fraction(0), Fraction(1, 2**60), -Fraction(1, 2**60), Fraction(1, 2), -Fraction(1, 2**53)]
    numbers = [sign * p * (1 + d) for p in powers for d in shifts for sign in (1, -1)]
    truth = truth_of(list(numbers))
    assert floor_log2(truth)[0].tolist() == [log2_floor(t) for t in numbers]
    # the same numbers with a power of two in hi and the rest, of the other sign, in lo
    hi, lo = np.array([[2.0, 2.0, -2.0, -1.0, 1.0]]), np.array([[-1e-30, 1e-30, 1e-30, -1e-30, 0.0]])
    assert floor_log2(Truth(hi, lo, np.full((1, 5), 7), 0.0))[0].tolist() == [7, 8, 7, 7, 7]
    special = truth_of([math.nan, math.inf, Fraction(0)])
    assert floor_log2(special)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", FORMATS)
def test_round_truth_is_right_or_says_that_it_cannot_tell(name: str) -> None:
    f, rng = FORMATS[name], random.Random(2)
    numbers: list[Number] = []
    for _ in range(3000):
        e = rng.randint(f.emin - f.p - 2, math.frexp(f.max)[1])
        kept = min(f.p, 53)
        t = Fraction(rng.getrandbits(kept) | 1 << (kept - 1), 2 ** (kept - 1))
        t += rng.choice([0, 1, 1]) * Fraction(1, 2**kept)  # a value or a midpoint
        t += rng.choice([0, 0, 1, -1]) * Fraction(1, 2 ** rng.randint(kept + 1, 100))
        numbers.append(rng.choice([-1, 1]) * t * Fraction(2) ** e)
    numbers += interesting_truths(f)
    bound = 2.0**-85 if f.p == 53 else 2.0**-47
    got, undecided = round_truth(truth_of(numbers, bound), f)
    for k, t in enumerate(numbers):
        assert undecided[0, k] or same(got[0, k], nearest(t, f)), t
        if isinstance(t, Fraction) and not undecided[0, k]:  # all that it could be rounds alike
            ends = {nearest(t * (1 + sign * Fraction(bound)), f) for sign in (1, -1)}
            assert len(ends) == 1 or all(map(math.isnan, ends)), t
    decided = [Fraction(1), Fraction(3, 4), 1 + Fraction(f.unit_roundoff) / 2, Fraction(f.max), Fraction(2) ** -4000]
    assert not round_truth(truth_of(list(decided), bound), f)[1].any()
    ties = [1 + Fraction(f.unit_roundoff), Fraction(f.smallest_subnormal) / 2]
    assert round_truth(truth_of(list(ties), bound), f)[1].all()
    assert undecided.mean() < 0.7


def test_settled_roundings_are_right() -> None:
    """Two equal logits: p is 1/2 exactly; three: 1/3, at whatever number of bits."""
    for name, f in FORMATS.items():
        for n in (2, 3, 4, 7):
            reference = Reference(Problem(name, np.ones((1, n))))
            got = reference.settle("softmax", *round_truth(reference.truth("softmax"), f), f)
            assert got[0].tolist() == [nearest(Fraction(1, n), f)] * n


def test_as_float() -> None:
    numbers: list[Number] = [Fraction(5, 8), -Fraction(2) ** -3000,
                             Fraction(2) ** 3000, math.nan, math.inf, Fraction(0), Fraction(2) ** -1074]  # fmt: skip
    got = as_float(truth_of(numbers))[0].tolist()
    assert got[:3] == [0.625, 0, math.inf] and math.isnan(got[3]) and got[4:] == [math.inf, 0, 5e-324]


def test_both_limits_hold_at_once() -> None:
    f = FORMATS["float32"]
    y, t = [1 + 4 * 2.0**-23], [Fraction(1)]
    assert judge(y, list(t), f, 8.0, 1e-6).verdicts[0, 0] == Verdict.OK
    assert judge(y, list(t), f, 3.0, 1e-6).verdicts[0, 0] == Verdict.INACCURATE
    assert judge(y, list(t), f, 8.0, 1e-7).verdicts[0, 0] == Verdict.INACCURATE


def test_worst() -> None:
    assert worst(np.array([1.0, 5.0, 5.0])) == 1
    assert worst(np.array([1.0, math.nan, math.inf, math.nan])) == 1
    assert worst(np.array([1.0, math.inf, 2.0])) == 1
    assert worst(np.array([0.0])) == 0


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_the_short_way_of_plain_truths_is_the_long_way(name: str) -> None:
    """Every combination of awkward values and truths, and many plain ones, give the same errors and verdicts."""
    f, rng = FORMATS[name], np.random.default_rng(0)
    awkward = [0.0, -0.0, np.inf, -np.inf, np.nan, f.smallest_subnormal, f.smallest_normal, 1.0, -1.0, f.max / 4]
    near = rng.normal(0, 1, 4000) * 2.0 ** rng.integers(-30, 3, 4000)
    ties = f.round(near) * (1 + 2.0**-f.p) * (1 + rng.choice([0.0, 2.0**-52, -(2.0**-52), 2.0**-45], 4000))
    t = np.concatenate([np.repeat(awkward, len(awkward)), near, ties, rng.uniform(0, 1, 4000) * 1e-50])[None]
    y = np.concatenate([np.tile(awkward, len(awkward)), f.round(near * (1 + rng.normal(0, 1e-3, 4000))),
                        f.round(ties), np.zeros(4000)])[None]  # fmt: skip
    shape, zero = t.shape, np.float64(0)
    plain = Truth(t, np.broadcast_to(zero, shape), np.broadcast_to(np.int64(0), shape), 2.0**-47)
    whole = Truth(t, np.zeros(shape), np.zeros(shape, np.int64), 2.0**-47)
    finite = np.isfinite(t[0])
    small = Truth(t[:, finite], plain.lo[:, finite], plain.exp2[:, finite], plain.bound)
    for one, other in ((plain, whole), (small, Truth(small.hi, small.lo.copy(), small.exp2.copy(), small.bound))):
        short, long = round_truth(one, f), round_truth(other, f)
        assert np.array_equal(short[0], long[0], equal_nan=True)
        assert np.array_equal(short[1], long[1])
        values = y if one is plain else y[:, finite]
        for infinite in (False, True):
            rows = np.array([[infinite]])
            for limit in (Limit(np.array(8.0)), Limit(np.array(np.inf), 1e-3)):
                a = measure(values, one, short[0], f, limit, rows)
                b = measure(values, other, long[0], f, limit, rows)
                for left, right in zip((a.ulp, a.rel, a.verdicts), (b.ulp, b.rel, b.verdicts), strict=True):
                    assert np.array_equal(left, right, equal_nan=left.dtype.kind == "f")


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_a_plain_truth_near_the_middle_of_two_numbers_is_undecided(name):
    fmt = FORMATS[name]
    middle = 1 + 2.0**-fmt.p  # between 1 and the next number
    hi = np.array([[middle, middle * (1 + 2.0**-40), 1.0, fmt.smallest_subnormal * 1.5, fmt.smallest_subnormal / 8]])
    nothing = np.broadcast_to(np.float64(0), hi.shape)
    plain = Truth(hi, nothing, np.broadcast_to(np.int64(0), hi.shape), 2.0**-30)
    whole = Truth(hi, np.zeros(hi.shape), np.zeros(hi.shape, np.int64), 2.0**-30)
    for truth in (plain, whole):
        assert round_truth(truth, fmt)[1].tolist() == [[True, True, False, True, False]]
    sharp = Truth(hi, nothing, np.broadcast_to(np.int64(0), hi.shape), 2.0**-50)
    assert round_truth(sharp, fmt)[1].tolist() == [[True, False, False, True, False]]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_an_error_is_excused_within_the_rounding_of_the_parts_and_no_further(dtype):
    fmt = FORMATS[dtype]
    spacing = 2.0 ** (1 - fmt.p)  # of the parts, which are 1
    t = 4 * spacing  # their difference
    hi = np.array([[t] * 4])
    truth = Truth(hi, np.zeros(hi.shape), np.zeros(hi.shape, np.int64), 2.0**-90)
    values = np.array([[0.0, t + 9 * spacing, t + 11 * spacing, 0.5]])
    limit = Limit(np.array(8.0), parts=np.ones(hi.shape), base=np.array(10.0))
    verdicts = measure(values, truth, fmt.round(hi), fmt, limit, np.zeros((1, 1), dtype=bool)).verdicts[0]
    assert verdicts.tolist() == [Verdict.OK, Verdict.OK, Verdict.INACCURATE, Verdict.INACCURATE]
