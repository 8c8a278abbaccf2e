"""Imports go down only; Typer, Rich, mpmath and the frameworks stay in their rooms; every module says what it is for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "smcli"
MODULES = sorted(ROOT.rglob("*.py"))
LEVELS = [  # from the top; a room imports from its own level and below
    {"__main__"},
    {"cli"},
    {"shells"},
    {"testing"},
    {"render", "scan", "api", "checking"},
    {"read", "document"},
    {"analyse", "report"},
    {"request"},
    {"findings", "confirm"},
    {"judge", "methods", "reference"},
    {"problem"},
    {"quantities"},
    {"numbers"},
    {"batch"},
    {"model", "registry"},
    {"errors", "version"},
]
LEVEL = {room: k for k, rooms in enumerate(LEVELS) for room in rooms}
HOMES = {
    "typer": {"cli"},
    "rich": {"cli", "render"},
    "mpmath": {"methods/bigfloat.py", "confirm/arithmetic.py"},
    "distributed": {"scan/pool.py"},
}
HOMES |= {name: {f"methods/libraries/{name}.py"} for name in ("scipy", "torch", "jax", "tensorflow", "onnxruntime")}
HOMES |= {"onnx": {"methods/libraries/onnxruntime.py"}, "ml_dtypes": {"methods/libraries/__init__.py"}}
NOWHERE = {"click", "pandas"}


def room(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(path):
    """The modules that a file imports, those for type checking only left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checking = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in NAMED else node.module


def dotted(path):
    name = ".".join(["smcli", *path.relative_to(ROOT).with_suffix("").parts])
    return name.removesuffix(".__init__")


NAMED = {dotted(path): path for path in MODULES}


def test_no_imports_go_in_a_circle():
    """Neither those of a module nor those within functions; of `from package import module`, the module counts."""
    graph = {name: {one for one in imports(path) if one in NAMED and one != name} for name, path in NAMED.items()}
    assert all(
        "smcli.cli.app" not in found for name, found in graph.items() if name != "smcli.__main__"
    )  # it loads commands
    while leaves := {name for name, found in graph.items() if not found & set(graph)}:
        graph = {name: found for name, found in graph.items() if name not in leaves}
    while tops := {name for name in graph if all(name not in found for found in graph.values())}:
        graph = {name: found for name, found in graph.items() if name not in tops}
    assert not {name: sorted(found & set(graph)) for name, found in graph.items()}


def test_every_room_has_a_level():
    assert {room(p) for p in MODULES} - {"__init__"} == set(LEVEL)


def test_the_map_of_the_house_names_every_room():
    text = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## To add")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    rooms = [re.sub(r"/$|\.py$", "", name) for cell in cells for name in re.findall(r"`(\S+)`", cell)]
    assert sorted(rooms) == sorted(LEVEL)
    assert [LEVEL[name] for name in rooms] == sorted(LEVEL[name] for name in rooms)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path):
    here = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "smcli":
            assert parts[0] not in NOWHERE, name
            homes = HOMES.get(parts[0])
            where = str(path.relative_to(ROOT).as_posix())
            rooms = {here, where}
            assert homes is None or rooms & homes, f"{where} imports {name}"
        elif here != "__init__" and len(parts) > 1 and parts[1] in LEVEL:
            assert LEVEL[parts[1]] >= LEVEL[here], f"{here} imports {name}, which is above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import smcli", {"numpy", "typer", "rich", "mpmath", "typing"}),
        ("from smcli.cli.app import build; build()", {"numpy", "mpmath", "rich"}),
        ("import smcli; smcli.compare([1000, 2000])", {"mpmath", "rich", "typer", "matplotlib"}),
    ],
)
def test_start_up_stays_light(code, heavy):
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not heavy & (set(done.stdout.split()) - set(bare.stdout.split()))
