"""The attacks of tests/attack in small: each runs for a second or two here, and for as long as one likes by hand."""

import math
import re
from pathlib import Path
from random import Random

import numpy as np
import pytest

pytest.importorskip("flint")

import allowed
import checks
import codes
import commands
import definition
import digits
import emulation
import judging
import relations
import rounding
import scans
from definition import rounded
from flint import arb, ctx

import smcli
import smcli.numbers.formats
import smcli.read

SEEDS = range(1, 5)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_digit_and_every_bound_is_as_arb_says(seed):
    count, wrong = digits.attack(seed, 60)
    assert not wrong, "\n".join(wrong)
    assert count["problems"] >= 55 and count["values"] > 300 and count["bounds"] > 100


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.12", arb(1) / 9),
        ("0.11", arb(1) / 9 + arb("0.01")),
        ("0.1111", arb(1) / 9),  # more digits than asked for
        ("1.1e-1", arb(1) / 9),  # spelled in another way
        ("-0.11", arb(1) / 9),
        ("0", arb(1) / 9),
        ("inf", arb(1) / 9),
        ("1", arb("0.994")),  # below a power of ten digits are finer
    ],
)
def test_the_attack_sees_a_wrong_digit(text, value):
    with pytest.raises(digits.WrongError):
        digits.check_text(text, 2, value, "x")


def test_the_attack_takes_the_right_digits():
    assert digits.check_text("0.11", 2, arb(1) / 9, "x")
    assert digits.check_text("1", 2, arb("0.9951"), "x")
    assert digits.check_text("1.2e-300", 2, arb("1.2345e-300"), "x")


def test_the_attack_sees_a_bound_that_does_not_hold(monkeypatch):
    monkeypatch.setattr(ctx, "prec", 200)
    third = arb(1) / 3
    assert digits.check_bound(1 / 3, 0.0, 0, 2.0**-53, third, "x")
    with pytest.raises(digits.WrongError):
        digits.check_bound(1 / 3, 0.0, 0, 2.0**-56, third, "x")


def test_the_definition_rounds_as_formats_do():
    from smcli.numbers import formats

    rng = Random(3)
    for name in definition.FORMATS:
        for _ in range(200):
            x = rng.choice((-1, 1)) * rng.uniform(1, 2) * 2.0 ** rng.randint(-160, 140)
            mine, theirs = definition.rounded(x, name), float(formats.get(name).round(np.array([x]))[0])
            assert mine == theirs or (mine != mine and theirs != theirs)


FOUND = [  # what the attack has found, and the digits as Arb has them
    ([0, 0, 2**-24], "logsumexp", {"dtype": "float16", "coefficients": [2, 0.1, -1]}, ["0.095287930768501851"]),
    ([0, 0, 2**-24], "logsumexp", {"dtype": "float16", "coefficients": [-2, -0.1, 1]}, ["0.095287930768501851"]),
    ([-4.4e-323, 1e-323], "kl", {"against": [-4.4e-323, 1.5e-323], "reverse": True, "temperature": 2, "digits": 4},
     ["7.628e-649"]),
    ([-1.5e308, 0], "log-sigmoid", {"temperature": 0.5}, ["-3e308", "-0.69314718055994531"]),
]  # fmt: skip


@pytest.mark.parametrize(("logits", "quantity", "options", "due"), FOUND, ids=str)
def test_what_the_attack_found_stays_mended(logits, quantity, options, due):
    assert smcli.exact(logits, quantity, **options) == due


def test_a_gradient_that_a_temperature_takes_below_every_float_is_not_zero():
    options = {"quantities": "kl", "temperature": 8, "against": [0.5, 0.5], "reverse": True, "digits": 5}
    document = smcli.gradient([-2.5e-323, 2.5e-323], **options).to_dict()
    assert document["rows"][0]["results"][0]["exact"] == ["-1.9299e-325", "1.9299e-325"]


