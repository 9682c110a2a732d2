"""Readout: known truth, second implementations, false alarms and coverage with width on money as it is."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import multitest

from tradewind.errors import BadInputError
from tradewind.methods.moments import Moments, Verdict
from tradewind.methods.readout import Readout

SHARES = {"holdout": 0.1, "treated": 0.9}


def customers(seed, people=200_000):
    """Money before and after: most spend nothing, few spend much, the same people more often than others."""
    rng = np.random.default_rng(seed)
    rate, size = rng.gamma(0.5, 0.6, people), np.exp(rng.normal(3, 0.7, people))
    return tuple(rng.poisson(rate) * size * np.exp(rng.normal(0, 0.5, people)) for _ in range(2))


def drawn(values, before, rng, runs, units):
    """Moments of arms drawn from a population, many runs at once."""
    picks = rng.integers(0, len(values), (runs, units))
    rows = np.stack([np.ones(picks.shape), values[picks], before[picks]])[: 3 if before is not values else 2]
    mean = rows.mean(axis=2)
    away = rows - mean[:, :, None]
    scatter = np.einsum("iru,jru->rij", away, away)
    return [Moments(units, units, mean[:, run], scatter[run]) for run in range(runs)]


def readings(read, population, seed, runs, held, treated, gain=0.0, adjust=True):
    """Read many experiments, with a gain for every treated unit."""
    now, then = population
    rng = np.random.default_rng(seed)
    sides = []
    for units, add in ((held, 0.0), (treated, gain)):
        moments = []
        for _ in range(0, runs, 50):
            moments += drawn(now + add, then if adjust else now + add, rng, 50, units)
        sides.append(moments)
    return [read.of({"holdout": a, "treated": b}).arms[0] for a, b in zip(*sides, strict=True)]


def tolerance(share, runs):
    """Three binomial standard deviations, and a little."""
    return 3 * np.sqrt(share * (1 - share) / runs) + 0.005


def test_recovers_a_known_effect_per_unit_and_in_total():
    now, before = customers(1, 100_000)
    rng = np.random.default_rng(1)
    arm = np.where(rng.random(len(now)) < 0.1, "holdout", "treated")
    found = Readout(shares=SHARES)(now + 3.0 * (arm == "treated"), arm, before)
    gain = found.arms[0]
    assert gain.effect.low < 3 < gain.effect.high
    assert gain.effect.mid == pytest.approx(3, abs=1)
    assert gain.total.mid == pytest.approx(gain.effect.mid * (arm == "treated").sum())
    assert (gain.verdict, found.trusted, found.cautions) == (Verdict.GAIN, True, ())
    assert found.mean == pytest.approx(now[arm == "holdout"].mean())
    assert 0.05 < gain.contrast.reduction < 0.2
    assert gain.p_value == gain.p_family < 0.01


def test_the_total_of_a_ratio_is_that_of_all_orders():
    """Money per order: the orders are the units and the customers the clusters, from rows as from sums."""
    rng = np.random.default_rng(16)
    orders = rng.poisson(3, 4000) + 1
    customer = np.repeat(np.arange(4000), orders)
    arm = np.where(rng.random(4000) < 0.5, "holdout", "treated")
    worth = 20 * np.exp(rng.normal(0, 0.3, len(customer))) + 2.0 * (arm[customer] == "treated")
    read = Readout(shares={"holdout": 0.5, "treated": 0.5})
    found = read(worth, arm[customer], cluster=customer)
    assert found.arms[0].effect.mid == pytest.approx(2, abs=0.3)
    assert found.arms[0].units == orders[arm == "treated"].sum()
    assert found.arms[0].total.mid == pytest.approx(found.arms[0].effect.mid * orders[arm == "treated"].sum())
    rows, sums = np.column_stack([orders, np.bincount(customer, worth)]), {}
    for name in ("holdout", "treated"):
        mine = rows[arm == name]
        with pytest.raises(BadInputError, match="what the effect is per"):
            Moments.from_sums(len(mine), mine.sum(axis=0), mine.T @ mine)
        sums[name] = Moments.from_sums(len(mine), mine.sum(axis=0), mine.T @ mine, units=int(mine[:, 0].sum()))
    assert read.of(sums).arms[0].total.mid == pytest.approx(found.arms[0].total.mid)


def test_the_total_of_weighted_units_is_that_of_all_treated():
    rng = np.random.default_rng(17)
    chance = rng.uniform(0.2, 0.8, 2000)
    treated = rng.random(2000) < chance
    own, arm = np.where(treated, chance, 1 - chance), np.where(treated, "treated", "holdout")
    outcome = rng.gamma(0.3, 20, 2000) + 2.0 * treated
    found = Readout()(outcome, arm, propensity=own).arms[0]
    assert found.total.mid == pytest.approx(found.effect.mid * treated.sum())
    arms = {name: Moments.of(outcome[arm == name], propensity=own[arm == name]) for name in ("holdout", "treated")}
    assert Readout().of(arms).arms[0].total == found.total


def test_halves_raise_as_many_false_alarms_as_they_say():
    """A/A on money, skewness 10, four of five at zero: each arm's own spread is exact, the larger no less careful."""
    people = customers(2)
    assert stats.skew(people[0]) > 8
    runs = 800
    for spread, low in (("own", 0.1 - tolerance(0.1, runs)), ("larger", 0.05)):
        found = readings(Readout(spread=spread), people, 3, runs, 2000, 2000)
        assert low < np.mean([each.p_value < 0.1 for each in found]) < 0.1 + tolerance(0.1, runs)
        assert np.mean([each.p_value < 0.5 for each in found]) == pytest.approx(0.5, abs=0.08)


