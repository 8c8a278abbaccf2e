"""smcli grad: derivatives beside their truth."""

from typing import Annotated

import typer

from smcli.cli.common import Compute, finish, read_rows, request_of, write
from smcli.cli.options import takes
from smcli.errors import UsageError

EXAMPLES = """\b
Examples:
  smcli grad 1 2 3 --target 0
  smcli grad 0 -800 --target 1 --method shifted,fused
  smcli grad 1 2 3 --target 0 --sweep --dtype float32
  smcli grad 1 2 3 4"""


class Options(Compute):
    """The options of grad."""

    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", metavar="NAME", help="Methods to run, or all; fd is finite differences.",
                     show_default="naive,shifted,fused"),
    ] = None  # fmt: skip
    quantity: Annotated[
        list[str] | None,
        typer.Option("--quantity", "-q", metavar="NAME", show_default="cross-entropy",
                     help="The loss to differentiate: cross-entropy or bce."),
    ] = None  # fmt: skip
    step: Annotated[
        str | None,
        typer.Option("--step", metavar="H", help="Step of the finite differences.", show_default="by format and logit"),
    ] = None
    cotangent: Annotated[
        str | None,
        typer.Option("--cotangent", metavar="V,V,...", help="Give the vector-Jacobian product with this vector.",
                     show_default="none"),
    ] = None  # fmt: skip
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep", help="Show the error of finite differences over the step, and the best step.", show_default="off"
        ),
    ] = False


@takes(Options)
def main(options: Options) -> int:
    """Derivatives: the gradient of the loss where there is a target, else the Jacobian of softmax."""
    from smcli.analyse import analyse

    request = request_of("grad", options)
    rows, numbers = read_rows(options)
    settings = request.settle(numbers=numbers)
    if options.sweep:
        from smcli.report.sweep import sweep

        if len(settings.numerics.dtypes) > 1:
            raise UsageError("--sweep takes one number format", "name one with --dtype")
        write(sweep(rows, settings), options)
        return 0
    return finish(analyse(rows, settings), options)
