"""Silence: things that are over are told from those that are only rare."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from tradewind.errors import BadInputError
from tradewind.methods.silence import silent


def row(text: str) -> list[bool]:
    return [letter == "x" for letter in text]


@pytest.mark.parametrize(
    ("seen", "weeks"),
    [
        ("xxxxxxxxxxxxx.............", 13),
        ("xxxxxxxxxxxxxxxxxxxxxxxx..", 0),  # 1 in 325
        ("xxxxxxxxxxxxxxxxxxxxxxx...", 3),  # 1 in 2,600
        ("x..x....x...x....x........", 0),  # rare, and not over
        ("xxxxxxxxxxxxxxxxxxxxxxxxxx", 0),
        ("..........................", 0),
    ],
)
def test_what_is_over(seen: str, weeks: int):
    assert silent([row(seen)], np.ones((1, 26), bool)).tolist() == [weeks]


def test_is_the_chance_by_counting():
    draw = np.random.default_rng(1)
    seen = draw.random((400, 20)) < draw.random((400, 1))
    seen &= np.arange(20) < draw.integers(1, 21, (400, 1))
    for each, found in zip(seen, silent(seen, np.ones_like(seen)).tolist(), strict=True):
        last = int(np.flatnonzero(each).max(initial=-1))
        since, times = 19 - last, int(each.sum())
        rare = last >= 0 and comb(20 - since, times) / comb(20, times) < 1e-3
        assert found == (since if rare else 0)


def test_weeks_in_which_nothing_could_be_seen_say_nothing():
    seen = [row("xxxxxxxxxx......")]
    assert silent(seen, [row("xxxxxxxxxx......")]).tolist() == [0]
    assert silent(seen, [row("xxxxxxxxxxxxxxxx")]).tolist() == [6]
    assert silent(seen, [row("xxxxxxxxxx.xxxxx")]).tolist() == [6]


def test_things_that_go_on_are_rarely_told_to_be_over():
    draw = np.random.default_rng(2)
    seen = draw.random((20_000, 26)) < draw.random((20_000, 1))
    assert (silent(seen, np.ones_like(seen)) > 0).mean() < 1e-3


def test_what_counts_as_rare_is_asked():
    assert silent([row("xxxxxxxxxxxxxxxxxxxxxxxx..")], np.ones((1, 26), bool), 0.01).tolist() == [2]


def test_bad_input():
    with pytest.raises(BadInputError, match="do not fit"):
        silent(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(BadInputError, match="out of range"):
        silent(np.ones((2, 3)), np.ones((2, 3)), 1.0)
