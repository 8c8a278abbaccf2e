"""Markdown, read by a Markdown parser: what stands there is what was meant, whatever characters it has."""

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

import smcli
from smcli.document.parts import Cell, Table
from smcli.model import Finding, Severity
from smcli.render import Style, markdown, text

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = [
    "a|b", "**bold**", "_x_ my_name __y__", "<script>alert(1)</script>", "[a](b) ![c](d)", "`code", "a\\|b", "~~gone~~",
    "&lt; &amp;", "*", "line\nbreak", "\x1b[31mred", "#12 @someone", "$x$", "| --- |", "1e-5", "",
]  # fmt: skip


def render(thing, style=None):
    return text(thing, "markdown", style)


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


@pytest.mark.parametrize("words", HOSTILE)
def test_text_is_shown_as_it_is(words):
    head = (Cell("head", "head"), Cell(words or "x", right=True))
    table = markdown.table(Table("", head, ((Cell(words), Cell("1")),)))
    assert texts(table) == ["head", shown(words or "x"), shown(words), "1"]


def test_words_with_underscores_stay_readable():
    assert markdown.escape("log_softmax float8_e4m3fn") == "log_softmax float8_e4m3fn"


def test_nobody_is_called_and_no_issue_is_linked():
    assert "@" not in markdown.escape("@someone") and "#1" not in markdown.escape("see #12")


def test_findings_are_a_list(plant):
    finding = Finding("SM401", "inaccurate", Severity.WARNING, "softmax", "a:b_", (0,), 1, None, "x < y", "do *this*")
    report = smcli.compare([1, 2])
    shown_ = render(plant(report, [finding]))
    assert "- **warning SM401 inaccurate** (a:b\\_: softmax) — x \\< y — do \\*this\\*" in shown_


def test_long_rows_are_shortened_and_say_so():
    report = smcli.compare(range(100, 0, -1), quantities="softmax", dtype="float16")
    assert "SM201" in render(report)
    assert render(report, Style(top=5)).count("\n|") == 7
    assert "5 of 100 are shown" in render(report, Style(top=5))
    assert render(report, Style(every_class=True)).count("\n|") == 102


def test_long_batches_are_summed_up_and_say_so():
    sick = smcli.compare([[1000 * i, 1] for i in range(30)], quantities="softmax")
    assert "3 of 30 rows are shown, the worst ones" in render(sick)
    assert "## row 29 " in render(sick, Style(every_class=True))
    assert "row 2 " not in render(sick, Style(summary=True)) and "SM201 exp-overflow" in render(
        sick, Style(summary=True)
    )


def test_steps_bounds_and_reductions():
    shown_ = render(smcli.compare([1, 2, 3], trace=True, methods="shifted"), Style(verbose=True))
    assert "steps of shifted" in shown_ and "a-priori bound" in shown_
    batch = smcli.compare([[1, 2], [3, 4]], target=[0, 1], reduction="mean")
    assert "reduced over the batch" in render(batch)


def test_a_comparison_has_every_format_and_each_code_once():
    shown_ = render(smcli.compare([1000, 2000], dtype=["float64", "float32"]))
    assert "| float64 " in shown_ and "| float32 " in shown_
    assert shown_.count("SM201 exp-overflow") == 1 and "float64, float32" in shown_


def test_a_page_comes_back():
    from smcli import findings
    from smcli.document.pages import Pages, blocks, fill

    rule = findings.get("SM404")
    page = render(Pages((rule,)))
    assert page.startswith("# SM404 stalled-sum (warning)\n") and "```python\n" in page
    assert [type(p) for p in blocks(page.partition("\n")[2])] == [type(p) for p in blocks(fill(rule.page))]


def test_a_missing_library_is_named():
    from smcli.errors import UnavailableError
    from smcli.judge.block import Judged

    report = smcli.compare([1, 2], methods="shifted", quantities="softmax")
    (block,) = report.blocks
    (q,) = block.results
    away = replace(q, methods=(*q.methods, Judged.missing("torch", UnavailableError("torch is not installed"))))
    shown_ = render(replace(report, blocks=(replace(block, results=(away,)),)))
    assert "**torch**: torch is not installed" in shown_
