"""Rows and settings become problems: blocks of rows of one length, in one number format, with their loss."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from smcli.batch import Written
from smcli.errors import InputError, OptionError
from smcli.model import IGNORED, Loss, Problem, RawRow
from smcli.numbers.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smcli.batch import Batch
    from smcli.model import BoolArray, FloatArray, IntArray
    from smcli.numbers import formats
    from smcli.problem.specs import Settings

BLOCK = 1 << 16  # logits that are worked on at once: the steps of a method on them stay within some megabytes

HELD = "choose a value that the number format holds"


def problems(batch: Batch, settings: Settings) -> Iterator[tuple[Problem, Written]]:
    """The rows as problems in the format of the settings, block by block, with what was written of each block.

    Raises:
        InputError: targets, labels, weights or a cotangent do not fit the rows.
    """
    whole = _Whole(settings, len(batch))
    numerics, fmt = settings.numerics, settings.format
    given = numerics.given(fmt)
    inner = numerics.inner(given)  # in which constants are
    scale = whole.scale(batch)
    for block in batch.blocks:
        step = max(1, BLOCK // block.classes)
        for start in range(0, len(block), step):
            written = Written(*block.take(start, start + step), block.array.dtype.name if block.widen is None else "")
            at = np.asarray(block.rows[start : start + step], dtype=np.int64)
            yield (
                Problem(
                    dtype=fmt.name,
                    logits=_rounded(written, given),
                    loss=whole.loss(at, block.classes),
                    temperature=_one(numerics.temperature, inner, 1.0, "temperature", zero=True),
                    softcap=_one(numerics.softcap, inner, 0.0, "softcap") or None,
                    ignored=whole.ignored(at),
                    scale=scale,
                    cotangent=_vector(
                        settings.loss.cotangent,
                        fmt,
                        1 if settings.loss.vjp_of == "logsumexp" else block.classes,
                        "cotangent",
                    ),
                    vjp_of=settings.loss.vjp_of,
                    coefficients=_vector(settings.loss.coefficients, fmt, block.classes, "coefficients"),
                    rows=at,
                    logits_dtype=numerics.logits_dtype,
                ),
                written,
            )


def _rounded(written: Written, fmt: formats.Format) -> FloatArray:
    """The logits in the format: each number rounded once, straight from what was written."""
    logits = written.values if written.dtype == fmt.name else fmt.round(written.values)
    for r, tokens in written.some():
        logits[r] = fmt.round_written(written.values[r], tokens)
    return logits


def _one(raw: RawRow | None, fmt: formats.Format, default: float, option: str, *, zero: bool = False) -> float:
    """The number of an option in the format; one that becomes 0 there is refused, unless that is to be diagnosed."""
    if raw is None:
        return default
    value = float(_held(raw, fmt, option)[0])
    if value == 0 and raw.values[0] != 0 and not zero:
        raise OptionError(option, f"is 0 in {fmt.name}", HELD, raw.written(0))
    return value


def _vector(raw: RawRow | None, fmt: formats.Format, size: int, option: str) -> FloatArray | None:
    if raw is None:
        return None
    if raw.values.size != size:
        raise OptionError(
            option,
            f"has {plural(raw.values.size, 'number')} for a row of {size} logits"
            if size > 1
            else f"is one number, not {raw.values.size}",
            "give one for each class" if size > 1 else "a row has one value",
        )
    return _held(raw, fmt, option)


def _held(raw: RawRow, fmt: formats.Format, option: str) -> FloatArray:
    """The numbers of an option in the format, which has to hold them."""
    values = fmt.round_written(raw.values, raw.tokens)
    beyond = np.flatnonzero(~np.isfinite(values))
    if beyond.size:
        i = int(beyond[0])
        reason = f"is beyond {fmt.name}, whose largest number is {fmt.max:g}"
        if values.size == 1:
            raise OptionError(option, reason, HELD, raw.written(0))
        raise OptionError(option, f"holds {raw.written(i)} at index {i}, which {reason}", HELD)
    return values


def _finite_tokens(raw: RawRow) -> tuple[str, ...] | None:
    if raw.tokens is None:
        return None
    return tuple("0" if x == -np.inf else token for x, token in zip(raw.values, raw.tokens, strict=True))


class _Whole:
    """What belongs to all rows of the input: targets and labels, and what a reduction divides by."""

    def __init__(self, settings: Settings, count: int) -> None:
        self._settings, self._fmt, self._count = settings, settings.format, count
        found = targets(settings, count)
        self._targets = None if found is None else np.array(found, dtype=np.int64)

    def loss(self, at: IntArray, classes: int) -> Loss | None:
        """The loss of the rows at these places."""
        spec, fmt = self._settings.loss, self._fmt
        if spec.alone:
            teacher = None if spec.against is None else self._rows(spec.against, at, classes, "against")
            return Loss(spec.kind, teacher=teacher, reverse=spec.reverse)
        gamma = 2.0 if spec.gamma is None else spec.gamma
        weights = _vector(spec.weights, fmt, classes, "class_weights")
        z_loss = _one(spec.z_loss, self._settings.numerics.inner(self._settings.numerics.given(fmt)), 0.0, "z_loss")
        if self._targets is not None:
            chosen = self._targets[at]
            counted = np.ones(at.size, dtype=bool) if spec.ignore_index is None else chosen != spec.ignore_index
            wrong = np.flatnonzero(counted & ((chosen < 0) | (chosen >= classes)))
            if wrong.size:
                raise self._no_classes(at, chosen, wrong, classes)
            own = np.where(counted, chosen, 0)  # an ignored row's is never used
            return Loss(spec.kind, own, None, spec.smoothing, weights, z_loss, gamma)
        if spec.labels is None:
            return None
        labels = self._rows(spec.labels, at, classes, "labels")
        return Loss(spec.kind, None, labels, spec.smoothing, weights, z_loss, gamma)

    def _no_classes(self, at: IntArray, chosen: IntArray, wrong: IntArray, classes: int) -> InputError:
        """That targets are no classes: the first of them, how many others of these rows there are, and what to do."""
        t, others = int(chosen[wrong[0]]), wrong.size - 1
        more = (
            f"; {'neither is that' if others == 1 else 'nor are those'} of {plural(others, 'other')}" if others else ""
        )
        more += f" of these {at.size} rows" if others else ""
        hint = f"targets run from 0 to {classes - 1}"
        if self._settings.loss.ignore_index is None:
            one = (chosen[wrong] == t).all()
            index, where = (t, "the rows with that one") if one else (IGNORED, f"rows whose target is {IGNORED}")
            hint += f"; --ignore-index {index} (ignore_index={index}) leaves out {where}"
        problem = (
            f"target {t} of row {self._number(int(at[wrong[0]]))} is not a class: there are {classes}, counted from 0"
        )
        return InputError(problem + more, hint)

    def _rows(self, given: Sequence[RawRow], at: IntArray, classes: int, option: str) -> FloatArray:
        """The numbers of an option with one row for all, or one for each, [R, C]."""
        if len(given) == 1:
            return np.broadcast_to(self._row(given, int(at[0]), classes, option), (at.size, classes))
        return np.stack([self._row(given, int(i), classes, option) for i in at])

    def _row(self, given: Sequence[RawRow], place: int, classes: int, option: str) -> FloatArray:
        numbers, count = self._settings.numbers, self._count
        what = "labels" if option == "labels" else "the teacher's logits"
        if len(given) == 1:
            raw = given[0]
        elif len(given) == count:
            raw = given[place]
        elif numbers is not None and len(given) > max(numbers):
            raw = given[numbers[place]]  # of a whole batch, of which some rows were chosen
        else:
            raise InputError(
                f"{plural(len(given), f'row of {what}')} for {plural(count, 'row of logits')}",
                "give one row, or one for each",
            )
        if raw.values.size != classes:
            raise InputError(
                f"{plural(raw.values.size, 'label' if option == 'labels' else 'logit of the teacher')} for row "
                f"{self._number(place)} of {plural(classes, 'logit')}",
                f"give one {'label' if option == 'labels' else 'of the teacher'} for each class",
            )
        if option == "labels":
            return _held(raw, self._fmt, option)
        masked: FloatArray = np.where(raw.values == -np.inf, -np.inf, 0.0)
        finite = RawRow(np.where(np.isfinite(masked), raw.values, 0.0), _finite_tokens(raw))
        return _held(finite, self._settings.numerics.given(self._fmt), option) + masked

    def _number(self, place: int) -> int:
        """What the user calls the row at a place."""
        numbers = self._settings.numbers
        return place if numbers is None else numbers[place]

    def ignored(self, at: IntArray) -> BoolArray | None:
        """Which of the rows are left out; None where none can be."""
        index = self._settings.loss.ignore_index
        if self._targets is None or index is None:
            return None
        left_out: BoolArray = self._targets[at] == index
        return left_out

    def scale(self, batch: Batch) -> Fraction:
        """What a reduction multiplies each row's loss by: 1, or 1 over the weight of the rows that count."""
        spec = self._settings.loss
        if spec.reduction not in {"mean", "perplexity"}:
            return Fraction(1)
        if spec.binary:
            total = Fraction(sum(len(b) * b.classes for b in batch.blocks))
        elif self._targets is None:
            total = Fraction(len(batch))
        else:
            counted = self._targets if spec.ignore_index is None else self._targets[self._targets != spec.ignore_index]
            if spec.weights is None:
                total = Fraction(counted.size)
            else:
                w = _held(spec.weights, self._fmt, "class_weights")
                often = np.bincount(counted[(counted >= 0) & (counted < w.size)], minlength=w.size)
                total = sum((Fraction(float(v)) * int(k) for v, k in zip(w, often, strict=True)), Fraction(0))
        return 1 / total if total else Fraction(0)


def targets(settings: Settings, count: int) -> tuple[int, ...] | None:
    """The target of each row; a list for the whole input where only some of its rows were chosen fits too.

    Raises:
        InputError: there are neither as many as rows nor just one.
    """
    given, numbers = settings.loss.target, settings.numbers
    if given is None or len(given) == count:
        return given
    if len(given) == 1:
        return given * count
    if numbers is not None and len(given) > max(numbers):
        return tuple(given[n] for n in numbers)
    raise InputError(
        f"{plural(len(given), 'target')} for {plural(count, 'row')}", "give one target for all rows, or one for each"
    )
