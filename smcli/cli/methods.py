"""smcli methods: every method, what it computes, where it comes from."""

from smcli.cli.common import write
from smcli.cli.options import Rendering, takes

EXAMPLES = """\b
Examples:
  smcli methods
  smcli compare 1000 2000 --method all"""


class Options(Rendering):
    """The options of methods."""


@takes(Options)
def main(options: Options) -> int:
    """List the methods: what each computes and where it comes from."""
    from smcli.report.catalogue import Catalogue

    write(Catalogue(), options)
    return 0
