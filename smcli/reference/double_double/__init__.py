"""The truth at array speed: pairs of float64 with an integer exponent, 85 certified bits.

**The bound**, relative to the value; u = 2^-53; the arithmetic and its own bounds are in `twofold`.

*z = x - m* is an exact pair (Knuth's sum). A temperature that is no power of 2 divides the pair: 13u²|z| < 2^-90.2, as
|z| <= 2^12 is asked in that case. *e^z* adds 2^-87.8: EXP = 2^-87.5, for |z| <= 2^20.

*s*, the sum of all e but that of one maximum: terms below 2^-1022 count as 0 and low parts below 2^-1074 vanish, less than
n·2^-1021, nothing beside s >= 2^-800. Rows with a smaller s are "tiny": their s is used only where it adds to 1. The tree
adds 2^-96 for n < 2^26, a hundredth of what the rounding of EXP leaves free: SUM = 2^-87.5.

- p = e/(1 + s) by a sum, a quotient and a product of pairs, 22u²: EXP + SUM·s/(1 + s) + 2^-101 < 2^-86.5.
- log1p(s): its condition is <= 1, its own error 2^-92: LOG = 2^-87.4.
- log p = z - log1p(s), both <= 0; 13u² and 4u²: LOG + 2^-102.
- logsumexp = m + log1p(s) cancels: certified where LOG·log1p(s) + 2^-100·abs(m) is within BOUND.
- 1 - p_t = rest/(1 + s), rest = s for the maximum, else 1 + (s - e_t). This e_t is the very number that was added, which
  leaves EXP·(s - e_t) and the tree's 2^-96·s, as e_t <= 1 <= rest: 2^-86.5.
- cross-entropy, Σ c(log1p(s) - z): all terms >= 0; c to 2^-99, tree 2^-96: LOG + 2^-95.
- Gradient of a hard target: p or 1 - p_t and a factor to 50u²: 2^-86.5 + 2^-100.
- Gradient of soft labels: a - b with a = p·Σ other c, b = c(1 - p): certified where SOFT·(a + b) + 2^-94·p·Σc is within
  BOUND.
- Jacobian, p·p or p(1 - p): 2·2^-86.5 + 2^-102.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.model import Truth
from smcli.reference.double_double import binary, derivatives, softcap, values
from smcli.reference.double_double.reduce import BOUND
from smcli.reference.tiles import Sheet

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.model import BoolArray, Problem

_WIDE, _SPAN = 2.0**900, 2.0**400  # above, products may overflow

QUANTITIES: dict[str, Callable[[Problem, Sheet], None]] = {
    "softmax": values.softmax,
    "log-softmax": values.log_softmax,
    "logsumexp": values.logsumexp,
    "cross-entropy": values.cross_entropy,
    "gradient": derivatives.gradient,
    "bce": binary.bce,
    "jacobian": derivatives.jacobian,
    "vjp": derivatives.vjp,
}


def attempt(problem: Problem, quantity: str) -> tuple[Truth, BoolArray]:
    """The truth of a block [R, N], and which elements this tier can't certify to BOUND (their values mean nothing).

    A Jacobian is flat. Left to a higher tier: what is not in the table; softcap and z-loss; rows whose
    maximum is no finite number; logits more than 2^20 below the maximum (2^12 with a temperature), but for logarithms;
    what depends on s relatively where all others are that far or 554 below the maximum; what cancels; masked targets.
    """
    asked = quantities.get(quantity)
    sheet = Sheet.of_pairs((len(problem.logits), asked.size(problem)))
    with np.errstate(all="ignore"):
        if _supported(problem, quantity):
            QUANTITIES[quantity](problem, sheet)
        else:
            sheet.missing[...] = True
    if problem.ignored is not None and asked.zero_when_ignored:
        for array in (sheet.hi, sheet.lo, sheet.exponents(), sheet.missing):
            array[problem.ignored] = 0
    return Truth(sheet.hi, sheet.lo, sheet.exp2, sheet.bound or BOUND), sheet.missing


def _supported(problem: Problem, quantity: str) -> bool:
    loss, cap = problem.loss, problem.softcap
    if quantity not in QUANTITIES or not 1 / _WIDE < problem.temperature < _WIDE:
        return False
    if not 0 < problem.logits.shape[1] < 2**26 or (cap is not None and not 1 / _WIDE < cap <= softcap.LARGEST):
        return False
    if quantity == "vjp":
        return problem.cotangent is not None and bool(np.isfinite(problem.cotangent).all())
    if quantity == "gradient" and loss is None:
        return False
    if quantity not in {"gradient", "cross-entropy", "bce"} or loss is None:
        return True
    return 0 <= loss.smoothing <= 1 and (not loss.z_loss or 1 / _SPAN < abs(loss.z_loss) < _SPAN)
