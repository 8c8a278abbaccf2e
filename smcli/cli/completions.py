"""smcli completions: the completion script of a shell."""

from typing import Annotated

import typer

from smcli.cli.options import OptionSet, takes

EXAMPLES = """\b
Where the script goes (an installed package may have put it there already):
  bash, with the bash-completion package:
    mkdir -p ~/.local/share/bash-completion/completions
    smcli completions bash > ~/.local/share/bash-completion/completions/smcli
  zsh, into a folder of fpath, which ~/.zshrc names before it calls compinit:
    mkdir -p ~/.zfunc && smcli completions zsh > ~/.zfunc/_smcli
    fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit
  fish:
    smcli completions fish > ~/.config/fish/completions/smcli.fish
  PowerShell:
    smcli completions powershell >> $PROFILE"""


class Options(OptionSet):
    """The argument of completions."""

    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.", show_default=False)]


@takes(Options)
def main(options: Options) -> int:
    """Print a script that completes commands, options and their values; it starts no program when Tab is pressed."""
    from smcli.render import emit
    from smcli.shells import scripts as shells
    from smcli.shells.tree import tree

    shells.module(options.shell)
    emit(shells.script(options.shell, tree()))
    return 0
