"""Calibration: known truth, two second implementations, coverage with width, and the winner's curse."""

import numpy as np
import pytest
import statsmodels.api as sm

from tradewind.errors import BadInputError
from tradewind.methods.calibration import Calibration
from tradewind.study import Estimate

Z = 1.6448536269514722
CENTRE = -0.33410045  # of the logarithm of widths before any reading, so that nine in ten hold (see the test of it)


def predicted(rng, each):
    """Middle, spread and reading's error of launches."""
    mid = rng.lognormal(3, 1, each)
    return mid, mid * rng.uniform(0.2, 0.5, each), mid * rng.uniform(0.5, 1.5, each)


def own(mid, spread, told):
    """What is a launch's own of its spread, in a lever whose launches spread so much for each unit of gain."""
    return np.sqrt(spread**2 - np.minimum(variance(told) * mid**2, 0.15 * spread**2))


def variance(told):
    """Variance of a lever's factor before any reading."""
    return np.clip(np.minimum(0.5 * told**2, 0.5).mean(), 0.01, 0.5)


def launches(rng, factors, widths, each, noise=0.4):
    """Launches of a lever for each factor: predicted, and proven as the model says."""
    parts = []
    for number, (f, w) in enumerate(zip(factors, widths, strict=True)):
        mid, spread, error = predicted(rng, each)
        truth = f * mid + w * own(mid, spread, spread / mid) * rng.standard_normal(each)
        reading = truth + noise * error * rng.standard_normal(each)
        parts.append(([f"lever {number}"] * each, mid, mid - Z * spread, mid + Z * spread, reading, noise * error))
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def test_recovers_a_known_truth():
    found = Calibration()(*launches(np.random.default_rng(1), [0.4, 1.2], [2.0, 0.7], 600))
    for name, factor, width in (("lever 0", 0.4, 2.0), ("lever 1", 1.2, 0.7)):
        assert found.levers[name].factor.mid == pytest.approx(factor, abs=0.06)
        assert found.levers[name].width.mid == pytest.approx(width, rel=0.1)
        assert found.levers[name].readings == 600


def test_widths_are_such_that_intervals_hold_before_any_reading():
    rng = np.random.default_rng(0)
    widths = np.exp(rng.normal(CENTRE, np.hypot(0.6, 0.3), 1_000_000))
    assert (widths * np.abs(rng.standard_normal(1_000_000)) < Z).mean() == pytest.approx(0.9, abs=0.001)


def test_readings_that_tell_nothing_change_next_to_nothing():
    told = [Estimate(10.0, 5.0, 15.0), Estimate(10.0, 4.0, 30.0), Estimate(-3.0, -9.0, 3.0), Estimate(0.0, -5.0, 5.0)]
    for count in (1, 6, 40):
        effects = 1e4 * np.random.default_rng(count).standard_normal(count)
        found = Calibration()(["x"] * count, [10.0] * count, [5.0] * count, [15.0] * count, effects, [1e4] * count)
        for lever in "xy":
            for before, after in zip(told, found.each([lever] * 4, told), strict=True):
                assert after.mid == pytest.approx(before.mid, rel=0.02)
                for side in ("low", "high"):  # at most a fifth further off
                    off = getattr(before, side) - before.mid
                    assert 0.93 < (getattr(after, side) - before.mid) / off < 1.25


def test_agrees_with_weighted_least_squares_where_readings_decide():
    # without width of the predictions' own, all that is not explained is the readings' error
    lever, mid, _, _, effect, error = launches(np.random.default_rng(2), [0.6], [0.0], 20_000)
    found = Calibration(draws=20_000)(lever, mid, mid, mid, effect, error).levers["lever 0"].factor
    peer = sm.WLS(effect, mid, weights=1 / error**2).fit(cov_type="fixed scale")
    assert found.mid == pytest.approx(peer.params[0], rel=0.002)
    assert (found.high - found.low) == pytest.approx(2 * Z * peer.bse[0], rel=0.05)