def test_a_small_holdout_does_not_prove_gains_that_are_none():
    """What Welch's test would prove twice as often as it says, and the larger spread does not."""
    people, runs = customers(4), 500
    careful = readings(Readout(), people, 5, runs, 250, 4750)
    welch = readings(Readout(spread="own"), people, 5, runs, 250, 4750)
    said = [[np.mean([each.verdict is v for each in found]) for v in (Verdict.GAIN, Verdict.HARM)]
            for found in (careful, welch)]  # fmt: skip
    assert max(said[0]) < 0.05 + tolerance(0.05, runs)
    assert said[1][0] > 0.085


@pytest.mark.parametrize(("held", "treated", "wide"), [(1000, 1000, 1.12), (500, 4500, 1.25)])
def test_intervals_cover_as_often_as_they_say_and_are_as_wide_as_needed(held, treated, wide):
    people, runs = customers(6), 500
    found = readings(Readout(), people, 7, runs, held, treated, gain=2.0)
    covered = np.mean([each.effect.low <= 2 <= each.effect.high for each in found])
    assert covered > 0.9 - tolerance(0.9, runs)
    width = np.median([each.effect.high - each.effect.low for each in found])
    needed = 2 * stats.norm.ppf(0.95) * np.std([each.effect.mid for each in found])
    assert 0.9 < width / needed < wide


def test_intervals_cover_where_clusters_were_drawn():
    """Clusters of unequal size, alike within: units alone would see far too much."""
    rng = np.random.default_rng(8)
    read, held, naive, runs = Readout(shares={"holdout": 0.5, "treated": 0.5}), 0, 0, 300
    for _ in range(runs):
        sizes = rng.integers(5, 60, 40)
        cluster = np.repeat(np.arange(40), sizes)
        arm = np.where(rng.permutation(40) < 20, "holdout", "treated")[cluster]
        before = rng.gamma(1, 10, len(cluster)) + rng.normal(0, 5, 40)[cluster]
        outcome = before + rng.normal(0, 4, 40)[cluster] + rng.normal(0, 10, len(cluster)) + (arm == "treated")
        found = read(outcome, arm, before, cluster=cluster).arms[0]
        held += found.effect.low <= 1 <= found.effect.high
        alone = read(outcome, arm, before).arms[0].effect
        naive += alone.low <= 1 <= alone.high
    assert held / runs == pytest.approx(0.9, abs=tolerance(0.9, runs))
    assert naive / runs < 0.7


