"""Ratios against what a user would take instead, each pair measured in the same run: `python tests/benchmarks/ratios.py`.

Names choose groups: startup, truth, kernels, digits, export, formats, memory. Times on a shared machine drift, ratios much
less; nothing here fails. Needs the extra `test`. With -o FILE the report is written there too.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

Work = Callable[[], object]
FIVE = ("1000", "2000", "3000", "4000", "5000")


class Row(NamedTuple):
    """One comparison: ours over theirs, and the ratio that is aimed at."""

    name: str
    ours: float
    ratio: float
    goal: float
    unit: str = "ms"

    def __str__(self) -> str:
        mark = "ok   " if self.ratio <= self.goal else "short"
        return f"{mark} {self.name:62s} {self.ours:9.1f} {self.unit:3s} ratio {self.ratio:7.3f}  goal {self.goal:g}"


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def pair(name: str, ours: Work, theirs: Work, goal: float, runs: int = 7, share: float = 1.0) -> Row:
    """The median ratio of `runs` pairs after one warm-up; `share`: how much of the work the peer did."""
    ours(), theirs()
    times = [(seconds(ours), seconds(theirs) / share) for _ in range(runs)]
    return Row(name, statistics.median(a for a, _ in times) * 1e3, statistics.median(a / b for a, b in times), goal)


def process(*words: str) -> Work:
    return lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def smcli(*words: str) -> Work:
    return process(str(Path(sys.executable).with_name("smcli")), *words)


def python(code: str) -> Work:
    return process(sys.executable, "-c", code)


def plain(x: np.ndarray) -> Work:
    def softmax() -> np.ndarray:
        e = np.exp(x - x.max())
        return e / e.sum()

    return softmax


def startup() -> Iterator[Row]:
    table = python("import typer, rich.table")
    yield pair("--version / an empty Python", smcli("--version"), python("pass"), 1.4, 15)
    yield pair("--help / importing Typer and rich.table", smcli("--help"), table, 1.1, 15)
    yield pair("compare --help / the same", smcli("compare", "--help"), table, 1.2, 15)
    everything = python("import typer, rich.table, numpy, mpmath")
    yield pair("compare, five logits / importing its four packages", smcli("compare", *FIVE), everything, 1.0, 15)


def truth() -> Iterator[Row]:
    import flint
    import mpmath
    from scipy.special import softmax

    import smcli as ours

    n, part = 131072, 8192
    rng = np.random.default_rng(11)
    fresh = iter([rng.normal(0, 10, n) for _ in range(64)])
    x = rng.normal(0, 10, n)
    few = x[:part].tolist()

    def arb() -> list[object]:
        flint.ctx.prec = 128
        e = [flint.arb(v).exp() for v in few]
        total = sum(e, flint.arb(0))
        return [v / total for v in e]

    def mp() -> list[object]:
        with mpmath.workprec(128):
            e = [mpmath.exp(v) for v in few]
            total = mpmath.fsum(e)
            return [v / total for v in e]

    def certified() -> object:
        return ours.truth(next(fresh), "softmax")

    yield pair("truth of 131072 float64 logits / Arb, 128 bits", certified, arb, 0.10, 7, part / n)
    yield pair("the same / mpmath, 128 bits", certified, mp, 0.012, 5, part / n)
    yield pair("the same / NumPy's plain softmax", certified, plain(x), 10)
    small = rng.normal(0, 10, n // 8)
    yield pair("growth: 131072 logits / 8 times 16384", certified, lambda: ours.truth(small, "softmax"), 1.1, 7, 1 / 8)
    rows = rng.normal(0, 10, (100_000, 10))
    yield pair(
        "truth of 100000 rows of 10 / SciPy's softmax", lambda: ours.truth(rows), lambda: softmax(rows, axis=1), 6, 5
    )
    single = x.astype(np.float32)
    yield pair(
        "float32 truth of 131072 / NumPy's float64 softmax", lambda: ours.truth(single, dtype="float32"), plain(x), 2.5
    )


def kernels() -> Iterator[Row]:
    """The truth of the other quantities over that of cross-entropy, of the same logits."""
    from smcli.model import Loss, Problem
    from smcli.reference import Reference

    for shape in ((64, 2048), (13107, 10)):
        for dtype in ("float64", "float32"):
            fmt = np.dtype(dtype).type
            x = np.random.default_rng(16).normal(0, 10, shape).astype(fmt).astype(np.float64)
            rng = np.random.default_rng(17)
            far = rng.normal(0, 10, shape).astype(fmt).astype(np.float64)
            near = (x + 1e-5 * rng.normal(size=shape)).astype(fmt).astype(np.float64)
            target, v = rng.integers(0, shape[1], shape[0]), rng.normal(size=shape[1]).astype(fmt).astype(np.float64)
            y = rng.integers(0, 2, shape).astype(np.float64)
            b = rng.choice([1.0, -1.0, 0.5], shape[1])
            kl, close = Loss("kl", teacher=far), Loss("kl", teacher=near)
            focal, sides = Loss("focal", target=target, gamma=2.0), Loss("focal", labels=y, gamma=2.0)
            cases = {
                "sigmoid": ("sigmoid", None, {}),
                "log-sigmoid": ("log-sigmoid", None, {}),
                "entropy": ("entropy", None, {}),
                "gradient of entropy": ("gradient", Loss("entropy"), {}),
                "kl": ("kl", kl, {}),
                "gradient of kl": ("gradient", kl, {}),
                "gradient of kl, reverse": ("gradient", Loss("kl", teacher=far, reverse=True), {}),
                "kl of nearly equal rows": ("kl", close, {}),
                "gradient of kl of nearly equal rows": ("gradient", close, {}),
                "focal": ("focal", focal, {}),
                "gradient of focal": ("gradient", focal, {}),
                "focal of sigmoids, gamma 2": ("focal", sides, {}),
                "focal of sigmoids, gamma 1.5": ("focal", Loss("focal", labels=y, gamma=1.5), {}),
                "gradient of focal of sigmoids": ("gradient", sides, {}),
                "signed logsumexp": ("logsumexp", None, {"coefficients": b}),
                "vjp of softmax": ("vjp", None, {"cotangent": v}),
                "vjp of log-softmax": ("vjp", None, {"vjp_of": "log-softmax", "cotangent": v}),
                "vjp of logsumexp": ("vjp", None, {"vjp_of": "logsumexp", "cotangent": v[:1]}),
            }
            plain = Problem(dtype, x, Loss(target=target))
            for name, (quantity, loss, options) in cases.items():
                own = Problem(dtype, x, loss, **options)
                yield pair(f"{name}, {dtype}, {shape[0]} rows of {shape[1]} / cross-entropy",
                           lambda own=own, quantity=quantity: Reference(own).truth(quantity),
                           lambda plain=plain: Reference(plain).truth("cross-entropy"), 3)  # fmt: skip


def digits() -> Iterator[Row]:
    import gmpy2

    import smcli as ours

    x = np.random.default_rng(12).normal(0, 10, 1000)

    def mpfr() -> list[str]:
        with gmpy2.context(precision=3400):
            e = [gmpy2.exp(gmpy2.mpfr(v)) for v in x.tolist()]
            total = gmpy2.fsum(e)
            return [str(v / total) for v in e]

    yield pair("1000 logits to 1000 digits / MPFR", lambda: ours.exact(x, "softmax", digits=1000), mpfr, 1.5, 3)


def export() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.npy")
        np.save(file, np.random.default_rng(13).normal(0, 10, 131072))
        script = (
            f"import json, mpmath, numpy as np; x = np.load({str(file)!r}).tolist(); mpmath.mp.dps = 25;"
            "e = [mpmath.exp(v) for v in x]; s = mpmath.fsum(e); print(json.dumps([mpmath.nstr(v / s, 17) for v in e]))"
        )
        ours = smcli("compare", "-i", str(file), "-q", "softmax", "-f", "json")
        yield pair("compare as JSON, 131072 logits / an mpmath script", ours, python(script), 0.8, 3)


def formats() -> Iterator[Row]:
    from smcli.numbers.arithmetic import sequential
    from smcli.numbers.formats import FORMATS

    terms = np.abs(np.random.default_rng(14).normal(0, 1, (1, 131072)))
    for name in ("float32", "float16", "bfloat16", "float8_e4m3fn"):
        f = FORMATS[name]
        own = f.round(terms)
        yield pair(f"sequential sum of 131072 in {name} / NumPy's cumsum", lambda f=f, own=own: sequential(own, f),
                   lambda own=own: np.cumsum(own), 60, 5)  # fmt: skip


def memory() -> Iterator[Row]:
    import smcli as ours

    for n in (131072, 1_000_000):
        x = np.random.default_rng(15).normal(0, 10, n)
        ours.truth(x[:100])
        tracemalloc.start()
        ours.truth(x)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        yield Row(f"peak memory of the truth of {n} / one array of them", peak / 2**20, peak / x.nbytes, 12, "MiB")


GROUPS = {f.__name__: f for f in (startup, truth, kernels, digits, export, formats, memory)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="which groups; all of them by default")
    parser.add_argument("-o", "--output", type=Path, help="also write the report to this file")
    asked = parser.parse_args()
    lines = []
    for name in asked.groups or GROUPS:
        for row in GROUPS[name]():
            print(row, flush=True)
            lines.append(str(row))
    if asked.output:
        asked.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
