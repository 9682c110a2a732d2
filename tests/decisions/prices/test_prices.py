"""The prices wing: a planted answer to price found again, gains worked out by hand, honest gaps."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stall

import market
from tradewind.decisions.prices import Learnt, PricesSettings, learn, require, study
from tradewind.decisions.prices.bulk import without_bulk
from tradewind.decisions.prices.caveats import caveats
from tradewind.decisions.prices.findings import Teller
from tradewind.decisions.prices.learnt import Worth
from tradewind.decisions.prices.outlook import outlook
from tradewind.decisions.prices.panel import read
from tradewind.decisions.prices.promoted import promoted
from tradewind.decisions.prices.response import Band, _displayed, response
from tradewind.decisions.prices.surge import surge
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError, NotFoundError
from tradewind.measures.assume import Assumptions
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Action, Estimate, Evidence, Lever, Party, Setting, Study, Subject

COMING = Period(stall.LAST + timedelta(days=1), stall.LAST + timedelta(days=28))
OFFS = (0.0, 0.1, 0.3)
EVERY = np.arange(stall.PRODUCTS)
WHY = re.compile(
    r"sell about (?P<pieces>\S+) pieces in 28 days instead of (?P<without>\S+) at \S+ off as usual, and a piece would "
    r"bring all parties (?P<each>\S+) instead of (?P<each_before>[^:, ]+)(, other products (?P<others>\S+) "
    r"(?P<way>more|less))?: (?P<gain>\S+) in all"
)


def action(product: str, offs: tuple[float, ...] = OFFS, days: Period = COMING, lever: Lever = Lever.PRICE) -> Action:
    dose = "off" if lever == Lever.PRICE else "budget"
    menu = tuple(Setting({dose: off}, {Party.MERCHANT: 3.0}) for off in offs)
    return Action(f"price-{product}", lever, Subject("product", product), days, menu)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return stall.build(tmp_path_factory.mktemp("stall") / "store")


@pytest.fixture(scope="module")
def learnt(store: Store) -> Learnt:
    return learn(store, stall.MONTH)


@pytest.fixture(scope="module")
def answer(store: Store) -> Study:
    return study(store, stall.MONTH)


def test_finds_the_planted_elasticity(learnt: Learnt):
    response = learnt.response
    assert response.overall.low < stall.ELASTICITY < response.overall.high
    assert response.randomised is not None
    assert response.randomised.low < stall.ELASTICITY < response.randomised.high
    assert np.abs(response.elasticity - stall.ELASTICITY).max() < 0.5
    assert 0.7 < response.lasting.mid < 1.1  # nothing was planted to be pulled forward


def test_finds_what_sellers_usually_do(learnt: Learnt):
    expected = np.where(np.arange(stall.PRODUCTS) % 2 == 0, stall.OFTEN * stall.DEPTH, 0.15 * 0.1)
    assert np.abs(learnt.outlook.discount - expected).mean() < 0.05


def test_what_a_plan_did_is_no_habit_of_sellers(tmp_path: Path):
    """What it set for ten weeks would else be the discount of which the next plan says that it ends or deepens it."""
    store = stall.build(tmp_path, planned=(10, 0.3))
    planned = np.arange(stall.PRODUCTS) % 2 == 1
    taken, known = (learn(each, stall.MONTH) for each in (store, store.acted(stall.plan(10))))
    assert taken.outlook.discount[planned].mean() > 0.1  # ten weeks of 26 at 0.3 off
    assert known.outlook.discount[planned].mean() < 0.04  # 0.015, steadied by products discounted often
    assert known.panel.planned.sum() == planned.sum() * 10
    assert known.response.overall.low < stall.ELASTICITY < known.response.overall.high
    before, later = Period(stall.FIRST - timedelta(days=9), stall.FIRST - timedelta(days=1)), COMING
    outside = [replace(each, days=days) for each in stall.plan(1) for days in (before, later)]
    other = [replace(each, lever=Lever.COMMISSION) for each in stall.plan(10)]
    unknown = [replace(each, subject=Subject("product", "nobody")) for each in stall.plan(10)]
    assert not read(store.acted([*outside, *other, *unknown]), stall.LAST).planned.any()


@pytest.mark.parametrize("cut", [3, 5, 6])
def test_a_week_of_a_day_or_two_does_not_move_what_is_to_come(store: Store, learnt: Learnt, cut: int):
    last = stall.LAST - timedelta(days=cut)
    seen = learn(store, Period(last - timedelta(days=27), last))
    assert seen.outlook.weekly.sum() == pytest.approx(learnt.outlook.weekly.sum(), rel=0.15)
    assert seen.outlook.drift < 0.3


def test_pieces_at_no_known_price_teach_nothing(store: Store, learnt: Learnt):
    """As of a small shop, none of whose prices of the last week is told."""
    panel = read(store, stall.LAST)
    off = panel.off.copy()
    off[:, -1] = np.nan
    few = np.where(np.arange(len(off)) < 6, 1.0, 0.0)[:, None]
    for units in (panel.units, np.minimum(panel.units, 1) * few):  # and of one that sells a piece now and then
        found = outlook(replace(panel, off=off, units=units), np.full(len(off), 2.0), stall.MONTH)
        assert 0.3 * units.mean() < found.weekly.mean() < 2 * units.mean()
        assert found.drift <= 1


@pytest.mark.parametrize("pieces", [500, 20_000])
@pytest.mark.parametrize("week", [5, stall.WEEKS - 2, stall.WEEKS - 1])
def test_one_large_order_is_no_demand(tmp_path: Path, learnt: Learnt, week: int, pieces: int):
    """Who takes hundreds of pieces once does not come again every week, nor because of that week's price."""
    store = stall.build(tmp_path / "store", bulk=(4, week, pieces))
    found = learn(store, stall.MONTH)
    others = EVERY != 4
    assert found.outlook.weekly[4] == pytest.approx(learnt.outlook.weekly[4], rel=0.4)
    assert found.outlook.weekly[others].sum() == pytest.approx(learnt.outlook.weekly[others].sum(), rel=0.02)
    assert found.response.elasticity == pytest.approx(learnt.response.elasticity, abs=0.15)
    for before, after in zip(learnt.appraise([action(stall.name(4))]), found.appraise([action(stall.name(4))]),
                             strict=True):  # fmt: skip
        for was, now in zip(before.menu, after.menu, strict=True):
            assert was.joint is not None
            assert now.joint is not None
            assert abs(now.joint.mid - was.joint.mid) < 0.5 * (was.joint.high - was.joint.low)
    assert found.bulk > 0.8 * pieces
    assert any("taken not to come again" in caveat for caveat in study(store, stall.MONTH).caveats)