def test_weights_undo_a_draw_that_preferred_some():
    """Good customers were more likely treated: the plain difference is wrong, the weighted one is not."""
    rng = np.random.default_rng(9)
    read, held, plain, runs = Readout(), 0, [], 300
    for _ in range(runs):
        good = rng.random(2000)
        chance = 0.2 + 0.6 * good
        treated = rng.random(2000) < chance
        outcome = rng.gamma(0.3 + good, 20) + 2.0 * treated
        arm = np.where(treated, "treated", "holdout")
        found = read(outcome, arm, propensity=np.where(treated, chance, 1 - chance))
        held += found.arms[0].effect.low <= 2 <= found.arms[0].effect.high
        plain.append(read(outcome, arm).arms[0].effect.mid)
        assert found.trusted or found.split.p_value < 0.001
    assert held / runs > 0.9 - tolerance(0.9, runs)
    assert np.mean(plain) > 3


def test_one_unit_that_outweighs_its_arm_proves_nothing():
    rng = np.random.default_rng(0)
    arm = np.where(rng.random(200) < 0.5, "treated", "holdout")
    outcome, chance, first = rng.exponential(size=200), np.full(200, 0.5), np.flatnonzero(arm == "treated")[0]
    chance[first] = 1e-6
    with pytest.raises(BadInputError, match="outweighs"):
        Readout()(outcome, arm, propensity=chance)
    chance[first] = 0.005
    found = Readout(shares={"treated": 0.5, "holdout": 0.5})(outcome, arm, propensity=chance)
    assert any("that tell as much as" in said for said in found.cautions)
    assert found.arms[0].contrast.freedom < 10


def test_a_split_that_is_not_the_registered_one_is_not_trusted():
    rng = np.random.default_rng(10)
    outcome = rng.gamma(0.3, 20, 10_000)
    arm = np.repeat(["holdout", "treated"], [850, 9150])
    found = Readout(shares=SHARES)(outcome, arm)
    assert not found.trusted
    assert found.split.p_value == pytest.approx(stats.binomtest(850, 10_000, 0.1).pvalue)
    assert "850 in 'holdout', 1,000 due" in found.cautions[0]
    assert "Do not trust" in found.split.sentence
    fits = Readout(shares=SHARES)(outcome, np.repeat(["holdout", "treated"], [990, 9010]))
    assert fits.trusted
    assert "is the one that was registered" in fits.split.sentence


def test_the_check_of_the_split_is_itself_seldom_wrong():
    rng = np.random.default_rng(11)
    outcome, shares = rng.random(300), {"holdout": 0.2, "a": 0.3, "b": 0.5}
    wrong = tilted = 0
    for _ in range(300):
        arm = rng.choice(list(shares), 300, p=list(shares.values()))
        wrong += not Readout(shares=shares, mismatch=0.05)(outcome, arm).split.holds
        chance = rng.uniform(0.2, 0.8, 300)
        treated = rng.random(300) < chance
        weighted = Readout(mismatch=0.05)(
            outcome, np.where(treated, "treated", "holdout"), propensity=np.where(treated, chance, 1 - chance)
        )
        tilted += not weighted.split.holds
    assert 0.015 < wrong / 300 < 0.09
    assert tilted / 300 < 0.09


def weighted(chance, treated, **settings):
    """The split of two arms by the chance of being treated."""
    arm, own = np.where(treated, "treated", "holdout"), np.where(treated, chance, 1 - chance)
    return Readout(**settings)(np.arange(len(arm)) % 7.0, arm, propensity=own).split


@pytest.mark.parametrize("chances", ["even", "skewed", "alike"])
def test_the_check_of_propensities_is_as_seldom_wrong_as_it_says(chances):
    """Few expected in an arm, and chances from .005 on: weights of one over them cry wolf up to 50 times too often."""
    rng, runs = np.random.default_rng(18), 1000
    said = []
    for _ in range(runs):
        draw = rng.random(400)
        chance = {"even": 0.05 + 0.9 * draw, "skewed": 0.005 + 0.495 * draw**3, "alike": np.full(400, 0.03)}[chances]
        said.append(weighted(chance, rng.random(400) < chance).p_value)
    for level, most in ((0.05, 0.05), (0.01, 0.01), (0.001, 0.001)):
        assert np.mean(np.array(said) < level) <= most + 2.6 * np.sqrt(most / runs)
    assert np.mean(np.array(said) < 0.05) > 0.01


