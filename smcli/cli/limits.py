"""smcli limits: from where on a number format overflows, underflows, or stops counting."""

from typing import Annotated

import typer

from smcli.cli.common import write
from smcli.cli.options import Rendering, takes

EXAMPLES = """\b
Examples:
  smcli limits
  smcli limits float16 bfloat16
  smcli limits float16 bfloat16 --compute float32
  smcli limits float8_e4m3fn --format json"""


class Options(Rendering):
    """The options of limits."""

    dtype: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DTYPE]...", help="Number formats; all of them without any.", show_default=False),
    ] = None
    compute: Annotated[
        str | None,
        typer.Option("--compute", metavar="NAME", show_default="the formats themselves",
                     help="Show what computing in this wider format does to logits of the formats."),
    ] = None  # fmt: skip


@takes(Options)
def main(options: Options) -> int:
    """Show where each number format overflows, underflows and stalls.

    That gives safe logits, row lengths and fill values of masks.
    """
    from smcli.cli.texts import split
    from smcli.numbers import formats
    from smcli.problem.specs import check_wider, formats_of
    from smcli.report.limits import Limits

    chosen = formats_of(split(options.dtype)) or formats.FORMATS
    compute = None if options.compute is None else formats.get(options.compute)
    if compute is not None:
        check_wider(compute.name, tuple(chosen))
    write(Limits(tuple(formats.get(name) for name in chosen), compute), options)
    return 0