@pytest.mark.parametrize("listings", [True, False])
def test_what_is_given_away_is_no_demand(tmp_path: Path, listings: bool):
    """Gifts come without a price: nobody would pay the list price for as many."""
    before = learn(stall.build(tmp_path / "plain", listings=listings), stall.MONTH)
    after = learn(stall.build(tmp_path / "given", listings=listings, gifts=(4, 60)), stall.MONTH)
    assert after.panel.units[4] == pytest.approx(before.panel.units[4])
    assert after.panel.list_price[4] == pytest.approx(before.panel.list_price[4])
    for was, now in zip(*(learnt.appraise([action(stall.name(4))])[0].menu for learnt in (before, after)), strict=True):
        assert was.joint is not None
        assert now.joint is not None
        assert now.joint.mid == pytest.approx(was.joint.mid, rel=0.1, abs=1.0)


@pytest.mark.parametrize("week", [3, stall.WEEKS - 3, stall.WEEKS - 1])
def test_a_mega_campaign_is_neither_demand_nor_an_answer_to_price(tmp_path: Path, learnt: Learnt, week: int):
    """It does not come again with the weeks to come, and who takes part is shown more as well."""
    store = stall.build(tmp_path / "store", mega=week)
    found = learn(store, stall.MONTH)
    assert found.outlook.weekly.sum() == pytest.approx(learnt.outlook.weekly.sum(), rel=0.1)
    assert found.response.overall.mid == pytest.approx(learnt.response.overall.mid, abs=0.2)
    begins = stall.FIRST + timedelta(days=7 * week)
    assert found.odd == (begins,)
    assert any(f"In 1 week (from {begins})" in caveat for caveat in study(store, stall.MONTH).caveats)
    alone = learn(store, Period(begins, begins + timedelta(days=6))) if week > stall.WEEKS - 4 else found
    assert alone.outlook.weekly.sum() == pytest.approx(learnt.outlook.weekly.sum(), rel=0.15)


@pytest.mark.parametrize("week", [13, stall.WEEKS - 4])
def test_what_is_over_is_not_promised(tmp_path: Path, learnt: Learnt, week: int):
    """A listing that nobody took down says nothing of what will be sold, such as of a product that got another id."""
    store = stall.build(tmp_path / "store", gone=(4, week))
    found = learn(store, stall.MONTH)
    assert found.outlook.gone.nonzero()[0].tolist() == [4]
    assert found.outlook.weekly[4] < 0.1 * learnt.outlook.weekly[4]
    others = EVERY != 4
    assert found.outlook.weekly[others].sum() == pytest.approx(learnt.outlook.weekly[others].sum(), rel=0.05)
    before, after = (each.appraise([action(stall.name(4))])[0].menu[0].joint for each in (learnt, found))
    assert before is not None
    assert after is not None
    assert abs(after.mid) < 0.1 * before.mid
    assert any("1 product on the list has sold nothing" in caveat for caveat in study(store, stall.MONTH).caveats)


def test_weeks_without_stock_tell_nothing_of_demand(tmp_path: Path, learnt: Learnt):
    found = learn(stall.build(tmp_path / "store", out=(4, 12, 22)), stall.MONTH)
    assert found.outlook.weekly[4] == pytest.approx(learnt.outlook.weekly[4], rel=0.15)
    assert found.panel.stocked[4].tolist() == [1.0] * 12 + [0.0] * 10 + [1.0] * 4
    assert found.response.rows == learnt.response.rows - 10


def test_what_is_sold_without_stock_is_not_limited_by_it(tmp_path: Path, learnt: Learnt):
    found = learn(stall.build(tmp_path / "store", to_order=4), stall.MONTH)
    assert found.panel.stocked[4].tolist() == [1.0] * stall.WEEKS
    assert not found.panel.out.any()
    assert not found.panel.short.any()
    assert found.outlook.weekly == pytest.approx(learnt.outlook.weekly)


def test_stock_that_runs_out_often_is_said(learnt: Learnt, answer: Study):
    short = np.broadcast_to(EVERY[:, None] % 8 == 0, learnt.panel.short.shape)
    known = replace(learnt, panel=replace(learnt.panel, short=short))
    assert any("stock ran out" in caveat for caveat in caveats(known, EVERY, COMING, 0))
    assert not any("stock ran out" in caveat for caveat in answer.caveats)


def test_what_has_no_stock_is_proposed_no_price(tmp_path: Path, answer: Study):
    found = study(stall.build(tmp_path / "store", out=(4, stall.WEEKS - 2, stall.WEEKS)), stall.MONTH)
    assert stall.name(4) in {each.subject.id for each in answer.actions}
    assert stall.name(4) not in {each.subject.id for each in found.actions}
    assert any("ended without stock: 1 product" in caveat for caveat in found.caveats)


def test_what_rests_on_more_coming_in_is_said(
    store: Store, learnt: Learnt, answer: Study, monkeypatch: pytest.MonkeyPatch
):
    """A price that sells more than there is (5 pieces of each but of one product), and more than as usual."""
    rows, offs = np.array([3, 4]), (-0.5, 0.5)
    asked, worth = action(stall.name(4), offs), learnt.worth(rows, offs, COMING)
    said = [[learnt.sentence(int(row), worth, at, k, asked) for k in range(2)] for at, row in enumerate(rows)]
    assert (worth.pieces[:, 1] > worth.without).all()
    assert worth.beyond.tolist() == [[False, False], [False, True]]
    assert said[1][0].startswith("At 50.0% above the list price of ")
    assert said[1][1].startswith("At 50.0% off the list price of ")
    assert "; 5 are on hand, the rest must come in." in said[1][1]
    assert not any("on hand" in each for each in (*said[0], said[1][0]))
    assert not any("on hand" in each for each in (*answer.caveats, *(each.why for each in answer.actions)))
    untold = replace(learnt, panel=replace(learnt.panel, held=np.full(len(EVERY), np.nan)))
    assert not untold.worth(rows, offs, COMING).beyond.any()
    # Where a piece costs nothing a deep discount pays, and sells what is not there.
    cheap = replace(learnt, economics=replace(learnt.economics, amount=0 * learnt.economics.amount))
    monkeypatch.setattr("tradewind.decisions.prices.answer.learn", lambda *_: cheap)
    found = study(store, stall.MONTH)
    needy = [each for each in found.actions if "on hand" in each.why]
    assert 0 < len(needy) < len(found.actions)
    assert any(f"proposed for {len(needy)} products would sell more than is on hand" in each for each in found.caveats)


