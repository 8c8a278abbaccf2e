"""The limits of each number format: thresholds of exp, lengths of sums, fill values of masks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.model import Listing
from smcli.numbers import formats
from smcli.report.document import json_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.numbers.formats import Format

ACCUMULATORS = ("float32", "float64")
FILLS = ("-inf", "-1e4", "-1e9", "finfo.min")


@dataclass(frozen=True)
class Limits:
    """The limits of some formats, and with `compute` those of arithmetic in that wider format on numbers of them."""

    formats: tuple[Format, ...]
    compute: Format | None = None

    def inner(self, f: Format) -> Format:
        """The format that arithmetic is done in."""
        return self.compute if self.compute is not None and self.compute.holds(f) else f

    def name(self, f: Format) -> str:
        """A format, and in which wider one is computed."""
        return f.name if self.inner(f) == f else f"{f.name} in {self.inner(f).name}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON document (schema smcli.limits/1)."""
        return {"schema": "smcli.limits/1", "formats": [_figures(f, self.inner(f)) for f in self.formats]}

    def listings(self) -> Iterable[Listing]:
        """The limits as tables."""
        yield Listing(
            "numbers",
            ("format", "p", "largest", "smallest normal", "smallest subnormal", "relative spacing"),
            tuple(
                (f.name, str(f.p), f"{f.max:.6g}", f"{f.smallest_normal:.6g}", f"{f.smallest_subnormal:.6g}",
                 f"{2 * f.unit_roundoff:.3g}")
                for f in self.formats
            ),
            (1, 2, 3, 4, 5),
        )  # fmt: skip
        yield Listing(
            "logits: what exp(x) does",
            ("format", "overflows from x", "loses digits below", "is 0 up to"),
            tuple(
                (self.name(f), f"{g.exp_overflow:.12g}", f"{g.exp_subnormal:.12g}", f"{g.exp_zero:.12g}")
                for f in self.formats
                for g in [self.inner(f)]
            ),
            (1, 2, 3),
        )
        yield Listing(
            "row length: a sum of n equal exps after the shift, one after the other (last column: the largest logit that "
            "1000 classes can share in the naive sum)",
            ("format", "accumulator", "stalls at n", "fits up to n", "naive, n=1000"),
            tuple(
                (self.name(f), a.name, str(a.stall), _count(g), f"{largest_logit(g, a, 1000):.6g}")
                for f in self.formats
                for g in [self.inner(f)]
                for a in _accumulators(g)
            ),
            (2, 3, 4),
        )
        yield Listing(
            "mask fills: what a fill value becomes in the format, and p beside a logit of 0",
            ("format", *FILLS),
            tuple((self.name(f), *(_fill_words(f, fill, self.inner(f)) for fill in FILLS)) for f in self.formats),
        )


def _figures(f: Format, g: Format) -> dict[str, Any]:
    """The figures of a format, those of steps in the format that is computed in."""
    return {
        "dtype": f.name,
        **({"compute": g.name} if g != f else {}),
        "p": f.p,
        "emin": f.emin,
        "max": f.max,
        "smallest_normal": f.smallest_normal,
        "smallest_subnormal": f.smallest_subnormal,
        "exp_overflow": g.exp_overflow,
        "exp_subnormal": g.exp_subnormal,
        "exp_zero": g.exp_zero,
        "stall": g.stall,
        "sums": [
            {"accumulate": a.name, "stall": a.stall, "naive_logit_1000": largest_logit(g, a, 1000)}
            for a in _accumulators(g)
        ],
        "fills": {
            fill: {"becomes": json_number(v), "p": json_number(p)} for fill in FILLS for v, p in [mask_fill(f, fill, g)]
        },
    }


def _accumulators(f: Format) -> list[Format]:
    return [f] + [formats.get(name) for name in ACCUMULATORS if formats.get(name).p > f.p]


def _count(f: Format) -> str:
    return f"{sum_overflow(f):.6g}" if sum_overflow(f) >= 1e7 else str(int(sum_overflow(f)))


def sum_overflow(f: Format) -> float:
    """The most ones whose true sum still rounds to a finite number of the format."""
    half = math.ldexp(1.0, math.frexp(f.max)[1] - f.p - 1)
    top = f.max + half
    return top if not f.has_inf else math.nextafter(top, 0) if top > 2**53 else top - 1


def largest_logit(f: Format, accumulator: Format, n: int) -> float:
    """The logit that n classes can share before the naive sum of their exps overflows the format or its accumulator."""
    top = min(f.max, accumulator.max)
    return min(f.exp_overflow, math.log(top) - math.log(n))


def mask_fill(f: Format, fill: str, compute: Format | None = None) -> tuple[float, float]:
    """What a fill value becomes in the format, and the softmax that it gets beside a logit of 0 (as shifted computes it).

    It is computed in the format itself, or in a wider one whose result is rounded to it.
    """
    written = -f.max if fill == "finfo.min" else float(fill)
    with np.errstate(all="ignore"):
        value = float(f.round(np.array(written)))
        p = float(f.round((compute or f).round(np.exp(np.array(value))))) if value < 0 or math.isnan(value) else 1.0
    return value, p


def _fill_words(f: Format, fill: str, compute: Format) -> str:
    value, p = mask_fill(f, fill, compute)
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "-inf, p = 0 (a row of them: nan)"
    return f"{value:.6g}, p = {p:.3g}"
