"""The command line: numbers and options in any order, exit codes, errors that say what, where and what to do."""

from __future__ import annotations

import gc
import io
import json
import os
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import outcome

from smcli.__main__ import main
from smcli.cli.app import COMMANDS
from smcli.cli.parse import numbers_last, takes_next

BIG = ["1000", "2000", "3000"]
VALUED = {"-d", "--dtype", "-m", "--method", "--ignore-index", "-t", "--target", "-i"}


@given(st.lists(st.one_of(st.floats().map(repr), st.sampled_from(["-1,2", "-inf", "-.5e3", "-0x1p3"]))), st.booleans())
def test_numbers_keep_their_order_among_options(numbers, flag):
    words = list(numbers)
    words[1:1] = ["--dtype", "float32"] + (["--trace"] if flag else [])
    words += ["--ignore-index", "-100", "-vt", "-1"]
    options = ["--dtype", "float32"] + (["--trace"] if flag else []) + ["--ignore-index", "-100", "-vt", "-1"]
    assert numbers_last(words, VALUED) == options + (["--", *numbers] if numbers else [])


def test_what_is_no_number_stays_an_option():
    assert numbers_last(["--tpyo", "1", "-x"], VALUED) == ["--tpyo", "-x", "--", "1"]
    assert numbers_last(["1", "--", "-d", "2"], VALUED) == ["--", "1", "-d", "2"]
    assert (
        takes_next("-vd", VALUED) and not takes_next("-dfloat32", VALUED) and not takes_next("--dtype=float32", VALUED)
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["compare", *BIG], 0),
        (["compare", *BIG, "--fail-on", "never"], 0),
        (["compare", *BIG, "--fail-on", "note"], 1),
        (["compare", *BIG, "--fail-on", "sm303,SM201"], 1),
        (["compare", "1", "2", "--fail-on", "warning"], 0),
        (["compare", "1", "2", "-m", "shifted", "--max-ulp", "8"], 0),
        (["compare", "1", "2", "--max-ulp", "0"], 1),
        (["compare", *BIG, "--max-rel", "0.5"], 1),
        (["eval", "1", "2", "-m", "shifted"], 0),
        (["grad", "1", "2", "--sweep", "-t", "0", "-d", "float16"], 0),
        (["limits"], 0), (["methods"], 0), (["explain", "SM201"], 0), ([], 0), (["--version"], 0),
    ],
)  # fmt: skip
def test_exit_codes(capsys, words, code):
    got, out, err = outcome(capsys, *words)
    assert (got, err) == (code, "") and out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["compare", "1", "abc"], "'abc' is not a number"),
        (["compare", "1", "[red]x[/red]"], "[red]x[/red]"),
        (["compare", "1", "\x1b[31mx\x07"], "\\x1b[31mx\\x07"),
        (["compare", "1", "--temprature", "2"], "did you mean --temperature"),
        (["compre", "1"], "did you mean 'compare'?"),
        (["compare", "1", "-d", "flaot32"], "did you mean float32?"),
        (["compare", "1", "-m", "shfted"], "did you mean shifted?"),
        (["compare", "1", "-q", "softmx"], "did you mean softmax?"),
        (["compare", "1", "-q", "loss"], "did you mean cross-entropy? choose"),
        (["compare", "1", "-q", "kldiv"], "did you mean kl? choose"),
        (["compare", "1", "-d", "halv"], "did you mean float16? the formats"),
        (["compare", "1", "--sum", "pairwize"], "did you mean pairwise?"),
        (["compare", "1", "-f", "jsn"], "did you mean json?"),
        (["compare", "1", "--digits", "0"], "ask for 1 to 10000"),
        (["compare", "1", "--digits", "10001"], "ask for 1 to 10000"),
        (["compare", "1", "2", "-t", "5"], "targets run from 0 to 1"),
        (["compare", "1", "2", "-t", "1.5"], "'1.5' is not an integer"),
        (["compare", "1", "2", "-t", "0,1"], "2 targets for 1 row\n"),
        (["compare", "1", "2", "--labels", "1"], "give one label for each class"),
        (["compare", "1", "2", "-t", "0", "--labels", "1,0"], "exclude each other"),
        (["compare", "1", "2", "--label-smoothing", "2", "-t", "0"], "from 0 to 1"),
        (["compare", "1", "2", "--label-smoothing", "0.1"], "needs --target or --labels"),
        (["compare", "1", "2", "-T", "-1"], "give a number from 0 up"),
        (["compare", "1", "2", "--rows", "x"], "write A:B"),
        (["compare", "1", "2", "--rows", "5:"], "leaves nothing of 1 row\n"),
        (["compare", "1", "--fail-on", "SM999"], "SM999"),
        (["compare", "1", "2", "-q", "bce"], "--labels are needed by bce"),
        (["grad", "1", "2", "-t", "0", "--cotangent", "1,1"], "--target and --cotangent exclude each other"),
        (["grad", "1", "2", "-q", "softmax"], "grad differentiates a loss"),
        (["eval", "1", "-m", "naive,shifted"], "eval takes one method"),
        (["compare", "1 2 ... 3"], "data is missing"),
        (["compare", "-i", "/"], "Is a directory"),
        (["compare", "-i", "nowhere.npy"], "nowhere.npy"),
        (["compare", "1", "-o", "nowhere/x.json"], "cannot write"),
        (["compare", "1", "-o", "x.docx"], "say which with -f"),
        (["explain", "SM999"], "SM999"),
        (["completions", "tcsh"], "bash"),
    ],
)
def test_errors_say_what_where_and_what_to_do(capsys, words, says):
    code, out, err = outcome(capsys, *words)
    assert code == 2 and out == ""
    assert err.startswith("error: ") and says in err and "Traceback" not in err and "\x1b" not in err


