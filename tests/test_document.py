"""Documents: numbers shortened honestly, the answer first, what is shown of rows and batches, and what is left out."""

from __future__ import annotations

import math
import random
from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smcli
from smcli import document, render
from smcli.document import comparison, report, spelling, values, verdicts
from smcli.document.parts import Cell, FindingBlock, Heading, Paragraph, Table, Values, Verdicts
from smcli.document.style import Style
from smcli.model import Finding, Severity, Verdict


@pytest.mark.parametrize(
    ("number", "digits", "short"),
    [
        ("0.5", 6, "0.5"), ("4000", 6, "4000"), ("6.6385371046556735e-1738", 6, "6.63854e-1738"),
        ("-4.3854665676690274e-8", 9, "-4.38546657e-8"), ("0.09003057317038046", 6, "0.0900306"),
        ("0.50000000000001", 6, "0.500000"), ("9.99999999", 3, "10.0"), ("99999999", 3, "1.00e8"),
        ("123456789", 6, "1.23457e8"), ("0.0000123456789", 6, "0.0000123457"), ("nan", 6, "nan"), ("-inf", 6, "-inf"),
        ("1.2345675", 7, "1.2345675"), ("2.5", 1, "2.5"), ("2.51", 1, "3"), ("0", 6, "0"),
        ("1.5e-1234567890", 6, "10^-1.23457e9"), ("-3.25e-780728" + "1" * 302, 17, "-10^-7.80728e307"),
    ],
)  # fmt: skip
def test_numbers_are_shortened_honestly(number, digits, short):
    assert spelling.shorten(number, digits) == short


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 17))
def test_what_is_shortened_is_the_nearest_of_so_many_digits(x, digits):
    text = spelling.number(x)
    short = spelling.shorten(text, digits)
    exact, told = Decimal(text), Decimal(short)
    if told != exact:
        assert told == exact.normalize(Context(prec=digits, rounding=ROUND_HALF_UP)) or abs(told - exact) * 2 < Decimal(
            (0, (1,), exact.adjusted() - digits + 1)
        )
    assert len(short) <= max(len(text), digits + 8)


def test_rounding_a_rounded_text_never_tells_a_wrong_digit():
    """A truth that was rounded to 17 digits and lies between two shorter ones keeps the digit that says so."""
    rng = random.Random(0)
    for _ in range(300):
        digits = rng.randrange(2, 12)
        head = str(rng.randrange(10 ** (digits - 1), 10**digits))
        for tail in (rng.randrange(-(10**6), 0), rng.randrange(1, 10**6)):  # just beside the middle, told as the middle
            exact = Decimal(f"{head}5") + Decimal(tail) / Decimal(10**25)
            text = str(exact.normalize(Context(prec=17)))
            told = Decimal(spelling.shorten(text, digits))
            assert abs(told - exact) <= Decimal(10) / 2 and told == Decimal(f"{head}5")


@pytest.mark.parametrize(
    ("x", "floor", "said"),
    [(0.0, 1e-8, "0"), (3e-9, 1e-8, "< 1e-8"), (3e-9, 6.1e-8, "< 7e-8"), (2e-7, 1e-8, "2e-7"), (0.01, 0.5, "< 0.5"),
     (math.nan, 1e-8, "nan"), (math.inf, 1e-8, "inf"), (1e-9, 9.5e-5, "< 0.0001"), (1e-9, 0.0242, "< 0.025")],
)  # fmt: skip
def test_an_error_below_the_bound_of_the_truth_says_so(x, floor, said):
    assert spelling.error_above(x, floor) == said


@pytest.mark.parametrize(
    ("x", "said"),
    [(8.04, "8.1"), (8.0, "8"), (9.93, "10"), (9.951, "10"), (10.2, "11"), (99998.2, "99999"), (99999.2, "1e5"),
     (0.0951, "0.096"), (100001, "1.1e5"), (2e-7, "2e-7"), (0.0, "0"), (math.inf, "inf")],
)  # fmt: skip
def test_a_bound_is_rounded_upwards(x, said):
    assert spelling.bound(x) == said


