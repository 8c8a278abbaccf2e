"""What every finding keeps to, whatever the row: nothing unexplained, nothing wrong said, no view of the neighbours."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import numpy as np
import pytest
from samples import hostile

import smcli
from smcli import findings
from smcli.model import Verdict
from smcli.numbers import formats

INF = float("inf")
VALUES = "softmax,log-softmax,logsumexp,cross-entropy"
SAID = re.compile(
    r"(?:the truth|true derivative|the true loss)(?: at index (\d+|\(\d+, \d+\)))? is (-?[\d.]+(?:e[+-]?\d+)?|-?inf|nan)"
)
KINDS = re.compile(r"((?:-?inf|nan)(?:(?:, | or )(?:-?inf|nan))*) is returned at")
EXPLAINS = {"SM201", "SM202", "SM203", "SM302", "SM303", "SM304", "SM402", "SM501", "SM502"}


def calls(rng, size):
    """Each command on some rows: (logits, labels) -> report."""
    dtype = str(rng.choice(list(formats.FORMATS)))
    options = {"dtype": dtype, "methods": "all", "digits": 17}
    if rng.random() < 0.2:
        options["temperature"] = float(rng.choice([0.5, 2, 3]))
    if rng.random() < 0.3:
        options["sum"] = str(rng.choice(["sequential", "compensated"]))
    yield lambda x, _: smcli.compare(x, quantities=VALUES, **options)
    yield lambda x, y: smcli.compare(x, quantities="bce", labels=y, **options)
    yield lambda x, y: smcli.compare(x, quantities="cross-entropy", labels=y, **options)
    yield lambda x, y: smcli.gradient(x, labels=y, **options)
    yield lambda x, y: smcli.gradient(x, quantities="bce", labels=y, **options)
    if size <= 5:
        yield lambda x, _: smcli.gradient(x, **options)


def ordinary(logits):
    return not (np.isnan(logits).any() or (logits == INF).any() or (logits == -INF).all())


def flat(places, side):
    return [i * side + j for i, j in places] if side else places


@pytest.mark.parametrize("seed", range(24))
def test_nothing_is_lost_without_a_word_and_no_truth_is_wrong(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.choice([1, 2, 3, 5, 17]))
    labels = rng.choice([0, 0.5, 0.25, 1], (1, size))
    for call in calls(rng, size):
        x = hostile(rng, size)
        report = call([x], labels)
        (found,) = report.rows
        for q in found.results:
            exact = q.exact(range(q.size))
            for m in q.methods:
                some = [f for f in found.findings if (f.quantity, f.method) == (q.quantity, m.method)]
                codes = {f.code for f in some}
                lost = m.verdicts == Verdict.LOST
                wrong = (m.verdicts == Verdict.INACCURATE) & np.isfinite(m.values)
                told = f"{report.dtype} {m.method} {q.quantity} {x.tolist()} {codes}"
                for f in some:
                    assert f.count >= len(f.at) == min(f.count, 100) and list(f.at) == sorted(f.at), told
                    worst = re.search(r"at index (\d+) where", f.message)
                    if f.code != "SM503":  # that is of the sum
                        assert true_there(f, (int(worst[1]),) if worst and f.code == "SM401" else f.at, exact), told
                    kinds = KINDS.match(f.message)
                    assert not kinds or words(kinds[1]) == {str(float(m.values[i])) for i in f.at}, (told, f.message)
                if ordinary(found.logits) and report.dtype in {"float64", "float32"}:
                    assert not lost.any() or codes & EXPLAINS, told
                if ordinary(found.logits):
                    assert wrong.any() == ("SM401" in codes), told
                    for f in some:
                        assert f.code != "SM401" or f.count == wrong.sum(), told
                        assert f.code != "SM302" or f.count == (lost & (m.values == 0)).sum(), told


def words(text):
    return set(re.findall(r"-?inf|nan", text))


def true_there(found, at, exact):
    """Whether each truth in a message is that of the place that it names, or of all of them."""
    side = math.isqrt(len(exact))
    for place, text in SAID.findall(found.message):
        i, *j = map(int, re.findall(r"\d+", place) or [0])
        named = i * side + j[0] if j else i
        assert not place or (named in found.at and found.count > 1), found.message
        if not all(agrees(text, exact[i]) for i in ((named,) if place else at)):
            return False
    return True


def holds_what_it_says(found, exact, i, f):
    """Whether the format holds that truth, or rounds it to 0 or beyond, as a message says."""
    t, least = Decimal(exact[i]), Decimal(f.smallest_subnormal) / 2
    if f"which {f.name} holds" in found.message:
        assert least <= abs(t) <= Decimal(f.max) * 2, found.message
    if "which rounds to 0" in found.message:
        assert all(abs(Decimal(exact[k])) <= least for k in found.at) and t, found.message
    if "which is beyond" in found.message:
        assert abs(t) > f.max, found.message


SPOILT = [np.nan, INF, -INF]


@pytest.mark.parametrize("seed", range(12))
def test_of_values_that_code_spoilt_the_sentence_is_true_of_every_place(seed):
    rng = np.random.default_rng(seed)
    heard = 0
    for _ in range(40):
        size, dtype = int(rng.choice([2, 3, 5])), str(rng.choice(list(formats.FORMATS)))
        quantity = str(rng.choice(["softmax", "log-softmax", "gradient"]))
        f = formats.get(dtype)
        x = np.asarray(f.round(hostile(rng, size)))
        if not ordinary(x):
            continue
        target = {"target": int(rng.integers(size))} if quantity == "gradient" else {}
        good = (
            smcli.evaluate(x, quantities=quantity, dtype=dtype, digits=17, **target) if quantity != "gradient" else None
        )
        exact = (
            (good or smcli.gradient(x, dtype=dtype, methods="fused", digits=17, **target))
            .rows[0]
            .results[0]
            .exact(range(size))
        )
        bad = rng.random(size) < 0.7
        y = np.where(bad, rng.choice(SPOILT[: 1 + rng.integers(3 if f.has_inf else 1)], size), 0.5)
        for found in smcli.check([x], [y], quantity=quantity, dtype=dtype, **target).findings:
            if " is returned at " not in found.message or found.code not in {"SM303", "SM409", "SM501"}:
                continue
            heard += 1
            told = (found.message, x.tolist(), y.tolist(), exact)
            kinds = KINDS.search(found.message)
            assert words(kinds[1]) == {str(float(y[i])) for i in found.at}, told
            assert true_there(found, found.at, exact), told
            for place, _ in SAID.findall(found.message):
                holds_what_it_says(found, exact, int(place) if place else found.at[0], f)
    assert heard > 5


def agrees(said, exact):
    """Six digits in a message against the certified text."""
    if exact in {"inf", "-inf", "nan", "0"}:
        return said in {exact, "-0"} if exact == "0" else said == exact
    digits, _, power = exact.partition("e")
    if len(power) > 6:
        return said.startswith(("1e", "-1e")) or said.partition("e")[2] == power
    mantissa, _, exponent = said.partition("e")
    shift = int(exponent or 0) - int(power or 0)
    return float(f"{mantissa}e{shift}") == pytest.approx(float(digits), rel=2e-5)


@pytest.mark.parametrize("seed", range(8))
def test_a_row_is_judged_the_same_alone_and_in_a_batch(seed):
    rng = np.random.default_rng(1000 + seed)
    size = int(rng.choice([1, 2, 3, 5]))
    for call in calls(rng, size):
        x = np.stack([hostile(rng, size) for _ in range(4)])
        labels = rng.choice([0, 0.5, 0.25, 1], (4, size))
        batch = call(x, labels)
        for r in range(4):
            (alone,) = call(x[r : r + 1], labels[r : r + 1]).rows
            assert set(alone.findings) == set(batch.rows[r].findings), (x.tolist(), r)
            for a, b in zip(alone.results, batch.rows[r].results, strict=True):
                for m, n in zip(a.methods, b.methods, strict=True):
                    np.testing.assert_array_equal(m.values, n.values)
                    np.testing.assert_array_equal(m.verdicts, n.verdicts)


def test_findings_come_worst_first_then_by_code_then_in_the_order_of_methods():
    rank = {"error": 0, "warning": 1, "note": 2}
    rows = [[1000, 2000, 3000], [0, -800, -745], [-744, -745, 1]]
    for r in smcli.compare(rows, methods="all", quantities=VALUES).rows:
        assert len(r.findings) > 3
        keys = [(rank[f.severity], f.code) for f in r.findings]
        assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("logits", "dtype", "code", "text"),
    [
        ([0, -800], "float64", "SM303", "the truth is 800"),
        ([1, 1000, 3], "float64", "SM501", "the true derivative at index (0, 1) is"),
        ([12, 3], "float16", "SM302", "the truth is 0.000123395, which float16 holds"),
        ([40, 0], "float64", "SM402", "the truth is -4.24835e-18, which float64 holds"),
        ([-104, -104], "float32", "SM304", "the largest is -104; exp is 0 up to -103.972 in float32"),
        ([89, 89], "float32", "SM201", "exp(89) is beyond float32, which holds exp only below 88.7228"),
        ([9] * 10, "float16", "SM202", "the sum is about 81040, the largest number 65504"),
        ([7, 0], "float8_e4m3fn", "SM201", "exp(x) is nan at index 0"),
    ],
)
def test_messages_carry_the_figures(logits, dtype, code, text):
    report = (smcli.gradient if code == "SM501" else smcli.compare)(
        logits, dtype=dtype, methods="naive,shifted,fused", **({} if code == "SM501" else {"quantities": VALUES})
    )
    assert text in " ".join(f.message for f in report.findings if f.code == code)


def test_a_truth_far_below_float64_is_written_out():
    report = smcli.gradient([1, 1000, 3], methods="naive")
    (f,) = (f for f in report.findings if f.code == "SM501")
    assert "the true derivative at index (0, 1) is -1.37" in f.message and "e-434" in f.message
    # (1, 1) is 1.4e-433, further on there are smaller ones
    report = smcli.compare([0, 1e9], methods="naive", quantities="log-softmax")
    (f,) = (f for f in report.findings if f.code == "SM303" and f.method == "naive")
    assert "the truth is -1e+09" in f.message


def test_places_in_a_jacobian_are_pairs_in_words_and_in_the_document():
    document = smcli.gradient([1, 1000, 3], methods="naive").to_dict()
    found = {f["code"]: f for f in document["rows"][0]["findings"]}
    assert found["SM201"]["at"] == [[1, 1]] and "exp(x) is inf at index 1" in found["SM201"]["message"]
    assert found["SM501"]["at"][0] == [0, 1] and "(0, 1)" in found["SM501"]["message"]
    assert all(len(place) == 2 for f in found.values() for place in f["at"])


def test_a_binary_loss_whose_exp_overflows_to_no_harm_is_not_accused():
    quiet = smcli.gradient([-800, 1.5], quantities="bce", labels=[0, 1], methods="fused")
    assert {f.code for f in quiet.findings} <= {"SM301"}
    hurt = smcli.gradient([-740, 1.5], quantities="bce", labels=[0, 1], methods="fused")
    assert {"SM201", "SM502"} == {f.code for f in hurt.findings}


def test_both_logs_of_a_binary_loss_and_a_masked_logit_are_told():
    report = smcli.compare([800, -800, -INF], quantities="bce", labels=[0, 1, 0], methods="naive")
    told = {f.at: f.step for f in report.findings if f.code == "SM303"}
    assert len(told) == 3 and told[(0,)] != told[(1,)] and (2,) in told


def test_a_lost_row_of_a_format_without_infinity_is_explained():
    report = smcli.compare([384, -384], dtype="float8_e4m3fn", methods="shifted", quantities="softmax")
    (f,) = (f for f in report.findings if f.severity == "error")
    assert (f.code, f.step, f.at) == ("SM203", "x − max(x)", (1,)) and "ends at 448" in f.message
    fine = smcli.compare([384, 380], dtype="float8_e4m3fn", methods="shifted", quantities="softmax")
    assert fine.worst != "error"


def test_a_mask_of_a_format_without_infinity_became_nan():
    codes = {f.code: f for f in smcli.compare([-INF, 0], dtype="float8_e4m3fn", methods="fused").findings}
    assert "SM101" not in codes and codes["SM902"].at == (0,)
    assert (
        "(−inf) became nan, because float8_e4m3fn has no infinity" in codes["SM902"].message
        and "−inf" not in codes["SM902"].remedy
    )
    codes = {f.code for f in smcli.compare([np.nan, 0], dtype="float8_e4m3fn").findings}
    assert "SM101" in codes and "SM902" not in codes


def test_a_narrow_accumulator_is_named():
    report = smcli.compare([11] * 9, accumulate="float16", methods="naive", quantities="softmax")
    (f,) = (f for f in report.findings if f.code == "SM202")
    assert "overflows its accumulator" in f.message and "1.79769e+308" not in f.message


@pytest.mark.parametrize(
    ("logits", "options", "words"),
    [
        ([1, -INF, 3], {"labels": [0, 0.5, 0.5]}, "is +inf, and"),
        ([1, -INF, 3], {"labels": [0, -0.5, 1.5]}, "is −inf, and"),
        ([-INF, -INF, 3], {"labels": [1, -0.5, 0.5]}, "is inf − inf = nan, and"),
        ([1, -INF, 3], {"target": 1, "class_weights": [1, -1, 1]}, "is −inf, and"),
        ([1, -65520, 3], {"target": 1, "class_weights": [1, -1, 1], "dtype": "float16"}, "the loss is −inf because"),
        ([-65520, -65520, 3], {"labels": [1, -1, 1], "dtype": "float16"}, "the loss is inf − inf = nan"),
    ],
)  # fmt: skip
def test_an_infinite_loss_is_told_with_its_sign(logits, options, words):
    report = smcli.compare(logits, quantities="cross-entropy", methods="fused", **options)
    (f,) = (f for f in report.findings if f.code in {"SM104", "SM902"})
    assert words in f.message
    (exact,) = report.rows[0].results[0].exact(range(1))
    assert exact.replace("-", "−") in words.replace("+", "") and exact in {"inf", "-inf", "nan"}


def test_what_the_attack_on_codes_found_stays_mended():
    # 0·inf of an exp that overflowed is no log of 0
    report = smcli.compare([1, 1000, 2], coefficients=[1, 0, 1], quantities="logsumexp", methods="naive")
    assert {f.code for f in report.findings} == {"SM201"}
    # a sum of losses that overflows its accumulator
    x, labels = [0, -384, -384], [0.5, 1, 1]
    report = smcli.compare(
        x, labels=labels, quantities="cross-entropy", dtype="float8_e5m2", accumulate="float8_e4m3fn", methods="fused"
    )
    (f,) = (f for f in report.findings if f.code == "SM203")
    assert "it is beyond float8_e4m3fn, which ends at 448" in f.message and "--accumulate float8_e5m2" in f.remedy
    # a coefficient of 0 in a format without infinity
    report = smcli.compare(
        [0, -4, 3], coefficients=[1, 1, 0], quantities="logsumexp", dtype="float8_e4m3fn", methods="shifted"
    )
    assert np.isfinite(report.worst_ulp("shifted", "logsumexp"))
    # rounding alone is no stall, and where infinity is due a nan has its reason, too
    report = smcli.compare([0.0, 1.0] * 60, dtype="float8_e4m3fn", methods="online", quantities="softmax")
    (f,) = (f for f in report.findings if f.code == "SM404")
    assert float(re.search(r"left out are (\S+) %", f.message)[1]) > 50
    report = smcli.compare([0.0, 1.0, 0.5] * 200, dtype="float32", methods="online", quantities="softmax")
    assert "SM404" not in {f.code for f in report.findings}
    report = smcli.compare([0, -INF, 1], against=[0, -INF, -INF], quantities="kl", reverse=True, methods="fused")
    (f,) = (f for f in report.findings if f.code == "SM303")
    assert f.message.endswith("the truth is inf")
    # a divergence of 0 where nothing cancels
    report = smcli.compare([0, -1277], against=[8, 0], dtype="float16", quantities="kl", reverse=True, methods="fused")
    assert [f.code for f in report.findings if f.severity != "note"] == ["SM402"]
    # a teacher's logits are divided by T, too
    report = smcli.compare(
        [1, 2], against=[60000, 0], temperature=0.1, dtype="float16", quantities="kl", methods="fused"
    )
    (f,) = (f for f in report.findings if f.code == "SM203")
    assert f.message == "t/T overflows float16 at index 0: 60000/0.0999756 is beyond 65504"
    # a running sum in a coarser format than the arithmetic errs by its own rounding
    report = smcli.compare([-87.9, -89.4], dtype="float32", compute="float64", accumulate="float32", methods="online")
    assert "SM404" not in {f.code for f in report.findings}


def test_a_row_without_a_wrong_value_is_not_accused_beside_others():
    x = [[60000, 3], [-60000, 3]]
    options = {"temperature": 0.1, "dtype": "float16", "quantities": "sigmoid", "methods": "fused"}
    both, alone = smcli.compare(x, **options), smcli.compare(x[:1], **options)
    assert [f.code for f in both.rows[0].findings] == [f.code for f in alone.rows[0].findings]


@pytest.mark.parametrize("options", [{}, {"temperature": 0.1}, {"temperature": 3}, {"softcap": 0.1}])
def test_what_becomes_of_probabilities_is_so(options):
    x = np.array([0.2, 0.3, 0.5])
    z = x / options.get("temperature", 1)
    z = options["softcap"] * np.tanh(z / options["softcap"]) if "softcap" in options else z
    largest = np.exp(z).max() / np.exp(z).sum()
    (f,) = (f for f in smcli.compare(x, quantities="softmax", **options).findings if f.code == "SM903")
    assert f.message.endswith(f"becomes {largest:.6g}")
    assert ("flatter" in f.message) == ("flattens" in f.remedy) == (largest < 0.5)
    report = smcli.compare(x, quantities="sigmoid", **options)
    (f,) = (f for f in report.findings if f.code == "SM903")
    assert f.message.endswith(f"{report.rows[0].results[0].truth.max():.6g}") and "0.5 and" in f.message


@pytest.mark.parametrize(
    ("logits", "options", "words"),
    [
        ([46, 3], {"accumulate": "float16"}, "its largest term, 9.49612e+19, is beyond 65504"),
        ([46, 46, 0.25], {"accumulate": "float16", "coefficients": [1, -1, 1]}, "its largest term, 9.49612e+19, is beyond 65504"),
        ([88.7, 88.7, 88.7], {"coefficients": [1, 1, -1]}, "Σ b·exp(x) overflows float32 on the way, though each of its 3 terms fits"),
    ],
)  # fmt: skip
def test_a_sum_that_overflows_says_which_number_was_too_large(logits, options, words):
    report = smcli.compare(logits, dtype="float32", methods="naive", quantities="logsumexp", **options)
    (f,) = (f for f in report.findings if f.code == "SM202")
    assert words in f.message


def test_a_remedy_is_only_tried_where_the_method_computes_the_quantity():
    report = smcli.compare([-12.3392, 0], quantities="logsumexp", coefficients=[1, 1], dtype="float32", methods="fused")
    (f,) = (f for f in report.findings if f.code == "SM401")
    assert f.remedy == "compute in float64 and round the result"  # log1p knows no coefficients
    (f,) = smcli.check([[1, 2]], [[np.nan]], quantity="logsumexp", coefficients=[1, 1]).findings
    assert f.code == "SM409"


def test_values_that_no_finding_explains_are_not_passed_over():
    outputs = [np.nan, np.nan], [0.26894142136999512, 0.73105857863000488]
    lost, fine = (str(smcli.check([[1, 2]], [y])).splitlines()[-1] for y in outputs)
    assert lost.startswith("1 error; ") and fine.startswith("nothing to report")


def test_the_zero_class_of_a_z_loss_may_be_masked():
    report = smcli.compare([-INF, 1, 2], target=1, z_loss=0.5, methods="all", quantities="cross-entropy")
    (q,) = report.rows[0].results
    for m in q.methods:
        assert m.values[0] == pytest.approx(q.truth[0], rel=1e-6), m.method


@pytest.mark.parametrize("dtype", [f.name for f in formats.FORMATS.values() if f.has_inf])
@pytest.mark.parametrize("seed", range(3))
def test_masks_raise_no_alarm(dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (30, 8))
    x[rng.random(x.shape) < 0.4] = -INF
    x[:, 2] = 0
    report = smcli.compare(x, dtype=dtype, methods="log1p,fused", quantities="softmax,log-softmax", target=[2] * 30)
    assert not [f for f in report.findings if f.severity == "error"]
    report = smcli.gradient(x, dtype=dtype, methods="fused", target=[2] * 30)
    assert not [f for f in report.findings if f.severity == "error"]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_ordinary_rows_raise_no_error(dtype):
    x = np.random.default_rng(8).normal(0, 5, (300, 9))
    report = smcli.compare(x, dtype=dtype, methods="log1p,fused", quantities=VALUES)
    assert not [f for f in report.findings if f.severity == "error"]
    report = smcli.gradient(x, dtype=dtype, methods="log1p,fused", target=[4] * 300)
    assert not [f for f in report.findings if f.severity == "error"]


def test_severities_and_kinds_of_evidence():
    rules = findings.everything()
    assert {c for c, r in rules.items() if r.about == "row"} == {
        "SM101", "SM102", "SM103", "SM104", "SM901", "SM902", "SM903",
    }  # fmt: skip
    assert {c for c, r in rules.items() if r.about == "truth"} == {"SM406"}
    for f in smcli.compare([[INF, 1, 2], [-0.775, -0.6175, -9]], quantities=VALUES).findings:
        about = rules[f.code].about
        assert (f.method is None) == (about != "run") and (f.quantity is None) == (about == "row")


def told(report, code):
    return [f for f in report.findings if f.code == code]


def test_causes_come_before_consequences():
    """A logit that rounding made infinite is told as that, not as one that was masked or infinite when it arrived."""
    for logits, words in (
        ([70000, 1], "became inf: frameworks return nan for the whole row"),
        ([0, -70000], "became −inf: its class is masked now, and the loss is +inf because the target is there"),
        (
            [-70000, -80000],
            "(-70000 first) are beyond float16's largest number 65504 and became −inf: no class is left",
        ),
        ([70000, -80000], "became ±inf"),
    ):
        report = smcli.compare(logits, dtype="float16", target=1)
        assert {f.code for f in report.findings if f.code.startswith("SM1")} == set()
        (f,) = told(report, "SM902")
        assert words in f.message
    (f,) = told(smcli.compare([70000, INF], dtype="float16"), "SM102")  # the one that arrived as such
    assert f.at == (1,)


def test_what_was_typed_stands_in_the_message(capsys):
    from smcli.cli.app import run

    for words, text in (
        (["1e400", "0"], "(1e400) is beyond float64's largest number"),
        (["1e308", "0"], "(1e+308 became 1.00000000000000001e+308)"),
        (["12345678901234567", "0"], "(12345678901234567 became 12345678901234568)"),
        (["0.1", "0", "-d", "float32"], "1 of 2 logits is no number of float32; the largest change is 1.49012e-09, at index 0 (0.1 "),
    ):  # fmt: skip
        assert run(["compare", *words, "-q", "softmax", "-f", "json"]) == 0
        assert text in capsys.readouterr().out


def test_the_effect_of_rounding_knows_the_temperature():
    (f,) = told(smcli.compare([0.7, 0], dtype="float32", temperature=0.01), "SM901")
    assert "changes p by up to about 1.19209e-06 relative" in f.message
    (f,) = told(smcli.compare([1000.3, 0], dtype="bfloat16"), "SM901")
    assert "by a factor of up to about e^±0.3" in f.message


@pytest.mark.parametrize(
    ("dtype", "loss", "words"),
    [("float64", 16.11809565, "−log 1e-07 (Keras)"), ("float32", 15.942385, "what is left of 1 − p clipped at 1 − 1e-7"),
     ("float64", 36.04365338911715, "−log 2.22045e-16 (the machine epsilon of float64)"), ("float32", 100.0, "PyTorch's BCELoss"),
     ("float32", 15.33324, "Keras adds ε once more"), ("float64", 15.424948, "Keras adds ε once more"),
     ("float64", 27.6310211, "hand-written"), ("float64", 34.53877639, "scikit-learn"), ("float64", 13.8155105, "−log 1e-06"),
     ("float64", 18.42068074, "−log 1e-08"), ("float64", 23.02585093, "−log 1e-10"),
     ("float32", 87.33654, "smallest normal number of float32"),
     ("float32", 103.27893, "smallest number of float32"), ("float64", 708.39641853, "smallest normal number of float64")],
)  # fmt: skip
def test_the_constants_of_clips_are_known(dtype, loss, words):
    """A value alone, without a trace, as an output file or a library gives it."""
    assert words in constants_told(dtype, loss, 900.0)
    assert constants_told(dtype, loss + 0.01, 900.0) == "" and constants_told(dtype, loss, loss) == ""


def constants_told(dtype, loss, true):
    from smcli.batch import Written
    from smcli.judge.measure import Limit, measure
    from smcli.methods import Run
    from smcli.model import Loss, Problem, Truth
    from smcli.problem.specs import Numerics

    f = formats.get(dtype)
    x = np.array([[0.0, true]])
    target = Loss(target=np.array([0]))
    rows = findings.RowEvidence.of(Problem(dtype, f.round(x), target), Written(x), ("cross-entropy",))
    truth = Truth(f.round(np.array([[true]])), np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64), 2.0**-50)
    y, limit = f.round(np.array([[loss]])), Limit(np.array(8.0))
    about = rows.with_truth("cross-entropy", truth, truth.hi, limit)
    errors = measure(y, truth, truth.hi, f, limit, np.zeros((1, 1), dtype=bool))
    ev = about.with_run(Run("output", y), errors, Numerics())
    return " ".join(findings.say(f, 0, truth=truth).message for f in findings.examine(ev) if f.code == "SM904")


def test_a_clip_is_only_told_where_one_was_seen():
    """naive has no clip: whatever its wrong losses are near to."""
    x = np.linspace(-37, -13, 400)[:, None] * [[0.0, 1.0]]
    for method in ("naive", "shifted"):
        assert not told(smcli.compare(x, dtype="bfloat16", methods=method, target=[1] * 400), "SM904")
    assert told(smcli.compare(x, dtype="float32", methods="clipped", target=[1] * 400), "SM904")


def test_one_hot_rows_are_asked_about_when_there_is_a_target():
    (f,) = told(smcli.compare([0, 1, 0], target=1), "SM903")
    assert "looks like a label or a prediction" in f.message and "becomes 0.576117" in f.message
    assert not told(smcli.compare([0, 1, 0]), "SM903")
    (f,) = told(smcli.compare([0.2, 0.5, 0.3]), "SM903")
    assert "the largest, 0.5, becomes 0.390694" in f.message and "softmax" in f.remedy


def test_binary_losses_are_spoken_of_as_such():
    logits, labels = [INF, np.nan, -INF, 0.2, 100, -100, -30, 30], [0.9, 1, 1, 0, 1, 1, 1, 0]
    for report in (
        smcli.compare(logits, quantities="bce", labels=labels, methods="all", dtype="float32"),
        smcli.gradient(logits, quantities="bce", labels=labels, methods="all", dtype="float32"),
        smcli.compare([0.2, 0.8], quantities="bce", labels=[0, 1]),
        smcli.compare([-INF, -INF], quantities="bce", labels=[0, 1]),
    ):
        for f in report.findings:
            words = f.message + f.remedy
            assert (
                not any(w in words for w in ("one-hot", "softmax", "the maximum", "other probabilities", "max(x, 0) "))
                or "BCE" in words
            ), f
    assert not told(smcli.compare([-INF, -INF], quantities="bce", labels=[0, 0]), "SM103")


def test_a_nan_logit_beside_a_binary_focal_loss_spoils_no_sigmoid_but_its_own():
    asked = {"quantities": ["focal", "sigmoid"], "labels": [0, 1], "methods": "fused"}
    (finding,) = smcli.compare([math.nan, 1.0], **asked).findings
    assert finding.code == "SM101" and "what is made of it is nan too" in finding.message


def test_ill_conditioned_only_beside_an_error_that_it_explains():
    good = smcli.compare([1e9, 1e9 + 1], quantities="softmax,log-softmax", methods="shifted,log1p,fused")
    assert not told(good, "SM406")
    # fused is beyond its limit, log1p accurate: the problem is no excuse
    report = smcli.compare([-12.3392, 0], dtype="float32", quantities="logsumexp", methods="fused,log1p")
    assert not told(report, "SM406") and [f.method for f in told(report, "SM401")] == ["fused"]
    (f,) = told(smcli.compare([-0.775, -0.6175], quantities="logsumexp", methods="naive,shifted"), "SM406")
    assert f.method is None and "62271.4 ulp of shifted" in f.message


def test_nan_where_the_true_loss_is_infinite_is_explained():
    report = smcli.compare(
        [-INF, -INF, 1], labels=[0.5, 0, 0.5], quantities="cross-entropy", methods="naive,shifted,fused"
    )
    found = told(report, "SM303")
    assert {f.method for f in found} == {"naive", "shifted", "fused"}
    assert all("at the masked class 1" in f.message and f.message.endswith("the truth is inf") for f in found)


def test_numbers_agree_with_their_nouns():
    (one,) = told(smcli.compare([np.nan, 1]), "SM101")
    (two,) = told(smcli.compare([np.nan, 1, np.nan]), "SM101")
    assert one.message.startswith("the logit at index 0 is nan")
    assert two.message.startswith("the logits at indices 0, 2 are nan")
    (many,) = told(smcli.compare([np.nan] * 7), "SM101")
    assert "indices 0, 1, 2, 3 and 3 more are nan" in many.message and many.count == 7


def test_search_finds_pages_by_their_words():
    assert findings.search("nan")[0].code in {"SM101", "SM501"} and {"SM101", "SM501"} <= {
        r.code for r in findings.search("nan")[:3]
    }
    assert findings.search("underflow")[0].code in {"SM301", "SM302"}
    assert findings.search("label smoothing")[0].code == "SM104"
    assert findings.search("SM404")[0].code == "SM404"
    assert findings.search("zzz") == findings.search(" ") == []
    pages = {r.code: r.page.lower() for r in findings.search("overflow exp")}
    assert "SM201" in pages and all("overflow" in p and "exp" in p for p in pages.values())


def test_a_snippet_that_recurs_stands_once():
    """In the docstrings as they are written, before the snippets are put in."""
    import inspect
    from collections import Counter

    written = [inspect.cleandoc(r.find.__doc__) for r in findings.everything().values()]
    blocks = Counter(block for page in written for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    assert [b for b, n in blocks.items() if n > 2] == []
    assert sum("{fix:" in page for page in written) >= 5 and not any(
        "{fix:" in r.page for r in findings.everything().values()
    )


@pytest.mark.parametrize(("kappa", "fires"), [(700, False), (990, False), (1010, True), (1500, True)])
def test_ill_conditioned_begins_at_a_thousand(kappa, fires):
    seen = set()
    for k in range(40):  # rows whose logsumexp is -δ, so that its condition is log 2/δ
        delta = math.log(2) / kappa
        x = -math.log(2) - delta + k * 1e-9
        report = smcli.compare([x, x - 1e-7], dtype="float32", quantities="logsumexp", methods=["naive", "shifted"])
        document = report.to_dict()["rows"][0]
        errors = [float(m["ulp"][0]) for m in document["results"][0]["methods"]]
        fired = any(f["code"] == "SM406" for f in document["findings"])
        assert fires or not fired
        seen.add(fired) if max(errors) > 8 else None
    assert seen <= {fires} and seen
