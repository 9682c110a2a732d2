"""The fluctuation wing on planted changes: it finds what was planted, and nothing where nothing was."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import harbour
import pytest

import market
from tradewind.decisions.fluctuation import FluctuationSettings, study
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError, NotFoundError
from tradewind.measures.assume import Assumptions
from tradewind.measures.metric import Ratio
from tradewind.measures.metrics import METRICS
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


def test_a_quiet_week_is_within_the_normal_range(tmp_path: Path):
    found = study(harbour.build(tmp_path), WEEK).finding("verdict")
    assert "within the normal range" in found.sentence
    assert found.evidence is Evidence.MEASURED


def test_factors_sum_to_the_change_to_the_cent(tmp_path: Path):
    told = study(harbour.build(tmp_path, prices_up), WEEK)
    verdict, factors = told.finding("verdict"), told.finding("factors")
    parts = [row["contribution"] for row in factors.grid.rows]
    assert all(isinstance(part, Decimal) for part in parts)
    assert sum(parts) == Decimal(str(round(verdict.numbers["change"], 2)))


@pytest.mark.parametrize("against", ["previous", "expected"])
def test_the_planted_slice_is_found(tmp_path: Path, against: str):
    told = study(harbour.build(tmp_path, beauty_on_feed_stops), WEEK, FluctuationSettings(against=against))
    assert "below the normal range" in told.finding("verdict").sentence
    top = told.finding("slices").grid.rows[0]
    assert "Department Beauty" in top["slice"]
    assert "Surface feed" in top["slice"]
    share = top["share"]
    assert isinstance(share, Estimate)
    assert share.low < 1 < share.high


def test_a_price_change_is_worth_what_it_was_worth(tmp_path: Path):
    told = study(harbour.build(tmp_path, prices_up), WEEK)
    prices = next(row for row in told.finding("causes").grid.rows if row["cause"].startswith("Prices of"))
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
    found = next(row for row in told.finding("causes").grid.rows if "out of stock" in row["cause"])
    assert found["amount"] < 0
    assert "1 products out of stock on 3 product-days" in found["cause"]


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
