"""Attack on the command line as a black box: one problem by many ways in and out has the same digits and findings.

The document of the Python API is what the other ways are held to; digits.py and judging.py attack that one. Figures in
tables have to be those of the document, correctly rounded to the digits that are shown.

python tests/attack/commands.py --problems 1000 --seed 1
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import struct
import sys
import tempfile
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import command
import numpy as np
from definition import FORMATS
from problems import Problem, draw

import smcli
from smcli.cli.app import run
from smcli.errors import SmcliError

if TYPE_CHECKING:
    from collections.abc import Iterator

DERIVATIVES = {"gradient", "jacobian", "vjp"}
STORED = {"float64": "<f8", "float32": "<f4", "float16": "<f2"}
WORDS = {"lost", "undefined", "underflow", "overflow", "inaccurate", "not-representable", "correct", "ok"}


class WrongError(AssertionError):
    """Something that is not as it has to be."""


def cli(words: list[str], given: bytes = b"") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    streams = [io.TextIOWrapper(io.BytesIO(b), encoding="utf-8", newline="") for b in (given, b"", b"")]
    kept = sys.stdin, sys.stdout, sys.stderr
    try:
        sys.stdin, sys.stdout, sys.stderr = streams
        code = run(words)
        for stream in streams[1:]:
            stream.flush()
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept
    out, err = (s.buffer.getvalue().decode() for s in streams[1:])  # type: ignore[attr-defined]
    return code, out, err


def flat(values: list[Any]) -> list[Any]:
    """A Jacobian as one list."""
    return [v for line in values for v in (line if isinstance(line, list) else [line])]


def options(problem: Problem, folder: Path) -> list[str]:
    """The options of a problem; what has several rows lies in a file."""
    words: list[str] = []
    for name, value in problem.keywords.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif not isinstance(value, list):
            words += [flag, str(value)]
        elif isinstance(value[0], list):
            path = folder / f"{name}.json"
            path.write_text(json.dumps(value), encoding="utf-8")
            words += [flag, str(path)]
        else:
            words += [flag, ",".join(map(repr, value))]
    return [*words, *(["-q", problem.quantities] if problem.quantities is not None else [])]


def safetensors(name: str, array: np.ndarray[Any, Any], kind: str) -> bytes:
    """A file of one tensor."""
    raw = array.tobytes()
    head = json.dumps({name: {"dtype": kind, "shape": list(array.shape), "data_offsets": [0, len(raw)]}}).encode()
    return struct.pack("<Q", len(head)) + head + raw


def written(v: float) -> str:
    """All digits of a number: a text that a float64 does not hold is a finding."""
    return str(Decimal(v)).replace("E", "e").replace("Infinity", "inf").replace("NaN", "nan")


def ways(problem: Problem, folder: Path, rng: Random) -> Iterator[tuple[str, list[str], bytes]]:
    """A name, the words that stand for the logits, and what is on standard input."""
    rows = problem.logits
    words = [[written(v) for v in row] for row in rows]
    if len(rows) == 1:
        yield "arguments", words[0], b""
        yield "commas", [rng.choice((",", ", ", ";")).join(words[0])], b""
        yield "hex", [v.hex() if math.isfinite(v) else repr(v) for v in rows[0]], b""
    single = len(rows[0]) == 1 and len(rows) > 1  # lines of one number are one row
    if not single:
        yield "stdin", [], "\n".join(rng.choice(" ,\t").join(w) for w in words).encode()
        head = ",".join(f"c{i}" for i in range(len(rows[0])))
        extra = [",".join([*w, "7"]) for w in words]
        (folder / "x.csv").write_text("\n".join([f"{head},id", *extra]), encoding="utf-8")
        yield "csv", ["-i", str(folder / "x.csv"), "--columns", head], b""
    lists = [f"[{', '.join(w)}]" for w in words]
    yield "repr", [], f"logits = array([{', '.join(lists)}])".encode()
    named = [re.sub("inf", "Infinity", text).replace("nan", "NaN") for text in lists]
    yield "json", ["--input-format", "json"], f'{{"logits": [{", ".join(named)}]}}'.encode()
    (folder / "x.jsonl").write_text("\n".join(named), encoding="utf-8")
    yield "jsonl", ["-i", str(folder / "x.jsonl")], b""
    array = np.array(rows)
    shaped = array.reshape(1, *array.shape) if rng.random() < 0.3 else array
    np.save(folder / "x.npy", rng.choice((shaped, np.asfortranarray(shaped), shaped.astype(">f8"))))
    yield "npy", ["-i", str(folder / "x.npy")], b""
    rng.choice((np.savez, np.savez_compressed))(folder / "x.npz", other=np.zeros(3), a=array)
    yield "npz", ["-i", str(folder / "x.npz"), "--key", "a"], b""
    np.save(folder / "t.npy", array.T.copy())
    yield "axis", ["-i", str(folder / "t.npy"), "--axis", "0"], b""
    (folder / "x.safetensors").write_bytes(safetensors("z", array, "F64"))
    yield "safetensors", ["-i", str(folder / "x.safetensors")], b""


def own(problem: Problem, folder: Path) -> Iterator[tuple[str, list[str], bytes]]:
    """The same of files that hold the numbers in the format itself, which is not named."""
    rows, dtype = [row.x for row in problem.rows], problem.dtype
    array = np.array(rows)
    if dtype in STORED:
        np.save(folder / "own.npy", array.astype(STORED[dtype]))
        yield "own npy", ["-i", str(folder / "own.npy")], b""
        kinds = {"float64": "F64", "float32": "F32", "float16": "F16"}
        (folder / "own.safetensors").write_bytes(safetensors("z", array.astype(STORED[dtype]), kinds[dtype]))
    elif dtype == "bfloat16":
        bits = (array.astype("<f4").view("<u4") >> 16).astype("<u2")
        (folder / "own.safetensors").write_bytes(safetensors("z", bits, "BF16"))
    else:
        import ml_dtypes

        kind = {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}[dtype]
        (folder / "own.safetensors").write_bytes(safetensors("z", array.astype(getattr(ml_dtypes, dtype)), kind))
    yield "own safetensors", ["-i", str(folder / "own.safetensors")], b""


def bare(document: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same, whatever the way in."""
    return json.loads(json.dumps({k: v for k, v in document.items() if k != "smcli"}))  # type: ignore[no-any-return]


