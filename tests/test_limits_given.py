"""Limits that were given explicitly: what is beyond them, which of that no code could mend, and what is said of it."""

import json
import re

import numpy as np
import pytest

import smcli
from smcli.api.objects import Objects
from smcli.checking import check_objects, fails
from smcli.cli.app import run
from smcli.judge.beyond import Beyond, beyond, excess, furthest
from smcli.model import Verdict
from smcli.numbers.formats import FORMATS
from smcli.problem.specs import Tolerance
from smcli.testing import assert_accurate

RNG = np.random.default_rng(4)
X = RNG.normal(0, 4, (6, 20)).astype(np.float16)
EXACT = np.array([[float(t) for t in smcli.exact(row, dtype="float16")] for row in X.tolist()])
Y = FORMATS["float16"].round(EXACT)
REL = np.abs(Y - EXACT) / EXACT


def said_of(thing):
    return [line.strip() for line in str(thing).splitlines() if "correctly rounded" in line and " beyond --max" in line]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("limit", [1e-4, 3e-4, 0.01, 0.5])
def test_correctly_rounded_values_beyond_a_limit_fail_a_check_and_it_says_why(whole, limit):
    """Of however many values: a large check once let them pass."""
    made = check_objects(X, Y.astype(np.float16), Objects({"quantities": "softmax", "max_rel": limit}), whole=whole)
    count = int((limit < REL).sum())
    assert fails(made, "never") == bool(count) and set(made.scores()[0].counts) == {"correct"}
    assert made.to_dict()["summary"]["beyond_limits"] == {"values": count, "correctly_rounded": count}
    values = f"{count} value{'s' if count != 1 else ''}"
    (said,) = said_of(made) or [""]
    assert said.startswith(f"{count} of {values} beyond --max-rel {limit:g} ") == bool(count)
    if count:
        assert "exit code 1: float16 has no nearer number; --max-ulp 1 alone allows what rounding costs" in said
    again = check_objects(X, Y.astype(np.float16), Objects({"quantities": "softmax", "max_ulp": 1.0}), whole=whole)
    assert not fails(again, "never") and not said_of(again)


def test_only_what_is_correctly_rounded_is_said_to_be_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values = Y.astype(np.float16)
    values[REL < 1e-4] *= np.float16(1.1)
    np.save("x.npy", X)
    np.save("y.npy", values)
    rounded, wrong = int(((REL > 3e-4) & (REL >= 1e-4)).sum()), int((REL < 1e-4).sum())
    assert rounded and wrong
    for words in ([], ["--summary"], ["-f", "github"], ["-f", "markdown"]):
        assert run(["check", "x.npy", "y.npy", "--max-rel", "3e-4", "--fail-on", "never", *words]) == 1
        text = " ".join(capsys.readouterr().out.split())
        assert f"{rounded} of {rounded + wrong} values beyond --max-rel 0.0003 are correctly rounded" in text, words
    assert run(["check", "x.npy", "y.npy", "--max-rel", "3e-4", "--fail-on", "never", "-f", "plain"]) == 1
    assert f"{rounded} of {rounded + wrong} values beyond" in capsys.readouterr().err
    assert run(["check", "x.npy", "y.npy", "--max-rel", "3e-4", "--fail-on", "never", "-f", "json"]) == 1
    told = json.loads(capsys.readouterr().out)["summary"]["beyond_limits"]
    assert told == {"values": rounded + wrong, "correctly_rounded": rounded}
    np.save("y.npy", np.where(REL < 1e-4, values, EXACT.astype(np.float64)))  # of float64, as exact as that is
    assert run(["check", "x.npy", "y.npy", "--max-rel", "3e-4", "--fail-on", "never"]) == 1
    assert "correctly rounded and" not in capsys.readouterr().out


def test_what_the_format_does_not_hold_is_beyond_a_relative_limit():
    below = smcli.compare([0, -200], dtype="float32", methods="shifted", quantities="softmax", max_rel=1e-3)
    (said,) = said_of(below)
    assert below.beyond_limits() and said.startswith(
        "1 of 1 value beyond --max-rel 0.001 is correctly rounded, and makes"
    )
    above = smcli.compare([1000, 2], dtype="float16", target=1, methods="fused", quantities="cross-entropy", reduction="perplexity",
                          max_ulp=4)  # fmt: skip
    (said,) = said_of(above)
    assert (
        above.beyond_limits() and "no nearer number; a wider format rounds less" in said and "--max-ulp 1 " not in said
    )


def test_scans_and_comparisons_say_so_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    made = smcli.compare(X, methods="bigfloat", quantities="softmax", dtype=["float16", "float32"], max_rel=1e-4)
    (method,) = {id(m): m for b in made.reports[0].blocks for q in b.results for m in q.methods}.values()
    off = method.rel > 1e-4
    due = int(off.sum()), int((off & (method.verdicts == Verdict.CORRECT)).sum())
    told = f"{due[1]} of {due[0]} values beyond --max-rel 0.0001 are correctly rounded"
    assert due[1] > 50 and [s.startswith(f"float16: {told}") for s in said_of(made)] == [True]
    words = ["x.npy", "-m", "bigfloat", "--max-rel", "1e-4", "-q", "softmax"]
    for more in ([], ["--summary"], ["-f", "github"]):
        assert run(["scan", *words, *more]) == 1
        assert told in " ".join(capsys.readouterr().out.split())
    assert run(["scan", *words, "-f", "plain"]) == 1
    assert told in capsys.readouterr().err
    assert run(["scan", *words, "-f", "json"]) == 1
    told = json.loads(capsys.readouterr().out)["beyond_limits"]
    assert told == {"values": due[0], "correctly_rounded": due[1]}


