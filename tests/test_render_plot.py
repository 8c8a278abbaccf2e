"""Figures: what they hold, and the file that they are drawn to."""

import math
import subprocess
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import smcli
from smcli.document import figures, spelling
from smcli.errors import UsageError
from smcli.render import _plot, _scale


def of(report, row=0):
    return figures.of_report(report, report.rows[row])


def test_series_hold_the_truth_beyond_the_format():
    size, error = of(smcli.compare([1000, 2000, 3000], quantities="softmax"))
    truth, naive, shifted = size.series
    assert truth.truth and truth.y == pytest.approx(
        [-2000 / math.log(10), -1000 / math.log(10), 0], rel=1e-12, abs=1e-9
    )
    assert np.isnan(naive.y).all() and shifted.y.tolist() == [-math.inf, -math.inf, 0]
    assert [line.name for line in size.lines] == ["smallest normal 2.23e-308", "smallest subnormal 4.94e-324"]
    assert [s.name for s in error.series] == ["naive", "shifted"] and error.lines[0].at == math.log10(0.5)
    assert _scale.bands(size) == (["nan"], ["0"]) and "3 of 3 nan" in size.summary


def test_the_floor_is_a_note_where_it_is_far():
    size, _ = of(smcli.compare([1, 2], quantities="softmax"))
    assert not size.lines and "far below" in size.notes[0]
    size, _ = of(smcli.compare([1, 2], quantities="softmax", dtype="float16"))
    assert size.lines and not size.notes


def test_bounds_and_limits_are_lines():
    _, error = of(smcli.compare([1, 2], quantities="softmax", max_ulp=100.0))
    names = [line.name for line in error.lines]
    assert "limit 100 ulp" in names and any(name.startswith("bound of ") for name in names)


def test_values_for_the_batch_are_drawn_over_rows():
    drawn = of(smcli.compare([[1, 2], [3, 4], [5, 7]], target=[0, 1, 0]))
    assert [f.x.label for f in drawn] == ["class", "class", "row", "row"]
    assert drawn[-1].series[0].x.tolist() == [0, 1, 2]


def test_long_rows_are_gathered_without_losing_extremes():
    x = np.zeros(100_000)
    x[[123, 77_777]] = 50, -50
    size, _ = of(smcli.compare(x, quantities="softmax"))
    truth = size.series[0]
    b = _scale.bins(truth, *_scale.reach(size), 200)
    assert b.x.size == 200 and np.nanmax(b.high) == truth.y.max() and np.nanmin(b.low) == truth.y.min()


@pytest.mark.parametrize(
    ("low", "high", "decades"),
    [
        (-1738, 1, True),
        (-0.7, -0.2, True),
        (-7.8e307, 0, True),
        (-4.3, 0.3, True),
        (-0.5, 4.5, False),
        (-0.5, 131071.5, False),
    ],
)
def test_ticks_are_round_and_inside(low, high, decades):
    found = _scale.ticks(low, high, 7, decades=decades, whole=not decades)
    assert 2 <= len(found) <= 9 and all(low <= at <= high for at, _ in found)
    assert len({label for _, label in found}) == len(found)


@pytest.mark.parametrize(
    ("exponent", "text"),
    [(0, "1"), (-1, "0.1"), (3, "1000"), (-1738, "1e-1738"), (20.30103, "2e20"), (-math.inf, "0"), (math.nan, "nan")],
)
def test_powers_are_spelled(exponent, text):
    assert spelling.spell(exponent) == text


CASES = {
    "five": lambda: smcli.compare([1000, 2000, 3000, 4000, 5000], dtype="float32"),
    "one": lambda: smcli.compare([5]),
    "nan": lambda: smcli.compare([np.nan, np.inf, 0]),
    "far": lambda: smcli.compare([1.7e308, -1.7e308, 0]),
    "huge": lambda: smcli.compare(np.cos(np.arange(131072.0)) * 300, dtype="float32", methods="shifted,fused"),
    "formats": lambda: smcli.compare([1, 2], dtype=["float64", "float16"], quantities="softmax"),
    "batch": lambda: smcli.compare([[1, 2], [1000, 0]], target=[0, 1]),
    "values": lambda: smcli.evaluate([1, 2, 3]),
    "matrix": lambda: smcli.gradient([1, 2]),
}


@pytest.mark.parametrize("case", CASES)
def test_everything_can_be_drawn(case, tmp_path):
    file = tmp_path / "a.svg"
    _plot.save(CASES[case](), str(file))
    picture = ET.fromstring(file.read_text(encoding="utf-8"))
    drawn = picture.findall("{http://www.w3.org/2000/svg}svg")
    assert len(drawn) >= 1 and len({one.get("y") for one in drawn}) == len(drawn)
    bottom = max(float(one.get("y")) + float(one.get("height")) for one in drawn)
    assert bottom <= float(picture.get("height")) and file.stat().st_size < 400_000


def test_the_same_report_gives_the_same_file():
    assert _plot.draw(CASES["five"]()) == _plot.draw(CASES["five"]())


def test_a_batch_is_drawn_by_its_worst_row():
    assert "row 1 of 2" in _plot.draw(CASES["batch"]())


@pytest.mark.parametrize("file", ["a.gif", "a.png", "a.pdf", "a"])
def test_another_kind_of_picture_is_refused(file):
    with pytest.raises(UsageError, match="no picture that is drawn here") as caught:
        _plot.check(file)
    assert "use .svg" in caught.value.hint


def test_rows_are_drawn_from_arrays():
    report = smcli.compare(np.random.default_rng(0).normal(0, 3, (3000, 4)), target=1, quantities="cross-entropy")
    size, error = figures.of_rows(report)
    assert size.series[0].x.tolist() == list(range(3000))
    logits = report.rows[17].results[0]
    assert size.series[0].y[17] == pytest.approx(math.log10(float(logits.exact([0])[0])), abs=1e-12)
    assert error.series[0].x.size == 3000


def test_the_command_line_draws(tmp_path):
    def smcli_(*words):
        return subprocess.run([sys.executable, "-m", "smcli", *words], capture_output=True, text=True, check=False)

    done = smcli_("compare", "1", "2", "--plot", str(tmp_path / "a.svg"))
    assert done.returncode == 0 and done.stderr == "" and "softmax" in done.stdout
    assert ET.fromstring((tmp_path / "a.svg").read_text(encoding="utf-8")).tag.endswith("svg")
    done = smcli_("compare", "1", "2", "--plot", str(tmp_path / "none" / "a.svg"))
    assert done.returncode == 2 and "error: cannot write" in done.stderr
    done = smcli_("grad", "1", "2", "3", "--target", "0", "--sweep", "--plot", str(tmp_path / "b.svg"), "-f", "html")
    assert done.returncode == 0 and "<polyline" in done.stdout and "error per step" in done.stdout
    assert "<polyline" in (tmp_path / "b.svg").read_text(encoding="utf-8")
    done = smcli_("compare", "1", "2", "--plot", "a.gif")
    assert done.returncode == 2 and done.stdout == ""
