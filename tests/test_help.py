"""Help: options stand under headings, each once, and no summary or default is cut."""

from __future__ import annotations

import re

import pytest

from smcli import quantities
from smcli.cli.app import COMMANDS, run
from smcli.cli.help import HEADINGS, summary, without_brackets


def helped(capsys, monkeypatch, *words, columns=80):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run([*words, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_list_of_commands_cuts_nothing(capsys, monkeypatch, columns):
    text = helped(capsys, monkeypatch, columns=columns)
    assert "..." not in text.partition("Commands:")[2] and "compare -i logits.npy" in text
    flat = " ".join(text.split())
    for command in COMMANDS:
        said = " ".join(helped(capsys, monkeypatch, command, columns=1000).splitlines()[2].split())
        assert f"{command} {summary(said)}" in flat
    if columns >= 80:
        assert all(re.search(rf"^  {c} .*\S$", text, re.MULTILINE) for c in COMMANDS)


@pytest.mark.parametrize("columns", [32, 40, 51, 52, 80])
@pytest.mark.parametrize("command", ["", *(c for c in COMMANDS if c != "completions")])  # whose help ends with commands
def test_no_line_is_wider_than_the_terminal_and_no_word_is_broken(capsys, monkeypatch, command, columns):
    words = [command] if command else []

    def flat(text):
        return " ".join(re.sub(r"(?<=\w)-\n +", "-", text).split())  # a hyphen may end a line

    text, whole = (helped(capsys, monkeypatch, *words, columns=c).partition("Examples:")[0] for c in (columns, 1000))
    assert max(map(len, text.splitlines())) <= columns and flat(text) == flat(whole)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_stand_under_headings_each_once(capsys, monkeypatch, command):
    text = helped(capsys, monkeypatch, command)
    found = re.findall(r"^(\S[\w ]+):$", text, re.MULTILINE)
    assert [h for h in found if h in HEADINGS] == [h for h in HEADINGS if h in found]
    if command in {"compare", "eval", "grad"}:
        assert set(HEADINGS) <= set(found)
        assert text.index("--method") < text.index("--input ") < text.index("--dtype") < text.index("--target ")
    flags = re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE)
    assert len(flags) == len(set(flags)) and "--help" in flags


@pytest.mark.parametrize("command", ["compare", "eval"])
def test_help_names_the_quantities_there_are(capsys, monkeypatch, command):
    said = " ".join(helped(capsys, monkeypatch, command, columns=300).split())
    assert f"What to compute: {', '.join(quantities.values())}." in said


def test_defaults_in_words_have_no_brackets():
    assert without_brackets("A.  [default: (by suffix)]") == "A.  [default: by suffix]"
    assert without_brackets("A.  [default: (a; b); x>=1]") == "A.  [default: a; b; x>=1]"
    assert without_brackets("A (b).  [default: 20]") == "A (b).  [default: 20]"


def test_a_summary_is_the_first_sentence():
    assert summary("One thing:\n  and another. More.") == "One thing: and another" and summary("") == ""
