"""Elasticities: known truth, a second implementation, and coverage with width."""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import sparse
from scipy.integrate import quad
from scipy.stats import halfcauchy, norm

from tradewind.errors import BadInputError
from tradewind.methods import elasticity, elasticity_control
from tradewind.methods.elasticity import Elasticity, Rows, rivals
from tradewind.methods.elasticity_control import passed
from tradewind.methods.elasticity_panel import Clusters, Slopes, _equal
from tradewind.methods.elasticity_prior import (
    ALIKE,
    CAUCHY,
    CROSS,
    OF_TAU,
    SPREAD,
    STEPS,
    moderated,
    shrink,
    shrink_alone,
)
from tradewind.study import Evidence


def market(seed, shape=(8, 5, 20), endogenous=0.0, echo=0.0, drawn=0, calendar=False, traffic=0.0, **more):
    """Logarithmic demand with elasticities from N(−2.5, 0.7²); prices may follow demand, a cost, a known calendar.

    Demand may have a part (`traffic`) that all products of a shop's week share, so that rivals' prices follow it too.
    """
    rng = np.random.default_rng(seed)
    products, stores, weeks = shape
    own, cross = rng.normal(-2.5, 0.7, products), rng.normal(0.5, 0.2, products)
    j, s, t = (axis.ravel() for axis in np.meshgrid(*(np.arange(k) for k in shape), indexing="ij"))
    shock, cost = 0.3 * rng.normal(size=shape), 0.15 * rng.normal(size=shape)
    shock += traffic * np.random.default_rng([seed, 1]).normal(size=shape[1:])
    follows = np.where(np.arange(products) < drawn, 0.0, endogenous)[:, None, None]
    price = rng.normal(1, 0.3, products)[:, None, None] + cost + follows * shock
    promotion = 0.25 * (rng.random(shape) < 0.2)
    price -= promotion
    if calendar:
        price += 0.05 * rng.normal(size=shape)
    before = np.concatenate([price.mean(axis=2, keepdims=True), price[:, :, :-1]], axis=2)
    week = 0.2 * rng.normal(size=weeks)
    p = price[j, s, t]
    others = rivals(p, t, s)
    y = (own[:, None, None] * price + echo * before + shock + week)[j, s, t] + cross[j] * others
    y = y + rng.normal(3, 0.7, (products, stores))[j, s]
    columns = {"sold": y, "price": p, "product": j, "week": t, "store": s, "cross": others}
    if endogenous and not drawn:
        columns["instruments"] = np.column_stack([cost[j, s, t], promotion[j, s, t]]) if calendar else cost[j, s, t]
    if drawn:
        columns["randomised"] = j < drawn
    return Rows(**{**columns, **more}), own, cross


def mids(found):
    return np.array([p.own.mid for p in found.products])


def changed(rows, **columns):
    return Rows(**{**vars(rows), **columns})


# Known truth


def test_recovers_known_elasticities():
    errors = []
    for seed in (1, 2, 3):
        rows, own, cross = market(seed, (10, 20, 40))
        found = Elasticity()(rows)
        errors.append(np.sqrt(np.mean((mids(found) - own) ** 2)))
        assert np.mean([p.cross[0].mid for p in found.products]) == pytest.approx(cross.mean(), abs=0.15)
        assert {p.evidence for p in found.products} == {Evidence.OBSERVATIONAL}
    assert np.mean(errors) < 0.07


def test_a_cost_mends_prices_that_follow_demand():
    rows, own, _ = market(2, (10, 20, 40), endogenous=0.5)
    naive = Elasticity()(changed(rows, instruments=None))
    found = Elasticity()(rows)
    assert np.mean(mids(naive) - own) > 0.4
    assert abs(np.mean(mids(found) - own)) < 0.1
    assert found.evidence is Evidence.QUASI_EXPERIMENTAL
    assert found.groups[0].gap.low > 0.4


def test_random_prices_of_some_products_correct_the_others():
    rows, own, _ = market(3, (40, 5, 20), endogenous=0.5, drawn=20)
    found = Elasticity()(rows)
    naive = Elasticity()(changed(rows, randomised=None))
    rest = slice(20, None)
    assert np.mean((mids(naive) - own)[rest]) > 0.4
    assert abs(np.mean((mids(found) - own)[rest])) < 0.4  # means of twenty products differ by 0.22 by chance
    assert [p.evidence for p in found.products[:20]] == [Evidence.RANDOMISED] * 20
    assert found.products[25].evidence is Evidence.OBSERVATIONAL
    held = [p.own.low <= truth <= p.own.high for p, truth in zip(found.products, own, strict=True)]
    assert np.mean(held) > 0.75


def test_random_prices_in_some_rows_of_a_product():
    rows, own, _ = market(22, (6, 10, 40), endogenous=0.5)
    shock = 0.15 * np.random.default_rng(22).normal(size=len(rows.sold))
    drawn = rows.week % 2 == 0
    mean = np.bincount(rows.product, rows.price) / np.bincount(rows.product)
    price = np.where(drawn, mean[rows.product] + shock, rows.price)
    sold = rows.sold + own[rows.product] * (price - rows.price)
    found = Elasticity()(changed(rows, price=price, sold=sold, randomised=drawn, instruments=None))
    assert found.evidence is Evidence.RANDOMISED
    assert abs(np.mean(mids(found) - own)) < 0.15


