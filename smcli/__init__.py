"""smcli: the microscope for softmax and cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from smcli.api import compare, evaluate, exact, gradient, truth
    from smcli.errors import InputError, PrecisionError, SmcliError, UnavailableError, UsageError

__all__ = [
    "InputError",
    "PrecisionError",
    "SmcliError",
    "UnavailableError",
    "UsageError",
    "__version__",
    "compare",
    "evaluate",
    "exact",
    "gradient",
    "truth",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import a public name when it is first used, so that the command line starts fast."""
    if name.endswith("Error") and name in __all__:
        from smcli import errors

        return getattr(errors, name)
    if name in __all__:
        from smcli import api

        return getattr(api, name)
    raise AttributeError(f"module 'smcli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
