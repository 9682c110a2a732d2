"""Picking under budgets: never over a budget, never two of a menu, and near the best that trying everything finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.arena.purse import pick
from tradewind.study import Party

PAYERS = (Party.MERCHANT, Party.PLATFORM)
amounts = st.floats(0, 10).map(lambda value: round(value, 2))
settings_of = st.lists(st.tuples(st.integers(0, 3), st.floats(-5, 20), amounts, amounts), min_size=1, max_size=8)


def best(menu: list[int], value: list[float], costs: list[tuple[float, ...]], limits: tuple[float, ...]) -> float:
    """Try every choice there is."""
    found = 0.0
    for some in itertools.product((False, True), repeat=len(menu)):
        taken = [n for n, yes in enumerate(some) if yes]
        if len({menu[n] for n in taken}) == len(taken) and all(
            sum(costs[n][p] for n in taken) <= limits[p] + 1e-9 for p in range(2)
        ):
            found = max(found, sum(value[n] for n in taken))
    return found


@settings(deadline=None, max_examples=80)
@given(settings_of, st.tuples(amounts, amounts))
def test_what_is_picked_fits_and_is_near_the_best(given_: list, limits: tuple[float, float]) -> None:
    menu, value, *costs = (list(column) for column in zip(*given_, strict=True))
    cost = {payer: np.array(column) for payer, column in zip(PAYERS, costs, strict=True)}
    taken = pick(np.array(menu), np.array(value), cost, dict(zip(PAYERS, limits, strict=True)))
    assert len({menu[n] for n in taken}) == len(taken)
    for payer, limit in zip(PAYERS, limits, strict=True):
        assert cost[payer][taken].sum() <= limit + 1e-6
    got = sum(value[n] for n in taken)
    most = best(menu, value, list(zip(*costs, strict=True)), limits)
    assert got <= most + 1e-6
    assert got >= most - 2 * max(*value, 0) - 1e-6, "at most one menu for each budget is lost to rounding"


def test_what_costs_nothing_and_is_worth_something_is_taken() -> None:
    taken = pick(np.array([0, 1, 1]), np.array([1.0, 2.0, 3.0]), {Party.MERCHANT: np.zeros(3)}, {Party.MERCHANT: 0.0})
    assert taken.tolist() == [0, 2]


@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_what_is_worth_nothing_is_left(value: float) -> None:
    assert not len(pick(np.array([0]), np.array([value]), {Party.MERCHANT: np.zeros(1)}, {Party.MERCHANT: 5.0}))
