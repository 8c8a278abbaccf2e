"""Write docs/libraries.md: what each library makes of known cases, in each format, beside the certified truth.

Run where the libraries are installed (.ci/libraries makes such an environment):

    python docs/libraries.py                 # writes docs/libraries.md
    python docs/libraries.py -o FILE         # or another file
"""

from __future__ import annotations

import argparse
import json
import platform
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import smcli
from smcli import methods
from smcli.document.spelling import error as spelled
from smcli.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).parent
PEERS = HERE.parent / "tests/data/peer_suites.jsonl"
COMMAND = "python docs/libraries.py"
FORMATS = ("float64", "float32", "float16", "bfloat16")
BAD = ("lost", "inaccurate")
COMMON = ("softmax", "log-softmax", "logsumexp")
SLOW = {"torch-compile"}  # it compiles each function for each shape, for seconds: the known cases alone
LONGEST = 1000
LN2 = "-0.6931471805599453"


@dataclass(frozen=True)
class Case:
    """A row of logits with what is asked of it; `known` cases have a format and a quantity of their own."""

    name: str
    logits: tuple[str, ...]
    target: Any = None
    quantity: str = ""
    dtype: str = ""

    @property
    def loss(self) -> str:
        """The keyword that its target is given by, or an empty string."""
        return "" if self.target is None else "labels" if isinstance(self.target, tuple) else "target"


def _known(logits: str, quantity: str, dtype: str = "float64", target: int | None = None, times: int = 1) -> Case:
    of = "" if target is None else f", target {target}"
    name = logits if times == 1 else f"{logits}, {times} times"
    return Case(name + of, tuple(logits.split() * times), target, quantity, dtype)


KNOWN = (
    _known("1 2 3 4 5", "softmax"),
    _known("1000 2000 3000 4000 5000", "softmax"),
    _known("1.7976931348623157e308 1 2 3", "softmax"),
    _known("-0.775 -0.6175", "logsumexp"),
    _known(LN2, "logsumexp", times=2),
    _known("0 -40", "logsumexp"),
    _known("-3.720075976020836e-44 -100", "logsumexp"),
    _known("40 0", "gradient", target=0),
    _known("0 -800", "cross-entropy", target=1),
    _known("-744 -745", "softmax"),
    _known("-100 -101 -102", "softmax", "float32"),
    _known("89 89", "softmax", "float32"),
    _known("-104 -104", "softmax", "float32"),
    _known("9", "softmax", "float16", times=10),
    _known("0 -65520", "softmax", "float16"),
    _known("0", "softmax", "bfloat16", times=8192),
    _known("16.942385 0", "log-softmax", "float32"),
    _known("10 0 -100", "cross-entropy", "float32", target=2),
)


def peers() -> Iterator[Case]:
    """The rows of the cases from the test suites of others that have a softmax: neither empty, nor very long."""
    for line in PEERS.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        words, options, target = case["logits"], case["options"], case["target"]
        if not words or len(words) > LONGEST or "b" in options or "cotangent" in options:
            continue
        kept = options.get("where", [True] * len(words))
        words = tuple(w if keep else "-inf" for w, keep in zip(words, kept, strict=True))
        rows, classes = options.get("shape", (1, len(words)))
        for r in range(rows):
            t = target[r] if rows > 1 else tuple(map(float, target)) if isinstance(target, list) else target
            yield Case(case["id"] + (f" row {r}" if rows > 1 else ""), words[r * classes : (r + 1) * classes], t)


@dataclass
class Cell:
    """What a library made of one quantity in one format: the verdicts of rows, each that of its worst value, and errors."""

    verdicts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    worst: float = -1.0
    at: str = ""

    def add(self, case: Case, verdicts: Iterable[str], ulps: Iterable[Any]) -> None:
        """Count a row, unless the truth of all its values is undefined."""
        seen = [(v, float(ulp)) for v, ulp in zip(verdicts, ulps, strict=True) if v != "undefined"]
        if not seen:
            return
        self.verdicts[next((bad for bad in BAD if any(v == bad for v, _ in seen)), "right")] += 1
        for verdict, ulp in seen:
            if verdict != "lost" and ulp > self.worst:
                self.worst, self.at = ulp, case.name

    @property
    def total(self) -> int:
        """How many rows."""
        return sum(self.verdicts.values())

    @property
    def bad(self) -> int:
        """How many of them have a value that is lost or inaccurate."""
        return sum(self.verdicts[v] for v in BAD)

    def __str__(self) -> str:
        if not self.total:
            return "–"
        bad = ", ".join(f"{self.verdicts[v]} {v}" for v in BAD if self.verdicts[v])
        count = f"**{bad}** of {self.total}" if bad else f"all {self.total} right"
        return f"{count}; {_ulp(self.worst)}" if self.worst >= 0 else count


