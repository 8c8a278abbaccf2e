"""Figures: what they hold, and what matplotlib makes of them."""

import builtins
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import smcli
from smcli.errors import UnavailableError, UsageError
from smcli.render import _figures as figures
from smcli.render import _plot, _scale


def changed(noun, **changes):
    """A copy of a noun with some of its fields changed, whichever kind of record it is."""
    return noun._replace(**changes) if hasattr(noun, "_replace") else replace(noun, **changes)


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
    assert _scale.spell(exponent) == text


@pytest.fixture
def drawing():
    pytest.importorskip("matplotlib")


MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
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
def test_everything_can_be_drawn(case, drawing, tmp_path):
    file = tmp_path / "a.png"
    _plot.save(CASES[case](), str(file))
    assert file.read_bytes().startswith(MAGIC["png"]) and file.stat().st_size > 10_000


@pytest.mark.parametrize("kind", MAGIC)
def test_the_same_report_gives_the_same_file(kind, drawing):
    once = _plot.draw(CASES["five"](), kind)
    assert once == _plot.draw(CASES["five"](), kind) and once.startswith(MAGIC[kind])


def test_dollars_in_a_name_are_no_mathematics(drawing):
    report = smcli.compare([1, 2], quantities="softmax")
    (q,) = report.rows[0].results
    methods = tuple(changed(m, method=f"$\\frac{{{m.method}$ 漢") for m in q.methods)
    row = changed(report.rows[0], results=(changed(q, methods=methods),))
    assert _plot.draw(changed(report, rows=(row,)), "svg")


def test_an_unknown_suffix_is_refused():
    with pytest.raises(UsageError, match=r"'\.gif'"):
        _plot.check("a.gif")


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UnavailableError) as caught:
        _plot.check("a.png")
    assert caught.value.exit_code == 3 and caught.value.hint == "pip install 'smcli[plot]'"


def test_pages_need_no_matplotlib(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        assert not name.startswith("matplotlib")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    from smcli.render import Style, module

    assert "<svg" in module("html").render(CASES["five"](), Style())


def test_the_command_line_draws(drawing, tmp_path):
    def smcli_(*words):
        return subprocess.run([sys.executable, "-m", "smcli", *words], capture_output=True, text=True, check=False)

    done = smcli_("compare", "1", "2", "--plot", str(tmp_path / "a.svg"))
    assert done.returncode == 0 and done.stderr == "" and "softmax" in done.stdout
    assert (tmp_path / "a.svg").read_bytes().startswith(MAGIC["svg"])
    done = smcli_("compare", "1", "2", "--plot", str(tmp_path / "none" / "a.svg"))
    assert done.returncode == 2 and "error: cannot write" in done.stderr
    done = smcli_("grad", "1", "2", "3", "--target", "0", "--sweep", "--plot", str(tmp_path / "b.pdf"), "-f", "html")
    assert done.returncode == 0 and "<polyline" in done.stdout and "error per step" in done.stdout
    assert (tmp_path / "b.pdf").read_bytes().startswith(MAGIC["pdf"])
    done = smcli_("compare", "1", "2", "--plot", "a.gif")
    assert done.returncode == 2 and done.stdout == ""
