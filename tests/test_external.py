"""A user's function as a method: what it is called with, what it may return, how it fails."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smcli import methods
from smcli.cli.app import run as command
from smcli.errors import UnavailableError, UsageError
from smcli.methods.kernels import Kernel
from smcli.model import Loss, Problem
from smcli.numbers.arithmetic import Arithmetic
from smcli.numbers.formats import FORMATS

MINE = """
    import os, subprocess, sys
    import numpy as np

    seen = []

    def softmax(x):
        "My softmax."
        e = np.exp(x)
        return e / e.sum()

    def batched(x):
        seen.append((x.shape, x.dtype.name))
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def one_row(x):
        if x.ndim > 1:
            raise ValueError("one row at a time")
        return batched(x)

    def loss(x, target):
        e = np.exp(x)
        return -np.log(e[target] / e.sum())

    def batched_loss(x, target):
        e = np.exp(x)
        return -np.log(e[np.arange(len(target)), target] / e.sum(axis=1))

    def soft_loss(x, y):
        return -(y * np.log(batched(x))).sum(-1)

    def gradient(x, target):
        e = np.exp(x - x.max()); p = e / e.sum(); p[target] -= 1
        return p

    def smoothed(x, target):
        e = np.exp(x - x.max()); p = e / e.sum(); p[target] -= 0.9
        return p - 0.1 / p.size

    def averaged(x, target):
        p = batched(x)
        p[np.arange(len(target)), target] -= 1
        return p / len(target)

    def mean_loss(x, target):
        return batched_loss(x, target).mean()

    def one_row_sum(x):
        return np.log(np.exp(x).sum())

    def row_with_a_bug(x):
        if x.ndim > 1:
            raise ValueError("one row at a time")
        raise KeyError("bug")

    def entropy(x):
        p = batched(x)
        return -(p * np.log(p)).sum(-1)

    def kl(x, teacher):
        p, q = batched(teacher), batched(x)
        return (p * np.log(p / q)).sum(-1)

    def focal(x, target):
        p = batched(x)[np.arange(len(target)), target]
        return -((1 - p) ** 2) * np.log(p)

    def matrix(x):
        p = batched(x)
        return np.diag(p) - np.outer(p, p)

    def product(x, v):
        p = batched(x)
        return p * (v - (p * v).sum(-1, keepdims=True))

    def wide(x):
        return batched(x.astype(np.float64))

    def fails(x):
        raise RuntimeError("no such kernel")

    def short(x):
        return x[..., :-1]

    def scribbles(x):
        x -= x.max(axis=-1, keepdims=True)
        return batched(x)

    def loud(x):
        os.write(1, b"past Python\\n")
        subprocess.run(["echo", "from a process"])
        sys.__stdout__.write("held back\\n")
        return batched(x)

    def chatty(x):
        print("hello from the kernel")
        return batched(x)

    class Namespace:
        softmax = staticmethod(batched)

    number = 3
