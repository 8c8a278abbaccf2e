"""Entropy, divergence, focal loss, sigmoids, signed logsumexp, perplexity and products: methods and options."""

from __future__ import annotations

import itertools

import mpmath
import numpy as np
import pytest

import smcli
from smcli.cli.app import run
from smcli.errors import OptionError, UnavailableError, UsageError

mpmath.mp.dps = 60
FORMATS = ("float64", "float32", "float16", "bfloat16")
ASKED = {
    "entropy": {},
    "kl": {"against": [0.5, -1.0, 2.0, 0.25]},
    "kl reverse": {"against": [0.5, -1.0, 2.0, 0.25], "reverse": True},
    "focal": {"target": 1},
    "focal gamma": {"target": 2, "gamma": 0.5},
    "focal weights": {"target": 2, "class_weights": [1, 2, 3, 4]},
    "focal smoothed": {"target": 2, "label_smoothing": 0.25},
    "focal labels": {"labels": [0, 1, 0.25, 1]},
    "sigmoid": {},
    "log-sigmoid": {},
}


def result(report, quantity):
    return next(q for q in report.rows[0].results if q.quantity == quantity)


def rows(count, seed=0):
    return np.random.default_rng(seed).normal(scale=2, size=(count, 4))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", ASKED)
def test_the_careful_form_is_accurate(name, dtype):
    quantity = name.split()[0]
    report = smcli.compare(
        rows(50), dtype=dtype, quantities=quantity, methods="log1p" if "sigmoid" not in name else "fused", **ASKED[name]
    )
    said = {v.label for row in report.rows for v in map(smcli_verdict, result_values(row, quantity))}
    assert said <= {"correct", "ok"}, said


def smcli_verdict(number):
    from smcli.model import Verdict

    return Verdict(int(number))


def result_values(row, quantity):
    return next(q for q in row.results if q.quantity == quantity).methods[0].verdicts


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [n for n in ASKED if "sigmoid" not in n])
@pytest.mark.parametrize("method", ["naive", "shifted", "fused"])
def test_gradients_are_accurate_where_nothing_is_lost(name, method, dtype):
    asked = {**ASKED[name]}
    report = smcli.gradient(rows(30, 1), dtype=dtype, quantities=name.split()[0], methods=method, **asked)
    worst = max(np.max(result_of.methods[0].rel) for row in report.rows for result_of in row.results)
    assert worst < (1e-11 if dtype == "float64" else 2e-3)


@pytest.mark.parametrize("name", [n for n in ASKED if "sigmoid" not in n])
def test_finite_differences_agree(name):
    report = smcli.gradient([1.0, 0.5, -0.25, 2.0], quantities=name.split()[0], methods="fd", **ASKED[name])
    (m,) = result(report, "gradient").methods
    assert np.max(m.rel) < 1e-8


@pytest.mark.parametrize("method", ["naive", "shifted"])
def test_entropy_of_a_masked_class_is_nan_as_it_is_written(method):
    (m,) = result(smcli.compare([0, 0, -np.inf], quantities="entropy", methods=method), "entropy").methods
    assert np.isnan(m.values[0])
    (m,) = result(smcli.compare([0, 0, -np.inf], quantities="entropy", methods="fused"), "entropy").methods
    assert m.values[0] == np.log(2)


def test_sigmoids_at_the_ends():
    report = smcli.compare([-800, 0, 40], quantities="sigmoid,log-sigmoid", methods="naive,fused")
    naive, fused = result(report, "log-sigmoid").methods
    assert naive.values.tolist()[::2] == [-np.inf, 0] and fused.values[0] == -800 and fused.values[2] < 0


def test_divergence_of_a_class_that_only_the_teacher_has():
    report = smcli.compare([1, -np.inf], quantities="kl", against=[0, 0], methods="naive,fused")
    assert [m.values[0] for m in result(report, "kl").methods] == [np.inf, np.inf]
    masked = smcli.compare([1, 2, 3], quantities="kl", against=[0, -np.inf, 0], methods="naive")
    assert np.isnan(result(masked, "kl").methods[0].values[0])


