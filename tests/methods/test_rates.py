"""Rates of units: known truth, a likelihood maximised by another hand, a dense grid, coverage with width, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import gamma, nbinom

from tradewind.errors import BadInputError
from tradewind.methods.rates import Rates


def drawn(seed: int, n: int, shape: float = 3.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    rate = 0.003 * np.exp(x @ [0.5, -0.3]) * rng.gamma(shape, 1 / shape, n)
    exposure = rng.gamma(0.5, 2_000, n)
    return rng.poisson(rate * exposure), exposure, x, rate


def test_rates_are_found_and_better_than_plain_ones():
    events, exposure, x, rate = drawn(1, 4_000)
    found = Rates()(events, exposure, x)
    assert found.prior == pytest.approx(3, rel=0.2)
    assert np.log(found.like).std() == pytest.approx(np.hypot(0.5, 0.3), rel=0.1)
    plain = events / np.maximum(exposure, 1e-9)
    assert np.mean((found.mean - rate) ** 2) < 0.3 * np.mean((np.minimum(plain, 1) - rate) ** 2)


def test_agrees_with_a_likelihood_maximised_by_another_hand():
    events, exposure, x, _ = drawn(2, 4_000)
    seen = exposure > 0

    def unlikely(theta: np.ndarray) -> float:
        shape, mean = np.exp(theta[0]), exposure * np.exp(theta[1] + x @ theta[2:])
        return -float(nbinom.logpmf(events[seen], shape, (shape / (shape + mean))[seen]).sum())

    plain = minimize(unlikely, np.array([0.0, -6.0, 0.0, 0.0]), method="Nelder-Mead",
                     options={"maxiter": 4_000, "xatol": 1e-6, "fatol": 1e-6})  # fmt: skip
    found = Rates()(events, exposure, x)
    assert found.prior == pytest.approx(np.exp(plain.x[0]), rel=0.01)
    assert found.like == pytest.approx(np.exp(plain.x[1] + x @ plain.x[2:]), rel=0.01)
    assert found.mean == pytest.approx((events + found.prior) / (exposure + found.prior / found.like), rel=0.01)
    assert found.shape == pytest.approx(events + found.prior, rel=0.05)


@pytest.mark.parametrize(
    ("events", "exposure"),
    [
        ([3], [10]), ([2, 3, 4], [10, 10, 10]), ([30, 50], [10, 10]), ([0, 1, 0, 2, 1], [5] * 5),
        ([0, 2, 9, 4, 1, 12], [100, 150, 200, 250, 90, 400]),
    ],
)  # fmt: skip
def test_agrees_with_a_dense_grid_over_all_that_is_not_known(events, exposure):
    """All rates of like units and all coefficients of variation, weighted by prior and likelihood, without Laplace."""
    spread = np.linspace(0.01, 4.47, 400)[:, None]
    like = np.exp(np.log(sum(events) / sum(exposure)) + np.linspace(-9, 9, 800))
    shape = spread**-2
    pairs = list(zip(events, exposure, strict=True))
    logs = np.log(spread) - spread**2 + sum(nbinom.logpmf(y, shape, shape / (shape + t * like)) for y, t in pairs)
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    found = Rates()(events, exposure)
    for n, (y, t) in enumerate(pairs):
        told, precision = y + shape, t + shape / like
        mean = (weight * told / precision).sum()
        square = (weight * (told + told**2) / precision**2).sum()
        assert found.mean[n] == pytest.approx(mean, rel=0.03)
        assert found.shape[n] == pytest.approx(mean**2 / (square - mean**2), rel=0.08)


def test_few_events_are_never_told_as_if_many():
    assert Rates()([3], [10]).shape == pytest.approx(3, rel=0.02)  # one unit has nothing but its own events
    assert (Rates()([2, 3, 4], [10, 10, 10]).shape < 9).all()  # all there is are nine events


@pytest.mark.parametrize(
    ("units", "each", "spread"), [(3, 3, 0.5), (20, 3, 0.5), (100, 3, 0.3), (30, 1, 0.5), (3, 20, 0.7)]
)
def test_intervals_cover_where_units_or_events_are_few(units, each, spread):
    rng, shape, inside, widths = np.random.default_rng(units + each), spread**-2, [], []
    for _ in range(max(20, 900 // units)):
        rate = rng.gamma(shape, 1 / shape, units)
        events = rng.poisson(each * rate)
        found = Rates()(events, np.full(units, each))
        low, high = gamma.ppf([[0.05], [0.95]], found.shape, scale=found.mean / found.shape)
        inside += ((low <= rate) & (rate <= high)).tolist()
        ends = gamma.ppf([[0.05], [0.95]], events + shape, scale=1 / (each + shape))
        widths.append(np.mean(high - low) / np.mean(ends[1] - ends[0]))
    assert 0.87 <= np.mean(inside) <= 0.94
    assert np.mean(widths) < 1.5  # of those of one who knows how units are distributed


def test_intervals_cover():
    inside, count, widths = 0, 0, []
    for seed in range(20):
        events, exposure, x, rate = drawn(100 + seed, 400)
        found = Rates()(events, exposure, x)
        low, high = gamma.ppf([[0.05], [0.95]], found.shape, scale=found.mean / found.shape)
        inside += int(((low <= rate) & (rate <= high)).sum())
        count += len(rate)
        widths.append(float(np.mean((high - low) / found.like)))
    assert 0.88 <= inside / count <= 0.92
    assert np.mean(widths) < 1.75  # of a gamma of shape 3, before any event, it would be 1.8


def test_without_exposure_a_unit_gets_what_is_like_it():
    found = Rates()([0, 3, 40], [0, 100, 1_000])
    assert found.mean[0] == pytest.approx(found.like[0])


def test_units_that_are_all_alike():
    rng = np.random.default_rng(3)
    exposure = np.full(400, 500.0)
    found = Rates()(rng.poisson(0.02 * exposure), exposure, np.ones((400, 1)))
    assert found.mean == pytest.approx(0.02, rel=0.15)


def test_rates_that_are_next_to_nothing_are_told():
    found = Rates()([3, 5], [1e20, 1e20])
    assert (found.mean > 2e-20).all()
    assert (found.mean < 6e-20).all()
    assert found.like / 4e-20 == pytest.approx(1, rel=0.2)
    wide = Rates()([30, 3, 0, 0], [1.0, 1.0, 1e15, 1e16], [[0.0], [0.0], [35.0], [37.0]])
    assert (wide.mean[2:] < 1e-14).all()


def test_order_units_of_exposure_and_of_columns_do_not_matter():
    events, exposure, x, _ = drawn(4, 60)
    found, order = Rates()(events, exposure, x), np.random.default_rng(5).permutation(60)
    assert Rates()(events[order], exposure[order], x[order]).mean == pytest.approx(found.mean[order], rel=1e-6)
    scaled = Rates()(events, exposure * 1e6, x * [1e9, 1e-9] + [1e9, 0])
    assert scaled.mean * 1e6 == pytest.approx(found.mean, rel=1e-5)
    assert scaled.shape == pytest.approx(found.shape, rel=1e-5)


@pytest.mark.parametrize(
    ("events", "exposure", "x"),
    [
        ([1, 2], [1], None), ([1, -1], [1, 1], None), ([1, np.nan], [1, 1], None), ([1, 1], [1, -1], None),
        ([1, 1], [0, 0], None), ([0, 0], [1, 1], None), ([], [], None), ([1, 1], [1, 1], [[1.0]]),
        ([1, 1], [1, 1], [[1.0], [np.inf]]), ([5, 0, 0], [0, 10, 10], None), (3, 10, None), ("a", [1], None),
        (["a"], [1], None), ([1, 1], [1, 1], [["a"], ["b"]]), ([1e300], [1e-300], None),
    ],
)  # fmt: skip
def test_bad_input(events, exposure, x):
    with pytest.raises(BadInputError):
        Rates()(events, exposure, x)


def test_bad_settings():
    for widest, narrowest in ((2, 1), (1, np.inf), (np.nan, 1), ("a", 1), ([1], 2)):
        with pytest.raises(BadInputError):
            Rates(widest, narrowest)