def test_agrees_with_draws_from_the_prior_weighted_by_their_likelihood():
    rng = np.random.default_rng(3)
    lever, mid, low, high, effect, error = launches(rng, [0.3, 0.8], [1.5, 1.5], 3)
    count, spread = 400_000, (high - low) / (2 * Z)
    told = [spread[:3] / mid[:3], spread[3:] / mid[3:]]
    # of a lever without readings too, whose factor varies as those of the others in the mean
    v = np.array([*map(variance, told), np.mean([*map(variance, told)])])[:, None]
    w = np.exp(rng.normal(CENTRE, 0.6, count) + 0.3 * rng.standard_normal((3, count)))
    f = 1 + w * np.sqrt(v / 2) * (rng.standard_normal(count) + rng.standard_normal((3, count)))
    logs = np.zeros(count)
    for i in range(6):
        square = (w[i // 3] * own(mid[i], spread[i], told[i // 3])) ** 2 + error[i] ** 2
        logs -= 0.5 * ((effect[i] - f[i // 3] * mid[i]) ** 2 / square + np.log(square))
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    found = Calibration(draws=20_000)(lever, mid, low, high, effect, error)
    errors = np.abs(w * rng.standard_normal(count))
    for number, name in enumerate(("lever 0", "lever 1", "another")):
        worth, peer = found.of(name), weight @ f[number]
        deviation = np.sqrt(weight @ (f[number] - peer) ** 2)
        order = np.argsort(errors[number])
        held = errors[number][order][np.searchsorted(np.cumsum(weight[order]), 0.9)] / Z
        assert worth.factor.mid == pytest.approx(peer, abs=0.02)
        assert worth.factor.high - worth.factor.low == pytest.approx(2 * Z * deviation, rel=0.1)
        assert worth.width.mid == pytest.approx(held, rel=0.06)


def test_intervals_cover_as_often_as_they_say():
    """Truths come from the prior, so that 90 % is owed exactly: of factors, widths and what the next launch brings."""
    runs, held, ratios = 120, np.zeros(3), []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        centre, common = rng.normal(CENTRE, 0.6), rng.standard_normal()
        parts, truths = [], []
        for number in range(2):
            mid, spread, error = predicted(rng, 7)
            told = spread[:6] / mid[:6]
            w = np.exp(rng.normal(centre, 0.3))
            f = 1 + w * np.sqrt(variance(told) / 2) * (common + rng.standard_normal())
            truth = f * mid + w * own(mid, spread, told) * rng.standard_normal(7)
            reading = truth + 0.4 * error * rng.standard_normal(7)
            rows = ([f"lever {number}"] * 7, mid, mid - Z * spread, mid + Z * spread, reading, 0.4 * error)
            parts.append([each[:6] for each in rows])
            truths.append((f, w, truth[6], Estimate(mid[6], rows[2][6], rows[3][6])))
        found = Calibration(draws=1000)(*(np.concatenate(each) for each in zip(*parts, strict=True)))
        for number, (f, w, truth, new) in enumerate(truths):
            worth, calibrated = found.levers[f"lever {number}"], found(f"lever {number}", new)
            held += [
                estimate.low <= value <= estimate.high
                for estimate, value in ((worth.factor, f), (worth.width, w), (calibrated, truth))
            ]
            ratios.append((calibrated.high - calibrated.low) / (w * (new.high - new.low)))
    # 240 of each: within three standard errors of 90 %
    assert (np.abs(held / (2 * runs) - 0.9) < 0.06).all()
    # no wider than what is not known of factor and width from six launches asks for
    assert 0.9 < np.median(ratios) < 1.4


def test_the_winners_curse_is_taken_off_by_what_was_chosen():
    """Chosen are the highest predictions: what the chosen ones proved mends the next choice, not what all proved."""
    rng, promised, from_chosen, from_all, came = np.random.default_rng(5), 0.0, 0.0, 0.0, 0.0

    def candidates():
        truth = 20 + 10 * rng.standard_normal(400)
        mid = truth + 15 * rng.standard_normal(400)
        return truth, mid, np.argsort(-mid)[:40]

    def learnt(truth, mid):
        error = np.full(len(mid), 5.0)
        effect = truth + error * rng.standard_normal(len(mid))
        found = Calibration(draws=1000)(["x"] * len(mid), mid, mid - Z * 15, mid + Z * 15, effect, error)
        return found.of("x").factor.mid

    for _ in range(10):
        truth, mid, chosen = candidates()
        factors = learnt(truth[chosen], mid[chosen]), learnt(truth, mid)
        truth, mid, chosen = candidates()
        promised, came = promised + mid[chosen].sum(), came + truth[chosen].sum()
        from_chosen, from_all = from_chosen + factors[0] * mid[chosen].sum(), from_all + factors[1] * mid[chosen].sum()
    assert promised > 1.4 * came
    assert from_chosen == pytest.approx(came, rel=0.05)
    assert from_all > 1.08 * came


def test_without_readings_predictions_stay_and_say_so():
    found = Calibration()([], [], [], [], [], [])
    predicted = Estimate(10.0, 5.0, 30.0, 0.8)
    assert found("coupon", predicted) == predicted
    assert (found.of("coupon").factor.mid, found.of("coupon").width.mid) == (1.0, 1.0)
    assert found.of("coupon").readings == 0
    assert found.said("coupon") == "not calibrated yet"


def test_a_lever_without_readings_takes_what_others_proved():
    found = Calibration()(*launches(np.random.default_rng(6), [0.3] * 5, [1.5] * 5, 10))
    assert found.said("price") == "not calibrated yet; taken from what other levers proved"
    assert found.said("lever 1") == "calibrated on 10 proven launches"
    own, borrowed = found.of("lever 1").factor, found.of("price").factor
    assert 0.15 < borrowed.mid < 0.6
    assert borrowed.high - borrowed.low > own.high - own.low
    assert found("price", Estimate(10.0, 5.0, 15.0)).mid == pytest.approx(10 * borrowed.mid)


def test_a_lever_with_few_readings_leans_on_the_others():
    rng = np.random.default_rng(7)
    many = launches(rng, [0.5, 0.5, 0.5, 0.5], [1.0] * 4, 20, 0.2)
    one = (["new"], [10.0], [6.0], [14.0], [20.0], [8.0])
    together = Calibration()(*(np.concatenate([a, b]) for a, b in zip(many, one, strict=True)))
    alone = Calibration()(*one)
    assert 0.4 < together.of("new").factor.mid < 0.9 < alone.of("new").factor.mid


def test_a_loss_stays_a_loss_and_units_do_not_matter():
    data = launches(np.random.default_rng(8), [0.5], [1.0], 8)
    found = Calibration()(*data)
    gain, loss = found("lever 0", Estimate(10.0, 5.0, 15.0)), found("lever 0", Estimate(-10.0, -15.0, -5.0))
    assert loss.mid == -gain.mid
    assert loss.low < loss.mid < loss.high
    cents = Calibration()(data[0], *(100 * each for each in data[1:]))
    assert cents.of("lever 0").factor.mid == pytest.approx(found.of("lever 0").factor.mid, rel=1e-6)
    assert cents("lever 0", Estimate(1000.0, 500.0, 1500.0)).high == pytest.approx(100 * gain.high, rel=1e-6)
    assert Calibration()(*data)("lever 0", Estimate(10.0, 5.0, 15.0)) == gain


def test_many_predictions_at_once_are_what_each_is_alone():
    rng = np.random.default_rng(10)
    data, off = launches(rng, [0.4, 1.2], [2.0, 0.7], 5), []
    found, again = Calibration()(*data), Calibration(seed=1)(*data)
    ends = np.sort(np.concatenate([rng.normal(0, 1, (1500, 3)), np.zeros((10, 3)), rng.normal(0, 1e6, (500, 3))]))
    told = [
        Estimate(mid, low, high, level)
        for (low, mid, high), level in zip(ends, rng.uniform(0.5, 0.99, 2010), strict=True)
    ]
    told += [Estimate(1.0, 1.0, 1.0), Estimate(-1.0, -1.0, -1.0)]
    levers = ["lever 0" if n % 8 else "another" for n in range(len(told))]
    for one, lever, estimate in zip(found.each(levers, told), levers, told, strict=True):
        alone = found(lever, estimate)
        size = max(alone.high - alone.low, abs(alone.mid), 1e-12)
        assert (one.mid, one.level) == (alone.mid, alone.level)
        assert one.low == pytest.approx(alone.low, abs=6e-3 * size)
        assert one.high == pytest.approx(alone.high, abs=6e-3 * size)
        other = again(lever, estimate) if rng.random() < 0.1 else None
        off += [] if other is None else [(abs(one.high - alone.high) / size, abs(other.high - alone.high) / size)]
    assert np.mean(off, axis=0)[0] < 0.1 * np.mean(off, axis=0)[1]  # far less than what other draws would change
    few = found.each(levers[:9], told[:9])
    assert few == [found(lever, estimate) for lever, estimate in zip(levers[:9], told[:9], strict=True)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: {**d, "effect": d["effect"][:-1]}, "do not fit"),
        (lambda d: {**d, "lever": ["", *d["lever"][1:]]}, "names no lever"),
        (lambda d: {**d, "lever": [None, *d["lever"][1:]]}, "names no lever"),
        (lambda d: {**d, "lever": "abc"}, "one by one"),
        (lambda d: {**d, "mid": ["a"] * 3}, "not a number"),
        (lambda d: {**d, "low": d["mid"], "high": d["mid"], "error": d["error"] * 1e-300}, "too exactly"),
        (lambda d: {**d, "mid": d["mid"] * np.nan}, "not finite"),
        (lambda d: {**d, "effect": d["effect"] * np.inf}, "not finite"),
        (lambda d: {**d, "low": d["high"], "high": d["low"]}, "outside its own interval"),
        (lambda d: {**d, "error": d["error"] * 0}, "not above zero"),
    ],
)
def test_bad_input_is_one_clear_error(change, words):
    names = ("lever", "mid", "low", "high", "effect", "error")
    data = dict(zip(names, launches(np.random.default_rng(9), [1.0], [1.0], 3), strict=True))
    with pytest.raises(BadInputError, match=words):
        Calibration()(**change(data))


@pytest.mark.parametrize(
    "settings", [{"level": 0.0}, {"level": 1.0}, {"draws": 10}, {"level": "high"}, {"seed": -1}, {"seed": 1.5}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(BadInputError, match="out of range"):
        Calibration(**settings)


@pytest.mark.parametrize("absurd", [1e4, -1e4, 1e6, -1e6])
def test_one_absurd_reading_does_not_carry_a_plan_away(absurd):
    """A fault of one reading, such as an order in another currency, beside twenty that came true."""
    rng = np.random.default_rng(0)

    def learnt(effects):
        count = len(effects)
        ends = [100.0] * count, [100 - Z * 30] * count, [100 + Z * 30] * count
        return Calibration()(["x"] * count, *ends, effects, [20.0] * count).levers["x"]

    usual = (100 + np.hypot(30, 20) * rng.standard_normal(20)).tolist()
    found = learnt([*usual, absurd])
    assert 0.7 < found.factor.mid < 1.3
    assert found.width.mid > learnt(usual).width.mid, "it does say that predictions are poor"
    assert -1 < learnt([absurd]).factor.mid < 3


def test_what_brought_nothing_counts_whole_however_surely_it_was_promised():
    for effect, factor in ((0.0, 0.0), (-100.0, -1.0), (300.0, 3.0)):
        found = Calibration()(["x"] * 20, [100.0] * 20, [99.0] * 20, [101.0] * 20, [effect] * 20, [1.0] * 20)
        assert found.levers["x"].factor.mid == pytest.approx(factor, abs=0.02)


def test_money_of_any_size_is_calibrated_alike():
    lever, *data = launches(np.random.default_rng(11), [0.5], [1.0], 8)
    found = Calibration()(lever, *data).of("lever 0")
    for size in (1e-120, 1e120):
        scaled = Calibration()(lever, *(each * size for each in data)).of("lever 0")
        assert scaled.factor.mid == pytest.approx(found.factor.mid, rel=1e-6)
        assert scaled.width.high == pytest.approx(found.width.high, rel=1e-6)
    calibrated = Calibration()(lever, *data)
    for size in (1e-200, 1e200):
        one, other = (calibrated("lever 0", Estimate(10 * s, 5 * s, 15 * s)) for s in (1.0, size))
        assert (other.low, other.high) == (pytest.approx(one.low * size), pytest.approx(one.high * size))


def test_predictions_that_cannot_be_used_are_refused():
    found = Calibration()(*launches(np.random.default_rng(12), [0.5], [1.0], 3))
    one = Estimate(1.0, 0.0, 2.0)
    for levers, predicted, words in (
        (["a"], [Estimate(1.0, -np.inf, np.inf)], "not finite"),
        (["a"], [Estimate(np.nan, 0.0, 1.0)], "not finite"),
        (["a", "b"], [one], "one prediction for each"),
        (["a"], [one, one], "one prediction for each"),
        ([None], [one], "names no lever"),
        ("a", [one], "one by one"),
    ):
        with pytest.raises(BadInputError, match=words):
            found.each(levers, predicted)
