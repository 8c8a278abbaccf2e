"""smcli methods: every method, what it computes, who does it so."""

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
    """List every method: what it computes, how it goes backward, who does it so."""
    from smcli.report.catalogue import Catalogue

    write(Catalogue(), options)
    return 0
