"""The picture of the table: valid XML, nothing outside of it, nothing cut, columns straight in any font."""

import itertools
import re
import shutil
import subprocess
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import smcli
from smcli.model import Verdict
from smcli.render import Style, module

render = module("svg").render
LINK = re.compile(r"""(src|href)=["']https?:(?!//www\.w3\.org)|url\(["']?https?:|@import""")
CASES = {
    "one": lambda: smcli.compare([5]),
    "five": lambda: smcli.compare([1, 2, 3, 4, 5]),
    "long": lambda: smcli.compare(np.linspace(0, 50, 5000), dtype="float32"),
    "digits": lambda: smcli.evaluate([1, 2], digits=400),
    "batch": lambda: smcli.compare([[1, 2], [1000, 0]], target=[0, 1], reduction="sum"),
    "formats": lambda: smcli.compare([1, 2], dtype=["float64", "float16"]),
    "steps": lambda: smcli.compare([1, 2000], trace=True),
    "matrix": lambda: smcli.gradient([1, 2, 3]),
}


def changed(noun, **changes):
    """A copy of a noun with some of its fields changed, whichever kind of record it is."""
    return noun._replace(**changes) if hasattr(noun, "_replace") else replace(noun, **changes)


def texts(picture):
    return list(ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("case", CASES)
def test_all_text_lies_inside(case):
    picture = render(CASES[case](), Style(verbose=case == "five"))
    root = ET.fromstring(picture)
    width, height = float(root.get("width")), float(root.get("height"))
    assert picture.startswith("<svg") and not LINK.search(picture)
    right = []
    for text in texts(picture):
        x, y = float(text.get("x")), float(text.get("y"))
        if text.get("textLength") is None:
            continue  # the title, in the middle
        size = float(text.get("textLength"))
        assert size == pytest.approx(len(text.text) * 8.43, rel=1e-3)
        right.append(x if text.get("text-anchor") == "end" else x + size)
        assert x >= 20 and right[-1] <= width - 19 and 0 < y < height - 10
    assert max(right) > width - 60 or width < 440  # no wide blank


@pytest.mark.parametrize("case", CASES)
def test_words_of_one_line_do_not_overlap(case):
    lines = {}
    for text in texts(render(CASES[case](), Style())):
        if (size := text.get("textLength")) is not None:
            x = float(text.get("x")) - (float(size) if text.get("text-anchor") == "end" else 0)
            lines.setdefault(text.get("y"), []).append((x, x + float(size)))
    for spans in lines.values():
        spans.sort()
        assert all(a[1] <= b[0] + 0.1 for a, b in itertools.pairwise(spans))


def test_thousands_of_digits_are_folded_not_cut():
    (first, *_) = smcli.exact([1, 2], digits=2000)
    assert first in "".join(text.text for text in texts(render(smcli.evaluate([1, 2], digits=2000), Style())))


def test_every_verdict_has_a_colour():
    report = smcli.compare(range(6), quantities="softmax", methods="shifted")
    (q,) = report.rows[0].results
    method = changed(q.methods[0], verdicts=np.array([int(v) for v in Verdict], dtype=np.uint8))
    picture = render(
        changed(report, rows=(changed(report.rows[0], results=(changed(q, methods=(method,)),)),)), Style()
    )
    assert {v.label for v in Verdict} <= {text.get("class") for text in texts(picture)}
    assert all(f".{v.label}{{fill:#" in picture for v in Verdict)


@pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="no rsvg-convert")
def test_another_program_can_draw_it(tmp_path):
    source, target = tmp_path / "a.svg", tmp_path / "a.png"
    source.write_text(render(CASES["five"](), Style()), encoding="utf-8")
    subprocess.run(["rsvg-convert", source, "-o", target], check=True)
    assert target.stat().st_size > 5000