def test_what_a_season_moves_is_in_the_interval(tmp_path: Path, learnt: Learnt):
    """Nothing tells whether weeks that sold twice as much go on; a market that never moved is surer."""
    busy = learn(stall.build(tmp_path / "store", season=2.0), stall.MONTH)
    assert learnt.outlook.drift < 0.1
    assert busy.outlook.drift > 0.25
    assert busy.outlook.weekly.sum() == pytest.approx(2 * learnt.outlook.weekly.sum(), rel=0.1)


def test_what_sells_for_weeks_is_demand(store: Store):
    panel = read(store, stall.LAST)
    units = panel.units.copy()
    units[3, -3:] += 500
    assert without_bulk(replace(panel, units=units)).units[3, -2:] == pytest.approx(units[3, -2:])
    assert without_bulk(panel).units.sum() > 0.995 * panel.units.sum()


def test_weeks_that_vary_weigh_as_much_as_they_tell(store: Store):
    """Pieces that come one by one weigh in full; of pieces that come in tens, ten weigh like one."""
    panel = read(store, stall.LAST)
    steep = np.full(stall.PRODUCTS, stall.ELASTICITY)
    one = outlook(panel, steep, stall.MONTH)
    weight = one.forgetting ** np.arange(stall.WEEKS - 1, -1, -1)
    assert one.shape.sum() > 0.85 * (panel.units @ weight).sum()
    draw = np.random.default_rng(5)
    tens = outlook(replace(panel, units=10.0 * draw.binomial(panel.units.astype(int), 0.1)), steep, stall.MONTH)
    assert tens.weekly.sum() == pytest.approx(one.weekly.sum(), rel=0.15)
    assert tens.shape.sum() < 0.35 * one.shape.sum()


def test_a_piece_brings_what_it_brings_by_hand(learnt: Learnt):
    at = np.array([stall.price(n) * 0.9 for n in range(stall.PRODUCTS)])
    merchant, platform, creator, brand = learnt.economics.profit(at)
    full = np.array([stall.price(n) for n in range(stall.PRODUCTS)])
    assert merchant == pytest.approx(at * (1 - stall.FEE) - full / 2, rel=1e-3)
    assert platform == pytest.approx(at * stall.FEE, rel=1e-3)
    assert not creator.any()
    assert not brand.any()


def test_gains_are_those_by_hand(learnt: Learnt):
    told = learnt.appraise([action(stall.name(n)) for n in range(stall.PRODUCTS)])
    pace = learnt.outlook.weekly
    hits, mids, truths = 0, [], []
    for n, each in enumerate(told):
        for off, setting in zip(OFFS, each.menu, strict=True):
            truth = stall.worth(n, off, pace[n])
            assert setting.joint is not None
            hits += setting.joint.low <= truth <= setting.joint.high
            mids.append(setting.joint.mid)
            truths.append(truth)
    # The diverted share is not nought in the wing's eyes, and seller's weeks are steadied: near, not equal.
    assert np.corrcoef(mids, truths)[0, 1] > 0.97
    assert sum(mids) == pytest.approx(sum(truths), rel=0.25)
    assert hits / len(mids) > 0.85


def test_weeks_of_campaigns_to_come_are_promised_as_those_before(tmp_path: Path, learnt: Learnt):
    """Sellers discount oftener in them, and more is sold; other weeks are promised as if there had been none."""
    found = learn(stall.build(tmp_path / "store", custom=True), stall.MONTH)
    assert found.surge.odds == pytest.approx(stall.ODDS, rel=0.5)
    assert found.surge.times == pytest.approx(stall.TIMES, rel=0.15)
    assert found.outlook.weekly.sum() == pytest.approx(learnt.outlook.weekly.sum(), rel=0.1)
    seldom = np.arange(1, stall.PRODUCTS, 2)
    assert found.outlook.discount[seldom].mean() == pytest.approx(learnt.outlook.discount[seldom].mean(), rel=0.2)
    later = COMING.starting(7).last + timedelta(days=1)
    sums = []
    for days, campaigns in ((COMING, 1), (Period(later, later + timedelta(days=27)), 0)):  # 7.7 is in the first only
        told = found.appraise([action(stall.name(n), days=days) for n in range(stall.PRODUCTS)])
        gains = [each.menu[0].joint for each in told]
        truths = [stall.worth(n, 0.0, found.outlook.weekly[n], campaigns) for n in range(stall.PRODUCTS)]
        held = [gain.low <= truth <= gain.high for gain, truth in zip(gains, truths, strict=True) if gain is not None]
        assert np.mean(held) > 0.85
        sums.append((sum(gain.mid for gain in gains if gain is not None), sum(truths)))
    assert sums[0][0] / sums[1][0] == pytest.approx(sums[0][1] / sums[1][1], rel=0.04)
    assert sums[0][1] / sums[1][1] > 1.15
    assert any(
        "From 2024-07-01 to 2024-07-28 the marketplace has a campaign (2024-07-07)" in caveat
        for caveat in caveats(found, EVERY, COMING, 0)
    )
    assert not any("has a campaign" in caveat for caveat in caveats(found, EVERY, days, 0))


def test_a_first_campaign_to_come_is_promised_as_any_week(store: Store, learnt: Learnt):
    """Nothing tells what a campaign does where none was; a week that is not over has had none before its day."""
    for ahead in (COMING.first, COMING.last):
        panel = replace(learnt.panel, campaigns=frozenset({ahead}))
        assert not panel.campaign.any()
        found = replace(learnt, panel=panel, surge=surge(panel, learnt.response.elasticity))
        assert found.worth(EVERY, OFFS, COMING).joint == pytest.approx(learnt.worth(EVERY, OFFS, COMING).joint)
        [said] = [caveat for caveat in caveats(found, EVERY, COMING, 0) if "has a campaign" in caveat]
        assert "promised as any other" in said
    wednesday = stall.LAST - timedelta(days=4)
    begun = replace(read(store, wednesday), campaigns=frozenset({wednesday + timedelta(days=1)}))
    assert not begun.campaign.any()
    assert replace(begun, campaigns=frozenset({wednesday})).campaign.nonzero()[0].tolist() == [stall.WEEKS - 1]


