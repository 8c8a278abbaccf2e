"""What there is to say of the tolerance of a check, sentence by sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from smcli.document.spelling import number, shorten
from smcli.numbers.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMED = 3  # values that a sentence names
DIGITS = 6  # of them and their truths


def sentences(tolerance: dict[str, Any]) -> Iterator[str]:
    """Which arithmetic the values look like, what a test of them should allow, and what the user's own allows."""
    tightest = tolerance["models"][0]
    if tolerance["few"]:
        named = [_place(f) for f in tolerance["few"][:NAMED]]
        count = tightest["failures"]
        like = f"look like those of a kernel with {_kernel(tightest['arithmetic'])}"
        yield (
            f"the values {like if tightest['arithmetic'] else 'are accurate'}, all but {count} of {tolerance['values']}: "
            f"{_listed(named, count)} {'is' if count == 1 else 'are'} beyond its bound"
        )
    elif tolerance["looks_like"]:
        yield f"the values look like those of a kernel with {_kernel(tolerance['looks_like'])}: all are within its bound"
    elif not tolerance["passes"]:
        yield "the values are beyond the bounds of careful kernels in this format"
    rtol, atol = spelled(tolerance["rtol"]), spelled(tolerance["atol"])
    yield f"tolerance for a test: rtol={rtol}, atol={atol}; {tolerance['formula']}"
    if tolerance["looks_like"] and not tightest["passes"]:
        beyond = f"{plural(tightest['failures'], 'value')} {'is' if tightest['failures'] == 1 else 'are'}"
        yield (
            f"the tolerance of one {tightest['arithmetic']} is tighter, rtol={spelled(tightest['rtol'])}, "
            f"atol={spelled(tightest['atol'])}: {beyond} beyond it"
        )
    if tolerance["zeros_pass"]:
        yield "all zeros would pass that, too: the true values are no larger than what a careful kernel may be off; test larger ones"
    if tolerance["yours"] is not None:
        yield from _own(tolerance)


def _own(tolerance: dict[str, Any]) -> Iterator[str]:
    """What the user's own allows, beside what a test should.

    One that is as wide as a kernel needs is not said to be narrow: a kernel that computes in a wider format and rounds
    once is nearer to the truth than a spacing.
    """
    yours, tightest = tolerance["yours"], tolerance["models"][0]
    own = f"your rtol={yours['rtol']:g}, atol={yours['atol']:g}"
    if yours["passes"]:
        yield f"{own}: the values pass"
    else:
        yield f"{own}: {_failed(yours, tolerance['values'])}"
        gate = f"--max-rel {yours['rtol']:g}" if yours["rtol"] and not yours["atol"] else "--max-rel X or --max-ulp X"
        yield f"{own} leaves the exit code as it is; {gate} makes it 1 where a value is further off"
    if yours["zeros_pass"] and not tolerance["zeros_pass"]:
        yield f"{own}: all zeros would pass, too, so that such a test tells nothing"
    wide = yours["rtol"] >= tightest["rtol"] and yours["atol"] >= tightest["atol"]
    if yours["below_ulp"] and not wide:
        yield f"{own} asks for less than one spacing of the format: a value next to the correctly rounded one may be refused"


def _failed(yours: dict[str, Any], values: int) -> str:
    """How many values do not pass, and which: the furthest beyond it first."""
    count, named = yours["failures"], [_place(f) for f in yours["failed"][:NAMED]]
    return f"{count} of {plural(values, 'value')} {'does' if count == 1 else 'do'} not pass: {_listed(named, count)}"


def _listed(named: list[str], count: int) -> str:
    """The first of some values, and how many more there are."""
    more = f" and {count - len(named)} more" if count > len(named) else ""
    return f"{', '.join(named)}{more}"


def _place(failed: dict[str, Any]) -> str:
    """A value that does not pass, where it is, and what it should be."""
    got, true = (shorten(x if isinstance(x, str) else number(x), DIGITS) for x in (failed["value"], failed["truth"]))
    index = "" if failed["at"] is None else f" at index {failed['at']}"
    where = "" if failed["row"] is None else f" in row {failed['row']}{index}"
    return f"{got}{where} (truth {true})"


def _kernel(arithmetic: str) -> str:
    return arithmetic if arithmetic.startswith("every") else f"everything {arithmetic}"


def spelled(x: float) -> str:
    """A tolerance in three digits, rounded up."""
    if not 0 < x < math.inf:
        return f"{x:g}"
    text = f"{x:.2e}"
    if float(text) < x:
        mantissa, _, exponent = text.partition("e")
        text = f"{round(float(mantissa) + 0.01, 2)}e{exponent}"
    return f"{float(text):.4g}"
