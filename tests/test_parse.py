"""Words of the command line: what starts a number is an argument, what an option takes stays its value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcli.cli.parse import numbers_last, takes_next

VALUED = {"-d", "--dtype", "-m", "--method", "--ignore-index", "-t", "--target", "-T", "--temperature", "-i"}
NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(["-1,2", "-inf", "-nan", "-NaN", "-Infinity", "-.5e3", "-0x1p3", "-", "+1", "1;2", "[-1", "-1]"]),
)
OPTIONS = st.one_of(
    st.tuples(st.sampled_from(["--trace", "-v", "--all", "--dtype=float32", "-dfloat16", "--typo", "-vx", "-t0"])),
    st.tuples(st.sampled_from(sorted(VALUED | {"-vt", "-vT"})), st.sampled_from(["-1", "-inf", "--", "-d", "x", "-"])),
)


@given(st.lists(st.one_of(NUMBERS.map(lambda n: (n,)), OPTIONS.map(lambda o: (None, *o)))))
def test_numbers_and_options_keep_their_order(groups):
    words = [word for group in groups for word in group if word is not None]
    numbers = [g[0] for g in groups if g[0] is not None]
    options = [word for g in groups if g[0] is None for word in g[1:]]
    assert numbers_last(words, VALUED) == options + (["--", *numbers] if numbers else [])


@given(st.lists(st.text()))
def test_no_word_is_lost(words):
    out = numbers_last(words, VALUED)
    assert sorted(w for w in out if w != "--") == sorted(w for w in words if w != "--")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["--"], []),
        (["-1"], ["--", "-1"]),
        (["1", "--", "--dtype", "-2"], ["--", "1", "--dtype", "-2"]),
        (["--", "-t", "1"], ["--", "-t", "1"]),
        (["-t", "--", "1"], ["-t", "--", "--", "1"]),
        (["--ignore-index", "-100", "-1"], ["--ignore-index", "-100", "--", "-1"]),
        (["--ignore-index=-100", "-1"], ["--ignore-index=-100", "--", "-1"]),
        (["-vx", "-1"], ["-vx", "--", "-1"]),
        (["-vt", "-1", "-2"], ["-vt", "-1", "--", "-2"]),
        (["-tv", "-1"], ["-tv", "--", "-1"]),
        (["-i", "-"], ["-i", "-"]),
        (["-info"], ["-info"]),
        (["-nano"], ["-nano"]),
        (["-inf,1"], ["--", "-inf,1"]),
    ],
)
def test_tricky_words(words, expected):
    assert numbers_last(words, VALUED) == expected


@pytest.mark.parametrize(
    ("word", "takes"),
    [("-t", True), ("-vt", True), ("-t0", False), ("-tv", False), ("--target", True), ("--target=0", False),
     ("--trace", False), ("-v", False), ("-", False)],
)  # fmt: skip
def test_whether_the_next_word_is_a_value(word, takes):
    assert takes_next(word, VALUED) is takes
