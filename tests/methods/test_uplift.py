"""Uplift: known truth by kind of outcome, second implementations, coverage, overlap, doses, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.stats import binom, t
from sklearn.isotonic import IsotonicRegression

from tradewind.errors import BadInputError
from tradewind.methods.uplift import Uplift
from tradewind.methods.uplift_effect import believed
from tradewind.methods.uplift_gains import calibration, not_falling

HALF = [0.5, 0.5]


def trial(rng, units=1500, effect="line", per=1):
    """A trial by halves; `per` units share a customer with a shock, and are treated together."""
    customer = np.arange(units) // per
    x = rng.normal(size=(units, 4))
    arm = rng.integers(0, 2, units // per + 1)[customer]
    truth = {
        "line": 1 + x[:, 0] - 0.5 * x[:, 1],
        "bend": 1 + 1.5 * np.abs(x[:, 0]),
        "none": np.ones(units),
        "pair": x[:, 0] * x[:, 1],
        "bent pair": np.maximum(x[:, 0], 0) * x[:, 1],
    }[effect]
    shock = rng.normal(size=units // per + 1)[customer] * (per > 1)
    y = 2 * x[:, 2] + x[:, 3] ** 2 + arm * truth + rng.normal(size=units) + shock
    return x, arm, y, truth, customer


def lifted(rng, units, kind):
    """Outcomes that a treatment lifts by a fifth to four fifths, the more the higher the first feature."""
    x = rng.normal(size=(units, 3))
    arm = rng.integers(0, 2, units)
    more = 0.5 + 0.3 * np.tanh(2 * x[:, 0])
    lift = 1 + arm * more
    base = np.exp(0.5 * x[:, 1])
    if kind == "binary":
        chance = 0.5 * base / (1 + base)
        return x, arm, (rng.random(units) < chance * lift).astype(float), chance * more
    if kind == "count":
        return x, arm, rng.poisson(base * lift).astype(float), base * more
    if kind == "money":
        return x, arm, base * lift * rng.lognormal(-0.32, 0.8, units), base * more
    chance = 0.5 * base / (1 + base)
    size = 20 * np.exp(0.2 * x[:, 2])
    paid = (rng.random(units) < chance * lift) * size * rng.lognormal(-0.045, 0.3, units)
    return x, arm, paid, chance * size * more


# Known truth.


@pytest.mark.parametrize(("effect", "most"), [("line", 0.25), ("bend", 0.4), ("pair", 0.35), ("bent pair", 0.3)])
def test_recovers_effects(effect, most):
    x, arm, y, truth, _ = trial(np.random.default_rng(1), 3000, effect)
    fit = Uplift(folds=3).fit(x, arm, y, HALF)
    assert np.sqrt(np.mean((fit.effect(x).mid[:, 0] - truth) ** 2)) < most * truth.std()
    assert fit.average[0].low < truth.mean() < fit.average[0].high
    assert fit.slope[0].low < 1 < fit.slope[0].high + 0.1


def test_trees_find_what_lines_cannot():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(12_000, 4))
    truth = np.where((x[:, 0] > 0.3) & (x[:, 1] < 0.5), 2.0, 0.0)
    arm = rng.integers(0, 2, len(x))
    fit = Uplift(folds=2).fit(x, arm, truth * arm + rng.normal(size=len(x)), HALF)
    assert np.sqrt(np.mean((fit.effect(x).mid[:, 0] - truth) ** 2)) < 0.3 * truth.std()


def test_one_effect_for_all_stays_one():
    x, arm, y, _, _ = trial(np.random.default_rng(3), 3000, "none")
    fit = Uplift(folds=2).fit(x, arm, y, HALF)
    found = fit.effect(x).mid[:, 0]
    assert found.std() < 0.08
    assert found.mean() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("kind", "told"), [
    ("binary", "binary"), ("count", "zero-inflated"), ("money", "amount"), ("zero-inflated", "zero-inflated"),
])  # fmt: skip
def test_every_kind_of_outcome(kind, told):
    errors = []
    for seed in (3, 4, 5):
        x, arm, y, truth = lifted(np.random.default_rng(seed), 8000, kind)
        fit = Uplift(folds=2).fit(x, arm, y, HALF)
        found = fit.effect(x).mid[:, 0]
        assert fit.kind == told
        assert fit.average[0].low < truth.mean() < fit.average[0].high
        assert np.corrcoef(found, truth)[0, 1] > 0.8
        errors.append(np.std(found - truth) / truth.std())
    assert np.mean(errors) < 0.55


def test_without_other_signs_gains_follow_what_units_do_anyhow():
    """One lift for all on a small trial: single effects cannot be seen, and the ranking is that of the base rate."""
    order = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(3000, 3))
        chance = 0.5 / (1 + np.exp(1.5 * x[:, 0]))
        arm = rng.integers(0, 2, 3000)
        y = (rng.random(3000) < chance * (1 + 0.3 * arm)).astype(float)
        order.append(np.corrcoef(Uplift(folds=2).fit(x, arm, y, HALF).effect(x).mid[:, 0], chance)[0, 1])
    assert np.median(order) > 0.9


def test_what_confounds_is_taken_out():
    rng = np.random.default_rng(6)
    x = rng.uniform(-2, 2, size=(4000, 3))
    chance = 1 / (1 + np.exp(-1.2 * x[:, 0]))
    arm = (rng.random(4000) < chance).astype(int)
    y = 3 * x[:, 0] + arm * (1 + x[:, 1]) + rng.normal(size=4000)
    fit = Uplift(folds=3).fit(x, arm, y)
    assert y[arm == 1].mean() - y[arm == 0].mean() > 2.5
    assert fit.average[0].mid == pytest.approx(1, abs=0.15)
    assert np.corrcoef(fit.effect(x).mid[:, 0], 1 + x[:, 1])[0, 1] > 0.97
    assert "no unit is left out" in fit.overlap[0].sentence


def test_several_arms_rise_with_face_value_where_asked():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(3000, 2))
    arm = rng.integers(0, 4, 3000)
    worth = np.array([0.0, 0.3, 0.25, 0.35])[arm] * (1 + x[:, 0])
    y = worth + rng.normal(size=3000)
    free = Uplift(folds=2).fit(x, arm, y, [0.25] * 4).effect(x)
    held = Uplift(folds=2, doses=[5, 20, 10]).fit(x, arm, y, [0.25] * 4).effect(x)
    rising = [0, 2, 1]
    assert (np.diff(free.mid[:, rising], axis=1) < 0).any()
    for values in (held.mid, held.low, held.high):
        assert (np.diff(values[:, rising], axis=1) >= -1e-12).all()
    assert (held.low <= held.mid).all()
    assert (held.mid <= held.high).all()


def test_categories_and_gaps_are_features_too():
    rng = np.random.default_rng(8)
    level = rng.integers(0, 6, 3000).astype(float)
    seen = rng.normal(size=3000)
    seen[rng.random(3000) < 0.3] = np.nan
    truth = np.array([0, 2, 0, 2, 0, 2.0])[level.astype(int)] + np.isnan(seen)
    arm = rng.integers(0, 2, 3000)
    x = np.column_stack([level, seen])
    fit = Uplift(folds=2, categorical=[0]).fit(x, arm, truth * arm + rng.normal(size=3000), HALF)
    assert np.sqrt(np.mean((fit.effect(x).mid[:, 0] - truth) ** 2)) < 0.25 * truth.std()
    level[:] = np.nan
    assert np.isfinite(fit.effect(x).mid).all()


def test_calibration_mends_scores_that_lie():
    x, arm, y, truth, _ = trial(np.random.default_rng(9), 4000)
    uplift = Uplift(folds=2)
    observed = uplift.observed(x, arm, y, HALF)
    gain, weight = observed.pair(1, "dr")
    everyone = np.ones(4000, bool)
    corners, slope, error = calibration(np.exp(truth), gain, weight, observed, everyone)
    assert slope < 0.5
    assert np.mean((np.interp(np.exp(truth), *corners) - truth) ** 2) < 0.1
    none, slope, error = calibration(truth, gain, weight, observed, everyone)
    assert none is None
    assert abs(slope - 1) < 3 * error


@pytest.mark.parametrize("features", ["one", "noise"])
def test_slope_is_around_nothing_where_nothing_is_told(features):
    """What was learnt without a fold runs opposite to the fold's own mean, which is no order of its units."""
    below = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = np.ones((400, 1)) if features == "one" else rng.normal(size=(400, 3))
        arm = rng.integers(0, 2, 400)
        slope = Uplift(seed=seed).fit(x, arm, arm + rng.normal(size=400), HALF, held_out=False).slope[0]
        below += slope.high < 0
        if features == "one":
            assert slope.mid == 0
    assert below <= binom.ppf(0.99, 12, 0.05)


