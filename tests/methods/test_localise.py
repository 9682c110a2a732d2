import csv
import json
import subprocess
import sys
from itertools import combinations, product
from math import comb, exp, log
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from needs import DATA, shared
from tradewind.errors import BadInputError
from tradewind.methods import localise as module
from tradewind.methods.localise import Localisation, Localise

REPO = Path(__file__).resolve().parents[2]
INCIDENTS = DATA / "robustspot"
SIZES = {"category": 5, "region": 4, "shop": 6, "surface": 3}


def make_cube(rng, sizes=SIZES, total=400_000.0, spread=0.5):
    """Return attributes and mean amounts of a full cube whose leaves differ in size by powers of ten."""
    codes = np.array(list(product(*(range(k) for k in sizes.values()))))
    attributes = {name: np.array([f"{name}{c}" for c in codes[:, i]]) for i, name in enumerate(sizes)}
    size = np.exp(rng.normal(0, spread, len(codes)))
    for i, k in enumerate(sizes.values()):
        size *= np.exp(rng.normal(0, 0.3, k))[codes[:, i]]
    return attributes, size / size.sum() * total


def inside(attributes, where):
    mask = np.ones(len(next(iter(attributes.values()))), dtype=bool)
    for name, value in where.items():
        mask &= attributes[name] == value
    return mask


def money(rng, mean, basket=20.0):
    """Return compound-Poisson amounts: orders of one gamma-distributed basket each."""
    orders = rng.poisson(mean / basket)
    return basket / 2 * rng.gamma(2 * np.maximum(orders, 1e-12))


def found(result: Localisation):
    return {tuple(sorted(s.where.items())) for s in result.slices}


def named(*wheres):
    return {tuple(sorted(w.items())) for w in wheres}


PLANTED = [
    [{"shop": "shop2"}],
    [{"category": "category1", "surface": "surface0"}],
    [{"category": "category0", "region": "region1", "surface": "surface1"}],
    [{"shop": "shop1"}, {"category": "category3"}],
    [{"shop": "shop3"}, {"region": "region0", "surface": "surface2"}],
]


# Known truth


@pytest.mark.parametrize("wheres", PLANTED)
@pytest.mark.parametrize("factors", [(2.5, 3.0), (0.2, 0.3), (3.0, 0.2)])
def test_finds_planted_slices_of_an_amount(wheres, factors):
    rng = np.random.default_rng(7)
    attributes, mean = make_cube(rng, total=4e6, spread=0.2)
    moved = mean.copy()
    for where, factor in zip(wheres, factors, strict=False):
        moved[inside(attributes, where)] = mean[inside(attributes, where)] * factor
    result = Localise()(attributes, money(rng, moved), money(rng, mean))
    assert found(result) == named(*wheres)
    assert not result.external
    for found_slice in result.slices:
        assert (found_slice.change > 0) == (found_slice.ratio > 1) == (found_slice.effect > 0)


@pytest.mark.parametrize("wheres", PLANTED)
def test_finds_planted_slices_of_a_proportion(wheres):
    rng = np.random.default_rng(11)
    attributes, viewers = make_cube(rng, total=100_000.0)
    viewers = viewers.astype(int) + 1
    rate = rng.beta(3, 97, len(viewers))
    history = np.stack([rng.binomial(viewers, rate) for _ in range(6)], axis=1)
    moved = rate.copy()
    for where in wheres:
        moved[inside(attributes, where)] = 0.4
    result = Localise()(
        attributes,
        rng.binomial(viewers, moved),
        weight=viewers,
        history=history,
        history_weight=np.tile(viewers[:, None], 6),
    )
    assert found(result) == named(*wheres)
    assert not result.external


