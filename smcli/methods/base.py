"""What a method is, how it is run, and how one is registered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from smcli.errors import UnavailableError
from smcli.model import required
from smcli.numbers import formats
from smcli.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smcli.model import Apart, FloatArray, Problem
    from smcli.numbers.arithmetic import Arithmetic, Rows, Step
    from smcli.problem.specs import Settings
    from smcli.quantities import Quantity

Backward = Literal["composed", "fused", "autograd", "differences", "none"]
T = TypeVar("T", bound=type)
RAISED = "it raised "  # how the reason begins where code failed
UNASKED = "it is called with a target, and there is none"  # how the reason ends where code was not called at all
BY_ROW = "called row by row, and these values are judged"  # how the note begins of which SM410 or SM411 tells more

OUTPUT = "output"  # the name of values that other code computed


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Method(ABC):
    """Something that computes quantities of a block of rows.

    Attributes:
        name: what the user types.
        source: who describes or ships it.
        backward: how its gradient is computed: "composed" goes back through every step of the forward pass,
            "fused" is p·Σy − y at once, "autograd" is a library's own, "differences" evaluates the loss beside
            each logit, "none" has no gradient.
    """

    name: str
    source: str
    backward: Backward

    @property
    @abstractmethod
    def summary(self) -> str:
        """What it does, in a line."""

    @property
    @abstractmethod
    def module(self) -> str:
        """The module that it is written in."""

    @property
    def reason(self) -> str:
        """Why it cannot run here and what to do about that, or an empty string where it can."""
        return ""

    @property
    def version(self) -> str:
        """The version of the library behind it, or an empty string."""
        return ""

    @property
    def final(self) -> bool:
        """Whether its values stand as they are, those of ignored rows too."""
        return False

    @property
    def unseen(self) -> bool:
        """Whether its inside is not seen: what stands in its trace is done around it."""
        return False

    @abstractmethod
    def defines(self, quantity: str) -> bool:
        """Whether it computes the quantity of that name."""

    def differentiates(self, loss: str) -> bool:  # noqa: ARG002
        """Whether it has the gradient of the loss of that name, where it has gradients at all."""
        return True

    def suits(self, problem: Problem, quantity: str) -> bool:
        """Whether it computes the quantity of this problem, with all that belongs to it."""
        loss = problem.loss
        differentiates = quantity != "gradient" or loss is None or self.differentiates(loss.kind)
        return differentiates and self.defines(quantity)

    @abstractmethod
    def compute(self, problem: Problem, quantity: Quantity, o: Arithmetic, step: float | None) -> Rows:
        """The values of a quantity that it defines, [R, N] or what broadcasts to that; arguments as in `run`."""

    def bound(self, problem: Problem, quantity: str, settings: Settings) -> FloatArray | None:  # noqa: ARG002
        """A bound of the error of every value of a row, in ulp at the truth, that holds before anything is computed.

        Returns:
            float64 [R], nan for rows that no bound is known of; or None where none is of the quantity.
        """
        return None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Formula(Method):
    """A method written in the arithmetic of a format, which sees each of its steps.

    The algorithm's methods are its formulas, (x, arithmetic) -> Rows, under the names that `Quantity.formula` gives;
    those of quantities that need labels take them second. It may also carry

    - `backward(loss, x, o)`: the gradient of the loss by the logits, where the usual passes do not fit;
    - `derivative(problem, quantity, o, step)`: all derivatives, in place of a backward pass;
    - `bound(quantity, sizes)`: its a-priori bounds (`methods.bounds`);
    - `losses`: the names of the losses that it differentiates, where it does not all.
    """

    algorithm: Any

    @property
    def summary(self) -> str:
        """The first line of the algorithm's docstring."""
        return (self.algorithm.__doc__ or "").strip().splitlines()[0]

    @property
    def module(self) -> str:
        """The module of the algorithm."""
        return type(self.algorithm).__module__

    def defines(self, quantity: str) -> bool:
        """Whether the algorithm has its formula, or goes backward."""
        q = QUANTITIES[quantity]
        if not q.is_derivative:
            return hasattr(self.algorithm, q.formula)
        of_softmax = any(hasattr(self.algorithm, name) for name in ("softmax", "log_softmax", "derivative"))
        return self.backward != "none" and (of_softmax or quantity == "gradient")

    def differentiates(self, loss: str) -> bool:
        """Whether the algorithm differentiates it: every loss, where it does not say which."""
        return loss in getattr(self.algorithm, "losses", (loss,))

    def suits(self, problem: Problem, quantity: str) -> bool:
        """As of every method; a logsumexp with coefficients has a formula of its own."""
        signed = quantity == "logsumexp" and problem.coefficients is not None
        return Method.suits(self, problem, quantity) and (not signed or hasattr(self.algorithm, "signed_logsumexp"))

    def compute(self, problem: Problem, quantity: Quantity, o: Arithmetic, step: float | None) -> Rows:
        """Evaluate the formula, the loss made of it, or its derivative."""
        return o.cast(self._inside(problem, quantity, o, step), formats.get(problem.dtype))

    def _inside(self, problem: Problem, quantity: Quantity, o: Arithmetic, step: float | None) -> Rows:
        from smcli.methods import backward, losses, scaling

        x = scaling.enter(problem, o)
        if not quantity.is_derivative:
            return losses.value(self.algorithm, problem, quantity, x, o)
        if quantity.name == "gradient" and not self.differentiates(kind := required(problem.loss).kind):
            raise UnavailableError(f"it has no {kind} to differentiate")
        if hasattr(self.algorithm, "derivative"):
            values: Rows = self.algorithm.derivative(problem, quantity, o, step)
            return values
        return backward.derivative(self.algorithm, self.backward, problem, quantity, x, o)

    def bound(self, problem: Problem, quantity: str, settings: Settings) -> FloatArray | None:
        """The algorithm's own bound, where it carries one and the problem is one that it speaks of."""
        from smcli.methods import bounds

        if not hasattr(self.algorithm, "bound"):
            return None
        fmt = formats.get(problem.dtype)
        inner = settings.numerics.inner(fmt)
        inside = bounds.in_ulp(self.algorithm.bound, problem, quantity, inner, settings)
        return inside if inside is None or inner == fmt else bounds.rounded(inside, problem, inner, fmt)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Run:
    """What one method returned for one quantity of a block, and how it got there.

    Attributes:
        method: the method's name.
        values: float64 [R, N], numbers of the format.
        steps: the trace.
        version: of the library behind the method, or an empty string.
        notes: what a user should know of how the values came about.
        around: whether the steps are what is done around code that is not seen.
        apart: of code that was asked row by row, why; else None.
    """

    method: str
    values: FloatArray
    steps: Sequence[Step] = ()
    version: str = ""
    notes: tuple[str, ...] = ()
    around: bool = False
    apart: Apart | None = None

    @property
    def unseen(self) -> bool:
        """Whether nobody knows by which steps the values came about."""
        return self.around or not self.steps

    @property
    def unrounded(self) -> FloatArray:
        """The values before the last rounding, where the arithmetic was wider than the format [R, N]."""
        cast = self.steps[-1] if self.steps else None
        return self.values if cast is None or cast.op != "cast" else np.broadcast_to(cast.inputs[0], self.values.shape)