def _ulp(error: float) -> str:
    return "< 0.01 ulp" if 0 < error < 0.01 else f"{spelled(error)} ulp"


@dataclass(frozen=True)
class Known:
    """The truth of a known case, and what each library made of it: a figure, or a word."""

    truth: str
    said: dict[str, str]


Key = tuple[str, str, str]  # quantity, library, format


def run(rows: list[Case], libraries: list[str]) -> tuple[dict[Key, Cell], dict[str, Known]]:
    """Every quantity of every row in every format, by every library.

    Returns:
        The cells, and each known case by its name.
    """
    cells: dict[Key, Cell] = defaultdict(Cell)
    known: dict[str, Known] = {}
    of_length, with_loss = defaultdict(list), defaultdict(list)
    for case in rows:  # together what has one shape: libraries compile for each
        of_length[len(case.logits)].append(case)
        if case.loss:
            with_loss[len(case.logits), case.loss].append(case)
    plain = [q.name for q in QUANTITIES.values() if not q.needs and not q.is_derivative and q.shape != "loss"]

    def take(document: Any, some: list[Case], dtype: str) -> None:
        for case, row in zip(some, document.to_dict()["rows"], strict=True):
            for result in row["results"]:
                said = _add(cells, case, dtype, result)
                if (case.dtype, case.quantity) == (dtype, result["quantity"]):
                    known[case.name] = Known(_truth(result["exact"]), said)

    for dtype in FORMATS:
        how = {"dtype": dtype, "methods": libraries}
        for some in of_length.values():
            take(smcli.compare(_logits(some), quantities=plain, **how), some, dtype)
        for (_, loss), some in with_loss.items():
            given = {loss: [case.target for case in some]}
            take(smcli.compare(_logits(some), quantities="cross-entropy", **given, **how), some, dtype)
            take(smcli.gradient(_logits(some), **given, **how), some, dtype)
    return cells, known


def _logits(some: list[Case]) -> list[list[Decimal]]:
    return [[Decimal(w) for w in case.logits] for case in some]


def _add(cells: dict[Key, Cell], case: Case, dtype: str, result: dict[str, Any]) -> dict[str, str]:
    """Count one row's quantity; returns what each library made of it, in a word or a figure."""
    said = {}
    for m in result["methods"]:
        if not m["available"]:
            continue
        cell, ulps = Cell(), [float(u) for u in m["ulp"]]
        for one in (cell, cells[result["quantity"], m["method"], dtype]):
            one.add(case, m["verdicts"], ulps)
        bad = next((v for v in BAD if cell.verdicts[v]), "")
        figure = _ulp(cell.worst) if cell.worst >= 0 else ""
        said[m["method"]] = "**lost**" if bad == "lost" else f"**{figure}**" if bad else figure or "–"
    return said


def _truth(exact: list[str]) -> str:
    """The truth of a row's first value, in a few digits."""
    mantissa, e, exponent = exact[0].partition("e")
    return mantissa[:9] + (e + exponent if len(exponent) < 8 else f"e-(a number of {len(exponent) - 1} digits)")


def environment(libraries: list[str]) -> list[str]:
    """Everything that the figures depend on: versions, and the machine, whose instructions NumPy and others use."""
    versions = {methods.get(name).code.package: methods.get(name).version for name in libraries}  # type: ignore[attr-defined]
    versions["jaxlib"] = version("jaxlib") if "jax" in versions else ""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as features
    except ImportError:  # NumPy 1
        from numpy.core._multiarray_umath import __cpu_features__ as features
    best = next((f for f in ("AVX512_SKX", "AVX512F", "AVX2", "ASIMD") if features.get(f)), "no vector instructions")
    listed = ", ".join(f"{name} {v}" for name, v in sorted(versions.items()) if v)
    system = f"Python {platform.python_version()}, {' '.join(platform.libc_ver())}, on {platform.machine()} with {best}"
    elsewhere = "On other processors libraries take other kernels, and some figures differ."
    return [f"Made by `{COMMAND}` with {listed}, {system}, {processor()}. {elsewhere}"]


