"""Rooms in which every module is an entry: to add one is to add a file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from smcli.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType


def names(path: Iterable[str]) -> tuple[str, ...]:
    """The modules of a package, by its `__path__`, in the order of the alphabet; those with an underscore are helpers."""
    from pkgutil import iter_modules

    return tuple(sorted(module.name for module in iter_modules(path) if not module.name.startswith("_")))


def module(package: str, known: Sequence[str], name: str, what: str) -> ModuleType:
    """The module of that name.

    Args:
        package: where it stands, such as "smcli.render".
        known: the names there are.
        name: the one that is wanted.
        what: what the modules are, such as "output format".

    Raises:
        UsageError: there is none; the hint names the nearest.
    """
    if name not in known:
        raise UsageError(f"unknown {what} {name!a}", f"{nearest(name, known)}choose one of {', '.join(known)}")
    return import_module(f"{package}.{name}")


def load(package: str, modules: Iterable[str]) -> None:
    """Import modules, in which decorators register what they hold."""
    for name in modules:
        import_module(f"{package}.{name}")
