"""Reports show themselves: as a table where they are printed, as a page in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Shown:
    """A thing that can be printed; what renders it stands above it, and is handed down by the Python API.

    Attributes:
        render: (thing, name of the output format) → text.
    """

    __slots__ = ()
    render: ClassVar[Callable[[object, str], str] | None] = None

    def __str__(self) -> str:
        return repr(self) if Shown.render is None else Shown.render(self, "table").rstrip()

    def _repr_html_(self) -> str | None:
        """What a notebook shows: the page in a frame of its own, so that its style stays there."""
        if Shown.render is None:
            return None
        from html import escape

        page = escape(Shown.render(self, "html"), quote=True)
        fit = "this.style.height = (this.contentDocument.documentElement.scrollHeight + 4) + 'px'"
        return f'<iframe srcdoc="{page}" onload="{fit}" style="width: 100%; height: 40rem; border: 0"></iframe>'
