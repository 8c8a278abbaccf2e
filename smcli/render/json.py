"""The JSON document that scripts rely on."""

from __future__ import annotations

import json
from typing import Any

SUFFIXES = (".json",)


def render(thing: Any, _style: object) -> str:
    """One document on one line, valid JSON without nan and infinity."""
    return json.dumps(thing.to_dict(), ensure_ascii=False, allow_nan=False) + "\n"
