"""The text formats beside files that were looked at. SMCLI_GOLDEN=write writes them anew, to be looked at again."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import smcli
from smcli.model import Finding, Severity
from smcli.render import Style, module

GOLDEN = Path(__file__).parent / "data" / "golden"
SUFFIX = {"csv": "csv", "markdown": "md", "github": "txt", "svg": "svg"}
NASTY = "<b>100%|50%</b>, a_b *c* `d` \x1b[31m\r\n::error::x"  # what text must not do in any format
FINDINGS = (
    Finding("SM201", "exp-overflow", Severity.ERROR, "softmax", "naive", (0, 1), 5, "exp(x)", "exp(x) is inf", "shift"),
    Finding(
        "SM201", "exp-overflow", Severity.ERROR, "cross-entropy", "naive", (0,), 5, "exp(x)", "exp(x) is inf", "shift"
    ),
    Finding("SM401", "inaccurate", Severity.WARNING, "softmax", "shifted", (3,), 1, None, NASTY, "remedy: a, b"),
    Finding("SM901", "rounded-logit", Severity.NOTE, None, None, (), 0, None, "a note of the row", "nothing"),
)


def changed(noun, **changes):
    """A copy of a noun with some of its fields changed, whichever kind of record it is."""
    return noun._replace(**changes) if hasattr(noun, "_replace") else replace(noun, **changes)


def with_findings(report):
    """The report with findings whose words no other change moves."""
    return changed(report, rows=(changed(report.rows[0], findings=FINDINGS), *report.rows[1:]))


def overflow():
    # float32: its errors here are 0 and 1, in which no machine's exp shows
    return with_findings(smcli.compare([1000, 2000, 3000, 4000, 5000], dtype="float32"))


def masked():
    return with_findings(smcli.compare([[-float("inf"), 0], [0, -float("inf")]], target=[1, 0], reduction="sum"))


CASES = {"overflow": overflow, "masked": masked}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SUFFIX)
def test_text_is_as_it_was(name, case):
    text = module(name).render(CASES[case](), Style()).replace(f"smcli {smcli.__version__}", "smcli VERSION")
    file = GOLDEN / f"{case}.{SUFFIX[name]}"
    if os.environ.get("SMCLI_GOLDEN") == "write":
        file.write_bytes(text.encode())
    assert text.encode() == file.read_bytes(), f"{file.name} differs; if that is meant, write it anew and look at it"


@pytest.mark.parametrize("name", [*SUFFIX, "html"])
def test_no_control_character_passes(name):
    text = module(name).render(overflow(), Style())
    assert not [c for c in text.replace("\r\n", "\n") if ord(c) < 32 and c != "\n"]


@pytest.mark.parametrize("name", [*SUFFIX, "html"])
def test_rendering_twice_gives_the_same(name):
    assert module(name).render(overflow(), Style()) == module(name).render(overflow(), Style())
