"""The options that commands share: each is spelled, explained and defaulted here and nowhere else.

A command takes an option set, a class with annotated defaults; `takes` makes of it the parameters that Typer reads.
(Not dataclasses: defining seven of them takes as long as parsing the command line.)
"""

import inspect  # no postponed annotations in this module and the commands: evaluating them back takes 5 ms
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from smcli.numbers import words
from smcli.numbers.formats import FORMATS
from smcli.read import kinds
from smcli.render import names


class OptionSet:
    """Options as attributes: the annotation of each says how it is spelled, the class attribute its default.

    `heading` is what the options of a set stand under in a command's help; `omitted` are those that a command does
    without.
    """

    heading = "Methods and quantities"
    omitted: frozenset[str] = frozenset()

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)


T = TypeVar("T", bound=OptionSet)

Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", metavar="NAME", show_default="naive,shifted,fused",
                 help="Methods to run: names, all, libraries, or module:function of your own; `smcli methods` lists them."),
]  # fmt: skip


def whole(text: str | int) -> int:
    """An integer, written as logits are: 16, 0x10, 1e4."""
    try:
        number = words.parse(str(text).strip())
    except ValueError:
        number = float("nan")
    if not number.is_integer() or abs(number) >= 2**53:  # beyond that a float is not the integer that was written
        raise typer.BadParameter(f"{text!a} is not an integer")
    return int(number)


def count(text: str | int) -> int:
    """A whole number from 1 up."""
    number = whole(text)
    if number < 1:
        raise typer.BadParameter(f"{text} is less than 1")
    return number


class Reading(OptionSet):
    """How a file is read."""

    heading = "Input"
    input_format: Annotated[
        str | None,
        typer.Option("--input-format", metavar="KIND", help=f"Kind of the input: {', '.join(kinds())}.",
                     show_default="by suffix"),
    ] = None  # fmt: skip
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="NAME",
            help="Which array to read from a file that holds several.",
            show_default="the only one",
        ),
    ] = None
    columns: Annotated[
        list[str] | None,
        typer.Option("--columns", metavar="COLUMN,...", help="Which columns of a CSV file with a header hold the logits.",
                     show_default="all"),
    ] = None  # fmt: skip
    target_column: Annotated[
        str | None,
        typer.Option("--target-column", metavar="COLUMN", help="Which column of a CSV file with a header holds the target."),
    ] = None  # fmt: skip
    axis: Annotated[
        int | None,
        typer.Option("--axis", metavar="N", parser=whole, help="Which axis of an array or of nested lists the classes are.",
                     show_default="the last"),
    ] = None  # fmt: skip


class Input(Reading):
    """Where the logits come from."""

    heading = "Input"
    logits: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LOGITS]...",
            help="Numbers separated by spaces or commas; -1 and -inf need no '--'. Without any: standard input.",
            show_default=False,
        ),
    ] = None
    input: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="FILE", help="Read the logits from a file; '-' is standard input.",
                     show_default="the arguments"),
    ] = None  # fmt: skip
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows", metavar="A:B", help="Which rows of a batch to take, as a Python slice.", show_default="all"
        ),
    ] = None


class Arithmetic(OptionSet):
    """In which arithmetic."""

    heading = "Numbers"
    dtype: Annotated[
        list[str] | None,
        typer.Option("--dtype", "-d", metavar="NAME", show_default="that of the input, else float64",
                     help=f"Number format to compute in: {' '.join(FORMATS)}."),
    ] = None  # fmt: skip
    compute: Annotated[
        str | None,
        typer.Option("--compute", metavar="NAME", show_default="as --dtype",
                     help="Compute in this wider format and round the result once to --dtype, as kernels do."),
    ] = None  # fmt: skip
    accumulate: Annotated[
        str | None,
        typer.Option(
            "--accumulate", metavar="NAME", help="Number format of running sums.", show_default="as --compute"
        ),
    ] = None
    sum: Annotated[
        str,
        typer.Option("--sum", metavar="ORDER", help="How sums are added up: pairwise, sequential or compensated."),
    ] = "pairwise"
    temperature: Annotated[
        str | None,
        typer.Option("--temperature", "-T", metavar="T", help="Divide the logits by T.", show_default="1"),
    ] = None
    softcap: Annotated[
        str | None,
        typer.Option("--softcap", metavar="CAP", help="Apply CAP·tanh(x/CAP) to the logits."),
    ] = None


class Numbers(Arithmetic):
    """In which arithmetic, and how exactly."""

    heading = "Numbers"
    dtype: Annotated[
        list[str] | None,
        typer.Option("--dtype", "-d", metavar="NAME", show_default="that of the input, else float64",
                     help=f"Number format to compute in: {' '.join(FORMATS)}; several, or all, to compare formats."),
    ] = None  # fmt: skip
    digits: Annotated[
        int | None,
        typer.Option("--digits", metavar="N", parser=whole, help="Significant digits of the truth, 1 to 10000.",
                     show_default="enough for the format"),
    ] = None  # fmt: skip
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Compute every digit of the truth once more by other arithmetic, mpmath and python-flint."),
    ] = False  # fmt: skip
    trace: Annotated[
        bool,
        typer.Option(
            "--trace",
            help="Show the steps of every method: the range of each, and where it first went wrong.",
        ),
    ] = False


