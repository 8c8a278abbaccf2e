"""Typer's command → the command tree as plain data, with what each word of it can be."""

from __future__ import annotations

from typing import Any

import typer

from smcli.cli.values import Place, of
from smcli.shells.tree import NOTHING, Argument, Command, Option, plain


def tree(group: Any) -> Command:
    """The whole program, read from the command that Typer made of the application."""
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
