"""One open input: a file, a pipe or standard input, as bytes, text or lines."""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import stat
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from smcli.errors import InputError
from smcli.numbers.words import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.read import How

_PICKLE = re.compile(rb"\x80[\x02-\x05]")  # the protocols since Python 2.3; no UTF-8 begins so
_PART = 1 << 20  # bytes of text that are taken at once
_PATIENCE = 0.5  # seconds that a silent pipe is waited for before what it gave is worked on
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)  # the first begins as UTF-16 does
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, *_UTF32)


def pickled(name: str, what: str) -> InputError:
    """The refusal of a pickle, which is a program: nothing of it is ever run."""
    return InputError(
        f"{name} is {what}, which is never loaded: to load it runs code",
        "save the logits alone: np.save('logits.npy', logits), of a torch tensor logits.detach().float().cpu().numpy(); "
        "or save them as .safetensors, which keeps bfloat16",
    )


@dataclass
class About:
    """What is known of an input beside its rows: its format, how it says that, what was left out, how many rows."""

    dtype: str | None = None
    origin: str = ""
    notes: tuple[str, ...] = ()
    rows: int | None = None


@dataclass(frozen=True)
class Source:
    """An input that is open for reading.

    Attributes:
        name: what messages call it, safe to print.
        stream: its bytes, from the beginning; may be a pipe.
        how: how it is to be read.
        about: filled in while it is streamed, before the first block is given.
    """

    name: str
    stream: io.BufferedReader
    how: How
    about: About = field(default_factory=About)

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
        """Number and text of each line that is not blank, without its end, read as they are needed."""
        for part in self.parts():
            if part is not None:
                for number, line in enumerate(part[1].split("\n"), part[0]):
                    if line and not line.isspace():
                        yield number, line.rstrip("\r")

    def parts(self) -> Iterator[tuple[int, str] | None]:
        """Whole lines, many at once, with the number of the first one; None where a pipe has no more for now."""
        if self.head().startswith(_WIDE):
            yield 1, self.text()
            return
        number, offset, rest = 1, 0, b""
        while True:
            if not self._ready():
                yield None
            data = self.stream.read1(_PART)
            end = data.rfind(b"\n") + 1
            if data and not end:
                rest += data
                continue
            rest, part = data[end:], rest + data[:end]
            if part:
                yield number, self._decode(part, offset)
                number, offset = number + part.count(b"\n"), offset + len(part)
            if not data:
                return

    def _ready(self) -> bool:
        """Whether more can be had at once; True where that cannot be told."""
        import select

        try:
            return self.size() is not None or bool(select.select([self.stream.fileno()], [], [], _PATIENCE)[0])
        except (OSError, ValueError):
            return True

    def _decode(self, data: bytes, offset: int) -> str:
        if _PICKLE.match(data) and not offset:
            raise pickled(self.name, "a pickle")
        if data.startswith(_WIDE) and not offset:
            codec, bad = "utf-32" if data.startswith(_UTF32) else "utf-16", -1
        else:
            codec, bad = "utf-8", data.find(b"\0")
        if bad < 0:
            try:
                return data.decode(codec).removeprefix("\ufeff")
            except UnicodeDecodeError as error:
                bad = error.start
        from smcli.read._kinds import kinds

        coding = "UTF-16 or UTF-32" if b"\0" in data[:8] and not offset else "another encoding"
        hint = f"save it as UTF-8 if it is text in {coding}; "
        hint += f"if it is something else, say so with --input-format: {', '.join(kinds())}"
        raise InputError(
            f"{self.name} is not {codec.upper()} text: byte 0x{data[bad]:02x} at offset {offset + bad}", hint
        )


@contextmanager
def opened(path: str, how: How) -> Iterator[Source]:
    """Open a file, or standard input for "-".

    Raises:
        InputError: it cannot be opened, or reading from it fails.
    """
    name = "standard input" if path == "-" else escape(path)
    try:
        if path == "-":
            yield Source(name, _standard_input(), how)
        else:
            with _file(path) as stream:
                yield Source(name, stream, how)
    except OSError as error:
        if error.errno == errno.ENOMEM:  # of a file that is mapped
            raise MemoryError from None
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
