"""One definition, two engines: every metric against hand-written SQL and against plain loops, however it is split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import market
from oracles import loops, queries
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures.assume import Assumptions
from tradewind.measures.fact import FEW
from tradewind.measures.metric import Ratio
from tradewind.measures.metrics import METRICS
from tradewind.measures.query import DIMENSIONS, Query, present
from tradewind.period import parse_period
from tradewind.scope import Scope

TOLERANCE = 1e-9

SPLITS: dict[str, tuple[tuple[str, ...], str | None, dict[str, tuple[Any, ...]]]] = {
    "department": (("department",), None, {}),
    "surface and form": (("surface", "form"), None, {}),
    "weekday and hour": (("weekday", "hour_of_day"), None, {}),
    "day, of one shop": ((), "day", {"shop_id": (market.SCOPE[0],)}),
    "week and shop": (("shop_id",), "week", {}),
    "month and relation, of no surface": (("relation",), "month", {"surface": (None,)}),
    "names, of a category or none": (("shop", "creator", "customer_region"), None, {"category": ("Home", None)}),
    "cohort, of those not new": (("cohort", "customer_type"), None, {"customer_type": ("returning", "unknown")}),
}
"""Dimensions, step and filter: each dimension that is computed, looked up or null is in one of them."""


def asked(store: Store, names: Iterable[str], **words: Any) -> loops.Answer:
    """Return a store's answer in the shape of the loops' answer, after checking its types and its order."""
    names = tuple(names)
    words.setdefault("period", market.PERIOD)
    query = Query(tuple(METRICS[name] for name in names), **words)
    answer = store.metrics(query)
    assert answer.column_names == [*query.groups, *names]
    for name in names:
        assert answer.schema.field(name).type == arrow_type(name), name
    keys = list(zip(*(answer[name].to_pylist() for name in query.groups), strict=True)) if query.groups else [()]
    assert len(set(keys)) == len(keys) == len(answer), "a group appears twice"
    assert keys == sorted(keys, key=lambda key: [(value is not None, value) for value in key]), "not in order"
    return {key: {name: row[name] for name in names} for key, row in zip(keys, answer.to_pylist(), strict=True)}


def arrow_type(name: str) -> pa.DataType:
    metric = METRICS[name]
    if isinstance(metric, Ratio):
        return pa.float64()
    return pa.decimal128(38, 4) if metric.unit == "money" else pa.int64()


def assert_equal(got: loops.Answer, wanted: loops.Answer) -> None:
    assert got.keys() == wanted.keys()
    for key, values in wanted.items():
        for name, value in values.items():
            assert_same(got[key][name], value, f"{name} in {key}")


def assert_same(got: Any, wanted: Any, where: str) -> None:
    """Money and counts must agree exactly, ratios to the declared tolerance."""
    if isinstance(wanted, float) and got is not None:
        assert math.isclose(got, wanted, rel_tol=TOLERANCE), f"{where}: {got} is not {wanted}"
    else:
        assert got == wanted, f"{where}: {got} is not {wanted}"


@pytest.fixture(scope="session")
def facts(market_rows: market.Rows) -> dict[str, list[loops.Row]]:
    return loops.facts(market_rows)


@pytest.fixture(scope="session")
def by_sql(market_folder: Path) -> dict[str, Any]:
    return queries.answers(queries.database(market_folder), METRICS, market.PERIOD)


def test_every_metric_has_sql_and_a_loop() -> None:
    assert queries.names() == set(METRICS) == set(loops.NAMES)
    assert queries.expected().keys() == METRICS.keys()


def test_every_dimension_is_in_the_loops(facts: Mapping[str, list[loops.Row]]) -> None:
    assert loops.DIMENSIONS["sales"] == set(DIMENSIONS)
    for fact, names in loops.DIMENSIONS.items():
        assert names <= facts[fact][0].keys()


def test_sql_answers_as_pinned(by_sql: Mapping[str, Any]) -> None:
    for name, pinned in queries.expected().items():
        value = Decimal(pinned) if isinstance(pinned, str) else pinned
        assert_same(by_sql[name], value, name)


def test_sql_and_loops_agree(by_sql: Mapping[str, Any], facts: Mapping[str, list[loops.Row]]) -> None:
    assert_equal({(): dict(by_sql)}, loops.measure(facts, METRICS, market.PERIOD))


def test_the_market_moves_every_metric(by_sql: Mapping[str, Any]) -> None:
    """A metric that is zero here could be wrong unseen."""
    assert [name for name, value in by_sql.items() if not value] == []


@pytest.mark.usefixtures("compiled")
def test_totals(store: Store, by_sql: Mapping[str, Any]) -> None:
    assert_equal(asked(store, METRICS), {(): dict(by_sql)})


@pytest.mark.parametrize("split", SPLITS)
def test_splits(store: Store, facts: Mapping[str, list[loops.Row]], split: str) -> None:
    by, every, where = SPLITS[split]
    groups = (*by, *((every,) if every else ()))
    names = [name for name in METRICS if loops.splittable(name, (*groups, *where))]
    got = asked(store, names, by=by, every=every, where=where)
    assert_equal(got, loops.measure(facts, names, market.PERIOD, groups, where))
    assert len(got) > 1 or not groups


def test_periods_side_by_side(store: Store, facts: Mapping[str, list[loops.Row]]) -> None:
    """Each slot answers as its period alone would, whatever their order and the days between."""
    later, earlier = parse_period("2024-01-08..2024-01-20", market.SPAN), parse_period("2023-12", market.SPAN)
    names = [name for name in METRICS if loops.splittable(name, ("relation",))]
    got = asked(store, names, by=("relation",), slots=(later, earlier))
    wanted = {
        (*key, slot): values
        for slot, period in enumerate((later, earlier))
        for key, values in loops.measure(facts, names, period, ("relation",)).items()
    }
    assert_equal(got, wanted)


def test_a_short_period_counts_as_within_a_long_one(store: Store, facts: Mapping[str, list[loops.Row]]) -> None:
    """What is gathered for a few days' keys only is the same as what is gathered for all."""
    week = parse_period("2023-12-18..2023-12-24", market.SPAN)
    assert week.days * FEW <= market.SPAN.days
    splits = ("customer_type", "relation")
    for names in (
        [n for n in METRICS if not loops.splittable(n, splits)],
        [n for n in METRICS if loops.splittable(n, splits)],
    ):
        by = splits if loops.splittable(names[0], splits) else ()
        assert_equal(asked(store, names, period=week, by=by), loops.measure(facts, names, week, by))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_what_a_metric_cannot_be_split_by_is_said(market_store: Store, dimension: str) -> None:
    for name, metric in METRICS.items():
        if loops.splittable(name, (dimension,)):
            assert present(metric, market_store, (dimension,))
        else:
            with pytest.raises(MissingDataError, match=f":{dimension}"):
                present(metric, market_store, (dimension,))


