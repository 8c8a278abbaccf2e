"""docs/truth.md says what is so: the bounds that tiers certify, and what counts as accurate."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest

pytest.importorskip("flint")
sys.path.insert(0, str(Path(__file__).parent / "attack"))

from problems import draw

import smcli
from smcli.errors import SmcliError

PAGE = " ".join((Path(__file__).parent.parent / "docs" / "truth.md").read_text(encoding="utf-8").split())
CELLS = {tier: re.search(rf"\| `{tier}` \|[^|]*\| ([^|]*) \|", PAGE)[1] for tier in ("float64", "double_double")}
FOCAL = {"entropy", "focal"}
DIFFERENCES = {"gradient", "kl", "vjp", "logsumexp", "focal", "log-sigmoid"}


def powers(tier):
    return [int(n) for n in re.findall(r"2\^-(\d+)", CELLS[tier])]


def allowed(quantity, *, wide):
    """The page's bound of a quantity, as 2 to the minus."""
    if wide:
        most, more, *differences = powers("double_double")
        return min(differences) if quantity in DIFFERENCES else more if quantity in {"entropy", "jacobian"} else most
    most, more, *differences = powers("float64")
    return min(differences) if quantity in DIFFERENCES - FOCAL else more if quantity in FOCAL else most


def test_bounds_are_those_of_the_page():
    """A document tells a bound to one digit, rounded upwards."""
    rng, seen = Random(11), {}
    for _ in range(250):
        problem = draw(rng)
        options = {k: v for k, v in problem.keywords.items() if k not in {"reduction", "digits"}}
        call = smcli.gradient if problem.quantity in {"gradient", "jacobian", "vjp"} else smcli.compare
        try:
            document = call(problem.logits, quantities=problem.quantities, methods="naive", **options).to_dict()
        except SmcliError:
            continue
        for q in (q for row in document["rows"] for q in row["results"]):
            wide = document["dtype"] == "float64"
            bound = float(q["certified"])
            seen.setdefault((wide, q["quantity"]), []).append(bound)
            least = 2.0 ** -allowed(q["quantity"], wide=wide)
            assert bound <= float(f"{least:.0e}") + 10.0 ** math.floor(math.log10(least)), (q["quantity"], wide, bound)
    assert len(seen) >= 20


def test_the_bounds_of_plain_problems_are_the_first_of_the_page():
    x = np.random.default_rng(1).normal(0, 5, (4, 50))
    for quantity in ("softmax", "log-softmax", "cross-entropy", "sigmoid"):
        target = {"target": 0} if quantity == "cross-entropy" else {}
        for dtype, tier in (("float64", "double_double"), ("float32", "float64"), ("float16", "float64")):
            assert np.max(smcli.truth(x, quantity, dtype=dtype, **target).bound) <= 2.0 ** -powers(tier)[0]


def limit_told(logits, quantity, method, **options):
    """What a careful algorithm stays within, as SM401 tells it of values that are far off."""
    call = smcli.gradient if quantity == "gradient" else smcli.compare
    found = call(logits, methods=method, quantities="cross-entropy" if quantity == "gradient" else quantity, **options)
    said = {re.search(r"stays within (\S+) ulp", f.message)[1] for f in found.findings if f.code == "SM401"}
    (one,) = said
    return float(one)


def test_what_counts_as_accurate_is_what_the_page_says():
    for formula in (
        "max(8, 2(log2 n + 4 + |x_j − m|)) ulp for softmax and gradients",
        "max(8, 2(log2 n + 4)) for log-softmax and cross-entropy",
        "max(8, 2(log2 n + 4 + κ)) for logsumexp, with the componentwise condition κ = Σ p_i |x_i| / |lse|",
        "(a + b)/|a − b| times as much",
    ):
        assert formula in PAGE
    x = [-744.0, -745.0]
    assert limit_told(x, "softmax", "naive") == 2 * (1 + 4 + 1)  # the larger of two classes' limits
    assert limit_told([1e9, 1e9 + 1, 0], "log-softmax", "explse") == pytest.approx(2 * (math.log2(3) + 4), rel=1e-5)
    y = np.array([-0.775, -0.6175])
    p = np.exp(y) / np.exp(y).sum()
    kappa = float((p * np.abs(y)).sum() / 5.2378479500875366e-6)
    z = np.array([-12.3392, 0.0])
    small = np.float32(z).astype(float)
    lse = math.log1p(math.exp(small[0]))
    kappa32 = math.exp(small[0]) / (1 + math.exp(small[0])) * abs(small[0]) / lse
    told = limit_told(z, "logsumexp", "naive", dtype="float32")
    assert told == pytest.approx(2 * (1 + 4 + kappa32), rel=1e-4)
    assert kappa > 1e5 and not [f for f in smcli.compare(y, quantities="logsumexp").findings if f.code == "SM401"]
    assert told < 2 * (1 + 4 + 12.3392 / lse) / 1e3  # the norm in place of the condition would allow far more
