"""SciPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smcli.methods.libraries import Library, cross_entropy_by_hand, library

if TYPE_CHECKING:
    from smcli.methods.kernels import Task

Tensor = Any


@library("scipy", source="scipy.special.softmax, log_softmax, logsumexp, log_expit")
class SciPy(Library):
    """SciPy's special functions; the cross-entropy is minus its log_softmax at the target."""

    package, extra = "scipy", "scipy"

    def softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        from scipy.special import softmax

        return softmax(x, axis=-1)

    def log_softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        from scipy.special import log_softmax

        return log_softmax(x, axis=-1)

    def logsumexp(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        from scipy.special import logsumexp

        return logsumexp(x, axis=-1)

    def cross_entropy(self, x: Tensor, task: Task) -> Tensor:
        return cross_entropy_by_hand(self, x, task)

    def bce(self, x: Tensor, task: Task) -> Tensor:
        from scipy.special import log_expit

        y = self.tensor(task.labels, task)
        return -(y * log_expit(x) + (1 - y) * log_expit(-x))
