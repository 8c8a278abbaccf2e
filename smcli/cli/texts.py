"""The options of a command line as texts: each read as what it has to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smcli.cli.options import OptionSet
    from smcli.model import RawRow

SPELLED = {"methods": "method", "quantities": "quantity"}  # one flag, repeated, where Python takes a list


def flag(option: str, value: str = "") -> str:
    """An option as the command line spells it."""
    name = SPELLED.get(option, option).replace("_", "-")
    return f"--{name} {value}".rstrip()


class Texts:
    """The options of a command, as `smcli.problem.given.Given`."""

    def __init__(self, options: OptionSet) -> None:
        self._options = options

    def _get(self, option: str) -> Any:
        return getattr(self._options, SPELLED.get(option, option), None)

    def names(self, option: str) -> tuple[str, ...]:
        given = self._get(option)
        words = [given] if isinstance(given, str) else given or []
        return split(words)

    def word(self, option: str) -> str | None:
        text: str | None = self._get(option)
        return text

    def flag(self, option: str) -> bool:
        return bool(self._get(option))

    def integer(self, option: str) -> int | None:
        number: int | None = self._get(option)  # Typer has read it
        return number

    def real(self, option: str) -> float | None:
        from smcli import read

        text = self._get(option)
        return None if text is None else read.number(text, flag(option))[0]

    def numbers(self, option: str) -> RawRow | None:
        rows = self.rows(option)
        if rows is None:
            return None
        if len(rows) > 1:
            from smcli.errors import OptionError

            raise OptionError(option, f"is one list of numbers, and {len(rows)} were given", "give one list")
        return rows[0]

    def rows(self, option: str) -> tuple[RawRow, ...] | None:
        from smcli import read

        text = self._get(option)
        return None if text is None else tuple(read.numbers_or_file(text, flag(option)))

    def integers(self, option: str) -> tuple[int, ...] | None:
        from smcli import read

        text = self._get(option)
        return None if text is None else tuple(read.indices(text, flag(option)))


def split(words: list[str] | None) -> tuple[str, ...]:
    """Names, each once, from words that may hold several with commas between them."""
    return tuple(dict.fromkeys(w.strip() for word in words or () for w in word.split(",") if w.strip()))