def test_calibration_does_not_hang_on_rounding():
    x, arm, y, _, _ = trial(np.random.default_rng(24), 1000)
    uplift = Uplift(folds=2)
    observed = uplift.observed(x, arm, y, HALF)
    gain, weight = observed.pair(1, "dr")
    everyone = np.ones(1000, bool)
    fold = observed.folds.held[0]
    for seed in range(5):
        others = np.array([gain[fold != k].mean() for k in (0, 1)])[fold]
        said = others + 1e-12 * np.random.default_rng(seed).normal(size=1000)
        assert calibration(said, gain, weight, observed, everyone) == (None, 0.0, 0.0)


# Second implementations.


def test_average_agrees_with_regression_on_interactions():
    """Lin (2013): least squares with every centred feature times treatment, robust errors (statsmodels)."""
    x, arm, y, truth, _ = trial(np.random.default_rng(10), 3000)
    base = np.column_stack([x, x[:, 3] ** 2])
    base = base - base.mean(axis=0)
    fit = sm.OLS(y, np.column_stack([arm, np.ones(len(y)), base, base * arm[:, None]])).fit(cov_type="HC2")
    found = Uplift(folds=5).fit(x, arm, y, HALF).average[0]
    assert found.mid == pytest.approx(fit.params[0], abs=0.35 * fit.bse[0])
    # Ours is for units yet to come, and so counts that other units have other effects.
    assert (found.high - found.low) / 3.29 == pytest.approx(np.sqrt(fit.bse[0] ** 2 + truth.var() / 3000), rel=0.1)