def test_an_earlier_incident_is_not_what_is_expected():
    rng = np.random.default_rng(12)
    attributes, viewers = make_cube(rng, total=100_000.0)
    viewers, where = viewers.astype(int) + 1, {"shop": "shop5"}
    rate, bad = np.full(len(viewers), 0.03), np.where(inside(attributes, where), 0.4, 0.03)
    past = np.stack([rng.binomial(viewers, bad if t > 5 else rate) for t in range(10)], axis=1)
    weights = np.tile(viewers[:, None], 10)
    now = rng.binomial(viewers, bad)
    result = Localise()(attributes, now, weight=viewers, history=past, history_weight=weights)
    assert found(result) == named(where)
    assert result.slices[0].ratio > 5  # against the plain mean of these minutes it would be 2.2


def test_finds_a_ratio_that_is_no_proportion():
    rng = np.random.default_rng(3)
    attributes, orders = make_cube(rng, total=20_000.0)
    orders_now, orders_then = rng.poisson(orders) + 1, rng.poisson(orders) + 1
    where = {"shop": "shop4"}
    basket = np.where(inside(attributes, where), 45.0, 30.0)
    sales, sales_then = basket * rng.gamma(orders_now), 30 * rng.gamma(orders_then)
    result = Localise()(attributes, sales, sales_then, weight=orders_now, weight_expected=orders_then)
    assert found(result) == named(where)
    assert result.slices[0].ratio == pytest.approx(1.5, rel=0.1)


@pytest.mark.parametrize("factor", [0.6, 1.4])
def test_what_moves_everything_is_external(factor):
    rng = np.random.default_rng(5)
    attributes, mean = make_cube(rng)
    result = Localise()(attributes, money(rng, factor * mean), money(rng, mean))
    assert result.external
    assert result.slices == ()
    assert result.explained == pytest.approx(result.total_change, rel=0.05)


def test_a_slice_shows_on_top_of_an_external_move():
    rng = np.random.default_rng(6)
    attributes, mean = make_cube(rng)
    where = {"shop": "shop0"}
    moved = 1.3 * mean * np.where(inside(attributes, where), 0.3, 1.0)
    result = Localise()(attributes, money(rng, moved), money(rng, mean))
    assert result.external
    assert found(result) == named(where)
    assert result.slices[0].ratio == pytest.approx(0.3, rel=0.15)
    assert result.external_change == pytest.approx(0.3 * mean.sum(), rel=0.15)


@pytest.mark.parametrize("several", [3, 4, 5, 6])
def test_several_values_of_one_attribute_are_told_together(several):
    """Each has too little of the change, and a wider slice or the whole cube looks better: together they win."""
    exact = 0
    for seed in range(12):
        rng = np.random.default_rng(100 * several + seed)
        attributes, mean = make_cube(rng, sizes={"category": 10, "shop": 6, "surface": 4}, total=60_000.0)
        struck = set(rng.permutation(list(dict.fromkeys(attributes["category"])))[:several])
        factor = np.where([value in struck for value in attributes["category"]], 0.5, 1.0)
        result = Localise(max_slices=10)(attributes, money(rng, mean * factor), money(rng, mean))
        exact += not result.external and found(result) == named(*({"category": value} for value in struck))
    assert exact >= 9


def test_noise_alone_has_no_cause():
    told = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        attributes, mean = make_cube(rng, total=100_000.0)
        result = Localise()(attributes, money(rng, mean), money(rng, mean))
        told += bool(result.slices) or result.external
    assert told <= binom.ppf(0.999, 40, 0.1)


def test_when_something_surely_happened_the_best_slice_is_told():
    rng = np.random.default_rng(0)
    attributes, mean = make_cube(rng, total=100_000.0)
    now, then = money(rng, mean), money(rng, mean)
    assert not Localise()(attributes, now, then).slices
    told = Localise(certain=True)(attributes, now, then).slices
    assert len(told) == 1
    assert told[0].evidence < Localise().min_evidence


