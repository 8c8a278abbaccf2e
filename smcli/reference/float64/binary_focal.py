"""The focal loss of sigmoids and its gradient in plain float64; bounds in units of u = 2^-53.

Of one side, with q = σ(-y), p = σ(y), l = log(1 + e^-y) and e = e^-|y|, y being exact: the loss is q^γ·l, its derivative
-q^γ·(q + γ·p·l). A label c takes c of the side of y, and 1 - c of that of -y.

- e 8, 1 + e 5, q and p 16, log1p(e) 16, l 17.
- q^γ: 16γ and 8; by products and a root where γ is one of 0, 1/2 .. 13/2, by NumPy's power else, taken to be within 4 ulp.
- The loss: 16γ + 8 + 17 + 1, c or 1 - c and their product 2, the sum of both sides 1: 16γ + 32 <= 16γ + 40.
- The slope: q + γ·p·l 16 + 17 + 4; 16γ + 8 + 37 + 1, 2 for c and 3 for what follows: 16γ + 60 of both sides. One is
  subtracted from the other: certified where that is within LOOSE of the difference. A label of 0 or 1 has one side.

Sides below e^-600 are not certified, and are nothing beside 2^-800; what is smaller is left open. So are labels beyond 0
and 1, and infinite logits.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.model import required
from smcli.reference.float64.reduce import LOOSE, U
from smcli.reference.tiles import PIECE

if TYPE_CHECKING:
    from smcli.model import FloatArray, Problem
    from smcli.reference.tiles import Sheet

LEAST = 2.0**-800
_PRODUCTS = 6  # whole powers up to which a power is a product


def loss(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with c·σ(-y)^γ·(-log σ(y)) + (1 - c)·σ(y)^γ·(-log σ(-y))."""
    _fill(problem, sheet, slope=False)
    sheet.bound = (16 * required(problem.loss).gamma + 40) * U


def gradient(problem: Problem, sheet: Sheet) -> None:
    """Fill the sheet [R, C] with its derivative, times the scale and divided by the temperature."""
    _fill(problem, sheet, slope=True)
    sheet.hi *= float(problem.scale / Fraction(problem.temperature))
    sheet.bound = LOOSE


def _fill(problem: Problem, sheet: Sheet, *, slope: bool) -> None:
    loss = required(problem.loss)
    gamma = loss.gamma
    x, labels, hi = (a.reshape(-1) for a in (problem.logits, required(loss.labels), sheet.hi))
    missing = sheet.missing.reshape(-1)
    scratch, noise = np.empty((6, min(PIECE, x.size))), 1.01 * (16 * gamma + 60) * U / LOOSE
    for start in range(0, x.size, PIECE):
        at = slice(start, start + PIECE)
        c, out = labels[at], hi[at]
        y, e, log, *spare = scratch[:, : c.size]
        np.divide(x[at], problem.temperature, y)
        np.abs(y, e)
        np.exp(np.negative(e, e), e)
        np.log1p(e, log)
        np.multiply(c, 2, out)
        out -= 1
        hard = bool((np.abs(out, spare[0]) == 1).all())
        if hard:
            y *= out
            sign = np.negative(out, spare[2]) if slope else None
            _side([y, e, log], gamma, out, spare, slope=slope)
            if sign is not None:
                out *= sign
            np.abs(out, y)
            off = y < LEAST
        else:
            _side([y, e, log], gamma, out, spare, slope=slope)
            out *= c
            other = spare[2]
            _side([np.negative(y, y), e, log], gamma, other, spare, slope=slope)
            other *= np.subtract(1, c, y)
            np.add(out, other, e)
            np.subtract(other, out, out) if slope else np.copyto(out, e)
            np.abs(out, y)
            off = ~((c >= 0) & (c <= 1)) | (y < LEAST)
            if slope:
                e *= noise
                off |= e > y
        missing[at] = off | ~np.isfinite(x[at])


def _side(parts: list[FloatArray], gamma: float, out: FloatArray, spare: list[FloatArray], *, slope: bool) -> None:
    """Set `out` to q^γ·l, or to q^γ·(q + γ·p·l), from y, e^-|y| and its log1p; two spare arrays."""
    (y, e, log), (q, whole) = parts, spare[:2]
    up = y > 0
    np.add(e, 1, whole)
    q[...] = 1
    np.copyto(q, e, where=up)
    q /= whole
    if slope:
        np.divide(gamma, whole, out)
        np.multiply(out, e, out, where=~up)
        np.minimum(y, 0, out=whole)
        np.subtract(log, whole, whole)
        out *= whole
        out += q
    else:
        np.minimum(y, 0, out=out)
        np.subtract(log, out, out)
    _times_power(out, q, gamma)


def _times_power(out: FloatArray, q: FloatArray, gamma: float) -> None:
    """Multiply by q^γ; q is written over."""
    whole = int(gamma)
    if whole > _PRODUCTS or gamma - whole not in {0, 0.5}:
        np.power(q, gamma, q)
        out *= q
        return
    for _ in range(whole):
        out *= q
    if gamma != whole:
        out *= np.sqrt(q, q)
