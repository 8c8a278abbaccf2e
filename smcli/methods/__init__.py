"""The algorithms: what a method is, how one is registered, how one is looked up and run."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from smcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smcli.model import FloatArray
    from smcli.numbers.arithmetic import Step

Backward = Literal["composed", "fused", "none"]
T = TypeVar("T", bound=type)
MODULES = ("softmax", "bigfloat", "gradients")


class Method(NamedTuple):
    """One algorithm.

    Attributes:
        name: what the user types.
        algorithm: an object with some of `softmax`, `log_softmax`, `logsumexp`, `bce`: (x, arithmetic) -> Rows.
        source: who describes or ships it.
        backward: how its gradient is computed: "composed" goes back through every step of the forward pass,
            "fused" is p·Σy − y at once, "none" has no backward pass.
        derivatives_only: it approximates derivatives and has no forward pass of its own.
    """

    name: str
    algorithm: Any
    source: str
    backward: Backward
    derivatives_only: bool = False

    @property
    def summary(self) -> str:
        """The first line of the algorithm's docstring."""
        return (self.algorithm.__doc__ or "").strip().splitlines()[0]

    def defines(self, quantity: str) -> bool:
        """Whether the method computes that quantity."""
        if quantity in {"gradient", "jacobian", "vjp"}:
            return self.backward != "none"
        if self.derivatives_only:
            return False
        part = {"cross-entropy": "log_softmax"}.get(quantity, quantity.replace("-", "_"))
        return hasattr(self.algorithm, part)


class Run(NamedTuple):
    """What one method returned for one quantity of a block, and how it got there.

    Attributes:
        method: the method's name.
        values: float64 [R, N], numbers of the format.
        steps: the trace.
    """

    method: str
    values: FloatArray
    steps: Sequence[Step] = ()


REGISTRY: dict[str, Method] = {}


def method(
    name: str, *, source: str, backward: Backward = "composed", derivatives_only: bool = False
) -> Callable[[T], T]:
    """Register the decorated class as the algorithm of that name."""

    def register(algorithm: T) -> T:
        REGISTRY[name] = Method(name, algorithm(), source, backward, derivatives_only)
        return algorithm

    return register


@cache
def _load() -> None:
    for module in MODULES:
        import_module(f"smcli.methods.{module}")


def everything() -> dict[str, Method]:
    """All methods by name, in the order of MODULES and of the classes there, whatever was imported first."""
    _load()
    place = {f"smcli.methods.{module}": k for k, module in enumerate(MODULES)}
    ranked = sorted(REGISTRY.items(), key=lambda one: place.get(type(one[1].algorithm).__module__, len(place)))
    return dict(ranked)


def get(name: str) -> Method:
    """Look a method up.

    Raises:
        UsageError: there is none of that name; the hint names the nearest.
    """
    known = everything()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower(), known, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown method {name!a}", f"{meant}`smcli methods` lists them all")