def test_the_power_of_gamma_minus_1_of_a_sure_target_is_infinite():
    naive, fused = result(
        smcli.gradient([200, -1, 0.5], target=0, quantities="focal", gamma=0.5, methods="naive,fused"), "gradient"
    ).methods
    assert np.isnan(naive.values).any() and np.isfinite(fused.values).all()


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 5])
def test_focal_without_gamma_is_cross_entropy_and_else_its_formula(gamma):
    x, t = [2.0, -1.0, 0.5], 1
    e = [mpmath.exp(v) for v in x]
    p = e[t] / mpmath.fsum(e)
    (m,) = result(smcli.compare(x, target=t, quantities="focal", gamma=gamma, methods="fused"), "focal").methods
    assert abs(m.values[0] - (-((1 - p) ** gamma) * mpmath.log(p))) < 1e-14


def test_signed_logsumexp():
    b, x = [2.0, -1.0, 0.5], [0.3, 1.1, -2.0]
    s = mpmath.fsum(c * mpmath.exp(v) for c, v in zip(b, x, strict=True))
    report = smcli.compare(x, quantities="logsumexp", coefficients=b, methods="naive,shifted,fused")
    for m in result(report, "logsumexp").methods:
        assert abs(m.values[0] - mpmath.log(abs(s))) < 1e-13
    with pytest.raises(UnavailableError, match="coefficients"):
        smcli.compare(x, quantities="logsumexp", coefficients=b, methods="online")


@pytest.mark.parametrize(
    ("of", "cotangent", "matrix"),
    [
        ("softmax", [1.0, -2.0, 0.5], lambda p: np.diag(p) - np.outer(p, p)),
        ("log-softmax", [1.0, -2.0, 0.5], lambda p: np.eye(3) - np.outer(np.ones(3), p)),
        ("logsumexp", [3.0], lambda p: p[None]),
    ],
)
@pytest.mark.parametrize("method", ["naive", "fused", "log1p", "fd"])
def test_products_with_a_jacobian(of, cotangent, matrix, method):
    x = np.array([0.3, 1.1, -2.0])
    p = np.exp(x) / np.exp(x).sum()
    report = smcli.gradient(x, quantities=of, cotangent=cotangent, methods=method)
    (m,) = result(report, "vjp").methods
    assert np.allclose(m.values, np.array(cotangent) @ matrix(p), rtol=1e-8 if method == "fd" else 1e-13)


def test_a_signed_product():
    b, x = [2.0, -1.0, 0.5], [0.3, 1.1, -2.0]
    e = np.array(b) * np.exp(x)
    report = smcli.gradient(x, quantities="logsumexp", coefficients=b, cotangent=[1.0], methods="fused")
    assert np.allclose(result(report, "vjp").methods[0].values, e / e.sum(), rtol=1e-13)


def test_bceloss_is_bounded_by_100():
    report = smcli.compare([200, -200, 0], quantities="bce", labels=[0, 1, 1], methods="bceloss", dtype="float32")
    (m,) = result(report, "bce").methods
    assert m.values.tolist()[:2] == [100, 100]


def test_an_epsilon_in_the_log_bounds_the_loss():
    report = smcli.compare([0, 100], target=0, quantities="cross-entropy", methods="epsilon", dtype="float32")
    assert result(report, "cross-entropy").methods[0].values[0] == pytest.approx(
        -np.log(np.finfo(np.float32).eps), rel=1e-6
    )


@pytest.mark.parametrize("method", ["epsilon", "bceloss", "clipped"])
def test_a_guarded_loss_has_no_gradient_of_another(method):
    with pytest.raises(UsageError, match=f"no gradient of entropy in {method}"):
        smcli.gradient([1, 2], quantities="entropy", methods=method)
    (first, _) = result(smcli.gradient([1, 2], quantities="entropy", methods=[method, "fused"]), "gradient").methods
    assert first.reason == "it has no entropy to differentiate"


def test_perplexity():
    x = rows(200, 7)
    (reduced,) = smcli.compare(x, target=0, quantities="cross-entropy", reduction="perplexity", methods="fused").reduced
    losses = [mpmath.log(mpmath.fsum(mpmath.exp(mpmath.mpf(v) - mpmath.mpf(r[0])) for v in r)) for r in x.tolist()]
    want = mpmath.exp(mpmath.fsum(losses) / len(losses))
    assert abs(mpmath.mpf(reduced.exact) - want) < want * mpmath.mpf(10) ** -16
    assert reduced.methods[0].rel[0] < 1e-14 and "exponential of the mean" in reduced.note