def differ(a: Any, b: Any, where: str = "") -> str:
    """Where two documents differ first; nothing where they do not."""
    if type(a) is not type(b) and not (isinstance(a, int | float) and isinstance(b, int | float)):
        return f"{where}: {a!r} and {b!r}"
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return f"{where}: {sorted(a)} and {sorted(b)}"
        return next((w for k in a if (w := differ(a[k], b[k], f"{where}.{k}"))), "")
    if isinstance(a, list):
        if len(a) != len(b):
            return f"{where}: {len(a)} and {len(b)}"
        return next((w for k, (x, y) in enumerate(zip(a, b, strict=True)) if (w := differ(x, y, f"{where}[{k}]"))), "")
    return "" if a == b else f"{where}: {a!r} and {b!r}"


NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def shows(said: str, full: str) -> bool:
    """Whether a text is another one, correctly rounded to as many digits as it has; an exponent may be rounded itself."""
    if said == full:
        return True
    if said.lstrip("-").startswith("10^"):
        exponent = full.partition("e")[2]
        return (
            len(exponent) > 9
            and said.startswith("-") == full.startswith("-")
            and shows(said.partition("^")[2], exponent)
        )
    if not NUMBER.fullmatch(said) or not NUMBER.fullmatch(full):
        return False
    mantissa, _, power = said.partition("e")
    other, _, exponent = full.partition("e")
    shift = int(power or 0) - int(exponent or 0)
    if abs(shift) > 10**4:
        return False
    a, b = Fraction(mantissa) * Fraction(10) ** shift, Fraction(other)
    unit = Fraction(10) ** (shift - len(mantissa.partition(".")[2]))
    if "." not in mantissa and "e" not in said:  # an integer that may have been rounded
        unit = Fraction(10) ** shift
    return abs(a - b) < unit / 2


