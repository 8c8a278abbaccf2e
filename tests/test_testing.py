"""assert_accurate: what passes, and a message worth reading for what does not."""

import inspect
import re

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
    assert said.startswith("softmax in float32: 1 of 200 values is beyond the tolerance")
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


def test_it_takes_the_options_of_check_and_names_itself_in_what_it_does_not_know():
    own, of_check = (inspect.signature(f).parameters for f in (assert_accurate, smcli.check))
    assert set(of_check) - set(own) == {"rtol", "atol"}  # those judge the tolerance of another test
    assert all(own[name].default == of_check[name].default for name in own if own[name].kind == own[name].KEYWORD_ONLY)
    assert all(f"        {name}: " in assert_accurate.__doc__ for name in own)
    with pytest.raises(TypeError, match=r"assert_accurate\(\).*'nonsense'"):
        assert_accurate(P, X, nonsense=1)
    with pytest.raises(smcli.SmcliError, match="label_smoothing=2 is out of range"):
        assert_accurate([0.5], X[:1], quantity="cross-entropy", target=0, label_smoothing=2)


def test_smoothed_labels_temperature_and_a_reduction():
    x = X.astype(np.float64)
    log_p, t = special.log_softmax(x, axis=1), np.arange(5)
    smoothed = -(0.9 * log_p[t, t] + 0.1 * log_p.mean(axis=1))
    options = {"quantity": "cross-entropy", "target": t, "label_smoothing": 0.1}
    assert_accurate(smoothed, x, **options)
    assert "5 of 5 values are beyond the tolerance" in complaint(-log_p[t, t], x, **options)
    assert_accurate(special.softmax(x / 4, axis=1), x, temperature=4, max_rel=1e-13)
    assert "200 of 200" in complaint(special.softmax(x, axis=1), x, temperature=4, max_rel=1e-13)
    assert_accurate(smoothed.mean(), x, **options, reduction="mean")
    assert_accurate(smoothed.mean(), x, **options, reduction="mean", max_ulp=4)
    said = complaint(smoothed.sum(), x, **options, reduction="mean")
    assert said.startswith("the reduced cross-entropy in float64 is beyond the tolerance\n  it is ")
    assert "allowed: rtol=" in said and "SM401" in said and "it is the sum, not the mean" in said
    assert "allowed: max_rel=0.001" in complaint(smoothed.sum(), x, **options, reduction="mean", max_rel=1e-3)
    assert_accurate(smoothed.mean() * (1 + 1e-4), x, **options, reduction="mean", max_rel=1e-3)


def test_arguments_in_the_wrong_order_are_told():
    said = complaint(X, P)
    assert "SM903 looks-like-probabilities" in said and "pass the logits" in said
    assert "SM903" not in complaint(X, X)


@pytest.mark.parametrize("seed", range(12))
def test_each_value_that_is_told_breaks_the_limit_that_is_named(seed):
    rng, dtype = np.random.default_rng(seed), ["float32", "float16"][seed % 2]
    x = rng.normal(0, 4, (6, 60)).astype(dtype)
    p = special.softmax(x.astype(np.float64), axis=1)
    wrong = (p * (1 + rng.normal(0, 10.0 ** -rng.uniform(1, 6), p.shape))).astype(dtype)
    if seed % 4 == 0:
        wrong[0, 0] = np.nan
    for limits in ({}, {"max_ulp": 0.8}, {"max_rel": 3e-3}, {"max_ulp": 3, "max_rel": 1e-3}):
        try:
            assert_accurate(wrong, x, **limits)
        except AssertionError as failed:
            head, *lines = str(failed).splitlines()
        else:
            continue
        names = " or ".join(f"{name}={limit:g}" for name, limit in limits.items()) or "the tolerance"
        assert re.search(rf"of 360 values (is|are) beyond {names}$", head)
        told = [line for line in lines if line.startswith(("  worst: ", "  then: "))]
        assert 1 <= len(told) <= 3
        for line in told:
            assert not re.search(r"\b(ok|correct|inaccurate|accurate)\b", line), line
            if ": " not in line.partition("where it should be")[2]:
                continue
            ulp, rel, broken = re.search(
                r"(\S+) ulp, relative error (\S+)(?:, (?:lost|not-representable))?, beyond (.+)$", line
            ).groups()
            assert "nan" not in ulp or "lost" in line
            if not limits:
                assert broken == "the tolerance"
                continue
            due = {"max_ulp": float(ulp.lstrip("< ")), "max_rel": float(rel.lstrip("< "))}
            for name, limit in limits.items():
                if name in broken.split(" and "):
                    assert not due[name] < 0.9 * limit, line  # two digits are told
                else:
                    assert due[name] <= 1.1 * limit, line