def test_the_check_of_propensities_is_the_law_of_unequal_draws():
    """As the binomial where all have one chance, and as scipy's Poisson binomial where each has its own."""
    rng = np.random.default_rng(19)
    treated = rng.random(500) < 0.13
    p_value = stats.binomtest(int(treated.sum()), 500, 0.1).pvalue
    assert weighted(np.full(500, 0.1), treated).p_value == pytest.approx(p_value, rel=1e-9)
    chance = np.repeat([0.2, 0.2 + 1e-7], 20)  # too near to be told apart, so that there is one test
    law = stats.poisson_binom(chance).pmf(np.arange(41))
    for count in (2, 8, 14):
        found = weighted(chance, np.arange(40) % 20 < count // 2)
        assert found.p_value == pytest.approx(law[law <= law[count] * (1 + 1e-7)].sum(), rel=1e-6)
        assert found.expected["treated"] == pytest.approx(8)


def test_what_was_lost_or_mixed_up_is_found():
    """Treated customers lost from the log, chances of the wrong arm, and chances a tenth too large."""
    rng = np.random.default_rng(20)
    chance = rng.uniform(0.2, 0.8, 20_000)
    treated = rng.random(20_000) < chance
    assert weighted(chance, treated).holds
    low = np.flatnonzero(treated & (chance < 0.4))
    lost = np.isin(np.arange(20_000), rng.choice(low, treated.sum() // 20, replace=False))
    assert not weighted(chance[~lost], treated[~lost]).holds
    mixed = weighted(1 - chance, treated)
    assert not mixed.holds
    assert "than the average chance of 'holdout'; chance alone" in mixed.sentence
    assert not weighted(chance * 1.1, treated).holds


def test_several_arms_are_judged_by_the_chances_of_each():
    rng = np.random.default_rng(21)
    names, said = np.array(["a", "b", "holdout"]), []
    for _ in range(300):
        chances = rng.dirichlet([2, 3, 1], 300).clip(0.01)
        chances /= chances.sum(axis=1, keepdims=True)
        place = (rng.random((300, 1)) > chances.cumsum(axis=1)).sum(axis=1)
        found = Readout()(rng.random(300), names[place], propensity=chances)
        said.append(found.split.p_value)
    assert np.mean(np.array(said) < 0.1) < 0.1 + tolerance(0.1, 300)
    assert found.split.expected == pytest.approx(dict(zip(names, chances.sum(axis=0), strict=True)))
    alone = Readout()(np.arange(300.0), names[place], propensity=chances[:, [1, 0, 2]])
    assert not alone.split.holds
    clusters = np.arange(600) // 2
    twice = Readout()(rng.random(600), names[place][clusters], cluster=clusters, propensity=chances[clusters])
    assert twice.split == found.split


def test_three_arms_are_judged_by_the_chi_square():
    arm = np.repeat(["a", "b", "holdout"], [330, 290, 380])
    shares = {"a": 0.3, "b": 0.3, "holdout": 0.4}
    found = Readout(shares=shares)(np.arange(1000.0), arm).split
    assert found.p_value == pytest.approx(stats.chisquare([330, 290, 380], [300, 300, 400]).pvalue)


def test_several_arms_are_a_family():
    rng = np.random.default_rng(12)
    arm = rng.choice(["holdout", "a", "b", "c"], 4000)
    outcome = rng.normal(0, 10, 4000) + 1.2 * (arm == "b") + 0.8 * (arm == "c")
    found = Readout(shares=dict.fromkeys(["holdout", "a", "b", "c"], 0.25))(outcome, arm)
    assert [each.arm for each in found.arms] == ["a", "b", "c"]
    peer = multitest.multipletests([each.p_value for each in found.arms], method="holm")[1]
    np.testing.assert_allclose([each.p_family for each in found.arms], peer)
    assert "3 arms were tried" in found.cautions[-1]


def test_a_cap_is_declared_and_said():
    rng = np.random.default_rng(13)
    outcome, arm = np.exp(rng.normal(3, 1.5, 2000)), np.repeat(["holdout", "treated"], 1000)
    capped = Readout(cap=200)(outcome, arm)
    assert capped.arms[0].effect == Readout()(np.minimum(outcome, 200), arm).arms[0].effect
    assert f"{(outcome > 200).sum()} of 2,000 units" in capped.cautions[0]
    assert not any("count as" in caution for caution in Readout()(outcome, arm).cautions)


def test_arrays_and_moments_read_the_same():
    rng = np.random.default_rng(14)
    outcome, before, arm = rng.gamma(0.3, 20, 500), rng.gamma(0.3, 20, 500), rng.permutation(500) % 5 > 0
    read = Readout(control="False", shares={False: 0.2, True: 0.8})
    moments = {who: Moments.of(outcome[arm == who], before[arm == who]) for who in (False, True)}
    assert read(outcome, arm, before) == read.of(moments)


def test_labels_of_any_kind_name_the_arms():
    outcome = np.arange(60.0) % 7
    for labels in (np.arange(60) % 2 * 10, (np.arange(60) % 2 * 10).astype(object)):
        found = Readout(control="0", shares={0: 0.5, 10: 0.5})(outcome, labels)
        assert (found.control, found.arms[0].arm, found.trusted) == ("0", "10", True)


def test_few_clusters_are_said_to_be_few():
    rng = np.random.default_rng(15)
    cluster = np.repeat(np.arange(8), 20)
    arm = np.where(cluster < 4, "holdout", "treated")
    found = Readout(shares={"holdout": 0.5, "treated": 0.5})(rng.random(160), arm, cluster=cluster)
    assert "4 clusters" in found.cautions[0]
    assert (found.arms[0].drawn, found.arms[0].units) == (4, 80)


N, HALF = np.arange(40.0) % 7, np.repeat(["holdout", "treated"], 20)


@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        ({}, (N, ["treated"] * 40), "nothing to compare"),
        ({}, (N, ["holdout"] * 40), "nothing to compare"),
        ({}, ([], []), "one number for each unit"),
        ({}, (N, HALF[:39]), "not one arm for each"),
        ({}, (np.full(40, 0.1), HALF), "the same for everybody"),
        ({}, (np.where(N == 3, np.nan, N), HALF), "not a finite number"),
        ({}, (N, HALF, N[:7]), "from before do not fit"),
        ({}, (N, HALF, N), "the outcome itself"),
        ({}, {"unit": np.arange(40) // 2}, "20 units are there more than once, 0 of them"),
        ({}, {"unit": np.arange(40) % 20}, "20 of them in more than one arm"),
        ({}, {"cluster": np.arange(40) % 20}, "units in two arms"),
        ({}, {"cluster": [None] * 3 + ["a"] * 37}, "have no cluster"),
        ({}, {"cluster": np.repeat([0, 1, 2], [10, 10, 20])}, "With 3 clusters"),
        ({}, {"propensity": np.full(40, 1.0)}, "propensity is out of range"),
        ({}, {"propensity": np.zeros(40)}, "propensity is out of range"),
        ({}, {"propensity": np.full(40, np.nan)}, "propensity is out of range"),
        ({}, {"propensity": [0.5]}, "propensity is out of range"),
        ({}, {"propensity": np.full((40, 2), 0.4)}, "do not sum to 1"),
        ({}, (N, np.arange(40) % 3, None, None, np.full(40, 0.3)), r"propensity is out of range.*\[40, 3\]"),
        ({}, {"propensity": np.arange(1, 41) / 50, "cluster": np.arange(40) // 2}, "several propensities"),
        ({}, (N[:4], HALF[18:22]), "nothing can be told"),
        ({"shares": {"holdout": 0.5, "other": 0.5}}, (N, HALF), "not those registered"),
        ({"shares": {"holdout": 0.5, "treated": 0.4}}, (N, HALF), "shares do not fit"),
        ({"shares": {"a": 0.5, "b": 0.5}}, (N, HALF), "shares do not fit"),
        ({"level": 1.0}, (N, HALF), "level is out of range"),
        ({"mismatch": 0.0}, (N, HALF), "mismatch is out of range"),
        ({"spread": "mine"}, (N, HALF), "Settings out of range"),
        ({"cap": np.nan}, (N, HALF), "cap of an outcome"),
        ({"cap": "much"}, (N, HALF), "cap of an outcome"),
        ({"shares": [0.5, 0.5]}, (N, HALF), "name their arms"),
        ({"shares": {"holdout": "half", "treated": 0.5}}, (N, HALF), "share of 'holdout' is not a number"),
        ({"spread": []}, (N, HALF), "Settings out of range"),
    ],
)
def test_bad_input_is_one_clear_error(settings, arguments, words):
    with pytest.raises(BadInputError, match=words):
        Readout(**settings)(*arguments) if isinstance(arguments, tuple) else Readout(**settings)(N, HALF, **arguments)
