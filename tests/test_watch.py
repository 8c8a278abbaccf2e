"""smcli.watch: the same call and value; where a result is not finite, the evidence is kept and told."""

import gc
import json
import subprocess
import sys
import weakref

import numpy as np
import pytest

import smcli

CALLS = []


def loss(x, t, *, scale=1.0):
    """The mean loss, as everyone writes it first."""
    CALLS.append((x, t, scale))
    e = np.exp(x)
    return -np.log(e[np.arange(len(t)), t] / e.sum(1)).mean() * scale


GOOD, T = np.array([[1.0, 2.0]]), np.array([0])
BAD, T2 = np.array([[1.0, 2.0], [1000.0, 0.0]]), np.array([0, 0])


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield
    CALLS.clear()


def test_the_same_call_and_value(tmp_path, capsys):
    watched = smcli.watch(loss, directory=tmp_path)
    assert watched(GOOD, T, scale=2.0) == loss(GOOD, T, scale=2.0)
    assert CALLS[0][0] is GOOD and CALLS[0][1] is T and CALLS[0][2] == 2.0
    assert watched.__name__ == "loss" and watched.__doc__ == loss.__doc__ and watched.__wrapped__ is loss
    assert not list(tmp_path.iterdir()) and capsys.readouterr().err == ""


def test_the_evidence_is_kept_and_told_and_the_command_shows_it(tmp_path, capsys):
    watched = smcli.watch(loss, directory=tmp_path / "new", limit=2)
    for _ in range(3):
        assert np.isnan(watched(BAD, T2))
    files = sorted((tmp_path / "new").iterdir())
    assert [f.name for f in files] == ["smcli-watch-1.npz", "smcli-watch-2.npz"]
    saved = np.load(files[0])
    assert np.array_equal(saved["logits"], BAD) and np.array_equal(saved["target"], T2)
    said = capsys.readouterr().err
    assert said.count("loss returned nan") == 2 and "row 1, target 0" in said and "SM201 exp-overflow" in said
    command = said.splitlines()[-1]
    assert command == f"smcli compare -i {files[1]} --rows 1:2"
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "-f", "json"], capture_output=True, text=True, check=True
    )
    assert "SM201" in json.loads(done.stdout)["summary"]["findings"]


def test_what_was_there_before_is_not_overwritten(tmp_path):
    (tmp_path / "smcli-watch-1.npz").write_text("mine")
    smcli.watch(loss, directory=tmp_path)(BAD, T2)
    assert (tmp_path / "smcli-watch-1.npz").read_text() == "mine" and (tmp_path / "smcli-watch-2.npz").exists()


def test_keywords_and_no_target(tmp_path, capsys):
    smcli.watch(loss, directory=tmp_path)(t=T2, x=BAD)  # the second argument is the logits: no fault of the program
    smcli.watch(lambda x: x.sum(), directory=tmp_path)(np.array([[np.inf, 1.0]]))
    assert "SM102" in capsys.readouterr().err


def test_one_row_and_the_number_of_its_class(tmp_path, capsys):
    with np.errstate(all="ignore"):
        smcli.watch(lambda x, t: -np.log(np.exp(x[t]) / np.exp(x).sum()), directory=tmp_path)(np.array([1.0, 1000]), 1)
    said = capsys.readouterr().err
    assert "row 0, target 1, 2 logits\n  error SM201" in said and "--rows 0:1" in said