@pytest.mark.parametrize(("loss", "teacher"), [("entropy", None), ("kl", [0, 0, -1e4])])
def test_a_gradient_below_every_float_is_not_taken_for_zero(loss, teacher):
    logits = [0, 0, -2048]
    more = {} if teacher is None else {"against": teacher, "reverse": True}
    report = smcli.gradient(logits, quantities=loss, dtype="float8_e5m2" if teacher is None else "float32", **more)
    exact = report.to_dict()["rows"][0]["results"][0]["exact"]
    row = definition.Row([0.0, 0.0, -2048.0], kind=loss, teacher=teacher, reverse=teacher is not None)
    for text, value in zip(exact, row.values("gradient", 300), strict=True):
        assert digits.check_text(text, report.digits, value, loss)


def test_a_number_beside_one_that_is_told_in_words_is_rounded_once():
    tie, longer = (
        "-3125000186264514923095703125e-29",
        f"5{'0' * 40}1e-41",
    )  # a tie of float32, and more than a float64 holds
    (row,) = smcli.read.from_arguments([tie, longer])
    assert row.tokens is not None
    fmt = smcli.numbers.formats.get("float32")
    assert fmt.round_written(row.values, row.tokens).tolist() == [-0.03125, 5.0]


def test_a_perplexity_beyond_all_exponents_is_refused():
    with pytest.raises(smcli.SmcliError, match=r"e to the power of 5\.4"):
        smcli.evaluate(
            [1.4e308, -1.3e308], quantities="cross-entropy", labels=[0, 1], class_weights=[1, 2], reduction="perplexity"
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_methods_round_at_each_step_as_an_emulation_does(seed):
    count, wrong = rounding.attack(seed, 60)
    assert not wrong, "\n".join(wrong)
    assert count["problems"] == 60 and min(count[f"values of {m}"] for m in rounding.METHODS) > 200


def test_the_emulation_sees_one_rounding_less():
    rng = Random(5)
    fine, coarse = (emulation.Machine("float16", accumulate, "sequential") for accumulate in ("float32", "float16"))
    case = emulation.Case("shifted", "softmax")
    rows = [[rounded(rng.gauss(0, 1), "float16") for _ in range(40)] for _ in range(5)]
    assert any(emulation.values(case, row, fine) != emulation.values(case, row, coarse) for row in rows)


def test_a_reduced_loss_in_a_wider_format_leaves_ignored_rows_out():
    report = smcli.compare(
        [[1, 200], [1, 2]], quantities="cross-entropy", methods="fused", dtype="bfloat16", compute="float32",
        target=[-1, 0], ignore_index=-1, reduction="sum",
    )  # fmt: skip
    (method,) = report.to_dict()["summary"]["reduced"]["cross-entropy"]["methods"]
    assert method["values"] == [1.3125] and method["verdicts"] == ["correct"]


@pytest.mark.parametrize("seed", SEEDS)
def test_verdicts_errors_and_codes_are_what_the_contract_says(seed):
    count, wrong = judging.attack(seed, 60)
    assert not wrong, "\n".join(wrong)
    assert count["problems"] >= 55 and count["values"] > 1000


@pytest.mark.parametrize("seed", SEEDS)
def test_codes_fire_exactly_when_they_are_due(seed):
    count, wrong = codes.attack(seed, 60)
    assert not wrong, "\n".join(wrong)
    assert (
        count["problems"] >= 55
        and count["messages"] > 50
        and sum(n for name, n in count.items() if name.endswith(" due")) > 1000
    )


def test_the_attack_sees_a_code_that_keeps_silent_and_one_that_fires_for_nothing():
    problem = codes.Problem(
        "float16", "softmax", [[0.0, 1.0]], {"dtype": "float16"}, [definition.Row([0.0, 1.0])], [False]
    )
    told = {"method": "shifted", "values": [0.5, 0.25], "verdicts": ["inaccurate", "inaccurate"], "ulp": [900, 900]}
    exact = [judging.truth(text) for text in ("0.2689414213699951", "0.7310585786300049")]
    seen = codes.Seen(
        problem, 0, {"logits": [0.0, 1.0]}, "softmax", told, exact, emulation.Machine("float16", "float16")
    )
    due = seen.due()
    assert due["SM401"] and due["SM403"] and not due["SM404"] and not due["SM203"]
    assert list(codes.silent(seen, {"SM301"})) and not list(codes.silent(seen, {"SM401"}))


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_a_command_prints_the_same_whatever_the_way_in_and_out(seed):
    count, wrong = commands.attack(seed, 10)
    assert not wrong, "\n".join(wrong)
    assert count["documents"] > 30 and count["shown"] > 50 and count["cells"] > 100


@pytest.mark.parametrize(
    ("said", "full", "same"),
    [("1.235", "1.2346", True), ("1.234", "1.2346", False), ("1.0e-5", "9.96e-6", True), ("9.9e-6", "9.96e-6", False),
     ("0.1235", "0.12345", False), ("0.12345", "0.12345", True), ("120", "1.2e2", True), ("-1.2", "1.2", False)],
)  # fmt: skip
def test_the_attack_sees_a_figure_that_is_not_rounded_right(said, full, same):
    assert commands.shows(said, full) == same


def test_the_attack_sees_an_error_that_is_not_rounded_right():
    assert commands.error_shows("0.0001", 9.9999e-5) and not commands.error_shows("9.9e-5", 9.9999e-5)
    assert commands.error_shows("< 4e-12", 1e-13, 3.2e-12) and not commands.error_shows("< 3e-12", 1e-13, 3.2e-12)


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_what_is_asked_for_in_another_way_is_the_same(seed):
    count, wrong = relations.attack(seed, 40)
    assert not wrong, "\n".join(wrong)
    assert count["problems"] == 40 and sum(count[r.__name__] for r in relations.RELATIONS) > 100


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_scan_counts_what_compare_tells(seed):
    count, wrong = scans.attack(seed, 6)
    assert not wrong, "\n".join(wrong)
    assert count["scans"] == 6 and count["commands"] > 5


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_check_judges_spoilt_outputs_by_the_contract(seed):
    count, wrong = checks.attack(seed, 12)
    assert not wrong, "\n".join(wrong)
    assert count["problems"] > 5 and count["values"] > 20


def test_limits_as_the_attack_reads_the_numerics_page():
    row = allowed.Limits(definition.Row([-12.3392, 0.0]))
    assert row.condition_of_logsumexp() == pytest.approx(12.3, abs=0.1)
    assert row.distant(row.far[0]) == 2 * (1 + 4 + 12.3392) and row.flat() == 10
    near = allowed.Limits(definition.Row([-0.775, -0.6175]))
    assert near.condition_of_logsumexp() == pytest.approx(130896, rel=0.1)  # NUMERICS has the infinity norm, 147962
    one, other = (allowed.Limits(definition.Row(x)) for x in ([1.0, 2.0, 3.0], [1.0000001, 2.0, 3.0]))
    base, parts, size, mixed = allowed.divergence(one, other)
    assert mixed and base < 16 and parts > 1 and 1e-9 < size < 1e-7


@pytest.mark.parametrize(
    ("dtype", "value", "exact", "word"),
    [
        ("float64", 0.0, "1e-400", "not-representable"),
        ("float64", 0.0, "1e-300", "lost"),
        ("float64", math.inf, "1e400", "not-representable"),
        ("float8_e4m3fn", math.nan, "1e400", "not-representable"),
        ("float64", math.inf, "inf", "correct"),
        ("float64", math.nan, "0", "lost"),
        ("float16", 0.1, "0.1", "ok"),
        ("float16", 0.5, "0.1", "inaccurate"),
        ("float64", 0.1, "0.1", "correct"),
        ("float64", 0.1, "nan", "undefined"),
    ],
)
def test_the_contract_as_the_attack_reads_it(dtype, value, exact, word):
    assert judging.verdict(value, judging.truth(exact), dtype, hot=False) == word


@pytest.mark.parametrize("name", ["allowed", "definition", "emulation", "figures", "problems"])
def test_the_oracles_import_nothing_of_smcli(name):
    text = (Path(__file__).parent / "attack" / f"{name}.py").read_text(encoding="utf-8")
    assert not re.search(r"^\s*(?:import|from) smcli", text, re.MULTILINE)
