"""Wrong values of unseen code: which alternative problem they are the true values of, and never of one that they are not."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smcli
import smcli.testing
from smcli.findings import alternatives
from smcli.findings.mistakes import EPSILONS, LATE, MISTAKES
from smcli.numbers import formats

SENTENCES = {c.sentence: c.name for c in (*MISTAKES, *EPSILONS, *LATE)}
ROWS, CLASSES = 48, 7
EIGHT = ("float8_e4m3fn", "float8_e5m2")
WIDE = ("float64", "float32", "float16", "bfloat16")
L = np.longdouble
W = np.array([1.0, 2.0, 0.5, 4.0, 1.5, 3.0, 0.25])
E = 0.25
AT = np.arange(ROWS)


def log_softmax(x, axis=-1):
    z = x - x.max(axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


def softmax(x, axis=-1):
    return np.exp(log_softmax(x, axis))


def labels(t, e=0.0):
    return np.eye(CLASSES, dtype=L)[t] * (1 - e) + L(e) / CLASSES


def loss(x, t, e=0.0, w=1.0):
    return -(w * labels(t, e) * log_softmax(x)).sum(-1)


def gradient(x, t, e=0.0, w=1.0):
    c = labels(t, e) * w
    return softmax(x) * c.sum(-1, keepdims=True) - c


def kl(x, q):
    return (softmax(q) * (log_softmax(q) - log_softmax(x))).sum(-1)


def focal(x, t, g):
    lp = log_softmax(x)[AT, t]
    return -((-np.expm1(lp)) ** g) * lp


def of_others(t, e):
    y = np.full((ROWS, CLASSES), L(e) / (CLASSES - 1))
    y[AT, t] = 1 - L(e)
    return y


def every_column(x, t):
    p = softmax(x)
    p[:, t] -= 1
    return p


def with_target(q="cross-entropy", **more):
    return lambda t, q=q, more=more: {"quantity": q, "target": t.tolist(), **more}


def plain(q, **more):
    return lambda _, q=q, more=more: {"quantity": q, **more}


CE, GRAD = with_target(), with_target("gradient")
SOFT, LOG, LSE = plain("softmax"), plain("log-softmax"), plain("logsumexp")
SMOOTH, WEIGHED = with_target(label_smoothing=E), with_target(class_weights=W.tolist())
HOT = {"temperature": 2.0}
PLANTED = [
    ("next class", CE, lambda x, t: loss(x, (t + 1) % CLASSES)),
    ("next class", GRAD, lambda x, t: gradient(x, (t + 1) % CLASSES)),
    ("class before", CE, lambda x, t: loss(x, t - 1)),
    ("class before", GRAD, lambda x, t: gradient(x, t - 1)),
    ("no label", GRAD, lambda x, _: softmax(x)),
    ("every column", GRAD, every_column),
    ("softmax twice", SOFT, lambda x, _: softmax(softmax(x))),
    ("softmax twice", CE, lambda x, t: loss(softmax(x), t)),
    ("softmax twice", GRAD, lambda x, t: gradient(softmax(x), t)),
    ("softmax twice", plain("entropy"), lambda x, _: -(softmax(softmax(x)) * log_softmax(softmax(x))).sum(-1)),
    ("logarithm for softmax", SOFT, lambda x, _: log_softmax(x)),
    ("softmax for logarithm", LOG, lambda x, _: softmax(x)),
    ("sigmoid", SOFT, lambda x, _: 1 / (1 + np.exp(-x))),
    ("log-sigmoid", LOG, lambda x, _: -np.log1p(np.exp(-x))),
    ("minus p", CE, lambda x, t: -softmax(x)[AT, t]),
    ("1 − p", CE, lambda x, t: 1 - softmax(x)[AT, t]),
    ("squared error", CE, lambda x, t: ((softmax(x) - labels(t)) ** 2).sum(-1)),
    ("exp(x)", SOFT, lambda x, _: np.exp(x)),
    ("exp(x − max)", SOFT, lambda x, _: np.exp(x - x.max(-1, keepdims=True))),
    ("logits", SOFT, lambda x, _: x),
    ("logits", LOG, lambda x, _: x),
    ("temperature forgotten", with_target(**HOT), loss),
    ("temperature forgotten", plain("softmax", **HOT), lambda x, _: softmax(x)),
    ("temperature twice", with_target(**HOT), lambda x, t: loss(x / 4, t)),
    ("temperature multiplied", with_target(**HOT), lambda x, t: loss(x * 2, t)),
    ("soft cap forgotten", with_target(softcap=2.0), loss),
    ("smoothing forgotten", SMOOTH, loss),
    ("smoothing twice", SMOOTH, lambda x, t: loss(x, t, 1 - (1 - E) ** 2)),
    ("smoothing of others", SMOOTH, lambda x, t: -(of_others(t, E) * log_softmax(x)).sum(-1)),
    ("smoothing forgotten", with_target("gradient", label_smoothing=E), gradient),
    ("smoothing twice", with_target("gradient", label_smoothing=E), lambda x, t: gradient(x, t, 1 - (1 - E) ** 2)),
    ("smoothing not asked", CE, lambda x, t: loss(x, t, L("0.1"))),
    ("smoothing of others not asked", CE, lambda x, t: -(of_others(t, L("0.1")) * log_softmax(x)).sum(-1)),
    ("weights forgotten", WEIGHED, loss),
    ("weights forgotten", with_target("gradient", class_weights=W.tolist()), gradient),
    ("weights forgotten in the mean", with_target("gradient", class_weights=W.tolist(), reduction="mean"),
     lambda x, t: gradient(x, t) / ROWS),
    ("z-loss forgotten", with_target(z_loss=0.125), loss),
    ("gamma forgotten", with_target("focal", gamma=2), loss),
    ("gamma of 1", with_target("focal", gamma=2), lambda x, t: focal(x, t, 1)),
    ("maximum not added", LSE, lambda x, _: np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1))),
    ("maximum alone", LSE, lambda x, _: x.max(-1)),
    ("coefficients forgotten", plain("logsumexp", coefficients=W.tolist()), lambda x, _: np.log(np.exp(x).sum(-1))),
    ("other axis", SOFT, lambda x, _: softmax(x, 0)),
    ("other axis", CE, lambda x, t: -log_softmax(x, 0)[AT, t]),
    ("other axis", GRAD, lambda x, t: softmax(x, 0) - labels(t)),
    ("all values", SOFT, lambda x, _: softmax(x.reshape(1, -1)).reshape(x.shape)),
    ("all values", LOG, lambda x, _: log_softmax(x.reshape(1, -1)).reshape(x.shape)),
    ("mean of rows", CE, lambda x, t: np.full(ROWS, loss(x, t).mean())),
    ("other row", SOFT, lambda x, _: softmax(x)[::-1]),
    ("exp of it", CE, lambda x, t: np.exp(loss(x, t))),
    ("log of it", CE, lambda x, t: np.log(loss(x, t))),
    ("row's factor", SOFT, lambda x, _: softmax(x) * (1 + np.arange(1, ROWS + 1, dtype=L) / 29)[:, None]),
    ("row's shift", LOG, lambda x, _: log_softmax(x) + (np.arange(1, ROWS + 1, dtype=L) / 7)[:, None]),
]  # fmt: skip
Y = np.random.default_rng(9).integers(0, 2, (ROWS, CLASSES)).astype(float)
BINARY = plain("bce", labels=Y)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bce(x, y=Y):
    return np.log1p(np.exp(-x)) + (1 - y) * x


PLANTED += [
    ("sigmoid twice", plain("sigmoid"), lambda x, _: sigmoid(sigmoid(x))),
    ("sigmoid twice", BINARY, lambda x, _: bce(sigmoid(x))),
    ("labels flipped", BINARY, lambda x, _: bce(x, 1 - Y)),
    ("logarithm for sigmoid", plain("sigmoid"), lambda x, _: -np.log1p(np.exp(-x))),
    ("sigmoid for logarithm", plain("log-sigmoid"), lambda x, _: sigmoid(x)),
    ("softmax for sigmoid", plain("sigmoid"), lambda x, _: softmax(x)),
]
KL = [
    ("reversed", {}, lambda x, q: kl(q, x)),
    ("cross-entropy of teacher", {}, lambda x, q: -(softmax(q) * log_softmax(x)).sum(-1)),
    ("student's temperature", HOT, lambda x, q: kl(x, q / 2)),
    ("teacher's temperature", HOT, lambda x, q: kl(x / 2, q)),
    ("temperature forgotten", HOT, kl),
]


def named(report):
    """The names of the alternatives in the findings of a report."""
    said = {f.remedy for f in report.findings if f.code == "SM401"}
    return {SENTENCES.get(remedy, remedy if "times its truth" in remedy else "") for remedy in said}


def rows_of(dtype, seed):
    rng = np.random.default_rng(seed)
    f = formats.get(dtype)
    x = f.round(rng.normal(0, 1.6, (ROWS, CLASSES)))
    return f, x, rng.integers(0, CLASSES, ROWS), f.round(rng.normal(0, 1.2, (ROWS, CLASSES)))


@pytest.mark.parametrize("dtype", [*WIDE, *EIGHT])
@pytest.mark.parametrize(("name", "options", "formula"), PLANTED, ids=[f"{n}-{k}" for k, (n, *_) in enumerate(PLANTED)])
def test_each_planted_mistake_is_named_and_no_other(name, options, formula, dtype):
    """In bfloat16 what changes little does not always tell enough, in 8 bits hardly anything."""
    found = []
    for seed in range(1 if dtype in EIGHT else 3):
        f, x, t, _ = rows_of(dtype, seed)
        y = f.round(np.asarray(formula(x.astype(L), t), dtype=np.float64))
        found.append(named(smcli.check(x, y, dtype=dtype, **options(t))))
    assert all(one == {name} or (dtype in {"bfloat16", *EIGHT} and one <= {"", name}) for one in found), found
    assert {name} in found or dtype in EIGHT or (name, dtype) == ("smoothing of others", "bfloat16")


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize(("name", "options", "formula"), KL)
def test_each_planted_mistake_of_a_divergence(name, options, formula, dtype):
    for seed in range(4):
        f, x, _, q = rows_of(dtype, seed)
        y = f.round(np.asarray(formula(x.astype(L), q.astype(L)), dtype=np.float64))
        assert named(smcli.check(x, y, dtype=dtype, quantity="kl", against=q, **options)) == {name}, seed


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize(("name", "share"), [("mask ignored", True), ("mask after softmax", False)])
def test_masks_that_had_no_part_in_the_sum(name, share, dtype):
    for seed in range(4):
        f, x, _, _ = rows_of(dtype, seed)
        y = f.round(softmax(x.astype(L)).astype(np.float64))
        masked = x.copy()
        masked[:, 3] = -np.inf
        y[:, 3] *= share
        assert named(smcli.check(masked, y, dtype=dtype)) == {name}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_epsilon_is_told_with_its_size(dtype):
    for e in (1e-8, 1e-7, 1e-6) if dtype == "float64" else (1e-5,):
        f, x, t, _ = rows_of(dtype, 1)
        p = softmax(x.astype(L))
        y = f.round((-np.log(p[AT, t] + L(e))).astype(np.float64))
        assert named(smcli.check(x, y, dtype=dtype, **CE(t))) <= {f"log(p + {e:g})"} and (
            dtype == "float32" or named(smcli.check(x, y, dtype=dtype, **CE(t)))
        )
    total = np.exp(x.astype(L) - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
    y = formats.get("float64").round((p * (total / (total + L("1e-6")))).astype(np.float64))
    assert named(smcli.check(x, y, dtype="float64")) == {"sum + 1e-06"}


@pytest.mark.parametrize(
    ("factor", "options", "said"),
    [
        (-1.0, CE, "its sign flipped"),
        (1 / ROWS, GRAD, "one over the number of rows"),
        (1 / CLASSES, CE, "one over the number of classes"),
        (1 / math.log(2), CE, "1/ln 2, of a logarithm of base 2"),
        (ROWS, with_target("gradient", reduction="mean"), "what the mean divides by"),
        (1 / ROWS, with_target("gradient", reduction="mean"), "the factor of the reduction once more"),
        (0.5, plain("softmax", temperature=4.0), ""),
        (0.25, plain("softmax", temperature=4.0), "1/T"),
        (W.sum() / ROWS, None, ""),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_known_factor_is_told_by_its_name_and_another_by_its_size(factor, options, said, dtype):
    f, x, t, _ = rows_of(dtype, 5)
    asked = (options or CE)(t)
    right = loss(x.astype(L), t) if asked["quantity"] == "cross-entropy" else gradient(x.astype(L), t)
    right = softmax(x.astype(L) / 4) if asked["quantity"] == "softmax" else right
    right = right / ROWS if asked.get("reduction") == "mean" else right
    y = f.round((right * L(factor)).astype(np.float64))
    found = {g.remedy for g in smcli.check(x, y, dtype=dtype, **asked).findings if g.code == "SM401"}
    (told,) = found
    assert told.startswith(
        f"each of these values is {factor:.6g} times its truth" + (f", {said}: " if said else ": look for")
    )
    near = f.round((right * L(factor) * L("1.0001")).astype(np.float64))
    (told,) = {g.remedy for g in smcli.check(x, near, dtype=dtype, **asked).findings if g.code == "SM401"}
    assert told.endswith("times its truth: look for that factor"), "nearly a constant is none"


def test_what_a_method_computes_in_a_narrow_format_is_told_bit_for_bit():
    x = np.random.default_rng(5).normal(size=(4, 4096)).astype(np.float16)
    e = np.exp(x - x.max(-1, keepdims=True))
    total = np.zeros(4, np.float16)
    for j in range(4096):
        total = (total + e[:, j]).astype(np.float16)
    said = {f.remedy for f in smcli.check(x, e / total[:, None]).findings if f.code == "SM401"}
    assert said == {
        (
            "the method shifted returns the same in float16, bit for bit, adding one term after the other: add in pairs, or in "
            "a wider format"
        )
    }


def test_a_function_of_the_users(tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text(
        "import numpy as np\n\n\ndef off(x, t):\n    z = x - x.max(-1, keepdims=True)\n"
        "    lp = z - np.log(np.exp(z).sum(-1, keepdims=True))\n    return -lp[np.arange(len(x)), t - 1]\n"
    )
    monkeypatch.chdir(tmp_path)
    report = smcli.compare([2.0, 1.0, 0.5], target=0, quantities="cross-entropy", methods="own_losses:off")
    assert named(report) == {"class before"}, "one value of float64 tells enough"
    assert "naive is accurate" not in str(report)


def test_two_causes_in_one_batch_are_told_row_by_row():
    x = np.random.default_rng(1).normal(0, 2, (4, 9))
    y = softmax(x)
    y[0], y[2] = softmax(softmax(x[0])), log_softmax(x[2])
    found = {f.remedy for f in smcli.check(x, y).findings if f.code == "SM401"}
    assert {SENTENCES[r] for r in found} == {"softmax twice", "logarithm for softmax"}


ASKED = {
    "softmax": SOFT, "log-softmax": LOG, "logsumexp": LSE, "cross-entropy": CE, "gradient": GRAD,
    "smoothed": SMOOTH, "hot": with_target(**HOT), "weighed": with_target("gradient", class_weights=W.tolist()),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [*WIDE, *EIGHT])
@pytest.mark.parametrize("kind", ASKED)
def test_values_that_are_merely_rounded_or_near_are_named_as_nothing(kind, dtype, monkeypatch):
    """1200 rows each, 57,600 in all, every one of them looked at by itself, too."""
    monkeypatch.setattr(alternatives, "SAMPLE", 10**6)
    monkeypatch.setattr(alternatives, "LOGITS", 10**9)
    f, narrower = formats.get(dtype), formats.get("float8_e4m3fn")
    rng = np.random.default_rng([len(kind), f.p])
    for digits in range(1, 26):
        x = f.round(rng.normal(0, 1.6, (ROWS, CLASSES)))
        t = rng.integers(0, CLASSES, ROWS)
        options = ASKED[kind](t)
        if options["quantity"] == "gradient":
            true = gradient(x.astype(L), t, w=W if "class_weights" in options else 1.0)
        elif options["quantity"] == "cross-entropy":
            true = loss(x.astype(L) / options.get("temperature", 1.0), t, options.get("label_smoothing", 0.0))
        else:
            made = {"softmax": softmax, "log-softmax": log_softmax}
            true = made.get(kind, lambda v: np.log(np.exp(v).sum(-1)))(x.astype(L))
        near = true * (1 + rng.uniform(-1, 1, true.shape) * 2.0**-digits)
        y = f.round((narrower.round(near.astype(np.float64)) if digits % 5 == 0 else near).astype(np.float64))
        assert named(smcli.check(x, y, dtype=dtype, **options)) <= {""}


def test_an_order_of_two_classes_that_chance_may_give_is_not_told():
    x = np.array([[0.5, 0.25], [1.0, -1.0], [2.0, 0.0]])
    p = softmax(x)
    near = smcli.check(x.astype(np.float16), (p[:, ::-1]).astype(np.float16))
    told = {f.remedy for f in near.findings if f.code == "SM401"}
    assert told and all(r.startswith("these are the true values of other classes") for r in told), "three rows tell it"
    one = smcli.check(x[:1].astype(np.float16), p[:1, ::-1].astype(np.float16))
    assert not any("other classes" in f.remedy for f in one.findings)


REDUCED = [
    ("next class", {}, lambda x, t: loss(x, (t + 1) % CLASSES).mean()),
    ("softmax twice", {}, lambda x, t: loss(softmax(x), t).mean()),
    ("smoothing twice", {"label_smoothing": E}, lambda x, t: loss(x, t, 1 - (1 - E) ** 2).mean()),
    ("weights forgotten", {"class_weights": W.tolist()}, lambda x, t: loss(x, t).mean()),
    ("temperature forgotten", HOT, lambda x, t: loss(x, t).mean()),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "options", "formula"), REDUCED)
def test_reduced_losses_of_other_problems(name, options, formula, dtype):
    for seed in range(3):
        f, x, t, _ = rows_of(dtype, seed)
        y = f.round(np.asarray([formula(x.astype(L), t)], dtype=np.float64))
        report = smcli.check(x, y, dtype=dtype, quantity="cross-entropy", target=t, reduction="mean", **options)
        (found,) = report.findings
        (sentence,) = [c.sentence_of_total("mean") for c in MISTAKES if c.name == name]
        silent = dtype == "float32" and "true losses" not in found.remedy  # one number of which tells little
        assert found.remedy == sentence or silent


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_reduced_losses_that_are_merely_off_are_named_as_nothing(dtype):
    rng = np.random.default_rng(4)
    for digits in range(1, 40):
        f, x, t, _ = rows_of(dtype, digits)
        y = f.round(
            np.asarray([loss(x.astype(L), t).mean() * (1 + rng.uniform(-1, 1) * 2.0**-digits)], dtype=np.float64)
        )
        for found in smcli.check(x, y, dtype=dtype, quantity="cross-entropy", target=t, reduction="mean").findings:
            assert "true losses" not in found.remedy and "it is" not in found.message.split("relative")[1]
            assert "float32 or wider" not in found.remedy


@pytest.mark.parametrize(
    ("divisor", "said"),
    [
        (46, "it is divided by the 46 rows, not by the sum of their weights"),
        (ROWS, "it is divided by all 48 rows, those left out too"),
        (1, "it is the sum, not the mean"),
    ],
)
def test_a_mean_with_class_weights_that_divides_by_something_else(divisor, said):
    _, x, t, _ = rows_of("float64", 2)
    kept = np.ones(ROWS, bool)
    kept[[3, 8]] = False
    w = W[t] * kept
    y = float((w * loss(x, t)).sum() / divisor)
    options = {
        "quantity": "cross-entropy",
        "target": np.where(kept, t, -100),
        "ignore_index": -100,
        "reduction": "mean",
    }
    (found,) = smcli.check(x, [y], class_weights=W.tolist(), **options).findings
    assert said in found.message
    assert found.remedy.endswith("a mean divides the losses by the sum of the weights of their targets")
    assert "float32" not in found.remedy


def test_one_value_that_is_off_is_not_taken_for_a_narrow_kernel():
    x = np.random.default_rng(5).normal(size=(4, 4096)).astype(np.float16)
    p = softmax(x.astype(np.float64)).astype(np.float16)
    p[2, 77] *= np.float16(1.02)
    report = smcli.check(x, p)
    told = report.tolerance
    assert told["looks_like"] is None and not told["passes"] and told["rtol"] < 1e-3
    assert [(f["row"], f["at"]) for f in told["few"]] == [(2, 77)]
    text = str(report)
    assert "all but 1 of 16384: " in text and "in row 2 at index 77" in text and "every step in float16" not in text
    (found,) = [f for f in report.findings if f.code == "SM401"]
    assert found.remedy.endswith(
        "the other values of the row are right: look for what that code does at index 77 alone"
    )
    with pytest.raises(AssertionError, match="all but 1 of 16384"):
        smcli.testing.assert_accurate(p, x)


def test_sums_and_clips_accuse_nothing_that_cannot_be():
    x = np.random.default_rng(2).normal(0, 2, (3, 6))
    p = softmax(x) * np.array([1.1, 1.2, 1.3])[:, None]
    (found, *_) = [f for f in smcli.check(x, p).findings if f.code == "SM403"]
    assert "denominator" in found.remedy and "order of the classes" not in found.remedy
    sure = np.array([[0.0, 30.0]])
    (found,) = [
        f
        for f in smcli.check(sure, [-math.log(1e-7)], quantity="cross-entropy", target=[0]).findings
        if f.code == "SM904"
    ]
    assert found.remedy == "compute the loss from logits instead of clipping probabilities"
    log_p = np.log(softmax(x)) * (1 + 3e-15)
    for found in smcli.check(x, log_p, quantity="log-softmax").findings:
        assert "mask" not in found.remedy and "order" not in found.remedy
