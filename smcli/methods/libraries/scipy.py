"""SciPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smcli.methods.libraries import Library, cross_entropy_by_hand, library

if TYPE_CHECKING:
    from smcli.methods.kernels import Task

Tensor = Any


@library("scipy", source="scipy.special.softmax, log_softmax, logsumexp, expit, log_expit, entr, rel_entr")
class SciPy(Library):
    """SciPy's special functions; the cross-entropy is minus its log_softmax at the target, entropies are sums."""

    package, extra, signed = "scipy", "scipy", True

    def softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        from scipy.special import softmax

        return softmax(x, axis=-1)

    def log_softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        from scipy.special import log_softmax

        return log_softmax(x, axis=-1)

    def logsumexp(self, x: Tensor, task: Task) -> Tensor:
        from scipy.special import logsumexp

        if task.problem.coefficients is None:
            return logsumexp(x, axis=-1)
        return logsumexp(x, axis=-1, b=self.tensor(task.problem.coefficients, task), return_sign=True)[0]

    def sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        from scipy.special import expit

        return expit(x)

    def log_sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        from scipy.special import log_expit

        return log_expit(x)

    def entropy(self, x: Tensor, task: Task) -> Tensor:
        from scipy.special import entr

        return entr(self.softmax(x, task)).sum(axis=-1)

    def kl(self, x: Tensor, task: Task) -> Tensor:
        from scipy.special import rel_entr

        p, q = self.softmax(self.tensor(task.teacher, task), task), self.softmax(x, task)
        return (rel_entr(q, p) if task.loss.reverse else rel_entr(p, q)).sum(axis=-1)

    def cross_entropy(self, x: Tensor, task: Task) -> Tensor:
        return cross_entropy_by_hand(self, x, task)

    def bce(self, x: Tensor, task: Task) -> Tensor:
        from scipy.special import log_expit

        y = self.tensor(task.labels, task)
        return -(y * log_expit(x) + (1 - y) * log_expit(-x))
