"""Number formats: each is one line; rounding, spacing and thresholds are derived from it."""

from __future__ import annotations

import math
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from smcli.errors import PrecisionError, UsageError, nearest
from smcli.numbers.written import compare_exact, exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcli.model import BoolArray, FloatArray, IntArray

# NumPy is imported where arrays are rounded: the names alone are needed for every --help.


class Format(NamedTuple):
    """A binary floating-point format. Its numbers are held as float64 everywhere in smcli.

    Attributes:
        name: as in NumPy, PyTorch and ml_dtypes.
        bits: storage width.
        p: significant bits, the implicit one included.
        emin: exponent of the smallest normal number, which is 2**emin.
        max: the largest finite number.
        has_inf: whether overflow gives an infinity; without one it gives nan.
    """

    name: str
    bits: int
    p: int
    emin: int
    max: float
    has_inf: bool = True

    @property
    def unit_roundoff(self) -> float:
        """Half the spacing of the numbers just above 1: the u of every error bound."""
        return math.ldexp(1.0, -self.p)

    @property
    def smallest_normal(self) -> float:
        """2**emin."""
        return math.ldexp(1.0, self.emin)

    @property
    def smallest_subnormal(self) -> float:
        """2**(emin - p + 1), the spacing of the subnormal numbers."""
        return math.ldexp(1.0, self.emin - self.p + 1)

    @property
    def digits(self) -> int:
        """Significant decimal digits that tell every two numbers of the format apart."""
        return math.ceil(1 + self.p * math.log10(2))

    @property
    def overflow(self) -> float:
        """What a finite result beyond the largest number becomes."""
        return math.inf if self.has_inf else math.nan

    @property
    def exp_overflow(self) -> float:
        """The x from which exp(x) rounds beyond the largest number (log of max plus half its spacing)."""
        return math.log(self.max) + math.log1p(math.ldexp(1.0, self._top - self.p) / self.max)

    @property
    def exp_subnormal(self) -> float:
        """The x below which exp(x) is subnormal and loses digits."""
        return self.emin * math.log(2)

    @property
    def exp_zero(self) -> float:
        """The x up to which exp(x) rounds to 0 (log of half the smallest subnormal)."""
        return (self.emin - self.p) * math.log(2)

    @property
    def stall(self) -> int:
        """The running sum of ones that one more 1 no longer changes: 2**p."""
        return 1 << self.p

    @property
    def _top(self) -> int:
        return math.frexp(self.max)[1] - 1

    def holds(self, other: Format) -> bool:
        """Whether it has all numbers of another format, and more digits."""
        return self.p > other.p and self.max >= other.max and self.emin <= other.emin

    def round(self, x: FloatArray) -> FloatArray:
        """Round float64 numbers to the format: to nearest, ties to even, once.

        Beyond the largest number stands an infinity, or nan in a format without one. The sign of a zero is kept.
        """
        import numpy as np

        if self.p == 53:
            return x
        with np.errstate(all="ignore"):
            if self.name == "float32":  # which NumPy rounds to straight, right and fast
                return x.astype(np.float32).astype(np.float64)
            return self._round_bits(np.asarray(x, dtype=np.float64))

    def _round_bits(self, x: FloatArray) -> FloatArray:
        import numpy as np

        if x.ndim == 0:
            return self._round_bits(x.reshape(1)).reshape(())
        if x.size > TOGETHER:
            whole = np.empty(x.shape)
            flat, out = np.ascontiguousarray(x).reshape(-1), whole.reshape(-1)
            for start in range(0, flat.size, TOGETHER):
                out[start : start + TOGETHER] = self._round_bits(flat[start : start + TOGETHER])
            return whole
        drop = 53 - self.p  # significand bits of float64 that the format lacks
        bits = x.view(np.int64)
        kept = bits >> drop
        kept &= 1
        kept += (1 << (drop - 1)) - 1  # half a unit, less one where the kept part is even
        kept += bits
        kept &= -(1 << drop)
        y = kept.view(np.float64)
        size = np.abs(x)
        small, usual = size < self.smallest_normal, size <= self.max
        if small.any():
            grid = math.ldexp(1.5, 52 + self.emin - self.p + 1)  # adding it rounds to a multiple of the least subnormal
            size = (size + grid) - grid
            size.view(np.int64)[...] |= bits & _SIGN
            np.copyto(y, size, where=small)
        if not usual.all():
            y = np.where(usual | (np.abs(y) <= self.max), y, np.copysign(self.overflow, x))
            y = np.where(np.isfinite(x), y, x if self.has_inf else np.nan)
        return y

    def bounded(self, value: Fraction | float) -> float:
        """A number that is rounded to its bits already: itself, or what stands beyond the largest."""
        fits = -self.max <= value <= self.max
        return float(value) if fits else math.copysign(self.overflow, 1.0 if value > 0 else -1.0)

    def round_written(self, values: FloatArray, tokens: Sequence[str] | None) -> FloatArray:
        """Round what was written straight to the format: a decimal never passes through a second rounding.

        Args:
            values: float64, the float64 nearest to each number as written.
            tokens: the texts, or None where `values` are exact.
        """
        import numpy as np

        y = self.round(values)
        if tokens is None or self.p == 53:
            return y
        with np.errstate(over="ignore"):  # beside the largest float64 is an infinity
            above, below = self.round(np.nextafter(values, np.inf)), self.round(np.nextafter(values, -np.inf))
        # only where the float64 is itself a midpoint does the side that the text is on decide
        for i in np.flatnonzero(self._midpoint(values, above, below)).tolist():
            side = compare_exact(tokens[i], float(values[i]))
            y[i] = above[i] if side > 0 else below[i] if side < 0 else y[i]
        return y

    def _midpoint(self, x: FloatArray, above: FloatArray, below: FloatArray) -> BoolArray:
        """Where x is half way between two numbers of the format, the first one beyond the largest included."""
        import numpy as np

        beyond = self.max + math.ldexp(1.0, self._top - self.p + 1)
        with np.errstate(invalid="ignore"):
            high, low = (np.where(np.isfinite(end), end, np.copysign(beyond, x)) for end in (above, below))
            half_way: BoolArray = np.isfinite(x) & (above != below) & (high - x == x - low)
        return half_way

    def ulp_exponent(self, log2: IntArray) -> IntArray:
        """The exponent of the spacing at numbers whose floor(log2) is given, clamped to the subnormal spacing."""
        import numpy as np

        exponents: IntArray = np.maximum(log2, self.emin) - (self.p - 1)
        return exponents


