"""Sums of exponentials in pairs of float64, for the few elements that cancel more than float64 tells.

Only terms that matter are taken in pairs: those with e·max(|d|, S) above a part of S = Σ e|d|/Σ e, which leaves all others
together less than that part. The others err as in `along`: 18 + k units of u = 2^-53 for e·d, 17 + k for e. Pairs of e^z
and their sums err by less than 2^-88, products and quotients of pairs by less, as `double_double` derives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smcli.reference.float64.reduce import additions

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, IntArray
    from smcli.reference.double_double.twofold import Pair

U = 2.0**-53
_DEEPEST = 2.0**-865  # terms that are certified at all


class Sums(NamedTuple):
    """Of every row [R, 1]: Σ e and Σ e·d in pairs, and the absolute errors of both."""

    total: Pair
    moment: Pair
    total_error: FloatArray
    moment_error: FloatArray


def difference(x: FloatArray, base: FloatArray, temperature: float) -> Pair:
    """(x - base)/T for a power of 2, exactly."""
    from smcli.reference.double_double.twofold import two_sum

    hi, lo = two_sum(x, -base)
    return hi / temperature, lo / temperature


def sums(z: Pair, d: Pair | None, part: FloatArray | float, without: IntArray | None = None) -> Sums:
    """The sums of some rows [R, C]; d of None is 1, and one column of each row may be left out [R, 1].

    Terms with a z of -inf are 0, and their d is not looked at.
    """
    from smcli.reference.double_double import twofold
    from smcli.reference.double_double.kernels import scaled_exp
    from smcli.reference.double_double.reduce import paired

    e, n = np.exp(z[0]), z[0].shape[1]
    if without is not None:
        e[np.arange(len(e))[:, None], without] = 0
    one = np.ones((1, 1))
    way = one if d is None else np.where(e == 0, 0, d[0])
    terms = e * way
    size = np.abs(terms)
    whole = one if d is None else size.sum(axis=1, keepdims=True) / e.sum(axis=1, keepdims=True)
    matter = (e * np.maximum(np.abs(way), whole) > part / n * whole) & (e > _DEEPEST)
    left, total_left = (np.where(matter, 0, a).sum(axis=1, keepdims=True) for a in (size, e))
    row = np.nonzero(matter)[0]
    scaled, k = scaled_exp((z[0][matter], z[1][matter]))
    power: Pair = np.ldexp(scaled[0], k), np.ldexp(scaled[1], k)
    total = twofold.add_any(_by_rows(power, matter, row), paired(total_left))
    error = 1.01 * U * (17 + additions(n)) * total_left + 2.0**-87 * total[0]
    if d is None:
        return Sums(total, total, error, error)
    moment = _by_rows(twofold.mul(power, (d[0][matter], d[1][matter])), matter, row)
    moment = twofold.add_any(moment, paired(np.where(matter, 0, terms).sum(axis=1, keepdims=True)))
    spread = size.sum(axis=1, keepdims=True)
    return Sums(total, moment, error, 1.01 * U * (18 + additions(n)) * left + 2.0**-87 * spread)


def _by_rows(terms: Pair, matter: BoolArray, row: IntArray) -> Pair:
    """The sums of every row [R, 1] of terms of any sign, to 2^-96 of their absolute values."""
    from smcli.reference.double_double import twofold

    counts = matter.sum(axis=1)
    column = np.arange(row.size) - (np.cumsum(counts) - counts)[row]
    hi, lo = (np.zeros((len(matter), max(1, int(counts.max(initial=0))))) for _ in range(2))
    hi[row, column], lo[row, column] = terms
    hi, lo = twofold.fold(hi, lo, [np.empty_like(hi) for _ in range(5)])
    return twofold.two_sum(hi, lo)
