"""What is generated from the command tree and committed: `python -m smcli.shells.generated` in the root writes it anew."""

from __future__ import annotations

import sys
from pathlib import Path


def files() -> dict[str, str]:
    """The text of each generated file, by its path in the repository."""
    from smcli.shells import man
    from smcli.shells import scripts as shells
    from smcli.shells.tree import tree

    program = tree()
    scripts = {f"completions/{shells.module(s).FILE}": shells.script(s, program) for s in shells.names()}
    return {**scripts, "docs/man/smcli.1": man.page(program)}


def write(root: Path) -> None:
    """Write them below a folder."""
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="ascii", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