FORMATS = {
    f.name: f
    for f in (
        Format("float64", bits=64, p=53, emin=-1022, max=1.7976931348623157e308),
        Format("float32", bits=32, p=24, emin=-126, max=3.4028234663852886e38),
        Format("float16", bits=16, p=11, emin=-14, max=65504.0),
        Format("bfloat16", bits=16, p=8, emin=-126, max=3.3895313892515355e38),
        Format("float8_e4m3fn", bits=8, p=4, emin=-6, max=448.0, has_inf=False),
        Format("float8_e5m2", bits=8, p=3, emin=-14, max=57344.0),
    )
}
_SIGN = -(1 << 63)  # the bit of the sign
TOGETHER = 1 << 13  # numbers that are rounded at once: the steps on them stay in the cache
NARROW = 16  # bits; of formats up to here kernels compute in a wider one
KERNELS = "float32"  # which is this one
_DECIMALS = Context(prec=25, Emin=MIN_EMIN, Emax=MAX_EMAX)  # a difference rounded once, however long its operands
ALIASES = {
    "double": "float64", "fp64": "float64", "f64": "float64",
    "single": "float32", "float": "float32", "fp32": "float32", "f32": "float32",
    "half": "float16", "fp16": "float16", "f16": "float16",
    "bf16": "bfloat16",
    "float8_e4m3": "float8_e4m3fn", "e4m3fn": "float8_e4m3fn", "fp8_e4m3": "float8_e4m3fn",
    "e5m2": "float8_e5m2", "fp8_e5m2": "float8_e5m2",
}  # fmt: skip


def get(name: str) -> Format:
    """Look a format up by its name, or by what frameworks also call it.

    Raises:
        UsageError: no such format; the hint names the nearest.
    """
    key = name.strip().lower().removeprefix("torch.").removeprefix("np.").removeprefix("numpy.")
    key = ALIASES.get(key, key)
    if key in FORMATS:
        return FORMATS[key]
    near = nearest(key, [*FORMATS, *ALIASES], names=ALIASES)
    raise UsageError(f"unknown number format {name!a}", f"{near}the formats are {', '.join(FORMATS)}")


def written_error(token: str, value: float) -> float:
    """(The number written in `token`) − `value`, to a few digits, for a finite value; inf where it is out of range."""
    try:
        if "x" in token.lower() or "/" in token:
            return float(exact(token) - Fraction(value))
        return float(_DECIMALS.subtract(Decimal(token), Decimal(value)))
    except (PrecisionError, OverflowError, InvalidOperation):
        side = compare_exact(token, value)
        return math.inf * side if side else 0.0
