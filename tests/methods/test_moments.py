"""Moments of arms and their contrast: sums add up, and known tests come out of them."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from tradewind.errors import BadInputError
from tradewind.methods.moments import Moments, Verdict, contrast, enough, labels, tellable
from tradewind.study import Estimate


def shoppers(seed, units=3000):
    """Two covariates of very different size, and an outcome that leans on both; half of them treated."""
    rng = np.random.default_rng(seed)
    before = rng.gamma(1.0, 50.0, (units, 2)) * [1, 1e4]
    treated = rng.permutation(units) < units // 2
    outcome = before @ [0.5, 1e-5] + rng.normal(0, 30, units) + 3.0 * treated
    return outcome, before, treated


def two(outcome, treated, before=None, **more):
    """Moments of the control and of the treated."""
    return [
        Moments.of(outcome[who], None if before is None else before[who], **{k: v[who] for k, v in more.items()})
        for who in (~treated, treated)
    ]


def test_moments_of_parts_add_up_to_those_of_the_whole():
    outcome, before, _ = shoppers(1)
    whole = Moments.of(outcome, before)
    parts = Moments.of(outcome[:7], before[:7]) + Moments.of(outcome[7:1000], before[7:1000])
    parts = parts + Moments.of(outcome[1000:], before[1000:])
    assert (parts.count, parts.units) == (whole.count, whole.units)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.scatter, whole.scatter, rtol=1e-9, atol=1e-6)


def test_moments_from_the_sums_of_an_engine():
    outcome, before, _ = shoppers(2)
    rows = np.column_stack([np.ones(len(outcome)), outcome, before])
    found, whole = Moments.from_sums(len(rows), rows.sum(axis=0), rows.T @ rows), Moments.of(outcome, before)
    np.testing.assert_allclose(found.mean, whole.mean)
    np.testing.assert_allclose(found.scatter, whole.scatter, rtol=1e-8, atol=1e-4)
    assert found.outcome == pytest.approx(outcome.mean())


def test_scaled_is_the_outcome_in_another_unit():
    outcome, before, treated = shoppers(3)
    as_is, by_day = contrast(*two(outcome, treated, before)), contrast(*two(outcome / 28, treated, before))
    scaled = contrast(*(each.scaled(1 / 28) for each in two(outcome, treated, before)))
    assert scaled.effect == pytest.approx(by_day.effect)
    assert scaled.error == pytest.approx(as_is.error / 28)


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_own_spread_is_the_test_of_welch(share):
    rng = np.random.default_rng(4)
    outcome, treated = rng.gamma(0.3, 20, 400), rng.permutation(400) >= 400 * share
    found = contrast(*two(outcome, treated), spread="own")
    peer = stats.ttest_ind(outcome[treated], outcome[~treated], equal_var=False)
    assert (found.p_value, found.freedom) == (pytest.approx(peer.pvalue), pytest.approx(peer.df))
    low, high = peer.confidence_interval(0.9)
    assert (found.interval(0.9).low, found.interval(0.9).high) == (pytest.approx(low), pytest.approx(high))


def test_the_larger_spread_is_never_below_either_rule():
    """An arm that varies less than both together takes their variance; the other keeps its own."""
    rng = np.random.default_rng(5)
    calm, wild = rng.normal(0, 1, 50), rng.normal(0, 5, 950)
    arms = Moments.of(calm), Moments.of(wild)
    joint = (calm.var(ddof=1) * 49 + wild.var(ddof=1) * 949) / 998
    assert contrast(*arms).error == pytest.approx(np.sqrt(joint / 50 + wild.var(ddof=1) / 950))
    assert contrast(*arms).error > contrast(*arms, spread="own").error


def test_common_slope_is_the_analysis_of_covariance():
    outcome, before, treated = shoppers(6)
    found = contrast(*two(outcome, treated, before), spread="own")
    peer = sm.OLS(outcome, sm.add_constant(np.column_stack([treated, before]))).fit()
    assert found.effect == pytest.approx(peer.params[1], rel=1e-9)
    assert found.error == pytest.approx(peer.bse[1], rel=1e-3)
    plain = contrast(*two(outcome, treated), spread="own")
    assert found.reduction == pytest.approx(1 - (found.error / plain.error) ** 2)


def test_own_slopes_are_the_interacted_regression():
    """Lin's regression with HC2 errors, and what the covariates' own chance adds where the slopes differ."""
    outcome, before, _ = shoppers(7, units=20_000)
    treated = np.random.default_rng(7).random(len(outcome)) < 0.8
    outcome = outcome + 0.3 * treated * before[:, 0]
    found = contrast(*two(outcome, treated, before), spread="own", slope="own")
    centred = before - before.mean(axis=0)
    peer = sm.OLS(outcome, sm.add_constant(np.column_stack([treated, centred, centred * treated[:, None]])))
    fit = peer.fit(cov_type="HC2")
    differ = fit.params[4:] @ np.cov(centred.T) @ fit.params[4:] / len(outcome)
    assert found.effect == pytest.approx(fit.params[1], rel=1e-3)
    assert found.error == pytest.approx(np.sqrt(fit.bse[1] ** 2 + differ), rel=2e-3)


def test_clusters_are_the_cluster_robust_regression():
    rng = np.random.default_rng(8)
    sizes = rng.integers(1, 60, 40)
    cluster = np.repeat(np.arange(40), sizes)
    treated = (np.arange(40) % 2 == 0)[cluster]
    outcome = rng.gamma(1, 20, 40)[cluster] + rng.gamma(0.2, 50, len(cluster))
    found = contrast(*two(outcome, treated, cluster=cluster), spread="own")
    peer = sm.OLS(outcome, sm.add_constant(treated.astype(float)))
    fit = peer.fit(cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False})
    assert found.effect == pytest.approx(fit.params[1])
    assert found.error == pytest.approx(fit.bse[1] * np.sqrt(20 / 19))


def test_weights_are_the_weighted_regression():
    rng = np.random.default_rng(9)
    outcome, chance = rng.gamma(0.3, 20, 500), rng.uniform(0.1, 0.9, 500)
    treated = rng.permutation(500) < 250
    found = contrast(*two(outcome, treated, propensity=chance), spread="own")
    fit = sm.WLS(outcome, sm.add_constant(treated.astype(float)), weights=1 / chance).fit(cov_type="HC0")
    assert found.effect == pytest.approx(fit.params[1])
    assert found.error == pytest.approx(fit.bse[1] * np.sqrt(250 / 249))


def test_a_ratio_over_clusters_is_that_of_sums():
    """A metric such as GMV per order: the weight is the orders of a customer; the jackknife agrees."""
    rng = np.random.default_rng(10)
    orders = rng.poisson(2, 600) + 1.0
    spent = orders * rng.gamma(2, 10, 600)
    treated = np.arange(600) < 300

    def of(who):
        rows = np.column_stack([orders, spent])[who]
        return Moments.from_sums(len(rows), rows.sum(axis=0), rows.T @ rows, units=int(orders[who].sum()))

    found = contrast(of(~treated), of(treated), spread="own")
    ratio = [spent[who].sum() / orders[who].sum() for who in (~treated, treated)]
    assert found.effect == pytest.approx(ratio[1] - ratio[0])
    variance = 0.0
    for who in (~treated, treated):
        without = (spent[who].sum() - spent[who]) / (orders[who].sum() - orders[who])
        variance += ((without - without.mean()) ** 2).sum() * (299 / 300)
    assert found.error == pytest.approx(np.sqrt(variance), rel=0.01)


def test_a_constant_covariate_tells_nothing_and_does_no_harm():
    outcome, before, treated = shoppers(11)
    padded = np.column_stack([before, np.full(len(outcome), 0.1), before[:, 0] * 2])
    found, plain = contrast(*two(outcome, treated, padded)), contrast(*two(outcome, treated, before))
    assert (found.effect, found.error) == (pytest.approx(plain.effect), pytest.approx(plain.error))


def test_what_an_interval_says():
    assert Verdict.of(Estimate(1, 0.1, 2)) is Verdict.GAIN
    assert Verdict.of(Estimate(-1, -2, -0.1)) is Verdict.HARM
    assert Verdict.of(Estimate(1, 0, 2)) is Verdict.OPEN


@pytest.mark.parametrize(
    ("control", "treated", "level", "told"),
    [(1, 2, 0.9, False), (2, 2, 0.9, False), (3, 3, 0.9, True), (3, 3, 0.95, False), (1, 10**6, 0.9, False),
     (2, 10**6, 0.99, True), (0, 0, 0.9, False)],
)  # fmt: skip
def test_how_few_can_tell_anything(control, treated, level, told):
    assert tellable(control, treated, level) is told
    if not told:
        with pytest.raises(BadInputError, match="nothing can be told"):
            enough(control, treated, level)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Moments.of([]),
        lambda: Moments.of([[1.0, 2.0]]),
        lambda: Moments.of([1.0, np.nan]),
        lambda: Moments.of([1.0, 2.0], before=[1.0]),
        lambda: Moments.of([1.0, 2.0], before=[1.0, np.inf]),
        lambda: Moments.of([1.0, 2.0], propensity=[0.5, 0.0]),
        lambda: Moments.of([1.0, 2.0], propensity=[3.0, 2.0]),
        lambda: Moments.of([1.0, 2.0], propensity=[0.5]),
        lambda: Moments.from_sums(2, [3.0, 1.0], np.ones((2, 2))),
        lambda: Moments.from_sums(2, [2.0, 1.0], [[2.5, 1.0], [1.0, 1.0]]),
        lambda: Moments.from_sums(2, [3.0, 1.0], np.ones((2, 2)), units=0),
        lambda: Moments.of([1.0, 2.0], cluster=["a", None]),
        lambda: Moments.of([1.0, 2.0], cluster=["a"]),
        lambda: Moments.from_sums(0, [0.0, 0.0], np.zeros((2, 2))),
        lambda: Moments.from_sums(2, [2.0, 1.0], np.zeros((3, 3))),
        lambda: Moments(1, 1, np.ones(3), np.ones((2, 2))),
        lambda: Moments(1, 1, np.array([1.0, np.nan]), np.ones((2, 2))),
        lambda: Moments.of([1.0, 2.0]) + Moments.of([1.0], before=[1.0]),
        lambda: contrast(Moments.of([1.0]), Moments.of([1.0, 2.0])),
        lambda: contrast(Moments.of([0.1] * 9), Moments.of([0.1] * 5)),
        lambda: contrast(Moments.of([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]), Moments.of([1.0, 2.0])),
        lambda: contrast(*[Moments.of(x := np.arange(9.0), x)] * 2),
        lambda: contrast(*[Moments.of(np.arange(3.0), np.eye(3)[:, :2])] * 2),
        lambda: labels(np.array([1.0, np.nan]), 2, "cluster"),
        lambda: labels(["a", ""], 2, "cluster"),
    ],
)
def test_bad_input_is_one_clear_error(make):
    with pytest.raises(BadInputError):
        make()


def test_a_slope_in_common_costs_a_small_holdout_little():
    """Five columns of 1,000 units: unless the slope is charged to the 20 of the holdout alone, adjusting pays."""
    held, adjusted, plain = [], [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        before = rng.normal(size=(1000, 5))
        outcome = 0.5 * before[:, 0] + np.sqrt(0.75) * rng.normal(size=1000)
        found = contrast(Moments.of(outcome[:20], before[:20]), Moments.of(outcome[20:], before[20:])).interval(0.9)
        bare = contrast(Moments.of(outcome[:20]), Moments.of(outcome[20:])).interval(0.9)
        held.append(found.low <= 0 <= found.high)
        adjusted.append(found.high - found.low)
        plain.append(bare.high - bare.low)
    assert 0.86 <= np.mean(held) <= 0.96
    assert np.median(adjusted) < 0.92 * np.median(plain)  # 0.87 where the slope is known


def test_arms_of_unequal_weights_tell_less():
    alike = Moments.of([1, 2, 3, 4], propensity=[0.5] * 4)
    assert alike.effective == 4
    assert Moments.of([1, 2, 3, 4], propensity=[0.5, 0.5, 0.5, 0.1]).effective == pytest.approx(8**2 / 28)


def test_ways_to_draw_as_counted():
    for control, treated in ((2, 5), (3, 3), (2, 40), (5, 7), (4, 300)):
        for level in (0.5, 0.9, 0.95, 0.999, 1 - 1e-9):
            assert tellable(control, treated, level) == (2 / math.comb(control + treated, control) <= 1 - level + 1e-12)
    assert tellable(2**49, 2**49, 0.9)


@pytest.mark.parametrize("values", [[1e200, 1.0], np.ma.array([1.0, 2.0], mask=[True, False]), [1 + 2j, 1.0], ["a", 1]])
def test_what_cannot_be_reckoned_with(values):
    with pytest.raises(BadInputError, match=r"too large|not a number"):
        Moments.of(values)
