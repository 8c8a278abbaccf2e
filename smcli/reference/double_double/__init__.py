"""The truth at array speed: pairs of float64 with an integer exponent, 85 certified bits.

**The bound**, relative to the value; u = 2^-53; the arithmetic and its own bounds are in `twofold`, `elementary` and
`softcap`.

*z = y - max y*. Without a soft cap it is an exact pair (Knuth's sum). A temperature that is no power of 2 divides it:
13u²|z|, which is 2^-94.8 for |z| <= 176 and 2^-90.3 up to 2^12, beyond which it is not certified. Under a soft cap both
terms err by cap·2^-93.3: A = cap·2^-92.3 absolutely, at most 2^-86.6, as caps up to 50 are taken. A = 0 without.

*e^z*: 2^-89.3 and 2^-94.8 for |z| <= 176; 2^-92.4, 2^-96 and 2^-90.3 up to 2^12, or 2^20 without such a temperature;
and A. *s*, the sum of all e but that of one maximum: terms below 2^-1022 count as 0 and low parts below 2^-1074 vanish,
less than n·2^-1021, nothing beside s >= 2^-800. Rows with a smaller s are "tiny": their s is used only where it adds
to 1. The tree adds 2^-96 for n < 2^26. EXP = 2^-89.1 + A bounds all this, for e^z and for s.

- p = e/(1 + s) by a sum, a quotient and a product of pairs, 22u²: 2 EXP + 2^-101 < 2^-85.3, 2^-88.1 without a cap.
- log1p(s): its condition is <= 1, its own error 2^-93: LOG = EXP + 2^-93.
- log p = z - log1p(s), both <= 0, and |log p| >= log 2 but for the maximum, whose z is 0: LOG + A/log 2 + 17u² < 2^-85.2.
- logsumexp = m + log1p(s) cancels: certified where LOG·log1p(s) + 2^-100·abs(m), and cap·2^-93.3 under a soft cap, is
  within BOUND.
- 1 - p_t = rest/(1 + s), rest = s for the maximum, else 1 + (s - e_t). This e_t is the very number that was added, which
  leaves EXP·(s - e_t) and the tree's 2^-96·s, as e_t <= 1 <= rest: as p.
- cross-entropy, Σ c(log1p(s) - z): all terms >= 0; c to 40u², tree 2^-96: as log p. A z-loss adds z_loss·logsumexp²,
  which errs by 2·z_loss·abs(logsumexp) times the error of the logsumexp: certified where both are within BOUND.
- Derivatives by capped logits are multiplied by the slope of the cap, 2^-89.2.
- Gradient of a hard target: p or 1 - p_t and a factor to 50u²: 2^-85.3 + 2^-89.2 < BOUND.
- Gradient of soft labels or with a z-loss: a - b with a = p·(B - c), b = c(1 - p), B = Σc + 2·z_loss·logsumexp: certified
  where 2 EXP·(abs(a) + b) and p times the error of B are within DIFFERENCE, 2^-75.
- Jacobian, p·p or p(1 - p): 4 EXP + 2^-102 and the slope: 2^-87; 2^-84 under a soft cap.
- vjp, p_i·(d_i - Σ p_j d_j), d_j = v_j - v at the maximum, exactly: certified where 2 EXP·Σ p_j|d_j| is within LOOSE, 2^-70,
  of the second factor.
- entropy, KL, focal loss, sigmoids, signed logsumexp, other products: see `entropy`, `divergence`, `divergence_gradients`,
  `focal`, `sigmoid`, `signed` and `products`.
- bce, |y|·slope + log1p(e^-|y|), and its gradient: see `binary`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from smcli import quantities
from smcli.model import Truth
from smcli.reference.double_double import softcap
from smcli.reference.double_double.reduce import BOUND
from smcli.reference.losses import is_hard
from smcli.reference.tiles import Sheet

if TYPE_CHECKING:
    from smcli.model import BoolArray, FloatArray, Loss, Problem

_WIDE, _SPAN = 2.0**900, 2.0**400  # above, products may overflow

QUANTITIES = {  # by which function of which module beside this one, imported when it is asked for
    "softmax": "values.softmax",
    "log-softmax": "values.log_softmax",
    "logsumexp": "values.logsumexp",
    "cross-entropy": "values.cross_entropy",
    "gradient": "derivatives.gradient",
    "bce": "binary.bce",
    "jacobian": "derivatives.jacobian",
    "vjp": "derivatives.vjp",
    "sigmoid": "sigmoid.sigmoid",
    "log-sigmoid": "sigmoid.log_sigmoid",
    "entropy": "entropy.entropy",
    "kl": "divergence.kl",
    "focal": "binary_focal.focal",
}


def attempt(problem: Problem, quantity: str) -> tuple[Truth, BoolArray]:
    """The truth of a block [R, N], and which elements this tier can't certify to BOUND (their values mean nothing).

    A Jacobian is flat. Left to a higher tier: caps above 50; rows whose maximum is no finite number; logits more than
    2^20 below the maximum (2^12 with a temperature), but for logarithms; what depends on s relatively where all others
    are that far or 554 below the maximum; what cancels; masked targets.
    """
    asked = quantities.get(quantity)
    sheet = Sheet.of_pairs((len(problem.logits), asked.size(problem)))
    with np.errstate(all="ignore"):
        if _supported(problem, quantity):
            module, _, name = QUANTITIES[quantity].partition(".")
            getattr(import_module(f"{__name__}.{module}"), name)(problem, sheet)
            _overflowed(problem.logits, sheet, elementwise=asked.is_elementwise(problem))
        else:
            sheet.missing[...] = True
    if problem.ignored is not None and asked.zero_when_ignored:
        for array in (sheet.hi, sheet.lo, sheet.exponents(), sheet.missing):
            array[problem.ignored] = 0
    return Truth(sheet.hi, sheet.lo, sheet.exp2, sheet.bound or BOUND), sheet.missing


def _overflowed(x: FloatArray, sheet: Sheet, *, elementwise: bool) -> None:
    """Leave open what is no number although the logits are some, such as what x/T overflowed in."""
    odd = ~np.isfinite(sheet.hi)
    if odd.any():
        ends = np.isinf(x) if sheet.hi.shape == x.shape else np.zeros(sheet.hi.shape, bool)
        sheet.missing |= odd & ~ends & np.isfinite(x if elementwise else x.max(axis=1, keepdims=True))


def signs(problem: Problem) -> tuple[FloatArray, BoolArray]:
    """The sign of Σ b_i e^x_i [R, 1] of a logsumexp with coefficients, and where this tier does not know it."""
    if problem.coefficients is None or not _supported(problem, "logsumexp"):
        return np.ones((len(problem.logits), 1)), np.ones((len(problem.logits), 1), np.bool_)
    from smcli.reference.double_double import signed

    return signed.signs(problem)


def _supported(problem: Problem, quantity: str) -> bool:
    loss, cap = problem.loss, problem.softcap
    if quantity not in QUANTITIES or not 1 / _WIDE < problem.temperature < _WIDE:
        return False
    if not 0 < problem.logits.shape[1] < 2**26 or (cap is not None and not 1 / _WIDE < cap <= softcap.LARGEST):
        return False
    if loss is not None and loss.kind in {"focal", "kl"} and quantity in {"gradient", "focal", "kl"}:
        return _has_what_it_takes(loss)
    if quantity == "vjp":
        return problem.cotangent is not None and bool(np.isfinite(problem.cotangent).all())
    if quantity == "gradient" and loss is None:
        return False
    if quantity not in {"gradient", "cross-entropy", "bce"} or loss is None:
        return True
    return 0 <= loss.smoothing <= 1 and (not loss.z_loss or 1 / _SPAN < abs(loss.z_loss) < _SPAN)


def _has_what_it_takes(loss: Loss) -> bool:
    if loss.kind == "kl":
        return loss.teacher is not None
    from smcli.reference.double_double import focal

    plain = loss.labels is not None or is_hard(loss)
    return plain and not loss.smoothing and not loss.z_loss and 0 <= loss.gamma <= focal.MOST
