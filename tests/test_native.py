"""float32 arithmetic without a trace gives what the traced one gives, bit for bit, for every method that it can run."""

from __future__ import annotations

import numpy as np
import pytest

from smcli import methods
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic, Rows
from smcli.numbers.native import Native, UntracedError

SINGLE = formats.get("float32")
RANDOM = np.random.default_rng(7)
ROWS = {
    "ordinary": RANDOM.normal(0, 8, (3, 1001)),
    "far apart": RANDOM.normal(0, 60, (3, 257)),
    "beyond exp": RANDOM.uniform(80, 100, (2, 64)),
    "subnormal": RANDOM.uniform(-105, -85, (2, 64)),
    "tiny and huge": RANDOM.normal(0, 1, (2, 99)) * 10.0 ** RANDOM.integers(-40, 38, (2, 99)),
    "odd": np.array([[1.0, np.inf, 2.0, -np.inf], [np.nan, 0.0, -0.0, 3.0]]),
    "one": np.array([[3.0]]),
}
QUANTITIES = ("softmax", "log_softmax", "logsumexp")


def able():
    return [(name, q) for name, m in methods.formulas().items() for q in QUANTITIES if hasattr(m.algorithm, q)]


def test_most_methods_need_no_trace():
    found = set()
    for name, quantity in able():
        x = Rows(np.zeros((1, 4), np.float32), "x")
        try:
            getattr(methods.get(name).algorithm, quantity)(x, Native())
        except UntracedError:
            continue
        found.add(name)
    assert {"naive", "shifted", "logspace", "explse"} <= found


@pytest.mark.parametrize(("name", "quantity"), able())
@pytest.mark.parametrize("rows", ROWS.values(), ids=list(ROWS))
def test_the_results_are_those_of_the_traced_arithmetic(name, quantity, rows):
    formula = getattr(methods.get(name).algorithm, quantity)
    with np.errstate(all="ignore"):
        x = rows.astype(np.float32)
        try:
            got = formula(Rows(x, "x"), Native())
        except UntracedError:
            return
        want = formula(Rows(x.astype(np.float64), "x"), Arithmetic(SINGLE, SINGLE))
    assert got.values.dtype == np.float32 and got.expr == want.expr
    assert np.array_equal(got.values.astype(np.float64), want.values, equal_nan=True)


def test_known_exponentials_are_rounded_not_computed():
    o, x = Native(), Rows(np.zeros((1, 3), np.float32), "x")
    o.know(x, np.array([[1.0, 2.0, 3.0 + 2.0**-30]]))
    assert o.exp(x).values.tolist() == [[1.0, 2.0, 3.0]]
    assert o.exp(Rows(x.values.copy(), "y")).values.tolist() == [[1.0, 1.0, 1.0]]


def test_an_empty_sum_is_left_to_the_traced_arithmetic():
    with pytest.raises(UntracedError):
        Native().sum(Rows(np.zeros((1, 0), np.float32), "x"))
