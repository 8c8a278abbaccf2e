"""smcli check: values that other code computed beside their truth."""

from typing import TYPE_CHECKING, Annotated

import typer

from smcli.cli.common import Compute, chosen_rows, how_of, request_of, write
from smcli.cli.options import takes
from smcli.quantities import QUANTITIES

if TYPE_CHECKING:
    from smcli.batch import Batch
    from smcli.request import Request

EXAMPLES = """\b
Examples:
  smcli check logits.npy probabilities.npy
  smcli check logits.npy losses.npy --quantity cross-entropy --target targets.npy
  smcli check logits.npy probabilities.npy --rtol 1e-3 --atol 1e-5
  smcli check logits.npy probabilities.npy --fail-on warning --format github"""
CHECKED = ", ".join(q.name for q in QUANTITIES.values() if q.needs != "cotangent")


class Options(Compute):
    """The options of check."""

    omitted = frozenset({"input", "compute", "accumulate", "sum", "trace", "confirm"})

    logits: Annotated[  # type: ignore[assignment] # one file, where others take numbers
        str, typer.Argument(metavar="LOGITS", help="A file of logits; '-' is standard input.", show_default=False)
    ]
    outputs: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help="A file of what other code computed of them; '-' is standard input.", show_default=False
        ),
    ]
    dtype: Annotated[
        list[str] | None,
        typer.Option("--dtype", "-d", metavar="NAME", show_default="that of the outputs, else float64",
                     help="Number format of the outputs; the logits are rounded to it, too, or to --logits-dtype."),
    ] = None  # fmt: skip
    logits_dtype: Annotated[
        str | None,
        typer.Option("--logits-dtype", metavar="NAME", show_default="as --dtype",
                     help="Number format in which the code that is checked took the logits."),
    ] = None  # fmt: skip
    quantity: Annotated[
        str,
        typer.Option("--quantity", "-q", metavar="NAME", help=f"What the outputs are values of: {CHECKED}."),
    ] = "softmax"
    out_key: Annotated[
        str | None,
        typer.Option("--out-key", metavar="KEY", show_default="the only one",
                     help="Which array of OUT to read; --key is that of LOGITS."),
    ] = None  # fmt: skip
    rtol: Annotated[
        str | None,
        typer.Option("--rtol", metavar="R", help="Judge a tolerance, too: |output − truth| ≤ A + R·|truth|; for the exit code: --max-rel.",
                     show_default="none"),
    ] = None  # fmt: skip
    atol: Annotated[str | None, typer.Option("--atol", metavar="A", help="The A of --rtol.", show_default="0")] = None
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on", metavar="WHAT", help="Exit with 1 on findings: never, note, warning, error, or codes."
        ),
    ] = "warning"


@takes(Options)
def main(options: Options) -> int:
    """Judge values that other code computed: softmax, losses or derivatives in a file.

    The exit code is 1 when a value is not good enough. Also told: the tolerance that a test of such values should use.
    """
    from smcli import checking
    from smcli.cli.messages import report_note
    from smcli.cli.texts import Texts
    from smcli.request import check_fail_on

    request, yours = request_of("check", options), checking.tolerance_of(Texts(options))
    on = check_fail_on(options.fail_on)
    logits, outputs = _read(options, request)
    numbers = None if options.rows is None else chosen_rows(len(logits), options.rows)
    settings = checking.settle(request, logits, outputs, numbers)
    for note in settings.notes:
        report_note(note)
    report = checking.run(logits, outputs, settings, yours, whole=options.all or None, forks=True)
    rounded = checking.rounded_from(report, logits)
    if rounded is not None:
        report_note(
            f"the logits are rounded from {rounded} to {report.dtype}: if the code that is checked took them as they are, "
            f"add --logits-dtype {rounded}"
        )
    write(report, options)
    return int(checking.fails(report, on))


def _read(options: Options, request: "Request") -> "tuple[Batch, Batch]":
    """Logits and outputs; what was left out of the files is said on stderr."""
    from smcli import checking, read
    from smcli.cli.messages import report_note

    logits = read.from_file(options.logits, how_of(options))
    axis = options.axis if checking.per_class(request, logits) else None
    outputs = read.from_file(options.outputs, read.How(options.input_format, options.out_key, axis))
    for note in (*logits.notes, *outputs.notes):
        report_note(note)
    return logits, outputs
