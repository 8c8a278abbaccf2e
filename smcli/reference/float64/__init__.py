"""The truth in plain float64, 47 certified bits, for formats of at most 24 bits.

**The bound**, relative, in units of u = 2^-53, to first order, for n <= 2^24 logits.

*z = x - m* of two such numbers mostly is exact; e^z is right to 8u wherever it is, or |z| <= 8. It is exact if |z| <= 700
and neither x nor m is within 2^-19 of 0 (both are multiples of 2^-42 then); where that does not decide, Knuth's sum gives
the error itself, and a row with a larger z that errs is given up. NumPy's exp, log1p, expm1 and powers are taken to be
within 4 ulp = 8u: its kernels claim that, most libraries have 1, and the tests compare. e = e^z: 16.

*s*, the sum of all e but that of one maximum, by halves, 24 levels: 16 + 24 = 40. e^z below e^-600 is not certified by
itself; below e^-700 it is nothing beside s >= 2^-900; rows with a smaller s are "tiny": their s only adds to 1.

- p = e/(1 + s): 16 + 40 and 2 roundings. For long rows of logits between -300 and 300, e^x·(1/Σ e^x): 8, 8 + 44, and 4
  (see `values.direct_bound`).
- log p = z - log1p(s), both <= 0: 40 + 8 and 2 roundings. Cross-entropy of a hard target: a factor more, 3 roundings.
- logsumexp = m + log1p(s) cancels: certified where 48·log1p(s) + abs(sum) is within BOUND.
- 1 - p_t = rest/(1 + s), rest = s for the maximum, else 1 + (s - e_t): s stands in both, its 40 count once; e_t <= 1,
  which is <= rest, adds 16; 4 roundings.
- Gradient of a hard target, p or 1 - p_t times c·scale/T: 60 and 3 roundings.
- Entropy, KL, focal loss, sigmoids and signed logsumexp: see `kernels`, `near` for rows that nearly agree, `binary_focal`.
  Derivatives and products: `along`, `kernel_gradients`, `products`. What cancels there is certified element by element, to
  a looser bound than BOUND; the few that cancel too much are told from sums in pairs of float64: see `sharp`.
"""

from __future__ import annotations

from importlib import import_module
from math import frexp
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.model import Truth
from smcli.reference.float64.values import BOUND
from smcli.reference.losses import is_hard
from smcli.reference.tiles import Sheet

if TYPE_CHECKING:
    from smcli.model import BoolArray, Loss, Problem

MOST = 64.0  # exponents of a focal loss beyond are left to pairs
LARGEST = 2.0**200  # cotangents beyond are

QUANTITIES = {  # by which function of which module beside this one, imported when it is asked for
    "softmax": "values.softmax",
    "log-softmax": "values.log_softmax",
    "logsumexp": "values.logsumexp",
    "cross-entropy": "values.cross_entropy",
    "gradient": "losses.gradient",
    "vjp": "products.vjp",
    "sigmoid": "kernels.sigmoid",
    "log-sigmoid": "kernels.log_sigmoid",
    "entropy": "kernels.entropy",
    "kl": "kernels.kl",
    "focal": "losses.focal",
}


def attempt(problem: Problem, quantity: str) -> tuple[Truth, BoolArray]:
    """The truth of a block [R, N], and which elements this tier can't certify to BOUND (their values mean nothing).

    Left to a higher tier: what is not in the table; soft labels and smoothing of cross-entropy; temperatures that are no
    power of 2; softmax more than 600 below the maximum; rows whose maximum is no finite number; masked targets. Low parts
    and exponents are 0, and can be written only where something is missing.
    """
    asked = quantities.get(quantity)
    sheet = Sheet.of_numbers((len(problem.logits), asked.size(problem)))
    with np.errstate(all="ignore"):
        if _supported(problem, quantity):
            module, _, name = QUANTITIES[quantity].partition(".")
            getattr(import_module(f"{__name__}.{module}"), name)(problem, sheet)
        else:
            sheet.missing[...] = True
    if problem.ignored is not None and asked.zero_when_ignored:
        sheet.hi[problem.ignored], sheet.missing[problem.ignored] = 0, False
    if sheet.missing.any():
        sheet.lo, sheet.exp2 = np.zeros(sheet.hi.shape), np.zeros(sheet.hi.shape, np.int64)
    return Truth(sheet.hi, sheet.lo, sheet.exp2, sheet.bound or BOUND), sheet.missing


def _supported(problem: Problem, quantity: str) -> bool:
    loss, (mantissa, exponent) = problem.loss, frexp(problem.temperature)
    if quantity not in QUANTITIES or problem.softcap is not None or not 0 < problem.logits.shape[1] <= 2**24:
        return False
    if "float64" in problem.formats or mantissa != 0.5 or abs(exponent) > 100:
        return False
    if quantity == "vjp":
        return problem.cotangent is not None and bool((np.abs(problem.cotangent) < LARGEST).all())
    kind = quantity if quantity != "gradient" else loss.kind if loss is not None else ""
    if kind == "kl":
        return loss is not None and loss.teacher is not None
    if kind == "focal":
        return loss is not None and _has_what_it_takes(loss)
    if kind == "cross-entropy" and loss is not None:
        return loss.kind == "cross-entropy" and is_hard(loss) and not loss.z_loss
    return kind not in {"", "bce"}


def _has_what_it_takes(loss: Loss) -> bool:
    plain = is_hard(loss) if loss.labels is None else loss.weights is None and not loss.smoothing
    return plain and 0 <= loss.gamma <= MOST
