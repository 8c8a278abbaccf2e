"""smcli explain: the page of a finding, or the list of all."""

from typing import Annotated

import typer

from smcli.cli.common import write
from smcli.cli.options import Rendering, takes

EXAMPLES = """\b
Examples:
  smcli explain
  smcli explain SM201
  smcli explain exp-overflow log-of-zero --format markdown"""


class Options(Rendering):
    """The options of explain."""

    codes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CODE]...", help="Codes or names of findings, such as SM201 or exp-overflow. Without any: the list.",
                       show_default=False),
    ] = None  # fmt: skip


@takes(Options)
def main(options: Options) -> int:
    """Explain a finding: what it means, why it happens, how to fix it, and a command that shows it."""
    from smcli import findings
    from smcli.document.pages import Pages

    codes = [code for word in options.codes or () for code in word.split(",") if code.strip()]
    rules = dict.fromkeys(map(findings.get, codes)) or findings.everything().values()
    write(Pages(tuple(rules), listed=not codes), options)
    return 0