@pytest.mark.parametrize("digits", [5, 17, 60])
def test_perplexity_to_any_number_of_digits(digits):
    (reduced,) = smcli.compare(
        [[1, 2], [3, 4]], target=[0, 1], quantities="cross-entropy", reduction="perplexity", digits=digits
    ).reduced
    mean = (mpmath.log1p(mpmath.e) + mpmath.log1p(mpmath.exp(-1))) / 2
    assert reduced.exact == mpmath.nstr(mpmath.exp(mean), digits)


@pytest.mark.parametrize(("far", "digits"), [(500, 700), (1e10, 17), (1e17, 30), (1.7e308, 700)])
def test_the_perplexity_of_a_vanishing_loss_is_1(far, digits):
    (reduced,) = smcli.compare(
        [0, -far], target=0, quantities="cross-entropy", reduction="perplexity", methods="fused", digits=digits
    ).reduced
    with mpmath.workdps(digits + 10):
        assert reduced.exact == mpmath.nstr(1 + mpmath.exp(-mpmath.mpf(far)), digits).removesuffix(".0")
    assert reduced.methods[0].ulp[0] < 1e-60


def test_a_mean_whose_exponent_is_long_is_told_by_the_first_digits_of_it(capsys):
    assert run(["eval", "0", "-1e300", "--target", "0", "-q", "cross-entropy", "--reduction", "perplexity"]) == 0
    assert "the exponential of the mean 10^-4.34294e299)" in capsys.readouterr().out


def test_a_perplexity_beyond_the_format_tells_its_logarithm():
    (reduced,) = smcli.compare([[4000, 2]], target=1, quantities="cross-entropy", reduction="perplexity").reduced
    assert "beyond float64" in reduced.note and "3998" in reduced.note and reduced.exact.endswith("e1736")
    (sure,) = smcli.compare([[0, 2], [1, 1]], target=[1, 1], quantities="cross-entropy", reduction="perplexity").reduced
    assert "beyond" not in sure.note


def test_a_weighted_mean_says_by_what_it_divides():
    asked = {"quantities": "cross-entropy", "class_weights": [1, 3], "reduction": "mean"}
    (hard,) = smcli.compare([[1, 2], [3, 4]], target=[0, 1], **asked).reduced
    assert hard.note == "the mean divides by 4, the sum of the weights of the targets"
    (soft,) = smcli.compare([[1, 2], [3, 4]], labels=[0.5, 0.5], **asked).reduced
    assert soft.note == "the mean divides by 2, the number of rows"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"quantities": "kl"}, "against is needed by kl"),
        ({"quantities": "focal"}, "target or labels is needed by focal"),
        ({"quantities": "entropy", "target": 0}, "target is not an option of entropy"),
        ({"quantities": "kl", "against": [1, 2], "labels": [0, 1]}, "labels is not an option of kl"),
        ({"quantities": "entropy", "z_loss": 1}, "z_loss is not an option of entropy"),
        ({"quantities": "softmax", "against": [1, 2]}, "against is an option of kl alone"),
        ({"quantities": "softmax", "reverse": True}, "reverse is an option of kl alone"),
        ({"quantities": "softmax", "gamma": 1}, "gamma is an option of focal alone"),
        ({"quantities": "focal", "target": 0, "gamma": -1}, "gamma=-1 is out of range"),
        ({"quantities": "focal", "target": 0, "z_loss": 1}, "z_loss is not an option of focal"),
        ({"quantities": "softmax", "coefficients": [1, 2]}, "coefficients is an option of logsumexp"),
        ({"quantities": "logsumexp", "coefficients": [1, 2, 3]}, "has 3 numbers for a row of 2 logits"),
        ({"quantities": "bce", "labels": [0, 1], "reduction": "perplexity"}, "a perplexity is of"),
    ],
)
def test_options_that_do_not_belong(asked, says):
    with pytest.raises(OptionError) as error:
        smcli.compare([1, 2], **asked)
    assert says in f"{error.value} {error.value.hint}"


def test_rows_of_the_teacher_fit_the_rows_of_logits():
    several = smcli.compare([[1, 2], [3, 5]], quantities="kl", against=[[1, 2], [0, 2]], methods="fused")
    assert [row.results[0].exact([0])[0] for row in several.rows] == ["0", "0"]
    with pytest.raises(smcli.SmcliError, match="rows of the teacher's logits"):
        smcli.compare([[1, 2], [3, 5]], quantities="kl", against=[[1, 2]] * 3)
    with pytest.raises(smcli.SmcliError, match="3 logits of the teacher"):
        smcli.compare([1, 2], quantities="kl", against=[1, 2, 3])


