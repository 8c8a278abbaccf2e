"""What a scan found: counts, histograms, the worst rows and the command that shows them; schema smcli.scan/1."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smcli import findings
from smcli.model import Listing, Severity
from smcli.report.document import json_number
from smcli.scan.tally import EDGES, Tally, as_counts

if TYPE_CHECKING:
    from collections.abc import Iterable

RANK = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
BAR = 24  # characters of the longest bar


@dataclass(frozen=True, slots=True)
class FileRows:
    """One file that was read: its name, its first row among those of all files, and how many it has."""

    name: str
    first: int
    rows: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScanReport:
    """What a scan found.

    Attributes:
        dtype: the number format.
        origin: where that comes from.
        files: the files that were read, in order.
        tally: the counts over all rows.
        partial: whether the scan was interrupted.
        options: what the command that shows a row has to repeat, such as ("-d", "float32").
        errors: files that could not be read, and why.
    """

    dtype: str
    files: tuple[FileRows, ...]
    tally: Tally
    partial: bool = False
    origin: str = ""
    options: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()

    def digest(self) -> list[Any]:
        """The findings as `--fail-on` looks at them."""
        return [_Found(code, findings.get(code).severity) for code in self.tally.findings]

    def place(self, row: int) -> tuple[str, int]:
        """The file of a row, and its number there."""
        for file in self.files:
            if file.first <= row < file.first + file.rows:
                return file.name, row - file.first
        return "", row

    def command(self, row: int) -> str:
        """The command that shows one row in full."""
        name, number = self.place(row)
        if name == "-":
            return ""
        return shlex.join(["smcli", "compare", "-i", name, "--rows", f"{number}:{number + 1}", *self.options])

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        from smcli.version import __version__

        worst_rows = []
        for _, row, method, quantity, ulp in self.tally.worst_rows:
            name, number = self.place(row)
            worst_rows.append(
                {"file": name, "row": number, "method": method, "quantity": quantity, "ulp": json_number(ulp)}
            )
        document = {
            "schema": "smcli.scan/1",
            "smcli": __version__,
            "partial": self.partial,
            "dtype": self.dtype,
            "files": [{"file": f.name, "rows": f.rows} for f in self.files],
            "rows": self.tally.rows,
            "values": self.tally.values,
            "methods": [
                {
                    "method": method,
                    "quantity": quantity,
                    "worst_ulp": json_number(c.worst[0]) if c.worst else None,
                    "worst_at": list(c.worst[1:]) if c.worst else None,
                    **as_counts(c),
                }
                for (method, quantity), c in self.tally.counts.items()
            ],
            "findings": {
                code: {"rows": rows, "first_row": first} for code, (rows, first) in sorted(self.tally.findings.items())
            },
            "worst_rows": worst_rows,
        }
        if self.tally.missing:
            document["unavailable"] = dict(sorted(self.tally.missing.items()))
        if self.errors:
            document["errors"] = [{"file": name, "message": message} for name, message in self.errors]
        return document

    def listings(self) -> Iterable[Listing]:
        """The tables: findings, how each method did, the distribution of its errors, the rows to look at."""
        part = " (interrupted: the rows so far)" if self.partial else ""
        tally = self.tally
        yield Listing(
            f"{tally.rows} rows, {tally.values} logits, {self.dtype}{part}",
            ("method", "quantity", "worst ulp", "at row", "index", "verdicts"),
            tuple(
                (method, quantity, *_worst(c.worst), ", ".join(f"{n} {w}" for w, n in as_counts(c)["verdicts"].items()))
                for (method, quantity), c in tally.counts.items()
            ),
            (2, 3, 4),
        )
        if tally.findings:
            rules = sorted(tally.findings.items(), key=lambda one: (-RANK[findings.get(one[0]).severity], one[0]))
            yield Listing(
                "findings",
                ("finding", "severity", "rows", "first row"),
                tuple(
                    (f"{code} {findings.get(code).name}", findings.get(code).severity, str(rows), str(first))
                    for code, (rows, first) in rules
                ),
                (2, 3),
            )
        for (method, quantity), c in tally.counts.items():
            most = max(int(c.histogram.max()), 1)
            labels = [f"up to {edge:g}" for edge in EDGES] + [f"beyond {EDGES[-1]:g}, or nan"]
            yield Listing(
                f"errors of {method}, {quantity}",
                ("ulp", "values", ""),
                tuple(
                    (label, str(n), "█" * max(round(BAR * n / most), 1))
                    for label, n in zip(labels, c.histogram.tolist(), strict=True)
                    if n
                ),
                (1,),
            )
        shown = [(row, self.command(row)) for _, row, *_ in tally.worst_rows[:3]]
        if any(command for _, command in shown):
            yield Listing(
                "the rows most worth a look", ("row", "command"), tuple((str(r), c) for r, c in shown if c), (0,)
            )


@dataclass(frozen=True, slots=True)
class _Found:
    code: str
    severity: Severity


def _worst(worst: tuple[float, int, int] | None) -> tuple[str, str, str]:
    return ("", "", "") if worst is None else (f"{worst[0]:.3g}", str(worst[1]), str(worst[2]))
