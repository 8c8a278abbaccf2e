"""The algorithms: each against its formula worked out one number at a time, and the published experiments."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import gmpy2
import numpy as np
import pytest
from samples import derivatives_only

import smcli
from smcli import methods
from smcli.errors import UsageError
from smcli.judge.measure import Limit, as_float, measure, round_truth
from smcli.methods import losses, one_pass, run
from smcli.methods.softmax import Shifted
from smcli.model import Loss, Problem, Verdict
from smcli.numbers import formats
from smcli.numbers.arithmetic import ORDERS, Arithmetic, Rows
from smcli.numbers.formats import FORMATS, Format
from smcli.quantities import QUANTITIES as TABLE
from smcli.quantities import Quantity
from smcli.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parent / "data" / "bhh2021_mnist_logits.npy"
QUANTITIES = ("softmax", "log-softmax", "logsumexp", "cross-entropy", "gradient", "jacobian")
METHODS = list(methods.formulas())
NARROW = [name for name, f in FORMATS.items() if f.p <= 24]


@pytest.fixture(autouse=True)
def _quiet() -> object:
    with np.errstate(all="ignore"):  # as in `methods.run`
        yield


def problem(logits: object, dtype: str = "float64", target: object = None) -> Problem:
    x = FORMATS[dtype].round(np.atleast_2d(np.array(logits, dtype=np.float64)))
    loss = None if target is None else Loss(target=np.broadcast_to(np.array(target), x.shape[:1]))
    return Problem(dtype, x, loss)


def compute(
    name: str, logits: object, quantity: str = "softmax", dtype: str = "float64", order: str = "pairwise",
    accumulate: str | None = None, target: object = None,
) -> np.ndarray:  # fmt: skip
    f = FORMATS[dtype]
    o = Arithmetic(f, FORMATS[accumulate or dtype], order)
    return run(methods.get(name), problem(logits, dtype, target), quantity, o).values


def ulps(name: str, logits: object, quantity: str, dtype: str = "float64", order: str = "pairwise") -> np.ndarray:
    p = problem(logits, dtype)
    reference, f = Reference(p), FORMATS[dtype]
    y, truth = compute(name, logits, quantity, dtype, order), reference.truth(quantity)
    rounded = reference.settle(quantity, *round_truth(truth, f), f)
    return measure(y, truth, rounded, f, Limit(np.array(8.0)), np.zeros((len(y), 1), dtype=bool)).ulp


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_answers_every_quantity_in_every_format(name: str, dtype: str) -> None:
    m, f = methods.get(name), FORMATS[dtype]
    logits = [[0.5, 1.0, -2.0, 0.25], [3.0, 3.0, -1.0, 0.0]]
    for quantity, target in (
        *((q, None) for q in QUANTITIES if q != "gradient"),
        ("cross-entropy", 2),
        ("gradient", 2),
    ):
        if not m.defines(quantity) or (quantity == "gradient" and not m.differentiates("cross-entropy")):
            continue
        y = compute(name, logits, quantity, dtype, target=target)
        scalar = quantity == "logsumexp" or (quantity == "cross-entropy" and target is not None)
        assert y.shape == (2, 1 if scalar else 16 if quantity == "jacobian" else 4), quantity
        assert y.dtype == np.float64 and np.isfinite(y).all(), (quantity, y)
        assert (f.round(y) == y).all(), quantity  # numbers of the format
        t = as_float(Reference(problem(logits, dtype, target)).truth(quantity))
        loose = (0.02 if f.p >= 11 else 0.1 if f.p == 8 else 1.2) * {"fd": 40, "epsilon": 10}.get(name, 1)
        assert np.allclose(y, t, rtol=loose, atol=loose), (quantity, y, t)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is(name: str) -> None:
    m = methods.get(name)
    assert m.name == name and m.source and m.summary.endswith((".", ":", ",", ")")) and len(m.summary) < 120
    assert any(m.defines(q) for q in QUANTITIES)
    assert m.defines("cross-entropy") == m.defines("log-softmax")


def test_an_unknown_method_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="unknown method 'shfited'") as caught:
        methods.get("shfited")
    assert "did you mean shifted?" in str(caught.value.hint)


@pytest.fixture
def toys() -> Iterator[None]:
    """One new format and one new method, each added in one place."""
    FORMATS["float6_e3m2"] = Format("float6_e3m2", bits=6, p=3, emin=-2, max=28.0, has_inf=False)

    @methods.method("halved", source="nobody", backward="fused")
    class Halved:
        """Subtract the maximum in two halves."""

        def softmax(self, x: Rows, o: Arithmetic) -> Rows:
            half = o.mul(o.max(x), o.const(0.5))
            e = o.exp(o.sub(o.sub(x, half), half))
            return o.div(e, o.sum(e))

    yield
    del FORMATS["float6_e3m2"], methods.REGISTRY["halved"]


def test_a_new_method_and_a_new_format_work_at_once(toys: None) -> None:
    assert "halved" in methods.formulas() and formats.get("torch.float6_e3m2").stall == 8
    assert methods.get("halved").summary == "Subtract the maximum in two halves."
    for dtype in FORMATS:
        for name, m in methods.formulas().items():
            for quantity in ("softmax", "logsumexp", "gradient"):
                if m.defines(quantity) and (quantity != "gradient" or m.differentiates("cross-entropy")):
                    y = compute(name, [0.5, 0.25, -1.0], quantity, dtype, target=1)
                    assert np.array_equal(FORMATS[dtype].round(y), y, equal_nan=True), (name, quantity)
    assert not methods.get("halved").defines("logsumexp")
    p = problem([0.5, 0.25, -1.0], "float6_e3m2")
    f, reference = FORMATS["float6_e3m2"], Reference(p)
    y = compute("halved", p.logits, "softmax", "float6_e3m2")
    truth = reference.truth("softmax")
    rounded = reference.settle("softmax", *round_truth(truth, f), f)
    errors = measure(y, truth, rounded, f, Limit(np.array(8.0)), np.zeros((1, 1), dtype=bool))
    assert (errors.ulp < 2).all() and set(errors.verdicts[0].tolist()) <= {Verdict.CORRECT, Verdict.OK}


class Scalar:
    """Arithmetic of a format on single numbers, by MPFR at its precision; sums in one of the three orders."""

    def __init__(self, f: Format, order: str, accumulate: Format) -> None:
        self.f, self.order, self.acc = f, order, accumulate
        self.contexts = {g: gmpy2.context(precision=g.p, emin=g.emin - g.p + 2, emax=math.frexp(g.max)[1],
                                          subnormalize=True) for g in (f, accumulate)}  # fmt: skip

    def __getattr__(self, op: str) -> object:
        return lambda *a: self._do(op, self.f, *a)

    def _do(self, op: str, f: Format, *a: float) -> float:
        y = float(getattr(self.contexts[f], op)(*map(gmpy2.mpfr, a)))
        return math.copysign(f.overflow, y) if abs(y) > f.max else y

    def _add(self, a: float, b: float) -> float:
        return self._do("add", self.acc, a, b)

    def to(self, f: Format, x: float) -> float:
        return float(f.round(np.array(x)))

    def sum(self, terms: list[float]) -> float:
        terms = [self.to(self.acc, t) for t in terms]
        if self.order == "pairwise":
            while len(terms) > 1:
                pairs = [self._add(terms[i], terms[i + 1]) for i in range(0, len(terms) - 1, 2)]
                terms = pairs + terms[len(terms) // 2 * 2 :]
            return self.to(self.f, terms[0])
        total, correction = terms[0], 0.0
        for t in terms[1:]:
            new = self._add(total, t)
            big, small = (total, t) if abs(total) >= abs(t) else (t, total)
            correction = self._add(correction, self._add(self._add(big, -new), small))
            total = new
        if self.order == "compensated" and math.isfinite(total):
            total = self._add(total, correction)
        return self.to(self.f, total)


def naive(x: list[float], s: Scalar) -> dict[str, list[float]]:
    e = [s.exp(v) for v in x]
    d = s.sum(e)
    p = [s.div(v, d) for v in e]
    return {"softmax": p, "log-softmax": [s.log(v) for v in p], "logsumexp": [s.log(d)]}


def shifted(x: list[float], s: Scalar) -> dict[str, list[float]]:
    m = max(x)
    e = [s.exp(s.sub(v, m)) for v in x]
    d = s.sum(e)
    p = [s.div(v, d) for v in e]
    return {"softmax": p, "log-softmax": [s.log(v) for v in p], "logsumexp": [s.add(m, s.log(d))]}


def fused(x: list[float], s: Scalar) -> dict[str, list[float]]:
    m = max(x)
    z = [s.sub(v, m) for v in x]
    log_d = s.log(s.sum([s.exp(v) for v in z]))
    return {"log-softmax": [s.sub(v, log_d) for v in z], "logsumexp": [s.add(m, log_d)]}


def logspace(x: list[float], s: Scalar) -> dict[str, list[float]]:
    log_p = fused(x, s)["log-softmax"]
    return {"softmax": [s.exp(v) for v in log_p], "log-softmax": log_p}


def explse(x: list[float], s: Scalar) -> dict[str, list[float]]:
    lse = shifted(x, s)["logsumexp"]
    log_p = [s.sub(v, lse[0]) for v in x]
    return {"softmax": [s.exp(v) for v in log_p], "log-softmax": log_p, "logsumexp": lse}


def log1p(x: list[float], s: Scalar) -> dict[str, list[float]]:
    k = x.index(max(x))
    z = [s.sub(v, x[k]) for v in x]
    e = [s.exp(v) for v in z]
    rest = s.sum([0.0 if i == k else v for i, v in enumerate(e)])
    d, log_d = s.add(1.0, rest), s.log1p(rest)
    return {"softmax": [s.div(v, d) for v in e], "log-softmax": [s.sub(v, log_d) for v in z],
            "logsumexp": [s.add(x[k], log_d)]}  # fmt: skip


def online(x: list[float], s: Scalar, threshold: float = 0.0) -> dict[str, list[float]]:
    """FlashAttention's recurrence: l ← l·e^(m − m') + e^(x − m'), the sum in the accumulator's format."""
    m, total = -math.inf, 0.0
    for v in x:
        if v > m + threshold or (m == -math.inf and v > m):
            if m > -math.inf:
                total = s._do("mul", s.acc, total, s.exp(s.sub(m, v)))
            m = v
        if m > -math.inf:
            total = s._add(total, s.to(s.acc, s.exp(s.sub(v, m))))
    d = s.to(s.f, total)
    p = [s.div(s.exp(s.sub(v, m)), d) for v in x]
    return {"softmax": p, "log-softmax": [s.log(v) for v in p], "logsumexp": [s.add(m, s.log(d))]}


def lazy(x: list[float], s: Scalar) -> dict[str, list[float]]:
    return online(x, s, 8 * math.log(2))


def clipped(x: list[float], s: Scalar) -> dict[str, list[float]]:
    p = shifted(x, s)["softmax"]
    low = s.to(s.f, 1e-7)
    high = s.sub(1.0, low)
    return {"softmax": p, "log-softmax": [s.log(max(min(v, high), low)) for v in p]}


def powers_of_two(variant: str) -> object:
    def softmax(x: list[float], s: Scalar) -> dict[str, list[float]]:
        m, c = max(x), s.to(s.f, 1 / math.log(2))
        if variant == "base2":
            z = [s.mul(s.sub(v, m), c) for v in x]
        elif variant == "base2-fma":
            z = [s.fma(v, c, -s.mul(m, c)) for v in x]
        else:
            z = [s.sub(s.mul(v, c), s.mul(m, c)) for v in x]
        e = [s.exp2(v) for v in z]
        d = s.sum(e)
        return {"softmax": [s.div(v, d) for v in e]}

    return softmax


FORMULAS = {
    "naive": naive, "shifted": shifted, "fused": fused, "logspace": logspace, "explse": explse, "log1p": log1p,
    "online": online, "online-lazy": lazy, "clipped": clipped,
    "base2": powers_of_two("base2"), "base2-fma": powers_of_two("base2-fma"), "base2-nofma": powers_of_two("base2-nofma"),
}  # fmt: skip


def small_rows(f: Format, count: int, classes: int, seed: int) -> np.ndarray:
    """Ordinary rows, rows that under- or overflow, rising rows, ties and masked classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 3, (count, classes)) * rng.choice([0.3, 1, 4, 20], (count, 1))
    x += rng.choice([0, 0, 10, -10, 90], (count, 1))
    x[::7] = np.sort(x[::7], axis=1)
    x[3::7, -1] = x[3::7, 0]
    if f.has_inf and classes > 1:
        x[5::7, classes // 2] = -np.inf
        x[5::14, 0] = -np.inf
    x[:, 0] = np.where(np.isneginf(x).all(axis=1), 0.0, x[:, 0])
    x = f.round(x)
    return np.where(np.isfinite(x) | np.isneginf(x), x, 1.0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_method_is_its_formula(name: str, dtype: str, order: str) -> None:
    f = FORMATS[dtype]
    for accumulate in {dtype, "float32"} if f.p < 24 else {dtype}:
        s = Scalar(f, order, FORMATS[accumulate])
        for classes, seed in ((1, 1), (5, 2), (12, 3)):
            x = small_rows(f, 8, classes, seed)
            want = [FORMULAS[name](row, s) for row in x.tolist()]  # type: ignore[operator]
            for quantity in want[0]:
                got = compute(name, x, quantity, dtype, order, accumulate)
                due = np.array([w[quantity] for w in want])
                same = (got == due) | (np.isnan(got) & np.isnan(due))
                if f.p == 53:  # exp and log are NumPy's there, and good to an ulp or so
                    same |= np.isclose(got, due, rtol=2e-14, atol=2e-14) & (np.isfinite(due) | (dtype == "float64"))
                assert same.all(), (quantity, accumulate, x[~same.all(axis=1)][:1], got[~same], due[~same])


@pytest.mark.parametrize("name", FORMULAS)
def test_cross_entropy_is_minus_log_softmax(name: str) -> None:
    if not methods.get(name).defines("cross-entropy"):
        return
    x = small_rows(FORMATS["float32"], 8, 5, 9)
    log_p = compute(name, x, "log-softmax", "float32")
    assert np.array_equal(compute(name, x, "cross-entropy", "float32"), -log_p, equal_nan=True)
    picked = compute(name, x, "cross-entropy", "float32", target=3)
    assert np.array_equal(picked, -log_p[:, 3:4], equal_nan=True)


@pytest.mark.parametrize("threshold", [0.0, 8 * math.log(2)])
@pytest.mark.parametrize("accumulate", [None, "float32"])
@pytest.mark.parametrize("dtype", FORMATS)
def test_a_long_row_is_walked_like_a_column(dtype: str, accumulate: str | None, threshold: float) -> None:
    f = FORMATS[dtype]
    o = Arithmetic(f, FORMATS[accumulate or dtype], "sequential")
    rng = np.random.default_rng(3)
    x = rng.normal(0, 2, (14, 400)) * np.array([[0.1], [0.5], [1], [2], [5], [10], [1]] * 2)
    x[7:] = np.sort(x[7:], axis=1)
    x[13] = x[13, ::-1]
    x[3, :100] = x[4, -3:] = -np.inf
    x[5], x[6, 200] = -np.inf, np.nan
    x[8, 300] = np.inf
    x = f.round(x)
    (*found, left_out), (*due, by_column) = (walk(x, o, threshold) for walk in (one_pass._segments, one_pass._columns))
    sums = np.isfinite(due[1][:, 0])
    np.testing.assert_allclose(left_out[sums], by_column[sums], rtol=1e-12)
    for a, b in zip(found, due, strict=True):
        if f.p == 53:  # a vector of exponentials and a single one may differ in the last bit
            np.testing.assert_allclose(a, b, rtol=1e-13)
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rows", [1, 50])
def test_a_running_sum_in_one_pass_tells_what_it_left_out(rows: int) -> None:
    f = FORMATS["float16"]
    o = Arithmetic(f, f)
    x = np.zeros((rows, 3000))
    x[:, 2500:] = 1.0  # from here on the terms count again, and those before count e times less
    one_pass.walk(Rows(f.round(x), "x"), o, 0.0)
    (step,) = o.steps
    left, total = (2500 - 2048) * math.exp(-1), 2048 * math.exp(-1) + 500
    assert step.ignored is not None
    assert step.ignored[0] == pytest.approx(left / (left + total), rel=0.01)
    one_pass.walk(Rows(f.round(x[:, :1000]), "x"), o, 0.0)
    assert o.steps[-1].ignored is not None and not o.steps[-1].ignored.any()


@pytest.mark.parametrize("name", ["online", "online-lazy"])
def test_a_row_gives_the_same_alone_and_in_a_batch(name: str) -> None:
    for dtype in NARROW:
        x = FORMATS[dtype].round(np.random.default_rng(4).normal(0, 3, (300, 130)))
        batch = compute(name, x, "softmax", dtype)
        alone = np.concatenate([compute(name, row, "softmax", dtype) for row in x[:40]])
        np.testing.assert_array_equal(alone, batch[:40])


def test_a_long_rising_row_does_not_take_quadratic_time() -> None:
    import time

    x = np.linspace(-1, 1, 20_000)[None]
    start = time.perf_counter()
    one_pass._segments(FORMATS["float32"].round(x), Arithmetic(FORMATS["float32"], FORMATS["float32"]), 0.0)
    assert time.perf_counter() - start < 10


@cache
def experiment() -> tuple[np.ndarray, Reference]:
    x = FORMATS["float16"].round(np.load(DATA))
    return x, Reference(Problem("float16", x))


def of_experiment(name: str, quantity: str) -> np.ndarray:
    return compute(name, experiment()[0], quantity, "float16", "sequential")


def test_the_data_of_the_experiment_is_what_the_readme_says() -> None:
    digest = hashlib.sha256(DATA.read_bytes()).hexdigest()
    assert digest == "e88b623eb8f3e220c4ae82b6c663c70d8fb346b371a4f434ee19a9bfc8627876"
    assert digest in DATA.with_name("README.md").read_text(encoding="utf-8")
    x = np.load(DATA)
    assert x.shape == (2500, 10) and x.dtype == np.float64
    assert -18.545 < x.min() < -18.535 and 19.715 < x.max() < 19.725


def test_the_published_experiment_logsumexp() -> None:
    _, reference = experiment()
    t = as_float(reference.truth("logsumexp"))[:, 0]
    lse = {name: of_experiment(name, "logsumexp")[:, 0] for name in ("naive", "shifted", "log1p")}
    finite = np.isfinite(lse["naive"])
    assert np.isposinf(lse["naive"]).sum() == 475 == (~finite).sum()
    assert np.isfinite(lse["shifted"]).all() and np.isfinite(lse["log1p"]).all()
    assert (lse["naive"] == lse["log1p"]).sum() == 1863
    ratio = (np.abs(lse["naive"] - t) / np.abs(lse["log1p"] - t))[finite]
    assert f"{ratio.min():.2f}" == "0.19" and f"{ratio.max():.0f}" == "59" and f"{ratio.mean():.2f}" == "1.07"


def test_the_published_experiment_softmax() -> None:
    x, reference = experiment()
    t = as_float(reference.truth("softmax"))
    finite = np.isfinite(of_experiment("naive", "logsumexp")[:, 0])
    f = FORMATS["float16"]

    def error(p: np.ndarray) -> list[float]:
        e = np.abs(p - t).max(axis=1) / t.max(axis=1) / f.unit_roundoff
        return [float(np.median(e[finite])), float(e[finite].max())]

    def from_lse(name: str) -> np.ndarray:
        o = Arithmetic(f, f)
        return o.exp(o.sub(Rows(x, "x"), Rows(of_experiment(name, "logsumexp"), "lse"))).values

    due = {"naive": [0.58, 4.70], "log1p": [0.49, 2.06], "shifted": [0.72, 4.11], "explse": [2.79, 10.3]}
    for name, figures in due.items():
        assert error(of_experiment(name, "softmax")) == pytest.approx(figures, abs=0.006), name  # a last printed digit
    assert error(from_lse("naive")) == pytest.approx([2.77, 10.3], abs=0.006)
    assert error(from_lse("log1p")) == pytest.approx([2.72, 8.30], abs=0.006)
    for name in ("shifted", "log1p"):
        p = of_experiment(name, "softmax")[finite]
        worst = (np.abs(p - t[finite]) / t[finite]).max()
        assert f"{worst / f.unit_roundoff:.3g}" == "3.36e+03" and f"{worst:.0%}" == "164%" and (p == 0).sum() == 402


def test_the_experiment_in_bfloat16() -> None:
    x = np.load(DATA)
    lse = [compute(name, x, "logsumexp", "bfloat16", "sequential") for name in ("naive", "log1p")]
    assert np.isfinite(lse[0]).all() and (lse[0] == lse[1]).sum() == 2390


def test_products_rounded_apart_lose_an_offset() -> None:
    rng = np.random.default_rng(5)
    x = FORMATS["float32"].round(1000 + rng.normal(0, 3, (400, 16)))
    t = as_float(Reference(Problem("float32", x)).truth("softmax"))
    u = FORMATS["float32"].unit_roundoff
    worst = {name: (np.abs(compute(name, x, "softmax", "float32") - t) / t).max() / u
             for name in ("base2", "base2-fma", "base2-nofma", "shifted")}  # fmt: skip
    # each product is 1443 or so, half a spacing of which is 1024 u: two of them, times ln 2, is the most there can be
    assert 1000 < worst["base2-nofma"] < 2 * 1024 * math.log(2) + 40
    assert worst["base2"] < 40 and worst["shifted"] < 40
    assert worst["base2-fma"] < 40  # the rounding of the shift is common to all classes and cancels


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp"])
def test_two_passes_need_no_maximum(quantity: str) -> None:
    for x in ([5000.0, -5000.0, 4999.0], [-5000.0, -5001.5, -5002.0], [5000.0] * 40, [1e4, 1e4 - 3.5]):
        got, want = compute("two-pass", x, quantity), as_float(Reference(problem(x)).truth(quantity))
        if quantity == "log-softmax":
            want = np.where(want < -745, -np.inf, want)  # its softmax underflowed
        assert np.allclose(got, want, rtol=1e-12, atol=1e-300), x
    assert compute("two-pass", [-np.inf, 5000.0, -np.inf]).tolist() == [[0.0, 1.0, 0.0]]
    assert np.isnan(compute("two-pass", [-np.inf, -np.inf])).all()


def test_softmax_1_to_5() -> None:
    want = [
        0.0116562309560396074,
        0.0316849207961242689,
        0.0861285444362687049,
        0.234121657252736623,
        0.636408646558830796,
    ]
    for name in METHODS:
        if methods.get(name).defines("softmax"):
            assert compute(name, [1, 2, 3, 4, 5])[0].tolist() == pytest.approx(want, rel=4e-15), name


def test_softmax_of_thousands() -> None:
    x = [1000, 2000, 3000, 4000, 5000]
    assert np.isnan(compute("naive", x)).all()
    for name in ("shifted", "logspace", "explse", "log1p", "online", "base2", "two-pass"):
        assert compute(name, x).tolist() == [[0, 0, 0, 0, 1]], name
    assert compute("log1p", [1.7976931348623157e308, 1, 2, 3]).tolist() == [[1, 0, 0, 0]]


def test_logsumexp_that_cancels() -> None:
    x = [-0.775, -0.6175]
    for name, due in (("naive", 26829), ("shifted", 62271), ("log1p", 68801)):
        assert ulps(name, x, "logsumexp")[0, 0] == pytest.approx(due, rel=0.2), name  # exp and log may differ by an ulp
    ln2 = [-0.6931471805599453] * 2
    assert compute("naive", ln2, "logsumexp") == 0 == compute("shifted", ln2, "logsumexp")
    assert float(as_float(Reference(problem(ln2)).truth("logsumexp"))[0, 0]) == 2.3190468138462996e-17


def test_log1p_keeps_what_log_loses() -> None:
    assert compute("shifted", [0, -40], "logsumexp") == 0 == compute("fused", [0, -40], "log-softmax")[0, 0]
    assert compute("log1p", [0, -40], "logsumexp") == pytest.approx(4.248354255291589e-18, rel=1e-15)
    assert compute("log1p", [-3.720075976020836e-44, -100], "logsumexp") == 0  # the truth is −1.57e-60
    x = [16.942385, 0]
    assert compute("fused", x, "log-softmax", "float32")[0, 0] == 0
    assert compute("log1p", x, "log-softmax", "float32")[0, 0] == pytest.approx(-4.385466485115685e-8, rel=1e-7)


def test_losses_at_the_edge() -> None:
    assert compute("shifted", [0, -800], "cross-entropy", target=1) == math.inf
    assert compute("fused", [0, -800], "cross-entropy", target=1) == 800
    assert compute("clipped", [0, -800], "cross-entropy", target=1) == pytest.approx(16.11809565, rel=1e-8)
    assert compute("clipped", [0, -800], "cross-entropy", "float16", target=1) == pytest.approx(15.945, abs=0.006)
    assert compute("clipped", [0, -50], "cross-entropy", "float8_e5m2", target=1) == math.inf  # ε rounds to 0
    assert compute("fused", [10, 0, -100], "cross-entropy", "float32", target=2) == pytest.approx(110.0000454, rel=1e-7)


def test_finite_and_silent_in_the_subnormal_range() -> None:
    assert compute("naive", [-744, -745])[0] == pytest.approx([2 / 3, 1 / 3], abs=1e-15)
    assert compute("naive", [-100, -101, -102], "softmax", "float32")[0] == pytest.approx(
        [0.65854, 0.24390, 0.09756], abs=6e-6
    )
    assert compute("shifted", [-744, -745])[0] == pytest.approx([0.7310585786, 0.2689414214], rel=1e-9)


def test_float32_and_float16_edges() -> None:
    for x in ([89, 89], [-104, -104]):
        assert np.isnan(compute("naive", x, "softmax", "float32")).all()
        assert compute("shifted", x, "softmax", "float32").tolist() == [[0.5, 0.5]]
    assert compute("naive", [9] * 10, "softmax", "float16").tolist() == [[0] * 10]
    assert compute("naive", [9] * 10, "softmax", "float16", accumulate="float32").tolist() == [
        [0] * 10
    ]  # the sum is float16
    tenth = float(FORMATS["float16"].round(np.array(0.1)))
    assert compute("shifted", [9] * 10, "softmax", "float16").tolist() == [[tenth] * 10]


@pytest.mark.parametrize(
    ("dtype", "stall"), [("bfloat16", 256), ("float16", 2048), ("float8_e5m2", 8), ("float8_e4m3fn", 16)]
)
def test_a_stalled_sum(dtype: str, stall: int) -> None:
    zeros = np.zeros(8192)
    for name in ("naive", "shifted", "online"):
        assert set(compute(name, zeros, "softmax", dtype, "sequential")[0]) == {1 / stall}, name
    right = float(FORMATS[dtype].round(np.array(1 / 8192)))
    tree = compute("shifted", zeros, "softmax", "bfloat16", "pairwise")
    assert set(tree[0]) == {1 / 8192}
    if FORMATS[dtype].max > 8192:
        assert set(compute("shifted", zeros, "softmax", dtype, "sequential", "float32")[0]) == {right}


def test_explse_at_an_offset_of_a_billion() -> None:
    x = [1e9, 1000000001, 1000000002.5]
    t = as_float(Reference(problem(x)).truth("softmax"))
    rel = {name: (np.abs(compute(name, x) - t) / t).max() for name in ("explse", "shifted", "logspace")}
    assert 1e-9 < rel["explse"] < 1.2e-7 and rel["shifted"] < 1e-15 and rel["logspace"] < 2e-15


@pytest.mark.parametrize("name", METHODS)
def test_masked_and_infinite_logits_follow_ieee(name: str) -> None:
    m = methods.get(name)
    if not m.defines("softmax"):
        return
    masked = compute(name, [1.0, -np.inf, 2.0])[0]
    assert masked[1] == 0 and masked[[0, 2]].tolist() == pytest.approx(
        [1 / (1 + math.e), math.e / (1 + math.e)], rel=1e-14
    )
    assert np.isnan(compute(name, [np.nan, 1.0])).all()
    assert np.isnan(compute(name, [-np.inf, -np.inf])).all()
    assert np.isnan(compute(name, [np.inf, 1.0])[0, 0])


def test_the_temperature_is_divided_by_in_the_format() -> None:
    p = replace(problem([60000.0, 59000.0], "float16"), temperature=0.25)
    f = FORMATS["float16"]
    done = run(methods.get("shifted"), p, "softmax", Arithmetic(f, f))
    assert np.isnan(done.values).all() and done.steps[0].expr == "x/T" and done.steps[0].overflowed.all()
    p = replace(problem([3.0, 1.0], "float16"), temperature=2.0)
    done = run(methods.get("shifted"), p, "softmax", Arithmetic(f, f))
    assert np.array_equal(done.values, compute("shifted", [1.5, 0.5], "softmax", "float16"))


def test_ignored_rows_count_nothing() -> None:
    p = replace(problem([[1.0, 2.0], [3.0, 4.0]], target=[0, 0]), ignored=np.array([True, False]))
    f = FORMATS["float64"]
    for quantity in ("cross-entropy", "gradient"):
        values = run(methods.get("fused"), p, quantity, Arithmetic(f, f)).values
        assert (values[0] == 0).all() and (values[1] != 0).all()


def test_a_quantity_with_a_formula_needs_no_other_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "odds", Quantity("odds", "odds p/(1 − p)"))
    monkeypatch.setitem(TABLE, "power", Quantity("power", "Σ p²", shape="row", part="collision"))
    assert not any(m.defines(q) for m in methods.formulas().values() for q in ("odds", "power"))

    class Odds(Shifted):
        """Odds of the textbook softmax."""

        def odds(self, x: Rows, o: Arithmetic) -> Rows:
            p = self.softmax(x, o)
            return o.div(p, o.sub(o.const(1), p))

        def collision(self, x: Rows, o: Arithmetic) -> Rows:
            p = self.softmax(x, o)
            return o.sum(o.mul(p, p))

    m, f = methods.Formula("odds", "nobody", "fused", Odds()), FORMATS["float32"]
    assert m.defines("odds") and m.defines("power") and m.summary == "Odds of the textbook softmax."
    x = problem([[0.0, 1.0], [2.0, 2.0]], "float32")
    done = methods.run(m, x, "odds", Arithmetic(f, f))
    assert done.values.shape == (2, 2) and done.values[1].tolist() == [1.0, 1.0] and done.steps[-1].op == "div"
    assert np.allclose(done.values[0], [1 / math.e, math.e], rtol=1e-6)
    assert methods.run(m, x, "power", Arithmetic(f, f)).values[1].tolist() == [0.5]


def test_a_pass_or_derivative_of_its_own_is_used() -> None:
    class Straight(Shifted):
        """Passes the labels through."""

        def backward(self, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
            return losses.labels(loss, x.values.shape, o)

    class Seven:
        """Differentiates to 7."""

        def derivative(self, _: Problem, __: Quantity, o: Arithmetic, step: float | None) -> Rows:
            return o.const(7 if step is None else step)

    f, p = FORMATS["float64"], problem([[1.0, 2.0], [3.0, 4.0]], target=1)
    straight = methods.Formula("straight", "nobody", "composed", Straight())
    assert (
        methods.run(straight, replace(p, temperature=2.0), "gradient", Arithmetic(f, f)).values.tolist()
        == [[0, 0.5]] * 2
    )
    seven = methods.Formula("seven", "nobody", "fused", Seven())
    assert derivatives_only(seven) and not seven.defines("softmax") and not derivatives_only(straight)
    assert methods.run(seven, p, "jacobian", Arithmetic(f, f)).values.tolist() == [[7.0] * 4] * 2
    assert methods.run(seven, p, "gradient", Arithmetic(f, f), 3.0).values.tolist() == [[3.0] * 2] * 2


def test_the_clip_passes_a_derivative_only_between_its_bounds() -> None:
    g = compute("clipped", [[0.0, -50.0], [0.0, -3.0]], "gradient", target=1)
    assert g[0].tolist() == [0, 0] and np.allclose(
        g[1], compute("shifted", [0.0, -3.0], "gradient", target=1)[0], rtol=1e-12
    )
    loss = Loss("bce", labels=np.array([[1.0, 0.0]]))
    p = replace(problem([-50.0, 1.0]), loss=loss)
    f = FORMATS["float64"]
    g = run(methods.get("clipped"), p, "gradient", Arithmetic(f, f)).values[0]
    assert g[0] == 0 and g[1] == pytest.approx(1 / (1 + math.exp(-1)))


@pytest.mark.parametrize("shape", [(200, 10), (10, 200), (65, 64), (66, 65), (1, 5), (5, 1)])
def test_the_layout_in_memory_changes_no_value(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(8).normal(0, 4, shape)
    for name in ("naive", "shifted", "fused", "log1p", "two-pass", "online"):
        for quantity in ("log-softmax", "logsumexp", "gradient"):
            if methods.get(name).defines(quantity):
                batch = compute(name, x, quantity, "float32", target=0)
                assert batch.flags.c_contiguous
                alone = np.concatenate([compute(name, row, quantity, "float32", target=0) for row in x[:9]])
                np.testing.assert_array_equal(alone, batch[:9])


@pytest.mark.parametrize("name", ["naive", "shifted", "log1p", "online", "base2"])
def test_a_divided_logit_is_named_without_needless_brackets(name):
    report = smcli.compare([1.0, 2.0], methods=name, quantities="softmax,logsumexp", temperature=2.0, trace=True)
    steps = {s.step for row in report.rows for q in row.results for m in q.methods for s in m.steps or ()}
    assert "x/T" in steps and not any("((x/T))" in s for s in steps)
