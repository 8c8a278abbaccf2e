"""For the tests of other projects: values of kernels against the truth."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

from smcli import checking
from smcli.api.objects import Objects
from smcli.checking.summary import Summary
from smcli.document.limits import unmeetable
from smcli.document.spelling import error, number
from smcli.document.tolerance import sentences, spelled
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.checking.sums import Values
    from smcli.model import Finding
    from smcli.problem.specs import Tolerance
    from smcli.report.report import Report

    Place = tuple[int | None, int | tuple[int, int] | None]

SHOWN = 3  # values that a message tells
FINDINGS = 2  # findings that it tells
TOLD = (Verdict.UNDEFINED, Verdict.LOST, Verdict.NOT_REPRESENTABLE)  # verdicts that say more than a limit does
WIDTH = 400  # characters of a line at most


def assert_accurate(
    outputs: object,
    logits: object,
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
) -> None:
    """Assert that values computed by other code are as near to the truth as they should be.

    Without a limit of your own every value has to be within the a-priori bound for a kernel of that format: one that
    computes in float32 and rounds once, if the format has 16 bits or fewer; else one that computes in the format.

    Args:
        outputs: the values: an array, lists, or a tensor of PyTorch, JAX or TensorFlow (bfloat16, one that requires a
            gradient, or one on a GPU, too). With a reduction they are one number.
        logits: what they were computed of; the last axis is the classes.
        quantity: as in `smcli.check`, as are all options up to `digits`; by default softmax.
        dtype: the number format; by default that of the outputs, float64 of lists.
        logits_dtype: the number format in which the code took the logits; by default `dtype`, to which they are rounded.
        target: the right class, counted from 0, or one for each row.
        labels: soft labels, one for each class, of all rows or of each.
        label_smoothing: E; labels become y(1 − E) + E/K.
        class_weights: a factor for each class.
        z_loss: Z; Z·logsumexp² is added to the loss.
        ignore_index: rows with this target contribute nothing.
        reduction: none, mean, sum or perplexity of the losses over the rows.
        against: kl: the logits of the teacher, of all rows or of each.
        reverse: kl: from the logits to the teacher, not from the teacher to them.
        gamma: focal: the exponent of 1 − p; 2 by default.
        coefficients: logsumexp: a factor of either sign for each class.
        temperature: the logits are divided by it.
        softcap: CAP; CAP·tanh(x/CAP) is applied to the logits.
        digits: significant digits of the truth that a message shows.
        max_ulp: the largest error allowed, in spacings of the format at the truth.
        max_rel: the largest relative error allowed.

    Raises:
        AssertionError: some value is not; the message has the worst of them, what was found and what to do.
        InputError: the shapes do not agree; the message has both.
        SmcliError: an option is wrong.
    """
    __tracebackhide__ = True  # pytest shows the line of the caller
    report = checking.check_objects(logits, outputs, Objects({**locals(), "quantities": quantity}), whole=False)
    lines = list(_complaint(report))
    if lines:
        raise AssertionError("\n".join(map(_shortened, lines)))


def _complaint(report: Summary | Report) -> Iterator[str]:
    """What is wrong, line by line; nothing where all is well."""
    assert report.tolerance is not None  # noqa: S101 - of a check
    limits, model = report.limits, report.tolerance["models"][0]
    beyond = report.beyond()
    count = beyond.count if limits.given else model["failures"]
    if not count:
        return
    if isinstance(report, Summary):
        some = f"{count} of {report.sums.values} values {'is' if count == 1 else 'are'}"
        yield f"{report.quantity} in {report.dtype}: {some} beyond {_allowed(limits)}"
        yield from _values(report)
        found = _found(report)
    else:
        (reduced,) = report.reduced
        (own,) = reduced.methods
        yield f"the reduced {reduced.quantity} in {report.dtype} is beyond {_allowed(limits)}"
        yield f"  it is {_judged(limits, own.values[0], reduced.exact, own.ulp[0], own.rel[0], own.verdicts[0])}"
        found = list(report.about_all)
    if limits.given:
        yield f"  allowed: {', '.join(f'{name}={value:g}' for name, value in _given(limits).items())}"
        yield from (f"  {said}" for said in unmeetable(limits, beyond, report.dtype, code=False))
    else:
        yield f"  allowed: rtol={spelled(model['rtol'])}, atol={spelled(model['atol'])}; {model['formula']}"
    for told in found[:FINDINGS]:
        yield f"  {told.severity} {told.code} {told.name}: {told.message}"
        yield f"    → {told.remedy}"
    if {"SM901", "SM902"} & {c.code for c in report.digest()}:
        yield f"  the logits were rounded to {report.dtype}: a kernel that took wider ones needs logits_dtype="
    yield from (f"  {said}" for said in sentences(report.tolerance) if said.startswith("the values look"))


def _given(limits: Tolerance) -> dict[str, float]:
    """The limits that were given, by name."""
    limit = {"max_ulp": limits.max_ulp, "max_rel": limits.max_rel}
    return {name: value for name, value in limit.items() if value is not None}


def _allowed(limits: Tolerance) -> str:
    """What values are beyond, in words."""
    return " or ".join(f"{name}={value:g}" for name, value in _given(limits).items()) or "the tolerance"


def _found(report: Summary) -> list[Finding]:
    """What asks for something, the input's own first: arguments in a wrong order make all values wrong."""
    codes = [c for c in report.sums.sorted_codes() if c.severity != Severity.NOTE]
    return [c.first for c in sorted(codes, key=lambda c: bool(c.methods))]