def test_what_is_pulled_forward_is_missed_once(tmp_path: Path):
    """The weeks after promotions are in what was sold already: as much goes on to be sold as before."""
    found = learn(stall.build(tmp_path / "store", dip=0.3), stall.MONTH)
    assert found.response.lasting.low < 0.7 < found.response.lasting.high
    told = found.worth(EVERY, (0.0,), COMING)
    assert told.without.sum() == pytest.approx(4 * found.panel.units.mean(axis=1).sum(), rel=0.06)


def test_what_a_reading_sees_is_told_apart_from_what_other_products_gain_or_lose(learnt: Learnt) -> None:
    rows = np.arange(3)
    worth = learnt.worth(rows, OFFS, COMING)
    assert worth.joint[..., 0] == pytest.approx(worth.own[..., 0] + worth.elsewhere)
    assert np.abs(worth.elsewhere).max() > 0
    [told] = learnt.appraise([action(stall.name(0))])
    for k, setting in enumerate(told.menu):
        assert setting.own is not None
        assert setting.shown == setting.own
        assert setting.own.mid == pytest.approx(float(worth.own[0, k, 0]))


def test_parties_add_up_to_the_joint_gain_but_for_other_shops(learnt: Learnt):
    [told] = learnt.appraise([action(stall.name(0))])
    for setting in told.menu:
        assert setting.joint is not None
        gains = sum(setting.gain[party].mid for party in (Party.MERCHANT, Party.PLATFORM, Party.CREATOR, Party.BRAND))
        assert gains == pytest.approx(setting.joint.mid, abs=0.1 * abs(setting.joint.mid) + 20)
    full, tenth, _ = (setting.attributed for setting in told.menu)
    assert full == 0, "no attribution credits a full price with what is sold meanwhile"
    worth = learnt.worth(EVERY[:1], OFFS, COMING)
    assert tenth == pytest.approx(0.9 * stall.price(0) * float(worth.pieces[0, 1]))


def number(said: str) -> float:
    return float(re.sub(r"[R$+,]", "", said).replace("−", "-"))


def test_pieces_times_what_a_piece_brings_add_up_to_the_gain(answer: Study):
    grid = answer.finding("prices").grid
    assert grid is not None
    for row in grid.rows:
        told = row["pieces"] * row["each"] - row["without"] * row["each_before"] + row["elsewhere"]
        assert told == pytest.approx(row["gain"].mid)
    for each in answer.actions:
        found = WHY.search(each.why)
        assert found is not None, each.why
        at, usual, one, one_usual, gain = (
            number(found[name]) for name in ("pieces", "without", "each", "each_before", "gain")
        )
        others = number(found["others"] or "0") * (-1 if found["way"] == "less" else 1)
        rounded = 0.05 * (abs(one) + abs(one_usual)) + 0.005 * (at + usual) + (0.5 if gain > 999 else 0.01)
        assert at * one - usual * one_usual + others == pytest.approx(gain, abs=rounded), each.why


def test_what_is_usual_counts_each_piece(learnt: Learnt):
    """Most pieces sell in the weeks of deep discounts: 0.8 · 0.6⁻² of them beside 0.2 at the list price."""
    worth = learnt.worth(EVERY, OFFS, COMING)
    deep = stall.OFTEN * (1 - stall.DEPTH) ** -stall.ELASTICITY
    assert worth.before[::2].mean() == pytest.approx(stall.DEPTH * deep / (deep + 1 - stall.OFTEN), abs=0.02)


def test_appraises_any_actions_in_their_order_and_alike(learnt: Learnt):
    given = [action(stall.name(n), (0.25, 0.05)) for n in (7, 2, 7)] + [action(stall.name(2))]
    told = learnt.appraise(given)
    assert [each.key for each in told] == [each.key for each in given]
    assert [dict(s.dose) for s in told[0].menu] == [{"off": 0.25}, {"off": 0.05}]
    assert all(dict(s.cost) == {Party.MERCHANT: 3.0} for each in told for s in each.menu)
    assert told[0].menu == told[2].menu
    [alone] = learnt.appraise([given[1]])
    assert alone.menu == told[1].menu  # what else is asked changes nothing
    assert told[0].evidence == Evidence.OBSERVATIONAL
    assert told[0].expires is not None
    assert "off the list price" in told[0].why
    assert learnt.appraise([]) == ()


def test_longer_days_bring_more(learnt: Learnt):
    short, long = (Period(COMING.first, COMING.first + timedelta(days=days - 1)) for days in (14, 28))
    [two], [four] = (learnt.appraise([action(stall.name(0), (0.1,), days)]) for days in (short, long))
    assert two.menu[0].joint is not None
    assert four.menu[0].joint is not None
    assert 0 < two.menu[0].joint.mid < four.menu[0].joint.mid


def test_proposes_to_end_discounts_that_cost(answer: Study):
    assert answer.actions
    subjects = {each.subject.id for each in answer.actions[:30]}
    deep = {stall.name(n) for n in range(0, stall.PRODUCTS, 2)}
    assert subjects <= deep
    first = answer.actions[0].menu[0].joint
    assert first is not None
    assert first.low > 0
    prices = answer.finding("prices")
    assert prices.grid is not None
    assert prices.grid.rows[0]["off"] < prices.grid.rows[0]["before"]
    assert prices.chart is not None


def test_tells_which_promotions_lost_money(answer: Study):
    found = answer.finding("promotions")
    assert found.grid is not None
    rows = {row["depth"]: row for row in found.grid.rows}
    deep = rows["35.0% or more"]
    planted = (1 - stall.DEPTH) ** -stall.ELASTICITY - 1
    assert deep["uplift"].low < planted < deep["uplift"].high
    assert deep["brought"].high < 0
    assert answer.finding("losers").evidence == Evidence.OBSERVATIONAL


def of_promotions(store: Store, learnt: Learnt, uplift: float, diverted: float) -> tuple[str, dict[str, Any]]:
    """What is said of promotions from 35 % off on, had they sold that much more and drawn that share from others."""
    band = Band(0.35, 1.0, Estimate(uplift, uplift - 0.01, uplift + 0.01))
    part, whole = Estimate(diverted, diverted, diverted), Estimate(1, 1, 1)
    other = replace(learnt.response, bands=(band,), diverted=part, lasting=whole)
    teller = Teller(store, replace(learnt, response=other), EVERY, learnt.worth(EVERY, OFFS, COMING), OFFS, COMING)
    found = teller.promotions()
    assert found is not None
    assert found.grid is not None
    return found.sentence, dict(found.grid.rows[0])