"""


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(textwrap.dedent(MINE))
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "wrong.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("mine", "broken", "wrong"):
        sys.modules.pop(name, None)


def compute(name: str, problem: Problem, quantity: str = "softmax") -> methods.Run:
    f = FORMATS[problem.dtype]
    return methods.run(methods.get(name), problem, quantity, Arithmetic(f, f))


def block(dtype: str = "float64", **more: object) -> Problem:
    x = FORMATS[dtype].round(np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 7.0], [2.0, 2.0, 2.0]]))
    return replace(Problem(dtype, x), **more)


def same(a: np.ndarray, name: str, problem: Problem, quantity: str) -> None:
    np.testing.assert_allclose(a, compute(name, problem, quantity).values, rtol=1e-12, atol=1e-15)


def test_it_is_called_with_the_block_in_the_format() -> None:
    p = block("float32")
    assert np.array_equal(
        compute("mine:batched", p).values, FORMATS["float32"].round(compute("mine:batched", p).values)
    )
    assert sys.modules["mine"].seen[0] == ((3, 3), "float32")
    same(compute("mine:batched", block()).values, "shifted", block(), "softmax")
    assert (
        methods.get("mine:softmax").summary == "My softmax."
        and methods.get("mine:wide").summary == "A function of yours."
    )
    assert compute("mine:Namespace.softmax", block()).values.shape == (3, 3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_formats_that_numpy_has_not_are_given_as_float32(dtype: str) -> None:
    done = compute("mine:batched", block(dtype))
    assert sys.modules["mine"].seen[0][1] == "float32" and "float32, which is exact" in done.notes[0]
    assert np.array_equal(FORMATS[dtype].round(done.values), done.values)


def test_a_function_of_one_row_is_called_row_by_row() -> None:
    for name in ("mine:one_row", "mine:softmax"):
        done = compute(name, block())
        same(done.values, "shifted", block(), "softmax")
    said = "called row by row, and these values are judged: the batch gave other values: all of them sum to 1"
    assert done.notes[0].startswith(said)
    (refused,) = compute("mine:one_row", block()).notes
    assert "judged: with the batch it raised ValueError: one row at a time (mine.py:" in refused
    assert not compute("mine:batched", block()).notes


def test_losses_and_derivatives() -> None:
    p = block(loss=Loss(target=np.array([0, 2, 1])))
    for name in ("mine:loss", "mine:batched_loss"):
        done = compute(name, p, "cross-entropy")
        assert done.values.shape == (3, 1)
        same(done.values, "fused", p, "cross-entropy")
    same(compute("mine:gradient", p, "gradient").values, "fused", p, "gradient")
    y = block(loss=Loss(labels=np.full((3, 3), 0.25)))
    same(compute("mine:soft_loss", y, "cross-entropy").values, "fused", y, "cross-entropy")
    same(compute("mine:matrix", block(), "jacobian").values, "fused", block(), "jacobian")
    v = block(cotangent=np.array([1.0, 0.0, -2.0]))
    same(compute("mine:product", v, "vjp").values, "fused", v, "vjp")
    ignored = replace(p, ignored=np.array([True, False, False]))
    assert compute("mine:loss", ignored, "cross-entropy").values[0] == 0


def test_newer_losses() -> None:
    same(compute("mine:entropy", block(), "entropy").values, "fused", block(), "entropy")
    teacher = np.array([[3.0, 1.0, 2.0], [0.0, 0.5, 1.0], [1.0, 1.0, 1.0]])
    for more in ({}, {"temperature": 2.0}):
        p = block(loss=Loss("kl", teacher=teacher), **more)
        same(compute("mine:kl", p, "kl").values, "fused", p, "kl")
    p = block(loss=Loss("focal", target=np.array([0, 2, 1])))
    same(compute("mine:focal", p, "focal").values, "fused", p, "focal")


def test_temperature_is_divided_by_before_it() -> None:
    p = block(temperature=2.0, loss=Loss(target=np.array([0, 2, 1])))
    same(compute("mine:batched", p).values, "shifted", p, "softmax")
    same(compute("mine:gradient", p, "gradient").values, "fused", p, "gradient")


def test_what_a_target_does_not_tell_is_refused() -> None:
    with pytest.raises(UnavailableError, match="it is called with a target, and there is none"):
        compute("mine:batched_loss", block(loss=None), "cross-entropy")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"smoothing": 0.1}, "label smoothing"),
        ({"weights": np.ones(3)}, "class weights"),
        ({"smoothing": 0.1, "weights": np.ones(3), "z_loss": 1e-3}, "label smoothing and class weights and a z-loss"),
    ],
)
def test_what_it_has_to_apply_itself_is_said(more: dict[str, object], words: str) -> None:
    done = compute("mine:batched_loss", block(loss=Loss(target=np.array([0, 0, 0]), **more)), "cross-entropy")
    assert done.notes == (f"called with the target alone: to apply {words} is up to it",)
    soft = compute("mine:soft_loss", block(loss=Loss(labels=np.full((3, 3), 0.25), **more)), "cross-entropy")
    assert soft.notes == (f"called with the labels alone: to apply {words} is up to it",)


def test_a_gradient_that_smooths_its_labels_is_judged_beside_the_smoothed_loss(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["grad", "1", "2", "3", "-t", "0", "--label-smoothing", "0.1", "-f", "json", "-m"]
    assert command([*words, "mine:smoothed", "--max-ulp", "8"]) == 0
    assert command([*words, "mine:gradient", "--max-ulp", "8"]) == 1
    capsys.readouterr()


def test_a_factor_of_a_reduction_is_said_where_there_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["grad", "[[1,2,3],[3,1,0.5],[1,1,1]]", "-t", "0,1,2", "-m", "mine:gradient,fused"]
    said = "mine:gradient: asked for the gradient of each row's own loss, which is multiplied by 1/N = 0.333333"
    for more in (
        ["--reduction", "mean"],
        ["--reduction", "mean", "-d", "float64,float32"],
        ["--reduction", "mean", "--summary"],
    ):
        assert command([*rows, *more]) == 0
        assert capsys.readouterr().out.count(said) == 1
    for more in ([], ["--reduction", "sum"]):
        assert command([*rows, *more]) == 0
        assert "1/N" not in capsys.readouterr().out
    assert command([*rows[:-1], "fused", "--reduction", "mean"]) == 0
    assert "1/N" not in capsys.readouterr().out


def test_a_mean_taken_twice_is_seen_as_a_factor(capsys: pytest.CaptureFixture[str]) -> None:
    """The step that multiplies by 1/N is this program's: those of the function are not seen."""
    words = ["grad", "[[1,2,3],[4,5,9]]", "-t", "0,1", "-m", "mine:averaged", "--reduction", "mean"]
    assert command(words) == 0
    assert (
        "each of these values is 0.5 times its truth, the factor of the reduction once more: "
        in capsys.readouterr().out
    )


