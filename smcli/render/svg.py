"""The table as a picture for a README: one self-contained SVG, as wide as what it shows."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.terminal_theme import TerminalTheme

from smcli import document
from smcli.numbers import words
from smcli.render.table import Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.document.parts import Document, Part
    from smcli.document.style import Style

SUFFIXES = (".svg",)
LINE_END = re.compile(r"<text [^>]*>\n</text>")  # Rich makes a piece of text of each
WIDEST, NARROWEST = 100, 46  # letters of the picture
FONTS = "ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono','Liberation Mono',Consolas,monospace"
INK = (
    (13, 17, 23),
    (255, 123, 114),
    (126, 231, 135),
    (227, 179, 65),
    (121, 192, 255),
    (210, 168, 255),
    (121, 192, 255),
    (230, 237, 243),
)
THEME = TerminalTheme((13, 17, 23), (230, 237, 243), list(INK))
PICTURE = (  # Rich's own, without its font from the web; width, height, x and y are Rich's names
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    ' role="img" aria-labelledby="{unique_id}-t">'
    '<title id="{unique_id}-t">TITLE</title>\n<style>\n'
    ".{unique_id}-matrix {{ font: {char_height}px/{line_height}px " + FONTS + "; }}\n"
    ".{unique_id}-title {{ font: 17px system-ui, sans-serif; }}\n{styles}\n</style>\n"
    '<defs>\n<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>\n'
    "{lines}\n</defs>\n{chrome}\n"
    '<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">\n'
    '{backgrounds}\n<g class="{unique_id}-matrix">\n{matrix}\n</g>\n</g>\n</svg>\n'
)


def pieces(thing: Any, style: Style) -> Iterator[str]:
    """One <svg> element: what a dark terminal of the right width shows."""
    doc = document.of(thing, style)
    parts = list(doc.parts)
    lines = _recorded(doc, parts, WIDEST).export_text().split("\n")
    fitting = max(NARROWEST, *(len(line.rstrip()) for line in lines))
    title = words.escape(doc.title)
    code = PICTURE.replace("TITLE", escape(title))
    picture = _recorded(doc, parts, fitting).export_svg(title=title, theme=THEME, code_format=code, unique_id="smcli")
    yield LINE_END.sub("", picture)


def _recorded(doc: Document, parts: Sequence[Part], width: int) -> Console:
    console = Console(
        file=io.StringIO(), record=True, width=width, height=25, force_terminal=True, color_system="truecolor",
        highlight=False, emoji=False, markup=False, legacy_windows=False,
    )  # fmt: skip
    console.print(Group(*Page(width).all(doc, parts)), crop=False, overflow="fold")
    return console
