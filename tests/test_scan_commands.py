"""The commands that a scan prints repeat whatever changes the numbers: run as printed, they find the same worst error."""

import json
import shlex

import numpy as np
import pytest

from smcli.cli.app import run
from smcli.cli.scan import Options

RNG = np.random.default_rng(3)
ROWS = RNG.normal(0, 6, (6, 4)).astype(np.float32)
CE, FOCAL, KL = ["-q", "cross-entropy"], ["-q", "focal"], ["-q", "kl"]
CASES = {
    "dtype": ["-d", "float16"],
    "compute": ["-d", "bfloat16", "--compute", "float32", "-q", "log-softmax"],
    "accumulate": ["-d", "float32", "--accumulate", "bfloat16"],
    "sum": ["-d", "float16", "--sum", "sequential"],
    "temperature": ["-T", "0.3"],
    "softcap": ["--softcap", "3"],
    "method": ["-m", "shifted"],
    "quantity": ["-q", "entropy"],
    "target": [*CE, "-t", "t.json"],
    "ignore_index": [*CE, "-t", "t.json", "--ignore-index", "2"],
    "labels": ["-q", "bce", "--labels", "labels.npy"],
    "label_smoothing": [*CE, "-t", "1", "--label-smoothing", "0.2"],
    "class_weights": [*CE, "-t", "1", "--class-weights", "1,2,3,4"],
    "z_loss": [*CE, "-t", "1", "--z-loss", "0.5"],
    "against": [*KL, "--against", "teacher.npy"],
    "reverse": [*KL, "--against", "teacher.npy", "--reverse"],
    "gamma": [*FOCAL, "-t", "t.json", "--gamma", "0.5"],
    "coefficients": ["-q", "logsumexp", "--coefficients", "1,-1,-0.5,2"],
    "key": ["--key", "b"],
    "axis": ["--axis", "0"],
    "input_format": ["--input-format", "csv"],
    "columns": ["--columns", "a,c"],
    "target_column": [*CE, "--columns", "a,b,c", "--target-column", "d"],
}
FILES = {"key": ["two.npz"], "input_format": ["rows.dat"], "columns": ["rows.csv"], "target_column": ["rows.csv"]}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("first.npy", ROWS)
    np.save("second.npy", ROWS[::-1] * np.float32(1.5))
    np.savez("two.npz", a=ROWS, b=ROWS * 2)
    np.savetxt("rows.dat", ROWS, delimiter=",")
    lines = [",".join([*map(repr, row[:3].tolist()), str(k % 3)]) for k, row in enumerate(ROWS.astype(float))]
    (tmp_path / "rows.csv").write_text("a,b,c,d\n" + "\n".join(lines) + "\n")


def per_row(rows):
    np.save("labels.npy", RNG.integers(0, 2, (rows, 4)).astype(np.float64))
    np.save("teacher.npy", RNG.normal(0, 3, (rows, 4)).astype(np.float32))
    with open("t.json", "w", encoding="utf-8") as file:
        json.dump([k % 4 for k in range(rows)], file)


def document(words, capsys):
    assert run([*words, "-f", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def commands(words, capsys):
    assert run([*words, "-f", "table"]) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines() if "smcli compare -i" in line]


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("option", CASES)
def test_a_printed_command_finds_the_same_worst_error(option, files, capsys):
    names = FILES.get(option, ["first.npy", "second.npy"][:files])
    per_row(6 * len(names) if option != "axis" else 4 * len(names))
    words = ["scan", *names, *CASES[option]]
    told = document(words, capsys)["worst_rows"]
    printed = commands(words, capsys)
    assert told and printed
    for command in printed:
        asked = shlex.split(command[command.index("smcli compare") :])[1:]
        name, row = asked[asked.index("-i") + 1], int(asked[asked.index("--rows") + 1].split(":")[0])
        (found,) = document(asked, capsys)["rows"]
        worst = {(m["method"], r["quantity"]): m["worst"]["ulp"] for r in found["results"] for m in r["methods"]}
        same = [bad for bad in told if (bad["file"], bad["row"]) == (name, row)]
        assert same
        for bad in same:
            assert bad["ulp"] == worst[bad["method"], bad["quantity"]]


SAME_NUMBERS = {"files", "quick", "jobs", "scheduler", "keep_going", "fail_on", "max_ulp", "max_rel", "format", "output",
                "verbose", "no_color", "every_class", "all", "top", "digits", "summary", "omitted"}  # fmt: skip


def test_no_option_of_scan_is_forgotten():
    assert vars_of(Options) - SAME_NUMBERS == set(CASES)


def vars_of(options):
    return {name for cls in options.__mro__ for name in getattr(cls, "__annotations__", {})}