def processor() -> str:
    """Which one it is, as far as the system says so: libraries choose their kernels by it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or "an unknown processor"
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    known = [f"{word} {said[key]}" for word, key in (("family", "cpu family"), ("model", "model")) if key in said]
    return " ".join([said.get("vendor_id", "a processor"), *known])


def answer(cells: dict[Key, Cell], known: dict[str, Known], libraries: list[str]) -> Iterator[str]:
    """The sentences on top, each of what the tables show of the libraries that compute all rows."""
    wrong = {name: [0, 0] for name in libraries}  # in float32, which all have: rows that are wrong, and rows
    for (quantity, name, dtype), cell in cells.items():
        if dtype == "float32" and quantity in COMMON and name in wrong:
            wrong[name][0] += cell.bad
            wrong[name][1] += cell.total
    ranked = sorted(libraries, key=lambda name: wrong[name][0])
    failing = {name for (_, name, _), cell in cells.items() if cell.bad} & set(libraries)
    none = "None is right everywhere" if len(failing) == len(libraries) else "The tables say which is right where"
    yield (
        f"**Two libraries differ: which is right?** {none}, so ask of your own logits: `smcli compare -i FILE -m libraries` "
        f"puts each that is installed beside the certified truth. Rows of which a value is wrong, of the {wrong[ranked[0]][1]} "
        f"of {', '.join(COMMON[:-1])} and {COMMON[-1]} in float32: {', '.join(f'{name} {wrong[name][0]}' for name in ranked)}."
    )
    alike = []
    for case in KNOWN:
        said = {n: word for n, word in known[case.name].said.items() if n in libraries}
        if said and all("**" in word for word in said.values()):
            alike.append(f"the {case.quantity} of `{case.name}` in {case.dtype} ({len(said)} libraries)")
    if alike:
        yield f"That libraries agree proves nothing. All that compute it are wrong about {'; '.join(alike)}."


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return [f"| {' | '.join(line)} |" for line in lines]


def page(libraries: list[str]) -> str:
    """The whole page."""
    others = list(peers())
    quick, slow = ([n for n in libraries if (n in SLOW) == which] for which in (False, True))
    cells, known = run([*KNOWN, *others], quick)
    if slow:
        more, of_known = run(list(KNOWN), slow)
        cells |= more
        for name, case in of_known.items():
            known[name].said.update(case.said)
    lines = ["# What libraries make of known cases", "", *_between(answer(cells, known, quick)), ""]
    lines += [*environment(libraries), ""]
    lines += ["## Known cases", "", _LEGEND, ""]
    lines += table(
        ["logits", "format", "quantity", "truth", *libraries],
        ([f"`{c.name}`", c.dtype, c.quantity, known[c.name].truth, *(known[c.name].said.get(n, "–") for n in libraries)]
         for c in KNOWN),
    )  # fmt: skip
    lines += [
        "",
        f"## Every format: the {len(KNOWN)} rows above, and {len(others)} from the test suites of others",
        "",
        _EVERY,
    ]
    for q in dict.fromkeys(quantity for quantity, _, _ in cells):
        lines += ["", f"### {QUANTITIES[q].title}", ""]
        lines += table(
            ["library", *FORMATS, "worst case"],
            ([n, *(str(cells.get((q, n, d), Cell())) for d in FORMATS), _worst(cells, q, n)]
             for n in libraries if any((q, n, d) in cells for d in FORMATS)),
        )  # fmt: skip
    return "\n".join(lines) + "\n"


_LEGEND = (
    "The error of the worst value in ulp of the format; bold where a value is beyond what counts as accurate, or lost: nan "
    "or an infinity was returned where the truth rounds to a finite number, or 0 where the format holds it. The truth is that "
    "of the first value."
)
_EVERY = (
    "Every row in every format, to which it is rounded first: the truth is that of the rounded row. Counted are rows by "
    "their worst value; the figure is the worst error of the values that are not lost, in ulp. The rows of others are "
    "those of [peer_suites.jsonl](../tests/data/README.md) that are neither empty nor very long, by the names there; "
    "torch-compile, which compiles for each shape, has the known cases alone."
)


def _worst(cells: dict[Key, Cell], quantity: str, name: str) -> str:
    found = max((cells.get((quantity, name, d), Cell()) for d in FORMATS), key=lambda c: c.worst)
    return f"`{found.at}`" if found.at else "–"


def _between(parts: Iterable[str]) -> list[str]:
    return "\n\n".join(parts).split("\n")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "libraries.md")
    chosen = parser.parse_args()
    libraries = [name for name, m in methods.adapters().items() if not m.reason]
    with np.errstate(all="ignore"):
        chosen.output.write_text(page(libraries), encoding="utf-8")


if __name__ == "__main__":
    main()