def test_what_is_needed_is_where_the_profit_turns(store: Store, learnt: Learnt):
    """By hand: a piece brings half its list price without, and a tenth of it with the promotion."""
    needed = (0.5 - 0.1) / (0.1 - 0.1 * 0.5)
    _, row = of_promotions(store, learnt, 1.0, 0.1)
    assert row["needed"] == pytest.approx(needed, rel=1e-2)
    _, row = of_promotions(store, learnt, row["needed"], 0.1)
    assert row["brought"].mid == pytest.approx(0, abs=1e-6)


def test_what_is_needed_is_said_as_it_is(store: Store, learnt: Learnt):
    said, row = of_promotions(store, learnt, -0.238, 0.05)
    assert "sold 23.8% less; those judged needed 533% more" in said
    said, row = of_promotions(store, learnt, 1.0, 0.15)
    assert row["needed"] > 9
    assert "needed more than ten times as many pieces" in said
    said, row = of_promotions(store, learnt, 1.0, 0.3)
    assert row["needed"] is None, "a tenth of the list price is less than three tenths of a half"
    assert row["one_more"] < 0
    assert "no rise could have paid" in said
    assert "below cost" not in said


@pytest.mark.parametrize("dip", [0.0, 0.5])
def test_past_promotions_are_charged_with_what_was_missing_afterwards(tmp_path: Path, dip: float):
    """By hand: what was sold, less what each product would have sold at its list price in every week."""
    store = stall.build(tmp_path, lot=False, dip=dip)
    known = learn(store, stall.MONTH)
    planted = Estimate(stall.ELASTICITY, stall.ELASTICITY, stall.ELASTICITY)
    lasts, none = Estimate(1 - dip, 1 - dip, 1 - dip), Estimate(0, 0, 0)
    off, units = np.nan_to_num(known.panel.off), known.panel.units
    full = np.array([float(stall.price(n)) for n in range(stall.PRODUCTS)])[:, None]
    pace = np.random.default_rng(1).gamma(2.0, 4.0, stall.PRODUCTS)[:, None]
    truth = float((units * full * (0.5 - off)).sum() - (pace * full * 0.5).sum() * stall.WEEKS)
    each = promoted(units, full * (0.5 - off), 0.5 * full, (1 - off) ** -stall.ELASTICITY, 1 - dip)
    assert each.brought((1 - off) ** -stall.ELASTICITY, 1 - dip, 0.0)[off > 0].sum() == pytest.approx(truth, rel=0.06)
    bands = tuple(
        replace(band, uplift=Estimate(*[(1 - depth) ** -stall.ELASTICITY - 1] * 3))
        for band, depth in zip(known.response.bands, (0.1, stall.DEPTH), strict=True)
    )
    right = replace(
        known.response, bands=bands, lasting=lasts, diverted=none, overall=planted, common=0.0,
        elasticity=np.full(stall.PRODUCTS, stall.ELASTICITY), error=np.zeros(stall.PRODUCTS),
    )  # fmt: skip
    teller = Teller(store, replace(known, response=right), EVERY, known.worth(EVERY, OFFS, COMING), OFFS, COMING)
    found, worst = teller.promotions(), teller.losers()
    assert found is not None
    assert worst is not None
    assert worst.grid is not None
    assert found.numbers["brought"].mid == pytest.approx(truth, rel=0.06)
    as_learnt = replace(known, response=replace(known.response, diverted=none))
    told = Teller(store, as_learnt, EVERY, known.worth(EVERY, OFFS, COMING), OFFS, COMING).promotions()
    assert told is not None
    held = told.numbers["brought"].low < truth < told.numbers["brought"].high
    assert held or dip  # of 10 such stores each: 10, 9 where 0.3 is missing, 7 where half is, more than is usual
    deep = [n for n in range(stall.PRODUCTS) if n % 2 == 0]
    lost = {f"Product {n}": float((units * full * (0.5 - off) - pace * full * 0.5)[n].sum()) for n in deep}
    losses = {row["product"]: row["brought"].mid for row in worst.grid.rows}
    assert sum(losses.values()) == pytest.approx(sum(lost[name] for name in losses), rel=0.1)


def test_what_lasts_widens_the_interval_of_past_promotions(tmp_path: Path):
    store = stall.build(tmp_path, dip=0.3)
    known = learn(store, stall.MONTH)
    found = []
    for lasting in (known.response.lasting, Estimate(*[known.response.lasting.mid] * 3)):
        other = replace(known, response=replace(known.response, lasting=lasting))
        told = Teller(store, other, EVERY, known.worth(EVERY, OFFS, COMING), OFFS, COMING).promotions()
        assert told is not None
        assert told.grid is not None
        found.append(told.grid.rows[-1]["brought"])
    assert found[0].mid == pytest.approx(found[1].mid)
    assert found[0].low < found[1].low < found[1].high < found[0].high


def test_promotions_are_counted_over_the_products_shown(store: Store, learnt: Learnt, answer: Study):
    """Also weeks of a product that never sold; parts add up to the whole."""
    panel = learnt.panel
    unsold = replace(panel, units=np.where(EVERY[:, None] == 0, 0.0, panel.units))
    other = replace(learnt, panel=unsold, response=response(store, unsold, 0))
    found = Teller(store, other, EVERY, learnt.worth(EVERY, OFFS, COMING), OFFS, COMING).promotions()
    whole = answer.finding("promotions")
    parts = [study(store, stall.MONTH, PricesSettings(category=f"Home/Sort {n}")) for n in range(5)]
    grids = [each.grid.rows for each in (found, whole, *(part.finding("promotions") for part in parts))]
    first, every, *some = ({row["depth"]: row for row in rows} for rows in grids)
    deep = np.nan_to_num(panel.off) >= 0.35
    assert first["35.0% or more"]["weeks"] == deep.sum()
    assert first["35.0% or more"]["pieces"] == panel.units[1:][deep[1:]].sum()
    for depth, row in every.items():
        for counted in ("weeks", "pieces"):
            assert sum(each[depth][counted] for each in some if depth in each) == row[counted]
    assert "all products together sold" in parts[0].finding("promotions").sentence


