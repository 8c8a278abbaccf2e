"""The groups of options: each reads itself from what was given, and refuses what cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from smcli import quantities
from smcli.errors import OptionError, nearest
from smcli.numbers import formats
from smcli.numbers.arithmetic import ORDERS, Arithmetic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smcli.model import RawRow
    from smcli.problem.given import Given

REDUCTIONS = ("none", "mean", "sum", "perplexity")
MOST_DIGITS = 10000
ROUNDED = 2.0**-8  # how far from 1 labels may add up to that were rounded to bfloat16, or to three decimals
POSITIVE = "give a positive number"
FROM_ZERO = "give a number from 0 up"


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Numerics:
    """In which arithmetic methods compute, and how exactly the truth is told.

    Attributes:
        dtypes: number formats; none of them: what the input carries.
        compute: format that arithmetic is done in, whose results are rounded once to the number format; None: that itself.
        accumulate: format of the running sum, or None: that of the arithmetic.
        order: the order of sums.
        temperature, softcap: of the logits; each number as written, so that it is rounded straight to the format.
        digits: significant digits of the truth, or None: enough for the format.
        step: of finite differences.
        logits_dtype: number format of the logits where it is another than that of the values.
    """

    dtypes: tuple[str, ...] = ()
    compute: str | None = None
    accumulate: str | None = None
    order: str = "pairwise"
    temperature: RawRow | None = None
    softcap: RawRow | None = None
    digits: int | None = None
    step: float | None = None
    logits_dtype: str | None = None

    @classmethod
    def of(cls, given: Given) -> Numerics:
        """The options of this group, as they were given."""
        accumulate, compute, logits = (given.word(name) for name in ("accumulate", "compute", "logits_dtype"))
        return cls(
            dtypes=formats_of(given.names("dtype")),
            compute=None if compute is None else formats.get(compute).name,
            accumulate=None if accumulate is None else formats.get(accumulate).name,
            order=given.word("sum") or "pairwise",
            temperature=given.numbers("temperature"),
            softcap=given.numbers("softcap"),
            digits=given.integer("digits"),
            step=given.real("step"),
            logits_dtype=None if logits is None else formats.get(logits).name,
        )

    def __post_init__(self) -> None:
        choice("sum", self.order, ORDERS)
        if self.compute is not None and self.dtypes:
            check_wider(self.compute, self.dtypes)
        if self.digits is not None and not 1 <= self.digits <= MOST_DIGITS:
            asked = f"ask for 1 to {MOST_DIGITS} significant digits"
            raise OptionError("digits", "is out of range", asked, str(self.digits))
        _one("temperature", self.temperature, FROM_ZERO)
        _one("softcap", self.softcap, POSITIVE)
        if self.step is not None:
            _limited("step", self.step, f"{self.step:g}", POSITIVE)

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        """The number formats, each with the format that arithmetic is done in where that is another.

        All formats together are shown in both ways: narrow ones also as kernels compute with them.
        """
        every = self.compute is None and set(self.dtypes) == set(formats.FORMATS)
        out: list[tuple[str, str | None]] = []
        for name in self.dtypes:
            wider = self.compute is not None and formats.get(self.compute).holds(formats.get(name))
            out.append((name, self.compute if wider else None))
            if every and formats.get(name).bits <= formats.NARROW:
                out.append((name, formats.KERNELS))
        return tuple(out)

    def given(self, fmt: formats.Format) -> formats.Format:
        """The format of the logits where that of the values is this one."""
        return fmt if self.logits_dtype is None else formats.get(self.logits_dtype)

    def inner(self, fmt: formats.Format) -> formats.Format:
        """The format that arithmetic is done in with numbers of a format."""
        wide = fmt if self.compute is None else formats.get(self.compute)
        return wide if wide.holds(fmt) else fmt


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class LossSpec:
    """Of which loss, with which labels.

    Attributes:
        kind: what gradients are taken of: the name of a loss.
        target: the right class of each row, or one for all, or None.
        labels: soft labels, one row or one for each row, or None.
        smoothing, weights, z_loss: of the loss; numbers as written.
        ignore_index: the target of rows that are left out.
        reduction: "none", "mean", "sum", or "perplexity", the exponential of the mean.
        cotangent: of a vector-Jacobian product.
        vjp_of: the quantity whose product that is.
        against: kl: the logits of the teacher, one row or one for each row.
        reverse: kl: the other way round.
        gamma: focal: the exponent; None: 2.
        coefficients: of a signed logsumexp, one for each class.
    """

    kind: str = "cross-entropy"
    target: tuple[int, ...] | None = None
    labels: tuple[RawRow, ...] | None = None
    smoothing: float = 0.0
    weights: RawRow | None = None
    z_loss: RawRow | None = None
    ignore_index: int | None = None
    reduction: str = "none"
    cotangent: RawRow | None = None
    vjp_of: str = "softmax"
    against: tuple[RawRow, ...] | None = None
    reverse: bool = False
    gamma: float | None = None
    coefficients: RawRow | None = None

    @classmethod
    def of(cls, given: Given, kind: str, vjp_of: str = "softmax") -> LossSpec:
        """The options of this group, as they were given."""
        return cls(
            kind=kind,
            target=given.integers("target"),
            labels=given.rows("labels"),
            smoothing=given.real("label_smoothing") or 0.0,
            weights=given.numbers("class_weights"),
            z_loss=given.numbers("z_loss"),
            ignore_index=given.integer("ignore_index"),
            reduction=given.word("reduction") or "none",
            cotangent=given.numbers("cotangent"),
            vjp_of=vjp_of,
            against=given.rows("against"),
            reverse=given.flag("reverse"),
            gamma=given.real("gamma"),
            coefficients=given.numbers("coefficients"),
        )

    def __post_init__(self) -> None:
        choice("reduction", self.reduction, REDUCTIONS)
        if not 0 <= self.smoothing <= 1:
            raise OptionError("label_smoothing", "is out of range", "it is a share, from 0 to 1", f"{self.smoothing:g}")
        _finite("labels", self.labels or ())
        _finite("class_weights", (self.weights,) if self.weights is not None else ())
        _finite("coefficients", (self.coefficients,) if self.coefficients is not None else ())
        _one("z_loss", self.z_loss, "give a finite number")
        if self.gamma is not None:
            _limited("gamma", self.gamma, f"{self.gamma:g}", FROM_ZERO)
        for option, asked, kinds in (
            ("against", self.against is not None, "kl"),
            ("reverse", self.reverse, "kl"),
            ("gamma", self.gamma is not None, "focal"),
        ):
            if asked and self.kind != kinds:
                raise OptionError(option, f"is an option of {kinds} alone", f"ask for it: <quantities> {kinds}")
        if self.target is not None and self.labels is not None:
            raise OptionError("target", "and <labels> exclude each other", "give the right class, or a label for each")
        for option in ("target", "labels"):
            if self.cotangent is not None and getattr(self, option) is not None:
                raise OptionError(
                    option, "and <cotangent> exclude each other", "a loss has a gradient; a cotangent is one of softmax"
                )

    @property
    def given(self) -> bool:
        """Whether there is a loss of each row."""
        return self.alone or self.target is not None or self.labels is not None

    @property
    def alone(self) -> bool:
        """Whether the loss is one of the logits, without target or labels."""
        return quantities.get(self.kind).needs not in {"labels", "target or labels"} and self.kind != "cross-entropy"

    @property
    def binary(self) -> bool:
        """Whether the loss looks at each logit alone, so that a mean is over them and not over rows."""
        return self.kind == "bce" or (self.kind == "focal" and self.labels is not None)

    @property
    def notes(self) -> list[str]:
        """What is odd about soft labels: the loss is computed of them as they are."""
        import numpy as np

        if self.labels is None:
            return []
        sizes = np.array([raw.values.size for raw in self.labels])
        y = np.concatenate([raw.values for raw in self.labels])
        starts = np.cumsum(sizes) - sizes
        odd = np.flatnonzero((y < 0) | (y > 1) if self.binary else y < 0)
        if odd.size:
            row = int(np.searchsorted(starts, odd[0], "right")) - 1
            i = int(odd[0] - starts[row])
            hold = f"hold {self.labels[row].written(i)} at index {i}, {'outside [0, 1]' if self.binary else 'below 0'}"
            return [f"{self._labels_of(row)} {hold}: the loss can be negative"]
        sums = np.add.reduceat(y, starts)
        off = np.flatnonzero(abs(sums - 1) > ROUNDED)
        if self.binary or not off.size:
            return []
        more = f", nor do those of {off.size - 1} more" if off.size > 1 else ""
        return [
            f"{self._labels_of(int(off[0]))} sum to {sums[off[0]]:.6g}, not to 1{more}: the loss takes them as they are"
        ]

    def _labels_of(self, row: int) -> str:
        return "the labels" if len(self.labels or ()) == 1 else f"the labels of row {row}"

    def settle(self, target: tuple[int, ...] | None = None, labels: Iterable[RawRow] | None = None) -> LossSpec:
        """The same with the target or labels that the input carries, where none were given; nothing may be missing now.

        Raises:
            OptionError: an option needs a target or labels, and there are none, or does not belong to the loss.
        """
        from dataclasses import replace

        loss = self
        if not self.given and self.cotangent is None and not self.alone:
            soft = None if labels is None else tuple(labels)
            hard = (
                None if soft is not None and (target is None or quantities.get(self.kind).needs == "labels") else target
            )
            loss = replace(self, target=hard, labels=soft if hard is None else None)
        loss.check_needs()
        loss.check_belonging()
        return loss

    @property
    def _options(self) -> list[str]:
        """The options of a loss that were given."""
        given = {
            "label_smoothing": bool(self.smoothing),
            "class_weights": self.weights is not None,
            "z_loss": self.z_loss is not None,
            "reduction": self.reduction != "none",
        }
        return [option for option, asked in given.items() if asked]

    def check_needs(self) -> None:
        """Refuse a loss without what it is made of, and options without a loss."""
        needs = quantities.get(self.kind).needs
        if needs == "against" and self.against is None:
            raise OptionError("against", f"is needed by {self.kind}", "give the logits of the teacher, such as 2,1,0")
        if needs == "target or labels" and not self.given:
            raise OptionError(
                "target", f"or <labels> is needed by {self.kind}", "give the right class, or labels of 0 and 1"
            )
        if needs == "labels" and self.labels is None:
            raise OptionError("labels", f"are needed by {self.kind}", "give one for each logit, such as 0,1,1")
        if self._options and not self.given:
            raise OptionError(self._options[0], "needs <target> or <labels>", "without them there is no loss of a row")
        if self.ignore_index is not None and self.target is None and not self.alone:
            raise OptionError("ignore_index", "needs <target>", "it is a target that marks a row to be left out")

    def check_belonging(self) -> None:
        """Refuse options that the loss does not have."""
        extra = [option for option in self._options if option != "reduction"]
        hint = "leave it out"
        if self.alone:
            beside = {"target": self.target, "labels": self.labels, "ignore_index": self.ignore_index}
            extra = [*(option for option, value in beside.items() if value is not None), *extra]
        elif quantities.get(self.kind).needs == "labels" or (self.kind == "focal" and self.labels is not None):
            hint = "leave it out; smooth the labels themselves"
        elif self.kind == "focal":
            extra = [option for option in extra if option == "z_loss"]
        else:
            extra = []
        if extra:
            raise OptionError(extra[0], f"is not an option of {self.kind}", hint)
        if self.reduction == "perplexity" and self.kind != "cross-entropy":
            raise OptionError(
                "reduction", f"is not one of {self.kind}", "a perplexity is of cross-entropy", "perplexity"
            )


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Tolerance:
    """Limits of accuracy that the user gave; None where none was."""

    max_ulp: float | None = None
    max_rel: float | None = None

    @classmethod
    def of(cls, given: Given) -> Tolerance:
        """The options of this group, as they were given."""
        return cls(max_ulp=given.real("max_ulp"), max_rel=given.real("max_rel"))

    def __post_init__(self) -> None:
        for option in ("max_ulp", "max_rel"):
            limit = getattr(self, option)
            if limit is not None and not limit >= 0:
                raise OptionError(option, "is out of range", FROM_ZERO, f"{limit:g}")

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return self.max_ulp is not None or self.max_rel is not None


def formats_of(names: Sequence[str]) -> tuple[str, ...]:
    """The number formats of those names, each once; `all` stands for all of them.

    Raises:
        UsageError: there is no such format.
    """
    if "all" in names:
        return tuple(formats.FORMATS)
    return tuple(dict.fromkeys(formats.get(name).name for name in names))


def check_wider(compute: str, dtypes: Sequence[str]) -> None:
    """Refuse a format to compute in that holds the numbers of none of the formats and more.

    Raises:
        OptionError: it is narrower, or the same.
    """
    if not any(formats.get(compute).holds(formats.get(name)) for name in dtypes):
        raise OptionError(
            "compute",
            f"is no wider than {dtypes[0]}",
            "kernels compute in a format with more digits and no smaller range than that of the logits, such as float32",
            compute,
        )


def choice(option: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse what is none of the values that an option can have.

    Raises:
        OptionError: the hint names the nearest.
    """
    if value not in allowed:
        raise OptionError(
            option, "is unknown", f"{nearest(value, allowed)}choose one of {', '.join(allowed)}", f"{value!a}"
        )


