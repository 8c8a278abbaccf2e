"""Which kinds of input there are: the modules of this folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from smcli import registry


@cache
def kinds() -> tuple[str, ...]:
    """The kinds of input that can be read: the values of --input-format."""
    return registry.names([str(Path(__file__).parent)])
