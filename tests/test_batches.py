"""Functions of the user's that mean something else by a batch than by its rows alone, or take none: every output says so."""

from __future__ import annotations

import json
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import smcli
from smcli.cli.app import run as command
from smcli.methods.batches import differ, looks_like
from smcli.quantities import QUANTITIES

MINE = """
    import numpy as np

    def e(x):
        return np.exp(x - x.max(-1, keepdims=True))

    def right(x):
        return e(x) / e(x).sum(-1, keepdims=True)

    def nokeep(x):
        return e(x) / e(x).sum(-1)

    def axis0(x):
        e = np.exp(x - x.max(0, keepdims=True))
        return e / e.sum(0, keepdims=True)

    def log_axis0(x):
        return np.log(axis0(x))

    def whole(x):
        e = np.exp(x - x.max())
        return e / e.sum()

    def lse(x):
        return np.log(np.exp(x).sum())

    def braces(x):
        if x.ndim > 1:
            raise KeyError("{at} {name} {0}")
        return right(x)

    def gradient(x, target):
        p = right(x)
        p[target] -= 1
        return p

    def good_gradient(x, target):
        p = right(x)
        p[np.arange(len(x)), target] -= 1
        return p

    def loss(x, target):
        return -np.log(right(x)[np.arange(len(x)), target])
"""
WIDE = np.random.default_rng(3).normal(size=(6, 5))
SQUARE = 2 * np.random.default_rng(4).normal(size=(5, 5))


