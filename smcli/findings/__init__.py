"""What can be found: rules are put to evidence, and what they find is data until somebody asks for its message.

A rule is one function in a module beside this one; its docstring is the page of its code.
"""

from __future__ import annotations

import re

from smcli.errors import UsageError, nearest
from smcli.findings.evidence import Evidence, RowEvidence, RunEvidence, TruthEvidence
from smcli.findings.rules import RULES, Hit, Rule, choice, everything, examine, rule
from smcli.findings.wording import say

__all__ = (
    "RULES", "Evidence", "Hit", "RowEvidence", "Rule", "RunEvidence", "TruthEvidence", "choice", "everything", "examine",
    "get", "rule", "say", "search",
)  # fmt: skip


def get(code: str) -> Rule:
    """Look a rule up by its code, in any case, or by its name.

    Raises:
        UsageError: there is none; the hint names the nearest.
    """
    rules = everything()
    key = code.strip().upper()
    by_name = {r.name: r for r in rules.values()}
    if key in rules:
        return rules[key]
    if code.strip().lower() in by_name:
        return by_name[code.strip().lower()]
    near = nearest(key, rules, 0.85) or nearest(code.lower(), by_name)
    raise UsageError(f"there is no finding {code!a}", f"{near}`smcli explain` lists them all")


def search(words: str) -> list[Rule]:
    """The rules whose pages hold all of these words, the best first: by name, by summary, by how often.

    A word also matches the beginning of a longer one; case does not matter.
    """
    wanted = [w for w in re.split(r"[\s,]+", words.lower()) if w]
    if not wanted or any(re.fullmatch(r"sm\d+", w) and w.upper() not in everything() for w in wanted):
        return []  # what looks like a code is no word of a page

    def rank(r: Rule) -> int:
        score = 0
        for word in wanted:
            begins = re.compile(rf"(?<![a-z0-9]){re.escape(word)}")
            of_word = (
                100 * (word == r.code.lower())
                + 50 * len(begins.findall(r.name))
                + 20 * len(begins.findall(r.summary.lower()))
                + len(begins.findall(r.page.lower()))
            )
            if not of_word:
                return 0
            score += of_word
        return score

    ranked = sorted(((rank(r), r) for r in everything().values()), key=lambda one: -one[0])
    return [r for score, r in ranked if score]
