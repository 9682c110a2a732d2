"""What is usual: a known truth, a second implementation, and how often 90 % ranges hold, with their width."""

from __future__ import annotations

import time

import numpy as np
import pytest
from statsmodels.tsa.holtwinters import SimpleExpSmoothing

from tradewind.errors import BadInputError
from tradewind.methods import usual as module
from tradewind.methods.usual import Usual

WEEK = np.array([0.9, 0.95, 1.0, 1.05, 1.2, 1.4, 0.5])
LENGTHS = (7, 28, 31)


def series(kind: str, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw daily values of one kind."""
    day, noise = np.arange(count), rng.standard_normal(count)
    season = 1000 * WEEK[day % 7]
    if kind == "stable":
        return 1000 * np.exp(0.1 * noise)
    if kind == "weekly":
        return season * np.exp(0.12 * noise)
    if kind == "trending":
        return season * np.exp(rng.choice([-1, 1]) * 0.002 * day + 0.12 * noise)
    if kind == "drifting":
        return season * np.exp(np.cumsum(0.02 * rng.standard_normal(count)) + 0.1 * noise)
    if kind == "shifting":
        steps = np.where(rng.random(count) < 1 / 60, 0.25 * rng.standard_normal(count), 0.0)
        return season * np.exp(np.cumsum(steps) + 0.12 * noise)
    if kind == "heavy":
        return season * np.exp(0.08 * rng.standard_t(3, count))
    return rng.poisson(0.6, count) * rng.lognormal(3, 0.6, count)


def held(kind: str, length: int, history: int, cases: int = 120) -> tuple[float, float]:
    """Share of totals that the range holds, and its mean width over the mean total."""
    usual, inside, width, size = Usual(), [], [], []
    for case in range(cases):
        values = series(kind, np.random.default_rng([77, case, length, history]), history + length)
        found = usual(values[:history], length)
        assert found is not None
        total = values[history:].sum()
        inside.append(found.low <= total <= found.high)
        width.append(found.high - found.low)
        size.append(total)
    return float(np.mean(inside)), float(np.mean(width) / np.mean(size))


@pytest.mark.parametrize("kind", ["stable", "weekly", "trending", "drifting", "shifting", "heavy", "intermittent"])
def test_ranges_hold_as_often_as_they_say(kind: str) -> None:
    """Over lengths and histories 0.85 to 0.97; each alone within what 120 cases can tell of 0.8 to 1."""
    found = {(n, t): held(kind, n, t) for n in LENGTHS for t in (120, 400)}
    shares = [share for share, _ in found.values()]
    assert 0.85 <= np.mean(shares) <= 0.97, found
    assert min(shares) >= 0.76, found
    longest = np.mean([share for (_, history), (share, _) in found.items() if history == 400])
    assert 0.84 <= longest <= 0.97, found


def test_ranges_are_hardly_wider_than_need_be() -> None:
    """With a stable level the range of a month is near that of one who knows the law: 3.29 · 0.1 / √28."""
    _, width = held("stable", 28, 700, cases=60)
    assert width < 1.6 * 3.29 * 0.1 / np.sqrt(28)


def test_a_known_total_is_found() -> None:
    values = 1000 * np.tile(WEEK, 30)
    for length in (1, 3, 7, 30):
        found = Usual()(values, length)
        truth = np.resize(np.roll(values, -len(values) % 7), length).sum()
        assert found is not None
        assert found.mid == pytest.approx(truth, rel=0.01)
        assert found.low <= truth * 1.0001
        assert found.high >= truth * 0.9999


def test_a_level_that_shifts_is_followed() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([np.full(100, 100.0), np.full(60, 200.0)]) * np.exp(0.05 * rng.standard_normal(160))
    found = Usual()(values, 7)
    assert found is not None
    assert found.mid == pytest.approx(1400, rel=0.06)


def test_one_speed_is_exponential_smoothing() -> None:
    """With one speed, no noise that lasts and no weekday, the filter settles to exponential smoothing with its gain."""
    speed = 0.1
    gain = (np.sqrt(speed**2 + 4 * speed) - speed) / 2
    values = 500 + np.cumsum(np.random.default_rng(3).standard_normal(300)) + 3 * np.sin(np.arange(300) * 1.7)
    ones, cells = np.ones(300), np.array([[speed, 0.0]])
    middles, deviations = module._walk(values, ones, False, 14, cells, np.zeros(1))
    smoothed = SimpleExpSmoothing(values[13:], initialization_method="known", initial_level=values[7:14].mean())
    level = smoothed.fit(smoothing_level=gain, optimized=False).level
    assert middles[-1] == pytest.approx(14 * level[-1], rel=2e-3)  # weekdays are drawn almost, not wholly, to one
    assert deviations[-1] > 0


def test_it_is_a_plain_loop() -> None:
    """A second implementation of the filter with one cell, in the open."""
    rng = np.random.default_rng(8)
    count, length, speed, memory = 90, 10, 0.02, 0.35
    values = 300 * np.exp(0.1 * rng.standard_normal(count))
    middles, _ = module._walk(values, np.ones(count), False, length, np.array([[speed, memory]]), np.zeros(1))
    factor, mean, met, rough = np.ones(7), np.ones(7), np.zeros(7), 0.1
    level = sure = noise = 0.0
    wanted = []
    for t, value in enumerate(values):
        if t >= 14:
            before = sure + speed
            slope = factor[t % 7] - memory * factor[(t - 1) % 7]
            size = slope**2 * before + 1
            miss = value - memory * values[t - 1] - slope * level
            most = module.CLIP * np.sqrt(noise * size)
            miss = np.clip(miss, -most, most)
            level += slope * before / size * miss
            sure = before * (1 - slope**2 * before / size)
            noise += max(1 / (t + 4), 0.02) * (miss**2 / size - noise)
        if t >= 6:
            week = values[t - 6 : t + 1]
            if t == 13:
                level, sure = week.mean(), 1 / 7
                off = [values[d] - factor[d % 7] * level for d in range(14)]
                noise = np.mean(np.square(off)) * (1 - memory**2)
            share, k = value * 7 / week.sum(), t % 7
            met[k] += 1
            mean[k] += (share - mean[k]) / met[k]
            rough += max(1 / (t - 4), 0.02) * ((share - mean[k]) ** 2 - rough)
            if met.min() > 0:
                between = ((mean - mean.mean()) ** 2).sum() / 6
                factor = 1 + max(0.0, 1 - rough / met.min() / between) * (mean - mean.mean())
        if t >= 13:
            ahead = [factor[(t + 1 + n) % 7] * level for n in range(length)]
            echo = [memory ** (n + 1) * (value - factor[t % 7] * level) for n in range(length)]
            wanted.append(sum(ahead) + sum(echo))
    assert middles[13:] == pytest.approx(np.array(wanted), rel=1e-9)
    assert np.isnan(middles[:13]).all()


def test_a_ratio_is_a_sum_over_a_sum() -> None:
    rng = np.random.default_rng(4)
    inside, usual = [], Usual()
    for _ in range(80):
        under = rng.poisson(400 * np.tile(WEEK, 30)).astype(float)
        over = rng.binomial(under.astype(int), 0.04).astype(float)
        found = usual(over[:180], 28, under=under[:180])
        assert found is not None
        assert found.mid == pytest.approx(0.04, rel=0.1)
        inside.append(found.low <= over[180:208].sum() / under[180:208].sum() <= found.high)
    assert np.mean(inside) >= 0.85


@pytest.mark.parametrize(("orders", "length"), [(1, 28), (60, 7), (60, 28)])
def test_refunds_that_begin_weeks_after_sales_are_no_rate_of_nought_for_ever(orders: int, length: int) -> None:
    """An order in twelve comes back, none in the first three weeks: ranges held none, and had no width."""
    usual, held = Usual(), []
    for case in range(60):
        rng = np.random.default_rng([78, case])
        under = rng.poisson(orders, 180 + length).astype(float)
        over = rng.binomial(under.astype(int), 1 / 12).astype(float)
        over[:21] = 0
        found = usual(over[:180], length, under=under[:180])
        assert found is not None
        held.append(found.low <= over[180:].sum() / under[180:].sum() <= found.high)
    assert np.mean(held) >= 0.8


def test_days_that_were_all_alike_at_first_are_not_alike_for_ever() -> None:
    rng = np.random.default_rng(79)
    values = np.concatenate([np.full(14, 100.0), 100 * np.exp(0.3 * rng.standard_normal(30))])
    found = Usual()(values, 7)
    assert found is not None
    assert found.high - found.low > 2 * 1.645 * 30 * np.sqrt(7) * 0.5


def test_different_buyers_are_counted_by_their_windows() -> None:
    """Buyers come back, so that a month has fewer than the sum of its days."""
    rng = np.random.default_rng(6)
    bought = rng.random((400, 208)) < 0.04  # customers by days
    daily = bought.sum(axis=0).astype(float)
    windows = np.array([bought[:, n : n + 28].any(axis=1).sum() for n in range(181)], dtype=float)
    found = Usual()(daily[:180], 28, windows=windows[: 180 - 27])
    assert found is not None
    assert found.low <= windows[180] <= found.high
    assert found.mid == pytest.approx(windows[180], rel=0.1)
    assert found.mid < 0.75 * daily[180:].sum()


def test_units_do_not_matter() -> None:
    values = series("weekly", np.random.default_rng(2), 150)
    one, thousand = Usual()(values, 28), Usual()(values * 1000, 28)
    assert one is not None
    assert thousand is not None
    scaled = one.scaled(1000)
    assert (thousand.mid, thousand.low, thousand.high) == pytest.approx((scaled.mid, scaled.low, scaled.high), rel=1e-9)


def test_what_is_not_known_is_unknown() -> None:
    usual = Usual()
    assert usual(np.full(27, 5.0), 7) is None
    assert usual(np.full(48, 5.0), 28) is None
    assert usual(np.zeros(300), 7) is None  # nothing ever happened
    assert usual(np.concatenate([np.zeros(300), np.full(20, 5.0)]), 7) is None  # it has only just begun
    assert usual(np.full(300, np.nan), 7) is None
    assert usual([], 7) is None
    assert usual(np.full(100, 3.0), 7, under=np.zeros(100)) is None


def test_a_series_that_begins_in_the_middle_is_known_from_there() -> None:
    values = series("weekly", np.random.default_rng(9), 100)
    begun = Usual()(np.concatenate([np.zeros(203), values]), 7)
    assert begun == Usual()(values, 7)


def test_gaps_are_not_zeros() -> None:
    values = series("weekly", np.random.default_rng(9), 200)
    gaps = values.copy()
    gaps[50:61] = np.nan
    found, whole = Usual()(gaps, 7), Usual()(values, 7)
    assert found is not None
    assert whole is not None
    assert found.mid == pytest.approx(whole.mid, rel=0.05)


def test_losses_have_ranges_below_zero_and_sales_never() -> None:
    rng = np.random.default_rng(5)
    lost = Usual()(rng.normal(-20, 60, 200), 7)
    assert lost is not None
    assert lost.low < lost.mid < 0 < lost.high
    rare = Usual()(rng.poisson(0.1, 200).astype(float), 7)
    assert rare is not None
    assert rare.low == 0


def test_it_takes_a_millisecond_or_two() -> None:
    usual = Usual()
    for days, most in ((180, 5e-3), (1000, 15e-3)):  # with room for a busy machine; benchmarks/usual.py measures
        values = series("weekly", np.random.default_rng(days), days)
        usual(values, 28)
        start = time.process_time()
        for _ in range(10):
            usual(values, 28)
        assert (time.process_time() - start) / 10 < most


def test_what_cannot_be_used_is_refused() -> None:
    usual = Usual()
    with pytest.raises(BadInputError, match="probability"):
        Usual(level=1)
    with pytest.raises(BadInputError, match="has days"):
        usual(np.ones(50), 0)
    with pytest.raises(BadInputError, match="finite"):
        usual([1.0, np.inf], 7)
    with pytest.raises(BadInputError, match="denominators do not fit"):
        usual(np.ones(50), 7, under=np.ones(49))
    with pytest.raises(BadInputError, match="windows do not fit"):
        usual(np.ones(50), 7, windows=np.ones(50))
