"""What is asked of a row of logits in exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Asked:
    """What stands beside the logits of a row; every number in it is exact.

    Attributes:
        temperature: the logits are divided by it; > 0.
        softcap: then they are capped to softcap·tanh(x/softcap), or None; > 0.
        kind: the loss that "gradient" is of: "cross-entropy", "bce", "focal", "kl" or "entropy".
        binary: whether that loss is a sum of losses of each logit alone.
        coefficients: c_i of the loss −Σ c_i log p_i, one for each class; of a binary loss the labels.
        z_loss: this times logsumexp² is added to the loss.
        factor: of the gradient alone.
        gamma: of a focal loss.
        teacher: the logits of the teacher of a divergence.
        reverse: whether that is one from the logits to the teacher.
        cotangent: v of "vjp".
        vjp_of: the quantity whose Jacobian that is a product with: softmax, log-softmax or logsumexp.
        signed: b_i of logsumexp as log |Σ b_i e^x_i|, or None.
    """

    temperature: float = 1.0
    softcap: float | None = None
    kind: str = "cross-entropy"
    binary: bool = False
    coefficients: Sequence[Fraction] | None = None
    z_loss: float = 0.0
    factor: Fraction = Fraction(1)
    gamma: float = 2.0
    teacher: Sequence[float] | None = None
    reverse: bool = False
    cotangent: Sequence[float] | None = None
    vjp_of: str = "softmax"
    signed: Sequence[float] | None = None


PLAIN = Asked()
