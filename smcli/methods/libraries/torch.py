"""PyTorch, eager and compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from smcli.methods.libraries import WIDE, Library, library, named
from smcli.model import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from smcli.methods.kernels import Task

Tensor = Any


@library(
    "torch",
    source="torch.softmax, log_softmax, logsumexp, sigmoid, F.logsigmoid, F.cross_entropy, "
    "F.binary_cross_entropy_with_logits, F.kl_div, Categorical.entropy",
    backward="autograd",
)
class Torch(Library):
    """PyTorch, eager, on the CPU; derivatives by autograd."""

    package, extra, dtypes = "torch", "torch", (*WIDE, "bfloat16")
    gradients, products = ("cross-entropy", "bce", "entropy", "kl"), ("softmax", "log-softmax", "logsumexp")

    def tensor(self, values: NDArray[Any], task: Task) -> Tensor:
        import torch

        return torch.tensor(values).to(getattr(torch, task.format.name))

    def array(self, tensor: Tensor) -> NDArray[Any]:
        values: NDArray[Any] = tensor.detach().double().numpy()
        return values

    def call(self, key: tuple[Any, ...], f: Callable[..., Tensor], *given: Tensor) -> Tensor:  # noqa: ARG002
        """Call a function of tensors; `key` tells it from others."""
        return f(*given)

    def softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        import torch

        return self.call(("softmax",), lambda x: torch.softmax(x, -1), x)

    def log_softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        import torch

        return self.call(("log_softmax",), lambda x: torch.log_softmax(x, -1), x)

    def logsumexp(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        import torch

        return self.call(("logsumexp",), lambda x: torch.logsumexp(x, -1), x)

    def cross_entropy(self, x: Tensor, task: Task) -> Tensor:
        import torch
        from torch.nn import functional

        loss, t = task.loss, task.targets
        if loss.target is not None:
            t = loss.target if task.problem.ignored is None else np.where(task.problem.ignored, IGNORED, loss.target)
        y = self.tensor(loss.labels, task) if loss.labels is not None else torch.tensor(t)
        w = None if loss.weights is None else self.tensor(loss.weights, task)
        smoothing, z = loss.smoothing, loss.z_loss

        def f(x: Tensor, y: Tensor, w: Tensor | None) -> Tensor:
            value = functional.cross_entropy(
                x, y, weight=w, ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
            )
            return value + z * torch.logsumexp(x, -1) ** 2 if z else value

        return self.call(("cross_entropy", smoothing, z, y.dtype, w is None), f, x, y, w)

    def bce(self, x: Tensor, task: Task) -> Tensor:
        from torch.nn import functional

        def f(x: Tensor, y: Tensor) -> Tensor:
            return functional.binary_cross_entropy_with_logits(x, y, reduction="none")

        return self.call(("bce",), f, x, self.tensor(task.labels, task))

    def sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        import torch

        return self.call(("sigmoid",), torch.sigmoid, x)

    def log_sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        from torch.nn import functional

        return self.call(("log_sigmoid",), functional.logsigmoid, x)

    def entropy(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        from torch.distributions import Categorical

        return self.call(("entropy",), lambda x: Categorical(logits=x, validate_args=False).entropy(), x)

    def kl(self, x: Tensor, task: Task) -> Tensor:
        import torch
        from torch.nn import functional

        reverse = task.loss.reverse

        def f(x: Tensor, t: Tensor) -> Tensor:
            student, teacher = torch.log_softmax(x, -1), torch.log_softmax(t, -1)
            given, true = (teacher, student) if reverse else (student, teacher)
            return functional.kl_div(given, true, reduction="none", log_target=True).sum(-1)

        return self.call(("kl", reverse), f, x, self.tensor(task.teacher, task))

    def gradient(self, x: Tensor, task: Task) -> Tensor:
        import torch

        x.requires_grad_()
        value = getattr(self, named(task.loss.kind))(x, task)
        return torch.autograd.grad(value, x, torch.ones_like(value))[0]

    def jacobian(self, x: Tensor, task: Task) -> Tensor:
        import torch

        p = self.softmax(x.requires_grad_(), task)
        rows = [torch.autograd.grad(p[:, i].sum(), x, retain_graph=True)[0] for i in range(x.shape[1])]
        return torch.stack(rows, 1)

    def vjp(self, x: Tensor, task: Task) -> Tensor:
        import torch

        p = getattr(self, named(task.problem.vjp_of))(x.requires_grad_(), task)
        return torch.autograd.grad(p, x, self.tensor(task.cotangent, task))[0]


@library("torch-compile", source="torch.compile of the functions of `torch`", backward="autograd")
class TorchCompile(Torch):
    """PyTorch, compiled by torch.compile: other kernels than the eager ones. The first call takes half a minute."""

    MOST: ClassVar[int] = 8  # dynamo goes back to eager, silently, after this many versions of a function

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.compiled: dict[tuple[Any, ...], Callable[..., Tensor]] = {}

    def call(self, key: tuple[Any, ...], f: Callable[..., Tensor], *given: Tensor) -> Tensor:
        import torch

        key = (*key, given[0].shape, given[0].dtype, given[0].requires_grad)
        if key not in self.compiled:
            if len(self.compiled) >= self.MOST:
                torch.compiler.reset()
                self.compiled.clear()
            self.compiled[key] = torch.compile(f, fullgraph=True, dynamic=False)
        return self.compiled[key](*given)
