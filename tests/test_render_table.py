"""The table on a terminal: no line is wider, no number is cut; and the plain lines beside what was looked at."""

from __future__ import annotations

import os
import shutil
import sys
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smcli
from smcli.cli.app import run
from smcli.render import Style, text

GOLDEN = Path(__file__).parent / "data" / "golden"
CASES = {
    "big": ["compare", "1000", "2000", "3000", "4000", "5000"],
    "grad": ["grad", "0", "-800", "-t", "1"],
    "nan": ["compare", "nan", "1"],
    "limits": ["limits", "float16", "float8_e4m3fn"],
}


def terminal(patch, width):
    for name in ("FORCE_COLOR", "COLUMNS"):
        patch.delenv(name, raising=False)
    patch.setenv("NO_COLOR", "1")
    patch.setenv("TERM", "dumb")
    patch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((width, 24)))
    patch.setattr(sys.stdout, "isatty", lambda: True, raising=False)


def beside_golden(name, shown):
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("SMCLI_GOLDEN") == "update":
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8"), f"{file.name} differs; SMCLI_GOLDEN=update writes it anew"


@pytest.mark.parametrize(
    ("case", "width"),
    [(case, width) for case in CASES for width in (80, 40)],
)
def test_on_a_terminal(capsys, monkeypatch, case, width):
    terminal(monkeypatch, width)
    assert run([*CASES[case], "--no-color"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "…" not in shown
    assert [line for line in shown.split("\n") if len(line) > width] == []
    beside_golden(f"terminal{width}_{case}", shown)


@pytest.mark.parametrize("case", ["big", "grad", "nan"])
def test_plain(capsys, case):
    assert run([*CASES[case], "-f", "plain"]) == 0
    shown = capsys.readouterr().out
    assert len({line.count("\t") for line in shown.splitlines()}) == 1
    beside_golden(f"plain_{case}5" if case == "big" else f"plain_{case}", shown)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-800, 800), min_size=1, max_size=4), st.integers(1, 60), st.integers(40, 200), st.booleans())
def test_every_number_is_whole_where_digits_were_asked_for(logits, digits, width, verbose):
    report = smcli.compare(logits, digits=digits)
    with pytest.MonkeyPatch.context() as patch:
        terminal(patch, width)
        shown = text(report, "table", Style(color=False, verbose=verbose, whole=True, every_class=True))
    assert "…" not in shown and "\x1b" not in shown
    longest = 0
    for q in report.rows[0].results:
        for exact in q.exact(range(q.size)):
            longest = max(longest, len(exact) + 4)
            assert exact in shown or len(exact) + 4 > width
    assert max(map(len, shown.split("\n"))) <= max(width, longest)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-800, 800), min_size=1, max_size=4), st.sampled_from([40, 60, 80, 100]))
def test_every_number_shown_is_an_honest_rounding(logits, width):
    report = smcli.compare(logits, quantities="softmax")
    with pytest.MonkeyPatch.context() as patch:
        terminal(patch, width)
        shown = text(report, "table", Style(color=False))
    assert max(map(len, shown.split("\n"))) <= width
    words = shown.split()
    for exact in report.rows[0].results[0].exact(range(len(logits))):
        assert any(w == exact or _rounds(exact, w) for w in words), (exact, shown)


def _rounds(exact, word):
    """Whether a word is the number to at least six digits."""
    try:
        told = Decimal(word)
    except InvalidOperation:
        return False
    size = len(word.lower().partition("e")[0].replace(".", "").lstrip("-0"))
    with localcontext() as context:
        context.prec, context.rounding = max(size, 1), ROUND_HALF_UP
        return size >= 6 and told == +Decimal(exact)


def screen(monkeypatch, width, lines):
    terminal(monkeypatch, width)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((width, lines)))


def test_the_main_job_fits_a_screen_with_its_answer_on_top(capsys, monkeypatch):
    screen(monkeypatch, 80, 24)
    assert run(CASES["big"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 24 and lines[0].startswith("naive    lost 10 of 10: exp overflows (SM201)")
    assert all(word in "\n".join(lines) for word in ("SM303", "SM301", "e-1738", "underflow"))


def test_a_tall_screen_has_room_for_what_findings_say(capsys, monkeypatch):
    screen(monkeypatch, 80, 50)
    assert run(CASES["big"]) == 0
    shown = capsys.readouterr().out
    assert "709.783" in shown and shown.count("exp overflows (SM201)") == 1


@pytest.mark.parametrize("lines", [24, 40])
def test_the_answer_of_a_long_report_is_repeated_at_its_end(capsys, monkeypatch, lines):
    screen(monkeypatch, 80, lines)
    assert run(["compare", *map(str, range(0, 20000, 1000)), "--all"]) == 0
    shown = capsys.readouterr().out.splitlines()
    answer = shown[: shown.index("")]
    assert len(shown) > lines and shown[-len(answer) :] == answer and shown[-len(answer) - 1] == ""


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_layout_depends_on_the_width_not_on_the_digits(capsys, monkeypatch, width):
    layouts = set()
    for words in (["1", "2", "3"], ["0.123456789012345", "-2.71828182845904e-7", "3.14159265358979"]):
        screen(monkeypatch, width, 50)
        assert run(["compare", *words]) == 0
        head = [line.split() for line in capsys.readouterr().out.splitlines() if " fused" in line and "rel" in line]
        layouts.add(tuple(head[0][-6:]))
    assert layouts == {("naive", "rel", "shifted", "rel", "fused", "rel")}


def test_on_a_narrow_terminal_every_number_has_its_name(capsys, monkeypatch, tmp_path):
    terminal(monkeypatch, 40)
    logits = (3 * np.sin(np.arange(2000.0))).astype(np.float16).reshape(2, 1000)
    e = np.exp(logits.astype(np.float64))
    np.save(tmp_path / "x.npy", logits)
    np.save(tmp_path / "p.npy", (e / e.sum(axis=1, keepdims=True)).astype(np.float16))
    assert run(["check", f"{tmp_path}/x.npy", f"{tmp_path}/p.npy", "--top", "1"]) == 0
    shown = capsys.readouterr().out.partition("the worst value of each method\n")[2].partition("\n\n")[0]
    assert [line.partition(":")[0].strip() for line in shown.splitlines()[1:]] == [
        "method", "row", "at", "logit", "exact", "worst value", "rel", "ulp",
    ]  # fmt: skip


def test_commands_have_the_colour_of_text(capsys, monkeypatch, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[1.0, 2], [1000, 2000]]))
    terminal(monkeypatch, 80)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    assert run(["scan", "x.npy", "--jobs", "1"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b[1m" in shown and "\n  smcli compare -i x.npy --rows 1:2 -q softmax\n" in shown


@pytest.mark.parametrize("methods", ["shifted", "naive,shifted", "naive,shifted,log1p"])
def test_a_histogram_has_room_on_80_columns(capsys, monkeypatch, tmp_path, methods):
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(0, 300, (2000, 8)))
    terminal(monkeypatch, 80)
    assert run(["scan", str(tmp_path / "x.npy"), "--jobs", "1", "-m", methods]) == 0
    shown = capsys.readouterr().out.partition("errors of softmax")[2].partition("\n\n")[0].splitlines()
    assert shown[1].startswith("up to ulp") and max(map(len, shown)) <= 80
    assert all(line.split()[-1] == "█" * len(line.split()[-1]) for line in shown[2:])
