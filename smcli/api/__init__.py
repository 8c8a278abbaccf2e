"""The Python API: the same pipeline as the command line, on lists and arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from smcli.api.objects import Objects
from smcli.errors import InputError, UsageError
from smcli.report.shown import Shown
from smcli.request import Request

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from smcli.checking.summary import Summary
    from smcli.model import Truth
    from smcli.report.report import Comparison, Report

    Names = Iterable[str] | str | None


def _render(thing: object, name: str) -> str:
    from smcli import render

    return render.text(thing, name, render.Style(color=False))


Shown.render = staticmethod(_render)
P = ParamSpec("P")
T = TypeVar("T")


def compare(
    logits: object,
    *,
    dtype: Names = None,
    methods: Names = None,
    quantities: Names = None,
    target: object = None,
    labels: object = None,
    label_smoothing: float = 0.0,
    class_weights: object = None,
    z_loss: object = None,
    ignore_index: int | None = None,
    reduction: str = "none",
    against: object = None,
    reverse: bool = False,
    gamma: float | None = None,
    coefficients: object = None,
    temperature: object = None,
    softcap: object = None,
    digits: int | None = None,
    compute: str | None = None,
    accumulate: str | None = None,
    sum: str = "pairwise",  # noqa: A002 - the option's name
    trace: bool = False,
    confirm: bool = False,
    max_ulp: float | None = None,
    max_rel: float | None = None,
) -> Report | Comparison:
    """Run several methods beside the truth.

    Args:
        logits: a list, nested lists, an array or a tensor; the last axis is the classes.
        dtype: the number format, or several, or "all"; by default that of an array or a tensor, float64 of lists.
        methods: names as in `smcli methods`; naive, shifted and fused by default.
        quantities: names as in `smcli compare --help`; softmax and cross-entropy by default.
        target: the right class, counted from 0, or one for each row.
        labels: soft labels, one for each class, of all rows or of each.
        label_smoothing: E; labels become y(1 − E) + E/K.
        class_weights: a factor for each class.
        z_loss: Z; Z·logsumexp² is added to the loss.
        ignore_index: rows with this target contribute nothing.
        reduction: none, mean or sum of the losses over the rows, or perplexity, exp of the mean.
        against: kl: the logits of the teacher, of all rows or of each.
        reverse: kl: from the logits to the teacher, not from the teacher to them.
        gamma: focal: the exponent of 1 − p; 2 by default.
        coefficients: logsumexp: a factor of either sign for each class.
        temperature: the logits are divided by it.
        softcap: CAP; CAP·tanh(x/CAP) is applied to the logits.
        digits: significant digits of the truth, 1 to 10000.
        compute: a wider number format to compute in; the result is rounded once to dtype, as kernels do.
        accumulate: the number format of the running sum; by default that of the arithmetic.
        sum: how sums are added up: pairwise, sequential or compensated.
        trace: whether every step of every method is reported.
        confirm: whether every digit of the truth is computed once more by other arithmetic, mpmath and, where it is
            installed, python-flint.
        max_ulp: what counts as accurate, in ulp.
        max_rel: what counts as accurate, as a relative error.

    Returns:
        A `Report`, or a `Comparison` of several formats.

    Raises:
        SmcliError: the input or an option is wrong.
        PrecisionError: the other arithmetic differs; the message has both values.
    """
    return _analyse("compare", logits, locals())


def evaluate(
    logits: object,
    *,
    dtype: Names = None,
    method: str | None = None,
    quantities: Names = None,
    target: object = None,
    labels: object = None,
    label_smoothing: float = 0.0,
    class_weights: object = None,
    z_loss: object = None,
    ignore_index: int | None = None,
    reduction: str = "none",
    against: object = None,
    reverse: bool = False,
    gamma: float | None = None,
    coefficients: object = None,
    temperature: object = None,
    softcap: object = None,
    digits: int | None = None,
    compute: str | None = None,
    accumulate: str | None = None,
    sum: str = "pairwise",  # noqa: A002 - the option's name
    trace: bool = False,
    confirm: bool = False,
    max_ulp: float | None = None,
    max_rel: float | None = None,
) -> Report | Comparison:
    """The values of one method, or by default the truth alone; arguments, errors and result as in `compare`."""
    return _analyse("eval", logits, {**locals(), "methods": method})


def gradient(
    logits: object,
    *,
    target: object = None,
    dtype: Names = None,
    methods: Names = None,
    quantities: Names = None,
    labels: object = None,
    label_smoothing: float = 0.0,
    class_weights: object = None,
    z_loss: object = None,
    ignore_index: int | None = None,
    reduction: str = "none",
    against: object = None,
    reverse: bool = False,
    gamma: float | None = None,
    coefficients: object = None,
    cotangent: object = None,
    step: float | None = None,
    temperature: object = None,
    softcap: object = None,
    digits: int | None = None,
    compute: str | None = None,
    accumulate: str | None = None,
    sum: str = "pairwise",  # noqa: A002 - the option's name
    trace: bool = False,
    confirm: bool = False,
    max_ulp: float | None = None,
    max_rel: float | None = None,
) -> Report | Comparison:
    """Derivatives: of the loss where there is a target or labels, else the Jacobian of softmax.

    Arguments, errors and result as in `compare`. `quantities` is the loss, cross-entropy or bce; `cotangent` the vector of
    a vector-Jacobian product of softmax, which has no target; `step` that of the finite differences of the method `fd`.
    """
    return _analyse("grad", logits, locals())


def check(
    logits: object,
    outputs: object,
    *,
    quantity: str = "softmax",
    dtype: str | None = None,
    logits_dtype: str | None = None,
    target: object = None,
    labels: object = None,
    label_smoothing: float = 0.0,
    class_weights: object = None,
    z_loss: object = None,
    ignore_index: int | None = None,
    reduction: str = "none",
    against: object = None,
    reverse: bool = False,
    gamma: float | None = None,
    coefficients: object = None,
    temperature: object = None,
    softcap: object = None,
    digits: int | None = None,
    max_ulp: float | None = None,
    max_rel: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> Report | Summary:
    """Judge values that other code computed.

    Args:
        logits: what they were computed of: a list, nested lists, an array or a tensor; the last axis is the classes.
        outputs: the values, of the shape that the quantity of such logits has.
        quantity: softmax, log-softmax, logsumexp, cross-entropy, bce, gradient or jacobian.
        dtype: the number format; by default that of the outputs, float64 of lists.
        logits_dtype: the number format in which the code took the logits, such as float32 of a kernel that returns
            bfloat16; by default `dtype`.
        target: the right class, counted from 0, or one for each row.
        labels: soft labels, one for each class, of all rows or of each.
        label_smoothing: E; labels become y(1 − E) + E/K.
        class_weights: a factor for each class.
        z_loss: Z; Z·logsumexp² is added to the loss.
        ignore_index: rows with this target contribute nothing.
        reduction: as in `compare`; the outputs of a loss are one number then, those of a gradient are of that number.
        against: as in `compare`.
        reverse: as in `compare`.
        gamma: as in `compare`.
        coefficients: as in `compare`.
        temperature: the logits are divided by it.
        softcap: CAP; CAP·tanh(x/CAP) is applied to the logits.
        digits: significant digits of the truth, 1 to 10000.
        max_ulp: what counts as accurate, in ulp.
        max_rel: what counts as accurate, as a relative error.
        rtol: of the tolerance of a test of yours, which is judged, too; 0 where only `atol` is given.
        atol: likewise.

    Returns:
        A report with one method, "output", and the tolerance that a test of such values should use; of more than 10^5
        values a `Summary` of them.

    Raises:
        InputError: the shapes do not agree (the message has both), or an output is no number of the format.
        SmcliError: the input or an option is wrong otherwise.
    """
    from smcli.checking import check_objects

    return check_objects(logits, outputs, Objects({**locals(), "quantities": quantity}))


def exact(
    logits: object,
    quantity: str = "softmax",
    *,
    digits: int = 17,
    dtype: str | None = None,
    target: object = None,
    labels: object = None,
    label_smoothing: float = 0.0,
    class_weights: object = None,
    z_loss: object = None,
    cotangent: object = None,
    against: object = None,
    reverse: bool = False,
    gamma: float | None = None,
    coefficients: object = None,
    temperature: object = None,
    softcap: object = None,
) -> list[str]:
    """The true values of one row as decimal strings, every digit certified.

    `quantity` is what `compare` takes; or gradient with a target or labels, vjp with a cotangent, jacobian
    (flat). `digits` are significant ones, 1 to 10000. The other arguments are those of `compare` and `gradient`.

    Raises:
        SmcliError: the input or an option is wrong.
    """
    from smcli import quantities as table
    from smcli.problem.build import problems
    from smcli.read import from_object
    from smcli.reference import Reference

    asked = table.get(quantity)
    keywords = {**locals(), "quantities": None if asked.is_derivative else quantity}
    request = Request.of("grad" if asked.is_derivative else "eval", Objects(keywords))
    batch = from_object(logits)
    if len(batch) != 1:
        raise InputError(f"{len(batch)} rows, where exact takes one", "call it for each row")
    settings = request.settle(batch)
    if len(settings.numerics.dtypes) != 1:
        raise UsageError("exact takes one number format", "call it for each")
    (name,) = settings.quantities
    if name != asked.name:
        raise UsageError(
            f"exact was asked for a {asked.name}, and given what makes a {name}",
            f"a {asked.name} takes {asked.needs or 'neither target nor labels nor cotangent'}",
        )
    ((problem, _),) = problems(batch, settings)
    return Reference(problem).strings(name, 0, range(asked.size(problem)), settings.numerics.digits or digits)


def truth(array: object, quantity: str = "softmax", *, dtype: str | None = None, target: object = None) -> Truth:
    """The true values of an array [..., C] over its last axis, at array speed.

    Args:
        array: logits, rounded to `dtype` first, each once; the rounded values are exact.
        quantity: softmax, log-softmax, logsumexp, cross-entropy; gradient with a target.
        dtype: the number format of the logits, which decides how exact the truth has to be; by default that of the array,
            float64 of lists and integers.
        target: the right class of each row: one for all, or one for each.

    Returns:
        A `Truth` with arrays of the array's shape ([..., 1] for logsumexp and for cross-entropy with a target):
        value = (hi + lo)·2**exp2 to a relative `bound`: of softmax 2^-85 for float64 and 2^-47 for narrower formats.

    Raises:
        PrecisionError: a logit is more than 2^62 below the maximum, so that an exponent does not fit: use `exact`.
        SmcliError: the input or an option is wrong.
    """
    from smcli.api import arrays

    return arrays.truth(array, quantity, dtype, target)


def watch(f: Callable[P, T], directory: str | os.PathLike[str] = ".", limit: int = 3) -> Callable[P, T]:
    """Watch a loss of a training loop: the function that is returned is called in its place, with the same result.

    Where the result holds nan or an infinity, the first two arguments of the call are written to smcli-watch-K.npz (keys
    logits and target; bfloat16 exactly as float32), and the first bad row is told on stderr, with what was found and the
    command that shows all. It never raises for a failure of its own, and keeps no tensor alive. A call costs one isfinite
    of the result.

    Args:
        f: such as `torch.nn.functional.cross_entropy`, called with logits and targets first.
        directory: where the files go.
        limit: how many calls are kept at the most.
    """
    from smcli.api import watching

    return watching.watch(f, directory, limit)


def _analyse(command: str, logits: object, keywords: Mapping[str, Any]) -> Report | Comparison:
    from smcli.analyse import analyse
    from smcli.read import from_object

    request = Request.of(command, Objects(keywords))
    batch = from_object(logits)
    return analyse(batch, request.settle(batch))