def test_the_values_that_assert_accurate_lists_are_those_that_failed():
    """The worst in ulp are in the first row, the worst relatively in the last; each limit lists its own."""
    y = Y.astype(np.float16).copy()
    tiny = np.unravel_index(np.argsort(EXACT, axis=None)[:6], EXACT.shape)  # subnormal: half a spacing is much of them
    big = np.unravel_index(np.argsort(EXACT, axis=None)[-2:], EXACT.shape)
    y[big] *= np.float16(1.004)
    with pytest.raises(AssertionError) as relative:
        assert_accurate(y, X, max_rel=0.005)
    named = re.findall(r"row (\d+), index (\d+) is (\S+), where it should be (\S+):", str(relative.value))
    errors = [abs(float(got) - float(true)) / float(true) for _, _, got, true in named]
    assert len(named) == 3 and all(e > 0.005 for e in errors) and errors == sorted(errors, reverse=True)
    assert {(int(r), int(i)) for r, i, *_ in named} <= set(zip(*(a.tolist() for a in tiny), strict=True))
    assert "correctly rounded: float16 has no nearer number; max_ulp=1 alone" in str(relative.value)
    with pytest.raises(AssertionError) as spacings:
        assert_accurate(y, X, max_ulp=1)
    named = re.findall(r"row (\d+), index (\d+) is", str(spacings.value))
    assert {(int(r), int(i)) for r, i in named} == set(zip(*(a.tolist() for a in big), strict=True))
    assert "correctly rounded:" not in str(spacings.value)


def test_a_large_check_shows_the_values_that_are_furthest_beyond_the_limit():
    made = check_objects(X, Y.astype(np.float16), Objects({"quantities": "softmax", "max_rel": 0.05}), whole=False)
    text = str(made)
    table = text.partition("the values furthest beyond the limit\n")[2].splitlines()[2:]
    shown = [tuple(map(int, line.split()[:2])) for line in table[: int((REL > 0.05).sum())]]
    assert [REL[place] for place in shown] == sorted(REL[REL > 0.05], reverse=True) and len(shown) < 10
    assert table[len(shown)].startswith("9 of 9 values beyond") and "the worst values" not in text
    made = check_objects(X, Y.astype(np.float16), Objects({"quantities": "softmax", "max_rel": 1.5}), whole=False)
    assert "the worst values" in str(made) and "beyond the limit" not in str(made)


def test_without_a_limit_it_lists_those_beyond_the_tolerance_of_a_kernel():
    """A loss of 0 that is within the tolerance is off by more spacings than one that is not."""
    x = np.array([[0.0, 60.0]] * 150 + [[1.0, 0.0]], dtype=np.float32)
    y = np.zeros(151, dtype=np.float32)
    y[-1] = 0.3133
    with pytest.raises(AssertionError, match="1 of 151 values") as failed:
        assert_accurate(y, x, quantity="cross-entropy", target=[1] * 150 + [0])
    assert "worst: row 150, the value is 0.3133" in str(failed.value) and "then:" not in str(failed.value)


def test_the_furthest_of_many_are_those_of_a_stable_sort():
    rng = np.random.default_rng(2)
    for size in (0, 1, 5, 99, 100, 101, 5000):
        for times in (rng.random(size), rng.integers(0, 4, size).astype(float), np.full(size, np.inf)):
            assert furthest(times, 100).tolist() == np.argsort(-times, kind="stable")[:100].tolist()


@pytest.mark.parametrize(
    "limits", [Tolerance(max_ulp=2.0), Tolerance(max_rel=0.1), Tolerance(max_ulp=2.0, max_rel=0.1)]
)
def test_beyond_and_by_how_much(limits):
    ulp, rel = np.array([0.0, 2.0, 3.0, np.nan, np.inf, 0.5]), np.array([0.0, 0.1, 0.05, np.nan, np.inf, 1.0])
    due = (
        (ulp > limits.max_ulp if limits.max_ulp else False)
        | (rel > limits.max_rel if limits.max_rel else False)
        | np.isnan(ulp)
    )
    assert (beyond(limits, ulp, rel) == due).all()
    assert ((excess(limits, ulp, rel) > 1) == due).all()
    verdicts = np.array(
        [Verdict.CORRECT, Verdict.OK, Verdict.INACCURATE, Verdict.LOST, Verdict.NOT_REPRESENTABLE, Verdict.CORRECT]
    )
    told = Beyond.of(limits, ulp, rel, verdicts.astype(np.uint8))
    assert told == Beyond(int(due.sum()), 1 + bool(limits.max_rel), near=False)
    assert Beyond.of(Tolerance(), ulp, rel, verdicts.astype(np.uint8)) == Beyond()
    assert told + told == Beyond(2 * told.count, 2 * told.rounded, near=False)
