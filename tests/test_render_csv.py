"""CSV: whole, and readable by any reader of CSV."""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest

import smcli
from smcli.render import Style, choose, module, text

notes = module("csv").notes


def render(thing, style=None):
    return text(thing, "csv", style)


def read(text):
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_every_class_is_there_however_long_the_row():
    rows = read(render(smcli.compare(np.linspace(0, 1, 1000), quantities="softmax"), Style(top=3)))
    assert [row["i"] for row in rows] == [str(i) for i in range(1000)]


def test_numbers_come_back():
    report = smcli.compare([0.1, -3e-5, 7], methods="shifted", quantities="softmax")
    rows = read(render(report, Style()))
    assert [float(row["shifted"]) for row in rows] == report.rows[0].results[0].methods[0].values.tolist()
    assert [row["exact"] for row in rows] == smcli.exact([0.1, -3e-5, 7])


def test_lines_end_as_the_standard_says():
    text = render(smcli.compare([1, 2]), Style())
    assert text.endswith("\r\n") and text.count("\r\n") == text.count("\n")


def test_several_formats_have_a_column():
    rows = read(render(smcli.compare([1, 2], dtype=["float64", "float16"]), Style()))
    assert {row["dtype"] for row in rows} == {"float64", "float16"}


def test_findings_go_apart():
    report = smcli.compare([1000, 2000])
    assert "SM201" in notes(report) and "SM201" not in render(report, Style())


@pytest.mark.parametrize("command", ["limits", "methods"])
def test_other_nouns(command):
    done = subprocess.run(
        [sys.executable, "-m", "smcli", command, "-f", "csv"], capture_output=True, text=True, check=True
    )
    assert len(list(csv.reader(io.StringIO(done.stdout)))) > 3


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("x.csv", "csv"),
        ("x.CSV", "csv"),
        ("x.md", "markdown"),
        ("x.svg", "svg"),
        ("x.html", "html"),
        ("a/b.htm", "html"),
    ],
)
def test_suffixes(file, name):
    assert choose(None, file) == name and choose("csv", file) == "csv"


@pytest.mark.parametrize("dtype", ["float64", ["float64", "float16"]])
def test_a_reduced_loss_is_the_last_line_of_a_format(dtype):
    report = smcli.compare(
        [[1, 2], [3, 5]], target=[0, 1], quantities="cross-entropy,softmax", reduction="mean", dtype=dtype
    )
    first = getattr(report, "reports", (report,))[0]
    last = [row for row in read(render(report, Style())) if row["row"] == "reduced"]
    assert len(last) == (1 if dtype == "float64" else 2) and read(render(report, Style()))[-1] == last[-1]
    (reduced,) = first.reduced
    assert (last[0]["quantity"], last[0]["i"], last[0]["logit"]) == ("cross-entropy", "", "")
    assert last[0]["exact"] == reduced.exact and float(last[0]["fused"]) == reduced.methods[2].values[0]
    assert last[0]["naive:verdict"] in {"correct", "ok"}
    assert "\nreduced\tcross-entropy\t\t\t" in text(first, "plain", Style())


def test_a_reduced_loss_that_is_checked_has_its_value():
    report = smcli.check([[1, 2], [3, 5]], [0.9], quantity="cross-entropy", target=[0, 1], reduction="mean")
    rows = read(render(report, Style()))
    assert [row["output"] for row in rows] == ["", "", "0.9"] and rows[-1]["output:verdict"] == "inaccurate"
