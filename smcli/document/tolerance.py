"""What there is to say of the tolerance of a check, sentence by sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from smcli.numbers.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator


def sentences(tolerance: dict[str, Any]) -> Iterator[str]:
    """Which arithmetic the values look like, what a test of them should allow, and what the user's own allows."""
    if tolerance["looks_like"]:
        yield f"the values look like those of a kernel with {_kernel(tolerance['looks_like'])}: all are within its bound"
    elif not tolerance["passes"]:
        yield "the values are beyond the bounds of careful kernels in this format"
    rtol, atol = spelled(tolerance["rtol"]), spelled(tolerance["atol"])
    yield f"tolerance for a test: rtol={rtol}, atol={atol}; {tolerance['formula']}"
    tightest = tolerance["models"][0]
    if tolerance["looks_like"] and not tightest["passes"]:
        beyond = f"{plural(tightest['failures'], 'value')} {'is' if tightest['failures'] == 1 else 'are'}"
        yield (
            f"the tolerance of one {tightest['arithmetic']} is tighter, rtol={spelled(tightest['rtol'])}, "
            f"atol={spelled(tightest['atol'])}: {beyond} beyond it"
        )
    yours = tolerance["yours"]
    if yours is None:
        return
    own = f"your rtol={yours['rtol']:g}, atol={yours['atol']:g}"
    yield f"{own}: the values {'pass' if yours['passes'] else 'do not pass'}"
    if yours["zeros_pass"]:
        yield f"{own}: all zeros would pass, too, so that such a test tells nothing"
    if yours["below_ulp"]:
        yield f"{own} asks for less than one spacing of the format: a value next to the correctly rounded one may be refused"


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