def test_effects_agree_with_regression_on_interactions():
    x, arm, y, _, _ = trial(np.random.default_rng(11), 8000)
    base = np.column_stack([x, x[:, 3] ** 2])
    fit = sm.OLS(
        y, np.column_stack([np.ones(len(y)), base, arm[:, None] * np.column_stack([np.ones(len(y)), x])])
    ).fit()
    other = np.column_stack([np.ones(len(y)), x]) @ fit.params[6:]
    found = Uplift(folds=2).fit(x, arm, y, HALF).effect(x).mid[:, 0]
    assert np.sqrt(np.mean((found - other) ** 2)) < 0.1 * other.std()


def test_both_learners_agree():
    x, arm, y, _, _ = trial(np.random.default_rng(12), 2000)
    chance = np.clip(0.5 + 0.2 * x[:, 0], 0.2, 0.8)
    arm = (np.random.default_rng(13).random(2000) < chance).astype(int)
    y = 2 * x[:, 2] + arm * (1 + x[:, 0]) + np.random.default_rng(14).normal(size=2000)
    table = np.column_stack([1 - chance, chance])
    one, two = (Uplift(learner, folds=2).fit(x, arm, y, table).effect(x).mid[:, 0] for learner in ("dr", "r"))
    assert np.sqrt(np.mean((one - two) ** 2)) < 0.12
    assert np.sqrt(np.mean((two - 1 - x[:, 0]) ** 2)) < 0.25


