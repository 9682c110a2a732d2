"""The declarations of the canonical tables hold together, and are those of the design."""

from __future__ import annotations

from collections.abc import Iterator

import ibis
import pytest

import market
from tradewind.errors import NotFoundError
from tradewind.tables import TABLES, table
from tradewind.tables.schema import IBIS_TYPES, Column, Hop, Table

EVERY = pytest.mark.parametrize("declared", TABLES.values(), ids=TABLES.keys())

KEYS = {
    "shops": "shop_id",
    "products": "product_id",
    "product_history": "product_id shop_id valid_from",
    "customers": "customer_id",
    "creators": "creator_id",
    "creator_history": "creator_id valid_from",
    "order_lines": "order_id line",
    "order_discounts": "order_id line n",
    "order_status": "order_id line at status",
    "refunds": "refund_id",
    "traffic": "hour shop_id product_id surface form relation creator_id live_id content_id",
    "events": "event_id",
    "ads": "ad_id hour",
    "coupons": "coupon_id",
    "coupon_grants": "coupon_id customer_id",
    "contacts": "contact_id",
    "commissions": "contract_id",
    "campaigns": "campaign_id",
    "campaign_products": "campaign_id product_id",
    "campaign_customers": "campaign_id customer_id",
    "promotions": "product_id shop_id starts_on",
    "assignments": "experiment_id unit_kind unit_id",
    "live_sessions": "live_id",
    "live_minutes": "live_id minute",
    "live_product_minutes": "live_id minute product_id",
    "live_drops": "live_id at coupon_id",
    "contents": "content_id",
    "content_products": "content_id product_id",
    "reviews": "review_id",
    "inventory": "product_id shop_id day",
}
"""The tables that the house promises, and what tells their rows apart."""

NULL_SAFE = {"traffic"}
"""Tables whose key may hold nulls, which then count as equal."""


def ways(hops: tuple[Hop, ...]) -> Iterator[Hop]:
    for hop in hops:
        yield hop
        if hop.also is not None:
            yield from ways((hop.also,))


def names(declared: Table) -> set[str]:
    return {column.name for column in declared.stored}


def test_the_tables_are_those_of_the_design() -> None:
    assert {name: " ".join(declared.key) for name, declared in TABLES.items()} == KEYS


def test_a_table_that_is_not_declared() -> None:
    assert table("shops") is TABLES["shops"]
    with pytest.raises(NotFoundError, match="shops"):
        table("parcels")


@EVERY
def test_columns_are_told_apart_and_stored(declared: Table) -> None:
    assert len(names(declared)) == len(declared.stored)
    ibis.schema({column.name: IBIS_TYPES[column.kind] for column in declared.stored})
    with pytest.raises(KeyError, match="no column colour"):
        declared.column("colour")


@EVERY
def test_keys_are_columns_and_never_empty(declared: Table) -> None:
    for key in declared.key:
        column = declared.column(key)
        assert not column.null or declared.name in NULL_SAFE, f"{declared.name}.{key} may be null"


@EVERY
def test_references_point_to_keys_of_the_same_kind(declared: Table) -> None:
    references = [*declared.references, *([declared.part_of] if declared.part_of else [])]
    for reference in references:
        there = table(reference.table)
        assert set(reference.targets) == set(there.key)
        for here, target in zip(reference.columns, reference.targets, strict=True):
            assert declared.column(here).kind == there.column(target).kind
    assert declared.part_of is None or declared.part_of in declared.references


@EVERY
def test_names_of_entities_are_references(declared: Table) -> None:
    """A row that names a shop, product or customer says where that is declared, unless the row is its declaration."""
    referred = {column for reference in declared.references for column in reference.columns}
    for key in ("shop_id", "product_id", "customer_id"):
        if key in names(declared) and declared.key != (key,):
            assert key in referred, f"{declared.name}.{key}"


@EVERY
def test_every_table_has_a_way_to_its_shop(declared: Table) -> None:
    assert declared.shop, "no table is for operators only so far"
    for hop in ways(declared.shop):
        if hop.table is None:
            assert hop.on == ("shop_id",)
            assert declared.column("shop_id")
            assert not hop.or_null or declared.column("shop_id").null
        else:
            assert not hop.or_null
            assert hop.table != declared.name
            assert set(hop.on) <= names(declared)
            assert set(hop.on) <= names(table(hop.table))
            assert not hop.own or "shop_id" in names(table(hop.table))


@EVERY
def test_the_way_to_the_shop_ends(declared: Table) -> None:
    def walk(name: str, seen: tuple[str, ...]) -> None:
        assert name not in seen, f"{' → '.join((*seen, name))} goes round"
        for hop in ways(table(name).shop):
            if hop.table is not None:
                walk(hop.table, (*seen, name))

    walk(declared.name, ())


@EVERY
def test_days_and_hours_are_stored_where_a_row_has_its_moment(declared: Table) -> None:
    if declared.time is None:
        assert "hour" not in names(declared)
        assert declared.replaced_by_day == (declared.name == "inventory")
        return
    moment = declared.column(declared.time)
    assert (moment.kind, moment.null) == ("moment", False)
    assert {"day", "hour"} <= names(declared)
    assert not declared.column("day").null
    assert declared.replaced_by_day


@EVERY
def test_money_shares_and_counts_are_typed_as_such(declared: Table) -> None:
    for column in declared.stored:
        assert (column.kind == "money") == (column.unit == "money")
        if column.unit == "share":
            assert (column.kind, column.low, column.high) == ("real", 0, 1)
        if column.kind == "money":
            assert column.low == 0
        if column.default:
            assert column.default in names(declared)
        assert bool(column.allowed) <= (column.kind == "text")


def test_what_no_order_line_is_without() -> None:
    assert tuple(column.name for column in TABLES["order_lines"].stored if not column.null) == market.BARE


def test_values_are_spelled_out_for_who_must_mend_them() -> None:
    assert Column("form", allowed=("card", "live")).spelled == "one of card, live"
    assert Column("rate", "real", low=0, high=1).spelled == "a number such as 0.25, at least 0, at most 1"
    assert Column("n", "integer", null=False, low=1).spelled == "a whole number such as 3, at least 1; never empty"
