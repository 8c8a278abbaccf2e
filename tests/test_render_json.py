"""The JSON document in pieces: the same as whole, with or without the faster encoder, in little memory."""

import json
import sys

import numpy as np
import pytest

import smcli
from smcli.document.style import Style
from smcli.render import json as renderer
from smcli.render import text

LONG = renderer.PIECE * 2 + 77
CASES = {
    "row": lambda: smcli.compare([1000, 2000, -np.inf], target=1, trace=True),
    "nan": lambda: smcli.compare([np.nan, np.inf, 1e-300]),
    "batch": lambda: smcli.compare([[1, 2], [1000, 0], [3, 3]], target=[0, 1, -1], ignore_index=-1, reduction="mean"),
    "ragged": lambda: smcli.compare([[1, 2], [3, 4, 5], [6, 7], [8]]),
    "labels": lambda: smcli.compare([[1, 2]], labels=[0.5, 0.5]),
    "jacobian": lambda: smcli.gradient([1, 2, 3]),
    "formats": lambda: smcli.compare([1, 2], dtype="float16,float32", target=0),
    "values": lambda: smcli.evaluate([1, 2, 3], digits=40),
    "long": lambda: smcli.compare(np.linspace(-900, 900, LONG), quantities="softmax", methods="naive,shifted"),
    "many": lambda: smcli.compare(
        np.random.default_rng(0).normal(0, 9, (renderer.PIECE // 4, 5)), quantities="softmax"
    ),
}


@pytest.mark.parametrize("faster", [True, False], ids=["orjson", "json"])
@pytest.mark.parametrize("case", CASES)
def test_the_pieces_are_the_document(monkeypatch, case, faster):
    if not faster:
        monkeypatch.setitem(sys.modules, "orjson", None)
    made = CASES[case]()
    assert json.loads(text(made, "json"), parse_constant=pytest.fail) == made.to_dict()


@pytest.mark.parametrize("case", [c for c in CASES if c not in {"long", "many"}])
def test_short_documents_are_what_python_writes(case):
    made = CASES[case]()
    assert text(made, "json") == json.dumps(made.to_dict(), ensure_ascii=False, allow_nan=False) + "\n"


@pytest.mark.parametrize("case", ["long", "many"])
def test_no_piece_is_long(case):
    sizes = [len(piece) for piece in renderer.pieces(CASES[case](), Style())]
    assert max(sizes) < 1 << 20 and len(sizes) > 10


def test_a_matrix_is_written_row_by_row():
    made = smcli.gradient(np.linspace(0, 1, 150), methods="shifted")
    assert made.rows[0].results[0].size > renderer.PIECE
    document = json.loads(text(made, "json"))
    assert document == made.to_dict() and len(document["rows"][0]["results"][0]["exact"][149]) == 150


@pytest.mark.parametrize("digits", [9, 17, 25])
def test_digits_of_many_rows_are_those_of_each(digits):
    x = np.random.default_rng(1).normal(0, 300, (50, 4))
    x[7] = -np.inf
    made = smcli.compare(x, target=[0] * 49 + [-1], ignore_index=-1, digits=digits, methods="fused")
    together = [q.exact(range(q.size)) for row in made.rows for q in row.results]
    assert together == [q.exact(range(q.size)) for k in range(50) for q in made.rows[k].results]
