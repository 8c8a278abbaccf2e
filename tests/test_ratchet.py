"""A ratchet: the worst error of every method in every format, stored, may only fall.

`tests/data/ratchet.json` holds, for each format, method and quantity, a triple for each set of problems: the worst
finite error in ulp, how many values were lost, and how many came out as no number though the truth is one.

A new method or format has no entry yet, and a better one has one that is too high. Both are mended by

    SMCLI_RATCHET=update python -m pytest tests/test_ratchet.py

which adds what is missing, lowers what is lower and drops what is gone. It never raises a figure: who wants to do that
takes the line out of the file by hand first, and says why in the commit.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from samples import derivatives_only

from smcli import methods
from smcli.judge.limits import limit
from smcli.judge.measure import measure, round_truth
from smcli.methods import run
from smcli.model import Loss, Problem, Verdict
from smcli.numbers.arithmetic import Arithmetic
from smcli.numbers.formats import FORMATS
from smcli.problem.specs import Tolerance
from smcli.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parent / "data"
STORED = DATA / "ratchet.json"
UPDATE = os.environ.get("SMCLI_RATCHET") == "update"
HOW = "run `SMCLI_RATCHET=update python -m pytest tests/test_ratchet.py` and commit tests/data/ratchet.json"
QUANTITIES = ("softmax", "log-softmax", "logsumexp", "cross-entropy", "gradient", "jacobian")
WITH_TARGET = {"cross-entropy", "gradient"}
SETS = ("mnist", "normal", "ranges", "offset", "long")
FEW = 6  # rows of a Jacobian and of finite differences
Triple = list[float]
Table = dict[str, dict[str, Triple]]


def allowed(dtype: str, method: str, stored: Triple) -> Triple:
    """What exp and log of another machine may do.

    Narrow formats round them once more, and their figures hardly move. In float64 they are NumPy's: an ulp more or less
    in each doubles an error that comes from cancellation, and finite differences are nothing but that. So the narrow
    formats hold an algorithm tightly, and float64 holds it against getting out of hand.
    """
    ulp, lost, missing = stored
    if dtype != "float64":
        return [ulp * 1.02 + 0.05, lost, missing]
    if derivatives_only(methods.get(method)):
        return [np.inf, np.inf, missing]
    return [ulp * 2.5 + 8, lost * 1.05 + 1, missing * 1.05 + 1]


def logits(name: str) -> np.ndarray:
    random = np.random.RandomState(len(name))
    if name == "mnist":
        return np.asarray(np.load(DATA / "bhh2021_mnist_logits.npy")[::50])
    if name == "normal":
        x = random.normal(0, 5, (40, 24))
    elif name == "ranges":
        x = random.uniform(-1, 1, (48, 8)) * np.array([1, 10, 40, 90, 200, 700])[np.arange(48) % 6, None]
    elif name == "offset":
        x = random.normal(0, 1, (40, 8)) + np.array([10, -10, 100, -100, 1000])[np.arange(40) % 5, None]
    else:
        x = random.normal(0, 1, (3, 600))
    return np.ldexp(np.rint(np.ldexp(x, 20)), -20)  # the last bits of a libm do not count


@cache
def truth(dtype: str, name: str, kind: str, rows: int) -> Reference:
    f = FORMATS[dtype]
    x = np.clip(logits(name), -f.max, f.max)[:rows]
    loss = Loss(target=np.arange(len(x)) * 7 % x.shape[1]) if kind == "target" else None
    return Reference(Problem(dtype, f.round(x), loss))


def worst(dtype: str, method: str, quantity: str, name: str) -> Triple:
    f = FORMATS[dtype]
    slow = quantity == "jacobian" or derivatives_only(methods.get(method))
    reference = truth(dtype, name, "target" if quantity in WITH_TARGET else "none", FEW if slow else 1000)
    problem, t = reference.problem, reference.truth(quantity)
    rounded = reference.settle(quantity, *round_truth(t, f), f)
    y = run(methods.get(method), problem, quantity, Arithmetic(f, f)).values
    infinite = np.zeros((len(y), 1), dtype=bool)
    errors = measure(y, t, rounded, f, limit(problem, quantity, reference, Tolerance()), infinite)
    finite = errors.ulp[np.isfinite(errors.ulp)]
    missing = ~np.isfinite(y) & np.isfinite(t.hi)
    figure = float(f"{finite.max() if finite.size else 0.0:.4g}")
    return [figure, int((errors.verdicts == Verdict.LOST).sum()), int(missing.sum())]


def has(m: methods.Method, quantity: str) -> bool:
    """Whether there is something to measure: gradients are those of cross-entropy."""
    return m.defines(quantity) and (quantity != "gradient" or m.differentiates("cross-entropy"))


def measured(dtype: str, method: str) -> Table:
    """All figures of one method in one format."""
    m, out = methods.get(method), {}
    for quantity in QUANTITIES:
        if has(m, quantity):
            sets = [s for s in SETS if s != "long" or not (quantity == "jacobian" or derivatives_only(m))]
            out[f"{dtype} {method} {quantity}"] = {s: worst(dtype, method, quantity, s) for s in sets}
    return out


def write(table: Table) -> None:
    lines = (f"  {json.dumps(key)}: {json.dumps(table[key])}" for key in sorted(table))
    STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def stored() -> Iterator[Table]:
    table: Table = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    yield table
    if UPDATE:
        write({key: sets for key, sets in table.items() if key in every_key()})


def every_key() -> set[str]:
    known = methods.formulas().items()
    return {f"{d} {name} {q}" for d in FORMATS for name, m in known for q in QUANTITIES if has(m, q)}


@pytest.mark.parametrize("method", list(methods.formulas()))
@pytest.mark.parametrize("dtype", FORMATS)
def test_no_method_became_worse(dtype: str, method: str, stored: Table) -> None:
    now = measured(dtype, method)
    if UPDATE:
        for key, sets in now.items():
            known = stored.setdefault(key, {})
            known.update({s: [min(pair) for pair in zip(t, known.get(s, t), strict=True)] for s, t in sets.items()})
        return
    worse = []
    for key, sets in now.items():
        assert key in stored and set(stored[key]) == set(sets), f"no figures of {key} are stored: {HOW}"
        for s, found in sets.items():
            limit = allowed(dtype, method, stored[key][s])
            if any(a > b for a, b in zip(found, limit, strict=True)):
                worse.append(f"{key} on {s}: [ulp, lost, missing] were {stored[key][s]}, are {found}")
    assert not worse, "\n".join(worse)


@pytest.mark.skipif(UPDATE, reason="the file is being written")
def test_nothing_is_stored_of_what_is_gone(stored: Table) -> None:
    assert not set(stored) - every_key(), f"the ratchet knows more than there is: {HOW}"


def test_a_worse_method_is_caught() -> None:
    assert allowed("float32", "naive", [2.0, 0, 0])[0] < 2.2 and allowed("float64", "naive", [2.0, 0, 0])[0] < 14
    assert worst("float32", "naive", "softmax", "ranges")[2] > 0 == worst("float32", "shifted", "softmax", "ranges")[2]
    assert (
        worst("float32", "explse", "softmax", "offset")[0] > 100 > worst("float32", "shifted", "softmax", "offset")[0]
    )
