"""What a scan found: counts, histograms, the worst rows and the command that shows them; schema smcli.scan/1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smcli import findings
from smcli.judge.beyond import Beyond
from smcli.numbers.words import command_line
from smcli.problem.specs import Tolerance
from smcli.report.counts import CodeCount, Gap, Score, gaps
from smcli.report.document import beyond_document, json_number
from smcli.scan.tally import Tally, as_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.document.parts import Document
    from smcli.document.style import Style
    from smcli.errors import InputError
    from smcli.model import RawRow, Severity

MOST_WRITTEN = 64  # labels of a row that a command repeats


@dataclass(frozen=True, slots=True)
class FileRows:
    """One file that was read.

    Attributes:
        name: its name.
        first: its first row among those of all files.
        rows: how many it has.
        column: whether it is a text of one number a line, which `compare` reads as one row.
    """

    name: str
    first: int
    rows: int
    column: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScanReport:
    """What a scan found.

    Attributes:
        dtype: the number format.
        origin: where that comes from.
        files: the files that were read, in order.
        tally: the counts over all rows.
        partial: whether the scan was interrupted.
        quick: whether it only looked at the logits.
        errors: files that could not be read, and why.
        notes: what was left out of the files, and of what was asked.
        options: what the command that shows a row has to repeat, such as ("-d", "float32").
        targets: the right class of each row of all files, or one for all; None where none was given.
        given: options with one row of numbers for each row of all files, or one for all, and these.
        limits: limits that were given explicitly.
    """

    dtype: str
    files: tuple[FileRows, ...]
    tally: Tally
    partial: bool = False
    quick: bool = False
    origin: str = ""
    errors: tuple[tuple[str, InputError], ...] = ()
    notes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    targets: tuple[int, ...] | None = None
    given: tuple[tuple[str, tuple[RawRow, ...]], ...] = ()
    limits: Tolerance = Tolerance()  # noqa: RUF009 - it is frozen

    tolerance = None

    def digest(self) -> list[CodeCount]:
        """Each code that was found, the most severe first: in how many rows, and in which first."""
        counts = [
            CodeCount(code, rule.name, rule.severity, rows, (first,), (), ())
            for code, (rows, first) in self.tally.findings.items()
            for rule in [findings.get(code)]
        ]
        return sorted(counts, key=CodeCount.order)

    def scores(self) -> list[Score]:
        """How each method did at each quantity; no relative errors are kept."""
        return [
            Score(quantity, method, as_counts(c)["verdicts"], c.worst[0], worst_at=c.worst[1:])
            for (method, quantity), c in self.tally.counts.items()
        ]

    @property
    def broken(self) -> dict[str, Gap]:
        """The user's functions that gave no values of some quantity or some rows, each with what, and the reason."""
        return gaps(self.tally.missing, self.tally.counts.keys())

    @property
    def unavailable(self) -> dict[str, str]:
        """Why there are no values of a method, by its name; with its quantity, where there are values of another."""
        ran = {method for method, _ in self.tally.counts}
        missing = sorted(self.tally.missing.items())
        return {f"{method}: {q}" if method in ran else method: why for (method, q), why in missing}

    def beyond(self) -> Beyond:
        """How many values are beyond a limit that was given explicitly."""
        return sum((count.beyond for count in self.tally.counts.values()), Beyond())

    def beyond_limits(self) -> bool:
        """Whether a value is beyond a limit that was given explicitly."""
        return bool(self.beyond().count)

    def place(self, row: int) -> tuple[str, int]:
        """The file of a row, and its number there."""
        file = self._file(row)
        return file.name, row - file.first

    def _file(self, row: int) -> FileRows:
        return next((file for file in reversed(self.files) if file.first <= row), FileRows("", 0, 0))

    def command(self, row: int) -> str:
        """The command that shows one row in full; nothing where its file was standard input, or it would be too long.

        Rows that an option has for the rows of several files cannot be told by their number in one of them: the numbers
        themselves are repeated. A column of numbers is shown as the one row that it is to `compare`.
        """
        name, number = self.place(row)
        if name in {"", "-"}:
            return ""
        column = self._file(row).column
        if column and self.given:
            return ""
        words = [
            "smcli",
            "compare",
            "-i",
            name,
            *([] if column else ["--rows", f"{number}:{number + 1}"]),
            *self.options,
        ]
        for option, rows in self.given:
            if len(rows) > 1 and len(self.files) > 1:
                own = rows[row]
                if own.values.size > MOST_WRITTEN:
                    return ""
                tokens = own.tokens or tuple(repr(v) for v in own.values.tolist())
                words[words.index(option) + 1] = ",".join(tokens)
        if self.targets is not None:
            words += ["-t", str(self.targets[row if len(self.targets) > 1 else 0])]
        return command_line(words)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        from smcli.version import __version__

        tally = self.tally
        document: dict[str, Any] = {
            "schema": "smcli.scan/1",
            "smcli": __version__,
            "partial": self.partial,
            "dtype": self.dtype,
            "files": [{"file": f.name, "rows": f.rows} for f in self.files],
            "rows": tally.rows,
            "values": tally.values,
            "methods": [
                {
                    "method": method,
                    "quantity": quantity,
                    "worst_ulp": json_number(c.worst[0]),
                    "worst_at": list(c.worst[1:]),
                    **as_counts(c),
                }
                for (method, quantity), c in tally.counts.items()
            ],
            "findings": {
                code: {"rows": rows, "first_row": first} for code, (rows, first) in sorted(tally.findings.items())
            },
            "worst_rows": [
                {"file": name, "row": number, "method": bad.method or None, "quantity": bad.quantity or None,
                 "ulp": json_number(bad.ulp)}
                for bad in tally.worst_rows
                for name, number in [self.place(bad.row)]
            ],
        }  # fmt: skip
        if self.quick:
            document["quick"] = True
            document["extremes"] = {
                "least": json_number(tally.extremes.least), "most": json_number(tally.extremes.most)
            }  # fmt: skip
        if tally.missing:
            document["unavailable"] = self.unavailable
        if self.limits.given:
            document["beyond_limits"] = beyond_document(self.beyond())
        if self.errors:
            document["errors"] = [{"file": name, "message": error.message} for name, error in self.errors]
        if self.notes:
            document["notes"] = list(self.notes)
        return document

    def document(self, style: Style) -> Document:
        """What is to be said of it, in the order of reading."""
        from smcli.scan.page import document

        return document(self, style)

    def annotations(self) -> Iterator[tuple[Severity, str, str]]:
        """What an annotation of a run says of each code: its severity, its name, and where it was found."""
        for c in self.digest():
            name, number = self.place(c.first_rows[0])
            rows = "row" if c.rows == 1 else "rows"
            yield (
                c.severity,
                f"{c.code} {c.name}",
                f"{c.rows} {rows}, the first is row {number} of {name} — smcli explain {c.code}",
            )
