"""Tolerances: no careful computation breaks its own, they are not much too wide, and all zeros fail them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from smcli import methods
from smcli.errors import UnavailableError
from smcli.judge.measure import as_float
from smcli.judge.tolerances import Allclose, Span, looks_like, tolerances
from smcli.model import Loss, Problem, Truth
from smcli.numbers.arithmetic import Arithmetic
from smcli.numbers.formats import FORMATS, Format
from smcli.reference import Reference

LOGS, SLOPES = ("fused", "log1p"), ("fused", "logspace", "log1p", "online")
CAREFUL = {  # the methods that take no logarithm of a probability, and no difference with an offset in it
    "softmax": ("shifted", "logspace", "log1p", "online"), "log-softmax": LOGS, "cross-entropy": LOGS,
    "logsumexp": ("fused", "shifted", "log1p", "online"), "bce": ("fused",), "gradient": SLOPES, "jacobian": SLOPES,
    "vjp": SLOPES,
}  # fmt: skip
KERNELS = ("scipy", "torch", "jax-jit", "jax", "tensorflow", "onnxruntime")


def problems(dtype: str, rows: int, classes: int, seed: int) -> list[tuple[str, Problem]]:
    f, rng = FORMATS[dtype], np.random.default_rng([seed, classes])
    x = rng.normal(0, 1, (rows, classes)) * rng.choice([0.1, 1, 3, 10, 40]) + rng.choice([0, 0, 10, -100, 1000])
    x, y = f.round(np.clip(x, -f.max, f.max)), f.round(rng.random((rows, classes)))
    t, w = rng.integers(0, classes, rows), f.round(rng.random(classes) + 0.5)
    p = Problem(dtype, x)
    hard, heavy = replace(p, loss=Loss(target=t)), replace(p, loss=Loss(target=t, smoothing=0.1, weights=w))
    warm = replace(p, loss=Loss(labels=y), temperature=float(f.round(np.array(0.7))))
    out = [("softmax", p), ("log-softmax", p), ("logsumexp", p), ("softmax", replace(p, temperature=3.0, softcap=20.0))]
    out += [(q, each) for q in ("cross-entropy", "gradient") for each in (hard, heavy, warm)]
    out += [
        ("gradient", replace(hard, scale=Fraction(1, 7))),
        ("vjp", replace(p, cotangent=f.round(rng.normal(0, 2, classes)))),
    ]
    if classes <= 10:
        bce = replace(p, loss=Loss("bce", labels=np.minimum(y, 1)))
        out += [("bce", bce), ("gradient", bce), ("jacobian", p)]
    return out


def ratio(values: np.ndarray, truth: Truth, fmt: Format, tolerance: Allclose) -> float:
    """The worst error over what is allowed, of the values that cannot overflow in rounding."""
    power = np.clip(truth.exp2, -1200, 1100).astype(np.int32)
    t = np.ldexp(truth.hi, power)
    with np.errstate(all="ignore"):
        allowed = tolerance.atol + tolerance.rtol * np.abs(t)
        off = np.abs((values - t) - np.ldexp(truth.lo, power)) / allowed
        off = np.where(np.abs(t) + allowed > fmt.max, 0.0, off)
    return float(np.where(np.isnan(off), np.inf, off).max())


def computed(name: str, p: Problem, quantity: str, inner: Format) -> np.ndarray:
    """A method's values, computed in `inner` and rounded once."""
    done = methods.run(methods.get(name), replace(p, dtype=inner.name), quantity, Arithmetic(inner, inner))
    return FORMATS[p.dtype].round(done.values)


@pytest.mark.parametrize("dtype", FORMATS)
def test_no_careful_computation_breaks_it(dtype: str) -> None:
    f, worst, none = FORMATS[dtype], {}, 0
    for classes, seed in ((1, 0), (2, 1), (10, 2), (10, 3), (200, 4), (1500, 5)):
        for quantity, p in problems(dtype, max(3, 200 // classes), classes, seed):
            truth = Reference(p).truth(quantity)
            for tolerance in tolerances(quantity, f, Span.of(p)):
                none += not tolerance.arithmetic
                inner = FORMATS["float32"] if tolerance.arithmetic.startswith("computed") else f
                for name in CAREFUL[quantity] if tolerance.arithmetic else ():
                    if name == "online" and inner.p < 24:
                        continue  # it sums one after the other
                    r = ratio(computed(name, p, quantity, inner), truth, f, tolerance)
                    assert r <= 1, (quantity, name, classes, seed, tolerance)
                    worst[quantity, inner.name] = max(r, worst.get((quantity, inner.name), 0))
    once = "float32" if f.p < 24 else dtype
    assert {q for q, i in worst if i == once} == {"softmax", "log-softmax", "logsumexp", "cross-entropy", "gradient",
                                                  "jacobian", "vjp", "bce"}  # fmt: skip
    if f.p < 24:
        assert min(worst[q, once] for q in ("softmax", "log-softmax", "logsumexp")) > 0.6, (
            worst
        )  # a rounding, and little else
    else:
        assert worst["softmax", once] > 0.02 and not none, worst


@pytest.mark.parametrize("name", KERNELS)
def test_no_library_breaks_it(name: str) -> None:
    m = methods.get(name)
    if m.reason:
        pytest.skip(m.reason)
    for dtype in m.code.dtypes:  # type: ignore[attr-defined]
        f = FORMATS[dtype]
        for classes, seed in ((2, 1), (10, 2), (300, 4)):
            for quantity, p in problems(dtype, 40, classes, seed):
                if not m.defines(quantity) or f.bits == 8 or p.softcap or p.temperature != 1:
                    continue
                widest = tolerances(quantity, f, Span.of(p))[-1]
                if widest.arithmetic != f"every step in {dtype}":  # which bounds nothing of such rows
                    continue
                try:
                    done = methods.run(m, p, quantity, Arithmetic(f, f))
                except UnavailableError:
                    continue
                if not any("labels sum to 1" in note for note in done.notes):  # TensorFlow's gradient
                    r = ratio(done.values, Reference(p).truth(quantity), f, widest)
                    assert r <= 1, (dtype, quantity, classes, widest)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "cross-entropy"])
