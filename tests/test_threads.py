"""Public threads, with the numbers as they were pasted: each gets the answer that its thread needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import smcli

# the thread, what was pasted, the options, the number format, and the findings that answer it by method
THREADS = [
    ("tensorflow/tensorflow 1513: is a loss of 1.5e11 wrong?",
     "matrix1 = tf.constant([[-2.88181912e+11,-4.40300175e+11], [ -2.29688918e+11, -3.53027424e+11] ,[ -2.14650274e+11, -3.81851140e+11]])",
     ["-q", "ce", "-t", "1"], "float32", {("naive", "SM304"), ("shifted", "SM303")}),
    ("torch/nn 804: -inf from softmax and log, zeros beside it",
     "local input = torch.Tensor{-5.2040, 7.8325}", ["-q", "log-softmax"], "float32", {("fused", "SM401")}),
    ("cornell-brg/hb-pytorch 61: -inf from log_softmax of one logit",
     "tensor=array([88.72284], dtype=float32),", ["-q", "log-softmax"], "float32", {("naive", "SM201")}),
    ("stackoverflow 61567597: 0, 0, nan",
     ">>> x = np.array([1, -10, 1000])", ["-q", "softmax"], "float64", {("naive", "SM201")}),
    ("pytorch/pytorch 6864: nan with one inf",
     'torch.Tensor([0, float("inf")])', ["-q", "softmax"], "float32", {(None, "SM102")}),
    ("austinjalexander/dlbook: the denominator is 0",
     "x = [-4e+100, -6e+100, -8e+100]", ["-q", "softmax"], "float64", {("naive", "SM304")}),
    ("frank690/sffresch-code: exp gives inf",
     "big_h = [42, 1337, 557]", ["-q", "softmax"], "float64", {("naive", "SM201")}),
    ("pytorch/pytorch 25110: nan of a row of -inf",
     'x = torch.Tensor([[[float("-inf"), float("-inf"), float("-inf")]]])', ["-q", "softmax"], "float32", {(None, "SM103")}),
    ("tensorflow/tensorflow 21271: inf with soft labels",
     "logits = [[-4885.4614, 4878.027], [-5188.321, 5179.7915], [-4121.558, 4114.9995]]",
     ["-q", "ce", "--labels", "0.2,0.8", "-d", "float32"], "float32", {("naive", "SM201"), ("shifted", "SM303")}),
    ("implementation of softmax returns nan for high inputs",
     "a = [2345,3456,6543]", ["-q", "softmax"], "float64", {("naive", "SM201")}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pasted", "options", "dtype", "expected"), [t[1:] for t in THREADS], ids=[t[0].partition(":")[0] for t in THREADS]
)
def test_a_thread_is_answered_as_it_was_pasted(pasted, options, dtype, expected):
    words = [sys.executable, "-m", "smcli", "compare", *options, "-f", "json"]
    done = subprocess.run(words, input=pasted + "\n", capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["dtype"] == dtype
    for row in document["rows"]:
        assert expected <= {(f["method"], f["code"]) for f in row["findings"]}


@pytest.mark.parametrize("pasted", ["softmax([2345,3456,6543])", "torch.tensor([1-(2*eps).log(), 0])",
                                    "Tensor([[1.0, 2.0]]).logsumexp(1)"])  # fmt: skip
def test_what_would_have_to_be_computed_is_refused(pasted):
    done = subprocess.run([sys.executable, "-m", "smcli", "compare"], input=pasted, capture_output=True, text=True)  # noqa: PLW1510
    assert done.returncode == 2 and "nothing is computed in the input" in done.stderr and not done.stdout


@pytest.mark.parametrize("logit", [88.72284, 88.8, 1000.0])
def test_the_figures_of_an_overflow_differ(logit):
    (f,) = [
        f
        for f in smcli.compare([logit, 0.0], dtype="float32", methods="naive", quantities="softmax").findings
        if f.code == "SM201"
    ]
    given, top = f.message.partition("exp(")[2].rpartition("exp(")[2].partition(")")[0], f.message.split()[-1]
    assert float(given) > float(top)
