"""What each quantity is, in Arb's balls, written from the definitions alone: nothing here is imported from smcli.

A value is an `arb`, or a float where it is infinite, nan, or 0 for certain. Differences that would cancel are left to
the precision: whoever asks looks at the radius and asks again with more bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from flint import arb, ctx, fmpq

FORMATS = {  # significant bits, exponent of the smallest normal number, largest number, whether there is an infinity
    "float64": (53, -1022, Fraction(2) ** 1024 - Fraction(2) ** 971, True),
    "float32": (24, -126, Fraction(2) ** 128 - Fraction(2) ** 104, True),
    "float16": (11, -14, Fraction(65504), True),
    "bfloat16": (8, -126, Fraction(2) ** 128 - Fraction(2) ** 120, True),
    "float8_e4m3fn": (4, -6, Fraction(448), False),
    "float8_e5m2": (3, -14, Fraction(57344), True),
}


def rounded(value: Fraction | float, dtype: str) -> float:
    """A number to the nearest of a format, ties to even; without infinities those are nan."""
    p, emin, most, has_inf = FORMATS[dtype]
    if isinstance(value, float):
        if math.isnan(value):
            return value
        if math.isinf(value):
            return value if has_inf else math.nan
        value = Fraction(value)
    if not value:
        return 0.0
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, emin) - p + 1)
    whole = round(size / unit) * unit  # Python rounds ties to even
    sign = 1 if value > 0 else -1
    if whole > most:
        return sign * (math.inf if has_inf else math.nan)
    return sign * float(whole)


def exactly(x: Fraction) -> arb:
    """A rational number as a ball."""
    return arb(fmpq(x.numerator, x.denominator))


def number(x: float) -> arb:
    """A float as a point."""
    return arb(x)


@dataclass
class Row:
    """One row of logits, rounded already, with what belongs to it."""

    x: list[float]
    temperature: float = 1.0
    softcap: float | None = None
    kind: str = "cross-entropy"
    coefficients: list[Fraction] | None = None  # of the loss: labels, smoothed and weighted
    binary: bool = False  # the loss looks at each logit alone
    z_loss: float = 0.0
    gamma: float = 2.0
    teacher: list[float] | None = None
    reverse: bool = False
    scale: Fraction = Fraction(1)
    cotangent: list[float] | None = None
    vjp_of: str = "softmax"
    signed: list[float] | None = None
    _known: dict[int, Softmax] = field(default_factory=dict)

    @property
    def range(self) -> int:
        """Bits that the logits reach over."""
        sizes = [abs(v) for v in (*self.x, *(self.teacher or ())) if math.isfinite(v) and v]
        top = math.frexp(max(sizes, default=1.0))[1]
        return max(0, top - math.frexp(self.temperature)[1] + 1)

    def values(self, quantity: str, bits: int) -> list[arb | float]:
        """All values of a quantity with so many bits."""
        ctx.prec = bits
        if bits not in self._known:
            self._known[bits] = Softmax(self, self.x)
        name = f"gradient_of_{self.kind.replace('-', '_')}" if quantity == "gradient" else quantity.replace("-", "_")
        found: list[arb | float] = getattr(self._known[bits], name)()
        return found


class Softmax:
    """A row in one precision. `y` are the logits as the function meets them; None stands for a masked class."""

    def __init__(self, row: Row, x: list[float]) -> None:
        self.row, self.x = row, x
        self.one, self.zero = arb(1), arb(0)
        self.odd = any(math.isnan(v) or v == math.inf for v in x)
        t, cap = number(row.temperature), row.softcap
        self.y: list[arb | None] = []
        self.slopes: list[arb] = []
        for v in x:
            if not math.isfinite(v):
                self.y.append(None)
                self.slopes.append(1 / t)
                continue
            scaled = number(v) / t
            if cap is None:
                self.y.append(scaled)
                self.slopes.append(1 / t)
            else:
                u = scaled / number(cap)
                self.y.append(number(cap) * u.tanh())
                self.slopes.append(1 / (t * u.cosh() * u.cosh()))
        finite = [v if math.isfinite(v) else -math.inf for v in x]
        self.k = max(range(len(x)), key=finite.__getitem__)
        self.masked_all = self.y[self.k] is None
        if self.masked_all:
            return
        top = self.y[self.k]
        assert top is not None
        self.m = top
        self.z = [
            None if v is None else self.zero if w == x[self.k] else v - top for v, w in zip(self.y, x, strict=True)
        ]
        self.e = [self.zero if v is None else v.exp() for v in self.z]
        self.rest = sum((e for j, e in enumerate(self.e) if j != self.k), self.zero)
        self.total = self.one + self.rest
        self.log_total = self.rest.log1p()
        self.p = [e / self.total for e in self.e]
        self.q = [self._others(i) / self.total for i in range(len(x))]

    def _others(self, i: int) -> arb:
        """The sum of all terms but one, without a subtraction."""
        return self.rest if i == self.k else sum((e for j, e in enumerate(self.e) if j != i), self.zero)

    def _log(self, i: int) -> arb:
        """−log p of a class that is not masked."""
        z = self.z[i]
        assert z is not None
        return self.log_total - z

    def _all(self, value: float) -> list[arb | float]:
        return [value] * len(self.x)

    def softmax(self) -> list[arb | float]:
        if any(map(math.isnan, self.x)) or (self.masked_all and not self.odd):
            return self._all(math.nan)
        if self.odd:
            hot = self.x.count(math.inf)
            return [(1.0 if hot == 1 else math.nan) if v == math.inf else 0.0 for v in self.x]
        return list(self.p)

    def log_softmax(self) -> list[arb | float]:
        if any(map(math.isnan, self.x)) or (self.masked_all and not self.odd):
            return self._all(math.nan)
        if self.odd:
            hot = self.x.count(math.inf)
            return [(0.0 if hot == 1 else math.nan) if v == math.inf else -math.inf for v in self.x]
        return [-math.inf if v is None else -self._log(i) for i, v in enumerate(self.y)]

    def logsumexp(self) -> list[arb | float]:
        if any(map(math.isnan, self.x)):
            return [math.nan]
        if self.row.signed is not None:
            return [self._signed_logsumexp()]
        if self.odd:
            return [math.inf]
        return [-math.inf] if self.masked_all else [self.m + self.log_total]

    def _signed_terms(self) -> tuple[arb, arb, dict[float, Fraction]] | None:
        """The largest logit whose coefficients do not add up to 0, and the sum of all over its exponential."""
        sums: dict[float, Fraction] = {}
        assert self.row.signed is not None
        for v, b in zip(self.x, self.row.signed, strict=True):
            if v != -math.inf and b:
                sums[v] = sums.get(v, Fraction(0)) + Fraction(b)
        sums = {v: b for v, b in sums.items() if b}
        if not sums:
            return None
        lead = max(sums)
        base = self.y[self.x.index(lead)]
        assert base is not None
        whole = self.zero
        for v, b in sums.items():
            y = self.y[self.x.index(v)]
            assert y is not None
            whole += exactly(b) * (self.one if v == lead else (y - base).exp())
        return base, whole, sums

    def _signed_logsumexp(self) -> arb | float:
        hot = [b for v, b in zip(self.x, self.row.signed or (), strict=True) if v == math.inf and b]
        if hot:
            return math.inf if min(hot) > 0 or max(hot) < 0 else math.nan
        found = self._signed_terms()
        if found is None:
            return -math.inf
        base, whole, _ = found
        if whole.contains(self.zero):
            return arb(0, 1e300)
        return base + abs(whole).log()

    def cross_entropy(self) -> list[arb | float]:
        if self.row.coefficients is None:
            return [-v for v in self.log_softmax()]
        if any(map(math.isnan, self.x)) or self.masked_all:
            return [math.nan]
        total, ends = self.zero, set()
        for i, c in enumerate(self.row.coefficients):
            if c and self.y[i] is None:
                ends.add(math.copysign(math.inf, c))
            elif c:
                total += exactly(c) * self._log(i)
        if ends:
            return [ends.pop() if len(ends) == 1 else math.nan]
        rise = self.m + self.log_total
        return [total + number(self.row.z_loss) * rise * rise]

    def _scaled(self, values: list[arb]) -> list[arb | float]:
        factor = exactly(self.row.scale)
        return [v * s * factor for v, s in zip(values, self.slopes, strict=True)]

    def gradient_of_cross_entropy(self) -> list[arb | float]:
        if self.masked_all:
            return self._all(math.nan)
        c = self.row.coefficients
        assert c is not None
        rise = 2 * number(self.row.z_loss) * (self.m + self.log_total)
        total = sum(c, Fraction(0))
        return self._scaled(
            [
                exactly(total - own) * p - exactly(own) * q + rise * p
                for own, p, q in zip(c, self.p, self.q, strict=True)
            ]
        )

    def jacobian(self) -> list[arb | float]:
        n = range(len(self.x))
        if self.masked_all:
            return [math.nan for _ in n for _ in n]
        return [(self.p[i] * self.q[i] if i == j else -self.p[i] * self.p[j]) * self.slopes[j] for i in n for j in n]

    def vjp(self) -> list[arb | float]:
        v = [exactly(Fraction(w)) for w in self.row.cotangent or ()]
        n = range(len(self.x))
        if self.row.vjp_of == "logsumexp":
            if self.row.signed is not None:
                return self._signed_vjp(v[0])
            if self.masked_all:
                return self._all(math.nan)
            return [v[0] * p * s for p, s in zip(self.p, self.slopes, strict=True)]
        if self.masked_all:
            return self._all(math.nan)
        if self.row.vjp_of == "log-softmax":
            whole = [Fraction(w) for w in self.row.cotangent or ()]
            total = sum(whole, Fraction(0))
            return [
                (exactly(own) * q - exactly(total - own) * p) * s
                for own, p, q, s in zip(whole, self.p, self.q, self.slopes, strict=True)
            ]
        return [
            self.p[j] * sum((self.p[i] * (v[j] - v[i]) for i in n if i != j), self.zero) * self.slopes[j] for j in n
        ]

    def _signed_vjp(self, v: arb) -> list[arb | float]:
        found = self._signed_terms()
        if found is None:
            return self._all(math.nan)
        base, whole, _ = found
        out: list[arb | float] = []
        for y, b, slope in zip(self.y, self.row.signed or (), self.slopes, strict=True):
            out.append(0.0 if y is None or not b else v * number(b) * (y - base).exp() / whole * slope)
        return out

    def entropy(self) -> list[arb | float]:
        if self.masked_all:
            return [math.nan]
        return [sum((self.p[i] * self._log(i) for i, y in enumerate(self.y) if y is not None), self.zero)]

    def gradient_of_entropy(self) -> list[arb | float]:
        if self.masked_all:
            return self._all(math.nan)
        return self._centred(self.z, -1)

    def _centred(self, d: list[arb | None], sign: int) -> list[arb | float]:
        """p_i·(d_i − Σ p_j·d_j) as a sum of differences, which cancels less."""
        out = []
        for p, own in zip(self.p, d, strict=True):
            pairs = [] if own is None else zip(self.p, d, strict=True)
            apart = sum((other * (own - w) for other, w in pairs if w is not None), self.zero)
            out.append(sign * p * apart)
        return self._scaled(out)

    def _pair(self) -> tuple[Softmax, Softmax]:
        teacher = Softmax(self.row, self.row.teacher or [])
        return (self, teacher) if self.row.reverse else (teacher, self)

    def kl(self) -> list[arb | float]:
        first, second = self._pair()
        if first.masked_all or second.masked_all:
            return [math.nan]
        total = self.zero
        for i, y in enumerate(first.y):
            if y is None:
                continue
            if second.y[i] is None:
                return [math.inf]
            total += first.p[i] * (second._log(i) - first._log(i))
        return [total]

    def gradient_of_kl(self) -> list[arb | float]:
        first, second = self._pair()
        if first.masked_all or second.masked_all:
            return self._all(math.nan)
        if not self.row.reverse:
            return self._scaled([p - t for p, t in zip(self.p, first.p, strict=True)])
        (mean,) = self.kl()
        if isinstance(mean, float):
            return self._all(math.nan)
        apart = [None if a is None or b is None else a - b for a, b in zip(self.z, second.z, strict=True)]
        return self._centred(apart, 1)

    def _power(self, q: arb) -> arb:
        g = self.row.gamma
        if g == 0:
            return self.one
        return (
            q ** int(g)
            if g.is_integer() and g < 1000
            else q ** number(g)
            if q > 0
            else self.zero
            if q == 0
            else arb(0, 1)
        )

    def focal(self) -> list[arb | float]:
        c = self.row.coefficients
        assert c is not None
        if self.row.binary:
            return [self._binary_focal(i, own) for i, own in enumerate(c)]
        if self.masked_all:
            return [math.nan]
        total, ends = self.zero, set()
        for i, own in enumerate(c):
            if own and self.y[i] is None:
                ends.add(math.copysign(math.inf, own))
            elif own:
                total += exactly(own) * self._power(self.q[i]) * self._log(i)
        return [(ends.pop() if len(ends) == 1 else math.nan) if ends else total]

    def _pull(self, p: arb, q: arb, log: arb) -> arb:
        """Minus the derivative of q^γ·(−log p) by the logit of p."""
        return self._power(q) * (q + number(self.row.gamma) * p * log)

    def gradient_of_focal(self) -> list[arb | float]:
        c = self.row.coefficients
        assert c is not None
        if self.row.binary:
            return self._scaled([self._binary_focal_slope(i, own) for i, own in enumerate(c)])
        if self.masked_all:
            return self._all(math.nan)
        out = []
        for i in range(len(c)):
            total = self.zero
            for j, own in enumerate(c):
                if not own:
                    continue
                if self.y[j] is None:  # p is 0: the limit
                    term = self.p[i] - (1 if i == j else 0)
                elif i == j:
                    term = -self._pull(self.p[j], self.q[j], self._log(j))
                elif self.y[i] is None or self.q[j] == 0:
                    continue
                else:
                    term = self._pull(self.p[j], self.q[j], self._log(j)) / self.q[j] * self.p[i]
                total += exactly(own) * term
            out.append(total)
        return self._scaled(out)

    # one logit at a time

    def _sigmoids(self, i: int) -> tuple[arb, arb, arb, arb]:
        """σ(y), σ(−y) and minus the log of each."""
        y = self.y[i]
        assert y is not None
        small = (-abs(y)).exp()
        near = small.log1p()
        large, little, far = 1 / (1 + small), small / (1 + small), near + abs(y)
        up = math.copysign(1.0, self.x[i]) > 0
        return (large, little, near, far) if up else (little, large, far, near)

    def sigmoid(self) -> list[arb | float]:
        ends = {math.inf: 1.0, -math.inf: 0.0}
        return [self._sigmoids(i)[0] if math.isfinite(v) else ends.get(v, math.nan) for i, v in enumerate(self.x)]

    def log_sigmoid(self) -> list[arb | float]:
        ends = {math.inf: 0.0, -math.inf: -math.inf}
        return [-self._sigmoids(i)[2] if math.isfinite(v) else ends.get(v, math.nan) for i, v in enumerate(self.x)]

    def bce(self) -> list[arb | float]:
        out: list[arb | float] = []
        for i, c in enumerate(self.row.coefficients or ()):
            if math.isfinite(self.x[i]):
                _, _, near, far = self._sigmoids(i)
                out.append(exactly(c) * near + exactly(1 - c) * far)
            else:
                out.append(self._end(i, c))
        return out

    def _end(self, i: int, c: Fraction) -> float:
        """A loss at an infinite logit."""
        if math.isnan(self.x[i]):
            return math.nan
        wrong = c if self.x[i] < 0 else 1 - c
        return math.copysign(math.inf, wrong) if wrong else 0.0

    def gradient_of_bce(self) -> list[arb | float]:
        out: list[arb] = []
        for i, c in enumerate(self.row.coefficients or ()):
            if math.isfinite(self.x[i]):
                up, down, _, _ = self._sigmoids(i)
            else:
                up, down = (self.one, self.zero) if self.x[i] > 0 else (self.zero, self.one)
            out.append(exactly(1 - c) * up - exactly(c) * down)
        return self._scaled(out)

    def _binary_focal(self, i: int, c: Fraction) -> arb | float:
        if not math.isfinite(self.x[i]):
            return self._end(i, c)
        up, down, near, far = self._sigmoids(i)
        return exactly(c) * self._power(down) * near + exactly(1 - c) * self._power(up) * far

    def _binary_focal_slope(self, i: int, c: Fraction) -> arb:
        if not math.isfinite(self.x[i]):
            return exactly(1 - c) if self.x[i] > 0 else exactly(-c)
        up, down, near, far = self._sigmoids(i)
        return exactly(1 - c) * self._pull(down, up, far) - exactly(c) * self._pull(up, down, near)
