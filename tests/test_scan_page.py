"""docs/scan.md says what is so: its example, the keys of the document, the codes of a quick look."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from smcli.cli.app import run
from smcli.problem.specs import NO_LIMIT, LossSpec, Numerics
from smcli.read import How
from smcli.request import Request
from smcli.scan.look import RANKS
from smcli.scan.run import Way, scan
from smcli.scan.tally import WORST

PAGE = (Path(__file__).parent.parent / "docs" / "scan.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("command", "output"), re.findall(r"```console\n\$ ([^\n]*)\n(.*?)```", PAGE, re.DOTALL))
def test_examples(command, output, tmp_path, monkeypatch, capsys):
    rows = re.search(r"```\n(1 2 3\n.*?)```", PAGE, re.DOTALL)
    assert rows
    (tmp_path / "rows.txt").write_text(rows[1])
    monkeypatch.chdir(tmp_path)
    assert run(shlex.split(command)[1:]) == 0
    assert [s.rstrip() for s in capsys.readouterr().out.splitlines()] == [s.rstrip() for s in output.splitlines()]


def test_keys(tmp_path):
    x = np.zeros((2, 3))
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "bad.npy").write_bytes(b"junk")
    request = Request(
        command="scan", methods=(), quantities=(), numerics=Numerics(), loss=LossSpec(), tolerance=NO_LIMIT, trace=False
    )
    said = {key for line in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for key in re.findall(r"`(\w+)`", line)}
    for quick in (False, True):
        paths = [str(tmp_path / "x.npy"), str(tmp_path / "bad.npy")]
        doc = scan(paths, request, How(), Way(quick=quick, keep_going=True)).to_dict()
        assert set(doc) - {"schema", "smcli"} <= said
        for method in doc["methods"]:
            assert set(method) == {"method", "quantity", "worst_ulp", "worst_at", "verdicts", "histogram"}
    assert doc["schema"] in PAGE and f"up to {WORST}:" in PAGE


def test_codes_of_a_quick_look():
    section = PAGE.partition("## A quick look")[2].partition("\n## ")[0].rpartition("```")[2]
    assert set(re.findall(r"SM\d{3}", section)) == set(RANKS)


def test_a_quick_look_says_that_it_is_one(tmp_path, capsys):
    """ "nothing to report" of it is not that of a scan, which finds here that a sum overflows."""
    np.save(tmp_path / "x.npy", np.array([[0.0, 700.0, 709.5, 709.5]]))
    assert run(["scan", str(tmp_path / "x.npy"), "--quick"]) == 0
    quick = capsys.readouterr().out
    assert "nothing is computed" in quick.splitlines()[0] and "nothing to report" in quick
    assert run(["scan", str(tmp_path / "x.npy"), "-m", "naive"]) == 0
    whole = capsys.readouterr().out
    assert "nothing is computed" not in whole and "SM202" in whole


def test_no_line_is_drawn_over_errors_that_no_value_has(tmp_path, capsys):
    """Between the few errors that there are and the nan at the right end nothing is counted."""
    x = np.random.default_rng(0).normal(0, 3, (20, 30))
    x[7, 3] = 900
    np.save(tmp_path / "x.npy", x)
    assert run(["scan", str(tmp_path / "x.npy"), "-d", "float64", "-m", "naive", "-f", "html"]) == 0
    lines = re.findall(r'<polyline class="join j0" points="([^"]*)"', capsys.readouterr().out)
    assert len(lines) in {2, 4}  # a figure, or a wide and a narrow one
    for few, rest in zip(lines[::2], lines[1::2], strict=True):
        assert float(few.split()[-2]) < float(rest.split()[0])
        assert len(rest.split()) == 2  # one point, joined to nothing


def test_a_row_without_any_value_is_called_undefined(tmp_path, capsys):
    x = np.random.default_rng(0).normal(0, 3, (20, 30))
    x[4], x[7, 3] = -np.inf, np.nan
    np.save(tmp_path / "x.npy", x)
    assert run(["scan", str(tmp_path / "x.npy")]) == 0
    out = capsys.readouterr().out
    worst = out.partition("the rows most worth a look")[2].partition("smcli compare")[0]
    assert re.findall(r"^ *(\d+) +naive +softmax +undefined$", worst, re.MULTILINE) == ["4", "7"]
