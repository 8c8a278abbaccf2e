"""Python objects: nested lists and arrays become rows, each element a number and what a float64 would lose of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.batch import Batch
from smcli.errors import InputError
from smcli.numbers.words import parse, show
from smcli.read._arrays import FORMATS, HINT, block, check, is_exact, ratio, refusal
from smcli.read._gather import Gather

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

_MAX_DEPTH = 64  # as many axes as a NumPy array may have

Element = tuple[float, str | None]  # the nearest float64, and a token where that is not exact
Shape = tuple[int, ...]  # -1 where lengths differ


def read(obj: object, axis: int | None = None) -> Batch:
    """The rows of a number, a list, nested lists, or anything with `__array__` or DLPack.

    Raises:
        InputError: naming row and index of what is not a number.
    """
    if is_array(obj) and is_list(obj):
        array = as_array(obj)
        if array.dtype.kind != "O":
            check(array.dtype, array.shape, "the array")
            dtype = _format(obj, array)
            origin = f"the {_word(obj)}'s dtype" if dtype else ""
            return Batch((block(array, "the array", axis),), dtype, origin, shape=array.shape)
    nested = Nested(Gather("the list"), element)
    nested.take(obj if is_list(obj) else [obj])
    blocks = nested.gather.blocks(nested.shape(), axis)
    dtype = next(iter(nested.formats)) if len(nested.formats) == 1 else None
    return Batch(blocks, dtype, "the dtype of its elements" if dtype else "", shape=nested.shape())


class Nested:
    """Gathers the rows of nested lists.

    Attributes:
        gather: the rows.
        formats: the number formats of the arrays and NumPy scalars among them, None for other numbers.
    """

    def __init__(self, gather: Gather, element: Callable[[Any], Element], exact: Collection[type] = (float,)) -> None:
        self.gather = gather
        self.formats: set[str | None] = set()
        self._element = element
        self._exact = set(exact)  # types whose values a float64 holds
        self._shapes: list[Shape] = []

    def take(self, items: Any, place: str = "") -> None:
        """Gather the rows of one list. `place` ends a message.

        Raises:
            InputError: numbers and lists are mixed in one list, a list is empty, or something is not a number.
        """
        self._shapes = [*self._shapes[:1], self._lists(items, place, "", 1)]

    def shape(self) -> Shape | None:
        """The shape of all that was taken, when it was one regular list."""
        return self._shapes[0] if len(self._shapes) == 1 and -1 not in self._shapes[0] else None

    def _lists(self, items: Any, place: str, path: str, depth: int) -> Shape:
        where = f" at {path}{place}" if path else place
        if depth > _MAX_DEPTH:
            raise InputError(f"lists are nested deeper than {_MAX_DEPTH}{place}", HINT)
        if is_array(items):
            array = as_array(items)
            if array.dtype.kind != "O":
                return self._array(items, array, where)
            items = array.tolist()
        if not len(items):
            raise InputError(f"no logits: an empty list{where}", HINT)
        lists = sum(map(is_list, items))
        if not lists:
            self._row(items, place)
            return (len(items),)
        if lists < len(items):
            raise InputError(f"numbers and lists stand side by side in one list{where}", HINT)
        shapes = {self._lists(item, place, f"{path}[{i}]", depth + 1) for i, item in enumerate(items)}
        first = next(iter(shapes))
        return (len(items), *(first if len(shapes) == 1 else (-1,)))

    def _array(self, obj: Any, array: NDArray[Any], where: str) -> Shape:
        check(array.dtype, array.shape, f"the array{where}")
        self.formats.add(_format(obj, array))
        values, tokens = block(array, "the array").take()
        for row, numbers in enumerate(values):
            some = (tokens[row] if tokens else None) or ()
            self.gather.add_values(numbers.tolist(), dict(enumerate(some)))
        return array.shape

    def _row(self, items: Sequence[Any], place: str) -> None:
        kinds = set(map(type, items))
        if kinds <= self._exact:
            self.gather.add_values(items)
            self.formats.add(None)
            return
        values, texts = [], {}
        for index, item in enumerate(items):
            try:
                value, token = self._element(item)
            except ValueError as error:
                problem = f"logit {index} of row {self.gather.row}: {error}{place}"
                raise InputError(problem, HINT) from None
            values.append(value)
            if token is not None:
                texts[index] = token
        self.gather.add_values(values, texts)
        self.formats |= {_format(item, None) if is_array(item) else None for item in items}


def _format(obj: Any, array: NDArray[Any] | None) -> str | None:
    """The number format of an array, a tensor or a NumPy scalar."""
    dtype = getattr(obj, "dtype", None if array is None else array.dtype)
    name = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
    return name if name in FORMATS else None


def _word(obj: object) -> str:
    return "tensor" if type(obj).__name__.endswith("Tensor") else "array"


def element(item: Any) -> Element:
    """One Python number: int, float, Decimal, Fraction, a NumPy scalar, or anything that gives an exact ratio.

    Raises:
        ValueError: it is none; the text says what it is.
    """
    if isinstance(item, float):
        return float(item), None
    if isinstance(item, bool):
        raise ValueError(f"{item} is not a number")  # noqa: TRY004 - the caller adds the place
    if isinstance(item, str):
        raise ValueError(f"{show(item)} is text, not a number")  # noqa: TRY004
    if isinstance(item, Decimal):
        return (math.nan, None) if item.is_nan() else (parse(str(item)), str(item))
    if isinstance(item, np.generic) or is_array(item):
        array = as_array(item)
        if array.dtype.kind == "O":
            return element(array.item())
        if problem := refusal(array.dtype):
            raise ValueError(f"{problem} are not numbers")
        values, tokens = block(array.reshape(1), "").take()
        return float(values[0, 0]), tokens[0][0] if tokens and tokens[0] else None
    return _ratio(item)


def _ratio(item: Any) -> Element:
    """A number that gives its exact ratio; infinities and nan have none."""
    try:
        top, bottom = map(int, item.as_integer_ratio())
    except (OverflowError, ValueError):
        return float(item), None
    except (AttributeError, TypeError):
        raise ValueError(f"{type(item).__name__} is not a number") from None
    if not top:
        return float(item), None
    try:
        value = top / bottom
    except OverflowError:
        value = math.inf if top > 0 else -math.inf
    return value, None if is_exact(value, top, bottom) else ratio(top, bottom)


def is_list(item: object) -> bool:
    """Whether it holds further elements: a sequence that is not text, or an array with an axis."""
    if isinstance(item, (list, tuple)):
        return True
    if isinstance(item, (float, int, str, bytes, bytearray, np.generic)):
        return False
    return getattr(item, "ndim", 1) > 0 and (is_array(item) or isinstance(item, Sequence))


def is_array(item: object) -> bool:
    """Whether NumPy can take it as an array: it has `__array__` or DLPack."""
    return hasattr(type(item), "__array__") or hasattr(type(item), "__dlpack__")


def as_array(obj: Any) -> NDArray[Any]:
    """A NumPy array of it, its values unchanged; a torch tensor may need a gradient, be bfloat16, or be on a device.

    Raises:
        InputError: there is none, or some of it is masked.
    """
    if isinstance(obj, np.ma.MaskedArray) and np.ma.is_masked(obj):
        raise InputError("some logits are masked: what they are is not known", "fill them: array.filled(-np.inf)")
    ways: list[Callable[[], Any]] = [
        lambda: np.asarray(obj) if hasattr(type(obj), "__array__") else np.from_dlpack(obj),
        lambda: np.asarray(obj.detach().cpu()),
        lambda: np.asarray(obj.detach().cpu().float()),
    ]
    problem = ""
    for way in ways:
        try:
            array: NDArray[Any] = way()
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
            problem = problem or str(error)
        else:
            return array
    raise InputError(f"the {type(obj).__name__} cannot be taken as an array: {show(problem, 200)}", HINT)
