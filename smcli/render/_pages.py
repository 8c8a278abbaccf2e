"""The pages of the findings: figures filled in from the number formats, then text, Markdown or data."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.numbers.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console, ConsoleOptions

    from smcli.findings import Rule
    from smcli.numbers.formats import Format

SUFFIXES = {"table": (".txt",), "json": (".json",), "markdown": (".md", ".markdown")}
PIPED, MOST = 80, 100  # columns of a page: in a pipe; on the widest terminal
PLACEHOLDER = re.compile(r"\{(\w+):([\w, ]+)\}")


def _threshold(name: str) -> Callable[[Format], str]:
    return lambda f: f"{getattr(f, name):.9g}"


def _magnitude(name: str) -> Callable[[Format], str]:
    return lambda f: f"{getattr(f, name):.6g}"


def _clip_loss(f: Format) -> str:
    clip = float(f.round(np.array([1e-7]))[0])
    return "no clip" if clip == 0 else f"{-math.log(clip):.5g}"


FIGURES: dict[str, tuple[str, Callable[[Format], str]]] = {
    "exp_overflow": ("exp(x) overflows from x =", _threshold("exp_overflow")),
    "exp_subnormal": ("exp(x) subnormal below", _threshold("exp_subnormal")),
    "exp_zero": ("exp(x) is 0 up to x =", _threshold("exp_zero")),
    "max": ("largest number", _magnitude("max")),
    "smallest_normal": ("smallest normal", _magnitude("smallest_normal")),
    "smallest_subnormal": ("smallest number", _magnitude("smallest_subnormal")),
    "unit_roundoff": ("unit roundoff u", _magnitude("unit_roundoff")),
    "stall": ("S + 1 = S from S =", lambda f: str(f.stall)),
    "margin": ("1 + exp(-d) is 1 from d =", lambda f: f"{f.p * math.log(2):.6g}"),
    "near_100": ("a logit near 100 moves by up to", lambda f: f"{64 * f.unit_roundoff:.3g}"),
    "clip_loss": ("-log of 1e-7", _clip_loss),
}


def fill(text: str) -> str:
    """The text with its placeholders replaced.

    `{table:exp_zero,max}` becomes a Markdown table with a line for each number format, `{float16:max}` the figure of one.

    Raises:
        KeyError: there is no such figure or number format.
    """

    def figures(found: re.Match[str]) -> str:
        where, names = found[1], [name.strip() for name in found[2].split(",")]
        columns = [FIGURES[name] for name in names]
        if where != "table":
            return ", ".join(value(FORMATS[where]) for _, value in columns)
        lines = [["format", *(heading for heading, _ in columns)], ["---"] + ["---:"] * len(columns)]
        lines += [[f.name, *(value(f) for _, value in columns)] for f in FORMATS.values()]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    return PLACEHOLDER.sub(figures, text)


def sections(page: str) -> dict[str, str]:
    """A filled page as its sections, by heading; what stands before the first heading is left out."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    return {title: body.strip("\n") for title, body in zip(parts[::2], parts[1::2], strict=True)}


def document(rules: Sequence[Rule]) -> dict[str, Any]:
    """The pages as data."""
    return {
        "schema": "smcli.explain/1",
        "findings": [
            {"code": r.code, "name": r.name, "severity": str(r.severity), "summary": r.summary, "page": fill(r.page)}
            for r in rules
        ],
    }


def json_text(rules: Sequence[Rule]) -> str:
    """The JSON document, on one line."""
    return json.dumps(document(rules), ensure_ascii=False, allow_nan=False) + "\n"


def markdown(rules: Sequence[Rule], *, listed: bool) -> str:
    """Markdown: the list as a table, or the pages one after the other."""
    if listed:
        lines = ["| code | name | severity | meaning |", "|---|---|---|---|"]
        lines += [f"| {r.code} | {r.name} | {r.severity} | {r.summary} |" for r in rules]
        return "\n".join(lines) + "\n"
    return "\n".join(f"# {r.code} {r.name} ({r.severity})\n\n{fill(r.page)}\n" for r in rules)


