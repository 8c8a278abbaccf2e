"""The tiers of the truth agree with one another and their decimal strings with those of arbitrary precision."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import flint
import numpy as np
import pytest
from flint import arb
from samples import precision

import smcli
from smcli.errors import PrecisionError, SmcliError, UsageError
from smcli.judge.measure import round_truth
from smcli.model import Loss, Problem, Truth
from smcli.numbers import formats
from smcli.quantities import get
from smcli.reference import Reference, double_double, float64, reduce_losses
from smcli.reference.arbitrary.decimal import decimal_of
from smcli.reference.arbitrary.interval import Enclosure
from smcli.reference.double_double import decimal as decimal_pairs
from smcli.reference.double_double.decimal import power_of_ten, texts

QUANTITIES = ("softmax", "log-softmax", "logsumexp", "cross-entropy", "gradient", "jacobian")
LOSSES = ("none", "hard", "weighted", "soft", "smoothed", "warm", "ignored", "scaled")


precise = precision(400)


def problem_of(name, dtype, rng, rows=60, spread=5.0):
    fmt = formats.get(dtype)
    n = int(rng.integers(2, 8))
    x = fmt.round(rng.normal(0, spread, (rows, n)) + rng.choice([0.0, 0.0, -20.0, 100.0], (rows, 1)))
    target, other = rng.integers(0, n, rows), {}
    loss = Loss(target=target)
    if name == "none":
        loss = None
    elif name == "weighted":
        loss = Loss(target=target, weights=fmt.round(rng.random(n) * 3))
    elif name == "soft":
        loss = Loss(labels=fmt.round(rng.random((rows, n)) * rng.integers(0, 2, (rows, n))))
    elif name == "smoothed":
        loss = Loss(target=target, smoothing=0.1)
    elif name == "warm":
        other["temperature"] = float(fmt.round(np.array([rng.choice([0.25, 0.7, 3])]))[0])
    elif name == "ignored":
        other["ignored"] = rng.random(rows) < 0.5
    elif name == "scaled":
        other["scale"] = Fraction(1, 7)
    return Problem(dtype, x, loss, **other)


def flat(array):
    return array.reshape(len(array), -1)


def value(hi, lo, exp2):
    return (arb(float(hi)) + arb(float(lo))) * arb(2) ** int(exp2)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("name", LOSSES)
def test_tiers_agree(name, dtype):
    rng = np.random.default_rng([LOSSES.index(name), len(dtype)])
    problem = problem_of(name, dtype, rng)
    reference, compared = Reference(problem), 0
    for quantity in QUANTITIES:
        if quantity == "gradient" and problem.loss is None:
            continue
        tiers = [("all", reference.truth(quantity), np.zeros((60, get(quantity).size(problem)), dtype=bool))]
        tiers += [(t.__name__, *t.attempt(problem, quantity)) for t in (float64, double_double)]
        for r in range(0, 60, 3):
            for i in range(0, get(quantity).size(problem), 1 if quantity != "jacobian" else 5):
                hi, lo, exp2 = reference.exact_row(r).triple(quantity, i)
                if problem.ignored is not None and problem.ignored[r] and quantity in {"cross-entropy", "gradient"}:
                    hi, lo, exp2 = 0.0, 0.0, 0
                exact = value(hi, lo, exp2)
                for tier, truth, missing in tiers:
                    if flat(missing)[r, i]:
                        continue
                    got = value(flat(truth.hi)[r, i], flat(truth.lo)[r, i], flat(truth.exp2)[r, i])
                    assert abs(got - exact) <= abs(exact) * (arb(truth.bound) + arb(2) ** -100), (tier, quantity, r, i)
                    compared += 1
    assert compared > 300


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_loss_changes_no_other_quantity(quantity):
    rng = np.random.default_rng(3)
    problem = problem_of("hard", "float64", rng, rows=10)
    bare = Reference(Problem("float64", problem.logits))
    if quantity in {"cross-entropy", "gradient"}:
        chosen = Reference(problem).truth("cross-entropy").hi[:, 0]
        every = bare.truth("cross-entropy").hi[np.arange(10), problem.loss.target]
        assert np.allclose(chosen, every, rtol=1e-15, atol=0)
        return
    for r in range(10):
        indices = range(get(quantity).size(problem))
        assert Reference(problem).strings(quantity, r, indices, 17) == bare.strings(quantity, r, indices, 17)


@pytest.mark.parametrize("spread", [0.01, 2.0, 30.0, 400.0])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_strings_equal_those_of_arbitrary_precision(dtype, spread):
    rng = np.random.default_rng([int(spread), len(dtype)])
    for name in ("none", "hard", "soft"):
        problem = problem_of(name, dtype, rng, rows=6, spread=spread)
        reference = Reference(problem)
        for quantity in QUANTITIES:
            if quantity == "gradient" and name == "none":
                continue
            indices = range(min(get(quantity).size(problem), 9))
            for r in range(6):
                for digits in (1, 2, int(rng.integers(3, 17)), 17):
                    found = reference.strings(quantity, r, indices, digits)
                    exact = reference.exact_row(r).decimals(quantity, indices, digits)
                    assert all(a == b for a, b in zip(found, exact, strict=True)), (
                        quantity,
                        digits,
                    )


@pytest.mark.parametrize(
    ("x", "quantity", "options"),
    [
        ([-13.907706192648469, -46.40977202378045], "cross-entropy", {"target": 0, "digits": 17}),
        ([-13.907706192648469, -46.40977202378045], "gradient", {"target": 0, "digits": 16}),
        ([0, -32.3], "logsumexp", {"digits": 17}),
        ([0, -32.3], "log-softmax", {"digits": 17}),
        ([0, -51.5], "gradient", {"target": 0, "digits": 9, "dtype": "float32"}),
    ],
)
def test_strings_of_tiny_values(x, quantity, options):
    found = smcli.exact(x, quantity, **options)
    exact = smcli.exact(x, quantity, **options | {"digits": 30})
    assert all(abs(arb(a) - arb(b)) <= abs(arb(b)) * arb("1e-8") for a, b in zip(found, exact, strict=True))


def pair(x):
    """A Truth of Fractions, good to 2^-100."""
    out = []
    for v in x:
        hi = float(v)
        out.append((hi, float(v - Fraction(hi)), 0))
    hi, lo, exp2 = (np.array(column) for column in zip(*out, strict=True))
    return Truth(hi.astype(float), lo.astype(float), exp2.astype(np.int64), 2.0**-100)


def written(v, digits):
    """The decimal text of a Fraction by integers alone."""
    return decimal_of(Enclosure(v.numerator, v.numerator, 0, v.denominator), digits)


@pytest.mark.parametrize("digits", [15, 16, 17])
def test_texts_just_below_a_power_of_ten(digits):
    below = Fraction(10) ** -9 * (1 - Fraction(5001, 10 ** (digits + 4)))
    assert texts(pair([below]), digits) in ([None], [written(below, digits)])


@pytest.mark.parametrize("power", [-15, -9, -1, 2, 16, 27])
def test_strings_just_below_a_power_of_ten(power):
    below = math.nextafter(float(f"1e{power}"), 0)
    wanted = f"{Decimal(below):.15e}"
    (found,) = smcli.exact([below], "logsumexp", digits=16)
    assert Decimal(found) == Decimal(wanted)


@pytest.mark.parametrize("digits", range(1, 18))
def test_texts_next_to_powers_of_ten_and_to_ties(digits):
    hard = []
    for k in range(-9, 10):
        for tiny in (
            0,
            Fraction(1, 10**19),
            -Fraction(1, 10**19),
            Fraction(1, 10**25),
            Fraction(1, 10**6),
            -Fraction(1, 10**6),
        ):
            hard.append(Fraction(10) ** k * (1 + tiny))
            hard.append(Fraction(10) ** k * (Fraction(25, 10) + tiny))
            hard.append(-(Fraction(10) ** k) * (Fraction(10**digits * 2 - 1, 2 * 10**digits) + tiny))
            hard.append(Fraction(10) ** k * (Fraction(3 * 10**digits + 5, 10**digits) + tiny))
    found = texts(pair(hard), digits)
    for v, text in zip(hard, found, strict=True):
        assert text is None or text == written(v, digits), (v, digits)
    assert sum(text is not None for text in found) > len(found) // 4


def test_texts_of_what_is_no_number():
    special = np.array([0.0, -0.0, math.inf, -math.inf, math.nan])
    truth = Truth(special, np.zeros(5), np.zeros(5, dtype=np.int64), 2.0**-85)
    assert texts(truth, 5) == ["0", "0", "inf", "-inf", "nan"]
    far = Truth(np.array([1.5]), np.zeros(1), np.array([1 << 40]), 2.0**-85)
    assert texts(far, 5) == [None]


@pytest.mark.parametrize("digits", [1, 5, 9, 17])
def test_texts_of_any_exponent(digits):
    rng = np.random.default_rng(digits)
    hi, lo = rng.uniform(1, 2, 300) * rng.choice([-1, 1], 300), rng.uniform(-1, 1, 300) * 2.0**-54
    exp2 = rng.integers(-60000, 60000, 300)
    for i, text in enumerate(texts(Truth(hi, lo, exp2, 2.0**-100), digits)):
        v = (Fraction(hi[i]) + Fraction(lo[i])) * Fraction(2) ** int(exp2[i])
        assert text is None or text == written(v, digits)


def test_powers_of_ten():
    ks = [*range(-400, 401), *(s * k for k in (1000, 4097, 12345, 99999, 315652) for s in (-1, 1))]
    for k in ks:
        hi, lo, exp2 = power_of_ten(k)
        assert 1 <= hi <= 2
        flint.ctx.prec = 300
        got, want = value(hi, lo, exp2), arb(10) ** k
        assert abs(got - want) <= want * arb(2) ** -105, k
        if abs(k) <= 400:
            got = (Fraction(hi) + Fraction(lo)) * Fraction(2) ** exp2
            assert abs(got / Fraction(10) ** k - 1) <= Fraction(1, 2**105)
    assert power_of_ten(0) == (1.0, 0.0, 0) and sum(power_of_ten(3)[:2]) * 2 ** power_of_ten(3)[2] == 1000
    assert decimal_pairs.MOST_DIGITS == 17


def test_what_pairs_leave_open_is_decided_by_integers():
    assert smcli.exact([2.5], "logsumexp", digits=1) == ["2"]  # exact ties, to even
    assert smcli.exact([3.5], "logsumexp", digits=1) == ["4"]
    assert smcli.exact([-2.5], "logsumexp", digits=1) == ["-2"]
    assert smcli.exact([0.125], "logsumexp", digits=2) == ["0.12"]
    assert smcli.exact([0.375], "logsumexp", digits=2) == ["0.38"]
    assert smcli.exact([9.5], "logsumexp", digits=1) == ["10"]
    assert smcli.exact([math.nextafter(2.5, 3)], "logsumexp", digits=1) == ["3"]
    for tail in (-100, -200, -800, -3000):
        assert smcli.exact([0, -2.5, tail], "cross-entropy", target=1, digits=1) == ["3"]  # 2.5 + tiny
        assert smcli.exact([2.5, tail], "logsumexp", digits=1) == ["3"]
        assert smcli.exact([-2.5, tail], "logsumexp", digits=1) == ["-2"]
        assert smcli.exact([0, tail], "softmax", digits=17)[0] == "1"
    assert smcli.exact([0, 0], "softmax", digits=1) == ["0.5", "0.5"]
    assert smcli.exact([0] * 4, "softmax", digits=1) == ["0.2"] * 4  # 0.25
    assert smcli.exact([0] * 8, "softmax", digits=2) == ["0.12"] * 8  # 0.125
    assert smcli.exact([0] * 3, "softmax", digits=3) == ["0.333"] * 3
    assert len(smcli.exact([0, -1e300], "cross-entropy", target=0, digits=3)[0]) > 300  # a 300-digit exponent, at once


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "float8_e5m2"])
def test_roundings_that_pairs_leave_open_are_settled(dtype):
    fmt = formats.get(dtype)
    for base in (1.0, 2.0, 1 + 2 * fmt.unit_roundoff):
        logits = np.array([[base, -4000.0], [base, -math.inf], [math.nextafter(base, 4), -math.inf]])
        problem = Problem("float64", logits)
        for r in range(3):
            reference = Reference(problem)
            truth = reference.truth("logsumexp")
            rounded = reference.settle("logsumexp", *round_truth(truth, fmt), fmt)
            assert rounded[r, 0] == float(reference.exact_row(r).round_to("logsumexp", 0, fmt.p, fmt.emin))
    if fmt.p >= 53:
        return
    tie = 1 + fmt.unit_roundoff  # half way between 1 and the next number: to 1, but to the next if anything is added
    step = 1 + 2 * fmt.unit_roundoff
    reference = Reference(
        Problem("float64", np.array([[tie, -math.inf], [tie, -4000.0], [-tie, -math.inf], [-tie, -4000.0]]))
    )
    rounded, undecided = round_truth(reference.truth("logsumexp"), fmt)
    assert undecided.all()
    assert reference.settle("logsumexp", rounded, undecided, fmt)[:, 0].tolist() == [1, step, -1, -1]


def test_a_settled_rounding_beyond_the_largest_number_overflows():
    for dtype, inf in (("float16", math.inf), ("float8_e5m2", math.inf), ("float8_e4m3fn", math.nan)):
        fmt = formats.get(dtype)
        half = math.ldexp(1.0, math.frexp(fmt.max)[1] - fmt.p - 1)
        reference = Reference(
            Problem("float64", np.array([[fmt.max + half, -math.inf], [fmt.max + half, -1e5 - fmt.max]]))
        )
        got = reference.settle("logsumexp", *round_truth(reference.truth("logsumexp"), fmt), fmt)[:, 0]
        even = fmt.max if (fmt.max / (2 * half)) % 2 == 0 else inf
        assert np.array_equal(got, [even, inf], equal_nan=True), dtype


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp", "cross-entropy", "gradient"])
def test_truth_keeps_the_shape_of_the_array(quantity):
    rng = np.random.default_rng(1)
    for shape in ((4,), (3, 4), (2, 3, 4), (1, 1, 1, 4), (5, 1)):
        x = rng.normal(0, 3, shape)
        for target in (0, np.zeros(shape[:-1], dtype=int), None):
            if target is None and quantity == "gradient":
                continue
            got = smcli.truth(x, quantity, target=target)
            short = quantity == "logsumexp" or (quantity == "cross-entropy" and target is not None)
            assert got.hi.shape == got.lo.shape == got.exp2.shape == (*shape[:-1], 1 if short else shape[-1])
            assert got.bound <= 2.0**-85
            assert smcli.truth(x, quantity, target=target, dtype="float32").bound <= 2.0**-47


def test_targets_of_truth():
    x = np.random.default_rng(2).normal(0, 3, (2, 3, 4))
    target = np.array([[0, 1, 2], [3, 2, 1]])
    got = smcli.truth(x, "cross-entropy", target=target)
    for i, j in np.ndindex(2, 3):
        lse = sum((arb(v).exp() for v in x[i, j].tolist()), arb(0)).log()
        want = lse - arb(x[i, j, target[i, j]])
        assert abs(value(got.hi[i, j, 0], got.lo[i, j, 0], got.exp2[i, j, 0]) - want) <= want * arb(got.bound)
    for bad in (4, -1, [[0, 1, 2], [3, 2, 9]]):
        with pytest.raises(SmcliError):
            smcli.truth(x, "cross-entropy", target=bad)


def test_errors_of_truth():
    with pytest.raises(UsageError):
        smcli.truth([1.0, 2.0], "gradient")
    with pytest.raises(UsageError):
        smcli.truth([1.0, 2.0], "vjp")
    with pytest.raises(UsageError):
        smcli.truth([1.0, 2.0], dtype="float7")
    for nothing in ([], np.zeros((0, 3)), np.zeros((3, 0))):
        with pytest.raises(SmcliError):
            smcli.truth(nothing)
    for quantity in ("softmax", "gradient"):
        for row in ([0.0, -(2.0**62) * 1.01], [2.0**62 * 1.01, 0.0], [1e308, -1e308]):
            with pytest.raises(PrecisionError):
                smcli.truth(row, quantity, target=0)
        near = smcli.truth([0.0, -(2.0**61)], quantity, target=0)
        assert abs(int(near.exp2[1])) > 2**61
        smcli.truth([1e300, 1e300], quantity, target=0)
        smcli.truth([0.0, -math.inf], quantity, target=0)
    assert smcli.truth([0.0, -1e300], "cross-entropy", target=1).hi[0] == 1e300


def test_edges_of_truth():
    inf = math.inf
    x = [[inf, 1, 2], [inf, inf, 1], [-inf, -inf, -inf], [math.nan, 1, 2], [-inf, 1, 1]]
    softmax = smcli.truth(x).hi
    assert np.array_equal(softmax[:3], [[1, 0, 0], [math.nan, math.nan, 0], [math.nan] * 3], equal_nan=True)
    assert np.isnan(softmax[3]).all() and softmax[4, 0] == 0
    lse = smcli.truth(x, "logsumexp").hi[:, 0]
    assert np.array_equal(lse[:4], [inf, inf, -inf, math.nan], equal_nan=True)
    assert smcli.truth([[-inf, 0.0]], "cross-entropy", target=0).hi.tolist() == [[inf]]
    log = smcli.truth(x, "log-softmax").hi
    assert np.array_equal(log[:2], [[0, -inf, -inf], [math.nan, math.nan, -inf]], equal_nan=True)


def exact_sum(references, quantity, factor):
    """From enclosures to 120 bits, row by row."""
    total = arb(0)
    for r in references:
        for k in range(len(r.problem.logits)):
            if not r.is_ignored(quantity, k):
                total += sum((value(*r.exact_row(k).triple(quantity, i)) for _, i in r.exact_row(k).losses), arb(0))
    return total * arb(factor.numerator) / factor.denominator


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("name", ["hard", "weighted", "soft", "smoothed", "warm", "ignored", "negative", "bce"])
def test_reduced_losses(name, dtype):
    rng = np.random.default_rng([len(name), len(dtype)])
    quantity = "bce" if name == "bce" else "cross-entropy"
    references = []
    for rows in (1, 40, 7):
        problem = problem_of(name, dtype, rng, rows)
        if name == "negative":  # a z-loss that takes away most of the loss
            problem = replace(problem, loss=replace(problem.loss, z_loss=-0.0625))
        if name == "bce":
            problem = replace(problem, loss=Loss("bce", labels=rng.integers(0, 2, problem.logits.shape).astype(float)))
        references.append(Reference(problem))
    for factor in (Fraction(1), Fraction(1, 48), Fraction(-3, 7)):
        true = exact_sum(references, quantity, factor)
        for digits in (3, 9, 17):
            truth, text = reduce_losses(references, quantity, factor, digits)
            got = value(truth.hi[0, 0], truth.lo[0, 0], truth.exp2[0, 0])
            assert abs(got - true) <= abs(true) * (arb(truth.bound) + arb(2) ** -95)
            assert truth.bound <= 2.0**-40
            number = Decimal(text)
            exponent = number.adjusted() - digits + 1
            assert abs(arb(text) - true) <= arb(10) ** exponent / 2 * (1 + arb(2) ** -80)


def test_reduced_losses_at_the_edges():
    def reduced(logits, targets, factor=Fraction(1), digits=17, **more):
        return reduce_losses(
            [Reference(Problem("float64", np.array(logits), Loss(target=np.array(targets)), **more))],
            "cross-entropy", factor, digits,
        )  # fmt: skip

    ignored = np.array([True, True])
    assert reduced([[0.0, 1.0]] * 2, [0, 0], Fraction(0))[1] == "nan"
    assert reduced([[0.0, 1.0]] * 2, [0, 0], ignored=ignored)[1] == "0"
    assert reduced([[0.0, -math.inf], [0.0, 1.0]], [1, 0])[1] == "inf"
    assert reduced([[0.0, -math.inf], [0.0, 1.0]], [1, 0], Fraction(-1))[1] == "-inf"
    assert reduced([[0.0, -math.inf], [math.nan, 1.0]], [1, 0])[1] == "nan"
    assert reduced([[0.0, -(2.0**1000)], [0.0, -0.25]], [1, 0], digits=1)[1] == "1e301"
    truth, text = reduced([[0.0, -2000.0]] * 3, [0, 0, 0], Fraction(1, 3))
    assert text == smcli.exact([0, -2000], "cross-entropy", target=0)[0]
    assert truth.exp2[0, 0] < -2800 and truth.bound <= 2.0**-84
    # 2 + e^-1000: on the right side of a power of 2, and so told by integers
    truth, _ = reduced([[0.0, -1.0 - 2.0**-52], [0.0, -1000.0]], [1, 1], Fraction(1))
    assert truth.bound <= 2.0**-84
    truth, _ = reduced([[0.0, -1000.0], [0.0, -2000.0]], [1, 0], Fraction(1, 1000))
    assert truth.hi[0, 0] * 2.0 ** truth.exp2[0, 0] == 1 and truth.lo[0, 0] >= 0


def test_reducing_many_rows_enters_no_integers(monkeypatch):
    rng = np.random.default_rng(9)
    x, target = rng.normal(0, 10, (20000, 4)), rng.integers(0, 4, 20000)
    monkeypatch.setattr(Reference, "exact_row", lambda *_: pytest.fail("a row was computed in integers"))
    for dtype in ("float64", "float32", "bfloat16"):
        reference = Reference(Problem(dtype, formats.get(dtype).round(x), Loss(target=target)))
        reduce_losses([reference], "cross-entropy", Fraction(1, 20000), 9)


def _exactly(truth: Truth, r: int) -> list[Fraction | float]:
    """The numbers that a row of a truth stands for; of what is far beyond floats the exponent alone."""
    out = []
    for h, low, k in zip(truth.hi[r].tolist(), truth.lo[r].tolist(), truth.exp2[r].tolist(), strict=True):
        usual = math.isfinite(h) and abs(k) < 10**5
        out.append((Fraction(h) + Fraction(low)) * Fraction(2) ** k if usual else float(k) if math.isfinite(h) else h)
    return out


BESIDE = {
    "softmax": {}, "log-softmax": {}, "logsumexp": {}, "sigmoid": {}, "log-sigmoid": {},
    "entropy": {"kind": "entropy"}, "kl": {"kind": "kl"}, "cross-entropy": {}, "focal": {"kind": "focal"},
    "gradient": {}, "gradient of entropy": {"kind": "entropy"}, "gradient of kl": {"kind": "kl"},
    "gradient of reverse kl": {"kind": "kl", "reverse": True}, "gradient of focal": {"kind": "focal"},
    "vjp": {"vjp_of": "softmax"}, "vjp of log-softmax": {"vjp_of": "log-softmax"}, "jacobian": {},
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("option", [{}, {"softcap": 30.0}, {"temperature": 3.0}, {"temperature": 0.5}], ids=str)
@pytest.mark.parametrize("name", BESIDE)
def test_a_row_does_not_depend_on_the_rows_beside_it(name, option, dtype):
    """Rows with nan, infinities and masks in one block: each is what it is alone, within the bounds of both."""
    rng, n = np.random.default_rng(len(name)), 5
    x = formats.get(dtype).round(rng.normal(0, 4, (9, n)))
    near = formats.get(dtype).round(x + 1e-4 * rng.normal(0, 1, x.shape))
    x[1, 2] = near[1, 2] = x[2, :2] = near[2, :2] = -math.inf
    x[3, 1], x[4, 3], x[5], x[6, 0], near[7, 4] = math.nan, math.inf, -math.inf, 700.0, math.nan
    quantity, made = name.split(" of ")[0], dict(BESIDE[name])
    of, kind = made.pop("vjp_of", ""), made.pop("kind", "cross-entropy")
    target = rng.integers(2, n, 9)
    if kind == "focal":
        made["gamma"] = 2.0
    loss = Loss(kind, target=target, teacher=near if kind == "kl" else None, **made)
    if quantity in {"softmax", "log-softmax", "logsumexp", "sigmoid", "log-sigmoid", "vjp", "jacobian"}:
        loss = None
    extra = {"vjp_of": of, "cotangent": rng.normal(0, 1, n)} if of else {}
    whole = Problem(dtype, x, loss, **option, **extra)
    truth = Reference(whole).truth(quantity)
    for r in range(len(x)):
        own = (
            None
            if loss is None
            else replace(loss, target=target[r : r + 1], teacher=near[r : r + 1] if kind == "kl" else None)
        )
        alone = Reference(replace(whole, logits=x[r : r + 1], loss=own)).truth(quantity)
        for a, b in zip(_exactly(truth, r), _exactly(alone, 0), strict=True):
            if isinstance(a, float) or isinstance(b, float):
                assert a == b or (math.isnan(a) and math.isnan(b)), (r, a, b)
            else:
                assert abs(a - b) <= (Fraction(truth.bound) + Fraction(alone.bound)) * abs(b), (r, float(a), float(b))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("name", ["sigmoid", "log-sigmoid", "bce", "focal", "gradient of bce", "gradient of focal"])
def test_a_value_of_one_logit_does_not_depend_on_the_others(name, temperature):
    """Where every value is of its own logit, a nan beside it changes nothing, huge ones that overflow in x/T included."""
    x, y = np.array([[0.0, math.nan, -5.187e307, 900.0, -math.inf, 1e308]]), np.array([[0.0, 1, 1, 0, 0, 1]])
    quantity, kind = name.split(" of ")[0], name.split(" of ")[-1]
    loss = Loss(kind, labels=y) if kind in {"bce", "focal"} else None
    whole = Problem("float64", x, loss, temperature=temperature)
    truth = Reference(whole).truth(quantity)
    for i in range(x.shape[1]):
        own = None if loss is None else replace(loss, labels=y[:, i : i + 1])
        alone = Reference(replace(whole, logits=x[:, i : i + 1], loss=own)).truth(quantity)
        a, b = _exactly(truth, 0)[i], _exactly(alone, 0)[0]
        if isinstance(a, float) or isinstance(b, float):
            assert a == b or (math.isnan(a) and math.isnan(b) and i == 1), (i, a, b)
        else:
            assert abs(a - b) <= (Fraction(truth.bound) + Fraction(alone.bound)) * abs(b), (i, float(a), float(b))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float8_e5m2"])
@pytest.mark.parametrize("label", [0.0, 1.0, 0.25])
def test_a_masked_logit_stays_masked_under_a_soft_cap(dtype, label):
    """−∞ is no −cap: binary focal losses are what they are without one, and so is their gradient, 0."""
    own = Loss("focal", labels=np.array([[1.0, label]]), gamma=0.5)
    capped = Problem(dtype, np.array([[37.0, -math.inf]]), own, softcap=1.75)
    due = Reference(replace(capped, softcap=None)).truth("focal")
    told = Reference(capped).truth("focal")
    assert told.hi[0, 1] == due.hi[0, 1] == (0.0 if label == 0 else math.inf)
    assert Reference(capped).truth("gradient").hi[0, 1] == 0 or label
