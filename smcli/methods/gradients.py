"""Losses and derivatives as the methods compute them: forward pass to loss, composed and fused backward passes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from smcli.errors import PrecisionError
from smcli.methods import Method, Run, bigfloat, method, softmax  # noqa: F401 - fd is listed after theirs
from smcli.numbers.arithmetic import Arithmetic, Rows

if TYPE_CHECKING:
    from smcli.model import FloatArray, Loss, Problem
    from smcli.numbers.formats import Format

MOST_DIFFERENCES = 4096  # finite differences evaluate the loss twice a class


def run(m: Method, problem: Problem, quantity: str, o: Arithmetic, step: float | None = None) -> Run:
    """Compute one quantity of a block by one method.

    Args:
        m: the method; it defines the quantity.
        problem: the block.
        quantity: as on the command line; "gradient" is of `problem.loss`.
        o: a fresh arithmetic, whose trace the result carries.
        step: of finite differences, or None for the usual one.
    """
    with np.errstate(all="ignore"):
        x = prepare(problem, o)
        if quantity in {"gradient", "jacobian", "vjp"}:
            out = _derivative(m, problem, quantity, x, o, step)
        else:
            out = _value(m, problem, quantity, x, o)
        values = np.broadcast_to(out.values, _shape(problem, quantity))
        if problem.ignored is not None and quantity in {"cross-entropy", "bce", "gradient"}:
            values = np.where(problem.ignored[:, None], 0.0, values)
    return Run(m.name, np.ascontiguousarray(values), o.steps)


def _shape(problem: Problem, quantity: str) -> tuple[int, int]:
    rows, classes = problem.logits.shape
    if quantity == "logsumexp" or (quantity == "cross-entropy" and problem.loss is not None):
        return rows, 1
    return rows, classes**2 if quantity == "jacobian" else classes


def prepare(problem: Problem, o: Arithmetic) -> Rows:
    """The logits as the method meets them: divided by the temperature and capped, in the format."""
    x = Rows(problem.logits, "x")
    if problem.temperature != 1:
        x = Rows(o.div(x, o.const(problem.temperature, "T")).values, "(x/T)")
    if problem.softcap is not None:
        cap = o.const(problem.softcap, "cap")
        x = Rows(o.mul(cap, o.tanh(o.div(x, cap))).values, "y")
    return x


def _value(m: Method, problem: Problem, quantity: str, x: Rows, o: Arithmetic) -> Rows:
    algorithm, loss = m.algorithm, problem.loss
    if quantity == "bce":
        assert loss is not None and loss.labels is not None  # noqa: S101 - the command line asks for labels first
        result: Rows = algorithm.bce(x, o.given(loss.labels, "y"), o)
        return result
    if quantity == "cross-entropy":
        log_p = algorithm.log_softmax(x, o)
        if loss is None:
            return o.neg(log_p)
        value = _cross_entropy(loss, log_p, problem.logits.shape, o)
        if loss.z_loss:
            z = algorithm.logsumexp(x, o) if m.defines("logsumexp") else _lse(x, o)
            value = o.add(value, o.mul(o.const(loss.z_loss, "z"), o.mul(z, z)))
        return value
    other: Rows = getattr(algorithm, quantity.replace("-", "_"))(x, o)
    return other


def labels(loss: Loss, shape: tuple[int, ...], o: Arithmetic) -> Rows:
    """The label vector of each row [R, C]: one-hot or soft, smoothed, times the class weights, in the format."""
    if loss.labels is not None:
        y = o.given(loss.labels, "y")
    else:
        hot = np.zeros(shape)
        assert loss.target is not None  # noqa: S101 - a Loss has one of the two
        hot[np.arange(shape[0]), np.maximum(loss.target, 0)] = 1.0
        y = Rows(hot, "y")
    if loss.smoothing:
        kept, spread = o.const(1 - loss.smoothing, "(1 − E)"), o.const(loss.smoothing / shape[1], "E/K")
        y = Rows(o.add(o.mul(y, kept), spread).values, "y'")
    if loss.weights is not None:
        y = o.mul(o.given(np.broadcast_to(loss.weights, shape), "w"), y)
    return y


def _hard(loss: Loss) -> bool:
    return loss.target is not None and not loss.smoothing


def _cross_entropy(loss: Loss, log_p: Rows, shape: tuple[int, ...], o: Arithmetic) -> Rows:
    if not _hard(loss):
        return o.neg(o.sum(o.mul(labels(loss, shape, o), log_p)))
    assert loss.target is not None  # noqa: S101 - _hard
    t = np.maximum(loss.target, 0)
    rows = np.arange(t.size)
    value = o.neg(Rows(log_p.values[rows, t][:, None], f"{log_p.expr}[t]"))
    if loss.weights is not None:
        value = o.mul(o.given(np.asarray(loss.weights)[t][:, None], "w[t]"), value)
    return value


def _derivative(m: Method, problem: Problem, quantity: str, x: Rows, o: Arithmetic, step: float | None) -> Rows:
    if m.derivatives_only:
        return _differences(problem, quantity, o, step)
    if quantity == "gradient":
        loss = problem.loss
        assert loss is not None  # noqa: S101 - the command line asks for a target first
        g = _bce_backward(m, loss, x, o) if loss.kind == "bce" else _backward(m, loss, x, o)
        return _through_scaling(problem, g, x, o)
    p = _probabilities(m, x, o)
    classes = p.values.shape[1]
    if quantity == "vjp":
        v = o.given(np.broadcast_to(problem.cotangent, p.values.shape), "v")  # type: ignore[arg-type]
        g = o.mul(p, o.sub(v, o.sum(o.mul(v, p))))
        return _through_scaling(problem, g, x, o, scale=False)
    column = Rows(np.repeat(p.values, classes, axis=1), "p_i")
    row = Rows(np.tile(p.values, (1, classes)), "p_j")
    off = o.neg(o.mul(column, row))
    on = o.mul(p, o.sub(o.const(1), p))
    values = off.values.copy()
    values[:, :: classes + 1] = on.values
    return _through_scaling(problem, Rows(values, "J"), x, o, scale=False)


def _probabilities(m: Method, x: Rows, o: Arithmetic) -> Rows:
    """The softmax that a backward pass uses: the method's own, or exp of its log-softmax."""
    if m.defines("softmax"):
        p: Rows = m.algorithm.softmax(x, o)
    else:
        p = o.exp(m.algorithm.log_softmax(x, o))
    return Rows(p.values, "p")


