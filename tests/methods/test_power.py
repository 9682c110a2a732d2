"""Power: agrees with published formulas, and what it promises is what a simulated read-out achieves."""

import math

import numpy as np
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats import anova, power, proportion

from tradewind.errors import BadInputError
from tradewind.methods.moments import Moments, contrast
from tradewind.methods.power import Holdout, Power, Unlearnable
from tradewind.methods.power_outcome import Outcome
from tradewind.methods.sequence import Sequence
from tradewind.study import Estimate

ONE = Estimate(1.0, 0.5, 1.5)


def customers(seed, people=200_000):
    """Money before and after: most spend nothing, few spend much, the same people more often than others."""
    rng = np.random.default_rng(seed)
    rate, size = rng.gamma(0.5, 0.6, people), np.exp(rng.normal(3, 0.7, people))
    return tuple(rng.poisson(rate) * size * np.exp(rng.normal(0, 0.5, people)) for _ in range(2))


def arms(population, rng, runs, units):
    """Moments of units drawn from a population, by run."""
    now, before = population
    found = []
    for _ in range(runs):
        picks = rng.integers(0, len(now), units)
        found.append(Moments.of(now[picks], before[picks]))
    return found


def test_agrees_with_the_noncentral_t_of_statsmodels():
    """But for what the larger spread costs, which passes as the units grow."""
    for units, effect, cost in ((40, 0.7, 0.03), (400, 0.2, 0.01), (20_000, 0.04, 0.002)):
        expected = power.TTestIndPower().power(effect, units // 2, 0.1)
        assert expected - cost < Power().chance(Outcome(1, 1), units, 0.5, effect) < expected
    for level, chance in ((0.9, 0.8), (0.95, 0.9)):
        expected = power.TTestIndPower().solve_power(None, 5000, 1 - level, chance, ratio=1)
        assert Power(level, chance).detectable(Outcome(1, 3), 10_000, 0.5) == pytest.approx(3 * expected, rel=3e-3)


def test_agrees_with_the_normal_formula_where_units_are_many():
    found = Power()(Outcome(10, 40), 500_000, ONE)
    share = found.share
    held = power.NormalIndPower().solve_power(1 / 40, None, 0.1, 0.8, ratio=(1 - share) / share)
    assert found.held == pytest.approx(held, rel=5e-3)


def test_agrees_with_the_tables_for_shares_of_buyers():
    """A conversion is an outcome as any other: statsmodels' test of two proportions, for a small difference."""
    outcome = Outcome(0.05, math.sqrt(0.05 * 0.95))
    expected = proportion.power_proportions_2indep(0.005, 0.05, 20_000, 1, alpha=0.1, return_results=False)
    assert Power().chance(outcome, 40_000, 0.5, 0.005) == pytest.approx(expected, abs=0.03)


def test_it_is_the_smallest_and_says_what_it_sees_and_costs():
    outcome = Outcome(4, 35, 0.4)
    found = Power()(outcome, 100_000, ONE)
    assert isinstance(found, Holdout)
    assert Power().chance(outcome, 100_000, found.held / 100_000, 1.0) >= 0.8
    assert Power().chance(outcome, 100_000, (found.held - 1) / 100_000, 1.0) < 0.8
    assert found.chances[0] < 0.8 <= found.chances[1] < found.chances[2]
    assert found.detectable == pytest.approx(1, rel=1e-3)
    assert found.error == pytest.approx(outcome.left * math.sqrt(1 / found.held + 1 / (100_000 - found.held)), rel=1e-4)
    assert found.cost == ONE.scaled(found.held)
    assert Power()(outcome, 100_000, ONE, gain=Estimate(0.2, 0.1, 0.3)).cost.mid == pytest.approx(0.2 * found.held)
    assert Power()(outcome, 100_000, -ONE).held == found.held
    assert f"Hold out {found.held:,} of 100,000 units" in found.sentence("USD")


def test_what_was_known_before_makes_the_holdout_smaller():
    shares = [Power()(Outcome(4, 35, rho), 100_000, ONE).held for rho in (None, 0.0, 0.5, 0.9)]
    assert shares[0] == shares[1] > shares[2] > shares[3]
    assert shares[2] / shares[0] == pytest.approx(0.75, abs=0.03)


def test_the_promised_power_is_achieved_on_money():
    """Four of five at zero, skewness of 10, adjusted for the period before; a holdout of some hundreds."""
    people = customers(1)
    outcome = Outcome.of(*people)
    rng, runs = np.random.default_rng(1), 300
    for units, effect in ((3000, 4.0), (12_000, 2.5)):
        found = Power()(outcome, units, Estimate(effect, effect, effect))
        held = arms(people, rng, runs, found.held)
        treated = arms((people[0] + effect, people[1]), rng, runs, units - found.held)
        proven = [contrast(a, b).interval(0.9).low > 0 for a, b in zip(held, treated, strict=True)]
        assert np.mean(proven) == pytest.approx(found.chances[1], abs=3 * math.sqrt(0.16 / runs))


@pytest.mark.parametrize(("chance", "lift", "units"), [(0.005, 0.4, 40_000), (0.1, 0.5, 1_500), (0.5, 0.1, 3_000)])
def test_the_promised_power_is_achieved_where_a_gain_is_further_buyers(chance, lift, units):
    """The treated then vary more: with one spread for both arms 80 % were promised, and 71 to 73 % achieved."""
    rng, runs = np.random.default_rng(3), 1500
    outcome = Outcome.of(np.arange(20_000) < chance * 20_000)
    found = Power()(outcome, units, Estimate(chance * lift, chance * lift, chance * lift))
    proven = 0
    for bought in zip(
        rng.binomial(found.held, chance, runs),
        rng.binomial(units - found.held, chance * (1 + lift), runs), strict=True,
    ):  # fmt: skip
        arms = [
            Moments.from_sums(count, [count, sum_], [[count, sum_], [sum_, sum_]])
            for count, sum_ in zip((found.held, units - found.held), bought, strict=True)
        ]
        proven += contrast(*arms).interval(0.9).low > 0
    assert proven / runs == pytest.approx(0.8, abs=0.035)


def normal(rng, count, effect, columns=0):
    """Moments of normal units, adjusted for columns of which the first tells a quarter of the variance."""
    before = rng.normal(size=(count, columns))
    left = rng.normal(size=count)
    return Moments.of(left + effect if not columns else 0.5 * before[:, 0] + math.sqrt(0.75) * left + effect, before)


@pytest.mark.parametrize(
    ("units", "held", "columns", "anytime"),
    [(200, 3, 0, False), (200, 5, 0, False), (40, 20, 0, False), (20, 4, 1, False), (30, 8, 4, False),
     (200, 27, 0, True), (30, 5, 0, True)],
)  # fmt: skip
def test_the_promised_power_is_achieved_with_few_held_out(units, held, columns, anytime):
    """Where the larger spread costs most, and what slopes cost; Welch's own power is 3 to 8 points higher."""
    rng, runs = np.random.default_rng(held), 2500
    outcome, plan = Outcome(0, 1, 0.5 if columns else None, columns=columns), Power(anytime=anytime)
    effect = plan.detectable(outcome, units, held / units)
    assert plan.chance(outcome, units, held / units, effect) == pytest.approx(0.8)
    error = outcome.left * math.sqrt(1 / held + 1 / (units - held))
    proven = 0
    for _ in range(runs):
        arms = normal(rng, held, 0, columns), normal(rng, units - held, effect, columns)
        found = Sequence(error)(*arms).effect if anytime else contrast(*arms).interval(0.9)
        proven += found.low > 0
    assert proven / runs == pytest.approx(0.8, abs=0.024)


def test_the_promised_power_is_achieved_with_unequal_clusters():
    rng, runs = np.random.default_rng(5), 3000
    sizes = rng.integers(1, 30, 300)
    outcome = Outcome(0, 1, intraclass=0.2)
    found = Power()(outcome, sizes, Estimate(0.25, 0.2, 0.3))
    proven = 0
    for _ in range(runs):
        order = rng.permutation(300)
        arms = []
        for who, effect in ((order[: found.drawn], 0.0), (order[found.drawn :], 0.25)):
            mean = effect + rng.normal(size=len(who)) * np.sqrt(0.2 + 0.8 / sizes[who])
            rows = sizes[who, None] * np.column_stack([np.ones(len(who)), mean])
            arms.append(Moments.from_sums(len(rows), rows.sum(axis=0), rows.T @ rows, units=int(sizes[who].sum())))
        proven += contrast(*arms).interval(0.9).low > 0
    assert proven / runs == pytest.approx(found.chances[1], abs=3 * math.sqrt(0.16 / runs))


def test_the_promised_power_is_achieved_with_clusters():
    rng, runs = np.random.default_rng(2), 400
    sizes = rng.integers(5, 60, 60)
    outcome = Outcome(0, math.sqrt(100 + 10), intraclass=10 / 110)
    found = Power()(outcome, sizes, Estimate(4, 3, 5))
    assert isinstance(found, Holdout)
    assert found.drawn < 30
    cluster = np.repeat(np.arange(60), sizes)
    proven = 0
    for _ in range(runs):
        held = (rng.permutation(60) < found.drawn)[cluster]
        values = rng.normal(0, math.sqrt(10), 60)[cluster] + rng.normal(0, 10, len(cluster)) + 4.0 * ~held
        read = [Moments.of(values[who], cluster=cluster[who]) for who in (held, ~held)]
        proven += contrast(*read).interval(0.9).low > 0
    assert proven / runs == pytest.approx(found.chances[1], abs=3 * math.sqrt(0.16 / runs) + 0.02)


def test_a_sequence_read_on_the_last_day_achieves_the_promised_power():
    rng, runs = np.random.default_rng(3), 400
    found = Power(anytime=True)(Outcome(0, 10), 6000, ONE)
    assert found.held > Power()(Outcome(0, 10), 6000, ONE).held
    sequence = Sequence(found.error)
    proven = [
        sequence(Moments.of(rng.normal(0, 10, found.held)), Moments.of(rng.normal(1, 10, 6000 - found.held))).effect.low
        > 0
        for _ in range(runs)
    ]
    assert np.mean(proven) == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / runs) + 0.01)


