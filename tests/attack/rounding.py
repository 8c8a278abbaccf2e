"""Differential attack on the methods: each value, bit for bit, against an emulation that rounds step by step.

python tests/attack/rounding.py --problems 5000 --seed 1
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from random import Random
from typing import Any

import command
from definition import FORMATS, rounded
from emulation import METHODS, Case, Machine, reduced, values
from problems import Problem, draw, flat

import smcli
from smcli.errors import SmcliError


def attack(seed: int, many: int) -> tuple[Counter[str], list[str]]:
    """Some random problems; the counts, and what was wrong."""
    rng, count, wrong = Random(seed), Counter[str](), []
    while count["problems"] < many:
        state = rng.getrandbits(48)
        try:
            one(Random(state), count)
        except SmcliError as error:
            count["refused"] += 1
            if not any(
                words in error.message for words in ("is 0 in", "beyond", "the perplexity is e to", "is not settled by")
            ):
                wrong.append(f"{state}: {error.message}")
        except AssertionError as error:
            wrong.append(f"{state}: {error}")
    return count, wrong


def one(rng: Random, count: Counter[str]) -> None:
    """Compare all methods on one problem."""
    problem = draw(rng)
    if len(problem.rows[0].x) > 12:
        return
    keywords: dict[str, Any] = dict(problem.keywords)
    inner = keywords.get("compute", problem.dtype)
    order = rng.choice(("pairwise", "sequential", "compensated"))
    keywords |= {"sum": order}
    accumulate = inner
    if rng.random() < 0.3:
        accumulate = keywords["accumulate"] = rng.choice(list(FORMATS))
    m = Machine(inner, accumulate, order)
    call = smcli.gradient if problem.is_derivative else smcli.compare
    if problem.quantities is not None:
        keywords["quantities"] = problem.quantities
    document = call(problem.logits, methods=list(METHODS), **keywords).to_dict()  # type: ignore[union-attr]
    said = f"{problem.quantity} of {problem.logits}, {keywords}"
    losses: dict[str, list[float]] = {}
    for r, given in enumerate(document["rows"]):
        (result,) = given["results"]
        for told in result["methods"]:
            due = _due(problem, r, told["method"], m, keywords)
            losses.setdefault(told["method"], []).extend(due)
            found = [float(v) for v in flat(told["values"])]
            last = [rounded(v, problem.dtype) for v in due]
            _compare(found, last, f"{told['method']}: {said}, row {r}")
            count[f"values of {told['method']}"] += len(found)
    if problem.reduction != "none" and not problem.is_derivative:
        (told_of,) = document["summary"]["reduced"].values()
        for told in told_of["methods"]:
            divisor = float(1 / problem.factor) if problem.factor else 0.0
            total = reduced(losses[told["method"]], problem.reduction, divisor, m)
            _compare([float(told["values"][0])], [rounded(total, problem.dtype)], f"reduced {told['method']}: {said}")
            count["reductions"] += 1
    count["problems"] += 1
    count[problem.quantity] += 1


def _due(problem: Problem, r: int, method: str, m: Machine, keywords: dict[str, Any]) -> list[float]:
    zero = problem.quantity in {"cross-entropy", "bce", "kl", "focal", "gradient"}
    found = values(case_of(problem, r, method, m, keywords), problem.rows[r].x, m)
    return [0.0] * len(found) if zero and problem.ignored[r] else found


def case_of(problem: Problem, r: int, method: str, m: Machine, keywords: dict[str, Any]) -> Case:
    """What one method is to compute of one row."""
    row = problem.rows[r]
    targets, labels = keywords.get("target"), keywords.get("labels")
    own = None if labels is None else labels[r] if isinstance(labels[0], list) else labels
    return Case(
        method,
        problem.quantity,
        y=None if own is None else [rounded(v, problem.dtype) for v in own],
        target=None if targets is None else max(targets[r], 0),
        smoothing=keywords.get("label_smoothing", 0.0),
        weights=None
        if "class_weights" not in keywords
        else [rounded(w, problem.dtype) for w in keywords["class_weights"]],
        z_loss=rounded(keywords.get("z_loss", 0.0), m.dtype),
        kind=row.kind,
        temperature=rounded(keywords.get("temperature", 1.0), m.dtype),
        factor=float(problem.factor) if problem.reduction != "none" else 1.0,
        teacher=row.teacher,
        reverse=row.reverse,
        cotangent=row.cotangent,
        vjp_of=row.vjp_of,
        softcap=row.softcap,
        gamma=row.gamma,
        signed=row.signed,
    )


def _compare(found: list[float], due: list[float], what: str) -> None:
    same = [a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(found, due, strict=True)]
    if not all(same):
        i = same.index(False)
        raise AssertionError(f"{what}: value {i} is {found[i]!r}, and step by step {due[i]!r}")


if __name__ == "__main__":
    sys.exit(command.run(attack, __doc__))
