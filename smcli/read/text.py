"""Text: numbers in lines, or in the brackets that Python, NumPy, torch, JAX and TensorFlow print."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from smcli.errors import InputError
from smcli.model import RawRow
from smcli.numbers.words import HINT, NotANumberError, not_a_number, parse_all, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smcli.read._source import Source

SUFFIXES = (".txt", ".text", ".dat", ".log")

_MIXED = "give each row its own brackets"
_MAX_DEPTH = 64  # as many axes as a NumPy array may have
_MAX_NAME = 100  # characters of the name before a parenthesis
_MARK = re.compile(r"[\[\]()]")
_WORD = re.compile(r"[^\s,;]+")
_SEPARATOR = re.compile(r"[\s,;]")
_EMPTY = re.compile(r"(?:^|[,;])[^\S\n]*(?=[,;])", re.MULTILINE)  # a separator without a number before it
_OPENERS = {"]": ("[",), ")": ("(", "call")}
# What a repr puts around the numbers. A call shows its numbers unchanged; after them stand only notes such as dtype=….
_CALL = re.compile(r"(?<![^\s,;\[\]()])(?:\w+\.)*(?:array|asarray|[Tt]ensor|Array|b?float\d+\w*|u?int\d+|longdouble)$")
_NOTE = re.compile(r",\s*[A-Za-z_]\w*=")
_FRAME = re.compile(
    r"Parameter containing:|<tf\.(?:Tensor:|Variable '[^'\n]*') shape=\([\d, ]*\),? dtype=\w+, numpy=([^<>]*)>"
)


def rows(source: Source) -> Iterator[RawRow]:
    """The innermost brackets of a text; without brackets its lines, or one row when every line holds one number."""
    if not source.by_line:
        yield from parse(source.text(), partial(line_and_column, source.name))
        return
    count = 0
    for number, line in source.lines():
        found = parse(line, partial(column, f"{source.name}:{number}"), first_row=count)
        yield from found
        count += len(found)


def line_and_column(name: str, text: str, at: int) -> str:
    """The place name:line:column of the character `at` of a text; both count from 1."""
    return f"{name}:{text.count(chr(10), 0, at) + 1}:{at - text.rfind(chr(10), 0, at)}"


def column(line: str, text: str, at: int) -> str:  # noqa: ARG001 - one signature for every place
    """The place name:line:column of the character `at` of one line."""
    return f"{line}:{at + 1}"


def parse(text: str, place: Callable[[str, int], str], subject: str = "", first_row: int = 0) -> list[RawRow]:
    """The rows of a text.

    Args:
        text: numbers, separators and brackets.
        place: tells, for messages, where the character with that index stands in the text.
        subject: what the numbers are, when they are not logits: "--labels".
        first_row: the number of the first row, for messages.

    Raises:
        InputError: anything that is not a number, an empty element, brackets that do not fit.
    """
    return _Parser(text, place, subject, first_row).rows()


@dataclass
class _Frame:
    """An open bracket or call, or the whole text, and the numbers directly in it."""

    opener: str  # "[", "(", "call", or "" for the whole text
    at: int
    words: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    line_starts: list[int] = field(default_factory=lambda: [0])  # how many words stand before each line
    nested: bool = False  # there are brackets in it
    notes: int = 0  # how deep in the notes that end a call; 0 before them


class _Parser:
    """Walks along the brackets; what stands between two of them is a run of numbers, converted at once."""

    def __init__(self, text: str, place: Callable[[str, int], str], subject: str, first_row: int) -> None:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if ":" in text:
            text = _FRAME.sub(lambda m: (m[1] or "").rjust(len(m[0]) - 1) + " ", text)
        self._text = text
        self._place = place
        self._subject = subject
        self._first_row = first_row
        self._rows: list[RawRow] = []
        self._stack = [_Frame("", 0)]

    def rows(self) -> list[RawRow]:
        start = 0
        for mark in _MARK.finditer(self._text):
            bracket, at = mark[0], mark.start()
            call = _CALL.search(self._text, max(start, at - _MAX_NAME), at) if bracket == "(" else None
            frame = self._stack[-1]
            if not frame.notes:
                self._run(start, call.start() if call else at)
            if frame.notes:
                frame.notes += -1 if bracket in _OPENERS else 1
                if not frame.notes:
                    self._stack.pop()
            elif bracket in _OPENERS:
                self._close(bracket, at)
            else:
                self._open("call" if call else bracket, at)
            start = mark.end()
        if len(self._stack) > 1:
            at = self._stack[-1].at
            raise self._error(at, f"{show(self._text[at])} is never closed", "brackets come in pairs")
        self._run(start, len(self._text))
        return self._rows or self._lines(self._stack[0])

    def _open(self, opener: str, at: int) -> None:
        if opener != "call":
            owner = self._owner()
            owner.nested = True
            if owner.words:
                raise self._error(at, f"{show(self._word(at))} stands beside numbers", _MIXED)
        if len(self._stack) > _MAX_DEPTH:
            raise self._error(at, f"brackets are nested deeper than {_MAX_DEPTH}", "a list of rows is enough")
        self._stack.append(_Frame(opener, at))

    def _close(self, bracket: str, at: int) -> None:
        frame = self._stack[-1]
        if frame.opener not in _OPENERS[bracket]:
            raise self._error(at, f"{show(bracket)} closes nothing", "brackets come in pairs")
        self._stack.pop()
        if frame.words:
            self._rows.append(_row(frame.words, frame.values))
        elif frame.opener != "call" and not frame.nested:
            raise self._error(frame.at, f"no {'numbers' if self._subject else 'logits'} in the brackets", HINT)

    def _run(self, start: int, stop: int) -> None:
        """Take the numbers between two brackets into the bracket, or the lines, that they belong to."""
        if start == stop:
            return
        frame, owner = self._stack[-1], self._owner()
        if frame.opener == "call" and (notes := _NOTE.search(self._text, start, stop)):
            frame.notes, stop = 1, notes.start()
        run = self._separated(start, stop)
        before = len(owner.words)
        for number, line in enumerate(run.split("\n")):
            if number:
                owner.line_starts.append(len(owner.words))
            owner.words += line.split()
        try:
            owner.values += parse_all(owner.words[before:])
        except NotANumberError as error:
            word = next(islice(_WORD.finditer(self._text, start, stop), error.index, None))
            raise self._not_a_number(word.start(), owner, before + error.index) from None
        if owner.nested and len(owner.words) > before:
            raise self._error(stop, f"{show(owner.words[before])} stands beside brackets", _MIXED)

    def _separated(self, start: int, stop: int) -> str:
        """The text of a run with spaces for its separators, after a check that a number stands before each."""
        run = self._text[start:stop]
        follows = start > 0 and self._text[start - 1] in _OPENERS
        if follows and _WORD.match(run):
            raise self._not_a_number(start, self._owner(), len(self._owner().words))
        if len(self._stack) > 1:
            run = run.replace("\n", " ")
        if "," not in run and ";" not in run:
            return run
        for empty in _EMPTY.finditer(run):
            if not follows or empty.start() or empty[0].strip():
                raise self._error(start + empty.end(), "an element is empty", "write a number before each separator")
        return run.replace(",", " ").replace(";", " ")

    def _owner(self) -> _Frame:
        """The innermost bracket, or the whole text: a call only shows what is in it."""
        return next(frame for frame in reversed(self._stack) if frame.opener != "call")

    def _lines(self, frame: _Frame) -> list[RawRow]:
        """The rows of numbers that stand in no bracket."""
        words, values = frame.words, frame.values
        return [_row(words[a:b], values[a:b]) for a, b in pairwise([*_row_starts(frame), len(words)])]

    def _word(self, at: int) -> str:
        """The word around a place, from separator to separator, with the brackets in it."""
        stop = _SEPARATOR.search(self._text, at)
        return _SEPARATOR.split(self._text[: stop.start() if stop else None])[-1]

    def _error(self, at: int, problem: str, hint: str) -> InputError:
        return InputError(f"{problem}, {self._place(self._text, at)}", hint)

    def _not_a_number(self, at: int, owner: _Frame, index: int) -> InputError:
        """The error of the word at `at`, which would be the number `index` of its bracket or of the lines."""
        token = self._word(at)
        bare = token.strip("[]()")
        problem, hint = not_a_number(token if _MARK.search(bare) else bare)
        if self._subject:
            return InputError(f"number {index} of {self._subject}: {problem}", hint)
        row = self._first_row + len(self._rows)
        if not owner.opener and (starts := _row_starts(owner)):
            line = bisect_right(starts, index) - 1
            row, index = row + line, index - starts[line]
        return self._error(at, f"logit {index} of row {row}: {problem}", hint)


def _row_starts(frame: _Frame) -> list[int]:
    """Which words begin a row: those that begin a line, or only the first when each line holds just one."""
    starts = sorted({start for start in frame.line_starts if start < len(frame.words)})
    return starts if len(starts) < len(frame.words) else starts[:1]


def _row(words: list[str], values: list[float]) -> RawRow:
    return RawRow(np.array(values, dtype=np.float64), tuple(words))
