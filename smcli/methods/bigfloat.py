"""Softmax in arbitrary-precision floats, as people do it with mpmath or bigfloat: the exponent has no bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smcli.methods.base import method

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from smcli.model import FloatArray
    from smcli.numbers.arithmetic import Arithmetic, Rows


@method("bigfloat", source="mpmath; bigfloat over MPFR, at the format's own precision", backward="none")
class BigFloat:
    """The definition with an unbounded exponent and the format's p bits: no overflow, yet every step still rounds."""

    def softmax(self, x: Rows, o: Arithmetic) -> Rows:
        from mpmath.libmp import mpf_div

        def row(terms: list[Any], total: Any, p: int) -> list[Any]:
            return [mpf_div(e, total, p, "n") for e in terms]

        return self._each(x, o, row, "e^x/Σ e^x with an unbounded exponent")

    def log_softmax(self, x: Rows, o: Arithmetic) -> Rows:
        from mpmath.libmp import mpf_div, mpf_log

        def row(terms: list[Any], total: Any, p: int) -> list[Any]:
            return [mpf_log(mpf_div(e, total, p, "n"), p, "n") for e in terms]

        return self._each(x, o, row, "log(e^x/Σ e^x) with an unbounded exponent")

    def logsumexp(self, x: Rows, o: Arithmetic) -> Rows:
        from mpmath.libmp import mpf_log

        def row(_terms: list[Any], total: Any, p: int) -> list[Any]:
            return [mpf_log(total, p, "n")]

        return self._each(x, o, row, "log Σ e^x with an unbounded exponent")

    def _each(self, x: Rows, o: Arithmetic, row: Callable[[list[Any], Any, int], list[Any]], expr: str) -> Rows:
        from mpmath.libmp import from_float, fzero, mpf_add, mpf_exp, to_float

        p = o.format.p
        out: list[FloatArray] = []
        for logits in x.values:
            if not np.isfinite(logits[logits != -np.inf]).all() or (logits == -np.inf).all():
                out.append(np.full(len(row([], from_float(1.0), p)) or logits.size, np.nan))
                continue
            terms = [fzero if v == -np.inf else mpf_exp(from_float(v), p, "n") for v in logits.tolist()]
            total = fzero
            for e in terms:
                total = mpf_add(total, e, p, "n")
            out.append(np.array([to_float(v) for v in row(terms, total, p)]))
        return o.given(np.stack(out), expr)
