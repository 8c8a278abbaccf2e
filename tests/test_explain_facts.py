"""explain: what the pages state in prose is so, and they state it still: each sentence beside the fact that it tells."""

import math
import re

import mpmath
import numpy as np
import pytest

import smcli
from smcli import findings
from smcli.document import pages
from smcli.numbers.formats import FORMATS

INF, NAN = math.inf, math.nan
F16, E4M3 = FORMATS["float16"], FORMATS["float8_e4m3fn"]


def values(x, method, quantity="softmax", **options):
    """What a method returns for a row, as floats."""
    made = smcli.compare(x, methods=method, quantities=quantity, **options)
    return made.blocks[0].results[0].methods[0].values[0]


def exact(x, quantity="softmax", **options):
    return [float(t) for t in smcli.exact(x, quantity, **options)]


def near(a, b, digits):
    """Whether a figure is that number to as many digits as it shows."""
    return f"{float(b):.{digits}f}" == f"{a:.{digits}f}"


def log_of_rest(n):
    """The least loss of n values of which one is 1 and the others are 0."""
    return mpmath.log(1 + (n - 1) / mpmath.e)


def all_nan():
    for quantity in ("softmax", "log-softmax", "logsumexp"):
        assert np.isnan(exact([1, NAN], quantity)).all()
    assert np.isnan(exact([1, NAN], "cross-entropy", target=0)).all()
    assert np.isnan(exact([1, NAN], "gradient", target=0)).all()


def nan_mean():
    made = smcli.compare([[1, 2], [NAN, 1]], target=[0, 0], quantities="cross-entropy", reduction="mean")
    assert made.reduced[0].exact == "nan"


def one_hot_of_infinity():
    assert exact([1, INF, 2]) == [0, 1, 0]
    got = exact([INF, 1, INF])
    assert np.isnan(got[0]) and got[1] == 0 and np.isnan(got[2])
    (m,) = smcli.compare([1, INF], methods="fused", quantities="log-softmax").rows[0].results[0].methods
    assert not m.verdicts.any()  # undefined


def all_masked():
    for quantity, due in (("softmax", NAN), ("log-softmax", NAN), ("logsumexp", -INF)):
        np.testing.assert_equal(set(map(str, exact([-INF, -INF], quantity))), {str(due)})
    assert np.isnan(exact([-INF, -INF], "cross-entropy", target=0))


def masked_by_smoothing():
    assert exact([0, 1, -INF], "cross-entropy", target=0, label_smoothing=0.1) == [INF]
    assert exact([0, 1, -INF], "cross-entropy", target=0) != [INF]
    assert exact([0, -INF], "cross-entropy", target=1, class_weights=[1, -1]) == [-INF]


def labels_times_log():
    log_p = np.array([-1.3132616875182228, -INF])
    with np.errstate(invalid="ignore"):
        assert np.isnan(-(np.array([1.0, 0.0]) * log_p).sum())


def overflow_in_python():
    with pytest.raises(OverflowError, match="math range error"):
        math.exp(1000)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        np.exp(1000.0)


def sum_of_ten():
    assert np.exp(np.float16(9)) == np.float16(8103) < F16.max < 10 * 8103
    p = values([9] * 10, "naive", dtype="float16")
    assert not p.any()
    losses = values([9] * 10, "naive", "cross-entropy", dtype="float16")
    assert np.isposinf(losses).all()


def sum_of_equal_logits():
    overflowed = [n for n in range(440, 500) if np.isnan(values([0.0] * n, "shifted", dtype="float8_e4m3fn")).any()]
    assert overflowed == list(range(min(overflowed), 500)) and abs(min(overflowed) - 470) <= 2


def scale():
    made = smcli.compare([0, 700], temperature=0.01, dtype="float16", quantities="softmax")
    assert "SM203" in {f.code for f in made.findings}
    assert "SM203" in {f.code for f in smcli.compare([448, -448], dtype="float8_e4m3fn", quantities="softmax").findings}


def losses_beyond():
    assert np.isinf(F16.round(np.array(70000.0)))
    top = float(pages.fill("{float32:exp_overflow}"))
    for mean, fits in ((math.nextafter(top, 0) - 1e-5, True), (top + 1e-5, False)):
        assert np.isfinite(FORMATS["float32"].round(np.exp(np.array(mean)))) == fits


