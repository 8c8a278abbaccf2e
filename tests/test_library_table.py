"""docs/libraries.md: its form, that its sentences are what its tables show, and that it comes out again."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from smcli import methods
from smcli.quantities import QUANTITIES

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "libraries.md").read_text(encoding="utf-8")
COMPILING = {"torch-compile", "jax", "jax-jit"}  # for minutes: their rows are not made again here


def script():
    spec = importlib.util.spec_from_file_location("libraries_page", DOCS / "libraries.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tables(page: str) -> dict[str, dict[tuple[str, ...], dict[str, str]]]:
    """The tables by their headings: of each line, by its first cells, the other ones by their columns."""
    found, heading, head = {}, "", None
    for line in page.splitlines():
        if line.startswith("#"):
            heading, head = line.lstrip("# "), None
        elif line.startswith("|"):
            cells = [c.strip() for c in line.strip("|").split(" | ")]
            if head is None:
                head = cells
            elif set(cells[0]) != {"-"}:
                keys = 4 if head[0] == "logits" else 1
                row = dict(zip(head[keys:], cells[keys:], strict=True))
                found.setdefault(heading, {})[tuple(cells[:keys])] = row
    return found


def test_every_library_is_in_it():
    known = tables(PAGE).pop("Known cases")
    names = list(methods.adapters())
    assert all(list(row) == names for row in known.values())
    assert len(known) == len(script().KNOWN)
    for q in QUANTITIES.values():
        if q.name in {
            "softmax",
            "log-softmax",
            "logsumexp",
            "cross-entropy",
            "sigmoid",
            "log-sigmoid",
            "entropy",
            "gradient",
        }:
            rows = tables(PAGE)[q.title]
            assert [name for (name,) in rows] == [n for n in names if methods.get(n).defines(q.name)], q.name
            for (name,), row in rows.items():
                for dtype in ("float64", "float32", "float16", "bfloat16"):
                    assert (row[dtype] == "–") == (dtype not in methods.get(name).code.dtypes), (q.name, name, dtype)


def test_it_names_the_command_and_the_versions():
    assert "Made by `python docs/libraries.py` with " in PAGE
    for package in ("numpy", "scipy", "torch", "jax", "jaxlib", "tensorflow", "onnxruntime", "Python"):
        assert re.search(rf"\b{package} \d+\.\d+", PAGE), package


def test_the_sentences_on_top_are_what_the_tables_show():
    found = tables(PAGE)
    counts, rows = {}, {}
    for title in ("softmax", "log-softmax", "logsumexp"):
        for (name,), row in found[title].items():
            bad = [int(n) for n in re.findall(r"(\d+) (?:lost|inaccurate)", row["float32"])]
            counts[name] = counts.get(name, 0) + sum(bad)
            rows[name] = rows.get(name, 0) + int(re.search(r"(?:of|all) (\d+)", row["float32"])[1])
    answer, alike = PAGE.split("\n\n")[1:3]
    said = {name: int(n) for name, n in re.findall(r"([a-z-]+) (\d+)[,.]", answer.partition("in float32: ")[2])}
    assert said == {name: n for name, n in counts.items() if name != "torch-compile"}
    assert list(said.values()) == sorted(said.values()) and min(said.values()) > 0
    assert f"of the {rows['scipy']} of softmax" in answer and "None is right everywhere" in answer
    wrong = 0
    for (logits, dtype, quantity, _), row in found["Known cases"].items():
        given = [word for name, word in row.items() if word != "–" and name != "torch-compile"]
        every = all("**" in word for word in given)
        assert (f"the {quantity} of {logits} in {dtype} ({len(given)} libraries)" in alike) == every
        wrong += every
    assert wrong > 0


def test_it_comes_out_again(monkeypatch):
    module = script()
    names = [n for n, m in methods.adapters().items() if not m.reason]
    if len(names) < len(methods.adapters()):
        pytest.skip(f"not installed: {', '.join(sorted(set(methods.adapters()) - set(names)))}")
    (environment,) = module.environment(names)
    if environment not in PAGE:
        pytest.skip(f"docs/libraries.md was made elsewhere; here it is {environment}")
    again = tables(module.page([n for n in names if n not in COMPILING]))
    for heading, rows in tables(PAGE).items():
        for key, row in rows.items():
            if heading == "Known cases":
                assert {n: row[n] for n in row if n not in COMPILING} == again[heading][key], key
            elif key[0] not in COMPILING:
                assert row == again[heading][key], (heading, key)
