"""Weeks that stand out: peaks and lows of a week or two, and no seasons, steps, trends or chance."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.errors import BadInputError
from tradewind.methods.standout import standout


@pytest.mark.parametrize(
    ("amounts", "out"),
    [
        ([1, 1, 5, 1, 1, 1], [2]),  # a mega campaign
        ([1, 1, 3, 5, 1, 1], [2, 3]),  # of two weeks
        ([1, 3, 1, 1, 5, 1, 1], [1, 4]),  # and another one before it
        ([1, 1, 1, 1, 1, 5], [5]),  # at the end nothing tells that it goes on
        ([1, 1, 1, 1, 3, 5], [4, 5]),
        ([1, 1, 5, 1, 1, 5], [2, 5]),
        ([1, 1, 0.2, 1, 1, 1], [2]),  # a holiday
        ([1, 1, 0.2, 1, 1], [2]),
        ([1, 1, 1, 1, 1, 0.2], []),  # nothing tells that it is over
        ([5, 1, 1, 1], []),  # nor that it came suddenly
        ([1, 1, 2, 2, 2, 2], []),  # a level of its own
        ([1, 1, 2, 2, 2, 1], []),  # a season
        ([2, 2, 2, 1, 1, 1], []),  # what is over
        ([1, 1.2, 1.44, 1.73, 2.07, 2.49], []),  # a trend
        ([1, 5], [1]),
        ([1], []),
        ([], []),
    ],
)
def test_what_stands_out(amounts: list[float], out: list[int]):
    assert np.flatnonzero(standout(amounts)).tolist() == out


def test_finds_what_was_planted_among_weeks_that_vary():
    draw, right = np.random.default_rng(3), []
    for _ in range(500):
        amounts, planted = np.exp(draw.normal(0, 0.08, 26)), np.zeros(26, bool)
        for place in draw.choice([3, 9, 15, 21], draw.integers(0, 4), replace=False).tolist():
            some = slice(place, place + int(draw.integers(1, 3)))
            amounts[some] *= float(draw.choice([0.2, 0.3, 3.0, 6.0]))
            planted[some] = True
        right.append((standout(amounts) == planted).all())
    assert np.mean(right) > 0.99


def test_chance_does_not_stand_out():
    draw = np.random.default_rng(4)
    found = [standout(draw.poisson(20, 26) + 16.0).mean() for _ in range(500)]
    assert np.mean(found) < 0.005


@pytest.mark.parametrize("amounts", [[1.0, 0.0, 2.0], [1.0, np.nan, 2.0], [[1.0, 2.0, 3.0]]])
def test_what_is_no_amount_is_refused(amounts: list[float]):
    with pytest.raises(BadInputError, match="above nought"):
        standout(amounts)
