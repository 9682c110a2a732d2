"""The fluctuation wing on planted changes: it finds what was planted, and nothing where nothing was."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import harbour
import pytest

import market
from tradewind.decisions.fluctuation import FluctuationSettings, explored, metrics_of, study
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError, NotFoundError
from tradewind.measures.assume import Assumptions
from tradewind.measures.metric import Ratio
from tradewind.measures.metrics import GMV, METRICS
from tradewind.measures.query import Query
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Estimate, Evidence

WEEK = harbour.LAST_WEEK


def beauty_on_feed_stops(line):
    hit = line["day"] in WEEK and int(line["product_id"][1:]) % 3 == 0 and line["surface"] == "feed"
    return None if hit else line


def prices_up(line):
    if line["day"] in WEEK and line["product_id"] in ("p28", "p29"):
        return {**line, "unit_price": line["unit_price"] * 2}
    return line


def worth(lines: Iterable[dict]) -> float:
    return float(sum(line["unit_price"] * line["quantity"] for line in lines))


def lines_of(store: Store) -> list[dict]:
    return store.run(store.table("order_lines")).to_pylist()


def back(period: Period, days: int) -> Period:
    return Period(period.first - timedelta(days=days), period.last - timedelta(days=days))


def test_a_quiet_week_is_within_the_normal_range(tmp_path: Path):
    found = study(harbour.build(tmp_path), WEEK).finding("verdict")
    assert "within the normal range" in found.sentence
    assert found.evidence is Evidence.MEASURED


def test_a_shop_that_sold_nothing_in_either_period_is_told_so(tmp_path: Path):
    """Its days go on as the store's do, and there is no slice to look into."""
    gone = back(WEEK, 105).last

    def closed(line):
        return None if line["shop_id"] == "s1" and line["day"] > gone else line

    own = harbour.build(tmp_path, closed).scoped(Scope.of(["s1"]))
    assert own.span.last == WEEK.last
    told = study(own, WEEK)
    assert told.finding("verdict").numbers["actual"] == 0
    assert "slices" not in {finding.key for finding in told.findings}
    gone = back(WEEK, 7).last  # it sold in the week before
    told = study(harbour.build(tmp_path / "week", closed).scoped(Scope.of(["s1"])), WEEK)
    assert "below the normal range" in told.finding("verdict").sentence


def test_factors_sum_to_the_change_to_the_cent(tmp_path: Path):
    told = study(harbour.build(tmp_path, prices_up), WEEK)
    verdict, factors = told.finding("verdict"), told.finding("factors")
    parts = [row["contribution"] for row in factors.grid.rows]
    assert all(isinstance(part, Decimal) for part in parts)
    assert sum(parts) == Decimal(str(round(verdict.numbers["change"], 2)))


def test_large_money_is_taken_apart_as_small_money_is(tmp_path: Path):
    def plant(line):
        return {**line, "unit_price": line["unit_price"] * 10**11}

    told = study(harbour.build(tmp_path, plant), WEEK)
    verdict, factors = told.finding("verdict"), told.finding("factors")
    assert verdict.numbers["actual"] > 10**15
    assert sum(row["contribution"] for row in factors.grid.rows) == Decimal(str(verdict.numbers["change"]))


def test_sales_of_no_known_buyer_are_not_taken_apart(tmp_path: Path):
    def plant(line):
        return {**line, "customer_id": None} if line["day"] in WEEK else line

    store = harbour.build(tmp_path, plant)
    told = study(store, WEEK)
    assert "factors" not in {finding.key for finding in told.findings}
    assert any("do not multiply to it" in caveat for caveat in told.caveats)
    week = timedelta(days=7)
    found = explored(store, store.panel(metrics_of(store)), GMV, WEEK, Period(WEEK.first - week, WEEK.last - week))
    assert found is not None
    assert found.root.ways
    for way in found.root.ways:  # what does not make up the change is no way down
        assert sum(child.contribution for child in way.children) == pytest.approx(found.root.contribution)
    assert not any("buyers" in {child.metric for child in way.children} for way in found.root.ways)


@pytest.mark.parametrize("against", ["previous", "expected"])
def test_the_planted_slice_is_found(tmp_path: Path, against: str):
    store = harbour.build(tmp_path, beauty_on_feed_stops)
    told = study(store, WEEK, FluctuationSettings(against=against))
    assert "below the normal range" in told.finding("verdict").sentence
    top = told.finding("slices").grid.rows[0]
    assert "Department Beauty" in top["slice"]
    assert "Surface feed" in top["slice"]
    share = top["share"]
    assert isinstance(share, Estimate)
    assert share.low < 1 < share.high
    weeks = [back(WEEK, 7 * n) for n in ((1,) if against == "previous" else (1, 2, 3, 4))]
    usual = [line for line in lines_of(store) if any(line["day"] in week for week in weeks)]
    stopped = [line for line in usual if int(line["product_id"][1:]) % 3 == 0 and line["surface"] == "feed"]
    level = told.finding("verdict").numbers["compared_with"]
    assert (top["now"], top["before"]) == (0, pytest.approx(worth(stopped) / worth(usual) * level))


