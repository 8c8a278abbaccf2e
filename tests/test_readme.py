"""Everything that the README shows is executed: shell blocks run, console blocks print just that, Python blocks work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
ENV = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "FORCE_COLOR"}} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONUTF8": "1",
}


def of(kind):
    return [body for name, body in BLOCKS if name == kind]


def run(command):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        env=ENV,
        cwd=ROOT,
        timeout=120,
        check=False,
    )


def test_the_two_commands_come_first():
    first, second = of("sh")[:2]
    assert "pip install ." in first and "smcli compare" in first and "pytest" in second
    assert len(first.splitlines()) == len(second.splitlines()) == 1  # .ci/run executes both in a fresh environment


@pytest.mark.parametrize("block", of("console"))
def test_console_blocks_show_the_real_output(block):
    command, _, shown = block.partition("\n")
    assert command.startswith("$ smcli ")
    done = run(command[2:])
    if os.environ.get("SMCLI_GOLDEN") == "update":
        text = README.read_text(encoding="utf-8")
        README.write_text(text.replace(block, f"{command}\n{done.stdout}"), encoding="utf-8")
        return
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown


@pytest.fixture(scope="module")
def python_blocks():
    for block in of("python"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block],
            capture_output=True,
            text=True,
            env=ENV,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("python_blocks")
def test_python_blocks_run():
    assert len(of("python")) >= 2


@pytest.mark.usefixtures("python_blocks")
@pytest.mark.parametrize("line", [line for block in of("sh")[2:] for line in block.splitlines()])
def test_shell_lines_run(line):
    done = run(line)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_picture_is_of_today(tmp_path):
    done = run(f"smcli compare 1000 2000 3000 4000 5000 -o {tmp_path}/main-job.svg")
    assert done.returncode == 0, done.stderr
    picture = ROOT / "docs" / "main-job.svg"
    if os.environ.get("SMCLI_GOLDEN") == "update":
        picture.write_bytes((tmp_path / "main-job.svg").read_bytes())
    assert (tmp_path / "main-job.svg").read_bytes() == picture.read_bytes()


def test_inline_commands_parse():
    text = README.read_text(encoding="utf-8")
    for command in re.findall(r"`(smcli (?:compare|grad|limits|eval)[^`]*)`", text):
        words = shlex.split(command)
        done = run(shlex.join(words)) if len(words) > 2 else run(f"{command} --help")
        assert done.returncode == 0, (command, done.stderr)