def test_not_falling_agrees_with_isotonic_regression():
    rng = np.random.default_rng(15)
    values, weight = rng.normal(size=(40, 5)), rng.uniform(0.1, 3, size=(40, 5))
    other = [
        IsotonicRegression().fit(np.arange(5), v, w).predict(np.arange(5)) for v, w in zip(values, weight, strict=True)
    ]
    assert not_falling(values, weight) == pytest.approx(np.array(other))


@pytest.mark.parametrize("seed", range(6))
def test_shares_of_belief_agree_with_a_general_optimiser(seed):
    rng = np.random.default_rng(seed)
    gain, weight = rng.normal(size=400) + 1, rng.uniform(0.5, 2, 400)
    told = 1 + 0.3 * rng.normal(size=(3, 400)) + rng.uniform(0, 0.4, (3, 1)) * (gain - 1)

    def loss(w):
        return (weight @ (gain - w @ told) ** 2 + w @ [weight @ (gain - way) ** 2 for way in told]) / 800

    other = minimize(
        loss, np.full(3, 1 / 3), bounds=[(0, 1)] * 3, constraints={"type": "eq", "fun": lambda w: w.sum() - 1}
    )
    assert believed(told, gain, weight) == pytest.approx(other.x, abs=0.02)
    assert believed(1e-9 * told, 1e-9 * gain, weight) == pytest.approx(other.x, abs=0.02)


# Coverage.


@pytest.mark.parametrize(("effect", "per"), [("line", 1), ("line", 3)])
def test_average_intervals_cover(effect, per):
    runs, held, widths, errors = 40, 0, [], []
    for seed in range(runs):
        x, arm, y, _, customer = trial(np.random.default_rng(seed), 450, effect, per)
        found = Uplift(folds=2, seed=seed).fit(x, arm, y, HALF, cluster=customer).average[0]
        held += found.low <= 1 <= found.high
        widths.append(found.high - found.low)
        errors.append(found.mid - 1)
    low, high = binom.ppf([0.001, 0.999], runs, 0.9)
    assert low <= held <= high
    assert np.mean(widths) == pytest.approx(3.29 * np.std(errors), rel=0.25)


@pytest.mark.parametrize("effect", ["line", "bend", "bent pair", "none"])
def test_intervals_hold_the_effects_of_as_many_units_as_they_say(effect):
    """The share of units is what is promised; widths are held against the errors that were made."""
    held, widths, squares = [], [], []
    for seed in range(12):
        x, arm, y, truth, _ = trial(np.random.default_rng(100 + seed), 1200, effect)
        found = Uplift(folds=2, seed=seed).fit(x, arm, y, HALF).effect(x)
        held.append(np.mean((found.low[:, 0] <= truth) & (truth <= found.high[:, 0])))
        widths.append(np.mean(found.high - found.low))
        squares.append(np.mean((found.mid[:, 0] - truth) ** 2))
    assert np.mean(held) > 0.82
    # Where there is nothing to see, intervals still allow for what could be there.
    assert np.mean(widths) < (4 if effect == "none" else 1.8) * 3.29 * np.sqrt(np.mean(squares))
    assert np.mean(widths) > 0.75 * 3.29 * np.sqrt(np.mean(squares))


def test_few_clusters_treated_whole_have_few_degrees_of_freedom():
    """Four clusters an arm leave at most six, by which intervals grow faster with their level than a normal law's."""
    rng = np.random.default_rng(0)
    cluster = np.arange(160) // 20
    arm = rng.permutation(np.arange(8) % 2)[cluster]
    y = rng.normal(size=8)[cluster] + rng.normal(size=160)
    fits = [Uplift(folds=2, level=level).fit(np.ones((160, 1)), arm, y, HALF, cluster=cluster) for level in (0.9, 0.95)]
    one, two = (fit.average[0].high - fit.average[0].low for fit in fits)
    assert two / one > 0.999 * t.ppf(0.975, 6) / t.ppf(0.95, 6)


