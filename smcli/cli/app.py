"""The command tree, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import typer

from smcli.cli.parse import LogitsCommand
from smcli.errors import ClosedPipeError, OptionError, SmcliError

if TYPE_CHECKING:
    from collections.abc import Sequence


CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException, which Typer does not export
COMMANDS = ("eval", "compare", "grad", "limits", "explain", "methods", "completions")
OF_ALL = {"completions"}  # they speak of the other commands, so that these have to be there


def build(only: str | None = None) -> typer.Typer:
    """The Typer application; with `only`, just that command, which starts faster."""
    app = typer.Typer(
        name="smcli",
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
    try:
        app = build(next((w for w in words[:1] if w in COMMANDS and w not in OF_ALL), None))
        code = typer.main.get_command(app).main(words, prog_name="smcli", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return int(code or 0)
    except (BrokenPipeError, ClosedPipeError):
        silence()
        return 141
    except OptionError as error:
        from smcli.cli.texts import flag

        return report(*error.spelled(flag), error.exit_code)
    except SmcliError as error:
        if error.detail and asked_for_more(words):
            report_detail(error.detail)
        return report(error.message, error.hint, error.exit_code)
    except CommandLineError as error:
        return report(*command_line_message(error), 2)
    except typer.Abort:
        return 130
    except SystemExit as stop:  # Typer's own answer to a closed pipe is 1
        return 141 if stop.code == 1 else int(stop.code or 0)
    except OSError as error:
        silence()
        return report(f"cannot write the result: {error.strerror or error}", "", 2)
    except MemoryError:
        return report("not enough memory for this input", "work on fewer rows at once (--rows) or a shorter row", 3)


def command_line_message(error: Exception) -> tuple[str, str]:
    """Typer's error in the words of this program: what is wrong, and the remedy."""
    text: str = error.format_message().strip().rstrip(".")  # type: ignore[attr-defined]
    ctx = getattr(error, "ctx", None)
    hint = f"`{ctx.command_path} --help` lists the options" if ctx is not None else ""
    near = getattr(error, "possibilities", None)
    if near:
        text = text.split(" Did you mean", maxsplit=1)[0].split(" (Possible", maxsplit=1)[0].rstrip(".")
        hint = f"did you mean {' or '.join(near)}?"
    elif " Did you mean" in text:
        text, _, meant = text.partition(" Did you mean")
        hint = f"did you mean{meant.rstrip('?').rstrip('.')}?"
        text = text.rstrip(".")
    return text[:1].lower() + text[1:], hint


def report(message: str, hint: str, code: int) -> int:
    """Print an error as `error:` and `hint:` lines on stderr; control characters are shown, not obeyed."""
    lines = [f"error: {message}"] + ([f"hint: {hint}"] if hint else [])
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(*map(visible, lines), sep="\n", file=sys.stderr, flush=True)
    return code


def asked_for_more(words: Sequence[str]) -> bool:
    """Whether -v is among the words, alone or beside other short options."""
    return any(w == "--verbose" or (w[:1] == "-" and w[1:].isalpha() and "v" in w) for w in words)


def report_detail(text: str) -> None:
    """Print what a user who asked for more wants to read, on stderr."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(*map(visible, text.splitlines()), sep="\n", file=sys.stderr, flush=True)


def visible(text: str) -> str:
    """The text with control characters written out, and in the encoding of the error stream."""
    from smcli.numbers.words import escape

    safe = escape(text)
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    return safe.encode(encoding, "backslashreplace").decode(encoding)


def silence() -> None:
    """Point stdout at nothing, so that no later flush fails."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        sys.stdout = None
