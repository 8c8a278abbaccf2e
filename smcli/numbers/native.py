"""float32 arithmetic on float32 arrays: the results of `Arithmetic`, without its trace and in a third of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic, Rows, pairwise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smcli.model import FloatArray

TILE = 1 << 15  # numbers that are converted at once, so that they stay in the cache


class UntracedError(Exception):
    """A method uses an operation that only the traced arithmetic has."""


class Native(Arithmetic):
    """Arithmetic in float32 whose arrays are float32: + − × ÷ are the processor's own, the rest passes through float64.

    Sums are pairwise. Raises UntracedError for operations that it does not have.
    """

    def __init__(self) -> None:
        single = formats.get("float32")
        super().__init__(single, single)
        self._wide = np.empty(TILE)
        self._known: tuple[FloatArray, FloatArray] | None = None

    def know(self, x: Rows, exponentials: FloatArray) -> None:
        """Take float64 [R, C] for e to the power x, whenever that is asked for."""
        self._known = x.values, exponentials

    def _done(self, op: str, expr: str, value: FloatArray, *inputs: FloatArray) -> Rows:  # noqa: ARG002 - no trace
        return Rows(value, expr)

    def const(self, value: float, expr: str = "") -> Rows:
        """A constant, rounded to float32."""
        return self.given(np.array([[value]]), expr or f"{value:g}")

    def given(self, values: FloatArray, expr: str) -> Rows:
        """Numbers that are handed in, rounded to float32."""
        rounded: Any = values.astype(np.float32)
        return Rows(rounded, expr)

    def exp(self, a: Rows, expr: str = "") -> Rows:
        """e to the power a."""
        if self._known is not None and self._known[0] is a.values:
            return self.given(self._known[1], expr or f"exp({a.expr})")
        return super().exp(a, expr)

    def sum(self, a: Rows, expr: str = "") -> Rows:
        """The sum of each row, [R, 1], neighbours added in pairs, level by level."""
        if not a.values.shape[1]:
            raise UntracedError
        return Rows(pairwise(a.values, np.asarray), expr or f"Σ {a.expr}")

    def _not_here(self, *_: object) -> NoReturn:
        raise UntracedError

    fma = ldexp = running = _not_here  # type: ignore[assignment]

    def _each(self, op: str, function: np.ufunc, a: Rows, expr: str) -> Rows:
        """A function of each number, computed in float64 and rounded once."""
        given: NDArray[Any] = np.ascontiguousarray(a.values)
        out: Any = np.empty(given.shape, np.float32)
        flat, result = given.reshape(-1), out.reshape(-1)
        for start in range(0, flat.size, TILE):
            part = flat[start : start + TILE]
            wide = self._wide[: part.size]
            np.copyto(wide, part)
            function(wide, wide)
            np.copyto(result[start : start + TILE], wide, casting="unsafe")
        return Rows(out, expr or f"{op}({a.expr})")
