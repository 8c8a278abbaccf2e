"""Completion scripts from the command tree: one module a shell, each with FILE, the name of its script, and `script`."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from smcli.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

    from smcli.shells.tree import Command
    from smcli.shells.values import Values


@cache
def names() -> tuple[str, ...]:
    """The shells there are scripts for: the modules of this folder."""
    from pkgutil import iter_modules

    return tuple(sorted(m.name for m in iter_modules(__path__)))


def module(shell: str) -> ModuleType:
    """The module of a shell.

    Raises:
        UsageError: there is none; the hint names those there are.
    """
    if shell not in names():
        import difflib

        near = difflib.get_close_matches({"pwsh": "powershell"}.get(shell, shell), names(), 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"no completion for the shell {shell!a}", f"{meant}choose one of {', '.join(names())}")
    return import_module(f"smcli.shells.scripts.{shell}")


def script(shell: str, program: Command) -> str:
    """The completion script of a shell, which starts no program when it completes."""
    text: str = module(shell).script(program)
    return text


def places(program: Command) -> dict[Values, list[tuple[str, tuple[str, ...]]]]:
    """Where each set of values fits: (command, spellings of an option); no spellings: the arguments of the command."""
    found: dict[Values, list[tuple[str, tuple[str, ...]]]] = {}
    for command in (program, *program.commands):
        name = "" if command is program else command.name
        for option in command.options:
            if option.values:
                found.setdefault(option.values, []).append((name, option.names))
        if command.values:
            found.setdefault(command.values, []).append((name, ()))
    return found


def named(program: Command) -> dict[Values, str]:
    """A name for each set of values, after the first place where it fits: "method", "method_of_grad"."""
    given: dict[Values, str] = {}
    for values, where in places(program).items():
        command, names = where[0]
        name = (names[-1].strip("-") if names else command or "command").replace("-", "_")
        given[values] = f"{name}_of_{command}" if name in given.values() else name
    return given


def filled(template: str, **parts: str) -> str:
    """The template with each @NAME@ replaced, in one pass: a text that looks like one is left alone."""
    return re.sub("@([A-Z]+)@", lambda m: parts[m[1]].rstrip("\n"), template)
