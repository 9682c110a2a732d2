"""The commissions wing on a bazaar whose laws are known, and on stores that lack what it needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import copy
from dataclasses import fields, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import bazaar
import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import market
from oracles.queries import database
from tradewind.decisions.commissions import CommissionsSettings, Learnt, answer, learn, study, terms
from tradewind.decisions.commissions.effort import SUPPOSED, _lost, believed, effort
from tradewind.decisions.commissions.gains import Brought, Gains
from tradewind.decisions.commissions.goods import _current
from tradewind.decisions.commissions.past import Rows
from tradewind.decisions.commissions.terms import lines, split
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError, MissingDataError, NotFoundError
from tradewind.faces.check import check
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Action, Evidence, Lever, Party, Setting, Study, Subject

DAYS = Period(bazaar.LAST.last + timedelta(days=1), bazaar.LAST.last + timedelta(days=28))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(bazaar.build(tmp_path_factory.mktemp("bazaar"))))


@pytest.fixture(scope="module")
def learnt(store: Store) -> Learnt:
    return learn(store, bazaar.LAST)


@pytest.fixture(scope="module")
def discounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bazaar whose sellers take a fifth off their list prices, and where a tenth comes back."""
    return bazaar.build(tmp_path_factory.mktemp("discounted"), off=0.2, back=0.1)


@pytest.fixture(scope="module")
def told(store: Store) -> Study:
    return study(store, bazaar.LAST)


def action(product: str, *rates: float, platform: float | None = 0.0, lever: Lever = Lever.COMMISSION) -> Action:
    menu = tuple(
        Setting({"rate": rate} | ({} if platform is None else {"platform": platform}), {Party.MERCHANT: 1.0})
        for rate in rates
    )
    return Action(f"commission-{product}", lever, Subject("product", product, "s0"), DAYS, menu)


def test_how_creators_answer_to_a_rate_is_found(learnt: Learnt):
    curve = learnt.effort.curve
    slope = curve.mid[:3, -1] / np.log(curve.knots[-1] / curve.knots[0])
    assert slope == pytest.approx(np.full(3, bazaar.ANSWER), abs=0.12)


def test_creators_who_do_not_answer_are_told_apart(tmp_path: Path):
    curve = learn(open_store(str(bazaar.build(tmp_path, 2, deaf=True))), bazaar.LAST).effort.curve
    span = np.log(curve.knots[-1] / curve.knots[0])
    answer, error = curve.mid[:3, -1] / span, curve.error[:3, -1] / span
    assert (np.abs(answer - [0.0, bazaar.ANSWER, bazaar.ANSWER]) < 1.645 * error).all()
    assert answer[0] < 0.3
    assert (error > 0.02).all()


def test_what_one_line_takes_from_the_others_is_found(learnt: Learnt):
    found = learnt.effort.crowding
    assert found.mid == pytest.approx(bazaar.CROWDING, abs=max(0.15, 3 * found.error))


def test_how_much_of_the_exposure_is_new_is_found(learnt: Learnt):
    effort = np.array([0.5, 2.0, 5.0])
    true = 1 + bazaar.BEND * effort
    assert (1 + learnt.effort.bend * effort) ** learnt.effort.new.mid == pytest.approx(true, rel=0.12)


def test_what_creators_take_from_sales_elsewhere_is_not_new(tmp_path: Path):
    """Two bazaars with a mall that loses none of what creators sell, or three tenths of it."""
    none, some = (
        learn(open_store(str(bazaar.build(tmp_path / str(taken), 3, taken=taken))), bazaar.LAST) for taken in (0.0, 0.3)
    )
    under = np.unique(none.past.product[np.isfinite(none.past.rate)])
    for each, taken in ((none, 0.0), (some, 0.3)):
        assert each.effort.taken.told
        there = replace(each.effort, taken=replace(each.effort.taken, mid=0.0, error=0.0))
        told, without = (known.gains().new_sales(under) for known in (each, replace(each, effort=there)))
        assert told.mean() == pytest.approx(without.mean() - taken, abs=0.05)
        assert np.quantile(told, 0.05) <= without.mean() - taken <= np.quantile(told, 0.95)
    even = [each.gains().break_even().mean(axis=0)[under].mean() for each in (none, some)]
    assert even[1] < 0.6 * even[0]


def test_products_that_were_not_there_yet_tell_nothing(tmp_path: Path):
    """A quarter of the products is launched in the tenth week: neither shown nor sold anywhere before."""
    store = open_store(str(bazaar.build(tmp_path, 3, taken=0.0)))
    launch = bazaar.FIRST + timedelta(days=7 * 9 + 3)
    young = [f"p{n:03d}" for n in range(0, bazaar.PRODUCTS, 4)]
    kept = {}
    for name in ("traffic", "order_lines"):
        rows = store.table(name)
        kept[name] = store.run(rows.filter(~rows.product_id.isin(young) | (rows.day >= launch)))
    rows = store.table("commissions")
    late = ibis.greatest(rows.accepted_at, ibis.literal(datetime.combine(launch, time())).cast(rows.accepted_at.type()))
    kept["commissions"] = store.run(rows.mutate(accepted_at=rows.product_id.isin(young).ifelse(late, rows.accepted_at)))
    store.write(kept)
    found = learn(open_store(str(tmp_path)), bazaar.LAST).effort
    assert abs(found.taken.mid) < max(0.08, 2 * found.taken.error)
    effort_of = np.array([0.5, 2.0, 5.0])
    assert (1 + found.bend * effort_of) ** found.new.mid == pytest.approx(1 + bazaar.BEND * effort_of, rel=0.12)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_the_share_that_creators_take_is_found(share: float):
    """Pieces for pieces, however much creators sell beside them: an elasticity would grow with it."""
    rng = np.random.default_rng(5)
    product, week = np.divmod(np.arange(200 * 20), 20)
    sells = rng.uniform(0.2, 3.0, 200)[product]  # beside what is left elsewhere, in the middle
    more = sells * np.clip(0.3 * rng.standard_normal(4_000), -0.9, 0.9)
    more = np.clip(more - (np.bincount(product, more) / 20)[product], -1, 1)
    counts = rng.poisson(40 * rng.lognormal(0, 0.5, 200)[product] * np.maximum(1 - share * more, 0.0)).astype(float)
    found = _lost(counts, more, (product, week))
    assert found.mid == pytest.approx(share, abs=max(0.03, 2.5 * found.error))
    assert found.error < 0.1


