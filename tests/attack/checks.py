"""Attack on check: outputs that are the truth, rounded, and then spoilt in a known way; verdicts and exit by the contract.

Few values are judged one by one; the same rows over and over, more than 10^5 values, have to be counted alike.

python tests/attack/checks.py --problems 500 --seed 1
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import command
import numpy as np
from codes import Seen
from commands import STORED, cli, options, safetensors, written
from definition import FORMATS, rounded
from emulation import Machine
from judging import flat, spacing, tied, truth, ulp, verdict
from problems import Problem, draw

import smcli
from smcli.errors import SmcliError

if TYPE_CHECKING:
    from collections.abc import Iterator

Values = list[Any]
RANKS = {"note": 0, "warning": 1, "error": 2}
LARGE = 10**5


def step(y: float, k: int, dtype: str) -> float:
    """A number of the format k steps away."""
    for _ in range(abs(k)):
        if not math.isfinite(y):
            return y
        unit = spacing(Fraction(y), dtype)
        if k * y < 0 and y and abs(Fraction(y)) == unit * 2 ** (FORMATS[dtype][0] - 1):
            unit = max(unit / 2, spacing(Fraction(0), dtype))
        y = rounded(Fraction(y) + (unit if k > 0 else -unit), dtype)
    return y


def spoilt(rng: Random, right: list[float], dtype: str, exact: Values) -> tuple[str, list[float]]:
    """Outputs that are wrong in one way or another, and how."""
    y, i = list(right), rng.randrange(len(right))
    kind = rng.choice(
        ("right", "right", "an ulp", "ulps", "factor", "permuted", "narrower", "odd", "zero", "sign", "limit")
    )
    if kind == "an ulp":
        y = [step(v, rng.choice((-1, 0, 1)), dtype) for v in y]
    elif kind in {"ulps", "limit"}:
        k = rng.choice((2, 3, 7, 8, 9)) if kind == "ulps" else rng.randrange(8, 60)
        y[i] = step(y[i], rng.choice((-k, k)), dtype)
    elif kind == "factor":
        f = rng.choice((2.0, 0.5, -1.0, 1 / math.log(2), 1.001, 1e300))
        y = [rounded(v * f, dtype) for v in y]
    elif kind == "permuted":
        y = rng.sample(y, len(y))
    elif kind == "narrower":
        y = [rounded(rounded(v, rng.choice(("bfloat16", "float16", "float8_e5m2"))), dtype) for v in y]
    elif kind == "odd":
        y[i] = rounded(rng.choice((math.nan, math.inf, -math.inf, 0.0)), dtype)
    elif kind == "zero":
        y = [0.0 if abs(v) < rng.choice((1e-3, 1e-30, 1.0)) else v for v in y]
    elif kind == "sign":
        y[i] = -y[i]
    return kind, y


def stored(path: Path, array: np.ndarray[Any, Any], dtype: str, rng: Random) -> list[str]:
    """A file of numbers of a format; the words that name it, and the format where the file does not."""
    if dtype in STORED and rng.random() < 0.7:
        np.save(path.with_suffix(".npy"), array.astype(STORED[dtype]))
        return [str(path.with_suffix(".npy"))]
    if dtype == "bfloat16":
        bits = (array.astype("<f4").view("<u4") >> 16).astype("<u2")
        path.with_suffix(".safetensors").write_bytes(safetensors("z", bits, "BF16"))
        return [str(path.with_suffix(".safetensors"))]
    path = path.with_suffix(".json")
    text = json.dumps(array.tolist())
    path.write_text(text, encoding="utf-8")
    return [str(path), "-d", dtype]


def judged(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The output's results of each row."""
    return [row["results"][0]["methods"][0] for row in document["rows"]]


