"""The list of methods, for `smcli methods`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smcli import methods
from smcli.model import Listing
from smcli.quantities import QUANTITIES, values

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Catalogue:
    """All methods, as data and as a table."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON document (schema smcli.methods/1)."""
        return {
            "schema": "smcli.methods/1",
            "methods": [
                {
                    "method": m.name,
                    "summary": m.summary,
                    "source": m.source,
                    "backward": m.backward,
                    "quantities": [q for q in QUANTITIES if m.defines(q)],
                    "available": not m.reason,
                    **({"reason": m.reason} if m.reason else {}),
                    **({"version": m.version} if not m.reason and m.version else {}),
                }
                for m in methods.everything().values()
            ],
        }

    def listings(self) -> Iterable[Listing]:
        """What each method is, what it computes, where it comes from; of libraries, whether they are installed."""
        yield Listing(
            "methods",
            ("method", "what it does", "computes", "backward", "source"),
            tuple(
                (m.name, m.summary, ", ".join(filter(m.defines, QUANTITIES)), m.backward, m.source)
                for m in methods.formulas().values()
            ),
        )
        yield Listing(
            "libraries under test",
            ("method", "what it is", "installed", "computes", "backward", "source"),
            tuple(
                (
                    m.name,
                    m.summary,
                    m.reason.partition(": ")[2] if m.reason else m.version,
                    ", ".join(q for q in values() if m.defines(q)),
                    m.backward,
                    m.source,
                )
                for m in methods.adapters().values()
            ),
        )
