"""Differences in differences: known truth, a second implementation, and coverage with width."""

import numpy as np
import pytest
import statsmodels.api as sm

from tradewind.errors import BadInputError
from tradewind.methods.difference import Difference


def market(rng, effect=0.0, groups=256, customers=4000):
    """Customers in random groups; a quarter is reached and gains `effect` of what it would have made."""
    group = rng.integers(0, groups, customers)
    reached = rng.random(customers) < 0.25
    size = rng.gamma(2.0, 20.0, customers) * np.where(reached, 2.0, 1.0)
    before = rng.poisson(size)
    after = rng.poisson(size * 1.1 * np.where(reached, 1 + effect, 1.0))
    sums = [
        np.bincount(group, weights=values * who, minlength=groups)
        for who in (reached, ~reached)
        for values in (before, after)
    ]
    return sums, customers * 0.25 * 2.0 * 40.0 * 1.1 * effect  # of the population that the customers are drawn from


def test_recovers_a_known_effect():
    sums, truth = market(np.random.default_rng(1), effect=0.2, customers=100_000)
    assert Difference()(*sums).mid == pytest.approx(truth, rel=0.05)


def test_common_growth_is_no_effect():
    reached, rest = np.linspace(1, 5, 40), np.linspace(2, 9, 40)
    found = Difference()(reached, reached * 1.3, rest, rest * 1.3)
    assert found.mid == pytest.approx(0, abs=1e-9)
    assert found.high - found.low == pytest.approx(0, abs=1e-9)


def test_agrees_with_a_log_linear_regression():
    """The ratio of ratios is the interaction of a saturated Poisson regression (statsmodels)."""
    sums, _ = market(np.random.default_rng(2), effect=0.1)
    totals = np.array([values.sum() for values in sums])
    design = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 1, 0]], float)
    fit = sm.GLM(totals, design, family=sm.families.Poisson()).fit()
    expected = totals[1] - totals[1] / np.exp(fit.params[3])
    assert Difference()(*sums).mid == pytest.approx(expected, rel=1e-6)


def test_intervals_cover_as_often_as_they_say():
    held, widths, errors = 0, [], []
    runs = 300
    for seed in range(runs):
        sums, truth = market(np.random.default_rng(seed), effect=0.1, customers=1500)
        found = Difference(draws=300)(*sums)
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        errors.append(found.mid - truth)
    assert 0.86 <= held / runs <= 0.94
    assert np.mean(widths) == pytest.approx(2 * 1.645 * np.std(errors), rel=0.15)


def test_intervals_of_few_groups_cover_nearly_as_often_as_they_say():
    """A resample of ten groups varies less than they do: its plain quantiles held the truth 85 times in a hundred."""
    held, runs = 0, 600
    for seed in range(runs):
        sums, truth = market(np.random.default_rng(seed), effect=0.1, groups=10, customers=400)
        found = Difference(draws=300)(*sums)
        held += found.low <= truth <= found.high
    assert 0.87 <= held / runs <= 0.94


def test_same_seed_same_answer():
    sums, _ = market(np.random.default_rng(3))
    assert Difference(seed=5)(*sums) == Difference(seed=5)(*sums)


@pytest.mark.parametrize(
    "sums",
    [
        ([1.0] * 9,) * 4,
        ([1.0] * 20, [1.0] * 20, [1.0] * 20, [1.0] * 19),
        ([np.nan] * 20, [1.0] * 20, [1.0] * 20, [1.0] * 20),
        ([1.0] * 20, [1.0] * 20, [0.0] * 20, [1.0] * 20),
        (1.0, 1.0, 1.0, 1.0),
        (["much"] * 20, [1.0] * 20, [1.0] * 20, [1.0] * 20),
    ],
)
def test_bad_input_is_one_clear_error(sums):
    with pytest.raises(BadInputError):
        Difference()(*sums)