def test_what_cannot_be_learnt_says_what_could():
    outcome, power = Outcome(4, 35, 0.1), Power()
    found = power(outcome, 5000, ONE, days=28)
    assert isinstance(found, Unlearnable)
    assert found.chance == power.chance(outcome, 5000, 0.5, 1.0) < 0.8
    assert found.detectable == pytest.approx(power.detectable(outcome, 5000, 0.5))
    assert isinstance(power(outcome, 5000, Estimate(found.detectable * 1.001, 1, 9)), Holdout)
    assert isinstance(power(outcome, found.needed, ONE), Holdout)
    assert isinstance(power(outcome, found.needed - 2, ONE), Unlearnable)
    assert found.actions == math.ceil(found.needed / 5000)
    said = found.sentence("USD")
    assert "You cannot learn this with 5,000 units in 28 days" in said
    assert f"{found.needed:,} units" in said
    assert f"{found.actions} actions" in said


def test_a_share_that_is_allowed_too_small_is_named():
    outcome = Outcome(4, 35)
    found = Power(largest=0.05)(outcome, 100_000, ONE)
    assert isinstance(found, Unlearnable)
    assert Power().chance(outcome, 100_000, found.share_needed, 1.0) >= 0.8
    assert "held out, or this one" in found.sentence()
    assert Power(largest=0.05)(outcome, 1000, ONE).share_needed is None


