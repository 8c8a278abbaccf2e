"""Sums of exponentials in pairs of float64, for the few elements that cancel more than float64 tells.

Only terms that matter are taken in pairs: those with e·max(|d|, S) above a part of S = Σ e|d|/Σ e, which leaves all others
together less than that part. The others err as in `along`: 18 + k units of u = 2^-53 for e·d, 17 + k for e. Pairs of e^z
and their sums err by less than 2^-88, products and quotients of pairs by less, as `double_double` derives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smcli.reference.float64.reduce import U, additions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smcli.model import BoolArray, FloatArray, IntArray
    from smcli.reference.double_double.twofold import Pair

MANY, LONGEST = 1 << 16, 1 << 20  # logits that are worked on at once, and those of one row
_DEEPEST = 2.0**-865  # terms that are certified at all


class Sums(NamedTuple):
    """Of every row [R, 1]: Σ e and Σ e·d in pairs, and the absolute errors of both."""

    total: Pair
    moment: Pair
    total_error: FloatArray
    moment_error: FloatArray


def in_parts(r: IntArray, c: IntArray, columns: int) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Open elements, rows ascending, some rows at a time: the rows, and of each element which of them, and its column.

    Rows of more than LONGEST are left out: what is computed here takes forty times their memory.
    """
    every = np.unique(r) if columns <= LONGEST else r[:0]
    step = max(1, MANY // columns)
    for start in range(0, len(every), step):
        some = every[start : start + step]
        ours = slice(*np.searchsorted(r, (some[0], some[-1] + 1)))
        yield some, np.searchsorted(some, r[ours]), c[ours]


def places(mask: BoolArray) -> tuple[IntArray, IntArray]:
    """Rows and columns of what is true, as `nonzero` tells them, but for few of many faster."""
    row, column = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return row, column


def difference(x: FloatArray, base: FloatArray, temperature: float) -> Pair:
    """(x - base)/T for a power of 2, exactly."""
    from smcli.reference.double_double.twofold import two_sum

    hi, lo = two_sum(x, -base)
    return hi / temperature, lo / temperature


def picker(x: FloatArray, base: FloatArray, temperature: float) -> Callable[[IntArray, IntArray], Pair]:
    """What tells (x - base)/T of single elements of rows [R, C]."""
    return lambda row, column: difference(x[row, column], base[row, 0], temperature)


def sums(
    z: FloatArray,
    pairs: Callable[[IntArray, IntArray], Pair],
    part: FloatArray | float,
    *,
    d: tuple[FloatArray, Callable[[IntArray, IntArray], Pair]] | None = None,
    without: IntArray | None = None,
) -> Sums:
    """The sums of some rows z [R, C]; d of None is 1, and one column of each row may be left out [R, 1].

    `pairs` tells z, and what stands beside d tells d, of single elements. Terms with a z of -inf are 0; their d is finite.
    """
    from smcli.reference.double_double import twofold

    e, n = np.exp(z), z.shape[1]
    if without is not None:
        e[np.arange(len(e))[:, None], without] = 0
    all_e = e.sum(axis=1, keepdims=True)
    if d is None:
        terms = size = e
        matter = e > np.maximum(part / n, _DEEPEST)
    else:
        terms = e * d[0]
        size = np.abs(terms)
        whole = size.sum(axis=1, keepdims=True) / all_e
        matter = (e * np.maximum(np.abs(d[0]), whole) > part / n * whole) & (e > _DEEPEST)
    row, column = places(matter)
    power = powers(pairs(row, column))
    e[matter] = 0
    rest = e.sum(axis=1, keepdims=True)
    total = twofold.add_any(_by_rows(power, matter, row), twofold.paired(rest))
    error = 1.01 * U * (17 + additions(n)) * rest + 2.0**-87 * total[0]
    if d is None:
        return Sums(total, total, error, error)
    moment = _by_rows(twofold.mul(power, d[1](row, column)), matter, row)
    unsure = 2.0**-87 * size.sum(axis=1, keepdims=True)
    terms[matter] = size[matter] = 0
    moment = twofold.add_any(moment, twofold.paired(terms.sum(axis=1, keepdims=True)))
    return Sums(total, moment, error, unsure + 1.01 * U * (18 + additions(n)) * size.sum(axis=1, keepdims=True))


def powers(z: Pair) -> Pair:
    """e^z of pairs for -700 <= z <= 0."""
    from smcli.reference.double_double.functions import scaled_exp

    scaled, k = scaled_exp(z)
    return np.ldexp(scaled[0], k), np.ldexp(scaled[1], k)


def _by_rows(terms: Pair, matter: BoolArray, row: IntArray) -> Pair:
    """The sums of every row [R, 1] of terms of any sign, to 2^-96 of their absolute values."""
    from smcli.reference.double_double import twofold

    counts = matter.sum(axis=1)
    column = np.arange(row.size) - (np.cumsum(counts) - counts)[row]
    hi, lo = (np.zeros((len(matter), max(1, int(counts.max(initial=0))))) for _ in range(2))
    hi[row, column], lo[row, column] = terms
    hi, lo = twofold.fold(hi, lo, [np.empty_like(hi) for _ in range(5)])
    return twofold.two_sum(hi, lo)
