"""Everything that README.md and docs/*.md show is executed, in the order in which it stands there, in a folder of its own.

`sh` blocks run line by line, `python` blocks run, and are files where their first line is the name of one, and `console`
blocks print just what they show. In a block called `console about` numbers may differ by one in a hundred, and roundings as
they like: the logits depend on the machine's linear algebra in their last bits.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.main import get_command

from smcli.cli.app import build
from smcli.quantities import QUANTITIES

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
DOCUMENTS = [README, *sorted(p for p in (ROOT / "docs").glob("*.md") if "```console\n$ " in p.read_text("utf-8"))]
DOCUMENTS.remove(ROOT / "docs" / "scan.md")  # test_scan_page.py
BLOCK = re.compile(r"^```([a-z]+(?: about)?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
ENV = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "FORCE_COLOR"}} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONUTF8": "1",
    "PYTHONWARNINGS": "error",
}
UPDATE = os.environ.get("SMCLI_GOLDEN") == "update"


def run(command, folder=ROOT, flags="-u"):
    """The exit code of a shell command, and what it prints on both streams."""
    done = subprocess.run(
        ["bash", *flags.split(), "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env=ENV,
        cwd=folder,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def versions(text):
    """The text with the versions of libraries left out: those that are installed say theirs."""
    return re.sub(r"\b(numpy|scipy|mpmath|python-flint) \d+\.\d[\w.]*", r"\1", text)


def alike(shown, printed):
    """Whether two texts have the same words, and numbers within one in a hundred; relative errors and their counts apart."""
    texts = [re.sub(r"[,;] \d+ (correct|ok|below \w+)", "", t) for t in (shown, printed)]
    words = [re.sub(r"[\s─█▏▎▍▌▋▊▉]+", " ", NUMBER.sub("#", t)) for t in texts]
    numbers = [[float(n) for n in NUMBER.findall(t)] for t in texts]
    return words[0] == words[1] and all(
        a == pytest.approx(b, rel=0.01, abs=1e-5) for a, b in zip(*numbers, strict=True)
    )


def play_console(body, folder, *, about):
    """Run the commands of a block; the block as it should be, or as it is where that is right."""
    made = ""
    for command in re.findall(r"^\$ (.*)$", body, re.MULTILINE):
        code, printed = run(command, folder)
        assert code == 0, (command, printed)
        made += f"$ {command}\n{printed}"
    same = alike(body, made) if about else versions(body) == versions(made)
    return body if same else made


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_a_document_shows_what_is_so(document, tmp_path):
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    text = document.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert blocks
    wrong = []
    for kind, body in blocks[2:] if document == README else blocks:  # the two that install it are run by .ci/run
        if kind == "python":
            if file := re.match(r"# (\w+\.py)\n", body):
                (tmp_path / file[1]).write_text(body, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-c", body],
                cwd=tmp_path,
                env=ENV,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0 and "Error" not in done.stderr, done.stderr
        elif kind == "sh":
            for line in body.splitlines():
                code, printed = run(line, tmp_path, "-euo pipefail")
                assert code == 0 and printed, (line, printed)
        elif kind.startswith("console"):
            made = play_console(body, tmp_path, about=kind.endswith("about"))
            if made != body:
                text = text.replace(f"```{kind}\n{body}```", f"```{kind}\n{made}```")
                wrong.append((body, made))
    if UPDATE:
        document.write_text(text, encoding="utf-8")
    elif wrong:
        assert wrong[0][0] == wrong[0][1], f"{len(wrong)} blocks of {document.name} differ"


NEEDED = ("gmpy2", "python-flint", "scipy")  # by commands of the documents, and not installed with smcli


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_what_a_command_needs_beside_smcli_is_said_before_it(document):
    text = document.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        for name in NEEDED:
            if re.search(rf"\b{name}\b", block[2]):
                said = " ".join(text[: block.start()].split())
                assert f"pip install {name}" in said, (name, block[2])


def test_the_two_commands_come_first():
    first, second = (body for kind, body in BLOCK.findall(TEXT)[:2] if kind == "sh")
    assert "pip install ." in first and "smcli compare" in first and "pytest" in second
    assert len(first.splitlines()) == len(second.splitlines()) == 1  # .ci/run executes both in a fresh environment


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("main-job.svg", "smcli compare 1000 2000 3000 4000 5000 -o"),
        ("sweep.svg", "smcli grad 1 2 3 --target 0 --sweep --plot"),
    ],
)
def test_a_picture_is_of_today(name, command, tmp_path):
    code, printed = run(f"{command} {tmp_path / name}")
    assert code == 0, printed
    picture = ROOT / "docs" / name
    if UPDATE:
        picture.write_bytes((tmp_path / name).read_bytes())
    assert (tmp_path / name).read_bytes() == picture.read_bytes()


ROWS = re.findall(r"^\| (.*?) \| `(smcli [^`]*)`(.*?) \| `(.*?)` \|$", TEXT, re.MULTILINE)


def test_the_table_has_all_its_rows():
    table = TEXT.partition("## Ask it")[2].partition("\n\nAnything")[0]
    assert len(ROWS) == len(table.strip().splitlines()) - 2  # a header and a rule
    words = {w for row in ROWS for text in row for w in re.findall(r"[\w-]+", text)}
    assert set(QUANTITIES) <= words


@pytest.mark.parametrize(("command", "says"), [(command, says) for _, command, _, says in ROWS])
def test_a_row_of_the_table_says_what_it_promises(command, says, tmp_path):
    run(
        """python -c "import numpy as np; np.savez('step.npz', logits=[[3.0, 1], [1200, 5]], target=[0, 1])" """,
        tmp_path,
    )
    code, printed = run(command, tmp_path)
    assert code == 0, printed
    assert says in printed


@pytest.mark.parametrize(("shell", "file"), [("bash", "smcli.bash"), ("zsh", "_smcli"), ("fish", "smcli.fish")])
def test_completion_is_installed_in_an_empty_home(shell, file, tmp_path):
    (command,) = re.findall(rf"^\| {shell} \| `(.*?)`", TEXT, re.MULTILINE)
    code, printed = run(f"export HOME={tmp_path}; {command}", tmp_path, "-euo pipefail")
    assert (code, printed) == (0, "")
    (script,) = (p for p in tmp_path.rglob("*") if p.is_file())
    assert script.read_bytes() == (ROOT / "completions" / file).read_bytes()


def test_completion_of_powershell_is_what_is_appended_to_its_profile():
    (command,) = re.findall(r"^\| PowerShell \| `(.*?) >> \$PROFILE`", TEXT, re.MULTILINE)
    assert run(command) == (0, (ROOT / "completions" / "smcli.ps1").read_text(encoding="utf-8"))


def test_every_command_is_listed():
    listed = re.findall(r"^\| `smcli (\w+)` \|", TEXT, re.MULTILINE)
    assert sorted(listed) == sorted(get_command(build()).commands)


@pytest.mark.parametrize(
    "document", [README, *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name
)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    headings = [
        re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    ]
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("http"):
            assert (document.parent / target.partition("#")[0]).exists(), target


def test_the_five_questions_come_in_the_order_of_the_list():
    asked = re.findall(r"\]\(#([\w-]+)\)", TEXT)[:5]
    places = [TEXT.lower().index("\n## " + target.replace("-", " ")) for target in asked]
    assert len(asked) == 5 and all(a < b for a, b in pairwise(places))


def test_about_means_the_words_and_the_size_of_the_numbers():
    shown = "lost 5 of 64 (SM402); 52 correct, 7 ok\n62.2108917 1.5e-18 at 5\n"
    assert alike(shown, shown) and alike(shown, "lost 5 of 64 (SM402); 51 correct, 8 ok\n62.2108911 4e-8 at 5\n")
    assert not alike(shown, shown.replace("SM402", "SM401")) and not alike(shown, shown.replace("at 5", "at 6"))
    assert not alike(shown, shown.replace("62.21", "61.21")) and not alike(shown, shown + "more")


def test_the_network_diverges_where_the_walkthrough_says(tmp_path):
    script = ROOT / "docs" / "examples" / "diverging_training.py"
    done = subprocess.run([sys.executable, script], env=ENV, capture_output=True, text=True, timeout=60, check=True)
    told = re.fullmatch(r"hand-written loss: nan at step 1\nfused loss: (0\.\d+) at step 39\n", done.stderr)
    assert told and float(told[1]) < 1
    piped = subprocess.run(
        [sys.executable, "-m", "smcli", "compare", "-d", "float32", "-q", "cross-entropy", "-f", "json"],
        input=done.stdout, env=ENV, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    document = json.loads(piped.stdout)
    first = document["rows"][0]
    assert document["summary"]["rows"] == 64 and first["target"] is not None
    (found,) = [f for f in first["findings"] if f["method"] == "naive"]
    assert (found["code"], found["step"]) == ("SM201", "exp(x)") and first["logits"][found["at"][0]] > 88.7229
    assert "method fused" in found["remedy"]


def test_contributing_names_what_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"\btest_\w+\.py", text):
        assert (ROOT / "tests" / name).is_file(), name
    paths = re.findall(r"(?:tests|docs|completions)/[\w/]+\.\w+", text) + [
        f"smcli/{p}" for p in re.findall(r"`(\w+/[\w/]+\.py)`", text)
    ]
    assert len(paths) > 20
    for name in paths:
        assert (ROOT / name.replace("smcli/tests", "tests").replace("smcli/completions", "completions")).is_file(), name
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").glob("test_*.py"))
    for variable in re.findall(r"SMCLI_\w+", text):
        assert f'environ.get("{variable}"' in sources
