"""smcli compare: several methods beside the truth."""

from typing import Annotated

import typer

from smcli.cli.common import Compute, finish, read_input, request_of, settle
from smcli.cli.options import Methods, takes
from smcli.quantities import values

EXAMPLES = """\b
Examples:
  smcli compare 1000 2000 3000 4000 5000
  smcli compare 10 0 -100 --target 2 --dtype float32 --method all
  python -c "print(logits.tolist())" | smcli compare --dtype float16 --trace"""


class Options(Compute):
    """The options of compare."""

    method: Methods = None
    quantity: Annotated[
        list[str] | None,
        typer.Option("--quantity", "-q", metavar="NAME", show_default="softmax,cross-entropy",
                     help=f"What to compute: {', '.join(values())}."),
    ] = None  # fmt: skip


@takes(Options)
def main(options: Options) -> int:
    """Show methods beside the truth: values, errors, what went wrong."""
    from smcli.analyse import analyse

    request = request_of("compare", options)
    batch, numbers = read_input(options)
    return finish(analyse(batch, settle(request, batch, numbers)), options)
