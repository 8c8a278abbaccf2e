"""The brackets of a text as a tree: what opens, what stands before it, what is called on it, and where it ends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smcli.numbers.words import show

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.errors import InputError

    Fault = Callable[[int, str, str], InputError]  # place, problem, hint

_MAX_DEPTH = 64  # as many axes as a NumPy array may have
_MAX_NAME = 100  # characters of the name before a bracket
_MARK = re.compile(r"""[\[\](){}'"]""")
_WORD = re.compile(r"[^\s,;]+$")
_QUOTED = re.compile(r"""(?<!\w)(?:'[^'\n]*+'|"[^"\n]*+")(?!\w)""")  # brackets in quotes are none
_NAME = re.compile(r"\.?(?:[A-Za-z_]\w*(?:\.|::))*[A-Za-z_]\w*!?$")
_QUOTES = {"'", '"'}
_OPENERS = {"]": "[", ")": "(", "}": "{"}


class Node:
    """A pair of brackets, or the whole text.

    Attributes:
        opener: "[", "(" or "{"; "" for the whole text.
        name: the name directly before it, as in tensor(...) or Float32[...], or "".
        begin: where that name begins, or the bracket.
        at, stop: where the brackets are.
        kids: the pairs directly in it.
        calls: what is called on it, as in (...).cuda().
    """

    __slots__ = ("at", "begin", "calls", "kids", "name", "opener", "stop")

    def __init__(self, opener: str, name: str, at: int) -> None:
        self.opener, self.name, self.at, self.begin, self.stop = opener, name, at, at - len(name), at
        self.kids: list[Node] | tuple[()] = ()
        self.calls: list[Node] | tuple[()] = ()

    @property
    def end(self) -> int:
        """Where the text behind it begins."""
        return (self.calls[-1] if self.calls else self).stop + 1

    @property
    def function(self) -> str:
        """The last part of its name."""
        return self.name.replace("::", ".").rsplit(".", 1)[-1]


def tree(text: str, fault: Fault) -> Node:
    """The tree of a text.

    Raises:
        InputError: brackets do not fit.
    """
    root = Node("", "", -1)
    root.stop = len(text)
    stack = [root]
    quoted = 0
    for mark in _MARK.finditer(text):
        bracket, at = mark[0], mark.start()
        if at < quoted:
            continue
        if bracket in _QUOTES:
            quoted = found.end() if (found := _QUOTED.match(text, at)) else 0
            continue
        if opener := _OPENERS.get(bracket):
            node = stack[-1]
            if node.opener != opener:
                raise fault(at, f"{_shown(text, at)} closes nothing", "brackets come in pairs")
            node.stop = at
            stack.pop()
        else:
            stack.append(_open(text, bracket, at, stack[-1]))
            if len(stack) > _MAX_DEPTH + 1:
                raise fault(at, f"brackets are nested deeper than {_MAX_DEPTH}", "a list of rows is enough")
    if len(stack) > 1:
        at = stack[-1].at
        raise fault(at, f"{_shown(text, at)} is never closed", "brackets come in pairs")
    return root


def _shown(text: str, at: int) -> str:
    """A bracket, and the word that it stands in."""
    before = _WORD.search(text[max(0, at - _MAX_NAME) : at])
    after = re.compile(r"\S+").match(text, at, at + _MAX_NAME)
    return show(text[at]) + (f" of {show(before[0] + after[0])}" if before and after else "")


def _open(text: str, bracket: str, at: int, owner: Node) -> Node:
    """A new pair of brackets in its owner, or among what is called on the pair before."""
    before = text[at - 1] if at else ""
    named = (before.isalnum() or before in "_!") and _NAME.search(text[max(0, at - _MAX_NAME) : at])
    node = Node(bracket, named[0] if named else "", at)
    last = owner.kids[-1] if owner.kids else None
    if last is not None and node.name[:1] == "." and bracket == "(" and last.end == node.begin:
        last.calls = [*last.calls, node]
    elif owner.kids:
        owner.kids.append(node)
    else:
        owner.kids = [node]
    return node


def pieces(text: str, node: Node) -> list[tuple[int, int, list[Node]]]:
    """What stands between the commas directly in a pair of brackets: where, and the pairs in it."""
    found: list[tuple[int, int, list[Node]]] = []
    start, at = node.at + 1, node.at + 1
    kids: list[Node] = []
    for kid in [*node.kids, None]:
        stop = node.stop if kid is None else kid.begin
        while (comma := text.find(",", at, stop)) >= 0:
            found.append((start, comma, kids))
            start, at, kids = comma + 1, comma + 1, []
        if kid is not None:
            kids.append(kid)
            at = kid.end
    if found and not kids and not text[start : node.stop].strip():
        return found  # a comma stood at the end
    return [*found, (start, node.stop, kids)]
