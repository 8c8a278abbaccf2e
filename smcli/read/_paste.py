"""A pasted text: which of its brackets are the logits, which the targets, and what is left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smcli.numbers.words import show, show_all
from smcli.read import _lines
from smcli.read._carried import is_target
from smcli.read._dtypes import SUFFIX, is_showing
from smcli.read._gather import Gather
from smcli.read._tree import Node, pieces, tree
from smcli.read._values import Values, has_numbers, is_integers, is_number, joins

if TYPE_CHECKING:
    from smcli.errors import InputError
    from smcli.read._parse import Parsed
    from smcli.read._run import Faults
    from smcli.read._tidy import Tidy
    from smcli.read._values import Shape

_TIMES_BEFORE, _TIMES_AFTER = re.compile(r"(?<![\w.])\d+[ \t]*\*[ \t]*$"), re.compile(r"[ \t]*\*[ \t]*\d+(?![\w.])")
_LABEL = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]\n]*\])?\W*$")
_OPERATOR_BEFORE, _OPERATOR_AFTER = (
    re.compile(r"(?<!<)[-+*/%@][ \t]*$"),
    re.compile(r"[ \t]*(?:[-+*/%@]|\.[A-Za-z_])\S*"),
)
_COMPUTED = "nothing is computed in the input: give the numbers that it makes"
_WHICH = "give only the logits, or name them: logits = [...]"
_NAME = re.compile(r"^[ \t]*[A-Za-z_]\w*[ \t]*(?:=|:|<-)(?=[ \t]*[\d+.-]|[ \t]*(?:inf|nan)\b|[ \t]*$)", re.MULTILINE)
_ORNAMENT = re.compile(r"[\s|`.!\\]+")  # of a table, of markdown, at the end of a sentence


def read(tidied: Tidy, faults: Faults, out: Parsed, *, by_line: bool) -> None:
    """Read the lists of a text, or its lines, with the targets, the formats, and what is left out.

    Raises:
        InputError: anything that is not a number, or leaves a doubt.
    """
    out.dropped = tidied.dropped
    _Paste(tidied, Values(tidied.text, faults), out).read(by_line=by_line)


class _Item:
    """A list at the top of a text: the brackets that make it, and the name before it."""

    def __init__(self, start: int, stop: int, kids: list[Node], *, keyed: bool = False) -> None:
        self.start, self.stop, self.kids, self.keyed = start, stop, kids, keyed
        self.label: str | None = None


class _Paste:
    def __init__(self, tidied: Tidy, values: Values, out: Parsed) -> None:
        self._tidied, self._values, self._out = tidied, values, out
        self._text = tidied.text
        self._error = values.faults.error

    def read(self, *, by_line: bool) -> None:
        out = self._out
        root = tree(self._text, self._error)
        items = self._items(root) if root.kids else []
        if not items and root.kids and not _words_around(self._text, root):
            items = [_Item(kid.begin, kid.end, [kid]) for kid in root.kids]  # none of them has a number
        if not items:
            self._text, names = unnamed(self._text)
            out.dropped += names
            if _lines.read(self._text, self._values.faults, out.gather, by_line=by_line):
                out.votes.append(SUFFIX)
            out.votes += self._tidied.votes
            return
        if len(items) == 1 and (inner := self._tuple(items[0])):
            self._around(items)
            self._several(inner, joined=True)
        else:
            self._around(items)
            if len(items) == 1:
                out.shape = self._take(items[0])
            else:
                self._choose(items)
        spans = [(item.start, item.stop) for item in items[:1000]]
        out.votes += [v for v in self._tidied.votes if any(a <= v.at < b for a, b in spans)] + self._values.votes

    def _items(self, root: Node) -> list[_Item]:
        """The lists at the top of the text; other brackets are words."""
        text = self._text
        items: list[_Item] = []
        subscript = -1
        for kid in root.kids:
            if kid.opener == "[" and (kid.begin == subscript or (kid.name and not is_showing(kid.function))):
                subscript = kid.end  # x[0][1]
                continue
            if kid.opener == "{" and not is_showing(kid.function):
                kid.name, kid.begin = "", kid.at
            keyed = self._is_keyed(kid)
            if not keyed and kid.opener == "{" and (others := self._values.entries(kid)):
                problem = f"no logits among the keys {show_all(others)}"
                raise self._error(kid.at, problem, "name the logits: {'logits': [...]}")
            if not keyed and self._is_word(kid):
                continue
            if items and not keyed and joins(text, items[-1].stop, kid.begin) and not items[-1].keyed:
                items[-1].kids.append(kid)
                items[-1].stop = kid.end
            else:
                before = _TIMES_BEFORE.search(text, items[-1].stop if items else 0, kid.begin)
                items.append(_Item(before.start() if before else kid.begin, kid.end, [kid], keyed=keyed))
            if times := _TIMES_AFTER.match(text, items[-1].stop):
                items[-1].stop = times.end()
        return items

    def _is_word(self, node: Node) -> bool:
        """Whether brackets are a part of the words around: forward(3), [INFO], (cuda)."""
        if node.name and not is_showing(node.function):
            return not node.kids or not has_numbers(self._text, node.at, node.stop)
        empty = not self._text[node.at + 1 : node.stop].strip()
        listed = (empty and node.opener == "[") or (bool(node.name) and bool(node.kids))
        return not listed and not has_numbers(self._text, node.at, node.stop)

    def _is_keyed(self, node: Node) -> bool:
        """Whether it is a dict or a call with keywords that has logits."""
        plain = node.opener == "[" or (node.name and is_showing(node.function))
        return not plain and self._text.find("logit", node.at, node.stop) >= 0 and self._key(node) is not None

    def _key(self, node: Node) -> str | None:
        """The key of the logits in a dict, or in a call with keywords."""
        names = [name for name in self._values.entries(node) if name.lower().endswith("logits")]
        return "logits" if "logits" in names else names[0] if len(names) == 1 else None

    def _tuple(self, item: _Item) -> list[_Item] | None:
        """The arrays of (tensor(...), tensor(...)), which are not rows of one array."""
        (node, *others) = item.kids
        if others or item.keyed or node.opener == "{" or node.name or node.calls or not 2 <= len(node.kids) <= 9:
            return None
        arrays = node.opener == "(" and any(kid.name for kid in node.kids)
        if not arrays and len({_depth(kid) for kid in node.kids}) == 1:
            return None
        parts = pieces(self._text, node)
        if any(len(kids) != 1 for _, _, kids in parts):
            return None
        return [_Item(kids[0].begin, kids[0].end, kids) for _, _, kids in parts]

    def _around(self, items: list[_Item]) -> None:
        """What stands around the lists: their names, words that are left out, and what is refused."""
        text, at = self._text, 0
        line: list[tuple[int, str]] = []
        for i in range(len(items) + 1):
            stop = items[i].start if i < len(items) else len(text)
            gap = text[at:stop]
            if gap.strip(" \t\n,;"):
                self._beside(at, stop, first=i == 0, last=i == len(items))
                for k, part in enumerate(gap.split("\n")):
                    if k:
                        self._leave(line)
                        line = []
                    if part.strip(" \t,;"):
                        line.append((at, part))
                    at += len(part) + 1
                if i < len(items):
                    items[i].label = self._label(gap)
            elif i and i < len(items) and not gap:
                problem = f"{show(text[stop])} stands directly behind a bracket"
                raise self._error(stop, problem, "separate rows by a comma or a new line")
            elif gap.count(",") > 1:
                raise self._error(at + gap.rindex(","), "an element is empty", "write a number before each separator")
            if i < len(items):
                at = items[i].stop
        self._leave(line)

    def _beside(self, start: int, stop: int, *, first: bool, last: bool) -> None:
        text = self._text
        before = None if last else _OPERATOR_BEFORE.search(text, start, stop)
        after = None if first else _OPERATOR_AFTER.match(text, start, stop)
        if found := before or after:
            shown = text[found.start() : stop].strip() if before else found[0].strip()
            raise self._error(found.start(), f"{show(shown)} stands beside brackets", _COMPUTED)

    def _leave(self, line: list[tuple[int, str]]) -> None:
        """Leave out what stands around lists on a line, when it has a word; a number alone may be a logit."""
        if not line:
            return
        words = [w for _, part in line for w in re.findall(r"[^\s,;=:]+", part)]
        if not any(map(_is_word, words)) and not all(_ORNAMENT.fullmatch(part) for _, part in line):
            at, part = line[0]
            raise self._values.beside(at, at + len(part))
        self._out.dropped += [part.strip(" \t,;") for _, part in line if re.search(r"\w", part)]

    def _label(self, gap: str) -> str | None:
        before, _, line = gap.rpartition("\n")
        if not line.strip() and before.rstrip()[-1:] in {":", "="}:
            line = before.rstrip().rpartition("\n")[2]
        found = _LABEL.search(line.rstrip())
        return found[1].lower() if found else None

    def _choose(self, items: list[_Item]) -> None:
        """Read the logits among the lists, and their targets."""
        labels = {item.label for item in items}
        logits = [i for i in items if i.keyed or (i.label or "").endswith(("logits", "logit"))]
        others = [i for i in items if not is_target(i.label)]
        if not logits and len(others) == 1:
            logits = others
        if logits:
            self._sort_out(items, logits)
        elif len(labels) > 1 or self._tidied.prompts:
            names = ", ".join(sorted({show(label) if label else "one without a name" for label in labels}))
            raise self._error(items[1].start, f"{len(items)} lists ({names}), which are the logits?", _WHICH)
        elif labels == {None}:
            self._several(items, joined=False)
        else:
            for item in items:
                self._take(item)

    def _sort_out(self, items: list[_Item], logits: list[_Item]) -> None:
        """Read the lists that are logits, and the targets among the others."""
        chosen = set(map(id, logits))
        for item in items:
            if id(item) in chosen:
                self._take(item)
            elif is_target(item.label):
                self._target(item)
            else:
                self._out.dropped.append(self._text[item.start : item.stop])

    def _several(self, items: list[_Item], *, joined: bool) -> None:
        """Lists without names: logits and a target, or rows, or no one can tell."""
        first, second = items[0], items[1]
        nodes = [item.kids[0] for item in items]
        integers = [self._integers(node) if node.name or i < 2 else False for i, node in enumerate(nodes)]
        depths = list(map(_depth, nodes))
        if len(items) == 2 and integers[1] and depths[1] <= 1 and (not integers[0] or depths[0] > 1):
            before = len(self._out.gather)
            self._take(first)
            found = self._numbers(second)
            rows = len(self._out.gather) - before
            if found is not None and len(found) == rows and (joined or second.kids[0].name or depths[0] > 1):
                self._out.target = found
                return
            if joined or second.kids[0].name or depths[0] > 1 or (found is not None and len(found) == rows):
                raise self._doubt(items)
            self._take(second)
            return
        named = {whole for whole, node in zip(integers, nodes, strict=True) if node.name}
        if joined or len(set(depths)) > 1 or len(named) > 1:
            raise self._doubt(items)
        for item in items:
            self._take(item)

    def _doubt(self, items: list[_Item]) -> InputError:
        problem = f"{len(items)} arrays: the second is neither rows of logits nor one target for each row"
        if len(items) > 2:
            problem = f"{len(items)} arrays of several kinds: which are the logits?"
        return self._error(items[1].start, problem, "give only the logits, and the targets with --target")

    def _take(self, item: _Item) -> Shape:
        values, out = self._values, self._out
        if not item.keyed:
            return values.piece(item.start, item.stop, item.kids, out.gather)
        (node,) = item.kids
        entries = values.entries(node)
        key = self._key(node) or ""
        shape = values.piece(*entries.pop(key), out.gather)
        for name, span in entries.items():
            if is_target(name.lower()):
                self._target(_Item(*span))
            else:
                out.dropped.append(name)
        return shape

    def _target(self, item: _Item) -> None:
        found = self._numbers(item)
        if found is None:
            raise self._error(item.start, "the targets are not integers", "classes are counted from 0")
        self._out.target = (self._out.target or []) + found

    def _numbers(self, item: _Item) -> list[int] | None:
        """The integers of a list or of a single number; None where they are none."""
        values, part = self._values, Gather()
        before = len(values.votes)
        if item.kids:
            values.piece(item.start, item.stop, item.kids, part)
        else:
            values.run(item.start, item.stop, part)
        del values.votes[before:]
        found = [v for numbers, texts in part.rows() for v in numbers if not texts]
        return [int(v) for v in found] if len(found) == part.size and all(v.is_integer() for v in found) else None

    def _integers(self, node: Node) -> bool:
        while node.name and node.kids:
            node = node.kids[0]
        return is_integers(self._text, node.at, node.stop)


def _is_word(word: str) -> bool:
    """Whether it is a word, which no one takes for a number."""
    return re.search(r"[^\W\d]|\$", word) is not None and not is_number(word) and not word[0].isdigit()


def _depth(node: Node) -> int:
    """How deep lists are nested in a pair of brackets; a constructor adds nothing."""
    inner = _depth(node.kids[0]) if node.kids else 0
    return inner if node.name and node.kids else inner + 1


def unnamed(text: str) -> tuple[str, list[str]]:
    """A text without the names before its numbers, and these: logits = 1 2 3."""
    names: list[str] = []

    def drop(found: re.Match[str]) -> str:
        names.append(found[0].strip())
        return " " * len(found[0])

    return (_NAME.sub(drop, text), names) if ":" in text or "=" in text or "<-" in text else (text, names)


def _words_around(text: str, root: Node) -> bool:
    """Whether there is anything but separators around the brackets of a text."""
    ends = zip([0, *(kid.end for kid in root.kids)], [*(kid.begin for kid in root.kids), len(text)], strict=True)
    return any(text[a:b].strip(" \t\n,;") for a, b in ends) or any(kid.name for kid in root.kids)
