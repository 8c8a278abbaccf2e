"""The libraries under test, each imported when it is called: one module a library, one decorated class a method.

A quantity that a library offers is a method of its name, (x, task) -> values, on the library's own tensors.
"""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from smcli.errors import UnavailableError
from smcli.methods.base import REGISTRY
from smcli.methods.kernels import Kernel
from smcli.methods.streams import silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from smcli.methods.base import Backward
    from smcli.methods.kernels import Task
    from smcli.quantities import Quantity

Tensor = Any
T = TypeVar("T", bound="type[Library]")
MODULES = ("numpy", "scipy", "torch", "jax", "tensorflow", "onnxruntime")
WIDE = ("float64", "float32", "float16")


def library(name: str, *, source: str, backward: Backward = "none") -> Callable[[T], T]:
    """Register the decorated class as the adapter of that library."""

    def register(adapter: T) -> T:
        REGISTRY[name] = Kernel(name, source, backward, adapter(name), "libraries")
        return adapter

    return register


class Library:
    """What adapters share.

    Attributes:
        package: what is imported.
        extra: the extra of this program that installs it.
        distributions: under which names it is installed, for its version.
        dtypes: the number formats that it computes in.
        gradients: the losses that it has a gradient of.
        products: the quantities that it has a vector-Jacobian product of.
        signed: whether its logsumexp takes coefficients.
    """

    package: ClassVar[str] = "numpy"
    extra: ClassVar[str] = ""
    distributions: ClassVar[tuple[str, ...]] = ()
    dtypes: ClassVar[tuple[str, ...]] = WIDE
    gradients: ClassVar[tuple[str, ...]] = ("cross-entropy", "bce")
    products: ClassVar[tuple[str, ...]] = ("softmax",)
    signed: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def summary(self) -> str:
        """The first line of the adapter's docstring."""
        return (self.__doc__ or "").strip().splitlines()[0]

    @property
    def reason(self) -> str:
        """Whether the package is there; nothing is imported for that."""
        if importlib.util.find_spec(self.package) is not None:
            return ""
        return f"the package {self.package} is not installed: pip install 'smcli[{self.extra}]'"

    @property
    def version(self) -> str:
        """The version of the distribution that is installed."""
        from importlib.metadata import PackageNotFoundError, version

        for distribution in self.distributions or (self.package,):
            with contextlib.suppress(PackageNotFoundError):
                return version(distribution)
        return ""

    def defines(self, quantity: Quantity) -> bool:
        """Whether there is a method of its name."""
        return hasattr(self, named(quantity.name))

    def answer(self, quantity: Quantity, task: Task) -> NDArray[Any]:
        """Hand the tensors over, call the library, take the values back; what it prints meanwhile is dropped."""
        with silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.check(quantity, task)
            with self.session(task):
                x = self.tensor(task.x, task)
                if quantity.shape == "loss" and task.problem.loss is None:
                    return -self.array(self.log_softmax(x, task))
                return self.array(getattr(self, named(quantity.name))(x, task))

    def check(self, quantity: Quantity, task: Task) -> None:
        """Whether it computes in the format, and what is asked there.

        Raises:
            UnavailableError: it does not.
        """
        if quantity.name == "gradient" and task.loss.kind not in self.gradients:
            raise UnavailableError(f"it has no gradient of {task.loss.kind}")
        if quantity.name == "vjp" and task.problem.vjp_of not in self.products:
            raise UnavailableError(f"it has no product with the Jacobian of {task.problem.vjp_of}")
        if quantity.name == "logsumexp" and task.problem.coefficients is not None and not self.signed:
            raise UnavailableError("its logsumexp takes no coefficients")
        if task.format.name not in self.dtypes:
            known = ", ".join(self.dtypes)
            raise UnavailableError(f"it does not compute in {task.format.name}, only in {known}")

    def session(self, task: Task) -> contextlib.AbstractContextManager[Any]:  # noqa: ARG002
        """What has to hold while tensors of the format are made and used."""
        return contextlib.nullcontext()

    def tensor(self, values: NDArray[Any], task: Task) -> Tensor:
        """Numbers of the format as a tensor of it."""
        return values.astype(dtype(task.format.name))

    def array(self, tensor: Tensor) -> NDArray[Any]:
        """A tensor as float64."""
        return np.asarray(tensor).astype(np.float64)

    def log_softmax(self, x: Tensor, task: Task) -> Tensor:
        """What a cross-entropy without a target is made of."""
        raise NotImplementedError


def named(quantity: str) -> str:
    """The name of the method that computes a quantity."""
    return quantity.replace("-", "_")


def dtype(name: str) -> np.dtype[Any]:
    """NumPy's type of a number format, from ml_dtypes where it has none.

    Raises:
        UnavailableError: ml_dtypes is needed, and not installed.
    """
    if name in WIDE:
        return np.dtype(name)
    if importlib.util.find_spec("ml_dtypes") is None:
        raise UnavailableError(f"NumPy has no {name} of its own: pip install ml_dtypes")
    import ml_dtypes

    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return found


def cross_entropy_by_hand(code: Any, x: Tensor, task: Task) -> Tensor:
    """The cross-entropy that a library without one makes of its log-softmax."""
    log_p, t, loss = code.log_softmax(x, task), task.targets, task.loss
    if t is None:
        value = -(code.tensor(task.labels, task) * log_p).sum(axis=-1)
    else:
        t = np.maximum(t, 0)
        value = -log_p[np.arange(t.size), t]
        if loss.weights is not None:
            value = code.tensor(loss.weights, task)[t] * value
    if loss.z_loss:
        value = value + value.dtype.type(loss.z_loss) * code.logsumexp(x, task) ** 2
    return value
