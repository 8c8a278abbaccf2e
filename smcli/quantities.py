"""What can be computed: the table of quantities, the one place that says what each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from smcli.errors import UsageError, nearest

if TYPE_CHECKING:
    from smcli.model import Problem

Shape = Literal["class", "row", "loss", "target", "matrix"]
Limit = Literal["flat", "distance", "condition", "entropy", "divergence", "focal"]
Condition = Literal["none", "probability", "logarithm", "logsumexp"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Quantity:
    """One thing that methods compute and the reference knows the truth of.

    Attributes:
        name: what the user types.
        title: what outputs call it.
        shape: how many values a row has: one a class, one a row, one a row where there is a loss and else one a class,
            one a row with a target and else one a class, or a matrix of classes by classes, held flat.
        needs: fields of the request without which it has no value: "target or labels", "labels", "cotangent", or none.
        is_loss: it can be reduced over a batch and differentiated.
        is_derivative: `grad` computes it.
        is_log: a logarithm, for which exactly 0 means that something was absorbed.
        zero_when_ignored: an ignored row has 0 of it.
        elementwise: every value depends on its own logit alone.
        limit: which rule says what counts as accurate (`judge.limits`).
        condition: which formula gives its condition number (`judge.conditioning`).
        part: the formula of an algorithm that computes it.
        aliases: other names that people use for it.
    """

    name: str
    title: str
    shape: Shape = "class"
    needs: str = ""
    is_loss: bool = False
    is_derivative: bool = False
    is_log: bool = False
    zero_when_ignored: bool = False
    elementwise: bool = False
    limit: Limit = "flat"
    condition: Condition = "none"
    part: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def of_logits_alone(self) -> bool:
        """Whether it is a loss that no target, label or other row belongs to."""
        return self.is_loss and self.shape == "row" and not self.needs

    def is_elementwise(self, problem: Problem) -> bool:
        """Whether every value of a problem depends on its own logit alone: also of a binary loss and its gradient."""
        loss = problem.loss
        return loss.is_binary if loss is not None and self.name in {"gradient", loss.kind} else self.elementwise

    @property
    def formula(self) -> str:
        """The name of the method of an algorithm that computes it."""
        return self.part or self.name.replace("-", "_")

    def size(self, problem: Problem) -> int:
        """How many values a row of the problem has; a matrix is counted flat."""
        classes = int(problem.logits.shape[1])
        if self.shape == "row" or (self.shape == "loss" and problem.loss is not None):
            return 1
        if self.shape == "target" and problem.loss is not None and problem.loss.target is not None:
            return 1
        return classes**2 if self.shape == "matrix" else classes

    def side(self, problem: Problem) -> int:
        """The side of a matrix, 0 of all else."""
        return int(problem.logits.shape[1]) if self.shape == "matrix" else 0


QUANTITIES: dict[str, Quantity] = {
    q.name: q
    for q in (
        Quantity("softmax", "softmax", limit="distance", condition="probability", aliases=("probabilities", "probs")),
        Quantity(
            "log-softmax", "log-softmax", is_log=True, condition="logarithm",
            aliases=("logsoftmax", "log_softmax", "log-probabilities", "logprobs"),
        ),
        Quantity(
            "logsumexp", "logsumexp", "row", is_log=True, limit="condition", condition="logsumexp",
            aliases=("lse", "log-sum-exp", "log_sum_exp"),
        ),
        Quantity(
            "cross-entropy", "cross-entropy", "loss", is_loss=True, is_log=True, zero_when_ignored=True,
            condition="logarithm", part="log_softmax",
            aliases=("ce", "nll", "crossentropy", "cross_entropy", "xent", "nll-loss"),
        ),
        Quantity(
            "bce", "binary cross-entropy", needs="labels", is_loss=True, is_log=True, zero_when_ignored=True,
            elementwise=True, aliases=("binary-cross-entropy", "binary_cross_entropy", "bce-with-logits", "bce-loss", "bce_loss"),
        ),
        Quantity("sigmoid", "sigmoid", elementwise=True, aliases=("expit", "logistic")),
        Quantity(
            "log-sigmoid", "log-sigmoid", is_log=True, elementwise=True, aliases=("logsigmoid", "log_sigmoid", "log-expit"),
        ),
        Quantity("entropy", "entropy", "row", is_loss=True, limit="entropy", aliases=("shannon-entropy",)),
        Quantity(
            "kl", "Kullback–Leibler divergence", "row", needs="against", is_loss=True, zero_when_ignored=True,
            limit="divergence", aliases=("kl-div", "kl_div", "kld", "kl-divergence"),
        ),
        Quantity(
            "focal", "focal loss", "target", needs="target or labels", is_loss=True, zero_when_ignored=True, limit="focal",
            aliases=("focal-loss", "focal_loss"),
        ),
        Quantity(
            "gradient", "gradient of the loss", needs="target or labels", is_derivative=True, zero_when_ignored=True,
            limit="distance",
        ),
        Quantity("jacobian", "Jacobian of softmax, ∂p_i/∂x_j", "matrix", is_derivative=True, limit="distance"),
        Quantity("vjp", "vector-Jacobian product", needs="cotangent", is_derivative=True, limit="distance"),
    )
}  # fmt: skip


def get(name: str) -> Quantity:
    """Look a quantity up by its name or by what people also call it.

    Raises:
        UsageError: there is none; the hint names the nearest.
    """
    key = name.strip().lower()
    if key in QUANTITIES:
        return QUANTITIES[key]
    known = {alias: q for q in QUANTITIES.values() for alias in (q.name, *q.aliases)}
    if key in known:
        return known[key]
    near = nearest(key, known, names={alias: q.name for alias, q in known.items()})
    raise UsageError(f"unknown quantity {name!a}", f"{near}choose one of {', '.join(values())}")


def values() -> tuple[str, ...]:
    """The quantities that are no derivatives: what `compare` and `eval` compute."""
    return tuple(q.name for q in QUANTITIES.values() if not q.is_derivative)


def losses() -> tuple[str, ...]:
    """The quantities that can be reduced and differentiated."""
    return tuple(q.name for q in QUANTITIES.values() if q.is_loss)
