"""JAX, eager and compiled."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.methods.libraries import WIDE, Library, dtype, library, named

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from smcli.methods.kernels import Task

Tensor = Any


@library(
    "jax",
    source="jax.nn.softmax, log_softmax, logsumexp, sigmoid, log_sigmoid; jax.scipy.special.entr, rel_entr; losses by hand",
    backward="autograd",
)
class Jax(Library):
    """JAX, eager, operation by operation; derivatives by jax.grad and jax.jacrev."""

    package, extra, distributions = "jax", "jax", ("jax",)
    dtypes = (*WIDE, "bfloat16", "float8_e4m3fn", "float8_e5m2")
    gradients, products = ("cross-entropy", "bce", "entropy", "kl"), ("softmax", "log-softmax", "logsumexp")
    signed, jitted = True, False

    def session(self, task: Task) -> contextlib.AbstractContextManager[Any]:
        if task.format.name != "float64":
            return contextlib.nullcontext()
        import jax

        if hasattr(jax, "enable_x64"):
            session: contextlib.AbstractContextManager[Any] = jax.enable_x64(True)  # noqa: FBT003
        else:  # before JAX 0.8
            from jax.experimental import enable_x64

            session = enable_x64()
        return session

    def tensor(self, values: NDArray[Any], task: Task) -> Tensor:
        import jax.numpy as jnp

        return jnp.asarray(values.astype(dtype(task.format.name)))

    def softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _jax(self.jitted)["softmax"](x)

    def log_softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _jax(self.jitted)["log_softmax"](x)

    def logsumexp(self, x: Tensor, task: Task) -> Tensor:
        if task.problem.coefficients is None:
            return _jax(self.jitted)["logsumexp"](x)
        return _jax(self.jitted)["signed"](x, self.tensor(task.problem.coefficients, task))

    def sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _jax(self.jitted)["sigmoid"](x)

    def log_sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _jax(self.jitted)["log_sigmoid"](x)

    def entropy(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _jax(self.jitted)["entropy"](x)

    def kl(self, x: Tensor, task: Task) -> Tensor:
        return self._loss("", x, task)

    def cross_entropy(self, x: Tensor, task: Task) -> Tensor:
        return self._loss("", x, task)

    def bce(self, x: Tensor, task: Task) -> Tensor:
        return _jax(self.jitted)["bce"](x, self.tensor(task.labels, task))

    def gradient(self, x: Tensor, task: Task) -> Tensor:
        return self._loss("gradient of ", x, task)

    def jacobian(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _jax(self.jitted)["jacobian"](x)

    def vjp(self, x: Tensor, task: Task) -> Tensor:
        return _jax(self.jitted)[f"vjp of {named(task.problem.vjp_of)}"](x, self.tensor(task.cotangent, task))

    def _loss(self, what: str, x: Tensor, task: Task) -> Tensor:
        loss, t = task.loss, task.targets
        if loss.kind == "bce":
            return _jax(self.jitted)[f"{what}bce"](x, self.tensor(task.labels, task))
        if loss.kind == "entropy":
            return _jax(self.jitted)[f"{what}entropy"](x)
        if loss.kind == "kl":
            return _jax(self.jitted)[f"{what}{'reverse ' if loss.reverse else ''}kl"](
                x, self.tensor(task.teacher, task)
            )
        z = self.tensor(np.array(loss.z_loss), task) if loss.z_loss else None  # not 0: 0·lse² is nan beyond the format
        if t is None:
            return _jax(self.jitted)[f"{what}soft"](x, self.tensor(task.labels, task), z)
        w = np.ones(t.size) if loss.weights is None else loss.weights[np.maximum(t, 0)]
        return _jax(self.jitted)[f"{what}hard"](x, np.maximum(t, 0), self.tensor(w, task), z)


@library("jax-jit", source="jax.jit of the functions of `jax`", backward="autograd")
class JaxJit(Jax):
    """JAX, compiled by jax.jit: XLA fuses the operations, and may round less often."""

    jitted = True


@cache
def _jax(jitted: bool) -> dict[str, Callable[..., Tensor]]:  # noqa: FBT001
    """The functions of JAX, compiled or not, kept so that they are compiled once."""
    import jax
    import jax.numpy as jnp

    def with_z(value: Tensor, x: Tensor, z: Tensor | None) -> Tensor:
        return value if z is None else value + z * jax.nn.logsumexp(x, axis=-1) ** 2

    def hard(x: Tensor, t: Tensor, w: Tensor, z: Tensor | None) -> Tensor:
        return with_z(-w * jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], axis=-1)[:, 0], x, z)

    def soft(x: Tensor, y: Tensor, z: Tensor | None) -> Tensor:
        return with_z(-(y * jax.nn.log_softmax(x)).sum(axis=-1), x, z)

    def bce(x: Tensor, y: Tensor) -> Tensor:
        return -(y * jax.nn.log_sigmoid(x) + (1 - y) * jax.nn.log_sigmoid(-x))

    def entropy(x: Tensor) -> Tensor:
        return jax.scipy.special.entr(jax.nn.softmax(x)).sum(axis=-1)

    def kl(x: Tensor, t: Tensor) -> Tensor:
        return jax.scipy.special.rel_entr(jax.nn.softmax(t), jax.nn.softmax(x)).sum(axis=-1)

    functions: dict[str, Callable[..., Tensor]] = {
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "logsumexp": lambda x: jax.nn.logsumexp(x, axis=-1),
        "hard": hard,
        "soft": soft,
        "bce": bce,
        "sigmoid": jax.nn.sigmoid,
        "log_sigmoid": jax.nn.log_sigmoid,
        "entropy": entropy,
        "kl": kl,
        "reverse kl": lambda x, t: kl(t, x),
        "signed": lambda x, b: jax.nn.logsumexp(x, axis=-1, b=b, return_sign=True)[0],
        "jacobian": jax.vmap(jax.jacrev(jax.nn.softmax)),
    }
    for name in ("softmax", "log_softmax", "logsumexp"):
        functions[f"vjp of {name}"] = lambda x, v, f=functions[name]: jax.vjp(f, x)[1](v)[0]
    for name in ("hard", "soft", "bce", "entropy", "kl", "reverse kl"):
        functions[f"gradient of {name}"] = jax.grad(lambda x, *given, f=functions[name]: f(x, *given).sum())
    return {name: jax.jit(f) for name, f in functions.items()} if jitted else functions