def test_a_leaf_that_strays_alone_does_not_hide_the_slice():
    rng = np.random.default_rng(13)
    attributes, viewers = make_cube(rng, total=100_000.0, spread=0.2)
    viewers, where = viewers.astype(int) + 1, {"shop": "shop5"}
    past = np.stack([rng.binomial(viewers, 0.03) for _ in range(6)], axis=1)
    now = rng.binomial(viewers, np.where(inside(attributes, where), 0.3, 0.03))
    outside, within = (int(np.argmax(viewers * (inside(attributes, where) == side))) for side in (False, True))
    now[outside], now[within] = 0.5 * viewers[outside], 0.03 * viewers[within]
    result = Localise()(attributes, now, weight=viewers, history=past, history_weight=np.tile(viewers[:, None], 6))
    assert result.slices[0].where == where


def test_a_slice_that_ends_and_one_that_begins():
    rng = np.random.default_rng(8)
    attributes, mean = make_cube(rng)
    then, now = mean.copy(), mean.copy()
    now[inside(attributes, {"shop": "shop1"})] = 0
    then[inside(attributes, {"shop": "shop2"})] = 0
    now, then = money(rng, now), money(rng, then)
    now[inside(attributes, {"shop": "shop1"})] -= 5  # refunds without sales
    result = Localise()(attributes, now, then)
    assert found(result) == named({"shop": "shop1"}, {"shop": "shop2"})
    by_shop = {s.where["shop"]: s for s in result.slices}
    assert by_shop["shop1"].change < 0 < by_shop["shop2"].change
    assert sum(s.share.mid for s in result.slices) == pytest.approx((result.explained) / result.total_change)


def test_a_market_that_begins_or_ends():
    attributes, now, _ = example()
    begun, ended = Localise()(attributes, now, 0 * now), Localise()(attributes, 0 * now, now)
    assert (begun.external, begun.external_change) == (False, 0)  # told slice by slice: nothing was there to move
    assert begun.explained == pytest.approx(now.sum())
    assert (ended.slices, ended.external) == ((), True)
    assert ended.explained == pytest.approx(-now.sum(), rel=0.01)


# Second implementation


def brute_force(attributes, hits, trials, past_hits, past_trials):
    """Return the slice with the most evidence, written plainly: every slice, SciPy's beta-binomial, one loop each."""
    overall = (past_hits.sum() + 0.5) / (past_trials.sum() + 1)
    base = (past_hits + module.AT_REST * overall) / (past_trials + module.AT_REST)

    def likelihood(i, share, concentration):
        return exp(betabinom.logpmf(hits[i], trials[i], share * concentration, (1 - share) * concentration))

    best = (-np.inf, {})
    for depth in (1, 2, 3):
        for names in combinations(sorted(attributes), depth):
            for values in product(*(sorted(set(attributes[name])) for name in names)):
                where = dict(zip(names, values, strict=True))
                leaves = np.flatnonzero(inside(attributes, where))
                if abs(sum(hits[leaves] - trials[leaves] * base[leaves])) < 0.1 * abs((hits - trials * base).sum()):
                    continue
                ratios = []
                for effect in module.EFFECTS:
                    ratio = 0.0
                    for i in leaves:
                        share = base[i] + effect * (1 - base[i]) if effect > 0 else base[i] * (1 + effect)
                        moved = likelihood(i, share, module.MOVED)
                        rest = (1 - module.STRAYS) * likelihood(i, base[i], module.AT_REST)
                        rest += module.STRAYS * likelihood(i, base[i], module.STRAYED)
                        ratio += log((1 - module.STAYS) * moved + module.STAYS * rest) - log(rest)
                    ratios.append(ratio)
                cost = log(comb(len(attributes), depth)) + sum(log(len(set(attributes[name]))) for name in names)
                evidence = np.logaddexp.reduce(ratios) - log(len(ratios)) - cost
                if evidence > best[0]:
                    best = (evidence, where)
    return best


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_search_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    attributes, viewers = make_cube(rng, {"bitrate": 3, "network": 2, "player": 2}, total=3000.0)
    viewers, past = rng.poisson(viewers) + 1, rng.poisson(3 * viewers) + 1
    rate = np.full(len(viewers), 0.05)
    rate[inside(attributes, {"bitrate": "bitrate1", "network": "network0"} if seed % 2 else {"player": "player1"})] = (
        0.3
    )
    hits, past_hits = rng.binomial(viewers, rate), rng.binomial(past, 0.05)
    result = Localise(max_slices=1)(attributes, hits, past_hits, weight=viewers, weight_expected=past)
    evidence, where = brute_force(attributes, hits, viewers, past_hits, past)
    assert dict(result.slices[0].where) == where
    assert result.slices[0].evidence == pytest.approx(evidence, rel=1e-9)


