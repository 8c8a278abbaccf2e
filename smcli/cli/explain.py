"""smcli explain: the page of a finding, or the list of all."""

import re
from typing import Annotated

import typer

from smcli.cli.common import write
from smcli.cli.options import Rendering, takes
from smcli.errors import UsageError

CODE = re.compile(r"sm\d*", re.IGNORECASE)  # meant as a code: no page is looked through for it
EXAMPLES = """\b
Examples:
  smcli explain
  smcli explain SM201
  smcli explain nan gradient
  smcli explain exp-overflow log-of-zero --format markdown"""


class Options(Rendering):
    """The options of explain."""

    codes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CODE]...",
            help="Codes or names, such as SM201 or exp-overflow, or words to search for. Without any: the list.",
            show_default=False,
        ),
    ] = None


@takes(Options)
def main(options: Options) -> int:
    """Explain a finding: what it means, why it happens, how to fix it.

    Words that are no code are searched for in all pages.
    """
    from smcli import findings
    from smcli.document.pages import Pages

    words = [word for words in options.codes or () for word in words.split(",") if word.strip()]
    try:
        rules, listed = dict.fromkeys(map(findings.get, words)), not words
    except UsageError:
        rules = {} if any(map(CODE.fullmatch, words)) else dict.fromkeys(findings.search(" ".join(words)))
        if not rules:
            raise
        listed = len(rules) > 1
    write(Pages(tuple(rules or findings.everything().values()), listed=listed), options)
    return 0