def run(method: Method, problem: Problem, quantity: str, o: Arithmetic, step: float | None = None) -> Run:
    """Compute one quantity of a block by one method.

    Args:
        method: it defines the quantity.
        problem: the block.
        quantity: its name; "gradient" is of `problem.loss`.
        o: a fresh arithmetic, whose trace the result carries.
        step: of finite differences, or None for the usual one.

    Raises:
        UnavailableError: the method cannot run here, or not in this format; why, in words that follow its name.
    """
    q = QUANTITIES[quantity]
    with np.errstate(all="ignore"):
        out = method.compute(problem, q, o, step)
        values = np.broadcast_to(out.values, (problem.logits.shape[0], q.size(problem)))
        if q.zero_when_ignored and problem.ignored is not None and not method.final:
            values = np.where(problem.ignored[:, None], 0.0, values)
    notes = tuple(dict.fromkeys(o.notes))
    apart = o.apart[0] if o.apart else None
    return Run(method.name, np.ascontiguousarray(values), o.steps, method.version, notes, method.unseen, apart)


REGISTRY: dict[str, Method] = {}


def method(name: str, *, source: str, backward: Backward = "composed") -> Callable[[T], T]:
    """Register the decorated class as the algorithm of that name."""

    def register(algorithm: T) -> T:
        REGISTRY[name] = Formula(name, source, backward, algorithm())
        return algorithm

    return register
