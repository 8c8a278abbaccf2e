"""The list of methods says of each what it computes, and is right."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import smcli
from smcli import methods
from smcli.cli.app import run
from smcli.quantities import QUANTITIES
from smcli.report.catalogue import Catalogue

DOCUMENT = Catalogue().to_dict()
NAMES = ["naive", "shifted", "fused", "logspace", "explse", "log1p", "online", "online-lazy", "two-pass", "base2",
         "base2-fma", "base2-nofma", "clipped", "bceloss", "epsilon", "bregman", "bigfloat", "fd"]  # fmt: skip
OPTIONS = {
    "bce": {"labels": [0.25, 0.75, 0]}, "gradient": {"labels": [0.25, 0.75, 0]}, "vjp": {"cotangent": [1, 0, 2]},
    "kl": {"against": [3, 1, 0.5]}, "focal": {"target": 0},
}  # fmt: skip


def test_every_method_is_listed_with_what_it_says_of_itself():
    assert DOCUMENT["schema"] == "smcli.methods/1"
    assert [m["method"] for m in DOCUMENT["methods"]] == list(methods.everything())
    for m in DOCUMENT["methods"]:
        assert (
            m["summary"].endswith(".")
            and m["source"]
            and m["backward"] in {"composed", "fused", "autograd", "differences", "none"}
        )
        assert (m["backward"] == "differences") == (m["method"] == "fd")
        assert m["quantities"] and (m["available"] or "install" in m["reason"])


OPTIONS = {
    "bce": {"labels": [0.25, 0.75, 0]},
    "gradient": {"labels": [0.25, 0.75, 0]},
    "kl": {"against": [2, 1, 2]},
    "focal": {"target": 1},
    "vjp": {"cotangent": [1, 2, 4]},
}


@pytest.mark.parametrize("entry", DOCUMENT["methods"], ids=lambda m: m["method"])
def test_it_computes_just_what_is_listed(entry):
    if not entry["available"]:
        pytest.skip(entry["reason"])
    for quantity, q in QUANTITIES.items():
        options = dict(OPTIONS.get(quantity, {}))
        command = smcli.gradient if q.is_derivative else smcli.compare
        if quantity == "gradient" and entry["method"] == "bregman":
            options = {"quantities": "kl", **OPTIONS["kl"]}
        if command is smcli.compare:
            options["quantities"] = quantity
        if quantity in entry["quantities"]:
            (result,) = command([1, 2, 3], methods=entry["method"], **options).rows[0].results
            (m,) = result.methods
            assert result.quantity == quantity and np.isfinite(m.values).all() and (m.rel < 1e-5).all()
        else:
            with pytest.raises(smcli.UsageError):
                command([1, 2, 3], methods=entry["method"], **options)


def test_the_command_shows_the_same(capsys):
    assert run(["methods", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == DOCUMENT
    assert run(["methods"]) == 0
    table = capsys.readouterr().out
    assert all(m["method"] in table and m["summary"] in table for m in DOCUMENT["methods"])


@pytest.mark.parametrize(
    "first",
    [
        "smcli.analyse",
        "smcli.methods.bigfloat",
        "smcli.cli.grad",
    ],
)
def test_the_order_does_not_depend_on_what_is_imported_first(first):
    code = f"import {first}; from smcli import methods; print(*methods.formulas())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == NAMES
