"""The divergence of rows that nearly agree, and its gradient, to every digit: against Arb, and quickly."""

from __future__ import annotations

import os
import time
from fractions import Fraction

import flint
import numpy as np
import pytest
from samples import ball, precision

from smcli.reference.arbitrary import Asked, ExactRow

ROWS = int(os.environ.get("SMCLI_ARB_ROWS", "60"))
INF = float("inf")
LONGEST = 0.5  # seconds for one number; what is closer to others than more bits can tell took 3 to 70


precise = precision()


def exact(x, teacher, quantity, i, **options):
    reverse = options.pop("reverse", False)
    row = ExactRow(x, Asked(kind="kl", teacher=list(teacher), reverse=reverse, **options))
    start = time.process_time()
    found = row.enclose(quantity, i, 100)
    row.decimal(quantity, i, 17)
    row.round_to(quantity, i, 53, -1022)
    assert time.process_time() - start < LONGEST, (x, teacher, quantity, i)
    return flint.arb(found.lo) / found.den * flint.arb(2) ** found.exp


def effective(values, temperature, softcap):
    y = [None if v == -INF else ball(v) / ball(temperature) for v in values]
    return y if softcap is None else [None if v is None else ball(softcap) * (v / ball(softcap)).tanh() for v in y]


def logs(y):
    lse = sum((v.exp() for v in y if v is not None), flint.arb(0)).log()
    return [None if v is None else v - lse for v in y]


def truth(x, teacher, quantity, i, temperature, softcap, reverse):
    """By the definitions."""
    y = effective(x, temperature, softcap)
    log_p, log_t = logs(y), logs(effective(teacher, temperature, softcap))
    first, second = (log_p, log_t) if reverse else (log_t, log_p)
    pairs = zip(first, second, strict=True)
    value = sum((a.exp() * (a - b) for a, b in pairs if a is not None and b is not None), flint.arb(0))
    if quantity == "kl":
        return value
    if log_p[i] is None:
        return flint.arb(0)
    if reverse:
        push = log_p[i].exp() * (log_p[i] - log_t[i] - value)
    else:
        push = log_p[i].exp() - (flint.arb(0) if log_t[i] is None else log_t[i].exp())
    slope = flint.arb(1) if softcap is None else 1 - (y[i] / ball(softcap)) ** 2
    return push * slope / ball(temperature)


def some(rng, scale):
    """A row of logits, and a teacher that differs from it by little, in one place, far out, or by the order alone."""
    n = int(rng.integers(2, 7))
    x = rng.normal(size=n)
    x = [
        x * scale,
        rng.integers(-3, 4, n) * scale,
        np.where(rng.random(n) < 0.5, 0, -scale),
        np.where(rng.random(n) < 0.5, x, x - scale),
        np.where(np.arange(n) == 1, x + scale, x),
        np.where(np.arange(n) == 1, 1.0 - scale, rng.integers(-1, 2, n)),
        x * rng.choice([1e-12, 1e-5], n),
    ][rng.integers(7)]
    a = x.copy()
    for _ in range(int(rng.integers(1, 3))):
        j = rng.integers(n)
        how = rng.integers(7)
        if how == 0:
            a = rng.permutation(a)
        elif how == 1:
            a = a + 1000.0
        elif how == 2:
            a[x.argmin()] -= scale
        else:
            a[j] = [np.nextafter(a[j], INF), np.nextafter(a[j], -INF), a[j] + 1, 2 * a[j]][how - 3]
    if rng.random() < 0.1:
        out = np.arange(n) == rng.integers(1, n)
        x, a = np.where(out, -INF, x), np.where(out, -INF, a)
    return x.tolist(), a.tolist()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 3.0])
@pytest.mark.parametrize("softcap", [None, 300.0])
def test_every_digit_by_the_definitions(softcap, temperature, reverse):
    flint.ctx.prec = 12000
    rng = np.random.default_rng([7, int(10 * temperature), reverse])
    options = {"temperature": temperature, "softcap": softcap, "reverse": reverse}
    for _ in range(ROWS):
        x, a = some(rng, float(rng.choice([1.0, 40.0, 300.0])))
        for quantity, i in (("kl", 0), *(("gradient", i) for i in range(len(x)))):
            value, want = exact(x, a, quantity, i, **options), truth(x, a, quantity, i, **options)
            assert abs(value - want) <= abs(want) * flint.arb(2) ** -99 + flint.arb(2) ** -9000, (x, a, quantity, i)


