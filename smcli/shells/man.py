"""The man page, from the command tree: roff with the few macros of man(7)."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from smcli.shells.tree import plain

if TYPE_CHECKING:
    from smcli.shells.tree import Command, Option

EXIT_STATUS = (
    ("0", "It ran, whatever was found."),
    ("1", "A finding that --fail-on names, or a value beyond --max-ulp or --max-rel."),
    ("2", "The command line or the input is wrong."),
    ("3", "It could not be computed: none of the methods asked for is installed, or a limit of precision was reached."),
    ("130", "Interrupted."),
    ("141", "The reader of the output closed the pipe."),
)
ENVIRONMENT = (
    ("NO_COLOR", "Set to anything but an empty string: no colours, whatever else is set."),
    ("FORCE_COLOR", "Set to anything but an empty string: colours even where the output is not a terminal."),
    ("COLUMNS", "The width of the terminal, where it is not what the terminal says."),
    ("TERM", "Where it is dumb, no colours and no control sequences are written."),
    ("OPENBLAS_NUM_THREADS", "How many threads NumPy's linear algebra starts: 1, unless it is set."),
)
LOGITS = (
    "Logits are given as arguments, with -i in a file, or through standard input. A word that starts as a negative"
    " number (-1, -.5e3, -inf) is a logit and not an option. Text is numbers separated by white space, commas or"
    " semicolons, as decimals or as hexadecimal floats; what NumPy and torch print is read as the numbers in its"
    " brackets. Each decimal is rounded once, straight into the number format."
)
RESULTS = "Results go to standard output; errors and hints go to standard error."
SPECIAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}


def page(program: Command) -> str:
    """The page of the program and all its commands, in ASCII; without a date or version, it changes only when they do."""
    return "\n".join(
        [
            r".\" written by completions/generate.py, from the command tree",
            '.TH SMCLI 1 "" "smcli" "User Commands"',
            ".ad l",
            ".nh",
            ".SH NAME",
            rf"smcli \- {escaped(_lower(program.summary))}",
            ".SH SYNOPSIS",
            ".nf",
            *_synopses(program),
            ".fi",
            ".SH DESCRIPTION",
            *_paragraphs(program.help, LOGITS, RESULTS),
            ".SH OPTIONS",
            *_options(program.options),
            ".SH COMMANDS",
            r"\fB\-\-help\fR belongs to every command.",
            *(line for command in program.commands for line in _command(command, program.options)),
            ".SH EXIT STATUS",
            *_terms(EXIT_STATUS),
            ".SH ENVIRONMENT",
            *_terms(ENVIRONMENT),
            ".SH EXAMPLES",
            *_verbatim(_examples(program)),
            ".SH SEE ALSO",
            r"Each command explains itself with \fB\-\-help\fR;",
            r"\fBsmcli methods\fR lists the methods and \fBsmcli explain\fR the findings.",
            "",
        ]
    )


def escaped(text: str) -> str:
    """A text that troff prints as it is, in one line of ASCII; none of its characters starts a request."""
    quoted = "".join(SPECIAL.get(c, c) for c in plain(text))
    return r"\&" + quoted if quoted.startswith(".") else quoted


def _synopses(program: Command) -> list[str]:
    lines = [r"\fBsmcli\fR [\fIoptions\fR] \fIcommand\fR [\fIarguments\fR]"]
    for command in program.commands:
        arguments = "".join(" " + _metavar(a.metavar) for a in command.arguments)
        lines.append(rf"\fBsmcli {escaped(command.name)}\fR [\fIoptions\fR]{arguments}")
    return lines


def _metavar(text: str) -> str:
    """What an argument is called, in italics, with its brackets and dots upright."""
    return re.sub(r"[A-Z][A-Z0-9_]*", lambda m: rf"\fI{m[0].lower()}\fR", escaped(text))


def _command(command: Command, common: tuple[Option, ...]) -> list[str]:
    lines = [f".SS smcli {escaped(command.name)}", *_paragraphs(command.help)]
    for argument in command.arguments:
        lines += [".TP", _metavar(argument.metavar), escaped(argument.help)]
    lines += _options(tuple(option for option in command.options if option not in common))
    heading = command.epilog[0] if command.epilog else ""
    if heading and not heading.startswith("Example"):
        lines += [".PP", escaped(heading), *_verbatim(textwrap.dedent("\n".join(command.epilog[1:])).splitlines())]
    return lines


def _options(options: tuple[Option, ...]) -> list[str]:
    lines = []
    for option in options:
        names = ", ".join(rf"\fB{escaped(name)}\fR" for name in option.names)
        value = rf" \fI{escaped(option.metavar)}\fR" if option.metavar else ""
        lines += [".TP", names + value, escaped(option.help)]
        lines += [escaped(f"Default: {option.default}.")] if option.default else []
    return lines


def _terms(rows: tuple[tuple[str, str], ...]) -> list[str]:
    return [line for term, text in rows for line in (".TP", rf"\fB{escaped(term)}\fR", escaped(text))]


def _paragraphs(*texts: str) -> list[str]:
    """Texts with .PP between them; the first follows its heading."""
    lines = [line for text in texts for line in (".PP", escaped(text))]
    return lines[1:]


def _examples(program: Command) -> list[str]:
    """The examples that the commands' help ends with, each once."""
    found = [c.epilog[1:] for c in (program, *program.commands) if c.epilog and c.epilog[0].startswith("Example")]
    return list(dict.fromkeys(line.strip() for lines in found for line in lines if line.strip()))


def _verbatim(lines: list[str]) -> list[str]:
    """Lines as they are, with their indentation."""
    shown = [r"\ " * (len(line) - len(line.lstrip())) + escaped(line) for line in lines]
    return [".PP", ".RS", ".nf", *shown, ".fi", ".RE"]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
