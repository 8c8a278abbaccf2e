"""What --help prints: options under headings, and the commands with their whole summaries."""

from __future__ import annotations

import re
import shutil
import sys
from typing import Any

from typer.core import TyperCommand, TyperGroup

from smcli.render import encodable

NARROW = 52  # columns below which Typer prints wider lines than the terminal has, which breaks them in mid-word
ASIDE, BELOW = 30, 2  # columns of the names that a text stands beside; of longer ones it stands below
HEADINGS = ("Methods and quantities", "Input", "Numbers", "Loss", "Output")  # in this order


class HelpfulCommand(TyperCommand):
    """A command whose help groups its options by the set that they stand in."""

    def get_help(self, ctx: Any) -> str:
        """The help, in ASCII where standard output cannot do better."""
        narrow(ctx)
        return encodable(super().get_help(ctx), getattr(sys.stdout, "encoding", None) or "utf-8")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, group by group."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{heading: [] for heading in HEADINGS}}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                argument = parameter.param_type_name == "argument"
                heading = "Arguments" if argument else getattr(parameter, "rich_help_panel", None) or HEADINGS[-1]
                groups[heading].append((record[0], without_brackets(record[1])))
        for heading, records in groups.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records, col_max=beside(formatter))


class Program(TyperGroup):
    """The program, whose help gives the whole summary of each command."""

    def get_help(self, ctx: Any) -> str:
        """The help, in ASCII where standard output cannot do better."""
        narrow(ctx)
        return encodable(super().get_help(ctx), getattr(sys.stdout, "encoding", None) or "utf-8")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, and the commands with the first sentence of what they say of themselves."""
        with formatter.section("Options"):
            records = [r for p in self.get_params(ctx) if (r := p.get_help_record(ctx)) is not None]
            formatter.write_dl(records, col_max=beside(formatter))
        with formatter.section("Commands"):
            commands = [(name, summary(c.help or "")) for name, c in self.commands.items() if not c.hidden]
            formatter.write_dl(commands)


def narrow(ctx: Any) -> None:
    """Tell a context the width of a terminal that is narrower than Typer thinks there are."""
    columns = shutil.get_terminal_size().columns
    if columns < NARROW and ctx.terminal_width is None:
        ctx.terminal_width = max(columns - 2, 20)


def beside(formatter: Any) -> int:
    """How long a name may be for its text to stand beside it: words have to fit into what is left."""
    return ASIDE if formatter.width > NARROW - 2 else BELOW


def summary(text: str) -> str:
    """The first sentence of a help text, without its stop."""
    return " ".join(text.split()).partition(". ")[0].rstrip(".")


def without_brackets(text: str) -> str:
    """A help text whose default, where that is in words, stands as it is: Typer puts it in brackets of its own."""
    return re.sub(r"\[default: \((.*)\)([;\]])", r"[default: \1\2", text)