def test_all_zeros_fail(dtype: str, quantity: str) -> None:
    f = FORMATS[dtype]
    for classes in (2, 10, 50):
        x = f.round(np.random.default_rng(classes).normal(0, 3, (6, classes)))
        p = Problem(dtype, x)
        t = as_float(Reference(p).truth(quantity))
        for tolerance in tolerances(quantity, f, Span.of(p))[:1]:
            assert not tolerance.zeros_pass(t) and tolerance.passes(f.round(t), t).all(), (classes, tolerance)
            assert tolerance.rtol < 0.6


def test_the_formula_gives_the_figures() -> None:
    rng = np.random.default_rng(1)
    for dtype in ("float64", "float32", "bfloat16"):
        p = Problem(dtype, FORMATS[dtype].round(rng.normal(0, 5, (16, 50))))
        t = tolerances("softmax", FORMATS[dtype], Span.of(p))[0]
        figures = {
            k: float(v) for k, v in re.findall(r"(\w) = (?:(?:[^=(]|\([^)]*\))*?= )?([\d.]+)(?=[,:])", t.formula)
        }
        assert figures["n"] == 50 and figures["h"] == pytest.approx(4 * math.sqrt(50), rel=1e-4)
        drop = (p.logits.max(axis=1) - p.logits.min(axis=1)).max()
        assert figures["D"] == pytest.approx(drop, rel=1e-4)
        k = figures["h"] + 17 + 3 * drop + 11 * math.log(50)
        assert figures["k"] == pytest.approx(k, rel=1e-4)
        v, u = (
            2.0 ** -int(e)
            for e in (re.search(r"v = 2\^-(\d+)", t.formula)[1], re.search(r"[vu] = 2\^-(\d+):", t.formula)[1])
        )  # type: ignore[index]
        once = u if dtype == "bfloat16" else 0.0
        assert t.rtol == pytest.approx(once + k * v, rel=1e-3) and ("u + k·v" in t.formula) == (dtype == "bfloat16")
    log = tolerances("log-softmax", FORMATS["float32"], Span(length=8))[0]
    assert "rtol = 2v, atol = a·v, a = h + 8 + 9·log n" in log.formula
    assert log.atol == pytest.approx((7 + 8 + 9 * math.log(8)) * 2**-24, rel=1e-4)


def test_a_span_is_the_largest_of_all_rows() -> None:
    a = Problem(
        "float32",
        np.array([[0.0, -8.0, np.nan], [100.0, 99.0, -np.inf]]),
        Loss(labels=np.array([[1.0, 0, 1], [0, 0, 0]])),
    )
    span = Span.of(a)
    assert (span.length, span.drop, span.size, span.labels, span.soft) == (3, 8.0, 100.0, 2.0, True)
    both = span | Span.of(Problem("float32", np.array([[0.0, 0, 0, 20.0]]), temperature=2.0))
    assert (both.length, both.drop, both.size, both.rounds, both.soft) == (4, 10.0, 100.0, 1.0, True)
    assert Span.of(Problem("float32", np.full((2, 2), np.nan))).drop == 0.0
    heavy = Loss(target=np.array([0]), weights=np.array([3.0, 1.0]))
    assert Span.of(Problem("float32", np.array([[1.0, 2.0]]), heavy)).labels == 3.0


def test_what_has_no_bound_gets_the_limit_of_accuracy() -> None:
    z = Span.of(Problem("float32", np.array([[1.0, 2.0]]), Loss(target=np.array([0]), z_loss=0.5)))
    for quantity, fmt, span in (("cross-entropy", "float32", z), ("something else", "bfloat16", Span(length=10))):
        (t,) = tolerances(quantity, FORMATS[fmt], span)
        assert not t.arithmetic and "since no bound" in t.formula and 0 < t.rtol <= 0.5
    stalled = tolerances("softmax", FORMATS["bfloat16"], Span(length=1 << 20, drop=60.0))
    assert [t.arithmetic for t in stalled] == ["computed in float32 and rounded once to bfloat16"]


