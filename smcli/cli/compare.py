"""smcli compare: several methods beside the truth."""

from typing import Annotated

import typer

from smcli.cli.common import Compute, finish, read_rows, request_of
from smcli.cli.options import takes

EXAMPLES = """\b
Examples:
  smcli compare 1000 2000 3000 4000 5000
  smcli compare 10 0 -100 --target 2 --dtype float32 --method all
  python -c "print(logits.tolist())" | smcli compare --dtype float16 --trace"""


class Options(Compute):
    """The options of compare."""

    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", metavar="NAME", help="Methods to run, or all; `smcli methods` lists them.",
                     show_default="naive,shifted,fused"),
    ] = None  # fmt: skip
    quantity: Annotated[
        list[str] | None,
        typer.Option("--quantity", "-q", metavar="NAME", show_default="softmax,cross-entropy",
                     help="What to compute: softmax, log-softmax, logsumexp, cross-entropy, bce."),
    ] = None  # fmt: skip


@takes(Options)
def main(options: Options) -> int:
    """Run several methods beside the truth: values, errors, and what went wrong."""
    from smcli.analyse import analyse

    request = request_of("compare", options)
    rows, numbers = read_rows(options)
    return finish(analyse(rows, request.settle(numbers=numbers)), options)
