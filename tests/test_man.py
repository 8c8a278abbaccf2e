"""The man page: it does not drift, says all that the command tree knows, and man prints it without a warning."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from smcli.cli.app import build
from smcli.cli.tree import tree
from smcli.shells import man

PROGRAM = tree(get_command(build()))
PAGE = man.page(PROGRAM)
SECTIONS = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "OPTIONS",
    "COMMANDS",
    "EXIT STATUS",
    "ENVIRONMENT",
    "EXAMPLES",
    "SEE ALSO",
]
needs_man = pytest.mark.skipif(not (shutil.which("man") and shutil.which("groff")), reason="no man")


def test_page_is_the_committed_one():
    assert (Path(__file__).parents[1] / "docs/man/smcli.1").read_text(encoding="ascii") == PAGE, (
        "run python completions/generate.py"
    )


def test_page_has_its_sections_and_neither_date_nor_version():
    from smcli import __version__

    assert re.findall(r"^\.SH (.*)$", PAGE, re.MULTILINE) == SECTIONS
    assert __version__ not in PAGE and not re.search(r"20\d\d-|\b20[2-9]\d\b", PAGE)


@pytest.mark.parametrize(("text", "roff"), {
    "a-b": r"a\-b",
    ".TH": r"\&.TH",
    "'x'": r"\(aqx\(aq",
    "a\\b": r"a\eb",
    "x^2 ~ `y`": r"x\(ha2 \(ti \(gay\(ga",
    "y(1 − E)": r"y(1 \- E)",
    "two\nlines": "two lines",
}.items())  # fmt: skip
def test_troff_sees_no_request_and_no_escape_in_a_text(text, roff):
    assert man.escaped(text) == roff


@cache
def printed():
    """The page as a reader sees it, in one line without hyphenation."""
    return subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", "-rLL=400n"], input=PAGE, capture_output=True, text=True, check=True
    ).stdout


@needs_man
def test_man_prints_it_without_a_warning(tmp_path):
    path = tmp_path / "smcli.1"
    path.write_text(PAGE)
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path],
        capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@needs_man
@pytest.mark.parametrize("command", PROGRAM.commands, ids=lambda c: c.name)
def test_reader_finds_every_option_with_its_default(command):
    part = (
        printed().partition(f"\n   smcli {command.name}\n")[2].partition("\n   smcli ")[0].partition("\nEXIT STATUS")[0]
    )
    for option in command.options:
        if option in PROGRAM.options:
            continue
        heading = ", ".join(option.names) + (f" {option.metavar}" if option.metavar else "")
        said = re.search(rf"^ +{re.escape(heading)}\s+(.*)$", part, re.MULTILINE)
        assert said and option.help in " ".join(said[1].split()), heading
        assert not option.default or f"Default: {option.default}." in said[1]


@needs_man
def test_reader_finds_examples_as_they_are_typed():
    for command in PROGRAM.commands:
        if command.epilog and command.epilog[0].startswith("Example"):
            for line in command.epilog[1:]:
                assert line.strip() in printed()