def test_the_dip_after_a_promotion_is_not_lasting_demand():
    rows, own, _ = market(4, (8, 20, 40), echo=0.8)
    group = Elasticity(lags=2)(rows).groups[0]
    assert group.lags[0].mid == pytest.approx(0.8, abs=0.07)  # three standard errors
    assert group.lags[1].mid == pytest.approx(0, abs=0.07)
    assert 0.05 < group.lags[0].high - group.lags[0].low < 0.12
    assert group.lasting.mid == pytest.approx(1 + 0.8 / own.mean(), abs=0.05)


def test_elasticity_that_grows_with_the_price():
    rows, own, _ = market(5, (8, 20, 30))
    price = np.asarray(rows.price)
    mean = np.bincount(rows.product, price) / np.bincount(rows.product)
    bent = changed(rows, sold=rows.sold - 0.5 * 3.0 * (price - mean[rows.product]) ** 2)
    found = Elasticity(bend=True)(bent)
    assert found.groups[0].bend.mid == pytest.approx(-3, abs=0.5)
    usual, dear = found.at(0, mean[0], mean[0]), found.at(0, mean[0] + 0.2, mean[0])
    assert dear.mid - usual.mid == pytest.approx(-0.6, abs=0.1)
    assert usual.low <= own[0] <= usual.high


def test_controls_that_bend_are_taken_out():
    rows, own, _ = market(6, (8, 10, 30))
    heat = np.random.default_rng(6).normal(size=len(rows.sold))
    confounded = changed(rows, price=rows.price + 0.1 * heat**2, controls=heat)
    confounded = changed(confounded, sold=rows.sold + own[rows.product] * 0.1 * heat**2 + 0.5 * heat**2)
    without, found = Elasticity()(changed(confounded, controls=None)), Elasticity()(confounded)
    assert np.mean(mids(without) - own) > 0.5
    assert abs(np.mean(mids(found) - own)) < 0.15


def test_counts_with_zeros():
    rows, own, _ = market(7, (6, 10, 30))
    rng = np.random.default_rng(7)
    sold = rng.poisson(np.exp(np.asarray(rows.sold) - 2))
    assert (sold == 0).mean() > 0.1
    found = Elasticity(counts=True)(changed(rows, sold=sold))
    assert np.sqrt(np.mean((mids(found) - own) ** 2)) < 0.4


# A second implementation


def dummies(rows):
    unit = np.unique(rows.product * 1000 + rows.store, return_inverse=True)[1]
    j = (rows.product[:, None] == np.arange(rows.product.max() + 1)).astype(float)
    x = np.hstack([j * rows.price[:, None], j * rows.cross[:, None]])
    levels = (unit[:, None] == np.arange(unit.max() + 1)).astype(float)
    weeks = (rows.week[:, None] == np.arange(1, rows.week.max() + 1)).astype(float)
    return j, np.hstack([x, levels, weeks])


def test_agrees_with_ordinary_least_squares_and_its_clustered_variance():
    rows, _, _ = market(8, (3, 4, 15))
    _, design = dummies(rows)
    fit = sm.OLS(rows.sold, design).fit(
        cov_type="cluster", cov_kwds={"groups": rows.week, "use_correction": False}, use_t=False
    )
    found = Elasticity(shrink=False)(rows)
    assert mids(found) == pytest.approx(fit.params[:3], rel=1e-8)
    assert [p.cross[0].mid for p in found.products] == pytest.approx(list(fit.params[3:6]), rel=1e-6)
    unit = np.unique(rows.product * 1000 + rows.store, return_inverse=True)[1]
    x = np.column_stack([rows.price, rows.cross])
    plain = Slopes(rows.product, unit, rows.week, True)(rows.sold, x, x, 2)
    assert np.sqrt((plain.week[:, ::2] ** 2).sum(axis=0)) == pytest.approx(fit.bse[:3], rel=1e-6)
    unclustered = sm.OLS(rows.sold, design).fit()
    assert plain.freedom == unclustered.df_resid
    assert plain.residual == pytest.approx(unclustered.resid, abs=1e-8)


def test_agrees_with_two_stage_least_squares_written_out():
    rows, _, _ = market(9, (3, 6, 15), endogenous=0.4)
    j, x = dummies(rows)
    z = x.copy()
    instrument = np.asarray(rows.instruments)
    unit = rows.product * 6 + rows.store
    moved = instrument - (np.bincount(unit, instrument) / np.bincount(unit))[unit]
    z[:, :3] = j * instrument[:, None]
    z[:, 3:6] = j * rivals(moved, rows.week, rows.store)[:, None]
    slope = np.linalg.solve(z.T @ x, z.T @ rows.sold)
    found = Elasticity(shrink=False)(rows)
    assert all(p.strength > 10 for p in found.products)
    assert mids(found) == pytest.approx(slope[:3], rel=1e-7)
    assert [p.cross[0].mid for p in found.products] == pytest.approx(slope[3:6], rel=1e-7)


