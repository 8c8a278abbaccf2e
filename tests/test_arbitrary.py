"""The certified truth of a row against Arb and MPFR, at the edges, and in decimal and binary rounding."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import time
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import flint
import gmpy2
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from samples import precision

from smcli.errors import PrecisionError
from smcli.reference.arbitrary import Asked, Enclosure, ExactRow, decimal_of, reduced, reduced_triple
from smcli.reference.arbitrary.ziv import until

INF, NAN = math.inf, math.nan
F = Fraction
LARGEST = sys.float_info.max
VECTORS = ("softmax", "log-softmax", "gradient", "vjp")


def exact_row(logits, *, bce=False, **asked):
    return ExactRow(logits, Asked(**({"kind": "bce", "binary": True} if bce else {}), **asked))


precise = precision(6000)


# The oracle: textbook formulas in balls wide enough to survive every cancellation of rows of ordinary range.


def ball(x: float | F) -> flint.arb:
    x = F(x)
    return flint.arb(flint.fmpq(x.numerator, x.denominator))


class Oracle:
    def __init__(
        self,
        logits,
        temperature=1.0,
        softcap=None,
        coefficients=None,
        z_loss=0.0,
        factor=1,
        cotangent=None,
        bce=False,
    ):
        self.n = len(logits)
        self.there = [x != -INF for x in logits]
        x = [ball(v if there else 0) / ball(temperature) for v, there in zip(logits, self.there, strict=True)]
        self.slope = [ball(1) / ball(temperature)] * self.n
        if softcap is not None:
            cap = ball(softcap)
            steep = [1 / (v / cap).cosh() ** 2 if there else ball(1) for v, there in zip(x, self.there, strict=True)]
            x = [cap * (v / cap).tanh() for v in x]
            self.slope = [s * t for s, t in zip(self.slope, steep, strict=True)]
        self.y = x
        e = [v.exp() if there else ball(0) for v, there in zip(x, self.there, strict=True)]
        self.sum = sum(e, ball(0))
        self.p = [v / self.sum for v in e]
        self.c = None if coefficients is None else [ball(v) for v in coefficients]
        self.z_loss, self.factor, self.bce = ball(z_loss), ball(factor), bce
        self.v = None if cotangent is None else [ball(v) for v in cotangent]

    def of(self, quantity: str, i: int) -> flint.arb:
        return getattr(self, {"bce": "bce_loss"}.get(quantity, quantity.replace("-", "_")))(i)

    def softmax(self, i):
        return self.p[i]

    def logsumexp(self, _):
        return self.sum.log()

    def log_softmax(self, i):
        return self.y[i] - self.sum.log()

    def cross_entropy(self, i):
        lse = self.sum.log()
        if self.c is None:
            return lse - self.y[i]
        terms = (c * (lse - y) for c, y, there in zip(self.c, self.y, self.there, strict=True) if there)
        return sum(terms, ball(0)) + self.z_loss * lse * lse

    def bce_loss(self, i):
        return (1 + self.y[i].exp()).log() - self.y[i] * self.c[i]

    def gradient(self, i):
        if self.bce:
            by_logit = 1 / (1 + (-self.y[i]).exp()) - self.c[i]
        else:
            by_logit = self.p[i] * (sum(self.c, ball(0)) + 2 * self.z_loss * self.sum.log()) - self.c[i]
        return by_logit * self.factor * self.slope[i]

    def jacobian(self, i):
        a, b = divmod(i, self.n)
        return self.p[a] * ((1 if a == b else 0) - self.p[b]) * self.slope[b]

    def vjp(self, i):
        mean = sum((p * v for p, v in zip(self.p, self.v, strict=True)), ball(0))
        return self.p[i] * (self.v[i] - mean) * self.slope[i]


def assert_digits(text: str, digits: int, true: flint.arb, value: Enclosure | float = NAN) -> None:
    """The text is the true value rounded to nearest; `value` says whether that is known exactly, so that it may tie."""
    if isinstance(value, Enclosure) and value.exact:
        exact = F(value.lo) * F(2) ** value.exp / value.den
        assert true.overlaps(ball(exact))
        assert Decimal(text) == divided(exact, digits)
        return
    if text == "0":
        assert true.contains(0)
        assert true.rad() < flint.arb(2) ** -3000
        return
    number = F(text)
    place = Decimal(text).adjusted()
    assert len(Decimal(text).as_tuple().digits) <= max(digits, place + 1)
    unit = F(10) ** (place + 1 - digits)
    off = abs(true - ball(number))
    power_of_ten = abs(number) == F(10) ** place  # below it units are ten times finer
    assert off < ball(unit / 2), (text, true)
    if power_of_ten and bool(abs(true) < ball(abs(number))):
        assert off <= ball(unit / 20), (text, true)


def divided(exact: F, digits: int) -> Decimal:
    return Context(prec=digits, rounding=ROUND_HALF_EVEN).divide(Decimal(exact.numerator), Decimal(exact.denominator))


def assert_triple(triple: tuple[float, float, int], true: flint.arb) -> None:
    hi, lo, exp = triple
    if hi == 0.0:
        assert (lo, exp) == (0.0, 0)
        assert true.contains(0)
        return
    assert 1 <= abs(hi) <= 2
    assert abs(lo) <= math.ulp(hi) / 2
    assert abs((ball(hi) + ball(lo)) * flint.arb((flint.fmpz(1), flint.fmpz(exp))) / true - 1) < flint.arb(2) ** -100


def some_logits(rng: random.Random, n: int) -> list[float]:
    kind = rng.randrange(9)
    if kind < 3:
        x = [rng.gauss(0, (1, 10, 200)[kind]) for _ in range(n)]
    elif kind == 3:
        x = [float(rng.randint(-4, 4)) for _ in range(n)]
    elif kind == 4:
        base = rng.gauss(0, 100)
        x = [base + rng.randint(0, 3) * math.ulp(base) for _ in range(n)]
    elif kind == 5:
        x = [rng.choice([-1, 1]) * 10 ** rng.uniform(-320, 2.5) for _ in range(n)]
    elif kind == 6:
        x = [rng.choice([5e-324, -5e-324, 1e-310, 0.0, -0.0, 2.2250738585072014e-308]) for _ in range(n)]
    elif kind == 7:
        x = [rng.choice([-700.0, 0.0, 1e-200, 700.0, -1.5]) for _ in range(n)]
    else:
        x = [rng.gauss(0, 5)] * n
    if rng.random() < 0.2:
        x[rng.randrange(n)] = -INF
    return x if any(v > -INF for v in x) else [0.0] * n


def some_options(rng: random.Random, x: list[float]) -> dict:
    n = len(x)
    kind = rng.randrange(5)
    if kind == 0:
        c = [F(0)] * n
        c[rng.randrange(n)] = F(1)
    elif kind == 1:
        c = [F(rng.random()) for _ in range(n)]
    elif kind == 2:
        c = [F(rng.choice([-1, 0, 0, 1, 2])) for _ in range(n)]
    elif kind == 3:
        c = [F(0.1) / n + (1 - F(0.1)) * (i == 0) for i in range(n)]
    else:
        c = [F(1, n)] * n
    return {
        "temperature": rng.choice([1.0, 1.0, 1.0, 0.5, 0.7, 3.0, 1e3]),
        "softcap": rng.choice([None, None, None, 1.0, 30.0, 0.1]),
        "coefficients": [F(0) if v == -INF else v2 for v, v2 in zip(x, c, strict=True)],
        "z_loss": rng.choice([0.0, 0.0, 1e-4, 0.5, -2.0]),
        "factor": rng.choice([F(1), F(1, 3), F(-5, 7), F(1, 1 << 20)]),
        "cotangent": [float(rng.choice([0, 1, -1, rng.gauss(0, 1)])) for _ in range(n)],
    }


def places(quantity: str, n: int, x: list[float]) -> list[int]:
    if quantity in {"logsumexp", "loss"}:
        return [0]
    if quantity == "jacobian":
        return list(range(n * n))
    return [i for i in range(n) if quantity != "log-softmax" or x[i] != -INF]


@pytest.mark.parametrize("seed", range(40))
def test_every_digit_of_every_quantity_against_arb(seed):
    rng = random.Random(seed)
    for _ in range(25):
        n = rng.choice([1, 2, 2, 3, 4, 7])
        x = some_logits(rng, n)
        options = some_options(rng, x)
        row, oracle = exact_row(x, **options), Oracle(x, **options)
        digits = rng.choice([1, 2, 17, 17, 30, 200])
        for quantity in ("softmax", "log-softmax", "logsumexp", "loss", "gradient", "jacobian", "vjp"):
            name = "cross-entropy" if quantity == "loss" else quantity
            for i in places(quantity, n, x):
                true = oracle.of(name, i)
                try:
                    text = row.decimal(name, i, digits)
                except PrecisionError as error:
                    pytest.fail(f"{error}: {x} {options} {name} {i} {digits}")
                if true.contains(0) and text != "0":
                    pytest.fail(f"the oracle cannot tell: {x} {options} {name} {i}")
                assert_digits(text, digits, true, row.enclose(name, i, 20))
                assert_triple(row.triple(name, i), true)


@pytest.mark.parametrize("seed", range(3))
def test_binary_cross_entropy_against_arb(seed):
    rng = random.Random(seed)
    for _ in range(60):
        x = [v if v > -INF else 0.0 for v in some_logits(rng, 5)]
        options = some_options(rng, x)
        options.pop("z_loss")
        options["coefficients"] = [F(rng.choice([0, 1, 0.5, 0.9, 1.5, -1])) for _ in x]
        row, oracle = exact_row(x, bce=True, **options), Oracle(x, bce=True, **options)
        digits = rng.choice([3, 17, 40])
        for i in range(len(x)):
            for quantity in ("bce", "gradient"):
                true = oracle.of(quantity, i)
                assert_digits(row.decimal(quantity, i, digits), digits, true, row.enclose(quantity, i, 20))
                assert_triple(row.triple(quantity, i), true)


def test_long_rows_against_arb():
    rng = random.Random(7)
    x = [rng.gauss(0, 10) for _ in range(400)]
    v = [rng.gauss(0, 1) for _ in x]
    c = [F(1, 400)] * 400
    row, oracle = exact_row(x, coefficients=c, cotangent=v), Oracle(x, coefficients=c, cotangent=v)
    for quantity in ("softmax", "log-softmax", "gradient", "vjp"):
        for i in range(0, 400, 37):
            assert_digits(row.decimal(quantity, i, 17), 17, oracle.of(quantity, i))
    assert_digits(row.decimal("cross-entropy", 0, 30), 30, oracle.of("cross-entropy", 0))


def test_against_mpfr():
    rng = random.Random(11)
    with gmpy2.context(precision=1500):
        for _ in range(300):
            x = [rng.gauss(0, 50) for _ in range(rng.randint(2, 8))]
            e = [gmpy2.exp(gmpy2.mpfr(v)) for v in x]
            s = gmpy2.fsum(e)
            row = exact_row(x)
            for digits in (17, 30, 200):
                for i, text in enumerate(row.decimals("softmax", range(len(x)), digits)):
                    assert Decimal(text) == Decimal(f"{e[i] / s:.{digits - 1}e}")
                for i, text in enumerate(row.decimals("log-softmax", range(len(x)), digits)):
                    assert Decimal(text) == Decimal(f"{gmpy2.log(e[i] / s):.{digits - 1}e}")
                assert Decimal(row.decimal("logsumexp", 0, digits)) == Decimal(f"{gmpy2.log(s):.{digits - 1}e}")


# Known values (NUMERICS.md, section 8).


@pytest.mark.parametrize(
    ("logits", "options", "quantity", "digits", "expected"),
    [
        ([1000, 2000, 3000, 4000, 5000], {}, "softmax", 17,
         ["6.6385371046556735e-1738", "1.3078390189212504e-1303", "2.5765358729611497e-869",
          "5.0759588975494568e-435", "1"]),
        ([1, 2, 3, 4, 5], {}, "softmax", 18,
         ["0.0116562309560396074", "0.0316849207961242689", "0.0861285444362687049", "0.234121657252736623",
          "0.636408646558830796"]),
        ([-0.775, -0.6175], {}, "logsumexp", 17, ["-5.2378479500875366e-6"]),
        ([-math.log(2)] * 2, {}, "logsumexp", 17, ["2.3190468138462996e-17"]),
        ([0, -40], {}, "logsumexp", 16, ["4.248354255291589e-18"]),
        ([-3.720075976020836e-44, -100], {}, "logsumexp", 14, ["-1.5705024907732e-60"]),
        ([40, 0], {"coefficients": [F(1), F(0)]}, "gradient", 16, ["-4.248354255291589e-18", "4.248354255291589e-18"]),
        ([0, -800], {"coefficients": [F(0), F(1)]}, "cross-entropy", 17, ["800"]),
        ([10, 0, -100], {"coefficients": [F(0), F(0), F(1)]}, "cross-entropy", 25, ["110.0000453988992168646468"]),
        ([16.942385, 0], {}, "log-softmax", 1, ["-4e-8", "-20"]),
        ([37.42994775023705, 0], {"coefficients": [F(1, 2)] * 2}, "gradient", 22,
         ["0.4999999999999999444888", "-0.4999999999999999444888"]),
        ([0.25] * 3, {}, "softmax", 20, ["0.33333333333333333333"] * 3),
        ([9] * 10, {}, "softmax", 17, ["0.1"] * 10),
        ([0] * 8192, {}, "softmax", 17, ["0.0001220703125"]),
        ([5e-324] * 2, {}, "softmax", 17, ["0.5", "0.5"]),
    ],
)  # fmt: skip
def test_known_values(logits, options, quantity, digits, expected):
    row = exact_row([float(x) for x in logits], **options)
    assert row.decimals(quantity, range(len(expected)), digits) == expected


# The edges.

EDGES = [
    # logits, softmax, log-softmax, logsumexp
    ([0.0, -INF], ["1", "0"], ["0", "-inf"], "0"),
    ([1.5], ["1"], ["0"], "1.5"),
    ([-INF, 0.5, 0.5], ["0", "0.5", "0.5"], ["-inf", "-0.69315", "-0.69315"], "1.1931"),
    ([-INF, -INF], ["nan", "nan"], ["nan", "nan"], "-inf"),
    ([INF, 1.0, -INF], ["1", "0", "0"], ["0", "-inf", "-inf"], "inf"),
    ([INF, 1.0, INF], ["nan", "0", "nan"], ["nan", "-inf", "nan"], "inf"),
    ([NAN, 1.0, INF], ["nan"] * 3, ["nan"] * 3, "nan"),
    ([NAN, -INF], ["nan"] * 2, ["nan"] * 2, "nan"),
]


@pytest.mark.parametrize(("x", "softmax", "log_softmax", "lse"), EDGES)
@pytest.mark.parametrize("softcap", [None, 1e9])
def test_the_table_of_conventions(x, softmax, log_softmax, lse, softcap):
    row = exact_row(x, softcap=softcap)
    n = range(len(x))
    assert row.decimals("softmax", n, 5) == softmax
    assert row.decimals("log-softmax", n, 5) == log_softmax
    assert row.decimal("logsumexp", 0, 5) == lse
    negated = [t[1:] if t[0] == "-" else t if t in {"0", "nan"} else "-" + t for t in log_softmax]
    assert row.decimals("cross-entropy", n, 5) == negated


@pytest.mark.parametrize(
    ("x", "c", "z_loss", "loss", "gradient"),
    [
        ([0.0, -INF], [1, 0], 0.0, "0", ["0", "0"]),
        ([0.0, -INF], [0, 1], 0.0, "inf", ["1", "-1"]),
        ([0.0, -INF], [0, -1], 0.0, "-inf", ["-1", "1"]),
        ([0.0, -INF, -INF], [0, 1, -1], 0.0, "nan", ["0", "-1", "1"]),
        ([INF, 0.0], [1, 0], 0.0, "0", ["0", "0"]),
        ([INF, 0.0], [0, 1], 0.0, "inf", ["1", "-1"]),
        ([INF, 0.0], [1, 0], 1.0, "inf", ["nan", "nan"]),
        ([INF, 0.0], [1, 0], -1.0, "-inf", ["nan", "nan"]),
        ([INF, INF, 0.0], [0, 0, 1], 0.0, "inf", ["nan"] * 3),
        ([INF, INF, 0.0], [1, 0, 0], 0.0, "nan", ["nan"] * 3),
        ([-INF, -INF], [1, 0], 0.0, "nan", ["nan"] * 2),
        ([NAN, 0.0], [0, 1], 0.0, "nan", ["nan"] * 2),
        ([3.0], [1], 0.0, "0", ["0"]),
        ([3.0], [1], 2.0, "18", ["12"]),
    ],
)
def test_losses_at_the_edges(x, c, z_loss, loss, gradient):
    row = exact_row(x, coefficients=[F(v) for v in c], z_loss=z_loss)
    assert row.decimal("cross-entropy", 0, 17) == loss
    assert row.decimals("gradient", range(len(x)), 17) == gradient


@pytest.mark.parametrize(
    ("y", "label", "loss", "gradient"),
    [
        (INF, 1, "0", "0"), (-INF, 0, "0", "0"), (INF, F(1, 2), "inf", "0.5"), (-INF, F(1, 2), "inf", "-0.5"),
        (INF, 2, "-inf", "-1"), (-INF, -1, "-inf", "1"), (NAN, 1, "nan", "nan"), (0.0, F(1, 2), "0.693", "0"),
        (0.0, F(1, 3), "0.693", "0.167"),
    ],
)  # fmt: skip
def test_binary_losses_at_the_edges(y, label, loss, gradient):
    row = exact_row([y, NAN], coefficients=[F(label), F(0)], bce=True)
    assert row.decimal("bce", 0, 3) == loss
    assert row.decimal("gradient", 0, 3) == gradient


def test_derivatives_of_rows_with_infinities():
    assert exact_row([INF, 1.0]).decimals("jacobian", range(4), 5) == ["0"] * 4
    assert exact_row([INF, INF]).decimals("jacobian", range(4), 5) == ["nan"] * 4
    assert exact_row([-INF, 1.0, 1.0]).decimals("jacobian", range(9), 5) == ["0"] * 4 + [
        "0.25",
        "-0.25",
        "0",
        "-0.25",
        "0.25",
    ]
    assert exact_row([0.0, 1.0], cotangent=[INF, 0.0]).decimal("vjp", 0, 5) == "nan"
    assert exact_row([0.0, -INF], cotangent=[3.0, 7.0]).decimals("vjp", range(2), 5) == ["0", "0"]


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp"])
def test_specials_as_pairs_and_enclosures(quantity):
    row = exact_row([NAN])
    assert math.isnan(row.triple(quantity, 0)[0])
    assert row.triple(quantity, 0)[1:] == (0.0, 0)
    assert isinstance(row.enclose(quantity, 0, 50), float)
    assert math.isnan(row.round_to(quantity, 0, 53, -1022))


def test_exact_values_come_out_as_points():
    assert exact_row([2.0] * 4).enclose("softmax", 0, 10).exact
    assert exact_row([2.0] * 3).enclose("softmax", 0, 10).den == 3
    assert exact_row([-2.5], temperature=3.0).enclose("logsumexp", 0, 10).exact
    assert exact_row([-2.5], temperature=3.0).decimal("logsumexp", 0, 20) == "-0.83333333333333333333"
    assert not exact_row([0.0, -1e300]).enclose("softmax", 0, 10).exact
    row = exact_row([0.0, 0.0, 5.0], cotangent=[1.0, -1.0, 0.0])
    assert row.decimals("vjp", [2], 17) == ["0"]
    assert exact_row([0.3, 7.0, -2.0], cotangent=[2.5] * 3).decimals("vjp", range(3), 17) == ["0"] * 3
    assert exact_row([0.3, 7.0], coefficients=[F(1, 2), F(-1, 2)]).decimals("gradient", [0, 1], 17) == ["-0.5", "0.5"]


# Ties and numbers very close to one.


def loss(d: float, temperature: float = 1.0) -> ExactRow:
    """A loss of d / T + log1p(e^(−d/T))."""
    return exact_row([0.0, -d], coefficients=[F(0), F(1)], temperature=temperature)


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (loss(2.5e300), 1, "3e300"),
        (loss(800.5), 3, "801"),
        (loss(800.5), 4, "800.5"),
        (loss(800.0), 17, "800"),
        (loss(LARGEST), 309, str(int(LARGEST))),
        (loss(LARGEST), 308, str(-(-int(LARGEST) // 10))[:308] + "e308"),
        (loss(1e5 + 0.5, 10.0), 5, "10000"),
        (loss(1000005.0, 10.0), 6, "100001"),  # 100000.5 and a little
        (loss(7.5e21, 5.0), 1, "2e21"),
    ],
)
def test_a_tie_with_a_tiny_rest_is_no_tie(value, digits, expected):
    text = value.decimal("cross-entropy", 0, digits)
    if digits == 308:
        assert Decimal(text).as_tuple().digits[:20] == tuple(map(int, expected[:20]))
    else:
        assert text == expected


@pytest.mark.parametrize("far", [-1e4, -1e308])
def test_neighbours_of_rational_numbers_are_told_apart_at_once(far):
    start = time.perf_counter()
    two, eight = exact_row([0.0, 0.0, far], coefficients=[F(1, 2), F(1, 2), F(0)]), exact_row([0.0] * 8 + [far])
    assert two.decimal("jacobian", 0, 1) == "0.2"  # 1/4 − e^far²/16
    assert two.decimal("jacobian", 1, 1) == "-0.2"  # −1/4 + e^far/4
    assert eight.decimal("softmax", 0, 2) == "0.12"
    assert exact_row([0.0] * 40 + [far]).decimal("softmax", 3, 1) == "0.02"
    assert exact_row([0.0, far], cotangent=[0.0, 0.25]).triple("vjp", 1)[0] > 0
    quarter = exact_row([0.0, far], coefficients=[F(1), F(1, 4)])
    assert quarter.decimal("gradient", 1, 1) == "-0.2"
    assert exact_row([0.0, far], coefficients=[F(0), F(-1, 4)]).decimal("gradient", 1, 1) == "0.2"
    assert exact_row([0.0, far, 0.0], cotangent=[0.5, 1.0, -0.5]).decimal("vjp", 0, 1) == "0.2"
    assert exact_row([far], coefficients=[F(3, 4)], bce=True).decimal("gradient", 0, 1) == "-0.7"
    assert exact_row([-far], coefficients=[F(3, 4)], bce=True).decimal("gradient", 0, 1) == "0.2"
    hi, lo, exp = two.triple("gradient", 0)  # −σ/2, e^far/4 in size
    assert hi < 0
    assert lo != 0
    assert exp < -14000
    assert time.perf_counter() - start < 5  # at once, on any machine


def test_exact_ties_go_to_even():
    assert exact_row([0.0] * 8).decimal("softmax", 0, 2) == "0.12"
    assert exact_row([2.5]).decimal("logsumexp", 0, 1) == "2"
    assert exact_row([3.5]).decimal("logsumexp", 0, 1) == "4"
    assert exact_row([-9.5]).decimal("logsumexp", 0, 1) == "-10"
    assert exact_row([0.0] * 40).decimal("softmax", 0, 1) == "0.02"


def log_of_text(text: str) -> tuple[flint.arb, int]:
    """log |t| of a text with an exponent too long for any number, and the digits it has."""
    digits, exponent = text.lstrip("-").split("e")
    return ball(F(digits)).log() + flint.arb(flint.fmpz(int(exponent))) * flint.arb(10).log(), len(digits) - 1


@pytest.mark.parametrize("x", [[LARGEST, 1.0, 2.0, 3.0], [1e300, 1e299, -1e300, 7.25], [1e18, -1e18, 12345.678, 0.0]])
def test_exponents_with_hundreds_of_digits(x):
    start = time.perf_counter()
    row = exact_row(x, cotangent=[1.0, 2.0, 3.0, 4.0])
    for digits in (1, 17, 200):
        assert row.decimal("softmax", 0, digits) == "1"
        for i in range(1, 4):
            got, _ = log_of_text(row.decimal("softmax", i, digits))
            true = ball(x[i]) - ball(x[0])
            assert abs(got - true) < ball(F(1, 2) * F(10) ** (1 - digits))
    got, _ = log_of_text(row.decimal("jacobian", 7, 30))
    assert abs(got - (ball(x[1]) + ball(x[3]) - 2 * ball(x[0]))) < ball(F(10) ** -29)
    assert row.triple("softmax", 1)[2] < -(10**17)
    assert row.round_to("softmax", 1, 53, -1022) == 0
    assert row.round_to("softmax", 0, 53, -1022) == 1
    assert row.round_to("log-softmax", 1, 53, -1022) == F(x[1] - x[0])
    assert time.perf_counter() - start < 5  # at once, on any machine


def test_a_temperature_can_stretch_logits_beyond_every_float():
    row = exact_row([LARGEST, 0.0], temperature=5e-324)
    assert Decimal(row.decimal("logsumexp", 0, 17)) == divided(F(LARGEST) / F(5e-324), 17)
    got, _ = log_of_text(row.decimal("softmax", 1, 20))
    assert abs(got + ball(LARGEST) / ball(5e-324)) < ball(F(1, 10**19))
    assert exact_row([1.0, 2.0], temperature=LARGEST).decimal("softmax", 0, 17) == "0.5"


def test_soft_caps_of_extreme_logits():
    row = exact_row([1e308, 1.0, -1e308], softcap=30.0, coefficients=[F(1), F(0), F(0)])
    p = row.decimals("softmax", range(3), 17)
    flint.ctx.prec = 300
    e = [ball(30).exp(), (ball(30) * (ball(1) / 30).tanh()).exp(), ball(-30).exp()]
    for text, v in zip(p, e, strict=True):
        assert_digits(text, 17, v / sum(e, ball(0)))
    assert row.triple("gradient", 0)[2] < -(2**60)


def test_a_value_that_cannot_be_settled_is_refused():
    row = exact_row([1e9, 2e9], softcap=1.0)  # 1/2 ∓ e^-2e9, and no formula that knows it
    assert row.decimal("softmax", 0, 17) == "0.5"
    with pytest.raises(PrecisionError, match="bits of precision"):
        until(lambda _: None, 50)


# Text and binary.


@given(
    st.integers(-(10**30), 10**30),
    st.integers(-120, 120),
    st.integers(1, 10**6),
    st.integers(1, 25),
)
@settings(deadline=None, max_examples=300)
def test_decimal_text_of_exact_values(n, exp, den, digits):
    text = decimal_of(Enclosure(n, n, exp, den), digits)
    exact = F(n) * F(2) ** exp / den
    expected = divided(exact, digits)
    assert Decimal(text) == expected
    if n:
        place = expected.adjusted()
        assert ("e" in text) == (place < -5 or place >= max(digits, 17))
        assert not (("." in text) and text.partition("e")[0].endswith("0"))


@settings(deadline=None)
@given(st.integers(1, 10**30), st.integers(1, 10**4), st.integers(-100, 100), st.integers(1, 20))
def test_an_enclosure_gives_digits_only_where_both_ends_agree(lo, width, exp, digits):
    text = decimal_of(Enclosure(lo, lo + width, exp), digits)
    inner = [F(lo) * F(2) ** exp + F(width) * F(2) ** exp * t for t in (F(1, 10**9), F(1, 2), 1 - F(1, 10**9))]
    rounded = {
        Context(prec=digits, rounding=ROUND_HALF_EVEN).divide(Decimal(v.numerator), Decimal(v.denominator))
        for v in inner
    }
    if text is not None:
        assert rounded == {Decimal(text)}


@pytest.mark.parametrize(
    ("n", "exp", "digits", "text"),
    [
        (0, 0, 5, "0"), (1, 0, 17, "1"), (100000, 0, 3, "100000"), (10**17, 0, 17, "1e17"),
        (10**17, 0, 18, "100000000000000000"),
        (15 * 10**19, 0, 17, "1.5e20"), (10**16, 0, 5, "10000000000000000"),
        (-5, -1, 17, "-2.5"), (999999, 0, 3, "1000000"),
        (1, -3, 17, "0.125"), (1, -17, 17, "7.62939453125e-6"),
        (1, -16, 17, "0.0000152587890625"),
    ],
)  # fmt: skip
def test_the_layout_of_numbers(n, exp, digits, text):
    assert decimal_of(Enclosure(n, n, exp), digits) == text


def test_enclosures_that_hold_zero_have_no_digits():
    assert decimal_of(Enclosure(-1, 1, 0), 5) is None
    assert decimal_of(Enclosure(0, 1, 0), 5) is None
    assert decimal_of(Enclosure(-1, 0, 0), 5) is None


@pytest.mark.parametrize("wide", [2000, 1 << 40])
def test_ten_thousand_digits(monkeypatch, wide):
    from smcli.reference.arbitrary import elementary

    monkeypatch.setattr(elementary, "WIDE", wide)
    elementary._exponentials.clear()
    text = exact_row([0.1, 0.2, -3.7]).decimal("softmax", 1, 10000)
    elementary._exponentials.clear()
    flint.ctx.prec = 33600
    e = [ball(v).exp() for v in (0.1, 0.2, -3.7)]
    true = e[1] / sum(e, ball(0))
    limit = sys.get_int_max_str_digits()
    assert limit == 4300
    assert len(text) <= 10002
    head, tail = text[2:5002], text[5002:]
    pieces = [int(head[i : i + 1000]) for i in range(0, 5000, 1000)]
    pieces += [int(tail[i : i + 1000].ljust(1000, "0")) for i in range(0, 5000, 1000)]
    number = flint.arb(0)
    for piece in pieces:
        number = number * 10**1000 + piece
    ten = flint.arb(10) ** 10000
    assert abs(number / ten - true) < 1 / (2 * ten)


@pytest.mark.parametrize(("p", "emin"), [(53, -1022), (24, -126), (11, -14), (8, -126), (4, -6)])
def test_correct_rounding_to_formats(p, emin):
    rng = random.Random(p)
    for _ in range(150):
        x = [rng.gauss(0, rng.choice([1, 5, 40, 400])) for _ in range(3)]
        row, oracle = exact_row(x), Oracle(x)
        for quantity in ("softmax", "log-softmax"):
            got, true = row.round_to(quantity, 0, p, emin), oracle.of(quantity, 0)
            assert isinstance(got, F)
            size = abs(float(got)) if abs(got) > F(2) ** -1070 else 0.0
            place = max(math.frexp(size)[1] - 1 if size else emin, emin)
            unit = F(2) ** (place - p + 1)
            assert (got / unit).denominator == 1
            assert abs(ball(got) - true) < ball(unit / 2)


def test_binary_ties_and_underflow():
    assert exact_row([0.0] * 3 + [-1e308]).round_to("softmax", 0, 8, -126) == F(171, 512)
    assert exact_row([9.0, -1e308]).round_to("logsumexp", 0, 3, -14) == 10  # 9 and a little
    assert exact_row([9.0]).round_to("logsumexp", 0, 3, -14) == 8  # 9 exactly: ties to even
    assert exact_row([0.0, -1e308]).round_to("softmax", 0, 53, -1022) == 1
    assert exact_row([0.0, -745.0]).round_to("softmax", 1, 53, -1022) == F(2) ** -1074
    assert exact_row([0.0, -746.0]).round_to("softmax", 1, 53, -1022) == 0
    assert exact_row([-INF, 0.0]).round_to("log-softmax", 0, 53, -1022) == -INF


# Sums over rows, and properties.


def test_reductions():
    rng = random.Random(3)
    rows, true = [], ball(0)
    for _ in range(20):
        x = [rng.gauss(0, 10) for _ in range(5)]
        c = [F(int(i == 2)) for i in range(5)]
        rows.append(exact_row(x, coefficients=c))
        true += Oracle(x, coefficients=c).of("cross-entropy", 0)
    assert_digits(reduced(rows, F(1), 30), 30, true)
    assert_digits(reduced(rows, F(1, 20), 17), 17, true / 20)
    assert_triple(reduced_triple(rows, F(1, 20)), true / 20)
    assert reduced([], F(1), 17) == "0"
    assert reduced([loss(2.0**1000), loss(0.25)], F(1), 1) == "1e301"
    assert reduced([exact_row([0.0], coefficients=[F(1)])] * 3, F(1, 3), 17) == "0"
    assert reduced([loss(1.0), exact_row([0.0, -INF], coefficients=[F(0), F(1)])], F(-1), 17) == "-inf"
    assert reduced([loss(1.0), exact_row([NAN, -INF], coefficients=[F(0), F(1)])], F(1), 17) == "nan"
    binary = exact_row([1.0, -2.0], coefficients=[F(1), F(0)], bce=True)
    assert_digits(reduced([binary], F(1, 2), 17), 17, ((1 + (-ball(1)).exp()).log() + (1 + ball(-2).exp()).log()) / 2)


def test_reductions_that_cancel():
    up, down = ([F(1), F(0)], [F(-1), F(0)])
    rows = [exact_row([0.0, 1.0], coefficients=up), exact_row([0.0, 1.0 + 2**-52], coefficients=down)]
    true = (1 + ball(1).exp()).log() - (1 + ball(1 + 2**-52).exp()).log()
    assert_digits(reduced(rows, F(1), 30), 30, true)


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=6), st.integers(-(2**20), 2**20))
@settings(deadline=None, max_examples=60)
def test_a_shift_changes_nothing_but_logsumexp(units, shift):
    x = [u / 1024 for u in units]
    moved = [(u + shift) / 1024 for u in units]
    for quantity in ("softmax", "log-softmax"):
        n = range(len(x))
        assert exact_row(x).decimals(quantity, n, 25) == exact_row(moved).decimals(quantity, n, 25)


@given(st.lists(st.floats(-1e300, 1e300) | st.floats(-50, 50), min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_softmax_adds_up_to_one(x):
    row = exact_row(x)
    total = F(0)
    for i in range(len(x)):
        value = row.enclose("softmax", i, 80)
        assume(value.exp > -(10**5))
        lo, hi = (F(n) * F(2) ** value.exp / value.den for n in (value.lo, value.hi))
        assert 0 < lo <= hi <= 1 + F(2) ** -70
        total += lo
    assert abs(total - 1) < F(2) ** -70


def test_text_is_the_same_with_and_without_gmpy2(monkeypatch):
    from smcli.reference.arbitrary import elementary

    x = [random.Random(5).gauss(0, 10) for _ in range(20)]
    fast = exact_row(x).decimals("softmax", range(20), 700)
    monkeypatch.setattr(elementary, "WIDE", 1 << 40)
    elementary._exponentials.clear()
    assert exact_row(x).decimals("softmax", range(20), 700) == fast
    elementary._exponentials.clear()


@pytest.mark.parametrize("far", [1e-20, 1e-40, 1e-300])
def test_a_pair_tells_the_side_of_a_power_of_2(far):
    above, below = (exact_row([0.0, -far]).triple("softmax", i) for i in (0, 1))
    assert above[0] * 2.0 ** above[2] == below[0] * 2.0 ** below[2] == 0.5
    assert above[1] >= 0 > below[1]


def test_importing_it_takes_no_time():
    code = (
        "import sys, json, smcli.reference.arbitrary as a; a.ExactRow([1.0, 2.0]).decimal('softmax', 0, 17); "
        "print(json.dumps(list(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"mpmath", "gmpy2"} & set(json.loads(run.stdout))


@pytest.mark.parametrize(("quantity", "match"), [("gradient", "coefficients"), ("vjp", "cotangent")])
def test_missing_arguments_are_named(quantity, match):
    with pytest.raises(ValueError, match=match):
        exact_row([0.0, 1.0]).decimal(quantity, 0, 5)