class Loss(OptionSet):
    """What the loss of a row is."""

    heading = "Loss"
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", metavar="K", show_default="every class",
                     help="The right class, counted from 0; for a batch a list (0,2,1) or a file."),
    ] = None  # fmt: skip
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="P,P,...", help="Soft labels, one for each class, or a file of them."),
    ] = None  # fmt: skip
    label_smoothing: Annotated[
        str,
        typer.Option(
            "--label-smoothing",
            metavar="E",
            help="Turn the labels y into y(1 − E) + E/K, K being the number of classes.",
        ),
    ] = "0"
    class_weights: Annotated[
        str | None,
        typer.Option("--class-weights", metavar="W,W,...", help="Weights of the classes in the loss."),
    ] = None
    z_loss: Annotated[
        str | None,
        typer.Option("--z-loss", metavar="Z", help="Add Z·logsumexp² to the loss.", show_default="0"),
    ] = None
    ignore_index: Annotated[
        int | None,
        typer.Option("--ignore-index", metavar="K", parser=whole, help="Leave out rows with this target."),
    ] = None
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="X,X,...",
            help="kl: the logits of the teacher, or a file of rows of them; FILE:KEY is one of its arrays.",
        ),
    ] = None
    reverse: Annotated[
        bool, typer.Option("--reverse", help="kl: from the logits to the teacher, not from the teacher to them.")
    ] = False
    gamma: Annotated[
        str | None,
        typer.Option("--gamma", metavar="G", help="focal: the exponent of 1 − p.", show_default="2"),
    ] = None
    coefficients: Annotated[
        str | None,
        typer.Option("--coefficients", metavar="B,B,...", show_default="1 each",
                     help="logsumexp: log of the absolute value of Σ B·exp(x), with a factor of either sign for each class."),
    ] = None  # fmt: skip


class LossOptions(Loss):
    """What cross-entropy and gradients are taken of."""

    heading = "Loss"
    reduction: Annotated[
        str,
        typer.Option(
            "--reduction",
            metavar="HOW",
            help="Combine the losses of the rows: none, mean, sum, or perplexity: exp of the mean.",
        ),
    ] = "none"


class Rendering(OptionSet):
    """In which form the result is given, and where."""

    heading = "Output"
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", metavar="NAME", show_default="table",
                     help=f"Output format: {', '.join(names())}."),
    ] = None  # fmt: skip
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", show_default="standard output",
                     help="Write to a file, in the format of its suffix unless -f names one."),
    ] = None  # fmt: skip
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours, whatever the terminal.")] = False


class Judging(Rendering):
    """How much is shown of many rows, and when the exit code is 1."""

    summary: Annotated[bool, typer.Option("--summary", help="Show only the summary of a batch.")] = False
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on", metavar="WHAT", help="Exit with 1 on findings: never, note, warning, error, or codes."
        ),
    ] = "never"
    max_ulp: Annotated[
        str | None,
        typer.Option("--max-ulp", metavar="X", help="Call a value accurate up to X ulp from the truth, and exit with 1 beyond that."),
    ] = None  # fmt: skip
    max_rel: Annotated[
        str | None,
        typer.Option(
            "--max-rel",
            metavar="X",
            help="Call a value accurate up to a relative error of X, and exit with 1 beyond that.",
        ),
    ] = None


class Output(Judging):
    """How much is shown of each row."""

    all: Annotated[bool, typer.Option("--all", help="Show every class of long rows, and every row of a batch.")] = False
    top: Annotated[
        int, typer.Option("--top", metavar="N", parser=count, help="Show the N classes of a long row that matter most.")
    ] = 20
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Also show errors in ulp, verdicts, bounds and condition numbers.",
        ),
    ] = False
    plot: Annotated[
        str | None,
        typer.Option("--plot", metavar="FILE",
                     help="Also draw values and errors to an .svg file."),
    ] = None  # fmt: skip


def takes(options: type[T]) -> Callable[[Callable[[T], int]], Callable[..., int]]:
    """Make a command of a function of one option set: Typer sees a parameter for each annotation."""

    def wrap(body: Callable[[T], int]) -> Callable[..., int]:
        def run(**given: Any) -> int:
            return body(options(**given))

        headings = {
            name: s.heading
            for s in reversed(options.__mro__)
            if issubclass(s, OptionSet)
            for name in vars(s).get("__annotations__", {})
        }
        parameters = []
        for name, annotation in get_type_hints(options, include_extras=True).items():
            if name in {*options.omitted, "omitted"}:
                continue
            for spelled in getattr(annotation, "__metadata__", ()):
                spelled.rich_help_panel = headings[name]  # Typer's word for it; the help here has no panels
            default = getattr(options, name, inspect.Parameter.empty)
            parameters.append(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            )
        run.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__doc__, run.__name__ = body.__doc__, body.__name__
        return run

    return wrap
