"""Live rooms: sessions, their minutes, pinned products and coupon drops."""

from __future__ import annotations

from tradewind.tables.sales import CREATOR, PRODUCT, SHOP
from tradewind.tables.schema import Column, Hop, Reference, Table, count, flag, ident, key, moment, money, text

SESSION = Reference(("live_id",), "live_sessions")
THROUGH_SESSION = (Hop("live_sessions", ("live_id",)),)  # a shop's, and a host's
OWN = (Hop(on=("creator_id",)),)
MINUTE = Column("minute", "integer", "minutes", null=False, low=0, doc="Minutes since the session began.")

TABLES = (
    Table(
        "live_sessions",
        "One broadcast; `shop_id` is null where it sells for several shops.",
        (
            key("live_id"),
            ident("shop_id"),
            ident("creator_id"),
            text("title"),
            moment("started_at", null=False),
            moment("ended_at"),
            money("host_cost"),
            money("slot_fee"),
        ),
        key=("live_id",),
        time="started_at",
        references=(SHOP, CREATOR),
        creator=OWN,
    ),
    Table(
        "live_minutes",
        "One minute of a live room.",
        (
            key("live_id"),
            MINUTE,
            count("viewers"),
            count("joins_organic"),
            count("joins_paid"),
            count("leaves"),
            count("comments"),
            count("likes"),
        ),
        key=("live_id", "minute"),
        part_of=SESSION,
        references=(SESSION,),
        shop=THROUGH_SESSION,
        creator=THROUGH_SESSION,
    ),
    Table(
        "live_product_minutes",
        "One product in one minute of a live room.",
        (
            key("live_id"),
            MINUTE,
            key("product_id"),
            ident("shop_id"),
            flag("pinned"),
            count("impressions"),
            count("clicks"),
            count("orders"),
            money("gmv"),
        ),
        key=("live_id", "minute", "product_id"),
        part_of=SESSION,
        references=(SESSION, PRODUCT, SHOP),
        creator=THROUGH_SESSION,
    ),
    Table(
        "live_drops",
        "Coupons handed out in a live room at one moment.",
        (
            key("live_id"),
            moment("at", null=False),
            key("coupon_id"),
            ident("shop_id"),
            count("quantity"),
            count("claimed"),
        ),
        key=("live_id", "at", "coupon_id"),
        part_of=SESSION,
        references=(SESSION, SHOP),
        creator=THROUGH_SESSION,
    ),
)
