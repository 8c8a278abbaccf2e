"""What is built for others: the wheel and the source distribution hold what they should, and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

import smcli

pytest.importorskip("hatchling")
ROOT = Path(__file__).parent.parent
SHARED = {
    "share/bash-completion/completions/smcli": "completions/smcli.bash",
    "share/zsh/site-functions/_smcli": "completions/_smcli",
    "share/fish/vendor_completions.d/smcli.fish": "completions/smcli.fish",
    "share/man/man1/smcli.1": "docs/man/smcli.1",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a wheel and a source distribution of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    return BytesParser().parsebytes(wheel.read(f"smcli-{smcli.__version__}.dist-info/METADATA"))


def test_the_wheel_holds_the_package_and_what_shells_and_man_look_for(wheel):
    here = {p.relative_to(ROOT).as_posix() for p in (ROOT / "smcli").rglob("*") if p.suffix in {".py", ".typed"}}
    names = {name for name in wheel.namelist() if not name.startswith(f"smcli-{smcli.__version__}.d")}
    assert names == here and "smcli/py.typed" in here
    data = f"smcli-{smcli.__version__}.data/data/"
    assert {name.removeprefix(data) for name in wheel.namelist() if name.startswith(data)} == set(SHARED)
    for name, source in SHARED.items():
        assert wheel.read(data + name) == (ROOT / source).read_bytes()


def test_the_metadata_is_whole(wheel, metadata):
    assert metadata["Version"] == smcli.__version__ and metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT" and metadata["License-File"] == "LICENSE"
    assert wheel.read(f"smcli-{smcli.__version__}.dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert metadata.get_payload(decode=True) == (ROOT / "README.md").read_bytes()
    points = wheel.read(f"smcli-{smcli.__version__}.dist-info/entry_points.txt").decode()
    assert "smcli = smcli.__main__:main" in points


def test_what_it_needs_is_what_it_imports(metadata):
    needed = {re.match(r"[\w.-]+", line)[0] for line in metadata.get_all("Requires-Dist") if "extra ==" not in line}
    assert needed == {"numpy", "mpmath", "rich", "typer"}
    libraries = {p.stem for p in (ROOT / "smcli" / "methods" / "libraries").glob("*.py")} - {"__init__", "numpy"}
    assert libraries <= set(metadata.get_all("Provides-Extra"))  # `pip install 'smcli[torch]'` is what hints say


def test_the_version_stands_in_one_place():
    files = [p for room in ("smcli", "completions", "docs") for p in (ROOT / room).glob("**/*.py")]
    holders = [p.relative_to(ROOT).as_posix() for p in files if smcli.__version__ in p.read_text(encoding="utf-8")]
    assert holders == ["smcli/version.py"]
    for name in ("pyproject.toml", "README.md", "docs/man/smcli.1"):
        assert smcli.__version__ not in (ROOT / name).read_text(encoding="utf-8"), name


def test_the_changelog_begins_with_this_version():
    first = re.search(
        r"^## (\S+) – (\d{4}-\d{2}-\d{2})$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert first and first[1] == smcli.__version__


def test_the_wheel_runs_from_where_it_is_unpacked(wheel, tmp_path):
    wheel.extractall(tmp_path)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(tmp_path), "PYTHONUTF8": "1"}
    for words, says in (
        (["-m", "smcli", "--version"], f"smcli {smcli.__version__}\n"),
        (["-c", "import smcli; print(smcli.__file__)"], f"{tmp_path / 'smcli' / '__init__.py'}\n"),
        (["-m", "smcli", "eval", "1", "1", "-q", "softmax", "-f", "plain"], None),
    ):
        done = subprocess.run([sys.executable, "-W", "error", *words], cwd=tmp_path, env=env, capture_output=True, text=True,
                              encoding="utf-8", timeout=60, check=True)  # fmt: skip
        assert done.stdout == says if says else done.stdout.count("\t0.5\n") == 2


def test_the_source_distribution_can_be_tested_and_built(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = [p for folder in ("smcli", "tests", "completions", "docs") for p in (ROOT / folder).rglob("*")]
    wanted = {p.relative_to(ROOT).as_posix() for p in tracked if p.is_file() and "__pycache__" not in p.parts}
    assert wanted <= names
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml", "PKG-INFO"} <= names
