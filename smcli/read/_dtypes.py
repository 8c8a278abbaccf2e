"""What a text says about the number format of its numbers: a dtype, a constructor, a cast, a suffix."""

from __future__ import annotations

import re
from typing import NamedTuple

from smcli.errors import UsageError
from smcli.numbers import formats

_INTEGERS = re.compile(r"u?int\d*|long|short|byte|char")
_NUMPY_CODES = {"f2": "float16", "f4": "float32", "f8": "float64", "e": "float16", "d": "float64", "f": "float32"}
_TORCH = {"tensor", "Tensor", "as_tensor", "Parameter"}
_TENSORFLOW = {"constant", "Variable", "convert_to_tensor"}
_JAX = {"Array", "DeviceArray", "ArrayImpl"}
_NUMPY = {"array", "asarray", "matrix"}
_NAMED = re.compile(r"(B?Float\d+)(?:Array)?|(Float|Half|Double|BFloat16)Tensor")
_TENSORS = {"Float": "float32", "Half": "float16", "Double": "float64", "BFloat16": "bfloat16"}
_DTYPE = re.compile(r"\bdtype\s*=\s*['\"]?([\w.<>=|]+)")

SHOWING = _TORCH | _TENSORFLOW | _JAX | _NUMPY | {"c", "list", "tuple", "from_numpy", "vec!"}
CASTS = {"half": "float16", "float": "float32", "double": "float64", "bfloat16": "bfloat16"}
CONVERSIONS = {"astype", "to", "type", "cast"}
HARMLESS = {"cuda", "cpu", "detach", "numpy", "tolist", "clone", "contiguous", "copy", "requires_grad_", "eval"}


class Vote(NamedTuple):
    """A number format that a text names, where, and how it does that."""

    at: int
    dtype: str | None
    origin: str


SUFFIX = Vote(0, "float32", "the f behind the numbers")


def resolve(name: str) -> tuple[bool, str | None]:
    """Whether a name is a dtype, and which of the number formats, None of integers and others."""
    bare = name.strip(" '\"<>=|").rsplit(".", 1)[-1]
    if _INTEGERS.fullmatch(bare) or bare in {"longdouble", "float128"}:
        return True, None
    if bare == "float" and not name.strip(" '\"").startswith("torch."):
        return True, "float64"  # Python's own
    try:
        return True, formats.get(_NUMPY_CODES.get(bare, bare)).name
    except UsageError:
        return False, None


def is_showing(name: str) -> bool:
    """Whether a constructor of that name only shows the numbers in it."""
    return name in SHOWING or bool(_NAMED.fullmatch(name))


def of_constructor(name: str, arguments: str, at: int, *, integers: bool) -> Vote:
    """The format of tensor(...), array(...) and their like, whose arguments but the numbers are given."""
    if found := _DTYPE.search(arguments):
        return Vote(at, resolve(found[1])[1], f"dtype={found[1]} in the text")
    last = name.replace("::", ".").rsplit(".", 1)[-1]
    if named := _NAMED.fullmatch(last):
        return Vote(at, _TENSORS[named[2]] if named[2] else resolve(named[1].lower())[1], f"{last} in the text")
    if last in CASTS or resolve(last)[0]:
        return Vote(at, resolve(last)[1] if last != "float" else None, f"{last} in the text")
    if name.startswith(("tf.", "tensorflow.")) or last in _TENSORFLOW:
        return Vote(at, "float32", "TensorFlow's default for a tensor without dtype")
    if last in _TORCH:
        return Vote(at, "float32", "torch's default for a tensor without dtype")
    if last in _JAX or name.startswith(("jnp.", "jax.")):
        return Vote(at, "float32", "JAX's default for an array without dtype")
    if last in _NUMPY and not integers:
        return Vote(at, "float64", "NumPy's default for an array without dtype")
    return Vote(at, None, "")


def agreed(votes: list[Vote]) -> tuple[str | None, str, tuple[str, ...]]:
    """The format that a text names, how it does, and what to say where it names several."""
    found = {vote.dtype: vote.origin for vote in reversed(votes) if vote.dtype}
    if len(found) > 1:
        return None, "", (f"the arrays are of several formats, {' and '.join(sorted(map(str, found)))}",)
    dtype, origin = next(iter(found.items()), (None, ""))
    return dtype, origin, ()
