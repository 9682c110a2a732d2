"""Thin days: a known truth, a plain loop, and how often 90 % ranges hold, with their width."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from tradewind.errors import BadInputError
from tradewind.methods.expect import Expect
from tradewind.methods.thin import HALF, PRIOR, is_thin, thin_ratio, thin_total


def drawn(rng: np.random.Generator, days: int, orders: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw money and orders a day; an order is worth 30 on average, within about half of that either way."""
    under = rng.poisson(orders, days).astype(float)
    over = np.array([30 * np.exp(rng.normal(0, 0.5, int(count)) - 0.125).sum() for count in under])
    return over, under


def test_days_are_thin_where_one_in_twenty_has_nothing_after_it() -> None:
    rng = np.random.default_rng(0)
    assert is_thin(rng.random(200) < 0.9)
    assert is_thin(rng.random(200) < 0.05)
    assert not is_thin(rng.random(200) < 0.99)


def test_a_season_or_a_shop_that_closed_is_not_thin() -> None:
    days = np.arange(300)
    assert not is_thin((days < 100) | (days > 200))
    assert not is_thin(days < 250)
    assert not is_thin(days > 250)
    assert not is_thin(days < 0)


@pytest.mark.parametrize(("rate", "length"), [(0.1, 28), (0.5, 7), (2.0, 28)])
def test_totals_of_thin_days_are_what_they_are_on_average(rate: float, length: int) -> None:
    """A shop of few orders a day, each worth about 30: robust levels foresee a hundredth of it, or a quarter more."""
    rng = np.random.default_rng(3)
    held, middle, truth, width = [], 0.0, 0.0, 0.0
    for _ in range(40):
        over, _ = drawn(rng, 154 + length, rate)
        past, total = over[:154], over[154:].sum()
        found = thin_total(Expect(origins=0, draws=100)(past, length), past)
        assert found.mid.sum() == pytest.approx(found.total.mid)
        assert (found.low <= found.mid).all()
        assert (found.mid <= found.high).all()
        held.append(found.total.low <= total <= found.total.high)
        middle, truth = middle + found.total.mid, truth + 30 * rate * length
        width += found.total.high - found.total.low
    assert np.mean(held) >= 0.85
    assert middle == pytest.approx(truth, rel=0.25)
    exact = 2 * 1.645 * 30 * math.sqrt(rate * length * math.exp(0.25)) * 40
    assert width < 2 * exact


def test_days_that_are_not_thin_keep_what_was_expected() -> None:
    rng = np.random.default_rng(4)
    past, _ = drawn(rng, 100, 20)
    found = Expect(origins=0, draws=100)(past, 7)
    assert thin_total(found, past) is found
    some = past * (rng.random(100) < 0.5)
    some[3] = -1
    found = Expect(origins=0, draws=100)(some, 7)
    assert thin_total(found, some) is found


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
