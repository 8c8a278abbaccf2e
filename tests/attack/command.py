"""The command line of an attack: so many problems from a seed on, in so many processes; what was wrong, and the counts."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SHARE = 500  # problems of one seed; a process takes one share after the other


def run(attack: Callable[[int, int], tuple[Counter[str], list[str]]], about: str | None) -> bool:
    """Read the command line, share the work and print the counts; whether something was wrong.

    `attack` takes a seed and how many problems, and returns the counts and what was wrong.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    total, wrong, begin = Counter[str](), 0, time.monotonic()
    with ProcessPoolExecutor(asked.jobs) as pool:
        shares = [
            pool.submit(attack, asked.seed * 1_000_003 + k, min(SHARE, asked.problems - start))
            for k, start in enumerate(range(0, asked.problems, SHARE))
        ]
        for done in as_completed(shares):
            count, found = done.result()
            total += count
            wrong += len(found)
            for one in found:
                print(one, flush=True)
            print(f"{total['problems']:,} problems, {wrong} wrong", end="\r", file=sys.stderr, flush=True)
    for name, number in sorted(total.items(), key=lambda item: -item[1]):
        print(f"{number:>12,}  {name}")
    print(f"{wrong} wrong, {time.monotonic() - begin:.0f} s")
    return wrong > 0
