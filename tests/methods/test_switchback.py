"""Switchbacks: exact tests by second implementations, coverage with width on autocorrelated noise, plans that hold."""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import fft, signal, stats

from tradewind.errors import BadInputError
from tradewind.methods.moments import Verdict
from tradewind.methods.power import Unlearnable
from tradewind.methods.switchback import DRAWN, Noise, Switchback, SwitchbackPlan, SwitchbackPower
from tradewind.study import Estimate

TWO = Estimate(2.0, 1.0, 3.0)


def noise(rng, periods, autocorrelation, sd=10.0):
    """Noise whose correlation fades geometrically."""
    shocks = rng.normal(0, sd * np.sqrt(1 - autocorrelation**2), periods + 200)
    return signal.lfilter([1.0], [1.0, -autocorrelation], shocks)[200:]


def turns(rng, drawn, blocks):
    """Whether the lever is on, by block."""
    if drawn == "pairs":
        first = rng.random(blocks // 2) < 0.5
        return np.column_stack([first, ~first]).ravel()
    if drawn == "shuffled":
        return rng.permutation(np.arange(blocks) % 2 == 0)
    return (np.arange(blocks) + rng.integers(2)) % 2 == 0


def experiment(rng, drawn, blocks, length, effect=0.0, washout=0, autocorrelation=0.5):
    """Outcome and arms; within the washout the block before is still felt."""
    on = np.repeat(turns(rng, drawn, blocks), length)
    felt = on.astype(float)
    for back in range(1, washout + 1):
        felt = (felt * back + np.concatenate([on[:1].repeat(back), on[:-back]])) / (back + 1)
    return noise(rng, blocks * length, autocorrelation) + effect * felt, on


def test_recovers_a_known_effect_that_carries_over():
    rng = np.random.default_rng(1)
    outcome, on = experiment(rng, "pairs", 400, 6, effect=5.0, washout=2)
    found = Switchback(6, 2)(outcome, on)
    assert found.effect.low < 5 < found.effect.high
    assert found.verdict is Verdict.GAIN
    assert (found.blocks, found.left_out) == (400, 800)
    assert found.total.mid == pytest.approx(found.effect.mid * on.sum())
    assert Switchback(6, 0)(outcome, on).effect.mid < found.effect.mid  # what carries over hides a part


def test_pairs_agree_with_the_permutation_test_of_scipy():
    rng = np.random.default_rng(2)
    outcome, on = experiment(rng, "pairs", 20, 3, effect=6.0)
    blocks, arms = outcome.reshape(20, 3).mean(axis=1), on[::3]
    means = blocks.reshape(10, 2)
    differ = np.where(arms[::2], 1, -1) * (means[:, 0] - means[:, 1])
    peer = stats.permutation_test((differ,), np.mean, permutation_type="samples", n_resamples=np.inf)
    found = Switchback(3)(outcome, on)
    assert found.effect.mid == pytest.approx(differ.mean())
    assert found.p_value == pytest.approx(peer.pvalue)


def test_shuffled_agrees_with_the_permutation_test_of_scipy():
    rng = np.random.default_rng(3)
    on = rng.permutation(np.arange(11) < 4)
    outcome = noise(rng, 11, 0.3) + 8.0 * on
    peer = stats.permutation_test((outcome[on], outcome[~on]), lambda a, b: a.mean() - b.mean(), n_resamples=np.inf)
    drawn = [np.isin(np.arange(11), chosen) for chosen in itertools.combinations(range(11), 4)]
    away = [abs(outcome[d].mean() - outcome[~d].mean()) for d in drawn]
    found = Switchback(1, drawn="shuffled")(outcome, on)
    assert found.p_value == pytest.approx(np.mean(np.array(away) >= abs(found.effect.mid) - 1e-9))
    assert found.p_value == pytest.approx(peer.pvalue, abs=0.03)  # scipy doubles the smaller tail


@pytest.mark.parametrize("drawn", ["pairs", "shuffled"])
def test_the_interval_holds_what_the_test_does_not_reject(drawn):
    """Test by test: the effect taken off, an end of the interval is just where it is rejected."""
    rng = np.random.default_rng(4)
    outcome, on = experiment(rng, drawn, 12, 4, effect=4.0)
    read = Switchback(4, drawn=drawn)
    found = read(outcome, on).effect
    for end, away in ((found.low, -1), (found.high, 1)):
        assert read(outcome - (end + away * 1e-6) * on, on).p_value <= 0.1
        assert read(outcome - (end - away * 1e-6) * on, on).p_value > 0.1


def test_many_orders_are_drawn_from_a_seed():
    rng = np.random.default_rng(5)
    for drawn in ("pairs", "shuffled"):
        outcome, on = experiment(rng, drawn, 60, 2, effect=1.0)
        first = Switchback(2, drawn=drawn)(outcome, on)
        assert first == Switchback(2, drawn=drawn)(outcome, on)
        other = Switchback(2, drawn=drawn, seed=1)(outcome, on)
        assert other.p_value == pytest.approx(first.p_value, abs=0.03)
        assert other.effect.low == pytest.approx(first.effect.low, abs=0.2)


def test_alternating_agrees_with_cosines_and_with_newey_and_west():
    rng = np.random.default_rng(6)
    outcome, on = experiment(rng, "alternating", 4000, 2, effect=1.0)
    found = Switchback(2, drawn="alternating")(outcome, on)
    blocks, arms = outcome.reshape(-1, 2).mean(axis=1), on[::2]
    left = blocks - np.where(arms, blocks[arms].mean(), blocks[~arms].mean())
    freedom = round(0.4 * 4000 ** (2 / 3))
    along = fft.dct(np.where(arms, 2, -2) * left, norm="ortho")[1 : freedom + 1]
    error = np.sqrt((along**2).mean() / 4000)
    assert found.effect.high - found.effect.mid == pytest.approx(error * stats.t.ppf(0.95, freedom))
    peer = sm.OLS(blocks, sm.add_constant(arms.astype(float))).fit(cov_type="HAC", cov_kwds={"maxlags": 20})
    assert found.effect.mid == pytest.approx(peer.params[1])
    assert error == pytest.approx(peer.bse[1], rel=0.15)


@pytest.mark.parametrize("drawn", DRAWN)
@pytest.mark.parametrize("autocorrelation", [0.0, 0.8])
def test_intervals_cover_as_often_as_they_say(drawn, autocorrelation):
    rng, runs, effect = np.random.default_rng(7), 300, 3.0
    found = []
    for _ in range(runs):
        outcome, on = experiment(rng, drawn, 28, 6, effect, 1, autocorrelation)
        found.append(Switchback(6, 1, drawn, draws=1000)(outcome, on).effect)
    covered = np.mean([each.low <= effect <= each.high for each in found])
    assert covered == pytest.approx(0.9, abs=3 * np.sqrt(0.09 / runs) + 0.01)
    width = np.median([each.high - each.low for each in found])
    assert 0.9 < width / (2 * stats.norm.ppf(0.95) * np.std([each.mid for each in found])) < 1.35


def test_no_effect_is_seldom_proven_to_be_one_with_heavy_tails():
    rng, runs = np.random.default_rng(8), 400
    said = []
    for _ in range(runs):
        on = np.repeat(turns(rng, "pairs", 14), 2)
        said.append(Switchback(2)(np.exp(rng.normal(0, 2, 28)), on).p_value)
    assert np.mean(np.array(said) <= 0.1) < 0.1 + 3 * np.sqrt(0.09 / runs)


def test_what_was_expected_takes_the_rhythm_of_the_day_off():
    rng = np.random.default_rng(9)
    outcome, on = experiment(rng, "pairs", 56, 12, effect=3.0)
    rhythm = 100 * np.sin(np.arange(len(outcome)) * 2 * np.pi / 24)
    alone = Switchback(12)(outcome, on).effect
    known = Switchback(12)(outcome + rhythm, on, rhythm).effect
    assert (known.low, known.high) == (pytest.approx(alone.low), pytest.approx(alone.high))
    blind = Switchback(12)(outcome + rhythm, on).effect
    assert blind.high - blind.low > 5 * (alone.high - alone.low)


@pytest.mark.parametrize(("pairs", "effect"), [(5, 8.2), (5, 12.0), (6, 8.0), (7, 7.0)])
def test_the_power_of_few_pairs_is_that_of_their_orders(pairs, effect):
    """Of five pairs only one order in sixteen proves an effect at 90 %: Student's t would promise a fifth more."""
    rng, runs, past = np.random.default_rng(11), 500, Noise(10.0, 0.0)
    power = SwitchbackPower(drawn="pairs", power=0.5)
    plan = power(past, 12 * pairs, Estimate(effect, effect, effect, 0.9), 0, 6)
    assert isinstance(plan, SwitchbackPlan)
    found = [
        Switchback(6, 0, "pairs")(*experiment(rng, "pairs", 2 * pairs, 6, effect, autocorrelation=0.0)).effect.low > 0
        for _ in range(runs)
    ]
    assert np.mean(found) == pytest.approx(plan.chances[1], abs=3 * np.sqrt(0.25 / runs))
    seen = plan.detectable * 1.001
    least = Estimate(seen, seen, seen, 0.9)
    assert power(past, 12 * pairs, least, 0, 6).chances[1] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("drawn", DRAWN)
def test_the_promised_power_is_achieved(drawn):
    rng, runs, past = np.random.default_rng(10), 120, Noise(10.0, 0.6)
    power = SwitchbackPower(drawn=drawn)
    plan = power(past, 24 * 40, TWO.scaled(1.6), washout=2)
    assert isinstance(plan, SwitchbackPlan)
    assert plan.chances[0] < plan.chances[1] < plan.chances[2]
    assert plan.detectable <= 3.2
    found = []
    for _ in range(runs):
        outcome, on = experiment(rng, drawn, plan.blocks, plan.length, 3.2, 2, 0.6)
        found.append(Switchback(plan.length, 2, drawn, draws=1000)(outcome, on).effect)
    assert np.std([each.mid for each in found]) == pytest.approx(plan.error, rel=0.2)
    proven = np.mean([each.low > 0 for each in found])
    assert proven == pytest.approx(plan.chances[1], abs=3 * np.sqrt(0.16 / runs) + 0.03)


@pytest.mark.parametrize("drawn", DRAWN)
def test_the_error_of_a_plan_is_that_of_the_covariances(drawn):
    """By hand: the covariance matrix of all periods, over all pairs or orders, for few blocks."""
    length, washout, blocks, fade = 4, 1, 8, 0.7
    lags = np.abs(np.subtract.outer(np.arange(blocks * length), np.arange(blocks * length)))
    keep = np.kron(np.eye(blocks), np.r_[np.zeros(washout), np.full(length - washout, 1 / (length - washout))])
    means = keep @ (4.0 * fade**lags) @ keep.T
    if drawn == "pairs":
        first = itertools.product((1, -1), repeat=blocks // 2)
        signs = [np.ravel([(s, -s) for s in each]) for each in first]
    elif drawn == "shuffled":
        signs = [np.where(np.isin(np.arange(blocks), c), 1, -1) for c in itertools.combinations(range(blocks), 4)]
    else:
        signs = [np.resize([1, -1], blocks)]
    expected = np.mean([s @ means @ s for s in np.array(signs) * 2 / blocks])
    plan = SwitchbackPower(drawn=drawn, level=0.7, power=0.3)(
        Noise(2.0, fade), 32, Estimate(50, 40, 60), washout, length
    )
    assert plan.error == pytest.approx(np.sqrt(expected))


def test_what_cannot_be_learnt_says_what_could():
    past, power = Noise(10.0, 0.5), SwitchbackPower()
    found = power(past, 24 * 7, TWO, washout=2)
    assert isinstance(found, Unlearnable)
    assert found.chance < 0.8
    assert "You cannot learn this with 168 periods" in found.sentence()
    assert f"{found.needed:,} periods" in found.sentence()
    assert isinstance(power(past, found.needed, TWO, washout=2), SwitchbackPlan)
    assert isinstance(power(past, 24 * 7, Estimate(found.detectable * 1.01, 1, 99), washout=2), SwitchbackPlan)
    assert power(past, 24 * 7, Estimate(1e-6, 0, 1), washout=2).needed is None


def test_noise_of_the_past():
    rng = np.random.default_rng(11)
    rhythm = np.resize(np.arange(24.0), 5000)
    found = Noise.of(noise(rng, 5000, 0.7, 3.0) + rhythm, rhythm)
    assert (found.sd, found.autocorrelation) == (pytest.approx(3, rel=0.1), pytest.approx(0.7, abs=0.05))


Y, ON = np.arange(24.0) % 5, np.resize([True, True, False, False], 24)


@pytest.mark.parametrize(
    ("read", "outcome", "on", "words"),
    [
        ({}, Y, ON[:20], "do not fit the periods"),
        ({}, Y, np.arange(24), "do not fit the periods"),
        ({}, np.where(Y > 3, np.nan, Y), ON, "one finite number"),
        ({}, [], [], "no whole blocks"),
        ({"length": 5}, Y, ON, "no whole blocks"),
        ({"length": 3}, Y, ON, "turned within a block"),
        ({"washout": 2}, Y, ON, "Settings out of range"),
        ({"level": 0.0}, Y, ON, "level is out of range"),
        ({"drawn": "coins"}, Y, ON, "Nobody knows"),
        ({}, Y, np.repeat([True, False], 12), "not given as declared"),
        ({}, Y, np.ones(24), "not given as declared"),
        ({"drawn": "shuffled"}, Y, np.ones(24), "not given as declared"),
        ({"drawn": "alternating"}, Y, np.repeat([True, False], 12), "not given as declared"),
        ({}, Y[:16], ON[:16], "With 8 blocks nothing can be told"),
        ({"drawn": "shuffled"}, Y[:8], ON[:8], "With 4 blocks nothing can be told"),
        ({"drawn": "alternating"}, Y[:12], ON[:12], "With 6 blocks nothing can be told"),
        ({"drawn": "alternating"}, np.resize([3.0, 3.0, 1.0, 1.0], 24), ON, "the same in every block"),
        ({}, np.ones(24), ON, "the same in every block of an arm"),
        ({"length": 2.0}, Y, ON, "Settings out of range"),
        ({"washout": 0.5}, Y, ON, "Settings out of range"),
        ({"draws": 2000.5}, Y, ON, "Settings out of range"),
        ({"seed": -1}, Y, ON, "Settings out of range"),
        ({}, Y * 4e307, ON, "too large"),
    ],
)
def test_bad_input_is_one_clear_error(read, outcome, on, words):
    with pytest.raises(BadInputError, match=words):
        Switchback(**({"length": 2} | read))(outcome, on)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Noise(0.0),
        lambda: Noise(1.0, 1.0),
        lambda: Noise.of([1.0, 2.0]),
        lambda: Noise.of([0.1] * 12),
        lambda: Noise.of(np.arange(12) * 0.1 + 0.1, np.arange(12) * 0.1),
        lambda: SwitchbackPower(power=1.0),
        lambda: SwitchbackPower(level=0.5, power=0.2),
        lambda: SwitchbackPower(drawn="coins"),
        lambda: SwitchbackPower()(Noise(1.0), 100, Estimate(0, 0, 0)),
        lambda: SwitchbackPower()(Noise(1.0), 5, TWO),
        lambda: SwitchbackPower()(Noise(1.0), 0, TWO),
        lambda: SwitchbackPower()(Noise(1.0), 100, TWO, washout=-1),
        lambda: SwitchbackPower()(Noise(1.0), 100, TWO, washout=4, length=4),
        lambda: SwitchbackPower()(Noise(1.0), 100, TWO, washout=60),
        lambda: SwitchbackPower()(Noise(1.0), 1000, Estimate(1, np.nan, np.nan)),
        lambda: SwitchbackPower()(Noise(1.0), 1000.5, TWO),
        lambda: SwitchbackPower()(Noise(1.0), np.nan, TWO),
        lambda: SwitchbackPower()(Noise(1.0), 1000, TWO, washout=1.5),
        lambda: SwitchbackPower()(Noise(1.0), 1000, TWO, length=2.5),
    ],
)
def test_bad_plans_are_one_clear_error(make):
    with pytest.raises(BadInputError):
        make()
