"""Creators and what they publish."""

from __future__ import annotations

from tradewind.tables.sales import CREATOR, FORMS, PRODUCT, SHOP
from tradewind.tables.schema import Column, Hop, Reference, Table, count, flag, ident, key, moment, text

CONTENT = Reference(("content_id",), "contents")
OWN = (Hop(on=("creator_id",)),)
THROUGH_SALES = (Hop("order_lines", ("creator_id",)), Hop("commissions", ("creator_id",)))
SHOWN = (Hop(), Hop("order_lines", ("content_id",)), Hop("traffic", ("content_id",)))
MY_PRODUCT_SHOWN = (Hop("contents", ("content_id",), also=Hop("products", ("product_id",))),)

TABLES = (
    Table(
        "creators",
        "An affiliate who sells by video or live.",
        (key("creator_id"), text("name"), text("kind"), text("category"), text("region")),
        key=("creator_id",),
        shop=THROUGH_SALES,
        creator=OWN,
    ),
    Table(
        "creator_history",
        "A creator's standing from a moment on.",
        (key("creator_id"), moment("valid_from", null=False), count("followers")),
        key=("creator_id", "valid_from"),
        references=(CREATOR,),
        shop=THROUGH_SALES,
        creator=OWN,
    ),
    Table(
        "contents",
        "A published video or other content.",
        (
            key("content_id"),
            ident("creator_id"),
            ident("shop_id"),
            text("form", allowed=FORMS),
            moment("published_at"),
            Column("duration", "real", "seconds", low=0),
            text("text"),
            text("uri"),
            flag("is_ad"),
            count("views"),
        ),
        key=("content_id",),
        references=(CREATOR, SHOP),
        shop=SHOWN,
    ),
    Table(
        "content_products",
        "A product shown in a content.",
        (key("content_id"), key("product_id")),
        key=("content_id", "product_id"),
        part_of=CONTENT,
        references=(CONTENT, PRODUCT),
        shop=MY_PRODUCT_SHOWN,
    ),
)
