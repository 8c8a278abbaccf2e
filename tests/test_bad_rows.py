"""A few bad labels or cells among many rows: the error names the first, says how many others there are, and what to do."""

from __future__ import annotations

import io
from pathlib import Path  # noqa: TC003 - fixtures are annotated with it

import numpy as np
import pytest

import smcli
from smcli.cli.app import run as command

ROWS = 5000


def test_targets_that_are_no_classes_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, t = np.zeros((ROWS, 3)), np.arange(ROWS) % 3
    np.save(tmp_path / "x.npy", x)

    def told(verb: list[str]) -> str:
        np.save(tmp_path / "t.npy", t)
        words = [*verb, str(tmp_path / "x.npy"), "-t", str(tmp_path / "t.npy"), "-q", "cross-entropy"]
        assert command([*words, "--jobs", "1"] if verb == ["scan"] else words) == 2
        return capsys.readouterr().err

    first = "target 3 of row 200 is not a class: there are 3, counted from 0"
    for verb in (["scan"], ["compare", "-i"]):
        t[:] = np.arange(ROWS) % 3
        t[200] = 3
        err = told(verb)
        assert f"{first}\nhint: targets run from 0 to 2; --ignore-index 3 (ignore_index=3) leaves out the rows" in err
        t[300] = 3
        assert f"{first}; neither is that of 1 other of these {ROWS} rows\n" in told(verb)
        t[400:410] = -1
        err = told(verb)
        assert f"{first}; nor are those of 11 others of these {ROWS} rows\n" in err
        assert "--ignore-index -100 (ignore_index=-100) leaves out rows whose target is -100" in err
    t[t == 3] = t[t == -1] = -100
    np.save(tmp_path / "t.npy", t)
    assert (
        command(
            [
                "scan",
                str(tmp_path / "x.npy"),
                "-t",
                str(tmp_path / "t.npy"),
                "-q",
                "cross-entropy",
                "--ignore-index",
                "-100",
            ]
        )
        == 0
    )
    with pytest.raises(smcli.InputError, match="target 9 of row 1 is not a class") as error:
        smcli.compare([[1, 2], [3, 4]], target=[0, 9], ignore_index=-100)
    assert error.value.hint == "targets run from 0 to 1", "another value is left out already"


@pytest.mark.parametrize("verb", [["scan", "--jobs", "1"], ["compare", "-i"]])
def test_cells_that_are_no_numbers_are_counted(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["a,b,label", *(f"{k % 7},{k % 5},{k % 2}" for k in range(ROWS))]
    path = tmp_path / "x.csv"

    def told() -> str:
        path.write_text("\n".join(lines) + "\n")
        assert command([*verb, str(path), "--target-column", "label", "-q", "cross-entropy"]) == 2
        return capsys.readouterr().err

    lines[51] = "abc,1,0"
    first = f"logit 0 of row 50: 'abc' is not a number, {path}:52, column 1"
    err = told()
    assert f"{first}\n" in err and "nan in place of a logit leaves its row alone undefined" in err
    lines[61], lines[71], lines[81] = "1,,0", "1,2,cat", "1"
    assert f"{first}; nor can 3 of the {ROWS - 51} rows after it be read\n" in told()
    lines[51] = "1,1,dog"
    assert (
        f"the target 'dog' is not an integer, {path}:52; nor can 3 of the {ROWS - 51} rows after it be read" in told()
    )
    lines[1:] = ["x,y,0"] * ROWS
    assert "nan in place" not in told(), "it is read in a wrong way: no cell is to blame"
    lines[1:] = ["nan,1,0", "1,2,-100", "2,3,1"]
    path.write_text("\n".join(lines) + "\n")
    assert command([*verb, str(path), "--target-column", "label", "-q", "cross-entropy", "--ignore-index", "-100"]) == 0
    capsys.readouterr()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What can be counted of a stream is what is there."""
    from smcli.errors import InputError
    from smcli.read import How
    from smcli.read._source import Source
    from smcli.read.csv import streamed

    def lines():
        yield from [(1, "a,b"), (2, "1,2"), (3, "x,1"), (4, "y,1"), (5, "1,1"), (6, "1,1"), (7, "1,3"), None]
        raise AssertionError("it waits")

    source = Source("pipe", io.BufferedReader(io.BytesIO()), How())
    with pytest.raises(InputError, match="nor can 1 of the 4 rows after it be read"):
        list(streamed(source, lines()))


def test_rows_to_look_at_are_told_as_some_of_the_bad_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).normal(size=(40, 4))
    title = "the rows most worth a look"
    for bad in (0, 5, 6, 30):
        y = x.copy()
        y[:bad, 1] = np.nan
        np.save(tmp_path / "x.npy", y)
        for more, of in (([], "bad ones"), (["--quick"], "with findings")):
            assert command(["scan", str(tmp_path / "x.npy"), *more]) == 0
            line = next((t for t in capsys.readouterr().out.splitlines() if t.startswith(title)), title)
            assert line == (f"{title}, 5 of {bad} {of}" if bad > 5 else title), (bad, more)
