"""The table on a terminal: no line is wider, no number is cut; and the plain lines beside what was looked at."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smcli
from smcli.cli.app import run
from smcli.render import Style, table

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


def beside_golden(name, text):
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("SMCLI_GOLDEN") == "update":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), f"{file.name} differs; SMCLI_GOLDEN=update writes it anew"


@pytest.mark.parametrize(
    ("case", "width"),
    [(case, width) for case in CASES for width in (80, 40)],
)
def test_on_a_terminal(capsys, monkeypatch, case, width):
    terminal(monkeypatch, width)
    assert run([*CASES[case], "--no-color"]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and "…" not in text
    assert [line for line in text.split("\n") if len(line) > width] == []
    beside_golden(f"terminal{width}_{case}", text)


@pytest.mark.parametrize("case", ["big", "grad", "nan"])
def test_plain(capsys, case):
    assert run([*CASES[case], "-f", "plain"]) == 0
    text = capsys.readouterr().out
    assert len({line.count("\t") for line in text.splitlines()}) == 1
    beside_golden(f"plain_{case}5" if case == "big" else f"plain_{case}", text)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-800, 800), min_size=1, max_size=4), st.integers(1, 60), st.integers(40, 200), st.booleans())
def test_every_number_is_whole_at_any_width(logits, digits, width, verbose):
    report = smcli.compare(logits, digits=digits)
    with pytest.MonkeyPatch.context() as patch:
        terminal(patch, width)
        text = table.render(report, Style(color=False, verbose=verbose))
    assert "…" not in text and "\x1b" not in text
    longest = 0
    for q in report.rows[0].results:
        for exact in q.exact(range(q.size)):
            longest = max(longest, len(exact) + 4)
            assert exact in text or len(exact) + 4 > width
    assert max(map(len, text.split("\n"))) <= max(width, longest)