def beyond_every_float():
    (p, *_) = smcli.exact([1000, 2000, 3000, 4000, 5000], digits=2)
    assert p == "6.6e-1738"
    (m,) = smcli.compare([1000, 5000], methods="shifted", quantities="softmax").rows[0].results[0].methods
    assert m.values[0] == 0 and m.rel[0] == 1 and m.ulp[0] < 1e-300


def lost_loss():
    assert exact([0, -800], "cross-entropy", target=1) == [800]
    assert np.isposinf(values([0, -800], "shifted", "cross-entropy", target=1))


def saturated():
    got = values([16.942385, 0], "fused", "log-softmax", dtype="float32")
    assert got[0] == 0 and exact([16.942385, 0], "log-softmax", dtype="float32")[0] == pytest.approx(
        -4.3855e-08, rel=1e-4
    )


def stalled():
    got = values([0.0] * 8192, "shifted", dtype="bfloat16", sum="sequential")
    assert set(got) == {1 / 256}


def subnormal():
    assert values([-744, -745], "naive") == pytest.approx([2 / 3, 1 / 3], rel=1e-15)
    assert exact([-744, -745]) == pytest.approx([0.731, 0.269], abs=5e-4)


def spacing_below_one():
    for f in FORMATS.values():
        below = 1 - f.unit_roundoff
        assert f.round(np.array(below)) == below and f.round(np.array(1 - 0.4 * f.unit_roundoff)) == 1
        assert f.round(np.array(below + 0.4 * f.unit_roundoff)) == below


def cumulative():
    """300 classes of 0.001 behind one of 0.7."""
    x = [math.log(0.7), *[math.log(0.001)] * 300]
    made = smcli.compare(x, dtype="bfloat16", methods="shifted", quantities="softmax")
    assert "SM407" in {f.code for f in made.findings} and FORMATS["bfloat16"].unit_roundoff / 2 > 0.001


def nearly_equal_rows():
    def rel(apart):
        made = smcli.compare([1, 2, 3], against=[1 + apart, 2, 3], quantities="kl", methods="fused")
        return float(made.blocks[0].results[0].methods[0].rel[0, 0])

    for apart in (1e-3, 1e-5):
        p, q = (np.array(exact(r)) for r in ([1 + apart, 2, 3], [1, 2, 3]))
        d = np.log(q) - np.log(p)
        kl = exact([1, 2, 3], "kl", against=[1 + apart, 2, 3])[0]
        assert kl == pytest.approx((p * d * d).sum() / 2, rel=10 * apart)
    assert 1e-4 < rel(1e-7) < 0.5 and max(rel(a) for a in (1e-9, 3e-9, 7e-9)) > 0.5


def one_hot_gradients():
    rng = np.random.default_rng(1)
    for x in rng.normal(0, 50, (50, 4)):
        assert np.abs(exact(x.tolist(), "gradient", target=2)).max() <= 1


def small_gradients():
    d = 20.0
    s = math.exp(-d)
    assert exact([d, 0], "gradient", target=0)[0] == pytest.approx(-s / (1 + s), rel=1e-12)
    assert values([d, 0], "shifted", "softmax", dtype="float32")[0] == 1


def sum_of_gradients():
    y = np.array([0.5, 0.75, 0.25])
    p = np.array(exact([1, 2, 3]))
    assert (p - y).sum() == pytest.approx(1 - y.sum()) != 0
    assert sum(exact([1, 2, 3], "gradient", labels=y.tolist())) == pytest.approx(0, abs=1e-15)


def moved_logits():
    for d in (1e-3, 0.5, -2.0):
        p, moved = exact([1, 2, 0.5])[0], exact([1 + d, 2, 0.5])[0]
        assert abs(math.log(moved / p)) <= abs(d)
    assert np.spacing(1e13) / 2 < 1e-3 < np.spacing(2e13) / 2


def first_beyond():
    assert F16.round(np.array(-65519.0)) == -65504 and F16.round(np.array(-65520.0)) == -INF
    assert np.isnan(E4M3.round(np.array(1e9)))


def flattened():
    assert exact([0.98, 0.01, 0.01])[:2] == pytest.approx([0.57, 0.22], abs=5e-3)
    assert exact([1, 0, 0, 0])[0] == pytest.approx(math.e / (math.e + 3), rel=1e-15)
    for n, shown in ((3, 0.551), (10, 1.461), (1000, 5.91)):
        assert near(shown, log_of_rest(n), 2 if n == 1000 else 3)
        assert exact([1, *[0] * (n - 1)], "cross-entropy", target=0)[0] == pytest.approx(
            float(log_of_rest(n)), rel=1e-14
        )