def test_a_price_change_is_worth_what_it_was_worth(tmp_path: Path):
    told = study(harbour.build(tmp_path, prices_up), WEEK)
    prices = next(row for row in told.finding("causes").grid.rows if row["cause"].startswith("Prices that changed"))
    assert prices["evidence"] == "measured"
    store = harbour.build(tmp_path / "again", prices_up)
    lines = store.run(store.table("order_lines")).to_pylist()
    before = harbour.Period(WEEK.first - timedelta(days=7), WEEK.first - timedelta(days=1))
    expected = 0.0
    for product in ("p28", "p29"):
        sold = [
            [line for line in lines if line["day"] in period and line["product_id"] == product]
            for period in (before, WEEK)
        ]
        was, now = (
            (sum(float(x["unit_price"]) * x["quantity"] for x in side), sum(x["quantity"] for x in side))
            for side in sold
        )
        expected += (now[0] / now[1] - was[0] / was[1]) * (now[1] + was[1]) / 2
    assert prices["amount"] == pytest.approx(expected, rel=1e-6)


def test_a_campaign_is_judged_by_those_it_did_not_reach(tmp_path: Path):
    reached = {f"c{n}" for n in range(100)}

    def buys_double(line):
        if line["day"] in WEEK and line["customer_id"] in reached:
            return {**line, "quantity": line["quantity"] * 2}
        return line

    starts = datetime.combine(WEEK.first, datetime.min.time())
    store = harbour.build(
        tmp_path, buys_double,
        campaigns=[{"campaign_id": "k", "name": "Spring", "starts_at": starts, "ends_at": starts + timedelta(days=6)}],
        campaign_customers=[{"campaign_id": "k", "customer_id": customer} for customer in sorted(reached)],
    )  # fmt: skip
    found = next(row for row in study(store, WEEK).finding("causes").grid.rows if row["cause"].startswith("Spring"))
    assert found["evidence"] == "observational"
    lines = store.run(store.table("order_lines")).to_pylist()
    truth = sum(
        float(x["unit_price"]) * x["quantity"] / 2 for x in lines if x["day"] in WEEK and x["customer_id"] in reached
    )
    assert found["amount"].low < truth < found["amount"].high


def test_promotions_that_start_are_told(tmp_path: Path):
    promoted = {f"p{n}" for n in range(0, 30, 2)}

    def sells_more(line):
        if line["day"] in WEEK and line["product_id"] in promoted:
            return {**line, "quantity": line["quantity"] * 3}
        return line

    rows = [
        {"product_id": product, "shop_id": f"s{int(product[1:]) % 4}", "starts_on": WEEK.first, "ends_on": WEEK.last}
        for product in sorted(promoted)
    ]
    told = study(harbour.build(tmp_path, sells_more, promotions=rows), WEEK)
    found = next(row for row in told.finding("causes").grid.rows if row["cause"].startswith("Promotions that started"))
    assert found["amount"].low > 0


def test_stock_outs_are_told_as_an_upper_bound(tmp_path: Path):
    rows = [
        {"product_id": "p7", "shop_id": "s3", "day": WEEK.first + timedelta(days=n), "on_hand": 0} for n in range(3)
    ]
    told = study(harbour.build(tmp_path, inventory=rows), WEEK)
    found = next(row for row in told.finding("causes").grid.rows if "without stock" in row["cause"])
    assert found["amount"] < 0
    assert found["cause"] == "3 product-days without stock at 1 product, 0 in the days compared with"


def test_a_ratio_is_split_into_mix_and_rate(tmp_path: Path):
    told = study(harbour.build(tmp_path, prices_up), WEEK, FluctuationSettings(metric="price_per_item"))
    mix, verdict = told.finding("mix"), told.finding("verdict")
    assert mix.numbers["mix"] + mix.numbers["rate"] == pytest.approx(verdict.numbers["change"], rel=1e-9)


def test_a_distinct_count_is_sliced_only_by_what_splits_it(tmp_path: Path):
    store = harbour.build(tmp_path)
    told = study(store, WEEK, FluctuationSettings(metric="buyers"))
    assert "verdict" in {finding.key for finding in told.findings}
    with pytest.raises(BadInputError, match="does not split"):
        study(store, WEEK, FluctuationSettings(metric="buyers", by=("department",)))


def test_a_distinct_count_is_split_in_the_periods_compared_with_too(tmp_path: Path):
    """Each buyer keeps to one shop this week, but some bought in both before: the shops' buyers were no parts then."""
    week = Period(days(63, 63)[0], days(69, 69)[0])
    sales = [
        {"day": day, "customer_id": f"c{n}", "shop_id": f"s{(n if day in week else n // 2 + day.toordinal()) % 2}"}
        for day in days(0, 69)
        for n in range(6)
    ]
    store = harbour.sold(tmp_path, sales)
    for metric in ("buyers", "gmv_per_buyer"):
        with pytest.raises(BadInputError, match="does not split"):
            study(store, week, FluctuationSettings(metric=metric, by=("shop_id",)))
    told = study(store, week, FluctuationSettings(metric="gmv_per_buyer"))
    assert not {"slices", "mix"} & {finding.key for finding in told.findings if "shop" in finding.sentence.lower()}


def test_the_same_seed_gives_the_same_answer(tmp_path: Path):
    store = harbour.build(tmp_path, beauty_on_feed_stops)
    assert study(store, WEEK).as_dict() == study(store, WEEK).as_dict()


def test_a_running_period_is_compared_with_as_many_days(tmp_path: Path):
    store = harbour.build(tmp_path)
    may = Period(date(2024, 5, 1), date(2024, 5, 31))  # the data ends on 19 May
    found = study(store, may)
    wanted = study(store, Period(may.first, WEEK.last))
    gmv = {
        part.first.month: float(store.metrics(Query((METRICS["gmv"],), part)).to_pylist()[0]["gmv"])
        for part in (Period(may.first, WEEK.last), Period(date(2024, 4, 1), date(2024, 4, 19)))
    }
    assert found.findings[0].numbers["actual"] == wanted.findings[0].numbers["actual"]
    assert found.findings[0].numbers["change"] == pytest.approx(gmv[5] - gmv[4])
    assert "19 of the 31 days" in found.caveats[0]
    assert "1 Apr to 19 Apr 2024" in found.findings[0].sentence