def test_a_campaign_that_hardly_loses_is_told_in_words(store: Store, learnt: Learnt):
    one, menu, days = EVERY[1:2], (0.1,), Period(COMING.first, COMING.first)
    worth = learnt.worth(one, menu, days)
    worth = replace(worth, joint=np.full((1, 1, 3), -0.0037), pieces=worth.without[:, None] + 1)
    found = Teller(store, learnt, one, worth, menu, days).campaign(one, worth, days)
    assert found is not None
    assert found.sentence == "A campaign price for 1 day would lose on Product 1 at 10.0% off: next to nothing."


@pytest.mark.parametrize(("low", "sure"), [(1e-12, 0), (4.0, 1)])
def test_what_gains_nothing_where_it_sells_at_that_price_anyway_is_not_sure(
    store: Store, learnt: Learnt, low: float, sure: int
):
    one, days = EVERY[1:2], Period(COMING.first, COMING.first)
    worth = replace(learnt.worth(one, (0.0,), days), joint=np.array([[[30.0, low, 90.0]]]))
    numbers = Teller(store, learnt, one, worth, (0.0,), days).prices().numbers
    assert numbers["dearer"] + numbers["cheaper"] == sure


def test_one_is_told_in_the_singular(store: Store, learnt: Learnt):
    one, day = EVERY[3:4], Period(COMING.first, COMING.first)
    worth = learnt.worth(one, (0.3,), day)
    teller = Teller(store, learnt, one, worth, (0.3,), day)
    assert "None of 1 product would earn more" in teller.prices().sentence
    slow = teller.slow_stock()
    assert slow is not None
    assert slow.sentence.startswith("1 product has stock for more than 26 weeks")
    assert "it would sell" in slow.sentence
    assert slow.sentence.endswith("in 1 day.")
    dear = replace(worth, pieces=worth.pieces - 1000)
    slow = Teller(store, learnt, one, dear, (0.0,), day).slow_stock()
    assert slow is not None
    assert re.search(r"would sell \d+ pieces fewer in", slow.sentence)


@pytest.mark.parametrize(("count", "says"), [(1, "1 product loses money"), (2, "2 products lose money")])
def test_tells_what_loses_on_each_piece_at_any_price(
    store: Store, learnt: Learnt, answer: Study, count: int, says: str
):
    amount = learnt.economics.amount.copy()
    amount[0, :count] *= 2  # a piece costs as much as its list price, before the fee
    dear = replace(learnt, economics=replace(learnt.economics, amount=amount + (amount > 0) * 1e-6))
    worth: Worth = dear.worth(EVERY, OFFS, COMING)
    found = Teller(store, dear, EVERY, worth, OFFS, COMING).prices()
    assert f"{says} on each piece at every one of these prices: a list price that is dearer" in found.sentence
    assert found.numbers["losing"] == count
    assert answer.finding("prices").numbers["losing"] == 0
    assert "on each piece" not in answer.finding("prices").sentence


def test_products_that_share_a_title_are_told_apart(tmp_path: Path):
    found = study(stall.build(tmp_path / "alike", titles=stall.PRODUCTS - 2), stall.MONTH)
    shown = {row["product"] for key in ("prices", "losers") for row in found.finding(key).grid.rows}
    both = {f"Product {n % (stall.PRODUCTS - 2)} ({stall.name(n)})" for n in (0, stall.PRODUCTS - 2)}
    assert shown & both
    assert all(name in both or "(" not in name for name in shown)
    assert not shown & {"Product 0", "Product 1"}


def test_a_campaign_below_cost_is_told_to_lose(tmp_path: Path):
    """At a margin of three tenths a tenth off brings 0.2 / 0.9² of the list price a piece in place of 0.3."""
    store = stall.build(tmp_path / "poor", cost=False).assuming(Assumptions(margin=0.3))
    found = study(store, stall.MONTH).finding("campaign")
    assert found.grid is not None
    gains = {int(row["product"].split()[1]): row["gain"].mid for row in found.grid.rows}
    assert all(gain < 0 for n, gain in gains.items() if n % 2), "the others are usually cheaper than they should be"
    assert sum(n % 2 for n in gains) > 5


def test_a_campaign_is_told_with_what_is_missing_afterwards(tmp_path: Path):
    """At a margin of nine tenths a third off pays: 0.6 / 0.7² of the list price a piece in place of 0.9."""
    store = stall.build(tmp_path / "rich", cost=False).assuming(Assumptions(margin=0.9))
    found = study(store, stall.MONTH, PricesSettings(campaign=3)).finding("campaign")
    learnt = learn(store, stall.MONTH)
    assert found.evidence == Evidence.ASSUMED
    odd = stall.PRODUCTS // 2  # most of the others are as cheap as that already
    assert odd <= found.numbers["products"] <= odd + 5
    assert found.grid is not None
    rows = {row["product"]: row for row in found.grid.rows}
    assert {row["off"] for row in rows.values()} == {0.3}
    days = Period(COMING.first, COMING.first + timedelta(days=2))
    for n in range(1, stall.PRODUCTS, 2):
        if (row := rows.get(f"Product {n}")) is None:
            continue
        lasts = learnt.appraise([action(stall.name(n), (0.3,), days)])[0].menu[0]
        assert row["gain"] == lasts.joint
        pace = float(learnt.outlook.weekly[n]) * 3 / 7
        assert row["pieces"] == pytest.approx(pace * 0.7 ** -float(learnt.response.elasticity[n]), rel=0.1)
        assert row["pulled"] == 0, "nothing was planted to be pulled forward"
    total = found.numbers["gain"]
    assert total.mid >= sum(row["gain"].mid for row in rows.values()) - 1e-6
    forward = replace(learnt, response=replace(learnt.response, lasting=Estimate(0.8, 0.7, 0.9)))
    every, menu = np.arange(stall.PRODUCTS), (0.0, 0.1, 0.2, 0.3)
    worth = forward.worth(every, menu, days)
    told = Teller(store, forward, every, worth, menu, days).campaign(every, worth, days)
    assert told is not None
    assert told.grid is not None
    for row in told.grid.rows:
        n = int(row["product"].split()[1])
        deeper = (1 - row["off"]) / (1 - worth.before[n])
        share = 1 - deeper ** (0.2 * float(forward.response.elasticity[n]))
        assert 0.05 < share == pytest.approx(row["pulled"] / row["pieces"])
    slow = replace(worth, pieces=np.minimum(worth.pieces, 0.9 * worth.without[:, None]))
    assert Teller(store, forward, every, slow, menu, days).campaign(every, slow, days) is None, "it would sell less"