def test_a_product_whose_instrument_stands_still_counts_as_without_one():
    rows, _, _ = market(9, (3, 6, 15), endogenous=0.4)
    j, design = dummies(rows)
    x = np.delete(design, [3, 4, 5], axis=1)  # without rivals' prices
    rows = changed(rows, cross=None, instruments=np.where(rows.product == 2, 7.0, rows.instruments))
    z = x.copy()
    z[:, :2] = j[:, :2] * np.asarray(rows.instruments)[:, None]
    found = Elasticity(shrink=False)(rows).products
    slope = np.linalg.solve(z.T @ x, z.T @ rows.sold)
    assert [p.own.mid for p in found[:2]] == pytest.approx(slope[:2], rel=1e-7)
    assert found[2].own.mid == pytest.approx(np.linalg.lstsq(x, rows.sold, rcond=None)[0][2], rel=1e-7)
    assert found[2].strength is None
    assert [p.evidence for p in found] == 2 * [Evidence.QUASI_EXPERIMENTAL] + [Evidence.OBSERVATIONAL]


def test_the_price_itself_among_instruments_says_nothing():
    rows, _, _ = market(4, endogenous=0.4, calendar=True)
    with_price = changed(rows, instruments=np.column_stack([rows.instruments, rows.price]))
    assert mids(Elasticity()(with_price)) == pytest.approx(mids(Elasticity()(rows)), rel=1e-9)
    alone, _, _ = market(4, (1, 1, 20), endogenous=0.4, calendar=True)
    alone = changed(alone, cross=None, instruments=np.column_stack([alone.instruments, alone.price]))
    with pytest.raises(BadInputError, match="No price ever moved"):  # weeks take all of it
        Elasticity()(alone)


def test_instruments_beside_prices_agree_with_instruments_in_place_of_them(monkeypatch):
    # The same slopes, while products tell each other nothing of how prices follow instruments.
    def alone(value, var, shared=0.0, alike=0.0):
        return shrink_alone(value, 1e-12 * np.where(np.isnan(value), np.nan, 1.0))

    told = []

    def kept(*given):
        told.append(passed(*given))
        return told[-1]

    monkeypatch.setattr(elasticity_control, "shrink_alone", alone)
    monkeypatch.setattr(elasticity, "passed", kept)
    rows, own, cross = market(23, (4, 6, 30), endogenous=0.4, traffic=0.2)
    moods = 0.5 * np.random.default_rng(23).normal(size=30)
    price = rows.price + moods[rows.week]  # weeks move all prices, while products show demand in different measure
    others = rivals(price, rows.week, rows.store)
    sold = rows.sold + own[rows.product] * moods[rows.week] + cross[rows.product] * (others - rows.cross)
    rows = changed(rows, price=price, sold=sold, cross=others)
    for bend, theirs in ((False, others), (True, others), (False, None)):
        for weeks in ("all", "none"):
            found = Elasticity(weeks=weeks, bend=bend, shrink=False)(changed(rows, cross=theirs))
            assert told[-1].own == pytest.approx([p.raw.mid for p in found.products], abs=1e-9)


def test_agrees_with_a_poisson_regression():
    rows, _, _ = market(10, (3, 3, 15))
    sold = np.random.default_rng(10).poisson(np.exp(np.asarray(rows.sold) - 1))
    fit = sm.GLM(sold, dummies(rows)[1], family=sm.families.Poisson()).fit(tol=1e-12)
    found = Elasticity(counts=True, shrink=False)(changed(rows, sold=sold))
    assert mids(found) == pytest.approx(fit.params[:3], rel=1e-5)