def test_further_days_of_further_units_and_of_the_same_units():
    """The same units for k times as long: what adjusting leaves, from the covariances themselves."""
    rho = 0.3
    found = Power()(Outcome(4, 35, rho), 20_000, ONE, days=10, arriving=True)
    assert found.days_needed == pytest.approx(10 * found.needed / 20_000, abs=1)
    same = Power()(Outcome(4, 35, rho), 20_000, ONE, days=10)
    times = same.days_needed / 10
    periods = times * (1 - rho) + times**2 * rho - (times * rho) ** 2  # in units of the variance of one period
    longer = Outcome(4, 35 * math.sqrt(periods), 0.0)
    scaled = Estimate(times, times, times)
    assert Power().chance(longer, 20_000, 0.5, scaled.mid) == pytest.approx(0.8, abs=0.01)
    assert Power()(Outcome(4, 35), 20_000, ONE, days=10).days_needed is None
    assert Power()(Outcome(4, 35, 0.9), 600, ONE, days=10).days_needed is None  # what they always spend stays


def test_outcomes_of_the_past():
    rng = np.random.default_rng(4)
    sizes = rng.integers(1, 40, 200)
    cluster = np.repeat(np.arange(200), sizes)
    before = rng.gamma(1, 10, len(cluster))
    values = 0.6 * before + rng.normal(0, 2, 200)[cluster] + rng.normal(0, 6, len(cluster))
    found = Outcome.of(values, before, cluster)
    assert (found.mean, found.sd) == (pytest.approx(values.mean()), pytest.approx(values.std(ddof=1)))
    whole, n = np.corrcoef(values, before)[0, 1] ** 2, len(values)
    assert found.correlation == pytest.approx(np.sqrt(1 - (1 - whole) * (n - 1) / (n - 2)))
    assert found.intraclass == pytest.approx(0.1, abs=0.04)
    left = values - np.polyval(np.polyfit(before, values, 1), before)
    data = {"left": left, "cluster": cluster}
    table = anova.anova_lm(ols("left ~ C(cluster)", data).fit())
    between, within = table["mean_sq"]
    typical = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / 199
    assert found.intraclass == pytest.approx((between - within) / (between + (typical - 1) * within))
    assert Outcome.of(rng.random(100), cluster=np.arange(100) // 2).intraclass < 0.3


def test_columns_that_tell_nothing_explain_nothing():
    rng = np.random.default_rng(5)
    found = [Outcome.of(rng.normal(size=100), rng.normal(size=(100, 50))).correlation for _ in range(40)]
    assert np.mean(np.square(found)) < 0.1  # not adjusted it is a half
    with pytest.raises(BadInputError, match="too many values from before"):
        Outcome.of(rng.normal(size=20), rng.normal(size=(20, 30)))


def test_what_rounding_leaves_is_no_spread():
    with pytest.raises(BadInputError, match="positive standard deviation"):
        Outcome.of([0.1] * 1000)


def test_numbers_that_nobody_counts():
    for units in (1000.5, 1e20, 1e100):
        with pytest.raises(BadInputError, match="whole numbers"):
            Power()(Outcome(1, 1), units, ONE)
    assert isinstance(Power()(Outcome(1, 1), 100, Estimate(1e-300, 0, 1e-299), days=3, arriving=True), Unlearnable)
    with pytest.raises(BadInputError, match="no number"):
        Power()(Outcome(1, 1), 100, Estimate(1, np.nan, np.nan))


def test_three_clusters_tell_nothing():
    with pytest.raises(BadInputError, match="With 3 clusters"):
        Power()(Outcome(1, 1), [100, 100, 100], ONE)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Power(level=1.0),
        lambda: Power(power=0.0),
        lambda: Power(level=0.5, power=0.2),
        lambda: Power(largest=0.6),
        lambda: Outcome(1.0, 0.0),
        lambda: Outcome(np.nan, 1.0),
        lambda: Outcome(1.0, 1.0, 1.0),
        lambda: Outcome(1.0, 1.0, intraclass=1.1),
        lambda: Outcome(1.0, 1.0, columns=-1),
        lambda: Outcome.of([1.0, 1.0, 1.0]),
        lambda: Outcome.of([1.0, np.nan, 2.0]),
        lambda: Outcome.of([1.0, 2.0, 3.0], before=[1.0]),
        lambda: Outcome.of([1.0, 2.0, 3.0], before=[1.0, 2.0, 3.0]),
        lambda: Outcome.of([1.0, 2.0, 3.0], cluster=[1, 2, 3]),
        lambda: Power()(Outcome(1, 1), 0, ONE),
        lambda: Power()(Outcome(1, 1, 0.5, columns=17), 20, ONE),
        lambda: Power()(Outcome(1, 1), 3, ONE),
        lambda: Power()(Outcome(1, 1), [], ONE),
        lambda: Power()(Outcome(1, 1), [5, 0, 5, 5, 5, 5, 5], ONE),
        lambda: Power()(Outcome(1, 1), 100, Estimate(0, 0, 0)),
        lambda: Power()(Outcome(1, 1), 100, ONE, days=0),
        lambda: Power().chance(Outcome(1, 1), 100, 1.0, 1.0),
        lambda: Power().detectable(Outcome(1, 1), 100, 0.001),
        lambda: Power(largest=0.01)(Outcome(1, 1), 100, ONE),
        lambda: Power(largest="a"),
        lambda: Power(largest=[0.1, 0.2]),
    ],
)
def test_bad_input_is_one_clear_error(make):
    with pytest.raises(BadInputError):
        make()
