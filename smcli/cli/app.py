"""The command tree, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import typer

from smcli.cli.help import Program
from smcli.cli.messages import asked_for_more, command_line_message, report, report_error
from smcli.cli.parse import LogitsCommand
from smcli.errors import ClosedPipeError, SmcliError

if TYPE_CHECKING:
    from collections.abc import Sequence


CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException, which Typer does not export
COMMANDS = ("eval", "compare", "grad", "check", "scan", "limits", "explain", "methods", "completions")
PAGES = {"explain", "methods", "completions"}  # they print what stands in docstrings
OF_ALL = {"completions"}  # they speak of the other commands, so that these have to be there


def build(only: str | None = None) -> typer.Typer:
    """The Typer application; with `only`, just that command, which starts faster."""
    app = typer.Typer(
        name="smcli",
        cls=Program,
        add_completion=False,
        rich_markup_mode=None,  # Rich help costs 90 ms a start
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    )

    @app.callback(invoke_without_command=True, epilog=EPILOG)
    def root(
        ctx: typer.Context,
        version: bool = typer.Option(False, "--version", help="Print the version.", show_default=False),  # noqa: FBT001, FBT003
    ) -> None:
        """The microscope for softmax and cross-entropy: algorithms and number formats beside a certified truth."""
        if version:
            from smcli.version import __version__

            typer.echo(f"smcli {__version__}")
            raise typer.Exit
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help())
            raise typer.Exit

    for name in COMMANDS:
        if only in {None, name}:
            module = import_module(f"smcli.cli.{'evaluate' if name == 'eval' else name}")
            app.command(name, cls=LogitsCommand, epilog=module.EXAMPLES)(module.main)
    return app


EPILOG = (
    "\b\nExamples:\n  smcli compare 1000 2000 3000 4000 5000\n  smcli compare -i logits.npy --dtype float16 --target 3"
)


def run(argv: Sequence[str]) -> int:
    """Run the command line and return the exit code; nothing escapes as a traceback that a user caused."""
    words = list(argv)
    if sys.flags.optimize > 1 and (not words or words[0] in PAGES or not {"-h", "--help"}.isdisjoint(words)):
        wanted = "Python was told to leave out docstrings (-OO), and help and pages are docstrings"
        return report(wanted, "unset PYTHONOPTIMIZE, or run python with -O at most", 3)
    try:
        app = build(next((w for w in words[:1] if w in COMMANDS and w not in OF_ALL), None))
        code = typer.main.get_command(app).main(words, prog_name="smcli", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return int(code or 0)
    except (BrokenPipeError, ClosedPipeError):
        silence()
        return 141
    except SmcliError as error:
        return report_error(error, more=asked_for_more(words))
    except CommandLineError as error:
        return report(*command_line_message(error), 2)
    except typer.Abort:
        return 130
    except SystemExit as stop:  # Typer's own answer to a closed pipe is 1
        return 141 if stop.code == 1 else int(stop.code or 0)
    except OSError as error:
        silence()
        return report(f"cannot write the result: {error.strerror or error}", "", 2)
    except (MemoryError, ImportError) as error:
        return _too_little_memory(error)


def _too_little_memory(error: MemoryError | ImportError) -> int:
    """Say that the input, or the libraries themselves, do not fit; an import that failed otherwise is a fault of ours."""
    if isinstance(error, MemoryError):
        return report("not enough memory for this input", "work on fewer rows at once (--rows) or a shorter row", 3)
    if not any(words in str(error).lower() for words in ("failed to map segment", "cannot allocate memory")):
        raise error
    return report("not enough memory to load the libraries that smcli needs", "NumPy alone takes some 100 MB", 3)


def silence() -> None:
    """Point stdout at nothing, so that no later flush fails."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        sys.stdout = None
