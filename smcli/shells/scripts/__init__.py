"""Completion scripts from the command tree: one module a shell, each with FILE, the name of its script, and `script`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from smcli import registry

if TYPE_CHECKING:
    from types import ModuleType

    from smcli.shells.tree import Command

SHORT = {"pwsh": "powershell"}


@cache
def names() -> tuple[str, ...]:
    """The shells there are scripts for: the modules of this folder."""
    return registry.names(__path__)


def module(shell: str) -> ModuleType:
    """The module of a shell.

    Raises:
        UsageError: there is none; the hint names those there are.
    """
    return registry.module(__name__, names(), SHORT.get(shell, shell), "shell")


def script(shell: str, program: Command) -> str:
    """The completion script of a shell, which starts no program when it completes."""
    text: str = module(shell).script(program)
    return text
