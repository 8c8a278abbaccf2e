"""Command-line words → typer's words: negative numbers are arguments, whatever stands around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smcli.cli.help import HelpfulCommand
from smcli.numbers.words import looks_like_number

if TYPE_CHECKING:
    from collections.abc import Sequence


class LogitsCommand(HelpfulCommand):
    """A command whose arguments are numbers: `-1`, `-.5e3`, `-inf,2` are arguments, not options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the numbers behind `--` before Typer parses the options."""
        valued = {o for p in self.params if not getattr(p, "is_flag", True) for o in p.opts}
        return super().parse_args(ctx, numbers_last(args, valued))


def numbers_last(args: Sequence[str], valued: set[str]) -> list[str]:
    """Move what starts a number, and all other arguments, behind `--`, in their order.

    Args:
        args: the words after the command's name.
        valued: the options that take a value: the word after one is its value, even when it looks like a number.
    """
    options: list[str] = []
    numbers: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            numbers += rest
            break
        if word == "-" or not word.startswith("-") or looks_like_number(word):
            numbers.append(word)
            continue
        options.append(word)
        if takes_next(word, valued):
            if not rest:  # its value is missing: nothing may stand behind it, so that Typer says so
                return options
            options.append(rest.pop(0))
    return [*options, "--", *numbers] if numbers else options


def takes_next(word: str, valued: set[str]) -> bool:
    """Whether the next word is this option's value: --name, -x, or flags before it as in -vx."""
    if word.startswith("--"):
        return word in valued
    for i, letter in enumerate(word[1:], 1):
        if f"-{letter}" in valued:
            return i == len(word) - 1
    return False
