"""smcli: the microscope for softmax and cross-entropy."""

TYPE_CHECKING = False  # typing itself would cost `smcli --version` a third of its time
if TYPE_CHECKING:
    from smcli.api import check, compare, evaluate, exact, gradient, truth, watch
    from smcli.errors import InputError, OptionError, PrecisionError, SmcliError, UnavailableError, UsageError
    from smcli.model import Finding, Truth
    from smcli.report.report import Comparison, Report
    from smcli.version import __version__

__all__ = [
    "Comparison",
    "Finding",
    "InputError",
    "OptionError",
    "PrecisionError",
    "Report",
    "SmcliError",
    "Truth",
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


TYPES = {"Comparison": "report.report", "Finding": "model", "Report": "report.report", "Truth": "model"}


if not TYPE_CHECKING:  # where types are checked, a name that is not there is an error

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used, so that the command line starts fast."""
        if name.endswith("Error") and name in __all__:
            from smcli import errors

            return getattr(errors, name)
        if name == "__version__":
            from smcli import version

            return version.__version__
        if name in __all__:
            from importlib import import_module

            return getattr(import_module(f"smcli.{TYPES.get(name, 'api')}"), name)
        raise AttributeError(f"module 'smcli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
