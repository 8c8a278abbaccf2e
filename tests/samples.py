"""What several test files make: files of arrays, rows that go wrong, the outcome of a command."""

import io
import json
import struct
from fractions import Fraction
from functools import partial

import flint
import numpy as np
import pytest

from smcli import quantities, read
from smcli.cli.app import run
from smcli.read._parse import parse
from smcli.read.text import line_and_column

INF = float("inf")


def precision(bits=None):
    """A fixture for all tests of a file: Arb computes with so many bits, and afterwards as before."""

    @pytest.fixture(autouse=True)
    def precise():
        before = flint.ctx.prec
        flint.ctx.prec = bits or before
        yield
        flint.ctx.prec = before

    return precise


def ball(x):
    """A number as a point of Arb's, exactly."""
    return flint.arb(flint.fmpq(x.numerator, x.denominator)) if isinstance(x, Fraction) else flint.arb(float(x))


def from_text(text, where, *, axis=None):
    """The rows of a text, as a file of it has them."""
    return read._filled(parse(text, partial(line_and_column, where)).batch(where, axis), where)


def derivatives_only(method):
    """Whether a method has no forward pass of its own."""
    return not any(method.defines(name) for name in quantities.values())


def npy(array, **how):
    """What numpy.save writes."""
    stream = io.BytesIO()
    np.save(stream, array, **how)
    return stream.getvalue()


def npz(save=np.savez, **arrays):
    """What numpy.savez writes."""
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def tensors(**entries):
    """A .safetensors file: dtype, shape and bytes of each tensor."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for key, (dtype, shape, part) in entries.items():
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def outcome(capsys, *words):
    """The exit code of a command, and what it said on both streams."""
    code = run(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


def hostile(rng, size):
    """Rows of every kind that goes wrong: far apart, far from 0, masked, tiny, huge, flat, at the thresholds."""
    kind = rng.integers(10)
    if kind == 0:
        return rng.normal(0, 5, size)
    if kind == 1:
        return rng.normal(0, 300, size)
    if kind == 2:
        return rng.normal(0, 1, size) * 10.0 ** rng.integers(-5, 5) + rng.choice([0, -100, 100, -700, 700, 1e4])
    if kind == 3:
        return rng.integers(-20, 20, size).astype(float)
    if kind == 4:
        return np.full(size, rng.choice([0, 9, -104, -745, 89, 710, -9.0, 5.5]))
    if kind == 5:
        return rng.choice([0, -INF, 1, 2, 40, -800], size).astype(float)
    if kind == 6:
        return np.concatenate([[0], -rng.exponential(50, size - 1)])
    if kind == 7:
        return rng.choice([0, INF, 1, -INF, np.nan, 5], size).astype(float)
    if kind == 8:
        return rng.normal(0, 1, size) + rng.choice([-8, -9.5, -87, -100, -740, 10, 11, 88])
    return rng.normal(0, 1, size) * 10.0 ** rng.integers(-300, 300)
