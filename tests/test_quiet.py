"""The command opens no connection, writes no file but those it is told to, and runs no code but its own.

An audit hook sees what Python does on behalf of each command, in a folder whose modules would tell if they were imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import smcli

HOME = str(Path(smcli.__file__).parent)
ROOTS = [
    HOME,
    *{p for p in (*sysconfig.get_paths().values(), *sys.path) if p and os.path.isdir(p) and p != os.getcwd()},
]
WATCH = r"""
import os, sys
home, roots, log, mine = os.environ["HOME_OF_SMCLI"], os.environ["ROOTS"].split(os.pathsep), int(os.environ["LOG"]), os.getpid()
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate",
           "os.utime", "os.setxattr", "os.removexattr"}
STARTS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.forkpty", "pty.spawn",
          "os.startfile", "_posixsubprocess.fork_exec"}
ROOMS = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "poplib.", "imaplib.", "telnetlib.", "webbrowser.", "nntplib.",
         "shutil.", "tempfile.", "pickle.", "cpython.run_", "winreg.", "syslog.")

def tell(*words):
    os.write(log, ("\t".join(words).replace("\n", " ") + "\n").encode())

def hook(event, args):
    if event == "open":
        path, mode, flags = args
        if isinstance(flags, int) and flags & WRITING:
            tell("write", str(path))
    elif event in CHANGES or event in STARTS or event.startswith(ROOMS):
        tell(event, *[str(a)[:200] for a in args[:2]])
    elif event == "exec":
        name = getattr(args[0], "co_filename", "")
        caller = sys._getframe(1).f_code.co_filename
        if caller.startswith(home) or not (name.startswith("<") or any(name.startswith(r + os.sep) for r in roots)):
            tell("exec", name, caller)
    elif event == "compile":
        if sys._getframe(1).f_code.co_filename.startswith(home):
            tell("compile", str(args[1]))

