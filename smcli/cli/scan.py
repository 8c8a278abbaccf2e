"""smcli scan: many rows, in bounded memory, with a summary and the worst rows."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from smcli.cli.common import how_of, outcome, request_of, write
from smcli.cli.options import Arithmetic, Judging, Loss, Methods, OptionSet, Reading, count, takes
from smcli.quantities import values

EXAMPLES = """\b
Examples:
  smcli scan logits.npy
  smcli scan run-*.safetensors --key logits --dtype bfloat16 --format html -o scan.html
  smcli scan logits.npy --target labels.npy --quantity cross-entropy --fail-on error
  smcli scan huge.npy --quick"""


NOT_QUICK = ("method", "quantity", "temperature", "softcap", "accumulate", "max_ulp", "max_rel")


class Options(Judging, Loss, Arithmetic, Reading):
    """The options of scan."""

    heading = OptionSet.heading
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="Files of logits, or patterns such as 'run-*.npy'; '-' is standard input.",
                       show_default=False),
    ] = None  # fmt: skip
    method: Methods = None
    quantity: Annotated[
        list[str] | None,
        typer.Option("--quantity", "-q", metavar="NAME", show_default="softmax",
                     help=f"What to compute: {', '.join(values())}."),
    ] = None  # fmt: skip
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Compute nothing: look for nan, inf, masked rows, and logits that exp cannot take."
        ),
    ] = False
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", parser=count, help="How many processes work; the result is the same.",
                     show_default="the cores"),
    ] = None  # fmt: skip
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Let the workers of a Dask cluster work instead, such as tcp://host:8786."),
    ] = None  # fmt: skip
    keep_going: Annotated[
        bool,
        typer.Option("--keep-going", help="Go on past a file that cannot be read, and exit with 2 at the end."),
    ] = False


@takes(Options)
def main(options: Options) -> int:
    """Judge many rows: counts, a histogram of errors, findings, and the worst rows.

    Files are mapped or read block by block, so that their size does not matter. Ctrl-C ends with what was seen so far.
    """
    from smcli.cli.messages import report_error
    from smcli.cli.texts import flag
    from smcli.errors import UsageError
    from smcli.report.counts import fails
    from smcli.request import check_fail_on
    from smcli.scan.run import Way, scan

    request = request_of("scan", options)
    if len(request.numerics.dtypes) > 1:
        raise UsageError("scan takes one number format", "compare shows several beside each other")
    idle = [flag(name) for name in NOT_QUICK if getattr(options, name) is not None]
    if options.quick and idle:
        raise UsageError("--quick looks at the logits as they are", f"leave out {' and '.join(idle)}")
    way = Way(
        jobs=options.jobs or _cores(),
        scheduler=options.scheduler,
        keep_going=options.keep_going,
        quick=options.quick,
    )
    paths = _expanded(options.files)
    with _progress() as told:
        report = scan(paths, request, how_of(options), way, options=_repeated(options), progress=told)
    write(report, options)
    for _, error in report.errors:
        report_error(error)
    if report.partial:
        return 130
    if report.errors:
        return 2
    on = check_fail_on(options.fail_on)
    failed = fails(report.digest(), on) or report.beyond_limits()
    return outcome(report, on, failed=failed, named=bool(options.quantity), more="smcli compare -v")


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _expanded(files: list[str] | None) -> list[str]:
    """The files that were named, patterns among them resolved; without any, standard input where it is no terminal.

    Raises:
        UsageError: there is none.
        InputError: no file matches a pattern.
    """
    import os
    from glob import glob, has_magic

    from smcli.errors import InputError, UsageError

    if not files:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("no file", "name some, as in: smcli scan logits.npy, or give rows through a pipe")
        return ["-"]
    found: list[str] = []
    for name in files:
        some = sorted(glob(name)) if has_magic(name) and not os.path.exists(name) else [name]
        if not some:
            raise InputError(f"no file matches {name!a}", "see what the shell lists for this pattern")
        found += some
    return found


def _repeated(options: Options) -> list[str]:
    """The options that the command which shows one row has to repeat."""
    words = []
    flags = {
        "input_format": "--input-format", "key": "--key", "axis": "--axis", "columns": "--columns",
        "target_column": "--target-column", "dtype": "-d", "compute": "--compute", "accumulate": "--accumulate", "sum": "--sum",
        "temperature": "-T", "softcap": "--softcap", "method": "-m", "quantity": "-q", "labels": "--labels",
        "label_smoothing": "--label-smoothing", "class_weights": "--class-weights", "z_loss": "--z-loss",
        "ignore_index": "--ignore-index", "against": "--against", "reverse": "--reverse", "gamma": "--gamma",
        "coefficients": "--coefficients",
    }  # fmt: skip
    for name, flag in flags.items():
        given = getattr(options, name, None)
        if given is not None and given != getattr(Options, name):
            words += [flag] if given is True else [flag, ",".join(given) if isinstance(given, list) else str(given)]
    return words if options.quantity else [*words, "-q", "softmax"]


@contextmanager
def _progress() -> Iterator[Callable[[int, int | None], None] | None]:
    """What shows the rows done, how many a second, and the time left, on a terminal; None where there is none."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Rows a second."""

        def render(self, task):  # type: ignore[no-untyped-def]
            return Text("" if task.speed is None else f"{task.speed:,.0f} rows/s")

    columns = (TextColumn("{task.completed:,.0f} rows"), BarColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("scan", total=None)
        yield lambda rows, of: shown.update(task, completed=rows, total=None if of is None else max(of, rows))
