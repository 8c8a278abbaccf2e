"""Attack on scan: its counts, histograms, worst values and rows against those made of compare's document, value by value.

What is wrong here and in compare alike is not seen: judging.py attacks that one.

python tests/attack/scans.py --problems 300 --seed 1
"""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import command
import numpy as np
from commands import STORED, cli, flat, safetensors, written
from definition import FORMATS, rounded

import smcli

if TYPE_CHECKING:
    from collections.abc import Iterator

EDGES = (0.5, 1, 2, 4, 8, 16, 64, 256, 1024, 65536)
CLASSES = (1, 2, 3, 7, 31, 63, 64, 65, 97, 127, 128, 257, 1009, 4096)
VALUES, MANY = 20000, 500000  # logits of most files, and of a few that are cut into several tasks
Array = np.ndarray[Any, Any]


class Files:
    """Rows of a number format, and the words and bytes by which scan gets them."""

    def __init__(self, rng: Random, folder: Path) -> None:
        self.rng, self.folder = rng, folder
        self.dtype = rng.choice(("float64", "float32", "float32", "float16", "bfloat16", "float8_e5m2"))
        self.n = rng.choice(CLASSES)
        most = max(1, (MANY if rng.random() < 0.03 else VALUES) // self.n)
        self.count = rng.choice((1, 2, 3, min(most, 40), min(most, 300), most))
        self.rows = self._rows()
        self.cut = rng.randrange(self.count + 1) if self.count > 1 and rng.random() < 0.3 else 0

    def _rows(self) -> Array:
        """Rows of which most, or few, are sound."""
        rng, made = np.random.default_rng(self.rng.getrandbits(32)), (self.count, self.n)
        scale = self.rng.choice((0.1, 1, 3, 3, 10, 30, 300))
        x = rng.normal(size=made) * scale
        x += self.rng.choice((0, 0, 0, 5, -20, 100, 1000))
        if self.rng.random() < 0.2:
            x = np.round(x)
        kinds: tuple[Any, ...] = (np.nan, np.inf, -np.inf, 1e4, -1e4, 88.7, -104.0, 1e39, 709.8, -745.2, 0.0)
        for _ in range(self.rng.choice((0, 0, 0, 1, 3, 10))):
            r = self.rng.choice(
                (0, self.count - 1, self.rng.randrange(self.count), self.count // 2, min(64, self.count - 1))
            )
            c = self.rng.choice((0, self.n - 1, self.rng.randrange(self.n), slice(None)))
            x[r, c] = self.rng.choice(kinds)
        if self.rng.random() < 0.15:
            r = self.rng.randrange(self.count)
            x[r] = rng.dirichlet(np.ones(self.n))
        wide = np.array([[rounded(float(v), self.dtype) for v in row] for row in x])
        return np.nan_to_num(wide, nan=0.0) if not FORMATS[self.dtype][3] else wide

    def file(self, name: str, rows: Array) -> str:
        """A file with some rows, in one way or another."""
        path, rng = self.folder / name, self.rng
        if self.dtype not in STORED:
            if self.dtype == "bfloat16":
                bits, kind = (rows.astype("<f4").view("<u4") >> 16).astype("<u2"), "BF16"
            else:
                bits, kind = (rows.astype("<f2").view("<u2") >> 8).astype("u1"), "F8_E5M2"
            path = path.with_suffix(".safetensors")
            path.write_bytes(safetensors("z", bits, kind))
            return str(path)
        own = rows.astype(STORED[self.dtype])
        form = rng.randrange(6)
        if form == 0:
            own = np.asfortranarray(own)
        elif form == 1:
            own = own.astype(own.dtype.newbyteorder(">"))
        elif form == 2 and len(rows) % 2 == 0 and len(rows):
            own = own.reshape(2, len(rows) // 2, self.n)
        elif form in {3, 4}:
            path = path.with_suffix(".npz")
            (np.savez if form == 3 else np.savez_compressed)(path, logits=own)
            return str(path)
        path = path.with_suffix(".npy")
        np.save(path, own)
        return str(path)

    def names(self) -> list[str]:
        """One file or two."""
        if 0 < self.cut < self.count:
            return [self.file("a", self.rows[: self.cut]), self.file("b", self.rows[self.cut :])]
        return [self.file("a", self.rows)]

    def text(self) -> bytes:
        """The same for a stream."""
        return "\n".join(" ".join(map(written, row)) for row in self.rows.tolist()).encode()


def asked(rng: Random, files: Files) -> tuple[list[str], dict[str, Any]]:
    """Options for scan, and the same for compare."""
    quantity = rng.choice(("softmax", "softmax", "softmax", "log-softmax", "logsumexp", "cross-entropy", "entropy"))
    words, more = ["-q", quantity], {"quantities": quantity, "dtype": files.dtype}
    if rng.random() < 0.4:
        names = rng.sample(("naive", "shifted", "fused", "log1p", "online", "logspace", "base2"), 3)
        if quantity == "entropy":
            names = ["naive", "shifted", "fused"]
        words += ["-m", ",".join(names)]
        more["methods"] = names
    if rng.random() < 0.15:
        words += ["-T", "2"]
        more["temperature"] = 2.0
    if rng.random() < 0.1:
        words += ["--sum", "sequential"]
        more["sum"] = "sequential"
    if rng.random() < 0.1:
        words += ["--max-ulp", "3"]
        more["max_ulp"] = 3.0
    if quantity == "cross-entropy":
        target = [rng.randrange(files.n) for _ in range(files.count)]
        np.save(files.folder / "t.npy", np.array(target))
        words += ["-t", str(files.folder / "t.npy")]
        more["target"] = target
    return words, more


def due(files: Files, more: dict[str, Any]) -> dict[str, Any]:
    """What scan has to say, counted in compare's document."""
    document = smcli.compare(files.rows.tolist(), **more).to_dict()
    methods: dict[tuple[str, str], dict[str, Any]] = {}
    findings: dict[str, list[int]] = {}
    worst: dict[int, tuple[float, str, str, float]] = {}
    for row in document["rows"]:
        for code in {f["code"] for f in row["findings"]}:
            findings.setdefault(code, []).append(row["row"])
        for q in row["results"]:
            for m in q["methods"]:
                if m["available"]:
                    _add(methods, worst, row["row"], q["quantity"], m)
    for code, count in findings.items():
        findings[code] = [len(count), min(count)]
    ranked = sorted(worst.items(), key=lambda item: (-item[1][0], item[0]))[:20]
    return {
        "methods": methods,
        "findings": {code: {"rows": a, "first_row": b} for code, (a, b) in sorted(findings.items())},
        "worst_rows": [(row, method, quantity, ulp) for row, (_, method, quantity, ulp) in ranked],
    }


def _add(
    methods: dict[tuple[str, str], dict[str, Any]], worst: dict[int, tuple[float, str, str, float]],
    row: int, quantity: str, m: dict[str, Any],
) -> None:  # fmt: skip
    known = methods.setdefault(
        (m["method"], quantity), {"verdicts": Counter(), "counts": [0] * (len(EDGES) + 1), "worst": (-1.0, None)}
    )
    words, ulps = flat(m["verdicts"]), [float(u) for u in flat(m["ulp"])]
    known["verdicts"].update(words)
    for word, ulp in zip(words, ulps, strict=True):
        if word != "undefined":
            known["counts"][next((k for k, e in enumerate(EDGES) if ulp <= e), len(EDGES))] += 1
    at = next((i for i, u in enumerate(ulps) if math.isnan(u)), max(range(len(ulps)), key=ulps.__getitem__))
    rank = 1e999 if math.isnan(ulps[at]) else ulps[at]
    before = known["worst"]
    if (math.isnan(ulps[at]), rank) > (math.isnan(before[0]), 1e999 if math.isnan(before[0]) else before[0]):
        known["worst"] = (ulps[at], [row, at])
    bad = math.inf if {"lost", "undefined"} & set(words) or math.isnan(ulps[at]) else ulps[at]
    if row not in worst or bad > worst[row][0]:
        worst[row] = (bad, m["method"], quantity, ulps[at])


def same(a: Any, b: Any) -> bool:
    """Whether two errors are the same, but for their last digits."""
    a, b = float(a), float(b)
    return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1e-6 * abs(a) + 1e-9


def differences(files: Files, told: dict[str, Any], d: dict[str, Any], count: Counter[str]) -> Iterator[str]:
    """Where a scan's document says something else."""
    if (told["rows"], told["values"], told["dtype"]) != (files.count, files.count * files.n, files.dtype):
        yield f"{told['rows']} rows, {told['values']} values, {told['dtype']}"
    if told["findings"] != d["findings"]:
        yield f"findings {told['findings']}, due {d['findings']}"
    if {(m["method"], m["quantity"]) for m in told["methods"]} != d["methods"].keys():
        yield f"methods {told['methods']}, due {list(d['methods'])}"
    for m in told["methods"]:
        own = d["methods"][m["method"], m["quantity"]]
        what = f"{m['method']} {m['quantity']}"
        if m["verdicts"] != dict(own["verdicts"]):
            yield f"{what}: {m['verdicts']}, due {dict(own['verdicts'])}"
        if m["histogram"]["counts"] != own["counts"] or tuple(m["histogram"]["edges_ulp"]) != EDGES:
            yield f"{what}: histogram {m['histogram']['counts']}, due {own['counts']}"
        if not same(m["worst_ulp"], own["worst"][0]) or m["worst_at"] != own["worst"][1]:
            yield f"{what}: worst {m['worst_ulp']} at {m['worst_at']}, due {own['worst']}"
        count["values"] += sum(m["verdicts"].values())
    first = told["files"][0]["rows"]
    starts = [0, first]
    rows = [
        (w["row"] + starts[[f["file"] for f in told["files"]].index(w["file"])], w["method"], w["quantity"], w["ulp"])
        for w in told["worst_rows"]
    ]
    for mine, theirs in zip(d["worst_rows"], rows, strict=True):
        if mine[:3] != theirs[:3] or not same(mine[3], theirs[3]):
            yield f"worst rows: {theirs}, due {mine}"
    count["worst rows"] += len(rows)


def quick(files: Files, told: dict[str, Any]) -> Iterator[str]:
    """Where a quick look says something else than the logits themselves."""
    x, limits = files.rows, smcli.numbers.formats.get(files.dtype)  # type: ignore[attr-defined]
    nan = np.isnan(x).any(axis=1)
    hot = (x == np.inf).any(axis=1) & ~nan
    masked = (x == -np.inf).all(axis=1)
    with np.errstate(all="ignore"):
        top = np.where(nan | hot | masked, np.nan, x.max(axis=1))
        total = np.abs(x.sum(axis=1) - 1) <= min(2.0 ** (1 - limits.p) * files.n + 1e-6, 1e-2)
        like = (x >= 0).all(axis=1) & (x < 1).all(axis=1) & total & (files.n > 1)
    masks = {
        "SM101": nan, "SM102": hot, "SM103": masked, "SM201": top >= limits.exp_overflow, "SM304": top <= limits.exp_zero,
        "SM903": like,
    }  # fmt: skip
    wanted = {c: {"rows": int(m.sum()), "first_row": int(m.argmax())} for c, m in masks.items() if m.any()}
    if told["findings"] != wanted:
        yield f"--quick: {told['findings']}, due {wanted}"
    finite = x[np.isfinite(x)]
    ends = (finite.min(), finite.max()) if finite.size else (math.inf, -math.inf)
    if (float(told["extremes"]["least"]), float(told["extremes"]["most"])) != ends:
        yield f"--quick: {told['extremes']}, due {ends}"


def shown(words: list[str], files: Files, d: dict[str, Any], count: Counter[str]) -> Iterator[str]:
    """Where a command that is printed does not show what the table says of its row."""
    _, out, _ = cli(["scan", *words, "-f", "markdown"])
    commands = re.findall(r"^smcli (compare .*)$", out, re.MULTILINE)
    for printed, (row, method, quantity, ulp) in zip(commands, d["worst_rows"], strict=False):
        code, text, err = cli([*shlex.split(printed), "-f", "json"])
        if code:
            yield f"{printed}: {err}"
            continue
        (document,) = json.loads(text)["rows"]
        (told,) = (
            m for q in document["results"] if q["quantity"] == quantity for m in q["methods"] if m["method"] == method
        )
        due = [v if math.isfinite(v) else str(v) for v in files.rows[row].tolist()]
        if document["logits"] != due or not same(told["worst"]["ulp"], ulp):
            yield f"{printed}: {told['worst']}, and the row has {ulp}"
        count["commands"] += 1


def check(files: Files, rng: Random, count: Counter[str]) -> list[str]:
    """One scan in several ways."""
    words, more = asked(rng, files)
    names = files.names()
    d = due(files, more)
    wrong = []
    given = [*words, *names, "--jobs", "2" if rng.random() < 0.05 else "1"]
    code, out, err = cli(["scan", *given, "-f", "json"])
    if not out:
        return [f"exit {code}: {err}"]
    told = json.loads(out)
    wrong += list(differences(files, told, d, count))
    wrong += list(shown(given, files, d, count))
    if files.n > 1 or files.count == 1:
        _, out, _ = cli(["scan", *words, "-d", files.dtype, "-", "-f", "json"], files.text())
        streamed = json.loads(out)
        for m in (*streamed["methods"], *told["methods"]):
            m["worst_ulp"] = f"{float(m['worst_ulp']):.6g}"  # of other blocks, whose last digits may differ
        other = [k for k in ("rows", "values", "methods", "findings") if streamed[k] != told[k]]
        wrong += [f"a stream differs in {k}: {streamed[k]}, the file {told[k]}" for k in other]
        count["streams"] += 1
    if FORMATS[files.dtype][3]:
        _, out, err = cli(["scan", *names, "--quick", "--jobs", "1", "-f", "json"])
        wrong += list(quick(files, json.loads(out)))
    count["scans"] += 1
    return [f"{w}\n    smcli scan {shlex.join(given)}" for w in wrong]


def attack(seed: int, many: int) -> tuple[Counter[str], list[str]]:
    """Some random files; the counts, and what was wrong."""
    rng, count, wrong = Random(seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(many):
            state = rng.getrandbits(48)
            files = Files(Random(state), Path(folder))
            said = f"    {state}: {files.count} rows of {files.n}, {files.dtype}"
            count["problems"] += 1
            wrong += [f"{w}\n{said}" for w in check(files, Random(state), count)]
    return count, wrong


if __name__ == "__main__":
    sys.exit(command.run(attack, __doc__))
