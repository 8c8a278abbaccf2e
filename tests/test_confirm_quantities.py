"""--confirm has a definition of every quantity, gradient and product, and finds a wrong digit of each of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import smcli
from smcli import quantities
from smcli.confirm import definitions
from smcli.judge import reduce
from smcli.judge.block import JudgedQuantity
from smcli.request import PRODUCTS

LOSSES = quantities.losses()
ROW, TEACHER = [1.0, 2.5, -3.0], [3.0, 1.0, 0.5]
NEEDS = {
    "labels": {"labels": [0, 1, 1]},
    "against": {"against": TEACHER},
    "target or labels": {"target": 1},
    "": {},
}
VALUES = {name: [NEEDS[quantities.get(name).needs]] for name in quantities.values()}
VALUES["cross-entropy"] += [{"target": 0}, {"labels": [0.5, 0.25, 0.5]}]
VALUES["kl"] += [{"against": TEACHER, "reverse": True}]
VALUES["focal"] += [{"target": 1, "gamma": 0.5}, {"target": 2, "gamma": 0}, {"labels": [0, 1, 0.5]}]
VALUES["focal"] += [{"target": 1, "label_smoothing": 0.1, "class_weights": [1, 2, 3]}]
VALUES["logsumexp"] += [{"coefficients": [1, -1, 1]}, {"coefficients": [0.5, 0, -3]}]
CASES = [(name, options) for name, several in VALUES.items() for options in several]
COTANGENT = {"softmax": [1.0, -2.0, 0.5], "log-softmax": [1.0, -2.0, 0.5], "logsumexp": [3.0]}
OF_PRODUCTS = [(name, {"cotangent": COTANGENT[name]}) for name in PRODUCTS]
OF_PRODUCTS += [("logsumexp", {"cotangent": [3.0], "coefficients": [1, -1, 1]})]
GRADIENTS = [(name, options) for name, options in CASES if name in LOSSES and (options or name == "entropy")]
ENTERING = {"plain": {}, "hot": {"temperature": 0.3}, "both": {"softcap": 5.0, "temperature": 3.0}}
METHODS = {"eval": smcli.evaluate, "grad": smcli.gradient}
ALL = [("eval", *case) for case in CASES] + [("grad", *case) for case in [*GRADIENTS, *OF_PRODUCTS]]


def test_every_quantity_loss_and_product_is_defined():
    plain = {q.name for q in quantities.QUANTITIES.values()} - {"gradient", "vjp"}
    assert set(definitions.VALUES) == plain
    assert set(definitions.GRADIENTS) == set(LOSSES)
    assert set(definitions.PRODUCTS) == set(PRODUCTS)
    assert {name for _, name, _ in ALL} == plain - {"jacobian"}  # which test_confirm.py has


def test_what_has_no_definition_is_refused_and_not_passed_over(monkeypatch):
    monkeypatch.setattr(definitions, "VALUES", {})
    with pytest.raises(smcli.UsageError, match="does not recompute entropy"):
        smcli.evaluate(ROW, quantities="entropy", confirm=True)
    monkeypatch.setattr(definitions, "GRADIENTS", {})
    with pytest.raises(smcli.UsageError, match="does not recompute the gradient of entropy"):
        smcli.gradient(ROW, quantities="entropy", confirm=True)
    monkeypatch.setattr(definitions, "PRODUCTS", {})
    with pytest.raises(smcli.UsageError, match="the product with the Jacobian of logsumexp"):
        smcli.gradient(ROW, quantities="logsumexp", cotangent=[1], confirm=True)


def size_of(command, name, options):
    classes = name not in {"logsumexp", "entropy", "kl"} and not (name == "focal" and "target" in options)
    loss = name == "cross-entropy" and options
    return 3 if command == "grad" or (classes and not loss) else 1


@pytest.mark.parametrize("entering", ENTERING)
@pytest.mark.parametrize(("command", "name", "options"), ALL)
def test_it_is_confirmed_by_both(command, name, options, entering):
    for dtype in ("float64", "bfloat16"):
        report = METHODS[command](ROW, quantities=name, dtype=dtype, confirm=True, **options, **ENTERING[entering])
        assert len(report.confirmed.by) == 2
        assert (report.confirmed.values, report.confirmed.conventions) == (size_of(command, name, options), 0)


def changed(text):
    mantissa, e, power = text.partition("e")
    return mantissa[:-1] + str((int(mantissa[-1]) + 1) % 10) + e + power


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize(("command", "name", "options"), ALL)
def test_one_wrong_digit_is_found(monkeypatch, command, name, options, which):
    right = JudgedQuantity._exact

    def wrong(*args):
        texts = right(*args)
        texts[which] = changed(texts[which])
        return texts

    monkeypatch.setattr(JudgedQuantity, "_exact", wrong)
    with pytest.raises(smcli.PrecisionError, match=r"row 0.* is told as the truth, and mpmath .* computes"):
        METHODS[command](ROW, quantities=name, confirm=True, **options)


@pytest.mark.parametrize(("command", "name", "options"), ALL)
def test_a_wrong_zero_and_a_wrong_sign_are_found(monkeypatch, command, name, options):
    for bad in (lambda _: "0", lambda text: text.removeprefix("-") if "-" in text else f"-{text}"):
        right = JudgedQuantity._exact
        with monkeypatch.context() as patch:
            patch.setattr(JudgedQuantity, "_exact", lambda *args, bad=bad, right=right: [bad(t) for t in right(*args)])
            with pytest.raises(smcli.PrecisionError):
                METHODS[command](ROW, quantities=name, confirm=True, **options)


def test_a_wrong_zero_of_a_number_below_every_float_is_found(monkeypatch):
    monkeypatch.setattr(JudgedQuantity, "_exact", lambda *_: ["0", "1"])
    with pytest.raises(smcli.PrecisionError, match="a number that is not 0"):
        smcli.evaluate([1000.0, 2000.0], quantities="softmax", confirm=True)
    monkeypatch.setattr(JudgedQuantity, "_exact", lambda *_: ["0"])
    with pytest.raises(smcli.PrecisionError, match="a number that is not 0"):
        smcli.evaluate([0.0, 5e-324], quantities="kl", against=[0.0, 0.0], confirm=True)


def test_a_wrong_sign_of_a_signed_sum_is_found(monkeypatch):
    assert smcli.evaluate(ROW, quantities="logsumexp", coefficients=[1, -1, 1], confirm=True).confirmed.values == 1
    right = JudgedQuantity.row
    monkeypatch.setattr(JudgedQuantity, "row", lambda *args: replace(right(*args), sign=1.0))
    with pytest.raises(
        smcli.PrecisionError, match=r"the sign of row 0: 1 is told as the truth, and mpmath .* computes -1"
    ):
        smcli.evaluate(ROW, quantities="logsumexp", coefficients=[1, -1, 1], confirm=True)


@pytest.mark.parametrize("digits", [5, 17, 40])
def test_a_perplexity_and_its_mean(monkeypatch, digits):
    options = {"target": [0, 1, 2], "quantities": "cross-entropy", "reduction": "perplexity", "digits": digits}
    rows = [ROW, [800.0, 0.0, -800.0], [3.0, 3.0, 3.0]]
    report = smcli.compare(rows, confirm=True, class_weights=[0.5, 2, 1], **options)
    assert report.confirmed.values == 5  # three losses, their mean, the perplexity
    masked = smcli.compare([[0.0, -np.inf, 0.0]], confirm=True, **{**options, "target": 1})
    assert (masked.confirmed.values, masked.confirmed.conventions) == (3, 0)  # all infinite, and so defined
    right = reduce._truth
    for place, what in ((1, "the reduced cross-entropy"), (4, "the mean cross-entropy")):

        def told(*args, place=place):
            known = list(right(*args))
            known[place] = changed(known[place])
            return tuple(known)

        with monkeypatch.context() as patch:
            patch.setattr(reduce, "_truth", told)
            with pytest.raises(smcli.PrecisionError, match=what):
                smcli.compare(rows, confirm=True, **options)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("name", "options"), GRADIENTS)
def test_reductions_of_every_loss_and_their_gradients(name, options, reduction):
    rows = [ROW, [-2.0, 0.5, 0.25]]
    more = {"quantities": name, "reduction": reduction, "confirm": True, **options}
    report = smcli.evaluate(rows, **more)
    each = size_of("eval", name, options)
    assert report.confirmed.values == 2 * each + 1
    assert smcli.gradient(rows, **more).confirmed.values == 6


CONVENTIONS = [
    ("sigmoid", [np.nan, np.inf, -np.inf, 1.0], {}, (2, 2)),
    ("log-sigmoid", [np.nan, np.inf, -np.inf, 1.0], {}, (2, 2)),
    ("bce", [np.nan, np.inf, -np.inf, 1.0], {"labels": [0, 1, 1, 0]}, (2, 2)),
    ("focal", [np.nan, np.inf, -np.inf, 1.0], {"labels": [0, 1, 1, 0]}, (2, 2)),
    ("entropy", [0.0, -np.inf, -np.inf, 1.0], {}, (1, 0)),
    ("entropy", [-np.inf] * 4, {}, (0, 1)),
    ("kl", [0.0, -np.inf, 1.0, 2.0], {"against": [0, -np.inf, 3, 1]}, (1, 0)),
    ("kl", [0.0, -np.inf, 1.0, 2.0], {"against": [0, 1, 3, 1]}, (1, 0)),  # infinite by its definition
    ("kl", [0.0, -np.inf], {"against": [-np.inf, 1]}, (1, 0)),
    ("kl", [0.0, 1.0], {"against": [-np.inf, -np.inf]}, (0, 1)),
    ("focal", [0.0, -np.inf, 1.0, 2.0], {"target": 1}, (1, 0)),
    ("focal", [0.0, -np.inf, -np.inf, -np.inf], {"target": 0}, (1, 0)),
    ("logsumexp", [0.0, 0.0, -np.inf, 1.0], {"coefficients": [1, -1, 1, 0]}, (1, 0)),  # log 0
    ("logsumexp", [0.0, 1.0, np.inf, 1.0], {"coefficients": [1, -1, 0, 3]}, (0, 1)),
]


@pytest.mark.parametrize(("name", "row", "options", "counts"), CONVENTIONS)
def test_conventions_are_counted_as_such(name, row, options, counts):
    report = smcli.evaluate(row, quantities=name, confirm=True, **options)
    assert (report.confirmed.values, report.confirmed.conventions) == counts
    if name in LOSSES:
        report = smcli.gradient(row, quantities=name, confirm=True, **options)
        assert report.confirmed.values + report.confirmed.conventions == len(row)
        if counts[1] in {0, 2}:
            assert report.confirmed.conventions == counts[1]
    report = smcli.evaluate(row, quantities=name, confirm=True, temperature=0, **options)
    assert report.confirmed.conventions >= 1 and report.confirmed.values == 0


SIZES = st.sampled_from([1e-300, 1e-30, 1e-3, 1.0, 30.0, 700.0, 1e5])
PLAIN = st.builds(lambda x, s: x * s, st.floats(-1, 1), SIZES)
LOGIT = st.one_of(
    PLAIN, PLAIN, PLAIN, st.sampled_from([0.0, -0.0, 1.0, -np.inf, 88.5, -1e300, -1e308, 5e-324, -800.0, -720.0])
)
ROWS = st.lists(LOGIT, min_size=2, max_size=5)


def nudged(row, which, by):
    def moved(x):
        return max(x + by * abs(x), -1.7e308) if x > -np.inf else x

    return [min(moved(x), 1.7e308) if i == which % len(row) else x for i, x in enumerate(row)]


@settings(max_examples=10, deadline=None, derandomize=True)
@given(ROWS, st.integers(0, 4), st.sampled_from([0.0, 2.0**-52, 1e-9, 0.1, 3.0]), st.booleans(), st.data())
@example([0.0, 0.0, -1e5], 2, 2.0**-52, False, None)
@example([0.0, -1e300], 1, 0.1, True, None)
@example([0.0, 0.0, -800.0], 2, 1e305, False, None)
@example([4.416522094251628e-162, 0.0, 0.0, 0.0], 0, 0.0, False, None)
def test_every_quantity_of_random_rows(row, which, by, capped, data):
    """Masked, huge, tiny and tied logits; teachers that nearly agree; signed sums that nearly cancel."""
    more = {"confirm": True, "dtype": "float64"} | ({"temperature": 0.7} if capped else {})
    n = len(row)
    factors = st.lists(st.sampled_from([1, -1, 0, 0.5, -2]), min_size=n, max_size=n)
    signs = [1.0, -1.0, 0.5, -1.0, 2.0][:n] if data is None else data.draw(factors)
    labels = [0.0, 1.0, 0.5, 1.0, 0.0][:n]
    target = {"target": which % n}
    options = {
        "entropy": [{}],
        "kl": [{"against": nudged(row, which, by)}, {"against": nudged(row, which, by), "reverse": True}],
        "focal": [{"gamma": 2, **target}, {"gamma": 0.5, **target}, {"gamma": 2, "labels": labels}],
        "sigmoid": [{}],
        "log-sigmoid": [{}],
        "bce": [{"labels": labels}],
        "logsumexp": [{"coefficients": signs}],
        "cross-entropy": [target],
    }
    for name, several in options.items():
        for one in several:
            agree(smcli.evaluate, row, name, {**one, **more})
            if name in LOSSES:
                agree(smcli.gradient, row, name, {**one, **more})
    for name, cotangent in (("softmax", signs), ("log-softmax", signs), ("logsumexp", [2.0])):
        agree(smcli.gradient, row, name, {"cotangent": cotangent, **more})
    agree(smcli.gradient, row, "logsumexp", {"coefficients": signs, "cotangent": [2.0], **more})


def agree(command, row, name, options):
    try:
        assert command(row, quantities=name, **options).confirmed
    except smcli.PrecisionError as error:
        if "is not settled by" not in str(error):  # the truth itself, which says that it does not know
            raise


WRONG_ONCE = [  # truths of fast tiers that a second opinion found wrong
    ("entropy", [0.0, 0.0, -1e5], {}, "-8.9073739132734328e-43426"),
    ("kl", [0.0, 0.0, -800.0], {"against": [0, 0, -1e308], "reverse": True}, "-9.1696864604442181e-41"),
    ("kl", [0.0, -800.0], {"against": [0, -1e308], "reverse": True}, "-3.6678745841776873e-40"),
    ("focal", [-1e300, 0.0], {"target": 0}, "-1"),
]


@pytest.mark.parametrize(("name", "row", "options", "first"), WRONG_ONCE)
def test_terms_below_every_float_count_where_what_they_multiply_is_large(name, row, options, first):
    report = smcli.gradient(row, quantities=name, confirm=True, **options)
    exact = report.to_dict()["rows"][0]["results"][0]["exact"]
    assert len(report.confirmed.by) == 2 and exact[0] == first


@pytest.mark.parametrize("told", ["0", "5", "1e-300"])
def test_a_wrong_size_by_any_factor_is_found_at_once(monkeypatch, told):
    monkeypatch.setattr(JudgedQuantity, "_exact", lambda *_: ["1", told])
    with pytest.raises(smcli.PrecisionError, match=r"index 1: .* is told as the truth"):
        smcli.evaluate([0.0, -1e15], quantities="softmax", confirm=True)
