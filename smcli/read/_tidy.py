"""What people paste around numbers, blanked out so that every place stays: prompts, comments, tags, constants."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smcli.read._dtypes import Vote, of_constructor, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

_WORDY = re.compile(r"[^\d\s.,;+\-\[\]()eEaAfFiInNtTyYxX]")  # a text of bare numbers and brackets has none of it
_COMMENT = re.compile(
    r"^[ \t]*(?:#|//)[^\n]*|(?<=[\])},;])[ \t]*(?:#|//)[^\n]*|(?<=[\d.])[ \t]+(?:#|//)[^\n]*", re.MULTILINE
)
_PROMPT = re.compile(
    r"^[ \t]*(?:>{1,3}(?=\s)|(?:ipdb|pdb|julia|sage|irb|octave:\d+)>|\(i?[Pp]db\+*\)|\([gl]l?db\)|(?:In|Out) ?\[\d*\]:)",
    re.MULTILINE,
)
_CONTINUED = re.compile(r"^\.\.\.:?(?=[ \t]+\S)|^[ \t]+\.\.\.:(?=[ \t]+\S)", re.MULTILINE)
_FRAME = re.compile(
    r"<tf\.(?:Tensor:|Variable '[^'\n]*') shape=\([\d, ]*\),? dtype=(\w+), numpy=([^<>]*)>|Parameter containing:"
)
_TAG = re.compile(r"(?<!=)<(?=[A-Za-z])[^<>\n]*>")
_JULIA = re.compile(r"^[ \t]*(?:\d+-element|\d+×\d+) (?:Vector|Matrix|Array)\{(\w+)(?:, *\d+)?\}:", re.MULTILINE)
_NUMBER = r"[+-]?(?:[0-9.][\w.]*(?:(?<=[eEpP])[+-][0-9]+)?|inf(?:inity)?|nan)"
_NO_OPERATOR = r"(?![ \t]*[-+*/%@.(\[]|\w)"
_SCALAR = re.compile(
    r"(?<![^\s,;\[\](){}=:])((?:\w+\.)*(?:array|asarray|[Tt]ensor|Array|DeviceArray|float|double|half|b?float\d+\w*|u?int\d*"
    rf"|longdouble|B?Float\d+))\(\s*({_NUMBER})\s*((?:,(?:[^()\n]|\([^()\n]*\))*+)?)\){_NO_OPERATOR}",
    re.IGNORECASE,
)
_CONSTANT = re.compile(
    r"(?<![\w.)\]])([+-]?)(?:float\(\s*(['\"])([+-]?(?:inf(?:inity)?|nan))\2\s*\)"
    rf"|(?:np|numpy|jnp|torch|tf|math|cmath|cp|mx)\.(inf|infty|nan)){_NO_OPERATOR}",
    re.IGNORECASE,
)
_MAY_BE_CONSTANT = re.compile(r"\(\s*['\"]|\.[iInN][nN]?[aAfF]")  # found fast, unlike those before
_MAY_BE_SCALAR = re.compile(r"\(\s*[-+.\diInN]")
_LEADING = re.compile(r"\s*(,)(?=\s|[\[({A-Za-z])")


@dataclass
class Tidy:
    """A text without what stands around its numbers; every place in it is as it was.

    Attributes:
        text: the rest.
        dropped: what was left out.
        votes: number formats that what was left out names.
        prompts: whether it is a session, which may hold results beside the input.
    """

    text: str
    dropped: list[str] = field(default_factory=list)
    votes: list[Vote] = field(default_factory=list)
    prompts: bool = False


def tidy(text: str) -> Tidy:
    """Blank out what is not the numbers, their brackets, names and constructors."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    out = Tidy(text)
    if out.text.lstrip()[:1] == ",":
        out.text = _LEADING.sub(lambda m: _drop(m, out), out.text, 1) if _LEADING.match(out.text) else out.text
    if not _WORDY.search(text):
        return out
    _blank(out, _COMMENT, ("#", "//"))
    if _PROMPT.search(out.text):
        out.prompts = True
        _blank(out, _PROMPT, ())
        out.text = _CONTINUED.sub(lambda m: " " * len(m[0]), out.text)
    if ":" in text:
        _put(out, _FRAME, _framed)
        _put(out, _JULIA, _julian)
    _blank(out, _TAG, ("<",))
    if _MAY_BE_CONSTANT.search(text):
        _put(out, _CONSTANT, _constant)
    if _MAY_BE_SCALAR.search(text):
        _put(out, _SCALAR, _scalar)
    return out


def _blank(out: Tidy, pattern: re.Pattern[str], marks: tuple[str, ...]) -> None:
    if not marks or any(mark in out.text for mark in marks):
        out.text = pattern.sub(lambda m: _drop(m, out), out.text)


def _put(out: Tidy, pattern: re.Pattern[str], put: Callable[[re.Match[str], Tidy], str]) -> None:
    out.text = pattern.sub(lambda m: put(m, out), out.text)


def _drop(found: re.Match[str], out: Tidy) -> str:
    out.dropped.append(found[0].strip())
    return re.sub(r"[^\n]", " ", found[0])


def _framed(found: re.Match[str], out: Tidy) -> str:
    """The array within the tags that TensorFlow puts around it."""
    if found[1] is None:
        return " " * len(found[0])
    out.votes.append(Vote(found.start(), resolve(found[1])[1], f"dtype={found[1]} in the text"))
    return found[2].rjust(len(found[0]) - 1) + " "


def _julian(found: re.Match[str], out: Tidy) -> str:
    out.votes.append(Vote(found.start(), resolve(found[1].lower())[1], f"{found[1]} in the text"))
    return _drop(found, out)


def _constant(found: re.Match[str], out: Tidy) -> str:  # noqa: ARG001 - one signature for all
    """inf or nan for float('inf') and np.inf."""
    word = found[3] or ("nan" if found[4].lower() == "nan" else "inf")
    return (found[1] + word).ljust(len(found[0]))


def _scalar(found: re.Match[str], out: Tidy) -> str:
    """The number of tensor(1.) or np.float32(1.0)."""
    whole = not re.search(r"[.eEnN]", found[2])
    vote = of_constructor(found[1], found[3], found.start(), integers=whole)
    if vote.dtype:
        out.votes.append(vote)
    return found[2].ljust(len(found[0]))