def test_a_small_arm_of_rare_money_proves_no_harm():
    harm = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        arm = rng.permutation(np.repeat([1, 0], [40, 360]))
        y = (rng.random(400) < 0.2) * rng.lognormal(3, 1.5, 400)
        harm += Uplift(folds=2).fit(np.ones((400, 1)), arm, y, [0.9, 0.1], held_out=False).average[0].high < 0
    assert harm <= binom.ppf(0.99, 30, 0.05)


# Overlap.


def test_trimming_is_said_aloud():
    rng = np.random.default_rng(16)
    x = rng.normal(size=(3000, 2))
    chance = np.clip(1 / (1 + np.exp(-4 * x[:, 0])), 0.001, 0.999)
    arm = (rng.random(3000) < chance).astype(int)
    y = x[:, 0] + arm + rng.normal(size=3000)
    fit = Uplift(folds=2, trim=0.05).fit(x, arm, y, np.column_stack([1 - chance, chance]))
    out = (chance < 0.05) | (chance > 0.95)
    assert fit.overlap[0].trimmed == pytest.approx(out.mean())
    assert f"{out.mean():.1%} of the units" in fit.overlap[0].sentence
    assert (np.isnan(fit.gains[:, 0]) == out).all()
    assert fit.average[0].low < 1 < fit.average[0].high


def test_same_seed_same_answer():
    x, arm, y, _, _ = trial(np.random.default_rng(17), 5000)
    one, two = (Uplift(folds=2, seed=3).fit(x, arm, y).effect(x) for _ in range(2))
    assert (one.mid == two.mid).all()
    assert (one.low == two.low).all()


def test_held_out_effects_do_not_know_their_own_outcome():
    """Where nothing is to be learnt, effects learnt from all follow the units' own luck, held-out effects do not."""
    known, blind = [], []
    for seed in range(16):
        x, arm, y, _, _ = trial(np.random.default_rng(seed), 300, "none")
        fit = Uplift(folds=2, seed=seed).fit(x, arm, y, HALF)
        luck = fit.gains[:, 0] - 1
        known.append(np.mean((fit.effect(x).mid[:, 0] - 1) * luck))
        blind.append(np.mean((fit.held_out.mid[:, 0] - 1) * luck))
    assert np.mean(known) > 3 * np.std(known) / 4
    assert np.mean(blind) < 2 * np.std(blind) / 4


# Edges and bad input.


@pytest.mark.parametrize("odd", ["huge", "tiny", "one payer", "one feature that never varies"])
def test_odd_data_gives_numbers(odd):
    x, arm, y, _, _ = trial(np.random.default_rng(19), 200)
    x, y = {
        "huge": (x * 1e8, y * 1e12),
        "tiny": (x * 1e-8, y * 1e-12),
        "one payer": (x, np.r_[1e6, np.zeros(199)]),
        "one feature that never varies": (np.ones((200, 1)), y),
    }[odd]
    fit = Uplift(folds=2).fit(x, arm, y, HALF)
    found = fit.effect(x)
    assert np.isfinite(found.mid).all()
    assert (found.low <= found.mid).all()
    assert (found.mid <= found.high).all()
    assert np.isfinite(fit.average[0].mid)


def test_answers_follow_ids_not_the_order_of_rows():
    x, arm, y, _, _ = trial(np.random.default_rng(22), 300)
    ids, order = np.arange(300), np.random.default_rng(23).permutation(300)
    one = Uplift(folds=2).fit(x, arm, y, HALF, unit=ids).average[0]
    two = Uplift(folds=2).fit(x[order], arm[order], y[order], HALF, unit=ids[order]).average[0]
    assert two.mid == pytest.approx(one.mid, abs=1e-4)


def test_all_treated_buying_and_nobody_else_gives_numbers():
    rng = np.random.default_rng(25)
    arm = np.tile([0, 1], 200)
    fit = Uplift(folds=2).fit(rng.normal(size=(400, 2)), arm, arm * rng.lognormal(0, 1, 400), HALF)
    assert np.isfinite(fit.held_out.high).all()
    assert fit.average[0].low > 0


