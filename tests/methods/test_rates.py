"""Rates of units: known truth, a likelihood maximised by another hand, coverage, bad input."""

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
    events, exposure, x, _ = drawn(2, 500)
    seen = exposure > 0

    def unlikely(theta: np.ndarray) -> float:
        shape, mean = np.exp(theta[0]), exposure * np.exp(theta[1] + x @ theta[2:])
        return -float(nbinom.logpmf(events[seen], shape, (shape / (shape + mean))[seen]).sum())

    plain = minimize(unlikely, np.array([0.0, -6.0, 0.0, 0.0]), method="Nelder-Mead",
                     options={"maxiter": 4_000, "xatol": 1e-6, "fatol": 1e-8})  # fmt: skip
    found = Rates()(events, exposure, x)
    assert found.prior == pytest.approx(np.exp(plain.x[0]), rel=0.03)
    assert found.like == pytest.approx(np.exp(plain.x[1] + x @ plain.x[2:]), rel=0.03)
    assert found.mean == pytest.approx((events + found.prior) / (exposure + found.prior / found.like))


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


@pytest.mark.parametrize(
    ("events", "exposure", "x"),
    [
        ([1, 2], [1], None), ([1, -1], [1, 1], None), ([1, np.nan], [1, 1], None), ([1, 1], [1, -1], None),
        ([1, 1], [0, 0], None), ([0, 0], [1, 1], None), ([], [], None), ([1, 1], [1, 1], [[1.0]]),
        ([1, 1], [1, 1], [[1.0], [np.inf]]),
    ],
)  # fmt: skip
def test_bad_input(events, exposure, x):
    with pytest.raises(BadInputError):
        Rates()(events, exposure, x)


def test_bad_settings():
    with pytest.raises(BadInputError):
        Rates(widest=2, narrowest=1)