@pytest.mark.parametrize(("gaps", "near"), [(CAUCHY, 1e-3), (1 / norm.ppf(0.5 + np.arange(1, 64, 2) / 128), 0.01)])
@pytest.mark.parametrize("scale", [SPREAD, CROSS])
def test_shrinkage_agrees_with_one_large_normal_distribution(scale, gaps, near):
    """The second time beside a Cauchy to many digits: a normal whose precision is the square of a standard normal."""
    rng = np.random.default_rng(11)
    count = 5
    plain, clean = rng.normal(-2, 1, count), rng.normal(-2.5, 1, count)
    clean[3:] = np.nan
    plain_var, clean_var, between = np.full(count, 0.1), np.full(count, 0.4), np.full(count, 0.05)
    seen = np.concatenate([plain, clean[:3]])
    noise = np.sqrt(np.median(np.concatenate([plain_var, clean_var[:3]])))
    top = max(3 * np.std(np.concatenate([clean[:3], plain[3:]])), 2 * noise)
    wide = max(3 * np.std((plain - clean)[:3]), 2 * np.sqrt(0.1 + 0.4 - 2 * 0.05))
    omegas = np.linspace(0, wide, STEPS)
    edges = np.clip([omegas - omegas[1] / 2, omegas + omegas[1] / 2], 0, None)
    of_gap = (1 - ALIKE) * np.diff(halfcauchy.cdf(edges, scale=scale), axis=0)[0]
    of_gap[0] += ALIKE
    # Unknowns: mean, gap, five deviations, five deviations of the gap, the shared error.
    shared = np.column_stack([np.linspace(0.1, 0.3, count), np.linspace(0.4, 0.2, count)])
    found = shrink(plain, plain_var, clean, clean_var, between, shared, scale=scale)
    pick = np.zeros((8, 13))
    pick[:5, 12], pick[5:, 12] = shared[:, 0], shared[:3, 1]
    for row, product in enumerate([0, 1, 2, 3, 4, 0, 1, 2]):
        pick[row, [0, 2 + product]] = 1
        if row < 5:
            pick[row, [1, 7 + product]] = 1
    error = np.diag(np.concatenate([plain_var, clean_var[:3]]))
    for k in range(3):
        error[k, 5 + k] = error[5 + k, k] = 0.05
    chances, means, squares = [], [], []
    for t, (o, chance_of_gap), size in itertools.product(
        np.linspace(0, top, STEPS), zip(omegas, of_gap, strict=True), gaps * scale
    ):
        prior = np.diag([1e5, size**2, *[t**2] * 5, *[o**2] * 5, 1.0])
        total = pick @ prior @ pick.T + error
        gain = prior @ pick.T @ np.linalg.inv(total)
        left = prior - gain @ pick @ prior
        of = np.zeros((5, 13))
        of[:, 0] = 1
        of[np.arange(5), 2 + np.arange(5)] = 1
        means.append(of @ gain @ seen)
        squares.append(np.diag(of @ left @ of.T))
        chance = -0.5 * np.linalg.slogdet(total)[1] - 0.5 * seen @ np.linalg.solve(total, seen)
        with np.errstate(divide="ignore"):
            of_spread = 0.5 * np.log(t) - 1.25 * np.log1p((t / scale) ** 2)
        chances.append(chance + of_spread + np.log(chance_of_gap))
    weight = np.exp(np.array(chances) - max(chances))
    weight /= weight.sum()
    mid = weight @ np.array(means)
    sd = np.sqrt(weight @ (np.array(squares) + (np.array(means) - mid) ** 2))
    assert found.mid == pytest.approx(mid, abs=near)
    assert found.sd == pytest.approx(sd, abs=near)


def test_the_finer_spreads_are_told_the_more_none_at_all_counts():
    rng = np.random.default_rng(5)
    spreads = []
    for noise in (0.3, 0.03):
        value = 1 + noise * rng.normal(size=(40, 12))
        found = [shrink_alone(each, np.full(12, noise**2), alike=ALIKE) for each in value]
        spreads.append(np.mean([each.spread for each in found]) / noise)
    assert spreads[1] < 0.6 * spreads[0]
    assert quad(lambda t: np.sqrt(t) * (1 + t**2) ** -1.25, 0, np.inf)[0] == pytest.approx(OF_TAU, abs=1e-6)


def test_variances_are_drawn_towards_each_other():
    rng = np.random.default_rng(12)
    freedom = np.full(200, 8.0)
    same, free = moderated(2 * rng.chisquare(8, 200) / 8, freedom)
    assert same == pytest.approx(2, rel=0.2)
    assert (free > 50).all()


# Coverage and width


def test_shrunken_intervals_cover_where_truths_are_drawn_as_is_believed():
    """Three of six products have a clean estimate as well: what the others are off by is known from those alone."""
    rng = np.random.default_rng(3)
    edges = np.concatenate([np.linspace(0, 5, 2001), np.geomspace(5.01, 1e4, 2000)])
    density = np.sqrt(edges) * (1 + edges**2) ** -1.25 / OF_TAU
    chance = np.append(0, np.cumsum(np.diff(edges) * (density[1:] + density[:-1]) / 2))
    plain_var, clean_var, between = np.full(6, 0.05), np.full(6, 0.4), np.full(6, 0.05)
    held, of_gap = [], []
    for _ in range(600):
        spread, gap = np.interp(rng.random(), chance, edges), rng.standard_cauchy()
        differ = 0.0 if rng.random() < ALIKE else abs(rng.standard_cauchy())
        truth = -2 + spread * rng.normal(size=6)
        error = rng.multivariate_normal([0, 0], [[0.05, 0.05], [0.05, 0.4]], 6)
        clean = np.where(np.arange(6) < 3, truth + error[:, 1], np.nan)
        found = shrink(truth + gap + differ * rng.normal(size=6) + error[:, 0], plain_var, clean, clean_var, between)
        held.append(np.abs(found.mid - truth) < 1.6449 * found.sd)
        of_gap.append(abs(found.gap - gap) < 1.6449 * found.gap_sd)
    assert np.mean(held) == pytest.approx(0.9, abs=0.02)
    assert np.mean(of_gap) == pytest.approx(0.9, abs=0.035)


