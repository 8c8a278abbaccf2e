"""A-priori error bounds: what a formula's own bound is made of, and how it becomes ulp at the truth.

For sums in any order and elementary functions good to c·u (c = 1, and 2 in float64, whose exp and log are NumPy's).
Where a first-order theorem says k·u, k·u/(1 − k·u) stands here, so that nothing is left out; there is no bound where
k·u > 1/2 or something over- or underflows, which the theorems exclude.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smcli.judge.measure import spacing

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import FloatArray, Problem
    from smcli.numbers.formats import Format
    from smcli.problem.specs import Settings


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sizes:
    """The figures of rows that bounds are made of; arrays are float64 [R].

    Attributes:
        n: logits of a row.
        c: exp and log are good to c·u.
        top, bottom: the largest and the smallest logit.
        s: the sum of exp(x − max x) without the maximum's own 1.
    """

    n: float
    c: float
    top: FloatArray
    bottom: FloatArray
    s: FloatArray

    @property
    def spread(self) -> FloatArray:
        """max x − min x."""
        return self.top - self.bottom

    @property
    def log(self) -> FloatArray:
        """log1p(s)."""
        return np.log1p(self.s)

    @property
    def lse(self) -> FloatArray:
        """The logsumexp."""
        return self.top + self.log


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bound:
    """What a theorem says of a row, arrays float64 [R].

    Attributes:
        factor: k of k·u, relative for a softmax, absolute for a logsumexp.
        in_sum: the part of k that is due to the sum and its terms, where that is not all; it is what may not pass 1/2.
        naive: whether exp takes the logits as they are, which may then over- and underflow.
    """

    factor: FloatArray
    in_sum: FloatArray
    naive: bool = False


def of(problem: Problem, fmt: Format) -> Sizes:
    """The sizes of the rows of a problem."""
    x = problem.logits
    with np.errstate(all="ignore"):
        top = x.max(axis=1)
        rest = np.exp(x - top[:, None])
        rest[np.arange(len(rest)), x.argmax(axis=1)] = 0
        return Sizes(float(x.shape[1]), 2.0 if fmt.p == 53 else 1.0, top, x.min(axis=1), rest.sum(axis=1))


def in_ulp(
    bound: Callable[[str, Sizes], Bound | None], problem: Problem, quantity: str, fmt: Format, settings: Settings
) -> FloatArray | None:
    """The bound of an algorithm in ulp at the truth, float64 [R]; nan where it does not hold; None where it has none.

    It speaks of plain logits and of sums in the format alone.
    """
    other = settings.numerics.accumulate not in {None, fmt.name}
    if problem.temperature != 1 or problem.softcap is not None or other:
        return None
    sizes = of(problem, fmt)
    with np.errstate(all="ignore"):
        known = bound(quantity, sizes)
        if known is None:
            return None
        u, lse = fmt.unit_roundoff, sizes.lse
        size, k = np.abs(lse), known.factor
        lowest = sizes.bottom if known.naive else -sizes.spread * (1 + u)
        holds = np.isfinite(problem.logits).all(axis=1) & (lowest > fmt.exp_subnormal) & (size < fmt.max / 2)
        if known.naive:
            holds &= lse < fmt.exp_overflow - 1
        if quantity == "softmax":
            holds &= (sizes.bottom - lse > fmt.exp_subnormal) & (k * u <= 0.5)
            return np.where(holds, k / (1 - k * u), np.nan)  # |t| < ulp(t)/u
        smallest = size - 2.0**-48 * (np.abs(sizes.top) + sizes.log)  # the true |lse| may be smaller by the error here
        holds &= (smallest > 0) & (known.in_sum * u <= 0.5)
        return np.where(holds, k * u / (1 - known.in_sum * u) / spacing(smallest, fmt), np.nan)


def rounded(inside: FloatArray, problem: Problem, inner: Format, fmt: Format) -> FloatArray:
    """A bound in ulp of the format that a formula computes in, as one in ulp of the format its result is rounded to.

    With b the former in ulp of the latter, half an ulp is added; a whole one, and b·u for a result that its error has
    carried into a wider binade, where b is half an ulp or more. There is none near the end of the format.
    """
    b = inside * 2.0 ** (fmt.p - inner.p)
    with np.errstate(all="ignore"):
        fits = np.abs(problem.logits).max(axis=1) + np.log(problem.logits.shape[1]) < fmt.max / 2
    return np.where(fits, np.where(b < 0.5, b + 0.5, b * (1 + fmt.unit_roundoff) + 1), np.nan)