def _one(option: str, raw: RawRow | None, limit: str) -> None:
    """Refuse an option of one number that has several, or one out of range."""
    if raw is None:
        return
    if raw.values.size != 1:
        raise OptionError(option, f"is one number, and {raw.values.size} were given", "give one number")
    _limited(option, float(raw.values[0]), raw.written(0), limit)


def _limited(option: str, value: float, written: str, limit: str) -> None:
    """Refuse a number that is not finite, or below what its limit says."""
    low = {POSITIVE: value > 0, FROM_ZERO: value >= 0}.get(limit, True)
    if not (abs(value) < float("inf") and low):
        raise OptionError(option, "is out of range", limit, written)


def _finite(option: str, rows: Sequence[RawRow]) -> None:
    import numpy as np

    for row, raw in enumerate(rows):
        for i in np.flatnonzero(~np.isfinite(raw.values))[:1].tolist():
            raise OptionError(option, f"hold a number that is not finite: {i} of row {row}", "give finite numbers")


IN_FLOAT64, NO_LOSS, NO_LIMIT = Numerics(dtypes=("float64",)), LossSpec(), Tolerance()


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Settings:
    """What is computed: everything that was asked, and what the input brings along.

    Attributes:
        command: "compare", "eval" or "grad".
        methods, quantities: their names, in the order asked.
        idle: those of the methods that compute none of the quantities.
        numerics, loss, tolerance: the groups of options; `numerics` names at least one format.
        trace: whether every step is reported.
        numbers: where only some rows of the input were chosen, their numbers in it.
        confirm: whether every digit of the truth is computed once more by other arithmetic.
        origin: whence the number format is known where the input carries it, such as "the file's dtype".
    """

    command: str = "compare"
    methods: tuple[str, ...] = ("naive", "shifted", "fused")
    idle: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ("softmax", "cross-entropy")
    numerics: Numerics = IN_FLOAT64
    loss: LossSpec = NO_LOSS
    tolerance: Tolerance = NO_LIMIT
    trace: bool = False
    numbers: Sequence[int] | None = None
    confirm: bool = False
    origin: str = ""

    @property
    def format(self) -> formats.Format:
        """The number format, of settings that name one alone."""
        (name,) = self.numerics.dtypes
        return formats.get(name)

    @property
    def digits(self) -> int:
        """Significant digits of the truth in that format."""
        return self.numerics.digits or self.format.digits

    @property
    def arithmetic(self) -> Arithmetic:
        """A fresh arithmetic for numbers of that format."""
        inner, accumulate = self.numerics.inner(self.format), self.numerics.accumulate
        return Arithmetic(inner, formats.get(accumulate) if accumulate else inner, self.numerics.order)

    @property
    def notes(self) -> list[str]:
        """What a user should know of how it was understood."""
        what = " nor ".join(self.quantities)
        no = "neither" if len(self.quantities) > 1 else "no"
        of_loss = any(q in {self.loss.kind, "gradient"} for q in self.quantities)
        left_out = [f"{name} computes {no} {what}: it is left out" for name in self.idle]
        return [*left_out, *(self.loss.notes if of_loss else ())]

    def computing(self, dtype: str, compute: str | None) -> Settings:
        """The same in one number format, with arithmetic in a wider one, or in itself where that is None."""
        from dataclasses import replace

        return replace(self, numerics=replace(self.numerics, dtypes=(dtype,), compute=compute))
