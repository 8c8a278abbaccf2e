"""fish: one `complete` for each option, under the condition that its command was typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smcli.shells.scripts._places import named

if TYPE_CHECKING:
    from smcli.shells.tree import Command, Option, Values

FILE = "smcli.fish"


def script(program: Command) -> str:
    """The script: a function for each set of values, then every option once, with all the commands that take it so."""
    names = {values: f"__smcli_{name}" for values, name in named(program).items() if values.choices}
    functions = "\n".join(_function(name, values) for values, name in names.items())
    takers: dict[Option, list[str]] = {}
    for command in program.commands:
        for option in command.options:
            takers.setdefault(option, []).append(command.name)
    lines = [f"complete -c smcli -n __smcli_is -a '({names[program.values]})'"]
    lines += [f"complete -c smcli -n __smcli_is {_option(option, names)}" for option in program.options]
    lines += [
        f"complete -c smcli -n '__smcli_is {command.name}' {_values(command.values, names)}"
        for command in program.commands
        if command.values
    ]
    lines += [
        f"complete -c smcli -n '__smcli_is {' '.join(commands)}' {_option(option, names)}"
        for option, commands in takers.items()
    ]
    return f"{TEMPLATE}{functions}\ncomplete -c smcli -f\n" + "\n".join(lines) + "\n"


def _function(name: str, values: Values) -> str:
    """A function that prints values with their descriptions, one a line."""
    rows = [value + (r"\t" + _quoted(text) if text else "") for value, text in values.choices]
    body = " \\\n        ".join([f"__smcli_{'list' if values.separated else 'words'}", *rows])
    return f"function {name}\n    {body}\nend\n"


def _option(option: Option, names: dict[Values, str]) -> str:
    parts = [f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names]
    if option.metavar:
        parts += ["-r", _values(option.values, names)] if option.values else ["-x"]
    return " ".join([*parts, "-d", _quoted(option.help)])


def _values(values: Values, names: dict[Values, str]) -> str:
    return "-F" if values.files else f"-f -a '({names[values]})'"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


TEMPLATE = r"""# Completion of smcli in fish, printed by `smcli completions fish`. Pressing Tab starts no program.

# Whether the command typed is one of these; without any: whether none was typed yet.
function __smcli_is
    set -l words (commandline -opc)
    for word in $words[2..]
        string match -q -- '-*' $word
        or begin
            contains -- $word $argv
            return
        end
    end
    test -z "$argv"
end

function __smcli_words
    printf '%s\n' $argv
end

# The words, each behind what was typed before the last comma.
function __smcli_list
    set -l before (string replace -r -- '^(?:--[^=]*=|-[a-zA-Z])?((?:.*,)?)[^,]*$' '$1' (commandline -ct))
    printf '%s\n' $before$argv
end

"""
