"""The numbers in a pair of brackets, as Python, NumPy, torch, JAX, TensorFlow, R, Julia, MATLAB and C write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smcli.numbers.words import HINT, NotANumberError, is_missing, not_a_number, parse, show
from smcli.read._dtypes import CASTS, CONVERSIONS, HARMLESS, SUFFIX, Vote, is_showing, of_constructor, resolve
from smcli.read._gather import Gather
from smcli.read._run import RunError, fault, grouped, is_suffixed, split, unsuffixed
from smcli.read._tree import Node, pieces

if TYPE_CHECKING:
    from smcli.errors import InputError
    from smcli.read._run import Faults

    Shape = tuple[int, ...]  # classes last; -1 where lengths differ

_MIXED = "give each row its own brackets"
_COMPUTED = "nothing is computed in the input: give the numbers that it makes"
_KEYWORD = re.compile(r"\s*[A-Za-z_]\w*\s*=")
_KEY = re.compile(r"""\s*(?:(['"])(?P<quoted>[^'"\n]*)\1|(?P<bare>[A-Za-z_]\w*))\s*[:=](?![:=])""")
_BEFORE, _AFTER = re.compile(r"\s*(?:(\d{1,9})\s*\*\s*)?"), re.compile(r"\s*(?:\*\s*(\d{1,9})\s*)?")
_BETWEEN = re.compile(r"\s*(?:\*\s*(\d{1,9})\s*)?\+\s*(?:(\d{1,9})\s*\*\s*)?")
_MOST = 1 << 24  # numbers that [0]*N may make
_WORDS = re.compile(r"[^\s,;\[\](){}]+")


class Values:
    """Reads pairs of brackets of one text; where a format is named, it notes a vote."""

    def __init__(self, text: str, faults: Faults) -> None:
        self.text = text
        self.faults = faults
        self.error = faults.error
        self.votes: list[Vote] = []

    def value(self, node: Node, into: Gather) -> Shape:
        """Take the numbers of a pair of brackets.

        Raises:
            InputError: something in it is not a number, or would have to be computed.
        """
        before = len(self.votes)
        if not node.name:
            shape = self._list(node, into)
        elif is_showing(node.function):
            shape = self._constructed(node, into)
        else:
            raise self._computed(node.begin, node.stop + 1)
        for call in node.calls:
            self._call(call, before)
        return shape

    def _list(self, node: Node, into: Gather) -> Shape:
        if not node.kids:
            return self.run(node.at + 1, node.stop, into)
        text, at, clean, count = self.text, node.at + 1, True, 0
        for kid in node.kids:
            gap = text[at : kid.begin]
            bare = gap.strip()
            clean = clean and (bare == "" if not count else bare in {"", ",", ";"} and gap != "")
            at, count = kid.end, count + 1
        if clean and text[at : node.stop].strip() in {"", ",", ";"}:
            return self._joined([self.value(kid, into) for kid in node.kids], node)
        parts = pieces(text, node)
        return self._joined([self.piece(start, stop, kids, into) for start, stop, kids in parts], node)

    def _joined(self, shapes: list[Shape], node: Node) -> Shape:
        first = shapes[0]
        if any(len(shape) != len(first) for shape in shapes):
            raise self.error(node.at, "lists of different depth stand side by side", _MIXED)
        same = (first[i] if len({shape[i] for shape in shapes}) == 1 else -1 for i in range(len(first)))
        return (len(shapes), *same)

    def _constructed(self, node: Node, into: Gather) -> Shape:
        """What tensor(...) and its like show: the first argument that is no keyword."""
        text = self.text
        if node.opener != "(" or node.function == "c":
            self.votes.append(of_constructor(node.name, "", node.at, integers=False))
            return self._list(node, into)
        given = [p for p in pieces(text, node) if not _KEYWORD.match(text, p[0], p[1])]
        if not given:
            problem = f"{show(text[node.begin : node.stop + 1])} shows no numbers"
            raise self.error(node.begin, problem, "print it dense: tensor.to_dense()")
        start, stop, kids = given[0]
        noted = "".join(text[a:b] + "," for a, b, _ in pieces(text, node) if a != start)
        for a, b, _ in given[1:]:
            known, _ = resolve(text[a:b])
            if not known:
                raise self.error(a, f"{show(text[a:b].strip())} stands beside the numbers of {node.name}", _COMPUTED)
            noted += f" dtype={text[a:b].strip()}"
        before = len(self.votes)
        shape = self.piece(start, stop, kids, into)
        if len(self.votes) == before or "dtype" in noted:
            del self.votes[before:]
            self.votes.append(of_constructor(node.name, noted, node.at, integers=is_integers(text, start, stop)))
        return shape

    def _call(self, node: Node, before: int) -> None:
        """What is called on numbers: a cast says their format, others must not change them."""
        name, inside = node.name[1:], self.text[node.at + 1 : node.stop]
        if name in CASTS and not inside.strip():
            cast: tuple[bool, str | None] = (True, CASTS[name])
        elif name in CONVERSIONS:
            cast = next((found for found in map(resolve, re.findall(r"[\w.]+", inside)) if found[0]), (False, None))
        elif name in HARMLESS:
            return
        else:
            shown = show(self.text[node.begin : node.stop + 1])
            raise self.error(node.begin, f"{shown} stands behind the numbers", _COMPUTED)
        if cast[0]:
            del self.votes[before:]
            self.votes.append(Vote(node.at, cast[1], f"{self.text[node.begin : node.stop + 1]} in the text"))

    def piece(self, start: int, stop: int, kids: list[Node], into: Gather) -> Shape:
        """Take an element of a list or an argument: numbers, a list, or lists that + and * put together."""
        text = self.text
        if not kids:
            if not text[start:stop].strip():
                raise self.error(stop, "an element is empty", "write a number before each separator")
            raise self.beside(start, stop)
        if len(kids) == 1 and not (text[start : kids[0].begin] + text[kids[0].end : stop]).strip():
            return self.value(kids[0], into)
        return self._put_together(start, stop, kids, into)

    def _put_together(self, start: int, stop: int, kids: list[Node], into: Gather) -> Shape:
        """Lists as Python repeats and joins them: [0]*3 + [1]."""
        ends = zip([start, *(k.end for k in kids)], [*(k.begin for k in kids), stop], strict=True)
        plain = all(not k.name and not k.calls and k.opener == "[" for k in kids)
        times = [1] * len(kids)
        for i, (a, b) in enumerate(ends):
            pattern = _BETWEEN if 0 < i < len(kids) else _AFTER if i else _BEFORE
            found = pattern.fullmatch(self.text, a, b)
            if found is None or not plain:
                raise self._beside(a, b, kids, i) if found is None else self._computed(start, stop)
            for k, n in zip((i - 1, i) if pattern is _BETWEEN else (i - 1 if i else 0,), found.groups(), strict=True):
                times[k] *= int(n or 1)
        return self._repeated(kids, times, into)

    def _repeated(self, kids: list[Node], times: list[int], into: Gather) -> Shape:
        parts, shapes = [], []
        for kid in kids:
            part = Gather()
            shapes.append(self.value(kid, part))
            parts.append((part.rows(), part.size))
        if sum(size * n for (_, size), n in zip(parts, times, strict=True)) > _MOST:
            raise self.error(kids[0].at, "so many numbers are not made of a few", "write them to a file")
        shape = self._joined(shapes, kids[0])[1:]
        if len(shape) > 1:
            for (rows, _), n in zip(parts, times, strict=True):
                for values, texts in rows * n:
                    into.add_values(values, texts)
            return (sum(s[0] * n for s, n in zip(shapes, times, strict=True)), *shape[1:])
        values, texts = [], {}
        for (rows, size), n in zip(parts, times, strict=True):
            for k in range(n):
                texts |= {len(values) + k * size + i: text for i, text in rows[0][1].items()}
            values += rows[0][0] * n
        into.add_values(values, texts)
        return (len(values),)

    def _computed(self, start: int, stop: int) -> InputError:
        return self.error(start, f"{show(self.text[start:stop].strip())} would have to be computed", _COMPUTED)

    def _beside(self, start: int, stop: int, kids: list[Node], i: int) -> InputError:
        text = self.text
        if text[start:stop] == "" and 0 < i < len(kids):
            return self.error(
                start, f"{show(text[start])} stands directly behind a bracket", "separate rows by a comma"
            )
        if _WORDS.search(text, start, stop) is None:
            start, stop = kids[0].begin, kids[-1].end
            return self.error(start, f"{show(text[start:stop])} is not one list", _MIXED)
        return self.beside(start, stop)

    def beside(self, start: int, stop: int) -> InputError:
        """The error of what stands beside brackets and belongs to none."""
        found = _WORDS.search(self.text, start, stop)
        at, word = (found.start(), found[0]) if found else (start, self.text[start:stop].strip())
        if is_number(word) and not is_missing(word):
            return self.error(at, f"{show(word)} stands beside brackets", _MIXED)
        problem, hint = not_a_number(word)
        return self.error(
            at, problem if is_missing(word) else f"{show(word)} stands beside brackets", f"{hint}; {_COMPUTED}"
        )

    def run(self, start: int, stop: int, into: Gather) -> Shape:
        """The numbers directly in a pair of brackets: a row, or several that semicolons separate."""
        text = self.text
        if text.find(";", start, stop) < 0:
            words = self.words(start, stop, into)
            self._add(words, start, stop, into)
            return (len(words),)
        ends = [i for i in range(start, stop) if text[i] == ";"]
        spans = [
            s for s in zip([start, *(e + 1 for e in ends)], [*ends, stop], strict=True) if text[s[0] : s[1]].strip()
        ]
        rows = [self.words(a, b, into) for a, b in spans]
        if all(len(words) == 1 for words in rows):  # a column
            self._add([word for words in rows for word in words], start, stop, into)
            return (len(rows),)
        for words, (a, b) in zip(rows, spans, strict=True):
            self._add(words, a, b, into)
        sizes = set(map(len, rows))
        return (len(rows), sizes.pop() if len(sizes) == 1 else -1)

    def words(self, start: int, stop: int, into: Gather) -> list[str]:
        """The words of a run.

        Raises:
            InputError: its separators leave a doubt, or it has none.
        """
        run = self.text[start:stop]
        try:
            words = split(run)
        except RunError as error:
            raise self.faults.failed(error, start, into.row) from None
        if not words:
            raise self.error(
                max(0, start - 1), f"no {'numbers' if self.faults.subject else 'logits'} in the brackets", HINT
            )
        if group := grouped(run, words):
            raise self.faults.failed(group, start, into.row)
        return words

    def _add(self, words: list[str], start: int, stop: int, into: Gather) -> None:
        try:
            into.add(words)
        except NotANumberError as problem:
            if (bare := unsuffixed(words)) is None:
                raise self.faults.failed(fault(self.text[start:stop], problem.index), start, into.row) from None
            into.add(bare)
            self.votes.append(SUFFIX)

    def entries(self, node: Node) -> dict[str, tuple[int, int, list[Node]]]:
        """The entries of a dict, or the keywords of a call, by name; none of other brackets."""
        found = {}
        if node.opener != "[":
            for start, stop, kids in pieces(self.text, node):
                key = _KEY.match(self.text, start, kids[0].begin if kids else stop)
                if key:
                    found[key["quoted"] or key["bare"] or ""] = (key.end(), stop, kids)
        return found


def joins(text: str, start: int, stop: int) -> bool:
    """Whether what stands between two lists puts them together."""
    return _BETWEEN.fullmatch(text, start, stop) is not None


def is_integers(text: str, start: int, stop: int) -> bool:
    """Whether all numbers of a span are written as integers."""
    return not re.compile(r"[.eEnN]").search(text, start, stop)


def has_numbers(text: str, start: int, stop: int) -> bool:
    """Whether there is a number in a span, or what stands for one that is missing."""
    return any(is_number(word[0]) for word in _WORDS.finditer(text, start, stop))


def is_number(word: str) -> bool:
    """Whether a word is a number, a C float, or what stands for a number that is missing."""
    try:
        parse(word)
    except ValueError:
        return is_suffixed(word) or is_missing(word)
    return True