# Intervals


@pytest.mark.parametrize(("with_history", "widest"), [(False, 0.25), (True, 0.2)])
def test_intervals_of_shares_cover_as_often_as_they_say(with_history, widest):
    covered, widths, draws = 0, [], 200
    wheres = [{"shop": "shop1"}, {"category": "category2"}]
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        attributes, mean = make_cube(rng, {"category": 5, "shop": 6, "surface": 3}, spread=0.3)
        moved = mean * np.where(inside(attributes, wheres[0]), 3.0, np.where(inside(attributes, wheres[1]), 2.5, 1.0))
        now = money(rng, moved)
        if with_history:
            past = np.stack([money(rng, mean) for _ in range(6)], axis=1)
            result = Localise(level=0.9, max_depth=2)(attributes, now, history=past)
        else:
            result = Localise(level=0.9, max_depth=2)(attributes, now, money(rng, mean))
        assert named(*wheres) <= found(result)
        first = next(s for s in result.slices if s.where == wheres[seed % 2])
        free = np.ones(len(mean), dtype=bool)  # a leaf counts in the first slice that holds it
        for earlier in result.slices[: result.slices.index(first)]:
            free &= ~inside(attributes, earlier.where)
        mask = inside(attributes, first.where) & free
        truth = (moved - mean)[mask].sum() / (moved - mean).sum()
        covered += first.share.low <= truth <= first.share.high
        widths.append(first.share.high - first.share.low)
    low, high = binom.ppf([0.001, 0.999], draws, 0.9)
    assert low <= covered <= high
    assert np.median(widths) < widest


# The same answer


def example(seed=2):
    rng = np.random.default_rng(seed)
    attributes, mean = make_cube(rng)
    moved = mean * np.where(inside(attributes, {"shop": "shop1", "surface": "surface0"}), 3.0, 1.0)
    return attributes, money(rng, moved), money(rng, mean)


def test_the_same_seed_gives_the_same_answer():
    assert Localise(seed=4)(*example()) == Localise(seed=4)(*example())


def test_order_of_rows_and_attributes_does_not_matter():
    attributes, now, then = example()
    order = np.random.default_rng(0).permutation(len(now))
    turned = {name: attributes[name][order] for name in reversed(attributes)}
    assert Localise()(turned, now[order], then[order]) == Localise()(attributes, now, then)


def test_rows_of_one_combination_are_summed():
    attributes, now, then = example()
    twice = {name: np.concatenate([values, values]) for name, values in attributes.items()}
    halves = Localise()(twice, np.concatenate([now, now]) / 2, np.concatenate([then, then]) / 2)
    assert found(halves) == found(Localise()(attributes, now, then))
    assert halves.slices[0].leaves == Localise()(attributes, now, then).slices[0].leaves


def test_values_come_back_as_given():
    attributes, now, then = example()
    attributes = {
        "shop": np.array([int(v[-1]) for v in attributes["shop"]]),
        "surface": attributes["surface"].astype(object),
    }
    assert dict(Localise()(attributes, now, then).slices[0].where) == {"shop": 1, "surface": "surface0"}