def test_a_table_has_as_many_digits_as_there_is_room_for():
    cells = (Cell("1", right=True), Cell("0.12345678901234567", least=6))
    table = Table("", (Cell("i"), Cell("value")), (cells,), (17, 6))
    for width in range(11, 30):
        fitted = table.fitted(width)
        assert fitted.width <= width and fitted.cut is (width < 22)
        assert len(fitted.rows[0][1].text) == min(width - 3, 19)
    assert table.fitted(10) is None


def relative(made, quantity, method, i):
    q = next(q for q in made.rows[0].results if q.quantity == quantity)
    return values.relative(q, next(m for m in q.methods if m.method == method), i)


def test_what_stands_where_no_number_tells():
    assert relative(smcli.compare([1000, 2000]), "softmax", "naive", 0) == "lost"
    assert relative(smcli.compare([1000, 2000]), "softmax", "shifted", 0) == "underflow"
    assert relative(smcli.compare([np.nan, 1]), "softmax", "naive", 0) == "undefined"
    assert (
        relative(smcli.compare([66000, 1], dtype="bfloat16", quantities="logsumexp"), "logsumexp", "shifted", 0) == "0"
    )
    assert (
        relative(smcli.compare([16.942385, 0], dtype="float32", quantities="log-softmax"), "log-softmax", "fused", 0)
        == "lost"
    )


def answer(made):
    return {name.text: said.text for name, said in verdicts.verdicts(made).lines}


def test_the_answer_counts_and_names_the_cause():
    assert answer(smcli.compare([1000, 2000, 3000, 4000, 5000])) == {
        "naive": "lost 10 of 10: exp overflows (SM201)",
        "shifted": "lost 4 of 5 cross-entropy: log of 0 (SM303); 1 correct, 5 below float64",
        "fused": "4 correct, 1 below float64",
    }
    assert (
        answer(smcli.compare([1000, 2000, 3000, 4000, 5000], quantities="softmax"))["naive"]
        == "lost 5 of 5: exp overflows (SM201)"
    )
    assert answer(smcli.compare([np.nan, 1]))["fused"] == "undefined 2 of 2: nan logit (SM101)"
    said = answer(smcli.compare([88.0, 0.5], quantities="softmax", methods="shifted", max_ulp=0.0))["shifted"]
    assert said.startswith("inaccurate") or "correct" in said


def test_every_verdict_of_every_value_is_counted():
    made = smcli.compare(np.random.default_rng(0).normal(0, 200, (40, 6)), target=2)
    for score in made.scores():
        rows = [
            m
            for row in made.rows
            for q in row.results
            if q.quantity == score.quantity
            for m in q.methods
            if m.method == score.method
        ]
        assert sum(score.counts.values()) == sum(m.values.size for m in rows)
        assert score.counts.get("lost", 0) == sum(int((m.verdicts == Verdict.LOST).sum()) for m in rows)


def kinds(made, style=None):
    return [type(part) for part in document.of(made, style or Style()).parts]


def test_the_answer_comes_first():
    assert kinds(smcli.compare([1000, 2000]))[0] is Verdicts
    assert Verdicts not in kinds(smcli.evaluate([1, 2]))


def test_healthy_input_is_short_and_all_shows_all():
    for made in (smcli.compare(np.linspace(-3, 3, 100)), smcli.compare(np.ones((30, 3)))):
        found = kinds(made)
        assert Values not in found and found.count(Table) == 1
        assert Values in kinds(made, Style(every_class=True))
    assert kinds(smcli.compare([1, 2, 3])).count(Values) == 2


def test_the_worst_value_of_each_method_is_shown():
    x = np.random.default_rng(3).normal(0, 4, (50, 9))
    made = smcli.compare(x, quantities="softmax", methods="shifted")
    (table,) = [p for p in document.of(made, Style(whole=True)).parts if isinstance(p, Table)]
    ulp = np.array([row.results[0].methods[0].ulp for row in made.rows])
    row, i = np.unravel_index(ulp.argmax(), ulp.shape)
    cells = dict(zip([c.text for c in table.head], [c.text for c in table.rows[0]], strict=True))
    assert (cells["row"], cells["at"]) == (str(row), str(i)) and cells["ulp"] == spelling.error(ulp.max())
    assert cells["exact"] == smcli.exact(x[row])[i]


