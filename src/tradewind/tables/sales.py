"""Shops, products, customers and what was sold to them."""

from __future__ import annotations

from tradewind.tables.schema import Column as _Column
from tradewind.tables.schema import Hop, Reference, Table, count, flag, ident, key, moment, money, real, share, text

SURFACES = ("feed", "search", "mall", "store", "external")
FORMS = ("card", "video", "live")
RELATIONS = ("own", "affiliate")
MOST_PIECES = 1e9  # what a line may hold: more is a slip, such as a number of the article
PAYERS = ("merchant", "platform", "creator", "brand")

PRODUCT = Reference(("product_id",), "products")
SHOP = Reference(("shop_id",), "shops")
CUSTOMER = Reference(("customer_id",), "customers")
CREATOR = Reference(("creator_id",), "creators")
ORDER_LINE = Reference(("order_id", "line"), "order_lines")


def demand() -> tuple[_Column, ...]:
    """Return the three columns that say where demand met the product, in what, and by whom."""
    return (text("surface", allowed=SURFACES), text("form", allowed=FORMS), text("relation", allowed=RELATIONS))


TABLES = (
    Table(
        "shops",
        "A seller's store.",
        (key("shop_id"), text("name"), text("category"), text("region"), moment("opened_at")),
        key=("shop_id",),
        creator=(Hop("commissions", ("shop_id",)), Hop("live_sessions", ("shop_id",))),
    ),
    Table(
        "products",
        "A listing; `shop_id` is null where several shops sell it.",
        (
            key("product_id"),
            ident("shop_id"),
            text("title"),
            text("description"),
            text("category", doc="Path from broad to narrow, parts joined by `/`."),
            text("brand"),
            moment("launched_at"),
            _Column("images", "json", doc="List of image addresses."),
            _Column("attributes", "json", doc="Further facts by name."),
        ),
        key=("product_id",),
        references=(SHOP,),
        shop=(Hop(), Hop("order_lines", ("product_id",)), Hop("product_history", ("product_id",))),
        creator=(Hop("commissions", ("product_id",)), Hop("live_product_minutes", ("product_id",))),
    ),
    Table(
        "product_history",
        "What a listing looked like and cost from one moment to another.",
        (
            key("product_id"),
            key("shop_id"),
            moment("valid_from", null=False),
            moment("valid_to"),
            money("list_price"),
            money("sale_price", doc="The list price where nothing is told."),
            money("unit_cost"),
            text("title"),
            _Column("images", "json"),
            flag("active"),
        ),
        key=("product_id", "shop_id", "valid_from"),
        references=(PRODUCT, SHOP),
    ),
    Table(
        "customers",
        "A buyer.",
        (
            key("customer_id"),
            text("region"),
            moment("first_seen_at"),
            _Column("attributes", "json"),
            text("consent", doc="Media by which the customer agreed to be contacted, joined by commas."),
        ),
        key=("customer_id",),
        shop=(Hop("order_lines", ("customer_id",)),),
    ),
    Table(
        "order_lines",
        "One product in one order, as placed.",
        (
            key("order_id"),
            _Column("line", "integer", "count", null=False, low=0),
            moment("ordered_at", null=False),
            moment("known_at", null=False, default="ordered_at", doc="When the row became visible."),
            ident("customer_id"),
            key("shop_id"),
            key("product_id"),
            _Column("quantity", "integer", "count", null=False, low=1, high=MOST_PIECES),
            money("unit_price", null=False, doc="Before every discount, without tax."),
            money("unit_cost"),
            money("tax"),
            money("shipping_paid", doc="Paid by the buyer."),
            money("shipping_cost", doc="Borne by the shop."),
            money("commission"),
            share("commission_platform_share", doc="Part of the commission that the platform pays."),
            money("platform_fee"),
            money("payment_fee"),
            *demand(),
            ident("creator_id"),
            ident("live_id"),
            ident("content_id"),
            ident("ad_id"),
        ),
        key=("order_id", "line"),
        time="ordered_at",
        references=(SHOP, PRODUCT, CUSTOMER, CREATOR),
    ),
    Table(
        "order_discounts",
        "One payer's part of the discount on one order line.",
        (
            key("order_id"),
            _Column("line", "integer", "count", null=False, low=0),
            _Column("n", "integer", "count", null=False, low=0),
            text("payer", null=False, allowed=PAYERS),
            text("kind"),
            ident("coupon_id"),
            ident("campaign_id"),
            money("amount", null=False),
        ),
        key=("order_id", "line", "n"),
        part_of=ORDER_LINE,
        references=(ORDER_LINE,),
        shop=(Hop("order_lines", ("order_id", "line")),),
    ),
    Table(
        "order_status",
        "A step in the life of an order line.",
        (
            key("order_id"),
            _Column("line", "integer", "count", null=False, low=0),
            moment("at", null=False),
            text("status", null=False, allowed=("placed", "paid", "shipped", "delivered", "cancelled")),
            moment("known_at", null=False, default="at"),
        ),
        key=("order_id", "line", "at", "status"),
        time="at",
        references=(ORDER_LINE,),
        shop=(Hop("order_lines", ("order_id", "line")),),
    ),
    Table(
        "refunds",
        "Money and goods that came back from one order line.",
        (
            key("refund_id"),
            ident("order_id"),
            _Column("line", "integer", "count", low=0),
            count("quantity", high=MOST_PIECES),
            money("amount", null=False),
            money("subsidy_reversed", doc="Discounts of platform and brand that were taken back."),
            money("commission_reversed"),
            money("fee_reversed"),
            flag("restocked"),
            money("return_shipping"),
            text("reason"),
            moment("refunded_at", null=False),
            moment("known_at", null=False, default="refunded_at"),
            key("shop_id", doc="Given for itself, since the order may lie before the data."),
            key("product_id"),
            ident("customer_id"),
        ),
        key=("refund_id",),
        time="refunded_at",
        references=(PRODUCT, SHOP, CUSTOMER),
    ),
    Table(
        "reviews",
        "What a buyer wrote of a product.",
        (
            key("review_id"),
            ident("order_id"),
            ident("product_id"),
            ident("shop_id"),
            real("rating", unit="stars", low=0, high=5),
            text("text"),
            moment("at", null=False),
        ),
        key=("review_id",),
        time="at",
        references=(PRODUCT, SHOP),
    ),
    Table(
        "inventory",
        "Stock at the end of a day.",
        (key("product_id"), key("shop_id"), _Column("day", "day", "local", null=False), count("on_hand", null=False)),
        key=("product_id", "shop_id", "day"),
        references=(PRODUCT, SHOP),
    ),
)
