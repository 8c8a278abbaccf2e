"""A loss that is watched: the same call and value; where a result is not finite, the evidence is kept and told."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from smcli.api.calls import Settings, arguments, compiler, concrete, symbolic
from smcli.model import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from smcli.api.calls import Given
    from smcli.batch import Batch
    from smcli.model import RowReport

P = ParamSpec("P")
T = TypeVar("T")
TOGETHER = 1 << 20  # logits that are looked at together
MOST = 1 << 16  # numbers of files that are tried
WRITTEN = 32  # class weights that the command repeats


class Watched:
    """A function under watch; everything but the call itself is the function's own."""

    def __init__(self, f: Callable[..., Any], directory: str | os.PathLike[str], limit: int) -> None:
        self.__wrapped__ = f
        self.__name__ = getattr(f, "__name__", type(f).__name__)
        self.__doc__ = f.__doc__
        self._directory, self._left = os.fspath(directory), limit
        self._lock = threading.Lock()
        self._compiling, self._say_once = compiler(self.__name__, _say)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; where its result holds nan or an infinity, keep the first two arguments."""
        result = self.__wrapped__(*args, **kwargs)
        if self._compiling():  # what would look at values would break the graph
            self._say_once()
            return result
        if self._left > 0:
            try:
                self._look(result, args, kwargs)
            except Exception as error:  # noqa: BLE001 - the training goes on, whatever goes wrong here
                _say([f"{type(error).__name__}: {' '.join(str(error).split())}"])
        return result

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def _look(self, result: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        result = concrete(result)
        if symbolic(result):
            self._say_once()
            return
        bad = _not_finite(result)
        if bad is None:
            return
        with self._lock:
            if self._left <= 0:
                return
            self._left -= 1
        call = arguments(self.__wrapped__, args, kwargs)
        if not call.values:
            _say(
                [
                    f"{self.__name__} returned {_first(_array(bad))}, called without arguments: there are no logits to look at"
                ]
            )
            return
        case = _Case.of(self.__name__, call, Settings(self.__wrapped__, kwargs))
        path = case.save(self._directory)
        _say(case.told(path, _array(bad)))


def watch(f: Callable[P, T], directory: str | os.PathLike[str], limit: int) -> Callable[P, T]:
    """What `smcli.watch` returns."""
    return Watched(f, directory, limit)


def _not_finite(result: Any) -> Any:
    """The result where some number of it is not finite, of several the first such one, as (loss, accuracy); else None.

    One pass over it, on the device where it is.
    """
    if isinstance(result, (tuple, list, dict)):
        each = result.values() if isinstance(result, dict) else result
        return next((bad for one in each if (bad := _not_finite(concrete(one))) is not None), None)
    return None if _finite(result) else result


def _finite(result: Any) -> bool:
    if isinstance(result, (float, int)):
        return math.isfinite(result)
    if hasattr(result, "detach") and hasattr(result, "isfinite"):  # a torch tensor
        return bool(result.detach().isfinite().all())
    import numpy as np

    return bool(np.isfinite(np.asarray(result)).all())


def _first(values: NDArray[Any]) -> Any:
    """The first number that is not finite."""
    import numpy as np

    return values[~np.isfinite(values)].flat[0]


def _array(obj: Any) -> NDArray[Any]:
    """A NumPy array of an argument that keeps nothing of it alive; bfloat16 and float8 as float32, which is exact."""
    import numpy as np

    from smcli.read import array_of

    found = array_of(obj)
    array = np.array(obj if found is None else found)
    return array.astype(np.float32) if array.dtype.name.startswith(("bfloat16", "float8")) else array


@dataclass(frozen=True, eq=False, repr=False)
class _Case:
    """The arguments of a call whose result was not finite.

    Attributes:
        name: of the function.
        logits: with the classes as the last axis.
        target: of its rows: classes, or labels of the same shape; or None.
        dtype: the number format that the logits were in, where the array is of another.
        options: what the command has to repeat of the call.
        weights: a factor for each class, or None.
        taken: what of the call was taken as logits and target, in words.
        aside: the names of what else it was called with.
    """

    name: str
    logits: NDArray[Any]
    target: NDArray[Any] | None
    dtype: str | None
    options: tuple[str, ...]
    weights: list[float] | None = None
    taken: str = ""
    aside: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, call: Given, settings: Settings) -> _Case:
        """What the logits and the target of a call are.

        Raises:
            SmcliError: the first one is no array of numbers.
        """
        import numpy as np

        from smcli.read import from_object

        args = [concrete(a) for a in call.values]
        logits = _array(args[0])
        dtype = from_object(args[0]).dtype
        target = _array(args[1]) if len(args) > 1 else None
        if target is not None and target.shape != logits.shape:
            behind = logits.shape[:1] + logits.shape[2:]
            if logits.ndim > 2 and target.shape == behind and target.shape != logits.shape[:-1]:
                logits = np.moveaxis(logits, 1, -1)  # as PyTorch has its classes
            if target.size != logits.size // logits.shape[-1] or not np.array_equal(target, np.rint(target)):
                target = None
        taken = _taken(call.names, logits, None if len(args) < 2 else _array(args[1]), target)
        options = [] if dtype in {None, logits.dtype.name} else ["-d", str(dtype)]
        ignored = settings.get("ignore_index", IGNORED)
        if target is not None and target.shape != logits.shape and (target == ignored).any():
            options += ["--ignore-index", str(ignored)]
        if smoothing := settings.get("label_smoothing", 0.0):
            options += ["--label-smoothing", str(smoothing)]
        if "binary" in name.lower():
            options += ["-q", "bce"]
            aside = (*call.aside, *(["weight"] if settings.get("weight", None) is not None else []))
            return cls(name, logits, target, dtype, tuple(options), taken=taken, aside=aside)
        given = settings.get("weight", None)
        weights = None if given is None or target is None else _array(given)
        of_classes = weights is not None and weights.shape == logits.shape[-1:] and weights.dtype.kind in "fiu"
        told = weights.astype(float).tolist() if weights is not None and of_classes else None
        if told is not None and len(told) <= WRITTEN:
            options += ["--class-weights", ",".join(map(repr, told))]
        aside = (*call.aside, *(["weight"] if given is not None and told is None else []))
        return cls(name, logits, target, dtype, tuple(options), told, taken, aside)

    def save(self, directory: str) -> str:
        """Write the next free smcli-watch-K.npz and return its name.

        Raises:
            OSError: it cannot be written.
        """
        import numpy as np

        os.makedirs(directory, exist_ok=True)
        arrays = {"logits": self.logits} | ({} if self.target is None else {"target": self.target})
        for k in range(1, MOST):
            path = os.path.join(directory, f"smcli-watch-{k}.npz")
            with contextlib.suppress(FileExistsError), open(path, "xb") as out:
                np.savez(out, **arrays)  # type: ignore[arg-type] # NumPy's stub takes them for its flag
                return path
        raise OSError(f"{directory} is full of smcli-watch-K.npz")

    def told(self, path: str, result: NDArray[Any]) -> Iterator[str]:
        """What happened, the first bad row with its findings, and the command that shows it."""
        first = _first(result)
        yield f"{self.name} returned {first}; its arguments are in {path}"
        row, alone = self._bad_row(path, result)
        if self.aside or row is None:
            also = f"; left aside: {', '.join(self.aside)}" if self.aside else ""
            yield f"{self.taken}{also}"
        command = ["smcli", "compare", "-i", path]
        if row is None:
            yield self._unexplained
        else:
            command += ["--rows", f"{row.row}:{row.row + 1}"]
            of = f", target {row.target}" if row.target is not None else ""
            grave = [f for f in row.findings if f.severity != "note"] or row.findings
            seen = dict.fromkeys((f.severity, f.code, f.name, f.message, f.remedy) for f in grave)
            neither = "" if any(f.severity == "error" for f in grave) else f": {self._fine} on it"
            other = "" if alone or neither else f": alone it makes another loss than {first}"
            yield f"row {row.row}{of}, {row.logits.size} logits{neither}{other}"
            for severity, code, name, message, remedy in seen:
                yield from (f"  {severity} {code} {name}: {message}", f"    → {remedy}")
        from smcli.numbers.words import command_line

        if self.weights is not None and "--class-weights" not in self.options:
            yield f"the command leaves out the {len(self.weights)} class weights, which --class-weights takes"
        yield command_line([*command, *self.options])

    @property
    def _fine(self) -> str:
        """That the methods which are tried do not fail."""
        return "fused does not fail" if "bce" in self.options else "neither naive nor fused fails"

    @property
    def _unexplained(self) -> str:
        """What there is to say where no row is bad."""
        words = dict(zip(self.options[::2], self.options[1::2], strict=True))
        ignored = words.get("--ignore-index")
        if ignored is not None and self.target is not None and (self.target == int(ignored)).all():
            return f"every target is {ignored}, so that all rows are left out: a mean of no losses is 0/0 = nan"
        aside = (
            f"; where {' or '.join(self.aside)} makes other logits of them, watch a function of these and the target"
        )
        return f"no row alone explains it: {self._fine} on any{aside if self.aside else ''}"

    def _bad_row(self, path: str, result: NDArray[Any]) -> tuple[RowReport | None, bool]:
        """The first row that alone makes what the loss is, nan or an infinity; else the first that makes the other.

        And whether it makes what the loss is.
        """
        import numpy as np

        from smcli import read

        batch = read.from_file(path)
        if result.size == len(batch) > 1:  # a loss for each row
            first = int(np.flatnonzero(~np.isfinite(result.ravel()))[0])
            return next(self._rows(batch, [first])), True
        alike = np.isnan if np.isnan(result).any() else np.isinf
        other = None
        flat = self.logits.reshape(len(batch), -1)
        odd = np.flatnonzero(~np.isfinite(flat).all(axis=1))
        step = max(1, TOGETHER // flat.shape[1])
        for some in (odd, *(np.arange(at, min(at + step, len(batch))) for at in range(0, len(batch), step))):
            for row in self._rows(batch, some.tolist()) if some.size else ():
                if any(alike(m.values).any() for q in row.results for m in q.methods):
                    return row, True
                if other is None and (any(f.severity == "error" for f in row.findings) or _infinite(row)):
                    other = row
        return other, False

    def _rows(self, batch: Batch, numbers: list[int]) -> Iterator[RowReport]:
        """Some rows as what everyone writes first computes them, and as careful code does."""
        from smcli.analyse import analyse
        from smcli.api.objects import Objects
        from smcli.report.report import Report
        from smcli.request import Request

        words = dict(zip(self.options[::2], self.options[1::2], strict=True))
        quantity = words.get("-q", "cross-entropy")
        keywords = {
            "quantities": quantity, "methods": "fused" if quantity == "bce" else "naive,fused", "dtype": self.dtype,
            "ignore_index": int(words["--ignore-index"]) if "--ignore-index" in words else None,
            "label_smoothing": float(words.get("--label-smoothing", 0)), "class_weights": self.weights,
        }  # fmt: skip
        part = batch.select(numbers)
        report = analyse(part, Request.of("compare", Objects(keywords)).settle(part, tuple(numbers)))
        if isinstance(report, Report):
            yield from report.rows


def _taken(names: list[str], logits: NDArray[Any], second: NDArray[Any] | None, target: NDArray[Any] | None) -> str:
    """What of a call was taken as logits and target, in words."""
    said = f"{names[0]} {logits.shape} was taken as the logits"
    if second is None:
        return f"{said}, without a target"
    if target is None:
        return f"{said}; {names[1]} {second.shape} is no target of these"
    return f"{said}, {names[1]} {second.shape} as the {'soft labels' if target.shape == logits.shape else 'target'}"


def _infinite(row: RowReport) -> bool:
    """Whether the true loss of a row is not finite."""
    import numpy as np

    return not row.ignored and any(not np.isfinite(q.truth).all() for q in row.results)


def _say(lines: Iterable[str]) -> None:
    """Print lines on stderr, whatever becomes of that."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        for line in lines:
            print(f"smcli.watch: {line}" if not line.startswith(("smcli ", " ")) else line, file=sys.stderr, flush=True)
