"""By what a mean divides: losses of single logits by their number, others by the rows, as libraries do."""

import mpmath
import numpy as np
import pytest

import smcli
from smcli.cli.app import run
from smcli.reference import reduction

X = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])
Y = np.array([[1.0, 0.0, 1.0], [0.0, 0.5, 1.0]])
TEACHER = np.array([[0.5, -1.0, 0.0], [1.0, 2.0, 0.0]])
GAMMA = 1.5


def bce(x):
    return np.maximum(x, 0) - x * Y + np.log1p(np.exp(-np.abs(x)))


def focal(x):
    p = 1 / (1 + np.exp(-x))
    return -Y * (1 - p) ** GAMMA * np.log(p) - (1 - Y) * p**GAMMA * np.log(1 - p)


def kl(x):
    log_p, log_t = (v - np.log(np.exp(v).sum(axis=1, keepdims=True)) for v in (x, TEACHER))
    return (np.exp(log_t) * (log_t - log_p)).sum(axis=1)


CASES = {
    "bce": (bce, {"labels": Y}, "divides by 6, the number of logits"),
    "focal": (focal, {"labels": Y, "gamma": GAMMA}, "divides by 6, the number of logits"),
    "kl": (kl, {"against": TEACHER}, "divides by 2, the number of rows, as batchmean"),
}


@pytest.mark.parametrize("how", ["mean", "sum"])
@pytest.mark.parametrize("name", CASES)
def test_losses_and_their_gradients_are_reduced_alike(name, how):
    of, options, said = CASES[name]
    more = {"quantities": name, "reduction": how, "confirm": True, **options}
    report = smcli.evaluate(X, **more)
    reduce = np.mean if how == "mean" else np.sum
    assert float(report.reduced[0].exact) == pytest.approx(reduce(of(X)), rel=1e-13)
    assert report.confirmed.values == of(X).size + 1 and report.confirmed.conventions == 0
    assert (said in str(report)) == (how == "mean")
    found = smcli.gradient(X, methods="fused", **more)
    told = [float(t) for row in found.to_dict()["rows"] for t in row["results"][0]["exact"]]
    h = 1e-6
    slopes = [(reduce(of(X + d)) - reduce(of(X - d))) / (2 * h) for d in h * np.eye(6).reshape(6, 2, 3)]
    assert told == pytest.approx(slopes, rel=1e-7, abs=1e-9) and found.confirmed.values == 6


@pytest.mark.parametrize("name", CASES)
def test_they_are_what_torch_gives(name):
    torch = pytest.importorskip("torch")
    x = torch.tensor(X, requires_grad=True)
    y = torch.tensor(Y)
    if name == "bce":
        loss = torch.nn.functional.binary_cross_entropy_with_logits(x, y)
    elif name == "kl":
        t = torch.softmax(torch.tensor(TEACHER), -1)
        loss = torch.nn.functional.kl_div(torch.log_softmax(x, -1), t, reduction="batchmean")
    else:
        p = torch.sigmoid(x)
        each = -y * (1 - p) ** GAMMA * torch.log(p) - (1 - y) * p**GAMMA * torch.log(1 - p)
        loss = each.mean()
    loss.backward()
    options = {"quantities": name, "reduction": "mean", **CASES[name][1]}
    assert float(smcli.evaluate(X, **options).reduced[0].exact) == pytest.approx(loss.item(), rel=1e-13)
    rows = smcli.gradient(X, methods="fused", **options).to_dict()["rows"]
    told = [float(t) for row in rows for t in row["results"][0]["exact"]]
    assert told == pytest.approx(x.grad.numpy().ravel().tolist(), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "slip", "said"),
    [
        ("bce", lambda v: v.sum(), "the sum, not the mean"),
        ("bce", lambda v: v.sum() / 2, "divided by the 2 rows, not by the 6 logits"),
        ("focal", lambda v: v.sum() / 2, "divided by the 2 rows, not by the 6 logits"),
        ("kl", lambda v: v.sum() / 6, "divided by all 6 logits, not by the 2 rows"),
        ("kl", lambda v: v.sum(), "the sum, not the mean"),
    ],
)
def test_the_other_divisor_is_named(name, slip, said):
    of, options, _ = CASES[name]
    assert not smcli.check(X, [of(X).mean()], quantity=name, reduction="mean", **options).findings
    wrong = smcli.check(X, [slip(of(X))], quantity=name, reduction="mean", **options)
    assert said in wrong.findings[0].message


def test_losses_of_single_logits_are_checked_one_by_one():
    assert not smcli.check(X, focal(X), quantity="focal", labels=Y, gamma=GAMMA).findings
    wrong = focal(X)
    wrong[1, 2] *= 2
    report = smcli.check(X, wrong, quantity="focal", labels=Y, gamma=GAMMA)
    assert [(f.code, f.at) for f in report.findings] == [("SM401", (2,))]


def test_on_the_command_line(capsys):
    assert run(["eval", "[[1,-2],[3,0.5]]", "-q", "bce", "--labels", "1,0", "--reduction", "mean"]) == 0
    assert "the mean divides by 4, the number of logits" in capsys.readouterr().out


def test_an_ordinary_mean_needs_no_integers_and_one_that_cancels_gets_them(monkeypatch):
    """Integers take a thousand times as long; a sum of nearly 0 is certified all the same."""
    x = np.random.default_rng(3).normal(0, 4, (50, 10))
    called = []
    plain = reduction.counted_rows

    def counted(*words):
        called.append(words)
        return plain(*words)

    monkeypatch.setattr(reduction, "counted_rows", counted)
    for dtype in ("float64", "float32"):
        for how in ("mean", "sum"):
            smcli.evaluate(x, quantities="cross-entropy", target=[1] * 50, reduction=how, dtype=dtype).to_dict()
    assert not called
    for apart in (2.0**-44, 1e-9, 1.0):
        rows, labels = [[1.0, 2.0], [1.0 + apart, 2.0]], [[1.0, 0.0], [-1.0, 0.0]]
        report = smcli.evaluate(rows, quantities="cross-entropy", labels=labels, reduction="sum", confirm=True)
        (told,) = report.to_dict()["summary"]["reduced"]["cross-entropy"]["exact"]
        with mpmath.workdps(60):
            one, two = (mpmath.log(mpmath.exp(mpmath.mpf(b) - mpmath.mpf(a)) + 1) for a, b in rows)
            assert mpmath.mpf(told) == mpmath.mpf(mpmath.nstr(one - two, 17))
    assert called