def clips():
    for epsilon, shown in ((1e-7, 16.118), (1e-12, 27.631), (1e-15, 34.539), (2.0**-52, 36.044), (2.0**-23, 15.942), (2e-7, 15.425),
                           (2.0**-23 + 1e-7, 15.333)):  # fmt: skip
        assert near(shown, -mpmath.log(epsilon), 3)
    assert np.float32(1) - np.float32(1 - 1e-7) == np.float32(2.0**-23)


FACTS = [
    ("SM101", "Softmax, log-softmax, logsumexp, loss and gradient of the row are all nan", all_nan),
    ("SM101", "one such row makes the mean loss of its batch nan", nan_mean),
    (
        "SM102",
        "one +inf gives a one-hot row, two or more give nan at those places and 0 elsewhere",
        one_hot_of_infinity,
    ),
    ("SM103", "Softmax, log-softmax and cross-entropy are nan; logsumexp is −inf", all_masked),
    ("SM104", "With label smoothing one masked class is enough", masked_by_smoothing),
    ("SM104", "IEEE arithmetic makes 0·(−inf) nan", labels_times_log),
    (
        "SM201",
        "`math.exp(1000)` raises `OverflowError: math range error`; NumPy returns inf with a RuntimeWarning",
        overflow_in_python,
    ),
    ("SM202", "ten logits of 9 in float16, where exp(9) = 8103 is harmless", sum_of_ten),
    ("SM202", "some 470 classes in float8_e4m3fn", sum_of_equal_logits),
    ("SM203", "in float16 a logit of 700 is enough at T = 0.01", scale),
    ("SM204", "a loss of 70000 is no number of float16", losses_beyond),
    ("SM301", "6.6e-1738", beyond_every_float),
    ("SM301", "the error is far below 1 ulp, though 1 relative", beyond_every_float),
    ("SM303", "800 for the logits 0 and −800", lost_loss),
    ("SM402", "return 0 for the float32 logits 16.942385 and 0; the truth is −4.3855e-08", saturated),
    ("SM404", "8192 equal logits in bfloat16, added one after the other, each get 1/256 instead of 1/8192", stalled),
    ("SM405", "softmax(−744, −745) comes out as 2/3 and 1/3 instead of 0.731 and 0.269", subnormal),
    (
        "SM407",
        "A running sum just below 1 is spaced by u, and a term of less than half of that does not change it",
        spacing_below_one,
    ),
    ("SM407", "In bfloat16 each of a few hundred unlikely classes is below that", cumulative),
    (
        "SM408",
        "in float64 it has one digit for two rows that differ by 1e-7, and none for closer ones",
        nearly_equal_rows,
    ),
    ("SM408", "they sum to about half of Σ p·d²", nearly_equal_rows),
    ("SM501", "is p − y, never larger than 1 for a one-hot label", one_hot_gradients),
    ("SM502", "the truth is −s/(1 + s) with s about exp(−d)", small_gradients),
    ("SM503", "Written as p − y it sums to 1 − Σy", sum_of_gradients),
    ("SM901", "a logit that moved by d has its p changed by a factor of up to e^±d", moved_logits),
    ("SM901", "in float64 only those above 0.001, of logits beyond about 10^13", moved_logits),
    ("SM902", "−65520 is the first in float16", first_beyond),
    ("SM903", "[0.98, 0.01, 0.01] becomes about [0.57, 0.22, 0.22]", flattened),
    ("SM903", "log(1 + (n − 1)/e): 0.551 for 3 classes, 1.461 for 10, 5.91 for 1000", flattened),
    ("SM904", "−log ε is 16.118 for ε = 1e-7 (Keras), 27.631 for 1e-12 and 34.539 for 1e-15", clips),
    ("SM904", "36.044 in float64 and 15.942 in float32", clips),
    ("SM904", "which makes 15.425, or 15.333 in float32", clips),
]


@pytest.mark.parametrize(("code", "said", "fact"), FACTS, ids=[f"{code}-{fact.__name__}" for code, _, fact in FACTS])
def test_what_a_page_states_is_so(code, said, fact):
    page = re.sub(r"\s+", " ", pages.fill(findings.get(code).page))
    assert said in page
    fact()
