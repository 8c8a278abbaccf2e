"""Values that are handed in as a method: nothing is done to them."""

from dataclasses import replace

import numpy as np
import pytest

from smcli import methods
from smcli.errors import InputError
from smcli.methods.outputs import output
from smcli.model import Problem
from smcli.numbers.arithmetic import Arithmetic
from smcli.numbers.formats import FORMATS

F = FORMATS["float64"]
BLOCK = Problem("float64", np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0], [5.0, 5.0, 5.0]]))


def ran(method, problem):
    return methods.run(method, problem, "softmax", Arithmetic(F, F)).values


def test_an_output_is_a_method():
    values = np.arange(9.0).reshape(3, 3)
    out = output(values)
    assert out.name == "output" and out.defines("softmax") and out.defines("gradient") and not out.reason
    assert np.array_equal(ran(out, BLOCK), values)
    part = replace(BLOCK, logits=BLOCK.logits[[2, 0]], rows=np.array([2, 0]))
    assert np.array_equal(ran(out, part), values[[2, 0]])


def test_rows_may_have_different_lengths():
    ragged = output([np.array([0.5]), np.array([1.0, 2.0, 3.0])])
    one = replace(BLOCK, logits=BLOCK.logits[1:2], rows=np.array([1]))
    assert ran(ragged, one).tolist() == [[1.0, 2.0, 3.0]]
    with pytest.raises(InputError, match="1 values for row 0, where softmax of it has 3"):
        ran(ragged, replace(one, rows=np.array([0])))


def test_temperature_and_ignored_rows_change_nothing():
    values = np.arange(9.0).reshape(3, 3)
    p = replace(BLOCK, temperature=2.0, softcap=3.0, ignored=np.array([True, False, False]))
    assert np.array_equal(ran(output(values), p), values)
