"""Workflow commands: one line each, escaped as the runner unescapes them."""

import re

import pytest

import smcli
from smcli.model import Finding, Severity
from smcli.render import text

COMMAND = re.compile(r"::(error|warning|notice) title=([^:,\r\n]*)::([^\r\n]*)")


def with_finding(plant, message, name="name", rows=1):
    report = smcli.compare([[1, 2]] * rows)
    finding = Finding("SM401", name, Severity.WARNING, "softmax", "naive", (0,), 1, None, message, "remedy")
    return plant(report, [finding], range(rows))


def unescape(text):
    return text.replace("%3A", ":").replace("%2C", ",").replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


@pytest.mark.parametrize("message", ["100%", "a\nb\r\nc", "%0A stays", "a:b,c::d", "::set-output name=x::y"])
def test_messages_come_back(plant, message):
    line, summary = text(with_finding(plant, message, name="odd: name, 5%"), "github").splitlines()
    kind, title, data = COMMAND.fullmatch(line).groups()
    assert kind == "warning" and unescape(title) == "SM401 odd: name, 5%"
    assert unescape(data) == f"naive: softmax: {message} — remedy"
    assert summary == "smcli compare: 1 warning · float64 · 2 logits"


def test_severities():
    lines = text(smcli.compare([1000, 2000]), "github").splitlines()
    assert all(COMMAND.fullmatch(line) for line in lines[:-1])
    assert {line.split(" ")[0] for line in lines[:-1]} >= {"::error", "::notice"}


def test_a_batch_has_one_annotation_a_code(plant):
    first, _ = text(with_finding(plant, "m", rows=30), "github").splitlines()
    assert "rows 0, 1, 2, 3, 4, 5, 6, 7 and 22 more; here row 0: " in first


def test_formats_are_named():
    lines = text(smcli.compare([1000, 2000], dtype=["float64", "float32"]), "github").splitlines()
    assert [line for line in lines if "::float32: " in line]


def test_nothing_to_report():
    assert text(smcli.compare([0, 0]), "github") == "smcli compare: nothing to report · float64 · 2 logits\n"
