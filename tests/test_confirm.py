"""--confirm: the digits of the truth by other arithmetic; a wrong digit is found, whatever was asked."""

import ast
import json
import sys
from fractions import Fraction
from pathlib import Path

import flint
import mpmath
import numpy as np
import pytest

import smcli
from smcli import confirm
from smcli.cli.app import run
from smcli.confirm import told
from smcli.judge.block import JudgedQuantity
from smcli.numbers.formats import FORMATS

ROWS = [[1.5, -2.25, 0.0], [800.0, 0.0, -800.0], [3.0, 3.0, 3.0], [-1e-40, -100.0, -np.inf], [-0.775, -0.6175, -50.0]]
TARGETS = [0, 1, 2, 0, 1]
LABELS = [[0.25, 0.5, 0.25], [1, 0, 0], [0.5, 0.5, 0], [0.5, 0.25, 0], [0.1, 0.2, 0.3]]
LOSSES = {
    "hard": {"target": TARGETS},
    "soft": {"labels": LABELS},
    "smoothed": {"target": [0, 1, 2, 0, 1], "label_smoothing": 0.1},
    "weighted": {"target": TARGETS, "class_weights": [0.5, 2.0, 1.0]},
    "z-loss": {"target": TARGETS, "z_loss": 1e-3},
    "ignored": {"target": [0, -100, 2, 0, 1], "ignore_index": -100},
    "mean": {"target": [0, -100, 2, 0, 1], "ignore_index": -100, "reduction": "mean"},
    "weighted mean": {"target": TARGETS, "class_weights": [0.5, 2.0, 1.0], "reduction": "mean"},
    "sum": {"labels": LABELS, "reduction": "sum"},
    "bce": {"labels": LABELS, "quantities": "bce"},
    "bce mean": {"labels": LABELS, "quantities": "bce", "reduction": "mean"},
}
ENTERING = {
    "plain": {},
    "hot": {"temperature": 0.3},
    "capped": {"softcap": 30.0},
    "both": {"softcap": 5.0, "temperature": 3.0},
}


def confirmed(report):
    assert report.confirmed.by == (f"mpmath {mpmath.__version__}", f"python-flint {flint.__version__}")
    return report.confirmed


@pytest.mark.parametrize("entering", ENTERING)
@pytest.mark.parametrize("dtype", FORMATS)
def test_everything_without_a_loss(dtype, entering):
    more = {"dtype": dtype, "confirm": True, **ENTERING[entering]}
    report = smcli.evaluate(ROWS, quantities="softmax,log-softmax,logsumexp,cross-entropy", **more)
    if dtype == "float8_e4m3fn":  # which has no infinity: 800 and -inf are nan
        assert confirmed(report).values == 30 and report.confirmed.conventions == 20
        return
    assert confirmed(report).values == 50 and report.confirmed.digits == FORMATS[dtype].digits
    assert confirmed(smcli.gradient(ROWS, methods="fused", **more)).values == 45
    assert confirmed(smcli.gradient(ROWS, methods="fused", cotangent=[1.0, -2.0, 0.5], **more)).values == 15


@pytest.mark.parametrize("entering", ENTERING)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_and_its_gradient(loss, entering):
    more = {"confirm": True, "digits": 30, **LOSSES[loss], **ENTERING[entering]}
    quantity = more.pop("quantities", "cross-entropy")
    report = smcli.evaluate(ROWS, quantities=quantity, **more)
    size = (15 if quantity == "bce" else 5) + len(report.reduced)
    assert confirmed(report).values + report.confirmed.conventions == size
    assert confirmed(smcli.gradient(ROWS, methods="fused", quantities=quantity, **more)).values == 15


@pytest.mark.parametrize("digits", [1, 17, 60, 400])
@pytest.mark.parametrize(
    "logits", [[1.7976931348623157e308, 1, 2, 3], [5e-324, 0], [-3.720075976020836e-44, -100], [7.0]]
)
def test_extreme_rows(logits, digits):
    assert confirmed(smcli.evaluate(logits, digits=digits, confirm=True)).conventions == 0


def test_random_rows():
    rng = np.random.default_rng(2)
    rows = rng.normal(0, rng.choice([1e-3, 1, 30, 3000], (40, 1)), (40, 7))
    assert confirmed(smcli.evaluate(rows, target=rng.integers(0, 7, 40), digits=25, confirm=True)).values == 40 * 16


def test_more_digits_than_python_converts_to_an_integer():
    assert confirmed(smcli.evaluate([1.0, 2.0], quantities="softmax", digits=4301, confirm=True)).values == 2
    long = "3." + "1" * 5000
    negative, digits, places, exponent = told._read(f"-{long}e-7")
    assert (negative, places, exponent) == (True, 5001, -7) and digits % 10**9 == 111111111
    assert told._spelled(Fraction(digits, 10 ** (places - 1)), exponent, places) == f"{long}e-7"


