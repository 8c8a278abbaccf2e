"""A user's function as a method."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.errors import UnavailableError, UsageError, nearest
from smcli.methods import batches
from smcli.methods.base import BY_ROW, RAISED, UNASKED
from smcli.methods.kernels import Kernel, one_line, traceback_of
from smcli.methods.streams import aside
from smcli.model import Apart
from smcli.numbers.words import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from smcli.methods.kernels import Task
    from smcli.quantities import Quantity

NATIVE = {"float64", "float32", "float16"}  # formats that NumPy has arrays of
UNREDUCED = "let it return the loss of each row, without a mean or sum over them, which --reduction takes"


def load(name: str) -> Kernel:
    """The method "package.module:function", imported from the working directory or PYTHONPATH.

    Raises:
        UsageError: there is no such module or function, or importing the module failed.
    """
    module_name, _, path = name.partition(":")
    with _from_here():
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise _failed(name, module_name, error) from error
            raise UsageError(
                f"{name}: there is no module {error.name}", "it is looked for in the working directory and PYTHONPATH"
            ) from None
        except Exception as error:
            raise _failed(name, module_name, error) from error
    parts = path.split(".")
    for part, behind in zip(parts, [*parts[1:], ""], strict=True):
        if not hasattr(found, part):
            meant = nearest(part, _leading(found, behind))
            raise UsageError(f"{name}: there is no {part} in {module_name}", f"{meant}write -m module:function")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}, not a function", "write -m module:function")
    return Kernel(name, name, "none", Function(name, found))


def _leading(found: Any, behind: str) -> Iterator[str]:
    """The public names that may have been meant: of functions, or of what has the name behind the next point."""
    for name in dir(found):
        one = None
        with contextlib.suppress(Exception):  # a name that is looked up late may fail in any way
            one = getattr(found, name)
        right = hasattr(one, behind) if behind else callable(one) and not isinstance(one, type)
        if right and not name.startswith("_"):
            yield name


def _failed(name: str, module: str, error: Exception) -> UsageError:
    return UsageError(f"{name}: importing {module} raised {one_line(error)}", detail=traceback_of(error))


@contextlib.contextmanager
def _from_here() -> Iterator[None]:
    """The working directory is where modules are looked for first, and what is printed does not mix with the result."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        with aside():
            yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the user's: f(x), or f(x, target) of what needs a target, f(x, teacher) of a kl.

    Attributes:
        name: what the user typed.
        f: called with an array [R, C] of the format; row by row, [C], where it takes no batch.
    """

    name: str
    f: Callable[..., Any]

    reason = version = ""

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        said = (getattr(self.f, "__doc__", None) or "").strip()
        return said.splitlines()[0] if said else "A function of yours."

    def defines(self, quantity: Quantity) -> bool:  # noqa: ARG002
        """What it computes is for the user to say: the quantities asked for."""
        return True

    def answer(self, quantity: Quantity, task: Task) -> NDArray[Any]:
        """Call it with the whole block, or row by row."""
        return Call(self, quantity, task).values()

    def __reduce__(self) -> tuple[Callable[[str], Function], tuple[str]]:
        return _again, (self.name,)


def _again(name: str) -> Function:
    code = load(name).code
    assert isinstance(code, Function)  # noqa: S101
    return code


@dataclass(frozen=True, eq=False)
class Call:
    """One quantity of a block, asked of a function."""

    function: Function
    quantity: Quantity
    task: Task

    @cached_property
    def given(self) -> tuple[NDArray[Any], ...]:
        """What it is called with: the logits, and with them the targets or labels, or the cotangent."""
        return (self._array(self.task.x), *self._beside())

    def _array(self, values: NDArray[Any]) -> NDArray[Any]:
        name = self.task.format.name
        if name in NATIVE:
            return values.astype(name)
        self.task.arithmetic.notes.append(
            f"given its {name} logits as float32, which is exact; what it returned is rounded to {name}"
        )
        return values.astype(np.float32)

    def _beside(self) -> tuple[NDArray[Any], ...]:
        q = self.quantity
        if q.needs == "cotangent":
            return (self._array(self.task.cotangent),)
        if not (q.is_loss or q.needs):
            return ()
        loss = self.task.problem.loss
        if (q.name if loss is None else loss.kind) == "entropy":
            return ()
        if loss is not None and loss.teacher is not None:
            return (self._array(self.task.teacher),)
        if loss is None:
            raise FinalError(f"for {q.name} {UNASKED}")
        extra = {"label smoothing": loss.smoothing, "class weights": loss.weights is not None, "a z-loss": loss.z_loss}
        own = " and ".join(what for what, there in extra.items() if there)
        if own:
            what = "target" if loss.labels is None else "labels"
            self.task.arithmetic.notes.append(f"called with the {what} alone: to apply {own} is up to it")
        if loss.labels is not None:
            return (self._array(loss.labels),)
        return (np.asarray(loss.target, dtype=np.int64),)

    @property
    def due(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of a row that are right; the first is what an error names."""
        classes = self.task.x.shape[1]
        if self.quantity.shape == "matrix":
            return (classes, classes), (classes * classes,)
        size = self.quantity.size(self.task.problem)
        return ((), (1,)) if size == 1 and self.quantity.shape in {"row", "loss", "target"} else ((size,),)

    def values(self) -> NDArray[Any]:
        """The values of all rows.

        Raises:
            UnavailableError: they have a wrong shape; or the function takes neither the batch nor a row of it: what it made
                of the batch is told first, since that is how it is called.
        """
        self._say_scaled()
        if self.quantity.name == "gradient" and self.task.problem.scale != 1:
            factor = f"1/N = {float(self.task.problem.scale):.6g}"
            self.task.arithmetic.notes.append(
                f"asked for the gradient of each row's own loss, which is multiplied by {factor} of the reduction here"
            )
        with _from_here():
            try:
                batch = self._batch()
            except UnavailableError as error:
                first: Exception = error
            except Exception as error:  # noqa: BLE001 - it is the user's, and may raise anything
                first = error  # it takes no batch, perhaps
            else:
                return batch if self._same_by_row(batch) else self._apart(batch)
            if isinstance(first, FinalError):
                raise first
            try:
                alone = self._row_by_row()
            except Exception as error:
                raise _why(first, error) from error
            if len(alone) > 1:  # of a row that stands alone nobody asked for a batch
                self._note_apart(Apart(first.brief if isinstance(first, OneInAllError) else _said(first)))
            return alone

    def _say_scaled(self) -> None:
        """Note that temperature and soft cap are applied around it."""
        asked, q = self.task.asked, self.quantity
        if asked.temperature == 1 and asked.softcap is None:
            return
        inside = "x" if asked.temperature == 1 else "x/T"
        x = inside if asked.softcap is None else f"cap·tanh({inside}/cap)"
        figures = [f"T = {asked.temperature:g}"] * (asked.temperature != 1)
        figures += [] if asked.softcap is None else [f"cap = {asked.softcap:g}"]
        said = f"given {x} as its logits, {', '.join(figures)}, which it is not to apply again"
        if q.is_derivative:
            by = ["the derivative of the cap"] * (asked.softcap is not None)
            by += [f"1/T = {1 / asked.temperature:.6g}"] * (asked.temperature not in {0, 1})
            said += f"; what it returns is multiplied by {' and '.join(by)} here" if by else ""
        self.task.arithmetic.notes.append(said)

    def _apart(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The values of the rows alone, with the note that the batch gave others."""
        alone = self._row_by_row()
        looks = batches.looks_like(self.quantity, batch, alone, self.task.format.unit_roundoff)
        self._note_apart(Apart(f"the batch gave other values{': ' if looks else ''}{looks}", batch, alone))
        return alone

    def _note_apart(self, apart: Apart) -> None:
        self.task.arithmetic.apart.append(apart)
        self.task.arithmetic.notes.append(f"{BY_ROW}: {'with the batch ' * (apart.batch is None)}{apart}")

    def _batch(self) -> NDArray[Any]:
        """What it makes of all rows at once [R, N]."""
        rows, values = self.task.x.shape[0], self._ask(*self.given)
        if rows == 1 and values.size == 1 and () in self.due:
            values = values.reshape(1)  # a mean over one row is that row's
        if any(values.shape == (rows, *shape) for shape in self.due):
            return values.reshape(rows, -1)
        if values.size == 1 and () in self.due:
            raise OneInAllError(rows, self.quantity.name)
        raise UnavailableError(
            f"it returned the shape {_text(values.shape)} for {plural(rows, 'row')} of {self.task.x.shape[1]} logits"
        )

    def _row_by_row(self) -> NDArray[Any]:
        return np.stack([self._row(r) for r in range(self.task.x.shape[0])])

    def _ask(self, *given: Any) -> NDArray[Any]:
        """Call it with copies, since it may write into them."""
        out = self.function.f(*(np.array(a) if isinstance(a, np.ndarray) else a for a in given))
        if hasattr(out, "detach") and hasattr(out, "double"):  # a torch tensor, which may require grad or be bfloat16
            out = out.detach().double().cpu().numpy()
        values = np.asarray(out)
        if values.dtype.name in NATIVE and values.dtype.itemsize > given[0].dtype.itemsize:
            name = self.task.format.name
            self.task.arithmetic.notes.append(f"returned {values.dtype}; its values are rounded to {name}")
        return values.astype(np.float64)

    def _same_by_row(self, batch: NDArray[Any]) -> bool:
        """Whether two rows alone give about what they gave in the batch: else it is a function of one row.

        Such functions (e / e.sum()) take a batch without a word, and mean something else by it.
        """
        x = self.given[0]
        for r in {0, int(np.argmin(np.where(np.isnan(x), np.inf, x).max(axis=1)))}:
            try:
                alone = self._ask(*(a[r] for a in self.given))
            except Exception:  # noqa: BLE001
                return True
            if alone.shape not in self.due:
                return True
            if batches.differ(batch[r : r + 1], alone.reshape(1, -1)).any():
                return False
        return True

    def _row(self, r: int) -> NDArray[Any]:
        values = self._ask(*(a[r] for a in self.given))
        if values.shape not in self.due:
            raise UnavailableError(
                f"it returned the shape {_text(values.shape)} for a row of {self.task.x.shape[1]} "
                f"logits, where {self.quantity.name} has the shape {_text(self.due[0])}"
            )
        return values.ravel()


class FinalError(UnavailableError):
    """Why a function cannot be asked, whatever it would make of a row alone."""


class OneInAllError(UnavailableError):
    """A function returned one value where each row has one: a loss that is reduced, unless it takes rows alone."""

    def __init__(self, rows: int, quantity: str) -> None:
        self.brief = f"it returned one value for {rows} rows"
        super().__init__(f"{self.brief}, where {quantity} has one for each: {UNREDUCED}")


def _why(first: Exception, then: Exception) -> UnavailableError:
    """Why a function took neither the batch nor a row alone: what it made of the batch, and then of a row.

    A shape that is wrong for both is told of the row, which has fewer axes to misread.
    """
    if (
        isinstance(first, UnavailableError)
        and isinstance(then, UnavailableError)
        and not isinstance(first, OneInAllError)
    ):
        return then
    if isinstance(first, OneInAllError):
        return UnavailableError(first.message, detail="" if isinstance(then, UnavailableError) else traceback_of(then))
    said, alone = _said(first), _said(then)
    also = "" if alone == said else f"; with a row alone {alone}"
    return UnavailableError(
        f"{said}{also}", detail=traceback_of(then if isinstance(first, UnavailableError) else first)
    )


def _said(error: Exception) -> str:
    return error.message if isinstance(error, UnavailableError) else f"{RAISED}{one_line(error)}"


def _text(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
