"""One open input: a file, a pipe or standard input, as bytes, text or lines."""

from __future__ import annotations

import codecs
import io
import os
import stat
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from smcli.errors import InputError
from smcli.numbers.words import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Source:
    """An input that is open for reading.

    Attributes:
        name: what messages call it, safe to print.
        stream: its bytes, from the beginning; may be a pipe.
        key: which array of it is asked for, or None.
        by_line: each line is a row, whatever it holds, and is read when it is needed.
    """

    name: str
    stream: io.BufferedReader
    key: str | None = None
    by_line: bool = False

    def head(self) -> bytes:
        """Some bytes of the beginning, which are not consumed."""
        return self.stream.peek(64)

    def size(self) -> int | None:
        """How many bytes a regular file has, which can be mapped; None of a pipe."""
        try:
            about = os.fstat(self.stream.fileno())
        except OSError:  # not a file of the system
            return None
        return about.st_size if stat.S_ISREG(about.st_mode) else None

    def text(self) -> str:
        """All of it as text."""
        return self._decode(self.stream.read(), 0)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Number and text of each line that is not blank, without its end, read one by one."""
        if self.head().startswith(_UTF16):
            lines: Iterator[str] = iter(self.text().splitlines())
        else:
            lines = self._decoded_lines()
        for number, line in enumerate(lines, 1):
            if line and not line.isspace():
                yield number, line

    def _decoded_lines(self) -> Iterator[str]:
        offset = 0
        for data in self.stream:
            yield self._decode(data, offset).rstrip("\r\n")
            offset += len(data)

    def _decode(self, data: bytes, offset: int) -> str:
        if data.startswith(_UTF16) and not offset:
            codec, bad = "utf-16", -1
        else:
            codec, bad = "utf-8", data.find(b"\0")
        if bad < 0:
            try:
                return data.decode(codec).removeprefix("\ufeff")
            except UnicodeDecodeError as error:
                bad = error.start
        from smcli.read import kinds

        raise InputError(
            f"{self.name} is not {codec.upper()} text: byte 0x{data[bad]:02x} at offset {offset + bad}",
            f"if it is something else, say so with --input-format: {', '.join(kinds())}",
        )


@contextmanager
def opened(path: str, key: str | None = None, *, by_line: bool = False) -> Iterator[Source]:
    """Open a file, or standard input for "-".

    Raises:
        InputError: it cannot be opened, or reading from it fails.
    """
    name = "standard input" if path == "-" else escape(path)
    try:
        if path == "-":
            yield Source(name, _standard_input(), key, by_line)
        else:
            with _file(path) as stream:
                yield Source(name, stream, key, by_line)
    except OSError as error:
        problem = f"{name} cannot be read: {error.strerror or error}"
        raise InputError(problem, "give the name of a file, or - for standard input") from None


def _file(path: str) -> io.BufferedReader:
    try:
        return open(path, "rb")
    except ValueError as error:  # a null character in the name
        raise OSError(str(error)) from None


def _standard_input() -> io.BufferedReader:
    stream: BinaryIO | None = getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise InputError("standard input is closed", "give the logits as arguments, or a file with -i FILE")
    return stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(io.BytesIO(stream.read()))
