"""The text formats beside files that were looked at. SMCLI_GOLDEN=write writes them anew, to be looked at again."""

import os
from pathlib import Path

import pytest

import smcli
from smcli.model import Finding, Severity
from smcli.render import text

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


def overflow():
    # float32: its errors here are 0 and 1, in which no machine's exp shows
    return smcli.compare([1000, 2000, 3000, 4000, 5000], dtype="float32")


def masked():
    return smcli.compare([[-float("inf"), 0], [0, -float("inf")]], target=[1, 0], reduction="sum")


CASES = {"overflow": overflow, "masked": masked}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SUFFIX)
def test_text_is_as_it_was(plant, name, case):
    report = plant(CASES[case](), FINDINGS)  # whose words no other change moves
    shown = text(report, name).replace(f"smcli {smcli.__version__}", "smcli VERSION")
    file = GOLDEN / f"{case}.{SUFFIX[name]}"
    if os.environ.get("SMCLI_GOLDEN") == "write":
        file.write_bytes(shown.encode())
    assert shown.encode() == file.read_bytes(), f"{file.name} differs; if that is meant, write it anew and look at it"


@pytest.mark.parametrize("name", [*SUFFIX, "html"])
def test_no_control_character_passes(plant, name):
    shown = text(plant(overflow(), FINDINGS), name)
    assert not [c for c in shown.replace("\r\n", "\n") if ord(c) < 32 and c != "\n"]


@pytest.mark.parametrize("name", [*SUFFIX, "html"])
def test_rendering_twice_gives_the_same(name):
    assert text(overflow(), name) == text(overflow(), name)
