"""Cross-fitting: known truth, second implementations, coverage of an interval that rests on it, and folds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binom, multivariate_normal
from sklearn.linear_model import LogisticRegression

from tradewind.errors import BadInputError
from tradewind.methods.additive import DOUBT, HEAVY, SURFACES, Basis, additive, moments, shrink
from tradewind.methods.crossfit import Crossfit
from tradewind.methods.learner import Learner


def plm(rng, rows, effect=1.0, per=1):
    """A partially linear model with strong confounding; `per` rows share a customer, and a shock."""
    customers = rows // per
    customer = np.repeat(np.arange(customers), per)
    x = rng.uniform(-1.7, 1.7, size=(customers, 3))[customer]
    bend = np.sin(2 * x[:, 0]) + x[:, 1] ** 2 / 2
    d = bend + rng.normal(size=rows) + rng.normal(size=customers)[customer] * (per > 1)
    y = effect * d + bend + rng.normal(size=rows) + rng.normal(size=customers)[customer] * (per > 1)
    return x, d, y, customer


def residual_on_residual(crossfit, x, d, y, customer):
    folds = crossfit.split(len(y), cluster=customer)
    ry, rd = (v - crossfit.mean(folds, x, v).values for v in (y, d))
    mids, variances = [], []
    for out, into in zip(ry, rd, strict=True):
        mids.append(float(into @ out / (into @ into)))
        variances.append(folds.variance(into * (out - mids[-1] * into) / np.mean(into**2)))
    centre = float(np.median(mids))  # Chernozhukov et al. (2018), definition 3.3
    return centre, float(np.median(np.array(variances) + (np.array(mids) - centre) ** 2))


# Known truth.


def test_recovers_an_effect_that_confounding_hides():
    x, d, y, customer = plm(np.random.default_rng(1), 4000)
    naive = np.polyfit(d, y, 1)[0]
    mid, variance = residual_on_residual(Crossfit(folds=3), x, d, y, customer)
    assert naive > 1.3
    assert mid == pytest.approx(1.0, abs=0.08)
    assert variance**0.5 == pytest.approx(1 / np.sqrt(4000), rel=0.15)


def test_a_mean_is_learnt_and_noise_is_not():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4000, 4))
    x[rng.random(4000) < 0.2, 3] = np.nan
    truth = np.where(np.isnan(x[:, 3]), 1.0, 0.0) + np.abs(x[:, 0]) * (x[:, 1] > 0) * 2
    crossfit = Crossfit(folds=2)
    folds = crossfit.split(4000)
    learnt = crossfit.mean(folds, x, truth + rng.normal(size=4000))
    assert np.mean((learnt.values[0] - truth) ** 2) < 0.12 * truth.var()
    nothing = crossfit.mean(folds, x, rng.normal(size=4000))
    assert -0.01 < nothing.skill < 0.005
    assert nothing.values.std() < 0.05


def test_trees_find_what_lines_cannot():
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, size=(20_000, 4))
    truth = np.sign(x[:, 0] * x[:, 1] * x[:, 2])  # no line, bend or pair tells anything of it
    y = truth + rng.normal(size=len(x))
    skills = {}
    for kind in ("linear", "auto"):
        crossfit = Crossfit(folds=2, learner=kind)
        skills[kind] = crossfit.mean(crossfit.split(len(x)), x, y).skill
    assert skills["linear"] < 0.05
    assert skills["auto"] > 0.25


def test_levels_of_a_category_are_pooled():
    rng = np.random.default_rng(4)
    level = rng.integers(0, 25, 500)
    level[:3] = 29  # a level of three rows
    truth = rng.normal(size=30)[level]
    y = truth + 3 * rng.normal(size=500)
    x = np.column_stack([level, rng.normal(size=500)]).astype(float)
    learnt = Learner("linear", categorical=[0]).mean(x, y, np.arange(500)).predict(x)
    plain = np.array([y[level == k].mean() for k in level])
    assert np.mean((learnt - truth) ** 2) < 0.8 * np.mean((plain - truth) ** 2)
    assert np.mean((learnt - truth) ** 2) < 0.7 * truth.var()


# Second implementations.


def test_spreads_maximise_the_evidence():
    """The spreads found by fixed points are those that maximise marginal likelihood and prior directly."""
    rng = np.random.default_rng(5)
    x = rng.integers(0, 2, size=(250, 3)).astype(float)
    y = x @ [1.0, 1.5, -0.6] + rng.normal(size=250)
    basis = Basis.of(x, pairs=False)
    found = shrink(basis, moments(basis, x, y))
    design = basis.design(x).astype(float)

    def loss(log):
        spread, noise = np.exp(log[:3]), np.exp(log[3])
        cover = design * spread @ design.T + noise * np.eye(250) + 100.0
        common = (1 - DOUBT / (3 * HEAVY)) / np.mean(1 / spread)  # where it is at its best
        law = HEAVY / 2 * (log[:3] + common / spread - np.log(common)).sum() + DOUBT / 2 * np.log(common)
        return law - multivariate_normal.logpdf(y, np.zeros(250), cover)

    best = np.exp(minimize(loss, [-1, -1, -1, 0.5], method="L-BFGS-B", bounds=[(-4, 4)] * 4).x)
    assert [*found.prior[1:], found.noise] == pytest.approx(list(best), rel=0.1)
    cover = design * found.prior[1:] @ design.T + found.noise * np.eye(250) + found.prior[0]
    posterior = design * found.prior[1:] @ design.T + found.prior[0]
    assert found.predict(x) == pytest.approx(posterior @ np.linalg.solve(cover, y), abs=0.01)


def test_out_of_fold_values_are_those_of_a_plain_loop():
    x, _, y, _ = plm(np.random.default_rng(6), 900)
    crossfit = Crossfit(folds=3, repeats=2, seed=4)
    folds = crossfit.split(900)
    found = crossfit.mean(folds, x, y, among=y > -2)
    for repeat in range(2):
        for fold in range(3):
            teach = (folds.held[repeat] != fold) & (y > -2)
            model = Learner(seed=4).mean(x[teach], y[teach], np.flatnonzero(teach))
            held = folds.held[repeat] == fold
            assert found.values[repeat, held] == pytest.approx(model.predict(x[held]), abs=1e-5)


def test_a_column_that_is_mostly_missing_keeps_its_range_and_bends():
    rng = np.random.default_rng(8)
    x = np.full((300_000, 1), np.nan)
    x[rng.choice(len(x), 60, replace=False), 0] = np.linspace(12, 283, 60)
    number = Basis.of(x).numbers[0]
    assert number.low < 20
    assert number.high > 275
    assert len(number.knots) == 10


def test_surfaces_are_products_of_lines_levels_and_bends():
    rng = np.random.default_rng(10)
    x = np.column_stack([rng.normal(size=(500, 2)), rng.integers(0, 2, 500), rng.integers(0, 3, 500)])
    x[::50, 1] = np.nan
    basis = Basis.of(x, categorical=[3], surfaces=True)
    first, second, flag = (number.line(x.T.copy()) for number in basis.numbers)
    one, two = (
        [line, *(np.maximum(line, knot) - knot for knot in number.knots[[2, 4, 7]])]
        for line, number in zip((first, second), basis.numbers, strict=False)
    )
    levels = [x[:, 3] == level for level in basis.categories[0].levels]
    by_hand = [a * b for a in one for b in two][1:]
    by_hand += [a * flag for a in one[1:]] + [a * b for a in one[1:] for b in levels]
    by_hand += [a * flag for a in two[1:]] + [a * b for a in two[1:] for b in levels]
    surfaces = basis.design(x)[:, basis.block == SURFACES]
    assert surfaces == pytest.approx(np.column_stack(by_hand) - np.mean(by_hand, axis=1), abs=1e-5)
    assert np.unique(basis.family[basis.block == SURFACES], return_counts=True)[1].tolist() == [15, 3, 9, 3, 9]
    assert SURFACES not in Basis.of(rng.normal(size=(100, 15)), surfaces=True).block  # too many features
    assert SURFACES not in Basis.of(x, categorical=[3]).block


def test_no_rows_have_no_moments():
    x = np.random.default_rng(9).normal(size=(100, 2))
    basis = Basis.of(x)
    whole = moments(basis, x, x[:, 0]) + moments(basis, x[:0], x[:0, 0])
    assert whole.count == 100
    assert whole.gram == pytest.approx(moments(basis, x, x[:, 0]).gram)


def test_chances_agree_with_a_logistic_regression():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(6000, 2))
    score = np.column_stack([np.zeros(6000), x[:, 0], 1 - x[:, 1]])
    truth = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    label = (rng.random((6000, 1)) > truth.cumsum(axis=1)).sum(axis=1)
    crossfit = Crossfit(folds=2)
    found = crossfit.chances(crossfit.split(6000, strata=label), x, label)
    other = LogisticRegression(C=np.inf).fit(x, label).predict_proba(x)
    assert found.values[0].sum(axis=1) == pytest.approx(np.ones(6000))
    assert np.sqrt(np.mean((found.values[0] - other) ** 2)) < 0.03
    assert found.predict(x[:5]).shape == (5, 3)
    assert found.skill > 0.1


# Coverage.


@pytest.mark.parametrize("per", [1, 5])
def test_intervals_that_rest_on_it_cover(per):
    """Rows of a customer share features and shocks: folds and variances must follow the customer."""
    runs, held, widths, errors = 60, 0, [], []
    for seed in range(runs):
        x, d, y, customer = plm(np.random.default_rng(seed), 1500, per=per)
        mid, variance = residual_on_residual(Crossfit(folds=2, seed=seed, learner="linear"), x, d, y, customer)
        held += abs(mid - 1) < 1.645 * variance**0.5
        widths.append(2 * 1.645 * variance**0.5)
        errors.append(mid - 1)
    low, high = binom.ppf([0.005, 0.995], runs, 0.9)
    assert low <= held <= high
    assert np.mean(widths) == pytest.approx(2 * 1.645 * np.std(errors), rel=0.25)


def test_lines_too_weak_to_be_seen_are_in_the_intervals():
    """Each line is as steep as its standard error; taken to be nothing, 0.68 of the means would be held."""
    held = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(400, 3))
        truth = 0.05 * (x @ rng.choice([-1.0, 1.0], 3))
        mean, variance = additive(Basis.of(x, pairs=False), x, truth + rng.normal(size=400)).law(x)
        held.append(np.mean(np.abs(mean - truth) < 1.645 * np.sqrt(variance)))
    assert 0.78 < np.mean(held) < 0.95


# Folds.


def test_clusters_do_not_straddle_folds_and_strata_are_even():
    rng = np.random.default_rng(8)
    cluster = rng.integers(0, 400, 5000)
    arm = rng.integers(0, 3, 5000) * (rng.random(5000) < 0.3)
    folds = Crossfit(folds=4, repeats=3).split(5000, cluster)
    for held in folds.held:
        assert all(len(np.unique(held[cluster == c])) == 1 for c in range(400))
        assert np.ptp(np.bincount(held)) < 60
    alone = Crossfit(folds=4).split(5000, strata=arm)
    for k in range(3):
        assert np.ptp(np.bincount(alone.held[0][arm == k], minlength=4)) <= 2


def test_folds_follow_ids_not_the_order_of_rows():
    ids = np.array([f"customer {k}" for k in range(300)])
    order = np.random.default_rng(9).permutation(300)
    first = Crossfit(seed=3).split(300, ids).held[0]
    second = Crossfit(seed=3).split(300, ids[order]).held[0]
    assert (second == first[order]).all()
    assert (Crossfit(seed=4).split(300, ids).held[0] != first).any()


def test_same_seed_same_answer():
    x, _, y, _ = plm(np.random.default_rng(10), 1500)
    crossfit = Crossfit(folds=2, seed=1)
    one, two = (crossfit.mean(crossfit.split(1500), x, y).values for _ in range(2))
    assert (one == two).all()


def test_large_data_is_sampled_down_by_whole_clusters():
    x, _, y, _ = plm(np.random.default_rng(11), 6000)
    small = Learner("linear", most=2000).mean(x, y, np.arange(6000) // 4)
    assert np.mean((small.predict(x) - Learner("linear").mean(x, y, np.arange(6000)).predict(x)) ** 2) < 0.1


# Edges and bad input.


@pytest.mark.parametrize("values", [np.zeros(60), np.full(60, 1e12), np.r_[np.full(59, -1e-9), 1e9]])
def test_odd_outcomes_are_answered_within_their_range(values):
    x = np.column_stack([np.arange(60.0), np.full(60, np.nan), np.ones(60)])
    crossfit = Crossfit(folds=2)
    found = crossfit.mean(crossfit.split(60), x, values)
    assert np.isfinite(found.values).all()
    assert values.min() <= found.values.min() <= found.values.max() <= values.max()


@pytest.mark.parametrize(
    "call",
    [
        lambda: Crossfit(folds=1),
        lambda: Crossfit(repeats=0),
        lambda: Crossfit(learner="deep"),
        lambda: Crossfit(most=10),
        lambda: Crossfit(folds=5).split(4),
        lambda: Crossfit(folds=2).split(0),
        lambda: Crossfit(folds=2).split(4, cluster=[1, 1, 1, 1]),
        lambda: Crossfit(folds=2).split(4, cluster=[1, 2]),
        lambda: Crossfit(folds=2).split(4, cluster=[1, 2, np.nan, 3]),
        lambda: Crossfit(folds=2).split(4, cluster=["a", None, "b", "c"]),
        lambda: Crossfit(folds=2).split(4, cluster=[1, "1", 2, 3]),
        lambda: Crossfit(folds=2).split(
            4, cluster=np.array(["2024-01-01", "NaT", "2024-01-02", "2024-01-03"], "M8[D]")
        ),
        lambda: Crossfit(folds=2).split(4, cluster=2.0**60 + np.arange(4) * 2.0**20),
        lambda: Crossfit(folds=2).split(-3),
        lambda: Crossfit(folds=2).split(10.5),
        lambda: Crossfit(folds=2.5),
        lambda: Crossfit(repeats=1.5),
        lambda: Crossfit(seed=-1),
        lambda: Crossfit(seed=1.5),
        lambda: Crossfit(seed=None),
        lambda: Learner(seed=-1),
        lambda: mean(x=[["a"]] * 20),
        lambda: mean(x=np.arange(20.0)[:, None] * 1e-300),
        lambda: mean(y=["a"] * 20),
        lambda: mean(y=np.arange(20) * 1e150),
        lambda: mean(weight=["a"] * 20),
        lambda: mean(among=["False"] * 20),
        lambda: mean(among=np.full(20, np.nan)),
        lambda: mean().predict(np.ones((3, 2))),
        lambda: mean(x=np.ones((20, 2))).predict(np.ones((3, 1))),
        lambda: mean().predict(np.ones(3)),
        lambda: mean().predict([[np.inf]]),
        lambda: Crossfit(folds=2).chances(Crossfit(folds=2).split(20), np.ones((20, 1)), np.r_[np.zeros(19), 10**9]),
        lambda: Crossfit(folds=2).chances(Crossfit(folds=2).split(20), np.ones((20, 1)), np.r_[np.zeros(19), 1e300]),
        lambda: Crossfit(folds=2).split(4, strata=[0, 1, 0.5, 0]),
        lambda: mean(x=np.ones(20)),
        lambda: mean(x=np.full((20, 1), np.inf)),
        lambda: mean(x=np.ones((19, 1))),
        lambda: mean(y=np.ones(19)),
        lambda: mean(y=np.full(20, np.nan)),
        lambda: mean(weight=-np.ones(20)),
        lambda: mean(among=np.zeros(20, bool)),
        lambda: mean(categorical=[0], x=np.full((20, 1), 0.5)),
        lambda: mean(categorical=[3]),
        lambda: Crossfit(folds=2).chances(Crossfit(folds=2).split(20), np.ones((20, 1)), np.r_[np.zeros(19), 1]),
    ],
)
def test_bad_input_is_one_clear_error(call):
    with pytest.raises(BadInputError):
        call()


def test_nothing_is_known_of_a_constant():
    for rows in (60, 100, 200):
        crossfit = Crossfit(folds=3)
        found = crossfit.mean(crossfit.split(rows), np.arange(float(rows))[:, None], np.full(rows, 0.1))
        assert found.skill == 0


def test_large_whole_numbers_are_ids_as_they_are():
    folds = Crossfit(folds=2).split(4, cluster=[2**63 + 1, 2**63 + 2, 2**63 + 3, -1])
    assert folds.cluster.tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize("weight", ["few above 0", "one above all"])
def test_uneven_weights_leave_numbers(weight):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y = x[:, 0] + rng.normal(size=200)
    heavy = np.repeat([1.0, 0.0], [20, 180]) if weight == "few above 0" else rng.lognormal(0, 6, 200)
    crossfit = Crossfit()
    found = crossfit.mean(crossfit.split(200), x, y, heavy).values
    taught = y[heavy > 0]
    assert taught.min() <= found.min() <= found.max() <= taught.max()


def mean(x=None, y=None, weight=None, among=None, categorical=()):
    crossfit = Crossfit(folds=2, categorical=categorical)
    x = np.ones((20, 1)) if x is None else x
    return crossfit.mean(crossfit.split(20), x, np.arange(20.0) if y is None else y, weight, among)