def error_shows(said: str, x: float, floor: float = 0.0) -> bool:
    """Whether a text is an error in two digits or more, or below a bound that is between floor and twice as much."""
    if said.startswith("< "):
        return x < 2 * floor and float(said[2:]) >= floor * (1 - 1e-12)
    if said in {"nan", "inf"}:
        return said == str(x)
    if not NUMBER.fullmatch(said) or not math.isfinite(x) or 0 < x < floor:
        return False
    if x == 0 or said == "0":
        return x == 0 and said == "0"
    mantissa, _, power = said.partition("e")
    unit = Fraction(10) ** (int(power or 0) - len(mantissa.partition(".")[2]))
    digits = len(mantissa.replace(".", "").lstrip("0"))
    power_of_ten = not mantissa.replace(".", "").replace("0", "").strip("1")
    return abs(Fraction(said) - Fraction(x)) <= unit / 2 and (
        digits >= 2 or (x < 1e5 and power_of_ten) or _two(said, x)
    )


def _two(said: str, x: float) -> bool:
    """Two digits of which the second is 0 and is not written."""
    return Fraction(said) == Fraction(f"{x:.1e}")


def tables(text: str) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """The tables of a Markdown text: the heading above, the head, the lines."""
    title, lines = "", text.split("\n")
    k = 0
    while k < len(lines):
        if lines[k].startswith("#"):
            title = lines[k].lstrip("# ")
        if lines[k].startswith("|"):
            block = []
            while k < len(lines) and lines[k].startswith("|"):
                block.append([c.strip().replace("\\", "") for c in re.split(r"(?<!\\)\|", lines[k])[1:-1]])
                k += 1
            yield title, block[0], block[2:]
            continue
        k += 1


def check_lines(document: dict[str, Any], lines: list[list[str]], count: Counter[str]) -> None:
    """Whether CSV or plain lines say what the document says."""
    head, *body = lines
    places = {name: k for k, name in enumerate(head)}
    at = iter(body)
    for row in document["rows"]:
        for q in row["results"]:
            exact = flat(q["exact"])
            per_class = len(exact) == len(row["logits"]) and not isinstance(q["exact"][0], list)
            for i, text in enumerate(exact):
                cells = next(at)
                due = [str(row["row"]), q["quantity"]]
                if cells[:2] != due or cells[4] != text:
                    raise WrongError(f"line {cells}, where {due}, {text} is due")
                if per_class and float(cells[3]) != float(row["logits"][i]) and cells[3] != "nan":
                    raise WrongError(f"line {cells}: the logit is {row['logits'][i]}")
                for m in q["methods"]:
                    if not m["available"]:
                        continue
                    k = places[m["method"]]
                    told = [flat(m[key])[i] for key in ("values", "ulp", "rel", "verdicts")]
                    same = [_same(a, b) for a, b in zip(cells[k : k + 3], told[:3], strict=True)]
                    if not all(same) or cells[k + 3] != told[3]:
                        raise WrongError(f"line {cells[k : k + 4]}, where the document has {told}")
                    count["cells"] += 4
    rest = list(at)
    reduced = document["summary"].get("reduced", {})
    if len(rest) != len(reduced):
        raise WrongError(f"{rest} at the end, where {list(reduced)} is due")


def _same(text: str, value: Any) -> bool:
    return float(text) == float(value) or (text == "nan" and math.isnan(float(value)))


