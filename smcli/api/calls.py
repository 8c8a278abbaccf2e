"""Calls that are watched: which arguments are the logits and the target, and whether any values can be seen."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOGITS, TARGETS = ("logits", "input", "inputs"), ("target", "targets", "labels")
SETTINGS = {
    "weight",
    "ignore_index",
    "label_smoothing",
    "reduction",
    "size_average",
    "reduce",
}  # that are looked at apart
MOST_NESTED = 16  # derivatives of derivatives


def compiler(name: str, say_lines: Callable[[list[str]], None]) -> tuple[Callable[[], bool], Callable[[], None]]:
    """Whether torch.compile is at work, and what says, once, that nothing is watched inside compiled code."""
    told: list[str] = []

    def say() -> None:
        if not told:
            told.append(name)
            say_lines(
                [f"{name} is called inside compiled code, where no value can be seen: watch the compiled function"]
            )

    torch = sys.modules.get("torch")
    if torch is None or not hasattr(getattr(torch, "compiler", None), "is_compiling"):
        return bool, say  # bool() is False
    return torch.compiler.is_compiling, torch.compiler.assume_constant_result(say)


def concrete(obj: Any) -> Any:
    """What a tracer of JAX's derivatives stands for, which is there unless the code is compiled."""
    for _ in range(MOST_NESTED):
        if not type(obj).__module__.startswith("jax.") or not hasattr(obj, "primal"):
            return obj
        obj = obj.primal
    return obj


def symbolic(result: Any) -> bool:
    """Whether it has no values yet: a tracer of JAX's, or a tensor of a graph of TensorFlow's."""
    kind = type(result)
    return kind.__name__ in {"DynamicJaxprTracer", "SymbolicTensor"} and kind.__module__.startswith(
        ("jax.", "tensorflow.")
    )


class Given(NamedTuple):
    """What of a call is looked at.

    Attributes:
        values: the logits, and the target where there is one.
        names: what the function calls them.
        aside: the names of what else it was called with, those of known settings apart.
    """

    values: list[Any]
    names: list[str]
    aside: list[str]


def arguments(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Given:
    """The logits and the target of a call: by their names where these are known ones, else the first two arguments."""
    given = _named(f, args, kwargs)
    logits = next((name for name in LOGITS if given.get(name) is not None), None)
    target = next((name for name in TARGETS if given.get(name) is not None), None)
    chosen = list(given)[:2] if logits is None or target is None else [logits, target]
    aside = [name for name, value in given.items() if name not in chosen and name not in SETTINGS and value is not None]
    return Given([given[name] for name in chosen], chosen, aside)


def _named(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a call was made with, in its order, by the names of the function, else by numbers."""
    try:
        known = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        known = {}.values()
    names = [p.name for p in known if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    numbered = [names[k] if k < len(names) else f"argument {k}" for k in range(len(args))]
    return dict(zip(numbered, args, strict=True)) | dict(kwargs)


class Settings:
    """What a call says of the loss beside its arguments: keywords, and what a module such as CrossEntropyLoss holds."""

    def __init__(self, f: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
        self._f, self._kwargs = f, kwargs

    def get(self, name: str, default: float | None) -> Any:
        """The value of that name."""
        return self._kwargs.get(name, getattr(self._f, name, default))