def test_conventions_are_counted_and_not_confirmed():
    rows = [[np.nan, 1.0], [np.inf, 1.0], [-np.inf, -np.inf], [1.0, 2.0]]
    report = smcli.evaluate(rows, quantities="softmax", confirm=True)
    assert (confirmed(report).values, report.confirmed.conventions) == (2, 6)
    assert "6 more are limits or no numbers" in str(report)
    report = smcli.evaluate([1.0, 2.0], quantities="softmax", temperature=0, confirm=True)
    assert report.confirmed.values == 0 and "nothing to confirm; 2 more are limits" in str(report)


def changed(text):
    """The same text with another last digit of its mantissa."""
    mantissa, e, power = text.partition("e")
    return mantissa[:-1] + str((int(mantissa[-1]) + 1) % 10) + e + power


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp", "cross-entropy"])
@pytest.mark.parametrize("logits", [[1.0, 2.5, -3.0], [1000.0, 2000.0]])
def test_one_wrong_digit_is_found(monkeypatch, quantity, logits):
    right = JudgedQuantity._exact
    monkeypatch.setattr(JudgedQuantity, "_exact", lambda *args: list(map(changed, right(*args))))
    with pytest.raises(smcli.PrecisionError, match=r"row 0.* is told as the truth, and mpmath .* computes"):
        smcli.evaluate(logits, quantities=quantity, confirm=True)


def test_a_wrong_reduction_is_found(monkeypatch):
    monkeypatch.setattr("smcli.judge.reduce.reduce_losses", lambda known, *_: (known[0].truth("cross-entropy"), "1.25"))
    with pytest.raises(smcli.PrecisionError, match=r"the reduced cross-entropy: 1\.25 is told"):
        smcli.evaluate([[1.0, 2.0]], target=0, quantities="cross-entropy", reduction="sum", confirm=True)


@pytest.mark.parametrize("wrong", ["0", "inf", "-0.09003057317038046", "nan"])
def test_another_kind_of_value_is_found(monkeypatch, wrong):
    monkeypatch.setattr(JudgedQuantity, "_exact", lambda *_: [wrong] * 3)
    with pytest.raises(smcli.PrecisionError):
        smcli.evaluate([1.0, 2.0, 3.0], quantities="softmax", confirm=True)


def test_a_masked_loss_that_is_told_finite_is_found(monkeypatch):
    monkeypatch.setattr(JudgedQuantity, "_exact", lambda *_: ["3"])
    with pytest.raises(smcli.PrecisionError, match="computes inf"):
        smcli.evaluate([1.0, -np.inf], quantities="cross-entropy", target=1, confirm=True)


def test_on_the_command_line(capsys, monkeypatch):
    assert run(["eval", "1000", "2000", "-q", "softmax", "--digits", "60", "--confirm"]) == 0
    assert f"confirmed by mpmath {mpmath.__version__} and python-flint" in capsys.readouterr().out
    assert run(["grad", "1", "2", "-t", "0", "--confirm", "-f", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["summary"]["confirmed"]
    assert told["values"] == 2 and told["digits"] == 17 and len(told["by"]) == 2
    assert run(["compare", "1", "2", "-d", "float32,float16", "--confirm"]) == 0
    assert capsys.readouterr().out.count("confirmed by mpmath") == 2
    monkeypatch.setattr(JudgedQuantity, "_exact", lambda *_: ["0.3", "0.7"])
    assert run(["eval", "1", "2", "-q", "softmax", "--confirm"]) == 3
    said = capsys.readouterr().err
    assert "0.3 is told" in said and "2.689414213" in said and "report it" in said


def test_without_flint_and_without_a_trace_in_its_global_context(monkeypatch):
    before, own = flint.ctx.prec, mpmath.mp.prec
    smcli.evaluate([1.0, 2.0], digits=50, confirm=True)
    assert (flint.ctx.prec, mpmath.mp.prec) == (before, own)
    monkeypatch.setitem(sys.modules, "flint", None)
    report = smcli.evaluate([1.0, 2.0], digits=50, confirm=True)
    assert report.confirmed.by == (f"mpmath {mpmath.__version__}",)


def test_it_shares_nothing_with_the_reference():
    files = list(Path(confirm.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for file in files:
        names = [getattr(n, "module", "") or "" for n in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
        assert not [n for n in names if n.startswith("smcli.") and n.split(".")[1] not in {"confirm", "quantities", "errors"}
                    and n not in {"smcli.model", "smcli.judge.block", "smcli.judge.reduce"}], file  # fmt: skip
