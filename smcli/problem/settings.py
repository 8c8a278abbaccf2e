"""What was asked → Settings: names checked, defaults filled in, one place for the command line and the Python API."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

from smcli import findings, methods
from smcli.errors import UsageError
from smcli.model import LossSpec, Numerics, RawRow, Settings, Tolerance
from smcli.numbers import formats
from smcli.numbers.arithmetic import ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

QUANTITIES = ("softmax", "log-softmax", "logsumexp", "cross-entropy", "bce")
DEFAULT_METHODS = ("naive", "shifted", "fused")
DEFAULT_QUANTITIES = {
    "compare": ("softmax", "cross-entropy"),
    "eval": ("softmax", "log-softmax", "logsumexp", "cross-entropy"),
}
REDUCTIONS = ("none", "mean", "sum")
MOST_DIGITS = 10000


def names(given: Iterable[str] | str | None) -> list[str]:
    """Names of a repeatable option, each of which may be a list with commas."""
    words = [given] if isinstance(given, str) else given or []
    return list(dict.fromkeys(w.strip() for word in words for w in word.split(",") if w.strip()))


def settings(
    command: str,
    *,
    dtype: Iterable[str] | str | None = None,
    method: Iterable[str] | str | None = None,
    quantity: Iterable[str] | str | None = None,
    accumulate: str | None = None,
    order: str = "pairwise",
    digits: int | None = None,
    reduction: str = "none",
    target: Sequence[int] | None = None,
    labels: Sequence[RawRow] | None = None,
    smoothing: float = 0.0,
    cotangent: RawRow | None = None,
    step: float | None = None,
    **rest: Any,
) -> Settings:
    """Check what was asked and fill in what was not.

    Raises:
        UsageError: an unknown name, or values that exclude each other.
    """
    dtypes = names(dtype) or ["float64"]
    chosen = list(formats.FORMATS) if "all" in dtypes else list(dict.fromkeys(formats.get(d).name for d in dtypes))
    if accumulate is not None:
        accumulate = formats.get(accumulate).name
    _choice("--sum", order, ORDERS)
    _choice("--reduction", reduction, REDUCTIONS)
    if digits is not None and (not isinstance(digits, Integral) or not 1 <= digits <= MOST_DIGITS):
        raise UsageError(f"--digits {digits} is out of range", f"ask for 1 to {MOST_DIGITS} significant digits")
    if not 0 <= smoothing <= 1:
        raise UsageError(f"--label-smoothing {smoothing:g} is out of range", "it is a share, from 0 to 1")
    if target is not None and labels is not None:
        raise UsageError("--target and --labels exclude each other", "give the right class, or a label for each class")
    quantities = _quantities(command, quantity, target is None and labels is None, cotangent is not None)
    loss = "bce" if "bce" in names(quantity) else "cross-entropy"
    options = {
        "--label-smoothing": bool(smoothing),
        "--class-weights": rest.get("weights") is not None,
        "--z-loss": rest.get("z_loss") is not None,
        "--reduction": reduction != "none",
    }
    _check_loss(command, names(quantity), [o for o, given in options.items() if given], target, labels)
    if rest.get("ignore_index") is not None and target is None:
        raise UsageError("--ignore-index needs --target", "it is a target that marks a row to be left out")
    _check_numbers(rest)
    if step is not None and not step > 0:
        raise UsageError(f"--step {step:g} is not a step", "give a positive number")
    return Settings(
        command=command,
        methods=_methods(command, method, quantities),
        quantities=quantities,
        numerics=Numerics(
            dtypes=tuple(chosen),
            accumulate=accumulate,
            order=order,
            temperature=rest.pop("temperature", None),
            softcap=rest.pop("softcap", None),
            digits=digits,
            step=step,
        ),
        loss=LossSpec(
            kind=loss,
            target=tuple(target) if target is not None else None,
            labels=tuple(labels) if labels is not None else None,
            smoothing=smoothing,
            weights=rest.pop("weights", None),
            z_loss=rest.pop("z_loss", None),
            ignore_index=rest.pop("ignore_index", None),
            reduction=reduction,
            cotangent=cotangent,
        ),
        tolerance=Tolerance(max_ulp=rest.pop("max_ulp", None), max_rel=rest.pop("max_rel", None)),
        **rest,
    )


def _check_numbers(given: dict[str, Any]) -> None:
    """Whether the options that are one number are, and in their range."""
    for name, positive in (("temperature", False), ("softcap", True), ("z_loss", False)):
        raw, option = given.get(name), f"--{name.replace('_', '-')}"
        if raw is not None and raw.values.size != 1:
            raise UsageError(f"{option}: {raw.values.size} numbers, where one was expected", "give one number")
        if raw is not None and positive and not raw.values[0] > 0:
            raise UsageError(f"{option} {raw.values[0]:g} is out of range", "give a positive number")
        if raw is not None and name == "temperature" and not raw.values[0] >= 0:
            raise UsageError(f"{option} {raw.values[0]:g} is out of range", "give a number from 0 up")
    for name in ("max_ulp", "max_rel"):
        limit = given.get(name)
        if limit is not None and not limit >= 0:
            raise UsageError(f"--{name.replace('_', '-')} {limit:g} is out of range", "give a number from 0 up")


def _check_loss(
    command: str, asked: Sequence[str], options: Sequence[str], target: Sequence[int] | None, labels: object
) -> None:
    """Whether the loss that is asked for has what it needs, and takes the options that were given."""
    if command == "grad" and any(q not in {"cross-entropy", "bce"} for q in asked):
        raise UsageError(
            "grad differentiates a loss", "ask for --quantity cross-entropy or bce, or none for the Jacobian"
        )
    if "bce" in asked:
        if labels is None:
            raise UsageError("bce needs labels", "give one label for each logit: --labels 0,1,1")
        if "cross-entropy" in asked:
            raise UsageError("bce and cross-entropy are losses of different problems", "ask for one of them at a time")
        for option in options:
            if option != "--reduction":
                raise UsageError(f"bce takes no {option}", "leave it out; smooth the labels themselves")
    if options and target is None and labels is None:
        raise UsageError(f"{options[0]} needs --target or --labels", "without them there is no loss of a row")


def _choice(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        import difflib

        near = difflib.get_close_matches(value, allowed, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"{option} {value!a} is unknown", f"{meant}choose one of {', '.join(allowed)}")


def _quantities(command: str, given: Iterable[str] | str | None, no_target: bool, vjp: bool) -> tuple[str, ...]:  # noqa: FBT001
    asked = names(given)
    for q in asked:
        _choice("--quantity", q, [*QUANTITIES, "all"])
    if command == "grad":
        if vjp:
            return ("vjp",)
        return ("jacobian",) if no_target else ("gradient",)
    if "all" in asked:
        return QUANTITIES[:4]
    return tuple(asked) or DEFAULT_QUANTITIES[command]


def _methods(command: str, given: Iterable[str] | str | None, quantities: Sequence[str]) -> tuple[str, ...]:
    asked = names(given)
    if command == "eval" and (not asked or asked == ["exact"]):
        return ()
    chosen = methods.expand(asked, quantities) or DEFAULT_METHODS
    if command == "eval" and len(chosen) > 1:
        raise UsageError("eval takes one method", "use compare to see several beside each other")
    if not any(methods.get(n).defines(q) for n in chosen for q in quantities):
        raise UsageError(
            f"no {', '.join(quantities)} in {', '.join(chosen)}", "`smcli methods` shows what each method computes"
        )
    return chosen


def check_fail_on(value: str) -> str:
    """What --fail-on may be: never, a severity, or codes; codes in upper case.

    Raises:
        UsageError: it is none of these.
    """
    words = [word.strip() for word in value.split(",")]
    levels = ("never", "note", "warning", "error")
    found = []
    for word in words:
        if word.lower() in levels:
            found.append(word.lower())
            continue
        if not word.upper().startswith("SM"):
            known = [*levels, *(r.name for r in findings.everything().values())]
            _choice("--fail-on", word, known)
        found.append(findings.get(word).code)
    return ",".join(found)