def _backward(m: Method, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
    p = _probabilities(m, x, o)
    y = labels(loss, p.values.shape, o)
    if m.backward == "composed":
        v = o.neg(o.div(y, p))
        if m.name == "clipped":  # the clip passes a derivative only between its bounds
            low, high = o.const(1e-7).values, o.format.round(np.array(1 - o.const(1e-7).values))
            v = Rows(np.where((p.values < low) | (p.values > high), 0.0, v.values), "v")
        else:
            v = Rows(v.values, "v")
        g = o.mul(p, o.sub(v, o.sum(o.mul(v, p))))
    elif _hard(loss) and loss.weights is None:
        g = o.sub(p, y)
    else:
        g = o.sub(o.mul(p, o.sum(y)), y)
    if loss.z_loss:
        lse = m.algorithm.logsumexp(x, o) if m.defines("logsumexp") else _lse(x, o)
        g = o.add(g, o.mul(o.mul(o.const(2 * loss.z_loss, "2z"), lse), p))
    return g


def _lse(x: Rows, o: Arithmetic) -> Rows:
    top = o.max(x)
    return o.add(top, o.log(o.sum(o.exp(o.sub(x, top)))))


def _bce_backward(m: Method, loss: Loss, x: Rows, o: Arithmetic) -> Rows:
    one = o.const(1)
    y = o.given(loss.labels, "y")  # type: ignore[arg-type]
    p = o.div(one, o.add(one, o.exp(o.neg(x))), "sigmoid(x)")
    if m.backward == "fused":
        return o.sub(p, y)
    if m.name == "clipped":
        low = o.const(1e-7, "ε")
        high = o.sub(one, low)
        inside = (p.values >= low.values) & (p.values <= high.values)
    else:
        inside = np.ones(p.values.shape, dtype=bool)
    by_p = o.sub(o.div(o.sub(one, y), o.sub(one, p)), o.div(y, p))
    by_p = Rows(np.where(inside, by_p.values, 0.0), "v")
    return o.mul(by_p, o.mul(p, o.sub(one, p)))


def _through_scaling(problem: Problem, g: Rows, x: Rows, o: Arithmetic, *, scale: bool = True) -> Rows:
    """Back through the soft cap, the temperature and the factor of a reduction."""
    if problem.softcap is not None:
        t = o.div(x, o.const(problem.softcap, "cap"))
        factor = o.sub(o.const(1), o.mul(t, t), "1 − tanh²")
        repeat = g.values.shape[1] // factor.values.shape[1]
        g = o.mul(g, Rows(np.tile(factor.values, (1, repeat)), factor.expr))
    if problem.temperature != 1:
        g = o.div(g, o.const(problem.temperature, "T"))
    if scale and problem.scale != 1:
        g = o.mul(g, o.const(float(problem.scale), "1/N"))
    return g


@method("fd", source="central differences of the fused loss", backward="fused", derivatives_only=True)
class FiniteDifferences:
    """Central finite differences, (f(x + h) − f(x − h)) / 2h: truncation falls with h, rounding grows."""


def default_step(fmt: Format) -> float:
    """The step relative to 1 + |x|, a power of two near the cube root of the unit roundoff."""
    return math.ldexp(1.0, round(math.log2(fmt.unit_roundoff) / 3))


def _differences(problem: Problem, quantity: str, o: Arithmetic, step: float | None) -> Rows:
    rows, classes = problem.logits.shape
    if classes > MOST_DIFFERENCES:
        raise PrecisionError(
            f"finite differences of {classes} classes need {2 * classes} evaluations of the loss a row",
            f"fd takes rows of at most {MOST_DIFFERENCES} classes; leave it out of --method",
        )
    f = o.format
    base = default_step(f) if step is None else step
    x = problem.logits
    h = f.round(
        base * np.exp2(np.ceil(np.log2(1 + np.abs(np.where(np.isfinite(x), x, 0.0))))) if step is None else base + 0 * x
    )
    up, down = f.round(x + h), f.round(x - h)
    spread = f.round(up - down)
    out = np.empty((rows, classes if quantity != "jacobian" else classes**2))
    for r in range(rows):
        ends = []
        for moved in (up, down):
            block = np.repeat(x[r : r + 1], classes, axis=0)
            np.fill_diagonal(block, moved[r])
            ends.append(_evaluate(problem, r, quantity, block, o))
        difference = f.round(ends[0] - ends[1])
        out[r] = f.round(difference / spread[r][:, None]).T.reshape(-1)
    o.sub(Rows(up, "x + h"), Rows(down, "(x − h)"))
    return Rows(out, "(f(x + h) − f(x − h))/2h")


def _evaluate(problem: Problem, row: int, quantity: str, block: FloatArray, o: Arithmetic) -> FloatArray:
    """The loss [C, 1], or the softmax [C, C], of C copies of a row with one logit moved in each."""
    from dataclasses import replace

    from smcli.methods import get

    def pick(a: FloatArray | None) -> FloatArray | None:
        return None if a is None else np.repeat(a[row : row + 1], block.shape[0], axis=0)

    quiet = Arithmetic(o.format, o.accumulate, o.order)
    part = replace(problem, logits=block, ignored=None)
    if quantity in {"jacobian", "vjp"}:
        p = run(get("shifted"), replace(part, loss=None), "softmax", quiet).values
        if quantity == "jacobian":
            return p
        weighted = quiet.mul(Rows(p, "p"), quiet.given(np.broadcast_to(problem.cotangent, p.shape), "v"))  # type: ignore[arg-type]
        return quiet.sum(weighted).values
    loss = problem.loss
    assert loss is not None  # noqa: S101 - gradients need a loss
    part = replace(part, loss=replace(loss, target=pick(loss.target), labels=pick(loss.labels)))  # type: ignore[arg-type]
    name = "bce" if loss.kind == "bce" else "cross-entropy"
    values = run(get("fused"), part, name, quiet).values
    if loss.kind == "bce":
        values = np.diagonal(values)[:, None]
    return o.format.round(values * float(problem.scale))