@pytest.mark.parametrize("endogenous", [0.0, 0.4])
def test_intervals_cover_as_often_as_they_say(endogenous):
    held, widths, errors, raw = [], [], [], []
    for seed in range(40):
        rows, own, _ = market(seed, endogenous=endogenous)
        for product, truth in zip(Elasticity()(rows).products, own, strict=True):
            held.append(product.own.low <= truth <= product.own.high)
            widths.append(product.own.high - product.own.low)
            errors.append(product.own.mid - truth)
            raw.append(product.raw.mid - truth)
    assert 0.85 <= np.mean(held) <= 0.96  # 320 intervals, eight of a market not quite independent
    assert 0.85 <= np.mean(widths) / (2 * 1.645 * np.std(errors)) <= 1.3
    assert np.std(errors) < np.std(raw)
    if endogenous:  # with products' gaps in place of κ: 0.156 and 0.49
        assert np.std(errors) < 0.145
        assert np.mean(widths) < 0.46


def test_cross_elasticities_where_prices_follow_demand():
    # Once weeks are taken out, rivals' prices hold some of the own price, and so of what demand did to it.
    errors, scores, held, wide = [], [], [], []
    for seed in range(40):
        rows, _, cross = market(seed, endogenous=0.4)
        found = Elasticity()(rows).products
        mid, low, high = np.array([(p.cross[0].mid, p.cross[0].low, p.cross[0].high) for p in found]).T
        errors.append(np.mean(mid - cross))
        held.append(np.mean((low <= cross) & (cross <= high)))
        wide.append(np.mean(high - low))
        for p, truth in zip(Elasticity(shrink=False)(rows).products, cross, strict=True):
            scores.append((p.cross[0].mid - truth) / ((p.cross[0].high - p.cross[0].low) / 2 / 1.645))
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(40)
    assert 0.85 <= np.std(scores) <= 1.1
    assert 0.86 <= np.mean(held) <= 0.97
    assert np.mean(wide) < 1.1  # were rivals' prices known to be free of demand: 0.95


def test_cross_elasticities_where_a_shops_week_moves_all_its_prices():
    errors, held, wide, taken = [], [], [], []
    for seed in range(20):
        rows, own, cross = market(seed, (8, 10, 40), endogenous=0.4, traffic=0.2)
        found = Elasticity()(rows).products
        mid, low, high = np.array([(p.cross[0].mid, p.cross[0].low, p.cross[0].high) for p in found]).T
        errors.append(np.mean(mid - cross))
        held.append(np.mean((low <= cross) & (cross <= high)))
        wide.append(np.mean(high - low))
        taken.append(np.mean([p.own.low <= e <= p.own.high for p, e in zip(found, own, strict=True)]))
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(20)  # with rivals' prices as they are: 0.6
    assert 0.85 <= np.mean(held) <= 0.97
    assert np.mean(wide) < 0.9
    assert 0.84 <= np.mean(taken) <= 0.96


def test_prices_of_other_shops_of_these_rows_are_no_instrument_of_rivals_prices():
    # Each is one of its own price; means of them over rivals are, once weeks are taken out, rivals' prices again.
    errors = []
    for seed in range(10):
        rows, own, cross = market(seed, (8, 10, 40), endogenous=0.4, traffic=0.2)
        common = np.repeat(0.15 * np.random.default_rng([seed, 3]).normal(size=(8, 1, 40)), 10, axis=1)
        price = np.asarray(rows.price).reshape(8, 10, 40) + common
        elsewhere = ((price.sum(axis=1, keepdims=True) - price) / 9).ravel()
        others = rivals(price.ravel(), rows.week, rows.store)
        sold = rows.sold + own[rows.product] * common.ravel() + cross[rows.product] * (others - rows.cross)
        known = np.column_stack([rows.instruments, elsewhere])
        given = changed(rows, price=price.ravel(), cross=others, sold=sold, instruments=known)
        errors.append(np.mean([p.cross[0].mid for p in Elasticity()(given).products] - cross))
    assert abs(np.mean(errors)) < 0.2  # with such means: −1


def test_cross_elasticities_where_some_answer_their_rivals_prices():
    errors, held, wide = [], [], []
    for seed in range(25):
        rows, own, cross = market(seed, endogenous=0.4)
        follow = np.where(rows.product % 2 == 1, 0.3, 0.0)  # of one rival, who follows nobody
        price = np.asarray(rows.price).reshape(8, 5, 20)
        rival = price[[2, 0, 4, 2, 6, 4, 0, 6]].ravel()
        moved = rows.price + follow * rival
        sold = rows.sold + own[rows.product] * follow * rival - cross[rows.product] * (rows.cross - rival)
        found = Elasticity()(changed(rows, price=moved, sold=sold, cross=rival)).products
        mid, low, high = np.array([(p.cross[0].mid, p.cross[0].low, p.cross[0].high) for p in found]).T
        errors.append(np.mean((mid - cross)[1::2]))
        held.append(np.mean((low <= cross) & (cross <= high)))
        wide.append(np.mean(high - low))
    assert abs(np.mean(errors)) < 0.2  # rivals' prices as they are: −0.4
    assert 0.84 <= np.mean(held) <= 0.98
    assert np.mean(wide) < 1.2