@pytest.mark.parametrize("words", [{"by": ("surface",)}, {"where": {"surface": ("feed",)}}])
def test_a_query_says_what_a_metric_cannot_be_split_by(market_store: Store, words: dict[str, Any]) -> None:
    with pytest.raises(MissingDataError, match="ads:surface"):
        market_store.metrics(Query((METRICS["gmv"], METRICS["ad_spend"]), market.PERIOD, **words))


def test_parts_add_up(store: Store, by_sql: Mapping[str, Any]) -> None:
    """What is added up over shops is the whole; profit by shop too, since every part of it knows its shop."""
    names = ("gmv", "cost", "refunds", "merchant_profit", "platform_profit", "creator_profit", "impressions", "items")
    shops = asked(store, names, by=("shop_id",))
    for name in names:
        assert sum(values[name] for values in shops.values()) == by_sql[name]


def test_transfers_between_parties_cancel(market_store: Store) -> None:
    """Jointly, what one party pays another is neither gain nor loss: only goods, buyers and third parties are left."""
    parties = ("merchant_profit", "platform_profit", "creator_profit", "brand_profit")
    others = ("gmv", "cost", "refunds", "platform_discount", "subsidy_back", "creator_discount", "brand_discount",
              "payment_fee", "shipping_paid", "shipping_cost", "return_shipping")  # fmt: skip
    [found] = asked(market_store, (*parties, *others)).values()
    joint = found["gmv"] + found["subsidy_back"] + found["shipping_paid"] - found["cost"] - found["refunds"]
    joint -= found["platform_discount"] + found["creator_discount"] + found["brand_discount"] + found["payment_fee"]
    joint -= found["shipping_cost"] + found["return_shipping"]
    assert sum(found[party] for party in parties) == joint


