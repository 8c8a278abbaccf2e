"""How options come in: the two entries read each in their own way, and the specs ask for it by its keyword."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from smcli.model import RawRow


class Given(Protocol):
    """The options that were given: texts of a command line, or objects of a Python call.

    Each method reads one as what it has to be; None, or nothing, where it was not given. What they raise is an
    `SmcliError` that names the option as the entry spells it.
    """

    def names(self, option: str) -> tuple[str, ...]:
        """Names, each once, in their order; a text may hold several with commas between them."""
        ...

    def word(self, option: str) -> str | None:
        """One name."""
        ...

    def flag(self, option: str) -> bool:
        """Whether it is on."""
        ...

    def integer(self, option: str) -> int | None:
        """One integer."""
        ...

    def real(self, option: str) -> float | None:
        """One number, to the nearest float64."""
        ...

    def numbers(self, option: str) -> RawRow | None:
        """One list of numbers as written."""
        ...

    def rows(self, option: str) -> tuple[RawRow, ...] | None:
        """One or more lists of numbers as written."""
        ...

    def integers(self, option: str) -> tuple[int, ...] | None:
        """A list of integers."""
        ...