@pytest.mark.parametrize(("noise", "spread"), [(0.33, 0.2), (0.2, 0.2), (0.1, 0.7)])
def test_shrunken_values_are_covered_whatever_the_spread(noise, spread):
    rng = np.random.default_rng(7)
    held, widths, best = [], [], []
    for _ in range(300):
        truth = rng.normal(0.5, spread, 20)
        found = shrink_alone(truth + noise * rng.normal(size=20), np.full(20, noise**2))
        held.append(np.mean(np.abs(found.mid - truth) < 1.645 * found.sd))
        widths.append(np.mean(found.sd))
        pull = spread**2 / (spread**2 + noise**2)
        best.append(np.sqrt(pull * noise**2 + (1 - pull) * noise**2 / 20))
    assert 0.875 <= np.mean(held) <= 0.935  # a prior flat in τ: 0.869, 0.855, 0.902
    assert np.mean(widths) / np.mean(best) < 1.2  # of what it would be were mean and spread known


def test_own_elasticities_where_each_price_follows_demand_and_cost_in_its_own_measure():
    held, wide, errors = [], [], []
    for seed in range(40):
        rows, own, cross = market(seed, endogenous=0.4)
        passed = np.random.default_rng([seed, 1]).uniform(-0.5, 0.5, 8)[rows.product] * rows.instruments
        price = rows.price + passed
        others = rivals(price, rows.week, rows.store)
        sold = rows.sold + own[rows.product] * passed + cross[rows.product] * (others - rows.cross)
        found = Elasticity()(changed(rows, price=price, sold=sold, cross=others)).products
        mid, low, high = np.array([(p.own.mid, p.own.low, p.own.high) for p in found]).T
        errors.append(mid - own)
        held.append(np.mean((low <= own) & (own <= high)))
        wide.append(np.mean(high - low))
    assert 0.86 <= np.mean(held) <= 0.96  # with one gap for all: 0.78, width 0.57, error 0.23
    assert np.mean(wide) < 0.54
    assert np.sqrt(np.mean(np.square(errors))) < 0.19


def test_a_calendar_of_promotions_beside_the_cost_tells_more():
    told = {"both": [], "cost": [], "neither": []}
    for seed in range(60):
        rows, own, _ = market(seed, endogenous=0.3, calendar=True)
        of = {"both": rows, "cost": changed(rows, instruments=rows.instruments[:, 0])}
        for name, given in {**of, "neither": changed(rows, instruments=None)}.items():
            found = [p.own for p in Elasticity(shrink=name != "neither")(given).products]
            told[name] += [(e.mid - t, e.low <= t <= e.high, e.high - e.low) for e, t in zip(found, own, strict=True)]
    error, held, width = ({name: np.mean(np.array(each)[:, k]) for name, each in told.items()} for k in range(3))
    assert 0.85 <= held["both"] <= 0.96
    assert held["neither"] < 0.1
    assert abs(error["both"]) < 0.03
    # Honest, and yet narrower than what prices alone seem to say: what else moved them shows demand.
    assert width["both"] < 0.8 * width["cost"]
    assert width["both"] < width["neither"]


def test_what_a_week_does_to_all_own_elasticities_is_one_error(monkeypatch):
    told = []

    def kept(*given):
        told.append(passed(*given))
        return told[-1]

    monkeypatch.setattr(elasticity, "passed", kept)
    errors, claimed, held = [], [], []
    for seed in range(20):
        rows, own, _ = market(seed, (8, 10, 40), endogenous=0.4)
        moods = 0.5 * np.random.default_rng([seed, 7]).normal(size=40)
        found = Elasticity()(changed(rows, sold=rows.sold + moods[rows.week] * rows.instruments)).products
        errors.append((told[-1].own - own).mean())
        claimed.append(told[-1].own_var.mean() / 8 + told[-1].shared.mean() ** 2)
        held += [p.own.low <= truth <= p.own.high for p, truth in zip(found, own, strict=True)]
    assert np.mean(np.square(errors)) / np.mean(claimed) < 1.7  # counted as each product's own: 4.1
    assert np.mean(held) > 0.83  # 0.74
    # What is not known of a bend's first stage is mostly of single products, and averages out over them.
    rows, _, _ = market(3, (12, 10, 40), endogenous=0.4)
    for bend in (False, True):
        Elasticity(bend=bend)(rows)
    assert (told[-1].shared < 1.15 * told[-2].shared).all()  # counted as one error of all: 1.3


def test_an_error_that_products_share_widens_and_does_not_spread():
    rng = np.random.default_rng(31)
    held, alone, spreads = [], [], []
    for _ in range(300):
        truth = rng.normal(0.5, 0.2, 20)
        seen = truth + 0.2 * rng.normal(size=20) + 0.2 * rng.normal()
        found, without = (shrink_alone(seen, np.full(20, 0.2**2), shared) for shared in (0.2, 0.0))
        held.append(np.mean(np.abs(found.mid - truth) < 1.645 * found.sd))
        alone.append(np.mean(np.abs(without.mid - truth) < 1.645 * without.sd))
        spreads.append(found.spread - without.spread)
        assert (found.together**2 > 0.2**2).all()
    assert 0.87 <= np.mean(held) <= 0.94
    assert np.mean(alone) < 0.8
    assert np.mean(np.abs(spreads)) < 1e-3


