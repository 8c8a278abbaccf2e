"""What there is to say of limits that were given explicitly, and of the tolerance of a check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from smcli.document.tolerance import sentences
from smcli.model import Verdict
from smcli.numbers.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.judge.beyond import Beyond
    from smcli.problem.specs import Tolerance
    from smcli.report.counts import Score


class Judged(Protocol):
    """What has values beside limits."""

    @property
    def dtype(self) -> str:
        """The number format."""

    @property
    def limits(self) -> Tolerance:
        """Limits that were given explicitly."""

    @property
    def tolerance(self) -> dict[str, Any] | None:
        """What a test of the values should allow; None where that is not asked."""

    def scores(self) -> list[Score]:
        """How each method did at each quantity."""

    def beyond(self) -> Beyond:
        """How many values are beyond the limits."""


def judged(report: Judged) -> Iterator[str]:
    """All of it, sentence by sentence."""
    yield from unmeetable(report.limits, report.beyond(), report.dtype)
    if report.tolerance is not None:
        yield from sentences(report.tolerance)
        if report.tolerance["looks_like"] and any(Verdict.INACCURATE.label in s.counts for s in report.scores()):
            yield (
                "such a bound has an atol, as a difference like p − 1 loses digits; the limit of accuracy (SM401) is relative, and "
                "some values are beyond it, which --fail-on error lets pass"
            )


def unmeetable(limits: Tolerance, found: Beyond, dtype: str, *, code: bool = True) -> Iterator[str]:
    """That values are beyond a limit that no code meets in the format, and what to do; nothing where none are.

    Args:
        limits: as they were given.
        found: what is beyond them.
        dtype: the number format.
        code: whether there is an exit code, and options are spelled as on the command line.
    """
    if not found.rounded:
        return
    given = {"max_ulp": limits.max_ulp, "max_rel": limits.max_rel}
    spelled = {name: f"--{name.replace('_', '-')} {{}}" if code else f"{name}={{}}" for name in given}
    named = " and ".join(spelled[name].format(f"{x:g}") for name, x in given.items() if x is not None)
    are = "is" if found.rounded == 1 else "are"
    so = f", and {'makes' if found.rounded == 1 else 'make'} the exit code 1" if code else ""
    alone = f"{spelled['max_ulp'].format(1)} alone allows what rounding costs, " if found.near else ""
    yield (
        f"{found.rounded} of {plural(found.count, 'value')} beyond {named} {are} correctly rounded{so}: {dtype} has no nearer "
        f"number; {alone}a wider format rounds less"
    )
