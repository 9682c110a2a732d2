"""Queries and the metric algebra: what is refused, what is left out and named, what a lookup may not do to rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import market
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError, MissingDataError, NotFoundError
from tradewind.measures.assume import Assumptions
from tradewind.measures.fact import Fact, Lookup
from tradewind.measures.facts import ADS, REFUNDS, REFUNDS_BY_ORDER, SALES, TRAFFIC
from tradewind.measures.metric import Additive, Distinct, Metric, Ratio, Total, leaves
from tradewind.measures.metrics import METRICS, metric
from tradewind.measures.query import (
    COSTED,
    DIMENSIONS,
    Query,
    left_out,
    lights_up,
    missing,
    partly_said,
    present,
    require_costs,
)

EVERY = pytest.mark.parametrize("each", METRICS.values(), ids=METRICS.keys())
FACTS = (SALES, REFUNDS, REFUNDS_BY_ORDER, TRAFFIC, ADS)


def kept(folder: Path, rows: market.Rows, **columns: tuple[str, ...]) -> Store:
    """Return a store of some tables only, without some of their columns."""
    some = {
        name: [{key: value for key, value in row.items() if key not in without} for row in rows[name]]
        for name, without in columns.items()
    }
    market.write(folder, some)
    return open_store(str(folder))


@EVERY
def test_a_metric_says_what_it_is(each: Metric) -> None:
    assert METRICS[each.name] is each is metric(each.name)
    assert each.title[0].isupper()
    assert each.doc.endswith(".")
    assert each.unit in {"money", "count", "share", "ratio"}
    assert each.better in {-1, 0, 1}
    if isinstance(each, Ratio):
        assert each.unit != "count"
        assert (each.times == 1) or each.unit == "money"
        money = (each.over.unit == "money", each.under.unit == "money")
        assert (each.unit == "money") == (money == (True, False))
    if isinstance(each, Total):
        assert {part.metric.unit for part in each.parts} == {each.unit}
        assert all(part.sign in {-1, 1} for part in each.parts)
        assert any(part.required for part in each.parts)
        assert len({part.metric.name for part in each.parts}) == len(each.parts)
    if isinstance(each, Distinct):
        assert each.unit == "count"


def test_titles_are_told_apart() -> None:
    assert len({each.title for each in METRICS.values()}) == len(METRICS)


def test_a_metric_that_is_not_declared() -> None:
    with pytest.raises(NotFoundError, match="gmv"):
        metric("profit_margin")


def test_leaves_come_once_and_in_order() -> None:
    found = leaves(METRICS["merchant_margin"])
    assert found[0] is METRICS["gmv"]
    assert len(set(found)) == len(found) == len(leaves(METRICS["merchant_profit"]))
    assert all(isinstance(leaf, Additive | Distinct) for leaf in found)


@pytest.mark.parametrize(
    "words",
    [
        {"by": ("colour",)},
        {"where": {"colour": ("red",)}},
        {"every": "year"},
        {"metrics": ()},
        {"slots": (market.SPAN, market.PERIOD)},
    ],
)
def test_queries_that_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        Query(**{"metrics": (METRICS["gmv"],), "period": market.PERIOD, **words})


def test_a_step_that_is_also_a_dimension_is_one_column() -> None:
    query = Query((METRICS["gmv"],), market.PERIOD, by=("week", "shop_id"), every="week")
    assert query.groups == ("week", "shop_id")


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_lookup_never_doubles_a_row(market_store: Store, market_rows: market.Rows, fact: Fact) -> None:
    """Each relation that is joined holds at most one row per key."""
    for lookup in fact.lookups:
        found = lookup.build(market_store, market_store.table(lookup.table))
        keys = market_store.run(found.select(*lookup.on)).to_pylist()
        assert len({tuple(key.values()) for key in keys}) == len(keys)
        assert set(found.columns) >= {*lookup.on, *lookup.provides}
        assert all(str(found[name].type()) == kind for name, kind in lookup.provides.items() if "(" not in kind)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_fact_names_each_column_once(fact: Fact) -> None:
    looked_up = [name for lookup in fact.lookups for name in lookup.provides]
    own = {name for name in fact.columns() if name not in fact.derived and name not in looked_up}
    assert len(set(looked_up)) == len(looked_up)
    assert not own & set(looked_up)


def test_what_a_total_does_without_is_named(tmp_path: Path, market_rows: market.Rows) -> None:
    store = kept(tmp_path, market_rows, order_lines=("commission", "payment_fee"), ads=())
    profit = METRICS["merchant_profit"]
    there = {leaf.name for leaf in present(profit, store)}
    assert there == {"gmv", "cost", "platform_fee", "shipping_paid", "shipping_cost", "merchant_ad_spend"}
    assert {left.name for left in left_out(profit, store)} == {leaf.name for leaf in leaves(profit)} - there
    [row] = store.metrics(Query((profit, *present(profit, store)), market.PERIOD)).to_pylist()
    less = row["cost"] + row["platform_fee"] + row["shipping_cost"] + row["merchant_ad_spend"]
    assert row["merchant_profit"] == row["gmv"] + row["shipping_paid"] - less


def test_what_a_total_does_without_in_a_split_is_named(market_store: Store) -> None:
    """Advertisements have no surface: profit by surface leaves them out, and must not hide it."""
    profit = METRICS["merchant_profit"]
    assert left_out(profit, market_store) == ()
    assert [left.name for left in left_out(profit, market_store, ("surface",))] == ["merchant_ad_spend"]
    assert {left.name for left in left_out(profit, market_store, ("customer_type",))} >= {"refunds", "commission_back"}


@pytest.mark.parametrize(("name", "value"), [("hour_of_day", "x"), ("day", "xx"), ("weekday", "Monday")])
def test_a_value_that_a_dimension_cannot_have_is_one_clear_error(name: str, value: str, market_store: Store) -> None:
    with pytest.raises(BadInputError, match="cannot be limited"):
        market_store.metrics(Query((METRICS["gmv"],), market.PERIOD, where={name: (value,)}))


def test_days_and_numbers_are_read_as_written(market_store: Store) -> None:
    gmv, day = METRICS["gmv"], str(market.PERIOD.first)
    whole = market_store.metrics(Query((gmv,), market.Period(market.PERIOD.first, market.PERIOD.first)))
    assert market_store.metrics(Query((gmv,), market.PERIOD, where={"day": (day,)})).equals(whole)
    split = market_store.metrics(Query((gmv,), market.PERIOD, by=("hour_of_day",))).to_pylist()
    one = market_store.metrics(Query((gmv,), market.PERIOD, where={"hour_of_day": (str(split[0]["hour_of_day"]),)}))
    assert one.to_pylist()[0]["gmv"] == split[0]["gmv"]


def test_a_total_is_unknown_without_what_it_rests_on(tmp_path: Path, market_rows: market.Rows) -> None:
    store = kept(tmp_path, market_rows, order_lines=("unit_cost",), refunds=())
    with pytest.raises(MissingDataError, match=r"unit_cost.*margin=0\.3"):
        present(METRICS["merchant_margin"], store)
    assert not lights_up(METRICS["merchant_profit"], store)
    assert lights_up(METRICS["gmv"], store, ("shop_id",))
    assert not lights_up(METRICS["gmv"], store, ("department",))
    assert missing(METRICS["gmv"], store, ("department",)) == ("products.category",)
    assert missing(METRICS["refunds"], store, ("customer_type",)) == ("refunds:customer_type",)


def test_lines_without_a_unit_cost_are_said_and_profit_on_too_many_of_them_is_refused(
    tmp_path: Path, market_rows: market.Rows
) -> None:
    cost, lines = METRICS["cost"], market_rows["order_lines"]
    full = [{**line, "unit_cost": line["unit_price"]} for line in lines]
    for name, gaps in (("few", 1), ("many", round((1 - COSTED) * len(lines)) + 1)):
        rows = [{**line, "unit_cost": None} for line in full[:gaps]] + full[gaps:]
        store = kept(tmp_path / name, market_rows | {"order_lines": rows}, order_lines=())
        [said] = partly_said((cost, METRICS["gmv"]), store)
        assert "count as free" in said
        assert "--assume" in said
        if name == "few":
            require_costs(cost, store)
            continue
        with pytest.raises(MissingDataError, match=r"no unit cost.*--assume margin=0\.3"):
            require_costs(cost, store)
        supposed = store.assuming(Assumptions(margin=0.5))
        require_costs(cost, supposed)
        assert not partly_said((cost,), supposed)


def test_without_payments_what_is_ordered_counts(tmp_path: Path, market_rows: market.Rows) -> None:
    store = kept(tmp_path, market_rows, order_lines=())
    [row] = store.metrics(Query((METRICS["items"],), market.SPAN)).to_pylist()
    assert row["items"] == sum(line["quantity"] for line in market_rows["order_lines"])


def test_costs_are_kept_whole_where_nothing_tells_what_was_restocked(tmp_path: Path, market_rows: market.Rows) -> None:
    store = kept(tmp_path, market_rows, order_lines=(), refunds=("restocked",))
    [row] = store.metrics(Query((METRICS["cost"],), market.SPAN)).to_pylist()
    known = [line for line in market_rows["order_lines"] if line["unit_cost"] is not None]
    assert row["cost"] == sum(line["unit_cost"] * line["quantity"] for line in known)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_every_dimension_splits_gmv(market_store: Store, name: str) -> None:
    assert present(METRICS["gmv"], market_store, (name,))


def test_what_is_looked_up_is_joined_only_where_it_is_used(market_store: Store) -> None:
    def joined(metric: str) -> list[Lookup]:
        _, row = SALES.rows(market_store, METRICS[metric].value)  # type: ignore[attr-defined]
        METRICS[metric].value(row)  # type: ignore[attr-defined]
        return row.used

    assert joined("items") == []
    assert [set(lookup.provides) for lookup in joined("new_buyers")] == [{"first_day"}]