def test_creators_take_no_more_than_is_sold_elsewhere():
    taken, elsewhere = np.array([[0.5, 0.5, 0.5]]), np.array([[100.0, 2.0, 0.0]])
    assert Gains._taken(taken, elsewhere, np.full((1, 3), 10.0), np.full((1, 3), 30.0)).tolist() == [[10.0, 2.0, 0.0]]


def test_a_piece_brings_what_its_price_leaves(learnt: Learnt):
    goods = learnt.goods
    assert goods.merchant == pytest.approx(goods.price * (bazaar.MARGIN - bazaar.FEE), rel=1e-6)
    assert goods.platform == pytest.approx(goods.price * bazaar.FEE, rel=1e-6)


SOLD = """
    with taken as (
        select order_id, line, sum(amount) as amount from order_discounts where payer = 'merchant' group by all
    ), lines as (
        select order_lines.product_id, order_lines.quantity, order_lines.quantity * unit_price as gross,
            gross - coalesce(taken.amount, 0) as gmv, unit_cost,
            platform_fee - coalesce(fee_reversed, 0) as fee, coalesce(refunds.amount, 0) as back
        from order_lines left join taken using (order_id, line)
            left join refunds using (order_id, line)
        where order_lines.day between '{first}' and '{last}'
    ), sold as (
        select product_id, sum(quantity) as pieces, sum(gross) as gross, sum(gmv) as gmv, sum(unit_cost) as cost,
            sum(fee) as fee, sum(back) as back
        from lines group by all
    )
    select pieces, gmv, cost, fee, back, list_price,
        sum(gmv) over k / sum(gross) over k, sum(cost) over k / sum(gross) over k,
        sum(fee) over k / sum(gmv) over k, sum(back) over k / sum(gmv) over k
    from sold join products using (product_id) join product_history using (product_id)
    window k as (partition by split_part(category, '/', 1)) order by product_id
"""


def test_a_listing_counts_from_its_local_day_on(tmp_path: Path, market_rows: market.Rows):
    """Three hours behind UTC the last day ends at three; of shops that list alike, which counts goes not by rows."""
    end = datetime.combine(market.PERIOD.last + timedelta(days=1), time(3))
    listed = [
        {"product_id": "p01", "shop_id": shop, "valid_from": end + after, "list_price": Decimal(price)}
        for shop, after, price in (
            ("shop-01", timedelta(days=-9), 1), ("shop-02", timedelta(minutes=-9), 2),
            ("shop-04", timedelta(minutes=-9), 4), ("shop-03", timedelta(minutes=-9), 3), ("shop-01", timedelta(), 5),
        )
    ]  # fmt: skip
    for name, rows in (("one", listed), ("other", listed[::-1])):
        market.write(tmp_path / name, {**market_rows, "product_history": rows})
        store = open_store(str(tmp_path / name))
        assert _current(store, market.PERIOD, {"p01": 0})[0].tolist() == [4.0]


def test_commission_is_a_share_of_gmv(discounted: Path):
    goods = learn(open_store(str(discounted)), bazaar.LAST).goods
    first = bazaar.LAST.last - timedelta(days=7 * (bazaar.WEEKS - 1) - 1)
    rows = database(discounted).sql(SOLD.format(first=first, last=bazaar.LAST.last)).fetchall()
    pieces, gmv, cost, fee, back, listed, kept, costs, fees, backs = np.array(rows, float).T
    assert (kept < 0.82).all()
    usual = listed * kept
    price, fee, back = (
        (total + 5 * each) / (pieces + 5) for total, each in ((gmv, usual), (fee, usual * fees), (back, usual * backs))
    )
    costing = cost / pieces  # the same on every order
    assert (costs > 0).all()
    assert goods.price == pytest.approx(price, rel=1e-9)
    assert goods.returned == pytest.approx(back / price, rel=1e-9)
    assert goods.platform == pytest.approx(fee, rel=1e-9)
    assert goods.merchant == pytest.approx(price - costing - fee - back, rel=1e-9)


@pytest.mark.parametrize("listed", [False, True])
def test_pieces_to_come_cost_what_they_cost_today(tmp_path: Path, learnt: Learnt, listed: bool):
    """Costs rose by half in the last two weeks: told by orders, or by listings that say so and know more."""
    store = open_store(str(bazaar.build(tmp_path, off=0.0)))
    rows = store.table("order_lines")
    late = rows.day > bazaar.LAST.last - timedelta(days=14)
    then = (rows.unit_cost * late.ifelse(1.5, 1.0)).cast("decimal(18, 4)")
    tables = {"order_lines": store.run(rows.mutate(unit_cost=then))}
    if listed:
        names, end = learnt.goods.ids, datetime.combine(bazaar.LAST.last, time())
        tables["product_history"] = market.arrow("product_history", [
            {"product_id": name, "shop_id": f"s{int(name[1:]) % bazaar.SHOPS}", "valid_from": end - timedelta(days=9),
             "unit_cost": Decimal(2)}
            for name in names
        ])  # fmt: skip
    store.write(tables)
    found = learn(open_store(str(tmp_path)), bazaar.LAST)
    price = dict(
        database(tmp_path).sql("select product_id, max(unit_price)::double from order_lines group by all").fetchall()
    )
    last = dict(
        database(tmp_path)
        .sql("select product_id, arg_max(unit_cost, day)::double from order_lines group by all")
        .fetchall()
    )
    sold = np.array([name in price for name in found.goods.ids])
    more = np.array([
        (2 if listed else last[name]) - price[name] * bazaar.MARGIN for name in np.array(found.goods.ids)[sold]
    ])  # fmt: skip
    less = (learnt.goods.merchant - found.goods.merchant)[sold]
    assert less == pytest.approx(more, rel=1e-6, abs=1e-4)
    assert (more > 1).sum() > 40 or listed