def test_an_empty_period_has_zeros_and_unknown_ratios(store: Store) -> None:
    [found] = asked(store, METRICS, period=market.QUIET).values()
    for name, value in found.items():
        assert value == (None if isinstance(METRICS[name], Ratio) else 0), name


def test_an_empty_period_has_no_groups(store: Store) -> None:
    assert asked(store, ("gmv", "cvr", "refunds"), period=market.QUIET, by=("surface",), every="week") == {}


def test_a_ratio_over_nothing_is_unknown(store: Store, facts: Mapping[str, list[loops.Row]]) -> None:
    """Products that were shown but not sold, or sold but not shown, have no rate."""
    names = ("aov", "cvr", "gpm", "ctr", "refund_rate", "attributed_roi")
    got = asked(store, names, by=("product_id",))
    assert_equal(got, loops.measure(facts, names, market.PERIOD, ("product_id",)))
    unsold = f"p{market.PRODUCTS:02d}"
    assert got[(unsold,)]["aov"] is None
    assert got[(unsold,)]["refund_rate"] is None


def test_a_margin_fills_only_unknown_costs(store: Store, market_rows: market.Rows) -> None:
    names = ("cost", "merchant_profit", "merchant_margin", "gmv")
    assuming = store.assuming(Assumptions(margin=0.3))
    wanted = loops.measure(loops.facts(market_rows, margin="0.3"), names, market.PERIOD, ("shop_id",))
    assert_equal(asked(assuming, names, by=("shop_id",)), wanted)
    assert "30%" in assuming.provenance.assumptions[0]
    assert store.provenance.assumptions == ()


def test_amounts_of_a_currency_of_small_units(
    opened: Callable[[Path], Store], tmp_path: Path, market_rows: market.Rows
) -> None:
    """A rupiah or a dong is so little that a line is worth billions."""
    large = [
        line | {name: line[name] and line[name] * 10**8 for name in ("unit_price", "unit_cost", "commission")}
        for line in market_rows["order_lines"]
    ]
    rows = {**market_rows, "order_lines": large}
    market.write(tmp_path / "store", rows)
    names = ("gmv", "cost", "commission", "platform_commission", "merchant_profit", "platform_profit")
    wanted = loops.measure(loops.facts(rows, margin="0.3"), names, market.PERIOD, ("shop_id",))
    found = asked(opened(tmp_path / "store").assuming(Assumptions(margin=0.3)), names, by=("shop_id",))
    assert_equal(found, wanted)


def test_shares_between_two_are_rounded_alike(
    opened: Callable[[Path], Store], tmp_path: Path, market_rows: market.Rows
) -> None:
    """A share of nine decimals, to be held in eight, is no other on another engine."""
    tie = {"commission": Decimal("100000.0000"), "commission_platform_share": 0.123456785}
    rows = {**market_rows, "order_lines": [line | tie for line in market_rows["order_lines"]]}
    market.write(tmp_path / "store", rows)
    [found] = asked(opened(tmp_path / "store"), ("commission", "platform_commission")).values()
    assert found["platform_commission"] == found["commission"] * Decimal("0.12345679")