sys.addaudithook(hook)
from smcli.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Logits and outputs in files of every kind, and modules that say so when somebody imports them."""
    path = tmp_path_factory.mktemp("quiet")
    x = np.array([[1.0, 2, 3], [1000, 2000, 3000]])
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    np.save(path / "x.npy", x)
    np.save(path / "p.npy", p)
    np.savez(path / "x.npz", logits=x, target=[0, 1])
    np.savez_compressed(path / "small.npz", logits=x)
    np.save(path / "long.npy", np.random.default_rng(1).normal(0, 3, (300, 4000)).astype(np.float32))
    e = np.exp(np.load(path / "long.npy").astype(np.float64))
    np.save(path / "longp.npy", (e / e.sum(axis=1, keepdims=True)).astype(np.float32))
    (path / "x.txt").write_text("1 2 3\n__import__('os').system('touch hit') 2 3\n")
    (path / "x.csv").write_text("a,b,target\n1,2,0\n3,4,1\n")
    (path / "x.json").write_text(json.dumps({"logits": x.tolist(), "target": [0, 1]}))
    (path / "x.jsonl").write_text("[1, 2]\n[3, 4]\n")
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    data = len(header).to_bytes(8, "little") + header + np.array([1, 2], dtype="<f4").tobytes()
    (path / "x.safetensors").write_bytes(data)
    np.save(path / "object.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    for name in (
        "numpy",
        "scipy",
        "torch",
        "rich",
        "typer",
        "mpmath",
        "smcli",
        "json",
        "sitecustomize",
        "usercustomize",
    ):
        (path / f"{name}.py").write_text(f"open('imported-{name}', 'w').close()\n")
    (path / "mine.py").write_text("def softmax(x):\n    open('called', 'w').close()\n    return x\n")
    return path


def told(folder, *words, code=0):
    """What the audit hook says of a command: lines of fields."""
    with open(folder.parent / "log", "w+b") as log:
        env = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONSTARTUP"}} | {
            "LOG": str(log.fileno()), "HOME_OF_SMCLI": HOME, "ROOTS": os.pathsep.join(ROOTS),
            "PYTHONDONTWRITEBYTECODE": "1", "SMCLI_TEST_ROOT": str(Path(HOME).parent),
        }  # fmt: skip
        program = f"import os, sys; sys.path.append(os.environ['SMCLI_TEST_ROOT'])\n{WATCH}"
        done = subprocess.run(
            [sys.executable, "-P", "-c", program, *words], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, encoding="utf-8", timeout=120, pass_fds=[log.fileno()], check=False,
        )  # fmt: skip
        assert done.returncode == code, (done.stderr, done.stdout[-500:])
        log.seek(0)
        return [line.split("\t") for line in log.read().decode().splitlines()]


COMMANDS = [
    "compare 1000 2000 --target 0 --trace -v", "compare -i x.npy --method all", "compare -i x.npz", "compare -i x.csv --columns a,b",
    "compare -i x.json", "compare -i x.jsonl", "compare -i x.safetensors", "compare -i small.npz -f html",
    "compare 1 2 -d all -f markdown", "compare 1 2 -f github", "compare 1 2 --confirm", "compare 1 2 -f svg",
    "eval 1 2 --digits 500", "eval -i x.npy -f json", "grad 1 2 --target 0 --method all", "grad 1 2 3 --sweep -t 0",
    "check x.npy p.npy --rtol 1e-3", "scan x.npy x.npz --jobs 1 -d float32", "scan long.npy --jobs 1 --summary",
    "scan long.npy --quick", "limits", "explain", "explain SM201", "methods", "methods -f json", "completions bash",
    "completions zsh", "completions fish", "completions powershell", "--version", "-h", "compare -h",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_touches_nothing(folder, command):
    before = sorted(os.listdir(folder))
    assert told(folder, *command.split()) == []
    assert sorted(os.listdir(folder)) == before


def test_text_is_never_run(folder):
    before = sorted(os.listdir(folder))
    assert told(folder, "compare", "-i", "x.txt", code=2) == []
    assert told(folder, "compare", "__import__('os').system('touch hit')", code=2) == []
    assert told(folder, "compare", "-i", "object.npy", code=2) == []
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("compare 1 2 -o out.json", ["out.json"]),
        ("compare 1 2 -o page.html --plot figure.svg", ["figure.svg", "page.html"]),
        ("scan x.npy --jobs 1 -o scan.md", ["scan.md"]),
        ("explain SM201 -o page.txt -f plain", ["page.txt"]),
    ],
)
def test_only_the_files_that_were_named_are_written(folder, command, files):
    before = set(os.listdir(folder))
    events = told(folder, *command.split())
    assert files == sorted(set(os.listdir(folder)) - before)
    written = sorted(
        Path(path).name for kind, path, *_ in events if kind == "write"
    )  # neighbours, which then take their place
    assert [name.rpartition(".")[0].rpartition(".")[0] for name in written] == [f".{name}" for name in files]
    assert sorted(Path(words[1]).name for kind, *words in events if kind == "os.rename") == files
    assert len(events) == 2 * len(files)
    for name in files:
        (folder / name).unlink()


def test_a_function_of_the_user_is_the_only_code_of_his_that_runs(folder):
    events = told(folder, "compare", "1", "2", "-q", "softmax", "-m", "mine:softmax")
    assert {(kind, Path(name).name) for kind, name, *_ in events} == {("exec", "mine.py"), ("write", "called")}
    (folder / "called").unlink()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are started in another way elsewhere")
@pytest.mark.parametrize("command", ["scan big.npy --jobs 2", "check long.npy longp.npy"])
def test_more_processes_talk_through_pipes(folder, command):
    """They are copies of this one, and the hook is in each: no program is started, no socket, no file of theirs."""
    np.save(folder / "big.npy", np.random.default_rng(1).normal(0, 3, (3000, 4000)).astype(np.float32))
    before = sorted(os.listdir(folder))
    events = {name for name, *_ in told(folder, *command.split())}
    assert events <= {"os.fork", "pickle.find_class"}  # what they send each other
    assert "os.fork" in events or command.startswith("check")
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(
    "code",
    ["open('f', 'w')", "import socket; socket.socket()", "import subprocess; subprocess.run(['true'])", "import os; os.mkdir('d')",
     "import pickle, collections; pickle.loads(pickle.dumps(collections.OrderedDict()))"],
)  # fmt: skip
def test_the_hook_sees_what_it_is_for(folder, code):
    """The same hook on a function of the user that does what the command must not."""
    (folder / "loud.py").write_text(f"def softmax(x):\n    {code}\n    return x\n")
    events = told(folder, "compare", "1", "2", "-q", "softmax", "-m", "loud:softmax")
    assert len(events) >= 2 and events[0][0] == "exec"
    for name in ("f", "loud.py"):
        (folder / name).unlink(missing_ok=True)
    if (folder / "d").exists():
        (folder / "d").rmdir()


NETWORK = ["socket", "ssl", "http.client", "urllib.request", "asyncio", "ftplib", "smtplib", "xmlrpc.client"]
LOADED = f"""
import contextlib, io, sys
from smcli.cli.app import run
for words in {{words}}:
    with contextlib.redirect_stdout(io.StringIO()):
        assert run(words) == 0, words
print(*(name for name in {NETWORK} if name in sys.modules))
"""


def loaded(folder, *commands):
    program = f"import sys; sys.path.append({str(Path(HOME).parent)!r})\n" + LOADED.format(
        words=[c.split() for c in commands]
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.split()


THEIRS = ("--confirm", "--method all", "methods", "scan")  # mpmath's and Python's own: see below


def test_no_module_that_speaks_to_a_network_is_loaded(folder):
    """But `socket`, unused: by multiprocessing, and by what reads the versions of packages, which Python writes as mail."""
    plain = [c for c in COMMANDS if not any(word in c for word in THEIRS)]
    assert len(plain) >= 20 and loaded(folder, *plain) == []
    assert set(loaded(folder, *(c for c in COMMANDS if c not in plain))) <= {"socket"}