def text(rules: Sequence[Rule], *, listed: bool, to_file: bool, color: bool | None) -> str:
    """What people read: the list as a table, or the pages, wrapped to the terminal."""
    from smcli.render._console import WIDEST, drawn

    def draw(console: Console) -> None:
        if listed:
            _draw_list(rules, console)
            return
        for k, r in enumerate(rules):
            if k:
                console.print("\n" + "─" * min(console.width, PIPED) + "\n", style="dim")
            _draw_page(r, console)

    return drawn(draw, to_file=to_file, color=color, piped=WIDEST if listed else PIPED, most=WIDEST if listed else MOST)


def _draw_list(rules: Sequence[Rule], console: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from smcli.render.table import SEVERITIES

    narrow = console.width < 72
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("code", "finding") if narrow else ("code", "name", "severity"):
        table.add_column(Text(heading, "bold"), no_wrap=not narrow or heading == "code", overflow="fold")
    if not narrow:
        table.add_column(Text("meaning", "bold"), overflow="fold")
    for r in rules:
        severity, meaning = Text(str(r.severity), SEVERITIES[r.severity]), Text(r.summary)
        if narrow:
            table.add_row(Text(r.code, "bold"), Text("\n").join([Text.assemble(r.name, "  ", severity), meaning]))
        else:
            table.add_row(Text(r.code, "bold"), Text(r.name), severity, meaning)
    console.print(table, crop=False)
    console.print(Text("one page: smcli explain CODE", "dim"))


def _draw_page(r: Rule, console: Console) -> None:
    from rich.padding import Padding
    from rich.text import Text
    from rich.theme import Theme

    from smcli.render.table import SEVERITIES

    # Rich draws code on a black ground by default, which is a blot on a light terminal
    theme = Theme({"markdown.code": "cyan", "markdown.table.header": "bold", "markdown.table.border": "dim"})
    console.print(Text.assemble((f"{r.code} {r.name}", "bold"), "  ", (str(r.severity), SEVERITIES[r.severity])))
    console.print(Text(r.summary))
    with console.use_theme(theme):
        for title, body in sections(fill(r.page)).items():
            console.print(Text(f"\n{title}", "bold"))
            console.print(Padding(_body(body), (0, 0, 0, 2 if console.width < 60 else 4)), crop=False)


def _body(body: str) -> Any:
    """Rich's Markdown, with tables whose numbers are never cut and code that keeps the terminal's ground."""
    from rich.box import SIMPLE_HEAD
    from rich.markdown import CodeBlock, Markdown, TableElement
    from rich.syntax import Syntax
    from rich.table import Table
    from rich.text import Text

    class WholeTable(TableElement):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Any:
            head = (
                [cell.content for cell in self.header.row.cells]
                if self.header is not None and self.header.row is not None
                else []
            )
            rows = [[cell.content for cell in row.cells] for row in self.body.rows] if self.body is not None else []
            widest = [max(map(len, column)) for column in zip(*rows, strict=True)]
            words = [max(map(len, heading.plain.split())) for heading in head]
            if sum(map(max, widest, words)) + 3 * len(widest) > options.max_width:  # a line for each number
                for row in rows:
                    yield row[0]
                    yield from (
                        Text.assemble("  ", heading, " ", value)
                        for heading, value in zip(head[1:], row[1:], strict=True)
                    )
                return
            table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
            for heading in head:
                table.add_column(heading, overflow="fold")
            for row in rows:
                for k, value in enumerate(row):
                    value.no_wrap, value.overflow = True, "ignore"
                    value.pad_left(widest[k] - len(value) if k else 0)
                table.add_row(*row)
            yield table

    class PlainCode(CodeBlock):
        def __rich_console__(self, *_: object) -> Any:
            yield Syntax(
                str(self.text).rstrip(), self.lexer_name, theme="ansi_dark", word_wrap=True, padding=(0, 0, 0, 2)
            )

    class Page(Markdown):
        elements = Markdown.elements | {"table_open": WholeTable, "fence": PlainCode}

    return Page(body)
