"""The command line on strange input and output: slices, bytes, closed streams, files that cannot be written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from samples import outcome

import smcli
from smcli.cli.app import COMMANDS

BATCH = "[[1,2],[3,4],[5,6],[7,8]]"


@pytest.mark.parametrize(
    ("slice_", "first"),
    [("0:2", [1, 3]), ("-1", [7]), ("1", [3]), (":", [1, 3, 5, 7]), ("::2", [1, 5]), ("::-1", [7, 5, 3, 1]),
     ("-2:", [5, 7]), ("2:99", [5, 7])],
)  # fmt: skip
def test_rows(capsys, slice_, first):
    code, out, _ = outcome(capsys, "compare", BATCH, "--rows", slice_, "-f", "json")
    assert code == 0 and [row["logits"][0] for row in json.loads(out)["rows"]] == first


@pytest.mark.parametrize("slice_", ["a:b", "1:2:3:4", "::0", "1.5", "9:", "4", "2:1"])
def test_rows_that_are_none(capsys, slice_):
    code, out, err = outcome(capsys, "compare", BATCH, "--rows", slice_)
    assert (code, out) == (2, "") and err.startswith("error: --rows") and "hint: " in err


@pytest.mark.parametrize("words", [["--digits", "1"], ["--digits", "10000", "-q", "logsumexp", "-m", "shifted"]])
def test_digits_at_the_edge(capsys, words):
    assert outcome(capsys, "compare", "1", "2", *words)[0] == 0


@pytest.mark.parametrize("option", ["--max-ulp", "--max-rel"])
@pytest.mark.parametrize("value", ["-1", "nan", "x", ""])
def test_limits_that_are_none(capsys, option, value):
    code, out, err = outcome(capsys, "compare", "1", "2", option, value)
    assert (code, out) == (2, "") and option in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(capsys, command):
    for word in ("--help", "-h"):
        code, out, err = outcome(capsys, command, word)
        assert (code, err) == (0, "") and f"  smcli {command}" in out
        assert "Examples:" in out or command == "completions"  # its help shows how to install, a shell each


def test_bare_and_version(capsys):
    assert outcome(capsys)[1] == outcome(capsys, "--help")[1]
    assert outcome(capsys, "--version") == (0, f"smcli {smcli.__version__}\n", "")


@pytest.mark.parametrize("data", [b"1 \xff 2", b"\xff\xfe1", b"\x00\x01\x02", b"1 2\x1b[31m3"])
def test_bytes_that_are_no_text(capsys, tmp_path, data):
    file = tmp_path / "x.txt"
    file.write_bytes(data)
    code, out, err = outcome(capsys, "compare", "-i", str(file))
    assert (code, out) == (2, "") and err.startswith("error: ") and "\x1b" not in err and "\x00" not in err


@pytest.mark.parametrize("path", ["", "nowhere", "."])
def test_files_that_are_none(capsys, path):
    code, out, err = outcome(capsys, "compare", "-i", path)
    assert (code, out) == (2, "") and err.startswith("error: ")


def test_a_file_is_left_as_it_was_when_writing_fails(capsys, tmp_path, monkeypatch):
    file = tmp_path / "r.json"
    file.write_text("before")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    code, out, err = outcome(capsys, "compare", "1", "2", "-o", str(file))
    assert (code, out) == (2, "") and "cannot write" in err
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(capsys, tmp_path):
    tmp_path.chmod(0o500)
    code, _, err = outcome(capsys, "compare", "1", "2", "-o", str(tmp_path / "r.json"))
    tmp_path.chmod(0o700)
    assert code == 2 and "Permission denied" in err


def test_stdin_is_not_read_when_logits_are_given(capsys, monkeypatch):
    class Untouchable(io.StringIO):
        def read(self, *_):
            raise AssertionError

    monkeypatch.setattr(sys, "stdin", Untouchable())
    assert outcome(capsys, "compare", "1", "2")[0] == 0


@pytest.mark.parametrize("words", [["-"], ["-i", "-"], []])
def test_stdin(capsys, monkeypatch, words):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1 2\n3 4\n")))
    code, out, _ = outcome(capsys, "compare", *words, "-f", "json")
    assert code == 0 and [r["logits"] for r in json.loads(out)["rows"]] == [[1, 2], [3, 4]]


def test_several_formats(capsys):
    for words in (["-d", "float16", "-d", "bf16"], ["-d", "float16,bfloat16"]):
        code, out, _ = outcome(capsys, "compare", "1", "2", *words, "-f", "json")
        assert code == 0 and [d["dtype"] for d in json.loads(out)["formats"]] == ["float16", "bfloat16"]


@pytest.mark.parametrize("logits", [["1"], ["-1", "-2"], ["--", "-1", "-inf"], ["-1", "-d", "float32", "-.5e1"]])
def test_negative_numbers_need_no_dashes(capsys, logits):
    code, out, _ = outcome(capsys, "compare", "-f", "json", *logits)
    numbers = [float(w) for w in logits if w not in {"--", "-d", "float32"}]
    assert code == 0 and [float(x) for x in json.loads(out)["rows"][0]["logits"]] == numbers


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes the streams")
@pytest.mark.parametrize(("closed", "code"), [("<&-", 2), (">&-", 2), ("2>&-", 0)])
def test_closed_streams(closed, code):
    words = "compare" if closed == "<&-" else "compare 1 2"
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m smcli {words} {closed}', sys.executable], capture_output=True, text=True, check=False
    )
    assert done.returncode == code and "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["-d", "-t", "--output", "-f"])
def test_an_option_without_its_value(capsys, monkeypatch, tmp_path, option):
    monkeypatch.chdir(tmp_path)
    code, _, err = outcome(capsys, "compare", "1", "2", option)
    assert code == 2 and "requires an argument" in err


@pytest.fixture
def table(tmp_path):
    (tmp_path / "t.csv").write_text("id,a,b,label\n7,1,2,1\n8,3,4,0\n", encoding="utf-8")
    return str(tmp_path / "t.csv")


def rows_of(out):
    return [(row["logits"], row["target"]) for row in json.loads(out)["rows"]]


def test_columns_are_chosen_by_name(capsys, table):
    code, out, err = outcome(capsys, "compare", "-i", table, "--columns", "b,a", "-f", "json")
    assert (
        code == 0 and rows_of(out) == [([2, 1], None), ([4, 3], None)] and err.startswith("note: ") and "'label'" in err
    )
    words = ("--columns", "a", "--columns", "b", "--target-column", "label", "-f", "json")
    code, out, err = outcome(capsys, "compare", "-i", table, *words)
    assert code == 0 and rows_of(out) == [([1, 2], 1), ([3, 4], 0)] and "'label'" not in err
    code, out, err = outcome(capsys, "compare", "-i", table, *words, "-t", "0")
    assert rows_of(out) == [([1, 2], 0), ([3, 4], 0)] and "note: the target that the input carries is not used" in err
    code, out, err = outcome(capsys, "grad", "-i", table, *words, "--rows", "1")
    assert code == 0 and rows_of(out) == [([3, 4], 0)] and '"gradient"' in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "'id'"),
        (["--columns", "a,x"], "'x'"),
        (["--columns", "a", "--target-column", "y"], "'y'"),
        (["--columns", "a,b", "--axis", "2"], "axis 2"),
    ],
)
def test_columns_that_are_none(capsys, table, words, says):
    code, out, err = outcome(capsys, "compare", "-i", table, *words)
    assert (code, out) == (2, "") and says in err and "hint: " in err


@pytest.mark.parametrize("option", ["--columns", "--target-column"])
def test_columns_are_those_of_a_table(capsys, option):
    assert f"error: {option} is for the columns of a table" in outcome(capsys, "compare", "1", "2", option, "a")[2]


@pytest.mark.parametrize("axis", ["0", "-2"])
def test_the_axis_of_the_classes(capsys, axis):
    code, out, _ = outcome(capsys, "compare", "[[1,2,3],[4,5,6]]", "--axis", axis, "-f", "json")
    assert code == 0 and rows_of(out) == [([1, 4], None), ([2, 5], None), ([3, 6], None)]


def test_what_is_left_out_and_what_comes_along_is_said(capsys, monkeypatch):
    text = b"logits = tensor([[1.0, 2.0]], dtype=torch.bfloat16)"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    code, out, err = outcome(capsys, "compare", "-m", "shifted")
    assert code == 0 and "bfloat16 (dtype=torch.bfloat16 in the text)" in out and err.startswith("note: left out")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    code, out, err = outcome(capsys, "compare", "-m", "shifted", "-d", "float32")
    assert code == 0 and "float32" in out and "in the text" not in out


def test_labels_of_a_file(capsys, tmp_path):
    np.savez(tmp_path / "x.npz", logits=np.array([[1, 2], [3, 4]], "f4"), labels=np.array([[0.5, 0.5], [1, 0]], "f4"))
    code, out, err = outcome(capsys, "grad", "-i", str(tmp_path / "x.npz"), "-m", "fused", "-f", "json")
    assert (code, err) == (0, "") and json.loads(out)["dtype"] == "float32" and '"gradient"' in out
    code, out, err = outcome(capsys, "compare", "-i", str(tmp_path / "x.npz"), "-t", "0", "-f", "json")
    assert code == 0 and "note: the labels that the input carries are not used" in err
