"""What was asked → Settings: names checked and defaults filled in, the same for the command line and for Python."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smcli import findings, methods, quantities
from smcli.errors import OptionError, UsageError
from smcli.problem.specs import LossSpec, Numerics, Settings, Tolerance, check_wider, choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.batch import Batch
    from smcli.problem.given import Given

DEFAULT_METHODS = ("naive", "shifted", "fused")
DEFAULT_QUANTITIES = {
    "compare": ("softmax", "cross-entropy"),
    "eval": ("softmax", "log-softmax", "logsumexp", "cross-entropy"),
    "scan": ("softmax",),
    "check": ("softmax",),
}
ALL = ("all",)
FEW = 3  # methods that a hint names
PRODUCTS = ("softmax", "log-softmax", "logsumexp")  # what a vector-Jacobian product can be of
CHECKED = tuple(q.name for q in quantities.QUANTITIES.values() if q.needs != "cotangent")
LEVELS = ("never", "note", "warning", "error")


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Request:
    """What was asked, checked as far as that goes without the input; attributes as in `Settings`."""

    command: str
    methods: tuple[str, ...]
    quantities: tuple[str, ...]
    numerics: Numerics
    loss: LossSpec
    tolerance: Tolerance
    trace: bool
    confirm: bool = False

    @classmethod
    def of(cls, command: str, given: Given) -> Request:
        """Read the options that were given.

        Raises:
            UsageError: an unknown name, a value out of range, or options that exclude each other.
            InputError: an option's numbers cannot be read.
        """
        product = command == "grad" and given.numbers("cotangent") is not None
        asked = _asked_quantities(command, given.names("quantities"), product=product)
        losses = [q for q in asked if q != "all" and quantities.get(q).is_loss]
        loss = next((q for q in losses if not quantities.get(q).of_logits_alone), (*losses, "cross-entropy")[0])
        return cls(
            command=command,
            methods=_asked_methods(command, given.names("methods")),
            quantities=asked,
            numerics=Numerics.of(given),
            loss=LossSpec.of(given, loss, next((q for q in asked if q in PRODUCTS), "softmax")),
            tolerance=Tolerance.of(given),
            trace=given.flag("trace"),
            confirm=given.flag("confirm"),
        )

    def settle(self, batch: Batch | None = None, numbers: Sequence[int] | None = None) -> Settings:
        """The settings for an input: its number format, targets and labels stand where nothing was asked.

        Args:
            batch: what was read; of a number format that it does not carry, float64 stands.
            numbers: as in `Settings`.

        Raises:
            UsageError: what was asked needs something that is not there, or no method computes it.
        """
        carried = batch is not None and batch.dtype is not None and not self.numerics.dtypes
        dtypes = self.numerics.dtypes or ((batch.dtype or "float64") if batch is not None else "float64",)
        if self.numerics.compute is not None:
            check_wider(self.numerics.compute, dtypes)
        loss = self.loss.settle() if batch is None else self.loss.settle(batch.target, batch.labels)
        wanted = self._quantities(loss)
        if loss.coefficients is not None and "logsumexp" not in (*wanted, *self.quantities):
            raise OptionError("coefficients", "is an option of logsumexp", "ask for it: <quantities> logsumexp")
        chosen = self._able(wanted, loss.kind)
        return Settings(
            command=self.command,
            methods=chosen,
            idle=tuple(n for n in chosen if self.methods and not any(map(methods.get(n).defines, wanted))),
            quantities=wanted,
            numerics=replace(self.numerics, dtypes=dtypes),
            loss=loss,
            tolerance=self.tolerance,
            trace=self.trace,
            confirm=self.confirm,
            numbers=numbers,
            origin=batch.origin if batch is not None and carried else "",
        )

    def _quantities(self, loss: LossSpec) -> tuple[str, ...]:
        if self.command == "grad":
            if loss.reduction == "perplexity":
                raise OptionError("reduction", "has no gradient here", "take that of its logarithm, mean", "perplexity")
            if loss.cotangent is not None and loss.alone:
                raise OptionError("cotangent", f"is no option of {loss.kind}", "a loss has a gradient; leave it out")
            return ("vjp",) if loss.cotangent is not None else ("gradient",) if loss.given else ("jacobian",)
        if self.quantities == ALL:
            return tuple(q for q in quantities.values() if not quantities.get(q).needs)
        return self.quantities or DEFAULT_QUANTITIES[self.command]

    def _able(self, wanted: Sequence[str], loss: str) -> tuple[str, ...]:
        if self.command == "check":
            return ("output",)
        if self.command == "eval" and not self.methods:
            return ()
        chosen = methods.expand(self.methods or DEFAULT_METHODS, wanted, loss)
        if self.command == "eval" and len(chosen) > 1:
            raise UsageError("eval takes one method", "use compare to see several beside each other")
        if not any(methods.computes(n, wanted, loss) for n in chosen):
            of = f" of {loss}" if wanted == ("gradient",) else ""
            able = ", ".join(methods.expand(("all",), wanted, loss)[:FEW])
            raise UsageError(
                f"no {', '.join(wanted)}{of} in {', '.join(chosen or self.methods)}",
                f"{f'{able} and others have it; ' if able else ''}`smcli methods` shows what each method computes",
            )
        return chosen


def _asked_quantities(command: str, names: Sequence[str], *, product: bool) -> tuple[str, ...]:
    """The quantities of those names, each once; with `product` one may be that of whose Jacobian a product is taken.

    Raises:
        UsageError: the command does not compute one of them, or they are losses that exclude each other.
    """
    if "all" in names and command not in {"grad", "check"}:
        return ALL
    chosen = list(dict.fromkeys(quantities.get(name) for name in names))
    if command == "check":
        if len(chosen) > 1:
            raise UsageError("check takes one quantity", "outputs are values of one; check each with its own file")
        if chosen and chosen[0].needs == "cotangent":
            raise UsageError(f"check knows no {chosen[0].name}", f"choose one of {', '.join(CHECKED)}")
        return tuple(q.name for q in chosen)
    losses = [q for q in chosen if q.is_loss]
    if command == "grad" and losses != chosen and not (product and len(chosen) == 1 and chosen[0].name in PRODUCTS):
        raise UsageError(
            "grad differentiates a loss",
            f"ask for {', '.join(quantities.losses())}, or none for the Jacobian; with a cotangent, for {', '.join(PRODUCTS)}",
        )
    for q in chosen:
        if q.is_derivative:
            raise UsageError(f"{q.name} is a derivative", "derivatives are what `smcli grad` and gradient() compute")
    if command != "grad":  # of an entropy's value no option says anything
        losses = [q for q in losses if not q.of_logits_alone] or losses
    if len(losses) > 1:
        beside = [q.name for q in chosen if q not in losses]
        ways = (f"<quantities> {','.join([*beside, q.name])}" for q in losses)
        raise OptionError(
            "quantities",
            f"{losses[0].name} and {losses[1].name} are losses of different problems",
            f"run it once for each, with the options of that loss alone: {', then '.join(ways)}",
        )
    return tuple(q.name for q in chosen)


def _asked_methods(command: str, names: Sequence[str]) -> tuple[str, ...]:
    """The methods and groups of those names; none of them: the default, which of eval is the truth alone.

    Raises:
        UsageError: there is no such method, or there are too many.
    """
    if command == "eval":
        if len(names) > 1 or names == ALL:
            raise UsageError("eval takes one method", "use compare to see several beside each other")
        if names == ("exact",):
            return ()
    return tuple(dict.fromkeys(name if name in methods.GROUPS else methods.get(name).name for name in names))


def check_fail_on(value: str) -> str:
    """What makes the exit code 1: never, a severity, or codes; codes in upper case.

    Raises:
        UsageError: it is none of these.
    """
    found = []
    for word in (word.strip() for word in value.split(",")):
        if word.lower() in LEVELS:
            found.append(word.lower())
            continue
        if not word.upper().startswith("SM"):
            choice("fail_on", word, [*LEVELS, *(r.name for r in findings.everything().values())])
        found.append(findings.get(word).code)
    return ",".join(found)
