"""For the tests of other projects: values of kernels against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli import checking
from smcli.api.objects import Objects
from smcli.document.spelling import error, number
from smcli.document.tolerance import sentences, spelled
from smcli.judge.tolerances import Allclose
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.model import BoolArray, Finding
    from smcli.report.report import Report

SHOWN = 3  # values that a message tells
FINDINGS = 2  # findings that it tells
WIDTH = 400  # characters of a line at most


def assert_accurate(
    outputs: object,
    logits: object,
    *,
    quantity: str = "softmax",
    dtype: str | None = None,
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
        target: the right class, counted from 0, or one for each row; soft labels are an array like the logits.
        max_ulp: the largest error allowed, in spacings of the format at the truth.
        max_rel: the largest relative error allowed.

    Raises:
        AssertionError: some value is not; the message has the worst of them, what was found and what to do.
        InputError: the shapes do not agree; the message has both.
    """
    __tracebackhide__ = True  # pytest shows the line of the caller
    keywords = {"quantities": quantity, "dtype": dtype, "target": target, "max_ulp": max_ulp, "max_rel": max_rel}
    report = checking.check_objects(logits, outputs, Objects(keywords))
    message = "\n".join(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in _complaint(report))
    if message:
        raise AssertionError(message)


def _complaint(report: Report) -> Iterator[str]:
    """What is wrong, line by line; nothing where all is well."""
    wrong = [_wrong(report, k) for k in range(len(report.blocks))]
    count = sum(int(w.sum()) for w in wrong)
    if not count:
        return
    total = sum(w.size for w in wrong)
    (quantity,) = report.blocks[0].results
    yield f"{quantity.quantity} in {report.dtype}: {count} of {total} values are not accurate"
    yield from _values(report, wrong)
    limits = report.limits
    if limits.given:
        own = {"max_ulp": limits.max_ulp, "max_rel": limits.max_rel}
        yield f"  allowed: {', '.join(f'{name}={value:g}' for name, value in own.items() if value is not None)}"
    else:
        rtol, atol, formula = _bound(report)
        yield f"  allowed: rtol={spelled(rtol)}, atol={spelled(atol)}; {formula}"
    for code in [c.code for c in report.digest() if c.severity != Severity.NOTE][:FINDINGS]:
        yield from _finding(next(f for f in _first(report, code) if f.code == code))
    assert report.tolerance is not None  # noqa: S101 - a check has one
    yield from (f"  {said}" for said in sentences(report.tolerance) if said.startswith("the values look"))


def _bound(report: Report) -> tuple[float, float, str]:
    """The tolerance for a kernel of the format: the tightest."""
    assert report.tolerance is not None  # noqa: S101 - a check has one
    best = report.tolerance["models"][0]
    return best["rtol"], best["atol"], best["formula"]


def _wrong(report: Report, k: int) -> BoolArray:
    """The values of a block that are beyond what is allowed."""
    (judged,) = report.blocks[k].results
    (own,) = judged.methods
    limits = report.limits
    if not limits.given:
        rtol, atol, _ = _bound(report)
        return ~Allclose(rtol, atol).passes(own.values, judged.truth.nearest())
    bad = np.zeros(own.values.shape, dtype=bool)
    for limit, errors in ((limits.max_ulp, own.ulp), (limits.max_rel, own.rel)):
        if limit is not None:
            bad |= ~(errors <= limit)
    return bad


def _values(report: Report, wrong: list[BoolArray]) -> Iterator[str]:
    """The worst of the wrong values."""
    found: list[tuple[float, int, int, int]] = []
    for k, block in enumerate(report.blocks):
        (judged,) = block.results
        ulp = np.where(wrong[k], np.nan_to_num(judged.methods[0].ulp, nan=np.inf), -1.0)
        some = np.argsort(-ulp, axis=None, kind="stable")[:SHOWN]
        columns = ulp.shape[1]
        found += [(-float(ulp.flat[i]), k, i // columns, i % columns) for i in some.tolist() if ulp.flat[i] >= 0]
    for n, (_, k, r, i) in enumerate(sorted(found)[:SHOWN]):
        row = report.row(report.blocks[k], r)
        (q,) = row.results
        (m,) = q.methods
        at = f"index {divmod(i, q.square)}" if q.square else f"index {i}" if q.size > 1 else "the value"
        off = f"{error(float(m.ulp[i]))} ulp, relative error {error(float(m.rel[i]))}"
        yield (f"  {'worst' if not n else 'then'}: row {row.row}, {at} is {number(float(m.values[i]))}, where it should be "
               f"{q.exact([i])[0]}: {off}, {Verdict(int(m.verdicts[i])).label}")  # fmt: skip


def _first(report: Report, code: str) -> Iterator[Finding]:
    """The findings of the first row that has that code."""
    for block in report.blocks:
        for f in block.findings:
            if f.code == code:
                yield from report.row(block, int(f.rows[0])).findings
                return


def _finding(f: Finding) -> Iterator[str]:
    yield f"  {f.severity} {f.code} {f.name}: {f.message}"
    yield f"    → {f.remedy}"