def check(problem: Problem, count: Counter[str], rng: Random, folder: Path) -> Iterator[str]:
    """One problem, its outputs spoilt."""
    dtype, keywords = problem.dtype, dict(problem.keywords)
    for name in ("reduction", "compute"):
        keywords.pop(name, None)
    problem = Problem(dtype, problem.quantity, problem.logits, keywords, problem.rows, problem.ignored)
    quantity = problem.quantity
    call = smcli.gradient if quantity in {"gradient", "jacobian"} else smcli.evaluate
    more = {"quantities": problem.quantities} if problem.quantities else {}
    known = call(problem.logits, digits=150, **keywords, **more).to_dict()  # type: ignore[operator]
    texts = [flat(row["results"][0]["exact"]) for row in known["rows"]]
    exact = [[truth(t) for t in row] for row in texts]
    kinds, outputs = [], []
    for row in exact:
        kind, y = spoilt(rng, [rounded(t, dtype) for t in row], dtype, row)
        kinds.append(kind)
        outputs.append(y)
    if any(math.isinf(t) for row in outputs for t in row) and not FORMATS[dtype][3]:
        return
    words = _words(problem, rng, folder, outputs)
    limit = rng.choice((None, None, 3.0, 0.5))
    words += [] if limit is None else ["--max-ulp", str(limit)]
    code, out, err = cli(["check", *words, "--digits", "150", "-f", "json"])
    if not out:
        yield f"exit {code}: {err}"
        return
    document = json.loads(out)
    for r, told in enumerate(judged(document)):
        yield from (
            f"row {r}, {kinds[r]}: {w}" for w in _verdicts(problem, document, r, exact[r], texts[r], told, limit)
        )
        count["values"] += len(exact[r])
        if kinds[r] == "right" and limit is None:
            found = [f for f in document["rows"][r]["findings"] if f["method"] and RANKS[f["severity"]]]
            if found and not any(math.isnan(v) for v in outputs[r]):
                yield f"row {r} is right: {found[0]['code']} {found[0]['message']}"
        count[kinds[r]] += 1
    bad = {w for told in judged(document) for w in flat(told["verdicts"])} & {"lost", "inaccurate"}
    severe = [f["code"] for row in document["rows"] for f in row["findings"] if RANKS[f["severity"]]]
    if code != int(bool(bad or severe)):
        yield f"exit {code} with {bad} and {severe}"
    if rng.random() < 0.2:
        yield from _many(problem, words, document, outputs, folder, count)
    count["problems"] += 1


def _words(problem: Problem, rng: Random, folder: Path, outputs: list[list[float]]) -> list[str]:
    """The words of a check, with files."""
    rows, n = len(outputs), len(problem.logits[0])
    lists = "[" + ",".join("[" + ",".join(map(written, row)) + "]" for row in problem.logits) + "]"
    lists = lists.replace("inf", "Infinity").replace("nan", "NaN")
    (folder / "x.json").write_text(lists, encoding="utf-8")
    array = np.array(outputs)
    if problem.quantity == "jacobian":
        array = array.reshape(rows, n, n)
    elif array.shape[1] == 1 and n > 1 and rng.random() < 0.5:
        array = array[:, 0]
    named = stored(folder / "out", array, problem.dtype, rng)
    words = options(problem, folder)
    at = words.index("--dtype")
    words = words[:at] + words[at + 2 :]
    at = words.index("-q") if "-q" in words else len(words)
    words = words[:at] + words[at + 2 :]
    return [str(folder / "x.json"), *named, *words, "-q", problem.quantity]


def _verdicts(
    problem: Problem,
    document: dict[str, Any],
    r: int,
    exact: Values,
    texts: list[str],
    told: dict[str, Any],
    limit: float | None,
) -> Iterator[str]:
    """Verdicts and errors of a row that are not as they should be."""
    dtype, row = problem.dtype, document["rows"][r]
    hot = math.inf in [float(v) for v in row["logits"]]
    y = [float(v) for v in flat(told["values"])]
    seen = None
    if limit is None and not problem.ignored[r] and all(math.isfinite(v) for v in problem.rows[r].x):
        seen = Seen(problem, r, row, problem.quantity, told, exact, Machine(dtype, dtype))
        seen = None if seen.limits is None else seen
    for i, (v, t, word, error) in enumerate(zip(y, exact, flat(told["verdicts"]), flat(told["ulp"]), strict=True)):
        due = verdict(v, t, dtype, hot=hot)
        if isinstance(t, Fraction) and tied(t, dtype):
            continue  # digits beyond those that were asked for decide
        mine, theirs = ulp(v, t, dtype), float(error)
        same = mine == theirs or (math.isnan(mine) and math.isnan(theirs)) or abs(mine - theirs) <= 1e-5 * mine + 1e-9
        if not same and mine < 1e300 and theirs != 2 * mine:
            yield f"value {i}, {v!r}: {theirs} ulp, and it is {mine}"
        if due in {"ok", "inaccurate"}:
            most = (
                limit
                if limit is not None
                else seen.limit(i)
                if seen is not None and "softcap" not in problem.keywords
                else None
            )
            near = (
                most is not None
                and limit is None
                and (not abs(mine / most - 1) > 0.01 or problem.quantity == "gradient")
            )
            if most is not None and not near:
                due = "ok" if mine <= most else "inaccurate"
            elif word in {"ok", "inaccurate"}:
                due = word
        of_parts = limit is None and problem.quantity in {"kl", "bce", "gradient"} and v == 0  # NUMERICS 6a
        bare = isinstance(t, Fraction) and math.frexp(abs(float(t)))[0] == 0.5  # the truth itself may lie just below
        if word != due and not (of_parts and (word, due) == ("ok", "lost")) and not bare:
            yield f"value {i}, {v!r}, is called {word}, and is {due}: {texts[i][:30]}, {mine} ulp of {limit}"


