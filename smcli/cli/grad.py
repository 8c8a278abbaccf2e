"""smcli grad: derivatives beside their truth."""

from typing import Annotated

import typer

from smcli.cli.common import Compute, finish, read_input, request_of, settle, write
from smcli.cli.options import takes
from smcli.errors import UsageError
from smcli.quantities import losses

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
        typer.Option("--method", "-m", metavar="NAME", show_default="naive,shifted,fused",
                     help="Methods to run: names, all, libraries, or module:function of your own; fd is finite differences."),
    ] = None  # fmt: skip
    quantity: Annotated[
        list[str] | None,
        typer.Option("--quantity", "-q", metavar="NAME", show_default="cross-entropy",
                     help=f"The loss to differentiate: {' or '.join(losses())}."),
    ] = None  # fmt: skip
    step: Annotated[
        str | None,
        typer.Option(
            "--step", metavar="H", help="Step of finite differences, the method fd.", show_default="by format and logit"
        ),
    ] = None
    cotangent: Annotated[
        str | None,
        typer.Option("--cotangent", metavar="V,V,...", help="Compute the product of this vector and the Jacobian of softmax."),
    ] = None  # fmt: skip
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="Show the error of finite differences for many steps, and the best step."),
    ] = False


@takes(Options)
def main(options: Options) -> int:
    """Show derivatives beside the truth: a gradient or a Jacobian.

    With a target or labels that is the gradient of the loss, else the Jacobian of softmax.
    """
    from smcli.analyse import analyse

    request = request_of("grad", options)
    batch, numbers = read_input(options)
    settings = settle(request, batch, numbers)
    if options.sweep:
        from smcli.report.sweep import sweep

        if len(settings.numerics.dtypes) > 1:
            raise UsageError("--sweep takes one number format", "name one with --dtype")
        write(sweep(batch, settings), options)
        return 0
    return finish(analyse(batch, settings), options)
