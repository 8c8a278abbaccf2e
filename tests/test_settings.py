"""What was asked becomes settings: defaults, names with commas, what excludes each other, and what an input brings."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from smcli import methods, quantities
from smcli.api.objects import Objects
from smcli.cli.app import run
from smcli.cli.texts import Texts, flag, split
from smcli.errors import OptionError, SmcliError, UsageError
from smcli.numbers import formats
from smcli.problem.specs import LossSpec, Numerics, Tolerance
from smcli.read import from_object
from smcli.request import DEFAULT_METHODS, DEFAULT_QUANTITIES, Request, check_fail_on


def settings(command, **asked):
    return Request.of(command, Objects(asked)).settle()


def batch(dtype=None, target=None, labels=None):
    soft = None if labels is None else from_object(labels)
    return replace(from_object([[1, 2], [3, 4]]), dtype=dtype, origin="the input", target=target, labels=soft)


@pytest.mark.parametrize("command", DEFAULT_QUANTITIES)
def test_defaults(command):
    s = settings(command)
    assert s.numerics.dtypes == ("float64",) and s.quantities == DEFAULT_QUANTITIES[command]
    assert s.methods == {"eval": (), "check": ("output",)}.get(command, DEFAULT_METHODS)
    assert (s.numerics.order, s.loss.reduction, s.loss.smoothing, s.trace) == ("pairwise", "none", 0, False)
    rest = (s.numerics.digits, s.numerics.accumulate, s.loss.target, s.loss.labels, s.tolerance.max_ulp, s.numbers)
    assert rest == (None,) * 6


@pytest.mark.parametrize(
    ("words", "names"),
    [(None, ()), ([""], ()), ([" a , b,,"], ("a", "b")), (["a,b", "a", "c"], ("a", "b", "c")), (["a"], ("a",))],
)
def test_names(words, names):
    assert split(words) == names
    assert Objects({"x": words}).names("x") == Objects({"x": ",".join(words or ())}).names("x") == names


def test_names_with_commas_and_aliases():
    s = settings(
        "compare", dtype=["half,torch.bfloat16", "fp16"], methods="fused, naive", quantities=["probs,lse", "softmax"]
    )
    assert s.numerics.dtypes == ("float16", "bfloat16")
    assert s.methods == ("fused", "naive") and s.quantities == ("softmax", "logsumexp")


@pytest.mark.parametrize("q", quantities.QUANTITIES.values(), ids=lambda q: q.name)
def test_what_people_call_a_quantity(q):
    for name in q.aliases if not (q.is_derivative or q.needs) else ():
        assert settings("eval", quantities=name.upper()).quantities == (q.name,)


def test_all():
    s = settings("compare", dtype="all", methods="all", quantities="all")
    assert s.numerics.dtypes == tuple(formats.FORMATS)
    assert s.quantities == tuple(q for q in quantities.values() if not quantities.get(q).needs)
    assert set(s.methods) == {n for n, m in methods.formulas().items() if any(map(m.defines, s.quantities))}
    assert "fd" not in s.methods and "fd" in settings("grad", methods="all").methods


def test_what_grad_differentiates():
    assert settings("grad").quantities == ("jacobian",)
    assert settings("grad", target=[0]).quantities == ("gradient",)
    assert settings("grad", cotangent=[1, 2]).quantities == ("vjp",)
    assert settings("grad", quantities="bce", labels=[1, 0]).loss.kind == "bce"


def test_what_the_input_brings_stands_where_nothing_was_asked():
    asked = Request.of("grad", Objects({}))
    s = asked.settle(batch("bfloat16", (1, 0)), numbers=(3, 4))
    assert (s.numerics.dtypes, s.origin, s.loss.target, s.numbers) == (("bfloat16",), "the input", (1, 0), (3, 4))
    assert s.quantities == ("gradient",)
    for keywords in ({"target": 2}, {"labels": [1, 0]}, {"cotangent": [1, 0]}):
        s = Request.of("grad", Objects({"dtype": "float16", **keywords})).settle(batch("bfloat16", (1, 0)))
        assert s.numerics.dtypes == ("float16",) and s.loss.target == ((2,) if "target" in keywords else None)
        assert not s.origin and (s.loss.labels is not None) == ("labels" in keywords)
    assert Request.of("compare", Objects({"reduction": "mean"})).settle(batch(None, (1,))).loss.target == (1,)


def test_labels_of_the_input():
    soft = [[0.5, 0.5], [1, 0]]
    s = Request.of("grad", Objects({})).settle(batch(labels=soft))
    assert (
        s.quantities == ("gradient",) and [r.values.tolist() for r in s.loss.labels] == soft and s.loss.target is None
    )
    s = Request.of("compare", Objects({})).settle(batch(target=(1, 0), labels=soft))
    assert s.loss.target == (1, 0) and s.loss.labels is None
    s = Request.of("compare", Objects({"quantities": "bce"})).settle(batch(target=(1, 0), labels=soft))
    assert s.loss.target is None and len(s.loss.labels) == 2
    assert Request.of("compare", Objects({"target": 0})).settle(batch(labels=soft)).loss.labels is None


@pytest.mark.parametrize("digits", [1, 10000, np.int64(7)])
def test_digits_at_the_edge(digits):
    assert settings("compare", digits=digits).numerics.digits == digits


def test_temperature_may_be_0():
    assert settings("compare", temperature=0).numerics.temperature.values.tolist() == [0]


WRONG = [
    ("compare", {"digits": 0}, "digits", "is out of range"),
    ("compare", {"digits": 10001}, "digits", "is out of range"),
    ("compare", {"label_smoothing": -0.1, "target": 0}, "label_smoothing", "is out of range"),
    ("compare", {"label_smoothing": float("nan"), "target": 0}, "label_smoothing", "is out of range"),
    ("compare", {"target": 0, "labels": [0, 1]}, "target", "and <labels> exclude each other"),
    ("grad", {"target": 0, "cotangent": [0, 1]}, "target", "and <cotangent> exclude each other"),
    ("grad", {"labels": [1, 0], "cotangent": [0, 1]}, "labels", "and <cotangent> exclude each other"),
    ("compare", {"ignore_index": -1}, "ignore_index", "needs <target>"),
    ("compare", {"ignore_index": -1, "labels": [1, 0]}, "ignore_index", "needs <target>"),
    ("compare", {"reduction": "mean"}, "reduction", "needs <target> or <labels>"),
    ("compare", {"label_smoothing": 0.5}, "label_smoothing", "needs <target> or <labels>"),
    ("compare", {"reduction": "average", "target": 0}, "reduction", "is unknown"),
    ("compare", {"sum": "random"}, "sum", "is unknown"),
    ("compare", {"quantities": "bce"}, "labels", "are needed by bce"),
    ("compare", {"quantities": "bce", "labels": [1, 0], "z_loss": 1}, "z_loss", "is not an option of bce"),
    ("compare", {"temperature": -1}, "temperature", "is out of range"),
    ("compare", {"temperature": float("nan")}, "temperature", "is out of range"),
    ("compare", {"softcap": 0}, "softcap", "is out of range"),
    ("compare", {"softcap": float("inf")}, "softcap", "is out of range"),
    ("compare", {"z_loss": float("inf"), "target": 0}, "z_loss", "is out of range"),
    ("compare", {"max_ulp": -1}, "max_ulp", "is out of range"),
    ("compare", {"max_rel": float("nan")}, "max_rel", "is out of range"),
    ("compare", {"labels": [1, float("nan")]}, "labels", "hold a number that is not finite: 1 of row 0"),
    ("compare", {"class_weights": [float("inf")], "target": 0}, "class_weights", "hold a number that is not finite"),
    ("grad", {"step": 0.0}, "step", "is out of range"),
    ("grad", {"step": float("nan")}, "step", "is out of range"),
]


@pytest.mark.parametrize(("command", "asked", "option", "says"), WRONG)
def test_what_cannot_be_names_its_option(command, asked, option, says):
    with pytest.raises(OptionError) as caught:
        settings(command, **asked)
    error = caught.value
    assert error.option == option and says in error.problem and error.hint
    assert "--" not in error.message + error.hint and "<" not in error.message + error.hint
    shown, hint = error.spelled(flag)
    assert shown.startswith(f"--{option.replace('_', '-')} ") and "=" not in shown and "<" not in shown + hint
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == error.message and again.hint == error.hint


@pytest.mark.parametrize(
    ("command", "asked", "says"),
    [
        ("compare", {"quantities": "loss"}, "unknown quantity"),
        ("compare", {"quantities": "gradient"}, "is a derivative"),
        ("compare", {"quantities": "bce,ce", "labels": [1]}, "losses of different problems"),
        ("compare", {"dtype": "float65"}, "unknown number format"),
        ("compare", {"accumulate": "float65"}, "unknown number format"),
        ("compare", {"methods": "magic"}, "unknown method"),
        ("compare", {"methods": "fused", "quantities": "softmax"}, "no softmax in fused"),
        ("compare", {"methods": "numpy,scipy", "quantities": "focal", "target": 0}, "no focal in numpy, scipy"),
        ("grad", {"methods": "numpy,scipy", "quantities": "kl", "against": [1]}, "no gradient of kl in numpy, scipy"),
        ("grad", {"methods": "bregman", "target": 0}, "no gradient of cross-entropy in bregman"),
        ("eval", {"methods": "naive,fused"}, "eval takes one method"),
        ("eval", {"methods": "all"}, "eval takes one method"),
        ("grad", {"quantities": "softmax"}, "differentiates a loss"),
        ("grad", {"quantities": "softmax,bce", "labels": [1, 0]}, "differentiates a loss"),
    ],
)
def test_names_that_cannot_be(command, asked, says):
    with pytest.raises(UsageError, match=says) as caught:
        settings(command, **asked)
    assert caught.value.hint


def test_a_named_method_that_computes_nothing_that_is_asked_is_told():
    def notes(command, **asked):
        return list(settings(command, **asked).notes)

    assert notes("grad", methods="fused,scipy", target=0) == ["scipy computes no gradient: it is left out"]
    both = notes("compare", methods="naive,numpy,bregman", quantities="focal,log-softmax", target=0)
    assert both == ["bregman computes neither focal nor log-softmax: it is left out"]
    assert not notes("compare", methods="libraries,naive", quantities="focal", target=0)  # of a group those that can
    assert not notes("scan") and not notes("compare", quantities="softmax") and not notes("check")
    assert not notes("compare", methods="fused") and not notes("grad", methods="all", target=0)


def test_such_a_method_is_told_on_stderr_and_of_a_scan_in_its_summary(capsys, tmp_path, monkeypatch):
    assert run(["grad", "1", "2", "-t", "0", "-m", "fused,scipy"]) == 0
    assert capsys.readouterr().err == "note: scipy computes no gradient: it is left out\n"
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    assert run(["scan", str(tmp_path / "x.npy"), "-m", "shifted,fused"]) == 0
    assert "fused computes no softmax: it is left out" in capsys.readouterr().out
    numpy = methods.get("numpy")
    monkeypatch.setattr(methods, "adapters", lambda: {"numpy": numpy})
    assert run(["compare", "1", "2", "-m", "libraries", "-q", "focal", "-t", "0"]) == 2
    said = capsys.readouterr()
    assert (
        not said.out
        and "error: no focal in libraries" in said.err
        and "hint: naive, shifted, fused and others have it" in said.err
    )


@pytest.mark.parametrize(
    ("kind", "labels", "note"),
    [
        ("bce", [1, 0, 2], "the labels hold 2 at index 2, outside [0, 1]: the loss can be negative"),
        ("bce", [1, 0, 1], None), ("bce", [0.25, 0.5, 0.75], None),
        ("focal", [[0, 1, 0], [0, -0.5, 1]], "the labels of row 1 hold -0.5 at index 1, outside [0, 1]: the loss can be negative"),
        ("cross-entropy", [0.5, 0.25, 0.125], "the labels sum to 0.875, not to 1: the loss takes them as they are"),
        ("cross-entropy", [[1, 0, 0], [1, 1, 0], [0, 0.5, 0]],
         "the labels of row 1 sum to 2, not to 1, nor do those of 1 more: the loss takes them as they are"),
        ("cross-entropy", [1.5, -0.5, 0], "the labels hold -0.5 at index 1, below 0: the loss can be negative"),
        ("cross-entropy", [0.7, 0.2, 0.1], None), ("cross-entropy", [0.333, 0.333, 0.333], None),
    ],
)  # fmt: skip
def test_labels_that_are_odd_are_told(kind, labels, note):
    for command in ("compare", "grad", "check"):
        quantity = "gradient" if command == "check" else kind
        if command == "check" and kind != "cross-entropy":
            continue
        s = settings(command, quantities=quantity, labels=labels)
        assert list(s.notes) == ([] if note is None else [note])
    assert not settings("compare", quantities="softmax", labels=labels).notes  # there they are of no use


def test_labels_that_are_odd_are_told_on_stderr_once(capsys, tmp_path):
    files = {"x.npy": np.zeros((3, 2)), "y.npy": np.full((3, 2), 0.25), "p.npy": np.full(3, 0.5 * np.log(2))}
    for name, array in files.items():
        np.save(tmp_path / name, array)
    x, y, p = (str(tmp_path / name) for name in files)
    said = "the labels of row 0 sum to 0.5, not to 1, nor do those of 2 more: the loss takes them as they are\n"
    for words in (["compare", "-i", x], ["check", x, p]):
        assert run([*words, "-q", "cross-entropy", "--labels", y]) == 0
        assert capsys.readouterr().err == f"note: {said}"
    assert run(["scan", x, "-q", "cross-entropy", "--labels", y]) == 0
    assert capsys.readouterr().out.count(said) == 1


class Options:
    def __init__(self, **given):
        vars(self).update(given)


@pytest.mark.parametrize(
    ("texts", "objects"),
    [
        ({"dtype": ["float16,half"], "method": ["all"], "quantity": ["lse"]},
         {"dtype": ["float16"], "methods": "all", "quantities": "logsumexp"}),
        ({"target": "1,0", "label_smoothing": "0.25", "class_weights": "1 0x1p-1", "reduction": "mean"},
         {"target": np.array([1, 0]), "label_smoothing": 0.25, "class_weights": [1, 0.5], "reduction": "mean"}),
        ({"labels": "[0.5,0.5],[1,0]", "z_loss": "1e-4", "temperature": "2", "softcap": "30"},
         {"labels": [[0.5, 0.5], [1, 0]], "z_loss": 1e-4, "temperature": 2, "softcap": 30.0}),
        ({"accumulate": "float32", "sum": "sequential", "digits": 5, "trace": True, "max_ulp": "8", "max_rel": "inf"},
         {"accumulate": np.float32, "sum": "sequential", "digits": 5, "trace": True, "max_ulp": 8, "max_rel": np.inf}),
        ({"target": "3", "ignore_index": 3}, {"target": 3, "ignore_index": 3}),
    ],
)  # fmt: skip
def test_texts_and_objects_make_the_same_settings(texts, objects):
    def plain(value):
        if isinstance(value, (Numerics, LossSpec, Tolerance)):
            return {name: plain(getattr(value, name)) for name in value.__slots__}
        if isinstance(value, tuple):
            return [plain(v) for v in value]
        return value.values.tolist() if hasattr(value, "values") else value

    one, other = Request.of("compare", Texts(Options(**texts))), Request.of("compare", Objects(objects))
    for name in one.__slots__:
        assert plain(getattr(one, name)) == plain(getattr(other, name)), name
    assert one.settle().methods == other.settle().methods


@pytest.mark.parametrize(
    "keywords",
    [{"target": 1.7}, {"target": "a"}, {"target": [None]}, {"target": float("nan")}, {"target": True}, {"target": []},
     {"target": 2**53}, {"ignore_index": 1.5, "target": 0}, {"ignore_index": True, "target": 0}, {"digits": 2.5},
     {"digits": "5"}, {"temperature": [1, 2]}, {"temperature": [[1], [2]]}, {"temperature": "1"}, {"max_ulp": "x"},
     {"max_ulp": 1j}, {"label_smoothing": "a", "target": 0}, {"label_smoothing": [0, 1], "target": 0},
     {"class_weights": [[1, 2], [3, 4]], "target": 0}, {"labels": [["a"]]}, {"trace": 1}, {"trace": "no"},
     {"dtype": 5}, {"dtype": [None]}, {"methods": 3}, {"quantities": [b"softmax"]}, {"sum": 1}, {"reduction": object()}],
)  # fmt: skip
def test_objects_of_the_wrong_kind(keywords):
    with pytest.raises(SmcliError) as caught:
        settings("compare", **keywords)
    assert caught.value.hint and next(iter(keywords)) in caught.value.message


@pytest.mark.parametrize(
    ("value", "kept"),
    [("never", "never"), ("ERROR", "error"), ("sm201,SM303", "SM201,SM303"), ("exp-overflow", "SM201")],
)
def test_fail_on(value, kept):
    assert check_fail_on(value) == kept


@pytest.mark.parametrize("value", ["", "SM999", "sometimes", "SM201,"])
def test_an_unknown_fail_on(value):
    with pytest.raises(UsageError):
        check_fail_on(value)


def test_two_losses_are_refused_with_what_to_type_instead(capsys):
    words = ["compare", "1", "2", "3", "--labels", "0,1,0"]
    assert run([*words, "-q", "softmax,bce,entropy,cross-entropy"]) == 2
    hint = capsys.readouterr().err
    for names in ("softmax,entropy,bce", "softmax,entropy,cross-entropy"):
        assert f"--quantity {names}" in hint
        assert run([*words, "--quantity", names]) == 0
