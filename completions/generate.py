"""Writes what is made of the command tree: the scripts in this folder and the man page in docs/man."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from smcli.cli.app import build
from smcli.cli.tree import tree
from smcli.shells import man, scripts


def files() -> dict[str, str]:
    """The text of each file, by its path in the repository."""
    program = tree(typer.main.get_command(build()))
    made = {f"completions/{scripts.module(s).FILE}": scripts.script(s, program) for s in scripts.names()}
    return {**made, "docs/man/smcli.1": man.page(program)}


def write(root: Path) -> None:
    """Write them below a folder."""
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="ascii", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
