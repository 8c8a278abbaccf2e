"""Sentences that sum up: verdict lines, footers, what is said of a tolerance, of formats and of a scan.

Each is read as a reader would, and its figures are found again from the values and verdicts of the document.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest

pytest.importorskip("flint")

from definition import FORMATS, Row, rounded
from judging import flat, spacing, truth
from problems import draw
from samples import hostile

import smcli
from smcli.cli.app import run
from smcli.document import report, verdicts
from smcli.document.parts import FindingBlock
from smcli.document.style import Style
from smcli.document.tolerance import sentences
from smcli.errors import SmcliError
from smcli.report.limits import Limits

INF = float("inf")
ROWS = [
    ([-104, -103], {"dtype": "float32", "quantities": "softmax"}),  # one lost, one inaccurate
    ([1000, 0], {"dtype": "float16", "target": 1, "z_loss": 1, "compute": "float32"}),  # one below, one beyond
    ([40, 0], {"target": 0}),
    ([1000, 2000, 3000], {"dtype": "float32"}),
    ([0, 0.1], {}),
    ([1e9, 1e9 + 1], {"methods": "explse"}),
    ([np.nan, 1], {}),
    ([1, 2, 3], {"against": [1.0000001, 2, 3], "quantities": "kl", "methods": "naive,fused,bregman"}),
]


def reports():
    for logits, options in ROWS:
        yield smcli.compare(logits, **options)
    rng = Random(7)
    while True:
        problem = draw(rng)
        options = {k: v for k, v in problem.keywords.items() if k != "reduction"}
        call = smcli.gradient if problem.quantity in {"gradient", "jacobian", "vjp"} else smcli.compare
        try:
            yield call(problem.logits, quantities=problem.quantities, **options)
        except SmcliError:
            continue


def some(many):
    return [r for r, _ in zip(reports(), range(many), strict=False)]


def values_of(document, method):
    """(value, ulp, verdict) of every value of a method."""
    for row in document["rows"]:
        for q in row["results"]:
            for m in q["methods"]:
                if m["method"] == method and m["available"]:
                    yield from zip(
                        map(float, flat(m["values"])), map(float, flat(m["ulp"])), flat(m["verdicts"]), strict=True
                    )


def near(said, value):
    """A figure of two digits, or of none after the point."""
    return float(said) == pytest.approx(value, rel=0.051) or abs(float(said) - value) <= 0.5 <= value


def test_verdict_lines_count_what_is_in_the_document():
    seen = Counter()
    for made in some(150):
        document = made.to_dict()
        for name, said in verdicts.verdicts(made).lines:
            rest, there = said.text, list(values_of(document, name.text))
            counts = Counter(v for _, _, v in there)
            for label in ("undefined", "lost", "inaccurate"):
                told = re.search(rf"(?:^|; ){label} (\d+) of (\d+)([^;]*)", rest)
                assert (told is not None) == bool(counts[label]), rest
                if told:
                    assert int(told[1]) == counts[label] <= int(told[2]) <= len(there), rest
                    seen[label] += 1
                    worst = re.search(r"worst (\S+) ulp", told[3])
                    if worst:
                        assert near(worst[1], max(u for _, u, v in there if v == label)), rest
                        seen["worst"] += 1
                    fired = {f.code for f in made.findings if f.method in {name.text, None}}
                    assert set(re.findall(r"SM\d+", told[3])) <= fired
            severe = {f.code for f in made.findings if f.method == name.text and f.severity != "note"}
            beside = re.search(r", but .*\(([^)]*)\)$", rest)
            bad = any(counts[label] for label in ("undefined", "lost", "inaccurate"))
            assert (set(beside[1].split(", ")) if beside else set()) == (set() if bad or not there else severe), rest
            seen["beside"] += beside is not None
            for label in ("correct", "ok"):
                told = re.search(rf"(\d+) {label}\b", rest)
                assert (int(told[1]) if told else 0) == counts[label], rest
            told = re.search(rf"(\d+) (below|beyond|below or beyond) {made.dtype}", rest)
            assert (int(told[1]) if told else 0) == counts["not-representable"], rest
            if told:
                kinds = {"below" if y == 0 else "beyond" for y, _, v in there if v == "not-representable"}
                assert set(told[2].split(" or ")) == kinds, rest
                seen[told[2]] += 1
    assert (
        min(
            seen[k]
            for k in ("undefined", "lost", "inaccurate", "worst", "below", "beyond", "below or beyond", "beside")
        )
        >= 1
    )


def test_footers_count_the_paragraphs_that_are_shown():
    seen = Counter()
    for made in some(80):
        for style in (Style(verbose=True), Style()):
            document = report.document(made, style)
            shown = Counter(str(p.severity) for p in document.parts if isinstance(p, FindingBlock))
            text = document.closing.text.partition(";")[0]
            counted, _, quiet = text.rpartition("note") if "(-v)" in text else (text, "", "")
            bad = any(v in {"lost", "inaccurate"} for s in made.scores() for v in s.counts)
            if not made.findings:
                assert text == ("no finding says why" if bad else "nothing to report")
            for severity in ("error", "warning", "note"):
                told = re.search(rf"(\d+) {severity}", counted)
                assert (int(told[1]) if told else 0) == shown[severity], text
                seen[severity] += shown[severity] > 1
            assert set(re.findall(r"SM\d+", quiet)) <= report.QUIET
            assert style.verbose or {f.code for f in made.findings} & report.QUIET == set(re.findall(r"SM\d+", quiet))
    assert len(seen) == 3 and min(seen.values()) > 0


def batches(many):
    """Reports of several rows, by several methods and quantities."""
    rng = np.random.default_rng(11)
    for k in range(many):
        rows, size = int(rng.integers(1, 6)), int(rng.choice([2, 3, 5]))
        x = np.stack([hostile(rng, size) for _ in range(rows)])
        options = {
            "dtype": str(rng.choice(["float64", "float32", "float16"])),
            "target": rng.integers(size, size=rows).tolist(),
        }
        yield smcli.gradient(x, methods="all", **options) if k % 4 == 3 else smcli.compare(x, methods="all", **options)


def parted(about):
    """The methods and quantities that are named, each as (method, quantity)."""
    each = [one.rpartition(": ") for one in about.split("; ") if one]
    return [(method or None, quantity or None) for method, _, some in each for quantity in some.split(", ")]


def test_a_paragraph_holds_of_every_method_and_quantity_that_it_names():
    """What it says of the row and methods of its example, what is to be done of all, as the first row of each has it."""
    merged = 0
    for made in batches(40):
        of = {row.row: row.findings for row in made.rows}
        told, shown = {}, report.document(made, Style(verbose=True)).parts
        for p in (p for p in shown if isinstance(p, FindingBlock)):
            numbers = [int(n) for n in re.findall(r"\d+", p.where.partition(";")[0])] or [made.rows[0].row]
            first = int(re.search(r"here row (\d+)", p.where)[1]) if "here" in p.where else numbers[0]
            named = parted(p.about) or [(None, None)]
            merged += len(named) > 1
            example = parted(p.where.partition("here row ")[2].partition(", ")[2]) or named
            for who in example:
                assert p.message in {f.message for f in of[first] if (f.code, f.method, f.quantity) == (p.code, *who)}
            for who in named:
                own = next(f for row in of for f in of[row] if (f.code, f.method, f.quantity) == (p.code, *who))
                texts = [
                    r.text for r in p.remedies
                    if not r.about or who in parted(r.about) or set(r.about.split(", ")) & set(who)
                ]  # fmt: skip
                assert own.remedy in texts, (p.about, p.remedies)
                told.setdefault((p.code, *who), set()).update(numbers)
        for row, found in of.items():
            for f in found:
                assert row in told[f.code, f.method, f.quantity], "what was found is told of its method and row"
    assert merged > 10


def test_a_footer_of_lost_values_that_nothing_explains():
    """It takes values that no rule asks about, which are made here by leaving out what the rules found."""
    made = smcli.check([[1, 2]], [[np.nan, np.nan]])
    silent = replace(made, blocks=tuple(replace(b, findings=()) for b in made.blocks))
    (lost,) = silent.scores()
    assert set(lost.counts) == {"lost"}
    assert report.closing(silent, Style()).text.startswith("no finding says why")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_what_is_said_of_a_tolerance_is_so(dtype):
    rng, seen = Random(3), Counter()
    for _ in range(60):
        n = rng.choice((2, 3, 8, 40))
        x = [rounded(rng.gauss(0, rng.choice((1, 5))), dtype) for _ in range(n)]
        exact = [Fraction(str(v.mid().str(50, radius=False))) for v in Row(x).values("softmax", 200)]
        off = rng.choice((0, 0, 1e-9, 1e-4, 0.1))
        y = [rounded(t * Fraction(1 + off * rng.uniform(-1, 1)), dtype) for t in exact]
        rtol = rng.choice((1e-2, 1e-3, 1e-5, 1e-7, 1e-8, 1e-12, 3e-17))
        atol = rng.choice((0.0, 0.0, 1e-3, 1.0))
        made = smcli.check([x], [y], dtype=dtype, rtol=rtol, atol=atol)
        said = list(sentences(made.tolerance))
        allowed = [Fraction(atol) + Fraction(rtol) * t for t in exact]
        passes = all(abs(Fraction(a) - t) <= room for a, t, room in zip(y, exact, allowed, strict=True))
        zeros = all(t <= room for t, room in zip(exact, allowed, strict=True))
        normal = Fraction(2) ** FORMATS[dtype][1]
        below = [room < spacing(t, dtype) for t, room in zip(exact, allowed, strict=True) if t >= normal]
        yours = [s for s in said if s.startswith("your ")]
        failures = sum(abs(Fraction(a) - t) > room for a, t, room in zip(y, exact, allowed, strict=True))
        verb = "does" if failures == 1 else "do"
        told = f"{failures} of {n} values {verb} not pass: " in yours[0]
        assert ("the values pass" in yours[0], told) == (passes, not passes), yours
        assert any("leaves the exit code as it is" in s for s in yours) == (not passes)
        assert any("all zeros would pass" in s for s in yours) == zeros
        narrow, tightest = any(below), made.tolerance["models"][0]
        assert made.tolerance["yours"]["below_ulp"] == narrow
        narrow &= rtol < tightest["rtol"] or atol < tightest["atol"]
        assert any("less than one spacing" in s for s in yours) == narrow
        seen.update(passes=passes, zeros=zeros, below=narrow)
        look = [s for s in said if s.startswith("the values look like")]
        models = {m["arithmetic"]: m for m in made.tolerance["models"]}
        for m in models.values():
            room = [Fraction(m["atol"]) + Fraction(m["rtol"]) * t for t in exact]
            within = all(abs(Fraction(a) - t) <= r for a, t, r in zip(y, exact, room, strict=True))
            assert m["passes"] == within
            assert m["failures"] == sum(abs(Fraction(a) - t) > r for a, t, r in zip(y, exact, room, strict=True))
        assert bool(look) == any(m["passes"] and name for name, m in models.items())
        for s in look:
            name = re.search(r"kernel with (?:everything )?(.*): all are", s)[1]
            assert models[name]["passes"]
        assert (not look) == any(s.startswith("the values are beyond the bounds") for s in said)
    assert min(seen["passes"], seen["zeros"], seen["below"]) > 2


def test_a_value_next_to_the_correctly_rounded_one_may_be_refused_below_one_spacing():
    x, y = [[0.0, 0.0]], [[0.5, np.nextafter(0.5, 1)]]  # half a spacing would do for correctly rounded values
    tolerance = smcli.check(x, y, rtol=1.5e-16).tolerance
    assert tolerance["yours"]["below_ulp"] and not tolerance["yours"]["passes"]
    assert smcli.check(x, [[0.5, 0.5]], rtol=1.5e-16).tolerance["yours"]["passes"]
    assert not any("correctly rounded values" in s for s in sentences(tolerance))


@pytest.mark.parametrize("seed", range(3))
def test_a_table_of_formats_is_what_each_of_them_says(seed):
    rng = Random(seed)
    x = [rng.gauss(0, rng.choice((1, 30, 400))) for _ in range(5)]
    made = smcli.compare(x, dtype="all", quantities="softmax,log-softmax")
    lines = str(made).splitlines()
    by_name = {r.brief: r for r in made.reports}
    checked = 0
    for line in lines:
        words = re.split(r"\s{2,}", line.strip())
        if len(words) >= 5 and words[0] in by_name and words[1] in {"naive", "shifted", "fused"}:
            r = by_name[words[0]]
            scores = [s for s in r.scores() if s.method == words[1] and _same(words[2], s.worst_ulp)]
            assert any(
                _relative(words[3], s) and all(f"{n} {v}" in line for v, n in s.counts.items()) for s in scores
            ), line
            checked += 1
    assert checked >= 20


def _same(said, value):
    return (said == "nan" and math.isnan(value)) or (said == "inf" and value == INF) or near(said, value)


def _relative(said, score):
    if said == "undefined":
        return "undefined" in score.counts
    if said == "underflow":
        return score.worst_rel == 1 and "not-representable" in score.counts and "inaccurate" not in score.counts
    return "lost" in score.counts if said == "lost" else _same(said, score.worst_rel)


def test_a_scan_counts_what_a_comparison_shows(tmp_path, capsys):
    x = np.random.default_rng(4).normal(0, 60, (200, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    assert run(["scan", str(tmp_path / "x.npy"), "-m", "naive,shifted", "-q", "softmax"]) == 0
    text = capsys.readouterr().out
    made = smcli.compare(x, methods="naive,shifted", quantities="softmax")
    head = next(re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.startswith("method "))
    for score in made.scores():
        cells = next(
            re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.startswith(f"{score.method} ")
        )
        told = dict(zip(head, cells, strict=True))
        assert {v: int(told[v]) for v in score.counts} == score.counts
        assert _same(told["worst ulp"], score.worst_ulp) and (int(told["row"]), int(told["index"])) == score.worst_at
    for c in made.digest():
        cells = next(re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.startswith(c.code))
        assert cells[:4] == [c.code, c.name, c.severity, str(c.rows)] and int(cells[-1]) == c.first_rows[0]
    ending = text.strip().splitlines()[-1]
    for severity in ("error", "warning", "note"):
        told = re.search(rf"(\d+) {severity}", ending)
        assert (int(told[1]) if told else 0) == sum(c.severity == severity for c in made.digest())
    within = re.findall(r"^0\.5 +(\d+)[ █]+(\d+)", text, re.MULTILINE)
    assert within == [
        tuple(str(sum(u <= 0.5 for _, u, _ in values_of(made.to_dict(), m))) for m in ("naive", "shifted"))
    ]


def test_documents_have_the_schemas_of_the_contract():
    assert Limits(()).to_dict()["schema"] == "smcli.limits/1"
    assert (
        smcli.compare([1, 2]).to_dict()["schema"]
        == smcli.compare([1, 2], dtype="all").to_dict()["schema"]
        == "smcli.report/1"
    )


def test_truths_of_this_file_are_read_exactly():
    assert truth("1e-3") == Fraction(1, 1000)
