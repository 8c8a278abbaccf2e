"""The command tree as plain data, for whatever is generated from it: completion scripts and the man page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import typer

from smcli.shells.values import NOTHING, Place, Values, of, plain


@dataclass(frozen=True)
class Option:
    """One option of one command.

    Attributes:
        names: its spellings, the short one first.
        help: what it does, in one line.
        metavar: what its value is called; empty: it takes none.
        default: what holds without it; empty: nothing to tell.
        repeatable: it may be given several times.
        values: what its value can be.
    """

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    default: str = ""
    repeatable: bool = False
    values: Values = NOTHING

    @property
    def long(self) -> str:
        """The spelling that people read best."""
        return self.names[-1]


@dataclass(frozen=True)
class Argument:
    """The arguments of one command: what the usage line calls them, and what they can be."""

    metavar: str
    help: str
    repeatable: bool
    values: Values


@dataclass(frozen=True)
class Command:
    """A command, or the program itself, which has commands.

    Attributes:
        epilog: what stands at the end of its help, line by line.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...] = ()
    epilog: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()

    @property
    def summary(self) -> str:
        """The first sentence of the help, without its stop."""
        return self.help.partition(". ")[0].rstrip(".")

    @property
    def values(self) -> Values:
        """What its arguments can be: of the program, the names of its commands."""
        if self.commands:
            return Values(tuple((c.name, c.summary) for c in self.commands))
        return next((a.values for a in self.arguments if a.values), NOTHING)


def tree() -> Command:
    """The whole program, read from the Typer application."""
    from smcli.cli.app import build

    group: Any = typer.main.get_command(build())
    context = typer.Context(group, info_name="smcli", **group.context_settings)
    commands = tuple(_command(name, c, context) for name, c in group.commands.items() if not c.hidden)
    return _command("smcli", group, None, commands)


def _command(name: str, command: Any, parent: typer.Context | None, commands: tuple[Command, ...] = ()) -> Command:
    context = typer.Context(command, info_name=name, parent=parent, **command.context_settings)
    parameters = [p for p in command.get_params(context) if not getattr(p, "hidden", False)]
    return Command(
        name=name,
        help=plain(command.help or ""),
        options=tuple(_option(name, p, context) for p in parameters if p.param_type_name == "option"),
        arguments=tuple(_argument(name, p, context) for p in parameters if p.param_type_name == "argument"),
        epilog=tuple((command.epilog or "").replace("\b", "").strip().splitlines()),
        commands=commands,
    )


def _option(command: str, parameter: Any, context: typer.Context) -> Option:
    names = tuple(sorted((*parameter.opts, *parameter.secondary_opts), key=lambda name: name.startswith("--")))
    takes = not (parameter.is_flag or parameter.count)
    shown = parameter.show_default
    default = shown if isinstance(shown, str) else str(parameter.default) if shown and takes else ""
    return Option(
        names=names,
        help=plain(parameter.help or ""),
        metavar=plain(parameter.metavar or parameter.make_metavar(context)) if takes else "",
        default=plain(default) if takes and default != "None" else "",
        repeatable=parameter.multiple,
        values=of(names[-1], Place(command, parameter.multiple)) if takes else NOTHING,
    )


def _argument(command: str, parameter: Any, context: typer.Context) -> Argument:
    metavar = parameter.metavar or parameter.make_metavar(context)
    return Argument(
        metavar=plain(metavar),
        help=plain(parameter.help or ""),
        repeatable=parameter.nargs != 1,
        values=of(command, Place(command, several=False)),
    )