def check_tables(document: dict[str, Any], text: str, count: Counter[str], *, whole: bool) -> None:  # noqa: C901
    """Whether the tables of Markdown show what the document says, and with how many digits."""
    row: dict[str, Any] | None = document["rows"][0] if len(document["rows"]) == 1 else None
    p = FORMATS[document["dtype"]][0]
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        found = re.match(r"row (\d+) ", part)
        if found:
            row = next(r for r in document["rows"] if r["row"] == int(found[1]))
        for _, head, lines in tables(part):
            exact_at = next((k for k, h in enumerate(head) if h.startswith("exact ")), None)
            if exact_at is None or row is None or "worst value" in head:
                continue
            name = head[exact_at].removeprefix("exact ").split(" of ")[0]
            results = [q for q in row["results"] if q["quantity"] == name]
            if not results or "reduced" in part.partition(head[exact_at])[0].rpartition("###")[2]:
                continue
            exact = flat(results[0]["exact"])
            floor = below(results[0]["certified"]) * 2.0**p
            for n, cells in enumerate(lines):
                i = n
                if head[0] in {"i", "t"}:
                    i = int(cells[0])
                elif head[0] == "i,j":
                    a, b = map(int, cells[0].split(","))
                    i = a * len(row["logits"]) + b
                _check_cell(cells[exact_at], exact[i], f"{name} {i}", whole=whole)
                if "logit" in head:
                    told = cells[head.index("logit")]
                    if not shows(told, plain(row["logits"][i])):
                        raise WrongError(f"logit {told}, where the document has {row['logits'][i]}")
                for m in results[0]["methods"]:
                    if not m["available"] or m["method"] not in head:
                        continue
                    _check_method(m, cells, head, i, floor, whole=whole)
                    count["shown"] += 1


def below(bound: str) -> float:
    """What a bound that was rounded upwards to one digit is at the least."""
    digit = bound.partition("e")[0]
    return float(bound) * (1 - 1 / int(digit) if int(digit) > 1 else 0.9) if bound != "0" else 0.0


def plain(value: Any) -> str:
    """A number of the document as a text without an empty fraction, exponent sign and zeros."""
    if isinstance(value, str):
        return value
    text = str(int(value)) if value == int(value) and abs(value) < 1e16 else repr(float(value))
    return re.sub(r"e\+?(-?)0*(\d)", r"e\1\2", text)


def _check_cell(said: str, full: str, what: str, *, whole: bool) -> None:
    if (whole and said != full) or not shows(said, full):
        raise WrongError(f"{what}: {said} is shown, and it is {full}")


def _check_method(m: dict[str, Any], cells: list[str], head: list[str], i: int, floor: float, *, whole: bool) -> None:
    k = head.index(m["method"])
    y, ulp, rel, verdict = (flat(m[key])[i] for key in ("values", "ulp", "rel", "verdicts"))
    _check_cell(cells[k], plain(y), f"{m['method']} {i}", whole=whole)
    k = next(j for j in range(k, len(head)) if head[j] == "rel")
    said = cells[k]
    if said.startswith("abs "):
        good = error_shows(said[4:], abs(float(y)))
    elif said in WORDS:
        good = (said in {"underflow", "overflow"}) == (verdict == "not-representable") and (
            said in {"underflow", "overflow"} or said == verdict
        )
    else:
        good = error_shows(said, float(rel))
    if not good:
        raise WrongError(f"{m['method']} {i}: rel {said}, where the document has {rel}, {verdict}")
    if "ulp" in head and not error_shows(cells[k + 1], float(ulp), floor):
        raise WrongError(f"{m['method']} {i}: {cells[k + 1]} ulp, where the document has {ulp}; floor {floor}")
    if "verdict" in head and cells[k + 2] != verdict:
        raise WrongError(f"{m['method']} {i}: {cells[k + 2]}, where the document has {verdict}")