def _many(
    problem: Problem,
    words: list[str],
    document: dict[str, Any],
    outputs: list[list[float]],
    folder: Path,
    count: Counter[str],
) -> Iterator[str]:
    """The same rows until there are more values than are judged one by one: every count is a multiple."""
    if problem.quantity == "jacobian" or any(isinstance(v, list) for v in problem.keywords.values()):
        return
    size, n = len(outputs[0]), len(outputs)
    times = LARGE // (size * n) + 1
    if times * len(problem.logits[0]) * n > 4 * LARGE or "kl" in problem.quantity:
        return
    x = np.tile(np.array([row.x for row in problem.rows]), (times, 1))
    y = np.tile(np.array(outputs), (times, 1))
    if problem.dtype not in STORED:
        return
    np.save(folder / "mx.npy", x.astype(STORED[problem.dtype]))
    np.save(folder / "my.npy", y.astype(STORED[problem.dtype]))
    rest = words[words.index(next(w for w in words[2:] if w.startswith("-") and w != "-d")) :]
    code, out, err = cli(["check", str(folder / "mx.npy"), str(folder / "my.npy"), *rest, "-f", "json"])
    if not out:
        yield f"many rows: exit {code}: {err}"
        return
    many = json.loads(out)
    few = Counter(w for told in judged(document) for w in flat(told["verdicts"]))
    if many["summary"].get("verdicts") != {k: v * times for k, v in few.items()}:
        yield f"{times} times: {many['summary'].get('verdicts')}, once {dict(few)}"
    codes = Counter(c for row in document["rows"] for c in {f["code"] for f in row["findings"]} - {"SM901", "SM902"})
    told = {c: k for c, k in many["summary"]["findings"].items() if c not in {"SM901", "SM902"}}
    if told != {c: k * times for c, k in codes.items()}:
        yield f"{times} times: {told}, once {dict(codes)}"
    few_worst = max((float(m["worst"]["ulp"]) for m in judged(document)), key=lambda u: (math.isnan(u), u))
    worst = float(many["summary"]["worst_values"][0]["ulp"])
    both_nan = math.isnan(worst) and math.isnan(few_worst)
    if not (worst == few_worst or both_nan or abs(worst - few_worst) < 1e-6 * few_worst + 1e-9):
        yield f"{times} times: the worst is {worst}, once {few_worst}"
    count["many"] += 1


def attack(seed: int, many: int) -> tuple[Counter[str], list[str]]:
    """Some random problems; the counts, and what was wrong."""
    rng, count, wrong = Random(seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(many):
            state = rng.getrandbits(48)
            problem = draw(Random(state))
            if problem.quantity == "vjp":
                continue
            if problem.quantity == "gradient" and problem.rows[0].kind != "cross-entropy":
                continue
            said = f"    {state}: {problem.quantity} of {problem.logits}, {problem.keywords}"
            try:
                wrong += [f"{w}\n{said}" for w in check(problem, count, Random(state), Path(folder))]
            except SmcliError:
                count["refused"] += 1
    return count, wrong


if __name__ == "__main__":
    sys.exit(command.run(attack, __doc__))
