"""What is otherwise on Windows, as far as another system can try it: encodings, ends of lines, paths, quotes."""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from smcli import render
from smcli.cli.app import run
from smcli.numbers.words import command_line

COMMANDS = ["eval", "compare", "grad", "check", "scan", "limits", "explain", "methods", "completions"]
SAID = [
    *([command, "-h"] for command in COMMANDS),
    ["-h"],
    ["compare", "1000", "2000", "-v", "--trace"],
    ["compare", "1", "2", "--dtype", "all"],
    ["grad", "1", "2", "--sweep", "-t", "0"],
    ["limits"],
    ["methods"],
    *(["explain", code] for code in ("SM201", "SM401", "SM904")),
    ["explain"],
    ["completions", "powershell"],
    *(["compare", "1", "2", "-f", name] for name in ("json", "csv", "markdown", "svg", "html", "github", "plain")),
    ["compare", "1", "−2"],
    ["compare", "-i", "größe.npy"],
]


def said(monkeypatch, words, encoding):
    """Exit code, output and errors of a command whose streams have an encoding."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    code = run(words)
    for stream in streams:
        stream.flush()
    return code, *(stream.buffer.getvalue().decode(encoding) for stream in streams)


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
@pytest.mark.parametrize("words", SAID, ids=" ".join)
def test_a_console_of_any_encoding_is_told_all(monkeypatch, words, encoding):
    code, out, err = said(monkeypatch, words, encoding)
    meant_code, meant_out, meant_err = said(monkeypatch, words, "utf-8")
    assert code == meant_code == (2 if meant_err else 0)
    assert len(out.splitlines()) == len(meant_out.splitlines()) and len(err.splitlines()) == len(meant_err.splitlines())
    assert re.findall(r"SM\d{3}", out) == re.findall(r"SM\d{3}", meant_out)
    assert encoding != "ascii" or out == meant_out.translate(render.ASCII) or "html" in words


def test_help_on_a_console_that_lacks_a_character():
    done = subprocess.run(
        [sys.executable, "-m", "smcli", "compare", "-h"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"") and b"y(1 - E) + E/K" in done.stdout


TEXTS = {
    "x.txt": "1 2\n3 4\n",
    "x.csv": "a,b\n1,2\n3,4\n",
    "x.json": "[[1, 2],\n [3, 4]]\n",
    "x.jsonl": "[1, 2]\n[3, 4]\n",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_files_as_windows_programs_write_them(capsys, tmp_path, name, end, encoding):
    path = tmp_path / name
    path.write_bytes(TEXTS[name].replace("\n", end).encode(encoding))
    assert run(["eval", "-i", str(path), "-q", "logsumexp", "-f", "plain"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split("\t")[-1] for line in lines] == ["2.3132616875182228", "4.3132616875182228"]
    assert run(["scan", str(path), "-f", "plain", "--jobs", "1"]) == 0
    assert "4" in capsys.readouterr().out


def test_a_table_whose_lines_end_in_carriage_returns_alone_says_so(capsys, tmp_path):
    (tmp_path / "x.csv").write_bytes(b"a,b\r1,2\r3,4\r")
    assert run(["eval", "-i", str(tmp_path / "x.csv")]) == 2
    assert "lines that end in a carriage return alone" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.jsonl"])
def test_wide_text_without_a_mark_says_what_to_do(capsys, tmp_path, name, encoding):
    (tmp_path / name).write_bytes(TEXTS[name].encode(encoding))
    assert run(["eval", "-i", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert "is not UTF-8 text: byte 0x00 at offset" in error and "save it as UTF-8" in error


def test_csv_has_one_end_of_line_on_a_stream_that_makes_its_own(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", newline="\r\n")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(os, "linesep", "\r\n")
    render.emit("a,b\r\n1,2\r\n")
    assert stream.buffer.getvalue() == b"a,b\r\n1,2\r\n"


def test_a_file_has_the_ends_of_lines_of_its_format_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "linesep", "\r\n")
    for name in ("x.csv", "x.json", "x.md"):
        assert run(["compare", "1", "2", "-o", name]) == 0
        data = (tmp_path / name).read_bytes()
        assert (data.count(b"\r\n") == data.count(b"\n") > 0) if name == "x.csv" else b"\r" not in data
    assert len(list(csv.reader(io.StringIO((tmp_path / "x.csv").read_bytes().decode(), newline="")))) > 4


@pytest.mark.parametrize(
    "name", ["a b.npy", "größe.npy", "C:\\logits\\x y.npy", "it's.npy", 'a"b.npy', "100%.npy", "[1].npy"]
)
def test_a_file_of_any_name_is_found_and_its_command_can_be_pasted(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "x", np.array([[1000.0, 2000]]))
    (tmp_path / "x.npy").rename(tmp_path / name)
    assert run(["scan", name, "--jobs", "1"]) == 0
    (command,) = re.findall(r"^  (smcli compare .*)$", capsys.readouterr().out, re.MULTILINE)
    words = shlex.split(command)
    assert words[3] == name and run(words[1:]) == 0
    assert "SM201" in capsys.readouterr().out


def parsed(line):
    """The words of a command line by the rules of Microsoft's C runtime, which Python on Windows starts with."""
    words, word, quoted, at = [], None, False, 0
    while at < len(line):
        slashes = len(line) - at - len(line[at:].lstrip("\\"))
        at += slashes
        if at < len(line) and line[at] == '"':
            word = (word or "") + "\\" * (slashes // 2) + '"' * (slashes % 2)
            quoted ^= slashes % 2 == 0
            at += 1
            continue
        word = (word or "") + "\\" * slashes if slashes or word is not None else None
        if at < len(line):
            if line[at] in " \t" and not quoted:
                words += [] if word is None else [word]
                word = None
            else:
                word = (word or "") + line[at]
            at += 1
    return words + ([] if word is None else [word])


def test_commands_are_quoted_as_windows_reads_them(monkeypatch):
    monkeypatch.setattr("smcli.numbers.words.os.name", "nt")
    words = ["smcli", "compare", "-i", "C:\\my logits\\x.npy", "--rows", "0:1", "C:\\x\\", 'a"b', "C:\\a b\\"]
    line = command_line(words)
    assert "'" not in line and parsed(line) == words
    assert command_line([*words[:3], "C:\\x.npy"]) == "smcli compare -i C:\\x.npy"


KINDS = {"x.txt": "text", "x.csv": "csv", "x.json": "json", "x.jsonl": "jsonl"}


def piped(monkeypatch, data, *words):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return run(list(words))


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_pipes_as_windows_programs_fill_them(capsys, monkeypatch, name, end, encoding):
    data = TEXTS[name].replace("\n", end).encode(encoding)
    assert piped(monkeypatch, data, "eval", "--input-format", KINDS[name], "-q", "logsumexp", "-f", "plain") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split("\t")[-1] for line in lines] == ["2.3132616875182228", "4.3132616875182228"]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("pipe", [False, True])
def test_text_of_a_code_page_says_what_to_do(capsys, monkeypatch, tmp_path, name, pipe):
    """Excel saves CSV in the code page of the machine."""
    said = {"x.csv": "größe,b\r\n1,2\r\n", "x.txt": "größe: 1 2\r\n"}.get(name, '{"größe": 1, "logits": [1, 2]}')
    (tmp_path / name).write_bytes(said.encode("cp1252"))
    if pipe:
        code = piped(monkeypatch, said.encode("cp1252"), "eval", "--input-format", KINDS[name])
    else:
        code = run(["eval", "-i", str(tmp_path / name)])
    error = capsys.readouterr().err
    assert code == 2 and "is not UTF-8 text: byte 0xf6 at offset" in error
    assert "hint: save it as UTF-8 if it is text in another encoding" in error
