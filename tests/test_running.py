"""The ends of running sums: what adding one term after the other gives, and in time that grows as the rows do."""

from __future__ import annotations

import time

import numpy as np
import pytest

from smcli.numbers import formats
from smcli.numbers.running import ends


def one_by_one(terms, fmt):
    total = terms[:, 0].copy()
    for column in terms.T[1:]:
        total = fmt.round(total + column)
    return total


@pytest.mark.parametrize("name", formats.FORMATS)
@pytest.mark.parametrize("kind", ["flat", "falling", "rising", "mixed", "zeros first", "short"])
def test_it_is_the_sum_one_after_the_other(name, kind):
    fmt, rng = formats.get(name), np.random.default_rng(len(name + kind))
    x = rng.normal(0, rng.choice([0.1, 1.0, 5.0], size=(7, 1)), (7, 3000))
    if kind == "flat":
        x = np.zeros((7, 3000))
    elif kind in {"falling", "rising"}:
        x = np.sort(x)[:, :: 1 if kind == "rising" else -1]
    elif kind == "short":
        x = x[:, : rng.integers(1, 4)]
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p = fmt.round(p / p.sum(axis=1, keepdims=True))
    if kind == "zeros first":
        p[:, :1500] = 0
    assert np.array_equal(ends(p, fmt), one_by_one(p, fmt))


def test_float16_agrees_with_the_processor():
    fmt = formats.get("float16")
    p = fmt.round(np.random.default_rng(1).exponential(1 / 5000, (20, 5000)))
    assert np.array_equal(ends(p, fmt), np.add.accumulate(p.astype(np.float16), axis=1)[:, -1].astype(float))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_its_time_is_that_of_a_few_passes(name):
    fmt = formats.get(name)
    p = fmt.round(np.full((64, 32768), 1 / 32768))

    def seconds(work):
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            work()
            best = min(best, time.process_time() - start)
        return best

    assert seconds(lambda: ends(p, fmt)) < 15 * seconds(lambda: np.cumsum(p, axis=1))
