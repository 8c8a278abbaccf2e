"""zsh: a function for compinit, which finds it in fpath by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smcli.shells.scripts._places import filled, named

if TYPE_CHECKING:
    from smcli.shells.tree import Argument, Command, Option, Values

FILE = "_smcli"


def script(program: Command) -> str:
    """The script: a function for each set of values, and one that hands the command's options to _arguments."""
    actions = {v: f"_smcli_{name}" if v.choices else "_files" for v, name in named(program).items()}
    lists = "".join(_list(action, values) for values, action in actions.items() if values.choices)
    commands = "".join(
        f"    {command.name})\n      _arguments -s -S \\\n{_arguments(command, actions)} && ret=0\n      ;;\n"
        for command in program.commands
    )
    return filled(TEMPLATE, LISTS=lists, ROOT=_arguments(program, actions), COMMANDS=commands)


def _list(name: str, values: Values) -> str:
    described = "\n".join(
        "    " + _quoted(_escaped(value, ":") + (":" + _escaped(text, "") if text else ""))
        for value, text in values.choices
    )
    last = "  compset -P '*,'\n" if values.separated else ""
    return f"{name}() {{\n  local -a choices=(\n{described}\n  )\n{last}  _describe -V value choices\n}}\n\n"


def _arguments(command: Command, actions: dict[Values, str]) -> str:
    specs = [_option(option, actions) for option in command.options]
    if command.commands:
        specs += [_quoted(f"1: :{actions[command.values]}"), _quoted("*:: :->arguments")]
    specs += [_argument(argument, actions) for argument in command.arguments]
    return " \\\n".join(f"        {spec}" for spec in specs)


def _option(option: Option, actions: dict[Values, str]) -> str:
    """The spec of an option: its spellings exclude each other unless it is repeatable."""
    once = "*" if option.repeatable else f"({' '.join(option.names)})"
    text = f"[{_escaped(option.help, '[]:')}]"
    value = f":{_escaped(option.metavar, ':')}:{actions.get(option.values, ' ')}" if option.metavar else ""
    joined = [n + ("=" if n.startswith("--") else "+") if option.metavar else n for n in option.names]
    if len(joined) == 1:
        return _quoted(once + joined[0] + text + value)
    return _quoted(once) + "{" + ",".join(joined) + "}" + _quoted(text + value)


def _argument(argument: Argument, actions: dict[Values, str]) -> str:
    """The spec of arguments; a message about free text would keep zsh from completing an option in its place."""
    name = _escaped(argument.metavar.strip("[]."), ":")
    free = f"{{[[ $PREFIX == -* ]] || _message {name}}}"
    return _quoted(f"{'*' if argument.repeatable else ''}:{name}:{actions.get(argument.values, free)}")


def _escaped(text: str, special: str) -> str:
    return "".join("\\" + c if c in special + "\\" else c for c in text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


TEMPLATE = r"""#compdef smcli
# Completion of smcli in zsh, printed by `smcli completions zsh`. Pressing Tab starts no program.

@LISTS@

_smcli() {
  local curcontext=$curcontext context state state_descr line ret=1
  local -A opt_args
  local -i at

  # what starts as a number is an argument, whatever options look like
  for (( at = 2; at < CURRENT; at++ )); do
    [[ $words[at] == -(|.)([0-9]|[iI][nN][fF]|[nN][aA][nN])* ]] && words[at]=0
  done

  _arguments -C -s -S \
@ROOT@ && ret=0

  [[ $state == arguments ]] || return ret
  curcontext=${curcontext%:*:*}:smcli-$words[1]:
  case $words[1] in
@COMMANDS@
  esac
  return ret
}

if [[ $funcstack[1] == _smcli ]]; then
  _smcli "$@"
else
  compdef _smcli smcli
fi
"""
