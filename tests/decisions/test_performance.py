"""The performance wing: totals by hand, honest gaps, and forecasts that say how sure they are."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import harbour
import pytest

import market
from tradewind.decisions.performance import PerformanceSettings, study
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures.assume import Assumptions
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Estimate

WEEK = harbour.LAST_WEEK


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return harbour.build(tmp_path_factory.mktemp("harbour") / "store")


def lines_of(store: Store, period: Period) -> list[dict]:
    return [line for line in store.run(store.table("order_lines")).to_pylist() if line["day"] in period]


def test_headline_counts_what_was_sold(store: Store):
    numbers = study(store, WEEK).finding("headline").numbers
    lines = lines_of(store, WEEK)
    assert numbers["gmv"] == sum((x["unit_price"] * x["quantity"] for x in lines), Decimal(0))
    assert numbers["orders"] == len({x["order_id"] for x in lines})
    assert numbers["buyers"] == len({x["customer_id"] for x in lines})


def test_concentration_and_movers_by_hand(store: Store):
    told = study(store, WEEK)
    sales: dict[str, float] = {}
    for line in lines_of(store, WEEK):
        sales[line["product_id"]] = sales.get(line["product_id"], 0) + float(line["unit_price"]) * line["quantity"]
    best = sorted(sales.values(), reverse=True)
    assert told.finding("concentration").numbers["top_tenth_share"] == pytest.approx(sum(best[:3]) / sum(best))
    changes = [abs(row["change"]) for row in told.finding("movers").grid.rows]
    assert changes == sorted(changes, reverse=True)


def test_the_outlook_of_a_running_period_holds_what_is_done(tmp_path: Path):
    store = harbour.build(tmp_path)
    running = Period(WEEK.first, WEEK.last + timedelta(days=7))
    found = study(store, running).finding("outlook").numbers["gmv"]
    done = sum(float(x["unit_price"]) * x["quantity"] for x in lines_of(store, WEEK))
    assert isinstance(found, Estimate)
    assert done < found.low < found.mid < found.high
    assert found.mid == pytest.approx(2 * done, rel=0.15)


def test_what_is_unknown_is_said(store: Store):
    caveats = " ".join(study(store, WEEK).caveats)
    assert "Merchants' contribution profit: unknown" in caveats
    assumed = study(store.assuming(Assumptions(margin=0.3)), WEEK)
    assert "break even at a margin" in assumed.finding("headline").note
    assert assumed.provenance.assumptions


def test_sums_over_what_is_partly_known_say_so(market_store: Store):
    assert any("is known for" in caveat for caveat in study(market_store, market.PERIOD).caveats)


def test_a_merchant_sees_only_their_own(store: Store):
    own = study(store.scoped(Scope.of(["s1"])), WEEK).finding("headline").numbers["gmv"]
    assert own == sum(
        (x["unit_price"] * x["quantity"] for x in lines_of(store, WEEK) if x["shop_id"] == "s1"), Decimal(0)
    )


def test_changes_that_the_data_makes_are_not_shown(store: Store, market_store: Store):
    """Near the first day of the data everybody looks new; the youngest orders have refunds still to come."""
    early = Period(harbour.FIRST + timedelta(days=31), harbour.FIRST + timedelta(days=59))
    for period, shown in ((early, False), (WEEK, True)):
        found = study(store, period)
        rows = {row["metric"]: row for row in found.findings[0].grid.rows}
        assert bool(rows["Repeat rate"]["before_change"]) == shown
        assert rows["GMV"]["before_change"]
        assert any("It begins on 2024-01-01" in caveat for caveat in found.caveats) != shown
    rows = {row["metric"]: row for row in study(market_store, market.PERIOD).findings[0].grid.rows}
    assert rows["Refund rate of these orders"]["now"]
    assert rows["Refund rate of these orders"]["before_change"] == ""


def test_a_period_outside_the_data_is_refused(store: Store):
    with pytest.raises(MissingDataError, match="outside the data"):
        study(store, Period(WEEK.last + timedelta(days=30), WEEK.last + timedelta(days=40)))


def test_movers_by_a_chosen_dimension(store: Store):
    found = study(store, WEEK, PerformanceSettings(by="surface")).finding("movers")
    assert found.grid.columns[0].title == "Surface"


def test_refunds_are_shown_both_ways(market_store: Store, market_rows: market.Rows):
    numbers = study(market_store, market.PERIOD).finding("refunds").numbers
    back = [(x, x["amount"] + (x["subsidy_reversed"] or Decimal(0))) for x in market_rows["refunds"]]
    assert numbers["booked"] == sum((amount for x, amount in back if x["day"] in market.PERIOD), Decimal(0))
    sold = {(line["order_id"], line["line"]): line["day"] for line in market_rows["order_lines"]}
    of_orders = sum(float(amount) for x, amount in back if sold.get((x["order_id"], x["line"])) in market.PERIOD)
    assert numbers["of_these_orders_so_far"] == pytest.approx(of_orders)
    expected = numbers["still_expected"]
    assert expected.mid >= 0
    assert expected.low <= expected.mid <= expected.high
