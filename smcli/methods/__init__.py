"""The methods: one place to look them up, by name or by group."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from smcli import registry
from smcli.errors import UsageError, nearest
from smcli.methods.base import RAISED, REGISTRY, Backward, Formula, Method, Run, method, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = (
    "REGISTRY", "Backward", "Formula", "Method", "Run", "adapters", "advice", "computes", "everything", "expand", "formulas", "get",
    "method", "run",
)  # fmt: skip

MODULES = ("softmax", "guarded", "divergence", "bigfloat", "differences")
GROUPS = ("all", "libraries")


@cache
def _load(modules: tuple[str, ...]) -> None:
    registry.load("smcli.methods", modules)


def _of(modules: tuple[str, ...], kind: type[Method]) -> dict[str, Method]:
    """The methods of a kind by name, in the order of modules and of the classes there, whatever was imported first."""
    _load(modules)
    place = {f"smcli.methods.{module}": k for k, module in enumerate(modules)}
    known = {name: m for name, m in REGISTRY.items() if isinstance(m, kind)}
    return dict(sorted(known.items(), key=lambda one: place.get(one[1].module, len(place))))


def formulas() -> dict[str, Method]:
    """The methods written in the arithmetic of a format, by name."""
    return _of(MODULES, Formula)


def adapters() -> dict[str, Method]:
    """The libraries under test by name, whether they are installed or not."""
    from smcli.methods.kernels import Kernel
    from smcli.methods.libraries import MODULES as EACH

    return _of(tuple(f"libraries.{module}" for module in EACH), Kernel)


def everything() -> dict[str, Method]:
    """All methods by name: the formulas, then the libraries."""
    return {**formulas(), **adapters()}


def get(name: str) -> Method:
    """Look a method up; "module:function" is a function of the user's.

    Raises:
        UsageError: there is none of that name; the hint names the nearest.
    """
    known = formulas()
    if name in known:
        return known[name]
    if ":" in name:
        from smcli.methods import external

        return external.load(name)
    known = everything()
    if name in known:
        return known[name]
    near = nearest(name.lower(), [*known, *GROUPS])
    raise UsageError(f"unknown method {name!a}", f"{near}`smcli methods` lists them all")


def expand(names: Iterable[str], quantities: Iterable[str], loss: str = "") -> tuple[str, ...]:
    """The names of methods, with those of a group in its place.

    Args:
        names: as the user gave them. "all" are the formulas, "libraries" the libraries that are installed.
        quantities: a group has only those that define one of them.
        loss: the one whose gradient is asked for, if it is; a group has only those that have it.

    Raises:
        UsageError: there is no such method.
    """
    wanted: tuple[str, ...] = tuple(quantities)
    out: list[str] = []
    for name in names:
        if name not in GROUPS:
            out.append(get(name).name)
            continue
        group = formulas() if name == "all" else adapters()
        out += [n for n, m in group.items() if not m.reason and computes(n, wanted, loss)]
    return tuple(dict.fromkeys(out))


def advice(reasons: Mapping[str, str], more: str) -> str:
    """What to do where none of some methods could run: of each the reason, by its name.

    Args:
        reasons: what was said of each.
        more: what shows the traceback of a function.
    """
    own = [why for name, why in reasons.items() if ":" in name]
    if any(why.startswith(RAISED) for why in own):
        return f"that is the function's own error; {more} shows its traceback"
    if own:
        return "a function gets x as [rows, C], or a row [C] at a time, and returns as many values as the quantity has"
    return "`smcli methods` lists what is installed"


def computes(name: str, quantities: Iterable[str], loss: str) -> bool:
    """Whether a method defines one of the quantities, a gradient of that loss."""
    m = get(name)
    return any(m.defines(q) and (q != "gradient" or m.differentiates(loss)) for q in quantities)
