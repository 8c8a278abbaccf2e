"""smcli: the microscope for softmax and cross-entropy."""

TYPE_CHECKING = False  # typing itself would cost `smcli --version` a third of its time
if TYPE_CHECKING:
    from smcli.api import check, compare, evaluate, exact, gradient, truth, watch
    from smcli.errors import InputError, OptionError, PrecisionError, SmcliError, UnavailableError, UsageError
    from smcli.version import __version__

__all__ = [
    "InputError",
    "OptionError",
    "PrecisionError",
    "SmcliError",
    "UnavailableError",
    "UsageError",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "exact",
    "gradient",
    "truth",
    "watch",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that the command line starts fast."""
    if name.endswith("Error") and name in __all__:
        from smcli import errors

        return getattr(errors, name)
    if name == "__version__":
        from smcli import version

        return version.__version__
    if name in __all__:
        from smcli import api

        return getattr(api, name)
    raise AttributeError(f"module 'smcli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
