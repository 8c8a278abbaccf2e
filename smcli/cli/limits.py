"""smcli limits: from where on a number format overflows, underflows, or stops counting."""

from typing import Annotated

import typer

from smcli.cli.common import write
from smcli.cli.options import Rendering, takes

EXAMPLES = """\b
Examples:
  smcli limits
  smcli limits float16 bfloat16
  smcli limits float8_e4m3fn --format json"""


class Options(Rendering):
    """The options of limits."""

    dtype: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DTYPE]...", help="Number formats; all of them without any.", show_default=False),
    ] = None


@takes(Options)
def main(options: Options) -> int:
    """Show where each number format overflows, underflows and stalls.

    That gives safe logits, row lengths and fill values of masks.
    """
    from smcli.cli.texts import split
    from smcli.numbers import formats
    from smcli.problem.specs import formats_of
    from smcli.report.limits import Limits

    chosen = formats_of(split(options.dtype)) or formats.FORMATS
    write(Limits(tuple(formats.get(name) for name in chosen)), options)
    return 0
