"""The picture of the table: valid XML, nothing outside of it, nothing cut, columns straight in any font."""

import itertools
import re
import shutil
import subprocess
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import smcli
from smcli.render import Style, text

SVG, CHAR = "{http://www.w3.org/2000/svg}", 12.2  # px of a letter
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


def render(thing, style=None):
    return text(thing, "svg", style)


def texts(picture):
    """The pieces of text with their place and length; the title, in the middle, has none."""
    return [t for t in ET.fromstring(picture).iter(f"{SVG}text") if t.get("textLength") is not None]


@pytest.mark.parametrize("case", CASES)
def test_all_text_lies_inside(case):
    picture = render(CASES[case](), Style(verbose=case == "five"))
    root = ET.fromstring(picture)
    width, height = float(root.get("width")), float(root.get("height"))
    assert picture.startswith("<svg") and not LINK.search(picture)
    right = []
    for piece in texts(picture):
        x, y, size = (float(piece.get(name)) for name in ("x", "y", "textLength"))
        assert size == pytest.approx(len(piece.text) * CHAR, rel=1e-3)
        right.append(x + len(piece.text.rstrip()) * CHAR)
        assert x >= 0 and right[-1] <= width - 16 and 0 < y < height - 48
    assert max(right) > width - 60 or width < 600  # no wide blank


@pytest.mark.parametrize("case", CASES)
def test_words_of_one_line_do_not_overlap(case):
    lines = {}
    for piece in texts(render(CASES[case]())):
        x = float(piece.get("x"))
        lines.setdefault(piece.get("y"), []).append((x, x + float(piece.get("textLength"))))
    for spans in lines.values():
        spans.sort()
        assert all(a[1] <= b[0] + 0.1 for a, b in itertools.pairwise(spans))


def test_thousands_of_digits_are_folded_not_cut():
    (first, *_) = smcli.exact([1, 2], digits=2000)
    shown = "".join(piece.text for piece in texts(render(smcli.evaluate([1, 2], digits=2000), Style(whole=True))))
    assert first in shown.replace("\xa0", "")


def test_the_worst_verdicts_have_colours_of_their_own():
    picture = render(smcli.compare([1000, 2000]))
    classes = {piece.text.strip("\xa0 "): piece.get("class") for piece in texts(picture)}
    colours = {
        word: re.search(rf"\.{classes[word]} {{ fill: (#\w+)", picture)[1]
        for word in ("lost", "underflow", "0", "error")
    }
    assert colours["lost"] == colours["error"] != colours["underflow"]


@pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="no rsvg-convert")
def test_another_program_can_draw_it(tmp_path):
    source, target = tmp_path / "a.svg", tmp_path / "a.png"
    source.write_text(render(CASES["five"]()), encoding="utf-8")
    subprocess.run(["rsvg-convert", source, "-o", target], check=True)
    assert target.stat().st_size > 5000
