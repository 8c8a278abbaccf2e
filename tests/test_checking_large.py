"""Large checks: the same verdicts, errors and findings as of every value, in a line a row; and what is told of them."""

import json
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from scipy import special

import smcli
from smcli import checking, render
from smcli.api.objects import Objects
from smcli.checking import large, pair, screen
from smcli.checking.fit import Outputs
from smcli.checking.glance import Glance
from smcli.checking.summary import Summary
from smcli.checking.sums import KEPT, WORST, Sums
from smcli.cli.app import run
from smcli.read import from_object
from smcli.request import Request

RNG = np.random.default_rng(17)
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float64": np.float64}
SPREAD = {"narrow": 0.3, "usual": 6.0, "wide": 60.0}


def both(logits, outputs, **keywords):
    """The check of every value, and the one that is summed up."""
    objects = Objects({"quantities": "softmax", **keywords})
    return checking.check_objects(logits, outputs, objects, whole=True), checking.check_objects(
        logits, outputs, objects, whole=False
    )


def same(whole, summed):
    assert isinstance(summed, Summary)
    (a,), (b,) = whole.scores(), summed.scores()
    assert (a.counts, a.worst_at, a.codes) == (b.counts, b.worst_at, b.codes)
    assert b.worst_ulp == pytest.approx(a.worst_ulp, rel=1e-6, nan_ok=True)
    found = [(c.code, c.severity, c.rows, c.first_rows, c.methods, c.quantities) for c in whole.digest()]
    assert [(c.code, c.severity, c.rows, c.first_rows, c.methods, c.quantities) for c in summed.digest()] == found
    assert whole.to_dict()["tolerance"] == summed.to_dict()["tolerance"]
    rows, document = whole.to_dict()["rows"], summed.to_dict()
    assert len(rows) == len(document["rows"])
    every = []
    for full, brief in zip(rows, document["rows"], strict=True):
        (q,), (s,) = full["results"], brief["results"]
        (method,) = q["methods"]
        verdicts = method["verdicts"]
        assert (brief["row"], brief["target"]) == (full["row"], full["target"])
        assert s["methods"][0]["verdicts"] == {v: verdicts.count(v) for v in set(verdicts)}
        assert s["methods"][0]["worst"]["at"] == method["worst"]["at"]
        for v in s["worst_values"]:
            of = method["values"][v["at"]], q["exact"][v["at"]], verdicts[v["at"]]
            assert (v["value"], v["exact"], v["verdict"]) == of
        every += method["ulp"]
    most = [float(v["ulp"]) for v in document["summary"]["worst_values"]]
    ranked = sorted(np.nan_to_num(np.array(every, float), nan=np.inf, posinf=np.inf).tolist(), reverse=True)
    assert np.nan_to_num(most, nan=np.inf, posinf=np.inf) == pytest.approx(ranked[:WORST], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("classes", [5, 2500])
@pytest.mark.parametrize("spread", SPREAD)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("quantity", ["softmax", "log-softmax"])
def test_summed_up_is_what_every_value_gives(quantity, dtype, spread, classes):
    x = RNG.normal(0, SPREAD[spread], (6, classes)).astype(DTYPES[dtype])
    f = special.softmax if quantity == "softmax" else special.log_softmax
    p = f(x.astype(float), axis=1)
    e = f(x.astype(np.float32), axis=1)
    bad = p.astype(x.dtype)
    bad[1, 2], bad[2, 3], bad[3, 1], bad[4, 0] = np.nan, bad[2, 3] * x.dtype.type(1.25), 0, -bad[4, 0]
    for outputs in (p.astype(x.dtype), e.astype(x.dtype), (p * 1.01).astype(x.dtype), bad):
        same(*both(x, outputs, quantities=quantity, rtol=1e-3, atol=1e-9))


@pytest.mark.parametrize("quantity", ["logsumexp", "cross-entropy", "gradient", "jacobian"])
def test_other_quantities(quantity):
    x, t = RNG.normal(0, 3, (5, 6)), [0, 1, 2, 3, 4]
    p, log_p = special.softmax(x, axis=1), special.log_softmax(x, axis=1)
    values = {
        "logsumexp": special.logsumexp(x, axis=1), "cross-entropy": -log_p[range(5), t], "gradient": p - np.eye(6)[t],
        "jacobian": np.stack([np.diag(row) - np.outer(row, row) for row in p]),
    }[quantity]  # fmt: skip
    more = {"target": t} if quantity in {"cross-entropy", "gradient"} else {}
    wrong = values.copy()
    wrong.flat[3] *= 1.5
    for outputs in (values, wrong):
        whole, summed = both(x, outputs, quantities=quantity, **more)
        (a,), (b,) = whole.scores(), summed.scores()
        assert (a.counts, a.worst_at, a.codes) == (b.counts, b.worst_at, b.codes)


def test_odd_logits_go_through_all_the_rules():
    x = RNG.normal(0, 5, (8, 2500)).astype(np.float32)
    x[1, 5], x[2, 6], x[3, 7] = np.nan, np.inf, -np.inf
    x[4] = np.abs(x[4]) / 100
    x[5] = special.softmax(x[5])
    x[6] = -np.inf
    x[7, 9] = 3e38
    with np.errstate(all="ignore"):
        p = special.softmax(x.astype(float), axis=1).astype(np.float32)
    same(*both(x, p))
    same(*both(x.astype(float), p))  # logits that are rounded


def test_ragged_rows_and_labels():
    rows = [RNG.normal(0, 2, n).tolist() for n in (3, 5, 3, 7)]
    same(*both(rows, [special.softmax(r).tolist() for r in rows]))


def test_values_on_the_other_side_of_a_power_of_2():
    """There the integers count spacings of two sizes; and a value of the other sign has the integers of a large error."""
    x = np.zeros((9, 4096), np.float32)  # every truth is 2^-12
    x[:, 0] = np.linspace(-3e-4, 3e-4, 9)  # a little more or less
    p = special.softmax(x.astype(float), axis=1)
    for steps in (-70, -41, -3, -1, 0, 1, 2, 3, 20, 41, 70):
        y = p.astype(np.float32)
        y[:, 1::3] = (y[:, 1::3].view(np.int32) + steps).view(np.float32)
        y[:, 2::3] = (y[:, 2::3].view(np.int32) - steps).view(np.float32)
        same(*both(x, y))
    y = p.astype(np.float32)
    y[4, 100] = -y[4, 100]
    same(*both(x, y))


def test_rows_beyond_doubt_are_not_judged_by_the_rules(monkeypatch):
    judged = []
    judge = large.analyse.judge
    monkeypatch.setattr(
        large.analyse, "judge", lambda problem, *more: judged.append(len(problem.logits)) or judge(problem, *more)
    )
    x = RNG.normal(0, 5, (40, 3000)).astype(np.float32)
    p = special.softmax(x, axis=1)
    smcli.check(x, p)
    assert not judged
    p[3, 3] = 0
    smcli.check(x, p)
    assert judged == [1]


@pytest.mark.parametrize("name", render.names())
def test_every_output_shows_a_summary(name):
    x = RNG.normal(0, 5, (40, 3000)).astype(np.float32)
    p = special.softmax(x, axis=1)
    p[3, 3] = np.nan
    p[4, 4] = 0
    assert render.text(smcli.check(x, p), name)


def test_what_a_user_reads_and_a_script():
    x = RNG.normal(0, 5, (40, 3000)).astype(np.float32)
    p = special.softmax(x, axis=1)
    p[3, 3] = 0
    report = smcli.check(x, p, rtol=1e-3)
    text = str(report)
    assert "lost 1 of 120000" in text and "SM302" in text and "the worst values" in text and "your rtol=0.001" in text
    assert report._repr_html_().startswith("<iframe") and report.worst_ulp() == report.worst_ulp("output", "softmax")
    with pytest.raises(smcli.UsageError):
        report.worst_ulp("naive")
    document = json.loads(json.dumps(report.to_dict()))
    assert document["schema"] == "smcli.report/1" and document["command"] == "check" and len(document["rows"]) == 40
    summary = document["summary"]
    assert summary["values"] == 120000 and summary["verdicts"]["lost"] == 1 and summary["findings"] == {"SM302": 1}
    assert summary["worst_values"][0] | {"exact": "", "ulp": 0} == {
        "row": 3, "at": 3, "value": 0, "exact": "", "ulp": 0, "rel": 1, "verdict": "lost",
    }  # fmt: skip
    assert document["rows"][3]["findings"][0]["code"] == "SM302" and not document["rows"][4]["findings"]
    assert [f.code for f in report.findings] == ["SM302"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = RNG.normal(0, 5, (60, 2500)).astype(np.float32)
    p = special.softmax(x, axis=1)
    np.save("x.npy", x)
    np.save("p.npy", p)
    p[41, 3] = 0
    np.save("bad.npy", p)
    return tmp_path


def test_on_the_command_line(files, capsys):
    assert run(["check", "x.npy", "p.npy", "-f", "json"]) == 0
    assert "worst_values" in json.loads(capsys.readouterr().out)["summary"]
    assert run(["check", "x.npy", "p.npy", "-f", "json", "--all"]) == 0
    assert "values" in json.loads(capsys.readouterr().out)["rows"][0]["results"][0]["methods"][0]
    assert run(["check", "x.npy", "bad.npy", "-f", "github"]) == 1
    assert "::warning title=SM302 underflow-lost::row 41" in capsys.readouterr().out
    assert run(["check", "x.npy", "bad.npy", "--rows", "0:41"]) == 0
    assert run(["check", "x.npy", "p.npy", "--max-ulp", "0.1"]) == 1
    capsys.readouterr()
    assert run(["check", "x.npy", "bad.npy", "--rows", "10:", "-f", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["summary"]["worst_values"][0]["row"] == 41


@pytest.mark.skipif(not hasattr(pair.os, "fork"), reason="this system cannot fork")
def test_in_two_processes_it_is_the_same(files, monkeypatch, capsys):
    children = []
    for name in ("p.npy", "bad.npy"):
        run(["check", "x.npy", name, "-f", "json"])
        alone = capsys.readouterr().out
        with monkeypatch.context() as m:
            children.clear()
            m.setattr(large, "WORTHWHILE", 1)
            m.setattr(large, "can_fork", lambda: True)
            m.setattr(large, "both", lambda *work: children.append(work) or pair.both(*work))
            run(["check", "x.npy", name, "-f", "json"])
            assert capsys.readouterr().out == alone and len(children) == 1
            smcli.check(np.load("x.npy"), np.load(name))
            assert len(children) == 1  # a process that is a user's is not copied


@pytest.mark.skipif(not hasattr(pair.os, "fork"), reason="this system cannot fork")
def test_two_pieces_of_work():
    assert pair.both(lambda: 1, lambda: 2) == (1, 2)
    with pytest.raises(smcli.InputError, match="later"):
        pair.both(lambda: 1, lambda: (_ for _ in ()).throw(smcli.InputError("later")))
    with pytest.raises(smcli.InputError, match="first"):
        pair.both(
            lambda: (_ for _ in ()).throw(smcli.InputError("first")),
            lambda: (_ for _ in ()).throw(smcli.InputError("later")),
        )
    own = pair.os.getpid()
    assert pair.both(lambda: 1, lambda: pair.os._exit(9) if pair.os.getpid() != own else 2) == (1, 2)  # it died


def test_memory_is_that_of_a_line_a_row():
    x = RNG.normal(0, 5, (300, 4000)).astype(np.float32)
    p = special.softmax(x, axis=1)
    smcli.check(x[:30], p[:30])
    peaks = []
    for rows in (30, 300):
        tracemalloc.start()
        smcli.check(x[:rows], p[:rows])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 300 * 300


def test_of_too_many_rows_only_those_with_something_wrong_have_a_line(monkeypatch):
    monkeypatch.setattr("smcli.checking.sums.KEPT", 100)
    x = RNG.normal(0, 1, (60000, 2)).astype(np.float32)
    p = special.softmax(x, axis=1)
    p[50000:50003, 1] = np.nan
    document = smcli.check(x, p).to_dict()
    rows = [r["row"] for r in document["rows"]]
    assert set(range(50000, 50003)) <= set(rows) and document["summary"]["rows_left_out"] == 60000 - len(rows) > 0
    assert document["summary"]["verdicts"]["lost"] == 3 and sum(document["summary"]["verdicts"].values()) == 120000
    assert KEPT == 10**5 and screen.LONG > 2


def glanced(x, y):
    """The rows that a glance leaves, and what it keeps."""
    settings = checking.settle(Request.of("check", Objects({"quantities": "softmax"})), from_object(x), from_object(y))
    sums = Sums()
    look = Glance.of(from_object(x), Outputs(from_object(y)), settings, sums)
    return [] if look is None else np.concatenate([[], *look.left()]).astype(int).tolist(), sums, look


@pytest.mark.parametrize("classes", [3, 10, 127, 129, 1000, 16383, 16384, 16385, 40000])
def test_a_glance_says_what_the_rules_say(classes, monkeypatch):
    """With two classes errors may be equal, so that the order of the worst hangs on the last digit."""
    x = np.random.default_rng(classes).normal(0, 5, (max(3, 4000 // classes), classes)).astype(np.float32)
    y = special.softmax(x, axis=1)
    left, sums, _ = glanced(x, y)
    assert sums.rows >= 0.9 * len(x)
    assert sums.rows + len(left) == len(x)
    _, with_glance = both(x, y)
    monkeypatch.setattr(large.Glance, "of", lambda *_: None)
    _, without = both(x, y)
    same_documents(with_glance.to_dict(), without.to_dict())


def same_documents(a, b):
    """The same but for the last digits of errors, as the truth is one within its bound."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same_documents(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same_documents(x, y)
    else:
        assert a == (pytest.approx(b, rel=1e-6) if isinstance(b, float) else b)


def test_what_a_glance_leaves_to_the_rules():
    x = RNG.normal(0, 5, (14, 3000)).astype(np.float32)
    x[0, 5], x[1, 6], x[2, 7] = np.nan, np.inf, -np.inf
    x[3], x[4] = np.abs(x[3]) / 100, special.softmax(x[4])  # such may be probabilities
    x[5, 9], x[6, 9] = 301, -90  # not moderate; a probability that is subnormal
    with np.errstate(all="ignore"):
        y = special.softmax(x.astype(float), axis=1).astype(np.float32)
    y[7, 8], y[8, 8], y[9, 8], y[10, 8] = 0, np.nan, np.inf, -y[10, 8]
    y[11, 8] *= 1.01
    y[12] *= np.float32(1 + 6e-7)  # each within its limit, not so their sum
    left, sums, _ = glanced(x, y)
    assert left == list(range(13))
    assert (sums.rows, sums.lines().place.tolist()) == (1, [13])


def test_a_value_at_half_a_spacing_is_left_to_the_rules():
    """0.5 spacings from its truth, within the bound, the glance cannot tell whether it is the truth rounded."""
    x = np.full((4096, 8), -3, np.float32)
    x[:, 0] = np.linspace(-1, 1, 4096)
    y = special.softmax(x.astype(float), axis=1)
    r = y.astype(np.float32)
    off = np.abs(np.abs((r - y) / np.spacing(r)) - 0.5)
    near = np.flatnonzero((off < 1e-3).any(axis=1))
    assert near.size
    left, _, look = glanced(x, r)
    assert not left
    assert look.unsure < 1e-6
    look.unsure = 1e-3
    assert np.concatenate([*look.left()]).tolist() == near.tolist()


def test_a_glance_is_for_softmax_of_plain_arrays():
    x = RNG.normal(0, 5, (4, 30)).astype(np.float32)
    assert glanced(x, special.softmax(x, axis=1))[2] is not None
    assert glanced(x, special.softmax(x, axis=1).astype(float))[2] is None
    assert glanced(x.astype(np.float16), special.softmax(x, axis=1))[2] is None
    assert glanced([r.tolist() for r in x], special.softmax(x, axis=1))[2] is None
