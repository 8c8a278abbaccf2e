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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import smcli
from smcli import methods
from smcli.document.spelling import error as spelled
from smcli.quantities import QUANTITIES

HERE = Path(__file__).parent
PEERS = HERE.parent / "tests/data/peer_suites.jsonl"
COMMAND = "python docs/libraries.py"
FORMATS = ("float64", "float32", "float16", "bfloat16")
BAD = ("lost", "inaccurate")
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
        return f"{count}; {spelled(self.worst)} ulp" if self.worst >= 0 else count


Key = tuple[str, str, str]  # quantity, library, format


def run(rows: list[Case], libraries: list[str]) -> tuple[dict[Key, Cell], dict[str, tuple[str, dict[str, str]]]]:
    """Every quantity of every row in every format, by every library.

    Returns:
        The cells, and for each known case its truth and what each library made of it.
    """
    cells: dict[Key, Cell] = defaultdict(Cell)
    known: dict[str, tuple[str, dict[str, str]]] = {}
    groups: dict[tuple[int, str], list[Case]] = defaultdict(list)
    for case in rows:
        groups[len(case.logits), case.loss].append(case)
    for (_, loss), some in groups.items():
        given = {loss: [case.target for case in some]} if loss else {}
        logits = [[Decimal(w) for w in case.logits] for case in some]
        for dtype in FORMATS:
            plain = [q.name for q in QUANTITIES.values() if not q.needs and not q.is_derivative and q.shape != "loss"]
            documents = [smcli.compare(logits, dtype=dtype, methods=libraries, quantities=plain)]
            if loss:
                documents.append(
                    smcli.compare(logits, dtype=dtype, methods=libraries, quantities="cross-entropy", **given)
                )
                documents.append(smcli.gradient(logits, dtype=dtype, methods=libraries, **given))
            for document in documents:
                for case, row in zip(some, document.to_dict()["rows"], strict=True):
                    for result in row["results"]:
                        own = (case.dtype, case.quantity) == (dtype, result["quantity"])
                        said = _add(cells, case, dtype, result)
                        if own:
                            known[case.name] = (_truth(result["exact"]), said)
    return cells, known


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
        figure = f"{spelled(cell.worst)} ulp" if cell.worst >= 0 else ""
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
    python = f"Python {platform.python_version()}"
    return [
        f"Made by `{COMMAND}` with {listed}, {python}, {' '.join(platform.libc_ver())}, on {platform.machine()} with {best}."
    ]


def answer(cells: dict[Key, Cell], known: dict[str, tuple[str, dict[str, str]]], libraries: list[str]) -> Iterator[str]:
    """The sentences on top, each of what the tables show."""
    plain = ("softmax", "log-softmax", "logsumexp")
    share: dict[str, tuple[int, int]] = {}
    for name in libraries:
        of = [cells[q, name, "float32"] for q in plain if (q, name, "float32") in cells]
        share[name] = (sum(c.bad for c in of), sum(c.total for c in of))
    ranked = sorted(share, key=lambda name: share[name][0] / max(share[name][1], 1))
    wrong = [name for name in libraries if any(c.bad for (_, n, _), c in cells.items() if n == name)]
    first, last = ranked[0], ranked[-1]
    (least, of_least), (most, of_most) = share[first], share[last]
    ties = [name for name in ranked if share[name] == share[first]]
    who = (
        "None of them is right everywhere"
        if len(wrong) == len(libraries)
        else f"{len(wrong)} of {len(libraries)} are wrong somewhere"
    )
    yield (
        f"**Two libraries differ: which is right?** {who}, so ask of your own logits: `smcli compare -i FILE -m libraries` "
        f"puts each that is installed beside the certified truth. Of softmax, log-softmax and logsumexp in float32 on the "
        f"rows below, {', '.join(ties)} {'has' if len(ties) == 1 else 'have'} the fewest wrong rows, {least} of {of_least}, "
        f"and {last} the most, {most} of {of_most}."
    )
    alike = [name for name, (_, said) in known.items() if said and all("**" in word for word in said.values())]
    if alike:
        yield (
            "That libraries agree proves nothing: "
            + "; ".join(f"{_spoken(name)} is wrong in all {len(known[name][1])}" for name in alike)
            + "."
        )


def _spoken(name: str) -> str:
    case = next(c for c in KNOWN if c.name == name)
    return f"the {case.quantity} of `{name}` in {case.dtype}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return [f"| {' | '.join(line)} |" for line in lines]


def page(libraries: list[str]) -> str:
    """The whole page."""
    others = list(peers())
    cells, known = run([*KNOWN, *others], libraries)
    lines = ["# What libraries make of known cases", "", *_between(answer(cells, known, libraries)), ""]
    lines += [*environment(libraries), ""]
    lines += ["## Known cases", "", _LEGEND, ""]
    lines += table(
        ["logits", "format", "quantity", "truth", *libraries],
        ([f"`{c.name}`", c.dtype, c.quantity, known[c.name][0], *(known[c.name][1].get(n, "–") for n in libraries)]
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
    "The error of the worst value in ulp of the format; bold where a value is beyond what counts as accurate, or lost: nan, "
    "an infinity or 0 was returned where the format holds the truth. The truth is that of the first value."
)
_EVERY = (
    "Every row in every format, to which it is rounded first: the truth is that of the rounded row. Counted are rows by "
    "their worst value; the figure is the worst error of the values that are not lost, in ulp. The rows of others are those of [peer_suites.jsonl](../tests/data/README.md) that are neither empty nor very long, by the names there."
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