def _values(report: Summary) -> Iterator[str]:
    """The values that are furthest beyond what is allowed: the limits that were given, or else the tolerance of a kernel."""
    some = report.sums.failed if report.limits.given else None
    told = _each(report, report.sums.worst, report.exact) if some is None else _each(report, some, report.beyond_exact)
    if not report.limits.given:
        told = {(f.row, f.at): told.get((f.row, f.at), _beside(f.value, number(f.truth))) for f in report.failed}
    for k, ((row, at), judged) in enumerate(islice(told.items(), SHOWN)):
        yield f"  {'then' if k else 'worst'}: row {row}, {'the value' if at is None else f'index {at}'} is {judged}"


def _each(report: Summary, some: Values, exact: list[str]) -> dict[Place, str]:
    """Values by row and index, a pair in a matrix, each judged."""
    side = math.isqrt(int(report.sums.lines().counts[0].sum())) if report.quantity == "jacobian" else 0
    one = report.sums.values == report.sums.rows
    return {
        (report.number(place), None if one else divmod(at, side) if side else at): _judged(report.limits, *errors)
        for place, at, *errors in zip(
            some.place.tolist(), some.at.tolist(), some.value, exact, some.ulp, some.rel, some.verdict, strict=True
        )
    }


def _judged(limits: Tolerance, value: float, exact: str, ulp: float, rel: float, verdict: int) -> str:
    """A value beside its truth, how far off it is, and which limit that breaks."""
    given, errors = _given(limits), {"max_ulp": float(ulp), "max_rel": float(rel)}
    broken = " and ".join(name for name, limit in given.items() if not errors[name] <= limit)
    said = [f"{error(float(ulp))} ulp", f"relative error {error(float(rel))}"]
    said += [Verdict(int(verdict)).label] if verdict in TOLD else []
    return f"{_beside(value, exact)}: {', '.join(said)}, beyond {broken or 'the tolerance'}"


def _beside(value: float, exact: str) -> str:
    return f"{number(float(value))}, where it should be {exact}"


def _shortened(line: str) -> str:
    """A line that is not too long, cut between two words."""
    return line if len(line) <= WIDTH else f"{line[:WIDTH].rpartition(' ')[0]} …"