def test_scale_does_not_matter():
    x, arm, y, _, _ = trial(np.random.default_rng(20), 600)
    one, two = (Uplift(folds=2).fit(x, arm, v, HALF).effect(x) for v in (y, 1000 * y))
    assert two.mid == pytest.approx(1000 * one.mid, rel=0.01, abs=5)


def good():
    x, arm, y, _, _ = trial(np.random.default_rng(21), 100)
    return {"x": x, "arm": arm, "y": y, "propensity": HALF}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arm": np.zeros(100)}, "one arm"),
        ({"arm": np.r_[np.zeros(50), np.full(50, 2)]}, "without gaps"),
        ({"arm": np.r_[np.zeros(97), np.ones(3)]}, "too few units"),
        ({"arm": np.full(100, 0.5)}, "whole numbers"),
        ({"y": np.ones(100)}, "constant"),
        ({"y": np.r_[np.nan, np.ones(99)]}, "number"),
        ({"y": np.ones(99)}, "number"),
        ({"unit": np.r_[0, np.arange(99)]}, "more than once"),
        ({"unit": np.arange(99)}, "ids"),
        ({"unit": [None, *range(99)]}, "missing"),
        ({"unit": ["a", *range(99)]}, "one kind"),
        ({"cluster": np.zeros(100)}, "fewer units"),
        ({"cluster": "as treated"}, "nothing can be told"),
        ({"y": "as treated"}, "same for everybody"),
        ({"y": np.arange(100) * 1e39}, "too large"),
        ({"y": np.arange(100) * 1e-300}, "too large or too small"),
        ({"x": np.arange(100.0)[:, None] * 1e-300}, "too large or too small"),
        ({"x": [["a"]] * 100}, "not a number"),
        ({"y": ["a"] * 100}, "not a number"),
        ({"arm": np.r_[1e300, np.ones(99)]}, "whole numbers"),
        ({"arm": np.r_[10**9, np.arange(99) % 2]}, "without gaps"),
        ({"propensity": ["a", "b"]}, "not a number"),
        ({"x": np.full((100, 2), np.inf)}, "infinite"),
        ({"x": np.ones(100)}, "table"),
        ({"propensity": [0.5]}, "do not fit"),
        ({"propensity": [0.7, 0.7]}, "not chances"),
        ({"propensity": [0.0, 1.0]}, "no chance"),
        ({"propensity": [0.001, 0.999]}, "overlap"),
        ({"propensity": None, "arm": "by a feature"}, "overlap"),
    ],
)
def test_bad_input_is_one_clear_error(change, words):
    given = good() | change
    given = {k: given["arm"] * 1.0 if isinstance(v, str) and v == "as treated" else v for k, v in given.items()}
    if isinstance(given["arm"], str):
        given |= {"x": np.linspace(-1, 1, 400)[:, None], "arm": np.arange(400) >= 200, "y": np.arange(400.0) % 7}
        given["arm"] = given["arm"].astype(int)
    with pytest.raises(BadInputError, match=words):
        Uplift(folds=2).fit(**given)


@pytest.mark.parametrize(
    "settings",
    [
        {"learner": "x"}, {"level": 1}, {"level": "x"}, {"trim": 0.5}, {"trim": "x"}, {"doses": [5, 5]},
        {"doses": [np.nan]}, {"doses": ["x"]}, {"folds": 1}, {"folds": 2.5}, {"repeats": 1.5}, {"seed": -1},
        {"seed": 1.5}, {"seed": None}, {"trim": [0.1]}, {"categorical": 0}, {"categorical": "a"},
        {"categorical": [0.5]}, {"categorical": [-1]},
    ],
)  # fmt: skip
def test_bad_settings(settings):
    with pytest.raises(BadInputError):
        Uplift(**settings)


def test_new_units_need_the_same_features():
    fit = Uplift(folds=2).fit(**good())
    with pytest.raises(BadInputError):
        fit.effect(np.ones((3, 2)))
    with pytest.raises(BadInputError):
        Uplift(folds=2, doses=[1, 2]).fit(**good())


def test_one_face_value_is_a_face_value():
    assert Uplift(doses=5).doses == (5.0,)