def test_of_a_long_row_errors_are_shown_first_then_the_largest():
    x = np.zeros(300)
    x[[7, 150]] = 800, 790
    made = smcli.compare(x, quantities="softmax", methods="naive", dtype="float64")
    q = made.rows[0].results[0]
    bad = np.flatnonzero(values.wrong(q)).tolist()
    assert bad == [7, 150]
    shown = values.chosen(q, made.rows[0], Style(top=5))
    assert set(bad) <= set(shown) and len(shown) == 5 and shown == sorted(shown)


def test_a_batch_is_summed_up_and_its_worst_rows_shown():
    x = np.random.default_rng(0).normal(0, 3, (500, 8))
    x[[321, 400, 401, 402, 403], 2] = 1e6
    made = smcli.compare(x, quantities="softmax")
    parts = list(document.of(made, Style()).parts)
    table = next(p for p in parts if isinstance(p, Table))
    assert [c.text for c in table.rows[0]] == ["SM201 exp-overflow", "error", "5", "321, 400, 401, 402, 403"]
    assert [p.text.split(" ·")[0] for p in parts if isinstance(p, Heading)] == ["row 321", "row 400", "row 401"]
    (found,) = [p for p in parts if isinstance(p, FindingBlock)]
    assert found.where == "rows 321, 400, 401, 402, 403; here row 321" and "3 of 500 rows" in parts[-1].text
    assert kinds(made, Style(summary=True)) == [Verdicts, Table]


def test_a_row_that_was_chosen_is_found_by_its_number():
    made = smcli.compare([[1, 2], [3, 4], [5, 6]])
    assert [report.by_number(made.rows, k).row for k in (2, 0, 1)] == [2, 0, 1]


def finding(**changes):
    return Finding(**{"code": "SM401", "name": "inaccurate", "severity": Severity.WARNING, "quantity": "softmax", "method": "naive",
                      "at": (0,), "count": 1, "step": None, "message": "m", "remedy": "r"} | changes)  # fmt: skip


def test_findings_that_say_the_same_are_one():
    found = [finding(), finding(method="shifted"), finding(quantity="logsumexp"), finding(message="other")]
    assert [len(some) for some in report.grouped(found)] == [3, 1]


def test_one_finding_says_what_to_do_for_each_that_it_is_about():
    made = smcli.compare([1000, 2000], methods="naive", target=0)
    (block,) = [p for p in document.of(made, Style()).parts if isinstance(p, FindingBlock)]
    assert block.about == "naive: softmax, cross-entropy"
    own = {f.quantity: f.remedy for f in made.rows[0].findings}
    assert list(map(str, block.remedies)) == [f"{q}: {own[q]}" for q in ("softmax", "cross-entropy")]
    made = smcli.compare([1000, 2000], methods="naive", quantities="softmax,sigmoid")
    blocks = [p for p in document.of(made, Style()).parts if isinstance(p, FindingBlock)]
    for block in blocks:
        assert len(block.remedies) == 1 or all(r.about for r in block.remedies)
    some = [
        finding(),
        finding(method="shifted", remedy="s"),
        finding(method="shifted", quantity="logsumexp", remedy="s"),
    ]
    (told,) = map(report._block, report.grouped(some))
    assert list(map(str, told.remedies)) == ["naive: softmax: r", "shifted: softmax, logsumexp: s"]


def test_notes_that_ask_for_nothing_are_one_line():
    made = smcli.compare([1000, 2000, 3000])
    assert not [p for p in document.of(made, Style()).parts if isinstance(p, FindingBlock) and p.code in report.QUIET]
    assert "note SM301 (-v)" in document.of(made, Style()).closing.text
    told = [p.code for p in document.of(made, Style(verbose=True)).parts if isinstance(p, FindingBlock)]
    assert "SM301" in told and "(-v)" not in document.of(made, Style(verbose=True)).closing.text


def test_a_note_that_asks_for_something_is_told():
    parts = document.of(smcli.compare([0, -100], target=1, methods="clipped"), Style()).parts
    assert "SM904" in [p.code for p in parts if isinstance(p, FindingBlock)]