def crossing(x, teacher, i):
    """p_i − t_i by Σ_j e^(x_i + a_j) − e^(a_i + x_j), equal ones taken out."""
    x, a = [Fraction(v) for v in x], [Fraction(v) for v in teacher]
    tops = max(x), max(a)
    plus, minus = [x[i] + v for v in a], [a[i] + v for v in x]
    for v in list(plus):
        if v in minus:
            plus.remove(v)
            minus.remove(v)
    e = {v: (flint.arb((v - sum(tops)).numerator) / (v - sum(tops)).denominator).exp() for v in plus + minus}
    wholes = [
        sum(((flint.arb((v - m).numerator) / (v - m).denominator).exp() for v in row), flint.arb(0))
        for row, m in ((x, tops[0]), (a, tops[1]))
    ]
    zero = flint.arb(0)
    return (sum((e[v] for v in plus), zero) - sum((e[v] for v in minus), zero)) / (wholes[0] * wholes[1])


@pytest.mark.parametrize("scale", [1e5, 1e9, 1e18, 1e100, 1e300])
def test_huge_logits_that_nearly_agree(scale):
    flint.ctx.prec = 5000
    rng = np.random.default_rng(8)
    for _ in range(ROWS):
        x, a = some(rng, scale)
        if -INF in x:
            continue
        for i in range(len(x)):
            value, want = exact(x, a, "gradient", i), crossing(x, a, i)
            assert abs(value - want) <= abs(want) * flint.arb(2) ** -99, (x, a, i)
            exact(x, a, "gradient", i, reverse=True)
        exact(x, a, "kl", 0)
        exact(x, a, "kl", 0, reverse=True, temperature=3.0)


def test_what_a_far_class_changes():
    """The divergence of rows that differ in a class at e^-d alone is t·(e^x − 1 − x), and the rest its square."""
    flint.ctx.prec = 3000
    t = flint.arb(-(10**18)).exp() / 2
    value = exact([0.0, 0.0, -1e18], [0.0, 0.0, -2e18], "kl", 0, reverse=True)
    assert abs(value - t * flint.arb(10**18)) <= value * flint.arb(2) ** -58  # the 1 beside 10^18 is less than that
    value = exact([0.0, 0.0, -1e18], [0.0, 0.0, -1e18 - 128], "gradient", 0)
    assert abs(value + t / 2 * (1 - flint.arb(-128).exp())) <= abs(value) * flint.arb(2) ** -99


def test_a_divergence_beside_a_tie():
    """2^53 + 1 lies halfway between two float64, and the divergence is above it by e^-(2^53)."""
    row = ExactRow([2.0**53 + 2, 1.0], Asked(kind="kl", teacher=[-1e18, 1e18]))
    assert row.round_to("kl", 0, 53, -1022) == 2**53 + 2
    assert row.decimal("kl", 0, 16) == "9007199254740993"


def test_rows_under_a_soft_cap_that_agree():
    for x, a in (([1.0, 1.0], [1001.0, 1001.0]), ([5.0, 5.0, -INF], [0.0, 0.0, -INF])):
        row = ExactRow(x, Asked(kind="kl", softcap=30.0, teacher=a))
        assert row.triple("kl", 0) == (0, 0, 0) and row.decimal("gradient", 0, 17) == "0"
    assert exact([0.0, 1e5], [0.0, 2e5], "kl", 0, softcap=2.5) > 0
    assert exact([0.0, 1e5], [0.0, 2e5], "gradient", 0, softcap=2.5, reverse=True) > 0


def test_a_long_row_costs_one_sum_and_not_one_for_each_class():
    rng = np.random.default_rng(9)
    x = rng.normal(0, 10, 2048)
    row = ExactRow(x.tolist(), Asked(kind="kl", softcap=30.0, teacher=(x + 1e-5 * rng.normal(size=2048)).tolist()))
    start = time.process_time()
    for i in range(100):
        row.triple("gradient", i)
    assert time.process_time() - start < 4  # 9 where the sums of the teacher are taken once more for each
