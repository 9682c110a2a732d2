"""Uplift curves: known truth, brute force and a second definition, ties, the ceiling, and the coverage of intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tradewind.errors import BadInputError
from tradewind.methods.moments import Moments, contrast
from tradewind.methods.uplift_curves import UpliftCurves

# With X uniform, an effect of X and a score that ranks by X: G(p) = p − p²/2.
TRUTH = {"effect": 0.5, "qini": 1 / 12, "auuc": 1 / 3, "autoc": 0.25, "uplift": 0.85, "policy": 0.105, "worth": 1.255}


def trial(rng, units=2000, share=0.5, per=1):
    """A trial whose effect is X; `per` rows share a customer, whose shock is common."""
    customer = np.arange(units) // per
    x = rng.random(units // per + 1)[customer]
    arm = (rng.random(units) < share).astype(int)
    shock = rng.normal(size=units // per + 1)[customer] * (per > 1)
    if per > 1:  # whole customers are treated
        arm = (rng.random(units // per + 1) < share).astype(int)[customer]
    return x, arm, 1 + x * arm + 0.5 * rng.normal(size=units) + shock, customer


def values(found):
    return {
        "effect": found.effect,
        "qini": found.qini.value,
        "auuc": found.auuc.value,
        "autoc": found.autoc.value,
        "uplift": found.uplift[0.3].value,
        "policy": found.policy[0.3].value,
        "worth": found.worth[0.3],
    }


# Known truth.


def test_recovers_closed_forms():
    x, arm, y, _ = trial(np.random.default_rng(1), 200_000, share=0.3)
    found = UpliftCurves()(x**3, arm, y)
    for name, estimate in values(found).items():
        assert estimate.mid == pytest.approx(TRUTH[name], rel=0.03), name
    assert found.gain == pytest.approx(found.shares - found.shares**2 / 2, abs=0.01)


def test_known_propensities_mend_an_uneven_trial():
    rng = np.random.default_rng(2)
    x = rng.random(150_000)
    chance = 0.2 + 0.6 * x
    arm = (rng.random(len(x)) < chance).astype(int)
    y = 2 * x + x * arm + 0.3 * rng.normal(size=len(x))
    fair = UpliftCurves()(x, arm, y, chance)
    assert fair.qini.value.mid == pytest.approx(TRUTH["qini"], rel=0.06)
    assert UpliftCurves()(x, arm, y).effect.mid > 0.7  # what ignoring them would say


def test_a_random_order_is_worth_nothing():
    rng = np.random.default_rng(3)
    _, arm, y, _ = trial(rng, 100_000)
    found = UpliftCurves()(rng.random(len(y)), arm, y)
    for measure in (found.qini, found.autoc, found.policy[0.3]):
        assert abs(measure.normalised.mid) < 0.01
    assert found.auuc.value.mid == pytest.approx(found.effect.mid / 2, rel=0.05)


# Second implementations.


def test_agrees_with_brute_force():
    """Means over the first m units, written out."""
    rng = np.random.default_rng(4)
    arm, y, score = rng.integers(0, 2, 300), rng.normal(size=300), rng.permutation(300)
    chance = rng.uniform(0.2, 0.8, 300)
    means = rng.normal(size=(300, 2))
    found = UpliftCurves()(score, arm, y, chance, means)
    gain = [
        means[i, 1] - means[i, 0] + (y[i] - means[i, 1]) / chance[i]
        if arm[i]
        else means[i, 1] - means[i, 0] - (y[i] - means[i, 0]) / (1 - chance[i])
        for i in np.argsort(-score)
    ]
    total = np.cumsum(gain) / 300
    steps = np.r_[0, total]
    between = (steps[1:] + steps[:-1]) / 2  # the curve is straight from unit to unit
    assert found.auuc.value.mid == pytest.approx(between.mean())
    assert found.qini.value.mid == pytest.approx(between.mean() - total[-1] / 2)
    assert found.uplift[0.3].value.mid == pytest.approx(np.mean(gain[:90]))
    assert found.policy[0.1].value.mid == pytest.approx(total[29] - 0.1 * total[-1])
    fine = np.linspace(0, 1, 3_000_001)[1:]
    autoc = np.mean(np.interp(fine, np.arange(301) / 300, steps) / fine) - total[-1]
    assert found.autoc.value.mid == pytest.approx(autoc, abs=1e-4)
    best = np.r_[0, np.cumsum(np.sort(gain)[::-1])] / 300
    assert found.qini.ceiling == pytest.approx(np.mean((best[1:] + best[:-1]) / 2) - total[-1] / 2)


def test_agrees_with_the_ratio_form_of_the_qini_curve():
    """Radcliffe's Y_t − Y_c N_t/N_c, divided by the treated: another estimator of the same curve."""
    rng = np.random.default_rng(5)
    x = rng.random(40_000)
    arm = rng.integers(0, 2, 40_000)
    y = (rng.random(40_000) < 0.1 + 0.2 * x * arm).astype(float)
    order = np.argsort(-x)
    t, v = arm[order], y[order]
    treated, control = np.cumsum(t), np.cumsum(1 - t)
    g = (np.cumsum(v * t) - np.cumsum(v * (1 - t)) * treated / np.maximum(control, 1)) / treated[-1]
    area = np.mean(g - np.arange(1, 40_001) / 40_000 * g[-1])
    found = UpliftCurves()(x, arm, y)
    assert found.qini.value.mid == pytest.approx(area, abs=0.0004)
    assert found.effect.mid == pytest.approx(g[-1])