def test_every_quiet_note_is_a_note():
    from smcli import findings

    assert {findings.get(code).severity for code in report.QUIET} == {Severity.NOTE}


def test_which_formats_are_enough():
    made = smcli.compare([1.1, 2, 3], dtype="all", max_rel=0.01, quantities="softmax")
    good = comparison.enough(made, 0.01)
    worst = {r.brief: max(max(s.worst_rel, s.total_rel) for s in r.scores()) for r in made.reports}
    assert [g for g in good if "(" not in g] == [d for d, rel in worst.items() if rel <= 0.01]
    assert document.of(made, Style()).closing.text.startswith("enough for a relative error of 0.01: float64, float32")
    assert (
        "none of these"
        in document.of(smcli.compare([1.1, 2], dtype="float16,bfloat16", max_rel=0.0), Style()).closing.text
    )


def test_a_method_without_values_is_not_dropped_in_silence():
    made = smcli.compare([1, 2], dtype="float64,bfloat16", methods="scipy,fused", quantities="log-softmax")
    (line,) = [line for line in str(made).splitlines() if line.startswith("scipy in bfloat16: ")]
    (missing,) = [s for s in made.reports[1].scores() if not s.available]
    assert line.endswith(missing.reason) and not any(s.available is False for s in made.reports[0].scores())
    everywhere = smcli.compare([1, 2], dtype="bfloat16,float8_e5m2", methods="scipy,fused", quantities="log-softmax")
    assert sum(line.startswith("scipy in ") for line in str(everywhere).splitlines()) == 2


def test_a_method_that_lacks_a_quantity_is_enough_for_the_others_alone():
    """fused has no softmax; it is no excuse where another method fails that, and no word is lost where none fails."""
    made = smcli.compare([2.5, 12, -3], target=0, dtype="float32,float16", max_rel=0.01)
    assert comparison.enough(made, 0.01) == ["float32", "float16 (fused for cross-entropy alone)"]
    several = smcli.compare([2.5, 3, -12], target=0, dtype="float32,float16", max_rel=0.01,
                            quantities="softmax,log-softmax,cross-entropy")  # fmt: skip
    assert comparison.enough(several, 0.01)[1] == "float16 (fused for log-softmax and cross-entropy alone)"
    alone = smcli.compare([2.5, 12, -3], target=0, dtype="float32,float16", quantities="cross-entropy", max_rel=0.01)
    assert comparison.enough(alone, 0.01)[1] == "float16 (shifted, fused)"


def test_a_format_is_not_enough_for_the_rows_alone():
    """The sum of these losses overflows in float16, none of them does."""
    rows, options = [[60000.0, 0.0]] * 2, {"target": 1, "quantities": "cross-entropy", "methods": "fused"}
    made = smcli.compare(rows, dtype="float32,float16", reduction="sum", max_rel=0.01, **options)
    assert comparison.enough(made, 0.01) == ["float32"] and made.beyond_limits()
    made = smcli.compare(rows, dtype="float32,float16", max_rel=0.01, **options)
    assert comparison.enough(made, 0.01) == ["float32", "float16"] and not made.beyond_limits()


def test_a_format_that_is_not_enough_is_beyond_the_limit():
    """bfloat16 computes well with the logits that it holds; that these are others counts, too."""
    made = smcli.compare([2.507, 12.04, -3], dtype="float32,bfloat16", compute="float32", quantities="softmax",
                         methods="shifted", max_rel=0.01)  # fmt: skip
    assert all(s.worst_rel <= 0.01 for r in made.reports for s in r.scores())
    assert comparison.enough(made, 0.01) == ["float32"] and made.beyond_limits()
    assert not smcli.compare([2.5, 12, -3], dtype="float32,bfloat16", compute="float32", quantities="softmax",
                             methods="shifted", max_rel=0.01).beyond_limits()  # fmt: skip


def test_the_worst_inaccurate_value_is_told_not_the_worst_lost_one():
    made = smcli.check([[0.0, 0.0, 0.0]], [[1 / 3 * (1 + 1e-14), 0.0, 1 / 3]])
    line = str(made).splitlines()[0]
    (score,) = made.scores()
    assert score.inaccurate_ulp == pytest.approx(60, abs=2) and score.worst_ulp > 1e15
    assert "lost 1 of 3" in line and f"inaccurate 1 of 3: worst {score.inaccurate_ulp:.2g} ulp" in line