LACKING = {
    "order_lines.customer_id": ("buyers", "new_buyers", "returning_buyers", "repeat_rate", "gmv_new", "gmv_returning",
                                "gmv_unknown", "gmv_known", "orders_known", "orders_per_known", "orders_per_buyer",
                                "gmv_per_buyer"),
    "order_lines.creator_id": ("creators_selling",),
    "order_discounts": ("merchant_discount", "platform_discount", "brand_discount", "creator_discount", "discount",
                        "discount_rate", "brand_profit"),
    "refunds": ("refunds", "refunded_items", "refund_rate", "refunds_of_orders", "refund_rate_of_orders",
                "commission_back", "platform_commission_back", "fee_back", "return_shipping", "subsidy_back"),
    "traffic": ("impressions", "clicks", "carts", "ctr", "cvr", "gpm"),
    "ads": ("ad_spend", "merchant_ad_spend", "creator_ad_spend", "brand_ad_spend", "ad_revenue", "attributed_gmv",
            "attributed_roi"),
    "order_lines.unit_cost": ("cost", "merchant_profit", "merchant_margin"),
    "order_lines.commission": ("commission", "platform_commission", "creator_profit"),
    "order_lines.platform_fee": ("platform_fee", "platform_profit"),
    "order_lines.payment_fee": ("payment_fee",),
    "order_lines.shipping_paid": ("shipping_paid",),
    "order_lines.shipping_cost": ("shipping_cost",),
}  # fmt: skip
"""What the barest source lacks, and the metrics that are unknown without it."""
KNOWN = ("gmv", "gross_sales", "items", "orders", "aov", "items_per_order", "price_per_item", "gross_price",
         "price_kept", "products_sold", "shops_selling", "gmv_per_product")  # fmt: skip


def test_what_the_barest_source_cannot_say_is_unknown_not_zero(bare_store: Store, market_rows: market.Rows) -> None:
    unknown = {name: need for need, names in LACKING.items() for name in names}
    assert set(unknown) | set(KNOWN) == set(METRICS)
    for name, need in unknown.items():
        with pytest.raises(MissingDataError) as raised:
            bare_store.metrics(Query((METRICS[name],), market.PERIOD))
        assert need in raised.value.what.rsplit("lacks ", 1)[1].split(", "), name
        assert raised.value.do


def test_what_the_barest_source_can_say_is_right(bare_store: Store, market_rows: market.Rows) -> None:
    alone = {name: bare_lines(market_rows) if name == "order_lines" else [] for name in market_rows}
    assuming = bare_store.assuming(Assumptions(margin=0.25))
    names = (*KNOWN, "cost", "merchant_profit")
    wanted = loops.measure(loops.facts(alone, margin="0.25"), names, market.PERIOD, ("month",))
    assert_equal(asked(assuming, names, every="month"), wanted)


def bare_lines(market_rows: market.Rows) -> list[loops.Row]:
    nothing = dict.fromkeys(market_rows["order_lines"][0])
    return [nothing | line for line in market.bare(market_rows)["order_lines"]]


def test_a_merchant_has_the_metrics_of_their_own_shops(store: Store, market_rows: market.Rows) -> None:
    mine = {
        name: [row for row in rows if row.get("shop_id", market.SCOPE[0]) in market.SCOPE]
        if name not in {"products", "customers", "creators"}
        else rows
        for name, rows in market_rows.items()
    }
    merchant = store.scoped(Scope.of(market.SCOPE))
    wanted = loops.measure(loops.facts(mine), METRICS, market.PERIOD, ("shop_id",))
    assert_equal(asked(merchant, METRICS, by=("shop_id",)), wanted)
    assert set(wanted) == {(shop,) for shop in market.SCOPE}


def test_the_days_of_a_query_are_local(market_store: Store, market_rows: market.Rows) -> None:
    """An order at half past midnight in UTC belongs to the day before, three hours to the west."""
    late = [line for line in market_rows["order_lines"] if line["ordered_at"].date() != line["day"]]
    assert len(late) > 20
    days = asked(market_store, ("orders",), every="day", period=market.SPAN)
    assert min(days) == (market.SPAN.first,)
    assert all(isinstance(day, date) for (day,) in days)
