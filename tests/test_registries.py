"""One place to touch: a toy format, method, finding and output format work everywhere once they are registered."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import smcli
from smcli import findings, methods, render
from smcli.cli.app import run
from smcli.findings import Hit, Rule
from smcli.model import Severity
from smcli.numbers import formats


def said(capsys, *words, code=0):
    assert run(list(words)) == code
    return capsys.readouterr().out


@pytest.fixture
def toy_format(monkeypatch):
    toy = formats.Format("float6_e3m2", bits=6, p=3, emin=-2, max=28.0, has_inf=False)
    monkeypatch.setitem(formats.FORMATS, toy.name, toy)


class Halved:
    """Subtract the maximum in two halves."""

    def softmax(self, x, o):
        half = o.mul(o.max(x), o.const(0.5))
        e = o.exp(o.sub(o.sub(x, half), half))
        return o.div(e, o.sum(e))


@pytest.fixture
def toy_method(monkeypatch):
    methods.everything()
    monkeypatch.setitem(methods.REGISTRY, "halved", methods.Formula("halved", "nobody", "composed", Halved()))


def lucky(ev):
    """A logit is 7."""
    yield Hit(ev.x == 7, "{n} of them", "enjoy it")


@pytest.fixture
def toy_finding(monkeypatch):
    findings.everything()
    monkeypatch.setitem(findings.RULES, "SM998", Rule("SM998", "lucky-logit", Severity.WARNING, "row", lucky))


@pytest.fixture
def toy_output(monkeypatch, tmp_path):
    (tmp_path / "toy.py").write_text(
        '"""A toy."""\nSUFFIXES = (".toy",)\ndef pieces(thing, style):\n    yield "a toy\\n"\n', encoding="utf-8"
    )
    monkeypatch.setattr(render, "__path__", [*render.__path__, str(tmp_path)])
    render.names.cache_clear()
    yield
    render.names.cache_clear()
    sys.modules.pop("smcli.render.toy", None)
    vars(render).pop("toy", None)


def test_a_format(capsys, toy_format):
    doc = json.loads(said(capsys, "compare", "1", "2", "100", "-d", "float6_e3m2", "-m", "all", "-f", "json"))
    assert doc["dtype"] == "float6_e3m2" and "SM902" in doc["summary"]["findings"]
    values = np.array(json.loads(said(capsys, "compare", "1", "2", "-d", "float6_e3m2", "-m", "shifted", "-f", "json"))
                      ["rows"][0]["results"][0]["methods"][0]["values"])  # fmt: skip
    assert np.array_equal(formats.get("float6_e3m2").round(values), values)
    assert json.loads(said(capsys, "limits", "-f", "json"))["formats"][-1]["stall"] == 8
    assert "float6_e3m2" in said(capsys, "limits") and "float6_e3m2" in said(capsys, "compare", "1", "2", "-d", "all")
    assert said(capsys, "grad", "1", "2", "-d", "float6_e3m2")
    assert smcli.exact([1, 2], dtype="float6_e3m2") == smcli.exact([1, 2])
    run(["compare", "1", "-d", "float6_e3m3"])
    assert "did you mean float6_e3m2?" in capsys.readouterr().err


def test_a_method(capsys, toy_method):
    doc = json.loads(said(capsys, "compare", "1", "2", "-m", "halved,naive", "--trace", "-f", "json"))
    softmax, loss = doc["rows"][0]["results"]
    assert [m["method"] for m in softmax["methods"]] == ["halved", "naive"] and softmax["methods"][0]["steps"]
    assert [m["method"] for m in loss["methods"]] == ["naive"]
    for words in (["methods"], ["methods", "-f", "json"], ["compare", "1", "2", "-m", "all"]):
        assert "halved" in said(capsys, *words)
    assert said(capsys, "eval", "1", "2", "-m", "halved", "-q", "softmax")
    run(["compare", "1", "-m", "halvd"])
    assert "did you mean halved?" in capsys.readouterr().err


def test_a_finding(capsys, toy_finding):
    (f,) = [f for f in smcli.compare([7, 1, 7]).findings if f.code == "SM998"]
    assert (f.name, f.at, f.count, f.message, f.remedy) == ("lucky-logit", (0, 2), 2, "2 of them", "enjoy it")
    doc = json.loads(said(capsys, "compare", "7", "1", "-f", "json"))
    assert doc["summary"]["findings"]["SM998"] == 1
    assert "SM998 lucky-logit" in said(capsys, "compare", "7", "1")
    assert said(capsys, "compare", "7", "1", "--fail-on", "lucky-logit", code=1)
    assert said(capsys, "compare", "8", "1", "--fail-on", "SM998")
    assert "A logit is 7." in said(capsys, "explain", "sm998") and "SM998" in said(capsys, "explain")


def test_an_output_format(capsys, toy_output, tmp_path):
    assert said(capsys, "compare", "1", "2", "-f", "toy") == said(capsys, "limits", "-f", "toy") == "a toy\n"
    assert said(capsys, "methods", "-o", str(tmp_path / "x.toy")) == ""
    assert (tmp_path / "x.toy").read_text() == "a toy\n"
    run(["compare", "1", "-f", "tooy"])
    assert "did you mean toy?" in capsys.readouterr().err