@pytest.fixture(autouse=True)
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "odd.py").write_text(textwrap.dedent(MINE))
    np.save(tmp_path / "wide.npy", WIDE)
    np.save(tmp_path / "square.npy", SQUARE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("odd", None)


OTHER = [
    ("axis0", "wide", "softmax", "its columns sum to 1, so that it normalises over the rows of the batch (axis 0)"),
    ("log_axis0", "wide", "log-softmax", "its columns sum to 1"),
    ("whole", "wide", "softmax", "all of them sum to 1, so that it normalises over the whole batch"),
    ("nokeep", "square", "softmax", "each column is divided by the sum of another row"),
]
NONE = [
    ("nokeep", "wide", "softmax", "it raised ValueError: operands could not be broadcast together with shapes (6,5) (6,)"),
    ("lse", "wide", "logsumexp", "it returned one value for 6 rows"),
    ("braces", "wide", "softmax", "it raised KeyError: '{at} {name} {0}'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "quantity", "said"), [*OTHER, *NONE])
def test_every_output_tells_it(
    name: str, file: str, quantity: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, least = ("SM410", "warning") if (name, file, quantity, said) in OTHER else ("SM411", "note")
    words = [f"{file}.npy", "-q", quantity, "-m", f"odd:{name}"]
    judged = f"odd:{name}: called row by row, and these values are judged: "
    for verb in (["compare", "-i"], ["scan", "--jobs", "1"], ["scan", "--jobs", "2"]):
        for more in ([], ["--summary"], ["-f", "markdown", "--summary"]):
            assert command([*verb, *words, *more]) == 0
            out = capsys.readouterr().out.replace("\\", "")
            assert code in out and said in out, (verb, more)
            assert judged in out or "the values of the rows alone are judged" in out
        assert command([*verb, *words, "-f", "json"]) == 0
        document = json.loads(capsys.readouterr().out)
        summary = document["findings"] if verb[0] == "scan" else document["summary"]["findings"]
        assert list(summary) == [code]
        notes = document.get("notes") or document["rows"][0]["results"][0]["methods"][0]["notes"]
        assert len(notes) == 1 and said in notes[0] and BY_ROW in notes[0]
        assert command([*verb, *words, "--max-ulp", "100"]) == 0, "the values of the rows alone are right"
        assert command([*verb, *words, "--fail-on", least]) == 1
        assert command([*verb, *words, "--fail-on", "error"]) == 0
        capsys.readouterr()
    assert command(["compare", "-i", *words, "-d", "float64,float32"]) == 0
    assert said in capsys.readouterr().out


BY_ROW = "called row by row, and these values are judged"


def test_who_takes_a_batch_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["compare", "-i"], ["scan"]):
        assert command([*verb, "wide.npy", "-q", "softmax", "-m", "odd:right", "--fail-on", "note"]) == 0
        assert BY_ROW not in capsys.readouterr().out
    # a row that stands alone is no batch: that a function of one row takes none is no news
    for name, quantity in (("braces", "softmax"), ("lse", "logsumexp"), ("whole", "softmax")):
        assert command(["compare", "1", "2", "-q", quantity, "-m", f"odd:{name}", "--fail-on", "note"]) == 0
    assert command(["compare", "1", "2", "-q", "softmax", "-m", "odd:axis0", "--fail-on", "warning"]) == 1
    capsys.readouterr()


def test_a_gradient_that_takes_whole_rows_of_a_batch_is_told() -> None:
    report = smcli.gradient(SQUARE, target=[0, 1, 2, 3, 4], methods=["odd:gradient"])
    assert {f.code for f in report.findings} == {"SM410"}
    first = report.findings[0]
    assert first.message.startswith("the batch gave other values; at ") and "the row alone gives" in first.message
    e = np.exp(SQUARE - SQUARE.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    assert first.at == tuple(i for i in range(5) if i), "the batch has 1 less in every entry of each row"
    assert f"gave {p[0, 1] - 1:.6g} where the row alone gives {p[0, 1]:.6g}" in first.message


def test_rows_that_are_left_out_are_not_told() -> None:
    found = smcli.gradient(SQUARE, target=[0, -100, 2, 3, 4], ignore_index=-100, methods=["odd:gradient"]).digest()
    assert [(c.code, c.first_rows) for c in found] == [("SM410", (0, 2, 3, 4))]


def test_it_is_no_cause_of_lost_values(capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict is about the rows alone, which are wrong here for a reason of their own."""
    Path("lost.py").write_text("def f(x):\n    return x * float('nan') if x.ndim == 1 else x[::-1] * 0 + 7\n")
    assert command(["compare", "[[1,2,3],[4,5,7]]", "-q", "softmax", "-m", "lost:f"]) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("lost:f  lost 6 of 6") and "SM410" not in line
    sys.modules.pop("lost", None)


def test_values_differ_beyond_rounding_only() -> None:
    alone = np.array([[0.7, 0.2, 0.1, 1e-9, 0.0, np.nan, np.inf]])
    assert not differ(alone, alone).any()
    assert not differ(alone * 1.09, alone).any()
    assert differ(np.array([[0.5, 0.2, 0.2, 1e-3, 0.0, 0.0, 1.0]]), alone).tolist() == [
        [True, False, True, False, False, True, True]
    ]


def test_what_it_looks_like_is_named_only_where_it_is() -> None:
    e = np.exp(SQUARE)
    softmax, p = QUANTITIES["softmax"], e / e.sum(-1, keepdims=True)
    assert looks_like(softmax, e / e.sum(0), p, 2.0**-53).startswith("its columns sum to 1")
    assert looks_like(softmax, e / e.sum(), p, 2.0**-53).startswith("all of them sum to 1")
    assert looks_like(softmax, e / e.sum(-1), p, 2.0**-53).startswith("each column is divided")
    assert looks_like(softmax, p[::-1], p, 2.0**-53) == "" == looks_like(softmax, p * 2, p, 2.0**-53)
    assert looks_like(QUANTITIES["gradient"], e / e.sum(0), p, 2.0**-53) == ""


def test_notes_of_many_lengths_are_one() -> None:
    rows = [WIDE[0, : 2 + k % 3].tolist() for k in range(15)]
    report = smcli.compare(rows, quantities="softmax", methods=["odd:nokeep"])
    assert str(report).count("operands could not be broadcast") <= 1
    assert report.digest()[0].rows == 15


@pytest.mark.parametrize(
    ("options", "given", "back"),
    [
        (["-T", "2"], "given x/T as its logits, T = 2, which it is not to apply again", "multiplied by 1/T = 0.5 here"),
        (
            ["--softcap", "30"],
            "given cap·tanh(x/cap) as its logits, cap = 30,",
            "multiplied by the derivative of the cap here",
        ),
        (
            ["-T", "4", "--softcap", "30"],
            "given cap·tanh(x/T/cap) as its logits, T = 4, cap = 30,",
            "multiplied by the derivative of the cap and 1/T = 0.25 here",
        ),
    ],
)
def test_temperature_and_cap_are_told_of(
    options: list[str], given: str, back: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A function that forgot them, or applies them itself, is seen by what it was given."""
    target = ["-t", "0,1,2,3,4,0"]
    for words, derivative in (
        (["compare", "-i", "wide.npy", "-q", "softmax", "-m", "odd:right"], False),
        (["compare", "-i", "wide.npy", "-q", "softmax", "-m", "odd:right", "--summary"], False),
        (["scan", "wide.npy", "-q", "softmax", "-m", "odd:right", "--summary"], False),
        (["grad", "-i", "wide.npy", *target, "-m", "odd:good_gradient"], True),
        (["compare", "-i", "wide.npy", *target, "-q", "cross-entropy", "-m", "odd:loss"], False),
    ):
        assert command([*words, *options, "--max-ulp", "1000"]) == 0
        out = capsys.readouterr().out
        assert out.count(given) == 1 and (back in out) == derivative
        assert command(words) == 0
        assert "given" not in capsys.readouterr().out
    assert command(["compare", "-i", "wide.npy", "-m", "naive", *options]) == 0
    assert "given x" not in capsys.readouterr().out, "the tool's own methods are seen doing it"


def test_the_first_of_alike_notes_tells() -> None:
    from smcli.scan.tally import Tally

    a, b = Tally(notes={"m: called": "m: called: 1"}), Tally(notes={"m: called": "m: called: 2", "n": "n"})
    assert (a + b).notes == {"m: called": "m: called: 1", "n": "n"}
    assert [x.notes["m: called"] for x, _ in pairwise([a + b, b + a, a])] == ["m: called: 1", "m: called: 2"]
