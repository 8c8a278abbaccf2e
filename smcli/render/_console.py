"""Rich's console as this program wants it: drawn into text, with ANSI codes only where standard output shows them."""

from __future__ import annotations

import io
import os
import shutil
import sys
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

WIDEST = 10**6  # a pipe has no width
PAGE = 24  # lines that are seen at once where there is no terminal to ask


def on_terminal(*, to_file: bool) -> bool:
    """Whether what is written is seen on a terminal."""
    return not to_file and sys.stdout is not None and sys.stdout.isatty()


def screen(*, to_file: bool) -> tuple[int, int]:
    """The columns and lines of the terminal, or those of a pipe."""
    if not on_terminal(to_file=to_file):
        return WIDEST, PAGE
    size = shutil.get_terminal_size()
    return size.columns, size.lines


def drawn(draw: Callable[[Console], None], *, to_file: bool, color: bool | None, width: int) -> str:
    """What `draw` prints, as text.

    Args:
        draw: prints on the console that it is given.
        to_file: the text goes to a file that the user named: never ANSI codes.
        color: False: no colours; None: as NO_COLOR, FORCE_COLOR and TERM say. Where there are no colours, FORCE_COLOR does
            not bring ANSI codes into a pipe.
        width: columns.
    """
    to_terminal = on_terminal(to_file=to_file)
    plain = to_file or color is False or bool(os.environ.get("NO_COLOR"))
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width,
        height=25,  # says nothing, but without it Rich takes 80 columns where TERM=dumb
        no_color=True if color is False else None,
        force_terminal=True if to_terminal else False if plain else None,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
        soft_wrap=False,
    )
    draw(console)
    return "\n".join(line.rstrip() for line in buffer.getvalue().split("\n"))
