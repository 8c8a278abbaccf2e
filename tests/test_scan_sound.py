"""Rows that are counted in the cache are counted as the long way counts them, and nothing that is odd is counted so."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smcli import analyse, methods
from smcli.batch import Batch, RawBlock
from smcli.numbers import formats
from smcli.problem.build import problems
from smcli.problem.specs import LossSpec, Numerics, Settings, Tolerance
from smcli.reference import Reference
from smcli.reference.float64.values import BOUND
from smcli.scan import sound
from smcli.scan.tally import of_block

SINGLE = formats.get("float32")
BOTH = ("naive", "shifted")


def settings(names=BOTH, **given):
    numerics = Numerics(dtypes=("float32",), **given.pop("numerics", {}))
    return Settings(command="scan", methods=names, quantities=("softmax",), numerics=numerics, **given)


def both_ways(x, chosen):
    """The tallies of each row: in the cache, and the long way."""
    batch = Batch((RawBlock(x, range(len(x)), dtype="float32"),))
    for problem, raw in problems(batch, chosen):
        short = sound.tally(problem, raw, Reference(problem), chosen, 100)
        judged = analyse.judge(problem, raw, Reference(problem), chosen)
        yield short, of_block(judged, 100, chosen.tolerance)


def same(short, long):
    assert (short.rows, short.values, short.findings, short.worst_rows, short.missing) == (
        long.rows, long.values, long.findings, long.worst_rows, long.missing
    )  # fmt: skip
    assert short.counts.keys() == long.counts.keys()
    for key, mine in short.counts.items():
        theirs = long.counts[key]
        assert mine.worst == theirs.worst and mine.beyond == theirs.beyond
        assert mine.verdicts.tolist() == theirs.verdicts.tolist()
        assert mine.histogram.tolist() == theirs.histogram.tolist()


@pytest.mark.parametrize("names", [BOTH, ("shifted",), ("naive", "logspace"), ("explse", "shifted", "naive")])
@pytest.mark.parametrize(("size", "spread"), [(70001, 8), (131072, 8), (100000, 0.001), (80000, 3)])
def test_counts_are_those_of_the_long_way(names, size, spread):
    x = np.random.default_rng(size).normal(0.3, spread, (4, size)).astype(np.float32)
    known = 0
    for short, long in both_ways(x, settings(names)):
        if short is not None:
            same(short, long)
            known += 1
        else:
            assert long.findings or "explse" in names
    assert known or "explse" in names


@pytest.mark.parametrize("names", [BOTH, ("shifted",), ("naive", "logspace"), ("explse", "shifted", "naive")])
@pytest.mark.parametrize(("rows", "size"), [(3000, 64), (700, 1000), (50, 4096), (9, 20000), (5, 40000)])
@pytest.mark.parametrize("spread", [0.01, 3, 9])
def test_blocks_of_rows_are_counted_as_the_long_way_counts_them(names, rows, size, spread):
    x = np.random.default_rng(size).normal(0.3, spread, (rows, size)).astype(np.float32)
    known = 0
    for short, long in both_ways(x, settings(names)):
        if short is not None:
            same(short, long)
            known += short.rows
        else:
            assert long.findings or "explse" in names
    assert known or "explse" in names


def test_equal_rows_name_the_first_of_the_worst():
    x = np.tile(np.random.default_rng(5).normal(0, 4, (1, 500)), (60, 1)).astype(np.float32)
    ((short, long),) = both_ways(x, settings())
    same(short, long)
    assert [w.row for w in short.worst_rows] == list(range(100, 120))


def test_one_odd_row_takes_its_block_the_long_way():
    x = np.random.default_rng(2).normal(0, 5, (200, 1000)).astype(np.float32)
    x[70, 7] = np.nan
    ways = list(both_ways(x, settings()))
    assert [short is None for short, _ in ways] == [False, True, False, False]
    assert [bool(long.findings) for _, long in ways] == [False, True, False, False]


def test_rows_with_ties_are_settled():
    """Among so many values the bound of the truth leaves some roundings open: they are decided as the long way does."""
    x = np.random.default_rng(1).normal(0, 4, (40, 131072)).astype(np.float32)
    chosen, asked = settings(("naive",)), []

    class Watched(Reference):
        def settle(self, *args):
            asked.append(1)
            return super().settle(*args)

    for problem, raw in problems(Batch((RawBlock(x, range(40), dtype="float32"),)), chosen):
        short = sound.tally(problem, raw, Watched(problem), chosen, 0)
        assert short is not None
        if asked:
            judged = analyse.judge(problem, raw, Reference(problem), chosen)
            same(short, of_block(judged, 0, chosen.tolerance))
            return
    pytest.fail("no tie among five million values")


def odd_rows():
    ordinary = np.random.default_rng(2).normal(0, 5, 70000)
    yield "nan", np.where(np.arange(70000) == 7, np.nan, ordinary)
    yield "inf", np.where(np.arange(70000) == 7, np.inf, ordinary)
    yield "masked", np.where(np.arange(70000) == 7, -np.inf, ordinary)
    yield "all masked", np.full(70000, -np.inf)
    yield "overflow", np.where(np.arange(70000) == 7, 95.0, ordinary)
    yield "underflow", np.where(np.arange(70000) == 7, -120.0, ordinary)
    yield "equal, so that each truth is a power of 2", np.zeros(65536)
    yield "probabilities", np.full(70000, 1 / 70000)
    yield "large", ordinary + 1000


@pytest.mark.parametrize("row", [pytest.param(x, id=name) for name, x in odd_rows()])
def test_odd_rows_go_the_long_way(row):
    ((short, _),) = both_ways(row.astype(np.float32)[None], settings())
    assert short is None


@pytest.mark.parametrize(
    "chosen",
    [
        settings(numerics={"order": "sequential"}),
        settings(numerics={"accumulate": "float64"}),
        settings(("naive", "online")),
        settings(tolerance=Tolerance(max_rel=1e-6)),
        settings(tolerance=Tolerance(max_ulp=1.0)),
    ],
    ids=["sequential", "accumulator", "a method that needs a trace", "a relative limit", "a limit that is passed"],
)
def test_what_it_does_not_know_goes_the_long_way(chosen):
    x = np.random.default_rng(2).normal(0, 8, (1, 70000)).astype(np.float32)
    ((short, _),) = both_ways(x, chosen)
    assert short is None


def test_a_limit_that_holds():
    x = np.random.default_rng(2).normal(0, 2, (2, 70000)).astype(np.float32)
    for short, long in both_ways(x, settings(tolerance=Tolerance(max_ulp=1e4))):
        same(short, long)


def test_a_target_does_not_matter_to_softmax():
    x = np.random.default_rng(2).normal(0, 2, (1, 70000)).astype(np.float32)
    for short, long in both_ways(x, settings(loss=LossSpec(target=(3,)))):
        same(short, long)


def test_the_margin_covers_what_it_has_to():
    """Errors below margin times limit cannot add up to more than the limits' sum by what the roundings of a sum are."""
    u, size = 2.0**-53, 2**24
    least = (
        8 * SINGLE.unit_roundoff
    )  # of the limits' sum, as every limit is 8 spacings or more, and the truths sum to 1
    assert (1 - sound.MARGIN) * least > BOUND + 4 * math.log2(size) * u


@pytest.mark.parametrize("name", sorted(methods.formulas()))
def test_every_formula_is_known_or_declined(name):
    chosen = settings((name,))
    if not methods.get(name).defines("softmax"):
        return
    x = np.random.default_rng(4).normal(0, 2, (1, 70000)).astype(np.float32)
    ((short, long),) = both_ways(x, chosen)
    if short is not None:
        same(short, long)