def test_errors_agree_with_a_bootstrap_of_clusters():
    rng = np.random.default_rng(6)
    x, arm, y, customer = trial(rng, 3000, per=3)
    fold = customer % 2
    found = values(UpliftCurves()(x, arm, y, cluster=customer, fold=fold))
    rows = [np.flatnonzero(customer == c) for c in range(1000)]
    drawn = {name: [] for name in found}
    for _ in range(150):
        take = np.concatenate([rows[c] for c in rng.integers(0, 1000, 1000)])
        again = values(UpliftCurves()(x[take], arm[take], y[take], fold=fold[take]))
        for name, estimate in again.items():
            drawn[name].append(estimate.mid)
    for name, estimate in found.items():
        assert (estimate.high - estimate.low) / 3.29 == pytest.approx(np.std(drawn[name]), rel=0.2), name


# Coverage.


@pytest.mark.parametrize("per", [1, 4])
def test_intervals_cover_as_often_as_they_say(per):
    runs = 200
    found = []
    for seed in range(runs):
        x, arm, y, customer = trial(np.random.default_rng(seed), 1200, share=0.4, per=per)
        found.append(values(UpliftCurves(at=(0.3,))(x, arm, y, cluster=customer)))
    low, high = binom.ppf([0.001, 0.999], runs, 0.9)
    for name, truth in TRUTH.items():
        held = sum(run[name].low <= truth <= run[name].high for run in found)
        assert low <= held <= high, (name, held)
        width = np.mean([run[name].high - run[name].low for run in found])
        assert width == pytest.approx(3.29 * np.std([run[name].mid for run in found]), rel=0.2), name


def test_few_clusters_drawn_whole_prove_no_more_than_they_say():
    runs, held = 200, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        cluster = np.arange(160) // 20
        arm = rng.permutation(np.arange(8) % 2)[cluster]
        y = rng.normal(size=8)[cluster] + rng.normal(size=160)
        effect = UpliftCurves(at=(0.3,))(rng.random(160), arm, y, cluster=cluster).effect
        held += effect.low <= 0 <= effect.high
    assert held >= binom.ppf(0.01, runs, 0.9)


