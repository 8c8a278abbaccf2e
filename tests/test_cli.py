"""The command line: numbers and options in any order, exit codes, errors that say what, where and what to do."""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
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


@pytest.mark.parametrize(
    "words",
    [
        ["eval", "1", "2", "-q", "softmax", "-f", "plain", "--digits", "0x14"],
        ["eval", "1", "2", "-q", "softmax", "-f", "plain", "--digits", "2e1"],
    ],
)
def test_integers_of_options_are_written_as_logits_are(capsys, words):
    assert outcome(capsys, *words)[1] == outcome(capsys, *words[:-1], "20")[1]
    nested = ["eval", "[[1, 2], [3, 5]]", "-q", "logsumexp", "-f", "plain"]
    assert outcome(capsys, *nested, "--axis", "0x0") == outcome(capsys, *nested, "--axis", "0")
    assert outcome(capsys, *nested, "--rows", "0x1:2") == outcome(capsys, *nested, "--rows", "1:2")
    assert outcome(capsys, *nested[:2], "-t", "0,7", "--ignore-index", "0x7")[0] == 0
    assert outcome(capsys, "compare", "1", "2", "--top", "0x1")[0] == 0


@pytest.mark.parametrize("text", ["x", "1.5", "nan", "inf", "1e300", "0x1.8p0", ""])
@pytest.mark.parametrize("option", ["--digits", "--axis", "--ignore-index", "--top"])
def test_what_is_no_integer_is_refused(capsys, option, text):
    code, out, err = outcome(capsys, "compare", "1", "2", option, text)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: invalid value for '{option}': {text!r} is not an integer\nhint: ")


@pytest.mark.parametrize("words", [["compare", "1", "2", "--top"], ["scan", "-", "--jobs"]])
def test_a_count_is_one_or_more(capsys, words):
    for text in ("0", "-3"):
        code, _, err = outcome(capsys, *words, text)
        assert code == 2 and f"{text} is less than 1" in err


def test_truths_in_several_formats_are_shown_although_no_method_is_judged(capsys):
    _, out, _ = outcome(capsys, "eval", "1", "2", "-q", "softmax", "-d", "float16,bfloat16")
    assert out.index("float16\n") < out.index("0.26894") < out.index("bfloat16\n") < out.index("0.2689 ")
    assert "--max-rel" not in out
    _, out, _ = outcome(capsys, "eval", "1", "2", "-q", "softmax", "-d", "float16,bfloat16", "--confirm")
    assert "bfloat16: confirmed by mpmath" in out
    _, out, _ = outcome(capsys, "eval", "1", "2", "-q", "softmax", "-d", "float16,bfloat16", "-m", "naive")
    assert "--max-rel" in out


@pytest.mark.parametrize(("factors", "sign"), [("1,-5,1", "negative"), ("1,5,1", "positive"), ("0,0,0", "exactly 0")])
@pytest.mark.parametrize("command", ["eval", "compare"])
def test_the_sign_of_a_signed_logsumexp_is_told(capsys, command, factors, sign):
    _, out, _ = outcome(capsys, command, "1", "2", "3", "-q", "logsumexp", "--coefficients", factors)
    assert out.count(f"the sum of the signed exponentials is {sign}") == 1


@pytest.mark.parametrize(
    "words", [["explain", "SM201"], ["explain"], ["methods"], ["completions", "bash"], ["compare", "-h"], []]
)
def test_where_python_leaves_out_docstrings_pages_are_refused_and_values_are_as_ever(words):
    told = [subprocess.run([sys.executable, *flag, "-m", "smcli", *words], capture_output=True, text=True, encoding="utf-8",
                           check=False) for flag in ([], ["-O"], ["-OO"])]  # fmt: skip
    assert told[0].returncode == told[1].returncode == 0 and told[0].stdout == told[1].stdout
    assert (told[2].returncode, told[2].stdout) == (3, "") and "leave out docstrings (-OO)" in told[2].stderr
    values = [subprocess.run([sys.executable, *flag, "-m", "smcli", "compare", "1000", "2"], capture_output=True, check=True)
              for flag in ([], ["-OO"])]  # fmt: skip
    assert values[0].stdout == values[1].stdout


@pytest.mark.parametrize("limit", ["640", "4300"])
@pytest.mark.parametrize(
    "words",
    [
        ["eval", "1", "2", "--digits", "10000", "--confirm"],
        ["eval", "1.7976931348623157e308", "0", "-q", "softmax", "--digits", "3000", "--confirm"],
        ["compare", "1", "2", "--digits", "700", "-f", "json", "-m", "bigfloat,naive"],
        ["eval", "0x1" + "f" * 900 + "p-3600", "1" * 700, "3" * 5000, "-q", "softmax"],
    ],
)
def test_digits_need_no_more_of_python_than_its_least_limit(words, limit):
    """Python converts 4300 digits at once, or as many as PYTHONINTMAXSTRDIGITS says: 640 at the least."""
    program = (
        "import sys; sys.modules['gmpy2'] = None; from smcli.__main__ import main; main()"  # its integers have none
    )
    told = [subprocess.run([sys.executable, "-X", f"int_max_str_digits={n}", "-c", program, *words], capture_output=True,
                           text=True, encoding="utf-8", check=False) for n in (limit, "0")]  # fmt: skip
    assert told[0].returncode == 0 and "Traceback" not in told[0].stderr and told[0].stdout == told[1].stdout


def test_only_commands_that_compare_formats_offer_several(capsys):
    """scan and check take one, and refuse more."""
    for command in ("eval", "compare", "grad", "check", "scan"):
        _, said, _ = outcome(capsys, command, "-h")
        assert ("several, or all, to compare" in " ".join(said.split())) == (command in {"eval", "compare", "grad"})


@pytest.mark.parametrize("command", ["compare", "eval", "grad", "scan", "check"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-f", "xml"], "unknown output format 'xml'"),
        (["-o", "x.weird"], "names no output format"),
        (["-o", "absent/x.json"], "cannot write 'absent/x.json': No such file or directory"),
        (["-o", "file/x.json"], "cannot write 'file/x.json': Not a directory"),
        (["-o", "folder", "-f", "json"], "cannot write 'folder': Is a directory"),
        (["--plot", "absent/x.svg"], "cannot write 'absent/x.svg': No such file or directory"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_is_read(
    capsys, monkeypatch, tmp_path, command, options, says
):
    """A scan takes an hour: what it finds must have somewhere to go."""
    if command == "scan" and options[0] == "--plot":
        return
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    files = {"scan": ["absent.npy"], "check": ["absent.npy", "absent.npy"]}.get(command, ["-i", "absent.npy"])
    code, out, err = outcome(capsys, command, *files, *options)
    assert (code, out) == (2, "") and says in err.splitlines()[0] and "absent.npy" not in err


def test_a_folder_that_may_not_be_written_to_is_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    code, _, err = outcome(capsys, "compare", "-i", "absent.npy", "-o", "x.json")
    assert code == 2 and "cannot write 'x.json': Permission denied" in err
