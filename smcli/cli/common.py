"""What compare, eval and grad share: options → rows and settings → report → text in its place."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from typer import BadParameter

from smcli.cli.options import Input, Judging, LossOptions, Numbers, OptionSet, Output, Reading, Rendering, whole
from smcli.errors import InputError, OptionError, UsageError

if TYPE_CHECKING:
    from smcli.batch import Batch
    from smcli.problem.specs import Settings
    from smcli.read import How
    from smcli.report.report import Comparison, Report
    from smcli.request import Request
    from smcli.scan.report import ScanReport


class Compute(Output, LossOptions, Numbers, Input):
    """The options of a command that computes; what it adds to them says what is computed."""

    heading = OptionSet.heading


def how_of(options: Reading) -> How:
    """How the options want a file read."""
    from smcli.cli.texts import split
    from smcli.read import How

    columns = split(options.columns) or None
    return How(options.input_format, options.key, options.axis, columns, options.target_column)


def read_input(options: Input) -> tuple[Batch, tuple[int, ...] | None]:
    """The logits, from wherever the user gave them, and the numbers of the rows if only some were chosen.

    What was left out of the input is said on stderr.

    Raises:
        UsageError: none were given, and standard input is a terminal.
        InputError: they cannot be read.
    """
    from smcli import read
    from smcli.cli.messages import report_note

    if options.logits and options.input is not None and options.logits != ["-"]:
        raise UsageError("logits given twice, as arguments and with -i", "leave one of them out")
    if options.logits and options.logits != ["-"]:
        if options.columns or options.target_column:
            option = "columns" if options.columns else "target_column"
            raise OptionError(option, "is for the columns of a table", "read one with -i FILE, or through a pipe")
        batch = from_words(options.logits, options.axis)
    else:
        if options.logits is None and options.input is None and sys.stdin is not None and sys.stdin.isatty():
            raise UsageError(
                "no logits", "give them as arguments (smcli compare 1 2 3), with -i FILE, or through a pipe"
            )
        batch = read.from_file(options.input or "-", how_of(options))
    for note in batch.notes:
        report_note(note)
    if options.rows is None:
        return batch, None
    numbers = chosen_rows(len(batch), options.rows)
    return batch.select(numbers), numbers


def settle(request: Request, batch: Batch, numbers: tuple[int, ...] | None) -> Settings:
    """The settings for an input; what is not used of it, and of what was asked, is said on stderr.

    Raises:
        UsageError: what was asked needs something that is not there.
    """
    from smcli.cli.messages import report_note

    settings = request.settle(batch, numbers)
    if batch.target is not None and settings.loss.target is not batch.target:
        report_note("the target that the input carries is not used")
    if batch.labels is not None and (settings.loss.labels is None or request.loss.labels is not None):
        report_note("the labels that the input carries are not used")
    for note in settings.notes:
        report_note(note)
    return settings


def from_words(words: list[str], axis: int | None) -> Batch:
    """The logits among the arguments; where one of them is a file instead, the error says how to read it."""
    import os

    from smcli import read

    try:
        return read.from_arguments(words, axis=axis)
    except InputError as error:
        file = next((w for w in words if os.path.isfile(w)), None)
        if file is not None:
            error.hint = f"there is a file of this name: read it with -i {file}"
        raise


def chosen_rows(count: int, text: str) -> tuple[int, ...]:
    """The numbers of the rows that a Python slice such as 2:10, -3: or 5 names.

    Raises:
        UsageError: it is not a slice.
        InputError: it leaves no row.
    """
    parts = text.split(":")
    try:
        numbers = [whole(p) if p.strip() else None for p in parts]
    except BadParameter:
        numbers = []
    if (
        not 1 <= len(numbers) <= 3
        or (len(numbers) == 1 and numbers[0] is None)
        or (len(numbers) == 3 and numbers[2] == 0)
    ):
        raise UsageError(f"--rows {text!a} is not a slice", "write A:B as in Python, such as 0:10 or -5:")
    if len(numbers) == 1:
        one = numbers[0] or 0
        numbers = [one, one + 1 or None]
    chosen = tuple(range(count)[slice(*numbers)])
    if not chosen:
        from smcli.numbers.words import plural

        raise InputError(f"--rows {text} leaves nothing of {plural(count, 'row')}", "rows are counted from 0")
    return chosen


def request_of(command: str, options: Judging) -> Request:
    """What the options ask for, checked before any input is read.

    Raises:
        UsageError: an option is wrong.
    """
    from smcli.cli.texts import Texts
    from smcli.request import Request, check_fail_on

    check_fail_on(options.fail_on)
    _check_destination(options)
    return Request.of(command, Texts(options))


def _check_destination(options: Judging) -> None:
    """Refuse a place or a kind of output that cannot be, before what goes there has taken its time."""
    from smcli import render

    render.choose(options.format, options.output)
    if options.output not in {None, "-"}:
        render.check_place(str(options.output))
    plot = options.plot if isinstance(options, Output) else None
    if plot is not None:
        from smcli.render import _plot

        _plot.check(plot)


def finish(report: Report | Comparison, options: Output) -> int:
    """Render a report to its place and return the exit code."""
    from smcli.report.counts import fails
    from smcli.request import check_fail_on

    on = check_fail_on(options.fail_on)
    write(report, options)
    if options.verbose:
        from smcli.cli.messages import report_detail

        for text in report.details:
            report_detail(text)
    return outcome(
        report,
        on,
        failed=fails(report.digest(), on) or report.beyond_limits(),
        named=bool(getattr(options, "quantity", None)),
    )


def outcome(report: Report | Comparison | ScanReport, on: str, *, failed: bool, named: bool, more: str = "-v") -> int:
    """The exit code; a function of the user's that gave no values, or none of some quantity, is told on stderr.

    There are none that a gate could pass: with --fail-on or a limit that nothing hit, the code says that it could not be
    computed. Without them, what ran is all that was asked for. A loss that nobody asked for by name (`named`) is none, where
    there is no target to call a function with. `more` shows the traceback of a function.
    """
    from smcli import methods
    from smcli.cli.messages import report as say
    from smcli.cli.messages import report_note

    gate = on != "never" or report.limits.given
    gaps = {name: gap for name, gap in report.broken.items() if named or not gap.unasked}
    for name, gap in gaps.items():
        if gate:
            said = f" gave no values{gap.of}" if gap.of else ""
            leave = "; --quantity names what it is to compute" if gap.of else ""
            say(f"{name}{said}: {gap.why}", methods.advice({name: gap.why}, more) + leave, 3)
        else:
            report_note(
                f"{name} gave no values{gap.of}: {gap.why}; with --fail-on or a limit the exit code is 3 for that"
            )
    return 1 if failed else 3 if gate and gaps else 0


def write(thing: object, options: Rendering) -> None:
    """Render to standard output, or to a file, in the format asked for or told by the file's suffix."""
    from smcli import render

    name = render.choose(options.format, options.output)
    style = render.Style(color=False if options.no_color else None, to_file=options.output not in {None, "-"})
    if isinstance(options, Judging):
        style = replace(style, summary=options.summary)
    if isinstance(options, Output):
        style = replace(
            style, every_class=options.all, top=options.top, verbose=options.verbose,
            whole=getattr(options, "digits", None) is not None,
        )  # fmt: skip
    plot = options.plot if isinstance(options, Output) else None
    render.deliver(thing, name, style, options.output)
    if plot is not None:
        from smcli.render import _plot

        _plot.save(thing, plot)
