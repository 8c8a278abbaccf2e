"""Wrong values of unseen code that a method here returns bit for bit: how that code computes is known then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli import methods
from smcli.errors import SmcliError
from smcli.findings.alternatives import LOGITS
from smcli.findings.evidence import NEEDED
from smcli.findings.remedies import accurate_by
from smcli.judge.measure import spacing
from smcli.numbers.arithmetic import Arithmetic

if TYPE_CHECKING:
    from smcli.findings.evidence import RunEvidence
    from smcli.model import BoolArray, FloatArray, IntArray

KNOWN = ("naive", "shifted", "explse", "fused", "log1p")
ORDERS = (("pairwise", ""), ("sequential", ", adding one term after the other"))
BETTER = ("shifted", "fused", "log1p", "naive")
IN_PAIRS = "add in pairs, or in a wider format"
SAMPLE = 4


def of(ev: RunEvidence, wrong: BoolArray) -> list[tuple[str, BoolArray]]:
    """The methods that return all values of the first wrong rows, each in a sentence, with these rows, bool [R].

    A value that is off by k spacings is met by chance once in 2k; see `alternatives` for how much is needed.
    """
    rows = np.flatnonzero((wrong & ev.clean).any(axis=1))
    rows = rows[: max(1, min(SAMPLE, LOGITS // ev.x.shape[1]))]
    out = []
    for name in KNOWN:
        method = methods.get(name)
        if not rows.size or not method.suits(ev.problem, ev.quantity.name):
            continue
        for order, words in ORDERS:
            same = _same(ev, rows, name, order)
            if same.any():
                mask = np.zeros(len(ev.x), bool)
                mask[rows[same]] = True
                remedy = IN_PAIRS if order == "sequential" else _better(ev, wrong, name, mask)
                out.append(
                    (f"the method {name} returns the same in {ev.format.name}, bit for bit{words}: {remedy}", mask)
                )
                rows = rows[~same]
    return out


def _better(ev: RunEvidence, wrong: BoolArray, name: str, rows: BoolArray) -> str:
    """What is accurate in these rows."""
    better = next((m for m in BETTER if m != name and accurate_by(m, ev, wrong)[rows].all()), "")
    return f"compute it as the method {better} does" if better else "compute in a wider format"


def _same(ev: RunEvidence, rows: IntArray, name: str, order: str) -> BoolArray:
    """In which of these rows a method returns the same values, which is no chance."""
    f = ev.format
    try:
        values = methods.run(
            methods.get(name), ev.problem.select(rows), ev.quantity.name, Arithmetic(f, f, order)
        ).values
    except SmcliError:
        return np.zeros(rows.size, bool)
    y = ev.y[rows]
    off: FloatArray = np.abs(y - ev.t[rows]) / spacing(ev.t[rows], f)
    bits = np.log2(np.maximum(np.nan_to_num(off, nan=0.0, posinf=0.0), 0.5) * 2).sum(axis=1)
    return np.asarray((values == y).all(axis=1) & (bits >= NEEDED))
