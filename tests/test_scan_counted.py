"""What is only counted is counted as what is told: no remedy, bound or condition number changes which findings there are."""

from __future__ import annotations

import numpy as np
import pytest

from smcli import analyse, quantities
from smcli.batch import Batch, RawBlock
from smcli.numbers import formats
from smcli.problem.build import problems
from smcli.problem.specs import LossSpec, Numerics, Settings, Tolerance
from smcli.reference import Reference
from smcli.reference.block import _any_near_power
from smcli.scan.tally import of_block

RANDOM = np.random.default_rng(23)
ROWS = [
    np.vstack([RANDOM.normal(0, 6, (12, 7)), RANDOM.normal(0, 80, (12, 7)), RANDOM.normal(900, 1, (6, 7))]),
    np.vstack([RANDOM.normal(-95, 8, (20, 9)), np.zeros((2, 9)), np.full((2, 9), 9.0), np.full((1, 9), -np.inf)]),
    np.array([[1.0, np.nan, 2.0], [np.inf, 0.0, 1.0], [-np.inf, 3.0, 4.0], [0.2, 0.3, 0.5], [-0.775, -0.6175, -1e30]]),
    np.array([[-0.775, -0.6175], [900.1, 300.7], [1e9, 1e9 + 1], [16.942385, 0.0], [0.0, -800.0], [40.0, 0.0]]),
]
METHODS = ("naive", "shifted", "fused", "explse", "logspace")


@pytest.mark.parametrize("dtype", list(formats.FORMATS))
@pytest.mark.parametrize("quantity", [q for q in quantities.values() if not quantities.get(q).needs])
@pytest.mark.parametrize("order", ["pairwise", "sequential"])
def test_counts_are_those_of_what_is_told(dtype, quantity, order):
    for methods in (METHODS, ("shifted",)):
        for tolerance in (Tolerance(), Tolerance(max_ulp=3.0)):
            settings = Settings(
                command="scan", methods=methods, quantities=(quantity,), loss=LossSpec(), tolerance=tolerance,
                numerics=Numerics(dtypes=(dtype,), order=order),
            )  # fmt: skip
            for x in ROWS:
                for problem, raw in problems(Batch((RawBlock(x, range(len(x))),)), settings):
                    told, counted = (
                        of_block(analyse.judge(problem, raw, Reference(problem), settings, counted=only), 0, tolerance)
                        for only in (False, True)
                    )
                    assert counted.findings == told.findings
                    assert counted.worst_rows == told.worst_rows or "nan" in repr(told.worst_rows)
                    for key, count in told.counts.items():
                        assert counted.counts[key].verdicts.tolist() == count.verdicts.tolist()
                        assert counted.counts[key].histogram.tolist() == count.histogram.tolist()


def test_a_note_on_conditions_is_counted_too():
    settings = Settings(
        command="scan", methods=("fused",), quantities=("logsumexp",), numerics=Numerics(dtypes=("float64",))
    )
    (problem, raw), = problems(Batch((RawBlock(ROWS[3][:1], range(1)),)), settings)  # fmt: skip
    judged = analyse.judge(problem, raw, Reference(problem), settings, counted=True)
    assert "SM406" in of_block(judged, 0, Tolerance()).findings


def test_truths_near_a_power_of_2_are_seen_in_their_bits():
    bound = 2.0**-47

    def looked_at(t):
        zeros = np.broadcast_to(0.0, (1, 1)), np.broadcast_to(0, (1, 1))
        from smcli.model import Truth

        return _any_near_power(Truth(np.array([[t]]), *zeros, bound))

    for base in (0.5, -1.0, 2.0**-100, 2.0**80):
        for steps in range(-200, 200):
            t = base * (1 + steps * 2.0**-53)
            mantissa, _ = np.frexp(abs(t))
            if min(abs(mantissa - 0.5), abs(mantissa - 1)) <= 2 * bound:
                assert looked_at(t)
        assert (
            not looked_at(base * 1.25) and not looked_at(base * (1 + 2.0**-44)) and not looked_at(base * (1 - 2.0**-44))
        )