def test_it_never_raises_for_a_failure_of_its_own(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert np.isnan(smcli.watch(loss, directory=blocked)(BAD, T2))
    assert capsys.readouterr().err.count("\n") == 1
    assert np.isnan(smcli.watch(lambda _: np.nan, directory=tmp_path)(object()))
    assert capsys.readouterr().err.startswith("smcli.watch: ")
    assert smcli.watch(lambda: "text", directory=tmp_path)() == "text"


def test_its_own_errors_go_through(tmp_path):
    def wrong(x):
        raise KeyError(x)

    with pytest.raises(KeyError):
        smcli.watch(wrong, directory=tmp_path)(1)


def test_a_loss_for_each_row_tells_its_row(tmp_path, capsys):
    def losses(x, t):
        return np.where(np.arange(len(t)) == 3, np.nan, 1.0)

    smcli.watch(losses, directory=tmp_path)(np.zeros((5, 2)), np.zeros(5, int))
    said = capsys.readouterr().err
    assert "row 3, target 0, 2 logits: neither naive nor fused fails on it" in said and "--rows 3:4" in said
    binary = lambda *_: np.array([1.0, np.nan])  # noqa: E731
    binary.__name__ = "binary_loss"
    smcli.watch(binary, directory=tmp_path)(np.zeros((2, 2)), np.ones((2, 2)))
    said = capsys.readouterr().err
    assert "row 1, 2 logits: fused does not fail on it" in said and said.rstrip().endswith("-q bce")


def test_a_nan_is_traced_to_the_row_that_is_nan_and_an_infinity_to_one_that_is_infinite(tmp_path, capsys):
    x = np.zeros((60, 3))
    x[23] = 0, -800, 5  # of target 1 the loss is inf: a log of 0
    watched = smcli.watch(loss, directory=tmp_path)
    t = np.ones(60, int)
    assert np.isposinf(watched(x, t)) and "row 23, target 1" in capsys.readouterr().err
    x[47] = 5, 1000, 0  # and here nan, inf/inf
    assert np.isnan(watched(x, t))
    said = capsys.readouterr().err
    assert "loss returned nan" in said and "row 47, target 1" in said and "SM201" in said and "--rows 47:48" in said
    x[[23, 47]] = x[[47, 23]]
    x[40] = -np.inf, 0, 1
    watched = smcli.watch(lambda *_: np.inf, directory=tmp_path)
    watched(x, t)
    assert "row 47, target 1" in capsys.readouterr().err  # row 23 is nan, and cannot be why the loss is inf
    x[47] = 0
    watched(x, t)
    said = capsys.readouterr().err  # though if nothing else explains it, it is told
    assert "row 23, target 1, 3 logits: alone it makes another loss than inf\n" in said


@pytest.mark.parametrize(
    "result", [(np.nan, np.zeros(3)), [np.zeros(2), (1.0, np.float32("nan"))], {"loss": np.nan, "n": 2}]
)
def test_a_loss_beside_other_results_is_found(result, tmp_path, capsys):
    assert smcli.watch(lambda *_: result, directory=tmp_path)(BAD, T2) is result
    said = capsys.readouterr().err
    assert "returned nan; its arguments are in" in said and "row 1, target 0, 2 logits\n  error SM201" in said
    smcli.watch(lambda *_: (1.0, {"a": np.zeros(2)}), directory=tmp_path / "none")(BAD, T2)
    assert not (tmp_path / "none").exists() and capsys.readouterr().err == ""


def test_what_no_row_explains_is_said_to_be_so_and_it_is(tmp_path, capsys):
    """Each row is tried by naive and fused; what they find is told by compare, too."""
    x, t = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([0, 1])
    smcli.watch(lambda *_: np.nan, directory=tmp_path)(x, t)
    said = capsys.readouterr().err
    assert "smcli.watch: no row alone explains it: neither naive nor fused fails on any\n" in said
    made = smcli.compare(x, target=t, methods=["naive", "fused"], quantities="cross-entropy")
    assert not any(f.severity == "error" for f in made.findings)
    assert said.splitlines()[-1] == f"smcli compare -i {tmp_path / 'smcli-watch-1.npz'}"


def test_a_batch_that_is_left_out_as_a_whole(tmp_path, capsys):
    nothing = np.array([-100, -100])
    smcli.watch(lambda *_: np.nan, directory=tmp_path)(BAD, nothing)
    said = capsys.readouterr().err
    assert "every target is -100, so that all rows are left out: a mean of no losses is 0/0 = nan" in said
    smcli.watch(lambda *_: np.nan, directory=tmp_path)(GOOD.repeat(2, axis=0), np.array([-100, 0]))
    assert "all rows are left out" not in capsys.readouterr().err


def test_an_infinite_loss_that_is_right_is_no_failure_of_a_method(tmp_path, capsys):
    smcli.watch(lambda *_: np.inf, directory=tmp_path)(np.array([[0.0, -np.inf], [1.0, 2.0]]), np.array([1, 0]))
    said = capsys.readouterr().err
    assert "row 0, target 1, 2 logits: neither naive nor fused fails on it\n  note SM104 masked-target" in said


def test_a_function_without_arguments_is_told_in_words(tmp_path, capsys):
    assert np.isnan(smcli.watch(lambda: np.nan, directory=tmp_path)())
    assert capsys.readouterr().err == (
        "smcli.watch: <lambda> returned nan, called without arguments: there are no logits to look at\n"
    )
    assert not list(tmp_path.iterdir())


def test_torch_keeps_value_graph_and_memory(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    cross_entropy = torch.nn.functional.cross_entropy
    watched = smcli.watch(cross_entropy, directory=tmp_path, limit=9)
    x, t = torch.randn(4, 10, requires_grad=True), torch.tensor([0, 1, 2, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(watched(x, t), cross_entropy(x, t))
    a, b = watched(x, t), cross_entropy(x, t)
    assert torch.equal(a, b) and type(a.grad_fn) is type(b.grad_fn)
    assert torch.equal(torch.autograd.grad(a, x)[0], torch.autograd.grad(b, x)[0])
    with torch.no_grad():
        assert not watched(x, t).requires_grad
    assert not list(tmp_path.iterdir())
    bad = torch.randn(4, 10, dtype=torch.bfloat16)
    bad[2, 3] = torch.nan
    kept = bad.float().numpy().copy()
    bad.requires_grad_()
    result = watched(bad, t)
    result.backward()
    alive = weakref.ref(bad), weakref.ref(result)
    del bad, result
    gc.collect()
    assert alive[0]() is None and alive[1]() is None
    saved = np.load(tmp_path / "smcli-watch-1.npz")
    assert np.array_equal(saved["logits"], kept, equal_nan=True) and saved["logits"].dtype == np.float32
    said = capsys.readouterr().err
    assert "row 2, target 2" in said and "SM101" in said and "-d bfloat16" in said


def test_logits_and_target_are_found_by_their_names(tmp_path, capsys):
    def other(labels, logits):
        return loss(logits, labels)

    x, t = np.array([[0.0, 1.0], [np.nan, 1.0]]), np.array([1, 0])
    for call in (
        lambda: smcli.watch(other, directory=tmp_path)(t, x),
        lambda: smcli.watch(other, directory=tmp_path)(logits=x, labels=t),
    ):
        call()
        assert "row 1, target 0, 2 logits" in capsys.readouterr().err
    for k in (1, 2):
        saved = np.load(tmp_path / f"smcli-watch-{k}.npz")
        assert np.array_equal(saved["logits"], x, equal_nan=True) and np.array_equal(saved["target"], t)


def test_a_module_of_torch_brings_its_settings(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    loss = smcli.watch(torch.nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=3), directory=tmp_path)
    x = torch.zeros(4, 5)
    x[2, 1], x[3, 1] = torch.inf, torch.inf
    loss(x, torch.tensor([0, 1, 2, 3]))
    said = capsys.readouterr().err
    assert "row 2, target 2" in said and said.splitlines()[-1].endswith("--ignore-index 3 --label-smoothing 0.1")
    assert loss.ignore_index == 3
    smcli.watch(torch.nn.functional.cross_entropy, directory=tmp_path)(target=torch.tensor([0, 1, 2, 3]), input=x)
    assert "row 2, target 2, 5 logits" in capsys.readouterr().err
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0])
    for heavy in (
        torch.nn.CrossEntropyLoss(weight=weights),
        lambda x, t: torch.nn.functional.cross_entropy(x, t, weight=weights),
    ):
        smcli.watch(heavy, directory=tmp_path)(x, torch.tensor([0, 1, 2, 3]))
        command = capsys.readouterr().err.splitlines()[-1]
        assert command.endswith("--class-weights 1.0,2.0,0.5,1.0,1.0") == isinstance(heavy, torch.nn.Module)


def test_torch_compile_around_it_keeps_one_graph(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    cross_entropy = torch.nn.functional.cross_entropy
    watched = smcli.watch(cross_entropy, directory=tmp_path)
    whole = torch.compile(lambda x, t: watched(x, t) * 2, fullgraph=True, backend="eager")
    x, t = torch.randn(4, 10), torch.tensor([0, 1, 2, 3])
    assert torch.equal(whole(x, t), cross_entropy(x, t) * 2) and torch.equal(whole(x, t), whole(x, t))
    x[1, 1] = torch.nan
    assert whole(x, t).isnan() and not list(tmp_path.iterdir())
    said = capsys.readouterr().err.splitlines()
    assert said == [f"smcli.watch: cross_entropy is called inside compiled code, where no value can be seen: {ADVICE}"]
    assert watched(x, t).isnan() and "row 1, target 1" in capsys.readouterr().err
    outside = smcli.watch(torch.compile(cross_entropy, backend="eager"), directory=tmp_path)
    assert outside(x, t).isnan() and "row 1, target 1, 10 logits" in capsys.readouterr().err


ADVICE = "watch the compiled function"


def test_jax_under_grad_is_watched_and_under_jit_said_once(tmp_path, capsys):
    jax = pytest.importorskip("jax")

    def loss(x, t):
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(x), t[:, None], axis=-1).mean()

    watched = smcli.watch(loss, directory=tmp_path)
    x, t = jax.numpy.zeros((4, 10), dtype="bfloat16"), jax.numpy.array([0, 1, 2, 3])
    assert np.array_equal(jax.grad(watched)(x, t), jax.grad(loss)(x, t)) and not capsys.readouterr().err
    bad = x.at[2, 5].set(jax.numpy.nan)
    value, _ = jax.value_and_grad(watched)(bad, t)
    said = capsys.readouterr().err
    assert np.isnan(value) and "row 2, target 2, 10 logits" in said and "-d bfloat16" in said
    saved = np.load(tmp_path / "smcli-watch-1.npz")
    assert np.array_equal(saved["logits"], np.asarray(bad, dtype=np.float32), equal_nan=True)
    for step in (jax.jit(watched), jax.jit(jax.grad(watched)), jax.jit(watched)):
        step(bad, t)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "inside compiled code" in said and ADVICE in said
    jax.grad(smcli.watch(jax.jit(loss), directory=tmp_path))(bad, t)
    assert "row 2, target 2, 10 logits" in capsys.readouterr().err


def test_tensorflow_eager_and_in_a_graph(tmp_path, capsys):
    tf = pytest.importorskip("tensorflow")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits
    watched = smcli.watch(loss, directory=tmp_path)
    x, t = np.zeros((4, 10), dtype=np.float32), np.array([0, 1, 2, 3])
    x[2, 5] = np.nan
    logits = tf.cast(tf.constant(x), "bfloat16")
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = watched(labels=t, logits=logits)
    assert np.isnan(tape.gradient(value, logits).numpy()[2].astype(np.float32)).all()
    said = capsys.readouterr().err
    assert "row 2, target 2, 10 logits" in said and "-d bfloat16" in said
    tf.function(lambda x: watched(labels=t, logits=x))(logits)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and ADVICE in said


def test_torch_with_classes_on_the_second_axis_and_rows_left_out(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    x, t = torch.zeros(2, 5, 3, 3), torch.zeros(2, 3, 3, dtype=torch.long)
    x[1, 2, 0, 1] = torch.inf
    t[0] = -100
    smcli.watch(torch.nn.functional.cross_entropy, directory=tmp_path)(x, t)
    assert np.load(tmp_path / "smcli-watch-1.npz")["logits"].shape == (2, 3, 3, 5)
    said = capsys.readouterr().err
    assert "row 10, target 0, 5 logits" in said and "--rows 10:11 --ignore-index -100" in said


def weighted(x, t, *, weight):
    """The weighted mean, as frameworks take it."""
    p = np.exp(x - x.max(1, keepdims=True))
    losses = -np.log(p[np.arange(len(t)), t] / p.sum(1)) * weight[t]
    return losses.sum() / weight[t].sum()


def test_class_weights_are_tried_and_repeated(tmp_path, capsys):
    """A weight of 0 makes nan of an infinite loss, which no row explains without it."""
    x, t = np.array([[1.0, 2.0], [0.0, -800.0]]), np.array([0, 1])
    assert np.isnan(smcli.watch(weighted, directory=tmp_path)(x, t, weight=np.array([1.0, 0.0])))
    said = capsys.readouterr().err
    command = said.splitlines()[-1]
    assert "row 1, target 1, 2 logits\n" in said and command.endswith("--rows 1:2 --class-weights 1.0,0.0")
    done = subprocess.run([sys.executable, "-m", *command.split(), "-q", "cross-entropy", "-m", "naive", "-f", "json"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    (m,) = json.loads(done.stdout)["rows"][0]["results"][0]["methods"]
    assert m["values"] == ["nan"]


def test_many_class_weights_are_left_out_of_the_command_and_it_says_so(tmp_path, capsys):
    x = np.zeros((2, 50))
    x[1, 3] = -800
    w = np.ones(50)
    w[3] = 0
    assert np.isnan(smcli.watch(weighted, directory=tmp_path)(x, np.array([0, 3]), weight=w))
    said = capsys.readouterr().err
    assert "row 1, target 3" in said and "--class-weights" not in said.splitlines()[-1]
    assert "the command leaves out the 50 class weights, which --class-weights takes" in said


def test_what_was_taken_as_logits_and_what_was_left_aside_is_said(tmp_path, capsys):
    def masked(logits, target, T=1.0, mask=None, ignore_index=-100):  # noqa: N803
        return np.nan

    def head(hidden, W, target):  # noqa: N803
        return np.inf

    def alone(x):
        return np.nan

    def binary(logits, target, weight=None):
        return np.nan

    def told(f, *args, **kwargs):
        smcli.watch(f, directory=tmp_path)(*args, **kwargs)
        return capsys.readouterr().err

    x, t, mask = np.array([[1.0, 2, 3], [4, 5, 6]]), [0, 1], np.ones((2, 3), bool)
    taken = "logits (2, 3) was taken as the logits, target (2,) as the target"
    said = told(masked, x, t, mask=mask, T=0.0, ignore_index=-1)
    assert f"smcli.watch: {taken}; left aside: mask, T\n" in said
    assert "on any; where mask or T makes other logits of them, watch a function of these and the target\n" in said
    assert f"smcli.watch: {taken}; left aside: T, mask\n" in told(masked, x, t, 0.0, mask)
    assert f"smcli.watch: {taken}\n" in told(masked, x, t)
    assert "aside" not in told(masked, x, t, mask=None), "nothing was given"
    both = told(head, np.ones((2, 2)), np.eye(2), [1, 1])
    assert "hidden (2, 2) was taken as the logits, W (2, 2) as the soft labels; left aside: target\n" in both
    assert "hidden (2, 2) was taken as the logits; W (2, 5) is no target of these" in told(
        head, np.ones((2, 2)), np.ones((2, 5)), target=[1, 1]
    )
    # a row that explains it is told first of what it is a row of
    assert f"{taken}; left aside: T\n" in told(masked, np.array([[1.0, np.nan, 0], [1, 1, 1]]), t, T=2.0)
    assert "was taken" not in told(masked, np.array([[1.0, np.nan, 0], [1, 1, 1]]), t), "nothing else there is"
    assert "argument 0" not in told(lambda *_: np.nan, np.array([[1.0, np.nan]]), [0])
    assert "argument 0 (2, 3) was taken as the logits, argument 1 (2,) as the target; left aside: argument 2" in told(
        lambda *_: np.nan, x, t, mask
    )
    assert "x (2, 3) was taken as the logits, without a target" in told(alone, x)
    watched = smcli.watch(binary, directory=tmp_path)
    watched(x, x * 0, weight=np.ones(3))
    assert "left aside: weight" in capsys.readouterr().err