def test_a_product_needs_its_vector():
    with pytest.raises(UsageError, match="differentiates a loss"):
        smcli.gradient([1, 2], quantities="log-softmax")
    with pytest.raises(OptionError, match="is one number, not 2"):
        smcli.gradient([1, 2], quantities="logsumexp", cotangent=[1, 2])
    with pytest.raises(OptionError, match="has no gradient"):
        smcli.gradient([1, 2], target=0, reduction="perplexity")
    with pytest.raises(OptionError, match="cotangent"):
        smcli.gradient([1, 2], quantities="entropy", cotangent=[1, 2])


def test_exact_knows_them():
    assert smcli.exact([1, 2, 3], "kl", against=[1, 2, 3]) == ["0"]
    assert smcli.exact([0, 0], "entropy", digits=5) == ["0.69315"]
    assert smcli.exact([46.0, 46.0, 0.25], "logsumexp", coefficients=[1, -1, 1]) == ["0.25"]


def test_the_command_line_takes_a_file_of_teachers(tmp_path, capsys):
    np.save(tmp_path / "t.npy", np.array([[1.0, 2.0], [0.0, 5.0]]))
    np.save(tmp_path / "x.npy", np.array([[1.0, 2.0], [3.0, 8.0]]))
    words = ["compare", "-i", f"{tmp_path}/x.npy", "-q", "kl", "--against", f"{tmp_path}/t.npy", "-f", "json"]
    assert run(words) == 0
    assert capsys.readouterr().out.count('"exact": ["0"]') == 2


@pytest.mark.parametrize("temperature", [1, 2.5])
def test_the_teacher_is_scaled_alike(temperature):
    x, t = np.array([1.0, 2.0, 4.0]), np.array([0.0, 1.5, 1.0])
    report = smcli.compare(x, quantities="kl", against=t, temperature=temperature, methods="fused")
    p, q = (np.exp(v / temperature) / np.exp(v / temperature).sum() for v in (x, t))
    assert result(report, "kl").methods[0].values[0] == pytest.approx((q * np.log(q / p)).sum(), rel=1e-12)


def test_a_mean_of_entropies():
    (reduced,) = smcli.compare([[0, 0], [0, 0]], quantities="entropy", reduction="mean", digits=5).reduced
    assert reduced.exact == "0.69315"


def test_no_two_losses_at_once():
    for one, other in itertools.combinations(["kl", "focal", "bce", "cross-entropy"], 2):
        with pytest.raises(UsageError, match="losses of different problems"):
            smcli.compare([1, 2], quantities=[one, "entropy", other], target=0)
    with pytest.raises(UsageError, match="losses of different problems"):
        smcli.gradient([1, 2], quantities=["cross-entropy", "entropy"], target=0)


@pytest.mark.parametrize(
    ("loss", "options"),
    [("cross-entropy", {"target": 1}), ("kl", {"against": [3, 1, 2]}), ("focal", {"target": 1, "gamma": 1.5}),
     ("bce", {"labels": [0, 1, 1]})],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_an_entropy_stands_beside_any_loss(loss, options, first):
    """Each is what it is alone, whichever was named first; a reduction is that of the loss with the options."""
    x = [[1.5, 2.0, -3.0], [0.0, 4.0, 1.0]]
    asked = ["entropy", loss] if first else [loss, "entropy"]
    report = smcli.compare(x, quantities=asked, reduction="sum", **options)
    for name, given in ((loss, options), ("entropy", {})):
        alone = smcli.compare(x, quantities=name, **given)
        mine = [[r for r in row["results"] if r["quantity"] == name] for row in report.to_dict()["rows"]]
        assert mine == [row["results"] for row in alone.to_dict()["rows"]]
    assert [r.quantity for r in report.reduced] == [loss]


@pytest.mark.parametrize(("b", "sign"), [([2.0, -1.0], 1), ([-2.0, 1.0], -1), ([1.0, -1.0], 0)])
def test_the_sign_of_a_signed_sum_is_told(capsys, b, sign):
    words = ["compare", "1", "1", "-q", "logsumexp", "--coefficients", ",".join(map(str, b))]
    assert run([*words, "-f", "json"]) == 0
    assert f'"sign": {sign}' in capsys.readouterr().out
    assert run([*words, "-v"]) == 0
    assert {1: "is positive", -1: "is negative", 0: "is exactly 0"}[sign] in capsys.readouterr().out
