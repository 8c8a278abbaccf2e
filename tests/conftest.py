"""What several test files need."""

import signal
from dataclasses import replace

import numpy as np
import pytest

from smcli.model import Found

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a job in the background ignores it, and so would what it starts


@pytest.fixture
def plant():
    """A function that gives a report with the given findings, in the rows of its first block that are named."""

    def planted(report, found, rows=(0,)):
        first, *others = report.blocks
        count = len(rows)
        made = tuple(
            Found(
                code=f.code, name=f.name, severity=f.severity, quantity=f.quantity, method=f.method, rows=np.array(rows),
                count=np.full(count, f.count), starts=np.arange(count + 1) * len(f.at), places=np.array(f.at * count, int),
                message=f.message, facts={}, remedy=f.remedy, step=f.step or "",
            )
            for f in found
        )  # fmt: skip
        return replace(report, blocks=(replace(first, findings=made), *others))

    return planted


@pytest.fixture
def write(tmp_path):
    """A function that writes a file and gives its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write