def test_gifts_are_nobodys_demand_and_not_free(tmp_path: Path, learnt: Learnt):
    """Samples and gifts with every purchase, at no price, for a cent, or fully discounted."""
    store = open_store(str(bazaar.build(tmp_path)))
    rows = store.run(store.table("order_lines")).to_pylist()
    cent, full = Decimal("0.0100"), []
    gifts = [row | {"line": 1, "commission": None, "platform_fee": None} for row in rows]
    for n, gift in enumerate(gifts):
        gift["unit_price"] = (Decimal(0), cent, gift["unit_price"])[n % 3]
        if n % 3 == 2:
            full.append({"order_id": gift["order_id"], "line": 1, "n": 0, "payer": "merchant", "kind": "gift",
                         "amount": gift["unit_price"]})  # fmt: skip
    lines = pa.Table.from_pylist(rows + gifts, schema=store.run(store.table("order_lines").limit(1)).schema)
    store.write({"order_lines": lines, "order_discounts": market.arrow("order_discounts", full)})
    found = learn(open_store(str(tmp_path)), bazaar.LAST)
    for name in ("bought", "sold", "pieces", "through"):
        assert getattr(found.past, name) == pytest.approx(getattr(learnt.past, name))
    assert found.goods.price == pytest.approx(learnt.goods.price, rel=2e-3)
    assert found.busy(DAYS) == pytest.approx(learnt.busy(DAYS))
    first = bazaar.LAST.last - timedelta(days=7 * (bazaar.WEEKS - 1) - 1)
    sums = database(tmp_path).sql(f"""
        select shop_id, (sum(unit_cost) filter (line = 1) / sum(unit_price) filter (line = 0))::double from order_lines
        where day between '{first}' and '{bazaar.LAST.last}' group by all
    """).fetchall()  # fmt: skip
    share = np.array([dict(sums)[f"s{int(name[1:]) % bazaar.SHOPS}"] for name in found.goods.ids])
    assert (learnt.goods.merchant - found.goods.merchant) == pytest.approx(share * found.goods.price, rel=0.02)


def test_what_is_paid_now_meets_what_was_booked(discounted: Path):
    gains = learn(open_store(str(discounted)), bazaar.LAST).gains()
    products = np.unique(gains.of)
    told = gains(products, np.full(len(products), 0.1), np.full(len(products), 28.0)).before.mean(axis=0).sum()
    [(booked,)] = database(discounted).sql(f"""
        select sum(commission - coalesce(commission_reversed, 0))
        from order_lines left join refunds using (order_id, line, product_id)
        where order_lines.day >= '{bazaar.LAST.first}' and product_id in (
            select product_id from commissions
            where accepted_at <= '{bazaar.LAST.last}' and ends_at > '{bazaar.LAST.last} 23:59:59'
        )
    """).fetchall()  # fmt: skip
    assert told == pytest.approx(float(booked), rel=0.08)


