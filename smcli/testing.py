"""For the tests of other projects: values of kernels against the truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from smcli import checking
from smcli.api.objects import Objects
from smcli.checking.summary import Summary
from smcli.document.spelling import error, number
from smcli.document.tolerance import sentences, spelled
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator


SHOWN = 3  # values that a message tells
FINDINGS = 2  # findings that it tells
WIDTH = 400  # characters of a line at most


def assert_accurate(
    outputs: object,
    logits: object,
    *,
    quantity: str = "softmax",
    dtype: str | None = None,
    logits_dtype: str | None = None,
    target: object = None,
    max_ulp: float | None = None,
    max_rel: float | None = None,
) -> None:
    """Assert that values computed by other code are as near to the truth as they should be.

    Without a limit of your own every value has to be within the a-priori bound for a kernel of that format: one that
    computes in float32 and rounds once, if the format has 16 bits or fewer; else one that computes in the format.

    Args:
        outputs: the values: an array, lists, or a tensor of PyTorch, JAX or TensorFlow (bfloat16, one that requires a
            gradient, or one on a GPU, too).
        logits: what they were computed of; the last axis is the classes.
        quantity: softmax, log-softmax, logsumexp, cross-entropy, bce, gradient or jacobian.
        dtype: the number format; by default that of the outputs, float64 of lists.
        logits_dtype: the number format in which the code took the logits; by default `dtype`, to which they are rounded.
        target: the right class, counted from 0, or one for each row; soft labels are an array like the logits.
        max_ulp: the largest error allowed, in spacings of the format at the truth.
        max_rel: the largest relative error allowed.

    Raises:
        AssertionError: some value is not; the message has the worst of them, what was found and what to do.
        InputError: the shapes do not agree; the message has both.
    """
    __tracebackhide__ = True  # pytest shows the line of the caller
    keywords = {
        "quantities": quantity,
        "dtype": dtype,
        "logits_dtype": logits_dtype,
        "target": target,
        "max_ulp": max_ulp,
        "max_rel": max_rel,
    }
    report = checking.check_objects(logits, outputs, Objects(keywords), whole=False)
    assert isinstance(report, Summary)  # noqa: S101 - asked for
    lines = list(_complaint(report))
    if lines:
        raise AssertionError("\n".join(map(_shortened, lines)))


def _complaint(report: Summary) -> Iterator[str]:
    """What is wrong, line by line; nothing where all is well."""
    limits, model = report.limits, report.tolerance["models"][0]
    count = int(report.sums.counts[[Verdict.LOST, Verdict.INACCURATE]].sum()) if limits.given else model["failures"]
    if not count:
        return
    yield f"{report.quantity} in {report.dtype}: {count} of {report.sums.values} values are not accurate"
    yield from _values(report)
    if limits.given:
        own = {"max_ulp": limits.max_ulp, "max_rel": limits.max_rel}
        yield f"  allowed: {', '.join(f'{name}={value:g}' for name, value in own.items() if value is not None)}"
    else:
        yield f"  allowed: rtol={spelled(model['rtol'])}, atol={spelled(model['atol'])}; {model['formula']}"
    for told in [c.first for c in report.sums.sorted_codes() if c.severity != Severity.NOTE][:FINDINGS]:
        yield f"  {told.severity} {told.code} {told.name}: {told.message}"
        yield f"    → {told.remedy}"
    if any(c.code in {"SM901", "SM902"} for c in report.sums.sorted_codes()):
        yield f"  the logits were rounded to {report.dtype}: a kernel that took wider ones needs logits_dtype="
    yield from (f"  {said}" for said in sentences(report.tolerance) if said.startswith("the values look"))


def _values(report: Summary) -> Iterator[str]:
    """The worst of the values."""
    side = math.isqrt(int(report.sums.lines().counts[0].sum())) if report.quantity == "jacobian" else 0
    single = report.sums.values == report.sums.rows
    worst = report.sums.worst
    for k in range(min(SHOWN, worst.at.size)):
        i, row = int(worst.at[k]), report.number(int(worst.place[k]))
        at = "the value" if single else f"index {divmod(i, side)}" if side else f"index {i}"
        off = f"{error(float(worst.ulp[k]))} ulp, relative error {error(float(worst.rel[k]))}"
        yield (f"  {'worst' if not k else 'then'}: row {row}, {at} is {number(float(worst.value[k]))}, where it should be "
               f"{report.exact[k]}: {off}, {Verdict(int(worst.verdict[k])).label}")  # fmt: skip


def _shortened(line: str) -> str:
    """A line that is not too long, cut between two words."""
    return line if len(line) <= WIDTH else f"{line[:WIDTH].rpartition(' ')[0]} …"
