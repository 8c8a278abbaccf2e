"""explain: every page is whole, its figures are the formats' own, its commands show the finding, its fixes are right."""

import itertools
import json
import re
import shlex
import subprocess
import sys

import mpmath
import numpy as np
import pytest

from smcli import findings
from smcli.cli.app import run
from smcli.document import pages
from smcli.numbers.formats import FORMATS

RULES = findings.everything()
CODES = tuple(RULES)
SECTIONS = ("What it means", "Why it happens", "How to fix it", "See it", "Source")
FRAMEWORKS = ("NumPy", "PyTorch", "JAX", "TensorFlow")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections(page):
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    return {title: body.strip("\n") for title, body in zip(parts[::2], parts[1::2], strict=True)}


def body(code, section):
    return sections(pages.fill(RULES[code].page))[section]


def fenced(code, section, language):
    return [text for kind, text in FENCE.findall(body(code, section)) if kind == language]


def commands(code):
    return [line for block in fenced(code, "See it", "sh") for line in block.splitlines() if line.strip()]


def explain(capsys, *words):
    code = run(["explain", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_all_codes_of_the_contract_are_there():
    numbers = [
        *range(101, 105),
        *range(201, 205),
        *range(301, 305),
        *range(401, 412),
        *range(501, 504),
        *range(901, 905),
    ]
    assert [f"SM{n}" for n in numbers] == list(CODES)


@pytest.mark.parametrize("code", CODES)
def test_page_is_whole(code):
    page = RULES[code].page
    assert tuple(sections(page)) == SECTIONS
    assert page.startswith(RULES[code].summary + "\n\n## What it means\n\n")
    assert RULES[code].summary.endswith(".") and len(RULES[code].summary) <= 110
    for section in SECTIONS:
        assert len(body(code, section)) > 20, section
    assert 25 <= len(page.splitlines()) <= 85
    assert all(len(line) <= 74 for _, text in FENCE.findall(page) for line in text.splitlines()), (
        "code is wrapped at 80 columns"
    )
    assert page.count("```") == 2 * len(FENCE.findall(page))


@pytest.mark.parametrize("code", CODES)
def test_a_fix_for_each_framework_and_each_snippet_compiles(code):
    fix = body(code, "How to fix it")
    assert all(name in fix for name in FRAMEWORKS)
    snippets = fenced(code, "How to fix it", "python")
    assert len(snippets) == len(FRAMEWORKS) == fix.count("```python")
    for snippet in snippets:
        compile(snippet, code, "exec")


@pytest.mark.parametrize("code", CODES)
def test_placeholders_are_known(code):
    page = RULES[code].page
    filled = pages.fill(page)
    assert not re.search(r"\{\w+:", filled)
    for found in pages.PLACEHOLDER.finditer(page):
        if found[1] == "table":
            assert page[found.start() - 1] == page[found.end()] == "\n", "a table stands on a line of its own"
            assert all(f"| {name} |" in filled for name in FORMATS)


def test_figures_are_the_formats_own():
    for f in FORMATS.values():
        for name in (
            "exp_overflow",
            "exp_subnormal",
            "exp_zero",
            "max",
            "smallest_normal",
            "smallest_subnormal",
            "unit_roundoff",
            "stall",
        ):
            shown = float(pages.fill(f"{{{f.name}:{name}}}"))
            assert shown == pytest.approx(float(getattr(f, name)), rel=1e-5)
    assert pages.fill("{float64:exp_overflow}").startswith("709.78")
    table = pages.fill("{table:exp_overflow, max}").splitlines()
    assert table[0] == "| format | exp(x) overflows from x = | largest number |" and len(table) == 2 + len(FORMATS)
    assert table[4] == "| float16 | 11.0901107 | 65504 |"


@pytest.mark.parametrize("text", ["{table:no_such}", "{float12:max}", "{table:max,no_such}"])
def test_unknown_placeholder_is_an_error(text):
    with pytest.raises(KeyError):
        pages.fill(text)


def test_margin_and_clip_are_what_they_say():
    for f in FORMATS.values():
        d = float(pages.fill(f"{{{f.name}:margin}}"))
        above, below = np.exp(-(d - 1e-4)), np.exp(-(d + 1e-4))
        assert f.round(np.array([1 + above]))[0] > 1 or f.p == 53
        assert f.round(np.array([1 + below]))[0] == 1
    assert pages.fill("{float64:clip_loss}") == "16.118" and pages.fill("{float16:clip_loss}") == "15.942"
    assert pages.fill("{float8_e4m3fn:clip_loss}") == "no clip"


@pytest.mark.parametrize(("code", "command"), [(code, command) for code in CODES for command in commands(code)])
def test_command_shows_the_finding(code, command, capsys):
    if "|" in command:
        python = f"{shlex.quote(sys.executable)} "
        command = command.replace("| smcli", f"| {python}-m smcli").replace("python -c", f"{python}-c")
        out = subprocess.run(
            ["sh", "-c", f"{command} -f json"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    else:
        program, *words = shlex.split(command)
        assert program == "smcli" and run([*words, "-f", "json"]) == 0
        out = capsys.readouterr().out
    assert code in {f["code"] for row in json.loads(out)["rows"] for f in row["findings"]}


def test_every_page_has_a_command():
    assert all(commands(code) for code in CODES)
    assert all("smcli " in line for code in CODES for line in commands(code))


def truths(x, names):
    """Softmax, log-softmax, logsumexp, loss and gradient of one row by mpmath, for what a snippet calls x, T, t and y."""
    mp = mpmath.mp.clone()
    mp.dps = 60
    z = [mp.mpf(float(v)) / float(names.get("T", 1)) for v in x]
    e = [mp.exp(v) for v in z]
    total = mp.fsum(e)
    lse = mp.log(total)
    log_p = [v - lse for v in z]
    y = names.get("y")
    if y is None and "t" in names:
        y = [float(k == names["t"]) for k in range(len(x))]
    out = {"p": [v / total for v in e], "log_p": log_p, "lse": [lse]}
    if y is not None:
        out["loss"] = [-mp.fsum(w * v for w, v in zip(map(float, y), log_p, strict=True) if w)]
        weight = mp.fsum(map(float, y))
        out["grad"] = [p * weight - float(w) for p, w in zip(out["p"], y, strict=True)]
    return out


@pytest.mark.parametrize("code", CODES)
def test_numpy_fix_is_finite_and_right(code):
    snippets = [s for s in fenced(code, "How to fix it", "python") if "import numpy as np" in s]
    assert len(snippets) == 1
    names = {}
    exec(compile(snippets[0], code, "exec"), names)
    checked = 0
    x = np.atleast_2d(names["x"])
    for name in ("p", "log_p", "lse", "loss", "grad"):
        if name not in names:
            continue
        got = names[name]
        unit = np.finfo(np.asarray(got).dtype).eps
        for row, given in zip(np.atleast_2d(got), x, strict=True):
            assert np.isfinite(row[np.isfinite(given)] if row.size == given.size else row).all()
            if np.isneginf(given).all():
                assert (row == 0).all()
                continue
            # beside unit: the rounding of x − max costs its size
            truth = np.array([float(v) for v in truths(given, names)[name]])
            finite = np.isfinite(truth)
            size = np.abs(given[np.isfinite(given)]).max() if name in {"p", "grad"} and code != "SM401" else 1.0
            assert np.allclose(
                row[finite],
                truth[finite],
                rtol=4 * unit * max(1.0, min(size, 100.0)),
                atol=float(np.finfo(got.dtype).tiny),
            )
            checked += 1
    assert checked
    if code == "SM408":
        first, second = truths(names["x"], {}), truths(names["other"], {})
        terms = zip(first["p"], first["log_p"], second["log_p"], strict=True)
        assert float(names["kl"]) == pytest.approx(float(sum(p * (a - b) for p, a, b in terms)), rel=1e-14)
    if code in {"SM402", "SM502"}:
        assert abs(float(names["loss" if code == "SM402" else "grad"].flat[0])) == pytest.approx(4.248354255291589e-18)


@pytest.mark.parametrize(
    "words", [["SM201"], ["sm201"], ["exp-overflow"], ["Exp-Overflow"], ["SM201", "sm201"], ["SM201,exp-overflow"]]
)
def test_a_finding_by_code_or_name(words, capsys):
    code, out, err = explain(capsys, *words)
    assert (
        code == 0
        and err == ""
        and out.startswith("SM201 exp-overflow (error)\n")
        and out.count("SM201 exp-overflow") == 1
    )
    assert "math.exp(1000)" in out and "709.78" in out and "smcli compare 1000 2000" in out
    assert all(f"\n{section}\n" in out for section in SECTIONS)


@pytest.mark.parametrize("code", CODES)
def test_text_is_plain_and_80_columns(code, capsys):
    _, out, _ = explain(capsys, code)
    assert out.startswith(code) and "\x1b" not in out and "```" not in out and "##" not in out and "{" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert all(line == line.rstrip() for line in out.splitlines())
    for command in commands(code):
        assert f"\n      {command}\n" in out, "a command can be copied from one line"
    for f in FORMATS.values():
        for found in pages.PLACEHOLDER.finditer(RULES[code].page):
            figure = pages.fill(f"{{{f.name}:{found[2]}}}").split(", ") if found[1] == "table" else []
            assert all(part in out for part in figure)


def test_several_pages(capsys):
    code, out, _ = explain(capsys, "SM303", "SM101")
    assert code == 0 and 0 < out.index("SM303 log-of-zero") + 1 < out.index("SM101 nan-logit")


def test_the_list(capsys):
    code, out, err = explain(capsys)
    assert code == 0 and err == ""
    for r in RULES.values():
        line = next(line for line in out.splitlines() if line.strip().startswith(r.code))
        assert r.name in line and str(r.severity) in line and r.summary in line


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [(["SM20"], "'SM20'", "SM20"), (["exp-overflw"], "'exp-overflw'", "did you mean exp-overflow?"),
     (["SM201", "nonsense"], "'nonsense'", "smcli explain"), (["-f", "markdwn"], "'markdwn'", "did you mean markdown?"),
     (["-o", "page.pdf"], "'.pdf'", "-f"),
     (["--fromat", "json"], "--fromat", "--format")],
)  # fmt: skip
def test_errors(words, message, hint, capsys):
    code, out, err = explain(capsys, *words)
    assert code == 2 and out == "" and err.startswith("error: ")
    assert message in err.splitlines()[0] and hint in err.splitlines()[1]


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (["nan"], {"SM101", "SM501"}),
        (["vanished"], {"SM502"}),
        (["log", "inf"], {"SM303"}),
        (["nan,gradient"], {"SM501"}),
    ],
)
def test_words_are_searched_for(capsys, words, codes):
    code, out, err = explain(capsys, *words)
    assert code == 0 and err == "" and codes <= set(re.findall(r"SM\d+", out))
    assert ("one page: smcli explain CODE" in out) == (len(findings.search(" ".join(words).replace(",", " "))) > 1)


def test_json_of_a_page_and_of_the_list(capsys):
    code, out, _ = explain(capsys, "SM201", "-f", "json")
    document = json.loads(out)
    assert code == 0 and document["schema"] == "smcli.explain/1"
    (one,) = document["findings"]
    assert {k: one[k] for k in ("code", "name", "severity")} == {
        "code": "SM201",
        "name": "exp-overflow",
        "severity": "error",
    }
    assert one["page"].startswith(one["summary"]) and "{table:" not in one["page"]
    _, out, _ = explain(capsys, "--format", "json")
    assert [f["code"] for f in json.loads(out)["findings"]] == list(CODES)


@pytest.mark.parametrize("code", CODES)
def test_markdown_keeps_the_page(code, capsys):
    _, out, _ = explain(capsys, code, "-f", "markdown")
    assert out == f"# {code} {RULES[code].name} ({RULES[code].severity})\n\n{pages.fill(RULES[code].page)}\n"
    from markdown_it import MarkdownIt

    tokens = MarkdownIt().enable("table").parse(out)
    headings = [b.content for a, b in itertools.pairwise(tokens) if a.type == "heading_open"]
    assert headings[1:] == list(SECTIONS)
    fences = [(t.info, t.content) for t in tokens if t.type == "fence"]
    assert fences == FENCE.findall(RULES[code].page)
    tables = sum(t.type == "table_open" for t in tokens)
    assert tables == RULES[code].page.count("{table:") + RULES[code].page.count("{list:")
    assert not any(t.type in {"bullet_list_open", "ordered_list_open", "html_block", "blockquote_open"} for t in tokens)


def test_markdown_of_the_list(capsys):
    _, out, _ = explain(capsys, "-f", "markdown")
    lines = out.splitlines()
    assert set(lines[1]) == {"|", "-", " "} and [line[2:7] for line in lines[2 : 2 + len(CODES)]] == list(CODES)
    assert all(line.count(" | ") == 3 for line in lines[: 2 + len(CODES)])


@pytest.mark.parametrize("name", ["page.md", "page.json", "page.txt"])
def test_to_a_file(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    path = tmp_path / name
    code, out, err = explain(capsys, "SM402", "-o", str(path))
    text = path.read_text(encoding="utf-8")
    assert (code, out, err) == (0, "", "") and "SM402" in text and "\x1b" not in text
    assert text.startswith({"md": "# SM402", "json": '{"schema"', "txt": "SM402 saturated"}[name.split(".")[1]])


@pytest.mark.parametrize("code", CODES)
def test_ascii_has_a_sign_for_everything(code):
    from smcli.render import ASCII

    assert (pages.fill(RULES[code].page) + "─").translate(ASCII).isascii()


COLOUR = re.compile(r"\x1b\[[0-9;]*[39][0-7]")


@pytest.mark.parametrize(
    ("environment", "colour", "ansi"),
    [({"TERM": "xterm-256color"}, True, True), ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False, True),
     ({"TERM": "xterm-256color", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
)  # fmt: skip
@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("words", [["SM302"], []])
def test_on_a_terminal(environment, colour, ansi, columns, words, capsys, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment, "COLUMNS": str(columns)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, _ = explain(capsys, *words)
    assert code == 0 and bool(COLOUR.search(out)) == colour and ("\x1b[" in out) == ansi
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in out.splitlines()]
    text = "\n".join(lines)
    most = min(columns, 100) if words else columns
    assert max(map(len, lines)) <= most
    assert max(map(len, lines)) > most / 2 or not words
    assert "…" not in text and all(
        figure in text for figure in (("-745.133219", "709.782713", "11.7835021") if words else CODES)
    )


def test_forced_colour_in_a_pipe_and_no_color_option(capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert COLOUR.search(explain(capsys, "SM201")[1])
    assert not COLOUR.search(explain(capsys, "SM201", "--no-color")[1])


def test_without_colours_nothing_forces_codes_into_a_pipe(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in explain(capsys, "SM201", "--no-color")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in explain(capsys, "SM201")[1]