def test_both_engines_say_the_same(opened: Callable[[Path], Store], tmp_path_factory: pytest.TempPathFactory):
    folder = bazaar.build(tmp_path_factory.mktemp("engines"))
    here, there = (learn(store, bazaar.LAST) for store in (open_store(str(folder)), opened(folder)))
    asked = [action(name, 0.1, 0.2) for name in here.goods.ids[::9]]
    for mine, theirs in zip(here.appraise(asked), there.appraise(asked), strict=True):
        for a, b in zip(mine.menu, theirs.menu, strict=True):
            ends = [(each.joint.mid, each.joint.low, each.joint.high) for each in (a, b)]
            assert ends[0] == pytest.approx(ends[1], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("days", [8, 21])
def test_contracts_that_end_within_the_days_are_counted(tmp_path: Path, days: int):
    folder = bazaar.build(tmp_path)
    caveats = study(open_store(str(folder)), bazaar.LAST, CommissionsSettings(days=days)).caveats
    [(pairs, soon)] = database(folder).sql(f"""
        select count(*), count(*) filter (ends < date '{bazaar.LAST.last + timedelta(days=days + 1)}')
        from (select product_id, creator_id, max(ends_at) + interval 1 second as ends from commissions
              where accepted_at <= '{bazaar.LAST.last}' and ends_at > '{bazaar.LAST.last} 23:59:59' group by all)
    """).fetchall()  # fmt: skip
    assert 0 < soon < pairs
    [said] = [each for each in caveats if "renewed" in each]
    assert said.startswith(
        f"Of {several(pairs, 'pair')} of product and creator under contract, the contracts of {soon} end"
    )


def test_refunds_that_come_later_teach_nothing(tmp_path: Path):
    """Goods that come back are put on sale again, so that both what is kept and what it cost hang on them."""
    store = open_store(str(bazaar.build(tmp_path, back=0.3)))
    refunds = store.table("refunds")
    shift = ibis.interval(days=7 * bazaar.WEEKS)
    later = refunds.mutate(known_at=refunds.known_at + shift, restocked=ibis.literal(value=True))
    told = [learn(store, bazaar.LAST).goods]
    for rows in (later, refunds.filter(refunds.known_at < ibis.literal(datetime(2000, 1, 1)))):
        store.write({"refunds": store.run(rows)})
        told.append(learn(open_store(str(tmp_path)), bazaar.LAST).goods)
    now, late, none = told
    assert now.returned.mean() > 0.2
    assert late.returned.max() == none.returned.max() == 0.0
    assert late.merchant == pytest.approx(none.merchant, rel=1e-12)


def test_where_orders_and_traffic_name_other_places_nothing_is_sure(tmp_path: Path, told: Study):
    """Sellers sell nothing where they show then: that creators sell endlessly better there is no finding."""
    store = open_store(str(bazaar.build(tmp_path, apart=True)))
    found = study(store, bazaar.LAST)
    [share, usual] = (each.finding("new").numbers["new"] for each in (found, told))
    assert share.high - share.low > 0.5 * (usual.high - usual.low)
    assert share.high < 0.999
    assert found.actions[0].evidence == Evidence.ASSUMED
    assert any("how much better sells" in caveat for caveat in found.caveats)
    assert not any("how much better sells" in caveat for caveat in told.caveats)
    assert any("places of which no traffic is told" in doubt for doubt in check(store).doubts)


@pytest.mark.parametrize("party", ["platform", "creator", "brand"])
def test_what_others_take_off_is_theirs_to_pay(tmp_path: Path, learnt: Learnt, party: str):
    """GMV does not know of it: left out it would be a gain of nobody's money."""
    other = learn(open_store(str(bazaar.build(tmp_path, besides=party))), bazaar.LAST)
    sold = np.isfinite(learnt.past.rate)
    for name in ("merchant", "platform", "creator", "brand"):
        less = getattr(learnt.goods, name) - getattr(other.goods, name)
        assert less == pytest.approx(learnt.goods.price / 10 if name == party else 0 * less, rel=1e-3, abs=1e-6)
    assert other.goods.joint == pytest.approx(learnt.goods.joint - learnt.goods.price / 10, rel=1e-3)
    names = [learnt.goods.ids[p] for p in np.unique(learnt.past.product[sold])]
    before, after = (
        [each.menu[0] for each in some.appraise([action(name, 0.25) for name in names])] for some in (learnt, other)
    )
    parties = (Party.MERCHANT, Party.PLATFORM, Party.CREATOR)
    lost = {who: np.array([x.gain[who].mid - y.gain[who].mid for x, y in zip(before, after, strict=True)])
            for who in parties}  # fmt: skip
    joint = np.array([x.joint.mid - y.joint.mid for x, y in zip(before, after, strict=True)])
    assert np.abs(joint).mean() > 0.05 * np.abs([each.joint.mid for each in before]).mean()
    for who, part in lost.items():
        assert (np.abs(part).max() > 1e-3) == (who == party)


def test_contracts_that_end_with_the_last_day_hold_no_more(tmp_path: Path, learnt: Learnt):
    """Whether they end with its last second or at the midnight after."""
    for name, shift in (("second", -1), ("midnight", 0)):
        folder = bazaar.build(tmp_path / name)
        store = open_store(str(folder))
        rows = store.table("commissions")
        last = datetime.combine(bazaar.LAST.last + timedelta(days=1), time()) + timedelta(seconds=shift)
        ending = rows.ends_at.date() == bazaar.LAST.last + timedelta(days=7)
        store.write(
            {"commissions": rows.mutate(ends_at=ending.ifelse(ibis.literal(last, "timestamp(6)"), rows.ends_at))}
        )
        found = learn(open_store(str(folder)), bazaar.LAST).past
        within = learnt.past.ends < 7.5
        assert within.any()
        assert found.contracts.sum() < learnt.past.contracts.sum()
        assert not (found.ends[np.isfinite(found.rate)] < 7.5).any()


def test_of_two_contracts_at_once_the_one_that_is_paid_counts(tmp_path: Path, learnt: Learnt):
    store = open_store(str(bazaar.build(tmp_path, doubled=True)))
    found = learn(store, bazaar.LAST)
    assert found.past.rate == pytest.approx(learnt.past.rate, nan_ok=True)
    assert found.past.rows.rate == pytest.approx(learnt.past.rows.rate)
    assert (found.past.doubled, learnt.past.doubled) == (len(learnt.past.product), 0)
    assert any("two contracts at once" in said for said in study(store, bazaar.LAST).caveats)


def test_contracts_that_name_no_creator_are_counted(tmp_path: Path, told: Study):
    store = open_store(str(bazaar.build(tmp_path)))
    rows = store.table("commissions")
    nobody = ibis.null(rows.creator_id.type())
    store.write({"commissions": rows.mutate(creator_id=(rows.rate > 0.2).ifelse(nobody, rows.creator_id))})
    assert any("name no creator" in said for said in study(open_store(str(tmp_path)), bazaar.LAST).caveats)
    assert not any("no creator" in said for said in told.caveats)


def test_what_creators_show_without_a_known_contract_is_theirs_and_keeps_its_rate(tmp_path: Path, learnt: Learnt):
    """Half of the contracts name nobody: as much is new as before, and a raise is paid on the other half alone."""
    store = open_store(str(bazaar.build(tmp_path)))
    rows = store.table("commissions")
    odd = rows.contract_id.right(1).cast("int64") % 2 == 1
    store.write({"commissions": rows.mutate(creator_id=odd.ifelse(ibis.null(rows.creator_id.type()), rows.creator_id))})
    found = learn(open_store(str(tmp_path)), bazaar.LAST)
    here, whole = found.gains(), learnt.gains()
    products = np.unique(here.of[here.signed])
    share = [each.new_sales(products).mean() for each in (here, whole)]
    assert share[0] == pytest.approx(share[1], abs=0.08)
    pairs = [
        list(zip((each.goods.ids[p] for p in some.of), (each.past.creators[k] for k in some.by), strict=True))
        for each, some in ((found, here), (learnt, whole))
    ]
    named = {pair for pair, signed in zip(pairs[0], here.signed, strict=True) if signed}
    same = np.array([pair in named for pair in pairs[1]])
    days, rate = np.full(len(products), 28.0), np.full(len(products), 0.2)
    mine, theirs = here(products, rate, days), whole(products, rate, days, chosen=same)
    for part in ("before", "through", "joint"):
        mids = [getattr(each, part).mean(axis=0).sum() for each in (mine, theirs)]
        assert mids[0] == pytest.approx(mids[1], rel=0.25)
    raised = [(each.after - each.before).mean(axis=0).sum() for each in (mine, theirs)]
    assert raised[0] == pytest.approx(raised[1], rel=0.2)
    assert (here(products, rate, days, chosen=~here.signed).joint == 0).all()


def test_a_mega_campaign_is_not_promised_again(tmp_path: Path, store: Store, told: Study):
    found = study(open_store(str(bazaar.build(tmp_path, mega=bazaar.WEEKS - 3))), bazaar.LAST)
    usual, then = (
        sum(max(setting.joint.mid for setting in action.menu if setting.joint) for action in each.actions)
        for each in (told, found)
    )
    assert 0.6 * usual < then < 1.4 * usual
    assert any("1 week of the base" in caveat for caveat in found.caveats)
    assert not any("of the base" in caveat for caveat in told.caveats)


def test_contracts_of_products_that_are_gone_promise_nothing(tmp_path: Path, told: Study):
    best = sorted(told.actions, key=lambda a: -max(s.joint.mid for s in a.menu if s.joint))[:5]
    names = {each.subject.id for each in best}
    gone = ("product", frozenset(int(name[1:]) for name in names), bazaar.WEEKS - 3)
    found = study(open_store(str(bazaar.build(tmp_path, gone=gone))), bazaar.LAST)
    assert not names & {each.subject.id for each in found.actions}
    assert found.actions
    assert any("on paper" in caveat for caveat in found.caveats)
    assert not any("on paper" in caveat for caveat in told.caveats)


def test_contracts_of_creators_who_left_count_as_ended(tmp_path: Path):
    left = frozenset(range(0, bazaar.CREATORS, 3))
    found = learn(open_store(str(bazaar.build(tmp_path, gone=("creator", left, bazaar.WEEKS - 5)))), bazaar.LAST)
    theirs = np.array([int(name[1:]) in left for name in found.past.creators])[found.past.creator]
    assert np.isnan(found.past.rate[theirs]).all()
    assert np.isfinite(found.past.rate[~theirs]).any()
    assert found.past.idle > 10


def test_a_product_that_no_listing_shows_is_proposed_no_rate(tmp_path: Path):
    ended = frozenset(range(0, bazaar.PRODUCTS, 2))
    found = study(open_store(str(bazaar.build(tmp_path, off=0.2, ended=ended))), bazaar.LAST)
    assert found.actions
    assert not [each for each in found.actions if int(each.subject.id[1:]) in ended]


def test_gains_keep_keys_doses_and_costs_and_transfers_cancel(learnt: Learnt):
    live = sorted({learnt.goods.ids[p] for p in learnt.past.product[np.isfinite(learnt.past.rate)]})
    given = [action(live[0], 0.1, 0.2, 0.3), action(live[1], 0.05)]
    found = learnt.appraise(given)
    assert [a.key for a in found] == [a.key for a in given]
    for before, after in zip(given, found, strict=True):
        assert after.evidence is Evidence.OBSERVATIONAL
        assert after.why
        assert after.expires == bazaar.LAST.last + timedelta(days=28)
        for one, other in zip(before.menu, after.menu, strict=True):
            assert (one.dose, one.cost) == (other.dose, other.cost)
            assert other.joint is not None
            assert other.joint.low <= other.joint.mid <= other.joint.high
    paid = learnt.appraise([action(live[0], 0.2, platform=0.5)])[0].menu[0]
    plain = found[0].menu[1]
    for end in ("low", "mid", "high"):  # who pays is a transfer
        assert getattr(paid.joint, end) == pytest.approx(getattr(plain.joint, end))
    moved = paid.gain[Party.MERCHANT].mid - plain.gain[Party.MERCHANT].mid
    assert moved > 0
    assert moved == pytest.approx(plain.gain[Party.PLATFORM].mid - paid.gain[Party.PLATFORM].mid)


def test_the_rate_that_is_paid_now_brings_nothing(learnt: Learnt):
    past = learnt.past
    live = np.flatnonzero(np.isfinite(past.rate))
    alone = next(n for n in live if (past.product[live] == past.product[n]).sum() == 1)
    name, rate = learnt.goods.ids[past.product[alone]], float(past.rate[alone])
    setting = learnt.appraise([action(name, rate, platform=None)])[0].menu[0]
    for gain in setting.gain.values():
        assert (gain.low, gain.mid, gain.high) == pytest.approx((0, 0, 0), abs=1e-9)


def test_commission_moves_as_counted_by_hand(learnt: Learnt):
    """One line alone on its product: what the creators' party gains, written out at the middle of everything."""
    past, effort, goods, worth = learnt.past, learnt.effort, learnt.goods, learnt.worth
    live = np.flatnonzero(np.isfinite(past.rate))
    alone = next(n for n in live if (past.product[live] == past.product[n]).sum() == 1)
    p, k = past.product[alone], past.creator[alone]
    curve = effort.curve
    grid, tier = np.log(curve.knots), past.tier[k]
    at = {n: np.interp(np.log(past.rate[n]), grid, curve.mid[past.tier[past.creator[n]]]) for n in live}
    usual = {n: np.interp(np.log(effort.usual[n]), grid, curve.mid[past.tier[past.creator[n]]]) for n in live}
    given = {n: effort.level[n] * np.exp(at[n] - usual[n]) for n in live if past.creator[n] == k}
    rate = float(curve.knots[-1])
    ratio = np.exp(curve.mid[tier][-1] - at[alone])
    load = sum(given.values())
    after = given[alone] * ratio * (1 + given[alone] * (ratio - 1) / load) ** -effort.crowding.mid
    before = given[alone]
    sold = worth.through[p] * 28 * goods.price[p]
    wider = (after / (1 + after)) / (before / (1 + before))
    grown = ((1 + effort.bend * after) / (1 + effort.bend * before)) ** effort.new.mid
    brought = learnt.gains()(np.array([p]), np.array([rate]), np.array([28.0]))
    assert brought.before.mean() == pytest.approx(sold * past.rate[alone], rel=0.1)
    assert brought.after.mean() == pytest.approx(sold * wider * grown * rate, rel=0.15)


@pytest.mark.parametrize(("platform", "proposed"), [(1.0, True), (-1.0, False)])
def test_no_rate_is_proposed_that_leaves_a_payer_worse_off(platform: float, proposed: bool):
    """A raise of 2 that brings the merchant 6: all together gain, whatever it costs the platform."""

    class Raise:
        of, tier, rate, share, given, contracts = (np.array([v]) for v in (0, 0, 0.1, 0.0, np.ones(200), 1))
        together, likely = np.ones((200, 1)), Gains.likely

        def __call__(self, product: np.ndarray, *_: object) -> Brought:
            parts = (6.0, platform, 0.0, 0.0, 10.0, 12.0, 100.0, 0.0, 6.0)
            return Brought(*(np.full((200, len(product)), part) for part in parts))

    Raise.given = Raise.given.T
    [line] = lines(Raise(), (0.2,), 28, np.array([True]))
    assert (line.rate == 0.2) == proposed
    assert line.platform.mid >= 0


def test_what_many_rates_are_worth_at_once_makes_none_alone_less_likely(learnt: Learnt):
    gains = learnt.gains()
    under = np.flatnonzero(np.isfinite(gains.pays()[0]))
    joint = gains(under, np.full(len(under), 0.2), np.full(len(under), 28.0)).joint
    alone = joint / gains.together
    assert (gains.together < 0).mean() > 0.05
    assert gains.likely(joint).tolist() == (alone > 0).mean(axis=0).tolist()
    assert gains.likely(np.sign(gains.together)) == [1.0]


@pytest.mark.parametrize("shop", ["s0", "s1", "s4"])
def test_one_shop_alone_is_answered_within_reason(store: Store, shop: str):
    own = store.scoped(Scope(frozenset({shop})))
    alone = learn(own, bazaar.LAST)
    curve = alone.effort.curve
    span = np.log(curve.knots[-1] / curve.knots[0])
    answer, error = curve.mid[:, -1] / span, curve.error[:, -1] / span
    assert curve.straight
    assert (np.abs(answer - bazaar.ANSWER) < 3 * error).all()
    assert (error < SUPPOSED["answer"].error + 1e-9).all()
    found = study(own, bazaar.LAST)
    sold = alone.goods.price @ alone.worth.through * 28
    rows = found.finding("rates").grid.rows
    assert all(abs(end) < sold for row in rows for end in (row["joint"].low, row["joint"].high))
    assert abs(found.finding("refusals").numbers["short"]) < sold
    assert all(setting.joint.mid < sold for each in found.actions for setting in each.menu if setting.joint)
    assert any("by one line" in said for said in found.caveats)
    new = found.finding("new").numbers["new"]
    assert 0 <= new.low <= new.high <= 1


def test_contracts_that_tell_nothing_leave_what_is_supposed():
    prior = SUPPOSED["answer"]
    for mid, error in ((41.0, np.inf), (np.nan, 1.0), (1.0, np.nan)):
        assert replace(believed(mid, error, prior), told=prior.told) == replace(
            prior, mid=pytest.approx(prior.mid), error=pytest.approx(prior.error)
        )
        assert not believed(mid, error, prior).told
    sure = believed(0.9, 0.02, prior)
    assert sure.told
    assert sure.mid == pytest.approx(0.9, abs=0.01)
    even = believed(2.0, prior.error, prior)
    assert (even.mid, even.error) == pytest.approx(((2 + prior.mid) / 2, prior.error / 2**0.5))


def test_contracts_are_counted_and_what_tiers_sell_is_gmv(discounted: Path, tmp_path: Path):
    folder = shutil.copytree(discounted, tmp_path / "twice")
    store = open_store(str(folder))
    contracts = store.run(store.table("commissions"))
    number = contracts.schema.get_field_index("contract_id")
    again = contracts.set_column(number, "contract_id", pc.binary_join_element_wise(contracts["contract_id"], "b", ""))
    store = store.write({"commissions": pa.concat_tables([contracts, again[:90]])})
    rows = study(store, bazaar.LAST).finding("tiers").grid.rows
    [(held, gmv)] = database(folder).sql(f"""
        with live as (
            select * from commissions
            where accepted_at <= '{bazaar.LAST.last}' and ends_at > '{bazaar.LAST.last} 23:59:59'
        )
        select (select count(*) from live), (
            select sum(unit_price - amount) from order_lines join order_discounts using (order_id, line)
            semi join live using (product_id, creator_id) where day >= '{bazaar.LAST.first}'
        )
    """).fetchall()  # fmt: skip
    assert sum(row["contracts"] for row in rows) == held
    assert sum(row["gmv"] for row in rows) == pytest.approx(float(gmv))


def test_why_says_where_gains_come_from(learnt: Learnt):
    """A creator's hours for a product that sells nothing are worth something elsewhere: all of it to others."""
    past, live = learnt.past, np.isfinite(learnt.past.rate)
    product = int(past.product[live][np.argmax(learnt.effort.level[live])])
    unsold = np.where(np.arange(len(learnt.goods.ids)) == product, 1e-9, 1.0)
    known = replace(
        learnt.worth, sells=learnt.worth.sells * unsold, seen=learnt.worth.seen * unsold,
        through=learnt.worth.through * unsold,
    )  # fmt: skip
    asked = replace(action(learnt.goods.ids[product], 0.01), days=Period(DAYS.first, DAYS.first))
    [told] = replace(learnt, worth=known).appraise([asked])
    joint, merchant = told.menu[0].joint.mid, told.menu[0].gain[Party.MERCHANT].mid
    others = joint - sum(gain.mid for gain in told.menu[0].gain.values())
    assert joint > merchant > 0
    assert f"1 day would bring {human(told.menu[0].joint, 'money', 'EUR', signed=True)}" in told.why
    assert f"others {human(others, 'money', 'EUR', signed=True)}" in told.why
    assert f"Of this, {human(joint, 'money', 'EUR', signed=True)} comes of what the same creators then show" in told.why
    [unknown] = learnt.appraise([action("unheard-of", 0.1)])
    assert "No contract" in unknown.why


def test_other_products_of_the_shop_are_the_merchants(store: Store):
    """Alone in the world, a shop has no other shops: what its creators show besides is its own, fees aside."""
    alone = learn(store.scoped(Scope.of(["s1"])), bazaar.LAST)
    gains = alone.gains()
    product = np.unique(gains.of)
    brought = gains(product, np.full(len(product), 0.2), np.full(len(product), 28.0))
    assert np.abs(brought.beside.mean(axis=0)).max() > 0.01
    assert brought.others == pytest.approx(np.zeros_like(brought.others), abs=1e-6)


def test_a_creator_is_told_of_the_own_contracts_only(store: Store, learnt: Learnt):
    past = learnt.past
    live = np.flatnonzero(np.isfinite(past.rate))
    sums = []
    for creator in np.unique(past.creator[live])[:3]:
        mine = past.creator[live] == creator
        found = study(store, bazaar.LAST, CommissionsSettings(creator=past.creators[creator]))
        [tier] = found.finding("tiers").grid.rows
        assert tier["contracts"] == mine.sum()
        lines = [*found.finding("rates").grid.rows, *found.finding("refusals").grid.rows]
        rates = past.rate[live][mine]
        assert all(np.abs(rates - row["now"]).min() < 1e-9 for row in lines)
        assert all(row["contracts"] == 1 for row in found.finding("refusals").grid.rows)
        sums.append(found.finding("rates").numbers["lines"])
    assert sums == [(past.creator[live] == creator).sum() for creator in np.unique(past.creator[live])[:3]]


def test_a_creator_whose_contracts_have_ended_is_not_told_of(store: Store, learnt: Learnt):
    past = learnt.past
    live = set(past.creator[np.isfinite(past.rate)].tolist())
    over = [name for n, name in enumerate(past.creators) if n not in live]
    early = Period(bazaar.LAST.first, bazaar.LAST.last)
    for name in over[:1]:
        with pytest.raises(NotFoundError, match="holds on the last day"):
            study(store, early, CommissionsSettings(creator=name))


def test_a_split_leaves_both_a_gain_where_there_is_one():
    merchant, platform, raised = np.array([6.0, 5.0, -1.0, 0.0]), np.array([2.0, -1.0, 4.0, 0.0]), 3.0
    share = split(merchant, platform)
    assert share == pytest.approx([0.25, 0, 1, 0])
    assert merchant[0] - (1 - share[0]) * raised > 0
    assert platform[0] - share[0] * raised > 0


def test_the_study_tells_rates_payers_and_refusals(told: Study):
    assert {f.key for f in told.findings} >= {"new", "rates", "refusals", "tiers"}
    rates, refusals = told.finding("rates"), told.finding("refusals")
    assert rates.numbers["lines"] >= rates.numbers["higher"] + rates.numbers["lower"]
    assert refusals.numbers["refused"] > 0
    assert all(row["short"].mid < 0 for row in refusals.grid.rows)
    if payers := next((f.numbers for f in told.findings if f.key == "payers"), None):
        assert payers["raises"] == payers["merchant"] + payers["platform"] + payers["shared"] == rates.numbers["higher"]
    assert rates.grid.rows
    for row in rates.grid.rows:  # no rate is proposed that leaves a payer worse off
        assert row["merchant"].mid >= -1e-9
        assert row["platform"].mid >= -1e-9
    for row in rates.grid.rows:  # what all parties gain is what each of the four gains
        parts = [row[name].mid for name in ("merchant", "platform", "creator", "others")]
        assert sum(parts) == pytest.approx(row["joint"].mid)
    assert told.caveats
    assert all(f.evidence is Evidence.OBSERVATIONAL for f in told.findings)


def test_what_it_proposes_harms_no_payer(told: Study):
    assert told.actions
    for proposed in told.actions:
        assert proposed.lever is Lever.COMMISSION
        assert proposed.days == DAYS
        for setting in proposed.menu:
            assert setting.joint.mid > 0
            assert setting.gain[Party.MERCHANT].mid >= -1e-6
            assert setting.gain[Party.PLATFORM].mid >= -1e-6


def test_a_merchant_sees_the_own_shop_only(store: Store):
    seen = study(store.scoped(Scope(frozenset({"s1", "s2"}))), bazaar.LAST)
    assert seen.actions
    assert {a.subject.shop for a in seen.actions} <= {"s1", "s2"}


def test_one_creator(store: Store):
    one = study(store, bazaar.LAST, CommissionsSettings(creator="k03"))
    whole = one.finding("rates").numbers["lines"]
    assert 0 < whole < 40
    assert not one.actions
    with pytest.raises(NotFoundError):
        study(store, bazaar.LAST, CommissionsSettings(creator="nobody"))


def test_nothing_later_than_the_period_is_read(store: Store, learnt: Learnt):
    early = learn(store, Period(bazaar.LAST.first - timedelta(days=28), bazaar.LAST.first - timedelta(days=1)))
    assert early.past.weeks == learnt.past.weeks - 4
    assert early.past.own.sum() == pytest.approx(learnt.past.own[:, :-4].sum())


@pytest.mark.parametrize("table", ["commissions", "traffic"])
def test_a_missing_table_is_named(tmp_path: Path, table: str):
    bare = open_store(str(bazaar.build(tmp_path, leave=(table,))))
    with pytest.raises(MissingDataError, match=table):
        learn(bare, bazaar.LAST)


def test_a_missing_column_is_named_with_what_to_fill_it_with(tmp_path: Path):
    store = open_store(str(bazaar.build(tmp_path)))
    traffic = store.run(store.table("traffic"))
    place = traffic.schema.get_field_index("surface")
    store = store.write({"traffic": traffic.set_column(place, "surface", pc.if_else(True, None, traffic["surface"]))})
    with pytest.raises(MissingDataError, match=r"no traffic\.surface\. .*'feed' AS surface"):
        learn(store, bazaar.LAST)
    [told] = [study for study in check(store, print).studies if study.name == "commissions"]
    assert not told.ready
    assert told.missing == ("traffic.surface",)


def test_a_shop_that_sells_through_no_creator_is_told_so(tmp_path: Path):
    store = open_store(str(bazaar.build(tmp_path)))
    lines = store.run(store.table("order_lines"))
    mine = pc.equal(lines["shop_id"], "s0")
    name = pc.if_else(mine, None, lines["creator_id"])
    place = lines.schema.get_field_index("creator_id")
    store = store.write({"order_lines": lines.set_column(place, "creator_id", name)})
    with pytest.raises(MissingDataError, match="no order here came through a creator"):
        learn(store.scoped(Scope.of(["s0"])), bazaar.LAST)
    assert learn(store.scoped(Scope.of(["s1"])), bazaar.LAST)


def test_a_part_of_a_marketplace_displaces_sellers_who_are_not_in_it(store: Store, learnt: Learnt, told: Study):
    """Nothing is displaced in the bazaar: to cut a product that earns below average gains others nothing."""
    own = replace(store.manifest, provenance=replace(store.manifest.provenance, whole_marketplace=False))
    part = Store(store.folder, store.engine, own)
    known = learn(part, bazaar.LAST)
    assert (learnt.worth.displaced, known.worth.displaced) == ((0.6, 1.0), (0.0, 0.2))
    assert learn(store.scoped(Scope.of(["s0"])), bazaar.LAST).worth.displaced == known.worth.displaced
    whole, alone = (some.gains().value["joint"].mean(axis=0) for some in (learnt, known))
    assert (whole < 0).mean() > 0.3
    assert (alone > 0).mean() > 0.95
    assert alone == pytest.approx(learnt.worth.sells * learnt.goods.joint, abs=0.2 * learnt.worth.joint.max())
    [said] = [each for each in study(part, bazaar.LAST).caveats if "drives away" in each]
    assert "between 0% and 20%" in said
    assert "whole_marketplace" in said
    [said] = [each for each in told.caveats if "drives away" in each]
    assert "between 60% and 100%, and" in said


def test_rates_are_shares_or_percent():
    assert CommissionsSettings(rates=("10%", "0.05", " 12.5 % ", "0.10")).menu == (0.05, 0.1, 0.125)
    with pytest.raises(BadInputError, match=r"write 10% or 0\.1 if that"):  # ten percent, or ten times the price?
        CommissionsSettings(rates=("10",))
    with pytest.raises(BadInputError, match="from 0% to below 100%"):
        CommissionsSettings(rates=("100%",))


def test_bad_input(learnt: Learnt, store: Store):
    for bad in ({"days": 0}, {"rates": ()}, {"rates": ("much",)}, {"rates": ("1.5",)}):
        with pytest.raises(BadInputError):
            CommissionsSettings(**bad)
    with pytest.raises(BadInputError):
        learnt.appraise([Action("x", Lever.PRICE, Subject("product", "p001"), DAYS, (Setting({"off": 0.1}, {}),))])
    with pytest.raises(BadInputError):
        learnt.appraise([replace(action("p001", 0.1), menu=(Setting({"platform": 0.1}, {}),))])
    for dose in ({"rate": 1.2}, {"rate": -0.1}, {"rate": float("nan")}, {"rate": 0.1, "platform": 2.0}):
        with pytest.raises(BadInputError):
            learnt.appraise([replace(action("p001", 0.1), menu=(Setting(dose, {}),))])
    with pytest.raises(MissingDataError):
        learn(store, Period(DAYS.first, DAYS.last))


def test_what_no_data_tell_is_supposed_and_said(learnt: Learnt):
    past, rows = learnt.past, learnt.past.rows
    mine = rows.week == past.weeks - 1
    one_week = replace(
        past, rows=Rows(*(getattr(rows, f.name)[mine] * (f.name != "week") for f in fields(Rows))),
        own=past.own[:, -1:], seen=past.seen[:, -1:], elsewhere=past.elsewhere[:, -1:],
    )  # fmt: skip
    known = effort(one_week, learnt.goods, 0)
    assert not known.new.told
    assert not known.crowding.told
    supposed = replace(learnt, effort=known)
    assert len(supposed.supposed) == 2
    assert supposed.appraise([action("p001", 0.2)])[0].evidence is Evidence.ASSUMED


def test_products_without_a_cost_are_not_sold_for_nothing(tmp_path: Path):
    store = open_store(str(bazaar.build(tmp_path)))
    rows = store.run(store.table("order_lines"))
    place = rows.schema.get_field_index("unit_cost")
    half = pc.less(rows["product_id"], sorted(rows["product_id"].to_pylist())[len(rows) // 2])
    known = pc.if_else(half, rows["unit_cost"], None)
    with pytest.raises(MissingDataError, match="Too many order lines have no unit cost"):
        learn(store.write({"order_lines": rows.set_column(place, "unit_cost", known)}), bazaar.LAST)


def test_contracts_at_one_rate_tell_nothing(learnt: Learnt):
    rows = learnt.past.rows
    flat = replace(learnt.past, rows=replace(rows, rate=np.full(len(rows.rate), 0.1)))
    with pytest.raises(MissingDataError, match="one rate"):
        effort(flat, learnt.goods, 0)


def test_a_product_nobody_knows_is_assumed_to_bring_nothing(learnt: Learnt):
    found = learnt.appraise([action("unheard-of", 0.1)])[0]
    assert found.evidence is Evidence.ASSUMED
    assert found.menu[0].joint.mid == 0
    assert learnt.appraise([]) == ()


class Asked:
    """Gains that count how often all contracts together are looked at."""

    def __init__(self, gains: Gains):
        self._gains = gains
        self.times = 0

    def __getattr__(self, name: str) -> object:
        self.times += 1
        return getattr(self._gains, name)

    def __call__(self, *given: object) -> Brought:
        return self._gains(*given)

    def likely(self, joint: np.ndarray) -> np.ndarray:
        return self._gains.likely(joint)


def test_more_blocks_do_not_go_through_all_contracts_more_often(
    learnt: Learnt, monkeypatch: pytest.MonkeyPatch
) -> None:
    gains, times, found = learnt.gains(), [], []
    for size in (800, 4):
        monkeypatch.setattr(terms, "BLOCK", size)
        asked = Asked(gains)
        found.append(lines(asked, (0.05, 0.1, 0.2), 28, np.ones(len(gains.of), bool)))
        times.append(asked.times)
    assert str(found[0]) == str(found[1])
    assert len(found[0]) > 8
    assert times[0] == times[1]


def test_a_study_draws_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, paid, begin, pays = [], [], Gains.__init__, Gains.pays

    def drawing(self: Gains, *given: object) -> None:
        drawn.append(1)
        begin(self, *given)

    def paying(self: Gains) -> object:
        paid.append(1)
        return pays(self)

    monkeypatch.setattr(Gains, "__init__", drawing)
    monkeypatch.setattr(Gains, "pays", paying)
    study(store, bazaar.LAST)
    few = len(paid)
    monkeypatch.setattr(answer, "BLOCK", 4)
    study(store, bazaar.LAST)
    assert len(drawn) == 2
    assert len(paid) == 2 * few


def test_what_a_reading_sees_is_what_the_product_itself_sells_more(learnt: Learnt) -> None:
    """It is the joint gain without what the same creators show less of others, and without what is driven away."""
    gains = learnt.gains()
    product, rate, days = np.array([3, 7]), np.array([0.2, 0.05]), np.full(2, 28.0)
    found = gains(product, rate, days)
    assert found.own == pytest.approx(found.joint - found.beside - _driven(gains, product, rate, days), rel=1e-9)
    [told] = learnt.appraise([action("p003", 0.2)])
    [setting] = told.menu
    assert setting.own is not None
    assert setting.shown == setting.own
    assert setting.own.mid == pytest.approx(found.own.mean(axis=0)[0])


def _driven(gains: Gains, product: np.ndarray, rate: np.ndarray, days: np.ndarray) -> np.ndarray:
    """What others lose by what is driven away: the joint gain less that of gains that drive nothing away."""
    without = copy(gains)
    without.value = {**gains.value, "joint": gains.sells * gains.goods.joint}
    other = without(product, rate, days)
    return gains(product, rate, days).joint - other.joint


def test_a_campaign_to_come_is_counted_on(tmp_path: Path, store: Store, learnt: Learnt) -> None:
    """What creators sold on 3.3, a Sunday as all days of sales, tells what to expect of 5.5, which is listed."""
    shutil.copytree(store.folder, tmp_path / "store")
    starts = [datetime(2024, n, n) for n in (3, 5)]
    rows = [{"campaign_id": f"{at:%m.%d}", "starts_at": at, "ends_at": at + timedelta(days=1)} for at in starts]
    kept = open_store(str(tmp_path / "store")).write({"campaigns": pa.Table.from_pylist(rows)})
    known = learn(kept, bazaar.LAST)
    sold = (
        database(store.folder)
        .execute(
            "SELECT sum(quantity) FILTER (day = '2024-03-03'),"
            " sum(quantity) FILTER (day <> '2024-03-03' AND abs(day - DATE '2024-03-03') <= 14)"
            " FROM order_lines WHERE relation = 'affiliate'"
        )
        .fetchone()
    )
    assert sold is not None
    assert known.rush.times == pytest.approx((float(sold[0]) + 10) / (float(sold[1]) / 28 + 10))
    more = known.rush.times - 1
    assert known.busy(DAYS) == pytest.approx((28 + more) / (1 + more / (7 * known.past.weeks)))
    assert learnt.busy(DAYS) == 28
    [before], [after] = (each.appraise([action("p003", 0.1, 0.2)]) for each in (learnt, known))
    for was, now in zip(before.menu, after.menu, strict=True):
        assert now.joint.mid == pytest.approx(was.joint.mid * known.busy(DAYS) / 28)
    assert any("2024-05-05" in caveat for caveat in study(kept, bazaar.LAST).caveats)


def test_neither_the_currency_nor_the_order_of_rows_matters(tmp_path: Path, store: Store, told: Study) -> None:
    """A thousand times the money promises a thousand times as much, to the same, at the same settings."""
    again = study(market.rewritten(store, tmp_path / "store", 1_000), bazaar.LAST)
    before, after = market.worth(told), market.worth(again, 1_000)
    assert [key for key, _ in after] == [key for key, _ in before] != []
    for (_, was), (_, now) in zip(before, after, strict=True):
        assert now == pytest.approx(was, rel=1e-6, abs=1e-6)
