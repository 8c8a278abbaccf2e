"""NumPy as people write softmax in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.methods.libraries import WIDE, Library, cross_entropy_by_hand, library

if TYPE_CHECKING:
    from smcli.methods.kernels import Task

Tensor = Any


@library("numpy", source="np.exp(x)/np.exp(x).sum(), and np.log of that", backward="fused")
class NumPy(Library):
    """NumPy as everyone writes it first: exponentials over their sum."""

    dtypes = (*WIDE, "bfloat16", "float8_e4m3fn", "float8_e5m2")

    def softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)

    def log_softmax(self, x: Tensor, task: Task) -> Tensor:
        return np.log(self.softmax(x, task))

    def logsumexp(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return np.log(np.exp(x).sum(axis=-1))

    def cross_entropy(self, x: Tensor, task: Task) -> Tensor:
        return cross_entropy_by_hand(self, x, task)

    def sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return 1 / (1 + np.exp(-x))

    def log_sigmoid(self, x: Tensor, task: Task) -> Tensor:
        return np.log(self.sigmoid(x, task))

    def bce(self, x: Tensor, task: Task) -> Tensor:
        y, p = self.tensor(task.labels, task), self.sigmoid(x, task)
        return -(y * np.log(p) + (1 - y) * np.log(1 - p))

    def entropy(self, x: Tensor, task: Task) -> Tensor:
        p = self.softmax(x, task)
        return -(p * np.log(p)).sum(axis=-1)

    def kl(self, x: Tensor, task: Task) -> Tensor:
        p, q = self.softmax(self.tensor(task.teacher, task), task), self.softmax(x, task)
        p, q = (q, p) if task.loss.reverse else (p, q)
        return (p * np.log(p / q)).sum(axis=-1)

    def gradient(self, x: Tensor, task: Task) -> Tensor:
        loss, y = task.loss, self.tensor(task.labels, task)
        if loss.kind == "bce":
            return self.sigmoid(x, task) - y
        p = self.softmax(x, task)
        g = p * y.sum(axis=-1, keepdims=True) - y
        if loss.z_loss:
            g = g + x.dtype.type(2 * loss.z_loss) * self.logsumexp(x, task)[:, None] * p
        return g


@library("numpy-shifted", source="e = np.exp(x - x.max()); e/e.sum(), and np.log of that", backward="fused")
class NumPyShifted(NumPy):
    """NumPy as everyone writes it next: the maximum subtracted first."""

    def softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def logsumexp(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        m = x.max(axis=-1, keepdims=True)
        return m[:, 0] + np.log(np.exp(x - m).sum(axis=-1))
