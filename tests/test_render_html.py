"""The page: well formed, self-contained, readable without colour, and looked at by a browser."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser

import numpy as np
import pytest

import smcli
from smcli.model import Finding, Severity, Verdict
from smcli.render import text
from smcli.render._page import MARKS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LINK = re.compile(r"""(src|href|action|srcset)=|url\(|@import|<script|<link|https?:""")
VOID = {"meta", "br", "hr", "img"}
HUGE = np.cos(np.arange(131072.0)) * 300
CASES = {
    "one": lambda: smcli.compare([5]),
    "five": lambda: smcli.compare([1000, 2000, 3000, 4000, 5000]),
    "masked": lambda: smcli.compare([-np.inf, 0, 2], target=0),
    "nan": lambda: smcli.compare([np.nan, 0, 2, np.inf]),
    "all masked": lambda: smcli.compare([-np.inf, -np.inf]),
    "far": lambda: smcli.compare([1.7e308, -1.7e308, 0]),
    "crowd": lambda: smcli.compare(np.linspace(-90, 90, 300), dtype="float32", methods="all"),
    "huge": lambda: smcli.compare(HUGE, dtype="float32", methods="shifted,fused"),
    "formats": lambda: smcli.compare([1, 2, 30], dtype=["float64", "float16", "float8_e4m3fn"]),
    "batch": lambda: smcli.compare([[1, 2], [1000, 0], [3, 3]], target=[0, 1, 0], reduction="mean"),
    "steps": lambda: smcli.compare([1, 2000], trace=True),
    "scalar": lambda: smcli.compare([1, 2, 3], target=1, quantities="cross-entropy"),
    "matrix": lambda: smcli.gradient([1, 2, 3]),
    "values": lambda: smcli.evaluate([1, 2, 3]),
}
_pages = {}


def render(thing, style=None):
    return text(thing, "html", style)


def with_method(report, **changes):
    """The report of one quantity with something else in its first method."""
    (block,) = report.blocks
    (q,) = block.results
    changed = replace(q, methods=(replace(q.methods[0], **changes), *q.methods[1:]))
    return replace(report, blocks=(replace(block, results=(changed,)),))


def page(case):
    if case not in _pages:
        _pages[case] = render(CASES[case]())
    return _pages[case]


class Checker(HTMLParser):
    """Follows the tags: every one is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.refs, self.text = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        found = dict(attrs)
        assert len(found) == len(attrs)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.refs += found.get("aria-labelledby", "").split()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_whole_and_self_contained(case):
    text = page(case)
    checked = Checker(text)
    assert text.startswith("<!doctype html>\n<html lang=") and not LINK.search(text)
    assert len(set(checked.ids)) == len(checked.ids) and set(checked.refs) <= set(checked.ids)
    tags = [tag for tag, _ in checked.tags]
    assert tags.count("h1") == 1 and "table" in tags and "svg" in tags
    for tag, attributes in checked.tags:
        if tag == "svg":
            assert attributes["role"] == "img" and len(attributes["aria-labelledby"].split()) == 2
    assert not re.search(r'[ "(,](nan|inf)[ "),h]', "".join(re.findall(r' (?:d|points|x|y)="[^"]*"', text)))


def test_a_long_row_stays_a_small_page():
    assert len(page("huge")) < 400_000
    assert "20 of 131072 are shown" in page("huge")


def test_special_values_have_their_bands():
    bands = re.findall(r'text-anchor="end">(nan|inf|0)</text>', page("five"))
    assert set(bands) == {"nan", "inf", "0"}


def test_every_verdict_is_told_without_colour():
    report = smcli.compare(range(6), quantities="softmax", methods="shifted")
    page_ = render(with_method(report, verdicts=np.array([[int(v) for v in Verdict]], dtype=np.uint8)))
    assert set(MARKS) == {v.label for v in Verdict} and len(set(MARKS.values())) == len(MARKS)
    for verdict, mark in MARKS.items():
        assert re.search(f'<abbr title="{verdict}: [^"]+">{re.escape(mark)}</abbr>', page_)
        assert f"{mark} {verdict}</b>" in page_  # in the legend


def test_text_stays_text(plant):
    bad = "</p><script>alert(1)</script>&amp; \x07"
    finding = Finding("SM401", bad, Severity.WARNING, "softmax", bad, (0,), 1, None, bad, bad)
    report = smcli.compare([1, 2], quantities="softmax")
    report = with_method(report, method=bad)
    page_ = render(plant(report, [finding]))
    checked = Checker(page_)
    assert "script" not in {tag for tag, _ in checked.tags} and "\x07" not in page_
    assert "".join(checked.text).count(bad.replace("\x07", "\\x07")) >= 4


def test_findings_come_first_and_rows_are_merged():
    one = page("five")
    assert one.index("class=answer") < one.index("SM201 exp-overflow") < one.index("<table>")
    batch = render(smcli.compare([[1000 + i, 0] for i in range(30)], quantities="softmax"))
    assert "rows 0, 1, 2" in batch and "and 22 more" in batch and "3 of 30 rows are shown" in batch


MEASURE = """<script>addEventListener("load", () => {
  const seen = e => { const r = e.getBoundingClientRect(); return r.width > 100 && r.height > 20; };
  const count = name => [...document.querySelectorAll(name)].filter(seen).length;
  const css = getComputedStyle(document.body);
  parent.document.body.dataset.seen = JSON.stringify({ width: innerWidth, page: document.documentElement.scrollWidth,
    tables: count("table"), figures: count("svg"), paper: css.backgroundColor, ink: css.color,
    widest: Math.max(...[...document.querySelectorAll("svg")].map(e => e.getBoundingClientRect().right)) });
});</script></body>"""


def measured(text, width, folder, *options):
    """What a browser measures in a page of that width, in a frame since its windows have a least width."""
    file = folder / "frame.html"
    inner = escape(text.replace("</body>", MEASURE))
    frame = f'<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{inner}"></iframe>'
    file.write_text(f"<!doctype html><meta charset=utf-8><body>{frame}</body>", encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
            f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000", "--enable-logging=stderr", "--v=0",
            *options, "--dump-dom", f"file://{file}",
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    return json.loads(unescape(found[1]))


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_it(width, dark, tmp_path):
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    seen = measured(page("five"), width, tmp_path, *scheme)
    assert seen["width"] == width and seen["page"] <= width and seen["widest"] <= width
    assert seen["tables"] == 2 and seen["figures"] == 4  # of each figure one drawing, the wide or the narrow
    light = "rgb(255, 255, 255)"
    assert (seen["paper"] == light) is not dark and seen["ink"] != seen["paper"]
