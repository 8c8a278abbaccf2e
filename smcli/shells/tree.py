"""The command tree as plain data, for all that is made of it: completion scripts and the man page."""

from __future__ import annotations

from dataclasses import dataclass

Choice = tuple[str, str]  # a value, and what it is in a few words


@dataclass(frozen=True)
class Values:
    """What can be completed in one place.

    Attributes:
        choices: the values there are, in the order of their registry; free text is possible beside them.
        files: the names of files fit there.
        separated: several fit into one word, with commas between them.
    """

    choices: tuple[Choice, ...] = ()
    files: bool = False
    separated: bool = False

    def __bool__(self) -> bool:
        return self.files or bool(self.choices)


NOTHING = Values()


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


def plain(text: str) -> str:
    """A text in one line of ASCII, as every shell, terminal and pager can show it."""
    from smcli.render import ASCII

    return " ".join(text.translate(ASCII).split()).encode("ascii", "backslashreplace").decode()