def test_new_customers_are_no_cause_where_the_data_is_too_young_to_know(tmp_path: Path):
    store = harbour.build(tmp_path)
    young = Period(harbour.FIRST + timedelta(days=28), harbour.FIRST + timedelta(days=55))
    slices = {finding.key: finding for finding in study(store, young).findings}["slices"]
    assert "new or returning" not in slices.note.lower()
    later = {finding.key: finding for finding in study(store, WEEK).findings}["slices"]
    assert "new or returning" in later.note.lower()
    told = study(store, young, FluctuationSettings(metric="repeat_rate")).caveats
    assert any("The data begins on 2024-01-01" in caveat for caveat in told)


def test_bad_input_is_one_clear_error(tmp_path: Path):
    store = harbour.build(tmp_path)
    with pytest.raises(NotFoundError, match="no such metric"):
        study(store, WEEK, FluctuationSettings(metric="gvm"))
    with pytest.raises(BadInputError, match="no such comparison"):
        study(store, WEEK, FluctuationSettings(against="tomorrow"))
    with pytest.raises(BadInputError, match="no such dimension"):
        study(store, WEEK, FluctuationSettings(by=("colour",)))
    with pytest.raises(MissingDataError, match="outside the data"):
        study(store, Period(WEEK.last + timedelta(days=70), WEEK.last + timedelta(days=77)))
    with pytest.raises(MissingDataError, match="reach back"):
        study(store, WEEK, FluctuationSettings(against="last-year"))


RATIOS = [name for name, each in METRICS.items() if isinstance(each, Ratio)]


@pytest.mark.parametrize("against", ["previous", "expected"])
@pytest.mark.parametrize("name", RATIOS)
def test_every_ratio_that_lights_up_adds_up(name: str, against: str, market_store: Store):
    store = market_store.assuming(Assumptions(margin=0.3))
    period = market.Period(market.date(2024, 1, 15), market.date(2024, 2, 4))
    told = study(store, period, FluctuationSettings(metric=name, against=against))
    verdict = told.finding("verdict")
    if "change" in verdict.numbers:
        factors = [finding for finding in told.findings if finding.key == "factors"]
        for finding in factors:
            parts = sum(float(row["contribution"]) for row in finding.grid.rows)
            assert parts == pytest.approx(verdict.numbers["change"], abs=0.011, rel=1e-6)
    expected = verdict.numbers.get("expected")
    if expected is not None and METRICS[name].unit == "share":
        assert expected.high <= 1


def test_days_before_a_shop_began_say_nothing_of_what_is_normal(tmp_path: Path):
    young = harbour.LAST_WEEK.first - timedelta(days=42)
    store = harbour.build(tmp_path, lambda line: None if line["shop_id"] == "s1" and line["day"] < young else line)
    told = study(store.scoped(Scope.of(["s1"])), WEEK)
    assert "within the normal range" in told.finding("verdict").sentence


def test_a_base_with_nothing_in_it_is_said(tmp_path: Path):
    before = harbour.Period(WEEK.first - timedelta(days=7), WEEK.first - timedelta(days=1))
    store = harbour.build(tmp_path, lambda line: None if line["day"] in before else line)
    assert "up $" not in study(store, WEEK).finding("verdict").sentence
    assert study(store, WEEK).finding("verdict").numbers["compared_with"] == 0
    ratio = study(store, WEEK, FluctuationSettings(metric="aov")).finding("verdict")
    assert "nothing to compare" in ratio.sentence


def test_profit_on_an_assumed_margin_is_graded_so(tmp_path: Path):
    store = harbour.build(tmp_path).assuming(Assumptions(margin=0.3))
    told = study(store, WEEK, FluctuationSettings(metric="merchant_profit"))
    assert {finding.evidence for finding in told.findings} == {Evidence.ASSUMED}
    assert "is computed without" in " ".join(told.caveats)


def days(first: int, last: int, step: int = 1) -> list[date]:
    """Days counted from the first of the harbour, both ends included."""
    return [harbour.FIRST + timedelta(days=n) for n in range(first, last + 1, step)]


def gained(lines: list[dict], reached: set[str], rest: set[str], by: str) -> float:
    """What the reached made in the last week, beyond what they would have made had they grown like the rest."""
    cells = {
        (name, week): worth(x for x in lines if x[by] in names and x["day"] in week)
        for name, names in (("reached", reached), ("rest", rest))
        for week in (WEEK, back(WEEK, 7))
    }
    grown = cells["rest", WEEK] / cells["rest", back(WEEK, 7)]
    return cells["reached", WEEK] - cells["reached", back(WEEK, 7)] * grown


def test_verdict_and_factors_by_hand(tmp_path: Path):
    """Seven orders of one piece at $100 become seven of two at $90: $560 more, of which prices took 10 × 1.5 × 7."""
    week = Period(days(63, 63)[0], days(69, 69)[0])
    sales = [{"day": day} for day in days(0, 62)]
    sales += [{"day": day, "unit_price": Decimal(90), "quantity": 2} for day in days(63, 69)]
    told = study(harbour.sold(tmp_path, sales), week)
    verdict, factors = told.finding("verdict"), told.finding("factors")
    assert [verdict.numbers[name] for name in ("actual", "compared_with", "change")] == [1260, 700, 560]
    assert "up R$560.00 (80.0%) on R$700.00" in verdict.sentence
    first, second = factors.grid.rows[:2]
    assert (first["factor"], first["contribution"]) == ("Items per order", Decimal("665.00"))
    assert (second["before"], second["after"], second["contribution"]) == ("R$100.00", "R$90.00", Decimal("-105.00"))
    assert (first["share"], second["share"]) == (pytest.approx(665 / 560), pytest.approx(-105 / 560))
    assert "brought R$665.00 and " in factors.sentence
    assert "cost R$105.00" in factors.sentence


