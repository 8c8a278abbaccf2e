"""PowerShell: a completer for a native command, with the tree as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smcli.shells.scripts._places import filled, named

if TYPE_CHECKING:
    from smcli.shells.tree import Command, Option, Values

FILE = "smcli.ps1"


def script(program: Command) -> str:
    """The script: the values, every option once with all the commands that take it so, and the code to look it up."""
    names = named(program)
    takers: dict[Option, list[str]] = {option: [""] for option in program.options}
    for command in program.commands:
        for option in command.options:
            takers.setdefault(option, []).append(command.name)
    values = "".join(_values(name, v) for v, name in names.items() if v.choices)
    options = "".join(_option(option, commands, names) for option, commands in takers.items())
    arguments = "".join(
        f"        {_quoted('' if c is program else c.name)} = {_quoted(names[c.values])}\n"
        for c in (program, *program.commands)
        if c.values
    )
    lists = ", ".join(_quoted(name) for v, name in names.items() if v.separated)
    return filled(TEMPLATE, VALUES=values, OPTIONS=options, ARGUMENTS=arguments, LISTS=lists)


def _values(name: str, values: Values) -> str:
    rows = "".join(f"            {_quoted(value)} = {_quoted(text or value)}\n" for value, text in values.choices)
    return f"        {_quoted(name)} = [ordered]@{{\n{rows}        }}\n"


def _option(option: Option, commands: list[str], names: dict[Values, str]) -> str:
    takes = names.get(option.values, "text") if option.metavar else ""
    if option.values.files:
        takes = "files"
    fields = {
        "In": ", ".join(map(_quoted, commands)),
        "Names": ", ".join(map(_quoted, option.names)),
        "Takes": _quoted(takes),
        "Help": _quoted(option.help),
    }
    return "        @{ " + "; ".join(f"{key} = {value}" for key, value in fields.items()) + " }\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


TEMPLATE = r"""# Completion of smcli in PowerShell, printed by `smcli completions powershell`. Pressing Tab starts no program.

Register-ArgumentCompleter -Native -CommandName smcli -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $values = @{
@VALUES@
    }
    $lists = @(@LISTS@)  # these fit several times, with commas between them
    $options = @(
@OPTIONS@
    )
    $arguments = @{
@ARGUMENTS@
    }

    $command = ''
    $takes = ''
    $onlyArguments = $false
    $before = $commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition }
    foreach ($word in @($before | Select-Object -Skip 1 | ForEach-Object { $_.Extent.Text })) {
        if ($takes) { $takes = '' }
        elseif ($onlyArguments -or $word -match '^-(\.?[0-9]|\.?inf|nan|$)') { }
        elseif ($word -eq '--') { $onlyArguments = $true }
        elseif ($word.StartsWith('-')) {
            $takes = $options | Where-Object { $_.In -ccontains $command -and $_.Names -ccontains $word } | ForEach-Object { $_.Takes }
        }
        elseif (-not $command) { $command = $word }
    }

    $kept = ''
    $typed = "$wordToComplete"
    $mine = @($options | Where-Object { $_.In -ccontains $command })
    if (-not $takes -and -not $onlyArguments -and $typed.StartsWith('-')) {
        if ($typed -cnotmatch '^(--[^=]+)=(.*)$') {
            foreach ($option in $mine) {
                foreach ($name in $option.Names) {
                    if ($name.StartsWith($typed)) {
                        [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterName', $option.Help)
                    }
                }
            }
            return
        }
        $name, $typed = $Matches[1], $Matches[2]
        $kept = "$name="
        $takes = $mine | Where-Object { $_.Names -ccontains $name } | ForEach-Object { $_.Takes }
    }
    elseif (-not $takes) { $takes = $arguments[$command] }

    if (-not $takes -or -not $values.ContainsKey($takes)) { return }  # PowerShell then lists files by itself
    if ($lists -contains $takes -and $typed -match '^(.*,)([^,]*)$') {
        $kept += $Matches[1]
        $typed = $Matches[2]
    }
    foreach ($value in $values[$takes].GetEnumerator()) {
        if ($value.Key.StartsWith($typed)) {
            [System.Management.Automation.CompletionResult]::new($kept + $value.Key, $value.Key, 'ParameterValue', $value.Value)
        }
    }
}
"""