def check_answer(document: dict[str, Any], text: str, count: Counter[str]) -> None:
    """Whether the line of each method counts what the document has."""
    for line in text.split("\n"):
        found = re.match(r"- \*\*(\S+)\*\*: (.*)", line)
        if not found:
            continue
        name, said = found[1].replace("\\", ""), found[2]
        told = [
            (q["quantity"], m)
            for r in document["rows"]
            for q in r["results"]
            for m in q["methods"]
            if m["method"] == name
        ]
        if not told or not any(m["available"] for _, m in told):
            continue
        words = Counter(w for _, m in told if m["available"] for w in flat(m["verdicts"]))
        for label in ("correct", "ok"):
            shown = re.search(rf"(\d+) {label}\b", said)
            if int(shown[1] if shown else 0) != words[label]:
                raise WrongError(f"{line}: {words[label]} are {label}")
        for label in ("lost", "inaccurate", "undefined"):
            shown = re.search(rf"(?:^|; ){label} (\d+) of (\d+)", said)
            if int(shown[1] if shown else 0) != words[label]:
                raise WrongError(f"{line}: {words[label]} are {label}")
        worst = re.search(r"worst (\S+) ulp", said)
        if worst:
            most = max(
                (float(u) for _, m in told for u, w in zip(flat(m["ulp"]), flat(m["verdicts"]), strict=True)
                 if w == "inaccurate" and math.isfinite(float(u))), default=math.nan,
            )  # fmt: skip
            if not error_shows(worst[1], most):
                raise WrongError(f"{line}: the worst is {most}")
        count["answers"] += 1


def check(problem: Problem, count: Counter[str], rng: Random, folder: Path) -> None:
    """One problem by all ways."""
    call = smcli.gradient if problem.quantity in DERIVATIVES else smcli.compare
    command = "grad" if problem.quantity in DERIVATIVES else "compare"
    keywords = dict(problem.keywords)
    if problem.quantities is not None:
        keywords["quantities"] = problem.quantities
    document = bare(call(problem.logits, **keywords).to_dict())
    words = options(problem, folder)
    every = list(ways(problem, folder, rng))
    for name, given, stdin in rng.sample(every, min(4, len(every))):
        compare(document, [command, *words, *given, "-f", "json"], stdin, name, count)
    stored = {**keywords}
    del stored["dtype"]
    rows = [row.x for row in problem.rows]
    if not any(math.isnan(v) for row in rows for v in row):
        other = bare(call(rows, **keywords).to_dict())
        at = words.index("--dtype")
        for name, given, stdin in own(problem, folder):
            compare(other, [command, *words[:at], *words[at + 2 :], *given, "-f", "json"], stdin, name, count)
    _, given, stdin = rng.choice(every)
    for form in ("csv", "plain"):
        _, out, _ = cli([command, *words, *given, "-f", form], stdin)
        lines = list(csv.reader(io.StringIO(out))) if form == "csv" else [x.split("\t") for x in out.split("\n")[:-1]]
        check_lines(document, lines, count)
    for more, whole in ((["-v", "--all"], True), (["--all"], False), ([], False), (["--digits", "5", "--all"], None)):
        _, out, err = cli([command, *words, *given, "-f", "markdown", *more], stdin)
        if not out:
            raise WrongError(f"nothing is printed: {err}")
        shown = document if whole is not None else bare(call(problem.logits, digits=5, **keywords).to_dict())
        check_tables(shown, out, count, whole=whole is not False)
        check_answer(shown, out, count)
        count["pages"] += 1
    count["problems"] += 1


def compare(document: dict[str, Any], words: list[str], stdin: bytes, name: str, count: Counter[str]) -> None:
    """Whether a command prints this document."""
    code, out, err = cli(words, stdin)
    if code:
        raise WrongError(f"{name}: exit {code}, {err}\n    {words} < {stdin!r}")
    where = differ(document, bare(json.loads(out)))
    if where:
        raise WrongError(f"{name}: {where}\n    {words} < {stdin!r}")
    count["documents"] += 1
    count["digits"] += sum(len(t) for r in document["rows"] for q in r["results"] for t in flat(q["exact"]))
    count["findings"] += sum(len(r["findings"]) for r in document["rows"])


def attack(seed: int, many: int) -> tuple[Counter[str], list[str]]:
    """Some random problems; the counts, and what was wrong."""
    rng, count, wrong = Random(seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(many):
            state = rng.getrandbits(48)
            problem = draw(Random(state))
            said = f"    {state}: {problem.quantity} of {problem.logits}, {problem.keywords}"
            try:
                check(problem, count, Random(state), Path(folder))
            except SmcliError:
                count["refused"] += 1
            except WrongError as error:
                wrong.append(f"{error}\n{said}")
    return count, wrong


if __name__ == "__main__":
    sys.exit(command.run(attack, __doc__))