def test_bad_rows_are_shown_before_rows_with_notes():
    x = np.tile(3 * np.sin(np.arange(1000.0)), (6, 1)).astype(np.float16)
    p = np.exp(x.astype(float))
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float16)
    p[4, 2], p[5, 7] = p[4, 2] * 2, np.float16(np.nan)
    made = smcli.check(x, p)
    assert {f.code for f in made.rows[0].findings} == {"SM407"}
    text = str(made)
    assert "row 4 ·" in text and "row 5 ·" in text and "row 0 · 1000" not in text
    assert "2 of 6 rows are shown, the worst ones" in text
    p[4, 2] = p[3, 2]
    assert "1 of 6 rows is shown, the worst one;" in str(smcli.check(x, p))


def test_the_error_of_rounding_the_logits_stands_beside_the_algorithms_own():
    made = smcli.compare([10.03, 9.97, 0], dtype="float32,bfloat16", quantities="softmax", methods="shifted")
    table = next(p for p in document.of(made, Style()).parts if isinstance(p, Values)).layouts[0]
    heads = [c.text for c in table.head]
    own, total = heads.index("worst rel"), heads.index("total rel")
    bfloat16 = next(cells for cells in table.rows if cells[0].text == "bfloat16")
    assert float(bfloat16[total].text) > 10 * float(bfloat16[own].text)
    assert any(isinstance(p, Paragraph) and "total rel" in p.text for p in document.of(made, Style()).parts)


@pytest.mark.parametrize("rows", [1, 2000])
def test_a_document_asks_for_few_rows(monkeypatch, rows):
    made = smcli.compare(np.random.default_rng(0).normal(0, 400, (rows, 4)), target=1)
    asked = []
    of = type(made).row
    monkeypatch.setattr(type(made), "row", lambda self, *a: asked.append(1) or of(self, *a))
    list(document.of(made, Style()).parts)
    assert len(asked) < 40


@pytest.mark.parametrize("name", ["table", "markdown", "html"])
@pytest.mark.parametrize(("of", "cotangent"), [("softmax", [1, 2]), ("log-softmax", [1, 2]), ("logsumexp", [1])])
@pytest.mark.parametrize("logits", [[1, 2], [[1, 2], [3, 5]]])
def test_a_product_says_with_which_jacobian(name, of, cotangent, logits):
    report = smcli.gradient(logits, quantities=of, cotangent=cotangent)
    assert f"vjp of {of}" in render.text(report, name, Style(color=False))
    assert report.to_dict()["rows"][0]["results"][0]["quantity"] == "vjp"


@pytest.mark.parametrize("quantity", ["softmax", "log-softmax", "logsumexp", "gradient", "jacobian"])
@pytest.mark.parametrize("logits", [[1.0, 2.0, 0.5], [[1.0, 1000.0], [2.0, 3.0]]])
def test_a_trace_has_a_table_for_each_method_whose_steps_are_seen_and_a_word_for_the_others(quantity, logits):
    some = ["naive", "fused", "bigfloat", "fd", "numpy", *["numpy:exp", "numpy:tanh"] * (quantity == "softmax")]
    if quantity in {"gradient", "jacobian"}:
        made = smcli.gradient(logits, methods=some, trace=True, **({"target": 0} if quantity == "gradient" else {}))
    else:
        made = smcli.compare(logits, quantities=quantity, methods=some, trace=True)
    parts = list(report.document(made, Style()).parts)
    tables = [p for p in parts if isinstance(p, Table) and p.title.startswith("steps of ")]
    assert all(t.rows for t in tables)
    text = "\n".join(p.text for p in parts if isinstance(p, Paragraph))
    for q in made.rows[0].results:
        unseen = [m.method for m in q.methods if m.steps is not None and not m.steps]
        assert {m.method for m in q.methods if m.steps} == {t.title.removeprefix("steps of ") for t in tables}
        assert (f"the steps of {', '.join(unseen)} are not seen" in text) == bool(unseen)
        assert unseen or quantity != "softmax"
