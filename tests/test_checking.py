"""smcli check: outputs and logits that belong together, verdicts, the tolerance to use and the one that is there."""

import json
import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from scipy import special

import smcli
from smcli import render
from smcli.checking import fails
from smcli.cli.app import run
from smcli.numbers import formats

RNG = np.random.default_rng(11)
X = RNG.normal(0, 5, (7, 9))
T = [0, 1, 2, 3, 4, 5, 6]
LABELS = RNG.dirichlet(np.ones(9), 7)
LOG_P = special.log_softmax(X, axis=1)
P = special.softmax(X, axis=1)


def jacobian(p):
    return np.stack([np.diag(row) - np.outer(row, row) for row in p])


GOOD = {
    "softmax": (P, {}),
    "log-softmax": (LOG_P, {}),
    "logsumexp": (special.logsumexp(X, axis=1), {}),
    "cross-entropy": (-LOG_P[range(7), T], {"target": T}),
    "bce": (np.log1p(np.exp(-np.abs(X))), {"labels": (X > 0).astype(float)}),
    "gradient": (P - np.eye(9)[T], {"target": T}),
    "jacobian": (jacobian(P), {}),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(capsys, *words):
    code = run(["check", *map(str, words), "-f", "json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


@pytest.mark.parametrize("quantity", GOOD)
def test_good_values_pass_and_each_kind_of_bad_one_fails(quantity):
    values, keywords = GOOD[quantity]
    good = smcli.check(X, values, quantity=quantity, **keywords)
    assert good.command == "check" and not fails(good, "warning") and good.tolerance["passes"]
    for bad in (np.nan, np.inf, -np.inf, values.flat[3] * 1.001 + 1e-9):
        wrong = values.copy()
        wrong.flat[3] = bad
        report = smcli.check(X, wrong, quantity=quantity, **keywords)
        counts = {k: n for s in report.scores() for k, n in s.counts.items()}
        assert counts.get("lost", 0) + counts.get("inaccurate", 0) == 1
        assert fails(report, "warning") and fails(report, "note") and not fails(report, "never")
        assert fails(report, "error") == (not np.isfinite(bad))
        assert not report.tolerance["passes"] and report.tolerance["looks_like"] is None


@pytest.mark.parametrize("quantity", GOOD)
def test_the_tolerance_passes_good_values_and_no_zeros(quantity):
    values, keywords = GOOD[quantity]
    told = smcli.check(X, values, quantity=quantity, **keywords).tolerance
    assert np.allclose(values, values, rtol=told["rtol"], atol=told["atol"])
    assert not np.allclose(0, values, rtol=told["rtol"], atol=told["atol"])
    assert told["formula"].startswith("rtol = ") and told["yours"] is None


@pytest.mark.parametrize("steps", [0, 1, -1, 3])
def test_a_tolerance_is_judged_beside_the_truth_not_beside_the_float64_next_to_it(steps):
    """|output − truth| ≤ A + R·|truth|: what a float64 leaves of the truth counts, too."""
    x = [0.1, 1.7, 22.6]
    (told,) = smcli.exact(x, "logsumexp", digits=60)
    y = float(told) + steps * math.ulp(float(told))
    apart = abs(Fraction(y) - Fraction(told))
    for share in (Fraction(9, 10), Fraction(11, 10)):
        for option in ({"rtol": float(share * apart / Fraction(told))}, {"atol": float(share * apart)}):
            (yours,) = [smcli.check(x, [y], quantity="logsumexp", **option).tolerance["yours"]]
            assert yours["passes"] == (share > 1)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize(("logit", "side"), [(-9.183549615799121e-41, 1), (0.0, 0), (9.183549615799121e-41, 0)])
def test_an_error_is_in_spacings_at_the_truth_however_near_it_is_to_a_power_of_2(logit, side, dtype):
    """sigmoid(−x) = 1/2 − x/4 has the spacing of the numbers below 1/2, of which two make one above."""
    f = formats.get(dtype)
    y = 0.5 - 2.0 ** (-1 - f.p)
    report = smcli.check([logit], [y], quantity="sigmoid", dtype=dtype)
    assert report.worst_ulp("output", "sigmoid") == pytest.approx(0.5 * 2**side, rel=1e-9)


def test_a_tolerance_of_the_user_is_judged():
    yours = smcli.check(X, P, rtol=1e-5, atol=1.0).tolerance["yours"]
    fine = {"failures": 0, "failed": []}
    assert yours == {"rtol": 1e-5, "atol": 1.0, "passes": True, "zeros_pass": True, "below_ulp": False, **fine}
    yours = smcli.check(X, P, rtol=1e-17).tolerance["yours"]
    assert yours["failures"] == len(yours["failed"]) > 0
    told = {"rtol": 1e-17, "atol": 0.0, "passes": False, "zeros_pass": False, "below_ulp": True}
    assert yours | told == yours
    for option in ("rtol", "atol"):
        with pytest.raises(smcli.OptionError, match=option):
            smcli.check(X, P, **{option: -1.0})


def test_what_a_user_reads_of_a_tolerance():
    text = str(smcli.check(X, P, rtol=1e-17, atol=2.0))
    assert "tolerance for a test: rtol=" in text and "all zeros would pass" in text
    assert "less than one spacing" in str(smcli.check(X, P, rtol=1e-17))


@pytest.mark.parametrize(
    ("inside", "words"),
    [(np.float32, "computed in float32 and rounded once"), (ml_dtypes.bfloat16, "every step in bfloat16")],
)
def test_values_look_like_the_arithmetic_they_were_computed_in(inside, words):
    x = RNG.normal(0, 2, (4, 200)).astype(ml_dtypes.bfloat16)
    z = x.astype(inside)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = (e / e.sum(axis=1, keepdims=True)).astype(ml_dtypes.bfloat16)
    report = smcli.check(x, p)
    assert report.dtype == "bfloat16" and report.tolerance["looks_like"].startswith(words)
    assert [m["arithmetic"].split()[0] for m in report.tolerance["models"]] == ["computed", "every"]


def wrong_by_one_percent():
    x = RNG.normal(0, 2, (4, 200)).astype(np.float16)
    p = special.softmax(x.astype(np.float64), axis=1).astype(np.float16)
    return x, (p * np.float16(1.01)).astype(np.float16)


def test_a_tolerance_that_is_looser_than_a_kernels_says_so():
    """Values that only pure float16 explains: what a kernel in float32 would keep to stands beside it."""
    x, p = wrong_by_one_percent()
    report = smcli.check(x, p)
    first, second = report.tolerance["models"]
    truth = special.softmax(x.astype(np.float64), axis=1)
    beyond = ~np.isclose(p.astype(np.float64), truth, rtol=first["rtol"], atol=first["atol"])
    assert not first["passes"] and second["passes"] and first["failures"] == np.count_nonzero(beyond) > 700
    said = next(line for line in str(report).splitlines() if "is tighter" in line)
    assert "one computed in float32 and rounded once to float16" in said
    assert said.endswith(f": {first['failures']} values are beyond it")
    assert "is tighter" not in str(smcli.check(x, special.softmax(x.astype(np.float64), axis=1).astype(np.float16)))


@pytest.mark.parametrize("style", [("--summary",), ("-f", "github"), ()])
@pytest.mark.parametrize("rows", [4, 700])
def test_a_tolerance_is_told_whatever_is_left_out(here, capsys, style, rows):
    x, p = wrong_by_one_percent()
    np.save("x.npy", np.tile(x, (rows // 4, 1)))
    np.save("p.npy", np.tile(p, (rows // 4, 1)))
    assert run(["check", "x.npy", "p.npy", "--rtol", "1", "--atol", "1", *style]) == 0
    out = capsys.readouterr().out
    assert "tolerance for a test: rtol=" in out and "all zeros would pass" in out and "is tighter" in out


def test_shapes_have_to_agree():
    for outputs in (P[:, :-1], P[:-1], P.T, P[0]):
        with pytest.raises(smcli.InputError, match=r"\(7, 9\)"):
            smcli.check(X, outputs)
    with pytest.raises(smcli.InputError, match="63 values where 7 are due"):
        smcli.check(X, P, quantity="logsumexp")
    with pytest.raises(smcli.InputError, match="where 567 are due"):
        smcli.check(X, P, quantity="jacobian")


@pytest.mark.parametrize(
    ("outputs", "options", "shape", "hint"),
    [
        (np.ones(7), {}, "(7,)", "-q cross-entropy -t TARGETS"),
        (np.ones((7, 1)), {}, "(7, 1)", "-q cross-entropy -t TARGETS"),
        ([1.0] * 7, {}, "(7,)", "-q cross-entropy -t TARGETS"),
        (np.ones(1), {}, "(1,)", "--reduction mean"),
        (np.float64(1), {"quantity": "cross-entropy", "target": T}, "(1,)", "add --reduction mean"),
        (P.T, {}, "(9, 7)", "--axis N"),
        (np.ones((7, 3, 3)), {}, "(7, 3, 3)", "a row of them belongs to each row of logits"),
        (np.ones((7, 9, 9)), {}, "(7, 9, 9)", "-q jacobian"),
        (P, {"quantity": "cross-entropy", "target": T}, "(7, 9)", "-q softmax"),
        (np.ones(7), {"quantity": "cross-entropy", "target": T, "reduction": "mean"}, "(7,)", "leave out --reduction"),
    ],
)
def test_the_shape_is_that_of_the_file_and_the_hint_fits_it(here, capsys, outputs, options, shape, hint):
    with pytest.raises(smcli.InputError) as error:
        smcli.check(X, outputs, **options)
    assert f"the outputs have the shape {shape}" in error.value.message and hint in error.value.hint
    assert "--axis" not in error.value.hint or hint in {"--axis N", "a row of them belongs to each row of logits"}
    np.save("x.npy", X)
    np.save("o.npy", np.atleast_1d(outputs))
    words = ["-q", options.get("quantity", "softmax"), "--reduction", options.get("reduction", "none")]
    assert check(capsys, "x.npy", "o.npy", *words[: 4 if options else 0], *(["-t", "0"] if options else []))[0] == 2
    np.save("l.npy", -LOG_P[range(7), 0])  # what the hint says is right
    assert check(capsys, "x.npy", "l.npy", "-q", "cross-entropy", "-t", "0")[0] == 0
    np.save("l.npy", -LOG_P[range(7), 0].mean())
    assert check(capsys, "x.npy", "l.npy", "-q", "cross-entropy", "-t", "0", "--reduction", "mean")[0] == 0


def test_rows_of_different_lengths():
    rows = [[1.0, 2.0], [3.0, 1.0, 2.0], [0.0, 0.5]]
    report = smcli.check(rows, [special.softmax(r).tolist() for r in rows])
    assert len(report.rows) == 3 and not fails(report, "note")
    report = smcli.check(rows, [float(special.logsumexp(r)) for r in rows], quantity="logsumexp")
    assert not fails(report, "note")
    flat = [v for r in rows for v in jacobian([special.softmax(r)]).ravel()]
    assert not fails(smcli.check(rows, flat, quantity="jacobian"), "note")


def test_an_output_that_is_no_number_of_the_format_is_refused_and_a_decimal_is_rounded():
    with pytest.raises(smcli.InputError, match=r"not all are numbers of float16: .* at index 0 of row 0"):
        smcli.check(X, P, dtype="float16")
    narrow = P.astype(np.float16)
    assert smcli.check(X, narrow.astype(np.float64), dtype="float16").dtype == "float16"
    report = smcli.check([1.0, 2.0, 3.0], [0.0900306, 0.2447285, 0.6652410], dtype="float32", max_rel=1e-6)
    assert not fails(report, "warning") and "decimals, rounded to float32" in str(report)


def test_the_format_is_that_of_the_outputs():
    assert smcli.check(X, P.astype(np.float32)).dtype == "float32"
    assert smcli.check(X.astype(np.float32), P).dtype == "float64"
    assert smcli.check(X.tolist(), P.tolist()).dtype == "float64"
    with pytest.raises(smcli.OptionError, match="several formats"):
        smcli.check(X, P, dtype="all")


@pytest.mark.parametrize(
    ("how", "slip", "words"),
    [
        ("mean", lambda losses: losses[:-1].sum() / 7, "divided by all 7 rows"),
        ("mean", lambda losses: losses[:-1].sum(), "the sum, not the mean"),
        ("sum", lambda losses: losses[:-1].mean(), "the mean, not the sum"),
        ("sum", lambda losses: -losses[:-1].sum(), "its sign is wrong"),
    ],
)
def test_a_reduced_loss_is_one_number_and_usual_slips_are_named(how, slip, words):
    losses, target = GOOD["cross-entropy"][0], [*T[:-1], -100]
    keywords = {"quantity": "cross-entropy", "target": target, "ignore_index": -100, "reduction": how}
    right = losses[:-1].mean() if how == "mean" else losses[:-1].sum()
    good = smcli.check(X, [right], **keywords)
    assert not fails(good, "warning") and good.tolerance["passes"] and "nothing to report" in str(good)
    wrong = smcli.check(X, [slip(losses)], **keywords)
    assert fails(wrong, "warning") and [f.code for f in wrong.findings] == ["SM401"]
    assert words in wrong.findings[0].message and words in str(wrong)
    document = wrong.to_dict()
    assert document["summary"]["findings"] == {"SM401": 1}
    assert document["summary"]["reduced"]["cross-entropy"]["findings"][0]["code"] == "SM401"
    assert [f.code for f in smcli.check(X, [np.inf], **keywords).findings] == ["SM303"]
    assert [f.code for f in smcli.check(X, [0.0], **keywords).findings] == ["SM402"]
    with pytest.raises(smcli.InputError, match="one number"):
        smcli.check(X, losses, **keywords)


def test_a_gradient_of_a_mean():
    gradient = (P - np.eye(9)[T]) / 7
    keywords = {"quantity": "gradient", "target": T, "reduction": "mean"}
    assert not fails(smcli.check(X, gradient, **keywords), "warning")
    assert fails(smcli.check(X, gradient * 7, **keywords), "warning")


def test_an_ignored_row_has_to_be_0():
    losses = GOOD["cross-entropy"][0].copy()
    keywords = {"quantity": "cross-entropy", "target": [*T[:-1], -1], "ignore_index": -1}
    assert fails(smcli.check(X, losses, **keywords), "warning")
    losses[-1] = 0
    assert not fails(smcli.check(X, losses, **keywords), "warning")


@pytest.mark.parametrize("name", render.names())
def test_every_output_shows_a_check(name):
    wrong = P.copy()
    wrong[2, 3] = np.nan
    for outputs in (P, wrong):
        assert render.text(smcli.check(X, outputs), name)


def test_code_without_steps_is_explained_by_the_method_that_does_the_same():
    for logits, outputs, code in (
        ([1000.0, 2000.0], [np.nan, np.nan], "SM201"),
        ([-1000.0, -1001.0], [np.nan, np.nan], "SM304"),
    ):
        (found,) = smcli.check(logits, outputs).findings
        assert found.code == code and found.method == "output" and "the method naive" in found.message
    report = smcli.check([1.0, 2.0], [np.nan, 0.7310585786300049])  # nothing here gives nan
    assert [f.code for f in report.findings] == ["SM409"] and fails(report, "error")


def test_files_of_any_kind_and_shape(here, capsys):
    x = RNG.normal(0, 1, (2, 3, 5)).astype(np.float16)
    p = special.softmax(x.astype(float), axis=-1).astype(np.float16)
    np.save("x.npy", x)
    np.save("p.npy", p)
    np.savez("both.npz", logits=x, probs=p)
    assert check(capsys, "x.npy", "p.npy")[0] == 0
    assert check(capsys, "both.npz", "both.npz", "--key", "logits", "--out-key", "probs")[0] == 0
    code, document, _ = check(capsys, "x.npy", "p.npy", "--rows", "2:4")
    assert code == 0 and [r["row"] for r in document["rows"]] == [2, 3] and document["dtype"] == "float16"
    np.save("x1.npy", np.moveaxis(x, -1, 1))
    np.save("p1.npy", np.moveaxis(p, -1, 1))
    assert check(capsys, "x1.npy", "p1.npy", "--axis", "1")[0] == 0
    assert check(capsys, "x1.npy", "p.npy", "--axis", "1")[0] == 2
    np.save("l.npy", special.logsumexp(x.astype(float), axis=-1))
    assert check(capsys, "x1.npy", "l.npy", "--axis", "1", "-q", "logsumexp")[0] == 0


def test_targets_come_from_the_file_of_the_logits(here, capsys):
    np.savez("x.npz", logits=X, target=np.array(T))
    np.save("l.npy", GOOD["cross-entropy"][0])
    code, document, _ = check(capsys, "x.npz", "l.npy", "-q", "cross-entropy")
    assert code == 0 and [r["target"] for r in document["rows"]] == T
    assert check(capsys, "x.npz", "l.npy", "-q", "cross-entropy", "--rows", "1:3")[0] == 0


def test_the_exit_code_and_what_stands_on_stderr(here, capsys):
    np.save("x.npy", X)
    np.save("p.npy", P)
    np.save("bad.npy", P * 1.1)
    assert check(capsys, "x.npy", "bad.npy")[0] == 1
    assert check(capsys, "x.npy", "bad.npy", "--fail-on", "never")[0] == 0
    assert check(capsys, "x.npy", "bad.npy", "--fail-on", "error")[0] == 0
    assert check(capsys, "x.npy", "bad.npy", "--fail-on", "SM403")[0] == 1
    assert check(capsys, "x.npy", "p.npy", "--max-ulp", "0.01")[0] == 1
    for words, said in (
        (("x.npy", "p.npy", "-q", "softmax,logsumexp"), "one quantity"),
        (("x.npy", "p.npy", "-q", "vjp"), "check knows no vjp"),
        (("x.npy", "p.npy", "-q", "gradient"), "--target is needed by gradient"),
        (("x.npy", "p.npy", "-q", "bce"), "--labels are needed by bce"),
        (("x.npy", "nope.npy"), "nope.npy"),
        (("x.npy", "p.npy", "--rtol", "x"), "--rtol"),
    ):
        code, _, err = check(capsys, *words)
        assert code == 2 and said in err


def test_github_gets_annotations(here, capsys):
    np.save("x.npy", X)
    np.save("bad.npy", P * 1.1)
    assert run(["check", "x.npy", "bad.npy", "--fail-on", "warning", "-f", "github"]) == 1
    assert "::warning title=SM401 inaccurate::" in capsys.readouterr().out


def kernel(x):
    """Softmax of float32 logits, computed in float64 and rounded once to bfloat16: all values are correct."""
    return special.softmax(x.astype(np.float64), axis=-1).astype(np.float32).astype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp"])
@pytest.mark.parametrize(("logits", "outputs"), [("float32", "bfloat16"), ("float64", "float16"), ("bfloat16", "float64")])  # fmt: skip
def test_logits_are_taken_in_a_format_of_their_own(quantity, logits, outputs):
    """The truth is that of the logits as the code took them, and its rounding is that to the outputs' format."""
    x = np.random.default_rng(3).normal(0, 5, (6, 40))
    rows = [[float(v) for v in r] for r in (x if logits == "float64" else x.astype(getattr(ml_dtypes, logits, logits)))]
    right = [formats.get(outputs).round(np.array(smcli.exact(r, quantity, digits=25), dtype=float)) for r in rows]
    held = "not-representable" if outputs == "float16" else "correct"  # a few are below 6e-8
    report = smcli.check(x, np.array(right), quantity=quantity, dtype=outputs, logits_dtype=logits)
    assert {v for row in report.to_dict()["rows"] for v in row["results"][0]["methods"][0]["verdicts"]} <= {
        "correct",
        held,
    }
    assert [row["results"][0]["exact"] for row in report.to_dict()["rows"]] == [
        smcli.exact(r, quantity, digits=report.to_dict()["digits"]) for r in rows
    ]
    assert report.to_dict()["logits_dtype"] == logits


def test_where_logits_are_rounded_the_way_out_is_named(here, capsys):
    x = np.random.default_rng(4).normal(0, 5, (4, 50)).astype(np.float32)
    np.save("x.npy", x)
    np.save("y.npy", kernel(x).astype(np.float32))
    code, out, err = check(capsys, "x.npy", "y.npy", "-d", "bfloat16")
    assert "the logits are rounded from float32 to bfloat16" in err and "--logits-dtype float32" in err
    assert out["summary"]["findings"]["SM901"] == 4
    code, out, err = check(capsys, "x.npy", "y.npy", "-d", "bfloat16", "--logits-dtype", "float32")
    assert code == 0 and not err and not out["summary"]["findings"]
    run(["check", "x.npy", "y.npy", "-d", "bfloat16", "--logits-dtype", "float32"])
    told = capsys.readouterr().out
    assert "200 correct" in told and "bfloat16 (logits in float32)" in told
    np.save("narrow.npy", x.astype(ml_dtypes.bfloat16).astype(np.float32))  # nothing changes: nothing is said
    assert not check(capsys, "narrow.npy", "y.npy", "-d", "bfloat16", "--fail-on", "never")[2]
    assert run(["check", "x.npy", "y.npy", "--logits-dtype", "float12"]) == 2
    assert "float12" in capsys.readouterr().err


def test_a_logit_beyond_the_outputs_format_is_one_of_its_own():
    """70000 is inf in float16, and an ordinary number of float32, whose softmax float16 holds."""
    x, p = np.array([70000.0, 69999.0, 69990.0], np.float32), special.softmax([1.0, 0.0, -9.0]).astype(np.float16)
    codes = {f.code for f in smcli.check(x, p).findings}
    assert "SM902" in codes
    report = smcli.check(x, p, logits_dtype="float32")
    assert not report.findings and report.to_dict()["summary"]["worst"] is None


def test_many_values_of_logits_in_another_format():
    x = np.random.default_rng(5).normal(0, 5, (40, 3000)).astype(np.float32)
    summary = smcli.check(x, kernel(x), logits_dtype="float32").to_dict()
    whole = smcli.check(x[:2], kernel(x[:2]), logits_dtype="float32").to_dict()
    assert summary["summary"]["verdicts"]["correct"] >= 40 * 3000 - 30  # float64 to float32 to bfloat16 rounds twice
    assert summary["logits_dtype"] == whole["logits_dtype"] == "float32"


def test_a_teacher_is_taken_in_the_format_of_the_logits():
    x, q = np.float32([0.1, 2.3, -1.7]), np.float32([0.2, 2.2, -1.6])
    exact = float(smcli.exact(x.astype(float).tolist(), "kl", against=q.astype(float).tolist())[0])
    report = smcli.check(x, np.array([exact]).astype(ml_dtypes.bfloat16), quantity="kl", against=q, logits_dtype="float32")  # fmt: skip
    assert report.to_dict()["rows"][0]["results"][0]["methods"][0]["verdicts"] == ["correct"]
