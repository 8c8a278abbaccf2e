"""Judging values that other code computed: they are fitted to their logits, judged, and a tolerance is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smcli.batch import Batch
    from smcli.checking.summary import Summary
    from smcli.judge.tolerances import Allclose
    from smcli.problem.given import Given
    from smcli.problem.specs import Settings
    from smcli.report.report import Report
    from smcli.request import Request


def check_objects(logits: object, outputs: object, given: Given, *, whole: bool | None = None) -> Report | Summary:
    """What `smcli.check` returns.

    Raises:
        SmcliError: the input or an option is wrong.
    """
    from smcli.read import from_object
    from smcli.request import Request

    request, yours = Request.of("check", given), tolerance_of(given)
    batch, values = from_object(logits), from_object(outputs)
    return run(batch, values, settle(request, batch, values), yours, whole=whole)


def run(
    logits: Batch, outputs: Batch, settings: Settings, yours: Allclose | None = None, *, whole: bool | None = None,
    forks: bool = False,
) -> Report | Summary:  # fmt: skip
    """Judge every value; arguments and errors as in `pipeline.check`."""
    from smcli.checking.pipeline import check

    return check(logits, outputs, settings, yours, whole=whole, forks=forks)


def per_class(request: Request, logits: Batch) -> bool:
    """Whether a row of the outputs has one value for each class."""
    from smcli import quantities

    quantity = quantities.get(request.quantities[0] if request.quantities else "softmax")
    with_loss = request.loss.given or logits.target is not None or logits.labels is not None
    return quantity.shape == "class" or (quantity.shape == "loss" and not with_loss)


def settle(request: Request, logits: Batch, outputs: Batch, numbers: tuple[int, ...] | None = None) -> Settings:
    """The settings of a check: the number format is that of the outputs, the target that of the logits.

    Raises:
        UsageError: what was asked needs something that is not there, or there are several formats.
    """
    from dataclasses import replace

    from smcli import quantities
    from smcli.errors import OptionError

    settings = request.settle(replace(logits, dtype=outputs.dtype, origin=outputs.origin), numbers)
    if len(settings.numerics.dtypes) > 1:
        raise OptionError("dtype", "names several formats", "outputs are numbers of one; leave it out to take theirs")
    quantity = quantities.get(settings.quantities[0])
    if quantity.needs and not settings.loss.given:
        raise OptionError(
            "target", f"is needed by {quantity.name}", "or <labels>: a loss is what it is the gradient of"
        )
    given = settings.numerics.logits_dtype
    if given is None:
        return settings
    return replace(settings, origin=", ".join(filter(None, [settings.origin, f"logits in {given}"])))


def rounded_from(report: Report | Summary, logits: Batch) -> str | None:
    """The format that logits were given in, where rounding them to that of the outputs changed some; else None."""
    changed = {c.code for c in report.digest()} & {"SM901", "SM902"}
    return logits.dtype if changed and logits.dtype != report.dtype else None


def tolerance_of(given: Given) -> Allclose | None:
    """The tolerance that is to be judged, or None; one of the two that was not given is 0.

    Raises:
        OptionError: it is negative or nan.
    """
    from smcli.errors import OptionError
    from smcli.judge.tolerances import Allclose

    found = {option: given.real(option) for option in ("rtol", "atol")}
    for option, value in found.items():
        if value is not None and not value >= 0:
            raise OptionError(option, "is out of range", "give a number from 0 up", f"{value:g}")
    if all(value is None for value in found.values()):
        return None
    return Allclose(found["rtol"] or 0.0, found["atol"] or 0.0)


def fails(report: Report | Summary, on: str) -> bool:
    """Whether a check fails: by a finding that `on` names, a limit that was given, or a value that is not good enough.

    A value that is lost counts as an error, one that is inaccurate as a warning, whether or not a finding explains it.
    """
    from smcli.model import Severity, Verdict
    from smcli.report.counts import RANK
    from smcli.report.counts import fails as found

    counts = {label for score in report.scores() for label in score.counts}
    counts |= {Verdict(int(m.verdicts[0])).label for r in report.reduced for m in r.methods}
    named = {word.strip() for word in on.split(",")}
    least = min((RANK[s] for s in Severity if s in named), default=len(RANK))
    bad = (Verdict.LOST.label in counts and least <= RANK[Severity.ERROR]) or (
        Verdict.INACCURATE.label in counts and least <= RANK[Severity.WARNING]
    )
    return bad or found(report.digest(), on) or report.beyond_limits()