def test_what_slopes_share_is_seen_in_their_mean():
    rng = np.random.default_rng(32)
    product, week = np.repeat(np.arange(6), 400), np.tile(np.arange(400), 6)
    x = rng.normal(size=400)[week, None]  # moves all products in the same weeks
    solver, clusters = Slopes(product, product, week, False), Clusters(product, product, week)
    for size in (0.0, 1.0):
        y = rng.normal(size=2400) + size * rng.normal(size=400)[week]
        fit = solver(y, x, x, 1)
        var = np.full(6, (1 + size**2) / 400)
        assert clusters.shared(fit, np.arange(6), var) == pytest.approx(size / 20, abs=0.012)


def test_few_heavy_clusters_count_as_fewer():
    columns = sparse.csr_matrix(np.array([[1.0, 9.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))
    assert _equal(columns, np.array([0, 1, 2, 3])) == pytest.approx([4.0, 144 / 84])
    assert _equal(columns, np.array([0, 0, 1, 1])) == pytest.approx([2.0, 144 / 104])


def test_a_price_as_its_own_instrument_changes_nothing():
    rows, _, _ = market(15)
    plain, same = Elasticity()(rows), Elasticity()(changed(rows, instruments=rows.price))
    for a, b in zip(plain.products, same.products, strict=True):
        assert b.cross[0].mid == pytest.approx(a.cross[0].mid, abs=1e-6)


# Weak instruments, hidden causes, what is not told


def test_a_weak_instrument_is_said_and_not_used():
    rows, _, _ = market(13, endogenous=0.4)
    noise = np.random.default_rng(13).normal(size=len(rows.sold))
    found = Elasticity()(changed(rows, instruments=noise))
    weak = [p for p in found.products if p.strength < 4]
    assert weak
    assert all(p.evidence is Evidence.OBSERVATIONAL for p in weak)
    assert any(np.isinf(p.weak[0]) for p in weak)


def test_the_interval_for_weak_instruments_is_the_usual_one_where_they_are_strong():
    rows, _, _ = market(14, (4, 40, 30), endogenous=0.3)
    for p in Elasticity(shrink=False)(rows).products:
        assert p.strength > 100
        assert p.weak[0] < p.own.mid < p.weak[1]
        assert p.weak[1] - p.weak[0] == pytest.approx(p.own.high - p.own.low, rel=0.4)


def test_the_interval_for_weak_instruments_agrees_with_trying_every_slope():
    rows, _, _ = market(24, (1, 1, 60), endogenous=0.5, cross=None)
    found = Elasticity(weeks="none")(rows).products[0]
    y, p, z = (v - v.mean() for v in (np.asarray(rows.sold), np.asarray(rows.price), np.asarray(rows.instruments)))
    slopes = np.linspace(-10, 5, 15_001)
    left = y[:, None] - slopes * p[:, None]
    moment = z @ left
    rest = left - z[:, None] * (moment / (z @ z))
    inside = slopes[moment**2 <= 1.6448536**2 * 60 / 59 * (z**2 @ rest**2)]
    assert found.weak == pytest.approx((inside.min(), inside.max()), abs=2e-3)
    first = z @ p
    assert found.strength == pytest.approx(first**2 / (z**2 @ (p - z * first / (z @ z)) ** 2) * 59 / 60, rel=1e-9)


def test_a_hidden_cause_of_known_strength_stays_within_the_bounds():
    rows, own, _ = market(15, (4, 40, 40))
    hidden = np.random.default_rng(15).normal(size=len(rows.sold))
    price = rows.price + 0.06 * hidden
    sold = rows.sold + own[rows.product] * 0.06 * hidden + 0.1 * hidden
    found = Elasticity(shrink=False)(changed(rows, price=price, sold=sold))
    # The cause explains about a tenth of what is left of demand and of the price.
    assert np.mean(mids(found) - own) > 0.1
    for p, truth in zip(found.products, own, strict=True):
        wide = p.bounds(0.12)
        assert wide.low <= truth <= wide.high
        assert p.bounds(0.0) == p.own
        reach = p.robustness(-1.0)
        assert p.bounds(reach).high == pytest.approx(-1.0, abs=1e-6)


def test_a_price_that_never_moved_has_no_elasticity():
    rows, _, _ = market(16)
    price = np.where(rows.product == 2, 1.0, rows.price)
    found = Elasticity()(changed(rows, price=price))
    product = found.products[2]
    assert product.own is None
    assert product.raw is None
    assert "never moved" in product.why
    assert product.prior.low < -2.5 < product.prior.high
    assert product.robustness() is None
    assert product.bounds(0.1) is None


@pytest.mark.parametrize("weeks", ["all", "product", "none"])
def test_each_kind_of_week_effects(weeks):
    rows, own, _ = market(17, (4, 10, 20), group=np.repeat(["a", "b"], 2 * 10 * 20))
    found = Elasticity(weeks=weeks)(rows)
    assert [g.group for g in found.groups] == ["a", "b"]
    assert np.sqrt(np.mean((mids(found) - own) ** 2)) < 0.4


def test_the_order_of_rows_does_not_matter():
    rows, _, _ = market(18, endogenous=0.3)
    order = np.random.default_rng(18).permutation(len(rows.sold))
    mixed = Rows(**{name: None if v is None else np.asarray(v)[order] for name, v in vars(rows).items()})
    assert mids(Elasticity(lags=1)(mixed)) == pytest.approx(mids(Elasticity(lags=1)(rows)), rel=1e-9)


def test_several_instruments_become_one():
    rows, own, _ = market(19, (6, 10, 30), endogenous=0.5)
    rng = np.random.default_rng(19)
    two = np.column_stack([rows.instruments, rng.normal(size=len(rows.sold))])
    found = Elasticity()(changed(rows, instruments=two))
    assert abs(np.mean(mids(found) - own)) < 0.2
    assert found.evidence is Evidence.QUASI_EXPERIMENTAL


def test_one_product_in_one_shop():
    rows, own, _ = market(20, (1, 1, 200), cross=None)
    found = Elasticity(weeks="none")(rows).products[0]
    assert found.own.low <= own[0] <= found.own.high
    assert found.prior is None


def test_demand_without_noise():
    rows, own, _ = market(23, (4, 4, 12), cross=None)
    exact = changed(rows, sold=own[rows.product] * rows.price)
    found = Elasticity()(exact)
    assert mids(found) == pytest.approx(own, abs=1e-4)
    assert found.products[0].robustness(0.0) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("columns", "settings"),
    [
        ({"sold": [1.0]}, {}),
        ({"sold": np.full(800, np.nan)}, {}),
        ({"price": np.full(800, 1.0)}, {}),
        ({"price": np.full(800, np.inf)}, {}),
        ({"week": np.zeros(800)}, {}),
        ({"week": np.full(800, 0.5)}, {}),
        ({"product": np.zeros(799)}, {}),
        ({"group": np.arange(800)}, {}),
        ({"randomised": np.full(800, 2)}, {}),
        ({"controls": np.zeros((2, 800))}, {}),
        ({"sold": -np.ones(800)}, {"counts": True}),
        ({"sold": np.zeros(800)}, {"counts": True}),
        ({"sold": np.ones(800), "instruments": np.ones(800)}, {"counts": True}),
        ({}, {"level": 1.0}),
        ({}, {"lags": -1}),
        ({}, {"weeks": "some"}),
    ],
)
def test_bad_input_is_one_clear_error(columns, settings):
    rows, _, _ = market(21)
    with pytest.raises(BadInputError):
        Elasticity(**settings)(changed(rows, **columns))


NAMES = np.array(["a", None] * 400, object)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda rows: Elasticity()(changed(rows, price=["dear"] * 800)), "'price' is not a number"),
        (lambda rows: Elasticity()(changed(rows, sold=[[1.0], [1.0, 2.0]])), "'sold' is not a number"),
        (lambda rows: Elasticity()(changed(rows, price=rows.price + 1j)), "complex or masked"),
        (lambda rows: Elasticity()(changed(rows, price=np.ma.masked_less(rows.price, 1))), "complex or masked"),
        (lambda rows: Elasticity()(changed(rows, sold=rows.sold * 1e200)), "'sold' is too large"),
        (lambda rows: Elasticity()(changed(rows, price=np.ones((800, 2)))), "'price' is one column"),
        (lambda rows: Elasticity()(changed(rows, product=NAMES)), "ids of 'product'"),
        (lambda rows: Elasticity()(changed(rows, product=np.array(["a", 1] * 400, object))), "of several kinds"),
        (lambda rows: Elasticity()(changed(rows, store=np.ma.masked_equal(rows.store, 1))), "'store' are masked"),
        (lambda rows: Elasticity()(changed(rows, group=np.full(800, np.datetime64("NaT")))), "ids of 'group'"),
        (lambda rows: Elasticity()(changed(rows, week=np.datetime64("2026-01-05") + rows.week)), "not a date"),
        (lambda rows: Elasticity()(changed(rows, week=rows.week * 1e12)), "far from the others"),
        (lambda rows: Elasticity()(changed(rows, randomised=np.ma.masked_equal(rows.store, 1))), "are masked"),
        (lambda rows: Elasticity(level="high"), "level is out of range"),
        (lambda rows: Elasticity(lags=1.5), "number of lags is out of range"),
        (lambda rows: rivals(rows.price, rows.week[:9]), "ids of 'week'"),
        (lambda rows: rivals(np.where(rows.store == 1, np.nan, rows.price), rows.week), "'price' is missing"),
        (lambda rows: Elasticity()(rows).at(0, np.nan, 0.0), "not a finite number"),
        (lambda rows: Elasticity()(rows).products[0].bounds("strong"), "not a number"),
        (lambda rows: Elasticity()(rows).products[0].robustness(np.nan), "threshold is an elasticity"),
    ],
)
def test_what_is_no_number_or_has_no_name_is_refused_in_one_sentence(call, words):
    rows, _, _ = market(21)
    with pytest.raises(BadInputError, match=words):
        call(rows)
