"""The Python API: the same pipeline as the command line, on lists and arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smcli.errors import InputError, UsageError
from smcli.problem.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smcli.model import Batch, RawRow, Settings, Truth
    from smcli.report.report import Comparison, Report


def compare(
    logits: object,
    *,
    dtype: Iterable[str] | str | None = None,
    methods: Iterable[str] | str | None = None,
    quantities: Iterable[str] | str | None = None,
    target: int | Sequence[int] | None = None,
    **options: Any,
) -> Report | Comparison:
    """Run several methods beside the truth.

    Args:
        logits: a list, nested lists, an array or a tensor; the last axis is the classes.
        dtype: the number format, or several.
        methods: names as in `smcli methods`; naive, shifted and fused by default.
        quantities: softmax, log-softmax, logsumexp, cross-entropy, bce.
        target: the right class, or one for each row.
        options: labels, label_smoothing, class_weights, z_loss, ignore_index, reduction, temperature, softcap, digits,
            accumulate, sum, trace, max_ulp, max_rel: as the options of the command line.

    Returns:
        A `Report`, or a `Comparison` of several formats.

    Raises:
        SmcliError: the input or an option is wrong.
    """
    return _analyse("compare", logits, dtype, methods, quantities, target, options)


def evaluate(
    logits: object,
    *,
    dtype: str | None = None,
    method: str | None = None,
    quantities: Iterable[str] | str | None = None,
    target: int | Sequence[int] | None = None,
    **options: Any,
) -> Report:
    """The values of one method, or the truth alone; arguments, errors and result as in `compare`."""
    return _analyse("eval", logits, dtype, method, quantities, target, options)  # type: ignore[return-value]


def gradient(
    logits: object,
    *,
    target: int | Sequence[int] | None = None,
    dtype: Iterable[str] | str | None = None,
    methods: Iterable[str] | str | None = None,
    **options: Any,
) -> Report | Comparison:
    """Derivatives: of the loss where there is a target or labels, else the Jacobian of softmax.

    Arguments, errors and result as in `compare`; also `cotangent` for a vector-Jacobian product, and `step` of `fd`.
    """
    return _analyse("grad", logits, dtype, methods, options.pop("quantities", None), target, options)


def exact(logits: object, quantity: str = "softmax", *, digits: int = 17, **options: Any) -> list[str]:
    """The true values of one row as decimal strings, every digit certified.

    Args:
        logits: one row.
        quantity: softmax, log-softmax, logsumexp, cross-entropy, bce; or gradient with a target, jacobian (flat).
        digits: significant digits, 1 to 10000.
        options: as in `compare`.

    Raises:
        SmcliError: the input or an option is wrong.
    """
    from smcli.numbers import formats
    from smcli.problem.build import problems
    from smcli.reference import DERIVATIVES, Reference, size

    command = "grad" if quantity in DERIVATIVES else "eval"
    asked = _settings(command, options.pop("dtype", None), None, None if command == "grad" else quantity,
                      options.pop("target", None), {**options, "digits": digits})  # fmt: skip
    rows = _rows(logits)
    if len(rows) != 1:
        raise InputError(f"{len(rows)} rows, where exact takes one", "call it for each row")
    fmt = formats.get(asked.numerics.dtypes[0])
    ((problem, _),) = problems(rows, asked, fmt)
    (name,) = asked.quantities
    if name != quantity and command == "grad":
        needs = {"gradient": "a target or labels", "vjp": "a cotangent"}.get(quantity, "neither target nor cotangent")
        raise UsageError(
            f"exact was asked for a {quantity}, and given what makes a {name}", f"a {quantity} takes {needs}"
        )
    return Reference(problem).strings(name, 0, range(size(problem, name)), digits)


def truth(array: object, quantity: str = "softmax", *, dtype: str = "float64", **options: Any) -> Truth:
    """The true values of arrays at array speed, as (hi + lo)·2**exp2 with a certified bound; see `reference.truth`."""
    from smcli.reference import truth as of

    return of(array, quantity, dtype=dtype, **options)


def _rows(value: object) -> Batch:
    from smcli.read import from_object

    return from_object(value)


def _row(value: object) -> RawRow | None:
    return None if value is None else _rows(value)[0]


def _integer(target: Any) -> int:
    """A target as an int.

    Raises:
        UsageError: it is none.
    """
    try:
        if int(target) == target:
            return int(target)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UsageError(f"target {target!a} is not an integer", "give the number of the right class, counted from 0")


def _settings(
    command: str, dtype: Any, method: Any, quantity: Any, target: Any, options: dict[str, Any],
) -> Settings:  # fmt: skip
    if target is not None and not hasattr(target, "__len__"):
        target = [target]
    return settings(
        command,
        dtype=dtype,
        method=method,
        quantity=quantity,
        target=None if target is None else [_integer(t) for t in target],
        labels=None if (labels := options.pop("labels", None)) is None else _rows(labels),
        smoothing=float(options.pop("label_smoothing", 0.0)),
        weights=_row(options.pop("class_weights", None)),
        z_loss=_row(options.pop("z_loss", None)),
        temperature=_row(options.pop("temperature", None)),
        softcap=_row(options.pop("softcap", None)),
        cotangent=_row(options.pop("cotangent", None)),
        order=options.pop("sum", "pairwise"),
        **options,
    )


def _analyse(
    command: str, logits: object, dtype: Any, method: Any, quantity: Any, target: Any, options: dict[str, Any],
) -> Report | Comparison:  # fmt: skip
    from smcli.analyse import analyse

    return analyse(_rows(logits), _settings(command, dtype, method, quantity, target, options))
