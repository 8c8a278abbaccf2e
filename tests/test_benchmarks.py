"""The benchmarks can be run, and what they report has the form of a ratio. Their figures never fail a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "benchmarks" / "ratios.py"


def test_a_group_prints_ratios(tmp_path):
    report = tmp_path / "report.txt"
    done = subprocess.run(
        [sys.executable, SCRIPT, "memory", "-o", report], capture_output=True, text=True, timeout=120, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all("ratio" in line and "goal" in line for line in lines)
    assert report.read_text(encoding="utf-8") == done.stdout
