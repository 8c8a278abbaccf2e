"""The options of a Python call as objects: each read as what it has to be."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from smcli.errors import InputError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smcli.model import RawRow

ONE_CLASS = "give the number of the right class, counted from 0"


class Objects:
    """The keywords of a call, as `smcli.problem.given.Given`; None stands for one that was not given."""

    def __init__(self, keywords: Mapping[str, Any]) -> None:
        self._keywords = keywords

    def names(self, option: str) -> tuple[str, ...]:
        given = self._keywords.get(option)
        words = [] if given is None else given if _is_list(given) else [given]
        found = [w.strip() for word in words for w in _name(option, word).split(",")]
        return tuple(dict.fromkeys(filter(None, found)))

    def word(self, option: str) -> str | None:
        given = self._keywords.get(option)
        return None if given is None else _name(option, given)

    def flag(self, option: str) -> bool:
        given = self._keywords.get(option, False)
        if not isinstance(given, bool):
            raise OptionError(option, "is neither True nor False", "give one of them", _shown(given))
        return given

    def integer(self, option: str) -> int | None:
        given = self._keywords.get(option)
        if given is None:
            return None
        try:
            if not isinstance(given, bool):
                return operator.index(given)
        except TypeError:
            pass
        raise OptionError(option, "is not an integer", "give an integer", _shown(given))

    def real(self, option: str) -> float | None:
        raw = self.numbers(option)
        if raw is None:
            return None
        if raw.values.size != 1:
            raise OptionError(option, f"is one number, and {raw.values.size} were given", "give one number")
        return float(raw.values[0])

    def numbers(self, option: str) -> RawRow | None:
        rows = self.rows(option)
        if rows is not None and len(rows) > 1:
            raise OptionError(option, f"is one list of numbers, and {len(rows)} were given", "give one list")
        return None if rows is None else rows[0]

    def rows(self, option: str) -> tuple[RawRow, ...] | None:
        from smcli.read import from_object

        given = self._keywords.get(option)
        if given is None:
            return None
        try:
            return tuple(from_object(given))
        except InputError as error:  # it speaks of logits
            problem = error.message.replace("no logits", "no numbers").replace("logit ", "number ", 1)
            raise OptionError(option, f"cannot be read: {problem}", "give numbers") from None

    def integers(self, option: str) -> tuple[int, ...] | None:
        from smcli.read import integers

        rows = self.rows(option)
        return None if rows is None else tuple(integers(rows, option))


def _is_list(given: object) -> bool:
    return isinstance(given, Iterable) and not isinstance(given, str)


def _name(option: str, given: object) -> str:
    """A name; of a dtype object what its library calls it, such as "float32" or "torch.bfloat16".

    Raises:
        OptionError: it is no name.
    """
    if isinstance(given, str):
        return given.strip()
    if option in {"dtype", "compute", "accumulate"}:
        for attribute in ("name", "__name__"):
            name = getattr(given, attribute, None)
            if isinstance(name, str):
                return name
        if type(given).__name__ == "dtype":
            return str(given)
    raise OptionError(option, "is not a name", "give a text", _shown(given))


def _shown(given: object) -> str:
    """What was given, as Python writes it, when that is short."""
    text = ascii(given)
    return text if len(text) <= 40 else f"<{type(given).__name__}>"