def test_attributes_of_one_value_leave_only_the_external_move():
    result = Localise()({"a": ["x", "x"], "b": ["y", "y"]}, [900.0, 900.0], [100.0, 120.0])
    assert (result.slices, result.total_change) == ((), 1580)


def test_nothing_changed():
    attributes, now, _ = example()
    result = Localise()(attributes, now, now)
    assert (result.slices, result.external, result.total_change, result.explained) == ((), False, 0, 0)
    assert not Localise()(attributes, 0 * now, 0 * now).slices
    assert not Localise()(attributes, 0 * now, history=np.zeros((len(now), 3))).slices


# Bad input

ROWS = {"a": ["x", "y", "y"]}
ONES = np.ones(3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (({}, ONES, ONES), "no attribute"),
        ((ROWS, ONES), "nothing to compare"),
        ((ROWS, [], []), "`a` has the wrong shape"),
        (({"a": []}, [], []), "at least one row"),
        ((ROWS, ONES, np.ones(2)), "`expected` has the wrong shape"),
        (({"a": ["x"]}, ONES, ONES), "`a` has the wrong shape"),
        ((ROWS, [1, np.nan, 1], ONES), "`actual` has missing or infinite"),
        ((ROWS, ONES, ["one", "two", "three"]), "`expected` is not numbers"),
        (({"a": [1.0, np.nan, 2.0]}, ONES, ONES), "`a` has missing values"),
        (({"a": np.array(["x", None, "y"], dtype=object)}, ONES, ONES), "`a` mixes kinds"),
    ],
)
def test_bad_rows_are_named(arguments, says):
    with pytest.raises(BadInputError, match=says):
        Localise()(*arguments)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"weight": ONES}, "denominators in every period"),
        ({"weight_expected": ONES}, "denominators in every period"),
        ({"weight": -ONES, "weight_expected": ONES}, "`weight` has negative"),
        ({"weight": ONES, "weight_expected": 0 * ONES}, "no denominators"),
        ({"history": ONES}, "`history` has the wrong shape"),
        ({"history": np.ones((3, 0))}, "`history` has the wrong shape"),
    ],
)
def test_bad_weights_and_history_are_named(weights, says):
    with pytest.raises(BadInputError, match=says):
        Localise()(ROWS, ONES, ONES, **weights)


@pytest.mark.parametrize("setting", [{"level": 1}, {"max_depth": 0}, {"max_slices": 0}, {"min_share": 2}])
def test_bad_settings_are_named(setting):
    with pytest.raises(BadInputError, match=next(iter(setting)).split("_")[0]):
        Localise(**setting)


# Real incidents


def element(cause):
    return tuple(sorted((name, str(value)) for name, value in cause.items()))


@shared("robustspot")
def test_localises_real_incidents_without_reading_their_causes(tmp_path):
    labels = json.loads((INCIDENTS / "labels.json").read_text(encoding="utf-8"))[
        :30
    ]  # the ones settings were chosen on
    stripped = [{"case": label["case"], "timestamp": label["timestamp"]} for label in labels]
    (tmp_path / "labels.json").write_text(json.dumps(stripped), encoding="utf-8")
    (tmp_path / "cases").symlink_to(INCIDENTS / "cases")
    out = tmp_path / "predictions.csv"
    script = [sys.executable, REPO / "benchmarks" / "localise.py", tmp_path, "--predictions", out]
    subprocess.run(script, check=True, capture_output=True, timeout=120)
    with out.open(encoding="utf-8", newline="") as handle:
        told = {row["case"]: row["prediction"] for row in csv.DictReader(handle)}
    right = wrong = missed = 0
    for label in labels:
        truth = {element(cause) for cause in label["causes"]}
        elements = filter(None, told[label["case"]].split(";"))
        answer = {element(dict(part.split("=") for part in e.split("&"))) for e in elements}
        right, wrong, missed = right + len(truth & answer), wrong + len(answer - truth), missed + len(truth - answer)
    assert 2 * right / (2 * right + wrong + missed) >= 0.85