def test_both_engines_say_the_same(opened: Callable[[Path], Store], tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("engines") / "store"
    here, there = (learn(store, stall.MONTH) for store in (stall.build(folder), opened(folder)))
    asked = [action(stall.name(n)) for n in range(0, stall.PRODUCTS, 7)]
    for mine, theirs in zip(here.appraise(asked), there.appraise(asked), strict=True):
        for a, b in zip(mine.menu, theirs.menu, strict=True):
            assert (a.joint.mid, a.joint.low, a.joint.high) == pytest.approx((b.joint.mid, b.joint.low, b.joint.high))


def test_an_elasticity_from_which_a_lower_price_pays_is_where_the_gain_turns(learnt: Learnt, store: Store):
    """At that elasticity a price a little lower than the list price brings as much, all of it counted."""
    back = replace(learnt.economics, share=learnt.economics.share * 0.9)
    some = np.array([0])
    teller = Teller(store, replace(learnt, economics=back), some, learnt.worth(some, OFFS, COMING), OFFS, COMING)
    needed = -float(teller.answer().numbers["enough"])
    share, amount = (float(values[0]) for values in back.joint)
    full, lasts, drawn = learnt.panel.list_price[0], learnt.response.lasting.mid, learnt.response.diverted.mid

    def brings(off: float) -> float:
        pieces = (1 - off) ** (-needed * lasts)
        return float(pieces * (share * full * (1 - off) - amount) - drawn * (pieces - 1) * back.others.sum())

    slope = (brings(1e-5) - brings(-1e-5)) / 2e-5
    assert slope == pytest.approx(0, abs=1e-3 * share * full)


def test_days_of_a_first_week_that_is_cut_are_those_known(tmp_path: Path):
    """Of weeks that end on a Friday the first has but its last days; a campaign after it is not in it."""
    store = stall.build(tmp_path, weeks=30)
    panel = read(store, stall.FIRST + timedelta(days=7 * 30 - 3))
    assert panel.weeks[0].weekday() == 5
    assert panel.days.tolist() == [2.0, *[7.0] * 25, 5.0]
    assert not replace(panel, campaigns=frozenset({panel.weeks[0] + timedelta(days=2)})).campaign[0]
    assert replace(panel, campaigns=frozenset({panel.weeks[0] + timedelta(days=1)})).campaign[0]


def test_no_sale_price_is_the_list_price(tmp_path: Path, learnt: Learnt):
    found = read(stall.build(tmp_path, asked=False), stall.LAST)
    assert np.array_equal(found.off, learnt.panel.off, equal_nan=True)
    assert np.array_equal(found.price, learnt.panel.price, equal_nan=True)
    assert found.active.all()


@pytest.mark.parametrize("late", [True, False])
def test_refunds_that_come_later_teach_nothing(tmp_path: Path, learnt: Learnt, store: Store, late: bool):
    lines = store.run(store.table("order_lines").select("order_id", "shop_id", "ordered_at", "quantity")).to_pylist()
    end = stall.MONTH.end(store.provenance.timezone)
    rows = [
        {"refund_id": line["order_id"], "order_id": line["order_id"], "line": 0, "shop_id": line["shop_id"],
         "quantity": 1, "restocked": True, "amount": Decimal(5), "refunded_at": line["ordered_at"],
         "known_at": end if late else end - timedelta(seconds=1)}
        for line in lines
    ]  # fmt: skip
    found = learn(stall.build(tmp_path, extra={"refunds": rows}), stall.MONTH).economics
    assert np.array_equal(found.joint[1], learnt.economics.joint[1]) == late
    assert np.array_equal(found.joint[0], learnt.economics.joint[0]) == late


def test_a_display_counts_in_each_week_by_its_days(tmp_path: Path, learnt: Learnt):
    day = stall.FIRST
    # Four weeks; Thursday to Sunday; without an end; one said to end before it begins, which counts on its first day.
    spans = [(1, 70, 97), (2, 73, 76), (3, 140, None), (5, 100, 60)]
    rows = [
        {"product_id": stall.name(n), "shop_id": stall.shop(n), "kind": "display", "starts_on": day + timedelta(days=a),
         "ends_on": None if b is None else day + timedelta(days=b)}
        for n, a, b in spans
    ]  # fmt: skip
    store = stall.build(tmp_path, extra={"promotions": rows})
    [found] = _displayed(store, learnt.panel)
    place = [learnt.panel.products.index(stall.name(n)) for n, _, _ in spans]
    expected = np.zeros((4, stall.WEEKS))
    expected[0, 10:14], expected[1, 10], expected[2, 20:], expected[3, 14] = 1.0, 4 / 7, 1.0, 1 / 7
    assert found[place] == pytest.approx(expected)
    assert found.sum() == pytest.approx(expected.sum())


def test_a_unit_cost_is_the_one_of_the_last_day_that_tells_one(tmp_path: Path):
    """As of lines alone: it was half the price for half a year, and is 0.7 of it since the last week."""
    found = read(stall.build(tmp_path, cost=False, extra={"order_lines": [
        {
            "order_id": f"x{day}-{n}", "line": 0, "ordered_at": datetime.combine(day, time(12)),
            "known_at": datetime.combine(day, time(12)), "day": day, "hour": datetime.combine(day, time(12)),
            "customer_id": "x", "shop_id": stall.shop(0), "product_id": stall.name(0), "quantity": 1,
            "unit_price": Decimal(10), "unit_cost": Decimal(cost),
        }
        for n, (day, cost) in enumerate([(stall.FIRST, 5), (stall.LAST - timedelta(days=9), 5), (stall.LAST, 6),
                                         (stall.LAST, 8)])
    ]}), stall.LAST)  # fmt: skip
    assert found.cost[0] == pytest.approx(7)
    assert np.isnan(found.cost[1:]).all()


def test_finds_slow_stock(answer: Study):
    found = answer.finding("slow_stock")
    assert found.grid is not None
    assert [row["product"] for row in found.grid.rows] == ["Product 3"]
    assert found.grid.rows[0]["bound"] == pytest.approx(10_000 * stall.price(3) / 2)


def test_a_scope_hears_of_its_own_shops_only(store: Store):
    own = study(store.scoped(Scope.of(["s1"])), stall.MONTH)
    assert {each.subject.shop for each in own.actions} <= {"s1"}
    assert "20" in own.finding("prices").sentence  # of twenty products


def test_a_category_limits_what_is_proposed(store: Store):
    found = study(store, stall.MONTH, PricesSettings(category="Home/Sort 0", most=5))
    assert 0 < len(found.actions) <= 5
    whole = study(store, stall.MONTH, PricesSettings(category="Home/Sort 0", most=99))
    more = len(whole.actions) - len(found.actions)
    assert more > 0
    assert any(said.startswith(f"{more} more products would gain") for said in found.caveats)
    assert not any("more products would gain" in said for said in whole.caveats)
    assert {int(each.subject.id[1:]) % 5 for each in found.actions} == {0}
    with pytest.raises(NotFoundError, match=r"that category.*Home"):
        study(store, stall.MONTH, PricesSettings(category="Ho"))


def test_prices_from_sales_alone_with_an_assumed_margin(tmp_path: Path):
    store = stall.build(tmp_path / "store", listings=False, cost=False, lot=False)
    with pytest.raises(MissingDataError, match=r"margin=0\.3"):
        study(store, stall.MONTH)
    found = study(store.assuming(Assumptions(margin=0.5)), stall.MONTH)
    assert found.actions
    assert all(each.evidence == Evidence.ASSUMED for each in found.actions)
    assert "it pays at margins below" in found.actions[0].why
    assert any("drawn by lot" in caveat for caveat in found.caveats)
    assert found.finding("answer").numbers["elasticity"].mid == pytest.approx(-stall.ELASTICITY, abs=0.4)


def test_the_break_even_margin_is_where_the_gain_turns(tmp_path: Path):
    store = stall.build(tmp_path / "store", listings=False, cost=False, lot=False)
    rows, told = np.arange(8), []
    for margin in (0.3, 0.5, 0.7):
        learnt = learn(store.assuming(Assumptions(margin=margin)), stall.MONTH)
        told.append(learnt.worth(rows, (0.1, 0.3), COMING))
    for each in told:  # whatever margin is assumed
        assert each.break_even == pytest.approx(told[0].break_even, abs=1e-6)
    first, last = told[0].joint[..., 0], told[2].joint[..., 0]
    assert told[0].break_even == pytest.approx(0.3 - first * 0.4 / (last - first), abs=1e-6)


@pytest.mark.parametrize(
    ("even", "gain", "says"),
    [(0.2, 5.0, "at margins above 20.0%"), (0.2, -5.0, "at margins below 20.0%"), (-1.7, 5.0, "at any margin"),
     (-1.7, -5.0, "at no margin"), (1.4, 5.0, "at any margin"), (1.4, -5.0, "at no margin")],
)  # fmt: skip
def test_where_no_margin_turns_the_gain_it_is_said(tmp_path: Path, even: float, gain: float, says: str):
    store = stall.build(tmp_path / "store", listings=False, cost=False, lot=False)
    known = learn(store.assuming(Assumptions(margin=0.5)), stall.MONTH)
    worth = known.worth(np.arange(1), (0.1,), COMING)
    ends = np.full((1, 1, 3), gain)
    worth = replace(worth, joint=ends, break_even=np.full((1, 1), even))
    assert says in known.sentence(0, worth, 0, 0, action(known.panel.products[0], (0.1,)))


def test_the_same_seed_gives_the_same_answer(store: Store, learnt: Learnt):
    again = learn(store, stall.MONTH)
    assert again.appraise([action(stall.name(1))]) == learnt.appraise([action(stall.name(1))])


def test_nothing_later_than_the_period_is_known(store: Store):
    early = Period(stall.FIRST + timedelta(days=84), stall.FIRST + timedelta(days=111))
    found = learn(store, early)
    assert found.panel.last == early.last
    assert found.panel.weeks[-1] <= early.last
    total = [line for line in store.run(store.table("order_lines")).to_pylist() if line["day"] <= early.last]
    assert found.panel.units.sum() == sum(line["quantity"] for line in total)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (action("p000", lever=Lever.TRAFFIC), "no action on the price"),
        (action("nobody"), "Nothing is known"),
        (action("p000", (0.95,)), "out of range"),
        (action("p000", (float("nan"),)), "out of range"),
        (action("p000", days=stall.MONTH), "begins after"),
    ],
)
def test_actions_that_cannot_be_judged(learnt: Learnt, given: Action, says: str):
    with pytest.raises(BadInputError, match=says):
        learnt.appraise([given])