def test_a_huge_exponent_answers_at_once(capsys):
    start = time.perf_counter()
    code, out, _ = outcome(capsys, "compare", "1e999999999", "1", "-f", "json")
    assert code == 0 and time.perf_counter() - start < 5
    assert "SM902" in {f["code"] for f in json.loads(out)["rows"][0]["findings"]}


@pytest.mark.parametrize("token", ["1" * 10**7, "x" * 10**7])
def test_a_token_of_ten_million_characters(capsys, monkeypatch, token):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(token.encode())))
    code, out, err = outcome(capsys, "compare")
    assert len(out) + len(err) < 5000 and code == (2 if token[0] == "x" else 0)


def test_a_hundred_thousand_numbers_on_stdin(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"0.5 " * 100_000)))
    code, out, _ = outcome(capsys, "compare", "-q", "softmax", "-m", "shifted")
    assert code == 0 and "100000 correct" in out and len(out.splitlines()) < 20


def test_stdin_is_not_waited_for(capsys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert "no logits" in outcome(capsys, "compare")[2]
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input is closed" in outcome(capsys, "compare")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(capsys, command):
    code, out, _ = outcome(capsys, command, "--help")
    assert code == 0 and "Usage: smcli" in out and f"smcli {command}" in out


@pytest.mark.parametrize("suffix", ["json", "csv", "md", "svg", "html", "txt"])
def test_files_are_written_whole(capsys, tmp_path, suffix):
    file = tmp_path / f"r.{suffix}"
    assert outcome(capsys, "compare", *BIG, "-o", str(file))[0] == 0
    assert file.stat().st_size > 100 and [p.name for p in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("threads", [None, "3"])
def test_one_thread_of_linear_algebra_unless_told(monkeypatch, threads):
    name = "OPENBLAS_NUM_THREADS"
    monkeypatch.setenv(name, threads or "")
    if threads is None:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["smcli", "methods"])
    monkeypatch.setattr("smcli.cli.app.run", lambda _: 0)
    monkeypatch.setattr("smcli.__main__.leave", lambda _: None)
    limits = gc.get_threshold()
    main()
    gc.set_threshold(*limits)
    assert os.environ[name] == (threads or "1")


def test_the_installed_command_starts_main():
    pyproject = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = pyproject["project"]["scripts"]["smcli"].partition(":")
    assert getattr(import_module(module), function) is main
