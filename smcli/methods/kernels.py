"""Methods that are code of someone else: logits go in, values come out, and no step is seen."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from smcli.errors import SmcliError, UnavailableError
from smcli.methods import losses, scaling
from smcli.methods.base import RAISED, Method
from smcli.model import IGNORED, required
from smcli.numbers import formats
from smcli.numbers.arithmetic import Arithmetic, Rows
from smcli.quantities import QUANTITIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smcli.model import FloatArray, IntArray, Loss, Problem
    from smcli.numbers.formats import Format
    from smcli.quantities import Quantity


@dataclass(frozen=True, eq=False)
class Task:
    """What a kernel is asked for.

    Attributes:
        problem: the block; its logits are divided by the temperature and capped already.
        asked: the block as it was asked for, with its temperature and soft cap.
        arithmetic: of the format; its notes are for what a user should know of how the values came about.
    """

    problem: Problem
    asked: Problem
    arithmetic: Arithmetic

    @property
    def x(self) -> FloatArray:
        """The logits, float64 [R, C], C-contiguous."""
        return self.problem.logits

    @property
    def format(self) -> Format:
        """The number format that the values are to have."""
        return self.arithmetic.format

    @property
    def loss(self) -> Loss:
        """The loss, of quantities that need one."""
        return required(self.problem.loss)

    @cached_property
    def targets(self) -> IntArray | None:
        """The right class of each row where it alone has weight, int64 [R]; −100 in ignored rows."""
        t = losses.hard_targets(self.loss)
        if t is None or self.problem.ignored is None:
            return t
        return np.where(self.problem.ignored, IGNORED, t)

    @cached_property
    def labels(self) -> FloatArray:
        """The labels with smoothing and class weights, float64 [R, C], numbers of the format."""
        return losses.labels(self.loss, self.x.shape, Arithmetic(self.format, self.format)).values

    @property
    def teacher(self) -> FloatArray:
        """The logits of the teacher, of a Kullback–Leibler divergence, as the own ones are, float64 [R, C]."""
        return np.ascontiguousarray(np.broadcast_to(self.loss.teacher, self.x.shape))  # type: ignore[arg-type]

    @property
    def cotangent(self) -> FloatArray:
        """The vector of a vector-Jacobian product, one for each row, float64 [R, C], of logsumexp [R]."""
        shape = self.x.shape[:1] if self.problem.vjp_of == "logsumexp" else self.x.shape
        return np.ascontiguousarray(np.broadcast_to(self.problem.cotangent, shape))  # type: ignore[arg-type]


class Code(Protocol):
    """The code behind a kernel."""

    @property
    def summary(self) -> str:
        """What it is, in a line."""

    @property
    def reason(self) -> str:
        """Why it cannot run here, or an empty string."""

    @property
    def version(self) -> str:
        """Its version, where it has one."""

    def defines(self, quantity: Quantity) -> bool:
        """Whether it computes that quantity."""

    def answer(self, quantity: Quantity, task: Task) -> NDArray[Any]:
        """The values: R rows of as many as the quantity has, in any shape.

        Raises:
            UnavailableError: not this, or not here. Whatever else it raises is reported as its own.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Kernel(Method):
    """A method whose inside is not seen.

    Attributes:
        code: what it runs.
        group: "libraries" for those that `-m libraries` means, or an empty string.
    """

    code: Code
    group: str = ""

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        return self.code.summary

    @property
    def module(self) -> str:
        """The module of the adapter."""
        return type(self.code).__module__

    @property
    def reason(self) -> str:
        """Why it cannot run here and what to do about that, or an empty string."""
        return self.code.reason

    @property
    def unseen(self) -> bool:
        """Its inside is not seen."""
        return True

    @property
    def version(self) -> str:
        """The version of the library, or an empty string."""
        return self.code.version

    def defines(self, quantity: str) -> bool:
        """Whether the code computes that."""
        return self.code.defines(QUANTITIES[quantity])

    def differentiates(self, loss: str) -> bool:
        """Whether the code has its gradient, of every loss where it does not say which."""
        return loss in getattr(self.code, "gradients", (loss,))

    def compute(self, problem: Problem, quantity: Quantity, o: Arithmetic, step: float | None) -> Rows:  # noqa: ARG002
        """Call the code. Temperature, soft cap and the factor of a reduction are this program's, around it."""
        if self.reason:
            raise UnavailableError(self.reason)
        o = self._own(problem, o)
        x = scaling.enter(problem, o)
        loss = problem.loss
        if loss is not None and loss.teacher is not None:
            loss = replace(loss, teacher=scaling.enter(problem, o, loss.teacher, "t").values)
        inner = replace(problem, logits=np.ascontiguousarray(x.values), temperature=1.0, softcap=None, loss=loss)
        task = Task(inner, problem, o)
        try:
            values = np.asarray(self.code.answer(quantity, task), dtype=np.float64)
        except SmcliError:
            raise
        except Exception as error:
            raise UnavailableError(f"{RAISED}{one_line(error)}", detail=traceback_of(error)) from error
        out = o.given(values.reshape(x.values.shape[0], -1), f"{quantity.formula}({x.expr})")
        if not quantity.is_derivative:
            return out
        return scaling.leave(problem, out, x, o, reduced=quantity.name == "gradient")

    def _own(self, problem: Problem, o: Arithmetic) -> Arithmetic:
        """The arithmetic of the format: such code is handed numbers of it, and computes in what it likes."""
        fmt = formats.get(problem.dtype)
        if fmt.p >= o.format.p:
            return o
        return replace(o, format=fmt, accumulate=fmt)


def one_line(error: BaseException) -> str:
    """An exception in a line: its name, the first line of its message, and where it was raised."""
    said = str(error).strip().splitlines()
    text = type(error).__name__ + (f": {said[0].strip()}" if said else "")
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name})" if frames else text


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception, from the first frame that is not of this program."""
    own, frame = str(Path(__file__).parent.parent), error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(own):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame or error.__traceback__)).rstrip()
