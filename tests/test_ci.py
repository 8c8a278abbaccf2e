"""The environment of the libraries under test: what is in it, and that a broken one is never taken for a whole one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from smcli import methods

HERE = Path(__file__).parent.parent
REQUIRED = {
    re.split(r"[<>=]", line)[0]
    for line in (HERE / ".ci/libraries.txt").read_text().splitlines()
    if line and not line.startswith("#")
}


def test_every_library_under_test_is_required() -> None:
    for name, m in methods.adapters().items():
        code = m.code  # type: ignore[attr-defined]
        assert REQUIRED & {code.package, *code.distributions}, name
    assert {"onnx", "distributed", "safetensors", "ml_dtypes"} <= REQUIRED


def wheel(folder: Path, name: str) -> str:
    """A requirement of a distribution that holds nothing."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        z.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{name}-1.0.dist-info/RECORD", "")
        z.writestr(f"{name}.py", "")
    return f"{name} @ {path.as_uri()}"


@pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("sha256sum") is None, reason="a script of bash and coreutils"
)
def test_the_environment_is_made_once_and_says_what_is_absent(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(HERE / ".ci/libraries", tmp_path / ".ci")
    tool, late = wheel(tmp_path, "tool"), wheel(tmp_path, "late")
    (tmp_path / "pyproject.toml").write_text(
        f"[project]\ndependencies = ['{tool}']\n[project.optional-dependencies]\ntest = []\n"
    )
    (tmp_path / ".ci/libraries.txt").write_text(f"# why\n{late}\n{wheel(tmp_path, 'there')} # and this\n")
    kept = (tmp_path / "late-1.0-py3-none-any.whl").rename(tmp_path / "away")
    cache = tmp_path / "cache/smcli-ci"
    (cache / "making.broken/bin").mkdir(parents=True)

    def made() -> tuple[Path, str]:
        env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
        done = subprocess.run(
            [tmp_path / ".ci/libraries"], capture_output=True, text=True, check=True, env=env, timeout=300
        )
        return Path(done.stdout.strip()), done.stderr

    def has(place: Path) -> set[str]:
        return {p.stem for p in place.glob("lib/python*/site-packages/*.py")} & {"tool", "there", "late"}

    place, said = made()
    assert place.parent == cache and re.search(r"was made in \d+ s", said) and has(place) == {"tool", "there"}
    (absent,) = (place / "absent.txt").read_text().splitlines()
    assert absent.startswith(f"{late}\t") and "error" in absent.lower()
    assert sorted(p.name for p in cache.iterdir()) == sorted([place.name, "making.broken"])
    again, said = made()
    assert again == place and "is in the cache" in said and "was made" not in said
    kept.rename(tmp_path / "late-1.0-py3-none-any.whl")
    again, said = made()
    assert again == place and f"can be installed now, so the environment is made anew: {late}" in said
    assert has(place) == {"tool", "there", "late"} and not (place / "absent.txt").exists()
