"""What check says of a tolerance of the user's: which values fail it, the exit code, and the recommended one given back."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import smcli
from smcli.api.objects import Objects
from smcli.checking import check_objects
from smcli.cli.app import run
from smcli.document.tolerance import sentences, spelled
from smcli.numbers.formats import FORMATS

X = np.random.default_rng(11).normal(0, 5, (7, 9))
T = [0, 1, 2, 3, 4, 5, 6]
P = special.softmax(X, axis=1)
OFF = {(1, 2): 1.02, (4, 0): 1.5, (5, 8): 0.9, (6, 3): np.nan}


def own(told):
    return [s for s in sentences(told) if s.startswith("your ")]


def wrong(off):
    values = P.copy()
    for place, times in off.items():
        values[place] *= times
    return values


@pytest.mark.parametrize("whole", [True, False])
def test_values_that_fail_a_tolerance_are_named_the_furthest_first(whole):
    keywords = Objects({"quantities": "softmax", "rtol": 0.01})
    made = check_objects(X, wrong(OFF), keywords, whole=whole)
    yours = made.tolerance["yours"]
    assert [(f["row"], f["at"]) for f in yours["failed"]] == [(6, 3), (4, 0), (5, 8), (1, 2)] and yours["failures"] == 4
    said, code = own(made.tolerance)[:2]
    named = re.findall(r"(\S+) in row (\d) at index (\d) \(truth (\S+)\)", said)
    assert [(int(r), int(at)) for _, r, at, _ in named] == [(6, 3), (4, 0), (5, 8)] and said.endswith("and 1 more")
    for got, row, at, true in named:
        place = int(row), int(at)
        assert got == "nan" or float(got) == pytest.approx(wrong(OFF)[place], rel=1e-5)
        assert float(true) == pytest.approx(P[place], rel=1e-5)
    assert "4 of 63 values do not pass" in said and "--max-rel 0.01 makes it 1" in code
    assert "4 of 63 values do not pass" in " ".join(str(made).split())


def test_rows_that_were_chosen_keep_their_numbers_in_a_failed_tolerance(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.save("p.npy", wrong({(4, 0): 1.5}))
    run(["check", "x.npy", "p.npy", "--rows", "3:6", "--rtol", "0.01", "-f", "json"])
    told = json.loads(capsys.readouterr().out)["tolerance"]["yours"]
    assert [(f["row"], f["at"]) for f in told["failed"]] == [(4, 0)]


def test_rows_of_a_large_check_keep_theirs():
    x, p = (np.tile(a, (2000, 1)) for a in (X, P))
    p[13001, 5] *= 1.1
    told = smcli.check(x, p, rtol=0.01).tolerance["yours"]
    assert [(f["row"], f["at"]) for f in told["failed"]] == [(13001, 5)] and told["failures"] == 1


def test_a_failed_tolerance_of_a_matrix_names_pairs_and_one_value_a_row_no_index():
    values = np.stack([np.diag(row) - np.outer(row, row) for row in P])
    values[1, 2, 3] *= 2
    told = smcli.check(X, values, quantity="jacobian", rtol=0.01).tolerance
    assert told["yours"]["failed"][0]["at"] == [2, 3] and "in row 1 at index [2, 3] (truth" in own(told)[0]
    sums = special.logsumexp(X, axis=1)
    sums[3] *= 2
    told = smcli.check(X, sums, quantity="logsumexp", rtol=0.01).tolerance
    assert told["yours"]["failed"][0]["at"] is None and "in row 3 (truth" in own(told)[0]
    told = smcli.check(X, 2.0, quantity="cross-entropy", target=T, reduction="mean", rtol=1e-3).tolerance
    assert told["yours"]["failed"][0]["row"] is None and "1 of 1 value does not pass: 2 (truth" in own(told)[0]


def test_a_tolerance_that_values_fail_keeps_the_exit_code_and_every_text_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.save("p.npy", P)
    for words in ([], ["--summary"], ["--format", "github"], ["--format", "markdown"], ["--format", "html"]):
        assert run(["check", "x.npy", "p.npy", "--rtol", "1e-18", *words]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "not pass: " in out and "leaves the exit code as it is; --max-rel 1e-18 makes it 1" in out, words
    assert run(["check", "x.npy", "p.npy", "--max-rel", "1e-18", "--fail-on", "never"]) == 1
    assert run(["check", "x.npy", "p.npy", "--rtol", "1e-18", "--atol", "1e-18"]) == 0
    assert "--max-rel X or --max-ulp X makes" in " ".join(capsys.readouterr().out.split())
    assert run(["check", "x.npy", "p.npy", "--rtol", "0.1"]) == 0
    assert "exit code" not in capsys.readouterr().out


@pytest.mark.parametrize("whole", [True, False])
def test_beside_an_infinity_only_that_passes(whole):
    """As in np.allclose: a tolerance relative to an infinity would allow everything."""
    keywords = Objects({"quantities": "log-softmax", "rtol": 0.1})
    told = check_objects([[0.0, -np.inf]], [[0.0, -5.0]], keywords, whole=whole).tolerance
    assert not told["yours"]["passes"] and not told["passes"] and not told["yours"]["zeros_pass"]
    told = check_objects([[0.0, -np.inf]], [[0.0, -np.inf]], keywords, whole=whole).tolerance
    assert told["yours"]["passes"] and not told["yours"]["zeros_pass"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-60, 60), min_size=1, max_size=30),
    st.sampled_from(["float64", "float32", "float16", "bfloat16", "float8_e5m2"]),
    st.sampled_from(["softmax", "log-softmax", "logsumexp", "cross-entropy", "gradient"]),
)
def test_the_recommended_tolerance_given_back_is_not_complained_of(row, dtype, quantity):
    target = {"target": 0} if quantity in {"cross-entropy", "gradient"} else {}
    exact = np.array([float(t) for t in smcli.exact(row, quantity, dtype=dtype, **target)])
    values = [FORMATS[dtype].round(exact)]
    told = smcli.check([row], values, quantity=quantity, dtype=dtype, **target).tolerance
    assert told["passes"]
    best = told["rtol"], told["atol"]
    for rtol, atol in (best, tuple(float(spelled(x)) for x in best)):
        again = smcli.check([row], values, quantity=quantity, dtype=dtype, rtol=rtol, atol=atol, **target).tolerance
        assert own(again) == [f"your rtol={rtol:g}, atol={atol:g}: the values pass"]


@pytest.mark.parametrize(
    ("rows", "due"), [([[5.0], [7.0]], "0"), ([[0.0, -1e4], [0.0, -1e4]], "1.1354838653147361e-4343")]
)
def test_a_reduced_loss_whose_truth_is_0_as_a_float(rows, due):
    for value in (0.0, 0.5):
        made = smcli.check(rows, value, quantity="cross-entropy", target=[0, 0], reduction="mean")
        assert made.reduced[0].exact == due and made.tolerance["passes"] == (value == 0)


def test_values_too_near_to_0_for_any_tolerance_are_said_to_be_so():
    """A careful kernel may return 0 for this loss, so that a tolerance that it passes lets zeros pass, too."""
    told = smcli.check([[100.0, 0.0]], [3.72e-44], quantity="cross-entropy", target=0).tolerance
    assert told["zeros_pass"] and any(s.startswith("all zeros would pass that, too") for s in sentences(told))
    told = smcli.check([[1.0, 0.0]], [0.3132616875182228], quantity="cross-entropy", target=0).tolerance
    assert not told["zeros_pass"] and not any("all zeros" in s for s in sentences(told))