def test_which_arithmetic_values_look_like() -> None:
    f = FORMATS["bfloat16"]
    p = Problem("bfloat16", f.round(np.random.default_rng(0).normal(0, 2, (50, 100))))
    t, known = as_float(Reference(p).truth("softmax")), tolerances("softmax", f, Span.of(p))
    for inner, said in (
        (FORMATS["float32"], "computed in float32 and rounded once to bfloat16"),
        (f, "every step in bfloat16"),
    ):
        values = computed("shifted", p, "softmax", inner)
        assert looks_like((k, bool(k.passes(values, t).all())) for k in known) == said
    assert looks_like((k, bool(k.passes(0 * t, t).all())) for k in known) == ""


def test_a_losses_sum_is_allowed_for() -> None:
    one, many = Span(length=10), Span(length=10, reduced=100)
    a, b = (tolerances("cross-entropy", FORMATS["float32"], s)[0] for s in (one, many))
    assert b.atol == pytest.approx(100 * a.atol, rel=1e-3) and b.rtol > a.rtol and "N = losses = 100" in b.formula


def test_your_own_tolerance_is_judged() -> None:
    t = np.array([0.5, 0.25, 0.125, 0.125, 1e-40])
    assert Allclose(1e-9, 0).below_ulp(t, FORMATS["float32"]) and not Allclose(1e-5, 0).below_ulp(t, FORMATS["float32"])
    assert Allclose(1e-5, 1).zeros_pass(t) and not Allclose(1e-5, 1e-3).zeros_pass(t)
    assert Allclose(0, 0).passes(np.array([np.inf, np.nan, 1.0]), np.array([np.inf, np.nan, 2.0])).tolist() == [
        True,
        True,
        False,
    ]


def test_what_is_below_one_spacing_is_not_asked_of_subnormal_truths():
    f = FORMATS["float32"]
    assert not Allclose(1e-5, 0).below_ulp(np.array([1e-42, 1.0]), f) and Allclose(1e-9, 0).below_ulp(
        np.array([1.0]), f
    )
    assert not Allclose(1e-5, 0).below_ulp(np.array([np.inf, np.nan, 1e39]), f)


def test_no_bound_is_told_of_rows_longer_than_the_largest_number_of_the_format():
    f = FORMATS["float8_e4m3fn"]
    for quantity, length, due in (("log-softmax", 448, 2), ("log-softmax", 449, 1), ("bce", 449, 2)):
        found = tolerances(quantity, f, Span(length=length))
        usual = tolerances(quantity, f, Span(length=3))
        assert len(usual) == 2 and len(found) <= due and found[0].arithmetic.startswith("computed in float32"), quantity


def test_the_limit_that_stands_where_no_bound_is_known_is_at_most_a_half():
    (found,) = tolerances("entropy", FORMATS["float8_e5m2"], Span(length=1000, drop=50))
    assert found.rtol == 0.5
    (found,) = tolerances("entropy", FORMATS["float32"], Span(length=4, drop=3))
    assert found.rtol == 2 * 2.0**-24 * 2 * (2 + 4 + 3) and found.atol == 2.0**-150


@pytest.mark.parametrize("soft", [False, True])
def test_tolerances_are_those_of_the_derivation(soft):
    """Of float32, by the module's own formulas: 8 logits that were divided by T, of at most 10, 3 apart."""
    f, v = FORMATS["float32"], 2.0**-24
    span = Span(length=8, drop=3.0, size=10.0, labels=2.0 if soft else 1.0, soft=soft, rounds=1.0)
    h, c, d, r, log_n = 7, 8, 3, 20, math.log(8)
    a = h + c + (1 + c) * log_n + 2 * r
    k = h + 2 * c + 1 + d * 3 + (c + d) * log_n + r
    g = h + 2 * c + 1 + d + (c + d) * log_n + r
    s = h + 5 if soft else 0
    under = f.smallest_subnormal / 2 + 4 * f.smallest_normal
    due = {
        "softmax": (k, 0.0),
        "log-softmax": (2, a),
        "logsumexp": (1, a),
        "cross-entropy": (3 + s, span.labels * 2 * a),
        "gradient": (k + 3 + s, span.labels * (g + s)),
        "jacobian": (2 * k + 3, g),
        "bce": (3, 10 + 2 * c + r),
    }
    for quantity, (relative, absolute) in due.items():
        (found,) = tolerances(quantity, f, span)
        assert found.rtol == pytest.approx(relative * v / (1 - relative * v), rel=1e-9), quantity
        room = under * max(1.0, span.labels)
        assert found.atol == pytest.approx(absolute * v + room, rel=1e-4), quantity
