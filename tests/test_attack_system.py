"""What the system does to a run: signals at random moments, a full disk, too little memory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import numpy as np
import pytest

from smcli import read
from smcli.render import names

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at the processes of Linux")
resource = pytest.importorskip("resource")
SMCLI = [sys.executable, "-m", "smcli"]
MANY = int(os.environ.get("SMCLI_ATTACK_SIGNALS", "1"))  # of each kind


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, np.random.default_rng(1).normal(0, 5, (20000, 100)))
    return str(path)


def group(pgid):
    """The processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == pgid and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


@pytest.mark.parametrize(
    "words", [["compare", "--rows", "0:4000", "-i"], ["scan", "--jobs", "2"]], ids=["compare", "scan"]
)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seed", range(MANY))
def test_a_signal_at_any_moment_leaves_nothing_behind(rows, tmp_path, words, sent, seed):
    done = tmp_path / "x.json"
    process = subprocess.Popen(
        [*SMCLI, *words, rows, "-f", "json", "-o", str(done)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, cwd=tmp_path,
    )  # fmt: skip
    time.sleep(Random(seed).uniform(0.5, 3))
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode in {0, 130 if sent == signal.SIGINT else -sent}
    assert b"Traceback" not in said
    until = time.monotonic() + 20
    while group(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not group(process.pid)
    assert set(os.listdir(tmp_path)) <= {"x.json"}
    if done.exists():
        assert done.read_text(encoding="utf-8").endswith("}\n")  # a whole document, which says that it is partial


FORMATS = names()
COMMANDS = {
    "eval": ["1", "2"], "compare": ["1", "2000"], "grad": ["1", "2", "-t", "0"], "check": ["x.npy", "p.npy"], "scan": ["x.npy"],
    "limits": [], "explain": ["SM201"], "methods": [],
}  # fmt: skip
EVERY = [(name, *words, "-f", f) for f in FORMATS for name, words in COMMANDS.items()]
EVERY += [
    ("--version",),
    ("--help",),
    ("compare", "--help"),
    (),
    ("explain",),
    ("completions", "zsh"),
    ("limits", "-d", "all"),
]
SOME = (
    EVERY
    if MANY > 1
    else [*EVERY[: len(FORMATS) * len(COMMANDS) : len(COMMANDS) + 1], *EVERY[len(FORMATS) * len(COMMANDS) : -1]]
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with logits and probabilities."""
    folder = tmp_path_factory.mktemp("files")
    x = np.random.default_rng(0).normal(0, 5, (9, 6))
    e = np.exp(x - x.max(axis=1, keepdims=True))
    np.save(folder / "x.npy", x)
    np.save(folder / "p.npy", e / e.sum(axis=1, keepdims=True))
    return folder


def test_some_of_the_runs_are_of_each_command_and_format():
    words = {word for run in SOME for word in run}
    assert set(COMMANDS) | set(FORMATS) <= words


@pytest.mark.parametrize("words", SOME, ids=" ".join)
def test_a_reader_who_has_gone_is_no_error(words, files):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        done = subprocess.run(
            [*SMCLI, *words], stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=files, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("words", SOME, ids=" ".join)
def test_a_full_disk_is_an_error_without_traceback(words, files):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*SMCLI, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=files,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: cannot write the result: No space left on device"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize("words", [["compare", "1", "2"], ["scan", "x.npy"], ["check", "x.npy", "p.npy"]], ids=" ".join)
def test_a_full_disk_under_an_output_file_is_named(words, files):
    done = subprocess.run(
        [*SMCLI, *words, "-f", "json", "-o", "/dev/full"], capture_output=True, text=True, cwd=files, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: cannot write '/dev/full': No space left on device"


@pytest.mark.parametrize("megabytes", [30, 60, 105, 200])
@pytest.mark.parametrize("words", [["compare", "1", "2"], ["check", "x.npy", "p.npy"]], ids=" ".join)
def test_memory_that_is_too_little_to_start_is_said(words, files, megabytes):
    done = subprocess.run(
        [*SMCLI, *words], capture_output=True, text=True, cwd=files, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20)),
    )  # fmt: skip
    assert done.returncode in {0, 3} or "OpenBLAS" in done.stderr  # which ends the process by itself
    assert done.returncode == 0 or done.stderr.startswith("error: not enough memory") or "OpenBLAS" in done.stderr
    assert "Traceback" not in done.stderr


def test_too_little_memory_is_an_error_with_a_remedy(rows):
    done = subprocess.run(
        [*SMCLI, "compare", "-i", rows], capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20)),
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("error: not enough memory for this input\nhint: ")
    assert "Traceback" not in done.stderr


def test_a_file_that_does_not_fit_is_no_file_that_cannot_be_read(tmp_path, monkeypatch):
    def no_room(*_args, **_kwargs):
        raise OSError(12, "Cannot allocate memory")

    (tmp_path / "x.npy").write_bytes(b"")
    monkeypatch.setattr("smcli.read.npy.read", no_room)
    with pytest.raises(MemoryError):
        read.from_file(str(tmp_path / "x.npy"))


def test_a_program_that_is_ended_takes_its_unfinished_file_along(tmp_path):
    code = """
import os, signal, sys, time
from smcli.render import replace_file
def pieces():
    yield "a"
    assert os.listdir(".") != []
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
replace_file("x.json", pieces())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGTERM
    assert os.listdir(tmp_path) == []