@pytest.mark.parametrize(
    "settings",
    [PricesSettings(offs=("much",)), PricesSettings(offs=("2",)), PricesSettings(days=0), PricesSettings(most=-1)],
)
def test_settings_out_of_range(store: Store, settings: PricesSettings):
    with pytest.raises(BadInputError):
        study(store, stall.MONTH, settings)


def test_periods_without_data(store: Store):
    with pytest.raises(MissingDataError, match="outside"):
        study(store, Period(stall.LAST + timedelta(days=10), stall.LAST + timedelta(days=20)))
    with pytest.raises(MissingDataError, match="six weeks"):
        study(store, Period(stall.FIRST, stall.FIRST + timedelta(days=13)))


@pytest.mark.parametrize(
    ("lacks", "why"),
    [({"still": True}, "No price moved"), ({"cost": False}, "nothing tells what products cost"),
     ({"weeks": 5}, "six weeks")],
)  # fmt: skip
def test_what_a_store_lacks_is_said_alike_by_the_study_and_by_who_asks_beforehand(
    tmp_path: Path, lacks: dict[str, Any], why: str
):
    store = stall.build(tmp_path / "store", **lacks)
    with pytest.raises(MissingDataError, match=why) as beforehand:
        require(store)
    with pytest.raises(MissingDataError) as asked:
        study(store, Period(stall.FIRST, store.span.last))
    assert str(beforehand.value) == str(asked.value)


def test_a_store_with_all_that_prices_need(store: Store):
    require(store)


def test_neither_the_currency_nor_the_order_of_rows_matters(tmp_path: Path, store: Store, answer: Study):
    """A thousand times the money promises a thousand times as much, to the same, at the same settings."""
    again = study(market.rewritten(store, tmp_path / "store", 1_000), stall.MONTH)
    before, after = market.worth(answer), market.worth(again, 1_000)
    assert [key for key, _ in after] == [key for key, _ in before] != []
    for (_, was), (_, now) in zip(before, after, strict=True):
        assert now == pytest.approx(was, rel=1e-6, abs=1e-6)
