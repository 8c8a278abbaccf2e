"""smcli eval: the values of one method, exact by default."""

from typing import Annotated

import typer

from smcli.cli.common import Compute, finish, read_input, request_of, settle
from smcli.cli.options import takes
from smcli.quantities import values

EXAMPLES = """\b
Examples:
  smcli eval 1 2 3 --digits 50
  smcli eval 0 -40 --quantity logsumexp
  smcli eval 1000 2000 --method shifted --format plain"""


class Options(Compute):
    """The options of eval."""

    method: Annotated[
        str,
        typer.Option(
            "--method", "-m", metavar="NAME", help="The method whose values to print; exact is the certified truth."
        ),
    ] = "exact"
    quantity: Annotated[
        list[str] | None,
        typer.Option("--quantity", "-q", metavar="NAME", show_default="softmax,log-softmax,logsumexp,cross-entropy",
                     help=f"What to compute: {', '.join(values())}."),
    ] = None  # fmt: skip


@takes(Options)
def main(options: Options) -> int:
    """Print the values of one method. By default that is the truth, to as many digits as asked."""
    from smcli.analyse import analyse

    request = request_of("eval", options)
    batch, numbers = read_input(options)
    return finish(analyse(batch, settle(request, batch, numbers)), options)