def test_what_appears_vanishes_and_costs_more_by_hand(tmp_path: Path):
    """Counted are only those whose silence means something; the rest may come and go by chance."""
    week = Period(days(56, 56)[0], days(62, 62)[0])
    sold = {
        "kept": (days(0, 104), 0), "kept too": (days(0, 104), 0), "dearer": (days(0, 104), 0),
        "new": (days(56, 104), 50), "stopped": (days(0, 55), 80),
        "back": (days(20, 30) + days(57, 59), 7), "rarely new": (days(58, 98, 20), 11),
        "rarely sold": (days(11, 51, 20), 13),
    }  # fmt: skip
    shops = {"new": "young", "stopped": "closed"}
    sales = [
        {"day": day, "product_id": name, "shop_id": shops.get(name, "s"), "unit_price": Decimal(price or 100)}
        | ({"unit_price": Decimal(110), "quantity": 2} if name == "dearer" and day >= week.first else {})
        for name, (found, price) in sold.items()
        for day in found
    ]
    told = study(harbour.sold(tmp_path, sales), week)
    rows = told.finding("causes").grid.rows
    change = 7 * (220 - 100) + 7 * 50 - 7 * 80 + 3 * 7 + 11 - 13
    assert told.finding("verdict").numbers["change"] == change
    amounts = {row["cause"]: row["amount"] for row in rows}
    assert amounts == {
        "1 product that stopped selling": -7 * 80, "1 shop that stopped selling": -7 * 80,
        "1 new product": 7 * 50, "1 new shop": 7 * 50,
        "Prices that changed at 1 of 3 products sold in both periods": pytest.approx((110 - 100) * (7 + 14) / 2),
    }  # fmt: skip
    sizes = [abs(row["amount"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert [row["share"] for row in rows] == pytest.approx([row["amount"] / change for row in rows])


def test_sales_that_move_between_shops_change_no_price(tmp_path: Path):
    """One shop asks 20 and one 30 all along; nine in ten pieces move from the one to the other."""
    week = Period(days(63, 63)[0], days(69, 69)[0])
    sales = [
        {"day": day, "shop_id": shop, "unit_price": Decimal(price), "quantity": pieces}
        for day in days(0, 69)
        for shop, price, pieces in (("a", 20, 1 if day in week else 9), ("b", 30, 9 if day in week else 1))
    ]
    told = study(harbour.sold(tmp_path, sales), week)
    assert told.finding("verdict").numbers["change"] == 7 * 8 * 10
    assert "causes" not in {finding.key for finding in told.findings}


@pytest.mark.parametrize("against", ["previous", "expected"])
def test_prices_that_stay_are_no_cause(tmp_path: Path, against: str):
    """However floats divide: what they leave of nothing is not told as what moved a metric."""

    def odd(line):
        return {**line, "unit_price": line["unit_price"] + Decimal("0.07")}

    told = study(harbour.build(tmp_path, odd), WEEK, FluctuationSettings(against=against))
    rows = [row["cause"] for finding in told.findings if finding.key == "causes" for row in finding.grid.rows]
    assert not any("Prices" in cause for cause in rows)


def test_what_differs_from_last_year_is_not_said_to_be_of_this_week(tmp_path: Path):
    sales = [{"day": day, "unit_price": Decimal(100 if at < 100 else 110)} for at, day in enumerate(days(0, 419))]
    week = Period(days(413, 413)[0], days(419, 419)[0])
    told = study(harbour.sold(tmp_path, sales), week, FluctuationSettings(against="last-year"))
    [row] = told.finding("causes").grid.rows
    assert row["when"] == f"after {back(week, 364).last}"


def test_levels_compared_with_by_hand(tmp_path: Path):
    """Ten customers a day, from $100 each at first to $162 in the last week, and three times as much on Sundays."""
    sales = [
        {"day": day, "customer_id": f"c{n}", "unit_price": Decimal(100 + at // 7) * (3 if day.weekday() == 6 else 1)}
        for at, day in enumerate(days(-300, 139))
        for n in range(10)
    ]
    store = harbour.sold(tmp_path, sales)
    orders = lines_of(store)

    def told(period: Period, metric: str, against: str) -> dict:
        return study(store, period, FluctuationSettings(metric=metric, against=against)).finding("verdict").numbers

    year = [line for line in orders if line["day"] in back(WEEK, 364)]
    assert told(WEEK, "gmv", "last-year")["compared_with"] == worth(year)
    ten = Period(days(130, 130)[0], days(139, 139)[0])
    usual = [line for line in orders if any(line["day"] in back(ten, 14 * n) for n in (1, 2, 3, 4))]
    assert told(ten, "aov", "expected")["compared_with"] == pytest.approx(worth(usual) / len(usual))
    gmv = told(ten, "gmv", "expected")
    assert gmv["compared_with"] == pytest.approx(gmv["expected"].mid)
    assert gmv["expected"].mid == pytest.approx(worth(line for line in orders if line["day"] in ten), rel=0.05)
    sunday = Period(WEEK.last, WEEK.last)
    assert told(sunday, "gmv", "previous")["expected"].mid == pytest.approx(10 * 3 * 162, rel=0.05)
    assert told(WEEK, "buyers", "previous")["expected"].mid == pytest.approx(10, rel=0.01)
    april = Period(date(2024, 4, 1), date(2024, 4, 30))  # after a month of another length
    assert told(april, "items_per_order", "previous")["expected"].mid == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("metric", ["aov", "price_per_item"])
def test_a_day_without_an_order_is_no_order_of_nought(tmp_path: Path, metric: str):
    """A shop that sells on two days of three, always the same: what an order is worth stays what it was."""
    sales = [{"day": day} for at, day in enumerate(days(0, 139)) if at % 3]
    told = study(harbour.sold(tmp_path, sales), WEEK, FluctuationSettings(metric=metric)).finding("verdict")
    assert "within the normal range" in told.sentence
    assert told.numbers["expected"].mid == pytest.approx(100)
    assert told.numbers["unusual"] == 0


@pytest.mark.parametrize("metric", ["gmv", "orders"])
def test_days_without_an_order_are_no_reason_to_expect_none(tmp_path: Path, metric: str):
    """A shop that sells every third day sells nine or ten times in 28, as ever."""
    sales = [{"day": day} for at, day in enumerate(days(0, 139)) if not at % 3]
    month = Period(days(112, 112)[0], days(139, 139)[0])
    store = harbour.sold(tmp_path, sales)
    told = study(store, month, FluctuationSettings(metric=metric, against="expected")).finding("verdict")
    assert told.numbers["expected"].mid == pytest.approx(28 / 3 * (100 if metric == "gmv" else 1), rel=0.1)
    assert "within the normal range" in told.sentence


@pytest.mark.parametrize("week", range(5))
def test_buyers_who_come_again_on_another_day_are_not_seen_in_days(tmp_path: Path, week: int):
    """Three of thirty customers order on a day: each day has one order a buyer, and weeks have now more, now less."""
    draw = random.Random(5)
    sales = [{"day": day, "customer_id": f"c{who}"} for day in days(0, 139) for who in draw.sample(range(30), 3)]
    period = back(WEEK, 7 * week)
    told = study(harbour.sold(tmp_path, sales), period, FluctuationSettings(metric="orders_per_buyer"))
    expected = told.finding("verdict").numbers["expected"]
    assert expected.mid == pytest.approx(1.4, abs=0.15)
    assert 0.1 < expected.high - expected.low < 1.2
    assert told.finding("verdict").numbers["unusual"] == 0


def test_a_share_of_thin_days_is_no_more_than_the_whole(tmp_path: Path):
    """One order in a fortnight comes back whole: of a week of seven orders, no range reaches beyond all of them."""
    back = [
        {"refund_id": f"r{n}", "order_id": f"o{n}", "line": 0, "quantity": 1, "amount": Decimal(900),
         "refunded_at": at, "known_at": at, "day": at.date(), "hour": at}
        for n in range(0, 140, 14)
        if (at := datetime.combine(days(n, n)[0], time(12)))
    ]  # fmt: skip
    sales = [{"day": day, "unit_price": Decimal(100 if n % 14 else 1000)} for n, day in enumerate(days(0, 139))]
    store = harbour.sold(tmp_path, sales, refunds=back)
    expected = study(store, WEEK, FluctuationSettings(metric="refund_rate")).finding("verdict").numbers["expected"]
    assert expected.mid == pytest.approx(900 / 2300, rel=0.1)
    assert expected.high == 1.0


def test_what_is_less_than_can_be_read_is_not_up_by_nothing(tmp_path: Path):
    """Four customers a week, five in one of four: 4.25 are expected, and told as four."""
    sales = [
        {"day": day, "customer_id": f"c{n}"}
        for day in days(0, 139, 7)
        for n in range(5 if day == days(119, 119)[0] else 4)
    ]
    told = study(harbour.sold(tmp_path, sales), WEEK, FluctuationSettings(metric="orders", against="expected"))
    assert "about the same as the 4 expected" in told.finding("verdict").sentence


def test_a_campaign_whose_part_is_unknown_is_said_so(tmp_path: Path):
    run = {"campaign_id": "k", "name": "Fair", "starts_at": datetime.combine(WEEK.first, time(12)),
           "ends_at": datetime.combine(WEEK.last, time(12))}  # fmt: skip
    store = harbour.sold(tmp_path, [{"day": day} for day in days(0, 139)], campaigns=[run])
    sentence = study(store, WEEK).finding("causes").sentence
    assert sentence == f"Fair ran ({WEEK.title}): what it brought is unknown."


def test_promotions_by_hand(tmp_path: Path):
    """Twelve products whose promotion starts and has no end yet, twelve whose ends; the rest are as they were."""
    before = back(WEEK, 7)

    def promoted(line):
        n = int(line["product_id"][1:])
        return {**line, "quantity": line["quantity"] * 3} if n < 12 and line["day"] in WEEK else line

    runs = {
        range(12): (WEEK.first + timedelta(days=1), None), range(12, 24): (before.first, before.first),
        range(24, 27): (harbour.FIRST, WEEK.last), range(27, 28): (harbour.FIRST, harbour.FIRST),
    }  # fmt: skip
    rows = [
        {"product_id": f"p{n}", "shop_id": f"s{n % 4}", "starts_on": starts, "ends_on": ends}
        for products, (starts, ends) in runs.items()
        for n in products
    ]
    store = harbour.build(tmp_path, promoted, promotions=rows)
    found = {row["cause"]: row["amount"] for row in study(store, WEEK).finding("causes").grid.rows}
    rest = {f"p{n}" for n in range(24, 30)}
    for title, products in (("started", range(12)), ("ended", range(12, 24))):
        truth = gained(lines_of(store), {f"p{n}" for n in products}, rest, "product_id")
        assert found[f"Promotions that {title}"].mid == pytest.approx(truth)


def ran(name: str, first: date, last: date) -> dict[str, Any]:
    """A campaign from noon to noon."""
    starts, ends = (datetime.combine(day, time(12)) for day in (first, last))
    return {"campaign_id": name, "name": name, "starts_at": starts, "ends_at": ends}


def test_campaigns_by_hand(tmp_path: Path):
    """One begins for some products, one has ended for some customers, one ran on and one reached nobody known."""
    products, customers = {f"p{n}" for n in range(14)}, {f"c{n}" for n in range(150)}

    def campaigned(line):
        spring = line["product_id"] in products and line["day"] in WEEK
        winter = line["customer_id"] in customers and line["day"] in back(WEEK, 7)
        return {**line, "quantity": line["quantity"] * (2 if spring or winter else 1)}

    runs = {
        "Spring": (WEEK.first, WEEK.first + timedelta(days=59)), "Winter": (back(WEEK, 7).first, back(WEEK, 7).last),
        "Always": (harbour.FIRST, WEEK.last), "Nobody's": (WEEK.first, WEEK.last),
    }  # fmt: skip
    store = harbour.build(
        tmp_path, campaigned,
        campaigns=[ran(name, *days) for name, days in runs.items()],
        campaign_products=[{"campaign_id": "Spring", "product_id": name} for name in sorted(products)],
        campaign_customers=[{"campaign_id": "Winter", "customer_id": name} for name in sorted(customers)],
    )  # fmt: skip
    causes = study(store, WEEK).finding("causes")
    found = {row["cause"]: row["amount"] for row in causes.grid.rows if row["evidence"] == "observational"}
    assert set(found) == {"Spring ran", "Winter had ended", "Nobody's ran"}
    assert found["Nobody's ran"] is None
    others, lines = {f"p{n}" for n in range(14, 30)}, lines_of(store)
    assert found["Spring ran"].mid == pytest.approx(gained(lines, products, others, "product_id"))
    others = {f"c{n}" for n in range(150, 400)}
    assert found["Winter had ended"].mid == pytest.approx(gained(lines, customers, others, "customer_id"))
    assert causes.evidence is Evidence.OBSERVATIONAL


def test_a_campaign_of_a_day_is_told_of_a_month(tmp_path: Path):
    """One of either month is told; one of a year, of which both months hold as much, is not."""
    runs = {"Toys": (date(2024, 5, 5),) * 2, "Books": (date(2024, 4, 4),) * 2,
            "Always": (date(2024, 1, 1), date(2024, 12, 31)), "Past": (date(2024, 2, 2),) * 2}  # fmt: skip
    products = {f"p{n}" for n in range(14)}

    def campaigned(line):
        on = line["product_id"] in products and line["day"] == date(2024, 5, 5)
        return {**line, "quantity": line["quantity"] * 12} if on else line

    store = harbour.build(
        tmp_path, campaigned,
        campaigns=[ran(name, *days) for name, days in runs.items()],
        campaign_products=[{"campaign_id": "Toys", "product_id": name} for name in sorted(products)],
    )  # fmt: skip
    causes = study(store, Period(date(2024, 5, 1), date(2024, 5, 31))).finding("causes")
    found = {row["cause"]: row["amount"] for row in causes.grid.rows if row["evidence"] == "observational"}
    assert set(found) == {"Toys ran", "Books had ended"}
    assert causes.grid.rows[0]["cause"] == "Toys ran"
    on = [line for line in lines_of(store) if line["day"] == date(2024, 5, 5) and line["product_id"] in products]
    assert found["Toys ran"].low < worth(on) * 11 / 12 < found["Toys ran"].high

    def gain(day: date) -> float:
        sold = [worth(line for line in lines_of(store) if line["day"] == day - timedelta(days=7 * n)) for n in range(5)]
        return sold[0] - sum(sold[1:]) / 4

    assert found["Toys ran"].mid == pytest.approx(gain(date(2024, 5, 5)))
    assert found["Books had ended"].mid == pytest.approx(-gain(date(2024, 4, 4)))


def test_a_short_campaign_of_a_shop_is_judged_by_its_shop(tmp_path: Path):
    """The shop sells three more on each of two days; everybody else sells more in the whole month."""
    on = (date(2024, 5, 8), date(2024, 5, 9))
    sales = [
        {"day": day, "shop_id": shop, "quantity": 4 if shop == "a" and day in on else 9 if shop == "b" and late else 1}
        for day in days(0, 160)
        for late in (day >= date(2024, 5, 1),)
        for shop in ("a", "b")
    ]
    run = {"campaign_id": "k", "shop_id": "a", "name": "Days", "starts_at": datetime.combine(on[0], time(12)),
           "ends_at": datetime.combine(on[1], time(12))}  # fmt: skip
    told = study(harbour.sold(tmp_path, sales, campaigns=[run]), Period(date(2024, 5, 1), date(2024, 5, 31)))
    found = {row["cause"]: row["amount"] for row in told.finding("causes").grid.rows}
    assert found["Days ran"] == Estimate(600.0, 600.0, 600.0, 0.9)


@pytest.mark.parametrize("against", ["previous", "expected"])
def test_a_day_without_stock_is_worth_a_usual_day(tmp_path: Path, against: str):
    out = [WEEK.first, WEEK.first + timedelta(days=3), WEEK.last, back(WEEK, 7).last]
    rows = [{"product_id": "p7", "shop_id": "s3", "day": day, "on_hand": 0} for day in out]
    store = harbour.build(tmp_path, inventory=[*rows, {**rows[0], "day": WEEK.first + timedelta(days=1), "on_hand": 1}])
    told = study(store, WEEK, FluctuationSettings(against=against))
    found = next(
        row for row in told.finding("causes").grid.rows if row["cause"].startswith("3 product-days without stock")
    )
    weeks = [back(WEEK, 7 * n) for n in ((1,) if against == "previous" else (1, 2, 3, 4))]
    lines = [line for line in lines_of(store) if any(line["day"] in week for week in weeks)]
    pace = worth(line for line in lines if line["product_id"] == "p7") / (7 * len(weeks))
    if against == "expected":
        pace *= told.finding("verdict").numbers["expected"].mid / (worth(lines) / 4)
    assert found["amount"] == pytest.approx(-pace * (3 - 1 / len(weeks)))


def test_mix_and_rate_by_hand(tmp_path: Path, market_store: Store):
    """Beauty goes from $10 to $12 a piece and from half of the pieces to three quarters; Home stays at $30."""
    week = Period(days(63, 63)[0], days(69, 69)[0])
    sales = [
        {"day": day, "product_id": name, "quantity": 3 if name == "b" and day in week else 1, "unit_price": price}
        for day in days(0, 69)
        for name, price in (("b", Decimal(12 if day in week else 10)), ("h", Decimal(30)))
    ]
    products = [{"product_id": "b", "category": "Beauty"}, {"product_id": "h", "category": "Home"}]
    told = study(harbour.sold(tmp_path, sales, products=products), week, FluctuationSettings(metric="price_per_item"))
    numbers = told.finding("mix").numbers
    assert numbers["rate"] == pytest.approx((0.5 + 0.75) / 2 * 2)
    assert numbers["mix"] == pytest.approx(0.25 * (10 + 12) / 2 - 0.25 * 30)
    assert any("Dated causes are weighed for totals" in caveat for caveat in told.caveats)
    period = market.Period(market.date(2024, 1, 15), market.date(2024, 2, 4))
    gpm = study(market_store, period, FluctuationSettings(metric="gpm", by=("department",)))  # times a thousand
    rows, numbers = gpm.finding("mix").grid.rows, gpm.finding("mix").numbers
    assert numbers["mix"] + numbers["rate"] == pytest.approx(gpm.finding("verdict").numbers["change"])
    for name in ("mix", "rate"):
        assert sum(row[name] for row in rows) == pytest.approx(numbers[name])


def test_a_slice_that_is_nearly_everything_is_no_part(tmp_path: Path):
    def doubled(line):
        few = line["order_id"].endswith("5")  # a tenth of the orders, of one piece each
        twice = line["day"] in WEEK and not few
        more = 1 if few else line["quantity"] * (2 if twice else 1)
        return {**line, "surface": "mall" if few else "feed", "quantity": more}

    slices = study(harbour.build(tmp_path, doubled), WEEK).finding("slices")
    assert "look outside for the cause" in slices.sentence
    assert slices.grid is None


@pytest.mark.parametrize(("starts", "told"), [(datetime(2024, 5, 6, 12), 1), (datetime(2024, 4, 1, 12), 0)])
def test_a_campaign_without_an_end_goes_on(tmp_path: Path, starts: datetime, told: int):
    """It is told in the week in which it begins, and in no later one."""
    days = [date(2024, 5, 12) - timedelta(days=n) for n in range(100)]
    store = harbour.sold(
        tmp_path, ({"day": day} for day in days),
        campaigns=[{"campaign_id": "k", "name": "Spring", "starts_at": starts, "ends_at": None}],
    )  # fmt: skip
    found = study(store, Period(date(2024, 5, 6), date(2024, 5, 12)))
    rows = [row["cause"] for finding in found.findings if finding.key == "causes" for row in finding.grid.rows]
    assert rows == ["Spring ran"] * told


def test_stock_outs_are_valued_by_the_days_of_their_own_month(tmp_path: Path):
    """100 a day, two days of March without stock: 200, though February has fewer days."""
    days = [date(2024, 5, 12) - timedelta(days=n) for n in range(200)]
    out = [{"product_id": "p", "shop_id": "s", "day": date(2024, 3, n), "on_hand": 0} for n in (5, 6)]
    store = harbour.sold(tmp_path, ({"day": day} for day in days), inventory=out)
    found = study(store, Period(date(2024, 3, 1), date(2024, 3, 31))).finding("causes")
    assert [row["amount"] for row in found.grid.rows] == [pytest.approx(-200)]


def test_slices_and_mix_count_every_part_of_a_profit(market_store: Store):
    """A slice by what refunds or ads do not know would be of another metric than the one that moved."""
    period = market.Period(market.date(2024, 1, 15), market.date(2024, 2, 4))
    store = market_store.assuming(Assumptions(margin=0.3))
    for name in ("merchant_margin", "merchant_profit", "platform_profit", "creator_profit"):
        told = study(store, period, FluctuationSettings(metric=name))
        keys = {finding.key: finding for finding in told.findings}
        assert any("is not looked at by" in caveat and "surface" in caveat for caveat in told.caveats)
        assert "slices" not in keys or "surface" not in keys["slices"].note
        if "mix" in keys:
            parts = keys["mix"].numbers
            assert parts["mix"] + parts["rate"] == pytest.approx(keys["verdict"].numbers["change"])
    with pytest.raises(BadInputError, match="not known by it"):
        study(store, period, FluctuationSettings(metric="merchant_profit", by=("surface",)))


def test_several_refunds_were_and_one_rate_was(market_store: Store):
    period = market.Period(market.date(2024, 1, 15), market.date(2024, 2, 4))
    for name, said in (("refunds", "Refunds were "), ("refund_rate", "Refund rate was ")):
        told = study(market_store, period, FluctuationSettings(metric=name))
        assert told.finding("verdict").sentence.startswith(said)


def test_slices_that_chance_would_give_are_not_led_with(tmp_path: Path):
    """One slice moved and one is the same as before: what leads excludes nothing having happened."""
    store = harbour.build(tmp_path, beauty_on_feed_stops)
    for against in ("previous", "expected"):
        slices = study(store, WEEK, FluctuationSettings(against=against)).finding("slices")
        first = next(row for row in slices.grid.rows if slices.sentence.startswith(row["slice"]))
        assert first["change"].high < 0


def test_outside_the_normal_range_but_not_far_is_said_without_contradiction(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Outside of it fewer than one quiet period in ten lies; not far outside, more than one in fifty."""
    monkeypatch.setattr("tradewind.decisions.fluctuation.comparison.FAR", 1e9)
    verdict = study(harbour.build(tmp_path, beauty_on_feed_stops), WEEK).finding("verdict")
    assert "below the normal range" in verdict.sentence
    assert "though more than one quiet period in fifty lies as far out" in verdict.sentence


def test_slices_that_stand_out_lead_the_others_the_largest_first(tmp_path: Path):
    """Beauty on the feed stops, Home there loses every third line, and a small slice is left to chance."""

    def plant(line):
        n = int(line["product_id"][1:]) % 3
        lost = line["day"] in WEEK and line["surface"] == "feed" and (n == 0 or (n == 1 and line["day"].day % 3 == 0))
        return None if lost else line

    slices = study(harbour.build(tmp_path, plant), WEEK).finding("slices")
    stands = [row["change"].low > 0 or row["change"].high < 0 for row in slices.grid.rows]
    assert stands == sorted(stands, reverse=True)
    sizes = [abs(row["change"].mid) for row, out in zip(slices.grid.rows, stands, strict=True) if out]
    assert sizes == sorted(sizes, reverse=True)
    assert slices.sentence.startswith(slices.grid.rows[0]["slice"])
    assert "stands out where its interval leaves out" in slices.note


def test_a_slice_of_which_others_hold_some_is_named_the_rest(tmp_path: Path):
    """Feed stops, and so does Beauty elsewhere: its row counts what is not on the feed, and says so."""

    def plant(line):
        beauty = int(line["product_id"][1:]) % 3 == 0
        return None if line["day"] in WEEK and (beauty or line["surface"] == "feed") else line

    store = harbour.build(tmp_path, plant)
    told = study(store, WEEK, FluctuationSettings(by=("department", "surface")))
    rows = {row["slice"]: row for row in told.finding("slices").grid.rows}
    lines = [line for line in lines_of(store) if line["day"] in back(WEEK, 7)]
    beauty = [line for line in lines if int(line["product_id"][1:]) % 3 == 0]
    feed = [line for line in lines if line["surface"] == "feed"]
    wholes = {"Department Beauty": worth(beauty), "Surface feed": worth(feed)}
    assert len(rows) == 2
    for name, row in rows.items():
        is_whole = row["before"] == pytest.approx(wholes[name.removeprefix("The rest of ")])
        assert is_whole != name.startswith("The rest of ")


def test_slices_of_a_ratio_are_held_against_their_own_rate_before(tmp_path: Path):
    """One shop's prices double: what it would be is its price before on its pieces now, however thin its leaves."""

    def plant(line):
        dear = line["day"] in WEEK and line["shop_id"] == "s1"
        return {**line, "unit_price": line["unit_price"] * 2} if dear else line

    store = harbour.build(tmp_path, plant)
    told = study(store, WEEK, FluctuationSettings(metric="price_per_item", by=("shop_id", "department", "surface")))
    slices = told.finding("slices")
    assert slices.grid.columns[1].title == "At the earlier rate"
    row = next(row for row in slices.grid.rows if row["slice"] == "Shop s1")
    then, now = ([x for x in lines_of(store) if x["shop_id"] == "s1" and x["day"] in w] for w in (back(WEEK, 7), WEEK))
    items = sum(line["quantity"] for line in now) / sum(line["quantity"] for line in then)
    assert row["before"] == pytest.approx(worth(then) * items)
    assert row["change"].mid == pytest.approx(worth(now) - worth(then) * items)


def test_slices_of_a_ratio_that_do_not_add_up_are_left_out(tmp_path: Path):
    """Beauty sells a piece for each of Home's, then three: no slice's own price moved, the mix did."""
    week = Period(days(63, 63)[0], days(69, 69)[0])
    sales = [
        {"day": day, "product_id": name, "quantity": 3 if name == "b" and day in week else 1, "unit_price": price}
        for day in days(0, 69)
        for name, price in (("b", Decimal(10)), ("h", Decimal(30)))
    ]
    products = [{"product_id": "b", "category": "Beauty"}, {"product_id": "h", "category": "Home"}]
    told = study(harbour.sold(tmp_path, sales, products=products), week, FluctuationSettings(metric="price_per_item"))
    assert "slices" not in {finding.key for finding in told.findings}
    assert any("does not add up to the whole" in caveat for caveat in told.caveats)
