"""smcli explain: the page of a finding, or the list of all."""

import os
from typing import Annotated

import typer

from smcli.cli.options import OptionSet, takes
from smcli.errors import UsageError, nearest

EXAMPLES = """\b
Examples:
  smcli explain
  smcli explain SM201
  smcli explain exp-overflow log-of-zero --format markdown"""


class Options(OptionSet):
    """The options of explain."""

    codes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CODE]...", help="Codes or names of findings, such as SM201 or exp-overflow. Without any: the list.",
                       show_default=False),
    ] = None  # fmt: skip
    format: Annotated[
        str | None,
        typer.Option(
            "--format", "-f", metavar="NAME", show_default="table", help="Output format: table, json or markdown."
        ),
    ] = None
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", show_default="standard output",
                     help="Write to a file, in the format of its suffix (.txt, .json, .md) unless -f names one."),
    ] = None  # fmt: skip
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours, whatever the terminal.")] = False


@takes(Options)
def main(options: Options) -> int:
    """Explain a finding: what it means, why it happens, how to fix it, and a command that shows it."""
    from smcli import findings
    from smcli.render import _pages as pages
    from smcli.render import _replace, emit

    codes = [code for word in options.codes or () for code in word.split(",") if code.strip()]
    rules = list(dict.fromkeys(map(findings.get, codes))) or list(findings.everything().values())
    listed = not codes
    name = _choose(options.format, options.output)
    to_file = options.output not in {None, "-"}
    if name == "json":
        text = pages.json_text(rules)
    elif name == "markdown":
        text = pages.markdown(rules, listed=listed)
    else:
        text = pages.text(rules, listed=listed, to_file=to_file, color=False if options.no_color else None)
    if to_file:
        _replace(str(options.output), text)
    else:
        emit(text)
    return 0


def _choose(name: str | None, output: str | None) -> str:
    """The output format: the one named, else by the suffix of the file, else table.

    Raises:
        UsageError: no such format, or a suffix that says nothing.
    """
    from smcli.render._pages import SUFFIXES

    if name is not None and name not in SUFFIXES:
        meant = f"{nearest(name, SUFFIXES)}choose one of {', '.join(SUFFIXES)}"
        raise UsageError(f"explain has no output format {name!a}", meant)
    if name is not None:
        return name
    if output in {None, "-"}:
        return "table"
    suffix = os.path.splitext(output or "")[1].lower()
    for known, suffixes in SUFFIXES.items():
        if suffix in suffixes:
            return known
    raise UsageError(f"the suffix {suffix!a} of {output!a} names no output format", "say which with -f")
