"""Markdown, read by a Markdown parser: what stands there is what was meant, whatever characters it has."""

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

import smcli
from smcli.model import Finding, Severity
from smcli.render import Style, module
from smcli.render._grid import Cell, Grid

markdown = module("markdown")
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = [
    "a|b", "**bold**", "_x_ my_name __y__", "<script>alert(1)</script>", "[a](b) ![c](d)", "`code", "a\\|b", "~~gone~~",
    "&lt; &amp;", "*", "line\nbreak", "\x1b[31mred", "#12 @someone", "$x$", "| --- |", "1e-5", "",
]  # fmt: skip


def changed(noun, **changes):
    """A copy of a noun with some of its fields changed, whichever kind of record it is."""
    return noun._replace(**changes) if hasattr(noun, "_replace") else replace(noun, **changes)


def texts(source):
    """The text of every inline token."""
    out = []
    for token in PARSER.parse(source):
        if token.type == "inline":
            assert {t.type for t in token.children} <= {"text", "text_special"}, token.content
            out.append("".join(t.content for t in token.children))
    return out


def shown(text):
    return text.replace("\n", "\\n").replace("\x1b", "\\x1b").strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_it_is(text):
    table = markdown.table(Grid([Cell("head", "head"), Cell(text or "x", right=True)], [[Cell(text), Cell("1")]]))
    assert texts(table) == ["head", shown(text or "x"), shown(text), "1"]


def test_words_with_underscores_stay_readable():
    assert markdown.escape("log_softmax float8_e4m3fn") == "log_softmax float8_e4m3fn"


def test_nobody_is_called_and_no_issue_is_linked():
    assert "@" not in markdown.escape("@someone") and "#1" not in markdown.escape("see #12")


def test_findings_are_a_list():
    finding = Finding("SM401", "inaccurate", Severity.WARNING, "softmax", "a:b_", (0,), 1, None, "x < y", "do *this*")
    report = smcli.compare([1, 2])
    text = markdown.render(changed(report, rows=(changed(report.rows[0], findings=(finding,)),)), Style())
    assert "- **warning SM401 inaccurate** (a:b\\_: softmax) — x \\< y — do \\*this\\*" in text


def test_long_rows_are_shortened_and_say_so():
    report = smcli.compare(range(100), quantities="softmax")
    assert markdown.render(report, Style(top=5)).count("\n|") == 7
    assert "5 of 100 classes are shown" in markdown.render(report, Style(top=5))
    assert markdown.render(report, Style(every_class=True)).count("\n|") == 102


def test_long_batches_are_shortened_and_say_so():
    report = smcli.compare([[i, 1] for i in range(30)], quantities="softmax")
    assert "3 of 30 rows are shown, the first ones" in markdown.render(report, Style())
    sick = smcli.compare([[1000 * i, 1] for i in range(30)], quantities="softmax")
    assert "20 of 30 rows are shown, the worst ones" in markdown.render(sick, Style())
    assert "row 29 " in markdown.render(report, Style(every_class=True))


def test_steps_bounds_and_reductions():
    text = markdown.render(smcli.compare([1, 2, 3], trace=True, methods="shifted"), Style(verbose=True))
    assert "steps of shifted" in text and "a-priori bound" in text
    batch = smcli.compare([[1, 2], [3, 4]], target=[0, 1], reduction="mean")
    assert "reduced over the batch" in markdown.render(batch, Style())


def test_a_comparison_has_every_format_and_each_code_once():
    text = markdown.render(smcli.compare([1000, 2000], dtype=["float64", "float32"]), Style())
    assert "| float64 " in text and "| float32 " in text
    assert text.count("SM201 exp-overflow") == 1 and "in float64, float32" in text


def test_a_missing_library_is_named():
    report = smcli.compare([1, 2], methods="shifted", quantities="softmax")
    (q,) = report.rows[0].results
    away = changed(q.methods[0], method="torch", available=False, reason="torch is not installed")
    row = changed(report.rows[0], results=(changed(q, methods=(*q.methods, away)),))
    assert "torch: torch is not installed" in markdown.render(changed(report, rows=(row,)), Style())