def test_a_wider_result_is_rounded_and_said() -> None:
    done = compute("mine:wide", block("float16"))
    assert np.array_equal(FORMATS["float16"].round(done.values), done.values)
    assert done.notes == ("returned float64; its values are rounded to float16",)


def test_it_may_write_into_what_it_is_given() -> None:
    p = block()
    same(compute("mine:scribbles", p).values, "shifted", block(), "softmax")
    assert p.logits[0].tolist() == [1.0, 2.0, 3.0]


def test_a_wrong_shape_says_both() -> None:
    with pytest.raises(
        UnavailableError, match=r"the shape \(2,\) for a row of 3 logits, where softmax has the shape \(3,\)"
    ):
        compute("mine:short", block())


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("mine:fails", 3, ["mine:fails: it raised RuntimeError: no such kernel (mine.py:", "in fails"]),
        ("mine:short", 3, ["the shape (1,)", "the shape (2,)"]),
        ("mine:nothing", 2, ["there is no nothing in mine"]),
        ("mine:softmx", 2, ["did you mean softmax?"]),
        ("mine:number", 2, ["is a int, not a function"]),
        ("nomodule:f", 2, ["there is no module nomodule", "working directory and PYTHONPATH"]),
        ("broken:f", 2, ["importing broken raised ModuleNotFoundError: No module named 'nothing_of_this_name'"]),
        ("wrong:f", 2, ["importing wrong raised SyntaxError"]),
    ],
)
def test_failures_are_reported_as_its_own(
    name: str, code: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["compare", "1", "2", "-m", name, "-q", "softmax"]) == code
    said = capsys.readouterr().err
    assert all(w in said for w in words) and "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["compare", "1", "2", "-m", "mine:fails"], "that is the function's own error; -v shows its traceback"),
        (
            ["scan", "x.txt", "-m", "mine:fails"],
            "that is the function's own error; smcli compare -v shows its traceback",
        ),
        (["compare", "1", "2", "-m", "mine:short"], "a function gets x as [rows, C], or a row [C] at a time"),
        (["compare", "1", "2", "-m", "scipy", "-d", "bfloat16"], "`smcli methods` lists what is installed"),
    ],
)
def test_the_hint_speaks_of_the_function(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.txt").write_text("1 2\n")
    assert command([*words, "-q", "softmax"]) == 3
    assert f"hint: {hint}" in capsys.readouterr().err


def test_the_traceback_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["compare", "1", "2", "-m", "mine:fails", "-q", "softmax", "-v"]) == 3
    said = capsys.readouterr().err
    assert "Traceback" in said and 'raise RuntimeError("no such kernel")' in said and "external.py" not in said
    assert command(["compare", "1", "2", "-m", "shifted,mine:fails", "-q", "softmax", "-v"]) == 0
    out, err = capsys.readouterr()
    assert "it raised RuntimeError: no such kernel (mine.py:" in out and "Traceback" in err and "Traceback" not in out


