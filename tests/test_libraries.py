"""The libraries under test: each in every format against the truth; and what is said where one is not installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from samples import derivatives_only

import smcli
from smcli import methods
from smcli.cli.app import run as command
from smcli.errors import UnavailableError
from smcli.judge.measure import as_float
from smcli.methods import libraries
from smcli.model import Loss, Problem
from smcli.numbers.arithmetic import Arithmetic
from smcli.numbers.formats import FORMATS
from smcli.quantities import QUANTITIES
from smcli.reference import Reference

NAMES = list(methods.adapters())
EXTRAS = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]


@pytest.fixture(params=NAMES)
def adapter(request: pytest.FixtureRequest) -> methods.Method:
    m = methods.get(request.param)
    if m.reason:
        pytest.skip(m.reason)
    return m


def problems(dtype: str) -> dict[str, Problem]:
    f, rng = FORMATS[dtype], np.random.default_rng(3)
    x, y = f.round(rng.normal(0, 1.5, (5, 4))), f.round(rng.random((5, 4)))
    t, w = rng.integers(0, 4, 5), f.round(rng.random(4) + 0.5)
    p = Problem(dtype, x)
    return {
        "plain": p,
        "hard": replace(p, loss=Loss(target=t)),
        "ignored": replace(p, loss=Loss(target=t, weights=w), ignored=np.arange(5) == 2),
        "smoothed": replace(p, loss=Loss(target=t, smoothing=0.25, weights=w), scale=Fraction(1, 2)),
        "soft": replace(p, loss=Loss(labels=y)),
        "soft smoothed": replace(p, loss=Loss(labels=y, smoothing=0.5, weights=w), temperature=2.0),
        "z": replace(p, loss=Loss(target=t, z_loss=0.125), softcap=4.0),
        "bce": replace(p, loss=Loss("bce", labels=np.minimum(y, 1))),
        "vjp": replace(p, cotangent=f.round(rng.normal(0, 1, 4))),
        "vjp of log-softmax": replace(p, cotangent=f.round(rng.normal(0, 1, 4)), vjp_of="log-softmax"),
        "vjp of logsumexp": replace(p, cotangent=np.array([1.5]), vjp_of="logsumexp"),
        "signed": replace(p, coefficients=f.round(np.array([2.0, 0.5, 0.25, -0.0625]))),
        "entropy": replace(p, loss=Loss("entropy"), temperature=2.0),
        "kl": replace(p, loss=Loss("kl", teacher=f.round(rng.normal(0, 1.5, (5, 4)))), temperature=2.0),
        "reverse kl": replace(p, loss=Loss("kl", teacher=f.round(rng.normal(0, 1.5, (5, 4))), reverse=True)),
        "focal": replace(p, loss=Loss("focal", target=t, gamma=1.5)),
        "focal of labels": replace(p, loss=Loss("focal", labels=np.rint(np.minimum(y, 1)), gamma=2.0)),
        "focal of soft labels": replace(p, loss=Loss("focal", labels=np.minimum(y, 1))),
        "focal with weights": replace(p, loss=Loss("focal", target=t, weights=w)),
    }


def asked(kind: str) -> tuple[str, ...]:
    values = ("softmax", "log-softmax", "logsumexp", "cross-entropy", "sigmoid", "log-sigmoid", "jacobian")
    of = {"plain": values, "signed": ("logsumexp",)}
    loss = next((name for name in ("bce", "entropy", "kl", "focal") if name in kind.split()), "cross-entropy")
    return ("vjp",) if kind.startswith("vjp") else of.get(kind, (loss, "gradient"))


@pytest.mark.parametrize("dtype", FORMATS)
def test_every_quantity_in_every_format(adapter: methods.Method, dtype: str) -> None:
    f, unable = FORMATS[dtype], list[str]()
    compiles = adapter.name == "torch-compile"  # each function, for seconds: some of them stand for all
    if compiles and dtype in {"float64", "float16"}:
        pytest.skip("torch-compile is tested in float32 and bfloat16")
    for kind, p in problems(dtype).items():
        if compiles and kind not in {"plain", "hard", "bce", "kl", "vjp"}:
            continue
        for quantity in asked(kind):
            if not adapter.defines(quantity):
                continue
            try:
                done = methods.run(adapter, p, quantity, Arithmetic(f, f))
            except UnavailableError as error:
                unable.append(error.message)
                continue
            t = as_float(Reference(p).truth(quantity))
            assert done.values.shape == (5, QUANTITIES[quantity].size(p)), (kind, quantity)
            assert np.array_equal(f.round(done.values), done.values, equal_nan=True)
            assert done.version == adapter.version
            loose = 64 * f.unit_roundoff
            if any("labels sum to 1" in note for note in done.notes):
                assert (
                    adapter.name == "tensorflow"
                    and quantity == "gradient"
                    and kind in {"soft", "smoothed", "soft smoothed"}
                )
                continue
            far = np.abs(done.values - t).max(axis=1) / np.maximum(np.abs(t).max(axis=1), 2**-3)
            if f.p >= 8:
                assert (far <= loose).all(), (kind, quantity, far / f.unit_roundoff)
    assert all(u.startswith(("it does not compute in ", "it has no ", "its ", "NumPy has no")) for u in unable), unable


OFFERED = {
    "numpy": ({"sigmoid", "log-sigmoid", "bce", "entropy", "kl"}, {"bce"}),
    "scipy": ({"sigmoid", "log-sigmoid", "bce", "entropy", "kl"}, set()),
    "torch": ({"sigmoid", "log-sigmoid", "bce", "entropy", "kl"}, {"bce", "entropy", "kl"}),
    "jax": ({"sigmoid", "log-sigmoid", "bce", "entropy", "kl"}, {"bce", "entropy", "kl"}),
    "tensorflow": ({"sigmoid", "log-sigmoid", "bce", "kl", "focal"}, {"bce", "kl", "focal"}),
    "onnxruntime": ({"sigmoid"}, set()),
}
OFFERED |= {"numpy-shifted": OFFERED["numpy"], "torch-compile": OFFERED["torch"], "jax-jit": OFFERED["jax"]}
OFFERED["tensorflow-by-hand"] = tuple(of | {"entropy"} for of in OFFERED["tensorflow"])


def test_what_each_library_offers_beyond_softmax(adapter: methods.Method) -> None:
    values, gradients = OFFERED[adapter.name]
    more = [
        q.name for q in QUANTITIES.values() if q.name in {"sigmoid", "log-sigmoid", "bce", "entropy", "kl", "focal"}
    ]
    assert {q for q in more if adapter.defines(q)} == values
    f, able = FORMATS["float32"], set()
    for kind, p in problems("float32").items():
        if kind in {"bce", "entropy", "kl", "focal"} and adapter.defines("gradient"):
            try:
                done = methods.run(adapter, p, "gradient", Arithmetic(f, f))
            except UnavailableError as error:
                assert str(error) == f"it has no gradient of {kind}"  # noqa: PT017
                continue
            able.add(kind)
            assert np.allclose(done.values, as_float(Reference(p).truth("gradient")), rtol=1e-4, atol=1e-6), kind
    assert able == gradients


def test_a_library_takes_several_formats(adapter: methods.Method) -> None:
    x = Problem("float32", np.array([[1.0, 2.0]]))
    f = FORMATS["float32"]
    assert np.allclose(methods.run(adapter, x, "softmax", Arithmetic(f, f)).values, [[0.26894142, 0.73105858]])
    assert set(adapter.code.dtypes) >= {"float64", "float32"} and set(adapter.code.dtypes) <= set(FORMATS)  # type: ignore[attr-defined]


def test_what_it_is_and_which_version(adapter: methods.Method, capsys: pytest.CaptureFixture[str]) -> None:
    assert adapter.summary.endswith(".") and adapter.source and adapter.version[0].isdigit()
    assert adapter.group == "libraries" and not derivatives_only(adapter)  # type: ignore[attr-defined]
    words = ["compare", "1", "2", "-d", "float32", "-m", adapter.name, "-q", "softmax"]
    assert command([*words, "-f", "json"]) == 0
    got = json.loads(capsys.readouterr().out)["rows"][0]["results"][0]["methods"][0]
    assert got["available"] and got["version"] == adapter.version
    assert command(words) == 0
    assert f"libraries: {adapter.name} {adapter.version}" in capsys.readouterr().out


def test_a_loss_at_an_offset_is_as_good_as_the_library(adapter: methods.Method) -> None:
    if not adapter.defines("cross-entropy") or adapter.name == "numpy":  # whose exponentials underflow
        pytest.skip("no loss")
    f, p = FORMATS["float16"], Problem("float16", np.array([[-1000.0, -1001.0]]), Loss(target=np.array([0])))
    for loss in (Loss(target=np.array([0])), Loss(target=np.array([0]), smoothing=0.5)):
        try:
            got = methods.run(adapter, replace(p, loss=loss), "cross-entropy", Arithmetic(f, f)).values[0, 0]
        except UnavailableError:
            continue
        assert got == pytest.approx(0.3133 + 0.25 * (loss.smoothing > 0), rel=0.01)


def test_numpy_is_the_function_as_written() -> None:
    rng, f = np.random.default_rng(0), FORMATS["float64"]
    x = rng.normal(0, 5, (40, 300))
    got = methods.run(methods.get("numpy"), Problem("float64", x), "softmax", Arithmetic(f, f)).values
    shifted = methods.run(methods.get("numpy-shifted"), Problem("float64", x), "softmax", Arithmetic(f, f)).values
    for row, a, b in zip(x, got, shifted, strict=True):
        assert np.array_equal(a, np.exp(row) / np.exp(row).sum())
        e = np.exp(row - row.max())
        assert np.array_equal(b, e / e.sum())
    single = FORMATS["float32"]
    y = single.round(x)
    got = methods.run(methods.get("numpy"), Problem("float32", y), "softmax", Arithmetic(single, single)).values
    due = np.exp(y.astype(np.float32)) / np.exp(y.astype(np.float32)).sum(axis=1, keepdims=True)
    assert np.array_equal(got, due)


def test_scipy_is_called_as_it_is() -> None:
    special = pytest.importorskip("scipy.special")
    x, f = np.random.default_rng(1).normal(0, 9, (6, 7)), FORMATS["float64"]
    for quantity in ("softmax", "log-softmax", "logsumexp"):
        got = methods.run(methods.get("scipy"), Problem("float64", x), quantity, Arithmetic(f, f)).values
        assert np.array_equal(got, getattr(special, quantity.replace("-", "_"))(x, axis=1).reshape(6, -1)), quantity


def test_torch_is_called_as_it_is() -> None:
    torch = pytest.importorskip("torch")
    f = FORMATS["bfloat16"]
    x = f.round(np.random.default_rng(1).normal(0, 9, (6, 7)))
    got = methods.run(methods.get("torch"), Problem("bfloat16", x), "softmax", Arithmetic(f, f)).values
    assert np.array_equal(got, torch.softmax(torch.tensor(x, dtype=torch.bfloat16), -1).double().numpy())


def test_losses_of_torch_are_called_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    rng, f, m = np.random.default_rng(1), FORMATS["float32"], methods.get("torch")
    p = Problem("float32", f.round(rng.normal(0, 9, (6, 7))), Loss("kl", teacher=f.round(rng.normal(0, 9, (6, 7)))))
    x, t = (torch.tensor(a, dtype=torch.float32) for a in (p.logits, p.loss.teacher))  # type: ignore[union-attr]
    due = {
        "sigmoid": torch.sigmoid(x),
        "log-sigmoid": functional.logsigmoid(x),
        "entropy": torch.distributions.Categorical(logits=x).entropy(),
        "kl": functional.kl_div(x.log_softmax(-1), t.log_softmax(-1), reduction="none", log_target=True).sum(-1),
    }
    for quantity, value in due.items():
        got = methods.run(m, p, quantity, Arithmetic(f, f)).values
        assert np.array_equal(got, value.double().numpy().reshape(6, -1)), quantity


def test_losses_of_jax_are_called_as_they_are() -> None:
    jax = pytest.importorskip("jax")
    rng, f, m = np.random.default_rng(1), FORMATS["float32"], methods.get("jax")
    p = Problem("float32", f.round(rng.normal(0, 9, (6, 7))), Loss("kl", teacher=f.round(rng.normal(0, 9, (6, 7)))))
    x, t = (jax.numpy.asarray(a, dtype="float32") for a in (p.logits, p.loss.teacher))  # type: ignore[union-attr]
    special, softmax = jax.scipy.special, jax.nn.softmax
    due = {
        "sigmoid": jax.nn.sigmoid(x),
        "log-sigmoid": jax.nn.log_sigmoid(x),
        "entropy": special.entr(softmax(x)).sum(-1),
        "kl": special.rel_entr(softmax(t), softmax(x)).sum(-1),
    }
    for quantity, value in due.items():
        got = methods.run(m, p, quantity, Arithmetic(f, f)).values
        assert np.array_equal(got, np.asarray(value, dtype=np.float64).reshape(6, -1)), quantity


def test_both_losses_of_tensorflow_are_called_as_they_are() -> None:
    tf = pytest.importorskip("tensorflow")
    rng, f = np.random.default_rng(1), FORMATS["float32"]
    p = Problem("float32", f.round(rng.normal(0, 40, (6, 7))), Loss(target=rng.integers(0, 7, 6)))
    x, y = tf.constant(p.logits, dtype="float32"), tf.one_hot(p.loss.target, 7)  # type: ignore[union-attr]
    due = {
        "tensorflow": tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=x),
        "tensorflow-by-hand": -tf.reduce_sum(y * tf.math.log(tf.nn.softmax(x)), axis=-1),
    }
    for name, value in due.items():
        got = methods.run(methods.get(name), p, "cross-entropy", Arithmetic(f, f)).values
        assert np.array_equal(got[:, 0], value.numpy().astype(np.float64), equal_nan=True), name
    assert not np.isfinite(due["tensorflow-by-hand"]).all() and np.isfinite(due["tensorflow"]).all()
    focal = replace(p, loss=Loss("focal", target=p.loss.target, gamma=1.5))  # type: ignore[union-attr]
    value = tf.keras.losses.categorical_focal_crossentropy(y, x, alpha=1.0, gamma=1.5, from_logits=True)
    got = methods.run(methods.get("tensorflow"), focal, "focal", Arithmetic(f, f)).values
    assert np.array_equal(got[:, 0], value.numpy().astype(np.float64))


def test_losses_of_scipy_are_called_as_they_are() -> None:
    special = pytest.importorskip("scipy.special")
    rng, f, m = np.random.default_rng(1), FORMATS["float64"], methods.get("scipy")
    x, t, b = rng.normal(0, 9, (6, 7)), rng.normal(0, 9, (6, 7)), rng.normal(0, 1, 7)
    p = Problem("float64", x, Loss("kl", teacher=t), coefficients=b)
    of_x, of_t = special.softmax(x, axis=1), special.softmax(t, axis=1)
    due = {
        "sigmoid": special.expit(x),
        "log-sigmoid": special.log_expit(x),
        "entropy": special.entr(of_x).sum(axis=1),
        "kl": special.rel_entr(of_t, of_x).sum(axis=1),
        "logsumexp": special.logsumexp(x, axis=1, b=b, return_sign=True)[0],
    }
    for quantity, value in due.items():
        got = methods.run(m, p, quantity, Arithmetic(f, f)).values
        assert np.array_equal(got, value.reshape(6, -1)), quantity


def test_a_masked_class_keeps_what_the_library_makes_of_it() -> None:
    f, p = FORMATS["float64"], Problem("float64", np.array([[1.0, -np.inf]]), Loss(labels=np.array([[1.0, 0.0]])))
    for name in ("scipy", "tensorflow", "torch"):
        if not methods.get(name).reason:
            assert np.isnan(methods.run(methods.get(name), p, "cross-entropy", Arithmetic(f, f)).values).all(), name


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> object:
        return real(name, package) if name in {"numpy", "ml_dtypes"} else None

    monkeypatch.setattr(libraries.importlib.util, "find_spec", find_spec)


@pytest.mark.usefixtures("absent")
def test_an_absent_library_says_how_to_install_it(capsys: pytest.CaptureFixture[str]) -> None:
    for name, m in methods.adapters().items():
        if m.code.package == "numpy":  # type: ignore[attr-defined]
            assert not m.reason
            continue
        extra = m.code.extra  # type: ignore[attr-defined]
        assert m.code.package in m.reason and f"pip install 'smcli[{extra}]'" in m.reason and EXTRAS[extra]  # type: ignore[attr-defined]
        assert any(m.code.package in requirement for requirement in EXTRAS[extra])  # type: ignore[attr-defined]
        quantity = "softmax"
        assert command(["compare", "1", "2", "-m", f"fused,shifted,{name}", "-q", quantity, "-f", "json"]) == 0
        shifted, got = json.loads(capsys.readouterr().out)["rows"][0]["results"][0]["methods"]
        assert shifted["available"] and got == {"method": name, "available": False, "reason": m.reason}
        assert command(["compare", "1", "2", "-m", name]) == 3
        said = capsys.readouterr().err
        assert said.startswith(f"error: {name}: the package ") and "install" in said and "Traceback" not in said
    assert methods.expand(["libraries"], ["softmax"]) == ("numpy", "numpy-shifted")
    assert command(["methods"]) == 0
    assert "pip install 'smcli[torch]'" in capsys.readouterr().out


def test_groups() -> None:
    everyone = methods.expand(["all"], ["softmax"])
    assert (
        set(everyone) == {n for n, m in methods.formulas().items() if m.defines("softmax")} and "numpy" not in everyone
    )
    here = methods.expand(["libraries"], ["softmax"])
    assert set(here) == {n for n, m in methods.adapters().items() if not m.reason}
    assert methods.expand(["numpy", "libraries", "fused"], ["softmax"]) == (*here, "fused")
    assert methods.expand(["libraries"], ["jacobian"]) == tuple(n for n in here if methods.get(n).defines("jacobian"))


def test_a_format_that_a_library_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("scipy")
    assert (
        command(["compare", "1", "2", "-m", "shifted,scipy", "-d", "bfloat16,float32", "-q", "softmax", "-f", "json"])
        == 0
    )
    half, single = json.loads(capsys.readouterr().out)["formats"]
    (_, got), (_, other) = (d["rows"][0]["results"][0]["methods"] for d in (half, single))
    assert (
        not got["available"] and got["reason"] == "it does not compute in bfloat16, only in float64, float32, float16"
    )
    assert other["available"]


def test_a_library_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def softmax(x: object, task: object) -> object:
        raise RuntimeError("no kernel for this\nand more")

    monkeypatch.setattr(methods.get("numpy").code, "softmax", softmax, raising=False)  # type: ignore[attr-defined]
    assert command(["compare", "1", "2", "-m", "naive,numpy", "-q", "softmax"]) == 0
    assert "it raised RuntimeError: no kernel for this (test_libraries.py:" in capsys.readouterr().out


def test_what_libraries_print_is_dropped(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def softmax(x: np.ndarray, task: object) -> np.ndarray:
        import os
        import warnings

        os.write(2, b"oneDNN custom operations are on\n")
        warnings.warn("experimental", stacklevel=1)
        return x

    monkeypatch.setattr(methods.get("numpy").code, "softmax", softmax, raising=False)  # type: ignore[attr-defined]
    assert command(["compare", "1", "2", "-m", "numpy", "-q", "softmax", "-f", "csv"]) == 0
    assert "oneDNN" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("name", ["torch", "jax", "tensorflow", "onnxruntime"])
def test_real_libraries_print_nothing(name: str) -> None:
    if methods.get(name).reason:
        pytest.skip(methods.get(name).reason)
    words = ["compare", "1", "2", "-d", "float32", "-m", name, "-q", "softmax", "-f", "csv"]
    done = subprocess.run([sys.executable, "-m", "smcli", *words], capture_output=True, text=True, check=True)
    assert "warn" not in done.stderr.lower() and "onednn" not in done.stderr.lower() and "0.7310" in done.stdout


def test_nothing_is_imported_before_it_is_called() -> None:
    code = "from smcli import methods; methods.everything(); from smcli.report.catalogue import Catalogue"
    code += "; Catalogue().to_dict(); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "jax", "tensorflow", "onnxruntime", "scipy"} & set(done.stdout.split())


def test_a_new_library_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "REGISTRY", dict(methods.REGISTRY))
    monkeypatch.setattr(libraries, "REGISTRY", methods.REGISTRY)

    @libraries.library("halves", source="nobody")
    class Halves(libraries.Library):
        """Says one half."""

        def softmax(self, x: np.ndarray, _: object) -> np.ndarray:
            return np.full_like(x, 0.5)

    assert "halves" in methods.everything() and methods.get("halves").summary == "Says one half."
    report = smcli.compare([3, 3], methods="halves,numpy", quantities="softmax", dtype="float16")
    assert report.to_dict()["rows"][0]["results"][0]["methods"][0]["verdicts"] == ["correct", "correct"]
