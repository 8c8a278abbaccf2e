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
    """The argument of completions; the context leads to all other commands."""

    context: typer.Context
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.", show_default=False)]


@takes(Options)
def main(options: Options) -> int:
    """Print the script that completes the command line in a shell."""
    from smcli.cli.tree import tree
    from smcli.render import emit
    from smcli.shells import scripts

    scripts.module(options.shell)
    emit(scripts.script(options.shell, tree(options.context.find_root().command)))
    return 0
