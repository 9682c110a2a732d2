"""Ratios of thin days: a known truth, a plain loop, and how often 90 % ranges hold, with their width."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from tradewind.errors import BadInputError
from tradewind.methods.thin import HALF, PRIOR, is_thin, thin_ratio


def drawn(rng: np.random.Generator, days: int, orders: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw money and orders a day; an order is worth 30 on average, within about half of that either way."""
    under = rng.poisson(orders, days).astype(float)
    over = np.array([30 * np.exp(rng.normal(0, 0.5, int(count)) - 0.125).sum() for count in under])
    return over, under


def test_days_are_thin_where_one_in_twenty_has_nothing() -> None:
    full, some = np.ones(100), np.ones(100)
    some[:6] = 0
    assert not is_thin(full, full)
    assert is_thin(some, full)
    assert is_thin(full, some)


def test_a_ratio_that_is_always_the_same_is_known() -> None:
    under = np.tile([0.0, 2.0, 1.0, 0.0, 5.0], 20)
    found = thin_ratio(30 * under, under, ahead=10, length=7)
    assert found is not None
    assert found.mid == pytest.approx(30)
    assert found.low < 30 < found.high < 30.001


def test_it_is_what_a_plain_loop_gives() -> None:
    over, under = drawn(np.random.default_rng(1), 100)
    found = thin_ratio(over, under, ahead=12, length=7)
    weights = [0.5 ** ((99 - n) / HALF) for n in range(100)]
    size = sum(w * u for w, u in zip(weights, under, strict=True))
    ratio = sum(w * o for w, o in zip(weights, over, strict=True)) / size
    days = sum(w * (o - ratio * u) ** 2 for w, o, u in zip(weights, over, under, strict=True)) / size
    squares = count = below = 0.0
    for run in range(14):
        inside = range(2 + 7 * run, 9 + 7 * run)
        weight = sum(weights[n] for n in inside) / 7
        squares += weight * sum(over[n] - ratio * under[n] for n in inside) ** 2
        below += weight * sum(under[n] for n in inside)
        count += weight
    variance = (PRIOR * days + count * squares / below) / (PRIOR + count)
    wide = student.ppf(0.95, PRIOR + count - 1) * math.sqrt(variance * (1 / 12 + 1 / size))
    assert found is not None
    assert (found.mid, found.low, found.high) == pytest.approx((ratio, ratio - wide, ratio + wide))


@pytest.mark.parametrize("length", [7, 30])
def test_nine_in_ten_ranges_hold_and_are_no_wider_than_need_be(length: int) -> None:
    """The narrowest that could hold is that of orders whose spread is known: 1.645 of their deviations."""
    rng = np.random.default_rng(length)
    held, widths = [], []
    for _ in range(400):
        over, under = drawn(rng, 150 + length)
        orders = under[150:].sum()
        if not orders:
            continue
        found = thin_ratio(over[:150], under[:150], ahead=orders, length=length)
        assert found is not None
        held.append(found.low <= over[150:].sum() / orders <= found.high)
        widths.append((found.high - found.low) / (2 * 1.645 * 30 * math.sqrt(math.expm1(0.25)) / math.sqrt(orders)))
    assert 0.86 < np.mean(held) < 0.95
    assert np.mean(widths) < 1.3


def test_what_says_nothing_is_not_told() -> None:
    none, some = np.zeros(50), np.ones(50)
    assert thin_ratio(none, some, 5, 7) is None
    assert thin_ratio(some, none, 5, 7) is None
    assert thin_ratio(some, some, 0, 7) is None
    with pytest.raises(BadInputError, match="do not fit"):
        thin_ratio(some, some[:9], 5, 7)
    with pytest.raises(BadInputError, match="cannot be told"):
        thin_ratio(some, -some, 5, 7)
