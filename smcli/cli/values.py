"""What a word of the command line can be: one table says where the values of an option or argument come from."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from inspect import getdoc
from typing import TYPE_CHECKING

from smcli.shells.tree import NOTHING, Choice, Values, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True)
class Place:
    """Where a value stands: the command, and whether the option takes several with commas."""

    command: str
    several: bool


SEPARATED = {
    "--fail-on",
    "explain",
    "limits",
}  # given once, yet several fit with commas; so they do where Typer repeats


def of(key: str, place: Place) -> Values:
    """The values of an option, by its long spelling, or of a command's arguments, by the command's name."""
    source = SOURCES.get(key)
    if source is None:
        return NOTHING
    if source is files:
        return Values(files=True)
    choices = tuple((name, plain(text)) for name, text in source(place))
    return Values(choices, separated=place.several or key in SEPARATED)


def methods(place: Place) -> Iterable[Choice]:
    """The methods that the command can run."""
    from smcli import quantities
    from smcli.methods import everything

    if place.command == "eval":
        yield "exact", "The certified truth."
    wanted = ("gradient",) if place.command == "grad" else quantities.values()
    for name, method in everything().items():
        if any(method.defines(q) for q in wanted):
            yield name, method.summary
    if place.several:
        yield "all", "Every formula."
        yield "libraries", "Every library that is installed."


def dtypes(place: Place) -> Iterable[Choice]:
    """The number formats; `all` of them where several fit."""
    yield from single(place)
    if place.several or place.command == "limits":
        yield "all", "Every number format."


def single(_: Place) -> Iterable[Choice]:
    """The number formats, of which one is chosen."""
    from smcli.numbers.formats import FORMATS

    for name, f in FORMATS.items():
        yield name, f"{f.bits} bits, {f.p} of them significant, up to {f.max:.6g}."


def quantities(place: Place) -> Iterable[Choice]:
    """What can be computed; of the derivatives, what of."""
    from smcli import quantities as table
    from smcli.request import CHECKED

    for name in {"grad": table.losses(), "check": CHECKED}.get(place.command, table.values()):
        yield name, ""
    if place.several and place.command not in {"grad", "check"}:
        yield "all", "All but bce."


def codes(_: Place) -> Iterable[Choice]:
    """The codes of the findings."""
    from smcli.findings import everything

    for code, rule in everything().items():
        yield code, f"{rule.name} ({rule.severity})"


def failures(place: Place) -> Iterable[Choice]:
    """What can make the exit code 1."""
    yield "never", "Whatever is found."
    for severity in ("note", "warning", "error"):
        yield severity, f"Findings from {severity} up." if severity != "error" else "Errors only."
    yield from codes(place)


def outputs(_: Place) -> Iterable[Choice]:
    """The output formats: each is a module."""
    from smcli import render

    return [(name, _title(f"smcli.render.{name}")) for name in render.names()]


def inputs(_: Place) -> Iterable[Choice]:
    """The kinds of input: each is a module."""
    from smcli import read

    return [(name, _title(f"smcli.read.{name}")) for name in read.kinds()]


def orders(_: Place) -> Iterable[Choice]:
    """The orders of a sum."""
    from smcli.numbers.arithmetic import ORDERS

    return [(name, "") for name in ORDERS]


def reductions(_: Place) -> Iterable[Choice]:
    """The reductions of a batch."""
    from smcli.problem.specs import REDUCTIONS

    return [(name, "") for name in REDUCTIONS]


def shells(_: Place) -> Iterable[Choice]:
    """The shells that have a completion script."""
    from smcli.shells.scripts import names

    return [(name, "") for name in names()]


def files(_: Place) -> Iterable[Choice]:
    """The names of files: the shell lists them."""
    return ()


def _title(module: str) -> str:
    """The first line of a module's docstring."""
    return (getdoc(import_module(module)) or "").partition("\n")[0]


SOURCES: Mapping[str, Callable[[Place], Iterable[Choice]]] = {
    "--accumulate": single,
    "--against": files,
    "--class-weights": files,
    "--compute": single,
    "--logits-dtype": single,
    "--dtype": dtypes,
    "--fail-on": failures,
    "--format": outputs,
    "--input": files,
    "--input-format": inputs,
    "--labels": files,
    "--method": methods,
    "--output": files,
    "--plot": files,
    "--quantity": quantities,
    "--reduction": reductions,
    "--sum": orders,
    "--target": files,
    # the arguments of a command
    "check": files,
    "completions": shells,
    "explain": codes,
    "limits": dtypes,
    "scan": files,
}
