"""What all scripts need: where each set of values fits, and a template filled in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smcli.shells.tree import Command, Values


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