def test_a_small_arm_of_rare_money_proves_no_harm():
    harm, widths = 0, []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        arm = rng.permutation(np.repeat([1, 0], [20, 180]))
        y = (rng.random(200) < 0.2) * rng.lognormal(3, 1.5, 200)
        effect = UpliftCurves(at=(0.3,))(rng.random(200), arm, y).effect
        harm += effect.high < 0
        one = contrast(Moments.of(y[arm == 0]), Moments.of(y[arm == 1])).interval(0.9)
        widths.append((effect.high - effect.low) / (one.high - one.low))
    assert harm <= binom.ppf(0.99, 100, 0.05)
    assert np.mean(widths) == pytest.approx(1, abs=0.01)


def test_a_paired_interval_is_narrower_and_covers():
    """A ranking less a noisier one: Cov(effect, rank) falls with their correlation."""
    rng = np.random.default_rng(7)
    u = rng.random(500_000)
    noisy = u + rng.random(len(u))
    truth = 1 / 12 - np.mean(u * (np.argsort(np.argsort(noisy)) / len(u) - 0.5))
    held, paired, alone = 0, [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x, arm, y, _ = trial(rng, 1000)
        found = UpliftCurves()(x, arm, y, versus=x + rng.random(1000)).qini.value
        held += found.low <= truth <= found.high
        paired.append(found.high - found.low)
        single = UpliftCurves()(x, arm, y).qini.value
        alone.append(single.high - single.low)
    low, high = binom.ppf([0.001, 0.999], 150, 0.9)
    assert low <= held <= high
    assert np.mean(paired) < 0.9 * np.mean(alone)


# The one normalisation, and ties.


@pytest.mark.parametrize("kind", ["binary", "money", "harm", "negative"])
def test_nothing_is_above_its_ceiling(kind):
    rng = np.random.default_rng(8)
    arm = rng.integers(0, 2, 200)
    y = {
        "binary": (rng.random(200) < 0.2).astype(float),
        "money": np.where(rng.random(200) < 0.1, rng.lognormal(3, 1, 200), 0.0),
        "harm": (rng.random(200) < 0.5 - 0.4 * arm).astype(float),
        "negative": rng.normal(-5, 1, 200),
    }[kind]
    cheat = y * (2 * arm - 1)
    for score in (cheat, -cheat, rng.random(200), np.zeros(200), arm):
        found = UpliftCurves()(score, arm, y)
        measures = [found.qini, found.auuc, found.autoc, *found.uplift.values(), *found.policy.values()]
        assert all(measure.normalised.mid <= 1 + 1e-9 for measure in measures)
    gains = UpliftCurves()(cheat, arm, y)
    assert gains.qini.normalised.mid > 0.5


def test_ties_count_as_the_average_over_ways_to_break_them():
    rng = np.random.default_rng(9)
    _, arm, y, _ = trial(rng, 400)
    score = rng.integers(0, 4, 400).astype(float)
    found = values(UpliftCurves()(score, arm, y))
    drawn = [values(UpliftCurves()(score + 0.5 * rng.random(400), arm, y)) for _ in range(200)]
    for name, estimate in found.items():
        mids = [run[name].mid for run in drawn]
        assert estimate.mid == pytest.approx(np.mean(mids), abs=5 * np.std(mids) / 14 + 1e-9), name


def test_one_score_for_all_is_a_random_order():
    _, arm, y, _ = trial(np.random.default_rng(10), 300)
    found = UpliftCurves()(np.ones(300), arm, y)
    assert found.qini.value.mid == pytest.approx(0, abs=1e-12)
    assert found.uplift[0.3].value.mid == pytest.approx(found.effect.mid)


# Scores with ties, from a uniform x.
TIED = {
    "one": np.zeros_like,
    "two": lambda x: (x > 0.6).astype(float),
    "sevenths": lambda x: np.floor(7 * x),
    "most": lambda x: np.where(x > 0.8, x, 0.0),
    "between": lambda x: np.where((x > 0.2) & (x < 0.85), 0.5, x),
    "coarse": lambda x: np.round(x, 2),
}


def known(rng, units):
    """A strong effect whose model is known, so that what comes of estimated ranks outweighs the noise of outcomes."""
    x, arm = rng.random(units), rng.integers(0, 2, units)
    means = np.column_stack([np.zeros(units), 1 + 4 * x])
    return x, arm, means[np.arange(units), arm] + 0.5 * rng.normal(size=units), means


@pytest.mark.parametrize("kind", TIED)
def test_among_the_tied_the_order_of_rows_does_not_matter(kind):
    x, arm, y, means = known(np.random.default_rng(13), 600)
    score, fold = TIED[kind](x), np.arange(600) % 2
    found = UpliftCurves()(score, arm, y, means=means, fold=fold)
    for order in (np.argsort(y), np.argsort(-y), np.argsort(arm, kind="stable")):
        again = UpliftCurves()(score[order], arm[order], y[order], means=means[order], fold=fold[order])
        for name, estimate in values(found).items():
            other = values(again)[name]
            assert (other.low, other.high) == pytest.approx((estimate.low, estimate.high), abs=1e-9), name
        assert again.high == pytest.approx(found.high, abs=1e-9)


@pytest.mark.parametrize("kind", TIED)
def test_errors_of_ties_agree_with_a_bootstrap(kind):
    rng = np.random.default_rng(14)
    x, arm, y, means = known(rng, 1000)
    score, half, settings = TIED[kind](x), np.full(1000, 0.5), UpliftCurves(at=(0.3,))
    found = values(settings(score, arm, y, half, means))
    drawn = {name: [] for name in found}
    for _ in range(150):
        take = rng.integers(0, 1000, 1000)
        for name, estimate in values(settings(score[take], arm[take], y[take], half, means[take])).items():
            drawn[name].append(estimate.mid)
    for name, estimate in found.items():
        told = (estimate.high - estimate.low) / 3.29
        assert told == pytest.approx(np.std(drawn[name]), rel=0.2, abs=1e-9), name


def test_intervals_of_ties_cover_as_often_as_they_say():
    runs, settings = 150, UpliftCurves(at=(0.3,))
    x, arm, _, means = known(np.random.default_rng(15), 200_000)
    truth = values(settings(TIED["most"](x), arm, means[np.arange(len(x)), arm], 0.5 + 0 * x, means))
    found = []
    for seed in range(runs):
        x, arm, y, means = known(np.random.default_rng(seed), 800)
        found.append(values(settings(TIED["most"](x), arm, y, 0.5 + 0 * x, means)))
    low, high = binom.ppf([0.001, 0.999], runs, 0.9)
    for name, right in truth.items():
        held = sum(run[name].low <= right.mid <= run[name].high for run in found)
        assert low <= held <= high, (name, held)


def test_no_single_unit_decides_how_wide_an_interval_is():
    """Rare money; a fifth have scores of their own, the others 0. Only who stands last of the fifth differs."""
    rng = np.random.default_rng(3)
    x, arm = rng.random(4000), rng.integers(0, 2, 4000)
    y = np.where(rng.random(4000) < 0.15 + 0.1 * (x > 0.8) * arm, rng.lognormal(3, 1.2, 4000), 0)
    widths = []
    for unit in np.argsort(-y * (x > 0.8))[[0, 1, 2, 200, 400]]:
        score = np.where(x > 0.8, x, 0.0)
        score[unit] = 0.8
        found = UpliftCurves(at=(0.3,))(score, arm, y)
        widths.append([e.high - e.low for e in (found.uplift[0.3].value, found.policy[0.3].value, found.worth[0.3])])
    assert np.ptp(widths, axis=0) == pytest.approx(0, abs=0.01 * np.min(widths))


def test_a_constant_ranking_has_nothing_to_tell():
    x, arm, y, _ = trial(np.random.default_rng(16), 500)
    found, alone = UpliftCurves()(np.ones(500), arm, y), UpliftCurves()(x, arm, y)
    for measure in (found.qini, found.autoc, found.policy[0.1], found.policy[0.3]):
        assert (measure.value.low, measure.value.high) == pytest.approx((0, 0), abs=1e-12)
    assert found.uplift[0.3].value.low == pytest.approx(found.effect.low)
    assert found.auuc.value.high == pytest.approx(found.effect.high / 2)
    beside = UpliftCurves()(x, arm, y, versus=np.ones(500))
    for measure in ("qini", "autoc"):
        one, two = getattr(beside, measure).value, getattr(alone, measure).value
        assert (one.low, one.high) == pytest.approx((two.low, two.high), rel=1e-9)


def test_how_a_share_between_blocks_is_rounded_does_not_matter():
    x, arm, y, means = known(np.random.default_rng(17), 400)
    found = UpliftCurves(at=(0.15,))(x >= np.sort(x)[-60], arm, y, means=means)
    assert found.shares[3] != 0.15
    assert 0.15 * found.uplift[0.15].value.low == pytest.approx(found.low[3], rel=1e-9)


def test_missing_scores_are_counted():
    x, arm, y, _ = trial(np.random.default_rng(18), 100)
    with pytest.raises(BadInputError, match=r"A score is missing or infinite\. Got: 7 of 100"):
        UpliftCurves()(np.where(np.arange(100) < 7, np.nan, x), arm, y)
    with pytest.raises(BadInputError, match="There is not one score for each unit"):
        UpliftCurves()(x[1:], arm, y)


def test_scale_and_order_of_rows_do_not_matter():
    rng = np.random.default_rng(11)
    x, arm, y, _ = trial(rng, 500)
    mixed = rng.permutation(500)
    first, second = UpliftCurves()(x, arm, y), UpliftCurves()(np.exp(9 * x[mixed]), arm[mixed], 1000 * y[mixed])
    assert second.qini.value.mid == pytest.approx(1000 * first.qini.value.mid)
    assert second.autoc.normalised.low == pytest.approx(first.autoc.normalised.low)


def test_large_whole_scores_keep_their_order():
    x, arm, y, _ = trial(np.random.default_rng(12), 100)
    rank = np.argsort(np.argsort(x))
    assert UpliftCurves()(2**60 + rank, arm, y).qini == UpliftCurves()(rank, arm, y).qini


@pytest.mark.parametrize(
    "change",
    [
        {"arm": np.zeros(50)},
        {"arm": np.full(50, 2)},
        {"arm": np.zeros(49)},
        {"y": np.ones(50)},
        {"y": np.r_[np.nan, np.arange(49)]},
        {"score": np.full(50, np.nan)},
        {"score": np.ones(49)},
        {"propensity": np.ones(50)},
        {"propensity": np.full(49, 0.5)},
        {"means": np.zeros((50, 3))},
        {"cluster": np.zeros(49)},
        {"fold": np.zeros(49)},
        {"cluster": np.zeros(50)},
        {"cluster": np.full(50, np.nan)},
        {"cluster": np.arange(50) % 2},
        {"cluster": np.arange(50) % 4},
        {"cluster": ["a", None] * 25},
        {"arm": np.r_[1, np.zeros(49)]},
        {"y": np.arange(50) % 2},
        {"y": np.arange(50) * 1e300},
        {"y": np.arange(50) * 1e-300},
        {"y": ["a"] * 50},
        {"score": ["a"] * 50},
        {"arm": ["a"] * 50},
    ],
)
def test_bad_input_is_one_clear_error(change):
    good = {"score": np.arange(50.0), "arm": np.arange(50) % 2, "y": np.arange(50.0)}
    with pytest.raises(BadInputError):
        UpliftCurves()(**(good | change))


@pytest.mark.parametrize("settings", [{"level": 1}, {"level": "x"}, {"at": ("x",)}, {"at": (0.0,)}, {"at": (1.0,)}])
def test_bad_settings(settings):
    with pytest.raises(BadInputError):
        UpliftCurves(**settings)


def test_one_share_is_a_share():
    assert UpliftCurves(at=0.2).at == (0.2,)
    with pytest.raises(BadInputError):
        UpliftCurves(at=2)
