"""assert_accurate: what passes, and a message worth reading for what does not."""

import ml_dtypes
import numpy as np
import pytest
from scipy import special

import smcli
from smcli.testing import assert_accurate

X = np.random.default_rng(3).normal(0, 6, (5, 40)).astype(np.float32)
P = special.softmax(X.astype(float), axis=1).astype(np.float32)


def complaint(*args, **keywords):
    with pytest.raises(AssertionError) as error:
        assert_accurate(*args, **keywords)
    lines = str(error.value).splitlines()
    assert len(lines) <= 25 and all(len(line) <= 500 for line in lines)
    return str(error.value)


def test_good_values_pass():
    assert_accurate(P, X)
    assert_accurate(P.tolist(), X, dtype="float32")
    assert_accurate(special.log_softmax(X, axis=1), X, quantity="log-softmax")
    assert_accurate(special.logsumexp(X.astype(float), axis=1), X, quantity="logsumexp")
    assert_accurate(P, X, max_ulp=0.6)
    assert_accurate(P, X, max_rel=1e-6)


def test_the_message_says_where_what_and_what_to_do():
    wrong = P.copy()
    wrong[3, 17] *= 1.25
    said = complaint(wrong, X)
    assert said.startswith("softmax in float32: 1 of 200 values are not accurate")
    assert "row 3, index 17" in said and "ulp" in said and "allowed: rtol=" in said and "SM401" in said and "→" in said
    assert "max_ulp=4" in complaint(wrong, X, max_ulp=4)
    assert "max_rel=0.001" in complaint(wrong, X, max_rel=1e-3)


def test_a_loss_and_a_matrix():
    x = [[1.0, 2.0, 3.0], [0.0, -800.0, 5.0]]
    said = complaint([2.4076, 805.5], x, quantity="cross-entropy", target=[0, 1])
    assert "the value is 805.5" in said and "row 1" in said
    assert "index (0, 1)" in complaint([[0.25, 0.25], [-0.25, 0.25]], [0.0, 0.0], quantity="jacobian")


def test_nan_is_explained():
    said = complaint([[np.nan, np.nan]], [[1000.0, 2000.0]])
    assert "nan" in said and "SM201" in said and "subtract the maximum" in said


def test_a_16_bit_kernel_is_to_compute_in_float32_and_the_message_says_what_it_looks_like():
    x = X.astype(ml_dtypes.bfloat16)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    said = complaint(e / e.sum(axis=1, keepdims=True), x)
    assert "bfloat16" in said and "look like those of a kernel with every step in bfloat16" in said
    wide = x.astype(np.float32)
    assert_accurate(special.softmax(wide, axis=1).astype(ml_dtypes.bfloat16), x)


def test_wrong_shapes_are_no_assertion():
    with pytest.raises(smcli.InputError, match=r"\(5, 39\).*\(5, 40\)"):
        assert_accurate(P[:, :-1], X)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_tensors_of_torch(dtype):
    torch = pytest.importorskip("torch")
    x = (torch.randn(4, 100, dtype=torch.float64) * 3).to(getattr(torch, dtype)).requires_grad_()
    assert_accurate(torch.softmax(x, -1), x)
    assert f"softmax in {dtype}" in complaint(torch.softmax(x, -1) * 1.1, x)
    target = torch.tensor([0, 1, 2, 3])
    loss = torch.nn.functional.cross_entropy(x.float(), target, reduction="none")
    assert_accurate(loss, x, quantity="cross-entropy", target=target)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_arrays_of_jax(dtype):
    jax = pytest.importorskip("jax")
    x = jax.numpy.asarray(X, dtype=dtype)
    assert_accurate(jax.nn.softmax(x.astype("float32"), axis=-1).astype(dtype), x)
    assert f"softmax in {dtype}" in complaint(jax.nn.softmax(x, axis=-1) * 1.1, x)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_tensors_of_tensorflow(dtype):
    tf = pytest.importorskip("tensorflow")
    x = tf.cast(tf.constant(X), dtype)
    assert_accurate(tf.cast(tf.nn.softmax(tf.cast(x, "float32")), dtype), x)
    assert f"softmax in {dtype}" in complaint(tf.nn.softmax(x) * 2, x)


def test_logits_that_the_kernel_took_in_float32():
    x = np.random.default_rng(6).normal(0, 8, (3, 60)).astype(np.float32)
    y = special.softmax(x.astype(np.float64), axis=-1).astype(ml_dtypes.bfloat16)
    assert_accurate(y, x, logits_dtype="float32", max_ulp=0.51)
    said = complaint(y, x, max_ulp=0.51)
    assert "the logits were rounded to bfloat16" in said and "logits_dtype=" in said
    assert "logits_dtype" not in complaint(y * 2, x, max_ulp=0.51, logits_dtype="float32")
