"""bash, from 3.2 on: a script of builtins only."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from smcli.shells.scripts._places import filled, places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smcli.shells.tree import Command, Values

FILE = "smcli.bash"


def script(program: Command) -> str:
    """The script: what each command takes, what each option takes, and the code that looks it up."""
    return filled(TEMPLATE, COMMANDS=_commands(program), VALUES=_values(program))


def _commands(program: Command) -> str:
    lines = []
    for command in (program, *program.commands):
        name = "''" if command is program else command.name
        every = (spelling for option in command.options for spelling in option.names)
        valued = (spelling for option in command.options if option.metavar for spelling in option.names)
        lines += [f"    {name})", *_assign("options", every), *_assign("valued", valued), "      ;;"]
    return "\n".join(lines) + "\n"


def _values(program: Command) -> str:
    """A case for each set of values; its pattern names no command where an option's values are the same in all."""
    found = places(program)
    spelled: dict[str, set[Values]] = {}
    for values, where in found.items():
        for name in (name for _, names in where for name in names):
            spelled.setdefault(name, set()).add(values)
    lines = []
    for values, where in found.items():
        patterns = [
            f"*:{name}" if name and len(spelled[name]) == 1 else f"{command}:{name}"
            for command, names in where
            for name in names or ("",)
        ]
        wrapped = textwrap.wrap(
            " | ".join(dict.fromkeys(patterns)), 100, break_on_hyphens=False, break_long_words=False
        )
        lines.append("    " + " \\\n      ".join(wrapped) + ")")
        lines += ["      files=1"] if values.files else []
        lines += ["      separated=1"] if values.separated else []
        lines += _assign("values", (name for name, _ in values.choices)) if values.choices else []
        lines.append("      ;;")
    return "\n".join(lines) + "\n"


def _assign(name: str, words: Iterable[str]) -> list[str]:
    """An assignment of words, over several lines where they are many: a line's end separates as a space does."""
    text = f"{name}='{' '.join(words)}'"
    return textwrap.wrap(
        text, 110, initial_indent=" " * 6, subsequent_indent=" " * 8, break_on_hyphens=False, break_long_words=False
    )


TEMPLATE = r"""# Completion of smcli in bash, printed by `smcli completions bash`. Pressing Tab starts no program.

# _smcli_takes COMMAND: its options, and which of them take a value
_smcli_takes() {
  options='' valued=''
  case $1 in
@COMMANDS@
  esac
}

# _smcli_fits COMMAND OPTION: the values of an option, or without one of the arguments
_smcli_fits() {
  values='' files='' separated=''
  case $1:$2 in
@VALUES@
  esac
}

# The words up to the cursor; bash may have cut them at = and :
_smcli_words() {
  local rest=${COMP_LINE:0:COMP_POINT} before word i
  words=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if ((i < COMP_CWORD)); then
      word=${COMP_WORDS[i]}
      before=${rest%%"$word"*}
      rest=${rest#*"$word"}
    else
      before=${rest%%[![:space:]]*}
      word=${rest#"$before"}
    fi
    if [[ $i -gt 0 && -z $before ]]; then
      words[${#words[@]} - 1]+=$word
    else
      words[${#words[@]}]=$word
    fi
  done
}

# _smcli_option WORD: the option in it that takes a value (open), and the word's text before and in that value
_smcli_option() {
  local i
  open='' before='' value='' attached=''
  case $1 in
    --*=*) open=${1%%=*} before=${1%%=*}= value=${1#*=} attached=1 ;;
    --*) open=$1 ;;
    -[0-9.]* | -[iI][nN][fF]* | -[nN][aA][nN]*) ;;
    -*)
      for ((i = 1; i < ${#1}; i++)); do
        open=-${1:i:1}
        if [[ " $valued " == *[[:space:]]"$open"[[:space:]]* ]]; then
          before=${1:0:i+1} value=${1:i+1}
          [[ -n $value ]] && attached=1
          break
        fi
      done
      ;;
  esac
  [[ " $valued " == *[[:space:]]"$open"[[:space:]]* ]] || open=''
}

# _smcli_offer WORD...: those that continue what was typed; bash keeps what stands before the last = or :
_smcli_offer() {
  local breaks='' kept='' word
  [[ $COMP_WORDBREAKS == *=* ]] && breaks+='='
  [[ $COMP_WORDBREAKS == *:* ]] && breaks+=':'
  [[ -n $breaks ]] && kept=${current%"${current##*[$breaks]}"}
  for word in "$@"; do
    word=$before$word
    [[ $word == "$current"* ]] && COMPREPLY[${#COMPREPLY[@]}]=${word#"$kept"}
  done
}

_smcli() {
  local IFS=$' \t\n' words current word i command='' only_arguments=''
  local options valued values files separated
  local open='' before='' value='' attached=''
  COMPREPLY=()
  _smcli_words
  current=${words[${#words[@]} - 1]}

  _smcli_takes ''
  for ((i = 1; i < ${#words[@]} - 1; i++)); do
    word=${words[i]}
    if [[ -n $open ]]; then
      open=''
    elif [[ -z $only_arguments && $word == -- ]]; then
      only_arguments=1
    elif [[ -z $only_arguments && $word == -?* ]]; then
      _smcli_option "$word"
      [[ -n $attached ]] && open=''
    elif [[ -z $command ]]; then
      command=$word
      _smcli_takes "$command"
    fi
  done

  if [[ -n $open ]]; then
    before='' value=$current
  elif [[ -z $only_arguments && $current == -* ]]; then
    _smcli_option "$current"
    if [[ -z $attached || -z $open ]]; then
      before=''
      _smcli_offer $options
      return
    fi
  else
    before='' value=$current
  fi

  _smcli_fits "$command" "$open"
  if [[ -n $files ]]; then
    # bash itself lists files best, quotes and all; before version 4 it cannot be asked to
    compopt -o default 2>/dev/null || while IFS= read -r word; do
      COMPREPLY[${#COMPREPLY[@]}]=$word
    done < <(compgen -f -- "$value")
  elif [[ -n $values ]]; then
    [[ -n $separated && $value == *,* ]] && before+=${value%,*},
    _smcli_offer $values
  elif [[ -z $open$current$only_arguments ]]; then
    for word in $options; do
      [[ $word == --* ]] && _smcli_offer "$word"
    done
  fi
}

complete -F _smcli smcli
"""