def test_others_run_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "1", "2", "-m", "shifted,mine:fails,mine:batched", "-q", "softmax", "-f", "json"]
    assert command(words) == 0
    out, err = capsys.readouterr()
    shifted, fails, batched = json.loads(out)["rows"][0]["results"][0]["methods"]
    assert shifted["available"] and batched["available"]
    assert err.startswith("note: mine:fails gave no values: it raised RuntimeError: no such kernel")
    assert fails == {"method": "mine:fails", "available": False, "reason": fails["reason"]}
    assert fails["reason"].startswith("it raised RuntimeError: no such kernel")


def test_what_it_prints_does_not_mix_with_the_result(capfd: pytest.CaptureFixture[str]) -> None:
    assert command(["compare", "1", "2", "-m", "mine:chatty", "-q", "softmax", "-f", "json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) and "hello from the kernel" in err


def test_what_it_writes_past_python_does_not_either(capfd: pytest.CaptureFixture[str]) -> None:
    assert command(["compare", "1", "2", "-m", "mine:loud", "-q", "softmax", "-f", "json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) and all(word in err for word in ("from a process", "past Python", "held back"))
    words = [sys.executable, "-m", "smcli", "compare", "1", "2", "-m", "mine:loud", "-q", "softmax", "-f", "json"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=env)
    assert json.loads(done.stdout) and all(w in done.stderr for w in ("from a process", "past Python", "held back"))
    shell = ["sh", "-c", 'exec "$@" 2>&-', "-", *words]
    closed = subprocess.run(shell, capture_output=True, text=True, check=True, env=env)
    assert '"schema"' in closed.stdout


def test_python_path_is_searched_too(tmp_path: Path) -> None:
    elsewhere = tmp_path / "lib"
    (elsewhere / "pack").mkdir(parents=True)
    (elsewhere / "pack" / "__init__.py").touch()
    (elsewhere / "pack" / "kernel.py").write_text("def f(x):\n    return x * 0 + 0.5\n")
    words = [sys.executable, "-m", "smcli", "compare", "1", "1", "-m", "pack.kernel:f", "-q", "softmax", "-f", "csv"]
    root = Path(__file__).parent.parent
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={"PYTHONPATH": f"{root}:{elsewhere}"})
    assert "0.5" in done.stdout
    assert str(tmp_path) not in sys.path


def test_it_goes_to_other_processes() -> None:
    m = pickle.loads(pickle.dumps(methods.get("mine:batched")))
    assert isinstance(m, Kernel) and m.name == "mine:batched" and m.defines("softmax")
    f = FORMATS["float64"]
    assert methods.run(m, block(), "softmax", Arithmetic(f, f)).values.shape == (3, 3)


def test_a_name_without_a_function_is_refused() -> None:
    with pytest.raises(UsageError):
        methods.get("mine:")


def test_one_value_for_all_rows_is_the_cause_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What the retry row by row raises would hide it; a function of one row alone gives one value, too, and is right."""
    words = ["compare", "[[1,2,3],[4,5,6]]", "-t", "0,1", "-q", "cross-entropy", "--reduction", "mean", "-m"]
    assert command([*words, "mine:mean_loss"]) == 3
    err = capsys.readouterr().err
    assert (
        "it returned one value for 2 rows, where cross-entropy has one for each: let it return the loss of each row"
        in err
    )
    assert "IndexError" not in err
    assert command([*words, "mine:mean_loss", "-v"]) == 3
    assert "Traceback" in capsys.readouterr().err
    assert command([*words, "mine:batched_loss", "--max-ulp", "8"]) == 0
    assert (
        command(["compare", "1", "2", "-t", "0", "-q", "cross-entropy", "-m", "mine:mean_loss", "--max-ulp", "8"]) == 0
    )
    assert command(["compare", "[[1,2],[3,5]]", "-q", "logsumexp", "-m", "mine:one_row_sum", "--max-ulp", "8"]) == 0


def test_what_it_made_of_the_batch_is_told_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["compare", "1", "2", "-q", "softmax", "-m", "mine:row_with_a_bug"]) == 3
    err = capsys.readouterr().err
    first, then = (
        err.index("it raised ValueError: one row at a time"),
        err.index("; with a row alone it raised KeyError: 'bug'"),
    )
    assert first < then
    assert command(["compare", "1", "2", "-q", "softmax", "-m", "mine:fails"]) == 3
    assert "with a row alone" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "verb", [["compare", "1", "2"], ["scan", "x.txt"], ["compare", "1", "2", "-d", "float64,float32"]]
)
def test_a_function_that_gave_nothing_passes_no_gate(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Others ran, so that the code is 0 where there is no gate; none is passed by values that are not there."""
    Path("x.txt").write_text("1 2\n")
    for gate, code in (
        ([], 0), (["--fail-on", "never"], 0), (["--fail-on", "error"], 3), (["--max-ulp", "100"], 3), (["--max-ulp", "0"], 1),
    ):  # fmt: skip
        assert command([*verb, "-q", "softmax", "-m", "shifted,mine:fails", *gate]) == code, gate
        err = capsys.readouterr().err
        assert ("note: mine:fails gave no values: it raised" in err) == (code == 0)
        assert ("error: mine:fails: it raised RuntimeError" in err) == (code != 0)
        assert ("smcli compare -v shows its traceback" in err) == (code != 0 and verb[0] == "scan")
        assert command([*verb, "-q", "softmax", "-m", "shifted,mine:batched", *gate]) == code % 3
        assert "mine" not in capsys.readouterr().err
    assert (
        command(["compare", "1", "2", "-m", "mine:batched", "--fail-on", "error"]) == 0
    )  # softmax alone: no target for a loss


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_under_a_reduction_it_is_asked_for_the_gradient_of_a_row(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    """p − y, as README says; the factor is smcli's. Saved gradients have it already (test_checking.py)."""
    words = ["grad", "[[1, 2], [3, 5], [0, 1]]", "-t", "0,1,0", "--reduction", how, "-m", "mine:gradient,fused"]
    assert command([*words, "-f", "json"]) == 0
    for row in json.loads(capsys.readouterr().out)["rows"]:
        (gradient,) = row["results"]
        own, fused = gradient["methods"]
        assert own["values"] == pytest.approx(fused["values"], rel=1e-12)


def test_only_what_can_be_asked_for_is_suggested(tmp_path, monkeypatch) -> None:
    """Of every misspelt name in a module: a function of it, or a way to one; never its imports, classes or constants."""
    (tmp_path / "suggests.py").write_text(
        "import math, os\nimport numpy as np\nfrom collections import OrderedDict\nnote, nop = 1, [2]\n"
        "def softmax(x): return x\ndef norm(x): return x\n_hidden = norm\n"
        "class Net:\n    @staticmethod\n    def forward(x): return x\n    width = 3\n"
        "def __getattr__(name): raise AttributeError(name)\n"
    )
    monkeypatch.chdir(tmp_path)
    meant = {"softmax", "norm", "forward", "Net"}
    seen = set()
    names = [
        "nope",
        "np",
        "math",
        "os",
        "OrderedDict",
        "note",
        "nop",
        "softmax",
        "norm",
        "_hidden",
        "Net.forward",
        "Net.width",
    ]
    for name in names:
        for k in range(len(name) + 1):
            for typed in {name[:k] + name[k + 1 :], name[:k] + "q" + name[k:], name[:k] + "q" + name[k + 1 :]} - {
                *names,
                "",
            }:
                if typed.startswith(".") or typed.endswith("."):
                    continue
                with pytest.raises(UsageError) as raised:
                    methods.get(f"suggests:{typed}")
                if told := re.match(r"did you mean (\S+)\?", raised.value.hint or ""):
                    assert told[1] in meant, (typed, told[1])
                    seen.add(told[1])
    assert seen == meant


PARTLY = ["compare", "[[1,2,3],[4,5,7]]", "-t", "0,1", "-q", "softmax,cross-entropy", "-m"]


@pytest.mark.parametrize(("verb", "gate"), [("compare", "--max-ulp"), ("scan", "--max-ulp"), ("compare", "--fail-on")])
def test_a_function_that_gave_nothing_of_one_quantity_passes_no_gate(
    verb: str, gate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its softmax is right and its cross-entropy is not there: nobody knows whether that is right."""
    Path("x.txt").write_text("1 2 3\n4 5 7\n")
    words = [*PARTLY, "mine:batched"] if verb == "compare" else ["scan", "x.txt", *PARTLY[2:], "mine:batched"]
    limit = [gate, "8" if gate == "--max-ulp" else "error"]
    assert command([*words, *limit]) == 3
    out, err = capsys.readouterr()
    assert "error: mine:batched gave no values of cross-entropy: it raised TypeError" in err
    assert "--quantity names what it is to compute" in err
    assert command(words) == 0
    out, err = capsys.readouterr()
    assert "note: mine:batched gave no values of cross-entropy: it raised TypeError" in err and "TypeError" in out
    if verb == "compare":
        assert out.splitlines()[0].startswith("mine:batched  ")
        assert "; no cross-entropy: it raised TypeError" in out.splitlines()[0]
    assert command([*words, "-f", "json", *limit]) == 3
    document = json.loads(capsys.readouterr().out)
    if verb == "scan":
        assert list(document["unavailable"]) == ["mine:batched: cross-entropy"]
    assert command([*words, "--max-ulp", "0"]) == 1, "a limit that was hit comes first"
    capsys.readouterr()


def test_a_loss_that_nobody_asked_for_by_name_breaks_no_gate(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "1", "2", "-m", "mine:batched", "--max-ulp", "8"]
    assert command(words) == 0
    assert "mine" not in capsys.readouterr().err
    assert command([*words, "-q", "softmax,cross-entropy"]) == 3
    said = (
        "mine:batched gave no values of cross-entropy: for cross-entropy it is called with a target, and there is none"
    )
    assert said in capsys.readouterr().err


def test_several_formats_and_rows_that_are_missing_pass_no_gate(capsys: pytest.CaptureFixture[str]) -> None:
    assert command([*PARTLY, "mine:batched", "-d", "float64,float32", "--max-ulp", "100"]) == 3
    assert "gave no values of cross-entropy" in capsys.readouterr().err
    Path("some.py").write_text(
        "def f(x):\n    if x.shape[-1] == 2:\n        raise ValueError('two')\n    return x * 0 + 1 / 3\n"
    )
    for words in (["compare", "[[1,1],[2,2,2]]"], ["scan", "y.txt"]):
        Path("y.txt").write_text("1 1\n2 2 2\n")
        assert command([*words, "-q", "softmax", "-m", "some:f", "--max-ulp", "8"]) == 3
        assert "some:f gave no values of softmax in some rows: it raised ValueError: two" in capsys.readouterr().err
    sys.modules.pop("some", None)
