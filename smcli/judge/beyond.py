"""Values that are beyond a limit that was given explicitly, and those of them that no code in the format could mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import Verdict

if TYPE_CHECKING:
    from smcli.model import BoolArray, ByteArray, FloatArray, IntArray
    from smcli.problem.specs import Tolerance

SPACING = 1.0  # ulp that rounding never costs


def beyond(limits: Tolerance, ulp: FloatArray, rel: FloatArray) -> BoolArray:
    """Where errors are beyond a limit; nan is."""
    within = np.ones(ulp.shape, dtype=bool)
    if limits.max_ulp is not None:
        within &= ulp <= limits.max_ulp
    if limits.max_rel is not None:
        within &= rel <= limits.max_rel
    return ~within


def excess(limits: Tolerance, ulp: FloatArray, rel: FloatArray) -> FloatArray:
    """How many times a limit errors beyond it are, of two limits the larger multiple; nan is infinitely far."""
    times = np.zeros(ulp.shape)
    with np.errstate(all="ignore"):
        for error, limit in ((ulp, limits.max_ulp), (rel, limits.max_rel)):
            if limit is not None:
                times = np.fmax(times, np.where(np.isnan(error), np.inf, error / limit))
    return times


def furthest(times: FloatArray, most: int) -> IntArray:
    """The places of the largest numbers, `most` at the most: the largest first, of equal ones the first."""
    some = np.arange(times.size)
    if times.size > most:  # so that all of them need not be sorted
        some = np.flatnonzero(times >= np.partition(times, times.size - most)[times.size - most])
    order: IntArray = some[np.argsort(-times[some], kind="stable")][:most]
    return order


@dataclass(frozen=True, slots=True)
class Beyond:
    """How many values are beyond the limits.

    Attributes:
        count: how many.
        rounded: how many of them are what rounding the truth to the format gives, so that no code there meets the limit.
        near: whether all those lie within a spacing of their truth: an overflow does not.
    """

    count: int = 0
    rounded: int = 0
    near: bool = True

    @classmethod
    def of(cls, limits: Tolerance, ulp: FloatArray, rel: FloatArray, verdicts: ByteArray) -> Beyond:
        """The count of some values with these errors and verdicts."""
        if not limits.given:
            return cls()
        there = beyond(limits, ulp, rel)
        rounded = there & ((verdicts == Verdict.CORRECT) | (verdicts == Verdict.NOT_REPRESENTABLE))
        return cls(int(np.count_nonzero(there)), int(np.count_nonzero(rounded)), bool((ulp[rounded] <= SPACING).all()))

    def __add__(self, later: Beyond) -> Beyond:
        return Beyond(self.count + later.count, self.rounded + later.rounded, self.near and later.near)
