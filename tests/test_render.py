"""Choosing an output format, and delivering a text: whole files, pipes that close, streams that cannot encode it."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys

import pytest

import smcli
from smcli import render
from smcli.cli.app import run
from smcli.errors import ClosedPipeError, UsageError
from smcli.render import ASCII, Style

NAMES = ("table", "csv", "github", "html", "json", "markdown", "plain", "svg")


def test_every_format_of_the_contract_is_a_module():
    assert render.names() == NAMES
    for name in NAMES:
        one = render.module(name)
        assert one.__doc__ and callable(one.pieces) and isinstance(one.SUFFIXES, tuple)


def test_no_suffix_means_two_formats():
    suffixes = [s for name in NAMES for s in render.module(name).SUFFIXES]
    assert len(suffixes) == len(set(suffixes)) and all(s.startswith(".") and s == s.lower() for s in suffixes)


@pytest.mark.parametrize(
    ("name", "output", "chosen"),
    [
        (None, None, "table"), ("json", None, "json"), ("json", "x.csv", "json"), (None, "x.csv", "csv"),
        (None, "a.b/x.MD", "markdown"), (None, "x.json", "json"), (None, "x.txt", "plain"), (None, "x.svg", "svg"),
        (None, "x.html", "html"),
    ],
)  # fmt: skip
def test_choose(name, output, chosen):
    assert render.choose(name, output) == chosen


@pytest.mark.parametrize(
    ("name", "output", "says"),
    [("jsn", None, "did you mean json?"), ("_page", None, "choose one of table"), (None, "x.docx", "say which with -f"),
     (None, "x", "say which with -f"), ("", None, "choose one of")],
)  # fmt: skip
def test_what_cannot_be_chosen(name, output, says):
    with pytest.raises(UsageError) as caught:
        render.choose(name, output)
    assert says in caught.value.hint


@pytest.fixture
def report():
    return smcli.compare([[1000, 2000], [1, 2]], target=[0, 1], reduction="mean", trace=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_report_in_every_format_to_a_file_and_to_a_stream(capsys, tmp_path, report, name):
    file = tmp_path / "out"
    render.deliver(report, name, Style(to_file=True), str(file))
    written = file.read_bytes().decode()
    assert "\x1b" not in written and ("\r" in written) == (name == "csv")
    capsys.readouterr()
    render.deliver(report, name, Style(), None)
    said = capsys.readouterr()
    assert said.out == written and (said.err != "") == (name in {"plain", "csv"})
    render.deliver(report, name, Style(), "-")
    assert capsys.readouterr().out == written


@pytest.mark.parametrize("name", NAMES)
def test_several_formats_and_a_jacobian_in_every_output(name):
    for thing in (
        smcli.compare([1, 2], dtype="float16,float8_e4m3fn"),
        smcli.gradient([1, 1000, -5], methods="naive,fd"),
    ):
        assert len(render.text(thing, name)) > 50


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "report.json"
    file.write_text("old", encoding="utf-8")
    render.replace_file(str(file), ["new ", "∑"])
    assert file.read_bytes() == "new ∑".encode() and [p.name for p in tmp_path.iterdir()] == ["report.json"]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match="No space left"):
        render.replace_file(str(file), ["newer"])
    assert file.read_bytes() == "new ∑".encode() and [p.name for p in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_devices_and_pipes_are_written_not_replaced(tmp_path):
    render.replace_file(os.devnull, ["gone"])
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        render.replace_file(str(pipe), ["thr", "ough"])
        assert os.read(reader, 100) == b"through" and stat.S_ISFIFO(os.stat(pipe).st_mode)
    finally:
        os.close(reader)
    with pytest.raises(UsageError, match="cannot write"):
        render.replace_file(str(tmp_path), ["a folder"])


def test_what_breaks_while_it_is_written_leaves_the_old_file(tmp_path):
    def breaking():
        yield "half"
        raise KeyboardInterrupt

    file = tmp_path / "report.json"
    file.write_text("old", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        render.replace_file(str(file), breaking())
    assert file.read_text(encoding="utf-8") == "old" and [p.name for p in tmp_path.iterdir()] == ["report.json"]


class Pipe(io.StringIO):
    """A stream whose reader goes away after so many characters."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, text):
        if self.tell() + len(text) > self.room:
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("room", [0, 10, 10**6])
def test_a_reader_that_goes_away(monkeypatch, room):
    monkeypatch.setattr(sys, "stdout", Pipe(room))
    if room < 10**6:
        with pytest.raises(ClosedPipeError) as caught:
            render.emit("x" * 5000)
        assert caught.value.exit_code == 141
    else:
        render.emit("x" * 5000)
        assert len(sys.stdout.getvalue()) == 5000


def test_closed_streams(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(UsageError, match="standard output is closed"):
        render.emit("x")
    render.emit("x", error=True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "cp437"])
@pytest.mark.parametrize("name", NAMES)
def test_a_stream_of_any_encoding_gets_every_character(monkeypatch, report, encoding, name):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    monkeypatch.setattr(sys, "stdout", stream)
    text = render.text(report, name)
    render.emit(text)
    stream.flush()
    said = stream.buffer.getvalue().decode(encoding)
    assert said in {text, text.translate(ASCII)} or "\\" in said
    if encoding == "ascii":
        assert "\\u" not in said or name == "html", [line for line in said.split("\n") if "\\u" in line][:3]


def test_every_character_that_a_page_uses_has_a_stand_in():
    from smcli import findings
    from smcli.document.pages import Pages

    said = render.text(Pages(tuple(findings.everything().values())), "table", Style(to_file=True, color=False))
    assert "".join(sorted({c for c in said.translate(ASCII) if ord(c) > 127})) == ""


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path, monkeypatch):
    """As a shell does it; /dev/stdout is a link, to a file where output is redirected to one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "link.json").symlink_to("deep/real.json")
    for _ in range(2):  # the file is not there at first
        assert run(["compare", "1", "2", "-o", "link.json"]) == 0
        assert (tmp_path / "link.json").is_symlink() and json.loads((tmp_path / "deep" / "real.json").read_text())[
            "rows"
        ]
        assert os.listdir(tmp_path / "deep") == ["real.json"]
    (tmp_path / "lost.json").symlink_to("absent/real.json")
    assert run(["compare", "1", "2", "-o", "lost.json"]) == 2


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="there are no files that stand for those that are open")
def test_the_standard_output_as_a_file(tmp_path):
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    words = [sys.executable, "-m", "smcli", "compare", "1", "2", "-f", "json", "-o", tmp_path / "stdout"]
    with open(tmp_path / "out.json", "w", encoding="utf-8") as out:
        subprocess.run(words, stdout=out, check=True)
    assert json.loads((tmp_path / "out.json").read_text())["rows"] and (tmp_path / "stdout").is_symlink()
    piped = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    assert json.loads(piped.stdout)["rows"] and (tmp_path / "stdout").is_symlink()
