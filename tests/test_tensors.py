"""Tensors of PyTorch, JAX and TensorFlow in the Python API: their values, and the dtype that they bring along."""

from __future__ import annotations

import numpy as np
import pytest

import smcli
import smcli.testing
from smcli.numbers.formats import FORMATS

X = np.random.default_rng(5).normal(0, 3, (4, 10))
T = [0, 1, 2, 3]


def torch_tensor(values, dtype):
    torch = pytest.importorskip("torch")
    return torch.tensor(values).to(getattr(torch, dtype)).requires_grad_()


def jax_array(values, dtype):
    return pytest.importorskip("jax.numpy").asarray(values.astype(np.float32), dtype=dtype)


def tensorflow_tensor(values, dtype):
    tf = pytest.importorskip("tensorflow")
    return tf.cast(tf.constant(values), dtype)


TARGETS = {
    torch_tensor: lambda: pytest.importorskip("torch").tensor(T),
    jax_array: lambda: pytest.importorskip("jax.numpy").array(T),
    tensorflow_tensor: lambda: pytest.importorskip("tensorflow").constant(T),
}
MADE = [
    (make, dtype)
    for make, dtypes in (
        (torch_tensor, ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")),
        (jax_array, ("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")),
        (tensorflow_tensor, ("float64", "float32", "float16", "bfloat16")),
    )
    for dtype in dtypes
]


@pytest.mark.parametrize(("make", "dtype"), MADE)
def test_every_entry_takes_the_dtype_of_a_tensor(make, dtype):
    tensor, values = make(X, dtype), FORMATS[dtype].round(X.astype(np.float32) if make is jax_array else X)
    for report in (smcli.compare(tensor), smcli.evaluate(tensor), smcli.gradient(tensor, target=T)):
        assert report.dtype == dtype
        assert np.array_equal([row.logits for row in report.rows], values)
    assert smcli.compare([tensor[0], tensor[1]]).dtype == dtype
    assert smcli.compare(tensor, dtype="float64").dtype == "float64"
    exact = smcli.exact(tensor[1], "logsumexp", digits=20)
    assert exact == smcli.exact(values[1], "logsumexp", dtype=dtype, digits=20)
    truth, known = smcli.truth(tensor), smcli.truth(values, dtype=dtype)
    assert truth.hi.shape == (4, 10) and np.array_equal(truth.hi, known.hi) and truth.bound == known.bound


@pytest.mark.parametrize("make", [torch_tensor, jax_array, tensorflow_tensor])
def test_everything_beside_the_logits_may_be_a_tensor(make):
    x, weights = make(X, "float32"), make(np.linspace(0.5, 1.5, 10), "float32")
    labels = make(np.full((4, 10), 0.125), "float32")
    target = TARGETS[make]()
    got = smcli.compare(x, target=target, class_weights=weights)
    assert [row.target for row in got.rows] == T
    due = smcli.compare(X.astype(np.float32), target=T, class_weights=np.linspace(0.5, 1.5, 10).astype(np.float32))
    assert got.to_dict()["rows"] == due.to_dict()["rows"]
    assert smcli.compare(x, labels=labels, quantities="cross-entropy").dtype == "float32"
    teacher = smcli.compare(x, quantities="kl", against=make(X[::-1].copy(), "bfloat16"))
    rounded = FORMATS["bfloat16"].round(X[::-1])
    assert teacher.to_dict()["rows"] == smcli.compare(x, quantities="kl", against=rounded).to_dict()["rows"]


@pytest.mark.parametrize("make", [torch_tensor, jax_array, tensorflow_tensor])
def test_check_takes_the_dtype_of_the_outputs(make):
    p = np.exp(X - X.max(1, keepdims=True))
    p = make(p / p.sum(1, keepdims=True), "bfloat16")
    for logits in (make(X, "float32"), X.astype(np.float32)):
        report = smcli.check(logits, p)
        assert report.dtype == "bfloat16" and not [f for f in report.findings if f.severity != "note"]
    assert smcli.check(make(X, "bfloat16"), p, dtype="float32").dtype == "float32"


@pytest.mark.parametrize("library", ["torch", "jax.numpy", "tensorflow", "numpy"])
def test_the_dtype_may_be_that_of_a_library(library):
    module = pytest.importorskip(library)
    for name in ("float32", "float16") if library == "numpy" else ("float32", "float16", "bfloat16"):
        assert smcli.compare([1, 2], dtype=getattr(module, name)).dtype == name


def test_a_reduced_loss_of_torch_is_a_number_without_an_axis():
    torch = pytest.importorskip("torch")
    x = torch_tensor(X, "float32")
    loss = torch.nn.functional.cross_entropy(x, torch.tensor(T))
    report = smcli.check(x, loss, quantity="cross-entropy", target=torch.tensor(T), reduction="mean")
    assert report.dtype == "float32" and report.worst != "error"
    with pytest.raises(smcli.InputError, match="Sparse layout"):
        smcli.compare(x.detach().to_sparse())


def test_what_torch_computes_from_bfloat16_is_told_from_what_a_mistake_does():
    torch = pytest.importorskip("torch")
    x = torch_tensor(X, "bfloat16")
    smcli.testing.assert_accurate(torch.softmax(x, -1), x)
    g = torch.autograd.grad(torch.nn.functional.cross_entropy(x.float(), torch.tensor(T), reduction="sum"), x)[0]
    smcli.testing.assert_accurate(g, x, quantity="gradient", target=torch.tensor(T))
    with pytest.raises(AssertionError, match="gradient in bfloat16: 4 of 40"):
        smcli.testing.assert_accurate(torch.where(g < 0, g * 1.1, g), x, quantity="gradient", target=torch.tensor(T))
